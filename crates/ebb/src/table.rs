//! The table that a map is over: small entries of one size are in the index itself, all others in stacks.

use crate::heap::Handle;
use crate::index::Place;
use crate::inline::InlineTable;
use crate::lines::Inline;
use crate::memory::OutOfMemory;
use crate::stacked::Stacked;

/// How long entries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntrySize {
    /// All of so many bytes (more than 0).
    Fixed(usize),
    /// Each of its own length, 1 byte to 4 GiB.
    Variable,
}

/// Where an entry was found: good until the next change of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub(crate) place: Place,
    /// Where the entry is, if not in the index itself.
    pub(crate) handle: Handle,
}

/// Where a walk over all entries is. It stays good while entries are replaced, not when any is inserted or removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) segment: u32,
    pub(crate) line: u32,
    pub(crate) slot: u32,
}

/// What a table holds, in bytes, and what it has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries.
    pub entries: usize,
    /// Bytes of all entries.
    pub entry_bytes: usize,
    /// Bytes held from the operating system and the allocator: the sum of the four below.
    pub held_bytes: usize,
    /// Bytes of the pages with entries, and with the tags of those that are in the index itself.
    pub page_bytes: usize,
    /// Bytes of the pages with the index's lines, where those lead to entries elsewhere, and of the segment array.
    pub index_bytes: usize,
    /// Bytes of emptied pages kept for the next growth.
    pub spare_bytes: usize,
    /// Bytes of the tables of pages, stacks and sizes.
    pub directory_bytes: usize,
    /// Segments of the index.
    pub segments: usize,
    /// Segments split so far.
    pub splits: u64,
    /// Segments merged so far.
    pub merges: u64,
    /// Blocks of memory got so far.
    pub blocks_got: u64,
    /// Blocks of memory given back so far.
    pub blocks_returned: u64,
}

/// What every table does. It knows bytes and hashes, not keys: what an entry's hash is and whether it is the one that is
/// looked for, the caller's functions say (`rehash`, `is`). They must not panic on entries that the caller wrote.
pub trait RawTable: Sized + Send {
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

    /// The entry of this hash that `is` recognises: where it is, and its bytes.
    fn locate(&self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<(Found, &[u8])>;

    /// The entry of this hash that `is` recognises. O(1); usually two cache misses.
    #[inline(always)]
    fn find(&self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<Found> {
        self.locate(hash, is).map(|(found, _)| found)
    }

    /// The bytes of the entry of this hash that `is` recognises: in fewer steps than [`find`](Self::find) and
    /// [`entry`](Self::entry).
    #[inline(always)]
    fn get(&self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<&[u8]> {
        self.locate(hash, is).map(|(_, entry)| entry)
    }

    /// As [`get`](Self::get), to write; the part that the entry's hash is made from must stay as it is.
    fn get_mut(&mut self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<&mut [u8]>;

    /// The bytes of an entry.
    fn entry(&self, found: Found) -> &[u8];

    /// The bytes of an entry, to write; the part that its hash is made from must stay as it is.
    fn entry_mut(&mut self, found: Found) -> &mut [u8];

    /// Give an entry new contents of `len` bytes, with the same hash; where it is then.
    ///
    /// O(1), and the length. If memory can't be had, nothing has changed.
    fn replace(
        &mut self,
        found: Found,
        len: usize,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Found, OutOfMemory>;

    /// Take an entry out; others may move.
    ///
    /// O(1): at most one segment is rebuilt and two merged. Never fails: where memory is too short to shrink, that is
    /// left for later.
    fn remove(&mut self, found: Found, rehash: &impl Fn(&[u8]) -> u64);

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

    /// Some entry, or `None` if there is none. O(1) on average.
    fn any(&mut self) -> Option<Found>;

    /// What the table holds and has done. O(sizes of entries there are).
    fn stats(&self) -> Stats;

    /// Call `visit` with every entry of a part of the table, after its hash, and give the position of the next part; `None` after the last.
    /// A walk begins at 0. It stays good whatever happens to the table meanwhile: what is there all along is visited
    /// exactly once. O(a segment).
    fn visit_part(&self, position: u64, rehash: &impl Fn(&[u8]) -> u64, visit: impl FnMut(u64, Found)) -> Option<u64>;

    /// Let only `allocations` more succeed, for tests of what happens then; `u64::MAX` lifts the limit.
    fn set_allowance(&mut self, allocations: u64);

    /// What is left of [`set_allowance`](Self::set_allowance).
    fn allowance(&self) -> u64;

    /// Walk every invariant of the table, and panic where one is broken: every handle resolves, every entry is indexed
    /// once and where its hash says, stacks are dense, counts and bytes add up to what the system was asked for. O(n).
    fn check(&self, rehash: &impl Fn(&[u8]) -> u64);
}

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
    fn locate(&self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<(Found, &[u8])> {
        either!(&self.0, table => table.locate(hash, is))
    }

    #[inline(always)]
    fn get_mut(&mut self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<&mut [u8]> {
        either!(&mut self.0, table => table.get_mut(hash, is))
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

    fn any(&mut self) -> Option<Found> {
        either!(&mut self.0, table => table.any())
    }

    fn stats(&self) -> Stats {
        let stats = either!(&self.0, table => table.stats());
        let own = size_of::<Self>() - either!(&self.0, table => size_of_val(table));
        Stats { held_bytes: stats.held_bytes + own, directory_bytes: stats.directory_bytes + own, ..stats }
    }

    fn visit_part(&self, position: u64, rehash: &impl Fn(&[u8]) -> u64, visit: impl FnMut(u64, Found)) -> Option<u64> {
        either!(&self.0, table => table.visit_part(position, rehash, visit))
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
