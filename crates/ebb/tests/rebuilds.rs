//! What a segment is rebuilt from. An entry's hash costs a look at the entry; here each one is counted.

#[path = "common/keyed.rs"]
mod keyed;

use ebb::{EntrySize, RawTable, Table};
use keyed::{hash, key_of};
use std::cell::Cell;
use std::ops::Range;

/// A table, and how many hashes of its entries it asked for.
struct Counted {
    table: Table,
    len: usize,
    asked: Cell<usize>,
}

fn counting(asked: &Cell<usize>) -> impl Fn(&[u8]) -> u64 {
    |entry| {
        asked.set(asked.get() + 1);
        hash(key_of(entry))
    }
}

impl Counted {
    fn new(len: usize) -> Self {
        Counted { table: Table::new(EntrySize::Fixed(len)), len, asked: Cell::new(0) }
    }

    /// How many hashes were asked for while entries came.
    fn insert(&mut self, keys: Range<u64>) -> usize {
        self.asked.set(0);
        for key in keys {
            let write = |entry: &mut [u8]| entry[..8].copy_from_slice(&key.to_le_bytes());
            self.table.insert(hash(key), self.len, &counting(&self.asked), write).unwrap();
        }
        self.asked.get()
    }

    /// How many hashes were asked for while entries went.
    fn remove(&mut self, keys: Range<u64>) -> usize {
        self.asked.set(0);
        for key in keys {
            let entry = self.table.find_entry(hash(key), |entry| key_of(entry) == key).unwrap();
            entry.remove(&counting(&self.asked));
        }
        self.asked.get()
    }
}

/// From eight lines on; before, there are fewer than a hundred.
#[test]
fn a_segment_grows_and_shrinks_without_a_hash() {
    for len in [16, 40] {
        let mut counted = Counted::new(len);
        counted.insert(0..100);
        assert_eq!(counted.insert(100..160), 0, "entries of {len} bytes");
        assert_eq!(counted.table.stats().segments, 1);
    }
    let mut counted = Counted::new(16);
    counted.insert(0..160);
    assert_eq!(counted.remove(0..120), 0);
}

#[test]
fn a_split_asks_for_each_hash_once() {
    for len in [16, 40] {
        let mut counted = Counted::new(len);
        counted.insert(0..160);
        let asked = counted.insert(160..230);
        assert_eq!(counted.table.stats().segments, 2);
        assert!(asked < 300, "{asked} hashes of {} entries", counted.table.len());
    }
}
