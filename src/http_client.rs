//! What the service asks others with: one trait, so that each platform brings its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

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
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpCall {
    /// With an absolute URI of scheme http or https.
    pub request: Request<Bytes>,
    /// For all of it: name resolution, connection, and the answer's last byte.
    pub timeout: Duration,
    /// The longest body of an answer, in bytes.
    pub max_bytes: usize,
}

impl HttpCall {
    /// A call for an answer of 1 MiB at most.
    pub fn new(request: Request<Bytes>, timeout: Duration) -> Self {
        Self { request, timeout, max_bytes: 1024 * 1024 }
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
