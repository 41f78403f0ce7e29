//! Which entries have expired: a hierarchical timing wheel (Varghese and Lauck, 1987) of lists of slots.
//!
//! A slot is filed under the earliest moment it can expire at. A renewed entry stays where it is filed, as long as its
//! deadline is later: when its list comes up it is filed anew. So renewing costs nothing, and an entry that was renewed
//! holds up no other. An entry is looked at no more than once a level, however long it lives.
//!
//! Lists take memory while they are in use. Each level has one list that takes none. If memory for another list is refused,
//! the slot goes to a list of the same level that comes up earlier, so filing never fails. The slot is then looked at up to
//! 63 times a level: at most once for each slot of that level, never at each tick.

use crate::clock::{Clock, LAST_TICK, Time};
use crate::groups::{GROUP, GroupedEnds};
use crate::heap::{Handle, Heap};
use crate::links::{ListId, Lists};
use crate::memory::{Memory, OutOfMemory};

/// Slots of the wheel's levels: a tick of a millisecond each in the first, and 64 times that in each that follows.
const SLOTS: u64 = 64;
const SLOT_BITS: u32 = SLOTS.ilog2();
const LEVELS: usize = (LAST_TICK.ilog2() as usize + 1).div_ceil(SLOT_BITS as usize);

/// Entries that expire within the hand's own tick, or before it because the clock went back.
const WAITING: ListId = 0;
/// Entries of the list that the hand has reached. They are looked at next.
const DUE: ListId = 1;
/// The first level's own list, which takes no memory. Those of the other levels follow.
const OWN: ListId = 2;
const NEAR: usize = OWN as usize + LEVELS;
const GROUPS: usize = LEVELS * SLOTS as usize / GROUP;
/// The slot of a level's own list while that is not in use.
const NO_SLOT: u8 = SLOTS as u8;

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

/// Invariants: a slot with a deadline is in one list, and is filed no later than its deadline. A list of a level is marked
/// if it is not empty, or is the recent one. Marked lists come up after the hand, and not before `due_from`. A level's own
/// list is the one of slot `own`. The other lists are in groups; a group is present if one of its lists is marked.
#[derive(Debug)]
pub(crate) struct Expiry {
    clock: Clock,
    lists: Lists<GroupedEnds<NEAR, GROUPS>>,
    /// Whether a list was refused because of the memory's limit.
    short: bool,
    /// Which slot of each level has the level's own list.
    own: [u8; LEVELS],
    /// The lists of each level that are in use, a bit each.
    marks: [u64; LEVELS],
    /// The tick up to which all has been looked at, but for what is due.
    hand: u64,
    /// The earliest deadline of those waiting.
    waiting_until: Time,
    /// Nothing is due before this tick, those waiting left aside.
    due_from: u64,
    /// Where the last slot was filed.
    recent: Recent,
}

/// Ticks that are filed in one list while the hand stays: those that differ from `tick` in the lowest `bits` only. The list
/// stays marked when its last slot leaves, as the next slot most likely joins it.
#[derive(Debug, Clone, Copy)]
struct Recent {
    tick: u64,
    bits: u8,
    list: ListId,
    /// Whether the list may be empty.
    emptied: bool,
}

impl Recent {
    const NONE: Recent = Recent { tick: u64::MAX, bits: 0, list: DUE, emptied: false };

    #[inline(always)]
    fn has(&self, tick: u64) -> bool {
        (tick ^ self.tick) >> self.bits == 0
    }
}

fn own_list(level: usize) -> ListId {
    OWN + level as ListId
}

/// The list of a slot of a level, unless it is the level's own list.
fn far_list(level: usize, slot: u64) -> ListId {
    (GROUP as u64 + level as u64 * SLOTS + slot) as ListId
}

/// The slots of a level whose lists are in the same group as that of `slot`, a bit each.
fn group_mask(slot: u64) -> u64 {
    ((1 << GROUP) - 1) << (slot / GROUP as u64 * GROUP as u64)
}

fn shift_of(level: usize) -> u32 {
    level as u32 * SLOT_BITS
}

fn slot_of(tick: u64, level: usize) -> u64 {
    tick >> shift_of(level) & (SLOTS - 1)
}

impl Expiry {
    /// Of slots that have their links at `links_at`.
    pub(crate) fn new(clock: Clock, links_at: u8) -> Self {
        Expiry {
            clock,
            lists: Lists::new(GroupedEnds::new(), links_at),
            short: false,
            own: [NO_SLOT; LEVELS],
            marks: [0; LEVELS],
            hand: 0,
            waiting_until: Time::NEVER,
            due_from: u64::MAX,
            recent: Recent::NONE,
        }
    }

    /// The contents of a slot were moved.
    #[inline(always)]
    pub(crate) fn moved(&mut self, heap: &mut Heap, to: Handle) {
        self.lists.moved(heap, to);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.lists.ends.bytes()
    }

    /// Ask once more for the memory of a list that the limit refused, so that the caller makes room for it. Filing does
    /// without it if that fails too.
    #[inline(always)]
    pub(crate) fn prepare(&mut self, memory: &mut Memory) -> Result<(), OutOfMemory> {
        if self.short { self.ask_again(memory) } else { Ok(()) }
    }

    #[cold]
    fn ask_again(&mut self, memory: &mut Memory) -> Result<(), OutOfMemory> {
        self.short = false;
        self.lists.ends.reserve(memory)
    }

    pub(crate) fn clear(&mut self, memory: &mut Memory) {
        self.lists.ends.clear(memory);
        (self.own, self.marks, self.short) = ([NO_SLOT; LEVELS], [0; LEVELS], false);
        (self.waiting_until, self.due_from, self.recent) = (Time::NEVER, u64::MAX, Recent::NONE);
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

    /// File a slot that is in no list.
    #[inline(always)]
    pub(crate) fn file(&mut self, heap: &mut Heap, handle: Handle, deadline: Time) {
        if deadline == Time::NEVER {
            return;
        }
        let tick = self.clock.tick(deadline);
        if self.recent.has(tick) {
            return self.lists.push(heap, self.recent.list, handle);
        }
        self.file_anywhere(heap, handle, deadline, tick);
    }

    /// The level of a tick that is not the hand's.
    fn level_of(&self, tick: u64) -> usize {
        ((tick ^ self.hand).ilog2() / SLOT_BITS) as usize
    }

    #[inline(never)]
    fn file_anywhere(&mut self, heap: &mut Heap, handle: Handle, deadline: Time, tick: u64) {
        if tick <= self.hand {
            self.waiting_until = self.waiting_until.min(deadline);
            return self.lists.push(heap, WAITING, handle);
        }
        self.forget_recent(&mut heap.memory);
        let level = self.level_of(tick);
        let slot = slot_of(tick, level);
        let list = self.list_for(&mut heap.memory, level, slot);
        self.recent = Recent { tick, bits: shift_of(level) as u8, list, emptied: false };
        self.lists.push(heap, list, handle);
    }

    /// The tick at which a list comes up.
    fn start_of(&self, level: usize, slot: u64) -> u64 {
        ((self.hand >> shift_of(level) & !(SLOTS - 1)) | slot) << shift_of(level)
    }

    /// The list of a slot that is marked.
    fn list_at(&self, level: usize, slot: u64) -> ListId {
        if slot == u64::from(self.own[level]) { own_list(level) } else { far_list(level, slot) }
    }

    /// The list to file in what expires in a slot of a level: the slot's own, or one of the level that comes up earlier. It
    /// is marked, so the caller must put something into it.
    #[inline(always)]
    fn list_for(&mut self, memory: &mut Memory, level: usize, slot: u64) -> ListId {
        if self.marks[level] & 1 << slot != 0 { self.list_at(level, slot) } else { self.new_list(memory, level, slot) }
    }

    #[inline(never)]
    fn new_list(&mut self, memory: &mut Memory, level: usize, slot: u64) -> ListId {
        self.due_from = self.due_from.min(self.start_of(level, slot));
        let far = far_list(level, slot);
        if self.own[level] != NO_SLOT && self.lists.ends.add(memory, far).is_err() {
            return self.earlier_list(memory, level, slot);
        }
        self.marks[level] |= 1 << slot;
        if self.own[level] != NO_SLOT {
            return far;
        }
        self.own[level] = slot as u8;
        own_list(level)
    }

    /// The level's latest list before a slot whose list was refused. If there is none, the level's own list, which from now
    /// on comes up at that slot.
    #[cold]
    fn earlier_list(&mut self, memory: &Memory, level: usize, slot: u64) -> ListId {
        self.short = memory.limit() != usize::MAX;
        let earlier = self.marks[level] & ((1 << slot) - 1);
        if earlier != 0 {
            return self.list_at(level, u64::from(earlier.ilog2()));
        }
        self.marks[level] = self.marks[level] & !(1 << self.own[level]) | 1 << slot;
        self.own[level] = slot as u8;
        own_list(level)
    }

    /// A slot leaves the list that it is in, if it is in one.
    #[inline(always)]
    pub(crate) fn leave(&mut self, heap: &mut Heap, handle: Handle) {
        match self.lists.unlink(heap, handle) {
            Some(list) if list == self.recent.list => self.recent.emptied = true,
            Some(list) => self.emptied(&mut heap.memory, list),
            None => {}
        }
    }

    /// A list has lost its last slot.
    fn emptied(&mut self, memory: &mut Memory, list: ListId) {
        match self.place_of(list) {
            Some((level, slot)) => self.unmark(memory, level, slot),
            None if list == WAITING => self.waiting_until = Time::NEVER,
            None => {}
        }
    }

    /// The level and the slot of a list.
    fn place_of(&self, list: ListId) -> Option<(usize, u64)> {
        if let Some(far) = usize::from(list).checked_sub(GROUP) {
            return Some((far / SLOTS as usize, far as u64 % SLOTS));
        }
        let level = usize::from(list).checked_sub(OWN.into())?;
        Some((level, self.own[level].into()))
    }

    /// Take the mark from a list that has become empty.
    fn unmark(&mut self, memory: &mut Memory, level: usize, slot: u64) {
        let list = self.list_at(level, slot);
        self.marks[level] &= !(1 << slot);
        if list == own_list(level) {
            self.own[level] = NO_SLOT;
        } else if self.far_marks(level) & group_mask(slot) == 0 {
            self.lists.ends.remove(memory, list);
        }
    }

    /// The marked lists of a level without its own.
    fn far_marks(&self, level: usize) -> u64 {
        self.marks[level] & !1u64.checked_shl(self.own[level].into()).unwrap_or(0)
    }

    /// One step of looking for what has expired by `now`. O(1): one entry is looked at. `deadline` tells that of a slot.
    pub(crate) fn step(&mut self, heap: &mut Heap, now: Time, deadline: impl Fn(&[u8]) -> Time) -> Step {
        loop {
            if let Some(handle) = self.lists.first(DUE) {
                return self.look_at(heap, handle, now, deadline(heap.slot(handle)));
            }
            if now >= self.waiting_until && self.waiting_until != Time::NEVER {
                self.take_up_waiting(heap, now);
                continue;
            }
            self.forget_recent(&mut heap.memory); // the hand may move
            let tick = self.clock.tick(now);
            match self.next_list() {
                Some((level, slot)) if self.start_of(level, slot) <= tick => {
                    self.hand = self.start_of(level, slot);
                    self.take_up(heap, self.list_at(level, slot));
                }
                next => {
                    self.due_from = next.map_or(u64::MAX, |(level, slot)| self.start_of(level, slot));
                    self.hand = self.hand.max(tick);
                    self.lists.ends.trim(&mut heap.memory);
                    return Step::Done;
                }
            }
        }
    }

    /// Forget where the last slot was filed; the list loses its mark if it is empty.
    #[inline(always)]
    fn forget_recent(&mut self, memory: &mut Memory) {
        let Recent { list, emptied, .. } = std::mem::replace(&mut self.recent, Recent::NONE);
        if emptied && self.lists.first(list).is_none() {
            self.emptied(memory, list);
        }
    }

    /// Have the entries of a list looked at next.
    fn take_up(&mut self, heap: &mut Heap, list: ListId) {
        self.lists.append(heap, list, DUE);
        self.emptied(&mut heap.memory, list);
    }

    fn look_at(&mut self, heap: &mut Heap, handle: Handle, now: Time, deadline: Time) -> Step {
        if deadline <= now {
            return Step::Expired(handle);
        }
        self.refile(heap, handle, deadline);
        Step::Filed
    }

    #[cold]
    fn take_up_waiting(&mut self, heap: &mut Heap, now: Time) {
        self.due_from = 0; // whatever the clock shows, until they are looked at
        self.take_up(heap, WAITING);
        let tick = self.clock.tick(now);
        if tick < self.hand {
            self.turn_back(heap, tick);
        }
    }

    /// Set the hand back, as the clock was. Otherwise all that expires before the hand would wait in one list, and be looked
    /// at each time that one entry of it expires.
    fn turn_back(&mut self, heap: &mut Heap, tick: u64) {
        self.forget_recent(&mut heap.memory);
        let level = self.level_of(tick);
        let slot = slot_of(self.hand, level);
        self.hand = tick;
        // All lists of finer levels lie within this slot.
        while let Some((finer, next)) = self.next_list().filter(|&(finer, _)| finer < level) {
            let (from, to) = (self.list_at(finer, next), self.list_for(&mut heap.memory, level, slot));
            self.lists.append(heap, from, to);
            self.emptied(&mut heap.memory, from);
        }
    }

    /// File a slot under another deadline.
    pub(crate) fn refile(&mut self, heap: &mut Heap, handle: Handle, deadline: Time) {
        self.leave(heap, handle);
        self.file(heap, handle, deadline);
    }

    /// The next list to come up.
    fn next_list(&self) -> Option<(usize, u64)> {
        let level = self.marks.iter().position(|&marks| marks != 0)?;
        Some((level, self.marks[level].trailing_zeros().into()))
    }

    /// Walk all lists: each slot in one is filed no later than its deadline. How many slots there are.
    pub(crate) fn check(&self, heap: &Heap, deadline: impl Fn(&[u8]) -> Time) -> usize {
        let walk = |list, start| {
            let mut count = 0;
            self.lists.check(heap, list, |handle| {
                assert!(self.clock.tick(deadline(heap.slot(handle))) >= start, "filed no later than its deadline");
                count += 1;
            });
            count
        };
        self.lists.ends.check();
        self.check_recent();
        let waiting = walk(WAITING, 0);
        self.lists.check(heap, WAITING, |handle| assert!(deadline(heap.slot(handle)) >= self.waiting_until));
        assert_eq!(waiting == 0, self.waiting_until == Time::NEVER, "it is known until when slots wait");
        let due = walk(DUE, self.due_from);
        let lists = (0..LEVELS).flat_map(|level| self.check_level(level));
        waiting + due + lists.map(|(list, start)| walk(list, start)).sum::<usize>()
    }

    /// The lists of a level that are not empty, and when they come up.
    fn check_level(&self, level: usize) -> impl Iterator<Item = (ListId, u64)> {
        let passed = u64::MAX >> (SLOTS - 1 - slot_of(self.hand, level));
        assert_eq!(self.marks[level] & passed, 0, "what the hand has passed is empty");
        assert!(self.own[level] != NO_SLOT || self.lists.first(own_list(level)).is_none());
        (0..SLOTS).for_each(|slot| self.check_far(level, slot));
        assert!(self.own[level] == NO_SLOT || self.marks[level] & 1 << self.own[level] != 0);
        let marked = (0..SLOTS).filter(move |slot| self.marks[level] & 1 << slot != 0);
        marked.map(move |slot| {
            let (list, start) = (self.list_at(level, slot), self.start_of(level, slot));
            assert!(list == self.recent.list || self.lists.first(list).is_some(), "a list that is marked is not empty");
            assert!(self.due_from <= start, "no list comes up before it is due");
            (list, start)
        })
    }

    fn check_far(&self, level: usize, slot: u64) {
        let (list, marks) = (far_list(level, slot), self.far_marks(level));
        let is_there = self.lists.ends.has(list);
        assert_eq!(is_there, marks & group_mask(slot) != 0, "a group has a list that is not empty");
        let may_have_slots = marks & 1 << slot != 0;
        assert!(may_have_slots || !is_there || self.lists.first(list).is_none(), "what is not empty is marked");
    }

    fn check_recent(&self) {
        let Recent { tick, bits, list, emptied } = self.recent;
        if list != Recent::NONE.list {
            let level = self.level_of(tick);
            let (at, slot) = self.place_of(list).expect("a list of a level");
            assert!(tick > self.hand && (level, shift_of(level)) == (at, bits.into()));
            assert!(self.marks[level] & 1 << slot != 0 && slot <= slot_of(tick, level), "it comes up in time");
            assert!(emptied || self.lists.first(list).is_some());
        }
    }
}
