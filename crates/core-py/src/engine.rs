//! `Engine`, method by method as `_core.pyi` documents it.

use eventmesh_core::engine::{self, Outgoing, OwnTerms, Standing};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::ledger::SharedTable;
use crate::message::{encoded, latin, Pairs};
use crate::orders::Actions;
use crate::reading::Reading;

/// The whole proxy without its sockets.
#[pyclass(module = "eventmesh.core._core")]
pub struct Engine {
    core: engine::Engine,
    reading: Py<Reading>,
}

type List<'py> = PyResult<Bound<'py, PyList>>;

/// What one read set in motion. The writes come first: what else is ordered of a connection follows its bytes.
pub struct Turn<'py> {
    pub writes: Vec<(u64, Bound<'py, PyBytes>)>,
    pub rest: Option<Bound<'py, PyList>>,
}

impl Engine {
    /// `received`, with the writes apart from the other actions.
    pub fn turn<'py>(&mut self, py: Python<'py>, conn: u64, data: &[u8], now: f64) -> PyResult<Turn<'py>> {
        self.core.received(conn, data, now);
        let mut actions = Actions::apart(py);
        self.core.flush(&mut actions);
        let writes = actions.take_writes();
        Ok(Turn { writes, rest: actions.finish()? })
    }

    /// Return what reads lie in.
    pub fn reading(&self) -> &Py<Reading> {
        &self.reading
    }

    /// Return whether reads should be small.
    pub fn is_pressed(&self) -> bool {
        self.core.is_pressed()
    }

    fn flush<'py>(&mut self, py: Python<'py>) -> List<'py> {
        let mut actions = Actions::new(py);
        self.core.flush(&mut actions);
        Ok(actions.finish()?.unwrap_or_else(|| PyList::empty(py)))
    }
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (seed=0, wall_offset_s=0.0))]
    fn new(py: Python<'_>, seed: u64, wall_offset_s: f64) -> PyResult<Self> {
        Ok(Self { core: engine::Engine::new(seed, wall_offset_s), reading: Py::new(py, Reading::new(py)?)? })
    }

    fn apply<'py>(&mut self, py: Python<'py>, snapshot: &[u8], now: f64) -> List<'py> {
        self.core.apply(snapshot, now).map_err(PyValueError::new_err)?;
        self.flush(py)
    }

    fn accepted<'py>(
        &mut self,
        py: Python<'py>,
        listener: &str,
        peer: &str,
        now: f64,
    ) -> PyResult<(u64, Bound<'py, PyList>)> {
        let conn = self.core.accepted(listener, peer, now).ok_or_else(|| PyKeyError::new_err(listener.to_owned()))?;
        Ok((conn, self.flush(py)?))
    }

    fn opened<'py>(&mut self, py: Python<'py>, conn: u64, now: f64) -> List<'py> {
        self.core.opened(conn, now);
        self.flush(py)
    }

    fn open_failed<'py>(&mut self, py: Python<'py>, conn: u64, why: &str, now: f64) -> List<'py> {
        let _ = why;
        self.core.open_failed(conn, now);
        self.flush(py)
    }

    fn received<'py>(&mut self, py: Python<'py>, conn: u64, data: &[u8], now: f64) -> List<'py> {
        self.core.received(conn, data, now);
        self.flush(py)
    }

    fn eof<'py>(&mut self, py: Python<'py>, conn: u64, now: f64) -> List<'py> {
        self.core.eof(conn, now);
        self.flush(py)
    }

    pub fn writable<'py>(&mut self, py: Python<'py>, conn: u64, yes: bool, backlog: usize, now: f64) -> List<'py> {
        self.core.writable(conn, yes, backlog, now);
        self.flush(py)
    }

    fn parting(&mut self, before: usize, after: usize) {
        self.core.parting(before, after);
    }

    fn lost<'py>(&mut self, py: Python<'py>, conn: u64, why: &str, now: f64) -> List<'py> {
        let _ = why;
        self.core.lost(conn, now);
        self.flush(py)
    }

    fn tick<'py>(&mut self, py: Python<'py>, now: f64) -> List<'py> {
        self.core.tick(now);
        self.flush(py)
    }

    fn answer<'py>(&mut self, py: Python<'py>, token: u64, decision: &Bound<'py, PyTuple>, now: f64) -> List<'py> {
        let kind: String = decision.get_item(0)?.extract()?;
        match kind.as_str() {
            "go" => {}
            "reply" => {
                let (status, text): (u16, String) =
                    (decision.get_item(1)?.extract()?, decision.get_item(2)?.extract()?);
                if !(200..600).contains(&status) {
                    return Err(PyValueError::new_err(format!("status: {status} is not that of a final response")));
                }
                self.core.answer_wait(token, status, text.as_bytes(), now);
            }
            other => return Err(PyValueError::new_err(format!("decision {other:?}: expected \"reply\" or \"go\""))),
        }
        self.flush(py)
    }

    #[pyo3(signature = (route_table, method, authority, path, headers, body, now, *, timeout_s=0.0, hold=true, max_response_bytes=1_048_576))]
    #[allow(clippy::too_many_arguments)] // the shape of a request
    fn send<'py>(
        &mut self,
        py: Python<'py>,
        route_table: &str,
        method: &str,
        authority: &str,
        path: &str,
        headers: Pairs,
        body: &[u8],
        now: f64,
        timeout_s: f64,
        hold: bool,
        max_response_bytes: usize,
    ) -> PyResult<(u64, Bound<'py, PyList>)> {
        let (method, authority, path) = (latin(method)?, latin(authority)?, latin(path)?);
        let fields = encoded(headers)?;
        let request = Outgoing { method: &method, authority: &authority, path: &path, fields: &fields, body };
        let terms = OwnTerms { timeout_s, hold, max_response_bytes };
        let exchange = self.core.send(route_table, &request, terms, now).map_err(PyValueError::new_err)?;
        Ok((exchange, self.flush(py)?))
    }

    #[pyo3(signature = (route_table, frame, now, *, timeout_s=0.0, hold=true, max_response_bytes=1_048_576))]
    #[allow(clippy::too_many_arguments)] // the terms of a request
    fn call<'py>(
        &mut self,
        py: Python<'py>,
        route_table: &str,
        frame: &[u8],
        now: f64,
        timeout_s: f64,
        hold: bool,
        max_response_bytes: usize,
    ) -> PyResult<(u64, Bound<'py, PyList>)> {
        let terms = OwnTerms { timeout_s, hold, max_response_bytes };
        let exchange = self.core.call(route_table, frame, terms, now).map_err(PyValueError::new_err)?;
        Ok((exchange, self.flush(py)?))
    }

    #[pyo3(signature = (route_table, method, authority, path, headers, now, *, hold=true))]
    #[allow(clippy::too_many_arguments)] // the shape of a request
    fn open_stream<'py>(
        &mut self,
        py: Python<'py>,
        route_table: &str,
        method: &str,
        authority: &str,
        path: &str,
        headers: Pairs,
        now: f64,
        hold: bool,
    ) -> PyResult<(u64, Bound<'py, PyList>)> {
        let (method, authority, path) = (latin(method)?, latin(authority)?, latin(path)?);
        let fields = encoded(headers)?;
        let request = Outgoing { method: &method, authority: &authority, path: &path, fields: &fields, body: b"" };
        let exchange = self.core.open_stream(route_table, &request, hold, now).map_err(PyValueError::new_err)?;
        Ok((exchange, self.flush(py)?))
    }

    fn feed<'py>(
        &mut self,
        py: Python<'py>,
        exchange: u64,
        data: &[u8],
        end: bool,
        now: f64,
    ) -> PyResult<(bool, Bound<'py, PyList>)> {
        let open = self.core.feed(exchange, data, end, now);
        Ok((open, self.flush(py)?))
    }

    fn took<'py>(&mut self, py: Python<'py>, exchange: u64, size: usize, now: f64) -> List<'py> {
        self.core.took(exchange, size, now);
        self.flush(py)
    }

    fn reply<'py>(
        &mut self,
        py: Python<'py>,
        exchange: u64,
        status: u16,
        headers: Pairs,
        body: &[u8],
        now: f64,
    ) -> List<'py> {
        self.core.reply(exchange, status, &encoded(headers)?, body, now).map_err(PyValueError::new_err)?;
        self.flush(py)
    }

    fn begin_answer<'py>(
        &mut self,
        py: Python<'py>,
        exchange: u64,
        status: u16,
        headers: Pairs,
        now: f64,
    ) -> List<'py> {
        self.core.begin_answer(exchange, status, &encoded(headers)?, now).map_err(PyValueError::new_err)?;
        self.flush(py)
    }

    fn finish_answer<'py>(&mut self, py: Python<'py>, exchange: u64, trailers: Pairs, now: f64) -> List<'py> {
        self.core.finish_answer(exchange, &encoded(trailers)?, now).map_err(PyValueError::new_err)?;
        self.flush(py)
    }

    fn hang_up<'py>(&mut self, py: Python<'py>, exchange: u64, now: f64) -> List<'py> {
        self.core.hang_up(exchange, now);
        self.flush(py)
    }

    fn let_through<'py>(
        &mut self,
        py: Python<'py>,
        token: u64,
        set: Pairs,
        remove: Vec<String>,
        now: f64,
    ) -> List<'py> {
        let remove = remove.into_iter().map(|name| latin(&name)).collect::<PyResult<Vec<_>>>()?;
        self.core.let_through(token, &encoded(set)?, &remove, now).map_err(PyValueError::new_err)?;
        self.flush(py)
    }

    fn turn_away<'py>(
        &mut self,
        py: Python<'py>,
        token: u64,
        status: u16,
        headers: Pairs,
        body: &[u8],
        now: f64,
    ) -> List<'py> {
        self.core.turn_away(token, status, &encoded(headers)?, body, now).map_err(PyValueError::new_err)?;
        self.flush(py)
    }

    fn undecided<'py>(&mut self, py: Python<'py>, token: u64, now: f64) -> List<'py> {
        self.core.undecided(token, now);
        self.flush(py)
    }

    fn cancel<'py>(&mut self, py: Python<'py>, exchange: u64, now: f64) -> List<'py> {
        self.core.cancel(exchange, now);
        self.flush(py)
    }

    fn drain<'py>(&mut self, py: Python<'py>, now: f64) -> List<'py> {
        self.core.drain(now);
        self.flush(py)
    }

    fn share_limits(&mut self, memory: &Bound<'_, PyAny>) -> PyResult<()> {
        self.core.share_limits(Box::new(SharedTable::new(memory)?));
        Ok(())
    }

    fn drain_fixed<'py>(&mut self, py: Python<'py>, now: f64) -> List<'py> {
        self.core.drain_fixed(now);
        self.flush(py)
    }

    fn standing(&self, conn: u64) -> &'static str {
        match self.core.standing(conn) {
            Standing::Fixed => "fixed",
            Standing::Busy => "busy",
            Standing::Whole => "whole",
            Standing::Free => "free",
        }
    }

    fn move_out<'py>(&mut self, py: Python<'py>, conn: u64) -> PyResult<(bool, Bound<'py, PyList>)> {
        let moved = self.core.move_out(conn);
        Ok((moved, self.flush(py)?))
    }

    fn active(&self) -> usize {
        self.core.active()
    }

    fn capacity(&self, cluster: &str) -> (usize, usize, usize) {
        self.core.capacity(cluster)
    }

    fn take_load(&mut self, now: f64) -> Vec<(String, f64, u64, f64, u64)> {
        self.core.take_load(now)
    }

    fn take_access_log<'py>(&mut self, py: Python<'py>) -> Vec<(String, Bound<'py, PyBytes>)> {
        self.core.take_access_log().into_iter().map(|(path, lines)| (path, PyBytes::new(py, &lines))).collect()
    }

    fn tap(&mut self, terms: &[u8]) -> PyResult<()> {
        self.core.tap(terms).map_err(PyValueError::new_err)
    }

    fn untap(&mut self) {
        self.core.untap();
    }

    fn take_tap<'py>(&mut self, py: Python<'py>) -> (Vec<Bound<'py, PyBytes>>, u64, bool) {
        let (rows, dropped, over) = self.core.take_tap();
        (rows.iter().map(|row| PyBytes::new(py, row)).collect(), dropped, over)
    }

    fn take_spans<'py>(&mut self, py: Python<'py>) -> Vec<(String, Bound<'py, PyBytes>, u64)> {
        let taken = self.core.take_spans().into_iter();
        taken.map(|(listener, spans, count)| (listener, PyBytes::new(py, &spans), count)).collect()
    }

    fn cluster_statuses<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.core.cluster_statuses())
    }

    fn stats<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.core.stats())
    }
}
