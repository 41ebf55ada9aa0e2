//! *Project › settings*: the roles that this member may assume, code that does it, and for data owners the default.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hops_credentials_core::role::ProjectRole;

use super::error::PageError;
use super::forms::Fields;
use super::frame::{Frame, Notice, page, redirect_with_notice};
use super::mapping_form::label;
use super::path;
use super::visitor::{ProjectMember, ProjectOwner};
use crate::app::App;
use crate::http::parameters::Parameters;
use crate::mapping::change::{self, Changes};
use crate::mapping::{self, Mapping};
use crate::project::Project;

#[derive(Template)]
#[template(path = "project_settings.html")]
struct ProjectSettings {
    frame: Frame,
    project: Project,
    project_role: &'static str,
    may_move_default: bool,
    rows: Vec<Row>,
    others: Vec<Row>,
    code: Option<Code>,
}

struct Row {
    id: i64,
    role: String,
    project_role: &'static str,
    mark: Mark,
    code_href: String,
    is_shown: bool,
}

/// The mark of a row in the column *Default*.
#[derive(PartialEq, Eq)]
enum Mark {
    /// The default that this member gets when they do not name a role.
    Yours,
    /// The default of its project role, while this member gets another one.
    OfProjectRole,
    /// A role that is not a default.
    None,
}

/// Code that assumes a role, ready to copy.
struct Code {
    title: String,
    scala: String,
    python: String,
}

/// Shows the roles.
pub async fn show(
    State(app): State<App>,
    ProjectMember { member, form_token }: ProjectMember,
    parameters: Parameters,
) -> Result<Response, PageError> {
    let (mappings, _) = mapping::list_in_project(app.database.pool(), member.project.id).await?;
    let default = mapping::find_default(&mappings, member.project_role).ok().map(|mapping| mapping.id);
    let (own, others): (Vec<_>, Vec<_>) = mappings.iter().partition(|mapping| mapping.is_for(member.project_role));
    let asked: Option<i64> = parameters.one("role")?;
    let chosen = own.iter().find(|mapping| Some(mapping.id) == asked.or(default)).or(own.first()).copied();
    let row = |mapping: &&Mapping| Row {
        id: mapping.id,
        role: mapping.role.to_string(),
        project_role: label(mapping.project_role),
        mark: match (mapping.is_default, Some(mapping.id) == default) {
            (true, true) => Mark::Yours,
            (true, false) => Mark::OfProjectRole,
            (false, _) => Mark::None,
        },
        code_href: format!("/projects/{}?role={}#code", member.project.id, mapping.id),
        is_shown: chosen.is_some_and(|chosen| chosen.id == mapping.id),
    };
    let may_move_default = member.project_role == ProjectRole::DataOwner;
    let title = format!("Cloud roles of {}", member.project.name);
    Ok(page(&ProjectSettings {
        frame: Frame::for_caller(&title, path::HOME, &member.caller, form_token).with_notice(&parameters),
        project_role: member.project_role.display_name(),
        may_move_default,
        rows: own.iter().map(row).collect(),
        others: if may_move_default { others.iter().map(row).collect() } else { Vec::new() },
        code: chosen.map(|mapping| write_code(mapping, Some(mapping.id) == default)),
        project: member.project,
    }))
}

/// Makes a role mapping of the project the default of its project role.
pub async fn move_default(
    State(app): State<App>,
    ProjectOwner(member): ProjectOwner,
    fields: Fields,
) -> Result<Response, PageError> {
    let mapping = mapping::find_in_project(&app.database, &member.project, fields.parameters().required("id")?).await?;
    let changes = Changes { is_default: Some(true), ..Changes::default() };
    change::change(&app.database, &member.caller.actor, mapping.id, &changes).await?;
    Ok(redirect_with_notice(&format!("/projects/{}", member.project.id), Notice::DefaultMoved))
}

fn write_code(mapping: &Mapping, is_default: bool) -> Code {
    let (java_role, python_role) = if is_default {
        (String::new(), String::new())
    } else {
        let id = mapping.id;
        (format!("CredentialsProvider.getRole({id})"), format!("credentials_provider.get_role({id})"))
    };
    let title = if is_default {
        format!("Use your default role, {}", mapping.role.name())
    } else {
        format!("Use role {}, {}", mapping.id, mapping.role.name())
    };
    Code {
        title,
        scala: format!(
            "import io.hops.util.CredentialsProvider\n\nCredentialsProvider.assumeRole({java_role})\n\
             spark.read.csv(\"s3a://your-bucket/path\").show()"
        ),
        python: format!(
            "from hops import credentials_provider\n\ncredentials_provider.assume_role({python_role})\n\
             spark.read.csv(\"s3a://your-bucket/path\").show()"
        ),
    }
}
