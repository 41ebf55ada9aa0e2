//! The HTTP client of the AWS SDK, over reqwest: one HTTP stack in the library, under the same rules for every host.
//!
//! The SDK's own client brings HTTP/2 and a second copy of everything below it, which is a tenth of the library.

use std::time::Duration;

use aws_sdk_sts::config::SharedHttpClient;
use aws_sdk_sts::config::http::{HttpRequest, HttpResponse};
use aws_sdk_sts::error::ConnectorError;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use reqwest::{Client, Request};

/// The longest answer that is read, in bytes. A real one has about 2 000.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// An answer that had begun and was not read to its end.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off or is too long")]
pub(crate) struct BrokenAnswer {
    /// The status it began with.
    pub status: u16,
    source: Option<reqwest::Error>,
}

/// The SDK's view of `client`. How long a connection may take, `client` knows itself. How long an answer may take, the SDK
/// says here to some services, a container's among them, and bounds each try of the others.
pub(super) fn to_sdk_client(client: Client) -> SharedHttpClient {
    http_client_fn(move |settings, _| {
        SharedHttpConnector::new(Connector { client: client.clone(), answer_timeout: settings.read_timeout() })
    })
}

#[derive(Debug)]
struct Connector {
    client: Client,
    answer_timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, answer_timeout) = (self.client.clone(), self.answer_timeout);
        HttpConnectorFuture::new(async move { send(&client, answer_timeout, request).await })
    }
}

async fn send(
    client: &Client,
    answer_timeout: Option<Duration>,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?.map(|body| {
        // Every request of STS and of the credential services is a form or nothing, in memory.
        body.bytes().map(<[u8]>::to_vec).unwrap_or_default()
    });
    let mut request = Request::try_from(request).map_err(|error| ConnectorError::user(error.into()))?;
    *request.timeout_mut() = answer_timeout;
    let mut response = client.execute(request).await.map_err(to_connector_error)?;
    let mut body = Vec::new();
    let status = response.status().as_u16();
    let broken =
        |source| ConnectorError::other(Box::new(BrokenAnswer { status, source }), Some(ErrorKind::TransientError));
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(Some(error)))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(broken(None));
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = HttpResponse::new(status.try_into().expect("reqwest parsed it"), SdkBody::from(body));
    for (name, value) in response.headers() {
        // A header that is no text means nothing to the SDK.
        if let Ok(value) = value.to_str() {
            answer.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(answer)
}

fn to_connector_error(error: reqwest::Error) -> ConnectorError {
    // An address can hold what only the SDK knows.
    let error = error.without_url();
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}
