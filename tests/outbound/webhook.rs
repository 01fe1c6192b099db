//! "May they?", asked of a backend.

use accrue::HttpsClient;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::service::*;

const SECRET: &str = "a secret that only the application has";
const WISH: &str = r#"{"chat:new":["publish"]}"#;
const HELD: &str = r#"{"chat:old":["subscribe"]}"#;
const GIVEN: &str = r#"{"inbox:alice":["subscribe"]}"#;
const RECHECK_AFTER: u64 = 8 * 3600;
const GIVES: &str = "[given]\n\"inbox:{clientId}\" = [\"subscribe\"]";
const BRIEF: &str = "timeout = \"300ms\"";
/// Longer than the tests' own patience.
const PATIENT: &str = "timeout = \"30s\"";

/// With these lines in `[permission.webhook]`, and more tables.
#[track_caller]
fn asking(backend: &Nasty, lines: &str, more: &str, environment: &[(&str, &str)]) -> Server {
    asking_with(HttpsClient::new(), backend, lines, more, environment)
}

#[track_caller]
fn asking_with(
    client: HttpsClient,
    backend: &Nasty,
    lines: &str,
    more: &str,
    environment: &[(&str, &str)],
) -> Server {
    let url = backend.url();
    let toml = format!(
        "[authenticate.jwt]\nsecret = \"{SECRET}\"\n[permission.webhook]\nurl = \"{url}?key=s3cret\"\n{lines}\n{more}\n"
    );
    Server::asking_with(client, &toml, environment)
}

fn claims(client: &str) -> Value {
    json!({"sub": client, "exp": NOW + 1_000_000, "team": "s3cret"})
}

fn by(client: &str) -> Ask {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&Header::new(Algorithm::HS256), &claims(client), &key).unwrap();
    get("/auth").header("authorization", format!("Bearer {token}"))
}

fn alice() -> Ask {
    by("alice")
}

fn grants(capability: &str) -> Behaviour {
    says(&format!(r#"{{"granted":{capability}}}"#))
}

#[tokio::test]
async fn what_is_asked() {
    let held = [
        sealed("alice", r#"{"chat:fresh":["publish"]}"#, NOW - 100),
        sealed("alice", r#"{"chat:stale":["publish"]}"#, NOW - RECHECK_AFTER - 100),
        sealed("alice", r#"{"chat:old":["publish"]}"#, NOW - 2 * RECHECK_AFTER - 100),
        sealed("bob", r#"{"chat:of-bob":["publish"]}"#, NOW - 100),
    ];
    let held: Vec<&str> = held.iter().map(String::as_str).collect();
    let holding = Jar::holding(&held).and("session", "s3cret");
    let wishes = json!({"chat:fresh": ["publish"], "chat:new": ["subscribe", "publish"], "inbox:alice": ["subscribe"]});

    for (strategy, bearer, asked, held) in [
        (
            "cookie",
            "",
            json!({"chat:new": ["publish", "subscribe"], "chat:old": ["publish"], "chat:stale": ["publish"]}),
            json!({"chat:fresh": ["publish"]}),
        ),
        (
            "client",
            "bearer = \"s3cret of the backend\"",
            json!({"chat:fresh": ["publish"], "chat:new": ["publish", "subscribe"]}),
            json!({}),
        ),
        ("server", "", Value::Null, json!({})),
    ] {
        let backend = Nasty::start(grants("{}")).await;
        let server = asking(&backend, bearer, GIVES, &[("ACCRUE_STRATEGY", strategy)]);
        let ask = like_a_browser(alice()).carrying(&holding).wishing(&wishes.to_string());
        assert_eq!(status(&server, ask).await, OK, "{strategy}");

        let request = Received::last(&backend);
        assert_eq!(request.first_line, "POST /some/path?key=s3cret HTTP/1.1");
        let length = format!("content-length: {}", request.body.len());
        let mut headers = vec!["content-type: application/json", &length];
        if !bearer.is_empty() {
            headers.push("authorization: Bearer s3cret of the backend");
        }
        request.has_just(&backend, &headers);
        let body: Value = serde_json::from_str(&request.body).expect("JSON");
        let expected = json!({"clientId": "alice", "claims": claims("alice"), "asked": asked, "held": held});
        assert_eq!(body, expected, "{strategy}");
    }
}

#[tokio::test]
async fn nothing_is_asked_about_what_is_held_or_given() {
    let backend = Nasty::start(grants("{}")).await;
    let holding = Jar::holding(&[&sealed("alice", HELD, NOW - 100)]);
    for (strategy, wishes) in
        [("cookie", "{}"), ("cookie", HELD), ("cookie", GIVEN), ("client", GIVEN), ("client", "{}")]
    {
        let server = asking(&backend, "", GIVES, &[("ACCRUE_STRATEGY", strategy)]);
        assert_eq!(
            status(&server, alice().carrying(&holding).wishing(wishes)).await,
            OK,
            "{strategy} {wishes}"
        );
    }
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn what_is_answered() {
    const ASKED: &str = r#"{"chat:1":["publish","subscribe"],"room:*":["subscribe"]}"#;
    let everything_else = r#"{"[*]*":["*"],"chat:2":["publish"],"room":["subscribe"]}"#;
    // (granted, what comes of it, what is denied)
    let cases = [
        (ASKED, ASKED, "{}"),
        (r#"{"*":["*"]}"#, ASKED, "{}"),
        (everything_else, ASKED, "{}"),
        (r#"{"chat:1":["*"],"room:*":["*"]}"#, ASKED, "{}"),
        (r#"{"chat:*":["publish"],"chat:1":["subscribe"],"room:*":["subscribe"]}"#, ASKED, "{}"),
        (
            r#"{"chat:1":["publish"]}"#,
            r#"{"chat:1":["publish"]}"#,
            r#"{"chat:1":["subscribe"],"room:*":["subscribe"]}"#,
        ),
        (
            r#"{"chat:1":["history","publish"],"chat:2":["publish"]}"#,
            r#"{"chat:1":["publish"]}"#,
            r#"{"chat:1":["subscribe"],"room:*":["subscribe"]}"#,
        ),
        // narrower than a pattern
        (
            r#"{"room:1":["publish","subscribe"],"room:2:3":["subscribe"]}"#,
            r#"{"room:1":["subscribe"],"room:2:3":["subscribe"]}"#,
            ASKED,
        ),
        (r#"{"chat:1":[],"room:1":["subscribe"]}"#, r#"{"room:1":["subscribe"]}"#, ASKED),
        // nothing that was asked
        ("{}", "", ASKED),
        (r#"{"chat:1":[],"room:*":[]}"#, "", ASKED),
        (r#"{"chat:2":["publish"],"room":["subscribe"],"[meta]chat:1":["subscribe"]}"#, "", ASKED),
        (r#"{"chat:1":["history"]}"#, "", ASKED),
    ];
    let backend = Nasty::start(grants("{}")).await;
    let server = asking(&backend, "", "", &[]);
    for (granted, expected, denied) in cases {
        backend.behave(grants(granted));
        let (answer, outcome) = told(&server, alice().wishing(ASKED)).await;
        let refused = (denied != "{}").then(|| format!(r#"{{"denied":{denied}}}"#));
        assert_eq!(answer.header("accrue-refused"), refused.as_deref(), "{granted}");
        assert_eq!(outcome.cause, None, "{granted}");
        if expected.is_empty() {
            assert_eq!((answer.status_and_code(), changes(&answer)), (NOTHING, vec![]), "{granted}");
            continue;
        }
        assert_eq!(answer.token()["capability"], expected, "{granted}");
        assert_eq!(outcome.report.added.to_string(), expected, "{granted}");
        assert_eq!(outcome.report.check, Some("webhook"));
        let mut jar = Jar::default();
        jar.keep(&answer);
        assert_eq!(unsealed("alice", jar.only()).grant.capability.to_string(), expected, "{granted}");
    }
}

#[tokio::test]
async fn everything_is_what_the_key_may_do_at_most() {
    let backend = Nasty::start(grants("{}")).await;
    let key = "[ably.capability]\n\"chat:*\" = [\"publish\", \"subscribe\"]";
    let server = asking(&backend, "", key, &[("ACCRUE_STRATEGY", "server")]);
    for (granted, expected) in [
        (r#"{"chat:1":["publish"]}"#, r#"{"chat:1":["publish"]}"#),
        (r#"{"*":["*"],"other":["publish"]}"#, r#"{"chat:*":["publish","subscribe"]}"#),
        (r#"{"[*]*":["history"],"other":["publish"]}"#, ""),
        ("{}", ""),
    ] {
        backend.behave(grants(granted));
        let (answer, _) = told(&server, alice().wishing(WISH)).await;
        match expected {
            "" => assert_eq!(answer.status_and_code(), NOTHING, "{granted}"),
            _ => assert_eq!(answer.token()["capability"], expected, "{granted}"),
        }
    }
}

#[tokio::test]
async fn who_is_barred_gives_up_everything() {
    let fresh = sealed("alice", HELD, NOW - 100);
    let stale = sealed("alice", r#"{"chat:stale":["publish"]}"#, NOW - RECHECK_AFTER - 100);
    let of_bob = sealed("bob", HELD, NOW - 100);
    let backend = Nasty::start(grants("{}")).await;
    for answer in
        [r#"{"barred":true}"#, r#"{"granted":{"*":["*"]},"barred":true}"#, r#"{"barred":true,"granted":7}"#]
    {
        backend.behave(says(answer));
        for strategy in ["cookie", "client", "server"] {
            let server = asking(&backend, "", GIVES, &[("ACCRUE_STRATEGY", strategy)]);
            let ask = alice().carrying(&Jar::holding(&[&fresh, &stale, &of_bob])).wishing(WISH);
            let (answer, _) = told(&server, ask).await;
            let mut gone = match strategy {
                "cookie" => vec![format!("-{}", name_of(&fresh)), format!("-{}", name_of(&stale))],
                _ => vec![],
            };
            gone.sort();
            assert_eq!((answer.status_and_code(), changes(&answer)), (BARRED, gone), "{strategy}");
        }
    }
}

#[tokio::test]
async fn whatever_else_comes_costs_nobody_what_they_have() {
    let good = r#"{"granted":{"*":["*"],"chat:s3cret":["*"]}}"#;
    let elsewhere = Nasty::start(says(good)).await;
    let mut cases = useless(good, &elsewhere);
    cases.push(Useless {
        name: "401".to_owned(),
        behaviour: Answers(answer(401, &[], r#"{"barred":true}"#)),
        cause: "answered 401".to_owned(),
        is_slow: false,
    });
    for (body, cause) in [
        ("null", "neither"),
        ("true", "neither"),
        ("[]", "neither"),
        ("\"granted\"", "neither"),
        ("{}", "neither"),
        (r#"{"chat:new":["publish"]}"#, "neither"),
        (r#"{"Granted":{"*":["*"]}}"#, "neither"),
        (r#"{"granted":null}"#, "neither"),
        (r#"{"granted":true}"#, "neither"),
        (r#"{"granted":[]}"#, "neither"),
        (r#"{"granted":["chat:new"]}"#, "neither"),
        (r#"{"granted":"{\"*\":[\"*\"]}"}"#, "neither"),
        (r#"[{"granted":{"*":["*"]}}]"#, "neither"),
        (r#"{"barred":false}"#, "neither"),
        (r#"{"barred":"true"}"#, "neither"),
        (r#"{"barred":1,"granted":{"*":["*"]}}"#, "neither"),
        (r#"{"barred":null,"granted":{"*":["*"]}}"#, "neither"),
        (r#"{"granted":{"chat:new":"publish"}}"#, "no capability"),
        (r#"{"granted":{"chat:new":true}}"#, "no capability"),
        (r#"{"granted":{"chat:new":null}}"#, "no capability"),
        (r#"{"granted":{"chat:new":{"0":"publish"}}}"#, "no capability"),
        (r#"{"granted":{"chat:new":[["publish"]]}}"#, "no capability"),
        (r#"{"granted":{"chat:new":["publish",null]}}"#, "no capability"),
        (r#"{"granted":{"chat:new":["publish","s3cret"]}}"#, "an operation is unknown"),
        (r#"{"granted":{"chat:new":["Publish"]}}"#, "an operation is unknown"),
        (r#"{"granted":{"chat:new":["publish",""]}}"#, "an operation is unknown"),
        (r#"{"granted":{"chat:new":["publish","*"]}}"#, "must stand alone"),
        // one that is malformed beside a good one
        (r#"{"granted":{"chat:new":["publish"],"":["publish"]}}"#, "name is empty"),
        (r#"{"granted":{"chat:new":["publish"],":s3cret":["publish"]}}"#, "must not start with"),
        (r#"{"granted":{"chat:new":["publish"],"[s3cret]x":["publish"]}}"#, "qualifiers"),
        (r#"{"granted":{"chat:new":["publish"],"s3cret\n":["publish"]}}"#, "control characters"),
        // which of the two was meant?
        (r#"{"granted":{"chat:new":["publish"]},"granted":{}}"#, "not JSON"),
        (r#"{"granted":{"chat:new":["publish"],"chat:new":["*"]}}"#, "not JSON"),
        (r#"{"barred":true,"barred":false,"granted":{"s3cret":["*"]}}"#, "not JSON"),
        (r#"{"granted":{"chat:new":["publish"]},"note":{"a":1,"a":2}}"#, "not JSON"),
    ] {
        cases.push(Useless {
            name: body.to_owned(),
            behaviour: says(body),
            cause: cause.to_owned(),
            is_slow: false,
        });
    }
    let client = HttpsClient::new();
    each(cases, |case| costs_nobody_what_they_have(client.clone(), case)).await;
    assert_eq!(elsewhere.connections(), 0, "redirects are not followed");
}

async fn costs_nobody_what_they_have(client: HttpsClient, case: Useless) {
    let Useless { name, behaviour, cause: expected_cause, is_slow } = case;
    let backend = Nasty::start(behaviour).await;
    // with one question at once, one that leaked its slot would show
    let lines = format!(
        "bearer = \"s3cret of the backend\"\nmax_in_flight = 1\n{}",
        if is_slow { BRIEF } else { PATIENT }
    );
    let bare = asking_with(client.clone(), &backend, &lines, "", &[]);
    let gives = asking_with(client, &backend, &lines, GIVES, &[]);
    let since = |age: u64| Jar::holding(&[&sealed("alice", HELD, NOW - age)]);
    for (what, server, jar, fallback) in [
        ("given", &gives, Jar::default(), Some(GIVEN)),
        ("fresh", &bare, since(100), Some(HELD)),
        ("stale", &bare, since(RECHECK_AFTER + 1), Some(HELD)),
        ("nearly too old", &bare, since(2 * RECHECK_AFTER), Some(HELD)),
        ("too old", &bare, since(2 * RECHECK_AFTER + 1), None),
        ("of somebody else", &bare, Jar::holding(&[&sealed("bob", HELD, NOW - 100)]), None),
        ("nothing", &bare, Jar::default(), None),
    ] {
        let (answer, outcome) = told(server, alice().carrying(&jar).wishing(WISH)).await;
        let what = format!("{name}, {what}: {answer:?}, {:?}", outcome.cause);
        match fallback {
            Some(capability) => {
                let token = answer.token();
                assert_eq!(token["capability"], capability, "{what}");
                assert_eq!(token["ttl"], 300_000, "{what}");
            }
            None => assert_eq!(answer.status_and_code(), UNAVAILABLE, "{what}"),
        }
        let unavailable = format!(r#"{{"unavailable":{WISH}}}"#);
        assert_eq!(answer.header("accrue-refused"), Some(unavailable.as_str()), "{what}");
        assert!(!answer.headers.contains_key("set-cookie"), "{what}");
        let cause = cause(&outcome);
        assert!(cause.starts_with("webhook: ") && cause.contains(&expected_cause), "{what}");
    }
    // asked once each, but where a deadline came before the question
    let asked = backend.requests().len();
    assert!(asked == 7 || is_slow && asked < 7, "{name}: {asked}");
}

#[tokio::test]
async fn nobody_there() {
    let backend = Nasty::start(grants(WISH)).await;
    let server = asking(&backend, PATIENT, GIVES, &[]);
    drop(backend);
    // its port is closed by a task that was told to end
    tokio::task::yield_now().await;
    let (answer, outcome) = told(&server, alice().wishing(WISH)).await;
    assert_eq!(answer.token()["capability"], GIVEN);
    assert!(cause(&outcome).contains("Connection refused"), "{outcome:?}");
}

#[tokio::test]
async fn the_other_strategies_fall_back_on_what_is_given() {
    let backend = Nasty::start(Answers(answer(500, &[], ""))).await;
    for (strategy, refused) in
        [("client", Some(r#"{"unavailable":{"chat:new":["publish"]}}"#)), ("server", None)]
    {
        let environment = [("ACCRUE_STRATEGY", strategy)];
        // what an earlier strategy left behind counts for nothing
        let jar = Jar::holding(&[&sealed("alice", HELD, NOW - 100)]);
        let ask = || alice().carrying(&jar).wishing(WISH);
        let (answer, _) = told(&asking(&backend, "", GIVES, &environment), ask()).await;
        let token = answer.token();
        assert_eq!((&token["capability"], &token["ttl"]), (&json!(GIVEN), &json!(300_000)), "{strategy}");
        assert_eq!(answer.header("accrue-refused"), refused, "{strategy}");
        let bare = asking(&backend, "", "", &environment);
        assert_eq!(status(&bare, ask()).await, UNAVAILABLE, "{strategy}");
    }
}

#[tokio::test]
async fn a_client_outlives_an_outage_of_less_than_two_rechecks() {
    let down = Answers(answer(500, &[], ""));
    let backend = Nasty::start(grants(HELD)).await;
    let server = asking(&backend, "", "", &[]);
    let mut jar = Jar::default();
    jar.keep(&told(&server, alice().wishing(HELD)).await.0);
    let since = unsealed("alice", jar.only()).grant.since;
    let renewal = |ttl: &str| alice().carrying(&jar).with("ttl", ttl);

    backend.behave(down.clone());
    server.clock.pass(RECHECK_AFTER - 100);
    assert_eq!(
        (told(&server, renewal("")).await.0.token()["ttl"].clone(), backend.requests().len()),
        (json!(3_600_000), 1)
    );
    // stale: asked again each time, and what a client wishes for may be less than the five minutes
    server.clock.pass(1);
    for (wish, ttl) in [("", 300_000), ("3600000", 300_000), ("60000", 60_000)] {
        let (answer, _) = told(&server, renewal(wish)).await;
        assert_eq!((&answer.token()["capability"], &answer.token()["ttl"]), (&json!(HELD), &json!(ttl)));
        assert_eq!(
            (changes(&answer), answer.header("accrue-refused")),
            (vec![], None),
            "nothing was wished for"
        );
    }
    server.clock.pass(RECHECK_AFTER);
    assert_eq!(status(&server, renewal("")).await, UNAVAILABLE);
    // back again: permitted anew, as of now
    backend.behave(grants(HELD));
    let (answer, _) = told(&server, renewal("")).await;
    assert_eq!((&answer.token()["capability"], &answer.token()["ttl"]), (&json!(HELD), &json!(3_600_000)));
    jar.keep(&answer);
    assert_eq!(unsealed("alice", jar.only()).grant.since, since + 2 * RECHECK_AFTER);
}

const ALICE: &str = r#""clientId":"alice""#;

#[tokio::test]
async fn a_backend_that_hangs_for_one_client_hangs_for_no_other() {
    let backend = Nasty::start(grants(WISH)).await;
    backend.behave_for(ALICE, Hangs(vec![]));
    let server = Arc::new(asking(&backend, PATIENT, "", &[]));
    let hanging: Vec<_> = (0..4).map(|_| meanwhile(&server, alice().wishing(WISH))).collect();
    received(&backend, 4).await;

    assert_eq!(status(&server, by("bob").wishing(WISH)).await, OK);
    // the fifth is not asked, but costs alice nothing either
    let jar = Jar::holding(&[&sealed("alice", HELD, NOW - 100)]);
    let (answer, outcome) = told(&server, alice().carrying(&jar).wishing(WISH)).await;
    assert_eq!(answer.token()["capability"], HELD);
    assert_eq!(answer.header("accrue-refused"), Some(r#"{"unavailable":{"chat:new":["publish"]}}"#));
    assert_eq!(cause(&outcome), "webhook: too many questions in flight");
    assert_eq!(status(&server, alice().wishing(WISH)).await, UNAVAILABLE);
    // nor is anything that need not be asked
    assert_eq!(status(&server, alice().carrying(&jar)).await, OK);
    assert_eq!(backend.requests().len(), 5);
    assert!(hanging.iter().all(|task| !task.is_finished()));

    // when one of those who wait goes away, there is room for one
    backend.behave_for(ALICE, grants(WISH));
    hanging[0].abort();
    soon(async {
        while status(&server, alice().wishing(WISH)).await != OK {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(status(&server, alice().wishing(WISH)).await, OK);
    assert!(hanging[1..].iter().all(|task| !task.is_finished()));
}

#[tokio::test]
async fn a_backend_that_hangs_for_everybody_is_asked_so_much_and_no_more() {
    let backend = Nasty::start(Hangs(vec![])).await;
    let server = Arc::new(asking(&backend, &format!("{PATIENT}\nmax_in_flight = 3"), GIVES, &[]));
    let hanging = ["alice", "bob", "carol"].map(|client| meanwhile(&server, by(client).wishing(WISH)));
    received(&backend, 3).await;
    let (answer, outcome) = told(&server, by("dave").wishing(WISH)).await;
    assert_eq!(answer.token()["capability"], r#"{"inbox:dave":["subscribe"]}"#);
    assert_eq!(cause(&outcome), "webhook: too many questions in flight");
    assert_eq!(backend.requests().len(), 3);

    backend.behave(grants(WISH));
    for task in hanging {
        task.abort();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    }
    for client in ["alice", "bob", "carol", "dave"] {
        let (answer, _) = told(&server, by(client).wishing(WISH)).await;
        assert_eq!(answer.header("accrue-refused"), None, "{client}");
    }
}

#[tokio::test]
async fn a_deadline_gives_back_the_slots() {
    let backend = Nasty::start(Hangs(vec![])).await;
    let lines = format!("{BRIEF}\nmax_in_flight = 2\nmax_in_flight_per_client = 1");
    let server = Arc::new(asking(&backend, &lines, "", &[]));
    for _ in 0..2 {
        let both = ["alice", "bob"].map(|client| meanwhile(&server, by(client).wishing(WISH)));
        for task in both {
            let (answer, outcome) = task.await.unwrap();
            assert_eq!(answer.status_and_code(), UNAVAILABLE);
            assert_eq!(cause(&outcome), "webhook: no whole answer within 300ms; nothing to fall back on");
        }
    }
    // who was late said nothing: the next question has an answer of its own
    let late = Behaviour::Late(Duration::from_millis(350), answer(200, &[], r#"{"granted":{"*":["*"]}}"#));
    backend.behave(late);
    assert_eq!(status(&server, alice().wishing(WISH)).await, UNAVAILABLE);
    backend.behave(grants("{}"));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(status(&server, alice().wishing(WISH)).await, NOTHING);
}

#[tokio::test]
async fn many_at_once_have_their_own_answers() {
    let backend = Nasty::start(grants("{}")).await;
    let server = Arc::new(asking(&backend, PATIENT, "", &[]));
    let clients: Vec<String> = (10..50).map(|number| format!("client-{number}")).collect();
    for client in &clients {
        let own = format!(r#"{{"granted":{{"chat:{client}":["publish"]}}}}"#);
        let pause = Duration::from_millis(client.bytes().map(u64::from).sum::<u64>() % 7);
        backend.behave_for(&format!("\"{client}\""), Behaviour::Late(pause, answer(200, &[], &own)));
    }
    let asks =
        clients.iter().map(|client| meanwhile(&server, by(client).wishing(r#"{"chat:*":["publish"]}"#)));
    for (client, task) in clients.iter().zip(asks.collect::<Vec<_>>()) {
        let (answer, _) = task.await.unwrap();
        let own = format!(r#"{{"chat:{client}":["publish"]}}"#);
        assert_eq!(
            (&answer.token()["clientId"], &answer.token()["capability"]),
            (&json!(client), &json!(own))
        );
    }
}
