//! What is read from a table, to become objects.

use crate::kinds::codec::Codec;
use crate::kinds::kind::ValueKind;
use crate::python::errors::copy_of;
use crate::python::make;
use pyo3::prelude::*;

/// What was read from a table, to become an object.
pub(crate) enum Read {
    Done(Py<PyAny>),
    /// A str that is not valid UTF-8: it has lone surrogates.
    Surrogates(Vec<u8>),
    Record(Vec<u8>),
}

/// Read `bytes` as a value of this kind, which is not an object. Makes no object that the garbage collector tracks, and so
/// runs no user code.
#[inline(always)]
pub(crate) fn read_inline(py: Python<'_>, kind: ValueKind, bytes: &[u8]) -> PyResult<Read> {
    Ok(Read::Done(match kind {
        ValueKind::Object => unreachable!("read by its reference"),
        ValueKind::Int => make::signed(py, i64::from_ne_bytes(eight(bytes)))?.unbind(),
        ValueKind::Float => make::float(py, f64::from_ne_bytes(eight(bytes)))?.unbind(),
        ValueKind::Bytes => make::bytes(py, bytes)?.unbind(),
        ValueKind::Str => return read_text(py, bytes),
        ValueKind::Record(_) => return Ok(Read::Record(copy_of(bytes)?)),
    }))
}

#[inline(always)]
pub(super) fn eight(bytes: &[u8]) -> [u8; 8] {
    bytes.try_into().expect("eight bytes")
}

/// The str of UTF-8.
pub(crate) fn read_text(py: Python<'_>, bytes: &[u8]) -> PyResult<Read> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Read::Done(make::text(py, text)?.into_any().unbind())),
        Err(_) => Ok(Read::Surrogates(copy_of(bytes)?)),
    }
}

impl Read {
    /// The object; runs codecs, so never under a lock.
    #[inline]
    pub(crate) fn finish(self, py: Python<'_>, codec: Option<&Codec>) -> PyResult<Py<PyAny>> {
        match self {
            Read::Done(object) => Ok(object),
            Read::Surrogates(bytes) => Ok(make::text_with_surrogates(py, &bytes)?.unbind()),
            Read::Record(bytes) => codec.expect("a dtype has a codec").decode(py, &bytes),
        }
    }
}
