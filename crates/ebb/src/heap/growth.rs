//! How large pages are made.

use super::pages::slots_in;
use crate::memory::{HUGE_PAGE, Memory, OS_PAGE, PIECES};

/// While a table is small its pages may be this large: the fixed part of the memory promise.
pub(crate) const SMALL_PAGE: usize = 64 << 10;

/// A page of [`Growth::Blocks`] in a table that is not small: all are of one size, so that what one stack gives up the
/// next one takes. Blocks are of sizes that fill it.
pub(crate) const TILE: usize = 32 << 10;
pub(crate) const TILES_FROM: usize = 512 << 10;
/// From here on they are of 2 MiB.
const HUGE_TILES_FROM: usize = 512 << 20;

/// From this size of a stack on, huge pages are worth what touching one first takes: some hundred microseconds at once,
/// milliseconds where the hypervisor has to find the memory.
pub(crate) const HUGE_FROM: usize = 64 << 20;

/// The smallest page.
const SMALLEST_PAGE: usize = 256;

/// How large the next page of a stack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Growth {
    /// The only stack of entries: a page is at most 1/512 of it, but for the first 64 KiB of page.
    Alone,
    /// One of many stacks of entries: as before, but small ones have smaller pages.
    OneOfMany,
    /// A dozen stacks that share the index between them: a page is at most 1/8192 of all the heap.
    Lines,
    /// A dozen stacks that share all entries between them, in blocks of some kilobytes: see [`TILE`].
    Blocks,
}

/// A stack that wants a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanting {
    pub(super) growth: Growth,
    /// Bytes of its pages.
    pub(super) bytes: usize,
    pub(super) slot_bytes: usize,
    /// Bytes that the table holds, and the most it may hold.
    pub(super) held: usize,
    pub(super) limit: usize,
}

impl Wanting {
    /// Bytes of its next page.
    pub(super) fn page_bytes(self) -> usize {
        let (slot, held) = (self.slot_bytes, self.held);
        match self.growth {
            Growth::Blocks if held >= HUGE_TILES_FROM => HUGE_PAGE,
            Growth::Blocks if held >= TILES_FROM => TILE,
            Growth::Blocks if held / 32 < 2 * slot => Memory::block_bytes(slot),
            _ => page_bytes(slot, self.about()),
        }
    }

    /// About how large the next page should be.
    fn about(self) -> usize {
        let Wanting { growth, bytes, slot_bytes, held, limit } = self;
        let (early, late, huge) = match growth {
            Growth::Alone => (bytes / 4, bytes / 512, huge_pages_fit(bytes, slot_bytes)),
            Growth::OneOfMany => (bytes / 16, bytes / 512, huge_pages_fit(bytes, slot_bytes)),
            Growth::Lines => (bytes / 16, held / 8192, bytes >= 32 * HUGE_PAGE),
            Growth::Blocks => (0, held / 32, false),
        };
        let wanted = if huge { late.max(HUGE_PAGE) } else { late.max(early.min(SMALL_PAGE)) };
        // What is given up at a time where room has to be made.
        wanted.min((limit / 256).max(OS_PAGE))
    }
}

/// Whether a stack of entries is that large, and what is empty of a huge page costs less than what the memory promise leaves
/// beside the index: of 1/10 of an entry, or of 12 bytes where it is below 64.
fn huge_pages_fit(bytes: usize, slot: usize) -> bool {
    let slack = if slot < 64 { 250 } else { (slot.saturating_sub(64)) * 7 }; // hundredths of a byte, an entry
    bytes >= HUGE_FROM && bytes / slot * slack / 100 >= HUGE_PAGE
}

/// The bytes of a page of slots of `slot` bytes, about `want` large: whole huge pages where slots fill them; else the
/// size between `want` and twice that, of a block or in OS pages, that leaves the least behind the last slot. A page always
/// has room for a slot.
pub(super) fn page_bytes(slot: usize, want: usize) -> usize {
    let huge = want / HUGE_PAGE * HUGE_PAGE;
    if huge >= slot && huge % slot * 24 <= huge {
        return huge;
    }
    let want = ((want / slot).max(1) * slot).max(SMALLEST_PAGE);
    let loss = |bytes: usize| {
        let slots = slots_in(bytes, slot).max(1);
        ((bytes - slots * slot) << 20) / bytes
    };
    let least = want.div_ceil(OS_PAGE);
    let pages = (least..=least + least.min(15)).map(|pages| pages * OS_PAGE);
    let pieces = PIECES.into_iter().chain([OS_PAGE]).filter(|&bytes| want <= bytes && bytes <= 2 * want);
    let key = |&bytes: &usize| (loss(bytes), bytes);
    let best = if want < OS_PAGE { pieces.min_by_key(key) } else { pages.min_by_key(key) };
    best.unwrap_or(least * OS_PAGE)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::pages::MAX_SLOTS;
    use super::*;
    use crate::sizes::MAX_STACKED;

    #[test]
    fn pages_waste_little() {
        for slot in (8..4096).step_by(8) {
            for want in [0, 4096, 65_536, 1 << 20, 5 << 20] {
                let bytes = page_bytes(slot, want);
                let slots = (bytes / slot).max(1);
                let waste = bytes - slots * slot;
                assert!(
                    want < 65_536 || waste * 24 <= bytes || slots == MAX_SLOTS,
                    "{slot} {want}: {waste} of {bytes}"
                );
            }
        }
    }

    #[test]
    fn a_page_has_room_for_a_slot() {
        for slot in sizes_around_thresholds() {
            for want in sizes_around_thresholds().chain([0, 1 << 30]) {
                let bytes = page_bytes(slot, want);
                assert!(bytes >= slot, "{slot} {want}: {bytes}");
            }
        }
    }

    /// Sizes around every threshold of this file and of the sizes of entries.
    pub(in crate::heap) fn sizes_around_thresholds() -> impl Iterator<Item = usize> {
        let thresholds = [OS_PAGE, TILE, SMALL_PAGE, MAX_STACKED, HUGE_PAGE, 2 * HUGE_PAGE, 3 * HUGE_PAGE, HUGE_FROM];
        let around = |at: usize| [at - 64, at - 1, at, at + 1, at + 64, at / 2 + 1, at / 3, at + at / 2];
        thresholds.into_iter().flat_map(around)
    }
}
