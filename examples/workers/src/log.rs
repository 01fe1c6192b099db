//! What the binary's log says, as lines of JSON on the console: Workers Logs takes them apart, `wrangler tail` shows them.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use accrue::{Outcome, OutcomeKind};
use http::StatusCode;
use serde_json::{Value, json};
use web_sys::console;

/// One line for every request, one *audit* line for what it newly permitted, one warning for what the operator should
/// know.
pub(crate) fn record(outcome: &Outcome, status: StatusCode, took: Duration) {
    let request = outcome.request_id.as_str();
    let client = outcome.client.as_ref().map(|id| id.as_str());
    if let Some(advice) = &outcome.advice
        && first(advice)
    {
        warn(json!({ "target": "accrue::advice", "message": advice, "request": request }));
    }
    let report = &outcome.report;
    if !report.added.is_empty() {
        info(json!({
            "target": "audit",
            "message": "permitted",
            "request": request,
            "client": client,
            "check": report.check,
            "permitted": report.added.to_string(),
        }));
    }
    let rejected: Vec<String> =
        report.grants.iter().filter_map(|read| read.as_ref().err()).map(ToString::to_string).collect();
    let line = json!({
        "target": "accrue::request",
        "message": "request",
        "request": request,
        "method": outcome.method.as_str(),
        "route": outcome.route,
        "status": status.as_u16(),
        "outcome": outcome.kind.as_str(),
        "code": outcome.code,
        "client": client,
        "cause": outcome.cause,
        "verified": report.grants.iter().filter(|read| read.is_ok()).count(),
        "rejected": (!rejected.is_empty()).then(|| rejected.join(", ")),
        "check_millis": report.took.check.map(millis),
        "millis": millis(took),
    });
    match outcome.kind {
        OutcomeKind::Unavailable => warn(line),
        // health and preflights
        OutcomeKind::Other => {}
        _ => info(line),
    }
}

/// What is not read, and may be misspelt.
pub(crate) fn notes(notes: &[String]) {
    for note in notes.iter().filter(|note| first(note)) {
        warn(json!({ "target": "accrue::config", "message": note }));
    }
}

/// Why nothing can be served.
pub(crate) fn misconfigured(problems: &[String]) {
    for problem in problems {
        let line = json!({ "level": "ERROR", "target": "accrue::config", "message": problem });
        console::error_1(&line.to_string().into());
    }
}

fn info(line: Value) {
    console::log_1(&with_level("INFO", line).into());
}

fn warn(line: Value) {
    console::warn_1(&with_level("WARN", line).into());
}

fn with_level(level: &str, mut line: Value) -> String {
    if let Value::Object(members) = &mut line {
        members.retain(|_, value| !value.is_null());
        members.insert("level".to_owned(), level.into());
    }
    line.to_string()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whether this isolate says so for the first time, as far as it remembers.
fn first(text: &str) -> bool {
    SAID.with_borrow_mut(|said| {
        !said.contains(text) && (said.len() >= MOST_SAID || said.insert(text.to_owned()))
    })
}

thread_local! {
    static SAID: RefCell<HashSet<String>> = RefCell::default();
}

const MOST_SAID: usize = 64;
