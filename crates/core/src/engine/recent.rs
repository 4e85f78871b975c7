//! The routes of the services and methods that were asked for last: calls come in runs, and routes that look at nothing else are
//! the same for each of a run.

use crate::framed::Address;
use crate::head::Version;
use crate::limits::{MAX_RECENT_BYTES, RECENT_ROUTES};
use crate::routes::Found;
use crate::short::{end, is_same};

/// Routes by the addresses of calls. What has been put out of its place by another is looked for again.
#[derive(Debug, Default)]
pub struct Recent {
    /// None before there is a call.
    places: Vec<Entry>,
    /// The place of the one that was asked for last.
    last: usize,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    /// The route table, and what the call is written in; none: nothing is known here.
    source: Option<(usize, Version)>,
    /// Service and method.
    words: Vec<u8>,
    /// Where the second begins.
    method_at: usize,
    /// The route; none: each such call must be looked at.
    found: Option<Found>,
}

impl Entry {
    fn is_of(&self, source: (usize, Version), address: &Address<'_>) -> bool {
        let (service, method) = self.words.split_at_checked(self.method_at).unwrap_or_default();
        self.source == Some(source) && is_same(service, address.service) && is_same(method, address.method)
    }
}

impl Recent {
    /// Return the place of an address, and whether its route is known; if not, it is to be `learn`ed. `None`: an address that is
    /// too long to be remembered.
    #[inline]
    pub fn place(&mut self, table: usize, version: Version, address: &Address<'_>) -> Option<(usize, bool)> {
        if self.places.is_empty() {
            self.places.resize(RECENT_ROUTES, Entry::default());
        }
        if self.places.get(self.last)?.is_of((table, version), address) {
            return Some((self.last, true));
        }
        let place = sum(address) % RECENT_ROUTES;
        self.last = place;
        let entry = self.places.get_mut(place)?;
        if entry.is_of((table, version), address) {
            return Some((place, true));
        }
        if address.service.len() + address.method.len() > MAX_RECENT_BYTES {
            return None;
        }
        entry.source = Some((table, version));
        entry.words.clear();
        entry.words.extend_from_slice(address.service);
        entry.words.extend_from_slice(address.method);
        entry.method_at = address.service.len();
        entry.found = None;
        Some((place, false))
    }

    /// Note the route of the address that was put in this place; none: its calls must be looked at each.
    pub fn learn(&mut self, place: usize, found: Option<Found>) {
        if let Some(entry) = self.places.get_mut(place) {
            entry.found = found;
        }
    }

    /// Return the route of the address in this place.
    pub fn found(&self, place: usize) -> Option<Found> {
        self.places.get(place)?.found
    }

    /// Forget all: other tables are in force.
    pub fn forget(&mut self) {
        for entry in &mut self.places {
            entry.source = None;
        }
    }
}

/// Return a number by which most addresses differ.
///
/// Their ends do: packages and domains stand in front. Whoever makes addresses collide has each of them looked for.
fn sum(address: &Address<'_>) -> usize {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let sum = end(address.service).wrapping_mul(FACTOR).rotate_left(29) ^ end(address.method);
    usize::try_from(sum.wrapping_mul(FACTOR) >> 48).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::Tables;

    fn address<'a>(service: &'a [u8], method: &'a [u8]) -> Address<'a> {
        Address { service, method }
    }

    #[test]
    fn an_address_is_known_once_it_was_asked_for_until_another_takes_its_place() {
        let mut recent = Recent::default();
        let version = Version::Dubbo;
        let (first, known) = recent.place(0, version, &address(b"com.example.S", b"m")).unwrap();
        assert!(!known && recent.found(first).is_none());
        assert_eq!(recent.place(0, version, &address(b"com.example.S", b"m")), Some((first, true)));
        // Neither the words moved against each other, nor another table or protocol, are the same.
        assert_eq!(recent.place(0, version, &address(b"com.example.", b"Sm")).map(|(_, known)| known), Some(false));
        assert_eq!(recent.place(1, version, &address(b"com.example.S", b"m")), Some((first, false)));
        assert_eq!(recent.place(1, Version::Framed(0), &address(b"com.example.S", b"m")), Some((first, false)));
        assert_eq!(recent.place(1, Version::Framed(0), &address(b"com.example.S", b"m")), Some((first, true)));
        recent.forget();
        assert_eq!(recent.place(1, Version::Framed(0), &address(b"com.example.S", b"m")), Some((first, false)));
    }

    #[test]
    fn addresses_that_share_a_place_have_it_in_turn() {
        let mut recent = Recent::default();
        let names: Vec<String> = (0..10 * RECENT_ROUTES).map(|n| format!("com.example.Service{n}")).collect();
        let found = Tables::default().find(0, &crate::head::Head::default());
        for _ in 0..3 {
            for name in &names {
                let (place, _) = recent.place(0, Version::Dubbo, &address(name.as_bytes(), b"")).unwrap();
                recent.learn(place, found);
                assert_eq!(recent.place(0, Version::Dubbo, &address(name.as_bytes(), b"")), Some((place, true)));
            }
        }
        assert_eq!(recent.places.len(), RECENT_ROUTES);
    }

    #[test]
    fn the_methods_of_a_few_services_have_places_of_their_own() {
        let mut places = std::collections::BTreeSet::new();
        let services = ["com.example.OrderService:1.0", "com.example.UserService:1.0", "com.example.StockService:1.0"];
        for service in services {
            for method in ["get", "put", "find", "sell", "sayHello", "findByName", "sellByName"] {
                places.insert(sum(&address(service.as_bytes(), method.as_bytes())) % RECENT_ROUTES);
            }
        }
        assert!(places.len() >= 16, "of 21 addresses {} have a place of their own", places.len());
    }

    #[test]
    fn what_is_too_long_is_not_remembered() {
        let mut recent = Recent::default();
        let long = vec![b's'; MAX_RECENT_BYTES];
        assert!(recent.place(0, Version::Dubbo, &address(&long, b"")).is_some());
        assert!(recent.place(0, Version::Dubbo, &address(&long, b"m")).is_none());
    }
}
