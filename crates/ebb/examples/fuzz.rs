//! The model of the tests, fed with random operations for so many seconds; on failure, the case to run again:
//! `cargo run --release --example fuzz -- [seconds] [first case]`.
//!
//! The same model as `tests/model.rs`, without its shrinking and with far more cases. Build with
//! `--profile test` to have debug assertions as well.

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Hashing, Model, Op};
use ebb::EntrySize;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

/// SplitMix64: all of a case follows from its number.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.next() as usize % choices.len()]
    }
}

/// What case `number` does: entry size, hashing, operations.
fn case(number: u64) -> (EntrySize, Hashing, Vec<Op>) {
    let mut random = Random(number);
    let sizes =
        [EntrySize::Variable, EntrySize::Variable, EntrySize::Fixed(9), EntrySize::Fixed(24), EntrySize::Fixed(136)];
    let hashings = [Hashing::Good, Hashing::Good, Hashing::Good, Hashing::FewBits, Hashing::AllEqual];
    let (size, hashing) = (random.one_of(&sizes), random.one_of(&hashings));
    let words = random.one_of(&[4, 32, 128]);
    let bytes: Vec<u8> = (0..words).flat_map(|_| random.next().to_le_bytes()).collect();
    (size, hashing, Op::decode(&bytes))
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().expect("a number"));
    let (seconds, first) = (args.next().unwrap_or(60), args.next().unwrap_or(0));
    let (start, limit) = (Instant::now(), Duration::from_secs(seconds));
    let (mut cases, mut operations) = (0, 0);
    while start.elapsed() < limit {
        let number = first + cases;
        let (size, hashing, ops) = case(number);
        operations += ops.len();
        if catch_unwind(|| Model::run(size, hashing, &ops)).is_err() {
            eprintln!("case {number} fails: {size:?}, {hashing:?}, {ops:?}");
            std::process::exit(1);
        }
        cases += 1;
    }
    println!("{cases} cases with {operations} operations from case {first} on in {seconds} s: no failure");
}
