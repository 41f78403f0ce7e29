//! Shorter ways in than PyO3's, which they go on to with what they do not take: for the slots of a type behind
//! `m[key]`, `m[key] = value`, `del m[key]` and `key in m`, and for methods.
#![allow(unsafe_code)] // type slots

use crate::kinds::given::Kinds;
use crate::kinds::typed::{TypedKey, TypedValue, with_key_type, with_value_type};
use crate::python::errors::with_room;
use pyo3::PyClass;
use pyo3::PyTypeInfo;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::PyType;
use std::ffi::{CStr, CString, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::fn_addr_eq;
use std::sync::OnceLock;

pub(crate) struct Slots {
    pub(crate) subscript: ffi::binaryfunc,
    pub(crate) assign: ffi::objobjargproc,
    pub(crate) contains: ffi::objobjproc,
}

impl Slots {
    /// The slots of a class that PyO3 made with all three.
    fn of(class: &Bound<'_, PyType>) -> Option<Slots> {
        let class = class.as_type_ptr();
        // SAFETY: a class with these methods is a heap type, which has both tables.
        unsafe {
            let (mapping, sequence) = ((*class).tp_as_mapping, (*class).tp_as_sequence);
            Some(Slots {
                subscript: (*mapping).mp_subscript?,
                assign: (*mapping).mp_ass_subscript?,
                contains: (*sequence).sq_contains?,
            })
        }
    }

    /// Put `new` into a subclass of the class whose slots these are, for those that it has unchanged: a class copies
    /// its base's slots from the methods' wrappers, so each has to be told.
    ///
    /// # Safety
    /// `class` is a subclass of the class that [`of`](Self::of) was given, and the new slots take its instances.
    unsafe fn replace_in(&self, class: &Bound<'_, PyType>, new: &Slots) {
        let class = class.as_type_ptr();
        // SAFETY: 1. A subclass of a heap type is a heap type, with both tables. 2. Only a slot that is the one PyO3
        // made, which takes the same arguments, is replaced.
        unsafe {
            let (mapping, sequence) = ((*class).tp_as_mapping, (*class).tp_as_sequence);
            if (*mapping).mp_subscript.is_some_and(|slot| fn_addr_eq(slot, self.subscript)) {
                (*mapping).mp_subscript = Some(new.subscript);
            }
            if (*mapping).mp_ass_subscript.is_some_and(|slot| fn_addr_eq(slot, self.assign)) {
                (*mapping).mp_ass_subscript = Some(new.assign);
            }
            if (*sequence).sq_contains.is_some_and(|slot| fn_addr_eq(slot, self.contains)) {
                (*sequence).sq_contains = Some(new.contains);
            }
        }
    }
}

/// Slots that take the place of those that PyO3 made for a class.
pub(crate) struct Lanes {
    slots: Slots,
    made_by_pyo3: OnceLock<Slots>,
}

impl Lanes {
    pub(crate) const fn of<C: HasLanes>() -> Self {
        let slots = Slots { subscript: subscript::<C>, assign: assign::<C>, contains: contains::<C> };
        Lanes { slots, made_by_pyo3: OnceLock::new() }
    }

    /// Remember the slots that PyO3 made for the class.
    pub(crate) fn remember(&self, class: &Bound<'_, PyType>) {
        if let Some(slots) = Slots::of(class) {
            let _ = self.made_by_pyo3.set(slots); // a second interpreter finds them set
        }
    }

    /// Put the lanes into a subclass of the class, if it was remembered.
    ///
    /// # Safety
    /// `class` is such a subclass, and the lanes take its instances.
    unsafe fn put_into(&self, class: &Bound<'_, PyType>) {
        if let Some(made) = self.made_by_pyo3.get() {
            // SAFETY: as the caller says.
            unsafe { made.replace_in(class, &self.slots) };
        }
    }

    /// The slots that PyO3 made.
    pub(crate) fn behind(&self) -> &Slots {
        self.made_by_pyo3.get().expect("the lanes are only installed with it")
    }
}

/// Put the lanes of `C` into a class, if it is a subclass; whether it is.
#[expect(clippy::disallowed_methods, reason = "the class of `C` is ours: its metaclass is `type`")]
pub(crate) fn put_lanes<C: HasLanes>(class: &Bound<'_, PyType>) -> PyResult<bool> {
    let is_subclass = class.is_subclass_of::<C>()?;
    if is_subclass {
        // SAFETY: a subclass of the class whose instances the lanes take.
        unsafe { C::lanes().put_into(class) };
    }
    Ok(is_subclass)
}

/// What an instance of a class is behind its object.
///
/// # Safety
/// Called attached; `slf` is an instance of `C`, and outlives the use of what this gives.
#[inline(always)]
pub(crate) unsafe fn instance<'a, C: PyClass<Frozen = True> + Sync>(slf: *mut ffi::PyObject) -> &'a C {
    // SAFETY: as the caller says; the reference to the object itself ends here.
    unsafe {
        let bound = Bound::ref_from_ptr(Python::assume_attached(), &slf);
        &*std::ptr::from_ref(bound.cast_unchecked::<C>().get())
    }
}

/// Run a lane with an instance of a class and a key. `None` (or a panic, which the slot behind will meet again, and
/// report) sends the call on.
///
/// # Safety
/// Called attached; `slf` is an instance of `C`, and both outlive the call.
#[inline(always)]
pub(crate) unsafe fn lane<C: PyClass<Frozen = True> + Sync, R>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    work: impl FnOnce(Python<'_>, &C, &Bound<'_, PyAny>) -> Option<R>,
) -> Option<R> {
    // SAFETY: as the caller says.
    let (py, this, key) = unsafe {
        let py = Python::assume_attached();
        (py, instance::<C>(slf), Bound::ref_from_ptr(py, &key))
    };
    catch_unwind(AssertUnwindSafe(|| work(py, this, key))).ok().flatten()
}

/// A class whose commonest operations have shorter ways, for the keys and values that most are. `None` sends a call on
/// to the slot that PyO3 made: what takes Python code, or may fail.
pub(crate) trait HasLanes: PyClass<Frozen = True> + Sync {
    fn lanes() -> &'static Lanes;
    /// The kinds of an instance that has been given them.
    fn lane_kinds(&self) -> Option<&Kinds>;
    /// What `self[key]` is, as a new reference; NULL with an exception set where the object could not be made.
    fn lane_get<K: TypedKey>(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> Option<*mut ffi::PyObject>;
    fn lane_set<K: TypedKey, V: TypedValue>(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> Option<()>;
    fn lane_delete<K: TypedKey>(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> Option<()>;
    fn lane_contains<K: TypedKey>(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> Option<bool>;
}

unsafe extern "C" fn subscript<C: HasLanes>(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: 1. The interpreter calls slots attached, with an instance of the type whose slot it is, and holds its
    // arguments. 2. What a lane does not take is passed on unchanged.
    unsafe {
        let Some(kinds) = instance::<C>(slf).lane_kinds() else { return (C::lanes().behind().subscript)(slf, key) };
        with_key_type!(kinds.key, K => subscript_of::<C, K>(slf, key))
    }
}

#[inline(never)]
unsafe extern "C" fn subscript_of<C: HasLanes, K: TypedKey>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `subscript`, which passes on what it was called with.
    unsafe {
        lane(slf, key, |py, this: &C, key| this.lane_get::<K>(py, key))
            .unwrap_or_else(|| (C::lanes().behind().subscript)(slf, key))
    }
}

unsafe extern "C" fn assign<C: HasLanes>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: as in `subscript`; `value` is NULL or outlives the call.
    unsafe {
        let Some(kinds) = instance::<C>(slf).lane_kinds() else { return (C::lanes().behind().assign)(slf, key, value) };
        if value.is_null() {
            return with_key_type!(kinds.key, K => delete_of::<C, K>(slf, key));
        }
        with_key_type!(kinds.key, K => with_value_type!(
            kinds.value,
            V => set_of::<C, K, V>(slf, key, value),
            (C::lanes().behind().assign)(slf, key, value)
        ))
    }
}

#[inline(never)]
unsafe extern "C" fn set_of<C: HasLanes, K: TypedKey, V: TypedValue>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: as in `assign`, which passes on what it was called with.
    unsafe {
        let done = lane(slf, key, |py, this: &C, key| this.lane_set::<K, V>(py, key, Bound::ref_from_ptr(py, &value)));
        if done.is_some() { 0 } else { (C::lanes().behind().assign)(slf, key, value) }
    }
}

#[inline(never)]
unsafe extern "C" fn delete_of<C: HasLanes, K: TypedKey>(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `assign`, which passes on what it was called with.
    unsafe {
        let done = lane(slf, key, |py, this: &C, key| this.lane_delete::<K>(py, key));
        if done.is_some() { 0 } else { (C::lanes().behind().assign)(slf, key, std::ptr::null_mut()) }
    }
}

unsafe extern "C" fn contains<C: HasLanes>(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `subscript`.
    unsafe {
        let Some(kinds) = instance::<C>(slf).lane_kinds() else { return (C::lanes().behind().contains)(slf, key) };
        with_key_type!(kinds.key, K => contains_of::<C, K>(slf, key))
    }
}

#[inline(never)]
unsafe extern "C" fn contains_of<C: HasLanes, K: TypedKey>(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `contains`, which passes on what it was called with.
    unsafe {
        lane(slf, key, |py, this: &C, key| this.lane_contains::<K>(py, key))
            .map_or_else(|| (C::lanes().behind().contains)(slf, key), c_int::from)
    }
}

/// A class whose `__init__` takes arguments that its `__new__` leaves alone.
pub(crate) trait MadeWithoutArguments: PyTypeInfo {
    /// The `tp_new` that PyO3 made.
    fn made_by_pyo3() -> &'static OnceLock<ffi::newfunc>;

    /// Have instances made without the arguments. PyO3 would collect them in a dict, and panic where there is no memory
    /// for one.
    fn leave_arguments(py: Python<'_>) {
        let class = Self::type_object_raw(py);
        // SAFETY: 1. The class is alive, and no instance or subclass of it has been made. 2. The new slot takes the same
        // arguments as the one that PyO3 made.
        unsafe {
            if let Some(made) = (*class).tp_new
                && Self::made_by_pyo3().set(made).is_ok()
            {
                (*class).tp_new = Some(make::<Self>);
            }
        }
    }
}

unsafe extern "C" fn make<C: MadeWithoutArguments>(
    class: *mut ffi::PyTypeObject,
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let made = C::made_by_pyo3().get().expect("set before the slot is");
    // SAFETY: 1. The interpreter calls slots attached, with a subclass of the class whose slot it is. 2. The empty tuple is
    // one object that CPython has ready.
    unsafe {
        let nothing = ffi::PyTuple_New(0);
        let instance = made(class, nothing, std::ptr::null_mut());
        ffi::Py_DECREF(nothing);
        instance
    }
}

/// As [`MadeWithoutArguments`], for a class.
macro_rules! made_without_arguments {
    ($class:ty) => {
        impl $crate::mapping::slots::MadeWithoutArguments for $class {
            fn made_by_pyo3() -> &'static std::sync::OnceLock<pyo3::ffi::newfunc> {
                static MADE: std::sync::OnceLock<pyo3::ffi::newfunc> = std::sync::OnceLock::new();
                &MADE
            }
        }
    };
}
pub(crate) use made_without_arguments;

/// A method that PyO3 made, behind the shorter way that took its place.
pub(crate) struct Behind(OnceLock<Py<PyAny>>);

impl Behind {
    pub(crate) const fn new() -> Self {
        Behind(OnceLock::new())
    }

    /// Put `method`, with its text, before the method `name` of a class that PyO3 made.
    #[expect(clippy::disallowed_methods, reason = "a class of ours, as it is made")]
    pub(crate) fn put_before(
        &self,
        class: &Bound<'_, PyType>,
        name: &'static CStr,
        method: ffi::PyCFunctionFastWithKeywords,
    ) -> PyResult<()> {
        let name_text = name.to_string_lossy();
        let original = class.getattr(&*name_text)?;
        let text = original.getattr("__text_signature__")?.extract::<Option<String>>()?.unwrap_or_default();
        let doc = original.getattr("__doc__")?.extract::<Option<String>>()?.unwrap_or_default();
        let doc = CString::new(format!("{name_text}{text}\n--\n\n{doc}"))?;
        if self.0.set(original.unbind()).is_err() {
            return Ok(()); // a second interpreter
        }
        let definition = Box::leak(Box::new(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: method },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: Box::leak(doc.into_boxed_c_str()).as_ptr(),
        }));
        // SAFETY: 1. The definition, its name and its text live for ever. 2. A new reference, or NULL with an exception
        // set.
        let made = unsafe {
            let made = ffi::PyDescr_NewMethod(class.as_type_ptr(), definition);
            Bound::from_owned_ptr_or_err(class.py(), made)?
        };
        class.setattr(&*name_text, made)
    }

    /// Call the method that is behind.
    ///
    /// # Safety
    /// Called attached, with what the interpreter has passed to the method before it: `count` objects at `args`, and
    /// after them one for each of the names in the tuple `keywords`, if that is not NULL.
    #[expect(
        clippy::disallowed_methods,
        reason = "a method of PyO3's, which is not unwound: what it calls is in calls.rs"
    )]
    pub(crate) unsafe fn call(
        &self,
        slf: *mut ffi::PyObject,
        args: *const *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
        keywords: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject {
        let original = self.0.get().expect("set before the method is").as_ptr();
        // SAFETY: as the caller says; `args` may be NULL where there are none.
        unsafe {
            let named = if keywords.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(keywords) as usize };
            let given = count as usize + named;
            let Ok(mut all) = with_room(given + 1) else { return ffi::PyErr_NoMemory() };
            all.push(slf);
            all.extend_from_slice(if given > 0 { std::slice::from_raw_parts(args, given) } else { &[] });
            ffi::PyObject_Vectorcall(original, all.as_ptr(), all.len() - named, keywords)
        }
    }
}
