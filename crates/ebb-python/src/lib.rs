//! `ebbmap._core`: the binding of the `ebb` engine to CPython.
//!
//! Each folder uses only those before it:
//!
//! * `python`: CPython, and the process around it.
//! * `kinds`: objects as the bytes of a table, and back.
//! * `table`: tables with kinds, each operation one step that runs no Python code.
//! * `mapping`: what the classes `Map` and `Cache` have in common.
//! * `map`, `cache`: these classes.
//! * `memoize`: functions whose results a cache keeps.
//!
//! `forks` and `lanes` are about both classes.

mod cache;
mod forks;
mod kinds;
mod lanes;
mod map;
mod mapping;
mod memoize;
mod memory;
mod python;
mod table;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::cache::class::Cache;
    #[pymodule_export]
    use crate::cache::instances::mark::InstanceMark;
    #[pymodule_export]
    use crate::cache::iter::CacheIterator;
    #[pymodule_export]
    use crate::cache::sweeper::end::_stop_sweeper;
    #[pymodule_export]
    use crate::forks::{_after_fork, _after_fork_in_child, _before_fork, _forks};
    #[pymodule_export]
    use crate::kinds::words::{_floats_as_bytes, _ints_as_bytes};
    #[pymodule_export]
    use crate::lanes::_add_fast_lanes;
    #[pymodule_export]
    use crate::map::class::Map;
    #[pymodule_export]
    use crate::map::iter::MapIterator;
    use crate::mapping::slots::{HasLanes, MadeWithoutArguments};
    #[pymodule_export]
    use crate::memoize::flight::{_compute, Flight};
    #[pymodule_export]
    use crate::memoize::memo::{_set_result, Memo};
    #[pymodule_export]
    use crate::memoize::method::MemoMethod;
    #[pymodule_export]
    use crate::memory::{_memory, _refuse_memory};
    #[pymodule_export]
    use crate::python::process::_check_interpreter;
    use pyo3::exceptions::PyImportError;
    use pyo3::panic::PanicException;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        crate::cache::gone::make_names(py)?;
        py.get_type::<PanicException>(); // a class of PyO3's that each fetched exception is compared with
        Map::leave_arguments(py);
        Cache::leave_arguments(py);
        Flight::leave_arguments(py);
        crate::forks::watch_forks();
        crate::python::pace::prepare(py)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        if !crate::kinds::plain::ints_are_as_expected(py) {
            let message = format_args!("ebbmap reads ints as CPython keeps them, which this interpreter does not");
            return Err(crate::python::errors::error::<PyImportError>(py, message));
        }
        if !cfg!(feature = "lanes") {
            return Ok(());
        }
        Map::lanes().remember(py);
        Cache::lanes().remember(py);
        crate::cache::fast::put_before_get(py)
    }
}
