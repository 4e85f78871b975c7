//! Subsets of a cluster, by the metadata of its endpoints (Envoy: `lb_subset_config`).

use std::collections::HashMap;

use crate::cluster::choice::Choice;
use crate::cluster::Endpoint;
use crate::config::{self, Fallback, Subsets};

/// Keys and values (as JSON), sorted by key.
type Labels = Vec<(String, String)>;

/// The groups of each subset that has endpoints.
#[derive(Debug)]
pub struct SubsetChoices {
    by_labels: HashMap<Labels, Choice>,
    fallback: Fallback,
    default: Choice,
    nowhere: Choice,
}

impl SubsetChoices {
    /// Work them out.
    pub fn of(endpoints: &[Endpoint], config: &config::Cluster, subsets: &Subsets) -> Self {
        let mut by_labels: HashMap<Labels, Choice> = HashMap::new();
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.is_member()) {
            for labels in subsets.selectors.iter().filter_map(|keys| labels_of(endpoint, keys)) {
                let choice = |labels: &Labels| Choice::of(endpoints, config, |other| carries(other, labels));
                by_labels.entry(labels).or_insert_with_key(choice);
            }
        }
        let default = Choice::of(endpoints, config, |endpoint| carries(endpoint, &subsets.default));
        Self { by_labels, fallback: subsets.fallback, default, nowhere: Choice::default() }
    }

    /// Return the groups of the subset called by `labels` (sorted by key); `None`: those of the whole cluster.
    pub fn find(&mut self, labels: &[(String, String)]) -> Option<&mut Choice> {
        if let Some(choice) = self.by_labels.get_mut(labels) {
            return Some(choice);
        }
        match self.fallback {
            Fallback::None => Some(&mut self.nowhere),
            Fallback::Any => None,
            Fallback::Default => Some(&mut self.default),
        }
    }
}

fn labels_of(endpoint: &Endpoint, keys: &[String]) -> Option<Labels> {
    let value = |key: &String| endpoint.metadata.iter().find(|(name, _)| name == key).cloned();
    let mut labels: Labels = keys.iter().map(value).collect::<Option<_>>()?;
    labels.sort_unstable();
    Some(labels)
}

fn carries(endpoint: &Endpoint, labels: &[(String, String)]) -> bool {
    labels.iter().all(|label| endpoint.metadata.contains(label))
}
