//! What a cluster has told about those who logged in, kept for some seconds under the SHA-256 of the whole login.
//!
//! A refusal ends an answer at once and is not kept itself, and an answer that was asked for before a refusal came is not kept
//! at all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::flights::Flights;
use crate::identity::login::Login;

/// For one answer of the cluster. What is left of a client's 10 s is for STS.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// For so long an answer is good.
const FRESH: Duration = Duration::from_secs(10);

/// So many logins are remembered. While there are more, new ones are asked about each time.
const MAXIMUM: usize = 10_000;

type Hash = [u8; 32];

/// What a cluster has told, by login.
#[derive(Debug)]
pub struct Answers<T, E> {
    known: Mutex<HashMap<Hash, Known<T>>>,
    flights: Flights<Hash, Result<T, E>>,
}

#[derive(Debug)]
enum Known<T> {
    Told { answer: T, until: Instant },
    Refused { at: Instant },
}

impl<T, E> Default for Answers<T, E> {
    fn default() -> Self {
        Self { known: Mutex::default(), flights: Flights::default() }
    }
}

impl<T: Clone, E: Clone> Answers<T, E> {
    /// The answer there is for this login, else that of `ask`; who comes while another asks waits for the same. A failure is
    /// told to all of them and not kept.
    pub async fn get(&self, login: &Login, ask: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let hash = login.hash();
        if let Some(answer) = self.fresh(&hash, Instant::now()) {
            return Ok(answer);
        }
        self.flights
            .join(hash, async || {
                let asked = Instant::now();
                let answer = ask().await?;
                self.keep(hash, asked, answer.clone());
                Ok(answer)
            })
            .await
    }

    fn fresh(&self, hash: &Hash, now: Instant) -> Option<T> {
        match self.known.lock().expect("nobody panics while holding it").get(hash)? {
            Known::Told { answer, until } if now < *until => Some(answer.clone()),
            Known::Told { .. } | Known::Refused { .. } => None,
        }
    }

    /// Keeps an answer, counted from when it was asked for, unless the login was refused since.
    fn keep(&self, hash: Hash, asked: Instant, answer: T) {
        let mut known = self.with_room();
        let was_refused = matches!(known.get(&hash), Some(Known::Refused { at }) if *at >= asked);
        if !was_refused && known.len() < MAXIMUM {
            known.insert(hash, Known::Told { answer, until: asked + FRESH });
        }
    }

    /// Ends the answer there is for this login, and those that were asked for before now.
    pub fn refuse(&self, login: &Login) {
        let mut known = self.with_room();
        if known.len() >= MAXIMUM {
            // Everybody is asked about anew then, which is safe.
            known.clear();
        }
        known.insert(login.hash(), Known::Refused { at: Instant::now() });
    }

    fn with_room(&self) -> MutexGuard<'_, HashMap<Hash, Known<T>>> {
        let mut known = self.known.lock().expect("nobody panics while holding it");
        if known.len() >= MAXIMUM {
            let now = Instant::now();
            known.retain(|_, entry| match entry {
                Known::Told { until, .. } => now < *until,
                // No answer that was asked for before it is still on its way.
                Known::Refused { at } => now < *at + PATIENCE,
            });
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_for_seconds_and_under_the_whole_login_only() {
        let (answers, now) = (Answers::<i32, ()>::default(), Instant::now());
        answers.keep(Login::with_api_key("a.b").hash(), now, 1);
        let fresh =
            |key: &str, seconds| answers.fresh(&Login::with_api_key(key).hash(), now + Duration::from_secs(seconds));
        assert_eq!((fresh("a.b", 0), fresh("a.b", 9), fresh("a.b", 10)), (Some(1), Some(1), None));
        assert_eq!(fresh("a.c", 0), None);
        assert_eq!(answers.fresh(&Login::parse("Bearer a.b").expect("a token").hash(), now), None);
    }

    #[test]
    fn a_refusal_ends_an_answer_at_once_and_one_that_was_asked_for_before_it_is_not_kept() {
        let answers = Answers::<i32, ()>::default();
        let (key, asked) = (Login::with_api_key("a.b"), Instant::now());
        answers.keep(key.hash(), asked, 1);
        answers.refuse(&key);
        assert_eq!(answers.fresh(&key.hash(), asked), None);
        answers.keep(key.hash(), asked, 1);
        assert_eq!(answers.fresh(&key.hash(), asked), None);
        answers.keep(key.hash(), Instant::now() + Duration::from_millis(1), 2);
        assert_eq!(answers.fresh(&key.hash(), asked), Some(2));
    }
}
