//! Walks by position, while segments split and merge.

#[path = "common/keyed.rs"]
mod keyed;

use ebb::{EntrySize, RawTable, Table};
use keyed::{hash, key_of, rehash};
use std::collections::HashSet;

fn fill(table: &mut Table, keys: std::ops::Range<u64>) {
    for key in keys {
        table.insert(hash(key), 16, &rehash, |entry| entry[..8].copy_from_slice(&key.to_le_bytes())).unwrap();
    }
}

/// The keys that a part has, each once; and where the next begins.
fn part(table: &Table, from: u64, seen: &mut HashSet<u64>) -> Option<u64> {
    table.visit_part(from, &rehash, |_, entry| assert!(seen.insert(key_of(entry.bytes())), "visited once"))
}

#[test]
fn a_walk_goes_on_where_segments_have_merged() {
    let mut table = Table::new(EntrySize::Fixed(16));
    fill(&mut table, 0..3000);
    let segments = table.stats().segments;
    let mut seen = HashSet::new();
    let mut position = Some(0);
    (0..segments / 2 + 1).for_each(|_| position = part(&table, position.unwrap(), &mut seen));
    (50..3000).for_each(|key| {
        table.find_entry(hash(key), |entry| key_of(entry) == key).unwrap().remove(&rehash);
    });
    assert_eq!(table.stats().segments, 1, "the position is in the middle of a segment");
    assert_eq!(part(&table, position.unwrap(), &mut seen), None);
    assert!((0..50).all(|key| seen.contains(&key)));
}

#[test]
fn a_walk_goes_on_where_segments_have_split() {
    let mut table = Table::new(EntrySize::Fixed(16));
    fill(&mut table, 0..400);
    let mut seen = HashSet::new();
    let mut position = part(&table, 0, &mut seen);
    assert!(position.is_some() && (1..400).contains(&seen.len()));
    fill(&mut table, 400..5000);
    while let Some(from) = position {
        position = part(&table, from, &mut seen);
    }
    assert!((0..400).all(|key| seen.contains(&key)));
}
