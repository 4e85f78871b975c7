//! Calls of this process over a protocol of whole frames: what its caller would have written on a connection.

use crate::bolt;
use crate::dubbo;
use crate::engine::exchange::{Own, OwnTerms};
use crate::engine::Engine;
use crate::events::{Fault, Piece};
use crate::framed::{Codec, Frame, Kind};
use crate::head::Head;
use crate::slab::Id;

impl Engine {
    /// Begin an exchange with a whole request of Bolt or Dubbo, routed by `table` as if it had been read from a
    /// connection; the id in it is of no account.
    ///
    /// An error says why the frame is no such request; nothing has begun then.
    pub fn call(&mut self, table: &str, frame: &[u8], terms: OwnTerms, now: f64) -> Result<Id, String> {
        let mut head = Box::<Head>::default();
        let body = if frame.starts_with(&dubbo::MAGIC) {
            read(&mut dubbo::Codec::default(), frame, &mut head)
        } else {
            read(&mut bolt::Codec::default(), frame, &mut head)
        };
        let body = body.map_err(|fault| format!("frame: {}", fault.what))?;
        let id = self.exchanges.take();
        let Some(exchange) = self.exchanges.get_mut(id) else { return Ok(id) };
        exchange.head = head;
        self.send_own(id, table, body.of(frame), Own { terms, ..Own::default() }, now);
        Ok(id)
    }
}

/// Read a request into `head`; return where its body lies.
fn read(codec: &mut impl Codec, input: &[u8], head: &mut Head) -> Result<Piece, Fault> {
    const STATUS: u16 = 400;
    let mut frame = Frame::default();
    let whole = codec.frame(input, STATUS, &mut frame)?;
    let frame = Some(frame).filter(|frame| whole && frame.length == input.len() && frame.kind == Kind::Request);
    let Some(frame) = frame else { return Err(Fault { status: STATUS, what: "not one whole request" }) };
    codec.store(&frame, input, head);
    codec.describe(input, head, STATUS)?;
    Ok(frame.body())
}
