//! Names and secrets. What is said on the wire is scripted in `tests/unit/core/test_tls.py`, with OpenSSL as the peer.

use super::terms::{Certificate, MatchKind, NameKind, NameMatch};
use super::verify::covers;

fn named(kind: NameKind, how: MatchKind, text: &str) -> NameMatch {
    NameMatch { kind, how, text: text.to_owned() }
}

#[test]
fn a_wildcard_covers_one_label() {
    assert!(covers("*.example.com", "a.example.com"));
    assert!(!covers("*.example.com", "a.b.example.com"));
    assert!(!covers("*.example.com", "example.com"));
    assert!(!covers("*.example.com", ".example.com"));
    assert!(covers("example.com", "example.com"));
}

#[test]
fn hosts_are_compared_without_case_and_uris_with_it() {
    assert!(named(NameKind::Dns, MatchKind::Exact, "Example.COM").matches("example.com"));
    assert!(named(NameKind::Dns, MatchKind::Suffix, ".COM").matches("Example.com"));
    assert!(!named(NameKind::Uri, MatchKind::Exact, "spiffe://a/B").matches("spiffe://a/b"));
    assert!(named(NameKind::Uri, MatchKind::Contains, "/ns/x/").matches("spiffe://a/ns/x/sa/b"));
    assert!(!named(NameKind::Uri, MatchKind::Prefix, "spiffe://b/").matches("spiffe://a/ns/x"));
}

#[test]
fn a_key_is_in_no_log() {
    let certificate = Certificate { chain: "chain".to_owned(), key: "hidden".to_owned() };
    assert!(!format!("{certificate:?}").contains("hidden"));
}
