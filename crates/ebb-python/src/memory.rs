//! What the tables of the process hold, all together.

use crate::mapping::methods::note;
use crate::python::make;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// For tests: refuse the `nth` request for memory from now on, or from that on all; none where it is 0. How many there
/// were since the last call.
#[pyfunction]
pub(crate) fn _refuse_memory(nth: u64, after: bool) -> u64 {
    let end = if after { u64::MAX } else { nth.saturating_add(1) };
    ebb::refuse_memory(if nth == 0 { 0..0 } else { nth..end })
}

/// The figures of `ebbmap.memory()`.
#[pyfunction]
pub(crate) fn _memory(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let memory = ebb::process_memory();
    let dict = make::dict(py)?;
    let figures = [
        ("reserved_bytes", memory.reserved as u64),
        ("held_bytes", memory.held as u64),
        ("spare_bytes", memory.spare as u64),
        ("returned_bytes", memory.returned),
        ("mappings", memory.areas as u64),
    ];
    note(&dict, figures)?;
    Ok(dict)
}
