//! Finding a key in what a lock guards, where that may take asking objects whether they are equal.

use crate::kinds::new::Key;
use crate::python::calls;
use crate::python::errors::out_of_memory;
use crate::python::lock::Guarded;
use crate::table::store::Store;
use ebb::{Found, OutOfMemory, RawTable};
use pyo3::prelude::*;
use std::collections::HashMap;

/// What a search for an object key comes to.
enum Probe {
    Known(Option<Found>),
    /// Whether one of these keys of the table equals the one sought has to be asked of them, outside the lock.
    Ask(Vec<Py<PyAny>>),
}

/// What keys of a table have answered, outside the lock. A reference to each is kept, so that no other object can be
/// at its address.
#[derive(Default)]
struct Asked {
    unequal: HashMap<usize, Py<PyAny>>,
    equal: Option<Py<PyAny>>,
}

impl Asked {
    /// Ask, in order, until one says that it is equal.
    fn ask(&mut self, candidates: Vec<Py<PyAny>>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        self.unequal.try_reserve(candidates.len()).map_err(out_of_memory)?;
        for candidate in candidates {
            if calls::equal(candidate.bind(key.py()), key)? {
                self.equal = Some(candidate);
                return Ok(());
            }
            self.unequal.insert(candidate.as_ptr() as usize, candidate);
        }
        Ok(())
    }
}

impl<T: RawTable> Store<T> {
    /// Search for an object key, with what has been asked so far. O(keys of this hash).
    #[inline]
    fn probe(&self, py: Python<'_>, hash: u64, key: &Bound<'_, PyAny>, asked: &Asked) -> Result<Probe, OutOfMemory> {
        let (mut ask, mut left_out) = (Vec::new(), false);
        let found = self.find(hash, |entry| {
            let Some(candidate) = entry.key_object() else { return false };
            if candidate.is(key) {
                return true;
            }
            if entry.hash() != hash {
                return false;
            }
            if asked.equal.as_ref().is_some_and(|equal| candidate.is(equal.bind(py))) {
                return true;
            }
            candidate.builtin_equal(key).unwrap_or_else(|| {
                if !asked.unequal.contains_key(&candidate.address()) {
                    match ask.try_reserve(1) {
                        Ok(()) => ask.push(candidate.to_object(py)),
                        Err(_) => left_out = true,
                    }
                }
                false
            })
        });
        // The table has those to be asked too, so dropping them here ends none.
        match found {
            None if !ask.is_empty() => Ok(Probe::Ask(ask)),
            None if left_out => Err(OutOfMemory),
            _ => Ok(Probe::Known(found)),
        }
    }
}

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
    let hash = key.hash();
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
