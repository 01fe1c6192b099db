//! Session JWTs that nobody signed, or somebody else did, or with something that is no key for it.

use accrue::{SessionJwt, SessionJwtError};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64URL};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::forge::hmac;
use crate::service::*;

const SECRET: &str = "a secret that only the application has";
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/");

fn file(name: &str) -> String {
    std::fs::read_to_string(format!("{KEYS}{name}")).unwrap()
}

pub(crate) fn hs256(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

fn session() -> Value {
    json!({ "sub": "alice", "exp": NOW + 3600 })
}

fn rs256(private: &str, kid: Option<&str>) -> String {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = kid.map(str::to_owned);
    encode(&header, &session(), &EncodingKey::from_rsa_pem(file(private).as_bytes()).unwrap()).unwrap()
}

/// A JWT with this header as it is written, and this signature.
fn token(header: &str, claims: &str, signature: &[u8]) -> String {
    format!("{}.{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims), BASE64URL.encode(signature))
}

/// The same, signed as HS256 with this key.
fn hmacked(header: &str, claims: &str, key: &[u8]) -> String {
    let message = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    format!("{message}.{}", BASE64URL.encode(hmac(key, &message)))
}

/// Whoever is signed in gets a lobby.
fn verifying(session: SessionJwt) -> Server {
    let check = Check::saying(Verdict::Deny);
    Server::made(check.closure(), session, |issuer| issuer.with_given(rules(&[("lobby", &["subscribe"])])))
}

fn by_secret() -> Server {
    verifying(SessionJwt::with_secret(SECRET, &[]).unwrap())
}

/// A key of each kind: a shared secret, public keys alone, and a set of them.
fn all() -> Vec<Server> {
    let public = |name: &str| verifying(SessionJwt::with_public_key(&file(name), &[]).unwrap());
    vec![
        by_secret(),
        public("rsa.public.pem"),
        public("p256.public.pem"),
        public("p384.public.pem"),
        public("ed25519.public.pem"),
        verifying(SessionJwt::with_jwks(&file("jwks.json"), &[]).unwrap()),
    ]
}

#[track_caller]
fn signs_in(server: &Server, token: &str) -> bool {
    let answer = server.send(get("/auth").header("authorization", format!("Bearer {token}")));
    match answer.status_and_code() {
        (200, _) => true,
        (401, 40100) => false,
        other => panic!("{other:?} for {token}"),
    }
}

#[test]
fn no_algorithm_at_all() {
    let claims = session().to_string();
    for server in all() {
        for alg in ["none", "None", "NONE", "nOnE", "none ", "\\u006eone", "", "null", "HS0", "plain"] {
            for header in [
                format!(r#"{{"alg":"{alg}"}}"#),
                format!(r#"{{"alg":"{alg}","typ":"JWT","kid":"rsa"}}"#),
                format!(r#"{{"alg":["{alg}"]}}"#),
            ] {
                for signature in [&b""[..], b"\0", &[0; 32], &[0; 64]] {
                    assert!(!signs_in(&server, &token(&header, &claims, signature)), "{header}");
                }
            }
        }
        for header in ["{}", "null", "[]", "\"none\"", "", r#"{"alg":null}"#, r#"{"alg":0}"#, r#"{"alg":{}}"#]
        {
            assert!(!signs_in(&server, &token(header, &claims, b"")), "{header}");
        }
        assert!(!signs_in(
            &server,
            &format!("{}.{}", BASE64URL.encode(r#"{"alg":"none"}"#), BASE64URL.encode(&claims))
        ));
    }
}

/// What is public, in every writing in which somebody could have put it into an HMAC.
#[test]
fn a_public_key_taken_for_a_shared_secret() {
    let claims = session().to_string();
    let jwks = file("jwks.json");
    let mut known: Vec<Vec<u8>> = vec![jwks.clone().into_bytes()];
    for name in ["rsa", "p256", "p384", "ed25519"] {
        let pem = file(&format!("{name}.public.pem"));
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        known.push(pem.trim_end().into());
        known.push(pem.replace('\n', "\r\n").into());
        known.push(pem.replace('\n', "").into());
        known.push(BASE64_STANDARD.decode(&base64).unwrap());
        known.push(base64.into());
        known.push(pem.into());
    }
    let set: Value = serde_json::from_str(&jwks).unwrap();
    for jwk in set["keys"].as_array().unwrap() {
        known.push(jwk.to_string().into());
        for member in ["n", "x", "y", "e"] {
            if let Some(text) = jwk[member].as_str() {
                known.push(text.into());
                known.push(BASE64URL.decode(text).unwrap());
            }
        }
    }
    assert!(known.len() > 30);
    for server in &all()[1..] {
        for key in &known {
            for kid in ["", r#","kid":"rsa""#, r#","kid":"p256""#, r#","kid":"ed25519""#] {
                let header = format!(r#"{{"alg":"HS256"{kid}}}"#);
                assert!(!signs_in(server, &hmacked(&header, &claims, key)), "{header}");
            }
        }
    }
    // nor can it be configured that way
    for pem in ["rsa.public.pem", "p256.public.pem", "ed25519.public.pem"] {
        for algorithm in ["HS256", "HS384", "HS512"] {
            let refused = SessionJwt::with_public_key(&file(pem), &[algorithm]).unwrap_err();
            assert!(matches!(refused, SessionJwtError::UnfitAlgorithm { .. }), "{pem} {algorithm}");
        }
    }
}

/// The header is the attacker's until the signature is verified: no key in it, and no place to get one from, is heard.
#[test]
fn a_token_that_brings_its_own_key() {
    let servers = all();
    let attacker = EncodingKey::from_rsa_pem(file("other-rsa.private.pem").as_bytes()).unwrap();
    let set: Value = serde_json::from_str(&file("jwks.json")).unwrap();
    // for encryption, and of the key that signs here
    let theirs = set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == "for-encryption").unwrap();
    for more in [
        json!({ "jwk": theirs }),
        json!({ "jwk": theirs, "kid": "rsa" }),
        json!({ "jwk": theirs, "kid": "for-encryption" }),
        json!({ "kid": "for-encryption" }),
        json!({ "kid": "rsa" }),
        json!({ "jku": "https://evil.example/jwks.json", "kid": "evil" }),
        json!({ "x5u": "https://evil.example/cert.pem" }),
        json!({ "x5c": ["AAAA"], "x5t": "AAAA" }),
        json!({ "jwk": { "kty": "oct", "k": "AAAA" } }),
    ] {
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let message =
            format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(session().to_string()));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &attacker, Algorithm::RS256).unwrap();
        for server in &servers {
            assert!(!signs_in(server, &format!("{message}.{signature}")), "{header}");
        }
        let octets = header.to_string().replace("RS256", "HS256");
        for server in &servers {
            assert!(!signs_in(server, &hmacked(&octets, &session().to_string(), &[0; 3])), "{octets}");
        }
    }
}

/// A kid is compared, and used for nothing else: no path, no query, no URL.
#[test]
fn a_kid_that_means_something_elsewhere() {
    let server = verifying(SessionJwt::with_jwks(&file("jwks.json"), &[]).unwrap());
    assert!(signs_in(&server, &rs256("rsa.private.pem", Some("rsa"))));
    for kid in [
        "../../../../dev/null",
        "/dev/null",
        "rsa' OR '1'='1",
        "rsa\" UNION SELECT 'x",
        "https://evil.example/jwks.json",
        "rsa\0",
        "rsa ",
        "RSA",
        "*",
        "",
        "$(id)",
        "for-encryption",
    ] {
        assert!(!signs_in(&server, &rs256("rsa.private.pem", Some(kid))), "{kid:?}");
        let header = json!({ "alg": "HS256", "kid": kid }).to_string();
        for key in [&b""[..], b"\0", b"x"] {
            assert!(!signs_in(&server, &hmacked(&header, &session().to_string(), key)), "{kid:?}");
        }
    }
}

/// Headers that two readers read differently, and what has to be understood and isn't.
#[test]
fn a_header_with_two_readings() {
    let claims = session().to_string();
    let server = by_secret();
    let signed = |header: &str| hmacked(header, &claims, SECRET.as_bytes());
    assert!(signs_in(&server, &signed(r#"{"alg":"HS256"}"#)));
    assert!(signs_in(&server, &signed(r#"{"typ":"JWT","alg":"HS256","kid":"any","cty":"x"}"#)));
    for header in [
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"RS256"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"Hs256"}"#,
        r#"{"ALG":"HS256"}"#,
        r#"{"alg":"HS256 "}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"HS256","kid":7}"#,
        r#"{"alg":"HS256","kid":["rsa"]}"#,
        // RFC 7515, section 4.1.11
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","\u0063rit":["x"]}"#,
        r#"{"alg":"HS256"} "#.trim_end().strip_suffix('}').unwrap(),
        r#"[{"alg":"HS256"}]"#,
        "{\"alg\":\"HS256\"}x",
        "\u{feff}{\"alg\":\"HS256\"}",
    ] {
        assert!(!signs_in(&server, &signed(header)), "{header}");
    }
    // the same token in other writing
    let good = signed(r#"{"alg":"HS256"}"#);
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    for other in [
        format!("{header}.{claims}.{signature}="),
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}.{signature}."),
        format!("{header}.{claims}.{}", &signature[..42]),
        format!("{header}.{claims}.{signature}{signature}"),
        format!("{header}..{claims}.{signature}"),
        format!("{header} .{claims}.{signature}"),
        format!("{header}.{claims}. {signature}"),
        format!("{header}.{claims}.{signature}.{signature}.{signature}"),
        signature.to_owned(),
    ] {
        assert!(!signs_in(&server, &other), "{other}");
    }
}

/// An ECDSA signature of zeros, which some verifiers took for anybody's (CVE-2022-21449), and others out of range.
#[test]
fn a_signature_of_zeros() {
    let order = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";
    let order: Vec<u8> = (0..32).map(|n| u8::from_str_radix(&order[2 * n..2 * n + 2], 16).unwrap()).collect();
    let mut one = [0; 32];
    one[31] = 1;
    for (key, alg, length) in
        [("p256", "ES256", 32), ("p384", "ES384", 48), ("ed25519", "EdDSA", 32), ("rsa", "RS256", 128)]
    {
        let server =
            verifying(SessionJwt::with_public_key(&file(&format!("{key}.public.pem")), &[]).unwrap());
        let header = json!({ "alg": alg }).to_string();
        let mut signatures =
            vec![vec![0; 2 * length], vec![0xff; 2 * length], vec![0; 2 * length - 1], Vec::new(), vec![0]];
        if length == 32 {
            signatures.push([one.as_slice(), &one].concat());
            signatures.push([order.as_slice(), &order].concat());
            signatures.push([&[0; 32][..], &one].concat());
        }
        for signature in signatures {
            assert!(
                !signs_in(&server, &token(&header, &session().to_string(), &signature)),
                "{alg} {signature:?}"
            );
        }
    }
}

/// What should be a number of seconds and isn't one counts for neither absent nor met: `exp`, `nbf`, and the claim for
/// `not_before`. (jsonwebtoken CVE-2026-25537 was this.)
#[test]
fn a_time_of_another_type_is_not_overlooked() {
    let server = by_secret();
    let strange = [
        r#""1""#,
        r#""9999999999""#,
        r#""never""#,
        r#""""#,
        "true",
        "false",
        "[]",
        "[9999999999]",
        "{}",
        "null",
    ];
    for value in strange {
        for claims in [
            format!(r#"{{"sub":"alice","exp":{value}}}"#),
            format!(r#"{{"sub":"alice","exp":{},"nbf":{value}}}"#, NOW + 60),
        ] {
            let header = r#"{"alg":"HS256"}"#;
            assert!(!signs_in(&server, &hmacked(header, &claims, SECRET.as_bytes())), "{claims}");
        }
    }
    for (exp, good) in [
        ("-1", false),
        ("-0.0", false),
        ("0", false),
        ("1e3", false),
        ("-1e300", false),
        ("1699999999.9", false),
        ("1700000200.9", true),
        ("1e300", true),
        ("18446744073709551615", true),
        ("18446744073709551616", true),
        ("1e999", false),
        ("NaN", false),
        ("Infinity", false),
    ] {
        let claims = format!(r#"{{"sub":"alice","exp":{exp}}}"#);
        let signed = hmacked(r#"{"alg":"HS256"}"#, &claims, SECRET.as_bytes());
        assert_eq!(signs_in(&server, &signed), good, "{exp}");
    }
    let marked = verifying(SessionJwt::with_secret(SECRET, &[]).unwrap().with_not_before_claim("reset"));
    for value in &strange[..9] {
        let claims = format!(r#"{{"sub":"alice","exp":{},"reset":{value}}}"#, NOW + 60);
        assert!(!signs_in(&marked, &hmacked(r#"{"alg":"HS256"}"#, &claims, SECRET.as_bytes())), "{claims}");
    }
}

#[test]
fn an_audience_or_issuer_of_another_type() {
    let session = SessionJwt::with_secret(SECRET, &[]).unwrap();
    let server = verifying(session.with_audience("accrue").with_issuer("https://id.example.com"));
    let with = |aud: &str, iss: &str| {
        let claims = format!(r#"{{"sub":"alice","exp":{},"aud":{aud},"iss":{iss}}}"#, NOW + 60);
        signs_in(&server, &hmacked(r#"{"alg":"HS256"}"#, &claims, SECRET.as_bytes()))
    };
    let (aud, iss) = (r#""accrue""#, r#""https://id.example.com""#);
    assert!(with(aud, iss) && with(r#"["x","accrue"]"#, iss));
    for other in [
        r#""""#,
        "[]",
        "null",
        "true",
        "7",
        r#"{"accrue":1}"#,
        r#"[["accrue"]]"#,
        r#"["accrue ","Accrue"]"#,
        r#""accruex""#,
        r#""accrue x""#,
    ] {
        assert!(!with(other, iss), "aud {other}");
    }
    for other in [
        r#""""#,
        "[]",
        "null",
        r#""https://id.example.com/""#,
        r#""https://id.example.com.evil.example""#,
        r#"["https://id.example.com/","x"]"#,
        "{}",
    ] {
        assert!(!with(aud, other), "iss {other}");
    }
}

#[test]
fn a_key_set_with_a_shared_secret() {
    let set = |keys: Value| json!({ "keys": keys }).to_string();
    let good: Value = serde_json::from_str(&file("jwks.json")).unwrap();
    let rsa = good["keys"][0].clone();
    let k = BASE64URL.encode(SECRET);
    let oct = |more: Value| {
        let mut key = json!({ "kty": "oct", "k": k });
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    };
    for secret in [
        oct(json!({})),
        oct(json!({ "alg": "HS256", "kid": "s" })),
        oct(json!({ "use": "sig", "kid": "rsa" })),
    ] {
        for keys in [json!([secret]), json!([rsa, secret]), json!([secret, rsa])] {
            let refused = SessionJwt::with_jwks(&set(keys), &[]).unwrap_err();
            assert_eq!(refused, SessionJwtError::SecretInJwks);
        }
    }
    // one that is not for signatures is passed over, and verifies nothing
    let server = verifying(
        SessionJwt::with_jwks(&set(json!([rsa, oct(json!({ "use": "enc", "kid": "s" }))])), &[]).unwrap(),
    );
    assert!(signs_in(&server, &rs256("rsa.private.pem", Some("rsa"))));
    let by_it = |header: &str| hmacked(header, &session().to_string(), SECRET.as_bytes());
    assert!(
        !signs_in(&server, &by_it(r#"{"alg":"HS256","kid":"s"}"#))
            && !signs_in(&server, &by_it(r#"{"alg":"HS256"}"#))
    );
    // and no algorithm makes a set symmetric
    for algorithm in ["HS256", "HS384", "HS512"] {
        assert!(SessionJwt::with_jwks(&set(json!([rsa])), &[algorithm]).is_err());
    }
}

#[test]
fn a_key_set_with_keys_of_one_name_or_another_use() {
    let good: Value = serde_json::from_str(&file("jwks.json")).unwrap();
    let rsa = good["keys"][0].clone();
    let other = good["keys"].as_array().unwrap().iter().find(|key| key["kid"] == "for-encryption").unwrap();
    let changed = |key: &Value, more: Value| {
        let mut key = key.clone();
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    };
    let with = |keys: Value| SessionJwt::with_jwks(&json!({ "keys": keys }).to_string(), &[]);
    let (mine, theirs) = (rs256("rsa.private.pem", Some("rsa")), rs256("other-rsa.private.pem", Some("rsa")));
    // of two of one name it is the first, for any token: which of them is meant is not tried out
    let twin = changed(other, json!({ "kid": "rsa", "use": "sig", "alg": "RS256" }));
    let server = verifying(with(json!([rsa, twin])).unwrap());
    assert!(signs_in(&server, &mine) && !signs_in(&server, &theirs));
    // what a key says that it is for
    for more in [
        json!({ "use": "enc" }),
        json!({ "use": "SIG" }),
        json!({ "key_ops": ["encrypt"] }),
        json!({ "key_ops": [] }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "ES256" }),
        json!({ "alg": "RSA-OAEP" }),
    ] {
        assert_eq!(
            with(json!([changed(&rsa, more.clone())])).err(),
            Some(SessionJwtError::NoKeyInJwks),
            "{more}"
        );
    }
    let other_algorithm = verifying(with(json!([changed(&rsa, json!({ "alg": "RS512" }))])).unwrap());
    assert!(!signs_in(&other_algorithm, &mine));
    for set in ["", "{}", "[]", r#"{"keys":[]}"#, r#"{"keys":{}}"#, r#"{"keys":null}"#] {
        assert!(SessionJwt::with_jwks(set, &[]).is_err(), "{set}");
    }
}
