//! Calls of what may be Python code, from which a thread may not come back.
//!
//! Before CPython 3.14, a daemon thread that wants the interpreter while that is going is ended by `pthread_exit`, which
//! unwinds all it is in. PyO3 does not let its frames be unwound like that: the process would abort. So such a thread
//! stays where it is, as it would from 3.14 on, and the process ends around it.
#![allow(unsafe_code)] // CPython's functions, declared as ones that may be unwound

use crate::python::make::name;
use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::PyAttributeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// The same functions as in `ffi`, where they are declared not to be unwound. The linker takes both for one: it must not
/// see which is called, or it leaves out what unwinding is to meet.
mod unwound {
    use pyo3::ffi;
    use std::ffi::{c_double, c_int};

    unsafe extern "C-unwind" {
        pub(super) fn PyObject_Vectorcall(
            callable: *mut ffi::PyObject,
            args: *const *mut ffi::PyObject,
            count: usize,
            keywords: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject;
        pub(super) fn PyObject_VectorcallMethod(
            name: *mut ffi::PyObject,
            args: *const *mut ffi::PyObject,
            count: usize,
            keywords: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject;
        pub(super) fn PyObject_Call(
            callable: *mut ffi::PyObject,
            args: *mut ffi::PyObject,
            keywords: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject;
        pub(super) fn PyObject_Hash(object: *mut ffi::PyObject) -> ffi::Py_hash_t;
        pub(super) fn PyObject_IsTrue(object: *mut ffi::PyObject) -> c_int;
        pub(super) fn PyObject_RichCompare(
            left: *mut ffi::PyObject,
            right: *mut ffi::PyObject,
            operation: c_int,
        ) -> *mut ffi::PyObject;
        pub(super) fn PyObject_GetIter(object: *mut ffi::PyObject) -> *mut ffi::PyObject;
        pub(super) fn PyIter_Next(iterator: *mut ffi::PyObject) -> *mut ffi::PyObject;
        pub(super) fn PyFloat_AsDouble(object: *mut ffi::PyObject) -> c_double;
        pub(super) fn PyNumber_Index(object: *mut ffi::PyObject) -> *mut ffi::PyObject;
        pub(super) fn PyObject_GetAttr(object: *mut ffi::PyObject, name: *mut ffi::PyObject) -> *mut ffi::PyObject;
        pub(super) fn PyObject_SetAttr(
            object: *mut ffi::PyObject,
            name: *mut ffi::PyObject,
            value: *mut ffi::PyObject,
        ) -> c_int;
        pub(super) fn PyObject_Repr(object: *mut ffi::PyObject) -> *mut ffi::PyObject;
        pub(super) fn PyObject_Str(object: *mut ffi::PyObject) -> *mut ffi::PyObject;
        pub(super) fn PyImport_Import(name: *mut ffi::PyObject) -> *mut ffi::PyObject;
        pub(super) fn PyErr_WriteUnraisable(object: *mut ffi::PyObject);
        pub(super) fn PyErr_CheckSignals() -> c_int;
        pub(super) fn Py_DecRef(object: *mut ffi::PyObject);
    }
}

macro_rules! unseen {
    ($name:ident($($arg:tt),*)) => {
        std::hint::black_box(unwound::$name as unsafe extern "C-unwind" fn($($arg),*) -> _)
    };
}

/// Keeps the thread from being unwound any further.
struct Stay;

impl Drop for Stay {
    #[cold]
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

/// Make one call; nothing else that is dropped may be in `call`.
#[inline(always)]
fn stay<R>(call: impl FnOnce() -> R) -> R {
    let stay = Stay;
    let result = call();
    std::mem::forget(stay);
    result
}

/// Call `callable`.
pub(crate) fn call<'py, const N: usize>(
    callable: &Bound<'py, PyAny>,
    args: [&Bound<'py, PyAny>; N],
) -> PyResult<Bound<'py, PyAny>> {
    let (pointer, args) = (callable.as_ptr(), args.map(Bound::as_ptr));
    // SAFETY: 1. All are alive meanwhile. 2. There are as many arguments as said. 3. A new reference, or NULL with an
    // exception set.
    unsafe {
        let result = stay(|| unseen!(PyObject_Vectorcall(_, _, _, _))(pointer, args.as_ptr(), N, std::ptr::null_mut()));
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

/// Call `callable` with a tuple of arguments, and keywords if there are any.
pub(crate) fn call_with<'py>(
    callable: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (pointer, args) = (callable.as_ptr(), args.as_ptr());
    let keywords = keywords.map_or(std::ptr::null_mut(), Bound::as_ptr);
    // SAFETY: as in `call`; keywords may be NULL.
    unsafe {
        let result = stay(|| unseen!(PyObject_Call(_, _, _))(pointer, args, keywords));
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

/// Call a method of one argument.
pub(crate) fn call_method<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    arg: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    call_method_with(name, [object, arg])
}

/// Call a method of the first of some objects with the others.
pub(crate) fn call_method_with<'py, const N: usize>(
    name: &Bound<'py, PyString>,
    objects: [&Bound<'py, PyAny>; N],
) -> PyResult<Bound<'py, PyAny>> {
    let (name_pointer, args) = (name.as_ptr(), objects.map(Bound::as_ptr));
    // SAFETY: as in `call`; the object itself counts as an argument.
    unsafe {
        let result = stay(|| {
            unseen!(PyObject_VectorcallMethod(_, _, _, _))(name_pointer, args.as_ptr(), N, std::ptr::null_mut())
        });
        Bound::from_owned_ptr_or_err(name.py(), result)
    }
}

/// What `hash()` gives.
#[inline]
pub(crate) fn hash(object: &Bound<'_, PyAny>) -> PyResult<isize> {
    let pointer = object.as_ptr();
    // SAFETY: the object is alive meanwhile.
    let hash = stay(|| unsafe { unseen!(PyObject_Hash(_))(pointer) });
    if hash == -1 { Err(PyErr::fetch(object.py())) } else { Ok(hash) }
}

/// Whether `left == right`.
pub(crate) fn equal(left: &Bound<'_, PyAny>, right: &Bound<'_, PyAny>) -> PyResult<bool> {
    let (py, left, right) = (left.py(), left.as_ptr(), right.as_ptr());
    // SAFETY: 1. Both are alive meanwhile. 2. A new reference, or NULL with an exception set.
    let compared = unsafe {
        let compared = stay(|| unseen!(PyObject_RichCompare(_, _, _))(left, right, ffi::Py_EQ));
        Bound::from_owned_ptr_or_err(py, compared)?
    };
    is_true(&compared)
}

/// Whether an object counts as true.
pub(crate) fn is_true(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let pointer = object.as_ptr();
    // SAFETY: the object is alive meanwhile.
    let is_true = stay(|| unsafe { unseen!(PyObject_IsTrue(_))(pointer) });
    if is_true < 0 { Err(PyErr::fetch(object.py())) } else { Ok(is_true > 0) }
}

/// An attribute.
pub(crate) fn getattr<'py>(object: &Bound<'py, PyAny>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    let (py, object, name) = (object.py(), object.as_ptr(), name.as_ptr());
    // SAFETY: 1. Both are alive meanwhile. 2. A new reference, or NULL with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, stay(|| unseen!(PyObject_GetAttr(_, _))(object, name))) }
}

/// Whether there is an attribute.
pub(crate) fn hasattr<'py>(object: &Bound<'py, PyAny>, name: &Bound<'py, PyString>) -> PyResult<bool> {
    match getattr(object, name) {
        Ok(_) => Ok(true),
        Err(error) if error.is_instance_of::<PyAttributeError>(object.py()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Set an attribute.
pub(crate) fn setattr<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    value: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let (py, object, name, value) = (object.py(), object.as_ptr(), name.as_ptr(), value.as_ptr());
    // SAFETY: all are alive meanwhile.
    let failed = stay(|| unsafe { unseen!(PyObject_SetAttr(_, _, _))(object, name, value) });
    if failed < 0 { Err(PyErr::fetch(py)) } else { Ok(()) }
}

/// What `repr()` gives.
pub(crate) fn repr<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    let pointer = object.as_ptr();
    // SAFETY: 1. The object is alive meanwhile. 2. A new reference to a str, or NULL with an exception set.
    unsafe {
        let text = stay(|| unseen!(PyObject_Repr(_))(pointer));
        Ok(Bound::from_owned_ptr_or_err(object.py(), text)?.cast_into_unchecked())
    }
}

/// What `str()` gives.
pub(crate) fn str<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    let pointer = object.as_ptr();
    // SAFETY: 1. The object is alive meanwhile. 2. A new reference to a str, or NULL with an exception set.
    unsafe {
        let text = stay(|| unseen!(PyObject_Str(_))(pointer));
        Ok(Bound::from_owned_ptr_or_err(object.py(), text)?.cast_into_unchecked())
    }
}

/// A module, imported if it was not yet: one that surely was, else see [`load`].
pub(crate) fn import<'py>(name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    let pointer = name.as_ptr();
    // SAFETY: 1. The name is alive meanwhile. 2. A new reference, or NULL with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(name.py(), stay(|| unseen!(PyImport_Import(_))(pointer))) }
}

/// A module that is imported at its first use: a fork waits meanwhile, as `ebbmap._convert.imports` tells.
pub(crate) fn load<'py>(name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    let py = name.py();
    let load = getattr(&import(name!(py, c"ebbmap._convert.imports"))?, name!(py, c"load"))?;
    call(&load, [name.as_any()])
}

/// Report an error that nobody can catch to `sys.unraisablehook`, with an object that it came from.
pub(crate) fn write_unraisable(error: PyErr, py: Python<'_>, object: Option<&Bound<'_, PyAny>>) {
    error.restore(py);
    let object = object.map_or(std::ptr::null_mut(), Bound::as_ptr);
    // SAFETY: the object is alive meanwhile, or NULL; an exception is set.
    stay(|| unsafe { unseen!(PyErr_WriteUnraisable(_))(object) });
}

/// Run the handlers of signals that have come; what one raises is returned.
pub(crate) fn check_signals(py: Python<'_>) -> PyResult<()> {
    // SAFETY: `py` says that this thread is attached.
    let failed = stay(|| unsafe { unseen!(PyErr_CheckSignals())() });
    if failed < 0 { Err(PyErr::fetch(py)) } else { Ok(()) }
}

/// The int that an object says it is.
pub(crate) fn index<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let pointer = object.as_ptr();
    // SAFETY: 1. The object is alive meanwhile. 2. A new reference, or NULL with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(object.py(), stay(|| unseen!(PyNumber_Index(_))(pointer))) }
}

/// The float that an object says it is.
pub(crate) fn float(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    let pointer = object.as_ptr();
    // SAFETY: the object is alive meanwhile.
    let float = stay(|| unsafe { unseen!(PyFloat_AsDouble(_))(pointer) });
    let failed = if float == -1.0 { PyErr::take(object.py()) } else { None };
    failed.map_or(Ok(float), Err)
}

/// The items of an iterable, or of an iterator: each is asked for.
pub(crate) fn items<'py>(iterable: &Bound<'py, PyAny>) -> PyResult<Items<'py>> {
    let pointer = iterable.as_ptr();
    // SAFETY: 1. The object is alive meanwhile. 2. A new reference, or NULL with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(iterable.py(), stay(|| unseen!(PyObject_GetIter(_))(pointer))).map(Items) }
}

/// See [`items`].
pub(crate) struct Items<'py>(Bound<'py, PyAny>);

impl<'py> Iterator for Items<'py> {
    type Item = PyResult<Bound<'py, PyAny>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (py, pointer) = (self.0.py(), self.0.as_ptr());
        // SAFETY: 1. The iterator is alive meanwhile. 2. A new reference, or NULL, with an exception set but at the end.
        let item = unsafe { Bound::from_owned_ptr_or_opt(py, stay(|| unseen!(PyIter_Next(_))(pointer))) };
        item.map(Ok).or_else(|| PyErr::take(py).map(Err))
    }
}

/// The buffer of an object, of elements of this type.
#[expect(clippy::disallowed_methods, reason = "this is the place to call it; PyO3 does not let it be unwound")]
pub(crate) fn buffer<T: Element>(object: &Bound<'_, PyAny>) -> PyResult<PyBuffer<T>> {
    PyBuffer::get(object)
}

/// Do `work` where each `Py` that is dropped is dropped at once. A lane comes straight from the interpreter, past the
/// trampolines in which PyO3 counts that a thread is attached. PyO3 puts off what is dropped in it until the next
/// trampoline: objects would outlive their entries, and die wherever a thread attaches next.
#[cold]
pub(crate) fn attached<R>(py: Python<'_>, work: impl FnOnce(Python<'_>) -> R) -> R {
    let mut work = Some(work);
    let mut once = |py: Python<'_>| work.take().map(|work| work(py));
    // An interpreter that is going can't be attached to; this thread is, all the same.
    let done = Python::try_attach(&mut once).unwrap_or_else(|| once(py));
    done.expect("it was done once")
}

/// Drop a reference, perhaps the last: then it runs `__del__`.
#[inline]
pub(crate) fn release(_: Python<'_>, object: Py<PyAny>) {
    let pointer = object.into_ptr();
    // SAFETY: 1. The reference is owned, and not used after. 2. The caller has the interpreter.
    unsafe {
        if ffi::Py_REFCNT(pointer) > 1 {
            return ffi::Py_DECREF(pointer);
        }
        stay(|| unseen!(Py_DecRef(_))(pointer));
    }
}
