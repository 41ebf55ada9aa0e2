//! The retries of a request: after which failures, how often and for how long.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::Error;

/// The number of tries and their time. [`Default`] is what every caller uses: 3 tries, 30 s in all, 10 s for an answer.
#[derive(Debug, Clone)]
pub struct Retry {
    /// The number of tries, the first one included.
    pub tries: u32,
    /// The time for all tries and the waits between them.
    pub budget: Duration,
    /// The time for the answer to one try.
    pub answer_timeout: Duration,
    /// The wait before the second try. It doubles with each further try; jitter shortens it by up to half.
    pub first_wait: Duration,
    /// The source of the jitter: numbers of at least 0 and less than 1.
    pub random: fn() -> f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            tries: 3,
            budget: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(10),
            first_wait: Duration::from_millis(500),
            random,
        }
    }
}

/// A try that failed.
#[derive(Debug)]
pub struct FailedTry {
    /// The reason.
    pub error: Error,
    /// The wait that the service asks for (`Retry-After`). The longer of it and ours counts.
    pub retry_after: Option<Duration>,
}

impl From<Error> for FailedTry {
    fn from(error: Error) -> Self {
        Self { error, retry_after: None }
    }
}

impl Retry {
    /// The end of the budget for a call that begins now, however many requests the call needs.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.budget
    }

    /// Calls `attempt` with the time that it may take, until it succeeds, fails for good, or no time or try is left.
    ///
    /// # Errors
    /// The error of the last try.
    pub async fn run<T, Attempt>(
        &self,
        deadline: Instant,
        mut attempt: impl FnMut(Duration) -> Attempt,
    ) -> Result<T, Error>
    where
        Attempt: Future<Output = Result<T, FailedTry>>,
    {
        let mut tried = 0;
        loop {
            let failed = match attempt(self.answer_timeout.min(time_left(deadline))).await {
                Ok(value) => return Ok(value),
                Err(failed) => failed,
            };
            tried += 1;
            let wait = self.wait_after(tried).max(failed.retry_after.unwrap_or_default());
            if tried >= self.tries || !failed.error.is_retryable() || wait >= time_left(deadline) {
                return Err(failed.error);
            }
            sleep(wait).await;
        }
    }

    fn wait_after(&self, tried: u32) -> Duration {
        let longest = self.first_wait * 2_u32.saturating_pow(tried.saturating_sub(1));
        longest.mul_f64(1.0 - (self.random)() / 2.0)
    }
}

fn time_left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// A number of at least 0 and less than 1, random enough to keep clients from coming back at the same moment: the keys
/// of a hash map are random.
pub fn random() -> f64 {
    (RandomState::new().hash_one(()) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn temporary() -> Error {
        Error::Unavailable {
            attempted: "trying".to_owned(),
            code: 503,
            problem: "not now".to_owned(),
            remedy: "wait".to_owned(),
            source: None,
        }
    }

    fn without_jitter() -> Retry {
        Retry { random: || 0.0, ..Retry::default() }
    }

    /// The seconds at which tries began, when each takes `taking` and fails as `failure` says.
    async fn tries(retry: &Retry, taking: Duration, failure: impl Fn() -> FailedTry) -> Vec<f64> {
        let start = Instant::now();
        let began = RefCell::new(Vec::new());
        let result: Result<(), Error> = retry
            .run(retry.deadline(), async |time| {
                began.borrow_mut().push(start.elapsed().as_secs_f64());
                sleep(taking.min(time)).await;
                Err(failure())
            })
            .await;
        assert!(result.is_err());
        began.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn a_temporary_failure_is_tried_three_times_with_growing_waits() {
        assert_eq!(tries(&without_jitter(), Duration::ZERO, || temporary().into()).await, [0.0, 0.5, 1.5]);
    }

    #[tokio::test(start_paused = true)]
    async fn jitter_shortens_a_wait_by_up_to_half() {
        let retry = Retry { random: || 1.0, ..Retry::default() };
        assert_eq!(tries(&retry, Duration::ZERO, || temporary().into()).await, [0.0, 0.25, 0.75]);
        let drawn: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(drawn.iter().all(|number| (0.0..1.0).contains(number)), "{drawn:?}");
        assert!(drawn.windows(2).any(|pair| pair[0] != pair[1]), "{drawn:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lasting_failure_is_tried_once() {
        let refused = || FailedTry::from(Error::InvalidArgument { field: "role ARN", reason: "none".to_owned() });
        assert_eq!(tries(&without_jitter(), Duration::ZERO, refused).await, [0.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_that_a_service_asks_for_counts_while_there_is_time() {
        let asking =
            |seconds| move || FailedTry { error: temporary(), retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(tries(&without_jitter(), Duration::ZERO, asking(12)).await, [0.0, 12.0, 24.0]);
        assert_eq!(tries(&without_jitter(), Duration::ZERO, asking(20)).await, [0.0, 20.0]);
        assert_eq!(tries(&without_jitter(), Duration::ZERO, asking(30)).await, [0.0]);
        assert_eq!(tries(&without_jitter(), Duration::ZERO, asking(0)).await, [0.0, 0.5, 1.5]);
    }

    #[tokio::test(start_paused = true)]
    async fn all_tries_together_take_no_longer_than_the_budget() {
        let start = Instant::now();
        let retry = Retry { tries: 100, ..without_jitter() };
        tries(&retry, Duration::from_secs(3600), || temporary().into()).await;
        assert_eq!(start.elapsed().as_secs(), 30);
        let start = Instant::now();
        tries(&without_jitter(), Duration::from_secs(3600), || temporary().into()).await;
        assert_eq!(start.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_success_is_a_success() {
        let mut tried = 0;
        let retry = Retry::default();
        let result = retry
            .run(retry.deadline(), |_| {
                tried += 1;
                std::future::ready(match tried {
                    2 => Ok("here"),
                    _ => Err(temporary().into()),
                })
            })
            .await;
        assert_eq!(result.expect("the second try"), "here");
    }
}
