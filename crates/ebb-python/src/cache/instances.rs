//! Instances that keys of memoized methods stand for without keeping them.
//!
//! Where instances compare by identity and can be referred to weakly, a key has the mark of the instance in its place.
//! When the instance dies, the entries whose keys have its mark are removed: a mark knows their hashes.
#![allow(unsafe_code)] // slots of types, items of tuples

use crate::cache::Cache;
use crate::cache::chest::{BATCH, Chest};
use crate::cache::gone::{Cause, Gone};
use crate::cache::moment::Moment;
use crate::cache::shared::Shared;
use crate::calls;
use crate::errors::{Shown, out_of_memory, written};
use crate::hash::{hash, hash_int};
use crate::layout::word;
use crate::lock::Guarded;
use crate::make::{self, name};
use crate::objects::{self, Leaving};
use crate::reserve::has_room_for;
use ebb::{EntrySize, Found, OutOfMemory, RawTable, Table};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyWeakrefMethods, PyWeakrefReference};
use std::ptr::fn_addr_eq;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Hashes that are looked through one by one; more have an index.
const FEW: usize = 64;

/// Hashes that are looked at for each that comes.
const LOOKS: usize = 3;

/// The hashes of the entries of one mark: of all that are in the cache, and of as many again that have left it.
#[derive(Default)]
struct Hashes {
    all: Vec<u64>,
    /// The same, to be found: of an entry without a pause, however many there are. In a box, as it is large, and few marks
    /// have one.
    index: Option<Box<Table>>,
    /// The next to be looked at, whether it is still in the cache.
    hand: usize,
}

/// Bytes of an entry of the index: the hash.
const HASH: usize = 8;

fn find_hash(index: &Table, hash: u64) -> Option<Found> {
    index.find(hash, |entry| word(entry) == hash)
}

fn index_hash(index: &mut Table, hash: u64) -> Result<(), OutOfMemory> {
    index.insert(hash, HASH, &|entry| word(entry), |entry| entry.copy_from_slice(&hash.to_ne_bytes()))
}

impl Hashes {
    fn has(&self, hash: u64) -> bool {
        self.index.as_ref().map_or_else(|| self.all.contains(&hash), |index| find_hash(index, hash).is_some())
    }

    /// Add a hash, and let go of some that have left: enough are looked at for each that comes that there are never twice
    /// as many as were in the cache at once. O(1).
    fn add(&mut self, hash: u64, is_there: impl Fn(u64) -> bool) -> Result<(), OutOfMemory> {
        for _ in 0..LOOKS {
            self.look_at_one(&is_there);
        }
        if self.has(hash) {
            return Ok(());
        }
        self.all.try_reserve(1).map_err(|_| OutOfMemory)?;
        if self.all.len() == FEW && self.index.is_none() {
            if !has_room_for::<Table>() {
                return Err(OutOfMemory);
            }
            let mut index = Box::new(Table::new(EntrySize::Fixed(HASH)));
            self.all.iter().try_for_each(|&hash| index_hash(&mut index, hash))?;
            self.index = Some(index);
        }
        if let Some(index) = &mut self.index {
            index_hash(index, hash)?;
        }
        self.all.push(hash);
        Ok(())
    }

    fn look_at_one(&mut self, is_there: impl Fn(u64) -> bool) {
        if self.hand >= self.all.len() {
            self.hand = 0;
        }
        match self.all.get(self.hand) {
            Some(&hash) if !is_there(hash) => {
                self.all.swap_remove(self.hand);
                if let Some(index) = &mut self.index
                    && let Some(found) = find_hash(index, hash)
                {
                    index.remove(found, &|entry| word(entry));
                }
            }
            _ => self.hand += 1,
        }
    }
}

/// In a key: the instance whose other arguments follow. Equal only to itself.
#[pyclass(frozen, module = "ebbmap._core")]
pub(crate) struct InstanceMark {
    /// The name of the instance's class.
    of: Py<PyString>,
    /// Used under the cache's lock.
    hashes: Mutex<Hashes>,
}

#[pymethods]
impl InstanceMark {
    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        written(py, format_args!("<an instance of {}>", Shown::text(self.of.bind(py))?))
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    /// How many entries it knows of, for tests.
    fn _known<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        make::size(py, self.hashes.lock().unwrap_or_else(PoisonError::into_inner).all.len())
    }
}

/// What a weak reference calls when an instance dies.
#[pyclass(frozen, module = "ebbmap._core")]
pub(crate) struct InstanceWatch {
    cache: Weak<Shared>,
    id: usize,
}

#[pymethods]
impl InstanceWatch {
    /// Remove the entries of the instance. The interpreter calls this wherever an object may die: never under a lock of
    /// ours.
    fn __call__(&self, reference: &Bound<'_, PyAny>) {
        let py = reference.py();
        let Some(cache) = self.cache.upgrade() else { return };
        let taken = cache.instances.0.with(py, |table| {
            let table = table.as_mut()?;
            let found = find(table, self.id)?;
            objects::is_same(&table.entry(found)[8..16], reference).then(|| take(table, found))
        });
        let Some((reference, mark)) = taken else { return };
        reference.release(py);
        forget_dead(py, &cache, mark);
    }
}

/// By the address of an instance: a weak reference to it, and its mark.
pub(crate) struct Instances(Guarded<Option<Table>>);

/// An entry of the table: the address, the weak reference, the mark.
const ENTRY: usize = 24;

fn rehash(entry: &[u8]) -> u64 {
    hash_int(word(entry) as i64)
}

fn find(table: &Table, id: usize) -> Option<Found> {
    table.find(hash_int(id as i64), |entry| word(entry) == id as u64)
}

/// Take an entry out: the weak reference, and the mark.
fn take(table: &mut Table, found: Found) -> (Leaving, Leaving) {
    let entry = table.entry(found);
    let taken = (Leaving::of(&entry[8..16]), Leaving::of(&entry[16..]));
    table.remove(found, &rehash);
    taken
}

impl Instances {
    pub(crate) fn new() -> Self {
        Instances(Guarded::new(None))
    }

    /// The mark of an instance that has one.
    fn get(&self, instance: &Bound<'_, PyAny>) -> Option<Py<PyAny>> {
        let py = instance.py();
        self.0.with(py, |table| known(py, table.as_ref()?, instance))
    }

    /// Give an instance a mark; the one that it has, if another thread was quicker.
    fn add(
        &self,
        reference: &Bound<'_, PyAny>,
        mark: &Bound<'_, PyAny>,
        instance: &Bound<'_, PyAny>,
    ) -> PyResult<Added> {
        let (py, id) = (instance.py(), instance.as_ptr() as usize);
        self.0.with(py, |table| {
            let table = table.get_or_insert_with(|| Table::new(EntrySize::Fixed(ENTRY)));
            if let Some(mark) = known(py, table, instance) {
                return Ok(Added { mark, replaced: None });
            }
            let replaced = find(table, id).map(|found| take(table, found));
            let added = table.insert(hash_int(id as i64), ENTRY, &rehash, |entry| {
                entry[..8].copy_from_slice(&(id as u64).to_ne_bytes());
                entry[8..16].copy_from_slice(&objects::word(reference));
                entry[16..].copy_from_slice(&objects::word(mark));
            });
            added.map_err(out_of_memory)?;
            objects::keep(reference);
            objects::keep(mark);
            Ok(Added { mark: mark.clone().unbind(), replaced })
        })
    }

    /// Let go of all, as the cache goes.
    pub(crate) fn release(&self, py: Python<'_>) {
        let Some(mut table) = self.0.with(py, Option::take) else { return };
        while let Some(found) = table.any() {
            let (reference, mark) = take(&mut table, found);
            reference.release(py);
            mark.release(py);
        }
    }
}

/// What [`Instances::add`] has done.
struct Added {
    mark: Py<PyAny>,
    /// Of an instance that was at the same address: its death has not been told yet.
    replaced: Option<(Leaving, Leaving)>,
}

/// The mark in a table, if it is of this very instance.
fn known(py: Python<'_>, table: &Table, instance: &Bound<'_, PyAny>) -> Option<Py<PyAny>> {
    let entry = table.entry(find(table, instance.as_ptr() as usize)?);
    let reference = objects::clone_word(py, &entry[8..16]).into_bound(py);
    // Neither reference is the last one: the table has the one, the caller the other.
    let is_it = reference.cast::<PyWeakrefReference>().is_ok_and(|it| it.upgrade().is_some_and(|it| it.is(instance)));
    is_it.then(|| objects::clone_word(py, &entry[16..]))
}

/// The mark that stands for an instance in keys; `None` where the key has to hold the instance itself, which compares by
/// value or can't be referred to weakly.
pub(crate) fn mark_of(cache: &Cache, instance: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    if !is_weakly_kept(instance)? {
        return Ok(None);
    }
    let py = instance.py();
    if let Some(mark) = cache.shared.instances.get(instance) {
        return Ok(Some(mark));
    }
    let watch = InstanceWatch { cache: Arc::downgrade(&cache.shared), id: instance.as_ptr() as usize };
    let reference = PyWeakrefReference::new_with(instance, Bound::new(py, watch)?)?;
    let of = instance.get_type().name()?.unbind();
    let mark = Bound::new(py, InstanceMark { of, hashes: Mutex::default() })?;
    let added = cache.shared.instances.add(reference.as_any(), mark.as_any(), instance)?;
    if let Some((reference, mark)) = added.replaced {
        reference.release(py);
        forget_dead(py, &cache.shared, mark);
    }
    Ok(Some(added.mark))
}

/// Whether an object compares by identity and can be referred to weakly.
fn is_weakly_kept(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = object.get_type();
    let pointer = class.as_type_ptr();
    // SAFETY: the types are alive; their slots are only read.
    let (hashes_so, compares_so, has_weak) = unsafe {
        let base = &raw mut ffi::PyBaseObject_Type;
        let hashes_so = match ((*pointer).tp_hash, (*base).tp_hash) {
            (Some(its), Some(plain)) => fn_addr_eq(its, plain),
            _ => false,
        };
        let compares_so = match ((*pointer).tp_richcompare, (*base).tp_richcompare) {
            (Some(its), Some(plain)) => fn_addr_eq(its, plain),
            _ => false,
        };
        (hashes_so, compares_so, (*pointer).tp_weaklistoffset != 0)
    };
    if !hashes_so || !has_weak {
        return Ok(false);
    }
    // A class that only orders its instances has a comparison of its own, with the `__eq__` of all.
    Ok(compares_so || {
        let name = name!(object.py(), c"__eq__");
        class.getattr(name)?.is(object.py().get_type::<PyAny>().getattr(name)?)
    })
}

/// The mark in a key.
pub(crate) fn mark_in<'a, 'py>(key: &'a Bound<'py, PyAny>) -> Option<Borrowed<'a, 'py, InstanceMark>> {
    let mark_class = InstanceMark::type_object_raw_of(key.py());
    // SAFETY: 1. The key is alive, and a tuple never changes. 2. What has the class of marks is a mark.
    unsafe {
        let found = any_in(key.as_ptr(), 2, &|object| ffi::Py_TYPE(object) == mark_class)?;
        Some(Borrowed::from_ptr(key.py(), found).cast_unchecked())
    }
}

impl InstanceMark {
    fn type_object_raw_of(py: Python<'_>) -> *mut ffi::PyTypeObject {
        <Self as pyo3::PyTypeInfo>::type_object_raw(py)
    }
}

/// The first object in a key that `is`: the key itself, or in tuples, `depth` of them around one another.
///
/// # Safety
/// The key is alive, and no tuple in it is still being filled.
unsafe fn any_in(
    key: *mut ffi::PyObject,
    depth: usize,
    is: &impl Fn(*mut ffi::PyObject) -> bool,
) -> Option<*mut ffi::PyObject> {
    // SAFETY: as the caller says: a tuple holds its items.
    unsafe {
        if is(key) {
            return Some(key);
        }
        if depth == 0 || ffi::PyTuple_CheckExact(key) == 0 {
            return None;
        }
        (0..ffi::PyTuple_GET_SIZE(key)).find_map(|i| any_in(ffi::PyTuple_GET_ITEM(key, i), depth - 1, is))
    }
}

/// The entry of this hash whose key has a mark.
fn entry_of(chest: &Chest, hash: u64, mark: *mut ffi::PyObject) -> Option<Found> {
    chest.store.table.find(hash, |entry| {
        // SAFETY: the table holds its keys.
        word(entry) == hash
            && unsafe { any_in(objects::address(&entry[8..16]) as *mut ffi::PyObject, 2, &|it| it == mark).is_some() }
    })
}

/// Have an entry, which was just set, go when the instance in its key dies. O(1).
pub(crate) fn note(cache: &Cache, key: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(mark) = mark_in(key) else { return Ok(()) };
    let py = key.py();
    let typed = cache.key(key)?;
    let hash = hash(&typed);
    let noted = cache.shared.chest.with(py, |chest| {
        let mut hashes = mark.get().hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.add(hash, |hash| entry_of(chest, hash, mark.as_ptr()).is_some())
    });
    if noted.is_err() {
        cache.delete(py, &typed)?; // nothing would remove it
    }
    noted.map_err(out_of_memory)
}

/// Remove the entries of a mark whose instance is dead, and drop the mark.
fn forget_dead(py: Python<'_>, cache: &Shared, mark: Leaving) {
    let mark = mark.into_object(py);
    forget(py, cache, mark.bind(py));
    calls::release(py, mark);
}

/// Remove the entries of a mark whose instance is dead, some to a hold of the lock. O(entries of the mark).
fn forget(py: Python<'_>, cache: &Shared, mark: &Bound<'_, PyAny>) {
    let Ok(mark) = mark.cast::<InstanceMark>() else { return };
    loop {
        let mut gone = Gone::default();
        let done = cache.chest.with(py, |chest| forget_some(py, cache, chest, mark, &mut gone));
        cache.settle(py, gone);
        match done {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => return error.write_unraisable(py, None),
        }
    }
}

/// Whether none are left.
fn forget_some(
    py: Python<'_>,
    cache: &Shared,
    chest: &mut Chest,
    mark: &Bound<'_, InstanceMark>,
    gone: &mut Gone,
) -> PyResult<bool> {
    let mut hashes = mark.get().hashes.lock().unwrap_or_else(PoisonError::into_inner);
    let (moment, on_system_time) = (Moment::later(), cache.settings().is_on_system_time());
    for _ in 0..BATCH {
        let Some(&hash) = hashes.all.last() else { return Ok(true) };
        let Some(found) = entry_of(chest, hash, mark.as_ptr()) else {
            hashes.all.pop();
            continue;
        };
        let expired = on_system_time && chest.is_over(found, &moment);
        chest.depart(py, found, if expired { Cause::Expired } else { Cause::Deleted }, gone)?;
    }
    Ok(false)
}
