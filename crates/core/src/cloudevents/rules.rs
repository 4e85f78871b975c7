//! The rules of attributes (cloudevents/spec.md, "Context Attributes" and "Type System").

use super::attributes::{Attributes, Value};
use super::{timestamp, Refusal, Shown};
use crate::ascii::is_token;

/// The attributes that every event has.
pub const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];

/// Longest attribute name. The specification asks producers for at most 20; longer ones exist in the wild.
pub const MAX_NAME_LENGTH: usize = 64;

/// Longest attribute value in UTF-8: what a header of common servers holds, so that binary mode stays possible.
pub const MAX_VALUE_BYTES: usize = 16_384;

/// Return nothing when all attributes obey the rules.
pub fn check(attributes: &Attributes) -> Result<(), Refusal> {
    check_required(attributes)?;
    attributes.iter().try_for_each(|(name, value)| check_one(name, value))
}

fn check_required(attributes: &Attributes) -> Result<(), Refusal> {
    for name in REQUIRED {
        let empty = |value: &Value| matches!(value, Value::Text(text) if text.is_empty());
        if attributes.get(name).is_none_or(empty) {
            return Err(Refusal::of(name, "is required and must not be empty"));
        }
    }
    match attributes.get("specversion") {
        Some(Value::Text(version)) if version == "1.0" => Ok(()),
        Some(other) => {
            let text = other.text();
            Err(Refusal::of("specversion", format!("is '{}'; only \"1.0\" is supported", Shown(&text))))
        }
        None => Ok(()),
    }
}

/// Return nothing when one attribute obeys the rules; one that is required may not be missing besides.
pub fn check_one(name: &str, value: &Value) -> Result<(), Refusal> {
    check_name(name)?;
    if let Value::Text(text) = value {
        check_text(name, text)?;
    }
    let text = value.text();
    let problem = match name {
        "source" | "dataschema" if !is_uri_reference(&text) => "is not a URI-reference (RFC 3986)",
        "dataschema" if !has_scheme(&text) => "is not an absolute URI",
        "time" | "expirytime" | "deliverafter" if !timestamp::is_timestamp(&text) => "is not an RFC 3339 timestamp",
        "datacontenttype" if !is_media_type(&text) => "is not a media type (RFC 2046)",
        "subject" if text.is_empty() => return Err(Refusal::of(name, "must not be empty when it is present")),
        _ => return Ok(()),
    };
    Err(Refusal::of(name, format!("'{}' {problem}", Shown(&text))))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.len() > MAX_NAME_LENGTH {
        let length = name.chars().count();
        if length > MAX_NAME_LENGTH {
            return Err(Refusal::of(name, format!("name has {length} characters, more than {MAX_NAME_LENGTH}")));
        }
    }
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Err(Refusal::of(name, "names consist of lower-case ASCII letters and digits"));
    }
    if name == "data" {
        return Err(Refusal::of(name, "is no attribute: it names the payload"));
    }
    Ok(())
}

fn check_text(name: &str, text: &str) -> Result<(), Refusal> {
    // Nearly all values are plain ASCII, and those need no search.
    let odd = text.bytes().fold(0, |odd, byte| odd | u8::from(!(0x20..0x7f).contains(&byte)));
    if odd != 0 {
        if let Some(found) = text.chars().find(|character| is_forbidden(*character)) {
            return Err(forbidden(name, u32::from(found)));
        }
    }
    if text.len() > MAX_VALUE_BYTES {
        return Err(Refusal::of(name, format!("has {} bytes, more than {MAX_VALUE_BYTES}", text.len())));
    }
    Ok(())
}

/// Control characters and what Unicode has set apart for no character; surrogates are not in a `char`.
fn is_forbidden(character: char) -> bool {
    let code = u32::from(character);
    character.is_control() || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

/// Return the refusal of a text for one of its code points.
pub fn forbidden(name: &str, code: u32) -> Refusal {
    Refusal::of(name, format!("holds the forbidden character U+{code:04X}"))
}

/// Return the refusal of an integer, given by its digits.
pub fn out_of_range(name: &str, digits: &str) -> Refusal {
    Refusal::of(name, format!("{} is outside the 32-bit signed range", Shown(digits)))
}

fn is_uri_reference(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Return whether a reference begins with a scheme (RFC 3986 3.1).
fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(allowed)
}

/// Return whether a text is a type and a subtype, and what follows a semicolon.
fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim_end_matches(' ');
    essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind.as_bytes()) && is_token(subtype.as_bytes()))
}
