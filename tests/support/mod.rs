//! What the tests share: short ways to say what they are about.
#![allow(dead_code, reason = "every test file uses its own part of it")]

pub(crate) mod scene;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use accrue::{Capability, Client, ClientId, Moment, Resource, Vocabulary};
use serde_json::{Map, Value};

/// A capability in the tests' own short notation: `"chat:1=publish,subscribe chat:2=*"`.
#[track_caller]
pub(crate) fn cap(entries: &str) -> Capability {
    let object: Map<String, Value> = entries
        .split_whitespace()
        .map(|entry| {
            let (resource, operations) = entry.rsplit_once('=').expect("RESOURCE=OPERATIONS");
            (resource.to_owned(), operations.split(',').collect())
        })
        .collect();
    capability(&object.into())
}

/// A capability from JSON: an object, or a text that holds one.
#[track_caller]
pub(crate) fn capability(json: &Value) -> Capability {
    match json.as_str() {
        Some(text) => Capability::parse(text, &Vocabulary::default()),
        None => Capability::from_json(json, &Vocabulary::default()),
    }
    .unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[track_caller]
pub(crate) fn resource(text: &str) -> Resource<'_> {
    Resource::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[track_caller]
pub(crate) fn client_id(text: &str) -> ClientId {
    ClientId::try_from(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[track_caller]
pub(crate) fn client(id: &str) -> Client {
    Client::new(client_id(id))
}

/// A moment in Unix seconds, with random bytes that are all this one.
pub(crate) fn moment(secs: u64, random: u8) -> Moment {
    Moment::new(secs * 1000, [random; 32])
}

/// The outcome of a future that never waits: the checks of these tests answer at once.
#[track_caller]
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the future waits for something"),
    }
}

/// A file of known answers.
#[track_caller]
pub(crate) fn vectors(text: &str) -> Value {
    serde_json::from_str(text).expect("a file of vectors is JSON")
}

#[track_caller]
pub(crate) fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().unwrap_or_else(|| panic!("no list {member:?}"))
}

#[track_caller]
pub(crate) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no text {member:?} in {value}"))
}
