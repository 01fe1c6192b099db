use std::fmt;
use std::time::Duration;

use super::{AuthenticateBy, Config, LogFormat, StrategyName};
use crate::ably::Format;
use crate::authenticate::ProxyHeader;
use crate::permission::Rules;
use crate::service::CookieScope;

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
        if self.rules.as_ref().is_some_and(Rules::is_empty) {
            warnings.push("[permission.rules] is empty: every wish will be refused".to_owned());
        }
        for (path, rules) in [("given", Some(&self.given)), ("permission.rules", self.rules.as_ref())] {
            for resource in rules.map(|rules| rules.beyond(&self.key_capability)).unwrap_or_default() {
                warnings.push(format!(
                    "{path}: {resource:?} is never granted: ably.capability is {}, and has nothing of that kind",
                    self.key_capability
                ));
            }
        }
        if self.strategy == StrategyName::Cookie {
            if self.recheck_after <= self.ttl {
                warnings.push(format!(
                    "grant.recheck_after ({}) is not above token.ttl ({ttl}): every renewal asks the check again",
                    short(self.recheck_after)
                ));
            }
            warnings.push(format!(
                "a permission that is withdrawn is gone from every token after {} at most (recheck_after + ttl); while the check is down, after {} (twice recheck_after + 5 minutes)",
                short(self.recheck_after + self.ttl),
                short(self.recheck_after * 2 + Duration::from_secs(300)),
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
        line("may be asked", list(&self.rules_table))?;
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
