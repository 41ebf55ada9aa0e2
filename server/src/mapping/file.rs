//! Role mappings as a file for git: all of them, one a line, in an order that does not depend on when they were added.
//!
//! A file describes a state, not steps. Applying it changes only what differs, in one transaction; a role that stays mapped to a
//! project keeps the id of its mapping.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use crate::audit::Actor;
use crate::database::{Database, WriteTransaction};
use crate::error::Error;
use crate::mapping::change::{self, Others};
use crate::mapping::entry::{Entry, Line};
use crate::mapping::{self, Mapping};
use crate::project::{self, ProjectRef};

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

/// Refuses entries that cannot all be role mappings of one project. The database would explain it less well, or take the
/// last of two defaults.
fn check(entries: &[&Entry]) -> Result<(), Error> {
    let (mut roles, mut defaults) = (HashSet::new(), HashSet::new());
    for entry in entries {
        if !roles.insert(&entry.role) {
            return Err(Error::InvalidArgument(format!("{} is mapped to project {} twice", entry.role, entry.project)));
        }
        if entry.is_default && !defaults.insert(entry.project_role) {
            let role = entry.project_role.command_line_name();
            return Err(Error::InvalidArgument(format!("project {} has two defaults for {role}", entry.project)));
        }
    }
    Ok(())
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

/// Makes the role mappings those of the entries; returns the differences.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::InvalidArgument`] when two entries contradict each other, [`Error::Database`]; then nothing
/// has changed.
pub async fn apply(
    database: &Database,
    actor: &Actor,
    wanted: &[Entry],
    others: Others,
) -> Result<Vec<Difference>, Error> {
    let (transaction, differences) = apply_uncommitted(database, actor, wanted, others).await?;
    transaction.commit().await?;
    Ok(differences)
}

/// Returns what [`apply`] would change, and changes nothing.
///
/// # Errors
/// Those of [`apply`].
pub async fn preview(
    database: &Database,
    actor: &Actor,
    wanted: &[Entry],
    others: Others,
) -> Result<Vec<Difference>, Error> {
    apply_uncommitted(database, actor, wanted, others).await.map(|(_, differences)| differences)
}

async fn apply_uncommitted(
    database: &Database,
    actor: &Actor,
    wanted: &[Entry],
    others: Others,
) -> Result<(WriteTransaction, Vec<Difference>), Error> {
    let mut transaction = database.begin_write().await?;
    // Projects are locked in the order of their ids, so that two transactions never wait for each other.
    let mut projects: BTreeMap<i64, Vec<&Entry>> = BTreeMap::new();
    for entry in wanted {
        projects.entry(entry.project.parse::<ProjectRef>()?.find(&mut *transaction).await?.id).or_default().push(entry);
    }
    if others == Others::Remove {
        for id in mapping::list_project_ids(&mut *transaction).await? {
            projects.entry(id).or_default();
        }
    }
    let mut differences = Vec::new();
    for (id, entries) in projects {
        check(&entries)?;
        let project = project::lock(&mut transaction, id).await?;
        let (before, after) =
            change::replace_all(&mut transaction, &actor.for_another_row(), &project, &entries, others).await?;
        let only_in = |some: &[Entry], other: &[Entry]| -> Vec<Entry> {
            some.iter().filter(|entry| !other.contains(entry)).cloned().collect()
        };
        let [before, after] = [before, after].map(|some| some.iter().map(Entry::from).collect::<Vec<_>>());
        let removed = only_in(&before, &after).into_iter().map(Difference::Removed);
        differences.extend(removed.chain(only_in(&after, &before).into_iter().map(Difference::Added)));
    }
    Ok((transaction, differences))
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
