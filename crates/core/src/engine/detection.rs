//! How a listener tells which protocol a connection speaks: by its first bytes, and as few of them as that takes.

use std::sync::Arc;

use crate::bolt;
use crate::dubbo;
use crate::events::Fault;
use crate::framed;
use crate::http2;

/// A declared protocol that connections of a listener may speak beside what is told anyway.
#[derive(Debug)]
pub struct Offer {
    /// How its frames begin.
    pub magic: Box<[u8]>,
    /// It.
    pub protocol: Arc<framed::Protocol>,
    /// Its number in the engine.
    pub number: u16,
}

/// Those of one listener.
pub type Offers = Option<Arc<[Offer]>>;

/// How what is told anyway begins: what is offered beside it must begin otherwise. Of HTTP/1 the registered methods (RFC 9110 9.3, RFC 5789).
const TAKEN: [&[u8]; 14] = [
    http2::PREFACE,
    &dubbo::MAGIC,
    &[TLS_HANDSHAKE, 3],
    &[1],
    &[2],
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
];

impl Offer {
    /// Offer a protocol beside `others`; the error says why it cannot be told from what else there may be.
    pub fn beside(others: &[Self], protocol: &Arc<framed::Protocol>, number: u16) -> Result<Self, String> {
        let Some(magic) = protocol.magic().filter(|magic| magic.len() >= 2) else {
            return Err(
                "its frames do not begin with a magic of two bytes or more, by which it could be told".to_owned()
            );
        };
        let clashes = |taken: &[u8]| taken.starts_with(magic) || magic.starts_with(taken);
        if TAKEN.into_iter().any(clashes) {
            return Err("its magic is how HTTP, TLS, Bolt or Dubbo may begin".to_owned());
        }
        match others.iter().find(|other| clashes(&other.magic)) {
            Some(other) => Err(format!("its magic cannot be told from that of {:?}", other.protocol.name)),
            None => Ok(Self { magic: magic.into(), protocol: Arc::clone(protocol), number }),
        }
    }
}

/// What a connection turned out to speak.
pub enum Spoken<'a> {
    /// This declared protocol.
    Declared(&'a Offer),
    /// Dubbo 2.
    Dubbo,
    /// Bolt, in any version.
    Bolt,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// What is none of the others: whoever reads it says what is wrong with it.
    Http1,
}

/// Tell the protocol of a connection that begins with `input`; `None`: more of it must come.
pub fn tell<'a>(input: &[u8], offers: &'a [Offer]) -> Option<Spoken<'a>> {
    if let Some(offer) = offers.iter().find(|offer| input.starts_with(&offer.magic)) {
        return Some(Spoken::Declared(offer));
    }
    if offers.iter().any(|offer| offer.magic.starts_with(input)) {
        return None;
    }
    let preface = http2::PREFACE;
    let undecided = dubbo::MAGIC.starts_with(input) || is_tls(input) || input == [TLS_HANDSHAKE];
    if input.starts_with(&dubbo::MAGIC) {
        Some(Spoken::Dubbo)
    } else if input.first().is_some_and(|first| bolt::PROTOCOLS.contains(first)) {
        Some(Spoken::Bolt)
    } else if input.starts_with(preface) {
        Some(Spoken::Http2)
    } else {
        (!preface.starts_with(input) && !undecided).then_some(Spoken::Http1)
    }
}

/// First byte of a TLS record that begins a handshake (RFC 8446 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// What is said of a client that speaks TLS to a listener without.
pub const TLS_REFUSED: Fault = Fault { status: 400, what: "TLS on a port for clear text" };

/// Return whether a connection begins with a `ClientHello`. No protocol of ours begins so, and none would ever answer it.
pub fn is_tls(input: &[u8]) -> bool {
    input.starts_with(&[TLS_HANDSHAKE, 3])
}
