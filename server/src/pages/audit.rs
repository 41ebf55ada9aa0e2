//! *Admin › audit*: who got which role when, and who changed what.

use std::time::{Duration, SystemTime};

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hops_credentials_core::text::{parse_rfc3339, rfc3339};

use super::error::PageError;
use super::frame::{Frame, page};
use super::path;
use super::visitor::Administrator;
use crate::app::App;
use crate::audit::record::{Position, Record};
use crate::audit::search::{Found, NEWEST, Search};
use crate::database::error::is_statement_timeout;
use crate::database::milliseconds;
use crate::error::Error;
use crate::http::deadline::Deadline;
use crate::http::parameters::Parameters;
use crate::project::Project;

const ROWS_PER_PAGE: usize = 25;

/// The time that a search may take once it has its turn. Who waits learns before the deadline that others were first.
const SEARCH_TIME: Duration = Duration::from_secs(4);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The outcomes of a row: the word in the database and the words on the page.
const OUTCOMES: [(&str, &str); 4] =
    [("granted", "Granted"), ("refused", "Refused"), ("changed", "Changed"), ("asked", "Asked, outcome not known")];

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    query: Query,
    outcomes: Vec<Outcome>,
    rows: Vec<Row>,
    horizon: Option<Horizon>,
    exact_horizon: Option<Horizon>,
    /// The address of all rows, when the page leaves out those that merely contain the text.
    part_href: Option<String>,
    newest: Option<String>,
    older: Option<String>,
}

/// The place up to which the page has looked for a part of the text, or for exact matches.
struct Horizon {
    at: String,
    href: String,
}

struct Outcome {
    value: &'static str,
    text: &'static str,
    is_chosen: bool,
}

struct Row {
    /// `2026-01-31 12:00:00`, in UTC.
    at: String,
    actor: String,
    client_address: String,
    action: String,
    outcome: String,
    project: String,
    details: Vec<(&'static str, String)>,
}

/// The search as the form and the links of the page write it. An illegal value counts as absent: the link is damaged.
#[derive(Clone)]
struct Query {
    text: String,
    outcome: Option<&'static str>,
    from: String,
    to: String,
    before: Option<Position>,
    is_exact: bool,
}

impl Query {
    fn from_parameters(parameters: &Parameters) -> Self {
        let text = |name| parameters.all(name).next().unwrap_or_default().trim().to_owned();
        let date = |name| Some(text(name)).filter(|date| parse_date(date).is_some()).unwrap_or_default();
        let wanted = text("outcome");
        let position = |text: &str| {
            let (at, id) = text.split_once('-')?;
            Some(Position { at: at.parse().ok()?, id: id.to_owned() }).filter(|position| !position.id.contains('\0'))
        };
        Self {
            text: text("q"),
            outcome: OUTCOMES.iter().find(|(value, _)| *value == wanted).map(|(value, _)| *value),
            from: date("from"),
            to: date("to"),
            before: position(&text("before")),
            is_exact: text("match") == "exact",
        }
    }

    fn to_search(&self) -> Search {
        let behind =
            Position { at: parse_date(&self.to).map_or(i64::MAX, |to| milliseconds(to + DAY)), id: String::new() };
        Search {
            text: self.text.clone(),
            is_exact: self.is_exact,
            outcome: self.outcome,
            from: parse_date(&self.from).map_or(0, milliseconds),
            before: self.before.clone().map_or(behind.clone(), |before| before.min(behind)),
        }
    }

    fn href(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &self.text).append_pair("outcome", self.outcome.unwrap_or_default());
        query.append_pair("from", &self.from).append_pair("to", &self.to);
        if self.is_exact {
            query.append_pair("match", "exact");
        }
        if let Some(before) = &self.before {
            query.append_pair("before", &format!("{}-{}", before.at, before.id));
        }
        format!("{}?{}", path::AUDIT, query.finish())
    }

    fn to_horizon(&self, position: Position, is_exact: bool) -> Horizon {
        Horizon { at: write_instant(position.at), href: self.href_before(position, is_exact) }
    }

    fn href_before(&self, position: Position, is_exact: bool) -> String {
        Self { before: Some(position), is_exact, ..self.clone() }.href()
    }
}

/// Parses a date of the form: the instant at which the day begins in UTC.
fn parse_date(text: &str) -> Option<SystemTime> {
    if text.len() == "2026-01-31".len() { parse_rfc3339(&format!("{text}T00:00:00Z")) } else { None }
}

/// Shows the newest rows that pass the filter.
pub async fn show(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    deadline: Deadline,
    parameters: Parameters,
) -> Result<Response, PageError> {
    let query = Query::from_parameters(&parameters);
    let wait = deadline.remaining().saturating_sub(SEARCH_TIME);
    let turn = tokio::time::timeout(wait, app.audit_turn.clone().acquire_owned()).await;
    let turn = turn.map_err(|_| Error::AuditBusy)?.expect("it is never closed");
    let search = query.to_search();
    // In a task of its own: SQLite ends a query that nobody waits for, and only then another search may begin.
    let running = tokio::spawn(async move {
        let found = search.run(&app.database, ROWS_PER_PAGE).await;
        drop(turn);
        found
    });
    let found = running.await.expect("a search does not panic");
    let Found { records, has_more, searched_back_to, exact_back_to } =
        found.map_err(|error| if is_statement_timeout(&error) { Error::AuditSlow } else { error.into() })?;
    let is_of_cluster = !visitor.caller.is_local_user();
    let is_exact = query.is_exact || searched_back_to.is_some();
    let last = records.last().map(Record::position);
    Ok(page(&AuditPage {
        frame: Frame::for_caller("Audit", path::AUDIT, &visitor.caller, visitor.form_token),
        outcomes: OUTCOMES.map(|(value, text)| Outcome { value, text, is_chosen: query.outcome == Some(value) }).into(),
        rows: records.into_iter().map(|record| to_row(record, is_of_cluster)).collect(),
        horizon: searched_back_to.map(|position| query.to_horizon(position, false)),
        exact_horizon: exact_back_to.map(|position| query.to_horizon(position, true)),
        part_href: query.is_exact.then(|| Query { is_exact: false, before: None, ..query.clone() }.href()),
        newest: query.before.is_some().then(|| Query { before: None, ..query.clone() }.href()),
        older: last.filter(|_| has_more).map(|last| query.href_before(last, is_exact)),
        query,
    }))
}

fn to_row(record: Record, is_of_cluster: bool) -> Row {
    // A row of an older program may have a name that misleads.
    let project = match (record.project_id, record.project_name) {
        (Some(id), Some(name)) if is_of_cluster => Project::of_cluster(id, Some(&name)).name,
        (_, Some(name)) => name,
        (Some(id), None) => format!("project id {id}"),
        (None, None) => String::new(),
    };
    let times = record.last_at.filter(|_| record.times > 1);
    let details = [
        ("Role", record.role),
        ("Role mapping", record.mapping_id.map(|id| id.to_string())),
        ("Project role", record.project_role),
        ("Session name", record.session_name),
        ("Source identity", record.source_identity),
        ("Access key id", record.access_key_id),
        ("Duration", record.duration_seconds.map(|seconds| format!("{seconds} s"))),
        ("Reason", record.reason),
        ("Repeated", times.map(|last| format!("{} times until {}", record.times, write_instant(last)))),
        ("Before", record.state_before),
        ("After", record.state_after),
        ("API key starts with", record.key_prefix),
        ("STS request", record.sts_request_id),
        ("Request", Some(record.id)),
    ];
    Row {
        at: write_instant(record.at),
        actor: record.actor,
        client_address: record.client_address.unwrap_or_default(),
        action: record.action,
        outcome: record.outcome,
        project,
        details: details.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
    }
}

/// Writes an instant of the audit: `2026-01-31 12:00:00`, in UTC.
fn write_instant(at: i64) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at).unwrap_or_default());
    rfc3339(at).replace('T', " ").trim_end_matches('Z').to_owned()
}
