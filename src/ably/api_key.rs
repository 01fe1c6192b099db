use std::fmt;
use std::sync::Arc;

#[cfg(feature = "service")]
use crate::mac::Secret;
use crate::mac::SigningKey;

/// An Ably API key, `appId.keyId:secret`: what signs tokens.
///
/// The secret is used as its UTF-8 bytes, it is not base64. A second `:` is refused: SDKs disagree on
/// which part of such a key is the secret.
///
/// ```
/// use accrue::ably::ApiKey;
///
/// let key = ApiKey::parse("appid.keyid:secret")?;
/// assert_eq!(key.name(), "appid.keyid");
/// assert_eq!(format!("{key:?}"), "appid.keyid:[redacted]");
/// assert!(ApiKey::parse("appid.keyid:sec:ret").is_err());
/// # Ok::<(), accrue::ably::ApiKeyError>(())
/// ```
///
/// Source: Ably's specification, items RSA11 and RSA17g.
#[derive(Clone)]
pub struct ApiKey {
    name: Arc<str>,
    app_id_len: usize,
    signing: SigningKey,
    #[cfg(feature = "service")]
    secret: Secret,
}

impl ApiKey {
    /// Reads `appId.keyId:secret`.
    ///
    /// # Errors
    /// [`ApiKeyError`], which never repeats the secret.
    pub fn parse(text: &str) -> Result<Self, ApiKeyError> {
        let (name, secret) = text.split_once(':').ok_or(ApiKeyError::NoSecret)?;
        let (app_id, key_id) = name.split_once('.').ok_or(ApiKeyError::Name)?;
        if !well_formed(app_id) || !well_formed(key_id) {
            return Err(ApiKeyError::Name);
        }
        match secret {
            "" => Err(ApiKeyError::NoSecret),
            _ if secret.contains(':') => Err(ApiKeyError::SecondColon),
            _ if secret.trim() != secret || secret.contains(char::is_control) => Err(ApiKeyError::Blank),
            _ => Ok(Self {
                name: name.into(),
                app_id_len: app_id.len(),
                signing: SigningKey::new(secret.as_bytes()),
                #[cfg(feature = "service")]
                secret: Secret::new(secret),
            }),
        }
    }

    /// `appId.keyId`: Ably's `keyName`, which is no secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The Ably app that the key belongs to.
    pub fn app_id(&self) -> &str {
        &self.name[..self.app_id_len]
    }

    /// What signs tokens.
    pub(crate) fn signing(&self) -> &SigningKey {
        &self.signing
    }

    #[cfg(feature = "service")]
    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[redacted]", self.name)
    }
}

fn well_formed(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Why a text is not an [`ApiKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// Nothing before or around the dot that could be a name.
    #[error("an Ably API key is appId.keyId:secret; the name before the colon is not appId.keyId")]
    Name,
    /// Nothing after the colon, or no colon.
    #[error("an Ably API key is appId.keyId:secret; this one has no secret")]
    NoSecret,
    /// SDKs disagree on what the secret is then.
    #[error("an Ably API key is appId.keyId:secret; this one has a second colon")]
    SecondColon,
    /// White space around the secret or a control character in it: mostly the end of the line that it was read from.
    #[error("an Ably API key is appId.keyId:secret; this one has white space or a line's end at its secret")]
    Blank,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses() {
        let key = ApiKey::parse("I3F_QX.Abc-123:sécret-☃.x").unwrap();
        assert_eq!((key.name(), key.app_id()), ("I3F_QX.Abc-123", "I3F_QX"));
        for (text, error) in [
            ("", ApiKeyError::NoSecret),
            ("app.key", ApiKeyError::NoSecret),
            ("app.key:", ApiKeyError::NoSecret),
            ("app:secret", ApiKeyError::Name),
            (".key:secret", ApiKeyError::Name),
            ("app.:secret", ApiKeyError::Name),
            ("a.b.c:secret", ApiKeyError::Name),
            ("app.k y:secret", ApiKeyError::Name),
            (" app.key:secret", ApiKeyError::Name),
            ("app.key:a:b", ApiKeyError::SecondColon),
            ("app.key::", ApiKeyError::SecondColon),
            ("app.key:secret\n", ApiKeyError::Blank),
            ("app.key: secret", ApiKeyError::Blank),
            ("app.key:sec\u{0}ret", ApiKeyError::Blank),
        ] {
            assert_eq!(ApiKey::parse(text).unwrap_err(), error, "{text:?}");
        }
    }
}
