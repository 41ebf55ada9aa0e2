//! Role mappings as a file for git: all of them, one a line, in an order that does not depend on when they were added.
//!
//! A file describes a state, not steps. `apply` changes only what differs; a role that stays mapped to a project keeps the id of its
//! mapping.

use std::fmt;

use crate::error::Error;
use crate::mapping::Mapping;
use crate::mapping::entry::{Entry, Line};

/// Writes the file for these role mappings.
pub fn write(mappings: &[Mapping]) -> String {
    let mut lines: Vec<String> = mappings.iter().map(|mapping| Entry::from(mapping).to_string()).collect();
    // A line begins with project, project role and role, so this sorts by them.
    lines.sort();
    if lines.is_empty() { "[]".to_owned() } else { format!("[\n{}\n]", lines.join(",\n")) }
}

/// Reads such a file.
///
/// # Errors
/// [`Error::InvalidArgument`] that says which entry is wrong, counted from 1, and why.
pub fn read(text: &str) -> Result<Vec<Entry>, Error> {
    let lines: Vec<Line> = serde_json::from_str(text)
        .map_err(|error| Error::InvalidArgument(format!("the file is not a list of role mappings: {error}")))?;
    let parse = |(index, line): (usize, Line)| {
        Entry::try_from(line)
            .map_err(|error| Error::InvalidArgument(format!("role mapping {} of the file: {error}", index + 1)))
    };
    lines.into_iter().enumerate().map(parse).collect()
}

/// A difference between the states before and after: a removed or an added line.
#[derive(Debug, PartialEq, Eq)]
pub enum Difference {
    /// The entry is removed.
    Removed(Entry),
    /// The entry is added.
    Added(Entry),
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Removed(entry) => write!(formatter, "- {entry}"),
            Difference::Added(entry) => write!(formatter, "+ {entry}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        read(text).expect_err(text).to_string()
    }

    #[test]
    fn a_file_with_an_illegal_entry_is_refused_with_the_number_of_the_entry() {
        let line = |role: &str, more: &str| {
            format!(
                "{{\"project\":\"churn\",\"project_role\":\"{role}\",\"role\":\"arn:aws:iam::123456789012:role/a\"{more}}}"
            )
        };
        let file = |lines: &[String]| format!("[{}]", lines.join(","));
        let one = line("all", "");
        assert_eq!(read(&file(std::slice::from_ref(&one))).expect("legal").len(), 1);
        assert!(problem(&file(&[one, line("boss", "")])).starts_with("role mapping 2 of the file: "));
        assert!(problem(&file(&[line("all", ",\"defualt\":true")])).contains("unknown field `defualt`"));
        assert!(problem("{}").starts_with("the file is not a list of role mappings: "));
    }
}
