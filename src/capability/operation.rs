use std::collections::BTreeSet;
use std::fmt;
use std::iter;
use std::sync::Arc;

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
            Ok(at) => Some(Operations::ably(at)),
            Err(_) => {
                let name = self.extra.get(name)?;
                Some(Operations { bits: 0, extra: Operations::extra([name.clone()]) })
            }
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
pub struct Operations {
    /// A bit for each of Ably's, and one for `*`.
    bits: u32,
    /// Those of the vocabulary's own, if there are any.
    extra: Option<Arc<BTreeSet<String>>>,
}

const STAR: u32 = 1 << ABLY.len();

impl Operations {
    /// `["*"]`: every operation, those of the future too.
    pub const ALL: Self = Self { bits: STAR, extra: None };
    /// No operation at all, which never stands in a [`Capability`](crate::Capability).
    pub(super) const NONE: Self = Self { bits: 0, extra: None };

    fn ably(at: usize) -> Self {
        Self { bits: 1 << at, extra: None }
    }

    fn extra(names: impl IntoIterator<Item = String>) -> Option<Arc<BTreeSet<String>>> {
        let names: BTreeSet<String> = names.into_iter().collect();
        (!names.is_empty()).then(|| Arc::new(names))
    }

    /// Whether it is `*`.
    pub fn is_all(&self) -> bool {
        self.bits & STAR != 0
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// What either permits.
    pub(super) fn union(&self, other: &Self) -> Self {
        match (self.is_all() || other.is_all(), &self.extra, &other.extra) {
            (true, ..) => Self::ALL,
            (false, ours, theirs) => {
                let extra = Self::extra(ours.iter().chain(theirs).flat_map(|names| names.iter().cloned()));
                Self { bits: self.bits | other.bits, extra }
            }
        }
    }

    /// What both permit: `*` against a list gives the list.
    pub(super) fn common(&self, other: &Self) -> Self {
        if self.is_all() {
            return other.clone();
        }
        if other.is_all() {
            return self.clone();
        }
        let extra = match (&self.extra, &other.extra) {
            (Some(ours), Some(theirs)) => Self::extra(ours.intersection(theirs).cloned()),
            _ => None,
        };
        Self { bits: self.bits & other.bits, extra }
    }

    /// What is left without `other`. Only `*` takes `*` away: a list never adds up to it.
    pub(super) fn without(&self, other: &Self) -> Self {
        if other.is_all() {
            return Self::NONE;
        }
        if self.is_all() {
            return Self::ALL;
        }
        let extra = match (&self.extra, &other.extra) {
            (Some(ours), Some(theirs)) => Self::extra(ours.difference(theirs).cloned()),
            (ours, _) => ours.clone(),
        };
        Self { bits: self.bits & !other.bits, extra }
    }

    /// The names in canonical order, `*` alone where everything is permitted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let star = self.is_all().then_some("*");
        let mut bits = self.bits & !STAR;
        let mut ably = iter::from_fn(move || {
            let at = bits.trailing_zeros();
            bits &= bits.checked_sub(1)?;
            Some(ABLY[at as usize])
        })
        .peekable();
        let mut extra = self.extra.iter().flat_map(|names| names.iter()).map(String::as_str).peekable();
        let listed = iter::from_fn(move || match (ably.peek(), extra.peek()) {
            (Some(one), Some(other)) if other < one => extra.next(),
            (Some(_), _) => ably.next(),
            (None, _) => extra.next(),
        });
        star.into_iter().chain(listed)
    }

    /// Each of them alone, with its name.
    pub fn each(&self) -> impl Iterator<Item = (&str, Self)> {
        self.names().map(|name| {
            let alone = match ABLY.binary_search(&name) {
                Ok(at) => Self::ably(at),
                Err(_) if name == "*" => Self::ALL,
                Err(_) => Self { bits: 0, extra: Self::extra([name.to_owned()]) },
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
    fn each_alone() {
        let vocabulary = Vocabulary::with_extra(["a-first", "teleport"]).unwrap();
        let names = ["a-first", "publish", "stats", "teleport"];
        let alone = names.map(|name| (name, vocabulary.operation(name).unwrap()));
        let all = alone.iter().rev().fold(Operations::NONE, |all, (_, one)| all.union(one));
        assert_eq!(all.names().collect::<Vec<_>>(), names);
        assert_eq!(all.each().collect::<Vec<_>>(), alone);
        assert_eq!(Operations::ALL.each().collect::<Vec<_>>(), [("*", Operations::ALL)]);
    }

    #[test]
    fn sets_of_them() {
        let vocabulary = Vocabulary::with_extra(["new", "newer"]).unwrap();
        let set = |names: &str| {
            let one = |name| if name == "*" { Operations::ALL } else { vocabulary.operation(name).unwrap() };
            names.split_whitespace().map(one).fold(Operations::NONE, |all, one| all.union(&one))
        };
        for (ours, theirs, common, without) in [
            ("new publish", "new publish", "new publish", ""),
            ("new newer publish", "newer stats", "newer", "new publish"),
            ("new", "newer", "", "new"),
            ("new publish", "publish", "publish", "new"),
            ("publish", "new", "", "publish"),
            ("*", "new publish", "new publish", "*"),
            ("new publish", "*", "new publish", ""),
        ] {
            assert_eq!(set(ours).common(&set(theirs)), set(common), "{ours} | {theirs}");
            assert_eq!(set(ours).without(&set(theirs)), set(without), "{ours} | {theirs}");
        }
    }

    #[test]
    fn extra_names() {
        assert!(Vocabulary::with_extra(["channel-metadata:publishers"]).is_ok());
        for bad in ["", "*", "A", "a b", "a\n", &"x".repeat(65)] {
            assert!(Vocabulary::with_extra([bad]).is_err(), "{bad:?}");
        }
    }
}
