//! Twelve tags, compared at once.

use crate::system::equal_bytes;

/// Tags that are compared at once.
pub(crate) const TAGS: usize = 12;
/// Twelve tags, and four bytes beside them.
pub(crate) const TAG_BYTES: usize = 16;

/// Which of the twelve tags in front equal `tag`, a bit each.
#[inline]
pub(crate) fn equal(bytes: &[u8; TAG_BYTES], tag: u8) -> u32 {
    equal_bytes(bytes, tag) & ((1 << TAGS) - 1)
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
