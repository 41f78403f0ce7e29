//! Finding a key in what a lock guards, where that may take asking objects whether they are equal.

use crate::convert::Key;
use crate::errors::out_of_memory;
use crate::hash::hash;
use crate::lock::Guarded;
use crate::store::{Asked, Probe, Store};
use ebb::{Found, OutOfMemory, RawTable};
use pyo3::prelude::*;

/// What has a store.
pub(crate) trait Holder {
    type Table: RawTable;
    fn store(&mut self) -> &mut Store<Self::Table>;
}

impl<T: RawTable> Holder for Store<T> {
    type Table = T;

    #[inline(always)]
    fn store(&mut self) -> &mut Store<T> {
        self
    }
}

/// Find `key` and do `work` with it, in one step that nobody sees half of. Objects are asked whether they are
/// equal outside the lock; an answer holds for as long as this search has a reference to who gave it, so the
/// search need not start from nothing when the table was changed meanwhile.
#[inline]
pub(crate) fn locate<H: Holder, const BEYOND: bool, R>(
    guarded: &Guarded<H, BEYOND>,
    py: Python<'_>,
    key: &Key<'_>,
    work: impl FnOnce(&mut H, u64, Option<Found>) -> R,
) -> PyResult<R> {
    let hash = hash(key);
    match key {
        Key::Int(int) => Ok(guarded.with(py, |holder| {
            let found = holder.store().find_int(hash, *int);
            work(holder, hash, found)
        })),
        Key::Text(text) => Ok(guarded.with(py, |holder| {
            let found = holder.store().find_text(hash, text);
            work(holder, hash, found)
        })),
        Key::Object(object, _) => locate_object(guarded, py, hash, object, work),
    }
}

fn locate_object<H: Holder, const BEYOND: bool, R>(
    guarded: &Guarded<H, BEYOND>,
    py: Python<'_>,
    hash: u64,
    key: &Bound<'_, PyAny>,
    work: impl FnOnce(&mut H, u64, Option<Found>) -> R,
) -> PyResult<R> {
    let mut asked = Asked::default();
    let mut work = Some(work);
    loop {
        let step = guarded.with(py, |holder| match holder.store().probe(py, hash, key, &asked)? {
            Probe::Known(found) => Ok(Ok((work.take().expect("used once"))(holder, hash, found))),
            Probe::Ask(candidates) => Ok::<_, OutOfMemory>(Err(candidates)),
        });
        match step.map_err(out_of_memory)? {
            Ok(result) => return Ok(result),
            Err(candidates) => asked.ask(candidates, key)?,
        }
    }
}
