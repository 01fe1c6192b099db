//! Pages: whose they are, and what a browser says of how it calls.

use crate::service::*;

const ONE: &str = r#"{"chat:1":["subscribe"]}"#;

#[test]
fn own_and_listed_pages_are_served_and_others_are_not() {
    let server = Server::configured(BY_HEADER, &[]);
    let (own, listed, foreign) = (200, 200, 403);
    for (headers, status) in [
        (&[][..], own),
        (&[("host", "auth.example.com")], own),
        // what the browser says of itself
        (&[("sec-fetch-site", "same-origin")], own),
        (&[("sec-fetch-site", "none")], own),
        (&[("sec-fetch-site", "same-origin"), ("origin", "https://elsewhere.example")], own),
        (&[("sec-fetch-site", "same-origin"), ("origin", "null")], own),
        (&[("sec-fetch-site", "same-site")], foreign),
        (&[("sec-fetch-site", "cross-site")], foreign),
        (&[("sec-fetch-site", "")], foreign),
        (&[("sec-fetch-site", "Same-Origin")], foreign),
        (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")], foreign),
        (&[("sec-fetch-site", "same-site"), ("host", "a.com"), ("origin", "https://a.com")], foreign),
        (&[("sec-fetch-site", "cross-site"), ("host", "a.com"), ("origin", "https://a.com")], foreign),
        (&[("sec-fetch-site", "same-site"), ("origin", LISTED)], listed),
        (&[("sec-fetch-site", "cross-site"), ("origin", LISTED)], listed),
        (&[("sec-fetch-site", "cross-site"), ("origin", ALSO_LISTED)], listed),
        // without that header: origin and host
        (&[("host", "a.com"), ("origin", "https://a.com")], own),
        (&[("host", "a.com"), ("origin", "http://a.com")], own),
        (&[("host", "a.com:443"), ("origin", "https://a.com")], own),
        (&[("host", "A.com"), ("origin", "https://a.com")], own),
        (&[("host", "a.com:8443"), ("origin", "https://a.com:8443")], own),
        (&[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")], own),
        (&[("host", "a.com"), ("origin", "https://a.com:8443")], foreign),
        (&[("host", "a.com:8443"), ("origin", "https://a.com")], foreign),
        (&[("host", "a.com:80"), ("origin", "https://a.com")], foreign),
        (&[("host", "b.a.com"), ("origin", "https://a.com")], foreign),
        (&[("host", "a.com"), ("origin", "https://b.a.com")], foreign),
        (&[("host", "a.com"), ("origin", "https://a.com.evil.example")], foreign),
        (&[("host", "a.com"), ("origin", "null")], foreign),
        (&[("host", "null"), ("origin", "null")], foreign),
        (&[("host", "a.com"), ("origin", "")], foreign),
        (&[("origin", "https://a.com")], foreign),
        (&[("host", "a.com"), ("origin", LISTED)], listed),
        // exactly
        (&[("host", "a.com"), ("origin", "https://APP.example.com")], foreign),
        (&[("host", "a.com"), ("origin", "https://app.example.com:443")], foreign),
        (&[("host", "a.com"), ("origin", "https://app.example.com/")], foreign),
        (&[("host", "a.com"), ("origin", "http://app.example.com")], foreign),
        (&[("host", "a.com"), ("origin", "https://x.app.example.com")], foreign),
        (&[("host", "a.com"), ("origin", "*")], foreign),
        (&[("host", "a.com"), ("origin", LISTED), ("origin", LISTED)], foreign),
    ] {
        for ask in [get("/auth"), post("/auth")] {
            let answer = server.send(ask.by("alice").headers(headers));
            assert_eq!(answer.status, status, "{headers:?}");
        }
        for ask in [delete("/auth"), options("/auth")] {
            let expected = if status == 200 { 204 } else { status };
            assert_eq!(server.send(ask.headers(headers)).status, expected, "{headers:?}");
        }
    }
}

#[test]
fn preflights_name_methods_and_headers_for_listed_origins() {
    let server = Server::configured(BY_HEADER, &[]);
    let preflight = |origin: &str, site: &str| {
        let ask = options("/auth").headers(&[("origin", origin), ("sec-fetch-site", site)]);
        server.send(ask.headers(&[
            ("sec-fetch-mode", "cors"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization"),
        ]))
    };
    for origin in [LISTED, ALSO_LISTED] {
        let answer = preflight(origin, "cross-site");
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, DELETE"));
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("authorization, content-type, accrue-grant")
        );
    }
    assert_eq!(preflight("https://evil.example", "cross-site").status_and_code(), (403, 40300));
    assert_eq!(preflight("null", "cross-site").status_and_code(), (403, 40300));

    // nobody signs in for one, and nobody loses a cookie by one
    let held = Jar::holding(&[&sealed("alice", ONE, 1)]);
    let own = server.send(options("/auth?ttl=nonsense").carrying(&held));
    assert_eq!((own.status.as_u16(), changes(&own)), (204, vec![]));
}

#[test]
fn a_navigation_has_no_wishes_and_no_side_effect() {
    let check = Check::saying(Verdict::Grant);
    let server = Server::checked_by(&check);
    let grant = |text: &str| sealed("alice", text, NOW - 100);
    let (one, two) = (grant(ONE), grant(r#"{"chat:2":["subscribe"]}"#));
    let held = Jar::holding(&[&one, &two]).and("__Host-accrue.large", &"x".repeat(9000));
    for mode in ["navigate", "no-cors", "websocket", "same-site", "", "CORS"] {
        let from = |ask: Ask| ask.carrying(&held).header("sec-fetch-mode", mode);
        let answer = server.send(from(get("/auth").by("alice").wishing(r#"{"chat:3":["*"]}"#)));
        assert_eq!(answer.token()["capability"], r#"{"chat:1":["subscribe"],"chat:2":["subscribe"]}"#);
        assert_eq!(answer.header("accrue-refused"), None);
        assert_eq!(changes(&answer), [""; 0], "{mode}");

        let form = post("/auth").by("alice").form(&[("capability", "not even read")]);
        assert_eq!(changes(&server.send(from(form))), [""; 0], "{mode}");
        for gone in [delete("/auth"), delete("/auth").by("alice").wishing(ONE)] {
            let answer = server.send(from(gone));
            assert_eq!((answer.status.as_u16(), changes(&answer)), (204, vec![]), "{mode}");
        }
    }
    assert_eq!(check.asked(), [""; 0]);

    for mode in ["cors", "same-origin"] {
        let ask = get("/auth").by("alice").wishing(ONE).carrying(&held).header("sec-fetch-mode", mode);
        assert_eq!(changes(&server.send(ask)).len(), 4, "{mode}");
    }
}

#[test]
fn a_navigation_gives_up_nothing_where_it_is_denied_or_barred() {
    let check = Check::saying(Verdict::Deny);
    let server = Server::checked_by(&check);
    let stale = Jar::holding(&[&sealed("alice", ONE, NOW - 9 * 3600)]);
    let navigation = || get("/auth").by("alice").carrying(&stale).header("sec-fetch-mode", "navigate");
    let answer = server.send(navigation());
    assert_eq!((answer.status_and_code(), changes(&answer)), ((401, 40160), vec![]));
    check.now_says(Verdict::Bar);
    let answer = server.send(navigation());
    assert_eq!((answer.status_and_code(), changes(&answer)), ((403, 40300), vec![]));
}

#[test]
fn a_page_that_calls_without_cookies_is_told_of_once_per_origin() {
    let server = Server::configured(BY_HEADER, &[]);
    let advice = |ask: Ask| server.send_and_tell(ask.by("alice")).1.advice;
    let from = |origin: &str| get("/auth").headers(&[("sec-fetch-site", "same-site"), ("origin", origin)]);
    assert_eq!(advice(get("/auth")), None, "own");
    assert_eq!(advice(options("/auth").header("origin", LISTED)), None, "preflights never have any");
    assert_eq!(advice(from(LISTED).header("cookie", "a=1")), None);
    assert_eq!(advice(from(LISTED).header("accrue-grant", "none")), None, "which needs none");
    let told = advice(from(LISTED)).expect("the first without");
    assert!(told.contains(LISTED) && told.contains(r#"authorization: "-""#), "{told}");
    assert_eq!(advice(from(LISTED)), None);
    assert!(advice(from(ALSO_LISTED)).is_some_and(|told| told.contains(ALSO_LISTED)));
    assert_eq!(advice(from(ALSO_LISTED)), None);

    for (strategy, carried) in [("cookie", true), ("client", false), ("server", false)] {
        let server = Server::configured(BY_HEADER, &[("ACCRUE_STRATEGY", strategy)]);
        let told = server.send_and_tell(from(LISTED).by("alice")).1.advice.expect("the first without");
        assert_eq!(told.contains("Accrue-Grant"), carried, "{told}");
        assert_eq!(told.contains("the session"), !carried, "{told}");
    }
}

#[test]
fn whoever_is_refused_is_named_to_the_operator_with_the_line_to_add() {
    let server = Server::configured(BY_HEADER, &[]);
    let advice = |headers: &[(&str, &str)]| {
        server.send_and_tell(get("/auth").by("alice").headers(headers)).1.advice.unwrap()
    };
    // the whole line, for there is one already
    let line = r#"origins = ["https://app.example.com", "http://localhost:3000", "https://new.example.com"]"#;
    assert!(advice(&[("origin", "https://new.example.com"), ("host", "a.com")]).contains(line));
    for nameless in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "cross-site"), ("origin", "null")],
        &[("host", "a.com"), ("origin", "\"]\nlisten = \"0.0.0.0:1\"".split('\n').next().unwrap())],
    ] {
        assert!(!advice(nameless).contains("origins = "), "{nameless:?}");
    }
}
