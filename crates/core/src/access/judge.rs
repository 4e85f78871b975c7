//! What becomes of one request: what is required of it, and what that comes to, token by token.

use std::sync::Arc;

use serde_json::Value;

use crate::access::authn::{Fetched, Jwt, Provider, Requirement, Source, Taken};
use crate::access::jwt::{Failure, Token};
use crate::access::request::Request;
use crate::access::tokens::Bearer;
use crate::head::Head;
use crate::request_parts::without_query;

/// What comes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It may go on, with these tokens taken.
    Through(Vec<Taken>),
    /// It may not.
    Refused(Failure),
    /// Keys must be fetched first: the number of their set.
    Awaits(usize),
}

/// What one requirement comes to.
pub(super) enum Outcome {
    /// It is met.
    Met,
    /// It is not.
    Unmet(Failure),
    /// Keys must be fetched first.
    Awaits(usize),
}

/// Return which of two failures is told: the later one, unless it says that there was nothing.
fn graver(before: Failure, after: Failure) -> Failure {
    match (before, after) {
        (Failure::Missing, after) => after,
        (before, Failure::Missing | Failure::UnknownIssuer) => before,
        (_, after) => after,
    }
}

/// Judges the tokens of one request.
pub(super) struct Judge<'a, F> {
    jwt: &'a Jwt,
    request: &'a Request<'a>,
    fetched: F,
    now: u64,
    taken: Vec<Taken>,
}

impl<'a, F: Fn(usize) -> Fetched> Judge<'a, F> {
    /// Return who judges the tokens of `request` at `now`.
    pub fn new(jwt: &'a Jwt, request: &'a Request<'a>, fetched: F, now: u64) -> Self {
        Self { jwt, request, fetched, now, taken: Vec::new() }
    }

    /// Return the tokens that were taken.
    pub fn taken(self) -> Vec<Taken> {
        self.taken
    }

    /// Return what a requirement comes to.
    pub fn meets(&mut self, requirement: &Requirement) -> Outcome {
        match requirement {
            Requirement::TokenOf(provider, audiences) => self.bears(*provider, audiences.as_deref()),
            Requirement::All(of) => {
                for one in of {
                    match self.meets(one) {
                        Outcome::Met => {}
                        other => return other,
                    }
                }
                Outcome::Met
            }
            Requirement::One(of) => self.meets_one(of),
            Requirement::MayBeMissing => self.may_be_missing(),
            Requirement::MayFail => self.may_fail(),
        }
    }

    /// Ask one after the other until one is met. Told is the last failure that says more than that there was nothing; what may
    /// be absent beside others excuses that there was nothing, or every failure.
    fn meets_one(&mut self, of: &[Requirement]) -> Outcome {
        let mut told = Failure::Missing;
        for one in of.iter().filter(|one| !matches!(one, Requirement::MayBeMissing | Requirement::MayFail)) {
            match self.meets(one) {
                Outcome::Unmet(failure) => told = graver(told, failure),
                other => return other,
            }
        }
        let excused = of.iter().any(|one| match one {
            Requirement::MayFail => true,
            Requirement::MayBeMissing => told == Failure::Missing,
            _ => false,
        });
        if excused {
            Outcome::Met
        } else {
            Outcome::Unmet(told)
        }
    }

    /// Return what lies in the request for a provider and has not been taken away by one before.
    fn bearers(&self, provider: &Provider) -> Vec<Bearer> {
        let mut found = Bearer::all(self.request.head, &provider.terms);
        found.retain(|bearer| {
            let gone = |taken: &Taken| {
                let forward = self.jwt.providers.get(taken.provider).is_none_or(|by| by.terms.forward);
                !forward && taken.place.goes_with(&bearer.place)
            };
            !self.taken.iter().any(gone)
        });
        found
    }

    /// Judge the tokens that lie where `provider` has them: there must be one, and all must be good.
    fn bears(&mut self, provider: usize, audiences: Option<&[String]>) -> Outcome {
        let Some(of) = self.jwt.providers.get(provider) else { return Outcome::Unmet(Failure::UnknownIssuer) };
        let bearers = self.bearers(of);
        let mut outcome = if bearers.is_empty() { Outcome::Unmet(Failure::Missing) } else { Outcome::Met };
        for bearer in bearers {
            match self.judge(&bearer, |_| Some(provider), audiences) {
                Outcome::Met => {}
                Outcome::Unmet(failure) => outcome = Outcome::Unmet(failure),
                Outcome::Awaits(set) => return Outcome::Awaits(set),
            }
        }
        outcome
    }

    /// Judge the first token that lies where a provider has it, by its issuer; there may be none.
    fn may_be_missing(&mut self) -> Outcome {
        match self.all_bearers().first() {
            Some((bearer, owners)) => self.judge_by_issuer(bearer, owners),
            None => Outcome::Met,
        }
    }

    /// Judge all tokens that lie where providers have them; those that are good are taken.
    fn may_fail(&mut self) -> Outcome {
        for (bearer, owners) in self.all_bearers() {
            if let Outcome::Awaits(set) = self.judge_by_issuer(&bearer, &owners) {
                return Outcome::Awaits(set);
            }
        }
        Outcome::Met
    }

    /// Return the tokens that lie where providers have them, each with those that have it there.
    fn all_bearers(&self) -> Vec<(Bearer, Vec<usize>)> {
        let mut seen: Vec<(Bearer, Vec<usize>)> = Vec::new();
        for (at, provider) in self.jwt.providers.iter().enumerate() {
            for bearer in self.bearers(provider) {
                match seen.iter_mut().find(|(known, _)| known.place == bearer.place) {
                    Some((_, owners)) => owners.push(at),
                    None => seen.push((bearer, vec![at])),
                }
            }
        }
        seen.sort_by(|(one, _), (other, _)| one.place.cmp(&other.place));
        seen
    }

    /// Judge a token by the provider of its issuer, else by one that takes any. One that has its tokens elsewhere is not
    /// asked: `owners` have them here.
    fn judge_by_issuer(&mut self, bearer: &Bearer, owners: &[usize]) -> Outcome {
        let providers = &self.jwt.providers;
        let of = |issuer: &str| providers.iter().position(|one| one.terms.issuer == issuer);
        let issued_by = |at: &usize, issuer: &str| providers.get(*at).is_some_and(|one| one.terms.issuer == issuer);
        let may = |issuer: &str| owners.iter().any(|at| issued_by(at, issuer) || issued_by(at, ""));
        self.judge(bearer, |token| of(&token.issuer).or_else(|| of("")).filter(|_| may(&token.issuer)), None)
    }

    fn judge(
        &mut self,
        bearer: &Bearer,
        provider: impl Fn(&Token<'_>) -> Option<usize>,
        audiences: Option<&[String]>,
    ) -> Outcome {
        let token = match Token::parse(&bearer.token) {
            Ok(token) => token,
            Err(failure) => return Outcome::Unmet(failure),
        };
        let Some((at, by)) = provider(&token).and_then(|at| Some((at, self.jwt.providers.get(at)?))) else {
            return Outcome::Unmet(Failure::UnknownIssuer);
        };
        if let Err(failure) = by.check(&token, audiences, self.now) {
            return Outcome::Unmet(failure);
        }
        let keys = match &by.keys {
            Source::Inline(keys) => Arc::clone(keys),
            Source::Remote(set) => match (self.fetched)(*set) {
                Fetched::Ready(keys) => keys,
                Fetched::Awaited => return Outcome::Awaits(*set),
                Fetched::Failed => return Outcome::Unmet(Failure::NoKeys),
            },
        };
        if let Err(failure) = keys.verify(&token) {
            return Outcome::Unmet(failure);
        }
        let encoded_payload = token.encoded_payload.to_vec();
        let (payload, header) = (Value::Object(token.payload), token.header);
        self.taken.push(Taken { provider: at, place: bearer.place.clone(), encoded_payload, payload, header });
        Outcome::Met
    }
}

impl Jwt {
    /// Return what becomes of a request at `now` (seconds since the epoch). `requirement`: what its route asks for by name.
    pub fn decide(
        &self,
        request: &Request<'_>,
        requirement: Option<&str>,
        fetched: impl Fn(usize) -> Fetched,
        now: u64,
    ) -> Verdict {
        if self.bypass_preflight && is_preflight(request.head) {
            return Verdict::Through(Vec::new());
        }
        let path = without_query(request.head.path());
        let requirement = if let Some(name) = requirement {
            let named = self.named.iter().find(|(known, _)| **known == *name);
            // Envoy answers the same: a route that asks for what is not there lets nobody through.
            let Some((_, named)) = named else {
                return Verdict::Refused(Failure::Malformed("Wrong requirement_name"));
            };
            Some(named)
        } else {
            self.rules.iter().find(|(when, _)| when.matches(path, request.head)).and_then(|(_, asked)| asked.as_ref())
        };
        let Some(requirement) = requirement else { return Verdict::Through(Vec::new()) };
        let mut judge = Judge::new(self, request, fetched, now);
        match judge.meets(requirement) {
            Outcome::Met => Verdict::Through(judge.taken()),
            Outcome::Unmet(failure) => Verdict::Refused(failure),
            Outcome::Awaits(set) => Verdict::Awaits(set),
        }
    }
}

/// Return whether a browser asks what it may ask (Fetch standard, "CORS-preflight request").
fn is_preflight(head: &Head) -> bool {
    let says = |name: &[u8]| head.get(name).is_some_and(|value| !value.is_empty());
    head.method() == b"OPTIONS" && says(b"origin") && says(b"access-control-request-method")
}
