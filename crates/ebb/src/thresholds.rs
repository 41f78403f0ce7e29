//! Sizes at which the engine changes what it does. Tests take entry sizes around each of them.

use crate::{heap, lines, memory, sizes, stacked};

/// Sizes of entries, slots and pages.
pub const ENTRY_BYTES: [usize; 10] = [
    lines::Inline::MOST,
    stacked::DENSE.start,
    stacked::DENSE.end,
    sizes::EXACT,
    stacked::MOST_ASKED_FOR,
    memory::OS_PAGE,
    sizes::MAX_STACKED,
    heap::SMALL_PAGE,
    heap::TILES_FROM,
    memory::HUGE_PAGE,
];

/// The size from which a stack of entries takes huge pages.
pub const HUGE_PAGES_FROM: usize = heap::HUGE_FROM;
