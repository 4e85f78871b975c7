//! Which tokens a request must bear, and what becomes of those it bears (Envoy: `extensions/filters/http/jwt_authn`).

use std::sync::Arc;

use serde_json::Value;

use crate::access::jwks::Keys;
use crate::access::jwt::{Failure, Token};
use crate::access::request::Request;
use crate::access::tokens::{Bearer, Place};
use crate::ascii;
use crate::config::{self, JwtProvider, Requirement as Wanted};
use crate::head::Head;
use crate::limits::MAX_RULE_DEPTH;
use crate::routes::{check_seconds, compile_match, without_query, Match, Names};
use crate::text::Text;

/// Namespace under which tokens are noted: Envoy's name of the filter, which rules refer to.
pub const NAMESPACE: &str = "envoy.filters.http.jwt_authn";

/// A compiled step.
#[derive(Debug)]
pub struct Jwt {
    providers: Vec<Provider>,
    rules: Vec<(Match, Option<Requirement>)>,
    named: Vec<(Box<str>, Requirement)>,
    bypass_preflight: bool,
}

/// Whose tokens are taken.
#[derive(Debug)]
pub struct Provider {
    /// As configured.
    pub terms: JwtProvider,
    subject: Option<Text>,
    keys: Source,
}

#[derive(Debug)]
enum Source {
    Inline(Arc<Keys>),
    /// The engine's number of a key set.
    Remote(usize),
}

#[derive(Debug)]
enum Requirement {
    TokenOf(usize, Option<Vec<String>>),
    One(Vec<Requirement>),
    All(Vec<Requirement>),
    MayBeMissing,
    MayFail,
}

/// What is known of keys that are fetched.
#[derive(Debug, Clone)]
pub enum Fetched {
    /// They are there.
    Ready(Arc<Keys>),
    /// They are on their way, or nobody has asked for them yet.
    Awaited,
    /// They could not be had.
    Failed,
}

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

/// A token that was taken.
#[derive(Debug)]
pub struct Taken {
    /// Whose: a number of [`Jwt::provider`].
    pub provider: usize,
    /// Where it was.
    pub place: Place,
    /// Its payload as it was written.
    pub encoded_payload: Vec<u8>,
    /// Its payload.
    pub payload: Value,
    /// Its header.
    pub header: Value,
}

/// What one requirement comes to.
enum Outcome {
    Met,
    Unmet(Failure),
    Awaits(usize),
}

impl Jwt {
    /// Compile a step; the error names what is wrong behind `field`.
    pub fn compile(
        providers: &[JwtProvider],
        rules: &[config::JwtRule],
        named: &[(String, Wanted)],
        bypass_preflight: bool,
        field: &str,
        numbers: &mut impl Names,
    ) -> Result<Self, String> {
        let each = providers.iter().map(|one| {
            let field = format!("{field}.providers[{:?}]", one.name);
            Provider::compile(one, &field, numbers)
        });
        let providers: Vec<Provider> = each.collect::<Result<_, String>>()?;
        let rules = rules.iter().enumerate().map(|(at, rule)| {
            let field = format!("{field}.rules[{at}]");
            let requires = rule.requires.as_ref().map(|one| Requirement::compile(one, &providers, &field, 0));
            Ok((compile_match(&rule.when, &format!("{field}.match"))?, requires.transpose()?))
        });
        let rules = rules.collect::<Result<_, String>>()?;
        let named = named.iter().map(|(name, one)| {
            let field = format!("{field}.named[{name:?}]");
            Ok((name.as_str().into(), Requirement::compile(one, &providers, &field, 0)?))
        });
        let named = named.collect::<Result<_, String>>()?;
        Ok(Self { providers, rules, named, bypass_preflight })
    }

    /// Return the provider with a number.
    pub fn provider(&self, at: usize) -> Option<&Provider> {
        self.providers.get(at)
    }

    /// Return the numbers of the key sets that are fetched.
    pub fn key_sets(&self) -> impl Iterator<Item = usize> + '_ {
        self.providers.iter().filter_map(|provider| match provider.keys {
            Source::Remote(set) => Some(set),
            Source::Inline(_) => None,
        })
    }

    /// Take away the headers that only this step may set: a caller must not make claims of its own.
    pub fn sanitize(&self, head: &mut Head) {
        for provider in &self.providers {
            let claims = provider.terms.claim_headers.iter().map(|(header, _)| header);
            for header in claims.chain([&provider.terms.payload_header]).filter(|header| !header.is_empty()) {
                if head.find(header.as_bytes()).is_some() {
                    head.remove(header.as_bytes());
                }
            }
        }
    }

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
        let mut judge = Judge { jwt: self, request, fetched, now, taken: Vec::new() };
        match judge.meets(requirement) {
            Outcome::Met => Verdict::Through(judge.taken),
            Outcome::Unmet(failure) => Verdict::Refused(failure),
            Outcome::Awaits(set) => Verdict::Awaits(set),
        }
    }
}

impl Provider {
    fn compile(terms: &JwtProvider, field: &str, names: &mut impl Names) -> Result<Self, String> {
        let subject = terms.subject.as_ref().map(Text::of).transpose();
        let told = terms.claim_headers.iter().map(|(header, _)| header).chain([&terms.payload_header]);
        for header in told.filter(|header| !header.is_empty()) {
            if !ascii::is_lower_token(header.as_bytes()) {
                return Err(format!("{field}: {header:?} cannot be the name of a header"));
            }
        }
        check_seconds(terms.max_lifetime_s).map_err(|what| format!("{field}.max_lifetime_s: {what}"))?;
        let keys = match &terms.remote {
            None => Source::Inline(Arc::new(
                Keys::parse(terms.keys.as_bytes()).map_err(|what| format!("{field}.keys: the key set {what}"))?,
            )),
            Some(remote) => {
                for (name, seconds) in
                    [("timeout_s", remote.timeout_s), ("cache_s", remote.cache_s), ("retry_s", remote.retry_s)]
                {
                    check_seconds(seconds).map_err(|what| format!("{field}.remote.{name}: {what}"))?;
                }
                if !ascii::is_authority(remote.authority.as_bytes()) || !ascii::is_target(remote.path.as_bytes()) {
                    return Err(format!("{field}.remote: {:?}{:?} cannot be asked for", remote.authority, remote.path));
                }
                Source::Remote(names.key_set(remote))
            }
        };
        Ok(Self { terms: terms.clone(), subject: subject.map_err(|what| format!("{field}.subject: {what}"))?, keys })
    }

    /// Return an error unless what a token says of itself is what this provider's tokens may say.
    fn check(&self, token: &Token<'_>, audiences: Option<&[String]>, now: u64) -> Result<(), Failure> {
        let terms = &self.terms;
        if !terms.issuer.is_empty() && terms.issuer != token.issuer {
            return Err(Failure::UnknownIssuer);
        }
        if self.subject.as_ref().is_some_and(|subject| !subject.matches(token.subject.as_bytes())) {
            return Err(Failure::BadSignature);
        }
        token.check_time(now, terms.clock_skew_s)?;
        let wanted = audiences.unwrap_or(&terms.audiences);
        let named = |one: &String| wanted.iter().any(|audience| plain(audience) == plain(one));
        if !wanted.is_empty() && !token.audiences.iter().any(named) {
            return Err(Failure::Audience);
        }
        if terms.must_end && !token.ends() {
            return Err(Failure::BadSignature);
        }
        #[allow(clippy::cast_precision_loss)] // lifetimes are no longer than 2^53 seconds
        let too_long = |life: u64| terms.max_lifetime_s > 0.0 && life as f64 > terms.max_lifetime_s;
        if terms.max_lifetime_s > 0.0 && token.lifetime().is_none_or(too_long) {
            return Err(Failure::BadSignature);
        }
        Ok(())
    }
}

/// Return an audience without the parts that writers leave out or in (`CheckAudience` of Envoy's library).
fn plain(audience: &str) -> &str {
    let bare = audience.strip_prefix("https://").or_else(|| audience.strip_prefix("http://")).unwrap_or(audience);
    bare.strip_suffix('/').unwrap_or(bare)
}

impl Requirement {
    fn compile(wanted: &Wanted, providers: &[Provider], field: &str, depth: usize) -> Result<Self, String> {
        if depth > MAX_RULE_DEPTH {
            return Err(format!("{field}: nested deeper than the limit of {MAX_RULE_DEPTH}"));
        }
        let all = |of: &[Wanted]| -> Result<Vec<Self>, String> {
            of.iter().map(|one| Self::compile(one, providers, field, depth + 1)).collect()
        };
        Ok(match wanted {
            Wanted::TokenOf { provider, audiences } => {
                let at = providers.iter().position(|known| known.terms.name == *provider);
                Self::TokenOf(
                    at.ok_or_else(|| format!("{field}: there is no provider {provider:?}"))?,
                    audiences.clone(),
                )
            }
            Wanted::OneRequired { of } => Self::One(all(of)?),
            Wanted::AllRequired { of } => Self::All(all(of)?),
            Wanted::MayBeMissing {} => Self::MayBeMissing,
            Wanted::MayFail {} => Self::MayFail,
        })
    }
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
struct Judge<'a, F> {
    jwt: &'a Jwt,
    request: &'a Request<'a>,
    fetched: F,
    now: u64,
    taken: Vec<Taken>,
}

impl<F: Fn(usize) -> Fetched> Judge<'_, F> {
    fn meets(&mut self, requirement: &Requirement) -> Outcome {
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

/// Return whether a browser asks what it may ask (Fetch standard, "CORS-preflight request").
fn is_preflight(head: &Head) -> bool {
    let says = |name: &[u8]| head.get(name).is_some_and(|value| !value.is_empty());
    head.method() == b"OPTIONS" && says(b"origin") && says(b"access-control-request-method")
}
