//! Streams that this process opens: an exchange whose two bodies come and go piece by piece (gRPC's streaming calls).

use crate::engine::exchange::{Origin, Own, OwnTerms, Told};
use crate::engine::flow::Way;
use crate::engine::own::Outgoing;
use crate::engine::Engine;
use crate::slab::Id;

impl Engine {
    /// Open a stream, routed by `table` like any other request; `request.body` is how it begins, or nothing.
    ///
    /// An error names what in the request cannot be sent; nothing has begun then.
    pub fn open_stream(&mut self, table: &str, request: &Outgoing<'_>, hold: bool, now: f64) -> Result<Id, String> {
        let terms = OwnTerms { hold, ..OwnTerms::default() };
        self.begin_own(table, request, Own { terms, is_stream: true, ..Own::default() }, now)
    }

    /// Send more of a stream's request, or of the answer to a conversation; with `end` it is the last of it. `false`: what
    /// waits inside the mesh is more than it should be; `Told::Room` follows when it may go on.
    pub fn feed(&mut self, id: Id, bytes: &[u8], end: bool, now: f64) -> bool {
        if self.exchanges.get(id).is_some_and(|exchange| exchange.conversing) {
            return self.feed_answer(id, bytes, end, now);
        }
        let open = self.exchanges.get(id).filter(|exchange| exchange.origin == Origin::Own && !exchange.request_done);
        if open.is_none() {
            return true;
        }
        self.request_bytes(id, bytes, end, now);
        self.settle(now);
        self.exchanges.get(id).is_none_or(|exchange| !exchange.up.stalled)
    }

    /// `bytes` of what was told have been used up: so many more may come.
    pub fn took(&mut self, id: Id, bytes: usize, now: f64) {
        let told = self.exchanges.get_mut(id).filter(|exchange| exchange.origin == Origin::Own || exchange.conversing);
        let Some(exchange) = told else { return };
        let way = if exchange.conversing { Way::Up } else { Way::Down };
        let flow = exchange.flow(way);
        flow.queued = flow.queued.saturating_sub(bytes);
        self.release_way(id, way);
        self.settle(now);
    }

    /// Tell bytes of the answer; whoever takes them gives their credit back.
    pub(super) fn tell_bytes(&mut self, id: Id, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.told.push((id, Told::Bytes(bytes.to_vec())));
            self.pass(id, Way::Down, bytes.len(), bytes.len(), None);
        }
    }
}
