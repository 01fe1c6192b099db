use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue, USER_AGENT};
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::CertificateResult;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use crate::http_client::{HttpCall, HttpClient, HttpClientError};

/// The [`HttpClient`] for servers: HTTP/1.1 over TCP or TLS, with connections kept for the next call.
///
/// It trusts the system's root certificates, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, and where there are
/// none, as in an empty container image, Mozilla's as of this build. It heeds no proxy variables. It works within a
/// tokio runtime only. Clones share their connections.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use accrue::{HttpCall, HttpClient, HttpsClient};
///
/// let client = HttpsClient::new();
/// let request = http::Request::get("https://id.example.com/.well-known/jwks.json").body(bytes::Bytes::new())?;
/// let answer = client.send(HttpCall::new(request, Duration::from_secs(2))).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct HttpsClient(Arc<OnceLock<Pool>>);

#[derive(Debug)]
struct Pool {
    client: Client<Connector, Full<Bytes>>,
    /// Why nobody can be trusted.
    no_roots: Option<Arc<str>>,
}

impl HttpsClient {
    /// Does nothing yet: the root certificates are read for the first call.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Pool {
    fn new() -> Self {
        let (roots, no_roots) = match roots(rustls_native_certs::load_native_certs()) {
            Ok(roots) => (roots, None),
            Err(problem) => (RootCertStore::empty(), Some(problem.into())),
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 need")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            // no repetition: it is about requests of which not a byte was written, because the idle connection that
            // they were given turned out to be closed already
            .retry_canceled_requests(true)
            .build(Connector((tcp, tls).into()));
        Self { client, no_roots }
    }

    async fn exchange(
        &self,
        mut request: Request<Bytes>,
        max_bytes: usize,
    ) -> Result<Response<Bytes>, HttpClientError> {
        if let Some(problem) = &self.no_roots
            && request.uri().scheme() == Some(&Scheme::HTTPS)
        {
            return Err(HttpClientError::Failed(format!("no root certificates: {problem}")));
        }
        request.headers_mut().entry(USER_AGENT).or_insert(OWN_NAME);

        // the outermost error only says that it is a client's
        let answer = self.client.request(request.map(Full::new)).await;
        let (head, mut body) = answer.map_err(|error| failed(error.source().unwrap_or(&error)))?.into_parts();
        if is_encoded(&head.headers) {
            return Err(HttpClientError::Encoded);
        }
        if body.size_hint().lower() > max_bytes as u64 {
            return Err(HttpClientError::TooLarge(max_bytes));
        }
        // copied rather than collected: a chunk of one byte may hold on to a large buffer
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| failed(&error))?.into_data() else { continue };
            if data.len() > max_bytes - whole.len() {
                return Err(HttpClientError::TooLarge(max_bytes));
            }
            whole.extend_from_slice(&data);
        }
        Ok(Response::from_parts(head, whole.freeze()))
    }
}

impl HttpClient for HttpsClient {
    async fn send(&self, call: HttpCall) -> Result<Response<Bytes>, HttpClientError> {
        let pool = self.0.get_or_init(Pool::new);
        let answer = timeout(call.timeout, pool.exchange(call.request, call.max_bytes)).await;
        answer.unwrap_or(Err(HttpClientError::Timeout(call.timeout)))
    }
}

fn roots(found: CertificateResult) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        // whoever names a file that cannot be read did not mean the public roots
        if let Some(problem) = found.errors.first() {
            return Err(problem.to_string());
        }
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// An error and what caused it, in one line. None of them quotes the request.
fn failed(error: &dyn Error) -> HttpClientError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    HttpClientError::Failed(text)
}

/// TCP, and TLS for https, within a time of its own: when another call's connection becomes free first, the one that
/// is being made is no longer under any call's deadline.
#[derive(Debug, Clone)]
struct Connector(HttpsConnector<HttpConnector>);

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            let connected = timeout(CONNECT_TIMEOUT, connecting).await;
            connected.map_err(|_| "no connection in time")?
        })
    }
}

const OWN_NAME: HeaderValue = HeaderValue::from_static(concat!("accrue/", env!("CARGO_PKG_VERSION")));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Shorter than what common servers keep idle connections for (gunicorn 2 s, Node 5 s): a request that crosses with
/// their closing fails, and is not repeated.
const IDLE_TIMEOUT: Duration = Duration::from_millis(1500);
/// As many as calls are usually made at once.
const MAX_IDLE_PER_HOST: usize = 64;
const MAX_HEAD_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_roots_where_the_system_has_none() {
        assert!(roots(CertificateResult::default()).is_ok_and(|roots| !roots.is_empty()));
    }
}
