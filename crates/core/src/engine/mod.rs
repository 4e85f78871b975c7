//! The engine: everything of the proxy but its sockets and its clock.
//!
//! One file per concern: `apply` (configuration), `access` and `authz` (who may do what), `decisions` (filters of this process), `declared` (private protocols), `inbound` (what the transport reports), `downstream` and `upstream`
//! (what the two sides of an exchange say), `passing` (calls that nobody has anything to say about: `plain`) with `stretch` (those between the same two connections), `recent` (their routes) and `tally` (their counters), `dispatch` (endpoint and connection for a request), `pool` (upstream connections), `errand` and `keys` (what the engine itself asks for), `waiting` (queues),
//! `flow` (byte credit), `backlog` (what peers have not taken), `answer` (local replies and ends), `retry` (retries by policy), `health` (outliers and checks),
//! `own` (exchanges of this process), `stream` (those of them that go on), `conversation` (requests that this process answers piece by piece), `moving` (connections given away), `mirror` (copies),
//! `tap` (looking at exchanges), `tracing` (spans), `timing`, `flush` (orders to the transport), `report` and `statuses` (what is told of them), `secured` (connections under
//! TLS).
//!
//! `exchange`, `connection` and `wires` (told by `detection`) say what there is, `refusal` what may be answered; they know none of the files that act. No file knows
//! another that knows it (`tools/rust_circles.py`).

mod access;
mod answer;
mod apply;
mod authz;
mod backlog;
mod call;
mod connection;
mod conversation;
mod cors;
mod decisions;
mod declared;
mod detection;
mod dispatch;
mod downstream;
mod errand;
mod exchange;
mod filters;
mod flow;
mod flush;
mod forwarded;
mod health;
mod inbound;
mod keys;
mod mirror;
mod moving;
mod own;
mod passing;
mod plain;
mod pool;
mod recent;
mod refusal;
mod report;
mod retry;
mod secured;
mod statuses;
mod stream;
mod stretch;
mod tally;
mod tap;
mod timing;
mod tracing;
mod upstream;
mod waiting;
mod wires;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

pub use exchange::{OwnAnswer, OwnTerms, Told};
pub use flush::{Handed, Orders};
pub use moving::Standing;
pub use own::Outgoing;

pub use crate::routes::Ledger;

use crate::access_log::AccessLog;
use crate::cluster::Cluster;
use crate::config;
use crate::engine::connection::Connection;
use crate::engine::exchange::{Errand, Exchange};
use crate::engine::keys::KeySet;
use crate::engine::wires::Family;
use crate::events::{Event, Wire};
use crate::framed;
use crate::head::Head;
use crate::limits::{KEEP_OUT, KEEP_SPARE};
use crate::random::Random;
use crate::routes::{Bucket, Filters, Tables};
use crate::slab::{Id, Slab};
use crate::stats::{ListenerCounters, RouteCounters};
use crate::timers::{Timers, NEVER};
use crate::tls;
use crate::trace::{Spans, Tracer};

/// A listener at run time.
#[derive(Debug)]
struct Listener {
    config: config::Listener,
    /// This hop as `Via` spells it; empty: none.
    via: Vec<u8>,
    /// Number of its route table in the newest configuration.
    table: Option<usize>,
    /// Where it listens; none: a unix socket.
    destination: Option<(IpAddr, u16)>,
    /// What happens before a route is followed.
    filters: Option<Arc<Filters>>,
    /// Number of its access log.
    log: Option<usize>,
    /// How it speaks TLS, if it does.
    tls: Option<Arc<tls::ServerContext>>,
    /// How it traces, if it does.
    tracer: Option<Arc<Tracer>>,
    /// Declared protocols that it tells by their magic.
    offers: detection::Offers,
    counters: ListenerCounters,
}

/// The whole proxy without its sockets. See `eventmesh/core/_core.pyi` for the contract of each method.
///
/// Every method leaves its orders to be collected by [`Engine::flush`].
pub struct Engine {
    tables: Arc<Tables>,
    listeners: Vec<Listener>,
    listener_names: HashMap<String, usize>,
    /// Declared protocols, by number. One that is declared no more keeps its number while a connection speaks it.
    protocols: Vec<Arc<framed::Protocol>>,
    clusters: Vec<Cluster>,
    cluster_names: HashMap<String, usize>,
    labels: Vec<RouteCounters>,
    label_names: HashMap<(String, String), usize>,
    /// Each with its key in a ledger.
    buckets: Vec<(u64, Bucket)>,
    /// What buckets are in common with other engines.
    ledger: Option<Box<dyn Ledger>>,
    bucket_names: HashMap<String, usize>,
    connections: Slab<Connection>,
    exchanges: Slab<Exchange>,
    timers: Timers,
    random: Random,
    log: AccessLog,
    spans: Spans,
    /// How requests of this process are traced, if they are.
    tracer: Option<Arc<Tracer>>,
    /// Wall-clock time minus the clock of `now`.
    wall_offset_s: f64,
    /// What certificates are judged by.
    clock: Arc<tls::Clock>,
    /// Memory lent to what is opened and to what is sealed.
    opened: Vec<u8>,
    sealed: Vec<u8>,
    /// Memory lent to a connection that writes much at once.
    spare: Vec<u8>,
    backlog: backlog::Backlog,
    draining: bool,
    tap: Option<tap::Tap>,
    /// Body bytes of requests that are being copied.
    mirrored_bytes: usize,
    /// Connections that can be moved to another process are not drained.
    moving: bool,
    /// The head of the event at hand.
    scratch: Box<Head>,
    /// The routes of the last plain calls.
    recent: recent::Recent,
    /// Connections with something to flush.
    touched: Vec<Id>,
    /// Connections whose kept bytes can go on.
    resumable: Vec<Id>,
    /// Clusters in which a waiting request may go on.
    woken: Vec<usize>,
    /// Connections whose peer reads too slowly: of framed protocols, or of HTTP/2 with whole answers behind closed windows.
    overrun: Vec<Id>,
    opens: Vec<Id>,
    asks: Vec<(Id, usize)>,
    /// Requests about which filters of this process are to be asked, and how many wait for them.
    questions: Vec<Id>,
    deciding: usize,
    handed: Vec<Id>,
    done: Vec<(Id, OwnAnswer)>,
    /// Answers to what the engine itself has asked.
    errands: Vec<(Errand, OwnAnswer)>,
    /// Keys of tokens that are fetched.
    key_sets: Vec<KeySet>,
    key_set_names: HashMap<String, usize>,
    /// `jwks_fetch_success` and `jwks_fetch_failed`.
    keys_fetched: u64,
    keys_failed: u64,
    /// What is told of streams of this process, in order.
    told: Vec<(Id, Told)>,
    /// Streams of this process that are open.
    streams: usize,
    /// When the transport will call `tick`.
    wake_at: f64,
}

impl Engine {
    /// Return an engine without configuration. `wall_offset_s` is wall-clock time minus the clock `now` is read from: the access
    /// log needs it, and who judges certificates.
    pub fn new(seed: u64, wall_offset_s: f64) -> Self {
        Self {
            tables: Arc::default(),
            listeners: Vec::new(),
            listener_names: HashMap::new(),
            protocols: Vec::new(),
            clusters: Vec::new(),
            cluster_names: HashMap::new(),
            labels: Vec::new(),
            label_names: HashMap::new(),
            buckets: Vec::new(),
            ledger: None,
            bucket_names: HashMap::new(),
            connections: Slab::default(),
            exchanges: Slab::default(),
            timers: Timers::default(),
            random: Random::new(seed),
            log: AccessLog::new(wall_offset_s),
            spans: Spans::default(),
            tracer: None,
            wall_offset_s,
            clock: Arc::default(),
            opened: Vec::new(),
            sealed: Vec::new(),
            spare: Vec::new(),
            backlog: backlog::Backlog::default(),
            draining: false,
            tap: None,
            mirrored_bytes: 0,
            moving: false,
            scratch: Box::default(),
            recent: recent::Recent::default(),
            touched: Vec::new(),
            resumable: Vec::new(),
            woken: Vec::new(),
            overrun: Vec::new(),
            opens: Vec::new(),
            asks: Vec::new(),
            questions: Vec::new(),
            deciding: 0,
            handed: Vec::new(),
            done: Vec::new(),
            errands: Vec::new(),
            key_sets: Vec::new(),
            key_set_names: HashMap::new(),
            keys_fetched: 0,
            keys_failed: 0,
            told: Vec::new(),
            streams: 0,
            wake_at: NEVER,
        }
    }

    /// Return how many exchanges are in flight, waiting ones included. Streams of this process do not count: they have no
    /// end that anybody could wait for.
    pub fn active(&self) -> usize {
        self.exchanges.len().saturating_sub(self.streams)
    }

    /// Keep the state of rate limits in `ledger` from now on, with every other engine that does.
    pub fn share_limits(&mut self, ledger: Box<dyn Ledger>) {
        self.ledger = Some(ledger);
    }

    /// Decode what connection `id` has kept plus `data`, and act on it.
    fn pump(&mut self, id: Id, data: &[u8], now: f64) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let mut kept = std::mem::take(&mut conn.carry);
        let owned = !kept.is_empty();
        if owned {
            kept.extend_from_slice(data);
        }
        let input = if owned { kept.as_slice() } else { data };
        let tables = Arc::clone(&self.tables);
        let mut at = 0;
        loop {
            let Some(conn) = self.connections.get_mut(id).filter(|conn| conn.is_open()) else {
                at = input.len();
                break;
            };
            if conn.holds_back() {
                break;
            }
            if matches!(conn.wire.family(), Family::Frames(_)) {
                at += self.pass_frames(id, input.get(at..).unwrap_or_default(), &tables, now);
            }
            let rest = input.get(at..).unwrap_or_default();
            let Some(conn) = self.connections.get_mut(id).filter(|conn| conn.is_open()) else { continue };
            // By reference: an event that is moved is read at once, in other pieces than it was written in, and waits for that.
            let decoded = &conn.wire.decode(rest, &mut self.scratch, &mut conn.out);
            if !conn.out.is_empty() {
                touch(&mut self.touched, conn, id);
            }
            at += decoded.0;
            let sent = if decoded.1.is_none() { &conn.wire.sent() } else { &None };
            let Some(event) = decoded.1.as_ref().or(sent.as_ref()) else { break };
            self.event(id, event, rest, &tables, now);
        }
        if owned {
            kept.drain(..at.min(kept.len()));
        } else {
            kept.extend_from_slice(data.get(at..).unwrap_or_default());
        }
        if let Some(conn) = self.connections.get_mut(id) {
            conn.carry = kept;
            if conn.wants_pause() != conn.paused {
                touch(&mut self.touched, conn, id);
            }
        }
        self.close_if_over(id, now);
    }

    /// Act on one event of connection `id`; `input` is what its pieces lie in, `tables` are those in force.
    fn event(&mut self, id: Id, event: &Event, input: &[u8], tables: &Tables, now: f64) {
        let Some(conn) = self.connections.get(id) else { return };
        if matches!(conn.role, connection::Role::Upstream { .. }) {
            self.upstream_event(id, event, input, now);
        } else {
            self.downstream_event(id, event, input, tables, now);
        }
    }

    /// Finish what one call set in motion: kept bytes that can go on, waiting requests for which there is room now.
    fn settle(&mut self, now: f64) {
        loop {
            if let Some(id) = self.overrun.pop() {
                self.gone(id, connection::Ending::Abort, now);
            } else if let Some(id) = self.resumable.pop() {
                self.pump(id, &[], now);
            } else if let Some(cluster) = self.woken.pop() {
                self.admit(cluster, now);
            } else if let Some((errand, answer)) = self.errands.pop() {
                self.errand_over(errand, answer, now);
            } else {
                return;
            }
        }
    }
}

/// Give a connection that will write `more` bytes memory for them, if there is any to spare.
fn lend(spare: &mut Vec<u8>, out: &mut Vec<u8>, more: usize) {
    if more > KEEP_OUT && out.capacity() < more && out.capacity() < spare.capacity() {
        spare.clear();
        spare.append(out);
        std::mem::swap(spare, out);
    }
}

/// Take memory that was lent, or that a connection had to find for itself: it goes to whoever writes much next, not to the
/// allocator, which would hand such blocks to the kernel and ask for them again. One huge answer is not kept for ever.
fn give_up(spare: &mut Vec<u8>, out: &mut Vec<u8>) {
    if out.capacity() > spare.capacity() && out.capacity() <= KEEP_SPARE {
        std::mem::swap(spare, out);
    }
    if out.capacity() > KEEP_OUT {
        *out = Vec::new();
    }
}

/// Note that a connection has something to flush.
fn touch(touched: &mut Vec<Id>, conn: &mut Connection, id: Id) {
    if !conn.touched {
        conn.touched = true;
        touched.push(id);
    }
}
