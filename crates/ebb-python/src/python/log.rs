//! Warnings to the package's logger.

use crate::python::calls;
use crate::python::make::{self, Name, name};
use pyo3::prelude::*;

/// Log a warning, with an object that its text names. Runs Python code, so never under a lock.
pub(crate) fn warn<'py>(py: Python<'py>, message: &str, named: Option<&Bound<'py, PyAny>>) {
    if let Err(error) = log(py, message, named) {
        calls::write_unraisable(error, py, None);
    }
}

fn log<'py>(py: Python<'py>, message: &str, named: Option<&Bound<'py, PyAny>>) -> PyResult<()> {
    static LOGGING: Name = Name::new(c"logging");
    let get_logger = calls::getattr(&calls::load(LOGGING.get(py)?)?, name!(py, c"getLogger"))?;
    let logger = calls::call(&get_logger, [name!(py, c"ebbmap").as_any()])?;
    let (warning, message) = (calls::getattr(&logger, name!(py, c"warning"))?, make::text(py, message)?);
    match named {
        Some(named) => calls::call(&warning, [message.as_any(), named])?,
        None => calls::call(&warning, [message.as_any()])?,
    };
    Ok(())
}
