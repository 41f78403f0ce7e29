//! The one door to the operating system: every byte a table holds is asked for, counted and given back here.
//!
//! Blocks of [`OS_PAGE`] bytes and more are anonymous mappings of their own, so that giving one back lowers the
//! process's resident memory at once; `malloc` keeps what it is given. Smaller blocks, which only small tables have,
//! are not worth a mapping and come from `malloc`, past any reserve that the program's global allocator keeps.
#![allow(unsafe_code)] // mmap, munmap, madvise and the system's allocator

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;
use std::sync::OnceLock;

/// The unit in which the operating system hands out memory.
pub(crate) const OS_PAGE: usize = 4096;
/// Blocks of a multiple of this are asked of the system as huge pages: a third of the cost to touch first, and lookups
/// that miss the processor's caches save the walk of the page tables.
pub(crate) const HUGE_PAGE: usize = 2 << 20;
/// Every block starts on a cache line.
const ALIGN: usize = 64;

/// Memory could not be had. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory;

impl std::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("out of memory")
    }
}

impl std::error::Error for OutOfMemory {}

/// A zeroed block of memory, owned by whoever holds it. It is given back with [`Memory::release`]; one that is dropped
/// leaks.
#[derive(Debug)]
pub(crate) struct Block {
    base: NonNull<u8>,
    bytes: usize,
}

impl Block {
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

/// Added to an allowance: the allocation after it panics instead of being refused, as if the engine had a fault.
const PANIC: u64 = 1 << 63;

/// Counts what one table holds, and can be told to refuse.
#[derive(Debug)]
pub(crate) struct Memory {
    held: usize,
    got: u64,
    returned: u64,
    /// How many more allocations succeed; tests lower it, and may add [`PANIC`].
    allowance: u64,
    /// No more than this is held at any moment.
    limit: usize,
    /// Whether something was refused because of the limit.
    limited: bool,
}

impl Memory {
    pub(crate) const fn new() -> Self {
        Memory { held: 0, got: 0, returned: 0, allowance: u64::MAX, limit: usize::MAX, limited: false }
    }

    /// Hold at most `limit` bytes from now on.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether an allocation was refused because of the limit since this was last asked.
    pub(crate) fn was_limited(&mut self) -> bool {
        std::mem::take(&mut self.limited)
    }

    /// Bytes held now.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Blocks got and given back so far.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        (self.got, self.returned)
    }

    /// Let only `allocations` more succeed; `u64::MAX` lifts the limit. With the highest bit set, the next one panics
    /// instead of being refused. For tests.
    pub(crate) fn set_allowance(&mut self, allocations: u64) {
        self.allowance = allocations;
    }

    pub(crate) fn allowance(&self) -> u64 {
        self.allowance
    }

    /// The size of the block that `allocate(bytes)` would make.
    pub(crate) fn block_bytes(bytes: usize) -> usize {
        if bytes < OS_PAGE { bytes.next_multiple_of(ALIGN) } else { bytes.next_multiple_of(OS_PAGE) }
    }

    /// A zeroed block of at least `bytes` (more than 0).
    pub(crate) fn allocate(&mut self, bytes: usize) -> Result<Block, OutOfMemory> {
        if self.allowance & !PANIC == 0 {
            assert!(self.allowance & PANIC == 0, "a test asked for this panic");
            return Err(OutOfMemory);
        }
        // Sizes beyond the address space must not wrap when rounded.
        if bytes > isize::MAX as usize / 2 {
            return Err(OutOfMemory);
        }
        let bytes = Self::block_bytes(bytes);
        if self.held + bytes > self.limit {
            self.limited = true;
            return Err(OutOfMemory);
        }
        let base = if bytes < OS_PAGE { heap_allocate(bytes) } else { map(bytes) }.ok_or(OutOfMemory)?;
        if self.allowance != u64::MAX {
            self.allowance -= 1;
        }
        self.held += bytes;
        self.got += 1;
        Ok(Block { base, bytes })
    }

    /// Give a block back.
    pub(crate) fn release(&mut self, block: Block) {
        self.held -= block.bytes;
        self.returned += 1;
        if block.bytes < OS_PAGE {
            heap_release(block);
        } else {
            unmap(block);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        debug_assert!(self.held == 0 || std::thread::panicking(), "{} bytes were not given back", self.held);
    }
}

/// The layout of a block that comes from `malloc`. Under Miri all do, on the boundaries that mappings have.
fn layout(bytes: usize) -> Layout {
    let align = match bytes {
        0..OS_PAGE => ALIGN,
        _ if bytes.is_multiple_of(HUGE_PAGE) => HUGE_PAGE,
        _ => OS_PAGE,
    };
    Layout::from_size_align(bytes, align).expect("a size that was checked, and a power of two")
}

fn heap_allocate(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: the layout is not empty: `bytes` is a positive multiple of ALIGN.
    NonNull::new(unsafe { System.alloc_zeroed(layout(bytes)) })
}

fn heap_release(block: Block) {
    // SAFETY: 1. `heap_allocate` made the block with the same layout. 2. The block is owned, so this is its only release.
    unsafe { System.dealloc(block.base.as_ptr(), layout(block.bytes)) }
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
        advise(base, bytes, NO_HUGE_PAGES);
    }
    Some(base)
}

/// A mapping that starts on a huge page's boundary: a larger one, less what sticks out.
fn map_huge(bytes: usize) -> Option<NonNull<u8>> {
    let base = map_anywhere(bytes + HUGE_PAGE)?;
    let before = base.addr().get().next_multiple_of(HUGE_PAGE) - base.addr().get();
    // SAFETY: `before <= HUGE_PAGE`, so this is within the mapping.
    let aligned = unsafe { base.add(before) };
    for (from, len) in [(base, before), (aligned.map_addr(|a| a.saturating_add(bytes)), HUGE_PAGE - before)] {
        if len > 0 {
            unmap(Block { base: from, bytes: len });
        }
    }
    advise(aligned, bytes, HUGE_PAGES);
    Some(aligned)
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

fn unmap(block: Block) {
    if cfg!(miri) {
        return heap_release(block);
    }
    let base = block.base.as_ptr().cast();
    // SAFETY: 1. `map` made the block, with this length. 2. It is owned, so nobody else has a pointer to it.
    let failed = unsafe { libc::munmap(base, block.bytes) } != 0;
    if failed {
        // The kernel refuses when the hole would make one mapping too many (vm.max_map_count). The memory itself can
        // still be given back; what stays is a range of addresses.
        // SAFETY: as above.
        unsafe { libc::madvise(base, block.bytes, libc::MADV_DONTNEED) };
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
fn advise(base: NonNull<u8>, bytes: usize, advice: libc::c_int) {
    // SAFETY: the range is one that was just mapped; the advice changes no contents.
    unsafe { libc::madvise(base.as_ptr().cast(), bytes, advice) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_it_holds_and_gives_it_back() {
        let mut memory = Memory::new();
        let small = memory.allocate(100).unwrap();
        let large = memory.allocate(5000).unwrap();
        assert_eq!((small.bytes, large.bytes), (128, 8192));
        assert_eq!(memory.held(), 128 + 8192);
        memory.release(small);
        memory.release(large);
        assert_eq!(memory.held(), 0);
        assert_eq!(memory.traffic(), (2, 2));
    }

    #[test]
    fn a_huge_block_starts_on_its_boundary_and_is_all_there() {
        let mut memory = Memory::new();
        let block = memory.allocate(2 * HUGE_PAGE).unwrap();
        assert_eq!(block.base.addr().get() % HUGE_PAGE, 0);
        // SAFETY: the block is that long, zeroed, and nobody else's.
        let bytes = unsafe { std::slice::from_raw_parts_mut(block.base.as_ptr(), block.bytes) };
        assert!(bytes.iter().step_by(OS_PAGE).all(|&byte| byte == 0));
        bytes.fill(1);
        memory.release(block);
    }

    #[test]
    fn refuses_when_told_and_when_the_size_is_absurd() {
        let mut memory = Memory::new();
        memory.set_allowance(0);
        assert_eq!(memory.allocate(64).unwrap_err(), OutOfMemory);
        memory.set_allowance(u64::MAX);
        assert_eq!(memory.allocate(usize::MAX).unwrap_err(), OutOfMemory);
        assert_eq!(memory.allocate(1 << 60).unwrap_err(), OutOfMemory);
        assert_eq!(memory.held(), 0);
    }
}
