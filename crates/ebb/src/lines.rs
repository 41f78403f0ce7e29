//! A block of the heap seen as lines: each has a [`Head`] and twelve cells, which hold what the index leads to.
//!
//! That a block is long enough for its lines is checked once, when it is taken; after that, numbers of lines and cells are.
#![allow(unsafe_code)] // heads and cells within a block that was found to be long enough

use crate::head::{HEAD_BYTES, Head, HeadMut, SLOTS};
use crate::heap::{Handle, ReadSlots};
use crate::system::{CACHE_LINE, prefetch, prefetch_early};
use std::fmt::Debug;

/// Blocks are of a multiple of so many bytes.
const ALIGN: usize = CACHE_LINE;

/// What cells hold, and where in a block they are.
///
/// # Safety
/// In a block of `lines` lines, which is `lines * line_bytes` long, all heads and cells of lines below `lines` and of
/// slots below [`SLOTS`] are in the block, and none overlaps another. A value and its copies give the same answers at any
/// time. `line_bytes` has 32 bits, and is not 0.
pub(crate) unsafe trait Cells: Debug + Copy {
    /// What a cell holds, on its way to it or read from it.
    type Content<'a>: Copy;
    /// A copy of that.
    type Owned: Copy;

    /// Bytes of a line.
    fn line_bytes(self) -> usize;
    /// Bytes of a cell.
    fn cell_bytes(self) -> usize;
    /// Where the head of a line is.
    fn head_at(self, line: usize) -> usize;
    /// Where a cell is, in a block of `lines` lines.
    fn cell_at(self, lines: usize, cell: Cell) -> usize;
    /// A lookup is about to read a line's head, and will then want some cell: ask for all of them, if they are elsewhere.
    fn prefetch_cells(self, block: *const u8, lines: usize, line: usize);
    /// Have the entry that a cell leads to on its way, if it is elsewhere.
    fn prefetch<'a>(self, slots: impl ReadSlots<'a>, content: Self::Content<'_>);
    /// What a cell of these bytes holds.
    fn read(self, cell: &[u8]) -> Self::Content<'_>;
    /// Fill a cell of these bytes.
    fn write(self, cell: &mut [u8], content: Self::Content<'_>);
    /// A copy of what a cell holds.
    fn own(self, content: Self::Content<'_>) -> Self::Owned;
    /// What a copy was made of.
    fn lend(self, owned: &Self::Owned) -> Self::Content<'_>;
}

/// A cell of a block: its line, and which it is of that.
pub(crate) type Cell = (usize, usize);

/// Cells that hold where an entry is. A line is a cache line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handles;

// SAFETY: heads and the 48 bytes of handles behind each take turns.
unsafe impl Cells for Handles {
    type Content<'a> = Handle;
    type Owned = Handle;

    #[inline(always)]
    fn line_bytes(self) -> usize {
        HEAD_BYTES + SLOTS * size_of::<Handle>()
    }

    #[inline(always)]
    fn cell_bytes(self) -> usize {
        size_of::<Handle>()
    }

    #[inline(always)]
    fn head_at(self, line: usize) -> usize {
        line * self.line_bytes()
    }

    #[inline(always)]
    fn cell_at(self, _: usize, (line, slot): Cell) -> usize {
        self.head_at(line) + HEAD_BYTES + slot * size_of::<Handle>()
    }

    #[inline(always)]
    fn prefetch_cells(self, _: *const u8, _: usize, _: usize) {}

    #[inline(always)]
    fn prefetch<'a>(self, slots: impl ReadSlots<'a>, handle: Handle) {
        prefetch_early(slots.get(handle).as_ptr());
    }

    #[inline(always)]
    fn read(self, cell: &[u8]) -> Handle {
        Handle::from_ne_bytes(*chunk(cell))
    }

    #[inline(always)]
    fn write(self, cell: &mut [u8], handle: Handle) {
        *chunk_mut(cell) = handle.to_ne_bytes();
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
    bytes: u32,
    line_bytes: u32,
}

impl Inline {
    /// Bytes of the largest entry.
    pub(crate) const MOST: usize = 24;

    /// Cells of entries of so many bytes; `None` for those that have to be kept elsewhere: large ones, which would make
    /// what cells leave free too much, and those of odd sizes.
    pub(crate) const fn of(bytes: usize) -> Option<Self> {
        if bytes < 8 || bytes > Self::MOST || !bytes.is_multiple_of(4) {
            return None;
        }
        Some(Inline { bytes: bytes as u32, line_bytes: (HEAD_BYTES + SLOTS * bytes) as u32 })
    }

    #[inline(always)]
    pub(crate) fn bytes(self) -> usize {
        self.bytes as usize
    }
}

#[inline(always)]
fn chunk<const N: usize>(bytes: &[u8]) -> &[u8; N] {
    bytes.first_chunk().expect("the bytes of a cell")
}

#[inline(always)]
fn chunk_mut<const N: usize>(bytes: &mut [u8]) -> &mut [u8; N] {
    bytes.first_chunk_mut().expect("the bytes of a cell")
}

// SAFETY: all heads come first, then all cells.
unsafe impl Cells for Inline {
    /// The bytes of an entry.
    type Content<'a> = &'a [u8];
    type Owned = [u8; Inline::MOST];

    #[inline(always)]
    fn line_bytes(self) -> usize {
        self.line_bytes as usize
    }

    #[inline(always)]
    fn cell_bytes(self) -> usize {
        self.bytes()
    }

    #[inline(always)]
    fn head_at(self, line: usize) -> usize {
        line * HEAD_BYTES
    }

    #[inline(always)]
    fn cell_at(self, lines: usize, (line, slot): Cell) -> usize {
        lines * HEAD_BYTES + (line * SLOTS + slot) * self.bytes()
    }

    #[inline(always)]
    fn prefetch_cells(self, block: *const u8, lines: usize, line: usize) {
        let first = block.wrapping_add(self.cell_at(lines, (line, 0)));
        let ask_for = |line: usize| prefetch(first.wrapping_add(line * CACHE_LINE));
        // Entries of up to 16 bytes, or more: a loop for each size takes longer than a line too many.
        (0..3).for_each(ask_for);
        if SLOTS * self.bytes() > 3 * CACHE_LINE {
            (3..5).for_each(ask_for);
        }
    }

    #[inline(always)]
    fn prefetch<'a>(self, _: impl ReadSlots<'a>, _: &[u8]) {} // the cells of a block follow each other

    #[inline(always)]
    fn read(self, cell: &[u8]) -> &[u8] {
        cell
    }

    #[inline(always)]
    fn write(self, cell: &mut [u8], entry: &[u8]) {
        match self.bytes() {
            16 => *chunk_mut::<16>(cell) = *chunk(entry),
            24 => *chunk_mut::<24>(cell) = *chunk(entry),
            _ => cell.copy_from_slice(entry),
        }
    }

    #[inline(always)]
    fn own(self, entry: &[u8]) -> Self::Owned {
        let mut owned = [0; Inline::MOST];
        self.write(&mut owned[..self.bytes()], entry);
        owned
    }

    #[inline(always)]
    fn lend(self, owned: &Self::Owned) -> &[u8] {
        &owned[..self.bytes()]
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

/// The lines of a block, to read. What is asked for beyond them is a panic. Invariant: the block is `count * line_bytes`
/// long, or longer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<'a, C> {
    block: &'a [u8],
    count: usize,
    cells: C,
}

#[cold]
#[inline(never)]
fn no_line(line: usize, lines: usize) -> ! {
    panic!("there is no line {line}, or no such cell of it, in {lines}");
}

/// Panics unless a block of `len` bytes has room for so many lines.
#[inline(always)]
fn check_room(len: usize, lines: usize, cells: impl Cells) {
    if lines.checked_mul(cells.line_bytes()).is_none_or(|bytes| bytes > len) {
        no_line(lines - 1, len / cells.line_bytes());
    }
}

impl<'a, C: Cells> Lines<'a, C> {
    /// The first `count` lines of a block. Panics where it has fewer.
    #[inline(always)]
    pub(crate) fn new(block: &'a [u8], count: usize, cells: C) -> Self {
        check_room(block.len(), count, cells);
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

    /// The head of a line.
    #[inline(always)]
    pub(crate) fn head(&self, line: usize) -> Head<'a> {
        if line >= self.count {
            no_line(line, self.count);
        }
        // SAFETY: the head of a line that there is lies in the block, by the promise of `Cells`.
        Head::of(unsafe { &*self.block.as_ptr().add(self.cells.head_at(line)).cast() })
    }

    /// What a cell in use holds.
    #[inline(always)]
    pub(crate) fn content(&self, line: usize, slot: usize) -> C::Content<'a> {
        if line >= self.count || slot >= SLOTS {
            no_line(line, self.count);
        }
        let at = self.cells.cell_at(self.count, (line, slot));
        // SAFETY: a cell of a line that there is lies in the block, by the promise of `Cells`.
        self.cells.read(unsafe { self.block.get_unchecked(at..at + self.cells.cell_bytes()) })
    }

    /// Ask for the cells of a line.
    #[inline(always)]
    pub(crate) fn prefetch_cells(&self, line: usize) {
        self.cells.prefetch_cells(self.block.as_ptr(), self.count, line);
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
        while matches & ((1 << SLOTS) - 1) != 0 {
            let slot = matches.trailing_zeros() as usize;
            // SAFETY: one of the low `SLOTS` bits is set.
            unsafe { std::hint::assert_unchecked(slot < SLOTS) };
            if let Some(entry) = recognise(self.content(line, slot)) {
                return Some((slot, entry));
            }
            matches &= matches - 1;
        }
        None
    }
}

/// The lines of a block, to write. What is asked for beyond them is a panic. Invariant: as of [`Lines`].
#[derive(Debug)]
pub(crate) struct LinesMut<'a, C> {
    block: &'a mut [u8],
    count: usize,
    cells: C,
}

impl<'a, C: Cells> LinesMut<'a, C> {
    /// The first `count` lines of a block. Panics where it has fewer.
    #[inline(always)]
    pub(crate) fn new(block: &'a mut [u8], count: usize, cells: C) -> Self {
        check_room(block.len(), count, cells);
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

    /// The lines, to read.
    #[inline(always)]
    pub(crate) fn as_lines(&self) -> Lines<'_, C> {
        Lines { block: self.block, count: self.count, cells: self.cells }
    }

    /// The head of a line.
    #[inline(always)]
    pub(crate) fn head(&self, line: usize) -> Head<'_> {
        self.as_lines().head(line)
    }

    /// The head of a line, to write.
    #[inline(always)]
    pub(crate) fn head_mut(&mut self, line: usize) -> HeadMut<'_> {
        if line >= self.count {
            no_line(line, self.count);
        }
        // SAFETY: as in `Lines::head`, and `&mut self` makes it the only reference.
        HeadMut::of(unsafe { &mut *self.block.as_mut_ptr().add(self.cells.head_at(line)).cast() })
    }

    /// The bytes of a cell, to write.
    #[inline(always)]
    fn cell_mut(&mut self, (line, slot): Cell) -> &mut [u8] {
        if line >= self.count || slot >= SLOTS {
            no_line(line, self.count);
        }
        let at = self.cells.cell_at(self.count, (line, slot));
        // SAFETY: as in `Lines::content`, and `&mut self` makes it the only reference.
        unsafe { self.block.get_unchecked_mut(at..at + self.cells.cell_bytes()) }
    }

    /// Fill a cell in use anew.
    #[inline(always)]
    pub(crate) fn set_content(&mut self, line: usize, slot: usize, content: C::Content<'_>) {
        let cells = self.cells;
        cells.write(self.cell_mut((line, slot)), content);
    }

    /// Add a cell to a line; false if it is full.
    #[inline(always)]
    pub(crate) fn push(&mut self, line: usize, tag: u8, displacement: usize, content: C::Content<'_>) -> bool {
        let Some(slot) = self.head_mut(line).push(tag, displacement) else { return false };
        self.set_content(line, slot, content);
        true
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
    pub(crate) fn move_cell(&mut self, from: Cell, to: usize, displacement: usize) -> bool {
        let (line, slot) = from;
        let tag = self.head(line).tag(slot);
        let Some(new) = self.head_mut(to).push(tag, displacement) else { return false };
        self.copy_cell(from, (to, new));
        self.swap_remove(line, slot);
        true
    }

    #[inline(always)]
    fn copy_cell(&mut self, from: Cell, to: Cell) {
        let bytes = self.cells.cell_bytes();
        let (from, to) = (self.cell_mut(from).as_ptr(), self.cell_mut(to).as_mut_ptr());
        // SAFETY: both cells are in the block, by `cell_mut`, which is all this has; they may be the same one.
        // Constant lengths are moves in registers: those of handles, and of an int with a word or two.
        unsafe {
            match bytes {
                4 => std::ptr::copy(from, to, 4),
                16 => std::ptr::copy(from, to, 16),
                24 => std::ptr::copy(from, to, 24),
                _ => std::ptr::copy(from, to, bytes),
            }
        }
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
        let LinesMut { block, count, cells } = self;
        if line >= count || slot >= SLOTS {
            no_line(line, count);
        }
        let at = cells.cell_at(count, (line, slot));
        // SAFETY: as in `cell_mut`.
        unsafe { block.get_unchecked_mut(at..at + cells.cell_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    /// No safe call reads beyond a block.
    #[test]
    fn what_is_beyond_the_lines_is_a_panic() {
        let cells = Inline::of(16).unwrap();
        let block = vec![0; 3 * cells.line_bytes()];
        assert!(catch_unwind(|| Lines::new(&block, 4, cells).len()).is_err());
        assert!(catch_unwind(|| Lines::new(&block, usize::MAX / 8, Handles).len()).is_err());
        let lines = Lines::new(&block, 3, cells);
        let reads = |line, slot| catch_unwind(|| lines.content(line, slot).len()).is_ok();
        assert!(reads(2, SLOTS - 1) && !reads(2, SLOTS) && !reads(3, 0) && !reads(usize::MAX, 0));
        assert!(catch_unwind(|| lines.head(2).count()).is_ok() && catch_unwind(|| lines.head(3).count()).is_err());
    }
}
