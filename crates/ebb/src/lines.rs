//! A block of the heap seen as lines: each has a [`Head`] and twelve cells, which hold what the index leads to.
#![allow(unsafe_code)] // raw blocks seen as lines

use crate::head::{Head, SLOTS};
use crate::heap::{Handle, Heap};
use crate::tags::{CACHE_LINE, prefetch, prefetch_early};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Deref;

/// Blocks begin on a multiple of this.
const ALIGN: usize = CACHE_LINE;
const HEAD: usize = size_of::<Head>();

/// What cells hold, and where in a block they are.
///
/// # Safety
/// In a block of `lines` lines, which is `lines * line_bytes` long and begins on a multiple of 16, all heads and cells
/// are in the block, none overlaps another, heads begin on a multiple of 16, and so do lines that follow the block.
pub(crate) unsafe trait Cells: Debug + Copy {
    /// What a cell holds, on its way to it or read from it.
    type Content: Copy + PartialEq;

    /// Bytes of a line.
    fn line_bytes(self) -> usize;
    /// Where the head of a line is.
    fn head_at(self, line: usize) -> usize;
    /// Where a cell of a line is, in a block of `lines` lines.
    fn cell_at(self, lines: usize, line: usize, slot: usize) -> usize;
    /// A lookup is about to read a line's head, and will then want some cell: ask for all of them, if they are elsewhere.
    fn prefetch_cells(self, base: *mut u8, lines: usize, line: usize);
    /// Have the entry that a cell leads to on its way, if it is elsewhere.
    fn prefetch(self, heap: &Heap, content: Self::Content);
    /// What a cell holds.
    ///
    /// # Safety
    /// `cell` is a cell in use, and stays one as long as the content is used.
    unsafe fn read(self, cell: *mut u8) -> Self::Content;
    /// Fill a cell.
    ///
    /// # Safety
    /// `cell` is a cell that nobody else uses, and what `content` leads to is still there.
    unsafe fn write(self, cell: *mut u8, content: Self::Content);
}

/// Cells that hold where an entry is. A line is a cache line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handles;

// SAFETY: heads and the 48 bytes of handles behind each take turns.
unsafe impl Cells for Handles {
    type Content = Handle;

    #[inline(always)]
    fn line_bytes(self) -> usize {
        HEAD + SLOTS * size_of::<Handle>()
    }

    #[inline(always)]
    fn head_at(self, line: usize) -> usize {
        line * self.line_bytes()
    }

    #[inline(always)]
    fn cell_at(self, _: usize, line: usize, slot: usize) -> usize {
        self.head_at(line) + HEAD + slot * size_of::<Handle>()
    }

    #[inline(always)]
    fn prefetch_cells(self, _: *mut u8, _: usize, _: usize) {}

    #[inline(always)]
    fn prefetch(self, heap: &Heap, handle: Handle) {
        prefetch_early(heap.address(handle));
    }

    #[inline(always)]
    unsafe fn read(self, cell: *mut u8) -> Handle {
        // SAFETY: as the caller says; every fourth byte is aligned for a handle.
        unsafe { cell.cast::<Handle>().read() }
    }

    #[inline(always)]
    unsafe fn write(self, cell: *mut u8, handle: Handle) {
        // SAFETY: as the caller says.
        unsafe { cell.cast::<Handle>().write(handle) }
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
}

// SAFETY: all heads come first, then all cells; cells are of a multiple of four bytes, so that twelve are of one of 16.
unsafe impl Cells for Inline {
    /// The first byte of an entry.
    type Content = *const u8;

    #[inline(always)]
    fn line_bytes(self) -> usize {
        HEAD + SLOTS * self.bytes
    }

    #[inline(always)]
    fn head_at(self, line: usize) -> usize {
        line * HEAD
    }

    #[inline(always)]
    fn cell_at(self, lines: usize, line: usize, slot: usize) -> usize {
        lines * HEAD + (line * SLOTS + slot) * self.bytes
    }

    #[inline(always)]
    fn prefetch_cells(self, base: *mut u8, lines: usize, line: usize) {
        let first = base.wrapping_add(self.cell_at(lines, line, 0));
        let ask_for = |line: usize| prefetch(first.wrapping_add(line * CACHE_LINE));
        // Entries of up to 16 bytes, or more: a loop for each size takes longer than a line too many.
        (0..3).for_each(ask_for);
        if SLOTS * self.bytes > 3 * CACHE_LINE {
            (3..5).for_each(ask_for);
        }
    }

    #[inline(always)]
    fn prefetch(self, _: &Heap, _: *const u8) {} // the cells of a block follow each other

    #[inline(always)]
    unsafe fn read(self, cell: *mut u8) -> *const u8 {
        cell
    }

    #[inline(always)]
    unsafe fn write(self, cell: *mut u8, entry: *const u8) {
        // SAFETY: as the caller says: both are that long. A cell may be written to itself.
        unsafe {
            match self.bytes {
                16 => cell.cast::<[u32; 4]>().write(entry.cast::<[u32; 4]>().read()),
                24 => cell.cast::<[u32; 6]>().write(entry.cast::<[u32; 6]>().read()),
                bytes => std::ptr::copy(entry, cell, bytes),
            }
        }
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

/// The lines of a block, to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<'a, C> {
    base: *mut u8,
    count: usize,
    cells: C,
    of: PhantomData<&'a [u8]>,
}

impl<'a, C: Cells> Lines<'a, C> {
    /// # Safety
    /// `base` is the first byte of a block of `count` lines (or `count` is 0), zeroed or written as such, which nobody
    /// writes to for as long as this lives.
    #[inline(always)]
    pub(crate) unsafe fn new(base: *mut u8, count: usize, cells: C) -> Self {
        Lines { base, count, cells, of: PhantomData }
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

    /// The first byte of the block.
    pub(crate) fn base(&self) -> *const u8 {
        self.base
    }

    #[inline(always)]
    fn head_ptr(&self, line: usize) -> *mut Head {
        debug_assert!(line < self.count);
        self.base.wrapping_add(self.cells.head_at(line)).cast()
    }

    #[inline(always)]
    fn cell_ptr(&self, line: usize, slot: usize) -> *mut u8 {
        debug_assert!(line < self.count && slot < SLOTS);
        self.base.wrapping_add(self.cells.cell_at(self.count, line, slot))
    }

    /// The head of a line, whose number must be below `len`.
    #[inline(always)]
    pub(crate) fn head(&self, line: usize) -> &'a Head {
        // SAFETY: the promises of `Lines` and `Cells`; zeros are a head.
        unsafe { &*self.head_ptr(line) }
    }

    /// What a cell in use holds.
    #[inline(always)]
    pub(crate) fn content(&self, line: usize, slot: usize) -> C::Content {
        // SAFETY: the promises of `Lines` and `Cells`.
        unsafe { self.cells.read(self.cell_ptr(line, slot)) }
    }

    /// The cell in use of this tag that `recognise` knows by what it holds, and what it makes of that.
    #[inline(always)]
    pub(crate) fn find_in<T>(
        &self,
        line: usize,
        tag: u8,
        recognise: &mut impl FnMut(C::Content) -> Option<T>,
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

/// The lines of a block, to write.
pub(crate) struct LinesMut<'a, C> {
    lines: Lines<'a, C>,
    of: PhantomData<&'a mut [u8]>,
}

impl<'a, C: Cells> LinesMut<'a, C> {
    /// # Safety
    /// As for [`Lines::new`], and nobody else reads or writes the block for as long as this lives.
    #[inline(always)]
    pub(crate) unsafe fn new(base: *mut u8, count: usize, cells: C) -> Self {
        // SAFETY: as the caller says.
        LinesMut { lines: unsafe { Lines::new(base, count, cells) }, of: PhantomData }
    }

    /// As [`Lines::head`], until something is written.
    #[inline(always)]
    pub(crate) fn head(&self, line: usize) -> &Head {
        self.lines.head(line)
    }

    /// The head of a line, whose number must be below `len`.
    #[inline(always)]
    pub(crate) fn head_mut(&mut self, line: usize) -> &mut Head {
        // SAFETY: as in `Lines::head`, and `&mut self` makes it the only reference.
        unsafe { &mut *self.head_ptr(line) }
    }

    /// Fill a cell in use anew.
    #[inline(always)]
    pub(crate) fn set_content(&mut self, line: usize, slot: usize, content: C::Content) {
        // SAFETY: the promises of `Lines` and `Cells`; contents are used while what they lead to is there.
        unsafe { self.cells.write(self.cell_ptr(line, slot), content) }
    }

    /// Add a cell to a line; false if it is full.
    #[inline(always)]
    pub(crate) fn push(&mut self, line: usize, tag: u8, displacement: usize, content: C::Content) -> bool {
        let slot = self.head_mut(line).push(tag, displacement);
        slot.inspect(|&slot| self.set_content(line, slot, content)).is_some()
    }

    /// Take a cell out; the last one of its line takes its place.
    #[inline(always)]
    pub(crate) fn swap_remove(&mut self, line: usize, slot: usize) {
        let last = self.head_mut(line).swap_remove(slot);
        if last != slot {
            let content = self.content(line, last);
            self.set_content(line, slot, content);
        }
    }

    /// No cell is in use.
    pub(crate) fn clear(&mut self) {
        (0..self.len()).for_each(|line| *self.head_mut(line) = Head::EMPTY);
    }
}

impl<'a, C> Deref for LinesMut<'a, C> {
    type Target = Lines<'a, C>;

    #[inline(always)]
    fn deref(&self) -> &Lines<'a, C> {
        &self.lines
    }
}
