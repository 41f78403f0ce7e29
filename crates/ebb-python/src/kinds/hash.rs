//! The hash of keys: the process's own.

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

/// The process's own hash: keyed, so that no set of keys made beforehand collides.
#[inline(always)]
fn keyed() -> &'static SeedableRandomState {
    static KEYED: OnceLock<SeedableRandomState> = OnceLock::new();
    KEYED.get_or_init(|| {
        let seed = std::hash::RandomState::new().hash_one(0u64); // from the system's random source
        SeedableRandomState::with_seed(seed, SharedSeed::global_random())
    })
}

#[inline(always)]
pub(crate) fn hash_int(key: i64) -> u64 {
    keyed().hash_one(key as u64)
}

#[inline]
pub(crate) fn hash_text(key: &[u8]) -> u64 {
    let mut hasher = keyed().build_hasher();
    hasher.write(key);
    hasher.finish()
}
