//! Grants as cookies.

use std::collections::BTreeMap;

use crate::service::*;

const ONE: &str = r#"{"chat:1":["subscribe"]}"#;
const TWO: &str = r#"{"chat:2":["subscribe"]}"#;
const BOTH: &str = r#"{"chat:1":["subscribe"],"chat:2":["subscribe"]}"#;
const HOUR: u64 = 3600;

fn wish(capability: &str) -> Ask {
    get("/auth").by("alice").wishing(capability)
}

fn nothing() -> [String; 0] {
    []
}

fn set(grant: &str) -> String {
    format!("+{}", name_of(grant))
}

fn deleted(grant: &str) -> String {
    format!("-{}", name_of(grant))
}

fn sorted<const N: usize>(mut changes: [String; N]) -> [String; N] {
    changes.sort();
    changes
}

fn granting() -> (Server, Check) {
    let check = Check::saying(Verdict::Grant);
    (Server::checked_by(&check), check)
}

#[test]
fn attributes_are_exact_and_repeated_by_deletions() {
    let strict = [("Path", "/"), ("HttpOnly", ""), ("SameSite", "Strict")];
    let secure = [("Path", "/"), ("HttpOnly", ""), ("SameSite", "Strict"), ("Secure", "")];
    let embedded =
        [("Path", "/"), ("HttpOnly", ""), ("SameSite", "None"), ("Secure", ""), ("Partitioned", "")];
    for (environment, prefix, expected, max_age) in [
        (&[][..], "__Host-accrue.", &secure[..], "57600"),
        (&[("ACCRUE_GRANT__RECHECK_AFTER", "10m")], "__Host-accrue.", &secure, "1200"),
        (&[("ACCRUE_COOKIE__NAME", "grants")], "__Host-grants.", &secure, "57600"),
        (&[("ACCRUE_COOKIE__CROSS_SITE", "true")], "__Host-accrue.", &embedded, "57600"),
        (&[("ACCRUE_COOKIE__SECURE", "false")], "accrue.", &strict, "57600"),
    ] {
        let server = Server::configured(BY_HEADER, environment);
        let answer = server.send(wish(ONE));
        let [cookie] = &set_cookies(&answer)[..] else { panic!("not one: {answer:?}") };
        let digest = cookie.value.rsplit('.').next().unwrap();
        assert_eq!(cookie.name, format!("{prefix}{}", &digest[..8]));
        assert_eq!(unsealed("alice", &cookie.value).grant.capability.to_string(), ONE);

        let attributes = |max_age: &str| -> BTreeMap<String, String> {
            let all = expected.iter().copied().chain([("Max-Age", max_age)]);
            all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        assert_eq!(cookie.attributes, attributes(max_age));

        let mut jar = Jar::default();
        jar.keep(&answer);
        let answer = server.send(delete("/auth").carrying(&jar));
        let [gone] = &set_cookies(&answer)[..] else { panic!("not one: {answer:?}") };
        assert_eq!((&gone.name, gone.value.as_str()), (&cookie.name, ""));
        assert_eq!(gone.attributes, attributes("0"));
    }
}

#[test]
fn nothing_is_written_when_there_is_nothing_to_write() {
    let (server, check) = granting();
    let mut jar = Jar::default();
    jar.keep(&server.send(wish(ONE)));
    check.asked();
    for ask in [
        get("/auth").by("alice"),
        wish(ONE),
        wish("{}"),
        post("/auth").by("alice").form(&[("capability", ONE), ("ttl", "60000")]),
    ] {
        server.clock.pass(HOUR);
        let answer = server.send(ask.carrying(&jar));
        assert_eq!(answer.token()["capability"], ONE);
        assert_eq!(changes(&answer), nothing());
    }
    assert_eq!(check.asked(), nothing(), "what is held is not asked again");

    // nor is a refused wish written
    check.now_says(Verdict::Deny);
    let answer = server.send(wish(TWO).carrying(&jar));
    assert_eq!(answer.token()["capability"], ONE);
    assert_eq!(changes(&answer), nothing());
}

#[test]
fn tabs_that_ask_together_write_the_same_cookie() {
    let (server, _) = granting();
    let first = server.send(wish(ONE));
    server.clock.pass(150);
    let second = server.send(wish(ONE));
    assert_eq!(changes(&first), changes(&second));
    server.clock.pass(100);
    assert_ne!(changes(&first), changes(&server.send(wish(ONE))), "the next 5 minutes have begun");
}

/// Nobody is authenticated for this, so it must not be much work, nor much of an answer.
#[test]
fn signing_out_deletes_no_more_than_a_browser_can_have() {
    let (server, _) = granting();
    let mut jar = Jar::default();
    for n in 0..400 {
        jar = jar.and(&format!("__Host-accrue.{n}"), "x");
    }
    assert_eq!(set_cookies(&server.send(delete("/auth").carrying(&jar))).len(), 180);
}

#[test]
fn two_answers_at_once_leave_two_cookies_and_the_next_folds_them() {
    let (server, check) = granting();
    let mut jar = Jar::default();
    jar.keep(&server.send(wish(ONE)));
    server.clock.pass(2 * HOUR);
    jar.keep(&server.send(wish(TWO)));
    assert_eq!(jar.0.len(), 2);
    check.asked();

    let answer = server.send(get("/auth").by("alice").carrying(&jar));
    assert_eq!(answer.token()["capability"], BOTH);
    assert_eq!(check.asked(), nothing());
    let [set, gone @ ..] = &set_cookies(&answer)[..] else { panic!("{answer:?}") };
    assert!(!set.value.is_empty(), "curl 7.88 forgets deletions that stand before it: {set:?}");
    assert!(gone.len() == 2 && gone.iter().all(|cookie| cookie.value.is_empty()), "{gone:?}");
    jar.keep(&answer);
    let folded = unsealed("alice", jar.only()).grant;
    assert_eq!(folded.capability.to_string(), BOTH);
    assert_eq!(folded.since, NOW - 100, "adding never extends a life");
    assert_eq!(changes(&server.send(get("/auth").by("alice").carrying(&jar))), nothing());
}

#[test]
fn adding_replaces_the_cookie_and_keeps_its_age() {
    let (server, check) = granting();
    let mut jar = Jar::default();
    jar.keep(&server.send(wish(ONE)));
    let before = jar.only().to_owned();
    server.clock.pass(2 * HOUR);
    check.asked();
    let answer = server.send(wish(BOTH).carrying(&jar));
    assert_eq!(check.asked(), [TWO], "only what is new is asked");
    jar.keep(&answer);
    assert_eq!(changes(&answer), sorted([deleted(&before), set(jar.only())]));
    assert_eq!(unsealed("alice", jar.only()).grant.since, NOW - 100);
}

#[test]
fn a_cookie_that_is_there_already_is_neither_set_nor_deleted() {
    let (server, _) = granting();
    let whole = sealed("alice", BOTH, NOW - 100);
    let part = sealed("alice", ONE, NOW - 100);
    let answer = server.send(get("/auth").by("alice").carrying(&Jar::holding(&[&whole, &part])));
    assert_eq!(changes(&answer), [deleted(&part)]);

    // the name is taken by another value: it is set, and so not deleted
    let taken =
        Jar::of(&[(&name_of(&whole), &part), ("__Host-accrue.other", &sealed("alice", TWO, NOW - 100))]);
    let answer = server.send(get("/auth").by("alice").carrying(&taken));
    assert_eq!(changes(&answer), sorted([set(&whole), "-__Host-accrue.other".to_owned()]));
}

#[test]
fn equal_values_count_once_whatever_their_names() {
    let (server, _) = granting();
    let grant = sealed("alice", ONE, NOW - 100);
    let jar = Jar::holding(&[&grant]).and("__Host-accrue.elsewhere", &grant);
    let answer = server.send(get("/auth").by("alice").carrying(&jar));
    assert_eq!(answer.token()["capability"], ONE);
    assert_eq!(changes(&answer), nothing(), "one grant is no several");

    // replaced, it is gone under both names
    let answer = server.send(wish(TWO).carrying(&jar));
    let new = sealed("alice", BOTH, NOW - 100);
    let expected = sorted([set(&new), deleted(&grant), "-__Host-accrue.elsewhere".to_owned()]);
    assert_eq!(changes(&answer), expected);
}

#[test]
fn every_cookie_of_that_name_in_every_field_is_read_and_no_other() {
    let grant = sealed("alice", ONE, NOW - 100);
    let other = sealed("alice", TWO, NOW - 100);
    let cookie =
        |name: &str, value: &str| get("/auth").by("alice").header("cookie", format!("{name}={value}"));
    let (secure, _) = granting();
    let insecure = Server::configured(NOTHING_GIVEN, &[("ACCRUE_COOKIE__SECURE", "false")]);
    let percent = grant.replacen("1j", "%31j", 1);
    let host_name = name_of(&grant);
    let plain_name = &host_name["__Host-".len()..];
    for (server, ask, held) in [
        (&secure, cookie(&host_name, &grant), Some(ONE)),
        // the tag is not compared
        (&secure, cookie("__Host-accrue.x", &grant), Some(ONE)),
        (&secure, cookie("__Host-accrue.", &grant), Some(ONE)),
        (&secure, cookie("a=b; __Host-accrue.x", &grant).header("cookie", "junk; =; ;;c"), Some(ONE)),
        (&secure, cookie("__Host-accrue.x", &grant).header("cookie", b"\xff=\xfe"), Some(ONE)),
        (&secure, cookie("x=1", "2").header("cookie", format!("__Host-accrue.x={grant}")), Some(ONE)),
        (
            &secure,
            cookie("__Host-accrue.x", &grant).header("cookie", format!("__Host-accrue.x={other}")),
            Some(BOTH),
        ),
        (&secure, cookie(plain_name, &grant), None),
        (&secure, cookie("__Secure-accrue.x", &grant), None),
        (&secure, cookie("__host-accrue.x", &grant), None),
        (&secure, cookie("__Host-accrue", &grant), None),
        (&secure, cookie("__Host-accruex", &grant), None),
        (&secure, cookie("x__Host-accrue.x", &grant), None),
        (&insecure, cookie(plain_name, &grant), Some(ONE)),
        (&insecure, cookie(&host_name, &grant), None),
        // values are taken as they are
        (&secure, cookie(&host_name, &format!("\"{grant}\"")), None),
        (&secure, cookie(&host_name, &percent), None),
        (&secure, cookie(&host_name, &format!("{grant}=")), None),
        (&secure, cookie(&host_name, &grant.to_lowercase()), None),
        (&secure, cookie(&host_name, &sealed("bob", ONE, NOW)), None),
        (&secure, cookie(&host_name, &sealed("alice", ONE, NOW + 61)), None),
        (&secure, cookie(&host_name, &sealed("alice", ONE, NOW + 60)), Some(ONE)),
    ] {
        let answer = server.send(ask.clone());
        match held {
            Some(held) => assert_eq!(answer.token()["capability"], held, "{ask:?}"),
            None => {
                assert_eq!(answer.status_and_code(), (401, 40160), "{ask:?}");
                assert_eq!(changes(&answer), nothing(), "{ask:?}");
            }
        }
    }
}

#[test]
fn what_does_not_verify_is_left_alone() {
    let (server, _) = granting();
    let of_bob = sealed("bob", r#"{"private:bob":["*"]}"#, NOW);
    let of_alice = sealed("alice", ONE, NOW - 100);
    let jar = Jar::holding(&[&of_bob, &of_alice]).and("__Host-accrue.junk", "junk").and("other", "1");
    for ask in [wish(ONE), wish(TWO)] {
        let answer = server.send(ask.carrying(&jar));
        assert!(!answer.token()["capability"].as_str().unwrap().contains("private"));
        let touched = changes(&answer);
        assert!(!touched.iter().any(|change| change.contains("junk") || change.ends_with(&name_of(&of_bob))));
    }
    // two accounts in one browser, one after the other
    let answer = server.send(get("/auth").by("bob").carrying(&jar));
    assert_eq!(answer.token()["capability"], r#"{"private:bob":["*"]}"#);
    assert_eq!(changes(&answer), nothing());
}

#[test]
fn beyond_8_kib_of_candidates_those_that_do_not_verify_are_deleted() {
    let (server, check) = granting();
    let grant = sealed("alice", ONE, NOW - 100);
    let held = name_of(&grant).len() + grant.len();
    let junk_name = "__Host-accrue.junk";
    let junk = |total: usize| "x".repeat(total - held - junk_name.len());
    let jar = |total: usize| Jar::holding(&[&grant]).and(junk_name, &junk(total));

    let renewal = || get("/auth").by("alice");
    assert_eq!(changes(&server.send(renewal().carrying(&jar(8192)))), nothing());
    assert_eq!(changes(&server.send(renewal().carrying(&jar(8193)))), ["-__Host-accrue.junk"]);
    // other cookies don't count
    let with_others = jar(8192).and("elses", &"x".repeat(9000));
    assert_eq!(changes(&server.send(renewal().carrying(&with_others))), nothing());
    // nor do they go
    let with_others = jar(8193).and("elses", "1");
    assert_eq!(changes(&server.send(renewal().carrying(&with_others))), ["-__Host-accrue.junk"]);

    let no_grant = Jar::of(&[(junk_name, &"x".repeat(9000))]);
    let nothing_held = server.send(renewal().carrying(&no_grant));
    assert_eq!(nothing_held.status_and_code(), (401, 40160));
    assert_eq!(changes(&nothing_held), ["-__Host-accrue.junk"]);

    check.now_says(Verdict::Down);
    let unavailable = server.send(wish(TWO).carrying(&no_grant));
    assert_eq!((unavailable.status.as_u16(), changes(&unavailable)), (503, vec![]));
    assert_eq!(changes(&server.send(get("/auth").carrying(&no_grant))), nothing(), "not authenticated");
}

#[test]
fn sixteen_candidates_are_looked_at() {
    let (server, _) = granting();
    let grant = sealed("alice", ONE, NOW - 100);
    let after = |junk: usize, alike: bool| {
        let mut fields: Vec<String> = (0..junk)
            .map(|n| {
                format!("__Host-accrue.{n}={}", if alike { "junk".to_owned() } else { format!("junk{n}") })
            })
            .collect();
        fields.push(format!("__Host-accrue.z={grant}"));
        get("/auth").by("alice").header("cookie", fields.join("; "))
    };
    assert_eq!(server.send(after(15, false)).token()["capability"], ONE);
    assert_eq!(server.send(after(16, false)).status_and_code(), (401, 40160));
    assert_eq!(server.send(after(40, true)).token()["capability"], ONE, "equal values count once");

    let by_header = |junk: usize| {
        let mut texts: Vec<String> = (0..junk).map(|n| format!("junk{n}")).collect();
        texts.push(grant.clone());
        get("/auth").by("alice").header("accrue-grant", texts.join(","))
    };
    assert_eq!(server.send(by_header(15)).token()["capability"], ONE);
    assert_eq!(server.send(by_header(16)).status_and_code(), (401, 40160));
}

#[test]
fn signing_out_deletes_everything_whoever_calls() {
    let (server, check) = granting();
    let jar = Jar::holding(&[&sealed("alice", ONE, NOW), &sealed("bob", TWO, NOW)])
        .and("__Host-accrue.junk", "\"junk\"")
        .and("accrue.plain", "1")
        .and("session", "1");
    let all = sorted([
        deleted(&sealed("alice", ONE, NOW)),
        deleted(&sealed("bob", TWO, NOW)),
        "-__Host-accrue.junk".to_owned(),
    ]);
    for ask in [
        delete("/auth"),
        delete("/auth").by("alice"),
        delete("/auth").by("carol"),
        delete("/auth?capability="),
        delete("/auth?capability=null&rnd=1"),
        delete("/auth").json(&serde_json::json!({ "capability": null })),
        delete("/auth").headers(&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")]),
        delete("/auth").headers(&[("sec-fetch-site", "cross-site"), ("origin", LISTED)]),
    ] {
        let answer = server.send(ask.clone().carrying(&jar));
        assert_eq!((answer.status.as_u16(), changes(&answer)), (204, all.to_vec()), "{ask:?}");
    }
    // more than are ever looked at
    let many = (0..40).fold(Jar::default(), |jar, n| jar.and(&format!("__Host-accrue.{n}"), &format!("{n}")));
    assert_eq!(changes(&server.send(delete("/auth").carrying(&many))).len(), 40);
    assert_eq!(changes(&server.send(delete("/auth"))), nothing());
    assert_eq!(check.asked(), nothing());
}

#[test]
fn a_part_is_given_up_by_its_owner_only() {
    let (server, check) = granting();
    check.now_says(Verdict::Deny);
    let both = sealed("alice", BOTH, NOW - 400);
    let jar = Jar::holding(&[&both]).and("__Host-accrue.junk", "junk");
    let give_up = |capability: &str| delete("/auth").wishing(capability).carrying(&jar);
    for (capability, left) in [
        (TWO, Some(ONE)),
        (r#"{"chat:2":["*"]}"#, Some(ONE)),
        (r#"{"chat:*":["subscribe"]}"#, None),
        (BOTH, None),
    ] {
        let answer = server.send(give_up(capability).by("alice"));
        assert_eq!(answer.status, 204);
        match left {
            Some(left) => {
                // what is left is as old as it was
                let rest = sealed("alice", left, NOW - 400);
                assert_eq!(changes(&answer), sorted([deleted(&both), set(&rest)]));
            }
            None => assert_eq!(changes(&answer), [deleted(&both)]),
        }
    }
    for capability in [r#"{"chat:9":["*"]}"#, r#"{"chat:1":["publish"]}"#, "{}"] {
        let answer = server.send(give_up(capability).by("alice"));
        assert_eq!((answer.status.as_u16(), changes(&answer)), (204, vec![]), "{capability}");
    }
    let in_the_body = delete("/auth").by("alice").form(&[("capability", TWO)]).carrying(&jar);
    assert_eq!(changes(&server.send(in_the_body)).len(), 2);

    assert_eq!(server.send(give_up(TWO)).status_and_code(), (401, 40100));
    let by_bob = server.send(give_up(TWO).by("bob"));
    assert_eq!((by_bob.status.as_u16(), changes(&by_bob)), (204, vec![]));
    assert_eq!(check.asked(), nothing());
}

#[test]
fn what_is_stale_is_checked_again() {
    let (server, check) = granting();
    let grant = sealed("alice", BOTH, NOW - 100);
    let jar = Jar::holding(&[&grant]);
    let renewal = || get("/auth").by("alice").carrying(&jar);
    server.clock.pass(8 * HOUR - 100);
    assert_eq!(changes(&server.send(renewal())), nothing(), "just not stale");
    server.clock.pass(1);

    // permitted: it counts from now
    let answer = server.send(renewal());
    assert_eq!(check.asked(), [BOTH]);
    let mut after = jar.clone();
    after.keep(&answer);
    let since = server.clock.now() - server.clock.now() % 300;
    assert_eq!(unsealed("alice", after.only()).grant.since, since);
    assert_eq!(changes(&answer), sorted([deleted(&grant), set(after.only())]));

    // denied: it is gone, and with it all that was there
    check.now_says(Verdict::Deny);
    let answer = server.send(renewal());
    assert_eq!(answer.status_and_code(), (401, 40160));
    assert_eq!(changes(&answer), [deleted(&grant)]);

    // unanswered: it counts on, for five minutes at a time, and stays as it is
    check.now_says(Verdict::Down);
    let answer = server.send(renewal().wishing(r#"{"chat:3":["subscribe"]}"#));
    assert_eq!(answer.token()["capability"], BOTH);
    assert_eq!(answer.token()["ttl"], 300_000);
    assert_eq!(answer.header("accrue-refused"), Some(r#"{"unavailable":{"chat:3":["subscribe"]}}"#));
    assert_eq!(changes(&answer), nothing());
    assert_eq!(server.send(renewal().with("ttl", "3600000")).token()["ttl"], 300_000);
    assert_eq!(server.send(renewal().with("ttl", "60000")).token()["ttl"], 60_000);

    // until it is twice as old
    server.clock.pass(8 * HOUR - 1);
    assert_eq!(server.send(renewal()).token()["capability"], BOTH);
    server.clock.pass(1);
    let answer = server.send(renewal());
    assert_eq!((answer.status_and_code(), changes(&answer)), ((503, 50003), vec![]));
    check.now_says(Verdict::Grant);
    assert_eq!(server.send(renewal()).token()["capability"], BOTH, "and is permitted again");
}

#[test]
fn fresh_grants_need_no_check_while_it_is_down() {
    let (server, check) = granting();
    check.now_says(Verdict::Down);
    let jar = Jar::holding(&[&sealed("alice", ONE, NOW - 100)]);
    let answer = server.send(wish(BOTH).carrying(&jar));
    assert_eq!(answer.token()["capability"], ONE);
    assert_eq!(answer.token()["ttl"], 300_000, "so that the SDK repeats its wish soon");
    assert_eq!(answer.header("accrue-refused"), Some(format!(r#"{{"unavailable":{TWO}}}"#).as_str()));
    let answer = server.send(wish(ONE).carrying(&jar));
    assert_eq!(answer.token()["ttl"], 3_600_000);
    assert_eq!(changes(&answer), nothing());
}

#[test]
fn the_barred_give_up_all_grants_presented() {
    let (server, check) = granting();
    check.now_says(Verdict::Bar);
    let (fresh, stale) = (sealed("alice", ONE, NOW), sealed("alice", TWO, NOW - 9 * HOUR));
    let jar = Jar::holding(&[&fresh, &stale, &sealed("bob", ONE, NOW)]);
    let answer = server.send(get("/auth").by("alice").carrying(&jar));
    assert_eq!(answer.status_and_code(), (403, 40300));
    assert_eq!(changes(&answer), sorted([deleted(&fresh), deleted(&stale)]));
}

#[test]
fn another_secret_that_seals_rewrites() {
    let rotated = Server::configured(BY_HEADER, &[("ACCRUE_SECRETS", &format!("{K2},{K1}"))]);
    let grant = sealed("alice", ONE, NOW - 400);
    let mut jar = Jar::holding(&[&grant]);
    let answer = rotated.send(get("/auth").by("alice").carrying(&jar));
    jar.keep(&answer);
    assert!(jar.only().starts_with("1j.k2."), "{jar:?}");
    assert_eq!(changes(&answer), sorted([deleted(&grant), set(jar.only())]));
    assert_eq!(unsealed("alice", jar.only()).grant.since, NOW - 400, "no older, no younger");
    assert_eq!(changes(&rotated.send(get("/auth").by("alice").carrying(&jar))), nothing());

    // who does not have the new secret yet leaves it alone, and locks nobody out
    let behind = Server::configured(BY_HEADER, &[]);
    let answer = behind.send(get("/auth").by("alice").carrying(&jar));
    assert_eq!((answer.status.as_u16(), changes(&answer)), (200, vec![]));
}

#[test]
fn what_is_given_is_never_inside_a_grant() {
    let server = Server::configured(BY_HEADER, &[]);
    let given = r#"{"inbox:alice":["subscribe"]}"#;
    assert_eq!(changes(&server.send(get("/auth").by("alice"))), nothing());
    assert_eq!(changes(&server.send(wish(given))), nothing());
    let mut jar = Jar::default();
    jar.keep(&server.send(wish(r#"{"chat:1":["subscribe"],"inbox:alice":["subscribe"]}"#)));
    assert_eq!(unsealed("alice", jar.only()).grant.capability.to_string(), ONE);
}

#[test]
fn two_nearly_full_cookies_stay_as_they_are() {
    let server = Server::configured(BY_HEADER, &[("ACCRUE_COOKIE__MAX_BYTES", "256")]);
    let name = |n: u64| format!("chat:{:016x}", (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let of = |names: std::ops::Range<u64>| {
        let all: Vec<String> = names.map(|n| format!(r#""{}":["subscribe"]"#, name(n))).collect();
        sealed("alice", &format!("{{{}}}", all.join(",")), NOW)
    };
    let (a, b) = (of(0..5), of(5..10));
    let jar = Jar::holding(&[&a, &b]);
    assert!(jar.0.iter().all(|(name, value)| name.len() + value.len() <= 256), "{jar:?}");
    for (ask, refused) in
        [(get("/auth").by("alice"), None), (wish(ONE), Some(format!(r#"{{"full":{ONE}}}"#)))]
    {
        let answer = server.send(ask.carrying(&jar));
        assert_eq!(answer.token()["capability"].as_str().unwrap().matches("chat:").count(), 10);
        assert_eq!(changes(&answer), nothing());
        assert_eq!(answer.header("accrue-refused").map(str::to_owned), refused);
    }
    // giving up makes room again
    let unwanted: Vec<String> = (1..12).map(|n| format!(r#""{}":["*"]"#, name(n))).collect();
    let unwanted = format!("{{{}}}", unwanted.join(","));
    let answer = server.send(delete("/auth").by("alice").wishing(&unwanted).carrying(&jar));
    let mut jar = jar;
    jar.keep(&answer);
    assert!(unsealed("alice", jar.only()).grant.capability.to_string().contains(&name(0)));
    assert_eq!(server.send(wish(ONE).carrying(&jar)).header("accrue-refused"), None);
}
