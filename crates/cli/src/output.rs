//! Standard output and standard error: what a command prints, and how it fails.

use std::fmt;
use std::io::Write;

use hops_credentials_core::error::Error;
use hops_credentials_core::variables::Change;
use serde_json::Value;

/// The failure of a command.
pub(crate) enum Failure {
    /// It exits with this code and says nothing more.
    Code(i32),
    /// It says one line and exits with the code that tells who can act.
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
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

/// Prints names and values: a line each, separated by a tab, or one JSON object.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_facts(facts: &[(&str, String)], json: bool) -> Result<(), Failure> {
    if json {
        let object = facts.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
        return print(&Value::Object(object.collect()).to_string());
    }
    facts.iter().try_for_each(|(name, value)| print(&format!("{name}\t{value}")))
}

/// The commands of a POSIX shell that make these changes.
pub(crate) fn shell_commands(changes: &[Change]) -> String {
    let lines = changes.iter().map(|(name, value)| match value {
        Some(value) => format!("export {name}='{}'", value.replace('\'', r"'\''")),
        None => format!("unset {name}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}
