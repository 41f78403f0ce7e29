//! A cache's `c[key]`, `c[key] = value`, `del c[key]`, `key in c` and `c.get(key)` without PyO3's trampolines: see
//! [`map::fast`](crate::map::fast). A cache with a timer of its own has none of it, as the timer is Python code.
#![allow(unsafe_code)] // type slots

use crate::cache::chest::state::Chest;
use crate::cache::class::Cache;
use crate::cache::gone::Gone;
use crate::cache::moment::Moment;
use crate::cache::settings::Settings;
use crate::cache::step::Step;
use crate::kinds::entry::new_object;
use crate::kinds::given::Kinds;
use crate::kinds::new::{Key, New};
use crate::kinds::typed::{ObjectKeys, TypedKey, TypedValue, with_key_type};
use crate::mapping::slots::{self, Behind, HasLanes, Lanes};
use crate::table::dropped::Dropped;
use crate::table::store::{Store, rehasher};
use ebb::{Clock, Deadlines, Glance, RawTable};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

static LANES: Lanes = Lanes::of::<Cache>();
static GET: Behind = Behind::new();

/// Remember the slots that PyO3 made for `Cache`, and put the lane before its `get`.
pub(crate) fn remember(cache: &Bound<'_, PyType>) -> PyResult<()> {
    LANES.remember(cache);
    GET.put_before(cache, c"get", get)
}

/// The settings of a cache of the system's clock.
#[inline(always)]
fn settings(cache: &Cache) -> Option<&Settings> {
    cache.shared.settings.get().filter(|settings| settings.is_on_system_time())
}

/// The value of a key as a new reference (NULL with an exception set where the object could not be made), as a use of
/// it; `Some(None)` if it is not there, which is not counted, and takes longer where the key is `EXPECTED`.
#[inline(always)]
fn read<K: TypedKey, const EXPECTED: bool>(
    py: Python<'_>,
    chest: &mut Chest,
    key: K::Key<'_>,
) -> Option<Option<*mut ffi::PyObject>> {
    let hash = K::hash(key);
    let Chest { store: Store { layout, table, .. }, counts, limits, .. } = chest;
    let mut unsure = false;
    let mut glance = None;
    if EXPECTED && !table.never_expires() {
        table.prefetch_line(hash); // which comes while the clock is read
        glance = Some(Glance::take());
    }
    // SAFETY: a cache of such keys holds the entries that are looked at.
    let found = table.look(hash, |entry| unsafe { K::is(key, hash, layout, entry, &mut unsure) });
    if unsure {
        return None;
    }
    let Some(mut look) = found else { return Some(None) };
    let deadlines = look.deadlines();
    let over = match glance {
        Some(glance) => glance.shows(deadlines.first()),
        None => Clock::has_come(deadlines.first()),
    };
    if over {
        return Some(None);
    }
    // SAFETY: the table holds the value.
    let object = unsafe { new_object(py, layout.value, &look.entry[K::value(layout, look.entry)]) }?;
    counts.hits += 1;
    if let Some(idle) = limits.idle {
        let idle = limits.clock.after(Clock::now(), idle);
        look.prolong(Deadlines { hard: deadlines.hard, idle });
    }
    look.mark();
    Some(Some(object))
}

impl HasLanes for Cache {
    fn lanes() -> &'static Lanes {
        &LANES
    }

    #[inline(always)]
    fn lane_kinds(&self) -> Option<&Kinds> {
        self.shared.settings.get().map(|settings| &settings.kinds)
    }

    #[inline(always)]
    fn lane_get<K: TypedKey>(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> Option<*mut ffi::PyObject> {
        settings(self)?;
        let key = K::of(key)?;
        self.shared.chest.try_with(|chest| read::<K, true>(py, chest, key))??
    }

    #[inline(always)]
    fn lane_set<K: TypedKey, V: TypedValue>(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> Option<()> {
        let settings = settings(self)?;
        let key = K::of(key)?;
        let hash = K::hash(key);
        let value = V::of(settings.kinds.value, value)?;
        let moment = Moment::later();
        let mut gone = Gone::default();
        let done = self.shared.chest.try_with(|chest| {
            chest.store.table.prefetch_line(hash); // which comes while the clock is read
            let deadlines = chest.deadlines(chest.limits.lives(None), &moment);
            let (tells, unbounded) = (settings.tells(), !chest.limits.are_bounds());
            let Chest { store: Store { layout, table, .. }, counts, .. } = &mut *chest;
            let mut unsure = false;
            // SAFETY: a cache of such keys holds the entries that are looked at.
            let found = table.look(hash, |entry| unsafe { K::is(key, hash, layout, entry, &mut unsure) });
            let done = match found {
                _ if unsure => None,
                Some(mut look) => {
                    let range = K::value(layout, look.entry);
                    let over = moment.is_past(look.deadlines().first());
                    if tells || over || range.len() != V::len(value) || !look.prolong(deadlines) {
                        None
                    } else {
                        look.mark();
                        (counts.sets, counts.replaced) = (counts.sets + 1, counts.replaced + 1);
                        let at = &mut look.entry[range];
                        // SAFETY: the table holds the value, which is written over.
                        let replaced = unsafe { V::take(at) };
                        V::write(value, at);
                        V::keep(value);
                        Some(replaced)
                    }
                }
                None if unbounded && K::BYTES > 0 => {
                    chest.insert_typed::<K, V>(hash, key, value, deadlines).ok().map(|()| None)
                }
                None => {
                    let new = New { hash, key: &K::key(key), value: &V::value(value) };
                    // Refused or not, those who made room have left. The slot behind meets the error again.
                    match chest.put_at(&mut Step { py, moment: &moment, gone: &mut gone }, None, new, deadlines) {
                        Ok(()) => Some(None),
                        Err(refused) => {
                            refused.into_gone(&mut gone);
                            None
                        }
                    }
                }
            };
            self.end_step(chest, &mut Step { py, moment: &moment, gone: &mut gone });
            done
        })?;
        self.after_step(py, gone);
        if let Some(replaced) = done? {
            replaced.release(py); // may run `__del__`
        }
        Some(())
    }

    #[inline(always)]
    fn lane_delete<K: TypedKey>(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> Option<()> {
        if settings(self)?.tells() {
            return None;
        }
        let key = K::of(key)?;
        let hash = K::hash(key);
        let dropped = self.shared.chest.try_with(|chest| {
            let Chest { store, counts, .. } = &mut *chest;
            let (layout, mut unsure) = (&store.layout, false);
            store.table.prefetch_removal(&rehasher::<K>(layout));
            // SAFETY: a cache of such keys holds the entries that are looked at.
            let (found, entry) =
                store.table.locate(hash, |entry| unsafe { K::is(key, hash, layout, entry, &mut unsure) })?;
            if unsure || Clock::has_come(store.table.deadlines(found).first()) {
                return None;
            }
            counts.deleted += 1;
            // SAFETY: the table holds the entry, which is removed.
            let dropped = unsafe { Dropped::of::<K>(layout, entry) };
            store.forget::<K>(found);
            self.end_step(chest, &mut Step { py, moment: &Moment::later(), gone: &mut Gone::default() });
            Some(dropped)
        })??;
        dropped.release(py); // may run `__del__`
        Some(())
    }

    #[inline(always)]
    fn lane_contains<K: TypedKey>(&self, _: Python<'_>, key: &Bound<'_, PyAny>) -> Option<bool> {
        settings(self)?;
        let key = K::of(key)?;
        let hash = K::hash(key);
        self.shared.chest.try_with(|chest| {
            let Store { layout, table, .. } = &mut chest.store;
            let mut unsure = false;
            // SAFETY: a cache of such keys holds the entries that are looked at.
            let found = table.look(hash, |entry| unsafe { K::is(key, hash, layout, entry, &mut unsure) });
            let alive = found.is_some_and(|look| !Clock::has_come(look.deadlines().first()));
            (!unsure).then_some(alive)
        })?
    }
}

unsafe extern "C" fn get(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls methods attached, with an instance of their class, `count` arguments and those that
    // `keywords` names, and holds them.
    unsafe {
        match slots::instance::<Cache>(slf).lane_kinds() {
            Some(kinds) if keywords.is_null() && (count == 1 || count == 2) => {
                with_key_type!(kinds.key, K => get_of::<K>(slf, args, count))
            }
            _ => GET.call(slf, args, count, keywords),
        }
    }
}

#[inline(never)]
unsafe extern "C" fn get_of<K: TypedKey>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: 1. As in `get`, which passes on what it was called with, one argument or two. 2. A default outlives the
    // call; None always lives.
    unsafe {
        let value = slots::lane(slf, *args, |py, cache: &Cache, key| {
            settings(cache)?;
            let key = K::of(key)?;
            cache.shared.chest.try_with(|chest| {
                let value = read::<K, false>(py, chest, key)?;
                Some(value.unwrap_or_else(|| {
                    chest.counts.misses += 1;
                    let default = if count == 2 { *args.add(1) } else { ffi::Py_None() };
                    ffi::Py_INCREF(default);
                    default
                }))
            })?
        });
        value.unwrap_or_else(|| GET.call(slf, args, count, std::ptr::null_mut()))
    }
}

/// What `cache.get(key)` gives, in one hold of the lock; `None` where that may take Python code.
#[inline(always)]
fn get_typed<'py, K: TypedKey>(
    cache: &Cache,
    py: Python<'py>,
    key: K::Key<'_>,
) -> Option<PyResult<Option<Bound<'py, PyAny>>>> {
    settings(cache)?;
    let value = cache.shared.chest.try_with(|chest| {
        let value = read::<K, false>(py, chest, key)?;
        chest.counts.misses += u64::from(value.is_none());
        Some(value)
    })??;
    // SAFETY: a new reference, or NULL with an exception set.
    Some(value.map(|value| unsafe { Bound::from_owned_ptr_or_err(py, value) }).transpose())
}

/// What `cache.get(key)` gives. Looks for a tuple in one hold of the lock, where comparing its items takes no Python code.
#[inline]
pub(crate) fn get_value<'py>(cache: &Cache, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = key.py();
    let kind = cache.kinds().key;
    let done = with_key_type!(kind, K => K::of(key).and_then(|key| get_typed::<K>(cache, py, key)));
    if let Some(done) = done {
        return done;
    }
    let key = cache.key(key)?;
    if let Key::Object(object, own_hash) = key
        && let Some(done) = get_typed::<ObjectKeys>(cache, py, (object, own_hash))
    {
        return done;
    }
    Ok(cache.find_value(py, &key)?.map(|value| value.into_bound(py)))
}
