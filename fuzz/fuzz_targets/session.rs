//! Session JWTs: none is accepted that was not signed by the key and the algorithm that were configured, whatever its
//! header says; and key sets, of which none may hold a shared secret.
//!
//! An input is one byte (how it is signed), a header, a line break, and the claims; or a whole token; or a key set.
#![no_main]

use std::sync::LazyLock;

use accrue::{Authenticate, Caller, Client, SessionJwt, Unauthenticated};
use accrue_fuzz::{NOW, at_once, json};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use jsonwebtoken::{Algorithm, EncodingKey};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const SECRET: &str = "a secret that only the application has";
const JWKS: &str = include_str!("../../tests/data/keys/jwks.json");
const PEM: &str = include_str!("../../tests/data/keys/rsa.public.pem");

static BY_SECRET: LazyLock<SessionJwt> =
    LazyLock::new(|| SessionJwt::with_secret(SECRET, &[]).expect("a secret"));
static BY_SET: LazyLock<SessionJwt> = LazyLock::new(|| SessionJwt::with_jwks(JWKS, &[]).expect("a key set"));
static BY_KEY: LazyLock<SessionJwt> = LazyLock::new(|| SessionJwt::with_public_key(PEM, &[]).expect("a key"));

/// What somebody may try as a shared secret: all of it is public.
static PUBLIC: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let set: Value = serde_json::from_str(JWKS).expect("JSON");
    let modulus = set["keys"][0]["n"].as_str().expect("a text");
    vec![
        PEM.as_bytes().to_vec(),
        PEM.trim_end().as_bytes().to_vec(),
        modulus.as_bytes().to_vec(),
        BASE64URL.decode(modulus).expect("base64url"),
        JWKS.as_bytes().to_vec(),
        Vec::new(),
    ]
});

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let Ok(text) = str::from_utf8(data) else { return };
    match kind {
        0..=1 => any_token(text),
        2..=3 => any_set(text),
        4..=63 => by_its_secret(text, usize::from(kind % 3)),
        _ => by_what_is_public(text, usize::from(kind % 18)),
    }
});

fn authenticated(session: &SessionJwt, token: &str) -> Option<Result<Client, Unauthenticated>> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).ok()?);
    Some(at_once(session.authenticate(Caller::new(headers, NOW))))
}

/// Nobody has signed it.
fn any_token(token: &str) {
    for session in [&*BY_SECRET, &*BY_SET, &*BY_KEY] {
        if let Some(Ok(client)) = authenticated(session, token) {
            panic!("{client:?} by {token}");
        }
    }
}

fn any_set(text: &str) {
    let Ok(_) = SessionJwt::with_jwks(text, &[]) else { return };
    let set: Value = serde_json::from_str(text).expect("it is JSON");
    let keys = set["keys"].as_array().expect("a list");
    let for_signatures = |key: &&Value| key.get("use").is_none_or(|usage| usage == "sig");
    let is_secret = |key: &Value| key["kty"] == "oct";
    let named = |key: &Value| key.get("key_ops").is_some();
    assert!(!keys.iter().filter(for_signatures).any(|key| is_secret(key) && !named(key)), "{text}");
    assert!(keys.iter().any(|key| key["kty"] != "oct"), "{text}");
}

fn signed(header: &str, claims: &str, secret: &[u8], algorithm: Algorithm) -> String {
    let message = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).expect("HMAC");
    format!("{message}.{signature}")
}

const SYMMETRIC: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

/// The application itself signed it. That is not enough: the header must say how, and the claims for whom and until when.
fn by_its_secret(text: &str, algorithm: usize) {
    let Some((header, claims)) = text.split_once('\n') else { return };
    let token = signed(header, claims, SECRET.as_bytes(), SYMMETRIC[algorithm]);
    let Some(answer) = authenticated(&BY_SECRET, &token) else { return };
    let said: Value = serde_json::from_str(header).unwrap_or_default();
    let claimed: Value = serde_json::from_str(claims).unwrap_or_default();
    let time = |name: &str| claimed[name].as_f64();
    if let Ok(client) = answer {
        assert!(algorithm == 0 && said["alg"] == "HS256", "{header}");
        assert!(said.get("crit").is_none(), "{header}");
        assert_eq!(claimed["sub"], client.id.as_str());
        assert!(time("exp").expect("a time") + 60.0 > NOW as f64, "{claims}");
        assert!(time("nbf").is_none_or(|nbf| nbf <= (NOW + 60) as f64), "{claims}");
        assert_eq!(Value::Object(client.claims), claimed);
        // the same by any other is nothing
        any_other(&token);
    } else if header == r#"{"alg":"HS256"}"# && algorithm == 0 && json(claims.as_bytes()).is_some() {
        let id = claimed["sub"].as_str().unwrap_or_default();
        let is_id = (1..=256).contains(&id.len())
            && !id.chars().any(|c| c.is_control() || "*\u{2028}\u{2029}".contains(c));
        let in_time = claimed["exp"].as_u64().is_some_and(|exp| exp + 60 > NOW);
        assert!(!(is_id && in_time && claimed.get("nbf").is_none()), "{claims}: {answer:?}");
    }
}

fn any_other(token: &str) {
    for session in [&*BY_SET, &*BY_KEY] {
        assert!(!matches!(authenticated(session, token), Some(Ok(_))), "{token}");
    }
}

/// Anybody can sign by these.
fn by_what_is_public(text: &str, how: usize) {
    let Some((header, claims)) = text.split_once('\n') else { return };
    any_token(&signed(header, claims, &PUBLIC[how / 3], SYMMETRIC[how % 3]));
}
