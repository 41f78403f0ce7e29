//! Marks are given to instances, and the entries of an instance go when it dies.

use crate::cache::chest::state::{BATCH, Chest};
use crate::cache::class::Cache;
use crate::cache::gone::{Cause, Gone};
use crate::cache::instances::mark::{InstanceMark, has_mark, mark_in};
use crate::cache::instances::table::Taken;
use crate::cache::moment::Moment;
use crate::cache::shared::Shared;
use crate::cache::step::Step;
use crate::kinds::entry::{Entry, ObjectRef};
use crate::kinds::plain::Identity;
use crate::python::calls;
use crate::python::errors::out_of_memory;
use crate::python::make::name;
use crate::table::store::Found;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What a weak reference calls when an instance dies.
#[pyclass(frozen, module = "ebbmap._core")]
pub(crate) struct InstanceWatch {
    cache: Weak<Shared>,
    address: usize,
}

#[pymethods]
impl InstanceWatch {
    /// Remove the entries of the instance. The interpreter calls this wherever an object may die: never under a lock of
    /// ours.
    fn __call__(&self, reference: &Bound<'_, PyAny>) {
        let py = reference.py();
        let Some(cache) = self.cache.upgrade() else { return };
        if let Some(taken) = cache.instances.take_dead(self.address, reference) {
            forget_dead(py, &cache, taken);
        }
    }
}

/// The mark that stands for an instance in keys; `None` where the key has to hold the instance itself, which compares by
/// value or can't be referred to weakly.
pub(crate) fn mark_of<'py>(cache: &Cache, instance: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, InstanceMark>>> {
    if !is_weakly_kept(instance)? {
        return Ok(None);
    }
    let py = instance.py();
    if let Some(mark) = cache.shared.instances.get(instance) {
        return Ok(Some(mark));
    }
    let added = cache.shared.instances.add(&new_mark(cache, instance)?, instance)?;
    if let Some(replaced) = added.replaced {
        forget_dead(py, &cache.shared, replaced);
    }
    Ok(Some(added.mark))
}

/// Whether an object compares by identity and can be referred to weakly.
fn is_weakly_kept(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let identity = Identity::of(object);
    if !identity.hashes || !identity.has_weak || identity.compares {
        return Ok(identity.hashes && identity.has_weak);
    }
    // A class that only orders its instances has a comparison of its own, with the `__eq__` of all.
    let (py, name) = (object.py(), name!(object.py(), c"__eq__"));
    Ok(calls::getattr(&object.get_type(), name)?.is(calls::getattr(&py.get_type::<PyAny>(), name)?))
}

fn new_mark<'py>(cache: &Cache, instance: &Bound<'py, PyAny>) -> PyResult<Bound<'py, InstanceMark>> {
    let py = instance.py();
    let watch = InstanceWatch { cache: Arc::downgrade(&cache.shared), address: instance.as_ptr() as usize };
    let reference = PyWeakrefReference::new_with(instance, Bound::new(py, watch)?)?.unbind();
    let of = instance.get_type().name()?.unbind();
    Bound::new(py, InstanceMark { of, reference, hashes: Mutex::default() })
}

/// Whether the key of an entry of this hash has a mark.
fn is_of(entry: Entry<'_>, hash: u64, mark: &Bound<'_, InstanceMark>) -> bool {
    let is_in = |key: ObjectRef<'_>| has_mark(&key.bind(mark.py()), mark);
    entry.hash() == hash && entry.key_object().is_some_and(is_in)
}

/// Have an entry, which was just set, go when the instance in its key dies. O(1).
pub(crate) fn note(cache: &Cache, key: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(mark) = mark_in(key) else { return Ok(()) };
    let py = key.py();
    let typed = cache.key(key)?;
    let hash = typed.hash();
    let noted = cache.shared.chest.with(py, |chest| {
        let mut hashes = mark.get().hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.add(hash, |hash| chest.store.has(hash, |entry| is_of(entry, hash, &mark)))
    });
    if noted.is_err() {
        cache.delete(py, &typed)?; // nothing would remove it
    }
    noted.map_err(out_of_memory)
}

/// Remove the entries of a mark whose instance is dead, and drop the mark.
fn forget_dead(py: Python<'_>, cache: &Shared, taken: Taken<'_>) {
    forget(py, cache, &taken.mark);
    calls::release(py, taken.mark.into_any().unbind());
    taken.dropped.release(py);
}

/// Remove the entries of a mark whose instance is dead, some to a hold of the lock. O(entries of the mark).
fn forget(py: Python<'_>, cache: &Shared, mark: &Bound<'_, InstanceMark>) {
    loop {
        let (moment, mut gone) = (Moment::later(), Gone::default());
        let done = cache.chest.with(py, |chest| {
            let mut step = Step { py, moment: &moment, gone: &mut gone };
            forget_some(cache, chest, mark, &mut step)
        });
        cache.settle(py, gone);
        match done {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => return calls::write_unraisable(error, py, None),
        }
    }
}

/// Whether none are left.
fn forget_some(
    cache: &Shared,
    chest: &mut Chest,
    mark: &Bound<'_, InstanceMark>,
    step: &mut Step<'_, '_>,
) -> PyResult<bool> {
    let mut hashes = mark.get().hashes.lock().unwrap_or_else(PoisonError::into_inner);
    let on_system_time = cache.settings().is_on_system_time();
    for _ in 0..BATCH {
        let Some(&hash) = hashes.all.last() else { return Ok(true) };
        let Ok(found) = Found::find(&mut *chest, hash, |entry| is_of(entry, hash, mark)) else {
            hashes.all.pop();
            continue;
        };
        let expired = on_system_time && found.is_over(step.moment);
        found.depart(step, if expired { Cause::Expired } else { Cause::Deleted })?;
    }
    Ok(false)
}
