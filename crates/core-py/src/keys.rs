//! Checking key sets without an engine.

use eventmesh_core::Keys;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Raise `ValueError` unless `text` is a key set by which tokens can be verified.
#[pyfunction]
pub fn check_keys(text: &str) -> PyResult<()> {
    Keys::parse(text.as_bytes()).map(|_| ()).map_err(PyValueError::new_err)
}
