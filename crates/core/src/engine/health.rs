//! The health of endpoints: what their answers say of them, and checks made for nothing else.
//!
//! A check is an exchange of this process bound to one endpoint. It passes by breakers, queues and counters of requests.

use std::sync::Arc;

use crate::cluster::{Endpoint, Outcome};
use crate::config::Probe;
use crate::engine::connection::{Ending, Role};
use crate::engine::exchange::{Exchange, Own, OwnAnswer, OwnTerms, Pinned, Stage};
use crate::engine::refusal::NO_ENDPOINT;
use crate::engine::wires::{self, AnyWire, Family};
use crate::engine::Engine;
use crate::grpc;
use crate::head::{Head, Version};
use crate::limits::MAX_CHECK_BYTES;
use crate::slab::Id;
use crate::timers::Owner;

impl Engine {
    /// See to it that a cluster is looked at when something must happen there.
    pub(super) fn arm_cluster(&mut self, number: usize) {
        if let Some(cluster) = self.clusters.get_mut(number) {
            cluster.alarm.deadline = cluster.deadline();
            self.timers.arm(&mut cluster.alarm, Owner::Cluster(number));
        }
    }

    /// Do what is due in a cluster: endpoints that rested, outliers, checks.
    pub(super) fn cluster_due(&mut self, number: usize, now: f64) {
        let Some(cluster) = self.clusters.get_mut(number) else { return };
        if cluster.rested_at <= now {
            cluster.wake();
            self.woken.push(number);
        }
        if cluster.sweep_at <= now && cluster.sweep(now, &mut self.random) {
            cluster.refresh();
            self.woken.push(number);
        }
        for at in cluster.due_checks(now) {
            self.check(number, at, now);
        }
        self.arm_cluster(number);
    }

    /// Take note of how the endpoint of an exchange has answered. What goes wrong behind an answer that has been counted
    /// is not counted again, though it is judged.
    pub(super) fn judge(&mut self, id: Id, status: u16, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id).filter(|exchange| exchange.pinned.is_none()) else { return };
        let (Stage::Sent { conn, .. } | Stage::Boarding { conn }) = exchange.stage else { return };
        let (judged, known) = (exchange.judged, std::mem::replace(&mut exchange.outcome_known, true));
        let Some(Role::Upstream { cluster: number, endpoint }) = self.connections.get(conn).map(|conn| conn.role)
        else {
            return;
        };
        let Some(cluster) = self.clusters.get_mut(number) else { return };
        if !known {
            cluster.count_answers(endpoint, status, 1);
        }
        if !judged {
            return;
        }
        if cluster.judge(endpoint, status, now, &mut self.random) {
            cluster.refresh();
        }
        cluster.alarm.deadline = cluster.alarm.deadline.min(cluster.sweep_at);
        self.timers.arm(&mut cluster.alarm, Owner::Cluster(number));
    }

    /// Take note that the endpoint of an exchange has not answered in time.
    pub(super) fn judge_silence(&mut self, id: Id, now: f64) {
        let silent = self.exchanges.get(id).filter(|exchange| !exchange.response_started && exchange.pinned.is_none());
        if let Some(endpoint) = silent.and_then(Exchange::upstream).and_then(|(conn, _)| self.endpoint_of(conn)) {
            endpoint.counters.rq_timeout += 1;
        }
        self.judge(id, 504, now);
    }

    /// Return the endpoint that an upstream connection leads to.
    pub(super) fn endpoint_of(&mut self, conn: Id) -> Option<&mut Endpoint> {
        let Role::Upstream { cluster, endpoint } = self.connections.get(conn)?.role else { return None };
        self.clusters.get_mut(cluster)?.endpoints.get_mut(endpoint)
    }

    /// Take note of the response in the scratch head; a gRPC call that goes on is judged by its trailers.
    pub(super) fn judge_response(&mut self, id: Id, end: bool, now: f64) {
        let head = &self.scratch;
        let status = match head.get(b"grpc-status") {
            Some(status) if head.status < 500 => grpc::http_of(status),
            None if !end && head.status == 200 && head.get(b"content-type").is_some_and(grpc::is_grpc) => return,
            _ => head.status,
        };
        self.judge(id, status, now);
    }

    /// Ask an endpoint whether it is well.
    fn check(&mut self, number: usize, at: usize, now: f64) {
        let Some(cluster) = self.clusters.get_mut(number).filter(|_| !self.draining) else { return };
        let Some(terms) = cluster.config.health_check.clone() else { return };
        cluster.counters.checks += 1;
        let name = Arc::clone(&cluster.name);
        let id = self.exchanges.take();
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.begin(true, now);
        ask(&terms.probe, &name, exchange);
        let own = OwnTerms { timeout_s: terms.timeout_s, hold: false, max_response_bytes: MAX_CHECK_BYTES };
        exchange.own = Some(Box::new(Own { terms: own, ..Own::default() }));
        exchange.cluster = Some(number);
        let connects_only = matches!(terms.probe, Probe::TcpProbe {});
        exchange.pinned = Some(Pinned { endpoint: at, connects_only });
        exchange.answer_by = now + terms.timeout_s;
        let version = exchange.head.version;
        self.watch(id);
        let protocol = self.clusters.get(number).map(|cluster| cluster.config.protocol);
        let wire = protocol.and_then(|protocol| {
            let version = if connects_only { wires::any_version(protocol) } else { version };
            Some((
                wires::family(protocol, version)?,
                AnyWire::client(protocol, version, &self.protocols, self.backlog.lender())?,
            ))
        });
        let Some((family, wire)) = wire else { return self.refuse(id, &NO_ENDPOINT, now) };
        let pooled = match family {
            _ if connects_only => None,
            Family::Http1 => self.take_idle(number, at),
            _ => self.find_shared(number, at, family, None),
        };
        let conn = pooled.unwrap_or_else(|| self.dial(number, at, wire, now));
        if connects_only {
            self.unshare(conn);
        }
        self.take_slot(number, at);
        self.board(id, conn, now);
    }

    /// A connection has come up: return whether that was all that `id` wanted of it.
    pub(super) fn connected(&mut self, id: Id, conn: Id, now: f64) -> bool {
        let pinned = self.exchanges.get(id).and_then(|exchange| exchange.pinned);
        if !pinned.is_some_and(|pinned| pinned.connects_only) {
            return false;
        }
        self.end(conn, Ending::Close);
        self.leave_upstream(id, None, now);
        self.finish(id, now);
        true
    }

    /// A check has ended with `answer`.
    pub(super) fn checked(&mut self, number: usize, pinned: Pinned, answer: &OwnAnswer, now: f64) {
        let Some(cluster) = self.clusters.get_mut(number) else { return };
        let Some(terms) = cluster.config.health_check.clone() else { return };
        let Some(endpoint) = cluster.endpoints.get_mut(pinned.endpoint).filter(|endpoint| !endpoint.gone) else {
            return;
        };
        let outcome = outcome(&terms.probe, answer);
        match outcome {
            Outcome::Well => cluster.counters.checks_well += 1,
            Outcome::Ill => cluster.counters.checks_failed += 1,
            Outcome::Silent => {
                cluster.counters.checks_failed += 1;
                cluster.counters.checks_silent += 1;
            }
        }
        if endpoint.check.record(outcome, &terms, cluster.counters.rq_total > 0, now, &mut self.random) {
            cluster.refresh();
            self.woken.push(number);
        }
        self.arm_cluster(number);
    }
}

/// Write the question of a probe into the head and body of `exchange`.
fn ask(probe: &Probe, cluster: &str, exchange: &mut Exchange) {
    let head = &mut exchange.head;
    head.version = Version::Http11;
    let authority = |host: &str| if host.is_empty() { cluster.to_owned() } else { host.to_owned() };
    match probe {
        Probe::TcpProbe {} => {}
        Probe::HttpProbe { host, path, method, .. } => {
            head.set_method(method.as_bytes());
            head.set_authority(authority(host).as_bytes());
            head.set_path(path.as_bytes());
            head.push(b"user-agent", b"eventmesh/health-check");
        }
        Probe::GrpcProbe { service, authority: host } => {
            head.set_method(b"POST");
            head.set_authority(authority(host).as_bytes());
            head.set_path(b"/grpc.health.v1.Health/Check");
            for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
                head.push(name.as_bytes(), value.as_bytes());
            }
            head.push(b"user-agent", b"eventmesh/health-check");
            exchange.held = grpc::health_question(service);
        }
    }
}

fn outcome(probe: &Probe, answer: &OwnAnswer) -> Outcome {
    if !answer.error.is_empty() {
        return Outcome::Silent;
    }
    let well = match probe {
        Probe::TcpProbe {} => true,
        Probe::HttpProbe { expected, .. } => expected.iter().any(|(from, to)| (*from..*to).contains(&answer.status)),
        Probe::GrpcProbe { .. } => {
            let ok = |head: &Head| head.get(b"grpc-status") == Some(b"0");
            answer.status == 200 && ok(&answer.head) && grpc::is_serving(&answer.body)
        }
    };
    if well {
        Outcome::Well
    } else {
        Outcome::Ill
    }
}
