//! The lanes of a map: `m[key]`, `m[key] = value`, `del m[key]` and `key in m`. See [`slots`](crate::mapping::slots).

use crate::kinds::entry::Made;
use crate::kinds::given::Kinds;
use crate::kinds::lookup::Lookup;
use crate::kinds::new::Key;
use crate::kinds::typed::{TypedKey, TypedValue};
use crate::map::class::Map;
use crate::mapping::slots::{HasLanes, Lanes};
use crate::table::store::Found;
use pyo3::prelude::*;

static LANES: Lanes<Map> = Lanes::new();

impl HasLanes for Map {
    fn lanes() -> &'static Lanes<Map> {
        &LANES
    }

    #[inline(always)]
    fn lane_kinds(&self) -> Option<&Kinds> {
        self.kinds.get()
    }

    #[inline(always)]
    fn lane_get<'py, K: TypedKey>(&self, py: Python<'py>, key: K::Key<'_>) -> Option<Made<'py>> {
        let hash = K::hash(key);
        self.store.try_with(py, |store| store.get_typed::<K>(py, hash, key))?
    }

    #[inline(always)]
    fn lane_set<K: TypedKey, V: TypedValue>(&self, key: K::Key<'_>, value: &Bound<'_, PyAny>) -> Option<()> {
        let hash = K::hash(key);
        let replaced = self.store.try_with(value.py(), |store| {
            let value = V::of(store.layout().value_kind(), value)?;
            store.set_typed::<K, V>(hash, key, value)
        })??;
        replaced.release(value.py()); // may run `__del__`
        Some(())
    }

    #[inline(always)]
    fn lane_delete<K: TypedKey>(&self, py: Python<'_>, key: K::Key<'_>) -> Option<()> {
        let hash = K::hash(key);
        let dropped = self.store.try_with(
            py,
            #[inline(always)]
            |store| {
                store.prefetch_removal::<K>();
                let Lookup::Found(found) = Found::typed::<K>(store, hash, key) else { return None };
                Some(found.remove_typed::<K>().1)
            },
        )??;
        dropped.release(py); // may run `__del__`
        Some(())
    }

    #[inline(always)]
    fn lane_contains<K: TypedKey>(&self, py: Python<'_>, key: K::Key<'_>) -> Option<bool> {
        let hash = K::hash(key);
        self.store.try_with(py, |store| store.has_typed::<K>(hash, key))?
    }

    #[inline]
    fn find_item(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.find_value(py, key)
    }

    fn set_item(&self, key: &Key<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_typed(value.py(), key, &self.value(value)?)
    }

    #[inline]
    fn remove_item(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<bool> {
        let removed = self.locate(py, key, |found, _| found.ok().map(|found| found.remove().1))?;
        Ok(removed.map(|removed| removed.release(py)).is_some())
    }

    #[inline]
    fn contains_item(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<bool> {
        self.locate(py, key, |found, _| found.is_ok())
    }
}
