//! Which pages of a range are free.

/// Pages of a word.
const BITS: usize = u64::BITS as usize;

/// A set of pages, from which runs are taken: the first that is long enough.
///
/// Invariants: bits at and beyond `pages` are clear; `free` is the number of set bits; every word below `from` is 0; no
/// run of free pages is longer than `longest`.
#[derive(Debug)]
pub(super) struct Runs {
    /// A bit for each page: whether it is free.
    words: Vec<u64>,
    pages: usize,
    free: usize,
    from: usize,
    longest: usize,
}

impl Runs {
    /// All of so many pages are free. `None` where there is no memory for the set.
    pub(super) fn new(pages: usize) -> Option<Self> {
        let count = pages.div_ceil(BITS);
        let mut words = Vec::new();
        words.try_reserve_exact(count).ok()?;
        words.resize(count, 0);
        let mut runs = Runs { words, pages, free: 0, from: 0, longest: 0 };
        runs.put(0, pages);
        Some(runs)
    }

    /// Whether all pages are free.
    pub(super) fn is_empty(&self) -> bool {
        self.free == self.pages
    }

    /// Take the first run of `count` pages (more than 0): where it begins. O(pages / 64).
    pub(super) fn take(&mut self, count: usize) -> Option<usize> {
        if count > self.longest {
            return None;
        }
        let mut longest = 0;
        let mut at = self.next(self.from * BITS, true);
        self.from = at / BITS;
        while at < self.pages {
            let end = self.next(at, false);
            if end - at >= count {
                self.fill(at, count, false);
                self.free -= count;
                return Some(at);
            }
            longest = longest.max(end - at);
            at = self.next(end, true);
        }
        self.longest = longest;
        None
    }

    /// Give `count` pages from `first` on back, none of which is free.
    pub(super) fn put(&mut self, first: usize, count: usize) {
        assert!(!self.is_free(first) && !self.is_free(first + count - 1), "pages in use");
        self.fill(first, count, true);
        self.free += count;
        self.from = self.from.min(first / BITS);
        // A run may have been joined with those before and behind it.
        self.longest = self.longest.max(self.next(first, false) - self.start(first));
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free
    }

    fn is_free(&self, page: usize) -> bool {
        self.words[page / BITS] >> (page % BITS) & 1 == 1
    }

    /// The first page from `page` on that is free, or is not; `pages` where there is none.
    fn next(&self, page: usize, free: bool) -> usize {
        let flip = if free { 0 } else { u64::MAX };
        let mut word = page / BITS;
        let mut mask = u64::MAX << (page % BITS);
        while word < self.words.len() {
            let found = (self.words[word] ^ flip) & mask;
            if found != 0 {
                return (word * BITS + found.trailing_zeros() as usize).min(self.pages);
            }
            (word, mask) = (word + 1, u64::MAX);
        }
        self.pages
    }

    /// Where the run of free pages begins that a free page is in.
    fn start(&self, page: usize) -> usize {
        let (mut word, mut mask) = (page / BITS, u64::MAX >> (BITS - 1 - page % BITS));
        loop {
            let used = !self.words[word] & mask;
            if used != 0 {
                return word * BITS + BITS - used.leading_zeros() as usize;
            }
            if word == 0 {
                return 0;
            }
            (word, mask) = (word - 1, u64::MAX);
        }
    }

    fn fill(&mut self, first: usize, count: usize, free: bool) {
        let mut page = first;
        let end = first + count;
        while page < end {
            let bits = (BITS - page % BITS).min(end - page);
            let mask = (u64::MAX >> (BITS - bits)) << (page % BITS);
            let word = &mut self.words[page / BITS];
            *word = if free { *word | mask } else { *word & !mask };
            page += bits;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first run of a list of flags that is long enough.
    fn first_run(free: &[bool], count: usize) -> Option<usize> {
        (0..=free.len().checked_sub(count)?).find(|&at| free[at..at + count].iter().all(|&free| free))
    }

    fn check(runs: &Runs, free: &[bool]) {
        assert!((0..free.len()).all(|page| runs.is_free(page) == free[page]));
        assert_eq!(runs.free, free.iter().filter(|&&free| free).count());
        assert_eq!(runs.words.iter().map(|word| word.count_ones() as usize).sum::<usize>(), runs.free);
        assert!(runs.words[..runs.from].iter().all(|&word| word == 0));
        assert!(runs.longest <= free.len() && first_run(free, runs.longest + 1).is_none());
    }

    proptest! {
        #![proptest_config(super::super::tests::config())]
        #[test]
        fn takes_the_first_run_that_is_long_enough(
            pages in 1usize..400,
            steps in proptest::collection::vec((any::<bool>(), 1usize..130, any::<prop::sample::Index>()), 1..120),
        ) {
            let mut runs = Runs::new(pages).unwrap();
            let mut free = vec![true; pages];
            let mut taken: Vec<(usize, usize)> = Vec::new();
            for (take, count, which) in steps {
                if take || taken.is_empty() {
                    let expected = first_run(&free, count);
                    prop_assert_eq!(runs.take(count), expected);
                    if let Some(at) = expected {
                        free[at..at + count].fill(false);
                        taken.push((at, count));
                    }
                } else {
                    let (at, count) = taken.swap_remove(which.index(taken.len()));
                    let before = runs.longest;
                    runs.put(at, count);
                    free[at..at + count].fill(true);
                    let run = free[..at].iter().rev().take_while(|&&free| free).count()
                        + free[at..].iter().take_while(|&&free| free).count();
                    prop_assert_eq!(runs.longest, before.max(run));
                }
                check(&runs, &free);
            }
        }
    }
}
