//! Where a request came from, as headers tell the function: `X-Forwarded-For`, `X-Forwarded-Proto`, `Forwarded`.
//!
//! The first two are an edge's, in Envoy's way (`use_remote_address`); the third is a sidecar's, made of the first two
//! in the way of Knative's queue-proxy (knative/serving `pkg/queue/forwarded_shim.go`).

use crate::config;
use crate::engine::downstream::add_via;
use crate::engine::exchange::Origin;
use crate::engine::Engine;
use crate::head::Head;
use crate::slab::Id;

const FOR: &[u8] = b"x-forwarded-for";
const PROTO: &[u8] = b"x-forwarded-proto";
const FORWARDED: &[u8] = b"forwarded";

impl Engine {
    /// Tell the next hop of an HTTP request its id, where it came from and through whom.
    pub(super) fn describe_hop(&mut self, id: Id) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        if exchange.head.find(b"x-request-id").is_none() {
            exchange.head.push(b"x-request-id", &self.random.uuid());
        }
        let Origin::Stream { conn, listener, .. } = exchange.origin else { return };
        let (peer, secure) = self.connections.get(conn).map_or(("", false), |conn| (&*conn.peer, conn.is_secure()));
        if let Some(listener) = self.listeners.get(listener) {
            describe(&mut exchange.head, &listener.config, peer, secure);
            add_via(&mut exchange.head, Some(&listener.via));
        }
    }
}

/// Add what `listener` has been told to add; `peer` is the caller's address and port, `secure` whether it came under TLS.
fn describe(head: &mut Head, listener: &config::Listener, peer: &str, secure: bool) {
    if listener.use_remote_address {
        if let Some(host) = host_of(peer) {
            head.extend_list(FOR, host.as_bytes());
        }
        head.set(PROTO, if secure { b"https" } else { b"http" });
    }
    if listener.forwarded_header && head.find(FORWARDED).is_none() {
        if let Some(value) = forwarded(head) {
            head.append(FORWARDED, &value);
        }
    }
}

/// Return the host of `10.0.0.1:80` or `[::1]:80`, without brackets; `None` where there is no port (a Unix socket).
fn host_of(peer: &str) -> Option<&str> {
    let (host, _) = peer.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some(host)
}

/// Spell what `X-Forwarded-For` and `-Proto` say as RFC 7239 does; `None`: they say nothing.
fn forwarded(head: &Head) -> Option<Vec<u8>> {
    let proto = head.get(PROTO).filter(|proto| is_token(proto));
    let mut value = Vec::new();
    for hop in head.get(FOR).unwrap_or_default().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if !is_address(hop) {
            continue;
        }
        value.extend_from_slice(if value.is_empty() { b"for=" } else { b", for=" });
        if hop.contains(&b':') {
            // Section 6: an IPv6 address stands in brackets, and in quotes because of them.
            value.extend_from_slice(b"\"[");
            value.extend_from_slice(hop);
            value.extend_from_slice(b"]\"");
        } else {
            value.extend_from_slice(hop);
        }
        if let Some(proto) = proto.filter(|_| !value.contains(&b';')) {
            value.extend_from_slice(b";proto=");
            value.extend_from_slice(proto);
        }
    }
    match proto {
        Some(proto) if value.is_empty() => Some([b"proto=", proto].concat()),
        _ => (!value.is_empty()).then_some(value),
    }
}

/// What a client claims to be is copied only when it can be nothing but an address: no quotes, no further parameters.
fn is_address(hop: &[u8]) -> bool {
    !hop.is_empty() && hop.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'))
}

fn is_token(proto: &[u8]) -> bool {
    !proto.is_empty() && proto.iter().all(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fields: &[(&[u8], &[u8])]) -> Option<String> {
        let mut head = Head::default();
        for (name, value) in fields {
            head.push(name, value);
        }
        forwarded(&head).map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    #[test]
    fn hops_become_elements_and_the_protocol_is_the_first_ones() {
        let one = told(&[(FOR, b"1.2.3.4, 2001:db8::1"), (PROTO, b"https")]);
        assert_eq!(one.as_deref(), Some("for=1.2.3.4;proto=https, for=\"[2001:db8::1]\""));
        assert_eq!(told(&[(PROTO, b"http")]).as_deref(), Some("proto=http"));
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn nothing_but_addresses_is_copied() {
        assert_eq!(told(&[(FOR, b"1.2.3.4;by=me, unknown, \"x")]), None);
        assert_eq!(told(&[(FOR, b"1.2.3.4"), (PROTO, b"http;host=evil")]).as_deref(), Some("for=1.2.3.4"));
    }

    #[test]
    fn a_host_is_found_in_every_kind_of_peer() {
        assert_eq!(host_of("10.0.0.1:80"), Some("10.0.0.1"));
        assert_eq!(host_of("[::1]:80"), Some("::1"));
        assert_eq!((host_of(""), host_of("unix")), (None, None));
    }
}
