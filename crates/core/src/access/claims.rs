//! What is told of tokens that were taken: to the endpoint in headers, to rules as notes.

use serde_json::{Map, Value};

use crate::access::authn::{Jwt, Provider, Taken};
use crate::access::tokens::Place;
use crate::ascii;
use crate::base64::URL;
use crate::head::Head;

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
        Value::Array(_) | Value::Object(_) => Some(URL.encode(claim.to_string().as_bytes())),
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
