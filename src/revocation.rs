//! Taking rights back before they run out.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use serde::Serialize;

use crate::ably::{ABLY_VERSION, ApiKey, RevokeTokens, applies_at};
use crate::client::ClientId;
use crate::http_client::{AnyHttpClient, Endpoint, HttpCall, HttpClient};
use crate::moment::Moment;
use crate::store::{Store, Whom};

/// Takes back what clients were permitted: first here, by a mark in the store, so that what they hold counts for nothing
/// until it is checked again; then at Ably, so that their connections come back for a new token.
///
/// A right is only gone if the permission check does not grant it again: withdraw it there first.
#[derive(Clone, Default)]
pub struct Revocation {
    store: Option<Store>,
    ably: Option<AblyApi>,
}

#[derive(Clone)]
struct AblyApi {
    key: ApiKey,
    url: Endpoint,
    client: AnyHttpClient,
}

/// What became of a revocation, by halves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Revoked {
    /// What clients hold here: grants up to this moment, which is a few seconds ahead as clocks differ, count for nothing
    /// until the check has permitted them again.
    pub mark: Half,
    /// Their tokens at Ably.
    pub ably: Half,
}

/// One half of a revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Half {
    /// It was done, and counts from this moment on.
    #[serde(rename_all = "camelCase")]
    Done {
        /// The mark: Unix seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        not_before: Option<u64>,
        /// When Ably begins to refuse the tokens: Unix milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        applies_at: Option<u64>,
    },
    /// It was not done, and why.
    Failed {
        /// What happened.
        message: String,
    },
    /// There is no such half.
    None {
        /// Why, and how to have one.
        message: &'static str,
    },
}

impl Revocation {
    /// One that can't do anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Marks what is revoked in this store, which the issuers have to heed.
    #[must_use]
    pub fn with_store(self, store: Store) -> Self {
        Self { store: Some(store), ..self }
    }

    /// Revokes tokens with Ably's API at this URL, where `key` issues revocable ones.
    #[must_use]
    pub fn with_ably(self, key: ApiKey, url: Endpoint, client: impl HttpClient) -> Self {
        let ably = AblyApi { key, url, client: AnyHttpClient::new(client) };
        Self { ably: Some(ably), ..self }
    }

    /// Revokes what was permitted up to now: the mark first, then Ably.
    ///
    /// A TokenRequest that was signed before can still be exchanged for two minutes. So where Ably's half is done, do it
    /// [again](Self::again) after [`Self::AGAIN_AFTER`].
    pub async fn revoke(&self, whom: &Whom, moment: &Moment) -> Revoked {
        let mark = self.mark(whom, moment.now_secs()).await;
        // also without a mark: those who come back are checked again if the store can't be read
        let ably = match whom {
            Whom::Client(client) => self.again(client).await,
            Whom::Everybody => Half::None { message: "Ably revokes tokens client by client only" },
        };
        Revoked { mark, ably }
    }

    /// How long to wait before Ably's half is done again.
    pub const AGAIN_AFTER: Duration = Duration::from_secs(125);

    /// Revokes a client's tokens at Ably only.
    pub async fn again(&self, client: &ClientId) -> Half {
        let Some(ably) = &self.ably else {
            return Half::None {
                message: "ably.revocable is not set: tokens that are out live until they expire",
            };
        };
        match ably.revoke(client).await {
            Ok(applies_at) => Half::Done { not_before: None, applies_at: Some(applies_at) },
            Err(message) => Half::Failed { message },
        }
    }

    async fn mark(&self, whom: &Whom, now: u64) -> Half {
        let Some(store) = &self.store else {
            return Half::None {
                message: "there is no [store] to note it in: grants count until they are checked again",
            };
        };
        match store.revoke(whom, now + CLOCKS_DIFFER_BY).await {
            Ok(mark) => Half::Done { not_before: Some(mark), applies_at: None },
            Err(error) => Half::Failed { message: error.to_string() },
        }
    }
}

impl Revoked {
    /// Whether all that is there to be done was done; `None` if there is nothing.
    pub fn succeeded(&self) -> Option<bool> {
        let halves = [&self.mark, &self.ably];
        if halves.iter().any(|half| matches!(half, Half::Failed { .. })) {
            return Some(false);
        }
        halves.iter().any(|half| half.is_done()).then_some(true)
    }
}

impl Half {
    /// Whether it was done.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

impl AblyApi {
    async fn revoke(&self, client: &ClientId) -> Result<u64, String> {
        let revoke = RevokeTokens { key: &self.key, client };
        let url = format!("{}{}", self.url.to_string().trim_end_matches('/'), revoke.path());
        let mut authorization =
            HeaderValue::try_from(revoke.authorization()).map_err(|error| error.to_string())?;
        authorization.set_sensitive(true);
        let request = Request::post(url)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json")
            .header("x-ably-version", ABLY_VERSION)
            .body(Bytes::from(revoke.body()))
            .map_err(|error| error.to_string())?;
        let answer = self.client.send(HttpCall::new(request, TIMEOUT)).await;
        let answer = answer.map_err(|error| format!("Ably at {}: {error}", self.url))?;
        applies_at(answer.status().as_u16(), answer.body())
    }
}

impl std::fmt::Debug for Revocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revocation")
            .field("store", &self.store.is_some())
            .field("ably", &self.ably.as_ref().map(|ably| &ably.url))
            .finish()
    }
}

/// Seconds: another instance, whose clock is ahead, may have sealed a moment ago what is revoked now.
const CLOCKS_DIFFER_BY: u64 = 5;
const TIMEOUT: Duration = Duration::from_secs(10);
