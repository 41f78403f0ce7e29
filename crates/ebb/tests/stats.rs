//! What a table says of the memory that it holds.

#[path = "common/keyed.rs"]
mod keyed;

use ebb::{Cache, Clock, Deadlines, EntrySize, Keeping, RawTable, Stats, Table, Time};
use keyed::{hash, rehash};

/// Sizes of entries in the index itself, in one stack, and in many.
const SIZES: [EntrySize; 4] = [EntrySize::Fixed(16), EntrySize::Fixed(72), EntrySize::Fixed(136), EntrySize::Variable];
const BYTES: usize = 200;

fn len_of(size: EntrySize) -> usize {
    if let EntrySize::Fixed(bytes) = size { bytes } else { BYTES }
}

fn fill(table: &mut Table, size: EntrySize, count: u64) {
    for key in 0..count {
        let write = |entry: &mut [u8]| entry[..8].copy_from_slice(&key.to_le_bytes());
        table.insert(hash(key), len_of(size), &rehash, write).unwrap();
    }
}

/// The parts that come to all that is held.
fn parts(stats: &Stats) -> [usize; 3] {
    [stats.page_bytes, stats.index_bytes, stats.directory_bytes]
}

#[test]
fn an_empty_table_is_itself_and_no_more() {
    for size in SIZES {
        let table = Table::new(size);
        let stats = table.stats();
        assert_eq!((stats.held_bytes, parts(&stats)), (size_of::<Table>(), [0, 0, size_of::<Table>()]));
        assert_eq!((table.bytes(), table.held(), stats.segments), (size_of::<Table>(), 0, 1));
    }
}

#[test]
fn what_is_held_is_in_pages_the_index_and_directories() {
    for size in SIZES {
        let mut table = Table::new(size);
        for count in [1, 100, 1000, 20_000] {
            table.clear();
            fill(&mut table, size, count);
            let stats = table.stats();
            let entries = count as usize * len_of(size);
            assert_eq!((stats.entries, stats.entry_bytes), (count as usize, entries));
            assert_eq!((stats.held_bytes, parts(&stats).iter().sum()), (table.bytes(), stats.held_bytes));
            assert_eq!(stats.held_bytes, table.held() + size_of::<Table>());
            let in_pages = if size == EntrySize::Fixed(16) { entries + entries / 8 } else { entries };
            let pages = in_pages..in_pages * 2 + (128 << 10);
            assert!(pages.contains(&stats.page_bytes), "{count} of {size:?} are in pages of {}", stats.page_bytes);
            let in_index = if size == EntrySize::Fixed(16) { 0 } else { 5 * count as usize };
            let index = in_index..in_index * 4 + (72 << 10);
            assert!(index.contains(&stats.index_bytes), "{count} of {size:?} have {} of index", stats.index_bytes);
            let directory = size_of::<Table>()..24 << 10;
            assert!(directory.contains(&stats.directory_bytes), "{} bytes of directories", stats.directory_bytes);
        }
    }
}

#[test]
fn a_slot_is_as_large_as_its_entry() {
    for len in [40, 136] {
        let mut table = Table::new(EntrySize::Fixed(len));
        assert!(table.is_empty());
        fill(&mut table, EntrySize::Fixed(len), 200_000);
        let (pages, entries) = (table.stats().page_bytes, 200_000 * len);
        assert!(!table.is_empty() && (entries..entries + (128 << 10)).contains(&pages), "{pages} bytes of {len} each");
    }
}

#[test]
fn a_cache_counts_its_lists() {
    let keeping = Keeping { clock: Clock::Given { origin: 0.0 }, idle: false, bounded: true };
    let mut cache = Cache::keeping(EntrySize::Fixed(40), keeping);
    let empty = cache.stats();
    assert_eq!((empty.held_bytes, parts(&empty)), (size_of::<Cache>(), [0, 0, size_of::<Cache>()]));
    let mut insert = |key: u64| {
        let write = |entry: &mut [u8]| entry[..8].copy_from_slice(&key.to_le_bytes());
        let hard = Clock::given(0.001 * (1u64 << key) as f64).unwrap();
        cache.insert_until(hash(key), 40, Deadlines { hard, idle: Time::NEVER }, &rehash, write).unwrap();
        let stats = cache.stats();
        assert_eq!((stats.held_bytes, parts(&stats).iter().sum()), (cache.bytes(), stats.held_bytes));
        stats.directory_bytes
    };
    let one = insert(0);
    let lists = 7 * 16 * 8; // the ends of those that each level has in a row
    assert!((1..40).map(&mut insert).max() >= Some(one + lists));
}

#[test]
fn what_was_done_is_counted_on_when_a_table_is_cleared() {
    for size in SIZES {
        let mut table = Table::new(size);
        fill(&mut table, size, 3000);
        while table.len() > 100 {
            table.any_entry().unwrap().remove(&rehash);
        }
        let before = table.stats();
        assert_eq!(before.splits, before.merges + before.segments as u64 - 1);
        assert!(before.merges > 2 && before.segments > 0, "{before:?}");
        table.clear();
        let after = table.stats();
        assert_eq!((after.splits, after.merges), (before.splits, before.merges));
        assert_eq!((after.blocks_got, after.blocks_returned), (before.blocks_got, before.blocks_got));
        assert_eq!((after.held_bytes, after.segments), (size_of::<Table>(), 1));
    }
}
