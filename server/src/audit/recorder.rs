//! The recorder: writes the rows of requests for credentials, and of refused sign-ins. All who wait share one transaction and so one
//! flush to the disk; each waits until its own row is durable.
//!
//! Equal refusals of a minute are one row with a count, and a caller has a limited number of rows for refusals in a minute: nobody fills
//! the disk or takes the turn to write from others by asking for what they may not have. Whoever fails to sign in is one caller together
//! with all others who do.

mod refusals;
mod writer;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use hops_credentials_core::sts::IssuedCredentials;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::refusals::Refusals;
use self::writer::{Asked, write_all};
use super::{Actor, Purpose, SessionRequest};
use crate::database::{Database, milliseconds};
use crate::error::Error;
use crate::log;
use crate::metrics::Metrics;

/// The rows that wait to be written. When it is full, requests are refused at once, unless STS has been asked for them.
const QUEUE_LENGTH: usize = 8192;

/// The longest reason in a row, in bytes.
const MAX_REASON_BYTES: usize = 1024;

/// What became of a request for credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// STS is about to be asked. A row that stays so tells of a server that ended, or could not write, before the row said more.
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
    done: oneshot::Sender<Result<Option<Asked>, Arc<sqlx::Error>>>,
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
        tokio::spawn(write_all(database, metrics, jobs, queue.downgrade(), Arc::clone(&refusals)));
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
    /// That of STS; [`Error::Database`] when nobody knows what the row says: then nobody gets the credentials.
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
        let job = Job { entry, done };
        let is_queued = match job.entry {
            // Those are few, and STS has been asked, or the server ends: each waits for a place.
            Entry::Update(_) | Entry::Flush => self.queue.send(job).await.is_ok(),
            Entry::Row(_) | Entry::Refusal(_) => self.queue.try_send(job).is_ok(),
        };
        if !is_queued {
            return Err(Error::Overloaded { seconds: 1 });
        }
        match written.await {
            Ok(Ok(asked)) => {
                if let Some(asked) = asked {
                    asked.receive();
                }
                Ok(())
            }
            Ok(Err(error)) => Err(Error::Database(error)),
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::task::{Context, Waker};

    use super::*;
    use crate::database::Settings;
    use crate::database::address::Address;

    /// A recorder with a database of its own.
    struct Recording {
        file: PathBuf,
        database: Database,
        recorder: Recorder,
        actor: Actor,
    }

    impl Recording {
        async fn start(name: &str) -> Self {
            let file = std::env::temp_dir().join(format!("{name}-{}.db", std::process::id()));
            let database = Database::open(&Address::Sqlite(file.clone()), Settings::default()).await.expect("a file");
            let recorder = Recorder::start(database.clone(), Arc::default());
            let actor = Actor { request_id: "1".to_owned(), name: "ada@example.org".to_owned(), address: None };
            Self { file, database, recorder, actor }
        }

        async fn insert(&self) -> Result<(), Error> {
            let request = SessionRequest::default();
            self.recorder.insert(&self.actor, Purpose::SessionToken, Outcome::Asked, &request).await
        }

        /// Waits until everything is written; returns outcome and reason of the only row.
        async fn row(&self) -> (String, Option<String>) {
            self.recorder.flush().await;
            sqlx::query_as("select outcome, reason from audit").fetch_one(self.database.pool()).await.expect("a row")
        }

        async fn end(self) {
            self.database.close().await;
            for suffix in ["", "-wal", "-shm", "-next", "-now"] {
                let _ = std::fs::remove_file(format!("{}{suffix}", self.file.display()));
            }
        }
    }

    /// Lets a future begin, and no other one go on meanwhile.
    fn begin<F: Future>(future: &mut std::pin::Pin<Box<F>>) {
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    #[tokio::test]
    async fn who_leaves_with_the_row_on_its_way_leaves_no_row_that_says_asked() {
        let recording = Recording::start("recorder-left").await;
        let mut insert = Box::pin(recording.insert());
        begin(&mut insert);
        // Its row is there then, and the answer is on its way.
        assert_eq!(recording.row().await, ("asked".to_owned(), None));
        drop(insert);
        assert_eq!(recording.row().await, ("refused".to_owned(), Some(writer::LEFT.to_owned())));
        recording.end().await;
    }

    #[tokio::test]
    async fn a_flush_waits_for_everything_however_many_rows_wait() {
        let recording = Recording::start("recorder-flush").await;
        let mut insert = Box::pin(recording.insert());
        begin(&mut insert);
        let mut waiting: Vec<_> = (1..QUEUE_LENGTH).map(|_| Box::pin(recording.recorder.flush())).collect();
        waiting.iter_mut().for_each(begin);
        let mut flush = Box::pin(recording.recorder.flush());
        begin(&mut flush);
        flush.await;
        let (rows,): (i64,) =
            sqlx::query_as("select count(*) from audit").fetch_one(recording.database.pool()).await.expect("a count");
        assert_eq!(rows, 1);
        drop((insert, waiting));
        recording.end().await;
    }

    #[tokio::test]
    async fn what_came_of_asking_sts_finds_its_place_however_many_rows_wait() {
        let recording = Recording::start("recorder-full").await;
        recording.insert().await.expect("a row");
        assert_eq!(recording.row().await, ("asked".to_owned(), None));
        let mut waiting: Vec<_> = (0..QUEUE_LENGTH).map(|_| Box::pin(recording.recorder.flush())).collect();
        waiting.iter_mut().for_each(begin);
        assert!(matches!(recording.insert().await, Err(Error::Overloaded { .. })), "nobody else has one");
        let refused = Err(Error::StsBusy { seconds: 1 });
        let request = SessionRequest::default();
        let said = recording.recorder.finish(&recording.actor, Purpose::SessionToken, request, refused).await;
        assert!(matches!(said, Err(Error::StsBusy { .. })), "{:?}", said.err());
        drop(waiting);
        assert_eq!(recording.row().await.0, "refused");
        recording.end().await;
    }
}
