//! A look at exchanges as they pass, for somebody who debugs: chosen, drawn, bounded, and over by itself.
//!
//! One tap at a time. What is seen leaves as it was: whoever shows it to people leaves secrets out (`dataplane/tap.py`).

use serde::Deserialize;
use serde_json::json;

use crate::engine::exchange::{Exchange, Origin, Tapped};
use crate::engine::Engine;
use crate::head::{Head, Version};
use crate::limits::{MAX_TAPPED_BODY, MAX_TAPPED_BYTES};
use crate::routes::drawn;
use crate::slab::Id;

/// Which exchanges are looked at (`_core.pyi`, `Engine.tap`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TapTerms {
    /// Method; empty: any. (And so on.)
    pub method: String,
    /// Host without its port.
    pub host: String,
    /// How the path begins.
    pub path: String,
    /// Fields and their values; an empty value: any.
    pub headers: Vec<(String, String)>,
    /// Statuses from the first to the last; 0 is that of requests nobody has answered.
    pub statuses: Option<(u16, u16)>,
    /// Listeners that are passed over.
    pub without: Vec<String>,
    /// Share of those that are left.
    pub millionths: u32,
    /// Bytes of each body that are kept.
    pub body_bytes: usize,
    /// How many exchanges there may be.
    pub most: u64,
}

/// The tap that is open.
#[derive(Debug)]
pub struct Tap {
    terms: TapTerms,
    /// Exchanges that may still begin to be looked at.
    left: u64,
    /// Those under way.
    open: u64,
    rows: Vec<Vec<u8>>,
    size: usize,
    dropped: u64,
}

impl TapTerms {
    fn takes(&self, head: &Head) -> bool {
        let authority = crate::request_parts::without_port(head.authority());
        (self.method.is_empty() || self.method.as_bytes() == head.method())
            && (self.host.is_empty() || self.host.as_bytes().eq_ignore_ascii_case(authority))
            && head.path().starts_with(self.path.as_bytes())
            && self.headers.iter().all(|(name, value)| {
                let found = head.get(name.to_ascii_lowercase().as_bytes());
                found.is_some_and(|found| value.is_empty() || found == value.as_bytes())
            })
    }
}

impl Engine {
    /// Look at exchanges that begin from now on, in place of an earlier tap. An error names the term that is wrong.
    pub fn tap(&mut self, terms: &[u8]) -> Result<(), String> {
        let terms: TapTerms = serde_json::from_slice(terms).map_err(|error| format!("tap: {error}"))?;
        if terms.body_bytes > MAX_TAPPED_BODY {
            return Err(format!("body_bytes: {} is more than the limit of {MAX_TAPPED_BODY}", terms.body_bytes));
        }
        let left = terms.most;
        self.tap = Some(Tap { terms, left, open: 0, rows: Vec::new(), size: 0, dropped: 0 });
        Ok(())
    }

    /// Look no more.
    pub fn untap(&mut self) {
        self.tap = None;
    }

    /// Return and forget what was seen since the last call: exchanges as JSON, how many were lost for want of room, and whether
    /// nothing more will come.
    pub fn take_tap(&mut self) -> (Vec<Vec<u8>>, u64, bool) {
        let Some(tap) = &mut self.tap else { return (Vec::new(), 0, true) };
        tap.size = 0;
        let over = tap.left == 0 && tap.open == 0;
        (std::mem::take(&mut tap.rows), std::mem::take(&mut tap.dropped), over)
    }

    /// Begin to look at a request that came in, if the tap wants it.
    pub(super) fn look_at(&mut self, id: Id) {
        let (Some(tap), Some(exchange)) = (&mut self.tap, self.exchanges.get_mut(id)) else { return };
        let listener = match exchange.origin {
            Origin::Stream { listener, .. } => self.listeners.get(listener),
            Origin::Own => None,
        };
        let own = listener.is_none_or(|listener| tap.terms.without.contains(&listener.config.name));
        let wanted = !own && tap.left > 0 && tap.terms.takes(&exchange.head);
        if wanted && drawn(tap.terms.millionths, &mut self.random) {
            tap.left -= 1;
            tap.open += 1;
            let mut tapped = Box::new(Tapped { body_bytes: tap.terms.body_bytes, ..Tapped::default() });
            tapped.request(&exchange.held);
            exchange.tapped = Some(tapped);
        }
    }

    /// An exchange that was looked at has ended.
    pub(super) fn looked_at(&mut self, id: Id, now: f64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let Some(tapped) = exchange.tapped.take() else { return };
        let Some(tap) = &mut self.tap else { return };
        // A tap may be younger than an exchange that an earlier one began to look at.
        tap.open = tap.open.saturating_sub(1);
        let unwanted = |(first, last): (u16, u16)| !(first..=last).contains(&exchange.status);
        if tap.terms.statuses.is_some_and(unwanted) {
            tap.left += 1;
            return;
        }
        let (conn, listener) = match exchange.origin {
            Origin::Stream { conn, listener, .. } => (self.connections.get(conn), self.listeners.get(listener)),
            Origin::Own => (None, None),
        };
        let protocol = match exchange.head.version {
            Version::Framed(number) => self.protocols.get(usize::from(number)).map_or("-", |known| &known.label),
            version => version.name(),
        };
        let label = exchange.label.and_then(|label| self.labels.get(label));
        let cluster = exchange.cluster.and_then(|cluster| self.clusters.get(cluster));
        let row = json!({
            "at": exchange.started + self.wall_offset_s,
            "took_s": now - exchange.started,
            "listener": listener.map_or("", |listener| &listener.config.name),
            "peer": conn.map_or("", |conn| &*conn.peer),
            "protocol": protocol,
            "method": text(exchange.head.method()),
            "host": text(exchange.head.bytes(exchange.authority)),
            "path": text(exchange.head.bytes(exchange.path)),
            "route": label.map_or("", |label| &label.name),
            "cluster": cluster.map_or("", |cluster| &*cluster.name),
            "upstream": self.connections.address_of(exchange).unwrap_or(""),
            "status": exchange.status,
            "flags": exchange.flag.name(),
            "bytes_in": exchange.bytes_in,
            "bytes_out": exchange.bytes_out,
            "request_headers": pairs(&exchange.head),
            "request_body": text(&tapped.request_body),
            "response_headers": pairs(&tapped.response),
            "response_body": text(&tapped.response_body),
        });
        let row = row.to_string().into_bytes();
        if tap.size + row.len() > MAX_TAPPED_BYTES {
            tap.dropped += 1;
        } else {
            tap.size += row.len();
            tap.rows.push(row);
        }
    }
}

impl Exchange {
    /// See the head of the response, if somebody looks.
    pub(super) fn see_response(&mut self, head: &Head) {
        if let Some(tapped) = &mut self.tapped {
            tapped.response(head);
        }
    }

    /// Count bytes of the response, and see them, if somebody looks.
    pub(super) fn count_response(&mut self, bytes: &[u8]) {
        self.bytes_out += bytes.len() as u64;
        if let Some(tapped) = &mut self.tapped {
            tapped.response_bytes(bytes);
        }
    }
}

fn pairs(head: &Head) -> Vec<(String, String)> {
    head.fields().map(|(name, value)| (text(name), text(value))).collect()
}

/// Each byte as the character of its number, as everywhere at the Python face.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
