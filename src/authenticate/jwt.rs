use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::{Authenticate, Caller, Unauthenticated, bearer, cookies, refused};
use crate::client::{Client, ClientId};

/// Verifies the application's own session JWT, from `Authorization: Bearer` or from a cookie.
///
/// A JWT must have `exp`; `nbf` is heeded; both with 60 seconds of leeway. With a cookie configured, an
/// `Authorization` header that says anything decides alone all the same. All claims become the client's.
///
/// ```
/// use accrue::SessionJwt;
///
/// let session = SessionJwt::with_secret("32 bytes or more, known to your app", &[])?.in_cookie("session");
/// assert!(SessionJwt::with_secret("32 bytes or more, known to your app", &["RS256"]).is_err());
/// # Ok::<(), accrue::SessionJwtError>(())
/// ```
#[derive(Clone)]
pub struct SessionJwt {
    keys: Vec<VerifyingKey>,
    cookie: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    client_id_claim: String,
    not_before_claim: Option<String>,
}

#[derive(Clone)]
struct VerifyingKey {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl SessionJwt {
    pub(crate) const MIN_SECRET_BYTES: usize = 32;

    /// With a shared secret. Algorithms: some of HS256 (the default), HS384, HS512.
    ///
    /// # Errors
    /// For a secret of fewer than 32 bytes (RFC 7518, section 3.2), and for an algorithm that is unknown or takes
    /// another kind of key.
    pub fn with_secret(secret: &str, algorithms: &[&str]) -> Result<Self, SessionJwtError> {
        if secret.len() < Self::MIN_SECRET_BYTES {
            return Err(SessionJwtError::ShortSecret);
        }
        let key = DecodingKey::from_secret(secret.as_bytes());
        Ok(Self::new(vec![VerifyingKey::new(key, algorithms)?]))
    }

    /// With a public key in PEM. Algorithms: by default RS256 for an RSA key, ES256 for one on P-256, ES384 for
    /// one on P-384, EdDSA for Ed25519.
    ///
    /// # Errors
    /// For a text that is no public key, and for an algorithm that is unknown or takes another kind of key.
    pub fn with_public_key(pem: &str, algorithms: &[&str]) -> Result<Self, SessionJwtError> {
        let pem = pem.as_bytes();
        let key = DecodingKey::from_rsa_pem(pem)
            .or_else(|_| DecodingKey::from_ec_pem(pem))
            .or_else(|_| DecodingKey::from_ed_pem(pem))
            .map_err(|_| SessionJwtError::PublicKey)?;
        // of another curve, say
        if fitting(&key).is_empty() {
            return Err(SessionJwtError::PublicKey);
        }
        Ok(Self::new(vec![VerifyingKey::new(key, algorithms)?]))
    }

    /// With the public keys of a JSON Web Key Set (RFC 7517). Each key takes the algorithm it names, or what is
    /// usual for its kind; `algorithms` narrows that down. Keys meant for encryption are passed over.
    ///
    /// # Errors
    /// For a text that is no set, for one with a shared secret in it, and if no key is left.
    pub fn with_jwks(json: &str, algorithms: &[&str]) -> Result<Self, SessionJwtError> {
        let set: JwkSet = serde_json::from_str(json)
            .map_err(|error| SessionJwtError::Jwks { line: error.line(), column: error.column() })?;
        let wanted = parse_algorithms(algorithms)?;
        let mut keys = Vec::new();
        for jwk in set.keys.iter().filter(|jwk| is_for_signatures(jwk)) {
            if let AlgorithmParameters::OctetKey(_) = &jwk.algorithm {
                return Err(SessionJwtError::SecretInJwks);
            }
            let named = match jwk.common.key_algorithm {
                Some(named) => match Algorithm::from_str(&named.to_string()) {
                    Ok(named) => Some(named),
                    Err(_) => continue,
                },
                None => None,
            };
            let Ok(key) = DecodingKey::from_jwk(jwk) else { continue };
            let mut algorithms = match (named, wanted.as_slice()) {
                (Some(named), []) => vec![named],
                (Some(named), wanted) => wanted.iter().copied().filter(|one| *one == named).collect(),
                (None, []) => usual(&key),
                (None, wanted) => wanted.to_vec(),
            };
            algorithms.retain(|one| fitting(&key).contains(one));
            if !algorithms.is_empty() {
                keys.push(VerifyingKey { kid: jwk.common.key_id.clone(), algorithms, key });
            }
        }
        match keys.is_empty() {
            true => Err(SessionJwtError::NoKeyInJwks),
            false => Ok(Self::new(keys)),
        }
    }

    fn new(keys: Vec<VerifyingKey>) -> Self {
        Self {
            keys,
            cookie: None,
            issuer: None,
            audience: None,
            client_id_claim: "sub".to_owned(),
            not_before_claim: None,
        }
    }

    /// Reads the JWT from this cookie where `Authorization` says nothing.
    #[must_use]
    pub fn in_cookie(self, name: impl Into<String>) -> Self {
        Self { cookie: Some(name.into()), ..self }
    }

    /// Requires this `iss`.
    #[must_use]
    pub fn with_issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// Requires this among `aud`.
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        Self { audience: Some(audience.into()), ..self }
    }

    /// Takes the clientId from this claim, a text, instead of `sub`.
    #[must_use]
    pub fn with_client_id_claim(self, name: impl Into<String>) -> Self {
        Self { client_id_claim: name.into(), ..self }
    }

    /// Takes from this claim, in Unix seconds, the moment up to which what was permitted is revoked.
    #[must_use]
    pub fn with_not_before_claim(self, name: impl Into<String>) -> Self {
        Self { not_before_claim: Some(name.into()), ..self }
    }

    fn verify(&self, token: &str, now: u64) -> Result<Client, Unauthenticated> {
        if has_critical_extensions(token) {
            return Err(refused("session JWT: it demands extensions (crit) that are not supported"));
        }
        let header = decode_header(token).map_err(|error| unreadable(&error))?;
        let key = self.key(header.kid.as_deref()).ok_or_else(|| {
            refused("session JWT: its kid is unknown, or it has none and there are several keys")
        })?;
        if !key.algorithms.contains(&header.alg) {
            return Err(refused(format!("session JWT: {:?} is not accepted for this key", header.alg)));
        }
        let claims = decode::<Map<String, Value>>(token, &key.key, &self.validation(header.alg))
            .map_err(|error| unreadable(&error))?
            .claims;

        let exp = time(&claims, "exp")?.ok_or_else(|| refused("session JWT: no exp"))?;
        if now >= exp.saturating_add(LEEWAY) {
            return Err(refused("session JWT: expired"));
        }
        if time(&claims, "nbf")?.is_some_and(|nbf| nbf > now.saturating_add(LEEWAY)) {
            return Err(refused("session JWT: not valid yet"));
        }
        let not_before = match &self.not_before_claim {
            Some(name) => time(&claims, name)?,
            None => None,
        };
        let id = claims
            .get(&self.client_id_claim)
            .and_then(Value::as_str)
            .ok_or_else(|| refused(format!("session JWT: claim {:?} is not a text", self.client_id_claim)))?;
        let mut client = Client::new(ClientId::try_from(id)?);
        client.not_before = not_before;
        client.claims = claims;
        Ok(client)
    }

    fn key(&self, kid: Option<&str>) -> Option<&VerifyingKey> {
        match (self.keys.as_slice(), kid) {
            // a lone key without a name is meant for every token, whatever that calls its key
            ([only], _) if only.kid.is_none() => Some(only),
            ([only], None) => Some(only),
            (keys, Some(kid)) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
            _ => None,
        }
    }

    /// Signature, issuer and audience. The times are compared here, with the moment's clock.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = self.audience.is_some();
        validation.required_spec_claims.clear();
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        validation
    }
}

impl Authenticate for SessionJwt {
    async fn authenticate(&self, caller: Caller) -> Result<Client, Unauthenticated> {
        if let Some(token) = bearer(&caller.headers)? {
            return self.verify(token, caller.now);
        }
        let Some(name) = &self.cookie else {
            return Err(refused("no Authorization header"));
        };
        let mut sessions: Vec<String> =
            cookies(&caller.headers).filter(|(found, _)| found == name).map(|(_, value)| value).collect();
        sessions.dedup();
        match sessions.as_slice() {
            [] => Err(refused(format!("no cookie {name:?}"))),
            [token] => self.verify(token, caller.now),
            // which of them the application believes can't be known here
            _ => Err(refused(format!("several cookies {name:?} with different values"))),
        }
    }
}

/// In one line, for whoever operates the service.
impl fmt::Display for SessionJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cookie {
            Some(cookie) => write!(f, "cookie {cookie:?} or Authorization: Bearer")?,
            None => f.write_str("Authorization: Bearer")?,
        }
        write!(f, "; {} key{}", self.keys.len(), if self.keys.len() == 1 { "" } else { "s" })?;
        let mut algorithms: Vec<String> =
            self.keys.iter().flat_map(|key| &key.algorithms).map(|one| format!("{one:?}")).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        write!(f, " for {}; clientId from {:?}", algorithms.join(", "), self.client_id_claim)?;
        if let Some(issuer) = &self.issuer {
            write!(f, "; issuer {issuer:?}")?;
        }
        if let Some(audience) = &self.audience {
            write!(f, "; audience {audience:?}")?;
        }
        if let Some(claim) = &self.not_before_claim {
            write!(f, "; not before {claim:?}")?;
        }
        Ok(())
    }
}

/// Without the keys.
impl fmt::Debug for SessionJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionJwt")
            .field("keys", &self.keys.len())
            .field("cookie", &self.cookie)
            .field("client_id_claim", &self.client_id_claim)
            .finish_non_exhaustive()
    }
}

impl VerifyingKey {
    fn new(key: DecodingKey, algorithms: &[&str]) -> Result<Self, SessionJwtError> {
        let wanted = parse_algorithms(algorithms)?;
        let fitting = fitting(&key);
        if let Some(unfit) = wanted.iter().find(|one| !fitting.contains(one)) {
            let fitting: Vec<String> = fitting.iter().map(|one| format!("{one:?}")).collect();
            return Err(SessionJwtError::UnfitAlgorithm {
                algorithm: format!("{unfit:?}"),
                fitting: fitting.join(", "),
            });
        }
        let algorithms = if wanted.is_empty() { usual(&key) } else { wanted };
        Ok(Self { kid: None, algorithms, key })
    }
}

/// As the key says itself (RFC 7517, sections 4.2 and 4.3); one that says nothing is for anything.
fn is_for_signatures(jwk: &Jwk) -> bool {
    let usage = jwk.common.public_key_use.as_ref();
    let operations = jwk.common.key_operations.as_ref();
    usage.is_none_or(|usage| *usage == PublicKeyUse::Signature)
        && operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

fn parse_algorithms(names: &[&str]) -> Result<Vec<Algorithm>, SessionJwtError> {
    names
        .iter()
        .map(|name| {
            Algorithm::from_str(name)
                .map_err(|_| SessionJwtError::UnknownAlgorithm { name: (*name).to_owned() })
        })
        .collect()
}

/// RFC 7515, section 4.1.11: what is critical and not understood makes the whole invalid.
fn has_critical_extensions(token: &str) -> bool {
    let header = token.split('.').next().and_then(|header| BASE64URL.decode(header).ok());
    let header = header.and_then(|header| serde_json::from_slice::<Map<String, Value>>(&header).ok());
    header.is_some_and(|header| header.contains_key("crit"))
}

/// The algorithms that a key can be used with (RFC 7518, section 3.1); none for a curve that is not supported.
fn fitting(key: &DecodingKey) -> &'static [Algorithm] {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
    match key.family() {
        AlgorithmFamily::Hmac => &[HS256, HS384, HS512],
        AlgorithmFamily::Rsa => &[RS256, RS384, RS512, PS256, PS384, PS512],
        // the point: one byte and two coordinates
        AlgorithmFamily::Ec => match key.try_get_as_bytes().map(<[u8]>::len) {
            Ok(65) => &[ES256],
            Ok(97) => &[ES384],
            _ => &[],
        },
        AlgorithmFamily::Ed => &[EdDSA],
    }
}

/// The algorithm that is meant where none is named.
fn usual(key: &DecodingKey) -> Vec<Algorithm> {
    fitting(key).first().copied().into_iter().collect()
}

/// Without what stands in it: the text goes into the log, and JSON errors repeat what they did not expect.
fn unreadable(error: &jsonwebtoken::errors::Error) -> Unauthenticated {
    match error.kind() {
        ErrorKind::Json(_) => refused("session JWT: the header or the claims are not the JSON of a JWT"),
        _ => refused(format!("session JWT: {error}")),
    }
}

/// A NumericDate (RFC 7519, section 2), its fraction dropped.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Unauthenticated> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, which is what is meant"
    )]
    let seconds = value.as_u64().or_else(|| value.as_f64().map(|seconds| seconds as u64));
    match seconds {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(refused(format!("session JWT: claim {name:?} is not a number of seconds"))),
    }
}

/// Why there is no [`SessionJwt`]. No text repeats a key.
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
    #[error("the JSON Web Key Set holds no key that can verify with the algorithms wanted")]
    NoKeyInJwks,
}

#[cfg(feature = "config")]
impl SessionJwtError {
    /// Whether another key would not help.
    pub(crate) fn is_about_algorithms(&self) -> bool {
        matches!(self, Self::UnknownAlgorithm { .. } | Self::UnfitAlgorithm { .. })
    }
}

/// Seconds by which clocks may differ.
const LEEWAY: u64 = 60;
