//! Bytes that one table holds beyond the promise for all tables of a process, while it fills and drains: the most of them, by
//! how many bytes its entries have: `cargo run --release --example overhead -- [entry bytes]...`.
use ebb::{EntrySize, RawTable, Table};
use std::hash::BuildHasher;

/// Where the contents double, from 256 bytes on.
const STEPS: usize = 14;

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().expect("a number")).collect();
    let sizes = if sizes.is_empty() {
        vec![8, 16, 24, 32, 63, 64, 72, 100, 120, 300, 1000, 4000, 20_000, 33_000, 70_000]
    } else {
        sizes
    };
    print!("{:>16}", "");
    (0..STEPS).for_each(|step| print!("{:>8}", format!("{}K", 256 << step >> 10)));
    println!();
    for size in sizes {
        row(&format!("fixed {size}"), size, |size| Table::new(EntrySize::Fixed(size)), |_, size| size);
        row(&format!("variable {size}"), size, |_| Table::new(EntrySize::Variable), |_, size| size);
        row(
            &format!("any {size}"),
            size,
            |_| Table::new(EntrySize::Variable),
            |key, size| 8 + (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) as usize % (2 * size - 8).max(1),
        );
    }
}

fn row(name: &str, size: usize, new: impl Fn(usize) -> Table, len: impl Fn(u64, usize) -> usize) {
    let hasher = foldhash::quality::RandomState::default();
    let hash = |key: u64| hasher.hash_one(key);
    let key_of = |entry: &[u8]| u64::from_le_bytes(entry[..8].try_into().unwrap());
    let rehash = |entry: &[u8]| hash(key_of(entry));
    let mut table = new(size);
    let mut most = [[isize::MIN; STEPS]; 2];
    let mut small = 0;
    let mut seen = |table: &Table, small: usize, way: usize| {
        let promised = table.entry_bytes() as f64 * 1.1 + 12.0 * small as f64;
        let step = (table.entry_bytes() / 256).max(1).ilog2() as usize;
        let over = table.bytes() as isize - promised as isize;
        if step < STEPS {
            most[way][step] = most[way][step].max(over);
        }
    };
    let limit = 256 << STEPS;
    let mut n = 0;
    while table.entry_bytes() < limit {
        let len = len(n, size);
        table.insert(hash(n), len, &rehash, |e| e[..8].copy_from_slice(&n.to_le_bytes())).unwrap();
        small += usize::from(len < 64);
        n += 1;
        seen(&table, small, 0);
    }
    let stride = (n / 2..).find(|s| (2..1000).all(|d| s % d != 0 || n % d != 0)).unwrap();
    for i in 0..n {
        let key = i * stride % n;
        let len = len(key, size);
        if let Some(found) = table.find_entry(hash(key), |e| key_of(e) == key) {
            found.remove(&rehash);
            small -= usize::from(len < 64);
        }
        seen(&table, small, 1);
    }
    for (way, most) in ["fill", "drain"].iter().zip(most) {
        print!("{name:>16}");
        most.iter().for_each(|over| if *over == isize::MIN { print!("{:>8}", "-") } else { print!("{over:>8}") });
        println!(" {way}");
    }
}
