//! What a request is hashed to (Envoy: `route_components.proto`, `RouteAction.HashPolicy`).

use crate::cluster::xxh64;
use crate::config::HashPart;
use crate::head::Head;
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

/// Return the value of a cookie.
pub fn cookie<'a>(head: &'a Head, name: &str) -> Option<&'a [u8]> {
    let lines = head.fields().filter(|(field, _)| *field == b"cookie").map(|(_, value)| value);
    lines.flat_map(|line| line.split(|byte| *byte == b';')).find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(value.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(value))
    })
}

/// Return the value of the first parameter of that name in the query of `path`, as it is written.
pub fn query<'a>(path: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let at = memchr::memchr(b'?', path)?;
    let pairs = path.get(at + 1..)?.split(|byte| *byte == b'&');
    pairs.into_iter().find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Return the address of `peer` without its port.
fn host(peer: &str) -> &str {
    let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
}
