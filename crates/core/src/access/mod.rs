//! Whether a request may go on: the steps of a chain, compiled. Pure; the engine walks over them (`engine::access`).

mod authn;
mod authz;
mod check;
mod claims;
mod filter;
mod judge;
mod jwks;
mod jwt;
mod mutation;
mod network;
mod request;
mod rules;
mod tokens;

#[cfg(test)]
mod tests;

pub use authn::{Fetched, Jwt, NAMESPACE};
pub use authz::{Asked, Authz, Override, Service, NAMESPACE as AUTHZ_NAMESPACE};
pub use check::{answer as checked, Body};
pub use filter::Filter;
pub use judge::Verdict;
pub use jwks::Keys;
pub use jwt::{Failure, Token};
pub use mutation::{is_framing, Granted, How, Mutation, Refused, Said, Silence};
pub use network::socket_of;
pub use request::Request;
pub use rules::{Rules, Shadow, NAMESPACE as RBAC_NAMESPACE};

use crate::config;
use crate::names::Names;

/// A chain of steps, in order.
#[derive(Debug, Default)]
pub struct Chain {
    steps: Vec<Named>,
}

/// A step and the name by which a route's takes the place of a listener's.
#[derive(Debug)]
struct Named {
    name: Box<str>,
    step: Step,
}

/// What is done.
#[derive(Debug)]
pub enum Step {
    /// Rules that are enforced, and rules that are only counted.
    Rbac(Option<Rules>, Option<Shadow>),
    /// Tokens that callers must bear.
    Jwt(Box<Jwt>),
    /// Whoever is asked says it.
    Authz(Box<Authz>),
    /// A filter of this process says it.
    Python(Box<Filter>),
    /// What a route says of whom is asked.
    AuthzOverride(Box<Override>),
    /// What the listener's step of that name has under this one.
    Named(Box<str>),
    /// Nothing.
    Off,
}

/// A step as it holds for one request.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    /// What is done.
    pub step: &'a Step,
    /// What a token must be, where the route says it by name.
    pub requirement: Option<&'a str>,
    /// What the route says of whom is asked.
    pub over: Option<&'a Override>,
}

impl Chain {
    /// Compile a chain; the error names what is wrong behind `field`.
    pub fn compile(steps: &[config::AccessStep], field: &str, names: &mut impl Names) -> Result<Self, String> {
        let each = steps.iter().map(|one| {
            let step = Step::compile(&one.step, &format!("{field}[{:?}]", one.name), names)?;
            Ok(Named { name: one.name.as_str().into(), step })
        });
        Ok(Self { steps: each.collect::<Result<_, String>>()? })
    }

    fn named(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|one| *one.name == *name).map(|one| &one.step)
    }
}

impl<'a> Turn<'a> {
    fn of(step: &'a Step) -> Self {
        Self { step, requirement: None, over: None }
    }
}

/// Return step `at` of a listener's chain under a route's: what a route says takes the place of the listener's step of that name,
/// and steps that only the route has come behind.
pub fn turn_at<'a>(listener: Option<&'a Chain>, route: Option<&'a Chain>, at: usize) -> Option<Turn<'a>> {
    let steps = listener.map_or(&[][..], |chain| &chain.steps);
    if let Some(own) = steps.get(at) {
        return Some(match route.and_then(|route| route.named(&own.name)) {
            Some(Step::Named(requirement)) => Turn { requirement: Some(requirement), ..Turn::of(&own.step) },
            Some(Step::AuthzOverride(over)) => Turn { over: Some(over), ..Turn::of(&own.step) },
            Some(step) => Turn::of(step),
            None => Turn::of(&own.step),
        });
    }
    let known = |name: &str| steps.iter().any(|one| *one.name == *name);
    let further = route.map_or(&[][..], |chain| &chain.steps).iter().filter(|one| !known(&one.name));
    further.map(|one| Turn::of(&one.step)).nth(at - steps.len())
}

impl Step {
    fn compile(step: &config::Step, field: &str, names: &mut impl Names) -> Result<Self, String> {
        Ok(match step {
            config::Step::Rbac { rules, shadow, shadow_prefix } => {
                let compile = |rules: &Option<config::Rules>, part: &str| {
                    rules.as_ref().map(|rules| Rules::compile(rules, &format!("{field}.{part}"))).transpose()
                };
                let shadow = compile(shadow, "shadow")?.map(|rules| Shadow { rules, prefix: shadow_prefix.clone() });
                Self::Rbac(compile(rules, "rules")?, shadow)
            }
            config::Step::Jwt { providers, rules, named, bypass_preflight } => {
                Self::Jwt(Box::new(Jwt::compile(providers, rules, named, *bypass_preflight, field, names)?))
            }
            config::Step::ExtAuthz(terms) => Self::Authz(Box::new(Authz::compile(terms, field)?)),
            config::Step::PythonFilter(terms) => Self::Python(Box::new(Filter::compile(terms, field)?)),
            config::Step::AuthzOverride(terms) => Self::AuthzOverride(Box::new(Override::compile(terms, field)?)),
            config::Step::Named { requirement } => Self::Named(requirement.as_str().into()),
            config::Step::Off {} => Self::Off,
        })
    }
}
