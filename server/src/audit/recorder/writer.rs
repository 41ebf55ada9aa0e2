//! The task that writes: all rows and counts that wait are one transaction.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::refusals::Refusals;
use super::{Entry, Job, Outcome, Row};
use crate::database::Database;
use crate::database::rows::{placeholders, rows_per_statement};
use crate::error::{Error, with_sources};
use crate::log;
use crate::metrics::Metrics;

/// The rows of one transaction.
const MAX_BATCH: usize = 512;

/// The longest time for a transaction; those who wait have nearly reached their deadlines by then.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);

/// The time between two writes of the counts of refusals.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// The reason in the row of a caller who left between its row and STS.
pub const LEFT: &str = "the caller left before STS was asked";

/// A durable row that says `asked`, on its way to the caller who waits for it. Whoever receives it asks STS and writes what came of it; if
/// nobody does, the row says so.
#[derive(Debug)]
pub struct Asked {
    row: Option<Box<Row>>,
    queue: mpsc::WeakSender<Job>,
}

impl Asked {
    /// Leaves the row to its caller.
    pub fn receive(mut self) {
        self.row = None;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let (Some(mut row), Some(queue)) = (self.row.take(), self.queue.upgrade()) {
            row.outcome = Outcome::Refused;
            row.request.refusal = Some(LEFT.to_owned());
            // While the queue is full, the row stays as it is: this cannot wait for a place.
            let _ = queue.try_send(Job { entry: Entry::Update(row), done: oneshot::channel().0 });
        }
    }
}

/// Writes what comes until all recorders are gone.
pub async fn write_all(
    database: Database,
    metrics: Arc<Metrics>,
    mut queue: mpsc::Receiver<Job>,
    back: mpsc::WeakSender<Job>,
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
            for Job { entry, done } in jobs.drain(..) {
                let asked = |()| match entry {
                    Entry::Row(row) if row.outcome == Outcome::Asked => {
                        Some(Asked { row: Some(row), queue: back.clone() })
                    }
                    Entry::Row(_) | Entry::Refusal(_) | Entry::Update(_) | Entry::Flush => None,
                };
                let _ = done.send(written.clone().map(asked));
            }
        } else {
            for job in jobs.drain(..) {
                let _ = job.done.send(Ok(None));
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
