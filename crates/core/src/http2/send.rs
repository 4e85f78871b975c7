//! What we say: heads, bodies within both windows, trailers, answers of our own.

use super::connection::Connection;
use super::encode::{self, Lead};
use super::frame::{self, flag, ErrorCode, Kind};
use super::role::Role;
use super::stream::{Side, Stream};
use super::{limits, settings};
use crate::events::{LocalReply, ReplyKind};
use crate::grpc;
use crate::head::Head;

impl Connection {
    pub(super) fn send_head(&mut self, id: u32, head: &Head, end: bool, out: &mut Vec<u8>) {
        self.greet(out);
        if self.role == Role::Client {
            self.announce_windows(out);
        }
        let Some(stream) = self.streams.get(id) else { return };
        let lead = match self.role {
            Role::Client => {
                stream.window = self.windows.begin();
                stream.receive_window = stream.window;
                stream.is_head = head.method() == b"HEAD";
                Lead::Request
            }
            Role::Server => Lead::Response,
        };
        if end {
            stream.local = Side::Ended;
        } else if lead == Lead::Request || head.status >= 200 {
            stream.local = Side::Body;
        }
        // Some readers widen the window of each stream they open, whether or not a body comes.
        self.window_updates.regain(2);
        encode::head(&mut self.encoder, id, head, lead, end, out);
        if end {
            self.after_our_end(id, out);
        }
    }

    /// Say how wide streams begin from now on, if that changes. Those that are open become wider with the others, never narrower:
    /// what an endpoint was told that it may send, it may have sent.
    fn announce_windows(&mut self, out: &mut Vec<u8>) {
        let first = self.windows.next_first(self.streams.len());
        let more = limits::OPENING_WINDOW - limits::LEAST_WINDOW;
        let fits = |stream: &mut Stream| stream.window + more <= limits::STREAM_WINDOW;
        if first == self.windows.first || (first > self.windows.first && !self.streams.iter_mut().all(fits)) {
            return;
        }
        settings::write_first_window(first, out);
        for stream in self.streams.iter_mut().filter(|stream| stream.window > 0) {
            if first > self.windows.first {
                stream.window = self.windows.follow(stream.window);
                stream.receive_window += more;
            } else {
                frame::write_window_update(stream.id, more, out);
            }
        }
        self.windows.announced(first);
    }

    /// Send what the windows allow and queue the rest; return how much was queued.
    pub(super) fn send_data(&mut self, id: u32, bytes: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        let Some(stream) = self.streams.get(id) else { return 0 };
        if stream.local == Side::Ended {
            return 0;
        }
        if end {
            stream.local = Side::Ended;
        }
        if !stream.queue.is_empty() {
            stream.queue.push(bytes);
            self.untaken.bytes += bytes.len();
            self.untaken.whole += if end { stream.queue.len() } else { 0 };
            return bytes.len();
        }
        let allowed = usize::try_from(stream.send_window.min(self.send_window)).unwrap_or(0);
        let (now, later) = bytes.split_at(bytes.len().min(allowed));
        let whole = later.is_empty();
        let sent = i64::try_from(now.len()).unwrap_or(i64::MAX);
        stream.send_window -= sent;
        self.send_window -= sent;
        if !whole {
            stream.queue.push(later);
            self.untaken.bytes += later.len();
            self.untaken.whole += if end { later.len() } else { 0 };
            if stream.send_window > 0 && !stream.is_ready {
                stream.is_ready = true;
                self.ready.push_back(id);
            }
        }
        self.write_data(id, now, whole && end, out);
        if whole && end {
            self.after_our_end(id, out);
        }
        later.len()
    }

    fn write_data(&mut self, id: u32, bytes: &[u8], end: bool, out: &mut Vec<u8>) {
        let end_flag = if end { flag::END_STREAM } else { 0 };
        let mut rest = bytes;
        while rest.len() > limits::MAX_FRAME_BYTES {
            let (chunk, after) = rest.split_at(limits::MAX_FRAME_BYTES);
            frame::write_header(chunk.len(), Kind::Data, 0, id, out);
            out.extend_from_slice(chunk);
            rest = after;
        }
        if !rest.is_empty() || end {
            frame::write_header(rest.len(), Kind::Data, end_flag, id, out);
            out.extend_from_slice(rest);
        }
        self.expect_window_updates(bytes.len());
    }

    fn expect_window_updates(&mut self, sent: usize) {
        let sent = u32::try_from(sent).unwrap_or(u32::MAX);
        self.window_updates.regain(2 + sent / limits::WINDOW_UPDATE_BYTES);
    }

    pub(super) fn send_trailers(&mut self, id: u32, trailers: &Head, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get(id) else { return };
        if stream.local == Side::Ended {
            return;
        }
        stream.local = Side::Ended;
        if !stream.queue.is_empty() {
            self.untaken.whole += stream.queue.len();
            stream.queue.trailers = Some(Box::new(trailers.clone()));
            return;
        }
        if trailers.is_empty() {
            self.write_data(id, &[], true, out);
        } else {
            encode::head(&mut self.encoder, id, trailers, Lead::Trailers, true, out);
        }
        self.after_our_end(id, out);
    }

    /// A window opened: send what waits, one frame a stream in turn, so that a large body does not starve small ones.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        while self.send_window > 0 {
            let Some(id) = self.ready.pop_front() else { return };
            let Some(stream) = self.streams.get(id) else { continue };
            stream.is_ready = false;
            let allowed = usize::try_from(stream.send_window.min(self.send_window)).unwrap_or(0);
            let chunk = stream.queue.take(allowed.min(limits::MAX_FRAME_BYTES));
            let length = chunk.len();
            let at = out.len() + frame::HEADER_LEN;
            frame::write_header(length, Kind::Data, 0, id, out);
            out.extend_from_slice(chunk);
            let sent = i64::try_from(length).unwrap_or(i64::MAX);
            stream.send_window -= sent;
            self.send_window -= sent;
            self.untaken.bytes -= length;
            self.untaken.whole -= if stream.local == Side::Ended { length } else { 0 };
            self.sent.push_back((id, length));
            let emptied = stream.queue.is_empty();
            if emptied {
                stream.queue.release();
            }
            let ended = emptied && stream.local == Side::Ended;
            let trailers = if ended { stream.queue.trailers.take() } else { None };
            if !emptied && stream.send_window > 0 {
                stream.is_ready = true;
                self.ready.push_back(id);
            }
            self.expect_window_updates(length);
            if ended {
                match trailers {
                    Some(fields) if !fields.is_empty() => {
                        encode::head(&mut self.encoder, id, &fields, Lead::Trailers, true, out);
                    }
                    _ => set_end_stream(out, at - frame::HEADER_LEN),
                }
                self.after_our_end(id, out);
            }
        }
    }

    /// Everything of ours on this stream has been written.
    fn after_our_end(&mut self, id: u32, out: &mut Vec<u8>) {
        let is_server = self.role == Role::Server;
        let Some(stream) = self.streams.get(id) else { return };
        if !stream.queue.is_empty() {
            return;
        }
        if stream.remote == Side::Ended {
            self.finished_well();
        } else if is_server {
            // The answer is whole and the request is not: the client need not go on (RFC 9113 §8.1).
            frame::write_rst_stream(id, ErrorCode::NO_ERROR, out);
        } else {
            return;
        }
        self.forget(id, out);
    }

    pub(super) fn finished_well(&mut self) {
        self.abandoned.regain(limits::ABANDONED_STREAMS_REGAINED);
    }

    /// Refuse a request of which nothing reaches the engine.
    pub(super) fn refuse(&mut self, id: u32, status: u16, body: &[u8], out: &mut Vec<u8>) {
        self.send_reply(id, &LocalReply { status, body, fields: &[], kind: ReplyKind::BadRequest }, out);
    }

    /// Answer from the mesh itself: HTTP to HTTP callers, trailers only to gRPC ones (their libraries look at nothing else).
    pub(super) fn send_reply(&mut self, id: u32, reply: &LocalReply<'_>, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get(id) else { return };
        let is_head = stream.is_head;
        if stream.is_grpc {
            let (digits, start) = encode::decimal(u64::from(grpc::status_of(reply.status, reply.kind)));
            let mut message = Vec::new();
            grpc::encode_message(reply.body, &mut message);
            let fields = [
                (&b"content-type"[..], &b"application/grpc"[..]),
                (b"grpc-status", digits.get(start..).unwrap_or_default()),
                (b"grpc-message", &message),
            ];
            encode::reply(&mut self.encoder, id, 200, &fields, true, out);
        } else {
            let (digits, start) = encode::decimal(reply.body.len() as u64);
            let mut fields = vec![(&b"content-length"[..], digits.get(start..).unwrap_or_default())];
            if !reply.body.is_empty() && !reply.names_its_type() {
                fields.push((b"content-type", b"text/plain"));
            }
            fields.extend_from_slice(reply.fields);
            let bodiless = is_head || reply.body.is_empty();
            encode::reply(&mut self.encoder, id, reply.status, &fields, bodiless, out);
            if !bodiless {
                self.send_data(id, reply.body, true, out);
                return;
            }
        }
        if let Some(stream) = self.streams.get(id) {
            stream.local = Side::Ended;
        }
        self.after_our_end(id, out);
    }
}

/// Set `END_STREAM` in the DATA frame header that begins at `at`.
fn set_end_stream(out: &mut [u8], at: usize) {
    if let Some(flags) = out.get_mut(at + 4) {
        *flags |= flag::END_STREAM;
    }
}
