//! The table of errors.

use accrue::{Caller, Client, ClientId, Unauthenticated};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};

use crate::answer::Answer;
use crate::service::*;

const CLAIMED: &str = r#"
    [authenticate.claimed]
    [permission.rules]
    "chat:*" = ["subscribe"]
    [given]
    "lobby" = ["subscribe"]
"#;

const BY_JWT: &str = r#"
    [authenticate.jwt]
    secret = "a secret that only the application has"
    cookie = "session"
    [permission.rules]
    "chat:*" = ["subscribe"]
"#;

/// Sends it, and once more from a listed origin: an error is as readable for a page there.
#[track_caller]
fn is_answered(server: &Server, ask: &Ask, status: u16, code: u64, message: &str) -> Answer {
    let answer = server.send(ask.clone());
    assert_eq!(answer.status_and_code(), (status, code), "{ask:?}: {answer:?}");
    let told = answer.error()["message"].as_str().unwrap().to_owned();
    assert!(told.contains(message), "{ask:?}: {told:?} lacks {message:?}");
    assert_eq!(answer.header("allow").is_some(), status == 405);

    let from_a_page = ask.clone().headers(&[("origin", LISTED), ("sec-fetch-mode", "cors")]);
    if status_depends_on_origin(status) {
        return answer;
    }
    assert_eq!(server.send(from_a_page).status_and_code(), (status, code), "{ask:?}");
    answer
}

fn status_depends_on_origin(status: u16) -> bool {
    status == 403
}

fn wish() -> Ask {
    get("/auth").by("alice").wishing(r#"{"chat:1":["subscribe"]}"#)
}

#[test]
fn malformed_requests_are_told_where() {
    let server = Server::configured(BY_HEADER, &[]);
    let asking = |capability: &str| get("/auth").by("alice").wishing(capability);
    let json = |body: &'static str| post("/auth").by("alice").body("application/json", body);
    let form = |body: &'static str| {
        post("/auth")
            .by("alice")
            .body("application/x-www-form-urlencoded", Bytes::from_static(body.as_bytes()))
    };
    let query = |query: &str| get(&format!("/auth?{query}")).by("alice");
    let many: Vec<String> = (0..257).map(|n| format!(r#""chat:{n}":["subscribe"]"#)).collect();
    let too_many = form_urlencoded::Serializer::new(String::new())
        .append_pair("capability", &format!("{{{}}}", many.join(",")))
        .finish();
    for (ask, message) in [
        (asking("chat:1"), "capability: not valid JSON"),
        (asking("[]"), "capability: not a JSON object"),
        (asking(r#"{"chat:1":"subscribe"}"#), r#"resource "chat:1": the operations are not a list"#),
        (asking(r#"{"chat:1":[]}"#), r#"resource "chat:1""#),
        (asking(r#"{"chat:1":["subscrib"]}"#), r#"did you mean "subscribe""#),
        (asking(r#"{"chat:1":["*","publish"]}"#), r#"resource "chat:1""#),
        (asking(r#"{"":["publish"]}"#), r#"resource """#),
        (asking(r#"{":a":["publish"]}"#), r#"resource ":a""#),
        (asking(r#"{",a":["publish"]}"#), r#"resource ",a""#),
        (asking(r#"{" a":["publish"]}"#), r#"resource " a""#),
        (asking(r#"{"a\u0000":["publish"]}"#), "resource"),
        (asking(r#"{"[log]a":["publish"]}"#), "[meta], [queue] and [*]"),
        (asking(&format!(r#"{{"{}":["publish"]}}"#, "x".repeat(2049))), "resource"),
        (asking(r#"{"a":["publish"],"a":["publish"]}"#), r#"member "a" stands twice"#),
        (asking("{'chat:1': ['subscribe']}"), "json.dumps"),
        (asking("{'a': ['publish'], 'b:*': ['history', 'subscribe']}"), "JSON"),
        (query("capability=%7B%7D&capability=%7B%7D"), "query: capability stands twice"),
        (query("clientId=alice&clientId=alice"), "query: clientId stands twice"),
        (query("ttl=&ttl=5"), "query: ttl stands twice"),
        (query("clientId=alice&client_id=bob"), "clientId and client_id differ"),
        (query("clientId=%FF"), "query: clientId is not UTF-8"),
        (form("ttl=5000&ttl=5000"), "form: ttl stands twice"),
        (form("clientId=alice&client_id=bob"), "clientId and client_id differ"),
        (form("capability=%FF"), "form: capability is not UTF-8"),
        (json("{"), "body: not valid JSON"),
        (json("[]"), "body: not a JSON object"),
        (json("7"), "body: not a JSON object"),
        (json("{} {}"), "body: not valid JSON"),
        (json(r#"{"ttl":1,"ttl":1}"#), r#"member "ttl" stands twice"#),
        (json(r#"{"else":{"a":1,"a":1}}"#), r#"member "a" stands twice"#),
        (json(r#"{"capability":{"a":["publish"],"a":["publish"]}}"#), r#"member "a" stands twice"#),
        (json(r#"{"clientId":"alice","client_id":"bob"}"#), "clientId and client_id differ"),
        (json(r#"{"capability":["chat:1"]}"#), "capability: not a JSON object"),
        (json(r#"{"capability":7}"#), "capability: not a JSON object"),
        (post("/auth").by("alice").body("application/x-www-form-urlencoded", too_many), "at most 256"),
        (delete("/auth").by("alice").wishing("{"), "capability: not valid JSON"),
    ] {
        is_answered(&server, &ask, 400, 40000, message);
    }
}

#[test]
fn a_ttl_is_a_positive_whole_number() {
    let server = Server::configured(BY_HEADER, &[]);
    for ttl in ["0", "00", "-1", "1.5", "1e3", "+5", "1h", "0x10", " 5", "five", "٥", "[]"] {
        is_answered(&server, &get("/auth").by("alice").with("ttl", ttl), 400, 40003, "ttl");
    }
    for body in [
        r#"{"ttl":0}"#,
        r#"{"ttl":-1}"#,
        r#"{"ttl":1.5}"#,
        r#"{"ttl":1e3}"#,
        r#"{"ttl":true}"#,
        r#"{"ttl":[5]}"#,
        r#"{"ttl":{}}"#,
        r#"{"ttl":"1h"}"#,
    ] {
        let ask = post("/auth").by("alice").body("application/json", body);
        is_answered(&server, &ask, 400, 40003, "ttl");
    }
}

#[test]
fn a_client_id_is_well_formed() {
    let server = Server::configured(BY_HEADER, &[]);
    let longer = "x".repeat(257);
    let longer_in_bytes = "é".repeat(129);
    for id in ["*", "a*", "a\nb", "\u{7f}", "\u{85}", "a\u{2028}b", "a\u{2029}", &longer, &longer_in_bytes] {
        is_answered(&server, &get("/auth").by("alice").with("clientId", id), 400, 40012, "clientId");
        is_answered(&server, &get("/auth").by("alice").with("client_id", id), 400, 40012, "clientId");
    }
    for body in [r#"{"clientId":7}"#, r#"{"clientId":["alice"]}"#, r#"{"client_id":true}"#] {
        let ask = post("/auth").by("alice").body("application/json", body);
        is_answered(&server, &ask, 400, 40012, "clientId");
    }
}

#[test]
fn whoever_is_not_authenticated_is_told_what_to_do() {
    let claimed = Server::configured(CLAIMED, &[]);
    let header = Server::configured(BY_HEADER, &[]);
    let jwt = Server::configured(BY_JWT, &[]);
    let local = || get("/auth").header("host", "localhost:8080");
    let secret = ("x-proxy-secret", PROXY_SECRET);
    for (server, ask, message) in [
        (&claimed, local(), "clientId"),
        (&claimed, local().with("clientId", ""), "clientId"),
        (&claimed, local().with("clientId", "null"), "clientId"),
        (&header, get("/auth"), "sign in"),
        (&header, get("/auth").with("clientId", "alice"), "sign in"),
        (&header, get("/auth").header("x-client-id", "alice"), "sign in"),
        (&header, get("/auth").headers(&[("x-client-id", "alice"), ("x-proxy-secret", "another")]), ""),
        (&header, get("/auth").headers(&[("x-client-id", "alice"), ("x-proxy-secret", "")]), ""),
        (&header, get("/auth").headers(&[secret]), ""),
        (&header, get("/auth").headers(&[("x-client-id", "alice"), ("x-client-id", "alice"), secret]), ""),
        (&header, get("/auth").headers(&[("x-client-id", "alice"), ("x-client-id", "bob"), secret]), ""),
        (&header, get("/auth").headers(&[("x-client-id", "alice"), secret, secret]), ""),
        (&header, get("/auth").header("x-client-id", b"\xff").headers(&[secret]), ""),
        (&jwt, get("/auth"), "sign in"),
        (&jwt, get("/auth").header("authorization", "Bearer nonsense"), "sign in"),
        (&jwt, get("/auth").header("authorization", "Basic YTpi"), "sign in"),
        (&jwt, get("/auth").header("cookie", "session=nonsense"), "sign in"),
        (&header, delete("/auth").wishing(r#"{"chat:1":["subscribe"]}"#), "sign in"),
    ] {
        let answer = is_answered(server, &ask, 401, 40100, message);
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

#[test]
fn only_the_authenticated_client_id_may_be_named() {
    let server = Server::configured(BY_HEADER, &[]);
    for id in ["bob", "Alice", "alice ", "alicé"] {
        is_answered(&server, &wish().with("clientId", id), 401, 40102, "clientId");
        is_answered(&server, &wish().with("client_id", id), 401, 40102, "clientId");
        is_answered(&server, &post("/auth").by("alice").form(&[("clientId", id)]), 401, 40102, "clientId");
    }
    // byte for byte: the same letters, composed and not
    is_answered(&server, &get("/auth").by("zo\u{eb}").with("clientId", "zoe\u{308}"), 401, 40102, "");
    is_answered(&server, &delete("/auth").by("alice").with("clientId", "bob").wishing("{}"), 401, 40102, "");
    for same in ["alice", "", "null", "undefined"] {
        assert_eq!(server.send(wish().with("clientId", same)).token()["clientId"], "alice");
    }
}

#[test]
fn nothing_at_all_is_40160_and_says_how_to_ask() {
    let server = Server::configured(NOTHING_GIVEN, &[]);
    let unasked = is_answered(&server, &get("/auth").by("alice"), 401, 40160, "[given]");
    assert!(unasked.error()["message"].as_str().unwrap().contains("capability"));
    assert_eq!(unasked.header("accrue-refused"), None);

    let asked = get("/auth").by("alice").wishing(r#"{"private:bob:1":["subscribe"]}"#);
    let answer = is_answered(&server, &asked, 401, 40160, "");
    assert!(!answer.error()["message"].as_str().unwrap().contains("[given]"));
    assert_eq!(answer.header("accrue-refused"), Some(r#"{"denied":{"private:bob:1":["subscribe"]}}"#));
    assert_eq!(changes(&answer), [""; 0]);

    // `chat:*` is no more than what it says
    for (wish, denied) in [
        (r#"{"chat":["subscribe"]}"#, r#"{"denied":{"chat":["subscribe"]}}"#),
        (r#"{"*":["subscribe"]}"#, r#"{"denied":{"*":["subscribe"]}}"#),
        (r#"{"chat:1":["*"]}"#, r#"{"denied":{"chat:1":["*"]}}"#),
        (r#"{"[meta]chat:1":["subscribe"]}"#, r#"{"denied":{"[meta]chat:1":["subscribe"]}}"#),
    ] {
        let answer = is_answered(&server, &get("/auth").by("alice").wishing(wish), 401, 40160, "");
        assert_eq!(answer.header("accrue-refused"), Some(denied));
    }
}

#[test]
fn the_barred_are_told_for_good() {
    let server = Server::checked_by(&Check::saying(Verdict::Bar));
    let answer = is_answered(&server, &wish(), 403, 40300, "barred");
    assert_eq!(answer.header("accrue-refused"), None);
    // nothing is asked about one who wishes for nothing, so nobody notices
    is_answered(&server, &get("/auth").by("alice"), 401, 40160, "");
    assert_eq!(server.send(wish().header("origin", LISTED)).status_and_code(), (403, 40300));
}

#[test]
fn foreign_pages_are_refused_before_anything_is_looked_at() {
    async fn never(_: Caller) -> Result<Client, Unauthenticated> {
        panic!("credentials were looked at")
    }
    let server = Server::made(Check::saying(Verdict::Grant).closure(), never, |issuer| issuer);
    for method in ["GET", "POST", "DELETE", "OPTIONS", "PUT", "HEAD", "PATCH"] {
        let ask = ask(method, "/auth?ttl=nonsense").header("cookie", "__Host-accrue.12345678=x");
        let foreign = ask.headers(&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")]);
        let (answer, outcome) = server.send_and_tell(foreign.body("text/plain", "x".repeat(100_000)));
        assert_eq!(answer.status_and_code(), (403, 40300), "{method}");
        assert!(outcome.advice.unwrap().contains("https://evil.example"), "{method}");
    }
}

#[test]
fn as_http_has_them() {
    let server = Server::configured(BY_HEADER, &[]);
    let large = "x".repeat(64 * 1024 + 1);
    let long = format!("/auth?rnd={}", "1".repeat(33 * 1024));
    let encoded = post("/auth").by("alice").form(&[("ttl", "5000")]).header("content-encoding", "gzip");
    for (ask, status) in [
        (get("/"), 404),
        (get("/auth/"), 404),
        (get("/Auth"), 404),
        (get("/favicon.ico"), 404),
        (post("/token"), 404),
        (ask("OPTIONS", "/elsewhere"), 404),
        (ask("PUT", "/auth").by("alice"), 405),
        (ask("PATCH", "/auth").by("alice"), 405),
        (ask("HEAD", "/auth").by("alice"), 405),
        (ask("BREW", "/auth").by("alice"), 405),
        (post("/healthz"), 405),
        (delete("/readyz"), 405),
        (post("/auth").by("alice").body("application/x-www-form-urlencoded", large.clone()), 413),
        (post("/auth").by("alice").body("text/plain", large.clone()), 413),
        (delete("/auth").by("alice").body("application/json", large), 413),
        (post("/auth").by("alice").body("text/plain", "ttl=5000"), 415),
        (post("/auth").by("alice").body("multipart/form-data; boundary=x", "--x--"), 415),
        (post("/auth").by("alice").body("application/json+x", "{}"), 415),
        (post("/auth").by("alice").body("", "{}"), 415),
        (encoded, 415),
        (get(&long).by("alice"), 431),
        (get("/auth").by("alice").header("cookie", "x".repeat(33 * 1024)), 431),
        ((0..101).fold(get("/auth"), |ask, n| ask.header(&format!("x-{n}"), "1")), 431),
    ] {
        is_answered(&server, &ask, status, u64::from(status) * 100, "");
    }
    let allowed = |ask: Ask| server.send(ask).header("allow").map(str::to_owned);
    assert_eq!(allowed(ask("PUT", "/auth")).as_deref(), Some("GET, POST, DELETE, OPTIONS"));
    assert_eq!(allowed(post("/healthz")).as_deref(), Some("GET, HEAD"));

    // just within
    let full = post("/auth").by("alice").body("application/x-www-form-urlencoded", "x".repeat(64 * 1024));
    assert_eq!(server.send(full).status, 200);
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(server.send(post("/auth").by("alice").body(content_type, "{}")).status, 200);
    }
    assert_eq!(server.send(post("/auth").by("alice")).status, 200);
    assert_eq!(server.send(post("/auth").by("alice").body("text/plain", "")).status, 200);
}

#[test]
fn who_is_believed_blindly_must_be_local_in_an_application_of_ones_own_too() {
    let server = Server::made(Check::saying(Verdict::Grant).closure(), accrue::Claimed, |issuer| issuer);
    let ask = get("/auth").with("clientId", "alice").wishing(r#"{"chat:1":["subscribe"]}"#);
    is_answered(&server, &ask.header("host", "accrue.example.com"), 421, 42100, "localhost");
}

#[test]
fn who_is_believed_blindly_must_be_local() {
    let server = Server::configured(CLAIMED, &[]);
    let local = || get("/auth").with("clientId", "alice").header("host", "localhost:8080");
    let at = |host: &str| get("/auth").with("clientId", "alice").header("host", host);
    for ask in [
        get("/auth").with("clientId", "alice"),
        at("accrue.example.com"),
        at("localhost.example.com"),
        at("127.0.0.2"),
        at("localhost:evil"),
        at("localhost:"),
        at("127.0.0.1.nip.io:8080"),
        at("[::2]:8080"),
        at("localhost").header("host", "accrue.example.com"),
        local().header("forwarded", "for=192.0.2.1"),
        local().header("via", "1.1 proxy"),
        local().header("x-forwarded-for", "192.0.2.1"),
        local().header("x-forwarded-anything", ""),
        local().header("x-real-ip", "192.0.2.1"),
        get("/healthz").header("host", "accrue.example.com"),
        get("/").header("host", "accrue.example.com"),
    ] {
        is_answered(&server, &ask, 421, 42100, "localhost");
    }
    for host in
        ["localhost", "LOCALHOST:80", "localhost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:9"]
    {
        assert_eq!(server.send(at(host)).token()["clientId"], "alice", "{host}");
    }
    // whoever authenticates in earnest may stand behind a proxy
    let server = Server::configured(BY_HEADER, &[]);
    let proxied = get("/auth").by("alice").headers(&[("host", "accrue.example.com"), ("via", "1.1 proxy")]);
    assert_eq!(server.send(proxied.header("x-forwarded-for", "192.0.2.1")).status, 200);
}

#[test]
fn what_does_not_answer_is_503_where_there_is_nothing_to_fall_back_on() {
    let check = Check::saying(Verdict::Down);
    let down = Server::checked_by(&check);
    let answer = is_answered(&down, &wish(), 503, 50003, "again");
    assert_eq!(answer.header("accrue-refused"), Some(r#"{"unavailable":{"chat:1":["subscribe"]}}"#));

    // nothing is pending, so nothing is asked: refused, not unavailable
    check.asked();
    is_answered(&down, &get("/auth").by("alice"), 401, 40160, "[given]");
    assert_eq!(check.asked(), [""; 0]);

    let away = |_: Caller| async { Err::<Client, _>(Unauthenticated::Unavailable("no sessions".into())) };
    let grant = Check::saying(Verdict::Grant);
    let server = Server::made(grant.closure(), away, |issuer| issuer);
    is_answered(&server, &wish(), 503, 50003, "");
    is_answered(&server, &delete("/auth").wishing("{}"), 503, 50003, "");
}

#[test]
fn overload_is_503_too() {
    let server = Server::configured(BY_HEADER, &[]);
    let request: Request<Full<Bytes>> = wish().header("origin", LISTED).header("x-request-id", "kept").into();
    let (head, body) = server.service.overloaded(&request.into_parts().0).into_parts();
    let body = block_on(body.collect()).unwrap().to_bytes();
    let answer = Answer { status: head.status, headers: head.headers, body };
    assert_eq!(answer.status_and_code(), (503, 50003));
    answer.has_the_usual_headers();
    answer.allows_only(Some(LISTED));
    assert_eq!(answer.header("x-request-id"), Some("kept"));
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
}

#[test]
fn an_authenticated_id_that_can_be_no_client_id_is_refused() {
    let starred = |_: Caller| async { Ok(Client::new(ClientId::try_from("*")?)) };
    let grant = Check::saying(Verdict::Grant);
    let server = Server::made(grant.closure(), starred, |issuer| issuer);
    is_answered(&server, &wish(), 400, 40012, "clientId");
    assert_eq!(grant.asked(), [""; 0]);
}

#[test]
fn messages_in_headers_are_printable_ascii() {
    let server = Server::configured(BY_HEADER, &[]);
    for name in ["café", "a\nb", "😀", "\u{2028}", &"é".repeat(3000)] {
        let wish = serde_json::json!({ name: ["no such thing"] }).to_string();
        let ask = post("/auth").by("alice").form(&[("capability", &wish)]);
        let answer = is_answered(&server, &ask, 400, 40000, "resource");
        assert!(answer.header("x-ably-errormessage").unwrap().len() < 8 * 1024);
    }
}

#[test]
fn causes_stay_with_the_operator() {
    let secretive =
        |_: Caller| async { Err::<Client, _>(Unauthenticated::Refused("the token of alice expired".into())) };
    let grant = Check::saying(Verdict::Grant);
    let server = Server::made(grant.closure(), secretive, |issuer| issuer);
    let (answer, outcome) = server.send_and_tell(wish());
    assert!(!format!("{answer:?}").contains("expired"));
    assert_eq!(outcome.cause.as_deref(), Some("the token of alice expired"));
}
