//! The codec that a declaration drives.

use std::sync::Arc;

use crate::events::{Fault, LocalReply};
use crate::framed::block::Pairs;
use crate::framed::codec::{Address, Codec, Frame};
use crate::framed::compile::Protocol;
use crate::framed::kind::Kind;
use crate::framed::layout::{Parsed, Place};
use crate::framed::step::Field;
use crate::framed::template::{self, Filling};
use crate::framed::word::{front, Kept, Word};
use crate::head::{Head, Span, Version, PROXIED};
use crate::limits::MAX_FRAMED_NAMES;

/// The codec of a declared protocol.
#[derive(Debug)]
pub struct Declared {
    protocol: Arc<Protocol>,
    /// Number of the protocol in its engine.
    number: u16,
    parsed: Parsed,
    /// What the last frame was, and the numbers by which it was told: mostly those of the next one, too.
    told: Option<Kind>,
    told_by: [u64; MAX_FRAMED_NAMES],
}

impl Declared {
    /// Return the codec of `protocol`, which its engine knows as `number`.
    pub fn new(protocol: &Arc<Protocol>, number: u16) -> Self {
        Self {
            protocol: Arc::clone(protocol),
            number,
            parsed: Parsed::default(),
            told: None,
            told_by: [0; MAX_FRAMED_NAMES],
        }
    }

    /// Return what the frame at hand is; `None`: no rule says it.
    fn kind(&mut self) -> Option<Kind> {
        let numbers = &self.parsed.numbers;
        let same = self.protocol.tested.iter().all(|slot| numbers.get(*slot) == self.told_by.get(*slot));
        if !same || self.told.is_none() {
            (self.told, self.told_by) = (self.protocol.kind(numbers), *numbers);
        }
        self.told
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
        let mut pairs = Pairs::new(input.get(from..end).unwrap_or_default(), format, field);
        for (key, value) in &mut pairs {
            let place = |text: (usize, usize)| Span::new(start + text.0, start + text.1);
            head.place_field(place(key), place(value));
        }
        pairs.fault.map_or(Ok(()), |what| Err(Fault { status, what }))
    }

    /// Find the words of the header block; `None`: it is malformed, or says that an activator has been there.
    fn find<'a>(&self, words: [Option<&Word>; 3], said: &mut [Option<&'a [u8]>; 3], input: &'a [u8]) -> Option<()> {
        let Some((format, field)) = self.protocol.headers else { return Some(()) };
        let block = input.get(self.parsed.headers.start..self.parsed.headers.end)?;
        let mut pairs = Pairs::new(block, format, field);
        for ((start, end), value) in &mut pairs {
            let key = block.get(start..end)?;
            if key == PROXIED {
                return None;
            }
            let front = front(key);
            for (word, said) in words.iter().zip(&mut *said) {
                if said.is_none() && word.is_some_and(|word| word.is_header(key, front)) {
                    *said = block.get(value.0..value.1);
                }
            }
        }
        pairs.fault.is_none().then_some(())
    }
}

impl Codec for Declared {
    /// What its answers repeat, each behind its length.
    type Memory = Vec<u8>;

    fn frame(&mut self, input: &[u8], status: u16, frame: &mut Frame) -> Result<bool, Fault> {
        if !self.protocol.layout.walk(input, frame, &mut self.parsed, status)? {
            return Ok(false);
        }
        frame.kind = self.kind().ok_or(Fault { status, what: "no rule says what this frame is" })?;
        Ok(true)
    }

    fn address<'a>(&self, _frame: &Frame, input: &'a [u8], _head: &'a mut Head) -> Option<(Address<'a>, i32)> {
        let protocol = &*self.protocol;
        let words = [&protocol.service, &protocol.method, &protocol.timeout].map(Option::as_ref);
        let mut said = words.map(|word| self.bytes(word?, input));
        self.find(words, &mut said, input)?;
        let part = |(word, said): (Option<&Word>, Option<&'a [u8]>)| match (word, said) {
            (Some(word), Some(said)) => word.cut().part(said),
            _ => &[],
        };
        let ([a, b, c], [service, method, timeout]) = (words, said);
        let (service, method, timeout) = (part((a, service)), part((b, method)), part((c, timeout)));
        let timeout_ms = match &protocol.timeout {
            Some(Word::Number { slot }) => self.number(*slot).try_into().unwrap_or(0),
            _ if timeout.is_empty() => 0,
            _ => milliseconds(timeout),
        };
        Some((Address { service, method }, timeout_ms))
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
