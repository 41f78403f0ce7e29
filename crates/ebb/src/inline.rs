//! A table of small entries of one size, which are in the index itself: finding one takes a look at its line's tags,
//! which are together and few, and at the entry; adding or removing one moves no other but within its segment.

use crate::fill::Fill;
use crate::heap::{Heap, ReadSlots};
use crate::index::{Index, Place};
use crate::lines::Inline;
use crate::memory::{Memory, OutOfMemory};
use crate::positions::{Found, Positions};
use crate::pour::Rehash;
use crate::raw::{Grown, RawTable};
use crate::stats::Stats;
use crate::system::prefetch_early;
use crate::walk::Cursor;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct InlineTable {
    heap: Heap,
    index: Index<Inline>,
    cells: Inline,
    /// Bytes of the block that the table itself is in.
    own_block: usize,
}

impl Drop for InlineTable {
    fn drop(&mut self) {
        self.clear(); // the heap's memory has blocks of the index
    }
}

impl InlineTable {
    /// An empty table in a block of so many bytes.
    pub(crate) fn new(cells: Inline, own_block: usize) -> Self {
        InlineTable { heap: Heap::new(), index: Index::new(cells, Fill::inline(cells)), cells, own_block }
    }

    pub(crate) fn cells(&self) -> Inline {
        self.cells
    }

    /// Add entries, of which there are `count`, to an empty table: all or, if memory can't be had, some.
    pub(crate) fn fill<'a>(
        &mut self,
        count: usize,
        mut entries: impl Iterator<Item = &'a [u8]>,
        rehash: &impl Fn(&[u8]) -> u64,
    ) -> Result<(), OutOfMemory> {
        self.index.begin(&mut self.heap, count + 1)?;
        entries.try_for_each(|entry| self.insert(rehash(entry), entry.len(), rehash, |to| to.copy_from_slice(entry)))
    }

    /// As [`Table::insert`](crate::Table::insert).
    #[inline(always)]
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        len: usize,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), OutOfMemory> {
        debug_assert_eq!(len, self.cells.bytes());
        let mut entry = [0; Inline::MOST];
        let entry = &mut entry[..self.cells.bytes()];
        write(entry);
        self.index.insert(&mut self.heap, hash, entry, &ByBytes(rehash))
    }
}

/// An entry's hash by its bytes.
struct ByBytes<'r, F>(&'r F);

impl<F: Fn(&[u8]) -> u64> Rehash<Inline> for ByBytes<'_, F> {
    #[inline(always)]
    fn hash<'a>(&self, _: impl ReadSlots<'a>, entry: &[u8]) -> u64 {
        self.0(entry)
    }
}

#[inline(always)]
fn found(place: Place) -> Found {
    Found { place, handle: 0 }
}

impl Grown for InlineTable {
    fn memory(&mut self) -> &mut Memory {
        &mut self.heap.memory
    }

    fn history(&mut self) -> (&mut u64, &mut u64) {
        (&mut self.index.splits, &mut self.index.merges)
    }
}

impl Positions for InlineTable {
    #[inline(always)]
    fn locate(&self, hash: u64, mut is: impl FnMut(&[u8]) -> bool) -> Option<(Found, &[u8])> {
        let recognise = |entry| is(entry).then_some(entry);
        let (place, entry) = self.index.find(self.heap.slots(), hash, recognise)?;
        Some((found(place), entry))
    }

    #[inline]
    fn entry(&self, found: Found) -> &[u8] {
        self.index.content(self.heap.slots(), found.place)
    }

    #[inline]
    fn entry_mut(&mut self, found: Found) -> &mut [u8] {
        self.index.content_mut(&mut self.heap, found.place)
    }

    fn replace(
        &mut self,
        found: Found,
        _: usize,
        _: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Found, OutOfMemory> {
        write(self.entry_mut(found));
        Ok(found)
    }

    #[inline(always)]
    fn remove(&mut self, found: Found, rehash: &impl Fn(&[u8]) -> u64) {
        self.index.remove(&mut self.heap, found.place, &ByBytes(rehash));
    }

    fn any(&mut self) -> Option<Found> {
        self.index.any(self.heap.slots()).map(|(place, _)| found(place))
    }

    fn visit_positions(
        &self,
        position: u64,
        rehash: &impl Fn(&[u8]) -> u64,
        mut visit: impl FnMut(u64, Found),
    ) -> Option<u64> {
        let rehash = ByBytes(rehash);
        self.index.visit_part(self.heap.slots(), position, &rehash, |hash, place, _| visit(hash, found(place)))
    }
}

impl RawTable for InlineTable {
    #[inline]
    fn len(&self) -> usize {
        self.index.entries
    }

    fn held(&self) -> usize {
        self.heap.memory.held()
    }

    fn entry_bytes(&self) -> usize {
        self.cells.bytes() * self.len()
    }

    #[inline(always)]
    fn get_mut(&mut self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<&mut [u8]> {
        self.index.find_mut(&mut self.heap, hash, is)
    }

    #[inline(always)]
    fn prefetch_removal(&self, _: &impl Fn(&[u8]) -> u64) {} // a removal needs no line but the entry's own

    fn clear(&mut self) {
        self.index.clear(&mut self.heap);
        self.heap.clear();
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
        if !self.is_empty() {
            let likely = hashes.iter().filter_map(|&hash| self.index.likely(self.heap.slots(), hash));
            likely.for_each(|entry| prefetch_early(entry.as_ptr()));
        }
    }

    #[inline]
    fn next(&self, cursor: &mut Cursor) -> Option<&[u8]> {
        self.index.next(self.heap.slots(), cursor)
    }

    fn stats(&self) -> Stats {
        let stats = self.index.stats(&self.heap, self.index.table_bytes(), 0, self.own_block);
        Stats { entry_bytes: self.entry_bytes(), ..stats }
    }

    fn set_allowance(&mut self, allocations: u64) {
        self.heap.memory.set_allowance(allocations);
    }

    fn allowance(&self) -> u64 {
        self.heap.memory.allowance()
    }

    fn check(&self, rehash: &impl Fn(&[u8]) -> u64) {
        let mut addresses = std::collections::HashSet::new();
        self.heap.check(self.index.table_bytes() + self.own_block);
        self.index.check(self.heap.slots(), &ByBytes(rehash), |entry| {
            assert!(addresses.insert(entry.as_ptr()), "an entry is in one cell");
        });
        assert_eq!(addresses.len(), self.len());
        self.index.check_blocks(&self.heap);
    }
}
