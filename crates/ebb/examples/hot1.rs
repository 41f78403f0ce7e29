use ebb::{EntrySize, RawTable, Table};
use std::hash::BuildHasher;
use std::hint::black_box;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let size: usize = a[1].parse().unwrap(); let op = &a[2]; let rounds: u64 = a[3].parse().unwrap();
    let n = 1000u64;
    let hasher = foldhash::quality::FixedState::with_seed(7);
    let hash = |key: u64| hasher.hash_one(key);
    let key_of = |entry: &[u8]| u64::from_le_bytes(entry[..8].try_into().unwrap());
    let rehash = |entry: &[u8]| hash(key_of(entry));
    let mut table = Table::new(if size==0 {EntrySize::Variable} else {EntrySize::Fixed(size)});
    let len = if size==0 {40} else {size};
    let insert = |table: &mut Table, key: u64| {
        table.insert(hash(key), len, &rehash, |e| e[..8].copy_from_slice(&key.to_le_bytes())).unwrap();
    };
    (0..n).for_each(|key| insert(&mut table, key));
    for _ in 0..rounds { match op.as_str() {
        "get" => for key in 0..n { black_box(table.get(hash(black_box(key)), |e| key_of(e) == key)); },
        "getmut" => for key in 0..n { black_box(table.get_mut(hash(black_box(key)), |e| key_of(e) == key)); },
        "find" => for key in 0..n { black_box(table.find(hash(black_box(key)), |e| key_of(e) == key)); },
        "miss" => for key in n..2*n { black_box(table.find(hash(black_box(key)), |e| key_of(e) == key)); },
        "ri" => for key in 0..n { table.find_entry(hash(key), |e| key_of(e) == key).unwrap().remove(&rehash); insert(&mut table, key); },
        "fill" => { table.clear(); (0..n).for_each(|key| insert(&mut table, key)); },
        _ => panic!() } }
}
