//! One cache line of the index: twelve slots, each an eight-bit tag and a handle.
//!
//! Slots in use are the first `count`. Each slot keeps how many lines it is from its home, and each line how many
//! entries that call it home are elsewhere: a lookup knows when it may stop, and no tombstones are needed.

use crate::heap::Handle;
use crate::tags::Tags;

/// Slots in a line.
pub(crate) const SLOTS: usize = 12;
/// An entry is at most this many lines after its home.
pub(crate) const MAX_DISPLACEMENT: usize = 3;
/// An overflow count that has reached this stays until the segment is rebuilt.
pub(crate) const SATURATED: u32 = 15;

const COUNT_SHIFT: u32 = 24;
const OVERFLOW_SHIFT: u32 = 28;
/// The low bit of each two-bit displacement.
const EACH: u32 = 0x0055_5555;

/// 12 tags; displacements (2 bits a slot), count (4 bits), overflow (4 bits); 12 handles. All zero is an empty line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line {
    head: Tags,
    handles: [Handle; SLOTS],
}

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    pub(crate) const EMPTY: Line = Line { head: Tags { tags: [0; SLOTS], meta: 0 }, handles: [0; SLOTS] };

    /// Slots in use.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        (self.head.meta >> COUNT_SHIFT & 15) as usize
    }

    /// Entries that call this line home and are elsewhere; `SATURATED` means that many or more, or in the stash.
    #[inline]
    pub(crate) fn overflow(&self) -> u32 {
        self.head.meta >> OVERFLOW_SHIFT
    }

    #[inline]
    pub(crate) fn tag(&self, slot: usize) -> u8 {
        self.head.tags[slot]
    }

    #[inline]
    pub(crate) fn handle(&self, slot: usize) -> Handle {
        self.handles[slot]
    }

    #[inline]
    pub(crate) fn set_handle(&mut self, slot: usize, handle: Handle) {
        self.handles[slot] = handle;
    }

    /// How many lines the slot is from its home.
    #[inline]
    pub(crate) fn displacement(&self, slot: usize) -> usize {
        (self.head.meta >> (2 * slot) & 3) as usize
    }

    /// The slots in use with this tag, a bit each.
    #[inline]
    pub(crate) fn matches(&self, tag: u8) -> u32 {
        self.head.equal(tag) & ((1 << self.count()) - 1)
    }

    /// The slots in use at this displacement, two bits each of which the low one is set.
    #[inline]
    fn displaced(&self, displacement: usize) -> u32 {
        let differs = self.head.meta ^ (displacement as u32 * EACH);
        !(differs | differs >> 1) & EACH & ((1 << (2 * self.count())) - 1)
    }

    /// How many slots in use have this displacement.
    #[inline]
    pub(crate) fn count_displaced(&self, displacement: usize) -> u32 {
        self.displaced(displacement).count_ones()
    }

    /// A slot in use with this displacement.
    #[inline]
    pub(crate) fn find_displaced(&self, displacement: usize) -> Option<usize> {
        let found = self.displaced(displacement);
        (found != 0).then(|| found.trailing_zeros() as usize / 2)
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.count() == SLOTS
    }

    /// Add a slot to a line that is not full.
    #[inline]
    pub(crate) fn push(&mut self, tag: u8, displacement: usize, handle: Handle) {
        let slot = self.count();
        self.head.tags[slot] = tag;
        self.handles[slot] = handle;
        self.head.meta += (displacement as u32) << (2 * slot) | 1 << COUNT_SHIFT;
    }

    /// Take a slot out; the last one takes its place.
    #[inline(always)]
    pub(crate) fn swap_remove(&mut self, slot: usize) {
        let last = self.count() - 1;
        let (out, moved) = (self.displacement(slot) as u32, self.displacement(last) as u32);
        self.head.tags[slot] = self.head.tags[last];
        self.handles[slot] = self.handles[last];
        self.head.meta ^= (out ^ moved) << (2 * slot) ^ moved << (2 * last);
        self.head.meta -= 1 << COUNT_SHIFT;
    }

    /// One more entry that calls this line home is elsewhere.
    #[inline]
    pub(crate) fn add_overflow(&mut self) {
        if self.overflow() < SATURATED {
            self.head.meta += 1 << OVERFLOW_SHIFT;
        }
    }

    /// One fewer; a saturated count stays.
    #[inline]
    pub(crate) fn drop_overflow(&mut self) {
        if self.overflow() < SATURATED {
            self.head.meta -= 1 << OVERFLOW_SHIFT;
        }
    }

    /// Some entry that calls this line home may be in the stash.
    #[inline]
    pub(crate) fn saturate(&mut self) {
        self.head.meta |= SATURATED << OVERFLOW_SHIFT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Line {
        Line::EMPTY
    }

    #[test]
    fn slots_come_and_go_with_their_displacements() {
        let mut line = empty();
        for i in 0..SLOTS {
            line.push(i as u8 % 5, i % 4, i as u32);
        }
        assert!(line.is_full());
        assert_eq!(line.matches(2), 1 << 2 | 1 << 7);
        assert_eq!(line.count_displaced(1), 3);
        line.swap_remove(2);
        assert_eq!((line.count(), line.handle(2), line.tag(2), line.displacement(2)), (11, 11, 1, 3));
        assert_eq!(line.matches(2), 1 << 7);
        while line.count() > 0 {
            line.swap_remove(0);
        }
        assert_eq!(line.head.meta, 0);
    }

    #[test]
    fn overflow_saturates() {
        let mut line = empty();
        line.add_overflow();
        line.drop_overflow();
        assert_eq!(line.overflow(), 0);
        (0..20).for_each(|_| line.add_overflow());
        line.drop_overflow();
        assert_eq!(line.overflow(), SATURATED);
    }
}
