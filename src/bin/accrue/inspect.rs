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
    let verifies = explain(input.trim(), client_id.as_ref(), &keyring, now)?;
    println!("verifies      {}", verifies.as_deref().unwrap_or_else(|why| why));
    Ok(if verifies.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// "yes" and why, or "no" and why not.
type Verdict = Result<String, String>;

fn explain(text: &str, client_id: Option<&ClientId>, keyring: &Keyring, now: u64) -> Result<Verdict, String> {
    if text.starts_with('{') {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("not valid JSON: {error}"))?;
        if let Some(token) = value.get("token").and_then(Value::as_str) {
            println!("TokenDetails around a token:");
            return explain(token, client_id, keyring, now);
        }
        let request = UntrustedTokenRequest::from_json(value).ok_or(
            "this JSON is neither a TokenRequest (it has no keyName) nor TokenDetails (it has no token)",
        )?;
        return Ok(token_request(&request, client_id, keyring, now));
    }
    if let Some((first, more)) = text.split_once(", ") {
        let (first, more) =
            (explain(first, client_id, keyring, now)?, explain(more, client_id, keyring, now));
        let (Ok(verdict) | Err(verdict)) = &first;
        println!("verifies      {verdict}\n");
        return Ok(first.and(more?));
    }
    let value = cookie_value(text);
    if let Some(sealed) = SealedText::parse(value) {
        return Ok(grant(value, &sealed, client_id, keyring, now));
    }
    match UntrustedJwt::parse(value) {
        Some(parsed) => Ok(jwt(&parsed, client_id, keyring, now)),
        None => Err("this is neither a sealed grant (1j.KID.SINCE.CAPABILITIES.DIGEST), nor a TokenRequest, nor a JWT".to_owned()),
    }
}

/// `NAME=VALUE; attributes` becomes `VALUE`.
fn cookie_value(text: &str) -> &str {
    let value = text.split_once('=').map_or(text, |(_, value)| value);
    value.split(';').next().unwrap_or_default().trim()
}

fn grant(
    text: &str,
    sealed: &SealedText<'_>,
    client_id: Option<&ClientId>,
    keyring: &Keyring,
    now: u64,
) -> Verdict {
    let since = sealed.untrusted_since();
    let age = now.saturating_sub(since);
    let recheck_after = keyring.recheck_after.as_secs();
    let state = match age {
        _ if since > now + 60 => "in the future: counts for nothing",
        _ if age > recheck_after * 2 => "too old: counts for nothing until it is checked again",
        _ if age > recheck_after => "stale: is checked again, and counts while the check does not answer",
        _ => "fresh, unless it is revoked",
    };
    println!("sealed grant");
    println!("kid           {}", sealed.untrusted_kid());
    println!("since         {} ({})", since, ago(since, now));
    println!(
        "age           {state} (recheck_after is {})",
        humantime::format_duration(keyring.recheck_after)
    );
    match sealed.untrusted_capability(&keyring.vocabulary) {
        Some(capability) => println!("capability    {capability}"),
        None => println!("capability    not readable, or not canonical"),
    }
    let keys = keyring.sealing_keys.as_ref().ok_or(
        "unknown: there are no secrets to verify with; pass --config, or set ABLY_API_KEY and ACCRUE_SECRETS",
    )?;
    let client_id = client_id.ok_or("unknown: a grant is one client's; pass --client-id")?;
    match keys.unseal(client_id, text, now, &keyring.vocabulary) {
        Ok(unsealed) if unsealed.current => {
            Ok(format!("yes, for {client_id:?}; sealed with {}, which seals now", unsealed.kid))
        }
        Ok(unsealed) => {
            Ok(format!("yes, for {client_id:?}; sealed with {}, which does not seal any more", unsealed.kid))
        }
        Err(reason) => Err(format!("no, for {client_id:?}: {reason}")),
    }
}

fn token_request(
    request: &UntrustedTokenRequest,
    client_id: Option<&ClientId>,
    keyring: &Keyring,
    now: u64,
) -> Verdict {
    let members = request.untrusted_members();
    println!("TokenRequest");
    for name in ["keyName", "clientId", "capability", "ttl", "nonce"] {
        if let Some(value) = members.get(name) {
            println!("{name:<14}{}", plain(value));
        }
    }
    if let Some(milliseconds) = members.get("timestamp").and_then(Value::as_u64) {
        let seconds = milliseconds / 1000;
        let exchangeable = if now.abs_diff(seconds) <= 120 {
            "can be exchanged, once"
        } else {
            "too far from now to be exchanged"
        };
        println!("timestamp     {milliseconds} ({}; {exchangeable})", ago(seconds, now));
    }
    same_client(members.get("clientId"), client_id)?;
    let key = keyring.ably_key.as_ref().ok_or(NO_KEY)?;
    if request.verify(key) {
        Ok(format!("yes, signed with {}", key.name()))
    } else {
        Err(format!("no: not signed with {}, or changed since", key.name()))
    }
}

fn jwt(jwt: &UntrustedJwt<'_>, client_id: Option<&ClientId>, keyring: &Keyring, now: u64) -> Verdict {
    let claims = jwt.untrusted_claims();
    println!("JWT");
    println!("header        {}", jwt.untrusted_header());
    for name in ["iat", "exp"] {
        if let Some(seconds) = claims.get(name).and_then(Value::as_u64) {
            println!("{name:<14}{seconds} ({})", ago(seconds, now));
        }
    }
    for (claim, name) in [("x-ably-clientId", "clientId"), ("x-ably-capability", "capability")] {
        if let Some(value) = claims.get(claim) {
            println!("{name:<14}{}", plain(value));
        }
    }
    same_client(claims.get("x-ably-clientId"), client_id)?;
    let key = keyring.ably_key.as_ref().ok_or(NO_KEY)?;
    match jwt.verify(key) {
        Ok(()) if claims["exp"].as_f64().is_some_and(|exp| exp > now as f64) => {
            Ok(format!("yes, signed with {}", key.name()))
        }
        Ok(()) => Ok(format!("yes, signed with {}, but it has expired", key.name())),
        Err(error) => Err(format!("no, for {}: {error}", key.name())),
    }
}

fn same_client(found: Option<&Value>, expected: Option<&ClientId>) -> Result<(), String> {
    match expected {
        Some(expected) if found.and_then(Value::as_str) != Some(expected.as_str()) => {
            Err(format!("no: it is not for {expected:?}"))
        }
        _ => Ok(()),
    }
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
