use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

use super::SessionJwtError;

/// The keys that session JWTs are verified with.
pub(super) struct KeySet(Vec<VerifyingKey>);

pub(super) struct VerifyingKey {
    kid: Option<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl KeySet {
    /// A lone key, for some of the algorithms that fit it.
    pub(super) fn lone(key: DecodingKey, algorithms: &[&str]) -> Result<Self, SessionJwtError> {
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
        Ok(Self(vec![VerifyingKey { kid: None, algorithms, key }]))
    }

    /// The public keys of a PEM text.
    pub(super) fn pem(pem: &str, algorithms: &[&str]) -> Result<Self, SessionJwtError> {
        // for RSA, jsonwebtoken takes both
        if pem.contains("PRIVATE KEY-----") {
            return Err(SessionJwtError::PrivateKey);
        }
        let pem = pem.as_bytes();
        let key = DecodingKey::from_rsa_pem(pem)
            .or_else(|_| DecodingKey::from_ec_pem(pem))
            .or_else(|_| DecodingKey::from_ed_pem(pem))
            .map_err(|_| SessionJwtError::PublicKey)?;
        // of another curve, say
        if fitting(&key).is_empty() {
            return Err(SessionJwtError::PublicKey);
        }
        if key.family() == AlgorithmFamily::Rsa && !key.try_get_as_bytes().is_ok_and(is_long_enough) {
            return Err(SessionJwtError::ShortRsaKey);
        }
        Self::lone(key, algorithms)
    }

    /// The usable keys of a JSON Web Key Set.
    pub(super) fn jwks(json: &[u8], wanted: &[Algorithm]) -> Result<Self, SessionJwtError> {
        let set: JwkSet = serde_json::from_slice(json)
            .map_err(|error| SessionJwtError::Jwks { line: error.line(), column: error.column() })?;
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
            if let AlgorithmParameters::RSA(rsa) = &jwk.algorithm
                && BASE64URL.decode(&rsa.n).is_ok_and(|n| n.len() < MIN_RSA_BYTES)
            {
                continue;
            }
            let Ok(key) = DecodingKey::from_jwk(jwk) else { continue };
            let mut algorithms = match (named, wanted) {
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
            false => Ok(Self(keys)),
        }
    }

    /// The key that a token's header means.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&VerifyingKey> {
        match (self.0.as_slice(), kid) {
            // a lone key without a name is meant for every token, whatever that calls its key
            ([only], _) if only.kid.is_none() => Some(only),
            ([only], None) => Some(only),
            (keys, Some(kid)) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
            _ => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All algorithms that are accepted, each once.
    pub(super) fn algorithms(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.0.iter().flat_map(|key| &key.algorithms).map(|one| format!("{one:?}")).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// As the key says itself (RFC 7517, sections 4.2 and 4.3); one that says nothing is for anything.
fn is_for_signatures(jwk: &Jwk) -> bool {
    let usage = jwk.common.public_key_use.as_ref();
    let operations = jwk.common.key_operations.as_ref();
    usage.is_none_or(|usage| *usage == PublicKeyUse::Signature)
        && operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

pub(super) fn parse_algorithms(names: &[&str]) -> Result<Vec<Algorithm>, SessionJwtError> {
    names
        .iter()
        .map(|name| {
            Algorithm::from_str(name)
                .map_err(|_| SessionJwtError::UnknownAlgorithm { name: (*name).to_owned() })
        })
        .collect()
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

/// Whether the modulus of an RSA key (RFC 8017, section A.1.1: a sequence that begins with it, in DER) has 2048 bits. Its
/// first bit is set, so one byte of zero stands before it; and lengths of more than 255 take two bytes.
fn is_long_enough(key: &[u8]) -> bool {
    match *key {
        [0x30, 0x82, _, _, 0x02, 0x82, high, low, ..] => {
            usize::from(u16::from_be_bytes([high, low])) > MIN_RSA_BYTES
        }
        _ => false,
    }
}

/// RFC 7518, section 3.3.
const MIN_RSA_BYTES: usize = 2048 / 8;
