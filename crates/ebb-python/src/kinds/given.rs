//! The kinds that a map or cache is given: what `Map(int, bytes)` names.

use crate::kinds::codec::Codec;
use crate::kinds::kind::{KeyKind, ValueKind};
use crate::kinds::layout::Layout;
use crate::kinds::new::Value;
use crate::kinds::read::{Read, read_inline};
use crate::python::calls;
use crate::python::errors::{Shown, error};
use crate::python::make::{self, Name, pair};
use pyo3::exceptions::{PyImportError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyComplex, PyFloat, PyInt, PyString, PyTuple, PyType};

static MODULE: Name = Name::new(c"ebbmap._convert.dtypes");

impl KeyKind {
    pub(crate) fn of(given: &Bound<'_, PyAny>) -> PyResult<KeyKind> {
        match builtin(given)? {
            Some(ValueKind::Object) => Ok(KeyKind::Object),
            Some(ValueKind::Int) => Ok(KeyKind::Int),
            Some(ValueKind::Str) => Ok(KeyKind::Str),
            Some(ValueKind::Bytes) => Ok(KeyKind::Bytes),
            _ => {
                let (py, given) = (given.py(), Shown::repr(given)?);
                let message = format_args!("a key is of kind object, int, str or bytes, not {given}");
                Err(error::<PyTypeError>(py, message))
            }
        }
    }
}

/// The kind that a builtin type names.
fn builtin(given: &Bound<'_, PyAny>) -> PyResult<Option<ValueKind>> {
    let py = given.py();
    let object = py.get_type::<PyAny>();
    let kinds: [(&Bound<'_, PyType>, ValueKind); 5] = [
        (&object, ValueKind::Object),
        (&py.get_type::<PyInt>(), ValueKind::Int),
        (&py.get_type::<PyFloat>(), ValueKind::Float),
        (&py.get_type::<PyString>(), ValueKind::Str),
        (&py.get_type::<PyBytes>(), ValueKind::Bytes),
    ];
    Ok(kinds.iter().find(|(kind, _)| given.is(*kind)).map(|&(_, kind)| kind))
}

/// A value kind, with its codec where it is a dtype.
fn value_kind(given: &Bound<'_, PyAny>) -> PyResult<(ValueKind, Option<Codec>)> {
    if let Some(kind) = builtin(given)? {
        return Ok((kind, None));
    }
    let py = given.py();
    let numpy = calls::load(MODULE.get(py)?).map_err(|error| without_numpy(given, error))?;
    let (codec, bytes) = Codec::of(&numpy, given)?;
    Ok((ValueKind::Record(bytes), Some(codec)))
}

/// What is raised, where NumPy can't be imported, for a value kind that is no builtin type.
fn without_numpy(given: &Bound<'_, PyAny>, cause: PyErr) -> PyErr {
    let py = given.py();
    if !cause.is_instance_of::<PyImportError>(py) {
        return cause;
    }
    let shown = match Shown::repr(given) {
        Ok(shown) => shown,
        Err(error) => return error,
    };
    let hint = if may_name_a_dtype(given) { "; a dtype needs NumPy, which can't be imported" } else { "" };
    let message = format_args!("a value is of kind object, int, float, str, bytes or a NumPy dtype, not {shown}{hint}");
    let raised = error::<PyTypeError>(py, message);
    raised.set_cause(py, Some(cause));
    raised
}

/// Whether NumPy could take it for a dtype: text, a list of fields, `bool`, `complex`; no other type.
fn may_name_a_dtype(given: &Bound<'_, PyAny>) -> bool {
    let py = given.py();
    !given.is_instance_of::<PyType>() || given.is(py.get_type::<PyBool>()) || given.is(py.get_type::<PyComplex>())
}

/// The kinds of a map or cache, fixed by the first `__init__` or the first use.
pub(crate) struct Kinds {
    pub(crate) key: KeyKind,
    pub(crate) value: ValueKind,
    pub(crate) codec: Option<Codec>,
}

impl Kinds {
    pub(crate) const OBJECTS: Kinds = Kinds { key: KeyKind::Object, value: ValueKind::Object, codec: None };

    /// The kinds that are named.
    pub(crate) fn of(key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<Kinds> {
        let key = KeyKind::of(key)?;
        let (value, codec) = value_kind(value)?;
        Ok(Kinds { key, value, codec })
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::new(self.key, self.value)
    }

    /// A value that was read, if any was, as an object.
    #[inline]
    pub(crate) fn finish(&self, py: Python<'_>, read: Option<PyResult<Read>>) -> PyResult<Option<Py<PyAny>>> {
        match read {
            None => Ok(None),
            Some(Ok(Read::Done(object))) => Ok(Some(object)),
            Some(read) => read?.finish(py, self.codec.as_ref()).map(Some),
        }
    }

    /// What a value reads as once it is set: the object itself, unless it is kept as something else.
    pub(crate) fn read_back(&self, py: Python<'_>, value: &Value<'_>, given: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        if self.value == ValueKind::Object {
            return Ok(given.clone().unbind());
        }
        read_inline(py, self.value, &value.bytes()?)?.finish(py, self.codec.as_ref())
    }

    /// A key and a value that were read, as objects.
    pub(crate) fn finish_both(&self, py: Python<'_>, (key, value): (Read, Read)) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        Ok((key.finish(py, None)?, value.finish(py, self.codec.as_ref())?))
    }

    /// A key and a value that were read, as a pair.
    pub(crate) fn finish_pair<'py>(&self, py: Python<'py>, read: (Read, Read)) -> PyResult<Bound<'py, PyAny>> {
        let (key, value) = self.finish_both(py, read)?;
        pair(py, &key, &value)
    }

    /// Their names, and the codec of a dtype.
    pub(crate) fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let codec = self.codec.as_ref().map_or_else(|| make::none(py), |codec| codec.object(py).clone());
        make::tuple(
            py,
            [make::text(py, self.key.name())?.into_any(), make::text(py, self.value.name())?.into_any(), codec],
        )
    }

    /// The layout, if keys can come as an array of ints; `what` has these kinds.
    pub(crate) fn int_keys_layout(&self, py: Python<'_>, what: &str) -> PyResult<Layout> {
        let layout = self.layout();
        let plain = layout.key_kind() == KeyKind::Int && !layout.has_objects();
        plain.then_some(layout).ok_or_else(|| {
            let message = format_args!("only a {what} of int keys and inline values takes an array of keys");
            error::<PyTypeError>(py, message)
        })
    }

    /// The layout, if keys and values can come and go as arrays.
    pub(crate) fn array_layout(&self, py: Python<'_>, what: &str) -> PyResult<Layout> {
        let layout = self.layout();
        let plain = layout.key_kind() == KeyKind::Int && !layout.has_objects() && !layout.value_kind().is_variable();
        plain.then_some(layout).ok_or_else(|| {
            let message = format_args!("only a {what} of int keys and values of a fixed size takes arrays");
            error::<PyTypeError>(py, message)
        })
    }
}
