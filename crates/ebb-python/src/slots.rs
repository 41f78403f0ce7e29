//! The slots of a type, behind `m[key]`, `m[key] = value`, `del m[key]` and `key in m`, and methods, to be replaced by shorter ways.
#![allow(unsafe_code)] // type slots

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::CStr;
use std::ptr::fn_addr_eq;
use std::sync::OnceLock;

pub(crate) struct Slots {
    pub(crate) subscript: ffi::binaryfunc,
    pub(crate) assign: ffi::objobjargproc,
    pub(crate) contains: ffi::objobjproc,
}

impl Slots {
    /// The slots of a class that PyO3 made with all three.
    pub(crate) fn of(class: &Bound<'_, PyType>) -> Option<Slots> {
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

    /// Put `new` into a subclass of the class whose slots these are, for those that it has unchanged: a class copies its
    /// base's slots from the methods' wrappers, so each has to be told.
    ///
    /// # Safety
    /// `class` is a subclass of the class that [`of`](Self::of) was given, and the new slots take its instances.
    pub(crate) unsafe fn replace_in(&self, class: &Bound<'_, PyType>, new: &Slots) {
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

/// A method that PyO3 made, behind the shorter way that took its place.
pub(crate) struct Behind(OnceLock<Py<PyAny>>);

impl Behind {
    pub(crate) const fn new() -> Self {
        Behind(OnceLock::new())
    }

    /// Put `method`, with its text, before the method `name` of a class that PyO3 made.
    pub(crate) fn put_before(
        &self,
        class: &Bound<'_, PyType>,
        name: &'static CStr,
        method: ffi::PyCFunctionFast,
    ) -> PyResult<()> {
        let name_text = name.to_string_lossy();
        let original = class.getattr(&*name_text)?;
        let text = original.getattr("__text_signature__")?.extract::<Option<String>>()?.unwrap_or_default();
        let doc = original.getattr("__doc__")?.extract::<Option<String>>()?.unwrap_or_default();
        let doc = std::ffi::CString::new(format!("{}{text}\n--\n\n{doc}", name_text))?;
        if self.0.set(original.unbind()).is_err() {
            return Ok(()); // a second interpreter
        }
        let definition = Box::leak(Box::new(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: method },
            ml_flags: ffi::METH_FASTCALL,
            ml_doc: Box::leak(doc.into_boxed_c_str()).as_ptr(),
        }));
        // SAFETY: 1. The definition, its name and its text live for ever. 2. A new reference, or NULL with an exception.
        let made = unsafe {
            let made = ffi::PyDescr_NewMethod(class.as_type_ptr(), definition);
            Bound::from_owned_ptr_or_err(class.py(), made)?
        };
        class.setattr(&*name_text, made)
    }

    /// Call the method that is behind.
    ///
    /// # Safety
    /// Called attached, with what the interpreter has passed to the method before it.
    pub(crate) unsafe fn call(
        &self,
        slf: *mut ffi::PyObject,
        args: *mut *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
    ) -> *mut ffi::PyObject {
        let original = self.0.get().expect("set before the method is").as_ptr();
        // SAFETY: 1. `args` are `count` objects, as the caller says. 2. Called attached.
        unsafe {
            let mut all = vec![slf];
            all.extend_from_slice(if count > 0 { std::slice::from_raw_parts(args, count as usize) } else { &[] });
            ffi::PyObject_Vectorcall(original, all.as_ptr(), all.len(), std::ptr::null_mut())
        }
    }
}
