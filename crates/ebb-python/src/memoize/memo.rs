//! A memoized function: how a call becomes a key, and the way to a result that is there. `ebbmap/_internal/memoize.py` makes it,
//! and `flight` makes the calls whose results are not there.

use crate::cache::class::Cache;
use crate::cache::fast::get_value;
use crate::cache::instances::watch as instances;
use crate::kinds::kind::KeyKind;
use crate::kinds::plain::is_plain;
use crate::memoize::flight;
use crate::python::calls;
use crate::python::errors::{error, out_of_memory};
use crate::python::make::{self, name, pair_of, prefixed};
use crate::python::reserve::has_room_for;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What `memoize` makes of a function; `ebbmap._internal.memoize` has a subclass.
#[pyclass(frozen, subclass, module = "ebbmap._core")]
pub(crate) struct Memo {
    /// The Python function by which it is pickled, and for a coroutine function known as one.
    /// None only in an object that CPython drops for want of memory before it is made: all its bytes are zero.
    func: Option<Py<PyAny>>,
    /// Read from `func` when they are first needed: what is being unpickled may not have them before.
    /// None only in an object that was not made: an `OnceLock` of zeros would be taken for a full one.
    parts: Option<Box<OnceLock<Parts>>>,
    /// Whether it was found in a class: the first argument of a call is then an instance.
    is_method: AtomicBool,
}

pub(super) struct Parts {
    cache: Py<Cache>,
    /// The cache's `get`, where a subclass has its own.
    get: Option<Py<PyAny>>,
    /// Stands before the rest of a key, if that is not bare.
    owner: Option<Py<PyAny>>,
    /// `key=`.
    given: Option<Py<PyAny>>,
    /// Puts arguments in order: what keywords name next to them, then the other keywords. With keys of a kind: the key
    /// that arguments are.
    arrange: Py<PyAny>,
    /// The calls under way.
    flights: Py<PyAny>,
    /// How many seconds of its lifetime a result is stale.
    margin: f64,
    /// For a coroutine function: what its call gives, from key and arguments.
    run: Option<Py<PyAny>>,
}

#[pymethods]
impl Memo {
    #[new]
    fn new(func: Py<PyAny>) -> PyResult<Self> {
        if !has_room_for::<OnceLock<Parts>>() {
            return Err(out_of_memory(()));
        }
        let parts = Some(Box::new(OnceLock::new()));
        Ok(Memo { func: Some(func), parts, is_method: AtomicBool::new(false) })
    }

    #[allow(clippy::too_many_arguments)] // as many as it has parts
    #[pyo3(signature = (*, cache, get, owner, given, arrange, flights, margin, run))]
    fn _configure(
        &self,
        cache: Py<Cache>,
        get: Option<Py<PyAny>>,
        owner: Option<Py<PyAny>>,
        given: Option<Py<PyAny>>,
        arrange: Py<PyAny>,
        flights: Py<PyAny>,
        margin: f64,
        run: Option<Py<PyAny>>,
    ) {
        let parts = Parts { cache, get, owner, given, arrange, flights, margin, run };
        drop(self.known_parts().set(parts)); // another thread may have been quicker, with the same
    }

    #[getter]
    fn func(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.func.as_ref().map(|func| func.clone_ref(py))
    }

    /// From now on the first argument of a call is an instance.
    pub(super) fn _set_method(&self) {
        self.is_method.store(true, Ordering::Relaxed);
    }

    /// The key of a call.
    #[pyo3(signature = (*args, **kwargs))]
    fn _key<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.get().key(parts(slf)?, args, kwargs)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        // Its frame is on the stack of each call that a function makes of itself: nothing large is compiled into it.
        let (parts, key, looked) = look_up(slf, args, kwargs)?;
        match looked {
            Look::Found(value) => Ok(value),
            looked => parts.call(looked, &key, args, kwargs),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.func)?;
        let Some(parts) = self.parts.as_ref().and_then(|parts| parts.get()) else { return Ok(()) };
        visit.call(&parts.cache)?;
        visit.call(&parts.arrange)?;
        visit.call(&parts.flights)?;
        [&parts.get, &parts.owner, &parts.given, &parts.run].into_iter().try_for_each(|part| visit.call(part))
    }
}

/// The key of a call, and what is in the cache.
#[inline(never)]
fn look_up<'a, 'py>(
    memo: &'a Bound<'py, Memo>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<(&'a Parts, Bound<'py, PyAny>, Look<'py>)> {
    let parts = parts(memo)?;
    let key = memo.get().key(parts, args, kwargs)?;
    let looked = parts.look(&key)?;
    Ok((parts, key, looked))
}

#[inline]
pub(super) fn parts<'a>(memo: &'a Bound<'_, Memo>) -> PyResult<&'a Parts> {
    match memo.get().known_parts().get() {
        Some(parts) => Ok(parts),
        None => complete(memo),
    }
}

#[cold]
fn complete<'a>(memo: &'a Bound<'_, Memo>) -> PyResult<&'a Parts> {
    calls::call_method_with(name!(memo.py(), c"_complete"), [memo.as_any()])?;
    let message = format_args!("a memoized function that was never made");
    memo.get().known_parts().get().ok_or_else(|| error::<PyRuntimeError>(memo.py(), message))
}

/// What is found in the cache before a call is made.
pub(super) enum Look<'py> {
    Found(Bound<'py, PyAny>),
    Stale(Bound<'py, PyAny>),
    Absent,
    /// A coroutine looks when it runs.
    Later,
}

/// Keywords for a Python function that takes them as a dict.
fn given_or_empty<'py>(py: Python<'py>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
    let kwargs = kwargs.map_or_else(|| make::dict(py), |kwargs| Ok(kwargs.clone()))?;
    Ok(kwargs.into_any())
}

impl Parts {
    #[inline]
    pub(super) fn look<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Look<'py>> {
        if self.run.is_some() {
            return Ok(Look::Later);
        }
        if self.margin > 0.0 {
            let found = self.cache.get().get_with_lifetime(key, false)?;
            return Ok(found.map_or(Look::Absent, |(value, left)| {
                let value = value.into_bound(key.py());
                if left > self.margin { Look::Found(value) } else { Look::Stale(value) }
            }));
        }
        Ok(self.find(key)?.map_or(Look::Absent, Look::Found))
    }

    /// Arguments that are a key, with the owner before them.
    #[inline]
    fn owned<'py>(&self, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let Some(owner) = &self.owner else { return Ok(args.as_any().clone()) };
        let owner = owner.bind(args.py());
        if args.len() == 1 { pair_of(owner, args.as_any()) } else { Ok(prefixed(owner, args, 0)?.into_any()) }
    }

    /// The value of a key, as a use of it.
    #[inline]
    fn find<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(get) = &self.get else { return get_value(self.cache.get(), key) };
        let py = key.py();
        let absent = calls::getattr(self.flights.bind(py), name!(py, c"absent"))?;
        let found = calls::call(get.bind(py), [key, &absent])?;
        Ok((!found.is(&absent)).then_some(found))
    }

    /// The result of a call after a look that did not find it.
    pub(super) fn call<'py>(
        &self,
        look: Look<'py>,
        key: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        if let Some(run) = &self.run {
            return calls::call(run.bind(py), [key, args.as_any(), &given_or_empty(py, kwargs)?]);
        }
        let flights = self.flights.bind(py);
        match look {
            Look::Stale(old) => flight::renew(flights, key, &old, args, kwargs),
            _ => flight::compute(flights, key, args, kwargs, false),
        }
    }
}

impl Memo {
    #[inline(always)]
    fn known_parts(&self) -> &OnceLock<Parts> {
        self.parts.as_deref().expect("a function that was made")
    }

    /// The key of a call. A single int, str or bytes is its own key, other arguments are a tuple; the owner's mark stands
    /// before either.
    #[inline]
    fn key<'py>(
        &self,
        parts: &Parts,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        if let Some(given) = &parts.given {
            return self.own_key(parts, given.bind(py), args, kwargs);
        }
        match (kwargs, parts.cache.get().kinds().key == KeyKind::Object) {
            (None, true) => self.key_of_arguments(parts, args),
            (None, false) if args.len() == 1 => Ok(args.get_borrowed_item(0)?.to_owned()),
            (_, is_object) => {
                let arranged = calls::call(parts.arrange.bind(py), [args.as_any(), &given_or_empty(py, kwargs)?])?;
                if is_object { self.key_of_arguments(parts, &arranged.cast_into()?) } else { Ok(arranged) }
            }
        }
    }

    /// The key of arguments in order, where keys are objects.
    #[inline]
    fn key_of_arguments<'py>(&self, parts: &Parts, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        if args.len() == 1 {
            let first = args.get_borrowed_item(0)?;
            if is_plain(first.get_type_ptr()) {
                return match &parts.owner {
                    None => Ok(first.to_owned()),
                    Some(owner) => pair_of(owner.bind(args.py()), &first),
                };
            }
        }
        let marked = self.with_mark(parts, args)?;
        parts.owned(marked.as_ref().unwrap_or(args))
    }

    /// As [`key`](Self::key), of a call with an instance before the other arguments.
    #[inline]
    pub(super) fn key_of_method<'py>(
        &self,
        parts: &Parts,
        instance: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = parts.cache.get();
        if kwargs.is_none()
            && parts.given.is_none()
            && cache.kinds().key == KeyKind::Object
            && let Some(mark) = instances::mark_of(cache, instance)?
        {
            return parts.owned(&prefixed(&mark, args, 0)?);
        }
        self.key(parts, &prefixed(instance, args, 0)?, kwargs)
    }

    /// The arguments of a method's call with the mark of the instance in its place; `None` where it has none.
    #[inline]
    fn with_mark<'py>(&self, parts: &Parts, args: &Bound<'py, PyTuple>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        if !self.is_method.load(Ordering::Relaxed) || args.is_empty() {
            return Ok(None);
        }
        let instance = args.get_borrowed_item(0)?;
        let Some(mark) = instances::mark_of(parts.cache.get(), &instance)? else { return Ok(None) };
        prefixed(&mark, args, 1).map(Some)
    }

    /// The key that `key=` gives: where the instance of a method is in it, its mark is in its place.
    fn own_key<'py>(
        &self,
        parts: &Parts,
        given: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut key = calls::call_with(given, args, kwargs)?;
        let is_object = parts.cache.get().kinds().key == KeyKind::Object;
        if is_object && self.is_method.load(Ordering::Relaxed) && !args.is_empty() {
            let instance = args.get_borrowed_item(0)?;
            key = replace_instance(parts.cache.get(), key, &instance)?;
        }
        match &parts.owner {
            None => Ok(key),
            Some(owner) => pair_of(owner.bind(args.py()), &key),
        }
    }
}

/// A key, a tuple or not, with the mark of an instance in its place.
fn replace_instance<'py>(
    cache: &Cache,
    key: Bound<'py, PyAny>,
    instance: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = key.py();
    if key.is(instance) {
        return Ok(instances::mark_of(cache, instance)?.map_or(key, Bound::into_any));
    }
    let Ok(items) = key.cast_exact::<PyTuple>() else { return Ok(key) };
    if !items.iter_borrowed().any(|item| item.is(instance)) {
        return Ok(key);
    }
    let Some(mark) = instances::mark_of(cache, instance)? else { return Ok(key) };
    let mark = mark.into_any();
    let replaced = items.iter().map(|item| if item.is(instance) { mark.clone() } else { item });
    Ok(make::tuple(py, replaced)?.into_any())
}

/// Set the result of a call; it goes when the instance dies whose mark is in its key. O(1).
#[pyfunction]
pub(crate) fn _set_result(
    cache: &Bound<'_, Cache>,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    ttl: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = cache.py();
    calls::call_method_with(name!(py, c"set"), [cache.as_any(), key, value, ttl])?;
    if cache.get().kinds().key == KeyKind::Object { instances::note(cache.get(), key) } else { Ok(()) }
}
