use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

/// Who a token is for: Ably's `clientId`.
///
/// 1 to 256 bytes of UTF-8, without `*` (alone it would let the holder choose any clientId), without
/// control characters and without the line separators U+2028 and U+2029 (a line break would shift
/// the lines that Ably's signature covers). Compared byte for byte, never normalised.
///
/// ```
/// use accrue::ClientId;
///
/// assert_eq!(ClientId::try_from("org:zoë")?.as_str(), "org:zoë");
/// assert!(ClientId::try_from("").is_err());
/// assert!(ClientId::try_from("*").is_err());
/// # Ok::<(), accrue::ClientIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// The longest clientId, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for ClientId {
    type Error = ClientIdError;

    fn try_from(text: &str) -> Result<Self, ClientIdError> {
        if text.is_empty() {
            return Err(ClientIdError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(ClientIdError::TooLong { bytes: text.len() });
        }
        if text.contains('*') {
            return Err(ClientIdError::Star);
        }
        if text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(ClientIdError::Control);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Why a text is not a [`ClientId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientIdError {
    /// No text at all.
    #[error("clientId is empty")]
    Empty,
    /// Longer than [`ClientId::MAX_BYTES`].
    #[error("clientId has {bytes} bytes, at most 256 are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Holds a `*`.
    #[error("clientId must not contain \"*\"")]
    Star,
    /// Holds a control character or a line separator.
    #[error("clientId must not contain control characters or line breaks")]
    Control,
}

/// An authenticated caller: what the permission check may know of them.
///
/// ```
/// use accrue::{Client, ClientId};
///
/// let mut client = Client::new(ClientId::try_from("alice")?);
/// client.claims.insert("team".into(), "blue".into());
/// # Ok::<(), accrue::ClientIdError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Client {
    /// Who it is.
    pub id: ClientId,
    /// What else the session says about them; rules read it as `{claims.NAME}`.
    pub claims: Map<String, Value>,
    /// Unix seconds: what was permitted at or before this moment is revoked.
    pub not_before: Option<u64>,
}

impl Client {
    /// A client without claims and with nothing revoked.
    pub fn new(id: ClientId) -> Self {
        Self { id, claims: Map::new(), not_before: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses() {
        for good in ["a", "org:alice", "zoë", "a\"b\\c", "a b", "日本", &"x".repeat(256)] {
            assert_eq!(ClientId::try_from(good).unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", ClientIdError::Empty),
            ("*", ClientIdError::Star),
            ("a*b", ClientIdError::Star),
            ("a\nb", ClientIdError::Control),
            ("a\u{7f}", ClientIdError::Control),
            ("a\u{85}", ClientIdError::Control),
            ("a\u{2028}b", ClientIdError::Control),
            ("a\u{2029}b", ClientIdError::Control),
            (&"x".repeat(257), ClientIdError::TooLong { bytes: 257 }),
            (&"é".repeat(129), ClientIdError::TooLong { bytes: 258 }),
        ] {
            assert_eq!(ClientId::try_from(bad).unwrap_err(), why, "{bad:?}");
        }
    }
}
