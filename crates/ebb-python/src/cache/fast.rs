//! A cache's `c[key]`, `c[key] = value`, `del c[key]`, `key in c` and `c.get(key)` without PyO3's trampolines: see
//! [`fast`](crate::fast). A cache with a timer of its own has none of it, as the timer is Python code.
#![allow(unsafe_code)] // type slots

use crate::cache::Cache;
use crate::cache::chest::Chest;
use crate::cache::gone::Gone;
use crate::cache::moment::Moment;
use crate::cache::settings::Settings;
use crate::convert::{
    Key, Value, new_object, plain_bytes, plain_hash, plain_int, plain_text, short_int, short_int_hash,
};
use crate::fast::look_up;
use crate::hash::{hash_int, hash_text};
use crate::kinds::KeyKind;
use crate::layout::{New, word};
use crate::lock::Holding;
use crate::slots::{self, Behind, Lanes, Slots};
use crate::store::is_object;
use ebb::{Clock, Deadlines};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::borrow::Cow;
use std::ffi::c_int;

pub(crate) static LANES: Lanes = Lanes::new(Slots { subscript, assign, contains });
static GET: Behind = Behind::new();

/// Remember the slots that PyO3 made for `Cache`, and put the lane before its `get`.
pub(crate) fn remember(cache: &Bound<'_, PyType>) -> PyResult<()> {
    LANES.remember(cache);
    GET.put_before(cache, c"get", get)
}

/// As [`slots::lane`], with a cache of the system's clock that is not busy, and its settings.
///
/// # Safety
/// As for [`slots::lane`].
#[inline(always)]
unsafe fn lane<R>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    work: impl FnOnce(Python<'_>, &Cache, &Settings, Holding<'_, Chest>, &Bound<'_, PyAny>) -> Option<R>,
) -> Option<R> {
    let work = |py: Python<'_>, cache: &Cache, key: &Bound<'_, PyAny>| {
        let settings = cache.shared.settings.get()?;
        if !settings.is_on_system_time() {
            return None;
        }
        work(py, cache, settings, cache.shared.chest.try_hold()?, key)
    };
    // SAFETY: as the caller says.
    unsafe { slots::lane(slf, key, work) }
}

/// The value of a key as a new reference (NULL with an exception set where the object could not be made), as a use of
/// it; `Some(None)` if it is not there, which is not counted.
#[inline(always)]
fn read(
    py: Python<'_>,
    settings: &Settings,
    chest: &mut Chest,
    key: &Bound<'_, PyAny>,
) -> Option<Option<*mut ffi::PyObject>> {
    let Chest { store, counts, limits, .. } = chest;
    look_up!(look, store, settings.kinds.key, key, |found, _typed, value, _rehash| {
        let Some(mut look) = found else { return Some(None) };
        let deadlines = look.deadlines();
        if Clock::has_come(deadlines.first()) {
            return Some(None);
        }
        let object = new_object(py, settings.kinds.value, &look.entry[value(look.entry)])?;
        counts.hits += 1;
        if let Some(idle) = limits.idle {
            let idle = limits.clock.after(Clock::now(), idle);
            look.prolong(Deadlines { hard: deadlines.hard, idle });
        }
        look.mark();
        Some(Some(object))
    })
}

#[inline(always)]
fn set(
    py: Python<'_>,
    cache: &Cache,
    settings: &Settings,
    mut chest: Holding<'_, Chest>,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> Option<()> {
    let new = Value::plain(settings.kinds.value, value)?;
    let moment = Moment::later();
    let mut gone = Gone::default();
    let deadlines = chest.deadlines(chest.limits.lives(None), &moment);
    let tells = settings.tells();
    let Chest { store, counts, .. } = &mut *chest;
    let dropped = look_up!(look, store, settings.kinds.key, key, |found, typed, value, _rehash| {
        match found {
            Some(mut look) => {
                let range = value(look.entry);
                let over = Clock::has_come(look.deadlines().first());
                if tells || over || range.len() != new.len() || !look.prolong(deadlines) {
                    return None;
                }
                look.mark();
                (counts.sets, counts.replaced) = (counts.sets + 1, counts.replaced + 1);
                Some(new.swap(py, &mut look.entry[range]))
            }
            None => {
                let (hash, key) = typed();
                // Refused or not, those who made room have left.
                let new = New { hash, key: &key, value: &new };
                let put = chest.put_at(py, None, new, deadlines, &moment, &mut gone);
                put.is_ok().then_some(None)
            }
        }
    });
    cache.end_step(py, &mut chest, &moment, &mut gone);
    drop(chest);
    cache.after_step(py, gone);
    drop(dropped?); // may run `__del__`
    Some(())
}

#[inline(always)]
fn delete(
    py: Python<'_>,
    cache: &Cache,
    settings: &Settings,
    mut chest: Holding<'_, Chest>,
    key: &Bound<'_, PyAny>,
) -> Option<()> {
    if settings.tells() {
        return None;
    }
    chest.store.prefetch_removal();
    let Chest { store, counts, .. } = &mut *chest;
    let dropped = look_up!(find, store, settings.kinds.key, key, |found, _typed, _value, rehash| {
        let found = found?;
        if Clock::has_come(store.table.deadlines(found).first()) {
            return None;
        }
        counts.deleted += 1;
        Some(store.remove_hashed(py, found, &rehash))
    });
    cache.end_step(py, &mut chest, &Moment::later(), &mut Gone::default());
    drop(chest);
    dropped?.release(py); // may run `__del__`
    Some(())
}

unsafe extern "C" fn subscript(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: 1. The interpreter calls slots attached, with an instance of the type whose slot it is, and holds its
    // arguments. 2. What the lane does not take is passed on unchanged.
    unsafe {
        lane(slf, key, |py, _, settings, mut chest, key| read(py, settings, &mut chest, key)?)
            .unwrap_or_else(|| (LANES.behind().subscript)(slf, key))
    }
}

unsafe extern "C" fn assign(slf: *mut ffi::PyObject, key: *mut ffi::PyObject, value: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `subscript`; `value` is NULL or outlives the call.
    unsafe {
        let done = if value.is_null() {
            lane(slf, key, delete)
        } else {
            lane(slf, key, |py, cache, settings, chest, key| {
                set(py, cache, settings, chest, key, Bound::ref_from_ptr(py, &value))
            })
        };
        if done.is_some() { 0 } else { (LANES.behind().assign)(slf, key, value) }
    }
}

unsafe extern "C" fn contains(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `subscript`.
    unsafe {
        let found = lane(slf, key, |_, _, settings, mut chest, key| {
            let store = &mut chest.store;
            look_up!(look, store, settings.kinds.key, key, |found, _typed, _value, _rehash| {
                Some(found.is_some_and(|look| !Clock::has_come(look.deadlines().first())))
            })
        });
        found.map_or_else(|| (LANES.behind().contains)(slf, key), c_int::from)
    }
}

unsafe extern "C" fn get(
    slf: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: 1. As in `subscript`: a method's instance is of its class, and there are `count` arguments. 2. A default
    // outlives the call; None always lives.
    unsafe {
        if count != 1 && count != 2 {
            return GET.call(slf, args, count);
        }
        let value = lane(slf, *args, |py, _, settings, mut chest, key| {
            let value = read(py, settings, &mut chest, key)?;
            chest.counts.misses += u64::from(value.is_none());
            Some(value)
        });
        let or_default = || {
            let default = if count == 2 { *args.add(1) } else { ffi::Py_None() };
            ffi::Py_INCREF(default);
            default
        };
        value.map_or_else(|| GET.call(slf, args, count), |value| value.unwrap_or_else(or_default))
    }
}
