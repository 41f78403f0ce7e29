//! Tables of few entries: what they hold, and the way to a larger table and back.

#[path = "common/keyed.rs"]
mod keyed;

use ebb::{Cursor, EntrySize, OutOfMemory, RawTable, Table};
use keyed::{hash, key_of, rehash};
use std::collections::BTreeSet;

/// Sizes of entries that a small table has in a line, and others.
const SIZES: [EntrySize; 6] = [
    EntrySize::Fixed(8),
    EntrySize::Fixed(16),
    EntrySize::Fixed(24),
    EntrySize::Fixed(10),
    EntrySize::Fixed(136),
    EntrySize::Variable,
];
/// Entries of a line.
const LINE: u64 = 12;

fn insert(table: &mut Table, size: EntrySize, key: u64) -> Result<(), OutOfMemory> {
    let len = if let EntrySize::Fixed(bytes) = size { bytes } else { 8 + key as usize % 90 };
    table.insert(hash(key), len, &rehash, |entry| entry[..8].copy_from_slice(&key.to_le_bytes()))
}

fn remove(table: &mut Table, key: u64) {
    table.find_entry(hash(key), |entry| key_of(entry) == key).unwrap().remove(&rehash);
}

fn of(size: EntrySize, count: u64) -> Table {
    let mut table = Table::new(size);
    (0..count).for_each(|key| insert(&mut table, size, key).unwrap());
    table
}

/// The keys of a table, by both kinds of walk and by look-ups of those below 100.
fn keys(table: &Table) -> BTreeSet<u64> {
    table.check(&rehash);
    let mut cursor = Cursor::default();
    let walked: Vec<u64> = std::iter::from_fn(|| table.next(&mut cursor).map(key_of)).collect();
    let (mut position, mut visited) = (Some(0), Vec::new());
    while let Some(at) = position {
        position = table.visit_part(at, &rehash, |_, entry| visited.push(key_of(entry.bytes())));
    }
    let found = |&key: &u64| table.get(hash(key), |entry| key_of(entry) == key).is_some();
    let keys: BTreeSet<u64> = (0..100).filter(found).collect();
    assert_eq!((walked.len(), visited.len(), table.len()), (keys.len(), keys.len(), keys.len()));
    assert!(walked.iter().chain(&visited).all(|key| keys.contains(key)));
    keys
}

#[test]
fn entries_come_and_go_around_the_size_of_a_line() {
    for size in SIZES {
        for most in [1, LINE - 1, LINE, LINE + 1, 2 * LINE, 60] {
            let mut table = Table::new(size);
            for round in 0..3 {
                for key in 0..most {
                    insert(&mut table, size, key).unwrap();
                    assert_eq!(keys(&table), (0..=key).collect());
                }
                for key in 0..most {
                    let key = if round == 1 { most - 1 - key } else { key };
                    remove(&mut table, key);
                    assert!(!keys(&table).contains(&key));
                }
                assert_eq!(table.held(), 0, "nothing is held for nothing");
            }
        }
    }
}

#[test]
fn a_line_is_all_that_few_small_entries_take() {
    for (bytes, block) in [(8, 128), (16, 256), (24, 320)] {
        for count in 1..=LINE {
            assert_eq!(of(EntrySize::Fixed(bytes), count).held(), block);
        }
        assert!(of(EntrySize::Fixed(bytes), LINE + 1).held() > 2 * block);
    }
}

#[test]
fn each_refusal_leaves_a_table_as_it_was() {
    for size in SIZES {
        for count in [0, 1, LINE - 1, LINE, LINE + 1, 40] {
            let mut refused = 0;
            for allowance in 0.. {
                let mut table = of(size, count);
                let held = table.held();
                table.set_allowance(allowance);
                let inserted = insert(&mut table, size, count);
                assert_eq!(keys(&table), (0..count + u64::from(inserted.is_ok())).collect());
                if inserted.is_ok() {
                    break;
                }
                // The table of stacks may have room for one more.
                let more = table.held() - held;
                assert!(more <= 256 && (more == 0 || count > 0), "{more} bytes, {allowance} allocations, {size:?}");
                refused += 1;
            }
            assert!(refused > 0 || count > 0, "the first entry of {size:?} takes memory");
        }
    }
}

#[test]
fn what_a_table_has_done_is_told_after_it_was_emptied() {
    for size in SIZES {
        let mut table = of(size, 2_000);
        let splits = table.stats().splits;
        (0..2_000).for_each(|key| remove(&mut table, key));
        let stats = table.stats();
        assert_eq!((stats.splits, stats.merges), (splits, splits));
        assert!(splits > 3 && stats.blocks_got == stats.blocks_returned && stats.blocks_got > 20);
        (0..2_000).for_each(|key| insert(&mut table, size, key).unwrap());
        assert_eq!(table.stats().splits, 2 * splits);
        table.clear();
        assert_eq!((table.stats().splits, table.held()), (2 * splits, 0));
    }
}
