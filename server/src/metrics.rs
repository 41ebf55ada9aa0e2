//! The metrics of the server, as Prometheus reads them. No label holds a text that a client chose, so the number of series is
//! bounded.

use std::fmt::{Debug, Formatter};
use std::time::Duration;

use axum::http::StatusCode;
use hops_credentials_core::error::Error as CoreError;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::log;

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The upper bounds of the histograms: from a list of mappings to an STS that does not answer.
const BUCKETS_SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// The counters.
pub struct Metrics {
    registry: Registry,
    answers: Family<Status, Counter>,
    durations: Histogram,
    sts: Family<Outcome, Counter>,
    sts_durations: Histogram,
    sessions: Family<Outcome, Counter>,
    sign_ins: Family<Outcome, Counter>,
    refusals: Family<Limit, Counter>,
    /// Open connections.
    pub connections: Gauge,
    /// Session-token requests that wait for a call to STS, their own or a shared one.
    pub waiting_for_sts: Gauge,
    /// API keys and tokens that nobody has.
    pub wrong_keys: Counter,
    /// Session-token requests that got what STS gave an earlier one.
    pub reused: Counter,
    /// Handlers that panicked.
    pub panics: Counter,
    audit_writes: Family<Outcome, Counter>,
    audit_rows: Family<Outcome, Counter>,
}

impl Debug for Metrics {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("role_mapping_server");
        let answers = Family::default();
        registry.register("answers", "HTTP responses by status", answers.clone());
        let durations = Histogram::new(BUCKETS_SECONDS);
        registry.register_with_unit(
            "answer_duration",
            "Time from the head of a request to its response",
            Unit::Seconds,
            durations.clone(),
        );
        let sts = Family::default();
        registry.register("sts_calls", "Calls to STS for credentials; a shared call counts once", sts.clone());
        let sts_durations = Histogram::new(BUCKETS_SECONDS);
        registry.register_with_unit(
            "sts_call_duration",
            "Time of such a call with its retries",
            Unit::Seconds,
            sts_durations.clone(),
        );
        let sessions = Family::default();
        registry.register(
            "session_tokens",
            "Session-token requests; those that are not of unknown callers are in the audit",
            sessions.clone(),
        );
        let sign_ins = Family::default();
        registry.register("sign_ins", "Tries to sign in to the pages", sign_ins.clone());
        let refusals = Family::default();
        registry.register("refused_by_limit", "Connections and requests beyond a limit", refusals.clone());
        let connections = Gauge::default();
        registry.register("connections", "Open connections", connections.clone());
        let waiting_for_sts = Gauge::default();
        registry.register("waiting_for_sts", "Session-token requests that wait for STS", waiting_for_sts.clone());
        let wrong_keys = Counter::default();
        registry.register("wrong_keys", "API keys and tokens that nobody has", wrong_keys.clone());
        let reused = Counter::default();
        registry.register("session_tokens_reused", "Requests that got what STS gave an earlier one", reused.clone());
        let panics = Counter::default();
        registry.register("panics", "Requests whose handler panicked, a fault of the server", panics.clone());
        let audit_writes = Family::default();
        registry.register("audit_writes", "Transactions of the audit's recorder", audit_writes.clone());
        let audit_rows = Family::default();
        registry.register("audit_rows", "Rows and outcomes in these transactions", audit_rows.clone());
        registry.register("log_lines_dropped", "Lines of the log that nobody read in time", log::DROPPED.clone());
        Self {
            registry,
            answers,
            durations,
            sts,
            sts_durations,
            sessions,
            sign_ins,
            refusals,
            connections,
            waiting_for_sts,
            wrong_keys,
            reused,
            panics,
            audit_writes,
            audit_rows,
        }
    }
}

impl Metrics {
    /// Makes the counters, with the gauge that is 1 while the server is ready.
    pub fn new(ready: Gauge) -> Self {
        let mut metrics = Self::default();
        metrics.registry.register("ready", "1 while the server is ready, else 0", ready);
        metrics
    }

    /// Counts a response.
    pub fn count_answer(&self, status: StatusCode, took: Duration) {
        self.answers.get_or_create(&Status { status: status.as_u16() }).inc();
        self.durations.observe(took.as_secs_f64());
    }

    /// Counts a call to STS.
    pub fn count_sts_call<T>(&self, result: &Result<T, CoreError>, took: Duration) {
        let outcome = match result {
            Ok(_) => "granted",
            Err(error) if error.is_throttling() => "throttled",
            Err(_) => "failed",
        };
        self.sts.get_or_create(&Outcome { outcome }).inc();
        self.sts_durations.observe(took.as_secs_f64());
    }

    /// Counts a transaction of the audit's recorder with so many rows.
    pub fn count_audit_write<T, E>(&self, result: &Result<T, E>, rows: usize) {
        let outcome = Outcome { outcome: if result.is_ok() { "written" } else { "failed" } };
        self.audit_writes.get_or_create(&outcome).inc();
        self.audit_rows.get_or_create(&outcome).inc_by(u64::try_from(rows).unwrap_or(u64::MAX));
    }

    /// Counts a session-token request that is in the audit.
    pub fn count_session_token<T, E>(&self, result: &Result<T, E>) {
        let outcome = if result.is_ok() { "granted" } else { "refused" };
        self.sessions.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a session-token request whose caller nobody knows, which has no row in the audit.
    pub fn count_session_token_of_nobody(&self) {
        self.sessions.get_or_create(&Outcome { outcome: "unknown" }).inc();
    }

    /// Counts a try to sign in to the pages.
    pub fn count_sign_in<T, E>(&self, result: &Result<T, E>) {
        let outcome = if result.is_ok() { "granted" } else { "refused" };
        self.sign_ins.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a connection or a request beyond a limit, which its name tells.
    pub fn count_refusal(&self, limit: &'static str) {
        self.refusals.get_or_create(&Limit { limit }).inc();
    }

    /// Writes all metrics in the text format of [`MEDIA_TYPE`].
    pub fn text(&self) -> String {
        let mut written = String::new();
        text::encode(&mut written, &self.registry).expect("a text can be written");
        written
    }
}

/// Holds a gauge one higher for as long as it lives.
pub struct GaugeGuard<'a>(&'a Gauge);

impl<'a> GaugeGuard<'a> {
    /// Raises the gauge.
    pub fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for GaugeGuard<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
