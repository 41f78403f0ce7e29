//! The numbers of pages: which are free, and the chunks of the table that none of them is in.

use super::{MAX_PAGES, NONE, PER_CHUNK, Page, Pages};
use crate::chunks::Plain;
use crate::memory::{Memory, OutOfMemory};

impl Pages {
    /// How many pages of a chunk are in use.
    pub(super) fn in_chunk(&self, chunk: usize) -> u16 {
        chunk.checked_sub(1).map_or(self.first_in_use, |after| *self.in_use.get(after))
    }

    pub(super) fn in_chunk_mut(&mut self, chunk: usize) -> &mut u16 {
        match chunk.checked_sub(1) {
            None => &mut self.first_in_use,
            Some(after) => self.in_use.get_mut(after),
        }
    }

    /// A number that is free, or a new one if there may be more. It stays free until a page takes it.
    pub(in crate::heap) fn next_number(&mut self, memory: &mut Memory) -> Result<u32, OutOfMemory> {
        if self.free != NONE {
            return Ok(self.free);
        }
        if self.released > 0 {
            return self.restore_chunk(memory);
        }
        if self.count == MAX_PAGES {
            return Err(OutOfMemory);
        }
        self.in_use.reserve(memory, self.count / PER_CHUNK)?;
        self.pages.reserve(memory, self.count + 1)?;
        Ok(self.count as u32)
    }

    /// The next number is not taken after all: its chunk may have been brought back for it alone.
    #[cold]
    pub(in crate::heap) fn leave(&mut self, memory: &mut Memory, number: u32) {
        let chunk = number as usize / PER_CHUNK;
        if chunk > 0 && (number as usize) < self.count && self.in_chunk(chunk) == 0 {
            self.release_chunk(memory, chunk);
        }
    }

    /// Give back a chunk with no page in use: at most `PER_CHUNK` steps.
    pub(super) fn release_chunk(&mut self, memory: &mut Memory, chunk: usize) {
        assert!(self.in_chunk(chunk) == 0, "a page of chunk {chunk} is in use");
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
        if chunks == 1 && self.first_in_use == 0 {
            return self.release_chunk(memory, 0);
        }
        self.pages.truncate(memory, self.count);
        self.in_use.truncate(memory, chunks.saturating_sub(1));
    }

    /// Forget the free numbers behind the last page in use, where there is only one chunk: each once.
    pub(super) fn trim(&mut self, memory: &mut Memory) {
        while !self.get(self.count as u32 - 1).is_in_use() {
            self.unlink(self.count as u32 - 1);
            self.count -= 1;
        }
        self.pages.truncate(memory, self.count);
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

    /// Put a number at the head of the free list. Panics where its page is in use.
    pub(super) fn link(&mut self, number: u32) {
        assert!(!self.get(number).is_in_use(), "page {number} is in use");
        let next = self.free;
        *self.pages.get_mut(number as usize) = Page { below: next, parts: NONE, ..Page::EMPTY };
        if next != NONE {
            self.pages.get_mut(next as usize).parts = number;
        }
        self.free = number;
    }

    /// Take a number out of the free list. Panics where its page is in use.
    pub(super) fn unlink(&mut self, number: u32) {
        assert!(!self.get(number).is_in_use(), "page {number} is in use");
        let Page { below: next, parts: previous, .. } = *self.get(number);
        if next != NONE {
            self.pages.get_mut(next as usize).parts = previous;
        }
        if previous == NONE {
            self.free = next;
        } else {
            self.pages.get_mut(previous as usize).below = next;
        }
    }
}
