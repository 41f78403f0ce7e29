//! The first of the fuzzer's cases: `cargo run --release --example fuzz` goes on from there.

mod common;

use common::case::Case;

/// Miri runs a thousandth of the operations in the same time.
const CASES: u64 = if cfg!(miri) { 10 } else { 400 };
/// How many operations a case may have.
const LENGTHS: &[u64] = if cfg!(miri) { &[8, 16] } else { &[8, 64, 256] };

#[test]
fn the_first_cases_hold() {
    let mut operations = 0;
    for number in 0..CASES {
        let case = Case::numbered(number, LENGTHS);
        operations += case.len();
        case.run();
    }
    assert!(operations >= 8 * CASES as usize);
}

/// Nothing, a head without operations, and a last operation that is cut off.
#[test]
fn any_bytes_are_a_case() {
    for len in 0..16 {
        Case::decode(&vec![0xff; len]).run();
        Case::decode(&vec![0; len]).run();
    }
}
