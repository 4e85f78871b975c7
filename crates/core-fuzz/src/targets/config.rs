//! Configuration: any bytes are a snapshot or an error, and what was taken routes any request.

use std::hash::{DefaultHasher, Hash, Hasher};

use eventmesh_core::engine::{Engine, Handed, Orders, OwnAnswer};
use eventmesh_core::head::Head;
use eventmesh_core::slab::Id;

/// Requests that meet hosts, prefixes, headers and queries of the stored snapshots.
const REQUESTS: [&[u8]; 4] = [
    b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
    b"GET /h1/x?y=1 HTTP/1.1\r\nHost: b:80\r\nservice: s\r\nx-remove: 1\r\n\r\n",
    b"POST /serve/ HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: 2\r\n\r\nhi",
    b"GET /moved HTTP/1.1\r\nHost: www.\r\nConnection: close\r\n\r\n",
];

pub fn run(input: &[u8], seed: u64) -> Result<u64, String> {
    let mut engine = Engine::new(seed, 0.0);
    let mut orders = Seen::default();
    let mut behaviour = DefaultHasher::new();
    if let Err(error) = engine.apply(input, 1.0) {
        if error.is_empty() {
            return Err("an error without a word".to_owned());
        }
        // Which rule it was, not on what: names and numbers of the input are in the text.
        let words = error.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 3);
        words.take(4).collect::<Vec<_>>().hash(&mut behaviour);
        return Ok(behaviour.finish());
    }
    engine.flush(&mut orders);
    for listener in ["auto", "http1", "edge"] {
        for request in REQUESTS {
            if let Some(conn) = engine.accepted(listener, "peer", 2.0) {
                engine.received(conn, request, 2.0);
                engine.flush(&mut orders);
            }
        }
    }
    // The same configuration once more changes nothing and is not refused.
    engine.apply(input, 3.0).map_err(|error| format!("refused the second time: {error}"))?;
    engine.tick(1e6);
    engine.flush(&mut orders);
    orders.orders.hash(&mut behaviour);
    Ok(behaviour.finish())
}

/// Which kinds of orders came, and how often up to a few.
#[derive(Default)]
struct Seen {
    orders: [u8; 6],
}

impl Seen {
    fn note(&mut self, kind: usize) {
        if let Some(count) = self.orders.get_mut(kind) {
            *count = (*count + 1).min(5);
        }
    }
}

impl Orders for Seen {
    fn write(&mut self, _conn: Id, _data: &[u8]) {
        self.note(0);
    }

    fn open(&mut self, _conn: Id, _cluster: &str, _address: &str) {
        self.note(1);
    }

    fn pause(&mut self, _conn: Id) {}

    fn resume(&mut self, _conn: Id) {}

    fn shutdown(&mut self, _conn: Id) {}

    fn close(&mut self, _conn: Id) {
        self.note(2);
    }

    fn abort(&mut self, _conn: Id) {
        self.note(3);
    }

    fn wake(&mut self, _at: f64) {}

    fn ask(&mut self, _token: Id, _cluster: &str) {
        self.note(4);
    }

    fn screen(&mut self, _token: Id, _filter: &str, _request: Handed<'_>) {}
    fn serve(&mut self, _exchange: Id, _handler: &str, _request: Handed<'_>) {
        self.note(5);
    }

    fn answered(&mut self, _exchange: Id, _head: &Head) {}

    fn piece(&mut self, _exchange: Id, _bytes: &[u8]) {}

    fn room(&mut self, _exchange: Id) {}

    fn converse(&mut self, _exchange: Id, _handler: &str, _request: Handed<'_>) {
        self.note(5);
    }

    fn ended(&mut self, _exchange: Id) {}

    fn gone(&mut self, _exchange: Id) {}

    fn done(&mut self, _exchange: Id, _answer: OwnAnswer) {}
}
