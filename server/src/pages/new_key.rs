//! *Admin › users › new key*: asks for confirmation, then shows the key once.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::error::PageError;
use super::forms::Fields;
use super::frame::{Frame, page};
use super::path;
use super::visitor::{LocalAdministrator, Visitor};
use crate::api_key::ApiKey;
use crate::app::App;
use crate::http::parameters::Parameters;
use crate::user::{self, Email};

#[derive(Template)]
#[template(path = "new_key_confirm.html")]
struct Confirm {
    frame: Frame,
    email: String,
}

/// The page with the key. It answers the form directly, so neither an address nor the database holds the key.
#[derive(Template)]
#[template(path = "new_key.html")]
pub struct NewKey<'a> {
    frame: Frame,
    email: &'a str,
    key: &'a str,
}

impl<'a> NewKey<'a> {
    /// Makes the page for a key of a user.
    pub fn new(visitor: Visitor, email: &'a str, key: &'a ApiKey) -> Self {
        let frame = Frame::for_caller("New API key", path::USERS, &visitor.caller, visitor.form_token);
        Self { frame, email, key: key.reveal() }
    }
}

/// Returns the address of the page that asks for a new key of a user.
pub fn href(email: &Email) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("email", email.as_str()).finish();
    format!("{}/new-key?{query}", path::USERS)
}

/// Asks for confirmation.
pub async fn show(
    State(app): State<App>,
    LocalAdministrator(visitor): LocalAdministrator,
    parameters: Parameters,
) -> Result<Response, PageError> {
    let email: Email = parameters.required("email")?;
    user::find_id(app.database.pool(), &email).await?;
    let frame = Frame::for_caller("Create a new API key?", path::USERS, &visitor.caller, visitor.form_token);
    Ok(page(&Confirm { frame, email: email.to_string() }))
}

/// Creates the key and shows it.
pub async fn renew(
    State(app): State<App>,
    LocalAdministrator(visitor): LocalAdministrator,
    fields: Fields,
) -> Result<Response, PageError> {
    let email: Email = fields.parameters().required("email")?;
    let key = ApiKey::generate();
    user::renew_key(&app.database, &visitor.caller.actor, &email, &key).await?;
    Ok(page(&NewKey::new(visitor, email.as_str(), &key)))
}
