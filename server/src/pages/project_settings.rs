//! *Project › settings*: the roles that this member may assume, code that does it, and for data owners the default.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hops_credentials_core::role::ProjectRole;

use super::error::PageError;
use super::forms::Fields;
use super::frame::{Frame, Notice, page, redirect_with_notice};
use super::mapping_form::label;
use super::paging::{Paging, ROWS_PER_PAGE};
use super::path;
use super::visitor::{ProjectMember, ProjectOwner};
use crate::app::App;
use crate::database::Database;
use crate::http::parameters::Parameters;
use crate::mapping::change::{self, Changes};
use crate::mapping::list::{self, Condition, Filter, Order};
use crate::mapping::wanted::{ProjectMappings, Wanted};
use crate::mapping::{self, Mapping};
use crate::project::Project;

/// The parameters that say which page of a list is shown.
const OWN_PAGE: &str = "page";
const OTHERS_PAGE: &str = "others";

#[derive(Template)]
#[template(path = "project_settings.html")]
struct ProjectSettings {
    frame: Frame,
    project: Project,
    project_role: &'static str,
    may_move_default: bool,
    own: Table,
    others: Option<Table>,
    code: Option<Code>,
}

/// A page of a list of roles.
struct Table {
    rows: Vec<Row>,
    paging: Paging,
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
    let (database, project_id) = (&app.database, member.project.id);
    let defaults = ProjectMappings::load(database.pool(), project_id, Wanted::Defaults).await?;
    let default = defaults.find_default(member.project_role).ok();
    let default_id = default.map(|mapping| mapping.id);
    let page_of = |name| parameters.all(name).next().and_then(|page| page.parse().ok()).unwrap_or(1);
    let (own_page, others_page) = (page_of(OWN_PAGE), page_of(OTHERS_PAGE));
    let href = |own_page: i64, others_page: i64, role: Option<i64>| {
        let pages = [(OWN_PAGE, own_page), (OTHERS_PAGE, others_page)].into_iter().filter(|(_, page)| *page != 1);
        let values = pages.chain(role.map(|id| ("role", id))).map(|(name, value)| format!("{name}={value}"));
        format!("/projects/{project_id}?{}", values.collect::<Vec<_>>().join("&"))
    };
    let (own, paging) = find_page(database, project_id, Condition::ForMember(member.project_role), own_page, |page| {
        href(page, others_page, None)
    })
    .await?;
    let asked = match parameters.one("role")? {
        Some(id) => mapping::find_in_project(database, &member.project, id).await.ok(),
        None => None,
    };
    let asked = asked.filter(|mapping| mapping.is_for(member.project_role));
    let chosen = asked.as_ref().or(default).or(own.first());
    let row = |mapping: &Mapping| Row {
        id: mapping.id,
        role: mapping.role.to_string(),
        project_role: label(mapping.project_role),
        mark: match (mapping.is_default, Some(mapping.id) == default_id) {
            (true, true) => Mark::Yours,
            (true, false) => Mark::OfProjectRole,
            (false, _) => Mark::None,
        },
        code_href: href(own_page, others_page, Some(mapping.id)) + "#code",
        is_shown: chosen.is_some_and(|chosen| chosen.id == mapping.id),
    };
    let may_move_default = member.project_role == ProjectRole::DataOwner;
    let others = if may_move_default {
        let condition = Condition::ProjectRole(ProjectRole::DataScientist);
        let (others, paging) =
            find_page(database, project_id, condition, others_page, |page| href(own_page, page, None)).await?;
        (!others.is_empty()).then(|| Table { rows: others.iter().map(row).collect(), paging })
    } else {
        None
    };
    let title = format!("Cloud roles of {}", member.project.name);
    Ok(page(&ProjectSettings {
        frame: Frame::for_caller(&title, path::HOME, &member.caller, form_token).with_notice(&parameters),
        project_role: member.project_role.display_name(),
        may_move_default,
        own: Table { rows: own.iter().map(row).collect(), paging },
        others,
        code: chosen.map(|mapping| write_code(mapping, Some(mapping.id) == default_id)),
        project: member.project,
    }))
}

/// Finds a page of the mappings of a project that meet the condition, in the order of their ids.
async fn find_page(
    database: &Database,
    project_id: i64,
    condition: Condition,
    page: i64,
    href: impl Fn(i64) -> String,
) -> Result<(Vec<Mapping>, Paging), sqlx::Error> {
    let mut filter = Filter::default();
    filter.add(Condition::ProjectId(project_id));
    filter.add(condition);
    let count = list::count(database, &filter).await?;
    let paging = Paging::new(page, count, count, href);
    let ids = list::find_ids(database, &filter, &Order::default(), paging.offset, ROWS_PER_PAGE).await?;
    Ok((list::load(database.pool(), &ids).await?, paging))
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
