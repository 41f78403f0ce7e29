//! The hashes of the entries whose keys have one mark.

use crate::kinds::layout::word;
use crate::python::reserve::has_room_for;
use ebb::{EntrySize, OutOfMemory, RawTable, Table};

/// Hashes that are looked through one by one; more have an index.
const FEW: usize = 64;

/// Hashes that are looked at for each that comes.
const LOOKS: usize = 3;

/// The hashes of the entries of one mark: of all that are in the cache, and of as many again that have left it.
#[derive(Default)]
pub(super) struct Hashes {
    pub(super) all: Vec<u64>,
    /// The same, to be found: of an entry without a pause, however many there are. In a box, as it is large, and few marks
    /// have one.
    index: Option<Box<Table>>,
    /// The next to be looked at, whether it is still in the cache.
    hand: usize,
}

/// Bytes of an entry of the index: the hash.
const HASH: usize = 8;

fn has_hash(index: &Table, hash: u64) -> bool {
    index.get(hash, |entry| word(entry) == hash).is_some()
}

fn index_hash(index: &mut Table, hash: u64) -> Result<(), OutOfMemory> {
    index.insert(hash, HASH, &|entry| word(entry), |entry| entry.copy_from_slice(&hash.to_ne_bytes()))
}

impl Hashes {
    fn has(&self, hash: u64) -> bool {
        self.index.as_ref().map_or_else(|| self.all.contains(&hash), |index| has_hash(index, hash))
    }

    /// Add a hash, and let go of some that have left: enough are looked at for each that comes that there are never twice
    /// as many as were in the cache at once. O(1).
    pub(super) fn add(&mut self, hash: u64, is_there: impl Fn(u64) -> bool) -> Result<(), OutOfMemory> {
        for _ in 0..LOOKS {
            self.look_at_one(&is_there);
        }
        if self.has(hash) {
            return Ok(());
        }
        self.all.try_reserve(1).map_err(|_| OutOfMemory)?;
        if self.all.len() == FEW && self.index.is_none() {
            self.index = Some(self.new_index()?);
        }
        self.index.as_mut().map_or(Ok(()), |index| index_hash(index, hash))?;
        self.all.push(hash);
        Ok(())
    }

    fn new_index(&self) -> Result<Box<Table>, OutOfMemory> {
        if !has_room_for::<Table>() {
            return Err(OutOfMemory);
        }
        let mut index = Box::new(Table::new(EntrySize::Fixed(HASH)));
        self.all.iter().try_for_each(|&hash| index_hash(&mut index, hash))?;
        Ok(index)
    }

    fn look_at_one(&mut self, is_there: impl Fn(u64) -> bool) {
        if self.hand >= self.all.len() {
            self.hand = 0;
        }
        match self.all.get(self.hand) {
            Some(&hash) if !is_there(hash) => self.forget_at_hand(hash),
            _ => self.hand += 1,
        }
    }

    fn forget_at_hand(&mut self, hash: u64) {
        self.all.swap_remove(self.hand);
        if let Some(index) = &mut self.index
            && let Some(found) = index.find_entry(hash, |entry| word(entry) == hash)
        {
            found.remove(&|entry| word(entry));
        }
    }
}
