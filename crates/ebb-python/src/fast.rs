//! `m[key]`, `m[key] = value`, `del m[key]` and `key in m` for the keys and values that most are, without PyO3's
//! trampolines (about 15 ns of 50). A lane takes what needs no Python code and can't fail; everything else, errors
//! included, goes to the slot that PyO3 made.
#![allow(unsafe_code)] // type slots

use crate::cache::Cache;
use crate::convert::{
    Key, Value, new_object, plain_bytes, plain_hash, plain_int, plain_text, short_int, short_int_hash,
};
use crate::hash::{hash_int, hash_text};
use crate::kinds::{KeyKind, Kinds};
use crate::layout::{New, word};
use crate::map::Map;
use crate::slots::{self, Lanes, Slots};
use crate::store::is_object;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::borrow::Cow;
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

/// As [`slots::lane`], with the kinds of a map that has them.
///
/// # Safety
/// As for [`slots::lane`].
#[inline(always)]
unsafe fn lane<R>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    work: impl FnOnce(Python<'_>, &Map, &Kinds, &Bound<'_, PyAny>) -> Option<R>,
) -> Option<R> {
    // SAFETY: as the caller says.
    unsafe { slots::lane(slf, key, |py, map: &Map, key| work(py, map, map.kinds.get()?, key)) }
}

/// Look `$key` up in the `$store`, which is locked, with a `$method` of the table, and go on with what it has `$found`.
/// `$typed` gives the hash and the key for the store's own methods, `$value` where in an entry the value is, and
/// `$rehash` an entry's hash. Where finding takes Python code, the lane is left.
macro_rules! look_up {
    ($method:ident, $store:ident, $kind:expr, $key:expr,
     |$found:ident, $typed:ident, $value:ident, $rehash:ident| $work:expr) => {
        match $kind {
            KeyKind::Int => {
                let int = short_int($key).or_else(|| plain_int($key))?;
                let hash = hash_int(int);
                let $typed = || (hash, Key::Int(int));
                let $value = |entry: &[u8]| KeyKind::Int.fixed_bytes()..entry.len();
                let $rehash = |entry: &[u8]| hash_int(word(entry) as i64);
                let $found = $store.table.$method(hash, |entry| word(entry) == int as u64);
                $work
            }
            KeyKind::Object => {
                let own = short_int_hash($key).or_else(|| plain_hash($key))?;
                let hash = hash_int(own);
                let $typed = || (hash, Key::Object($key.as_borrowed(), own));
                let $value = |entry: &[u8]| KeyKind::Object.fixed_bytes()..entry.len();
                let $rehash = word;
                let mut unsure = false;
                let $found = $store.table.$method(hash, |entry| is_object(entry, hash, $key, &mut unsure));
                if unsure { None } else { $work }
            }
            KeyKind::Str | KeyKind::Bytes => {
                let text = if $kind == KeyKind::Str { plain_text($key) } else { plain_bytes($key) }?;
                let hash = hash_text(text);
                let layout = $store.layout;
                let $typed = || (hash, Key::Text(Cow::Borrowed(text)));
                let $value = |entry: &[u8]| layout.value_range(entry);
                let $rehash = |entry: &[u8]| hash_text(layout.text_key(entry));
                let $found = $store.table.$method(hash, |entry| layout.text_key(entry) == text);
                $work
            }
        }
    };
}
pub(crate) use look_up;

/// What `m[key]` is, as a new reference; NULL with an exception set where the object could not be made.
#[inline(always)]
fn read(py: Python<'_>, map: &Map, kinds: &Kinds, key: &Bound<'_, PyAny>) -> Option<*mut ffi::PyObject> {
    let store = map.store.try_hold()?;
    look_up!(get, store, kinds.key, key, |found, _typed, value, _rehash| {
        let entry = found?;
        new_object(py, kinds.value, &entry[value(entry)])
    })
}

#[inline(always)]
fn set(py: Python<'_>, map: &Map, kinds: &Kinds, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> Option<()> {
    let new = Value::plain(kinds.value, value)?;
    let mut store = map.store.try_hold()?;
    look_up!(get_mut, store, kinds.key, key, |found, typed, value, _rehash| {
        let dropped = match found {
            Some(entry) => {
                let range = value(entry);
                if range.len() != new.len() {
                    drop(store);
                    let (hash, key) = typed();
                    return resize(py, map, New { hash, key: &key, value: &new });
                }
                new.swap(py, &mut entry[range])
            }
            None => {
                let (hash, key) = typed();
                store.insert(New { hash, key: &key, value: &new }).ok()?;
                None
            }
        };
        drop(store);
        drop(dropped); // may run `__del__`
        Some(())
    })
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
fn delete(py: Python<'_>, map: &Map, kinds: &Kinds, key: &Bound<'_, PyAny>) -> Option<()> {
    let mut store = map.store.try_hold()?;
    store.prefetch_removal();
    look_up!(find, store, kinds.key, key, |found, _typed, _value, rehash| {
        let dropped = store.remove_hashed(py, found?, &rehash);
        drop(store);
        dropped.release(py); // may run `__del__`
        Some(())
    })
}

unsafe extern "C" fn subscript(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: 1. The interpreter calls slots attached, with an instance of the type whose slot it is, and holds its
    // arguments. 2. What the lane does not take is passed on unchanged.
    unsafe { lane(slf, key, read).unwrap_or_else(|| (LANES.behind().subscript)(slf, key)) }
}

unsafe extern "C" fn assign(slf: *mut ffi::PyObject, key: *mut ffi::PyObject, value: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `subscript`; `value` is NULL or outlives the call.
    unsafe {
        let done = if value.is_null() {
            lane(slf, key, delete)
        } else {
            lane(slf, key, |py, map, kinds, key| set(py, map, kinds, key, Bound::ref_from_ptr(py, &value)))
        };
        if done.is_some() { 0 } else { (LANES.behind().assign)(slf, key, value) }
    }
}

unsafe extern "C" fn contains(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `subscript`.
    unsafe {
        let found = lane(slf, key, |_, map, kinds, key| {
            let store = map.store.try_hold()?;
            look_up!(get, store, kinds.key, key, |found, _typed, _value, _rehash| Some(found.is_some()))
        });
        found.map_or_else(|| (LANES.behind().contains)(slf, key), c_int::from)
    }
}
