//! How full segments get, how large they are made, and when there should be one more or one fewer: what memory costs in
//! time is settled here.

use crate::head::SLOTS;
use crate::heap::{Growth, TILE};
use crate::lines::{Cells, Inline};
use crate::segment::{MAX_LINES, slots};

/// Below so many entries, blocks are made with room for more: a half, a quarter or an eighth. It is within what the promise
/// leaves each table.
const ROOM_TO_SPARE: [(usize, usize); 3] = [(64, 2), (1 << 10, 4), (8 << 10, 8)];
/// Below so many entries, blocks get smaller when less than two fifths are in use: so that a table may halve and double
/// without that any of them is rebuilt.
const SMALL_TABLE: usize = ROOM_TO_SPARE[1].0;
/// The same for blocks that hold the entries, and less than a third.
const SMALL_TILES: usize = 2 << 10;
/// Below so many entries, blocks that don't hold them get smaller when a fifth is empty.
const MIDDLING_TABLE: usize = ROOM_TO_SPARE[2].0;
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
const STEPS: [(usize, u8); 5] = [(26, 4), (70, 8), (120, 2), (140, 4), (usize::MAX, 8)];

/// How full segments may get, and by how much they grow: the fuller and finer, the smaller the index, the more entries
/// are away from home, where finding them takes a second line, and the more often segments are rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fill {
    /// Of 32 slots, so many.
    full: u8,
    steps: Steps,
    /// Average entries of a segment when a doubling begins; it is done when there are a quarter more.
    split_from: u16,
}

/// The numbers of lines that segments have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steps {
    /// From `STEP_FROM` on, multiples of this, also to have fewer sizes of block.
    Of(u8),
    /// As many lines as make a block of which one of [`SHARES`] fill a [`TILE`].
    Tiles(Tiles),
}

/// How segments of lines that hold the entries are made: each entry moves when one is rebuilt, so all the room is used
/// that the memory promise leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tiles {
    line_bytes: u16,
    /// A smaller block is made when less than so many hundredths of the cells are in use.
    loose: u8,
}

impl Tiles {
    /// The promise is 12 bytes an entry beyond its own, whatever those are.
    fn of(cells: Inline) -> Self {
        Tiles { line_bytes: cells.line_bytes() as u16, loose: if cells.bytes() <= 16 { 66 } else { 72 } }
    }

    /// The next number of lines from `lines` on that a block may have, in a table of `all` entries.
    fn lines(self, lines: usize, all: usize) -> usize {
        let line_bytes = usize::from(self.line_bytes);
        let share = TILE / (lines * line_bytes);
        let sizes = SHARES.iter().step_by(if all < COARSE_BELOW { 2 } else { 1 });
        sizes.copied().find(|&most| most <= share).map_or(lines, |share| TILE / share / line_bytes)
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
        whole * usize::from(self.split_from) + (count - whole) * usize::from(self.split_from / 4)
    }

    /// The number of entries below which there should be one segment fewer than `count`: well below that at which there
    /// came to be so many, and further in a small table, where segments that are too many cost little.
    pub(crate) fn merge_below(self, count: usize) -> usize {
        match count {
            1 => 0,
            _ if self.split_at(count) < MIDDLING_TABLE => self.split_at(count - 1) / 2,
            _ => self.split_at(count - 1) * 17 / 20,
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
        slots(lines) * usize::from(self.full) / 32
    }

    /// Entries for which the next smaller block does.
    #[inline]
    pub(crate) fn capacity_of_fewer(self, lines: usize) -> usize {
        let less = lines.saturating_sub(1);
        self.capacity(match self.steps {
            Steps::Of(step) if lines > STEP_FROM => less & !(usize::from(step) - 1),
            _ => less,
        })
    }

    /// Whether a segment of so many lines has few enough entries for a smaller block, with some room in that; there are
    /// `all` entries in the table.
    #[inline]
    pub(crate) fn is_too_large(self, lines: usize, entries: usize, all: usize) -> bool {
        match self.steps {
            Steps::Of(_) if all < SMALL_TABLE => 5 * entries + 12 <= 2 * self.capacity_of_fewer(lines),
            Steps::Tiles(_) if all < SMALL_TILES => 3 * entries + 6 <= self.capacity_of_fewer(lines),
            Steps::Of(_) if all < MIDDLING_TABLE => 5 * entries + 12 <= 4 * self.capacity_of_fewer(lines),
            Steps::Of(_) => entries + 3 <= self.capacity_of_fewer(lines) && self.lines_to_shrink(entries, all) < lines,
            Steps::Tiles(Tiles { loose, .. }) => {
                entries * 100 <= slots(lines) * usize::from(loose) && self.lines_to_shrink(entries, all) < lines
            }
        }
    }

    /// Lines for so many entries and more to come; there are `all` entries in the table.
    pub(crate) fn lines_to_grow(self, entries: usize, all: usize) -> usize {
        let room_for = match self.steps {
            Steps::Tiles(_) => entries + entries / 5,
            Steps::Of(_) => entries + room_to_spare(entries, all),
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
        let lines = (entries * 32).div_ceil(SLOTS * usize::from(self.full)).max(1);
        let lines = match self.steps {
            _ if lines < STEP_FROM => lines,
            Steps::Of(step) => lines.next_multiple_of(step.into()),
            Steps::Tiles(tiles) => tiles.lines(lines, all),
        };
        lines.min(MAX_LINES)
    }
}

/// Entries for which there is room beside `entries` in a new block of a table of `all`.
fn room_to_spare(entries: usize, all: usize) -> usize {
    ROOM_TO_SPARE.iter().find(|(below, _)| all < *below).map_or(0, |(_, share)| entries / share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Entries of tables around each size at which blocks are made in another way.
    const TABLES: [usize; 12] =
        [1, 63, 64, 1023, 1024, 2047, 2048, 8191, 8192, COARSE_BELOW - 1, COARSE_BELOW, 1 << 24];
    /// More entries than the largest segment takes.
    const MANY: usize = MAX_LINES * SLOTS + 10;

    fn fills() -> Vec<Fill> {
        let stacked = [16, 40, 100, 130, 500].map(|bytes| Fill::ROOMY.where_entries_take(bytes));
        let inline = [8, 12, 16, 20, 24].map(|bytes| Fill::inline(Inline::of(bytes).unwrap()));
        [Fill::DENSE, Fill::ROOMY].into_iter().chain(stacked).chain(inline).collect()
    }

    /// The numbers of lines that segments have in a table of `all` entries.
    fn sizes(fill: Fill, all: usize) -> BTreeSet<usize> {
        (1..=MANY).map(|entries| fill.lines_to_shrink(entries, all)).collect()
    }

    #[test]
    fn a_doubling_takes_a_quarter_more_entries_a_segment_at_a_time() {
        for fill in fills() {
            let average = fill.split_at(1);
            for count in 1..3000usize {
                if count.is_power_of_two() {
                    assert_eq!(fill.split_at(count), count * average);
                } else {
                    assert_eq!(fill.split_at(count) - fill.split_at(count - 1), average / 4);
                }
            }
        }
    }

    #[test]
    fn segments_are_merged_well_below_the_entries_at_which_they_were_split() {
        for fill in fills() {
            assert_eq!(fill.merge_below(1), 0);
            for count in 2..3000 {
                let most = if fill.split_at(count) < MIDDLING_TABLE { 0.5 } else { 0.85 };
                let share = fill.merge_below(count) as f64 / fill.split_at(count - 1) as f64;
                assert!(share <= most && share > most - 0.01, "{share} of the entries, {count} segments");
            }
        }
    }

    #[test]
    fn blocks_have_room_for_their_entries() {
        for (fill, all) in fills().into_iter().flat_map(|fill| TABLES.map(|all| (fill, all))) {
            let most = fill.capacity(MAX_LINES);
            for entries in 1..=MANY {
                for lines in [fill.lines_to_grow(entries, all), fill.lines_to_shrink(entries, all)] {
                    assert!((1..=MAX_LINES).contains(&lines));
                    assert!(fill.capacity(lines) >= entries.min(most), "{entries} entries in {lines} lines, {fill:?}");
                }
            }
        }
    }

    #[test]
    fn blocks_have_little_more_room_than_they_need() {
        for (fill, all) in fills().into_iter().flat_map(|fill| TABLES.map(|all| (fill, all))) {
            let (sizes, tiles) = (sizes(fill, all), matches!(fill.steps, Steps::Tiles(_)));
            for entries in 1..=MANY {
                let more = match all {
                    _ if tiles => entries / 5,
                    _ => room_to_spare(entries, all),
                };
                let needed = sizes.iter().find(|&&lines| fill.capacity(lines) >= entries + more);
                assert_eq!(
                    fill.lines_to_grow(entries, all),
                    *needed.unwrap_or(&MAX_LINES),
                    "{entries} of {all}, {fill:?}"
                );
            }
        }
    }

    #[test]
    fn the_next_smaller_block_is_one_that_is_made() {
        for fill in fills().into_iter().filter(|fill| matches!(fill.steps, Steps::Of(_))) {
            let sizes = Vec::from_iter(sizes(fill, 1 << 24));
            assert_eq!(fill.capacity_of_fewer(sizes[0]), 0);
            for pair in sizes.windows(2) {
                assert_eq!(fill.capacity_of_fewer(pair[1]), fill.capacity(pair[0]), "below {}, {fill:?}", pair[1]);
            }
        }
    }

    #[test]
    fn blocks_get_smaller_when_they_are_too_large_for_their_table() {
        for (fill, all) in fills().into_iter().flat_map(|fill| TABLES.map(|all| (fill, all))) {
            for lines in sizes(fill, all) {
                let fits = fill.capacity_of_fewer(lines);
                let saves = |entries| fill.lines_to_shrink(entries, all) < lines;
                let expected = |entries: usize| match fill.steps {
                    Steps::Of(_) if (1024..8192).contains(&all) => 5 * entries + 12 <= 4 * fits,
                    Steps::Of(_) if all >= 8192 => entries + 3 <= fits && saves(entries),
                    Steps::Tiles(tiles) if all >= SMALL_TILES => {
                        let used = entries as f64 / slots(lines) as f64;
                        saves(entries) && used <= if tiles.line_bytes <= 16 + 12 * 16 { 0.66 } else { 0.72 }
                    }
                    Steps::Tiles(_) => 3 * (entries + 2) <= fits,
                    Steps::Of(_) => 5 * entries + 12 <= 2 * fits,
                };
                for entries in 1..=slots(lines) {
                    let found = fill.is_too_large(lines, entries, all);
                    assert_eq!(found, expected(entries), "{entries} of {all} in {lines} lines, {fill:?}");
                }
            }
        }
    }

    #[test]
    fn segments_grow_by_more_lines_where_entries_leave_room_for_it() {
        let step = |bytes| Fill::ROOMY.where_entries_take(bytes).steps;
        for (pair, between) in STEPS.windows(2).zip([25, 69, 119, 139]) {
            assert_eq!((step(between), step(between + 1)), (Steps::Of(pair[0].1), Steps::Of(pair[1].1)));
        }
        for fill in [Fill::DENSE, Fill::inline(Inline::of(16).unwrap())] {
            assert_eq!(fill.where_entries_take(100), fill);
        }
    }

    /// Those of which there are at least three, and whose size does not come from the limit of lines.
    #[test]
    fn blocks_fill_tiles() {
        for bytes in [8, 12, 16, 20, 24] {
            let block = |lines| lines * Inline::of(bytes).unwrap().line_bytes();
            let sizes = |all| {
                let sizes = sizes(Fill::inline(Inline::of(bytes).unwrap()), all).into_iter();
                Vec::from_iter(
                    sizes.filter(|&lines| (STEP_FROM..MAX_LINES).contains(&lines) && block(lines) <= TILE / 3),
                )
            };
            let (some, all) = (sizes(COARSE_BELOW - 1), sizes(COARSE_BELOW));
            assert!(some.len() * 5 <= all.len() * 3, "{some:?} are not every other one of {all:?}");
            for lines in all.into_iter().chain(some) {
                let waste = TILE % block(lines) * 100 / TILE;
                assert!(waste <= 8, "{lines} lines of entries of {bytes} bytes waste {waste} % of a tile");
            }
        }
    }

    /// Between a change of size and the next lie inserts or removals, and a block that is too large gets smaller.
    #[test]
    fn blocks_are_not_made_for_nothing() {
        for (fill, all) in fills().into_iter().flat_map(|fill| TABLES.map(|all| (fill, all))) {
            let is_too_large = |lines, entries| fill.is_too_large(lines, entries, all);
            for lines in sizes(fill, all) {
                let full = fill.capacity(lines);
                let grown = fill.lines_to_grow(full + 1, all);
                assert!(grown > lines || lines == MAX_LINES, "{full} in {lines} of {all}, {fill:?}");
                for entries in (1..full).filter(|&entries| is_too_large(lines, entries)) {
                    let fewer = fill.lines_to_shrink(entries, all);
                    let room = fill.capacity(fewer).saturating_sub(entries);
                    let change = format!("{entries} of {all} from {lines} to {fewer} lines, {fill:?}");
                    assert!(fewer < lines && room > entries / 64, "{change}");
                    assert!(is_too_large(lines, entries + 1) || !is_too_large(fewer, entries - 1), "{change}");
                }
            }
        }
    }
}
