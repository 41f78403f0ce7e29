//! Entries of equal hash: more of them than lines near their home take.

#[path = "common/keyed.rs"]
mod keyed;

use ebb::{EntrySize, RawTable, Table};
use keyed::key_of;
use std::cell::Cell;

const HASH: u64 = 0x1234_5678_9abc_def0;
const SIZES: [EntrySize; 3] = [EntrySize::Fixed(16), EntrySize::Fixed(40), EntrySize::Variable];

/// A table of so many entries of one hash.
fn filled(size: EntrySize, count: u64) -> Table {
    let mut table = Table::new(size);
    let len = if let EntrySize::Fixed(bytes) = size { bytes } else { 40 };
    for key in 0..count {
        table.insert(HASH, len, &|_| HASH, |entry| entry[..8].copy_from_slice(&key.to_le_bytes())).unwrap();
    }
    table
}

fn remove(table: &mut Table, key: u64, rehash: &impl Fn(&[u8]) -> u64) {
    table.find_entry(HASH, |entry| key_of(entry) == key).unwrap().remove(rehash);
}

#[test]
fn the_room_for_equal_hashes_follows_how_many_there_are() {
    for size in SIZES {
        let mut table = filled(size, 6000);
        let full = table.bytes();
        (100..6000).for_each(|key| remove(&mut table, key, &|_| HASH));
        table.check(&|_| HASH);
        let few = filled(size, 100).bytes();
        assert!(table.bytes() < few + full / 8, "{} of {full} bytes, where {few} do", table.bytes());
    }
}

/// Entries of other hashes stay, so no segments merge and the rest is not rebuilt for that.
#[test]
fn the_room_for_equal_hashes_is_given_back_among_others() {
    let hash = |key: u64| if key < 3000 { HASH } else { key.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) };
    let rehash = |entry: &[u8]| hash(key_of(entry));
    let mut table = Table::new(EntrySize::Fixed(16));
    for key in 0..30_000u64 {
        let write = |entry: &mut [u8]| entry[..8].copy_from_slice(&key.to_le_bytes());
        table.insert(hash(key), 16, &rehash, write).unwrap();
    }
    let full = table.stats();
    (100..3000).for_each(|key| remove(&mut table, key, &rehash));
    table.check(&rehash);
    let left = table.stats();
    let freed = full.page_bytes - left.page_bytes;
    assert!(freed > 2900 * 16 * 3 / 4, "{freed} bytes were given back, of {full:?}");
    assert_eq!(left.merges, full.merges);
}

/// A rebuilding asks each entry for its hash.
#[test]
fn few_removals_rebuild_a_segment() {
    for size in SIZES {
        let (mut table, asked) = (filled(size, 4000), Cell::new(0));
        let rehash = |_: &[u8]| {
            asked.set(asked.get() + 1);
            HASH
        };
        (0..3900).for_each(|key| remove(&mut table, key, &rehash));
        assert!(asked.get() < 30 * 4000, "{} hashes for 3,900 removals", asked.get());
    }
}
