//! What the process, its threads and its interpreter are and can do: functions of the C library and of CPython.
#![allow(unsafe_code)] // functions of the C library and of CPython

use crate::python::errors::error;
use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::sync::Once;
use std::time::Duration;

/// `ImportError` in a subinterpreter: what the process has one of (the thread that sweeps, the lock that forks wait for)
/// belongs to the main interpreter. The module itself may be there already: CPython copies it from one interpreter to
/// the next without asking.
#[pyfunction]
pub(crate) fn _check_interpreter(py: Python<'_>) -> PyResult<()> {
    // SAFETY: `py` says that this thread is attached to an interpreter, which is alive meanwhile.
    let number = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    match number {
        -1 => Err(PyErr::fetch(py)),
        0 => Ok(()),
        _ => Err(error::<PyImportError>(py, format_args!("ebbmap can't be used in a subinterpreter"))),
    }
}

/// Whether a thread can attach. Where no Python thread is left, CPython 3.11 aborts the process if one tries; and where it
/// has no memory for the thread's state.
pub(crate) fn can_attach() -> bool {
    const MORE_THAN_A_STATE: usize = 16 << 10;
    // SAFETY: 1. The block is given back once, unused; it may be null. 2. The state of the main interpreter is static memory
    // of CPython, from 3.11 on; its list of states is only looked at. None of this needs the interpreter.
    unsafe {
        let block = ffi::PyMem_RawMalloc(MORE_THAN_A_STATE);
        ffi::PyMem_RawFree(block);
        let interpreter = ffi::PyInterpreterState_Main();
        !block.is_null() && !interpreter.is_null() && !ffi::PyInterpreterState_ThreadHead(interpreter).is_null()
    }
}

/// Whether the address space has room for so many bytes: where the C library and CPython get none for a new thread, they
/// abort the process.
pub(crate) fn has_address_space(bytes: usize) -> bool {
    let (access, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE);
    // SAFETY: 1. A new mapping, placed by the system. 2. It is given back whole, and was not used.
    unsafe {
        let block = libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0);
        block != libc::MAP_FAILED && libc::munmap(block, bytes) == 0
    }
}

/// End a process whose only task is done: as one ends whose only thread returns.
pub(crate) fn end() -> ! {
    // SAFETY: it may be called at any time.
    unsafe { libc::_exit(0) }
}

/// How long this thread has run.
pub(crate) fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How many threads this process has, without a first one that has ended.
#[cfg(target_os = "linux")]
pub(crate) fn threads() -> Option<usize> {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
    // The name, in parentheses, may have any character in it; the count is the 18th field after it.
    let threads: usize = stat.rsplit_once(')')?.1.split_whitespace().nth(17)?.parse().ok()?;
    Some(threads - 1) // the first stays as a zombie until the process ends
}

#[cfg(target_os = "macos")]
pub(crate) fn threads() -> Option<usize> {
    let mut info = std::mem::MaybeUninit::<libc::proc_taskinfo>::uninit();
    let size = size_of::<libc::proc_taskinfo>() as i32;
    // SAFETY: 1. `info` has room for `size` bytes. 2. It is read only if the call has filled it.
    unsafe {
        let filled = libc::proc_pidinfo(libc::getpid(), libc::PROC_PIDTASKINFO, 0, info.as_mut_ptr().cast(), size);
        (filled == size).then(|| info.assume_init().pti_threadnum as usize)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(crate) fn threads() -> Option<usize> {
    None
}

/// A function that the C library calls at a fork. It must not unwind.
pub(crate) type ForkHook = extern "C" fn();

/// Have the C library call these at every fork: the first before it, the others after it, in the parent and in the child.
/// Only the first call of this does anything. Without memory for it, Python's hooks are all there is.
pub(crate) fn at_fork(prepare: ForkHook, in_parent: ForkHook, in_child: ForkHook) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the functions live as long as the process: Python unloads no extension module.
        let _ = unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
    });
}
