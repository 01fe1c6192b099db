//! A stand-in for what the service asks, over a real socket: Ably's REST API, as strict about `revokeTokens` as Ably is,
//! or whatever answers.
#![allow(dead_code, reason = "every test takes what it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// What somebody called it with.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// `METHOD TARGET`.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

pub(crate) enum Reply {
    Says(u16, String),
    /// Nothing, for ever.
    Hangs,
    /// A whole answer, a byte at a time, until nobody listens any more.
    Drips(String),
    /// Half of an answer, and the connection is closed.
    Cut(String),
}

pub(crate) struct StandIn {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl StandIn {
    /// Ably, revoking for whoever has this key, which issues revocable tokens.
    pub(crate) fn ably(key: &'static str) -> Self {
        Self::start(move |call| revoke_tokens(call, key))
    }

    pub(crate) fn saying(status: u16, body: &str) -> Self {
        let body = body.to_owned();
        Self::start(move |_| Reply::Says(status, body.clone()))
    }

    /// Until the process ends.
    pub(crate) fn start(reply: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it has one");
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (reply, kept) = (Arc::new(reply), Arc::clone(&calls));
        spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (reply, calls) = (Arc::clone(&reply), Arc::clone(&kept));
                spawn(move || {
                    let Some(call) = read(&stream) else { return };
                    calls.lock().expect("nobody panics").push(call.clone());
                    match reply(&call) {
                        Reply::Says(status, body) => say(&stream, status, &body),
                        Reply::Hangs => drop((&stream).read_to_end(&mut Vec::new())),
                        Reply::Drips(body) => drip(&stream, &answer(200, &body)),
                        Reply::Cut(body) => {
                            let whole = answer(200, &body);
                            let _ = (&stream).write_all(&whole.as_bytes()[..whole.len() - body.len() / 2]);
                        }
                    }
                });
            }
        });
        Self { address, calls }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("nobody panics").clone()
    }

    /// The calls, once there are so many.
    #[track_caller]
    pub(crate) fn once_called(&self, times: usize) -> Vec<Call> {
        for _ in 0..1000 {
            if self.calls().len() >= times {
                return self.calls();
            }
            sleep(Duration::from_millis(20));
        }
        panic!("not called {times} times: {:?}", self.calls());
    }
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands twice in {self:?}");
        value
    }
}

/// `POST /keys/{keyName}/revokeTokens` (specification items RSA17 and BAR2).
fn revoke_tokens(call: &Call, key: &str) -> Reply {
    let refuse = |status: u16, code: u64, message: &str| {
        let error = json!({ "code": code, "statusCode": status, "message": message });
        Reply::Says(status, json!({ "error": error }).to_string())
    };
    let (name, _) = key.split_once(':').expect("NAME:SECRET");
    if call.line != format!("POST /keys/{name}/revokeTokens") {
        return refuse(404, 40400, &format!("no such path: {}", call.line));
    }
    if call.header("authorization") != Some(&format!("Basic {}", BASE64_STANDARD.encode(key))) {
        return refuse(401, 40101, "invalid credentials");
    }
    let version = call.header("x-ably-version").and_then(|version| version.parse::<u32>().ok());
    if version.is_none_or(|version| version < 3) {
        return refuse(400, 40000, "answers of old versions are not understood here");
    }
    if call.header("content-type") != Some("application/json") {
        return refuse(415, 41500, "not JSON");
    }
    let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
    let targets = body["targets"].as_array().cloned().unwrap_or_default();
    let known = ["targets", "issuedBefore", "allowReauthMargin"];
    let only_known =
        body.as_object().is_some_and(|body| body.keys().all(|key| known.contains(&key.as_str())));
    if !only_known || targets.is_empty() {
        return refuse(400, 40000, "malformed");
    }
    let margin = if body["allowReauthMargin"] == true { 30_000 } else { 0 };
    let results: Vec<Value> = targets
        .iter()
        .map(|target| json!({ "target": target, "issuedBefore": ISSUED_BEFORE, "appliesAt": ISSUED_BEFORE + margin }))
        .collect();
    let answer = json!({ "successCount": results.len(), "failureCount": 0, "results": results });
    Reply::Says(201, answer.to_string())
}

fn read(stream: &TcpStream) -> Option<Call> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let (request, _) = first.rsplit_once(" HTTP/1.1")?;
    let mut headers = Vec::new();
    while let Some((name, value)) = line()?.split_once(':') {
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().expect("a length"))];
    reader.read_exact(&mut body).ok()?;
    Some(Call { line: request.to_owned(), headers, body: String::from_utf8(body).expect("UTF-8") })
}

fn say(mut stream: &TcpStream, status: u16, body: &str) {
    // whoever asked may be gone
    let _ = stream.write_all(answer(status, body).as_bytes());
}

fn drip(mut stream: &TcpStream, answer: &str) {
    for byte in answer.bytes() {
        if stream.write_all(&[byte]).is_err() {
            return;
        }
        sleep(Duration::from_millis(20));
    }
}

fn answer(status: u16, body: &str) -> String {
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    format!("{head}{body}")
}

/// Unix milliseconds.
pub(crate) const ISSUED_BEFORE: u64 = 1_700_000_200_000;
