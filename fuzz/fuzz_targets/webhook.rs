//! What a permission backend answers. It grants what it says and never beyond the question; whatever is not understood
//! is no answer, which costs nobody what they hold.
//!
//! An input is one byte (what went wrong on the way), two of status, and the body.
#![no_main]

use std::future::{Ready, ready};
use std::sync::{Arc, LazyLock, Mutex};

use accrue::ably::ApiKey;
use accrue::{
    Ask, Asked, Capability, Client, ClientId, Decision, Endpoint, Grant, HttpCall, HttpClient,
    HttpClientError, Issuer, Moment, PermissionCheck, Question, RefusalReason, Sealing, SealingKeys,
    SealingSecret, Strategy, Vocabulary, Webhook, WebhookSettings,
};
use accrue_fuzz::{NOW, Plain, at_once, capability, json, read, union, within};
use bytes::Bytes;
use http::Response;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

type Reply = Result<(u16, Vec<u8>), HttpClientError>;

/// A backend that answers this.
#[derive(Clone)]
struct Backend(Arc<Mutex<Reply>>);

impl HttpClient for Backend {
    fn send(&self, _: HttpCall) -> impl Future<Output = Result<Response<Bytes>, HttpClientError>> + Send {
        let reply = self.0.lock().expect("nobody panics").clone();
        let answered: Ready<_> = ready(reply.map(|(status, body)| {
            let mut response = Response::new(Bytes::from(body));
            *response.status_mut() = status.try_into().expect("three digits");
            response
        }));
        answered
    }
}

static BACKEND: LazyLock<Backend> = LazyLock::new(|| Backend(Arc::new(Mutex::new(Ok((200, Vec::new()))))));
static WEBHOOK: LazyLock<Webhook> = LazyLock::new(|| {
    let settings = WebhookSettings::new(Endpoint::parse("http://127.0.0.1/may/they").expect("a URL"));
    Webhook::new(settings, BACKEND.clone())
});
static KEYS: LazyLock<SealingKeys> = LazyLock::new(|| {
    let secret = SealingSecret::parse("k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY").expect("a secret");
    SealingKeys::new(&ApiKey::parse(KEY).expect("a key"), vec![secret]).expect("one secret")
});
static ISSUERS: LazyLock<[Issuer; 2]> = LazyLock::new(|| {
    [Strategy::Cookie(Sealing::new(KEYS.clone())), Strategy::Server].map(|strategy| {
        Issuer::new(ApiKey::parse(KEY).expect("a key"), strategy, WEBHOOK.clone())
            .expect("a webhook can answer everything")
            .with_key_capability(parsed(r#"{"[*]*":["*"]}"#))
    })
});

const KEY: &str = "app.key:whatever";
const HELD: &str = r#"{"held:1":["subscribe"]}"#;
const STALE: &str = r#"{"stale:1":["publish"]}"#;
const WISHES: &str = r#"{"[meta]a":["*"],"a":["publish","subscribe"],"b:*":["subscribe"],"é\"":["history"]}"#;

fn parsed(text: &str) -> Capability {
    Capability::parse(text, &Vocabulary::default()).expect("a capability")
}

fn plain(text: &str) -> Plain {
    read(&parsed(text))
}

fuzz_target!(|data: &[u8]| {
    let [on_the_way, high, low, body @ ..] = data else { return };
    let status = 100 + u16::from_be_bytes([*high, *low]) % 900;
    let reply = match on_the_way {
        0..=250 => Ok((status, body.to_vec())),
        251 => Err(HttpClientError::TooLarge(1024 * 1024)),
        252 => Err(HttpClientError::Encoded),
        _ => Err(HttpClientError::Failed("cut off".to_owned())),
    };
    *BACKEND.0.lock().expect("nobody panics") = reply.clone();

    let alice = Client::new(ClientId::try_from("alice").expect("an id"));
    let said = reply.ok().filter(|(status, _)| *status == 200).and_then(|(_, body)| said(&body));
    let question = Question::new(alice.clone(), Asked::These(parsed(WISHES)), parsed(HELD));
    match (at_once(WEBHOOK.check(question)), &said) {
        (Decision::Granted(granted), Some(Said::Granted(expected))) => assert_eq!(&read(&granted), expected),
        (Decision::Barred, Some(Said::Barred)) => {}
        (Decision::Unavailable(cause), None) => {
            assert!(cause.len() < 512 && !cause.contains(['\n', '\r']), "{cause}");
            assert!(!quotes(&cause, body), "repeats the answer: {cause}");
        }
        (decision, said) => panic!("{decision:?}, and not {said:?}"),
    }
    for (issuer, everything) in ISSUERS.iter().zip([false, true]) {
        let mut ask = Ask::new(alice.clone());
        ask.wishes = parsed(WISHES);
        ask.presented = [(HELD, NOW - 600), (STALE, NOW - 9 * 3600)]
            .into_iter()
            .map(|(text, since)| {
                KEYS.seal(&alice.id, &Grant { capability: parsed(text), since }).expect("sealed")
            })
            .collect();
        issued(issuer, ask, said.as_ref(), everything);
    }
});

fn issued(issuer: &Issuer, ask: Ask, said: Option<&Said>, everything: bool) {
    let (held, stale) = (plain(HELD), plain(STALE));
    let asked = union([&plain(WISHES), &stale]);
    let answer = at_once(issuer.issue(ask, &Moment::new(NOW * 1000, [7; 32])));
    match (said, answer) {
        (Some(Said::Barred), Err(refusal)) => assert_eq!(refusal.reason, RefusalReason::Barred),
        (None, Err(refusal)) if everything => {
            assert_eq!(refusal.reason, RefusalReason::Unavailable);
            assert!(refusal.change.is_empty());
        }
        (None, Ok(issued)) => {
            assert_eq!(read(issued.permitted.capability()), union([&held, &stale]));
            assert!(issued.change.is_empty() && issued.refused.denied.is_empty());
        }
        (Some(Said::Granted(granted)), Ok(issued)) => {
            let signed = read(issued.permitted.capability());
            assert!(!signed.is_empty());
            if everything {
                assert!(within(&signed, granted) && issued.change.is_empty());
            } else {
                assert!(
                    within(&signed, &union([&held, granted])) && within(&signed, &union([&held, &asked]))
                );
                assert!(within(&held, &signed), "what is held was lost: {signed:?}");
            }
        }
        (Some(Said::Granted(granted)), Err(refusal)) => {
            assert_eq!(refusal.reason, RefusalReason::Nothing);
            assert!(everything && granted.is_empty(), "{granted:?}");
        }
        (said, answer) => panic!("{said:?}: {:?}", answer.map(|issued| issued.permitted)),
    }
}

#[derive(Debug)]
enum Said {
    Granted(Plain),
    Barred,
}

/// What a body says, if it says it as the contract has it.
fn said(body: &[u8]) -> Option<Said> {
    let answer = json(body)?;
    match answer.get("barred") {
        Some(Value::Bool(true)) => return Some(Said::Barred),
        None | Some(Value::Bool(false)) => {}
        Some(_) => return None,
    }
    let mut granted = answer.get("granted")?.as_object()?.clone();
    granted.retain(|_, list| list.as_array().is_none_or(|list| !list.is_empty()));
    capability(&granted.into()).map(Said::Granted)
}

/// Whether sixteen bytes of it stand there.
fn quotes(cause: &str, body: &[u8]) -> bool {
    body.windows(16).any(|part| part.is_ascii() && cause.as_bytes().windows(16).any(|said| said == part))
        && !OURS.iter().any(|own| cause.contains(own))
}

/// What a cause says in its own words, which an answer may hold by chance.
const OURS: [&str; 2] = ["the answer is neither", "is no capability"];
