use std::collections::{BTreeMap, BTreeSet};

use accrue::Capability;
use serde_json::Value;

/// Resources, and for each its operations: a capability, without a thought for time.
pub type Plain = BTreeMap<String, BTreeSet<String>>;

/// The entries of a capability.
pub fn read(capability: &Capability) -> Plain {
    let entries = capability.iter().map(|(resource, operations)| {
        (resource.as_str().to_owned(), operations.names().map(str::to_owned).collect())
    });
    entries.collect()
}

/// The canonical text.
///
/// # Panics
/// Never.
pub fn printed(plain: &Plain) -> String {
    serde_json::to_string(plain).expect("texts serialise")
}

/// JSON in which no member stands twice.
pub fn json(text: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(text).ok()?;
    // outside of texts, colons stand behind the names of members only
    let (mut in_text, mut escaped, mut colons) = (false, false, 0);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b':' if !in_text => colons += 1,
            _ => {}
        }
    }
    (members(&value) == colons).then_some(value)
}

fn members(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(members).sum(),
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

/// The capability that this JSON is, if it is one in Ably's operations.
pub fn capability(value: &Value) -> Option<Plain> {
    let entry = |(resource, list): (&String, &Value)| {
        let names: Option<BTreeSet<String>> =
            list.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect();
        let names = names?;
        let is_star = names.len() == 1 && names.contains("*");
        let are_known = !names.is_empty() && names.iter().all(|name| ABLY.contains(&name.as_str()));
        (is_resource(resource) && (is_star || are_known)).then(|| (resource.clone(), names))
    };
    value.as_object()?.iter().map(entry).collect()
}

/// The capability that this text is the canonical form of; `None` for an empty one.
pub fn canonical(text: &[u8]) -> Option<Plain> {
    let plain = capability(&json(text)?)?;
    (!plain.is_empty() && printed(&plain).as_bytes() == text).then_some(plain)
}

fn is_resource(text: &str) -> bool {
    let (_, name) = split(text);
    let first = name.chars().next();
    text.len() <= 2048
        && !text.chars().any(char::is_control)
        && first.is_some_and(|c| !c.is_whitespace() && !['[', ':', ','].contains(&c))
}

/// The qualifier and the rest.
fn split(text: &str) -> (&str, &str) {
    let known = ["[meta]", "[queue]", "[*]"].into_iter().find(|qualifier| text.starts_with(qualifier));
    text.split_at(known.map_or(0, str::len))
}

/// Whether a resource permits all that another stands for.
pub fn covers(pattern: &str, other: &str) -> bool {
    let ((kind, pattern), (other_kind, other)) = (split(pattern), split(other));
    let [pattern, other] = [pattern, other].map(|name| name.split(':').collect::<Vec<_>>());
    (kind == other_kind || kind == "[*]") && segments_cover(&pattern, &other)
}

fn segments_cover(pattern: &[&str], other: &[&str]) -> bool {
    match (pattern, other) {
        (["*"], [_, ..]) | ([], []) => true,
        (["*", pattern @ ..], [one, other @ ..]) => !one.is_empty() && segments_cover(pattern, other),
        ([literal, pattern @ ..], [one, other @ ..]) => literal == one && segments_cover(pattern, other),
        _ => false,
    }
}

/// Whether this capability permits an operation on a resource. Only `*` permits `*`.
pub fn permits(plain: &Plain, resource: &str, operation: &str) -> bool {
    plain.iter().any(|(pattern, operations)| {
        (operations.contains("*") || operations.contains(operation)) && covers(pattern, resource)
    })
}

/// What the other does not permit.
pub fn unmet(plain: &Plain, other: &Plain) -> Plain {
    let rest = plain.iter().map(|(resource, operations)| {
        let unmet = operations.iter().filter(|operation| !permits(other, resource, operation));
        (resource.clone(), unmet.cloned().collect::<BTreeSet<_>>())
    });
    rest.filter(|(_, operations)| !operations.is_empty()).collect()
}

/// Whether the other permits all of it.
pub fn within(plain: &Plain, other: &Plain) -> bool {
    unmet(plain, other).is_empty()
}

/// What any of these permits.
pub fn union<'a>(parts: impl IntoIterator<Item = &'a Plain>) -> Plain {
    let mut all = Plain::new();
    for (resource, operations) in parts.into_iter().flatten() {
        let entry = all.entry(resource.clone()).or_default();
        entry.extend(operations.iter().cloned());
        if entry.contains("*") {
            *entry = BTreeSet::from(["*".to_owned()]);
        }
    }
    all
}

/// Of each pair of which one covers the other the narrower, with the operations that both have.
pub fn common(a: &Plain, b: &Plain) -> Plain {
    let mut parts = Vec::new();
    for (ours, our_operations) in a {
        for (theirs, their_operations) in b {
            let narrower = match (covers(ours, theirs), covers(theirs, ours)) {
                (true, _) => theirs,
                (_, true) => ours,
                _ => continue,
            };
            let operations = match (our_operations.contains("*"), their_operations.contains("*")) {
                (true, _) => their_operations.clone(),
                (_, true) => our_operations.clone(),
                _ => our_operations & their_operations,
            };
            if !operations.is_empty() {
                parts.push(BTreeMap::from([(narrower.clone(), operations)]));
            }
        }
    }
    union(&parts)
}

/// Ably's table.
const ABLY: [&str; 17] = [
    "publish",
    "subscribe",
    "presence",
    "history",
    "stats",
    "push-subscribe",
    "push-admin",
    "channel-metadata",
    "privileged-headers",
    "object-subscribe",
    "object-publish",
    "annotation-subscribe",
    "annotation-publish",
    "message-update-own",
    "message-update-any",
    "message-delete-own",
    "message-delete-any",
];
