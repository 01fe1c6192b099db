//! Configuration: from a TOML text and an environment to what the service is made of.

mod assemble;
mod keyring;
mod keys;
mod problem;
mod read;
mod secrets;
mod source;
mod summary;
mod variables;

use std::net::SocketAddr;
use std::time::Duration;

pub use assemble::{AssembleError, Assembled};
pub use keyring::Keyring;
pub use problem::{ConfigError, Problem};

use problem::Place;
use secrets::Secrets;
use source::Source;

use crate::ably::{ApiKey, Format, Ttl};
use crate::authenticate::ProxyHeader;
#[cfg(feature = "jwt")]
use crate::authenticate::SessionJwt;
use crate::capability::{Capability, Vocabulary};
use crate::grant::SealingKeys;
use crate::http_client::Endpoint;
use crate::limits::Limits;
use crate::mac::Secret;
use crate::permission::{Rules, WebhookSettings};
use crate::service::{AdminAccess, CookieSettings, Page};
use crate::store::StoreUrl;

/// What a configuration may look up besides its own text. The edge has the real ones; tests and wasm bring theirs.
pub trait Environment {
    /// The value of an environment variable. One that is empty counts as unset.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file.
    ///
    /// # Errors
    /// Why it can't be read.
    fn file(&self, path: &str) -> Result<String, String>;
}

/// An environment in which nothing is set and no file exists.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEnvironment;

impl Environment for NoEnvironment {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("there are no files here".to_owned())
    }
}

/// A value from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The key that it sets, by its whole path, such as `token.format`.
    pub key: &'static str,
    /// What it is called on the command line, such as `--listen`.
    pub name: &'static str,
    /// Its value, as the environment would have it.
    pub value: String,
}

/// A configuration that is complete, consistent and not known to be insecure.
///
/// ```
/// use accrue::{Config, NoEnvironment};
///
/// let text = r#"
///     strategy = "client"
///     [ably]
///     key = "app.key:an-ably-secret"
///     [authenticate.claimed]
///     [permission.rules]
///     "chat:*" = ["subscribe"]
/// "#;
/// assert!(Config::parse("accrue.toml", text, &NoEnvironment, &[]).is_ok());
///
/// let misspelt = text.replace("strategy", "stratgy");
/// let error = Config::parse("accrue.toml", &misspelt, &NoEnvironment, &[]).unwrap_err();
/// assert!(error.to_string().starts_with("accrue.toml:2:5: unknown key \"stratgy\"; did you mean \"strategy\"?"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    listen: SocketAddr,
    admin: Option<Admin>,
    admin_token_is_unused: bool,
    log: String,
    log_format: LogFormat,
    limits: Limits,
    page: Option<Page>,
    strategy: StrategyName,
    origins: Vec<String>,
    key: ApiKey,
    key_capability: Capability,
    revocable: bool,
    rest_url: Endpoint,
    vocabulary: Vocabulary,
    format: Format,
    ttl: Duration,
    jitter: f64,
    sealing_keys: Option<SealingKeys>,
    recheck_after: Duration,
    cookies: CookieSettings,
    max_bytes: usize,
    store: Option<StoreUrl>,
    authenticate: AuthenticateBy,
    check: CheckBy,
    rules_table: Vec<String>,
    given: Rules,
    given_table: Vec<String>,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StrategyName {
    Server,
    Client,
    Cookie,
    Store,
}

/// The admin listener.
#[derive(Debug)]
struct Admin {
    listen: SocketAddr,
    token: Option<Secret>,
}

#[derive(Debug)]
enum AuthenticateBy {
    Claimed,
    Header(ProxyHeader),
    Forward {
        url: Endpoint,
        timeout: Duration,
    },
    #[cfg(feature = "jwt")]
    Jwt(SessionJwt),
}

#[derive(Debug, Default)]
enum CheckBy {
    Rules(Rules),
    Webhook(WebhookSettings),
    /// All that anybody has is given.
    #[default]
    Nobody,
}

impl Admin {
    fn access(&self) -> AdminAccess {
        if self.listen.ip().is_loopback() { AdminAccess::Loopback } else { AdminAccess::Network }
    }

    fn token(&self) -> Option<&str> {
        self.token.as_ref().and_then(|token| std::str::from_utf8(token.expose()).ok())
    }
}

impl CheckBy {
    fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

impl Config {
    /// Reads a configuration. `name` is what problems call the file. A flag beats the environment, which beats the
    /// text.
    ///
    /// # Errors
    /// [`ConfigError`] has all problems at once, each with its place and with what to write instead. None repeats
    /// a secret.
    pub fn parse(
        name: &str,
        text: &str,
        environment: &dyn Environment,
        flags: &[Flag],
    ) -> Result<Self, ConfigError> {
        let source = Source::new(name, text, environment, flags)?;
        let mut secrets = Secrets::default();
        let config = Self::read(&source, &mut secrets);
        source.finish()?;
        Ok(config.expect("what is missing has been told"))
    }

    /// Where to listen.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where to listen for whoever operates the service, if anywhere.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.listen)
    }

    /// The filter for logs, in tracing's syntax. It is not checked here.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// How logs are written.
    pub fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// What bounds the work that clients can make.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Where grants and revocations are kept, if anywhere.
    pub fn store(&self) -> Option<&StoreUrl> {
        self.store.as_ref()
    }

    /// Shows a page at `/` and listens anywhere. For a demonstration, which makes up its secrets and believes anybody:
    /// so it still answers to localhost only, and a container may forward a port to it.
    ///
    /// # Errors
    /// [`ConfigError`], if `listen` is no address with a port.
    pub fn for_demonstration(self, listen: &Flag, page: Page) -> Result<Self, ConfigError> {
        let place = Place::Flag(listen.name);
        let refuse =
            |error| ConfigError { problems: vec![Problem { place, message: format!("listen: {error}") }] };
        let listen = read::address(&listen.value).map_err(refuse)?;
        Ok(Self { listen, page: Some(page), ..self })
    }

    fn token_ttl(&self) -> Ttl {
        Ttl::from_millis(u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX))
    }
}
