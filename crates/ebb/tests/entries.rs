//! What is written to entries that were found is read again, whatever kind of table has them.

#[path = "common/keyed.rs"]
mod keyed;

use ebb::{Cache, Clock, Deadlines, EntrySize, Keeping, OutOfMemory, RawTable, Table, Time};
use keyed::{hash, key_of, rehash};

const NEVER: Deadlines = Deadlines { hard: Time::NEVER, idle: Time::NEVER };
const NEIGHBOURS: u64 = 3;

/// The key, and then a byte again and again.
fn writer(key: u64, byte: u8) -> impl FnOnce(&mut [u8]) {
    move |entry| {
        entry.fill(byte);
        entry[..8].copy_from_slice(&key.to_le_bytes());
    }
}

trait Insert: RawTable {
    fn set(&mut self, key: u64, len: usize, byte: u8) -> Result<(), OutOfMemory>;
}

impl Insert for Table {
    fn set(&mut self, key: u64, len: usize, byte: u8) -> Result<(), OutOfMemory> {
        self.insert(hash(key), len, &rehash, writer(key, byte))
    }
}

impl Insert for Cache {
    fn set(&mut self, key: u64, len: usize, byte: u8) -> Result<(), OutOfMemory> {
        self.insert_until(hash(key), len, NEVER, &rehash, writer(key, byte))
    }
}

fn cache(size: EntrySize) -> Cache {
    let keeping = Keeping { clock: Clock::Given { origin: 0.0 }, idle: true, bounded: true };
    Cache::keeping(size, keeping)
}

/// Each entry has its own length, and its own byte throughout.
fn assert_whole(table: &impl RawTable, len: impl Fn(u64) -> usize, byte: impl Fn(u64) -> u8) {
    for key in 0..NEIGHBOURS {
        let entry = table.get(hash(key), |entry| key_of(entry) == key).unwrap();
        assert_eq!((entry.len(), entry[8..].iter().all(|&b| b == byte(key))), (len(key), true), "key {key}: {entry:?}");
    }
    table.check(&rehash);
}

fn write_in_place(mut table: impl Insert, len: usize) {
    (0..NEIGHBOURS).for_each(|key| table.set(key, len, key as u8).unwrap());
    let mut found = table.find_entry(hash(1), |entry| key_of(entry) == 1).unwrap();
    assert_eq!(found.bytes_mut().len(), len);
    found.bytes_mut()[8..].fill(77);
    assert_whole(&table, |_| len, |key| if key == 1 { 77 } else { key as u8 });
    table.get_mut(hash(2), |entry| key_of(entry) == 2).unwrap()[8..].fill(78);
    assert_whole(&table, |_| len, |key| [0, 77, 78][key as usize]);
}

#[test]
fn an_entry_is_written_where_it_is() {
    for len in [12, 16, 24, 40, 136, 5000] {
        write_in_place(Table::new(EntrySize::Fixed(len)), len);
        write_in_place(cache(EntrySize::Fixed(len)), len);
        write_in_place(Table::new(EntrySize::Variable), len);
        write_in_place(cache(EntrySize::Variable), len);
    }
    write_in_place(Table::new(EntrySize::Variable), 40_000);
}

fn replace_by_other_lengths(mut table: impl Insert, len: usize) {
    (0..NEIGHBOURS).for_each(|key| table.set(key, len, key as u8).unwrap());
    for (byte, other) in [(10, len + 1), (11, len - 1), (12, len - 2), (13, len + 2), (14, len)] {
        let mut found = table.find_entry(hash(1), |entry| key_of(entry) == 1).unwrap();
        found.replace(other, &rehash, writer(1, byte)).unwrap();
        let bytes = |key| if key == 1 { byte } else { key as u8 };
        assert_whole(&table, |key| if key == 1 { other } else { len }, bytes);
    }
}

/// Of lengths that have the same kind of slot, and of others.
#[test]
fn an_entry_is_replaced_by_one_a_little_longer_or_shorter() {
    for len in (60..600).chain((1 << 14) - 3..(1 << 14) + 3).chain((32 << 10) - 3..(32 << 10) + 3) {
        replace_by_other_lengths(Table::new(EntrySize::Variable), len);
    }
    for len in [63, 64, 65, 70, 127, 128, 129, 500] {
        replace_by_other_lengths(cache(EntrySize::Variable), len);
    }
}
