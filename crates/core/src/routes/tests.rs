//! Hosts, paths, conditions, draws and locations, of tables as they are configured.

use std::collections::HashMap;

use super::*;
use crate::config::{RemoteKeys, Snapshot};
use crate::head::Head;
use crate::names::Names;
use crate::random::Random;

#[derive(Default)]
struct Numbers(HashMap<String, usize>);

impl Names for Numbers {
    fn cluster(&self, name: &str) -> Option<usize> {
        name.parse().ok()
    }
    fn label(&mut self, _host: &str, name: &str) -> usize {
        let next = self.0.len();
        *self.0.entry(name.to_owned()).or_insert(next)
    }
    fn bucket(&mut self, _key: &str) -> usize {
        0
    }
    fn key_set(&mut self, _remote: &RemoteKeys) -> usize {
        0
    }
}

fn tables(hosts: &str) -> Result<Tables, String> {
    let json = format!(r#"{{"version": "1", "route_tables": [{{"name": "t", "virtual_hosts": {hosts}}}]}}"#);
    let snapshot: Snapshot = serde_json::from_str(&json).unwrap();
    compile(&snapshot, &mut Numbers::default())
}

fn host(name: &str, domain: &str, routes: &str) -> String {
    format!(r#"{{"name": "{name}", "domains": ["{domain}"], "routes": {routes}}}"#)
}

fn route(matched: &str, status: u16) -> String {
    format!(r#"{{"match": {matched}, "action": {{"direct_response": {{"status": {status}}}}}}}"#)
}

fn status(tables: &Tables, authority: &str, path: &str, fields: &[(&str, &str)]) -> Option<u16> {
    let mut head = Head::default();
    head.set_method(b"GET");
    head.set_authority(authority.as_bytes());
    head.set_path(path.as_bytes());
    for (name, value) in fields {
        head.push(name.as_bytes(), value.as_bytes());
    }
    let found = tables.find(tables.table("t")?, &head)?;
    match tables.resolve(found)?.1.action {
        Action::Direct { status, .. } => Some(status),
        _ => None,
    }
}

#[test]
fn hosts_match_exactly_then_by_suffix_prefix_and_any() {
    let one = |name, domain, code| host(name, domain, &format!("[{}]", route("{}", code)));
    let all = [
        one("a", "a.b", 201),
        one("b", "*.b", 202),
        one("c", "*.x.b", 203),
        one("d", "a.*", 204),
        one("e", "*", 205),
        one("f", "com.S:1.0", 206),
    ];
    let tables = tables(&format!("[{}]", all.join(","))).unwrap();
    for (authority, code) in [
        ("a.b", 201),
        ("A.B:8080", 201),
        ("z.b", 202),
        ("z.x.b", 203),
        ("a.q", 204),
        ("q", 205),
        (".b", 205),
        ("[::1]:80", 205),
        ("com.S:1.0", 206),
    ] {
        assert_eq!(status(&tables, authority, "/", &[]), Some(code), "{authority}");
    }
}

#[test]
fn paths_and_headers_decide_in_the_order_given() {
    let routes = [
        route(r#"{"path": "/e", "path_kind": "exact"}"#, 201),
        route(r#"{"path": "/s", "path_kind": "separated_prefix"}"#, 202),
        route(r#"{"headers": [{"name": "x", "kind": "prefix", "value": "ab"}]}"#, 203),
        route(r#"{"headers": [{"name": ":method", "kind": "exact", "value": "GET", "invert": true}]}"#, 204),
        route(r#"{"path": "/n/[0-9]+", "path_kind": "regex"}"#, 206),
        route(r#"{"headers": [{"name": "y", "kind": "regex", "value": "a+"}]}"#, 207),
        route(r#"{"headers": [{"name": "z", "kind": "exact", "value": "one", "invert": true}]}"#, 208),
        route(r#"{"path": "/a", "query": [{"name": "Q", "kind": "exact", "value": "1"}]}"#, 209),
        route(
            r#"{"path": "/a", "query": [{"name": "q", "kind": "regex", "value": "[a-z]+"}, {"name": "r", "kind": "present"}]}"#,
            210,
        ),
        route(r#"{"path": "/p"}"#, 205),
    ];
    let tables = tables(&format!("[{}]", host("h", "*", &format!("[{}]", routes.join(","))))).unwrap();
    for (path, fields, code) in [
        ("/e?q", &[][..], Some(201)),
        ("/e/", &[], None),
        ("/s", &[], Some(202)),
        ("/s/t", &[], Some(202)),
        ("/st", &[], None),
        ("/q", &[("x", "z"), ("x", "abc")], Some(203)),
        ("/pq", &[], Some(205)),
        ("/n/12?q", &[], Some(206)),
        ("/n/12/", &[], None),
        ("/q", &[("y", "aa")], Some(207)),
        ("/q", &[("y", "aab")], None),
        ("/q", &[("z", "other")], Some(208)),
        ("/q", &[("z", "one")], None),
        ("/a?x=y&Q=1&Q=2", &[], Some(209)),
        ("/a?Q=2&Q=1", &[], None),
        ("/a?Q=1%20", &[], None),
        ("/a?q=abc&r", &[], Some(210)),
        ("/a?q=abc", &[], None),
        ("/a", &[], None),
    ] {
        assert_eq!(status(&tables, "h", path, fields), code, "{path}");
    }
}

#[test]
fn a_split_is_drawn_by_weight() {
    let action = r#"{"forward": {"clusters": [{"name": "0", "weight": 1}, {"name": "1", "weight": 3}]}}"#;
    let tables =
        tables(&format!("[{}]", host("h", "*", &format!(r#"[{{"match": {{}}, "action": {action}}}]"#)))).unwrap();
    let found = tables.find(0, &Head::default());
    assert!(found.is_none(), "an empty path matches no prefix");
    let Action::Forward(forward) = &tables.all[0].hosts[0].routes[0].action else { panic!("not a forward") };
    let mut random = Random::new(1);
    let heavy = (0..10_000).filter(|_| forward.draw(&mut random) == 1).count();
    assert!((7_300..7_700).contains(&heavy), "{heavy}");
}

#[test]
fn a_location_keeps_what_it_does_not_replace() {
    for (redirect, path, location) in [
        (r#"{"scheme": "https"}"#, "/a/b?q", "https://h:80/a/b?q"),
        (r#"{"scheme": "https", "port": 8443}"#, "/a/b", "https://h:8443/a/b"),
        (r#"{"host": "other"}"#, "/a", "http://other/a"),
        (r#"{"host": "other", "port": 81}"#, "/a", "http://other:81/a"),
        (r#"{"path": "/new"}"#, "/a?q=1", "http://h:80/new?q=1"),
        (r#"{"path": "/new?r"}"#, "/a?q=1", "http://h:80/new?r"),
        (r#"{"prefix_rewrite": "/new"}"#, "/a/b?q", "http://h:80/new/b?q"),
    ] {
        let route = format!(r#"[{{"match": {{"path": "/a"}}, "action": {{"redirect": {redirect}}}}}]"#);
        let tables = tables(&format!("[{}]", host("h", "*", &route))).unwrap();
        let mut head = Head::default();
        head.set_authority(b"h:80");
        head.set_path(path.as_bytes());
        let (_, found) = tables.resolve(tables.find(0, &head).unwrap()).unwrap();
        let Action::Redirect(redirect) = &found.action else { panic!("not a redirect") };
        assert_eq!(String::from_utf8(found.location(redirect, &head)).unwrap(), location);
    }
}

#[test]
fn what_is_wrong_is_named() {
    let bad_edit =
        r#"{"match": {}, "action": {"direct_response": {"status": 200}}, "request_headers": {"set": [["a b", "c"]]}}"#;
    let injected = r#"{"match": {}, "action": {"direct_response": {"status": 200}}, "response_headers": {"append": [["a", "b\r\nc: d"]]}}"#;
    let unclosed = route(r#"{"path": "(", "path_kind": "regex"}"#, 200);
    for (hosts, part) in [
        (format!("[{}]", host("a", "x", &format!("[{unclosed}]"))), "routes[0].match.path"),
        (format!("[{}, {}]", host("a", "x", "[]"), host("b", "x:80", "[]")), "given twice"),
        (format!("[{}]", host("a", "x.*.y", "[]")), "wildcard in its middle"),
        (format!("[{}]", host("a", "x", &format!("[{}]", route("{}", 100)))), "routes[0].action.status"),
        (format!("[{}]", host("a", "x", &format!("[{bad_edit}]"))), "request_headers.set"),
        (format!("[{}]", host("a", "x", &format!("[{injected}]"))), "control characters"),
        (format!("[{}]", host("a", "x", r#"[{"match": {}, "action": {"forward": {"clusters": []}}}]"#)), "add up to 0"),
    ] {
        let error = tables(&hosts).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
