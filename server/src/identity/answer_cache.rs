//! A cache of a cluster's answers about its users: it keeps an answer for some seconds under the SHA-256 of the whole login.
//!
//! A refusal removes the answer at once and is not cached itself. An answer that was requested before a refusal is not cached
//! at all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::flights::Flights;
use crate::identity::login::Login;

/// The longest wait for an answer of the cluster. A client waits 10 s; the rest is for STS.
pub const CLUSTER_TIMEOUT: Duration = Duration::from_secs(5);

/// The time for which an answer counts.
const FRESH: Duration = Duration::from_secs(10);

/// The number of logins in the cache. While it is full, the server asks the cluster about other logins at each request.
const MAX_LOGINS: usize = 10_000;

type Hash = [u8; 32];

/// The answers of a cluster, by login.
#[derive(Debug)]
pub struct AnswerCache<T, E> {
    entries: Mutex<HashMap<Hash, Cached<T>>>,
    flights: Flights<Hash, Result<T, E>>,
}

#[derive(Debug)]
enum Cached<T> {
    Answer { answer: T, until: Instant },
    Refusal { at: Instant },
}

impl<T, E> Default for AnswerCache<T, E> {
    fn default() -> Self {
        Self { entries: Mutex::default(), flights: Flights::default() }
    }
}

impl<T: Clone, E: Clone> AnswerCache<T, E> {
    /// Returns the cached answer for this login, else that of `ask`. Callers for the same login at the same time share one
    /// `ask`. A failure goes to all of them and is not cached.
    pub async fn get(&self, login: &Login, ask: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let hash = login.hash();
        if let Some(answer) = self.find(&hash, Instant::now()) {
            return Ok(answer);
        }
        self.flights
            .join(hash, async || {
                let requested = Instant::now();
                let answer = ask().await?;
                self.keep(hash, requested, answer.clone());
                Ok(answer)
            })
            .await
    }

    fn find(&self, hash: &Hash, now: Instant) -> Option<T> {
        match self.entries.lock().expect("nobody panics while holding it").get(hash)? {
            Cached::Answer { answer, until } if now < *until => Some(answer.clone()),
            Cached::Answer { .. } | Cached::Refusal { .. } => None,
        }
    }

    /// Caches an answer from the instant it was requested on, unless the login has been refused since.
    fn keep(&self, hash: Hash, requested: Instant, answer: T) {
        let mut entries = self.with_room();
        let was_refused = matches!(entries.get(&hash), Some(Cached::Refusal { at }) if *at >= requested);
        if !was_refused && entries.len() < MAX_LOGINS {
            entries.insert(hash, Cached::Answer { answer, until: requested + FRESH });
        }
    }

    /// Removes the answer for this login, and keeps out answers that were requested before now.
    pub fn refuse(&self, login: &Login) {
        let mut entries = self.with_room();
        if entries.len() >= MAX_LOGINS {
            // Then the server asks the cluster about everybody again, which is safe.
            entries.clear();
        }
        entries.insert(login.hash(), Cached::Refusal { at: Instant::now() });
    }

    fn with_room(&self) -> MutexGuard<'_, HashMap<Hash, Cached<T>>> {
        let mut entries = self.entries.lock().expect("nobody panics while holding it");
        if entries.len() >= MAX_LOGINS {
            let now = Instant::now();
            entries.retain(|_, entry| match entry {
                Cached::Answer { until, .. } => now < *until,
                // By then no answer that was requested before the refusal is still on its way.
                Cached::Refusal { at } => now < *at + CLUSTER_TIMEOUT,
            });
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_seconds_and_only_for_the_whole_login() {
        let (cache, now) = (AnswerCache::<i32, ()>::default(), Instant::now());
        cache.keep(Login::with_api_key("a.b").hash(), now, 1);
        let find =
            |key: &str, seconds| cache.find(&Login::with_api_key(key).hash(), now + Duration::from_secs(seconds));
        assert_eq!((find("a.b", 0), find("a.b", 9), find("a.b", 10)), (Some(1), Some(1), None));
        assert_eq!(find("a.c", 0), None);
        assert_eq!(cache.find(&Login::parse("Bearer a.b").expect("a token").hash(), now), None);
    }

    #[test]
    fn a_refusal_removes_the_answer_and_keeps_out_one_that_was_requested_before() {
        let cache = AnswerCache::<i32, ()>::default();
        let (key, requested) = (Login::with_api_key("a.b"), Instant::now());
        cache.keep(key.hash(), requested, 1);
        cache.refuse(&key);
        assert_eq!(cache.find(&key.hash(), requested), None);
        cache.keep(key.hash(), requested, 1);
        assert_eq!(cache.find(&key.hash(), requested), None);
        cache.keep(key.hash(), Instant::now() + Duration::from_millis(1), 2);
        assert_eq!(cache.find(&key.hash(), requested), Some(2));
    }
}
