//! The backends in `examples/webhook`: one table of questions, and the same answers from both.

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;
#[path = "support/skipped.rs"]
mod skipped;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use accrue::{Capability, Vocabulary};
use http::Answer;
use process::{Process, Server};
use serde_json::{Value, json};
use skipped::skipped;

const QUESTIONS: &str = include_str!("../examples/webhook/questions.json");
const PATH: &str = "/ably/permissions";
const BEARER: &str = "what accrue and the webhook share";

fn express() -> Command {
    example("node", "express/server.mjs")
}

/// Where there is no Python it is skipped, but not in CI.
fn python() -> Option<Command> {
    if Command::new("python3").arg("--version").output().is_ok() {
        return Some(example("python3", "python/server.py"));
    }
    assert!(option_env!("CI").is_none(), "CI has python3");
    skipped("there is no python3 here");
    None
}

fn example(interpreter: &str, file: &str) -> Command {
    let mut command = Command::new(interpreter);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/webhook").join(file))
        .env("PORT", "0")
        .env("WEBHOOK_BEARER", BEARER);
    command
}

#[test]
fn python_answers_the_questions() {
    if let Some(mut command) = python() {
        answers_the_questions(&Server::of(&mut command));
    }
}

#[test]
#[ignore = "needs npm ci in examples/webhook/express"]
fn express_answers_the_questions() {
    answers_the_questions(&Server::of(&mut express()));
}

#[test]
fn python_starts_with_a_bearer_only() {
    if let Some(mut command) = python() {
        starts_with_a_bearer_only(&mut command);
    }
}

#[test]
#[ignore = "needs npm ci in examples/webhook/express"]
fn express_starts_with_a_bearer_only() {
    starts_with_a_bearer_only(&mut express());
}

#[test]
fn accrue_asks_python() {
    if let Some(mut command) = python() {
        accrue_asks(&Server::of(&mut command));
    }
}

#[test]
#[ignore = "needs npm ci in examples/webhook/express"]
fn accrue_asks_express() {
    accrue_asks(&Server::of(&mut express()));
}

/// The whole way: a client's wishes, the backend's answer, a token.
#[track_caller]
fn accrue_asks(backend: &Server) {
    let serve = |strategy: &str| {
        let config = format!(
            r#"
            listen = "127.0.0.1:0"
            strategy = "{strategy}"
            [authenticate.claimed]
            [permission.webhook]
            url = "http://{}{PATH}"
            "#,
            backend.address
        );
        let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
        file.write_all(config.as_bytes()).expect("and written");
        let variables = [
            ("ABLY_API_KEY", "app.key:an-ably-secret"),
            ("ACCRUE_SECRETS", "k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY"),
            ("ACCRUE_PERMISSION__WEBHOOK__BEARER", BEARER),
        ];
        Server::start(&["serve", "--config", file.path().to_str().expect("UTF-8")], &variables)
    };
    let wish =
        "capability=%7B%22chat%3A1%22%3A%5B%22subscribe%22%5D%2C%22chat%3A9%22%3A%5B%22subscribe%22%5D%7D";
    let cookie = serve("cookie");
    let answer = cookie.request(&format!("GET /auth?clientId=alice&{wish}"), &[], "");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["capability"], r#"{"chat:1":["subscribe"]}"#);
    assert_eq!(answer.header("accrue-refused"), Some(r#"{"denied":{"chat:9":["subscribe"]}}"#));
    assert_eq!(cookie.request(&format!("GET /auth?clientId=mallory&{wish}"), &[], "").status, 403);

    let answer = serve("server").request("GET /auth?clientId=bob", &[], "");
    assert_eq!(answer.json()["capability"], r#"{"chat:1":["history","presence","publish","subscribe"]}"#);
}

#[track_caller]
fn answers_the_questions(server: &Server) {
    let table: Vec<Value> = serde_json::from_str(QUESTIONS).expect("a table");
    for row in &table {
        let answer = ask(server, row);
        assert_eq!(answer.status, row["status"], "{row}: {answer:?}");
        if answer.status == 200 {
            assert_eq!(answer.json(), row["answer"], "{row}");
            assert_eq!(within(&row["question"]["asked"], &row["answer"]), Ok(()), "{row}");
        }
    }

    // as much as a client can hold
    let held: Value = (0..4000).map(|n| (format!("chat:{n:032}"), json!(["subscribe"]))).collect();
    let mut row = table[0].clone();
    row["question"]["held"] = held;
    assert_eq!(ask(server, &row).json(), row["answer"]);
}

#[track_caller]
fn ask(server: &Server, row: &Value) -> Answer {
    let body = match &row["body"] {
        Value::String(text) => text.clone(),
        _ => row["question"].to_string(),
    };
    let usual = format!("Bearer {BEARER}");
    let authorization = match row.get("authorization") {
        None => Some(usual.as_str()),
        Some(other) => other.as_str(),
    };
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(authorization.map(|value| ("Authorization", value)));
    let path = row["path"].as_str().unwrap_or(PATH);
    server.request(&format!("POST {path}"), &headers, &body)
}

/// What is granted is a capability, and no wider than what was asked.
fn within(asked: &Value, answer: &Value) -> Result<(), String> {
    let parse = |value: &Value| {
        Capability::from_json(value, &Vocabulary::default()).map_err(|error| format!("{error} in {value}"))
    };
    if asked.is_null() || answer["barred"] == true {
        return Ok(());
    }
    let beyond = parse(&answer["granted"])?.minus(&parse(asked)?);
    if beyond.is_empty() { Ok(()) } else { Err(format!("{beyond} was not asked")) }
}

#[track_caller]
fn starts_with_a_bearer_only(command: &mut Command) {
    let ended = Process::start(command.env_remove("WEBHOOK_BEARER").stdin(Stdio::null())).end();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("WEBHOOK_BEARER"), "{}", ended.stderr);
}
