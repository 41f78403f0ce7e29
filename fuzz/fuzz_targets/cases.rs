//! Bytes as cases of the models that the tests have: see `crates/ebb/tests/common/case.rs`.
#![no_main]

#[path = "../../crates/ebb/tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::case::Case::decode(bytes).run());
