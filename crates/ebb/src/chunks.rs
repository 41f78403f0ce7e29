//! An array that grows and shrinks in chunks of one OS page: its elements never move once there is a second chunk, so
//! growing it never copies more than a page (and the root, eight bytes a chunk).
#![allow(unsafe_code)] // an array over raw blocks

use crate::memory::{Block, Memory, OS_PAGE, OutOfMemory};
use std::ptr::NonNull;

/// Types that may be all zero bytes, and need no drop.
///
/// # Safety
/// The all-zero bit pattern is a value of the type.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: zero is a u16.
unsafe impl Plain for u16 {}

/// See the module's text. Elements are zero until written.
///
/// Invariants: chunk `i` of `root` is null or holds `PER_CHUNK` elements, but for chunk 0 of an array with no other
/// chunk, which holds `first` of them; `chunks <= root_capacity`; `chunk_0` is what `root[0]` is, to save small arrays a
/// step.
#[derive(Debug)]
pub(crate) struct ChunkArray<T> {
    chunk_0: *mut T,
    root: *mut *mut T,
    chunks: u32,
    root_capacity: u32,
    first: u32,
}

// SAFETY: the array owns its elements.
unsafe impl<T: Send> Send for ChunkArray<T> {}
// SAFETY: `&ChunkArray` only reads.
unsafe impl<T: Sync> Sync for ChunkArray<T> {}

impl<T: Plain> ChunkArray<T> {
    pub(crate) const PER_CHUNK: usize = OS_PAGE / size_of::<T>();
    const SMALLEST: usize = if size_of::<T>() >= 64 { 2 } else { 128 / size_of::<T>() };

    pub(crate) const fn new() -> Self {
        ChunkArray { chunk_0: std::ptr::null_mut(), root: std::ptr::null_mut(), chunks: 0, root_capacity: 0, first: 0 }
    }

    /// How many elements there are room for.
    pub(crate) fn capacity(&self) -> usize {
        match self.chunks {
            0 => 0,
            1 => self.first as usize,
            n => n as usize * Self::PER_CHUNK,
        }
    }

    /// Element `i`, which must be below the capacity and in no released chunk.
    #[inline(always)]
    pub(crate) fn get(&self, i: usize) -> &T {
        // SAFETY: `at` gives the address of an element.
        unsafe { &*self.at(i) }
    }

    /// As [`get`](Self::get), to write.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, i: usize) -> &mut T {
        // SAFETY: as in `get`, and `&mut self` makes the reference unique.
        unsafe { &mut *self.at(i) }
    }

    #[inline(always)]
    fn at(&self, i: usize) -> *mut T {
        debug_assert!(i < self.capacity());
        if i < Self::PER_CHUNK {
            // SAFETY: the caller's promise, checked by `debug_assert` and by the model tests: the element exists.
            return unsafe { self.chunk_0.add(i) };
        }
        // SAFETY: as above: so does its chunk.
        unsafe { (*self.root.add(i / Self::PER_CHUNK)).add(i % Self::PER_CHUNK) }
    }

    /// Make room for `len` elements. Elements that were there keep their values.
    pub(crate) fn reserve(&mut self, memory: &mut Memory, len: usize) -> Result<(), OutOfMemory> {
        while self.capacity() < len {
            if self.chunks <= 1 && (self.first as usize) < Self::PER_CHUNK {
                self.resize_first(memory, len)?;
            } else {
                self.push_chunk(memory)?;
            }
        }
        Ok(())
    }

    /// Give back what lies wholly beyond `len` elements. Never fails: what can't be shrunk now stays.
    pub(crate) fn truncate(&mut self, memory: &mut Memory, len: usize) {
        let keep = len.div_ceil(Self::PER_CHUNK);
        while self.chunks as usize > keep {
            self.chunks -= 1;
            if self.chunks == 0 {
                self.drop_first(memory);
            } else {
                self.release_chunk(memory, self.chunks as usize);
            }
        }
        if self.chunks == 1 && len * 4 <= self.first as usize && self.first as usize > Self::SMALLEST {
            // Skipped when memory is short: shrinking is never owed.
            let _ = self.resize_first(memory, len);
        }
        self.shrink_root(memory);
    }

    /// Give back chunk `index` (not 0), whose elements nobody reads until [`restore_chunk`](Self::restore_chunk).
    pub(crate) fn release_chunk(&mut self, memory: &mut Memory, index: usize) {
        debug_assert!(index > 0);
        // SAFETY: `index` is below the root's capacity.
        let chunk = unsafe { self.root.add(index).replace(std::ptr::null_mut()) };
        if let Some(base) = NonNull::new(chunk.cast()) {
            memory.release(Block { base, bytes: OS_PAGE });
        }
    }

    /// Whether chunk `index` is there.
    pub(crate) fn has_chunk(&self, index: usize) -> bool {
        // SAFETY: `index` is below the root's capacity when below `chunks`.
        index < self.chunks as usize && unsafe { !(*self.root.add(index)).is_null() }
    }

    /// Bring back a released chunk, zeroed.
    pub(crate) fn restore_chunk(&mut self, memory: &mut Memory, index: usize) -> Result<(), OutOfMemory> {
        debug_assert!(index < self.chunks as usize && !self.has_chunk(index));
        let block = memory.allocate(OS_PAGE)?;
        // SAFETY: `index` is below the root's capacity.
        unsafe { *self.root.add(index) = block.base.as_ptr().cast() };
        Ok(())
    }

    /// Give everything back.
    pub(crate) fn clear(&mut self, memory: &mut Memory) {
        self.truncate(memory, 0);
    }

    fn first_bytes(elements: usize) -> usize {
        Memory::block_bytes(elements * size_of::<T>())
    }

    fn resize_first(&mut self, memory: &mut Memory, len: usize) -> Result<(), OutOfMemory> {
        let elements = len.next_power_of_two().clamp(Self::SMALLEST, Self::PER_CHUNK);
        self.reserve_root(memory, 1)?;
        let bytes = if elements == Self::PER_CHUNK { OS_PAGE } else { elements * size_of::<T>() };
        let block = memory.allocate(bytes)?;
        let new: *mut T = block.base.as_ptr().cast();
        let kept = (self.first as usize).min(elements);
        // SAFETY: 1. Both blocks hold at least `kept` elements. 2. They are different blocks.
        unsafe {
            if kept > 0 {
                std::ptr::copy_nonoverlapping(*self.root, new, kept);
            }
        }
        self.drop_first(memory);
        // SAFETY: the root has room for one.
        unsafe { *self.root = new };
        self.chunk_0 = new;
        self.first = elements as u32;
        self.chunks = 1;
        Ok(())
    }

    fn drop_first(&mut self, memory: &mut Memory) {
        if self.first == 0 {
            return;
        }
        // SAFETY: `first > 0` says that chunk 0 exists.
        let chunk = unsafe { self.root.replace(std::ptr::null_mut()) };
        let bytes =
            if self.first as usize == Self::PER_CHUNK { OS_PAGE } else { Self::first_bytes(self.first as usize) };
        if let Some(base) = NonNull::new(chunk.cast()) {
            memory.release(Block { base, bytes });
        }
        self.chunk_0 = std::ptr::null_mut();
        self.first = 0;
    }

    fn push_chunk(&mut self, memory: &mut Memory) -> Result<(), OutOfMemory> {
        let index = self.chunks as usize;
        self.reserve_root(memory, index + 1)?;
        let block = memory.allocate(OS_PAGE)?;
        // SAFETY: the root has room for `index + 1`.
        unsafe { *self.root.add(index) = block.base.as_ptr().cast() };
        self.chunks += 1;
        Ok(())
    }

    fn reserve_root(&mut self, memory: &mut Memory, chunks: usize) -> Result<(), OutOfMemory> {
        if chunks <= self.root_capacity as usize {
            return Ok(());
        }
        self.move_root(memory, chunks.next_power_of_two().max(8))
    }

    fn shrink_root(&mut self, memory: &mut Memory) {
        if self.chunks == 0 {
            self.release_root(memory);
        } else if self.root_capacity > 8 && self.chunks * 4 <= self.root_capacity {
            let _ = self.move_root(memory, (self.chunks as usize).next_power_of_two().max(8));
        }
    }

    fn move_root(&mut self, memory: &mut Memory, capacity: usize) -> Result<(), OutOfMemory> {
        let block = memory.allocate(capacity * size_of::<*mut T>())?;
        let new: *mut *mut T = block.base.as_ptr().cast();
        if self.chunks > 0 {
            // SAFETY: 1. The old root holds `chunks` pointers, and `capacity >= chunks`. 2. Different blocks.
            unsafe { std::ptr::copy_nonoverlapping(self.root, new, self.chunks as usize) };
        }
        self.release_root(memory);
        self.root = new;
        self.root_capacity = capacity as u32;
        Ok(())
    }

    fn release_root(&mut self, memory: &mut Memory) {
        let bytes = Memory::block_bytes(self.root_capacity as usize * size_of::<*mut T>());
        if let Some(base) = NonNull::new(self.root.cast()) {
            memory.release(Block { base, bytes });
        }
        self.root = std::ptr::null_mut();
        self.root_capacity = 0;
    }

    /// Bytes held, for the invariant checker.
    pub(crate) fn bytes(&self) -> usize {
        let root = Memory::block_bytes(self.root_capacity as usize * size_of::<*mut T>());
        let first = match self.first as usize {
            0 => 0,
            n if n == Self::PER_CHUNK => OS_PAGE,
            n => Self::first_bytes(n),
        };
        let rest = (1..self.chunks as usize).filter(|&i| self.has_chunk(i)).count() * OS_PAGE;
        root + first + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_keeps_values_and_shrinks_to_nothing() {
        let mut memory = Memory::new();
        let mut array = ChunkArray::<u16>::new();
        for i in 0..10_000 {
            array.reserve(&mut memory, i + 1).unwrap();
            *array.get_mut(i) = i as u16;
            assert_eq!(array.bytes(), memory.held());
        }
        assert!((0..10_000).all(|i| *array.get(i) == i as u16));
        for len in (0..10_000).rev() {
            array.truncate(&mut memory, len);
            assert_eq!(array.bytes(), memory.held());
            assert!(len == 0 || *array.get(len - 1) == (len - 1) as u16);
        }
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_refusal_changes_nothing() {
        for allowance in 0..12 {
            let mut memory = Memory::new();
            let mut array = ChunkArray::<u16>::new();
            array.reserve(&mut memory, 3).unwrap();
            *array.get_mut(2) = 7;
            memory.set_allowance(allowance);
            let _ = array.reserve(&mut memory, 100_000);
            memory.set_allowance(0);
            assert_eq!(*array.get(2), 7);
            assert_eq!(array.bytes(), memory.held());
            array.truncate(&mut memory, 3);
            assert_eq!(*array.get(2), 7);
            array.clear(&mut memory);
            assert_eq!(memory.held(), 0);
        }
    }

    #[test]
    fn a_chunk_in_the_middle_can_go_and_come_back() {
        let mut memory = Memory::new();
        let mut array = ChunkArray::<u16>::new();
        array.reserve(&mut memory, 3 * ChunkArray::<u16>::PER_CHUNK).unwrap();
        let full = memory.held();
        array.release_chunk(&mut memory, 1);
        assert_eq!(memory.held(), full - OS_PAGE);
        array.restore_chunk(&mut memory, 1).unwrap();
        assert_eq!(*array.get(ChunkArray::<u16>::PER_CHUNK), 0);
        array.clear(&mut memory);
        assert_eq!(memory.held(), 0);
    }
}
