//! What a cache holds behind its lock, and each operation on it as one step that runs no Python code: entries with
//! deadlines, bounds, and counts of all that has happened.

use crate::cache::gone::{Cause, Departed, Gone, Told};
use crate::cache::limits::{Limits, Lives, always_fits};
use crate::cache::moment::Moment;
use crate::errors::{error, out_of_memory, too_long};
use crate::kinds::ValueKind;
use crate::layout::{Layout, New};
use crate::search::Holder;
use crate::store::{Contents, Store, rehasher, writer};
use crate::take::{Seen, Taken, TakenPair, TakenValue};
use crate::typed::{TypedKey, TypedValue};
use ebb::{Deadlines, Found, MAX_ENTRY_BYTES, OutOfMemory, RawTable, Time};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Steps of sweeping that an operation takes on.
const STEPS: usize = 4;
/// Steps that looking for something expired may take before something alive is evicted.
const STEPS_FOR_ROOM: usize = 256;
/// Entries that leave under one hold of the lock.
pub(crate) const BATCH: usize = 256;

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) sets: u64,
    pub(crate) replaced: u64,
    pub(crate) expired: u64,
    pub(crate) evicted_by_count: u64,
    pub(crate) evicted_by_bytes: u64,
    pub(crate) deleted: u64,
    pub(crate) cleared: u64,
    pub(crate) coalesced: u64,
}

/// Why an operation could not be done.
pub(crate) enum Refused {
    OutOfMemory,
    /// The entry alone takes more than `max_bytes`.
    TooLarge(usize),
    /// The entry takes more than any may.
    TooLong(usize),
    Error(PyErr),
}

impl From<PyErr> for Refused {
    fn from(error: PyErr) -> Self {
        Refused::Error(error)
    }
}

impl Refused {
    /// Have it dropped after the lock.
    pub(crate) fn into_gone(self, gone: &mut Gone) {
        if let Refused::Error(error) = self {
            gone.push_error(error);
        }
    }

    /// To be raised; never under the lock.
    pub(crate) fn into_error(self, py: Python<'_>, max_bytes: Option<usize>) -> PyErr {
        match self {
            Refused::OutOfMemory => out_of_memory(()),
            Refused::TooLarge(bytes) => {
                let bound = max_bytes.unwrap_or(usize::MAX);
                let message =
                    format_args!("an entry must fit into max_bytes ({bound}), not take {bytes} bytes and more");
                error::<PyValueError>(py, message)
            }
            Refused::TooLong(bytes) => too_long(py, bytes),
            Refused::Error(error) => error,
        }
    }
}

pub(crate) struct Chest {
    pub(crate) store: Store<ebb::Cache>,
    pub(crate) limits: Limits,
    pub(crate) counts: Counts,
    /// The thread that last added a key.
    pub(crate) last_inserter: usize,
    /// The number of the process in which somebody walks over the entries in the order in which they came in.
    pub(crate) walked_in: Option<u32>,
}

impl Holder for Chest {
    type Table = ebb::Cache;

    #[inline(always)]
    fn store(&mut self) -> &mut Store<ebb::Cache> {
        &mut self.store
    }
}

/// A number for the calling thread.
#[inline]
pub(crate) fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

impl Chest {
    pub(crate) fn new(layout: Layout, limits: Limits) -> Self {
        let store = Store::over(layout, limits.table(layout));
        Chest { store, limits, counts: Counts::default(), last_inserter: 0, walked_in: None }
    }

    /// How many keys were added so far, and all those removed.
    pub(crate) fn inserts(&self) -> u64 {
        self.counts.sets - self.counts.replaced
    }

    // --- time ----------------------------------------------------------------------------------------------------

    #[inline(always)]
    pub(crate) fn deadlines(&self, lives: Lives, moment: &Moment) -> Deadlines {
        self.limits.deadlines(lives, moment)
    }

    /// Whether an entry has expired.
    #[inline]
    pub(crate) fn is_over(&self, found: Found, moment: &Moment) -> bool {
        moment.is_past(self.store.table.deadlines(found).first())
    }

    /// What was found, if it is alive.
    #[inline]
    pub(crate) fn alive(&self, found: Option<Found>, moment: &Moment) -> Option<Found> {
        found.filter(|&found| !self.is_over(found, moment))
    }

    /// What was found, if it is alive, as a use of it.
    #[inline]
    pub(crate) fn using(&mut self, found: Option<Found>, moment: &Moment) -> Option<Found> {
        let alive = self.alive(found, moment);
        match alive {
            Some(found) => self.hit(found, moment),
            None => self.counts.misses += 1,
        }
        alive
    }

    /// An entry that is alive was used.
    #[inline]
    pub(crate) fn hit(&mut self, found: Found, moment: &Moment) {
        self.counts.hits += 1;
        if let Some(idle) = self.limits.idle {
            let hard = self.store.table.deadlines(found).hard;
            let idle = self.limits.clock.after(moment.time(), idle);
            self.store.table.renew(found, Deadlines { hard, idle });
        }
        self.store.table.mark(found);
    }

    /// Let an entry live for another while.
    pub(crate) fn touch(&mut self, found: Found, lives: Lives, moment: &Moment) {
        let deadlines = self.deadlines(lives, moment);
        self.store.table.renew(found, deadlines);
        self.store.table.mark(found);
    }

    // --- leaving -------------------------------------------------------------------------------------------------

    fn count(&mut self, cause: Cause) {
        let counts = &mut self.counts;
        let count = match cause {
            Cause::Expired => &mut counts.expired,
            Cause::EvictedByCount => &mut counts.evicted_by_count,
            Cause::EvictedByBytes => &mut counts.evicted_by_bytes,
            Cause::Replaced => &mut counts.replaced,
            Cause::Deleted => &mut counts.deleted,
            Cause::Cleared => &mut counts.cleared,
        };
        *count += 1;
    }

    /// Take an entry out; what has to be told or dropped once the lock is open goes to `gone`. If that can't be had,
    /// the entry stays.
    pub(crate) fn depart(&mut self, py: Python<'_>, found: Found, cause: Cause, gone: &mut Gone) -> PyResult<()> {
        let told = self.told(py, found)?;
        if told.is_some() || self.store.layout.has_objects() {
            gone.reserve()?;
        }
        let dropped = self.store.remove(found);
        self.count(cause);
        if told.is_some() || !dropped.is_nothing() {
            gone.push(Departed { cause, told, dropped });
        }
        Ok(())
    }

    /// Take an entry out, deleted unless it has expired, and give its value.
    pub(crate) fn take_value(
        &mut self,
        py: Python<'_>,
        found: Found,
        moment: &Moment,
        gone: &mut Gone,
    ) -> PyResult<Option<TakenValue>> {
        if self.is_over(found, moment) {
            return self.depart(py, found, Cause::Expired, gone).map(|()| None);
        }
        let value = self.store.value_to_take(py, found)?;
        self.depart_made(py, found, value, gone).map(Some)
    }

    /// Take some entry out, deleted, and give its key and value.
    pub(crate) fn take_any(&mut self, py: Python<'_>, gone: &mut Gone) -> PyResult<Option<TakenPair>> {
        let Some(found) = self.store.table.any() else { return Ok(None) };
        let pair = self.store.pair_to_take(py, found)?;
        self.depart_made(py, found, pair, gone).map(Some)
    }

    /// Take an entry out, deleted, if what it becomes is made.
    fn depart_made<T, R>(
        &mut self,
        py: Python<'_>,
        found: Found,
        taken: Taken<T, R>,
        gone: &mut Gone,
    ) -> PyResult<Taken<T, R>> {
        if let Taken::Made(_) = taken {
            self.depart(py, found, Cause::Deleted, gone)?;
        }
        Ok(taken)
    }

    /// Take out, deleted, what was seen, if it is there and still the same; whether it was.
    pub(crate) fn depart_seen(&mut self, py: Python<'_>, seen: &Seen, gone: &mut Gone) -> PyResult<bool> {
        match self.store.find_seen(seen) {
            Some(found) => self.depart(py, found, Cause::Deleted, gone).map(|()| true),
            None => Ok(false),
        }
    }

    /// Key and value of an entry, where its leaving is announced.
    fn told(&self, py: Python<'_>, found: Found) -> PyResult<Option<Told>> {
        if !self.limits.tells {
            return Ok(None);
        }
        self.store.read_pair(py, found).map(Some)
    }

    pub(crate) fn next_expired(&mut self, now: Time, steps: &mut usize) -> Option<Found> {
        let layout = self.store.layout;
        self.store.table.next_expired(now, steps, &|entry| layout.hash(entry))
    }

    /// Take out what has expired, in a bounded number of steps. What can't leave for want of memory stays for later,
    /// and those behind it.
    pub(crate) fn sweep(&mut self, py: Python<'_>, now: Time, mut steps: usize, gone: &mut Gone) -> PyResult<()> {
        while let Some(found) = self.next_expired(now, &mut steps) {
            self.depart(py, found, Cause::Expired, gone)?;
        }
        Ok(())
    }

    /// As [`sweep`](Self::sweep), for entries without objects whose leaving is not announced: it needs no interpreter.
    pub(crate) fn sweep_silently(&mut self, now: Time, mut steps: usize) {
        while let Some(found) = self.next_expired(now, &mut steps) {
            self.store.remove_inline(found);
            self.count(Cause::Expired);
        }
    }

    /// Whether something may have expired. The time is read only if anything ever will.
    pub(crate) fn is_due(&self, moment: &Moment) -> bool {
        !self.store.table.never_expires() && self.store.table.is_due(moment.time())
    }

    /// The sweeping that goes with an operation: none where it had no need of the time.
    #[inline(always)]
    pub(crate) fn tidy(&mut self, py: Python<'_>, moment: &Moment, gone: &mut Gone) {
        if let Some(now) = moment.was_read()
            && self.store.table.is_due(now)
            && !gone.has_error()
        {
            // The operation does not owe it, so it does not fail by it.
            self.sweep(py, now, STEPS, gone).unwrap_or_else(|error| gone.push_error(error));
        }
    }

    // --- coming --------------------------------------------------------------------------------------------------

    /// Set a key; `found` is what a search for it has found. Nothing has changed if it is refused, but for what made
    /// room.
    pub(crate) fn put(
        &mut self,
        py: Python<'_>,
        found: Option<Found>,
        new: New<'_>,
        lives: Lives,
        moment: &Moment,
        gone: &mut Gone,
    ) -> Result<(), Refused> {
        let deadlines = self.deadlines(lives, moment);
        self.put_at(py, found, new, deadlines, moment, gone)
    }

    /// As [`put`](Self::put), with the deadlines that the life comes to.
    pub(crate) fn put_at(
        &mut self,
        py: Python<'_>,
        mut found: Option<Found>,
        new: New<'_>,
        deadlines: Deadlines,
        moment: &Moment,
        gone: &mut Gone,
    ) -> Result<(), Refused> {
        if let Some(expired) = found.filter(|&found| self.is_over(found, moment)) {
            self.depart(py, expired, Cause::Expired, gone)?;
            found = None;
        }
        self.check_fits(new)?;
        self.store.table.was_limited(); // by what was refused before, and done without
        let kept_key = found.and_then(|found| self.store.key_word(found));
        if found.is_none() {
            self.make_room_for_one(py, moment, gone)?;
        }
        let mut cleared = false;
        loop {
            let done = match found {
                Some(found) => self.replace(py, found, new, deadlines, gone)?,
                None => self.insert(new, deadlines),
            };
            if done.is_ok() {
                self.counts.sets += 1;
                return Ok(());
            }
            if !self.store.table.was_limited() {
                return Err(Refused::OutOfMemory);
            }
            self.make_room(py, found, &mut cleared, moment, gone)?;
            found = found.and_then(|_| self.find_again(new, kept_key));
        }
    }

    /// Add an entry whose key a search has not found, to a cache without bounds, where the kinds are known.
    #[inline(always)]
    pub(crate) fn insert_typed<K: TypedKey, V: TypedValue>(
        &mut self,
        hash: u64,
        key: K::Key<'_>,
        value: V::Value<'_>,
        deadlines: Deadlines,
    ) -> Result<(), OutOfMemory> {
        let Store { layout, table, .. } = &mut self.store;
        let (len, write) = (K::BYTES + V::len(value), writer::<K, V>(hash, key, value));
        table.insert_until(hash, len, deadlines, &rehasher::<K>(layout), write)?;
        self.store.keep_typed::<K, V>(key, value);
        self.last_inserter = this_thread();
        self.counts.sets += 1;
        Ok(())
    }

    fn insert(&mut self, new: New<'_>, deadlines: Deadlines) -> Result<(), OutOfMemory> {
        self.store.insert_by(new, |table, layout, len| {
            let rehash = |entry: &[u8]| layout.hash(entry);
            table.insert_until(new.hash, len, deadlines, &rehash, |entry| layout.write(entry, new))
        })?;
        self.last_inserter = this_thread();
        Ok(())
    }

    fn replace(
        &mut self,
        py: Python<'_>,
        found: Found,
        new: New<'_>,
        deadlines: Deadlines,
        gone: &mut Gone,
    ) -> Result<Result<(), OutOfMemory>, Refused> {
        let told = self.told(py, found)?;
        if told.is_some() || self.store.layout.value == ValueKind::Object {
            gone.reserve()?;
        }
        let (found, dropped) = match self.store.overwrite(found, new) {
            Ok(done) => done,
            Err(error) => return Ok(Err(error)),
        };
        self.store.table.renew(found, deadlines);
        self.store.table.mark(found);
        self.count(Cause::Replaced);
        if told.is_some() || !dropped.is_nothing() {
            gone.push(Departed { cause: Cause::Replaced, told, dropped });
        }
        Ok(Ok(()))
    }

    /// An entry that was there a moment ago, if it has not been evicted since. An object is known by its address, as
    /// equal ones would have to be asked; nobody else has it: evicted keys are still held.
    fn find_again(&self, new: New<'_>, kept: Option<u64>) -> Option<Found> {
        match kept {
            Some(kept) => self.store.find_object(new.hash, kept),
            None => self.store.find_inline(new.hash, new.key),
        }
    }

    /// Whether an entry fits if it is the only one.
    pub(crate) fn check_fits(&self, new: New<'_>) -> Result<(), Refused> {
        let Limits { max_bytes, .. } = self.limits;
        let len = self.store.layout.entry_len(new);
        if len > MAX_ENTRY_BYTES {
            return Err(if len > max_bytes { Refused::TooLarge(len) } else { Refused::TooLong(len) });
        }
        if max_bytes == usize::MAX || always_fits(len) <= max_bytes {
            return Ok(());
        }
        self.limits.try_alone(self.store.layout, len).map_err(|limited| match limited {
            true => Refused::TooLarge(len),
            false => Refused::OutOfMemory,
        })
    }

    /// Keep below `max_items`.
    fn make_room_for_one(&mut self, py: Python<'_>, moment: &Moment, gone: &mut Gone) -> PyResult<()> {
        while self.store.table.len() >= self.limits.max_items {
            if !self.expire_one(py, moment, gone)? {
                self.evict(py, Cause::EvictedByCount, gone)?;
            }
        }
        Ok(())
    }

    /// Give bytes up for an entry that is set anew, or has been `found`: spare pages, then what has expired, then whom
    /// SIEVE names.
    fn make_room(
        &mut self,
        py: Python<'_>,
        found: Option<Found>,
        cleared: &mut bool,
        moment: &Moment,
        gone: &mut Gone,
    ) -> Result<(), Refused> {
        self.store.table.release_spares();
        if self.store.table.is_empty() {
            // Tables that have not shrunk; `check_fits` says that the entry fits without them.
            if !std::mem::replace(cleared, true) {
                self.store.table.clear();
                return Ok(());
            }
            return Err(Refused::OutOfMemory);
        }
        if !self.expire_one(py, moment, gone)? {
            match found {
                Some(found) => self.evict_beside(py, found, gone)?,
                None => self.evict(py, Cause::EvictedByBytes, gone)?,
            }
        }
        Ok(())
    }

    /// Evict another entry than the one that is being set, which has just been used. If there is no other, its old
    /// value goes before the new one comes.
    fn evict_beside(&mut self, py: Python<'_>, kept: Found, gone: &mut Gone) -> PyResult<()> {
        let layout = self.store.layout;
        // Twice, as the hand may come all the way round and take its mark away.
        for _ in 0..2 {
            self.store.table.mark(kept);
            match self.store.table.victim(&|entry| layout.hash(entry)) {
                Some(victim) if victim != kept => return self.depart(py, victim, Cause::EvictedByBytes, gone),
                _ => {}
            }
        }
        self.depart(py, kept, Cause::Replaced, gone)
    }

    /// Take something out that has expired, if it is found in so many steps; whether it was.
    fn expire_one(&mut self, py: Python<'_>, moment: &Moment, gone: &mut Gone) -> PyResult<bool> {
        if !self.is_due(moment) {
            return Ok(false);
        }
        let mut steps = STEPS_FOR_ROOM;
        match self.next_expired(moment.time(), &mut steps) {
            Some(found) => self.depart(py, found, Cause::Expired, gone).map(|()| true),
            None => Ok(false),
        }
    }

    fn evict(&mut self, py: Python<'_>, cause: Cause, gone: &mut Gone) -> PyResult<()> {
        let layout = self.store.layout;
        match self.store.table.victim(&|entry| layout.hash(entry)) {
            Some(victim) => self.depart(py, victim, cause, gone),
            None => Ok(()),
        }
    }

    // --- everything ----------------------------------------------------------------------------------------------

    /// Everything, leaving nothing but what was learned; counted as cleared if it is.
    pub(crate) fn take(&mut self) -> Contents<ebb::Cache> {
        let layout = self.store.layout;
        let mut empty = Store::over(layout, self.limits.table(layout));
        empty.table.learn_from(&self.store.table);
        std::mem::replace(&mut self.store, empty).into_contents()
    }
}
