//! What the rules are asked about: a request, its connection, and what earlier steps have found out.

use std::net::IpAddr;

use serde_json::Value;

use crate::access::network::address_of;
use crate::head::Head;
use crate::tls::Layer;

/// A request as rules see it.
pub struct Request<'a> {
    /// Its head.
    pub head: &'a Head,
    /// Address of the connection's other end.
    pub peer: &'a str,
    /// The connection's TLS.
    pub tls: Option<&'a Layer>,
    /// Address and port of the listener; none for a unix socket.
    pub destination: Option<(IpAddr, u16)>,
    /// Callers are clients and no proxies: what they say of addresses is not believed.
    pub direct: bool,
    /// What earlier steps have noted, by their namespaces.
    pub noted: &'a [(Box<str>, Value)],
}

impl Request<'_> {
    /// Return the address of the connection's other end.
    pub fn caller(&self) -> Option<IpAddr> {
        address_of(self.peer)
    }

    /// Return the address that proxies tell of: the last one of X-Forwarded-For, where callers are proxies
    /// (Envoy: `use_remote_address` and `xff_num_trusted_hops` 0).
    pub fn told_caller(&self) -> Option<IpAddr> {
        if self.direct {
            return self.caller();
        }
        let told = self.head.fields().filter(|(name, _)| *name == b"x-forwarded-for").last();
        let last = told.and_then(|(_, list)| list.rsplit(|byte| *byte == b',').next());
        let address = last.and_then(|text| std::str::from_utf8(text.trim_ascii()).ok()).and_then(address_of);
        address.or_else(|| self.caller())
    }

    /// Return the host that the caller named in its TLS handshake; empty: none.
    pub fn server_name(&self) -> &str {
        self.tls.map_or("", Layer::server_name)
    }

    /// Return the names in the caller's certificate, as principals; none: it has shown none that is believed.
    pub fn names(&self) -> Option<&[String]> {
        self.tls.and_then(Layer::peer_names)
    }

    /// Return what is noted under `namespace`.
    pub fn metadata(&self, namespace: &str) -> Option<&Value> {
        self.noted.iter().find(|(name, _)| **name == *namespace).map(|(_, value)| value)
    }
}
