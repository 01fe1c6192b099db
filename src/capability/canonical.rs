//! The canonical text: no white space, resources and operations sorted by their bytes, `["*"]` alone where everything
//! is permitted, texts escaped as `serde_json` does. There is one such text for one capability.

use std::borrow::Cow;
use std::fmt;

use super::{Capability, Operations, Resource, Vocabulary};

/// The canonical text.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

impl Capability {
    /// The canonical text.
    pub(crate) fn canonical(&self) -> String {
        let mut text = String::with_capacity(self.canonical_bytes());
        text.push('{');
        for (at, (resource, operations)) in self.iter().enumerate() {
            text.push_str(if at == 0 { "\"" } else { ",\"" });
            push_escaped(&mut text, resource.as_str());
            text.push_str("\":[");
            for (at, name) in operations.names().enumerate() {
                text.push_str(if at == 0 { "\"" } else { ",\"" });
                text.push_str(name);
                text.push('"');
            }
            text.push(']');
        }
        text.push('}');
        text
    }

    /// The length of the canonical text.
    pub(crate) fn canonical_bytes(&self) -> usize {
        let entry = |(resource, operations): (Resource<'_>, &Operations)| {
            let name = resource.as_str();
            let escapes = name.bytes().filter(|b| is_escaped(*b)).count();
            let list: usize = operations.names().map(|name| "\"\",".len() + name.len()).sum();
            // the comma that one of both lists has too many is the one between this entry and the next
            "\"\":[]".len() + name.len() + escapes + list
        };
        let entries: usize = self.iter().map(entry).sum();
        if self.is_empty() { "{}".len() } else { "{}".len() + entries - 1 }
    }

    /// Reads what printing writes, and nothing else.
    pub(crate) fn from_canonical(text: &str, vocabulary: &Vocabulary) -> Option<Self> {
        let mut rest = text.strip_prefix('{')?;
        let mut capability = Self::default();
        if rest == "}" {
            return Some(capability);
        }
        capability.names.reserve(text.len());
        capability.entries.reserve(text.bytes().filter(|b| *b == b'[').count());
        loop {
            let name;
            (name, rest) = read_name(rest.strip_prefix('"')?)?;
            let resource = Resource::parse(&name).ok()?;
            if capability.last().is_some_and(|last| last >= &*name) {
                return None;
            }
            let operations;
            (operations, rest) = read_operations(rest.strip_prefix(":[")?, vocabulary)?;
            capability.insert(resource, &operations);
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => return (rest == "}").then_some(capability),
            }
        }
    }
}

/// Resources have no control characters, so there is nothing else.
fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\')
}

fn push_escaped(text: &mut String, name: &str) {
    let mut rest = name;
    while let Some(at) = rest.bytes().position(is_escaped) {
        text.push_str(&rest[..at]);
        text.push('\\');
        text.push_str(&rest[at..=at]);
        rest = &rest[at + 1..];
    }
    text.push_str(rest);
}

/// A name, up to its quote, and what follows that.
fn read_name(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let (part, mut special, mut rest) = split_at_escaped(text)?;
    let mut name = Cow::Borrowed(part);
    while special == b'\\' {
        let (between, escaped, after) = split_at_escaped(rest)?;
        let (part, next, after) = split_at_escaped(after).filter(|_| between.is_empty())?;
        let name = name.to_mut();
        name.push(char::from(escaped));
        name.push_str(part);
        (special, rest) = (next, after);
    }
    Some((name, rest))
}

fn split_at_escaped(text: &str) -> Option<(&str, u8, &str)> {
    let at = text.bytes().position(is_escaped)?;
    Some((&text[..at], text.as_bytes()[at], &text[at + 1..]))
}

/// What a list holds, up to its bracket, and what follows that.
fn read_operations<'a>(text: &'a str, vocabulary: &Vocabulary) -> Option<(Operations, &'a str)> {
    let (list, rest) = text.split_once(']')?;
    if list == "\"*\"" {
        return Some((Operations::ALL, rest));
    }
    let mut operations = Operations::none();
    let mut last = "";
    for name in list.split(',') {
        let name = name.strip_prefix('"')?.strip_suffix('"')?;
        if name <= last {
            return None;
        }
        operations.join(&vocabulary.operation(name)?);
        last = name;
    }
    Some((operations, rest))
}
