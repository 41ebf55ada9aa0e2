//! Makes the role mappings those of a list of entries: all or nothing, and without keeping others waiting for long.
//!
//! Everything is read once and compared before any lock is taken. Only if something differs, one short transaction locks the projects
//! in question, reads and compares them again, since somebody may have been faster, and writes many rows at a time.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe};

use crate::audit::{self, Action, Actor, ProjectChange};
use crate::database::damaged::Stored;
use crate::database::error::is_conflict;
use crate::database::rows::{placeholders, rows_per_statement};
use crate::database::{Database, next_ids};
use crate::error::Error;
use crate::mapping::entry::Entry;
use crate::mapping::file::Difference;
use crate::mapping::row::{DamagedMapping, check_way};
use crate::mapping::terms::Terms;
use crate::mapping::{self, Mapping};
use crate::member;
use crate::project::{self, Project, ProjectRef};

/// The number of tries when somebody adds a project of the same name at the same time.
const ATTEMPTS: usize = 3;

/// The fate of the role mappings that are not among the wanted ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Remove them, in every project. An entry says all about its role mapping.
    Remove,
    /// Keep them. What an entry does not say about its role mapping stays too: external id and source identity.
    Keep,
}

/// The fate of an entry whose project is unknown.
#[derive(Debug)]
pub enum UnknownProject {
    /// Refuse the entry.
    Refuse,
    /// Add a project of that name.
    Add,
    /// Take over the project of the database's cluster with that id; its name is here, if it is known.
    TakeOver(HashMap<i64, String>),
}

/// The wanted role mappings, and the fate of everything else.
#[derive(Debug)]
pub struct Wanted {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The fate of the other role mappings.
    pub others: Others,
    /// The fate of an entry whose project is unknown.
    pub unknown_project: UnknownProject,
}

/// What is to change in a project.
struct Change {
    project: Project,
    removed: Vec<Mapping>,
    /// Before and after.
    changed: Vec<(Mapping, Mapping)>,
    /// Without ids, until the transaction draws them.
    added: Vec<Mapping>,
}

/// Everything that is to change, as far as it was known when it was read.
struct Plan<'a> {
    /// The entries of each project, by its id.
    entries: BTreeMap<i64, Vec<&'a Entry>>,
    /// New projects. The ids of projects of this database are provisional: the next ones in turn.
    new_projects: Vec<Project>,
    /// Known projects that had the name of a new one; a cluster gives each name once.
    renamed: Vec<i64>,
    changes: Vec<Change>,
}

/// Makes the role mappings those that are wanted; returns the differences.
///
/// # Errors
/// [`Error::NoSuchProject`], [`Error::InvalidArgument`] when two entries contradict each other or a member's address cannot be a source
/// identity, [`Error::Damaged`] when a damaged row is in the way, [`Error::Database`]; then nothing has changed.
pub async fn apply(database: &Database, actor: &Actor, wanted: &Wanted) -> Result<Vec<Difference>, Error> {
    let mut attempt = 1;
    loop {
        let plan = Plan::read(database, wanted).await?;
        if plan.changes.is_empty() {
            return Ok(Vec::new());
        }
        match plan.write(database, actor, wanted).await {
            Err(Error::Database(error)) if is_conflict(&error) && attempt < ATTEMPTS => attempt += 1,
            outcome => return outcome,
        }
    }
}

/// Returns what [`apply`] would change. Takes no lock and writes nothing.
///
/// # Errors
/// Those of [`apply`].
pub async fn preview(database: &Database, wanted: &Wanted) -> Result<Vec<Difference>, Error> {
    let plan = Plan::read(database, wanted).await?;
    check_source_identities(&mut *database.pool().acquire().await?, &plan.changes).await?;
    Ok(differences(&plan.changes))
}

impl<'a> Plan<'a> {
    async fn read(database: &Database, wanted: &'a Wanted) -> Result<Self, Error> {
        let projects = project::list_stored(database.pool()).await?;
        let (mappings, damaged) = mapping::list(database).await?;
        let clusters = i64::from(matches!(wanted.unknown_project, UnknownProject::TakeOver(_)));
        let shown = |(id, name): &(i64, Stored<String>)| (*id, Project::from_stored(*id, name.clone(), clusters));
        let mut known: BTreeMap<i64, Project> = projects.iter().map(shown).collect();
        let ids: HashMap<String, i64> =
            projects.into_iter().filter_map(|(id, name)| Some((name.value()?, id))).collect();
        let (mut entries, mut new_projects) = (BTreeMap::<i64, Vec<&Entry>>::new(), Vec::<Project>::new());
        let (mut new_ids, mut renamed) = (HashMap::<&str, i64>::new(), Vec::new());
        let mut next_id = known.keys().last().map_or(1, |last| last + 1);
        for entry in &wanted.entries {
            let name = entry.project.as_str();
            let wanted_project = name.parse::<ProjectRef>()?;
            let found = match &wanted_project {
                ProjectRef::Id(id) => Some(*id).filter(|id| known.contains_key(id)),
                ProjectRef::Name(name) => ids.get(name.as_str()).or_else(|| new_ids.get(name.as_str())).copied(),
            };
            let id = match (found, &wanted.unknown_project) {
                (Some(id), _) => id,
                (None, UnknownProject::Refuse) => return Err(Error::NoSuchProject(name.to_owned())),
                (None, UnknownProject::Add) => {
                    new_ids.insert(name, next_id);
                    new_projects.push(Project { id: next_id, name: name.to_owned() });
                    next_id += 1;
                    next_id - 1
                }
                (None, UnknownProject::TakeOver(names)) => {
                    let ProjectRef::Id(id) = wanted_project else { return Err(Error::NoSuchProject(name.to_owned())) };
                    let project = Project::of_cluster(id, names.get(&id).map(String::as_str));
                    renamed.extend(ids.get(project.name.as_str()));
                    new_projects.push(project);
                    id
                }
            };
            if let (None, Some(project)) = (found, new_projects.last()) {
                known.insert(id, project.clone());
            }
            entries.entry(id).or_default().push(entry);
        }
        for (id, entries) in &entries {
            check(&known[id], entries)?;
        }
        let changes = compare(&known, mappings, &entries, wanted.others);
        check_ways(&damaged, &changes)?;
        Ok(Self { entries, new_projects, renamed, changes })
    }

    async fn write(mut self, database: &Database, actor: &Actor, wanted: &Wanted) -> Result<Vec<Difference>, Error> {
        let is_new: HashSet<i64> = self.new_projects.iter().map(|project| project.id).collect();
        let mut ids: Vec<i64> = self.changes.iter().map(|change| change.project.id).collect();
        ids.retain(|id| !is_new.contains(id));
        ids.extend(&self.renamed);
        ids.sort_unstable();
        ids.dedup();
        let mut transaction = database.begin_write().await?;
        // The order of locks of `project::lock_all`.
        let first_project = match wanted.unknown_project {
            UnknownProject::Add => Some(next_ids(&mut transaction, "project", self.new_projects.len()).await?),
            UnknownProject::Refuse | UnknownProject::TakeOver(_) => None,
        };
        next_ids(&mut transaction, "role mapping", 0).await?;
        let locked = project::lock_all(&mut transaction, &ids).await?;
        if locked.len() < ids.len() {
            return Err(Error::NoSuchProject("one that has just been removed".to_owned()));
        }
        if let (Some(first), Some(provisional)) = (first_project, self.new_projects.first().map(|project| project.id)) {
            let new: Vec<_> = self.new_projects.iter().map(|project| self.entries.remove(&project.id)).collect();
            for (project, entries) in self.new_projects.iter_mut().zip(new) {
                project.id += first - provisional;
                self.entries.insert(project.id, entries.unwrap_or_default());
            }
        }
        project::insert_all(&mut transaction, &self.new_projects, &self.renamed).await?;
        let (before, damaged) = mapping::list_in_projects(&mut transaction, &ids).await?;
        let known: BTreeMap<i64, Project> =
            locked.into_iter().chain(self.new_projects.iter().cloned()).map(|project| (project.id, project)).collect();
        self.entries.retain(|id, _| known.contains_key(id));
        let mut changes = compare(&known, before, &self.entries, wanted.others);
        check_ways(&damaged, &changes)?;
        check_source_identities(&mut transaction, &changes).await?;
        let count = changes.iter().map(|change| change.added.len()).sum();
        let first = next_ids(&mut transaction, "role mapping", count).await?;
        let added = changes.iter_mut().flat_map(|change| &mut change.added);
        added.zip(first..).for_each(|(mapping, id)| mapping.id = id);
        write_rows(&mut transaction, &changes).await?;
        let mut records: Vec<ProjectChange> = Vec::with_capacity(changes.len());
        if first_project.is_some() {
            records.extend(self.new_projects.iter().map(|project| ProjectChange {
                action: Action::ProjectAdd,
                project,
                before: None,
                after: Some(json!({"id": project.id, "name": project.name})),
            }));
        }
        records.extend(changes.iter().map(Change::record));
        audit::record_changes(&mut transaction, actor, &records).await?;
        transaction.commit().await?;
        Ok(differences(&changes))
    }
}

impl Change {
    fn record(&self) -> ProjectChange<'_> {
        let before: Vec<Value> = self.before().into_iter().map(Mapping::state).collect();
        let after: Vec<Value> = self.after().map(Mapping::state).collect();
        let some = |states: Vec<Value>| Some(Value::Array(states)).filter(|states| *states != json!([]));
        ProjectChange {
            action: Action::MappingChange,
            project: &self.project,
            before: some(before),
            after: some(after),
        }
    }

    /// The role mappings that are removed or changed, in the order of their ids.
    fn before(&self) -> Vec<&Mapping> {
        let mut before: Vec<_> = self.removed.iter().chain(self.changed.iter().map(|(before, _)| before)).collect();
        before.sort_unstable_by_key(|mapping| mapping.id);
        before
    }

    fn after(&self) -> impl Iterator<Item = &Mapping> {
        self.changed.iter().map(|(_, after)| after).chain(&self.added)
    }
}

/// Refuses entries that cannot all be role mappings of one project. The database would explain it less well, or take the last of two
/// defaults.
fn check(project: &Project, entries: &[&Entry]) -> Result<(), Error> {
    let (mut roles, mut defaults) = (HashSet::new(), HashSet::new());
    for Entry { terms, .. } in entries {
        if !roles.insert(&terms.role) {
            return Err(Error::InvalidArgument(format!("{} is mapped to project {} twice", terms.role, project.name)));
        }
        if terms.is_default && !defaults.insert(terms.project_role) {
            let role = terms.project_role.command_line_name();
            return Err(Error::InvalidArgument(format!("project {} has two defaults for {role}", project.name)));
        }
    }
    Ok(())
}

/// Compares the role mappings of the projects with the entries; returns the projects that differ, in the order of their ids.
fn compare(
    projects: &BTreeMap<i64, Project>,
    mappings: Vec<Mapping>,
    entries: &BTreeMap<i64, Vec<&Entry>>,
    others: Others,
) -> Vec<Change> {
    let mut mappings_by_project: HashMap<i64, Vec<Mapping>> = HashMap::new();
    for mapping in mappings {
        mappings_by_project.entry(mapping.project.id).or_default().push(mapping);
    }
    let none = Vec::new();
    let compare_one = |(id, project): (&i64, &Project)| {
        let before = mappings_by_project.remove(id).unwrap_or_default();
        let change = compare_project(project, before, entries.get(id).unwrap_or(&none), others);
        let is_same = change.removed.is_empty() && change.changed.is_empty() && change.added.is_empty();
        (!is_same).then_some(change)
    };
    projects.iter().filter_map(compare_one).collect()
}

fn compare_project(project: &Project, before: Vec<Mapping>, entries: &[&Entry], others: Others) -> Change {
    let wanted: HashMap<_, &Terms> = entries.iter().map(|entry| (&entry.terms.role, &entry.terms)).collect();
    let defaults: HashSet<_> =
        wanted.values().filter(|terms| terms.is_default).map(|terms| terms.project_role).collect();
    let mapped: HashSet<_> = before.iter().map(|mapping| mapping.role.clone()).collect();
    let added = entries.iter().filter(|entry| !mapped.contains(&entry.terms.role));
    let added = added.map(|entry| Mapping::new(0, project.clone(), entry.terms.clone())).collect();
    let mut change = Change { project: project.clone(), removed: Vec::new(), changed: Vec::new(), added };
    for mapping in before {
        let mut after = mapping.terms();
        match (wanted.get(&mapping.role), others) {
            (None, Others::Remove) => {
                change.removed.push(mapping);
                continue;
            }
            (None, Others::Keep) => after.is_default &= !defaults.contains(&after.project_role),
            (Some(terms), Others::Remove) => after = (*terms).clone(),
            (Some(terms), Others::Keep) => {
                after = Terms {
                    external_id: terms.external_id.clone().or(after.external_id),
                    source_identity: terms.source_identity || after.source_identity,
                    ..(*terms).clone()
                };
            }
        }
        if after != mapping.terms() {
            let after = Mapping::new(mapping.id, mapping.project.clone(), after);
            change.changed.push((mapping, after));
        }
    }
    change
}

fn differences(changes: &[Change]) -> Vec<Difference> {
    let of_project = |change: &Change| {
        let removed = change.before().into_iter().map(|mapping| Difference::Removed(mapping.into()));
        let added = change.after().map(|mapping| Difference::Added(mapping.into()));
        removed.chain(added).collect::<Vec<_>>()
    };
    changes.iter().flat_map(of_project).collect()
}

/// Refuses to switch on the source identity in projects with a member whose address STS would refuse.
async fn check_source_identities(connection: &mut AnyConnection, changes: &[Change]) -> Result<(), Error> {
    let switches_on = |change: &&Change| {
        change.changed.iter().any(|(before, after)| after.source_identity && !before.source_identity)
            || change.added.iter().any(|mapping| mapping.source_identity)
    };
    let ids: Vec<i64> = changes.iter().filter(switches_on).map(|change| change.project.id).collect();
    member::check_source_identities(connection, &ids).await
}

/// Refuses changes beside which a damaged role mapping cannot be.
fn check_ways(damaged: &[DamagedMapping], changes: &[Change]) -> Result<(), Error> {
    let mut after = changes.iter().flat_map(|change| change.after().map(|mapping| (change.project.id, mapping)));
    after.try_for_each(|(project_id, mapping)| check_way(damaged, project_id, &mapping.terms()))
}

/// Writes the rows in an order in which no project ever has two defaults.
async fn write_rows(connection: &mut AnyConnection, changes: &[Change]) -> Result<(), sqlx::Error> {
    let removed: Vec<i64> = changes.iter().flat_map(|change| &change.removed).map(|mapping| mapping.id).collect();
    let changed: Vec<&(Mapping, Mapping)> = changes.iter().flat_map(|change| &change.changed).collect();
    let added: Vec<&Mapping> = changes.iter().flat_map(|change| &change.added).collect();
    let no_default: Vec<i64> =
        changed.iter().filter(|(before, _)| before.is_default).map(|(before, _)| before.id).collect();
    for (statement, ids) in [
        ("delete from role_mappings where id in ", &removed),
        ("update role_mappings set is_default = 0 where id in ", &no_default),
    ] {
        for ids in ids.chunks(rows_per_statement(1)) {
            let text = format!("{statement}{}", placeholders(1, ids.len()));
            let query = ids.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, id| query.bind(*id));
            query.persistent(false).execute(&mut *connection).await?;
        }
    }
    for rows in changed.chunks(rows_per_statement(5)) {
        let text = format!(
            "update role_mappings set project_role = new.column2, is_default = new.column3, external_id = new.column4, \
             source_identity = new.column5 from (values {}) as new where role_mappings.id = new.column1",
            placeholders(rows.len(), 5)
        );
        let query = rows.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, (_, after)| {
            let query = query.bind(after.id).bind(after.project_role.query_name()).bind(i64::from(after.is_default));
            let external_id = after.external_id.as_ref().map(|id| id.as_str());
            query.bind(external_id).bind(i64::from(after.source_identity))
        });
        query.persistent(false).execute(&mut *connection).await?;
    }
    for rows in added.chunks(rows_per_statement(7)) {
        mapping::change::insert_all(&mut *connection, rows).await?;
    }
    Ok(())
}
