use crate::nearest::nearest;

/// Every key, by its whole path. What is not here is unknown.
pub(crate) const KEYS: &[&str] = &[
    "listen",
    "admin",
    "admin_token",
    "strategy",
    "origins",
    "log",
    "log_format",
    "limits.connections",
    "limits.requests",
    "limits.header_timeout",
    "limits.body_timeout",
    "limits.drain_timeout",
    "ably.key",
    "ably.extra_operations",
    "ably.revocable",
    "ably.rest_url",
    "token.format",
    "token.ttl",
    "token.jitter",
    "grant.secrets",
    "grant.recheck_after",
    "cookie.name",
    "cookie.secure",
    "cookie.cross_site",
    "cookie.max_bytes",
    "store.url",
    "authenticate.jwt.jwks",
    "authenticate.jwt.secret",
    "authenticate.jwt.public_key",
    "authenticate.jwt.algorithms",
    "authenticate.jwt.issuer",
    "authenticate.jwt.audience",
    "authenticate.jwt.cookie",
    "authenticate.jwt.client_id_claim",
    "authenticate.jwt.not_before_claim",
    "authenticate.header.name",
    "authenticate.header.proxy_secret",
    "authenticate.forward.url",
    "authenticate.forward.timeout",
    "permission.webhook.url",
    "permission.webhook.bearer",
    "permission.webhook.timeout",
    "permission.webhook.max_in_flight",
    "permission.webhook.max_in_flight_per_client",
];

/// Tables whose keys are resources, and one that has no keys.
pub(crate) const TABLES: &[&str] = &["given", "ably.capability", "permission.rules", "authenticate.claimed"];

/// What a path can be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Key,
    /// A table of resources, whose keys are free.
    Resources,
    /// A table of known keys.
    Section,
    Unknown,
}

/// Whether a key stands in a section, or in one below it.
pub(crate) fn is_inside(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

pub(crate) fn known(path: &str) -> Known {
    if KEYS.contains(&path) {
        Known::Key
    } else if path == "authenticate.claimed" {
        Known::Section
    } else if TABLES.contains(&path) {
        Known::Resources
    } else if KEYS.iter().chain(TABLES).any(|key| is_inside(key, path)) {
        Known::Section
    } else {
        Known::Unknown
    }
}

/// What to say about a key that is not known: the nearest that is, or what there is in its section.
pub(crate) fn advice(path: &str) -> String {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    let here = inside(section);
    if let Some(near) = nearest(name, here.iter().copied()) {
        return format!("did you mean {near:?}?");
    }
    let last = |key: &&&str| key.rsplit('.').next() == Some(name);
    if let Some(elsewhere) = KEYS.iter().chain(TABLES).find(last) {
        return format!("did you mean {elsewhere:?}?");
    }
    match here.is_empty() {
        true => format!("[{section}] has no keys"),
        false => format!("known here: {}", here.join(", ")),
    }
}

/// The names right below a section.
fn inside(section: &str) -> Vec<&'static str> {
    let mut names: Vec<&str> = KEYS
        .iter()
        .chain(TABLES)
        .filter_map(|key| match section {
            "" => Some(*key),
            _ => key.strip_prefix(section)?.strip_prefix('.'),
        })
        .filter_map(|rest| rest.split('.').next())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The environment variable that sets a key.
pub(crate) fn variable(path: &str) -> String {
    format!("ACCRUE_{}", path.to_uppercase().replace('.', "__"))
}

/// The other name of a variable that sets a secret. With `_FILE` behind it, it names a file to read that from.
pub(crate) fn secret_variable(path: &str) -> Option<&'static str> {
    match path {
        "ably.key" => Some("ABLY_API_KEY"),
        "grant.secrets" => Some("ACCRUE_SECRETS"),
        "admin_token" => Some("ACCRUE_ADMIN_TOKEN"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each on a line of the README's last configuration, if only as a comment.
    #[test]
    fn every_key_is_documented() {
        let reference = include_str!("../../README.md").split("## Every key").nth(1).unwrap();
        for key in KEYS.iter().chain(TABLES) {
            let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
            let table = format!("[{key}]");
            let written = reference.lines().map(|line| line.trim_start_matches("# ")).any(|line| {
                line.starts_with(&table) || line.split('=').next().is_some_and(|left| left.trim() == name)
            });
            assert!(written, "{name} of [{section}] is not in the README");
        }
    }

    #[test]
    fn unknown_keys_are_told_what_to_write() {
        for (path, expected) in [
            ("orgins", "did you mean \"origins\"?"),
            ("token.fromat", "did you mean \"format\"?"),
            ("ttl", "did you mean \"token.ttl\"?"),
            ("permission.policy", "known here: rules, webhook"),
            ("token.zzz", "known here: format, jitter, ttl"),
            ("authenticate.claimed.x", "[authenticate.claimed] has no keys"),
        ] {
            assert_eq!(known(path), Known::Unknown, "{path}");
            assert_eq!(advice(path), expected, "{path}");
        }
        assert_eq!(variable("token.format"), "ACCRUE_TOKEN__FORMAT");
        assert_eq!(variable("log_format"), "ACCRUE_LOG_FORMAT");
    }
}
