//! The binary as an operator meets it.

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;

use std::collections::HashSet;
use std::fs;
use std::net::TcpListener;

use accrue::SealingSecret;
use accrue::ably::UntrustedTokenRequest;
use process::{Process, Server, accrue, run, run_with_input};
use serde_json::Value;

/// A file that is gone when the test is over.
fn file(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file can be made");
    fs::write(&file, content).expect("and written");
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().expect("a path of UTF-8")
}

const BY_PROXY: [(&str, &str); 2] = [("x-client-id", "alice"), ("x-proxy-secret", PROXY_SECRET)];

#[test]
fn the_demo_needs_no_environment() {
    let demo = Server::start(&["demo", "--listen", "127.0.0.1:0"], &[]);
    let stderr = demo.process.stderr_with("open http://localhost:");
    assert!(stderr.contains(&format!("http://localhost:{}/", demo.address.port())), "{stderr}");
    assert_eq!(demo.process.stdout(), format!("listening on http://{}\n", demo.address));

    let wish = "capability=%7B%22chat%3A1%22%3A%5B%22subscribe%22%5D%7D";
    let answer = demo.request(&format!("GET /auth?clientId=alice&{wish}"), &[], "");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["clientId"], "alice");
    assert_eq!(answer.json()["capability"], r#"{"chat:1":["subscribe"],"inbox:alice":["subscribe"]}"#);
    let cookie = answer.header("set-cookie").expect("a grant to keep");
    assert!(cookie.starts_with("accrue."), "no __Host- over plain http: {cookie}");
    assert!(!cookie.contains("Secure"), "{cookie}");
    demo.request("GET /auth", &[], "").assert_error(401, 40100);
}

#[test]
fn the_demos_page_has_a_nonce_of_its_own_each_time() {
    let demo = Server::start(&["demo", "--listen", "localhost:0"], &[]);
    let mut nonces = HashSet::new();
    for host in ["localhost", "127.0.0.1", "[::1]", "localhost:1234"] {
        let page = demo.request("GET /", &[("Host", host)], "");
        assert_eq!(page.status, 200, "{host}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        page.assert_usual();
        let policy = page.header("content-security-policy").expect("a policy");
        let (_, nonce) = policy.split_once("script-src 'nonce-").expect("with a nonce");
        let nonce = nonce.split('\'').next().unwrap_or_default();
        assert!(nonce.len() >= 16, "{policy}");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("ably"), "{policy}");
        assert!(page.body.contains(&format!("<script nonce=\"{nonce}\">")), "the script has the same");
        assert!(!page.body.contains("{nonce}") && !page.body.contains("{with_ably}"));
        assert!(nonces.insert(nonce.to_owned()), "{nonce} came twice");
    }
}

#[test]
fn the_demo_answers_to_localhost_only_and_never_behind_a_proxy() {
    let demo = Server::start(&["demo", "--listen", "127.0.0.1:0"], &[]);
    for headers in [
        [("Host", "evil.example.com"), ("Accept", "*/*")],
        [("Host", "localhost.evil.example.com"), ("Accept", "*/*")],
        [("Host", "localhost"), ("X-Forwarded-For", "1.2.3.4")],
        [("Host", "localhost"), ("X-Forwarded-Proto", "https")],
        [("Host", "localhost"), ("Forwarded", "for=1.2.3.4")],
        [("Host", "localhost"), ("Via", "1.1 proxy")],
        [("Host", "localhost"), ("X-Real-IP", "1.2.3.4")],
    ] {
        for path in ["/", "/auth?clientId=alice", "/healthz", "/nowhere"] {
            demo.request(&format!("GET {path}"), &headers, "").assert_error(421, 42100);
        }
    }
}

#[test]
fn the_demo_with_a_real_key_stays_on_loopback() {
    let key = [("ABLY_API_KEY", ABLY_KEY)];
    for (arguments, variables, words) in [
        (&["demo", "--listen", "0.0.0.0:0", "--with-ably"][..], &key[..], "loopback"),
        (&["demo", "--listen", "127.0.0.1:0", "--with-ably"], &[], "set ABLY_API_KEY"),
        (&["demo", "--listen", "127.0.0.1:0", "--with-ably"], &[("ABLY_API_KEY", "")], "set ABLY_API_KEY"),
        (
            &["demo", "--listen", "127.0.0.1:0", "--with-ably"],
            &[("ABLY_API_KEY", "nonsense")],
            "appId.keyId:secret",
        ),
        (&["demo", "--listen", "everywhere"], &[], "ADDRESS:PORT"),
    ] {
        let ended = run(arguments, variables);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(words), "{arguments:?}: {ended:?}");
    }
    let demo = Server::start(&["demo", "--listen", "127.0.0.1:0", "--with-ably"], &key);
    let answer = demo.request("GET /auth?clientId=alice", &[], "");
    assert_eq!(answer.json()["keyName"], "app.key");
    let page = demo.request("GET /", &[], "");
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("wss://*.ably.net")));
    assert!(!page.body.contains("an-ably-key-secret-of-some-length"));
}

#[test]
fn serve_takes_a_file_and_the_environment_or_the_environment_alone() {
    let config = file(CONFIG);
    let by_file = Server::start(&["serve", "--config", path(&config), "--listen", "127.0.0.1:0"], &KEYS);

    let rules = file(RULES);
    let mut environment = KEYS.to_vec();
    environment.extend([
        ("ACCRUE_LISTEN", "127.0.0.1:0"),
        ("ACCRUE_AUTHENTICATE__HEADER__PROXY_SECRET", PROXY_SECRET),
    ]);
    let by_environment = Server::start(&["serve", "--config", path(&rules)], &environment);

    for server in [&by_file, &by_environment] {
        let body = r#"{"capability":{"chat:1":["subscribe"]}}"#;
        let headers = [BY_PROXY[0], BY_PROXY[1], ("Content-Type", "application/json")];
        let answer = server.request("POST /auth", &headers, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.assert_usual();
        let request = UntrustedTokenRequest::from_json(answer.json()).expect("a TokenRequest");
        assert!(request.verify(&accrue::ably::ApiKey::parse(ABLY_KEY).expect("well-formed")));
        let cookie = answer.header("set-cookie").expect("a grant to keep");
        assert!(cookie.starts_with("__Host-accrue.") && cookie.contains("Secure"), "{cookie}");
        server.request("GET /auth", &[], "").assert_error(401, 40100);
        server.request("GET /", &[], "").assert_error(404, 40400);
        for path in ["/healthz", "/readyz"] {
            let answer = server.request(&format!("GET {path}"), &[], "");
            assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
        }
    }

    // without any file there can be no rules, so nobody has more than nothing
    let ended = run(&["serve"], &environment);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
    assert!(ended.stderr.contains("there is no permission check"), "{ended:?}");
}

#[test]
fn port_alone_listens_on_every_address() {
    let config = file(CONFIG);
    let mut environment = KEYS.to_vec();
    environment.push(("PORT", "0"));
    let server = Server::start(&["serve", "--config", path(&config)], &environment);
    assert!(server.address.ip().is_unspecified() && server.address.port() != 0, "{}", server.address);
}

#[test]
fn serve_and_check_refuse_what_is_insecure_and_say_what_to_write() {
    let all_keys = KEYS.as_slice();
    for (text, variables, words) in [
        (
            CONFIG,
            &[][..],
            &["no Ably key: set ABLY_API_KEY", "no sealing secret", "2 problems in the configuration"][..],
        ),
        (
            CONFIG,
            &[
                ("ABLY_API_KEY", ABLY_KEY),
                ("ACCRUE_SECRETS", "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            ],
            &["ACCRUE_SECRETS: ", "one repeated byte"],
        ),
        (
            "listen = \"0.0.0.0:0\"\n[authenticate.claimed]\n[permission.rules]\na = [\"*\"]",
            all_keys,
            &[".toml:2:1: ", "loopback"],
        ),
        (
            "listen = \"0.0.0.0:0\"\ncookie.secure = false\n[authenticate.header]\nproxy_secret = \"some-secret-of-the-proxy\"\n[permission.rules]\na = [\"*\"]",
            all_keys,
            &[".toml:2:17: ", "in the clear"],
        ),
        (
            "[authenticate.claimed]\n[permission.rules]\na = [\"*\"]\n[tokn]",
            all_keys,
            &[".toml:4:2: unknown key \"tokn\"", "token"],
        ),
        (
            "[authenticate.claimed]\n[permission.rules]\na = [\"teleport\"]",
            all_keys,
            &[".toml:3:1: ", "unknown operation \"teleport\""],
        ),
        (
            "origins = [\"*\"]\n[authenticate.claimed]\n[permission.rules]\na = [\"*\"]",
            all_keys,
            &[".toml:1:11: ", "lower-case scheme://host"],
        ),
        (
            "log = \"a=b=c\"\n[authenticate.claimed]\n[permission.rules]\na = [\"*\"]",
            all_keys,
            &["log", "\"info\""],
        ),
        (
            "log = \"inof\"\n[authenticate.claimed]\n[permission.rules]\na = [\"*\"]",
            all_keys,
            &["\"inof\" is no level", "warn,audit=info"],
        ),
        (
            "log = \"\"\n[authenticate.claimed]\n[permission.rules]\na = [\"*\"]",
            all_keys,
            &["an empty filter would drop everything"],
        ),
        ("listen = ", all_keys, &[".toml:1:10: "]),
    ] {
        let config = file(text);
        for command in ["serve", "check"] {
            let ended = run(&[command, "--config", path(&config)], variables);
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{command} {text}: {ended:?}");
            assert!(ended.stderr.starts_with("accrue: "), "{command}: {ended:?}");
            for words in words {
                assert!(ended.stderr.contains(words), "{command}: {words:?} is not in {ended:?}");
            }
        }
    }
    for command in ["serve", "check", "inspect"] {
        let mut arguments = vec![command, "--config", "/nowhere/accrue.toml"];
        if command == "inspect" {
            arguments.push("x");
        }
        let ended = run(&arguments, &KEYS);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
        assert!(ended.stderr.contains("can't read /nowhere/accrue.toml: No such file"), "{ended:?}");
    }
    let config = file(CONFIG);
    for command in ["serve", "check"] {
        let ended = run(&[command, "--config", path(&config), "--listen", "here"], &KEYS);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("--listen: ") && ended.stderr.contains("ADDRESS:PORT"), "{ended:?}");
    }
}

#[test]
fn check_prints_what_the_configuration_amounts_to_without_secrets() {
    let config = file(CONFIG);
    let mut environment = KEYS.to_vec();
    environment.push(("ACCRUE_TOKEN_FORMAT", "jwt"));
    let ended = run(&["check", "--config", path(&config), "--listen", "127.0.0.1:1"], &environment);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    for line in [
        "listen          127.0.0.1:1\n",
        "ably key        app.key (secret redacted), may do {\"*\":[\"*\"]}\n",
        "grant           secrets k1 (the first seals, all verify), recheck_after 8h\n",
        "authenticate    header: x-client-id, with the proxy's secret in x-proxy-secret\n",
        "origins         the service's own, https://app.example.com\n",
        "may be asked    \"chat:*\" = [\"publish\", \"subscribe\"]\n",
        "note: nothing is given",
        "note: a permission that is withdrawn is gone from every token after 9h",
        "note: ACCRUE_TOKEN_FORMAT is not read; did you mean ACCRUE_TOKEN__FORMAT?\n",
    ] {
        assert!(ended.stdout.contains(line), "{line:?} is not in {}", ended.stdout);
    }
    for secret in SECRETS {
        assert!(!ended.stdout.contains(secret), "{secret} is in {}", ended.stdout);
    }
}

#[test]
fn keygen_makes_a_fresh_secret_each_time() {
    let mut seen = HashSet::new();
    for (arguments, kid) in [
        (&["keygen"][..], "k1"),
        (&["keygen"], "k1"),
        (&["keygen", "--kid", "2026-11"], "2026-11"),
        (&["keygen", "--kid=abcdefghijklmnop"], "abcdefghijklmnop"),
    ] {
        let ended = run(arguments, &[]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        let text = ended.stdout.strip_suffix('\n').expect("a line");
        let secret = SealingSecret::parse(text).expect("as ACCRUE_SECRETS takes it");
        assert_eq!(secret.kid(), kid);
        let (_, encoded) = text.split_once(':').expect("KID:BASE64URL");
        assert_eq!(encoded.len(), 43, "32 bytes");
        assert!(seen.insert(encoded.to_owned()), "{encoded} came twice");
    }
    for kid in ["", "a.b", "a:b", "abcdefghijklmnopq", "a b", "ü"] {
        let ended = run(&["keygen", "--kid", kid], &[]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{kid:?}: {ended:?}");
        assert!(ended.stderr.contains("--kid"), "{ended:?}");
    }
    // what it prints is good enough for serve
    let fresh = run(&["keygen"], &[]).stdout;
    let config = file(CONFIG);
    let ended = run(
        &["check", "--config", path(&config)],
        &[("ABLY_API_KEY", ABLY_KEY), ("ACCRUE_SECRETS", fresh.trim())],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// The known answers of an independent implementation.
fn vector(file: &str, at: usize) -> Value {
    let text = fs::read_to_string(format!("tests/data/{file}")).expect("it is there");
    serde_json::from_str::<Value>(&text).expect("JSON")["vectors"][at].take()
}

#[test]
fn inspect_explains_a_sealed_grant() {
    let vector = vector("sealed-grant.json", 0);
    let grant = vector["grant"].as_str().expect("a text");
    let (kid, secret) = (vector["kid"].as_str().expect("a text"), vector["secret"].as_str().expect("a text"));
    let config = file(&format!("[ably]\nkey = \"app.key:s\"\n[grant]\nsecrets = [\"{kid}:{secret}\"]\n"));
    let with_config = ["inspect", "--config", path(&config)];
    let sealing = format!("{kid}:{secret}");
    let other = "k2:9N-Kss1OA-bMR2o_EkVBMBy-ZwMRahloWcfa9Uh8ydQ";
    let rotated = format!("{other},{sealing}");

    let cookie = format!("__Host-accrue.CLmCkXlb={grant}");
    let whole_cookie = format!("{cookie}; Path=/; HttpOnly; Secure; SameSite=Strict; Max-Age=57600");
    let changed = format!("{}A", &grant[..grant.len() - 1]);
    let other_app = [("ABLY_API_KEY", "ppa.key:s"), ("ACCRUE_SECRETS", sealing.as_str())];
    let retired = [("ABLY_API_KEY", "app.key:s"), ("ACCRUE_SECRETS", other)];
    let verifying = [("ABLY_API_KEY", "app.other:x"), ("ACCRUE_SECRETS", rotated.as_str())];
    let no_secret = [("ABLY_API_KEY", "app.key:s")];
    let file_then = |rest: &[&'static str]| [&with_config[..], rest].concat();

    for (text, arguments, variables, code, verdict) in [
        (
            grant,
            file_then(&["--client-id", "alice"]),
            &[][..],
            0,
            "yes, for \"alice\"; sealed with k1, which seals now",
        ),
        (&cookie, file_then(&["--client-id", "alice"]), &[], 0, "yes, for \"alice\""),
        (&whole_cookie, file_then(&["--client-id", "alice"]), &[], 0, "yes, for \"alice\""),
        (grant, vec!["inspect", "--client-id", "alice"], &verifying, 0, "which does not seal any more"),
        (grant, file_then(&["--client-id", "bob"]), &[], 1, "no, for \"bob\": digest does not verify"),
        (&changed, file_then(&["--client-id", "alice"]), &[], 1, "no, for \"alice\": digest does not verify"),
        (grant, file_then(&[]), &[], 1, "pass --client-id"),
        (grant, vec!["inspect", "--client-id", "alice"], &[], 1, "no secrets to verify with"),
        (grant, vec!["inspect", "--client-id", "alice"], &no_secret, 1, "no secrets to verify with"),
        (grant, vec!["inspect", "--client-id", "alice"], &other_app, 1, "digest does not verify"),
        (grant, vec!["inspect", "--client-id", "alice"], &retired, 1, "unknown kid"),
    ] {
        let by_argument = run(&[&arguments[..], &[text]].concat(), variables);
        let by_input = run_with_input(&[&arguments[..], &["-"]].concat(), variables, &format!("{text}\n"));
        assert_eq!(by_argument.stdout.lines().count(), by_input.stdout.lines().count());
        for ended in [by_argument, by_input] {
            assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
            assert!(
                ended.stdout.starts_with(
                    "sealed grant\nkid           k1\nsince         1700000100 (2023-11-14T22:15:00Z, "
                ),
                "{ended:?}"
            );
            assert!(ended.stdout.contains("capability    {\"chat:1\":[\"subscribe\"]}\n"), "{ended:?}");
            let last = ended.stdout.lines().last().expect("a verdict");
            assert!(last.starts_with("verifies      ") && last.contains(verdict), "{last}");
            assert!(!ended.stdout.contains(secret), "{ended:?}");
        }
    }
}

#[test]
fn inspect_explains_what_serve_has_signed() {
    let config = file(CONFIG);
    for (format, title) in [("request", "TokenRequest"), ("jwt", "TokenDetails around a token:\nJWT")] {
        let mut environment = KEYS.to_vec();
        environment.extend([("ACCRUE_LISTEN", "127.0.0.1:0"), ("ACCRUE_TOKEN__FORMAT", format)]);
        let server = Server::start(&["serve", "--config", path(&config)], &environment);
        let wish = "capability=%7B%22chat%3A1%22%3A%5B%22subscribe%22%5D%7D";
        let answer = server.request(&format!("GET /auth?{wish}"), &BY_PROXY, "");
        assert_eq!(answer.status, 200, "{answer:?}");
        let grant = answer.header("set-cookie").expect("a grant");
        let token = answer.json()["token"].as_str().unwrap_or(&answer.body).to_owned();
        let other_key = [("ABLY_API_KEY", "app.key:another-secret")];

        for (text, arguments, variables, code, words) in [
            (grant, &["--client-id", "alice"][..], &KEYS[..], 0, "fresh"),
            (&answer.body, &[], &KEYS, 0, "yes, signed with app.key"),
            (&answer.body, &["--client-id", "alice"], &KEYS, 0, title),
            (&token, &[], &KEYS, 0, "clientId      alice"),
            (&token, &[], &KEYS, 0, "capability    {\"chat:1\":[\"subscribe\"]}"),
            (&answer.body, &["--client-id", "bob"], &KEYS, 1, "no: it is not for \"bob\""),
            (&answer.body, &[], &other_key, 1, "no"),
            (&answer.body, &[], &[], 1, "no key to verify with"),
        ] {
            let ended = run_with_input(&[&["inspect", "-"], arguments].concat(), variables, text);
            assert_eq!(ended.code, Some(code), "{format} {arguments:?}: {ended:?}");
            assert!(ended.stdout.contains(words), "{format} {arguments:?}: {ended:?}");
            for secret in SECRETS {
                assert!(!ended.stdout.contains(secret), "{ended:?}");
            }
        }
    }
}

#[test]
fn inspect_explains_known_answers() {
    for at in 0..3 {
        let vector = vector("token-request.json", at);
        let key = vector["key"].as_str().expect("a text");
        let ended = run(&["inspect", &vector["tokenRequest"].to_string()], &[("ABLY_API_KEY", key)]);
        assert_eq!(ended.code, Some(0), "{vector}: {ended:?}");
        assert!(ended.stdout.starts_with("TokenRequest\n"), "{ended:?}");
        assert!(ended.stdout.contains("too far from now to be exchanged"), "{ended:?}");
        let mut changed = vector["tokenRequest"].clone();
        changed["clientId"] = "mallory".into();
        let ended = run(&["inspect", &changed.to_string()], &[("ABLY_API_KEY", key)]);
        assert_eq!(ended.code, Some(1), "{changed}: {ended:?}");
    }
    let header = jsonwebtoken::Header { kid: Some("app.key".to_owned()), ..Default::default() };
    let claims = serde_json::json!({ "iat": 1_700_000_000, "exp": 1_700_003_600 });
    let secret = jsonwebtoken::EncodingKey::from_secret(b"an-ably-key-secret-of-some-length");
    let token = jsonwebtoken::encode(&header, &claims, &secret).expect("it can be signed");
    let ended = run(&["inspect", &token], &[("ABLY_API_KEY", ABLY_KEY)]);
    assert!(ended.stdout.starts_with("JWT\nheader        {"), "{ended:?}");
    assert!(ended.stdout.contains("exp           1700003600 (2023-11-14T23:13:20Z, "), "{ended:?}");
    assert!(ended.stdout.contains("signed with app.key, but it has expired"), "{ended:?}");
}

#[test]
fn inspect_says_no_of_what_was_cut_or_changed_beyond_recognition() {
    let vector = vector("sealed-grant.json", 0);
    let grant = vector["grant"].as_str().expect("a text");
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjF9.AAAA";
    let but_the_last = |text: &str| text[..text.len() - 1].to_owned();
    for (text, kind) in [
        (format!("{}!", but_the_last(grant)), "sealed grant"),
        (but_the_last(grant), "sealed grant"),
        (format!("{grant}A"), "sealed grant"),
        (format!("{grant}="), "sealed grant"),
        (format!("accrue.CLmCkXlb={}", but_the_last(grant)), "sealed grant"),
        (grant.replacen("1j.", "2j.", 1), "sealed grant"),
        (grant.replacen(".17", ".017", 1), "sealed grant"),
        (format!("{jwt}!"), "JWT"),
        (jwt.replacen(".eyJ", ".!yJ", 1), "JWT"),
    ] {
        let ended = run(&["inspect", &text], &[]);
        let expected = format!("{kind}\nverifies      no: malformed; ");
        assert_eq!((ended.code, ended.stdout.starts_with(&expected)), (Some(1), true), "{text:?}: {ended:?}");
    }
}

#[test]
fn inspect_refuses_what_is_nothing_it_knows() {
    for (text, words) in [
        ("garbage", "neither a sealed grant"),
        ("", "neither a sealed grant"),
        ("a.b.c", "neither a sealed grant"),
        ("1j.k1.1700000100.e30", "neither a sealed grant"),
        ("{", "not valid JSON"),
        ("{}", "neither a TokenRequest"),
        ("[]", "neither a sealed grant"),
        ("{\"token\":\"x\"}", "neither a sealed grant"),
    ] {
        let ended = run(&["inspect", text], &[]);
        assert_eq!((ended.code, ended.stderr.contains(words)), (Some(2), true), "{text:?}: {ended:?}");
    }
    let ended = run(&["inspect", "x", "--client-id", "a*"], &[]);
    assert_eq!((ended.code, ended.stderr.contains("--client-id: ")), (Some(2), true), "{ended:?}");
}

#[test]
fn every_command_has_help_and_bad_usage_is_2() {
    for (arguments, words) in [
        (&["--help"][..], &["demo", "serve", "check", "keygen", "inspect", "Exit status"][..]),
        (&["help"], &["demo"]),
        (&["demo", "--help"], &["--listen", "127.0.0.1:8080", "--with-ably", "localhost only"]),
        (
            &["serve", "--help"],
            &["--config", "--listen", "ABLY_API_KEY", "ACCRUE_SECRETS", "_FILE", "ACCRUE_TOKEN__FORMAT"],
        ),
        (&["check", "--help"], &["--config", "--listen", "redacted"]),
        (&["keygen", "--help"], &["--kid", "k1"]),
        (&["inspect", "--help"], &["--client-id", "--config", "standard input", "Exit status 1"]),
        (&["--version"], &["accrue "]),
    ] {
        let ended = run(arguments, &[]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}: {ended:?}");
        for words in words {
            assert!(ended.stdout.contains(words), "{arguments:?}: {words:?} is not in {}", ended.stdout);
        }
    }
    for arguments in [
        &[][..],
        &["seve"],
        &["serve", "--port", "1"],
        &["serve", "--config"],
        &["demo", "extra"],
        &["inspect"],
        &["inspect", "a", "b"],
        &["keygen", "--kid"],
    ] {
        let ended = run(arguments, &KEYS);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains("--help"), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn sigterm_and_sigint_end_it_with_0() {
    for signal in ["TERM", "INT"] {
        let config = file(CONFIG);
        let server = Server::start(&["serve", "--config", path(&config), "--listen", "127.0.0.1:0"], &KEYS);
        assert_eq!(server.request("GET /healthz", &[], "").status, 200);
        server.process.signal(signal);
        let ended = server.process.end();
        assert_eq!(ended.code, Some(0), "{signal}: {ended:?}");
        assert_eq!(ended.stdout.lines().count(), 1, "{ended:?}");
        assert!(
            ended.stderr.contains(&format!("SIG{signal}")) && ended.stderr.contains("stopped"),
            "{ended:?}"
        );
    }
}

#[test]
fn an_address_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has one").to_string();
    let config = file(CONFIG);
    for arguments in
        [&["serve", "--config", path(&config), "--listen", &address][..], &["demo", "--listen", &address]]
    {
        let ended = run(arguments, &KEYS);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ended:?}");
        let expected = format!("accrue: can't listen on {address}: ");
        assert!(ended.stderr.contains(&expected) && ended.stderr.contains("--listen"), "{ended:?}");
    }
}

/// The lines of a JSON log that are about this.
fn lines_of(stderr: &str, target: &str) -> Vec<Value> {
    stderr
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .filter(|line| line["target"] == target)
        .collect()
}

#[test]
fn a_json_log_has_one_object_a_line_one_line_a_request_and_one_for_what_was_newly_permitted() {
    let config = file(CONFIG);
    let mut environment = KEYS.to_vec();
    environment.push(("ACCRUE_LOG_FORMAT", "json"));
    let server =
        Server::start(&["serve", "--config", path(&config), "--listen", "127.0.0.1:0"], &environment);

    let wish =
        "GET /auth?capability=%7B%22chat%3A1%22%3A%5B%22subscribe%22%5D%2C%22no%22%3A%5B%22publish%22%5D%7D";
    let with_id = |id| [BY_PROXY[0], BY_PROXY[1], ("X-Request-Id", id)];
    let first = server.request(wish, &with_id("first-1"), "");
    assert_eq!((first.status, first.header("x-request-id")), (200, Some("first-1")));
    let cookie =
        first.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a grant").to_owned();
    let headers = [BY_PROXY[0], BY_PROXY[1], ("X-Request-Id", "again-1"), ("Cookie", cookie.as_str())];
    let again = server.request("GET /auth", &headers, "");
    assert_eq!((again.status, again.header("set-cookie")), (200, None), "nothing is new");
    let made_up = server.request("GET /auth", &[("X-Request-Id", "not one!")], "");
    made_up.assert_error(401, 40100);
    let made_up = made_up.header("x-request-id").expect("its own").to_owned();
    assert_ne!(made_up, "not one!");

    server.process.signal("TERM");
    let ended = server.process.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");

    let requests = lines_of(&ended.stderr, "accrue::request");
    let told: Vec<_> = requests
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or_default();
            (
                text("request"),
                text("outcome"),
                text("client"),
                text("method"),
                text("route"),
                line["status"].as_u64(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("first-1", "partial", "alice", "GET", "/auth", Some(200)),
            ("again-1", "granted", "alice", "GET", "/auth", Some(200)),
            (made_up.as_str(), "unauthenticated", "", "GET", "/auth", Some(401)),
        ]
    );
    assert!(
        requests[2]["cause"].as_str().is_some_and(|cause| cause.contains("x-proxy-secret")),
        "{requests:?}"
    );

    let audit = lines_of(&ended.stderr, "audit");
    let [line] = audit.as_slice() else { panic!("not one audit line: {audit:?}") };
    assert_eq!(line["client"], "alice");
    assert_eq!(line["permitted"], r#"{"chat:1":["subscribe"]}"#);
    assert_eq!(line["check"], "rules");
    assert_eq!(line["request"], "first-1");
}

#[test]
fn the_log_names_the_line_to_add_for_a_foreign_origin() {
    let config = file(CONFIG);
    let server = Server::start(&["serve", "--config", path(&config), "--listen", "127.0.0.1:0"], &KEYS);
    let origin = ("Origin", "https://other.example.com:8443");
    let answer = server.request("GET /auth", &[BY_PROXY[0], BY_PROXY[1], origin], "");
    answer.assert_error(403, 40300);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let line = r#"origins = ["https://app.example.com", "https://other.example.com:8443"]"#;
    server.process.stderr_with(line);
}

#[test]
fn the_log_tells_once_for_each_listed_origin_that_its_pages_send_no_cookies() {
    let two =
        CONFIG.replace("https://app.example.com", "https://app.example.com\", \"https://two.example.com");
    let config = file(&two);
    let server = Server::start(&["serve", "--config", path(&config), "--listen", "127.0.0.1:0"], &KEYS);
    let ask = |origin, cookie: &[_]| {
        let headers = [&BY_PROXY[..], &[("Origin", origin)], cookie].concat();
        let answer = server.request("GET /auth", &headers, "");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{answer:?}");
    };
    ask("https://app.example.com", &[("Cookie", "a=b")]);
    ask("https://app.example.com", &[("Accrue-Grant", "none")]);
    for _ in 0..3 {
        ask("https://app.example.com", &[]);
        ask("https://two.example.com", &[]);
    }
    server.request("GET /auth", &BY_PROXY, "");
    server.process.signal("TERM");
    let stderr = server.process.end().stderr;
    for origin in ["https://app.example.com", "https://two.example.com"] {
        let told = stderr.matches(&format!("a page on {origin} calls without cookies")).count();
        assert_eq!(told, 1, "{origin} in {stderr}");
    }
    assert_eq!(stderr.matches("authHeaders: {authorization: \"-\"}").count(), 2, "{stderr}");
}

#[test]
fn warnings_are_logged_at_start() {
    let config = file(CONFIG);
    let mut environment = KEYS.to_vec();
    environment.push(("ACCRUE_SECRET", "x"));
    let server =
        Server::start(&["serve", "--config", path(&config), "--listen", "127.0.0.1:0"], &environment);
    let stderr = server.process.stderr_with("ACCRUE_SECRET is not read; did you mean ACCRUE_SECRETS?");
    assert!(stderr.contains("nothing is given"), "{stderr}");
}

#[test]
fn a_process_that_is_dropped_is_gone() {
    let address = {
        let server = Server::start(&["demo", "--listen", "127.0.0.1:0"], &[]);
        server.address
    };
    assert!(std::net::TcpStream::connect(address).is_err());
    drop(Process::start(&mut accrue(&["--help"], &[])));
}

const ABLY_KEY: &str = "app.key:an-ably-key-secret-of-some-length";
const PROXY_SECRET: &str = "the-secret-of-the-proxy";
const KEYS: [(&str, &str); 2] =
    [("ABLY_API_KEY", ABLY_KEY), ("ACCRUE_SECRETS", "k1:j7fMDw30HaDYL7NJJBRVGHRm6X5Fe85SB8GFwBoShlc")];
const SECRETS: [&str; 3] =
    ["an-ably-key-secret-of-some-length", "j7fMDw30HaDYL7NJJBRVGHRm6X5Fe85SB8GFwBoShlc", PROXY_SECRET];
const RULES: &str = "
[permission.rules]
\"chat:*\" = [\"publish\", \"subscribe\"]
";
const CONFIG: &str = "
origins = [\"https://app.example.com\"]

[authenticate.header]
proxy_secret = \"the-secret-of-the-proxy\"

[permission.rules]
\"chat:*\" = [\"publish\", \"subscribe\"]
";

/// Kills it also by a panic.
struct Guard(std::process::Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(target_os = "linux")]
fn full_device() -> fs::File {
    fs::File::options().write(true).open("/dev/full").expect("Linux has one")
}

/// A disk that is full, or a log collector that has died.
#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_takes_no_request_with_it() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};

    let mut command = accrue(&["demo", "--listen", "127.0.0.1:0"], &[]);
    let child = command.stdout(std::process::Stdio::piped()).stderr(full_device()).spawn().unwrap();
    let mut server = Guard(child);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").expect("it says where");
    for _ in 0..3 {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let request = "GET /auth?clientId=alice HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_an_error_and_no_panic() {
    for arguments in [
        &["keygen"][..],
        &["inspect", "1j.k1.1700000100.eyJhIjpbIioiXX0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"],
    ] {
        let ended = accrue(arguments, &[]).stdout(full_device()).output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&ended.stderr).contains("can't write"), "{ended:?}");
    }
    // whoever reads a part, as `head` does, has had enough
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = accrue(&["keygen"], &[]).stdout(writer).output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.is_empty()), (Some(0), true), "{ended:?}");
}

#[test]
fn inspect_explains_a_list_one_by_one() {
    let file: Value = serde_json::from_str(include_str!("data/sealed-grant.json")).unwrap();
    let vector = |n: usize| &file["vectors"][n];
    let secret = format!("k1:{}", vector(0)["secret"].as_str().unwrap());
    let variables = [("ABLY_API_KEY", "app.key:s"), ("ACCRUE_SECRETS", secret.as_str())];
    let grant = |n: usize| vector(n)["grant"].as_str().unwrap().to_owned();
    let (alices, other_apps) = (grant(0), grant(8));
    for list in [
        format!("{alices}, {other_apps}"),
        format!("{alices},{other_apps}"),
        format!("{alices}\n{other_apps}\n"),
        format!("session=x; accrue.CLmCkXlb={alices}; accrue.GnL15Cl9={other_apps}"),
    ] {
        let ended = run(&["inspect", &list, "--client-id", "alice"], &variables);
        assert_eq!(ended.code, Some(1), "one of them does not verify: {ended:?}");
        let verdicts: Vec<&str> = ended.stdout.lines().filter(|line| line.starts_with("verifies")).collect();
        assert!(verdicts[0].contains(" yes") && verdicts[1].contains(" no"), "{ended:?}");
        let first = ended.stdout.split("verifies").next().unwrap();
        assert_eq!(first.matches("sealed grant").count(), 1, "{ended:?}");
    }
}
