//! One step of an operation, under the lock.

use crate::cache::gone::Gone;
use crate::cache::moment::Moment;
use pyo3::prelude::*;

/// When it is, and what leaves in it.
pub(crate) struct Step<'a, 'py> {
    pub(crate) py: Python<'py>,
    pub(crate) moment: &'a Moment,
    pub(crate) gone: &'a mut Gone,
}
