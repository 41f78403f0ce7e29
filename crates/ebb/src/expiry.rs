//! Which entries have expired: a hierarchical timing wheel (Varghese and Lauck, 1987) of lists of slots.
//!
//! A slot is filed under the earliest moment it can expire at. A renewed entry stays where it is filed, as long as its
//! deadline is later: when its list comes up it is filed anew. So renewing costs nothing, and an entry that was renewed
//! holds up no other. An entry is looked at no more than once a level, however long it lives.

use crate::clock::{Clock, LAST_TICK, Time};
use crate::heap::{Handle, Heap};
use crate::links::{ListId, Lists};
use crate::memory::{Memory, OutOfMemory};

/// Slots of the wheel's levels: a tick of a millisecond each in the first, and 64 times that in each that follows.
const SLOTS: u64 = 64;
const SLOT_BITS: u32 = SLOTS.ilog2();
const LEVELS: usize = (LAST_TICK.ilog2() as usize + 1).div_ceil(SLOT_BITS as usize);
/// Of entries that expire within the tick where the wheel is, which only clocks finer than a tick have.
const WAITING: ListId = 0;
const LISTS: usize = 1 + LEVELS * SLOTS as usize;

/// What one step of a sweep came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// This one has expired.
    Expired(Handle),
    /// One that had not was filed anew.
    Filed,
    /// Nothing more has expired.
    Done,
}

/// Invariants: a slot with a deadline is in one list, and is filed no later than its deadline; a list that is not empty
/// is marked; lists at or before the hand are empty, but for those the hand is at.
#[derive(Debug)]
pub(crate) struct Expiry {
    clock: Clock,
    lists: Lists,
    /// The tick up to which all has been looked at.
    hand: u64,
    /// Which lists of each level may have slots.
    marks: [u64; LEVELS],
    /// The earliest deadline of those waiting.
    waiting_until: Time,
    /// Nothing is due before this tick, those waiting left aside.
    due_from: u64,
    /// Where the last slot was filed.
    recent: Recent,
}

/// Ticks that are all filed in one list, for as long as no step is taken: from one on, so many.
#[derive(Debug, Clone, Copy)]
struct Recent {
    from: u64,
    ticks: u64,
    list: ListId,
}

impl Recent {
    const NONE: Recent = Recent { from: 0, ticks: 0, list: WAITING };
}

fn list_of(level: usize, slot: u64) -> ListId {
    (1 + level as u64 * SLOTS + slot) as ListId
}

fn slot_of(tick: u64, level: usize) -> u64 {
    tick >> (level as u32 * SLOT_BITS) & (SLOTS - 1)
}

impl Expiry {
    /// Of slots that have their links at `links_at`.
    pub(crate) fn new(clock: Clock, links_at: usize) -> Self {
        Expiry {
            clock,
            lists: Lists::new(links_at),
            hand: 0,
            marks: [0; LEVELS],
            waiting_until: Time::NEVER,
            due_from: u64::MAX,
            recent: Recent::NONE,
        }
    }

    pub(crate) fn lists(&mut self) -> &mut Lists {
        &mut self.lists
    }

    pub(crate) fn bytes(&self) -> usize {
        self.lists.bytes()
    }

    /// Get the memory that filing takes.
    #[inline(always)]
    pub(crate) fn prepare(&mut self, memory: &mut Memory) -> Result<(), OutOfMemory> {
        self.lists.reserve(memory, LISTS)
    }

    pub(crate) fn clear(&mut self, memory: &mut Memory) {
        self.lists.clear(memory);
        (self.marks, self.waiting_until, self.due_from) = ([0; LEVELS], Time::NEVER, u64::MAX);
        self.recent = Recent::NONE;
    }

    /// Whether something may have expired by `now`.
    #[inline]
    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.clock.tick(now) >= self.due_from || (now >= self.waiting_until && self.waiting_until != Time::NEVER)
    }

    /// Nothing expires before this moment of the system's clock.
    pub(crate) fn quiet_until(&self) -> Time {
        let filed = if self.due_from == u64::MAX { Time::NEVER } else { Clock::at_tick(self.due_from) };
        filed.min(self.waiting_until)
    }

    /// Whether anything is filed at all.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.due_from == u64::MAX && self.waiting_until == Time::NEVER
    }

    /// See [`Order::prefetch`](crate::order::Order::prefetch).
    #[inline]
    pub(crate) fn prefetch(&self, heap: &Heap, handle: Handle) {
        self.lists.prefetch(heap, handle);
    }

    /// The slot filed after one.
    pub(crate) fn after(&self, heap: &Heap, handle: Handle) -> Option<Handle> {
        self.lists.next(heap, handle)
    }

    /// A new slot is in no list.
    #[inline(always)]
    pub(crate) fn start(&self, slot: &mut [u8]) {
        self.lists.start(slot);
    }

    /// File a slot that is in no list. The memory for it must be [`prepare`](Self::prepare)d.
    #[inline(always)]
    pub(crate) fn file(&mut self, heap: &mut Heap, handle: Handle, deadline: Time) {
        if deadline == Time::NEVER {
            return;
        }
        let tick = self.clock.tick(deadline);
        if tick.wrapping_sub(self.recent.from) < self.recent.ticks {
            return self.lists.push(heap, self.recent.list, handle);
        }
        self.file_anywhere(heap, handle, deadline, tick);
    }

    /// The level and the slot of a tick after the hand.
    fn place_of(&self, tick: u64) -> (usize, u64) {
        let level = ((tick ^ self.hand).ilog2() / SLOT_BITS) as usize;
        (level, slot_of(tick, level))
    }

    #[inline(never)]
    fn file_anywhere(&mut self, heap: &mut Heap, handle: Handle, deadline: Time, tick: u64) {
        if tick <= self.hand {
            self.waiting_until = self.waiting_until.min(deadline);
            return self.lists.push(heap, WAITING, handle);
        }
        let (level, slot) = self.place_of(tick);
        let shift = level as u32 * SLOT_BITS;
        self.marks[level] |= 1 << slot;
        self.recent = Recent { from: tick >> shift << shift, ticks: 1 << shift, list: list_of(level, slot) };
        self.due_from = self.due_from.min(self.recent.from);
        self.lists.push(heap, self.recent.list, handle);
    }

    /// One step of looking for what has expired by `now`. O(1): one entry is looked at. `deadline` tells that of a slot.
    pub(crate) fn step(&mut self, heap: &mut Heap, now: Time, deadline: impl Fn(&[u8]) -> Time) -> Step {
        self.recent = Recent::NONE; // the hand may move, and lists lose their marks
        if now >= self.waiting_until && self.waiting_until != Time::NEVER {
            self.waiting_until = Time::NEVER;
            let slot = slot_of(self.hand, 0);
            self.marks[0] |= 1 << slot;
            self.due_from = 0; // whatever the clock shows, until they are looked at
            self.lists.append(heap, WAITING, list_of(0, slot));
        }
        loop {
            // What the hand has come to, the coarsest first: its slots go to finer lists.
            for level in (0..LEVELS).rev() {
                if let Some(handle) = self.first(level, slot_of(self.hand, level)) {
                    return self.look_at(heap, handle, now, &deadline);
                }
            }
            let tick = self.clock.tick(now);
            match self.next_list() {
                Some(start) if start <= tick => self.hand = start,
                next => {
                    self.hand = self.hand.max(tick);
                    self.due_from = next.unwrap_or(u64::MAX);
                    return Step::Done;
                }
            }
        }
    }

    fn look_at(&mut self, heap: &mut Heap, handle: Handle, now: Time, deadline: &impl Fn(&[u8]) -> Time) -> Step {
        let deadline = deadline(heap.slot(handle));
        if deadline <= now {
            return Step::Expired(handle);
        }
        self.refile(heap, handle, deadline);
        Step::Filed
    }

    /// File a slot under another deadline.
    pub(crate) fn refile(&mut self, heap: &mut Heap, handle: Handle, deadline: Time) {
        self.lists.unlink(heap, handle);
        self.file(heap, handle, deadline);
    }

    fn first(&mut self, level: usize, slot: u64) -> Option<Handle> {
        if self.marks[level] & 1 << slot == 0 {
            return None;
        }
        let first = self.lists.first(list_of(level, slot));
        if first.is_none() {
            self.marks[level] &= !(1 << slot);
        }
        first
    }

    /// The tick at which the next list that is not empty comes up.
    fn next_list(&mut self) -> Option<u64> {
        for level in 0..LEVELS {
            let shift = level as u32 * SLOT_BITS;
            loop {
                let later = self.marks[level] & (u64::MAX << slot_of(self.hand, level)) << 1;
                if later == 0 {
                    break;
                }
                let slot = u64::from(later.trailing_zeros());
                if self.first(level, slot).is_some() {
                    return Some(((self.hand >> shift & !(SLOTS - 1)) | slot) << shift);
                }
            }
        }
        None
    }

    /// Walk all lists: each slot in one is filed no later than its deadline. How many slots there are.
    pub(crate) fn check(&self, heap: &Heap, deadline: impl Fn(&[u8]) -> Time) -> usize {
        let mut count = 0;
        let mut walk = |list, start: u64| {
            self.lists.check(heap, list, |handle| {
                let tick = self.clock.tick(deadline(heap.slot(handle)));
                assert!(tick >= start, "filed no later than its deadline");
                count += 1;
            });
        };
        walk(WAITING, 0);
        for level in 0..LEVELS {
            let shift = level as u32 * SLOT_BITS;
            for slot in 0..SLOTS {
                let start = ((self.hand >> shift & !(SLOTS - 1)) | slot) << shift;
                let mut any = false;
                let list = list_of(level, slot);
                self.lists.check(heap, list, |_| any = true);
                assert!(!any || self.marks[level] & 1 << slot != 0, "a list that is not empty is marked");
                assert!(!any || slot >= slot_of(self.hand, level), "what the hand has passed is empty");
                assert!(!any || self.due_from <= start.max(self.hand), "no list comes up before it is due");
                // What waited is looked at in the hand's own list, whatever a clock that went back shows.
                let waited = level == 0 && slot == slot_of(self.hand, 0);
                walk(list, if waited { start.min(self.due_from) } else { start });
            }
        }
        self.check_recent();
        count
    }

    fn check_recent(&self) {
        let Recent { from, ticks, list } = self.recent;
        if ticks > 0 {
            let (level, slot) = self.place_of(from);
            assert!(from > self.hand && self.due_from <= from, "what is filed there again changes nothing else");
            assert_eq!((list, ticks), (list_of(level, slot), 1 << (level as u32 * SLOT_BITS)));
            assert!(self.marks[level] & 1 << slot != 0);
        }
    }
}
