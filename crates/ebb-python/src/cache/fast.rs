//! A cache's `c[key]`, `c[key] = value`, `del c[key]` and `key in c` without PyO3's trampolines: see
//! [`fast`](crate::fast). A cache with a timer of its own has none, as the timer is Python code.
#![allow(unsafe_code)] // type slots

use crate::cache::Cache;
use crate::cache::chest::Moment;
use crate::cache::gone::{Cause, Gone};
use crate::convert::{Key, Read, Value};
use crate::kinds::ValueKind;
use crate::slots::Slots;
use crate::store::hash;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

static MADE_BY_PYO3: OnceLock<Slots> = OnceLock::new();
const LANES: Slots = Slots { subscript, assign, contains };

/// Remember the slots that PyO3 made for `Cache`.
pub(crate) fn remember(cache: &Bound<'_, PyType>) {
    if let Some(slots) = Slots::of(cache) {
        let _ = MADE_BY_PYO3.set(slots);
    }
}

/// Put the lanes into a subclass of `Cache`.
pub(crate) fn add_lanes(class: &Bound<'_, PyType>) {
    if let Some(made) = MADE_BY_PYO3.get() {
        // SAFETY: the caller has made sure that it is one.
        unsafe { made.replace_in(class, &LANES) };
    }
}

fn slots() -> &'static Slots {
    MADE_BY_PYO3.get().expect("the lanes are only installed with it")
}

/// Run a lane with a cache of the system's clock and a plain key. `None` (or a panic, which the slot behind will meet
/// again, and report) sends the call on.
#[inline(always)]
unsafe fn lane<R>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    work: impl FnOnce(Python<'_>, &Cache, ValueKind, &Key<'_>) -> Option<R>,
) -> Option<R> {
    // SAFETY: 1. The interpreter calls slots attached. 2. It passes an instance of the type whose slot it is, and a
    // key that outlives the call.
    let (py, cache, key) = unsafe {
        let py = Python::assume_attached();
        let cache = Bound::ref_from_ptr(py, &slf).cast_unchecked::<Cache>();
        (py, cache.get(), Bound::ref_from_ptr(py, &key))
    };
    let work = || {
        let settings = cache.shared.settings.get()?;
        let plain = settings.timer.is_none().then_some(&settings.kinds)?;
        work(py, cache, plain.value, &Key::plain(plain.key, key)?)
    };
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
}

/// What `c[key]` is, as a new reference; NULL with an exception set where the object could not be made.
#[inline(always)]
fn read(py: Python<'_>, cache: &Cache, key: &Key<'_>) -> Option<*mut ffi::PyObject> {
    let (hash, moment) = (hash(key), Moment::later());
    let read = cache.shared.chest.try_with(|chest| {
        let found = chest.store.find_plain(hash, key).ok()??;
        let found = chest.alive(Some(found), &moment)?;
        match chest.store.read_value(py, found) {
            Ok(Read::Done(object)) => {
                chest.hit(found, &moment);
                Some(Ok(object))
            }
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
fn write(py: Python<'_>, cache: &Cache, key: &Key<'_>, value: Option<&Value<'_>>) -> Option<()> {
    let (hash, moment) = (hash(key), Moment::later());
    let mut gone = Gone::default();
    let done = cache.shared.chest.try_with(|chest| {
        let found = chest.store.find_plain(hash, key).ok()?;
        match value {
            Some(value) => {
                let lives = chest.limits.lives(None);
                chest.put(py, hash, key, found, value, lives, &moment, &mut gone).ok()?;
            }
            None => {
                let found = chest.alive(found, &moment)?;
                chest.depart(py, found, Cause::Deleted, &mut gone).ok()?;
            }
        }
        cache.end_step(py, chest, &moment, &mut gone);
        Some(())
    });
    cache.after_step(py, gone);
    done?
}

unsafe extern "C" fn subscript(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: called by the interpreter, as `lane` requires; what the lane does not take is passed on unchanged.
    unsafe { lane(slf, key, |py, cache, _, key| read(py, cache, key)).unwrap_or_else(|| (slots().subscript)(slf, key)) }
}

unsafe extern "C" fn assign(slf: *mut ffi::PyObject, key: *mut ffi::PyObject, value: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `subscript`; `value` is NULL or outlives the call.
    unsafe {
        let done = lane(slf, key, |py, cache, kind, key| {
            if value.is_null() {
                return write(py, cache, key, None);
            }
            write(py, cache, key, Some(&Value::plain(kind, Bound::ref_from_ptr(py, &value))?))
        });
        if done.is_some() { 0 } else { (slots().assign)(slf, key, value) }
    }
}

unsafe extern "C" fn contains(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `subscript`.
    unsafe {
        let found = lane(slf, key, |_, cache, _, key| {
            let (hash, moment) = (hash(key), Moment::later());
            cache.shared.chest.try_with(|chest| {
                let found = chest.store.find_plain(hash, key).ok()?;
                Some(chest.alive(found, &moment).is_some())
            })?
        });
        found.map_or_else(|| (slots().contains)(slf, key), c_int::from)
    }
}
