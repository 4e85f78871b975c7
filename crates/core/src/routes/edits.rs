//! Header edits, checked once so that applying them cannot fail.

use crate::ascii;
use crate::config::HeaderEdits;
use crate::head::Head;

type Pair = (Box<[u8]>, Box<[u8]>);

/// Compiled edits: nearly always none. Each message asks six of these, so that whether there is one is all that lies with the
/// route.
#[derive(Debug, Default)]
pub struct Edits(Option<Box<Lists>>);

/// What is removed, then set, then appended.
#[derive(Debug)]
struct Lists {
    remove: Vec<Box<[u8]>>,
    set: Vec<Pair>,
    append: Vec<Pair>,
}

impl Edits {
    /// Compile `edits`; `field` names them in errors.
    pub fn compile(edits: &HeaderEdits, field: &str) -> Result<Self, String> {
        let pairs = |kind: &str, pairs: &[(String, String)]| -> Result<Vec<Pair>, String> {
            let checked = |(name, value): &(String, String)| {
                Ok((checked_name(name, field, kind)?, checked_value(value, field, kind)?))
            };
            pairs.iter().map(checked).collect()
        };
        let lists = Lists {
            remove: edits
                .remove
                .iter()
                .map(|name| checked_name(name, field, "remove"))
                .collect::<Result<_, String>>()?,
            set: pairs("set", &edits.set)?,
            append: pairs("append", &edits.append)?,
        };
        let some = !(lists.remove.is_empty() && lists.set.is_empty() && lists.append.is_empty());
        Ok(Self(some.then(|| Box::new(lists))))
    }

    /// Return whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Edit `head`. `host` (or `:authority`) means the authority, which can be set but not removed.
    #[inline]
    pub fn apply(&self, head: &mut Head) {
        if let Some(lists) = &self.0 {
            lists.edit(head);
        }
    }
}

impl Lists {
    fn edit(&self, head: &mut Head) {
        for name in &self.remove {
            head.remove(name);
        }
        for (name, value) in &self.set {
            if is_authority(name) {
                head.set_authority(value);
            } else {
                head.set(name, value);
            }
        }
        for (name, value) in &self.append {
            if !is_authority(name) {
                head.append(name, value);
            }
        }
    }
}

fn is_authority(name: &[u8]) -> bool {
    name == b"host" || name == b":authority"
}

fn checked_name(name: &str, field: &str, kind: &str) -> Result<Box<[u8]>, String> {
    let mut lower = name.as_bytes().to_vec();
    if name != ":authority" && !ascii::lower_token(&mut lower) {
        return Err(format!("{field}.{kind}: {name:?} is not a header name"));
    }
    if matches!(lower.as_slice(), b"content-length" | b"transfer-encoding" | b"connection" | b"upgrade" | b"keep-alive")
    {
        return Err(format!("{field}.{kind}: {name:?} belongs to the connection and cannot be edited"));
    }
    Ok(lower.into())
}

fn checked_value(value: &str, field: &str, kind: &str) -> Result<Box<[u8]>, String> {
    if !ascii::is_field_value(value.as_bytes()) {
        return Err(format!("{field}.{kind}: value {value:?} has control characters"));
    }
    Ok(ascii::trim(value.as_bytes()).into())
}
