//! More than was meant, by names: placeholders, patterns, qualifiers, operations.

use serde_json::{Value, json};

use crate::forge::SINCE;
use crate::service::*;
use crate::sessions::hs256;

/// What a token has, or nothing where there is none.
#[track_caller]
fn had(server: &Server, ask: Ask) -> Value {
    let answer = server.send(ask);
    match answer.status.as_u16() {
        200 => serde_json::from_str(answer.token()["capability"].as_str().unwrap()).unwrap(),
        _ => json!({}),
    }
}

#[test]
fn a_client_id_stretches_no_placeholder() {
    let server = Server::configured(BY_HEADER, &[]);
    let inbox = |id: &str| json!({ format!("inbox:{id}"): ["subscribe"] });
    let nothing = json!({});
    let long = "x".repeat(256);
    for (id, given) in [
        ("alice", inbox("alice")),
        // more than one segment, every segment, a qualifier
        ("alice:secret", nothing.clone()),
        (":", nothing.clone()),
        ("a:", nothing.clone()),
        ("*", nothing.clone()),
        ("**", nothing.clone()),
        ("a*", nothing.clone()),
        ("[meta]log", nothing.clone()),
        ("[*]", nothing.clone()),
        ("[", nothing.clone()),
        // one segment, whatever it looks like
        ("a[x]", inbox("a[x]")),
        (",", inbox(",")),
        ("a,b", inbox("a,b")),
        ("{clientId}", inbox("{clientId}")),
        ("{claims.team}", inbox("{claims.team}")),
        ("{", inbox("{")),
        ("%2A", inbox("%2A")),
        ("\\u002a", inbox("\\u002a")),
        ("..", inbox("..")),
        ("\u{ff0a}", inbox("\u{ff0a}")),
        ("\u{2217}", inbox("\u{2217}")),
        ("\u{ff1a}", inbox("\u{ff1a}")),
        ("\"],\"x\":[\"*", nothing.clone()),
        ("\"", inbox("\"")),
        (&long, inbox(&long)),
    ] {
        assert_eq!(had(&server, get("/auth").by(id)), given, "{id:?}");
        // what the rules have for each client is as narrow: `private:{clientId}:*`
        for victim in ["bob", "alice"].into_iter().filter(|victim| *victim != id) {
            let wish = format!(
                r#"{{"private:{victim}:1":["subscribe"],"private:{victim}:*":["*"],"private:*:1":["*"],"private:*":["*"]}}"#
            );
            assert_eq!(had(&server, get("/auth").by(id).wishing(&wish)), given, "{id:?}");
        }
    }
}

/// Where a claim begins the resource, in what is given and in the rules.
#[test]
fn a_claim_stretches_no_placeholder() {
    let toml = "[authenticate.jwt]\nsecret = \"a secret that only the application has\"\n\
                [given]\n\"{claims.team}:news\" = [\"subscribe\"]\n\
                [permission.rules]\n\"{claims.team}:*\" = [\"*\"]\n\"[meta]{claims.team}\" = [\"subscribe\"]\n\
                [ably.capability]\n\"[*]*\" = [\"*\"]\n";
    let server = Server::configured(toml, &[]);
    let everything = json!({
        "*": ["*"], "[*]*": ["*"], "[meta]*": ["subscribe"], "red:*": ["*"], "red:1": ["*"], "*:news": ["subscribe"],
        "*:*": ["*"], "blue:x": ["subscribe"]
    });
    let of = |team: Value| {
        let session = hs256(&json!({ "sub": "alice", "exp": NOW + 60, "team": team }));
        let ask = get("/auth").header("authorization", format!("Bearer {session}"));
        had(&server, ask.wishing(&everything.to_string()))
    };
    assert_eq!(of(json!("blue")), json!({ "blue:news": ["subscribe"], "blue:x": ["subscribe"] }));
    for team in [
        json!("*"),
        json!("**"),
        json!("*:*"),
        json!("[*]*"),
        json!("[meta]blue"),
        json!("["),
        json!(""),
        json!(":"),
        json!("red:x"),
        json!(" red"),
        json!(",red"),
        json!("\u{a0}red"),
        json!("red\n"),
        json!("\u{0}"),
        json!("x".repeat(2048)),
        json!(["red"]),
        json!([["*"]]),
        json!({ "$": "*" }),
        json!(true),
        json!(0),
        json!(null),
    ] {
        assert_eq!(of(team.clone()), json!({}), "{team}");
    }
    // a claim that names another placeholder is not filled in twice
    assert_eq!(of(json!("{clientId}")), json!({ "{clientId}:news": ["subscribe"] }));
    // an account without the claim has nothing of it, and no claim can pass for it
    let session = hs256(
        &json!({ "sub": "alice", "exp": NOW + 60, "claims": { "team": "red" }, "claims.team": "red", "Team": "red" }),
    );
    let ask =
        get("/auth").header("authorization", format!("Bearer {session}")).wishing(&everything.to_string());
    assert_eq!(had(&server, ask), json!({}));
}

/// A pattern is permitted by a pattern that contains it, a member by a pattern or itself; nothing else follows from it.
#[test]
fn a_pattern_for_its_members_and_members_for_their_pattern() {
    let table = |rules: &str| {
        let who = "[authenticate.header]\nproxy_secret = \"known to the proxy only\"\n[permission.rules]\n";
        Server::configured(&format!("{who}{rules}\n"), &[])
    };
    let numbers: Vec<String> = (0..10).map(|n| format!("\"chat:{n}\" = [\"*\"]")).collect();
    let numbers = numbers.join("\n");
    for (rules, permitted, refused) in [
        (
            r#""chat:*" = ["subscribe"]"#,
            &["chat:1", "chat:1:2", "chat::x", "chat:*", "chat:*:x", "chat:1:*", "chat:**", "chat:*x"][..],
            &[
                "chat",
                "Chat:1",
                "chat2:1",
                "chat*",
                "*",
                "*:*",
                "*:1",
                "[meta]chat:1",
                "[queue]chat:1",
                "[*]chat:1",
                "[*]chat:*",
                "[*]*",
                "[meta]*",
            ][..],
        ),
        (&numbers, &["chat:0", "chat:9"], &["chat:*", "chat:10", "*", "chat:1:*", "[*]chat:1"]),
        (
            r#""chat:*:x" = ["subscribe"]"#,
            &["chat:1:x", "chat:*:x"],
            &["chat:*", "chat:1:2:x", "chat::x", "chat:*:*", "chat:1:*", "chat:x"],
        ),
        (r#""chat*" = ["subscribe"]"#, &["chat*"], &["chat1", "chat:1", "chat*:1", "chat"]),
        (
            r#""*" = ["subscribe"]"#,
            &["*", "a", "a:*", "*:*"],
            &["[*]*", "[meta]*", "[meta]a", "[queue]a", "[*]a"],
        ),
        (r#""[meta]*" = ["subscribe"]"#, &[], &["*", "[*]*", "meta:1", "[queue]a"]),
    ] {
        let server = table(rules);
        let wishes: serde_json::Map<String, Value> =
            permitted.iter().chain(refused).map(|name| ((*name).to_owned(), json!(["subscribe"]))).collect();
        let has = had(&server, get("/auth").by("alice").wishing(&Value::from(wishes).to_string()));
        let has: Vec<&String> = has.as_object().unwrap().keys().collect();
        let mut permitted = permitted.to_vec();
        permitted.sort_unstable();
        assert_eq!(has, permitted, "{rules}");
        // and one by one, as none of them may pass by another's side
        for name in refused {
            let wish = json!({ *name: ["subscribe"] }).to_string();
            assert_eq!(had(&server, get("/auth").by("alice").wishing(&wish)), json!({}), "{rules}: {name}");
        }
    }
}

/// What is held adds up to no pattern and to no `*` either: that would need no check.
#[test]
fn what_is_held_adds_up_to_nothing_wider() {
    let check = Check::saying(Verdict::Deny);
    let server = Server::checked_by(&check);
    let seventeen = [
        "annotation-publish",
        "annotation-subscribe",
        "channel-metadata",
        "history",
        "message-delete-any",
        "message-delete-own",
        "message-update-any",
        "message-update-own",
        "object-publish",
        "object-subscribe",
        "presence",
        "privileged-headers",
        "publish",
        "push-admin",
        "push-subscribe",
        "stats",
        "subscribe",
    ];
    let held =
        json!({ "chat:*": ["subscribe"], "chat:1": seventeen, "dm:1": ["*"], "dm:2": ["*"] }).to_string();
    let grant = sealed("alice", &held, SINCE);
    for wish in [
        r#"{"chat:1":["*"]}"#,
        r#"{"chat:*":["publish"]}"#,
        r#"{"*":["subscribe"]}"#,
        r#"{"[*]chat:1":["subscribe"]}"#,
        r#"{"[meta]chat:1":["subscribe"]}"#,
        r#"{"dm:*":["subscribe"]}"#,
        r#"{"dm:1:*":["subscribe"]}"#,
        r#"{"dm":["subscribe"]}"#,
    ] {
        let answer = server.send(get("/auth").by("alice").header("accrue-grant", &grant).wishing(wish));
        assert_eq!(check.asked(), [wish], "it is asked for");
        assert_eq!(answer.header("accrue-refused"), Some(&*format!(r#"{{"denied":{wish}}}"#)));
    }
}

/// A qualifier without a name, a kind that Ably has not got, and names that begin with what means something to it.
#[test]
fn half_a_resource_is_no_resource() {
    let server = Server::configured(BY_HEADER, &[]);
    for name in [
        "",
        "[meta]",
        "[*]",
        "[queue]",
        "[",
        "[]",
        "[]a",
        "[foo]a",
        "[Meta]a",
        "[ meta]a",
        "[meta][*]*",
        "[*][meta]*",
        "[?rewind=1]chat:1",
        "[meta?x]a",
        ":",
        ":a",
        ",",
        ",a",
        " a",
        "\u{a0}a",
        "\u{2003}a",
        "[meta]:a",
        "[*] a",
        "a\u{0}",
        "a\nb",
        "a\u{85}b",
        "\u{7f}",
        &"x".repeat(2049),
    ] {
        let wish = json!({ name: ["subscribe"] }).to_string();
        let answer = server.send(get("/auth").by("alice").wishing(&wish));
        assert_eq!(answer.status_and_code(), (400, 40000), "{name:?}");
    }
    for operations in [
        json!([]),
        json!(["*", "publish"]),
        json!(["Publish"]),
        json!(["publish "]),
        json!(["**"]),
        json!("*"),
        json!({}),
        json!([["*"]]),
        json!([null]),
    ] {
        let wish = json!({ "chat:1": operations }).to_string();
        assert_eq!(
            server.send(get("/auth").by("alice").wishing(&wish)).status_and_code(),
            (400, 40000),
            "{wish}"
        );
    }
}

/// A backend that says yes to everything, and one that says more than it was asked.
#[test]
fn a_careless_check_and_a_clever_wish_go_no_further_than_the_key() {
    for verdict in [Verdict::Grant, Verdict::Widen] {
        let check = Check::saying(verdict);
        let server = Server::made(check.closure(), by_header(), |issuer| {
            issuer.with_key_capability(capability(r#"{"chat:*":["subscribe","history"]}"#))
        });
        for wish in [
            r#"{"*":["*"]}"#,
            r#"{"[*]*":["*"]}"#,
            r#"{"chat:*":["*"]}"#,
            r#"{"chat:*:x":["*"],"[meta]*":["*"]}"#,
        ] {
            let answer = server.send(get("/auth").by("alice").header("accrue-grant", "none").wishing(wish));
            if answer.status == 200 {
                let (token, held) = (answer.token(), answer.header("accrue-grant").unwrap());
                let within = |text: &str| {
                    let key = capability(r#"{"chat:*":["subscribe","history"]}"#);
                    capability(text).minus(&key).is_empty()
                };
                assert!(within(token["capability"].as_str().unwrap()), "{wish}: {token}");
                assert!(within(&unsealed("alice", held).grant.capability.to_string()), "{wish}: {held}");
            }
        }
    }
}
