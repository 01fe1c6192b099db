use std::collections::BTreeSet;
use std::iter;
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

    /// The operation of this name, alone.
    pub(super) fn operation(&self, name: &str) -> Option<Operations> {
        match ABLY.binary_search(&name) {
            Ok(at) => Some(Operations::listed(1 << at, BTreeSet::new())),
            Err(_) => self.extra.get(name).map(|name| Operations::listed(0, BTreeSet::from([name.clone()]))),
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
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Operations(Which);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Which {
    /// `["*"]`: every operation, those of the future too.
    All,
    /// A bit for each of Ably's, and those of the vocabulary's own.
    Listed { ably: u32, extra: BTreeSet<String> },
}

impl Operations {
    /// `["*"]`: every operation, those of the future too.
    pub const ALL: Self = Self(Which::All);

    const fn listed(ably: u32, extra: BTreeSet<String>) -> Self {
        Self(Which::Listed { ably, extra })
    }

    /// No operation at all, which never stands in a [`Capability`](crate::Capability).
    pub(super) const fn none() -> Self {
        Self::listed(0, BTreeSet::new())
    }

    /// Whether it is `*`.
    pub fn is_all(&self) -> bool {
        matches!(self.0, Which::All)
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.0, Which::Listed { ably: 0, extra } if extra.is_empty())
    }

    pub(super) fn join(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Which::All, _) => {}
            (_, Which::All) => *self = Self::ALL,
            (Which::Listed { ably, extra }, Which::Listed { ably: theirs, extra: their_extra }) => {
                *ably |= theirs;
                extra.extend(their_extra.iter().cloned());
            }
        }
    }

    /// What both permit: `*` against a list gives the list.
    pub(super) fn common(&self, other: &Self) -> Self {
        match (&self.0, &other.0) {
            (Which::All, _) => other.clone(),
            (_, Which::All) => self.clone(),
            (Which::Listed { ably, extra }, Which::Listed { ably: theirs, extra: their_extra }) => {
                Self::listed(ably & theirs, extra.intersection(their_extra).cloned().collect())
            }
        }
    }

    /// What is left without `other`. Only `*` takes `*` away: a list never adds up to it.
    pub(super) fn without(&self, other: &Self) -> Self {
        match (&self.0, &other.0) {
            (_, Which::All) => Self::none(),
            (Which::All, _) => Self::ALL,
            (Which::Listed { ably, extra }, Which::Listed { ably: theirs, extra: their_extra }) => {
                Self::listed(ably & !theirs, extra.difference(their_extra).cloned().collect())
            }
        }
    }

    /// The names in canonical order, `*` alone where everything is permitted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        let (all, ably, extra) = match &self.0 {
            Which::All => (Some("*"), 0, &NONE),
            Which::Listed { ably, extra } => (None, *ably, extra),
        };
        let mut ably = (0..ABLY.len()).filter(move |at| ably & (1 << at) != 0).map(|at| ABLY[at]).peekable();
        let mut extra = extra.iter().map(String::as_str).peekable();
        let listed = iter::from_fn(move || match (ably.peek(), extra.peek()) {
            (Some(one), Some(other)) if other < one => extra.next(),
            (Some(_), _) => ably.next(),
            (None, _) => extra.next(),
        });
        all.into_iter().chain(listed)
    }

    /// Each of them alone, with its name.
    pub fn each(&self) -> impl Iterator<Item = (&str, Self)> {
        self.names().map(|name| {
            let alone = match ABLY.binary_search(&name) {
                Ok(at) => Self::listed(1 << at, BTreeSet::new()),
                Err(_) if self.is_all() => Self::ALL,
                Err(_) => Self::listed(0, BTreeSet::from([name.to_owned()])),
            };
            (name, alone)
        })
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
