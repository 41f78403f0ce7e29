//! Entries leave: what has to be told or dropped once the lock is open is put aside.

use crate::cache::chest::state::Chest;
use crate::cache::gone::{Cause, Departed, Told};
use crate::cache::step::Step;
use crate::table::take::{Seen, Taken, TakenPair, TakenValue};
use ebb::{Found, RawTable};
use pyo3::prelude::*;

impl Chest {
    /// Take an entry out; what has to be told or dropped once the lock is open goes to `gone`. If that can't be had,
    /// the entry stays.
    pub(crate) fn depart(&mut self, step: &mut Step<'_, '_>, found: Found, cause: Cause) -> PyResult<()> {
        let told = self.told(step.py, found)?;
        if told.is_some() || self.store.layout.has_objects() {
            step.gone.reserve()?;
        }
        let dropped = self.store.remove(found);
        self.count(cause);
        step.gone.push_if_any(Departed { cause, told, dropped });
        Ok(())
    }

    /// Take an entry out, deleted unless it has expired, and give its value.
    pub(crate) fn take_value(&mut self, step: &mut Step<'_, '_>, found: Found) -> PyResult<Option<TakenValue>> {
        if self.is_over(found, step.moment) {
            return self.depart(step, found, Cause::Expired).map(|()| None);
        }
        let value = self.store.value_to_take(step.py, found)?;
        self.depart_made(step, found, value).map(Some)
    }

    /// Take some entry out, deleted, and give its key and value.
    pub(crate) fn take_any(&mut self, step: &mut Step<'_, '_>) -> PyResult<Option<TakenPair>> {
        let Some(found) = self.store.table.any() else { return Ok(None) };
        let pair = self.store.pair_to_take(step.py, found)?;
        self.depart_made(step, found, pair).map(Some)
    }

    /// Take an entry out, deleted, if what it becomes is made.
    fn depart_made<T, R>(
        &mut self,
        step: &mut Step<'_, '_>,
        found: Found,
        taken: Taken<T, R>,
    ) -> PyResult<Taken<T, R>> {
        if let Taken::Made(_) = taken {
            self.depart(step, found, Cause::Deleted)?;
        }
        Ok(taken)
    }

    /// Take out, deleted, what was seen, if it is there and still the same; whether it was.
    pub(crate) fn depart_seen(&mut self, step: &mut Step<'_, '_>, seen: &Seen) -> PyResult<bool> {
        match self.store.find_seen(seen) {
            Some(found) => self.depart(step, found, Cause::Deleted).map(|()| true),
            None => Ok(false),
        }
    }

    /// Key and value of an entry, where its leaving is announced.
    pub(super) fn told(&self, py: Python<'_>, found: Found) -> PyResult<Option<Told>> {
        if !self.limits.tells {
            return Ok(None);
        }
        self.store.read_pair(py, found).map(Some)
    }
}
