//! Elements, rules and templates of a declaration, one by one: each name becomes a slot, each mistake an error with its place.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::framed::declaration::{Condition, Element, Endian, HeaderFormat, Masked, Part, Rule, Source};
use crate::framed::kind::Kind;
use crate::framed::step::{Field, Step};
use crate::framed::template::Piece;
use crate::framed::word::{Cut, Kept, Test, Word};
use crate::head::PROXIED;
use crate::limits::{MAX_FRAMED_ELEMENTS, MAX_FRAMED_NAMES};

/// The names given so far, and where they stand.
#[derive(Default)]
pub struct Names {
    endian: Endian,
    numbers: Vec<String>,
    /// Texts, by slot.
    pub texts: Vec<String>,
    kept: HashMap<String, Kept>,
    /// What templates repeat, by number.
    pub echoes: Vec<Kept>,
    /// The id.
    pub id: Option<Field>,
    length: bool,
    /// The header block.
    pub headers: Option<(HeaderFormat, Field)>,
}

impl Names {
    /// Return no names yet; `endian` is the order of bytes in numbers that do not say.
    pub fn new(endian: Endian) -> Self {
        Self { endian, ..Self::default() }
    }

    /// Compile the elements of a frame.
    pub fn steps(&mut self, elements: &[Value]) -> Result<Vec<Step>, String> {
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
        if name.as_bytes() == PROXIED {
            return Err(format!("{field}: the name {name:?} is the mesh's own"));
        }
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

    /// Compile the rules that say what a frame is.
    pub fn rules(&self, rules: &[Value]) -> Result<Vec<(Kind, Vec<Test>)>, String> {
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

    /// Compile a template.
    pub fn pieces(&mut self, field: &str, parts: &[Value], id: Field) -> Result<Vec<Piece>, String> {
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

    /// Compile the source of a word.
    pub fn word(&self, field: &str, source: &Source) -> Result<Word, String> {
        let cut = match (&source.before, &source.after) {
            (None, None) => Cut::Whole,
            (Some(word), None) => Cut::Before(word.as_bytes().into()),
            (None, Some(word)) => Cut::After(word.as_bytes().into()),
            (Some(_), Some(_)) => return Err(format!("{field}: give before or after, not both")),
        };
        match (&source.text, &source.header, &source.number) {
            (Some(name), None, None) => Ok(Word::Text { slot: self.slot(field, name, false)?, cut }),
            (None, Some(_), None) if self.headers.is_none() => Err(format!("{field}.header: the frame has no headers")),
            // A text is a field of its name, and stands before the headers.
            (None, Some(key), None) if self.texts.contains(key) => {
                Ok(Word::Text { slot: self.slot(field, key, false)?, cut })
            }
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
pub fn plain(error: &serde_json::Error) -> String {
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
