//! What may be in an object that was never made.
#![allow(unsafe_code)] // a value that is dropped only where there is one

use std::mem::ManuallyDrop;
use std::ops::Deref;

/// A value of a native object. CPython drops an object for want of memory before it is made: all its bytes are zero then,
/// and there is no value to drop.
pub(crate) struct Made<T> {
    /// Not in an object whose bytes are zero.
    made: bool,
    value: ManuallyDrop<T>,
}

impl<T> Made<T> {
    pub(crate) fn new(value: T) -> Self {
        Made { made: true, value: ManuallyDrop::new(value) }
    }
}

impl<T> Deref for Made<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        assert!(self.made, "an object that was not made");
        &self.value
    }
}

impl<T> Drop for Made<T> {
    fn drop(&mut self) {
        if self.made {
            // SAFETY: it is dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}
