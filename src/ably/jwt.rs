use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use serde::Serialize;
use serde_json::Value;

use super::{ApiKey, Ttl};
use crate::client::ClientId;
use crate::json;
use crate::mac::TAG_CHARS;
use crate::moment::Moment;
use crate::proposal::Signable;

/// An Ably JWT with what SDKs want to know of it; times in milliseconds.
///
/// Around a bare JWT ably-python would not see the clientId, and no SDK the capability; this shape works
/// in all of them. Source: specification items TD1 to TD6, <https://ably.com/docs/auth/token/jwt>.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenDetails {
    token: String,
    issued: u64,
    expires: u64,
    capability: Signable,
    client_id: ClientId,
}

impl TokenDetails {
    /// `None` if the token would be longer than this, in bytes.
    pub(super) fn sign(
        key: &ApiKey,
        capability: &Signable,
        client_id: &ClientId,
        ttl: Ttl,
        moment: &Moment,
        most: usize,
    ) -> Option<Self> {
        let issued = moment.now_secs();
        let expires = issued + ttl.as_millis() / 1000;
        let header = Header { alg: "HS256", kid: key.name(), typ: "JWT" };
        let claims = Claims {
            exp: expires,
            iat: issued,
            capability: capability.text(),
            client_id: client_id.as_str(),
        };
        let message = message(&to_json(&header), &to_json(&claims));
        if message.len() + ".".len() + TAG_CHARS > most {
            return None;
        }
        Some(Self {
            token: signed(key, message),
            issued: issued * 1000,
            expires: expires * 1000,
            capability: capability.clone(),
            client_id: client_id.clone(),
        })
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    exp: u64,
    iat: u64,
    #[serde(rename = "x-ably-capability")]
    capability: &'a str,
    #[serde(rename = "x-ably-clientId")]
    client_id: &'a str,
}

fn to_json(part: &impl Serialize) -> String {
    serde_json::to_string(part).expect("numbers and texts serialise")
}

impl fmt::Debug for TokenDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDetails")
            .field("token", &"[redacted]")
            .field("expires", &self.expires)
            .field("capability", &self.capability.capability())
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// What is signed: the compact form (RFC 7515, section 3.1) up to its second dot.
fn message(header: &str, claims: &str) -> String {
    [&*BASE64URL.encode(header), ".", &*BASE64URL.encode(claims)].concat()
}

/// The compact form with HS256.
fn signed(key: &ApiKey, mut message: String) -> String {
    let signature = key.signing().sign(&[message.as_bytes()]);
    message.push('.');
    message.push_str(&BASE64URL.encode(signature.as_bytes()));
    message
}

/// A JWT from anywhere, to be explained: who signed it is not known until [`verify`](Self::verify).
#[derive(Clone)]
pub struct UntrustedJwt<'a> {
    message: &'a str,
    signature: Vec<u8>,
    header: Value,
    claims: Value,
}

impl fmt::Debug for UntrustedJwt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntrustedJwt").finish_non_exhaustive()
    }
}

impl<'a> UntrustedJwt<'a> {
    /// Takes a compact JWS apart; `None` if it isn't one.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let object = |part| {
            let value = json::parse(&BASE64URL.decode(part).ok()?).ok()?;
            value.is_object().then_some(value)
        };
        Some(Self {
            message,
            signature: BASE64URL.decode(signature).ok()?,
            header: object(header)?,
            claims: object(claims)?,
        })
    }

    /// The header as it came.
    pub fn untrusted_header(&self) -> &Value {
        &self.header
    }

    /// The claims as they came.
    pub fn untrusted_claims(&self) -> &Value {
        &self.claims
    }

    /// Whether Ably would take this for a JWT of this key, its expiry apart.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, key: &ApiKey) -> Result<(), JwtError> {
        if self.header["alg"] != "HS256" {
            return Err(JwtError::Algorithm);
        }
        if self.header["kid"] != key.name() {
            return Err(JwtError::Kid);
        }
        if !key.signing().verify(&[self.message.as_bytes()], &self.signature) {
            return Err(JwtError::Signature);
        }
        if !self.claims["iat"].is_number() || !self.claims["exp"].is_number() {
            return Err(JwtError::Times);
        }
        match self.claims.get("x-ably-clientId") {
            None => Ok(()),
            Some(Value::String(id)) if !id.is_empty() => Ok(()),
            Some(_) => Err(JwtError::ClientId),
        }
    }
}

/// Why Ably would refuse a JWT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// Only HS256 is supported.
    #[error("the algorithm is not HS256")]
    Algorithm,
    /// The header names another key, or none.
    #[error("kid is not this key's name")]
    Kid,
    /// Changed, or signed with another secret.
    #[error("the signature does not verify")]
    Signature,
    /// `iat` or `exp` is missing.
    #[error("iat and exp are required")]
    Times,
    /// Empty, or not a text.
    #[error("x-ably-clientId is not a text, or empty")]
    ClientId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::SigningKey;

    /// jsonwebtoken 9.0.3's tokens, checked with PyJWT: content, signature, and what Ably must refuse.
    ///
    /// They were made without `iat`, those called valid too, so as they stand Ably would refuse them all;
    /// with the `iat` that the file speaks of, signed by us, they must be what the file calls them.
    #[test]
    fn vectors() {
        let file: Value = serde_json::from_str(include_str!("../../tests/data/jwt.json")).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 16);
        for vector in vectors {
            let id = vector["id"].as_str().unwrap();
            let text = vector["token"].as_str().unwrap();
            let jwt = UntrustedJwt::parse(text).unwrap();
            assert_eq!(jwt.header, vector["header"], "{id}");
            assert_eq!(jwt.claims, vector["payload"], "{id}");

            if ["jwt-13", "jwt-14"].contains(&id) {
                // the outer JWT is the application's own, so only its signature concerns us
                let outer = SigningKey::new(b"outer-system-secret");
                assert!(outer.verify(&[jwt.message.as_bytes()], &jwt.signature), "{id}");
                continue;
            }
            let key = ApiKey::parse(vector["key"].as_str().unwrap()).unwrap();
            let verifies = key.signing().verify(&[jwt.message.as_bytes()], &jwt.signature);
            assert_eq!(verifies, vector["pyjwtSignatureOk"].as_bool().unwrap(), "{id}");
            if verifies {
                let [header, payload] =
                    ["headerJson", "payloadJson"].map(|part| vector[part].as_str().unwrap());
                assert_eq!(signed(&key, message(header, payload)), text, "{id}");
            }
            assert!(jwt.verify(&key).is_err(), "{id}");

            let mut claims = vector["payload"].clone();
            claims["iat"] = 1_700_000_000.into();
            let with_iat = signed(&key, message(&vector["header"].to_string(), &claims.to_string()));
            let verdict = UntrustedJwt::parse(&with_iat).unwrap().verify(&key);
            let expected = vector["valid"].as_bool().unwrap() || id == "jwt-19"; // "no iat" is cured
            assert_eq!(verdict.is_ok(), expected, "{id}: {verdict:?}");
            let other = ApiKey::parse(&format!("{}:other", key.name())).unwrap();
            assert!(UntrustedJwt::parse(&with_iat).unwrap().verify(&other).is_err(), "{id}");
        }
    }
}
