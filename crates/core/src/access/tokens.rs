//! Where tokens lie in a request.

use crate::config::JwtProvider;
use crate::head::Head;
use crate::request_parts::{cookie, query};

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
