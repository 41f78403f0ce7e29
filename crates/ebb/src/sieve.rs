//! Which entry goes when there is no room: SIEVE (Zhang et al., NSDI 2024). Entries stand in the order they came in; one
//! that is used is marked. A hand moves from the oldest to the newest, takes marks away, and evicts the first entry that
//! has none.

use crate::heap::{Handle, Heap, Moved};
use crate::links::{LINK_BYTES, ListId, Lists};
use crate::memory::{Memory, OutOfMemory};

const QUEUE: ListId = 0;
/// Bytes of a slot.
pub(crate) const SIEVE_BYTES: usize = LINK_BYTES + 1;
/// After so many marks the hand takes the next entry whether it is marked or not, so that an eviction is O(1).
const PATIENCE: usize = 16 << 10;

/// The queue of slots that have their links, and then their mark, at `at`.
#[derive(Debug)]
pub(crate) struct Sieve {
    queue: Lists,
    mark_at: usize,
    /// The entry looked at next; the oldest if there is none.
    hand: Option<Handle>,
}

impl Sieve {
    pub(crate) fn new(at: usize) -> Self {
        Sieve { queue: Lists::new(at), mark_at: at + LINK_BYTES, hand: None }
    }

    pub(crate) fn prepare(&mut self, memory: &mut Memory) -> Result<(), OutOfMemory> {
        self.queue.reserve(memory, 1)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.queue.bytes()
    }

    pub(crate) fn clear(&mut self, memory: &mut Memory) {
        self.queue.clear(memory);
        self.hand = None;
    }

    pub(crate) fn start(&self, slot: &mut [u8]) {
        self.queue.start(slot);
        slot[self.mark_at] = 0;
    }

    pub(crate) fn push(&mut self, heap: &mut Heap, handle: Handle) {
        self.queue.push(heap, QUEUE, handle);
    }

    #[inline]
    pub(crate) fn mark(&self, slot: &mut [u8]) {
        slot[self.mark_at] = 1;
    }

    /// See [`Order::prefetch`](crate::order::Order::prefetch).
    #[inline]
    pub(crate) fn prefetch(&self, heap: &Heap, handle: Handle) {
        self.queue.prefetch(heap, handle);
    }

    pub(crate) fn leave(&mut self, heap: &mut Heap, handle: Handle) {
        if self.hand == Some(handle) {
            self.hand = self.queue.next(heap, handle);
        }
        self.queue.unlink(heap, handle);
    }

    pub(crate) fn moved(&mut self, heap: &mut Heap, moved: Moved) {
        if self.hand == Some(moved.from) {
            self.hand = Some(moved.to);
        }
        self.queue.moved(heap, moved.to);
    }

    /// The entry to evict, which the hand stays at. O(1): a bounded number of marks is taken away.
    pub(crate) fn victim(&mut self, heap: &mut Heap) -> Option<Handle> {
        for _ in 0..PATIENCE {
            let candidate = self.hand.or_else(|| self.queue.first(QUEUE))?;
            let mark = &mut heap.slot_mut(candidate)[self.mark_at];
            if *mark == 0 {
                self.hand = Some(candidate);
                return Some(candidate);
            }
            *mark = 0;
            self.hand = self.queue.next(heap, candidate);
        }
        self.hand.or_else(|| self.queue.first(QUEUE))
    }

    /// Call `visit` with every entry, the oldest first.
    pub(crate) fn visit(&self, heap: &Heap, mut visit: impl FnMut(Handle)) {
        let mut next = self.queue.first(QUEUE);
        while let Some(handle) = next {
            visit(handle);
            next = self.queue.next(heap, handle);
        }
    }

    /// Walk the queue; how many slots there are.
    pub(crate) fn check(&self, heap: &Heap) -> usize {
        let (mut count, mut hand_seen) = (0, self.hand.is_none());
        self.queue.check(heap, QUEUE, |handle| {
            count += 1;
            hand_seen |= self.hand == Some(handle);
        });
        assert!(hand_seen, "the hand is at an entry");
        count
    }
}
