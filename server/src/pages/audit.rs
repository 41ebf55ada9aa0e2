//! *Admin › audit*: who got which role when, and who changed what.

use std::time::{Duration, SystemTime};

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hops_credentials_core::text::rfc3339;

use super::error::PageError;
use super::frame::{Frame, page};
use super::path;
use super::visitor::Administrator;
use crate::app::App;
use crate::audit::search::{self, Record};
use crate::http::parameters::Parameters;

const ROWS_PER_PAGE: i64 = 25;

/// The outcomes of a row: the word in the database and the word on the page.
const OUTCOMES: [(&str, &str); 3] = [("granted", "Granted"), ("refused", "Refused"), ("changed", "Changed")];

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    text: String,
    outcomes: Vec<Outcome>,
    rows: Vec<Row>,
    newer: Option<String>,
    older: Option<String>,
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

/// Shows the newest rows that pass the filter.
pub async fn show(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    parameters: Parameters,
) -> Result<Response, PageError> {
    let text: String = parameters.all("q").next().unwrap_or_default().trim().to_owned();
    let wanted = parameters.all("outcome").next().unwrap_or_default();
    let outcome = OUTCOMES.iter().find(|(value, _)| *value == wanted).map_or("", |(value, _)| value);
    let number: i64 = parameters.all("page").next().and_then(|page| page.parse().ok()).unwrap_or(1).clamp(1, 1_000_000);
    // One row more than the page shows says whether there are older ones.
    let mut records =
        search::search(&app.database, &text, outcome, (number - 1) * ROWS_PER_PAGE, ROWS_PER_PAGE + 1).await?;
    let has_older = records.len() > usize::try_from(ROWS_PER_PAGE).expect("a small number");
    records.truncate(usize::try_from(ROWS_PER_PAGE).expect("a small number"));
    let href = |number: i64| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &text).append_pair("outcome", outcome).append_pair("page", &number.to_string());
        format!("{}?{}", path::AUDIT, query.finish())
    };
    Ok(page(&AuditPage {
        frame: Frame::for_caller("Audit", path::AUDIT, &visitor.caller, visitor.form_token),
        outcomes: OUTCOMES.map(|(value, text)| Outcome { value, text, is_chosen: value == outcome }).into(),
        rows: records.into_iter().map(to_row).collect(),
        newer: (number > 1).then(|| href(number - 1)),
        older: has_older.then(|| href(number + 1)),
        text,
    }))
}

fn to_row(record: Record) -> Row {
    let details = [
        ("Role", record.role),
        ("Session name", record.session_name),
        ("Access key id", record.access_key_id),
        ("Duration", record.duration_seconds.map(|seconds| format!("{seconds} s"))),
        ("Reason", record.reason),
        ("Before", record.state_before),
        ("After", record.state_after),
        ("STS request", record.sts_request_id),
        ("Request", Some(record.id)),
    ];
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(record.at).unwrap_or_default());
    Row {
        at: rfc3339(at).replace('T', " ").trim_end_matches('Z').to_owned(),
        actor: record.actor,
        client_address: record.client_address.unwrap_or_default(),
        action: record.action,
        outcome: record.outcome,
        project: record.project_name.unwrap_or_default(),
        details: details.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
    }
}
