//! The whole engine under seeded chaos: whatever peers, clocks and configurations do, its books balance in the end.
//!
//! What it says message by message is scripted in `tests/unit/core` through the Python face.

use super::*;
use crate::engine::flush::{Handed, Orders};
use crate::limits::EASY_BACKLOG;
use crate::random::Random;

/// What the transport would have to do.
#[derive(Default)]
struct World {
    open: Vec<Id>,
    clients: Vec<Id>,
    dialling: Vec<Id>,
    served: Vec<Id>,
    asked: Vec<Id>,
    screened: Vec<Id>,
    streams: Vec<Id>,
    conversing: Vec<Id>,
    untaken: Vec<(Id, usize)>,
    written: Vec<(Id, Vec<u8>)>,
    wake_at: f64,
}

impl Orders for World {
    fn write(&mut self, conn: Id, data: &[u8]) {
        assert!(self.open.contains(&conn), "wrote to a connection that is not open");
        self.written.push((conn, data.to_vec()));
    }
    fn open(&mut self, conn: Id, _cluster: &str, address: &str) {
        assert!(!address.is_empty());
        self.dialling.push(conn);
    }
    fn pause(&mut self, conn: Id) {
        assert!(self.open.contains(&conn));
    }
    fn resume(&mut self, conn: Id) {
        assert!(self.open.contains(&conn));
    }
    fn shutdown(&mut self, conn: Id) {
        assert!(self.open.contains(&conn));
    }
    fn close(&mut self, conn: Id) {
        self.forget(conn);
    }
    fn abort(&mut self, conn: Id) {
        self.forget(conn);
    }
    fn wake(&mut self, at: f64) {
        self.wake_at = at;
    }
    fn ask(&mut self, token: Id, _cluster: &str) {
        self.asked.push(token);
    }
    fn screen(&mut self, token: Id, filter: &str, _request: Handed<'_>) {
        assert_eq!(filter, "f.py:f");
        self.screened.push(token);
    }
    fn serve(&mut self, exchange: Id, _handler: &str, _request: Handed<'_>) {
        self.served.push(exchange);
    }
    fn answered(&mut self, exchange: Id, head: &Head) {
        assert!(self.streams.contains(&exchange) && head.status >= 200, "a stream is answered once it is open");
    }
    fn piece(&mut self, exchange: Id, bytes: &[u8]) {
        assert!(!bytes.is_empty() && (self.streams.contains(&exchange) || self.conversing.contains(&exchange)));
        self.untaken.push((exchange, bytes.len()));
    }
    fn room(&mut self, _exchange: Id) {}
    fn converse(&mut self, exchange: Id, _handler: &str, _request: Handed<'_>) {
        self.conversing.push(exchange);
    }
    fn ended(&mut self, exchange: Id) {
        assert!(self.conversing.contains(&exchange), "told of a request that is nobody's");
    }
    fn gone(&mut self, exchange: Id) {
        assert!(self.conversing.contains(&exchange), "told twice that nobody waits");
        self.conversing.retain(|known| *known != exchange);
    }
    fn done(&mut self, exchange: Id, answer: OwnAnswer) {
        self.streams.retain(|stream| *stream != exchange);
        assert!(answer.status >= 200, "an own exchange ends with a status");
    }
}

impl World {
    fn forget(&mut self, conn: Id) {
        self.open.retain(|open| *open != conn);
        self.dialling.retain(|dialling| *dialling != conn);
    }
}

/// What clients may say.
const ASKED: [&[u8]; 11] = [
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET /served HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"POST /talk HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    b"POST /talk HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab",
    // An HTTP/2 client: POST /talk on stream 1, not ended, and two bytes of its body.
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\
      \x00\x00\x0c\x01\x04\x00\x00\x00\x01\x83\x86\x41\x01h\x44\x05/talk\
      \x00\x00\x02\x00\x00\x00\x00\x00\x01ab",
    b"\x01\x01\x00\x01\x01\x00\x00\x00\x01\x0b\x00\x00\x0b\xb8\x00\x00\x00\x00\x00\x00\x00\x01x",
    // An HTTP/2 client: preface, SETTINGS, and GET /a of host h on stream 1 (RFC 7541 literals without Huffman).
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\
      \x00\x00\x09\x01\x05\x00\x00\x00\x01\x82\x86\x41\x01h\x44\x02/a",
];

/// What servers may say.
const ANSWERED: [&[u8]; 7] = [
    b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"\x01\x00\x00\x02\x01\x00\x00\x00\x01\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    // An HTTP/2 server: SETTINGS, and 200 on stream 1.
    b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88",
];

const OUTLIERS: &str = r#", "panic_percent": 50, "outlier": {"consecutive_5xx": 2, "consecutive_gateway_failure": 2,
    "interval_s": 1, "base_ejection_time_s": 1, "max_ejection_time_s": 9, "max_ejection_percent": 100, "always_eject_one": true,
    "enforcing_consecutive_5xx": 50, "enforcing_consecutive_gateway_failure": 50, "enforcing_success_rate": 100,
    "success_rate_minimum_hosts": 2, "success_rate_request_volume": 1, "success_rate_stdev_factor": 1000,
    "enforcing_failure_percentage": 100, "failure_percentage_threshold": 50, "failure_percentage_minimum_hosts": 1,
    "failure_percentage_request_volume": 1}"#;
const TCP_CHECK: &str = r#", "panic_percent": 50, "health_check": {"probe": {"tcp_probe": {}}, "timeout_s": 1, "interval_s": 2,
    "unhealthy_interval_s": 1, "no_traffic_interval_s": 1, "interval_jitter_s": 1, "interval_jitter_percent": 10,
    "unhealthy_threshold": 2, "healthy_threshold": 1}"#;
const HTTP_CHECK: &str = r#", "panic_percent": 50, "health_check": {"probe": {"http_probe": {"host": "", "path": "/", "method": "GET",
    "expected": [[200, 300]]}}, "timeout_s": 1, "interval_s": 2, "unhealthy_interval_s": 1, "no_traffic_interval_s": 1,
    "interval_jitter_s": 0, "interval_jitter_percent": 0, "unhealthy_threshold": 1, "healthy_threshold": 1}"#;

const AUTHZ: &str = r#", "filters": {"fault": null, "rate_limit": null, "cors": null, "access": [{"name": "ask", "step": {"ext_authz": {
    "service": {"cluster": "up", "timeout_s": 0.5, "by": {"asked_by_http": {"prefix": "/asked", "add": [["x-by", "mesh"]],
        "upstream": [{"kind": "present", "value": ""}], "upstream_append": [], "client": null, "client_on_success": []}}},
    "fail_open": true, "marks_failure": true, "status_on_error": 403, "body": {"max_bytes": 4, "partial": true, "raw": false},
    "allowed": null, "disallowed": [], "namespaces": [], "enabled_millionths": 700000, "enabled_if": null, "deny_at_disable": false}}},
    {"name": "python", "step": {"python_filter": {"file": "f.py", "name": "f", "timeout_s": 0.5, "fail_open": true, "status_on_error": 503}}}]}"#;

fn configuration(random: &mut Random) -> String {
    let endpoints = ["", r#"{"address": "a"}"#, r#"{"address": "a"}, {"address": "b"}"#][random.below(3)];
    let protocol = ["downstream", "http1", "http2"][random.below(3)];
    let (hold, limit) = (random.below(2) == 1, random.below(3));
    let health = ["", OUTLIERS, TCP_CHECK, HTTP_CHECK][random.below(4)];
    let retry = [
        "null",
        r#"{"on": ["5xx", "reset"], "max_retries": 3, "per_try_timeout_s": 0.5, "status_codes": [],
            "base_interval_s": 0.1, "max_interval_s": 1, "avoid_tried": true}"#,
    ][random.below(2)];
    let filters = ["", AUTHZ][random.below(2)];
    let mirrors =
        ["", r#"{"cluster": "up", "millionths": 500000, "marks_host": true, "host_rewrite": ""}"#][random.below(2)];
    let tracing = [
        "null",
        r#"{"client_millionths": 0, "random_millionths": 500000, "overall_millionths": 1000000, "max_text_bytes": 64,
            "collector": null}"#,
    ][random.below(2)];
    let balancing = ["round_robin", "first_available", "least_request"][random.below(3)];
    let log = ["", "log"][random.below(2)];
    format!(
        r#"{{"version": "1",
        "listeners": [{{"name": "in", "address": "", "route_table": "t", "via": "x", "access_log": "{log}",
            "tracing": {tracing} {filters}}}],
        "clusters": [{{"name": "up", "endpoints": [{endpoints}], "protocol": "{protocol}", "hold": {hold},
            "balancing": "{balancing}",
            "max_requests_per_endpoint": {limit}, "max_pending": 4, "hold_timeout_s": 5, "max_connections": 3 {health}}}],
        "route_tables": [{{"name": "t", "virtual_hosts": [{{"name": "h", "domains": ["*"], "routes": [
            {{"match": {{"path": "/served"}}, "action": {{"serve": {{"handler": "s"}}}}}},
            {{"match": {{"path": "/talk"}}, "action": {{"converse": {{"handler": "s"}}}}}},
            {{"match": {{}}, "action": {{"forward": {{"clusters": [{{"name": "up"}}], "timeout_s": 3,
                "mirrors": [{mirrors}], "retry": {retry}}}}}}}]}}]}}]}}"#
    )
}

fn any(random: &mut Random, of: &[Id]) -> Option<Id> {
    (!of.is_empty()).then(|| of[random.below(of.len())])
}

/// Say something in a conversation.
fn converse(engine: &mut Engine, world: &mut World, random: &mut Random, now: f64) {
    let Some(exchange) = any(random, &world.conversing) else { return };
    if random.below(4) > 0 {
        engine.begin_answer(exchange, 200, &[], now).unwrap();
        engine.feed(exchange, &vec![b'x'; random.below(100_000)], false, now);
        return;
    }
    // What is told of it from here on would be one thing too many.
    if random.below(4) == 0 {
        engine.hang_up(exchange, now);
    } else {
        engine.begin_answer(exchange, 200, &[], now).unwrap();
        engine.finish_answer(exchange, &[(b"grpc-status".to_vec(), b"0".to_vec())], now).unwrap();
    }
    world.conversing.retain(|known| *known != exchange);
}

/// Do one thing that may happen.
fn happen(engine: &mut Engine, world: &mut World, random: &mut Random, now: f64) {
    match random.below(21) {
        0 | 3 => {
            if let Some(conn) = engine.accepted("in", "peer", now) {
                world.open.push(conn);
                world.clients.push(conn);
            }
        }
        1 | 2 => {
            if let Some(conn) = any(random, &world.dialling) {
                world.forget(conn);
                if random.below(4) == 0 {
                    engine.open_failed(conn, now);
                } else {
                    world.open.push(conn);
                    engine.opened(conn, now);
                }
            }
        }
        4..=9 => {
            if let Some(conn) = any(random, &world.open) {
                let said = if world.clients.contains(&conn) {
                    ASKED[random.below(ASKED.len())]
                } else {
                    ANSWERED[random.below(ANSWERED.len())]
                };
                let cut = random.below(said.len());
                let part = if random.below(4) == 0 { &said[..cut] } else { said };
                engine.received(conn, part, now);
            }
        }
        10 => {
            if let Some(conn) = any(random, &world.open) {
                engine.eof(conn, now);
            }
        }
        11 => {
            if let Some(conn) = any(random, &world.open) {
                world.forget(conn);
                engine.lost(conn, now);
            }
        }
        12 => {
            if let Some(conn) = any(random, &world.open) {
                engine.writable(conn, random.below(2) == 0, random.below(2) * EASY_BACKLOG, now);
            }
        }
        13 => engine.apply(configuration(random).as_bytes(), now).unwrap(),
        14 => {
            let request = Outgoing { method: b"POST", authority: b"h", path: b"/a", fields: &[], body: b"own" };
            let terms = OwnTerms { timeout_s: 1.0, hold: random.below(2) == 0, max_response_bytes: 10 };
            let id = engine.send("t", &request, terms, now).unwrap();
            if random.below(4) == 0 {
                engine.cancel(id, now);
            }
        }
        15 => {
            let path: &[u8] = if random.below(4) == 0 { b"/served" } else { b"/a" };
            let request = Outgoing { method: b"POST", authority: b"h", path, fields: &[], body: b"" };
            let id = engine.open_stream("t", &request, random.below(2) == 0, now).unwrap();
            world.streams.push(id);
        }
        16 | 17 => {
            if let Some(stream) = any(random, &world.streams) {
                let body = vec![b'x'; random.below(100_000)];
                engine.feed(stream, &body, random.below(4) == 0, now);
            }
            if let Some((stream, bytes)) = world.untaken.pop() {
                engine.took(stream, bytes, now);
            }
        }
        18 | 19 => converse(engine, world, random, now),
        _ => {
            if let Some(exchange) = world.served.pop() {
                engine.reply(exchange, 200, &[], b"reply", now).unwrap();
            }
            if let Some(token) = world.screened.pop() {
                let field = [(b"x".to_vec(), b"y".to_vec())];
                match random.below(3) {
                    0 => engine.let_through(token, &field, &[], now).unwrap(),
                    1 => engine.turn_away(token, 403, &field, b"no", now).unwrap(),
                    _ => engine.undecided(token, now),
                }
            }
            if let Some(token) = world.asked.pop() {
                engine.answer_wait(token, 503, b"no", now);
            }
        }
    }
}

/// The engine is empty: nothing is in flight, waiting, connected or held, in any of its books.
fn assert_balanced(engine: &Engine, seed: u64) {
    assert_eq!((engine.active(), engine.streams, engine.exchanges.len()), (0, 0, 0), "exchanges, seed {seed}");
    assert!(engine.connections.is_empty(), "connections, seed {seed}");
    assert_eq!((engine.mirrored_bytes, engine.deciding), (0, 0), "copies and decisions, seed {seed}");
    assert_eq!((engine.backlog.bytes(), engine.backlog.lender().lent()), (0, 0), "backlog and windows, seed {seed}");
    for cluster in &engine.clusters {
        let books =
            (cluster.in_flight, cluster.waiting, cluster.held_bytes, cluster.connections, cluster.load.current());
        assert_eq!(books, (0, 0, 0, 0, 0), "cluster, seed {seed}");
        assert_eq!((cluster.boarding, cluster.retries), (0, 0), "breakers, seed {seed}");
        for endpoint in &cluster.endpoints {
            let books = (endpoint.in_flight, endpoint.connections, endpoint.idle.len(), endpoint.shared.len());
            assert_eq!(books, (0, 0, 0, 0), "endpoint, seed {seed}");
        }
    }
    for listener in &engine.listeners {
        assert_eq!((listener.counters.cx_active, listener.counters.rq_active), (0, 0), "listener, seed {seed}");
    }
}

#[test]
fn the_books_balance_after_any_history() {
    let mut statuses = std::collections::HashSet::new();
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let (mut engine, mut world, mut now) = (Engine::new(seed, 0.0), World::default(), 100.0);
        engine.apply(configuration(&mut random).as_bytes(), now).unwrap();
        // A call that somebody looks at is not passed on as it lies.
        if seed % 2 == 0 {
            engine.tap(br#"{"millionths": 500000, "most": 50, "body_bytes": 64, "statuses": [200, 599]}"#).unwrap();
        }
        for _ in 0..200 {
            happen(&mut engine, &mut world, &mut random, now);
            engine.flush(&mut world);
            if random.below(8) == 0 {
                now += 0.7;
                engine.tick(now);
                engine.flush(&mut world);
            }
        }
        for _ in 0..10 {
            now += 10.0;
            engine.tick(now);
            engine.flush(&mut world);
        }
        for conn in world.open.clone() {
            engine.lost(conn, now);
            engine.flush(&mut world);
        }
        // Who is left has no client any more; a health check may be made anew until nobody checks.
        engine.drain(now);
        engine.flush(&mut world);
        for conn in world.dialling.clone() {
            engine.open_failed(conn, now);
            engine.flush(&mut world);
        }
        for exchange in std::mem::take(&mut world.served) {
            engine.reply(exchange, 200, &[], b"", now).unwrap();
            engine.flush(&mut world);
        }
        for stream in std::mem::take(&mut world.streams) {
            engine.cancel(stream, now);
            engine.flush(&mut world);
        }
        assert!(world.conversing.is_empty(), "nobody was told that a conversation is over, seed {seed}");
        assert_balanced(&engine, seed);
        assert_eq!(engine.take_spans().is_empty(), engine.spans.recorded == 0, "spans, seed {seed}");
        statuses.extend(world.written.iter().filter_map(|(_, data)| data.get(9..12).map(<[u8]>::to_vec)));
    }
    for status in [b"200", b"101", b"400", b"502", b"503", b"504"] {
        assert!(statuses.contains(status.as_slice()), "no history answered {}", String::from_utf8_lossy(status));
    }
}

#[test]
fn the_same_history_gives_the_same_orders() {
    let run = || {
        let mut random = Random::new(7);
        let (mut engine, mut world) = (Engine::new(7, 0.0), World::default());
        engine.apply(configuration(&mut random).as_bytes(), 0.0).unwrap();
        for step in 0..300 {
            happen(&mut engine, &mut world, &mut random, f64::from(step) * 0.01);
            engine.flush(&mut world);
        }
        world.written
    };
    let first = run();
    assert!(first.len() > 20);
    assert_eq!(first, run());
}

#[test]
fn memory_for_large_reads_goes_round_and_that_of_one_huge_answer_does_not_stay() {
    let (mut spare, mut out) = (Vec::new(), vec![0; 256 * 1024]);
    give_up(&mut spare, &mut out);
    assert_eq!((spare.capacity(), out.capacity()), (256 * 1024, 0));
    let mut huge = vec![0; 64 * 1024 * 1024];
    give_up(&mut spare, &mut huge);
    assert_eq!((spare.capacity(), huge.capacity()), (256 * 1024, 0));
}
