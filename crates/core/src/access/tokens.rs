//! Where tokens lie in a request, and what is made of them in the request that goes on.

use serde_json::{Map, Value};

use crate::access::authn::{Jwt, Provider, Taken};
use crate::access::base64;
use crate::ascii;
use crate::config::JwtProvider;
use crate::head::Head;
use crate::routes::{cookie, query};

/// Where a token lies; places are looked at in their order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a header, behind a text.
    Header(String, String),
    /// In a parameter of the query.
    Param(String),
    /// In a cookie.
    Cookie(String),
}

impl Place {
    /// Return whether taking away what lies here takes away what lies there.
    pub fn goes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header(one, _), Self::Header(other, _)) => one == other,
            (Self::Cookie(_), _) => false, // Envoy leaves cookies as they are
            (one, other) => one == other,
        }
    }
}

/// A token and where it lies.
#[derive(Debug)]
pub struct Bearer {
    /// Where.
    pub place: Place,
    /// What.
    pub token: Vec<u8>,
}

impl Bearer {
    /// Return what lies where a provider has its tokens: headers first, then parameters and cookies. A provider that says
    /// nothing of it has them in `Authorization: Bearer` and in the parameter `access_token`.
    pub fn all(head: &Head, terms: &JwtProvider) -> Vec<Self> {
        let unsaid = terms.headers.is_empty() && terms.params.is_empty() && terms.cookies.is_empty();
        let mut found = Vec::new();
        let mut add = |place: Place, token: Option<Vec<u8>>| found.extend(token.map(|token| Self { place, token }));
        if unsaid {
            add(
                Place::Header("authorization".to_owned(), "Bearer ".to_owned()),
                in_header(head, "authorization", "Bearer "),
            );
            add(Place::Param("access_token".to_owned()), in_query(head, "access_token"));
        }
        for (name, before) in &terms.headers {
            add(Place::Header(name.clone(), before.clone()), in_header(head, name, before));
        }
        for name in &terms.params {
            add(Place::Param(name.clone()), in_query(head, name));
        }
        for name in &terms.cookies {
            add(Place::Cookie(name.clone()), cookie(head, name).map(<[u8]>::to_vec));
        }
        found
    }
}

/// Return the token behind `before` in a header; lines of one name are one list (Envoy: `extractor.cc`).
fn in_header(head: &Head, name: &str, before: &str) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = head
        .fields()
        .filter(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| value)
        .collect();
    let value = (!lines.is_empty()).then(|| lines.join(&b","[..]))?;
    if before.is_empty() {
        return Some(value);
    }
    let at = memchr::memmem::find(&value, before.as_bytes())?;
    let rest = value.get(at + before.len()..)?;
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let Some(start) = rest.iter().position(is_part) else { return Some(value) };
    let token = rest.get(start..)?;
    let end = token.iter().position(|byte| !is_part(byte)).unwrap_or(token.len());
    token.get(..end).map(<[u8]>::to_vec)
}

fn in_query(head: &Head, name: &str) -> Option<Vec<u8>> {
    query(head.path(), name).map(<[u8]>::to_vec)
}

impl Jwt {
    /// Make of a request that may go on what its providers want: tokens taken away, payloads and claims told.
    pub fn edit(&self, taken: &[Taken], head: &mut Head) {
        for one in taken {
            let Some(provider) = self.provider(one.provider) else { continue };
            let terms = &provider.terms;
            if !terms.forward {
                take_away(&one.place, head);
            }
            if !terms.payload_header.is_empty() {
                let mut payload = one.encoded_payload.clone();
                if terms.padded {
                    payload.resize(payload.len().div_ceil(4) * 4, b'=');
                }
                head.set(terms.payload_header.as_bytes(), &payload);
            }
            for (header, way) in &terms.claim_headers {
                let value = at(&one.payload, way).and_then(told);
                if let Some(value) = value.filter(|value| ascii::is_field_value(value)) {
                    head.append(header.as_bytes(), &value);
                }
            }
        }
    }

    /// Return what is noted of tokens, for rules to look at; `None`: nothing is.
    pub fn noted(&self, taken: Vec<Taken>) -> Option<Value> {
        let mut noted = Map::new();
        for one in taken {
            let Some(Provider { terms, .. }) = self.provider(one.provider) else { continue };
            if !terms.payload_key.is_empty() {
                noted.insert(terms.payload_key.clone(), normal(one.payload, &terms.split_claims));
            }
            if !terms.header_key.is_empty() {
                noted.insert(terms.header_key.clone(), one.header);
            }
        }
        (!noted.is_empty()).then_some(Value::Object(noted))
    }
}

fn take_away(place: &Place, head: &mut Head) {
    match place {
        Place::Header(name, _) => head.remove(name.as_bytes()),
        Place::Param(name) => {
            let Some(at) = memchr::memchr(b'?', head.path()) else { return };
            let (path, query) = head.path().split_at(at);
            let is_it = |pair: &&[u8]| pair.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
            let query = query.get(1..).unwrap_or_default();
            let kept: Vec<&[u8]> = query.split(|byte| *byte == b'&').filter(|pair| !is_it(pair)).collect();
            let kept = kept.join(&b"&"[..]);
            let whole = if kept.is_empty() { path.to_vec() } else { [path, b"?", &kept].concat() };
            head.set_path(&whole);
        }
        // Envoy leaves cookies as they are.
        Place::Cookie(_) => {}
    }
}

/// Return the claim that `way` leads to, by dots.
fn at<'a>(payload: &'a Value, way: &str) -> Option<&'a Value> {
    way.split('.').try_fold(payload, |at, key| at.get(key))
}

/// Return a claim as a header tells it: lists and objects as their JSON in Base64.
fn told(claim: &Value) -> Option<Vec<u8>> {
    match claim {
        Value::Null => None,
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Bool(_) | Value::Number(_) => Some(claim.to_string().into_bytes()),
        Value::Array(_) | Value::Object(_) => Some(base64::encode(claim.to_string().as_bytes())),
    }
}

/// Return a payload with some of its claims cut into words.
fn normal(mut payload: Value, split: &[String]) -> Value {
    for name in split {
        if let Some(claim) = payload.get_mut(name) {
            if let Value::String(text) = claim {
                *claim = text.split(' ').map(|word| Value::String(word.to_owned())).collect();
            }
        }
    }
    payload
}
