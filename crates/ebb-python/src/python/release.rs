//! Dropping what holds others that are dropped with it.

use crate::python::reserve::has_room_for;
use pyo3::prelude::*;
use std::cell::RefCell;

/// Deeper than this, what a dying map held waits until the maps around it have gone: a map in a map in a map, ten
/// thousand deep, must not use up the stack.
const DEEPEST: usize = 40;

type Release = Box<dyn FnOnce(Python<'_>)>;

thread_local! {
    /// How deep in drops this thread is, and what waits until they are done.
    static DYING: RefCell<(usize, Vec<Release>)> = const { RefCell::new((0, Vec::new())) };
}

/// Run `release`, which drops objects, now or once the drops it is part of are done. Where there is no memory to put it
/// off, it is now, at the cost of stack.
pub(crate) fn release_nested<F: FnOnce(Python<'_>) + 'static>(py: Python<'_>, release: F) {
    let depth = DYING.with_borrow(|(depth, _)| depth + 1);
    DYING.with_borrow_mut(|(deeper, _)| *deeper = depth);
    release_at(py, depth, release);
    if depth == 1 {
        while let Some(next) = DYING.with_borrow_mut(|(_, waiting)| waiting.pop()) {
            next(py);
        }
    }
    DYING.with_borrow_mut(|(deeper, _)| *deeper = depth - 1);
}

fn release_at<F: FnOnce(Python<'_>) + 'static>(py: Python<'_>, depth: usize, release: F) {
    let has_room = || has_room_for::<F>() && DYING.with_borrow_mut(|(_, waiting)| waiting.try_reserve(1).is_ok());
    if depth > DEEPEST && has_room() {
        DYING.with_borrow_mut(|(_, waiting)| waiting.push(Box::new(release)));
    } else {
        release(py);
    }
}
