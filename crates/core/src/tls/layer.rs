//! One connection's TLS: what is read is opened, what is written is sealed.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::{ClientConnection, Connection, ServerConnection};

use crate::tls::context::{ClientContext, ServerContext};
use crate::tls::verify::principals;

/// First byte of a record that begins a handshake (RFC 8446 5.1).
const HANDSHAKE: u8 = 22;

/// What a read brought about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The handshake ended with this read.
    pub established: bool,
    /// The peer has said that it will send no more.
    pub closed: bool,
}

/// The layer of one connection.
pub enum Layer {
    /// A client that may or may not speak TLS, before its first byte.
    Untold(Arc<ServerContext>),
    /// A client that does not speak TLS and need not.
    Plain,
    /// TLS.
    Session {
        /// The protocol's own state.
        session: Box<Connection>,
        /// The peer has said goodbye.
        closed: bool,
        /// The names in the certificate that the peer has shown, once it was believed.
        names: Option<Box<[String]>>,
    },
}

impl Layer {
    /// Return the layer of an accepted connection.
    pub fn server(context: &Arc<ServerContext>) -> Result<Self, String> {
        if context.permissive() {
            Ok(Self::Untold(Arc::clone(context)))
        } else {
            Self::session(context)
        }
    }

    /// Return the layer of a connection that has been dialled; its first bytes lie ready.
    pub fn client(context: &ClientContext) -> Result<Self, String> {
        let session = ClientConnection::new(Arc::clone(&context.config), context.name.clone());
        Ok(Self::over(Connection::Client(session.map_err(|error| error.to_string())?)))
    }

    fn session(context: &ServerContext) -> Result<Self, String> {
        let session = ServerConnection::new(Arc::clone(&context.config)).map_err(|error| error.to_string())?;
        Ok(Self::over(Connection::Server(session)))
    }

    fn over(mut session: Connection) -> Self {
        // What is sealed is handed on within the same call, so that nothing needs to bound it here.
        session.set_buffer_limit(None);
        Self::Session { session: Box::new(session), closed: false, names: None }
    }

    /// Return whether the connection is, or will be, under TLS.
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::Session { .. })
    }

    /// Return whether the handshake is still going on.
    pub fn is_handshaking(&self) -> bool {
        matches!(self, Self::Session { session, .. } if session.is_handshaking())
    }

    /// Return the names in the certificate of the peer; none: it has shown none.
    pub fn peer_names(&self) -> Option<&[String]> {
        match self {
            Self::Session { names, .. } => names.as_deref(),
            _ => None,
        }
    }

    /// Return the host that a client has named; empty: none.
    pub fn server_name(&self) -> &str {
        match self {
            Self::Session { session, .. } => match &**session {
                Connection::Server(server) => server.server_name().unwrap_or_default(),
                Connection::Client(_) => "",
            },
            _ => "",
        }
    }

    /// Return whether the peer has said that it will send no more.
    pub fn is_closed_by_peer(&self) -> bool {
        matches!(self, Self::Session { closed: true, .. })
    }

    /// Open what was read and append it to `plain`. After an error an alert may lie ready for the peer.
    pub fn receive(&mut self, mut data: &[u8], plain: &mut Vec<u8>) -> Result<Progress, String> {
        if let (Self::Untold(context), Some(first)) = (&*self, data.first()) {
            *self = if *first == HANDSHAKE { Self::session(context)? } else { Self::Plain };
        }
        let Self::Session { session, closed, names } = self else {
            plain.extend_from_slice(data);
            return Ok(Progress::default());
        };
        let handshaking = session.is_handshaking();
        let mut progress = Progress::default();
        while !data.is_empty() {
            session.read_tls(&mut data).map_err(|error| error.to_string())?;
            let state = session.process_new_packets().map_err(|error| error.to_string())?;
            progress.closed |= state.peer_has_closed();
            let (before, ready) = (plain.len(), state.plaintext_bytes_to_read());
            if ready > 0 {
                plain.resize(before + ready, 0);
                let room = plain.get_mut(before..).unwrap_or_default();
                session.reader().read_exact(room).map_err(|error| error.to_string())?;
            }
            if progress.closed {
                break; // what follows a close_notify is nobody's (RFC 8446 6.1)
            }
        }
        *closed |= progress.closed;
        progress.established = handshaking && !session.is_handshaking();
        if progress.established && matches!(**session, Connection::Server(_)) {
            let shown = session.peer_certificates().and_then(<[_]>::first);
            *names = shown.map(|certificate| principals(certificate).into());
        }
        Ok(progress)
    }

    /// Seal `plain` and append it, with whatever else lies ready, to `out`.
    pub fn send(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let Self::Session { session, .. } = self else {
            return out.extend_from_slice(plain);
        };
        // Neither can fail: the session's buffer has no limit, since it is emptied at once, and a Vec takes everything.
        let _ = session.writer().write_all(plain);
        while session.wants_write() && session.write_tls(out).is_ok() {}
    }

    /// Let the peer know that no more will come.
    pub fn close(&mut self) {
        if let Self::Session { session, .. } = self {
            session.send_close_notify();
        }
    }
}
