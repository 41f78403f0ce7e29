//! `m[key]`, `m[key] = value`, `del m[key]` and `key in m` for the keys and values that most are, without PyO3's
//! trampolines (about 15 ns of 50). A lane takes what needs no Python code and can't fail; everything else, errors
//! included, goes to the slot that PyO3 made.
#![allow(unsafe_code)] // references to objects

use crate::kinds::entry::{Leaving, new_object};
use crate::kinds::given::Kinds;
use crate::kinds::new::New;
use crate::kinds::typed::{TypedKey, TypedValue};
use crate::map::class::Map;
use crate::mapping::slots::{HasLanes, Lanes};
use crate::table::dropped::Dropped;
use crate::table::store::{Store, rehasher};
use ebb::RawTable;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

static LANES: Lanes = Lanes::of::<Map>();

/// Remember the slots that PyO3 made for `Map`.
pub(crate) fn remember(map: &Bound<'_, PyType>) {
    LANES.remember(map);
}

impl HasLanes for Map {
    fn lanes() -> &'static Lanes {
        &LANES
    }

    #[inline(always)]
    fn lane_kinds(&self) -> Option<&Kinds> {
        self.kinds.get()
    }

    #[inline(always)]
    fn lane_get<K: TypedKey>(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> Option<*mut ffi::PyObject> {
        let key = K::of(key)?;
        let hash = K::hash(key);
        self.store.try_with(py, |store| {
            let (layout, mut unsure) = (&store.layout, false);
            // SAFETY: a map of such keys holds the entries that are looked at.
            let entry = store.table.get(hash, |entry| unsafe { K::is(key, hash, layout, entry, &mut unsure) })?;
            if unsure {
                return None;
            }
            // SAFETY: the table holds the value.
            unsafe { new_object(py, layout.value, &entry[K::value(layout, entry)]) }
        })?
    }

    #[inline(always)]
    fn lane_set<K: TypedKey, V: TypedValue>(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> Option<()> {
        let key = K::of(key)?;
        let hash = K::hash(key);
        let replaced = self.store.try_with(py, |store| {
            let Store { layout, table, .. } = &mut *store;
            let value = V::of(layout.value, value)?;
            let mut unsure = false;
            // SAFETY: a map of such keys holds the entries that are looked at.
            let found = table.get_mut(hash, |entry| unsafe { K::is(key, hash, layout, entry, &mut unsure) });
            if unsure {
                return None;
            }
            let Some(entry) = found else {
                return store.insert_typed::<K, V>(hash, key, value).ok().map(|()| None);
            };
            let range = K::value(layout, entry);
            if range.len() != V::len(value) {
                return resize(store, New { hash, key: &K::key(key), value: &V::value(value) });
            }
            let at = &mut entry[range];
            // SAFETY: the table holds the value, which is written over.
            let replaced = unsafe { V::take(at) };
            V::write(value, at);
            V::keep(value);
            Some(replaced)
        })??;
        if let Some(replaced) = replaced {
            replaced.release(py); // may run `__del__`
        }
        Some(())
    }

    #[inline(always)]
    fn lane_delete<K: TypedKey>(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> Option<()> {
        let key = K::of(key)?;
        let hash = K::hash(key);
        let dropped = self.store.try_with(py, |store| {
            let (layout, mut unsure) = (&store.layout, false);
            store.table.prefetch_removal(&rehasher::<K>(layout));
            // SAFETY: a map of such keys holds the entries that are looked at.
            let (found, entry) =
                store.table.locate(hash, |entry| unsafe { K::is(key, hash, layout, entry, &mut unsure) })?;
            if unsure {
                return None;
            }
            // SAFETY: the table holds the entry, which is removed.
            let dropped = unsafe { Dropped::of::<K>(layout, entry) };
            store.forget::<K>(found);
            Some(dropped)
        })??;
        dropped.release(py); // may run `__del__`
        Some(())
    }

    #[inline(always)]
    fn lane_contains<K: TypedKey>(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> Option<bool> {
        let key = K::of(key)?;
        let hash = K::hash(key);
        self.store.try_with(py, |store| {
            let (layout, mut unsure) = (&store.layout, false);
            // SAFETY: a map of such keys holds the entries that are looked at.
            let found =
                store.table.get(hash, |entry| unsafe { K::is(key, hash, layout, entry, &mut unsure) }).is_some();
            (!unsure).then_some(found)
        })?
    }
}

/// Set a key to a value of another length than it has.
#[inline(never)]
fn resize(store: &mut Store, new: New<'_>) -> Option<Option<Leaving>> {
    let found = store.find_plain(new.hash, new.key).ok()?;
    store.set(found, new).ok().map(Dropped::into_value)
}
