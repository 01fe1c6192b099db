use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    pipe,
};
use rustls::crypto::{CryptoProvider, ring};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::{GrantStore, MARKS_KEPT_FOR, StoreChange, StoreError, Stored, Whom};
use crate::client::ClientId;

/// For how long an answer is waited for, connecting included: an answer takes milliseconds, and whoever waits here is
/// a client that wants to connect, and a place among the requests in flight.
const PATIENCE: Duration = Duration::from_secs(2);

/// Keeps everything in Redis (6.2 or newer, or Valkey), for any number of processes. Clones share one connection.
///
/// It connects at first use and again after any error, so it can be made while Redis is away. An answer that does not
/// come within two seconds is an error (twice that if the connection is lost meanwhile, as the question is then put a
/// second time).
///
/// What Redis acknowledges is as durable as its configuration: `appendonly yes` with `appendfsync always` loses nothing,
/// the default of a snapshot now and then loses what came after the last one, revocations too. Of the `maxmemory-policy`s
/// only `noeviction` keeps what was acknowledged. Not for Redis Cluster.
///
/// The keys start with `accrue:`, the app's id and a colon: `…grants:CLIENTID` holds a client's texts, `…mark:CLIENTID`
/// `…everybody` and `…latest` the revocations. Each is gone by itself when it is worth nothing any more.
///
/// It has to be used within a tokio runtime.
///
/// ```no_run
/// use accrue::{ClientId, GrantStore, RedisStore, Whom};
///
/// # async fn revoke() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::new("rediss://accrue:password@redis.example.com:6379/0", "appId")?;
/// store.ready().await?;
/// let alice = ClientId::try_from("alice")?;
/// store.revoke(&Whom::Client(alice.clone()), 1_700_000_000).await?;
/// assert_eq!(store.read(&alice).await?.not_before, Some(1_700_000_000));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisStore(Arc<Shared>);

struct Shared {
    client: Client,
    app: String,
    connection: Mutex<Arc<OnceCell<MultiplexedConnection>>>,
}

impl RedisStore {
    /// For `redis://USER:PASSWORD@HOST:PORT/DB`, or the same with `rediss://` for TLS, of which all but the host may be
    /// left out, and for the Ably app with this id (an API key's name up to the dot). It does not connect yet.
    ///
    /// The server's certificate must be trusted by the system; where rustls looks for that can be set with
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR`. If the process has no default [`CryptoProvider`] for rustls yet, the first
    /// `rediss://` URL makes it ring's.
    ///
    /// # Errors
    /// If the URL is not such a one. The error does not repeat it.
    pub fn new(url: &str, app_id: &str) -> Result<Self, StoreError> {
        if !(url.starts_with("redis://") || url.starts_with("rediss://")) || url.contains('#') {
            let shape = "redis://USER:PASSWORD@HOST:PORT/DB, or rediss:// for TLS";
            return Err(StoreError(format!("the URL has to be {shape}, without a fragment")));
        }
        let invalid = |error: RedisError| StoreError(format!("the URL is not valid: {error}"));
        let info = url.into_connection_info().map_err(invalid)?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) && CryptoProvider::get_default().is_none() {
            // whoever was faster has set one, too
            let _ = ring::default_provider().install_default();
        }
        let client = Client::open(info).map_err(invalid)?;
        Ok(Self(Arc::new(Shared { client, app: app_id.to_owned(), connection: Mutex::default() })))
    }

    /// Puts a question, a second time if that is how a lost connection was found out: all of them may be repeated.
    async fn ask<T: FromRedisValue>(&self, question: &Pipeline) -> Result<T, StoreError> {
        match self.ask_once(question).await {
            Err(Some(error)) if error.is_connection_dropped() => self.ask_once(question).await,
            answer => answer,
        }
        .map_err(|error| {
            let server = self.0.client.get_connection_info().addr();
            StoreError(match error {
                Some(error) => format!("{server}: {error}"),
                None => format!("{server}: no answer within {} s", PATIENCE.as_secs()),
            })
        })
    }

    async fn ask_once<T: FromRedisValue>(&self, question: &Pipeline) -> Result<T, Option<RedisError>> {
        let current = || self.0.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = Arc::clone(&current());
        let answer = timeout(PATIENCE, async {
            let mut connected = connection.get_or_try_init(|| self.connect()).await?.clone();
            question.query_async(&mut connected).await
        });
        let answer = answer.await.map_or(Err(None), |answer| answer.map_err(Some));
        if answer.is_err() {
            // whatever it was: the connection may hang, or lead to what has become a replica
            let mut current = current();
            if Arc::ptr_eq(&current, &connection) {
                *current = Arc::default();
            }
        }
        answer
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        // whoever asks has the patience, or not
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        self.0.client.get_multiplexed_async_connection_with_config(&config).await
    }

    fn texts(&self, client: &ClientId) -> String {
        // an app's id has no colon, so no two keys are alike
        format!("accrue:{}:grants:{client}", self.0.app)
    }

    fn mark(&self, client: &ClientId) -> String {
        format!("accrue:{}:mark:{client}", self.0.app)
    }

    /// The latest mark of all, whoever's it is.
    fn latest(&self) -> String {
        format!("accrue:{}:latest", self.0.app)
    }

    fn everybody(&self) -> String {
        format!("accrue:{}:everybody", self.0.app)
    }
}

/// The only member of the sorted sets that hold marks: their scores can be raised in one step, and never lowered.
const MARK: &str = "not_before";

impl GrantStore for RedisStore {
    async fn read(&self, client: &ClientId) -> Result<Stored, StoreError> {
        let mut question = pipe();
        question.smembers(self.texts(client));
        question.zscore(self.mark(client), MARK).zscore(self.everybody(), MARK);
        let (texts, mark, everybody): (_, Option<f64>, Option<f64>) = self.ask(&question).await?;
        let not_before = mark.into_iter().chain(everybody).map(|mark| mark as u64).max();
        Ok(Stored { texts, not_before })
    }

    async fn apply(&self, client: &ClientId, change: StoreChange) -> Result<(), StoreError> {
        let key = self.texts(client);
        let mut question = pipe();
        question.atomic();
        if !change.drop.is_empty() {
            question.srem(&key, change.drop).ignore();
        }
        if !change.put.is_empty() {
            question.sadd(&key, change.put).ignore();
            question.cmd("EXPIRE").arg(&key).arg(change.keep_for).ignore();
        }
        if question.is_empty() { Ok(()) } else { self.ask(&question).await }
    }

    async fn revoke(&self, whom: &Whom, not_before: u64) -> Result<u64, StoreError> {
        let key = match whom {
            Whom::Client(client) => self.mark(client),
            Whom::Everybody => self.everybody(),
        };
        let mut question = pipe();
        question.atomic();
        let (everybody, latest) = (self.everybody(), self.latest());
        let other = if key == everybody { &latest } else { &everybody };
        // one more than the later of what both were, and at least this
        question.zunionstore_max(&key, &[&key, other]).ignore();
        question.zincr(&key, MARK, 1).ignore();
        question.cmd("ZADD").arg(&key).arg("GT").arg(not_before).arg(MARK).ignore();
        question.zunionstore_max(&latest, &[&latest, &key]).ignore();
        question.cmd("EXPIRE").arg(&key).arg(MARKS_KEPT_FOR).ignore();
        question.cmd("EXPIRE").arg(&latest).arg(MARKS_KEPT_FOR).ignore();
        question.zscore(&key, MARK);
        let (mark,): (f64,) = self.ask(&question).await?;
        Ok(mark as u64)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.ask(pipe().cmd("PING").ignore()).await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.0.client.get_connection_info().addr().to_string();
        f.debug_struct("RedisStore").field("server", &server).finish_non_exhaustive()
    }
}
