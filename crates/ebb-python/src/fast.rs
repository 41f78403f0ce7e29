//! `m[key]`, `m[key] = value`, `del m[key]` and `key in m` for the keys and values that most are, without PyO3's
//! trampolines (about 15 ns of 50). A lane takes what needs no Python code and can't fail; everything else, errors
//! included, goes to the slot that PyO3 made.
#![allow(unsafe_code)] // type slots

use crate::cache::Cache;
use crate::convert::new_object;
use crate::kinds::Kinds;
use crate::layout::New;
use crate::map::Map;
use crate::slots::{self, Lanes, Slots, lane};
use crate::store::{Dropped, Store, rehasher};
use crate::typed::{TypedKey, TypedValue, with_key_type, with_value_type};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::c_int;

static LANES: Lanes = Lanes::new(Slots { subscript, assign, contains });

/// Remember the slots that PyO3 made for `Map`.
pub(crate) fn remember(map: &Bound<'_, PyType>) {
    LANES.remember(map);
}

/// Put the fast lanes into a class that was just made, for those slots that it has unchanged from `Map` or `Cache`.
#[pyfunction]
pub(crate) fn _add_fast_lanes(class: &Bound<'_, PyType>) -> PyResult<()> {
    let lanes = if class.is_subclass_of::<Map>()? {
        &LANES
    } else if class.is_subclass_of::<Cache>()? {
        &crate::cache::fast::LANES
    } else {
        return Err(PyTypeError::new_err("only a subclass of Map or Cache has their slots"));
    };
    // SAFETY: a subclass of the class whose instances the lanes take.
    unsafe { lanes.put_into(class) };
    Ok(())
}

/// What `m[key]` is, as a new reference; NULL with an exception set where the object could not be made.
#[inline(always)]
fn read<K: TypedKey>(py: Python<'_>, map: &Map, key: &Bound<'_, PyAny>) -> Option<*mut ffi::PyObject> {
    let key = K::of(key)?;
    let hash = K::hash(key);
    let store = map.store.try_hold()?;
    let (layout, mut unsure) = (&store.layout, false);
    let entry = store.table.get(hash, |entry| K::is(key, hash, layout, entry, &mut unsure))?;
    if unsure {
        return None;
    }
    new_object(py, layout.value, &entry[K::value(layout, entry)])
}

#[inline(always)]
fn set<K: TypedKey, V: TypedValue>(
    py: Python<'_>,
    map: &Map,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> Option<()> {
    let key = K::of(key)?;
    let hash = K::hash(key);
    let mut store = map.store.try_hold()?;
    let Store { layout, table, .. } = &mut *store;
    let value = V::of(layout.value, value)?;
    let mut unsure = false;
    let found = table.get_mut(hash, |entry| K::is(key, hash, layout, entry, &mut unsure));
    if unsure {
        return None;
    }
    let Some(entry) = found else {
        return store.insert_typed::<K, V>(hash, key, value).ok();
    };
    let range = K::value(layout, entry);
    if range.len() != V::len(value) {
        drop(store);
        return resize(py, map, New { hash, key: &K::key(key), value: &V::value(value) });
    }
    let at = &mut entry[range];
    let replaced = V::take(py, at);
    V::write(value, at);
    V::keep(value);
    drop(store);
    drop(replaced); // may run `__del__`
    Some(())
}

/// Set a key to a value of another length than it has.
#[inline(never)]
fn resize(py: Python<'_>, map: &Map, new: New<'_>) -> Option<()> {
    let mut store = map.store.try_hold()?;
    let found = store.find_plain(new.hash, new.key).ok()?;
    let dropped = store.set(py, found, new).ok()?;
    drop(store);
    dropped.release(py);
    Some(())
}

#[inline(always)]
fn delete<K: TypedKey>(py: Python<'_>, map: &Map, key: &Bound<'_, PyAny>) -> Option<()> {
    let key = K::of(key)?;
    let hash = K::hash(key);
    let mut store = map.store.try_hold()?;
    let (layout, mut unsure) = (&store.layout, false);
    store.table.prefetch_removal(&rehasher::<K>(layout));
    let (found, entry) = store.table.locate(hash, |entry| K::is(key, hash, layout, entry, &mut unsure))?;
    if unsure {
        return None;
    }
    let dropped = Dropped::of::<K>(py, layout, entry);
    store.forget::<K>(found);
    drop(store);
    dropped.release(py); // may run `__del__`
    Some(())
}

#[inline(always)]
fn holds<K: TypedKey>(_: Python<'_>, map: &Map, key: &Bound<'_, PyAny>) -> Option<bool> {
    let key = K::of(key)?;
    let hash = K::hash(key);
    let store = map.store.try_hold()?;
    let (layout, mut unsure) = (&store.layout, false);
    let found = store.table.get(hash, |entry| K::is(key, hash, layout, entry, &mut unsure)).is_some();
    (!unsure).then_some(found)
}

/// The kinds of a map that has been given them.
///
/// # Safety
/// Called attached; `slf` is an instance of `Map`.
#[inline(always)]
unsafe fn kinds<'a>(slf: *mut ffi::PyObject) -> Option<&'a Kinds> {
    // SAFETY: as the caller says, who holds the map for as long as it uses its kinds.
    unsafe { slots::instance::<Map>(slf).kinds.get() }
}

unsafe extern "C" fn subscript(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: 1. The interpreter calls slots attached, with an instance of the type whose slot it is, and holds its
    // arguments. 2. What a lane does not take is passed on unchanged.
    unsafe {
        let Some(kinds) = kinds(slf) else { return (LANES.behind().subscript)(slf, key) };
        with_key_type!(kinds.key, K => subscript_of::<K>(slf, key))
    }
}

#[inline(never)]
unsafe extern "C" fn subscript_of<K: TypedKey>(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as in `subscript`, which passes on what it was called with.
    unsafe { lane(slf, key, read::<K>).unwrap_or_else(|| (LANES.behind().subscript)(slf, key)) }
}

unsafe extern "C" fn assign(slf: *mut ffi::PyObject, key: *mut ffi::PyObject, value: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `subscript`; `value` is NULL or outlives the call.
    unsafe {
        let Some(kinds) = kinds(slf) else { return (LANES.behind().assign)(slf, key, value) };
        if value.is_null() {
            return with_key_type!(kinds.key, K => delete_of::<K>(slf, key));
        }
        with_key_type!(kinds.key, K => with_value_type!(
            kinds.value,
            V => set_of::<K, V>(slf, key, value),
            (LANES.behind().assign)(slf, key, value)
        ))
    }
}

#[inline(never)]
unsafe extern "C" fn set_of<K: TypedKey, V: TypedValue>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: as in `assign`, which passes on what it was called with.
    unsafe {
        let done = lane(slf, key, |py, map, key| set::<K, V>(py, map, key, Bound::ref_from_ptr(py, &value)));
        if done.is_some() { 0 } else { (LANES.behind().assign)(slf, key, value) }
    }
}

#[inline(never)]
unsafe extern "C" fn delete_of<K: TypedKey>(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `assign`, which passes on what it was called with.
    unsafe {
        let done = lane(slf, key, delete::<K>);
        if done.is_some() { 0 } else { (LANES.behind().assign)(slf, key, std::ptr::null_mut()) }
    }
}

unsafe extern "C" fn contains(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `subscript`.
    unsafe {
        let Some(kinds) = kinds(slf) else { return (LANES.behind().contains)(slf, key) };
        with_key_type!(kinds.key, K => contains_of::<K>(slf, key))
    }
}

#[inline(never)]
unsafe extern "C" fn contains_of<K: TypedKey>(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `contains`, which passes on what it was called with.
    unsafe { lane(slf, key, holds::<K>).map_or_else(|| (LANES.behind().contains)(slf, key), c_int::from) }
}
