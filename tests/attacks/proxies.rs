//! What stands in front: a proxy's headers that clients send themselves, and names of hosts that lead here.

use std::fmt::Write as _;

use crate::process;
use crate::service::*;

/// Who is believed to be calling, or nobody.
#[track_caller]
fn believed(server: &Server, ask: Ask) -> Option<String> {
    let answer = server.send(ask);
    match answer.status_and_code() {
        (200, _) => Some(answer.token()["clientId"].as_str().unwrap().to_owned()),
        (401, 40100 | 40102) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_identity_header_beside_the_proxys_own() {
    let server = Server::configured(BY_HEADER, &[]);
    let by = |headers: &[(&str, &str)]| believed(&server, get("/auth").headers(headers));
    let (id, secret) = ("x-client-id", "x-proxy-secret");
    assert_eq!(by(&[(id, "alice"), (secret, PROXY_SECRET)]).as_deref(), Some("alice"));
    assert_eq!(by(&[("X-CLIENT-ID", "alice"), ("X-Proxy-Secret", PROXY_SECRET)]).as_deref(), Some("alice"));
    for headers in [
        // before or after the proxy's, alike or not, in any case
        &[(id, "mallory"), (id, "alice"), (secret, PROXY_SECRET)][..],
        &[(id, "alice"), (id, "mallory"), (secret, PROXY_SECRET)],
        &[(id, "alice"), (id, "alice"), (secret, PROXY_SECRET)],
        &[(id, "alice"), ("X-Client-Id", "alice"), (secret, PROXY_SECRET)],
        &[(id, ""), (id, "alice"), (secret, PROXY_SECRET)],
        &[(id, "alice"), (secret, PROXY_SECRET), (secret, PROXY_SECRET)],
        &[(id, "alice"), (secret, "guess"), (secret, PROXY_SECRET)],
        &[(id, "alice"), (secret, PROXY_SECRET), (secret, "")],
        // without the secret, or with something like it
        &[(id, "alice")],
        &[(id, "alice"), (secret, "")],
        &[(id, "alice"), (secret, "known to the proxy")],
        &[(id, "alice"), (secret, "known to the proxy only ")],
        &[(id, "alice"), (secret, "Known to the proxy only")],
        &[(id, "alice"), (secret, "known to the proxy only, known to the proxy only")],
        &[(id, "alice"), ("authorization", "Bearer known to the proxy only")],
        &[(id, "alice"), ("cookie", "x-proxy-secret=known to the proxy only")],
        &[(id, "alice"), ("x_proxy_secret", PROXY_SECRET)],
        &[(id, "alice"), ("xproxysecret", PROXY_SECRET)],
        // without the id, or with something like it
        &[(secret, PROXY_SECRET)],
        &[(id, ""), (secret, PROXY_SECRET)],
        &[("x_client_id", "alice"), (secret, PROXY_SECRET)],
        &[("x-client_id", "alice"), (secret, PROXY_SECRET)],
        &[("x-clientid", "alice"), (secret, PROXY_SECRET)],
        &[
            ("x-user", "alice"),
            ("x-forwarded-user", "alice"),
            ("remote-user", "alice"),
            (secret, PROXY_SECRET),
        ],
    ] {
        assert_eq!(by(headers), None, "{headers:?}");
    }
    // a list is one name, and nobody's: neither its first nor its last
    for list in ["mallory,alice", "mallory, alice", "alice,", "alice;x", "alice\talice"] {
        let ask = get("/auth").header(id, list).header(secret, PROXY_SECRET);
        let (answer, _) = server.send_and_tell(ask);
        let who = if answer.status == 200 {
            answer.token()["clientId"].as_str().unwrap().to_owned()
        } else {
            String::new()
        };
        assert_ne!(who, "alice", "{list:?}");
    }
    // parameters name nobody else
    let named = get("/auth").by("mallory").with("clientId", "alice");
    assert_eq!(believed(&server, named), None);
    let named = post("/auth").by("mallory").json(&serde_json::json!({ "client_id": "alice" }));
    assert_eq!(believed(&server, named), None);
    let parameter = get("/auth").with("x-client-id", "alice").with("x-proxy-secret", PROXY_SECRET);
    assert_eq!(believed(&server, parameter), None);
}

/// Whether a page is the service's own follows from `Host`, which a page can't choose; not from what proxies add.
#[test]
fn a_forwarded_host_makes_no_page_our_own() {
    let server = Server::configured(BY_HEADER, &[]);
    for header in [
        "x-forwarded-host",
        "x-original-host",
        "x-host",
        "x-forwarded-server",
        "x-rewrite-url",
        "x-original-url",
    ] {
        let ask =
            get("/auth").by("alice").header("host", "accrue.example.com").header(header, "evil.example");
        let answer = server.send(ask.header("origin", "https://evil.example"));
        assert_eq!(answer.status_and_code(), (403, 40300), "{header}");
    }
    let forwarded = get("/auth").by("alice").header("host", "accrue.example.com");
    let forwarded =
        forwarded.header("forwarded", "host=evil.example").header("origin", "https://evil.example");
    assert_eq!(server.send(forwarded).status_and_code(), (403, 40300));
    // nor do other headers reach another route or method
    let ask = ask("HEAD", "/auth").by("alice").header("x-http-method-override", "POST");
    assert_eq!(server.send(ask).status_and_code(), (405, 40500));
    for path in [
        "/auth/",
        "//auth",
        "/Auth",
        "/auth;x",
        "/auth%2f",
        "/%61uth",
        "/./auth",
        "/healthz/../auth",
        "/auth/../auth",
    ] {
        assert_eq!(server.send(get(path).by("alice")).status_and_code(), (404, 40400), "{path}");
    }
}

/// What believes anybody answers to this machine's own names only, whichever way a request says whom it is for. (A proxy
/// that sends `Host: 127.0.0.1` and adds no header of its own, as nginx does unless told otherwise, can't be told from
/// a neighbour on this machine.)
#[test]
fn a_name_that_was_made_to_lead_here() {
    let config = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(
        &config,
        "[authenticate.claimed]\n[given]\nlobby = [\"subscribe\"]\n[permission.rules]\nx = [\"*\"]\n",
    )
    .unwrap();
    let path = config.path().to_str().unwrap();
    let variables = [("ABLY_API_KEY", "app.key:an-ably-key-secret"), ("ACCRUE_SECRETS", K1)];
    let serve = process::Server::start(&["serve", "--config", path, "--listen", "127.0.0.1:0"], &variables);
    let demo = process::Server::start(&["demo", "--listen", "127.0.0.1:0"], &[]);
    for server in [&serve, &demo] {
        let port = server.address.port();
        let status = |target: &str, hosts: &[&str]| {
            let mut request = format!("GET {target} HTTP/1.1\r\nConnection: close\r\n");
            for host in hosts {
                let _ = write!(request, "Host: {host}\r\n");
            }
            server.raw(format!("{request}\r\n").as_bytes()).status
        };
        let auth = "/auth?clientId=alice";
        for good in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"] {
            assert_eq!(status(auth, &[good]), 200, "{good}");
            assert_eq!(status(auth, &[&format!("{good}:{port}")]), 200, "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "localhost.",
            "evil.localhost",
            "127.0.0.1.nip.io",
            "127.1",
            "127.0.0.2",
            "0177.0.0.1",
            "2130706433",
            "0x7f000001",
            "0.0.0.0",
            "::1",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[0:0:0:0:0:0:0:1]",
            "localhost:80:80",
            "localhost, evil.example",
            "localhost@evil.example",
            "evil.example#localhost",
            "localhost/evil.example",
            "",
        ] {
            let answered = status(auth, &[bad]);
            assert!(answered == 421 || answered == 400, "{bad:?}: {answered}");
        }
        for hosts in [
            &[][..],
            &["localhost", "localhost"],
            &["localhost", "evil.example"],
            &["evil.example", "localhost"],
        ] {
            let answered = status(auth, hosts);
            assert!(answered == 421 || answered == 400, "{hosts:?}: {answered}");
        }
        // an absolute target beats Host, RFC 9112, section 3.2.2
        for (target, host, expected) in [
            ("http://evil.example/auth?clientId=alice", "localhost", 421),
            ("http://localhost@evil.example/auth?clientId=alice", "localhost", 421),
            ("http://evil.example:80/", "127.0.0.1", 421),
            ("http://localhost/auth?clientId=alice", "localhost", 200),
        ] {
            assert_eq!(status(target, &[host]), expected, "{target}");
        }
        for path in ["/", "/healthz", "/readyz", "/nowhere"] {
            assert_eq!(status(path, &["evil.example"]), 421, "{path}");
        }
    }
}
