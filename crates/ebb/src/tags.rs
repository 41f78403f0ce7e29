//! Twelve tags compared at once, and prefetching: what the compiler has to be told of the processor.
#![allow(unsafe_code)] // intrinsics

/// The bytes of `tags` that equal `tag`, a bit each.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn equal(tags: &[u8; 12], tag: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *tags;
    let (low, high) = (i64::from_le_bytes([a, b, c, d, e, f, g, h]), i32::from_le_bytes([i, j, k, l]));
    // SAFETY: SSE2 is part of every x86-64.
    let mask = unsafe {
        let all = _mm_set_epi64x(high.into(), low);
        _mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_set1_epi8(tag as i8)))
    };
    mask as u32 & 0xfff
}

/// The bytes of `tags` that equal `tag`, a bit each.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn equal(tags: &[u8; 12], tag: u8) -> u32 {
    tags.iter().enumerate().fold(0, |mask, (i, &t)| mask | u32::from(t == tag) << i)
}

/// Ask for the cache line of `address` before it is needed.
#[inline]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address changes nothing and can't fault.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    #[test]
    fn equal_names_each_position() {
        let tags = [3, 1, 3, 0, 0, 255, 3, 7, 0, 1, 2, 3];
        for tag in 0..=255u8 {
            let expected = (0..12).filter(|&i| tags[i] == tag).fold(0, |mask, i| mask | 1 << i);
            assert_eq!(super::equal(&tags, tag), expected);
        }
    }
}
