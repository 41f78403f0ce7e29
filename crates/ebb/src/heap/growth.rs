//! How large pages are made.

use super::pages::{PAGE_BYTES, slots_in};
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

/// The first pages of the only stack of entries.
const FIRST_PAGE: usize = 512;
/// Which sizes of page are compared: so many of pieces, and so many quarters of the least in pages of the system.
const PIECES_TRIED: usize = 4;
const QUARTERS_TRIED: [usize; 8] = [4, 5, 6, 7, 8, 12, 16, 32];
/// What a page costs beside its slots, in bytes: twice what is kept of it, as those made while the stack was smaller are
/// smaller and more, and as much again for the time that getting it takes.
const COST_OF_PAGE: usize = 4 * PAGE_BYTES;

/// How large the next page of a stack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Growth {
    /// The only stack of entries: a page is at most 1/512 of it, but for a small one.
    Alone,
    /// One of many stacks of entries: as before, but the first pages are smaller.
    OneOfMany,
    /// A dozen stacks that share the index between them: a page is at most 1/8192 of all the heap, but for small ones.
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
            Growth::Blocks => page_bytes(slot, self.at_most(held / 32)),
            Growth::Alone | Growth::OneOfMany | Growth::Lines => match self.large_page() {
                want if want < SMALL_PAGE => self.small_page_bytes(),
                want => page_bytes(slot, self.at_most(want)),
            },
        }
    }

    /// Bytes of the next page of a small stack: of those of about the best size, or the least that has room for a slot, the
    /// page that costs least.
    fn small_page_bytes(self) -> usize {
        let (slot, bytes, most) = (self.slot_bytes, self.bytes, self.at_most(SMALL_PAGE.max(8 * self.slot_bytes)));
        // Slots that fill a page: half of one is empty, and each takes so much, which together is least at this size.
        let want = (2 * COST_OF_PAGE * bytes).isqrt().max(self.least_wanted());
        let least = (want / 2).max(slot);
        let pieces = PIECES.into_iter().skip(PIECES.partition_point(|&piece| piece < least)).take(PIECES_TRIED);
        let unit = slot.max(OS_PAGE);
        let pages =
            QUARTERS_TRIED.map(|quarters| (least.div_ceil(unit) * quarters / 4 * unit).next_multiple_of(OS_PAGE));
        let fits = |&page: &usize| slot <= page && page <= most;
        let cost = |&page: &usize| cost(slot, bytes, page);
        let best = match pieces.filter(fits).min_by_key(cost) {
            Some(piece) if least <= OS_PAGE / 4 => Some(piece), // pages of the system are too large
            piece => piece.into_iter().chain(pages.into_iter().filter(fits)).min_by_key(cost),
        };
        best.unwrap_or_else(|| Memory::block_bytes(slot))
    }

    /// About how large the first pages of a stack should be: smaller ones would take longer than they save, where they are
    /// not one of many.
    fn least_wanted(self) -> usize {
        if self.growth == Growth::Alone { FIRST_PAGE } else { (self.held / 32).min(FIRST_PAGE) }
    }

    /// About how large the next page of a large stack should be.
    fn large_page(self) -> usize {
        let Wanting { growth, bytes, slot_bytes, held, .. } = self;
        let (want, huge) = match growth {
            Growth::Lines => (held / 8192, bytes >= 32 * HUGE_PAGE),
            Growth::Alone | Growth::OneOfMany | Growth::Blocks => (bytes / 512, huge_pages_fit(bytes, slot_bytes)),
        };
        if huge { want.max(HUGE_PAGE) } else { want }
    }

    /// Pages are what is given up at a time where room has to be made.
    fn at_most(self, want: usize) -> usize {
        want.min((self.limit / 256).max(OS_PAGE))
    }
}

/// What it costs a stack of `bytes` to have pages of `page` bytes: half a page that is empty, on average, and for each page
/// what is left behind its last slot and [`COST_OF_PAGE`].
fn cost(slot: usize, bytes: usize, page: usize) -> usize {
    let used = slots_in(page, slot) * slot;
    page / 2 + (bytes + page) / used * (page - used + COST_OF_PAGE)
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
    let want = (want / slot).max(1) * slot;
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
