//! Headers that stand on answers of every kind. What stands on *every* answer, `Server::send` checks.

use accrue::{ClientId, Grant, OutcomeKind};

use crate::service::*;

fn wish(capability: &str) -> Ask {
    post("/auth").by("alice").form(&[("capability", capability)])
}

/// One request for each kind of answer, and its outcome in one word.
fn one_of_each() -> Vec<(Server, Ask, u16, OutcomeKind)> {
    let configured = || Server::configured(BY_HEADER, &[]);
    let checked = |verdict| Server::checked_by(&Check::saying(verdict));
    let one = r#"{"chat:1":["subscribe"]}"#;
    let some = r#"{"chat:1":["subscribe"],"elsewhere":["*"]}"#;
    vec![
        (configured(), wish(one), 200, OutcomeKind::Granted),
        (configured(), wish(some), 200, OutcomeKind::Partial),
        (configured(), get("/auth").by("alice"), 200, OutcomeKind::Granted),
        (configured(), get("/healthz"), 200, OutcomeKind::Other),
        (configured(), get("/readyz"), 200, OutcomeKind::Other),
        (configured(), ask("HEAD", "/healthz"), 200, OutcomeKind::Other),
        (configured(), options("/auth"), 204, OutcomeKind::Other),
        (configured(), delete("/auth"), 204, OutcomeKind::GivenUp),
        (configured(), delete("/auth").by("alice").wishing(one), 204, OutcomeKind::GivenUp),
        (configured(), wish("{"), 400, OutcomeKind::Malformed),
        (configured(), get("/auth"), 401, OutcomeKind::Unauthenticated),
        (configured(), wish(one).with("clientId", "bob"), 401, OutcomeKind::Unauthenticated),
        (checked(Verdict::Deny), wish(one), 401, OutcomeKind::Refused),
        (checked(Verdict::Bar), wish(one), 403, OutcomeKind::Barred),
        (configured(), wish(one).header("sec-fetch-site", "cross-site"), 403, OutcomeKind::Foreign),
        (configured(), get("/"), 404, OutcomeKind::Malformed),
        (configured(), ask("PUT", "/auth"), 405, OutcomeKind::Malformed),
        (configured(), wish(&"x".repeat(65_536)), 413, OutcomeKind::Malformed),
        (configured(), post("/auth").body("text/plain", "x"), 415, OutcomeKind::Malformed),
        (configured(), get("/auth").header("x-large", "x".repeat(33_000)), 431, OutcomeKind::Malformed),
        (checked(Verdict::Down), wish(one), 503, OutcomeKind::Unavailable),
    ]
}

#[test]
fn every_kind_of_answer_has_its_headers_and_its_outcome() {
    for (server, ask, status, kind) in one_of_each() {
        let (answer, outcome) = server.send_and_tell(ask.clone());
        assert_eq!((answer.status.as_u16(), outcome.kind), (status, kind), "{ask:?}");
    }
}

#[test]
fn every_kind_of_answer_is_readable_for_a_listed_origin_and_for_no_other() {
    for (server, ask, status, kind) in one_of_each() {
        for (origin, expected) in [
            (LISTED, if kind == OutcomeKind::Foreign { 200 } else { status }),
            (ALSO_LISTED, if kind == OutcomeKind::Foreign { 200 } else { status }),
        ] {
            let answer = server.send(ask.clone().header("origin", origin));
            assert_eq!(answer.status, expected, "{ask:?}");
        }
        let unlisted = ["null", "https://app.example.com.evil.example", "http://app.example.com", "*"];
        for origin in unlisted {
            // what `send` checks: nothing at all is allowed
            server.send(ask.clone().header("origin", origin));
        }
    }
}

#[test]
fn a_request_id_is_kept_only_if_it_is_harmless() {
    let long = "x".repeat(64);
    let too_long = "x".repeat(65);
    for (server, ask, ..) in one_of_each() {
        for kept in ["a", "0af7651916cd43dd8448eb211c80319c", "A_b-9", &long] {
            let answer = server.send(ask.clone().header("x-request-id", kept));
            assert_eq!(answer.header("x-request-id"), Some(kept), "{ask:?}");
        }
        for replaced in ["", " ", "a b", "a.b", "a\"b", "a/b", "é", &too_long] {
            let answer = server.send(ask.clone().header("x-request-id", replaced));
            assert_ne!(answer.header("x-request-id"), Some(replaced), "{ask:?}");
        }
        let two = ask.clone().header("x-request-id", "a").header("x-request-id", "b");
        let named = server.send(two).header("x-request-id").map(str::to_owned).unwrap();
        assert!(named != "a" && named != "b");
        // one of its own, for every request another
        assert_ne!(server.send(ask.clone()).header("x-request-id"), Some(named.as_str()));
    }
}

#[test]
fn refused_wishes_are_told_by_reason() {
    let check = Check::saying(Verdict::Deny);
    let server = Server::made(check.closure(), by_header(), |issuer| {
        issuer.with_given(rules(&[("lobby", &["subscribe"])]))
    });
    let refused = |verdict, capability: &str| {
        check.now_says(verdict);
        let answer = server.send(wish(capability));
        assert_eq!(answer.token()["capability"].as_str().unwrap().matches("lobby").count(), 1);
        answer.header("accrue-refused").map(str::to_owned)
    };
    let two = r#"{"a":["publish","history"],"b:*":["*"]}"#;
    let canonical = r#"{"a":["history","publish"],"b:*":["*"]}"#;
    assert_eq!(refused(Verdict::Grant, two), None);
    assert_eq!(refused(Verdict::Deny, "{}"), None);
    assert_eq!(refused(Verdict::Deny, r#"{"lobby":["subscribe"]}"#), None, "what is given is not asked");
    assert_eq!(refused(Verdict::Deny, two), Some(format!(r#"{{"denied":{canonical}}}"#)));
    assert_eq!(refused(Verdict::Down, two), Some(format!(r#"{{"unavailable":{canonical}}}"#)));
    assert_eq!(
        refused(Verdict::Deny, r#"{"lobby":["publish","subscribe"]}"#).as_deref(),
        Some(r#"{"denied":{"lobby":["publish"]}}"#)
    );
}

#[test]
fn refused_wishes_are_told_in_ascii_and_in_512_bytes() {
    let server = Server::configured(BY_HEADER, &[]);
    let refused = |wish_for: &str| {
        let wish_for = serde_json::json!({ wish_for: ["publish"] }).to_string();
        server.send(wish(&wish_for)).header("accrue-refused").unwrap().to_owned()
    };
    for (name, escaped) in [
        ("café", r"caf\u00e9"),
        ("😀", r"\ud83d\ude00"),
        ("～", r"\uff5e"),
        ("a\"b\\c", r#"a\"b\\c"#),
        ("x y~", "x y~"),
        ("x\u{2028}", r"x\u2028"),
    ] {
        assert_eq!(refused(name), format!(r#"{{"denied":{{"{escaped}":["publish"]}}}}"#));
    }
    // 27 characters stand around the name
    assert_eq!(refused(&"x".repeat(485)).len(), 512);
    assert_eq!(refused(&"x".repeat(486)), r#"{"truncated":true}"#);
    assert_eq!(refused(&"é".repeat(81)), r#"{"truncated":true}"#);
}

#[test]
fn full_grants_refuse_what_is_new_and_keep_what_is_there() {
    let server = Server::configured(BY_HEADER, &[("ACCRUE_COOKIE__MAX_BYTES", "256")]);
    let mut jar = Jar::default();
    // names that deflate badly, so that the limit is near
    let names: Vec<String> =
        (0_u64..12).map(|n| format!("chat:{:016x}", (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let mut granted: Vec<&str> = Vec::new();
    for name in &names {
        let answer = server.send(wish(&format!(r#"{{"{name}":["subscribe"]}}"#)).carrying(&jar));
        jar.keep(&answer);
        let signed = answer.token()["capability"].as_str().unwrap().to_owned();
        match answer.header("accrue-refused") {
            None => granted.push(name),
            Some(refused) => {
                assert_eq!(refused, format!(r#"{{"full":{{"{name}":["subscribe"]}}}}"#));
                assert_eq!(changes(&answer), [""; 0]);
            }
        }
        assert!(granted.iter().all(|name| signed.contains(name)), "{signed}");
        assert_eq!(signed.matches("chat:").count(), granted.len(), "never granted unremembered: {signed}");
        assert!(jar.0.iter().all(|(name, value)| name.len() + value.len() <= 256), "{jar:?}");
    }
    assert!((1..names.len()).contains(&granted.len()), "{granted:?}");

    // of several, each is taken that still fits, in canonical order
    let all = names.iter().map(|name| format!(r#""{name}":["subscribe"]"#)).collect::<Vec<_>>().join(",");
    let answer = server.send(wish(&format!("{{{all}}}")));
    let signed = answer.token()["capability"].as_str().unwrap().to_owned();
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort();
    let taken = sorted.iter().take_while(|name| signed.contains(name.as_str())).count();
    assert!((1..names.len()).contains(&taken), "{sorted:?} {answer:?}");
    assert!(answer.header("accrue-refused").unwrap().starts_with(r#"{"full":{"chat:"#));
}

#[test]
fn the_grant_header_answers_as_long_as_it_is_sent() {
    let check = Check::saying(Verdict::Grant);
    let server = Server::checked_by(&check);
    let one = r#"{"chat:1":["subscribe"]}"#;
    let two = r#"{"chat:2":["subscribe"]}"#;

    let answer = server.send(wish(one).header("accrue-grant", "none"));
    let grant = answer.header("accrue-grant").unwrap().to_owned();
    let unsealed_grant = unsealed("alice", &grant).grant;
    assert_eq!((unsealed_grant.capability.to_string().as_str(), unsealed_grant.since), (one, NOW - 100));

    // unchanged while nothing changes
    check.asked();
    for ask in [get("/auth").by("alice"), wish(one)] {
        let answer = server.send(ask.header("accrue-grant", &grant));
        assert_eq!(answer.header("accrue-grant"), Some(grant.as_str()));
        assert_eq!(answer.token()["capability"], one);
    }
    assert_eq!(check.asked(), [""; 0]);

    // folded into one where there are several, however they are listed
    let other = sealed("alice", two, NOW - 3700);
    let both = format!("{grant}, {other}");
    let in_two_fields =
        get("/auth").by("alice").header("accrue-grant", &grant).header("accrue-grant", &other);
    for ask in [
        get("/auth").by("alice").header("accrue-grant", &both),
        get("/auth").by("alice").header("accrue-grant", format!("{other},{grant},{other}")),
        get("/auth").by("alice").header("accrue-grant", format!("none, {both}, nonsense")),
        in_two_fields,
    ] {
        let answer = server.send(ask);
        let folded = unsealed("alice", answer.header("accrue-grant").unwrap()).grant;
        assert_eq!(folded.capability.to_string(), r#"{"chat:1":["subscribe"],"chat:2":["subscribe"]}"#);
        assert_eq!(folded.since, NOW - 3700, "the oldest");
    }

    // given up, in part and whole
    let give_up = |capability: &str| {
        let ask = delete("/auth").by("alice").wishing(capability).header("accrue-grant", &both);
        server.send(ask).header("accrue-grant").unwrap().to_owned()
    };
    assert_eq!(unsealed("alice", &give_up(one)).grant.capability.to_string(), two);
    assert_eq!(give_up(r#"{"chat:*":["subscribe"]}"#), "none");
    let all = delete("/auth").header("accrue-grant", &both);
    assert_eq!(server.send(all).header("accrue-grant"), Some("none"));

    // another's, a stale one, and nothing at all
    for (sent, ask) in [
        ("", get("/auth")),
        ("none", get("/auth")),
        (&*sealed("bob", one, NOW), get("/auth")),
        ("nonsense", get("/auth").wishing("{}")),
    ] {
        let given = Server::configured(BY_HEADER, &[]);
        let answer = given.send(ask.by("alice").header("accrue-grant", sent));
        assert_eq!(answer.header("accrue-grant"), Some("none"), "{sent}");
    }
}

/// As a cookie would be left alone: another instance may have that secret, or a clock that is ahead.
#[test]
fn the_grant_header_hands_back_what_only_this_instance_cannot_read() {
    let server = Server::checked_by(&Check::saying(Verdict::Grant));
    let one = r#"{"chat:1":["subscribe"]}"#;
    let grant = Grant { capability: capability(one), since: NOW - 100 };
    let newer = keys(&[K2]).seal(&ClientId::try_from("alice").unwrap(), &grant).unwrap();
    let ahead = sealed("alice", one, NOW + 100);
    let changed = sealed("alice", one, NOW - 100).replace(".17", ".16");
    let answer = server.send(
        wish(r#"{"chat:2":["subscribe"]}"#).header("accrue-grant", format!("{newer}, {changed}, {ahead}")),
    );
    let handed_back = answer.header("accrue-grant").unwrap().to_owned();
    let [first, second, third] = handed_back.split(", ").collect::<Vec<_>>()[..] else {
        panic!("{handed_back}")
    };
    assert_eq!((first, second), (newer.as_str(), ahead.as_str()));
    assert_eq!(unsealed("alice", third).grant.capability.to_string(), r#"{"chat:2":["subscribe"]}"#);

    // but not without end
    let scattered = |n: u128| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let many: Vec<String> = (0..8)
        .map(|n| {
            let names = (0..60).map(|m| format!("\"{:032x}\":[\"*\"]", scattered(60 * n + m)));
            let text = format!("{{{}}}", names.collect::<Vec<_>>().join(","));
            let grant = Grant { capability: capability(&text), since: NOW };
            keys(&[K2]).seal(&ClientId::try_from("alice").unwrap(), &grant).unwrap()
        })
        .collect();
    assert!(many.iter().map(String::len).sum::<usize>() > 8192);
    let answer = server.send(wish(one).header("accrue-grant", many.join(", ")));
    assert!(!answer.header("accrue-grant").unwrap().contains(','));
}

#[test]
fn the_grant_header_leaves_cookies_alone_altogether() {
    let check = Check::saying(Verdict::Grant);
    let server = Server::checked_by(&check);
    let held = Jar::holding(&[
        &sealed("alice", r#"{"chat:1":["subscribe"]}"#, NOW),
        &sealed("alice", r#"{"chat:2":["subscribe"]}"#, NOW),
    ])
    .and("__Host-accrue.large", &"x".repeat(9000));

    // not read: what is in them has to be asked for
    let answer =
        server.send(wish(r#"{"chat:1":["subscribe"]}"#).carrying(&held).header("accrue-grant", "none"));
    assert_eq!(answer.token()["capability"], r#"{"chat:1":["subscribe"]}"#);
    assert_eq!(check.asked(), [r#"{"chat:1":["subscribe"]}"#]);
    // neither written nor deleted: `send` has checked it, and checks it here
    server.send(delete("/auth").carrying(&held).header("accrue-grant", "none"));
    check.now_says(Verdict::Bar);
    let barred = wish(r#"{"chat:3":["subscribe"]}"#).carrying(&held).header("accrue-grant", "none");
    assert_eq!(server.send(barred).status, 403);
}

#[test]
fn a_navigation_does_not_silence_the_grant_header() {
    let server = Server::configured(BY_HEADER, &[]);
    let grant = sealed("alice", r#"{"chat:1":["subscribe"]}"#, NOW);
    let navigation = || get("/auth").by("alice").header("sec-fetch-mode", "navigate");
    assert_eq!(server.send(navigation().header("accrue-grant", "none")).header("accrue-grant"), Some("none"));
    let answer = server.send(navigation().header("accrue-grant", &grant));
    assert_eq!(answer.header("accrue-grant"), Some(grant.as_str()), "what it holds is unchanged");

    let gone = || delete("/auth").by("alice").header("sec-fetch-mode", "navigate");
    for (sent, told) in [("none", "none"), (grant.as_str(), grant.as_str()), ("no grant", "none")] {
        let answer = server.send(gone().header("accrue-grant", sent));
        assert_eq!((answer.status.as_u16(), answer.header("accrue-grant")), (204, Some(told)));
    }
}

#[test]
fn health_is_told_in_text() {
    let server = Server::configured(BY_HEADER, &[]);
    for target in ["/healthz", "/readyz", "/healthz?x=1"] {
        for method in ["GET", "HEAD"] {
            let answer = server.send(ask(method, target));
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        }
    }
}
