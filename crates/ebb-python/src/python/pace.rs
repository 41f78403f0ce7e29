//! Long work that has the interpreter: letting other threads have it, and signals be handled.

use crate::python::calls;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::time::{Duration, Instant};

/// How long work goes on between two pauses.
const STRETCH: Duration = Duration::from_millis(1);
/// Small steps between two looks at the clock.
const STEPS: usize = 64;
/// Bytes that take as long to copy as a small step.
const BYTES: usize = 1024;

/// `lambda: None`.
static NOTHING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Have the function at hand that a pause calls.
#[expect(clippy::disallowed_methods, reason = "no code but ours")]
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    NOTHING.get_or_try_init(py, || py.eval(c"lambda: None", None, None).map(Bound::unbind)).map(drop)
}

/// Do what the interpreter does between two instructions of Python code: hand itself to a thread that has waited for its
/// switch interval, and run handlers of signals that have come. It costs nothing where there is neither. What a handler
/// raises is returned.
///
/// This calls a Python function, as nothing in the C API does as much: releasing the interpreter and taking it again
/// hands it over only if a thread has waited for the interval, and otherwise makes that thread's wait begin anew.
pub(crate) fn pause(py: Python<'_>) -> PyResult<()> {
    NOTHING.get(py).map_or(Ok(()), |nothing| calls::call(nothing.bind(py), []).map(drop))
}

/// Pauses work that comes in many small steps. Whatever the work uses may have changed after a step.
#[derive(Default)]
pub(crate) struct Pace {
    steps: usize,
    since: Option<Instant>,
}

impl Pace {
    /// A small step was done.
    #[inline]
    pub(crate) fn step(&mut self, py: Python<'_>) -> PyResult<()> {
        self.steps(py, 1)
    }

    /// A step was done that copied so many bytes.
    #[inline]
    pub(crate) fn copied(&mut self, py: Python<'_>, bytes: usize) -> PyResult<()> {
        self.steps(py, 1 + bytes / BYTES)
    }

    /// Some small steps were done.
    #[inline]
    pub(crate) fn steps(&mut self, py: Python<'_>, steps: usize) -> PyResult<()> {
        if self.is_due(steps) { pause(py) } else { Ok(()) }
    }

    /// Whether it is time to pause, after some more small steps.
    #[inline]
    pub(crate) fn is_due(&mut self, steps: usize) -> bool {
        self.steps += steps;
        self.steps >= STEPS && self.look()
    }

    #[cold]
    fn look(&mut self) -> bool {
        self.steps = 0;
        let now = Instant::now();
        let due = self.since.is_some_and(|since| now - since >= STRETCH);
        if due || self.since.is_none() {
            self.since = Some(now);
        }
        due
    }
}

/// How long objects are dropped between two rests, and how long a rest is at least.
const DROPS: Duration = Duration::from_millis(4);
const REST: Duration = Duration::from_micros(1);

/// Lets other threads have the interpreter while many objects are dropped. Unlike [`Pace`], it runs no handlers of
/// signals: objects are dropped where nobody could catch what a handler raises. So it can't tell whether a thread waits,
/// and sleeps for a moment in case one does.
#[derive(Default)]
pub(crate) struct Rests {
    steps: usize,
    since: Option<Instant>,
}

impl Rests {
    /// An object was dropped.
    #[inline]
    pub(crate) fn dropped(&mut self, py: Python<'_>) {
        self.steps += 1;
        if self.steps >= STEPS {
            self.look(py);
        }
    }

    #[cold]
    fn look(&mut self, py: Python<'_>) {
        self.steps = 0;
        if self.since.get_or_insert_with(Instant::now).elapsed() >= DROPS {
            py.detach(|| std::thread::sleep(REST));
            self.since = Some(Instant::now());
        }
    }
}
