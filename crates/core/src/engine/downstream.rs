//! What clients say: a request begins, goes on, ends or is given up.

use crate::access_log::Line;
use crate::engine::detection::TLS_REFUSED;
use crate::engine::exchange::{Exchange, Flag, Origin, RequestCopy, Retry, Stage, Told};
use crate::engine::flow::Way;
use crate::engine::refusal::{Refusal, TOO_LARGE};
use crate::engine::timing::shorter;
use crate::engine::{lend, touch, Engine};
use crate::events::{Event, ReplyKind, StreamId, Wire};
use crate::head::{Head, PROXIED};
use crate::limits::MAX_EXCHANGE_BUFFER;
use crate::routes::{Action, Found, Tables};
use crate::slab::Id;
use crate::timers::NEVER;

impl Engine {
    pub(super) fn downstream_event(&mut self, id: Id, event: &Event, input: &[u8], tables: &Tables, now: f64) {
        match *event {
            Event::Head { stream, body, end } => self.begin(id, stream, (body.of(input), end), tables, now),
            Event::Data { stream, piece, end } => self.request_data(id, stream, piece.of(input), end, now),
            Event::Trailers { stream } => self.request_trailers(id, stream, now),
            Event::Reset { stream, .. } => {
                self.weigh_later(id);
                if let Some(exchange) = self.rider(id, stream) {
                    self.abandoned(exchange, Flag::DownstreamClosed, now);
                }
            }
            Event::Sent { stream, bytes } => self.window_moved(id, stream, bytes),
            Event::Informational { .. } | Event::GoAway => {}
            Event::Fault(fault) => {
                if let Some(listener) = self.listener_of(id) {
                    listener.counters.protocol_error += 1;
                    listener.counters.tls_refused += u64::from(fault == TLS_REFUSED);
                }
                if fault == TLS_REFUSED {
                    self.log_tls(id, now);
                }
                self.faulted(id, now);
            }
        }
    }

    /// Write a line of its own for a client that speaks TLS to a port without: it gets no answer that it could show.
    fn log_tls(&mut self, id: Id, now: f64) {
        let Some(log) = self.listener_of(id).and_then(|listener| listener.log) else { return };
        let head = Head::default();
        let line = Line {
            head: &head,
            protocol: "TLS",
            path: b"-",
            authority: b"-",
            status: 0,
            flags: Flag::DownstreamProtocol.name(),
            bytes_in: 0,
            bytes_out: 0,
            started: now,
            took: 0.0,
            upstream: "-",
            route: "-",
        };
        self.log.write(log, &line);
    }

    /// Return the exchange that a stream belongs to.
    pub(super) fn rider(&mut self, conn: Id, stream: StreamId) -> Option<Id> {
        self.connections.get_mut(conn)?.streams.get(stream)
    }

    fn listener_of(&mut self, conn: Id) -> Option<&mut super::Listener> {
        match self.connections.get(conn)?.role {
            super::connection::Role::Downstream { listener } => self.listeners.get_mut(listener),
            _ => None,
        }
    }

    /// A request head has come; it is in the scratch head. `body` came with it, and `end` says that this is all.
    fn begin(&mut self, conn_id: Id, stream: StreamId, (body, end): (&[u8], bool), tables: &Tables, now: f64) {
        let Some(conn) = self.connections.get_mut(conn_id) else { return };
        let super::connection::Role::Downstream { listener } = conn.role else { return };
        let id = self.exchanges.take();
        conn.streams.insert(stream, id);
        conn.reused = true;
        conn.alarm.disarm();
        if self.draining && !(self.moving && conn.is_movable()) {
            conn.wire.drain(&mut conn.out);
        }
        let (mut table, mut tracer) = (None, None);
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.counters.rq_total += 1;
            listener.counters.rq_active += 1;
            (table, tracer) = (listener.table, listener.tracer.clone());
            if listener.config.keepalive_interval_s > 0.0 {
                self.keep_alive(conn_id, now);
            }
        }
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        std::mem::swap(&mut exchange.head, &mut self.scratch);
        exchange.origin = Origin::Stream { conn: conn_id, stream, listener };
        exchange.held.extend_from_slice(body);
        exchange.bytes_in = body.len() as u64;
        exchange.begin(end, now);
        if body.len() > MAX_EXCHANGE_BUFFER {
            // Until it has left, its client is not listened to.
            self.pass(id, Way::Up, body.len(), 0, None);
        }
        if let Some(tracer) = tracer {
            self.join_trace(id, &tracer);
        }
        if self.tap.is_some() {
            self.look_at(id);
        }
        let found = self.find_route(id, table, tables);
        self.route(id, found, tables, now);
    }

    /// Return the route of a request in `tables`, which are those in force.
    pub(super) fn find_route(&self, id: Id, table: Option<usize>, tables: &Tables) -> Option<Found> {
        tables.find(table?, &self.exchanges.get(id)?.head)
    }

    /// Do what the route of a request says, if there is one.
    pub(super) fn route(&mut self, id: Id, found: Option<Found>, tables: &Tables, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let Some((found, (_, route))) = found.and_then(|found| Some((found, tables.resolve(found)?))) else {
            let refusal = Refusal::new(404, Flag::NoRoute, ReplyKind::NoRoute, b"no route for this host and path");
            return self.refuse(id, &refusal, now);
        };
        exchange.found = Some(found);
        exchange.label = Some(route.label);
        if let Some(label) = self.labels.get_mut(route.label) {
            label.rq_total += 1;
        }
        let listener = match exchange.origin {
            Origin::Stream { listener, .. } => self.listeners.get(listener),
            Origin::Own => None,
        };
        let filters = route.filters.is_some() || listener.is_some_and(|listener| listener.filters.is_some());
        if !filters || self.filtered(id, found, tables, now) {
            self.follow(id, found, tables, now);
        }
    }

    /// Do what the route of a request says.
    pub(super) fn follow(&mut self, id: Id, found: Found, tables: &Tables, now: f64) {
        let Some((_, route)) = tables.resolve(found) else { return };
        match &route.action {
            Action::Forward(_) => self.forward(id, found, tables, now),
            Action::Serve { max_body_bytes, .. } => self.collect(id, found, tables, *max_body_bytes, now),
            Action::Converse { .. } => self.converse(id, found, tables, now),
            Action::Direct { status, body } => {
                self.answer(id, found, tables, &Refusal::new(*status, Flag::None, ReplyKind::Configured, body), now);
            }
            Action::Redirect(redirect) => {
                let Some(exchange) = self.exchanges.get(id) else { return };
                let location = route.location(redirect, &exchange.head);
                let fields = [(&b"location"[..], location.as_slice())];
                let refusal = Refusal::new(redirect.status, Flag::None, ReplyKind::Configured, b"");
                self.answer(id, found, tables, &Refusal { fields: &fields, ..refusal }, now);
            }
        }
    }

    /// Give the answer that a route holds, with the route's edits.
    fn answer(&mut self, id: Id, found: Found, tables: &Tables, refusal: &Refusal<'_>, now: f64) {
        let Some((host, route)) = tables.resolve(found) else { return };
        if host.response_edits.is_empty() && route.response_edits.is_empty() {
            return self.refuse(id, refusal, now);
        }
        let mut head = Head::default();
        for (name, value) in refusal.fields {
            head.push(name, value);
        }
        host.response_edits.apply(&mut head);
        route.response_edits.apply(&mut head);
        let fields: Vec<(&[u8], &[u8])> = head.fields().collect();
        self.refuse(id, &Refusal { fields: &fields, ..*refusal }, now);
    }

    /// Draw a cluster, edit the head and look for an endpoint.
    fn forward(&mut self, id: Id, found: Found, tables: &Tables, now: f64) {
        let Some((host, route)) = tables.resolve(found) else { return };
        let Action::Forward(forward) = &route.action else { return };
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.share = forward.draw(&mut self.random);
        let share = forward.share(exchange.share);
        let Some((share, number)) = share.and_then(|share| Some((share, share.cluster?))) else {
            let refusal = Refusal::new(503, Flag::NoCluster, ReplyKind::NoEndpoint, b"no such cluster");
            return self.refuse(id, &refusal, now);
        };
        exchange.proxied = exchange.head.get(PROXIED).is_some();
        route.rewrite(forward, &mut exchange.head);
        for edits in [&host.request_edits, &route.request_edits, &share.request_edits] {
            edits.apply(&mut exchange.head);
        }
        exchange.timeout_s = shorter(forward.timeout_s, exchange.own.as_ref().map_or(0.0, |own| own.terms.timeout_s));
        if exchange.head.version.is_framed() {
            exchange.timeout_s = shorter(exchange.timeout_s, f64::from(exchange.head.frame.timeout_ms) / 1_000.0);
        } else {
            self.describe_hop(id);
        }
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.retry = forward.retry.as_ref().map(|policy| Box::new(Retry::new(policy)));
        exchange.subsetted = !share.subset.is_empty();
        if !forward.hash_on.is_empty() {
            let peer = match exchange.origin {
                Origin::Stream { conn, .. } => self.connections.get(conn).map_or("", |conn| &*conn.peer),
                Origin::Own => "",
            };
            exchange.hash = forward.hash(&exchange.head, peer);
        }
        exchange.cluster = Some(number);
        exchange.counted = true;
        if let Some(cluster) = self.clusters.get_mut(number) {
            cluster.load.begin(exchange.proxied, now);
            cluster.counters.rq_total += 1;
        }
        let copied = !forward.mirrors.is_empty();
        let copy = copied.then(|| RequestCopy::begin(exchange, forward, &mut self.random)).flatten();
        if exchange.request_done {
            self.start_clock(id, now);
        }
        self.dispatch(id, now);
        if let Some(copy) = copy {
            self.copy_request(id, copy, now);
        }
    }

    /// Collect a request for a handler of this process.
    fn collect(&mut self, id: Id, found: Found, tables: &Tables, max_body_bytes: usize, now: f64) {
        let Some((host, route)) = tables.resolve(found) else { return };
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        host.request_edits.apply(&mut exchange.head);
        route.request_edits.apply(&mut exchange.head);
        exchange.stage = Stage::Served;
        if exchange.head.content_length.is_some_and(|length| length > max_body_bytes as u64)
            || exchange.held.len() > max_body_bytes
        {
            return self.refuse(id, &TOO_LARGE, now);
        }
        let whole = exchange.request_done;
        // What has come is bounded, and needs no credit of where it goes.
        self.clear_flow(id, Way::Up);
        if whole {
            self.hand_over(id);
        } else {
            self.bid_continue(id);
        }
    }

    pub(super) fn hand_over(&mut self, id: Id) {
        if let Some(exchange) = self.exchanges.get_mut(id).filter(|exchange| !exchange.handed) {
            exchange.handed = true;
            self.handed.push(id);
        }
    }

    fn request_data(&mut self, conn: Id, stream: StreamId, bytes: &[u8], end: bool, now: f64) {
        let Some(id) = self.rider(conn, stream) else {
            // The exchange has ended: the bytes are thrown away, their credit given back.
            return self.give_back(Some((conn, stream)), bytes.len());
        };
        self.request_bytes(id, bytes, end, now);
    }

    /// Bytes of a request have come, from its client or from this process.
    pub(super) fn request_bytes(&mut self, id: Id, bytes: &[u8], end: bool, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.bytes_in += bytes.len() as u64;
        exchange.request_done |= end;
        if let Some(tapped) = &mut exchange.tapped {
            tapped.request(bytes);
        }
        if let Some(copy) = &mut exchange.mirror {
            copy.keep(bytes, &mut self.mirrored_bytes);
        }
        match exchange.stage {
            Stage::Sent { conn: up_id, stream } => {
                let Some(up) = self.connections.get_mut(up_id) else { return };
                lend(&mut self.spare, &mut up.out, bytes.len());
                let queued = up.wire.data(stream, bytes, end, &mut up.out);
                if let Some(retry) = &mut exchange.retry {
                    retry.keep(bytes);
                }
                up.shutdown |= end && exchange.tunnel;
                touch(&mut self.touched, up, up_id);
                self.pass(id, Way::Up, bytes.len(), queued, Some(up_id));
            }
            Stage::Served if exchange.conversing => self.tell_request(id, bytes),
            Stage::Served => {
                exchange.held.extend_from_slice(bytes);
                let (size, origin) = (exchange.held.len(), exchange.origin);
                if size > self.body_limit(id) {
                    return self.refuse(id, &TOO_LARGE, now);
                }
                if let Origin::Stream { conn, stream, .. } = origin {
                    self.give_back(Some((conn, stream)), bytes.len());
                }
            }
            Stage::Checked if exchange.collects().is_some() => self.collect_more(id, bytes, end, now),
            Stage::Begun | Stage::Delayed | Stage::Checked | Stage::Waiting | Stage::Boarding { .. } => {
                exchange.held.extend_from_slice(bytes);
                if exchange.stage == Stage::Waiting && !self.hold_bytes(id, bytes.len(), now) {
                    return;
                }
                self.pass(id, Way::Up, bytes.len(), 0, None);
            }
        }
        if end {
            self.request_over(id, now);
        }
    }

    fn body_limit(&self, id: Id) -> usize {
        let exchange = self.exchanges.get(id);
        let route = exchange.and_then(|exchange| exchange.route(&self.tables));
        match route.map(|(_, route)| &route.action) {
            Some(Action::Serve { max_body_bytes, .. }) => *max_body_bytes,
            _ => 0,
        }
    }

    fn request_trailers(&mut self, conn: Id, stream: StreamId, now: f64) {
        let Some(id) = self.rider(conn, stream) else { return };
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.request_done = true;
        if let Some(copy) = &mut exchange.mirror {
            copy.keep_trailers(&self.scratch);
        }
        if let Some((up_id, stream)) = exchange.upstream() {
            if let Some(up) = self.connections.get_mut(up_id) {
                up.wire.trailers(stream, &self.scratch, &mut up.out);
                touch(&mut self.touched, up, up_id);
            }
            if let Some(retry) = &mut exchange.retry {
                retry.keep_trailers(&self.scratch);
            }
        } else if exchange.stage != Stage::Served {
            exchange.trailers = Some(std::mem::take(&mut self.scratch));
        }
        self.request_over(id, now);
    }

    /// The whole request has come.
    fn request_over(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get(id) else { return };
        if exchange.mirror.is_some() {
            self.request_copied(id, now);
        }
        let Some(exchange) = self.exchanges.get(id) else { return };
        match exchange.stage {
            Stage::Served if exchange.conversing => self.told.push((id, Told::End)),
            Stage::Served => self.hand_over(id),
            _ if exchange.tunnel && exchange.response_done => self.complete(id, now),
            _ if exchange.tunnel => {}
            Stage::Sent { .. } => {
                self.start_try(id, now);
                self.start_clock(id, now);
            }
            Stage::Checked if exchange.collects().is_some() => self.passage_over(id, now),
            _ => self.start_clock(id, now),
        }
    }
}

impl Exchange {
    /// Set what is common to every request that begins.
    pub(super) fn begin(&mut self, end: bool, now: f64) {
        self.path = self.head.path_span();
        self.authority = self.head.authority_span();
        self.request_done = end;
        self.started = now;
        (self.answer_by, self.wait_until) = (NEVER, NEVER);
    }
}

/// Add this hop to `Via`.
pub(super) fn add_via(head: &mut Head, via: Option<&[u8]>) {
    if let Some(via) = via.filter(|via| !via.is_empty()) {
        head.extend_list(b"via", via);
    }
}
