//! Byte credit between the two sides of an exchange, and the alarms of connections and exchanges.

use crate::engine::connection::{Connection, Role};
use crate::engine::exchange::{Exchange, Flow, Origin, Told};
use crate::engine::{touch, Engine};
use crate::events::{StreamId, Wire};
use crate::limits::MAX_EXCHANGE_BUFFER;
use crate::slab::{index_of, Id};
use crate::timers::{Owner, NEVER};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the endpoint.
    Up,
    /// From the endpoint to the client.
    Down,
}

impl Exchange {
    pub(super) fn flow(&mut self, way: Way) -> &mut Flow {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Return the way of the bytes that go to a connection.
    fn way_to(&self, sink: Id) -> Way {
        if self.upstream().is_some_and(|(conn, _)| conn == sink) {
            Way::Up
        } else {
            Way::Down
        }
    }

    /// Return the connection and stream that bytes of this way come from.
    fn source(&self, way: Way) -> Option<(Id, StreamId)> {
        match (way, self.origin) {
            (Way::Up, Origin::Stream { conn, stream, .. }) => Some((conn, stream)),
            (Way::Up, Origin::Own) => None,
            (Way::Down, _) => self.upstream(),
        }
    }
}

impl Engine {
    /// Account for `bytes` that went from one side to the other, `queued` of which wait in the sink's window. `sink` is `None`
    /// while there is no connection to send them on.
    pub(super) fn pass(&mut self, id: Id, way: Way, bytes: usize, queued: usize, sink: Option<Id>) {
        let open = sink.and_then(|sink| self.connections.get(sink)).is_some_and(|sink| sink.writable);
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let source = exchange.source(way);
        let flow = exchange.flow(way);
        if open && queued == 0 && flow.withheld == 0 {
            self.give_back(source, bytes);
            return;
        }
        flow.withheld += bytes;
        flow.queued += queued;
        if flow.withheld > self.backlog.credit() && !flow.stalled {
            flow.stalled = true;
            self.stall(source, true);
        }
    }

    /// `sink` takes nothing, and nothing more is to be read for it.
    pub(super) fn stall_source(&mut self, id: Id, sink: Id) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let way = exchange.way_to(sink);
        let Some(source) = exchange.source(way) else { return };
        let flow = exchange.flow(way);
        if !std::mem::replace(&mut flow.stalled, true) {
            self.stall(Some(source), true);
        }
    }

    /// The sink of an exchange can take bytes again: give back the credit of those that its window does not hold.
    pub(super) fn release_credit(&mut self, id: Id, sink: Id) {
        if let Some(exchange) = self.exchanges.get(id) {
            self.release_way(id, exchange.way_to(sink));
        }
    }

    /// Give back the credit of those bytes of one way that no window holds.
    pub(super) fn release_way(&mut self, id: Id, way: Way) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let source = exchange.source(way);
        // Who answers piece by piece goes on when all has left: it may have counted what it has under way.
        let drains = exchange.conversing && way == Way::Down;
        let flow = exchange.flow(way);
        let bytes = flow.withheld.saturating_sub(flow.queued);
        flow.withheld -= bytes;
        let enough = if drains { 0 } else { MAX_EXCHANGE_BUFFER / 2 };
        let unstall = flow.stalled && flow.withheld <= enough;
        if unstall {
            flow.stalled = false;
        }
        let speaks_itself = drains || (exchange.own.as_ref().is_some_and(|own| own.is_stream) && way == Way::Up);
        self.give_back(source, bytes);
        if unstall && speaks_itself {
            self.told.push((id, Told::Room));
        } else if unstall {
            self.stall(source, false);
        }
    }

    /// `bytes` that waited in the window of `sink` have left.
    pub(super) fn window_moved(&mut self, sink: Id, stream: StreamId, bytes: usize) {
        let Some(conn) = self.connections.get_mut(sink) else { return };
        let (Some(id), writable) = (conn.streams.get(stream), conn.writable) else { return };
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let way = exchange.way_to(sink);
        let flow = exchange.flow(way);
        flow.queued = flow.queued.saturating_sub(bytes);
        if writable {
            self.release_way(id, way);
        }
    }

    /// Forget what an exchange owes the source of `way`, which may then go on.
    pub(super) fn clear_flow(&mut self, id: Id, way: Way) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let source = exchange.source(way);
        let flow = std::mem::take(exchange.flow(way));
        self.give_back(source, flow.withheld);
        if flow.stalled {
            self.stall(source, false);
        }
    }

    /// `bytes` from `source`, a connection and one of its streams, are used up: so many more may come.
    pub(super) fn give_back(&mut self, source: Option<(Id, StreamId)>, bytes: usize) {
        let Some((id, stream)) = source.filter(|_| bytes > 0) else { return };
        let Some(conn) = self.connections.get_mut(id).filter(|conn| conn.is_open()) else { return };
        conn.wire.consumed(stream, bytes, &mut conn.out);
        if !conn.out.is_empty() {
            touch(&mut self.touched, conn, id);
        }
    }

    fn stall(&mut self, source: Option<(Id, StreamId)>, yes: bool) {
        let Some((id, _)) = source else { return };
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.stalled = if yes { conn.stalled + 1 } else { conn.stalled.saturating_sub(1) };
        if conn.wants_pause() != conn.paused {
            touch(&mut self.touched, conn, id);
        }
    }

    /// Set when something must happen on a connection.
    pub(super) fn set_alarm(&mut self, id: Id, at: f64) {
        if let Some(conn) = self.connections.get_mut(id) {
            conn.alarm.deadline = at;
            self.timers.arm(&mut conn.alarm, Owner::Connection(index_of(id)));
        }
    }

    /// See to it that an exchange is looked at by its deadline.
    pub(super) fn watch(&mut self, id: Id) {
        if let Some(exchange) = self.exchanges.get_mut(id) {
            exchange.alarm.deadline = exchange.deadline();
            self.timers.arm(&mut exchange.alarm, Owner::Exchange(index_of(id)));
        }
    }

    /// The whole request has come: its time runs.
    pub(super) fn start_clock(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id).filter(|exchange| exchange.timeout_s > 0.0) else { return };
        exchange.answer_by = now + exchange.timeout_s;
        self.watch(id);
    }

    /// The whole request is on its way to an endpoint: the time of this try runs.
    pub(super) fn start_try(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        if let Some(retry) = exchange.retry.as_mut() {
            retry.start_clock(now);
            self.watch(id);
        }
    }

    /// Nobody rides on a connection: it may rest for as long as its configuration says.
    pub(super) fn rest(&mut self, id: Id, now: f64) {
        let idle_timeout = self.idle_timeout(id);
        self.set_alarm(id, if idle_timeout > 0.0 { now + idle_timeout } else { NEVER });
    }

    fn idle_timeout(&self, id: Id) -> f64 {
        let role = self.connections.get(id).map_or(Role::None, |conn: &Connection| conn.role);
        match role {
            Role::None => 0.0,
            Role::Downstream { listener } => {
                self.listeners.get(listener).map_or(0.0, |listener| listener.config.idle_timeout_s)
            }
            Role::Upstream { cluster, .. } => {
                self.clusters.get(cluster).map_or(0.0, |cluster| cluster.config.idle_timeout_s)
            }
        }
    }
}
