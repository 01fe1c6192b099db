//! Parameters, and the tokens they make.

use serde_json::json;

use crate::service::*;

/// What chat:1 with these operations comes to, with what alice is given.
fn chat_1(operations: &str) -> String {
    format!(r#"{{"chat:1":[{operations}],"inbox:alice":["subscribe"]}}"#)
}

#[test]
fn wishes_come_by_query_form_and_json() {
    let server = Server::configured(BY_HEADER, &[]);
    let text = r#"{"chat:1":["subscribe","publish","subscribe"]}"#;
    let object = json!({"chat:1": ["subscribe", "publish", "subscribe"]});
    let (granted, given) =
        (chat_1(r#""publish","subscribe""#), r#"{"inbox:alice":["subscribe"]}"#.to_owned());
    let auth = || get("/auth").by("alice");
    let post = |target: &str| post(target).by("alice");
    for (ask, expected) in [
        (auth().wishing(text), &granted),
        (post("/auth").wishing(text), &granted),
        (post("/auth").form(&[("capability", text)]), &granted),
        (post("/auth").json(&json!({ "capability": text })), &granted),
        (post("/auth").json(&json!({ "capability": object })), &granted),
        (post("/auth").json(&json!({ "capability": object, "else": [1, {"a": null}] })), &granted),
        (auth(), &given),
        (auth().wishing(""), &given),
        (auth().wishing("null"), &given),
        (auth().wishing("undefined"), &given),
        (auth().wishing("{}"), &given),
        (post("/auth").json(&json!({ "capability": null })), &given),
        (post("/auth").json(&json!({ "capability": "null" })), &given),
        (post("/auth").json(&json!({ "capability": {} })), &given),
        (post("/auth").json(&json!({})), &given),
        (post("/auth"), &given),
        // the body beats the query, and what is absent there is not there
        (post("/auth").wishing(r#"{"chat:2":["history"]}"#).form(&[("capability", text)]), &granted),
        (post("/auth").wishing(r#"{"chat:2":["history"]}"#).json(&json!({"capability": object})), &granted),
        (post("/auth").wishing(text).form(&[("capability", "")]), &granted),
        (post("/auth").wishing(text).json(&json!({"capability": null})), &granted),
        // a GET has no body
        (auth().body("text/plain", "{"), &given),
        // unknown names may stand as often as they like
        (auth().with("rnd", "1").with("rnd", "2").with("timestamp", "x").wishing(text), &granted),
    ] {
        assert_eq!(server.send(ask.clone()).token()["capability"], expected.as_str(), "{ask:?}");
    }
}

#[test]
fn a_token_request_is_signed_for_whom_what_and_how_long() {
    let server = Server::configured(BY_HEADER, &[("ACCRUE_TOKEN__TTL", "30m")]);
    let first = server.send(get("/auth").by("zoë")).token();
    assert_eq!(first["keyName"], "app.key");
    assert_eq!(first["clientId"], "zoë");
    assert_eq!(first["ttl"], 1_800_000);
    assert_eq!(first["timestamp"], NOW * 1000 + 7);
    let second = server.send(get("/auth").by("zoë")).token();
    assert_ne!(first["nonce"], second["nonce"]);
}

#[test]
fn a_ttl_is_cut_to_what_is_configured() {
    let server = Server::configured(BY_HEADER, &[]);
    for (wish, ttl) in [
        (json!(60_000), 60_000),
        (json!("60000"), 60_000),
        (json!("0060000"), 60_000),
        (json!(3_600_000), 3_600_000),
        (json!(3_600_001), 3_600_000),
        (json!("99999999999999999999999"), 3_600_000),
        (json!(u64::MAX), 3_600_000),
        (json!(1000), 1000),
        (json!(999), 1000),
        (json!("1"), 1000),
        (json!(null), 3_600_000),
        (json!(""), 3_600_000),
        (json!("undefined"), 3_600_000),
    ] {
        let ask = post("/auth").by("alice").json(&json!({ "ttl": wish }));
        assert_eq!(server.send(ask).token()["ttl"], ttl, "{wish}");
        if let Some(text) = wish.as_str() {
            assert_eq!(server.send(get("/auth").by("alice").with("ttl", text)).token()["ttl"], ttl, "{wish}");
        }
    }
    let ask = post("/auth").by("alice").with("ttl", "5000").form(&[("ttl", "60000")]);
    assert_eq!(server.send(ask).token()["ttl"], 60_000, "the body beats the query");
}

#[test]
fn only_ttls_that_nobody_asked_for_are_shortened() {
    let server = Server::configured(BY_HEADER, &[("ACCRUE_TOKEN__JITTER", "0.1")]);
    for _ in 0..10 {
        let ttl = server.send(get("/auth").by("alice")).token()["ttl"].as_u64().unwrap();
        assert!((3_240_000..=3_600_000).contains(&ttl), "{ttl}");
        assert_eq!(server.send(get("/auth").by("alice").with("ttl", "60000")).token()["ttl"], 60_000);
    }
}

#[test]
fn a_client_id_is_named_in_either_way() {
    let server = Server::configured(BY_HEADER, &[]);
    let auth = || get("/auth").by("alice");
    for ask in [
        auth().with("clientId", "alice"),
        auth().with("client_id", "alice"),
        auth().with("clientId", "alice").with("client_id", "alice"),
        auth().with("clientId", "").with("client_id", "alice"),
        post("/auth").by("alice").with("clientId", "bob").form(&[("clientId", "alice")]),
        post("/auth").by("alice").with("client_id", "bob").json(&json!({"client_id": "alice"})),
        post("/auth").by("alice").json(&json!({"clientId": null, "client_id": "undefined"})),
    ] {
        assert_eq!(server.send(ask.clone()).token()["clientId"], "alice", "{ask:?}");
    }
    let long = "x".repeat(256);
    let everybody = NOTHING_GIVEN.to_owned() + "[given]\nlobby = [\"subscribe\"]";
    let server = Server::configured(&everybody, &[]);
    for id in ["a", "a b", "a:b", "\"\\", "日本", &long] {
        assert_eq!(server.send(get("/auth").by(id).with("clientId", id)).token()["clientId"], id);
    }
}

#[test]
fn a_jwt_is_wrapped_while_it_fits() {
    let server = Server::configured(BY_HEADER, &[("ACCRUE_TOKEN__FORMAT", "jwt")]);
    let details = server.send(get("/auth").by("alice").with("ttl", "60000")).token();
    assert_eq!(details["clientId"], "alice");
    assert_eq!(details["capability"], r#"{"inbox:alice":["subscribe"]}"#);
    let (issued, expires) = (details["issued"].as_u64().unwrap(), details["expires"].as_u64().unwrap());
    assert_eq!((issued / 1000, expires - issued), (NOW, 60_000));
    let jwt = accrue::ably::UntrustedJwt::parse(details["token"].as_str().unwrap()).expect("a JWT");
    assert_eq!(*jwt.untrusted_header(), json!({"alg": "HS256", "typ": "JWT", "kid": "app.key"}));
    assert_eq!(
        *jwt.untrusted_claims(),
        json!({
            "iat": NOW,
            "exp": NOW + 60,
            "x-ably-capability": details["capability"],
            "x-ably-clientId": "alice",
        })
    );
    assert!(jwt.verify(&accrue::ably::ApiKey::parse(KEY).unwrap()).is_ok());

    let many: Vec<String> =
        (0..200).map(|n| format!(r#""chat:{n}:a-somewhat-longer-name":["subscribe"]"#)).collect();
    let many = post("/auth").by("alice").form(&[("capability", &format!("{{{}}}", many.join(",")))]);
    assert_eq!(server.send(many).token()["keyName"], "app.key");
}

#[test]
fn under_the_server_strategy_wishes_are_not_even_read() {
    let server = Server::configured(BY_HEADER, &[("ACCRUE_STRATEGY", "server")]);
    let all =
        r#"{"chat:*":["history","publish","subscribe"],"inbox:alice":["subscribe"],"private:alice:*":["*"]}"#;
    for wish in ["", r#"{"chat:1":["subscribe"]}"#, r#"{"elsewhere":["*"]}"#, "nonsense", "{'a': ['b']}"] {
        let answer = server.send(get("/auth").by("alice").wishing(wish));
        assert_eq!(answer.token()["capability"], all, "{wish}");
        assert_eq!(answer.header("accrue-refused"), None, "{wish}");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

#[test]
fn under_the_client_strategy_nothing_is_remembered() {
    let server = Server::configured(BY_HEADER, &[("ACCRUE_STRATEGY", "client")]);
    let wish = r#"{"chat:1":["subscribe"],"elsewhere":["*"]}"#;
    let held = Jar::holding(&[&sealed("alice", r#"{"chat:9":["subscribe"]}"#, NOW)]);
    let answer = server.send(get("/auth").by("alice").wishing(wish).carrying(&held));
    assert_eq!(answer.token()["capability"], chat_1(r#""subscribe""#).as_str());
    assert_eq!(answer.header("accrue-refused"), Some(r#"{"denied":{"elsewhere":["*"]}}"#));
    assert!(!answer.headers.contains_key("set-cookie"));

    let by_header = get("/auth").by("alice").wishing(wish).header("accrue-grant", "none");
    assert_eq!(server.send(by_header).header("accrue-grant"), Some("none"));
}

#[test]
fn an_answer_never_goes_beyond_the_question() {
    let server = Server::checked_by(&Check::saying(Verdict::Widen));
    let answer = server.send(get("/auth").by("alice").wishing(r#"{"chat:1":["publish"]}"#));
    assert_eq!(answer.token()["capability"], r#"{"chat:1":["publish"]}"#);
}

#[test]
fn nothing_goes_beyond_what_the_key_may_do() {
    let ceiling = format!("{BY_HEADER}\n[ably.capability]\n\"chat:*\" = [\"subscribe\", \"history\"]\n");
    let server = Server::configured(&ceiling, &[]);
    let wish = r#"{"chat:1":["publish","subscribe"],"private:alice:1":["*"]}"#;
    let answer = server.send(get("/auth").by("alice").wishing(wish));
    assert_eq!(answer.token()["capability"], r#"{"chat:1":["subscribe"]}"#);
    assert_eq!(
        answer.header("accrue-refused"),
        Some(r#"{"denied":{"chat:1":["publish"],"private:alice:1":["*"]}}"#)
    );
    let mut jar = Jar::default();
    jar.keep(&answer);
    assert_eq!(unsealed("alice", jar.only()).grant.capability.to_string(), r#"{"chat:1":["subscribe"]}"#);
}
