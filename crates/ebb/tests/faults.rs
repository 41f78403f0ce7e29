//! Every allocation of a scripted life fails in turn: growth, splits, replacements of other lengths, shrinking, merges,
//! clearing. What fails changes nothing, what shrinks goes on without, and all memory comes back.

mod common;

use common::{Hashing, Model, Op};
use ebb::{EntrySize, OutOfMemory, RawTable, Table};
use std::cell::Cell;

/// A life in four parts: fill over several splits, replace by other lengths, drain over merges, clear.
fn life() -> Vec<Op> {
    let large = (0..4).map(|key| Op::Set(key, 50_000));
    let longer = (0..300).map(|key| Op::Set(key, 200 + key as usize));
    let again = [Op::Fill(0, 1500), Op::Drain(0, 1100)];
    let all = [Op::Fill(0, 1500), Op::Fill(1500, 50)].into_iter().chain(longer).chain(large);
    all.chain([Op::Drain(100, 1400)]).chain(again).chain([Op::PopAny, Op::Walk, Op::Clear, Op::Set(1, 1)]).collect()
}

/// Blocks of memory that the life takes when none is refused.
fn allocations(size: EntrySize, hashing: Hashing) -> u64 {
    let mut model = Model::new(size, hashing);
    life().iter().for_each(|op| model.apply(op));
    model.table.stats().blocks_got
}

/// Allocation `nth` and those after it fail during one operation; then there is memory again.
fn starve_once(size: EntrySize, hashing: Hashing, nth: u64) {
    let mut model = Model::new(size, hashing);
    model.apply(&Op::Starve(nth));
    let mut starved = false;
    for op in &life() {
        model.apply(op);
        if !starved && model.table.allowance() == 0 {
            starved = true;
            model.check();
            // Whatever was refused or put off can be made up for.
            model.apply(&Op::Feed);
            model.apply(op);
            model.check();
        }
    }
    model.check();
    model.finish();
}

/// Memory stays refused from allocation `nth` on.
fn starve_for_good(size: EntrySize, hashing: Hashing, nth: u64) {
    let mut model = Model::new(size, hashing);
    model.apply(&Op::Starve(nth));
    for (i, op) in life().iter().enumerate() {
        model.apply(op);
        if i % 64 == 0 {
            model.check();
        }
    }
    model.check();
    model.finish();
}

fn every(size: EntrySize, hashing: Hashing, step: usize) {
    let count = allocations(size, hashing);
    assert!(count > 40, "the life takes {count} allocations");
    for nth in (0..=count).step_by(step) {
        starve_once(size, hashing, nth);
        starve_for_good(size, hashing, nth);
    }
}

#[test]
fn fixed_entries_survive_any_failed_allocation() {
    every(EntrySize::Fixed(24), Hashing::Good, 1);
}

#[test]
fn variable_entries_survive_any_failed_allocation() {
    every(EntrySize::Variable, Hashing::Good, 1);
}

#[test]
fn colliding_entries_survive_any_failed_allocation() {
    every(EntrySize::Fixed(24), Hashing::FewBits, 3);
}

#[test]
fn a_value_that_finds_no_room_leaves_the_old_one() {
    let mut model = Model::new(EntrySize::Variable, Hashing::Good);
    model.apply(&Op::Fill(0, 500));
    model.apply(&Op::Starve(0));
    for key in 0..500 {
        model.apply(&Op::Set(key, 40_000));
        model.apply(&Op::Get(key));
    }
    model.check();
    model.finish();
}

/// Valkey #2095: a shrink that needs memory first must not stop removals when there is none.
#[test]
fn draining_without_memory_gives_memory_back() {
    for size in [EntrySize::Fixed(16), EntrySize::Fixed(136), EntrySize::Variable] {
        let mut model = Model::new(size, Hashing::Good);
        model.apply(&Op::Fill(0, 20_000));
        let full = model.table.bytes();
        model.apply(&Op::Starve(0));
        model.apply(&Op::Drain(0, 19_000));
        model.check();
        assert!(model.table.bytes() < full / 2, "{} of {full} bytes are left", model.table.bytes());
        model.finish();
    }
}

/// An entry is its own hash here.
fn itself(entry: &[u8]) -> u64 {
    u64::from_le_bytes(entry.try_into().unwrap())
}

fn has(table: &Table, hash: u64) -> bool {
    table.find(hash, |entry| itself(entry) == hash).is_some()
}

/// Two segments of which each has 30 entries of one home: together they are too many for it, in whichever block.
#[test]
fn segments_that_do_not_merge_in_place_stay_as_they_were() {
    let crowd = (0..60).map(|i| i << 8 | i & 1);
    let others: Vec<u64> = (0..120).map(|i| 1 << 63 | i << 56 | i & 1).collect();
    let mut table = Table::new(EntrySize::Fixed(8));
    for hash in crowd.clone().chain(others.iter().copied()) {
        table.insert(hash, 8, &itself, |entry| entry.copy_from_slice(&hash.to_le_bytes())).unwrap();
    }
    assert_eq!(table.stats().segments, 2);
    table.set_allowance(0);
    for (i, &hash) in others.iter().enumerate() {
        table.find_entry(hash, |entry| itself(entry) == hash).unwrap().remove(&itself);
        table.check(&itself);
        assert!(crowd.clone().all(|hash| has(&table, hash)) && others[i + 1..].iter().all(|&hash| has(&table, hash)));
    }
    assert_eq!(table.stats().segments, 2, "without memory they don't merge");
    table.set_allowance(u64::MAX);
    table.find_entry(0, |entry| itself(entry) == 0).unwrap().remove(&itself);
    table.check(&itself);
    assert_eq!(table.stats().segments, 1, "with a stash there is room");
    assert!(crowd.skip(1).all(|hash| has(&table, hash)));
}

/// A line takes twelve entries, and is given up for two when it has eleven.
#[test]
fn without_memory_the_last_cells_are_used() {
    let mut table = Table::new(EntrySize::Fixed(8));
    let insert = |table: &mut Table, hash: u64| {
        table.insert(hash, 8, &itself, |entry| entry.copy_from_slice(&hash.to_le_bytes()))
    };
    (0..11).for_each(|hash| insert(&mut table, hash).unwrap());
    table.set_allowance(0);
    assert_eq!(insert(&mut table, 11), Ok(()));
    assert_eq!(insert(&mut table, 12), Err(OutOfMemory));
    table.check(&itself);
    assert!((0..12).all(|hash| has(&table, hash)) && !has(&table, 12));
    table.set_allowance(u64::MAX);
    assert_eq!(insert(&mut table, 12), Ok(()));
    table.check(&itself);
}

#[test]
fn segments_merge_in_place_where_there_is_no_memory() {
    for len in [8, 64] {
        let hash = |entry: &[u8]| itself(&entry[..8]).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let mut table = Table::new(EntrySize::Fixed(len));
        for key in 0..4000u64 {
            let write = |entry: &mut [u8]| entry[..8].copy_from_slice(&key.to_le_bytes());
            table.insert(hash(&key.to_le_bytes()), len, &hash, write).unwrap();
        }
        let full = table.stats().segments;
        table.set_allowance(0);
        for key in 0..3900u64 {
            let hash_of_key = hash(&key.to_le_bytes());
            table.find_entry(hash_of_key, |entry| itself(&entry[..8]) == key).unwrap().remove(&hash);
        }
        table.check(&hash);
        let left = table.stats().segments;
        assert!(left * 4 < full, "{left} of {full} segments are left for 100 entries of {len}");
    }
}

/// A split asks each entry of a segment for its hash, of which there are more than a hundred; what else is asked is a hash
/// for each block that moves.
#[test]
fn a_split_that_finds_no_memory_is_not_tried_again_at_once() {
    let mut table = Table::new(EntrySize::Fixed(40));
    let asked = Cell::new(0);
    let hash = |entry: &[u8]| itself(&entry[..8]).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let rehash = |entry: &[u8]| {
        asked.set(asked.get() + 1);
        hash(entry)
    };
    let insert = |table: &mut Table, key: u64| {
        let entry = key.to_le_bytes();
        table.insert(hash(&entry), 40, &rehash, |to| to[..8].copy_from_slice(&entry))
    };
    // A new page has room for some hundred more, and segments are being split.
    let mut key = 0;
    let mut pages = 0;
    while key < 30_000 || table.stats().page_bytes == pages {
        pages = table.stats().page_bytes;
        insert(&mut table, key).unwrap();
        key += 1;
    }
    table.set_allowance(0);
    // Some find room for their blocks in pages that are there.
    let tried = (key..key + 2000).find(|&key| {
        let splits = table.stats().splits;
        asked.set(0);
        insert(&mut table, key).is_ok() && asked.get() > 100 && table.stats().splits == splits
    });
    let tried = tried.unwrap();
    asked.set(0);
    let done = (tried + 1..tried + 60).filter(|&key| insert(&mut table, key).is_ok()).count();
    assert!(done > 5 && asked.get() < 100, "{done} entries are inserted, and {} asked", asked.get());
}

#[test]
fn what_is_left_of_an_allowance_is_told() {
    for size in [EntrySize::Fixed(16), EntrySize::Fixed(136), EntrySize::Variable] {
        let mut table = Table::new(size);
        assert_eq!(table.allowance(), u64::MAX);
        table.set_allowance(100);
        assert_eq!(table.allowance(), 100);
        let len = if let EntrySize::Fixed(bytes) = size { bytes } else { 30 };
        table.insert(1, len, &|_| 1, |_| ()).unwrap();
        assert_eq!(table.allowance(), 100 - table.stats().blocks_got);
    }
}

/// Found by the fuzzer: most of what is held goes with one entry.
#[test]
fn a_large_entry_goes_and_leaves_little() {
    let mut model = Model::new(EntrySize::Variable, Hashing::Good);
    for (key, len) in [(1, 5000), (2, 2000), (22, 67_000)] {
        model.apply(&Op::Set(key, len));
    }
    model.finish();
}
