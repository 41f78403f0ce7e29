//! The end of the interpreter waits for the sweeper.

use crate::cache::sweeper::state::with_sweeper;
use crate::cache::sweeper::thread::release;
use crate::python::calls;
use crate::python::log::warn;
use pyo3::prelude::*;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the end of the interpreter waits before it says for what.
const SILENCE: Duration = Duration::from_secs(5);
/// How long it sleeps between two looks.
const PAUSE: Duration = Duration::from_micros(50);

/// End the thread, and wait until it has, and those before it, which may be in an `on_remove`: the interpreter is going.
/// A signal ends the wait, by what its handler raises. What takes long is named in the log.
#[pyfunction]
pub(crate) fn _stop_sweeper(py: Python<'_>) -> PyResult<()> {
    let ended = with_sweeper(py, |sweeper| {
        sweeper.closed = true;
        sweeper.stop();
        std::mem::take(&mut sweeper.ended)
    });
    let mut say_at = Some(Instant::now() + SILENCE);
    ended.into_iter().try_for_each(|thread| wait_for(py, thread, &mut say_at))
}

fn wait_for(py: Python<'_>, thread: JoinHandle<()>, say_at: &mut Option<Instant>) -> PyResult<()> {
    while !thread.is_finished() {
        py.detach(|| std::thread::sleep(PAUSE));
        calls::check_signals(py)?;
        if say_at.is_some_and(|moment| Instant::now() >= moment) {
            *say_at = None;
            tell_of_work(py);
        }
    }
    drop(thread.join());
    Ok(())
}

/// Log what the end of the interpreter waits for.
fn tell_of_work(py: Python<'_>) {
    let at_work = with_sweeper(py, |sweeper| sweeper.at_work.iter().find_map(|(_, shared)| shared.upgrade()));
    let Some(shared) = at_work else { return };
    match shared.settings().on_remove.get(py) {
        Some(on_remove) => {
            warn(py, "the interpreter can't exit before on_remove=%r returns", Some(on_remove.bind(py)));
        }
        None => warn(py, "the interpreter can't exit before an expired object's __del__ returns", None),
    }
    release(shared);
}
