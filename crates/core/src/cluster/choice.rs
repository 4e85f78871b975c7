//! Who is chosen from: endpoints in groups, each balanced in itself.
//!
//! Priorities, localities and panic come to shares of groups (Envoy: `docs/intro/arch_overview/upstream/load_balancing`), worked out
//! when the endpoints or their health change, so that a request only draws a group.

use std::collections::BTreeMap;

use crate::cluster::hashing::Lookup;
use crate::cluster::Endpoint;
use crate::config;
use crate::random::Random;

/// A priority or locality counts as fully available from 100 / 140 of its endpoints on (Envoy's overprovisioning factor).
const OVERPROVISIONING_PERCENT: usize = 140;

/// Parts of a share that one per cent of load is divided into, for the weights of localities.
const PARTS: usize = 10_000;

/// Endpoints balanced among themselves.
#[derive(Debug, Default)]
pub struct Group {
    /// Their numbers; never empty.
    pub live: Vec<usize>,
    /// All weigh the same.
    pub even: bool,
    /// Whose turn it was.
    pub cursor: usize,
    /// Where hashes lead.
    pub lookup: Lookup,
    /// So few are healthy that all are taken for it.
    pub panic: bool,
    share: usize,
}

/// All groups of a cluster, or of a subset of it.
#[derive(Debug, Default)]
pub struct Choice {
    /// Those with a share.
    pub groups: Vec<Group>,
    total: usize,
}

#[derive(Debug, Default)]
struct Level {
    all: Vec<usize>,
    healthy: Vec<usize>,
    panic: bool,
    load: usize,
}

impl Level {
    fn health(&self) -> usize {
        (OVERPROVISIONING_PERCENT * self.healthy.len() / self.all.len().max(1)).min(100)
    }

    fn is_in_panic(&self, threshold: f64) -> bool {
        #[allow(clippy::cast_precision_loss)] // numbers of endpoints are far below 2^52
        let percent = 100.0 * self.healthy.len() as f64 / self.all.len().max(1) as f64;
        percent < threshold
    }
}

impl Choice {
    /// Work out the groups of the endpoints for which `belongs`.
    pub fn of(endpoints: &[Endpoint], config: &config::Cluster, belongs: impl Fn(&Endpoint) -> bool) -> Self {
        let mut levels: BTreeMap<u32, Level> = BTreeMap::new();
        for (at, endpoint) in endpoints.iter().enumerate().filter(|(_, one)| one.is_member() && belongs(one)) {
            let level = levels.entry(endpoint.priority).or_default();
            level.all.push(at);
            if endpoint.is_healthy() {
                level.healthy.push(at);
            }
        }
        let mut levels: Vec<Level> = levels.into_values().collect();
        spread(&mut levels, config.panic_percent);
        let mut choice = Self::default();
        for level in levels.into_iter().filter(|level| level.load > 0) {
            choice.add_level(level, endpoints, config);
        }
        choice
    }

    /// Go on where `before` stood, so that a change does not begin every turn anew.
    pub fn inherit(&mut self, before: &Self) {
        for (group, old) in self.groups.iter_mut().zip(&before.groups) {
            group.cursor = old.cursor;
        }
    }

    /// Draw a group by its share; a hash draws the same one as long as the shares stay.
    pub fn draw(&self, random: &mut Random, hash: Option<u64>) -> usize {
        if self.groups.len() < 2 {
            return 0;
        }
        let mut left = match hash {
            Some(hash) => usize::try_from(hash % self.total.max(1) as u64).unwrap_or(0),
            None => random.below(self.total),
        };
        for (at, group) in self.groups.iter().enumerate() {
            if left < group.share {
                return at;
            }
            left -= group.share;
        }
        0
    }

    fn add_level(&mut self, level: Level, endpoints: &[Endpoint], config: &config::Cluster) {
        let share = level.load * PARTS;
        if level.panic || !config.locality_weighted {
            let live = if level.panic { level.all } else { level.healthy };
            return self.add(live, share, level.panic, endpoints, config);
        }
        let mut localities: BTreeMap<&str, (usize, usize, Vec<usize>)> = BTreeMap::new();
        for (at, endpoint) in level.all.iter().filter_map(|at| Some((*at, endpoints.get(*at)?))) {
            let (weight, all, healthy) = localities.entry(&endpoint.locality).or_default();
            (*weight, *all) = (endpoint.locality_weight as usize, *all + 1);
            if endpoint.is_healthy() {
                healthy.push(at);
            }
        }
        let effective = |weight: usize, all: usize, healthy: usize| {
            weight * (OVERPROVISIONING_PERCENT * PARTS * healthy / all.max(1) / 100).min(PARTS)
        };
        let weights: Vec<(usize, Vec<usize>)> = localities
            .into_values()
            .map(|(weight, all, healthy)| (effective(weight, all, healthy.len()), healthy))
            .collect();
        let total: usize = weights.iter().map(|(weight, _)| weight).sum();
        for (weight, healthy) in weights.into_iter().filter(|(weight, _)| *weight > 0) {
            // As 128 bits: a weight of 32 bits times parts times share does not fit into 64.
            let part = (share as u128 * weight as u128 / total.max(1) as u128).try_into().unwrap_or(share);
            self.add(healthy, part, false, endpoints, config);
        }
    }

    fn add(
        &mut self,
        mut live: Vec<usize>,
        share: usize,
        panic: bool,
        endpoints: &[Endpoint],
        config: &config::Cluster,
    ) {
        if live.is_empty() || share == 0 {
            return;
        }
        if config.balancing == config::Balancing::FirstAvailable {
            // Numbers of endpoints are given anew when some go: who is first must not change with that.
            live.sort_by_key(|at| endpoints.get(*at).map(|endpoint| &endpoint.address));
        }
        let weight = |at: &usize| endpoints.get(*at).map(|endpoint| endpoint.weight);
        let even = live.iter().all(|at| weight(at) == live.first().and_then(weight));
        let lookup = Lookup::build(&live, endpoints, config);
        self.total += share;
        self.groups.push(Group { live, even, cursor: 0, lookup, panic, share });
    }
}

/// Give each level its part of the load, in per cent, and tell which are in panic.
fn spread(levels: &mut [Level], threshold: f64) {
    let total = levels.iter().map(Level::health).sum::<usize>().min(100);
    if total < 100 {
        for level in levels.iter_mut() {
            level.panic = level.is_in_panic(threshold);
        }
    }
    if levels.iter().all(|level| level.panic) {
        // Nobody is well: every endpoint gets the same.
        let all: usize = levels.iter().map(|level| level.all.len()).sum();
        for level in levels.iter_mut() {
            level.load = (100 * level.all.len() / all.max(1)).max(1);
        }
        return;
    }
    let mut left = 100;
    for level in levels.iter_mut() {
        level.load = (100 * level.health() / total.max(1)).min(left);
        left -= level.load;
    }
    if let Some(first) = levels.iter_mut().find(|level| level.load > 0) {
        first.load += left; // what rounding lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(json: &str) -> (Vec<Endpoint>, config::Cluster) {
        let config: config::Cluster = serde_json::from_str(json).unwrap();
        (config.endpoints.iter().map(Endpoint::new).collect(), config)
    }

    fn shares(json: &str) -> Vec<(Vec<usize>, usize, bool)> {
        let (endpoints, config) = cluster(json);
        let choice = Choice::of(&endpoints, &config, |_| true);
        choice.groups.iter().map(|group| (group.live.clone(), group.share / 100, group.panic)).collect()
    }

    fn endpoints(of: &[(u32, bool)]) -> String {
        let one = |(at, (priority, healthy)): (usize, &(u32, bool))| {
            format!(r#"{{"address": "e{at}", "priority": {priority}, "healthy": {healthy}}}"#)
        };
        of.iter().enumerate().map(one).collect::<Vec<_>>().join(",")
    }

    fn levels(panic: u32, of: &[(u32, bool)]) -> Vec<(Vec<usize>, usize, bool)> {
        shares(&format!(r#"{{"name": "x", "panic_percent": {panic}, "endpoints": [{}]}}"#, endpoints(of)))
    }

    #[test]
    fn the_first_priority_takes_all_while_enough_of_it_is_well() {
        let well = [(0, true), (0, true), (0, true), (0, false), (1, true)];
        assert_eq!(levels(0, &well), [(vec![0, 1, 2], 10_000, false)]);
    }

    #[test]
    fn what_a_priority_cannot_take_goes_to_the_next() {
        let half = [(0, true), (0, false), (1, true)];
        assert_eq!(levels(0, &half), [(vec![0], 7_000, false), (vec![2], 3_000, false)]);
        let none = [(0, false), (1, true)];
        assert_eq!(levels(0, &none), [(vec![1], 10_000, false)]);
    }

    #[test]
    fn too_few_healthy_endpoints_are_a_panic_in_which_all_are_taken() {
        let one_of_three = [(0, true), (0, false), (0, false)];
        assert_eq!(levels(50, &one_of_three), [(vec![0, 1, 2], 10_000, true)]);
        assert_eq!(levels(0, &one_of_three), [(vec![0], 10_000, false)]);
        assert_eq!(levels(50, &[(0, true), (0, false)]), [(vec![0], 10_000, false)]);
        assert_eq!(levels(50, &[(0, false)]), [(vec![0], 10_000, true)]);
        assert_eq!(levels(0, &[(0, false)]), []);
    }

    #[test]
    fn a_panic_of_one_priority_matters_only_while_the_others_cannot_take_its_load() {
        let spare = [(0, true), (0, false), (0, false), (1, true), (1, true)];
        assert_eq!(levels(50, &spare), [(vec![0], 4_600, false), (vec![3, 4], 5_400, false)]);
        let both = [(0, false), (0, false), (1, false), (1, false), (1, false)];
        assert_eq!(levels(50, &both), [(vec![0, 1], 4_000, true), (vec![2, 3, 4], 6_000, true)]);
    }

    #[test]
    fn localities_share_by_weight_and_by_how_much_of_them_is_well() {
        let one = |at, locality, weight, healthy| {
            format!(
                r#"{{"address": "e{at}", "locality": "{locality}", "locality_weight": {weight}, "healthy": {healthy}}}"#
            )
        };
        let weighted = |all: &[String]| {
            shares(&format!(r#"{{"name": "x", "locality_weighted": true, "endpoints": [{}]}}"#, all.join(",")))
        };
        let well = [one(0, "a", 3, true), one(1, "b", 1, true), one(2, "b", 1, true)];
        assert_eq!(weighted(&well), [(vec![0], 7_500, false), (vec![1, 2], 2_500, false)]);
        let ill = [one(0, "a", 1, true), one(1, "b", 1, true), one(2, "b", 1, false), one(3, "c", 0, true)];
        assert_eq!(weighted(&ill), [(vec![0], 5_882, false), (vec![1], 4_117, false)]);
    }

    #[test]
    fn groups_are_drawn_by_share_and_by_hash_always_the_same() {
        let (endpoints, config) = cluster(
            r#"{"name": "x", "endpoints": [{"address": "a"}, {"address": "b", "healthy": false},
                {"address": "c", "priority": 1}]}"#,
        );
        let choice = Choice::of(&endpoints, &config, |_| true);
        let mut random = Random::new(4);
        let first = (0..10_000).filter(|_| choice.draw(&mut random, None) == 0).count();
        assert!(first.abs_diff(7_000) < 200, "{first}");
        assert!((0..100u64).all(|hash| choice.draw(&mut random, Some(hash)) == choice.draw(&mut random, Some(hash))));
    }
}
