//! Which line of its segment an entry is in. A walk goes from line to line, so its order shows that.

use ebb::{Cursor, EntrySize, RawTable, Table};
use std::collections::VecDeque;

/// Cells of a line.
const SLOTS: usize = 12;

/// The hash of an entry is its first eight bytes.
fn itself(entry: &[u8]) -> u64 {
    u64::from_le_bytes(entry[..8].try_into().unwrap())
}

/// The hash of entry `number` of those whose home is `eighths` of the segment's lines from its first line.
fn hash(eighths: u64, number: u64) -> u64 {
    eighths << 61 | number << 8
}

fn insert(table: &mut Table, hash: u64, len: usize) {
    let write = |entry: &mut [u8]| entry[..8].copy_from_slice(&hash.to_le_bytes());
    table.insert(hash, len, &itself, write).unwrap();
}

fn remove(table: &mut Table, hash: u64) {
    table.find_entry(hash, |entry| itself(entry) == hash).unwrap().remove(&itself);
    table.check(&itself);
}

/// The eighths of all entries, as a walk comes to them.
fn walked(table: &Table) -> VecDeque<u64> {
    let mut cursor = Cursor::default();
    std::iter::from_fn(|| table.next(&mut cursor)).map(|entry| itself(entry) >> 61).collect()
}

#[test]
fn an_entry_away_from_home_comes_back_when_there_is_room() {
    for len in [16, 40] {
        let mut table = Table::new(EntrySize::Fixed(len));
        insert(&mut table, hash(7, 0), len);
        (0..=SLOTS as u64).for_each(|number| insert(&mut table, hash(0, number), len));
        let order = walked(&table);
        assert_eq!((order[SLOTS], order[SLOTS + 1]), (7, 0), "the last of {} is in the second line", SLOTS + 1);
        remove(&mut table, hash(0, 0));
        assert_eq!(walked(&table)[SLOTS], 7, "the first line has all of its entries");
    }
}

#[test]
fn the_room_that_one_leaves_is_for_others_away_from_home() {
    let mut table = Table::new(EntrySize::Fixed(16));
    insert(&mut table, hash(7, 0), 16);
    (0..=SLOTS as u64).for_each(|number| insert(&mut table, hash(0, number), 16));
    (0..SLOTS as u64).for_each(|number| insert(&mut table, hash(4, number), 16));
    assert_eq!(walked(&table).pop_back(), Some(4), "one of the second line is in the third");
    remove(&mut table, hash(0, 0));
    assert_eq!(walked(&table).pop_back(), Some(7), "each line has all of its entries");
}
