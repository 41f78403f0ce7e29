//! What a line of the index says of its twelve cells: an eight-bit tag each, and how far each is from its home.
//!
//! Cells in use are the first `count`. Each line also counts how many entries that call it home are elsewhere: a lookup
//! knows when it may stop, and no tombstones are needed.

use crate::tags::{self, TAG_BYTES, TAGS};

/// Cells of a line.
pub(crate) const SLOTS: usize = TAGS;
/// Bytes of a head.
pub(crate) const HEAD_BYTES: usize = TAG_BYTES;
/// An entry is at most this many lines after its home.
pub(crate) const MAX_DISPLACEMENT: usize = 3;
/// An overflow count that has reached this stays until the segment is rebuilt.
pub(crate) const SATURATED: u32 = 15;

const COUNT_SHIFT: u32 = 24;
const OVERFLOW_SHIFT: u32 = 28;
/// The low bit of each two-bit displacement.
const EACH: u32 = 0x0055_5555;

/// 12 tags; then, in 32 bits, displacements (2 bits a slot), count (4 bits), overflow (4 bits). All zero is an empty
/// line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a>(&'a [u8; HEAD_BYTES]);

/// As [`Head`], to write.
#[derive(Debug)]
pub(crate) struct HeadMut<'a>(&'a mut [u8; HEAD_BYTES]);

impl<'a> Head<'a> {
    #[inline(always)]
    pub(crate) fn of(bytes: &'a [u8; HEAD_BYTES]) -> Self {
        Head(bytes)
    }

    #[inline(always)]
    fn meta(self) -> u32 {
        u32::from_le_bytes(*self.0.last_chunk().expect("four bytes"))
    }

    /// Slots in use.
    #[inline]
    pub(crate) fn count(self) -> usize {
        (self.meta() >> COUNT_SHIFT & 15) as usize
    }

    /// Entries that call this line home and are elsewhere; `SATURATED` means that many or more, or in the stash.
    #[inline]
    pub(crate) fn overflow(self) -> u32 {
        self.meta() >> OVERFLOW_SHIFT
    }

    #[inline]
    pub(crate) fn tag(self, slot: usize) -> u8 {
        self.0[..SLOTS][slot]
    }

    /// How many lines the slot is from its home.
    #[inline]
    pub(crate) fn displacement(self, slot: usize) -> usize {
        (self.meta() >> (2 * slot) & 3) as usize
    }

    /// The slots in use with this tag, a bit each.
    #[inline]
    pub(crate) fn matches(self, tag: u8) -> u32 {
        tags::equal(self.0, tag) & ((1 << self.count()) - 1)
    }

    /// The slots in use at this displacement, two bits each of which the low one is set.
    #[inline]
    fn displaced(self, displacement: usize) -> u32 {
        let differs = self.meta() ^ (displacement as u32 * EACH);
        !(differs | differs >> 1) & EACH & ((1 << (2 * self.count())) - 1)
    }

    /// How many slots in use have this displacement.
    #[inline]
    pub(crate) fn count_displaced(self, displacement: usize) -> u32 {
        self.displaced(displacement).count_ones()
    }

    /// A slot in use with this displacement.
    #[inline]
    pub(crate) fn find_displaced(self, displacement: usize) -> Option<usize> {
        let found = self.displaced(displacement);
        (found != 0).then(|| found.trailing_zeros() as usize / 2)
    }

    #[inline]
    pub(crate) fn is_full(self) -> bool {
        self.count() == SLOTS
    }
}

impl<'a> HeadMut<'a> {
    #[inline(always)]
    pub(crate) fn of(bytes: &'a mut [u8; HEAD_BYTES]) -> Self {
        HeadMut(bytes)
    }

    /// The head, to read.
    #[inline(always)]
    pub(crate) fn as_head(&self) -> Head<'_> {
        Head(self.0)
    }

    #[inline(always)]
    fn set_meta(&mut self, meta: u32) {
        *self.0.last_chunk_mut().expect("four bytes") = meta.to_le_bytes();
    }

    /// No slot is in use.
    #[inline]
    pub(crate) fn clear(&mut self) {
        *self.0 = [0; HEAD_BYTES];
    }

    /// Add a slot: which it is; `None` where the line is full.
    #[inline(always)]
    pub(crate) fn push(&mut self, tag: u8, displacement: usize) -> Option<usize> {
        let (slot, meta) = (self.as_head().count(), self.as_head().meta());
        *self.0[..SLOTS].get_mut(slot)? = tag;
        self.set_meta(meta + ((displacement as u32) << (2 * slot) | 1 << COUNT_SHIFT));
        Some(slot)
    }

    /// Take a slot out; the last one, which this gives, takes its place.
    #[inline(always)]
    pub(crate) fn swap_remove(&mut self, slot: usize) -> usize {
        let (head, meta) = (self.as_head(), self.as_head().meta());
        let last = head.count() - 1;
        let (out, moved) = (head.displacement(slot) as u32, head.displacement(last) as u32);
        self.0[..SLOTS][slot] = self.0[..SLOTS][last];
        self.set_meta((meta ^ (out ^ moved) << (2 * slot) ^ moved << (2 * last)) - (1 << COUNT_SHIFT));
        last
    }

    /// One more entry that calls this line home is elsewhere.
    #[inline]
    pub(crate) fn add_overflow(&mut self) {
        if self.as_head().overflow() < SATURATED {
            self.set_meta(self.as_head().meta() + (1 << OVERFLOW_SHIFT));
        }
    }

    /// One fewer; a saturated count stays.
    #[inline]
    pub(crate) fn drop_overflow(&mut self) {
        if self.as_head().overflow() < SATURATED {
            self.set_meta(self.as_head().meta() - (1 << OVERFLOW_SHIFT));
        }
    }

    /// Some entry that calls this line home may be in the stash.
    #[inline]
    pub(crate) fn saturate(&mut self) {
        self.set_meta(self.as_head().meta() | SATURATED << OVERFLOW_SHIFT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_and_go_with_their_displacements() {
        let mut bytes = [0; HEAD_BYTES];
        let mut head = HeadMut::of(&mut bytes);
        for i in 0..SLOTS {
            assert_eq!(head.push(i as u8 % 5, i % 4), Some(i));
        }
        assert!(head.as_head().is_full() && head.push(0, 0).is_none());
        assert_eq!(head.as_head().matches(2), 1 << 2 | 1 << 7);
        assert_eq!(head.as_head().count_displaced(1), 3);
        assert_eq!(head.swap_remove(2), 11);
        let shown = head.as_head();
        assert_eq!((shown.count(), shown.tag(2), shown.displacement(2)), (11, 1, 3));
        assert_eq!(shown.matches(2), 1 << 7);
        while head.as_head().count() > 0 {
            head.swap_remove(0);
        }
        assert_eq!(head.as_head().meta(), 0);
    }

    #[test]
    fn overflow_saturates() {
        let mut bytes = [0; HEAD_BYTES];
        let mut head = HeadMut::of(&mut bytes);
        head.add_overflow();
        head.drop_overflow();
        assert_eq!(head.as_head().overflow(), 0);
        (0..20).for_each(|_| head.add_overflow());
        head.drop_overflow();
        assert_eq!(head.as_head().overflow(), SATURATED);
    }
}
