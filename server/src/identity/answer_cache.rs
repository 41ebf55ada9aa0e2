//! A cache of a cluster's answers about its users: it keeps an answer for some seconds under the SHA-256 of the whole login.
//!
//! A refusal removes the answer at once and is not cached itself. An answer that was requested before a refusal is not cached
//! at all. However many refusals there are, they take no room from the answers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::identity::flights::Flights;
use crate::identity::login::Login;

/// The longest wait for an answer of the cluster. A client waits 10 s; the rest is for STS.
pub const CLUSTER_TIMEOUT: Duration = Duration::from_secs(5);

/// The time for which an answer counts.
const FRESH: Duration = Duration::from_secs(10);

/// The number of logins with an answer in the cache. While it is full, the server asks the cluster about other logins at each request.
const MAX_LOGINS: usize = 10_000;

/// The number of refusals in memory.
const MAX_REFUSALS: usize = 10_000;

/// The longest time that an answer is on its way: a question about a user may be two calls.
const LONGEST_ASK: Duration = Duration::from_secs(2 * CLUSTER_TIMEOUT.as_secs());

type Hash = [u8; 32];

/// The answers of a cluster, by login.
#[derive(Debug)]
pub struct AnswerCache<T, E> {
    entries: Mutex<Entries<T>>,
    flights: Flights<Hash, Result<T, E>>,
}

#[derive(Debug)]
struct Entries<T> {
    answers: HashMap<Hash, Answer<T>>,
    /// The instants of the refusals that may still be news to an answer on its way.
    refusals: HashMap<Hash, Instant>,
    /// No answer that was requested before this instant is cached: refusals from before it are forgotten.
    oldest_request: Instant,
    swept_at: Instant,
}

#[derive(Debug)]
struct Answer<T> {
    answer: T,
    until: Instant,
}

impl<T, E> Default for AnswerCache<T, E> {
    fn default() -> Self {
        let now = Instant::now();
        let (answers, refusals) = (HashMap::new(), HashMap::new());
        let entries = Entries { answers, refusals, oldest_request: now, swept_at: now };
        Self { entries: Mutex::new(entries), flights: Flights::default() }
    }
}

impl<T: Clone, E: Clone> AnswerCache<T, E> {
    /// Returns the cached answer for this login, else that of `ask`. Callers for the same login at the same time share one
    /// `ask`. A failure goes to all of them and is not cached.
    pub async fn get(&self, login: &Login, ask: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        if let Some(answer) = self.find(login, Instant::now()) {
            return Ok(answer);
        }
        let hash = login.hash();
        self.flights
            .join(hash, async || {
                let requested = Instant::now();
                let answer = ask().await?;
                self.keep(hash, requested, answer.clone());
                Ok(answer)
            })
            .await
    }

    /// Finds the cached answer for this login.
    pub fn find(&self, login: &Login, now: Instant) -> Option<T> {
        let entries = self.swept(now);
        entries.answers.get(&login.hash()).filter(|entry| now < entry.until).map(|entry| entry.answer.clone())
    }

    /// Caches an answer from the instant it was requested on, unless the login has been refused since.
    fn keep(&self, hash: Hash, requested: Instant, answer: T) {
        let mut entries = self.swept(Instant::now());
        let is_news =
            requested >= entries.oldest_request && entries.refusals.get(&hash).is_none_or(|at| *at < requested);
        if is_news && (entries.answers.len() < MAX_LOGINS || entries.answers.contains_key(&hash)) {
            entries.answers.insert(hash, Answer { answer, until: requested + FRESH });
        }
    }

    /// Removes the answer for this login, and keeps out answers that were requested before now.
    pub fn refuse(&self, login: &Login) {
        let now = Instant::now();
        let mut entries = self.swept(now);
        entries.answers.remove(&login.hash());
        if entries.refusals.len() >= MAX_REFUSALS {
            entries.refusals.clear();
            entries.oldest_request = now;
        } else {
            entries.refusals.insert(login.hash(), now);
        }
    }

    /// Whether the cluster has refused this login a moment ago.
    pub fn was_refused(&self, login: &Login, now: Instant) -> bool {
        self.swept(now).refusals.get(&login.hash()).is_some_and(|at| now < *at + FRESH)
    }

    /// Removes the answers and refusals that have ended, as every call does, also when nobody calls any more.
    pub fn sweep(&self, now: Instant) {
        drop(self.swept(now));
    }

    /// Locks the entries, and removes those that have ended, but not more often than they end.
    fn swept(&self, now: Instant) -> MutexGuard<'_, Entries<T>> {
        let mut entries = self.entries.lock().expect("nobody panics while holding it");
        if now >= entries.swept_at + FRESH {
            entries.swept_at = now;
            entries.answers.retain(|_, entry| now < entry.until);
            // By then no answer that was requested before the refusal is still on its way.
            entries.refusals.retain(|_, at| now < *at + LONGEST_ASK);
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Login {
        Login::with_api_key(text).expect("a key")
    }

    #[test]
    fn an_answer_counts_for_seconds_and_only_for_the_whole_login() {
        let (cache, now) = (AnswerCache::<i32, ()>::default(), Instant::now());
        cache.keep(key("a.b").hash(), now, 1);
        let find = |text: &str, seconds| cache.find(&key(text), now + Duration::from_secs(seconds));
        assert_eq!((find("a.b", 0), find("a.b", 9), find("a.b", 10)), (Some(1), Some(1), None));
        assert_eq!(find("a.c", 0), None);
        assert_eq!(cache.find(&Login::parse("Bearer a.b").expect("a token"), now), None);
    }

    #[test]
    fn an_answer_that_has_ended_does_not_stay_in_memory() {
        let (cache, now) = (AnswerCache::<i32, ()>::default(), Instant::now());
        cache.keep(key("a.b").hash(), now, 1);
        cache.refuse(&key("a.c"));
        cache.sweep(now + LONGEST_ASK + FRESH);
        let entries = cache.entries.lock().expect("no panic");
        assert_eq!((entries.answers.len(), entries.refusals.len()), (0, 0));
    }

    #[test]
    fn a_refusal_removes_the_answer_and_keeps_out_one_that_was_requested_before() {
        let cache = AnswerCache::<i32, ()>::default();
        let (login, requested) = (key("a.b"), Instant::now());
        cache.keep(login.hash(), requested, 1);
        cache.refuse(&login);
        assert_eq!(cache.find(&login, requested), None);
        cache.keep(login.hash(), requested, 1);
        assert_eq!(cache.find(&login, requested), None);
        cache.keep(login.hash(), Instant::now() + Duration::from_millis(1), 2);
        assert_eq!(cache.find(&login, requested), Some(2));
    }

    #[test]
    fn any_number_of_refusals_takes_no_answer_away_and_lets_no_older_one_in() {
        let (cache, requested) = (AnswerCache::<i32, ()>::default(), Instant::now());
        cache.keep(key("good.key").hash(), requested, 1);
        cache.refuse(&key("gone.key"));
        (0..3 * MAX_REFUSALS).for_each(|number| cache.refuse(&key(&format!("wrong.{number}"))));
        assert_eq!(cache.find(&key("good.key"), requested), Some(1));
        cache.keep(key("gone.key").hash(), requested, 1);
        assert_eq!(cache.find(&key("gone.key"), requested), None);
        assert!(cache.entries.lock().expect("no panic").refusals.len() <= MAX_REFUSALS);
    }
}
