//! Ably's half.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use accrue::ably::ApiKey;
use accrue::{
    ClientId, Endpoint, GrantStore, Half, HttpsClient, MemoryStore, Moment, Revocation, Store, StoreChange,
    StoreError, Stored, Whom,
};
use serde_json::{Value, json};
use tokio::time::{pause, sleep};

use crate::stand_in::{ISSUED_BEFORE, Reply, StandIn};

const KEY: &str = "app-1.key_1:an-ably-secret/with+signs=";
/// `app-1.key_1:an-ably-secret/with+signs=` in base64.
const BASIC: &str = "Basic YXBwLTEua2V5XzE6YW4tYWJseS1zZWNyZXQvd2l0aCtzaWducz0=";
const NOW: u64 = 1_700_000_200;

fn revocation_at(url: &str) -> Revocation {
    let key = ApiKey::parse(KEY).unwrap();
    Revocation::new().with_ably(key, Endpoint::parse(url).unwrap(), HttpsClient::new())
}

fn client(id: &str) -> ClientId {
    ClientId::try_from(id).unwrap()
}

fn moment() -> Moment {
    Moment::new(NOW * 1000 + 999, [7; 32])
}

/// What does not wait for anything.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("it waits"),
    }
}

#[tokio::test]
async fn what_ably_is_told() {
    for (id, path) in [
        ("alice", ""),
        ("alice", "/"),
        ("alice", "/v1"),
        ("alice", "/v1/"),
        ("org:a b", ""),
        ("zo\u{eb} \"\\ \u{1f600} /?#%41", ""),
        (&*"x".repeat(256), ""),
    ] {
        let ably = StandIn::start(|_| Reply::Says(201, done("clientId:whoever").to_string()));
        let half = revocation_at(&format!("{}{path}", ably.url())).again(&client(id)).await;
        assert_eq!(half, Half::Done { not_before: None, applies_at: Some(ISSUED_BEFORE + 30_000) }, "{id}");

        let calls = ably.calls();
        let [call] = calls.as_slice() else { panic!("not one call: {calls:?}") };
        let prefix = path.trim_end_matches('/');
        assert_eq!(call.line, format!("POST {prefix}/keys/app-1.key_1/revokeTokens"), "{path}");
        assert_eq!(call.header("authorization"), Some(BASIC));
        assert_eq!(call.header("x-ably-version"), Some("3"));
        assert_eq!(call.header("content-type"), Some("application/json"));
        let body: Value = serde_json::from_str(&call.body).unwrap();
        assert_eq!(body, json!({ "targets": [format!("clientId:{id}")], "allowReauthMargin": true }));
    }
}

/// What the stand-in answers where it is as strict as Ably.
fn done(target: &str) -> Value {
    json!({
        "successCount": 1,
        "failureCount": 0,
        "results": [{ "target": target, "issuedBefore": ISSUED_BEFORE, "appliesAt": ISSUED_BEFORE + 30_000 }],
    })
}

#[tokio::test]
async fn ably_takes_it() {
    let ably = StandIn::ably(KEY);
    let revoked = revocation_at(&ably.url()).revoke(&Whom::Client(client("alice")), &moment()).await;
    assert_eq!(revoked.ably, Half::Done { not_before: None, applies_at: Some(ISSUED_BEFORE + 30_000) });
    assert_eq!(revoked.succeeded(), Some(true));

    let other = StandIn::ably("app-1.other:an-ably-secret/with+signs=");
    let refused = revocation_at(&other.url()).again(&client("alice")).await;
    assert!(matches!(&refused, Half::Failed { message } if message.contains("no such path")), "{refused:?}");
}

#[tokio::test]
async fn what_ably_answers() {
    let error = |status: u16, code: u64, message: &str| {
        json!({ "error": { "code": code, "statusCode": status, "message": message, "href": "https://help.ably.io" } })
            .to_string()
    };
    let failed = |error: Value| {
        let result = json!({ "target": "clientId:alice", "error": error });
        json!({ "successCount": 0, "failureCount": 1, "results": [result] }).to_string()
    };
    let enable = "enable revocable tokens for this key in the Ably dashboard, or set ably.revocable = false";
    let same_key = "ably.key must be the key that signs the tokens";
    for (status, body, complaints) in [
        (201, done("clientId:alice").to_string(), &[][..]),
        (200, done("clientId:alice").to_string(), &[]),
        (
            201,
            failed(json!({ "code": 40000, "statusCode": 400, "message": "no such target" })),
            &["no such target"],
        ),
        (
            201,
            failed(json!({ "code": 40163, "statusCode": 401, "message": "not enabled" })),
            &["40163", enable],
        ),
        (401, error(401, 40163, "revocation not enabled for key"), &["401", "40163", enable]),
        (401, error(401, 40164, "revocation not enabled for key"), &["401", "40164", enable]),
        (401, error(401, 40162, "token auth used"), &["40162", same_key]),
        (401, error(401, 40133, "another key"), &["40133", same_key]),
        (401, error(401, 40101, "invalid credentials"), &["40101", "\"invalid credentials\""]),
        (403, error(403, 40300, "forbidden"), &["403", "40300"]),
        (429, error(429, 42910, "rate limit exceeded"), &["429", "rate limit"]),
        (500, error(500, 50000, "internal error"), &["500", "50000"]),
        (500, String::new(), &["500", "no message"]),
        (502, "<html>Bad gateway</html>".to_owned(), &["502", "no message"]),
        (302, String::new(), &["302"]),
        // as version 2 answers, or nobody
        (201, json!([]).to_string(), &["not understood"]),
        (
            201,
            json!({ "successCount": 1, "failureCount": 0, "results": [] }).to_string(),
            &["not understood"],
        ),
        (201, json!({ "successCount": 1, "failureCount": 0 }).to_string(), &["not understood"]),
        (
            201,
            json!({ "results": [{ "target": "clientId:alice", "appliesAt": 1 }] }).to_string(),
            &["not understood"],
        ),
        (
            201,
            json!({ "failureCount": 0, "results": [{ "target": "clientId:alice", "appliesAt": "soon" }] })
                .to_string(),
            &["does not say from when on"],
        ),
        (201, String::new(), &["not understood"]),
        (201, "garbage".to_owned(), &["not understood"]),
        (201, "null".to_owned(), &["not understood"]),
        (201, "[".repeat(100_000), &["not understood"]),
        (200, "<html>".to_owned(), &["not understood"]),
        (201, "x".repeat(2 << 20), &["1048576 bytes"]),
        // what is not ours is told short, and on one line
        (
            400,
            error(400, 40000, &format!("{}\n{}", "a".repeat(150), "b".repeat(1000))),
            &["400", "aaa\\nbbb"],
        ),
    ] {
        let ably = StandIn::saying(status, &body);
        let half = revocation_at(&ably.url()).again(&client("alice")).await;
        let shown = &body[..body.len().min(100)];
        match &half {
            Half::Done { .. } => assert!(complaints.is_empty(), "{status} {shown}: {half:?}"),
            Half::Failed { message } => {
                assert!(!complaints.is_empty(), "{status} {shown}: {message}");
                for complaint in complaints {
                    assert!(message.contains(complaint), "{status} {shown}: {message}");
                }
                assert!(message.len() < 500 && !message.contains('\n'), "{message}");
                assert!(!message.contains("an-ably-secret") && !message.contains("Basic"), "{message}");
            }
            Half::None { .. } => panic!("{half:?}"),
        }
        assert_eq!(ably.calls().len(), 1, "once, whatever the answer");
    }
}

#[tokio::test]
async fn an_ably_that_hangs_or_is_not_there_is_waited_for_ten_seconds_at_most() {
    let ably = StandIn::start(|_| Reply::Hangs);
    let revocation = revocation_at(&ably.url());
    let revoking = tokio::spawn(async move { revocation.again(&client("alice")).await });
    while ably.calls().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    // from here on time passes as soon as nothing else is to be done
    pause();
    let half = revoking.await.unwrap();
    assert!(matches!(&half, Half::Failed { message } if message.contains("within 10s")), "{half:?}");

    let half = revocation_at("http://127.0.0.1:1").again(&client("alice")).await;
    assert!(matches!(&half, Half::Failed { message } if message.contains("127.0.0.1:1")), "{half:?}");
}

#[tokio::test]
async fn the_mark_is_set_before_ably_is_called() {
    let kept = MemoryStore::default();
    let marks = kept.clone();
    let ably = StandIn::start(move |_| {
        let mark = at_once(GrantStore::read(&marks, &client("alice"))).unwrap().not_before;
        Reply::Says(418, json!({ "error": { "code": 0, "message": format!("{mark:?}") } }).to_string())
    });
    let revocation = revocation_at(&ably.url()).with_store(Store::new(kept));
    let revoked = revocation.revoke(&Whom::Client(client("alice")), &moment()).await;
    assert_eq!(revoked.mark, Half::Done { not_before: Some(NOW + 5), applies_at: None });
    let Half::Failed { message } = &revoked.ably else { panic!("{revoked:?}") };
    assert!(message.contains(&format!("Some({})", NOW + 5)), "{message}");
    assert_eq!(revoked.succeeded(), Some(false));
}

struct Broken;

impl GrantStore for Broken {
    async fn read(&self, _: &ClientId) -> Result<Stored, StoreError> {
        Err(StoreError("away".to_owned()))
    }

    async fn apply(&self, _: &ClientId, _: StoreChange) -> Result<(), StoreError> {
        Err(StoreError("away".to_owned()))
    }

    async fn revoke(&self, _: &Whom, _: u64) -> Result<u64, StoreError> {
        Err(StoreError("away".to_owned()))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Err(StoreError("away".to_owned()))
    }
}

#[tokio::test]
async fn ably_is_told_also_where_the_mark_can_t_be_set() {
    let ably = StandIn::ably(KEY);
    let revocation = revocation_at(&ably.url()).with_store(Store::new(Broken));
    let revoked = revocation.revoke(&Whom::Client(client("alice")), &moment()).await;
    assert_eq!(revoked.mark, Half::Failed { message: "store: away".to_owned() });
    assert!(revoked.ably.is_done() && revoked.succeeded() == Some(false), "{revoked:?}");
}

#[tokio::test]
async fn ably_is_not_called_for_everybody_nor_where_it_is_not_configured() {
    let ably = StandIn::ably(KEY);
    let kept = MemoryStore::default();
    let with_store = Revocation::new().with_store(Store::new(kept.clone()));
    let revoked =
        revocation_at(&ably.url()).with_store(Store::new(kept)).revoke(&Whom::Everybody, &moment()).await;
    assert!(revoked.mark.is_done() && matches!(revoked.ably, Half::None { .. }), "{revoked:?}");
    let revoked = with_store.revoke(&Whom::Client(client("alice")), &moment()).await;
    assert!(revoked.mark.is_done() && matches!(revoked.ably, Half::None { .. }), "{revoked:?}");
    assert!(matches!(with_store.again(&client("alice")).await, Half::None { .. }));
    assert_eq!(revocation_at(&ably.url()).revoke(&Whom::Everybody, &moment()).await.succeeded(), None);
    assert_eq!(ably.calls().len(), 0);
}

#[test]
fn debug_shows_no_key() {
    let shown = format!("{:?}", revocation_at("https://ably.example/?key=in-the-query"));
    assert!(!shown.contains("an-ably-secret") && !shown.contains("in-the-query"), "{shown}");
}
