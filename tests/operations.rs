//! The binary as whoever operates it meets it: metrics, audit lines, revocation, and the second call to Ably.

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;
#[path = "support/stand_in.rs"]
mod stand_in;

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};

use accrue::ably::ApiKey;
use accrue::{Capability, ClientId, Grant, Moment, SealingKeys, SealingSecret, Vocabulary};
use http::Answer;
use process::{Ended, Server, request, run};
use serde_json::{Value, json};
use stand_in::{Reply, StandIn};
use tempfile::NamedTempFile;

/// A service and its admin listener.
struct Operated {
    server: Server,
    admin: SocketAddr,
    _config: NamedTempFile,
}

impl Operated {
    /// With this configuration, on free ports.
    #[track_caller]
    fn start(config: &str, variables: &[(&str, &str)]) -> Self {
        let file = file(&format!("admin = \"127.0.0.1:0\"\n{config}"));
        let path = file.path().to_str().expect("a path of UTF-8");
        let variables = [&KEYS[..], variables].concat();
        let server = Server::start(&["serve", "--config", path, "--listen", "127.0.0.1:0"], &variables);
        let line = server.process.line();
        let Some(admin) = line.strip_prefix("admin on http://") else {
            panic!("the second line is {line:?}")
        };
        Self { admin: admin.parse().expect("an address and a port"), server, _config: file }
    }

    #[track_caller]
    fn auth(&self, client: &str, more: &[(&str, &str)], wishes: &str) -> Answer {
        let headers = [&[("x-client-id", client), ("x-proxy-secret", PROXY_SECRET)], more].concat();
        self.server.request(&format!("GET /auth{wishes}"), &headers, "")
    }

    /// The series that `/metrics` shows, and their values.
    #[track_caller]
    fn metrics(&self) -> BTreeMap<String, f64> {
        let answer = request(self.admin, "GET /metrics", &[], "");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        answer.assert_usual();
        series(&answer.body)
    }

    /// What `accrue revoke` makes of it.
    fn revoke(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let url = format!("http://{}", self.admin);
        run(&[&["revoke", "--admin", &url], arguments].concat(), variables)
    }

    #[track_caller]
    fn stop(self) -> Ended {
        self.server.process.signal("TERM");
        let ended = self.server.process.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }
}

fn file(content: &str) -> NamedTempFile {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file can be made");
    fs::write(&file, content).expect("and written");
    file
}

/// Prometheus' text format, as far as it is written here.
#[track_caller]
fn series(text: &str) -> BTreeMap<String, f64> {
    let mut described = Vec::new();
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            assert!(matches!(words.next(), Some("HELP" | "TYPE")), "{line}");
            described.push(words.next().expect("a name").to_owned());
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let name = series.split('{').next().unwrap_or_default();
        assert!(described.iter().any(|described| name.starts_with(described.as_str())), "{line}");
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(found.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }
    found
}

/// By a server whose clock is wrong.
fn sealed_in_an_hour(client: &str) -> String {
    let key = ApiKey::parse(ABLY_KEY).expect("well-formed");
    let secret = SealingSecret::parse(KEYS[1].1).expect("well-formed");
    let capability = Capability::parse(r#"{"chat:1":["subscribe"]}"#, &Vocabulary::default());
    let grant =
        Grant { capability: capability.expect("well-formed"), since: Moment::now().now_secs() + 3600 };
    let keys = SealingKeys::new(&key, vec![secret]).expect("one");
    keys.seal(&ClientId::try_from(client).expect("well-formed"), &grant).expect("not empty")
}

fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next());
    cookie.unwrap_or_else(|| panic!("no grant: {answer:?}")).to_owned()
}

fn wish(channels: &[&str]) -> String {
    let wishes: serde_json::Map<String, Value> =
        channels.iter().map(|channel| ((*channel).to_owned(), json!(["subscribe"]))).collect();
    let wishes = Value::from(wishes).to_string();
    let escaped: String = wishes.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("?capability={escaped}")
}

#[test]
fn where_it_listens_is_told_in_two_lines() {
    let operated = Operated::start(BY_PROXY, &[]);
    assert_ne!(operated.admin, operated.server.address);
    assert_eq!(operated.server.request("GET /healthz", &[], "").status, 200);
    // neither serves what the other is for
    for path in ["/metrics", "/revoke"] {
        operated.server.request(&format!("GET {path}"), &[], "").assert_error(404, 40400);
    }
    for path in ["/auth", "/healthz", "/"] {
        request(operated.admin, &format!("GET {path}"), &[], "").assert_error(404, 40400);
    }
    request(operated.admin, "GET /metrics", &[("Host", "evil.example.com")], "").assert_error(421, 42100);
    let ended = operated.stop();
    assert_eq!(ended.stdout.lines().count(), 2, "{ended:?}");
}

#[test]
fn an_admin_address_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has one").to_string();
    let config = file(&format!("admin = \"{address}\"\n{BY_PROXY}"));
    let path = config.path().to_str().expect("a path of UTF-8");
    let ended = run(&["serve", "--config", path, "--listen", "127.0.0.1:0"], &KEYS);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
    assert!(ended.stderr.contains(&format!("can't listen on {address}: ")), "{ended:?}");
    assert!(ended.stderr.contains("choose another for admin"), "{ended:?}");
}

#[test]
fn metrics_count_what_happened() {
    let operated = Operated::start(BY_PROXY, &[]);
    let before = operated.metrics();
    for outcome in OUTCOMES {
        assert_eq!(before[&format!("accrue_requests_total{{outcome=\"{outcome}\"}}")], 0.0, "{outcome}");
    }

    let granted = operated.auth("alice", &[], &wish(&["chat:1"]));
    let cookie = cookie_of(&granted);
    let (name, grant) = cookie.split_once('=').expect("NAME=VALUE");
    let unknown = format!("{name}={}", grant.replacen(".k1.", ".evil-kid.", 1));
    let (front, digest) = grant.rsplit_once('.').expect("a digest");
    let other = if digest.starts_with('A') { "B" } else { "A" };
    let changed = format!("{name}={front}.{other}{}", &digest[1..]);
    let future = format!("{name}={}", sealed_in_an_hour("alice"));
    for (client, cookies, wishes, status) in [
        ("alice", cookie.as_str(), wish(&["chat:1"]), 200),
        ("alice", &cookie, wish(&["private:1"]), 200),
        ("alice", &unknown, String::new(), 401),
        ("alice", &changed, String::new(), 401),
        ("alice", &future, String::new(), 401),
        ("bob", &cookie, String::new(), 401),
        ("bob", "", wish(&["private:1"]), 401),
        ("bob", "", "?capability=x".to_owned(), 400),
        ("bob", "", "?clientId=carol".to_owned(), 401),
    ] {
        let more = if cookies.is_empty() { vec![] } else { vec![("Cookie", cookies)] };
        assert_eq!(operated.auth(client, &more, &wishes).status, status, "{client} {cookies} {wishes}");
    }
    operated.server.request("GET /auth", &[], "").assert_error(401, 40100);
    operated
        .server
        .request("GET /auth", &[("Origin", "https://evil.example.com")], "")
        .assert_error(403, 40300);
    operated.server.request("DELETE /auth", &[("Cookie", &cookie)], "");
    operated.server.request("GET /healthz", &[], "");

    let after = operated.metrics();
    for (series, expected) in [
        ("accrue_requests_total{outcome=\"granted\"}", 2.0),
        ("accrue_requests_total{outcome=\"partial\"}", 1.0),
        ("accrue_requests_total{outcome=\"refused\"}", 5.0),
        ("accrue_requests_total{outcome=\"malformed\"}", 1.0),
        ("accrue_requests_total{outcome=\"unauthenticated\"}", 2.0),
        ("accrue_requests_total{outcome=\"foreign\"}", 1.0),
        ("accrue_requests_total{outcome=\"given-up\"}", 1.0),
        ("accrue_requests_total{outcome=\"other\"}", 1.0),
        ("accrue_requests_total{outcome=\"barred\"}", 0.0),
        ("accrue_requests_total{outcome=\"unavailable\"}", 0.0),
        // all but /healthz
        ("accrue_request_duration_seconds_count", 13.0),
        // who got so far as to be asked who they are
        ("accrue_phase_duration_seconds_count{phase=\"authenticate\"}", 10.0),
        ("accrue_phase_duration_seconds_count{phase=\"check\"}", 3.0),
        ("accrue_check_duration_seconds_count{check=\"rules\"}", 3.0),
        ("accrue_grants_verified_total{kid=\"k1\"}", 2.0),
        ("accrue_grants_rejected_total{reason=\"unknown-kid\"}", 1.0),
        ("accrue_grants_rejected_total{reason=\"digest\"}", 2.0),
        ("accrue_grants_rejected_total{reason=\"from-the-future\"}", 1.0),
    ] {
        assert_eq!(after.get(series), Some(&expected), "{series} in {after:#?}");
    }
    // nothing is written here under "cookie"
    assert!(after["accrue_phase_duration_seconds_count{phase=\"recall\"}"] > 0.0);
    assert_eq!(after["accrue_phase_duration_seconds_count{phase=\"remember\"}"], 0.0);
    let bytes = after["accrue_cookie_bytes_sum"];
    assert!(after["accrue_cookie_bytes_count"] > 0.0 && bytes > 0.0 && bytes < 10_000.0, "{after:#?}");
    let whole = r#"accrue_request_duration_seconds_bucket{le="+Inf"}"#;
    assert_eq!(after[whole], after["accrue_request_duration_seconds_count"]);
    operated.stop();
}

#[test]
fn labels_hold_nothing_that_requests_say() {
    // whoever says so, so that a clientId can be anything
    let operated =
        Operated::start("[authenticate.claimed]\n[permission.rules]\n\"chat:*\" = [\"subscribe\"]\n", &[]);
    let ask = |line: &str, more: &[(&str, &str)]| {
        operated.server.request(line, &[&[("Host", "localhost")], more].concat(), "")
    };
    let everything = |n: usize| {
        let client = format!("evil%22%7D%20{n}%5C%27%23");
        let channel = wish(&[&format!("chat:evil\"}} {n}\\")]);
        let granted = ask(&format!("GET /auth{channel}&clientId={client}"), &[]);
        assert_eq!(granted.status, 200, "{granted:?}");
        let cookie = cookie_of(&granted);
        let unknown = cookie.replacen(".k1.", &format!(".evil{n}."), 1);
        let origin = format!("https://evil{n}.example.com");
        for (line, more) in [
            (format!("GET /auth?clientId={client}"), vec![("Cookie", cookie.as_str())]),
            (format!("GET /auth?clientId={client}"), vec![("Cookie", unknown.as_str())]),
            (format!("GET /auth?clientId={client}"), vec![("Cookie", "accrue.evil=evil")]),
            (format!("GET /auth?clientId={client}"), vec![("Origin", origin.as_str())]),
            (format!("GET /auth?clientId=evil%0A{n}"), vec![]),
            (format!("GET /auth?clientId=evil%0D%0Aaccrue_requests_total%20{n}"), vec![]),
            (format!("GET /auth?clientId={client}&ttl=evil{n}"), vec![]),
            (format!("GET /evil{n}"), vec![("X-Request-Id", "evil")]),
            (format!("EVIL{n} /auth"), vec![]),
            (
                format!("DELETE /auth?clientId={client}{}", channel.replacen('?', "&", 1)),
                vec![("Cookie", &*cookie)],
            ),
            ("GET /healthz".to_owned(), vec![("Host", "localhost"), ("User-Agent", "evil")]),
        ] {
            ask(&line, &more);
        }
    };
    everything(0);
    let before = operated.metrics();
    for n in 1..=20 {
        everything(n);
    }
    for n in 0..200 {
        ask(&format!("GET /auth{}&clientId=alice", wish(&[&format!("chat:{n}")])), &[]);
    }
    let after = operated.metrics();
    let names = |series: &BTreeMap<String, f64>| series.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    assert!(after.len() < 150, "{} series", after.len());
    for series in after.keys() {
        let lower = series.to_lowercase();
        for said in ["evil", "alice", "chat", "example.com"] {
            assert!(!lower.contains(said), "{series}");
        }
    }
    assert!(after["accrue_requests_total{outcome=\"granted\"}"] > 200.0);
    assert!(after["accrue_grants_rejected_total{reason=\"unknown-kid\"}"] > 20.0);
    operated.stop();
}

#[test]
fn the_webhook_is_counted_by_name_and_a_check_that_is_away_as_unavailable() {
    let webhook = StandIn::start(|call| match serde_json::from_str::<Value>(&call.body) {
        Ok(question) if question["clientId"] == "bob" => Reply::Says(200, r#"{"barred":true}"#.to_owned()),
        Ok(question) if question["clientId"] == "alice" => {
            Reply::Says(200, json!({ "granted": question["asked"] }).to_string())
        }
        _ => Reply::Says(500, "no".to_owned()),
    });
    let config =
        format!("{WHO}[permission.webhook]\nurl = \"{}/may\"\nbearer = \"{BEARER}\"\n", webhook.url());
    let operated = Operated::start(&config, &[]);
    for (client, status) in [("alice", 200), ("bob", 403), ("carol", 503)] {
        assert_eq!(operated.auth(client, &[], &wish(&["chat:1"])).status, status, "{client}");
    }
    let metrics = operated.metrics();
    for series in [
        "accrue_requests_total{outcome=\"granted\"}",
        "accrue_requests_total{outcome=\"barred\"}",
        "accrue_requests_total{outcome=\"unavailable\"}",
    ] {
        assert_eq!(metrics[series], 1.0, "{series}");
    }
    assert_eq!(metrics["accrue_check_duration_seconds_count{check=\"webhook\"}"], 3.0);
    let calls = webhook.calls();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call.header("authorization") == Some(&format!("Bearer {BEARER}"))));
    operated.stop();
}

#[test]
fn killed_it_has_said_what_it_permitted_and_stopped_all_that_happened() {
    for (signal, every_request) in [("KILL", false), ("TERM", true)] {
        let operated = Operated::start(BY_PROXY, &[]);
        for n in 0..20 {
            assert_eq!(operated.auth("alice", &[], &wish(&[&format!("chat:{n}")])).status, 200, "{signal}");
        }
        operated.server.process.signal(signal);
        let stderr = operated.server.process.end().stderr;
        let lines = |target: &str| stderr.lines().filter(|line| line.contains(target)).count();
        assert_eq!(lines(" audit: "), 20, "{signal}: {stderr}");
        let requests = lines(" accrue::request: ");
        assert!(requests <= 20 && (!every_request || requests == 20), "{signal}: {stderr}");
    }
}

#[test]
fn one_line_for_each_request_but_for_probes_that_succeed() {
    let operated = Operated::start(BY_PROXY, &[]);
    let malformed = operated.auth("alice", &[("X-Request-Id", "malformed")], "?capability=%7B%22chat%3A1");
    assert_eq!(malformed.status, 400, "{malformed:?}");
    assert_eq!(operated.auth("alice", &[], &wish(&["chat:1"])).status, 200);
    for (target, status) in
        [("OPTIONS /auth", 204), ("GET /elsewhere", 404), ("GET /healthz", 200), ("GET /readyz", 200)]
    {
        assert_eq!(operated.server.request(target, &[], "").status, status, "{target}");
    }
    let stderr = operated.stop().stderr;
    let lines: Vec<&str> = stderr.lines().filter(|line| line.contains(" accrue::request: ")).collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    let told = lines.iter().find(|line| line.contains("\"malformed\"")).expect("its id");
    assert!(told.contains("not valid JSON"), "what was wrong: {told}");
}

#[test]
fn one_audit_line_for_what_is_newly_permitted_and_one_for_each_revocation() {
    for (strategy, asked_twice) in [("cookie", 1), ("store", 1), ("client", 2), ("server", 2)] {
        for format in ["text", "json"] {
            let told = format!("{strategy} {format}");
            let ably = StandIn::ably(ABLY_KEY);
            let config = format!(
                "strategy = \"{strategy}\"\nstore.url = \"memory:\"\nlog_format = \"{format}\"\nably = {{ revocable = true, rest_url = \"{}\" }}\n{BY_PROXY}",
                ably.url()
            );
            let operated = Operated::start(&config, &[]);
            let first = operated.auth("alice", &[("X-Request-Id", "first")], &wish(&["chat:1", "private:1"]));
            assert_eq!(first.status, 200, "{told}: {first:?}");
            let cookie =
                first.all("set-cookie").first().map_or("", |cookie| cookie.split(';').next().unwrap());
            let again = [("Cookie", cookie), ("X-Request-Id", "again")];
            assert_eq!(operated.auth("alice", &again, &wish(&["chat:1"])).status, 200, "{told}");
            let refused = operated.auth("mallory", &[("X-Request-Id", "refused")], &wish(&["private:1"]));
            assert_eq!(refused.status, if strategy == "server" { 200 } else { 401 }, "{told}: {refused:?}");

            for (arguments, mark, ably) in
                [(&["alice"][..], "done", "done"), (&["--everybody"], "done", "none")]
            {
                let ended = operated.revoke(arguments, &[]);
                assert_eq!(ended.code, Some(0), "{told}: {ended:?}");
                assert!(ended.stdout.contains(&format!("mark  {mark}")), "{told}: {ended:?}");
                assert!(ended.stdout.contains(&format!("ably  {ably}")), "{told}: {ended:?}");
            }
            let stderr = operated.stop().stderr;
            let is_audit = |line: &&str| match format {
                "json" => line.contains("\"target\":\"audit\""),
                _ => line.contains(" audit: "),
            };
            let lines: Vec<&str> = stderr.lines().filter(is_audit).collect();
            let with = |words: &[&str]| {
                lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
            };
            let expected = match (format, strategy) {
                ("json", "server") => r#""permitted":"{\"chat:*\":[\"publish\",\"subscribe\"]}""#,
                ("json", _) => r#""permitted":"{\"chat:1\":[\"subscribe\"]}""#,
                (_, "server") => r#"permitted={"chat:*":["publish","subscribe"]}"#,
                _ => r#"permitted={"chat:1":["subscribe"]}"#,
            };
            let of_all = usize::from(strategy == "server");
            assert_eq!(with(&[expected, "alice", "rules"]), asked_twice, "{told}: {lines:#?}");
            assert_eq!(with(&[expected, "first"]), 1, "{told}: {lines:#?}");
            assert_eq!(with(&[expected, "mallory"]), of_all, "{told}: {lines:#?}");
            assert_eq!(with(&["private"]), 0, "{told}: {lines:#?}");
            assert_eq!(
                with(&["\"revoked\"", "\"alice\""]) + with(&[" revoked client=\"alice\""]),
                1,
                "{told}: {lines:#?}"
            );
            assert_eq!(
                with(&["\"revoked\"", "\"*\""]) + with(&[" revoked client=\"*\""]),
                1,
                "{told}: {lines:#?}"
            );
            assert_eq!(with(&["once more", "alice"]), 1, "{told}: {lines:#?}");
            assert_eq!(lines.len(), asked_twice + of_all + 3, "{told}: {lines:#?}");
        }
    }
}

#[test]
fn nothing_secret_is_written_however_much_is_logged() {
    for format in ["text", "json"] {
        let ably = StandIn::ably(ABLY_KEY);
        let webhook = StandIn::start(|call| {
            let question: Value = serde_json::from_str(&call.body).unwrap_or_default();
            Reply::Says(200, json!({ "granted": question["asked"] }).to_string())
        });
        let config = format!(
            "store.url = \"memory:\"\nably = {{ revocable = true, rest_url = \"{}\" }}\n{WHO}[permission.webhook]\nurl = \"{}/may?key={IN_QUERY}\"\n",
            ably.url(),
            webhook.url()
        );
        let operated = Operated::start(
            &config,
            &[
                ("ACCRUE_LOG", "trace"),
                ("ACCRUE_LOG_FORMAT", format),
                ("ACCRUE_ADMIN_TOKEN", ADMIN_TOKEN),
                ("ACCRUE_PERMISSION__WEBHOOK__BEARER", BEARER),
            ],
        );
        let mut secrets: Vec<String> =
            SECRETS.iter().map(|secret| (*secret).to_owned()).chain([WRONG_TOKEN.to_owned()]).collect();
        let granted = operated.auth("alice", &[], &wish(&["chat:1"]));
        let cookie = cookie_of(&granted);
        secrets.push(cookie.rsplit('.').next().expect("a digest").to_owned());
        for name in ["mac", "nonce"] {
            secrets.push(granted.json()[name].as_str().expect("a text").to_owned());
        }
        operated.auth("alice", &[("Cookie", &cookie), ("Authorization", "Bearer a-canary-of-a-session")], "");
        secrets.push("a-canary-of-a-session".to_owned());

        let right = format!("Bearer {ADMIN_TOKEN}");
        let wrong = format!("Bearer {WRONG_TOKEN}");
        let body = r#"{"clientId":"alice"}"#;
        let json = ("Content-Type", "application/json");
        for (line, headers, body, status) in [
            ("GET /metrics", vec![("Authorization", right.as_str())], "", 200),
            ("GET /metrics", vec![("Authorization", wrong.as_str())], "", 401),
            ("GET /metrics", vec![("Authorization", right.as_str()), ("Origin", "null")], "", 403),
            ("POST /revoke", vec![("Authorization", right.as_str()), json], body, 200),
            ("POST /revoke", vec![("Authorization", right.as_str()), json], ADMIN_TOKEN, 400),
            ("POST /revoke", vec![("Authorization", wrong.as_str()), json], body, 401),
            ("POST /revoke", vec![json], body, 401),
            ("POST /revoke", vec![("Authorization", right.as_str())], body, 415),
        ] {
            let answer = request(operated.admin, line, &headers, body);
            assert_eq!(answer.status, status, "{line} {headers:?}: {answer:?}");
            assert!(!format!("{answer:?}").contains(ADMIN_TOKEN));
        }
        let cli = operated.revoke(&["alice"], &[("ACCRUE_ADMIN_TOKEN", ADMIN_TOKEN)]);
        assert_eq!(cli.code, Some(0), "{cli:?}");
        let refused = operated.revoke(&["alice"], &[("ACCRUE_ADMIN_TOKEN", WRONG_TOKEN)]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        ably.once_called(2);

        let ended = operated.stop();
        assert!(ended.stderr.contains("TRACE"), "that is no trace: {}", ended.stderr);
        for output in [&ended, &cli, &refused] {
            for secret in &secrets {
                for text in [&output.stdout, &output.stderr] {
                    let line = text.lines().find(|line| line.contains(secret.as_str()));
                    assert_eq!(line, None, "{format}: {secret} is told");
                }
            }
        }
    }
}

/// Whom, the store, Ably, the exit status, and what is told.
type Row<'a> = (&'a str, &'a str, Option<StandIn>, i32, &'a [&'a str]);

#[test]
fn revoke_says_what_became_of_each_half() {
    let good = || StandIn::ably(ABLY_KEY);
    let refusing = || {
        let error = json!({ "error": { "code": 40164, "statusCode": 401, "message": "not enabled" } });
        StandIn::saying(401, &error.to_string())
    };
    let none: fn() -> Option<StandIn> = || None;
    let store = "store.url = \"memory:\"\n";
    let again =
        "tokens are refused from 1700000230000 (Unix milliseconds) on; the service does it again in 125 s";
    let marked = "(Unix seconds) is checked again";
    let rows: [Row<'_>; 9] = [
        (
            "alice",
            store,
            none(),
            0,
            &["mark  done: what was permitted up to ", marked, "ably  none: ably.revocable is not set"],
        ),
        ("alice", store, Some(good()), 0, &["mark  done", marked, "ably  done: ", again]),
        ("alice", "", Some(good()), 0, &["mark  none: there is no [store]", "ably  done"]),
        (
            "alice",
            store,
            Some(refusing()),
            1,
            &["mark  done", "ably  failed: ", "40164", "enable revocable tokens"],
        ),
        ("alice", "", Some(refusing()), 1, &["mark  none", "ably  failed"]),
        (
            "alice",
            "",
            none(),
            2,
            &["mark  none: there is no [store]", "ably  none: ably.revocable is not set"],
        ),
        (
            "--everybody",
            store,
            Some(good()),
            0,
            &["mark  done", "ably  none: Ably revokes tokens client by client only"],
        ),
        ("--everybody", "", Some(good()), 2, &["mark  none", "ably  none"]),
        ("zo\u{eb} \"a\" org:1", store, none(), 0, &["mark  done"]),
    ];
    for (whom, store, ably, code, words) in rows {
        let revocable = ably
            .as_ref()
            .map(|ably| format!("ably = {{ revocable = true, rest_url = \"{}\" }}\n", ably.url()));
        let revocable = revocable.unwrap_or_default();
        let operated = Operated::start(&format!("{store}{revocable}{BY_PROXY}"), &[]);
        let ended = operated.revoke(&[whom], &[]);
        let told = format!("{whom} {store:?} {revocable:?}: {ended:?}");
        assert_eq!(ended.code, Some(code), "{told}");
        for word in words {
            assert!(ended.stdout.contains(word), "{word:?} is not in {told}");
        }
        assert_eq!(ended.stdout.lines().count(), 2, "{told}");
        match (code, whom) {
            (2, "--everybody") => {
                assert!(ended.stderr.ends_with("everybody's: configure [store]\n"), "{told}")
            }
            (2, _) => assert!(ended.stderr.ends_with("[store], or ably.revocable, or both\n"), "{told}"),
            _ => assert_eq!(ended.stderr, "", "{told}"),
        }
        let half = |half: &str, result: &str| {
            let series = format!("accrue_revocations_total{{half=\"{half}\",result=\"{result}\"}}");
            operated.metrics().get(&series).copied()
        };
        assert_eq!(half("mark", "done"), ended.stdout.contains("mark  done").then_some(1.0), "{told}");
        assert_eq!(half("ably", "done"), ended.stdout.contains("ably  done").then_some(1.0), "{told}");
        assert_eq!(half("ably", "failed"), ended.stdout.contains("ably  failed").then_some(1.0), "{told}");
        operated.stop();
    }
}

#[test]
fn revoking_takes_effect() {
    let operated = Operated::start(&format!("store.url = \"memory:\"\n{BY_PROXY}"), &[]);
    let cookie = cookie_of(&operated.auth("alice", &[], &wish(&["chat:1"])));
    let kept = operated.auth("alice", &[("Cookie", &cookie)], "");
    assert_eq!((kept.status, kept.header("set-cookie")), (200, None), "{kept:?}");
    assert_eq!(operated.revoke(&["bob"], &[]).code, Some(0));
    let kept = operated.auth("alice", &[("Cookie", &cookie)], "");
    assert_eq!((kept.status, kept.header("set-cookie")), (200, None), "{kept:?}");
    assert_eq!(operated.revoke(&["alice"], &[]).code, Some(0));
    let checked = operated.auth("alice", &[("Cookie", &cookie)], "");
    assert_eq!((checked.status, checked.all("set-cookie").len()), (200, 2), "sealed anew: {checked:?}");
    operated.stop();
}

#[test]
fn revoke_with_a_token() {
    let operated = Operated::start(
        &format!("store.url = \"memory:\"\n{BY_PROXY}"),
        &[("ACCRUE_ADMIN_TOKEN", ADMIN_TOKEN)],
    );
    let (right, wrong) = (file(&format!("{ADMIN_TOKEN}\n")), file(WRONG_TOKEN));
    let path = |file: &NamedTempFile| file.path().to_str().expect("a path of UTF-8").to_owned();
    let (right, wrong) = (path(&right), path(&wrong));
    let refused = "answered 401: send Authorization: Bearer with ACCRUE_ADMIN_TOKEN";
    for (variables, code, words) in [
        (&[("ACCRUE_ADMIN_TOKEN", ADMIN_TOKEN)][..], 0, ""),
        (&[("ACCRUE_ADMIN_TOKEN_FILE", right.as_str())], 0, ""),
        (&[("ACCRUE_ADMIN_TOKEN", ""), ("ACCRUE_ADMIN_TOKEN_FILE", right.as_str())], 0, ""),
        (&[], 2, refused),
        (&[("ACCRUE_ADMIN_TOKEN", "")], 2, refused),
        (&[("ACCRUE_ADMIN_TOKEN", WRONG_TOKEN)], 2, refused),
        (&[("ACCRUE_ADMIN_TOKEN", "zw\u{f6}lf")], 2, refused),
        (&[("ACCRUE_ADMIN_TOKEN", "two\nlines")], 2, "can't be sent in a header"),
        (&[("ACCRUE_ADMIN_TOKEN_FILE", wrong.as_str())], 2, refused),
        (
            &[("ACCRUE_ADMIN_TOKEN_FILE", "/nowhere")],
            2,
            "ACCRUE_ADMIN_TOKEN_FILE: can't read that file: No such file",
        ),
        (
            &[("ACCRUE_ADMIN_TOKEN", ADMIN_TOKEN), ("ACCRUE_ADMIN_TOKEN_FILE", right.as_str())],
            2,
            "both set; set one of them",
        ),
    ] {
        let ended = operated.revoke(&["alice"], variables);
        assert_eq!(ended.code, Some(code), "{variables:?}: {ended:?}");
        assert!(ended.stderr.contains(words), "{variables:?}: {ended:?}");
        assert_eq!(ended.stdout.is_empty(), code == 2, "{variables:?}: {ended:?}");
        for secret in [ADMIN_TOKEN, WRONG_TOKEN] {
            assert!(!ended.stderr.contains(secret), "{ended:?}");
        }
    }
    // a right token in the place of the path to it
    let ended = operated.revoke(&["alice"], &[("ACCRUE_ADMIN_TOKEN_FILE", ADMIN_TOKEN)]);
    assert_eq!((ended.code, ended.stderr.contains(ADMIN_TOKEN)), (Some(2), false), "{ended:?}");
    operated.stop();
}

#[test]
fn revoke_that_can_t_be_asked_for_is_2() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it has one");
    let free = format!("http://{free}");
    let page = StandIn::saying(200, "<!doctype html>");
    let object = StandIn::saying(200, "{}");
    let missing = StandIn::saying(404, "not here");
    let redirect = StandIn::saying(302, "");
    let half = StandIn::saying(200, r#"{"mark":{"status":"done"}}"#);
    let else_there = "is that accrue's admin listener?";
    for (arguments, words) in [
        (vec!["revoke"], "--everybody"),
        (vec!["revoke", "alice", "--everybody"], "cannot be used with"),
        (vec!["revoke", "alice", "bob"], "unexpected argument"),
        (vec!["revoke", "--everbody"], "--everybody"),
        (vec!["revoke", "", "--admin", &free], "clientId"),
        (vec!["revoke", "*", "--admin", &free], "clientId"),
        (vec!["revoke", "a\nb", "--admin", &free], "clientId"),
        (vec!["revoke", "alice", "--admin"], "--admin"),
        (vec!["revoke", "alice", "--admin", "127.0.0.1:8081"], "--admin: not a URL"),
        (vec!["revoke", "alice", "--admin", "http://me:secret@127.0.0.1/"], "--admin: a URL with a user"),
        (
            vec!["revoke", "alice", "--admin", &free],
            "is the service running, with admin set to that address?",
        ),
        (vec!["revoke", "--everybody", "--admin", &free], &free),
        (vec!["revoke", "alice", "--admin", &page.url()], else_there),
        (vec!["revoke", "alice", "--admin", &object.url()], else_there),
        (vec!["revoke", "alice", "--admin", &missing.url()], "answered 404"),
        (vec!["revoke", "alice", "--admin", &redirect.url()], "answered 302"),
        (vec!["revoke", "alice", "--admin", &half.url()], else_there),
    ] {
        let ended = run(&arguments, &[]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(words), "{arguments:?}: {ended:?}");
    }
    // the service itself, instead of its admin listener
    let operated = Operated::start(BY_PROXY, &[]);
    let url = format!("http://{}", operated.server.address);
    let ended = run(&["revoke", "alice", "--admin", &url], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("answered 404: "), "{ended:?}");
    operated.stop();

    let help = run(&["revoke", "--help"], &[]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""), "{help:?}");
    for words in [
        "[ID]",
        "--everybody",
        "--admin",
        "http://127.0.0.1:8081",
        "ACCRUE_ADMIN_TOKEN_FILE",
        "Exit status 1",
    ] {
        assert!(help.stdout.contains(words), "{words} is not in {}", help.stdout);
    }
}

#[test]
fn where_the_admin_listener_is_may_be_told_with_a_slash_or_a_path() {
    let body = json!({ "mark": { "status": "done", "notBefore": 1 }, "ably": { "status": "none", "message": "no" } });
    for (path, line) in [("", "POST /revoke"), ("/", "POST /revoke"), ("/ops/", "POST /ops/revoke")] {
        let admin = StandIn::saying(200, &body.to_string());
        let ended = run(&["revoke", "alice", "--admin", &format!("{}{path}", admin.url())], &[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let calls = admin.calls();
        assert_eq!((calls.len(), calls[0].line.as_str()), (1, line));
        assert_eq!(calls[0].body, r#"{"clientId":"alice"}"#);
        assert_eq!(calls[0].header("content-type"), Some("application/json"));
        assert_eq!(calls[0].header("authorization"), None);
    }
}

#[test]
fn a_second_call_to_ably_that_is_pending_is_made_at_once_when_the_service_stops() {
    let revocable = |ably: &StandIn, more: &str| {
        format!("{more}ably = {{ revocable = true, rest_url = \"{}\" }}\n{BY_PROXY}", ably.url())
    };
    let ably = StandIn::ably(ABLY_KEY);
    let operated = Operated::start(&revocable(&ably, ""), &[]);
    for client in ["alice", "bob"] {
        assert_eq!(operated.revoke(&[client], &[]).code, Some(0));
    }
    assert_eq!(ably.calls().len(), 2, "and no more for 125 s");
    let ended = operated.stop();
    assert_eq!(ended.stderr.matches("revoked at Ably once more").count(), 2, "{ended:?}");
    let calls = ably.calls();
    for client in ["alice", "bob"] {
        let of_client =
            calls.iter().filter(|call| call.body.contains(&format!("\"clientId:{client}\""))).count();
        assert_eq!((of_client, calls.len()), (2, 4));
    }

    // whom it could not tell, it names
    let once = StandIn::start({
        let times = std::sync::atomic::AtomicUsize::new(0);
        move |_| match times.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Reply::Says(201, FIRST_IS_WELL.to_owned()),
            _ => Reply::Says(500, String::new()),
        }
    });
    let operated = Operated::start(&revocable(&once, ""), &[]);
    assert_eq!(operated.revoke(&["alice"], &[]).code, Some(0));
    let ended = operated.stop();
    let told = ended.stderr.lines().find(|line| line.contains("revoke this client again"));
    assert!(told.is_some_and(|line| line.contains("alice") && line.contains("500")), "{ended:?}");

    // and it does not wait longer than it waits for requests
    let silent = StandIn::start({
        let times = std::sync::atomic::AtomicUsize::new(0);
        move |_| match times.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Reply::Says(201, FIRST_IS_WELL.to_owned()),
            _ => Reply::Hangs,
        }
    });
    let operated = Operated::start(&revocable(&silent, "limits.drain_timeout = \"200ms\"\n"), &[]);
    assert_eq!(operated.revoke(&["alice"], &[]).code, Some(0));
    let ended = operated.stop();
    assert!(ended.stderr.contains("stopped before Ably was told again of 1 revocations"), "{ended:?}");
    assert_eq!(silent.calls().len(), 2);
}

#[test]
fn what_failed_at_ably_is_not_tried_again_by_itself() {
    let refusing = StandIn::saying(500, "");
    let config = format!("ably = {{ revocable = true, rest_url = \"{}\" }}\n{BY_PROXY}", refusing.url());
    let operated = Operated::start(&config, &[]);
    assert_eq!(operated.revoke(&["alice"], &[]).code, Some(1));
    let ended = operated.stop();
    assert_eq!(refusing.calls().len(), 1);
    let audit: Vec<&str> = ended.stderr.lines().filter(|line| line.contains(" audit: ")).collect();
    let [line] = audit.as_slice() else { panic!("not one line: {audit:?}") };
    assert!(line.contains(" WARN ") && line.contains("not revoked") && line.contains("alice"), "{line}");
    assert!(line.contains("Ably answered 500"), "{line}");
}

const OUTCOMES: [&str; 10] = [
    "granted",
    "partial",
    "refused",
    "barred",
    "unavailable",
    "unauthenticated",
    "malformed",
    "foreign",
    "given-up",
    "other",
];
const FIRST_IS_WELL: &str = r#"{"successCount":1,"failureCount":0,"results":[{"target":"clientId:alice","appliesAt":1700000030000}]}"#;
const ABLY_KEY: &str = "app.key:a-canary-of-an-ably-key-secret-x";
const PROXY_SECRET: &str = "a-canary-of-a-proxy-secret";
const ADMIN_TOKEN: &str = "a-canary-of-an-admin-token-of-32-bytes";
const WRONG_TOKEN: &str = "a-canary-of-a-wrong-admin-token-of-32";
const BEARER: &str = "a-canary-of-a-webhook-bearer";
const IN_QUERY: &str = "a-canary-in-a-query";
const KEYS: [(&str, &str); 2] =
    [("ABLY_API_KEY", ABLY_KEY), ("ACCRUE_SECRETS", "k1:j7fMDw30HaDYL7NJJBRVGHRm6X5Fe85SB8GFwBoShlc")];
const SECRETS: [&str; 7] = [
    "a-canary-of-an-ably-key-secret-x",
    // with the key's name, as Basic authentication has it
    "YXBwLmtleTphLWNhbmFyeS1vZi1hbi1hYmx5LWtleS1zZWNyZXQte",
    "j7fMDw30HaDYL7NJJBRVGHRm6X5Fe85SB8GFwBoShlc",
    PROXY_SECRET,
    ADMIN_TOKEN,
    BEARER,
    IN_QUERY,
];
const WHO: &str = "[authenticate.header]\nproxy_secret = \"a-canary-of-a-proxy-secret\"\n";
const BY_PROXY: &str = "[authenticate.header]\nproxy_secret = \"a-canary-of-a-proxy-secret\"\n[permission.rules]\n\"chat:*\" = [\"publish\", \"subscribe\"]\n";
