//! The logins that the cluster has accepted: they may ask it again at any time, whatever their address has done.
//!
//! A job whose token has just ended is among them. It learns from the cluster that the token is refused (401) and reads the new one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::identity::login::Login;

/// The time for which a login is known after the cluster has accepted it. A token of a service lives for a day.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The number of logins in memory. While it is full, the server forgets the one that was accepted longest ago.
const MAX_LOGINS: usize = 50_000;

/// The logins that a cluster has accepted, by their hashes.
#[derive(Debug, Default)]
pub struct KnownLogins(Mutex<HashMap<[u8; 32], Instant>>);

impl KnownLogins {
    /// Notes that the cluster has accepted this login.
    pub fn add(&self, login: &Login, now: Instant) {
        let mut logins = self.0.lock().expect("nobody panics while holding it");
        if logins.len() >= MAX_LOGINS && !logins.contains_key(&login.hash()) {
            logins.retain(|_, accepted| now < *accepted + KNOWN_FOR);
            // A tenth at once, so that not every new login costs a search.
            if logins.len() >= MAX_LOGINS {
                let mut instants: Vec<Instant> = logins.values().copied().collect();
                let (_, limit, _) = instants.select_nth_unstable(MAX_LOGINS / 10);
                let limit = *limit;
                logins.retain(|_, accepted| *accepted > limit);
            }
        }
        logins.insert(login.hash(), now);
    }

    /// Whether the cluster has accepted this login not long ago.
    pub fn contains(&self, login: &Login, now: Instant) -> bool {
        let logins = self.0.lock().expect("nobody panics while holding it");
        logins.get(&login.hash()).is_some_and(|accepted| now < *accepted + KNOWN_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_known_for_a_day_after_the_cluster_accepted_it() {
        let (logins, now) = (KnownLogins::default(), Instant::now());
        let login = Login::parse("Bearer a.b.c").expect("a token");
        assert!(!logins.contains(&login, now));
        logins.add(&login, now);
        assert!(logins.contains(&login, now + KNOWN_FOR - Duration::from_secs(1)));
        assert!(!logins.contains(&login, now + KNOWN_FOR));
    }

    #[test]
    fn the_logins_in_memory_are_bounded_and_the_newest_stay() {
        let (logins, begin) = (KnownLogins::default(), Instant::now());
        let login = |number: usize| Login::parse(&format!("Bearer {number}")).expect("a token");
        let at = |number: usize| begin + Duration::from_millis(u64::try_from(number).expect("a small number"));
        (0..=MAX_LOGINS).for_each(|number| logins.add(&login(number), at(number)));
        assert!(logins.0.lock().expect("no panic").len() <= MAX_LOGINS);
        assert!(!logins.contains(&login(0), at(MAX_LOGINS)));
        assert!(logins.contains(&login(MAX_LOGINS), at(MAX_LOGINS)));
    }
}
