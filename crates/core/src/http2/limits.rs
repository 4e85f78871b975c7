//! Every bound of an HTTP/2 connection, with its argument. `fields` adds those that a listener sets for heads.

use crate::limits::EASY_BACKLOG;

/// Largest frame we take: the protocol's default (RFC 9113 §4.2), which every peer keeps to without negotiation.
/// Larger frames would let one stream hold the connection for longer and must be held whole for HEADERS.
pub const MAX_FRAME_BYTES: usize = 16_384;

/// The protocol's own first window (RFC 9113 §6.9.2), in force until SETTINGS and `WINDOW_UPDATE` change it.
pub const DEFAULT_WINDOW: u32 = 65_535;

/// Largest window there can be (RFC 9113 §6.9.1).
pub const MAX_WINDOW: u32 = 0x7fff_ffff;

/// Bytes of one body in flight towards us, at most: the bandwidth-delay product of 2 Gbit/s at 1 ms. A client's upload
/// has as much from its beginning. (Envoy 16 MiB since 1.3x, nginx 64 KiB, Go 1 MiB.)
pub const STREAM_WINDOW: u32 = 256 * 1024;

/// Bytes of one answer that an endpoint may send at first whatever else waits: a frame of the largest size, and what a read
/// brings from endpoints of HTTP/1 while much waits. 1,024 requests of clients that take nothing cost 16 MiB.
pub const LEAST_WINDOW: u32 = 16 * 1024;

/// Bytes of one answer that an endpoint may send on while more than `EASY_BACKLOG` waits. What a client's buffer takes
/// before it says that it is full counts as taken, and as much comes again: a slow reader holds two windows.
pub const PRESSED_WINDOW: u32 = 8 * 1024;

/// Bytes of one answer that an endpoint may send at first while little waits: most answers come whole, without a word from us.
pub const OPENING_WINDOW: u32 = 64 * 1024;

/// Bytes by which all windows upstream are wider than the least, less what waits for peers. Half is for streams that begin,
/// so that as much may be promised as may wait easily; the rest for those whose clients take what comes.
pub const LENT_BYTES: usize = 2 * EASY_BACKLOG;

/// Streams that begin on a connection before windows become wide again: they change for some 100 open ones each time, and
/// where hundreds are busy there is now something to lend and now nothing.
pub const NARROW_STREAMS: u32 = 256;

/// Bytes in flight on one downstream connection, all streams together: what a single client can make us hold.
/// Four streams of full speed fit; credit comes back as bytes leave the mesh.
pub const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes in flight on one *upstream* connection. Many clients share it, so the connection's window must never be
/// what stops it: then one client that does not read would stop all others. Its credit therefore comes back on
/// receipt, and memory is bounded by `LEAST_WINDOW` for each open stream, and `LENT_BYTES` for all.
pub const UPSTREAM_CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// Streams a client may have open at once. RFC 9113 §6.5.2 recommends 100 at least; 250 is Go's number, enough
/// for a gateway in front of many clients, and each costs us a few hundred bytes besides its window.
pub const MAX_CONCURRENT_STREAMS: u32 = 250;

/// Streams we open before the peer's SETTINGS tell its limit: RFC 9113's recommended floor, so that none is refused.
pub const STREAMS_BEFORE_SETTINGS: u32 = 100;

/// CONTINUATION frames in one header block. The largest head we take fills four frames; an attacker sends many
/// tiny ones that never end (CVE-2024-27316 and its siblings).
pub const MAX_CONTINUATIONS: u32 = 16;

/// Frames that move nothing forward (PING, SETTINGS, PRIORITY, empty DATA, unknown types, frames for streams that
/// are gone) in a row. HEADERS and DATA win back `IDLE_FRAMES_REGAINED` each. A keep-alive PING every ten
/// seconds on a silent stream may go on for a day; a flood of them is over after 170 KB.
pub const MAX_IDLE_FRAMES: u32 = 10_000;

/// What a frame that carries something wins back of `MAX_IDLE_FRAMES`. Ten, because a peer that measures round
/// trips sends a PING with every few DATA frames, never ten to one.
pub const IDLE_FRAMES_REGAINED: u32 = 10;

/// `WINDOW_UPDATE` frames beyond those that what we sent explains: two for each frame and one for each
/// `WINDOW_UPDATE_BYTES` of body, since some readers give credit back in small coin.
pub const MAX_WINDOW_UPDATES: u32 = 10_000;

/// Bytes of body we sent that explain one `WINDOW_UPDATE`: nobody gives back less than this at a time for long.
pub const WINDOW_UPDATE_BYTES: u32 = 256;

/// Streams given up before their answer began (by the peer, or by us because the peer broke a rule or the limit
/// of streams), in excess of twice those that ended well. Opening and resetting at once makes us work for
/// nothing (CVE-2023-44487, CVE-2025-8671); a thousand deadlines that pass together are an ordinary accident.
pub const MAX_ABANDONED_STREAMS: u32 = 1_000;

/// `MAX_ABANDONED_STREAMS` of a connection on which none has ended well yet: as many as may be open at once, so that all of
/// the first can miss their deadline. Who opens connections only to reset streams on them gets no more out of each.
pub const FIRST_ABANDONED_STREAMS: u32 = MAX_CONCURRENT_STREAMS;

/// What a stream that ended well wins back of `MAX_ABANDONED_STREAMS`.
pub const ABANDONED_STREAMS_REGAINED: u32 = 2;

/// Streams that we gave up while the peer was still speaking, remembered so that what was on its way when we did is
/// not held against it. The peer has at most `MAX_CONCURRENT_STREAMS` open at a time; four times that leaves room for
/// those it opened before it heard of the limit.
pub const MAX_REMEMBERED_RESETS: usize = 1024;
