//! The count of refusals: equal ones of a minute are one row, and a caller has a limited number of rows in a minute.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Row;
use crate::audit::{Actor, Purpose, SessionRequest};

/// The time for which equal refusals are one row.
const WINDOW: Duration = Duration::from_secs(60);

/// The rows for refusals of one caller within [`WINDOW`]; further refusals are counted in one more row.
const MAX_REFUSED_ROWS: u32 = 20;

/// The refusals of one caller within [`WINDOW`] that say why; the next ones say that there are too many.
const MAX_REFUSALS: u32 = 100;

/// The rows of refusals, and the callers with refusals, that are remembered. Refusals of further callers are counted in one row for each
/// purpose.
const MAX_REMEMBERED: usize = 10_000;

/// The reason in the row for refusals beyond [`MAX_REFUSED_ROWS`].
const OVERFLOW: &str = "more refused requests than the audit takes one by one";

/// The actor of the rows for refusals of callers beyond [`MAX_REMEMBERED`].
const OTHERS: &str = "several callers";

/// The refusals of the last minute.
#[derive(Debug, Default)]
pub struct Refusals {
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
    project_id: Option<i64>,
    role: Option<String>,
    reason: String,
}

#[derive(Debug)]
struct Counted {
    id: String,
    until: Instant,
    /// Whether the row is there. Until then who is refused waits, since the write may fail.
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

impl Counted {
    /// Counts a refusal more, unless the minute is over. One whose last count is not written yet stays until then.
    fn take(&mut self, row: &Row, now: Instant) -> bool {
        let is_open = now < self.until || self.more > 0;
        if is_open {
            self.more += 1;
            self.last_at = row.at;
        }
        is_open
    }
}

impl Row {
    /// Makes the row that counts the refusals of these callers that have no rows of their own. It leaves out what they differ in.
    fn beyond(self, name: &str) -> Self {
        let key_prefix = self.request.key_prefix.filter(|_| name != OTHERS);
        let request = SessionRequest { refusal: Some(OVERFLOW.to_owned()), key_prefix, ..SessionRequest::default() };
        Self { actor: Actor { name: name.to_owned(), address: None, ..self.actor }, request, ..self }
    }
}

impl Refusals {
    /// Counts a refusal of the caller. Returns its row for the next write, unless one is there that counts it; and how long the caller
    /// has to wait, if there were too many.
    pub fn count(&mut self, row: Row, now: Instant) -> (Option<Row>, Option<Duration>) {
        let mut wait = None;
        if self.callers.len() < MAX_REMEMBERED || self.callers.contains_key(&row.actor.name) {
            let new = Caller { until: now, refusals: 0, rows: 0 };
            let caller = self.callers.entry(row.actor.name.clone()).or_insert(new);
            if now >= caller.until {
                *caller = Caller { until: now + WINDOW, refusals: 0, rows: 0 };
            }
            caller.refusals = caller.refusals.saturating_add(u32::from(row.is_limited));
            wait = (row.is_limited && caller.refusals > MAX_REFUSALS).then(|| caller.until - now);
        }
        let placed = self.place(row.clone(), now);
        let counted = self.rows.get_mut(&Refusal::of(&placed)).filter(|counted| counted.is_durable);
        let is_counted = counted.is_some_and(|counted| counted.take(&placed, now));
        ((!is_counted).then_some(row), wait)
    }

    /// Begins the row of a refusal in the write that follows; `None` when a row counts it that is there, or that the same write begins.
    pub fn begin(&mut self, row: Row, now: Instant) -> Option<Row> {
        let name = row.actor.name.clone();
        let row = self.place(row, now);
        let refusal = Refusal::of(&row);
        if self.rows.get_mut(&refusal).is_some_and(|counted| counted.take(&row, now)) {
            return None;
        }
        let id = row.actor.request_id.clone();
        self.rows.insert(refusal, Counted { id, until: now + WINDOW, is_durable: false, more: 0, last_at: row.at });
        if let Some(caller) = self.callers.get_mut(&name) {
            caller.rows += 1;
        }
        Some(row)
    }

    /// Makes it a refusal beyond what has rows of its own, if there are too many.
    fn place(&self, mut row: Row, now: Instant) -> Row {
        let Some(caller) = self.callers.get(&row.actor.name) else { return row.beyond(OTHERS) };
        let is_known = self.rows.get(&Refusal::of(&row)).is_some_and(|counted| now < counted.until);
        if !is_known && caller.rows >= MAX_REFUSED_ROWS {
            let name = row.actor.name.clone();
            row = row.beyond(&name);
        }
        // The last places are for the rows of the other callers.
        if self.rows.len() + Purpose::ALL.len() >= MAX_REMEMBERED && !self.rows.contains_key(&Refusal::of(&row)) {
            row = row.beyond(OTHERS);
        }
        row
    }

    /// Forgets the callers and the rows whose minute is over, but for rows whose count is not written yet.
    pub fn forget(&mut self, now: Instant) {
        self.rows.retain(|_, counted| now < counted.until || counted.more > 0);
        self.callers.retain(|_, caller| now < caller.until);
    }

    /// Notes that these rows are there, or that they are not.
    pub fn settle(&mut self, rows: &[&Row], is_written: bool) {
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
    pub fn take_counts(&mut self) -> Vec<(String, i64, i64)> {
        self.rows
            .values_mut()
            .filter(|counted| counted.more > 0)
            .map(|counted| (counted.id.clone(), std::mem::take(&mut counted.more), counted.last_at))
            .collect()
    }

    /// Puts counts back that could not be written.
    pub fn put_back(&mut self, counts: &[(String, i64, i64)]) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::recorder::Outcome;

    fn refused(actor: &str, project_id: i64) -> Row {
        let request = SessionRequest {
            project_id: Some(project_id),
            refusal: Some("not a member".to_owned()),
            ..SessionRequest::default()
        };
        let actor = Actor { request_id: crate::random::hex::<8>(), name: actor.to_owned(), address: None };
        Row::new(&actor, Purpose::SessionToken, Outcome::Refused, &request)
    }

    #[test]
    fn equal_refusals_of_a_minute_are_one_row_with_a_count() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let first = refusals.count(refused("ada", 1), now).0.expect("a row");
        let second = refusals.count(refused("ada", 1), now).0.expect("nobody knows yet whether the first row is there");
        let first = refusals.begin(first, now).expect("a row");
        assert!(refusals.begin(second, now).is_none(), "the same write counts it");
        refusals.settle(&[&first], true);
        for _ in 0..5 {
            assert!(refusals.count(refused("ada", 1), now + Duration::from_secs(59)).0.is_none());
        }
        assert!(refusals.count(refused("eve", 1), now).0.is_some(), "somebody else has a row of their own");
        let counts = refusals.take_counts();
        assert_eq!(counts.iter().map(|(id, more, _)| (id, *more)).collect::<Vec<_>>(), [(&first.actor.request_id, 6)]);
        refusals.put_back(&counts);
        assert_eq!(refusals.take_counts().len(), 1);
        assert!(refusals.count(refused("ada", 1), now + WINDOW).0.is_some(), "a new minute is a new row");
    }

    #[test]
    fn a_caller_has_a_limited_number_of_rows_and_of_reasons_in_a_minute() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let mut written = Vec::new();
        let mut waits = 0;
        for project in 1..=1000 {
            let (row, wait) = refusals.count(refused("ada", project), now);
            if let Some(row) = row.and_then(|row| refusals.begin(row, now)) {
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
    fn reasons_that_say_when_to_come_back_are_not_too_many() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        for _ in 0..1000 {
            assert_eq!(refusals.count(Row { is_limited: false, ..refused("ada", 1) }, now).1, None);
        }
        assert_eq!(refusals.count(refused("ada", 2), now).1, None, "it is the first one");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        for number in 0..2 * MAX_REMEMBERED {
            let at = now + WINDOW * u32::try_from(number / MAX_REMEMBERED).expect("small") * 2;
            let (row, _) = refusals.count(refused(&number.to_string(), 1), at);
            let row = row.and_then(|row| refusals.begin(row, at));
            refusals.settle(&row.iter().collect::<Vec<_>>(), true);
        }
        assert!(refusals.rows.len() <= MAX_REMEMBERED && refusals.callers.len() <= MAX_REMEMBERED);
        let others = refusals.rows.iter().filter(|(refusal, _)| refusal.actor == OTHERS);
        assert!(others.map(|(_, counted)| counted.more).sum::<i64>() > 0, "further callers are counted in one row");
        refusals.take_counts();
        refusals.forget(now + WINDOW * 3);
        assert_eq!((refusals.rows.len(), refusals.callers.len()), (0, 0), "all of them are idle");
    }

    #[test]
    fn a_caller_with_many_addresses_has_a_limited_number_of_rows_too() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let mut rows = 0;
        for number in 0..1000 {
            let mut row = refused("nobody", 1);
            row.actor.address = Some(format!("2001:db8::{number:x}"));
            if let Some(row) = refusals.count(row, now).0.and_then(|row| refusals.begin(row, now)) {
                refusals.settle(&[&row], true);
                rows += 1;
            }
        }
        assert_eq!(rows, 21);
        assert_eq!(refusals.take_counts().iter().map(|(_, more, _)| more).sum::<i64>(), 979);
    }
}
