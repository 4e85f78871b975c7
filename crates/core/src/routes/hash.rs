//! What a request is hashed to (Envoy: `route_components.proto`, `RouteAction.HashPolicy`).

use crate::cluster::xxh64;
use crate::config::HashPart;
use crate::head::Head;
use crate::request_parts::{cookie, query};
use crate::routes::Forward;

impl Forward {
    /// Return the hash of a request from `peer`, or `None` when nothing of what is hashed is there.
    pub fn hash(&self, head: &Head, peer: &str) -> Option<u64> {
        let mut whole: Option<u64> = None;
        for part in &self.hash_on {
            let name = part.name.as_str();
            let value = match part.part {
                HashPart::Header => header(head, name),
                HashPart::Cookie => cookie(head, name).map(|value| xxh64(value, 0)),
                HashPart::Query => query(head.path(), name).map(|value| xxh64(value, 0)),
                HashPart::SourceIp => Some(xxh64(host(peer).as_bytes(), 0)).filter(|_| !peer.is_empty()),
            };
            if let Some(value) = value {
                whole = Some(whole.map_or(value, |whole| whole.rotate_left(1) ^ value));
                if part.terminal {
                    break;
                }
            }
        }
        whole
    }
}

/// Return the hash of all values of a header, whatever their order.
fn header(head: &Head, name: &str) -> Option<u64> {
    let name = name.as_bytes();
    if name == b":authority" || name == b"host" {
        return Some(xxh64(head.authority(), 0));
    }
    let named = head.fields().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let mut values: Vec<&[u8]> = named.collect();
    values.sort_unstable();
    (!values.is_empty()).then(|| xxh64(&values.concat(), 0))
}

/// Return the address of `peer` without its port.
fn host(peer: &str) -> &str {
    let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
}
