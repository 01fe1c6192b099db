use accrue::{Capability, ClientId, Vocabulary};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use serde_json::json;

use crate::plain::Plain;

/// The operations of what is made, `*` last.
pub const OPERATIONS: [&str; 5] = ["history", "publish", "stats", "subscribe", "*"];

/// Few, so that they meet; and those that may be taken for something else.
const SEGMENTS: [&str; 12] = ["a", "b", "*", "c", "", "*a", "a*", "é", "\"", "\\", "]", "{clientId}"];
const QUALIFIERS: [&str; 6] = ["", "", "", "[meta]", "[queue]", "[*]"];

/// A well-formed resource, often a pattern.
///
/// # Errors
/// If the bytes are used up.
pub fn some_resource(u: &mut Unstructured<'_>) -> Result<String> {
    let qualifier = *u.choose(&QUALIFIERS)?;
    let first = *u.choose(&["a", "b", "*", "c", "*a", "é", "\"", "\\"])?;
    let mut text = format!("{qualifier}{first}");
    for _ in 0..u.int_in_range(0..=3)? {
        text = format!("{text}:{}", u.choose(&SEGMENTS)?);
    }
    Ok(text)
}

/// A capability of a few entries, in the plain form.
///
/// # Errors
/// If the bytes are used up.
pub fn some_plain(u: &mut Unstructured<'_>, most: usize) -> Result<Plain> {
    let mut plain = Plain::new();
    for _ in 0..u.int_in_range(0..=most)? {
        let resource = some_resource(u)?;
        let chosen = u.int_in_range(1..=31_u8)?;
        let chosen = if chosen >= 16 { 16 } else { chosen };
        let names = OPERATIONS.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1);
        plain.insert(resource, names.map(|(_, name)| (*name).to_owned()).collect());
    }
    Ok(plain)
}

/// The same as a capability.
///
/// # Errors
/// If the bytes are used up.
///
/// # Panics
/// If the library refuses it.
pub fn some_capability(u: &mut Unstructured<'_>, most: usize) -> Result<Capability> {
    let plain = some_plain(u, most)?;
    Ok(Capability::from_json(&json!(plain), &Vocabulary::default()).expect("well-formed"))
}

/// Whoever: one of a few, or anybody.
///
/// # Errors
/// If the bytes are used up.
pub fn some_client_id(u: &mut Unstructured<'_>) -> Result<ClientId> {
    let usual = *u.choose(&["alice", "bob", "alice:a", "a", "é", ""])?;
    let text = if usual.is_empty() { u.arbitrary()? } else { usual };
    Ok(ClientId::try_from(text).unwrap_or_else(|_| ClientId::try_from("alice").expect("well-formed")))
}
