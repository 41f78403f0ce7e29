//! A block of the heap seen as lines: each has a [`Head`] and twelve cells, which hold what the index leads to.

use crate::head::{HEAD_BYTES, Head, HeadMut, SLOTS};
use crate::heap::{Handle, Slots};
use crate::tags::{CACHE_LINE, prefetch, prefetch_early};
use std::fmt::Debug;

/// Blocks are of a multiple of so many bytes.
const ALIGN: usize = CACHE_LINE;

/// What cells hold, and where in a block they are. No head or cell of a block overlaps another.
pub(crate) trait Cells: Debug + Copy {
    /// What a cell holds, on its way to it or read from it.
    type Content<'a>: Copy;
    /// A copy of that.
    type Owned: Copy;

    /// Bytes of a line.
    fn line_bytes(self) -> usize;
    /// Where the head of a line is.
    fn head_at(self, line: usize) -> usize;
    /// Where a cell of a line is, in a block of `lines` lines.
    fn cell_at(self, lines: usize, line: usize, slot: usize) -> usize;
    /// A lookup is about to read a line's head, and will then want some cell: ask for all of them, if they are elsewhere.
    fn prefetch_cells(self, block: &[u8], lines: usize, line: usize);
    /// Have the entry that a cell leads to on its way, if it is elsewhere.
    fn prefetch(self, slots: Slots<'_>, content: Self::Content<'_>);
    /// What the cell at `at` holds.
    fn read(self, block: &[u8], at: usize) -> Self::Content<'_>;
    /// Fill the cell at `at`.
    fn write(self, block: &mut [u8], at: usize, content: Self::Content<'_>);
    /// Copy what the cell at `from` holds to the one at `to`.
    fn copy(self, block: &mut [u8], from: usize, to: usize);
    /// A copy of what a cell holds.
    fn own(self, content: Self::Content<'_>) -> Self::Owned;
    /// What a copy was made of.
    fn lend(self, owned: &Self::Owned) -> Self::Content<'_>;
}

/// The bytes from `at` on, so many. Panics where there are fewer.
#[inline(always)]
fn bytes_at<const N: usize>(block: &[u8], at: usize) -> &[u8; N] {
    block[at..].first_chunk().expect("a cell or a head within its block")
}

#[inline(always)]
fn bytes_at_mut<const N: usize>(block: &mut [u8], at: usize) -> &mut [u8; N] {
    block[at..].first_chunk_mut().expect("a cell or a head within its block")
}

/// Cells that hold where an entry is. A line is a cache line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handles;

impl Cells for Handles {
    type Content<'a> = Handle;
    type Owned = Handle;

    #[inline(always)]
    fn line_bytes(self) -> usize {
        HEAD_BYTES + SLOTS * size_of::<Handle>()
    }

    #[inline(always)]
    fn head_at(self, line: usize) -> usize {
        line * self.line_bytes()
    }

    #[inline(always)]
    fn cell_at(self, _: usize, line: usize, slot: usize) -> usize {
        self.head_at(line) + HEAD_BYTES + slot * size_of::<Handle>()
    }

    #[inline(always)]
    fn prefetch_cells(self, _: &[u8], _: usize, _: usize) {}

    #[inline(always)]
    fn prefetch(self, slots: Slots<'_>, handle: Handle) {
        prefetch_early(slots.get(handle).as_ptr());
    }

    #[inline(always)]
    fn read(self, block: &[u8], at: usize) -> Handle {
        Handle::from_ne_bytes(*bytes_at(block, at))
    }

    #[inline(always)]
    fn write(self, block: &mut [u8], at: usize, handle: Handle) {
        *bytes_at_mut(block, at) = handle.to_ne_bytes();
    }

    #[inline(always)]
    fn copy(self, block: &mut [u8], from: usize, to: usize) {
        self.write(block, to, self.read(block, from));
    }

    #[inline(always)]
    fn own(self, handle: Handle) -> Handle {
        handle
    }

    #[inline(always)]
    fn lend(self, &handle: &Handle) -> Handle {
        handle
    }
}

/// Cells that hold an entry itself. All heads come first: a lookup of what is not there, and what is rebuilt, reads those
/// together. Where a line's cells are is known before its head is read, so a lookup waits for both at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inline {
    bytes: usize,
}

impl Inline {
    /// Bytes of the largest entry.
    pub(crate) const MOST: usize = 24;

    /// Cells of entries of so many bytes; `None` for those that have to be kept elsewhere: large ones, which would make
    /// what cells leave free too much, and those of odd sizes.
    pub(crate) const fn of(bytes: usize) -> Option<Self> {
        if bytes >= 8 && bytes <= Self::MOST && bytes.is_multiple_of(4) { Some(Inline { bytes }) } else { None }
    }

    #[inline(always)]
    pub(crate) fn bytes(self) -> usize {
        self.bytes
    }

    /// The bytes of the cell at `at`, to write.
    #[inline(always)]
    pub(crate) fn cell_mut(self, block: &mut [u8], at: usize) -> &mut [u8] {
        &mut block[at..][..self.bytes]
    }
}

impl Cells for Inline {
    /// The bytes of an entry.
    type Content<'a> = &'a [u8];
    type Owned = [u8; Inline::MOST];

    #[inline(always)]
    fn line_bytes(self) -> usize {
        HEAD_BYTES + SLOTS * self.bytes
    }

    #[inline(always)]
    fn head_at(self, line: usize) -> usize {
        line * HEAD_BYTES
    }

    #[inline(always)]
    fn cell_at(self, lines: usize, line: usize, slot: usize) -> usize {
        lines * HEAD_BYTES + (line * SLOTS + slot) * self.bytes
    }

    #[inline(always)]
    fn prefetch_cells(self, block: &[u8], lines: usize, line: usize) {
        let first = block.as_ptr().wrapping_add(self.cell_at(lines, line, 0));
        let ask_for = |line: usize| prefetch(first.wrapping_add(line * CACHE_LINE));
        // Entries of up to 16 bytes, or more: a loop for each size takes longer than a line too many.
        (0..3).for_each(ask_for);
        if SLOTS * self.bytes > 3 * CACHE_LINE {
            (3..5).for_each(ask_for);
        }
    }

    #[inline(always)]
    fn prefetch(self, _: Slots<'_>, _: &[u8]) {} // the cells of a block follow each other

    #[inline(always)]
    fn read(self, block: &[u8], at: usize) -> &[u8] {
        &block[at..][..self.bytes]
    }

    #[inline(always)]
    fn write(self, block: &mut [u8], at: usize, entry: &[u8]) {
        match self.bytes {
            16 => *bytes_at_mut::<16>(block, at) = *bytes_at(entry, 0),
            24 => *bytes_at_mut::<24>(block, at) = *bytes_at(entry, 0),
            _ => self.cell_mut(block, at).copy_from_slice(entry),
        }
    }

    #[inline(always)]
    fn copy(self, block: &mut [u8], from: usize, to: usize) {
        match self.bytes {
            16 => *bytes_at_mut::<16>(block, to) = *bytes_at(block, from),
            24 => *bytes_at_mut::<24>(block, to) = *bytes_at(block, from),
            bytes => block.copy_within(from..from + bytes, to),
        }
    }

    fn own(self, entry: &[u8]) -> Self::Owned {
        let mut owned = [0; Inline::MOST];
        owned[..self.bytes].copy_from_slice(entry);
        owned
    }

    fn lend(self, owned: &Self::Owned) -> &[u8] {
        &owned[..self.bytes]
    }
}

/// Bytes of a block of so many lines.
pub(crate) fn block_bytes(cells: impl Cells, lines: usize) -> usize {
    (lines * cells.line_bytes()).next_multiple_of(ALIGN)
}

/// Lines of a block of so many bytes.
pub(crate) fn lines_in(cells: impl Cells, bytes: usize) -> usize {
    bytes / cells.line_bytes()
}

/// The lines of a block, to read. What is asked for beyond them is a panic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<'a, C> {
    block: &'a [u8],
    count: usize,
    cells: C,
}

impl<'a, C: Cells> Lines<'a, C> {
    /// The first `count` lines of a block.
    #[inline(always)]
    pub(crate) fn new(block: &'a [u8], count: usize, cells: C) -> Self {
        Lines { block, count, cells }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline(always)]
    fn cell_at(&self, line: usize, slot: usize) -> usize {
        self.cells.cell_at(self.count, line, slot)
    }

    /// The head of a line, whose number is below `len`.
    #[inline(always)]
    pub(crate) fn head(&self, line: usize) -> Head<'a> {
        Head::of(bytes_at(self.block, self.cells.head_at(line)))
    }

    /// What a cell in use holds.
    #[inline(always)]
    pub(crate) fn content(&self, line: usize, slot: usize) -> C::Content<'a> {
        self.cells.read(self.block, self.cell_at(line, slot))
    }

    /// Ask for the cells of a line.
    #[inline(always)]
    pub(crate) fn prefetch_cells(&self, line: usize) {
        self.cells.prefetch_cells(self.block, self.count, line);
    }

    /// The cell in use of this tag that `recognise` knows by what it holds, and what it makes of that.
    #[inline(always)]
    pub(crate) fn find_in<T>(
        &self,
        line: usize,
        tag: u8,
        recognise: &mut impl FnMut(C::Content<'a>) -> Option<T>,
    ) -> Option<(usize, T)> {
        let mut matches = self.head(line).matches(tag);
        while matches != 0 {
            let slot = matches.trailing_zeros() as usize;
            if let Some(entry) = recognise(self.content(line, slot)) {
                return Some((slot, entry));
            }
            matches &= matches - 1;
        }
        None
    }
}

/// The lines of a block, to write. What is asked for beyond them is a panic.
#[derive(Debug)]
pub(crate) struct LinesMut<'a, C> {
    block: &'a mut [u8],
    count: usize,
    cells: C,
}

impl<'a, C: Cells> LinesMut<'a, C> {
    /// The first `count` lines of a block.
    #[inline(always)]
    pub(crate) fn new(block: &'a mut [u8], count: usize, cells: C) -> Self {
        LinesMut { block, count, cells }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline(always)]
    pub(crate) fn cells(&self) -> C {
        self.cells
    }

    #[inline(always)]
    fn cell_at(&self, line: usize, slot: usize) -> usize {
        self.cells.cell_at(self.count, line, slot)
    }

    /// The head of a line, whose number is below `len`.
    #[inline(always)]
    pub(crate) fn head(&self, line: usize) -> Head<'_> {
        Head::of(bytes_at(self.block, self.cells.head_at(line)))
    }

    /// As [`head`](Self::head), to write.
    #[inline(always)]
    pub(crate) fn head_mut(&mut self, line: usize) -> HeadMut<'_> {
        HeadMut::of(bytes_at_mut(self.block, self.cells.head_at(line)))
    }

    /// Fill a cell in use anew.
    #[inline(always)]
    pub(crate) fn set_content(&mut self, line: usize, slot: usize, content: C::Content<'_>) {
        let at = self.cell_at(line, slot);
        self.cells.write(self.block, at, content);
    }

    /// Add a cell to a line; false if it is full.
    #[inline(always)]
    pub(crate) fn push(&mut self, line: usize, tag: u8, displacement: usize, content: C::Content<'_>) -> bool {
        let slot = self.head_mut(line).push(tag, displacement);
        slot.inspect(|&slot| self.set_content(line, slot, content)).is_some()
    }

    /// Take a cell out; the last one of its line takes its place.
    #[inline(always)]
    pub(crate) fn swap_remove(&mut self, line: usize, slot: usize) {
        let last = self.head_mut(line).swap_remove(slot);
        if last != slot {
            self.copy_cell((line, last), (line, slot));
        }
    }

    /// Move the entry of a cell to another line; false if that is full.
    pub(crate) fn move_cell(&mut self, from: (usize, usize), to: usize, displacement: usize) -> bool {
        let (line, slot) = from;
        let tag = self.head(line).tag(slot);
        let Some(new) = self.head_mut(to).push(tag, displacement) else { return false };
        self.copy_cell(from, (to, new));
        self.swap_remove(line, slot);
        true
    }

    #[inline(always)]
    fn copy_cell(&mut self, from: (usize, usize), to: (usize, usize)) {
        let (from, to) = (self.cell_at(from.0, from.1), self.cell_at(to.0, to.1));
        self.cells.copy(self.block, from, to);
    }

    /// No cell is in use.
    pub(crate) fn clear(&mut self) {
        (0..self.len()).for_each(|line| self.head_mut(line).clear());
    }
}

impl<'a> LinesMut<'a, Inline> {
    /// The bytes of a cell, to write.
    #[inline(always)]
    pub(crate) fn into_cell(self, line: usize, slot: usize) -> &'a mut [u8] {
        let at = self.cell_at(line, slot);
        self.cells.cell_mut(self.block, at)
    }
}
