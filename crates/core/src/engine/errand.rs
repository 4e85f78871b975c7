//! What the engine itself asks others for, on behalf of requests that wait for it. An errand is an exchange of this process
//! to one cluster, without a route: it has that cluster's connections, breakers and TLS, and its answer stays in here.

use crate::engine::exchange::{Errand, Own, OwnAnswer, OwnTerms};
use crate::engine::Engine;
use crate::head::Head;
use crate::slab::Id;

/// What is asked.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// Of which cluster.
    pub cluster: &'a str,
    /// The head of the request.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
    /// Longest time for the whole answer.
    pub timeout_s: f64,
    /// Longest body of the answer.
    pub max_answer_bytes: usize,
}

impl Engine {
    /// Ask. The answer, or that there is none, is worked on when all that is at hand is done (`settle`).
    /// Return its number, if it has begun.
    pub(super) fn ask_for(&mut self, question: Question<'_>, errand: Errand, now: f64) -> Option<Id> {
        let Some(number) = self.cluster_names.get(question.cluster).copied() else {
            let mut answer = OwnAnswer::default();
            answer.fail("no_route");
            self.errands.push((errand, answer));
            return None;
        };
        let id = self.exchanges.take();
        let exchange = self.exchanges.get_mut(id)?;
        *exchange.head = question.head;
        exchange.head.content_length = (!question.body.is_empty()).then_some(question.body.len() as u64);
        exchange.held = question.body;
        exchange.begin(true, now);
        let terms =
            OwnTerms { timeout_s: question.timeout_s, hold: true, max_response_bytes: question.max_answer_bytes };
        exchange.own = Some(Box::new(Own { terms, errand: Some(errand), ..Own::default() }));
        exchange.cluster = Some(number);
        exchange.counted = true;
        exchange.timeout_s = question.timeout_s;
        if let Some(cluster) = self.clusters.get_mut(number) {
            cluster.load.begin(false, now);
            cluster.counters.rq_total += 1;
        }
        self.start_clock(id, now);
        self.dispatch(id, now);
        Some(id)
    }

    /// An errand has ended with `answer`.
    pub(super) fn errand_over(&mut self, errand: Errand, answer: OwnAnswer, now: f64) {
        match errand {
            Errand::Keys(set) => self.keys_came(set, &answer, now),
            Errand::Verdict(id) => self.verdict_came(id, answer, now),
        }
    }

    /// Let requests go on that waited for an errand.
    pub(super) fn go_on(&mut self, waiting: Vec<Id>, now: f64) {
        for id in waiting {
            self.passage_over(id, now);
        }
    }
}
