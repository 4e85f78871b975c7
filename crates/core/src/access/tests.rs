//! Rules asked about requests, without an engine.

use serde_json::{json, Value};

use super::*;
use crate::head::Head;

/// A request to be asked about.
struct Asked {
    head: Head,
    peer: &'static str,
    direct: bool,
    noted: Vec<(Box<str>, Value)>,
}

fn asked(path: &str, fields: &[(&str, &str)]) -> Asked {
    let mut head = Head::default();
    head.set_method(b"GET");
    head.set_authority(b"shop.test");
    head.set_path(path.as_bytes());
    for (name, value) in fields {
        head.push(name.as_bytes(), value.as_bytes());
    }
    Asked { head, peer: "10.1.2.3:4000", direct: true, noted: Vec::new() }
}

impl Asked {
    fn meets(&self, test: &Value) -> bool {
        self.allowed("allow", test)
    }

    fn allowed(&self, action: &str, test: &Value) -> bool {
        let policy = json!({"name": "p", "permissions": [{"anything": {}}], "principals": [test]});
        let rules = compiled(&json!({"action": action, "policies": [policy]})).unwrap();
        rules.allow(&Request {
            head: &self.head,
            peer: self.peer,
            tls: None,
            destination: socket_of("10.9.9.9:8443"),
            direct: self.direct,
            noted: &self.noted,
        })
    }
}

fn compiled(rules: &Value) -> Result<Rules, String> {
    Rules::compile(&serde_json::from_value(rules.clone()).unwrap(), "rules")
}

fn text(kind: &str, value: &str) -> Value {
    json!({"kind": kind, "value": value})
}

#[test]
fn allow_lets_only_those_through_and_deny_all_others() {
    let request = asked("/", &[]);
    let (yes, no) = (json!({"anything": {}}), json!({"not": {"of": {"anything": {}}}}));
    let decisions: Vec<_> = ["allow", "deny", "log"]
        .iter()
        .flat_map(|action| [request.allowed(action, &yes), request.allowed(action, &no)])
        .collect();
    assert_eq!(decisions, [true, false, false, true, true, true]);
}

#[test]
fn without_policies_allow_lets_nobody_through() {
    let request = asked("/", &[]);
    for (action, expected) in [("allow", false), ("deny", true)] {
        let rules = compiled(&json!({"action": action, "policies": []})).unwrap();
        let (head, noted) = (&request.head, &request.noted[..]);
        let request = Request { head, peer: "", tls: None, destination: None, direct: true, noted };
        assert_eq!(rules.allow(&request), expected, "{action}");
    }
}

#[test]
fn paths_are_compared_without_query_and_fragment() {
    let wanted = json!({"url_path": {"text": text("exact", "/a")}});
    for (path, expected) in [("/a", true), ("/a?q=/b", true), ("/a#x?y", true), ("/ab", false)] {
        assert_eq!(asked(path, &[]).meets(&wanted), expected, "{path}");
    }
}

#[test]
fn headers_and_pseudo_headers_are_compared() {
    let request = asked("/", &[("x-a", "one"), ("x-a", "two")]);
    let header = |name: &str, kind: &str, value: &str, invert: bool| {
        let wanted = json!({"name": name, "kind": kind, "value": value, "invert": invert});
        request.meets(&json!({"header": {"wanted": wanted}}))
    };
    assert!(header("x-a", "exact", "two", false) && header(":method", "exact", "GET", false));
    assert!(!header("x-a", "exact", "two", true) && !header("x-b", "exact", "two", true));
}

#[test]
fn addresses_are_the_connections_own_or_told_by_proxies() {
    let of = |of: &str, network: &str| json!({"source_ip": {"of": of, "network": network}});
    let mut request = asked("/", &[("x-forwarded-for", "1.1.1.1, 2.2.2.2")]);
    assert!(request.meets(&of("direct", "10.1.0.0/16")) && request.meets(&of("told", "10.1.0.0/16")));
    request.direct = false;
    assert!(request.meets(&of("told", "2.2.2.2")) && !request.meets(&of("told", "1.1.1.1")));
    assert!(request.meets(&of("direct", "10.1.2.3")));
    request.peer = "unix";
    assert!(!request.meets(&of("direct", "0.0.0.0/0")));
}

#[test]
fn the_destination_is_the_listener() {
    let request = asked("/", &[]);
    let port = |first: u16, last: u16| request.meets(&json!({"destination_port": {"first": first, "last": last}}));
    assert!(port(8443, 8443) && port(8000, 9000) && !port(80, 8442));
    assert!(request.meets(&json!({"destination_ip": {"network": "10.9.0.0/16"}})));
    assert!(!request.meets(&json!({"destination_ip": {"network": "10.8.0.0/16"}})));
}

#[test]
fn nobody_is_a_principal_without_a_certificate() {
    let request = asked("/", &[]);
    for test in [json!({"principal": {"text": null}}), json!({"principal": {"text": text("prefix", "spiffe")}})] {
        assert!(!request.meets(&test) && request.allowed("deny", &test));
    }
    assert!(!request.meets(&json!({"server_name": {"text": text("exact", "a")}})));
    assert!(request.meets(&json!({"server_name": {"text": text("exact", "")}})));
}

#[test]
fn metadata_is_found_by_its_path_and_compared_by_its_kind() {
    let mut request = asked("/", &[]);
    let claims =
        json!({"p": {"iss": "me", "n": 2.5, "ok": true, "none": null, "groups": ["a", "b"], "deep": {"x": "y"}}});
    request.noted.push(("jwt".into(), claims));
    let test = |path: &[&str], value: Value, invert: bool| {
        let test = json!({"namespace": "jwt", "path": path, "value": value, "invert": invert});
        request.meets(&json!({"metadata": test}))
    };
    let is = |value: &str| json!({"is_text": {"text": text("exact", value)}});
    assert!(test(&["p", "iss"], is("me"), false) && !test(&["p", "iss"], is("you"), false));
    assert!(test(&["p", "iss"], is("you"), true) && test(&["p", "deep", "x"], is("y"), false));
    assert!(test(&["p", "groups"], json!({"has_member": {"of": is("b")}}), false));
    assert!(!test(&["p", "groups"], is("b"), false) && !test(&["p", "groups", "0"], is("a"), false));
    assert!(test(&["p", "n"], json!({"is_number": {"start": 2.5, "end": 2.5}}), false));
    assert!(test(&["p", "n"], json!({"is_number": {"start": 2.0, "end": 3.0}}), false));
    assert!(!test(&["p", "n"], json!({"is_number": {"start": 2.0, "end": 2.5}}), false));
    assert!(test(&["p", "ok"], json!({"is_flag": {"flag": true}}), false));
    assert!(test(&["p", "none"], json!({"is_null": {}}), false) && !test(&["q"], json!({"is_null": {}}), false));
    let there = |flag: bool| json!({"is_there": {"flag": flag}});
    assert!(test(&["p", "iss"], there(true), false) && test(&["q"], there(true), true));
    assert!(!test(&["q"], there(false), false) && !test(&["p", "iss"], there(false), false));
    assert!(test(&["p", "iss"], json!({"is_one": {"of": [is("a"), is("me")]}}), false));
}

#[test]
fn what_cannot_be_compiled_is_named() {
    let mut deep = json!({"anything": {}});
    for _ in 0..=crate::limits::MAX_RULE_DEPTH {
        deep = json!({"not": {"of": deep}});
    }
    for (test, part) in [
        (json!({"source_ip": {"of": "direct", "network": "x"}}), "\"x\" is no IP address"),
        (json!({"url_path": {"text": text("regex", "(")}}), "unclosed group"),
        (deep, "nested deeper than the limit of 32"),
    ] {
        let policy = json!({"name": "p", "permissions": [], "principals": [test]});
        let error = compiled(&json!({"action": "allow", "policies": [policy]})).unwrap_err();
        assert!(error.contains(part) && error.starts_with("rules.policies[\"p\"].principals"), "{error}");
    }
}

/// Names of nothing.
struct Nameless;

impl Names for Nameless {
    fn cluster(&self, _name: &str) -> Option<usize> {
        None
    }
    fn label(&mut self, _host: &str, _name: &str) -> usize {
        0
    }
    fn bucket(&mut self, _key: &str) -> usize {
        0
    }
    fn key_set(&mut self, _remote: &config::RemoteKeys) -> usize {
        0
    }
}

#[test]
fn a_routes_step_takes_the_place_of_its_listeners() {
    let chain = |steps: Value| {
        Chain::compile(&serde_json::from_value::<Vec<_>>(steps).unwrap(), "access", &mut Nameless).unwrap()
    };
    let rbac = json!({"rbac": {"rules": null, "shadow": null}});
    let listener = chain(json!([{"name": "a", "step": rbac}, {"name": "b", "step": rbac}]));
    let named = json!({"named": {"requirement": "r"}});
    let route =
        chain(json!([{"name": "c", "step": rbac}, {"name": "b", "step": {"off": {}}}, {"name": "a", "step": named}]));
    let is_off = |at| turn_at(Some(&listener), Some(&route), at).map(|turn| matches!(turn.step, Step::Off));
    assert_eq!([0, 1, 2, 3].map(is_off), [Some(false), Some(true), Some(false), None]);
    assert_eq!(turn_at(Some(&listener), Some(&route), 0).and_then(|turn| turn.requirement), Some("r"));
    assert!(turn_at(None, None, 0).is_none());
}
