//! The codec that a declaration drives.

use std::sync::Arc;

use crate::events::{Fault, LocalReply};
use crate::framed::block;
use crate::framed::codec::{Address, Codec, Frame};
use crate::framed::compile::Protocol;
use crate::framed::kind::Kind;
use crate::framed::layout::{Parsed, Place};
use crate::framed::step::Field;
use crate::framed::template::{self, Filling};
use crate::framed::word::{Kept, Word};
use crate::head::{Head, Span, Version};
use crate::short::front;

/// The codec of a declared protocol.
#[derive(Debug)]
pub struct Declared {
    protocol: Arc<Protocol>,
    /// Number of the protocol in its engine.
    number: u16,
    parsed: Parsed,
    /// What the last frame was, and how it began: mostly as the next one does.
    told: Option<Kind>,
    told_by: Option<u128>,
}

impl Declared {
    /// Return the codec of `protocol`, which its engine knows as `number`.
    pub fn new(protocol: &Arc<Protocol>, number: u16) -> Self {
        let (protocol, parsed) = (Arc::clone(protocol), Parsed::default());
        Self { protocol, number, parsed, told: None, told_by: None }
    }

    fn id_field(&self) -> Field {
        self.protocol.id
    }

    fn kept<'a>(&self, kept: &Kept, input: &'a [u8]) -> &'a [u8] {
        let place = match kept {
            Kept::Number(slot) => self.protocol.layout.number(*slot, &self.parsed),
            Kept::Text(slot) => self.parsed.texts.get(*slot).map(|text| (text.outer, text.outer_end)),
        };
        place.and_then(|(start, end)| input.get(start..end)).unwrap_or_default()
    }

    fn number(&self, slot: usize) -> u64 {
        self.parsed.numbers.get(slot).copied().unwrap_or(0)
    }

    fn word(&self, word: &Word, head: &mut Head) -> Span {
        let (start, _) = head.frame.envelope.range();
        let place = |at: &Place| Span::new(start + at.start, start + at.end);
        let span = match word {
            Word::Text { slot, .. } => self.parsed.texts.get(*slot).map(place).unwrap_or_default(),
            Word::Header { key, .. } => head.find(key).unwrap_or_default(),
            Word::Number { slot } => head.store(self.number(*slot).to_string().as_bytes()),
        };
        let (from, to) = word.cut().of(head.bytes(span));
        let (start, _) = span.range();
        Span::new(start + from, start + to)
    }

    /// Return the bytes of a word that does not stand in the header block: of a number those that it is written in.
    fn bytes<'a>(&self, word: &Word, input: &'a [u8]) -> Option<&'a [u8]> {
        let (start, end) = match word {
            Word::Text { slot, .. } => self.parsed.texts.get(*slot).map(|text| (text.start, text.end))?,
            Word::Number { slot } => self.protocol.layout.number(*slot, &self.parsed)?,
            Word::Header { .. } => return None,
        };
        input.get(start..end)
    }

    /// Read the header block of the frame at hand into the fields of `head`, which holds it already.
    fn fields(&self, input: &[u8], head: &mut Head, status: u16) -> Result<(), Fault> {
        let Some((format, field)) = self.protocol.headers else { return Ok(()) };
        let Place { start: from, end, .. } = self.parsed.headers;
        let start = head.frame.envelope.range().0 + from;
        let place = |text: block::Text| Span::new(start + text.0, start + text.1);
        let block = input.get(from..end).unwrap_or_default();
        block::each(block, format, field, |key, value| head.place_field(place(key), place(value)))
            .map_err(|what| Fault { status, what })
    }

    /// Find the words of the header block; `None`: it is malformed, or says that an activator has been there.
    fn find<'a>(&self, said: &mut [Option<&'a [u8]>; 4], input: &'a [u8]) -> Option<()> {
        let Some((format, field)) = self.protocol.headers else { return Some(()) };
        let block = input.get(self.parsed.headers.start..self.parsed.headers.end)?;
        let told = block::each(block, format, field, |(start, end), value| {
            let key = block.get(start..end).unwrap_or_default();
            let front = front(key);
            for (wanted, said) in self.protocol.keys.iter().zip(&mut *said) {
                if wanted.as_ref().is_some_and(|wanted| wanted.is(key, front)) && said.is_none() {
                    *said = block.get(value.0..value.1);
                }
            }
        });
        (told.is_ok() && said.last() == Some(&None)).then_some(())
    }
}

impl Codec for Declared {
    /// What its answers repeat, each behind its length.
    type Memory = Vec<u8>;

    fn frame(&mut self, input: &[u8], status: u16, frame: &mut Frame) -> Result<bool, Fault> {
        let opening = self.protocol.layout.opening(input);
        let known = opening.is_some() && opening == self.told_by;
        if !self.protocol.layout.walk(input, known, frame, &mut self.parsed, status)? {
            return Ok(false);
        }
        if !known {
            (self.told, self.told_by) = (self.protocol.kind(&self.parsed.numbers), opening);
        }
        frame.kind = self.told.ok_or(Fault { status, what: "no rule says what this frame is" })?;
        Ok(true)
    }

    fn address<'a>(
        &self,
        _frame: &Frame,
        input: &'a [u8],
        _head: &'a mut Head,
        address: &mut Address<'a>,
    ) -> Option<i32> {
        let protocol = &*self.protocol;
        let words = [&protocol.service, &protocol.method, &protocol.timeout].map(Option::as_ref);
        let [a, b, c] = words.map(|word| self.bytes(word?, input));
        let mut said = [a, b, c, None];
        self.find(&mut said, input)?;
        let part = |(word, said): (Option<&Word>, Option<&'a [u8]>)| match (word, said) {
            (Some(word), Some(said)) => word.cut().part(said),
            _ => &[],
        };
        let ([a, b, c], [service, method, timeout, _]) = (words, said);
        (address.service, address.method) = (part((a, service)), part((b, method)));
        let timeout = part((c, timeout));
        Some(match &protocol.timeout {
            Some(Word::Number { slot }) => self.number(*slot).try_into().unwrap_or(0),
            _ if timeout.is_empty() => 0,
            _ => milliseconds(timeout),
        })
    }

    fn describe(&self, input: &[u8], head: &mut Head, status: u16) -> Result<(), Fault> {
        let (start, _) = head.frame.envelope.range();
        for (name, place) in self.protocol.text_names.iter().zip(&self.parsed.texts) {
            let name = head.store(name);
            head.place_field(name, Span::new(start + place.start, start + place.end));
        }
        self.fields(input, head, status)?;
        let service = self.protocol.service.as_ref().map(|word| self.word(word, head));
        let method = self.protocol.method.as_ref().map(|word| self.word(word, head));
        head.place_authority(service.unwrap_or_default());
        head.place_method(method.unwrap_or_default());
        let words = [service.unwrap_or_default(), method.unwrap_or_default()];
        head.set_path_of(if words[0].is_empty() { &words[1..] } else { &words });
        for (name, word) in &self.protocol.fields {
            let value = self.word(word, head);
            if !value.is_empty() {
                let name = head.store(name);
                head.place_field(name, value);
            }
        }
        if let Some(timeout) = &self.protocol.timeout {
            let span = self.word(timeout, head);
            head.frame.timeout_ms = milliseconds(head.bytes(span));
        }
        Ok(())
    }

    fn remember(&self, input: &[u8], memory: &mut Vec<u8>) {
        const KEEP: usize = 256;
        memory.clear();
        if memory.capacity() > KEEP {
            memory.shrink_to(KEEP);
        }
        for kept in &self.protocol.echoes {
            template::remember(memory, self.kept(kept, input));
        }
    }

    fn version(&self) -> Version {
        Version::Framed(self.number)
    }

    fn max_id(&self) -> u64 {
        self.id_field().max()
    }

    fn id_at(&self) -> usize {
        self.parsed.id_at
    }

    fn write_id(&self, id: u64, bytes: &mut [u8]) {
        self.id_field().write(id, bytes);
    }

    fn heartbeat_reply(&self, frame: &Frame, input: &[u8], out: &mut Vec<u8>) {
        let mut echo = Vec::new();
        self.remember(input, &mut echo);
        let filling = Filling { id: frame.id, echo: &echo, code: 0, text: &[] };
        template::write(&self.protocol.heartbeat_reply, &filling, out);
    }

    fn local_reply(&self, id: u64, memory: &Vec<u8>, reply: &LocalReply<'_>, out: &mut Vec<u8>) {
        let code = self.protocol.code(reply.kind);
        let filling = Filling { id, echo: memory, code, text: reply.body };
        template::write(&self.protocol.error, &filling, out);
    }
}

/// Return the milliseconds that a text says; 0: none.
fn milliseconds(text: &[u8]) -> i32 {
    std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
