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
            assert_eq!(in_use, *self.in_use.get(chunk) as usize);
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
            assert!(page.extent as usize == page.used_bytes() || page.extent == u32::MAX);
            assert_eq!(page.parts, parts.get(&number).copied().unwrap_or(0));
            assert!(page.units == 0 || page.used_bytes() <= page.bytes(), "slots lie within their block");
        }
    }
}
