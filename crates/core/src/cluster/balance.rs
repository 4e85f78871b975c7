//! The choice of an endpoint on the happy path.

use crate::cluster::Cluster;
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

impl Cluster {
    /// Choose an endpoint with room, none of `avoid` if another can be had.
    pub fn pick(&mut self, random: &mut Random, avoid: &[usize]) -> Pick {
        if self.live.is_empty() {
            return Pick::Empty;
        }
        if self.is_full_of_requests() {
            return if self.has_own_queue() { Pick::Full } else { Pick::Broken };
        }
        let chosen = match (self.config.balancing, self.even) {
            (Balancing::LeastRequest, _) => self.less_loaded(random, avoid),
            (Balancing::RoundRobin, true) => {
                self.cursor = (self.cursor + 1) % self.live.len();
                self.scan(self.cursor, avoid)
            }
            (Balancing::RoundRobin, false) => self.smooth(avoid),
            (Balancing::Random, true) => self.scan(random.below(self.live.len()), avoid),
            (Balancing::Random, false) => {
                let at = self.drawn(random);
                self.scan(at, avoid)
            }
        };
        match (chosen, avoid) {
            (Some(at), _) => Pick::Endpoint(at),
            (None, []) => Pick::Full,
            (None, _) => self.pick(random, &[]),
        }
    }

    /// Return how many endpoints may take a request now.
    pub fn free_endpoints(&self) -> usize {
        self.live.iter().filter(|at| self.has_room(**at)).count()
    }

    /// Return whether there is an endpoint besides `at`.
    pub fn has_other(&self, at: usize) -> bool {
        self.live.iter().any(|other| *other != at)
    }

    fn has_room(&self, at: usize) -> bool {
        let most = self.config.max_requests_per_endpoint;
        self.endpoints.get(at).is_some_and(|endpoint| !endpoint.resting && (most == 0 || endpoint.in_flight < most))
    }

    fn fits(&self, at: usize, avoid: &[usize]) -> bool {
        !avoid.contains(&at) && self.has_room(at)
    }

    /// Return the first endpoint that fits, in the order of the list from `start` on.
    fn scan(&self, start: usize, avoid: &[usize]) -> Option<usize> {
        let (before, after) = self.live.split_at_checked(start)?;
        after.iter().chain(before).copied().find(|at| self.fits(*at, avoid))
    }

    /// Return the less loaded of two drawn, by requests in flight per weight.
    fn less_loaded(&self, random: &mut Random, avoid: &[usize]) -> Option<usize> {
        let first = self.scan(random.below(self.live.len()), avoid)?;
        let second = self.scan(random.below(self.live.len()), avoid)?;
        let cost = |at: usize, other: usize| {
            let (one, two) = (self.endpoints.get(at)?, self.endpoints.get(other)?);
            Some((one.in_flight as u64 + 1) * u64::from(two.weight))
        };
        Some(if cost(second, first) < cost(first, second) { second } else { first })
    }

    /// Return the next endpoint of an interleaved weighted order (nginx's smooth weighted round robin).
    fn smooth(&mut self, avoid: &[usize]) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for index in 0..self.live.len() {
            let at = self.live.get(index).copied()?;
            if !self.fits(at, avoid) {
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
    fn drawn(&self, random: &mut Random) -> usize {
        let weight = |at: &usize| self.endpoints.get(*at).map_or(0, |endpoint| endpoint.weight as usize);
        let mut left = random.below(self.live.iter().map(weight).sum());
        for (index, at) in self.live.iter().enumerate() {
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
        cluster.configure(&config);
        cluster
    }

    fn shares(cluster: &mut Cluster, draws: usize) -> Vec<usize> {
        let mut random = Random::new(5);
        let mut counts = vec![0; cluster.endpoints.len()];
        for _ in 0..draws {
            let Pick::Endpoint(at) = cluster.pick(&mut random, &[]) else { panic!("no endpoint") };
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
            let Pick::Endpoint(at) = least.pick(&mut random, &[]) else { panic!("no endpoint") };
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
        assert_eq!(cluster.pick(&mut Random::new(1), &[]), Pick::Full);
    }

    #[test]
    fn unhealthy_and_removed_endpoints_get_nothing() {
        let mut cluster =
            cluster(r#"{"name": "x", "endpoints": [{"address": "a", "healthy": false}, {"address": "b"}]}"#);
        assert_eq!(shares(&mut cluster, 10), [0, 10]);
        cluster.endpoints[1].idle.push(7);
        assert_eq!(cluster.retire(), [7]);
        assert_eq!(cluster.pick(&mut Random::new(1), &[]), Pick::Empty);
        assert!(cluster.is_spent());
    }

    #[test]
    fn who_refused_a_connection_rests_only_where_requests_can_wait() {
        let mut holds = cluster(r#"{"name": "x", "hold": true, "endpoints": [{"address": "a"}, {"address": "b"}]}"#);
        assert!(holds.rest(0));
        assert_eq!(shares(&mut holds, 10), [0, 10]);
        assert!(holds.rest(1));
        assert_eq!(holds.pick(&mut Random::new(1), &[]), Pick::Full);
        holds.wake();
        assert_eq!(shares(&mut holds, 10), [5, 5]);
        let mut plain = cluster(r#"{"name": "x", "endpoints": [{"address": "a"}]}"#);
        assert!(!plain.rest(0));
        assert_eq!(shares(&mut plain, 10), [10]);
    }

    #[test]
    fn avoiding_the_only_endpoint_is_not_possible() {
        let mut cluster = cluster(r#"{"name": "x", "endpoints": [{"address": "a"}]}"#);
        assert_eq!(cluster.pick(&mut Random::new(1), &[0]), Pick::Endpoint(0));
        assert!(!cluster.has_other(0));
    }
}
