//! What the service asks others with: one trait, so that each platform brings its own.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use serde_json::Value;

use crate::json;
use crate::maybe_send::{BoxFuture, MaybeSend, MaybeSync};

/// Makes HTTP requests to the application's own servers and to Ably's.
///
/// `HttpsClient` (feature `client`) is the one for servers; at the edge it is what the platform has, such as `fetch`.
pub trait HttpClient: MaybeSend + MaybeSync + 'static {
    /// Sends a request once and reads its whole answer, whatever its status. It follows no redirects, repeats nothing,
    /// keeps no cookies, and takes no compressed answers.
    ///
    /// # Errors
    /// If there is no whole answer within the call's limits.
    fn send(
        &self,
        call: HttpCall,
    ) -> impl Future<Output = Result<Response<Bytes>, HttpClientError>> + MaybeSend;
}

/// A request and its limits.
#[non_exhaustive]
pub struct HttpCall {
    /// With an absolute URI of scheme http or https.
    pub request: Request<Bytes>,
    /// For all of it: name resolution, connection, and the answer's last byte.
    pub timeout: Duration,
    /// The longest body of an answer, in bytes.
    pub max_bytes: usize,
    /// Whether the answer is the same on whoever's behalf it is asked for, as a key set is. Only then may it be kept.
    pub same_for_all: bool,
}

impl HttpCall {
    /// A call for an answer of 1 MiB at most, which is for one caller only.
    pub fn new(request: Request<Bytes>, timeout: Duration) -> Self {
        Self { request, timeout, max_bytes: 1024 * 1024, same_for_all: false }
    }
}

/// Without the headers, the body and the query, which hold credentials.
impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCall")
            .field("method", self.request.method())
            .field("path", &self.request.uri().path())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer. The texts are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpClientError {
    /// It took too long.
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
    /// It was too long.
    #[error("an answer of more than {0} bytes")]
    TooLarge(usize),
    /// It has a Content-Encoding, though none was accepted.
    #[error("a compressed answer, which was not asked for")]
    Encoded,
    /// Not reached, not understood, or cut off.
    #[error("{0}")]
    Failed(String),
}

/// The JSON in an answer's body. The text of an error does not repeat it: it goes into the log.
pub(crate) fn json_answer(body: &[u8]) -> Result<Value, String> {
    json::parse(body).map_err(|error| {
        format!("the answer is not JSON, at line {} column {}", error.line(), error.column())
    })
}

/// Reaches nobody: for a service that asks no other servers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHttpClient;

impl HttpClient for NoHttpClient {
    async fn send(&self, _: HttpCall) -> Result<Response<Bytes>, HttpClientError> {
        Err(HttpClientError::Failed("there is no HTTP client here".to_owned()))
    }
}

/// The URL of something that is called: http or https, and without credentials in it.
///
/// ```
/// use accrue::Endpoint;
///
/// let webhook = Endpoint::parse("http://127.0.0.1:3000/ably/permissions")?;
/// assert!(webhook.is_local() && !webhook.is_encrypted());
/// assert!(Endpoint::parse("https://user:password@app.example.com/").is_err());
/// # Ok::<(), accrue::EndpointError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Uri);

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        let uri: Uri = url.parse().map_err(|_| EndpointError::Malformed)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(EndpointError::Malformed);
        };
        if !matches!(scheme, "http" | "https") || url.contains('#') {
            return Err(EndpointError::Malformed);
        }
        if authority.as_str().contains('@') {
            return Err(EndpointError::Credentials);
        }
        Ok(Self(uri))
    }

    /// The URL.
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    /// Whether others can't read along.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        let host = self.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

/// Without its query, which may hold a secret.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}{}", self.0.scheme_str().unwrap_or_default(), self.0.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Not a URL, of another scheme, or with a fragment.
    #[error("not a URL of http or https, such as \"https://app.example.com/path\"")]
    Malformed,
    /// With a user in it.
    #[error("a URL with a user or password in it would end up in logs: leave them out")]
    Credentials,
}

/// An [`HttpClient`] of any kind. Clones share it.
#[derive(Clone)]
pub(crate) struct AnyHttpClient(Arc<dyn Erased>);

trait Erased: MaybeSend + MaybeSync {
    fn send(&self, call: HttpCall) -> BoxFuture<'_, Result<Response<Bytes>, HttpClientError>>;
}

impl<C: HttpClient> Erased for C {
    fn send(&self, call: HttpCall) -> BoxFuture<'_, Result<Response<Bytes>, HttpClientError>> {
        Box::pin(HttpClient::send(self, call))
    }
}

impl AnyHttpClient {
    pub(crate) fn new(client: impl HttpClient) -> Self {
        Self(Arc::new(client))
    }
}

impl HttpClient for AnyHttpClient {
    async fn send(&self, call: HttpCall) -> Result<Response<Bytes>, HttpClientError> {
        self.0.send(call).await
    }
}
