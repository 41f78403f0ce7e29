//! `ebbmap._core`: the binding of the `ebb` engine to CPython.
//!
//! * `kinds`: what `Map(int, bytes)` names. `layout`: where in an entry that is.
//! * `make`, `errors`: builtin objects and exceptions, which can fail to be made. `calls`: calls of Python code. `convert`: objects to bytes and back. `objects`: objects that a table refers to.
//! * `hash`, `store`: a table with kinds. `lock`: what is around it. `search`: finding a key that has to be asked.
//! * `take`: taking an entry out to return it.
//! * `map`, `iter`, `bulk`, `arrays`: the class `Map`. `cache`: the class `Cache`.
//! * `pace`: pauses of long work. `reserve`: the allocator. `memoize`: a function whose results a cache keeps.
//!   `flight`: a call of one that others wait for.
//! * `interpreter`: which one this is. `slots`, `typed`, `fast`: shorter ways than PyO3's to the commonest operations.

mod arrays;
mod bulk;
mod cache;
mod calls;
mod convert;
mod errors;
mod fast;
mod flight;
mod hash;
mod interpreter;
mod iter;
mod kinds;
mod layout;
mod lock;
mod make;
mod map;
mod memoize;
mod objects;
mod pace;
mod reserve;
mod search;
mod slots;
mod store;
mod take;
mod typed;
mod words;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::cache::instances::InstanceMark;
    #[pymodule_export]
    use crate::cache::sweeper::_stop_sweeper;
    #[pymodule_export]
    use crate::cache::{Cache, CacheIterator};
    #[pymodule_export]
    use crate::fast::_add_fast_lanes;
    #[pymodule_export]
    use crate::flight::{_compute, Flight};
    #[pymodule_export]
    use crate::interpreter::_check_interpreter;
    #[pymodule_export]
    use crate::iter::MapIterator;
    #[pymodule_export]
    use crate::lock::{_after_fork, _after_fork_in_child, _before_fork, _forks};
    #[pymodule_export]
    use crate::map::Map;
    #[pymodule_export]
    use crate::memoize::{_set_result, Memo, MemoMethod};
    use crate::slots::{HasLanes, MadeWithoutArguments};
    #[pymodule_export]
    use crate::words::{_floats_as_bytes, _ints_as_bytes};
    use pyo3::panic::PanicException;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        crate::cache::make_names(py)?;
        py.get_type::<PanicException>(); // a class of PyO3's that each fetched exception is compared with
        Map::leave_arguments(py);
        Cache::leave_arguments(py);
        Flight::leave_arguments(py);
        crate::lock::watch_forks();
        crate::pace::prepare(py)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        if !cfg!(feature = "lanes") || !crate::convert::ints_are_as_expected(py) {
            return Ok(()); // without the lanes
        }
        Map::lanes().remember(py);
        Cache::lanes().remember(py);
        crate::cache::fast::put_before_get(py)
    }
}
