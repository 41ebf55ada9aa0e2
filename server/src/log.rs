//! The log: lines on stderr, each with its instant.
//!
//! The same lines go to whoever collects the logs, so no line holds a secret.

use std::fmt::Display;
use std::io::Write;
use std::time::SystemTime;

use hops_credentials_core::text::rfc3339;

/// Writes a line. Failing to write is not a reason to stop serving.
pub fn line(text: &dyn Display) {
    let now = rfc3339(SystemTime::now());
    // One write for the whole line: stderr has no buffer, and several servers may share a log.
    let _ = std::io::stderr().lock().write_all(format!("{now} {text}\n").as_bytes());
}

/// Writes a line that belongs to a request.
pub fn note(request_id: &str, text: &str) {
    line(&format_args!("request={request_id} note={text:?}"));
}
