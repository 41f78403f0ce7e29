//! `m[key]`, `m[key] = value`, `del m[key]` and `key in m` for the keys and values that most are, without PyO3's
//! trampolines (about 15 ns of 50). A lane takes what needs no Python code and can't fail; everything else, errors
//! included, goes to the slot that PyO3 made.
#![allow(unsafe_code)] // type slots

use crate::convert::{Key, Read, Value};
use crate::map::Map;
use crate::slots::Slots;
use crate::store::{Dropped, Store, hash};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

static MADE_BY_PYO3: OnceLock<Slots> = OnceLock::new();
const LANES: Slots = Slots { subscript, assign, contains };

/// Remember the slots that PyO3 made for `Map`.
pub(crate) fn remember(map: &Bound<'_, PyType>) {
    if let Some(slots) = Slots::of(map) {
        let _ = MADE_BY_PYO3.set(slots);
    }
}

/// Put the fast lanes into a class that was just made, for those slots that it has unchanged from `Map` or `Cache`.
#[pyfunction]
pub(crate) fn _add_fast_lanes(class: &Bound<'_, PyType>) -> PyResult<()> {
    if class.is_subclass_of::<crate::cache::Cache>()? {
        crate::cache::fast::add_lanes(class);
    } else if !class.is_subclass_of::<Map>()? {
        return Err(PyTypeError::new_err("only a subclass of Map or Cache has their slots"));
    } else if let Some(made) = MADE_BY_PYO3.get() {
        // SAFETY: a subclass of `Map`, as the lanes expect.
        unsafe { made.replace_in(class, &LANES) };
    }
    Ok(())
}

fn slots() -> &'static Slots {
    MADE_BY_PYO3.get().expect("the lanes are only installed with it")
}

/// Run a lane with a map and a plain key. `None` (or a panic, which the slot behind will meet again, and report) sends
/// the call on.
#[inline(always)]
unsafe fn lane<R>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    work: impl FnOnce(Python<'_>, &Map, &Key<'_>) -> Option<R>,
) -> Option<R> {
    // SAFETY: 1. The interpreter calls slots attached. 2. It passes an instance of the type whose slot it is, and a
    // key that outlives the call.
    let (py, map, key) = unsafe {
        let py = Python::assume_attached();
        let map = Bound::ref_from_ptr(py, &slf).cast_unchecked::<Map>();
        (py, map.get(), Bound::ref_from_ptr(py, &key))
    };
    catch_unwind(AssertUnwindSafe(|| work(py, map, &Key::plain(map.kinds.get()?.key, key)?))).ok().flatten()
}

/// What `m[key]` is, as a new reference; NULL with an exception set where the object could not be made.
#[inline(always)]
fn read(py: Python<'_>, map: &Map, key: &Key<'_>) -> Option<*mut ffi::PyObject> {
    let hash = hash(key);
    let read = map.store.try_with(|store| {
        let found = store.find_plain(hash, key).ok()??;
        match store.read_value(py, found) {
            Ok(Read::Done(object)) => Some(Ok(object)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    })??;
    Some(match read {
        Ok(object) => object.into_ptr(),
        Err(error) => {
            error.restore(py);
            std::ptr::null_mut()
        }
    })
}

/// Set or, without a value, delete.
#[inline(always)]
fn write(py: Python<'_>, map: &Map, key: &Key<'_>, value: Option<&Value<'_>>) -> Option<()> {
    let hash = hash(key);
    let work = |store: &mut Store| -> Option<Dropped> {
        if value.is_none() {
            store.prefetch_removal();
        }
        match (store.find_plain(hash, key).ok()?, value) {
            (found, Some(value)) => store.set(py, hash, key, found, value).ok(),
            (Some(found), None) => Some(store.remove(py, found)),
            (None, None) => None,
        }
    };
    map.store.try_with(work)??.release(py);
    Some(())
}

unsafe extern "C" fn subscript(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: called by the interpreter, as `lane` requires; what the lane does not take is passed on unchanged.
    unsafe { lane(slf, key, read).unwrap_or_else(|| (slots().subscript)(slf, key)) }
}

unsafe extern "C" fn assign(slf: *mut ffi::PyObject, key: *mut ffi::PyObject, value: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `subscript`; `value` is NULL or outlives the call.
    unsafe {
        let done = lane(slf, key, |py, map, key| {
            if value.is_null() {
                return write(py, map, key, None);
            }
            let value = Bound::ref_from_ptr(py, &value);
            write(py, map, key, Some(&Value::plain(map.kinds.get()?.value, value)?))
        });
        if done.is_some() { 0 } else { (slots().assign)(slf, key, value) }
    }
}

unsafe extern "C" fn contains(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `subscript`.
    unsafe {
        let found = lane(slf, key, |_, map, key| {
            let hash = hash(key);
            map.store.try_with(|store| store.find_plain(hash, key).ok().map(|found| found.is_some()))?
        });
        found.map_or_else(|| (slots().contains)(slf, key), c_int::from)
    }
}
