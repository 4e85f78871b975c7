//! A declared protocol on its own: to check a declaration before it is deployed, and to see what it makes of bytes.

use std::sync::Arc;

use eventmesh_core::events::Fault;
use eventmesh_core::framed::{self, Codec, Declared};
use eventmesh_core::head::Head;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::message::{pairs, text, Pairs};

/// A frame as Python sees it: kind, id, service, method, fields, length.
type Frame = (&'static str, u64, String, String, Pairs, usize);

/// A private protocol, compiled from its declaration.
#[pyclass(frozen, module = "eventmesh.core._core")]
pub struct Protocol {
    protocol: Arc<framed::Protocol>,
}

#[pymethods]
impl Protocol {
    #[new]
    fn new(declaration: &str) -> PyResult<Self> {
        let protocol = framed::Protocol::compile(declaration).map_err(PyValueError::new_err)?;
        Ok(Self { protocol: Arc::new(protocol) })
    }

    #[getter]
    fn name(&self) -> &str {
        &self.protocol.name
    }

    fn frames(&self, data: &[u8]) -> PyResult<(Vec<Frame>, usize)> {
        let mut codec = Declared::new(&self.protocol, 0);
        let (mut frames, mut at, mut head) = (Vec::new(), 0, Head::default());
        loop {
            let rest = data.get(at..).unwrap_or_default();
            let broken = |fault: Fault| PyValueError::new_err(format!("at byte {at}: {}", fault.what));
            let mut frame = framed::Frame::default();
            if !codec.frame(rest, 400, &mut frame).map_err(broken)? {
                return Ok((frames, at));
            }
            head.clear();
            head.frame.envelope = head.store(rest.get(..frame.envelope).unwrap_or_default());
            codec.describe(rest, &mut head, 400).map_err(broken)?;
            let (service, method) = (text(head.authority()), text(head.method()));
            frames.push((frame.kind.name(), frame.id, service, method, pairs(&head), frame.length));
            at += frame.length;
        }
    }
}
