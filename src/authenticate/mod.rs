//! "Who is calling?": authentication, pluggable.

mod claimed;
mod credentials;
mod forward;
mod header;
#[cfg(feature = "jwt")]
mod jwt;

use http::{Extensions, HeaderMap};

pub use claimed::Claimed;
pub(crate) use credentials::bearer;
pub(crate) use credentials::each_cookie;
pub use forward::ForwardAuth;
pub use header::{ProxyHeader, ProxyHeaderError};
#[cfg(feature = "jwt")]
pub use jwt::{SessionJwt, SessionJwtError};

use crate::client::{Client, ClientId, ClientIdError};
use crate::maybe_send::{BoxFuture, MaybeSend, MaybeSync};

/// What is known of a caller before it is authenticated.
#[non_exhaustive]
pub struct Caller {
    /// The request's headers, credentials included.
    pub headers: HeaderMap,
    /// What an outer layer has put there, such as a session of your own.
    pub extensions: Extensions,
    /// The clientId that the caller names as a parameter. Anybody can name any.
    pub claimed: Option<ClientId>,
    /// Unix seconds.
    pub now: u64,
}

impl Caller {
    /// A caller with these headers.
    pub fn new(headers: HeaderMap, now: u64) -> Self {
        Self { headers, extensions: Extensions::new(), claimed: None, now }
    }
}

/// Without the headers, which hold credentials.
impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller").field("claimed", &self.claimed).finish_non_exhaustive()
    }
}

/// Says who is calling.
///
/// Closures do:
///
/// ```
/// use accrue::{Authenticate, Caller, Client, ClientId, Unauthenticated};
///
/// #[derive(Clone)]
/// struct User(String);
///
/// fn accept(_: impl Authenticate) {}
///
/// accept(async |caller: Caller| match caller.extensions.get::<User>() {
///     Some(User(name)) => Ok(Client::new(ClientId::try_from(name.as_str())?)),
///     None => Err(Unauthenticated::Refused("no session".into())),
/// });
/// ```
pub trait Authenticate: MaybeSend + MaybeSync + 'static {
    /// Authenticates.
    fn authenticate(
        &self,
        caller: Caller,
    ) -> impl Future<Output = Result<Client, Unauthenticated>> + MaybeSend;

    /// What a caller that is not authenticated should do about it.
    fn advice(&self) -> &'static str {
        "sign in to the application and try again"
    }

    /// Whether it could say now who somebody is; `now` in Unix seconds. Asked for `/readyz`.
    ///
    /// # Errors
    /// Why it couldn't.
    fn ready(&self, _now: u64) -> impl Future<Output = Result<(), String>> + MaybeSend {
        async { Ok(()) }
    }

    /// Whether it believes what anybody says. Then the service answers to localhost only, and never behind a proxy.
    fn believes_anybody(&self) -> bool {
        false
    }
}

impl<F, A> Authenticate for F
where
    F: Fn(Caller) -> A + MaybeSend + MaybeSync + 'static,
    A: Future<Output = Result<Client, Unauthenticated>> + MaybeSend,
{
    fn authenticate(
        &self,
        caller: Caller,
    ) -> impl Future<Output = Result<Client, Unauthenticated>> + MaybeSend {
        self(caller)
    }
}

/// Why a caller is not authenticated. The texts are for the log, callers don't see them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unauthenticated {
    /// No credential, or one that is not accepted.
    #[error("{0}")]
    Refused(String),
    /// Authenticated, but with an id that can't be a clientId.
    #[error("the authenticated id can't be a clientId: {0}")]
    ClientId(#[from] ClientIdError),
    /// It could not be found out.
    #[error("{0}")]
    Unavailable(String),
}

pub(crate) fn refused(cause: impl Into<String>) -> Unauthenticated {
    Unauthenticated::Refused(cause.into())
}

/// [`Authenticate`] of any kind behind a pointer, so that what holds it needs no type parameter.
pub(crate) trait AnyAuthenticate: MaybeSend + MaybeSync {
    fn authenticate(&self, caller: Caller) -> BoxFuture<'_, Result<Client, Unauthenticated>>;
    fn ready(&self, now: u64) -> BoxFuture<'_, Result<(), String>>;
    fn advice(&self) -> &'static str;
    fn believes_anybody(&self) -> bool;
}

impl<T: Authenticate> AnyAuthenticate for T {
    fn authenticate(&self, caller: Caller) -> BoxFuture<'_, Result<Client, Unauthenticated>> {
        Box::pin(Authenticate::authenticate(self, caller))
    }

    fn ready(&self, now: u64) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(Authenticate::ready(self, now))
    }

    fn advice(&self) -> &'static str {
        Authenticate::advice(self)
    }

    fn believes_anybody(&self) -> bool {
        Authenticate::believes_anybody(self)
    }
}
