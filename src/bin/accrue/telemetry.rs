use std::fmt::{self, Write as _};
use std::io;
use std::time::Duration;

use accrue::{Half, LogFormat, Outcome, OutcomeKind, Revoking, Whom};
use http::StatusCode;
use tracing::{debug, info, warn};
use tracing_subscriber::EnvFilter;

use crate::log_fields::Fields;
use crate::log_lines::LINES;

/// The filter, if it is one.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    let refuse =
        |why: String| format!("log: {why}; write a level ({}), or \"warn,audit=info\"", LEVELS.join(", "));
    if text.split(',').all(|part| part.trim().is_empty()) {
        return Err(refuse("an empty filter would drop everything, audit lines too".to_owned()));
    }
    // a bare word that is no level would be the name of a target, and silence all others
    let is_bare_word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphabetic());
    let is_level = |part: &str| LEVELS.iter().any(|level| part.eq_ignore_ascii_case(level));
    if let Some(word) = text.split(',').map(str::trim).filter(is_bare_word).find(|word| !is_level(word)) {
        return Err(refuse(format!("{word:?} is no level")));
    }
    let filter =
        EnvFilter::try_new(text).map_err(|error| refuse(format!("{text:?} is no filter ({error})")))?;
    // at trace it would print whole requests, credentials and all
    let quiet = "lambda_runtime::layers::api_response=warn".parse().expect("well-formed");
    Ok(filter.add_directive(quiet))
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Starts logging to standard error.
pub(crate) fn start(text: &str, format: LogFormat) -> Result<(), String> {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(text)?)
        .with_writer(&LINES)
        // a log that can't be written must not take requests with it
        .log_internal_errors(false)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    match format {
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
        _ => subscriber.fmt_fields(Fields).init(),
    }
    Ok(())
}

/// One line for every request, one *audit* line for what it newly permitted, one warning for what the operator
/// should know.
pub(crate) fn record(outcome: &Outcome, status: StatusCode, took: Duration) {
    let request = outcome.request_id.as_str();
    let client = outcome.client.as_ref().map(|id| id.as_str());
    if let Some(advice) = &outcome.advice {
        warn!(target: "accrue::advice", request, "{advice}");
    }
    let report = &outcome.report;
    if !report.added.is_empty() {
        let permitted = Visible(report.added.as_str());
        info!(target: "audit", request, client, check = report.check, %permitted, "permitted");
    }

    let method = outcome.method.as_str();
    let route = outcome.route;
    let status = status.as_u16();
    let kind = outcome.kind.as_str();
    let code = outcome.code;
    let cause = outcome.cause.as_deref();
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let check_micros = report.took.check.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let verified = report.grants.iter().filter(|read| read.is_ok()).count();
    let rejected: Vec<String> =
        report.grants.iter().filter_map(|read| read.as_ref().err()).map(ToString::to_string).collect();
    let rejected = (!rejected.is_empty()).then(|| rejected.join(", "));
    macro_rules! request_line {
        ($level:ident) => {
            $level!(target: "accrue::request", request, method, route, status, outcome = kind, code, client, cause, verified, rejected, check_micros, micros, "request")
        };
    }
    // they come every few seconds, and say nothing while all is well
    let is_probe = matches!(route, "/healthz" | "/readyz");
    match outcome.kind {
        OutcomeKind::Unavailable => request_line!(warn),
        OutcomeKind::Other if is_probe => request_line!(debug),
        _ => request_line!(info),
    }
}

/// JSON for a line of the log. Names of channels are the clients' own, and may hold what some take for the end of a line
/// (U+2028) or what makes a reader see another order (U+202E): what can't be seen is escaped.
struct Visible<'a>(&'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_ascii() {
            return f.write_str(self.0);
        }
        for c in self.0.chars() {
            if c.is_ascii() || c.escape_debug().len() == 1 {
                f.write_char(c)?;
            } else {
                c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(f, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}

/// One *audit* line for every revocation.
pub(crate) fn record_revocation(revoking: &Revoking) {
    let client = match &revoking.whom {
        Whom::Client(client) => client.as_str(),
        Whom::Everybody => "*",
    };
    let mark = word(&revoking.revoked.mark);
    let ably = word(&revoking.revoked.ably);
    let causes: Vec<&str> =
        [&revoking.revoked.mark, &revoking.revoked.ably].into_iter().filter_map(failure).collect();
    let cause = (!causes.is_empty()).then(|| causes.join("; "));
    let anything_done = revoking.revoked.mark.is_done() || revoking.revoked.ably.is_done();
    match (revoking.revoked.succeeded(), anything_done) {
        (Some(true), _) => info!(target: "audit", client, mark, ably, "revoked"),
        (Some(false), true) => warn!(target: "audit", client, mark, ably, cause, "revoked in part only"),
        (Some(false), false) => warn!(target: "audit", client, mark, ably, cause, "not revoked"),
        (None, _) => warn!(target: "audit", client, mark, ably, "not revoked: nothing is configured for it"),
    }
}

fn word(half: &Half) -> &'static str {
    match half {
        Half::Done { .. } => "done",
        Half::Failed { .. } => "failed",
        Half::None { .. } => "none",
    }
}

fn failure(half: &Half) -> Option<&str> {
    match half {
        Half::Failed { message } => Some(message),
        _ => None,
    }
}
