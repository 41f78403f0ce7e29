//! `ebbmap._core`: the binding of the `ebb` engine to CPython.
use pyo3::prelude::*;

#[pymodule]
mod _core {}
