//! What an object's type says of it, where no code of the type runs.
#![allow(unsafe_code)] // slots of types

use crate::python::make::name;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::fn_addr_eq;

/// Whether an object is an int or says which int it is.
pub(crate) fn has_index(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the object is alive; its type is looked at.
    unsafe { ffi::PyIndex_Check(object.as_ptr()) != 0 }
}

/// Whether it is of a class whose instances may be good for one use only: iterators, and what is awaited.
pub(crate) fn may_be_used_up(object: &Bound<'_, PyAny>) -> bool {
    let class = object.get_type_ptr();
    // SAFETY: the class is alive; its slots are only read.
    unsafe {
        let methods = (*class).tp_as_async;
        ffi::PyIter_Check(object.as_ptr()) != 0
            || (!methods.is_null() && ((*methods).am_await.is_some() || (*methods).am_anext.is_some()))
    }
}

/// Whether an object compares by identity and can be referred to weakly.
pub(crate) fn is_weakly_kept(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = object.get_type();
    let pointer = class.as_type_ptr();
    // SAFETY: the types are alive; their slots are only read.
    let (hashes_so, compares_so, has_weak) = unsafe {
        let base = &raw mut ffi::PyBaseObject_Type;
        let hashes_so = match ((*pointer).tp_hash, (*base).tp_hash) {
            (Some(its), Some(plain)) => fn_addr_eq(its, plain),
            _ => false,
        };
        let compares_so = match ((*pointer).tp_richcompare, (*base).tp_richcompare) {
            (Some(its), Some(plain)) => fn_addr_eq(its, plain),
            _ => false,
        };
        (hashes_so, compares_so, (*pointer).tp_weaklistoffset != 0)
    };
    if !hashes_so || !has_weak {
        return Ok(false);
    }
    // A class that only orders its instances has a comparison of its own, with the `__eq__` of all.
    Ok(compares_so || {
        let name = name!(object.py(), c"__eq__");
        class.getattr(name)?.is(object.py().get_type::<PyAny>().getattr(name)?)
    })
}
