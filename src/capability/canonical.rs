//! The canonical text: no white space, resources and operations sorted by their bytes, `["*"]` alone where everything
//! is permitted, texts escaped as `serde_json` does. There is one such text for one capability.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{Capability, Operations, Resource, Vocabulary};

/// A canonical text, and where what stands in it. Grows at its end only.
#[derive(Clone, Default)]
pub(super) struct Written {
    /// No text at all while there are no entries.
    text: String,
    /// Sorted by the resources' bytes, each resource once.
    entries: Vec<Entry>,
}

/// One entry of the text, `"resource":["operation"]`. It begins behind the brace or comma that ends what is before it.
#[derive(Clone)]
struct Entry {
    /// Where the resource ends.
    resource_end: usize,
    /// Where the entry ends.
    end: usize,
    /// The resource, if it isn't written as it is.
    unescaped: Option<Box<str>>,
    is_pattern: bool,
    operations: Operations,
}

static NOTHING: Written = Written { text: String::new(), entries: Vec::new() };

impl Capability {
    /// The canonical text.
    pub fn as_str(&self) -> &str {
        if self.is_empty() { "{}" } else { &self.written().text }
    }

    /// Takes what printing writes, and nothing else.
    pub(crate) fn from_canonical(text: String, vocabulary: &Vocabulary) -> Option<Self> {
        if text == "{}" {
            return Some(Self::default());
        }
        Written::read(text, vocabulary).map(Self::from)
    }

    pub(super) fn written(&self) -> &Written {
        self.written.as_deref().unwrap_or(&NOTHING)
    }
}

impl From<Written> for Capability {
    fn from(written: Written) -> Self {
        Self { written: (!written.entries.is_empty()).then(|| Arc::new(written)) }
    }
}

impl Written {
    fn read(text: String, vocabulary: &Vocabulary) -> Option<Self> {
        let mut written = Self { entries: Vec::with_capacity(most_entries(&text)), text };
        let text = written.text.as_str();
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
                match (last_list.filter(|list| rest.starts_with(list)), written.entries.last()) {
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
            written.entries.push(Entry { resource_end, end, unescaped, is_pattern, operations });
            (start, last, last_list) = (end + ",".len(), Some(name), Some(list));
            match &text[end..] {
                "}" => return Some(written),
                more if more.starts_with(',') => {}
                _ => return None,
            }
        }
    }

    /// Nothing yet, with room for as much as these have together.
    pub(super) fn with_room_for(one: &Self, other: &Self) -> Self {
        Self {
            text: String::with_capacity(one.text.len() + other.text.len()),
            entries: Vec::with_capacity(one.len() + other.len()),
        }
    }

    /// Up to an entry.
    pub(super) fn up_to(&self, end: usize) -> Self {
        let mut first = Self::default();
        first.push_from(self, 0..end);
        first
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Resource<'_>, &Operations)> {
        (0..self.len()).map(|at| (self.resource(at), self.operations(at)))
    }

    pub(super) fn resource(&self, at: usize) -> Resource<'_> {
        let entry = &self.entries[at];
        let written = || &self.text[self.start(at) + "\"".len()..entry.resource_end];
        Resource::parsed(entry.unescaped.as_deref().unwrap_or_else(written), entry.is_pattern)
    }

    pub(super) fn operations(&self, at: usize) -> &Operations {
        &self.entries[at].operations
    }

    /// Where patterns stand. What isn't one is found by its name, without looking at all of them.
    pub(super) fn patterns(&self) -> Vec<usize> {
        (0..self.len()).filter(|at| self.entries[*at].is_pattern).collect()
    }

    /// Where a resource is, or where it would be; not before `from`.
    pub(super) fn find(&self, resource: Resource<'_>, from: usize) -> Result<usize, usize> {
        let (mut low, mut high) = (from, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.resource(middle).cmp(&resource) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
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

    /// Adds entries of another behind all others.
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

    /// Leaves the text without its brace, for an entry to follow.
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

/// One for each list; no more than there is text for.
fn most_entries(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'[').count().min(text.len() / SHORTEST_ENTRY + 1)
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

/// Whether anything was escaped.
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

/// Up to the first character that is escaped in texts, that, and what follows. Resources have no control characters, so
/// nothing else is.
fn split_at_escaped(text: &str) -> Option<(&str, u8, &str)> {
    let at = text.bytes().position(|b| matches!(b, b'"' | b'\\'))?;
    Some((&text[..at], text.as_bytes()[at], &text[at + 1..]))
}

/// Bytes of `"a":["*"]` and a comma.
const SHORTEST_ENTRY: usize = 10;
/// What stands between a resource and what its list holds.
const BETWEEN: &str = "\":[";

/// There is one text for one capability.
impl PartialEq for Capability {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Capability {}

impl Hash for Capability {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::json;

    /// The same, as plain as can be: `serde_json` prints it.
    type Plain = BTreeMap<String, BTreeSet<&'static str>>;

    fn vocabulary() -> Vocabulary {
        Vocabulary::with_extra(["a-first", "publish.more", "z:last"]).unwrap()
    }

    const NAMES: [&str; 14] = [
        "a",
        "a\"",
        "a\"b",
        "a\\",
        "\\",
        "\"",
        "\\\"",
        "b:[",
        "b\":[\"publish\"],\"c",
        "é",
        "～",
        "😀:*",
        "[meta]a]",
        "[*]*",
    ];
    const OPERATIONS: [&str; 7] =
        ["a-first", "annotation-publish", "publish", "publish.more", "subscribe", "z:last", "*"];

    fn some_name() -> impl Strategy<Value = String> {
        prop_oneof![
            3 => select(NAMES.to_vec()).prop_map(str::to_owned),
            1 => proptest::string::string_regex(r#"[a-c"\\é😀/][a-c\u{2028}"\\é😀:\[\],{}* ]{0,6}"#).unwrap(),
        ]
    }

    fn some_operations() -> impl Strategy<Value = BTreeSet<&'static str>> {
        proptest::collection::btree_set(select(OPERATIONS.to_vec()), 1..4).prop_map(|names| starred(&names))
    }

    fn starred(names: &BTreeSet<&'static str>) -> BTreeSet<&'static str> {
        if names.contains("*") { BTreeSet::from(["*"]) } else { names.clone() }
    }

    fn some_entries() -> impl Strategy<Value = Vec<(String, BTreeSet<&'static str>)>> {
        proptest::collection::vec((some_name(), some_operations()), 0..8)
    }

    fn joined(entries: &[(String, BTreeSet<&'static str>)]) -> Plain {
        let mut plain = Plain::new();
        for (name, operations) in entries {
            let all = plain.entry(name.clone()).or_default();
            *all = starred(&(&*all | operations));
        }
        plain
    }

    fn operations(names: &BTreeSet<&'static str>) -> Operations {
        let one = |name: &&str| match *name {
            "*" => Operations::ALL,
            name => vocabulary().operation(name).unwrap(),
        };
        names.iter().map(one).fold(Operations::NONE, |all, one| all.union(&one))
    }

    fn inserted(entries: &[(String, BTreeSet<&'static str>)]) -> Capability {
        let mut capability = Capability::default();
        for (name, names) in entries {
            capability.insert(Resource::parse(name).unwrap(), &operations(names));
        }
        capability
    }

    /// The text is right, and the index says of it what it says.
    fn says(capability: &Capability, plain: &Plain) -> Result<(), TestCaseError> {
        let text = serde_json::to_string(plain).unwrap();
        prop_assert_eq!(capability.as_str(), &text);
        prop_assert_eq!(serde_json::to_string(capability).unwrap(), text.clone());
        prop_assert_eq!(capability.len(), plain.len());
        let read = Capability::from_canonical(text, &vocabulary()).expect("what is printed is read");
        prop_assert_eq!(format!("{read:?}"), format!("{capability:?}"));
        for (ours, theirs) in [(capability, &read), (&read, capability)] {
            for (at, (resource, operations)) in ours.iter().enumerate() {
                prop_assert_eq!(theirs.written().find(resource, 0), Ok(at));
                prop_assert_eq!(theirs.written().operations(at), operations);
                prop_assert_eq!(Resource::parse(resource.as_str()), Ok(resource));
            }
        }
        Ok(())
    }

    /// What reading all of JSON, and printing that, makes of a text.
    fn printed(text: &str) -> Option<String> {
        let value = json::parse(text.as_bytes()).ok()?;
        Capability::from_json(&value, &vocabulary())
            .ok()
            .map(|capability| serde_json::to_string(&capability).unwrap())
    }

    /// A piece of the text gone, put twice, or another in its place.
    fn mutated(text: &str, (at, length, what): (usize, usize, &str)) -> String {
        let mut ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        ends.push(text.len());
        let from = at % ends.len();
        let to = (from + length).min(ends.len() - 1);
        let gone = &text[ends[from]..ends[to]];
        let what = if what == "twice" { gone.repeat(2) } else { what.to_owned() };
        [&text[..ends[from]], &what, &text[ends[to]..]].concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn entries_in_any_order_make_the_text_that_serde_prints(
            entries in some_entries(), others in some_entries(), gone in some_name(),
        ) {
            let (capability, other) = (inserted(&entries), inserted(&others));
            says(&capability, &joined(&entries))?;
            says(&capability.union(&other), &joined(&[entries.clone(), others.clone()].concat()))?;
            let rest = capability.each(|resource, operations| match resource.as_str() == gone {
                true => Operations::NONE,
                false => operations.clone(),
            });
            let mut plain = joined(&entries);
            plain.remove(&gone);
            says(&rest, &plain)?;
            says(&rest.union(&other), &joined(&[plain.into_iter().collect(), others].concat()))?;
        }

        #[test]
        fn just_what_is_printed_is_read(
            entries in some_entries(),
            mutations in proptest::collection::vec((
                0..200_usize,
                0..12_usize,
                select(vec![
                    "", "twice", "\"", "\\", "[", "]", "{", "}", ",", ":", "\":[", "\"publish\"", "\"*\"", "\\u0061", "\\/",
                    "\\n", " ", "é", "\u{7f}", "\u{85}", "*", "],", "\"]", "{}", ",\"b\":[\"publish\"]", "/",
                ]),
            ), 1..4),
        ) {
            let mut text = inserted(&entries).to_string();
            prop_assert!(Capability::from_canonical(text.clone(), &vocabulary()).is_some());
            for mutation in mutations {
                text = mutated(&text, mutation);
                let read = Capability::from_canonical(text.clone(), &vocabulary());
                prop_assert_eq!(read.is_some(), printed(&text).as_ref() == Some(&text), "{}", text);
                if let Some(read) = read {
                    prop_assert_eq!(serde_json::to_string(&read).unwrap(), text.clone());
                }
            }
        }
    }
}
