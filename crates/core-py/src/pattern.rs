//! The check of a regular expression, for whoever reads a configuration.

use eventmesh_core::pattern::Pattern;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Raise `ValueError` unless `text` is a regular expression that the engine takes.
#[pyfunction]
pub fn check_pattern(text: &str) -> PyResult<()> {
    Pattern::compile(text).map(|_| ()).map_err(PyValueError::new_err)
}
