//! Finding a key in what a lock guards, where that may take asking objects whether they are equal.

use crate::kinds::entry::{Entry, ObjectRef};
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

/// A search for an object key.
struct Search<'a, 'py> {
    key: &'a Bound<'py, PyAny>,
    hash: u64,
    asked: &'a Asked,
    /// Keys that have to be asked.
    ask: Vec<Py<PyAny>>,
    /// Whether there was no room for one of them.
    left_out: bool,
}

impl<'a, 'py> Search<'a, 'py> {
    fn new(key: &'a Bound<'py, PyAny>, hash: u64, asked: &'a Asked) -> Self {
        Search { key, hash, asked, ask: Vec::new(), left_out: false }
    }

    /// Whether an entry is known to have the key.
    fn is(&mut self, entry: Entry<'_>) -> bool {
        let Some(candidate) = entry.key_object() else { return false };
        if candidate.is(self.key) {
            return true;
        }
        if entry.hash() != self.hash {
            return false;
        }
        if self.asked.equal.as_ref().is_some_and(|equal| candidate.is(equal.bind(self.key.py()))) {
            return true;
        }
        candidate.builtin_equal(self.key).unwrap_or_else(|| {
            self.note(candidate);
            false
        })
    }

    /// Note a key that has to be asked, if it was not yet.
    fn note(&mut self, candidate: ObjectRef<'_>) {
        if self.asked.unequal.contains_key(&candidate.address()) {
            return;
        }
        match self.ask.try_reserve(1) {
            Ok(()) => self.ask.push(candidate.to_object(self.key.py())),
            Err(_) => self.left_out = true,
        }
    }

    /// What it comes to. The table has the keys to be asked too, so dropping them here ends none.
    fn end(self, found: Option<Found>) -> Result<Probe, OutOfMemory> {
        match found {
            None if !self.ask.is_empty() => Ok(Probe::Ask(self.ask)),
            None if self.left_out => Err(OutOfMemory),
            _ => Ok(Probe::Known(found)),
        }
    }
}

impl<T: RawTable> Store<T> {
    /// Search for an object key, with what has been asked so far. O(keys of this hash).
    fn probe(&self, hash: u64, key: &Bound<'_, PyAny>, asked: &Asked) -> Result<Probe, OutOfMemory> {
        let mut search = Search::new(key, hash, asked);
        let found = self.find(hash, |entry| search.is(entry));
        search.end(found)
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
    let (mut asked, mut work) = (Asked::default(), Some(work));
    loop {
        let step = guarded.with(py, |holder| match holder.store().probe(hash, key, &asked)? {
            Probe::Known(found) => Ok(Step::Done((work.take().expect("used once"))(holder, hash, found))),
            Probe::Ask(candidates) => Ok::<_, OutOfMemory>(Step::Ask(candidates)),
        });
        match step.map_err(out_of_memory)? {
            Step::Done(result) => return Ok(result),
            Step::Ask(candidates) => asked.ask(candidates, key)?,
        }
    }
}

/// What one hold of the lock comes to.
enum Step<R> {
    Done(R),
    /// These keys have to be asked first.
    Ask(Vec<Py<PyAny>>),
}
