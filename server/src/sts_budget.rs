//! The budget of calls to STS. AWS limits the calls of an account in a region, for everything that runs there: the server takes a part
//! of that, and when STS throttles, all who wait here wait together.
//!
//! A server has one base identity and so one account and one region: there is one bucket. Renewals go before newcomers, since a job
//! that runs loses more than one that has yet to start. A member has a bucket of their own on top, so that nobody takes the calls of
//! everybody else by asking under ever new session names.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Calls a second: a sixth of what AWS gives an account in a region.
///
/// Source: IAM user guide, "IAM and AWS STS quotas": 600 requests a second per account and region.
const CALLS_PER_SECOND: f64 = 100.0;

/// Calls that may follow each other at once after a quiet time.
const BURST: f64 = 200.0;

/// The calls of one member a second, and at once.
const MEMBER_CALLS_PER_SECOND: f64 = 10.0;
const MEMBER_BURST: f64 = 100.0;

/// The time in which the bucket of a member fills up. Then it is forgotten.
const MEMBER_REFILL: Duration = Duration::from_secs(10);

/// The pause after STS has throttled. It doubles while STS goes on, up to the second value.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(8);

/// The longest time between two looks of a newcomer at the renewals that go first.
const LOOK: Duration = Duration::from_millis(20);

/// Who asks for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// One who has had these credentials before.
    Renewal,
    /// One who has not.
    Newcomer,
}

/// Whose calls are used up, and the time until there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Those of the member.
    Member(Duration),
    /// Those of the account, or STS throttles.
    Account(Duration),
}

/// The budget of a server.
#[derive(Debug)]
pub struct StsBudget(Mutex<State>);

#[derive(Debug)]
struct State {
    account: Bucket,
    members: HashMap<String, Bucket>,
    /// The next time to forget members.
    forget_at: Instant,
    paused_until: Option<Instant>,
    pause: Duration,
    renewals_waiting: usize,
}

/// A bucket of tokens that fills up with time.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(burst: f64, now: Instant) -> Self {
        Self { tokens: burst, at: now }
    }

    /// Takes a token, or says how long it takes until there is one.
    fn take(&mut self, rate: f64, burst: f64, now: Instant) -> Result<(), Duration> {
        self.tokens = (self.tokens + now.saturating_duration_since(self.at).as_secs_f64() * rate).min(burst);
        self.at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - self.tokens) / rate))
        }
    }
}

impl Default for StsBudget {
    fn default() -> Self {
        Self(Mutex::new(State {
            account: Bucket::full(BURST, Instant::now()),
            members: HashMap::new(),
            forget_at: Instant::now(),
            paused_until: None,
            pause: Duration::ZERO,
            renewals_waiting: 0,
        }))
    }
}

impl StsBudget {
    /// Takes a call from what this member has.
    ///
    /// # Errors
    /// [`Refusal::Member`] with the time until there is one.
    pub fn take_for_member(&self, member: &str) -> Result<(), Refusal> {
        let now = Instant::now();
        let mut state = self.lock();
        if now >= state.forget_at {
            state.members.retain(|_, bucket| now < bucket.at + MEMBER_REFILL);
            state.forget_at = now + MEMBER_REFILL;
        }
        let bucket = state.members.entry(member.to_owned()).or_insert_with(|| Bucket::full(MEMBER_BURST, now));
        bucket.take(MEMBER_CALLS_PER_SECOND, MEMBER_BURST, now).map_err(Refusal::Member)
    }

    /// Waits for a call.
    ///
    /// # Errors
    /// [`Refusal::Account`] when there is none before the deadline.
    pub async fn take(&self, turn: Turn, deadline: Instant) -> Result<(), Refusal> {
        let mut waiting = None;
        loop {
            let wait = match self.try_take(turn, Instant::now()) {
                Ok(()) => return Ok(()),
                Err(wait) => wait,
            };
            if turn == Turn::Renewal && waiting.is_none() {
                waiting = Some(Waiting::begin(self));
            }
            if Instant::now() + wait >= deadline {
                return Err(Refusal::Account(wait));
            }
            sleep(wait).await;
        }
    }

    fn try_take(&self, turn: Turn, now: Instant) -> Result<(), Duration> {
        let mut state = self.lock();
        if let Some(until) = state.paused_until.filter(|until| now < *until) {
            return Err(until - now);
        }
        if turn == Turn::Newcomer && state.renewals_waiting > 0 {
            return Err(LOOK);
        }
        state.account.take(CALLS_PER_SECOND, BURST, now)
    }

    /// Notes that STS has throttled a call: nobody calls until the pause is over, and then slowly.
    pub fn throttled(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        // Calls that were under way together are throttled together: that is one time.
        if state.paused_until.is_none_or(|until| until <= now) {
            state.pause = (state.pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
            state.paused_until = Some(now + state.pause);
            state.account = Bucket { tokens: 1.0, at: now + state.pause };
        }
    }

    /// Notes that STS has answered a call.
    pub fn answered(&self) {
        let mut state = self.lock();
        if state.paused_until.is_none_or(|until| until <= Instant::now()) {
            state.pause = Duration::ZERO;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

/// A renewal that waits, for as long as it does.
struct Waiting<'a>(&'a StsBudget);

impl<'a> Waiting<'a> {
    fn begin(budget: &'a StsBudget) -> Self {
        budget.lock().renewals_waiting += 1;
        Self(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().renewals_waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_more_calls_wait_for_their_turn() {
        let budget = StsBudget::default();
        let begin = Instant::now();
        let deadline = begin + Duration::from_secs(9);
        for _ in 0..200 {
            budget.take(Turn::Newcomer, deadline).await.expect("within the burst");
        }
        assert!(begin.elapsed() < Duration::from_millis(10));
        for _ in 0..100 {
            budget.take(Turn::Newcomer, deadline).await.expect("within the deadline");
        }
        assert!((900..1200).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_goes_before_newcomers_that_came_earlier() {
        let budget = std::sync::Arc::new(StsBudget::default());
        let deadline = Instant::now() + Duration::from_secs(9);
        while budget.try_take(Turn::Newcomer, Instant::now()).is_ok() {}
        let order = std::sync::Arc::new(Mutex::new(Vec::new()));
        let ask = |turn: Turn| {
            let (budget, order) = (budget.clone(), order.clone());
            tokio::spawn(async move {
                budget.take(turn, deadline).await.expect("within the deadline");
                order.lock().expect("no panic").push(turn);
            })
        };
        let mut asking: Vec<_> = (0..20).map(|_| ask(Turn::Newcomer)).collect();
        tokio::task::yield_now().await;
        asking.extend((0..20).map(|_| ask(Turn::Renewal)));
        for one in asking {
            one.await.expect("no panic");
        }
        let order = order.lock().expect("no panic");
        let late = order.iter().rposition(|turn| *turn == Turn::Renewal).expect("renewals");
        assert!(late < 22, "the last renewal came as number {late} of {}", order.len());
    }

    #[tokio::test(start_paused = true)]
    async fn when_sts_throttles_all_wait_and_the_pause_doubles_until_it_answers() {
        let budget = StsBudget::default();
        let begin = Instant::now();
        budget.throttled();
        budget.throttled();
        budget.take(Turn::Newcomer, begin + Duration::from_secs(9)).await.expect("after the pause");
        assert!((1.0..1.1).contains(&begin.elapsed().as_secs_f64()), "{:?}", begin.elapsed());
        budget.throttled();
        let refused = budget.take(Turn::Renewal, Instant::now() + Duration::from_secs(1)).await.expect_err("2 s");
        assert!(matches!(refused, Refusal::Account(wait) if wait > Duration::from_secs(1)), "{refused:?}");
        sleep(Duration::from_secs(2)).await;
        budget.answered();
        budget.throttled();
        assert_eq!(budget.lock().pause, FIRST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_those_who_waited_do_not_all_call_at_once() {
        let budget = StsBudget::default();
        budget.throttled();
        sleep(FIRST_PAUSE).await;
        let at_once = (0..100).filter(|_| budget.try_take(Turn::Newcomer, Instant::now()).is_ok()).count();
        assert_eq!(at_once, 1);
        sleep(Duration::from_millis(100)).await;
        let then = (0..100).filter(|_| budget.try_take(Turn::Newcomer, Instant::now()).is_ok()).count();
        assert_eq!(then, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_has_a_limited_number_of_calls_and_nobody_else_waits_for_it() {
        let budget = StsBudget::default();
        let taken = (0..1000).filter(|_| budget.take_for_member("eve").is_ok()).count();
        assert_eq!(taken, 100);
        let refused = budget.take_for_member("eve").expect_err("none is left");
        assert_eq!(refused, Refusal::Member(Duration::from_millis(100)));
        budget.take_for_member("ada").expect("her own");
        sleep(Duration::from_secs(1)).await;
        assert_eq!((0..1000).filter(|_| budget.take_for_member("eve").is_ok()).count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_whose_calls_are_whole_again_is_forgotten_and_one_who_has_used_some_is_not() {
        let budget = StsBudget::default();
        for number in 0..1000 {
            budget.take_for_member(&format!("user{number}")).expect("a call");
        }
        sleep(MEMBER_REFILL - Duration::from_secs(1)).await;
        while budget.take_for_member("eve").is_ok() {}
        assert_eq!(budget.lock().members.len(), 1001);
        sleep(Duration::from_secs(1)).await;
        assert_eq!((0..1000).filter(|_| budget.take_for_member("eve").is_ok()).count(), 10, "as many as before");
        assert_eq!(budget.lock().members.keys().collect::<Vec<_>>(), ["eve"]);
    }
}
