//! Where hashes lead: the ring and Maglev tables, laid out as Envoy lays them out, so that two proxies agree.
//!
//! Sources: envoyproxy/envoy `source/extensions/load_balancing_policies/{ring_hash,maglev}`; Eisenbud et al., "Maglev" (NSDI 2016), 3.4;
//! xxHash's specification (`doc/xxhash_spec.md`), XXH64.

use crate::cluster::Endpoint;
use crate::config::{self, Balancing};

/// From a hash to an endpoint.
#[derive(Debug, Default)]
pub enum Lookup {
    /// Hashes are not asked.
    #[default]
    None,
    /// Points on a ring, by hash.
    Ring(Vec<(u64, usize)>),
    /// Endpoints by the hash modulo the size of the table.
    Table(Vec<usize>),
}

impl Lookup {
    /// Lay out the lookup of a group as the cluster's policy wants it.
    pub fn build(live: &[usize], endpoints: &[Endpoint], config: &config::Cluster) -> Self {
        let members: Vec<(usize, &Endpoint)> = live.iter().filter_map(|at| Some((*at, endpoints.get(*at)?))).collect();
        match config.balancing {
            Balancing::RingHash => Self::Ring(ring(&members, config.min_ring_size, config.max_ring_size)),
            Balancing::Maglev => Self::Table(table(&members, config.maglev_table_size)),
            _ => Self::None,
        }
    }

    /// Return the endpoint `hash` leads to for which `fits`, going on from there while it does not.
    pub fn find(&self, hash: u64, fits: impl Fn(usize) -> bool) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Ring(points) => {
                let start = points.partition_point(|(point, _)| *point < hash);
                let (before, after) = points.split_at_checked(start)?;
                after.iter().chain(before).map(|(_, at)| *at).find(|at| fits(*at))
            }
            Self::Table(places) => {
                let start = usize::try_from(hash % places.len().max(1) as u64).unwrap_or(0);
                let (before, after) = places.split_at_checked(start)?;
                after.iter().chain(before).copied().find(|at| fits(*at))
            }
        }
    }
}

/// Return the points of each endpoint, as many as its weight asks for, in the order of the ring.
#[allow(clippy::cast_precision_loss)] // ring sizes are at most 8M
fn ring(members: &[(usize, &Endpoint)], least: usize, most: usize) -> Vec<(u64, usize)> {
    let total: f64 = members.iter().map(|(_, endpoint)| f64::from(endpoint.weight)).sum();
    let lightest = members.iter().map(|(_, endpoint)| f64::from(endpoint.weight) / total).fold(1.0, f64::min);
    let scale = ((lightest * least as f64).ceil() / lightest).min(most as f64);
    let mut points = Vec::new();
    let mut wanted = 0.0;
    for (at, endpoint) in members {
        wanted += scale * f64::from(endpoint.weight) / total;
        let mut number = 0;
        while (points.len() as f64) < wanted {
            points.push((xxh64(format!("{}_{number}", endpoint.address).as_bytes(), 0), *at));
            number += 1;
        }
    }
    points.sort_unstable();
    points
}

/// Return the table in which each endpoint has taken places in turn, in an order of its own.
fn table(members: &[(usize, &Endpoint)], size: usize) -> Vec<usize> {
    struct Taker {
        at: usize,
        weight: f64,
        due: f64,
        place: u64,
        skip: u64,
    }
    // In the order of their addresses, whatever order they are configured in: two proxies must agree on who comes first.
    let mut members = members.to_vec();
    members.sort_by(|(_, one), (_, other)| one.address.cmp(&other.address));
    let heaviest = members.iter().map(|(_, endpoint)| f64::from(endpoint.weight)).fold(0.0, f64::max);
    let places = size as u64;
    let mut takers: Vec<Taker> = members
        .iter()
        .map(|(at, endpoint)| Taker {
            at: *at,
            weight: f64::from(endpoint.weight),
            due: 0.0,
            place: xxh64(endpoint.address.as_bytes(), 0) % places,
            skip: xxh64(endpoint.address.as_bytes(), 1) % (places - 1) + 1,
        })
        .collect();
    let mut table: Vec<Option<usize>> = vec![None; size];
    let (mut left, mut round) = (if takers.is_empty() { 0 } else { size }, 1.0);
    while left > 0 {
        for taker in &mut takers {
            // The heaviest takes a place each round, the others as often as their weight is in it.
            if left == 0 || round * taker.weight < taker.due {
                continue;
            }
            taker.due += heaviest;
            loop {
                let free = usize::try_from(taker.place).ok().and_then(|place| table.get_mut(place));
                taker.place = (taker.place + taker.skip) % places;
                if let Some(place) = free.filter(|place| place.is_none()) {
                    *place = Some(taker.at);
                    break;
                }
            }
            left -= 1;
        }
        round += 1.0;
    }
    table.into_iter().flatten().collect()
}

const PRIMES: [u64; 5] =
    [0x9e37_79b1_85eb_ca87, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x85eb_ca77_c2b2_ae63, 0x27d4_eb2f_1656_67c5];

/// Return the number that up to eight bytes spell, the lowest first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn round(lane: u64, input: u64) -> u64 {
    let [first, second, ..] = PRIMES;
    lane.wrapping_add(input.wrapping_mul(second)).rotate_left(31).wrapping_mul(first)
}

/// Return the 64-bit xxHash of `data`.
pub fn xxh64(data: &[u8], seed: u64) -> u64 {
    let [first, second, third, fourth, fifth] = PRIMES;
    let mut stripes = data.chunks_exact(32);
    let mut hash = if data.len() < 32 {
        seed.wrapping_add(fifth)
    } else {
        let mut lanes =
            [seed.wrapping_add(first).wrapping_add(second), seed.wrapping_add(second), seed, seed.wrapping_sub(first)];
        for stripe in stripes.by_ref() {
            for (lane, input) in lanes.iter_mut().zip(stripe.chunks_exact(8)) {
                *lane = round(*lane, number(input));
            }
        }
        let turned = lanes.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
        let mixed = turned.fold(0u64, u64::wrapping_add);
        lanes.iter().fold(mixed, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(first).wrapping_add(fourth))
    };
    hash = hash.wrapping_add(data.len() as u64);
    let mut words = stripes.remainder().chunks_exact(8);
    for word in words.by_ref() {
        hash ^= round(0, number(word));
        hash = hash.rotate_left(27).wrapping_mul(first).wrapping_add(fourth);
    }
    let mut halves = words.remainder().chunks_exact(4);
    for half in halves.by_ref() {
        hash ^= number(half).wrapping_mul(first);
        hash = hash.rotate_left(23).wrapping_mul(second).wrapping_add(third);
    }
    for byte in halves.remainder() {
        hash ^= u64::from(*byte).wrapping_mul(fifth);
        hash = hash.rotate_left(11).wrapping_mul(first);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(second);
    hash = (hash ^ (hash >> 29)).wrapping_mul(third);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(weights: &[u32]) -> Vec<Endpoint> {
        let one = |(at, weight): (usize, &u32)| {
            let json = format!(r#"{{"address": "10.0.0.{at}:80", "weight": {weight}}}"#);
            Endpoint::new(&serde_json::from_str(&json).unwrap())
        };
        weights.iter().enumerate().map(one).collect()
    }

    fn lookup(policy: &str, endpoints: &[Endpoint], live: &[usize]) -> Lookup {
        let json = format!(r#"{{"name": "x", "balancing": "{policy}", "maglev_table_size": 5003}}"#);
        Lookup::build(live, endpoints, &serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn hashes_are_those_of_the_specification() {
        // The reference implementation's own figures for these texts.
        assert_eq!(xxh64(b"", 0), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"a", 0), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xxh64(b"abc", 0), 0x44bc_2cf5_ad77_0999);
        assert_eq!(xxh64(b"Nobody inspects the spammish repetition", 0), 0xfbce_a83c_8a37_8bf1);
    }

    #[test]
    fn every_endpoint_has_places_by_its_weight() {
        let endpoints = members(&[1, 3]);
        for policy in ["ring_hash", "maglev"] {
            let lookup = lookup(policy, &endpoints, &[0, 1]);
            let heavy = (0..10_000u64).filter(|n| lookup.find(xxh64(&n.to_le_bytes(), 7), |_| true) == Some(1)).count();
            assert!((7_000..8_000).contains(&heavy), "{policy}: {heavy}");
        }
    }

    #[test]
    fn who_goes_takes_along_few_hashes_but_its_own() {
        let endpoints = members(&[1, 1, 1, 1, 1]);
        // A ring spreads the points it should have over who is left, so some fall between.
        for (policy, most_moved) in [("ring_hash", 1_200), ("maglev", 400)] {
            let all = lookup(policy, &endpoints, &[0, 1, 2, 3, 4]);
            let fewer = lookup(policy, &endpoints, &[0, 1, 2, 3]);
            let hashes = (0..10_000u64).map(|n| xxh64(&n.to_le_bytes(), 7));
            let moved = hashes.filter(|hash| {
                let before = all.find(*hash, |_| true);
                before != Some(4) && before != fewer.find(*hash, |_| true)
            });
            let moved = moved.count();
            assert!(moved <= most_moved, "{policy}: {moved}");
        }
    }

    #[test]
    fn a_hash_goes_on_to_who_fits() {
        let endpoints = members(&[1, 1]);
        for policy in ["ring_hash", "maglev"] {
            let lookup = lookup(policy, &endpoints, &[0, 1]);
            assert!((0..100u64).all(|hash| lookup.find(hash << 57, |at| at == 1) == Some(1)));
            assert_eq!(lookup.find(3, |_| false), None);
        }
    }
}
