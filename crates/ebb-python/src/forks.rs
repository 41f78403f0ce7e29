//! What a fork waits for, and what is done after it: by Python's hooks (`os.register_at_fork`), and by the C library's where
//! a `fork` from C code, such as uWSGI's, runs none of Python's.

use crate::cache::sweeper::forks as sweeper;
use crate::python::{gate, process};
use pyo3::prelude::*;
use std::cell::Cell;
use std::panic::catch_unwind;

/// A number that differs between a child and its parent.
#[pyfunction]
pub(crate) fn _forks() -> u32 {
    gate::forks()
}

/// Wait until no table is in use without the interpreter, and keep it so. A child would otherwise inherit a table in
/// the middle of a change, and a lock nobody will open. Others have the interpreter meanwhile.
#[pyfunction]
pub(crate) fn _before_fork(py: Python<'_>) {
    gate::want_fork();
    py.detach(gate::close);
    sweeper::before_fork(py);
}

/// Go on, in the parent.
#[pyfunction]
pub(crate) fn _after_fork() {
    sweeper::after_fork();
    gate::open();
}

/// Go on in the child: no other thread came along.
#[pyfunction]
pub(crate) fn _after_fork_in_child() {
    gate::enter_child();
    sweeper::after_fork_in_child();
    gate::open_in_child();
}

thread_local! {
    /// Whether it was `prepare` that closed the gate.
    static PREPARED: Cell<bool> = const { Cell::new(false) };
}

/// Have the C library call the three functions below at every fork, from now on.
pub(crate) fn watch_forks() {
    ebb::watch_forks(); // before ours, which wait for those who use tables
    process::at_fork(prepare, in_parent, in_child);
}

extern "C" fn prepare() {
    if gate::is_closed_by_this_thread() {
        return; // Python's hooks have run
    }
    quietly(|| {
        gate::want_fork();
        gate::close();
        sweeper::before_native_fork();
        PREPARED.set(true);
    });
}

extern "C" fn in_parent() {
    if PREPARED.take() {
        quietly(_after_fork);
    }
}

extern "C" fn in_child() {
    if PREPARED.take() {
        quietly(_after_fork_in_child);
    }
}

/// A panic must not pass through the C library; the panic hook has told of it.
fn quietly(work: fn()) {
    drop(catch_unwind(work));
}
