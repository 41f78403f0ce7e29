//! Which entry goes when there is no room: SIEVE (Zhang et al., NSDI 2024), with trials. Entries stand in the order they
//! came in; one that is used is marked, and a use does no more. A hand goes over them from the oldest to the newest, lap
//! after lap, takes marks away, and evicts what has none.
//!
//! In the paper a newcomer goes when the hand first finds it unmarked: soon, as the hand is mostly among the newest. That
//! keeps out what is never used again, but where uses come in bursts, newcomers go before theirs is over. So here some
//! newcomers are *tried*: the hand passes over them until the lap in which they came is over, and judges them in the next.
//! How many is learned from what the hand sees anyway: which share of those tried was used in the lap of the trial, and
//! which share of the entries that were idle the lap before. The space is given to those that use it.
//!
//! And an entry that was used may go unused for two more laps, not none.

use crate::chunks::Plain;
use crate::heap::{Handle, Heap, Moved};
use crate::links::{Ends, LINK_BYTES, Link, ListId, Lists};

const QUEUE: ListId = 0;
/// Bytes of a slot.
pub(crate) const SIEVE_BYTES: u8 = LINK_BYTES + 1;
/// After so many entries the hand takes the next, whatever it knows of it, so that an eviction is O(1).
const PATIENCE: usize = 16 << 10;

/// The mark of an entry: it was used since the hand last came by.
const USED: u8 = 0x80;
/// It was used in the lap in which it came; only of those tried.
const EARLY: u8 = 0x40;
/// The parity of that lap.
const ODD: u8 = 0x20;
/// What the hand knows of an entry: these, or for how many laps it may go unused.
const STANDING: u8 = 0x0f;
const TRIED: u8 = 0x0f;
const GUEST: u8 = 0x0e;
const IDLE: u8 = 0;
/// Laps that a use is good for.
const LAPS: u8 = 2;
const LAPS_OF_A_GUEST: u8 = 1;

/// The queue of slots that have their links, and then their mark, at `at`.
#[derive(Debug)]
pub(crate) struct Sieve {
    queue: Lists<[Ends; 1]>,
    mark_at: u8,
    /// The entry looked at next; none at the end of the queue.
    hand: Link,
    /// From here on all are tried, and came in this lap: the hand need not go over them.
    fence: Link,
    /// The entry that a walk over the queue comes to next.
    walk: Link,
    /// The byte of one that is tried, comes in this lap, and has not been used.
    new: u8,
    trials: Trials,
    #[cfg(test)]
    steps: usize,
}

impl Sieve {
    pub(crate) fn new(at: u8) -> Self {
        Sieve {
            queue: Lists::new([Ends::EMPTY], at),
            mark_at: at + LINK_BYTES,
            hand: Link::NONE,
            fence: Link::NONE,
            walk: Link::NONE,
            new: TRIED,
            trials: Trials::default(),
            #[cfg(test)]
            steps: 0,
        }
    }

    /// What was learned stays.
    pub(crate) fn clear(&mut self) {
        self.queue.ends = [Ends::EMPTY];
        (self.hand, self.fence, self.walk) = (Link::NONE, Link::NONE, Link::NONE);
    }

    /// Go on with what another has learned.
    pub(crate) fn learn_from(&mut self, other: &Sieve) {
        self.trials = other.trials;
    }

    pub(crate) fn start(&self, slot: &mut [u8]) {
        self.queue.start(slot);
    }

    pub(crate) fn push(&mut self, heap: &mut Heap, handle: Handle) {
        self.queue.push(heap, QUEUE, handle);
        let tried = self.trials.is_next_tried();
        heap.slot_mut(handle)[self.mark_at()] = if tried { self.new } else { GUEST };
        self.fence = match (tried, self.fence) {
            (true, Link::NONE) => Link::to(handle),
            (true, fence) => fence,
            (false, _) => Link::NONE,
        };
    }

    #[inline(always)]
    fn mark_at(&self) -> usize {
        usize::from(self.mark_at)
    }

    #[inline]
    pub(crate) fn mark(&self, slot: &mut [u8]) {
        let mark = &mut slot[self.mark_at()];
        *mark |= if *mark & (STANDING | ODD) == self.new { EARLY } else { USED };
    }

    /// See [`Order::prefetch`](crate::order::Order::prefetch).
    #[inline]
    pub(crate) fn prefetch(&self, heap: &Heap, handle: Handle) {
        self.queue.prefetch(heap, handle);
    }

    pub(crate) fn leave(&mut self, heap: &mut Heap, handle: Handle) {
        for place in [&mut self.hand, &mut self.fence, &mut self.walk] {
            if *place == Link::to(handle) {
                *place = self.queue.next(heap, handle).into();
            }
        }
        self.queue.unlink(heap, handle);
    }

    pub(crate) fn moved(&mut self, heap: &mut Heap, moved: Moved) {
        for place in [&mut self.hand, &mut self.fence, &mut self.walk] {
            if *place == Link::to(moved.from) {
                *place = Link::to(moved.to);
            }
        }
        self.queue.moved(heap, moved.to);
    }

    /// The entry to evict, which the hand stays at. O(1): the hand goes over a bounded number of entries.
    pub(crate) fn victim(&mut self, heap: &mut Heap) -> Option<Handle> {
        for _ in 0..PATIENCE {
            let candidate = self.candidate()?;
            let mark = heap.slot(candidate)[self.mark_at()];
            let Some(mark) = self.judge(mark) else { return Some(candidate) };
            heap.slot_mut(candidate)[self.mark_at()] = mark;
            self.hand = self.queue.next(heap, candidate).into();
        }
        self.candidate()
    }

    /// What the hand is at, in the next lap if this one is over.
    fn candidate(&mut self) -> Option<Handle> {
        let first = self.queue.first(QUEUE)?;
        if self.hand == Link::NONE || self.hand == self.fence {
            self.trials.learn();
            (self.hand, self.fence) = (Link::to(first), Link::NONE);
            self.new ^= ODD;
        }
        self.hand.into()
    }

    /// The byte of an entry after the hand has passed, which was `mark` before; `None`: it has to go.
    fn judge(&mut self, mark: u8) -> Option<u8> {
        #[cfg(test)]
        (self.steps += 1);
        let (standing, used) = (mark & STANDING, mark & USED != 0);
        match standing {
            TRIED if mark & ODD == self.new & ODD => return Some(mark),
            TRIED if mark & EARLY == 0 => self.trials.tried.count(used),
            IDLE => self.trials.idle.count(used),
            _ => {}
        }
        match (used, standing) {
            (true, GUEST) => Some(LAPS_OF_A_GUEST),
            (true, _) => Some(LAPS),
            // Its use may have been of the burst that it came with: good for this lap only.
            (false, TRIED) if mark & EARLY != 0 => Some(IDLE),
            (false, TRIED | GUEST | IDLE) => None,
            (false, laps) => Some(laps - 1),
        }
    }

    /// Begin a walk over the queue, from the oldest on; it ends the one before it.
    pub(crate) fn begin_walk(&mut self) {
        self.walk = self.queue.first(QUEUE).into();
    }

    /// The next entry of the walk, which survives whatever happens to the queue meanwhile.
    pub(crate) fn next_of_walk(&mut self, heap: &Heap) -> Option<Handle> {
        let next = Option::from(self.walk)?;
        self.walk = self.queue.next(heap, next).into();
        Some(next)
    }

    /// Walk the queue; how many slots there are.
    pub(crate) fn check(&self, heap: &Heap) -> usize {
        let (mut count, mut hand_seen, mut fence_seen) = (0, self.hand == Link::NONE, self.fence == Link::NONE);
        self.queue.check(heap, QUEUE, |handle| {
            count += 1;
            hand_seen |= self.hand == Link::to(handle);
            fence_seen |= self.fence == Link::to(handle);
            let behind = self.fence != Link::NONE && fence_seen;
            assert!(!behind || heap.slot(handle)[self.mark_at()] & !EARLY == self.new, "all behind the fence are new");
        });
        assert!(hand_seen, "the hand is at an entry");
        assert!(fence_seen, "the fence is at an entry");
        count
    }
}

/// Which newcomers are tried, and what is learned from trials.
#[derive(Debug, Clone, Copy)]
struct Trials {
    /// How many of each `WHOLE` newcomers are tried, and what those before have left over.
    share: u8,
    carried: u8,
    tried: Tally,
    idle: Tally,
}

/// All newcomers, as a share. Some are always tried, or nothing more would be learned.
const WHOLE: u8 = 64;
const LEAST: u8 = 1;
/// The share grows faster than it shrinks, as trials are the safer mistake: with all tried, hit rates are about LRU's.
const GROWTH: u8 = 16;
const DECLINE: u8 = 8;
/// So many of both have to be seen before anything is learned.
const ENOUGH: u32 = 32;

impl Default for Trials {
    /// All are tried: while nothing is used, the oldest goes first.
    fn default() -> Self {
        let (tried, idle) = Default::default();
        Trials { share: WHOLE, carried: 0, tried, idle }
    }
}

impl Trials {
    fn is_next_tried(&mut self) -> bool {
        self.carried += self.share;
        let tried = self.carried >= WHOLE;
        self.carried %= WHOLE;
        tried
    }

    /// A lap is over: try more, if those tried were used more than half as often as the idle, else fewer.
    fn learn(&mut self) {
        if self.tried.seen < ENOUGH || self.idle.seen < ENOUGH {
            return;
        }
        self.share = if self.tried.is_used_more_than_half_as_often_as(&self.idle) {
            WHOLE.min(self.share + GROWTH)
        } else {
            LEAST.max(self.share.saturating_sub(DECLINE))
        };
        (self.tried, self.idle) = Default::default();
    }
}

/// How many entries the hand has judged, and how many of them had been used. Both are halved before they overflow: only
/// their ratio matters.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    seen: u32,
    used: u32,
}

impl Tally {
    fn count(&mut self, used: bool) {
        if self.seen == u32::MAX {
            (self.seen, self.used) = (self.seen / 2, self.used / 2);
        }
        self.seen += 1;
        self.used += u32::from(used);
    }

    fn is_used_more_than_half_as_often_as(&self, other: &Tally) -> bool {
        2 * u128::from(self.used) * u128::from(other.seen) > u128::from(other.used) * u128::from(self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::{Growth, StackId};

    const NUMBER: usize = SIEVE_BYTES as usize;

    /// Entries that know their number, and where each is.
    struct Queue {
        heap: Heap,
        sieve: Sieve,
        stack: StackId,
        places: Vec<Option<Handle>>,
    }

    impl Queue {
        fn new() -> Self {
            let mut heap = Heap::new();
            let stack = heap.new_stack(NUMBER + 4, Growth::Alone, 0).unwrap();
            let sieve = Sieve::new(0);
            Queue { heap, sieve, stack, places: Vec::new() }
        }

        fn number(&self, handle: Handle) -> usize {
            u32::from_ne_bytes(self.heap.slot(handle)[NUMBER..NUMBER + 4].try_into().unwrap()) as usize
        }

        fn come_all(&mut self, count: usize) {
            (0..count).for_each(|_| self.come());
        }

        fn come(&mut self) {
            let (number, handle) = (self.places.len(), self.heap.push(self.stack).unwrap());
            let slot = self.heap.slot_mut(handle);
            slot[NUMBER..NUMBER + 4].copy_from_slice(&(number as u32).to_ne_bytes());
            self.sieve.start(slot);
            self.sieve.push(&mut self.heap, handle);
            self.places.push(Some(handle));
        }

        /// Whether it was there.
        fn mark(&mut self, number: usize) -> bool {
            let Some(handle) = self.places[number] else { return false };
            self.sieve.mark(self.heap.slot_mut(handle));
            true
        }

        /// Whom it takes, and how many steps of the hand.
        fn evict(&mut self) -> (usize, usize) {
            let before = self.sieve.steps;
            let victim = self.sieve.victim(&mut self.heap).unwrap();
            let number = self.number(victim);
            self.places[number] = None;
            self.sieve.leave(&mut self.heap, victim);
            if let Some(moved) = self.heap.remove(victim).moved {
                self.sieve.moved(&mut self.heap, moved);
                let number = self.number(moved.to);
                self.places[number] = Some(moved.to);
            }
            (number, self.sieve.steps - before)
        }
    }

    #[test]
    fn what_another_has_learned_is_taken_over() {
        let (mut teacher, mut queue) = (Queue::new(), Queue::new());
        teacher.sieve.trials.share = WHOLE / 4;
        queue.sieve.learn_from(&teacher.sieve);
        queue.come_all(100);
        let tried = |&&handle: &&Handle| queue.heap.slot(handle)[queue.sieve.mark_at()] == queue.sieve.new;
        assert_eq!(queue.places.iter().flatten().filter(tried).count(), 25);
    }

    #[test]
    fn a_tally_keeps_its_ratio_however_much_is_counted() {
        let mut tally = Tally { seen: u32::MAX, used: u32::MAX / 4 };
        tally.count(true);
        assert_eq!((tally.seen, tally.used), (1 << 31, (1 << 29)));
        assert!(!tally.is_used_more_than_half_as_often_as(&Tally { seen: 2, used: 1 }));
        assert!(tally.is_used_more_than_half_as_often_as(&Tally { seen: 5, used: 2 }));
    }

    #[test]
    fn no_eviction_looks_at_all() {
        let count = 3 * PATIENCE;
        let mut queue = Queue::new();
        queue.come_all(count);
        for _ in 0..3 {
            (0..queue.places.len()).for_each(|number| _ = queue.mark(number));
            for _ in 0..20 {
                assert!(queue.evict().1 <= PATIENCE);
                queue.come();
            }
        }
        assert_eq!(queue.sieve.check(&queue.heap), count);
    }

    #[test]
    fn where_nobody_asks_each_eviction_looks_at_one() {
        let count = 3 * PATIENCE;
        let mut queue = Queue::new();
        queue.come_all(count);
        for number in 0..5 * count {
            assert_eq!(queue.evict(), (number, 1));
            queue.come();
        }
    }

    #[test]
    fn an_eviction_looks_at_few_on_average() {
        for share in [LEAST, 8, 33, 56, WHOLE] {
            let (mut queue, mut marks) = (Queue::new(), 0);
            queue.come_all(1000);
            for i in 0..20_000usize {
                queue.sieve.trials.share = share;
                let newest = queue.places.len() - 1;
                for far in [1, 30, 300, 900] {
                    marks += usize::from(queue.mark(newest - (i * far) % far));
                }
                queue.evict();
                queue.come();
            }
            // A newcomer is passed over in one lap at most; a mark is good for one pass, and two laps.
            let most = queue.places.len() + 3 * marks + 20_000;
            assert!(queue.sieve.steps <= most, "{} steps, {marks} marks", queue.sieve.steps);
            assert_eq!(queue.sieve.check(&queue.heap), 1000);
        }
    }
}
