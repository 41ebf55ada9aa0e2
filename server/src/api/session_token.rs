//! `GET /project/{project}/cloud/aws/session-token`: credentials of a mapped role for a member who may assume it.
//!
//! A caller who is refused is in the audit before their answer leaves, or is counted in a row that is there; one who makes STS be asked,
//! before it is; one who gets what STS gave another request, before they get it. Somebody whom the server does not know has no row: a
//! metric counts them.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::HeaderValue;
use axum::http::request::Parts;
use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::hopsworks::RENEWS;
use hops_credentials_core::request::{SessionDuration, SessionName};
use hops_credentials_core::role::RoleArn;
use hops_credentials_core::text::rfc3339;
use serde::Serialize;

use crate::app::App;
use crate::audit::recorder::Outcome;
use crate::audit::{Purpose, SessionRequest};
use crate::error::Error;
use crate::http::auth::{AskingCaller, MemberMappings};
use crate::http::deadline::Deadline;
use crate::http::parameters::Parameters;
use crate::issuer::memory::Renews;
use crate::issuer::{Admission, CredentialsKey};

/// Credentials as the contract writes them. Secret: it has no `Debug`, and it lives only as long as its response.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionToken {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
    role_session_name: Option<String>,
}

impl SessionToken {
    fn new(credentials: &Credentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: credentials.secret_access_key().to_owned(),
            session_token: credentials.session_token().to_owned(),
            expiration: rfc3339(credentials.expiration()),
            role_session_name: credentials.session_name().map(SessionName::to_string),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Renews {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        match parts.headers.get(RENEWS).map(HeaderValue::as_bytes) {
            Some(b"true") => Ok(Renews::Yes),
            Some(b"false") | None => Ok(Renews::Unknown),
            Some(_) => Err(Error::InvalidArgument(format!("{RENEWS}: it is neither true nor false"))),
        }
    }
}

/// Authorises the request, gets credentials, answers. The row is in the audit before STS is asked, its outcome before the answer
/// leaves: no row, no credentials. Whoever waits for the call of another request has a row once it ends.
pub async fn issue(
    State(app): State<App>,
    asking: Result<AskingCaller, Error>,
    parameters: Result<Parameters, Error>,
    renews: Result<Renews, Error>,
    deadline: Deadline,
) -> Result<Json<SessionToken>, Error> {
    let AskingCaller { actor, key_prefix, project_id, member } =
        asking.inspect_err(|_| app.metrics.count_session_token_of_nobody())?;
    let mut record = SessionRequest { project_id, key_prefix, ..SessionRequest::default() };
    let purpose = Purpose::SessionToken;
    let authorised = member.and_then(|member| authorise(member, &parameters?, app.source_identity, &mut record));
    if let Err(Error::NotMember(project_id)) = authorised {
        app.issuer.forget_member(&actor.name, project_id);
    }
    let admitted = match authorised.and_then(|key| Ok((key, renews?))) {
        Ok((key, renews)) => app.issuer.admit(&key, renews).await,
        Err(reason) => Err(reason),
    };
    match admitted {
        Ok(Admission::Granted(issued)) => {
            record.take(&issued);
            let recorded = app.recorder.insert(&actor, purpose, Outcome::Granted, &record).await;
            app.metrics.count_session_token(&recorded);
            recorded.map(|()| Json(SessionToken::new(&issued.credentials)))
        }
        Ok(Admission::Call(call)) => match app.recorder.insert(&actor, purpose, Outcome::Asked, &record).await {
            Err(error) => Err(call.give_up(error)),
            // A task of its own: a client that hangs up cannot end a request between STS and the outcome in the audit.
            Ok(()) => tokio::spawn(async move {
                let outcome = call.make(deadline).await.map_err(Error::from);
                let recorded = app.recorder.finish(&actor, purpose, record, outcome).await;
                app.metrics.count_session_token(&recorded);
                recorded
            })
            .await
            .expect("the task neither panics nor is it cancelled")
            .map(|issued| Json(SessionToken::new(&issued.credentials))),
        },
        // No row can be written.
        Err(reason @ (Error::Database(_) | Error::Overloaded { .. })) => Err(reason),
        Err(reason) => {
            app.metrics.count_session_token(&Err::<(), ()>(()));
            if let Error::TooManyRequests { .. } = reason {
                record = record.without_role();
            }
            Err(app.recorder.refuse(&actor, purpose, record, reason).await)
        }
    }
}

/// Decides whether the caller gets credentials, and of which role. Fills `record` step by step, so that a refusal is recorded with
/// everything known by then.
fn authorise(
    MemberMappings { member, mappings }: MemberMappings,
    parameters: &Parameters,
    is_source_identity_on: bool,
    record: &mut SessionRequest,
) -> Result<CredentialsKey, Error> {
    record.project_name = Some(member.project.name.clone());
    record.project_role = Some(member.project_role.query_name());
    let asked: Option<RoleArn> = parameters.one("roleARN")?;
    record.role = asked.as_ref().map(RoleArn::to_string);
    let duration = match parameters.one("durationSeconds")? {
        Some(seconds) => SessionDuration::from_seconds(seconds)?,
        None => SessionDuration::default(),
    };
    record.duration_seconds = Some(duration.seconds().into());
    let session_name = match parameters.one("roleSessionName")? {
        Some(session_name) => session_name,
        None => SessionName::from_parts(member.caller.user.email.local_part(), &member.project.name),
    };
    record.session_name = Some(session_name.to_string());
    let mapping = match &asked {
        Some(role) => mappings.find_for_role(role, member.project_role)?,
        None => mappings.find_default(member.project_role)?,
    };
    record.role = Some(mapping.role.to_string());
    record.mapping_id = Some(mapping.id);
    let extras = mapping.extras(&member.caller.user.email, is_source_identity_on)?;
    record.source_identity.clone_from(&extras.source_identity);
    Ok(CredentialsKey {
        member: member.caller.user.email.to_string(),
        key_prefix: record.key_prefix.clone(),
        project_id: member.project.id,
        project_role: member.project_role,
        mapping_id: mapping.id,
        role: mapping.role.clone(),
        session_name,
        duration,
        extras,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn an_expiration_is_written_in_whole_seconds_of_utc() {
        let instant = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_599_999);
        assert_eq!(rfc3339(instant), "2025-12-31T23:59:59Z");
    }
}
