//! Lanes: ways past PyO3's into the commonest operations, for keys that take no Python code to convert, and no others.
//!
//! A lane is compiled for each kind of key and value, and does what can neither fail nor run Python code. With what it
//! has not done it goes on to the general way, with the key that it has converted. A key that it can't convert, and a
//! call that has panicked, goes to the slot or method that PyO3 made, unchanged. Without the feature `lanes` every call
//! goes there.
#![allow(unsafe_code)] // type slots

use crate::kinds::entry::Made;
use crate::kinds::given::Kinds;
use crate::kinds::new::Key;
use crate::kinds::typed::{TypedKey, TypedValue, with_key_type, with_value_type};
use crate::mapping::methods::call_missing;
use crate::python::calls;
use crate::python::errors::{missing, with_room};
use pyo3::PyClass;
use pyo3::PyTypeInfo;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::PyType;
use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::fn_addr_eq;
use std::sync::OnceLock;

struct Slots {
    subscript: ffi::binaryfunc,
    assign: ffi::objobjargproc,
    contains: ffi::objobjproc,
}

impl Slots {
    /// The slots of a class, if it has all three.
    fn of(class: &Bound<'_, PyType>) -> Option<Slots> {
        let class = class.as_type_ptr();
        // SAFETY: the class is alive, and each of its tables is NULL or lives as long as it does.
        unsafe {
            let (mapping, sequence) = ((*class).tp_as_mapping.as_ref()?, (*class).tp_as_sequence.as_ref()?);
            Some(Slots {
                subscript: mapping.mp_subscript?,
                assign: mapping.mp_ass_subscript?,
                contains: sequence.sq_contains?,
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
        // SAFETY: 1. A subclass of a class with both tables has both, and they live as long as it does. 2. Only a slot that
        // is the one PyO3 made, which takes the same arguments, is replaced, by one that takes its instances: the caller
        // says so.
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

/// The slots that PyO3 made for a class, behind its lanes.
pub(crate) struct Lanes<C> {
    made_by_pyo3: OnceLock<Slots>,
    class: PhantomData<fn() -> C>,
}

impl<C: HasLanes> Lanes<C> {
    pub(crate) const fn new() -> Self {
        Lanes { made_by_pyo3: OnceLock::new(), class: PhantomData }
    }

    /// Remember the slots that PyO3 made for the class.
    pub(crate) fn remember(&self, py: Python<'_>) {
        if let Some(slots) = Slots::of(&C::type_object(py)) {
            let _ = self.made_by_pyo3.set(slots); // a second interpreter finds them set
        }
    }

    /// Put the lanes into a subclass of the class, if its slots were remembered.
    ///
    /// # Safety
    /// `class` is such a subclass.
    unsafe fn put_into(&self, class: &Bound<'_, PyType>) {
        let lanes = Slots { subscript: subscript::<C>, assign: assign::<C>, contains: contains::<C> };
        if let Some(made) = self.made_by_pyo3.get() {
            // SAFETY: as the caller says; the lanes take instances of the class.
            unsafe { made.replace_in(class, &lanes) };
        }
    }

    fn behind(&self) -> &Slots {
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
    // SAFETY: 1. The thread is attached, and the object an instance of `C`, as the caller says. 2. A frozen class gives
    // out shared references only. 3. What it refers to is in the object, and lives as long: the reference to the pointer,
    // which is local, ends here.
    unsafe {
        let bound = Bound::ref_from_ptr(Python::assume_attached(), &slf);
        &*std::ptr::from_ref(bound.cast_unchecked::<C>().get())
    }
}

/// Run a lane with an instance of a class and a key. `None` where the key takes Python code, or after a panic: the slot
/// or method behind meets that again, and reports it.
///
/// # Safety
/// Called attached; `slf` is an instance of `C`, and both outlive the call.
#[inline(always)]
pub(crate) unsafe fn lane<C: PyClass<Frozen = True>, R>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    work: impl FnOnce(&Bound<'_, C>, &Bound<'_, PyAny>) -> Option<R>,
) -> Option<R> {
    // SAFETY: the caller says that 1. the thread is attached, 2. both objects live until this returns, and 3. the first is
    // an instance of `C`.
    let (slf, key) = unsafe {
        let py = Python::assume_attached();
        (Bound::ref_from_ptr(py, &slf).cast_unchecked::<C>(), Bound::ref_from_ptr(py, &key))
    };
    catch_unwind(AssertUnwindSafe(|| work(slf, key))).ok().flatten()
}

/// Finish in the general way what a lane has begun; `failed` where that has raised.
#[cold]
#[inline(never)]
pub(crate) fn finish<R>(py: Python<'_>, failed: R, work: impl FnOnce() -> PyResult<R>) -> R {
    calls::attached(py, |py| {
        work().unwrap_or_else(|error| {
            error.restore(py);
            failed
        })
    })
}

/// A class whose commonest operations have lanes. A `lane_` method gives `None` where it has done nothing, as its
/// operation may fail or take Python code. Then the method for any key, below, is called.
pub(crate) trait HasLanes: PyClass<Frozen = True> + Sync {
    fn lanes() -> &'static Lanes<Self>;
    /// The kinds of an instance that has been given them.
    fn lane_kinds(&self) -> Option<&Kinds>;
    /// Saves 35 to 56 % of the instructions of `self[key]` (`benches/lanes.py`, as the others).
    fn lane_get<'py, K: TypedKey>(&self, py: Python<'py>, key: K::Key<'_>) -> Option<Made<'py>>;
    /// Saves 45 to 67 % where the key is there, 16 to 39 % where it is new.
    fn lane_set<K: TypedKey, V: TypedValue>(&self, key: K::Key<'_>, value: &Bound<'_, PyAny>) -> Option<()>;
    /// Saves 20 to 50 %.
    fn lane_delete<K: TypedKey>(&self, py: Python<'_>, key: K::Key<'_>) -> Option<()>;
    /// Saves 34 to 53 %.
    fn lane_contains<K: TypedKey>(&self, py: Python<'_>, key: K::Key<'_>) -> Option<bool>;

    fn find_item(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<Option<Py<PyAny>>>;
    fn set_item(&self, key: &Key<'_>, value: &Bound<'_, PyAny>) -> PyResult<()>;
    /// Whether it was there.
    fn remove_item(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<bool>;
    fn contains_item(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<bool>;

    /// `self[given]`, where `key` is what was given.
    #[inline]
    fn get_item(slf: &Bound<'_, Self>, given: &Bound<'_, PyAny>, key: &Key<'_>) -> PyResult<Py<PyAny>> {
        match slf.get().find_item(given.py(), key)? {
            Some(value) => Ok(value),
            None => call_missing(slf.as_any(), given),
        }
    }

    /// `del self[given]`, where `key` is what was given.
    #[inline]
    fn delete_item(&self, given: &Bound<'_, PyAny>, key: &Key<'_>) -> PyResult<()> {
        if self.remove_item(given.py(), key)? { Ok(()) } else { Err(missing(given)) }
    }
}

unsafe extern "C" fn subscript<C: HasLanes>(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: 1. The interpreter calls slots attached, with an instance of the type whose slot it is, and holds its
    // arguments until they return. 2. What a lane does not take is passed on unchanged.
    unsafe {
        let Some(kinds) = instance::<C>(slf).lane_kinds() else { return (C::lanes().behind().subscript)(slf, key) };
        with_key_type!(kinds.key, K => subscript_of::<C, K>(slf, key))
    }
}

/// # Safety
/// As for a slot of `C`.
#[inline(never)]
unsafe extern "C" fn subscript_of<C: HasLanes, K: TypedKey>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `subscript`, which passes on what it was called with.
    unsafe {
        lane(slf, key, |slf: &Bound<'_, C>, given| {
            let (py, key) = (slf.py(), K::of(given)?);
            Some(match slf.get().lane_get::<K>(py, key) {
                Some(made) => made.into_ptr(),
                None => {
                    finish(py, std::ptr::null_mut(), move || C::get_item(slf, given, &K::key(key)).map(Py::into_ptr))
                }
            })
        })
        .unwrap_or_else(|| (C::lanes().behind().subscript)(slf, key))
    }
}

unsafe extern "C" fn assign<C: HasLanes>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: as in `subscript`; `value` is NULL, or held until the slot returns.
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

/// # Safety
/// As for a slot of `C`; `value` is not NULL.
#[inline(never)]
unsafe extern "C" fn set_of<C: HasLanes, K: TypedKey, V: TypedValue>(
    slf: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: as in `assign`, which passes on what it was called with.
    unsafe {
        lane(slf, key, |slf: &Bound<'_, C>, given| {
            let (py, this, key) = (slf.py(), slf.get(), K::of(given)?);
            let value = Bound::ref_from_ptr(py, &value);
            Some(match this.lane_set::<K, V>(key, value) {
                Some(()) => 0,
                None => finish(py, -1, move || this.set_item(&K::key(key), value).map(|()| 0)),
            })
        })
        .unwrap_or_else(|| (C::lanes().behind().assign)(slf, key, value))
    }
}

/// # Safety
/// As for a slot of `C`.
#[inline(never)]
unsafe extern "C" fn delete_of<C: HasLanes, K: TypedKey>(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `assign`, which passes on what it was called with.
    unsafe {
        lane(slf, key, |slf: &Bound<'_, C>, given| {
            let (py, this, key) = (slf.py(), slf.get(), K::of(given)?);
            Some(match this.lane_delete::<K>(py, key) {
                Some(()) => 0,
                None => finish(py, -1, move || this.delete_item(given, &K::key(key)).map(|()| 0)),
            })
        })
        .unwrap_or_else(|| (C::lanes().behind().assign)(slf, key, std::ptr::null_mut()))
    }
}

unsafe extern "C" fn contains<C: HasLanes>(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `subscript`.
    unsafe {
        let Some(kinds) = instance::<C>(slf).lane_kinds() else { return (C::lanes().behind().contains)(slf, key) };
        with_key_type!(kinds.key, K => contains_of::<C, K>(slf, key))
    }
}

/// # Safety
/// As for a slot of `C`.
#[inline(never)]
unsafe extern "C" fn contains_of<C: HasLanes, K: TypedKey>(slf: *mut ffi::PyObject, key: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `contains`, which passes on what it was called with.
    unsafe {
        lane(slf, key, |slf: &Bound<'_, C>, given| {
            let (py, this, key) = (slf.py(), slf.get(), K::of(given)?);
            Some(match this.lane_contains::<K>(py, key) {
                Some(found) => c_int::from(found),
                None => finish(py, -1, move || this.contains_item(py, &K::key(key)).map(c_int::from)),
            })
        })
        .unwrap_or_else(|| (C::lanes().behind().contains)(slf, key))
    }
}

/// The `tp_new` that PyO3 made for a class. Only `leave_arguments` makes one, so it is of no other class.
pub(crate) struct NewOf<C>(ffi::newfunc, PhantomData<fn() -> C>);

/// A class whose `__init__` takes arguments that its `__new__` leaves alone.
pub(crate) trait MadeWithoutArguments: PyTypeInfo + 'static {
    /// The `tp_new` that PyO3 made.
    fn made_by_pyo3() -> &'static OnceLock<NewOf<Self>>;

    /// Have instances made without the arguments. PyO3 would collect them in a dict, and panic where there is no memory
    /// for one.
    fn leave_arguments(py: Python<'_>) {
        let class = Self::type_object_raw(py);
        // SAFETY: 1. The class is alive, and no instance or subclass of it has been made. 2. The new slot takes the same
        // arguments as the one that PyO3 made.
        unsafe {
            if let Some(made) = (*class).tp_new
                && Self::made_by_pyo3().set(NewOf(made, PhantomData)).is_ok()
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
    let NewOf(made, _) = C::made_by_pyo3().get().expect("set before the slot is");
    // SAFETY: 1. The interpreter calls slots attached, with a subclass of the class whose slot it is, and `made` is the
    // function that was in that slot. 2. The empty tuple is
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
            fn made_by_pyo3() -> &'static std::sync::OnceLock<$crate::mapping::slots::NewOf<Self>> {
                static MADE: std::sync::OnceLock<$crate::mapping::slots::NewOf<$class>> = std::sync::OnceLock::new();
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
    ///
    /// # Safety
    /// `method` may be called attached with any instance of the class, and arguments as [`call`](Self::call) takes them.
    #[expect(clippy::disallowed_methods, reason = "a class of ours, as it is made")]
    pub(crate) unsafe fn put_before(
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
        // SAFETY: 1. The definition, its name and its text live for ever. 2. The flags are those of a function of this type,
        // which takes any instance of the class: the caller says so. 3. A new reference, or NULL with an exception set.
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
        // SAFETY: 1. As the caller says, there are so many arguments, and a tuple or NULL; `args` may be NULL where there
        // are none. 2. The names are of the last arguments, so as many are not counted.
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
