//! Room for an entry: within `max_items` and `max_bytes`.

use crate::cache::chest::state::Chest;
use crate::cache::gone::Cause;
use crate::cache::refused::Refused;
use crate::cache::step::Step;
use crate::table::store::Found;
use crate::table::store::found::Again;
use ebb::RawTable;
use pyo3::prelude::*;

impl Chest {
    /// Keep below `max_items`.
    pub(super) fn make_room_for_one(&mut self, step: &mut Step<'_, '_>) -> PyResult<()> {
        while self.store.table().len() >= self.limits.max_items {
            if !self.expire_one(step)? {
                self.evict(step, Cause::EvictedByCount)?;
            }
        }
        Ok(())
    }

    /// Give bytes up for an entry that is set anew, or is there `again`: what has expired, then whom SIEVE names.
    pub(super) fn make_room(
        &mut self,
        step: &mut Step<'_, '_>,
        again: Option<Again<'_>>,
        cleared: &mut bool,
    ) -> Result<(), Refused> {
        if self.store.table().is_empty() {
            return self.clear_tables(cleared);
        }
        if !self.expire_one(step)? {
            match again {
                Some(kept) => self.evict_beside(step, kept)?,
                None => self.evict(step, Cause::EvictedByBytes)?,
            }
        }
        Ok(())
    }

    /// Give up tables that have not shrunk, once; `check_fits` says that the entry fits without them.
    fn clear_tables(&mut self, cleared: &mut bool) -> Result<(), Refused> {
        if std::mem::replace(cleared, true) {
            return Err(Refused::OutOfMemory);
        }
        self.store.release_tables();
        Ok(())
    }

    /// Evict another entry than the one that is being set, which has just been used. If there is no other, its old
    /// value goes before the new one comes.
    fn evict_beside(&mut self, step: &mut Step<'_, '_>, kept: Again<'_>) -> PyResult<()> {
        // Twice, as the hand may come all the way round and take its mark away.
        for _ in 0..2 {
            kept.find(self).into_iter().for_each(|mut found| found.mark());
            match Found::victim(self) {
                Ok(victim) if !kept.is(&victim) => return victim.depart(step, Cause::EvictedByBytes).map(drop),
                _ => {}
            }
        }
        kept.find(self).map_or(Ok(()), |found| found.depart(step, Cause::Replaced).map(drop))
    }

    fn evict(&mut self, step: &mut Step<'_, '_>, cause: Cause) -> PyResult<()> {
        Found::victim(self).map_or(Ok(()), |victim| victim.depart(step, cause).map(drop))
    }
}
