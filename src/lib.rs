//! An auth server for [Ably](https://ably.com) clients that need one more channel.
//!
//! Ably's clients connect with short-lived tokens that list what their holder may do. When a client needs one
//! more channel it asks for a new token, and somebody has to remember what it was permitted before. With accrue
//! the client remembers: it keeps *grants*, sealed with an HMAC, in a cookie or a header. The server opens them,
//! asks the permission check only about what is new, and answers with a token for everything and an updated
//! grant. Unless it is told to, it keeps no state.
//!
//! ```text
//! authenticate -> recall what is held -> propose: add the wishes -> check what is not yet permitted
//!              -> settle -> fold -> remember -> sign
//! ```
//!
//! The binary `accrue` is this library behind a configuration file. To have it inside your own application, make an
//! [`Issuer`], say who is calling ([`Authenticate`]) and what they may do ([`PermissionCheck`]), both of which
//! closures can do, and mount the [`AuthService`], which is a `tower` service:
//!
//! ```
//! use accrue::ably::ApiKey;
//! use accrue::{
//!     Asked, AuthService, Capability, Caller, Client, ClientId, Decision, Issuer, Moment, Question, Sealing,
//!     SealingKeys, SealingSecret, ServiceSettings, Strategy, Unauthenticated,
//! };
//! use http::Request;
//! use http_body_util::{BodyExt, Full};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! // What signs tokens, and what seals grants: both from your secret store.
//! let key = ApiKey::parse("app.key:an-ably-secret")?;
//! let secret = SealingSecret::parse("k1:ZG9jdW1lbnRhdGlvbi1zYW1wbGUtZG8tbm90LXVzZSE")?;
//! let sealing = Sealing::new(SealingKeys::new(&key, vec![secret])?);
//!
//! // May they? Everybody may read what is public, and nothing else.
//! let check = async |question: Question| match question.asked {
//!     Asked::These(asked) => Decision::Granted(
//!         asked.iter().filter(|(resource, _)| resource.as_str().starts_with("public:"))
//!             .map(|(resource, operations)| (resource, operations.clone()))
//!             .collect(),
//!     ),
//!     Asked::Everything => Decision::Granted(Capability::default()),
//! };
//!
//! // Who is calling? Your own session, put into the request's extensions by your own middleware.
//! #[derive(Clone)]
//! struct User(&'static str);
//! let authenticate = async |caller: Caller| match caller.extensions.get::<User>() {
//!     Some(user) => Ok(Client::new(ClientId::try_from(user.0)?)),
//!     None => Err(Unauthenticated::Refused("no session".into())),
//! };
//!
//! let issuer = Issuer::new(key, Strategy::Cookie(sealing), check)?;
//! let service = AuthService::new(issuer, authenticate, ServiceSettings::default(), Moment::now);
//!
//! // A wish for two channels, of which one is permitted: a token for that one, and a cookie to keep.
//! let wishes = r#"{"capability":{"public:news":["subscribe"],"private:1":["subscribe"]}}"#;
//! let ask = |user| {
//!     let mut request = Request::post("/auth").header("content-type", "application/json");
//!     if let Some(user) = user {
//!         request = request.extension(User(user));
//!     }
//!     request.body(Full::<bytes::Bytes>::from(wishes)).unwrap()
//! };
//! let answer = service.handle(ask(Some("alice"))).await;
//! assert_eq!(answer.status(), 200);
//! assert_eq!(answer.headers()["accrue-refused"], r#"{"denied":{"private:1":["subscribe"]}}"#);
//! assert!(answer.headers()["set-cookie"].to_str()?.starts_with("__Host-accrue."));
//! let token_request: serde_json::Value = serde_json::from_slice(&answer.collect().await?.to_bytes())?;
//! assert_eq!(token_request["capability"], r#"{"public:news":["subscribe"]}"#);
//!
//! // Without a session, a refusal in Ably's own shape.
//! let answer = service.handle(ask(None)).await;
//! assert_eq!(answer.status(), 401);
//! assert_eq!(answer.headers()["x-ably-errorcode"], "40100");
//! # Ok(()) })
//! # }
//! ```
//!
//! # Features
//!
//! Without any, there are the values and the flow: [`Capability`], [`SealingKeys`], [`Issuer`].
//! - `service`: [`AuthService`], over `http`'s types, without sockets and timers. Builds for wasm, as does
//!   `config`.
//! - `config`: `Config`, from a TOML text and an environment.
//! - `jwt`: `SessionJwt`, for callers with a session JWT of your application.
//! - `clock`: [`Moment::now`].
//! - `redb`: `RedbStore`, which keeps grants and revocations in a file.
//! - `redis`: `RedisStore`, which keeps them in Redis.
//! - `server`: `serve`, an accept loop with limits and timeouts.
//! - `cli` (by default): the binary, with all of these.
//! - `lambda` (by default): the binary as an AWS Lambda function.
//! - `client`: `HttpsClient`, for what the service asks other servers.

// In the order of the layers. Each may use those before it, and no other.

// values: no clock, no randomness, no I/O
pub mod ably;
mod capability;
mod client;
mod deflate;
mod grant;
mod held;
mod json;
mod mac;
mod moment;
mod nearest;
mod proposal;

// flow: asynchronous; what talks to others (webhook, redb, Redis) is behind its trait and comes with a feature
#[cfg(feature = "service")]
mod http_client;
mod issuer;
mod maybe_send;
mod permission;
mod store;

// service: HTTP types, no sockets, no timers
#[cfg(feature = "service")]
mod authenticate;
#[cfg(feature = "config")]
mod config;
#[cfg(any(feature = "config", feature = "server"))]
mod limits;
#[cfg(feature = "service")]
mod revocation;
#[cfg(feature = "service")]
mod service;

// native: where clocks, chance and sockets are
#[cfg(feature = "clock")]
mod clock;
#[cfg(feature = "client")]
mod https;
#[cfg(feature = "server")]
mod serve;

pub use capability::{
    Capability, CapabilityError, EntryProblem, Operations, Resource, ResourceError, Vocabulary,
    VocabularyError,
};
pub use client::{Client, ClientId, ClientIdError};
pub use grant::{
    Grant, SealedText, SealingKeys, SealingKeysError, SealingSecret, SealingSecretError, Unreadable, Unsealed,
};
#[cfg(feature = "service")]
pub use http_client::{Endpoint, EndpointError, HttpCall, HttpClient, HttpClientError, NoHttpClient};
pub use issuer::{
    Ask, Issued, Issuer, IssuerError, Refusal, RefusalReason, Report, SealedChange, Sealing, Strategy, Took,
};
pub use maybe_send::{MaybeSend, MaybeSync};
pub use moment::Moment;
pub use permission::{NoPermissions, PermissionCheck, RuleError, Rules};
#[cfg(feature = "service")]
pub use permission::{Webhook, WebhookSettings};
pub use proposal::{Asked, Decision, Question, Refused, Signable};
#[cfg(feature = "redb")]
pub use store::RedbStore;
#[cfg(feature = "redis")]
pub use store::RedisStore;
pub use store::{
    GrantStore, MARKS_KEPT_FOR, MemoryStore, Store, StoreChange, StoreError, StoreUrl, StoreUrlError, Stored,
    Whom,
};

#[cfg(feature = "service")]
pub use authenticate::{
    Authenticate, Caller, Claimed, ForwardAuth, ProxyHeader, ProxyHeaderError, Unauthenticated,
};
#[cfg(feature = "jwt")]
pub use authenticate::{SessionJwt, SessionJwtError};
#[cfg(feature = "config")]
pub use config::{
    AssembleError, Assembled, Config, ConfigError, Environment, Flag, Keyring, LogFormat, NoEnvironment,
    Problem,
};
#[cfg(feature = "client")]
pub use https::HttpsClient;
#[cfg(any(feature = "config", feature = "server"))]
pub use limits::Limits;
#[cfg(feature = "service")]
pub use revocation::{Half, Revocation, Revoked};
#[cfg(feature = "server")]
pub use serve::{Handler, serve};
#[cfg(feature = "service")]
pub use service::{
    AdminAccess, AdminService, AdminTokenError, AuthService, Body, Carried, CookieNameError, CookieScope,
    CookieSettings, OriginError, Origins, Outcome, OutcomeKind, Page, Revoking, ServiceSettings,
};
