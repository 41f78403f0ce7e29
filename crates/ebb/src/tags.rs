//! Twelve tags compared at once, and prefetching: what the compiler has to be told of the processor.
#![allow(unsafe_code)] // intrinsics

/// Tags that are compared at once.
pub(crate) const TAGS: usize = 12;
/// Twelve tags, and four bytes beside them.
pub(crate) const TAG_BYTES: usize = 16;

/// Which of the twelve tags in front equal `tag`, a bit each.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn equal(bytes: &[u8; TAG_BYTES], tag: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    // SAFETY: 1. SSE2 is part of every x86-64. 2. `bytes` are 16, anywhere.
    let mask = unsafe {
        let all = _mm_loadu_si128(bytes.as_ptr().cast());
        _mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_set1_epi8(tag as i8)))
    };
    mask as u32 & ((1 << TAGS) - 1)
}

/// Which of the twelve tags in front equal `tag`, a bit each.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn equal(bytes: &[u8; TAG_BYTES], tag: u8) -> u32 {
    bytes[..TAGS].iter().enumerate().fold(0, |mask, (i, &t)| mask | u32::from(t == tag) << i)
}

/// Bytes that come together.
pub(crate) const CACHE_LINE: usize = 64;

/// The caches that a line can be asked into, by the processor's number for them.
const FIRST: i32 = 3;
const SECOND: i32 = 2;

/// Ask for the cache line of `address`, which is needed in a moment.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    prefetch_into::<FIRST, T>(address);
}

/// Ask for the cache line of `address`, one of many that are needed later: the processor's second cache has more of them
/// on their way at a time than the first.
#[inline(always)]
pub(crate) fn prefetch_early<T>(address: *const T) {
    prefetch_into::<SECOND, T>(address);
}

#[inline(always)]
fn prefetch_into<const CACHE: i32, T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address changes nothing and can't fault.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<CACHE>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// As [`prefetch_early`], for all lines that bytes are on.
#[inline]
pub(crate) fn prefetch_all(bytes: &[u8]) {
    (0..bytes.len()).step_by(CACHE_LINE).for_each(|at| prefetch_early(&bytes[at]));
    bytes.last().into_iter().for_each(|last| prefetch_early(last));
}

#[cfg(test)]
mod tests {
    use super::equal;

    #[test]
    fn equal_names_each_position_and_none_beside() {
        let tags = [3, 1, 3, 0, 0, 255, 3, 7, 0, 1, 2, 3];
        for tag in 0..=255u8 {
            let mut bytes = [tag; 16];
            bytes[..12].copy_from_slice(&tags);
            let expected = (0..12).filter(|&i| tags[i] == tag).fold(0, |mask, i| mask | 1 << i);
            assert_eq!(equal(&bytes, tag), expected);
        }
    }
}
