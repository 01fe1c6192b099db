use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Request, StatusCode};
use jsonwebtoken::Algorithm;
use tokio::sync::{Mutex, MutexGuard};

use super::key_set::KeySet;
use crate::authenticate::Unauthenticated;
use crate::http_client::{AnyHttpClient, Endpoint, HttpCall, HttpClient};
use crate::maybe_send::{BoxFuture, MaybeSend};

/// A JSON Web Key Set that somebody else publishes, and the last good copy of it.
pub(super) struct RemoteKeys {
    url: Endpoint,
    /// None yet, while a configuration is read.
    client: Option<AnyHttpClient>,
    algorithms: Vec<Algorithm>,
    good: RwLock<Option<Fetched>>,
    /// Whoever holds this fetches; others who can't do without wait for it.
    last: Mutex<Attempt>,
}

#[derive(Clone)]
struct Fetched {
    set: Arc<KeySet>,
    /// Unix seconds.
    at: u64,
}

#[derive(Default)]
struct Attempt {
    /// Unix seconds.
    at: Option<u64>,
    /// Not done yet. Whoever began it may go away, and must not take it along: others wait for it, and it may be the
    /// only one for a minute.
    pending: Option<BoxFuture<'static, Result<KeySet, String>>>,
    /// Why it failed.
    error: Option<String>,
}

impl RemoteKeys {
    pub(super) fn new(url: Endpoint, algorithms: Vec<Algorithm>) -> Self {
        Self { url, client: None, algorithms, good: RwLock::default(), last: Mutex::default() }
    }

    pub(super) fn through(&self, client: impl HttpClient) -> Self {
        let fresh = Self::new(self.url.clone(), self.algorithms.clone());
        Self { client: Some(AnyHttpClient::new(client)), ..fresh }
    }

    pub(super) fn url(&self) -> &Endpoint {
        &self.url
    }

    /// The set to look for this key in, fetched if need be.
    pub(super) async fn set_for(&self, kid: Option<&str>, now: u64) -> Result<Arc<KeySet>, Unauthenticated> {
        let known = |fetched: &Fetched| fetched.set.find(kid).is_some();
        let Some(fetched) = self.good().filter(known) else {
            let mut last = self.last.lock().await;
            // somebody else may have fetched it meanwhile
            return match self.good().filter(known) {
                Some(fetched) => Ok(fetched.set),
                None => self.fetch(&mut last, now).await,
            };
        };
        // Whoever comes first pays for it, and nobody waits for that one. A clock that was ahead when the set was fetched,
        // and is right now, must not keep it until it is there again.
        if now.abs_diff(fetched.at) >= RENEW_AFTER
            && let Ok(mut last) = self.last.try_lock()
        {
            return self.fetch(&mut last, now).await.or(Ok(fetched.set));
        }
        Ok(fetched.set)
    }

    /// Whether there is a set, good or not.
    pub(super) async fn ready(&self, now: u64) -> Result<(), Unauthenticated> {
        match self.good() {
            Some(_) => Ok(()),
            None => self.fetch(&mut self.last.lock().await, now).await.map(drop),
        }
    }

    /// Fetches the set, unless that was tried a moment ago. The last good one does if it can't be had.
    async fn fetch(
        &self,
        last: &mut MutexGuard<'_, Attempt>,
        now: u64,
    ) -> Result<Arc<KeySet>, Unauthenticated> {
        let can_wait = self.good().is_some() && last.pending.is_none();
        let pause = if can_wait { PAUSE } else { PAUSE_WITHOUT_ANY };
        // a clock that was set back must not make this wait for it to catch up
        if last.at.is_none_or(|at| now.abs_diff(at) >= pause) {
            last.at = Some(now);
            last.pending = Some(Box::pin(self.get()));
        }
        if let Some(pending) = &mut last.pending {
            let outcome = pending.await;
            last.pending = None;
            last.error = match outcome {
                Ok(set) => {
                    let fetched = Fetched { set: Arc::new(set), at: now };
                    *self.good.write().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
                    None
                }
                Err(error) => Some(error),
            };
        }
        match (self.good(), &last.error) {
            // it may be in the set that could not be had
            (_, Some(error)) => Err(Unauthenticated::Unavailable(format!("{}: {error}", self.url))),
            (Some(fetched), None) => Ok(fetched.set),
            (None, None) => Err(Unauthenticated::Unavailable(format!("{}: not fetched yet", self.url))),
        }
    }

    /// Owns what it needs, so that it outlives whoever begins it.
    fn get(&self) -> impl Future<Output = Result<KeySet, String>> + MaybeSend + use<> {
        let request = Request::get(self.url.uri()).header(ACCEPT, "application/json").body(Bytes::new());
        let (client, algorithms) = (self.client.clone(), self.algorithms.clone());
        async move {
            let request = request.map_err(|error| error.to_string())?;
            let client = client.ok_or("there is no client to fetch it with")?;
            let call = HttpCall { same_for_all: true, ..HttpCall::new(request, TIMEOUT) };
            let answer = client.send(call).await;
            let answer = answer.map_err(|error| error.to_string())?;
            if answer.status() != StatusCode::OK {
                return Err(format!("answered {}", answer.status()));
            }
            KeySet::jwks(answer.body(), &algorithms).map_err(|error| error.to_string())
        }
    }

    fn good(&self) -> Option<Fetched> {
        self.good.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Seconds between two attempts, while there is a set to do with.
const PAUSE: u64 = 60;
/// The same while there is none.
const PAUSE_WITHOUT_ANY: u64 = 5;
/// Seconds.
const RENEW_AFTER: u64 = 3600;
const TIMEOUT: Duration = Duration::from_secs(5);
