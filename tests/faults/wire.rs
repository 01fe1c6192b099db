//! What comes over the wire and is no plain request: HTTP/2, pipelines, shapes that two parsers read differently, heads
//! as large as they get.

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command};

use crate::client::{ANYBODY, CHATS, Connection, Service, cookie, get, target, until};
use crate::http::chats;
use crate::redis::free_port;

fn service() -> Service {
    Service::start(&format!("log = \"debug\"\n{ANYBODY}{CHATS}"))
}

/// The statuses of all that is answered to this, when no more comes.
#[track_caller]
fn statuses(service: &Service, sent: &[u8]) -> Vec<u16> {
    let mut connection = service.connect();
    // it may be closed before all is written
    connection.try_send(sent);
    connection.end();
    connection.closes().iter().map(|answer| answer.status).collect()
}

#[test]
fn http_2_is_refused_at_once_and_an_upgrade_to_it_is_passed_over() {
    let service = service();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat();
    for sent in [&preface[..24], &preface, &[&preface[..], &settings.repeat(10_000)].concat()] {
        let mut connection = service.connect();
        connection.try_send(sent);
        assert!(connection.closes().iter().all(|answer| answer.status == 400));
    }
    let mut connection = service.connect();
    for upgrade in ["h2c", "websocket", "TLS/1.0"] {
        let headers = format!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n"
        );
        connection.send(&get(&target("alice", &[1]), &headers));
        assert_eq!(chats(&connection.answer()), [1]);
    }
    service.assert_alive();
}

#[test]
fn a_pipeline_is_answered_in_order_up_to_what_is_malformed() {
    let service = Service::start(&format!(
        "strategy = \"store\"\n{ANYBODY}{CHATS}[store]\nurl = \"redb:HERE/accrue.redb\"\n"
    ));
    let mut sent = Vec::new();
    for chat in 0..30 {
        sent.extend(get(&target("alice", &[chat]), ""));
    }
    sent.extend(b"DELETE /auth?clientId=alice HTTP/1.1\r\nHost: localhost\r\n\r\n");
    sent.extend(get(&target("alice", &[]), ""));
    sent.extend(get(&target("alice", &[40]), ""));
    sent.extend(b"POST /auth?clientId=alice HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    sent.extend(b"this is no request\r\n\r\n");
    sent.extend(get(&target("alice", &[50]), ""));
    let mut connection = service.connect();
    connection.send(&sent);
    let answers = connection.closes();

    for (chat, answer) in answers[..30].iter().enumerate() {
        assert_eq!(chats(answer), (0..=chat).collect::<Vec<_>>());
    }
    assert_eq!(answers[30].status, 204);
    answers[31].assert_error(401, 40160);
    assert_eq!((chats(&answers[32]), chats(&answers[33])), (vec![40], vec![40]));
    assert_eq!((answers[34].status, answers.len()), (400, 35));
    assert_eq!(chats(&service.ask("alice", &[], "")), [40], "what came after it was not heeded");
}

/// What somebody would like to have answered too.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Heads and bodies of a POST that parsers read differently, and the statuses of what is answered. It is one answer, or
/// one and the refusal of the rest; never a 404, which would be that of `HIDDEN`.
fn shapes() -> Vec<(&'static str, String, &'static [u16])> {
    let hidden = HIDDEN.len();
    let head = "POST /auth HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let after = |headers: &str, body: &str| format!("{head}{headers}\r\n{body}");
    let with_length = |length: &str| after(&format!("Content-Length: {length}\r\n"), HIDDEN);
    let coded = |coding: &str, body: &str| after(&format!("Transfer-Encoding: {coding}\r\n"), body);
    let chunks = |body: &str| coded("chunked", body);
    let none_then_hidden = format!("0\r\n\r\n{HIDDEN}");
    vec![
        (
            "length, then chunked",
            after("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", &none_then_hidden),
            &[401],
        ),
        (
            "chunked, then length",
            after("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", &none_then_hidden),
            &[401],
        ),
        (
            "chunked and no length at all",
            after("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", &none_then_hidden),
            &[401],
        ),
        ("two lengths", after(&format!("Content-Length: 0\r\nContent-Length: {hidden}\r\n"), HIDDEN), &[400]),
        ("the same length twice", after(&format!("Content-Length: {hidden}\r\n").repeat(2), HIDDEN), &[400]),
        ("a list of lengths", with_length(&format!("{hidden}, {hidden}")), &[400]),
        ("a list of two lengths", with_length(&format!("0, {hidden}")), &[400]),
        ("a length with a plus", with_length(&format!("+{hidden}")), &[400]),
        ("a length with a minus", with_length("-1"), &[400]),
        ("a length in hexadecimal", with_length("0x28"), &[400]),
        ("a length with a space", with_length("4 0"), &[400]),
        ("an empty length", with_length(""), &[400]),
        ("a length of 2^64", with_length("18446744073709551616"), &[400]),
        ("a length of 2^64 - 1", with_length("18446744073709551615"), &[431]),
        ("a length with zeros before it", with_length(&format!("000{hidden}")), &[400]),
        ("no coding", coded("identity", &none_then_hidden), &[400]),
        ("an unknown coding", coded("xchunked", &none_then_hidden), &[400]),
        ("chunked with a parameter", coded("chunked;q=1", &none_then_hidden), &[400]),
        ("chunked in quotes", coded("\"chunked\"", &none_then_hidden), &[400]),
        ("chunked, but not last", coded("chunked, identity", &none_then_hidden), &[400]),
        (
            "chunked, but not last, in two fields",
            coded("chunked\r\nTransfer-Encoding: identity", &none_then_hidden),
            &[400],
        ),
        ("chunked with a vertical tab", coded("\x0bchunked", &none_then_hidden), &[400]),
        ("chunked with a NUL", coded("chunked\0", &none_then_hidden), &[400]),
        ("an empty coding", coded("", &none_then_hidden), &[400]),
        ("chunked in capitals", coded("CHUNKED", &format!("{hidden:x}\r\n{HIDDEN}\r\n0\r\n\r\n")), &[400]),
        (
            "another name with an underscore",
            after("Transfer_Encoding: chunked\r\n", &none_then_hidden),
            &[401, 400],
        ),
        ("a space before the colon", after("Transfer-Encoding : chunked\r\n", &none_then_hidden), &[400]),
        ("a tab before the colon", after(&format!("Content-Length\t: {hidden}\r\n"), HIDDEN), &[400]),
        ("a space before the name", after(&format!("X: y\r\n Content-Length: {hidden}\r\n"), HIDDEN), &[400]),
        ("a folded value", after("Transfer-Encoding:\r\n chunked\r\n", &none_then_hidden), &[400]),
        ("a bare CR", after("X: y\rTransfer-Encoding: chunked\r\n", &none_then_hidden), &[400]),
        (
            "a bare LF, which ends a line",
            after(&format!("X: y\nContent-Length: {hidden}\r\n"), HIDDEN),
            &[400],
        ),
        ("no name", after(": chunked\r\n", &none_then_hidden), &[400]),
        ("a chunk with an extension", chunks(&format!("{hidden:x};a=b\r\n{HIDDEN}\r\n0\r\n\r\n")), &[400]),
        ("an LF in an extension", chunks(&format!("2;\nxx\r\n0\r\n\r\n{HIDDEN}")), &[400]),
        ("a chunk of 2^64", chunks(&format!("10000000000000000\r\n{HIDDEN}")), &[400]),
        ("a chunk with a minus", chunks(&format!("-1\r\n{HIDDEN}")), &[400]),
        ("a chunk with a plus", chunks(&format!("+0\r\n\r\n{HIDDEN}")), &[400]),
        ("a chunk with 0x", chunks(&format!("0x0\r\n\r\n{HIDDEN}")), &[400]),
        ("a chunk without a size", chunks(&format!("\r\n\r\n{HIDDEN}")), &[400]),
        ("a chunk that is longer than it says", chunks(&format!("1\r\n{{}}\r\n0\r\n\r\n{HIDDEN}")), &[400]),
        ("bare LFs around a chunk", chunks(&format!("0\n\n{HIDDEN}")), &[400]),
        ("chunked in HTTP/1.0", chunks(&none_then_hidden).replacen("HTTP/1.1", "HTTP/1.0", 1), &[400]),
        ("HTTP/1.0 without a length", after("", HIDDEN).replacen("HTTP/1.1", "HTTP/1.0", 1), &[401]),
        ("a body that HTTP/2 would have", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{HIDDEN}"), &[]),
    ]
}

#[test]
fn what_two_parsers_read_differently_is_one_request_or_none() {
    let service = service();
    let mut wrong = String::new();
    for (shape, sent, expected) in shapes() {
        let answered = statuses(&service, sent.as_bytes());
        if answered != expected {
            let _ = writeln!(wrong, "{shape}: {answered:?} instead of {expected:?}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    service.assert_alive();
}

#[test]
fn whom_a_request_is_for_is_said_once() {
    let service = service();
    let auth = target("alice", &[1]);
    let ask = |target: &str, hosts: &[&str]| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        statuses(&service, format!("GET {target} HTTP/1.1\r\n{hosts}\r\n").as_bytes())
    };
    for (target, hosts, expected) in [
        (auth.as_str(), &["localhost"][..], 200),
        (&auth, &[], 421),
        (&auth, &["evil.example.com"], 421),
        (&auth, &["localhost", "evil.example.com"], 421),
        (&auth, &["localhost", "localhost"], 421),
        (&auth, &["localhost, evil.example.com"], 421),
        (&auth, &["localhost@evil.example.com"], 421),
        (&auth, &["evil.example.com#localhost"], 421),
        // an absolute target is what counts
        (&format!("http://evil.example.com{auth}"), &["localhost"], 421),
        (&format!("http://localhost{auth}"), &["evil.example.com"], 200),
        (&format!("http://localhost@evil.example.com{auth}"), &["localhost"], 421),
    ] {
        assert_eq!(ask(target, hosts), [expected], "{target} {hosts:?}");
    }
}

#[test]
fn cookies_and_headers_count_up_to_the_limit_and_beyond_it_are_431() {
    let service = service();
    let held = cookie(&service.ask("alice", &[1], ""));
    let others = |count: usize, bytes: usize| -> String {
        (0..count).map(|n| format!("other-{n}={}; ", "x".repeat(bytes))).collect()
    };
    let fields = |count: usize| -> String { (0..count).map(|n| format!("X-{n}: x\r\n")).collect() };
    let mut connection = service.connect();
    for (what, headers, expected) in [
        ("100 cookies", format!("Cookie: {}{held}\r\n", others(99, 20)), 200),
        ("1,000 cookies", format!("Cookie: {}{held}\r\n", others(999, 10)), 200),
        ("30 KiB of cookies", format!("Cookie: {}{held}\r\n", others(10, 3000)), 200),
        (
            "10 fields with them",
            format!("Cookie: {held}\r\n{}", format!("Cookie: {}\r\n", others(10, 250)).repeat(9)),
            200,
        ),
        ("100 headers", format!("Cookie: {held}\r\n{}", fields(98)), 200),
        ("101 headers", format!("Cookie: {held}\r\n{}", fields(99)), 431),
        ("33 KiB of cookies", format!("Cookie: {}{held}\r\n", others(11, 3000)), 431),
    ] {
        connection.send(&get(&target("alice", &[]), &headers));
        let answer = connection.answer();
        match expected {
            200 => assert_eq!(chats(&answer), [1], "{what}"),
            _ => answer.assert_error(431, 43100),
        }
    }
}

struct Nginx {
    process: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Nginx {
    #[track_caller]
    fn before(service: &Service) -> Self {
        let (port, directory) = (free_port(), tempfile::tempdir().expect("there is room"));
        let config = format!(
            r#"
            daemon off; master_process off; pid HERE/pid; error_log HERE/error.log;
            events {{ }}
            http {{
                log_format forwarded "$upstream_status $request";
                access_log HERE/access.log forwarded;
                client_body_temp_path HERE/body; proxy_temp_path HERE/proxy; fastcgi_temp_path HERE/fastcgi;
                uwsgi_temp_path HERE/uwsgi; scgi_temp_path HERE/scgi;
                upstream accrue {{ server {}; keepalive 4; }}
                server {{
                    listen 127.0.0.1:{port};
                    location / {{
                        proxy_pass http://accrue; proxy_http_version 1.1; proxy_set_header Connection "";
                        proxy_ignore_client_abort on;
                        proxy_set_header Host $http_host;
                    }}
                }}
            }}"#,
            service.server.address
        );
        let here = directory.path().to_str().expect("UTF-8");
        let path = directory.path().join("nginx.conf");
        fs::write(&path, config.replace("HERE", here)).expect("there is room");
        let process = Command::new("nginx").arg("-p").arg(here).arg("-c").arg(path).spawn();
        let nginx = Self { process: process.expect("nginx is installed"), port, directory };
        until(|| Connection::try_to(([127, 0, 0, 1], port).into()).map(drop));
        nginx
    }

    /// How many requests it has passed on, by its own log.
    fn forwarded(&self) -> usize {
        let log = fs::read_to_string(self.directory.path().join("access.log")).expect("it is there");
        log.lines().filter(|line| !line.starts_with('-')).count()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs nginx"]
fn what_two_parsers_read_differently_is_one_request_behind_nginx_too() {
    let service = service();
    let nginx = Nginx::before(&service);
    let seen = || service.server.process.stderr().matches(" accrue::request: ").count();
    for (shape, sent, _) in shapes() {
        let mut connection = Connection::to(([127, 0, 0, 1], nginx.port).into());
        connection.try_send(sent.as_bytes());
        connection.end();
        connection.closes();
        // a last one, after which all logs are written
        let mut connection = Connection::to(([127, 0, 0, 1], nginx.port).into());
        connection.send(&get("/healthz", "Connection: close\r\n"));
        assert_eq!(connection.closes()[0].status, 200);
        until(|| (seen() >= nginx.forwarded()).then_some(()));
        assert_eq!(seen(), nginx.forwarded(), "{shape}: more requests arrived than nginx has passed on");
    }
}
