//! Regular expressions of the configuration, in an engine whose time is linear in what it reads (as RE2, which Envoy uses).

use regex::bytes::{Regex, RegexBuilder};

/// Longest expression. Routes of real meshes have a few dozen bytes.
pub const MAX_PATTERN_BYTES: usize = 4_096;

/// Most memory a compiled expression may take: repetitions such as `(a{100}){100}` grow far beyond their text.
pub const MAX_PROGRAM_BYTES: usize = 256 * 1024;

/// An expression that must match a text from its beginning to its end.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
}

impl Pattern {
    /// Compile an expression; the error says what is wrong with it.
    pub fn compile(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_PATTERN_BYTES {
            let length = text.len();
            return Err(format!("an expression of {length} bytes; accepted are 1 to {MAX_PATTERN_BYTES}"));
        }
        let build = |text: &str| RegexBuilder::new(text).unicode(false).size_limit(MAX_PROGRAM_BYTES).build();
        // First the text alone: `a)(b` is no expression, though it fits between our parentheses.
        let regex = build(text).and_then(|_| build(&format!("^(?:{text})$")));
        let regex = regex.map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => format!("{text:?} takes more than {limit} bytes once compiled"),
            error => format!("{text:?} is not a regular expression: {}", last_line(&error.to_string())),
        })?;
        Ok(Self { regex })
    }

    /// Return whether all of `text` matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_must_match() {
        let pattern = Pattern::compile("/v[12]|/old").unwrap();
        assert!(pattern.matches(b"/v1") && pattern.matches(b"/old"));
        assert!(!pattern.matches(b"/v1/x") && !pattern.matches(b"/a/old") && !pattern.matches(b"/v3"));
        assert!(Pattern::compile(r"\d+\xff").unwrap().matches(b"12\xff"));
    }

    #[test]
    fn what_is_no_expression_is_told() {
        for (text, part) in [
            ("", "0 bytes"),
            ("(", "unclosed group"),
            ("a)(b", "unopened group"),
            (r"(a)\1", "backreferences are not supported"),
            ("(?=a)", "look-around"),
        ] {
            let error = Pattern::compile(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(Pattern::compile(&"a".repeat(MAX_PATTERN_BYTES + 1)).unwrap_err().contains("4097 bytes"));
        assert!(Pattern::compile("((a{50}){50}){50}").unwrap_err().contains("once compiled"));
    }

    #[test]
    fn time_is_linear_in_the_text() {
        // A backtracking engine needs 2^50000 steps for this.
        assert!(!Pattern::compile("(a|a)*b").unwrap().matches(&vec![b'a'; 50_000]));
    }
}
