//! Whether a request may go on: the steps of a chain, compiled. Pure; the engine walks over them (`engine::access`).

mod network;
mod request;
mod rules;

#[cfg(test)]
mod tests;

pub use network::socket_of;
pub use request::Request;
pub use rules::Rules;

use crate::config;

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
    Rbac(Option<Rules>, Option<Rules>),
    /// Nothing.
    Off,
}

impl Chain {
    /// Compile a chain; the error names what is wrong behind `field`.
    pub fn compile(steps: &[config::AccessStep], field: &str) -> Result<Self, String> {
        let each = steps.iter().map(|one| {
            let step = Step::compile(&one.step, &format!("{field}[{:?}]", one.name))?;
            Ok(Named { name: one.name.as_str().into(), step })
        });
        Ok(Self { steps: each.collect::<Result<_, String>>()? })
    }

    fn named(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|one| *one.name == *name).map(|one| &one.step)
    }
}

/// Return step `at` of a listener's chain under a route's: what a route says takes the place of the listener's step of that name,
/// and steps that only the route has come behind.
pub fn step_at<'a>(listener: Option<&'a Chain>, route: Option<&'a Chain>, at: usize) -> Option<&'a Step> {
    let steps = listener.map_or(&[][..], |chain| &chain.steps);
    if let Some(own) = steps.get(at) {
        return Some(route.and_then(|route| route.named(&own.name)).unwrap_or(&own.step));
    }
    let known = |name: &str| steps.iter().any(|one| *one.name == *name);
    let further = route.map_or(&[][..], |chain| &chain.steps).iter().filter(|one| !known(&one.name));
    further.map(|one| &one.step).nth(at - steps.len())
}

impl Step {
    fn compile(step: &config::Step, field: &str) -> Result<Self, String> {
        Ok(match step {
            config::Step::Rbac { rules, shadow } => {
                let compile = |rules: &Option<config::Rules>, part: &str| {
                    rules.as_ref().map(|rules| Rules::compile(rules, &format!("{field}.{part}"))).transpose()
                };
                Self::Rbac(compile(rules, "rules")?, compile(shadow, "shadow")?)
            }
            config::Step::Off {} => Self::Off,
        })
    }
}
