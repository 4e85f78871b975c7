//! Parts of a request's head that are looked for by many: of its authority, its path, its query, its cookies.

use crate::head::Head;

/// Return the path without its query.
pub fn without_query(path: &[u8]) -> &[u8] {
    memchr::memchr(b'?', path).and_then(|at| path.get(..at)).unwrap_or(path)
}

/// Return the query of a path with its question mark; empty: it has none.
pub fn from_query(path: &[u8]) -> &[u8] {
    path.get(without_query(path).len()..).unwrap_or_default()
}

/// Return the query of a path, without its question mark; empty: it has none.
pub fn query_of(path: &[u8]) -> &[u8] {
    from_query(path).get(1..).unwrap_or_default()
}

/// Return the authority without its port. Only digits are a port: a Bolt service name ends in `:1.0`.
pub fn without_port(authority: &[u8]) -> &[u8] {
    let digits = authority.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    authority
        .len()
        .checked_sub(digits + 1)
        .filter(|colon| digits > 0 && authority.get(*colon) == Some(&b':'))
        .and_then(|colon| authority.get(..colon))
        .unwrap_or(authority)
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
