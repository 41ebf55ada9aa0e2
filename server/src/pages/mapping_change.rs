//! *Admin › role mappings › change*: edits one role mapping.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::error::PageError;
use super::forms::Fields;
use super::frame::{Frame, Notice, page, page_with_problem, redirect_with_notice};
use super::mapping_form::MappingForm;
use super::path;
use super::visitor::{Administrator, OnPage, Visitor};
use crate::app::App;
use crate::error::Error;
use crate::http::parameters::MappingId;
use crate::mapping;
use crate::mapping::change::{self, Changes};

#[derive(Template)]
#[template(path = "mapping_change.html")]
struct MappingChange {
    frame: Frame,
    id: i64,
    form: MappingForm,
}

impl MappingChange {
    fn new(visitor: Visitor, id: i64, form: MappingForm) -> Self {
        let title = format!("Change role mapping {id}");
        Self { frame: Frame::for_caller(&title, path::MAPPINGS, &visitor.caller, visitor.form_token), id, form }
    }
}

/// Shows the form, filled in.
pub async fn show(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    OnPage(MappingId(id)): OnPage<MappingId>,
) -> Result<Response, PageError> {
    let mapping = mapping::find(app.database.pool(), id).await?;
    Ok(page(&MappingChange::new(visitor, id, MappingForm::from_mapping(&mapping))))
}

/// Changes the role mapping.
pub async fn change(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    OnPage(MappingId(id)): OnPage<MappingId>,
    fields: Fields,
) -> Result<Response, PageError> {
    let mapping = mapping::find(app.database.pool(), id).await?;
    let form = MappingForm { project: mapping.project.name, ..MappingForm::from_fields(&fields) };
    match change_from_form(&app, &visitor, id, &form).await {
        Ok(()) => Ok(redirect_with_notice(path::MAPPINGS, Notice::MappingChanged)),
        Err(error) if error.status().is_server_error() => Err(error.into()),
        Err(error) => Ok(page_with_problem(&MappingChange::new(visitor, id, form.with_problem(&error)), error)),
    }
}

async fn change_from_form(app: &App, visitor: &Visitor, id: i64, form: &MappingForm) -> Result<(), Error> {
    let terms = form.parse()?;
    let changes = Changes {
        role: Some(terms.role),
        project_role: Some(terms.project_role),
        is_default: Some(terms.is_default),
        external_id: Some(terms.external_id),
        source_identity: Some(terms.source_identity),
    };
    change::change(&app.database, &visitor.caller.actor, id, &changes).await?;
    Ok(())
}
