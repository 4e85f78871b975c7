//! Configurations in YAML, as far as they are plainly written: nothing that YAML 1.1 and 1.2, or two readers of either,
//! could take for different things. Whatever is not plain, wrong documents among it, is left to a complete reader.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// How deep collections may lie in each other; bootstraps of Envoy have some twenty levels.
pub const MAX_DEPTH: usize = 64;

/// Most values of a document, those counted that aliases repeat, or might: a few lines of aliases of aliases make
/// billions.
pub const MAX_VALUES: usize = 200_000;

/// Longest key. `libyaml` takes 1,024 characters, spaces before the colon among them.
const MAX_KEY_BYTES: usize = 512;

/// A document, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, or nothing at all.
    Null,
    /// `true` and `false`, or YAML 1.1's other words for them.
    Bool(bool),
    /// A decimal number without a point.
    Int(i64),
    /// A decimal number with a point.
    Float(f64),
    /// What is quoted, or is none of the above.
    Text(String),
    /// A sequence.
    List(Vec<Value>),
    /// A mapping, in the order of the file.
    Map(Vec<(String, Value)>),
}

/// Return the one document in `text`, or `None` when it is not plain.
pub fn read_plain(text: &str) -> Option<Value> {
    if !is_plain(text) {
        return None;
    }
    let mut reader =
        Reader { text, open: Vec::new(), anchors: HashMap::new(), values: 0, document: None, begun: false };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.ok()?;
        reader.take(event, span)?;
    }
    if !reader.anchors.is_empty() && !has_distinct_anchors(text) {
        return None;
    }
    reader.document
}

/// Return whether no character and no line of `text` means other things to other readers.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|octet| octet == b'\n' || (b' '..=b'~').contains(&octet))
        && text.lines().all(|line| {
            let written = line.trim_start_matches(' ');
            !line.starts_with(['%', '.']) && written != "?" && !written.starts_with("? ")
        })
}

/// Return whether no name of an anchor is given twice, each is one to every reader, and no `&` means anything else.
fn has_distinct_anchors(text: &str) -> bool {
    let mut seen = HashSet::new();
    text.split('&').skip(1).all(|after| {
        let name = after.split([' ', '\n', ',', ']', '}']).next().unwrap_or_default();
        !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric()) && seen.insert(name)
    })
}

/// A collection that has begun.
struct Open {
    anchor: usize,
    /// Whether it is written with brackets, or lies in one that is.
    flow: bool,
    /// Where it begins.
    line: usize,
    /// Levels of collections in what it holds by now.
    height: usize,
    /// The key whose value comes next.
    key: Option<String>,
    made: Made,
}

enum Made {
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

struct Reader<'text> {
    text: &'text str,
    open: Vec<Open>,
    /// What aliases stand for, and how many values and levels each has.
    anchors: HashMap<usize, (Value, usize, usize)>,
    values: usize,
    document: Option<Value>,
    /// Whether a document has begun.
    begun: bool,
}

impl Reader<'_> {
    /// Take the next event in; `None` when the document is not plain.
    fn take(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::DocumentStart(_) if self.begun => return None,
            Event::DocumentStart(_) => self.begun = true,
            Event::Scalar(text, style, anchor, None) => {
                let value = self.scalar(text, style, span)?;
                self.keep(anchor, &value, 1, 0)?;
                self.add(value, 0)?;
            }
            Event::SequenceStart(anchor, None) => self.begin(anchor, span, Made::List(Vec::new()))?,
            Event::MappingStart(anchor, None) => self.begin(anchor, span, Made::Map(Vec::new()))?,
            Event::SequenceEnd | Event::MappingEnd => self.end(span)?,
            Event::Alias(anchor) => {
                if self.open.last().is_some_and(|open| open.key.is_none() && matches!(open.made, Made::Map(_))) {
                    return None;
                }
                let (value, values, height) = self.anchors.get(&anchor)?;
                self.values += values - 1;
                if self.values > MAX_VALUES {
                    return None;
                }
                let (value, height) = (value.clone(), *height);
                self.add(value, height)?;
            }
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => return None, // with a tag
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Some(())
    }

    fn begin(&mut self, anchor: usize, span: Span, made: Made) -> Option<()> {
        if self.open.len() >= MAX_DEPTH || (anchor > 0 && self.anchors.contains_key(&anchor)) {
            return None;
        }
        let opened = self.text.get(span.start.index()..)?.starts_with(['[', '{']);
        let flow = opened || self.flow();
        self.open.push(Open { anchor, flow, line: span.start.line(), height: 0, key: None, made });
        Some(())
    }

    fn end(&mut self, span: Span) -> Option<()> {
        let Open { anchor, flow, line, height, key, made } = self.open.pop()?;
        if flow && line != span.end.line() {
            return None;
        }
        let value = match made {
            Made::List(items) => Value::List(items),
            Made::Map(members) if key.is_none() && has_distinct_keys(&members) => Value::Map(members),
            Made::Map(_) => return None,
        };
        if anchor > 0 {
            let values = count(&value);
            self.keep(anchor, &value, values, height + 1)?;
        }
        self.add(value, height + 1)
    }

    fn keep(&mut self, anchor: usize, value: &Value, values: usize, height: usize) -> Option<()> {
        if anchor == 0 {
            return Some(());
        }
        self.values += values;
        let bounded = self.values <= MAX_VALUES;
        (bounded && self.anchors.insert(anchor, (value.clone(), values, height)).is_none()).then_some(())
    }

    /// Put a value where it belongs.
    fn add(&mut self, value: Value, height: usize) -> Option<()> {
        self.values += 1;
        if self.values > MAX_VALUES || self.open.len() + height > MAX_DEPTH {
            return None;
        }
        let Some(open) = self.open.last_mut() else {
            return self.document.replace(value).is_none().then_some(());
        };
        open.height = open.height.max(height);
        match (&mut open.made, open.key.take(), value) {
            (Made::List(items), _, value) => items.push(value),
            (Made::Map(members), Some(key), value) => members.push((key, value)),
            (Made::Map(_), None, Value::Text(key)) if key.len() <= MAX_KEY_BYTES => open.key = Some(key),
            (Made::Map(_), None, _) => return None,
        }
        Some(())
    }

    fn flow(&self) -> bool {
        self.open.last().is_some_and(|open| open.flow)
    }

    /// Return what a scalar stands for; `None` when it spans lines, has escapes, or is not what it seems.
    fn scalar(&self, text: Cow<'_, str>, style: ScalarStyle, span: Span) -> Option<Value> {
        let written = self.text.get(span.start.index()..span.end.index())?;
        if span.start.line() != span.end.line() {
            return None;
        }
        match style {
            ScalarStyle::Plain if written.is_empty() => (!self.flow()).then_some(Value::Null),
            ScalarStyle::Plain if written == text && is_safe(written, self.flow()) => resolve(written),
            ScalarStyle::SingleQuoted => unquoted(written, '\'', &text).then(|| Value::Text(text.into_owned())),
            ScalarStyle::DoubleQuoted => unquoted(written, '"', &text).then(|| Value::Text(text.into_owned())),
            _ => None,
        }
    }
}

/// Return whether `written` is `text` in quotes, nothing in it escaped.
fn unquoted(written: &str, quote: char, text: &str) -> bool {
    written.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) == Some(text)
}

/// Return whether every reader takes a scalar without quotes for the same text.
fn is_safe(written: &str, flow: bool) -> bool {
    let mut octets = written.bytes();
    let first = octets.next().unwrap_or_default();
    let begins = first.is_ascii_alphanumeric() || b"/_.~+<$^(;-".contains(&first);
    let in_flow = |octet: u8| octet.is_ascii_alphanumeric() || b"/_.+-".contains(&octet);
    begins && (!flow || (in_flow(first) && octets.all(in_flow)))
}

/// Return what YAML 1.1 takes a scalar without quotes for; `None` for rare ways to write numbers and times.
fn resolve(written: &str) -> Option<Value> {
    match written {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Some(Value::Bool(false)),
        "null" | "Null" | "NULL" | "~" => return Some(Value::Null),
        "<<" => return None,
        _ => {}
    }
    if !written.starts_with(|first: char| first.is_ascii_digit() || "-+.".contains(first)) {
        return Some(Value::Text(written.to_owned()));
    }
    let digits = written.strip_prefix('-').unwrap_or(written);
    let (whole, part) = digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
    let numeric = |text: &str| !text.is_empty() && text.len() <= 18 && text.bytes().all(|octet| octet.is_ascii_digit());
    if numeric(whole) && (whole == "0" || !whole.starts_with('0')) {
        match part {
            None => return written.parse().ok().map(Value::Int),
            Some(part) if numeric(part) => return written.parse().ok().map(Value::Float),
            Some(_) => {}
        }
    }
    // No number and no time has two points, or a letter but those of `0x`, `0b`, `e`, `T`, `Z`, `inf` and `nan`.
    let strange = |letter: char| letter.is_ascii_alphabetic() && !"abcdefinxtz".contains(letter.to_ascii_lowercase());
    let text = written.matches('.').count() > 1 || written.contains(strange);
    text.then(|| Value::Text(written.to_owned()))
}

fn has_distinct_keys(members: &[(String, Value)]) -> bool {
    let mut seen = HashSet::with_capacity(members.len());
    members.iter().all(|(key, _)| seen.insert(key.as_str()))
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::List(items) => items.iter().map(count).sum(),
        Value::Map(members) => members.iter().map(|(_, member)| 1 + count(member)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn what_bootstraps_are_made_of_is_read() {
        let found = read_plain(
            "# one\nnode: {id: 'a b', cluster: \"c\"}\nempty:\nlist:\n- 127.0.0.1\n- [80, -2.5, on, 0.25s, []]\n- x: http://h:80/#a\n  y: ~\n",
        );
        let list = vec![Value::Int(80), Value::Float(-2.5), Value::Bool(true), text("0.25s"), Value::List(vec![])];
        let pair = vec![("x".into(), text("http://h:80/#a")), ("y".into(), Value::Null)];
        let expected = Value::Map(vec![
            ("node".into(), Value::Map(vec![("id".into(), text("a b")), ("cluster".into(), text("c"))])),
            ("empty".into(), Value::Null),
            ("list".into(), Value::List(vec![text("127.0.0.1"), Value::List(list), Value::Map(pair)])),
        ]);
        assert_eq!(found, Some(expected));
    }

    #[test]
    fn aliases_repeat_what_was_named() {
        let found = read_plain("a: &one\n  b: 1\nc: *one\n").unwrap();
        let one = Value::Map(vec![("b".into(), Value::Int(1))]);
        assert_eq!(found, Value::Map(vec![("a".into(), one.clone()), ("c".into(), one)]));
    }

    #[test]
    fn what_is_not_plain_is_left_alone() {
        for strange in [
            "",
            "a: 1\na: 2",
            "1: a",
            "a: !!str 1",
            "a: 017",
            "a: 1_000",
            "a: 0x1f",
            "a: 2026-01-02",
            "a: 1:30",
            "a: .inf",
            "a: |\n  b\n",
            "a: >\n  b\n",
            "a: b\n  c\n",
            "a: \"\\n\"",
            "a: 'it''s'",
            "<<: {a: 1}",
            "a: \tb",
            "a: b\u{e4}",
            "%YAML 1.1\n---\na: 1",
            "--- a\n--- b",
            "a: 1\n...\n",
            "? a\n: b",
            "a: [b",
            "a: *b",
            "a: &x 1\nb: &x 2",
            "a: {b: c d}",
            "a: &x\n  b: *x\n",
            "- &&x\n- a",
            "{a\n: b}",
            "[a:, b]",
            "{a}",
            "a: 99999999999999999999",
            "a: @b",
            "a: 1\r\n",
        ] {
            assert_eq!(read_plain(strange), None, "{strange:?}");
        }
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read_plain(&nested(MAX_DEPTH)).is_some());
        assert_eq!(read_plain(&nested(MAX_DEPTH + 1)), None);
        let half = nested(MAX_DEPTH / 2);
        assert!(read_plain(&format!("- &a {half}\n- {}*a{}\n", "[".repeat(30), "]".repeat(30))).is_some());
        assert_eq!(read_plain(&format!("- &a {half}\n- {}*a{}\n", "[".repeat(40), "]".repeat(40))), None);
        let mut bomb = String::from("- &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..7 {
            let names = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb = [bomb, format!("- &a{level} [{names}]\n")].concat();
        }
        assert_eq!(read_plain(&bomb), None);
        let many = "- 1\n".repeat(MAX_VALUES);
        assert_eq!(read_plain(&many), None);
    }
}
