//! *Admin › role mappings › change*.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::error::PageError;
use super::forms::Fields;
use super::frame::{Frame, Notice, done, page, page_again};
use super::mapping_form::MappingForm;
use super::path;
use super::visitor::{Administrator, Visitor};
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
        Self { frame: Frame::of(&title, path::MAPPINGS, &visitor.caller, visitor.form_token), id, form }
    }
}

/// The form, filled in.
pub async fn show(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    MappingId(id): MappingId,
) -> Result<Response, PageError> {
    let mapping = mapping::find(app.database.pool(), id).await?;
    Ok(page(&MappingChange::new(visitor, id, MappingForm::of(&mapping))))
}

/// Changes the role mapping.
pub async fn change(
    State(app): State<App>,
    Administrator(visitor): Administrator,
    MappingId(id): MappingId,
    fields: Fields,
) -> Result<Response, PageError> {
    let mapping = mapping::find(app.database.pool(), id).await?;
    let form = MappingForm { project: mapping.project.name, ..MappingForm::typed(&fields) };
    match change_as_typed(&app, &visitor, id, &form).await {
        Ok(()) => Ok(done(path::MAPPINGS, Notice::MappingChanged)),
        Err(error) if error.status().is_server_error() => Err(error.into()),
        Err(error) => Ok(page_again(&MappingChange::new(visitor, id, form.refused(&error)), &error)),
    }
}

async fn change_as_typed(app: &App, visitor: &Visitor, id: i64, form: &MappingForm) -> Result<(), Error> {
    let meant = form.parse()?;
    let changes =
        Changes { role: Some(meant.role), project_role: Some(meant.project_role), is_default: Some(form.is_default) };
    change::change(&app.database, &visitor.caller.actor, id, &changes).await?;
    Ok(())
}
