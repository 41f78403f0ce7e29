//! The lanes of a map: `m[key]`, `m[key] = value`, `del m[key]` and `key in m`. See [`slots`](crate::slots).
#![allow(unsafe_code)] // type slots

use crate::cache::Cache;
use crate::convert::{Key, Made, new_object};
use crate::errors::error;
use crate::kinds::Kinds;
use crate::layout::New;
use crate::map::Map;
use crate::slots::{HasLanes, Lanes};
use crate::store::{Dropped, Store, rehasher};
use crate::typed::{Lookup, Replaced, Search, TypedKey, TypedValue};
use ebb::RawTable;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyType;

static LANES: Lanes<Map> = Lanes::new();

/// Put the lanes into a class that was just made, for those slots that it has unchanged from `Map` or `Cache`.
#[pyfunction]
pub(crate) fn _add_fast_lanes(class: &Bound<'_, PyType>) -> PyResult<()> {
    // SAFETY: each is a subclass of the class whose lanes it gets.
    unsafe {
        if class.is_subclass_of::<Map>()? {
            Map::lanes().put_into(class);
        } else if class.is_subclass_of::<Cache>()? {
            Cache::lanes().put_into(class);
        } else {
            let message = format_args!("only a subclass of Map or Cache has their slots");
            return Err(error::<PyTypeError>(class.py(), message));
        }
    }
    Ok(())
}

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
        self.store.try_with(|store| {
            let layout = &store.layout;
            let mut search = Search::default();
            let end = store.table.get(hash, |entry| search.ends_at(K::compare(key, hash, layout, entry)));
            let Lookup::Found(entry) = search.result(end) else { return None };
            new_object(py, layout.value, &entry[K::value(layout, entry)])
        })?
    }

    #[inline(always)]
    fn lane_set<K: TypedKey, V: TypedValue>(&self, key: K::Key<'_>, value: &Bound<'_, PyAny>) -> Option<()> {
        let hash = K::hash(key);
        let replaced = self.store.try_with(|store| {
            let Store { layout, table, .. } = &mut *store;
            let value = V::of(layout.value, value)?;
            let mut search = Search::default();
            let end = table.get_mut(hash, |entry| search.ends_at(K::compare(key, hash, layout, entry)));
            match search.result(end) {
                Lookup::Unsure => None,
                Lookup::Absent => {
                    store.insert_typed::<K, V>(hash, key, value).ok()?;
                    Some(Replaced(None))
                }
                Lookup::Found(entry) => {
                    let range = K::value(layout, entry);
                    if range.len() != V::len(value) {
                        return resize::<K>(store, key, New { hash, key: &K::key(key), value: &V::value(value) });
                    }
                    let at = &mut entry[range];
                    let replaced = V::take(at);
                    V::write(value, at);
                    V::keep(value);
                    Some(Replaced(replaced))
                }
            }
        })??;
        replaced.release(value.py()); // may run `__del__`
        Some(())
    }

    #[inline(always)]
    fn lane_delete<K: TypedKey>(&self, py: Python<'_>, key: K::Key<'_>) -> Option<()> {
        let hash = K::hash(key);
        let dropped = self.store.try_with(|store| {
            let layout = &store.layout;
            store.table.prefetch_removal(&rehasher::<K>(layout));
            let mut search = Search::default();
            let end = store.table.locate(hash, |entry| search.ends_at(K::compare(key, hash, layout, entry)));
            let Lookup::Found(&(found, entry)) = search.result(end.as_ref()) else { return None };
            let dropped = Dropped::of::<K>(layout, entry);
            store.forget::<K>(found);
            Some(dropped)
        })??;
        dropped.release(py); // may run `__del__`
        Some(())
    }

    #[inline(always)]
    fn lane_contains<K: TypedKey>(&self, key: K::Key<'_>) -> Option<bool> {
        let hash = K::hash(key);
        self.store.try_with(|store| {
            let (layout, mut search) = (&store.layout, Search::default());
            let end = store.table.get(hash, |entry| search.ends_at(K::compare(key, hash, layout, entry)));
            match search.result(end) {
                Lookup::Found(_) => Some(true),
                Lookup::Absent => Some(false),
                Lookup::Unsure => None,
            }
        })?
    }

    fn get_item(slf: &Bound<'_, Self>, given: &Bound<'_, PyAny>, key: &Key<'_>) -> PyResult<Py<PyAny>> {
        Map::get_item(slf, given, key)
    }

    fn set_item(&self, key: &Key<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_typed(value.py(), key, &self.value(value)?)
    }

    fn delete_item(&self, given: &Bound<'_, PyAny>, key: &Key<'_>) -> PyResult<()> {
        Map::delete_item(self, given, key)
    }

    fn contains_item(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<bool> {
        Map::contains_item(self, py, key)
    }
}

/// Set a key that is there to a value of another length than it has.
#[inline(never)]
fn resize<K: TypedKey>(store: &mut Store, key: K::Key<'_>, new: New<'_>) -> Option<Replaced> {
    let (hash, layout, mut search) = (new.hash, &store.layout, Search::default());
    let end = store.table.find(hash, |entry| search.ends_at(K::compare(key, hash, layout, entry)));
    let Lookup::Found(found) = search.result(end) else { return None };
    store.overwrite(found, new).ok().map(|(_, dropped)| Replaced(dropped.into_value()))
}
