//! Memory that other objects have and lend, as NumPy's arrays do.
//!
//! Nobody here has such memory to itself: whoever else has it may write to it at any time. So there is no slice of it, only
//! copies from it and to it.
#![allow(unsafe_code)] // memory that belongs to others

use crate::python::errors::{error, with_room};
use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::marker::PhantomData;

/// The elements of a contiguous buffer, which is held for as long.
#[derive(Clone, Copy)]
pub(crate) struct Elements<'a, T> {
    first: *mut T,
    len: usize,
    buffer: PhantomData<&'a PyBuffer<T>>,
}

// SAFETY: plain numbers. As with NumPy's own functions that release the GIL, a program that writes to an array while
// another thread has it in a call gets some old and some new numbers. Nothing may rely on reading the same twice.
unsafe impl<T: Copy + Send> Send for Elements<'_, T> {}

impl<'a, T: Element> Elements<'a, T> {
    pub(crate) fn of(py: Python<'_>, buffer: &'a PyBuffer<T>) -> PyResult<Self> {
        if !buffer.is_c_contiguous() {
            let message = format_args!("an array must be contiguous, and writable to be filled");
            return Err(error::<PyValueError>(py, message));
        }
        Ok(Elements { first: buffer.buf_ptr().cast(), len: buffer.item_count(), buffer: PhantomData })
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A copy of one.
    #[inline]
    pub(crate) fn get(&self, i: usize) -> T {
        assert!(i < self.len);
        // SAFETY: in bounds of the buffer, which is held and contiguous, and whose elements are of type `T`.
        unsafe { self.first.add(i).read_unaligned() }
    }
}

impl Elements<'_, u8> {
    /// Some of the bytes.
    #[inline]
    pub(crate) fn part(&self, from: usize, len: usize) -> Self {
        assert!(from <= self.len && len <= self.len - from);
        Elements { first: self.first.wrapping_add(from), len, buffer: PhantomData }
    }

    /// A copy of the bytes.
    pub(crate) fn copied(&self) -> PyResult<Vec<u8>> {
        let mut bytes = with_room(self.len)?;
        bytes.resize(self.len, 0);
        self.copy_to(&mut bytes);
        Ok(bytes)
    }

    /// Copy the bytes to where there is room for just so many.
    #[inline]
    pub(crate) fn copy_to(&self, to: &mut [u8]) {
        assert!(to.len() == self.len);
        // SAFETY: 1. In bounds, as in `get`. 2. `to` is borrowed from Rust's side, which lends no memory as a buffer: they
        // have no byte in common.
        unsafe { std::ptr::copy_nonoverlapping(self.first, to.as_mut_ptr(), self.len) }
    }
}

/// The bytes of a contiguous buffer that can be written to.
pub(crate) struct Room<'a>(Elements<'a, u8>);

impl<'a> Room<'a> {
    pub(crate) fn of(py: Python<'_>, buffer: &'a PyBuffer<u8>) -> PyResult<Self> {
        if buffer.readonly() {
            return Err(error::<PyValueError>(
                py,
                format_args!("an array must be contiguous, and writable to be filled"),
            ));
        }
        Elements::of(py, buffer).map(Room)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len
    }

    #[inline]
    pub(crate) fn write(&mut self, from: usize, bytes: &[u8]) {
        let to = self.0.part(from, bytes.len());
        // SAFETY: in bounds, as in `get`; the buffer is writable, and has no byte in common with `bytes`, as in `copy_to`.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.first, to.len) }
    }

    /// Write so many zeros, as [`write`](Self::write).
    pub(crate) fn clear(&mut self, from: usize, bytes: usize) {
        let to = self.0.part(from, bytes);
        // SAFETY: in bounds, as in `get`; the buffer is writable.
        unsafe { std::ptr::write_bytes(to.first, 0, to.len) }
    }
}
