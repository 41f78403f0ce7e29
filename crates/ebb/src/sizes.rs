//! Slot sizes for entries of any length: every length to 64 bytes, then 32 steps a doubling.
//!
//! A length that is a size itself takes exactly its bytes; any other goes to the next size, whose slots end in one or
//! two bytes that say how many are left over.

/// Longer entries have pages of their own: what those leave is a sixteenth at most.
pub(crate) const MAX_STACKED: usize = 64 << 10;

/// The longest entry of a table whose entries vary in length. A slot's length is kept in 32 bits, and a cache puts some
/// bytes in front of each entry.
pub const MAX_ENTRY_BYTES: usize = u32::MAX as usize - 64;
pub(crate) const EXACT: usize = 64;
const STEPS: usize = 32;

/// Which slots an entry of some length goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SizeClass {
    /// Dense number, below [`CLASSES`].
    pub(crate) number: usize,
    pub(crate) slot_bytes: usize,
    /// Bytes at the end of a slot that hold what is left over: 0, 1 or 2.
    pub(crate) trailer: usize,
}

/// How many classes there are.
pub(crate) const CLASSES: usize = 2 * (EXACT + 10 * STEPS);

/// The class of entries of `len` bytes, 1 to `MAX_STACKED`.
pub(crate) fn class_of(len: usize) -> SizeClass {
    debug_assert!((1..=MAX_STACKED).contains(&len));
    if len <= EXACT {
        return SizeClass { number: len - 1, slot_bytes: len, trailer: 0 };
    }
    let doubling = (len - 1).ilog2() as usize; // of 6: 65..=128
    let step = (1 << doubling) / STEPS;
    let size = len.next_multiple_of(step);
    let number = EXACT + (doubling - 6) * STEPS + (size - (1 << doubling)) / step - 1;
    let trailer = match (size == len, step) {
        (true, _) => 0,
        (false, ..=256) => 1,
        (false, _) => 2,
    };
    let number = if trailer == 0 { number } else { number + CLASSES / 2 };
    SizeClass { number, slot_bytes: size + trailer, trailer }
}

/// Note in `slot` that its entry has `len` bytes.
pub(crate) fn write_trailer(slot: &mut [u8], trailer: usize, len: usize) {
    let left_over = slot.len() - trailer - len;
    let at = slot.len() - trailer;
    slot[at..].copy_from_slice(&(left_over as u16).to_le_bytes()[..trailer]);
}

/// The entry in a slot.
#[inline]
pub(crate) fn entry_in(slot: &[u8], trailer: u8) -> &[u8] {
    let bytes = slot.len();
    let len = match trailer {
        0 => bytes,
        1 => bytes - 1 - slot[bytes - 1] as usize,
        _ => bytes - 2 - u16::from_le_bytes([slot[bytes - 2], slot[bytes - 1]]) as usize,
    };
    &slot[..len]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn every_length_fits_is_told_and_loses_little() {
        let mut slots = HashMap::new();
        for len in 1..=MAX_STACKED {
            let class = class_of(len);
            assert!(class.number < CLASSES);
            let same = slots.entry(class.number).or_insert((class.slot_bytes, class.trailer));
            assert_eq!(*same, (class.slot_bytes, class.trailer), "a class is one size");
            let mut slot = vec![0xaa; class.slot_bytes];
            write_trailer(&mut slot, class.trailer, len);
            assert_eq!(entry_in(&slot, class.trailer as u8).len(), len);
            assert!((class.slot_bytes - len) * 24 <= len, "{len} takes {}", class.slot_bytes);
        }
    }

    #[test]
    fn round_lengths_take_exactly_their_bytes() {
        for len in [1, 17, 64, 72, 108, 136, 264, 4096 + 256] {
            let class = class_of(len);
            assert!(class.trailer == 0 && class.slot_bytes == len, "{len}: {class:?}");
        }
    }
}
