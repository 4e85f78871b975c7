//! Configurations in YAML as Python's values.

use eventmesh_core::yaml::{self, Value};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

/// Return the one document in `text`; `None` when it is not plain, and needs a complete reader.
#[pyfunction]
pub fn read_plain_yaml<'py>(text: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(document) = text.to_str().ok().and_then(yaml::read_plain) else { return Ok(None) };
    made(text.py(), document).map(Some)
}

fn made(py: Python<'_>, value: Value) -> PyResult<Bound<'_, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
        Value::Int(value) => value.into_pyobject(py)?.into_any(),
        Value::Float(value) => value.into_pyobject(py)?.into_any(),
        Value::Text(value) => PyString::new(py, &value).into_any(),
        Value::List(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(made(py, item)?)?;
            }
            list.into_any()
        }
        Value::Map(members) => {
            let map = PyDict::new(py);
            for (key, member) in members {
                map.set_item(PyString::intern(py, &key), made(py, member)?)?;
            }
            map.into_any()
        }
    })
}
