//! The table that a map is over: few small entries are in a line, more of them in the index itself, and all others in
//! stacks.

use crate::inline::InlineTable;
use crate::memory::{Held, Memory, OutOfMemory};
use crate::positions::{Found, Positions};
use crate::raw::{EntrySize, Grown, RawTable};
use crate::small::SmallTable;
use crate::stacked::Stacked;
use crate::stats::Stats;
use crate::walk::Cursor;

/// A hash table without holes. See the crate's text.
#[derive(Debug)]
pub struct Table(Kind);

/// All begin small, and are small again when they are empty.
#[derive(Debug)]
enum Kind {
    Small(SmallTable),
    Inline(Held<InlineTable>),
    Stacked(Held<Stacked>),
}

/// `$work` with the table of any kind.
macro_rules! any {
    ($self:expr, $table:ident => $work:expr) => {
        match $self {
            Kind::Small($table) => $work,
            Kind::Inline($table) => $work,
            Kind::Stacked($table) => $work,
        }
    };
}

impl Table {
    /// An empty table; it holds no memory until the first insert.
    pub fn new(size: EntrySize) -> Self {
        Table(Kind::Small(SmallTable::new(size)))
    }

    /// Add an entry of `len` bytes, which `write` fills; it must not be in the table yet.
    ///
    /// O(1): at most one segment (some hundred entries) is rebuilt and one split. If memory can't be had, nothing has
    /// changed.
    #[inline(always)]
    pub fn insert(
        &mut self,
        hash: u64,
        len: usize,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), OutOfMemory> {
        if let Kind::Small(small) = &mut self.0
            && !small.has_room()
        {
            self.0 = grow(small, rehash)?;
        }
        let inserted = match &mut self.0 {
            Kind::Inline(table) => table.insert(hash, len, rehash, write),
            Kind::Stacked(table) => table.insert_slot(hash, len, rehash, write).map(drop),
            Kind::Small(small) => small.insert(hash, write),
        };
        if inserted.is_err() {
            self.shrink_if_empty();
        }
        inserted
    }

    /// Be small where there are no entries.
    #[inline(always)]
    fn shrink_if_empty(&mut self) {
        let is_empty = match &self.0 {
            Kind::Small(_) => false,
            Kind::Inline(table) => table.is_empty(),
            Kind::Stacked(table) => table.is_empty(),
        };
        if is_empty {
            self.shrink();
        }
    }

    /// Be small, without entries.
    #[cold]
    fn shrink(&mut self) {
        let size = match &self.0 {
            Kind::Small(small) => small.size,
            Kind::Inline(table) => EntrySize::Fixed(table.cells().bytes()),
            Kind::Stacked(table) => table.size(),
        };
        match std::mem::replace(&mut self.0, Kind::Small(SmallTable::new(size))) {
            Kind::Small(small) => self.0 = Kind::Small(small),
            Kind::Inline(table) => self.0 = Kind::Small(emptied(table, size)),
            Kind::Stacked(table) => self.0 = Kind::Small(emptied(table, size)),
        }
    }
}

/// What becomes of a table that has more entries than a small one may have, with those. If memory can't be had, nothing has
/// changed.
#[cold]
fn grow(small: &mut SmallTable, rehash: &impl Fn(&[u8]) -> u64) -> Result<Kind, OutOfMemory> {
    let Some(cells) = small.cells() else {
        let block = small.memory.allocate(size_of::<Stacked>())?;
        let table = Stacked::in_order(small.size, (), block.bytes());
        return Ok(Kind::Stacked(block.hold(with_past_of(small, table))));
    };
    let block = small.memory.allocate(size_of::<InlineTable>())?;
    let mut table = with_past_of(small, InlineTable::new(cells, block.bytes()));
    let poured = table.fill(small.len(), small.entries(), rehash);
    if let Err(error) = poured {
        table.clear();
        std::mem::swap(&mut small.memory, table.memory());
        small.memory.release(block);
        return Err(error);
    }
    std::mem::swap(&mut small.memory, table.memory());
    small.clear();
    std::mem::swap(&mut small.memory, table.memory());
    Ok(Kind::Inline(block.hold(table)))
}

/// A new table, with the memory and the counts of a small one.
fn with_past_of<T: Grown>(small: &mut SmallTable, mut table: T) -> T {
    std::mem::swap(&mut small.memory, table.memory());
    let (splits, merges) = table.history();
    (*splits, *merges) = (small.splits, small.merges);
    table
}

/// A small table without entries, with the memory and the counts of another.
fn emptied<T: Grown>(table: Held<T>, size: EntrySize) -> SmallTable {
    let (mut table, block) = table.into_parts();
    table.clear();
    let mut small = SmallTable::new(size);
    small.memory = std::mem::replace(table.memory(), Memory::new());
    let (splits, merges) = table.history();
    (small.splits, small.merges) = (*splits, *merges);
    small.memory.release(block);
    small
}

impl Drop for Table {
    fn drop(&mut self) {
        self.shrink(); // the memory of a table counts the block that it is in
    }
}

impl Positions for Table {
    #[inline(always)]
    fn locate(&self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<(Found, &[u8])> {
        any!(&self.0, table => table.locate(hash, is))
    }

    #[inline(always)]
    fn entry(&self, found: Found) -> &[u8] {
        any!(&self.0, table => table.entry(found))
    }

    #[inline(always)]
    fn entry_mut(&mut self, found: Found) -> &mut [u8] {
        any!(&mut self.0, table => table.entry_mut(found))
    }

    fn replace(
        &mut self,
        found: Found,
        len: usize,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Found, OutOfMemory> {
        any!(&mut self.0, table => table.replace(found, len, rehash, write))
    }

    #[inline(always)]
    fn remove(&mut self, found: Found, rehash: &impl Fn(&[u8]) -> u64) {
        any!(&mut self.0, table => table.remove(found, rehash));
        self.shrink_if_empty();
    }

    fn any(&mut self) -> Option<Found> {
        any!(&mut self.0, table => table.any())
    }

    fn visit_positions(
        &self,
        position: u64,
        rehash: &impl Fn(&[u8]) -> u64,
        visit: impl FnMut(u64, Found),
    ) -> Option<u64> {
        any!(&self.0, table => table.visit_positions(position, rehash, visit))
    }
}

impl RawTable for Table {
    #[inline(always)]
    fn len(&self) -> usize {
        any!(&self.0, table => table.len())
    }

    fn held(&self) -> usize {
        any!(&self.0, table => table.held())
    }

    fn entry_bytes(&self) -> usize {
        any!(&self.0, table => table.entry_bytes())
    }

    #[inline(always)]
    fn get_mut(&mut self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<&mut [u8]> {
        any!(&mut self.0, table => table.get_mut(hash, is))
    }

    #[inline(always)]
    fn prefetch_removal(&self, rehash: &impl Fn(&[u8]) -> u64) {
        any!(&self.0, table => table.prefetch_removal(rehash))
    }

    fn clear(&mut self) {
        match &mut self.0 {
            Kind::Small(small) => small.clear(),
            Kind::Inline(_) | Kind::Stacked(_) => self.shrink(),
        }
    }

    #[inline(always)]
    fn prefetch_line(&self, hash: u64) {
        any!(&self.0, table => table.prefetch_line(hash))
    }

    #[inline(always)]
    fn prefetch_lines(&self, hashes: &[u64]) {
        any!(&self.0, table => table.prefetch_lines(hashes))
    }

    #[inline(always)]
    fn prefetch_entries(&self, hashes: &[u64]) {
        any!(&self.0, table => table.prefetch_entries(hashes))
    }

    #[inline(always)]
    fn next(&self, cursor: &mut Cursor) -> Option<&[u8]> {
        any!(&self.0, table => table.next(cursor))
    }

    fn stats(&self) -> Stats {
        let stats = any!(&self.0, table => table.stats());
        let own = size_of::<Self>() - if let Kind::Small(small) = &self.0 { size_of_val(small) } else { 0 };
        Stats { held_bytes: stats.held_bytes + own, directory_bytes: stats.directory_bytes + own, ..stats }
    }

    fn set_allowance(&mut self, allocations: u64) {
        any!(&mut self.0, table => table.set_allowance(allocations))
    }

    fn allowance(&self) -> u64 {
        any!(&self.0, table => table.allowance())
    }

    fn check(&self, rehash: &impl Fn(&[u8]) -> u64) {
        any!(&self.0, table => table.check(rehash))
    }
}
