//! The choice of an endpoint on the happy path.

use crate::cluster::choice::Group;
use crate::cluster::{Cluster, Endpoint};
use crate::config::Balancing;
use crate::random::Random;

/// What the choice came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// This endpoint has room.
    Endpoint(usize),
    /// There are endpoints, but each has all the requests it may have.
    Full,
    /// The cluster has all the requests it may have.
    Broken,
    /// There is no endpoint.
    Empty,
}

/// What a request asks of the choice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// Endpoints to pass over while another can be had.
    pub avoid: &'a [usize],
    /// What it is hashed to.
    pub hash: Option<u64>,
    /// The subset it is for, sorted by key.
    pub subset: &'a [(String, String)],
}

impl Cluster {
    /// Choose an endpoint with room, as `wish` says.
    pub fn pick(&mut self, random: &mut Random, wish: Wish<'_>) -> Pick {
        let crowded = self.is_full_of_requests();
        let own_queue = self.has_own_queue();
        let subset = self.subsets.as_mut().and_then(|subsets| subsets.find(wish.subset));
        let choice = subset.unwrap_or(&mut self.choice);
        if choice.groups.is_empty() {
            return Pick::Empty;
        }
        if crowded {
            return if own_queue { Pick::Full } else { Pick::Broken };
        }
        if let [Group { live, panic: false, .. }] = &*choice.groups {
            // Nothing to choose, as for nearly every function that sleeps and wakes.
            let only = live.first().filter(|_| live.len() == 1).and_then(|at| self.endpoints.get(*at));
            if only.is_some_and(|only| has_room(only, self.config.max_requests_per_endpoint)) {
                return live.first().map_or(Pick::Empty, |at| Pick::Endpoint(*at));
            }
        }
        let mut table = Table {
            endpoints: &mut self.endpoints,
            balancing: self.config.balancing,
            most: self.config.max_requests_per_endpoint,
            wish,
        };
        let first = choice.draw(random, wish.hash);
        loop {
            let (before, after) = choice.groups.split_at_mut_checked(first).unwrap_or_default();
            // The other groups only when all of the one drawn are busy or have been tried.
            for group in after.iter_mut().chain(before) {
                if let Some(at) = table.choose(group, random) {
                    self.counters.healthy_panic += u64::from(group.panic);
                    return Pick::Endpoint(at);
                }
            }
            if table.wish.avoid.is_empty() {
                return Pick::Full;
            }
            table.wish.avoid = &[];
        }
    }

    /// Return how many endpoints may take a request now.
    pub fn free_endpoints(&self) -> usize {
        let most = self.config.max_requests_per_endpoint;
        let live = self.choice.groups.iter().flat_map(|group| &group.live);
        live.filter(|at| self.endpoints.get(**at).is_some_and(|endpoint| has_room(endpoint, most))).count()
    }

    /// Return whether there is an endpoint besides `at`.
    pub fn has_other(&self, at: usize) -> bool {
        self.choice.groups.iter().flat_map(|group| &group.live).any(|other| *other != at)
    }
}

fn has_room(endpoint: &Endpoint, most: usize) -> bool {
    !endpoint.resting && (most == 0 || endpoint.in_flight < most)
}

/// What one choice goes by.
struct Table<'a> {
    endpoints: &'a mut [Endpoint],
    balancing: Balancing,
    most: usize,
    wish: Wish<'a>,
}

impl Table<'_> {
    fn choose(&mut self, group: &mut Group, random: &mut Random) -> Option<usize> {
        match (self.balancing, group.even) {
            (Balancing::LeastRequest, _) => self.less_loaded(&group.live, random),
            (Balancing::FirstAvailable, _) => self.scan(&group.live, 0),
            (Balancing::RoundRobin, true) => {
                let next = if group.cursor + 1 < group.live.len() { group.cursor + 1 } else { 0 };
                // From whoever is given this one, or the neighbour of a busy endpoint would get its turns as well.
                group.cursor = self.find(&group.live, next)?;
                group.live.get(group.cursor).copied()
            }
            (Balancing::RoundRobin, false) => self.smooth(&group.live),
            (Balancing::Random, true) => self.scan(&group.live, random.below(group.live.len())),
            (Balancing::Random, false) => {
                let at = self.drawn(&group.live, random);
                self.scan(&group.live, at)
            }
            (Balancing::RingHash | Balancing::Maglev, _) => {
                let hash = self.wish.hash.unwrap_or_else(|| random.next());
                group.lookup.find(hash, |at| self.fits(at))
            }
        }
    }

    fn fits(&self, at: usize) -> bool {
        !self.wish.avoid.contains(&at) && self.endpoints.get(at).is_some_and(|endpoint| has_room(endpoint, self.most))
    }

    /// Return where the first endpoint that fits stands, in the order of the list from `start` on.
    fn find(&self, live: &[usize], start: usize) -> Option<usize> {
        (start..live.len()).chain(0..start).find(|place| live.get(*place).is_some_and(|at| self.fits(*at)))
    }

    /// Return the first endpoint that fits, in the order of the list from `start` on.
    fn scan(&self, live: &[usize], start: usize) -> Option<usize> {
        let (before, after) = live.split_at_checked(start)?;
        after.iter().chain(before).copied().find(|at| self.fits(*at))
    }

    /// Return the less loaded of two drawn, by requests in flight per weight.
    fn less_loaded(&self, live: &[usize], random: &mut Random) -> Option<usize> {
        let place = self.find(live, random.below(live.len()))?;
        let first = live.get(place).copied()?;
        if live.len() == 1 {
            return Some(first);
        }
        // Among the others: of two endpoints a stuck one would be drawn twice for every fourth request.
        let second = self.scan(live, (place + 1 + random.below(live.len() - 1)) % live.len())?;
        let cost = |at: usize, other: usize| {
            let (one, two) = (self.endpoints.get(at)?, self.endpoints.get(other)?);
            Some((one.in_flight as u64 + 1) * u64::from(two.weight))
        };
        Some(if cost(second, first) < cost(first, second) { second } else { first })
    }

    /// Return the next endpoint of an interleaved weighted order (nginx's smooth weighted round robin).
    fn smooth(&mut self, live: &[usize]) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for at in live.iter().copied() {
            if !self.fits(at) {
                continue;
            }
            let endpoint = self.endpoints.get_mut(at)?;
            endpoint.turn += i64::from(endpoint.weight);
            total += i64::from(endpoint.weight);
            if best.is_none_or(|(_, turn)| endpoint.turn > turn) {
                best = Some((at, endpoint.turn));
            }
        }
        let (at, _) = best?;
        self.endpoints.get_mut(at)?.turn -= total;
        Some(at)
    }

    /// Return a position in the list of live endpoints, drawn by weight.
    fn drawn(&self, live: &[usize], random: &mut Random) -> usize {
        let weight = |at: &usize| self.endpoints.get(*at).map_or(0, |endpoint| endpoint.weight as usize);
        let mut left = random.below(live.iter().map(weight).sum());
        for (index, at) in live.iter().enumerate() {
            if left < weight(at) {
                return index;
            }
            left -= weight(at);
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(json: &str) -> Cluster {
        let config = serde_json::from_str(json).unwrap();
        let mut cluster = Cluster::new(&config, 0.0);
        cluster.configure(&config, 0.0);
        cluster
    }

    fn shares(cluster: &mut Cluster, draws: usize) -> Vec<usize> {
        let mut random = Random::new(5);
        let mut counts = vec![0; cluster.endpoints.len()];
        for _ in 0..draws {
            let Pick::Endpoint(at) = cluster.pick(&mut random, Wish::default()) else { panic!("no endpoint") };
            counts[at] += 1;
        }
        counts
    }

    const THREE: &str =
        r#""endpoints": [{"address": "a", "weight": 5}, {"address": "b"}, {"address": "c", "weight": 4}]"#;

    #[test]
    fn weights_are_honoured_by_every_policy() {
        let mut exact = cluster(&format!(r#"{{"name": "x", {THREE}}}"#));
        assert_eq!(shares(&mut exact, 1000), [500, 100, 400]);
        let mut drawn = cluster(&format!(r#"{{"name": "x", "balancing": "random", {THREE}}}"#));
        let counts = shares(&mut drawn, 10_000);
        assert!(counts[0].abs_diff(5000) < 200 && counts[1].abs_diff(1000) < 200);
        let mut least = cluster(&format!(r#"{{"name": "x", "balancing": "least_request", {THREE}}}"#));
        let mut random = Random::new(9);
        for _ in 0..100 {
            let Pick::Endpoint(at) = least.pick(&mut random, Wish::default()) else { panic!("no endpoint") };
            least.endpoints[at].in_flight += 1;
        }
        assert!(least.endpoints[0].in_flight > least.endpoints[1].in_flight);
    }

    #[test]
    fn a_full_endpoint_is_passed_over_and_all_full_is_full() {
        let mut cluster = cluster(
            r#"{"name": "x", "max_requests_per_endpoint": 1, "endpoints": [{"address": "a"}, {"address": "b"}]}"#,
        );
        cluster.endpoints[1].in_flight = 1;
        assert_eq!(shares(&mut cluster, 10), [10, 0]);
        assert_eq!(cluster.free_endpoints(), 1);
        cluster.endpoints[0].in_flight = 1;
        assert_eq!(cluster.pick(&mut Random::new(1), Wish::default()), Pick::Full);
    }

    /// Give as many requests as there are; return the addresses that have got them.
    fn given(cluster: &mut Cluster, requests: usize) -> Vec<String> {
        let mut random = Random::new(3);
        let mut one = || match cluster.pick(&mut random, Wish::default()) {
            Pick::Endpoint(at) => {
                cluster.endpoints[at].in_flight += 1;
                cluster.endpoints[at].address.to_string()
            }
            none => format!("{none:?}"),
        };
        (0..requests).map(|_| one()).collect()
    }

    #[test]
    fn the_first_available_by_address_is_filled_before_the_next() {
        let mut cluster = cluster(
            r#"{"name": "x", "balancing": "first_available", "max_requests_per_endpoint": 2,
                "endpoints": [{"address": "b", "weight": 9}, {"address": "c"}, {"address": "a"}]}"#,
        );
        assert_eq!(given(&mut cluster, 7), ["a", "a", "b", "b", "c", "c", "Full"]);
        cluster.endpoints[0].in_flight = 1;
        cluster.endpoints[1].in_flight = 0;
        assert_eq!(given(&mut cluster, 4), ["b", "c", "c", "Full"]);
    }

    #[test]
    fn who_is_first_does_not_change_with_the_number_of_an_endpoint_that_comes() {
        let one = |endpoints: &str| {
            serde_json::from_str(&format!(
                r#"{{"name": "x", "balancing": "first_available", "max_requests_per_endpoint": 1, "endpoints": [{endpoints}]}}"#
            ))
            .unwrap()
        };
        let mut cluster = Cluster::new(&one(""), 0.0);
        cluster.configure(&one(r#"{"address": "a"}, {"address": "b"}, {"address": "c"}"#), 0.0);
        cluster.configure(&one(r#"{"address": "b"}, {"address": "c"}"#), 0.0);
        // The newcomer takes the number of the one that has gone, and its place in the order of addresses.
        cluster.configure(&one(r#"{"address": "b"}, {"address": "c"}, {"address": "d"}"#), 0.0);
        assert_eq!(given(&mut cluster, 4), ["b", "c", "d", "Full"]);
    }

    #[test]
    fn of_two_endpoints_a_stuck_one_gets_nothing_while_it_is_the_more_loaded() {
        let mut cluster = cluster(
            r#"{"name": "x", "balancing": "least_request", "endpoints": [{"address": "stuck"}, {"address": "quick"}]}"#,
        );
        cluster.endpoints[0].in_flight = 1;
        assert_eq!(shares(&mut cluster, 100), [0, 100]);
    }

    #[test]
    fn the_turn_of_a_busy_endpoint_is_not_its_neighbours() {
        let mut cluster = cluster(
            r#"{"name": "x", "max_requests_per_endpoint": 100,
                "endpoints": [{"address": "a"}, {"address": "b"}, {"address": "c"}, {"address": "d"}]}"#,
        );
        cluster.endpoints[1].in_flight = 100;
        assert_eq!(shares(&mut cluster, 300), [100, 0, 100, 100]);
    }

    #[test]
    fn unhealthy_and_removed_endpoints_get_nothing() {
        let mut cluster =
            cluster(r#"{"name": "x", "endpoints": [{"address": "a", "healthy": false}, {"address": "b"}]}"#);
        assert_eq!(shares(&mut cluster, 10), [0, 10]);
        cluster.endpoints[1].idle.push(7);
        assert_eq!(cluster.retire(0.0), [7]);
        assert_eq!(cluster.pick(&mut Random::new(1), Wish::default()), Pick::Empty);
        assert!(cluster.is_spent());
    }

    #[test]
    fn who_refused_a_connection_rests_only_where_requests_can_wait() {
        let mut holds = cluster(r#"{"name": "x", "hold": true, "endpoints": [{"address": "a"}, {"address": "b"}]}"#);
        assert!(holds.rest(0));
        assert_eq!(shares(&mut holds, 10), [0, 10]);
        assert!(holds.rest(1));
        assert_eq!(holds.pick(&mut Random::new(1), Wish::default()), Pick::Full);
        holds.wake();
        assert_eq!(shares(&mut holds, 10), [5, 5]);
        let mut plain = cluster(r#"{"name": "x", "endpoints": [{"address": "a"}]}"#);
        assert!(!plain.rest(0));
        assert_eq!(shares(&mut plain, 10), [10]);
    }

    #[test]
    fn avoiding_the_only_endpoint_is_not_possible() {
        let mut cluster = cluster(r#"{"name": "x", "endpoints": [{"address": "a"}]}"#);
        assert_eq!(cluster.pick(&mut Random::new(1), Wish { avoid: &[0], ..Wish::default() }), Pick::Endpoint(0));
        assert!(!cluster.has_other(0));
    }
}
