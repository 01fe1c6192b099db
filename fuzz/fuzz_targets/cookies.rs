//! The header `Cookie`: alice's own grants count, and nothing else that stands there. What is deleted was hers and was
//! sent, nothing is set and deleted at once, and what she holds is still there the next time.
//!
//! An input is one byte (method, and what the check says) and the header; a line break begins another one, and a byte
//! below 32 stands for a grant of the table.
#![no_main]

#[path = "../../tests/support/answer.rs"]
mod answer;
#[path = "../../tests/support/service.rs"]
mod service;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use accrue::ably::ApiKey;
use accrue::{
    AuthService, ClientId, Grant, Issuer, Sealing, SealingKeys, SealingSecret, ServiceSettings, Strategy,
};
use accrue_fuzz::{NOW, Plain, at_once, capability, json, read, union};
use answer::Answer;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use service::{Ask, Check, Clock, K1, K2, Server, Verdict, ask, set_cookies};

const HOUR: u64 = 3600;
const PREFIX: &str = "__Host-accrue.";

/// What a grant of the table counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    Fresh,
    Stale,
    Lapsed,
    /// It is somebody else's, or is not as it was sealed.
    Nothing,
}

struct Sample {
    text: String,
    worth: Worth,
    says: Plain,
}

/// Sealed for `alice`, of `app`, and others.
static TABLE: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let large = |from: u64| {
        let names = (from..from + 100).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        names.map(|name| format!("\"l:{name}\":[\"publish\"]")).collect::<Vec<_>>().join(",")
    };
    let own = |entries: &str, age, worth| sample("app", K1, "alice", entries, age, worth);
    let mut table = vec![
        own(r#""a":["publish"]"#, 0, Worth::Fresh),
        own(r#""a":["subscribe"],"b":["publish"]"#, HOUR, Worth::Fresh),
        sample("app", K2, "alice", r#""c":["*"]"#, 2 * HOUR, Worth::Fresh),
        own(r#""d":["publish"]"#, 9 * HOUR, Worth::Stale),
        own(r#""e":["publish"]"#, 17 * HOUR, Worth::Lapsed),
        sample("app", K1, "bob", r#""x":["*"]"#, 0, Worth::Nothing),
        sample("other", K1, "alice", r#""x":["*"]"#, 0, Worth::Nothing),
        sample(
            "app",
            "k9:Y29tcGxldGVseSBvdGhlciAzMiBieXRlcywgc2VhbHM",
            "alice",
            r#""x":["*"]"#,
            0,
            Worth::Nothing,
        ),
        // never reached: it stands for the break between two headers
        own(r#""unused":["*"]"#, 0, Worth::Fresh),
        own(&large(0), 2 * HOUR, Worth::Fresh),
        own(&large(1000), HOUR, Worth::Fresh),
        sample("app", K1, "bob", &large(2000), 0, Worth::Nothing),
        own(r#""a":["*"]"#, 10 * HOUR, Worth::Stale),
    ];
    let mut tampered = own(r#""x":["*"]"#, 0, Worth::Nothing);
    tampered.text = tampered.text.replace("1j.k1", "1j.k2");
    table.push(tampered);
    table
});

fn sample(app: &str, secret: &str, client: &str, entries: &str, age: u64, worth: Worth) -> Sample {
    let key = ApiKey::parse(&format!("{app}.key:whatever")).expect("a key");
    let keys = SealingKeys::new(&key, vec![SealingSecret::parse(secret).expect("a secret")]).expect("one");
    let capability = service::capability(&format!("{{{entries}}}"));
    let says = read(&capability);
    let grant = Grant { capability, since: (NOW - age) / 300 * 300 };
    let client = ClientId::try_from(client).expect("an id");
    Sample { text: keys.seal(&client, &grant).expect("can be sealed"), worth, says }
}

static CHECK: LazyLock<Check> = LazyLock::new(|| Check::saying(Verdict::Deny));
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let clock = Clock::default();
    let sealing = Sealing::new(service::keys(&[K1, K2]));
    let key = ApiKey::parse(service::KEY).expect("a key");
    let issuer = Issuer::new(key, Strategy::Cookie(sealing), CHECK.closure()).expect("an issuer");
    let service = AuthService::new(issuer, service::by_header(), ServiceSettings::default(), clock.moments());
    Server { service, clock }
});

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let fields: Vec<Vec<u8>> = data.split(|byte| *byte == b'\n').map(filled_in).collect();
    // what no server would let through, and what is refused for its length
    let bytes: usize = fields.iter().map(Vec::len).sum();
    if bytes > 30_000
        || fields.len() > 90
        || fields.iter().any(|field| HeaderValue::from_bytes(field).is_err())
    {
        return;
    }
    let verdict = [Verdict::Deny, Verdict::Grant, Verdict::Down, Verdict::Bar][usize::from(kind >> 2 & 3)];
    CHECK.now_says(verdict);
    let sent = cookies(&fields);
    let ours: Vec<&(String, String)> = sent.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    let carrying = |request: Ask| {
        fields.iter().fold(request.by("alice"), |request, field| request.header("cookie", field))
    };
    match kind & 3 {
        0 => {
            let (answer, _) = at_once(SERVER.tell(carrying(ask("DELETE", "/auth"))));
            assert_eq!(answer.status, 204);
            let gone: BTreeSet<String> = set_cookies(&answer).into_iter().map(|cookie| cookie.name).collect();
            let all = ours.iter().map(|(name, _)| name.clone()).filter(|name| name.is_ascii());
            assert!(gone == all.collect() || gone.len() == 180, "{answer:?}");
        }
        1 => {
            let request = ask("DELETE", "/auth").wishing(r#"{"a":["*"],"d":["*"]}"#);
            let (answer, _) = at_once(SERVER.tell(carrying(request)));
            assert_eq!(answer.status, 204);
            let held = |worth| union(&looked_at(&ours, worth));
            let left = |mut held: Plain| {
                held.retain(|resource, _| resource != "a" && resource != "d");
                held
            };
            let after = kept(&sent, &answer);
            if are_distinct(&sent) {
                let after: Vec<&(String, String)> =
                    after.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
                assert_eq!(
                    union(&held_by(&after)),
                    left(union([&held(Worth::Fresh), &held(Worth::Stale), &held(Worth::Lapsed)]))
                );
            }
        }
        _ => issue(&ours, &sent, verdict, &carrying(ask("GET", "/auth"))),
    }
});

fn issue(ours: &[&(String, String)], sent: &[(String, String)], verdict: Verdict, request: &Ask) {
    let [fresh, stale, lapsed] =
        [Worth::Fresh, Worth::Stale, Worth::Lapsed].map(|worth| union(&looked_at(ours, worth)));
    let is_asked = !accrue_fuzz::within(&union([&stale, &lapsed]), &fresh);
    let expected = match verdict {
        _ if !is_asked => Some(union([&fresh])),
        Verdict::Down => Some(union([&fresh, &stale])),
        Verdict::Grant => Some(union([&fresh, &stale, &lapsed])),
        Verdict::Bar => None,
        _ => Some(fresh.clone()),
    };
    let (answer, _) = at_once(SERVER.tell(request.clone()));
    match expected {
        None => assert_eq!(answer.status_and_code(), (403, 40300), "{answer:?}"),
        Some(none) if none.is_empty() => {
            let unavailable = matches!(verdict, Verdict::Down) && is_asked;
            let expected = if unavailable { (503, 50003) } else { (401, 40160) };
            assert_eq!(answer.status_and_code(), expected, "{answer:?}");
        }
        Some(expected) => {
            assert_eq!(signed(&answer), expected, "{answer:?}");
            // the next time
            if are_distinct(sent) && ours.len() <= 16 {
                let kept = kept(sent, &answer);
                let header: Vec<String> =
                    kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let again = ask("GET", "/auth").by("alice").header("cookie", header.join("; "));
                let (answer, _) = at_once(SERVER.tell(again));
                assert_eq!(signed(&answer), expected, "{kept:?}: {answer:?}");
            }
        }
    }
    deletes_only_hers(ours, &answer);
}

/// What is deleted was sent, and was a grant of hers unless there is too much.
fn deletes_only_hers(ours: &[&(String, String)], answer: &Answer) {
    let overflowing = ours.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > 8 * 1024;
    for cookie in set_cookies(answer) {
        assert!(cookie.name.starts_with(PREFIX), "{answer:?}");
        assert_eq!(cookie.attributes["Path"], "/");
        for attribute in ["HttpOnly", "Secure"] {
            assert_eq!(cookie.attributes[attribute], "");
        }
        assert_eq!((&*cookie.attributes["SameSite"], cookie.attributes.len()), ("Strict", 5));
        if cookie.value.is_empty() {
            assert_eq!(cookie.attributes["Max-Age"], "0");
            let mut named = ours.iter().filter(|(name, _)| *name == cookie.name).peekable();
            assert!(named.peek().is_some(), "was not sent: {answer:?}");
            assert!(overflowing || named.any(|(_, value)| worth(value) != Worth::Nothing), "{answer:?}");
        } else {
            assert_eq!(cookie.name, service::name_of(&cookie.value));
            assert_eq!(cookie.attributes["Max-Age"], (16 * HOUR).to_string());
            assert!(cookie.name.len() + cookie.value.len() <= 2560, "{answer:?}");
        }
    }
}

fn filled_in(field: &[u8]) -> Vec<u8> {
    let mut filled = Vec::new();
    for byte in field {
        match byte {
            1..=31 => filled.extend(TABLE[usize::from(byte - 1) % TABLE.len()].text.bytes()),
            byte => filled.push(*byte),
        }
    }
    filled
}

/// Names and values, as RFC 6265 has them, and whatever else stands there left out.
fn cookies(fields: &[Vec<u8>]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for field in fields {
        for pair in String::from_utf8_lossy(field).split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            if !name.trim().is_empty() {
                all.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }
    all
}

/// What these say that count for this, of the first sixteen values.
fn looked_at(ours: &[&(String, String)], sought: Worth) -> Vec<Plain> {
    let mut values: Vec<&str> = Vec::new();
    for (_, value) in ours {
        if !values.contains(&value.as_str()) && values.len() < 16 {
            values.push(value);
        }
    }
    let found = values.into_iter().filter(|value| worth(value) == sought);
    found
        .map(|value| TABLE.iter().find(|sample| sample.text == value).expect("has a worth").says.clone())
        .collect()
}

fn worth(value: &str) -> Worth {
    TABLE.iter().find(|sample| sample.text == value).map_or(Worth::Nothing, |sample| sample.worth)
}

/// What all that verifies for alice says, written by this server or of the table.
fn held_by(ours: &[&(String, String)]) -> Vec<Plain> {
    let alice = ClientId::try_from("alice").expect("an id");
    let keys = service::keys(&[K1, K2]);
    let mut values: Vec<&str> = Vec::new();
    for (_, value) in ours {
        if !values.contains(&value.as_str()) {
            values.push(value);
        }
    }
    let read_one = |value: &str| keys.unseal(&alice, value, NOW, &accrue::Vocabulary::default()).ok();
    values.into_iter().filter_map(read_one).map(|unsealed| read(&unsealed.grant.capability)).collect()
}

/// Whether an answer can change each of them without touching another.
fn are_distinct(sent: &[(String, String)]) -> bool {
    let names: BTreeSet<&String> = sent.iter().map(|(name, _)| name).filter(|name| name.is_ascii()).collect();
    names.len() == sent.len()
}

/// What a browser sends the next time.
fn kept(sent: &[(String, String)], answer: &Answer) -> Vec<(String, String)> {
    let mut kept = sent.to_vec();
    for cookie in set_cookies(answer) {
        kept.retain(|(name, _)| *name != cookie.name);
        if !cookie.value.is_empty() {
            kept.push((cookie.name, cookie.value));
        }
    }
    kept
}

fn signed(answer: &Answer) -> Plain {
    let token = answer.token();
    let text = token["capability"].as_str().expect("a text");
    capability(&json(text.as_bytes()).expect("JSON")).expect("a capability")
}
