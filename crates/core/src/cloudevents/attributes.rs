//! Attributes of one event, in the order in which they came.

use std::borrow::Cow;

use super::Refusal;

/// Most attributes of one event. Real events carry under 20; without a bound an event of 1 MiB could hold 100,000 names, and
/// every trigger would look at them.
pub const MAX_ATTRIBUTES: usize = 128;

/// What an attribute may be; the other types of the specification (URI, timestamp, binary) travel as text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Text(Cow<'a, str>),
    Integer(i32),
    Boolean(bool),
}

impl Value<'_> {
    /// Return the canonical text (cloudevents/spec.md, "Type System").
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Boolean(true) => Cow::Borrowed("true"),
            Self::Boolean(false) => Cow::Borrowed("false"),
        }
    }
}

/// Names and values: few enough to be looked for one by one.
#[derive(Debug, Default, PartialEq)]
pub struct Attributes<'a> {
    entries: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Attributes<'a> {
    /// Add an attribute. Refused: one that is there already (`twice` says how that came), and one too many.
    pub fn add(&mut self, name: Cow<'a, str>, value: Value<'a>, twice: &str) -> Result<(), Refusal> {
        if self.get(&name).is_some() {
            return Err(Refusal::of(&name, twice));
        }
        self.push(name, value)
    }

    /// Set an attribute, whether or not it is there.
    pub fn set(&mut self, name: &'static str, value: Value<'a>) -> Result<(), Refusal> {
        match self.entries.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => {
                *known = value;
                Ok(())
            }
            None => self.push(Cow::Borrowed(name), value),
        }
    }

    /// Add an attribute of which it is known that it is not there.
    pub fn push(&mut self, name: Cow<'a, str>, value: Value<'a>) -> Result<(), Refusal> {
        check_count(self.entries.len() + 1)?;
        self.entries.push((name, value));
        Ok(())
    }

    /// Return the value of an attribute.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Return all of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.entries.iter().map(|(name, value)| (&**name, value))
    }

    /// Return how many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Return whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Return nothing when an event may have so many attributes.
pub fn check_count(count: usize) -> Result<(), Refusal> {
    if count > MAX_ATTRIBUTES {
        return Err(Refusal::whole(format!("CloudEvent has more than {MAX_ATTRIBUTES} attributes")));
    }
    Ok(())
}
