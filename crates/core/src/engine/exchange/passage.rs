//! How far a request has come through the steps of access.

use std::sync::Arc;

use serde_json::Value;

use crate::access::{Mutation, Said};
use crate::engine::exchange::OwnAnswer;
use crate::routes::Filters;
use crate::slab::Id;

/// What only a request has that a step has kept, or taken note of.
#[derive(Debug, Default)]
pub struct Passage {
    /// The step it is at.
    pub at: usize,
    /// The filters of the listener that this step is one of: those that are in force when it goes on may be others.
    pub listener: Option<Arc<Filters>>,
    /// What steps have noted, by their namespaces.
    pub noted: Vec<(Box<str>, Value)>,
    /// How far the question of the step that it is at has come.
    pub consult: Consult,
    /// How the head of its answer is changed.
    pub response: Vec<Mutation>,
}

impl Passage {
    /// Take note of something, for steps that come after.
    pub fn note(&mut self, namespace: &str, noted: Value) {
        let known = self.noted.iter_mut().find(|(name, _)| **name == *namespace).map(|(_, known)| known);
        match (known, noted) {
            (Some(Value::Object(known)), Value::Object(noted)) => known.extend(noted),
            (Some(known), noted) => *known = noted,
            (None, noted) => self.noted.push((namespace.into(), noted)),
        }
    }
}

/// How far the question about a request has come.
#[derive(Debug, Default)]
pub enum Consult {
    /// Nothing has been asked yet.
    #[default]
    Fresh,
    /// As many bytes of the body must come first, or its end.
    Collecting(usize),
    /// It has been asked, by this exchange of ours if there is one.
    Asked(Option<Id>),
    /// The answer is there.
    Answered(Box<OwnAnswer>),
    /// A filter of this process has it.
    Deciding(Arc<str>),
    /// It has decided.
    Decided(Box<Said>),
}
