use std::fmt::Display;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use accrue::ably::{UntrustedJwt, UntrustedTokenRequest};
use accrue::{ClientId, Keyring, Moment, SealedText};
use serde_json::Value;

use crate::process::{self, Process};

/// Explains a text; exit status 1 unless it verifies.
pub(crate) fn inspect(
    text: &str,
    client_id: Option<&str>,
    config: Option<&Path>,
) -> Result<ExitCode, String> {
    let client_id = client_id
        .map(|id| ClientId::try_from(id).map_err(|error| format!("--client-id: {error}")))
        .transpose()?;
    let (name, toml) = process::config_text(config)?;
    let keyring = Keyring::parse(&name, &toml, &Process).map_err(|error| process::explain(&error))?;

    let mut input = text.to_owned();
    if text == "-" {
        input.clear();
        std::io::stdin()
            .read_to_string(&mut input)
            .map_err(|error| format!("can't read standard input: {error}"))?;
    }
    let now = Moment::now().now_secs();
    let mut inspection =
        Inspection { client_id: client_id.as_ref(), keyring: &keyring, now, out: String::new() };
    let mut all_verify = true;
    for part in parts(input.trim()) {
        let verdict = inspection.explain(part)?;
        all_verify &= verdict.is_ok();
        let (Ok(verdict) | Err(verdict)) = verdict;
        inspection.say("verifies", verdict);
    }
    process::print(&inspection.out)?;
    Ok(if all_verify { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Several grants come in a list, as `Accrue-Grant` and `Cookie` have them. Anything else is one part.
fn parts(text: &str) -> Vec<&str> {
    let grants: Vec<&str> = text
        .split(|c: char| matches!(c, ',' | ';') || c.is_whitespace())
        .filter(|part| is_like_a_grant(cookie_value(part)))
        .collect();
    if grants.is_empty() || text.starts_with('{') { vec![text] } else { grants }
}

/// Whether it was one, whatever has happened to it since.
fn is_like_a_grant(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 5 && matches!(parts[0].as_bytes(), [b'0'..=b'9', b'j' | b'z'])
}

/// Likewise: `{"` in base64url, and two parts more.
fn is_like_a_jwt(text: &str) -> bool {
    text.starts_with("eyJ") && text.matches('.').count() == 2
}

/// "yes" and why, or "no" and why not.
type Verdict = Result<String, String>;

struct Inspection<'a> {
    client_id: Option<&'a ClientId>,
    keyring: &'a Keyring,
    /// Unix seconds.
    now: u64,
    out: String,
}

impl Inspection<'_> {
    fn say(&mut self, name: &str, value: impl Display) {
        self.out += &format!("{name:<14}{value}\n");
    }

    fn explain(&mut self, text: &str) -> Result<Verdict, String> {
        if text.starts_with('{') {
            let value: Value =
                serde_json::from_str(text).map_err(|error| format!("not valid JSON: {error}"))?;
            if let Some(token) = value.get("token").and_then(Value::as_str) {
                self.out += "TokenDetails around a token:\n";
                return self.explain(token);
            }
            let request = UntrustedTokenRequest::from_json(value).ok_or(
                "this JSON is neither a TokenRequest (it has no keyName) nor TokenDetails (it has no token)",
            )?;
            return Ok(self.token_request(&request));
        }
        let value = cookie_value(text);
        if let Some(sealed) = SealedText::parse(value) {
            return Ok(self.grant(value, &sealed));
        }
        if let Some(parsed) = UntrustedJwt::parse(value) {
            return Ok(self.jwt(&parsed));
        }
        if is_like_a_grant(value) {
            self.out += "sealed grant\n";
            return Ok(Err("no: malformed; a grant is 1j.KID.SINCE.CAPABILITIES.DIGEST, or 1z if deflated, and its DIGEST 43 characters of base64url".to_owned()));
        }
        if is_like_a_jwt(value) {
            self.out += "JWT\n";
            return Ok(Err("no: malformed; its parts are JSON in base64url, and a digest".to_owned()));
        }
        Err("this is neither a sealed grant (1j.KID.SINCE.CAPABILITIES.DIGEST), nor a TokenRequest, nor a JWT".to_owned())
    }

    fn grant(&mut self, text: &str, sealed: &SealedText<'_>) -> Verdict {
        let (keyring, now) = (self.keyring, self.now);
        let since = sealed.untrusted_since();
        let age = now.saturating_sub(since);
        let recheck_after = keyring.recheck_after.as_secs();
        let state = match age {
            _ if since > now + 60 => "in the future: counts for nothing",
            _ if age > recheck_after * 2 => "too old: counts for nothing until it is checked again",
            _ if age > recheck_after => "stale: is checked again, and counts while the check does not answer",
            _ => "fresh, unless it is revoked",
        };
        let recheck_after = humantime::format_duration(keyring.recheck_after);
        self.out += "sealed grant\n";
        self.say("kid", sealed.untrusted_kid());
        self.say("since", format_args!("{since} ({})", ago(since, now)));
        self.say("age", format_args!("{state} (recheck_after is {recheck_after})"));
        match sealed.untrusted_capability(&keyring.vocabulary) {
            Some(capability) => self.say("capability", capability),
            None => self.say("capability", "not readable, or not canonical"),
        }
        let keys = keyring.sealing_keys.as_ref().ok_or(
            "unknown: there are no secrets to verify with; pass --config, or set ABLY_API_KEY and ACCRUE_SECRETS",
        )?;
        let client_id = self.client_id.ok_or("unknown: a grant is one client's; pass --client-id")?;
        match keys.unseal(client_id, text, now, &keyring.vocabulary) {
            Ok(unsealed) if unsealed.current => {
                Ok(format!("yes, for {client_id:?}; sealed with {}, which seals now", unsealed.kid))
            }
            Ok(unsealed) => Ok(format!(
                "yes, for {client_id:?}; sealed with {}, which does not seal any more",
                unsealed.kid
            )),
            Err(reason) => Err(format!("no, for {client_id:?}: {reason}")),
        }
    }

    fn token_request(&mut self, request: &UntrustedTokenRequest) -> Verdict {
        let members = request.untrusted_members();
        self.out += "TokenRequest\n";
        for name in ["keyName", "clientId", "capability", "ttl", "nonce"] {
            if let Some(value) = members.get(name) {
                self.say(name, plain(value));
            }
        }
        if let Some(milliseconds) = members.get("timestamp").and_then(Value::as_u64) {
            let seconds = milliseconds / 1000;
            let exchangeable = match self.now.abs_diff(seconds) {
                0..=120 => "can be exchanged, once",
                _ => "too far from now to be exchanged",
            };
            let when = ago(seconds, self.now);
            self.say("timestamp", format_args!("{milliseconds} ({when}; {exchangeable})"));
        }
        self.same_client(members.get("clientId"))?;
        let key = self.keyring.ably_key.as_ref().ok_or(NO_KEY)?;
        if request.verify(key) {
            Ok(format!("yes, signed with {}", key.name()))
        } else {
            Err(format!("no: not signed with {}, or changed since", key.name()))
        }
    }

    fn jwt(&mut self, jwt: &UntrustedJwt<'_>) -> Verdict {
        let claims = jwt.untrusted_claims();
        self.out += "JWT\n";
        self.say("header", jwt.untrusted_header());
        for name in ["iat", "exp"] {
            if let Some(seconds) = claims.get(name).and_then(Value::as_u64) {
                let when = ago(seconds, self.now);
                self.say(name, format_args!("{seconds} ({when})"));
            }
        }
        for (claim, name) in [("x-ably-clientId", "clientId"), ("x-ably-capability", "capability")] {
            if let Some(value) = claims.get(claim) {
                self.say(name, plain(value));
            }
        }
        self.same_client(claims.get("x-ably-clientId"))?;
        let key = self.keyring.ably_key.as_ref().ok_or(NO_KEY)?;
        let lives = claims["exp"].as_f64().is_some_and(|exp| exp > self.now as f64);
        match jwt.verify(key) {
            Ok(()) if lives => Ok(format!("yes, signed with {}", key.name())),
            Ok(()) => Ok(format!("yes, signed with {}, but it has expired", key.name())),
            Err(error) => Err(format!("no, for {}: {error}", key.name())),
        }
    }

    fn same_client(&self, found: Option<&Value>) -> Result<(), String> {
        match self.client_id {
            Some(expected) if found.and_then(Value::as_str) != Some(expected.as_str()) => {
                Err(format!("no: it is not for {expected:?}"))
            }
            _ => Ok(()),
        }
    }
}

/// `NAME=VALUE; attributes` becomes `VALUE`.
fn cookie_value(text: &str) -> &str {
    let value = text.split_once('=').map_or(text, |(_, value)| value);
    // what ends in one is no cookie
    let value = if value.is_empty() { text } else { value };
    value.split(';').next().unwrap_or_default().trim()
}

/// A text as it is, but for control characters.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if !text.contains(char::is_control) => text.clone(),
        other => other.to_string(),
    }
}

fn ago(seconds: u64, now: u64) -> String {
    let distance = humantime::format_duration(Duration::from_secs(now.abs_diff(seconds)));
    let Some(moment) = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).filter(|_| seconds <= LATEST)
    else {
        return "not a time".to_owned();
    };
    let moment = humantime::format_rfc3339_seconds(moment);
    match seconds <= now {
        true => format!("{moment}, {distance} ago"),
        false => format!("{moment}, in {distance}"),
    }
}

const NO_KEY: &str = "unknown: there is no key to verify with; pass --config, or set ABLY_API_KEY";
/// The end of the year 9999.
const LATEST: u64 = 253_402_300_799;
