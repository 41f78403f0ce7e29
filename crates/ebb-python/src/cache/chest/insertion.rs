//! Entries come: they are set, within the bounds.

use crate::cache::chest::state::{Chest, this_thread};
use crate::cache::gone::{Cause, Departed};
use crate::cache::limits::{Limits, Lives, always_fits};
use crate::cache::refused::Refused;
use crate::cache::step::Step;
use crate::kinds::kind::ValueKind;
use crate::kinds::new::New;
use crate::kinds::typed::{TypedKey, TypedValue};
use ebb::{Deadlines, Found, MAX_ENTRY_BYTES, OutOfMemory};
use pyo3::prelude::*;

/// What an attempt to write an entry has come to.
enum Written {
    Done,
    /// Nothing has changed: there is no memory, or `max_bytes` allows no more.
    NoRoom,
}

impl Written {
    fn of(done: Result<(), OutOfMemory>) -> Self {
        done.map_or(Written::NoRoom, |()| Written::Done)
    }
}

impl Chest {
    /// Set a key; `found` is what a search for it has found. Nothing has changed if it is refused, but for what made
    /// room.
    pub(crate) fn put(
        &mut self,
        step: &mut Step<'_, '_>,
        found: Option<Found>,
        new: New<'_>,
        lives: Lives,
    ) -> Result<(), Refused> {
        let deadlines = self.deadlines(lives, step.moment);
        self.put_at(step, found, new, deadlines)
    }

    /// As [`put`](Self::put), with the deadlines that the life comes to.
    pub(crate) fn put_at(
        &mut self,
        step: &mut Step<'_, '_>,
        mut found: Option<Found>,
        new: New<'_>,
        deadlines: Deadlines,
    ) -> Result<(), Refused> {
        if let Some(expired) = found.filter(|&found| self.is_over(found, step.moment)) {
            self.depart(step, expired, Cause::Expired)?;
            found = None;
        }
        self.check_fits(new)?;
        self.store.table.was_limited(); // by what was refused before, and done without
        if found.is_none() {
            self.make_room_for_one(step)?;
        }
        self.put_within_bytes(step, found, new, deadlines)?;
        self.counts.sets += 1;
        Ok(())
    }

    /// Insert or replace, and make room until it fits.
    fn put_within_bytes(
        &mut self,
        step: &mut Step<'_, '_>,
        mut found: Option<Found>,
        new: New<'_>,
        deadlines: Deadlines,
    ) -> Result<(), Refused> {
        let kept_key = found.and_then(|found| self.store.key_word(found));
        let mut cleared = false;
        loop {
            let written = match found {
                Some(found) => self.replace(step, found, new, deadlines)?,
                None => Written::of(self.insert(new, deadlines)),
            };
            match written {
                Written::Done => return Ok(()),
                Written::NoRoom if !self.store.table.was_limited() => return Err(Refused::OutOfMemory),
                Written::NoRoom => self.make_room(step, found, &mut cleared)?,
            }
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
        self.store.insert_typed_until::<K, V>(hash, key, value, deadlines)?;
        self.last_inserter = this_thread();
        self.counts.sets += 1;
        Ok(())
    }

    fn insert(&mut self, new: New<'_>, deadlines: Deadlines) -> Result<(), OutOfMemory> {
        self.store.insert_until(new, deadlines)?;
        self.last_inserter = this_thread();
        Ok(())
    }

    fn replace(
        &mut self,
        step: &mut Step<'_, '_>,
        found: Found,
        new: New<'_>,
        deadlines: Deadlines,
    ) -> PyResult<Written> {
        let told = self.told(step.py, found)?;
        if told.is_some() || self.store.layout.value == ValueKind::Object {
            step.gone.reserve()?;
        }
        let Ok((found, dropped)) = self.store.overwrite(found, new) else { return Ok(Written::NoRoom) };
        self.store.table.renew(found, deadlines);
        self.store.table.mark(found);
        self.count(Cause::Replaced);
        step.gone.push_if_any(Departed { cause: Cause::Replaced, told, dropped });
        Ok(Written::Done)
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
}
