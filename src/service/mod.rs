//! `/auth` over HTTP types: no sockets, no timers.

mod admin;
mod carrier;
mod exchange;
mod origin;
mod outcome;
mod request;
mod response;

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use http_body::Body as HttpBody;

pub use admin::{AdminAccess, AdminService, AdminTokenError, Revoking};
pub use carrier::{Carried, CookieNameError, CookieScope, CookieSettings};
pub use origin::{OriginError, Origins};
pub use outcome::{Outcome, OutcomeKind};
pub use response::Body;

use exchange::Exchange;
use response::Rejection;

use crate::authenticate::{AnyAuthenticate, Authenticate};
use crate::issuer::Issuer;
use crate::maybe_send::{BoxFuture, MaybeSend, MaybeSync};
use crate::moment::Moment;

/// The auth server as a service: from a request to an answer.
///
/// It is a [`tower_service::Service`] for whatever runs those (hyper, axum), and [`handle`](Self::handle) for
/// whatever doesn't. Cloning it is cheap. An [`Outcome`] is in every response's extensions.
///
/// Its paths are exactly `/auth`, `/healthz` and `/readyz` (and `/` if there is a [`Page`]): mounted below a prefix, the
/// prefix has to be stripped. It has no timers, so timeouts for bodies and for the permission check, and a limit on
/// requests in flight, are its host's; [`serve`](crate::serve) has them. Bodies are limited to 64 KiB and heads to 32
/// KiB here.
#[derive(Clone)]
pub struct AuthService {
    shared: Arc<Shared>,
}

struct Shared {
    issuer: Issuer,
    authenticate: Box<dyn AnyAuthenticate>,
    settings: ServiceSettings,
    moments: Box<dyn Moments>,
}

trait Moments: Fn() -> Moment + MaybeSend + MaybeSync {}
impl<F: Fn() -> Moment + MaybeSend + MaybeSync> Moments for F {}

/// How the service meets browsers.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ServiceSettings {
    /// The origins whose pages may call, besides the service's own.
    pub origins: Origins,
    /// How grants travel as cookies.
    pub cookies: CookieSettings,
    /// What `GET /` shows.
    pub page: Option<Page>,
}

/// A page to be shown at `/`.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its text; every `{nonce}` is replaced by one made for this answer.
    pub html: String,
    /// Its Content-Security-Policy, likewise.
    pub content_security_policy: String,
}

impl AuthService {
    /// A service that issues with `issuer` to whom `authenticate` knows. `moments` is asked once for each request:
    /// `Moment::now` (feature `clock`), or what your platform has for a clock and a random source.
    pub fn new(
        issuer: Issuer,
        authenticate: impl Authenticate,
        settings: ServiceSettings,
        moments: impl Fn() -> Moment + MaybeSend + MaybeSync + 'static,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                issuer,
                authenticate: Box::new(authenticate),
                settings,
                moments: Box::new(moments),
            }),
        }
    }

    /// Answers one request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let moment = (self.shared.moments)();
        let (head, body) = request.into_parts();
        let mut exchange = Exchange::new(&self.shared, &head, &moment);
        let answer = exchange.answer(head, body).await;
        exchange.finish(answer)
    }

    /// Whether it could do its work now: the store, if any, answers, and it can be told who is calling. `/readyz` says the
    /// same.
    ///
    /// # Errors
    /// What does not answer.
    pub async fn ready(&self) -> Result<(), String> {
        let moment = (self.shared.moments)();
        self.shared.ready(&moment).await
    }

    /// What is answered when there is too much to do to look at the request: 503, in the usual shape.
    pub fn overloaded(&self, head: &Parts) -> Response<Body> {
        let moment = (self.shared.moments)();
        Exchange::new(&self.shared, head, &moment).finish(Err(Rejection::Overloaded))
    }
}

impl Shared {
    async fn ready(&self, moment: &Moment) -> Result<(), String> {
        self.issuer.ready().await.map_err(|error| error.to_string())?;
        self.authenticate.ready(moment.now_secs()).await
    }
}

impl fmt::Debug for AuthService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthService")
            .field("issuer", &self.shared.issuer)
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl<B> tower_service::Service<Request<B>> for AuthService
where
    B: HttpBody + MaybeSend + 'static,
    B::Data: MaybeSend,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.handle(request).await) })
    }
}
