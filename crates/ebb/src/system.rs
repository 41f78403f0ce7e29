//! What is asked of the operating system: memory, and the time.
//!
//! Blocks of [`OS_PAGE`] bytes and more are anonymous mappings of their own, so that giving one back lowers the
//! process's resident memory at once; `malloc` keeps what it is given. Smaller blocks, which only small tables have,
//! are not worth a mapping and come from `malloc`, past any reserve that the program's global allocator keeps.
#![allow(unsafe_code)] // mmap, munmap, madvise, the system's allocator, and clock_gettime

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;
use std::sync::OnceLock;

/// The unit in which the operating system hands out memory.
pub(crate) const OS_PAGE: usize = 4096;
/// Blocks of a multiple of this are asked of the system as huge pages: a third of the cost to touch first, and lookups
/// that miss the processor's caches save the walk of the page tables.
pub(crate) const HUGE_PAGE: usize = 2 << 20;
/// Every block starts on a cache line.
pub(crate) const ALIGN: usize = 64;

/// A zeroed block of memory, owned by whoever holds it. It is given back with [`release`](Block::release); one that is
/// dropped leaks.
#[derive(Debug)]
pub(crate) struct Block {
    base: NonNull<u8>,
    bytes: usize,
}

impl Block {
    /// A block of so many bytes, a positive multiple of [`ALIGN`], and of [`OS_PAGE`] from that on.
    pub(crate) fn allocate(bytes: usize) -> Option<Block> {
        assert!(bytes > 0 && bytes.is_multiple_of(if bytes < OS_PAGE { ALIGN } else { OS_PAGE }));
        let base = if bytes < OS_PAGE { heap_allocate(bytes) } else { map(bytes) }?;
        Some(Block { base, bytes })
    }

    /// Give the block back.
    pub(crate) fn release(self) {
        // SAFETY: blocks of such sizes are made in such ways, and this one is owned: it is its only release.
        unsafe { if self.bytes < OS_PAGE { heap_release(self.base, self.bytes) } else { unmap(self.base, self.bytes) } }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first byte, and the length, for one who keeps the block as a pointer.
    pub(crate) fn into_parts(self) -> (NonNull<u8>, usize) {
        (self.base, self.bytes)
    }

    /// # Safety
    /// These are the parts of a block, and nobody else makes a block of them or uses its memory any more.
    pub(crate) unsafe fn from_parts(base: NonNull<u8>, bytes: usize) -> Self {
        Block { base, bytes }
    }
}

// SAFETY: a block owns its memory.
unsafe impl Send for Block {}
// SAFETY: a shared block gives no access to its memory.
unsafe impl Sync for Block {}

fn layout(bytes: usize) -> Layout {
    let align = match bytes {
        0..OS_PAGE => ALIGN,
        _ if bytes.is_multiple_of(HUGE_PAGE) => HUGE_PAGE,
        _ => OS_PAGE,
    };
    Layout::from_size_align(bytes, align).expect("a size that was checked, and a power of two")
}

fn heap_allocate(bytes: usize) -> Option<NonNull<u8>> {
    assert!(bytes > 0);
    // SAFETY: the layout is not empty.
    NonNull::new(unsafe { System.alloc_zeroed(layout(bytes)) })
}

/// # Safety
/// `heap_allocate` gave these bytes, all of them, and nobody uses them any more.
unsafe fn heap_release(base: NonNull<u8>, bytes: usize) {
    // SAFETY: as the caller says; the layout depends on the size alone.
    unsafe { System.dealloc(base.as_ptr(), layout(bytes)) }
}

fn map(bytes: usize) -> Option<NonNull<u8>> {
    if cfg!(miri) {
        return heap_allocate(bytes); // Miri knows neither `madvise` nor how to unmap a part
    }
    if bytes.is_multiple_of(HUGE_PAGE) {
        return map_huge(bytes);
    }
    let base = map_anywhere(bytes)?;
    if huge_pages_always() {
        // SAFETY: it was just mapped.
        unsafe { advise(base, bytes, NO_HUGE_PAGES) };
    }
    Some(base)
}

/// A mapping that starts on a huge page's boundary: a larger one, less what sticks out.
fn map_huge(bytes: usize) -> Option<NonNull<u8>> {
    let base = map_anywhere(bytes.checked_add(HUGE_PAGE)?)?;
    let before = base.addr().get().next_multiple_of(HUGE_PAGE) - base.addr().get();
    // SAFETY: 1. `before < HUGE_PAGE`, so all this is within the mapping. 2. What sticks out nobody knows of. 3. The rest
    // was just mapped.
    unsafe {
        let aligned = base.add(before);
        let out = [(base, before), (aligned.add(bytes), HUGE_PAGE - before)];
        out.into_iter().filter(|&(_, len)| len > 0).for_each(|(from, len)| unmap(from, len));
        advise(aligned, bytes, HUGE_PAGES);
        Some(aligned)
    }
}

fn map_anywhere(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: a new private anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if base == libc::MAP_FAILED { None } else { NonNull::new(base.cast()) }
}

/// # Safety
/// `map` gave these bytes, all of them (outside Miri: or a part of them), and nobody uses them any more.
unsafe fn unmap(base: NonNull<u8>, bytes: usize) {
    if cfg!(miri) {
        // SAFETY: as the caller says; under Miri `map` has them from there.
        return unsafe { heap_release(base, bytes) };
    }
    let base = base.as_ptr().cast();
    // SAFETY: a mapping of so many bytes, as the caller says.
    let failed = unsafe { libc::munmap(base, bytes) } != 0;
    if failed {
        // The kernel refuses when the hole would make one mapping too many (vm.max_map_count). The memory itself can
        // still be given back; what stays is a range of addresses.
        // SAFETY: as above.
        unsafe { libc::madvise(base, bytes, libc::MADV_DONTNEED) };
    }
}

/// Whether the kernel makes 2 MiB pages unasked: it would then fill holes between blocks, and resident memory would
/// come back after it was given back.
fn huge_pages_always() -> bool {
    static ALWAYS: OnceLock<bool> = OnceLock::new();
    *ALWAYS.get_or_init(|| {
        std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")
            .is_ok_and(|text| text.contains("[always]"))
    })
}

#[cfg(target_os = "linux")]
const HUGE_PAGES: libc::c_int = libc::MADV_HUGEPAGE;
#[cfg(target_os = "linux")]
const NO_HUGE_PAGES: libc::c_int = libc::MADV_NOHUGEPAGE;
#[cfg(not(target_os = "linux"))]
const HUGE_PAGES: libc::c_int = libc::MADV_NORMAL;
#[cfg(not(target_os = "linux"))]
const NO_HUGE_PAGES: libc::c_int = libc::MADV_NORMAL;

/// Advice that the system may ignore.
///
/// # Safety
/// Nobody else uses these bytes of a mapping, or the advice changes no contents.
unsafe fn advise(base: NonNull<u8>, bytes: usize, advice: libc::c_int) {
    // SAFETY: as the caller says.
    unsafe { libc::madvise(base.as_ptr().cast(), bytes, advice) };
}

/// Milliseconds of the system's monotonic clock.
#[inline]
pub(crate) fn millis() -> u64 {
    millis_of(libc::CLOCK_MONOTONIC)
}

/// The same as it was at the clock's last tick, for a fifth of the cost.
#[inline]
pub(crate) fn coarse_millis() -> u64 {
    millis_of(COARSE)
}

fn millis_of(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec to be written.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

#[cfg(target_os = "linux")]
const COARSE: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
#[cfg(not(target_os = "linux"))]
const COARSE: libc::clockid_t = libc::CLOCK_MONOTONIC;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_block_starts_on_its_boundary_and_is_all_there() {
        let block = Block::allocate(2 * HUGE_PAGE).unwrap();
        assert_eq!(block.base.addr().get() % HUGE_PAGE, 0);
        // SAFETY: the block is that long, zeroed, and nobody else's.
        let bytes = unsafe { std::slice::from_raw_parts_mut(block.base.as_ptr(), block.bytes) };
        assert!(bytes.iter().step_by(OS_PAGE).all(|&byte| byte == 0));
        bytes.fill(1);
        block.release();
    }
}
