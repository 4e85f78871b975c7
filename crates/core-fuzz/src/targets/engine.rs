//! The whole engine: any order of events from a transport, with any bytes, and no order back that makes no sense.
//!
//! An input is a script: an operation's letter, a byte that says on what, and for some a length and so many bytes.
//! Whatever the script leaves open is closed at its end, and then nothing may be left in flight.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use eventmesh_core::engine::{Engine, Handed, Orders, Outgoing, OwnAnswer, OwnTerms};
use eventmesh_core::head::Head;
use eventmesh_core::slab::Id;

use super::endpoints::Endpoints;

/// Listeners of every protocol, routes of every action, clusters of every protocol, with room and without.
const SNAPSHOT: &[u8] = include_bytes!("snapshot.json");

/// Where requests of this process lead.
const PATHS: [&[u8]; 4] = [b"/h1/x", b"/h2/x", b"/hold/x", b"/serve/x"];

const LISTENERS: [&str; 6] = ["auto", "http1", "http2", "bolt", "dubbo", "framed"];

/// Connections open at once in a script.
const MAX_CONNECTIONS: usize = 32;

/// Virtual seconds after which every timeout of the snapshot has passed.
const LONG_AFTER: f64 = 1e6;

pub fn run(input: &[u8], seed: u64) -> Result<u64, String> {
    let mut stage = Stage { engine: Engine::new(seed, 0.0), outside: Outside::default(), now: 1.0 };
    stage.engine.apply(SNAPSHOT, stage.now).map_err(|error| format!("the snapshot is refused: {error}"))?;
    stage.settle()?;
    let mut script = input;
    while let Some((letter, which, rest)) = split_operation(script) {
        script = rest;
        stage.step(letter, usize::from(which), &mut script)?;
    }
    stage.finish()?;
    let mut behaviour = DefaultHasher::new();
    stage.outside.pairs.hash(&mut behaviour);
    Ok(behaviour.finish())
}

fn split_operation(script: &[u8]) -> Option<(u8, u8, &[u8])> {
    let [letter, which, rest @ ..] = script else { return None };
    Some((*letter, *which, rest))
}

/// Take a length of two bytes and so many bytes, or as many as there are.
fn take_bytes<'a>(script: &mut &'a [u8]) -> &'a [u8] {
    let Some(([high, low], rest)) = script.split_first_chunk::<2>() else { return &[] };
    let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
    let (bytes, rest) = rest.split_at(length);
    *script = rest;
    bytes
}

struct Stage {
    engine: Engine,
    outside: Outside,
    now: f64,
}

impl Stage {
    fn step(&mut self, letter: u8, which: usize, script: &mut &[u8]) -> Result<(), String> {
        let now = self.now;
        match letter {
            b'a' if self.outside.open.len() < MAX_CONNECTIONS => {
                let listener = LISTENERS.get(which % LISTENERS.len()).copied().unwrap_or("auto");
                let id = self.engine.accepted(listener, "peer", now).ok_or("a listener is missing")?;
                self.outside.open.push(id);
            }
            b'r' => {
                let bytes = take_bytes(script);
                if let Some(id) = pick(&self.outside.open, which) {
                    self.engine.received(id, bytes, now);
                }
            }
            b'o' => {
                if let Some(id) = take(&mut self.outside.dialled, which) {
                    self.outside.open.push(id);
                    self.engine.opened(id, now);
                }
            }
            b'f' => {
                if let Some(id) = take(&mut self.outside.dialled, which) {
                    self.engine.open_failed(id, now);
                }
            }
            b'l' => {
                if let Some(id) = take(&mut self.outside.open, which) {
                    self.engine.lost(id, now);
                }
            }
            b'e' => {
                if let Some(id) = pick(&self.outside.open, which) {
                    self.engine.eof(id, now);
                }
            }
            b'w' => {
                if let Some(id) = pick(&self.outside.open, which / 2) {
                    self.engine.writable(id, which % 2 == 1, which << 16, now);
                }
            }
            b't' => {
                self.now += f64::from(u32::try_from(which * which).unwrap_or(0)) / 16.0;
                self.engine.tick(self.now);
            }
            b'y' => self.reply(which)?,
            b's' => self.send(which)?,
            b'c' => {
                if let Some(id) = take(&mut self.outside.sent, which) {
                    self.engine.cancel(id, now);
                }
            }
            b'S' => self.open_stream(which)?,
            b'm' => {
                let bytes = take_bytes(script);
                if let Some(id) = pick(&self.outside.sent, which / 2) {
                    self.engine.feed(id, bytes, which % 2 == 1, now);
                }
            }
            b'v' => {
                if let Some(id) = pick(&self.outside.conversing, which) {
                    self.engine.begin_answer(id, 200, &[], now)?;
                }
            }
            b'V' => {
                let bytes = take_bytes(script);
                if let Some(id) = pick(&self.outside.conversing, which) {
                    self.engine.feed(id, bytes, false, now);
                }
            }
            b'x' => {
                if let Some(id) = take(&mut self.outside.conversing, which) {
                    // Only what has begun can be finished.
                    self.engine.begin_answer(id, 200, &[], now)?;
                    self.engine.finish_answer(id, &[(b"grpc-status".to_vec(), b"0".to_vec())], now)?;
                }
            }
            b'h' => {
                if let Some(id) = take(&mut self.outside.conversing, which) {
                    self.engine.hang_up(id, now);
                }
            }
            b'k' => {
                if let Some((id, bytes)) = self.outside.untaken.pop() {
                    self.engine.took(id, bytes, now);
                }
            }
            b'n' => {
                if let Some(token) = take(&mut self.outside.asked, which) {
                    self.engine.answer_wait(token, 503, b"asleep", now);
                }
            }
            b'p' => self.engine.apply(SNAPSHOT, now).map_err(|error| format!("the snapshot is refused: {error}"))?,
            b'd' if which == 0 => self.engine.drain(now),
            _ => return Ok(()),
        }
        self.settle()
    }

    fn reply(&mut self, which: usize) -> Result<(), String> {
        let Some(id) = take(&mut self.outside.served, which) else { return Ok(()) };
        let fields = [(b"content-type".to_vec(), b"text/plain".to_vec())];
        self.engine.reply(id, 200, &fields, b"served".get(..which % 7).unwrap_or_default(), self.now)
    }

    fn open_stream(&mut self, which: usize) -> Result<(), String> {
        let path = PATHS.get(which % PATHS.len()).copied().unwrap_or(b"/");
        let request = Outgoing { method: b"POST", authority: b"a", path, fields: &[], body: b"" };
        let id = self.engine.open_stream("all", &request, which % 2 == 0, self.now)?;
        self.outside.sent.push(id);
        Ok(())
    }

    fn send(&mut self, which: usize) -> Result<(), String> {
        let path = PATHS.get(which % PATHS.len()).copied().unwrap_or(b"/");
        let body: &[u8] = if which % 3 == 0 { b"body" } else { b"" };
        let request = Outgoing { method: b"POST", authority: b"a", path, fields: &[], body };
        let terms = OwnTerms { timeout_s: 5.0, hold: which % 2 == 0, max_response_bytes: 100 };
        let id = self.engine.send("all", &request, terms, self.now)?;
        self.outside.sent.push(id);
        Ok(())
    }

    fn settle(&mut self) -> Result<(), String> {
        self.engine.flush(&mut self.outside);
        self.outside.violation.take().map_or(Ok(()), Err)
    }

    /// Close everything; nothing may be in flight then.
    fn finish(&mut self) -> Result<(), String> {
        // What ends may set other things in motion (retries, waiting requests): a few rounds reach the end.
        for _ in 0..MAX_CONNECTIONS {
            while let Some(id) = self.outside.dialled.pop() {
                self.engine.open_failed(id, self.now);
                self.settle()?;
            }
            while let Some(id) = self.outside.open.pop() {
                self.engine.lost(id, self.now);
                self.settle()?;
            }
            while !self.outside.served.is_empty() {
                self.reply(0)?;
                self.settle()?;
            }
            while let Some(id) = self.outside.sent.pop() {
                self.engine.cancel(id, self.now);
                self.settle()?;
            }
            self.now += LONG_AFTER;
            self.engine.tick(self.now);
            self.settle()?;
            if self.engine.active() == 0 && self.outside.is_empty() {
                return Ok(());
            }
        }
        Err(format!("{} exchanges are in flight with nobody at either end", self.engine.active()))
    }
}

fn pick(ids: &[Id], which: usize) -> Option<Id> {
    ids.get(which % ids.len().max(1)).copied()
}

fn take(ids: &mut Vec<Id>, which: usize) -> Option<Id> {
    if ids.is_empty() {
        return None;
    }
    Some(ids.remove(which % ids.len()))
}

fn take_one(ids: &mut Vec<Id>, id: Id) -> Option<Id> {
    let at = ids.iter().position(|known| *known == id)?;
    Some(ids.remove(at))
}

/// What a transport would know.
#[derive(Default)]
struct Outside {
    open: Vec<Id>,
    dialled: Vec<Id>,
    served: Vec<Id>,
    conversing: Vec<Id>,
    sent: Vec<Id>,
    asked: Vec<Id>,
    untaken: Vec<(Id, usize)>,
    endpoints: Endpoints,
    violation: Option<String>,
    pairs: BTreeSet<(&'static str, &'static str)>,
    last: &'static str,
}

impl Outside {
    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.dialled.is_empty() && self.served.is_empty() && self.conversing.is_empty()
    }

    /// Which order followed which is the behaviour: the whole sequence would be new each time.
    fn note(&mut self, order: &'static str) {
        self.pairs.insert((self.last, order));
        self.last = order;
    }

    fn expect_open(&mut self, order: &'static str, id: Id) {
        if !self.open.contains(&id) {
            self.violation = Some(format!("{order} for connection {id}, which is not open"));
        }
    }

    fn over(&mut self, order: &'static str, id: Id) {
        let known = self.open.len() + self.dialled.len();
        self.endpoints.over(id);
        self.open.retain(|open| *open != id);
        self.dialled.retain(|dialled| *dialled != id);
        if self.open.len() + self.dialled.len() == known {
            self.violation = Some(format!("{order} for connection {id}, which is unknown"));
        }
        self.note(order);
    }
}

impl Orders for Outside {
    fn write(&mut self, conn: Id, data: &[u8]) {
        self.expect_open("write", conn);
        if data.is_empty() {
            self.violation = Some("an empty write".to_owned());
        }
        if let Err(what) = self.endpoints.hear(conn, data) {
            self.violation = Some(what);
        }
        self.note("write");
    }

    fn open(&mut self, conn: Id, cluster: &str, _address: &str) {
        self.dialled.push(conn);
        self.endpoints.dialled(conn, cluster);
        self.note("open");
    }

    fn pause(&mut self, conn: Id) {
        self.expect_open("pause", conn);
        self.note("pause");
    }

    fn resume(&mut self, conn: Id) {
        self.expect_open("resume", conn);
        self.note("resume");
    }

    fn shutdown(&mut self, conn: Id) {
        self.expect_open("shutdown", conn);
        self.note("shutdown");
    }

    fn close(&mut self, conn: Id) {
        self.over("close", conn);
    }

    fn abort(&mut self, conn: Id) {
        self.over("abort", conn);
    }

    fn wake(&mut self, at: f64) {
        if !at.is_finite() {
            self.violation = Some(format!("wake at {at}"));
        }
    }

    fn ask(&mut self, token: Id, _cluster: &str) {
        self.asked.push(token);
        self.note("ask");
    }

    fn screen(&mut self, _token: Id, _filter: &str, _request: Handed<'_>) {}
    fn serve(&mut self, exchange: Id, _handler: &str, _request: Handed<'_>) {
        self.served.push(exchange);
        self.note("serve");
    }

    fn answered(&mut self, exchange: Id, head: &Head) {
        if head.status < 200 {
            self.violation = Some(format!("exchange {exchange} is answered {}", head.status));
        }
        self.note("answered");
    }

    fn piece(&mut self, exchange: Id, bytes: &[u8]) {
        if bytes.is_empty() {
            self.violation = Some(format!("an empty piece for exchange {exchange}"));
        }
        self.untaken.push((exchange, bytes.len()));
        self.note("piece");
    }

    fn room(&mut self, _exchange: Id) {
        self.note("room");
    }

    fn converse(&mut self, exchange: Id, _handler: &str, _request: Handed<'_>) {
        self.conversing.push(exchange);
        self.note("converse");
    }

    fn ended(&mut self, exchange: Id) {
        if !self.conversing.contains(&exchange) {
            self.violation = Some(format!("the request of conversation {exchange}, which nobody holds, has ended"));
        }
        self.note("ended");
    }

    fn gone(&mut self, exchange: Id) {
        if take_one(&mut self.conversing, exchange).is_none() {
            self.violation = Some(format!("conversation {exchange}, which nobody holds, is over"));
        }
        self.note("gone");
    }

    fn done(&mut self, exchange: Id, _answer: OwnAnswer) {
        // Its end may be told in the call that began it, before the number is known.
        self.sent.retain(|sent| *sent != exchange);
        self.note("done");
    }
}
