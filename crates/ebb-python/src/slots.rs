//! The slots of a type behind `m[key]`, `m[key] = value`, `del m[key]` and `key in m`, to be replaced by shorter ways.
#![allow(unsafe_code)] // type slots

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ptr::fn_addr_eq;

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
