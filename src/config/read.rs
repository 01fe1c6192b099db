use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;

use super::secrets::Secrets;
use super::source::Source;
use super::{Admin, AuthenticateBy, CheckBy, Config, LogFormat, StrategyName};
use crate::ably::{ApiKey, Format};
use crate::authenticate::ProxyHeader;
#[cfg(feature = "jwt")]
use crate::authenticate::SessionJwt;
use crate::capability::{Capability, Vocabulary};
use crate::grant::{SealingKeys, SealingSecret};
use crate::http_client::Endpoint;
use crate::limits::Limits;
use crate::mac::Secret;
use crate::permission::{Rules, WebhookSettings};
use crate::service::{AdminService, CookieScope, CookieSettings, Origins};
use crate::store::StoreUrl;

impl Config {
    /// Reads everything. What is missing or wrong has been told to `source` where this returns nothing.
    pub(super) fn read(source: &Source<'_>, secrets: &mut Secrets) -> Option<Self> {
        let listen = listen(source);
        let strategy = choice(
            source,
            "strategy",
            &[
                ("cookie", StrategyName::Cookie),
                ("client", StrategyName::Client),
                ("server", StrategyName::Server),
                ("store", StrategyName::Store),
            ],
        );
        let log_format =
            choice(source, "log_format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
        let origins = source.list("origins").unwrap_or_default();
        if let Err(error) = Origins::new(&origins) {
            source.refuse("origins", format!("origins: {error}"));
        }

        let key = ably_key(source, secrets);
        let vocabulary = vocabulary(source);
        let key_capability = capability(source, "ably.capability", &vocabulary);

        let revocable = source.boolean("ably.revocable", false);
        let longest = if revocable { "60m" } else { "24h" };
        let ttl = source.duration("token.ttl", "60m", "1s", longest);
        let sealing_keys = sealing_keys(source, key.as_ref(), strategy, secrets);

        let cookies = cookies(source, listen);
        let max_bytes = source.whole("cookie.max_bytes", 2560, 256..4097);
        let store = store(source, strategy, secrets);
        let authenticate = authenticate(source, listen, secrets);
        let admin = admin(source, listen, secrets);

        let (given, given_table) = rules(source, "given", &vocabulary);
        let (rules, rules_table) = rules(source, "permission.rules", &vocabulary);
        let check = match (source.has("permission.webhook"), source.has("permission.rules")) {
            (true, false) => webhook(source, secrets, &vocabulary).map(CheckBy::Webhook),
            (false, true) => Some(CheckBy::Rules(rules)),
            (false, false) if strategy == StrategyName::Server && !given.is_empty() => Some(CheckBy::Nobody),
            (true, true) => {
                source.refuse("permission.rules", "there must be one permission check; leave one of [permission.webhook] and [permission.rules]");
                None
            }
            (false, false) => {
                source.refuse(
                    "permission",
                    "there is no permission check: add [permission.webhook] or [permission.rules], or strategy = \"server\" with [given] if that is all anybody gets",
                );
                None
            }
        };

        Some(Self {
            listen,
            admin_token_is_unused: admin.is_none() && source.is_set("admin_token"),
            admin,
            log: source.text("log").unwrap_or_else(|| "info".to_owned()),
            log_format,
            limits: limits(source),
            page: None,
            strategy,
            origins,
            key: key?,
            key_capability,
            revocable,
            rest_url: rest_url(source)?,
            vocabulary,
            format: choice(source, "token.format", &[("request", Format::Request), ("jwt", Format::Jwt)]),
            ttl,
            jitter: source.fraction("token.jitter", 0.1, 0.5),
            sealing_keys,
            recheck_after: recheck_after(source),
            cookies,
            max_bytes,
            store,
            authenticate: authenticate?,
            check: check?,
            rules_table,
            given,
            given_table,
        })
    }
}

fn listen(source: &Source<'_>) -> SocketAddr {
    let default = SocketAddr::from(([127, 0, 0, 1], 8080));
    if !source.is_set("listen") {
        let Some(port) = source.variable("PORT") else { return default };
        return port.parse().map_or_else(
            |_| {
                source.refuse("listen", format!("PORT: {port:?} is not a port number"));
                default
            },
            |port: u16| SocketAddr::from(([0, 0, 0, 0], port)),
        );
    }
    source
        .parsed("listen", |text| address(text).map_err(|error| format!("listen: {error}")))
        .unwrap_or(default)
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.replacen("localhost:", "127.0.0.1:", 1)
        .parse()
        .map_err(|_| format!("{text:?} is not ADDRESS:PORT, such as \"127.0.0.1:8080\" or \"0.0.0.0:8080\""))
}

fn admin(source: &Source<'_>, public: SocketAddr, secrets: &mut Secrets) -> Option<Admin> {
    let token = source.text("admin_token");
    if let Some(token) = &token
        && let Err(error) = secrets.add("admin_token", token, AdminService::MIN_TOKEN_BYTES)
    {
        source.refuse("admin_token", error);
    } else if token.as_deref().is_some_and(|token| !AdminService::can_be_sent(token)) {
        source.refuse(
            "admin_token",
            "admin_token can't be sent in a header: take ASCII without white space; `accrue keygen` makes a good one",
        );
    }
    let listen = source.parsed("admin", |text| address(text).map_err(|error| format!("admin: {error}")))?;
    if !listen.ip().is_loopback() && token.is_none() {
        source.refuse(
            "admin",
            format!("admin: others can reach {listen}, so it needs ACCRUE_ADMIN_TOKEN (32 bytes at least); or listen on 127.0.0.1"),
        );
    }
    if listen == public && listen.port() != 0 {
        source.refuse("admin", "admin: that is the address that clients use; take another port");
    }
    Some(Admin { listen, token: token.map(Secret::new) })
}

fn rest_url(source: &Source<'_>) -> Option<Endpoint> {
    let path = "ably.rest_url";
    if !source.is_set(path) {
        return Endpoint::parse("https://main.realtime.ably.net").ok();
    }
    let url = endpoint(source, path)?;
    if !url.is_encrypted() && !url.is_local() {
        source.refuse(path, format!("{path} is sent the Ably key, so it must be https"));
    }
    if url.uri().query().is_some() {
        source.refuse(path, format!("{path} must be without a query"));
    }
    Some(url)
}

fn endpoint(source: &Source<'_>, path: &str) -> Option<Endpoint> {
    source.parsed(path, |text| Endpoint::parse(text).map_err(|error| format!("{path}: {error}")))
}

fn store(source: &Source<'_>, strategy: StrategyName, secrets: &mut Secrets) -> Option<StoreUrl> {
    if !source.has("store") {
        if strategy == StrategyName::Store {
            source.refuse(
                "strategy",
                "strategy \"store\" needs [store]: url = \"redb:accrue.redb\" for one process, \"redis://HOST:PORT/DB\" for several",
            );
        }
        return None;
    }
    let path = "store.url";
    if !source.is_set(path) {
        return StoreUrl::parse("redb:accrue.redb").ok();
    }
    let url =
        source.parsed(path, |text| StoreUrl::parse(text).map_err(|error| format!("{path}: {error}")))?;
    if let Some(password) = url.password().filter(|password| !password.is_empty())
        && let Err(error) = secrets.add(path, &password, 0)
    {
        source.refuse(path, error);
    }
    Some(url)
}

fn webhook(source: &Source<'_>, secrets: &mut Secrets, vocabulary: &Vocabulary) -> Option<WebhookSettings> {
    let path = |name: &str| format!("permission.webhook.{name}");
    if !source.is_set(&path("url")) {
        source.refuse(
            "permission.webhook",
            "[permission.webhook] needs url, such as \"http://127.0.0.1:3000/ably/permissions\"",
        );
        return None;
    }
    let mut settings = WebhookSettings::new(endpoint(source, &path("url"))?);
    settings.timeout = source.duration(&path("timeout"), "2s", "10ms", "30s");
    settings.max_in_flight = source.whole(&path("max_in_flight"), 64, 1..1_000_001);
    settings.max_in_flight_per_client = source.whole(&path("max_in_flight_per_client"), 4, 1..1_000_001);
    settings.vocabulary = vocabulary.clone();
    if let Some(bearer) = source.text(&path("bearer")) {
        if let Err(error) = secrets.add(&path("bearer"), &bearer, MIN_BEARER_BYTES) {
            source.refuse(&path("bearer"), error);
        }
        if bearer.to_ascii_lowercase().starts_with("bearer ") {
            source.refuse(
                &path("bearer"),
                format!("{}: leave out the word \"Bearer\": it is sent before it", path("bearer")),
            );
        }
        match HeaderValue::try_from(format!("Bearer {bearer}")) {
            Ok(mut value) => {
                value.set_sensitive(true);
                settings.authorization = Some(value);
            }
            Err(_) => source.refuse(&path("bearer"), format!("{} can't be sent in a header", path("bearer"))),
        }
    }
    Some(settings)
}

fn choice<T: Copy>(source: &Source<'_>, path: &str, choices: &[(&str, T)]) -> T {
    let find = |text: &str| choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
    source
        .parsed(path, |text| find(text).ok_or_else(|| format!("{path} must be one of {}", names.join(", "))))
        .unwrap_or(choices[0].1)
}

pub(super) fn ably_key(source: &Source<'_>, secrets: &mut Secrets) -> Option<ApiKey> {
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

pub(super) fn sealing_keys(
    source: &Source<'_>,
    key: Option<&ApiKey>,
    strategy: StrategyName,
    secrets: &mut Secrets,
) -> Option<SealingKeys> {
    let refuse = |message: String| source.refuse("grant.secrets", message);
    let texts = source.list("grant.secrets");
    let is_unreadable = texts.is_none() && source.is_set("grant.secrets");
    let texts = texts.unwrap_or_default();
    if texts.is_empty() {
        if strategy == StrategyName::Cookie && !is_unreadable {
            refuse("there is no sealing secret, which strategy \"cookie\" needs: set ACCRUE_SECRETS to what `accrue keygen` prints".to_owned());
        }
        return None;
    }
    let mut sealing = Vec::new();
    for text in &texts {
        match SealingSecret::parse(text) {
            Ok(secret) => sealing.push(secret),
            Err(error) => {
                refuse(format!("grant.secrets: {error}"));
                continue;
            }
        }
        if let Some((_, secret)) = text.split_once(':')
            && let Err(error) = secrets.add("grant.secrets", secret, 0)
        {
            refuse(error);
        }
        // somebody may have pasted it elsewhere together with its kid
        secrets.note("grant.secrets", text);
    }
    if sealing.len() < texts.len() {
        return None;
    }
    SealingKeys::new(key?, sealing).map_err(|error| refuse(format!("grant.secrets: {error}"))).ok()
}

pub(super) fn vocabulary(source: &Source<'_>) -> Vocabulary {
    let path = "ably.extra_operations";
    Vocabulary::with_extra(source.list(path).unwrap_or_default()).unwrap_or_else(|error| {
        source.refuse(path, format!("{path}: {error}"));
        Vocabulary::default()
    })
}

pub(super) fn recheck_after(source: &Source<'_>) -> Duration {
    source.duration("grant.recheck_after", "8h", "10m", "90d")
}

fn capability(source: &Source<'_>, path: &str, vocabulary: &Vocabulary) -> Capability {
    let everything = || Capability::parse(r#"{"*":["*"]}"#, vocabulary).expect("well-formed");
    if !source.has(path) {
        return everything();
    }
    let mut capability = Capability::default();
    let well_formed = source.resources(path, |resource, operations| {
        let entry = Capability::from_json(&serde_json::json!({ resource: operations }), vocabulary);
        let entry = entry.map_err(|error| error.to_string())?;
        capability = std::mem::take(&mut capability).union(&entry);
        Ok(())
    });
    if well_formed && capability.is_empty() {
        source.refuse(path, format!("{path} permits nothing, so no token could ever be signed; leave it out for {{ \"*\" = [\"*\"] }}"));
    }
    capability
}

fn rules(source: &Source<'_>, path: &str, vocabulary: &Vocabulary) -> (Rules, Vec<String>) {
    let (mut rules, mut table) = (Rules::default(), Vec::new());
    source.resources(path, |resource, operations| {
        table.push(format!("{resource:?} = {operations:?}"));
        rules.add(resource, operations, vocabulary).map_err(|error| error.to_string())
    });
    (rules, table)
}

fn cookies(source: &Source<'_>, listen: SocketAddr) -> CookieSettings {
    let secure = source.boolean("cookie.secure", true);
    let cross_site = source.boolean("cookie.cross_site", false);
    if !secure && !listen.ip().is_loopback() {
        source.refuse(
            "cookie.secure",
            format!("cookie.secure = false sends grants in the clear, so it needs a loopback address; {listen} is none: leave it out and serve https, or listen on 127.0.0.1"),
        );
    }
    let scope = match (secure, cross_site) {
        (true, false) => CookieScope::SameSite,
        (true, true) => CookieScope::CrossSite,
        (false, false) => CookieScope::InsecureLoopback,
        (false, true) => {
            source.refuse(
                "cookie.cross_site",
                "cookie.cross_site needs cookie.secure: browsers refuse SameSite=None without Secure",
            );
            CookieScope::CrossSite
        }
    };
    let name = source.text("cookie.name").unwrap_or_else(|| "accrue".to_owned());
    CookieSettings::new(name, scope).unwrap_or_else(|error| {
        source.refuse("cookie.name", format!("cookie.name: {error}"));
        CookieSettings::default()
    })
}

fn authenticate(source: &Source<'_>, listen: SocketAddr, secrets: &mut Secrets) -> Option<AuthenticateBy> {
    let ways = ["authenticate.jwt", "authenticate.forward", "authenticate.header", "authenticate.claimed"];
    let chosen: Vec<&str> = ways.into_iter().filter(|way| source.has(way)).collect();
    match chosen.as_slice() {
        [] => {
            source.refuse(
                "authenticate",
                "there is no way to tell who is calling: add [authenticate.jwt], or [authenticate.forward] to ask your application, or [authenticate.header] behind a proxy of yours, or [authenticate.claimed] to try things out",
            );
            None
        }
        ["authenticate.claimed"] => {
            if !listen.ip().is_loopback() {
                source.refuse(
                    "authenticate.claimed",
                    format!("[authenticate.claimed] believes everybody, so it needs a loopback address; {listen} is none: use [authenticate.jwt], [authenticate.forward] or [authenticate.header], or listen on 127.0.0.1"),
                );
            }
            Some(AuthenticateBy::Claimed)
        }
        ["authenticate.forward"] => forward(source),
        ["authenticate.header"] => header(source, secrets).map(AuthenticateBy::Header),
        #[cfg(feature = "jwt")]
        ["authenticate.jwt"] => jwt(source, secrets).map(AuthenticateBy::Jwt),
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

fn forward(source: &Source<'_>) -> Option<AuthenticateBy> {
    let path = "authenticate.forward.url";
    if !source.is_set(path) {
        source.refuse(
            "authenticate.forward",
            "[authenticate.forward] needs url, such as \"http://127.0.0.1:3000/ably/whoami\"",
        );
        return None;
    }
    let timeout = source.duration("authenticate.forward.timeout", "2s", "10ms", "30s");
    Some(AuthenticateBy::Forward { url: endpoint(source, path)?, timeout })
}

fn header(source: &Source<'_>, secrets: &mut Secrets) -> Option<ProxyHeader> {
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
    if let Err(error) = secrets.add(path, &secret, ProxyHeader::MIN_SECRET_BYTES) {
        source.refuse(path, error);
        return None;
    }
    ProxyHeader::new(name?, &secret)
        .map_err(|error| {
            let path = if error.is_about_the_secret() { path } else { "authenticate.header.name" };
            source.refuse(path, format!("{path}: {error}"));
        })
        .ok()
}

#[cfg(feature = "jwt")]
fn jwt(source: &Source<'_>, secrets: &mut Secrets) -> Option<SessionJwt> {
    let path = |name: &str| format!("authenticate.jwt.{name}");
    let text = |name: &str| {
        let text = source.text(&path(name))?;
        if text.is_empty() {
            source.refuse(
                &path(name),
                format!("{} is empty; leave it out, or write what it should be", path(name)),
            );
        }
        Some(text)
    };
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
    let algorithms: Vec<&str> = algorithms.iter().map(String::as_str).collect();
    let key = text(kind)?;
    let jwt = match *kind {
        "secret" => {
            if let Err(error) = secrets.add(&path("secret"), &key, SessionJwt::MIN_SECRET_BYTES) {
                source.refuse(&path("secret"), error);
                return None;
            }
            SessionJwt::with_secret(&key, &algorithms)
        }
        "public_key" if key.trim_start().starts_with("-----BEGIN") => {
            SessionJwt::with_public_key(&key, &algorithms)
        }
        "public_key" => SessionJwt::with_public_key(&source.content(&path("public_key"), &key)?, &algorithms),
        _ if key.contains("://") => {
            let url = endpoint(source, &path("jwks"))?;
            if !url.is_encrypted() && !url.is_local() {
                source.refuse(
                    &path("jwks"),
                    "authenticate.jwt.jwks: whoever sits between could put in keys of their own: fetch it by https",
                );
            }
            SessionJwt::with_jwks_at(url, &algorithms)
        }
        _ => SessionJwt::with_jwks(&source.content(&path("jwks"), &key)?, &algorithms),
    };
    let jwt = jwt.map_err(|error| {
        let at = if error.is_about_algorithms() { "algorithms" } else { kind };
        source.refuse(&path(at), format!("{}: {error}", path(at)));
    });
    let mut jwt = jwt.ok()?;
    if let Some(cookie) = text("cookie") {
        if !is_token(&cookie) {
            let path = path("cookie");
            source.refuse(&path, format!("{path}: no cookie can have the name {cookie:?}"));
        }
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

/// Whether it is a token of HTTP (RFC 9110, section 5.6.2), as cookies' names are.
#[cfg(feature = "jwt")]
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn limits(source: &Source<'_>) -> Limits {
    let defaults = Limits::default();
    Limits {
        connections: source.whole("limits.connections", defaults.connections, 1..1_000_001),
        requests: source.whole("limits.requests", defaults.requests, 1..1_000_001),
        header_timeout: source.duration("limits.header_timeout", "5s", "10ms", "1h"),
        body_timeout: source.duration("limits.body_timeout", "5s", "10ms", "1h"),
        drain_timeout: source.duration("limits.drain_timeout", "10s", "0s", "1h"),
    }
}

/// What your backend takes for a proof; whose strength is its own affair, but a word is none.
const MIN_BEARER_BYTES: usize = 8;
