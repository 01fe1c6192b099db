//! accrue
mod json;
mod mac;
mod maybe_send;
mod nearest;

mod capability;
mod client;
mod grant;
mod held;
mod moment;
mod proposal;
pub mod ably;

mod issuer;
mod permission;

pub use capability::{Capability, CapabilityError, EntryProblem, Operation, Operations, Resource, ResourceError, Vocabulary, VocabularyError};
pub use client::{Client, ClientId, ClientIdError};
pub use grant::{Grant, SealedText, SealingKeys, SealingKeysError, SealingSecret, SealingSecretError, Unreadable, Unsealed};
pub use moment::Moment;
pub use proposal::{Asked, Decision, Question, Refused, Signable};
pub use maybe_send::{MaybeSend, MaybeSync};
pub use permission::{NoPermissions, PermissionCheck, RuleError, Rules};
pub use issuer::{Ask, Issued, Issuer, Refusal, RefusalReason, Report, Sealing, SealedChange, Strategy};

#[cfg(feature = "service")]
mod authenticate;
#[cfg(feature = "service")]
mod service;
#[cfg(feature = "service")]
pub use authenticate::{Authenticate, Caller, Claimed, ProxyHeader, Unauthenticated};
#[cfg(feature = "jwt")]
pub use authenticate::{SessionJwt, SessionJwtError};
#[cfg(feature = "service")]
pub use service::{AuthService, Body, Carried, CookieSettings, OriginError, Origins, Outcome, OutcomeKind, Page, ServiceSettings};

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
