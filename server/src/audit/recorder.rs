//! The recorder: writes the rows of requests for credentials. All who wait share one transaction and so one flush to the disk; each
//! waits until its own row is durable.
//!
//! Equal refusals of a minute are one row with a count, and a caller has a limited number of rows for refusals in a minute: nobody fills
//! the disk or takes the turn to write from others by asking for what they may not have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use hops_credentials_core::sts::IssuedCredentials;
use sqlx::AssertSqlSafe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

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

/// The time for which equal refusals are one row.
const WINDOW: Duration = Duration::from_secs(60);

/// The rows for refusals of one caller within [`WINDOW`]; further refusals are counted in one more row.
const MAX_REFUSED_ROWS: u32 = 20;

/// The refusals of one caller within [`WINDOW`] that say why; the next ones say that there are too many.
const MAX_REFUSALS: u32 = 100;

/// The rows of refusals, and the callers with refusals, that are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// The longest reason in a row, in bytes.
const MAX_REASON_BYTES: usize = 1024;

/// The reason in the row for refusals beyond [`MAX_REFUSED_ROWS`].
const OVERFLOW: &str = "more refused requests than the audit takes one by one";

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
}

/// The refusals of the last minute.
#[derive(Debug, Default)]
struct Refusals {
    rows: HashMap<Refusal, Counted>,
    callers: HashMap<String, Caller>,
}

/// What two refusals have in common to be one row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Refusal {
    actor: String,
    address: Option<String>,
    key_prefix: Option<String>,
    purpose: Purpose,
    project_id: i64,
    role: Option<String>,
    reason: String,
}

#[derive(Debug)]
struct Counted {
    id: String,
    until: Instant,
    /// Whether the row is there. Until then each refusal is a row of its own, since the write may fail.
    is_durable: bool,
    /// Refusals that the row does not count yet.
    more: i64,
    last_at: i64,
}

#[derive(Debug)]
struct Caller {
    until: Instant,
    refusals: u32,
    rows: u32,
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
        request.refusal = Some(cut(reason.to_string()));
        let row = Row::new(actor, purpose, Outcome::Refused, &request);
        let (new, mut wait) = self.lock().count(row, Instant::now());
        if reason.retry_after().is_some() || matches!(reason, Error::Assume(_)) {
            self.lock().excuse(&actor.name);
            wait = None;
        }
        if let Some(row) = new
            && let Err(error) = self.write(Entry::Row(Box::new(row))).await
        {
            return error;
        }
        match wait {
            Some(wait) => Error::TooManyRequests { seconds: wait.as_secs() + 1 },
            None => reason,
        }
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
        Self { at: milliseconds(SystemTime::now()), actor: actor.clone(), purpose, outcome, request }
    }
}

impl Refusals {
    /// Counts a refusal. Returns the row to write, unless one is there that counts it; and how long the caller has to wait, if
    /// there were too many.
    fn count(&mut self, mut row: Row, now: Instant) -> (Option<Row>, Option<Duration>) {
        if self.rows.len() >= MAX_REMEMBERED {
            self.rows.retain(|_, counted| now < counted.until || counted.more > 0);
        }
        if self.callers.len() >= MAX_REMEMBERED {
            self.callers.retain(|_, caller| now < caller.until);
        }
        let caller = self.callers.entry(row.actor.name.clone()).or_insert(Caller { until: now, refusals: 0, rows: 0 });
        if now >= caller.until {
            *caller = Caller { until: now + WINDOW, refusals: 0, rows: 0 };
        }
        caller.refusals = caller.refusals.saturating_add(1);
        let wait = (caller.refusals > MAX_REFUSALS).then(|| caller.until - now);
        let mut refusal = Refusal::of(&row);
        let is_known = self.rows.get(&refusal).is_some_and(|counted| now < counted.until);
        if !is_known && caller.rows >= MAX_REFUSED_ROWS {
            row.request = SessionRequest {
                refusal: Some(OVERFLOW.to_owned()),
                key_prefix: row.request.key_prefix,
                ..SessionRequest::default()
            };
            refusal = Refusal::of(&row);
        }
        match self.rows.get_mut(&refusal) {
            // One whose last count is not written yet stays until then.
            Some(counted) if counted.is_durable && (now < counted.until || counted.more > 0) => {
                counted.more += 1;
                counted.last_at = row.at;
                (None, wait)
            }
            // The first one stays the one that counts, or else there is always one that is not durable yet.
            Some(counted) if !counted.is_durable && now < counted.until => {
                caller.rows += 1;
                (Some(row), wait)
            }
            Some(_) | None => {
                caller.rows += 1;
                let id = row.actor.request_id.clone();
                let counted = Counted { id, until: now + WINDOW, is_durable: false, more: 0, last_at: row.at };
                if self.rows.len() < MAX_REMEMBERED {
                    self.rows.insert(refusal, counted);
                }
                (Some(row), wait)
            }
        }
    }

    /// Takes back that the last refusal of this caller is one of too many.
    fn excuse(&mut self, name: &str) {
        if let Some(caller) = self.callers.get_mut(name) {
            caller.refusals = caller.refusals.saturating_sub(1);
        }
    }

    /// Notes that these rows are there, or that they are not.
    fn settle(&mut self, rows: &[&Row], is_written: bool) {
        for row in rows {
            let refusal = Refusal::of(row);
            let Some(counted) = self.rows.get_mut(&refusal) else { continue };
            if counted.id == row.actor.request_id {
                counted.is_durable = is_written;
                if !is_written {
                    self.rows.remove(&refusal);
                }
            }
        }
    }

    /// Takes the counts that are not written yet: the id of the row, how many more, the last instant.
    fn take_counts(&mut self) -> Vec<(String, i64, i64)> {
        self.rows
            .values_mut()
            .filter(|counted| counted.more > 0)
            .map(|counted| (counted.id.clone(), std::mem::take(&mut counted.more), counted.last_at))
            .collect()
    }

    /// Puts counts back that could not be written.
    fn put_back(&mut self, counts: &[(String, i64, i64)]) {
        let more: HashMap<&str, i64> = counts.iter().map(|(id, more, _)| (id.as_str(), *more)).collect();
        for counted in self.rows.values_mut() {
            counted.more += more.get(counted.id.as_str()).copied().unwrap_or_default();
        }
    }
}

impl Refusal {
    fn of(row: &Row) -> Self {
        Self {
            actor: row.actor.name.clone(),
            address: row.actor.address.clone(),
            key_prefix: row.request.key_prefix.clone(),
            purpose: row.purpose,
            project_id: row.request.project_id,
            role: row.request.role.clone(),
            reason: row.request.refusal.clone().unwrap_or_default(),
        }
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
            _ = ticks.tick() => true,
        };
        // Nothing has been asked of STS for those who have left before their row was written.
        jobs.retain(|job: &Job| match &job.entry {
            Entry::Row(row) => row.outcome != Outcome::Asked || !job.done.is_closed(),
            Entry::Update(_) | Entry::Flush => true,
        });
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
                    Entry::Row(_) | Entry::Update(_) | Entry::Flush => None,
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
    let mut transaction = database.begin_write().await?;
    let (mut rows, mut updates) = (Vec::new(), Vec::new());
    for job in jobs {
        match &job.entry {
            Entry::Row(row) => rows.push(row),
            Entry::Update(row) => updates.push(row),
            Entry::Flush => {}
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
            let Row { at, actor, purpose, outcome, request } = &***row;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(actor: &str, project_id: i64) -> Row {
        let request =
            SessionRequest { project_id, refusal: Some("not a member".to_owned()), ..SessionRequest::default() };
        let actor = Actor { request_id: crate::random::hex::<8>(), name: actor.to_owned(), address: None };
        Row::new(&actor, Purpose::SessionToken, Outcome::Refused, &request)
    }

    #[test]
    fn equal_refusals_of_a_minute_are_one_row_with_a_count() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let first = refusals.count(refused("ada", 1), now).0.expect("a row");
        let second = refusals.count(refused("ada", 1), now).0.expect("nobody knows yet whether the first row is there");
        refusals.settle(&[&first, &second], true);
        for _ in 0..5 {
            assert!(refusals.count(refused("ada", 1), now + Duration::from_secs(59)).0.is_none());
        }
        assert!(refusals.count(refused("eve", 1), now).0.is_some(), "somebody else has a row of their own");
        let counts = refusals.take_counts();
        assert_eq!(counts.iter().map(|(id, more, _)| (id, *more)).collect::<Vec<_>>(), [(&first.actor.request_id, 5)]);
        refusals.put_back(&counts);
        assert_eq!(refusals.take_counts().len(), 1);
        assert!(refusals.count(refused("ada", 1), now + WINDOW).0.is_some(), "a new minute is a new row");
    }

    #[test]
    fn refusals_that_come_one_upon_the_other_do_not_put_the_count_off() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let first = refusals.count(refused("ada", 1), now).0.expect("a row");
        let second = refusals.count(refused("ada", 1), now).0.expect("nobody knows yet whether the first row is there");
        refusals.settle(&[&first], true);
        assert!(refusals.count(refused("ada", 1), now).0.is_none(), "the first row is there");
        refusals.settle(&[&second], false);
        assert!(refusals.count(refused("ada", 1), now).0.is_none(), "it stays");
    }

    #[test]
    fn a_caller_has_a_limited_number_of_rows_and_of_reasons_in_a_minute() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let mut written = Vec::new();
        let mut waits = 0;
        for project in 1..=1000 {
            let (row, wait) = refusals.count(refused("ada", project), now);
            if let Some(row) = row {
                refusals.settle(&[&row], true);
                written.push(row.request.refusal.expect("a reason"));
            }
            waits += usize::from(wait.is_some());
        }
        assert_eq!((written.len(), written.last().map(String::as_str)), (21, Some(OVERFLOW)));
        assert_eq!(waits, 900);
        assert_eq!(refusals.take_counts().iter().map(|(_, more, _)| more).sum::<i64>(), 979);
        assert!(refusals.count(refused("eve", 1), now).1.is_none(), "nobody else waits");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        for number in 0..2 * MAX_REMEMBERED {
            let at = now + WINDOW * u32::try_from(number / MAX_REMEMBERED).expect("small") * 2;
            let (row, _) = refusals.count(refused(&number.to_string(), 1), at);
            refusals.settle(&row.iter().collect::<Vec<_>>(), true);
        }
        assert!(refusals.rows.len() <= MAX_REMEMBERED && refusals.callers.len() <= MAX_REMEMBERED);
    }
}
