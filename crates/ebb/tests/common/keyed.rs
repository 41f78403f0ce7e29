//! Entries that begin with their key, and hashes of keys.
#![allow(dead_code, unreachable_pub)] // each test uses its part

pub fn hash(key: u64) -> u64 {
    (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

pub fn key_of(entry: &[u8]) -> u64 {
    u64::from_le_bytes(entry[..8].try_into().unwrap())
}

pub fn rehash(entry: &[u8]) -> u64 {
    hash(key_of(entry))
}
