mod error;
mod key_set;
mod remote;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

pub use error::SessionJwtError;

use key_set::{KeySet, parse_algorithms};
use remote::RemoteKeys;

use super::{Authenticate, Caller, Unauthenticated, bearer, each_cookie, refused};
use crate::client::{Client, ClientId};
use crate::grant::MAX_SINCE;
use crate::http_client::{Endpoint, HttpClient};

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
    keys: Arc<Keys>,
    cookie: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    client_id_claim: String,
    not_before_claim: Option<String>,
}

enum Keys {
    Fixed(KeySet),
    Remote(Box<RemoteKeys>),
}

impl SessionJwt {
    pub(crate) const MIN_SECRET_BYTES: usize = 32;

    /// With a shared secret. Algorithms: some of HS256 (the default), HS384, HS512.
    ///
    /// # Errors
    /// For a secret of fewer than 32 bytes (RFC 7518, section 3.2), for a key in PEM or JSON, which is no secret, and for
    /// an algorithm that is unknown or takes another kind of key.
    pub fn with_secret(secret: &str, algorithms: &[&str]) -> Result<Self, SessionJwtError> {
        if secret.len() < Self::MIN_SECRET_BYTES {
            return Err(SessionJwtError::ShortSecret);
        }
        if secret.trim_start().starts_with("-----BEGIN") || secret.trim_start().starts_with('{') {
            return Err(SessionJwtError::KeyAsSecret);
        }
        let key = DecodingKey::from_secret(secret.as_bytes());
        Ok(Self::new(Keys::Fixed(KeySet::lone(key, algorithms)?)))
    }

    /// With a public key in PEM. Algorithms: by default RS256 for an RSA key, ES256 for one on P-256, ES384 for
    /// one on P-384, EdDSA for Ed25519.
    ///
    /// # Errors
    /// For a text that is no public key, for RSA of fewer than 2048 bits, and for an algorithm that is unknown or takes
    /// another kind of key.
    pub fn with_public_key(pem: &str, algorithms: &[&str]) -> Result<Self, SessionJwtError> {
        Ok(Self::new(Keys::Fixed(KeySet::pem(pem, algorithms)?)))
    }

    /// With the public keys of a JSON Web Key Set (RFC 7517). Each key takes the algorithm it names, or what is
    /// usual for its kind; `algorithms` narrows that down. Keys meant for encryption are passed over, and RSA of fewer than
    /// 2048 bits.
    ///
    /// # Errors
    /// For a text that is no set, for one with a shared secret in it, and if no key is left.
    pub fn with_jwks(json: &str, algorithms: &[&str]) -> Result<Self, SessionJwtError> {
        Ok(Self::new(Keys::Fixed(KeySet::jwks(json.as_bytes(), &parse_algorithms(algorithms)?)?)))
    }

    /// With the public keys of the JSON Web Key Set at this URL, which `client` fetches: when somebody first needs it,
    /// again where a token names a key that is not in it (once a minute at most), and every hour, so that a key that is
    /// withdrawn goes. If that can't be done the last good set is kept; without any, nobody can be authenticated.
    ///
    /// # Errors
    /// For an algorithm that is unknown, or takes a shared secret.
    pub fn with_jwks_from(
        url: Endpoint,
        client: impl HttpClient,
        algorithms: &[&str],
    ) -> Result<Self, SessionJwtError> {
        Ok(Self::with_jwks_at(url, algorithms)?.through(client))
    }

    /// The same, before there is a client.
    pub(crate) fn with_jwks_at(url: Endpoint, algorithms: &[&str]) -> Result<Self, SessionJwtError> {
        let algorithms = parse_algorithms(algorithms)?;
        if let Some(symmetric) = algorithms.iter().find(|one| one.family() == AlgorithmFamily::Hmac) {
            return Err(SessionJwtError::UnfitAlgorithm {
                algorithm: format!("{symmetric:?}"),
                fitting: "RS256, ES256, EdDSA or the like".to_owned(),
            });
        }
        Ok(Self::new(Keys::Remote(Box::new(RemoteKeys::new(url, algorithms)))))
    }

    /// With what fetches keys, where they are to be fetched.
    pub(crate) fn through(mut self, client: impl HttpClient) -> Self {
        if let Keys::Remote(remote) = &*self.keys {
            self.keys = Arc::new(Keys::Remote(Box::new(remote.through(client))));
        }
        self
    }

    fn new(keys: Keys) -> Self {
        Self {
            keys: Arc::new(keys),
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

    async fn verify(&self, token: &str, now: u64) -> Result<Client, Unauthenticated> {
        if has_critical_extensions(token) {
            return Err(refused("session JWT: it demands extensions (crit) that are not supported"));
        }
        let header = decode_header(token).map_err(|error| unreadable(&error))?;
        let kid = header.kid.as_deref();
        let set = match &*self.keys {
            Keys::Fixed(set) => set,
            Keys::Remote(remote) => &*remote.set_for(kid, now).await?,
        };
        let key = set.find(kid).ok_or_else(|| {
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
            Some(name) if claims.get(name).is_some_and(|value| !value.is_null()) => time(&claims, name)?,
            _ => None,
        };
        if not_before.is_some_and(|moment| moment > MAX_SINCE) {
            // milliseconds would revoke whatever is permitted in the next fifty thousand years
            return Err(refused("session JWT: the claim for not_before is not in Unix seconds"));
        }
        let id = claims
            .get(&self.client_id_claim)
            .and_then(Value::as_str)
            .ok_or_else(|| refused(format!("session JWT: claim {:?} is not a text", self.client_id_claim)))?;
        let mut client = Client::new(ClientId::try_from(id)?);
        client.not_before = not_before;
        client.claims = claims;
        Ok(client)
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
    async fn ready(&self, now: u64) -> Result<(), String> {
        match &*self.keys {
            Keys::Fixed(_) => Ok(()),
            Keys::Remote(remote) => remote.ready(now).await.map_err(|error| error.to_string()),
        }
    }

    async fn authenticate(&self, caller: Caller) -> Result<Client, Unauthenticated> {
        if let Some(token) = bearer(&caller.headers)? {
            return self.verify(token, caller.now).await;
        }
        let Some(name) = &self.cookie else {
            return Err(refused("no Authorization header"));
        };
        let mut sessions: Vec<String> = Vec::new();
        each_cookie(&caller.headers, |found, value| {
            if found == name {
                sessions.push(value.to_owned());
            }
        });
        sessions.dedup();
        match sessions.as_slice() {
            [] => Err(refused(format!("no cookie {name:?}"))),
            [token] => self.verify(token, caller.now).await,
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
        match &*self.keys {
            Keys::Fixed(set) => {
                let plural = if set.len() == 1 { "" } else { "s" };
                write!(f, "; {} key{plural} for {}", set.len(), set.algorithms().join(", "))?;
            }
            Keys::Remote(remote) => write!(f, "; keys from {}", remote.url())?,
        }
        write!(f, "; clientId from {:?}", self.client_id_claim)?;
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
            .field("cookie", &self.cookie)
            .field("client_id_claim", &self.client_id_claim)
            .finish_non_exhaustive()
    }
}

/// RFC 7515, section 4.1.11: what is critical and not understood makes the whole invalid.
fn has_critical_extensions(token: &str) -> bool {
    let header = token.split('.').next().and_then(|header| BASE64URL.decode(header).ok());
    let header = header.and_then(|header| serde_json::from_slice::<Map<String, Value>>(&header).ok());
    header.is_some_and(|header| header.contains_key("crit"))
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

/// Seconds by which clocks may differ.
const LEEWAY: u64 = 60;
