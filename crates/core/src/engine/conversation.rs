//! Conversations: requests that this process answers while they come, both bodies piece by piece (gRPC's streaming calls).
//!
//! The handler is told of the head at once, of the body as it comes, and when it has come whole; credit goes back as the
//! handler uses the bytes up. What it says in turn is bounded by the client's windows and by what the transport takes.

use crate::engine::connection::Ending;
use crate::engine::exchange::{Exchange, Flag, Origin, Stage, Told};
use crate::engine::flow::Way;
use crate::engine::own::{check_fields, push_fields};
use crate::engine::refusal::Refusal;
use crate::engine::{touch, Engine};
use crate::events::{ReplyKind, Wire};
use crate::routes::{Found, Tables};
use crate::slab::Id;

/// A request of this process cannot be its own partner: one number would stand for both ends.
const FROM_WITHIN: Refusal<'static> = Refusal {
    status: 501,
    flag: Flag::NoRoute,
    kind: ReplyKind::NoRoute,
    text: b"this route serves connections alone",
    fields: &[],
};

/// Whole frames have no pieces: who speaks in them is served by handlers of whole messages.
const WHOLE_FRAMES: Refusal<'static> = Refusal {
    status: 501,
    flag: Flag::NoRoute,
    kind: ReplyKind::NoRoute,
    text: b"this route answers piece by piece, which a protocol of whole frames cannot",
    fields: &[],
};

impl Engine {
    /// Hand a request to a handler of this process, before its body has come.
    pub(super) fn converse(&mut self, id: Id, found: Found, tables: &Tables, now: f64) {
        let Some((host, route)) = tables.resolve(found) else { return };
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let Origin::Stream { conn, .. } = exchange.origin else { return self.refuse(id, &FROM_WITHIN, now) };
        if exchange.head.version.is_framed() {
            return self.refuse(id, &WHOLE_FRAMES, now);
        }
        host.request_edits.apply(&mut exchange.head);
        route.request_edits.apply(&mut exchange.head);
        exchange.stage = Stage::Served;
        exchange.conversing = true;
        // What a filter has looked at before counts as told now.
        let held = std::mem::take(&mut exchange.held);
        exchange.up.queued = exchange.up.withheld;
        let over = exchange.request_done;
        if let Some(conn) = self.connections.get_mut(conn) {
            conn.converses = true;
        }
        self.hand_over(id);
        if !held.is_empty() {
            self.told.push((id, Told::Bytes(held)));
        }
        if over {
            self.told.push((id, Told::End));
        } else {
            self.bid_continue(id);
        }
    }

    /// Tell the handler more of a request.
    pub(super) fn tell_request(&mut self, id: Id, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.told.push((id, Told::Bytes(bytes.to_vec())));
            self.pass(id, Way::Up, bytes.len(), bytes.len(), None);
        }
    }

    /// Begin the answer of a conversation.
    ///
    /// An error names what in it cannot be sent; nothing has been said then.
    pub fn begin_answer(&mut self, id: Id, status: u16, fields: &[(Vec<u8>, Vec<u8>)], now: f64) -> Result<(), String> {
        if self.exchanges.get(id).is_some_and(|exchange| exchange.conversing)
            && self.answer_head(id, status, fields, None)?
        {
            self.respond(id, b"", false, now);
            self.settle(now);
        }
        Ok(())
    }

    /// Send more of an answer that has begun, with `end` the last of it. `false`: it has not left whole, and `Told::Room`
    /// follows when it has. With no bytes this asks how far things are.
    pub(super) fn feed_answer(&mut self, id: Id, bytes: &[u8], end: bool, now: f64) -> bool {
        if !self.exchanges.get(id).is_some_and(|exchange| exchange.response_started) {
            return true;
        }
        self.send_down(id, bytes, end, now);
        if end {
            self.over(id, now);
            return true;
        }
        self.settle(now);
        let Some(exchange) = self.exchanges.get_mut(id) else { return true };
        let Origin::Stream { conn, .. } = exchange.origin else { return true };
        let left = exchange.down.withheld == 0 && self.connections.get(conn).is_none_or(|conn| conn.writable);
        exchange.down.stalled = !left;
        left
    }

    /// End the answer of a conversation with trailers, whether or not the request has come whole.
    ///
    /// An error names what in them cannot be sent; the conversation then goes on.
    pub fn finish_answer(&mut self, id: Id, trailers: &[(Vec<u8>, Vec<u8>)], now: f64) -> Result<(), String> {
        check_fields(trailers)?;
        let begun = |exchange: &&Exchange| exchange.conversing && exchange.response_started;
        let Some(exchange) = self.exchanges.get(id).filter(begun) else { return Ok(()) };
        let Origin::Stream { conn, stream, .. } = exchange.origin else { return Ok(()) };
        self.scratch.clear();
        push_fields(&mut self.scratch, trailers);
        if let Some(down) = self.connections.get_mut(conn).filter(|down| down.is_open()) {
            down.wire.trailers(stream, &self.scratch, &mut down.out);
            touch(&mut self.touched, down, conn);
        }
        self.over(id, now);
        Ok(())
    }

    /// The handler has said everything: nothing more is told of its conversation.
    fn over(&mut self, id: Id, now: f64) {
        if let Some(exchange) = self.exchanges.get_mut(id) {
            exchange.handed = false;
            self.complete(id, now);
        }
        self.settle(now);
    }

    /// The client has given a conversation up: its handler hears that, unless it has not heard of it at all yet.
    pub(super) fn tell_gone(&mut self, id: Id) {
        if self.handed.contains(&id) {
            self.handed.retain(|handed| *handed != id);
            self.told.retain(|(told, _)| *told != id);
        } else {
            self.told.push((id, Told::Gone));
        }
    }

    /// Reset the connection that a conversation is held on, with all that is under way on it: its client does not read,
    /// and what it was sent would stay in memory until it does.
    pub fn hang_up(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id).filter(|exchange| exchange.conversing) else { return };
        exchange.handed = false;
        if let Origin::Stream { conn, .. } = exchange.origin {
            self.gone(conn, Ending::Abort, now);
        }
        self.settle(now);
    }
}
