/// Why there is no [`SessionJwt`](super::SessionJwt). No text repeats a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionJwtError {
    /// Not an algorithm of RFC 7518 that is supported.
    #[error(
        "unknown JWT algorithm {name:?}; there are HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA"
    )]
    UnknownAlgorithm {
        /// Its name.
        name: String,
    },
    /// The key can't be used with it.
    #[error("{algorithm} does not fit this kind of key; write some of {fitting}")]
    UnfitAlgorithm {
        /// Its name.
        algorithm: String,
        /// Those that fit.
        fitting: String,
    },
    /// Fewer than 32 bytes.
    #[error("a shared secret needs 32 bytes at least")]
    ShortSecret,
    /// A key in PEM or JSON: mostly a public one, with which anybody could sign.
    #[error(
        "this is a key in PEM or JSON, not a shared secret: public keys go under public_key or jwks, or anybody could sign sessions with them"
    )]
    KeyAsSecret,
    /// Not for whom only verifies.
    #[error(
        "this is a private key; write the public one (-----BEGIN PUBLIC KEY-----), and keep this one where sessions are signed"
    )]
    PrivateKey,
    /// Fewer than 2048 bits.
    #[error("an RSA key needs 2048 bits at least (RFC 7518, section 3.3)")]
    ShortRsaKey,
    /// Neither RSA, EC nor Ed25519.
    #[error("not a public key in PEM (-----BEGIN PUBLIC KEY-----) of RSA, P-256, P-384 or Ed25519")]
    PublicKey,
    /// Not a JSON Web Key Set.
    #[error("not a JSON Web Key Set, at line {line} column {column}")]
    Jwks {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A key set is meant to be public.
    #[error("the JSON Web Key Set holds a shared secret (kty \"oct\"); use `secret` for that")]
    SecretInJwks,
    /// Every key was passed over.
    #[error(
        "the JSON Web Key Set holds no key that can verify with the algorithms wanted (RSA keys need 2048 bits at least)"
    )]
    NoKeyInJwks,
}

#[cfg(feature = "config")]
impl SessionJwtError {
    /// Whether another key would not help.
    pub(crate) fn is_about_algorithms(&self) -> bool {
        matches!(self, Self::UnknownAlgorithm { .. } | Self::UnfitAlgorithm { .. })
    }
}
