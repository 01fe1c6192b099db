//! What the admin listener leaves to be done: the second call to Ably.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use accrue::{ClientId, Half, Revocation, Revoking, Whom};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::{metrics, telemetry};

/// Revokes at Ably once more after a while: a TokenRequest that was signed before a revocation could still be exchanged.
pub(crate) struct SecondCalls {
    revocation: Revocation,
    stopping: watch::Receiver<bool>,
    pending: Mutex<JoinSet<()>>,
}

impl SecondCalls {
    /// When `stopping` says so, what is pending is done at once: better early than never.
    pub(crate) fn new(revocation: Revocation, stopping: watch::Receiver<bool>) -> Self {
        Self { revocation, stopping, pending: Mutex::default() }
    }

    /// Logs a revocation, and sees to its second call.
    pub(crate) fn follow_up(&self, revoking: &Revoking) {
        telemetry::record_revocation(revoking);
        metrics::count_revocation(&revoking.revoked);
        if let (Whom::Client(client), Half::Done { .. }) = (&revoking.whom, &revoking.revoked.ably) {
            let call = call(self.revocation.clone(), client.clone(), self.stopping.clone());
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            while pending.try_join_next().is_some() {}
            pending.spawn(call);
        }
    }

    /// Waits for what is pending.
    pub(crate) async fn finish(&self, within: Duration) {
        let mut pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if timeout(within, async { while pending.join_next().await.is_some() {} }).await.is_err() {
            error!("stopped before Ably was told again of {} revocations: revoke them again", pending.len());
        }
    }
}

async fn call(revocation: Revocation, client: ClientId, mut stopping: watch::Receiver<bool>) {
    let early = tokio::select! {
        () = sleep(Revocation::AGAIN_AFTER) => false,
        _ = stopping.wait_for(|stopping| *stopping) => true,
    };
    let half = revocation.again(&client).await;
    metrics::count_half("ably", &half);
    match half {
        Half::Done { .. } if early => warn!(
            target: "audit",
            client = client.as_str(),
            "revoked at Ably once more, but early, as the service stops: revoke this client again in two minutes"
        ),
        Half::Done { .. } => info!(target: "audit", client = client.as_str(), "revoked at Ably once more"),
        Half::Failed { message } => {
            error!(
                client = client.as_str(),
                "Ably was not told again, so revoke this client again: {message}"
            );
        }
        Half::None { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use accrue::ably::ApiKey;
    use accrue::{Endpoint, HttpCall, HttpClient, HttpClientError, Moment};
    use bytes::Bytes;
    use http::Response;
    use tokio::time::{Instant, advance};

    use super::*;

    /// An Ably that does as it is told, and counts.
    #[derive(Clone, Default)]
    struct Ably(Arc<AtomicUsize>);

    impl HttpClient for Ably {
        async fn send(&self, _: HttpCall) -> Result<Response<Bytes>, HttpClientError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let body = r#"{"successCount":1,"failureCount":0,"results":[{"target":"clientId:alice","appliesAt":1}]}"#;
            Ok(Response::builder().status(201).body(Bytes::from(body)).expect("well-formed"))
        }
    }

    async fn revoked(ably: &Ably) -> (SecondCalls, watch::Sender<bool>) {
        let (stop, stopping) = watch::channel(false);
        let key = ApiKey::parse("app.key:s").expect("well-formed");
        let url = Endpoint::parse("https://ably.example").expect("well-formed");
        let revocation = Revocation::new().with_ably(key, url, ably.clone());
        let whom = Whom::Client(ClientId::try_from("alice").expect("well-formed"));
        let revoked = revocation.revoke(&whom, &Moment::new(1_700_000_000_000, [0; 32])).await;
        let calls = SecondCalls::new(revocation, stopping);
        calls.follow_up(&Revoking::new(whom, revoked));
        (calls, stop)
    }

    #[tokio::test(start_paused = true)]
    async fn ably_is_told_again_when_no_token_request_from_before_is_good_any_more() {
        let ably = Ably::default();
        let (calls, _stop) = revoked(&ably).await;
        assert_eq!(ably.0.load(Ordering::Relaxed), 1);
        tokio::task::yield_now().await;
        advance(Duration::from_secs(124)).await;
        tokio::task::yield_now().await;
        assert_eq!(ably.0.load(Ordering::Relaxed), 1);
        advance(Duration::from_secs(2)).await;
        calls.finish(Duration::from_secs(1)).await;
        assert_eq!(ably.0.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_service_stops_it_is_done_at_once() {
        let ably = Ably::default();
        let (calls, stop) = revoked(&ably).await;
        let started = Instant::now();
        stop.send(true).expect("somebody listens");
        calls.finish(Duration::from_secs(1)).await;
        assert_eq!(ably.0.load(Ordering::Relaxed), 2);
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}
