//! How values of a NumPy dtype become bytes and back.

use crate::kinds::plain::any_int;
use crate::python::calls;
use crate::python::errors::{Shown, copy_of, error};
use crate::python::make::{self, Name};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

static CODEC: Name = Name::new(c"codec");
static ITEMSIZE: Name = Name::new(c"itemsize");
static ENCODE: Name = Name::new(c"encode");
static DECODE: Name = Name::new(c"decode");

/// How values of a NumPy dtype become bytes and back: an `ebbmap._convert.dtypes.Codec`.
pub(crate) struct Codec {
    codec: Py<PyAny>,
    itemsize: usize,
}

impl Codec {
    /// The codec of what may name a dtype, and the bytes of a value.
    pub(crate) fn of(numpy: &Bound<'_, PyAny>, given: &Bound<'_, PyAny>) -> PyResult<(Codec, usize)> {
        let py = given.py();
        let codec = calls::call_method(numpy, CODEC.get(py)?, given)?;
        let itemsize = calls::index(&calls::getattr(&codec, ITEMSIZE.get(py)?)?)?;
        let itemsize = any_int(itemsize.cast()?).map_or(0, |bytes| bytes as usize);
        if itemsize == 0 {
            let given = Shown::repr(given)?;
            return Err(error::<PyValueError>(py, format_args!("a value takes at least one byte; {given} has none")));
        }
        Ok((Codec { codec: codec.unbind(), itemsize }, itemsize))
    }

    pub(crate) fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.codec.bind(py)
    }

    pub(crate) fn encode(&self, value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
        let py = value.py();
        let encoded = calls::call_method(self.object(py), ENCODE.get(py)?, value)?;
        let bytes = encoded.cast::<PyBytes>()?.as_bytes();
        if bytes.len() != self.itemsize {
            let (wanted, given) = (self.itemsize, bytes.len());
            let message = format_args!("a value of this dtype has {wanted} bytes, not {given}");
            return Err(error::<PyValueError>(py, message));
        }
        copy_of(bytes)
    }

    pub(crate) fn decode(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<Py<PyAny>> {
        Ok(calls::call_method(self.object(py), DECODE.get(py)?, &make::bytes(py, bytes)?)?.unbind())
    }
}
