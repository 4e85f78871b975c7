//! Where copies of a route's requests go.

use crate::config::{self, printable};
use crate::names::Names;

/// What the host of a copy is marked with, so that whoever gets it can tell (Envoy's).
const SUFFIX: &[u8] = b"-shadow";

/// One cluster that gets copies.
#[derive(Debug)]
pub struct Mirror {
    /// The engine's number of the cluster; `None`: the Snapshot has no such cluster.
    pub cluster: Option<usize>,
    /// Share of the requests.
    pub millionths: u32,
    marks_host: bool,
    host: Box<[u8]>,
}

impl Mirror {
    /// Compile a policy; an error begins with the field that is wrong.
    pub fn compile(mirror: &config::Mirror, names: &mut impl Names) -> Result<Self, String> {
        printable(&mirror.host_rewrite).map_err(|what| format!("host_rewrite: {what}"))?;
        Ok(Self {
            cluster: names.cluster(&mirror.cluster),
            millionths: mirror.millionths,
            marks_host: mirror.marks_host,
            host: mirror.host_rewrite.as_bytes().into(),
        })
    }

    /// Return the host of a copy of a request for `authority`: the one that was given, or `-shadow` behind its name, before a
    /// port if that is all there is behind a colon (Envoy: `ShadowWriterImpl`).
    pub fn host(&self, authority: &[u8]) -> Vec<u8> {
        if !self.host.is_empty() {
            return self.host.to_vec();
        }
        if !self.marks_host {
            return authority.to_vec();
        }
        let mut parts = authority.split(|byte| *byte == b':').filter(|part| !part.is_empty());
        match (parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(port), None) => [name, SUFFIX, b":", port].concat(),
            _ => [authority, SUFFIX].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(marks_host: bool, host: &str) -> Mirror {
        Mirror { cluster: None, millionths: 0, marks_host, host: host.as_bytes().into() }
    }

    #[test]
    fn a_copy_is_marked_by_its_host() {
        let marking = mirror(true, "");
        for (authority, marked) in [
            (&b"shop"[..], &b"shop-shadow"[..]),
            (b"shop:8080", b"shop-shadow:8080"),
            (b"[::1]:8080", b"[::1]:8080-shadow"),
            (b"", b"-shadow"),
        ] {
            assert_eq!(marking.host(authority), marked);
        }
        assert_eq!(mirror(false, "").host(b"shop"), b"shop");
        assert_eq!(mirror(true, "test").host(b"shop:1"), b"test");
    }
}
