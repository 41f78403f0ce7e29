//! How full segments get, how large they are made, and when there should be one more or one fewer: what memory costs in
//! time is settled here.

use crate::head::SLOTS;
use crate::heap::{Growth, TILE};
use crate::lines::{Cells, Inline};
use crate::segment::{MAX_LINES, slots};

/// Below this many entries, blocks are made with room to spare: the memory is within the promise's fixed part.
const SMALL_TABLE: usize = 8 << 10;
/// How many blocks fill a tile: each size is about a tenth larger than the one before, or as little as can be.
const SHARES: [usize; 22] = [38, 34, 31, 28, 25, 23, 21, 19, 17, 15, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2];
/// Tables of fewer entries have every other size of block: a tile that is partly empty, for each size, is much of what
/// the promise leaves them.
const COARSE_BELOW: usize = 64 << 10;
/// Smaller segments have any number of lines.
const STEP_FROM: usize = 8;

/// By how many lines segments grow from [`STEP_FROM`] lines on, where entries take less than so many bytes with their
/// part of the index. The memory promise leaves least where a tenth of an entry is little; a large table may have a third
/// of that in a huge page. What a step costs, with entries of 100 bytes: bytes an entry beyond its own while a million come
/// and go (`examples/footprint.rs`), and instructions an insert while 50,000 come.
///
/// | lines | mean | most | instructions |
/// |---|---|---|---|
/// | 1 | 7.3 | 9.2 | 1,350 |
/// | 2 | 7.4 | 9.2 | 860 |
/// | 4 | 7.6 | 9.5 | 620 |
/// | 8 | 8.3 | 10.5 | 510 |
const STEPS: [(usize, usize); 5] = [(26, 4), (70, 8), (120, 2), (140, 4), (usize::MAX, 8)];

/// How full segments may get, and by how much they grow: the fuller and finer, the smaller the index, the more entries
/// are away from home, where finding them takes a second line, and the more often segments are rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fill {
    /// Of 32 slots, so many.
    full: usize,
    steps: Steps,
    /// Average entries of a segment when a doubling begins; it is done when there are a quarter more.
    split_from: usize,
}

/// The numbers of lines that segments have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steps {
    /// From `STEP_FROM` on, multiples of this, also to have fewer sizes of block.
    Of(usize),
    /// As many lines as make a block of which one of [`SHARES`] fill a [`TILE`].
    Tiles(Tiles),
}

/// How segments of lines that hold the entries are made: each entry moves when one is rebuilt, so all the room is used
/// that the memory promise leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tiles {
    line_bytes: usize,
    /// A smaller block is made when less than so many hundredths of the cells are in use.
    loose: usize,
}

impl Tiles {
    /// The promise is 12 bytes an entry beyond its own, whatever those are.
    fn of(cells: Inline) -> Self {
        Tiles { line_bytes: cells.line_bytes(), loose: if cells.bytes() <= 16 { 66 } else { 72 } }
    }

    /// The next number of lines from `lines` on that a block may have, in a table of `all` entries.
    fn lines(self, lines: usize, all: usize) -> usize {
        let share = TILE / (lines * self.line_bytes);
        let sizes = SHARES.iter().step_by(if all < COARSE_BELOW { 2 } else { 1 });
        sizes.copied().find(|&most| most <= share).map_or(lines, |share| TILE / share / self.line_bytes)
    }
}

impl Fill {
    /// About 6.0 bytes an entry.
    pub(crate) const DENSE: Fill = Fill { full: 31, steps: Steps::Of(1), split_from: 224 };
    /// About 7.0 bytes an entry with steps of two lines, 7.3 with four, 7.9 with eight.
    pub(crate) const ROOMY: Fill = Fill { full: 28, steps: Steps::Of(4), split_from: 224 };

    /// For entries in the index itself.
    pub(crate) fn inline(cells: Inline) -> Fill {
        Fill { full: 30, steps: Steps::Tiles(Tiles::of(cells)), split_from: 168 }
    }

    /// The number of entries at which there should be one segment more than `count`.
    pub(crate) fn split_at(self, count: usize) -> usize {
        let whole = 1 << count.ilog2();
        whole * self.split_from + (count - whole) * (self.split_from / 4)
    }

    /// The number of entries below which there should be one segment fewer than `count`: well below that at which there
    /// came to be so many, and further in a small table, where segments that are too many cost little.
    pub(crate) fn merge_below(self, count: usize) -> usize {
        match count {
            1 => 0,
            _ if self.split_at(count) < SMALL_TABLE => self.split_at(count - 1) / 2,
            _ => self.split_at(count - 1) / 20 * 17,
        }
    }

    /// How blocks get their pages.
    pub(crate) fn growth(self) -> Growth {
        if let Steps::Of(_) = self.steps { Growth::Lines } else { Growth::Blocks }
    }

    /// The same for entries that take so many bytes, with their part of the index: see [`STEPS`].
    pub(crate) fn where_entries_take(self, bytes: usize) -> Fill {
        if self.full == Fill::DENSE.full || matches!(self.steps, Steps::Tiles(_)) {
            return self;
        }
        let step = STEPS.iter().find(|(below, _)| bytes < *below).map_or(8, |&(_, step)| step);
        Fill { steps: Steps::Of(step), ..self }
    }

    /// Entries that so many lines take.
    #[inline]
    pub(crate) fn capacity(self, lines: usize) -> usize {
        slots(lines) * self.full / 32
    }

    /// Entries for which the next smaller block does.
    #[inline]
    pub(crate) fn capacity_of_fewer(self, lines: usize) -> usize {
        let less = lines.saturating_sub(1);
        self.capacity(match self.steps {
            Steps::Of(step) if lines > STEP_FROM => less & !(step - 1),
            _ => less,
        })
    }

    /// Whether a segment of so many lines has few enough entries for a smaller block, with some room in that; there are
    /// `all` entries in the table.
    #[inline]
    pub(crate) fn is_too_large(self, lines: usize, entries: usize, all: usize) -> bool {
        match self.steps {
            Steps::Of(_) if all < SMALL_TABLE => 3 * entries + 6 <= self.capacity_of_fewer(lines),
            Steps::Tiles(_) if all < SMALL_TABLE / 4 => 3 * entries + 6 <= self.capacity_of_fewer(lines),
            Steps::Of(_) => entries + 3 <= self.capacity_of_fewer(lines),
            Steps::Tiles(Tiles { loose, .. }) => {
                entries * 100 <= slots(lines) * loose && self.lines_to_shrink(entries, all) < lines
            }
        }
    }

    /// Lines for so many entries and more to come; there are `all` entries in the table.
    pub(crate) fn lines_to_grow(self, entries: usize, all: usize) -> usize {
        let room_for = match self.steps {
            Steps::Tiles(_) => entries + entries / 5,
            Steps::Of(_) if all < SMALL_TABLE => entries + entries / 2,
            Steps::Of(_) => entries,
        };
        self.lines_for(room_for, all)
    }

    /// Lines for so many entries and fewer to come, and room for some more: between two changes of size there and back lie
    /// at least so many inserts.
    pub(crate) fn lines_to_shrink(self, entries: usize, all: usize) -> usize {
        let room_for = match self.steps {
            Steps::Of(_) => entries + entries / 64 + 1,
            Steps::Tiles(_) => entries + entries / 28 + 1,
        };
        self.lines_for(room_for, all)
    }

    /// Lines that so many entries need, at most `MAX_LINES`.
    fn lines_for(self, entries: usize, all: usize) -> usize {
        let lines = (entries * 32).div_ceil(SLOTS * self.full).max(1);
        let lines = match self.steps {
            _ if lines < STEP_FROM => lines,
            Steps::Of(step) => lines.next_multiple_of(step),
            Steps::Tiles(tiles) => tiles.lines(lines, all),
        };
        lines.min(MAX_LINES)
    }
}
