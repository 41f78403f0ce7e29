//! Time: which entries are alive, and the removal of those that have expired.

use crate::cache::chest::state::{BATCH, Chest};
use crate::cache::gone::Cause;
use crate::cache::limits::Lives;
use crate::cache::moment::Moment;
use crate::cache::step::Step;
use ebb::{Deadlines, Found, Time};
use pyo3::prelude::*;

/// Steps of sweeping that an operation takes on.
const STEPS: usize = 4;
/// Steps that looking for something expired may take before something alive is evicted.
const STEPS_FOR_ROOM: usize = 256;

impl Chest {
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

    pub(crate) fn next_expired(&mut self, now: Time, steps: &mut usize) -> Option<Found> {
        let layout = self.store.layout;
        self.store.table.next_expired(now, steps, &|entry| layout.hash(entry))
    }

    /// Take out what has expired, in a bounded number of steps. What can't leave for want of memory stays for later,
    /// and those behind it.
    pub(crate) fn sweep(&mut self, step: &mut Step<'_, '_>, mut steps: usize) -> PyResult<()> {
        let now = step.moment.time();
        while let Some(found) = self.next_expired(now, &mut steps) {
            self.depart(step, found, Cause::Expired)?;
        }
        Ok(())
    }

    /// Take out what has expired, some at a time; whether nothing is left that has.
    pub(crate) fn sweep_all(&mut self, step: &mut Step<'_, '_>) -> PyResult<bool> {
        if self.is_due(step.moment) {
            self.sweep(step, BATCH)?;
        }
        Ok(!self.is_due(step.moment))
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
    pub(crate) fn tidy(&mut self, step: &mut Step<'_, '_>) {
        if let Some(now) = step.moment.was_read()
            && self.store.table.is_due(now)
            && !step.gone.has_error()
        {
            // The operation does not owe it, so it does not fail by it.
            self.sweep(step, STEPS).unwrap_or_else(|error| step.gone.push_error(error));
        }
    }

    /// Take something out that has expired, if it is found in so many steps; whether it was.
    pub(super) fn expire_one(&mut self, step: &mut Step<'_, '_>) -> PyResult<bool> {
        if !self.is_due(step.moment) {
            return Ok(false);
        }
        let mut steps = STEPS_FOR_ROOM;
        match self.next_expired(step.moment.time(), &mut steps) {
            Some(found) => self.depart(step, found, Cause::Expired).map(|()| true),
            None => Ok(false),
        }
    }
}
