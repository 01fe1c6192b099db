//! One line for every request and one *audit* line for what it newly permitted, as JSON on standard error.

use std::time::Duration;

use accrue::Outcome;
use http::StatusCode;
use serde_json::{Value, json};
use wasip2::cli::stderr::get_stderr;

pub(crate) fn record(outcome: &Outcome, status: StatusCode, took: Duration) {
    let request = outcome.request_id.as_str();
    let client = outcome.client.as_ref().map(|id| id.as_str());
    if let Some(advice) = &outcome.advice {
        line(json!({ "level": "WARN", "target": "accrue::advice", "message": advice, "request": request }));
    }
    let report = &outcome.report;
    if !report.added.is_empty() {
        line(json!({
            "level": "INFO",
            "target": "audit",
            "message": "permitted",
            "request": request,
            "client": client,
            "check": report.check,
            "permitted": report.added.to_string(),
        }));
    }
    line(json!({
        "level": "INFO",
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
        "micros": u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    }));
}

/// Why nothing can be served.
pub(crate) fn misconfigured(problems: &[String]) {
    for problem in problems {
        line(json!({ "level": "ERROR", "target": "accrue::config", "message": problem }));
    }
}

/// A log that can't be written must not take requests with it.
fn line(mut line: Value) {
    if let Value::Object(members) = &mut line {
        members.retain(|_, value| !value.is_null());
    }
    let text = format!("{line}\n");
    let stderr = get_stderr();
    for chunk in text.as_bytes().chunks(4096) {
        let _ = stderr.blocking_write_and_flush(chunk);
    }
}
