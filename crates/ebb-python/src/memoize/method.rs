//! A memoized method of an instance.

use crate::memoize::memo::{Look, Memo, Parts, parts};
use crate::python::calls;
use crate::python::errors::{Shown, error, written};
use crate::python::make::{self, Name, name, pair_of, prefixed};
use pyo3::exceptions::PyAttributeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple};

static BUILTINS: Name = Name::new(c"builtins");
static TYPES: Name = Name::new(c"types");

// What a memoized function in a class binds to. It looks like a `functools.partial` of the function, which `inspect`
// and other libraries look through, and compares as methods do. This is no docstring: the class's would stand before the
// method's own.
#[pyclass(frozen, weakref, module = "ebbmap._core")]
pub(crate) struct MemoMethod {
    func: Py<Memo>,
    instance: Py<PyAny>,
}

impl MemoMethod {
    fn of<'py>(func: &Bound<'py, Memo>, instance: &Bound<'py, PyAny>) -> Self {
        MemoMethod { func: func.clone().unbind(), instance: instance.clone().unbind() }
    }

    /// As for a function.
    #[inline(never)]
    fn look_up<'a, 'py: 'a>(
        &'a self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<(&'a Parts, Bound<'py, PyAny>, Look<'py>)> {
        let py = args.py();
        let parts = parts(self.func.bind(py))?;
        let key = self.func.get().key_of_method(parts, self.instance.bind(py), args, kwargs)?;
        let looked = parts.look(&key)?;
        Ok((parts, key, looked))
    }

    /// The arguments with the instance before them.
    #[inline(never)]
    fn all<'py>(&self, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyTuple>> {
        prefixed(self.instance.bind(args.py()), args, 0)
    }

    /// Call a method of the function, with the instance before the arguments.
    fn with_instance<'py>(
        &self,
        name: &Bound<'py, PyString>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        let args = self.all(args)?;
        calls::call_with(&calls::getattr(self.func.bind(py), name)?, &args, kwargs)
    }
}

#[pymethods]
impl Memo {
    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        instance: Option<&Bound<'py, PyAny>>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.get()._set_method();
        match instance {
            None => Ok(slf.as_any().clone()),
            Some(instance) => Ok(Bound::new(slf.py(), MemoMethod::of(slf, instance))?.into_any()),
        }
    }
}

#[pymethods]
impl MemoMethod {
    #[new]
    #[pyo3(signature = (func, instance), text_signature = None)] // it would become the class's docstring
    fn new(func: Py<Memo>, instance: Py<PyAny>) -> Self {
        MemoMethod { func, instance }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (parts, key, looked) = self.look_up(args, kwargs)?;
        match looked {
            Look::Found(value) => Ok(value),
            looked => parts.call(looked, &key, &self.all(args)?, kwargs),
        }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn invalidate<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.with_instance(name!(args.py(), c"invalidate"), args, kwargs)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn refresh<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.with_instance(name!(args.py(), c"refresh"), args, kwargs)
    }

    #[getter]
    fn __self__(&self, py: Python<'_>) -> Py<PyAny> {
        self.instance.clone_ref(py)
    }

    #[getter]
    fn __func__(&self, py: Python<'_>) -> Py<Memo> {
        self.func.clone_ref(py)
    }

    #[getter]
    fn __doc__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        calls::getattr(self.func.bind(py), name!(py, c"__doc__"))
    }

    #[getter]
    fn __wrapped__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let wrapped = calls::getattr(self.func.bind(py), name!(py, c"__wrapped__"))?;
        let method = calls::getattr(&calls::import(TYPES.get(py)?)?, name!(py, c"MethodType"))?;
        calls::call(&method, [&wrapped, self.instance.bind(py)])
    }

    #[getter]
    fn __class__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        calls::getattr(self.func.bind(py), name!(py, c"__class__"))
    }

    #[getter]
    fn func(&self, py: Python<'_>) -> Py<Memo> {
        self.func.clone_ref(py)
    }

    #[getter]
    fn args<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        make::tuple(py, [self.instance.bind(py).clone()])
    }

    #[getter]
    fn keywords<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        make::dict(py)
    }

    fn __getattr__<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        calls::getattr(self.func.bind(name.py()), name)
    }

    fn __setattr__(&self, name: &Bound<'_, PyString>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        let shown = Shown::repr(name)?;
        let message = format_args!("a memoized method has no attribute {shown} to set: set the function's");
        Err(error::<PyAttributeError>(name.py(), message))
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let name = Shown::str(&calls::getattr(self.func.bind(py), name!(py, c"__qualname__"))?)?;
        let instance = Shown::repr(self.instance.bind(py))?;
        written(py, format_args!("<memoized method {name} of {instance}>"))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let Ok(other) = other.cast_exact::<MemoMethod>() else { return Ok(py.NotImplemented()) };
        let equal = self.func.is(&other.get().func) && self.instance.is(&other.get().instance);
        Ok(PyBool::new(py, equal).to_owned().into_any().unbind())
    }

    fn __hash__(&self) -> usize {
        // The instance may have no hash.
        (self.func.as_ptr() as usize >> 4) ^ (self.instance.as_ptr() as usize >> 4).rotate_left(32)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let getattr = calls::getattr(&calls::import(BUILTINS.get(py)?)?, name!(py, c"getattr"))?;
        let name = calls::getattr(self.func.bind(py), name!(py, c"__name__"))?;
        let args = pair_of(self.instance.bind(py), &name)?;
        pair_of(&getattr, &args)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.func)?;
        visit.call(&self.instance)
    }
}
