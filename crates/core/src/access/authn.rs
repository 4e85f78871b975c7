//! Which tokens a request must bear, compiled (Envoy: `extensions/filters/http/jwt_authn`).

use std::sync::Arc;

use serde_json::Value;

use crate::access::jwks::Keys;
use crate::access::jwt::{Failure, Token};
use crate::access::tokens::Place;
use crate::ascii;
use crate::conditions::{compile_match, Match};
use crate::config::{self, check_seconds, JwtProvider, Requirement as Wanted};
use crate::head::Head;
use crate::limits::MAX_RULE_DEPTH;
use crate::names::Names;
use crate::text::Text;

/// Namespace under which tokens are noted: Envoy's name of the filter, which rules refer to.
pub const NAMESPACE: &str = "envoy.filters.http.jwt_authn";

/// A compiled step.
#[derive(Debug)]
pub struct Jwt {
    pub(super) providers: Vec<Provider>,
    pub(super) rules: Vec<(Match, Option<Requirement>)>,
    pub(super) named: Vec<(Box<str>, Requirement)>,
    pub(super) bypass_preflight: bool,
}

/// Whose tokens are taken.
#[derive(Debug)]
pub struct Provider {
    /// As configured.
    pub terms: JwtProvider,
    subject: Option<Text>,
    pub(super) keys: Source,
}

/// Where keys are.
#[derive(Debug)]
pub(super) enum Source {
    /// In the configuration.
    Inline(Arc<Keys>),
    /// The engine's number of a key set.
    Remote(usize),
}

/// What tokens a request must bear.
#[derive(Debug)]
pub(super) enum Requirement {
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
    pub(super) fn check(&self, token: &Token<'_>, audiences: Option<&[String]>, now: u64) -> Result<(), Failure> {
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
