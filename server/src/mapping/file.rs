//! Role mappings as a file that lies in git: all of them, one a line, in an order that does not depend on when they were made.
//!
//! A file says what there is, not what to do. Making it so changes what differs and nothing else, in one transaction; a mapping
//! that stays keeps its id, whatever else of it changes.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use crate::audit::Actor;
use crate::database::{Database, Write};
use crate::error::Error;
use crate::mapping::change::{self, Others};
use crate::mapping::entry::{Entry, Line};
use crate::mapping::{self, Mapping};
use crate::project;

/// The file for these role mappings.
pub fn write(mappings: &[Mapping]) -> String {
    let mut lines: Vec<String> = mappings.iter().map(|mapping| Entry::from(mapping).to_string()).collect();
    // By project, project role and role: a line begins with them.
    lines.sort();
    if lines.is_empty() { "[]".to_owned() } else { format!("[\n{}\n]", lines.join(",\n")) }
}

/// Reads such a file.
///
/// # Errors
/// [`Error::InvalidArgument`] that says which entry is wrong, counted from 1, and how.
pub fn read(text: &str) -> Result<Vec<Entry>, Error> {
    let lines: Vec<Line> = serde_json::from_str(text)
        .map_err(|error| Error::InvalidArgument(format!("the file is no list of role mappings: {error}")))?;
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

/// What is different afterwards: a line that goes, or one that comes.
#[derive(Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is there no more.
    Gone(Entry),
    /// It is there now.
    New(Entry),
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Gone(entry) => write!(formatter, "- {entry}"),
            Difference::New(entry) => write!(formatter, "+ {entry}"),
        }
    }
}

/// Makes it so; gives what is different now.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::InvalidArgument`] when two entries contradict each other, [`Error::Database`]; nothing is
/// changed then.
pub async fn apply(
    database: &Database,
    actor: &Actor,
    wanted: &[Entry],
    others: Others,
) -> Result<Vec<Difference>, Error> {
    let (transaction, differences) = try_to(database, actor, wanted, others).await?;
    transaction.commit().await?;
    Ok(differences)
}

/// What [`apply`] would change. Nothing is changed.
///
/// # Errors
/// Those of [`apply`].
pub async fn preview(
    database: &Database,
    actor: &Actor,
    wanted: &[Entry],
    others: Others,
) -> Result<Vec<Difference>, Error> {
    try_to(database, actor, wanted, others).await.map(|(_, differences)| differences)
}

async fn try_to(
    database: &Database,
    actor: &Actor,
    wanted: &[Entry],
    others: Others,
) -> Result<(Write, Vec<Difference>), Error> {
    let mut transaction = database.begin_write().await?;
    // In the order of their ids, so that two who do this at once do not wait for each other in a circle.
    let mut projects: BTreeMap<i64, Vec<&Entry>> = BTreeMap::new();
    for entry in wanted {
        projects
            .entry(project::find_by_id_or_name(&mut *transaction, &entry.project).await?.id)
            .or_default()
            .push(entry);
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
        let gone = only_in(&before, &after).into_iter().map(Difference::Gone);
        differences.extend(gone.chain(only_in(&after, &before).into_iter().map(Difference::New)));
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
    fn a_file_with_an_entry_that_is_none_is_refused_with_the_place() {
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
        assert!(problem("{}").starts_with("the file is no list of role mappings: "));
    }
}
