//! "What is kept?": grants and revocations on the server's side, pluggable.

mod memory;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "redis")]
mod redis;
pub(crate) mod row;
mod url;

use std::fmt;
use std::sync::Arc;

pub use memory::MemoryStore;
#[cfg(feature = "redb")]
pub use redb::RedbStore;
#[cfg(feature = "redis")]
pub use redis::RedisStore;
pub use url::{StoreUrl, StoreUrlError};

use crate::client::ClientId;
use crate::maybe_send::{BoxFuture, MaybeSend, MaybeSync};

/// Keeps what clients were permitted, and up to when which of it was revoked.
///
/// For each client it keeps a set of texts, whose meaning is the issuer's. A change adds some and takes others away:
/// changes to different texts don't touch each other, so a store never reads in order to write, and two answers at once
/// lose nothing. One store serves one Ably app; where several share a database, its implementation keeps them apart.
///
/// A store that does not answer is a 503 for whoever asks, so one that talks to a network should give up after a
/// time of its own choosing. What it has acknowledged it must not lose, and of a change that fails nothing may remain
/// but the whole.
pub trait GrantStore: MaybeSend + MaybeSync + 'static {
    /// All that is kept about a client; texts that have expired may be among it.
    ///
    /// # Errors
    /// If it can't be read.
    fn read(&self, client: &ClientId) -> impl Future<Output = Result<Stored, StoreError>> + MaybeSend;

    /// Applies a change to what is kept about a client: all of it or nothing.
    ///
    /// # Errors
    /// If it can't be written.
    fn apply(
        &self,
        client: &ClientId,
        change: StoreChange,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Notes that what was permitted at or before `not_before`, in Unix seconds, is revoked, and returns the mark that
    /// counts now: that moment, but at least one second after the marks before, those for this client and for everybody. So what was
    /// permitted between two revocations is revoked, even within one second and if the second one's clock is behind. Marks are kept for
    /// [`MARKS_KEPT_FOR`] seconds at least.
    ///
    /// # Errors
    /// If it can't be written.
    fn revoke(
        &self,
        whom: &Whom,
        not_before: u64,
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Whether it can be reached.
    ///
    /// # Errors
    /// If not, and why.
    fn ready(&self) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;
}

/// For how many seconds revocations are kept: longer than any grant counts, under whatever `recheck_after` (90 days at
/// most, and twice that while the check is down).
pub const MARKS_KEPT_FOR: u64 = 181 * 24 * 3600;

/// What a store keeps about a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The texts.
    pub texts: Vec<String>,
    /// The latest mark of this client and of everybody, in Unix seconds.
    pub not_before: Option<u64>,
}

impl Stored {
    /// What is kept, of which what counts from before `not_before` is revoked.
    pub fn new(texts: Vec<String>, not_before: Option<u64>) -> Self {
        Self { texts, not_before }
    }
}

/// What to add to the texts kept about a client, and what to take away. No text is in both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreChange {
    /// To add; adding what is there changes nothing but its time.
    pub put: Vec<String>,
    /// To take away; what is not there is gone already.
    pub drop: Vec<String>,
    /// Unix seconds.
    pub now: u64,
    /// After how many seconds what is added is worth nothing and may be forgotten.
    pub keep_for: u64,
}

/// Whose rights are revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// One client's.
    Client(ClientId),
    /// All clients'.
    Everybody,
}

/// The mark that a revocation sets, given those before that what it revokes may have been permitted after: a client's own
/// and everybody's; for everybody, everybody's and the latest of any client.
fn next_mark(before: [Option<u64>; 2], not_before: u64) -> u64 {
    let after = before.into_iter().flatten().max().map(|before| before.saturating_add(1));
    not_before.max(after.unwrap_or_default())
}

/// Why a store did not answer: a text for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("store: {0}")]
pub struct StoreError(pub String);

/// A [`GrantStore`] of any kind. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<dyn AnyStore>);

impl Store {
    /// This one.
    pub fn new(store: impl GrantStore) -> Self {
        Self(Arc::new(store))
    }

    pub(crate) async fn read(&self, client: &ClientId) -> Result<Stored, StoreError> {
        self.0.read(client).await
    }

    pub(crate) async fn apply(&self, client: &ClientId, change: StoreChange) -> Result<(), StoreError> {
        self.0.apply(client, change).await
    }

    /// See [`GrantStore::revoke`].
    ///
    /// # Errors
    /// If it can't be written.
    pub async fn revoke(&self, whom: &Whom, not_before: u64) -> Result<u64, StoreError> {
        self.0.revoke(whom, not_before).await
    }

    /// See [`GrantStore::ready`].
    ///
    /// # Errors
    /// If it can't be reached.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.0.ready().await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// A store of any kind behind a pointer, so that what holds it needs no type parameter.
trait AnyStore: MaybeSend + MaybeSync {
    fn read<'a>(&'a self, client: &'a ClientId) -> BoxFuture<'a, Result<Stored, StoreError>>;
    fn apply<'a>(
        &'a self,
        client: &'a ClientId,
        change: StoreChange,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    fn revoke<'a>(&'a self, whom: &'a Whom, not_before: u64) -> BoxFuture<'a, Result<u64, StoreError>>;
    fn ready(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

impl<S: GrantStore> AnyStore for S {
    fn read<'a>(&'a self, client: &'a ClientId) -> BoxFuture<'a, Result<Stored, StoreError>> {
        Box::pin(GrantStore::read(self, client))
    }

    fn apply<'a>(
        &'a self,
        client: &'a ClientId,
        change: StoreChange,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(GrantStore::apply(self, client, change))
    }

    fn revoke<'a>(&'a self, whom: &'a Whom, not_before: u64) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(GrantStore::revoke(self, whom, not_before))
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(GrantStore::ready(self))
    }
}
