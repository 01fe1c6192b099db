//! What Ably's SDKs really sent to an authUrl, byte for byte, against the running service: every request is
//! answered as the contract says, and every answer is one that the SDKs accept.

#[path = "support/answer.rs"]
mod answer;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use accrue::ably::{ApiKey, UntrustedTokenRequest};
use accrue::{Config, Environment, Limits, Moment, NoHttpClient};
use answer::Answer;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const NOW: u64 = 1_700_000_200;
const KEY: &str = "app.key:what the tests sign with";
const SESSION_SECRET: &str = "a secret that only the application has";
const PROXY_SECRET: &str = "known to the proxy only";
/// All origins whose pages called another origin when it was recorded.
const LISTED: [&str; 2] = ["http://127.0.0.1:8001", "https://app.example.test:8443"];

/// Everything may be asked for, so that what is granted is what was understood.
const COMMON: &str = r#"
    [ably]
    key = "app.key:what the tests sign with"
    [grant]
    secrets = ["k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY"]
    [token]
    jitter = 0
    [permission.rules]
    "*" = ["*"]
    [given]
    "lobby" = ["subscribe"]
"#;

/// Who says who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A proxy, in a header.
    Header,
    /// The application's session, in a cookie that the browser adds to every request.
    Session,
    /// The caller itself.
    Claimed,
}

const WAYS: [Way; 3] = [Way::Header, Way::Session, Way::Claimed];

impl Way {
    fn toml(self) -> String {
        let way = match self {
            Self::Header => format!("[authenticate.header]\nproxy_secret = \"{PROXY_SECRET}\""),
            Self::Session => {
                format!("[authenticate.jwt]\nsecret = \"{SESSION_SECRET}\"\ncookie = \"app-session\"")
            }
            Self::Claimed => "[authenticate.claimed]".to_owned(),
        };
        format!("{COMMON}\n{way}\n")
    }
}

struct Origins;

impl Environment for Origins {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "ACCRUE_ORIGINS").then(|| LISTED.join(","))
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Err(format!("{path} is not needed"))
    }
}

/// A request as it was recorded, its address taken out.
#[derive(Debug, Clone)]
struct Recorded {
    case: String,
    method: String,
    query: Option<String>,
    /// Without `Host`, `Connection` and `Content-Length`, which belong to a connection.
    headers: Vec<(String, String)>,
    body: String,
    /// Whether the page that sent it was on the authUrl's own origin.
    origin_is_own: bool,
}

impl Recorded {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Every parameter, the body beating the query; empty, `null` and `undefined` are none.
    fn parameters(&self) -> BTreeMap<String, String> {
        let query = self.query.as_deref().unwrap_or_default();
        let body = if self.method == "POST" { self.body.as_str() } else { "" };
        let mut all = BTreeMap::new();
        for part in [query, body] {
            let pairs = form_urlencoded::parse(part.as_bytes()).into_owned();
            all.extend(pairs.filter(|(_, value)| !["", "null", "undefined"].contains(&value.as_str())));
        }
        all
    }

    fn client_id(&self) -> Option<String> {
        let parameters = self.parameters();
        parameters.get("clientId").or_else(|| parameters.get("client_id")).cloned()
    }
}

/// From ably-js in Node and from ably-python: raw headers, at some path.
fn recorded_by_servers(text: &str) -> Vec<Recorded> {
    let file: Value = serde_json::from_str(text).unwrap();
    let mut all = Vec::new();
    for recording in file["recordings"].as_array().unwrap() {
        for request in recording["authUrlRequests"].as_array().unwrap() {
            let path = request["path"].as_str().unwrap();
            let headers = request["rawHeaders"].as_array().unwrap().iter().map(|pair| {
                let part = |at: usize| pair[at].as_str().unwrap().to_owned();
                (part(0), part(1))
            });
            let of_the_connection = ["host", "connection", "content-length"];
            all.push(Recorded {
                case: recording["name"].as_str().unwrap().to_owned(),
                method: request["method"].as_str().unwrap().to_owned(),
                query: path.split_once('?').map(|(_, query)| query.to_owned()),
                headers: headers
                    .filter(|(name, _)| !of_the_connection.contains(&name.to_lowercase().as_str()))
                    .collect(),
                body: request["body"].as_str().unwrap().to_owned(),
                origin_is_own: true,
            });
        }
    }
    all
}

/// From ably-js in Chromium: the headers that matter, by name.
fn recorded_by_a_browser(text: &str) -> Vec<Recorded> {
    let file: Value = serde_json::from_str(text).unwrap();
    let names = [
        ("origin", "origin"),
        ("cookie", "cookie"),
        ("contentType", "content-type"),
        ("accept", "accept"),
        ("authorization", "authorization"),
        ("secFetchSite", "sec-fetch-site"),
        ("secFetchMode", "sec-fetch-mode"),
        ("acrMethod", "access-control-request-method"),
        ("acrHeaders", "access-control-request-headers"),
    ];
    let mut all = Vec::new();
    for recording in file["recordings"].as_array().unwrap() {
        for phase in ["afterLogin", "fresh"] {
            for request in recording[phase]["requests"].as_array().into_iter().flatten() {
                let url = request["url"].as_str().unwrap();
                let read = |member: &str| request[member].as_str().map(str::to_owned);
                all.push(Recorded {
                    case: format!("{}, {phase}", recording["name"].as_str().unwrap()),
                    method: read("method").unwrap(),
                    query: url.split_once('?').map(|(_, query)| query.to_owned()),
                    headers: names
                        .iter()
                        .filter_map(|(member, name)| Some(((*name).to_owned(), read(member)?)))
                        .collect(),
                    body: read("body").unwrap(),
                    origin_is_own: recording["pageOrigin"] == recording["authUrlOrigin"],
                });
            }
        }
    }
    all
}

/// What the contract says a request comes to.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Preflight,
    Token { client: String, capability: String, ttl: u64 },
    Error { status: u16, code: u64 },
}

/// `client` is who is authenticated, if anybody is.
fn expected(recorded: &Recorded, client: Option<&str>) -> Expected {
    if recorded.method == "OPTIONS" {
        return Expected::Preflight;
    }
    let parameters = recorded.parameters();
    let mut capability: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    if let Some(text) = parameters.get("capability") {
        match serde_json::from_str(text) {
            Ok(read) => capability = read,
            Err(_) => return Expected::Error { status: 400, code: 40000 },
        }
    }
    let Some(client) = client else { return Expected::Error { status: 401, code: 40100 } };
    if recorded.client_id().is_some_and(|claimed| claimed != client) {
        return Expected::Error { status: 401, code: 40102 };
    }
    capability.entry("lobby".to_owned()).or_default().insert("subscribe".to_owned());
    let ttl = parameters.get("ttl").map_or(3_600_000, |ttl| ttl.parse::<u64>().unwrap());
    Expected::Token {
        client: client.to_owned(),
        capability: serde_json::to_string(&capability).unwrap(),
        ttl: ttl.clamp(1000, 3_600_000),
    }
}

fn session_of(client: &str) -> String {
    let claims = json!({"sub": client, "exp": NOW + 3600});
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SESSION_SECRET.as_bytes())).unwrap()
}

/// The running service, to be stopped by dropping it.
struct Running {
    address: SocketAddr,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Running {
    async fn start(way: Way) -> Self {
        let config = Config::parse("test", &way.toml(), &Origins, &[]).unwrap();
        let moments = || Moment::new(NOW * 1000, [7; 32]);
        let service = config.assemble(NoHttpClient, String::new, moments).unwrap().service;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(accrue::serve(listener, service, Limits::default(), |_, _| {}, |_| {}, async {
            let _ = stopped.await;
        }));
        Self { address, _stop: stop }
    }

    /// Writes the request as it was recorded, but for its address and `more` headers.
    async fn send(&self, recorded: &Recorded, more: &[(&str, String)]) -> Answer {
        let address = self.address;
        let target =
            recorded.query.as_ref().map_or_else(|| "/auth".to_owned(), |query| format!("/auth?{query}"));
        let mut text = format!("{} {target} HTTP/1.1\r\nHost: {address}\r\n", recorded.method);
        for (name, value) in &recorded.headers {
            let own_origin = name == "origin" && recorded.origin_is_own;
            match own_origin {
                true => text.push_str(&format!("origin: http://{address}\r\n")),
                false => text.push_str(&format!("{name}: {value}\r\n")),
            }
        }
        for (name, value) in more {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let length = recorded.body.len();
        text.push_str(&format!("content-length: {length}\r\nconnection: close\r\n\r\n{}", recorded.body));

        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        read(&answer)
    }
}

/// An answer as it came over the wire.
#[track_caller]
fn read(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an end of the head");
    let head = std::str::from_utf8(&bytes[..end]).expect("a head in ASCII");
    let body = Bytes::copy_from_slice(&bytes[end + 4..]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status line");
    let status: StatusCode = status[..3].parse().unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("NAME: VALUE");
        headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    let answer = Answer { status, headers, body };
    match answer.header("content-length") {
        Some(length) => assert_eq!(length, answer.body.len().to_string(), "{answer:?}"),
        None => assert!(answer.body.is_empty() && answer.status == 204, "{answer:?}"),
    }
    answer
}

/// Holds an answer against what is expected, and against what SDKs accept.
#[track_caller]
fn is_as(expected: &Expected, answer: &Answer, recorded: &Recorded) {
    answer.has_the_usual_headers();
    let from_another = recorded.header("origin").filter(|_| !recorded.origin_is_own);
    answer.allows_only(from_another);
    match expected {
        Expected::Preflight => {
            assert_eq!(answer.status, 204, "{}: {answer:?}", recorded.case);
            assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, DELETE"));
            let allowed = answer.header("access-control-allow-headers").unwrap();
            assert_eq!(allowed, "authorization, content-type, accrue-grant");
        }
        Expected::Token { client, capability, ttl } => {
            let token = answer.token();
            assert!(token["keyName"].is_string(), "a TokenRequest has seven members: {token}");
            assert_eq!(token["clientId"], client.as_str(), "{recorded:?}");
            assert_eq!(token["capability"], capability.as_str(), "{recorded:?}");
            assert_eq!(token["ttl"], *ttl, "{recorded:?}");
            assert_eq!(answer.header("accrue-refused"), None, "{recorded:?}");
            let key = ApiKey::parse(KEY).unwrap();
            assert!(UntrustedTokenRequest::from_json(token).is_some_and(|request| request.verify(&key)));
            // the wish is remembered, unless the client has to be asked for it anyway
            let wished = *capability != r#"{"lobby":["subscribe"]}"#;
            assert_eq!(answer.headers.contains_key("set-cookie"), wished, "{recorded:?}");
        }
        Expected::Error { status, code } => {
            assert_eq!(answer.status_and_code(), (*status, *code), "{recorded:?}");
            assert!(!answer.headers.contains_key("set-cookie"), "{recorded:?}");
            if recorded.parameters().get("capability").is_some_and(|text| text.contains('\'')) {
                let error = answer.error();
                assert!(error["message"].as_str().unwrap().contains("JSON"), "{error}");
            }
        }
    }
}

/// Replays it as whoever it says it is, and as somebody else.
async fn replay(running: &Running, way: Way, recorded: &Recorded) {
    let claimed = recorded.client_id();
    let named = claimed.clone().unwrap_or_else(|| "alice".to_owned());
    match way {
        Way::Claimed => {
            let answer = running.send(recorded, &[]).await;
            is_as(&expected(recorded, claimed.as_deref()), &answer, recorded);
        }
        Way::Header => {
            for client in [named.as_str(), "somebody-else"] {
                let proxy = [("x-client-id", client.to_owned()), ("x-proxy-secret", PROXY_SECRET.to_owned())];
                let answer = running.send(recorded, &proxy).await;
                is_as(&expected(recorded, Some(client)), &answer, recorded);
            }
        }
        Way::Session => {
            let cookie = [("cookie", format!("app-session={}", session_of(&named)))];
            let answer = running.send(recorded, &cookie).await;
            // what was recorded there is no session, and the cookie doesn't make up for it
            let authorized = recorded.header("authorization").is_some_and(|value| !value.is_empty());
            let client = (!authorized).then_some(named.as_str());
            is_as(&expected(recorded, client), &answer, recorded);

            if authorized {
                let mut genuine = recorded.clone();
                genuine.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
                genuine.headers.push(("authorization".into(), format!("Bearer {}", session_of("carol"))));
                let answer = running.send(&genuine, &cookie).await;
                is_as(&expected(&genuine, Some("carol")), &answer, &genuine);

                // the known workaround: it says nothing but makes ably-js send cookies
                let mut workaround = recorded.clone();
                workaround.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
                workaround.headers.push(("authorization".into(), "-".into()));
                let answer = running.send(&workaround, &cookie).await;
                is_as(&expected(&workaround, Some(&named)), &answer, &workaround);
            }
        }
    }
}

/// How many requests there were, and how many of them came to what when the header said who they are.
async fn replay_all(all: &[Recorded]) -> (usize, [usize; 3]) {
    for way in WAYS {
        let running = Running::start(way).await;
        for recorded in all {
            replay(&running, way, recorded).await;
        }
    }
    let mut counts = [0; 3];
    for recorded in all {
        let named = recorded.client_id().unwrap_or_else(|| "alice".to_owned());
        match expected(recorded, Some(&named)) {
            Expected::Token { .. } => counts[0] += 1,
            Expected::Preflight => counts[1] += 1,
            Expected::Error { .. } => counts[2] += 1,
        }
    }
    (all.len(), counts)
}

#[tokio::test]
async fn ably_js_in_node_is_answered() {
    let all = recorded_by_servers(include_str!("data/recordings/ably-js-node.json"));
    assert_eq!(replay_all(&all).await, (31, [31, 0, 0]));
}

#[tokio::test]
async fn ably_js_in_a_browser_is_answered() {
    let all = recorded_by_a_browser(include_str!("data/recordings/ably-js-browser.json"));
    assert_eq!(replay_all(&all).await, (188, [140, 48, 0]));
}

#[tokio::test]
async fn ably_python_is_answered() {
    let all = recorded_by_servers(include_str!("data/recordings/ably-python.json"));
    // two of them send a dict as Python writes it, which is no JSON
    assert_eq!(replay_all(&all).await, (30, [28, 0, 2]));
}

#[tokio::test]
async fn pages_on_other_origins_are_refused_unless_listed() {
    let running = Running::start(Way::Header).await;
    let all = recorded_by_a_browser(include_str!("data/recordings/ably-js-browser.json"));
    let proxy = [("x-client-id", "alice".to_owned()), ("x-proxy-secret", PROXY_SECRET.to_owned())];
    let mut replayed = 0;
    for recorded in all.iter().filter(|recorded| !recorded.origin_is_own) {
        let mut unlisted = recorded.clone();
        for (name, value) in &mut unlisted.headers {
            if name == "origin" {
                *value = "https://app.other.test".to_owned();
            }
        }
        let answer = running.send(&unlisted, &proxy).await;
        assert_eq!(answer.status_and_code(), (403, 40300), "{unlisted:?}");
        answer.has_the_usual_headers();
        answer.allows_only(None);
        replayed += 1;
    }
    assert_eq!(replayed, 154);
}

#[tokio::test]
async fn browsers_without_fetch_metadata_are_told_apart_by_origin_and_host() {
    let running = Running::start(Way::Header).await;
    let all = recorded_by_a_browser(include_str!("data/recordings/ably-js-browser.json"));
    let proxy = [("x-client-id", "alice".to_owned()), ("x-proxy-secret", PROXY_SECRET.to_owned())];
    for recorded in &all {
        let mut older = recorded.clone();
        older.headers.retain(|(name, _)| !name.starts_with("sec-fetch-"));
        let answer = running.send(&older, &proxy).await;
        is_as(&expected(&older, Some("alice")), &answer, &older);
    }
}
