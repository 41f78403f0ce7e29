//! An array that grows and shrinks in chunks of one OS page: its elements never move once there is a second chunk, so
//! growing it never copies more than a page (and the root, eight bytes a chunk). One of less than a page is a single block
//! that is about as large as its elements need.
#![allow(unsafe_code)] // an array over raw blocks

use crate::memory::{Block, Memory, OS_PAGE, OutOfMemory};
use std::ptr::{NonNull, null_mut};

/// What an element of an array is until it is written.
pub(crate) trait Plain: Copy {
    const EMPTY: Self;
}

impl Plain for u8 {
    const EMPTY: u8 = 0;
}

impl Plain for u16 {
    const EMPTY: u16 = 0;
}

/// See the module's text. Elements are [`Plain::EMPTY`] until written.
///
/// Invariants: `chunk_0` holds `first` written elements: `PER_CHUNK`, where there are other chunks, and 0 where there is
/// none. `root` is null, which it is not where there are several chunks, or a block with room for `root_capacity` pointers,
/// of which the first `chunks` are written. Chunk `i` of it, from 1 on, is null or holds `PER_CHUNK` written elements.
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

#[cold]
#[inline(never)]
fn no_element(i: usize) -> ! {
    panic!("the array has no element {i}");
}

impl<T: Plain> ChunkArray<T> {
    pub(crate) const PER_CHUNK: usize = OS_PAGE / size_of::<T>();

    pub(crate) const fn new() -> Self {
        ChunkArray { chunk_0: null_mut(), root: null_mut(), chunks: 0, root_capacity: 0, first: 0 }
    }

    /// How many elements there are room for.
    pub(crate) fn capacity(&self) -> usize {
        match self.chunks {
            0 => 0,
            1 => self.first as usize,
            n => n as usize * Self::PER_CHUNK,
        }
    }

    /// The elements, where they are less than a page.
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[T] {
        match NonNull::new(self.chunk_0) {
            // SAFETY: chunk 0 holds `first` elements, and `&self` keeps them there.
            Some(first) => unsafe { std::slice::from_raw_parts(first.as_ptr(), self.first as usize) },
            None => &[],
        }
    }

    /// As [`as_slice`](Self::as_slice), to write.
    #[inline(always)]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        match NonNull::new(self.chunk_0) {
            // SAFETY: as in `as_slice`, and `&mut self` makes the reference unique.
            Some(first) => unsafe { std::slice::from_raw_parts_mut(first.as_ptr(), self.first as usize) },
            None => &mut [],
        }
    }

    /// Element `i`. Panics unless it is below the capacity and in no released chunk.
    #[inline(always)]
    pub(crate) fn get(&self, i: usize) -> &T {
        // SAFETY: `at` gives the address of an element, and `&self` keeps it there.
        unsafe { &*self.at(i) }
    }

    /// As [`get`](Self::get), to write.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, i: usize) -> &mut T {
        // SAFETY: as in `get`, and `&mut self` makes the reference unique.
        unsafe { &mut *self.at(i) }
    }

    /// As [`get`](Self::get); `None` where there is no such element.
    #[inline(always)]
    pub(crate) fn find(&self, i: usize) -> Option<&T> {
        // SAFETY: as in `get`.
        self.find_at(i).map(|at| unsafe { at.as_ref() })
    }

    #[inline(always)]
    fn at(&self, i: usize) -> *mut T {
        self.find_at(i).unwrap_or_else(|| no_element(i)).as_ptr()
    }

    #[inline(always)]
    fn find_at(&self, i: usize) -> Option<NonNull<T>> {
        if i < self.first as usize {
            // SAFETY: chunk 0 holds `first` elements.
            return Some(unsafe { NonNull::new_unchecked(self.chunk_0.add(i)) });
        }
        let (chunk, at) = (i / Self::PER_CHUNK, i % Self::PER_CHUNK);
        let base = self.chunk_after_first(chunk);
        // SAFETY: a chunk after the first holds `PER_CHUNK` elements, if it is there.
        NonNull::new(base).map(|base| unsafe { base.add(at) })
    }

    /// The first element of a chunk; null where it is not there, or is the first.
    #[inline(always)]
    fn chunk_after_first(&self, index: usize) -> *mut T {
        if index == 0 || index >= self.chunks as usize {
            return null_mut();
        }
        // SAFETY: there are several chunks, so the root holds `chunks` pointers.
        unsafe { *self.root.add(index) }
    }

    /// Let the root lead to another chunk; to which it led before.
    ///
    /// # Safety
    /// `index` is not 0. `chunk` is null or what [`new_chunk`](Self::new_chunk) gave, of `PER_CHUNK` elements, and nothing
    /// else leads to it.
    unsafe fn replace_chunk(&mut self, index: usize, chunk: *mut T) -> *mut T {
        assert!(index < self.root_capacity as usize, "the root has no place {index}");
        // SAFETY: the root has room for `root_capacity` pointers; where none was written, any bits are one.
        unsafe { self.root.add(index).replace(chunk) }
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
            let last = self.chunks as usize - 1;
            if last == 0 {
                self.drop_first(memory);
            } else {
                self.release_chunk(memory, last);
            }
            self.chunks -= 1;
        }
        self.shrink_root(memory);
        if self.chunks == 1 && len * 2 <= self.first as usize && Self::elements_for(len) < self.first as usize {
            // Skipped when memory is short: shrinking is never owed.
            let _ = self.resize_first(memory, len);
        }
    }

    /// Give back chunk `index` (not 0). Its elements can't be had until [`restore_chunk`](Self::restore_chunk).
    pub(crate) fn release_chunk(&mut self, memory: &mut Memory, index: usize) {
        assert!((1..self.chunks as usize).contains(&index), "chunk {index} can't be released");
        // SAFETY: null.
        let chunk = unsafe { self.replace_chunk(index, null_mut()) };
        if let Some(base) = NonNull::new(chunk.cast()) {
            // SAFETY: a chunk after the first is a block of that size, and the root leads to it no more.
            memory.release(unsafe { Block::from_parts(base, OS_PAGE) });
        }
    }

    /// Whether chunk `index` is there.
    pub(crate) fn has_chunk(&self, index: usize) -> bool {
        let first = index == 0 && self.chunks > 0;
        first || !self.chunk_after_first(index).is_null()
    }

    /// Bring back a released chunk, empty.
    pub(crate) fn restore_chunk(&mut self, memory: &mut Memory, index: usize) -> Result<(), OutOfMemory> {
        assert!((1..self.chunks as usize).contains(&index) && !self.has_chunk(index), "chunk {index} was not released");
        let chunk = Self::new_chunk(memory, Self::PER_CHUNK)?;
        // SAFETY: a new chunk of `PER_CHUNK` elements.
        unsafe { self.replace_chunk(index, chunk) };
        Ok(())
    }

    /// Give everything back.
    pub(crate) fn clear(&mut self, memory: &mut Memory) {
        self.truncate(memory, 0);
    }

    /// Bytes that are asked for where a chunk is to hold so many elements.
    fn chunk_bytes(elements: usize) -> usize {
        if elements == Self::PER_CHUNK { OS_PAGE } else { elements * size_of::<T>() }
    }

    /// A chunk of empty elements. Panics where they are more than `PER_CHUNK`.
    fn new_chunk(memory: &mut Memory, elements: usize) -> Result<*mut T, OutOfMemory> {
        assert!(elements <= Self::PER_CHUNK, "a chunk has no room for {elements}");
        let (base, bytes) = memory.allocate(Self::chunk_bytes(elements))?.into_parts();
        let chunk = base.cast::<T>().as_ptr();
        assert!(elements * size_of::<T>() <= bytes && chunk.is_aligned());
        for i in 0..elements {
            // SAFETY: the block holds so many elements, and is ours.
            unsafe { chunk.add(i).write(T::EMPTY) };
        }
        Ok(chunk)
    }

    /// How many elements chunk 0 has room for, where `len` are wanted: all that fit in their block.
    fn elements_for(len: usize) -> usize {
        let wanted = len.clamp(1, Self::PER_CHUNK);
        (Memory::block_bytes(wanted * size_of::<T>()) / size_of::<T>()).min(Self::PER_CHUNK)
    }

    /// Another block for chunk 0, where it is the only one.
    fn resize_first(&mut self, memory: &mut Memory, len: usize) -> Result<(), OutOfMemory> {
        let elements = Self::elements_for(len);
        let new = Self::new_chunk(memory, elements)?;
        let kept = (self.first as usize).min(elements);
        if kept > 0 {
            // SAFETY: 1. Both chunks hold at least `kept` elements. 2. They are different blocks.
            unsafe { std::ptr::copy_nonoverlapping(self.chunk_0, new, kept) };
        }
        self.drop_first(memory);
        (self.chunk_0, self.first, self.chunks) = (new, elements as u32, 1);
        Ok(())
    }

    fn drop_first(&mut self, memory: &mut Memory) {
        let bytes = Memory::block_bytes(Self::chunk_bytes(self.first as usize));
        if let Some(base) = NonNull::new(self.chunk_0.cast()) {
            (self.chunk_0, self.first) = (null_mut(), 0);
            // SAFETY: chunk 0 is a block made for `first` elements, and nothing leads to it any more.
            memory.release(unsafe { Block::from_parts(base, bytes) });
        }
    }

    fn push_chunk(&mut self, memory: &mut Memory) -> Result<(), OutOfMemory> {
        let index = self.chunks as usize;
        self.reserve_root(memory, index + 1)?;
        let chunk = Self::new_chunk(memory, Self::PER_CHUNK)?;
        // SAFETY: a new chunk of `PER_CHUNK` elements.
        unsafe { self.replace_chunk(index, chunk) };
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
        if self.chunks <= 1 {
            self.release_root(memory);
        } else if self.root_capacity > 8 && self.chunks * 4 <= self.root_capacity {
            let _ = self.move_root(memory, (self.chunks as usize).next_power_of_two().max(8));
        }
    }

    /// Give the root another block, with room for `capacity` pointers: all chunks or more.
    fn move_root(&mut self, memory: &mut Memory, capacity: usize) -> Result<(), OutOfMemory> {
        assert!(capacity >= (self.chunks as usize).max(1));
        let (root_capacity, bytes) = Self::root_of(capacity).ok_or(OutOfMemory)?;
        let new = memory.allocate(bytes)?.into_parts().0.cast::<*mut T>().as_ptr();
        if self.root.is_null() {
            // SAFETY: the new root has room for more than one pointer.
            unsafe { new.write(self.chunk_0) };
        } else {
            // SAFETY: 1. The old root holds `chunks` pointers, and the new one has room for them. 2. Different blocks.
            unsafe { std::ptr::copy_nonoverlapping(self.root, new, self.chunks as usize) };
        }
        self.release_root(memory);
        (self.root, self.root_capacity) = (new, root_capacity);
        Ok(())
    }

    /// A number of pointers as it is kept, and the bytes that they take; `None` where it is beyond either.
    fn root_of(capacity: usize) -> Option<(u32, usize)> {
        Some((u32::try_from(capacity).ok()?, capacity.checked_mul(size_of::<*mut T>())?))
    }

    fn release_root(&mut self, memory: &mut Memory) {
        let bytes = Memory::block_bytes(self.root_capacity as usize * size_of::<*mut T>());
        if let Some(base) = NonNull::new(self.root.cast()) {
            // SAFETY: the root is a block made for `root_capacity` pointers, and is forgotten here.
            memory.release(unsafe { Block::from_parts(base, bytes) });
        }
        self.root = null_mut();
        self.root_capacity = 0;
    }

    /// Bytes held, for the invariant checker.
    pub(crate) fn bytes(&self) -> usize {
        let root = Memory::block_bytes(self.root_capacity as usize * size_of::<*mut T>());
        let first = Memory::block_bytes(Self::chunk_bytes(self.first as usize));
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

    /// No safe call reads what is not there.
    #[test]
    fn an_element_that_is_not_there_is_a_panic() {
        const CHUNK: usize = ChunkArray::<u16>::PER_CHUNK;
        let is_there = |array: &ChunkArray<u16>, i| std::panic::catch_unwind(|| *array.get(i)).is_ok();
        let mut memory = Memory::new();
        let mut array = ChunkArray::<u16>::new();
        assert!(!is_there(&array, 0));
        array.reserve(&mut memory, 1).unwrap();
        let small = array.capacity();
        assert!(is_there(&array, small - 1) && !is_there(&array, small) && !is_there(&array, usize::MAX));
        array.reserve(&mut memory, 3 * CHUNK).unwrap();
        array.release_chunk(&mut memory, 1);
        assert!(is_there(&array, 0) && is_there(&array, CHUNK - 1) && is_there(&array, 3 * CHUNK - 1));
        assert!(!is_there(&array, CHUNK) && !is_there(&array, 2 * CHUNK - 1) && !is_there(&array, 3 * CHUNK));
        array.clear(&mut memory);
        assert!(!is_there(&array, 0));
    }

    /// A size is checked, not cut down to the bits that there are for it.
    #[test]
    fn a_root_that_its_capacity_cannot_count_is_refused() {
        for capacity in [1 << 61, (1 << 61) + 8, 1 << 32, (1 << 32) + 100] {
            let mut memory = Memory::new();
            let mut array = ChunkArray::<u16>::new();
            array.reserve(&mut memory, 1).unwrap();
            *array.get_mut(0) = 7;
            array.reserve(&mut memory, 8 * ChunkArray::<u16>::PER_CHUNK + 1).unwrap();
            assert_eq!(array.move_root(&mut memory, capacity), Err(OutOfMemory));
            assert_eq!(*array.get(0), 7);
            array.clear(&mut memory);
            assert_eq!(memory.held(), 0);
        }
    }

    #[test]
    fn a_chunk_of_more_elements_than_there_may_be_is_a_panic() {
        for elements in [ChunkArray::<u16>::PER_CHUNK + 1, 1 << 63] {
            let make = || ChunkArray::<u16>::new_chunk(&mut Memory::new(), elements).is_ok();
            assert!(std::panic::catch_unwind(make).is_err());
        }
    }
}
