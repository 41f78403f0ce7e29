//! `ebbmap._core`: the binding of the `ebb` engine to CPython. Objects become bytes and back in `convert`, a table
//! with kinds is a `store`, its lock is in `lock`; the classes are thin.

mod arrays;
mod bulk;
mod cache;
mod convert;
mod errors;
mod fast;
mod hash;
mod iter;
mod kinds;
mod layout;
mod lock;
mod map;
mod objects;
mod search;
mod slots;
mod store;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::cache::sweeper::_stop_sweeper;
    #[pymodule_export]
    use crate::cache::{Cache, CacheIterator};
    #[pymodule_export]
    use crate::fast::_add_fast_lanes;
    #[pymodule_export]
    use crate::iter::MapIterator;
    #[pymodule_export]
    use crate::lock::{_after_fork, _after_fork_in_child, _before_fork};
    #[pymodule_export]
    use crate::map::Map;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        if !crate::convert::ints_are_as_expected(py) {
            return Ok(()); // without the lanes
        }
        crate::fast::remember(&py.get_type::<Map>());
        crate::cache::fast::remember(&py.get_type::<Cache>())
    }
}
