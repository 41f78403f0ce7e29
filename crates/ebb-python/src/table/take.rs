//! Taking an entry out to return it, where that may fail: its objects are made first, so that it stays where they
//! can't be. Those that Python code makes take two holds of the lock.

use crate::kinds::entry::KeptKey;
use crate::kinds::read::Read;
use crate::python::errors::copy_of;
use crate::python::make::RoomForPair;
use crate::table::dropped::Dropped;
use crate::table::store::Store;
use ebb::{Found, RawTable};
use pyo3::prelude::*;

/// An entry as it was under one hold of the lock, to be known again under another. Whoever has it holds the objects
/// that it refers to.
pub(crate) struct Seen {
    hash: u64,
    key: KeptKey,
    entry: Vec<u8>,
}

/// An entry on its way out.
pub(crate) enum Taken<T, R> {
    /// What it becomes is made, and it can go, or is gone.
    Made(T),
    /// What was read of it is yet to become that, outside the lock; it is still there.
    Seen(R, Seen),
}

pub(crate) type TakenValue = Taken<Py<PyAny>, Read>;
pub(crate) type TakenPair = Taken<(Py<PyAny>, Py<PyAny>), (Read, Read)>;

impl Store {
    /// Take out an entry if what it becomes is made.
    #[inline(always)]
    pub(crate) fn remove_made<T, R>(&mut self, found: Found, taken: Taken<T, R>) -> (Taken<T, R>, Option<Dropped>) {
        let dropped = matches!(taken, Taken::Made(_)).then(|| self.remove(found));
        (taken, dropped)
    }
}

impl<T: RawTable> Store<T> {
    /// The entry whose very key this is.
    pub(crate) fn find_kept(&self, hash: u64, key: &KeptKey) -> Option<Found> {
        match key {
            KeptKey::Object(object) => self.find_object(hash, object.as_ptr() as usize as u64),
            KeptKey::Int(int) => self.find_int(hash, *int),
            KeptKey::Text(text) => self.find_text(hash, text),
        }
    }

    /// The value of an entry that is about to be taken out.
    #[inline(always)]
    pub(crate) fn value_to_take(&self, py: Python<'_>, found: Found) -> PyResult<TakenValue> {
        match self.read_value(py, found)? {
            Read::Done(value) => Ok(Taken::Made(value)),
            read => Ok(Taken::Seen(read, self.see(py, found)?)),
        }
    }

    /// The key and the value of an entry that is about to be taken out.
    #[inline]
    pub(crate) fn pair_to_take(&self, py: Python<'_>, found: Found) -> PyResult<TakenPair> {
        match self.read_pair(py, found)? {
            (Read::Done(key), Read::Done(value)) => Ok(Taken::Made((key, value))),
            read => Ok(Taken::Seen(read, self.see(py, found)?)),
        }
    }

    /// Take note of an entry.
    #[inline(never)]
    fn see(&self, py: Python<'_>, found: Found) -> PyResult<Seen> {
        let entry = self.entry(found);
        Ok(Seen { hash: entry.hash(), key: entry.keep_key(py)?, entry: copy_of(entry.bytes())? })
    }

    /// What was seen, if it is there and still the same.
    pub(crate) fn find_seen(&self, seen: &Seen) -> Option<Found> {
        self.find_kept(seen.hash, &seen.key).filter(|&found| *self.table.entry(found) == *seen.entry)
    }
}

/// What `take` has taken out; what it has only seen is finished, and then taken out by `take_seen`, which says whether
/// it was still the same. If not, all begins anew.
#[inline(always)]
pub(crate) fn take_out<T, R>(
    mut take: impl FnMut() -> PyResult<Option<Taken<T, R>>>,
    finish: impl Fn(R) -> PyResult<T>,
    take_seen: impl Fn(&Seen) -> PyResult<bool>,
) -> PyResult<Option<T>> {
    loop {
        match take()? {
            None => return Ok(None),
            Some(Taken::Made(made)) => return Ok(Some(made)),
            Some(Taken::Seen(read, seen)) => {
                let made = finish(read)?;
                if take_seen(&seen)? {
                    return Ok(Some(made));
                }
            }
        }
    }
}

/// As [`take_out`], for a key and a value, which are returned as a pair.
pub(crate) fn take_out_pair<'py>(
    py: Python<'py>,
    take: impl FnMut() -> PyResult<Option<TakenPair>>,
    finish: impl Fn((Read, Read)) -> PyResult<(Py<PyAny>, Py<PyAny>)>,
    take_seen: impl Fn(&Seen) -> PyResult<bool>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let room = RoomForPair::new(py)?;
    Ok(take_out(take, finish, take_seen)?.map(|(key, value)| room.fill(key, value)))
}
