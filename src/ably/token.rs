use serde::Serialize;

use super::{ApiKey, TokenDetails, TokenRequest};
use crate::client::ClientId;
use crate::moment::Moment;
use crate::proposal::Signable;

/// How long a token lives, in whole milliseconds: 1 second at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u64);

impl Ttl {
    const SHORTEST: u64 = 1_000;

    /// Takes milliseconds; less than 1000 counts as 1000.
    pub const fn from_millis(millis: u64) -> Self {
        Self(if millis < Self::SHORTEST { Self::SHORTEST } else { millis })
    }

    /// In milliseconds.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// Reads a wish: a positive whole number of milliseconds in digits, however large.
    ///
    /// # Errors
    /// [`TtlError`] for anything else.
    ///
    /// ```
    /// use accrue::ably::Ttl;
    ///
    /// assert_eq!(Ttl::parse("60000")?.as_millis(), 60_000);
    /// assert_eq!(Ttl::parse("5")?.as_millis(), 1_000);
    /// assert!(Ttl::parse("0").is_err());
    /// assert!(Ttl::parse("60s").is_err());
    /// # Ok::<(), accrue::ably::TtlError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, TtlError> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(TtlError);
        }
        match text.parse() {
            Ok(0) => Err(TtlError),
            Ok(millis) => Ok(Self::from_millis(millis)),
            // more digits than fit are a long time all the same
            Err(_) => Ok(Self(u64::MAX)),
        }
    }
}

/// A text that is not a positive whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ttl must be a positive whole number of milliseconds")]
pub struct TtlError;

/// Which kind of token is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// An Ably TokenRequest, which the client exchanges at Ably.
    #[default]
    Request,
    /// A JWT that works at once, while it fits 7 KiB; a TokenRequest beyond, as a JWT travels in headers and URLs.
    Jwt,
}

/// A signed token, ready to be serialised as the answer to an Ably SDK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Token {
    /// For [`Format::Request`].
    Request(TokenRequest),
    /// For [`Format::Jwt`].
    Details(TokenDetails),
}

impl Token {
    /// Signs. What may be signed is a [`Signable`], and that is never empty: Ably would take an empty or
    /// omitted capability for all that the key may do.
    ///
    /// This does not compile, whatever the capability holds:
    ///
    /// ```compile_fail,E0308
    /// # use accrue::{Capability, ClientId, Moment, ably::*};
    /// fn sign(key: &ApiKey, client: &ClientId, ttl: Ttl, moment: &Moment) -> Token {
    ///     Token::sign(Format::Request, key, &Capability::default(), client, ttl, moment)
    /// }
    /// ```
    ///
    /// and this does:
    ///
    /// ```
    /// # use accrue::{ClientId, Moment, Signable, ably::*};
    /// fn sign(key: &ApiKey, proven: &Signable, client: &ClientId, ttl: Ttl, moment: &Moment) -> Token {
    ///     Token::sign(Format::Request, key, proven, client, ttl, moment)
    /// }
    /// ```
    pub fn sign(
        format: Format,
        key: &ApiKey,
        capability: &Signable,
        client_id: &ClientId,
        ttl: Ttl,
        moment: &Moment,
    ) -> Self {
        if format == Format::Jwt {
            let details = TokenDetails::sign(key, capability, client_id, ttl, moment, LONGEST_JWT);
            if let Some(details) = details {
                return Self::Details(details);
            }
        }
        Self::Request(TokenRequest::sign(key, capability, client_id, ttl, moment))
    }
}

const LONGEST_JWT: usize = 7 * 1024;
