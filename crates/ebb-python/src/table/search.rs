//! Finding a key in what a lock guards, where that may take asking objects whether they are equal.

use crate::kinds::entry::{Entry, ObjectRef};
use crate::kinds::new::Key;
use crate::python::calls;
use crate::python::errors::out_of_memory;
use crate::python::lock::Guarded;
use crate::table::store::{Found, Holder, Searched};
use ebb::OutOfMemory;
use pyo3::prelude::*;
use std::collections::HashMap;

/// What a search for an object key comes to.
enum Probe<'h, H: Holder> {
    Known(Searched<'h, H>),
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
    fn end<H: Holder>(self, found: Searched<'_, H>) -> Result<Probe<'_, H>, OutOfMemory> {
        match found {
            Err(_) if !self.ask.is_empty() => Ok(Probe::Ask(self.ask)),
            Err(_) if self.left_out => Err(OutOfMemory),
            _ => Ok(Probe::Known(found)),
        }
    }
}

/// Search for an object key, with what has been asked so far. O(keys of this hash).
fn probe<'h, H: Holder>(
    holder: &'h mut H,
    hash: u64,
    key: &Bound<'_, PyAny>,
    asked: &Asked,
) -> Result<Probe<'h, H>, OutOfMemory> {
    let mut search = Search::new(key, hash, asked);
    let found = Found::find(holder, hash, |entry| search.is(entry));
    search.end(found)
}

/// Find `key`, do `work` with what is found, and then `end` with what was searched, in one step that nobody sees half
/// of. Both have the context.
///
/// Objects are asked whether they are equal outside the lock. An answer holds for as long as this search has a reference
/// to who gave it, so the search need not start from nothing when the table was changed meanwhile.
#[inline]
pub(crate) fn locate<H: Holder, const BEYOND: bool, C, R>(
    guarded: &Guarded<H, BEYOND>,
    py: Python<'_>,
    key: &Key<'_>,
    context: &mut C,
    work: impl FnOnce(Searched<'_, H>, u64, &mut C) -> R,
    end: impl FnOnce(&mut H, &mut C),
) -> PyResult<R> {
    let hash = key.hash();
    if let Key::Object(object, _) = key {
        return locate_object(guarded, (hash, object), context, work, end);
    }
    Ok(guarded.with(py, |holder| {
        let result = work(Found::inline(holder, hash, key), hash, context);
        end(holder, context);
        result
    }))
}

fn locate_object<H: Holder, const BEYOND: bool, C, R>(
    guarded: &Guarded<H, BEYOND>,
    (hash, key): (u64, &Bound<'_, PyAny>),
    context: &mut C,
    work: impl FnOnce(Searched<'_, H>, u64, &mut C) -> R,
    end: impl FnOnce(&mut H, &mut C),
) -> PyResult<R> {
    let (mut asked, mut rest) = (Asked::default(), Some((work, end)));
    loop {
        let step = guarded.with(key.py(), |holder| {
            let found = match probe(holder, hash, key, &asked)? {
                Probe::Known(found) => found,
                Probe::Ask(candidates) => return Ok(Step::Ask(candidates)),
            };
            let (work, end) = rest.take().expect("used once");
            let result = work(found, hash, context);
            end(holder, context);
            Ok::<_, OutOfMemory>(Step::Done(result))
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
