//! What the event loop calls when a read has brought bytes: the way that every message goes, without a frame of Python.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{intern, PyTraverseError, PyVisit};

use crate::engine::{Engine, Turn};
use crate::reading::Reading;

/// Bytes that may wait in the buffer of a transport before it takes no more: the loop writes at once, and what the kernel does
/// not take is kept. (`transport.connection` sets it.)
const HIGH_WATER: usize = 16 * 1024;

/// The half of an asyncio protocol that bytes come in by; connections inherit from it (`_core.pyi`).
///
/// Frozen: what it sets off may come back to it, and sets its number.
#[pyclass(module = "eventmesh.core._core", subclass, frozen)]
pub struct Receiver {
    /// What the engine knows the connection by; 0: it does not, or no longer.
    number: AtomicU64,
    owner: Py<PyAny>,
    // What the owner would be asked for at every read.
    engine: Py<Engine>,
    reading: Py<Reading>,
    connections: Py<PyDict>,
    now: Py<PyAny>,
    perform: Py<PyAny>,
}

#[pymethods]
impl Receiver {
    #[new]
    #[pyo3(signature = (owner, *_args, **_kwargs))]
    fn new(
        owner: &Bound<'_, PyAny>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let engine: Bound<'_, Engine> = owner.getattr("engine")?.cast_into()?;
        Ok(Self {
            number: AtomicU64::new(0),
            owner: owner.clone().unbind(),
            reading: engine.borrow().reading().clone_ref(owner.py()),
            engine: engine.unbind(),
            connections: owner.getattr("connections")?.cast_into()?.unbind(),
            now: owner.getattr("now")?.unbind(),
            perform: owner.getattr("perform")?.unbind(),
        })
    }

    #[getter]
    fn number(&self) -> u64 {
        self.number.load(Relaxed)
    }

    #[setter]
    fn set_number(&self, number: u64) {
        self.number.store(number, Relaxed);
    }

    fn get_buffer(&self, py: Python<'_>, sizehint: isize) -> Py<PyAny> {
        let _ = sizehint; // what the loop would take; the engine knows better
                          // The engine can be busy only if a read begins within a call into it, which is a failure told by `buffer_updated`.
        let small = self.engine.bind(py).try_borrow().is_ok_and(|engine| engine.is_pressed());
        self.reading.get().offer(py, small)
    }

    fn buffer_updated(slf: &Bound<'_, Self>, nbytes: usize) -> PyResult<()> {
        let py = slf.py();
        match slf.get().hand_over(py, slf.get().reading.get().read(py, nbytes)) {
            Err(error) if !is_exit(py, &error) => {
                slf.get().owner.call_method1(py, intern!(py, "failed"), (slf, error)).map(|_| ())
            }
            done => done,
        }
    }

    // No `__clear__`: like a tuple's, these references are older than the object, so every cycle that it is part of leads
    // through something that changed later and can be cleared.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.owner)?;
        visit.call(&self.engine)?;
        visit.call(&self.reading)?;
        visit.call(&self.connections)?;
        visit.call(&self.now)?;
        visit.call(&self.perform)
    }
}

impl Receiver {
    /// Give `data` to the engine, and what that orders to those who do it.
    fn hand_over(&self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        let number = self.number();
        if number == 0 {
            return Ok(());
        }
        let now = self.now.bind(py).call0()?.extract()?;
        let Turn { writes, rest } = guarded(|| self.engine.bind(py).borrow_mut().turn(py, number, data, now))?;
        // The engine is free again: nothing that a transport does from inside `write` can find it busy.
        let connections = self.connections.bind(py);
        let mut full = Vec::new();
        for (conn, bytes) in writes {
            let Some(connection) = connections.get_item(conn)? else { continue };
            let much = bytes.len()? > HIGH_WATER / 2;
            connection.call_method1(intern!(py, "write"), (bytes,))?;
            if much {
                let transport = connection.getattr(intern!(py, "transport"))?;
                let left = transport.call_method0(intern!(py, "get_write_buffer_size"))?.extract::<usize>()?;
                if left > HIGH_WATER {
                    full.push((conn, left));
                }
            }
        }
        if let Some(rest) = rest {
            self.perform.call1(py, (rest,))?;
        }
        for (conn, left) in full {
            // The transport has told so, too, and the driver will pass it on (`pause_writing`). By then the loop has read on.
            let orders = guarded(|| self.engine.bind(py).borrow_mut().writable(py, conn, false, left, now))?;
            if !orders.is_empty() {
                self.perform.call1(py, (orders,))?;
            }
        }
        Ok(())
    }
}

/// Return what `call` returns; a panic is an error. The loop's C code does not know what to do with one: the connection would
/// stay, and the loop be in doubt.
fn guarded<T>(call: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(PanicException::new_err(said(panic.as_ref()))))
}

/// Return whether `error` is somebody's wish to end the process, which is no bug.
fn is_exit(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py)
}

/// Return what a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
