//! The recorder: writes the rows of requests for credentials, and of refused sign-ins. All who wait share one transaction and so one
//! flush to the disk; each waits until its own row is durable.
//!
//! Equal refusals of a minute are one row with a count, and a caller has a limited number of rows for refusals in a minute: nobody fills
//! the disk or takes the turn to write from others by asking for what they may not have. Whoever fails to sign in is one caller together
//! with all others who do.

mod refusals;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use hops_credentials_core::sts::IssuedCredentials;
use sqlx::AssertSqlSafe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use self::refusals::Refusals;
use super::{Actor, Purpose, SessionRequest};
use crate::database::rows::{placeholders, rows_per_statement};
use crate::database::{Database, milliseconds};
use crate::error::{Error, with_sources};
use crate::log;
use crate::metrics::Metrics;

/// The rows that wait to be written. When it is full, requests are refused at once.
const QUEUE_LENGTH: usize = 8192;

/// The rows of one transaction.
const MAX_BATCH: usize = 512;

/// The longest time for a transaction; those who wait have nearly reached their deadlines by then.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);

/// The time between two writes of the counts of refusals.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// The longest reason in a row, in bytes.
const MAX_REASON_BYTES: usize = 1024;

/// What became of a request for credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// STS is about to be asked. A row that stays so tells of a server that ended before it knew more, or of a caller who left before
    /// STS was asked.
    Asked,
    /// The credentials went to the caller.
    Granted,
    /// There are no credentials for the caller.
    Refused,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Asked => "asked",
            Outcome::Granted => "granted",
            Outcome::Refused => "refused",
        }
    }
}

/// The recorder. Clones share it.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Job>,
    refusals: Arc<Mutex<Refusals>>,
}

#[derive(Debug)]
struct Job {
    entry: Entry,
    done: oneshot::Sender<Result<(), Arc<sqlx::Error>>>,
}

#[derive(Debug)]
enum Entry {
    /// A new row.
    Row(Box<Row>),
    /// A refusal, which is a new row unless another one counts it.
    Refusal(Box<Row>),
    /// The outcome of a row that is there.
    Update(Box<Row>),
    /// Nothing, to wait for everything before it.
    Flush,
}

#[derive(Debug, Clone)]
struct Row {
    at: i64,
    actor: Actor,
    purpose: Purpose,
    outcome: Outcome,
    request: SessionRequest,
    /// Whether it is one of the refusals of which a caller may have too many.
    is_limited: bool,
}

impl Recorder {
    /// Starts the task that writes. It ends when the last clone is dropped.
    pub fn start(database: Database, metrics: Arc<Metrics>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        let refusals = Arc::default();
        tokio::spawn(write_all(database, metrics, jobs, Arc::clone(&refusals)));
        Self { queue, refusals }
    }

    /// Writes a new row, and waits until it is durable.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Overloaded`]; then there is no row, or nobody knows whether there is one.
    pub async fn insert(
        &self,
        actor: &Actor,
        purpose: Purpose,
        outcome: Outcome,
        request: &SessionRequest,
    ) -> Result<(), Error> {
        self.write(Entry::Row(Box::new(Row::new(actor, purpose, outcome, request)))).await
    }

    /// Writes what came of asking STS into the row that says `asked`, and waits until it is durable; returns the credentials. The log
    /// gets their warnings.
    ///
    /// # Errors
    /// That of STS; [`Error::Database`], [`Error::Overloaded`] when nobody knows what the row says: then nobody gets the credentials.
    pub async fn finish(
        &self,
        actor: &Actor,
        purpose: Purpose,
        mut request: SessionRequest,
        result: Result<IssuedCredentials, Error>,
    ) -> Result<IssuedCredentials, Error> {
        let outcome = match &result {
            Ok(issued) => {
                request.take(issued);
                Outcome::Granted
            }
            Err(error) => {
                request.refusal = Some(error.to_string());
                Outcome::Refused
            }
        };
        self.write(Entry::Update(Box::new(Row::new(actor, purpose, outcome, &request)))).await?;
        let issued = result?;
        for warning in &issued.warnings {
            log::note(&actor.request_id, warning);
        }
        Ok(issued)
    }

    /// Records that a request is refused before STS is asked; returns the error for the caller: the reason, or that there were too many
    /// refusals. A reason that says itself when to come back, or what STS said, stays, and is not one of too many. It waits until a new row
    /// is durable; the count of a row that is there follows within a second.
    pub async fn refuse(&self, actor: &Actor, purpose: Purpose, mut request: SessionRequest, reason: Error) -> Error {
        request.refusal = Some(reason.reason().into_owned());
        let is_limited = reason.retry_after().is_none() && !matches!(reason, Error::Assume(_));
        match self.count(Row { is_limited, ..Row::new(actor, purpose, Outcome::Refused, &request) }).await {
            Ok(Some(wait)) => Error::TooManyRequests { seconds: wait.as_secs() + 1 },
            Ok(None) => reason,
            Err(error) => error,
        }
    }

    /// Records that nobody is signed in. It waits as [`Recorder::refuse`] does.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Overloaded`]; then nobody knows whether there is a row.
    pub async fn refuse_sign_in(&self, actor: &Actor, reason: &Error) -> Result<(), Error> {
        let request = SessionRequest { refusal: Some(reason.reason().into_owned()), ..SessionRequest::default() };
        self.count(Row::new(actor, Purpose::SignIn, Outcome::Refused, &request)).await.map(drop)
    }

    /// Counts a refusal, and writes its row unless one is there that counts it. Returns how long the caller has to wait, if there were
    /// too many.
    async fn count(&self, row: Row) -> Result<Option<Duration>, Error> {
        let (new, wait) = self.lock().count(row, Instant::now());
        if let Some(row) = new {
            self.write(Entry::Refusal(Box::new(row))).await?;
        }
        Ok(wait)
    }

    /// Waits until everything is written, for at most the time of a write.
    pub async fn flush(&self) {
        // Whoever waits for a row has its error; here is nobody to tell.
        let _ = self.write(Entry::Flush).await;
    }

    async fn write(&self, entry: Entry) -> Result<(), Error> {
        let (done, written) = oneshot::channel();
        self.queue.try_send(Job { entry, done }).map_err(|_| Error::Overloaded { seconds: 1 })?;
        match written.await {
            Ok(outcome) => outcome.map_err(Error::Database),
            Err(_) => Err(Error::TimedOut),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().expect("nobody panics while holding it")
    }
}

impl Row {
    fn new(actor: &Actor, purpose: Purpose, outcome: Outcome, request: &SessionRequest) -> Self {
        let mut request = request.clone();
        request.refusal = request.refusal.map(cut);
        Self { at: milliseconds(SystemTime::now()), actor: actor.clone(), purpose, outcome, request, is_limited: true }
    }
}

/// Cuts a reason: it may repeat a role ARN of 2 KiB.
fn cut(mut reason: String) -> String {
    if reason.len() > MAX_REASON_BYTES {
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        reason.push('…');
    }
    reason
}

/// Writes what comes until all recorders are gone.
async fn write_all(
    database: Database,
    metrics: Arc<Metrics>,
    mut queue: mpsc::Receiver<Job>,
    refusals: Arc<Mutex<Refusals>>,
) {
    let mut ticks = interval(COUNT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut jobs = Vec::with_capacity(MAX_BATCH);
    loop {
        let is_open = tokio::select! {
            number = queue.recv_many(&mut jobs, MAX_BATCH) => number > 0,
            _ = ticks.tick() => {
                refusals.lock().expect("nobody panics while holding it").forget(Instant::now());
                true
            }
        };
        // Nothing has been asked of STS for those who have left before their row was written.
        jobs.retain(|job: &Job| match &job.entry {
            Entry::Row(row) => row.outcome != Outcome::Asked || !job.done.is_closed(),
            Entry::Refusal(_) | Entry::Update(_) | Entry::Flush => true,
        });
        for job in &mut jobs {
            if let Entry::Refusal(row) = &mut job.entry {
                let mut refusals = refusals.lock().expect("nobody panics while holding it");
                let new = refusals.begin((**row).clone(), Instant::now());
                job.entry = new.map_or(Entry::Flush, |row| Entry::Row(Box::new(row)));
            }
        }
        let counts = refusals.lock().expect("nobody panics while holding it").take_counts();
        if jobs.iter().any(|job| !matches!(job.entry, Entry::Flush)) || !counts.is_empty() {
            let written = match timeout(WRITE_TIMEOUT, write_batch(&database, &jobs, &counts)).await {
                Ok(written) => written.map_err(Arc::new),
                Err(_) => Err(Arc::new(sqlx::Error::PoolTimedOut)),
            };
            metrics.count_audit_write(&written, jobs.len());
            let refused: Vec<&Row> = jobs
                .iter()
                .filter_map(|job| match &job.entry {
                    Entry::Row(row) if row.outcome == Outcome::Refused => Some(&**row),
                    Entry::Row(_) | Entry::Refusal(_) | Entry::Update(_) | Entry::Flush => None,
                })
                .collect();
            refusals.lock().expect("nobody panics while holding it").settle(&refused, written.is_ok());
            if let Err(error) = &written {
                database.health().suspect();
                refusals.lock().expect("nobody panics while holding it").put_back(&counts);
                log::line(&format_args!("cannot write the audit: {}", with_sources(&Error::Database(error.clone()))));
                // Whoever has queued meanwhile would wait for the same once more, past their deadlines.
                while let Ok(job) = queue.try_recv() {
                    jobs.push(job);
                }
            }
            for job in jobs.drain(..) {
                let _ = job.done.send(written.clone());
            }
        } else {
            for job in jobs.drain(..) {
                let _ = job.done.send(Ok(()));
            }
        }
        if !is_open {
            return;
        }
    }
}

async fn write_batch(database: &Database, jobs: &[Job], counts: &[(String, i64, i64)]) -> Result<(), sqlx::Error> {
    let mut transaction = database.begin_audit().await?;
    let (mut rows, mut updates) = (Vec::new(), Vec::new());
    for job in jobs {
        match &job.entry {
            Entry::Row(row) => rows.push(row),
            Entry::Update(row) => updates.push(row),
            Entry::Refusal(_) | Entry::Flush => {}
        }
    }
    for rows in rows.chunks(rows_per_statement(18)) {
        let insert = format!(
            "insert into audit (id, at, actor, client_address, action, outcome, project_id, project_name, role_arn, \
             session_name, duration_seconds, access_key_id, sts_request_id, reason, key_prefix, project_role, mapping_id, \
             source_identity) values {}",
            placeholders(rows.len(), 18)
        );
        let mut query = sqlx::query(AssertSqlSafe(insert)).persistent(rows.len() == 1);
        for row in rows {
            let Row { at, actor, purpose, outcome, request, is_limited: _ } = &***row;
            query = query
                .bind(actor.request_id.as_str())
                .bind(at)
                .bind(actor.name.as_str())
                .bind(actor.address.as_deref())
                .bind(purpose.name())
                .bind(outcome.name())
                .bind(request.project_id)
                .bind(request.project_name.as_deref())
                .bind(request.role.as_deref())
                .bind(request.session_name.as_deref())
                .bind(request.duration_seconds)
                .bind(request.access_key_id.as_deref())
                .bind(request.sts_request_id.as_deref())
                .bind(request.refusal.as_deref())
                .bind(request.key_prefix.as_deref())
                .bind(request.project_role)
                .bind(request.mapping_id)
                .bind(request.source_identity.as_deref());
        }
        query.execute(&mut *transaction).await?;
    }
    for rows in updates.chunks(rows_per_statement(6)) {
        let update = format!(
            "update audit set outcome = v.column2, access_key_id = v.column3, sts_request_id = v.column4, reason = v.column5, \
             duration_seconds = v.column6 from (values {}) as v where audit.id = v.column1",
            placeholders(rows.len(), 6)
        );
        let mut query = sqlx::query(AssertSqlSafe(update)).persistent(rows.len() == 1);
        for row in rows {
            let Row { actor, outcome, request, .. } = &***row;
            query = query
                .bind(actor.request_id.as_str())
                .bind(outcome.name())
                .bind(request.access_key_id.as_deref())
                .bind(request.sts_request_id.as_deref())
                .bind(request.refusal.as_deref())
                .bind(request.duration_seconds);
        }
        query.execute(&mut *transaction).await?;
    }
    for (id, more, last_at) in counts {
        sqlx::query("update audit set times = times + $1, last_at = $2 where id = $3")
            .bind(more)
            .bind(last_at)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}
