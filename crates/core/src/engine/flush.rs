//! What the engine wants done, in the order in which it must be done.

use crate::engine::connection::{Ending, Phase, Role};
use crate::engine::exchange::{Origin, OwnAnswer, Stage, Told};
use crate::engine::wires::Family;
use crate::engine::{give_up, Engine};
use crate::head::Head;
use crate::limits::{KEEP_OUT, KEEP_SILENT_BUFFER, MAX_FRAMES_BACKLOG};
use crate::routes::Action;
use crate::slab::Id;

/// Takes the orders of one call (`eventmesh/core/actions.py`).
pub trait Orders {
    /// Write bytes.
    fn write(&mut self, conn: Id, data: &[u8]);
    /// Dial.
    fn open(&mut self, conn: Id, cluster: &str, address: &str);
    /// Stop reading.
    fn pause(&mut self, conn: Id);
    /// Go on reading.
    fn resume(&mut self, conn: Id);
    /// Half-close the write side.
    fn shutdown(&mut self, conn: Id);
    /// Flush, then close.
    fn close(&mut self, conn: Id);
    /// Reset.
    fn abort(&mut self, conn: Id);
    /// Call `tick` at this time.
    fn wake(&mut self, at: f64);
    /// Announce that a request waits for capacity of a cluster.
    fn ask(&mut self, token: Id, cluster: &str);
    /// Ask a filter of this process (`FILE:NAME` or `FILE:NAME:DIGEST`) about the head of a request.
    fn screen(&mut self, token: Id, filter: &str, request: Handed<'_>);
    /// Hand a whole request to a handler.
    fn serve(&mut self, exchange: Id, handler: &str, request: Handed<'_>);
    /// The head of the answer to a stream of this process.
    fn answered(&mut self, exchange: Id, head: &Head);
    /// Bytes of the answer to a stream of this process.
    fn piece(&mut self, exchange: Id, bytes: &[u8]);
    /// A stream of this process that was told to wait may go on.
    fn room(&mut self, exchange: Id);
    /// Hand a request to a handler that is told of its body piece by piece.
    fn converse(&mut self, exchange: Id, handler: &str, request: Handed<'_>);
    /// The request of a conversation has come whole.
    fn ended(&mut self, exchange: Id);
    /// Nobody waits for what a conversation has to say.
    fn gone(&mut self, exchange: Id);
    /// End a `send` or a stream.
    fn done(&mut self, exchange: Id, answer: OwnAnswer);
}

/// A whole request for a handler of this process.
#[derive(Debug)]
pub struct Handed<'a> {
    /// Its head, after the route's edits.
    pub head: &'a Head,
    /// Its body.
    pub body: &'a [u8],
    /// Address of the client; empty for a request of this process.
    pub peer: &'a str,
    /// The names in the client's certificate.
    pub names: &'a [String],
}

impl Engine {
    /// Give all orders of the call that just ended to `orders`.
    pub fn flush(&mut self, orders: &mut impl Orders) {
        for id in std::mem::take(&mut self.opens) {
            let Some(conn) = self.connections.get(id).filter(|conn| conn.phase == Phase::Connecting) else { continue };
            if let Role::Upstream { cluster, .. } = conn.role {
                let name = self.clusters.get(cluster).map_or("", |cluster| &*cluster.name);
                orders.open(id, name, &conn.peer);
            }
        }
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            self.flush_connection(id, orders);
        }
        self.touched = touched;
        for (token, cluster) in self.asks.drain(..) {
            orders.ask(token, self.clusters.get(cluster).map_or("", |cluster| &*cluster.name));
        }
        self.flush_questions(orders);
        for id in std::mem::take(&mut self.handed) {
            self.flush_handed(id, orders);
        }
        for (id, told) in self.told.drain(..) {
            match told {
                Told::Head(head) => orders.answered(id, &head),
                Told::Bytes(bytes) => orders.piece(id, &bytes),
                Told::Room => orders.room(id),
                Told::End => orders.ended(id),
                Told::Gone => orders.gone(id),
            }
        }
        for (id, answer) in self.done.drain(..) {
            orders.done(id, answer);
        }
        let next = self.timers.next();
        if next < self.wake_at {
            self.wake_at = next;
            orders.wake(next);
        }
    }

    fn flush_connection(&mut self, id: Id, orders: &mut impl Orders) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.touched = false;
        conn.seal(&mut self.sealed);
        if !conn.out.is_empty() && !matches!(conn.phase, Phase::Ended(Ending::Lost | Ending::Abort)) {
            orders.write(id, &conn.out);
            if !conn.writable {
                let backlog = conn.backlog + conn.out.len();
                self.backlog.set(conn, backlog);
                if matches!(conn.wire.family(), Family::Frames(_)) && conn.backlog > MAX_FRAMES_BACKLOG {
                    self.overrun.push(id); // ended with the next call: orders are being given
                }
            }
        }
        if self.backlog.weigh(conn) {
            self.overrun.push(id);
        }
        conn.out.clear();
        if conn.out.capacity() > KEEP_OUT {
            give_up(&mut self.spare, &mut conn.out);
        }
        if conn.converses {
            // It may say nothing for hours now, as may thousands like it.
            conn.out.shrink_to(KEEP_SILENT_BUFFER);
        }
        match conn.phase {
            Phase::Ended(Ending::Close) => orders.close(id),
            Phase::Ended(Ending::Abort) => orders.abort(id),
            Phase::Ended(Ending::Lost) => {}
            Phase::Connecting | Phase::Open | Phase::Lingering => {
                if std::mem::take(&mut conn.shutdown) {
                    orders.shutdown(id);
                }
                let wanted = conn.wants_pause();
                if wanted != conn.paused {
                    conn.paused = wanted;
                    if wanted {
                        orders.pause(id);
                    } else {
                        orders.resume(id);
                    }
                }
                return;
            }
        }
        self.backlog.forget(conn);
        self.connections.release(id);
    }

    fn flush_handed(&mut self, id: Id, orders: &mut impl Orders) {
        let Some(exchange) = self.exchanges.get(id).filter(|exchange| exchange.stage == Stage::Served) else { return };
        let Some((_, route)) = exchange.route(&self.tables) else { return };
        let client = match exchange.origin {
            Origin::Stream { conn, .. } => self.connections.get(conn),
            Origin::Own => None,
        };
        let peer = client.map_or("", |conn| &*conn.peer);
        let names = client.and_then(|conn| conn.tls.as_ref()?.peer_names()).unwrap_or_default();
        let request = Handed { head: &exchange.head, body: &exchange.held, peer, names };
        match &route.action {
            Action::Serve { handler, .. } => orders.serve(id, handler, request),
            Action::Converse { handler } => orders.converse(id, handler, request),
            Action::Forward(_) | Action::Direct { .. } | Action::Redirect(_) => {}
        }
    }
}
