//! The admin listener without sockets: who is let in, what is understood, and what becomes of a revocation.

#[path = "support/answer.rs"]
mod answer;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use accrue::ably::ApiKey;
use accrue::{
    AdminAccess, AdminService, AdminTokenError, ClientId, Endpoint, GrantStore, Half, HttpCall, HttpClient,
    HttpClientError, MemoryStore, Moment, Revocation, Revoking, Store, StoreChange, StoreError, Stored, Whom,
};
use answer::Answer;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::json;

use AdminAccess::{Loopback, Network};

fn client(id: &str) -> ClientId {
    ClientId::try_from(id).expect("well-formed")
}

/// An Ably that revokes, or does not.
#[derive(Clone)]
struct Ably {
    status: u16,
    body: &'static str,
    calls: Arc<AtomicUsize>,
}

impl Ably {
    fn works() -> Self {
        let body = r#"{"successCount":1,"failureCount":0,"results":[{"target":"clientId:alice","issuedBefore":1700000000000,"appliesAt":1700000030000}]}"#;
        Self { status: 201, body, calls: Arc::default() }
    }

    fn fails() -> Self {
        let body = r#"{"error":{"code":40164,"statusCode":401,"message":"not enabled"}}"#;
        Self { status: 401, body, calls: Arc::default() }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl HttpClient for Ably {
    async fn send(&self, _: HttpCall) -> Result<Response<Bytes>, HttpClientError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(Response::builder().status(self.status).body(Bytes::from(self.body)).unwrap())
    }
}

/// A store on a disk that is full.
struct Broken;

impl GrantStore for Broken {
    async fn read(&self, _: &ClientId) -> Result<Stored, StoreError> {
        Err(StoreError("no space left".to_owned()))
    }

    async fn apply(&self, _: &ClientId, _: StoreChange) -> Result<(), StoreError> {
        Err(StoreError("no space left".to_owned()))
    }

    async fn revoke(&self, _: &Whom, _: u64) -> Result<u64, StoreError> {
        Err(StoreError("no space left".to_owned()))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Err(StoreError("no space left".to_owned()))
    }
}

fn with_ably(revocation: Revocation, ably: Ably) -> Revocation {
    let key = ApiKey::parse("app.key:an-ably-secret").unwrap();
    revocation.with_ably(key, Endpoint::parse("https://ably.example/").unwrap(), ably)
}

fn admin(revocation: Revocation, access: AdminAccess, token: Option<&str>) -> AdminService {
    let moments = || Moment::new(NOW * 1000 + 999, [7; 32]);
    AdminService::new(revocation, access, token, || "accrue_up 1\n".to_owned(), moments).unwrap()
}

fn on_loopback() -> AdminService {
    admin(Revocation::new().with_store(Store::new(MemoryStore::default())), Loopback, None)
}

/// `METHOD /PATH`, with these headers and no others.
fn request(line: &str, headers: &[(&str, &str)], body: &str) -> Request<Full<Bytes>> {
    let (method, target) = line.split_once(' ').expect("METHOD TARGET");
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request.body(Full::from(body.to_owned())).unwrap()
}

/// The answer, which has what every answer has, and what its extensions say.
async fn send<B>(admin: &AdminService, request: Request<B>) -> (Answer, Option<Revoking>)
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (response, body) = admin.handle(request).await.into_parts();
    let revoking = response.extensions.get::<Revoking>().cloned();
    let body = body.collect().await.unwrap().to_bytes();
    let answer = Answer { status: response.status, headers: response.headers, body };
    answer.has_the_usual_headers();
    answer.allows_only(None);
    if answer.status.as_u16() >= 400 && answer.json().get("mark").is_none() {
        answer.error();
        assert!(revoking.is_none(), "{answer:?}");
    }
    (answer, revoking)
}

async fn status(admin: &AdminService, line: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    send(admin, request(line, headers, body)).await.0.status.as_u16()
}

#[tokio::test]
async fn who_is_let_in_on_loopback() {
    let open = on_loopback();
    let with_token = admin(Revocation::new(), Loopback, Some(TOKEN));
    for (headers, expected) in [
        (&[("host", "localhost")][..], 200),
        (&[("host", "localhost:8081")], 200),
        (&[("host", "LocalHost:8081")], 200),
        (&[("host", "127.0.0.2:8081")], 200),
        (&[("host", "127.0.0.1")], 200),
        (&[("host", "127.0.0.1:8081")], 200),
        (&[("host", "[::1]")], 200),
        (&[("host", "[::1]:8081")], 200),
        (&[], 421),
        (&[("host", "")], 421),
        (&[("host", "evil.example.com")], 421),
        (&[("host", "localhost.evil.example.com")], 421),
        (&[("host", "localhost.")], 421),
        (&[("host", "127.0.0.1.nip.io:8081")], 421),
        (&[("host", "accrue.internal:8081")], 421),
        (&[("host", "10.0.0.1:8081")], 421),
        (&[("host", "0.0.0.0:8081")], 421),
        (&[("host", "[::2]:8081")], 421),
        (&[("host", "localhost@evil.example.com")], 421),
        (&[("host", "localhost"), ("host", "localhost")], 421),
        (&[("host", "localhost"), ("host", "evil.example.com")], 421),
        (&[("host", "localhost"), ("origin", "http://localhost")], 403),
        (&[("host", "localhost"), ("origin", "null")], 403),
        (&[("host", "localhost"), ("origin", "")], 403),
        (&[("host", "localhost"), ("sec-fetch-site", "same-origin")], 403),
        (&[("host", "localhost"), ("sec-fetch-site", "none")], 403),
        (&[("host", "evil.example.com"), ("origin", "https://evil.example.com")], 403),
    ] {
        for line in ["GET /metrics", "HEAD /metrics", "POST /revoke", "GET /nowhere", "OPTIONS /revoke"] {
            let json = [headers, &[("content-type", "application/json")]].concat();
            let answered = status(&open, line, &json, r#"{"everybody":true}"#).await;
            let let_in = answered != 403 && answered != 421;
            assert!(answered == expected || expected == 200 && let_in, "{line} {headers:?}: {answered}");

            // a token helps nobody who may not be here
            let authorized = [&json[..], &[("authorization", BEARER)]].concat();
            let answered = status(&with_token, line, &authorized, r#"{"everybody":true}"#).await;
            let let_in = ![401, 403, 421].contains(&answered);
            assert!(answered == expected || expected == 200 && let_in, "{line} {headers:?}: {answered}");
        }
    }
}

#[tokio::test]
async fn who_is_let_in_from_elsewhere() {
    let admin = admin(Revocation::new(), Network, Some(TOKEN));
    let longer = format!("{BEARER}x");
    let twice = format!("{BEARER}, {BEARER}");
    let spaced = format!("Bearer   {TOKEN} ");
    let basic = format!("Basic {TOKEN}");
    for (headers, expected) in [
        (&[("authorization", BEARER)][..], 200),
        (&[("authorization", BEARER), ("host", "accrue.internal:8081")], 200),
        (&[("authorization", BEARER), ("host", "a"), ("host", "b")], 200),
        (&[("authorization", &spaced)], 200),
        (&[("authorization", &BEARER.replace("Bearer", "bearer"))], 200),
        (&[], 401),
        (&[("host", "localhost")], 401),
        (&[("authorization", "")], 401),
        (&[("authorization", "-")], 401),
        (&[("authorization", "Bearer")], 401),
        (&[("authorization", "Bearer ")], 401),
        (&[("authorization", "Bearer wrong")], 401),
        (&[("authorization", &BEARER[..BEARER.len() - 1])], 401),
        (&[("authorization", &longer)], 401),
        (&[("authorization", &BEARER.to_uppercase())], 401),
        (&[("authorization", &twice)], 401),
        (&[("authorization", TOKEN)], 401),
        (&[("authorization", &basic)], 401),
        (&[("authorization", "Bearer b\u{e4}r")], 401),
        (&[("authorization", BEARER), ("authorization", BEARER)], 401),
        (&[("authorization", BEARER), ("authorization", "Bearer wrong")], 401),
        (&[("authorization", BEARER), ("origin", "https://app.example.com")], 403),
        (&[("authorization", BEARER), ("sec-fetch-site", "same-site")], 403),
        (&[("authorization", BEARER), ("Sec-Fetch-Site", "")], 403),
    ] {
        for line in ["GET /metrics", "POST /revoke", "GET /nowhere", "PUT /metrics"] {
            let (answer, _) = send(&admin, request(line, headers, "")).await;
            let answered = answer.status.as_u16();
            let let_in = answered != 401 && answered != 403;
            assert!(answered == expected || expected == 200 && let_in, "{line} {headers:?}: {answer:?}");
            assert_eq!(answer.header("www-authenticate"), (answered == 401).then_some("Bearer"));
            assert!(!format!("{answer:?}").contains(TOKEN));
        }
    }
}

#[tokio::test]
async fn paths_and_methods() {
    let admin = on_loopback();
    for (line, expected, allow) in [
        ("GET /metrics", 200, None),
        ("HEAD /metrics", 200, None),
        ("GET /metrics?a=b", 200, None),
        ("POST /metrics", 405, Some("GET, HEAD")),
        ("DELETE /metrics", 405, Some("GET, HEAD")),
        ("OPTIONS /metrics", 405, Some("GET, HEAD")),
        ("GET /revoke", 405, Some("POST")),
        ("HEAD /revoke", 405, Some("POST")),
        ("PUT /revoke", 405, Some("POST")),
        ("DELETE /revoke", 405, Some("POST")),
        ("OPTIONS /revoke", 405, Some("POST")),
        ("POST /revoke", 200, None),
        ("GET /", 404, None),
        ("GET /auth", 404, None),
        ("GET /healthz", 404, None),
        ("GET /metrics/", 404, None),
        ("POST /revoke/", 404, None),
        ("POST //revoke", 404, None),
        ("POST /REVOKE", 404, None),
    ] {
        let headers = [("host", "localhost"), ("content-type", "application/json")];
        let (answer, _) = send(&admin, request(line, &headers, r#"{"everybody":true}"#)).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (expected, allow), "{line}");
    }
}

#[tokio::test]
async fn metrics_are_shown_as_prometheus_reads_them() {
    let (answer, _) = send(&on_loopback(), request("GET /metrics", &[("host", "localhost")], "")).await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(answer.body, "accrue_up 1\n");
}

#[tokio::test]
async fn a_request_keeps_its_name_if_it_is_one() {
    for (sent, kept) in [("mine-1", true), ("not mine", false), ("", false), (&*"x".repeat(65), false)] {
        let headers = [("host", "localhost"), ("x-request-id", sent)];
        let (answer, _) = send(&on_loopback(), request("GET /metrics", &headers, "")).await;
        assert_eq!(answer.header("x-request-id") == Some(sent), kept, "{sent:?}");
    }
}

#[tokio::test]
async fn bodies() {
    let admin = on_loopback();
    let [id, too_long] = ["x".repeat(256), "x".repeat(257)].map(|id| json!({ "clientId": id }).to_string());
    let padded = |bytes: usize| {
        let around = r#"{"everybody":true,"x":""}"#.len();
        format!(r#"{{"everybody":true,"x":"{}"}}"#, "x".repeat(bytes - around))
    };
    for (content_type, body, expected) in [
        ("application/json", r#"{"clientId":"alice"}"#, 200),
        ("application/json; charset=utf-8", r#"{"clientId":"alice"}"#, 200),
        ("Application/JSON", r#" { "clientId" : "org:zo\u00eb \"a\"" } "#, 200),
        ("application/json", &id, 200),
        ("application/json", r#"{"everybody":true}"#, 200),
        ("application/json", r#"{"everybody":true,"reason":"other members do no harm"}"#, 200),
        ("application/json", &padded(65_536), 200),
        // neither, both, or not so
        ("application/json", "", 400),
        ("application/json", "{}", 400),
        ("application/json", r#"{"clientId":"alice","everybody":true}"#, 400),
        ("application/json", r#"{"clientId":"alice","everybody":false}"#, 400),
        ("application/json", r#"{"clientId":null,"everybody":true}"#, 400),
        ("application/json", r#"{"clientId":"alice","everybody":null}"#, 400),
        ("application/json", r#"{"everybody":false}"#, 400),
        ("application/json", r#"{"everybody":"true"}"#, 400),
        ("application/json", r#"{"everybody":1}"#, 400),
        ("application/json", r#"{"everybody":null}"#, 400),
        ("application/json", r#"{"clientid":"alice"}"#, 400),
        ("application/json", r#"{"client_id":"alice"}"#, 400),
        ("application/json", r#"{"clientIds":["alice"]}"#, 400),
        // no clientId
        ("application/json", r#"{"clientId":""}"#, 400),
        ("application/json", r#"{"clientId":"*"}"#, 400),
        ("application/json", r#"{"clientId":"a*"}"#, 400),
        ("application/json", r#"{"clientId":"a\nb"}"#, 400),
        ("application/json", r#"{"clientId":"a\u2028b"}"#, 400),
        ("application/json", r#"{"clientId":7}"#, 400),
        ("application/json", r#"{"clientId":["alice"]}"#, 400),
        ("application/json", &too_long, 400),
        // not JSON, or JSON of two readings
        ("application/json", "alice", 400),
        ("application/json", r#"{"clientId":"alice""#, 400),
        ("application/json", r#"{"clientId":"alice"} {"#, 400),
        ("application/json", r#"{'clientId':'alice'}"#, 400),
        ("application/json", r#""alice""#, 400),
        ("application/json", r#"[{"clientId":"alice"}]"#, 400),
        ("application/json", "true", 400),
        ("application/json", r#"{"clientId":"alice","clientId":"bob"}"#, 400),
        ("application/json", r#"{"clientId":"alice","clientId":"alice"}"#, 400),
        ("application/json", r#"{"everybody":true,"x":{"a":1,"a":2}}"#, 400),
        // of another type
        ("application/x-www-form-urlencoded", "clientId=alice", 415),
        ("application/x-www-form-urlencoded", "everybody=true", 415),
        ("text/plain", r#"{"everybody":true}"#, 415),
        ("text/json", r#"{"everybody":true}"#, 415),
        ("application/jsonp", r#"{"everybody":true}"#, 415),
        ("multipart/form-data", r#"{"everybody":true}"#, 415),
        ("", r#"{"everybody":true}"#, 415),
        ("application/json", &padded(65_537), 413),
    ] {
        let headers = [("host", "localhost"), ("content-type", content_type)];
        let (answer, revoking) = send(&admin, request("POST /revoke", &headers, body)).await;
        let shown = &body[..body.len().min(80)];
        assert_eq!(answer.status, expected, "{content_type} {shown}: {answer:?}");
        assert_eq!(revoking.is_some(), expected == 200, "{shown}");
        if expected == 415 {
            assert!(answer.error()["message"].as_str().unwrap().contains("application/json"));
        }
    }
    let body = r#"{"everybody":true}"#;
    for (more, expected) in [
        (&[][..], 415),
        (&[("content-type", "application/json"), ("content-type", "application/json")], 415),
        (&[("content-type", "application/json"), ("content-encoding", "gzip")], 415),
    ] {
        let headers = [&[("host", "localhost")], more].concat();
        assert_eq!(status(&admin, "POST /revoke", &headers, body).await, expected, "{more:?}");
    }
}

#[tokio::test]
async fn whom_to_revoke_is_told_what_is_wrong_with_it() {
    let admin = on_loopback();
    let long = format!(r#"{{"{0}":1,"{0}":2}}"#, "x".repeat(20_000));
    for (body, code, words) in [
        (r#"{"clientId":"a*"}"#, 40012, "clientId must not contain"),
        (r#"{"clientId":"#, 40000, "not valid JSON"),
        (&long, 40000, "xxx...\" stands twice"),
        (r#"{"clientId":7}"#, 40000, "send {\"clientId\": ID}"),
    ] {
        let headers = [("host", "localhost"), ("content-type", "application/json")];
        let (answer, _) = send(&admin, request("POST /revoke", &headers, body)).await;
        let error = answer.error();
        let message = error["message"].as_str().unwrap();
        assert_eq!(error["code"], code, "{message}");
        assert!(message.contains(words) && message.len() < 200, "{message}");
    }
}

/// A body in pieces, whose length nobody says in advance.
struct Pieces(VecDeque<io::Result<Bytes>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<http_body::Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front().map(|piece| piece.map(http_body::Frame::data)))
    }
}

#[tokio::test]
async fn a_body_that_does_not_end_well_revokes_nobody() {
    let whole = || Ok(Bytes::from(r#"{"everybody":true}"#));
    for (pieces, expected) in [
        (vec![whole()], 200),
        ((0..70).map(|_| Ok(Bytes::from(" ".repeat(1024)))).chain([whole()]).collect(), 413),
        (vec![whole(), Err(io::Error::other("gone"))], 400),
        (vec![whole(), Err(io::ErrorKind::TimedOut.into())], 408),
    ] {
        let request = Request::post("/revoke").header("host", "localhost");
        let request = request.header("content-type", "application/json").body(Pieces(pieces.into()));
        let (answer, revoking) = send(&on_loopback(), request.unwrap()).await;
        assert_eq!((answer.status.as_u16(), revoking.is_some()), (expected, expected == 200), "{answer:?}");
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Configured {
    No,
    Works,
    Fails,
}

#[tokio::test]
async fn what_is_answered_is_what_became_of_each_half() {
    use Configured::{Fails, No, Works};

    for (store, ably, one, all) in [
        (No, No, 501, 501),
        (Works, No, 200, 200),
        (Fails, No, 502, 502),
        (No, Works, 200, 501),
        (Works, Works, 200, 200),
        (Fails, Works, 502, 502),
        (No, Fails, 502, 501),
        (Works, Fails, 502, 200),
        (Fails, Fails, 502, 502),
    ] {
        let (kept, api) = (MemoryStore::default(), if ably == Works { Ably::works() } else { Ably::fails() });
        let mut revocation = match store {
            No => Revocation::new(),
            Works => Revocation::new().with_store(Store::new(kept.clone())),
            Fails => Revocation::new().with_store(Store::new(Broken)),
        };
        if ably != No {
            revocation = with_ably(revocation, api.clone());
        }
        let admin = admin(revocation, Loopback, None);
        let mark = match store {
            No => json!({
                "status": "none",
                "message": "there is no [store] to note it in: grants count until they are checked again",
            }),
            Works => json!({ "status": "done", "notBefore": NOW + 5 }),
            Fails => json!({ "status": "failed", "message": "store: no space left" }),
        };
        let at_ably = match ably {
            No => json!({
                "status": "none",
                "message": "ably.revocable is not set: tokens that are out live until they expire",
            }),
            Works => json!({ "status": "done", "appliesAt": 1_700_000_030_000_u64 }),
            Fails => json!({
                "status": "failed",
                "message": "Ably answered 401, code 40164, \"not enabled\": enable revocable tokens for this key in the Ably dashboard, or set ably.revocable = false",
            }),
        };
        let of_nobody = json!({ "status": "none", "message": "Ably revokes tokens client by client only" });
        for (body, status, at_ably, whom) in [
            (r#"{"clientId":"alice"}"#, one, at_ably, Whom::Client(client("alice"))),
            (r#"{"everybody":true}"#, all, of_nobody, Whom::Everybody),
        ] {
            let told = format!("store {store:?}, Ably {ably:?}, {body}");
            let headers = [("host", "localhost"), ("content-type", "application/json")];
            let (answer, revoking) = send(&admin, request("POST /revoke", &headers, body)).await;
            assert_eq!(answer.status, status, "{told}: {answer:?}");
            assert_eq!(answer.header("content-type"), Some("application/json"), "{told}");
            let mut expected = json!({ "mark": mark, "ably": at_ably });
            if whom == Whom::Everybody && store == Works {
                // later than the mark of any client before
                expected["mark"]["notBefore"] = (NOW + 6).into();
            }
            assert_eq!(answer.json(), expected, "{told}");

            // which is what the log and the second call go by
            let revoking = revoking.unwrap_or_else(|| panic!("{told}: not told"));
            assert_eq!(revoking.whom, whom, "{told}");
            assert_eq!(serde_json::to_value(&revoking.revoked).unwrap(), answer.json(), "{told}");
            assert_eq!(revoking.revoked.mark.is_done(), store == Works, "{told}");
            assert_eq!(matches!(revoking.revoked.mark, Half::Failed { .. }), store == Fails, "{told}");
        }
        // Ably was called once, for alice, also where the mark could not be set
        assert_eq!(api.calls(), usize::from(ably != No), "store {store:?}, Ably {ably:?}");
        for (whom, expected) in [("alice", store == Works), ("bob", store == Works)] {
            let marked = GrantStore::read(&kept, &client(whom)).await.unwrap().not_before;
            assert_eq!(marked, expected.then_some(NOW + 6), "{whom}: everybody was revoked in the end");
        }
    }
}

#[tokio::test]
async fn whom_it_does_not_understand_it_does_not_revoke() {
    let kept = MemoryStore::default();
    let ably = Ably::works();
    let revocation = with_ably(Revocation::new().with_store(Store::new(kept.clone())), ably.clone());
    let admin = admin(revocation, Loopback, Some(TOKEN));
    let good = [("host", "localhost"), ("content-type", "application/json"), ("authorization", BEARER)];
    for (line, headers, body) in [
        ("POST /revoke", &good[..], r#"{"clientId":"alice","everybody":true}"#),
        ("POST /revoke", &good[..2], r#"{"clientId":"alice"}"#),
        ("POST /revoke", &good[1..], r#"{"clientId":"alice"}"#),
        ("PUT /revoke", &good, r#"{"clientId":"alice"}"#),
        ("POST /revoke?clientId=alice", &good, "{}"),
        ("POST /revoke?everybody=true", &good, ""),
        ("POST /metrics", &good, r#"{"clientId":"alice"}"#),
        ("POST /revoke", &[&good[..], &[("origin", "null")]].concat(), r#"{"clientId":"alice"}"#),
    ] {
        assert!(status(&admin, line, headers, body).await >= 400, "{line} {body}");
        assert_eq!(
            GrantStore::read(&kept, &client("alice")).await.unwrap(),
            Stored::default(),
            "{line} {body}"
        );
    }
    assert_eq!(ably.calls(), 0);
    assert_eq!(status(&admin, "POST /revoke", &good, r#"{"clientId":"alice"}"#).await, 200);
    assert_eq!(GrantStore::read(&kept, &client("alice")).await.unwrap().not_before, Some(NOW + 5));
    assert_eq!(GrantStore::read(&kept, &client("bob")).await.unwrap().not_before, None);
    assert_eq!(ably.calls(), 1);
}

#[test]
fn there_is_none_without_a_good_token_where_others_can_reach_it() {
    let made = |access, token| {
        let moments = || Moment::new(0, [0; 32]);
        AdminService::new(Revocation::new(), access, token, String::new, moments).map(drop)
    };
    let short = &TOKEN[..31];
    for (access, token, expected) in [
        (Loopback, None, Ok(())),
        (Loopback, Some(TOKEN), Ok(())),
        (Network, Some(TOKEN), Ok(())),
        (Network, None, Err(AdminTokenError::Missing)),
        (Network, Some(""), Err(AdminTokenError::Short)),
        (Network, Some(short), Err(AdminTokenError::Short)),
        (Loopback, Some(short), Err(AdminTokenError::Short)),
        (Loopback, Some("a token of several words, 32 bytes"), Err(AdminTokenError::Unsendable)),
        (Network, Some("schl\u{fc}ssel-von-mehr-als-32-bytes-0"), Err(AdminTokenError::Unsendable)),
        (Network, Some("an-admin-token-of-32-bytes-or-so\n"), Err(AdminTokenError::Unsendable)),
    ] {
        assert_eq!(made(access, token), expected, "{access:?} {token:?}");
    }
    assert!(!format!("{:?}", admin(Revocation::new(), Network, Some(TOKEN))).contains(TOKEN));
}

#[tokio::test]
async fn overload_is_told_in_the_same_shape() {
    let (head, ()) = Request::get("/metrics").body(()).unwrap().into_parts();
    let (response, body) = on_loopback().overloaded(&head).into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let answer = Answer { status: response.status, headers: response.headers, body };
    answer.has_the_usual_headers();
    assert_eq!((answer.status_and_code(), answer.header("retry-after")), ((503, 50003), Some("5")));
}

const NOW: u64 = 1_700_000_200;
const TOKEN: &str = "an-admin-token-of-thirty-two-bytes";
const BEARER: &str = "Bearer an-admin-token-of-thirty-two-bytes";
