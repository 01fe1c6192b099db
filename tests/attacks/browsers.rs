//! Browsers that are made to send what their user did not mean: several accounts, cookies from a sibling, foreign pages.

use accrue::Unreadable;

use crate::forge::{SINCE, counts, denying};
use crate::service::*;

const ONE: &str = r#"{"chat:1":["subscribe"]}"#;
const TWO: &str = r#"{"chat:2":["subscribe"]}"#;

#[test]
fn another_account_in_the_same_browser_gets_nothing_of_the_first() {
    let check = Check::saying(Verdict::Grant);
    let server = Server::checked_by(&check);
    let mut jar = Jar::default();
    jar.keep(&server.send(get("/auth").by("alice").wishing(ONE).carrying(&jar)));
    let of_alice = jar.only().to_owned();

    check.now_says(Verdict::Deny);
    let as_bob = server.send(get("/auth").by("bob").carrying(&jar));
    assert_eq!((as_bob.status_and_code(), changes(&as_bob)), ((401, 40160), vec![]));
    check.now_says(Verdict::Grant);
    let as_bob = server.send(get("/auth").by("bob").wishing(TWO).carrying(&jar));
    assert_eq!(as_bob.token()["capability"], TWO);
    jar.keep(&as_bob);
    // each has its own, and gives up its own
    assert_eq!(jar.0.len(), 2);
    jar.keep(&server.send(delete("/auth").by("bob").wishing(r#"{"*":["*"]}"#).carrying(&jar)));
    assert_eq!(jar.only(), of_alice);
    assert_eq!(server.send(get("/auth").by("alice").carrying(&jar)).token()["capability"], ONE);
}

/// `Domain=example.com` and a longer path come first, or last, or many times over: all of one name are read, what
/// doesn't verify counts for nothing, and what does is the caller's own.
#[test]
fn a_sibling_subdomain_tosses_cookies_of_the_same_name() {
    let server = denying();
    let (own, theirs) = (sealed("alice", ONE, SINCE), sealed("mallory", r#"{"*":["*"]}"#, SINCE));
    let name = name_of(&own);
    let (a, m) = (format!("{name}={own}"), format!("{name}={theirs}"));
    let junk = format!("{name}=junk; {name}; {name}=; ={own}; ;;");
    for cookies in [
        vec![format!("{a}; {m}")],
        vec![format!("{m}; {a}")],
        vec![m.clone(), a.clone()],
        vec![a.clone(), m.clone(), m.clone()],
        vec![format!("{junk} {a}; {m}")],
        vec![format!("{m}; {junk} {a}")],
    ] {
        let tossed = |ask: Ask| cookies.iter().fold(ask, |ask, field| ask.header("cookie", field));
        let answer = server.send(tossed(get("/auth").by("alice")));
        assert_eq!(answer.token()["capability"], ONE, "{cookies:?}");
        assert_eq!(changes(&answer), [""; 0], "nothing of it is folded into what is alice's");
    }
    let only_theirs = server.send(get("/auth").by("alice").header("cookie", m));
    assert_eq!(only_theirs.status_and_code(), (401, 40160));
}

/// A page on a sibling can't set a cookie whose name begins with `__Host-`; but it can set one that begins with some
/// white space before that. What browsers take for another name must be another name here.
#[test]
fn white_space_before_a_host_prefix_makes_no_cookie_of_ours() {
    let check = Check::saying(Verdict::Deny);
    let server = Server::checked_by(&check);
    let grant = sealed("alice", ONE, SINCE);
    let name = name_of(&grant);
    assert_eq!(server.send(get("/auth").by("alice").header("cookie", format!("{name}={grant}"))).status, 200);
    for space in SPACES {
        for cookie in [format!("{space}{name}={grant}"), format!("a=1; {space}{name}={grant}; b=2")] {
            let (answer, outcome) = server.send_and_tell(get("/auth").by("alice").header("cookie", &cookie));
            assert_eq!(answer.status_and_code(), (401, 40160), "{cookie:?}");
            assert_eq!(outcome.report.grants, [], "{cookie:?}");
        }
    }
    // browsers and HTTP know of blanks and tabs only
    let spaced = format!("a=1;   {name}\t= {grant}\t ; b=2");
    assert_eq!(server.send(get("/auth").by("alice").header("cookie", spaced)).status, 200);
    // names are compared exactly
    for other in [
        name.to_lowercase(),
        name.to_uppercase(),
        name.replace("__Host-", ""),
        format!("$Version=1; {}", &name[7..]),
    ] {
        let cookie = format!("{other}={grant}");
        assert_eq!(server.send(get("/auth").by("alice").header("cookie", cookie)).status, 401, "{other}");
    }
}

/// What `char::is_whitespace` is true for, beyond ASCII, and some that look like nothing.
pub(crate) const SPACES: [&str; 9] =
    ["\u{85}", "\u{a0}", "\u{1680}", "\u{2000}", "\u{2009}", "\u{2028}", "\u{3000}", "\u{feff}", "\u{200b}"];

/// Sixteen candidates are looked at, so as many tossed ones may hide the victim's own: its wishes are checked once
/// more, which costs a question, and no right. Beyond 8 KiB what doesn't verify is cleared away.
#[test]
fn tossed_cookies_that_hide_a_grant_cost_a_question_and_lock_nobody_out() {
    let check = Check::saying(Verdict::Grant);
    let server = Server::checked_by(&check);
    let own = sealed("alice", ONE, SINCE);
    let tossed = |length: usize| {
        let mut jar = Jar::holding(&[&own]);
        for n in 0..16 {
            // before the victim's in every jar
            jar = jar.and(&format!("__Host-accrue.!{n:02}"), &format!("{n:02}{}", "x".repeat(length)));
        }
        jar
    };
    let mut jar = tossed(10);
    let answer = server.send(get("/auth").by("alice").wishing(ONE).carrying(&jar));
    assert_eq!((answer.token()["capability"].as_str(), check.asked()), (Some(ONE), vec![ONE.to_owned()]));
    jar.keep(&answer);
    assert!(jar.0.values().any(|kept| *kept == own), "what was not looked at stays");

    let mut jar = tossed(600);
    jar.keep(&server.send(get("/auth").by("alice").wishing(ONE).carrying(&jar)));
    assert!(jar.0.keys().all(|name| !name.contains('!')), "{jar:?}");
    check.asked();
    assert_eq!(server.send(get("/auth").by("alice").wishing(ONE).carrying(&jar)).token()["capability"], ONE);
    assert_eq!(check.asked(), [""; 0], "and it counts again");
    // signing out takes all that there is
    let mut jar = tossed(10);
    jar.keep(&server.send(delete("/auth").carrying(&jar)));
    assert_eq!(jar, Jar::default());
}

/// Browsers keep 180 cookies for a host and drop the oldest: a jar flooded by a sibling loses the victim's grants. That
/// costs questions, as if they had expired.
#[test]
fn a_flooded_cookie_jar_costs_questions_only() {
    let check = Check::saying(Verdict::Grant);
    let server = Server::checked_by(&check);
    let flood: Vec<String> = (0..180).map(|n| format!("flood{n:03}={}", "x".repeat(100))).collect();
    let flooded = || get("/auth").by("alice").wishing(ONE).header("cookie", flood.join("; "));
    assert_eq!(server.send(flooded()).token()["capability"], ONE);
    assert_eq!(check.asked(), [ONE]);
    // a head beyond 32 KiB is refused as such, before anything in it is believed
    let beyond = flooded().header("cookie", "y".repeat(20_000));
    assert_eq!(server.send(beyond).status_and_code(), (431, 43100));
}

/// All that a foreign page can make a browser send: forms, navigations, images, scripts, simple fetches, preflights.
#[test]
fn a_foreign_page_makes_a_browser_ask_for_it() {
    let check = Check::saying(Verdict::Grant);
    let server = Server::checked_by(&check);
    let held = Jar::holding(&[&sealed("alice", ONE, SINCE)]);
    let wish = "capability=%7B%22chat%3A2%22%3A%5B%22subscribe%22%5D%7D";
    let json = r#"{"capability":{"chat:2":["subscribe"]}}"#;
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"capability\"\r\n\r\n{\"chat:2\":[\"subscribe\"]}\r\n--b--";
    let at = |target: &str| format!("/auth?{wish}{target}");
    let asks = [
        get(&at("")),
        get(&at("&callback=steal")),
        get(&at("&clientId=alice")),
        ask("HEAD", &at("")),
        post("/auth").body("application/x-www-form-urlencoded", wish),
        post("/auth").body("text/plain", json),
        post("/auth").body("text/plain; application/json", json),
        post("/auth").body("multipart/form-data; boundary=b", multipart),
        post("/auth").body("application/json", json),
        post(&at("")),
        post(&at("&_method=DELETE")),
        delete("/auth"),
        delete(&at("")),
        options("/auth").header("access-control-request-method", "DELETE"),
    ];
    let contexts: [&[(&str, &str)]; 12] = [
        // a form or a link, an image or a script, a fetch
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors"), ("origin", "https://evil.example")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "same-origin"), ("origin", "null")],
        // a sibling is as foreign
        &[
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "cors"),
            ("origin", "https://evil.example.com"),
        ],
        &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-user", "?1")],
        // browsers without Fetch metadata
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://accrue.example.com.evil.example")],
        &[("origin", "https://accrue.example.com"), ("origin", "https://evil.example")],
    ];
    for context in contexts {
        for ask in &asks {
            let sent = ask.clone().by("alice").headers(context).carrying(&held);
            let answer = server.send(sent.header("host", "accrue.example.com"));
            assert_eq!(answer.status_and_code(), (403, 40300), "{context:?} {ask:?}");
            assert_eq!(changes(&answer), [""; 0], "{context:?} {ask:?}");
        }
    }
    assert_eq!(check.asked(), [""; 0]);
    // for what no form can send, the body has to be what it says it is
    for (content_type, body) in
        [("text/plain", json), ("multipart/form-data; boundary=b", multipart), ("", json)]
    {
        let answer = server.send(post("/auth").by("alice").body(content_type, body));
        assert_eq!(answer.status_and_code(), (415, 41500), "{content_type}");
    }
}

/// A browser of before 2020 says nothing of a link or an image, so it passes for no page at all. `SameSite=Strict` keeps
/// our cookies off it, the session's own `SameSite` the session; nothing that comes back can be read as a script.
#[test]
fn an_image_in_an_old_browser_brings_no_session_and_reads_nothing() {
    let server = denying();
    let bare = server.send(get("/auth?callback=steal").header("referer", "https://evil.example/"));
    assert_eq!(bare.status_and_code(), (401, 40100));
    let server = Server::configured(BY_HEADER, &[]);
    for callback in ["callback", "jsonp", "cb"] {
        let answer = server.send(get("/auth").by("alice").with(callback, "steal"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.body.starts_with(b"{\"") && !answer.body.windows(5).any(|five| five == b"steal"));
    }
}

/// Signing somebody in as somebody else, or making them ask, by sending them to a link: on the service's own origin
/// too (an open redirect, say), it has no wishes and no side effect.
#[test]
fn a_navigation_forces_no_wish_and_gives_nothing_up() {
    let check = Check::saying(Verdict::Grant);
    let server = Server::checked_by(&check);
    let held = Jar::holding(&[&sealed("alice", ONE, SINCE)]);
    for site in ["same-origin", "none"] {
        for mode in ["navigate", "no-cors", "websocket", "", "Cors", "nested-navigate"] {
            let sent = |ask: Ask| {
                let ask = ask.by("alice").headers(&[("sec-fetch-site", site), ("sec-fetch-mode", mode)]);
                server.send(ask.carrying(&held))
            };
            let answer = sent(get("/auth").wishing(TWO));
            assert_eq!(
                (answer.token()["capability"].as_str(), changes(&answer)),
                (Some(ONE), vec![]),
                "{mode}"
            );
            for ask in
                [delete("/auth"), delete("/auth").wishing(ONE), post("/auth").form(&[("capability", TWO)])]
            {
                assert_eq!(changes(&sent(ask)), [""; 0], "{site} {mode}");
            }
        }
    }
    assert_eq!(check.asked(), [""; 0]);
}

/// A cookie of somebody else's session can be tossed, too. Two different ones are nobody; and the `__Host-` that keeps
/// siblings from tossing any must not be had by white space before it.
#[test]
fn a_session_cookie_tossed_by_a_sibling_signs_nobody_in_as_the_attacker() {
    let toml = "[authenticate.jwt]\nsecret = \"a secret that only the application has\"\ncookie = \"__Host-session\"\n\
                [given]\n\"inbox:{clientId}\" = [\"subscribe\"]\n[permission.rules]\nx = [\"*\"]\n";
    let server = Server::configured(toml, &[]);
    let session = |sub: &str| crate::sessions::hs256(&serde_json::json!({ "sub": sub, "exp": NOW + 3600 }));
    let (alice, mallory) = (session("alice"), session("mallory"));
    let who = |cookie: String| {
        let answer = server.send(get("/auth").header("cookie", cookie));
        (answer.status == 200).then(|| answer.token()["clientId"].as_str().unwrap().to_owned())
    };
    assert_eq!(who(format!("__Host-session={alice}")).as_deref(), Some("alice"));
    assert_eq!(who(format!("__Host-session={alice}; __Host-session={alice}")).as_deref(), Some("alice"));
    assert_eq!(who(format!("__Host-session={alice}; __Host-session={mallory}")), None);
    assert_eq!(
        who(format!("__Host-session={mallory}; __Host-session={alice}; __Host-session={mallory}")),
        None
    );
    for space in SPACES {
        assert_eq!(who(format!("{space}__Host-session={mallory}")), None, "{space:?}");
        let tossed = format!("{space}__Host-session={mallory}; __Host-session={alice}");
        assert_eq!(who(tossed).as_deref(), Some("alice"), "{space:?}");
    }
    for other in ["__host-session", "__Host-Session", "session", "$__Host-session", "__Host-session "] {
        let expected = (other.trim() == "__Host-session").then_some("mallory");
        assert_eq!(who(format!("{other}={mallory}")).as_deref(), expected, "{other}");
    }
}

/// With cookies that no prefix protects (plain http, on loopback) everything on localhost shares a jar.
#[test]
fn a_cookie_without_the_prefix_is_none_where_the_prefix_is_due() {
    let server = denying();
    let own = sealed("alice", ONE, SINCE);
    let bare = name_of(&own).replace("__Host-", "");
    let (answer, outcome) =
        server.send_and_tell(get("/auth").by("alice").header("cookie", format!("{bare}={own}")));
    assert_eq!(
        (answer.status_and_code(), outcome.report.grants),
        ((401, 40160), Vec::<Result<_, Unreadable>>::new())
    );
    assert!(counts(&server, "alice", &own));
}
