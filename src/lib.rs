//! accrue
mod json;
mod mac;
mod maybe_send;
mod nearest;

pub mod ably;
mod capability;
mod client;
mod grant;
mod held;
mod moment;
mod proposal;

mod issuer;
mod permission;

pub use capability::{
    Capability, CapabilityError, EntryProblem, Operation, Operations, Resource, ResourceError, Vocabulary,
    VocabularyError,
};
pub use client::{Client, ClientId, ClientIdError};
pub use grant::{
    Grant, SealedText, SealingKeys, SealingKeysError, SealingSecret, SealingSecretError, Unreadable, Unsealed,
};
pub use issuer::{Ask, Issued, Issuer, Refusal, RefusalReason, Report, SealedChange, Sealing, Strategy};
pub use maybe_send::{MaybeSend, MaybeSync};
pub use moment::Moment;
pub use permission::{NoPermissions, PermissionCheck, RuleError, Rules};
pub use proposal::{Asked, Decision, Question, Refused, Signable};

#[cfg(feature = "service")]
mod authenticate;
#[cfg(feature = "service")]
mod service;
#[cfg(feature = "service")]
pub use authenticate::{Authenticate, Caller, Claimed, ProxyHeader, Unauthenticated};
#[cfg(feature = "jwt")]
pub use authenticate::{SessionJwt, SessionJwtError};
#[cfg(feature = "service")]
pub use service::{
    AuthService, Body, Carried, CookieSettings, OriginError, Origins, Outcome, OutcomeKind, Page,
    ServiceSettings,
};

#[cfg(feature = "config")]
mod config;
#[cfg(feature = "config")]
pub use config::{Config, ConfigError, Environment, Keyring, LogFormat, NoEnvironment, Problem};

#[cfg(any(feature = "config", feature = "server"))]
mod limits;
#[cfg(any(feature = "config", feature = "server"))]
pub use limits::Limits;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "server")]
pub use serve::serve;
