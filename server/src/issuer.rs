//! The issuer of credentials: asks STS, lets callers who ask for the same at the same time share one call, and gives what STS gave once
//! more while nearly all of its time is left.
//!
//! A request comes here after it has been authorised by itself, and has an audit row of its own. Credentials are in memory only, for a
//! bounded number of keys, and are zeroed when they go. The key holds everything that decides about them, so a change of the mapping,
//! of the membership or of the API key makes them unreachable at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant as Clock, SystemTime};

use hops_credentials_core::error::Error as CoreError;
use hops_credentials_core::request::{Extras, SessionDuration, SessionName};
use hops_credentials_core::role::{ProjectRole, RoleArn};
use hops_credentials_core::sts::{IssuedCredentials, Sts};

use crate::error::Error;
use crate::flights::Flights;
use crate::http::deadline::Deadline;
use crate::metrics::{GaugeGuard, Metrics};
use crate::sts_budget::{Refusal, StsBudget, Turn};

/// The longest call to STS, its tries included.
const STS_TIMEOUT: Duration = Duration::from_secs(7);

/// The number of keys whose credentials are remembered, and of those the most of one member.
const MAX_REMEMBERED: usize = 10_000;
const MAX_OF_MEMBER: usize = 500;

/// The time within which requests for the same key come together: as long as one may wait.
const TOGETHER: Duration = Duration::from_secs(10);

/// The least time for a call to STS. One with less would end after its caller has gone.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// The time of a request that a call to STS leaves for its outcome in the audit, and for the answer.
const RECORDING_TIME: Duration = Duration::from_millis(500);

/// The values that two requests must have in common to share credentials. They are compared one by one: two keys could make the same
/// text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CredentialsKey {
    /// The e-mail address of the member. Two members never share credentials.
    pub member: String,
    /// What the member has shown: an API key's prefix, or nothing for a token.
    pub key_prefix: Option<String>,
    /// The project.
    pub project_id: i64,
    /// The member's role in it.
    pub project_role: ProjectRole,
    /// The role mapping.
    pub mapping_id: i64,
    /// The role.
    pub role: RoleArn,
    /// The session name.
    pub session_name: SessionName,
    /// The requested duration.
    pub duration: SessionDuration,
    /// What else STS gets.
    pub extras: Extras,
}

/// Whether a caller comes back before its credentials expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renews {
    /// It says so.
    Yes,
    /// It does not: it may use what it gets to the end, and must not get half of an hour.
    Unknown,
}

impl Renews {
    /// Whether credentials with so much time left are as good as new for the caller. A client of ours renews with a third left at the
    /// latest, so half is enough for it.
    fn accepts(self, left: Duration, valid_for: Duration) -> bool {
        match self {
            Renews::Yes => left >= valid_for / 2,
            Renews::Unknown => left >= valid_for / 10 * 9,
        }
    }
}

/// The reason why there are no credentials, for all who wait for them.
#[derive(Debug, Clone)]
pub enum Failure {
    /// STS gave none.
    Sts(Arc<CoreError>),
    /// No call was left.
    Budget(Refusal),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sts(error) => Error::Assume(error),
            Failure::Budget(Refusal::Member(wait)) => Error::TooManyRequests { seconds: wait.as_secs() + 1 },
            Failure::Budget(Refusal::Account(wait)) => Error::StsBusy { seconds: wait.as_secs() + 1 },
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Budget(refusal)
    }
}

type Outcome = Result<IssuedCredentials, Failure>;

/// The issuer of a server.
#[derive(Debug)]
pub struct Issuer {
    sts: Arc<Sts>,
    budget: StsBudget,
    flights: Flights<CredentialsKey, Outcome>,
    remembered: Mutex<HashMap<CredentialsKey, Remembered>>,
    /// The keys that have taken a call from what their member has, and since when.
    admitted: Mutex<HashMap<CredentialsKey, Clock>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Remembered {
    /// What STS gave; `None` once nobody gets it any more: then the key tells only who renews.
    issued: Option<IssuedCredentials>,
    /// The end of its validity by the clock of this machine that is never set.
    until: Clock,
}

impl Issuer {
    /// Makes an issuer. Nothing is sent.
    pub fn new(sts: Arc<Sts>, metrics: Arc<Metrics>) -> Self {
        Self {
            sts,
            budget: StsBudget::default(),
            flights: Flights::default(),
            remembered: Mutex::default(),
            admitted: Mutex::default(),
            metrics,
        }
    }

    /// Finds credentials that STS gave for this key not long ago.
    pub fn find(&self, key: &CredentialsKey, renews: Renews) -> Option<IssuedCredentials> {
        let remembered = self.lock();
        let Remembered { issued, until } = remembered.get(key)?;
        let issued = issued.as_ref()?;
        let left = until.saturating_duration_since(Clock::now());
        // A clock that was set must not make credentials look fresher than they are.
        let by_clock = issued.credentials.expiration().duration_since(SystemTime::now()).unwrap_or_default();
        let is_accepted = renews.accepts(left.min(by_clock), issued.credentials.valid_for());
        is_accepted.then(|| {
            self.metrics.reused.inc();
            IssuedCredentials { warnings: Vec::new(), ..issued.clone() }
        })
    }

    /// Takes a call for this key from what the member has. Requests for the same key that come together take one.
    ///
    /// # Errors
    /// [`Failure::Budget`] when the member has none left.
    pub fn admit(&self, key: &CredentialsKey) -> Result<(), Failure> {
        let now = Clock::now();
        let mut admitted = self.admitted.lock().expect("nobody panics while holding it");
        if admitted.len() >= MAX_REMEMBERED {
            admitted.retain(|_, since| now < *since + TOGETHER);
        }
        if admitted.get(key).is_some_and(|since| now < *since + TOGETHER) {
            return Ok(());
        }
        self.budget.take_for_member(&key.member)?;
        admitted.insert(key.clone(), now);
        Ok(())
    }

    /// Waits for the call to STS under way for this key, which [`Issuer::admit`] has let in, or makes it.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn fetch(&self, key: CredentialsKey, renews: Renews, deadline: Deadline) -> Outcome {
        let waiting = GaugeGuard::new(&self.metrics.waiting_for_sts);
        let call = async || {
            // An earlier flight may have landed since the caller looked.
            if let Some(issued) = self.find(&key, renews) {
                return Ok(issued);
            }
            let outcome = self.call(&key, deadline).await;
            match &outcome {
                Ok(issued) => self.remember(&key, issued),
                // The next request takes a call of its own.
                Err(_) => drop(self.admitted.lock().expect("nobody panics while holding it").remove(&key)),
            }
            outcome
        };
        let outcome = self.flights.join(key.clone(), call).await;
        drop(waiting);
        outcome
    }

    /// Asks STS with nobody to share the answer, as *Try it* does.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn call(&self, key: &CredentialsKey, deadline: Deadline) -> Outcome {
        let turn = if self.lock().contains_key(key) { Turn::Renewal } else { Turn::Newcomer };
        loop {
            self.budget.take(turn, deadline.0 - LEAST_TIME).await?;
            let begin = Clock::now();
            let timeout = STS_TIMEOUT.min(deadline.remaining().saturating_sub(RECORDING_TIME));
            let sts = self.sts.as_ref().clone().with_timeout(timeout);
            let result = sts.assume_role(&key.role, &key.session_name, key.duration, &key.extras).await;
            self.metrics.count_sts_call(&result, begin.elapsed());
            match result {
                Ok(issued) => {
                    self.budget.answered();
                    return Ok(issued);
                }
                Err(error) if error.is_throttling() => self.budget.throttled(),
                Err(error) => return Err(Failure::Sts(Arc::new(error))),
            }
        }
    }

    fn remember(&self, key: &CredentialsKey, issued: &IssuedCredentials) {
        self.sweep();
        let mut remembered = self.lock();
        // Nobody takes the place of others with ever new session names.
        let of_member = remembered.iter().filter(|(other, _)| other.member == key.member);
        if of_member.clone().count() >= MAX_OF_MEMBER {
            let oldest = of_member.min_by_key(|(_, old)| old.until).map(|(other, _)| other.clone());
            oldest.and_then(|oldest| remembered.remove(&oldest));
        }
        if remembered.len() < MAX_REMEMBERED || remembered.contains_key(key) {
            let until = Clock::now() + issued.credentials.valid_for();
            remembered.insert(key.clone(), Remembered { issued: Some(issued.clone()), until });
        }
    }

    /// Drops credentials that nobody gets any more, so that they do not stay in memory. While there are too many keys, it drops keys
    /// whose credentials are gone too.
    pub fn sweep(&self) {
        let now = Clock::now();
        let mut remembered = self.lock();
        let is_full = remembered.len() >= MAX_REMEMBERED;
        remembered.retain(|_, old| {
            old.issued.take_if(|issued| {
                !Renews::Yes.accepts(old.until.saturating_duration_since(now), issued.credentials.valid_for())
            });
            now < old.until && (old.issued.is_some() || !is_full)
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CredentialsKey, Remembered>> {
        self.remembered.lock().expect("nobody panics while holding it")
    }
}

#[cfg(test)]
mod tests {
    use hops_credentials_core::credentials::Credentials;
    use hops_credentials_core::settings::Settings;

    use super::*;

    fn key(member: &str, number: usize) -> CredentialsKey {
        CredentialsKey {
            member: member.to_owned(),
            key_prefix: None,
            project_id: 1,
            project_role: ProjectRole::All,
            mapping_id: 1,
            role: "arn:aws:iam::123456789012:role/r".parse().expect("a role ARN"),
            session_name: format!("job{number}").parse().expect("a session name"),
            duration: SessionDuration::default(),
            extras: Extras::default(),
        }
    }

    fn issued() -> IssuedCredentials {
        let valid_for = Duration::from_secs(3600);
        let text = || "x".to_owned();
        let credentials = Credentials::new(text(), text(), text(), SystemTime::now() + valid_for, valid_for, None);
        IssuedCredentials { credentials, request_id: None, warnings: Vec::new() }
    }

    fn issuer() -> Issuer {
        Issuer::new(Arc::new(Sts::new(&Settings::from_environment()).expect("settings")), Arc::default())
    }

    #[test]
    fn a_member_has_five_hundred_keys_and_loses_the_oldest_of_their_own_beyond() {
        let issuer = issuer();
        issuer.remember(&key("ada", 0), &issued());
        (0..MAX_OF_MEMBER + 3).for_each(|number| issuer.remember(&key("eve", number), &issued()));
        let is_there = |member: &str, number| issuer.find(&key(member, number), Renews::Unknown).is_some();
        assert!(is_there("ada", 0), "nobody loses keys to others");
        assert_eq!((0..MAX_OF_MEMBER + 3).filter(|number| is_there("eve", *number)).count(), MAX_OF_MEMBER);
        assert!(!(0..3).any(|number| is_there("eve", number)), "the oldest ones are gone");
    }

    #[test]
    fn the_keys_of_all_members_together_are_bounded() {
        let issuer = issuer();
        let (until, old) = (Clock::now() + Duration::from_secs(3000), key("ada", 0));
        let others = (0..MAX_REMEMBERED).map(|number| key(&format!("member{}", number / 100), number));
        let remembered = || Remembered { issued: Some(issued()), until };
        issuer.lock().extend(others.chain([old.clone()]).skip(1).map(|key| (key, remembered())));
        issuer.remember(&key("eve", 0), &issued());
        issuer.remember(&old, &issued());
        let keys = issuer.lock();
        assert_eq!((keys.len(), keys.contains_key(&key("eve", 0))), (MAX_REMEMBERED, false));
        assert!(keys[&old].until > until, "one that is there is renewed");
    }

    #[test]
    fn requests_for_a_key_that_come_together_take_one_call_and_another_key_takes_its_own() {
        let issuer = issuer();
        (0..1000).for_each(|_| issuer.admit(&key("eve", 0)).expect("one call for all"));
        let taken = (1..1000).filter(|number| issuer.admit(&key("eve", *number)).is_ok()).count();
        assert!((99..110).contains(&taken), "{taken}");
        issuer.admit(&key("ada", 0)).expect("her own");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_would_end_after_its_caller_has_gone_is_not_made() {
        let issuer = issuer();
        issuer.budget.throttled();
        // There is a call in a second.
        let deadline = Deadline(tokio::time::Instant::now() + LEAST_TIME + Duration::from_millis(900));
        let outcome = issuer.call(&key("ada", 0), deadline).await;
        assert!(matches!(outcome, Err(Failure::Budget(Refusal::Account(_)))), "{outcome:?}");
    }

    #[test]
    fn nine_tenths_of_the_time_are_as_good_as_new_and_half_for_a_caller_that_renews() {
        let hour = Duration::from_secs(3600);
        let accepts = |renews: Renews, minutes: u64| renews.accepts(Duration::from_secs(minutes * 60), hour);
        assert!(accepts(Renews::Unknown, 54) && !accepts(Renews::Unknown, 53));
        assert!(accepts(Renews::Yes, 30) && !accepts(Renews::Yes, 29));
    }
}
