//! Wrong keys: how often each address has sent one, and how long it has to wait.
//!
//! A key has 32 random bytes, so nobody finds one by trying; the limit keeps those who try from filling the log, and from using this
//! server to call the cluster. It never slows down a key that is known to be valid, whatever its address has done: many jobs share one
//! address. Where only a cluster can tell, a key is counted as wrong until the cluster has answered: [`WrongKeys::try_one`].

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The number of wrong keys within [`WINDOW`] that get the usual error; the next ones get "too many".
const MAX_WRONG_KEYS: u32 = 20;

/// The time that counts, from the first wrong key of an address on.
const WINDOW: Duration = Duration::from_secs(60);

/// The number of addresses in memory. While it is full, other addresses are not counted.
const MAX_ADDRESSES: usize = 10_000;

/// The time between two looks for addresses whose window is over: not every key costs a look at all of them.
const FORGET_INTERVAL: Duration = Duration::from_secs(1);

/// The wrong keys of each address.
#[derive(Debug, Clone, Default)]
pub struct WrongKeys(Arc<Mutex<Windows>>);

#[derive(Debug, Default)]
struct Windows {
    by_address: HashMap<IpAddr, Window>,
    /// The next time to forget addresses.
    forget_at: Option<Instant>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    count: u32,
    /// The tries whose outcome is not known yet.
    under_way: u32,
    changed: Arc<Notify>,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { began: now, count: 0, under_way: 0, changed: Arc::default() }
    }

    fn is_running(&self, now: Instant) -> bool {
        now < self.began + WINDOW
    }

    fn wait(&self, now: Instant) -> Duration {
        self.began + WINDOW - now
    }
}

impl WrongKeys {
    /// Counts a wrong key. Returns how long the address has to wait, if it has sent too many.
    pub fn count(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut windows = self.lock();
        let window = find(&mut windows, address, now)?;
        window.count = window.count.saturating_add(1);
        (window.count > MAX_WRONG_KEYS).then(|| window.wait(now))
    }

    /// Begins the try of a key that may be wrong. Waits while the tries under way could be too many wrong ones.
    ///
    /// # Errors
    /// How long the address has to wait, if it has sent too many wrong keys: the key is not to be tried, and counts as another one.
    pub async fn try_one(&self, address: IpAddr) -> Result<Try, Duration> {
        loop {
            let changed = {
                let (mut windows, now) = (self.lock(), Instant::now());
                let Some(window) = find(&mut windows, address, now) else { return Ok(Try { place: None }) };
                if window.count >= MAX_WRONG_KEYS {
                    window.count = window.count.saturating_add(1);
                    return Err(window.wait(now));
                }
                if window.count + window.under_way < MAX_WRONG_KEYS {
                    window.under_way += 1;
                    return Ok(Try { place: Some((self.clone(), to_network(address))) });
                }
                // It listens from here on, under the lock, so that it misses no change.
                window.changed.clone().notified_owned()
            };
            changed.await;
        }
    }

    /// Whether the address has sent too many wrong keys.
    pub fn is_jammed(&self, address: IpAddr, now: Instant) -> bool {
        let windows = self.lock();
        let window = windows.by_address.get(&to_network(address));
        window.is_some_and(|window| window.is_running(now) && window.count >= MAX_WRONG_KEYS)
    }

    fn lock(&self) -> MutexGuard<'_, Windows> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

/// Finds the window of an address, which begins anew after its time; `None` while too many other addresses are counted.
fn find(
    Windows { by_address: windows, forget_at }: &mut Windows,
    address: IpAddr,
    now: Instant,
) -> Option<&mut Window> {
    if forget_at.is_none_or(|at| now >= at) {
        windows.retain(|_, window| window.is_running(now) || window.under_way > 0);
        *forget_at = Some(now + FORGET_INTERVAL);
    }
    let key = to_network(address);
    if windows.len() >= MAX_ADDRESSES && !windows.contains_key(&key) {
        return None;
    }
    let window = windows.entry(key).or_insert_with(|| Window::new(now));
    if !window.is_running(now) {
        (window.began, window.count) = (now, 0);
    }
    Some(window)
}

/// The try of a key. Dropped without an outcome, it does not count.
#[derive(Debug)]
pub struct Try {
    place: Option<(WrongKeys, IpAddr)>,
}

impl Try {
    /// Counts the key as a wrong one.
    pub fn was_wrong(self) {
        if let Some((wrong_keys, network)) = &self.place
            && let Some(window) = wrong_keys.lock().by_address.get_mut(network)
        {
            window.count = window.count.saturating_add(1);
        }
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        if let Some((wrong_keys, network)) = &self.place
            && let Some(window) = wrong_keys.lock().by_address.get_mut(network)
        {
            window.under_way = window.under_way.saturating_sub(1);
            window.changed.notify_waiters();
        }
    }
}

/// Returns the network whose addresses count as one: a machine with IPv6 can choose any of the 2^64 addresses of its network.
pub fn to_network(address: IpAddr) -> IpAddr {
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
        assert_eq!(wrong_keys.lock().by_address.len(), MAX_ADDRESSES);
        waits(&wrong_keys, ADDRESS, 1, begin + WINDOW);
        assert_eq!(wrong_keys.lock().by_address.len(), 1);
        // Long before there are too many.
        waits(&wrong_keys, "192.0.2.8", 1, begin + WINDOW * 2);
        assert_eq!(wrong_keys.lock().by_address.len(), 1);
    }

    #[tokio::test]
    async fn no_more_than_twenty_keys_that_may_be_wrong_are_tried_at_once_and_valid_ones_wait_for_each_other() {
        let (wrong_keys, address) = (WrongKeys::default(), ADDRESS.parse().expect("an address"));
        let mut tries = Vec::new();
        for _ in 0..20 {
            tries.push(wrong_keys.try_one(address).await.expect("room"));
        }
        let waiting = tokio::spawn({
            let wrong_keys = wrong_keys.clone();
            async move { wrong_keys.try_one(address).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        // A valid key makes room.
        drop(tries.pop());
        tries.push(waiting.await.expect("no panic").expect("room"));
        tries.into_iter().for_each(Try::was_wrong);
        let wait = wrong_keys.try_one(address).await.expect_err("jammed");
        assert!(wait > Duration::from_secs(50) && wait <= WINDOW, "{wait:?}");
        assert!(wrong_keys.try_one("192.0.2.8".parse().expect("an address")).await.is_ok());
    }
}
