//! What iterators of maps and caches have in common.

use crate::kinds::given::Kinds;
use crate::kinds::read::Read;
use crate::python::calls;
use crate::python::errors::error;
use crate::python::make::{self, Name};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// What an iterator is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Keys,
    Values,
    Items,
}

/// Why a walk gives nothing: noted under the lock, to be raised outside.
pub(crate) enum Ended {
    /// The table has changed.
    Changed,
    Error(PyErr),
}

impl From<PyErr> for Ended {
    fn from(error: PyErr) -> Self {
        Ended::Error(error)
    }
}

impl Ended {
    #[cold]
    pub(crate) fn into_error(self, py: Python<'_>, changed: &str) -> PyErr {
        match self {
            Ended::Changed => error::<PyRuntimeError>(py, format_args!("{changed}")),
            Ended::Error(error) => error,
        }
    }
}

/// What an iterator gives next: a key, a value or both.
pub(crate) type Next = (Option<Read>, Option<Read>);

impl Kinds {
    pub(crate) fn finish_next(&self, py: Python<'_>, next: Next) -> PyResult<Py<PyAny>> {
        match next {
            (Some(key), Some(value)) => self.finish_pair(py, (key, value)).map(Bound::unbind),
            (Some(key), None) => key.finish(py, None),
            (None, Some(value)) => value.finish(py, self.codec.as_ref()),
            (None, None) => unreachable!("an iterator is over something"),
        }
    }
}

/// How an iterator is copied and pickled: as one over a list of what is left, as those of a dict are.
pub(crate) fn reduced<'py>(
    py: Python<'py>,
    mut next: impl FnMut() -> PyResult<Option<Py<PyAny>>>,
) -> PyResult<Bound<'py, PyTuple>> {
    static BUILTINS: Name = Name::new(c"builtins");
    static ITER: Name = Name::new(c"iter");
    let left = make::list(py)?;
    while let Some(object) = next()? {
        left.append(object)?;
    }
    let iter = calls::getattr(&calls::import(BUILTINS.get(py)?)?, ITER.get(py)?)?;
    let args = make::tuple(py, [left.into_any()])?;
    make::tuple(py, [iter, args.into_any()])
}
