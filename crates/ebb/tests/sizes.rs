//! Tables of entries whose sizes are around every threshold of the engine, filled until they take the largest pages that
//! they come to, and drained again.

use ebb::thresholds::{ENTRY_BYTES, HUGE_PAGES_FROM};
use ebb::{Cache, Clock, Deadlines, EntrySize, Keeping, MAX_ENTRY_BYTES, OutOfMemory, RawTable, Table, Time};
use proptest::prelude::*;
use proptest::sample::select;
use std::hash::BuildHasher;

/// An entry has its key at both ends.
const LEAST: usize = 16;
/// Entries of a table that is not filled up to huge pages, as that would take too many.
const FEW: usize = 2000;
/// From this size on, a table is filled up to huge pages.
const LARGE: usize = 8 << 10;

fn hash(key: u64) -> u64 {
    foldhash::quality::FixedState::with_seed(7).hash_one(key)
}

fn key_of(entry: &[u8]) -> u64 {
    u64::from_le_bytes(entry[..8].try_into().unwrap())
}

fn rehash(entry: &[u8]) -> u64 {
    hash(key_of(entry))
}

/// Writes the key to both ends of an entry: between them a large one takes no memory.
fn writer(key: u64) -> impl FnOnce(&mut [u8]) {
    move |entry| {
        let end = entry.len() - 8;
        entry[end..].copy_from_slice(&key.to_le_bytes());
        entry[..8].copy_from_slice(&key.to_le_bytes());
    }
}

/// A table that takes entries of whatever it is made for.
trait Filled: RawTable {
    fn add(&mut self, key: u64, len: usize) -> Result<(), OutOfMemory>;
}

impl Filled for Table {
    fn add(&mut self, key: u64, len: usize) -> Result<(), OutOfMemory> {
        self.insert(hash(key), len, &rehash, writer(key))
    }
}

impl Filled for Cache {
    fn add(&mut self, key: u64, len: usize) -> Result<(), OutOfMemory> {
        let never = Deadlines { hard: Time::NEVER, idle: Time::NEVER };
        self.insert_until(hash(key), len, never, &rehash, writer(key)).map(drop)
    }
}

fn get(table: &impl RawTable, key: u64) -> Option<&[u8]> {
    table.get(hash(key), |entry| key_of(entry) == key)
}

fn remove(table: &mut impl RawTable, key: u64) {
    table.find_entry(hash(key), |entry| key_of(entry) == key).unwrap().remove(&rehash);
}

/// Entries that take a table of entries of `len` bytes past the threshold of huge pages by some of them.
fn count_for(len: usize) -> usize {
    if len < LARGE { FEW } else { (HUGE_PAGES_FROM + (8 << 20)) / len + 3 }
}

/// Fill, look at every entry, drain from both ends, and fill anew. `most` bytes are held for so much of payload.
fn fill_and_drain(mut table: impl Filled, len: usize, most: impl Fn(usize) -> usize) {
    let count = count_for(len) as u64;
    for key in 0..count {
        table.add(key, len).unwrap();
        let (held, payload) = (table.bytes(), table.len() * len);
        assert!(held <= most(payload), "{held} bytes for {} entries of {len}", table.len());
    }
    table.check(&rehash);
    for key in 0..count {
        let entry = get(&table, key).unwrap();
        assert_eq!((entry.len(), key_of(entry), key_of(&entry[len - 8..])), (len, key, key));
    }
    for key in (0..count / 2).chain((count * 3 / 4..count).rev()) {
        remove(&mut table, key);
    }
    table.check(&rehash);
    (0..count / 4).for_each(|key| table.add(key, len).unwrap());
    let left: Vec<u64> = (0..count).filter(|&key| get(&table, key).is_some()).collect();
    assert_eq!(left.len(), table.len());
    for key in left {
        assert_eq!(key_of(&get(&table, key).unwrap()[len - 8..]), key);
        remove(&mut table, key);
    }
    table.check(&rehash);
    assert!(table.is_empty());
}

/// What the memory promise allows for entries of a fixed size.
fn promised(len: usize) -> impl Fn(usize) -> usize {
    move |payload| {
        let more = if len < 64 { payload / len * 12 } else { payload / 10 };
        payload + more + (256 << 10)
    }
}

/// Sizes around a threshold, as far as what a cache keeps in front of an entry takes it, and any size up to some of the
/// largest pages.
fn size() -> impl Strategy<Value = usize> {
    let near =
        (select(ENTRY_BYTES.to_vec()), -40..=40isize).prop_map(|(size, by)| size.saturating_add_signed(by).max(LEAST));
    prop_oneof![4 => near, 1 => LARGE..6 << 20, 1 => LEAST..LARGE]
}

fn cache(size: EntrySize, idle: bool, bounded: bool) -> Cache {
    Cache::keeping(size, Keeping { clock: Clock::System, idle, bounded })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fixed_entries_of_any_size(len in size()) {
        fill_and_drain(Table::new(EntrySize::Fixed(len)), len, promised(len));
    }

    #[test]
    fn variable_entries_of_any_size(len in size()) {
        fill_and_drain(Table::new(EntrySize::Variable), len, |_| usize::MAX);
    }

    #[test]
    fn cached_entries_of_any_size(len in size(), fixed: bool, idle: bool, bounded: bool) {
        let size = if fixed { EntrySize::Fixed(len) } else { EntrySize::Variable };
        fill_and_drain(cache(size, idle, bounded), len, |_| usize::MAX);
    }
}

/// Each threshold itself and its neighbours, whatever the property tests come to.
#[test]
fn fixed_entries_at_every_threshold() {
    for len in ENTRY_BYTES.iter().flat_map(|&size| [size - 1, size, size + 1]) {
        fill_and_drain(Table::new(EntrySize::Fixed(len)), len, promised(len));
    }
}

/// Entries that fill a huge page badly, or do not fit in it.
#[test]
fn entries_that_huge_pages_do_not_suit() {
    for len in [700_000, 1_500_000, 3_000_000, 5_000_000] {
        fill_and_drain(Table::new(EntrySize::Fixed(len)), len, promised(len));
        fill_and_drain(cache(EntrySize::Fixed(len), true, true), len, promised(len));
    }
}

/// Memory runs out at each step of an insert in turn: nothing has changed, and the next attempt succeeds.
#[test]
fn a_large_entry_that_finds_no_memory_changes_nothing() {
    for len in [700_000, 3_000_000] {
        let mut table = Table::new(EntrySize::Fixed(len));
        for key in 0..count_for(len) as u64 {
            table.set_allowance(key % 3);
            if table.add(key, len).is_err() {
                table.check(&rehash);
                assert_eq!((table.len() as u64, get(&table, key)), (key, None));
                table.set_allowance(u64::MAX);
                table.add(key, len).unwrap();
            }
        }
        table.check(&rehash);
        assert_eq!(table.len(), count_for(len));
    }
}

#[test]
fn an_entry_that_varies_has_a_limit() {
    const { assert!(MAX_ENTRY_BYTES > 0xffff_ff00, "4 GiB, but for some bytes") };
    fn try_around_the_limit(mut table: impl Filled) {
        for len in [MAX_ENTRY_BYTES + 1, u32::MAX as usize + 1, usize::MAX / 2] {
            assert_eq!(table.add(1, len), Err(OutOfMemory));
            assert!(table.is_empty());
        }
        table.add(1, MAX_ENTRY_BYTES).unwrap(); // of which its ends take memory
        table.check(&rehash);
        assert_eq!(get(&table, 1).unwrap().len(), MAX_ENTRY_BYTES);
    }
    try_around_the_limit(Table::new(EntrySize::Variable));
    try_around_the_limit(cache(EntrySize::Variable, true, true));
}

#[test]
fn an_entry_beyond_the_sizes_of_slots_is_refused() {
    let len = (1 << 32) + 16;
    let mut table = Table::new(EntrySize::Fixed(len));
    assert_eq!(table.add(1, len), Err(OutOfMemory));
    table.check(&rehash);
    assert!(table.is_empty());
}
