//! The issuer of credentials: asks STS, lets callers who ask for the same at the same time share one call, and gives what STS gave once
//! more while nearly all of its time is left.
//!
//! A request comes here after it has been authorised by itself, and has an audit row of its own. Each call of STS costs its member one,
//! whoever waits for it. A final refusal of STS is given to those who come within the next seconds.
//!
//! Credentials are in memory only, for a bounded number of keys, and are zeroed when they go. The key holds everything that decides
//! about them, so a change of the mapping, of the membership or of the API key makes them unreachable at once; before they are given
//! again, the issuer looks at the changes on record and drops what they took away, so that taking a change back does not bring them back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant as Clock, SystemTime};

use hops_credentials_core::base_identity::BaseIdentity;
use hops_credentials_core::error::Error as CoreError;
use hops_credentials_core::request::{Extras, SessionDuration, SessionName};
use hops_credentials_core::role::{ProjectRole, RoleArn};
use hops_credentials_core::sts::{IssuedCredentials, Sts};
use tokio::sync::watch;

use crate::audit::withdrawn::Withdrawn;
use crate::database::{Database, milliseconds};
use crate::error::Error;
use crate::fair_map::FairMap;
use crate::http::deadline::Deadline;
use crate::metrics::{GaugeGuard, Metrics};
use crate::sts_budget::{Refusal, StsBudget, Turn};

/// The longest call to STS, its tries included.
const STS_TIMEOUT: Duration = Duration::from_secs(7);

/// The number of keys whose credentials, or whose refusals by STS, are remembered, and of those the most of one member.
const MAX_REMEMBERED: usize = 10_000;
const MAX_OF_MEMBER: usize = 500;

/// The least time for a call to STS. One with less would end after its caller has gone.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// The time of a request that a call to STS leaves for its outcome in the audit, and for the answer.
const RECORDING_TIME: Duration = Duration::from_millis(500);

/// The refusals of STS after which it is asked again at once: whoever mends a trust policy wants to see it work.
const FREE_REFUSALS: u32 = 3;

/// The time for which the next one is given to others. It doubles with each further one, up to the second value.
const FIRST_REFUSED_FOR: Duration = Duration::from_secs(1);
const LAST_REFUSED_FOR: Duration = Duration::from_secs(15);

/// The calls that *Try it* makes: who the base identity is, and AssumeRole.
const CALLS_OF_TRIAL: usize = 2;

/// The time for which a look at the changes on record is enough while all connections to the database are in use.
const LOOKED_ENOUGH: Duration = Duration::from_secs(1);

/// How far the looks at changes on record overlap, in milliseconds: longer than a request takes, and than clocks of several machines
/// differ.
const OVERLAP_MILLISECONDS: i64 = 10_000;

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
    ///
    /// What counts as new is the requested duration, or what STS gives instead: a base identity that is itself a role gets at most an hour.
    fn accepts(self, left: Duration, requested: SessionDuration, valid_for: Duration) -> bool {
        let new = valid_for.min(Duration::from_secs(requested.seconds().into()));
        match self {
            Renews::Yes => left >= new / 2,
            Renews::Unknown => left >= new / 10 * 9,
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
    /// The row of the request that would have made the call could not be written.
    Database(Arc<sqlx::Error>),
    /// There were too many rows to be written.
    Overloaded,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sts(error) => Error::Assume(error),
            Failure::Budget(Refusal::Member(wait)) => Error::TooManyRequests { seconds: wait.as_secs() + 1 },
            Failure::Budget(Refusal::Account(wait)) => Error::StsBusy { seconds: wait.as_secs() + 1 },
            Failure::Database(error) => Error::Database(error),
            Failure::Overloaded => Error::Overloaded { seconds: 1 },
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
    database: Database,
    budget: StsBudget,
    state: Mutex<State>,
    /// When the changes on record were read last.
    looked: tokio::sync::Mutex<Looked>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State {
    /// The calls under way.
    calls: HashMap<CredentialsKey, watch::Receiver<Option<Outcome>>>,
    remembered: FairMap<Remembered>,
    refused: FairMap<Refused>,
}

#[derive(Debug)]
struct Remembered {
    /// What STS gave; `None` once nobody gets it any more: then the key tells only who renews.
    issued: Option<IssuedCredentials>,
    /// The end of its validity by the clock of this machine that is never set.
    until: Clock,
    /// When the request was authorised that asked for it, in milliseconds since 1970.
    authorised_at: i64,
}

#[derive(Debug)]
struct Refused {
    error: Arc<CoreError>,
    until: Clock,
    /// How many there were in a row.
    number: u32,
}

#[derive(Debug)]
struct Looked {
    begin: Clock,
    /// The same instant in milliseconds since 1970.
    at: i64,
}

/// What a request gets from [`Issuer::admit`].
pub enum Admission {
    /// What STS gave a moment ago.
    Granted(IssuedCredentials),
    /// A call of STS, for which the member has paid. Others may wait for it.
    Call(Call),
}

/// A call of STS to be made. If it is dropped instead, one of those who wait for it makes their own.
#[derive(Debug)]
pub struct Call {
    issuer: Arc<Issuer>,
    key: CredentialsKey,
    turn: Turn,
    authorised_at: i64,
    landing: watch::Sender<Option<Outcome>>,
}

impl Issuer {
    /// Makes an issuer. Nothing is sent.
    pub fn new(sts: Arc<Sts>, database: Database, metrics: Arc<Metrics>) -> Self {
        Self {
            sts,
            database,
            budget: StsBudget::default(),
            state: Mutex::new(State {
                calls: HashMap::new(),
                remembered: FairMap::new(MAX_REMEMBERED, MAX_OF_MEMBER),
                refused: FairMap::new(MAX_REMEMBERED, MAX_OF_MEMBER),
            }),
            looked: tokio::sync::Mutex::new(Looked { begin: Clock::now(), at: milliseconds(SystemTime::now()) }),
            metrics,
        }
    }

    /// Finds what STS gave for this key not long ago, or waits for the call that is under way for it. If there is neither, it takes a call
    /// from what the member has.
    ///
    /// # Errors
    /// [`Error::Assume`] when STS refuses, now or a moment ago; [`Error::TooManyRequests`] when the member has no call left;
    /// [`Error::StsBusy`]; [`Error::Database`] when the changes on record cannot be read, and as [`Error::Overloaded`] when the one who
    /// would have made the call has no row.
    pub async fn admit(self: &Arc<Self>, key: &CredentialsKey, renews: Renews) -> Result<Admission, Error> {
        let authorised_at = milliseconds(SystemTime::now());
        if self.lock().remembered.get(key).is_some() {
            self.drop_withdrawn().await?;
        }
        loop {
            let mut under_way = {
                let mut state = self.lock();
                if let Some(issued) = state.find(key, renews) {
                    self.metrics.reused.inc();
                    return Ok(Admission::Granted(issued));
                }
                if let Some(refused) = state.refused.get(key).filter(|refused| Clock::now() < refused.until) {
                    return Err(Error::Assume(refused.error.clone()));
                }
                match state.calls.get(key) {
                    Some(under_way) => under_way.clone(),
                    None => {
                        self.budget.take_for_member(&key.member).map_err(Failure::from)?;
                        return Ok(Admission::Call(self.begin(&mut state, key, authorised_at)));
                    }
                }
            };
            let _waiting = GaugeGuard::new(&self.metrics.waiting_for_sts);
            // An error says that the call was dropped.
            if let Ok(Some(outcome)) = under_way.wait_for(Option::is_some).await.map(|landed| landed.clone()) {
                return Ok(Admission::Granted(outcome?));
            }
        }
    }

    fn begin(self: &Arc<Self>, state: &mut State, key: &CredentialsKey, authorised_at: i64) -> Call {
        // A cluster has told that the member has another project role now.
        state.remembered.retain_of(&key.member, |other, _| {
            other.project_id != key.project_id || other.project_role == key.project_role
        });
        let turn = if state.remembered.get(key).is_some() { Turn::Renewal } else { Turn::Newcomer };
        let (landing, landed) = watch::channel(None);
        state.calls.insert(key.clone(), landed);
        Call { issuer: self.clone(), key: key.clone(), turn, authorised_at, landing }
    }

    /// Takes the calls of a trial from what an administrator has: [`Issuer::base_identity`] and [`Issuer::assume`].
    ///
    /// # Errors
    /// [`Failure::Budget`] when they have none left.
    pub fn admit_trial(&self, administrator: &str) -> Result<(), Failure> {
        (0..CALLS_OF_TRIAL).try_for_each(|_| self.budget.take_for_member(administrator)).map_err(Failure::from)
    }

    /// Asks STS who the base identity is, in its turn.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn base_identity(&self, deadline: Deadline) -> Result<BaseIdentity, Failure> {
        self.budget.take(Turn::Newcomer, deadline.0 - LEAST_TIME).await?;
        let identity = self.sts_until(deadline).base_identity().await;
        identity.map_err(|error| {
            if error.is_throttling() {
                self.budget.throttled();
            }
            Failure::Sts(Arc::new(error))
        })
    }

    /// Asks STS for a trial, whatever it said before, and shares the answer with nobody. If STS grants, those whom it refused this
    /// mapping ask anew.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn assume(&self, key: &CredentialsKey, deadline: Deadline) -> Outcome {
        let issued = self.ask(key, Turn::Newcomer, deadline).await?;
        self.lock().refused.retain(|refused, _| refused.mapping_id != key.mapping_id);
        Ok(issued)
    }

    /// Calls STS in its turn. A call that STS throttles is made again: it costs the member no further one, since all wait then.
    async fn ask(&self, key: &CredentialsKey, turn: Turn, deadline: Deadline) -> Outcome {
        loop {
            self.budget.take(turn, deadline.0 - LEAST_TIME).await?;
            let begin = Clock::now();
            let sts = self.sts_until(deadline);
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

    fn sts_until(&self, deadline: Deadline) -> Sts {
        let timeout = STS_TIMEOUT.min(deadline.remaining().saturating_sub(RECORDING_TIME));
        self.sts.as_ref().clone().with_timeout(timeout)
    }

    /// Drops the credentials of a member in a project: they are not a member of it.
    pub fn forget_member(&self, member: &str, project_id: i64) {
        self.lock().remembered.retain_of(member, |key, _| key.project_id != project_id);
    }

    /// Drops the credentials that changes on record took away, those of all changes that were committed before this call. Callers who come
    /// together share a look. While all connections to the database are in use, nobody waits for one once more: a look under way, or one
    /// of the last second, is enough then, since each request has been authorised by itself.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn drop_withdrawn(&self) -> Result<(), sqlx::Error> {
        let arrived = Clock::now();
        let pool = self.database.pool();
        let is_busy = pool.num_idle() == 0 && pool.size() >= pool.options().get_max_connections();
        let mut looked = match self.looked.try_lock() {
            Ok(looked) => looked,
            Err(_) if is_busy => return Ok(()),
            Err(_) => self.looked.lock().await,
        };
        if arrived < looked.begin || is_busy && arrived < looked.begin + LOOKED_ENOUGH {
            return Ok(());
        }
        let look = Looked { begin: Clock::now(), at: milliseconds(SystemTime::now()) };
        if !self.lock().remembered.is_empty() {
            let withdrawn = Withdrawn::load_since(&self.database, looked.at - OVERLAP_MILLISECONDS).await?;
            if !withdrawn.is_empty() {
                self.lock().remembered.retain(|key, remembered| {
                    let prefix = key.key_prefix.as_deref();
                    let last = withdrawn.last(key.project_id, &key.member, key.mapping_id, prefix);
                    last.is_none_or(|last| last < remembered.authorised_at)
                });
            }
        }
        *looked = look;
        Ok(())
    }

    /// Drops credentials that nobody gets any more, so that they do not stay in memory, and what is out of date.
    pub fn sweep(&self) {
        let now = Clock::now();
        let mut state = self.lock();
        state.remembered.retain(|key, old| {
            old.issued.take_if(|issued| {
                let left = old.until.saturating_duration_since(now);
                !Renews::Yes.accepts(left, key.duration, issued.credentials.valid_for())
            });
            now < old.until
        });
        state.refused.retain(|_, refused| now < refused.until + LAST_REFUSED_FOR);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

impl State {
    fn find(&self, key: &CredentialsKey, renews: Renews) -> Option<IssuedCredentials> {
        let Remembered { issued, until, .. } = self.remembered.get(key)?;
        let issued = issued.as_ref()?;
        let left = until.saturating_duration_since(Clock::now());
        // A clock that was set must not make credentials look fresher than they are.
        let by_clock = issued.credentials.expiration().duration_since(SystemTime::now()).unwrap_or_default();
        let is_accepted = renews.accepts(left.min(by_clock), key.duration, issued.credentials.valid_for());
        is_accepted.then(|| IssuedCredentials { warnings: Vec::new(), ..issued.clone() })
    }

    fn remember(&mut self, key: &CredentialsKey, issued: &IssuedCredentials, authorised_at: i64) {
        let until = Clock::now() + issued.credentials.valid_for();
        self.refused.remove(key);
        self.remembered.insert(key.clone(), Remembered { issued: Some(issued.clone()), until, authorised_at });
    }

    fn remember_refusal(&mut self, key: &CredentialsKey, error: &Arc<CoreError>) {
        let number = self.refused.get(key).map_or(0, |refused| refused.number) + 1;
        let lasts = match number.checked_sub(FREE_REFUSALS + 1) {
            Some(further) => FIRST_REFUSED_FOR.saturating_mul(2_u32.saturating_pow(further)).min(LAST_REFUSED_FOR),
            None => Duration::ZERO,
        };
        self.refused.insert(key.clone(), Refused { error: error.clone(), until: Clock::now() + lasts, number });
    }
}

impl Call {
    /// Calls STS, and gives the outcome to all who wait for it.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn make(self, deadline: Deadline) -> Outcome {
        let _waiting = GaugeGuard::new(&self.issuer.metrics.waiting_for_sts);
        let outcome = self.issuer.ask(&self.key, self.turn, deadline).await;
        match &outcome {
            Ok(issued) => self.issuer.lock().remember(&self.key, issued, self.authorised_at),
            Err(Failure::Sts(error)) if is_final(error) => self.issuer.lock().remember_refusal(&self.key, error),
            Err(_) => {}
        }
        self.landing.send_replace(Some(outcome.clone()));
        outcome
    }

    /// Gives up, because the row of the request could not be written: nobody who waits could write one either. Returns the error.
    pub fn give_up(self, error: Error) -> Error {
        let failure = match &error {
            Error::Database(source) => Failure::Database(source.clone()),
            _ => Failure::Overloaded,
        };
        self.landing.send_replace(Some(Err(failure)));
        error
    }
}

/// Whether the same call fails again until somebody changes something.
fn is_final(error: &CoreError) -> bool {
    match error {
        CoreError::InvalidArgument { .. } | CoreError::NotConfigured { .. } | CoreError::Refused { .. } => true,
        CoreError::Unavailable { .. } | CoreError::BadAnswer { .. } => false,
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.issuer.lock().calls.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use hops_credentials_core::settings::Settings;

    use super::*;
    use crate::database::Settings as DatabaseSettings;
    use crate::database::address::Address;

    #[tokio::test]
    async fn a_call_that_would_end_after_its_caller_has_gone_is_not_made() {
        let file = std::env::temp_dir().join(format!("issuer-{}.db", std::process::id()));
        let address = Address::Sqlite(file.clone());
        let database = Database::open(&address, DatabaseSettings::default()).await.expect("a database");
        let sts = Arc::new(Sts::new(&Settings::from_environment()).expect("settings"));
        let issuer = Issuer::new(sts, database.clone(), Arc::default());
        let key = CredentialsKey {
            member: "ada@example.org".to_owned(),
            key_prefix: None,
            project_id: 1,
            project_role: ProjectRole::All,
            mapping_id: 1,
            role: "arn:aws:iam::123456789012:role/r".parse().expect("a role ARN"),
            session_name: "job".parse().expect("a session name"),
            duration: SessionDuration::default(),
            extras: Extras::default(),
        };
        issuer.budget.throttled();
        // There is a call in a second.
        let deadline = Deadline(tokio::time::Instant::now() + LEAST_TIME + Duration::from_millis(900));
        let outcome = issuer.ask(&key, Turn::Newcomer, deadline).await;
        assert!(matches!(outcome, Err(Failure::Budget(Refusal::Account(_)))), "{outcome:?}");
        database.close().await;
        for suffix in ["", "-wal", "-shm", "-next", "-now"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
        }
    }

    #[test]
    fn nine_tenths_of_the_time_are_as_good_as_new_and_half_for_a_caller_that_renews() {
        let accepts = |renews: Renews, minutes: u64, requested: u32, given: u64| {
            let requested = SessionDuration::from_seconds(i64::from(requested) * 60).expect("legal");
            renews.accepts(Duration::from_secs(minutes * 60), requested, Duration::from_secs(given * 60))
        };
        assert!(accepts(Renews::Unknown, 54, 60, 60) && !accepts(Renews::Unknown, 53, 60, 60));
        assert!(accepts(Renews::Yes, 30, 60, 60) && !accepts(Renews::Yes, 29, 60, 60));
        // STS gives a chained role at most an hour, and somebody's STS may give more than was asked for.
        assert!(accepts(Renews::Unknown, 54, 120, 60) && !accepts(Renews::Unknown, 53, 120, 60));
        assert!(accepts(Renews::Unknown, 18, 20, 60) && !accepts(Renews::Unknown, 17, 20, 60));
    }
}
