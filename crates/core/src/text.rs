//! A condition on a text (`model.TextMatch`), compiled.

use crate::config::{TextKind, TextMatch};
use crate::pattern::Pattern;

/// What a header's value, a path or a name is compared with.
#[derive(Debug)]
pub struct Text {
    kind: TextKind,
    value: Box<[u8]>,
    pattern: Option<Pattern>,
    ignore_case: bool,
}

impl Text {
    /// Compile a condition; the error says what is wrong with its value.
    pub fn compile(kind: TextKind, value: &str, ignore_case: bool) -> Result<Self, String> {
        let pattern = (kind == TextKind::Regex).then(|| Pattern::compile(value)).transpose()?;
        let value = if ignore_case { value.to_ascii_lowercase() } else { value.to_owned() };
        Ok(Self { kind, value: value.as_bytes().into(), pattern, ignore_case })
    }

    /// Compile a condition of the model.
    pub fn of(wanted: &TextMatch) -> Result<Self, String> {
        Self::compile(wanted.kind, &wanted.value, wanted.ignore_case)
    }

    /// Return whether it only asks that there be a value.
    pub fn is_presence(&self) -> bool {
        self.kind == TextKind::Present
    }

    /// Return whether `text` meets the condition. An expression ignores no case: it can say so itself.
    pub fn matches(&self, text: &[u8]) -> bool {
        if self.ignore_case && self.kind != TextKind::Regex {
            return self.compare(&text.to_ascii_lowercase());
        }
        self.compare(text)
    }

    fn compare(&self, text: &[u8]) -> bool {
        match self.kind {
            TextKind::Exact => text == &*self.value,
            TextKind::Prefix => text.starts_with(&self.value),
            TextKind::Suffix => text.ends_with(&self.value),
            TextKind::Contains => memchr::memmem::find(text, &self.value).is_some(),
            TextKind::Present => true,
            TextKind::Regex => self.pattern.as_ref().is_some_and(|pattern| pattern.matches(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_ignored_where_that_was_asked_for() {
        let folded = Text::compile(TextKind::Suffix, ".Shop", true).unwrap();
        assert!(folded.matches(b"a.SHOP") && folded.matches(b"a.shop") && !folded.matches(b"shop"));
        assert!(!Text::compile(TextKind::Exact, "A", false).unwrap().matches(b"a"));
        assert!(!Text::compile(TextKind::Regex, "A", true).unwrap().matches(b"a"));
    }
}
