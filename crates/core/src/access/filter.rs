//! Filters that this process itself has, written in Python: who is asked, and what becomes of silence.

use std::sync::Arc;

use crate::access::mutation::Silence;
use crate::config::PythonFilter;
use crate::limits::MAX_FILTER_S;

/// A compiled step.
#[derive(Debug)]
pub struct Filter {
    /// `FILE:NAME`, of one that is made with a configuration `FILE:NAME:DIGEST`.
    pub name: Arc<str>,
    /// Longest time for its decision.
    pub timeout_s: f64,
    /// What becomes of a request without one.
    pub silence: Silence,
}

impl Filter {
    /// Compile a step; the error names what is wrong behind `field`.
    pub fn compile(terms: &PythonFilter, field: &str) -> Result<Self, String> {
        let seconds = terms.timeout_s;
        if !(seconds > 0.0 && seconds <= MAX_FILTER_S) {
            return Err(format!(
                "{field}.timeout_s: {seconds} is out of range; accepted are more than 0, up to {MAX_FILTER_S}"
            ));
        }
        let silence = Silence { fail_open: terms.fail_open, marks: false, status: terms.status_on_error };
        silence.check().map_err(|what| format!("{field}.status_on_error: {what}"))?;
        let mut name = format!("{}:{}", terms.file, terms.name);
        if let Some(config) = &terms.config {
            name = format!("{name}:{}", config.digest);
        }
        Ok(Self { name: name.into(), timeout_s: seconds, silence })
    }
}
