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
    use super::super::{Pages, Shape};
    use super::NONE;
    use crate::memory::Memory;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// A block, and a part of it, whose numbers are taken for free: a page loses no block that it is in.
    #[test]
    fn a_page_in_use_is_not_in_the_free_list() {
        let unlink: fn(&mut Pages, &mut Memory, u32) = |pages, _, part| pages.unlink(part);
        let link: fn(&mut Pages, &mut Memory, u32) = |pages, _, part| pages.link(part);
        let release: fn(&mut Pages, &mut Memory, u32) = |pages, memory, _| pages.release_chunk(memory, 0);
        for mistake in [unlink, link, release] {
            let (mut memory, mut pages) = (Memory::new(), Pages::new());
            let shape = |slot_bytes, below| Shape { slot_bytes, stack: 0, below };
            let owner = pages.next_number(&mut memory).unwrap();
            pages.take(owner, memory.allocate(4096).unwrap(), shape(1500, NONE));
            let part = pages.next_number(&mut memory).unwrap();
            pages.take_part(part, 4096 - 3000, shape(1000, owner));
            let refused = catch_unwind(AssertUnwindSafe(|| mistake(&mut pages, &mut memory, part))).is_err();
            if let Ok(Some(block)) = catch_unwind(AssertUnwindSafe(|| pages.free(&mut memory, owner))) {
                memory.release(block);
            }
            pages.slot_mut(part << super::super::SLOT_BITS).fill(1);
            assert!(refused);
            pages.clear(&mut memory);
        }
    }
}
