//! Distinctive secrets go in; they must not come out anywhere but where they belong.

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;

use std::fs;

use ::http::{HeaderMap, HeaderName, HeaderValue, Request};
use accrue::ably::{ApiKey, Format, UntrustedJwt, UntrustedTokenRequest};
use accrue::{
    Ask, Asked, Caller, Capability, Client, ClientId, Config, Decision, Environment, Issuer, Keyring, Moment,
    NoEnvironment, NoHttpClient, Outcome, ProxyHeader, Question, SealedText, Sealing, SealingKeys,
    SealingSecret, SessionJwt, Strategy, Vocabulary,
};
use http::Answer;
use process::Server;
use serde_json::json;

/// What must not be seen, by name.
#[derive(Default)]
struct Canaries(Vec<(String, String)>);

impl Canaries {
    fn configured() -> Self {
        let mut canaries = Self::default();
        for (name, secret) in [
            ("Ably key's secret", ABLY_SECRET),
            ("sealing secret", SEALING_SECRET),
            ("session JWT's secret", JWT_SECRET),
            ("proxy's secret", PROXY_SECRET),
        ] {
            canaries.add(name, secret);
        }
        canaries
    }

    /// With every part between dots that is long enough to be told from chance.
    fn add(&mut self, name: &str, text: &str) {
        self.0.push((name.to_owned(), text.to_owned()));
        for part in text.split('.').filter(|part| part.len() >= 16 && *part != text) {
            self.0.push((format!("part of the {name}"), part.to_owned()));
        }
    }

    /// What an answer gives its client to keep to itself.
    fn add_answer(&mut self, answer: &Answer) {
        for cookie in answer.all("set-cookie").into_iter().chain(answer.all("accrue-grant")) {
            let value = cookie.split(';').next().unwrap_or_default();
            let value = value.split_once('=').map_or(value, |(_, value)| value);
            if value.len() > 16 {
                self.add("sealed grant", value);
            }
        }
        if answer.status == 200 {
            let body = answer.json();
            for name in ["mac", "nonce", "token"] {
                if let Some(text) = body[name].as_str() {
                    self.add(name, text);
                }
            }
        }
    }

    /// What all JWTs of a kind have in common is no secret.
    fn without(&mut self, public: &str) {
        self.0.retain(|(_, text)| text != public);
    }

    #[track_caller]
    fn assert_not_in(&self, place: &str, text: &str) {
        for (name, secret) in &self.0 {
            let lines: Vec<&str> =
                text.lines().filter(|line| line.contains(secret.as_str())).take(3).collect();
            assert!(lines.is_empty(), "the {name} ({secret}) is in {place}: {lines:#?}");
        }
    }
}

fn session(client: &str, secret: &str) -> String {
    let claims = json!({ "sub": client, "exp": IN_2100, "team": "blue" });
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("it can be signed")
}

fn jwt_with_header(header: &str) -> String {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
    format!(
        "{}.{}.{}",
        BASE64URL.encode(header),
        BASE64URL.encode(r#"{"sub":"a-canary-of-a-subject"}"#),
        BASE64URL.encode("a canary of a signature")
    )
}

fn tampered(text: &str) -> String {
    let (front, last) = text.split_at(text.len() - 2);
    format!("{front}{}", if last == "AA" { "BA" } else { "AA" })
}

/// Sends requests of every kind and looks for what they held in all that comes back and in all that is logged.
#[track_caller]
fn nothing_leaks(
    variables: &[(&str, &str)],
    good: &[(&str, &str)],
    bad: &[Vec<(&str, &str)>],
    canaries: Canaries,
) {
    let config = tempfile::NamedTempFile::new().expect("a file can be made");
    fs::write(config.path(), CONFIG).expect("and written");
    let config = config.path().to_str().expect("a path of UTF-8");
    let sealing = format!("k1:{SEALING_SECRET}");
    let key = format!("canary.key:{ABLY_SECRET}");
    let mut environment =
        vec![("ABLY_API_KEY", key.as_str()), ("ACCRUE_SECRETS", sealing.as_str()), ("ACCRUE_LOG", "trace")];
    environment.extend(variables);

    let server = Server::start(&["serve", "--config", config, "--listen", "127.0.0.1:0"], &environment);
    let mut canaries = canaries;
    let mut answers = Vec::new();
    let mut send = |canaries: &mut Canaries, line: &str, headers: &[(&str, &str)], body: &str| {
        let answer = server.request(line, headers, body);
        canaries.add_answer(&answer);
        answers.push((format!("{line} {headers:?} {body}"), answer.clone()));
        answer
    };
    let with = |more: &[(&'static str, &str)]| -> Vec<(String, String)> {
        good.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let json = ("Content-Type", "application/json");

    // good ones: something new, nothing new, partly refused, given up
    let granted = send(&mut canaries, &format!("GET /auth?{WISH}"), good, "");
    assert_eq!(granted.status, 200, "{granted:?}");
    let cookie =
        granted.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a grant").to_owned();
    let (cookie_name, grant) = cookie.split_once('=').expect("NAME=VALUE");
    let secrets = granted.json();
    let token = ["token", "mac"].iter().find_map(|name| secrets[*name].as_str()).expect("a token").to_owned();
    let header_grant = {
        let headers = with(&[("Accrue-Grant", "none")]);
        let answer = send(&mut canaries, &format!("GET /auth?{WISH}"), &borrowed(&headers), "");
        answer.header("accrue-grant").expect("a grant").to_owned()
    };
    let tampered_cookie = tampered(&cookie);
    let broken_cookies =
        (0..20).map(|n| format!("{cookie_name}{n}={}{n}", tampered(grant))).collect::<Vec<_>>().join("; ");
    let both = format!("session=a-canary-of-a-session-that-is-none; {cookie}");
    canaries.add("tampered grant", &tampered(grant));
    canaries.add("session cookie that is none", "a-canary-of-a-session-that-is-none");
    for more in [
        vec![("Cookie", cookie.as_str())],
        vec![("Cookie", tampered_cookie.as_str())],
        vec![("Cookie", broken_cookies.as_str())],
        vec![("Cookie", both.as_str()), ("Authorization", "-")],
        vec![("Accrue-Grant", header_grant.as_str())],
        vec![("Accrue-Grant", grant)],
        vec![("Accrue-Grant", "none")],
        vec![("Accrue-Grant", tampered_cookie.as_str())],
        vec![("Cookie", cookie.as_str()), ("Origin", "https://app.example.com")],
        vec![("Cookie", cookie.as_str()), ("Origin", "https://evil.example.com")],
        vec![("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "cross-site")],
        vec![("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "navigate")],
        vec![("X-Request-Id", grant)],
        vec![("Cookie", cookie.as_str()), ("Referer", "http://x/?a"), ("User-Agent", grant)],
    ] {
        let headers = with(&more);
        for line in [
            "GET /auth",
            &format!("GET /auth?{WISH}"),
            &format!("DELETE /auth?{WISH}"),
            "DELETE /auth",
            "OPTIONS /auth",
        ] {
            send(&mut canaries, line, &borrowed(&headers), "");
        }
    }

    // what is malformed, with credentials where they don't belong
    for (kind, body) in [
        (json, format!("{{\"session\":\"{token}\",")),
        (json, format!("\"{grant}\"")),
        (json, grant.to_owned()),
        (json, format!("{{\"capability\":\"{grant}\"}}")),
        (json, format!("{{\"capability\":[\"{grant}\"]}}")),
        (json, format!("{{\"clientId\":\"{grant}\"}}")),
        (json, format!("{{\"clientId\":\"{grant}\",\"client_id\":\"{token}\"}}")),
        (json, format!("{{\"clientId\":\"{grant}\\n\"}}")),
        (json, format!("{{\"clientId\":[\"{grant}\"]}}")),
        (json, format!("{{\"ttl\":\"{grant}\"}}")),
        (json, format!("{{\"ttl\":1,\"ttl\":\"{grant}\"}}")),
        (form, format!("capability={grant}")),
        (form, format!("ttl={token}")),
        (form, format!("clientId={grant}&clientId={token}")),
        (form, format!("clientId=*{grant}")),
        (("Content-Type", "text/plain"), format!("{cookie} {token}")),
        (json, format!("{{\"x\":\"{}\"}}", grant.repeat(1 + 65_536 / grant.len()))),
    ] {
        let headers = with(&[kind, ("Cookie", &cookie)]);
        let answer = send(&mut canaries, "POST /auth", &borrowed(&headers), &body);
        assert!(answer.status >= 400, "{body}: {answer:?}");
        send(&mut canaries, "POST /auth", &[kind], &body);
    }
    for path in [
        format!("/auth?ttl={token}&token={grant}"),
        format!("/auth/{grant}"),
        format!("/{token}"),
        format!("/auth?capability=%7B{grant}"),
    ] {
        let path = path.replace(['+', '/'], "_").replacen('_', "/", 1);
        send(&mut canaries, &format!("GET {path}"), good, "");
        send(&mut canaries, &format!("PUT {path}"), good, "");
    }

    // who is not let in
    for headers in bad {
        for line in ["GET /auth", &format!("GET /auth?{WISH}")] {
            let answer = send(&mut canaries, line, headers, "");
            assert_eq!(answer.status, 401, "{headers:?}: {answer:?}");
            let more = [&headers[..], &[("Cookie", cookie.as_str()), ("Origin", "https://app.example.com")]]
                .concat();
            send(&mut canaries, line, &more, "");
        }
    }

    // what is no HTTP, but looks as if it held a credential
    for text in [
        format!("GET /auth HTTP/9.9\r\nCookie: {cookie}\r\n\r\n"),
        format!("GET /auth HTTP/1.1\r\nHost: a\r\nCookie {cookie}\r\n\r\n"),
        format!("{token}\r\n\r\n"),
        format!(
            "GET /auth HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: {cookie}\r\nX: {}\r\n\r\n",
            "x".repeat(50_000)
        ),
        format!("POST /auth HTTP/1.1\r\nHost: a\r\nContent-Length: {token}\r\nCookie: {cookie}\r\n\r\n"),
    ] {
        let answer = server.raw(text.as_bytes());
        assert!(matches!(answer.status, 400 | 431), "{answer:?}");
        answers.push((text, answer));
    }

    server.process.signal("TERM");
    let ended = server.process.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");

    let json_log = variables.contains(&("ACCRUE_LOG_FORMAT", "json"));
    // or this would say nothing
    assert!(canaries.0.len() > 20 && ended.stderr.lines().count() >= answers.len() - 10, "{}", ended.stderr);
    for words in ["audit", "permitted", "accrue::request", "digest does not verify", "unauthenticated"] {
        assert!(ended.stderr.contains(words), "{words:?} is not in {}", ended.stderr);
    }
    for line in ended.stderr.lines().filter(|_| json_log) {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
    for public in [JWT_HEADER, CAPABILITIES] {
        canaries.without(public);
    }
    canaries.assert_not_in("standard output", &ended.stdout);
    canaries.assert_not_in("standard error", &ended.stderr);
    for (request, answer) in &answers {
        if answer.status >= 400 {
            canaries.assert_not_in(&format!("the answer to {request}"), &answer.body);
            for (name, value) in &answer.headers {
                if !matches!(name.as_str(), "set-cookie" | "accrue-grant") {
                    canaries.assert_not_in(&format!("{name} of the answer to {request}"), value);
                }
            }
        }
    }
}

#[test]
fn nothing_leaks_with_session_jwts() {
    for (log_format, token_format) in [("text", "request"), ("json", "jwt")] {
        let mut canaries = Canaries::configured();
        let good = session("alice", JWT_SECRET);
        let forged = session("alice", "another-secret-that-is-long-enough");
        let garbage = "a-canary-of-a-bearer-that-is-no-jwt";
        let strange = jwt_with_header(r#"{"alg":"a-canary-of-an-algorithm"}"#);
        let mistyped = jwt_with_header(r#"{"alg":"HS256","kid":["a-canary-of-a-kid"]}"#);
        let broken = jwt_with_header("a-canary-of-a-header");
        for token in [&good, &forged, garbage, &strange, &mistyped, &broken] {
            canaries.add("session JWT", token);
        }
        for inside in
            ["a-canary-of-an-algorithm", "a-canary-of-a-kid", "a-canary-of-a-header", "a-canary-of-a-subject"]
        {
            canaries.add("inside of a session JWT", inside);
        }
        let bearer = |token: &str| format!("Bearer {token}");
        let cookie = |token: &str| format!("session={token}");
        let two = format!("session={good}; session={forged}");
        let bad_bearers = [&forged, garbage, &strange, &mistyped, &broken, &tampered(&good), ""].map(bearer);
        let bad_cookies = [&forged, garbage, &strange, &mistyped, &broken].map(cookie);
        let basic = format!("Basic {good}");
        let mut bad: Vec<Vec<(&str, &str)>> = vec![
            vec![],
            vec![("Cookie", &two)],
            vec![("Authorization", &basic)],
            vec![("Authorization", &good)],
        ];
        bad.extend(bad_bearers.iter().map(|value| vec![("Authorization", value.as_str())]));
        bad.extend(bad_cookies.iter().map(|value| vec![("Cookie", value.as_str())]));
        let good_bearer = bearer(&good);
        bad.push(vec![("Authorization", &good_bearer), ("Authorization", &good_bearer)]);

        let variables = [
            ("ACCRUE_AUTHENTICATE__JWT__SECRET", JWT_SECRET),
            ("ACCRUE_AUTHENTICATE__JWT__COOKIE", "session"),
            ("ACCRUE_LOG_FORMAT", log_format),
            ("ACCRUE_TOKEN__FORMAT", token_format),
        ];
        nothing_leaks(&variables, &[("Authorization", &good_bearer)], &bad, canaries);
    }
}

#[test]
fn nothing_leaks_behind_a_proxy() {
    for (log_format, token_format) in [("json", "request"), ("text", "jwt")] {
        let mut canaries = Canaries::configured();
        let wrong = "a-canary-of-a-wrong-proxy-secret";
        canaries.add("wrong proxy secret", wrong);
        canaries.add("client's id that is none", "a-canary-of-an-id*");
        let (id, secret) = (("x-client-id", "alice"), ("x-proxy-secret", PROXY_SECRET));
        let bad = [
            vec![id],
            vec![secret],
            vec![id, ("x-proxy-secret", wrong)],
            vec![id, ("x-proxy-secret", "")],
            vec![id, secret, secret],
            vec![id, secret, ("x-proxy-secret", wrong)],
            vec![id, id, secret],
        ];
        let variables = [
            ("ACCRUE_AUTHENTICATE__HEADER__PROXY_SECRET", PROXY_SECRET),
            ("ACCRUE_LOG_FORMAT", log_format),
            ("ACCRUE_TOKEN__FORMAT", token_format),
        ];
        nothing_leaks(&variables, &[id, secret], &bad, canaries);
    }
}

struct Made;

impl Environment for Made {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "ABLY_API_KEY" => Some(format!("canary.key:{ABLY_SECRET}")),
            "ACCRUE_SECRETS" => Some(format!("k1:{SEALING_SECRET}")),
            "ACCRUE_AUTHENTICATE__JWT__SECRET" => Some(JWT_SECRET.to_owned()),
            _ => None,
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        NoEnvironment.file(path)
    }
}

#[tokio::test]
async fn nothing_leaks_through_debug() {
    let mut canaries = Canaries::configured();
    let mut shown: Vec<(&str, String)> = Vec::new();
    macro_rules! show {
        ($($name:literal: $value:expr),* $(,)?) => {
            $(shown.push(($name, format!("{0:?} {0:#?}", $value)));)*
        };
    }

    let key = ApiKey::parse(&format!("canary.key:{ABLY_SECRET}")).expect("well-formed");
    let sealing_secret = SealingSecret::parse(&format!("k1:{SEALING_SECRET}")).expect("well-formed");
    let keys = SealingKeys::new(&key, vec![sealing_secret.clone()]).expect("one");
    let session_jwt = SessionJwt::with_secret(JWT_SECRET, &[]).expect("HS256").in_cookie("session");
    let proxy = ProxyHeader::new(HeaderName::from_static("x-client-id"), PROXY_SECRET).unwrap();
    show! {
        "ApiKey": key,
        "SealingSecret": sealing_secret,
        "SealingKeys": keys,
        "SessionJwt": session_jwt,
        "ProxyHeader": proxy,
    }

    let strategy = Strategy::Cookie(Sealing::new(keys));
    let check = async |question: Question| match question.asked {
        Asked::These(asked) => Decision::Granted(asked),
        _ => Decision::Barred,
    };
    let random = [0xC5; 32];
    let moment = Moment::new(1_700_000_200_000, random);
    canaries.add("nonce", &moment.nonce());
    canaries.add("random bytes", "197, 197");
    let alice = || Client::new(ClientId::try_from("alice").expect("well-formed"));
    let mut presented = Vec::new();
    for format in [Format::Request, Format::Jwt] {
        let issuer =
            Issuer::new(key.clone(), strategy.clone(), check).expect("they go together").with_format(format);
        let mut ask = Ask::new(alice());
        ask.wishes =
            Capability::parse(r#"{"chat:1":["subscribe"]}"#, &Vocabulary::default()).expect("well-formed");
        let issued = issuer.issue(ask.clone(), &moment).await.expect("all is granted");
        presented.extend(issued.change.put.clone());
        ask.presented = issued.change.put.clone();
        let token = serde_json::to_value(&issued.token).expect("it serialises");
        for name in ["mac", "token"] {
            if let Some(text) = token[name].as_str() {
                canaries.add(name, text);
            }
        }
        for grant in &issued.change.put {
            canaries.add("sealed grant", grant);
        }
        show! { "Ask": ask, "Issued": issued, "SealedChange": issued.change, "Token": issued.token, "Issuer": issuer }
        match format {
            Format::Request => {
                let request = UntrustedTokenRequest::from_json(token).expect("a TokenRequest");
                show! { "UntrustedTokenRequest": request }
            }
            _ => {
                let text = token["token"].as_str().expect("a text");
                let jwt = UntrustedJwt::parse(text).expect("a JWT");
                show! { "UntrustedJwt": jwt };
            }
        }
        let mut unwanted = Ask::new(Client::new(ClientId::try_from("bob").expect("well-formed")));
        unwanted.presented = ask.presented;
        let refusal = issuer.issue(unwanted, &moment).await.expect_err("nothing is held or wished for");
        show! { "Refusal": refusal, "RefusalReason": refusal.reason }
    }
    let sealed = SealedText::parse(&presented[0]).expect("a grant");

    let bearer = session("alice", JWT_SECRET);
    canaries.add("session JWT", &bearer);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("authorization", format!("Bearer {bearer}")),
        ("cookie", format!("accrue.x={}", presented[0])),
        ("x-proxy-secret", PROXY_SECRET.to_owned()),
    ] {
        headers.append(name, HeaderValue::try_from(value).expect("ASCII"));
    }
    let caller = Caller::new(headers.clone(), 1_700_000_200);
    let config = || Config::parse("accrue.toml", CONFIG, &Made, &[]).expect("complete");
    let keyring = Keyring::parse("accrue.toml", CONFIG, &Made).expect("complete");
    let moments = move || Moment::new(1_700_000_200_000, random);
    let service = config().assemble(NoHttpClient, String::new, moments).expect("it needs nothing").service;
    let mut request = Request::new(http_body_util::Empty::<bytes::Bytes>::new());
    *request.uri_mut() = format!("/auth?{WISH}").parse().expect("a target");
    *request.headers_mut() = headers;
    let response = service.handle(request).await;
    assert_eq!(response.status(), 200);
    let outcome = response.extensions().get::<Outcome>().expect("its outcome");
    show! {
        "Moment": moment,
        "SealedText": sealed,
        "Caller": caller,
        "Config": config(),
        "Config's Display": config().to_string(),
        "Keyring": keyring,
        "AuthService": service,
        "Outcome": outcome,
    }

    for public in [JWT_HEADER, CAPABILITIES] {
        canaries.without(public);
    }
    for (name, secret) in canaries.0.clone() {
        // as bytes are shown
        let bytes = format!("{:?}", secret.as_bytes());
        canaries.0.push((format!("bytes of the {name}"), bytes.trim_matches(['[', ']']).to_owned()));
    }
    for (name, shown) in &shown {
        canaries.assert_not_in(name, shown);
    }
    assert!(shown.len() > 20 && canaries.0.len() > 20);
}

const ABLY_SECRET: &str = "canary-of-an-ably-key-secret-0123456789";
const SEALING_SECRET: &str = "j7fMDw30HaDYL7NJJBRVGHRm6X5Fe85SB8GFwBoShlc";
const JWT_SECRET: &str = "canary-of-a-session-jwt-secret-0123456789";
const PROXY_SECRET: &str = "canary-of-a-proxy-secret";
/// `{"typ":"JWT","alg":"HS256"}`
const JWT_HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";
/// `{"chat:1":["subscribe"]}`, which the audit log tells in the clear.
const CAPABILITIES: &str = "eyJjaGF0OjEiOlsic3Vic2NyaWJlIl19";
const WISH: &str = "capability=%7B%22chat%3A1%22%3A%5B%22subscribe%22%5D%7D";
const IN_2100: u64 = 4_102_444_800;
const CONFIG: &str = "
origins = [\"https://app.example.com\"]

[permission.rules]
\"chat:*\" = [\"publish\", \"subscribe\"]
";
