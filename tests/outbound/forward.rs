//! "Who is calling?", asked of the application.

use accrue::HttpsClient;
use serde_json::{Value, json};

use super::*;
use crate::service::*;

const WISH: &str = r#"{"chat:1":["publish"]}"#;
const BRIEF: &str = "timeout = \"300ms\"";
/// Longer than the tests' own patience.
const PATIENT: &str = "timeout = \"30s\"";
const RULES: &str = r#"
    [permission.rules]
    "chat:*" = ["publish"]
    "team:{claims.team}:*" = ["*"]
    [given]
    "inbox:{clientId}" = ["subscribe"]
"#;

/// With these lines in `[authenticate.forward]`, and other tables.
#[track_caller]
fn asking(application: &Nasty, lines: &str, more: &str) -> Server {
    asking_with(HttpsClient::new(), application, lines, more)
}

#[track_caller]
fn asking_with(client: HttpsClient, application: &Nasty, lines: &str, more: &str) -> Server {
    let url = application.url();
    let toml = format!("[authenticate.forward]\nurl = \"{url}?key=s3cret\"\n{lines}\n{more}\n");
    Server::asking_with(client, &toml, &[])
}

/// Whoever has this session.
fn by(session: &str) -> Ask {
    get("/auth").header("cookie", format!("session={session}"))
}

fn knows(client: &str) -> Behaviour {
    says(&json!({ "clientId": client }).to_string())
}

#[tokio::test]
async fn what_is_asked() {
    let application = Nasty::start(knows("alice")).await;
    let server = asking(&application, PATIENT, RULES);
    type Sent = &'static [(&'static str, &'static str)];
    // (what the caller sends, what the application gets of it)
    let cases: &[(Sent, &[&str])] = &[
        (&[], &[]),
        (&[("cookie", "session=s3cret")], &["cookie: session=s3cret"]),
        (&[("cookie", " a=\"1 2\";; =x;b = c, d; \u{e9} ")], &["cookie:  a=\"1 2\";; =x;b = c, d; \u{e9} "]),
        (
            &[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "a=3")],
            &["cookie: a=1", "cookie: b=2", "cookie: a=3"],
        ),
        (&[("authorization", "Bearer s3cret")], &["authorization: Bearer s3cret"]),
        (&[("authorization", "Basic czNjcmV0")], &["authorization: Basic czNjcmV0"]),
        (&[("authorization", "-"), ("cookie", "a=1")], &["cookie: a=1"]),
        (&[("authorization", "")], &[]),
        (&[("authorization", " - ")], &[]),
        (&[("authorization", "--")], &["authorization: --"]),
        (
            &[("authorization", "Bearer s3cret"), ("cookie", "a=1")],
            &["cookie: a=1", "authorization: Bearer s3cret"],
        ),
    ];
    for (sent, passed_on) in cases {
        let parameters = [("capability", WISH), ("clientId", "alice"), ("rnd", "s3cret")];
        let ask = like_a_browser(post("/auth?rnd=s3cret").headers(sent).form(&parameters));
        assert_eq!(status(&server, ask).await, OK, "{sent:?}");
        let request = Received::last(&application);
        assert_eq!(
            (request.first_line.as_str(), request.body.as_str()),
            ("GET /some/path?key=s3cret HTTP/1.1", "")
        );
        request.has_just(&application, passed_on);
    }
}

#[tokio::test]
async fn two_credentials_are_none() {
    let application = Nasty::start(knows("alice")).await;
    let server = asking(&application, PATIENT, RULES);
    for two in [["Bearer a", "Bearer b"], ["Bearer a", "Bearer a"], ["-", "Bearer a"], ["", "-"]] {
        let ask = by("s3cret").header("authorization", two[0]).header("authorization", two[1]);
        assert_eq!(status(&server, ask).await, UNAUTHENTICATED, "{two:?}");
    }
    assert_eq!(application.connections(), 0);
}

#[tokio::test]
async fn what_is_answered() {
    let application = Nasty::start(knows("alice")).await;
    let server = asking(&application, PATIENT, RULES);
    let ok = |body: Value| says(&body.to_string());
    let refuses = |body: &str| Answers(answer(401, &[("location", "/login")], body));
    let alice = Ok("alice");
    for (behaviour, expected) in [
        (ok(json!({"clientId": "alice"})), alice),
        (ok(json!({"clientId": "alice", "claims": {}, "notBefore": 0})), alice),
        (ok(json!({"clientId": "alice", "claims": null, "notBefore": null})), alice),
        (ok(json!({"clientId": "alice", "client_id": "bob", "name": [1]})), alice),
        (ok(json!({"clientId": "zoë.日本"})), Ok("zoë.日本")),
        (ok(json!({"clientId": " alice "})), Ok(" alice ")),
        (refuses(""), Err(UNAUTHENTICATED)),
        (refuses("<html>s3cret"), Err(UNAUTHENTICATED)),
        (refuses(r#"{"clientId":"alice"}"#), Err(UNAUTHENTICATED)),
        // known, but by an id that Ably can't have
        (ok(json!({"clientId": ""})), Err((400, 40012))),
        (ok(json!({"clientId": "*"})), Err((400, 40012))),
        (ok(json!({"clientId": "s3cret*"})), Err((400, 40012))),
        (ok(json!({"clientId": "s3cret\n"})), Err((400, 40012))),
        (ok(json!({"clientId": "x".repeat(257)})), Err((400, 40012))),
    ] {
        application.behave(behaviour.clone());
        let (answer, outcome) = told(&server, by("s3cret")).await;
        match expected {
            Ok(client) => assert_eq!(answer.token()["clientId"], client, "{behaviour:?}"),
            Err(error) => {
                assert_eq!(answer.status_and_code(), error, "{behaviour:?}");
                cause(&outcome);
            }
        }
    }
}

#[tokio::test]
async fn whatever_else_comes_is_nobody() {
    let good = r#"{"clientId":"s3cret"}"#;
    let elsewhere = Nasty::start(says(good)).await;
    let mut cases = useless(good, &elsewhere);
    for (body, cause) in [
        ("null", "no text \"clientId\""),
        ("\"s3cret\"", "no text \"clientId\""),
        ("[]", "no text \"clientId\""),
        (r#"[{"clientId":"s3cret"}]"#, "no text \"clientId\""),
        ("{}", "no text \"clientId\""),
        (r#"{"clientId":null}"#, "no text \"clientId\""),
        (r#"{"clientId":7}"#, "no text \"clientId\""),
        (r#"{"clientId":["s3cret"]}"#, "no text \"clientId\""),
        (r#"{"client_id":"s3cret"}"#, "no text \"clientId\""),
        (r#"{"clientid":"s3cret"}"#, "no text \"clientId\""),
        (r#"{"clientId":"alice","clientId":"s3cret"}"#, "not JSON"),
        (r#"{"clientId":"s3cret","claims":{"team":"a","team":"b"}}"#, "not JSON"),
        (r#"{"clientId":"s3cret","claims":[]}"#, "\"claims\""),
        (r#"{"clientId":"s3cret","claims":"team"}"#, "\"claims\""),
        // to overlook it would be to overlook a revocation
        (r#"{"clientId":"s3cret","notBefore":"1700000000"}"#, "\"notBefore\""),
        (r#"{"clientId":"s3cret","notBefore":"2026-01-01T00:00:00Z"}"#, "\"notBefore\""),
        (r#"{"clientId":"s3cret","notBefore":true}"#, "\"notBefore\""),
        (r#"{"clientId":"s3cret","notBefore":-1}"#, "\"notBefore\""),
        (r#"{"clientId":"s3cret","notBefore":1.5}"#, "\"notBefore\""),
        (r#"{"clientId":"s3cret","notBefore":1700000000000}"#, "\"notBefore\""),
    ] {
        cases.push(Useless {
            name: body.to_owned(),
            behaviour: says(body),
            cause: cause.to_owned(),
            is_slow: false,
        });
    }
    let client = HttpsClient::new();
    each(cases, |case| is_nobody(client.clone(), case)).await;
    assert_eq!(elsewhere.connections(), 0, "redirects are not followed");
}

async fn is_nobody(client: HttpsClient, case: Useless) {
    let Useless { name, behaviour, cause: expected_cause, is_slow } = case;
    let application = Nasty::start(knows("alice")).await;
    let server = asking_with(client, &application, if is_slow { BRIEF } else { PATIENT }, RULES);
    // not even who it was a moment ago
    assert!(is_slow || status(&server, by("s3cret")).await == OK);
    application.behave(behaviour);
    let jar = Jar::holding(&[&sealed("alice", WISH, NOW - 100)]).and("session", "s3cret");
    for ask in [get("/auth"), get("/auth").with("clientId", "alice"), delete("/auth").wishing(WISH)] {
        let (answer, outcome) = told(&server, ask.carrying(&jar)).await;
        let what = format!("{name}: {answer:?} {:?}", outcome.cause);
        assert_eq!(answer.status_and_code(), UNAVAILABLE, "{what}");
        let cause = cause(&outcome);
        assert!(cause.starts_with("forward: ") && cause.contains(&expected_cause), "{what}");
    }
}

#[tokio::test]
async fn the_application_decides_who_it_is() {
    let application = Nasty::start(knows("alice")).await;
    let server = asking(&application, PATIENT, RULES);
    for (named, expected) in [("alice", OK), ("bob", (401, 40102)), ("Alice", (401, 40102)), ("", OK)] {
        for parameter in ["clientId", "client_id"] {
            assert_eq!(status(&server, by("s3cret").with(parameter, named)).await, expected, "{named}");
        }
    }
}

#[tokio::test]
async fn claims_fill_in_rules() {
    let application = Nasty::start(knows("alice")).await;
    let server = asking(&application, PATIENT, RULES);
    let given = r#"{"inbox:alice":["subscribe"]}"#;
    let also = r#"{"inbox:alice":["subscribe"],"team:blue:1":["publish"]}"#;
    for (claims, expected) in [
        (json!({"team": "blue"}), also),
        (json!({"team": "red"}), given),
        (json!({"team": "*"}), given),
        (json!({"team": "blue:1"}), given),
        (json!({"team": ["blue"]}), given),
        (json!({}), given),
        (json!(null), given),
    ] {
        application.behave(says(&json!({"clientId": "alice", "claims": claims}).to_string()));
        let (answer, _) = told(&server, by("s3cret").wishing(r#"{"team:blue:1":["publish"]}"#)).await;
        assert_eq!(answer.token()["capability"], expected, "{claims}");
    }
}

#[tokio::test]
async fn what_was_permitted_before_is_checked_again() {
    let application = Nasty::start(knows("alice")).await;
    let backend = Nasty::start(Answers(answer(500, &[], ""))).await;
    let server = asking(&application, PATIENT, &format!("[permission.webhook]\nurl = \"{}\"", backend.url()));
    let sealed_at = NOW - 1000;
    let mut jar = Jar::holding(&[&sealed("alice", WISH, sealed_at)]);
    // the check is down: what is revoked counts for nothing
    for (not_before, expected) in [
        (json!(null), OK),
        (json!(0), OK),
        (json!(sealed_at - 1), OK),
        (json!(sealed_at), UNAVAILABLE),
        (json!(NOW), UNAVAILABLE),
        (json!(99_999_999_999_u64), UNAVAILABLE),
    ] {
        application.behave(says(&json!({"clientId": "alice", "notBefore": not_before}).to_string()));
        let (answer, _) = told(&server, get("/auth").carrying(&jar)).await;
        assert_eq!((answer.status_and_code(), changes(&answer)), (expected, vec![]), "{not_before}");
    }
    assert_eq!(backend.requests().len(), 3);

    // it is back, and permits it again: what is sealed right after the mark counts
    application.behave(says(&json!({"clientId": "alice", "notBefore": NOW}).to_string()));
    backend.behave(says(&format!(r#"{{"granted":{WISH}}}"#)));
    jar.keep(&told(&server, get("/auth").carrying(&jar)).await.0);
    assert_eq!(unsealed("alice", jar.only()).grant.since, NOW + 1);
    backend.behave(Answers(answer(500, &[], "")));
    assert_eq!(status(&server, get("/auth").carrying(&jar)).await, OK);
    assert_eq!(backend.requests().len(), 4);
}

#[tokio::test]
async fn nobody_is_taken_for_somebody_else() {
    // late for one of them, and with more to say than was asked
    let of = |client: &str| answer(200, &[], &json!({ "clientId": client }).to_string());
    let application = Nasty::start(Answers(answer(401, &[], ""))).await;
    application.behave_for("session=alice", Behaviour::Late(Duration::from_millis(350), of("alice")));
    application.behave_for("session=bob", Answers(of("bob")));
    application.behave_for("session=carol", Answers([of("carol"), of("mallory")].concat()));
    application.behave_for("session=dave", Hangs(of("dave")));
    let server = Arc::new(asking(&application, BRIEF, RULES));
    for _ in 0..3 {
        let asks: Vec<_> = ["alice", "carol", "bob", "dave", "mallory", "bob", "carol", "alice", "bob"]
            .into_iter()
            .map(|session| (session, meanwhile(&server, by(session))))
            .collect();
        for (session, task) in asks {
            let (answer, _) = task.await.unwrap();
            match session {
                "alice" => assert_eq!(answer.status_and_code(), UNAVAILABLE),
                "mallory" => assert_eq!(answer.status_and_code(), UNAUTHENTICATED),
                _ if answer.status == 503 => {}
                _ => assert_eq!(answer.token()["clientId"], session),
            }
        }
        // one after the other, on the same connection if there is one
        for session in ["carol", "bob", "carol", "dave", "bob"] {
            let (answer, _) = told(&server, by(session)).await;
            assert!(answer.status == 503 || answer.token()["clientId"] == session, "{session}: {answer:?}");
        }
    }
}
