//! The lanes of a cache: `c[key]`, `c[key] = value`, `del c[key]`, `key in c` and `c.get(key)`. See
//! [`slots`](crate::mapping::slots). A cache with a timer of its own always goes the general way, as the timer is Python code.
#![allow(unsafe_code)] // type slots

use crate::cache::chest::expiry::alive;
use crate::cache::chest::state::Chest;
use crate::cache::class::Cache;
use crate::cache::gone::Gone;
use crate::cache::moment::Moment;
use crate::cache::settings::Settings;
use crate::cache::step::Step;
use crate::kinds::entry::Made;
use crate::kinds::given::Kinds;
use crate::kinds::lookup::Lookup;
use crate::kinds::new::{Key, New};
use crate::kinds::typed::{ObjectKeys, Replaced, TypedKey, TypedValue, with_key_type};
use crate::mapping::slots::{self, Behind, HasLanes, Lanes};
use crate::table::store::Found;
use ebb::{Clock, Deadlines, Glance, RawTable};
use pyo3::PyTypeInfo;
use pyo3::ffi;
use pyo3::prelude::*;

static LANES: Lanes<Cache> = Lanes::new();
static GET: Behind = Behind::new();

/// Put the lane before the `get` that PyO3 made.
pub(crate) fn put_before_get(py: Python<'_>) -> PyResult<()> {
    // SAFETY: `get` takes any instance of `Cache`, and passes on arguments as it was given them.
    unsafe { GET.put_before(&Cache::type_object(py), c"get", get) }
}

/// The settings of a cache of the system's clock.
#[inline(always)]
fn settings(cache: &Cache) -> Option<&Settings> {
    cache.shared.settings.get().filter(|settings| settings.is_on_system_time())
}

/// The value of a key that is alive, as a use of it. That it is absent is not counted, and takes longer to see where the
/// key is `EXPECTED`.
#[inline(always)]
fn read<'py, K: TypedKey, const EXPECTED: bool>(
    py: Python<'py>,
    chest: &mut Chest,
    key: K::Key<'_>,
) -> Lookup<Made<'py>> {
    let hash = K::hash(key);
    let Chest { store, counts, limits, .. } = chest;
    let mut glance = None;
    if EXPECTED && !store.table().never_expires() {
        store.table().prefetch_line(hash); // which comes while the clock is read
        glance = Some(Glance::take());
    }
    let mut end = store.look::<K>(hash, key);
    let look = match end.result() {
        Lookup::Found(look) => look,
        Lookup::Absent => return Lookup::Absent,
        Lookup::Unsure => return Lookup::Unsure,
    };
    let deadlines = look.deadlines();
    let over = match glance {
        Some(glance) => glance.shows(deadlines.first()),
        None => Clock::has_come(deadlines.first()),
    };
    if over {
        return Lookup::Absent;
    }
    let Some(object) = look.value(py) else {
        return Lookup::Unsure;
    };
    counts.hits.add(1);
    if let Some(idle) = limits.idle {
        let idle = limits.clock.after(Clock::now(), idle);
        look.prolong(Deadlines { hard: deadlines.hard, idle });
    }
    look.mark();
    Lookup::Found(object)
}

impl HasLanes for Cache {
    fn lanes() -> &'static Lanes<Cache> {
        &LANES
    }

    #[inline(always)]
    fn lane_kinds(&self) -> Option<&Kinds> {
        self.shared.settings.get().map(|settings| &settings.kinds)
    }

    #[inline(always)]
    fn lane_get<'py, K: TypedKey>(&self, py: Python<'py>, key: K::Key<'_>) -> Option<Made<'py>> {
        settings(self)?;
        match self.shared.chest.try_with(|chest| read::<K, true>(py, chest, key))? {
            Lookup::Found(object) => Some(object),
            Lookup::Absent | Lookup::Unsure => None,
        }
    }

    #[inline(always)]
    fn lane_set<K: TypedKey, V: TypedValue>(&self, key: K::Key<'_>, value: &Bound<'_, PyAny>) -> Option<()> {
        let (py, settings) = (value.py(), settings(self)?);
        let hash = K::hash(key);
        let value = V::of(settings.kinds.value, value)?;
        let moment = Moment::later();
        let mut gone = Gone::default();
        let done = self.shared.chest.try_with(|chest| {
            chest.store.table().prefetch_line(hash); // which comes while the clock is read
            let deadlines = chest.deadlines(chest.limits.lives(None), &moment);
            let tells = settings.tells();
            let mut end = chest.store.look::<K>(hash, key);
            let done = match end.result() {
                Lookup::Unsure => None,
                Lookup::Found(look) if tells || moment.is_past(look.deadlines().first()) => None,
                Lookup::Found(look) => look.overwrite::<V>(value, deadlines).inspect(|_| {
                    chest.counts.sets.add(1);
                    chest.counts.replaced.add(1);
                }),
                Lookup::Absent if K::BYTES > 0 && !chest.limits.are_bounds() => {
                    let inserted = chest.insert_typed::<K, V>(hash, key, value, deadlines);
                    inserted.ok().map(|()| Replaced(None))
                }
                Lookup::Absent => {
                    let new = New { hash, key: &K::key(key), value: &V::value(value) };
                    // Refused or not, those who made room have left. The general way meets the error again.
                    let mut step = Step { py, moment: &moment, gone: &mut gone };
                    match Chest::put_at(Err(&mut *chest), &mut step, new, deadlines) {
                        Ok(()) => Some(Replaced(None)),
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
        done?.release(py); // may run `__del__`
        Some(())
    }

    #[inline(always)]
    fn lane_delete<K: TypedKey>(&self, py: Python<'_>, key: K::Key<'_>) -> Option<()> {
        if settings(self)?.tells() {
            return None;
        }
        let hash = K::hash(key);
        let dropped = self.shared.chest.try_with(|chest| {
            chest.store.prefetch_removal::<K>();
            let Lookup::Found(found) = Found::typed::<K>(chest, hash, key) else { return None };
            if Clock::has_come(found.deadlines().first()) {
                return None;
            }
            let (chest, dropped) = found.remove_typed::<K>();
            chest.counts.deleted.add(1);
            self.end_step(chest, &mut Step { py, moment: &Moment::later(), gone: &mut Gone::default() });
            Some(dropped)
        })??;
        dropped.release(py); // may run `__del__`
        Some(())
    }

    #[inline(always)]
    fn lane_contains<K: TypedKey>(&self, _: Python<'_>, key: K::Key<'_>) -> Option<bool> {
        settings(self)?;
        let hash = K::hash(key);
        self.shared.chest.try_with(|chest| match chest.store.look::<K>(hash, key).result() {
            Lookup::Found(look) => Some(!Clock::has_come(look.deadlines().first())),
            Lookup::Absent => Some(false),
            Lookup::Unsure => None,
        })?
    }

    #[inline]
    fn find_item(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.find_value(py, key)
    }

    fn set_item(&self, key: &Key<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let lives = self.shared.settings().limits.lives(None);
        self.put(value.py(), key, &self.value(value)?, lives)
    }

    #[inline]
    fn remove_item(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<bool> {
        self.delete(py, key)
    }

    #[inline]
    fn contains_item(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<bool> {
        let moment = self.moment(py)?;
        self.locate(py, key, &moment, |found, _, _| alive(found, &moment).is_ok())
    }
}

/// `cache.get(key)`. Saves 24 to 39 % of its instructions (`benches/lanes.py`).
///
/// # Safety
/// As for a method of `Cache` that takes arguments as an array, and names.
unsafe extern "C" fn get(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls methods attached, with an instance of their class, `count` arguments and those that
    // `keywords` names, and holds them until they return.
    unsafe {
        match slots::instance::<Cache>(slf).lane_kinds() {
            Some(kinds) if keywords.is_null() && (count == 1 || count == 2) => {
                with_key_type!(kinds.key, K => get_of::<K>(slf, args, count))
            }
            _ => GET.call(slf, args, count, keywords),
        }
    }
}

/// # Safety
/// As for `get`, with one argument or two, and no names.
#[inline(never)]
unsafe extern "C" fn get_of<K: TypedKey>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: 1. The caller is `get`, which passes on what it was called with. 2. The default is a second argument, which is
    // held until this returns, or None, which always lives.
    unsafe {
        let value = slots::lane(slf, *args, move |slf: &Bound<'_, Cache>, given| {
            let (py, cache, key) = (slf.py(), slf.get(), K::of(given)?);
            let default = move || {
                let default = if count == 2 { *args.add(1) } else { ffi::Py_None() };
                Bound::from_borrowed_ptr(py, default).into_ptr()
            };
            Some(match get_typed::<K>(cache, py, key) {
                Lookup::Found(made) => made.into_ptr(),
                Lookup::Absent => default(),
                Lookup::Unsure => slots::finish(py, std::ptr::null_mut(), move || {
                    Ok(cache.find_value(py, &K::key(key))?.map_or_else(default, Py::into_ptr))
                }),
            })
        });
        value.unwrap_or_else(|| GET.call(slf, args, count, std::ptr::null_mut()))
    }
}

/// What `cache.get(key)` gives, in one hold of the lock.
#[inline(always)]
fn get_typed<'py, K: TypedKey>(cache: &Cache, py: Python<'py>, key: K::Key<'_>) -> Lookup<Made<'py>> {
    if settings(cache).is_none() {
        return Lookup::Unsure;
    }
    let found = cache.shared.chest.try_with(
        #[inline(always)]
        |chest| {
            let found = read::<K, false>(py, chest, key);
            chest.counts.misses.add(u64::from(matches!(found, Lookup::Absent)));
            found
        },
    );
    found.unwrap_or(Lookup::Unsure) // somebody else has the lock
}

/// As [`get_typed`], or in the general way.
#[inline(always)]
fn get_converted<'py, K: TypedKey>(
    cache: &Cache,
    py: Python<'py>,
    key: K::Key<'_>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match get_typed::<K>(cache, py, key) {
        Lookup::Found(made) => made.into_result(py).map(Some),
        Lookup::Absent => Ok(None),
        Lookup::Unsure => find_value(cache, py, &K::key(key)),
    }
}

#[cold]
#[inline(never)]
fn find_value<'py>(cache: &Cache, py: Python<'py>, key: &Key<'_>) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(cache.find_value(py, key)?.map(|value| value.into_bound(py)))
}

/// What `cache.get(key)` gives. Looks for a tuple in one hold of the lock, where comparing its items takes no Python code.
#[inline]
pub(crate) fn get_value<'py>(cache: &Cache, given: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (py, kind) = (given.py(), cache.kinds().key);
    let converted = with_key_type!(kind, K => K::of(given).map(|key| get_converted::<K>(cache, py, key)));
    if let Some(found) = converted {
        return found;
    }
    match Key::unusual(kind, given)? {
        Key::Object(object, own_hash) => get_converted::<ObjectKeys>(cache, py, (object, own_hash)),
        key => find_value(cache, py, &key),
    }
}
