//! The home page: the starting point for administrators and members.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::error::PageError;
use super::frame::{Frame, page};
use super::paging::{Paging, ROWS_PER_PAGE, Search};
use super::path;
use super::visitor::Visitor;
use crate::app::App;
use crate::http::parameters::Parameters;
use crate::mapping::list::{self, Filter};
use crate::{member, project};

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
    administration: Vec<Entry>,
    projects: Vec<Entry>,
    /// The number of the user's projects.
    total: i64,
    search: Search,
    paging: Paging,
}

struct Entry {
    href: String,
    title: String,
    text: String,
}

/// Shows what this user can do here.
pub async fn show(State(app): State<App>, visitor: Visitor, parameters: Parameters) -> Result<Response, PageError> {
    let user = &visitor.caller.user;
    let search = Search::from_query(path::HOME.to_owned(), "Search for a project", &parameters);
    let find = async |text, offset| member::search_projects(&app.database, user, text, offset, ROWS_PER_PAGE).await;
    let total = find("", 0).await?.count;
    let paging = search.paging(find(&search.text, 0).await?.count, total);
    let found = find(&search.text, paging.offset).await?.projects;
    let projects = found.into_iter().map(|(project, project_role)| Entry {
        href: format!("/projects/{}", project.id),
        title: project.name,
        text: format!("You are a {}. See the roles you may assume.", project_role.display_name().to_lowercase()),
    });
    let projects = projects.collect();
    let mut administration = if user.is_admin {
        administration(list::count(&app.database, &Filter::default()).await?, project::count(&app.database, "").await?)
    } else {
        Vec::new()
    };
    if !visitor.caller.is_local_user() {
        administration.retain(|entry| ![path::PROJECTS, path::USERS].contains(&entry.href.as_str()));
    }
    let frame = Frame::for_caller("Home", path::HOME, &visitor.caller, visitor.form_token).with_notice(&parameters);
    Ok(page(&Home { frame, administration, projects, total, search, paging }))
}

fn administration(mappings: i64, projects: i64) -> Vec<Entry> {
    let entry = |href: &str, title: &str, text: String| Entry { href: href.to_owned(), title: title.to_owned(), text };
    vec![
        entry(
            path::MAPPINGS,
            "Role mappings",
            format!("Which AWS roles the members of a project may assume. Role mappings: {mappings}."),
        ),
        entry(
            path::PROJECTS,
            "Projects and members",
            format!("Who is in which project, with which project role. Projects: {projects}."),
        ),
        entry(path::USERS, "Users", "Add people and give them API keys.".to_owned()),
        entry(path::BASE_IDENTITY, "Base identity", "Whose AWS credentials this server uses.".to_owned()),
        entry(path::AUDIT, "Audit", "Who got which role when, and who changed what.".to_owned()),
    ]
}
