//! Wrong keys: how often each address has sent one, and how long it has to wait.
//!
//! A key has 32 random bytes, so nobody finds one by trying; the limit keeps those who try from filling the log. It never slows
//! down a valid key, whatever its address has done: many jobs share one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The number of wrong keys within [`WINDOW`] that get the usual error; the next ones get "too many".
const MAX_WRONG_KEYS: u32 = 20;

/// The time that counts, from the first wrong key of an address on.
const WINDOW: Duration = Duration::from_secs(60);

/// The number of addresses in memory. While it is full, other addresses are not counted.
const MAX_ADDRESSES: usize = 10_000;

/// The wrong keys of each address.
#[derive(Debug, Clone, Default)]
pub struct WrongKeys(Arc<Mutex<HashMap<IpAddr, Window>>>);

#[derive(Debug)]
struct Window {
    began: Instant,
    count: u32,
}

impl WrongKeys {
    /// Counts a wrong key. Returns how long the address has to wait, if it has sent too many.
    pub fn count(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut windows = self.0.lock().expect("nobody panics while holding it");
        let is_running = |window: &Window| now < window.began + WINDOW;
        if windows.len() >= MAX_ADDRESSES {
            windows.retain(|_, window| is_running(window));
        }
        let key = to_network(address);
        if windows.len() >= MAX_ADDRESSES && !windows.contains_key(&key) {
            return None;
        }
        let window = windows.entry(key).or_insert(Window { began: now, count: 0 });
        if !is_running(window) {
            *window = Window { began: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        (window.count > MAX_WRONG_KEYS).then(|| window.began + WINDOW - now)
    }
}

/// Returns the network whose addresses count as one: a machine with IPv6 can choose any of the 2^64 addresses of its network.
fn to_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "192.0.2.7";

    /// The seconds that each of so many wrong keys has to wait at that instant.
    fn waits(wrong_keys: &WrongKeys, address: &str, times: u32, now: Instant) -> Vec<Option<u64>> {
        let address = address.parse().expect("an address");
        (0..times).map(|_| wrong_keys.count(address, now).map(|wait| wait.as_secs())).collect()
    }

    #[test]
    fn after_twenty_wrong_keys_in_a_minute_the_next_ones_wait_for_its_end() {
        let (wrong_keys, begin) = (WrongKeys::default(), Instant::now());
        assert_eq!(waits(&wrong_keys, ADDRESS, 20, begin), [None; 20]);
        assert_eq!(waits(&wrong_keys, ADDRESS, 2, begin + Duration::from_secs(59)), [Some(1); 2]);
        assert_eq!(waits(&wrong_keys, ADDRESS, 1, begin + Duration::from_secs(60)), [None]);
        assert_eq!(waits(&wrong_keys, ADDRESS, 20, begin + Duration::from_secs(61))[19], Some(59));
    }

    #[test]
    fn addresses_count_separately_and_a_network_of_ipv6_counts_as_one_address() {
        let (wrong_keys, now) = (WrongKeys::default(), Instant::now());
        waits(&wrong_keys, ADDRESS, 20, now);
        assert_eq!(waits(&wrong_keys, "192.0.2.8", 1, now), [None]);
        assert_eq!(waits(&wrong_keys, "::ffff:192.0.2.7", 1, now), [Some(60)]);
        waits(&wrong_keys, "2001:db8::1", 20, now);
        assert_eq!(waits(&wrong_keys, "2001:db8::ffff:2", 1, now), [Some(60)]);
        assert_eq!(waits(&wrong_keys, "2001:db8:0:1::1", 1, now), [None]);
    }

    #[test]
    fn the_number_of_remembered_addresses_is_bounded() {
        let (wrong_keys, begin) = (WrongKeys::default(), Instant::now());
        for number in 0..u32::try_from(MAX_ADDRESSES).expect("small") + 5 {
            wrong_keys.count(IpAddr::V4(number.into()), begin);
        }
        assert_eq!(wrong_keys.0.lock().expect("no panic").len(), MAX_ADDRESSES);
        waits(&wrong_keys, ADDRESS, 1, begin + WINDOW);
        assert_eq!(wrong_keys.0.lock().expect("no panic").len(), 1);
    }
}
