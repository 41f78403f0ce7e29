//! Entries come: they are set, within the bounds.

use crate::cache::chest::expiry::drop_expired;
use crate::cache::chest::state::{Chest, this_thread};
use crate::cache::gone::{Cause, Departed};
use crate::cache::limits::{Limits, Lives, always_fits};
use crate::cache::refused::Refused;
use crate::cache::step::Step;
use crate::kinds::new::New;
use crate::kinds::typed::{TypedKey, TypedValue};
use crate::table::store::found::Again;
use crate::table::store::{Found, Searched};
use ebb::{Deadlines, MAX_ENTRY_BYTES, OutOfMemory};
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
    /// Set a key, of which a search has found `found`. Nothing has changed if it is refused, but for what made room.
    pub(crate) fn put(
        found: Searched<'_, Chest>,
        step: &mut Step<'_, '_>,
        new: New<'_>,
        lives: Lives,
    ) -> Result<(), Refused> {
        let chest = found.as_ref().map_or_else(|chest| &**chest, Found::holder);
        let deadlines = chest.deadlines(lives, step.moment);
        Chest::put_at(found, step, new, deadlines)
    }

    /// As [`put`](Self::put), with the deadlines that the life comes to.
    pub(crate) fn put_at(
        found: Searched<'_, Chest>,
        step: &mut Step<'_, '_>,
        new: New<'_>,
        deadlines: Deadlines,
    ) -> Result<(), Refused> {
        let found = Chest::prepare(drop_expired(found, step)?, step, new)?;
        let chest = Chest::put_within_bytes(found, step, new, deadlines)?;
        chest.counts.sets.add(1);
        Ok(())
    }

    /// See that an entry fits at all, and that there is room for one more if it is new.
    fn prepare<'c>(
        found: Searched<'c, Chest>,
        step: &mut Step<'_, '_>,
        new: New<'_>,
    ) -> Result<Searched<'c, Chest>, Refused> {
        match found {
            Ok(mut found) => {
                found.holder().check_fits(new)?;
                found.was_limited(); // by what was refused before, and done without
                Ok(Ok(found))
            }
            Err(chest) => {
                chest.check_fits(new)?;
                chest.store.was_limited(); // as above
                chest.make_room_for_one(step)?;
                Ok(Err(chest))
            }
        }
    }

    /// Insert or replace, and make room until it fits.
    fn put_within_bytes<'c>(
        mut found: Searched<'c, Chest>,
        step: &mut Step<'_, '_>,
        new: New<'_>,
        deadlines: Deadlines,
    ) -> Result<&'c mut Chest, Refused> {
        let again = found.as_ref().ok().map(|found| Again::of(found, new));
        let mut cleared = false;
        loop {
            let (written, chest) = match found {
                Ok(found) => found.replace_by(step, new, deadlines)?,
                Err(chest) => (Written::of(chest.insert(new, deadlines)), chest),
            };
            match written {
                Written::Done => return Ok(chest),
                Written::NoRoom if !chest.store.was_limited() => return Err(Refused::OutOfMemory),
                Written::NoRoom => chest.make_room(step, again, &mut cleared)?,
            }
            found = match again {
                Some(again) => again.find(chest),
                None => Err(chest),
            };
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
        self.counts.sets.add(1);
        Ok(())
    }

    fn insert(&mut self, new: New<'_>, deadlines: Deadlines) -> Result<(), OutOfMemory> {
        self.store.insert_until(new, deadlines)?;
        self.last_inserter = this_thread();
        Ok(())
    }

    /// Whether an entry fits if it is the only one.
    pub(crate) fn check_fits(&self, new: New<'_>) -> Result<(), Refused> {
        let Limits { max_bytes, .. } = self.limits;
        let len = self.store.layout().entry_len(new);
        if len > MAX_ENTRY_BYTES {
            return Err(if len > max_bytes { Refused::TooLarge(len) } else { Refused::TooLong(len) });
        }
        if max_bytes == usize::MAX || always_fits(len) <= max_bytes {
            return Ok(());
        }
        self.limits.try_alone(self.store.layout(), len).map_err(|limited| match limited {
            true => Refused::TooLarge(len),
            false => Refused::OutOfMemory,
        })
    }
}

impl<'c> Found<'c, Chest> {
    /// Give the entry another value.
    fn replace_by(
        mut self,
        step: &mut Step<'_, '_>,
        new: New<'_>,
        deadlines: Deadlines,
    ) -> PyResult<(Written, &'c mut Chest)> {
        let told = self.told(step.py)?;
        if told.is_some() || self.holder().store.layout().has_object_values() {
            step.gone.reserve()?;
        }
        let Ok(dropped) = self.overwrite(new) else { return Ok((Written::NoRoom, self.into_holder())) };
        self.renew(deadlines);
        self.mark();
        let chest = self.into_holder();
        chest.count(Cause::Replaced);
        step.gone.push_if_any(Departed { cause: Cause::Replaced, told, dropped });
        Ok((Written::Done, chest))
    }
}
