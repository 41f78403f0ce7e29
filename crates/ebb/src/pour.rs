//! How the entries of a segment get into another block: all, or those of one half of their hashes.
//!
//! The cells of the old block are copied to where they belong in the new one; from 8 lines up, no entry is asked for its
//! hash. Only what is to be parted is, once: see [`Halves`].

use crate::head::SLOTS;
use crate::heap::{Heap, ReadSlots};
use crate::lines::{Cells, Lines, LinesMut};
use crate::segment::{Item, MAX_LINES, Segment, X_BITS, place, slots, wrap, x_of};

/// Gives an entry's hash from what its cell holds.
pub(crate) trait Rehash<C: Cells> {
    fn hash<'a>(&self, slots: impl ReadSlots<'a>, content: C::Content<'_>) -> u64;
}

/// From this many lines up, an entry's home and tag determine its `x`.
const RECOVERABLE: usize = 1 << (X_BITS - 8);

/// A bit for each cell of each line.
type Marks = [u16; MAX_LINES + 1];

/// Which entries of a segment have a bit in their hash.
#[derive(Debug)]
pub(crate) struct Halves {
    segment: Segment,
    bit: u64,
    /// Cells of such entries, where `x` can be had from a cell's place.
    marks: Marks,
    marked: usize,
}

impl Halves {
    /// Asks each entry for its hash.
    pub(crate) fn of<'a, C: Cells>(
        segment: Segment,
        slots: impl ReadSlots<'a>,
        cells: C,
        bit: u64,
        rehash: &impl Rehash<C>,
    ) -> Self {
        let mut halves = Halves { segment, bit, marks: [0; MAX_LINES + 1], marked: 0 };
        segment.each(slots, cells, |content| cells.prefetch(slots, content));
        let is_marked = |content| rehash.hash(slots, content) & bit != 0;
        if is_recoverable(segment) {
            let lines = segment.lines(slots, cells);
            for line in 0..lines.len() {
                let mark = |slot: usize| u16::from(is_marked(lines.content(line, slot))) << slot;
                let marks = (0..lines.head(line).count()).fold(0, |marks, slot| marks | mark(slot));
                halves.marks[line] = marks;
                halves.marked += marks.count_ones() as usize;
            }
        } else {
            segment.each(slots, cells, |content| halves.marked += usize::from(is_marked(content)));
        }
        halves
    }

    /// The entries with the bit, or those without.
    pub(crate) fn part(&self, marked: bool) -> Part<'_> {
        let count = if marked { self.marked } else { self.segment.count() - self.marked };
        Part { segment: self.segment, bit: self.bit, marked, marks: &self.marks, count }
    }
}

/// Entries of a segment: all, or half.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    segment: Segment,
    /// The entries whose hashes have this bit, if `marked`, or else those whose hashes don't.
    bit: u64,
    marked: bool,
    /// See [`Halves`].
    marks: &'a Marks,
    count: usize,
}

impl Part<'static> {
    /// All entries.
    pub(crate) fn all(segment: Segment) -> Self {
        Part { segment, bit: 0, marked: false, marks: &[0; MAX_LINES + 1], count: segment.count() }
    }
}

impl Part<'_> {
    pub(crate) fn segment(&self) -> Segment {
        self.segment
    }

    /// Entries.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Call `visit` with every entry, which is asked for its hash.
    pub(crate) fn each<'a, C: Cells>(
        &self,
        slots: impl ReadSlots<'a>,
        cells: C,
        rehash: &impl Rehash<C>,
        mut visit: impl FnMut(Item<C::Content<'a>>),
    ) {
        self.segment.each(slots, cells, |content| {
            let hash = rehash.hash(slots, content);
            if (hash & self.bit != 0) == self.marked {
                visit(Item { content, x: x_of(hash) });
            }
        });
    }

    /// The cells of a line with `count` of them in use that are the part's, where that is half a segment.
    #[inline(always)]
    fn slots_of(&self, line: usize, count: usize) -> Ones {
        let marks = self.marks[line & MAX_LINES];
        let chosen = if self.marked { marks } else { !marks };
        Ones(chosen & ((1 << count) - 1))
    }
}

/// The numbers of the bits that are set.
struct Ones(u16);

impl Iterator for Ones {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let lowest = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (lowest < SLOTS).then_some(lowest)
    }
}

/// Whether `x` of each entry can be had from the lines it is in.
fn is_recoverable(segment: Segment) -> bool {
    segment.home_lines() >= RECOVERABLE && !segment.has_stash()
}

/// Put entries into the lines of another block; false if there is not room for all near their homes.
pub(crate) fn pour<'a, C: Cells>(
    from: &Part<'_>,
    slots: impl ReadSlots<'a>,
    to: &mut LinesMut<'_, C>,
    rehash: &impl Rehash<C>,
) -> bool {
    if is_recoverable(from.segment) {
        let lines = from.segment.lines(slots, to.cells());
        return match from.bit {
            0 => pour_lines(lines, to, |_, count| 0..count.min(SLOTS)),
            _ => pour_lines(lines, to, |line, count| from.slots_of(line, count)),
        };
    }
    let mut all = true;
    from.each(slots, to.cells(), rehash, |item| all = all && place(to, item));
    all
}

/// As [`pour`], for entries whose `x` can be had from the lines they are in: of a line and how many cells it has in use,
/// `slots` gives those.
#[inline(always)]
fn pour_lines<C: Cells, S: Iterator<Item = usize>>(
    from: Lines<'_, C>,
    to: &mut LinesMut<'_, C>,
    slots: impl Fn(usize, usize) -> S,
) -> bool {
    let least = least_x(from.len());
    for line in 0..from.len() {
        let head = from.head(line);
        for slot in slots(line, head.count()) {
            let x = match head.displacement(slot) {
                0 => recover(least[line & MAX_LINES], head.tag(slot)),
                displacement => recover_displaced(&least, from.len(), line, displacement, head.tag(slot)),
            };
            if !place(to, Item { content: from.content(line, slot), x }) {
                return false;
            }
        }
    }
    true
}

/// For each home in a segment of `lines` lines, of which there are `RECOVERABLE` or more, an `x` such that those of the
/// home's entries are among the 256 from there on. It is the home's least, or as many less as there are lines at most.
fn least_x(lines: usize) -> [u16; MAX_LINES + 1] {
    let each = (1 << X_BITS) / lines;
    std::array::from_fn(|home| (home * each) as u16)
}

/// The `x` of an entry with this tag whose home begins at `least`.
#[inline]
fn recover(least: u16, tag: u8) -> u16 {
    least + u16::from(tag.wrapping_sub(least as u8))
}

/// As [`recover`], for an entry `displacement` lines from home.
#[cold]
fn recover_displaced(least: &[u16; MAX_LINES + 1], lines: usize, line: usize, displacement: usize, tag: u8) -> u16 {
    recover(least[wrap(line + lines - displacement, lines) & MAX_LINES], tag)
}

/// Put the entries of one segment into the block of another beside its own: all, or none.
pub(crate) fn take_in<C: Cells>(
    heap: &mut Heap,
    cells: C,
    host: &mut Segment,
    guest: Segment,
    rehash: &impl Rehash<C>,
) -> bool {
    let mut before = Vec::new();
    let (block, others) = heap.apart(host.handle);
    if (host.count() + guest.count()) * 4 > slots(host.home_lines()) * 3
        || before.try_reserve_exact(block.len()).is_err()
    {
        return false;
    }
    before.extend_from_slice(block);
    let done = pour(&Part::all(guest), others, &mut host.lines_in(block, cells), rehash);
    if done {
        host.add(guest.count());
    } else {
        block.copy_from_slice(&before);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::home_of;

    #[test]
    fn home_and_tag_give_x_back() {
        for lines in RECOVERABLE..=MAX_LINES {
            let least = least_x(lines);
            for x in 0..1 << X_BITS {
                assert_eq!(recover(least[home_of(x, lines)], x as u8), x, "{x} of {lines} lines");
            }
        }
    }
}
