//! Taking an entry out to return it, where that may fail: its objects are made first, so that it stays where they
//! can't be. Those that Python code makes take two holds of the lock.

use crate::kinds::entry::KeptKey;
use crate::kinds::read::Read;
use crate::python::errors::copy_of;
use crate::python::make::RoomForPair;
use crate::table::dropped::Dropped;
use crate::table::store::{Found, Holder, Searched};
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

impl<'h, H: Holder> Found<'h, H> {
    /// Take the entry out if what it becomes is made.
    #[inline(always)]
    pub(crate) fn remove_made<T, R>(self, taken: Taken<T, R>) -> (Taken<T, R>, Option<Dropped>) {
        let dropped = matches!(taken, Taken::Made(_)).then(|| self.remove().1);
        (taken, dropped)
    }

    /// The value of an entry that is about to be taken out.
    #[inline(always)]
    pub(crate) fn value_to_take(&self, py: Python<'_>) -> PyResult<TakenValue> {
        match self.entry().read_value(py)? {
            Read::Done(value) => Ok(Taken::Made(value)),
            read => Ok(Taken::Seen(read, self.see(py)?)),
        }
    }

    /// The key and the value of an entry that is about to be taken out.
    #[inline]
    pub(crate) fn pair_to_take(&self, py: Python<'_>) -> PyResult<TakenPair> {
        match self.entry().read_pair(py)? {
            (Read::Done(key), Read::Done(value)) => Ok(Taken::Made((key, value))),
            read => Ok(Taken::Seen(read, self.see(py)?)),
        }
    }

    /// Take note of the entry.
    #[inline(never)]
    fn see(&self, py: Python<'_>) -> PyResult<Seen> {
        let entry = self.entry();
        Ok(Seen { hash: entry.hash(), key: entry.keep_key(py)?, entry: copy_of(entry.bytes())? })
    }

    /// What was seen, if it is there and still the same.
    pub(crate) fn seen(holder: &'h mut H, seen: &Seen) -> Searched<'h, H> {
        let found = Self::kept(holder, seen.hash, &seen.key)?;
        if *found.entry().bytes() == *seen.entry { Ok(found) } else { Err(found.into_holder()) }
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
