//! Functions of the caller that panic and lie, and hosts that swap their tables: results may be wrong and calls may
//! panic, but no memory is touched that is not a table's, none is given back twice, and each table can be dropped. Miri
//! sees it (`make miri`), and so does AddressSanitizer.

use ebb::{
    Cache, Clock, Cursor, Deadlines, EntrySize, Host, Keeping, OccupiedEntry, OutOfMemory, RawTable, Table, Time,
};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

const STEPS: u64 = if cfg!(miri) { 60 } else { 5_000 };

/// What a caller gives: it is well-behaved until so many calls have been made, and then panics or lies.
struct Unruly {
    calls: Cell<u64>,
    panics_every: u64,
    lies_every: u64,
}

impl Unruly {
    fn called(&self) -> u64 {
        let calls = self.calls.get() + 1;
        self.calls.set(calls);
        assert!(!calls.is_multiple_of(self.panics_every), "asked for");
        calls
    }

    fn hash(&self, entry: &[u8]) -> u64 {
        let honest = hash_of(u32::from(entry[0]) | u32::from(entry[1]) << 8);
        if self.called().is_multiple_of(self.lies_every) { honest.rotate_left(17) ^ self.calls.get() } else { honest }
    }

    fn is(&self, entry: &[u8], key: u32) -> bool {
        let honest = entry[..2] == key.to_le_bytes()[..2];
        honest ^ self.called().is_multiple_of(self.lies_every)
    }

    fn write(&self, entry: &mut [u8], key: u32) {
        entry.fill(0x5a);
        self.called();
        entry[..2].copy_from_slice(&key.to_le_bytes()[..2]);
    }
}

fn hash_of(key: u32) -> u64 {
    (u64::from(key) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// A host whose table is another one each time.
struct Swapping<'t, T>(&'t mut [T; 2], Cell<usize>);

impl<T> Swapping<'_, T> {
    fn turn(&self) -> usize {
        self.1.set(self.1.get() + 1);
        self.1.get() / 2 % 2
    }
}

impl<T: RawTable> Host for Swapping<'_, T> {
    type Table = T;

    fn table(&self) -> &T {
        &self.0[self.turn()]
    }

    fn table_mut(&mut self) -> &mut T {
        let turn = self.turn();
        &mut self.0[turn]
    }
}

type Insert<T> = fn(&mut T, u64, usize, &Unruly, u32) -> Result<(), OutOfMemory>;

fn len_of(size: EntrySize, key: u32) -> usize {
    match size {
        EntrySize::Fixed(bytes) => bytes,
        EntrySize::Variable => [2, 9, 70, 300, 33 << 10][key as usize * 7 % if key.is_multiple_of(16) { 5 } else { 4 }],
    }
}

fn step<T: RawTable>(tables: &mut [T; 2], size: EntrySize, insert: Insert<T>, unruly: &Unruly, step: u64) {
    let key = (step * 31 % 997) as u32;
    let (hash, rehash) = (hash_of(key), |entry: &[u8]| unruly.hash(entry));
    let table = &mut tables[(step / 7 % 2) as usize];
    match step % 11 {
        0..5 => drop(insert(table, hash, len_of(size, key), unruly, key)),
        5 => drop(table.find_entry(hash, |entry| unruly.is(entry, key)).map(|entry| entry.remove(&rehash))),
        6 => drop(table.any_entry().map(|mut entry| {
            let len = len_of(size, key + 1);
            let done = entry.replace(len, &rehash, |to| unruly.write(to, key));
            entry.bytes_mut().fill(3);
            done
        })),
        7 => {
            let _ = table.find_entry(hash, |entry| unruly.is(entry, key)).is_some();
            let mut cursor = Cursor::default();
            let seen: usize = std::iter::from_fn(|| table.next(&mut cursor).map(<[u8]>::len)).take(50).sum();
            assert!(seen < 1 << 30);
        }
        8 => drop(table.visit_part(hash, &rehash, |_, entry| {
            unruly.called();
            assert!(!entry.bytes().is_empty());
        })),
        9 => {
            let host = Swapping(tables, Cell::new(step as usize));
            if let Ok(mut entry) = OccupiedEntry::find(host, hash, |entry| unruly.is(entry, key)) {
                assert!(!entry.bytes().is_empty());
                entry.bytes_mut().fill(1);
                let _ = entry.replace(len_of(size, key + 2), &rehash, |to| unruly.write(to, key));
                entry.remove(&rehash);
            }
        }
        _ => {
            table.set_allowance(step % 3);
            let _ = insert(table, hash, len_of(size, key), unruly, key);
            table.set_allowance(u64::MAX);
        }
    }
}

fn live<T: RawTable>(make: impl Fn() -> T, size: EntrySize, insert: Insert<T>) {
    std::panic::set_hook(Box::new(|_| {}));
    for (panics_every, lies_every) in [(37, u64::MAX), (u64::MAX, 41), (211, 113)] {
        let unruly = Unruly { calls: Cell::new(0), panics_every, lies_every };
        let mut tables = [make(), make()];
        for at in 0..STEPS {
            let _ = catch_unwind(AssertUnwindSafe(|| step(&mut tables, size, insert, &unruly, at)));
        }
        drop(tables);
    }
}

fn insert_into_table(table: &mut Table, hash: u64, len: usize, unruly: &Unruly, key: u32) -> Result<(), OutOfMemory> {
    table.insert(hash, len, &|entry| unruly.hash(entry), |to| unruly.write(to, key))
}

fn insert_into_cache(cache: &mut Cache, hash: u64, len: usize, unruly: &Unruly, key: u32) -> Result<(), OutOfMemory> {
    let now = Clock::given(f64::from(key)).expect("a number");
    let deadlines = Deadlines { hard: now, idle: Time::NEVER };
    let rehash = |entry: &[u8]| unruly.hash(entry);
    cache.insert_until(hash, len, deadlines, &rehash, |to| unruly.write(to, key))?;
    if let Some(mut look) = cache.look(hash, |entry| unruly.is(entry, key)) {
        look.mark();
        look.entry[2..].fill(9);
    }
    let mut steps = 5;
    if let Ok(entry) = OccupiedEntry::expired(&mut *cache, now, &mut steps, &rehash) {
        entry.remove(&rehash);
    }
    if key.is_multiple_of(5)
        && let Ok(mut entry) = OccupiedEntry::victim(&mut *cache, &rehash)
    {
        entry.renew(Deadlines { hard: Time::NEVER, idle: now });
        entry.remove(&rehash);
    }
    if key.is_multiple_of(3) {
        cache.begin_walk();
    }
    if let Ok(mut entry) = OccupiedEntry::next_of_walk(&mut *cache, &rehash) {
        entry.mark();
    }
    Ok(())
}

#[test]
fn tables_of_unruly_callers_stay_whole() {
    for size in [EntrySize::Fixed(16), EntrySize::Fixed(40), EntrySize::Variable] {
        live(|| Table::new(size), size, insert_into_table);
    }
}

#[test]
fn caches_of_unruly_callers_stay_whole() {
    let clock = Clock::Given { origin: 0.0 };
    for size in [EntrySize::Fixed(16), EntrySize::Variable] {
        let keeping = Keeping { clock, idle: true, bounded: true };
        live(|| Cache::keeping(size, keeping), size, insert_into_cache);
    }
}
