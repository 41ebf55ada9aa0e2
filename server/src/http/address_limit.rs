//! A limit on what goes on at once, in all and for each client's address. An address may have half of what the others leave: several
//! addresses together cannot keep the others out either.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::wrong_keys::to_network;

/// A limit on what goes on at once. Clones share the counts.
#[derive(Debug, Clone)]
pub struct AddressLimit {
    in_all: usize,
    each: usize,
    places: Arc<Mutex<Places>>,
}

#[derive(Debug, Default)]
struct Places {
    taken: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl AddressLimit {
    /// Makes a limit of so many in all, and at most so many for each address.
    pub fn new(in_all: usize, each: usize) -> Self {
        Self { in_all, each, places: Arc::default() }
    }

    /// Takes a place for as long as the result lives; `None` when the address, or all together, have as many as they may.
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        let address = to_network(address);
        let mut places = self.places.lock().expect("nobody panics while holding it");
        let taken = places.by_address.get(&address).copied().unwrap_or_default();
        let free = self.in_all - (places.taken - taken);
        if taken >= self.each.min(free.div_ceil(2)) {
            return None;
        }
        places.taken += 1;
        places.by_address.insert(address, taken + 1);
        Some(Place { address, places: self.places.clone() })
    }
}

/// A place. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    address: IpAddr,
    places: Arc<Mutex<Places>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.places.lock().expect("nobody panics while holding it");
        places.taken -= 1;
        match places.by_address.get_mut(&self.address) {
            Some(taken) if *taken > 1 => *taken -= 1,
            Some(_) | None => drop(places.by_address.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_a_place_that_is_left_is_free() {
        let limit = AddressLimit::new(3, 2);
        let enter = |address: &str| limit.enter(address.parse().expect("an address"));
        let (one, _two) = (enter("192.0.2.7").expect("a place"), enter("::ffff:192.0.2.7").expect("a place"));
        assert!(enter("192.0.2.7").is_none(), "beyond the share of the address");
        let other = enter("192.0.2.8").expect("a place");
        assert!(enter("192.0.2.9").is_none(), "beyond all");
        drop((one, other));
        assert_eq!(limit.places.lock().expect("no panic").by_address.len(), 1);
        assert!(enter("192.0.2.7").is_some());
    }

    #[test]
    fn addresses_that_take_what_they_can_leave_something_to_the_next_one() {
        let limit = AddressLimit::new(100, 100);
        let take_all = |address: &str| {
            let address = address.parse().expect("an address");
            std::iter::from_fn(|| limit.enter(address)).collect::<Vec<_>>()
        };
        let taken = [take_all("192.0.2.7"), take_all("2001:db8:0:1::1"), take_all("2001:db8:0:2::1")];
        assert_eq!(taken.each_ref().map(Vec::len), [50, 25, 13]);
        assert!(take_all("2001:db8:0:1::2").is_empty(), "of a network that has its share");
        assert_eq!(take_all("192.0.2.8").len(), 6);
    }
}
