//! What `process` keeps in files of this user: credentials for programs that start later, and the failure of a fetch
//! for those that waited for it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::renewal::{self, Clocks};
use hops_credentials_core::retry::random;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::output::Report;
use crate::private_file;
use crate::process::ProcessOutput;

/// The time for which nobody asks again after a failure that may pass.
const FAILURE_COUNTS: Duration = Duration::from_secs(5);

/// Both clocks in a file.
#[derive(Serialize, Deserialize, Clone, Copy)]
pub(crate) struct Moment {
    since_boot: Duration,
    wall: SystemTime,
}

impl From<Clocks> for Moment {
    fn from(clocks: Clocks) -> Self {
        Self { since_boot: clocks.monotonic, wall: clocks.wall }
    }
}

impl From<Moment> for Clocks {
    fn from(moment: Moment) -> Self {
        Self { monotonic: moment.since_boot, wall: moment.wall }
    }
}

/// Credentials as `process` prints them, and when they are fetched again.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) output: ProcessOutput,
    answered: Moment,
    valid_for: Duration,
    expiration: SystemTime,
    failures: u32,
    last_try: Moment,
    /// The time from the last try to the next one.
    pause: Duration,
}

impl Kept {
    pub(crate) fn new(credentials: &Credentials, now: Clocks) -> Self {
        Self {
            output: credentials.into(),
            answered: now.into(),
            valid_for: credentials.valid_for(),
            expiration: credentials.expiration(),
            failures: 0,
            last_try: now.into(),
            pause: renewal::refresh_after(credentials.valid_for(), random()),
        }
    }

    /// Reads what was kept; `None` when there is nothing, or when it has ended.
    pub(crate) fn read(path: &Path, now: Clocks) -> Option<Self> {
        read::<Self>(path).filter(|kept| !kept.left(now).is_zero())
    }

    /// Whether a fetch is due.
    pub(crate) fn is_due(&self, now: Clocks) -> bool {
        renewal::due(self.last_try.into(), self.pause, now).is_zero()
    }

    /// The time for which the credentials are still good.
    pub(crate) fn left(&self, now: Clocks) -> Duration {
        renewal::left(self.answered.into(), self.valid_for, self.expiration, now)
    }

    /// Puts the next try off after one that failed.
    pub(crate) fn note_failure(&mut self, now: Clocks) {
        self.failures = self.failures.saturating_add(1);
        self.last_try = now.into();
        self.pause = renewal::retry_after(self.failures, self.left(now), self.valid_for, random());
    }
}

/// A fetch that failed.
#[derive(Serialize, Deserialize)]
pub(crate) struct FailedFetch {
    at: Moment,
    report: Report,
}

impl FailedFetch {
    pub(crate) fn new(report: Report, now: Clocks) -> Self {
        Self { at: now.into(), report }
    }

    /// Reads the failure that also counts for a program that began at `begin`: one that came since, or one that may
    /// pass and came a moment ago.
    pub(crate) fn read(path: &Path, begin: Clocks, now: Clocks) -> Option<Report> {
        let failed = read::<Self>(path)?;
        let since_begin = failed.at.since_boot.checked_sub(begin.monotonic).is_some();
        let is_recent = !renewal::due(failed.at.into(), FAILURE_COUNTS, now).is_zero();
        (is_recent && (since_begin || failed.report.is_retryable)).then_some(failed.report)
    }
}

fn read<T: for<'text> Deserialize<'text>>(path: &Path) -> Option<T> {
    let bytes = std::fs::read(path).ok().map(Zeroizing::new)?;
    serde_json::from_slice(&bytes).ok()
}

/// Writes a file for programs that start later. Where that fails they fetch by themselves.
pub(crate) fn write(path: &Path, value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(value).map(Zeroizing::new) {
        let _ = private_file::replace(path, text.as_bytes());
    }
}
