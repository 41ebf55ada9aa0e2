//! The HTTP client of the AWS SDK, over reqwest: one HTTP stack in the library, with the same rules for every host.
//!
//! The SDK's own client would bring HTTP/2 and a second copy of everything below it, a tenth of the library's size.

use std::time::Duration;

use aws_sdk_sts::config::SharedHttpClient;
use aws_sdk_sts::config::http::{HttpRequest, HttpResponse};
use aws_sdk_sts::error::ConnectorError;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use reqwest::{Client, Request};

/// The largest answer that we read. A real one has about 2 000 bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// An answer that began and could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off or is too long")]
pub(crate) struct BrokenAnswer {
    /// The HTTP status it began with.
    pub status: u16,
    source: Option<reqwest::Error>,
}

/// Wraps `client` for the SDK. `client` bounds the time of a connection itself. The time of an answer comes from the
/// SDK: as a read timeout here for some services, a container's endpoint among them; for the others it bounds each try
/// itself.
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
        // Every body for STS and the credential services is a form in memory, or empty.
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
        // The SDK has no use for a header that is not text.
        if let Ok(value) = value.to_str() {
            answer.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(answer)
}

fn to_connector_error(error: reqwest::Error) -> ConnectorError {
    // A URL can hold secrets that only the SDK knows.
    let error = error.without_url();
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}
