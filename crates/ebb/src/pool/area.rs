//! A range of addresses, handed out in blocks. This file alone makes blocks.
#![allow(unsafe_code)] // blocks are parts of ranges

use super::runs::Runs;
use super::slabs::{PAGE, Slab, slab_bytes};
use crate::system::{OS_PAGE, Pages, Range};
use std::mem::ManuallyDrop;
use std::ops::{self, Deref, DerefMut};
use std::ptr::NonNull;

/// What is known of pages is kept for so many together.
const TOGETHER: usize = 64;

/// Initialised memory, owned by whoever holds the block: zeros, or what was in it before. It starts on a multiple of 64
/// bytes; of [`OS_PAGE`] from that size on; and of [`HUGE_PAGE`](crate::system::HUGE_PAGE) where its size is one. One that is dropped leaks.
#[derive(Debug)]
pub(crate) struct Block {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a block owns its memory.
unsafe impl Send for Block {}
// SAFETY: a shared block gives no access to its memory.
unsafe impl Sync for Block {}

impl Block {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its first address.
    pub(super) fn address(&self) -> usize {
        self.base.addr().get()
    }

    /// The first byte, and the length, for one who keeps the block as a pointer.
    pub(crate) fn into_parts(self) -> (NonNull<u8>, usize) {
        (self.base, self.bytes)
    }

    /// # Safety
    /// These are the parts of a block, and nobody else makes a block of them or uses its memory any more.
    pub(crate) unsafe fn from_parts(base: NonNull<u8>, bytes: usize) -> Self {
        Block { base, bytes }
    }

    /// The first `bytes` of the block, and the rest. Panics unless both are some.
    pub(super) fn split(self, bytes: usize) -> (Block, Block) {
        assert!(0 < bytes && bytes < self.bytes, "two parts of a block");
        // SAFETY: it is within the block.
        let behind = unsafe { self.base.add(bytes) };
        (Block { base: self.base, bytes }, Block { base: behind, bytes: self.bytes - bytes })
    }

    /// A block that is a range of its own.
    pub(super) fn alone(bytes: usize) -> Option<Block> {
        let range = Range::reserve(bytes, Pages::Small)?;
        Some(Block { base: range.at(0), bytes })
    }

    /// Put a value into the block. Panics where it has no room for one.
    pub(crate) fn hold<T>(self, value: T) -> Held<T> {
        let at = self.base.cast::<T>();
        assert!(size_of::<T>() <= self.bytes && at.is_aligned(), "a block has room for its value");
        // SAFETY: the block owns its memory, and was just found to be long enough.
        unsafe { at.write(value) };
        Held { at, bytes: self.bytes }
    }

    /// Give up a block that was made by [`alone`](Self::alone).
    pub(super) fn release_alone(self) {
        // SAFETY: the block owns its memory, which is a range of so many bytes.
        unsafe { Range::from_parts(self.base, self.bytes).release() };
    }

    /// Give the memory back to the system; whether that was done. The block stays, and has zeroed memory when it is next
    /// touched. Panics unless the block is of whole pages.
    pub(super) fn return_memory(&mut self) -> bool {
        assert!(self.bytes.is_multiple_of(OS_PAGE) && self.address().is_multiple_of(OS_PAGE), "a block of pages");
        // SAFETY: the block owns these bytes, nobody has a reference to them, and zeroed memory is initialised too.
        unsafe { Range::return_memory(self.base, self.bytes) }
    }
}

/// A value in a block of its own. Invariant: `at` is the beginning of a block of so many bytes, which this owns, with a
/// value. If it is dropped, so is the value, and the block leaks.
#[derive(Debug)]
pub(crate) struct Held<T> {
    at: NonNull<T>,
    bytes: usize,
}

// SAFETY: it owns the value and the block.
unsafe impl<T: Send> Send for Held<T> {}
// SAFETY: `&Held` gives `&T`.
unsafe impl<T: Sync> Sync for Held<T> {}

impl<T> Held<T> {
    /// The value, and the block without it.
    pub(crate) fn into_parts(self) -> (T, Block) {
        let Held { at, bytes } = *ManuallyDrop::new(self);
        // SAFETY: there is a value, and it is not read again.
        (unsafe { at.read() }, Block { base: at.cast(), bytes })
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: there is a value.
        unsafe { self.at.as_ref() }
    }
}

impl<T> DerefMut for Held<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: there is a value, and `&mut self` makes the reference unique.
        unsafe { self.at.as_mut() }
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        // SAFETY: there is a value, and it is not used after this.
        unsafe { self.at.drop_in_place() };
    }
}

/// What is known of a page.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// It is free, or part of a block.
    Nothing,
    /// A slab begins there.
    Slab(Slab),
    /// It is part of a slab that begins so many pages before.
    Behind(u8),
}

/// Invariants: the pages that are not free in `runs`, and the pieces that are not free in slabs, are parts of blocks
/// that were taken and not put back, of which no two have a byte in common.
#[derive(Debug)]
pub(super) struct Area {
    range: Range,
    pub(super) pages: Pages,
    /// Bytes of blocks that are neither free nor spare: with tables, in slabs, or with somebody who gives their memory back.
    pub(super) out: usize,
    runs: Runs,
    /// What is known of pages, for [`TOGETHER`] in a row each; empty where there never was a slab.
    known: Vec<Vec<Known>>,
}

impl Area {
    /// An area of so many bytes, a multiple of a page.
    pub(super) fn new(bytes: usize, pages: Pages) -> Option<Area> {
        let runs = Runs::new(bytes / pages.bytes())?;
        let range = Range::reserve(bytes, pages)?;
        Some(Area { range, pages, out: 0, runs, known: Vec::new() })
    }

    pub(super) fn bytes(&self) -> usize {
        self.range.bytes()
    }

    pub(super) fn address(&self) -> usize {
        self.range.address()
    }

    /// Its addresses.
    pub(super) fn addresses(&self) -> ops::Range<usize> {
        self.address()..self.address() + self.bytes()
    }

    /// Whether no block of it is anywhere.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// A block of so many bytes (whole pages), where there is room.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Block> {
        let page = self.pages.bytes();
        assert!(bytes > 0 && bytes.is_multiple_of(page), "whole pages");
        let first = self.runs.take(bytes / page)?;
        Some(Block { base: self.range.at(first * page), bytes })
    }

    /// Take a block of pages back, which came from [`take`](Self::take), or is a part of such a one.
    pub(super) fn put(&mut self, block: Block) {
        let page = self.pages.bytes();
        let at = self.offset_of(&block);
        assert!(at.is_multiple_of(page) && block.bytes.is_multiple_of(page), "whole pages");
        self.runs.put(at / page, block.bytes / page);
    }

    fn offset_of(&self, block: &Block) -> usize {
        let at = block.address().wrapping_sub(self.address());
        assert!(at < self.bytes() && block.bytes <= self.bytes() - at, "a block of this area");
        at
    }

    /// Divide a block into the pieces of a slab: its first page. `Err` where there is no memory to note that.
    pub(super) fn divide(&mut self, block: Block, slab: Slab) -> Result<usize, Block> {
        assert_eq!(block.bytes, slab_bytes(slab.class as usize), "a block for a slab");
        let first = self.offset_of(&block) / PAGE;
        let pages = first..first + block.bytes / PAGE;
        if pages.clone().any(|page| self.make_room(page).is_none()) {
            return Err(block);
        }
        pages.for_each(|page| *self.known(page) = Known::Behind((page - first) as u8));
        *self.known(first) = Known::Slab(slab);
        Ok(first)
    }

    /// Have room for what is known of a page.
    fn make_room(&mut self, page: usize) -> Option<()> {
        let count = (self.bytes() / PAGE).div_ceil(TOGETHER);
        let known = filled(&mut self.known, count, Vec::new())?;
        filled(&mut known[page / TOGETHER], TOGETHER, Known::Nothing)?;
        Some(())
    }

    fn known(&mut self, page: usize) -> &mut Known {
        &mut self.known[page / TOGETHER][page % TOGETHER]
    }

    /// The slab that begins with a page. Panics where there is none.
    pub(super) fn slab(&mut self, first: usize) -> &mut Slab {
        match self.known(first) {
            Known::Slab(slab) => slab,
            _ => panic!("page {first} is not the first of a slab"),
        }
    }

    /// Take a piece of a slab that has one.
    pub(super) fn take_piece(&mut self, first: usize) -> Block {
        let (at, bytes) = self.slab(first).take();
        Block { base: self.range.at(first * PAGE + at), bytes }
    }

    /// Take a piece back: the first page of its slab.
    pub(super) fn put_piece(&mut self, block: Block) -> usize {
        let at = self.offset_of(&block);
        let behind = match self.known(at / PAGE) {
            Known::Behind(pages) => *pages as usize,
            _ => 0,
        };
        let first = at / PAGE - behind;
        self.slab(first).put(at - first * PAGE, block.bytes);
        first
    }

    /// A slab whose pieces are all free is a block again. Panics where one is not.
    pub(super) fn join(&mut self, first: usize) -> Block {
        let slab = *self.slab(first);
        assert!(slab.is_empty(), "a slab of which no piece is used");
        let bytes = slab_bytes(slab.class as usize);
        (first..first + bytes / PAGE).for_each(|page| *self.known(page) = Known::Nothing);
        Block { base: self.range.at(first * PAGE), bytes }
    }

    /// Give the range up; `Err` where the system does not take it, but for the memory. Panics where a block of it is somewhere.
    pub(super) fn release(self) -> Result<(), Area> {
        assert!(self.is_empty(), "an area that is empty");
        // SAFETY: there is no block of it, as the invariant says, and the area is forgotten if it is gone.
        if unsafe { self.range.release() } {
            return Ok(());
        }
        // SAFETY: as above: nobody uses any of it.
        unsafe { Range::return_memory(self.range.at(0), self.bytes()) };
        Err(self)
    }
}

/// A list, which has so many elements if it was empty. `None` where there is no memory for them.
fn filled<T: Clone>(list: &mut Vec<T>, count: usize, with: T) -> Option<&mut [T]> {
    if list.is_empty() {
        list.try_reserve_exact(count).ok()?;
        list.resize(count, with);
    }
    Some(list)
}

#[cfg(test)]
impl Area {
    pub(super) fn free_bytes(&self) -> usize {
        self.runs.free() * self.pages.bytes()
    }

    pub(super) fn check(&self) {
        let known = self.known.iter().flatten();
        known.for_each(|known| assert!(!matches!(known, Known::Slab(slab) if slab.is_empty()), "an empty slab"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::ALONE;

    #[test]
    fn memory_that_was_given_back_is_zeros() {
        let mut area = Area::new(4 * PAGE, Pages::Small).unwrap();
        let mut block = area.take(2 * PAGE).unwrap();
        // SAFETY: the block owns so many bytes, and nobody has a reference to them.
        unsafe { block.base.write_bytes(7, block.bytes) };
        assert!(block.return_memory());
        // SAFETY: the same, and they are initialised.
        let bytes = unsafe { std::slice::from_raw_parts(block.base.as_ptr(), block.bytes) };
        assert!(ALONE || bytes.iter().all(|&byte| byte == 0));
        area.put(block);
        area.release().unwrap();
    }
}
