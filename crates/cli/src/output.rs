//! Standard output and standard error: what a command prints, and how it fails.

use std::fmt;
use std::io::Write;

use hops_credentials_core::error::Error;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The failure of a command.
pub(crate) enum Failure {
    /// It exits with this code and says nothing more.
    Code(i32),
    /// It says one line and exits with the code that tells who can act.
    Report(Report),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Report(Report::from(&error))
    }
}

/// An error as scripts read it, and as other programs of this user get to know it. Holds no secret.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// The kind of the error, which says who can act: `Refused`, `Unavailable`, …
    kind: String,
    /// The code of the role-mapping contract, else the HTTP status, else 0.
    code: u32,
    /// Whether the same request may succeed later although nobody changes anything.
    pub(crate) is_retryable: bool,
    message: String,
    exit_code: i32,
}

impl From<&Error> for Report {
    fn from(error: &Error) -> Self {
        let exit_code = match error {
            Error::Unavailable { .. } | Error::BadAnswer { .. } => 1,
            Error::InvalidArgument { .. } => 2,
            Error::Refused { .. } => 3,
            Error::NotConfigured { .. } => 4,
        };
        Self {
            kind: error.kind().to_owned(),
            code: error.code(),
            is_retryable: error.is_retryable(),
            message: error.to_string(),
            exit_code,
        }
    }
}

impl Report {
    /// Writes it to standard error: a line for people, or one JSON object. Returns the exit code.
    pub(crate) fn show(&self, json: bool) -> i32 {
        if json {
            let _ = writeln!(std::io::stderr(), "{}", json!({ "error": self }));
        } else {
            say(&self.message);
        }
        self.exit_code
    }
}

/// Writes a line for people to standard error.
pub(crate) fn say(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "hops-credentials: {line}");
}

/// Writes the result of a command to standard output.
///
/// # Errors
/// [`Failure::Code`] 1 when its reader has gone away.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
        .map_err(|_| Failure::Code(1))
}

/// Prints names and values: a line each, separated by a tab, or one JSON object, in which a missing value is null.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_facts(facts: &[(&str, Option<String>)], json: bool) -> Result<(), Failure> {
    if json {
        let object = facts.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.clone())));
        return print(&Value::Object(object.collect()).to_string());
    }
    facts.iter().try_for_each(|(name, value)| print(&format!("{name}\t{}", value.as_deref().unwrap_or("none"))))
}
