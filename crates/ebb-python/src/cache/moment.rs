//! The time, as one operation sees it.

use ebb::{Clock, Time};
use std::cell::Cell;

/// Now: read at most once an operation, and only by those that need it.
pub(crate) struct Moment {
    read: Cell<Option<Time>>,
}

impl Moment {
    /// The system's clock, not read yet.
    pub(crate) const fn later() -> Self {
        Moment { read: Cell::new(None) }
    }

    /// As a given clock has shown it.
    pub(crate) fn at(time: Time) -> Self {
        Moment { read: Cell::new(Some(time)) }
    }

    #[inline]
    pub(crate) fn time(&self) -> Time {
        self.read.get().unwrap_or_else(|| {
            let now = Clock::now();
            self.read.set(Some(now));
            now
        })
    }

    /// Whether a deadline has come.
    #[inline]
    pub(crate) fn is_past(&self, deadline: Time) -> bool {
        deadline != Time::NEVER && deadline <= self.time()
    }

    /// The time, if the operation had any need of it.
    pub(crate) fn was_read(&self) -> Option<Time> {
        self.read.get()
    }
}
