//! One model for the property tests, the fault tests and the fuzzer: a table, the `BTreeMap` it must equal, and the
//! operations on both.
#![allow(dead_code, unreachable_pub)] // each test uses its part

pub mod cache;
pub mod case;

use ebb::{Cursor, EntryRef, EntrySize, OccupiedEntry, OutOfMemory, RawTable, Table};
use std::collections::BTreeMap;
use std::hash::BuildHasher;

#[derive(Debug, Clone)]
pub enum Op {
    /// Insert or replace, with so many bytes of value (fixed entries: 16).
    Set(u64, usize),
    Remove(u64),
    Get(u64),
    /// Set so many keys from one on.
    Fill(u64, u64),
    /// Remove so many keys from one on.
    Drain(u64, u64),
    PopAny,
    Walk,
    Clear,
    /// So many more allocations succeed.
    Starve(u64),
    /// All succeed again.
    Feed,
}

impl Op {
    /// The operation that four bytes stand for: a fuzzer's way to any of them.
    pub fn from_bytes([kind, a, b, c]: [u8; 4]) -> Op {
        let key = u64::from(u16::from_le_bytes([a, b & 0x0f]));
        let near = u64::from(a & 0x1f);
        let count = 1 + 4 * u64::from(c);
        match kind % 32 {
            0..=5 => Op::Set(key, usize::from(c)),
            6..=9 => Op::Set(near, usize::from(b) * usize::from(c) / 4),
            10 => Op::Set(near, 30_000 + 256 * usize::from(c)),
            11..=14 => Op::Remove(key),
            15..=18 => Op::Remove(near),
            19 | 20 => Op::Get(near),
            21 | 22 => Op::Fill(key, count),
            23..=25 => Op::Drain(key, count),
            26 => Op::PopAny,
            27 => Op::Walk,
            28 if a < 32 => Op::Clear,
            28 | 29 => Op::Starve(u64::from(a % 24)),
            _ => Op::Feed,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Hashing {
    Good,
    /// 64 different hashes.
    FewBits,
    AllEqual,
}

impl Hashing {
    fn of(self, key: u64) -> u64 {
        let good = foldhash::quality::FixedState::with_seed(7).hash_one(key);
        match self {
            Hashing::Good => good,
            Hashing::FewBits => good & 0xe000_0000_0000_0007,
            Hashing::AllEqual => 0x1234_5678_9abc_def0,
        }
    }
}

pub struct Model {
    pub table: Table,
    pub entries: BTreeMap<u64, Vec<u8>>,
    size: EntrySize,
    hashing: Hashing,
    writes: u8,
    starving: bool,
}

fn key_of(entry: &[u8]) -> u64 {
    u64::from_le_bytes(entry[..8].try_into().unwrap())
}

impl Model {
    pub fn new(size: EntrySize, hashing: Hashing) -> Self {
        let entries = BTreeMap::new();
        Model { table: Table::new(size), entries, size, hashing, writes: 0, starving: false }
    }

    pub fn run(size: EntrySize, hashing: Hashing, ops: &[Op]) {
        let mut model = Model::new(size, hashing);
        for op in ops {
            model.apply(op);
            model.check();
        }
        model.finish();
    }

    /// Remove everything, one by one; all memory must come back.
    pub fn finish(mut self) {
        self.apply(&Op::Feed);
        let keys: Vec<u64> = self.entries.keys().copied().collect();
        keys.iter().for_each(|&key| self.remove(key));
        self.check();
        let left = self.table.bytes() - size_of::<Table>();
        // Tables of sizes that were once in use.
        assert!(left < 32 << 10, "{left} bytes are left in an empty table");
    }

    pub fn apply(&mut self, op: &Op) {
        match *op {
            Op::Set(key, len) => self.set(key, len),
            Op::Remove(key) => self.remove(key),
            Op::Get(key) => self.get(key),
            Op::Fill(from, count) => (from..from + count).for_each(|key| self.set(key, (key % 90) as usize)),
            Op::Drain(from, count) => (from..from + count).for_each(|key| self.remove(key)),
            Op::PopAny => self.pop_any(),
            Op::Walk => self.walk(),
            Op::Clear => {
                self.table.clear();
                self.entries.clear();
            }
            Op::Starve(allocations) => {
                self.starving = true;
                self.table.set_allowance(allocations);
            }
            Op::Feed => {
                self.starving = false;
                self.table.set_allowance(u64::MAX);
            }
        }
    }

    pub fn check(&self) {
        let hashing = self.hashing;
        self.table.check(&|entry| hashing.of(key_of(entry)));
        assert_eq!(self.table.len(), self.entries.len());
        let bytes: usize = self.entries.values().map(Vec::len).sum();
        assert_eq!(self.table.entry_bytes(), bytes);
    }

    /// The hash of an entry.
    pub fn hash(&self, entry: &[u8]) -> u64 {
        self.hashing.of(key_of(entry))
    }

    fn find(&self, key: u64) -> Option<EntryRef<'_, Table>> {
        self.table.find(self.hashing.of(key), |entry| key_of(entry) == key)
    }

    fn find_entry(&mut self, key: u64) -> Option<OccupiedEntry<&mut Table>> {
        self.table.find_entry(self.hashing.of(key), |entry| key_of(entry) == key)
    }

    fn entry(&mut self, key: u64, len: usize) -> Vec<u8> {
        self.writes = self.writes.wrapping_add(1);
        let len = if let EntrySize::Fixed(bytes) = self.size { bytes - 8 } else { len };
        let mut entry = key.to_le_bytes().to_vec();
        entry.resize(8 + len, self.writes);
        entry
    }

    pub fn set(&mut self, key: u64, len: usize) {
        let entry = self.entry(key, len);
        let hashing = self.hashing;
        let rehash = |entry: &[u8]| hashing.of(key_of(entry));
        let write = |slot: &mut [u8]| slot.copy_from_slice(&entry);
        let done = match self.find_entry(key) {
            Some(mut found) => found.replace(entry.len(), &rehash, write),
            None => self.table.insert(hashing.of(key), entry.len(), &rehash, write),
        };
        match done {
            Ok(()) => drop(self.entries.insert(key, entry)),
            Err(OutOfMemory) => assert!(self.starving, "memory is refused only when it is short"),
        }
    }

    pub fn remove(&mut self, key: u64) {
        let hashing = self.hashing;
        let removed = self.find_entry(key).map(|found| found.remove(&|entry| hashing.of(key_of(entry)))).is_some();
        assert_eq!(removed, self.entries.remove(&key).is_some());
    }

    fn get(&mut self, key: u64) {
        self.table.prefetch_line(self.hashing.of(key));
        self.table.prefetch_lines(&[self.hashing.of(key)]);
        self.table.prefetch_entries(&[self.hashing.of(key)]);
        let (hash, expected) = (self.hashing.of(key), self.entries.get(&key).map(Vec::as_slice));
        assert_eq!(self.find(key).map(EntryRef::bytes), expected);
        assert_eq!(self.table.get(hash, |entry| key_of(entry) == key), expected);
        assert_eq!(self.table.get_mut(hash, |entry| key_of(entry) == key).as_deref(), expected);
    }

    fn pop_any(&mut self) {
        let hashing = self.hashing;
        let Some(found) = self.table.any_entry() else {
            return assert!(self.entries.is_empty());
        };
        let entry = found.bytes().to_vec();
        assert_eq!(self.entries.remove(&key_of(&entry)), Some(entry));
        found.remove(&|entry| hashing.of(key_of(entry)));
    }

    fn walk(&self) {
        let mut cursor = Cursor::default();
        let mut seen = BTreeMap::new();
        while let Some(entry) = self.table.next(&mut cursor) {
            assert_eq!(seen.insert(key_of(entry), entry.to_vec()), None, "a walk sees each entry once");
        }
        assert_eq!(seen, self.entries);
    }
}
