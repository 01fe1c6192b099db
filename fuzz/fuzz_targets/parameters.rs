//! What a request asks for, in its query, its form or its JSON: read as the contract says it, or refused for what is
//! wrong with it.
//!
//! An input is one byte (method and content type), the query, a line break, and the body.
#![no_main]

#[path = "../../tests/support/answer.rs"]
mod answer;
#[path = "../../tests/support/service.rs"]
mod service;

use std::sync::LazyLock;

use accrue::ably::ApiKey;
use accrue::{AuthService, Caller, Client, ClientId, Issuer, ServiceSettings, Strategy};
use accrue_fuzz::{at_once, capability, json, printed};
use http::Uri;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use service::{Check, Clock, Server, Verdict, ask};

const NAMES: [&str; 4] = ["capability", "clientId", "client_id", "ttl"];
const TYPES: [Option<&str>; 6] = [
    None,
    Some("application/x-www-form-urlencoded"),
    Some("application/json"),
    Some("Application/JSON; charset=utf-8"),
    Some("application/x-www-form-urlencoded;charset=UTF-8"),
    Some("text/plain"),
];

/// Believes what is claimed, grants what is asked, remembers nothing: the token says what was understood.
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let clock = Clock::default();
    let key = ApiKey::parse(service::KEY).expect("a key");
    let issuer =
        Issuer::new(key, Strategy::Client, Check::saying(Verdict::Grant).closure()).expect("an issuer");
    let issuer = issuer.with_key_capability(service::capability(r#"{"[*]*":["*"]}"#));
    let believing = async |caller: Caller| {
        let nobody = || ClientId::try_from("nobody").expect("an id");
        Ok(Client::new(caller.claimed.unwrap_or_else(nobody)))
    };
    let service = AuthService::new(issuer, believing, ServiceSettings::default(), clock.moments());
    Server { service, clock }
});

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (query, body) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let Ok(query) = str::from_utf8(query) else { return };
    let target = format!("/auth?{query}");
    let Ok(uri) = target.parse::<Uri>() else { return };
    let (method, content_type) =
        if kind & 1 == 0 { ("GET", None) } else { ("POST", TYPES[usize::from(kind >> 1) % 6]) };
    let mut request = ask(method, &target);
    if method == "POST" {
        request = match content_type {
            Some(content_type) => request.body(content_type, body.to_vec()),
            None => request.untyped(body.to_vec()),
        };
    }
    let (answer, _) = at_once(SERVER.tell(request));
    let got = answer.status_and_code();

    let mut wrong = Vec::new();
    let in_query = pairs(uri.query().unwrap_or_default().as_bytes(), &mut wrong);
    let in_body = match content_type {
        _ if method == "GET" || body.is_empty() => [const { None }; 4],
        None | Some("text/plain") => return assert_eq!(got, (415, 41500), "{answer:?}"),
        Some(form) if form.contains("form") => pairs(body, &mut wrong),
        Some(_) => members(body, &mut wrong),
    };
    let read: Vec<Option<Value>> =
        in_body.into_iter().zip(in_query).map(|(in_body, in_query)| in_body.or(in_query)).collect();
    let [wishes, id, in_snake_case, ttl] = read.try_into().expect("four names");

    let wishes = match wishes {
        None => Some(accrue_fuzz::Plain::new()),
        Some(Value::String(text)) => json(text.as_bytes()).as_ref().and_then(capability),
        Some(value) => capability(&value),
    };
    let wishes = wishes.filter(|wishes| wishes.len() <= 256);
    if wishes.is_none() {
        wrong.push((400, 40000));
    }
    if id.is_some() && in_snake_case.is_some() && id != in_snake_case {
        wrong.push((400, 40000));
    }
    let id = id.or(in_snake_case).unwrap_or_else(|| "nobody".into());
    if !id.as_str().is_some_and(is_client_id) {
        wrong.push((400, 40012));
    }
    let ttl = ttl.map_or(Some(3_600_000), |ttl| millis(&ttl));
    if ttl.is_none() {
        wrong.push((400, 40003));
    }
    if let (Some(wishes), Some(ttl), []) = (&wishes, ttl, wrong.as_slice()) {
        if wishes.is_empty() {
            return assert_eq!(got, (401, 40160), "{answer:?}");
        }
        let token = answer.token();
        assert_eq!(token["capability"], printed(wishes), "{answer:?}");
        assert_eq!(token["clientId"], id, "{answer:?}");
        assert_eq!(token["ttl"], ttl.clamp(1_000, 3_600_000), "{answer:?}");
        assert!(answer.header("accrue-refused").is_none(), "{answer:?}");
    } else {
        assert!(wrong.contains(&got), "{wrong:?}, and not {answer:?}");
    }
});

type Four = [Option<Value>; 4];

/// The parameters of a query or a form.
fn pairs(bytes: &[u8], wrong: &mut Vec<(u16, u64)>) -> Four {
    NAMES.map(|name| {
        let found: Vec<String> = form_urlencoded::parse(bytes)
            .filter(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
            .collect();
        if found.len() > 1 || found.iter().any(|value| value.contains('\u{fffd}')) {
            wrong.push((400, 40000));
        }
        found.into_iter().next().map(Value::String).and_then(present)
    })
}

/// The parameters of a JSON body.
fn members(bytes: &[u8], wrong: &mut Vec<(u16, u64)>) -> Four {
    let object = json(bytes).filter(Value::is_object);
    if object.is_none() {
        wrong.push((400, 40000));
    }
    NAMES.map(|name| object.as_ref().and_then(|object| object.get(name).cloned()).and_then(present))
}

/// Empty, `null` and `undefined` count as absent.
fn present(value: Value) -> Option<Value> {
    let absent = value.is_null() || ["", "null", "undefined"].iter().any(|text| value == *text);
    (!absent).then_some(value)
}

fn is_client_id(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && !text.chars().any(|c| c.is_control() || c == '*' || c == '\u{2028}' || c == '\u{2029}')
}

/// A positive whole number, as digits or as a number.
fn millis(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => {
            let digits = text.bytes().all(|b| b.is_ascii_digit()) && text.bytes().any(|b| b != b'0');
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        }
        // a float is whole only where there are no others
        Value::Number(number) if number.is_f64() => {
            number.as_f64().filter(|float| *float >= 18e18 && float.fract() == 0.0).map(|_| u64::MAX)
        }
        Value::Number(number) => number.as_u64().filter(|millis| *millis > 0),
        _ => None,
    }
}
