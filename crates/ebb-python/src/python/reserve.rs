//! The allocator of the binding: the system's, and a reserve for what must not fail.
//!
//! Rust's standard library and PyO3 abort the process when a small allocation of theirs fails, such as the box of an
//! exception. Those that the system refuses are taken from a reserve, so that a `MemoryError` can be raised and handled.
//! What grows with a table is never taken from it: the engine asks the system itself, and takes no for an answer.
#![allow(unsafe_code)] // an allocator

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering};

const BLOCK: usize = 2 << 10;
const BLOCKS: usize = u64::BITS as usize;

/// The system's pages are only touched when a block is used.
#[repr(align(16))]
struct Blocks(UnsafeCell<[[u8; BLOCK]; BLOCKS]>);

// SAFETY: a block is used only by whoever set its bit in `USED`.
unsafe impl Sync for Blocks {}

static RESERVE: Blocks = Blocks(UnsafeCell::new([[0; BLOCK]; BLOCKS]));
/// A bit for each block.
static USED: AtomicU64 = AtomicU64::new(0);

pub(crate) struct WithReserve;

#[global_allocator]
static ALLOCATOR: WithReserve = WithReserve;

/// A block of the reserve, if `layout` fits one and one is free.
#[cold]
fn take(layout: Layout) -> *mut u8 {
    if layout.size() > BLOCK || layout.align() > 16 {
        return std::ptr::null_mut();
    }
    loop {
        let number = USED.load(Ordering::Relaxed).trailing_ones() as usize;
        if number == BLOCKS {
            return std::ptr::null_mut();
        }
        if USED.fetch_or(1 << number, Ordering::Acquire) & (1 << number) == 0 {
            return RESERVE.0.get().cast::<u8>().wrapping_add(number * BLOCK);
        }
    }
}

/// Which block of the reserve starts at `at`.
#[inline]
fn number_of(at: *mut u8) -> Option<usize> {
    let offset = (at as usize).wrapping_sub(RESERVE.0.get() as usize);
    (offset < BLOCK * BLOCKS).then_some(offset / BLOCK)
}

// SAFETY: 1. Blocks of the system are the system's. 2. A block of the reserve is aligned to 16 bytes, `BLOCK` long, and
// used by one owner from `take` until `dealloc`. 3. Nothing here unwinds.
unsafe impl GlobalAlloc for WithReserve {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller says.
        let at = unsafe { System.alloc(layout) };
        if at.is_null() { take(layout) } else { at }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller says.
        let at = unsafe { System.alloc_zeroed(layout) };
        if !at.is_null() {
            return at;
        }
        let at = take(layout);
        if !at.is_null() {
            // SAFETY: a block that was just taken, at least as long as the layout.
            unsafe { at.write_bytes(0, layout.size()) };
        }
        at
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        match number_of(at) {
            Some(number) => drop(USED.fetch_and(!(1 << number), Ordering::Release)),
            // SAFETY: the system's block, with the caller's layout.
            None => unsafe { System.dealloc(at, layout) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if number_of(at).is_none() {
            // SAFETY: the system's block, with the caller's layout.
            let grown = unsafe { System.realloc(at, layout, size) };
            if !grown.is_null() || size > BLOCK {
                return grown;
            }
        }
        // SAFETY: 1. The caller says that `size` makes a layout with this alignment. 2. Both blocks hold what is copied,
        // and are not the same. 3. The old one is released once, when the new one is had.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(at, moved, layout.size().min(size));
                self.dealloc(at, layout);
            }
            moved
        }
    }
}

/// Whether there is memory for a `T` beside the reserve: for a box or an `Arc` that can't be asked for fallibly.
pub(crate) fn has_room_for<T>() -> bool {
    let layout = Layout::new::<(T, [usize; 2])>();
    // SAFETY: 1. The layout is not empty. 2. The block is released once, as it was asked for.
    unsafe {
        // The compiler takes an allocation that nobody uses away, and has it succeed.
        let at = std::hint::black_box(System.alloc(layout));
        if !at.is_null() {
            System.dealloc(at, layout);
        }
        !at.is_null()
    }
}
