//! Ably's own shapes: API keys, tokens, errors.

mod api_key;
mod error_info;
mod jwt;
#[cfg(feature = "service")]
mod revoke_tokens;
mod token;
mod token_request;

pub use api_key::{ApiKey, ApiKeyError};
pub use error_info::ErrorInfo;
pub use jwt::{JwtError, TokenDetails, UntrustedJwt};
#[cfg(feature = "service")]
pub(crate) use revoke_tokens::{ABLY_VERSION, RevokeTokens, applies_at};
pub use token::{Format, Token, Ttl, TtlError};
pub use token_request::{TokenRequest, UntrustedTokenRequest};
