use std::fmt;
use std::time::Duration;

use super::{AuthenticateBy, CheckBy, Config, LogFormat, StrategyName};
use crate::ably::Format;
use crate::authenticate::ProxyHeader;
use crate::http_client::Endpoint;
use crate::permission::Rules;
use crate::service::CookieScope;
use crate::store::StoreUrl;

impl Config {
    /// What is worth a second look, though it is not refused.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let ttl = short(self.ttl);
        if self.given.is_empty() {
            warnings.push(
                "nothing is given: a first connect that wishes for nothing will be refused (40160); list under [given] what every client gets".to_owned(),
            );
        }
        let rules = match &self.check {
            CheckBy::Rules(rules) => Some(rules),
            _ => None,
        };
        if rules.is_some_and(Rules::is_empty) {
            warnings.push("[permission.rules] is empty: every wish will be refused".to_owned());
        }
        for (path, rules) in [("given", Some(&self.given)), ("permission.rules", rules)] {
            for resource in rules.map(|rules| rules.beyond(&self.key_capability)).unwrap_or_default() {
                warnings.push(format!(
                    "{path}: {resource:?} is never granted: ably.capability is {}, and has nothing of that kind",
                    self.key_capability
                ));
            }
        }
        if self.admin_token_is_unused {
            warnings.push("ACCRUE_ADMIN_TOKEN is set, but there is no admin listener: set admin".to_owned());
        }
        let mut in_the_clear = |path: &str, url: &Endpoint, what: &str| {
            if !url.is_encrypted() && !url.is_local() {
                warnings.push(format!("{path} is plain http to another machine: {what} can be read and changed on the way; serve it by https"));
            }
        };
        if let CheckBy::Webhook(webhook) = &self.check {
            in_the_clear("permission.webhook.url", &webhook.url, "questions and answers");
        }
        if let AuthenticateBy::Forward { url, .. } = &self.authenticate {
            in_the_clear("authenticate.forward.url", url, "your users' sessions");
        }
        if self.store.as_ref().is_some_and(StoreUrl::is_memory) {
            warnings.push("store.url is \"memory:\": grants and revocations are lost when the process ends, and other processes don't see them".to_owned());
        }
        if self.admin.is_none() && (self.store.is_some() && self.keeps() || self.revocable) {
            warnings.push(
                "there is no admin listener, so nothing can be revoked: set admin = \"127.0.0.1:8081\""
                    .to_owned(),
            );
        }
        if self.keeps() {
            if self.recheck_after <= self.ttl {
                warnings.push(format!(
                    "grant.recheck_after ({}) is not above token.ttl ({ttl}): every renewal asks the check again",
                    short(self.recheck_after)
                ));
            }
            let usually = self.recheck_after + self.ttl;
            let meanwhile = self.recheck_after * 2 + Duration::from_secs(300);
            // a token that was signed just before the check went down lives as long as ever
            let in_an_outage = match meanwhile > usually {
                true => format!(
                    "while the check is down, after {} (twice recheck_after + 5 minutes)",
                    short(meanwhile)
                ),
                false => "while the check is down, too".to_owned(),
            };
            warnings.push(format!(
                "a permission that is withdrawn is gone from every token after {} at most (recheck_after + ttl); {in_an_outage}",
                short(usually),
            ));
        } else {
            warnings.push(format!(
                "a permission that is withdrawn is gone from every token after {ttl} at most (ttl)"
            ));
        }
        warnings
    }
}

impl Config {
    /// Whether what clients were permitted is kept, here or by them.
    fn keeps(&self) -> bool {
        matches!(self.strategy, StrategyName::Cookie | StrategyName::Store)
    }
}

/// What it amounts to, secrets redacted.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: String| writeln!(f, "{name:<16}{value}");
        let duration = short;
        let list = |items: &[String]| {
            if items.is_empty() { "none".to_owned() } else { items.join("\n                ") }
        };

        line("listen", self.listen.to_string())?;
        line("ably key", format!("{} (secret redacted), may do {}", self.key.name(), self.key_capability))?;
        line(
            "strategy",
            match self.strategy {
                StrategyName::Cookie => "cookie: grants are kept by the client, sealed, and checked only where new or older than recheck_after",
                StrategyName::Store => "store: grants are kept in the store, and checked only where new or older than recheck_after",
                StrategyName::Client => "client: the client lists all it needs each time, and all of it is checked; nothing is kept",
                StrategyName::Server => "server: the check decides everything each time, wishes are not read; nothing is kept",
            }
            .to_owned(),
        )?;
        if self.strategy == StrategyName::Store {
            line("grant", format!("recheck_after {}", duration(self.recheck_after)))?;
        }
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
            let scope = match self.cookies.scope() {
                CookieScope::SameSite => "Secure; HttpOnly; SameSite=Strict",
                CookieScope::CrossSite => "Secure; HttpOnly; SameSite=None; Partitioned",
                CookieScope::InsecureLoopback => "HttpOnly; SameSite=Strict",
            };
            line(
                "cookie",
                format!("{}*, {scope}; Path=/; {} bytes at most", self.cookies.prefix(), self.max_bytes),
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
        if let Some(store) = &self.store {
            let what = match self.strategy {
                StrategyName::Store => "grants and revocations",
                StrategyName::Cookie => "revocations",
                StrategyName::Client | StrategyName::Server => {
                    "not used: nothing is kept that could be revoked"
                }
            };
            line("store", format!("{store}: {what}"))?;
        }
        if let Some(admin) = &self.admin {
            let token = if admin.token.is_some() { "with the token (redacted)" } else { "without a token" };
            line("admin", format!("{}, {token}: /metrics, /revoke", admin.listen))?;
        }
        if self.revocable {
            line("revocation", format!("also of tokens that are out, at {}", self.rest_url))?;
        }
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
            match &self.check {
                CheckBy::Rules(_) => list(&self.rules_table),
                CheckBy::Webhook(webhook) => format!(
                    "what {} says within {}{}; {} questions at once, {} of one client",
                    webhook.url,
                    duration(webhook.timeout),
                    if webhook.authorization.is_some() { ", asked with a bearer (redacted)" } else { "" },
                    webhook.max_in_flight,
                    webhook.max_in_flight_per_client
                ),
                CheckBy::Nobody => "nothing: what is given is all".to_owned(),
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
            Self::Forward { url, timeout } => {
                write!(
                    f,
                    "forward: {url} is asked, with the caller's Cookie and Authorization, and has {}",
                    short(*timeout)
                )
            }
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

/// In the units that configurations are written in: "90d", "8h 30m". humantime's own text has months.
fn short(duration: Duration) -> String {
    let mut left = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut parts = Vec::new();
    for (unit, size) in units {
        if left >= size {
            parts.push(format!("{}{unit}", left / size));
            left %= size;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}
