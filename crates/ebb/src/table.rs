//! The table that a map is over: small entries of one size are in the index itself, all others in stacks.

use crate::inline::InlineTable;
use crate::lines::Inline;
use crate::memory::OutOfMemory;
use crate::positions::{Found, Positions};
use crate::raw::{EntrySize, RawTable};
use crate::stacked::Stacked;
use crate::stats::Stats;
use crate::walk::Cursor;

/// A hash table without holes. See the crate's text.
#[derive(Debug)]
pub struct Table(Kind);

#[derive(Debug)]
enum Kind {
    Inline(InlineTable),
    Stacked(Stacked),
}

/// `$work` with the table of either kind.
macro_rules! either {
    ($self:expr, $table:ident => $work:expr) => {
        match $self {
            Kind::Inline($table) => $work,
            Kind::Stacked($table) => $work,
        }
    };
}

impl Table {
    /// An empty table; it holds no memory until the first insert.
    pub fn new(size: EntrySize) -> Self {
        let cells = if let EntrySize::Fixed(bytes) = size { Inline::of(bytes) } else { None };
        Table(match cells {
            Some(cells) => Kind::Inline(InlineTable::new(cells)),
            None => Kind::Stacked(Stacked::in_order(size, ())),
        })
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
        match &mut self.0 {
            Kind::Inline(table) => table.insert(hash, len, rehash, write),
            Kind::Stacked(table) => table.insert_slot(hash, len, rehash, write).map(drop),
        }
    }
}

impl Positions for Table {
    #[inline(always)]
    fn locate(&self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<(Found, &[u8])> {
        either!(&self.0, table => table.locate(hash, is))
    }

    #[inline(always)]
    fn entry(&self, found: Found) -> &[u8] {
        either!(&self.0, table => table.entry(found))
    }

    #[inline(always)]
    fn entry_mut(&mut self, found: Found) -> &mut [u8] {
        either!(&mut self.0, table => table.entry_mut(found))
    }

    fn replace(
        &mut self,
        found: Found,
        len: usize,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Found, OutOfMemory> {
        either!(&mut self.0, table => table.replace(found, len, rehash, write))
    }

    #[inline(always)]
    fn remove(&mut self, found: Found, rehash: &impl Fn(&[u8]) -> u64) {
        either!(&mut self.0, table => table.remove(found, rehash))
    }

    fn any(&mut self) -> Option<Found> {
        either!(&mut self.0, table => table.any())
    }

    fn visit_positions(
        &self,
        position: u64,
        rehash: &impl Fn(&[u8]) -> u64,
        visit: impl FnMut(u64, Found),
    ) -> Option<u64> {
        either!(&self.0, table => table.visit_positions(position, rehash, visit))
    }
}

impl RawTable for Table {
    #[inline(always)]
    fn len(&self) -> usize {
        either!(&self.0, table => table.len())
    }

    fn held(&self) -> usize {
        either!(&self.0, table => table.held())
    }

    fn entry_bytes(&self) -> usize {
        either!(&self.0, table => table.entry_bytes())
    }

    #[inline(always)]
    fn get_mut(&mut self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<&mut [u8]> {
        either!(&mut self.0, table => table.get_mut(hash, is))
    }

    #[inline(always)]
    fn prefetch_removal(&self, rehash: &impl Fn(&[u8]) -> u64) {
        either!(&self.0, table => table.prefetch_removal(rehash))
    }

    fn clear(&mut self) {
        either!(&mut self.0, table => table.clear())
    }

    #[inline(always)]
    fn prefetch_line(&self, hash: u64) {
        either!(&self.0, table => table.prefetch_line(hash))
    }

    #[inline(always)]
    fn prefetch_lines(&self, hashes: &[u64]) {
        either!(&self.0, table => table.prefetch_lines(hashes))
    }

    #[inline(always)]
    fn prefetch_entries(&self, hashes: &[u64]) {
        either!(&self.0, table => table.prefetch_entries(hashes))
    }

    #[inline(always)]
    fn next(&self, cursor: &mut Cursor) -> Option<&[u8]> {
        either!(&self.0, table => table.next(cursor))
    }

    fn stats(&self) -> Stats {
        let stats = either!(&self.0, table => table.stats());
        let own = size_of::<Self>() - either!(&self.0, table => size_of_val(table));
        Stats { held_bytes: stats.held_bytes + own, directory_bytes: stats.directory_bytes + own, ..stats }
    }

    fn set_allowance(&mut self, allocations: u64) {
        either!(&mut self.0, table => table.set_allowance(allocations))
    }

    fn allowance(&self) -> u64 {
        either!(&self.0, table => table.allowance())
    }

    fn check(&self, rehash: &impl Fn(&[u8]) -> u64) {
        either!(&self.0, table => table.check(rehash))
    }
}
