//! A declaration, checked and compiled: names become slots, hexadecimal becomes bytes, and what the mesh will write
//! is read back once, so that a wrong template is found when it is written and not when an endpoint is lost.

use std::collections::BTreeSet;

use crate::events::ReplyKind;
use crate::framed::codec::Frame;
use crate::framed::declaration::{Codes, Declaration, HeaderFormat, Source};
use crate::framed::kind::Kind;
use crate::framed::layout::{Layout, Parsed};
use crate::framed::names::{plain, Names};
use crate::framed::runs::Wanted;
use crate::framed::step::{Field, Step};
use crate::framed::template::{self, Filling, Piece};
use crate::framed::word::{Kept, Key, Test, Word};
use crate::head::PROXIED;
use crate::limits::{MAX_FRAMED_FRAME, MAX_FRAMED_NAMES};

/// A compiled declaration.
#[derive(Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Name.
    pub name: String,
    /// Name in access logs.
    pub label: String,
    /// Its frames.
    pub layout: Layout,
    /// Its id.
    pub id: Field,
    /// Names of the texts, by slot.
    pub text_names: Vec<Box<[u8]>>,
    /// Format of the header block, and the numbers in it.
    pub headers: Option<(HeaderFormat, Field)>,
    /// Service.
    pub service: Option<Word>,
    /// Method.
    pub method: Option<Word>,
    /// Fields that conditions of routes see besides those of the frame, by name.
    pub fields: Vec<(&'static [u8], Word)>,
    /// Budget in milliseconds.
    pub timeout: Option<Word>,
    /// The headers of service, method and budget, and the one by which an activator says that it has been there, which are
    /// wanted in that order.
    pub keys: [Option<Key>; 4],
    /// What of a request the mesh's answer repeats.
    pub echoes: Vec<Kept>,
    /// Answer to heartbeats.
    pub heartbeat_reply: Vec<Piece>,
    /// Answer of the mesh.
    pub error: Vec<Piece>,
    rules: Vec<(Kind, Vec<Test>)>,
    codes: [u64; 8],
}

impl Protocol {
    /// Return the bytes that every frame begins with, if it says so.
    pub fn magic(&self) -> Option<&[u8]> {
        match self.layout.steps().first() {
            Some(Step::Magic(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// Compile a declaration in JSON. The error names the field that is wrong.
    pub fn compile(text: &str) -> Result<Self, String> {
        let declaration: Declaration = serde_json::from_str(text).map_err(|error| plain(&error))?;
        let name = declaration.name.clone();
        let well_named = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !well_named {
            return Err(format!("name: {name:?} must be 1 to 64 of a-z, 0-9 and -"));
        }
        if !(1..=MAX_FRAMED_FRAME).contains(&declaration.max_frame_bytes) {
            let bytes = declaration.max_frame_bytes;
            return Err(format!("max_frame_bytes: {bytes} is out of range; accepted are 1 to {MAX_FRAMED_FRAME}"));
        }
        let mut names = Names::new(declaration.endian);
        let steps = names.steps(&declaration.frame)?;
        let id = names.id.ok_or("frame: has no id; without one answers cannot find their requests")?;
        let rules = names.rules(&declaration.kinds)?;
        let heartbeat_reply = names.pieces("heartbeat_reply", &declaration.heartbeat_reply, id)?;
        let error = names.pieces("error.frame", &declaration.error.frame, id)?;
        let word = |field: &str, source: Option<&Source>| source.map(|source| names.word(field, source)).transpose();
        let group = word("route.group", declaration.route.group.as_ref())?.map(|word| (&b"group"[..], word));
        let version = word("route.version", declaration.route.version.as_ref())?.map(|word| (&b"version"[..], word));
        let fields: Vec<_> = group.into_iter().chain(version).collect();
        for (field, _) in &fields {
            if names.texts.iter().any(|name| name.as_bytes() == *field) {
                let field = String::from_utf8_lossy(field);
                return Err(format!("route.{field}: a text of the frame has this name already"));
            }
        }
        let service = word("route.service", declaration.route.service.as_ref())?;
        let method = word("route.method", declaration.route.method.as_ref())?;
        let timeout = word("timeout_ms", declaration.timeout_ms.as_ref())?;
        let tested: BTreeSet<usize> = rules.iter().flat_map(|(_, tests)| tests).map(|(slot, ..)| *slot).collect();
        let words = [&service, &method, &timeout].into_iter().flatten().chain(fields.iter().map(|(_, word)| word));
        let wanted = wanted(tested, words, &names.echoes);
        let protocol = Self {
            keys: keys([&service, &method, &timeout]),
            service,
            method,
            fields,
            timeout,
            layout: Layout::new(steps, declaration.max_frame_bytes, &wanted),
            codes: codes(&declaration.error.codes),
            label: name.to_ascii_uppercase(),
            name,
            id,
            text_names: names.texts.iter().map(|name| name.as_bytes().into()).collect(),
            headers: names.headers,
            echoes: names.echoes,
            heartbeat_reply,
            error,
            rules,
        };
        protocol.check_codes()?;
        protocol.check_templates()?;
        Ok(protocol)
    }

    /// Return what a frame with these numbers is; `None` if no rule fits.
    pub fn kind(&self, numbers: &[u64; MAX_FRAMED_NAMES]) -> Option<Kind> {
        let holds = |(slot, mask, equals): &Test| numbers.get(*slot).is_some_and(|number| number & mask == *equals);
        self.rules.iter().find(|(_, tests)| tests.iter().all(holds)).map(|(kind, _)| *kind)
    }

    /// Return the protocol's code for what went wrong.
    pub fn code(&self, kind: ReplyKind) -> u64 {
        let [no_route, no_endpoint, broken, bad_response, timeout, overload, bad_request, configured] = self.codes;
        match kind {
            ReplyKind::NoRoute => no_route,
            ReplyKind::NoEndpoint => no_endpoint,
            ReplyKind::Broken => broken,
            ReplyKind::BadResponse => bad_response,
            ReplyKind::Timeout => timeout,
            ReplyKind::Overload | ReplyKind::Exhausted => overload,
            ReplyKind::BadRequest | ReplyKind::Forbidden => bad_request,
            ReplyKind::Configured => configured,
        }
    }

    fn has(&self, kind: Kind) -> bool {
        self.rules.iter().any(|(is, _)| *is == kind)
    }

    fn check_codes(&self) -> Result<(), String> {
        for piece in &self.error {
            let Piece::Code(field) = piece else { continue };
            if let Some(code) = self.codes.iter().find(|code| **code > field.max()) {
                return Err(format!("error.codes: {code} does not fit into {} bytes", field.size));
            }
        }
        Ok(())
    }

    /// Read back what the mesh will write.
    fn check_templates(&self) -> Result<(), String> {
        for kind in [Kind::Request, Kind::Response] {
            if !self.has(kind) {
                return Err(format!("kinds: no rule says what a {} is", kind.name()));
            }
        }
        self.check_template("error.frame", &self.error, &[Kind::Response, Kind::Failure])?;
        if self.has(Kind::Heartbeat) {
            if self.heartbeat_reply.is_empty() {
                return Err("heartbeat_reply: missing; heartbeats are answered by the mesh".to_owned());
            }
            // A reply that looked like a heartbeat would be answered in turn, for ever.
            self.check_template("heartbeat_reply", &self.heartbeat_reply, &[Kind::HeartbeatReply])?;
        }
        Ok(())
    }

    fn check_template(&self, field: &str, pieces: &[Piece], wanted: &[Kind]) -> Result<(), String> {
        const ID: u64 = 0x0102_0304;
        let mut echo = Vec::new();
        for kept in &self.echoes {
            let size = self.layout.steps().iter().find_map(|step| match (step, kept) {
                (Step::Number(slot, field), Kept::Number(kept)) if slot == kept => Some(field.size),
                (Step::Text(slot, field), Kept::Text(kept)) if slot == kept => Some(field.size),
                (Step::FixedText(slot, size), Kept::Text(kept)) if slot == kept => Some(*size),
                _ => None,
            });
            template::remember(&mut echo, &vec![0; size.unwrap_or(0)]);
        }
        let mut frame = Vec::new();
        let filling = Filling { id: ID, echo: &echo, code: self.code(ReplyKind::Timeout), text: b"timeout" };
        template::write(pieces, &filling, &mut frame);
        let (mut read, mut parsed) = (Frame::default(), Parsed::default());
        match self.layout.walk(&frame, false, &mut read, &mut parsed, 0) {
            Err(fault) => return Err(format!("{field}: read back, {}", fault.what)),
            Ok(false) => return Err(format!("{field}: read back, its {} bytes are not a whole frame", frame.len())),
            Ok(true) if read.length != frame.len() => {
                return Err(format!("{field}: read back, it has {} bytes and says {}", frame.len(), read.length));
            }
            Ok(true) => {}
        }
        if read.id != ID {
            return Err(format!("{field}: read back, it has another id than its request; put `id` where the id is"));
        }
        match self.kind(&parsed.numbers) {
            Some(kind) if wanted.contains(&kind) => Ok(()),
            kind => {
                let kind = kind.map_or("of no kind", Kind::name);
                let wanted = wanted.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ");
                Err(format!("{field}: read back, it is {kind}; it must be {wanted}"))
            }
        }
    }
}

/// Return what is asked of numbers: rules look at some, words at others, or at their bytes, and templates repeat bytes.
fn wanted<'a>(tested: BTreeSet<usize>, words: impl Iterator<Item = &'a Word>, echoes: &[Kept]) -> Wanted {
    let mut wanted = Wanted { tested, ..Wanted::default() };
    for word in words {
        if let Word::Number { slot } = word {
            wanted.read.insert(*slot);
            wanted.repeated.insert(*slot);
        }
    }
    for echo in echoes {
        if let Kept::Number(slot) = echo {
            wanted.repeated.insert(*slot);
        }
    }
    wanted
}

fn keys(words: [&Option<Word>; 3]) -> [Option<Key>; 4] {
    let [service, method, timeout] = words.map(|word| match word {
        Some(Word::Header { key, .. }) => Some(Key::new(key)),
        _ => None,
    });
    [service, method, timeout, Some(Key::new(PROXIED))]
}

fn codes(codes: &Codes) -> [u64; 8] {
    [
        codes.no_route,
        codes.no_endpoint,
        codes.broken,
        codes.bad_response,
        codes.timeout,
        codes.overload,
        codes.bad_request,
        codes.configured,
    ]
    .map(|code| code.unwrap_or(codes.default))
}
