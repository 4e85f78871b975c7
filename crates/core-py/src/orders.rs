//! The engine's orders as Python tuples (`eventmesh/core/actions.py` has the same numbers).

use eventmesh_core::engine::{Handed, Orders, OwnAnswer};
use eventmesh_core::head::Head;
use eventmesh_core::slab::Id;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::message::{pairs, Request, Response};

const WRITE: u8 = 0;
const OPEN: u8 = 1;
const PAUSE: u8 = 2;
const RESUME: u8 = 3;
const SHUTDOWN: u8 = 4;
const CLOSE: u8 = 5;
const ABORT: u8 = 6;
const WAKE: u8 = 7;
const ASK: u8 = 8;
const SERVE: u8 = 9;
const DONE: u8 = 10;
const ANSWERED: u8 = 11;
const PIECE: u8 = 12;
const ROOM: u8 = 13;
const SCREEN: u8 = 14;
const CONVERSE: u8 = 15;
const ENDED: u8 = 16;
const GONE: u8 = 17;

/// Gathers the orders of one call. The first failure (out of memory) is kept and raised.
pub struct Actions<'py> {
    py: Python<'py>,
    /// None before there is one: most reads set nothing off but writes.
    list: Option<Bound<'py, PyList>>,
    /// Writes, when they are wanted apart from the list.
    writes: Option<Vec<(Id, Bound<'py, PyBytes>)>>,
    failed: PyResult<()>,
}

impl<'py> Actions<'py> {
    pub fn new(py: Python<'py>) -> Self {
        Self { py, list: None, writes: None, failed: Ok(()) }
    }

    /// Gather orders with the writes apart.
    pub fn apart(py: Python<'py>) -> Self {
        Self { writes: Some(Vec::new()), ..Self::new(py) }
    }

    /// Return the writes gathered apart.
    pub fn take_writes(&mut self) -> Vec<(Id, Bound<'py, PyBytes>)> {
        self.writes.take().unwrap_or_default()
    }

    /// Return the orders; `None`: there are none.
    pub fn finish(self) -> PyResult<Option<Bound<'py, PyList>>> {
        self.failed.map(|()| self.list)
    }

    fn push(&mut self, action: impl IntoPyObject<'py>) {
        let pushed = self.list.get_or_insert_with(|| PyList::empty(self.py)).append(action);
        if pushed.is_err() {
            self.failed = pushed;
        }
    }
}

impl Orders for Actions<'_> {
    fn write(&mut self, conn: Id, data: &[u8]) {
        let bytes = PyBytes::new(self.py, data);
        match &mut self.writes {
            Some(writes) => writes.push((conn, bytes)),
            None => self.push((WRITE, conn, bytes)),
        }
    }

    fn open(&mut self, conn: Id, cluster: &str, address: &str) {
        self.push((OPEN, conn, cluster, address));
    }

    fn pause(&mut self, conn: Id) {
        self.push((PAUSE, conn));
    }

    fn resume(&mut self, conn: Id) {
        self.push((RESUME, conn));
    }

    fn shutdown(&mut self, conn: Id) {
        self.push((SHUTDOWN, conn));
    }

    fn close(&mut self, conn: Id) {
        self.push((CLOSE, conn));
    }

    fn abort(&mut self, conn: Id) {
        self.push((ABORT, conn));
    }

    fn wake(&mut self, at: f64) {
        self.push((WAKE, at));
    }

    fn ask(&mut self, token: Id, cluster: &str) {
        self.push((ASK, token, "need_capacity", cluster));
    }

    fn screen(&mut self, token: Id, filter: &str, request: Handed<'_>) {
        self.push((SCREEN, token, filter, Request::new(self.py, &request)));
    }

    fn serve(&mut self, exchange: Id, handler: &str, request: Handed<'_>) {
        self.push((SERVE, exchange, handler, Request::new(self.py, &request)));
    }

    fn answered(&mut self, exchange: Id, head: &Head) {
        self.push((ANSWERED, exchange, head.status, pairs(head)));
    }

    fn piece(&mut self, exchange: Id, bytes: &[u8]) {
        self.push((PIECE, exchange, PyBytes::new(self.py, bytes)));
    }

    fn room(&mut self, exchange: Id) {
        self.push((ROOM, exchange));
    }

    fn converse(&mut self, exchange: Id, handler: &str, request: Handed<'_>) {
        self.push((CONVERSE, exchange, handler, Request::new(self.py, &request)));
    }

    fn ended(&mut self, exchange: Id) {
        self.push((ENDED, exchange));
    }

    fn gone(&mut self, exchange: Id) {
        self.push((GONE, exchange));
    }

    fn done(&mut self, exchange: Id, answer: OwnAnswer) {
        self.push((DONE, exchange, Response::new(self.py, &answer)));
    }
}
