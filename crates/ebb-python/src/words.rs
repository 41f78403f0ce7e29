//! Lists of plain numbers as the bytes that arrays of them have. No Python code runs.

use crate::convert::{plain_int, short_int};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyList};

const WORD: usize = 8;

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
    let mut all = true;
    let bytes = PyBytes::new_with(list.py(), WORD * list.len(), |bytes| {
        let words = bytes.chunks_exact_mut(WORD);
        all = list
            .iter()
            .zip(words)
            .all(|(object, word)| word_of(&object).map(|found| word.copy_from_slice(&found)).is_some());
        Ok(())
    })?;
    Ok(all.then_some(bytes))
}
