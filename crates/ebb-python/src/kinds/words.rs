//! Lists of plain numbers as the bytes that arrays of them have. No Python code runs.

use crate::kinds::plain::{plain_int, short_int};
use crate::python::pace::Pace;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyList};

const WORD: usize = 8;
/// Items that are read between two looks at the clock.
const STRETCH: usize = 1024;

/// The ints of a list as int64, one after another; None where one is no `int` itself, or takes more than 64 bits. O(n).
#[pyfunction]
pub(crate) fn _ints_as_bytes<'py>(list: &Bound<'py, PyList>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    as_bytes(list, |object| Some(int(object)?.to_ne_bytes()))
}

/// The numbers of a list as float64; None where one is neither `float` nor `int` itself. O(n).
#[pyfunction]
pub(crate) fn _floats_as_bytes<'py>(list: &Bound<'py, PyList>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    as_bytes(list, |object| {
        let float = object.cast_exact::<PyFloat>().map(PyFloatMethods::value);
        Some(float.ok().or_else(|| int(object).map(|int| int as f64))?.to_ne_bytes())
    })
}

#[inline]
fn int(object: &Bound<'_, PyAny>) -> Option<i64> {
    short_int(object).or_else(|| plain_int(object))
}

#[inline]
fn as_bytes<'py>(
    list: &Bound<'py, PyList>,
    word_of: impl Fn(&Bound<'py, PyAny>) -> Option<[u8; WORD]>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let (py, len) = (list.py(), list.len());
    let (mut done, mut pace) = (0, Pace::default());
    let bytes = PyBytes::new_with(py, WORD * len, |bytes| {
        for some in bytes.chunks_mut(STRETCH * WORD) {
            let words = some.chunks_exact_mut(WORD).zip(done..len);
            for (word, place) in words {
                // The list may have become shorter in a pause.
                let Some(found) = list.get_item(place).ok().and_then(|object| word_of(&object)) else { return Ok(()) };
                word.copy_from_slice(&found);
                done += 1;
            }
            pace.steps(py, STRETCH)?;
        }
        Ok(())
    })?;
    Ok((done == len && list.len() == len).then_some(bytes))
}
