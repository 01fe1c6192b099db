//! Session JWTs, whose keys somebody else publishes.

use std::collections::BTreeMap;
use std::sync::Mutex;

use accrue::HttpsClient;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::service::*;

/// With these lines in `[authenticate.jwt]`.
#[track_caller]
fn verifying(publisher: &Nasty, lines: &str) -> Server {
    verifying_with(HttpsClient::new(), publisher, lines)
}

#[track_caller]
fn verifying_with(client: HttpsClient, publisher: &Nasty, lines: &str) -> Server {
    let url = publisher.url();
    let rest = "[permission.rules]\n\"chat:*\" = [\"subscribe\"]\n[given]\nlobby = [\"subscribe\"]";
    let toml = format!("[authenticate.jwt]\njwks = \"{url}?key=s3cret\"\n{lines}\n{rest}\n");
    Server::asking_with(client, &toml, &[])
}

fn file(name: &str) -> String {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/");
    std::fs::read_to_string(format!("{keys}{name}")).unwrap()
}

/// The public key of this name, as JWK.
fn jwk(kid: &str) -> Value {
    let set: Value = serde_json::from_str(&file("jwks.json")).unwrap();
    set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).expect("there is one").clone()
}

fn key_set(kids: &[&str]) -> String {
    let keys: Vec<Value> = kids.iter().map(|kid| jwk(kid)).collect();
    json!({ "keys": keys, "note": "s3cret" }).to_string()
}

fn publishing(kids: &[&str]) -> Behaviour {
    says(&key_set(kids))
}

fn header(algorithm: Algorithm, kid: &str) -> Header {
    Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) }
}

fn claims() -> Value {
    json!({"sub": "alice", "exp": NOW + 1_000_000, "email": "s3cret@example.com"})
}

fn private(kid: &str) -> (Algorithm, EncodingKey) {
    let pem = file(&format!("{kid}.private.pem"));
    match kid {
        "rsa" => (Algorithm::RS256, EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()),
        "p256" => (Algorithm::ES256, EncodingKey::from_ec_pem(pem.as_bytes()).unwrap()),
        "p384" => (Algorithm::ES384, EncodingKey::from_ec_pem(pem.as_bytes()).unwrap()),
        _ => (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem.as_bytes()).unwrap()),
    }
}

fn bearer(token: &str) -> Ask {
    get("/auth").header("authorization", format!("Bearer {token}"))
}

/// Alice, with a session that this key signed.
fn by(kid: &str) -> Ask {
    // signing takes its time in a build for tests
    static SIGNED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let mut signed = SIGNED.lock().unwrap();
    bearer(signed.entry(kid.to_owned()).or_insert_with(|| sign(kid, &claims())))
}

fn sign(kid: &str, claims: &Value) -> String {
    let (algorithm, key) = private(kid);
    encode(&header(algorithm, kid), claims, &key).unwrap()
}

/// Seconds pass; what is published from then on; who asks; what is answered; how often it was fetched so far.
type Step = (u64, Option<Behaviour>, &'static str, (u16, u64), usize);

async fn steps(name: &str, server: &Server, publisher: &Nasty, steps: Vec<Step>) {
    for (number, (seconds, behaviour, kid, expected, fetches)) in steps.into_iter().enumerate() {
        server.clock.pass(seconds);
        if let Some(behaviour) = behaviour {
            publisher.behave(behaviour);
        }
        let (answer, outcome) = told(server, by(kid)).await;
        let what = format!("{name}: step {number}, {kid}: {:?}", outcome.cause);
        assert_eq!((answer.status_and_code(), publisher.requests().len()), (expected, fetches), "{what}");
        match expected {
            OK => assert_eq!(outcome.cause, None, "{what}"),
            _ => assert!(!cause(&outcome).is_empty()),
        }
    }
}

#[tokio::test]
async fn what_is_asked() {
    let publisher = Nasty::start(publishing(&["p256", "rsa", "ed25519"])).await;
    let server = verifying(&publisher, "cookie = \"session\"");
    for kid in ["p256", "rsa", "ed25519", "p256"] {
        assert_eq!(status(&server, like_a_browser(by(kid)).header("cookie", "a=s3cret")).await, OK, "{kid}");
    }
    // when somebody first needed it, and not again
    assert_eq!(publisher.requests().len(), 1);
    let request = Received::last(&publisher);
    assert_eq!(
        (request.first_line.as_str(), request.body.as_str()),
        ("GET /some/path?key=s3cret HTTP/1.1", "")
    );
    request.has_just(&publisher, &[]);
}

#[tokio::test]
async fn a_new_key_is_looked_for_once_a_minute() {
    let publisher = Nasty::start(publishing(&["p256"])).await;
    let server = verifying(&publisher, "");
    let also_ed25519 = || Some(publishing(&["p256", "ed25519"]));
    steps(
        "new",
        &server,
        &publisher,
        vec![
            (0, None, "p256", OK, 1),
            (0, also_ed25519(), "ed25519", UNAUTHENTICATED, 1),
            (59, None, "ed25519", UNAUTHENTICATED, 1),
            (0, None, "p256", OK, 1),
            (1, None, "ed25519", OK, 2),
            (0, None, "p256", OK, 2),
            (0, None, "p384", UNAUTHENTICATED, 2),
            (59, None, "p384", UNAUTHENTICATED, 2),
            (1, None, "p384", UNAUTHENTICATED, 3),
            (0, None, "ed25519", OK, 3),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_key_that_is_withdrawn_is_gone_within_an_hour() {
    let publisher = Nasty::start(publishing(&["p256", "ed25519"])).await;
    let server = verifying(&publisher, "");
    steps(
        "withdrawn",
        &server,
        &publisher,
        vec![
            (0, None, "ed25519", OK, 1),
            (3599, Some(publishing(&["p256"])), "ed25519", OK, 1),
            (1, None, "ed25519", UNAUTHENTICATED, 2),
            (0, None, "p256", OK, 2),
            (3600, None, "p256", OK, 3),
            // or sooner, when somebody comes with a new one
            (0, Some(publishing(&["ed25519"])), "p256", OK, 3),
            (60, None, "ed25519", OK, 4),
            (0, None, "p256", UNAUTHENTICATED, 4),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_clock_that_was_ahead_does_not_keep_a_key_that_is_withdrawn() {
    let publisher = Nasty::start(publishing(&["p256", "ed25519"])).await;
    let server = verifying(&publisher, "");
    let ten_days = 864_000;
    steps("ahead", &server, &publisher, vec![(ten_days, None, "ed25519", OK, 1)]).await;
    server.clock.set_back(ten_days);
    let right =
        vec![(0, Some(publishing(&["p256"])), "ed25519", UNAUTHENTICATED, 2), (0, None, "p256", OK, 2)];
    steps("right again", &server, &publisher, right).await;
}

/// What is no key set; the slow ones apart, whose deadline is none of the configuration's.
fn no_key_sets(elsewhere: &Nasty) -> Vec<Useless> {
    let both = key_set(&["p256", "ed25519"]);
    let mut cases = useless(&both, elsewhere);
    cases.retain(|case| !case.is_slow);
    let with = |more: Value| json!({"keys": [jwk("p256"), jwk("ed25519"), more]});
    for (body, cause) in [
        (json!({}), "line 1 column"),
        (json!([jwk("p256")]), "line 1 column"),
        (jwk("p256"), "line 1 column"),
        (json!({"keys": {}}), "line 1 column"),
        (json!({"keys": null}), "line 1 column"),
        (json!({"keys": []}), "no key"),
        (json!({"keys": [{"kty": "AKP", "alg": "ML-DSA-44", "kid": "p256", "pub": "s3cret"}]}), "no key"),
        (json!({"keys": [jwk("for-encryption")]}), "no key"),
        (with(json!({"kty": "oct", "kid": "s3cret", "k": "czNjcmV0"})), "secret"),
        (with(json!({"kty": "oct", "alg": "HS256", "kid": "p256", "k": "czNjcmV0"})), "secret"),
    ] {
        cases.push(Useless {
            name: body.to_string(),
            behaviour: says(&body.to_string()),
            cause: cause.to_owned(),
            is_slow: false,
        });
    }
    cases
}

#[tokio::test]
async fn the_last_good_set_is_kept() {
    let elsewhere = Nasty::start(publishing(&["p256", "ed25519"])).await;
    let client = HttpsClient::new();
    for Useless { name, behaviour, .. } in no_key_sets(&elsewhere) {
        let publisher = Nasty::start(publishing(&["p256"])).await;
        let server = verifying_with(client.clone(), &publisher, "");
        let both = publishing(&["p256", "ed25519"]);
        let rows = vec![
            (0, None, "p256", OK, 1),
            // a new one may be in the set that could not be had
            (60, Some(behaviour), "ed25519", UNAVAILABLE, 2),
            (0, None, "p256", OK, 2),
            (59, None, "ed25519", UNAVAILABLE, 2),
            (1, None, "ed25519", UNAVAILABLE, 3),
            (3600, None, "p256", OK, 4),
            (59, None, "p256", OK, 4),
            (1, None, "p256", OK, 5),
            (0, Some(both), "ed25519", UNAVAILABLE, 5),
            (60, None, "p256", OK, 6),
            (0, None, "ed25519", OK, 6),
            (0, None, "p384", UNAUTHENTICATED, 6),
        ];
        steps(&name, &server, &publisher, rows).await;
        assert_eq!(get_ready(&server).await, Ok(()));
    }
    assert_eq!(elsewhere.connections(), 0, "redirects are not followed");
}

#[tokio::test]
async fn without_any_set_nobody_is_known_and_nothing_is_ready() {
    let elsewhere = Nasty::start(publishing(&["p256"])).await;
    let client = HttpsClient::new();
    for Useless { name, behaviour, cause: expected_cause, .. } in no_key_sets(&elsewhere) {
        let publisher = Nasty::start(behaviour).await;
        let server = verifying_with(client.clone(), &publisher, "");
        let (answer, outcome) = told(&server, by("p256")).await;
        assert_eq!(answer.status_and_code(), UNAVAILABLE, "{name}");
        let told_cause = cause(&outcome);
        assert!(
            told_cause.contains(&publisher.url()) && told_cause.contains(&expected_cause),
            "{name}: {told_cause}"
        );
        assert_eq!(get_ready(&server).await, Err(told_cause.to_owned()), "{name}");

        let good = publishing(&["p256"]);
        let rows = vec![
            (0, None, "p384", UNAVAILABLE, 1),
            (4, None, "p256", UNAVAILABLE, 1),
            (1, None, "p256", UNAVAILABLE, 2),
            (4, Some(good), "p256", UNAVAILABLE, 2),
            (1, None, "p256", OK, 3),
        ];
        steps(&name, &server, &publisher, rows).await;
        assert_eq!(get_ready(&server).await, Ok(()), "{name}");
    }
    assert_eq!(elsewhere.connections(), 0, "redirects are not followed");
}

/// What whoever starts it is told, which is what a probe is told.
async fn get_ready(server: &Server) -> Result<(), String> {
    let ready = soon(server.service.ready()).await;
    let (answer, outcome) = told(server, get("/readyz")).await;
    match &ready {
        Ok(()) => assert_eq!(answer.status, 200, "{answer:?}"),
        Err(said) => {
            assert_eq!(answer.status_and_code(), UNAVAILABLE);
            assert_eq!(cause(&outcome), said);
        }
    }
    ready
}

#[tokio::test]
async fn readiness_fetches_what_will_be_needed() {
    let publisher = Nasty::start(Answers(answer(500, &[], ""))).await;
    let server = verifying(&publisher, "");
    assert!(get_ready(&server).await.is_err());
    publisher.behave(publishing(&["p256"]));
    server.clock.pass(4);
    assert!(get_ready(&server).await.is_err());
    assert_eq!(publisher.requests().len(), 1);
    server.clock.pass(1);
    assert_eq!(get_ready(&server).await, Ok(()));
    steps("then", &server, &publisher, vec![(0, None, "p256", OK, 2)]).await;
    // probes keep nothing fresh, and an outage later on does not stop anybody
    publisher.behave(Answers(answer(500, &[], "")));
    server.clock.pass(100_000);
    assert_eq!((get_ready(&server).await, publisher.requests().len()), (Ok(()), 2));
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_hangs() {
    let publisher = Nasty::start(Hangs(vec![])).await;
    let server = verifying(&publisher, "");
    let (answer, outcome) = told(&server, by("p256")).await;
    assert_eq!(answer.status_and_code(), UNAVAILABLE);
    assert!(cause(&outcome).ends_with("no whole answer within 5s"), "{outcome:?}");
}

#[tokio::test]
async fn who_can_do_with_the_last_good_set_does_not_wait_for_the_next() {
    let publisher = Nasty::start(publishing(&["p256"])).await;
    let server = Arc::new(verifying(&publisher, ""));
    assert_eq!(status(&server, by("p256")).await, OK);
    for seconds in [3600, 60] {
        publisher.behave(Hangs(vec![]));
        server.clock.pass(seconds);
        let fetches = publisher.requests().len();
        let first = meanwhile(&server, by("p256"));
        received(&publisher, fetches + 1).await;
        for _ in 0..3 {
            assert_eq!(status(&server, by("p256")).await, OK);
        }
        assert_eq!(get_ready(&server).await, Ok(()));
        assert!(!first.is_finished());
        assert_eq!(publisher.requests().len(), fetches + 1);
        // what was hanging fails, which costs nobody anything
        publisher.hang_up();
        assert_eq!(first.await.unwrap().0.status_and_code(), OK);
    }
}

#[tokio::test]
async fn however_many_need_it_fetch_it_once() {
    let slowly = |kids: &[&str]| Behaviour::Late(Duration::from_millis(50), answer(200, &[], &key_set(kids)));
    let publisher = Nasty::start(slowly(&["p256"])).await;
    let server = Arc::new(verifying(&publisher, ""));
    for (fetches, kids, kid, expected) in [
        (1, &["p256"][..], "p256", OK),
        (2, &["p256"], "ed25519", UNAUTHENTICATED),
        (3, &["p256", "ed25519"], "ed25519", OK),
        (4, &["p256", "ed25519"], "p384", UNAUTHENTICATED),
    ] {
        publisher.behave(slowly(kids));
        let all: Vec<_> = (0..20).map(|_| meanwhile(&server, by(kid))).collect();
        for task in all {
            assert_eq!(task.await.unwrap().0.status_and_code(), expected, "{kids:?} {kid}");
        }
        assert_eq!(publisher.requests().len(), fetches, "{kids:?} {kid}");
        server.clock.pass(60);
    }
    // one that fails, too
    publisher.behave(Behaviour::Late(Duration::from_millis(50), answer(500, &[], "")));
    let all: Vec<_> = (0..20).map(|_| meanwhile(&server, by("p384"))).collect();
    for task in all {
        assert_eq!(task.await.unwrap().0.status_and_code(), UNAVAILABLE);
    }
    assert_eq!(publisher.requests().len(), 5);
}

#[tokio::test]
async fn who_goes_away_leaves_the_fetch_to_the_next() {
    let publisher = Nasty::start(Hangs(vec![])).await;
    let server = Arc::new(verifying(&publisher, ""));
    let slowly =
        |kids: &[&str]| Behaviour::Late(Duration::from_millis(100), answer(200, &[], &key_set(kids)));
    // the first of all, and the first to come with a new key
    for (fetches, kids, kid) in [(1, &["p256"][..], "p256"), (2, &["p256", "ed25519"], "ed25519")] {
        publisher.behave(slowly(kids));
        for _ in 0..2 {
            let gone = meanwhile(&server, by(kid));
            received(&publisher, fetches).await;
            gone.abort();
            assert!(gone.await.is_err());
        }
        assert_eq!(status(&server, by(kid)).await, OK, "{kid}");
        assert_eq!(publisher.requests().len(), fetches, "{kid}");
        server.clock.pass(60);
    }
    // one that nobody went on with for so long that it can't be waited for is begun anew
    publisher.behave(Hangs(vec![]));
    let gone = meanwhile(&server, by("rsa"));
    received(&publisher, 3).await;
    gone.abort();
    assert!(gone.await.is_err());
    publisher.behave(publishing(&["p256", "rsa"]));
    server.clock.pass(5);
    assert_eq!(status(&server, by("rsa")).await, OK);
    assert_eq!(publisher.requests().len(), 4);
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let publisher = Nasty::start(publishing(&["p256", "rsa", "ed25519"])).await;
    // would have its own keys believed, if a token could say where to look
    let mallory = Nasty::start(says(&json!({"keys": [jwk("p256")]}).to_string())).await;
    let server = verifying(&publisher, "");
    assert_eq!(status(&server, by("p256")).await, OK);

    let mut forged: Vec<(String, String)> = Vec::new();
    for kid in ["p256", "rsa", "ed25519"] {
        let public = file(&format!("{kid}.public.pem"));
        let jwk = jwk(kid);
        let part = |name: &str| BASE64URL.decode(jwk[name].as_str().unwrap_or_default()).unwrap();
        let secrets: [Vec<u8>; 7] = [
            public.clone().into(),
            public.trim_end().into(),
            public.lines().filter(|line| !line.starts_with('-')).collect::<String>().into(),
            jwk.to_string().into(),
            jwk["n"].as_str().or_else(|| jwk["x"].as_str()).unwrap().into(),
            [part("n"), part("x"), part("y")].concat(),
            [&[4], part("x").as_slice(), &part("y")].concat(),
        ];
        for (number, secret) in secrets.iter().enumerate() {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let key = EncodingKey::from_secret(secret);
                let token = encode(&header(algorithm, kid), &claims(), &key).unwrap();
                forged.push((format!("{algorithm:?} of {kid}, secret {number}"), token));
            }
        }
        // a good key that goes by another's name
        for other in ["p256", "p384"].into_iter().filter(|other| *other != kid) {
            let (algorithm, key) = private(other);
            let token = encode(&header(algorithm, kid), &claims(), &key).unwrap();
            forged.push((format!("{other} as {kid}"), token));
        }
        for algorithm in ["none", "None", "nOnE", "NONE", "", "HS256", "ES256"] {
            for signature in ["", "AA", &BASE64URL.encode([0; 64])] {
                let header = json!({"alg": algorithm, "typ": "JWT", "kid": kid});
                let parts = [&header, &claims()].map(|part| BASE64URL.encode(part.to_string()));
                forged.push((
                    format!("{algorithm:?} {signature:?}"),
                    format!("{}.{}.{signature}", parts[0], parts[1]),
                ));
            }
        }
    }
    // its own key, in the token or somewhere else
    let own = EncodingKey::from_ec_pem(file("p384.private.pem").as_bytes()).unwrap();
    for kid in ["p256", "rsa"] {
        let named =
            Header { jku: Some(mallory.url()), x5u: Some(mallory.url()), ..header(Algorithm::ES384, kid) };
        forged.push(("jku".to_owned(), encode(&named, &claims(), &own).unwrap()));
    }
    for (what, token) in &forged {
        let (answer, outcome) = told(&server, bearer(token)).await;
        assert_eq!(answer.status_and_code(), UNAUTHENTICATED, "{what}: {:?}", outcome.cause);
        assert!(cause(&outcome).starts_with("session JWT: "), "{what}");
        // nor later on, when looking for a key would be allowed
        server.clock.pass(1);
    }
    assert_eq!((publisher.requests().len(), mallory.connections()), (1, 0));
}

#[tokio::test]
async fn what_was_permitted_before_the_session_says_is_checked_again() {
    const HELD: &str = r#"{"chat:1":["subscribe"]}"#;
    let publisher = Nasty::start(publishing(&["p256"])).await;
    let backend = Nasty::start(Answers(answer(500, &[], ""))).await;
    let toml = format!(
        "[authenticate.jwt]\njwks = \"{}\"\nnot_before_claim = \"reset_at\"\n[permission.webhook]\nurl = \"{}\"",
        publisher.url(),
        backend.url()
    );
    let server = Server::asking_with(HttpsClient::new(), &toml, &[]);
    let jar = Jar::holding(&[&sealed("alice", HELD, NOW - 1000)]);
    let session = |reset_at: Value| {
        let claims = json!({"sub": "alice", "exp": NOW + 1000, "reset_at": reset_at});
        bearer(&sign("p256", &claims)).carrying(&jar)
    };
    for (reset_at, expected) in [
        (json!(NOW - 1001), OK),
        (json!(NOW - 1000), UNAVAILABLE),
        (json!(NOW), UNAVAILABLE),
        (json!("yesterday"), UNAUTHENTICATED),
    ] {
        assert_eq!(status(&server, session(reset_at.clone())).await, expected, "{reset_at}");
    }
    backend.behave(says(&format!(r#"{{"granted":{HELD}}}"#)));
    let (answer, _) = told(&server, session(json!(NOW))).await;
    let mut jar = jar.clone();
    jar.keep(&answer);
    assert_eq!(unsealed("alice", jar.only()).grant.since, NOW + 1);
}
