//! *Admin › base identity*: whose credentials call AssumeRole, where the server found them, and what follows from it.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use hops_credentials_core::base_identity::{BaseIdentity, BaseProvider};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::{PageError, sentence};
use super::frame::{Frame, page};
use super::path;
use super::visitor::Administrator;
use crate::app::App;
use crate::error::{Error, with_sources};
use crate::http::deadline::Deadline;

/// The time for which a page about another subject waits for STS.
const STS_TIMEOUT: Duration = Duration::from_secs(2);

/// The time for which views share an answer of STS: they must not spend the calls that members need.
const SHARED_FOR: Duration = Duration::from_secs(60);

/// The time for which views share a failure: whoever mends it looks again soon.
const FAILURE_SHARED_FOR: Duration = Duration::from_secs(5);

/// The last answer of STS about the base identity, and when views ask anew.
pub type PanelCache = Arc<Mutex<Option<(Instant, Panel)>>>;

/// The panel about the base identity.
#[derive(Debug, Clone)]
pub struct Panel {
    /// The identity, if there is one and STS knows it.
    pub identity: Option<IdentityView>,
    /// The reason why there is none.
    pub problem: Option<String>,
}

/// The base identity as a page shows it.
#[derive(Debug, Clone)]
pub struct IdentityView {
    /// Its ARN.
    pub arn: String,
    /// Its account.
    pub account: String,
    /// The provider that gave it.
    pub provider: &'static str,
    /// The explanation of that provider.
    pub explanation: &'static str,
    /// Whether it is a role. If so, sessions end after one hour.
    pub is_role: bool,
}

impl From<&BaseIdentity> for IdentityView {
    fn from(identity: &BaseIdentity) -> Self {
        Self {
            arn: identity.arn.clone(),
            account: identity.account.clone(),
            provider: identity.provider.display_name(),
            explanation: explain(identity.provider),
            is_role: identity.is_role,
        }
    }
}

fn explain(provider: BaseProvider) -> &'static str {
    match provider {
        BaseProvider::Environment => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment of the server",
        BaseProvider::Profile => "a profile of the AWS configuration files of the server's user",
        BaseProvider::WebIdentity => {
            "AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, as EKS sets them for a service account"
        }
        BaseProvider::Container => "the credentials endpoint of an ECS task or of EKS Pod Identity",
        BaseProvider::InstanceProfile => "the instance profile of the server's EC2 instance",
    }
}

impl Panel {
    /// Loads what STS answered to a recent view, or asks and waits until it answers.
    pub async fn load(app: &App) -> Self {
        let app = app.clone();
        // In a task of its own: a view that has waited long enough leaves the answer to the next one.
        let loading = tokio::spawn(async move {
            let mut cache = app.base_identity_panel.lock().await;
            if let Some((until, panel)) = &*cache
                && Instant::now() < *until
            {
                return panel.clone();
            }
            let panel = Self::ask(&app).await;
            let shared_for = if panel.problem.is_none() { SHARED_FOR } else { FAILURE_SHARED_FOR };
            *cache = Some((Instant::now() + shared_for, panel.clone()));
            panel
        });
        loading.await.expect("asking STS does not panic")
    }

    async fn ask(app: &App) -> Self {
        match app.issuer.base_identity(Deadline::from_now()).await {
            Ok(identity) => Self { identity: Some(IdentityView::from(&identity)), problem: None },
            Err(failure) => {
                let error = with_sources(&Error::from(failure));
                Self { identity: None, problem: Some(sentence(&error)) }
            }
        }
    }

    /// Loads the panel and waits for at most [`STS_TIMEOUT`].
    pub async fn load_within_timeout(app: &App) -> Self {
        tokio::time::timeout(STS_TIMEOUT, Self::load(app)).await.unwrap_or_else(|_| Self {
            identity: None,
            problem: Some("STS did not answer within two seconds. The Base identity page waits longer.".to_owned()),
        })
    }
}

#[derive(Template)]
#[template(path = "base_identity.html")]
struct BaseIdentityPage {
    frame: Frame,
    panel: Panel,
}

/// Shows the page.
pub async fn show(State(app): State<App>, Administrator(visitor): Administrator) -> Result<Response, PageError> {
    let frame = Frame::for_caller("Base identity", path::BASE_IDENTITY, &visitor.caller, visitor.form_token);
    Ok(page(&BaseIdentityPage { frame, panel: Panel::load(&app).await }))
}
