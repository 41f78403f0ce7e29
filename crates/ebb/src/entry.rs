//! Entries of a table that were found, with a borrow of the table: as long as there is one, nobody else changes the table,
//! so that it stays good.

use crate::memory::OutOfMemory;
use crate::positions::{Found, Positions};

/// What has a table to itself: a reference to it, or to what it is part of. An entry that was found gives it back.
pub trait Host {
    /// The kind of table.
    type Table: Positions;

    /// The table: the same each time.
    fn table(&self) -> &Self::Table;

    /// The same table, to change.
    fn table_mut(&mut self) -> &mut Self::Table;
}

impl<T: Positions> Host for &mut T {
    type Table = T;

    #[inline(always)]
    fn table(&self) -> &T {
        self
    }

    #[inline(always)]
    fn table_mut(&mut self) -> &mut T {
        self
    }
}

/// An entry of a table, to read.
#[derive(Debug)]
pub struct EntryRef<'t, T> {
    table: &'t T,
    found: Found,
}

impl<T> Clone for EntryRef<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for EntryRef<'_, T> {}

impl<'t, T: Positions> EntryRef<'t, T> {
    #[inline(always)]
    pub(crate) fn at(table: &'t T, found: Found) -> Self {
        EntryRef { table, found }
    }

    #[inline(always)]
    pub(crate) fn find(table: &'t T, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<Self> {
        table.locate(hash, is).map(|(found, _)| EntryRef { table, found })
    }

    /// The table and the position, for what only some tables have.
    #[inline(always)]
    pub(crate) fn parts(self) -> (&'t T, Found) {
        (self.table, self.found)
    }

    /// The entry's bytes.
    #[inline(always)]
    pub fn bytes(self) -> &'t [u8] {
        self.table.entry(self.found)
    }
}

/// An entry of a table, to change, with what has the table to itself.
///
/// Nobody else changes the table meanwhile, so it can't be out of date. This does not compile:
///
/// ```compile_fail,E0499
/// use ebb::{EntrySize, RawTable, Table};
///
/// let rehash = |entry: &[u8]| u64::from(entry[0]);
/// let mut table = Table::new(EntrySize::Fixed(8));
/// table.insert(1, 8, &rehash, |entry| entry.fill(1)).unwrap();
/// let entry = table.find_entry(1, |_| true).unwrap();
/// table.clear();
/// entry.remove(&rehash);
/// ```
#[derive(Debug)]
pub struct OccupiedEntry<H> {
    host: H,
    found: Found,
}

impl<H: Host> OccupiedEntry<H> {
    /// What `search` finds; the host again if that is nothing.
    #[inline(always)]
    pub(crate) fn found_by(mut host: H, search: impl FnOnce(&mut H::Table) -> Option<Found>) -> Result<Self, H> {
        match search(host.table_mut()) {
            Some(found) => Ok(OccupiedEntry { host, found }),
            None => Err(host),
        }
    }

    /// The entry of this hash that `is` recognises; the host again if there is none. O(1); usually two cache misses.
    #[inline(always)]
    pub fn find(host: H, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Result<Self, H> {
        match host.table().locate(hash, is) {
            Some((found, _)) => Ok(OccupiedEntry { host, found }),
            None => Err(host),
        }
    }

    /// Some entry; the host again if there is none. O(1) on average.
    #[inline]
    pub fn any(host: H) -> Result<Self, H> {
        Self::found_by(host, H::Table::any)
    }

    /// What has the table.
    #[inline(always)]
    pub fn host(&self) -> &H {
        &self.host
    }

    /// What has the table: the entry is given up.
    #[inline(always)]
    pub fn into_host(self) -> H {
        self.host
    }

    /// The table, to change, and the position in it, for what only some tables have.
    #[inline(always)]
    pub(crate) fn parts_mut(&mut self) -> (&mut H::Table, Found) {
        (self.host.table_mut(), self.found)
    }

    /// The entry, to read.
    #[inline(always)]
    pub fn as_ref(&self) -> EntryRef<'_, H::Table> {
        EntryRef { table: self.host.table(), found: self.found }
    }

    /// The entry's bytes.
    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        self.host.table().entry(self.found)
    }

    /// The entry's bytes, to write; the part that its hash is made from must stay as it is.
    #[inline(always)]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.host.table_mut().entry_mut(self.found)
    }

    /// Give the entry new contents of `len` bytes, with the same hash. O(1), and the length. If memory can't be had,
    /// nothing has changed.
    #[inline(always)]
    pub fn replace(
        &mut self,
        len: usize,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), OutOfMemory> {
        self.found = self.host.table_mut().replace(self.found, len, rehash, write)?;
        Ok(())
    }

    /// Take the entry out; others may move.
    ///
    /// O(1): at most one segment is rebuilt and two merged. Never fails: where memory is too short to shrink, that is
    /// left for later.
    #[inline(always)]
    pub fn remove(mut self, rehash: &impl Fn(&[u8]) -> u64) -> H {
        self.host.table_mut().remove(self.found, rehash);
        self.host
    }
}
