//! A table of entries that are dense in stacks, one of each size, and an index of handles that finds them.

use crate::classes::ClassStacks;
use crate::fill::Fill;
use crate::heap::{Growth, Handle, Heap, Moved, ReadSlots, Removed, Slots, StackId, tagged};
use crate::index::Index;
use crate::lines::Handles;
use crate::memory::{Memory, OutOfMemory};
use crate::order::TableOrder;
use crate::positions::{Found, Positions};
use crate::pour::Rehash;
use crate::raw::{EntrySize, Grown, RawTable};
use crate::sizes::{CLASSES, MAX_ENTRY_BYTES, MAX_STACKED, class_of, entry_in, write_trailer};
use crate::stats::Stats;
use crate::system::{prefetch_all, prefetch_early};
use crate::walk::Cursor;
use std::ops::Range;

/// No stack of entries has been used yet.
const NO_STACK: StackId = StackId::MAX;
/// Bytes of an entry that are asked for ahead: the processor does so for the rest.
pub(crate) const MOST_ASKED_FOR: usize = 256;
/// Entries of these sizes, without an order, leave the index the least of what the memory promise allows.
pub(crate) const DENSE: Range<usize> = 64..80;
/// Tables of fewer entries fit in the processor's caches.
const FAR: usize = 1 << 15;

/// See the module's text. `O` keeps the entries in some order, or in none.
#[derive(Debug)]
pub struct Stacked<O: TableOrder = ()> {
    pub(crate) heap: Heap,
    pub(crate) order: O,
    index: Index<Handles>,
    size: EntrySize,
    /// The stack of each size class; of class 0 alone if entries have a fixed size.
    stacks: ClassStacks,
    /// Bytes of all entries, counted where they are not all of one size.
    variable_bytes: usize,
    /// The stack an entry was last taken from or put on: most likely that of the next.
    recent: StackId,
    /// Bytes of the block that the table itself is in; 0 if it is in none.
    own_block: u16,
}

impl<O: TableOrder> Drop for Stacked<O> {
    fn drop(&mut self) {
        self.clear(); // the heap's memory has blocks of all parts
    }
}

impl<O: TableOrder> Stacked<O> {
    /// An empty table whose entries are kept in an order.
    pub(crate) fn in_order(size: EntrySize, order: O, own_block: usize) -> Self {
        Stacked {
            heap: Heap::new(),
            index: Index::new(Handles, fill(size, order.bytes())),
            order,
            size,
            stacks: ClassStacks::new(CLASSES as u16),
            variable_bytes: 0,
            recent: NO_STACK,
            own_block: u16::try_from(own_block).expect("a block of a table"),
        }
    }

    pub(crate) fn size(&self) -> EntrySize {
        self.size
    }

    /// Entries of so many bytes have come, and others have gone.
    #[inline(always)]
    fn count_bytes(&mut self, come: usize, gone: usize) {
        if self.size == EntrySize::Variable {
            self.variable_bytes = self.variable_bytes + come - gone;
        }
    }

    #[inline(always)]
    pub(crate) fn body(&self, handle: Handle) -> &[u8] {
        self.shape().body(self.heap.slots(), handle)
    }

    #[inline(always)]
    fn shape(&self) -> Shape {
        Shape { size: self.size, ordering: self.order.bytes() }
    }

    /// The entry in a slot.
    pub(crate) fn found_at(&self, handle: Handle, rehash: &impl Fn(&[u8]) -> u64) -> Found {
        let recognise = |candidate| (candidate == handle).then_some(());
        let found = self.index.find(self.heap.slots(), rehash(self.body(handle)), recognise);
        let (place, ()) = found.expect("every slot is indexed");
        Found { place, handle }
    }

    /// As [`insert`](Table::insert); where the entry is.
    #[inline(always)]
    pub(crate) fn insert_slot(
        &mut self,
        hash: u64,
        len: usize,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Handle, OutOfMemory> {
        self.order.prepare(&mut self.heap.memory)?;
        let handle = self.new_slot(len, write)?;
        self.order.start(self.heap.slot_mut(handle));
        let rehash = by_handle(self.shape(), rehash);
        if let Err(error) = self.index.insert(&mut self.heap, hash, handle, &rehash) {
            self.heap.remove(handle); // the last of its stack: nothing moves
            return Err(error);
        }
        self.count_bytes(len, 0);
        Ok(handle)
    }

    /// Whether an entry of `len` bytes has the kind of slot that one of `old_len` bytes is in.
    fn fits(&self, old: Handle, old_len: usize, len: usize) -> bool {
        match self.heap.stack_of(old) {
            _ if len == old_len => true,
            Some(_) => len <= MAX_STACKED && class_of(len) == class_of(old_len),
            None => false,
        }
    }

    #[inline(always)]
    fn release_slot(&mut self, handle: Handle, rehash: &impl Fn(&[u8]) -> u64) {
        let Removed { stack, moved } = self.heap.remove(handle);
        self.recent = stack.unwrap_or(self.recent);
        if let Some(moved) = moved {
            let hash = rehash(self.body(moved.to));
            self.index.relocate(&mut self.heap, hash, moved);
            self.order.moved(&mut self.heap, moved);
        }
    }

    #[inline]
    fn new_slot(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> Result<Handle, OutOfMemory> {
        let from = self.order.bytes();
        let all = from + len;
        let (number, slot_bytes, trailer) = match self.size {
            EntrySize::Fixed(bytes) => (0, bytes + from, 0),
            EntrySize::Variable if len > MAX_STACKED => {
                if len > MAX_ENTRY_BYTES {
                    return Err(OutOfMemory);
                }
                let handle = self.heap.push_lone(all)?;
                write(&mut self.heap.slot_mut(handle)[from..]);
                return Ok(handle);
            }
            EntrySize::Variable => {
                let class = class_of(len);
                (class.number, class.slot_bytes + from, class.trailer)
            }
        };
        let stack = self.stack(number, slot_bytes, trailer)?;
        self.recent = stack;
        let handle = self.heap.push(stack)?;
        let slot = self.heap.slot_mut(handle);
        write(&mut slot[from..all]);
        if trailer > 0 {
            write_trailer(slot, trailer, all);
        }
        Ok(handle)
    }

    #[inline]
    fn stack(&mut self, number: usize, slot_bytes: usize, trailer: usize) -> Result<StackId, OutOfMemory> {
        if self.size != EntrySize::Variable && self.recent != NO_STACK {
            return Ok(self.recent); // there is only one
        }
        match self.stacks.find(number) {
            Some(stack) => Ok(stack),
            None => self.new_stack(number, slot_bytes, trailer),
        }
    }

    #[cold]
    fn new_stack(&mut self, number: usize, slot_bytes: usize, trailer: usize) -> Result<StackId, OutOfMemory> {
        let growth = if self.size == EntrySize::Variable { Growth::OneOfMany } else { Growth::Alone };
        self.stacks.reserve(&mut self.heap.memory)?;
        let stack = self.heap.new_stack(slot_bytes, growth, trailer as u8)?;
        self.stacks.add(number, stack);
        Ok(stack)
    }

    #[inline]
    pub(crate) fn next_handle(&self, cursor: &mut Cursor) -> Option<Handle> {
        self.index.next(self.heap.slots(), cursor)
    }
}

impl<O: TableOrder> Grown for Stacked<O> {
    fn memory(&mut self) -> &mut Memory {
        &mut self.heap.memory
    }

    fn history(&mut self) -> (&mut u64, &mut u64) {
        (&mut self.index.splits, &mut self.index.merges)
    }
}

impl<O: TableOrder> Positions for Stacked<O> {
    #[inline(always)]
    fn locate(&self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<(Found, &[u8])> {
        let slots = self.heap.slots();
        let (place, (handle, entry)) = self.index.find(slots, hash, recogniser(self.shape(), slots, is))?;
        Some((Found { place, handle }, entry))
    }

    #[inline]
    fn entry(&self, found: Found) -> &[u8] {
        self.body(found.handle)
    }

    #[inline]
    fn entry_mut(&mut self, found: Found) -> &mut [u8] {
        let (from, len) = (self.order.bytes(), self.entry(found).len());
        &mut self.heap.slot_mut(found.handle)[from..from + len]
    }

    fn replace(
        &mut self,
        mut found: Found,
        len: usize,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Found, OutOfMemory> {
        let old = found.handle;
        let old_len = self.entry(found).len();
        let ordering = self.order.bytes();
        if self.fits(old, old_len, len) {
            let slot = self.heap.slot_mut(old);
            write(&mut slot[ordering..ordering + len]);
            if len != old_len {
                write_trailer(slot, class_of(len).trailer, len + ordering);
            }
        } else {
            let handle = self.new_slot(len, write)?;
            self.index.set_content(&mut self.heap, found.place, handle);
            found.handle = handle;
            self.order.succeed(&mut self.heap, Moved { from: old, to: handle });
            self.release_slot(old, rehash); // another stack than the new slot's
        }
        self.count_bytes(len, old_len);
        Ok(found)
    }

    #[inline(always)]
    fn remove(&mut self, found: Found, rehash: &impl Fn(&[u8]) -> u64) {
        let rehash_by_handle = by_handle(self.shape(), rehash);
        if self.size == EntrySize::Variable {
            self.variable_bytes -= self.entry(found).len();
        }
        self.order.prefetch(&self.heap, found.handle);
        self.index.remove(&mut self.heap, found.place, &rehash_by_handle);
        self.order.leave(&mut self.heap, found.handle);
        self.release_slot(found.handle, rehash);
    }

    #[inline]
    fn any(&mut self) -> Option<Found> {
        self.index.any(self.heap.slots()).map(|(place, handle)| Found { place, handle })
    }

    fn visit_positions(
        &self,
        position: u64,
        rehash: &impl Fn(&[u8]) -> u64,
        mut visit: impl FnMut(u64, Found),
    ) -> Option<u64> {
        let rehash = by_handle(self.shape(), rehash);
        self.index.visit_part(self.heap.slots(), position, &rehash, |hash, place, handle| {
            visit(hash, Found { place, handle });
        })
    }
}

impl<O: TableOrder> RawTable for Stacked<O> {
    #[inline]
    fn len(&self) -> usize {
        self.index.entries
    }

    fn held(&self) -> usize {
        self.heap.memory.held()
    }

    fn entry_bytes(&self) -> usize {
        match self.size {
            EntrySize::Fixed(bytes) => bytes * self.len(),
            EntrySize::Variable => self.variable_bytes,
        }
    }

    #[inline(always)]
    fn get_mut(&mut self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<&mut [u8]> {
        let (found, entry) = self.locate(hash, is)?;
        let (from, len) = (self.order.bytes(), entry.len());
        Some(&mut self.heap.slot_mut(found.handle)[from..from + len])
    }

    #[inline]
    fn prefetch_removal(&self, rehash: &impl Fn(&[u8]) -> u64) {
        if self.len() > FAR
            && self.recent != NO_STACK
            && let Some(last) = self.heap.last(self.recent)
        {
            self.index.prefetch_line(self.heap.slots(), rehash(self.body(last)));
            self.order.prefetch(&self.heap, last);
        }
    }

    fn clear(&mut self) {
        self.index.clear(&mut self.heap);
        self.order.clear(&mut self.heap.memory);
        self.stacks.clear(&mut self.heap.memory);
        self.heap.clear();
        (self.variable_bytes, self.recent) = (0, NO_STACK);
    }

    #[inline]
    fn prefetch_line(&self, hash: u64) {
        self.index.prefetch_line(self.heap.slots(), hash);
    }

    #[inline]
    fn prefetch_lines(&self, hashes: &[u64]) {
        self.index.prefetch_lines(self.heap.slots(), hashes);
    }

    #[inline]
    fn prefetch_entries(&self, hashes: &[u64]) {
        if self.is_empty() {
            return;
        }
        for handle in hashes.iter().filter_map(|&hash| self.index.likely(self.heap.slots(), hash)) {
            let entry = self.heap.slot(handle);
            prefetch_all(&entry[..entry.len().min(MOST_ASKED_FOR)]);
            if entry.len() > MOST_ASKED_FOR {
                prefetch_early(&entry[entry.len() - 1]); // where its length is
            }
        }
    }

    fn next(&self, cursor: &mut Cursor) -> Option<&[u8]> {
        self.next_handle(cursor).map(|handle| self.body(handle))
    }

    fn stats(&self) -> Stats {
        let index_bytes = self.index.block_bytes(&self.heap) + self.index.table_bytes();
        let elsewhere = self.stacks.bytes() + self.order.held() + usize::from(self.own_block);
        let own_bytes = if self.own_block > 0 { 0 } else { size_of::<Self>() };
        let stats = self.index.stats(&self.heap, index_bytes, own_bytes, elsewhere);
        Stats { entry_bytes: self.entry_bytes(), ..stats }
    }

    fn set_allowance(&mut self, allocations: u64) {
        self.heap.memory.set_allowance(allocations);
    }

    fn allowance(&self) -> u64 {
        self.heap.memory.allowance()
    }

    fn check(&self, rehash: &impl Fn(&[u8]) -> u64) {
        let mut handles = std::collections::HashSet::new();
        let mut bytes = 0;
        self.heap
            .check(self.index.table_bytes() + self.stacks.bytes() + self.order.held() + usize::from(self.own_block));
        self.order.check(&self.heap, self.len());
        self.index.check(self.heap.slots(), &by_handle(self.shape(), rehash), |handle| {
            assert!(handles.insert(handle), "an entry is indexed once");
            bytes += self.body(handle).len();
        });
        assert_eq!(bytes, self.entry_bytes());
        let mut slots = 0;
        let mut visit = |handle| {
            assert!(handles.contains(&handle), "every slot is indexed");
            slots += 1;
        };
        self.stacks.iter().for_each(|stack| self.heap.each_slot(stack, &mut visit));
        if self.size == EntrySize::Variable {
            self.heap.each_lone(|handle| {
                if !self.index.owns_block(handle) {
                    visit(handle);
                }
            });
        }
        assert_eq!(slots, self.len());
    }
}

/// How full the index may be: as full as it gets where a tenth of an entry is all that may be held beside the entries.
fn fill(size: EntrySize, ordering: usize) -> Fill {
    match size {
        EntrySize::Fixed(bytes) if ordering == 0 && DENSE.contains(&bytes) => Fill::DENSE,
        _ => Fill::ROOMY,
    }
}

/// An entry's hash by its handle.
struct ByHandle<'r, F> {
    shape: Shape,
    rehash: &'r F,
}

impl<F: Fn(&[u8]) -> u64> Rehash<Handles> for ByHandle<'_, F> {
    #[inline(always)]
    fn hash<'a>(&self, slots: impl ReadSlots<'a>, handle: Handle) -> u64 {
        (self.rehash)(self.shape.body(slots, handle))
    }
}

#[inline(always)]
fn by_handle<F: Fn(&[u8]) -> u64>(shape: Shape, rehash: &F) -> ByHandle<'_, F> {
    ByHandle { shape, rehash }
}

/// Knows an entry by its handle: of one type for each `is`, and compiled into the search.
#[inline(always)]
fn recogniser<'a>(
    shape: Shape,
    slots: Slots<'a>,
    mut is: impl FnMut(&[u8]) -> bool,
) -> impl FnMut(Handle) -> Option<(Handle, &'a [u8])> {
    #[inline(always)]
    move |handle| {
        let entry = shape.body(slots, handle);
        is(entry).then_some((handle, entry))
    }
}

/// How entries lie in slots: the order's own bytes, then the entry.
#[derive(Debug, Clone, Copy)]
struct Shape {
    size: EntrySize,
    ordering: usize,
}

impl Shape {
    /// The bytes of the entry at `handle`.
    #[inline(always)]
    fn body<'a>(self, slots: impl ReadSlots<'a>, handle: Handle) -> &'a [u8] {
        let slot = match self.size {
            EntrySize::Fixed(_) => slots.get(handle),
            EntrySize::Variable => match tagged(slots, handle) {
                (slot, Some(trailer)) => entry_in(slot, trailer),
                (slot, None) => slot,
            },
        };
        &slot[self.ordering..]
    }
}
