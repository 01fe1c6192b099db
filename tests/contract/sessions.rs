//! Session JWTs as the answer to who is calling.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::service::*;

const SECRET: &str = "a secret that only the application has";
const ONE: &str = r#"{"chat:1":["subscribe"]}"#;

fn private(name: &str) -> Vec<u8> {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/");
    std::fs::read(format!("{keys}{name}.private.pem")).unwrap()
}

fn public(name: &str) -> Vec<u8> {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/");
    std::fs::read(format!("{keys}{name}.public.pem")).unwrap()
}

fn signer(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => EncodingKey::from_secret(SECRET.as_bytes()),
        Algorithm::ES256 => EncodingKey::from_ec_pem(&private("p256")).unwrap(),
        Algorithm::ES384 => EncodingKey::from_ec_pem(&private("p384")).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&private("ed25519")).unwrap(),
        _ => EncodingKey::from_rsa_pem(&private("rsa")).unwrap(),
    }
}

fn sign(algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    sign_with(&signer(algorithm), algorithm, kid, claims)
}

fn sign_with(key: &EncodingKey, algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    encode(&header, claims, key).unwrap()
}

/// Of alice, good for an hour.
fn session() -> Value {
    json!({"sub": "alice", "exp": NOW + 3600})
}

fn hs256(claims: &Value) -> String {
    sign(Algorithm::HS256, None, claims)
}

/// Without a signature at all, or with one that says nothing.
fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| BASE64URL.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// With these lines in `[authenticate.jwt]`.
#[track_caller]
fn verifying(lines: &str) -> Server {
    let rules = "[permission.rules]\n\"chat:*\" = [\"subscribe\"]\n\"team:{claims.team}\" = [\"subscribe\"]";
    let given = "[given]\nlobby = [\"subscribe\"]";
    Server::configured(&format!("[authenticate.jwt]\n{lines}\n{rules}\n{given}\n"), &[])
}

fn by_secret(lines: &str) -> Server {
    verifying(&format!("secret = \"{SECRET}\"\n{lines}"))
}

fn bearer(token: &str) -> Ask {
    get("/auth").header("authorization", format!("Bearer {token}"))
}

#[track_caller]
fn is(server: &Server, ask: Ask, client: Option<&str>) {
    let (answer, outcome) = server.send_and_tell(ask.clone());
    match client {
        Some(client) => assert_eq!(answer.token()["clientId"], client, "{ask:?}"),
        None => {
            assert_eq!(answer.status_and_code(), (401, 40100), "{ask:?}");
            assert!(outcome.cause.is_some(), "the operator is told why: {ask:?}");
        }
    }
}

#[test]
fn every_kind_of_key_verifies_what_it_signed_and_nothing_else() {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, RS256, RS512};
    let secret = format!("secret = \"{SECRET}\"");
    let rsa = "public_key = \"rsa.public.pem\"";
    let all = [HS256, HS384, HS512, RS256, RS512, PS256, ES256, ES384, EdDSA];
    for (lines, accepted) in [
        (secret.clone(), &[HS256][..]),
        (format!("{secret}\nalgorithms = [\"HS384\", \"HS512\"]"), &[HS384, HS512]),
        (rsa.to_owned(), &[RS256]),
        (format!("{rsa}\nalgorithms = [\"PS256\"]"), &[PS256]),
        (format!("{rsa}\nalgorithms = [\"RS256\", \"RS512\"]"), &[RS256, RS512]),
        ("public_key = \"p256.public.pem\"".to_owned(), &[ES256]),
        ("public_key = \"p384.public.pem\"".to_owned(), &[ES384]),
        ("public_key = \"ed25519.public.pem\"".to_owned(), &[EdDSA]),
        (format!("public_key = '''{}'''", String::from_utf8(public("ed25519")).unwrap()), &[EdDSA]),
    ] {
        let server = verifying(&lines);
        for algorithm in all {
            let token = sign(algorithm, None, &session());
            is(&server, bearer(&token), accepted.contains(&algorithm).then_some("alice"));
            // one key, so what a token calls it says nothing
            let named = sign(algorithm, Some("any"), &session());
            is(&server, bearer(&named), accepted.contains(&algorithm).then_some("alice"));
        }
    }
}

#[test]
fn forgeries_are_refused() {
    let rsa = verifying("public_key = \"rsa.public.pem\"");
    let secret = by_secret("");
    let genuine = hs256(&session());
    let (front, signature) = genuine.rsplit_once('.').unwrap();
    let (header, _) = front.split_once('.').unwrap();
    let of_bob = BASE64URL.encode(json!({"sub": "bob", "exp": NOW + 3600}).to_string());
    let by_public_key = EncodingKey::from_secret(&public("rsa"));
    let by_another = EncodingKey::from_rsa_pem(&private("other-rsa")).unwrap();
    let none = |alg: &str| unsigned(&json!({ "alg": alg }), &session(), "");
    for (server, token) in [
        (&rsa, sign_with(&by_public_key, Algorithm::HS256, None, &session())),
        (&rsa, sign_with(&by_another, Algorithm::RS256, None, &session())),
        (&rsa, none("none")),
        (&rsa, unsigned(&json!({"alg": "RS256"}), &session(), "")),
        (&secret, none("none")),
        (&secret, none("None")),
        (&secret, none("NONE")),
        (&secret, none("")),
        (&secret, unsigned(&json!({}), &session(), signature)),
        (&secret, unsigned(&json!({"alg": "HS256"}), &session(), "")),
        (&secret, unsigned(&json!({"alg": "HS256"}), &session(), signature)),
        (&secret, format!("{header}.{of_bob}.{signature}")),
        (&secret, front.to_owned()),
        (&secret, format!("{front}.")),
        (&secret, format!("{front}.{}", &signature[1..])),
        (&secret, format!("{genuine}.x")),
        (&secret, format!("{genuine}=")),
        (&secret, sign_with(&EncodingKey::from_secret(b""), Algorithm::HS256, None, &session())),
        (&secret, sign_with(&EncodingKey::from_secret(b"another"), Algorithm::HS256, None, &session())),
        (&secret, String::new()),
        (&secret, "..".to_owned()),
    ] {
        is(server, bearer(&token), None);
    }
    is(&secret, bearer(&genuine), Some("alice"));
}

/// An unset variable must not let everybody in.
#[test]
fn a_secret_that_is_short_is_taken_nowhere() {
    let short = accrue::SessionJwt::with_secret(&"x".repeat(31), &[]).unwrap_err();
    assert_eq!(short, accrue::SessionJwtError::ShortSecret);
    for secret in ["", "fifteen bytes.."] {
        assert!(accrue::ProxyHeader::new(http::HeaderName::from_static("x-client-id"), secret).is_err());
    }
}

/// RFC 7515, section 4.1.11.
#[test]
fn what_a_session_calls_critical_and_nobody_here_understands_makes_it_invalid() {
    let header = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
    let message = unsigned(&header, &session(), "");
    let message = message.trim_end_matches('.');
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &signer(Algorithm::HS256), Algorithm::HS256).unwrap();
    let token = format!("{message}.{signature}");
    is(&by_secret(""), bearer(&token), None);
}

#[test]
fn a_session_has_an_end_and_may_have_a_beginning() {
    let server = by_secret("");
    for (claims, good) in [
        (json!({"sub": "alice", "exp": NOW + 1}), true),
        (json!({"sub": "alice", "exp": NOW}), true),
        (json!({"sub": "alice", "exp": NOW - 59}), true),
        (json!({"sub": "alice", "exp": NOW - 61}), false),
        (json!({"sub": "alice", "exp": NOW as f64 + 0.5}), true),
        (json!({"sub": "alice", "exp": 0}), false),
        (json!({"sub": "alice", "exp": -1}), false),
        (json!({"sub": "alice", "exp": u64::MAX}), true),
        (json!({"sub": "alice"}), false),
        (json!({"sub": "alice", "exp": null}), false),
        (json!({"sub": "alice", "exp": (NOW + 3600).to_string()}), false),
        (json!({"sub": "alice", "exp": NOW + 3600, "nbf": NOW}), true),
        (json!({"sub": "alice", "exp": NOW + 3600, "nbf": NOW + 60}), true),
        (json!({"sub": "alice", "exp": NOW + 3600, "nbf": NOW + 61}), false),
        (json!({"sub": "alice", "exp": NOW + 3600, "nbf": "yesterday"}), false),
        // when it was made says nothing
        (json!({"sub": "alice", "exp": NOW + 3600, "iat": NOW + 3000}), true),
    ] {
        is(&server, bearer(&hs256(&claims)), good.then_some("alice"));
    }
    // by the hand-moved clock
    let token = hs256(&session());
    server.clock.pass(3600 + 59);
    is(&server, bearer(&token), Some("alice"));
    server.clock.pass(2);
    is(&server, bearer(&token), None);
}

#[test]
fn issuer_audience_and_client_id_are_what_is_configured() {
    let with = |more: Value| {
        let mut claims = session();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bearer(&hs256(&claims))
    };
    let plain = by_secret("");
    let issuer = by_secret("issuer = \"https://id.example.com\"");
    let audience = by_secret("audience = \"accrue\"");
    let claim = by_secret("client_id_claim = \"https://id.example.com/user\"");
    for (server, ask, client) in [
        (&plain, with(json!({"iss": "anybody", "aud": ["anything"]})), Some("alice")),
        (&issuer, with(json!({"iss": "https://id.example.com"})), Some("alice")),
        (&issuer, with(json!({"iss": "https://id.example.com/"})), None),
        (&issuer, with(json!({"iss": "https://evil.example"})), None),
        (&issuer, with(json!({})), None),
        (&audience, with(json!({"aud": "accrue"})), Some("alice")),
        (&audience, with(json!({"aud": ["other", "accrue"]})), Some("alice")),
        (&audience, with(json!({"aud": ["other"]})), None),
        (&audience, with(json!({"aud": "other"})), None),
        (&audience, with(json!({})), None),
        (&claim, with(json!({"https://id.example.com/user": "carol"})), Some("carol")),
        (&claim, with(json!({})), None),
        (&plain, with(json!({"sub": "zoë:1"})), Some("zoë:1")),
        (&plain, with(json!({"sub": 7})), None),
        (&plain, with(json!({"sub": null})), None),
        (&plain, with(json!({"sub": ["alice"]})), None),
    ] {
        is(server, ask, client);
    }
    for id in ["", "*", "a*", "a\nb", &"x".repeat(257)] {
        let answer = plain.send(with(json!({ "sub": id })));
        assert!((400..=401).contains(&answer.status.as_u16()), "{id}: {answer:?}");
    }
    assert_eq!(plain.send(with(json!({})).with("clientId", "bob")).status_and_code(), (401, 40102));
}

#[test]
fn claims_fill_in_rules() {
    let server = by_secret("");
    for (team, granted) in [
        (json!("blue"), true),
        (json!("red"), false),
        (json!("*"), false),
        (json!(["blue"]), false),
        (json!(null), false),
    ] {
        let token = hs256(&json!({"sub": "alice", "exp": NOW + 60, "team": team}));
        let answer = server.send(bearer(&token).wishing(r#"{"team:blue":["subscribe"]}"#));
        assert_eq!(answer.token()["capability"].as_str().unwrap().contains("team:blue"), granted, "{team}");
    }
}

#[test]
fn a_key_set_is_asked_by_kid() {
    use Algorithm::{ES256, EdDSA, HS256, RS256, RS512};
    let server = verifying("jwks = \"jwks.json\"");
    let only_rsa = verifying("jwks = \"jwks.json\"\nalgorithms = [\"RS256\"]");
    for (algorithm, kid, client) in [
        (RS256, Some("rsa"), Some("alice")),
        (ES256, Some("p256"), Some("alice")),
        (EdDSA, Some("ed25519"), Some("alice")),
        (RS256, Some("p256"), None),
        (ES256, Some("rsa"), None),
        (RS512, Some("rsa"), None),
        (HS256, Some("rsa"), None),
        (RS256, Some("unknown"), None),
        (RS256, Some(""), None),
        // of several, one has to be named
        (RS256, None, None),
    ] {
        is(&server, bearer(&sign(algorithm, kid, &session())), client);
    }
    is(&only_rsa, bearer(&sign(RS256, Some("rsa"), &session())), Some("alice"));
    is(&only_rsa, bearer(&sign(ES256, Some("p256"), &session())), None);
    let by_public_key = EncodingKey::from_secret(&public("rsa"));
    is(&server, bearer(&sign_with(&by_public_key, HS256, Some("rsa"), &session())), None);
}

#[test]
fn keys_for_encryption_and_keys_of_tomorrow_are_passed_over() {
    let server = verifying("jwks = \"jwks.json\"");
    let for_encryption = EncodingKey::from_rsa_pem(&private("other-rsa")).unwrap();
    let token = sign_with(&for_encryption, Algorithm::RS256, Some("for-encryption"), &session());
    is(&server, bearer(&token), None);

    let server = verifying("jwks = \"jwks-with-a-key-of-tomorrow.json\"");
    is(&server, bearer(&sign(Algorithm::RS256, Some("rsa"), &session())), Some("alice"));
    is(&server, bearer(&token), None);
    // one is left that verifies, so it need not be named
    is(&server, bearer(&sign(Algorithm::RS256, None, &session())), Some("alice"));
}

#[test]
fn authorization_decides_alone_unless_it_says_nothing() {
    let server = by_secret("cookie = \"session\"");
    let (alice, bob) = (hs256(&session()), hs256(&json!({"sub": "bob", "exp": NOW + 3600})));
    let expired = hs256(&json!({"sub": "alice", "exp": NOW - 3600}));
    let cookie = |token: &str| get("/auth").header("cookie", format!("a=1; session={token}; b=2"));
    let bearer_of_bob = format!("Bearer {bob}");
    for (ask, client) in [
        (cookie(&alice), Some("alice")),
        (cookie(&alice).header("authorization", ""), Some("alice")),
        (cookie(&alice).header("authorization", "-"), Some("alice")),
        (cookie(&alice).header("authorization", " - "), Some("alice")),
        (cookie(&alice).header("authorization", &bearer_of_bob), Some("bob")),
        (cookie(&alice).header("authorization", bearer_of_bob.replace("Bearer", "bearer")), Some("bob")),
        (get("/auth").header("authorization", &bearer_of_bob), Some("bob")),
        // a good cookie makes up for nothing
        (cookie(&alice).header("authorization", format!("Bearer {expired}")), None),
        (cookie(&alice).header("authorization", "Bearer x"), None),
        (cookie(&alice).header("authorization", "Bearer"), None),
        (cookie(&alice).header("authorization", "Bearer -"), None),
        (cookie(&alice).header("authorization", "Basic YTpi"), None),
        (cookie(&alice).header("authorization", "--"), None),
        (cookie(&alice).header("authorization", &alice), None),
        (cookie(&alice).header("authorization", b"\xff"), None),
        // which of two is meant nobody knows
        (
            cookie(&alice).headers(&[("authorization", &bearer_of_bob), ("authorization", &bearer_of_bob)]),
            None,
        ),
        (cookie(&alice).headers(&[("authorization", "-"), ("authorization", &bearer_of_bob)]), None),
        (get("/auth").header("authorization", format!("{bearer_of_bob}, {bearer_of_bob}")), None),
        (cookie(&alice).header("cookie", format!("session={bob}")), None),
        (cookie(&format!("{alice}; session={bob}; session={alice}")), None),
        (cookie(&format!("{alice}; session={alice}")), Some("alice")),
        (cookie(&alice).header("cookie", "session="), None),
        (cookie(&expired), None),
        (cookie(""), None),
        (cookie(&format!("\"{alice}\"")), None),
        (get("/auth").header("cookie", format!("Session={alice}")), None),
        (get("/auth").header("cookie", format!("xsession={alice}")), None),
        (get("/auth").with("clientId", "alice"), None),
        (get("/auth"), None),
    ] {
        is(&server, ask, client);
    }
    // where no cookie is configured, none is read
    is(&by_secret(""), cookie(&alice), None);
}

#[test]
fn what_was_permitted_before_the_session_says_is_checked_again() {
    let check = Check::saying(Verdict::Grant);
    let session_jwt = accrue::SessionJwt::with_secret(SECRET, &[""; 0]).unwrap();
    let server =
        Server::made(check.closure(), session_jwt.with_not_before_claim("reset_at"), |issuer| issuer);
    let jar = Jar::holding(&[&sealed("alice", ONE, NOW - 100)]);
    let renewal = |not_before: Value| {
        let token = hs256(&json!({"sub": "alice", "exp": NOW + 90_000, "reset_at": not_before}));
        bearer(&token).carrying(&jar)
    };
    check.now_says(Verdict::Down);
    for (not_before, counts) in [
        (json!(NOW - 101), true),
        (json!(0), true),
        (json!(NOW - 100), false),
        (json!(NOW), false),
        (json!(NOW as f64), false),
        (json!(NOW + 1_000_000), false),
    ] {
        // revoked, it counts for nothing while the check does not answer
        let answer = server.send(renewal(not_before.clone()));
        let expected = if counts { (200, 200) } else { (503, 50003) };
        assert_eq!((answer.status_and_code(), changes(&answer)), (expected, vec![]), "{not_before}");
    }
    for malformed in [json!("yesterday"), json!(true), json!([NOW])] {
        assert_eq!(
            server.send(renewal(malformed)).status_and_code(),
            (401, 40100),
            "it must not be overlooked"
        );
    }

    check.asked();
    check.now_says(Verdict::Deny);
    let answer = server.send(renewal(json!(NOW)));
    assert_eq!(answer.status_and_code(), (401, 40160));
    assert_eq!(changes(&answer).len(), 1);
    assert_eq!(check.asked(), [ONE]);

    check.now_says(Verdict::Grant);
    let answer = server.send(renewal(json!(NOW)));
    assert_eq!(check.asked(), [ONE]);
    let mut jar = jar.clone();
    jar.keep(&answer);
    assert_eq!(unsealed("alice", jar.only()).grant.since, NOW + 1, "after the mark, or it would not count");
    let token = hs256(&json!({"sub": "alice", "exp": NOW + 90_000, "reset_at": NOW}));
    assert_eq!(changes(&server.send(bearer(&token).carrying(&jar))), [""; 0]);
    assert_eq!(check.asked(), [""; 0]);
}

#[test]
fn no_answer_repeats_a_credential() {
    let server = by_secret("cookie = \"session\"");
    let token = hs256(&json!({"sub": "alice", "exp": NOW - 3600}));
    for ask in [bearer(&token), get("/auth").header("cookie", format!("session={token}"))] {
        let (answer, outcome) = server.send_and_tell(ask);
        let told: BTreeMap<&str, String> =
            [("answer", format!("{answer:?}")), ("log", format!("{outcome:?}"))].into();
        assert!(told.values().all(|told| !told.contains(&token)), "{told:?}");
    }
}
