//! *Admin › role mappings › remove*: asks for confirmation first.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::error::PageError;
use super::frame::{Frame, Notice, page, redirect_with_notice};
use super::mapping_form::label;
use super::path;
use super::visitor::{Administrator, OnPage};
use crate::app::App;
use crate::http::parameters::MappingId;
use crate::mapping::change;
use crate::mapping::{self, Mapping};

#[derive(Template)]
#[template(path = "mapping_remove.html")]
struct MappingRemove {
    frame: Frame,
    mapping: Mapping,
    project_role: &'static str,
}

/// Asks for confirmation.
pub async fn show(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    OnPage(MappingId(id)): OnPage<MappingId>,
) -> Result<Response, PageError> {
    let mapping = mapping::find(app.database.pool(), id).await?;
    let frame = Frame::for_caller("Remove this role mapping?", path::MAPPINGS, &visitor.caller, visitor.form_token);
    Ok(page(&MappingRemove { frame, project_role: label(mapping.project_role), mapping }))
}

/// Removes the role mapping.
pub async fn remove(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    OnPage(MappingId(id)): OnPage<MappingId>,
) -> Result<Response, PageError> {
    change::remove(&app.database, &visitor.caller.actor, id).await?;
    Ok(redirect_with_notice(path::MAPPINGS, Notice::MappingRemoved))
}
