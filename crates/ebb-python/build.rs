//! Tells the crate about the interpreter it is built for.
fn main() {
    // `cfg(Py_GIL_DISABLED)` says whether the interpreter is a free-threaded one.
    pyo3_build_config::use_pyo3_cfgs();
}
