use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// The operations of Ably's capability table, `*` apart.
const ABLY: [&str; 17] = [
    "annotation-publish",
    "annotation-subscribe",
    "channel-metadata",
    "history",
    "message-delete-any",
    "message-delete-own",
    "message-update-any",
    "message-update-own",
    "object-publish",
    "object-subscribe",
    "presence",
    "privileged-headers",
    "publish",
    "push-admin",
    "push-subscribe",
    "stats",
    "subscribe",
];

/// One thing that may be done on a resource, such as `publish`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation(Cow<'static, str>);

impl Operation {
    /// The name, as Ably writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which operations are well-formed: the 17 of Ably's table, and those that the operator adds.
///
/// See <https://ably.com/docs/auth/capabilities#capability-operations>.
///
/// ```
/// use accrue::{Capability, Vocabulary};
///
/// let text = r#"{"chat:1":["publish","teleport"]}"#;
/// assert!(Capability::parse(text, &Vocabulary::default()).is_err());
/// assert!(Capability::parse(text, &Vocabulary::with_extra(["teleport"])?).is_ok());
/// # Ok::<(), accrue::VocabularyError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    extra: BTreeSet<String>,
}

impl Vocabulary {
    /// Ably's table and these, for operations that are newer than this build.
    ///
    /// # Errors
    /// An operation is lower-case letters, digits, `-`, `_`, `.` and `:`, 64 at most.
    pub fn with_extra<T: Into<String>>(extra: impl IntoIterator<Item = T>) -> Result<Self, VocabularyError> {
        let extra: BTreeSet<String> = extra.into_iter().map(Into::into).collect();
        match extra.iter().find(|name| !well_formed(name)) {
            Some(name) => Err(VocabularyError { name: name.clone() }),
            None => Ok(Self { extra }),
        }
    }

    pub(super) fn operation(&self, name: &str) -> Option<Operation> {
        match ABLY.binary_search(&name) {
            Ok(at) => Some(Operation(Cow::Borrowed(ABLY[at]))),
            Err(_) => self.extra.get(name).map(|name| Operation(Cow::Owned(name.clone()))),
        }
    }

    /// The well-formed operation that looks most like `name`, if any does.
    pub(super) fn nearest(&self, name: &str) -> Option<String> {
        crate::nearest::nearest(name, ABLY.iter().copied().chain(self.extra.iter().map(String::as_str)))
            .map(str::to_owned)
    }
}

/// A name that no operation can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no name for an operation: lower-case letters, digits, \"-\", \"_\", \".\" and \":\", 64 at most"
)]
pub struct VocabularyError {
    name: String,
}

fn well_formed(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.:".contains(&b))
}

/// What may be done on one resource: everything (`*`), or a list that is not empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operations {
    /// `["*"]`: every operation, those of the future too.
    All,
    /// These. Never empty inside a [`Capability`](crate::Capability).
    Listed(BTreeSet<Operation>),
}

impl Operations {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Listed(list) if list.is_empty())
    }

    pub(super) fn join(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Listed(mine), Self::Listed(theirs)) => mine.extend(theirs.iter().cloned()),
        }
    }

    /// What both permit: `*` against a list gives the list.
    pub(super) fn common(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, rest) | (rest, Self::All) => rest.clone(),
            (Self::Listed(a), Self::Listed(b)) => Self::Listed(a.intersection(b).cloned().collect()),
        }
    }

    /// What is left without `other`. Only `*` takes `*` away: a list never adds up to it.
    pub(super) fn without(&self, other: &Self) -> Self {
        match (self, other) {
            (_, Self::All) => Self::Listed(BTreeSet::new()),
            (Self::All, _) => Self::All,
            (Self::Listed(a), Self::Listed(b)) => Self::Listed(a.difference(b).cloned().collect()),
        }
    }

    /// The names in canonical order, `*` alone where everything is permitted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (all, listed) = match self {
            Self::All => (Some("*"), None),
            Self::Listed(list) => (None, Some(list)),
        };
        all.into_iter().chain(listed.into_iter().flatten().map(Operation::as_str))
    }
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(ABLY.is_sorted());
    }

    #[test]
    fn looks_alike() {
        let vocabulary = Vocabulary::default();
        assert_eq!(vocabulary.nearest("subscribed").as_deref(), Some("subscribe"));
        assert_eq!(vocabulary.nearest("Publish").as_deref(), Some("publish"));
        assert_eq!(vocabulary.nearest("teleport"), None);
    }

    #[test]
    fn extra_names() {
        assert!(Vocabulary::with_extra(["channel-metadata:publishers"]).is_ok());
        for bad in ["", "*", "A", "a b", "a\n", &"x".repeat(65)] {
            assert!(Vocabulary::with_extra([bad]).is_err(), "{bad:?}");
        }
    }
}
