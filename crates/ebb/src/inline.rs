//! A table of small entries of one size, which are in the index itself: finding one takes a look at its line's tags,
//! which are together and few, and at the entry; adding or removing one moves no other but within its segment.
#![allow(unsafe_code)] // entries where the index says they are

use crate::fill::Fill;
use crate::heap::Heap;
use crate::index::{Index, Place};
use crate::lines::Inline;
use crate::memory::OutOfMemory;
use crate::table::{Cursor, Found, RawTable, Stats};
use crate::tags::prefetch_early;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct InlineTable {
    heap: Heap,
    index: Index<Inline>,
    cells: Inline,
}

impl Drop for InlineTable {
    fn drop(&mut self) {
        self.clear(); // the heap's memory has blocks of the index
    }
}

impl InlineTable {
    pub(crate) fn new(cells: Inline) -> Self {
        InlineTable { heap: Heap::new(), index: Index::new(cells, Fill::inline(cells)), cells }
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
        let mut entry = [0u64; Inline::MOST / 8];
        let rehash = by_address(self.cells, rehash);
        // SAFETY: the bytes of `entry`, which are as many as an entry may have, and used nowhere else meanwhile.
        let bytes = unsafe { std::slice::from_raw_parts_mut(entry.as_mut_ptr().cast::<u8>(), self.cells.bytes()) };
        write(bytes);
        self.index.insert(&mut self.heap, hash, bytes.as_ptr(), &rehash)
    }

    /// The entry at an address that the index gave, with no change of the table since.
    #[inline(always)]
    fn entry_at(&self, address: *const u8) -> &[u8] {
        // SAFETY: a cell in use has so many bytes; `&self` keeps writers out.
        unsafe { std::slice::from_raw_parts(address, self.cells.bytes()) }
    }

    /// As [`entry_at`](Self::entry_at), to write.
    #[inline(always)]
    fn entry_at_mut(&mut self, address: *const u8) -> &mut [u8] {
        // SAFETY: as in `entry_at`, and `&mut self` makes it the only reference.
        unsafe { std::slice::from_raw_parts_mut(address.cast_mut(), self.cells.bytes()) }
    }
}

/// An entry's hash by its address.
#[inline(always)]
fn by_address(cells: Inline, rehash: &impl Fn(&[u8]) -> u64) -> impl Fn(&Heap, *const u8) -> u64 {
    // SAFETY: as in `InlineTable::entry_at`; the index writes to no cell while it asks.
    move |_, address| rehash(unsafe { std::slice::from_raw_parts(address, cells.bytes()) })
}

#[inline(always)]
fn found(place: Place) -> Found {
    Found { place, handle: 0 }
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
    fn locate(&self, hash: u64, mut is: impl FnMut(&[u8]) -> bool) -> Option<(Found, &[u8])> {
        let recognise = |address| Some(self.entry_at(address)).filter(|entry| is(entry));
        let (place, entry) = self.index.find(&self.heap, hash, recognise)?;
        Some((found(place), entry))
    }

    #[inline(always)]
    fn get_mut(&mut self, hash: u64, mut is: impl FnMut(&[u8]) -> bool) -> Option<&mut [u8]> {
        // The address is the index's: one made from the entry might not be written to.
        let recognise = |address| is(self.entry_at(address)).then_some(address);
        let (_, address) = self.index.find(&self.heap, hash, recognise)?;
        Some(self.entry_at_mut(address))
    }

    #[inline]
    fn entry(&self, found: Found) -> &[u8] {
        self.entry_at(self.index.content(&self.heap, found.place))
    }

    #[inline]
    fn entry_mut(&mut self, found: Found) -> &mut [u8] {
        self.entry_at_mut(self.index.content(&self.heap, found.place))
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
        let rehash = by_address(self.cells, rehash);
        self.index.remove(&mut self.heap, found.place, &rehash);
    }

    #[inline(always)]
    fn prefetch_removal(&self, _: &impl Fn(&[u8]) -> u64) {} // a removal needs no line but the entry's own

    fn clear(&mut self) {
        self.index.clear(&mut self.heap);
        self.heap.clear();
    }

    #[inline]
    fn prefetch_line(&self, hash: u64) {
        self.index.prefetch_line(hash);
    }

    #[inline]
    fn prefetch_lines(&self, hashes: &[u64]) {
        self.index.prefetch_lines(hashes);
    }

    #[inline]
    fn prefetch_entries(&self, hashes: &[u64]) {
        if !self.is_empty() {
            hashes.iter().filter_map(|&hash| self.index.likely(hash)).for_each(prefetch_early);
        }
    }

    #[inline]
    fn next(&self, cursor: &mut Cursor) -> Option<&[u8]> {
        self.index.next(&self.heap, cursor).map(|address| self.entry_at(address))
    }

    fn any(&mut self) -> Option<Found> {
        self.index.any(&self.heap).map(|(place, _)| found(place))
    }

    fn stats(&self) -> Stats {
        let stats = self.index.stats(&self.heap, self.index.table_bytes(), size_of::<Self>(), 0);
        Stats { entry_bytes: self.entry_bytes(), ..stats }
    }

    fn visit_part(
        &self,
        position: u64,
        rehash: &impl Fn(&[u8]) -> u64,
        mut visit: impl FnMut(u64, Found),
    ) -> Option<u64> {
        let rehash = by_address(self.cells, rehash);
        self.index.visit_part(&self.heap, position, &rehash, |hash, place, _| visit(hash, found(place)))
    }

    fn set_allowance(&mut self, allocations: u64) {
        self.heap.memory.set_allowance(allocations);
    }

    fn allowance(&self) -> u64 {
        self.heap.memory.allowance()
    }

    fn check(&self, rehash: &impl Fn(&[u8]) -> u64) {
        let mut addresses = std::collections::HashSet::new();
        self.heap.check(self.index.table_bytes());
        self.index.check(&self.heap, &by_address(self.cells, rehash), |address| {
            assert!(addresses.insert(address), "an entry is in one cell");
        });
        assert_eq!(addresses.len(), self.len());
        self.index.check_blocks(&self.heap);
    }
}
