//! Which classes get the lanes.

use crate::cache::class::Cache;
use crate::map::class::Map;
use crate::mapping::slots::put_lanes;
use crate::python::errors::error;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// Put the lanes into a class that was just made, for those slots that it has unchanged from `Map` or `Cache`.
#[pyfunction]
pub(crate) fn _add_fast_lanes(class: &Bound<'_, PyType>) -> PyResult<()> {
    if put_lanes::<Map>(class)? || put_lanes::<Cache>(class)? {
        return Ok(());
    }
    let message = format_args!("only a subclass of Map or Cache has their slots");
    Err(error::<PyTypeError>(class.py(), message))
}
