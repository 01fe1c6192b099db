mod canonical;
mod operation;
mod resource;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

pub use operation::{Operations, Vocabulary, VocabularyError};
pub use resource::{Resource, ResourceError};

use canonical::Written;

use crate::json::{self, shortened};

/// What a token's holder may do: resources, and for each the operations.
///
/// May be empty; what may be *signed* is a [`Signable`](crate::Signable), which can't be.
/// Nothing is simplified: `chat:*` and `chat:1` stand side by side.
///
/// ```
/// use accrue::{Capability, Vocabulary};
///
/// let ably = Vocabulary::default();
/// let held = Capability::parse(r#"{"chat:*":["subscribe"]}"#, &ably)?;
/// let wish = Capability::parse(r#"{"chat:1":["subscribe","publish"]}"#, &ably)?;
/// assert_eq!(wish.minus(&held).to_string(), r#"{"chat:1":["publish"]}"#);
///
/// let error = Capability::parse(r#"{"chat:1":["subscribed"]}"#, &ably).unwrap_err();
/// assert_eq!(error.to_string(), r#"resource "chat:1": unknown operation "subscribed" (did you mean "subscribe"?)"#);
/// # Ok::<(), accrue::CapabilityError>(())
/// ```
#[derive(Clone, Default)]
pub struct Capability {
    /// Shared, so that a clone costs next to nothing; none for an empty one.
    written: Option<Arc<Written>>,
}

impl Capability {
    /// Reads Ably's JSON form, `{"chat:42":["subscribe","publish"]}`. Order and repeated operations do not
    /// matter; a resource that stands twice does.
    ///
    /// # Errors
    /// [`CapabilityError`] says what is wrong and where.
    pub fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Self, CapabilityError> {
        // as most texts are, and several times faster
        if let Some(capability) = Self::from_canonical(text.to_owned(), vocabulary) {
            return Ok(capability);
        }
        let value = json::parse(text.as_bytes()).map_err(|error| {
            if text.trim_start().starts_with("{'") {
                CapabilityError::PythonDict
            } else {
                CapabilityError::Json(error.to_string())
            }
        })?;
        Self::from_json(&value, vocabulary)
    }

    /// The same from JSON that is already parsed.
    ///
    /// # Errors
    /// [`CapabilityError`] says what is wrong and where.
    pub fn from_json(value: &Value, vocabulary: &Vocabulary) -> Result<Self, CapabilityError> {
        let object = value.as_object().ok_or(CapabilityError::NotAnObject)?;
        object
            .iter()
            .map(|(name, list)| {
                let refuse = |problem| CapabilityError::Entry { resource: shortened(name), problem };
                let resource = Resource::parse(name).map_err(|e| refuse(e.into()))?;
                let list = list.as_array().ok_or_else(|| refuse(EntryProblem::NotAList))?;
                Ok((resource, operations(list, vocabulary).map_err(refuse)?))
            })
            .collect()
    }

    /// Whether nothing at all is permitted.
    pub fn is_empty(&self) -> bool {
        self.written.is_none()
    }

    /// How many resources it names.
    pub fn len(&self) -> usize {
        self.written().len()
    }

    /// How many of its resources are patterns: each of them is held against each resource of another capability.
    pub(crate) fn patterns(&self) -> usize {
        self.written().patterns().len()
    }

    /// The entries, sorted by the resources' bytes.
    pub fn iter(&self) -> impl Iterator<Item = (Resource<'_>, &Operations)> {
        self.written().iter()
    }

    /// What either permits.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        if self.is_empty() {
            return other.clone();
        }
        let (ours, theirs) = (self.written(), other.written());
        let mut all = Written::with_room_for(ours, theirs);
        let mut done = 0;
        for (at, (resource, operations)) in theirs.iter().enumerate() {
            match ours.find(resource, done) {
                Ok(same) => {
                    all.push_from(ours, done..same);
                    all.push(resource, ours.operations(same).union(operations));
                    done = same + 1;
                }
                Err(next) => {
                    all.push_from(ours, done..next);
                    all.push_from(theirs, at..at + 1);
                    done = next;
                }
            }
        }
        all.push_from(ours, done..ours.len());
        all.into()
    }

    /// What any of them permits.
    pub(crate) fn union_of<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        parts.into_iter().fold(Self::default(), |all, part| all.union(part))
    }

    /// What `other` does not permit. A pattern is permitted only by a pattern that contains it, `*` only by
    /// `*`; the operations of several entries add up.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let theirs = other.written();
        let patterns = theirs.patterns();
        self.each(|resource, operations| unmet(resource, operations, theirs, &patterns))
    }

    /// The rest: what `other` does permit, entry by entry as they stand here.
    #[must_use]
    pub fn permitted_by(&self, other: &Self) -> Self {
        let theirs = other.written();
        let patterns = theirs.patterns();
        self.each(|resource, operations| operations.without(&unmet(resource, operations, theirs, &patterns)))
    }

    /// What both permit, as Ably cuts a request down to its key: of each pair of resources the narrower,
    /// with the operations in common. A pair of which neither contains the other gives nothing.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        let (ours, theirs) = (self.written(), other.written());
        let mut common: BTreeMap<Resource<'_>, Operations> = BTreeMap::new();
        let mut add = |narrower, operations: Operations| {
            if !operations.is_empty() {
                let all = common.entry(narrower).or_insert(Operations::NONE);
                *all = all.union(&operations);
            }
        };
        // what is no pattern contains itself only, and is found by its name: thousands against thousands take no time
        for (resource, operations) in ours.iter() {
            if let Ok(same) = theirs.find(resource, 0) {
                add(resource, operations.common(theirs.operations(same)));
            }
        }
        for (some, others) in [(ours, theirs), (theirs, ours)] {
            for at in some.patterns() {
                for (resource, operations) in others.iter() {
                    if some.resource(at) != resource && some.resource(at).contains(resource) {
                        add(resource, operations.common(some.operations(at)));
                    }
                }
            }
        }
        Self::from_sorted(common)
    }

    /// Adds one entry to what is there: quickly where it comes last and nobody shares it, else all is copied.
    pub(crate) fn insert(&mut self, resource: Resource<'_>, operations: &Operations) {
        let last = self.len().checked_sub(1).map(|last| self.written().resource(last));
        if last.is_none_or(|last| last < resource) {
            Arc::make_mut(self.written.get_or_insert_default()).push(resource, operations.clone());
        } else {
            *self = self.union(&Self::from_sorted([(resource, operations.clone())]));
        }
    }

    /// What both permit, where the other is mostly a key that permits it all.
    #[must_use]
    pub(crate) fn cut_to(self, key: &Self) -> Self {
        // with more entries, the narrower ones would be added
        if key.len() == 1 {
            let (pattern, permitted) = (key.written().resource(0), key.written().operations(0));
            let is_within = |(resource, operations): (Resource<'_>, &Operations)| {
                pattern.contains(resource) && operations.without(permitted).is_empty()
            };
            if self.iter().all(is_within) {
                return self;
            }
        }
        self.intersect(key)
    }

    /// What is kept of each entry. The whole is not copied where all of it is kept.
    fn each(&self, keep: impl Fn(Resource<'_>, &Operations) -> Operations) -> Self {
        let all = self.written();
        let mut rest: Option<Written> = None;
        for (at, (resource, operations)) in all.iter().enumerate() {
            let kept = keep(resource, operations);
            if kept != *operations {
                let rest = rest.get_or_insert_with(|| all.up_to(at));
                if !kept.is_empty() {
                    rest.push(resource, kept);
                }
            } else if let Some(rest) = &mut rest {
                rest.push_from(all, at..at + 1);
            }
        }
        rest.map_or_else(|| self.clone(), Self::from)
    }

    /// Entries that come in order, each resource once.
    fn from_sorted<'a>(entries: impl IntoIterator<Item = (Resource<'a>, Operations)>) -> Self {
        let mut written = Written::default();
        for (resource, operations) in entries {
            written.push(resource, operations);
        }
        written.into()
    }
}

/// Those of the operations that `other` does not permit on the resource.
fn unmet(resource: Resource<'_>, operations: &Operations, other: &Written, patterns: &[usize]) -> Operations {
    let mut unmet = operations.clone();
    if let Ok(same) = other.find(resource, 0) {
        unmet = unmet.without(other.operations(same));
    }
    for at in patterns {
        if unmet.is_empty() {
            break;
        }
        if other.resource(*at).contains(resource) {
            unmet = unmet.without(other.operations(*at));
        }
    }
    unmet
}

fn operations(list: &[Value], vocabulary: &Vocabulary) -> Result<Operations, EntryProblem> {
    let names =
        list.iter().map(|name| name.as_str().ok_or(EntryProblem::NotAText)).collect::<Result<Vec<_>, _>>()?;
    match names.iter().filter(|name| **name == "*").count() {
        0 if names.is_empty() => Err(EntryProblem::NoOperations),
        0 => names
            .into_iter()
            .map(|name| {
                vocabulary.operation(name).ok_or_else(|| EntryProblem::UnknownOperation {
                    name: shortened(name),
                    nearest: vocabulary.nearest(name),
                })
            })
            .try_fold(Operations::NONE, |all, one| Ok(all.union(&one?))),
        stars if stars == names.len() => Ok(Operations::ALL),
        _ => Err(EntryProblem::StarAmongOthers),
    }
}

/// In any order; what stands twice adds up.
impl<'a> FromIterator<(Resource<'a>, Operations)> for Capability {
    fn from_iter<I: IntoIterator<Item = (Resource<'a>, Operations)>>(entries: I) -> Self {
        let mut sorted: BTreeMap<Resource<'a>, Operations> = BTreeMap::new();
        for (resource, operations) in entries {
            let all = sorted.entry(resource).or_insert(Operations::NONE);
            *all = all.union(&operations);
        }
        Self::from_sorted(sorted)
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Why a text is not a [`Capability`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CapabilityError {
    /// Not JSON, or a member stands twice; with line and column.
    #[error("not valid JSON: {0}")]
    Json(String),
    /// A Python dict in its own notation; ably-python sends these as they are.
    #[error("this is a Python dict in single quotes, not JSON: pass json.dumps(capability)")]
    PythonDict,
    /// JSON, but not an object.
    #[error("not a JSON object of resources, each with a list of operations")]
    NotAnObject,
    /// One entry is wrong.
    #[error("resource {resource:?}: {problem}")]
    Entry {
        /// The resource, shortened.
        resource: String,
        /// What is wrong with it.
        problem: EntryProblem,
    },
}

/// What is wrong with one entry of a capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryProblem {
    /// The resource itself is malformed.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// The operations are not a JSON array.
    #[error("the operations are not a list")]
    NotAList,
    /// An operation is not a JSON string.
    #[error("an operation is not a text")]
    NotAText,
    /// The list is empty.
    #[error("the list of operations is empty")]
    NoOperations,
    /// `*` next to another operation.
    #[error("\"*\" must stand alone, it means every operation")]
    StarAmongOthers,
    /// Not in the vocabulary.
    #[error("unknown operation {name:?}{}", meant(nearest))]
    UnknownOperation {
        /// The name, shortened.
        name: String,
        /// The known one that looks most like it.
        nearest: Option<String>,
    },
}

fn meant(nearest: &Option<String>) -> String {
    match nearest {
        Some(nearest) => format!(" (did you mean {nearest:?}?)"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;

    fn parse(text: &str) -> Capability {
        Capability::parse(text, &Vocabulary::default()).unwrap()
    }

    #[test]
    fn canonical_text() {
        for (text, canonical) in [
            ("{}", "{}"),
            (
                r#" { "b" : ["subscribe","publish","publish"], "a":["*"] } "#,
                r#"{"a":["*"],"b":["publish","subscribe"]}"#,
            ),
            (
                r#"{"room":["publish"],"[meta]log":["subscribe"],"Zed":["history"]}"#,
                r#"{"Zed":["history"],"[meta]log":["subscribe"],"room":["publish"]}"#,
            ),
            (r#"{"caf\u00e9":["*","*"]}"#, r#"{"café":["*"]}"#),
            (r#"{"\ud83d\ude00":["stats"],"\uff5e":["stats"]}"#, r#"{"～":["stats"],"😀":["stats"]}"#),
        ] {
            assert_eq!(parse(text).to_string(), canonical);
        }
        let hash = |text: &str| BuildHasherDefault::<DefaultHasher>::default().hash_one(parse(text));
        assert_eq!(hash(r#"{"b":["*"],"a":["*"]}"#), hash(r#"{"a":["*"],"b":["*"]}"#));
        assert_ne!(hash(r#"{"a":["*"]}"#), hash(r#"{"b":["*"]}"#));
        let shown = format!("{:?}", parse(r#"{"b":["subscribe","publish"],"a":["*"]}"#));
        assert_eq!(shown, r#"{"a": ["*"], "b": ["publish", "subscribe"]}"#);
    }

    #[test]
    fn malformed_and_where() {
        for (text, message) in [
            ("", "not valid JSON: EOF while parsing a value at line 1 column 0"),
            (
                "{'a': ['publish']}",
                "this is a Python dict in single quotes, not JSON: pass json.dumps(capability)",
            ),
            ("[]", "not a JSON object of resources, each with a list of operations"),
            (
                r#"{"a":["publish"],"a":["publish"]}"#,
                r#"not valid JSON: member "a" stands twice at line 1 column 20"#,
            ),
            (r#"{"a":"publish"}"#, r#"resource "a": the operations are not a list"#),
            (r#"{"a":[]}"#, r#"resource "a": the list of operations is empty"#),
            (r#"{"a":[1]}"#, r#"resource "a": an operation is not a text"#),
            (r#"{"a":["*","publish"]}"#, r#"resource "a": "*" must stand alone, it means every operation"#),
            (
                r#"{"a":["publish_"]}"#,
                r#"resource "a": unknown operation "publish_" (did you mean "publish"?)"#,
            ),
            (r#"{"":["publish"]}"#, r#"resource "": the name is empty"#),
            (
                r#"{"[x]a":["publish"]}"#,
                r#"resource "[x]a": the only qualifiers are [meta], [queue] and [*]"#,
            ),
        ] {
            assert_eq!(Capability::parse(text, &Vocabulary::default()).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn algebra() {
        let union = |a: &str, b: &str| parse(a).union(&parse(b)).to_string();
        assert_eq!(
            union(r#"{"a":["publish"]}"#, r#"{"a":["history"],"b":["*"]}"#),
            r#"{"a":["history","publish"],"b":["*"]}"#
        );
        assert_eq!(union(r#"{"a":["publish"]}"#, r#"{"a":["*"]}"#), r#"{"a":["*"]}"#);
        assert_eq!(
            union(r#"{"chat:*":["publish"]}"#, r#"{"chat:1":["publish"]}"#),
            r#"{"chat:*":["publish"],"chat:1":["publish"]}"#
        );

        let minus = |a: &str, b: &str| parse(a).minus(&parse(b)).to_string();
        assert_eq!(
            minus(r#"{"chat:1":["publish","history"]}"#, r#"{"chat:*":["publish"],"*":["history"]}"#),
            "{}"
        );
        assert_eq!(
            minus(r#"{"chat:*":["publish"]}"#, r#"{"chat:1":["*"],"chat:2":["*"]}"#),
            r#"{"chat:*":["publish"]}"#
        );
        assert_eq!(minus(r#"{"a":["*"]}"#, r#"{"a":["publish"]}"#), r#"{"a":["*"]}"#);
        assert_eq!(minus(r#"{"a":["publish"]}"#, r#"{"a":["*"]}"#), "{}");

        let intersect = |a: &str, b: &str| parse(a).intersect(&parse(b)).to_string();
        assert_eq!(
            intersect(r#"{"chat:*":["*"]}"#, r#"{"chat:1":["publish"]}"#),
            r#"{"chat:1":["publish"]}"#
        );
        assert_eq!(intersect(r#"{"*:c":["publish"]}"#, r#"{"a:*":["publish"]}"#), "{}");
        assert_eq!(intersect(r#"{"a":["publish"]}"#, r#"{"a":["history"]}"#), "{}");
    }

    /// The quick way gives what the long one does: of two entries also the narrower.
    #[test]
    fn a_cut_is_an_intersection() {
        let all = [
            "{}",
            r#"{"*":["*"]}"#,
            r#"{"a:*":["publish"]}"#,
            r#"{"a:1":["publish"]}"#,
            r#"{"a:*":["*"],"a:1":["history","publish"]}"#,
            r#"{"*:1":["*"],"a:*":["subscribe"]}"#,
        ];
        for (text, key) in all.iter().flat_map(|text| all.iter().map(move |key| (text, key))) {
            assert_eq!(parse(text).cut_to(&parse(key)), parse(text).intersect(&parse(key)), "{text} {key}");
        }
    }
}
