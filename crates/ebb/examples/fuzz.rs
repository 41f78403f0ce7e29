//! Tables and caches beside their models, fed with random operations for so many seconds; on failure, the case to run
//! again: `cargo run --release --example fuzz -- [seconds] [first case]`.
//!
//! What bytes stand for is in `tests/common/case.rs`, which the coverage-guided fuzzer (`fuzz/`) shares. Build with
//! `--profile test` to have debug assertions as well.

#[path = "../tests/common/mod.rs"]
mod common;

use common::case::Case;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

/// How many operations a case has: one of these.
const LENGTHS: &[u64] = &[8, 64, 256];

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().expect("a number"));
    let (seconds, first) = (args.next().unwrap_or(60), args.next().unwrap_or(0));
    let (start, limit) = (Instant::now(), Duration::from_secs(seconds));
    let (mut cases, mut operations) = (0, 0);
    while start.elapsed() < limit {
        let number = first + cases;
        let case = Case::numbered(number, LENGTHS);
        operations += case.len();
        if catch_unwind(|| case.run()).is_err() {
            eprintln!("case {number} fails: {case:?}");
            std::process::exit(1);
        }
        cases += 1;
    }
    println!("{cases} cases with {operations} operations from case {first} on in {seconds} s: no failure");
}
