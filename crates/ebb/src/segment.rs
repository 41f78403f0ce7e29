//! A segment of the index: a block of lines, and where a hash belongs in it.
//!
//! Eleven bits of the hash, `x`, place an entry: its home is line `x * lines >> 11`, its tag the low eight bits of
//! `x`. From 8 lines up, home and tag together give `x` back, so that a segment is rebuilt, larger or smaller,
//! without touching an entry. Entries that find no room within three lines of home (in practice: more than 48 of
//! equal hash) are in the stash, lines behind the home lines that are searched from end to end.

use crate::chunks::Plain;
use crate::head::{MAX_DISPLACEMENT, SATURATED, SLOTS};
use crate::heap::{Handle, Heap, Moved, ReadSlots};
use crate::lines::{Cells, Handles, Inline, Lines, LinesMut, lines_in};

/// Home lines a segment may have.
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

/// Where a segment's block is, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The block, where there is one, and where in its page it is.
    pub(crate) handle: Handle,
    offset: u32,
    /// Home lines in the low six bits: none where there is no block. Then whether there is a stash, and the entries.
    state: u32,
}

const STASHED: u32 = MAX_LINES as u32 + 1;
const COUNT_SHIFT: u32 = STASHED.ilog2() + 1;
/// More entries than this no segment can have: so many of one hash would take days to set.
pub(crate) const MAX_ENTRIES: usize = (u32::MAX >> COUNT_SHIFT) as usize;

impl Plain for Segment {
    const EMPTY: Segment = Segment { handle: 0, offset: 0, state: 0 };
}

impl Segment {
    pub(crate) const EMPTY: Segment = <Segment as Plain>::EMPTY;

    /// A segment over the block `handle`, which is emptied here: of `home_lines` lines, and a stash where it is longer.
    pub(crate) fn over(
        heap: &mut Heap,
        cells: impl Cells,
        handle: Handle,
        home_lines: usize,
        stashed: bool,
    ) -> Segment {
        debug_assert!((1..=MAX_LINES).contains(&home_lines));
        let stash = if stashed { STASHED } else { 0 };
        let segment = Segment { handle, offset: heap.offset_of(handle), state: home_lines as u32 | stash };
        segment.lines_mut(heap, cells).clear();
        if stashed {
            segment.stash_mut(heap, cells).clear();
        }
        segment
    }

    /// The block is at `handle` now.
    pub(crate) fn move_to(&mut self, heap: &Heap, handle: Handle) {
        (self.handle, self.offset) = (handle, heap.offset_of(handle));
    }

    pub(crate) fn has_block(&self) -> bool {
        self.home_lines() > 0
    }

    #[inline]
    pub(crate) fn home_lines(&self) -> usize {
        self.state as usize & MAX_LINES
    }

    /// Entries.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        (self.state >> COUNT_SHIFT) as usize
    }

    /// There are so many entries more.
    #[inline]
    pub(crate) fn add(&mut self, entries: usize) {
        debug_assert!(self.count() + entries <= MAX_ENTRIES);
        self.state += (entries as u32) << COUNT_SHIFT;
    }

    /// Whether there are lines behind the home lines.
    #[inline]
    pub(crate) fn has_stash(&self) -> bool {
        self.state & STASHED != 0
    }

    /// Bytes of the home lines; the stash begins behind them.
    #[inline(always)]
    fn home_bytes(&self, cells: impl Cells) -> usize {
        self.home_lines() * cells.line_bytes()
    }

    /// The bytes of the home lines, of which there are some.
    #[inline(always)]
    fn front<'a>(&self, slots: impl ReadSlots<'a>, cells: impl Cells) -> &'a [u8] {
        slots.front(self.handle, self.offset, self.home_bytes(cells))
    }

    /// As [`front`](Self::front), to write.
    #[inline(always)]
    pub(crate) fn front_mut<'h>(&self, heap: &'h mut Heap, cells: impl Cells) -> &'h mut [u8] {
        heap.front_mut(self.handle, self.offset, self.home_bytes(cells))
    }

    /// The home lines: none where there is no block.
    #[inline(always)]
    pub(crate) fn lines<'a, C: Cells>(&self, slots: impl ReadSlots<'a>, cells: C) -> Lines<'a, C> {
        let block = if self.has_block() { self.front(slots, cells) } else { &[] };
        Lines::new(block, self.home_lines(), cells)
    }

    /// The home lines in the segment's block, to write.
    #[inline(always)]
    pub(crate) fn lines_in<'h, C: Cells>(&self, block: &'h mut [u8], cells: C) -> LinesMut<'h, C> {
        LinesMut::new(block, self.home_lines(), cells)
    }

    /// The home lines, to write.
    #[inline(always)]
    pub(crate) fn lines_mut<'h, C: Cells>(&self, heap: &'h mut Heap, cells: C) -> LinesMut<'h, C> {
        let block = if self.has_block() { self.front_mut(heap, cells) } else { &mut [] };
        self.lines_in(block, cells)
    }

    /// The lines behind the home lines.
    pub(crate) fn stash<'a, C: Cells>(&self, slots: impl ReadSlots<'a>, cells: C) -> Lines<'a, C> {
        let block = if self.has_stash() { &slots.get(self.handle)[self.home_bytes(cells)..] } else { &[] };
        Lines::new(block, lines_in(cells, block.len()), cells)
    }

    /// The lines behind the home lines, to write.
    pub(crate) fn stash_mut<'h, C: Cells>(&self, heap: &'h mut Heap, cells: C) -> LinesMut<'h, C> {
        let block: &mut [u8] =
            if self.has_stash() { &mut heap.slot_mut(self.handle)[self.home_bytes(cells)..] } else { &mut [] };
        let count = lines_in(cells, block.len());
        LinesMut::new(block, count, cells)
    }

    /// The lines that line `at` is one of, and which number it has among them.
    #[inline(always)]
    pub(crate) fn lines_with<'a, C: Cells>(
        &self,
        slots: impl ReadSlots<'a>,
        cells: C,
        at: usize,
    ) -> (Lines<'a, C>, usize) {
        match at.checked_sub(self.home_lines()) {
            None => (self.lines(slots, cells), at),
            Some(at) => (self.stash(slots, cells), at),
        }
    }

    /// As [`lines_with`](Self::lines_with), to write.
    #[inline(always)]
    pub(crate) fn lines_with_mut<'h, C: Cells>(
        &self,
        heap: &'h mut Heap,
        cells: C,
        at: usize,
    ) -> (LinesMut<'h, C>, usize) {
        match at.checked_sub(self.home_lines()) {
            None => (self.lines_mut(heap, cells), at),
            Some(at) => (self.stash_mut(heap, cells), at),
        }
    }

    /// Lines, with those of the stash.
    #[inline]
    pub(crate) fn total_lines<'a>(&self, slots: impl ReadSlots<'a>, cells: impl Cells) -> usize {
        self.home_lines() + if self.has_stash() { self.stash(slots, cells).len() } else { 0 }
    }

    /// Ask for what a lookup of `hash` reads first, by `ask`.
    #[inline(always)]
    pub(crate) fn prefetch_home<'a>(
        &self,
        slots: impl ReadSlots<'a>,
        cells: impl Cells,
        hash: u64,
        ask: impl Fn(*const u8),
    ) {
        if self.has_block() {
            let home = home_of(x_of(hash), self.home_lines());
            ask(self.front(slots, cells).as_ptr().wrapping_add(cells.head_at(home)));
        }
    }

    /// What `recognise` makes of the entry of this hash that it knows by what its cell holds. The line after home is not
    /// asked for ahead: few entries are there, and fetching it slows all lookups.
    #[inline(always)]
    pub(crate) fn find<'a, C: Cells, T>(
        &self,
        slots: impl ReadSlots<'a>,
        cells: C,
        hash: u64,
        mut recognise: impl FnMut(C::Content<'a>) -> Option<T>,
    ) -> Option<(Spot, T)> {
        let x = x_of(hash);
        let home = home_of(x, self.home_lines());
        if home >= self.home_lines() {
            return None; // there is no block
        }
        let lines = Lines::new(self.front(slots, cells), self.home_lines(), cells);
        lines.prefetch_cells(home);
        if let Some((slot, entry)) = lines.find_in(home, x as u8, &mut recognise) {
            return Some((Spot::new(home, slot), entry));
        }
        if lines.head(home).overflow() == 0 { None } else { self.find_displaced(slots, cells, x, recognise) }
    }

    #[cold]
    fn find_displaced<'a, C: Cells, T>(
        &self,
        slots: impl ReadSlots<'a>,
        cells: C,
        x: u16,
        mut recognise: impl FnMut(C::Content<'a>) -> Option<T>,
    ) -> Option<(Spot, T)> {
        let lines = self.lines(slots, cells);
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
        if saturated { self.find_in_stash(slots, cells, x as u8, &mut recognise) } else { None }
    }

    fn find_in_stash<'a, C: Cells, T>(
        &self,
        slots: impl ReadSlots<'a>,
        cells: C,
        tag: u8,
        recognise: &mut impl FnMut(C::Content<'a>) -> Option<T>,
    ) -> Option<(Spot, T)> {
        let stash = self.stash(slots, cells);
        (0..stash.len()).find_map(|line| {
            let (slot, entry) = stash.find_in(line, tag, recognise)?;
            Some((Spot::new(self.home_lines() + line, slot), entry))
        })
    }

    /// What the first cell with the tag of `hash` in its home line holds: what a lookup will most likely touch.
    #[inline]
    pub(crate) fn likely<'a, C: Cells>(
        &self,
        slots: impl ReadSlots<'a>,
        cells: C,
        hash: u64,
    ) -> Option<C::Content<'a>> {
        let lines = self.lines(slots, cells);
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
        self.state -= 1 << COUNT_SHIFT;
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

    /// The bytes of the entry of this hash that `is` recognises, to write.
    #[inline(always)]
    pub(crate) fn find_mut<'h>(
        &self,
        heap: &'h mut Heap,
        cells: Inline,
        hash: u64,
        mut is: impl FnMut(&[u8]) -> bool,
    ) -> Option<&'h mut [u8]> {
        let (spot, ()) = self.find(heap.slots(), cells, hash, |entry| is(entry).then_some(()))?;
        Some(self.entry_mut(heap, cells, spot))
    }

    /// The bytes of the entry at `spot`, to write.
    #[inline(always)]
    pub(crate) fn entry_mut<'h>(&self, heap: &'h mut Heap, cells: Inline, spot: Spot) -> &'h mut [u8] {
        let (lines, line) = self.lines_with_mut(heap, cells, spot.line as usize);
        lines.into_cell(line, spot.slot as usize)
    }

    /// The entry of this hash that was at handle `moved.from` is at `moved.to`.
    #[inline(always)]
    pub(crate) fn relocate(&self, heap: &mut Heap, cells: Handles, hash: u64, moved: Moved) {
        let x = x_of(hash);
        let mut lines = self.lines_mut(heap, cells);
        let mut is_moved = |handle| (handle == moved.from).then_some(());
        let home = home_of(x, lines.len());
        match lines.as_lines().find_in(home, x as u8, &mut is_moved) {
            Some((slot, ())) => lines.set_content(home, slot, moved.to),
            None => self.relocate_displaced(heap, cells, x, moved),
        }
    }

    #[cold]
    fn relocate_displaced(&self, heap: &mut Heap, cells: Handles, x: u16, moved: Moved) {
        let is_moved = |handle| (handle == moved.from).then_some(());
        let found = self.find_displaced(heap.slots(), cells, x, is_moved);
        let (spot, ()) = found.expect("a moved entry is indexed");
        let (mut lines, line) = self.lines_with_mut(heap, cells, spot.line as usize);
        lines.set_content(line, spot.slot as usize, moved.to);
    }

    /// Call `visit` with what every cell in use holds.
    #[inline]
    pub(crate) fn each<'a, C: Cells>(
        &self,
        slots: impl ReadSlots<'a>,
        cells: C,
        mut visit: impl FnMut(C::Content<'a>),
    ) {
        for lines in [self.lines(slots, cells), self.stash(slots, cells)] {
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
pub(crate) fn place<C: Cells>(lines: &mut LinesMut<'_, C>, item: Item<C::Content<'_>>) -> bool {
    if lines.is_empty() {
        return false;
    }
    let home = home_of(item.x, lines.len());
    lines.push(home, item.x as u8, 0, item.content) || place_displaced(lines, home, item)
}

#[inline(never)]
fn place_displaced<C: Cells>(lines: &mut LinesMut<'_, C>, home: usize, item: Item<C::Content<'_>>) -> bool {
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
            let moved = lines.move_cell((from, slot), hole, displacement + step);
            debug_assert!(moved);
            if displacement == 0 {
                lines.head_mut(from).add_overflow();
            }
            return Some(step);
        }
    }
    None
}

/// As [`place`], or into the stash behind the home lines; false if that is full too.
pub(crate) fn place_or_stash<C: Cells>(
    segment: Segment,
    heap: &mut Heap,
    cells: C,
    item: Item<C::Content<'_>>,
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
        let moved = lines.move_cell((at, slot), hole, 0);
        debug_assert!(moved);
        lines.head_mut(hole).drop_overflow();
        hole = at;
    }
}

/// Slots in the lines of a block.
pub(crate) const fn slots(lines: usize) -> usize {
    lines * SLOTS
}
