//! Whole messages as Python sees them. Header values are Latin-1, so that any byte survives the way there and back.

use eventmesh_core::engine::{Handed, OwnAnswer};
use eventmesh_core::head::{Head, Version};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList};

/// Fields as Python gives and takes them.
pub type Pairs = Vec<(String, String)>;

/// Headers of a message: what reads them asks several times, and they become Python's values once.
struct Headers {
    pairs: Pairs,
    made: PyOnceLock<Py<PyList>>,
}

impl Headers {
    fn of(head: &Head) -> Self {
        Self { pairs: pairs(head), made: PyOnceLock::new() }
    }

    fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let made = self.made.get_or_try_init(py, || PyList::new(py, &self.pairs).map(Bound::unbind))?;
        Ok(made.bind(py).clone())
    }
}

/// A whole request, as a handler of this process receives it.
#[pyclass(frozen, module = "eventmesh.core._core")]
pub struct Request {
    #[pyo3(get)]
    method: String,
    #[pyo3(get)]
    authority: String,
    #[pyo3(get)]
    path: String,
    headers: Headers,
    #[pyo3(get)]
    body: Py<PyBytes>,
    #[pyo3(get)]
    protocol: &'static str,
    #[pyo3(get)]
    peer: String,
    #[pyo3(get)]
    peer_names: Vec<String>,
}

#[pymethods]
impl Request {
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.headers.get(py)
    }
}

impl Request {
    pub fn new(py: Python<'_>, handed: &Handed<'_>) -> Self {
        let head = handed.head;
        Self {
            method: text(head.method()),
            authority: text(head.authority()),
            path: text(head.path()),
            headers: Headers::of(head),
            body: PyBytes::new(py, handed.body).unbind(),
            protocol: match head.version {
                Version::Http10 | Version::Http11 => "http1",
                Version::Http2 => "http2",
                Version::Bolt(_) => "bolt",
                Version::Dubbo => "dubbo",
                Version::Framed(_) => "framed",
            },
            peer: handed.peer.to_owned(),
            peer_names: handed.names.to_vec(),
        }
    }
}

/// What a `send` ended with.
#[pyclass(frozen, module = "eventmesh.core._core")]
pub struct Response {
    #[pyo3(get)]
    status: u16,
    headers: Headers,
    #[pyo3(get)]
    body: Py<PyBytes>,
    #[pyo3(get)]
    error: &'static str,
    #[pyo3(get)]
    frame_status: u16,
}

#[pymethods]
impl Response {
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.headers.get(py)
    }
}

impl Response {
    pub fn new(py: Python<'_>, answer: &OwnAnswer) -> Self {
        Self {
            status: answer.status,
            headers: Headers::of(&answer.head),
            body: PyBytes::new(py, &answer.body).unbind(),
            error: answer.error,
            frame_status: answer.head.frame.status,
        }
    }
}

/// Turn fields given by Python into bytes. `ValueError` when a character has no byte.
pub fn encoded(headers: Pairs) -> PyResult<Vec<(Vec<u8>, Vec<u8>)>> {
    headers.into_iter().map(|(name, value)| Ok((latin(&name)?, latin(&value)?))).collect()
}

/// Turn text into Latin-1 bytes. `ValueError` when a character has none.
pub fn latin(text: &str) -> PyResult<Vec<u8>> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    bytes.ok_or_else(|| pyo3::exceptions::PyValueError::new_err(format!("{text:?} has characters outside Latin-1")))
}

pub fn pairs(head: &Head) -> Pairs {
    head.fields().map(|(name, value)| (text(name), text(value))).collect()
}

pub fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
