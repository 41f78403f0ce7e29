//! Objects that came out of a table, on their way out of its lock.

use crate::kinds::entry::Leaving;
use pyo3::prelude::*;

/// Objects that came out of a table, to be dropped once it is unlocked.
#[must_use]
pub(crate) struct Dropped {
    pub(super) key: Option<Leaving>,
    pub(super) value: Option<Leaving>,
}

impl Dropped {
    pub(crate) fn nothing() -> Self {
        Dropped { key: None, value: None }
    }

    /// The object that was an entry's value, if it was one.
    #[inline(always)]
    pub(super) fn of_value(value: Option<Leaving>) -> Self {
        Dropped { key: None, value }
    }

    /// The value, where that is all there is.
    pub(crate) fn into_value(self) -> Option<Leaving> {
        debug_assert!(self.key.is_none());
        self.value
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.key.is_none() && self.value.is_none()
    }

    /// Drop them. Runs `__del__`, so never under a lock.
    #[inline]
    pub(crate) fn release(self, py: Python<'_>) {
        if let Some(key) = self.key {
            key.release(py);
        }
        if let Some(value) = self.value {
            value.release(py);
        }
    }
}
