//! *Admin › projects › one project*: its members.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hops_credentials_core::role::ProjectRole;

use super::error::PageError;
use super::forms::Fields;
use super::frame::{Frame, Notice, page, page_with_problem, redirect_with_notice};
use super::mapping_form::{Choice, project_role_choices};
use super::paging::{Paging, ROWS_PER_PAGE, SUGGESTIONS, Search};
use super::path;
use super::remedy::problem;
use super::visitor::{LocalAdministrator, OnPage, Visitor};
use crate::app::App;
use crate::error::Error;
use crate::http::parameters::{Parameters, ProjectId};
use crate::member;
use crate::project::{self, Project, ProjectRef};
use crate::user::{self, Email};

#[derive(Template)]
#[template(path = "project.html")]
struct ProjectPage {
    frame: Frame,
    project: Project,
    mappings_href: String,
    search: Search,
    members: Vec<Row>,
    paging: Paging,
    users: Vec<String>,
    has_more_users: bool,
    email: String,
    choices: Vec<Choice>,
    problem: Option<String>,
}

struct Row {
    email: String,
    project_role: &'static str,
    remove_href: String,
}

#[derive(Template)]
#[template(path = "member_remove.html")]
struct MemberRemove {
    frame: Frame,
    project: Project,
    email: String,
}

/// The project roles that a member can have.
const MEMBER_ROLES: [ProjectRole; 2] = [ProjectRole::DataScientist, ProjectRole::DataOwner];

impl ProjectPage {
    async fn new(app: &App, visitor: Visitor, id: i64, parameters: &Parameters) -> Result<Self, PageError> {
        let project = find_project(app, id).await?;
        let title = format!("Project {}", project.name);
        let frame =
            Frame::for_caller(&title, path::PROJECTS, &visitor.caller, visitor.form_token).with_notice(parameters);
        let search = Search::from_query(format!("{}/{id}", path::PROJECTS), "Search for a member", parameters);
        let count = member::count(&app.database, id, &search.text).await?;
        let paging = search.paging(count, member::count(&app.database, id, "").await?);
        let members = member::search(&app.database, id, &search.text, paging.offset, ROWS_PER_PAGE).await?;
        let members = members.into_iter().map(|(email, project_role)| Row {
            remove_href: format!("{}/{id}/remove-member?{}", path::PROJECTS, query("email", &email)),
            email,
            project_role: project_role.display_name(),
        });
        let users =
            user::search(&app.database, "", 0, SUGGESTIONS).await?.into_iter().map(|(user, _)| user.email.to_string());
        Ok(Self {
            frame,
            mappings_href: format!("{}?{}", path::MAPPINGS, query("q", &project.name)),
            project,
            search,
            members: members.collect(),
            paging,
            has_more_users: user::count(&app.database, "").await? > SUGGESTIONS,
            users: users.collect(),
            email: String::new(),
            choices: project_role_choices(&MEMBER_ROLES, ""),
            problem: None,
        })
    }
}

async fn find_project(app: &App, id: i64) -> Result<Project, Error> {
    project::find_by_id(app.database.pool(), id).await
}

fn query(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

/// Shows the members, and the form that adds one.
pub async fn show(
    State(app): State<App>,
    LocalAdministrator(visitor): LocalAdministrator,
    OnPage(ProjectId(id)): OnPage<ProjectId>,
    parameters: Parameters,
) -> Result<Response, PageError> {
    Ok(page(&ProjectPage::new(&app, visitor, id, &parameters).await?))
}

/// Adds a member, or changes the project role of one.
pub async fn set_member(
    State(app): State<App>,
    LocalAdministrator(visitor): LocalAdministrator,
    OnPage(ProjectId(id)): OnPage<ProjectId>,
    fields: Fields,
) -> Result<Response, PageError> {
    match set_member_from_form(&app, &visitor, id, &fields).await {
        Ok(()) => Ok(redirect_with_notice(&format!("{}/{id}", path::PROJECTS), Notice::MemberSet)),
        Err(error) if error.status().is_server_error() => Err(error.into()),
        Err(error) => {
            let page = ProjectPage {
                email: fields.text("email"),
                choices: project_role_choices(&MEMBER_ROLES, &fields.text("project_role")),
                problem: Some(problem(&error)),
                ..ProjectPage::new(&app, visitor, id, &Parameters::from_query("")).await?
            };
            Ok(page_with_problem(&page, error))
        }
    }
}

async fn set_member_from_form(app: &App, visitor: &Visitor, id: i64, fields: &Fields) -> Result<(), Error> {
    let email = parse_email(&fields.text("email"))?;
    let role = fields.text("project_role").parse()?;
    if !MEMBER_ROLES.contains(&role) {
        return Err(Error::InvalidArgument("a member must be a data owner or a data scientist".to_owned()));
    }
    if app.source_identity {
        email.source_identity().map_err(Error::InvalidArgument)?;
    }
    member::set(&app.database, &visitor.caller.actor, &ProjectRef::Id(id), &email, role).await
}

fn parse_email(text: &str) -> Result<Email, Error> {
    text.parse().map_err(|problem: &str| Error::InvalidArgument(problem.to_owned()))
}

/// Asks for confirmation before a member is removed.
pub async fn confirm_removal(
    State(app): State<App>,
    LocalAdministrator(visitor): LocalAdministrator,
    OnPage(ProjectId(id)): OnPage<ProjectId>,
    parameters: Parameters,
) -> Result<Response, PageError> {
    let email = parse_email(&parameters.required::<String>("email")?)?.to_string();
    let frame = Frame::for_caller("Remove this member?", path::PROJECTS, &visitor.caller, visitor.form_token);
    Ok(page(&MemberRemove { frame, project: find_project(&app, id).await?, email }))
}

/// Removes a member.
pub async fn remove_member(
    State(app): State<App>,
    LocalAdministrator(visitor): LocalAdministrator,
    OnPage(ProjectId(id)): OnPage<ProjectId>,
    fields: Fields,
) -> Result<Response, PageError> {
    let email = parse_email(&fields.text("email"))?;
    member::remove(&app.database, &visitor.caller.actor, &ProjectRef::Id(id), &email).await?;
    Ok(redirect_with_notice(&format!("{}/{id}", path::PROJECTS), Notice::MemberRemoved))
}
