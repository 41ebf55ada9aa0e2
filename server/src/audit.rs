//! The audit: every session-token request of a known caller, granted or refused, and every change by an administrator.
//!
//! A request whose caller the server does not know, or cannot learn from the cluster, has no row, since anybody could fill the disk with
//! such rows: a metric counts it, and the log has its line.
//!
//! A row is written in the transaction of the change it describes. `recorder` writes the rows of requests for credentials, and of
//! refused sign-ins: the row is committed before STS is called, its outcome before the credentials leave. A row does not hold a secret: of
//! an API key its prefix only, of the credentials the access key id only.

pub mod record;
pub mod recorder;
pub mod search;
pub mod withdrawn;

use std::time::SystemTime;

use hops_credentials_core::sts::IssuedCredentials;
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe};

use crate::database::milliseconds;
use crate::database::rows::{placeholders, rows_per_statement};
use crate::project::Project;

/// The actor of an audited action: a caller, or the command line.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The id of the row, and of the request in the log.
    pub request_id: String,
    /// The e-mail address of the caller, or `command line` with the user of the system.
    pub name: String,
    /// The client's address; `None` on the command line.
    pub address: Option<String>,
}

impl Actor {
    /// The actor of a command line of `role-mapping-server`: `command line (USER on HOST)`, or `(root via USER on HOST)` under sudo.
    pub fn command_line() -> Self {
        let sudo_user = std::env::var("SUDO_USER").ok();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown host".to_owned());
        let user = describe_user(real_uid(), &read_passwd(), sudo_user.as_deref());
        let name = format!("command line ({user} on {})", clean(host.trim_end()));
        Self { request_id: crate::random::hex::<8>(), name, address: None }
    }

    /// The same actor for another row: each row has an id of its own.
    fn for_another_row(&self) -> Self {
        Self { request_id: crate::random::hex::<8>(), ..self.clone() }
    }
}

/// The real user of this process, who started it, by number; `None` where there is no `/proc`.
fn real_uid() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()
}

fn read_passwd() -> String {
    std::fs::read_to_string("/etc/passwd").unwrap_or_default()
}

/// Names a user of the system: by the name in `/etc/passwd`, else by the number. A variable proves nothing, since anybody can set it; but
/// root could write any row, so of root the variable of sudo is believed, which names the user behind.
fn describe_user(uid: Option<u32>, passwd: &str, sudo_user: Option<&str>) -> String {
    let Some(uid) = uid else { return "unknown user".to_owned() };
    let number = uid.to_string();
    let user =
        passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.get(2) == Some(&&*number));
    let user = user.map_or(format!("uid {number}"), |fields| clean(fields[0]));
    match sudo_user {
        Some(behind) if uid == 0 && !behind.is_empty() => format!("{user} via {}", clean(behind)),
        Some(_) | None => user,
    }
}

/// The longest name of a user or a machine in an actor, in characters.
const LONGEST_NAME: usize = 64;

/// Writes the name of a user or a machine so that it looks like nothing else: at most [`LONGEST_NAME`] characters, `?` for those that no
/// such name has.
fn clean(name: &str) -> String {
    let is_usual = |character: char| character.is_ascii_alphanumeric() || "_.-@+$\\".contains(character);
    name.chars().take(LONGEST_NAME).map(|character| if is_usual(character) { character } else { '?' }).collect()
}

/// A change an administrator makes; the names are those of the command line.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Adds a user.
    UserAdd,
    /// Replaces the API key of a user.
    UserKey,
    /// Adds a project.
    ProjectAdd,
    /// Makes a user a member, or changes their project role.
    MemberSet,
    /// Removes a member.
    MemberRemove,
    /// Adds a role mapping.
    MappingAdd,
    /// Changes a role mapping.
    MappingChange,
    /// Removes a role mapping.
    MappingRemove,
    /// Changes the default of a project role.
    MappingDefault,
    /// Signs in to the pages.
    SignIn,
    /// Signs out of the pages.
    SignOut,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::UserAdd => "user add",
            Action::UserKey => "user key",
            Action::ProjectAdd => "project add",
            Action::MemberSet => "member set",
            Action::MemberRemove => "member remove",
            Action::MappingAdd => "mapping add",
            Action::MappingChange => "mapping change",
            Action::MappingRemove => "mapping remove",
            Action::MappingDefault => "mapping default",
            Action::SignIn => "sign-in",
            Action::SignOut => "sign-out",
        }
    }
}

/// The purpose of a request that is granted or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Gives credentials of a mapped role to a member.
    SessionToken,
    /// Shows an administrator whether the role mapping works; the server drops the credentials.
    Try,
    /// Signs somebody in to the pages. The server does not ask STS.
    SignIn,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Self; 3] = [Self::SessionToken, Self::Try, Self::SignIn];

    fn name(self) -> &'static str {
        match self {
            Purpose::SessionToken => "session-token",
            Purpose::Try => "mapping try",
            Purpose::SignIn => Action::SignIn.name(),
        }
    }
}

/// A request for credentials of a mapped role, as far as it is known. One to sign in has a refusal only.
#[derive(Debug, Clone, Default)]
pub struct SessionRequest {
    /// The requested project, even when the caller is not a member of it; `None` when the path holds no number.
    pub project_id: Option<i64>,
    /// The project's name, if the caller is a member.
    pub project_name: Option<String>,
    /// The caller's role in the project.
    pub project_role: Option<&'static str>,
    /// The part of the caller's API key that may be shown.
    pub key_prefix: Option<String>,
    /// The role mapping, once it is known.
    pub mapping_id: Option<i64>,
    /// The role, once it is known.
    pub role: Option<String>,
    /// The session name, once it is known.
    pub session_name: Option<String>,
    /// The `SourceIdentity` that STS gets.
    pub source_identity: Option<String>,
    /// The duration in seconds, once it is known: that of the credentials, else the requested one.
    pub duration_seconds: Option<i64>,
    /// The access key id of the credentials.
    pub access_key_id: Option<String>,
    /// The id that STS gave the request.
    pub sts_request_id: Option<String>,
    /// The reason of the refusal.
    pub refusal: Option<String>,
}

impl SessionRequest {
    /// The same request without the role and all that depends on it: one row counts all requests of a caller in a project that a budget
    /// refuses.
    pub fn without_role(self) -> Self {
        let Self { project_id, project_name, project_role, key_prefix, .. } = self;
        Self { project_id, project_name, project_role, key_prefix, ..Self::default() }
    }

    /// Takes over what is known of the credentials.
    pub fn take(&mut self, issued: &IssuedCredentials) {
        self.access_key_id = Some(issued.credentials.access_key_id().to_owned());
        self.sts_request_id.clone_from(&issued.request_id);
        self.duration_seconds = i64::try_from(issued.credentials.valid_for().as_secs()).ok();
    }
}

/// Records a change with the state before and after it, and with the id and name of its project, if it has one.
pub async fn record_change(
    connection: &mut AnyConnection,
    actor: &Actor,
    action: Action,
    project: Option<(i64, &str)>,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into audit (id, at, actor, client_address, action, outcome, project_id, project_name, state_before, \
         state_after) values ($1, $2, $3, $4, $5, 'changed', $6, $7, $8, $9)",
    )
    .bind(actor.request_id.as_str())
    .bind(milliseconds(SystemTime::now()))
    .bind(actor.name.as_str())
    .bind(actor.address.as_deref())
    .bind(action.name())
    .bind(project.map(|(id, _)| id))
    .bind(project.map(|(_, name)| name))
    .bind(before.map(|state| state.to_string()))
    .bind(after.map(|state| state.to_string()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Records that somebody signed in or out, with the prefix of their key if it is known.
pub async fn record_sign_in(
    connection: &mut AnyConnection,
    actor: &Actor,
    action: Action,
    key_prefix: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into audit (id, at, actor, client_address, action, outcome, key_prefix) \
         values ($1, $2, $3, $4, $5, 'granted', $6)",
    )
    .bind(actor.request_id.as_str())
    .bind(milliseconds(SystemTime::now()))
    .bind(actor.name.as_str())
    .bind(actor.address.as_deref())
    .bind(action.name())
    .bind(key_prefix)
    .execute(connection)
    .await?;
    Ok(())
}

/// A change of a project, with the state before and after it.
#[derive(Debug)]
pub struct ProjectChange<'a> {
    /// The change.
    pub action: Action,
    /// The project.
    pub project: &'a Project,
    /// The state before it.
    pub before: Option<Value>,
    /// The state after it.
    pub after: Option<Value>,
}

/// Records many changes, each in a row of its own.
pub async fn record_changes(
    connection: &mut AnyConnection,
    actor: &Actor,
    changes: &[ProjectChange<'_>],
) -> Result<(), sqlx::Error> {
    let at = milliseconds(SystemTime::now());
    for rows in changes.chunks(rows_per_statement(10)) {
        let text = format!(
            "insert into audit (id, at, actor, client_address, action, outcome, project_id, project_name, state_before, \
             state_after) values {}",
            placeholders(rows.len(), 10)
        );
        let query = rows.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, change| {
            let query = query.bind(actor.for_another_row().request_id).bind(at).bind(actor.name.as_str());
            let query = query.bind(actor.address.as_deref()).bind(change.action.name()).bind("changed");
            let query = query.bind(change.project.id).bind(change.project.name.as_str());
            let text = |state: &Option<Value>| state.as_ref().map(Value::to_string);
            query.bind(text(&change.before)).bind(text(&change.after))
        });
        query.persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_a_command_is_known_by_number_and_root_alone_may_say_for_whom() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n";
        let named = |uid, sudo_user| describe_user(uid, passwd, sudo_user);
        assert_eq!(named(Some(1001), Some("alice")), "bob");
        assert_eq!(named(Some(1002), Some("alice")), "uid 1002");
        assert_eq!(named(None, Some("alice")), "unknown user");
        assert_eq!(named(Some(0), None), "root");
        assert_eq!(named(Some(0), Some("")), "root");
        assert_eq!(named(Some(0), Some("alice")), "root via alice");
        assert_eq!(named(Some(0), Some("CORP\\al.ice-1")), "root via CORP\\al.ice-1");
        assert_eq!(named(Some(0), Some("a\u{1b}[31m\nb) (c")), "root via a??31m?b???c");
        assert_eq!(named(Some(0), Some(&"x".repeat(1000))), format!("root via {}", "x".repeat(64)));
    }
}
