//! What a table's entries may be kept in order by: something that has a few bytes in front of each entry, and is told
//! whenever one comes, goes or moves.

use crate::heap::{Handle, Heap, Moved};
use crate::memory::{Memory, OutOfMemory};

/// See the module's text. Nothing here fails but `prepare`.
pub(crate) trait Order: std::fmt::Debug {
    /// Bytes in front of each entry: the same for all, and for as long as the table lives.
    fn bytes(&self) -> usize;
    /// Get the memory that it takes to keep one entry more.
    fn prepare(&mut self, memory: &mut Memory) -> Result<(), OutOfMemory>;
    /// A slot is new; deadlines are written after.
    fn start(&self, slot: &mut [u8]);
    /// A slot's contents, these bytes among them, were moved.
    fn moved(&mut self, heap: &mut Heap, moved: Moved);
    /// An entry's bytes go from one slot to another.
    fn succeed(&mut self, heap: &mut Heap, moved: Moved);
    /// Have what [`leave`](Self::leave) or [`moved`](Self::moved) will touch for this slot on its way.
    fn prefetch(&self, heap: &Heap, handle: Handle);
    /// A slot is going to be removed.
    fn leave(&mut self, heap: &mut Heap, handle: Handle);
    /// All slots have gone; give the memory back.
    fn clear(&mut self, memory: &mut Memory);
    /// Bytes held.
    fn held(&self) -> usize;
    /// Walk every invariant; there are `entries` slots.
    fn check(&self, heap: &Heap, entries: usize);
}

/// An order there is: `()`, which is none, or [`Policies`](crate::Policies).
#[allow(private_bounds)] // only this crate's
pub trait TableOrder: Order + Send {}

impl TableOrder for () {}

/// No order at all.
impl Order for () {
    #[inline(always)]
    fn bytes(&self) -> usize {
        0
    }
    #[inline(always)]
    fn prepare(&mut self, _: &mut Memory) -> Result<(), OutOfMemory> {
        Ok(())
    }
    #[inline(always)]
    fn start(&self, _: &mut [u8]) {}
    #[inline(always)]
    fn moved(&mut self, _: &mut Heap, _: Moved) {}
    #[inline(always)]
    fn succeed(&mut self, _: &mut Heap, _: Moved) {}
    #[inline(always)]
    fn prefetch(&self, _: &Heap, _: Handle) {}
    #[inline(always)]
    fn leave(&mut self, _: &mut Heap, _: Handle) {}
    fn clear(&mut self, _: &mut Memory) {}
    fn held(&self) -> usize {
        0
    }
    fn check(&self, _: &Heap, _: usize) {}
}
