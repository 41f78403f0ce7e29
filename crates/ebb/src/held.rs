//! A value in a block of its own, which is asked for before there is a value: so a value that has all memory of a table in
//! it can have its own place counted with that.
#![allow(unsafe_code)] // a value in a raw block

use crate::memory::{Block, Memory, OutOfMemory};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A block with room for a value. One that is dropped leaks.
#[derive(Debug)]
pub(crate) struct Room<T> {
    block: Block,
    of: PhantomData<T>,
}

impl<T> Room<T> {
    pub(crate) fn new(memory: &mut Memory) -> Result<Self, OutOfMemory> {
        let block = memory.allocate(size_of::<T>())?;
        assert!(size_of::<T>() <= block.bytes());
        Ok(Room { block, of: PhantomData })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.block.bytes()
    }

    pub(crate) fn release(self, memory: &mut Memory) {
        memory.release(self.block);
    }

    /// Put a value there.
    pub(crate) fn fill(self, value: T) -> Held<T> {
        let (base, bytes) = self.block.into_parts();
        let at = base.cast::<T>();
        assert!(at.is_aligned());
        // SAFETY: the block is ours alone, aligned and long enough: it was made by `new`.
        unsafe { at.write(value) };
        Held { at, bytes }
    }
}

/// A value in a block. Invariant: `at` is the beginning of a block of so many bytes, which this owns, with a value.
#[derive(Debug)]
pub(crate) struct Held<T> {
    at: NonNull<T>,
    bytes: usize,
}

// SAFETY: it owns the value and the block.
unsafe impl<T: Send> Send for Held<T> {}
// SAFETY: `&Held` gives `&T`.
unsafe impl<T: Sync> Sync for Held<T> {}

impl<T> Held<T> {
    /// The value, and the block without it.
    pub(crate) fn into_parts(self) -> (T, Room<T>) {
        let this = ManuallyDrop::new(self);
        // SAFETY: 1. There is a value, which nobody reads after this. 2. The block is ours, and given up.
        unsafe {
            let value = this.at.read();
            (value, Room { block: Block::from_parts(this.at.cast(), this.bytes), of: PhantomData })
        }
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: there is a value.
        unsafe { self.at.as_ref() }
    }
}

impl<T> DerefMut for Held<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: there is a value, and `&mut self` makes the reference unique.
        unsafe { self.at.as_mut() }
    }
}

impl<T> Drop for Held<T> {
    /// Drops the value; the block leaks, as a room does.
    fn drop(&mut self) {
        // SAFETY: there is a value, and it is not used after this.
        unsafe { self.at.drop_in_place() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_written_and_taken_out() {
        let mut memory = Memory::new();
        let room = Room::new(&mut memory).unwrap();
        let mut held = room.fill(vec![1, 2]);
        held.push(3);
        assert_eq!((held.len(), memory.held()), (3, 64));
        let (value, room) = held.into_parts();
        room.release(&mut memory);
        assert_eq!((value, memory.held()), (vec![1, 2, 3], 0));
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let mut memory = Memory::new();
        memory.set_allowance(0);
        assert!(Room::<[u64; 30]>::new(&mut memory).is_err());
        assert_eq!(memory.held(), 0);
    }
}
