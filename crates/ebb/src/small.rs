//! A table of few entries: one line of the index that holds them, or nothing at all. It has no tables of pages and
//! segments, which take more than so few entries.

use crate::chunks::ChunkArray;
use crate::head::SLOTS;
use crate::index::Place;
use crate::lines::{Cells, Inline, Lines, LinesMut};
use crate::memory::{Memory, OutOfMemory};
use crate::positions::{Found, Positions};
use crate::raw::{EntrySize, RawTable};
use crate::segment::{Spot, x_of};
use crate::stats::Stats;
use crate::walk::Cursor;

/// See the module's text. Invariant: there is a block if and only if there are entries; its line has them all.
#[derive(Debug)]
pub(crate) struct SmallTable {
    pub(crate) memory: Memory,
    pub(crate) size: EntrySize,
    block: ChunkArray<u8>,
    /// Segments split and merged so far.
    pub(crate) splits: u64,
    pub(crate) merges: u64,
}

fn found(slot: usize) -> Found {
    Found { place: Place { segment: 0, spot: Spot { line: 0, slot: slot as u32 } }, handle: 0 }
}

fn slot_of(found: Found) -> usize {
    found.place.spot.slot as usize
}

fn tag_of(hash: u64) -> u8 {
    x_of(hash) as u8
}

impl SmallTable {
    pub(crate) fn new(size: EntrySize) -> Self {
        SmallTable { memory: Memory::new(), size, block: ChunkArray::new(), splits: 0, merges: 0 }
    }

    /// Cells for the entries; `None` where they are of sizes that are kept in stacks: then there never are any here.
    #[inline]
    pub(crate) fn cells(&self) -> Option<Inline> {
        if let EntrySize::Fixed(bytes) = self.size { Inline::of(bytes) } else { None }
    }

    /// The line, where there is one.
    #[inline]
    fn lines(&self) -> Option<Lines<'_, Inline>> {
        let cells = self.cells()?;
        (!self.block.as_slice().is_empty()).then(|| Lines::new(self.block.as_slice(), 1, cells))
    }

    /// The line, to write. Panics where there is none.
    #[inline]
    fn lines_mut(&mut self) -> LinesMut<'_, Inline> {
        let cells = self.cells().expect("a table with a line");
        LinesMut::new(self.block.as_mut_slice(), 1, cells)
    }

    /// Whether there is room for another entry.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.cells().is_some() && self.len() < SLOTS
    }

    /// Add an entry, where there is room for it.
    pub(crate) fn insert(&mut self, hash: u64, write: impl FnOnce(&mut [u8])) -> Result<(), OutOfMemory> {
        let cells = self.cells().ok_or(OutOfMemory)?;
        if self.is_empty() {
            self.block.reserve(&mut self.memory, cells.line_bytes())?;
            self.lines_mut().clear();
        }
        let mut entry = [0; Inline::MOST];
        let entry = &mut entry[..cells.bytes()];
        write(entry);
        if self.lines_mut().push(0, tag_of(hash), 0, entry) { Ok(()) } else { Err(OutOfMemory) }
    }

    /// All entries.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.lines().into_iter().flat_map(|lines| (0..lines.head(0).count()).map(move |slot| lines.content(0, slot)))
    }
}

impl Drop for SmallTable {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Positions for SmallTable {
    #[inline]
    fn locate(&self, hash: u64, mut is: impl FnMut(&[u8]) -> bool) -> Option<(Found, &[u8])> {
        let recognise = &mut |entry| is(entry).then_some(entry);
        let (slot, entry) = self.lines()?.find_in(0, tag_of(hash), recognise)?;
        Some((found(slot), entry))
    }

    fn entry(&self, found: Found) -> &[u8] {
        self.lines().expect("a table with an entry").content(0, slot_of(found))
    }

    fn entry_mut(&mut self, found: Found) -> &mut [u8] {
        self.lines_mut().into_cell(0, slot_of(found))
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

    fn remove(&mut self, found: Found, _: &impl Fn(&[u8]) -> u64) {
        self.lines_mut().swap_remove(0, slot_of(found));
        if self.is_empty() {
            self.clear();
        }
    }

    fn any(&mut self) -> Option<Found> {
        self.len().checked_sub(1).map(found)
    }

    fn visit_positions(
        &self,
        position: u64,
        rehash: &impl Fn(&[u8]) -> u64,
        mut visit: impl FnMut(u64, Found),
    ) -> Option<u64> {
        for (slot, entry) in self.entries().enumerate() {
            let hash = rehash(entry);
            if hash.reverse_bits() >= position {
                visit(hash, found(slot));
            }
        }
        None
    }
}

impl RawTable for SmallTable {
    #[inline]
    fn len(&self) -> usize {
        self.lines().map_or(0, |lines| lines.head(0).count())
    }

    fn held(&self) -> usize {
        self.memory.held()
    }

    fn entry_bytes(&self) -> usize {
        self.cells().map_or(0, |cells| cells.bytes() * self.len())
    }

    #[inline]
    fn get_mut(&mut self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<&mut [u8]> {
        let (found, _) = self.locate(hash, is)?;
        Some(self.entry_mut(found))
    }

    fn prefetch_removal(&self, _: &impl Fn(&[u8]) -> u64) {}

    fn clear(&mut self) {
        self.block.clear(&mut self.memory);
    }

    fn prefetch_line(&self, _: u64) {}

    fn prefetch_lines(&self, _: &[u64]) {}

    fn prefetch_entries(&self, _: &[u64]) {}

    fn next(&self, cursor: &mut Cursor) -> Option<&[u8]> {
        let entry = self.entries().nth(cursor.slot as usize)?;
        cursor.slot += 1;
        Some(entry)
    }

    fn stats(&self) -> Stats {
        let (blocks_got, blocks_returned) = self.memory.traffic();
        Stats {
            entries: self.len(),
            entry_bytes: self.entry_bytes(),
            held_bytes: self.memory.held() + size_of::<Self>(),
            page_bytes: self.memory.held(),
            index_bytes: 0,
            directory_bytes: size_of::<Self>(),
            segments: 1,
            splits: self.splits,
            merges: self.merges,
            blocks_got,
            blocks_returned,
        }
    }

    fn set_allowance(&mut self, allocations: u64) {
        self.memory.set_allowance(allocations);
    }

    fn allowance(&self) -> u64 {
        self.memory.allowance()
    }

    fn check(&self, rehash: &impl Fn(&[u8]) -> u64) {
        assert_eq!(self.block.bytes(), self.memory.held());
        assert_eq!(self.is_empty(), self.block.bytes() == 0, "an empty table has no block");
        for (slot, entry) in self.entries().enumerate() {
            let head = self.lines().expect("a line").head(0);
            assert_eq!((head.tag(slot), head.displacement(slot)), (tag_of(rehash(entry)), 0));
        }
    }
}
