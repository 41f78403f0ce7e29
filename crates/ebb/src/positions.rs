//! Where entries are. A position is good until the next change of its table, which is why only
//! [`entry`](crate::entry) keeps one, together with a borrow of the table.

use crate::heap::Handle;
use crate::index::Place;
use crate::memory::OutOfMemory;

/// Where an entry was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub(crate) place: Place,
    /// Where the entry is, if not in the index itself.
    pub(crate) handle: Handle,
}

/// What a table does with positions. One that is out of date leads to another entry, or to a panic.
pub trait Positions {
    /// The entry of this hash that `is` recognises: where it is, and its bytes.
    fn locate(&self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<(Found, &[u8])>;

    /// The bytes of an entry.
    fn entry(&self, found: Found) -> &[u8];

    /// The bytes of an entry, to write; the part that its hash is made from must stay as it is.
    fn entry_mut(&mut self, found: Found) -> &mut [u8];

    /// Give an entry new contents of `len` bytes, with the same hash; where it is then. If memory can't be had, nothing
    /// has changed.
    fn replace(
        &mut self,
        found: Found,
        len: usize,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Found, OutOfMemory>;

    /// Take an entry out; others may move.
    fn remove(&mut self, found: Found, rehash: &impl Fn(&[u8]) -> u64);

    /// Some entry, or `None` if there is none.
    fn any(&mut self) -> Option<Found>;

    /// See [`RawTable::visit_part`](crate::raw::RawTable::visit_part).
    fn visit_positions(
        &self,
        position: u64,
        rehash: &impl Fn(&[u8]) -> u64,
        visit: impl FnMut(u64, Found),
    ) -> Option<u64>;
}
