//! Bytes an entry beyond its own, while a table fills to `n` and drains, and nanoseconds an operation:
//! `cargo run --release --example footprint -- [entry bytes] [n]`.
use ebb::{EntrySize, RawTable, Table};
use std::hash::BuildHasher;
use std::time::Instant;

fn main() {
    let mut args = std::env::args().skip(1).map(|a| a.parse::<usize>().expect("a number"));
    let (size, n) = (args.next().unwrap_or(64), args.next().unwrap_or(1_000_000));
    let hasher = foldhash::quality::RandomState::default();
    let hash = |key: u64| hasher.hash_one(key);
    let key_of = |entry: &[u8]| u64::from_le_bytes(entry[..8].try_into().unwrap());
    let rehash = |entry: &[u8]| hash(key_of(entry));
    let mut table = Table::new(EntrySize::Fixed(size));
    let (mut worst, mut sum, mut points) = (0f64, 0f64, 0);
    let mut seen = |table: &Table, filling: bool| {
        let over = (table.bytes() as f64 - 262_144.0 - (table.len() * size) as f64) / table.len() as f64;
        let all = (table.bytes() as f64 - (table.len() * size) as f64) / table.len() as f64;
        if table.len() > n / 4 {
            worst = worst.max(over);
            (sum, points) = (sum + all, points + 1);
        }
        if std::env::var_os("VERBOSE").is_some() {
            let (stats, len) = (table.stats(), table.len() as f64);
            let beyond = (stats.page_bytes - stats.entry_bytes) as f64 / len;
            let index = stats.index_bytes as f64 / len;
            println!("{filling} {len} {all:.2} {over:.2}: pages {beyond:.2} index {index:.2}");
        }
    };
    let start = Instant::now();
    for key in 0..n as u64 {
        table.insert(hash(key), size, &rehash, |e| e[..8].copy_from_slice(&key.to_le_bytes())).unwrap();
        if key % (n as u64 / 200) == 0 && key > 0 {
            seen(&table, true);
        }
    }
    let fill = start.elapsed();
    let order = |i: u64| (i * 7_919_999) % n as u64;
    let start = Instant::now();
    let mut found = 0;
    for i in 0..n as u64 {
        found += usize::from(table.find(hash(order(i)), |e| key_of(e) == order(i)).is_some());
    }
    let get = start.elapsed();
    assert_eq!(found, n);
    let start = Instant::now();
    let misses = (0..n as u64).filter(|i| table.find(hash(i + n as u64), |e| key_of(e) == i + n as u64).is_some());
    assert_eq!(misses.count(), 0);
    let miss = start.elapsed();
    println!("{:?}", table.stats());
    let start = Instant::now();
    for i in 0..n as u64 {
        let key = order(i);
        table.find_entry(hash(key), |e| key_of(e) == key).unwrap().remove(&rehash);
        if i % (n as u64 / 200) == 0 {
            seen(&table, false);
        }
    }
    let drain = start.elapsed();
    let ns = |d: std::time::Duration| d.as_nanos() as f64 / n as f64;
    println!("beyond entries: mean {:.2} B, worst less 256 KiB {worst:.2} B", sum / points as f64);
    println!("insert {:.0} get {:.0} miss {:.0} remove {:.0} ns", ns(fill), ns(get), ns(miss), ns(drain));
    println!("left {} bytes", table.bytes());
}
