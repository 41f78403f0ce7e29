//! A segment of the index: a block of lines, and where a hash belongs in it.
//!
//! Eleven bits of the hash, `x`, place an entry: its home is line `x * lines >> 11`, its tag the low eight bits of
//! `x`. From 8 lines up, home and tag together give `x` back, so that a segment is rebuilt, larger or smaller,
//! without touching an entry. Entries that find no room within three lines of home (in practice: more than 48 of
//! equal hash) are in the stash, lines behind the home lines that are searched from end to end.
#![allow(unsafe_code)] // a block of the heap seen as lines

use crate::chunks::Plain;
use crate::head::{MAX_DISPLACEMENT, SATURATED, SLOTS};
use crate::heap::{Handle, Heap};
use crate::lines::{Cells, Lines, LinesMut, lines_in};

/// Home lines a segment may have: the number lives in the six low bits of the address.
pub(crate) const MAX_LINES: usize = 63;
pub(crate) const X_BITS: u32 = 11;

/// The bits of a hash that place an entry within its segment.
#[inline]
pub(crate) fn x_of(hash: u64) -> u16 {
    (hash >> (64 - X_BITS)) as u16
}

#[inline]
pub(crate) fn home_of(x: u16, lines: usize) -> usize {
    (x as usize * lines) >> X_BITS
}

/// An entry on its way from one block to another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<T> {
    pub(crate) content: T,
    pub(crate) x: u16,
}

/// A cell of a segment; `line` counts on into the stash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) line: u32,
    pub(crate) slot: u32,
}

impl Spot {
    #[inline(always)]
    fn new(line: usize, slot: usize) -> Self {
        Spot { line: line as u32, slot: slot as u32 }
    }
}

/// Invariant: `tagged` is null where there is no block, else the block's address with the number of home lines in its
/// low bits; `handle` names the same block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    tagged: *mut u8,
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

    /// A segment over the block `handle`, which is emptied here: of `home_lines` lines, and a stash where it is longer.
    pub(crate) fn over(
        heap: &mut Heap,
        cells: impl Cells,
        handle: Handle,
        home_lines: usize,
        stashed: bool,
    ) -> Segment {
        let count = if stashed { STASHED } else { 0 };
        let mut segment = Segment { tagged: std::ptr::null_mut(), handle, count };
        segment.move_to(heap, handle, home_lines);
        segment.lines_mut(heap, cells).clear();
        if stashed {
            segment.stash_mut(heap, cells).clear();
        }
        segment
    }

    /// The block is at `handle` now.
    pub(crate) fn move_to(&mut self, heap: &Heap, handle: Handle, home_lines: usize) {
        debug_assert!(home_lines <= MAX_LINES);
        self.tagged = heap.address(handle).map_addr(|address| address | home_lines);
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
    fn base(&self) -> *mut u8 {
        self.tagged.map_addr(|address| address & !MAX_LINES)
    }

    /// The home lines: none where there is no block.
    #[inline(always)]
    pub(crate) fn lines<C: Cells>(&self, cells: C) -> Lines<'_, C> {
        // SAFETY: 1. The invariant: a block of at least so many lines is at `base`. 2. The index, which owns the segment,
        // is borrowed; copies of a segment are used while its block is there.
        unsafe { Lines::new(self.base(), self.home_lines(), cells) }
    }

    /// The home lines, to write.
    #[inline(always)]
    pub(crate) fn lines_mut<C: Cells>(&mut self, _heap: &mut Heap, cells: C) -> LinesMut<'_, C> {
        // SAFETY: as in `lines`; a block is one segment's, which is borrowed, and whoever reads the heap meanwhile
        // reads entries and other blocks.
        unsafe { LinesMut::new(self.base(), self.home_lines(), cells) }
    }

    /// Where the stash begins, and its lines.
    fn stash_at(&self, heap: &Heap, cells: impl Cells) -> (*mut u8, usize) {
        if !self.has_stash() {
            return (std::ptr::null_mut(), 0);
        }
        let home_bytes = self.home_lines() * cells.line_bytes();
        let total = lines_in(cells, heap.slot(self.handle).len());
        (self.base().wrapping_add(home_bytes), total - self.home_lines())
    }

    /// The lines behind the home lines.
    pub(crate) fn stash<C: Cells>(&self, heap: &Heap, cells: C) -> Lines<'_, C> {
        let (base, count) = self.stash_at(heap, cells);
        // SAFETY: as in `lines`: what is behind the home lines is a block of lines of its own, on a multiple of 16.
        unsafe { Lines::new(base, count, cells) }
    }

    /// The lines behind the home lines, to write.
    pub(crate) fn stash_mut<C: Cells>(&mut self, heap: &mut Heap, cells: C) -> LinesMut<'_, C> {
        let (base, count) = self.stash_at(heap, cells);
        // SAFETY: as in `stash` and `lines_mut`.
        unsafe { LinesMut::new(base, count, cells) }
    }

    /// The lines that line `at` is one of, which number it has among them, and whether they are the stash.
    #[inline]
    pub(crate) fn lines_with<C: Cells>(&self, heap: &Heap, cells: C, at: usize) -> (Lines<'_, C>, usize) {
        match at.checked_sub(self.home_lines()) {
            None => (self.lines(cells), at),
            Some(at) => (self.stash(heap, cells), at),
        }
    }

    /// As [`lines_with`](Self::lines_with), to write.
    #[inline]
    pub(crate) fn lines_with_mut<C: Cells>(
        &mut self,
        heap: &mut Heap,
        cells: C,
        at: usize,
    ) -> (LinesMut<'_, C>, usize) {
        match at.checked_sub(self.home_lines()) {
            None => (self.lines_mut(heap, cells), at),
            Some(at) => (self.stash_mut(heap, cells), at),
        }
    }

    /// Lines, with those of the stash.
    #[inline]
    pub(crate) fn total_lines(&self, heap: &Heap, cells: impl Cells) -> usize {
        self.home_lines() + if self.has_stash() { self.stash_at(heap, cells).1 } else { 0 }
    }

    /// What a lookup of `hash` reads first.
    #[inline]
    pub(crate) fn home_line(&self, cells: impl Cells, hash: u64) -> *const u8 {
        let home = home_of(x_of(hash), self.home_lines());
        self.base().wrapping_add(cells.head_at(home))
    }

    /// What `recognise` makes of the entry of this hash that it knows by what its cell holds. The line after home is not
    /// asked for ahead: few entries are there, and fetching it slows all lookups.
    #[inline(always)]
    pub(crate) fn find<C: Cells, T>(
        &self,
        heap: &Heap,
        cells: C,
        hash: u64,
        mut recognise: impl FnMut(C::Content) -> Option<T>,
    ) -> Option<(Spot, T)> {
        let lines = self.lines(cells);
        if lines.is_empty() {
            return None;
        }
        let x = x_of(hash);
        let home = home_of(x, lines.len());
        cells.prefetch_cells(self.base(), lines.len(), home);
        if let Some((slot, entry)) = lines.find_in(home, x as u8, &mut recognise) {
            return Some((Spot::new(home, slot), entry));
        }
        if lines.head(home).overflow() == 0 { None } else { self.find_displaced(heap, cells, hash, recognise) }
    }

    #[cold]
    fn find_displaced<C: Cells, T>(
        &self,
        heap: &Heap,
        cells: C,
        hash: u64,
        mut recognise: impl FnMut(C::Content) -> Option<T>,
    ) -> Option<(Spot, T)> {
        let lines = self.lines(cells);
        let x = x_of(hash);
        let home = home_of(x, lines.len());
        let saturated = lines.head(home).overflow() == SATURATED;
        let mut left = lines.head(home).overflow();
        for displacement in 1..=MAX_DISPLACEMENT.min(lines.len() - 1) {
            let at = wrap(home + displacement, lines.len());
            if let Some((slot, entry)) = lines.find_in(at, x as u8, &mut recognise) {
                return Some((Spot::new(at, slot), entry));
            }
            left = left.saturating_sub(lines.head(at).count_displaced(displacement));
            if left == 0 && !saturated {
                return None;
            }
        }
        if saturated { self.find_in_stash(heap, cells, x as u8, &mut recognise) } else { None }
    }

    fn find_in_stash<C: Cells, T>(
        &self,
        heap: &Heap,
        cells: C,
        tag: u8,
        recognise: &mut impl FnMut(C::Content) -> Option<T>,
    ) -> Option<(Spot, T)> {
        let stash = self.stash(heap, cells);
        (0..stash.len()).find_map(|line| {
            let (slot, entry) = stash.find_in(line, tag, recognise)?;
            Some((Spot::new(self.home_lines() + line, slot), entry))
        })
    }

    /// What the first cell with the tag of `hash` in its home line holds: what a lookup will most likely touch.
    #[inline]
    pub(crate) fn likely<C: Cells>(&self, cells: C, hash: u64) -> Option<C::Content> {
        let lines = self.lines(cells);
        if lines.is_empty() {
            return None;
        }
        let x = x_of(hash);
        let (_, content) = lines.find_in(home_of(x, lines.len()), x as u8, &mut Some)?;
        Some(content)
    }

    /// Take the entry at `spot` out, and let entries that had to go elsewhere come home.
    #[inline(always)]
    pub(crate) fn remove(&mut self, heap: &mut Heap, cells: impl Cells, spot: Spot) {
        let (at, slot) = (spot.line as usize, spot.slot as usize);
        self.count -= 1;
        if at >= self.home_lines() {
            let at = at - self.home_lines();
            return self.stash_mut(heap, cells).swap_remove(at, slot);
        }
        let mut lines = self.lines_mut(heap, cells);
        let displacement = lines.head(at).displacement(slot);
        lines.swap_remove(at, slot);
        if displacement > 0 || lines.head(at).overflow() > 0 {
            settle(lines, at, displacement);
        }
    }

    /// Call `visit` with what every cell in use holds.
    #[inline]
    pub(crate) fn each<C: Cells>(&self, heap: &Heap, cells: C, mut visit: impl FnMut(C::Content)) {
        for lines in [self.lines(cells), self.stash(heap, cells)] {
            for line in 0..lines.len() {
                (0..lines.head(line).count()).for_each(|slot| visit(lines.content(line, slot)));
            }
        }
    }
}

#[inline]
pub(crate) fn wrap(line: usize, lines: usize) -> usize {
    if line >= lines { line - lines } else { line }
}

/// Put an entry into the first line with room from its home on, making room within reach if there is any further on;
/// false if there is none.
#[inline(always)]
pub(crate) fn place<C: Cells>(lines: &mut LinesMut<'_, C>, item: Item<C::Content>) -> bool {
    if lines.is_empty() {
        return false;
    }
    let home = home_of(item.x, lines.len());
    lines.push(home, item.x as u8, 0, item.content) || place_displaced(lines, home, item)
}

#[inline(never)]
fn place_displaced<C: Cells>(lines: &mut LinesMut<'_, C>, home: usize, item: Item<C::Content>) -> bool {
    let has_room = |i: &usize| !lines.head(wrap(home + i, lines.len())).is_full();
    let Some(mut distance) = (1..lines.len()).find(has_room) else {
        return false;
    };
    while distance > MAX_DISPLACEMENT {
        let Some(step) = move_room_back(lines, wrap(home + distance, lines.len())) else {
            return false;
        };
        distance -= step;
    }
    lines.head_mut(home).add_overflow();
    lines.push(wrap(home + distance, lines.len()), item.x as u8, distance, item.content)
}

/// Line `hole` has room, and the lines before it have none: move an entry of one of them into it, as hopscotch hashing
/// does. How many lines before `hole` there is room then.
fn move_room_back<C: Cells>(lines: &mut LinesMut<'_, C>, hole: usize) -> Option<usize> {
    let count = lines.len();
    for step in (1..=MAX_DISPLACEMENT.min(count - 1)).rev() {
        let from = wrap(hole + count - step, count);
        for displacement in 0..=MAX_DISPLACEMENT - step {
            let Some(slot) = lines.head(from).find_displaced(displacement) else { continue };
            move_entry(lines, (from, slot), hole, displacement + step);
            if displacement == 0 {
                lines.head_mut(from).add_overflow();
            }
            return Some(step);
        }
    }
    None
}

/// Move the entry of a cell to another line, which is not full.
fn move_entry<C: Cells>(lines: &mut LinesMut<'_, C>, from: (usize, usize), to: usize, displacement: usize) {
    let (line, slot) = from;
    let (tag, content) = (lines.head(line).tag(slot), lines.content(line, slot));
    let moved = lines.push(to, tag, displacement, content); // first: the cell may be what `content` leads to
    debug_assert!(moved);
    lines.swap_remove(line, slot);
}

/// As [`place`], or into the stash behind the home lines; false if that is full too.
pub(crate) fn place_or_stash<C: Cells>(
    segment: &mut Segment,
    heap: &mut Heap,
    cells: C,
    item: Item<C::Content>,
) -> bool {
    if place(&mut segment.lines_mut(heap, cells), item) {
        return true;
    }
    let mut stash = segment.stash_mut(heap, cells);
    if !(0..stash.len()).rev().any(|line| stash.push(line, item.x as u8, 0, item.content)) {
        return false;
    }
    let home = home_of(item.x, segment.home_lines());
    segment.lines_mut(heap, cells).head_mut(home).saturate();
    true
}

/// An entry that was `displacement` lines from its home was taken out of line `at`.
#[inline(never)]
fn settle<C: Cells>(mut lines: LinesMut<'_, C>, at: usize, displacement: usize) {
    if displacement > 0 {
        let home = wrap(at + lines.len() - displacement, lines.len());
        lines.head_mut(home).drop_overflow();
    }
    bring_home(&mut lines, at);
}

/// A cell of line `hole` came free: an entry displaced from there comes back, and so on for the cell it leaves.
fn bring_home<C: Cells>(lines: &mut LinesMut<'_, C>, mut hole: usize) {
    while lines.head(hole).overflow() > 0 {
        let reach = 1..=MAX_DISPLACEMENT.min(lines.len() - 1);
        let found = reach.rev().find_map(|displacement| {
            let at = wrap(hole + displacement, lines.len());
            Some((at, lines.head(at).find_displaced(displacement)?))
        });
        let Some((at, slot)) = found else {
            return; // a saturated count whose entries have gone, or are in the stash
        };
        move_entry(lines, (at, slot), hole, 0);
        lines.head_mut(hole).drop_overflow();
        hole = at;
    }
}

/// Slots in the lines of a block.
pub(crate) const fn slots(lines: usize) -> usize {
    lines * SLOTS
}
