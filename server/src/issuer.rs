//! The issuer of credentials: asks STS, lets callers who ask for the same at the same time share one call, and gives what STS gave once
//! more while nearly all of its time is left.
//!
//! A request comes here after it has been authorised by itself, and has an audit row of its own. Each call of STS costs its member one,
//! whoever waits for it. A final refusal of STS is given to those who come within the next seconds.
//!
//! `memory` holds what STS gave. The key holds everything that decides about it, so a change of the mapping, of the membership or of the
//! API key makes it unreachable at once; before it is given again, the issuer looks at the changes on record and drops what they took
//! away, so that taking a change back does not bring it back.

mod failure;
pub mod memory;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant as Clock, SystemTime};

use hops_credentials_core::base_identity::BaseIdentity;
use hops_credentials_core::error::Error as CoreError;
use hops_credentials_core::request::{Extras, SessionDuration, SessionName};
use hops_credentials_core::role::{ProjectRole, RoleArn};
use hops_credentials_core::sts::{IssuedCredentials, Sts};
use tokio::sync::watch;

use self::failure::Failure;
use self::memory::{Memory, Renews};
use crate::audit::withdrawn::Withdrawn;
use crate::database::{Database, milliseconds};
use crate::error::Error;
use crate::http::deadline::Deadline;
use crate::metrics::{GaugeGuard, Metrics};
use crate::sts_budget::{StsBudget, Turn};

/// The longest call to STS, its tries included.
const STS_TIMEOUT: Duration = Duration::from_secs(7);

/// The least time for a call to STS. One with less would end after its caller has gone.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// The time of a request that a call to STS leaves for its outcome in the audit, and for the answer.
const RECORDING_TIME: Duration = Duration::from_millis(500);

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

#[derive(Debug, Default)]
struct State {
    /// The calls under way.
    calls: HashMap<CredentialsKey, watch::Receiver<Option<Outcome>>>,
    memory: Memory,
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
            state: Mutex::default(),
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
        if self.lock().memory.has_granted(key) {
            self.drop_withdrawn().await?;
        }
        loop {
            let mut under_way = {
                let mut state = self.lock();
                if let Some(issued) = state.memory.find(key, renews) {
                    self.metrics.reused.inc();
                    return Ok(Admission::Granted(issued));
                }
                if let Some(refusal) = state.memory.find_refusal(key) {
                    return Err(Error::Assume(refusal));
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
        state.memory.forget_other_project_roles(key);
        let turn = if state.memory.has_granted(key) { Turn::Renewal } else { Turn::Newcomer };
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
        self.lock().memory.forget_refusals(key.mapping_id);
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
        self.lock().memory.forget_member(member, project_id);
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
        if !self.lock().memory.is_empty() {
            let withdrawn = Withdrawn::load_since(&self.database, looked.at - OVERLAP_MILLISECONDS).await?;
            if !withdrawn.is_empty() {
                self.lock().memory.forget_withdrawn(&withdrawn);
            }
        }
        *looked = look;
        Ok(())
    }

    /// Drops credentials that nobody gets any more, so that they do not stay in memory, and what is out of date.
    pub fn sweep(&self) {
        self.lock().memory.sweep();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
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
            Ok(issued) => self.issuer.lock().memory.remember(&self.key, issued, self.authorised_at),
            Err(Failure::Sts(error)) if is_final(error) => self.issuer.lock().memory.remember_refusal(&self.key, error),
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
    use hops_credentials_core::base_identity::Environment;
    use hops_credentials_core::settings::Settings;

    use super::*;
    use crate::database::Settings as DatabaseSettings;
    use crate::database::address::Address;
    use crate::sts_budget::Refusal;

    #[tokio::test]
    async fn a_call_that_would_end_after_its_caller_has_gone_is_not_made() {
        let file = std::env::temp_dir().join(format!("issuer-{}.db", std::process::id()));
        let address = Address::Sqlite(file.clone());
        let database = Database::open(&address, DatabaseSettings::default()).await.expect("a database");
        let sts = Arc::new(Sts::new(&Settings::from_environment(), &Environment::now(&[])).expect("settings"));
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
}
