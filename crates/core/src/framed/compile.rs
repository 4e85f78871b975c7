//! A declaration, checked and compiled: names become slots, hexadecimal becomes bytes, and what the mesh will write
//! is read back once, so that a wrong template is found when it is written and not when an endpoint is lost.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::events::ReplyKind;
use crate::framed::declaration::{
    Codes, Condition, Declaration, Element, Endian, HeaderFormat, Masked, Part, Rule, Source,
};
use crate::framed::layout::{Field, Layout, Parsed, Step};
use crate::framed::template::{self, Filling, Piece};
use crate::framed::Kind;
use crate::head::{Head, Span};
use crate::limits::{MAX_FRAMED_ELEMENTS, MAX_FRAMED_FRAME, MAX_FRAMED_NAMES};

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
    /// Budget in milliseconds.
    pub timeout: Option<Word>,
    /// What of a request the mesh's answer repeats.
    pub echoes: Vec<Kept>,
    /// Answer to heartbeats.
    pub heartbeat_reply: Vec<Piece>,
    /// Answer of the mesh.
    pub error: Vec<Piece>,
    rules: Vec<(Kind, Vec<Test>)>,
    codes: [u64; 8],
}

/// A condition: slot, mask, value.
type Test = (usize, u64, u64);

/// A named piece of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A number.
    Number(usize),
    /// A text.
    Text(usize),
}

/// Where a word comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Word {
    /// A text.
    Text { slot: usize, cut: Cut },
    /// A header.
    Header { key: Box<[u8]>, cut: Cut },
    /// A number.
    Number { slot: usize },
}

/// Which part of a text is meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// All of it.
    Whole,
    /// What stands before the first of these.
    Before(Box<[u8]>),
    /// What stands behind the first of these.
    After(Box<[u8]>),
}

impl Cut {
    /// Return that part of what lies at `span`.
    pub fn of(&self, head: &Head, span: Span) -> Span {
        let (start, end) = span.range();
        let find = |word: &[u8]| memchr::memmem::find(head.bytes(span), word);
        match self {
            Self::Whole => span,
            Self::Before(word) => Span::new(start, find(word).map_or(start, |at| start + at)),
            Self::After(word) => Span::new(find(word).map_or(start, |at| start + at + word.len()), end),
        }
    }
}

impl Protocol {
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
        let mut names = Names { endian: declaration.endian, ..Names::default() };
        let steps = names.steps(&declaration.frame)?;
        let id = names.id.ok_or("frame: has no id; without one answers cannot find their requests")?;
        let rules = names.rules(&declaration.kinds)?;
        let heartbeat_reply = names.pieces("heartbeat_reply", &declaration.heartbeat_reply, id)?;
        let error = names.pieces("error.frame", &declaration.error.frame, id)?;
        let word = |field: &str, source: Option<&Source>| source.map(|source| names.word(field, source)).transpose();
        let protocol = Self {
            service: word("route.service", declaration.route.service.as_ref())?,
            method: word("route.method", declaration.route.method.as_ref())?,
            timeout: word("timeout_ms", declaration.timeout_ms.as_ref())?,
            layout: Layout {
                last_kept: steps.iter().rposition(Step::is_kept).unwrap_or(0),
                steps,
                max_frame: declaration.max_frame_bytes,
            },
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
            ReplyKind::BadRequest => bad_request,
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
            let size = self.layout.steps.iter().find_map(|step| match (step, kept) {
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
        let mut parsed = Parsed::default();
        match self.layout.walk(&frame, &mut parsed, 0) {
            Err(fault) => return Err(format!("{field}: read back, {}", fault.what)),
            Ok(false) => return Err(format!("{field}: read back, its {} bytes are not a whole frame", frame.len())),
            Ok(true) if parsed.length != frame.len() => {
                return Err(format!("{field}: read back, it has {} bytes and says {}", frame.len(), parsed.length));
            }
            Ok(true) => {}
        }
        if parsed.id != ID {
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

/// The names given so far, and where they stand.
#[derive(Default)]
struct Names {
    endian: Endian,
    numbers: Vec<String>,
    texts: Vec<String>,
    kept: HashMap<String, Kept>,
    echoes: Vec<Kept>,
    id: Option<Field>,
    length: bool,
    headers: Option<(HeaderFormat, Field)>,
}

impl Names {
    fn steps(&mut self, elements: &[Value]) -> Result<Vec<Step>, String> {
        if elements.len() > MAX_FRAMED_ELEMENTS {
            return Err(format!("frame: has {} elements; at most {MAX_FRAMED_ELEMENTS}", elements.len()));
        }
        let mut steps = Vec::new();
        let mut section = false;
        for (at, element) in elements.iter().enumerate() {
            let field = format!("frame[{at}]");
            let step = self.step(&field, parse(&field, element)?)?;
            if section && step.is_kept() {
                return Err(format!("{field}: stands behind a section; what is read must stand before all of them"));
            }
            section |= matches!(step, Step::Section(_));
            steps.push(step);
        }
        Ok(steps)
    }

    fn step(&mut self, field: &str, element: Element) -> Result<Step, String> {
        Ok(match element {
            Element::Magic(hex) => Step::Magic(bytes(&format!("{field}.magic"), &hex)?),
            Element::Skip(size) => Step::Skip(small(&format!("{field}.skip"), size)?),
            Element::Number { name, size, endian } => {
                let number = self.number(&format!("{field}.number.size"), size, endian, &[1, 2, 4, 8])?;
                Step::Number(self.name(field, name, true)?, number)
            }
            Element::Length { size, adjust, endian } => {
                if std::mem::replace(&mut self.length, true) {
                    return Err(format!("{field}: the frame has a length already"));
                }
                Step::Length(self.number(&format!("{field}.length.size"), size, endian, &[1, 2, 4, 8])?, adjust)
            }
            Element::Id { size, endian } => {
                let id = self.number(&format!("{field}.id.size"), size, endian, &[4, 8])?;
                if self.id.replace(id).is_some() {
                    return Err(format!("{field}: the frame has an id already"));
                }
                Step::Id(id)
            }
            Element::Text { name, prefix, endian } => {
                let length = self.number(&format!("{field}.text.prefix"), prefix, endian, &[1, 2, 4])?;
                Step::Text(self.name(field, name, false)?, length)
            }
            Element::FixedText { name, size } => {
                let size = small(&format!("{field}.fixed_text.size"), size)?;
                Step::FixedText(self.name(field, name, false)?, size)
            }
            Element::Headers { prefix, format, endian } => {
                let length = self.number(&format!("{field}.headers.prefix"), prefix, endian, &[1, 2, 4])?;
                if self.headers.replace((format, length)).is_some() {
                    return Err(format!("{field}: the frame has headers already"));
                }
                Step::Headers(length, format)
            }
            Element::Section { prefix, endian } => {
                Step::Section(self.number(&format!("{field}.section.prefix"), prefix, endian, &[1, 2, 4, 8])?)
            }
        })
    }

    fn number(&self, field: &str, size: usize, endian: Option<Endian>, sizes: &[usize]) -> Result<Field, String> {
        if !sizes.contains(&size) {
            return Err(format!("{field}: {size} is none of {sizes:?}"));
        }
        Ok(Field { size, endian: endian.unwrap_or(self.endian) })
    }

    /// Give a name the next slot.
    fn name(&mut self, field: &str, name: String, number: bool) -> Result<usize, String> {
        if self.kept.contains_key(&name) {
            return Err(format!("{field}: the name {name:?} is given twice"));
        }
        let slots = if number { &mut self.numbers } else { &mut self.texts };
        let slot = slots.len();
        if slot == MAX_FRAMED_NAMES {
            return Err(format!("{field}: more than {MAX_FRAMED_NAMES} names of its kind"));
        }
        slots.push(name.clone());
        self.kept.insert(name, if number { Kept::Number(slot) } else { Kept::Text(slot) });
        Ok(slot)
    }

    fn slot(&self, field: &str, name: &str, number: bool) -> Result<usize, String> {
        let names = if number { &self.numbers } else { &self.texts };
        let kind = if number { "number" } else { "text" };
        let slot = names.iter().position(|known| known == name);
        slot.ok_or_else(|| format!("{field}: no {kind} is called {name:?}; there are {names:?}"))
    }

    fn rules(&self, rules: &[Value]) -> Result<Vec<(Kind, Vec<Test>)>, String> {
        let mut compiled = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            let field = format!("kinds[{at}]");
            let rule: Rule = parse(&field, rule)?;
            let mut tests = Vec::new();
            for (name, condition) in &rule.when {
                let field = format!("{field}.when.{name}");
                let Masked { mask, equals } = match *condition {
                    Condition::Equals(equals) => Masked { mask: u64::MAX, equals },
                    Condition::Masked(masked) => masked,
                };
                if equals & !mask != 0 {
                    return Err(format!("{field}: {equals:#x} has bits outside of the mask {mask:#x}; it never holds"));
                }
                tests.push((self.slot(&field, name, true)?, mask, equals));
            }
            compiled.push((rule.is, tests));
        }
        Ok(compiled)
    }

    fn pieces(&mut self, field: &str, parts: &[Value], id: Field) -> Result<Vec<Piece>, String> {
        if parts.len() > MAX_FRAMED_ELEMENTS {
            return Err(format!("{field}: has {} parts; at most {MAX_FRAMED_ELEMENTS}", parts.len()));
        }
        let mut pieces = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let field = format!("{field}[{at}]");
            pieces.push(match parse(&field, part)? {
                Part::Bytes(hex) => Piece::Bytes(bytes(&format!("{field}.bytes"), &hex)?),
                Part::Id => Piece::Id(id),
                Part::Echo(name) => Piece::Echo(self.echo(&field, &name)?),
                Part::Length { size, adjust, endian } => {
                    Piece::Length(self.number(&format!("{field}.length.size"), size, endian, &[1, 2, 4, 8])?, adjust)
                }
                Part::Code { size, endian } => {
                    Piece::Code(self.number(&format!("{field}.code.size"), size, endian, &[1, 2, 4, 8])?)
                }
                Part::CodeText => Piece::CodeText,
                Part::Text { prefix: 0, .. } => Piece::Text(None),
                Part::Text { prefix, endian } => {
                    Piece::Text(Some(self.number(&format!("{field}.text.prefix"), prefix, endian, &[1, 2, 4])?))
                }
            });
        }
        Ok(pieces)
    }

    fn echo(&mut self, field: &str, name: &str) -> Result<usize, String> {
        let known = self.kept.get(name).ok_or_else(|| format!("{field}.echo: nothing is called {name:?}"))?;
        let at = self.echoes.iter().position(|echo| echo == known);
        Ok(at.unwrap_or_else(|| {
            self.echoes.push(known.clone());
            self.echoes.len() - 1
        }))
    }

    fn word(&self, field: &str, source: &Source) -> Result<Word, String> {
        let cut = match (&source.before, &source.after) {
            (None, None) => Cut::Whole,
            (Some(word), None) => Cut::Before(word.as_bytes().into()),
            (None, Some(word)) => Cut::After(word.as_bytes().into()),
            (Some(_), Some(_)) => return Err(format!("{field}: give before or after, not both")),
        };
        match (&source.text, &source.header, &source.number) {
            (Some(name), None, None) => Ok(Word::Text { slot: self.slot(field, name, false)?, cut }),
            (None, Some(_), None) if self.headers.is_none() => Err(format!("{field}.header: the frame has no headers")),
            (None, Some(key), None) => Ok(Word::Header { key: key.as_bytes().into(), cut }),
            (None, None, Some(name)) if cut == Cut::Whole => Ok(Word::Number { slot: self.slot(field, name, true)? }),
            (None, None, Some(_)) => Err(format!("{field}: a number has nothing before or after")),
            _ => Err(format!("{field}: give exactly one of text, header and number")),
        }
    }
}

fn parse<T: DeserializeOwned>(field: &str, value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| format!("{field}: {}", plain(&error)))
}

/// Return what is wrong without the position in a JSON text that nobody wrote.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn small(field: &str, size: usize) -> Result<usize, String> {
    const MOST: usize = 4096;
    (1..=MOST).contains(&size).then_some(size).ok_or_else(|| format!("{field}: {size} is none of 1 to {MOST}"))
}

fn bytes(field: &str, hex: &Value) -> Result<Box<[u8]>, String> {
    // YAML makes a number of 8001.
    let hex = hex.as_str().ok_or_else(|| format!("{field}: {hex} is not a text; put hexadecimal into quotes"))?;
    let digits: Option<Vec<u8>> =
        hex.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len() % 2 == 0 && digits.len() <= 1024);
    let digits = digits.ok_or_else(|| format!("{field}: {hex:?} is not bytes in hexadecimal (1 to 512)"))?;
    Ok(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit)).collect())
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
