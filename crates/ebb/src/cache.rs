//! A table whose entries live for a time and make room for each other: what a cache is but for its keys and values.

use crate::clock::{Clock, Format, Time};
use crate::entry::{EntryRef, Host, OccupiedEntry};
use crate::expiry::{Expiry, Step};
use crate::heap::{Handle, Heap, Moved};
use crate::links::LINK_BYTES;
use crate::memory::{Memory, OutOfMemory};
use crate::order::{Order, TableOrder};
use crate::positions::{Found, Positions};
use crate::raw::{EntrySize, RawTable};
use crate::sieve::{SIEVE_BYTES, Sieve};
use crate::stacked::Stacked;

/// A table with deadlines and an order of eviction.
pub type Cache = Stacked<Policies>;

/// What a cache keeps of its entries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keeping {
    /// Where its times come from.
    pub clock: Clock,
    /// Whether entries also expire when they are not used.
    pub idle: bool,
    /// Whether entries make room for others.
    pub bounded: bool,
}

/// When an entry expires: whatever happens, and unless it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// At the latest.
    pub hard: Time,
    /// When not used; [`Time::NEVER`] in a cache without idle expiry.
    pub idle: Time,
}

impl Deadlines {
    /// The earlier of both.
    #[inline]
    pub fn first(self) -> Time {
        self.hard.min(self.idle)
    }
}

/// Deadlines and eviction order; in front of each entry are `[deadline][idle deadline][links of expiry][links and mark
/// of eviction]`, those of them that the cache has.
#[derive(Debug)]
pub struct Policies {
    fields: Fields,
    expiry: Expiry,
    sieve: Option<Sieve>,
}

#[derive(Debug, Clone, Copy)]
struct Fields {
    deadline: Format,
    /// Where the idle deadline is; 0 if there is none.
    idle_at: u8,
    bytes: u8,
}

impl Fields {
    #[inline(always)]
    fn bytes(self) -> usize {
        usize::from(self.bytes)
    }

    #[inline(always)]
    fn read(self, slot: &[u8]) -> Deadlines {
        let idle = if self.idle_at == 0 { Time::NEVER } else { self.deadline.read(&slot[usize::from(self.idle_at)..]) };
        Deadlines { hard: self.deadline.read(slot), idle }
    }

    #[inline(always)]
    fn write(self, slot: &mut [u8], deadlines: Deadlines) {
        self.deadline.write(slot, deadlines.hard);
        if self.idle_at > 0 {
            self.deadline.write(&mut slot[usize::from(self.idle_at)..], deadlines.idle);
        }
    }
}

impl Policies {
    fn new(keeping: Keeping) -> Self {
        let deadline = keeping.clock.format();
        let idle_at = if keeping.idle { deadline.bytes() } else { 0 };
        let links_at = idle_at + deadline.bytes();
        let sieve_at = links_at + LINK_BYTES;
        let bytes = sieve_at + if keeping.bounded { SIEVE_BYTES } else { 0 };
        Policies {
            fields: Fields { deadline, idle_at, bytes },
            expiry: Expiry::new(keeping.clock, links_at),
            sieve: keeping.bounded.then(|| Sieve::new(sieve_at)),
        }
    }
}

impl TableOrder for Policies {}

impl Order for Policies {
    #[inline(always)]
    fn bytes(&self) -> usize {
        self.fields.bytes()
    }

    #[inline(always)]
    fn prepare(&mut self, memory: &mut Memory) -> Result<(), OutOfMemory> {
        self.expiry.prepare(memory)
    }

    #[inline(always)]
    fn start(&self, slot: &mut [u8]) {
        self.expiry.start(slot);
        if let Some(sieve) = &self.sieve {
            sieve.start(slot);
        }
    }

    #[inline(always)]
    fn moved(&mut self, heap: &mut Heap, moved: Moved) {
        self.expiry.moved(heap, moved.to);
        if let Some(sieve) = &mut self.sieve {
            sieve.moved(heap, moved);
        }
    }

    fn succeed(&mut self, heap: &mut Heap, moved: Moved) {
        heap.copy_front(moved, self.fields.bytes());
        self.moved(heap, moved);
    }

    #[inline(always)]
    fn prefetch(&self, heap: &Heap, handle: Handle) {
        self.expiry.prefetch(heap, handle);
        if let Some(sieve) = &self.sieve {
            sieve.prefetch(heap, handle);
        }
    }

    #[inline(always)]
    fn leave(&mut self, heap: &mut Heap, handle: Handle) {
        self.expiry.leave(heap, handle);
        if let Some(sieve) = &mut self.sieve {
            sieve.leave(heap, handle);
        }
    }

    fn clear(&mut self, memory: &mut Memory) {
        self.expiry.clear(memory);
        if let Some(sieve) = &mut self.sieve {
            sieve.clear();
        }
    }

    fn held(&self) -> usize {
        self.expiry.bytes()
    }

    fn check(&self, heap: &Heap, entries: usize) {
        let fields = self.fields;
        assert!(self.expiry.check(heap, |slot| fields.read(slot).first()) <= entries);
        if let Some(sieve) = &self.sieve {
            assert_eq!(sieve.check(heap), entries, "every entry is in the order of eviction");
        }
    }
}

/// An entry where it is; see [`Cache::look`].
pub struct Look<'a> {
    fields: Fields,
    sieve: Option<&'a Sieve>,
    front: &'a mut [u8],
    /// The entry's bytes; the part that its hash is made from must stay as it is.
    pub entry: &'a mut [u8],
}

impl Look<'_> {
    /// When the entry expires.
    #[inline(always)]
    pub fn deadlines(&self) -> Deadlines {
        self.fields.read(self.front)
    }

    /// Give the entry deadlines that are not earlier; `false`, and nothing is changed, if they are.
    #[inline(always)]
    pub fn prolong(&mut self, deadlines: Deadlines) -> bool {
        let later = deadlines.first() >= self.deadlines().first();
        if later {
            self.fields.write(self.front, deadlines);
        }
        later
    }

    /// The entry was used: it is not the next to be evicted.
    #[inline(always)]
    pub fn mark(&mut self) {
        if let Some(sieve) = self.sieve {
            sieve.mark(self.front);
        }
    }
}

impl Cache {
    /// An empty cache.
    pub fn keeping(size: EntrySize, keeping: Keeping) -> Self {
        Stacked::in_order(size, Policies::new(keeping), 0)
    }

    /// Go on with what another cache has learned of newcomers, where both are bounded.
    pub fn learn_from(&mut self, other: &Cache) {
        if let (Some(sieve), Some(other)) = (&mut self.order.sieve, &other.order.sieve) {
            sieve.learn_from(other);
        }
    }

    /// As [`insert`](crate::Table::insert), with deadlines.
    #[inline(always)]
    pub fn insert_until(
        &mut self,
        hash: u64,
        len: usize,
        deadlines: Deadlines,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), OutOfMemory> {
        let handle = self.insert_slot(hash, len, rehash, write)?;
        self.order.fields.write(self.heap.slot_mut(handle), deadlines);
        self.order.expiry.file(&mut self.heap, handle, deadlines.first());
        if let Some(sieve) = &mut self.order.sieve {
            sieve.push(&mut self.heap, handle);
        }
        Ok(())
    }

    /// The entry of this hash that `is` recognises, to be used at once: in fewer steps than an [`OccupiedEntry`].
    #[inline(always)]
    pub fn look(&mut self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<Look<'_>> {
        let (found, entry) = self.locate(hash, is)?;
        let (fields, len) = (self.order.fields, entry.len());
        let (front, rest) = self.heap.slot_mut(found.handle).split_at_mut(fields.bytes());
        Some(Look { fields, sieve: self.order.sieve.as_ref(), front, entry: &mut rest[..len] })
    }

    /// Whether something may have expired by `now`. O(1).
    #[inline]
    pub fn is_due(&self, now: Time) -> bool {
        self.order.expiry.is_due(now)
    }

    /// An entry that has expired by `now`, found in at most `steps` steps of O(1), which are counted down. `None` where
    /// there is none, or the steps have run out.
    fn next_expired(&mut self, now: Time, steps: &mut usize, rehash: &impl Fn(&[u8]) -> u64) -> Option<Found> {
        let fields = self.order.fields;
        while *steps > 0 && self.is_due(now) {
            *steps -= 1;
            let step = self.order.expiry.step(&mut self.heap, now, |slot| fields.read(slot).first());
            if let Step::Expired(handle) = step {
                if let Some(next) = self.order.expiry.after(&self.heap, handle) {
                    self.prefetch_line(rehash(self.body(next))); // most likely what expires next
                }
                return Some(self.found_at(handle, rehash));
            }
        }
        None
    }

    /// Nothing expires before this moment of the system's clock.
    pub fn quiet_until(&self) -> Time {
        self.order.expiry.quiet_until()
    }

    /// Whether nothing will expire, whatever the time.
    #[inline]
    pub fn never_expires(&self) -> bool {
        self.order.expiry.is_idle()
    }

    /// The entry to be evicted next. O(1).
    fn victim(&mut self, rehash: &impl Fn(&[u8]) -> u64) -> Option<Found> {
        let victim = self.order.sieve.as_mut()?.victim(&mut self.heap)?;
        Some(self.found_at(victim, rehash))
    }

    /// Begin a walk over all entries in the order in which they came in; `false` where the cache is not bounded: then there
    /// is no order. It ends the walk before it.
    pub fn begin_walk(&mut self) -> bool {
        self.order.sieve.as_mut().map(Sieve::begin_walk).is_some()
    }

    /// The next entry of the walk that was begun last. The walk stays good whatever happens to the table meanwhile: it comes
    /// once to what is there all along, and to what is added behind that.
    fn next_of_walk(&mut self, rehash: &impl Fn(&[u8]) -> u64) -> Option<Found> {
        let next = self.order.sieve.as_mut()?.next_of_walk(&self.heap)?;
        Some(self.found_at(next, rehash))
    }

    /// Hold at most `bytes` (as [`bytes`](RawTable::bytes) counts them) at any moment: what would take more is refused as
    /// if there were no more memory.
    pub fn set_limit(&mut self, bytes: usize) {
        self.heap.memory.set_limit(bytes.saturating_sub(size_of::<Self>()));
    }

    /// Whether something was refused because of the limit since this was last asked.
    pub fn was_limited(&mut self) -> bool {
        self.heap.memory.was_limited()
    }
}

impl EntryRef<'_, Cache> {
    /// When the entry expires.
    #[inline]
    pub fn deadlines(self) -> Deadlines {
        let (cache, found) = self.parts();
        cache.order.fields.read(cache.heap.slot(found.handle))
    }
}

impl<H: Host<Table = Cache>> OccupiedEntry<H> {
    /// When the entry expires.
    #[inline]
    pub fn deadlines(&self) -> Deadlines {
        self.as_ref().deadlines()
    }

    /// Give the entry other deadlines. O(1), and next to nothing where they are later.
    #[inline]
    pub fn renew(&mut self, deadlines: Deadlines) {
        let (cache, Found { handle, .. }) = self.parts_mut();
        let slot = cache.heap.slot_mut(handle);
        let before = cache.order.fields.read(slot).first();
        cache.order.fields.write(slot, deadlines);
        if deadlines.first() < before {
            cache.order.expiry.refile(&mut cache.heap, handle, deadlines.first());
        }
    }

    /// The entry was used: it is not the next to be evicted.
    #[inline]
    pub fn mark(&mut self) {
        let (cache, found) = self.parts_mut();
        if let Some(sieve) = &cache.order.sieve {
            sieve.mark(cache.heap.slot_mut(found.handle));
        }
    }

    /// As [`Cache::was_limited`].
    pub fn was_limited(&mut self) -> bool {
        self.parts_mut().0.was_limited()
    }

    /// An entry that has expired by `now`, found in at most `steps` steps of O(1), which are counted down; the host again
    /// where there is none, or the steps have run out.
    pub fn expired(host: H, now: Time, steps: &mut usize, rehash: &impl Fn(&[u8]) -> u64) -> Result<Self, H> {
        Self::found_by(host, |cache| cache.next_expired(now, steps, rehash))
    }

    /// The entry to be evicted next; the host again where there is none. O(1).
    pub fn victim(host: H, rehash: &impl Fn(&[u8]) -> u64) -> Result<Self, H> {
        Self::found_by(host, |cache| cache.victim(rehash))
    }

    /// The next entry of the walk that was begun last, by [`Cache::begin_walk`]; the host again at its end. The walk stays
    /// good whatever happens to the table meanwhile: it comes once to what is there all along, and to what is added behind
    /// that.
    pub fn next_of_walk(host: H, rehash: &impl Fn(&[u8]) -> u64) -> Result<Self, H> {
        Self::found_by(host, |cache| cache.next_of_walk(rehash))
    }
}
