//! Time: which entries are alive, and the removal of those that have expired.

use crate::cache::chest::state::{BATCH, Chest};
use crate::cache::gone::Cause;
use crate::cache::limits::Lives;
use crate::cache::moment::Moment;
use crate::cache::step::Step;
use crate::table::store::{Found, Searched};
use ebb::{Deadlines, Time};
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

    /// Take out what has expired, in a bounded number of steps. What can't leave for want of memory stays for later,
    /// and those behind it.
    pub(crate) fn sweep(&mut self, step: &mut Step<'_, '_>, mut steps: usize) -> PyResult<()> {
        let now = step.moment.time();
        while let Ok(found) = Found::expired(self, now, &mut steps) {
            found.depart(step, Cause::Expired)?;
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
        while let Ok(found) = Found::expired(self, now, &mut steps) {
            found.remove_inline().count(Cause::Expired);
        }
    }

    /// Whether something may have expired. The time is read only if anything ever will.
    pub(crate) fn is_due(&self, moment: &Moment) -> bool {
        !self.store.table().never_expires() && self.store.table().is_due(moment.time())
    }

    /// The sweeping that goes with an operation: none where it had no need of the time.
    #[inline(always)]
    pub(crate) fn tidy(&mut self, step: &mut Step<'_, '_>) {
        if let Some(now) = step.moment.was_read()
            && self.store.table().is_due(now)
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
        match Found::expired(self, step.moment.time(), &mut steps) {
            Ok(found) => found.depart(step, Cause::Expired).map(|_| true),
            Err(_) => Ok(false),
        }
    }
}

/// What was found, if it is alive; what has expired is taken out.
pub(crate) fn drop_expired<'c>(found: Searched<'c, Chest>, step: &mut Step<'_, '_>) -> PyResult<Searched<'c, Chest>> {
    match found {
        Ok(expired) if expired.is_over(step.moment) => Ok(Err(expired.depart(step, Cause::Expired)?)),
        found => Ok(found),
    }
}

/// What was found, if it is alive.
#[inline]
pub(crate) fn alive<'c>(found: Searched<'c, Chest>, moment: &Moment) -> Searched<'c, Chest> {
    match found {
        Ok(found) if found.is_over(moment) => Err(found.into_holder()),
        found => found,
    }
}

/// What was found, if it is alive, as a use of it.
#[inline]
pub(crate) fn using<'c>(found: Searched<'c, Chest>, moment: &Moment) -> Searched<'c, Chest> {
    match alive(found, moment) {
        Ok(mut found) => {
            found.hit(moment);
            Ok(found)
        }
        Err(chest) => {
            chest.counts.misses.add(1);
            Err(chest)
        }
    }
}

impl Found<'_, Chest> {
    /// Whether the entry has expired.
    #[inline]
    pub(crate) fn is_over(&self, moment: &Moment) -> bool {
        moment.is_past(self.deadlines().first())
    }

    /// The entry, which is alive, was used.
    #[inline]
    fn hit(&mut self, moment: &Moment) {
        let Chest { counts, limits, .. } = self.holder();
        counts.hits.add(1);
        if let Some(idle) = limits.idle {
            let idle = limits.clock.after(moment.time(), idle);
            let hard = self.deadlines().hard;
            self.renew(Deadlines { hard, idle });
        }
        self.mark();
    }

    /// Let the entry live for another while.
    pub(crate) fn touch(&mut self, lives: Lives, moment: &Moment) {
        let deadlines = self.holder().deadlines(lives, moment);
        self.renew(deadlines);
        self.mark();
    }
}
