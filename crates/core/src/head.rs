//! A message head, the same for every protocol: one buffer of bytes and spans into it.
//!
//! What belongs to one connection only (Host, Content-Length, Transfer-Encoding, Connection and what it names)
//! is not among the fields: wires turn it into the members of [`Head`] and back. Names are lower case.

pub use crate::version::{Dialect, Version};

use crate::slab::empty;

/// The field by which an activator says that it has passed a request on.
pub const PROXIED: &[u8] = b"k-proxy-request";

/// A range of bytes in the buffer of its [`Head`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Return the span from `start` up to `end`. Heads are far smaller than 4 GiB (`limits`).
    pub fn new(start: usize, end: usize) -> Self {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { start: narrow(start), end: narrow(end) }
    }

    /// Return start and end.
    pub fn range(self) -> (usize, usize) {
        (self.start as usize, self.end as usize)
    }

    /// Return whether it covers nothing.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// One header field.
#[derive(Debug, Clone, Copy)]
struct Field {
    name: Span,
    value: Span,
    live: bool,
    /// No hop may put it into a compression table (RFC 7541 §6.2.3).
    never_indexed: bool,
}

/// What only protocols of whole frames know of a message.
#[derive(Debug, Clone, Copy, Default)]
pub struct FramePart {
    /// The frame up to its content, as received (Bolt: fixed part, class, header map).
    pub envelope: Span,
    /// Where the id lies in the envelope, when the protocol alone does not say.
    pub id_at: u32,
    /// Bolt's class name inside the buffer.
    pub class: Span,
    /// Caller's budget in milliseconds; -1 or 0: none.
    pub timeout_ms: i32,
    /// No answer is wanted.
    pub oneway: bool,
    /// Response status as on the wire.
    pub status: u16,
    /// Dubbo's attachments without their end and without what tells of a trace, when they can be written anew.
    pub attachments: Span,
    /// Length of the end of the body that they were read from; 0: the body passes as it came.
    pub attachments_size: u32,
}

/// A request's or response's head, or trailers (fields only).
#[derive(Debug, Clone, Default)]
pub struct Head {
    buf: Vec<u8>,
    fields: Vec<Field>,
    method: Span,
    path: Span,
    authority: Span,
    scheme: Span,
    upgrade: Span,
    /// Response status; 0 in requests.
    pub status: u16,
    /// Where it came from.
    pub version: Version,
    /// Declared length of the body.
    pub content_length: Option<u64>,
    /// The request waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
    /// The fields were changed since they were read (Bolt then writes its header map anew).
    pub edited: bool,
    /// What only protocols of whole frames know.
    pub frame: FramePart,
}

impl Head {
    /// Empty it, keeping its memory unless a rare giant swelled it.
    pub fn clear(&mut self) {
        const KEEP: usize = 16 * 1024;
        self.buf.clear();
        self.buf.shrink_to(KEEP);
        self.fields.clear();
        empty!(self {
            method, path, authority, scheme, upgrade, status, version, content_length, expects_continue, edited, frame
        } keep { buf, fields });
    }

    /// Return the bytes of `span`.
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.buf.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Return the bytes of `span` for change in place (lower-casing).
    pub fn bytes_mut(&mut self, span: Span) -> &mut [u8] {
        self.buf.get_mut(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Copy `bytes` into the buffer and return where they are.
    pub fn store(&mut self, bytes: &[u8]) -> Span {
        let start = self.buf.len();
        self.buf.extend_from_slice(bytes);
        Span::new(start, self.buf.len())
    }

    /// Return the method.
    pub fn method(&self) -> &[u8] {
        self.bytes(self.method)
    }

    /// Return path and query.
    pub fn path(&self) -> &[u8] {
        self.bytes(self.path)
    }

    /// Return the authority (`Host`), port included.
    pub fn authority(&self) -> &[u8] {
        self.bytes(self.authority)
    }

    /// Return the scheme; empty when the request did not say.
    pub fn scheme(&self) -> &[u8] {
        self.bytes(self.scheme)
    }

    /// Return the protocol that the message upgrades to; empty: none.
    pub fn upgrade(&self) -> &[u8] {
        self.bytes(self.upgrade)
    }

    /// Return where the path lies; it stays readable after `set_path`.
    pub fn path_span(&self) -> Span {
        self.path
    }

    /// Return where the authority lies; it stays readable after `set_authority`.
    pub fn authority_span(&self) -> Span {
        self.authority
    }

    /// Point the method at bytes already stored.
    pub fn place_method(&mut self, span: Span) {
        self.method = span;
    }

    /// Point the path at bytes already stored.
    pub fn place_path(&mut self, span: Span) {
        self.path = span;
    }

    /// Point the authority at bytes already stored.
    pub fn place_authority(&mut self, span: Span) {
        self.authority = span;
    }

    /// Point the upgrade protocol at bytes already stored.
    pub fn place_upgrade(&mut self, span: Span) {
        self.upgrade = span;
    }

    /// Add a field whose name (lower case) and value are already stored.
    pub fn place_field(&mut self, name: Span, value: Span) {
        self.fields.push(Field { name, value, live: true, never_indexed: false });
    }

    /// Set the method.
    pub fn set_method(&mut self, method: &[u8]) {
        self.method = self.store(method);
    }

    /// Set path and query.
    pub fn set_path(&mut self, path: &[u8]) {
        self.path = self.store(path);
    }

    /// Make a path of words that are stored already, each behind a slash; an empty last one is left out.
    pub fn set_path_of(&mut self, words: &[Span]) {
        let start = self.buf.len();
        for (at, word) in words.iter().enumerate() {
            if at == 0 || !word.is_empty() {
                self.buf.push(b'/');
                let (from, to) = word.range();
                self.buf.extend_from_within(from.min(start)..to.min(start));
            }
        }
        self.path = Span::new(start, self.buf.len());
    }

    /// Make a path of a word that is stored already, between two slashes.
    pub fn set_folder_of(&mut self, word: Span) {
        self.set_path_of(&[word]);
        let (start, _) = self.path.range();
        self.buf.push(b'/');
        self.path = Span::new(start, self.buf.len());
    }

    /// Set the authority.
    pub fn set_authority(&mut self, authority: &[u8]) {
        self.authority = self.store(authority);
    }

    /// Set the scheme.
    pub fn set_scheme(&mut self, scheme: &[u8]) {
        self.scheme = self.store(scheme);
    }

    /// Set the upgrade protocol.
    pub fn set_upgrade(&mut self, protocol: &[u8]) {
        self.upgrade = self.store(protocol);
    }

    /// Return the number of live fields.
    pub fn len(&self) -> usize {
        self.fields.iter().filter(|field| field.live).count()
    }

    /// Return whether there is no live field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterate over (name, value) in order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().filter(|field| field.live).map(|field| (self.bytes(field.name), self.bytes(field.value)))
    }

    /// Iterate over (name, value, never indexed) in order.
    pub fn fields_marked(&self) -> impl Iterator<Item = (&[u8], &[u8], bool)> {
        let live = self.fields.iter().filter(|field| field.live);
        live.map(|field| (self.bytes(field.name), self.bytes(field.value), field.never_indexed))
    }

    /// Say of the last field that its sender forbade compression tables to hold it.
    pub fn mark_never_indexed(&mut self) {
        if let Some(field) = self.fields.last_mut() {
            field.never_indexed = true;
        }
    }

    /// Return the first value of `name`.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.find(name).map(|span| self.bytes(span))
    }

    /// Return where the first value of `name` lies.
    pub fn find(&self, name: &[u8]) -> Option<Span> {
        self.fields.iter().find(|field| field.live && self.bytes(field.name) == name).map(|field| field.value)
    }

    /// Add a field at the end.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let (name, value) = (self.store(name), self.store(value));
        self.place_field(name, value);
    }

    /// Remove every field called `name`.
    pub fn remove(&mut self, name: &[u8]) {
        let buf = &self.buf;
        for field in &mut self.fields {
            if buf.get(field.name.start as usize..field.name.end as usize) == Some(name) {
                field.live = false;
                self.edited = true;
            }
        }
    }

    /// Make `value` the only value of `name`.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.append(name, value);
    }

    /// Add one more value of `name`.
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        self.push(name, value);
        self.edited = true;
    }

    /// Add `value` to the end of the comma-separated list `name` holds (`Via`): to its last line, when it has several.
    pub fn extend_list(&mut self, name: &[u8], value: &[u8]) {
        let last = self.fields.iter().rposition(|field| field.live && self.bytes(field.name) == name);
        let Some(old) = last.and_then(|at| self.fields.get(at)).map(|field| field.value) else {
            return self.append(name, value);
        };
        let mut joined = self.bytes(old).to_vec();
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(value);
        let span = self.store(&joined);
        if let Some(field) = last.and_then(|at| self.fields.get_mut(at)) {
            field.value = span;
        }
        self.edited = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_remove_set_and_append() {
        let mut head = Head::default();
        head.push(b"a", b"1");
        head.push(b"a", b"2");
        head.push(b"b", b"3");
        head.set(b"a", b"9");
        head.append(b"b", b"4");
        let got: Vec<_> = head.fields().collect();
        assert_eq!(got, [(&b"b"[..], &b"3"[..]), (b"a", b"9"), (b"b", b"4")]);
        assert!(head.edited);
    }

    #[test]
    fn a_list_grows_in_place() {
        let mut head = Head::default();
        head.extend_list(b"via", b"1.1 a");
        head.extend_list(b"via", b"1.1 b");
        assert_eq!(head.get(b"via"), Some(&b"1.1 a, 1.1 b"[..]));
    }

    #[test]
    fn a_list_of_several_lines_grows_at_its_end() {
        let mut head = Head::default();
        head.push(b"x-forwarded-for", b"1.1.1.1");
        head.push(b"x-forwarded-for", b"2.2.2.2");
        head.extend_list(b"x-forwarded-for", b"3.3.3.3");
        let got: Vec<_> = head.fields().map(|(_, value)| value).collect();
        assert_eq!(got, [&b"1.1.1.1"[..], b"2.2.2.2, 3.3.3.3"]);
    }

    #[test]
    fn a_replaced_path_keeps_the_original_readable() {
        let mut head = Head::default();
        head.set_path(b"/old");
        let original = head.path_span();
        head.set_path(b"/new");
        assert_eq!((head.path(), head.bytes(original)), (&b"/new"[..], &b"/old"[..]));
    }

    #[test]
    fn a_cleared_head_is_a_fresh_one() {
        let mut head = Head::default();
        head.set_path(b"/x");
        head.push(b"a", b"1");
        head.status = 200;
        head.clear();
        assert!(head.is_empty() && head.path().is_empty() && head.status == 0);
    }
}
