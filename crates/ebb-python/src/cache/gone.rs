//! Entries that have left a cache, between the lock that they left under and what is told and dropped after it.

use crate::kinds::codec::Codec;
use crate::kinds::read::Read;
use crate::python::calls;
use crate::python::errors::out_of_memory;
use crate::python::make::Name;
use crate::table::dropped::Dropped;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Why an entry left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Expired,
    EvictedByCount,
    EvictedByBytes,
    Replaced,
    Deleted,
    Cleared,
}

static EXPIRED: Name = Name::new(c"expired");
static EVICTED: Name = Name::new(c"evicted");
static REPLACED: Name = Name::new(c"replaced");
static DELETED: Name = Name::new(c"deleted");
static CLEARED: Name = Name::new(c"cleared");

impl Cause {
    /// What `on_remove` is told.
    pub(crate) fn name(self, py: Python<'_>) -> PyResult<&Bound<'_, PyString>> {
        let name = match self {
            Cause::Expired => &EXPIRED,
            Cause::EvictedByCount | Cause::EvictedByBytes => &EVICTED,
            Cause::Replaced => &REPLACED,
            Cause::Deleted => &DELETED,
            Cause::Cleared => &CLEARED,
        };
        name.get(py)
    }
}

/// Make the texts that [`Cause::name`] gives, so that no call has to wait for another thread that makes them.
pub(crate) fn make_names(py: Python<'_>) -> PyResult<()> {
    use Cause::{Cleared, Deleted, EvictedByBytes, EvictedByCount, Expired, Replaced};
    let causes = [Expired, EvictedByCount, EvictedByBytes, Replaced, Deleted, Cleared];
    causes.into_iter().try_for_each(|cause| cause.name(py).map(drop))
}

/// Key and value of an entry whose leaving is announced.
pub(crate) type Told = (Read, Read);

pub(crate) struct Departed {
    pub(crate) cause: Cause,
    pub(crate) told: Option<Told>,
    pub(crate) dropped: Dropped,
}

/// See the module's text; most operations have none.
#[derive(Default)]
#[must_use]
pub(crate) struct Gone {
    departed: Option<Vec<Departed>>,
    /// One that nobody is told of.
    error: Option<PyErr>,
}

impl Gone {
    /// Have room for one more.
    pub(crate) fn reserve(&mut self) -> PyResult<()> {
        self.departed.get_or_insert_default().try_reserve(1).map_err(out_of_memory)
    }

    /// Put aside what has to be told or dropped, if anything has; there is room for it.
    #[inline]
    pub(crate) fn push_if_any(&mut self, departed: Departed) {
        if departed.told.is_some() || !departed.dropped.is_nothing() {
            self.departed.get_or_insert_default().push(departed);
        }
    }

    /// Drop an error after the lock. There is room for one.
    #[cold]
    pub(crate) fn push_error(&mut self, error: PyErr) {
        debug_assert!(!self.has_error());
        self.error = Some(error);
    }

    #[inline]
    pub(crate) fn has_error(&self) -> bool {
        self.error.is_some()
    }

    /// Whether it never had anything, nor room for it.
    #[inline]
    pub(crate) fn is_untouched(&self) -> bool {
        self.departed.is_none() && !self.has_error()
    }

    /// Tell of those who left, and drop them. Runs Python code, so never under a lock.
    pub(crate) fn settle(self, py: Python<'_>, on_remove: Option<&Py<PyAny>>, codec: Option<&Codec>) {
        for departed in self.departed.into_iter().flatten() {
            if let (Some(told), Some(on_remove)) = (departed.told, on_remove) {
                tell(py, on_remove, codec, told, departed.cause);
            }
            departed.dropped.release(py);
        }
    }
}

/// Call `on_remove`. What it raises is nobody's to catch.
pub(crate) fn tell(py: Python<'_>, on_remove: &Py<PyAny>, codec: Option<&Codec>, told: Told, cause: Cause) {
    let (key, value) = told;
    let called = key.finish(py, None).and_then(|key| {
        let value = value.finish(py, codec)?;
        calls::call(on_remove.bind(py), [key.bind(py), value.bind(py), cause.name(py)?])
    });
    if let Err(error) = called {
        calls::write_unraisable(error, py, Some(on_remove.bind(py)));
    }
}
