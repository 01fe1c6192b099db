//! The canonical text: no white space, resources and operations sorted by their bytes, `["*"]` alone where everything
//! is permitted, texts escaped as `serde_json` does. There is one such text for one capability.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;

use serde::{Serialize, Serializer};

use super::{Capability, Entry, Operations, Resource, Vocabulary};

impl Capability {
    /// The canonical text.
    pub fn as_str(&self) -> &str {
        if self.is_empty() { "{}" } else { &self.text }
    }

    /// Takes what printing writes, and nothing else.
    pub(crate) fn from_canonical(text: String, vocabulary: &Vocabulary) -> Option<Self> {
        if text == "{}" {
            return Some(Self::default());
        }
        let mut capability =
            Self { entries: Vec::with_capacity(text.bytes().filter(|b| *b == b'[').count()), text };
        let text = capability.text.as_str();
        let (mut start, mut last, mut last_list) = ("{".len(), None, None);
        if !text.starts_with('{') {
            return None;
        }
        loop {
            let (name, name_bytes) = read_name(text.get(start..)?.strip_prefix('"')?)?;
            let resource = Resource::parse(&name).ok()?;
            let is_pattern = resource.is_pattern();
            if last.is_some_and(|last| last >= name) {
                return None;
            }
            let resource_end = start + "\"".len() + name_bytes;
            let rest = &text[resource_end..];
            let (list, operations) =
                match (last_list.filter(|list| rest.starts_with(list)), capability.entries.last()) {
                    // most channels have the same
                    (Some(list), Some(last)) => (list, last.operations.clone()),
                    _ => {
                        let list = &rest[..=rest.find(']')?];
                        (list, read_operations(list.strip_prefix(BETWEEN)?.strip_suffix(']')?, vocabulary)?)
                    }
                };
            let end = resource_end + list.len();
            let unescaped = match &name {
                Cow::Borrowed(_) => None,
                Cow::Owned(name) => Some(name.as_str().into()),
            };
            capability.entries.push(Entry { resource_end, end, unescaped, is_pattern, operations });
            (start, last, last_list) = (end + ",".len(), Some(name), Some(list));
            match &text[end..] {
                "}" => return Some(capability),
                more if more.starts_with(',') => {}
                _ => return None,
            }
        }
    }

    pub(super) fn with_room_for(bytes: usize, entries: usize) -> Self {
        Self { text: String::with_capacity(bytes), entries: Vec::with_capacity(entries) }
    }

    pub(super) fn resource(&self, at: usize) -> Resource<'_> {
        let entry = &self.entries[at];
        let written = || &self.text[self.start(at) + "\"".len()..entry.resource_end];
        Resource::parsed(entry.unescaped.as_deref().unwrap_or_else(written), entry.is_pattern)
    }

    /// Adds an entry behind all others.
    pub(super) fn push(&mut self, resource: Resource<'_>, operations: Operations) {
        let list: usize = operations.names().map(|name| "\"\",".len() + name.len()).sum();
        self.text.reserve("{\"".len() + resource.as_str().len() + BETWEEN.len() + list + "]}".len());
        self.open();
        self.text.push('"');
        let is_escaped = push_escaped(&mut self.text, resource.as_str());
        let resource_end = self.text.len();
        self.text.push_str(BETWEEN);
        for (at, name) in operations.names().enumerate() {
            self.text.push_str(if at == 0 { "\"" } else { ",\"" });
            self.text.push_str(name);
            self.text.push('"');
        }
        self.text.push(']');
        self.entries.push(Entry {
            resource_end,
            end: self.text.len(),
            unescaped: is_escaped.then(|| resource.as_str().into()),
            is_pattern: resource.is_pattern(),
            operations,
        });
        self.text.push('}');
    }

    /// Adds entries of another capability behind all others.
    pub(super) fn push_from(&mut self, other: &Self, entries: Range<usize>) {
        let Some(last) = entries.clone().last() else { return };
        self.open();
        let (start, here) = (other.start(entries.start), self.text.len());
        self.text.push_str(&other.text[start..other.entries[last].end]);
        self.text.push('}');
        self.entries.extend(other.entries[entries].iter().map(|entry| Entry {
            resource_end: entry.resource_end - start + here,
            end: entry.end - start + here,
            ..entry.clone()
        }));
    }

    fn open(&mut self) {
        match self.text.pop() {
            None => self.text.push('{'),
            Some(_) => self.text.push(','),
        }
    }

    /// Where an entry begins.
    fn start(&self, at: usize) -> usize {
        1 + at.checked_sub(1).map_or(0, |before| self.entries[before].end)
    }
}

/// A name, up to its quote, and how many bytes it takes as it is written.
fn read_name(text: &str) -> Option<(Cow<'_, str>, usize)> {
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
    Some((name, text.len() - rest.len() - "\"".len()))
}

/// What a list holds.
fn read_operations(list: &str, vocabulary: &Vocabulary) -> Option<Operations> {
    if list == "\"*\"" {
        return Some(Operations::ALL);
    }
    let mut operations = Operations::NONE;
    let mut last = "";
    for name in list.split(',') {
        let name = name.strip_prefix('"')?.strip_suffix('"')?;
        if name <= last {
            return None;
        }
        operations = operations.union(&vocabulary.operation(name)?);
        last = name;
    }
    Some(operations)
}

fn push_escaped(text: &mut String, name: &str) -> bool {
    let mut rest = name;
    while let Some((part, escaped, after)) = split_at_escaped(rest) {
        text.push_str(part);
        text.push('\\');
        text.push(char::from(escaped));
        rest = after;
    }
    text.push_str(rest);
    rest.len() < name.len()
}

/// Resources have no control characters, so nothing else is escaped.
fn split_at_escaped(text: &str) -> Option<(&str, u8, &str)> {
    let at = text.bytes().position(|b| matches!(b, b'"' | b'\\'))?;
    Some((&text[..at], text.as_bytes()[at], &text[at + 1..]))
}

/// What stands between a resource and what its list holds.
const BETWEEN: &str = "\":[";

/// There is one text for one capability.
impl PartialEq for Capability {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Capability {}

impl Hash for Capability {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// The canonical text.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Capability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.iter()
                .map(|(resource, operations)| (resource.as_str(), operations.names().collect::<Vec<_>>())),
        )
    }
}
