//! What is asked of the operating system: ranges of addresses, their memory, and the time; and of the processor: lines of
//! memory ahead of time, and sixteen bytes compared at once.
#![allow(unsafe_code)] // mmap and its like, pthread_atfork, clock_gettime, and intrinsics

use std::alloc::Layout;
use std::ptr::NonNull;

/// The unit in which the operating system hands out memory.
pub(crate) const OS_PAGE: usize = 4096;
/// The unit of ranges of huge pages: a third of the cost to touch first, and lookups that miss the processor's caches save
/// the walk of the page tables.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// Whether each block is an allocation of its own, from `malloc`: Miri and the sanitizers see then what reaches beyond it. Miri
/// knows neither `madvise` nor how to unmap a part.
pub(crate) const ALONE: bool = cfg!(any(miri, feature = "alone"));

/// What pages a range is made of, all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Of [`OS_PAGE`] only: the kernel would otherwise fill gaps where it makes huge pages unasked (`THP=always`), and
    /// memory would come back after it was given back.
    Small,
    /// Of [`HUGE_PAGE`], where the kernel has them.
    Huge,
}

impl Pages {
    /// The size of a page.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Pages::Small => OS_PAGE,
            Pages::Huge => HUGE_PAGE,
        }
    }
}

/// A range of addresses that is owned by whoever holds it. Memory comes with the first touch, zeroed. It is given up with
/// [`release`](Range::release); one that is dropped stays.
#[derive(Debug)]
pub(crate) struct Range {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a range owns its memory.
unsafe impl Send for Range {}
// SAFETY: a shared range gives no access to its memory.
unsafe impl Sync for Range {}

impl Range {
    /// A range of so many bytes, a positive multiple of [`OS_PAGE`], and of [`HUGE_PAGE`] where it is to be of those.
    pub(crate) fn reserve(bytes: usize, pages: Pages) -> Option<Range> {
        assert!(bytes > 0 && (bytes.is_multiple_of(pages.bytes()) || ALONE));
        let base = map_aligned(bytes, pages.bytes())?;
        let advice = if pages == Pages::Huge { HUGE_PAGES } else { NO_HUGE_PAGES };
        // SAFETY: it was just mapped.
        unsafe { advise(base, bytes, advice) };
        Some(Range { base, bytes })
    }

    /// # Safety
    /// These are the parts of a range that was forgotten.
    pub(crate) unsafe fn from_parts(base: NonNull<u8>, bytes: usize) -> Range {
        Range { base, bytes }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its first address.
    pub(crate) fn address(&self) -> usize {
        self.base.addr().get()
    }

    /// The address so many bytes into the range. Panics where that is beyond it.
    pub(crate) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.bytes, "an offset within the range");
        // SAFETY: it is within the range.
        unsafe { self.base.add(offset) }
    }

    /// Give a part's memory back to the system; whether that was done. The addresses stay, and have zeroed memory again
    /// when they are next touched.
    ///
    /// # Safety
    /// Nobody uses these bytes, which are whole pages of a range.
    pub(crate) unsafe fn return_memory(base: NonNull<u8>, bytes: usize) -> bool {
        // SAFETY: as the caller says.
        ALONE || RETURNING.iter().any(|&advice| unsafe { libc::madvise(base.as_ptr().cast(), bytes, advice) } == 0)
    }

    /// Give the range up; whether the system took it, which a limit of mappings may keep it from.
    ///
    /// # Safety
    /// Nobody uses any of it.
    pub(crate) unsafe fn release(&self) -> bool {
        if ALONE {
            // SAFETY: as the caller says; `map_aligned` has ranges from there then.
            unsafe { std::alloc::dealloc(self.base.as_ptr(), heap_layout(self.bytes)) };
            return true;
        }
        // SAFETY: a mapping of so many bytes, as the caller says.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) == 0 }
    }
}

/// The layout of a range that comes from `malloc`.
fn heap_layout(bytes: usize) -> Layout {
    let align = [HUGE_PAGE, OS_PAGE, 64].into_iter().find(|&align| bytes.is_multiple_of(align)).unwrap_or(1);
    Layout::from_size_align(bytes, align).expect("a size that was checked, and a power of two")
}

/// A mapping that starts on a multiple of `unit`: a larger one, less what sticks out.
fn map_aligned(bytes: usize, unit: usize) -> Option<NonNull<u8>> {
    if ALONE {
        // SAFETY: the layout is not empty.
        return NonNull::new(unsafe { std::alloc::alloc_zeroed(heap_layout(bytes)) });
    }
    if unit == OS_PAGE {
        return map(bytes);
    }
    let base = map(bytes.checked_add(unit)?)?;
    let before = base.addr().get().next_multiple_of(unit) - base.addr().get();
    // SAFETY: 1. `before < unit`, so all this is within the mapping. 2. What sticks out nobody knows of.
    unsafe {
        let aligned = base.add(before);
        let out = [(base, before), (aligned.add(bytes), unit - before)];
        out.into_iter().filter(|&(_, len)| len > 0).for_each(|(from, len)| {
            libc::munmap(from.as_ptr().cast(), len);
        });
        Some(aligned)
    }
}

fn map(bytes: usize) -> Option<NonNull<u8>> {
    let untouched = if fills_new_mappings() { map_untouched(bytes) } else { None };
    untouched.or_else(|| map_with(bytes, READ_WRITE))
}

const READ_WRITE: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;

fn map_with(bytes: usize, protection: libc::c_int) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new private anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if base == libc::MAP_FAILED { None } else { NonNull::new(base.cast()) }
}

/// Whether the kernel gives new mappings all their memory at once, as after `mlockall(MCL_FUTURE)`. Not where it says so of
/// what can't be accessed too, as gVisor does of all pages.
#[cfg(target_os = "linux")]
fn fills_new_mappings() -> bool {
    is_filled(READ_WRITE) && !is_filled(libc::PROT_NONE)
}

/// Whether a new page is resident.
#[cfg(target_os = "linux")]
fn is_filled(protection: libc::c_int) -> bool {
    let Some(page) = map_with(OS_PAGE, protection) else { return false };
    let mut resident = 0u8;
    // SAFETY: 1. A mapping of one page, which nobody else knows of. 2. A byte for the one page.
    unsafe {
        let is_known = libc::mincore(page.as_ptr().cast(), OS_PAGE, &mut resident) == 0;
        libc::munmap(page.as_ptr().cast(), OS_PAGE);
        is_known && resident & 1 == 1
    }
}

#[cfg(not(target_os = "linux"))]
fn fills_new_mappings() -> bool {
    false
}

/// A mapping that is locked as the process wants it, but each page when it is first touched. `None` where the system does not
/// let it be.
#[cfg(target_os = "linux")]
fn map_untouched(bytes: usize) -> Option<NonNull<u8>> {
    let base = map_with(bytes, libc::PROT_NONE)?; // such pages are not filled
    let start: *mut libc::c_void = base.as_ptr().cast();
    // SAFETY: a mapping of so many bytes, which nobody else knows of.
    unsafe {
        let is_done = libc::munlock(start, bytes) == 0
            && libc::mprotect(start, bytes, READ_WRITE) == 0
            && libc::syscall(libc::SYS_mlock2, start, bytes, libc::MLOCK_ONFAULT) == 0;
        if !is_done {
            libc::munmap(start, bytes);
        }
        is_done.then_some(base)
    }
}

#[cfg(not(target_os = "linux"))]
fn map_untouched(_bytes: usize) -> Option<NonNull<u8>> {
    None
}

/// How memory is given back: the second does for memory that is locked, from Linux 5.18 on.
#[cfg(target_os = "linux")]
const RETURNING: [libc::c_int; 2] = [libc::MADV_DONTNEED, libc::MADV_DONTNEED_LOCKED];
#[cfg(not(target_os = "linux"))]
const RETURNING: [libc::c_int; 1] = [libc::MADV_DONTNEED];

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
    if !ALONE {
        // SAFETY: as the caller says.
        unsafe { libc::madvise(base.as_ptr().cast(), bytes, advice) };
    }
}

/// Have the C library call these at every fork, from now on: before it, and after it in the parent and in the child.
pub(crate) fn at_fork(before: extern "C" fn(), in_parent: extern "C" fn(), in_child: extern "C" fn()) {
    if !cfg!(miri) {
        // SAFETY: functions that live as long as the process.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    }
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

/// Which of sixteen bytes equal `byte`, a bit each.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn equal_bytes(bytes: &[u8; 16], byte: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    // SAFETY: 1. SSE2 is part of every x86-64. 2. `bytes` are 16, anywhere.
    let mask = unsafe {
        let all = _mm_loadu_si128(bytes.as_ptr().cast());
        _mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_set1_epi8(byte as i8)))
    };
    mask as u32
}

/// Which of sixteen bytes equal `byte`, a bit each.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn equal_bytes(bytes: &[u8; 16], byte: u8) -> u32 {
    bytes.iter().enumerate().fold(0, |mask, (i, &other)| mask | u32::from(other == byte) << i)
}

/// Bytes that come together.
pub(crate) const CACHE_LINE: usize = 64;

/// The caches that a line can be asked into, by the processor's number for them.
const FIRST: i32 = 3;
const SECOND: i32 = 2;

/// Ask for the cache line of `address`, which is needed in a moment.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    prefetch_into::<FIRST, T>(address);
}

/// Ask for the cache line of `address`, one of many that are needed later: the processor's second cache has more of them
/// on their way at a time than the first.
#[inline(always)]
pub(crate) fn prefetch_early<T>(address: *const T) {
    prefetch_into::<SECOND, T>(address);
}

#[inline(always)]
fn prefetch_into<const CACHE: i32, T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address changes nothing and can't fault.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<CACHE>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// As [`prefetch_early`], for all lines that bytes are on.
#[inline]
pub(crate) fn prefetch_all(bytes: &[u8]) {
    (0..bytes.len()).step_by(CACHE_LINE).for_each(|at| prefetch_early(&bytes[at]));
    bytes.last().into_iter().for_each(|last| prefetch_early(last));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_huge_pages_starts_on_a_boundary_and_is_all_there() {
        let range = Range::reserve(2 * HUGE_PAGE, Pages::Huge).unwrap();
        assert_eq!(range.address() % HUGE_PAGE, 0);
        // SAFETY: the range is that long, zeroed, and nobody else's.
        unsafe {
            let bytes = std::slice::from_raw_parts_mut(range.at(0).as_ptr(), range.bytes());
            assert!(bytes.iter().step_by(OS_PAGE).all(|&byte| byte == 0));
            bytes.iter_mut().step_by(OS_PAGE).for_each(|byte| *byte = 1);
            assert!(range.release());
        }
    }
}
