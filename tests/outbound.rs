//! The service and the servers that it asks: the permission webhook, the application that knows who calls, and
//! whoever publishes keys. Time passes only when told to, but for deadlines, which are real.

#[path = "support/answer.rs"]
mod answer;
#[path = "support/nasty.rs"]
mod nasty;
#[path = "support/service.rs"]
mod service;

#[path = "outbound/forward.rs"]
mod forward;
#[path = "outbound/keys.rs"]
mod keys;
#[path = "outbound/webhook.rs"]
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use accrue::Outcome;
use answer::Answer;
use nasty::{Behaviour, Nasty, answer};
use service::{Ask, Server};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use Behaviour::{Answers, Closes, Drips, Floods, Hangs, Resets};

/// What is no answer, whoever is asked for whatever.
struct Useless {
    name: String,
    behaviour: Behaviour,
    /// Words of the cause.
    cause: String,
    /// Whether it takes until the deadline.
    is_slow: bool,
}

/// All kinds of it, though the body may be a good one.
fn useless(good: &str, elsewhere: &Nasty) -> Vec<Useless> {
    let bytes = |head: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}").into_bytes();
    let half = &good[..good.len() / 2];
    let longer = format!("content-length: {}\r\n", good.len() + 1);
    let too_long = good.to_owned() + &" ".repeat(1 << 20);
    let slow = [
        ("silence", Hangs(vec![])),
        ("half a body", Hangs(bytes(&longer, good))),
        ("a dripping head", Drips(b"HTTP/1.1 200 OK\r\nx: ".into(), b'x')),
        ("a dripping body", Drips(bytes("content-length: 10000\r\n", good), b' ')),
    ];
    let mut all: Vec<Useless> = slow
        .into_iter()
        .map(|(name, behaviour)| (name, behaviour, "no whole answer within"))
        .chain([
            ("closed", Closes(vec![]), "connection closed"),
            ("closed in the body", Closes(bytes(&longer, good)), "reading a body"),
            ("reset", Resets(vec![]), "reset by peer"),
            ("reset in the body", Resets(bytes(&longer, good)), "reset by peer"),
            ("reset for an end", Resets(bytes("", good)), "reset by peer"),
            ("cut off without a length", Closes(bytes("", half)), " at line 1 column"),
            ("not HTTP", Answers(b"SSH-2.0-OpenSSH_9.2p1\r\n".into()), "invalid HTTP version"),
            (
                "a claim of 1 GiB",
                Hangs(bytes("content-length: 1073741824\r\n", good)),
                "more than 1048576 bytes",
            ),
            ("without end", Floods(bytes("", good), vec![b' '; 65536]), "more than 1048576 bytes"),
            ("too long", Answers(answer(200, &[], &too_long)), "more than 1048576 bytes"),
            ("gzip", Answers(answer(200, &[("content-encoding", "gzip")], good)), "compressed"),
            ("empty", Answers(answer(200, &[], "")), " at line 1 column"),
            ("a page", Answers(answer(200, &[], "<html>s3cret")), " at line 1 column"),
            ("deep", Answers(answer(200, &[], &"[".repeat(100_000))), " at line 1 column"),
            ("a byte order mark", Answers(answer(200, &[], &format!("\u{feff}{good}"))), " at line 1 column"),
            ("two", Answers(answer(200, &[], &good.repeat(2))), " at line 1 column"),
        ])
        .map(|(name, behaviour, cause)| Useless {
            name: name.to_owned(),
            behaviour,
            cause: cause.to_owned(),
            is_slow: cause.starts_with("no whole answer"),
        })
        .collect();
    let location = elsewhere.url();
    for status in [201, 202, 204, 206, 301, 302, 303, 307, 308, 400, 403, 404, 429, 500, 502, 503] {
        let body = if status == 204 { "" } else { good };
        all.push(Useless {
            name: status.to_string(),
            behaviour: Answers(answer(status, &[("location", &location)], body)),
            cause: format!("answered {status}"),
            is_slow: false,
        });
    }
    all
}

/// Tries all of them, the slow ones meanwhile.
async fn each<F: Future<Output = ()> + Send + 'static>(
    cases: Vec<Useless>,
    mut attempt: impl FnMut(Useless) -> F,
) {
    let (slow, quick): (Vec<Useless>, Vec<Useless>) = cases.into_iter().partition(|case| case.is_slow);
    let slow: Vec<_> = slow.into_iter().map(|case| tokio::spawn(attempt(case))).collect();
    for case in quick {
        attempt(case).await;
    }
    for case in slow {
        case.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    }
}

/// A body with status 200.
fn says(body: &str) -> Behaviour {
    Answers(answer(200, &[], body))
}

/// A request as it came.
#[derive(Debug, PartialEq, Eq)]
struct Received {
    first_line: String,
    /// Sorted: the order says nothing, but between those of one name.
    headers: Vec<String>,
    body: String,
}

impl Received {
    fn last(server: &Nasty) -> Self {
        let request = server.requests().pop().expect("it was asked");
        let (head, body) = request.split_once("\r\n\r\n").expect("head and body");
        let mut lines = head.split("\r\n").map(str::to_owned);
        let first_line = lines.next().expect("a line");
        Self { first_line, headers: by_name(lines), body: body.to_owned() }
    }

    /// These headers, and those of every request.
    #[track_caller]
    fn has_just(&self, server: &Nasty, headers: &[&str]) {
        let user_agent = format!("user-agent: accrue/{}", env!("CARGO_PKG_VERSION"));
        let host = format!("host: {}", server.address());
        let usual = [user_agent, host, "accept: application/json".to_owned()];
        let all = headers.iter().map(|&line| line.to_owned()).chain(usual);
        assert_eq!(self.headers, by_name(all));
    }
}

fn by_name(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort_by_key(|line| line.split(':').next().unwrap_or_default().to_owned());
    lines
}

/// What a browser sends besides, which is nobody else's business.
fn like_a_browser(ask: Ask) -> Ask {
    ask.headers(&[
        ("origin", service::LISTED),
        ("referer", "https://app.example.com/s3cret"),
        ("user-agent", "Mozilla/5.0 s3cret"),
        ("accept-language", "s3cret"),
        ("x-request-id", "s3cret"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-client-id", "s3cret"),
        ("x-anything", "s3cret"),
        ("forwarded", "for=10.0.0.1"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-mode", "cors"),
    ])
}

/// Status and code of what is answered.
async fn status(server: &Server, ask: Ask) -> (u16, u64) {
    told(server, ask).await.0.status_and_code()
}

/// What is answered, by a deadline that nothing here comes near to.
async fn told(server: &Server, ask: Ask) -> (Answer, Outcome) {
    soon(server.tell(ask)).await
}

/// Asks this meanwhile.
fn meanwhile(server: &Arc<Server>, ask: Ask) -> JoinHandle<(Answer, Outcome)> {
    let server = Arc::clone(server);
    tokio::spawn(async move { told(&server, ask).await })
}

/// Until the server has received so many requests.
async fn received(server: &Nasty, requests: usize) {
    soon(async {
        while server.requests().len() < requests {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(GENEROUS, future).await.expect("an end")
}

/// Why it went wrong, in a line that tells no secrets.
#[track_caller]
fn cause(outcome: &Outcome) -> &str {
    assert!(!format!("{outcome:?}").contains("s3cret"), "{outcome:?}");
    let cause =
        outcome.cause.as_deref().unwrap_or_else(|| panic!("the operator is not told why: {outcome:?}"));
    assert!(!cause.contains('\n') && cause.len() < 300, "{cause:?}");
    cause
}

const OK: (u16, u64) = (200, 200);
const NOTHING: (u16, u64) = (401, 40160);
const UNAUTHENTICATED: (u16, u64) = (401, 40100);
const BARRED: (u16, u64) = (403, 40300);
const UNAVAILABLE: (u16, u64) = (503, 50003);
/// For what must not hang for ever.
const GENEROUS: Duration = Duration::from_secs(5);
