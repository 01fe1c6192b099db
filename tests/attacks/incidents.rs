//! What has happened to others that do similar things, and why not here. One more is a matter of types, see
//! `sessions::a_time_of_another_type_is_not_overlooked` (jsonwebtoken CVE-2026-25537).

use std::sync::{Arc, Mutex};

use accrue::ably::{ApiKey, UntrustedTokenRequest};
use accrue::{HttpCall, HttpClient, HttpClientError};
use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;

use crate::forge::{SINCE, bytes, counts, denying, derived, hmac, with_digest};
use crate::service::*;

const ONE: &str = r#"{"chat:1":["subscribe"]}"#;

/// Envoy CVE-2023-35941: its OAuth2 filter's HMAC covered a host that the client could choose and a time that it
/// named, so that a payload could be had that was valid for ever. Here the host plays no part; client, app, kid, form
/// and age are all under the digest; and an age, whatever it is, ends.
#[test]
fn a_credential_that_is_valid_for_ever() {
    let server = denying();
    let grant = sealed("alice", ONE, SINCE);
    for host in
        ["accrue.example.com", "evil.example", "*.example.com", "", "localhost", "x".repeat(250).as_str()]
    {
        let by = |client: &str| get("/auth").by(client).header("host", host).header("accrue-grant", &grant);
        assert_eq!(server.send(by("alice")).token()["capability"], ONE, "{host}");
        assert_eq!(server.send(by("bob")).status_and_code(), (401, 40160), "{host}");
    }
    // the most that can be signed: a minute ahead of the clock
    let latest = sealed("alice", ONE, NOW + 60);
    for since in [0, 1, u64::from(u32::MAX), 99_999_999_999] {
        let forged = latest.replacen(&format!(".{}.", NOW + 60), &format!(".{since}."), 1);
        assert!(!counts(&server, "alice", &forged), "{since}");
    }
    server.clock.pass(60 + 2 * 8 * 3600 + 1);
    assert!(!counts(&server, "alice", &latest));
    let down = Check::saying(Verdict::Down);
    let server = Server::checked_by(&down);
    server.clock.pass(60 + 2 * 8 * 3600 + 1);
    let answer = server.send(get("/auth").by("alice").header("accrue-grant", &latest));
    assert_eq!(answer.status_and_code(), (503, 50003), "not even while the check is down");
}

/// Pusher GHSA-7v7m-pcw5-h3cg: `socket_id:channel` was signed with a `socket_id` that nobody had looked at, so that its
/// owner could move the colon and have other texts signed: other channels, and requests to the API itself. What Ably's
/// key signs here are six lines of which the client's own (clientId, capability) can hold no line break, and what the
/// sealing secret signs ends in a text that has no colon, see `grants::a_colon_moved_between_client_and_capability_makes_no_grant`.
#[test]
fn a_signature_over_text_with_a_joint_moved() {
    let server = Server::configured(BY_HEADER, &[]);
    let key = ApiKey::parse(KEY).unwrap();
    for joint in ["\n", "\r\n", "\r", "\u{85}", "\u{2028}", "\u{2029}", "\0", "\u{b}", "\u{c}"] {
        let id = format!("alice{joint}1700000200007{joint}nonce");
        assert_eq!(
            server.send(get("/auth").by("alice").with("clientId", &id)).status_and_code(),
            (400, 40012),
            "{id:?}"
        );
    }
    for joint in ["\n", "\r", "\0", "\u{85}", "\u{7f}"] {
        let wish = json!({ format!("chat:1{joint}alice"): ["subscribe"] }).to_string();
        assert_eq!(
            server.send(get("/auth").by("alice").wishing(&wish)).status_and_code(),
            (400, 40000),
            "{wish}"
        );
    }
    // every line of what is signed is the one it is taken for
    for id in ["alice", "alice:chat", "a\"b", "a\\nb", "zo\u{eb}"] {
        let answer =
            server.send(get("/auth").by(id).wishing(r#"{"chat:1":["subscribe"],"chat:\\n2":["publish"]}"#));
        let token = answer.token();
        let text = |name: &str| token[name].as_str().map_or_else(|| token[name].to_string(), str::to_owned);
        let lines = ["keyName", "ttl", "capability", "clientId", "timestamp", "nonce"].map(text);
        assert!(lines.iter().all(|line| !line.contains(['\n', '\r'])), "{token}");
        for other in [id.to_uppercase(), format!("{id} "), String::new()] {
            let mut changed = token.clone();
            changed["clientId"] = other.into();
            assert!(
                UntrustedTokenRequest::from_json(changed).is_none_or(|request| !request.verify(&key)),
                "{token}"
            );
        }
    }
    // nor does one of the two secrets make what the other is asked for
    let capabilities = "eyJjaGF0OjEiOlsic3Vic2NyaWJlIl19";
    let head = format!("1j.k1.{SINCE}");
    let by_ably = hmac(
        &derived(KEY.as_bytes(), b"accrue/grant", &format!("app\n{head}")),
        &format!("alice:{capabilities}"),
    );
    assert!(!counts(&denying(), "alice", &with_digest(&head, capabilities, &by_ably)));
    assert_ne!(bytes(K1), KEY.as_bytes());
}

/// Centrifugo CVE-2026-71485: clients could name headers in a message, and those were sent on to the backend as if they
/// came from the proxy in front. Here what goes on is fixed: cookie and authorization to `[authenticate.forward]`,
/// nothing at all of the request to the webhook; and no parameter is a header.
#[test]
fn headers_that_a_client_makes_up_reach_no_backend() {
    let asked = Asked::default();
    let toml = "[authenticate.forward]\nurl = \"http://127.0.0.1:3000/whoami\"\n\
                [permission.webhook]\nurl = \"http://127.0.0.1:3000/may\"\nbearer = \"known to both\"\n";
    let server = Server::asking_with(asked.clone(), toml, &[]);
    let evil = [
        ("x-trusted-user", "evil"),
        ("x-client-id", "evil"),
        ("x-forwarded-for", "evil"),
        ("x-forwarded-user", "evil"),
        ("x-request-id", "evil"),
        ("x-original-url", "/evil"),
        ("forwarded", "for=evil"),
        ("via", "1.1 evil"),
        ("proxy-authorization", "Basic evil"),
        ("user-agent", "evil"),
        ("accept-language", "evil"),
        ("content-length-evil", "1"),
        ("traceparent", "evil"),
        ("referer", "https://accrue.example.com/evil"),
        ("accrue-evil", "evil"),
    ];
    let parameters = json!({
        "capability": { "chat:1": ["subscribe"] },
        "headers": { "x-trusted-user": "evil", "authorization": "Bearer evil" },
        "meta": { "x-trusted-user": "evil" },
        "claims": { "evil": true },
        "held": { "evil": ["*"] },
        "granted": { "evil": ["*"] },
    });
    let ask = post("/auth?headers=evil&x-trusted-user=evil&claims=evil&notBefore=evil").headers(&evil);
    let answer = server.send(ask.header("cookie", "session=good").json(&parameters));
    assert_eq!(answer.token()["capability"], ONE);
    let requests = asked.0.lock().unwrap();
    assert_eq!(requests.len(), 2);
    for request in requests.iter() {
        let said = format!("{request:?} {}", String::from_utf8_lossy(request.body())).to_lowercase();
        assert!(!said.contains("evil"), "{said}");
    }
    let names = |at: usize| {
        let mut names: Vec<&str> = requests[at].headers().keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(0), ["accept", "cookie"]);
    assert_eq!(names(1), ["accept", "authorization", "content-type"]);
    assert_eq!(requests[1].headers()["authorization"], "Bearer known to both");
}

/// Keeps what it is asked; says that this is alice, and that she may.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<Request<Bytes>>>>);

impl HttpClient for Asked {
    async fn send(&self, call: HttpCall) -> Result<Response<Bytes>, HttpClientError> {
        let body = match call.request.uri().path() {
            "/whoami" => r#"{"clientId":"alice"}"#,
            _ => r#"{"granted":{"chat:1":["subscribe"]}}"#,
        };
        self.0.lock().unwrap().push(call.request);
        Ok(Response::new(Bytes::from(body)))
    }
}

/// oauth2-proxy CVE-2026-34454: the sign-in page no longer deleted the session's cookie, so that the next person at the
/// same browser went on as the one before. Here `DELETE /auth` deletes every grant, whoever calls and whoever they were
/// sealed for, with the attributes they were set with; and what is left behind without it is worth nothing to the next.
#[test]
fn signing_out_leaves_nothing_for_the_next_one_at_the_same_browser() {
    let check = Check::saying(Verdict::Grant);
    let server = Server::checked_by(&check);
    let mut jar =
        Jar::holding(&[&sealed("carol", r#"{"chat:9":["*"]}"#, SINCE)]).and("__Host-accrue.junk", "junk");
    jar.keep(&server.send(get("/auth").by("alice").wishing(ONE).carrying(&jar)));
    let left_behind = jar.clone();
    for ask in [delete("/auth"), delete("/auth").by("alice"), delete("/auth").by("bob")] {
        let answer = server.send(ask.carrying(&left_behind));
        let deleted = set_cookies(&answer);
        assert_eq!((answer.status.as_u16(), deleted.len()), (204, 3));
        for cookie in deleted {
            let attributes: Vec<(&str, &str)> =
                cookie.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let expected =
                [("HttpOnly", ""), ("Max-Age", "0"), ("Path", "/"), ("SameSite", "Strict"), ("Secure", "")];
            assert_eq!(
                (cookie.value.as_str(), attributes),
                ("", expected.to_vec()),
                "browsers delete no other"
            );
        }
        let mut jar = left_behind.clone();
        jar.keep(&answer);
        assert_eq!(jar, Jar::default());
    }
    check.now_says(Verdict::Deny);
    assert_eq!(server.send(get("/auth").by("bob").carrying(&left_behind)).status_and_code(), (401, 40160));
    assert_eq!(server.send(get("/auth").carrying(&left_behind)).status_and_code(), (401, 40100));
}
