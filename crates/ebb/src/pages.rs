//! The pages of a heap by number. Numbers come free in any order, and the memory of their table follows those in use.
#![allow(unsafe_code)] // one promise about a plain struct

use crate::chunks::{ChunkArray, Plain};
use crate::memory::{Memory, OutOfMemory};

/// No page.
pub(crate) const NONE: u32 = u32::MAX;
/// Page numbers come and go in chunks of this many.
const PER_CHUNK: usize = ChunkArray::<Page>::PER_CHUNK;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// Null in a free page number.
    pub(crate) base: *mut u8,
    /// Bytes of the block; 0 in a page that is a further part of the block of the page below.
    pub(crate) bytes: usize,
    pub(crate) slot_bytes: u32,
    /// In a free page number, the free one before it.
    pub(crate) slots: u32,
    /// The stack in the low half, its tag in the high half; or `heap::LONE`.
    pub(crate) stack: u32,
    /// The page below in the stack; in a free page number, the next free one.
    pub(crate) below: u32,
}

// SAFETY: a null pointer and zeros are a page.
unsafe impl Plain for Page {}

/// Invariants: every number below `count` is in use, in the free list, or in a released chunk; a chunk but the first
/// has one in use.
#[derive(Debug)]
pub(crate) struct Pages {
    pages: ChunkArray<Page>,
    /// Pages in use, for each chunk.
    in_use: ChunkArray<u16>,
    count: usize,
    /// Chunks that were given back, below others that are in use.
    released: usize,
    /// The first free number.
    free: u32,
}

impl Pages {
    pub(crate) const fn new() -> Self {
        Pages { pages: ChunkArray::new(), in_use: ChunkArray::new(), count: 0, released: 0, free: NONE }
    }

    /// A page whose number is in use.
    #[inline(always)]
    pub(crate) fn get(&self, number: u32) -> &Page {
        self.pages.get(number as usize)
    }

    /// All pages in use, with their numbers.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = (u32, &Page)> {
        (0..self.count).filter_map(|number| {
            let page = self.pages.has_chunk(number / PER_CHUNK).then(|| self.pages.get(number))?;
            (!page.base.is_null()).then_some((number as u32, page))
        })
    }

    /// Bytes of the table.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.bytes() + self.in_use.bytes()
    }

    /// A number that is free, or the next new one if that is below `most`. It is free until [`take`](Self::take)n.
    pub(crate) fn next_number(&mut self, memory: &mut Memory, most: usize) -> Result<u32, OutOfMemory> {
        if self.free != NONE {
            return Ok(self.free);
        }
        if self.released > 0 {
            return self.restore_chunk(memory);
        }
        if self.count == most {
            return Err(OutOfMemory);
        }
        self.in_use.reserve(memory, self.count / PER_CHUNK + 1)?;
        self.pages.reserve(memory, self.count + 1)?;
        Ok(self.count as u32)
    }

    /// The next number is not taken after all: its chunk may have been brought back for it alone.
    #[cold]
    pub(crate) fn leave(&mut self, memory: &mut Memory, number: u32) {
        let chunk = number as usize / PER_CHUNK;
        if chunk > 0 && (number as usize) < self.count && *self.in_use.get(chunk) == 0 {
            self.release_chunk(memory, chunk);
        }
    }

    /// Use the next number for a page.
    pub(crate) fn take(&mut self, number: u32, page: Page) {
        *self.in_use.get_mut(number as usize / PER_CHUNK) += 1;
        if number as usize == self.count {
            self.count += 1;
        } else {
            self.unlink(number);
        }
        *self.pages.get_mut(number as usize) = page;
    }

    /// A page has gone.
    pub(crate) fn free(&mut self, memory: &mut Memory, number: u32) {
        self.link(number);
        let chunk = number as usize / PER_CHUNK;
        let in_use = self.in_use.get_mut(chunk);
        *in_use -= 1;
        if *in_use == 0 && (chunk > 0 || self.count <= PER_CHUNK) {
            self.release_chunk(memory, chunk);
        }
    }

    /// Give back a chunk with no page in use: at most `PER_CHUNK` steps.
    fn release_chunk(&mut self, memory: &mut Memory, chunk: usize) {
        let end = ((chunk + 1) * PER_CHUNK).min(self.count);
        for number in chunk * PER_CHUNK..end {
            self.unlink(number as u32);
        }
        if end < self.count {
            self.pages.release_chunk(memory, chunk);
            self.released += 1;
            return;
        }
        let mut chunks = chunk;
        while chunks > 1 && !self.pages.has_chunk(chunks - 1) {
            chunks -= 1;
            self.released -= 1;
        }
        self.count = chunks * PER_CHUNK;
        if chunks == 1 && *self.in_use.get(0) == 0 {
            return self.release_chunk(memory, 0);
        }
        self.pages.truncate(memory, self.count);
        self.in_use.truncate(memory, chunks);
    }

    /// Bring a released chunk back: O(pages / 128), once in 128 pages.
    fn restore_chunk(&mut self, memory: &mut Memory) -> Result<u32, OutOfMemory> {
        let chunks = self.count / PER_CHUNK;
        let chunk = (1..chunks).find(|&i| !self.pages.has_chunk(i)).expect("one was released");
        self.pages.restore_chunk(memory, chunk)?;
        self.released -= 1;
        for number in (chunk * PER_CHUNK..(chunk + 1) * PER_CHUNK).rev() {
            self.link(number as u32);
        }
        Ok(self.free)
    }

    /// Put a number at the head of the free list.
    fn link(&mut self, number: u32) {
        let next = self.free;
        let page = self.pages.get_mut(number as usize);
        (page.base, page.below, page.slots) = (std::ptr::null_mut(), next, NONE);
        if next != NONE {
            self.pages.get_mut(next as usize).slots = number;
        }
        self.free = number;
    }

    fn unlink(&mut self, number: u32) {
        let Page { below: next, slots: previous, .. } = *self.get(number);
        if next != NONE {
            self.pages.get_mut(next as usize).slots = previous;
        }
        if previous == NONE {
            self.free = next;
        } else {
            self.pages.get_mut(previous as usize).below = next;
        }
    }

    /// Forget all pages, and give the table back.
    pub(crate) fn clear(&mut self, memory: &mut Memory) {
        self.pages.clear(memory);
        self.in_use.clear(memory);
        (self.count, self.released, self.free) = (0, 0, NONE);
    }

    /// Walk every invariant; how many pages are in use.
    pub(crate) fn check(&self) -> usize {
        let (mut free, mut number, mut previous) = (0, self.free, NONE);
        while number != NONE {
            let page = self.get(number);
            assert!(page.base.is_null() && page.slots == previous);
            free += 1;
            (previous, number) = (number, page.below);
        }
        let mut all = 0;
        for chunk in 0..self.count.div_ceil(PER_CHUNK) {
            let numbers = chunk * PER_CHUNK..((chunk + 1) * PER_CHUNK).min(self.count);
            let is_there = self.pages.has_chunk(chunk);
            let in_use = numbers.filter(|&number| is_there && !self.pages.get(number).base.is_null()).count();
            assert_eq!(in_use, *self.in_use.get(chunk) as usize);
            assert!(chunk == 0 || in_use > 0 || !is_there);
            all += in_use;
        }
        assert_eq!(all + free + self.released * PER_CHUNK, self.count, "every number is in use or free");
        all
    }
}
