//! Entries leave: what has to be told or dropped once the lock is open is put aside.

use crate::cache::chest::state::Chest;
use crate::cache::gone::{Cause, Departed, Told};
use crate::cache::step::Step;
use crate::table::store::Found;
use crate::table::take::{Seen, Taken, TakenPair, TakenValue};
use pyo3::prelude::*;

impl Chest {
    /// Take some entry out, deleted, and give its key and value.
    pub(crate) fn take_any(&mut self, step: &mut Step<'_, '_>) -> PyResult<Option<TakenPair>> {
        let Ok(found) = Found::any(self) else { return Ok(None) };
        let pair = found.pair_to_take(step.py)?;
        found.depart_made(step, pair).map(Some)
    }

    /// Take out, deleted, what was seen, if it is there and still the same; whether it was.
    pub(crate) fn depart_seen(&mut self, step: &mut Step<'_, '_>, seen: &Seen) -> PyResult<bool> {
        match Found::seen(self, seen) {
            Ok(found) => found.depart(step, Cause::Deleted).map(|_| true),
            Err(_) => Ok(false),
        }
    }
}

impl<'c> Found<'c, Chest> {
    /// Take the entry out; what has to be told or dropped once the lock is open goes to `gone`. If that can't be had,
    /// the entry stays.
    pub(crate) fn depart(self, step: &mut Step<'_, '_>, cause: Cause) -> PyResult<&'c mut Chest> {
        let told = self.told(step.py)?;
        if told.is_some() || self.holder().store.layout().has_objects() {
            step.gone.reserve()?;
        }
        let (chest, dropped) = self.remove();
        chest.count(cause);
        step.gone.push_if_any(Departed { cause, told, dropped });
        Ok(chest)
    }

    /// Take the entry out, deleted unless it has expired, and give its value.
    pub(crate) fn take_value(self, step: &mut Step<'_, '_>) -> PyResult<Option<TakenValue>> {
        if self.is_over(step.moment) {
            return self.depart(step, Cause::Expired).map(|_| None);
        }
        let value = self.value_to_take(step.py)?;
        self.depart_made(step, value).map(Some)
    }

    /// Take the entry out, deleted, if what it becomes is made.
    fn depart_made<T, R>(self, step: &mut Step<'_, '_>, taken: Taken<T, R>) -> PyResult<Taken<T, R>> {
        if let Taken::Made(_) = taken {
            self.depart(step, Cause::Deleted)?;
        }
        Ok(taken)
    }

    /// Key and value of the entry, where its leaving is announced.
    pub(super) fn told(&self, py: Python<'_>) -> PyResult<Option<Told>> {
        if !self.holder().limits.tells {
            return Ok(None);
        }
        self.entry().read_pair(py).map(Some)
    }
}
