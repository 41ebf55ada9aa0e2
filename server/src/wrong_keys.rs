//! How often each address came with a wrong key, and for how long it has to wait.
//!
//! A key has 32 random bytes, so nobody finds one by trying; this keeps whoever tries from filling the log. A valid key is
//! never slowed, whatever its address has done: many jobs share one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// So many wrong keys within [`WINDOW`] are answered as such; the next ones with "too many".
const ALLOWED: u32 = 20;

/// From the first wrong key of an address on.
const WINDOW: Duration = Duration::from_secs(60);

/// So many addresses are remembered; while there are more, new ones are not counted.
const MAXIMUM: usize = 10_000;

/// The wrong keys of each address.
#[derive(Debug, Clone, Default)]
pub struct WrongKeys(Arc<Mutex<HashMap<IpAddr, Window>>>);

#[derive(Debug)]
struct Window {
    began: Instant,
    failures: u32,
}

impl WrongKeys {
    /// Counts a wrong key. When there were too many, gives the time until the next ones are looked at as such again.
    pub fn count(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut windows = self.0.lock().expect("nobody panics while holding it");
        let is_running = |window: &Window| now < window.began + WINDOW;
        if windows.len() >= MAXIMUM {
            windows.retain(|_, window| is_running(window));
        }
        let key = neighbourhood(address);
        if windows.len() >= MAXIMUM && !windows.contains_key(&key) {
            return None;
        }
        let window = windows.entry(key).or_insert(Window { began: now, failures: 0 });
        if !is_running(window) {
            *window = Window { began: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
        (window.failures > ALLOWED).then(|| window.began + WINDOW - now)
    }
}

/// A machine that speaks IPv6 has at least the 2^64 addresses of its network to choose from.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "192.0.2.7";

    /// Whether each of so many failures at that second has to wait.
    fn waits(failures: &WrongKeys, address: &str, times: u32, now: Instant) -> Vec<Option<u64>> {
        let address = address.parse().expect("an address");
        (0..times).map(|_| failures.count(address, now).map(|wait| wait.as_secs())).collect()
    }

    #[test]
    fn twenty_wrong_keys_in_a_minute_are_answered_and_the_next_ones_wait_for_its_end() {
        let (failures, begin) = (WrongKeys::default(), Instant::now());
        assert_eq!(waits(&failures, ADDRESS, 20, begin), [None; 20]);
        assert_eq!(waits(&failures, ADDRESS, 2, begin + Duration::from_secs(59)), [Some(1); 2]);
        assert_eq!(waits(&failures, ADDRESS, 1, begin + Duration::from_secs(60)), [None]);
        assert_eq!(waits(&failures, ADDRESS, 20, begin + Duration::from_secs(61))[19], Some(59));
    }

    #[test]
    fn an_address_does_not_pay_for_another_one_and_a_network_of_ipv6_is_one() {
        let (failures, now) = (WrongKeys::default(), Instant::now());
        waits(&failures, ADDRESS, 20, now);
        assert_eq!(waits(&failures, "192.0.2.8", 1, now), [None]);
        assert_eq!(waits(&failures, "::ffff:192.0.2.7", 1, now), [Some(60)]);
        waits(&failures, "2001:db8::1", 20, now);
        assert_eq!(waits(&failures, "2001:db8::ffff:2", 1, now), [Some(60)]);
        assert_eq!(waits(&failures, "2001:db8:0:1::1", 1, now), [None]);
    }

    #[test]
    fn the_memory_is_bounded_and_is_used_again() {
        let (failures, begin) = (WrongKeys::default(), Instant::now());
        for number in 0..u32::try_from(MAXIMUM).expect("small") + 5 {
            failures.count(IpAddr::V4(number.into()), begin);
        }
        assert_eq!(failures.0.lock().expect("no panic").len(), MAXIMUM);
        waits(&failures, ADDRESS, 1, begin + WINDOW);
        assert_eq!(failures.0.lock().expect("no panic").len(), 1);
    }
}
