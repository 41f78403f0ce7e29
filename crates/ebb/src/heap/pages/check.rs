//! What holds of pages at any time.

use super::{NONE, PER_CHUNK, Pages};

impl Pages {
    /// Walk every invariant; how many pages are in use.
    pub(in crate::heap) fn check(&self) -> usize {
        let (mut free, mut number, mut previous) = (0, self.free, NONE);
        while number != NONE {
            let page = self.get(number);
            assert!(!page.is_in_use() && page.parts == previous && page.slots == 0);
            free += 1;
            (previous, number) = (number, page.below);
        }
        let mut all = 0;
        for chunk in 0..self.count.div_ceil(PER_CHUNK) {
            let numbers = chunk * PER_CHUNK..((chunk + 1) * PER_CHUNK).min(self.count);
            let is_there = self.pages.has_chunk(chunk);
            let in_use = numbers.filter(|&number| is_there && self.pages.get(number).is_in_use()).count();
            assert_eq!(in_use, usize::from(self.in_chunk(chunk)));
            assert!(chunk == 0 || in_use > 0 || !is_there);
            all += in_use;
        }
        assert_eq!(all + free + self.released * PER_CHUNK, self.count, "every number is in use or free");
        self.check_parts();
        all
    }

    fn check_parts(&self) {
        let mut parts = std::collections::HashMap::new();
        for (number, page) in self.in_use().filter(|(_, page)| page.units == 0) {
            let (owner, _) = self.owner_of(number);
            *parts.entry(owner).or_insert(0) += 1;
            let (first, end) = (self.get(owner), page.base.addr().get() + page.used_bytes());
            assert!(
                first.base < page.base && end <= first.base.addr().get() + first.bytes(),
                "a part lies within its block"
            );
        }
        for (number, page) in self.in_use() {
            assert_eq!(page.parts, parts.get(&number).copied().unwrap_or(0));
            assert!(page.units == 0 || page.used_bytes() <= page.bytes(), "slots lie within their block");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PER_CHUNK, Pages, SLOT_BITS, Shape};
    use super::NONE;
    use crate::memory::Memory;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn shape(slot_bytes: u32, below: u32) -> Shape {
        Shape { slot_bytes, stack: 0, below }
    }

    /// Pages of so many numbers, from 0 on, each with a block of its own.
    fn pages_of(memory: &mut Memory, numbers: usize) -> Pages {
        let mut pages = Pages::new();
        for _ in 0..numbers {
            take_next(&mut pages, memory);
        }
        pages.check();
        pages
    }

    fn take_next(pages: &mut Pages, memory: &mut Memory) -> u32 {
        let number = pages.next_number(memory).unwrap();
        pages.take(number, memory.allocate(64).unwrap(), shape(64, NONE));
        number
    }

    fn free_chunk(pages: &mut Pages, memory: &mut Memory, chunk: usize) {
        for number in chunk * PER_CHUNK..(chunk + 1) * PER_CHUNK {
            let block = pages.free(memory, number as u32).expect("a page with a block of its own");
            memory.release(block);
        }
        pages.check();
    }

    /// A block, and a part of it, whose numbers are taken for free: a page loses no block that it is in.
    #[test]
    fn a_page_in_use_is_not_in_the_free_list() {
        let unlink: fn(&mut Pages, &mut Memory, u32) = |pages, _, part| pages.unlink(part);
        let link: fn(&mut Pages, &mut Memory, u32) = |pages, _, part| pages.link(part);
        let release: fn(&mut Pages, &mut Memory, u32) = |pages, memory, _| pages.release_chunk(memory, 0);
        for mistake in [unlink, link, release] {
            let (mut memory, mut pages) = (Memory::new(), Pages::new());
            let owner = pages.next_number(&mut memory).unwrap();
            pages.take(owner, memory.allocate(4096).unwrap(), shape(1500, NONE));
            let part = pages.next_number(&mut memory).unwrap();
            pages.take_part(part, 4096 - 3000, shape(1000, owner));
            let refused = catch_unwind(AssertUnwindSafe(|| mistake(&mut pages, &mut memory, part))).is_err();
            if let Ok(Some(block)) = catch_unwind(AssertUnwindSafe(|| pages.free(&mut memory, owner))) {
                memory.release(block);
            }
            pages.slot_mut(part << SLOT_BITS).fill(1);
            assert!(refused);
            pages.clear(&mut memory);
        }
    }

    /// Each part is counted, in its order, and only the page that owns the block gives it up.
    #[test]
    fn parts_come_and_go_from_the_end_of_their_block() {
        let (mut memory, mut pages) = (Memory::new(), Pages::new());
        let owner = pages.next_number(&mut memory).unwrap();
        pages.take(owner, memory.allocate(4096).unwrap(), shape(2500, NONE));
        for _ in 0..2 {
            let mut stack = vec![owner];
            for _ in 0..3 {
                let part = pages.next_number(&mut memory).unwrap();
                pages.take_part(part, 500, shape(500, *stack.last().unwrap()));
                stack.push(part);
                assert_eq!(pages.check(), stack.len());
            }
            for (i, &page) in stack.iter().enumerate() {
                pages.slot_mut(page << SLOT_BITS).fill(i as u8);
            }
            let slot =
                |(i, &page): (usize, &u32)| pages.slot_mut(page << SLOT_BITS).iter().all(|&byte| byte == i as u8);
            assert!(stack.iter().enumerate().all(slot), "no two have a byte in common");
            while stack.len() > 1 {
                for &page in &stack[..stack.len() - 1] {
                    assert!(catch_unwind(AssertUnwindSafe(|| pages.free(&mut memory, page))).is_err());
                }
                assert!(pages.free(&mut memory, stack.pop().unwrap()).is_none(), "a part has no block of its own");
                assert_eq!(pages.check(), stack.len());
            }
        }
        let block = pages.free(&mut memory, owner).expect("the block");
        assert_eq!(block.bytes(), 4096);
        memory.release(block);
        assert_eq!((pages.check(), memory.held()), (0, 0));
    }

    /// A number of a chunk that was given back is used before a new one.
    #[test]
    fn a_chunk_that_was_given_back_comes_back_for_the_next_page() {
        let mut memory = Memory::new();
        let mut pages = pages_of(&mut memory, 3 * PER_CHUNK);
        let before = pages.bytes();
        free_chunk(&mut pages, &mut memory, 1);
        assert!(pages.bytes() < before, "the chunk was given back");
        let numbers: Vec<u32> = (0..PER_CHUNK).map(|_| take_next(&mut pages, &mut memory)).collect();
        assert!(numbers.iter().all(|&number| number as usize / PER_CHUNK == 1), "{numbers:?}");
        assert_eq!((pages.check(), pages.bytes()), (3 * PER_CHUNK, before));
        pages.clear(&mut memory);
    }

    /// Where there is memory for the chunk of a number, but none for the page, the chunk goes back.
    #[test]
    fn a_number_that_is_left_keeps_no_chunk() {
        let mut memory = Memory::new();
        let mut pages = pages_of(&mut memory, 3 * PER_CHUNK);
        free_chunk(&mut pages, &mut memory, 1);
        let before = pages.bytes();
        let number = pages.next_number(&mut memory).unwrap();
        assert_eq!(number as usize / PER_CHUNK, 1);
        assert!(pages.bytes() > before, "the chunk was brought back");
        pages.leave(&mut memory, number);
        assert_eq!((pages.check(), pages.bytes()), (2 * PER_CHUNK, before));
        assert_eq!(take_next(&mut pages, &mut memory), number);
        assert_eq!(pages.check(), 2 * PER_CHUNK + 1);
        // Its chunk has a page in use now.
        let next = pages.next_number(&mut memory).unwrap();
        pages.leave(&mut memory, next);
        assert_eq!(pages.check(), 2 * PER_CHUNK + 1);
        pages.clear(&mut memory);
    }

    /// The first chunk stays while others are in use, also where none of its pages is.
    #[test]
    fn a_number_of_the_first_chunk_is_left_where_it_is() {
        let mut memory = Memory::new();
        let mut pages = pages_of(&mut memory, 2 * PER_CHUNK);
        free_chunk(&mut pages, &mut memory, 0);
        let before = pages.bytes();
        let number = pages.next_number(&mut memory).unwrap();
        assert!((number as usize) < PER_CHUNK);
        pages.leave(&mut memory, number);
        assert_eq!((pages.check(), pages.bytes()), (PER_CHUNK, before));
        assert_eq!(take_next(&mut pages, &mut memory), number);
        pages.clear(&mut memory);
    }
}
