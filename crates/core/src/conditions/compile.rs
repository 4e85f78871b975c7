//! From the conditions of a configuration to compiled ones. Every error names the field.

use crate::conditions::{Condition, Match};
use crate::config::{self, HeaderMatch, PathKind};
use crate::pattern::Pattern;
use crate::text::Text;

/// Compile a condition on a header; the error names it behind `field`.
pub fn condition(matched: &HeaderMatch, field: &str) -> Result<Condition, String> {
    let text = Text::compile(matched.kind, &matched.value, matched.ignore_case);
    Ok(Condition {
        name: matched.name.to_ascii_lowercase().as_bytes().into(),
        text: text.map_err(|what| format!("{field}[{:?}].value: {what}", matched.name))?,
        invert: matched.invert,
    })
}

/// Compile a condition on a parameter of the query, whose name is case-sensitive.
fn parameter(matched: &HeaderMatch, field: &str) -> Result<Condition, String> {
    Ok(Condition { name: matched.name.as_bytes().into(), ..condition(matched, field)? })
}

/// Compile a match; the error names what is wrong behind `field`.
pub fn compile_match(when: &config::RouteMatch, field: &str) -> Result<Match, String> {
    let pattern = (when.path_kind == PathKind::Regex).then(|| Pattern::compile(&when.path)).transpose();
    let headers = when.headers.iter().map(|matched| condition(matched, &format!("{field}.headers")));
    let query = when.query.iter().map(|matched| parameter(matched, &format!("{field}.query")));
    Ok(Match {
        path: when.path.as_bytes().into(),
        path_kind: when.path_kind,
        path_pattern: pattern.map_err(|what| format!("{field}.path: {what}"))?,
        headers: headers.collect::<Result<_, String>>()?,
        query: query.collect::<Result<_, String>>()?,
    })
}
