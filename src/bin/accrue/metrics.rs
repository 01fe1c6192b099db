//! What `/metrics` shows. Labels hold names of ours and of the configuration's, never what a request says.

use std::sync::Arc;
use std::time::Duration;

use accrue::{Half, Outcome, OutcomeKind, Revoked, Unreadable};
use metrics::{
    Counter, Histogram, SharedString, Unit, counter, describe_counter, describe_histogram, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Counts what becomes of requests. What every request counts is looked up once.
pub(crate) struct Metrics {
    handle: PrometheusHandle,
    requests: [(OutcomeKind, Counter); OutcomeKind::ALL.len()],
    request_seconds: Histogram,
    authenticate_seconds: Histogram,
    recall_seconds: Histogram,
    check_phase_seconds: Histogram,
    remember_seconds: Histogram,
    cookie_bytes: Histogram,
}

impl Metrics {
    /// Starts counting. Without this, counting does nothing and costs nothing.
    pub(crate) fn start() -> Result<Self, String> {
        let cannot = |error: &dyn std::fmt::Display| format!("can't count: {error}");
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("seconds".to_owned()), SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("bytes".to_owned()), BYTES))
            .map_err(|error| cannot(&error))?
            .install_recorder()
            .map_err(|error| cannot(&error))?;

        describe_counter!(REQUESTS, "Requests, by what became of them");
        describe_histogram!(
            REQUEST_SECONDS,
            Unit::Seconds,
            "Time from a request's head to its answer, for /auth"
        );
        describe_histogram!(
            PHASE_SECONDS,
            Unit::Seconds,
            "Time for the parts of a request that wait for others"
        );
        describe_histogram!(CHECK_SECONDS, Unit::Seconds, "Time for an answer of the permission check");
        describe_counter!(VERIFIED, "Grants that verified, by the kid of the secret that sealed them");
        describe_counter!(REJECTED, "Grants that do not count, by reason");
        describe_histogram!(COOKIE_BYTES, Unit::Bytes, "What a client carries after an answer");
        describe_counter!(REVOCATIONS, "Revocations, by half and by what became of it");
        let phase = |phase: &'static str| histogram!(PHASE_SECONDS, "phase" => phase);
        Ok(Self {
            handle,
            requests: OutcomeKind::ALL.map(|kind| {
                let requests = counter!(REQUESTS, "outcome" => kind.as_str());
                // so that what never happened is seen to be zero
                requests.increment(0);
                (kind, requests)
            }),
            request_seconds: histogram!(REQUEST_SECONDS),
            authenticate_seconds: phase("authenticate"),
            recall_seconds: phase("recall"),
            check_phase_seconds: phase("check"),
            remember_seconds: phase("remember"),
            cookie_bytes: histogram!(COOKIE_BYTES),
        })
    }

    /// What shows the counts.
    pub(crate) fn handle(&self) -> &PrometheusHandle {
        &self.handle
    }

    pub(crate) fn count(&self, outcome: &Outcome, took: Duration) {
        if let Some((_, requests)) = self.requests.iter().find(|(kind, _)| *kind == outcome.kind) {
            requests.increment(1);
        }
        if outcome.route != "/auth" {
            return;
        }
        self.request_seconds.record(took);
        let report = &outcome.report;
        for (seconds, took) in [
            (&self.authenticate_seconds, outcome.authenticating),
            (&self.recall_seconds, report.took.recall),
            (&self.check_phase_seconds, report.took.check),
            (&self.remember_seconds, report.took.remember),
        ] {
            if let Some(took) = took {
                seconds.record(took);
            }
        }
        if let (Some(check), Some(took)) = (report.check, report.took.check) {
            histogram!(CHECK_SECONDS, "check" => check).record(took);
        }
        for grant in &report.grants {
            match grant {
                Ok(kid) => counter!(VERIFIED, "kid" => SharedString::from(Arc::clone(kid))).increment(1),
                Err(reason) => counter!(REJECTED, "reason" => name(*reason)).increment(1),
            }
        }
        if let Some(carried) = outcome.carried {
            #[expect(clippy::cast_precision_loss, reason = "a few kilobytes")]
            self.cookie_bytes.record(carried.bytes as f64);
        }
    }
}

pub(crate) fn count_revocation(revoked: &Revoked) {
    for (half, what) in [("mark", &revoked.mark), ("ably", &revoked.ably)] {
        count_half(half, what);
    }
}

pub(crate) fn count_half(half: &'static str, what: &Half) {
    let result = match what {
        Half::Done { .. } => "done",
        Half::Failed { .. } => "failed",
        Half::None { .. } => return,
    };
    counter!(REVOCATIONS, "half" => half, "result" => result).increment(1);
}

fn name(reason: Unreadable) -> &'static str {
    match reason {
        Unreadable::Malformed => "malformed",
        Unreadable::UnknownKid => "unknown-kid",
        Unreadable::Digest => "digest",
        Unreadable::FromTheFuture => "from-the-future",
        Unreadable::Contents => "contents",
        Unreadable::Patterns => "patterns",
        _ => "other",
    }
}

const REQUESTS: &str = "accrue_requests_total";
const REQUEST_SECONDS: &str = "accrue_request_duration_seconds";
const PHASE_SECONDS: &str = "accrue_phase_duration_seconds";
const CHECK_SECONDS: &str = "accrue_check_duration_seconds";
const VERIFIED: &str = "accrue_grants_verified_total";
const REJECTED: &str = "accrue_grants_rejected_total";
const COOKIE_BYTES: &str = "accrue_cookie_bytes";
const REVOCATIONS: &str = "accrue_revocations_total";
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0,
];
const BYTES: &[f64] = &[128.0, 256.0, 512.0, 1024.0, 2048.0, 2560.0, 4096.0, 8192.0, 16384.0];
