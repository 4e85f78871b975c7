//! The wire of a connection, whichever protocol it speaks.

use std::sync::Arc;

use crate::bolt;
use crate::config::WireProtocol;
use crate::dubbo;
use crate::engine::detection::{self, is_tls, Offers, Spoken, TLS_REFUSED};
use crate::events::{Cause, Event, LocalReply, StreamId, Wire};
use crate::framed::{self, Address, Answer, Call, Codec, Declared};
use crate::head::{Dialect, Head, Version};
use crate::http1::{self, HeadLimits};
use crate::http2::{self, Lender};

/// One connection's protocol machine.
pub enum AnyWire {
    /// Not told yet; it may be one of these, too.
    Detect(HeadLimits, Offers),
    /// HTTP/1 with a client.
    Http1Server(http1::Server),
    /// HTTP/1 with a server.
    Http1Client(http1::Client),
    /// Bolt with a caller.
    BoltServer(Box<framed::Server<bolt::Codec>>),
    /// Bolt with a server.
    BoltClient(Box<framed::Client<bolt::Codec>>),
    /// Dubbo with a caller.
    DubboServer(Box<framed::Server<dubbo::Codec>>),
    /// Dubbo with a server.
    DubboClient(Box<framed::Client<dubbo::Codec>>),
    /// A declared protocol with a caller.
    FramedServer(Box<framed::Server<Declared>>),
    /// A declared protocol with a server.
    FramedClient(Box<framed::Client<Declared>>),
    /// HTTP/2, either side.
    Http2(Box<http2::Connection>),
}

/// The declared protocols, by number.
type Protocols = [Arc<framed::Protocol>];

/// What the engine must know of a protocol besides its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// One stream at a time; back-pressure by pausing the socket.
    Http1,
    /// Many streams with windows of their own.
    Http2,
    /// Many streams without windows, each message a whole frame of this protocol.
    Frames(Version),
}

impl Default for AnyWire {
    fn default() -> Self {
        Self::Detect(HeadLimits::default(), None)
    }
}

macro_rules! each {
    ($self:expr, $wire:ident => $body:expr, $detect:expr) => {
        match $self {
            AnyWire::Detect(..) => $detect,
            AnyWire::Http1Server($wire) => $body,
            AnyWire::Http1Client($wire) => $body,
            AnyWire::BoltServer($wire) => $body,
            AnyWire::BoltClient($wire) => $body,
            AnyWire::DubboServer($wire) => $body,
            AnyWire::DubboClient($wire) => $body,
            AnyWire::FramedServer($wire) => $body,
            AnyWire::FramedClient($wire) => $body,
            AnyWire::Http2($wire) => $body,
        }
    };
}

impl AnyWire {
    /// Return what waits for the peer to open its windows; protocols without windows keep nothing.
    pub fn untaken(&self) -> http2::Untaken {
        match self {
            Self::Http2(connection) => connection.untaken(),
            _ => http2::Untaken::default(),
        }
    }

    /// Return the wire of an accepted connection.
    ///
    /// `offers` are declared protocols that a connection may turn out to speak where that is to be told.
    pub fn server(protocol: WireProtocol, limits: HeadLimits, protocols: &Protocols, offers: &Offers) -> Self {
        match protocol {
            WireProtocol::Http1 => Self::Http1Server(http1::Server::new(limits)),
            WireProtocol::Http2 => Self::http2(http2::Role::Server, limits, None),
            WireProtocol::Bolt => Self::BoltServer(Box::default()),
            WireProtocol::Dubbo => Self::DubboServer(Box::default()),
            WireProtocol::Framed(Some(number)) => match declared(number, protocols) {
                Some(codec) => Self::FramedServer(Box::new(framed::Server::new(codec))),
                None => Self::Detect(limits, None),
            },
            _ => Self::Detect(limits, offers.clone()),
        }
    }

    /// Return the wire of a connection to an endpoint that speaks `spoken`, for a request that came in as `version`.
    /// `None`: a request of this protocol cannot be sent there.
    /// `lender` lends to its windows.
    pub fn client(spoken: WireProtocol, version: Version, protocols: &Protocols, lender: &Arc<Lender>) -> Option<Self> {
        match family(spoken, version)? {
            Family::Http1 => Some(Self::Http1Client(http1::Client::default())),
            Family::Http2 => Some(Self::http2(http2::Role::Client, HeadLimits::default(), Some(lender))),
            Family::Frames(Version::Dubbo) => Some(Self::DubboClient(Box::default())),
            Family::Frames(Version::Framed(number)) => {
                Some(Self::FramedClient(Box::new(framed::Client::new(declared(number, protocols)?))))
            }
            Family::Frames(Version::Bolt(dialect)) => {
                Some(Self::BoltClient(Box::new(framed::Client::new(bolt::Codec::new(dialect)))))
            }
            Family::Frames(_) => None,
        }
    }

    /// Return the family of the protocol spoken; HTTP/1 until it is told.
    pub fn family(&self) -> Family {
        match self {
            Self::Detect(..) | Self::Http1Server(_) | Self::Http1Client(_) => Family::Http1,
            Self::Http2(_) => Family::Http2,
            Self::BoltServer(wire) => Family::Frames(wire.codec().version()),
            Self::BoltClient(wire) => Family::Frames(wire.codec().version()),
            Self::DubboServer(_) | Self::DubboClient(_) => Family::Frames(Version::Dubbo),
            Self::FramedServer(wire) => Family::Frames(wire.codec().version()),
            Self::FramedClient(wire) => Family::Frames(wire.codec().version()),
        }
    }

    /// Return whether the protocol is not told yet.
    pub fn is_untold(&self) -> bool {
        matches!(self, Self::Detect(..))
    }

    /// Return whether the peer is in the middle of a message that nobody wants any more.
    pub fn owed_input(&self) -> bool {
        match self {
            Self::Http1Server(server) => server.in_body(),
            Self::Http2(connection) => connection.is_failed(),
            _ => false,
        }
    }

    /// Return whether a caller's connection could be served from here on by somebody who knows nothing of what was before;
    /// `None`: such a moment never comes.
    pub fn is_between(&self) -> Option<bool> {
        match self {
            Self::Detect(..) => Some(true),
            Self::Http1Server(wire) => Some(wire.is_between()),
            Self::BoltServer(wire) => Some(wire.is_between()),
            Self::DubboServer(wire) => Some(wire.is_between()),
            Self::FramedServer(wire) => Some(wire.is_between()),
            // Compression of heads, windows and streams are state that both ends of HTTP/2 count on.
            _ => None,
        }
    }

    /// Tell the protocol from the first bytes, once there are enough of them.
    fn detect(&mut self, input: &[u8]) {
        let Self::Detect(limits, offers) = self else { return };
        let Some(spoken) = detection::tell(input, offers.as_deref().unwrap_or_default()) else { return };
        *self = match spoken {
            Spoken::Declared(offer) => {
                Self::FramedServer(Box::new(framed::Server::new(Declared::new(&offer.protocol, offer.number))))
            }
            Spoken::Dubbo => Self::DubboServer(Box::default()),
            Spoken::Bolt => Self::BoltServer(Box::default()),
            Spoken::Http2 => Self::http2(http2::Role::Server, *limits, None),
            Spoken::Http1 => Self::Http1Server(http1::Server::new(*limits)),
        };
    }

    /// Make `call` the request at the front of `input` and `address` what it is for, which may lie in `head`. `false`: this is no
    /// connection to a caller of a protocol of frames, or no request lies there that is whole and wants an answer.
    pub fn call<'a>(
        &mut self,
        input: &'a [u8],
        call: &mut Call,
        address: &mut Address<'a>,
        head: &'a mut Head,
    ) -> bool {
        match self {
            Self::BoltServer(wire) => wire.call(input, call, address, head),
            Self::DubboServer(wire) => wire.call(input, call, address, head),
            Self::FramedServer(wire) => wire.call(input, call, address, head),
            _ => false,
        }
    }

    /// Make `head` that of the request that was just returned; false: it is malformed.
    pub fn describe(&self, input: &[u8], head: &mut Head) -> bool {
        match self {
            Self::BoltServer(wire) => wire.describe(input, head),
            Self::DubboServer(wire) => wire.describe(input, head),
            Self::FramedServer(wire) => wire.describe(input, head),
            _ => false,
        }
    }

    /// Return the answer at the front of `input`, if this is a connection to a server of a protocol of frames and it is whole.
    #[inline]
    pub fn answer(&mut self, input: &[u8]) -> Option<Answer> {
        match self {
            Self::BoltClient(wire) => wire.answer(input),
            Self::DubboClient(wire) => wire.answer(input),
            Self::FramedClient(wire) => wire.answer(input),
            _ => None,
        }
    }

    fn http2(role: http2::Role, limits: HeadLimits, lender: Option<&Arc<Lender>>) -> Self {
        let limits = http2::HeadLimits { max_bytes: limits.bytes, max_count: limits.fields };
        Self::Http2(Box::new(http2::Connection::new(role, limits, lender)))
    }
}

fn declared(number: u16, protocols: &Protocols) -> Option<Declared> {
    Some(Declared::new(protocols.get(usize::from(number))?, number))
}

/// Return a protocol version that a cluster of `protocol` takes, for a connection without a request.
pub fn any_version(protocol: WireProtocol) -> Version {
    match protocol {
        WireProtocol::Bolt => Version::Bolt(Dialect::V1),
        WireProtocol::Dubbo => Version::Dubbo,
        WireProtocol::Framed(Some(number)) => Version::Framed(number),
        _ => Version::Http11,
    }
}

/// Return the family that a cluster of `protocol` speaks for a request that came in as `version`; `None` if the two cannot
/// meet (protocols of frames have no meaning in common with HTTP, nor with each other).
pub fn family(protocol: WireProtocol, version: Version) -> Option<Family> {
    match (protocol, version) {
        (WireProtocol::Framed(Some(number)), Version::Framed(spoken)) if number != spoken => None,
        (WireProtocol::Bolt | WireProtocol::Downstream, Version::Bolt(_))
        | (WireProtocol::Dubbo | WireProtocol::Downstream, Version::Dubbo)
        | (WireProtocol::Framed(Some(_)) | WireProtocol::Downstream, Version::Framed(_)) => {
            Some(Family::Frames(version))
        }
        (_, Version::Bolt(_) | Version::Dubbo | Version::Framed(_))
        | (WireProtocol::Bolt | WireProtocol::Dubbo | WireProtocol::Framed(_), _) => None,
        (WireProtocol::Http2, _) | (WireProtocol::Downstream, Version::Http2) => Some(Family::Http2),
        _ => Some(Family::Http1),
    }
}

impl Wire for AnyWire {
    fn decode(&mut self, input: &[u8], head: &mut Head, out: &mut Vec<u8>) -> (usize, Option<Event>) {
        self.detect(input);
        // A listener for HTTP/1 alone would answer 400 in clear text, which no client of TLS reads.
        let begins = self.is_untold() || matches!(self, Self::Http1Server(server) if server.is_fresh());
        if begins && is_tls(input) {
            return (0, Some(Event::Fault(TLS_REFUSED)));
        }
        each!(self, wire => wire.decode(input, head, out), (0, None))
    }

    fn eof(&mut self, rest: usize) -> Option<Event> {
        each!(self, wire => wire.eof(rest), None)
    }

    fn open(&mut self) -> StreamId {
        each!(self, wire => wire.open(), 0)
    }

    fn room(&self) -> usize {
        each!(self, wire => wire.room(), 0)
    }

    fn head(&mut self, stream: StreamId, head: &Head, body: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        each!(self, wire => wire.head(stream, head, body, end, out), 0)
    }

    fn data(&mut self, stream: StreamId, bytes: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        each!(self, wire => wire.data(stream, bytes, end, out), 0)
    }

    fn trailers(&mut self, stream: StreamId, trailers: &Head, out: &mut Vec<u8>) {
        each!(self, wire => wire.trailers(stream, trailers, out), ());
    }

    fn local_reply(&mut self, stream: StreamId, reply: &LocalReply<'_>, out: &mut Vec<u8>) {
        each!(self, wire => wire.local_reply(stream, reply, out), ());
    }

    fn reset(&mut self, stream: StreamId, cause: Cause, out: &mut Vec<u8>) -> bool {
        each!(self, wire => wire.reset(stream, cause, out), false)
    }

    fn consumed(&mut self, stream: StreamId, bytes: usize, out: &mut Vec<u8>) {
        each!(self, wire => wire.consumed(stream, bytes, out), ());
    }

    fn sent(&mut self) -> Option<Event> {
        each!(self, wire => wire.sent(), None)
    }

    fn ping(&mut self, out: &mut Vec<u8>) -> bool {
        each!(self, wire => wire.ping(out), false)
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        each!(self, wire => wire.drain(out), ());
    }

    fn closing(&self) -> bool {
        each!(self, wire => wire.closing(), false)
    }
}
