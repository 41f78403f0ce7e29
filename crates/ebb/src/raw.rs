//! What every table does, and what is said of it.

use crate::entry::{EntryRef, OccupiedEntry};
use crate::memory::Memory;
use crate::positions::Positions;
use crate::stats::Stats;
use crate::walk::Cursor;

/// How long entries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntrySize {
    /// All of so many bytes (more than 0).
    Fixed(usize),
    /// Each of its own length, 1 byte to 4 GiB.
    Variable,
}

/// A table with memory and segments, which began as a small one.
pub(crate) trait Grown: RawTable {
    /// All its memory.
    fn memory(&mut self) -> &mut Memory;
    /// How many segments were split and merged so far.
    fn history(&mut self) -> (&mut u64, &mut u64);
}

/// What every table does. It knows bytes and hashes, not keys: what an entry's hash is and whether it is the one that is
/// looked for, the caller's functions say (`rehash`, `is`). They must not panic on entries that the caller wrote.
pub trait RawTable: Positions + Sized + Send {
    /// Entries.
    fn len(&self) -> usize;

    /// Whether there are none.
    #[inline]
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held from the operating system and the allocator.
    fn held(&self) -> usize;

    /// Bytes held now, this struct's own included.
    fn bytes(&self) -> usize {
        self.held() + size_of::<Self>()
    }

    /// Bytes of all entries: O(1).
    fn entry_bytes(&self) -> usize;

    /// The entry of this hash that `is` recognises. O(1); usually two cache misses.
    #[inline(always)]
    fn find(&self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<EntryRef<'_, Self>> {
        EntryRef::find(self, hash, is)
    }

    /// As [`find`](Self::find), to change it.
    #[inline(always)]
    fn find_entry(&mut self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<OccupiedEntry<&mut Self>> {
        OccupiedEntry::find(self, hash, is).ok()
    }

    /// Some entry, or `None` if there is none. O(1) on average.
    #[inline]
    fn any_entry(&mut self) -> Option<OccupiedEntry<&mut Self>> {
        OccupiedEntry::any(self).ok()
    }

    /// The bytes of the entry of this hash that `is` recognises: in fewer steps than [`find`](Self::find).
    #[inline(always)]
    fn get(&self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<&[u8]> {
        self.locate(hash, is).map(|(_, entry)| entry)
    }

    /// As [`get`](Self::get), to write; the part that the entry's hash is made from must stay as it is.
    fn get_mut(&mut self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<&mut [u8]>;

    /// Have the cache line on its way that the next removal will need beside the removed entry's own: where entries are
    /// in stacks, that of the one which will move into its place. Worth calling before the search for the entry.
    fn prefetch_removal(&self, rehash: &impl Fn(&[u8]) -> u64);

    /// Remove everything and give all memory back. O(pages).
    fn clear(&mut self);

    /// Have the line of the index on its way that a lookup of `hash`, which comes in a moment, reads first.
    fn prefetch_line(&self, hash: u64);

    /// Have the index's lines on their way that lookups of `hashes` read first, all of them later.
    fn prefetch_lines(&self, hashes: &[u64]);

    /// Have the entries on their way that lookups of `hashes` will most likely read: best once their lines are there.
    fn prefetch_entries(&self, hashes: &[u64]);

    /// The next entry of a walk in no particular order. O(1) on average.
    fn next(&self, cursor: &mut Cursor) -> Option<&[u8]>;

    /// What the table holds and has done. O(sizes of entries there are).
    fn stats(&self) -> Stats;

    /// Call `visit` with every entry of a part of the table, after its hash, and give the position of the next part; `None`
    /// after the last. A walk begins at 0. It stays good whatever happens to the table meanwhile: what is there all along
    /// is visited exactly once. O(a segment).
    fn visit_part(
        &self,
        position: u64,
        rehash: &impl Fn(&[u8]) -> u64,
        mut visit: impl FnMut(u64, EntryRef<'_, Self>),
    ) -> Option<u64> {
        self.visit_positions(position, rehash, |hash, found| visit(hash, EntryRef::at(self, found)))
    }

    /// Let only `allocations` more succeed, for tests of what happens then; `u64::MAX` lifts the limit.
    fn set_allowance(&mut self, allocations: u64);

    /// What is left of [`set_allowance`](Self::set_allowance).
    fn allowance(&self) -> u64;

    /// Walk every invariant of the table, and panic where one is broken: every handle resolves, every entry is indexed
    /// once and where its hash says, stacks are dense, counts and bytes add up to what the system was asked for. O(n).
    fn check(&self, rehash: &impl Fn(&[u8]) -> u64);
}
