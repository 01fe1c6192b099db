//! Configuration: from a TOML text and an environment to what the service is made of.

mod assemble;
mod keys;
mod problem;
mod secrets;
mod source;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use problem::{ConfigError, Problem};

use keys::{KEYS, variable};
use secrets::Secrets;
use source::Source;

use crate::ably::{ApiKey, Format, Ttl};
use crate::authenticate::ProxyHeader;
#[cfg(feature = "jwt")]
use crate::authenticate::SessionJwt;
use crate::capability::{Capability, Vocabulary};
use crate::grant::{SealingKeys, SealingSecret};
use crate::limits::Limits;
use crate::nearest::nearest;
use crate::permission::Rules;
use crate::service::{CookieSettings, Origins, Page};

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

/// A configuration that is complete, consistent and not known to be insecure.
///
/// ```
/// use accrue::{Config, NoEnvironment};
///
/// let text = r#"
///     [ably]
///     key = "app.key:an-ably-secret"
///     [grant]
///     secrets = ["k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY"]
///     [authenticate.header]
///     name = "x-client-id"
///     proxy_secret = "something long that only the proxy has"
///     [permission.rules]
///     "chat:*" = ["subscribe"]
/// "#;
/// assert!(Config::parse("accrue.toml", text, &NoEnvironment, &[]).is_ok());
///
/// let error = Config::parse("accrue.toml", &text.replace("secrets", "secret"), &NoEnvironment, &[]).unwrap_err();
/// assert!(error.to_string().starts_with("accrue.toml:5:5: unknown key \"grant.secret\"; did you mean \"secrets\"?"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Filter for logs, in tracing's syntax.
    pub log: String,
    /// How logs are written.
    pub log_format: LogFormat,
    /// What bounds the work that clients can make.
    pub limits: Limits,
    /// A page to be shown at `/`. Not configurable: a demonstration sets it.
    pub page: Option<Page>,
    strategy: StrategyName,
    origins: Vec<String>,
    key: ApiKey,
    key_capability: Capability,
    vocabulary: Vocabulary,
    format: Format,
    ttl: Duration,
    jitter: f64,
    sealing_keys: Option<SealingKeys>,
    recheck_after: Duration,
    cookies: CookieSettings,
    max_bytes: usize,
    authenticate: AuthenticateBy,
    rules: Option<Rules>,
    rules_table: Vec<String>,
    given: Rules,
    given_table: Vec<String>,
}

/// What grants and tokens are signed with; see [`Config::parse_keyring`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Keyring {
    /// Signs tokens.
    pub ably_key: Option<ApiKey>,
    /// Seal grants; only with an Ably key, which says what app they are for.
    pub sealing_keys: Option<SealingKeys>,
    /// Which operations are well-formed.
    pub vocabulary: Vocabulary,
    /// After how long a grant is checked again.
    pub recheck_after: Duration,
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
}

#[derive(Debug)]
enum AuthenticateBy {
    Claimed,
    Header(ProxyHeader),
    #[cfg(feature = "jwt")]
    Jwt(SessionJwt),
}

impl Config {
    /// Reads a configuration. `name` is what problems call the file; a flag is a path, the name of the flag, and its
    /// value, and beats the environment, which beats the text.
    ///
    /// # Errors
    /// [`ConfigError`] has all problems at once, each with its place and with what to write instead. None repeats
    /// a secret.
    pub fn parse(
        name: &str,
        text: &str,
        environment: &dyn Environment,
        flags: &[(&'static str, &'static str, String)],
    ) -> Result<Self, ConfigError> {
        let source = Source::new(name, text, environment, flags)?;
        let mut secrets = Secrets::default();
        let config = Self::read(&source, environment, &mut secrets);
        source.finish()?;
        Ok(config.expect("what is missing has been told"))
    }

    fn read(source: &Source<'_>, environment: &dyn Environment, secrets: &mut Secrets) -> Option<Self> {
        let listen = read_listen(source, environment);
        let strategy = choice(
            source,
            "strategy",
            &[
                ("cookie", StrategyName::Cookie),
                ("client", StrategyName::Client),
                ("server", StrategyName::Server),
            ],
        );
        let log_format =
            choice(source, "log_format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
        let origins = source.list("origins").unwrap_or_default();
        if let Err(error) = Origins::new(&origins) {
            source.refuse("origins", format!("origins: {error}"));
        }

        let key = read_key(source, secrets);
        let vocabulary = read_vocabulary(source);
        let key_capability = read_capability(source, "ably.capability", &vocabulary);

        let revocable = source.boolean("ably.revocable", false);
        let longest = if revocable { "60m" } else { "24h" };
        let ttl = source.duration("token.ttl", "60m", "1s", longest);
        let sealing_keys = read_sealing_keys(source, key.as_ref(), strategy, secrets);

        let cookies = read_cookies(source, listen);
        let max_bytes = source.whole("cookie.max_bytes", 2560, 256..4097);
        let authenticate = read_authenticate(source, listen, secrets);

        let (given, given_table) = read_rules(source, "given", &vocabulary);
        let (rules, rules_table) = read_rules(source, "permission.rules", &vocabulary);
        let rules = source.has("permission.rules").then_some(rules);
        if rules.is_none() && (strategy != StrategyName::Server || given.is_empty()) {
            source.refuse(
                "permission",
                "there is no permission check: add [permission.rules], or strategy = \"server\" with [given] if that is all anybody gets",
            );
        }

        Some(Self {
            listen,
            log: source.text("log").unwrap_or_else(|| "info".to_owned()),
            log_format,
            limits: read_limits(source),
            page: None,
            strategy,
            origins,
            key: key?,
            key_capability,
            vocabulary,
            format: choice(source, "token.format", &[("request", Format::Request), ("jwt", Format::Jwt)]),
            ttl,
            jitter: source.fraction("token.jitter", 0.1, 0.5),
            sealing_keys,
            recheck_after: read_recheck_after(source),
            cookies,
            max_bytes,
            authenticate: authenticate?,
            rules,
            rules_table,
            given,
            given_table,
        })
    }

    /// Only what grants and tokens are signed with, so far as it is there: to explain one, not to serve.
    ///
    /// # Errors
    /// [`ConfigError`], if what is there is malformed.
    pub fn parse_keyring(
        name: &str,
        text: &str,
        environment: &dyn Environment,
    ) -> Result<Keyring, ConfigError> {
        let source = Source::new(name, text, environment, &[])?;
        let key = if source.is_set("ably.key") { read_key(&source, &mut Secrets::default()) } else { None };
        let keyring = Keyring {
            sealing_keys: match &key {
                Some(key) => {
                    read_sealing_keys(&source, Some(key), StrategyName::Server, &mut Secrets::default())
                }
                None => None,
            },
            vocabulary: read_vocabulary(&source),
            recheck_after: read_recheck_after(&source),
            ably_key: key,
        };
        source.finish()?;
        Ok(keyring)
    }

    /// Names of variables that begin with `ACCRUE_` but set nothing, with the one that may have been meant.
    pub fn misspelt<'v>(variables: impl IntoIterator<Item = &'v str>) -> Vec<(&'v str, String)> {
        let known: Vec<String> =
            KEYS.iter().map(|key| variable(key)).chain(["ACCRUE_SECRETS".to_owned()]).collect();
        variables
            .into_iter()
            .filter(|name| name.starts_with("ACCRUE_"))
            .filter(|name| !known.iter().any(|known| known == name || *name == format!("{known}_FILE")))
            .filter_map(|name| {
                // names are alike in their beginnings, so only the rest tells
                let rest = |name: &str| name["ACCRUE_".len()..].to_lowercase();
                let rests: Vec<String> = known.iter().map(|name| rest(name)).collect();
                let near = nearest(&rest(name), rests.iter().map(String::as_str))?;
                Some((name, format!("ACCRUE_{}", near.to_uppercase())))
            })
            .collect()
    }

    fn token_ttl(&self) -> Ttl {
        Ttl::from_millis(u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX))
    }

    /// What is worth a second look, though it is not refused.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let ttl = humantime::format_duration(self.ttl);
        if self.given.is_empty() {
            warnings.push(
                "nothing is given: a first connect that wishes for nothing will be refused (40160); list under [given] what every client gets".to_owned(),
            );
        }
        if self.strategy == StrategyName::Cookie {
            if self.recheck_after <= self.ttl {
                warnings.push(format!(
                    "grant.recheck_after ({}) is not above token.ttl ({ttl}): every renewal asks the check again",
                    humantime::format_duration(self.recheck_after)
                ));
            }
            warnings.push(format!(
                "a permission that is withdrawn is gone from every token after {} at most (recheck_after + ttl); while the check is down, after {} (twice recheck_after + 5 minutes)",
                humantime::format_duration(self.recheck_after + self.ttl),
                humantime::format_duration(self.recheck_after * 2 + Duration::from_secs(300)),
            ));
        } else {
            warnings.push(format!(
                "a permission that is withdrawn is gone from every token after {ttl} at most (ttl)"
            ));
        }
        warnings
    }
}

/// What it amounts to, secrets redacted.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: String| writeln!(f, "{name:<16}{value}");
        let duration = |duration: Duration| humantime::format_duration(duration).to_string();
        let list = |items: &[String]| {
            if items.is_empty() { "none".to_owned() } else { items.join("\n                ") }
        };

        line("listen", self.listen.to_string())?;
        line("ably key", format!("{} (secret redacted), may do {}", self.key.name(), self.key_capability))?;
        line(
            "strategy",
            match self.strategy {
                StrategyName::Cookie => "cookie: grants are kept by the client, sealed, and checked only where new or older than recheck_after",
                StrategyName::Client => "client: the client lists all it needs each time, and all of it is checked; nothing is kept",
                StrategyName::Server => "server: the check decides everything each time, wishes are not read; nothing is kept",
            }
            .to_owned(),
        )?;
        if let (StrategyName::Cookie, Some(keys)) = (self.strategy, &self.sealing_keys) {
            let kids: Vec<&str> = keys.kids().collect();
            line(
                "grant",
                format!(
                    "secrets {} (the first seals, all verify), recheck_after {}",
                    kids.join(", "),
                    duration(self.recheck_after)
                ),
            )?;
            let same_site =
                if self.cookies.cross_site { "SameSite=None; Partitioned" } else { "SameSite=Strict" };
            let secure = if self.cookies.secure { "Secure; " } else { "" };
            line(
                "cookie",
                format!(
                    "{}*, {secure}HttpOnly; {same_site}; Path=/; {} bytes at most",
                    self.cookies.prefix(),
                    self.max_bytes
                ),
            )?;
        }
        let format = match self.format {
            Format::Request => "TokenRequest",
            Format::Jwt => "JWT up to 7 KiB, TokenRequest beyond",
        };
        line(
            "token",
            format!(
                "{format}, ttl {}, shortened by up to {} %",
                duration(self.ttl),
                (self.jitter * 100.0).round()
            ),
        )?;
        line("authenticate", self.authenticate.to_string())?;
        line(
            "origins",
            if self.origins.is_empty() {
                "the service's own only".to_owned()
            } else {
                format!("the service's own, {}", self.origins.join(", "))
            },
        )?;
        line("given", list(&self.given_table))?;
        line(
            "may be asked",
            match (&self.rules, self.strategy) {
                (None, _) => "nothing".to_owned(),
                (Some(_), _) => list(&self.rules_table),
            },
        )?;
        let limits = &self.limits;
        line(
            "limits",
            format!(
                "{} connections, {} requests in flight; timeouts: head {}, body {}, drain {}",
                limits.connections,
                limits.requests,
                duration(limits.header_timeout),
                duration(limits.body_timeout),
                duration(limits.drain_timeout)
            ),
        )?;
        line(
            "log",
            format!("{} as {}", self.log, if self.log_format == LogFormat::Json { "JSON" } else { "text" }),
        )
    }
}

impl fmt::Display for AuthenticateBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claimed => f.write_str("claimed: whoever says so, on localhost only"),
            Self::Header(header) => write!(
                f,
                "header: {}, with the proxy's secret in {}",
                header.name(),
                ProxyHeader::SECRET_HEADER
            ),
            #[cfg(feature = "jwt")]
            Self::Jwt(jwt) => write!(f, "jwt: {jwt}"),
        }
    }
}

fn read_listen(source: &Source<'_>, environment: &dyn Environment) -> SocketAddr {
    let default = SocketAddr::from(([127, 0, 0, 1], 8080));
    if !source.is_set("listen") {
        let Some(port) = environment.variable("PORT") else { return default };
        return port.parse().map_or_else(
            |_| {
                source.refuse("listen", format!("PORT: {port:?} is not a port number"));
                default
            },
            |port: u16| SocketAddr::from(([0, 0, 0, 0], port)),
        );
    }
    let parse = |text: &str| {
        text.replacen("localhost:", "127.0.0.1:", 1).parse().map_err(|_| {
            format!("listen: {text:?} is not ADDRESS:PORT, such as \"127.0.0.1:8080\" or \"0.0.0.0:8080\"")
        })
    };
    source.parsed("listen", parse).unwrap_or(default)
}

fn choice<T: Copy>(source: &Source<'_>, path: &str, choices: &[(&str, T)]) -> T {
    let find = |text: &str| choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
    source
        .parsed(path, |text| find(text).ok_or_else(|| format!("{path} must be one of {}", names.join(", "))))
        .unwrap_or(choices[0].1)
}

fn read_key(source: &Source<'_>, secrets: &mut Secrets) -> Option<ApiKey> {
    if !source.is_set("ably.key") {
        source.refuse(
            "ably.key",
            "there is no Ably key: set ABLY_API_KEY to appId.keyId:secret, from the Ably dashboard",
        );
        return None;
    }
    let text = source.text("ably.key")?;
    match ApiKey::parse(&text) {
        Ok(key) => {
            secrets.note("ably.key", &text);
            if let Some((_, secret)) = text.split_once(':') {
                secrets.note("ably.key", secret);
            }
            Some(key)
        }
        Err(error) => {
            source.refuse("ably.key", format!("ably.key: {error}"));
            None
        }
    }
}

fn read_sealing_keys(
    source: &Source<'_>,
    key: Option<&ApiKey>,
    strategy: StrategyName,
    secrets: &mut Secrets,
) -> Option<SealingKeys> {
    let refuse = |message: String| source.refuse("grant.secrets", message);
    let texts = source.list("grant.secrets").unwrap_or_default();
    if texts.is_empty() {
        if strategy == StrategyName::Cookie {
            refuse("there is no sealing secret, which strategy \"cookie\" needs: set ACCRUE_SECRETS to what `accrue keygen` prints".to_owned());
        }
        return None;
    }
    let mut sealing = Vec::new();
    for text in &texts {
        match SealingSecret::parse(text) {
            Ok(secret) => sealing.push(secret),
            Err(error) => refuse(format!("grant.secrets: {error}")),
        }
        if let Some((_, secret)) = text.split_once(':')
            && let Err(error) = secrets.add("grant.secrets", secret, 0)
        {
            refuse(error);
        }
    }
    if sealing.len() < texts.len() {
        return None;
    }
    SealingKeys::new(key?, sealing).map_err(|error| refuse(format!("grant.secrets: {error}"))).ok()
}

fn read_vocabulary(source: &Source<'_>) -> Vocabulary {
    let path = "ably.extra_operations";
    Vocabulary::with_extra(source.list(path).unwrap_or_default()).unwrap_or_else(|error| {
        source.refuse(path, format!("{path}: {error}"));
        Vocabulary::default()
    })
}

fn read_recheck_after(source: &Source<'_>) -> Duration {
    source.duration("grant.recheck_after", "8h", "10m", "90d")
}

fn read_capability(source: &Source<'_>, path: &str, vocabulary: &Vocabulary) -> Capability {
    let everything = || Capability::parse(r#"{"*":["*"]}"#, vocabulary).expect("well-formed");
    if !source.has(path) {
        return everything();
    }
    let mut capability = Capability::default();
    source.resources(path, |resource, operations| {
        let entry = Capability::from_json(&serde_json::json!({ resource: operations }), vocabulary);
        let entry = entry.map_err(|error| error.to_string())?;
        capability = std::mem::take(&mut capability).union(&entry);
        Ok(())
    });
    if capability.is_empty() {
        source.refuse(path, format!("{path} permits nothing, so no token could ever be signed; leave it out for {{ \"*\" = [\"*\"] }}"));
    }
    capability
}

fn read_rules(source: &Source<'_>, path: &str, vocabulary: &Vocabulary) -> (Rules, Vec<String>) {
    let (mut rules, mut table) = (Rules::default(), Vec::new());
    source.resources(path, |resource, operations| {
        table.push(format!("{resource:?} = {operations:?}"));
        rules.add(resource, operations, vocabulary).map_err(|error| error.to_string())
    });
    (rules, table)
}

fn read_cookies(source: &Source<'_>, listen: SocketAddr) -> CookieSettings {
    let mut cookies = CookieSettings::default();
    if let Some(name) = source.text("cookie.name") {
        // a token of RFC 6265, without the dot that ends the name
        let well_formed = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !well_formed {
            source.refuse("cookie.name", "cookie.name must be 1 to 64 letters, digits, \"_\" and \"-\"");
        }
        cookies.name = name;
    }
    cookies.secure = source.boolean("cookie.secure", true);
    cookies.cross_site = source.boolean("cookie.cross_site", false);
    if !cookies.secure && !listen.ip().is_loopback() {
        source.refuse(
            "cookie.secure",
            format!("cookie.secure = false sends grants in the clear, so it needs a loopback address; {listen} is none: leave it out and serve https, or listen on 127.0.0.1"),
        );
    }
    if cookies.cross_site && !cookies.secure {
        source.refuse(
            "cookie.cross_site",
            "cookie.cross_site needs cookie.secure: browsers refuse SameSite=None without Secure",
        );
    }
    cookies
}

fn read_authenticate(
    source: &Source<'_>,
    listen: SocketAddr,
    secrets: &mut Secrets,
) -> Option<AuthenticateBy> {
    let ways = ["authenticate.jwt", "authenticate.header", "authenticate.claimed"];
    let chosen: Vec<&str> = ways.into_iter().filter(|way| source.has(way)).collect();
    match chosen.as_slice() {
        [] => {
            source.refuse(
                "authenticate",
                "there is no way to tell who is calling: add [authenticate.jwt], or [authenticate.header] behind a proxy of yours, or [authenticate.claimed] to try things out",
            );
            None
        }
        ["authenticate.claimed"] => {
            if !listen.ip().is_loopback() {
                source.refuse(
                    "authenticate.claimed",
                    format!("[authenticate.claimed] believes everybody, so it needs a loopback address; {listen} is none: use [authenticate.jwt] or [authenticate.header], or listen on 127.0.0.1"),
                );
            }
            Some(AuthenticateBy::Claimed)
        }
        ["authenticate.header"] => read_header(source, secrets).map(AuthenticateBy::Header),
        #[cfg(feature = "jwt")]
        ["authenticate.jwt"] => read_jwt(source, secrets).map(AuthenticateBy::Jwt),
        #[cfg(not(feature = "jwt"))]
        ["authenticate.jwt"] => {
            source.refuse("authenticate.jwt", "[authenticate.jwt] needs a build with the feature \"jwt\"");
            None
        }
        several => {
            let names: Vec<String> = several.iter().map(|way| format!("[{way}]")).collect();
            source.refuse(
                several[0],
                format!("there must be one way to authenticate; leave one of {}", names.join(" and ")),
            );
            None
        }
    }
}

fn read_header(source: &Source<'_>, secrets: &mut Secrets) -> Option<ProxyHeader> {
    let name = source.text("authenticate.header.name").unwrap_or_else(|| "x-client-id".to_owned());
    let name = http::HeaderName::try_from(&name)
        .map_err(|_| {
            source.refuse(
                "authenticate.header.name",
                format!("authenticate.header.name: {name:?} can't be a header's name"),
            )
        })
        .ok();
    let path = "authenticate.header.proxy_secret";
    if !source.is_set(path) {
        source.refuse(path, "[authenticate.header] needs proxy_secret, which your proxy sends as x-proxy-secret: without it anybody could set the header");
        return None;
    }
    let secret = source.text(path)?;
    if let Err(error) = secrets.add(path, &secret, 16) {
        source.refuse(path, error);
    }
    Some(ProxyHeader::new(name?, &secret))
}

#[cfg(feature = "jwt")]
fn read_jwt(source: &Source<'_>, secrets: &mut Secrets) -> Option<SessionJwt> {
    let path = |name: &str| format!("authenticate.jwt.{name}");
    let text = |name: &str| source.text(&path(name));
    let given: Vec<&str> =
        ["jwks", "secret", "public_key"].into_iter().filter(|name| source.is_set(&path(name))).collect();
    let [kind] = given.as_slice() else {
        let message = match given.as_slice() {
            [] => "[authenticate.jwt] needs a key to verify with: one of jwks, secret, public_key".to_owned(),
            several => {
                format!("[authenticate.jwt] takes one kind of key; leave one of {}", several.join(" and "))
            }
        };
        source.refuse("authenticate.jwt", message);
        return None;
    };
    let algorithms = source.list(&path("algorithms")).unwrap_or_default();
    let key = text(kind)?;
    let jwt = match *kind {
        "secret" => {
            if let Err(error) = secrets.add(&path("secret"), &key, 32) {
                source.refuse(&path("secret"), error);
            }
            SessionJwt::with_secret(&key, &algorithms)
        }
        "public_key" if key.trim_start().starts_with("-----BEGIN") => {
            SessionJwt::with_public_key(&key, &algorithms)
        }
        "public_key" => SessionJwt::with_public_key(&source.content(&path("public_key"), &key)?, &algorithms),
        _ if key.contains("://") => {
            source.refuse(&path("jwks"), "authenticate.jwt.jwks is the path of a file here; fetching one by URL is not in this version");
            return None;
        }
        _ => SessionJwt::with_jwks(&source.content(&path("jwks"), &key)?, &algorithms),
    };
    let jwt = jwt.map_err(|error| {
        let at = if error.is_about_algorithms() { "algorithms" } else { kind };
        source.refuse(&path(at), format!("{}: {error}", path(at)));
    });
    let mut jwt = jwt.ok()?;
    if let Some(cookie) = text("cookie") {
        jwt = jwt.in_cookie(cookie);
    }
    if let Some(issuer) = text("issuer") {
        jwt = jwt.with_issuer(issuer);
    }
    if let Some(audience) = text("audience") {
        jwt = jwt.with_audience(audience);
    }
    if let Some(claim) = text("client_id_claim") {
        jwt = jwt.with_client_id_claim(claim);
    }
    if let Some(claim) = text("not_before_claim") {
        jwt = jwt.with_not_before_claim(claim);
    }
    Some(jwt)
}

fn read_limits(source: &Source<'_>) -> Limits {
    let defaults = Limits::default();
    Limits {
        connections: source.whole("limits.connections", defaults.connections, 1..1_000_001),
        requests: source.whole("limits.requests", defaults.requests, 1..1_000_001),
        header_timeout: source.duration("limits.header_timeout", "5s", "10ms", "1h"),
        body_timeout: source.duration("limits.body_timeout", "5s", "10ms", "1h"),
        drain_timeout: source.duration("limits.drain_timeout", "10s", "0s", "1h"),
    }
}
