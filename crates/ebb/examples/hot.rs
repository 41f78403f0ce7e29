//! Nanoseconds an operation on a small table, all in cache: `cargo run --release --example hot`.
use ebb::{EntrySize, RawTable, Table};
use std::hash::BuildHasher;
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let n = 1000u64;
    let hasher = foldhash::quality::RandomState::default();
    let hash = |key: u64| hasher.hash_one(key);
    let key_of = |entry: &[u8]| u64::from_le_bytes(entry[..8].try_into().unwrap());
    let rehash = |entry: &[u8]| hash(key_of(entry));
    for size in [16, 136] {
        let mut table = Table::new(EntrySize::Fixed(size));
        let insert = |table: &mut Table, key: u64| {
            table.insert(hash(key), size, &rehash, |e| e[..8].copy_from_slice(&key.to_le_bytes())).unwrap();
        };
        (0..n).for_each(|key| insert(&mut table, key));
        let timed = |name: &str, table: &mut Table, work: &mut dyn FnMut(&mut Table)| {
            let best = (0..9)
                .map(|_| {
                    let start = Instant::now();
                    (0..300).for_each(|_| work(table));
                    start.elapsed()
                })
                .min()
                .unwrap();
            println!("{size} {name} {:.1} ns", best.as_nanos() as f64 / 300.0 / n as f64);
        };
        timed("hash", &mut table, &mut |_| (0..n).for_each(|key| assert_ne!(black_box(hash(black_box(key))), 0)));
        timed("get", &mut table, &mut |table| {
            for key in 0..n {
                let key = black_box(key);
                black_box(table.find(hash(key), |e| key_of(e) == key));
            }
        });
        timed("miss", &mut table, &mut |table| {
            for key in n..2 * n {
                let key = black_box(key);
                black_box(table.find(hash(key), |e| key_of(e) == key));
            }
        });
        timed("remove and insert", &mut table, &mut |table| {
            for key in 0..n {
                let key = black_box(key);
                table.find_entry(hash(key), |e| key_of(e) == key).unwrap().remove(&rehash);
                insert(table, key);
            }
        });
    }
}
