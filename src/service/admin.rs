use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::header::{ALLOW, CONTENT_TYPE, ORIGIN, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use serde_json::Value;

use super::request::{self, BodyType};
use super::response::{self, Body, Rejection};
use super::{Moments, exchange, origin};
use crate::authenticate::bearer;
use crate::client::ClientId;
use crate::json;
use crate::mac::Secret;
use crate::maybe_send::{MaybeSend, MaybeSync};
use crate::moment::Moment;
use crate::revocation::{Revocation, Revoked};
use crate::store::Whom;

/// `/metrics` and `/revoke`, for whoever operates the service: to be listened for where clients can't reach it.
///
/// A page in a browser can't use it: what comes with `Origin` or `Sec-Fetch-Site` is refused, and where it answers to
/// this machine only, so is every `Host` that is not this machine's own name. What became of a revocation is in the
/// response's extensions, as [`Revoking`].
#[derive(Clone)]
pub struct AdminService {
    shared: Arc<Shared>,
}

struct Shared {
    revocation: Revocation,
    access: AdminAccess,
    token: Option<Secret>,
    metrics: Box<dyn Metrics>,
    moments: Box<dyn Moments>,
}

/// From where an [`AdminService`] can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminAccess {
    /// From this machine only: requests have to name it by its own name.
    Loopback,
    /// From others too: it needs a token.
    Network,
}

trait Metrics: Fn() -> String + MaybeSend + MaybeSync {}
impl<F: Fn() -> String + MaybeSend + MaybeSync> Metrics for F {}

/// A revocation that an answer is about.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Revoking {
    /// Whose rights.
    pub whom: Whom,
    /// What became of it.
    pub revoked: Revoked,
}

impl Revoking {
    /// This revocation, to try out what follows it.
    pub fn new(whom: Whom, revoked: Revoked) -> Self {
        Self { whom, revoked }
    }
}

impl AdminService {
    /// A service that revokes with `revocation` and shows what `metrics` says, in Prometheus' text format.
    ///
    /// # Errors
    /// For a token of fewer than 32 bytes, or with others than visible ASCII characters, and for none where others can
    /// reach it.
    pub fn new(
        revocation: Revocation,
        access: AdminAccess,
        token: Option<&str>,
        metrics: impl Fn() -> String + MaybeSend + MaybeSync + 'static,
        moments: impl Fn() -> Moment + MaybeSend + MaybeSync + 'static,
    ) -> Result<Self, AdminTokenError> {
        match token {
            None if access == AdminAccess::Network => return Err(AdminTokenError::Missing),
            Some(token) if token.len() < Self::MIN_TOKEN_BYTES => return Err(AdminTokenError::Short),
            Some(token) if !Self::can_be_sent(token) => return Err(AdminTokenError::Unsendable),
            _ => {}
        }
        Ok(Self {
            shared: Arc::new(Shared {
                revocation,
                access,
                token: token.map(Secret::new),
                metrics: Box::new(metrics),
                moments: Box::new(moments),
            }),
        })
    }

    pub(crate) const MIN_TOKEN_BYTES: usize = 32;

    /// Whether a token arrives as it is when it is sent in a header.
    pub(crate) fn can_be_sent(token: &str) -> bool {
        token.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// Answers one request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let moment = (self.shared.moments)();
        let (head, body) = request.into_parts();
        let mut response = self.answer(&head, body, &moment).await.unwrap_or_else(Refusal::into_response);
        response::finish(&mut response, &exchange::request_id(&head.headers, &moment));
        response
    }

    /// What is answered when there is too much to do to look at the request.
    pub fn overloaded(&self, head: &Parts) -> Response<Body> {
        let moment = (self.shared.moments)();
        let mut response = Rejection::Overloaded.into_response();
        response::finish(&mut response, &exchange::request_id(&head.headers, &moment));
        response
    }

    async fn answer<B>(&self, head: &Parts, body: B, moment: &Moment) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let headers = &head.headers;
        if headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE) {
            return Err(Refusal::Browser);
        }
        if self.shared.access == AdminAccess::Loopback && !origin::loopback_host(headers, &head.uri) {
            return Err(Refusal::Misdirected);
        }
        if let Some(token) = &self.shared.token {
            let sent = bearer(headers).ok().flatten();
            if !sent.is_some_and(|sent| token.equals(sent.as_bytes())) {
                return Err(Refusal::Token);
            }
        }
        match (head.uri.path(), &head.method) {
            ("/metrics", &Method::GET | &Method::HEAD) => {
                let mut response = Response::new(Body::from((self.shared.metrics)()));
                response.headers_mut().insert(CONTENT_TYPE, PROMETHEUS);
                Ok(response)
            }
            ("/metrics", _) => Err(Refusal::Method { allowed: "GET, HEAD" }),
            ("/revoke", &Method::POST) => self.revoke(headers, body, moment).await,
            ("/revoke", _) => Err(Refusal::Method { allowed: "POST" }),
            _ => Err(Refusal::NotFound),
        }
    }

    async fn revoke<B>(
        &self,
        headers: &HeaderMap,
        body: B,
        moment: &Moment,
    ) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let whom = match request::read_body(headers, body).await.map_err(Refusal::Body)? {
            Some((BodyType::Json, bytes)) => whom(&bytes)?,
            Some(_) => return Err(Refusal::Body(Rejection::MediaType)),
            None => return Err(Refusal::Whom),
        };
        let revoked = self.shared.revocation.revoke(&whom, moment).await;
        let status = match revoked.succeeded() {
            Some(true) => StatusCode::OK,
            Some(false) => StatusCode::BAD_GATEWAY,
            None => StatusCode::NOT_IMPLEMENTED,
        };
        let body = serde_json::to_string(&revoked).expect("numbers and texts serialise");
        let mut response = response::json(status, body);
        response.extensions_mut().insert(Revoking { whom, revoked });
        Ok(response)
    }
}

impl fmt::Debug for AdminService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminService").field("access", &self.shared.access).finish_non_exhaustive()
    }
}

fn whom(body: &[u8]) -> Result<Whom, Refusal> {
    let body = json::parse(body)
        .map_err(|error| Refusal::Body(Rejection::Malformed(format!("body: not valid JSON: {error}"))))?;
    match (body.get("clientId"), body.get("everybody")) {
        (Some(Value::String(id)), None) => ClientId::try_from(id.as_str())
            .map(Whom::Client)
            .map_err(|error| Refusal::Body(Rejection::ClientId(error.to_string()))),
        (None, Some(Value::Bool(true))) => Ok(Whom::Everybody),
        _ => Err(Refusal::Whom),
    }
}

/// Why a request is not served.
enum Refusal {
    Browser,
    Misdirected,
    Token,
    NotFound,
    Method { allowed: &'static str },
    Whom,
    Body(Rejection),
}

impl Refusal {
    fn into_response(self) -> Response<Body> {
        let (status, message) = match self {
            Self::Body(Rejection::MediaType) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the body as application/json")
            }
            Self::Body(rejection) => return rejection.into_response(),
            Self::Browser => (StatusCode::FORBIDDEN, "no page in a browser may call here"),
            Self::Misdirected => (
                StatusCode::MISDIRECTED_REQUEST,
                "this listener answers to localhost and loopback addresses, such as 127.0.0.1, only",
            ),
            Self::Token => (StatusCode::UNAUTHORIZED, "send Authorization: Bearer with ACCRUE_ADMIN_TOKEN"),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is nothing here but /metrics and /revoke"),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed here: see Allow"),
            Self::Whom => (StatusCode::BAD_REQUEST, "send {\"clientId\": ID} or {\"everybody\": true}"),
        };
        let code = u32::from(status.as_u16()) * 100;
        let mut response = response::error(status, code, message);
        let headers = response.headers_mut();
        match self {
            Self::Token => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Self::Method { allowed } => headers.insert(ALLOW, HeaderValue::from_static(allowed)),
            _ => None,
        };
        response
    }
}

/// Why there is no [`AdminService`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdminTokenError {
    /// Others can reach it.
    #[error("an admin listener that others can reach needs a token")]
    Missing,
    /// Fewer than 32 bytes.
    #[error("the admin token needs 32 bytes at least")]
    Short,
    /// With white space, or beyond ASCII.
    #[error("the admin token can't be sent in a header: take ASCII without white space")]
    Unsendable,
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Prometheus' text format.
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
