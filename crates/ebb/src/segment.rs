//! A segment of the index: a block of lines, and where a hash belongs in it.
//!
//! Eleven bits of the hash, `x`, place an entry: its home is line `x * lines >> 11`, its tag the low eight bits of
//! `x`. From 8 lines up, home and tag together give `x` back, so that a segment is rebuilt, larger or smaller,
//! without touching an entry. Entries that find no room within three lines of home (in practice: more than 48 of
//! equal hash) are in the stash, lines behind the home lines that are searched from end to end.
#![allow(unsafe_code)] // a block of the heap seen as lines

use crate::chunks::Plain;
use crate::heap::{Handle, Heap};
use crate::line::{Line, MAX_DISPLACEMENT, SATURATED, SLOTS};
use crate::tags::prefetch;

/// Home lines a segment may have: the number lives in the six low bits of the address.
pub(crate) const MAX_LINES: usize = 63;
const X_BITS: u32 = 11;
/// From this many lines up, (home, tag) determines `x`.
pub(crate) const RECOVERABLE: usize = 1 << (X_BITS - 8);

/// The bits of a hash that place an entry within its segment.
#[inline]
pub(crate) fn x_of(hash: u64) -> u16 {
    (hash >> (64 - X_BITS)) as u16
}

#[inline]
pub(crate) fn home_of(x: u16, lines: usize) -> usize {
    (x as usize * lines) >> X_BITS
}

/// The least `x` of each home, in a segment of `lines` lines.
fn least_x(lines: usize) -> [u16; MAX_LINES + 1] {
    let mut least = [0; MAX_LINES + 1];
    for (home, least) in least.iter_mut().enumerate().take(lines) {
        *least = (home << X_BITS).div_ceil(lines) as u16;
    }
    least
}

/// The `x` of an entry with this tag whose home begins at `least`, in a segment of `RECOVERABLE` lines or more.
#[inline]
fn recover(least: u16, tag: u8) -> u16 {
    least + u16::from(tag.wrapping_sub(least as u8))
}

/// An entry on its way from one block to another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub(crate) handle: Handle,
    pub(crate) x: u16,
}

/// Where in a segment an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) line: u32,
    pub(crate) slot: u32,
    pub(crate) handle: Handle,
}

/// Invariant: `tagged` is null where there is no block, else the address of the block's first line with the number of home
/// lines in its low bits; `handle` names the same block; `stashed` where it has lines behind the home lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    tagged: *mut Line,
    pub(crate) handle: Handle,
    /// Entries in the low 31 bits; whether there is a stash in the high one.
    count: u32,
}

const STASHED: u32 = 1 << 31;

// SAFETY: null and zeros are the empty segment.
unsafe impl Plain for Segment {}

// SAFETY: a segment is owned by the index of one table, which owns the heap its pointer leads into.
unsafe impl Send for Segment {}
// SAFETY: `&Segment` only reads.
unsafe impl Sync for Segment {}

impl Segment {
    pub(crate) const EMPTY: Segment = Segment { tagged: std::ptr::null_mut(), handle: 0, count: 0 };

    /// A segment over the block `handle`, which is zeroed here.
    pub(crate) fn over(heap: &mut Heap, handle: Handle, home_lines: usize, stashed: bool) -> Segment {
        heap.slot_mut(handle).fill(0);
        let count = if stashed { STASHED } else { 0 };
        let mut segment = Segment { tagged: std::ptr::null_mut(), handle, count };
        segment.move_to(heap, handle, home_lines);
        segment
    }

    /// The block is at `handle` now.
    pub(crate) fn move_to(&mut self, heap: &Heap, handle: Handle, home_lines: usize) {
        debug_assert!(home_lines <= MAX_LINES);
        self.tagged = heap.address(handle).cast::<Line>().map_addr(|address| address | home_lines);
        self.handle = handle;
    }

    pub(crate) fn has_block(&self) -> bool {
        !self.tagged.is_null()
    }

    #[inline]
    pub(crate) fn home_lines(&self) -> usize {
        self.tagged.addr() & MAX_LINES
    }

    /// Entries.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        (self.count & !STASHED) as usize
    }

    /// There are so many entries more.
    #[inline]
    pub(crate) fn add(&mut self, entries: usize) {
        self.count += entries as u32;
    }

    /// Whether there are lines behind the home lines.
    #[inline]
    pub(crate) fn has_stash(&self) -> bool {
        self.count & STASHED != 0
    }

    #[inline]
    fn base(&self) -> *mut Line {
        self.tagged.map_addr(|address| address & !MAX_LINES)
    }

    /// The home lines.
    #[inline]
    pub(crate) fn lines(&self) -> &[Line] {
        if self.tagged.is_null() {
            return &[];
        }
        // SAFETY: 1. The invariant: a block of at least so many lines, zeroed or written as lines, is at `base`.
        // 2. Lines are plain old data, and the index, which owns the segment, is borrowed.
        unsafe { std::slice::from_raw_parts(self.base(), self.home_lines()) }
    }

    /// The home lines, to write.
    #[inline]
    pub(crate) fn lines_mut(&mut self, _heap: &mut Heap) -> &mut [Line] {
        if self.tagged.is_null() {
            return &mut [];
        }
        // SAFETY: as in `lines`; `&mut Heap` keeps every other reference to the block out.
        unsafe { std::slice::from_raw_parts_mut(self.base(), self.home_lines()) }
    }

    /// The home lines and, behind them, the stash.
    pub(crate) fn all_lines(&self, heap: &Heap) -> &[Line] {
        // SAFETY: as in `lines`; the slot's length says how many lines the block has.
        unsafe { std::slice::from_raw_parts(self.lines().as_ptr(), self.total_lines(heap)) }
    }

    /// As [`all_lines`](Self::all_lines), to write.
    pub(crate) fn all_lines_mut(&mut self, heap: &mut Heap) -> &mut [Line] {
        if self.tagged.is_null() {
            return &mut [];
        }
        let total = self.total_lines(heap);
        // SAFETY: as in `all_lines`; `&mut Heap` keeps every other reference to the block out.
        unsafe { std::slice::from_raw_parts_mut(self.base(), total) }
    }

    pub(crate) fn total_lines(&self, heap: &Heap) -> usize {
        if self.tagged.is_null() { 0 } else { heap.slot(self.handle).len() / size_of::<Line>() }
    }

    /// Ask for the home line of `hash` before it is needed.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        let home = home_of(x_of(hash), self.home_lines());
        prefetch(self.base().wrapping_add(home));
    }

    /// The entry of this hash that `is` recognises by its handle.
    #[inline(always)]
    pub(crate) fn find(&self, heap: &Heap, hash: u64, mut is: impl FnMut(Handle) -> bool) -> Option<Spot> {
        let lines = self.lines();
        if lines.is_empty() {
            return None;
        }
        let x = x_of(hash);
        let home = home_of(x, lines.len());
        let line = &lines[home];
        if let Some(slot) = find_in(line, x as u8, &mut is) {
            return Some(Spot { line: home as u32, slot, handle: line.handle(slot as usize) });
        }
        if line.overflow() == 0 {
            return None;
        }
        self.find_displaced(heap, x, home, &mut is)
    }

    /// The entries in the home line of `hash` that have its tag: most likely the one with this hash, and no other. The
    /// line after it is not asked for ahead: few entries are there, and fetching it slows all lookups.
    #[inline(always)]
    pub(crate) fn candidates(&self, hash: u64) -> Candidates<'_> {
        if self.tagged.is_null() {
            return Candidates { line: &Line::EMPTY, home: 0, matches: 0 };
        }
        let x = x_of(hash);
        let home = home_of(x, self.home_lines());
        // SAFETY: as in `lines`; `home` is one of them, as `x` is below `1 << X_BITS`.
        let line = unsafe { &*self.base().add(home) };
        Candidates { line, home: home as u32, matches: line.matches(x as u8) }
    }

    #[cold]
    fn find_displaced(&self, heap: &Heap, x: u16, home: usize, is: &mut impl FnMut(Handle) -> bool) -> Option<Spot> {
        let lines = self.lines();
        let saturated = lines[home].overflow() == SATURATED;
        let mut left = lines[home].overflow();
        for displacement in 1..=MAX_DISPLACEMENT.min(lines.len() - 1) {
            let at = wrap(home + displacement, lines.len());
            if let Some(slot) = find_in(&lines[at], x as u8, is) {
                return Some(Spot { line: at as u32, slot, handle: lines[at].handle(slot as usize) });
            }
            left = left.saturating_sub(lines[at].count_displaced(displacement));
            if left == 0 && !saturated {
                return None;
            }
        }
        if saturated { self.find_in_stash(heap, x as u8, is) } else { None }
    }

    fn find_in_stash(&self, heap: &Heap, tag: u8, is: &mut impl FnMut(Handle) -> bool) -> Option<Spot> {
        let stash = self.all_lines(heap).iter().enumerate().skip(self.home_lines());
        for (at, line) in stash {
            if let Some(slot) = find_in(line, tag, is) {
                return Some(Spot { line: at as u32, slot, handle: line.handle(slot as usize) });
            }
        }
        None
    }

    /// The first handle with the tag of `hash` in its home line: what a lookup will most likely touch.
    #[inline]
    pub(crate) fn likely(&self, hash: u64) -> Option<Handle> {
        let lines = self.lines();
        let x = x_of(hash);
        let line = lines.get(home_of(x, lines.len()))?;
        let matches = line.matches(x as u8);
        (matches != 0).then(|| line.handle(matches.trailing_zeros() as usize))
    }

    /// Take the entry at `spot` out, and let entries that had to go elsewhere come home.
    #[inline(always)]
    pub(crate) fn remove(&mut self, heap: &mut Heap, spot: Spot) {
        let (at, slot) = (spot.line as usize, spot.slot as usize);
        self.count -= 1;
        let Some(line) = self.lines_mut(heap).get_mut(at) else {
            return self.all_lines_mut(heap)[at].swap_remove(slot);
        };
        let displacement = line.displacement(slot);
        line.swap_remove(slot);
        if displacement > 0 || line.overflow() > 0 {
            self.settle(heap, at, displacement);
        }
    }

    /// An entry that was `displacement` lines from its home was taken out of line `at`.
    #[inline(never)]
    fn settle(&mut self, heap: &mut Heap, at: usize, displacement: usize) {
        let lines = self.lines_mut(heap);
        if displacement > 0 {
            lines[wrap(at + lines.len() - displacement, lines.len())].drop_overflow();
        }
        bring_home(lines, at);
    }

    /// Call `visit` with every entry, its home's `x` where that can be had without the entry.
    #[inline]
    pub(crate) fn each(&self, heap: &Heap, mut visit: impl FnMut(Handle, Option<u16>)) {
        let home_lines = self.home_lines();
        let least = least_x(home_lines);
        for (at, line) in self.all_lines(heap).iter().enumerate() {
            let known = home_lines >= RECOVERABLE && at < home_lines;
            for slot in 0..line.count().min(SLOTS) {
                let x = known.then(|| {
                    let home = wrap(at + home_lines - line.displacement(slot), home_lines);
                    recover(least[home & MAX_LINES], line.tag(slot))
                });
                visit(line.handle(slot), x);
            }
        }
    }
}

/// See [`Segment::candidates`].
pub(crate) struct Candidates<'a> {
    line: &'a Line,
    home: u32,
    matches: u32,
}

impl Candidates<'_> {
    /// Whether no other line has an entry of this home.
    #[inline(always)]
    pub(crate) fn are_all(&self) -> bool {
        self.line.overflow() == 0
    }
}

impl Iterator for Candidates<'_> {
    type Item = Spot;

    #[inline(always)]
    fn next(&mut self) -> Option<Spot> {
        if self.matches == 0 {
            return None;
        }
        let slot = self.matches.trailing_zeros();
        self.matches &= self.matches - 1;
        Some(Spot { line: self.home, slot, handle: self.line.handle(slot as usize) })
    }
}

#[inline]
fn wrap(line: usize, lines: usize) -> usize {
    if line >= lines { line - lines } else { line }
}

#[inline(always)]
fn find_in(line: &Line, tag: u8, is: &mut impl FnMut(Handle) -> bool) -> Option<u32> {
    let mut matches = line.matches(tag);
    while matches != 0 {
        let slot = matches.trailing_zeros() as usize;
        if is(line.handle(slot)) {
            return Some(slot as u32);
        }
        matches &= matches - 1;
    }
    None
}

/// Put an entry into the first line with room from its home on, making room within reach if there is any further on;
/// false if there is none.
#[inline]
pub(crate) fn place(lines: &mut [Line], item: Item) -> bool {
    let home = home_of(item.x, lines.len());
    if !lines[home].is_full() {
        lines[home].push(item.x as u8, 0, item.handle);
        return true;
    }
    place_displaced(lines, home, item)
}

fn place_displaced(lines: &mut [Line], home: usize, item: Item) -> bool {
    let Some(mut distance) = (1..lines.len()).find(|&i| !lines[wrap(home + i, lines.len())].is_full()) else {
        return false;
    };
    while distance > MAX_DISPLACEMENT {
        let Some(step) = move_room_back(lines, wrap(home + distance, lines.len())) else {
            return false;
        };
        distance -= step;
    }
    lines[wrap(home + distance, lines.len())].push(item.x as u8, distance, item.handle);
    lines[home].add_overflow();
    true
}

/// Line `hole` has room, and the lines before it have none: move an entry of one of them into it, as hopscotch hashing
/// does. How many lines before `hole` there is room then.
fn move_room_back(lines: &mut [Line], hole: usize) -> Option<usize> {
    let count = lines.len();
    for step in (1..=MAX_DISPLACEMENT.min(count - 1)).rev() {
        let from = wrap(hole + count - step, count);
        for displacement in 0..=MAX_DISPLACEMENT - step {
            let Some(slot) = lines[from].find_displaced(displacement) else { continue };
            let (tag, handle) = (lines[from].tag(slot), lines[from].handle(slot));
            lines[from].swap_remove(slot);
            lines[hole].push(tag, displacement + step, handle);
            if displacement == 0 {
                lines[from].add_overflow();
            }
            return Some(step);
        }
    }
    None
}

/// As [`place`], or into the stash behind the `home_lines`; false if that is full too.
pub(crate) fn place_or_stash(lines: &mut [Line], home_lines: usize, item: Item) -> bool {
    let (home, stash) = lines.split_at_mut(home_lines);
    if place(home, item) {
        return true;
    }
    let Some(line) = stash.iter_mut().rev().find(|line| !line.is_full()) else {
        return false;
    };
    line.push(item.x as u8, 0, item.handle);
    home[home_of(item.x, home_lines)].saturate();
    true
}

/// A slot of line `hole` came free: an entry displaced from there comes back, and so on for the slot it leaves.
fn bring_home(lines: &mut [Line], mut hole: usize) {
    while lines[hole].overflow() > 0 {
        let reach = 1..=MAX_DISPLACEMENT.min(lines.len() - 1);
        let found = reach.rev().find_map(|displacement| {
            let at = wrap(hole + displacement, lines.len());
            Some((at, lines[at].find_displaced(displacement)?))
        });
        let Some((at, slot)) = found else {
            return; // a saturated count whose entries have gone, or are in the stash
        };
        let (tag, handle) = (lines[at].tag(slot), lines[at].handle(slot));
        lines[at].swap_remove(slot);
        lines[hole].push(tag, 0, handle);
        lines[hole].drop_overflow();
        hole = at;
    }
}

/// Slots in the lines of a block.
pub(crate) const fn slots(lines: usize) -> usize {
    lines * SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

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
