//! Texts of JSON (RFC 8259) as events bring them, read once from front to back.
//!
//! Not `serde_json`, by which configurations are read: data is handed on as it was written (numbers of any length, escapes), a name
//! that an object has twice is refused at any depth, and so is what nests too deeply.

use std::borrow::Cow;

use super::rules::forbidden;
use super::{Refusal, Shown};

/// How deep arrays and objects may lie within each other: half of what the readers of Python and of Jackson take, so that
/// whoever is handed the data can read it.
pub const MAX_DEPTH: usize = 500;

/// A value that may be an attribute, or what kind it is of instead.
#[derive(Debug, PartialEq)]
pub enum Json<'a> {
    Null,
    Boolean(bool),
    /// The digits, and a sign.
    Integer(&'a str),
    Text(Cow<'a, str>),
    Other(&'static str),
}

/// Reads one text.
pub struct Reader<'a> {
    /// What the text is, for refusals.
    what: &'static str,
    text: &'a str,
    at: usize,
    depth: usize,
    /// Names of the objects that are open, the innermost last.
    names: Vec<Cow<'a, str>>,
}

/// What is done with each member of an object; it has the name as it is written, in quotes.
type Each<'f, 'a> = &'f mut dyn FnMut(&mut Reader<'a>, &'a str) -> Result<(), Refusal>;

impl<'a> Reader<'a> {
    /// Return a reader of `body`, which is UTF-8.
    pub fn of(body: &'a [u8], what: &'static str) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(body)
            .map_err(|error| Refusal::whole(format!("{what} is not UTF-8 (byte {})", error.valid_up_to())))?;
        Ok(Self { what, text, at: 0, depth: 0, names: Vec::new() })
    }

    /// Return the byte with which the next value begins.
    pub fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Return nothing when the text ends here.
    pub fn end(&mut self) -> Result<(), Refusal> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end")),
        }
    }

    /// Return the name of the member that is being read.
    pub fn name(&self) -> Cow<'a, str> {
        self.names.last().cloned().unwrap_or_default()
    }

    /// Read an object: `each` reads the values of its members.
    pub fn object(&mut self, each: Each<'_, 'a>) -> Result<(), Refusal> {
        let first = self.names.len();
        self.sequence(b'{', b'}', "\"}\" or \",\"", &mut |reader| {
            if reader.peek() != Some(b'"') {
                return Err(reader.expected("a member's name in quotes"));
            }
            let start = reader.at;
            let inside = reader.quoted()?;
            let written = reader.text.get(start..reader.at).unwrap_or_default();
            let name = reader.meant(inside, "")?;
            reader.names.push(name);
            if reader.peek() != Some(b':') {
                return Err(reader.expected("\":\""));
            }
            reader.at += 1;
            each(reader, written)
        })?;
        let names = self.names.get_mut(first..).unwrap_or_default();
        names.sort_unstable();
        let twice = names.windows(2).find_map(|pair| match pair {
            [one, other] if one == other => Some(one),
            _ => None,
        });
        if let Some(name) = twice {
            // Two readers could take different ones: neither value is to be trusted.
            return Err(Refusal::whole(format!("{} has the member \"{}\" twice", self.what, Shown(name))));
        }
        self.names.truncate(first);
        Ok(())
    }

    /// Read an array: `each` reads its elements.
    pub fn array(&mut self, each: &mut dyn FnMut(&mut Self) -> Result<(), Refusal>) -> Result<(), Refusal> {
        self.sequence(b'[', b']', "\"]\" or \",\"", each)
    }

    /// Read a value that may be an attribute, `of` this name. Of an array or an object nothing is read.
    pub fn value(&mut self, of: &str) -> Result<Json<'a>, Refusal> {
        match self.peek() {
            Some(b'[') => Ok(Json::Other("an array")),
            Some(b'{') => Ok(Json::Other("an object")),
            Some(b'"') => {
                let inside = self.quoted()?;
                Ok(Json::Text(self.meant(inside, of)?))
            }
            Some(b'-' | b'0'..=b'9') => match self.number()? {
                (digits, true) => Ok(Json::Integer(digits)),
                _ => Ok(Json::Other("a number with a fraction or an exponent")),
            },
            _ => Ok(match self.word()? {
                "true" => Json::Boolean(true),
                "false" => Json::Boolean(false),
                _ => Json::Null,
            }),
        }
    }

    /// Read a value of any kind; append it without the blanks between its tokens.
    pub fn copy(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let start = out.len() + 1;
        match self.peek() {
            Some(b'{') => {
                out.push(b'{');
                self.object(&mut |reader, name| {
                    separate(out, start);
                    out.extend_from_slice(name.as_bytes());
                    out.push(b':');
                    reader.copy(out)
                })?;
                out.push(b'}');
            }
            Some(b'[') => {
                out.push(b'[');
                self.array(&mut |reader| {
                    separate(out, start);
                    reader.copy(out)
                })?;
                out.push(b']');
            }
            Some(b'"') => {
                out.push(b'"');
                out.extend_from_slice(self.quoted()?.as_bytes());
                out.push(b'"');
            }
            Some(b'-' | b'0'..=b'9') => out.extend_from_slice(self.number()?.0.as_bytes()),
            _ => out.extend_from_slice(self.word()?.as_bytes()),
        }
        Ok(())
    }

    fn sequence(
        &mut self,
        opening: u8,
        closing: u8,
        expected: &str,
        each: &mut dyn FnMut(&mut Self) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if self.peek() != Some(opening) {
            return Err(self.expected("a value"));
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Refusal::whole(format!("{} is nested too deeply: more than {MAX_DEPTH}", self.what)));
        }
        self.at += 1;
        if self.peek() != Some(closing) {
            loop {
                each(self)?;
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(byte) if byte == closing => break,
                    _ => return Err(self.expected(expected)),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// Read a text; return what stands between its quotes.
    fn quoted(&mut self) -> Result<&'a str, Refusal> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        self.at = start;
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let Some(step) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = bytes.len();
                return Err(self.expected("a quote that ends the text"));
            };
            let plain = rest.get(..step).unwrap_or_default();
            if plain.iter().fold(0, |found, byte| found | u8::from(*byte < 0x20)) != 0 {
                self.at += plain.iter().take_while(|byte| **byte >= 0x20).count();
                return Err(self.expected("an escape in place of a control character"));
            }
            self.at += step;
            match rest.get(step..).unwrap_or_default() {
                [b'"', ..] => break,
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
                [b'\\', b'u', digits @ ..]
                    if digits.iter().take(4).filter(|byte| byte.is_ascii_hexdigit()).count() == 4 =>
                {
                    self.at += 6;
                }
                _ => return Err(self.expected("an escape that there is")),
            }
        }
        let inside = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(inside)
    }

    /// Return what a text means that stood between quotes; `of` names the attribute whose value it is, if it is one.
    fn meant(&self, inside: &'a str, of: &str) -> Result<Cow<'a, str>, Refusal> {
        unescaped(inside).map_err(|half| match of {
            "" => Refusal::whole(format!("{} holds half of a surrogate pair, U+{half:04X}", self.what)),
            name => forbidden(name, half),
        })
    }

    /// Read a number; return it as it is written, and whether it is an integer.
    fn number(&mut self) -> Result<(&'a str, bool), Refusal> {
        let start = self.at;
        self.skip(|byte| byte == b'-', 1);
        let leading_zero = self.text.as_bytes().get(self.at) == Some(&b'0');
        let digits = self.skip(|byte| byte.is_ascii_digit(), usize::MAX);
        if digits == 0 || leading_zero && digits > 1 {
            return Err(self.expected("a number"));
        }
        let fraction = self.skip(|byte| byte == b'.', 1);
        if fraction > 0 && self.skip(|byte| byte.is_ascii_digit(), usize::MAX) == 0 {
            return Err(self.expected("digits"));
        }
        let exponent = self.skip(|byte| matches!(byte, b'e' | b'E'), 1);
        if exponent > 0 {
            self.skip(|byte| matches!(byte, b'+' | b'-'), 1);
            if self.skip(|byte| byte.is_ascii_digit(), usize::MAX) == 0 {
                return Err(self.expected("digits"));
            }
        }
        Ok((self.text.get(start..self.at).unwrap_or_default(), fraction + exponent == 0))
    }

    /// Step over at most `most` bytes of a kind; return how many there were.
    fn skip(&mut self, kind: impl Fn(u8) -> bool, most: usize) -> usize {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let count = rest.iter().take(most).take_while(|byte| kind(**byte)).count();
        self.at += count;
        count
    }

    fn word(&mut self) -> Result<&'static str, Refusal> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let found = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word));
        let word = found.ok_or_else(|| self.expected("a value"))?;
        self.at += word.len();
        Ok(word)
    }

    fn expected(&self, what: &str) -> Refusal {
        Refusal::whole(format!("{} is not JSON: expected {what} at byte {}", self.what, self.at))
    }
}

/// Append a comma unless this is the first of a sequence, whose inside begins at `start`.
fn separate(out: &mut Vec<u8>, start: usize) {
    if out.len() > start {
        out.push(b',');
    }
}

/// Return what a text means whose escapes are sound. The error is half of a surrogate pair.
pub fn unescaped(inside: &str) -> Result<Cow<'_, str>, u32> {
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(inside));
    }
    let (mut text, mut rest) = (String::with_capacity(inside.len()), inside);
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut length = 1;
        text.push(match escape.as_bytes().first() {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = utf16(escape.get(1..));
                let low = utf16(escape.get(5..).and_then(|after| after.strip_prefix("\\u")));
                length = 5;
                match (unit, low) {
                    (0xd800..=0xdbff, 0xdc00..=0xdfff) => {
                        length = 11;
                        char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)).ok_or(unit)?
                    }
                    _ => char::from_u32(unit).ok_or(unit)?,
                }
            }
            other => char::from(other.copied().unwrap_or(b'\\')),
        });
        rest = escape.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    Ok(Cow::Owned(text))
}

/// Return the number that four hexadecimal digits are; 0 where there are none.
fn utf16(digits: Option<&str>) -> u32 {
    digits.and_then(|text| text.get(..4)).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0)
}
