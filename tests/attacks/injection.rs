//! Texts that end a line, a header or a value, and go on with one of the attacker's own: into the log of the real
//! binary, and into what it answers.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::http::Answer;
use crate::process::Server;
use crate::service::K1;

const CONFIG: &str = "[authenticate.claimed]\n[given]\n\"inbox:{clientId}\" = [\"subscribe\"]\n\
                      [permission.rules]\n\"chat:*\" = [\"subscribe\"]\n";

/// What somebody puts behind a text to begin something new.
const ENDS: [&str; 20] = [
    "\n",
    "\r\n",
    "\r",
    "\0",
    "\u{b}",
    "\u{c}",
    "\u{1b}[2J\u{1b}[31m",
    "\u{7f}",
    "\u{85}",
    "\u{9b}31m",
    "\u{2028}",
    "\u{2029}",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{feff}",
    "\"",
    "\\",
    "\" outcome=\"granted",
    "\\n",
];

/// What is taken for the end of a line by one reader or another, and what is not to be seen in a terminal.
const LINE_ENDS: [char; 7] = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn serve(format: &str) -> (Server, tempfile::NamedTempFile) {
    let config = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(&config, CONFIG).unwrap();
    let variables = [
        ("ABLY_API_KEY", "app.key:an-ably-key-secret"),
        ("ACCRUE_SECRETS", K1),
        ("ACCRUE_LOG", "debug"),
        ("ACCRUE_LOG_FORMAT", format),
    ];
    let path = config.path().to_str().unwrap();
    (Server::start(&["serve", "--config", path, "--listen", "127.0.0.1:0"], &variables), config)
}

/// Every text a request has, ended early and gone on with: one after the other. Those that were answered.
fn attack(server: &Server) -> Vec<Answer> {
    let mut answers = Vec::new();
    for end in ENDS {
        let evil = format!("x{end}Set-Cookie: injected=1{end}2026-01-01T00:00:00Z  INFO audit: injected");
        let query = escaped(&evil);
        let names = [format!("chat:{evil}"), format!("no:{evil}")];
        let wish = escaped(&json!({ &names[0]: ["subscribe"], &names[1]: ["subscribe"] }).to_string());
        let unescaped = escaped(&format!("{{\"chat:{evil}\":[\"subscribe\"]}}"));
        let operation = escaped(&json!({ "chat:1": [evil] }).to_string());
        for (line, headers) in [
            (format!("GET /auth?clientId={query}"), vec![]),
            (format!("GET /auth?clientId=alice&capability={wish}"), vec![]),
            (format!("GET /auth?clientId=alice&capability={unescaped}"), vec![]),
            (format!("GET /auth?clientId=alice&capability={operation}"), vec![]),
            (format!("GET /auth?clientId={query}&capability={wish}"), vec![]),
            (format!("GET /auth?clientId=alice&ttl={query}"), vec![]),
            (format!("DELETE /auth?clientId=alice&capability={wish}"), vec![]),
            (format!("GET /{query}"), vec![]),
            (format!("GET /auth?clientId=alice&{query}={query}"), vec![]),
            // as it is, which is HTTP only in part
            (format!("GET /auth?clientId=alice&x={}", evil.replace(' ', "+")), vec![]),
            ("GET /auth?clientId=alice".to_owned(), vec![("Origin", evil.as_str())]),
            (
                "GET /auth?clientId=alice".to_owned(),
                vec![("Origin", evil.trim_start_matches('x')), ("Sec-Fetch-Site", "cross-site")],
            ),
            ("GET /auth?clientId=alice".to_owned(), vec![("X-Request-Id", evil.as_str())]),
            ("GET /auth?clientId=alice".to_owned(), vec![("User-Agent", evil.as_str())]),
            ("GET /auth?clientId=alice".to_owned(), vec![("Sec-Fetch-Mode", evil.as_str())]),
            ("GET /auth?clientId=alice".to_owned(), vec![("Accrue-Grant", evil.as_str())]),
            ("GET /auth?clientId=alice".to_owned(), vec![("Cookie", evil.as_str())]),
            ("GET /auth?clientId=alice".to_owned(), vec![("Authorization", evil.as_str())]),
        ] {
            let mut request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
            for (name, value) in headers {
                let _ = write!(request, "{name}: {value}\r\n");
            }
            answers.push(server.raw(format!("{request}\r\n").as_bytes()));
        }
        let capability = json!({ format!("chat:body{evil}"): ["subscribe"] });
        let body = json!({ "clientId": "alice", "capability": capability }).to_string();
        answers.push(server.request(
            "POST /auth",
            &[("Host", "localhost"), ("Content-Type", "application/json")],
            &body,
        ));
    }
    answers
}

#[test]
fn an_answer_gets_no_header_of_the_attackers() {
    let (server, _config) = serve("text");
    let answers = attack(&server);
    assert_eq!(answers.len(), 19 * ENDS.len());
    let granted = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(granted > 100, "most of it is no error: {granted}");
    for answer in &answers {
        for (name, value) in &answer.headers {
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{answer:?}");
            assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "{answer:?}");
            assert!(name != "set-cookie" || value.starts_with("__Host-accrue."), "{answer:?}");
            assert!(name != "x-request-id" || !value.contains("injected"), "{answer:?}");
            assert!(!name.starts_with("access-control-"), "{answer:?}");
        }
    }
}

#[test]
fn a_text_log_gets_no_line_of_the_attackers() {
    let (server, _config) = serve("text");
    let answered = attack(&server).len();
    server.process.signal("TERM");
    let log = server.process.end().stderr;
    assert!(log.matches("audit: permitted").count() >= ENDS.len(), "{log}");
    assert!(log.lines().count() > answered, "{log}");
    for line in log.split(LINE_ENDS).filter(|line| !line.is_empty()) {
        let (time, rest) = line.split_once(' ').unwrap_or_default();
        let is_a_time = time.len() == 27 && time.ends_with('Z') && !time.starts_with("2026-01-01");
        assert!(is_a_time, "a line of its own: {line:?} in {rest:?}");
        let hidden = |c: &char| c.is_control() || ('\u{200b}'..='\u{206f}').contains(c) || *c == '\u{feff}';
        assert_eq!(line.chars().find(hidden), None, "{line:?}");
    }
}

#[test]
fn a_json_log_gets_no_line_or_member_of_the_attackers() {
    let (server, _config) = serve("json");
    let answered = attack(&server).len();
    server.process.signal("TERM");
    let log = server.process.end().stderr;
    let mut permitted = Vec::new();
    assert!(log.lines().count() > answered, "{log}");
    for line in log.split(LINE_ENDS).filter(|line| !line.is_empty()) {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        let known = [
            "timestamp",
            "level",
            "target",
            "message",
            "request",
            "client",
            "check",
            "permitted",
            "method",
            "route",
            "status",
            "outcome",
            "code",
            "cause",
            "verified",
            "rejected",
            "check_micros",
            "micros",
        ];
        let members = line.as_object().unwrap();
        assert!(members.keys().all(|name| known.contains(&name.as_str())), "{line}");
        if line["target"] == "audit" {
            permitted.push(line["permitted"].as_str().unwrap().to_owned());
        }
    }
    // and none of it is lost: it is the capability that was permitted
    let separated = permitted.iter().find(|text| text.contains("\\u2028")).expect("escaped");
    let names: Value = serde_json::from_str(separated).unwrap();
    assert!(names.as_object().unwrap().keys().any(|name| name.contains('\u{2028}')), "{names}");
}
