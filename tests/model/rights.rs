//! Capabilities as the model sees them: sets of single rights, with Ably's containment written down once more.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};
use std::sync::LazyLock;

/// All that scripts speak of. No two of these patterns overlap without one containing the other.
const RESOURCES: [&str; 19] = [
    "chat:1",
    "chat:2",
    "chat:3",
    "chat:*",
    "*",
    "room:café",
    "room:*",
    "[meta]log",
    "lobby",
    "inbox:al",
    "inbox:ali",
    "inbox:al%3Aice",
    "inbox:al:ice",
    "inbox:*",
    "team:blue:1",
    "team:blue:*",
    "team:*",
    "admin:1",
    "archive:3f9a1c07e25b",
];
const OPERATIONS: [&str; 4] = ["*", "history", "publish", "subscribe"];
const BITS: usize = RESOURCES.len() * OPERATIONS.len();

/// The first operation of each resource.
const STARS: u128 = 0x1111_1111_1111_1111_1111_1111_1111_1111;

/// Entries as they are written, a bit for each resource and operation.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entries(u128);

/// All that entries stand for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rights(u128);

fn contains(pattern: &str, other: &str) -> bool {
    let below = |prefix: &str| other.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(':'));
    pattern == other
        || (pattern == "*" && !other.starts_with('['))
        || pattern.strip_suffix(":*").is_some_and(below)
}

/// For each entry all that it stands for.
static IMPLIED: LazyLock<[u128; BITS]> = LazyLock::new(|| {
    let parts = |bit: usize| (RESOURCES[bit / OPERATIONS.len()], OPERATIONS[bit % OPERATIONS.len()]);
    std::array::from_fn(|bit| {
        let (pattern, operation) = parts(bit);
        let is_implied = |other: &usize| {
            let (resource, wanted) = parts(*other);
            contains(pattern, resource) && (operation == "*" || operation == wanted)
        };
        (0..BITS).filter(is_implied).map(|other| 1_u128 << other).sum()
    })
});

fn bits(mut of: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (of != 0).then(|| of.trailing_zeros() as usize);
        of &= of.wrapping_sub(1);
        lowest
    })
}

impl Entries {
    /// From the tests' own notation: `"chat:1=publish,subscribe chat:2=*"`.
    pub(crate) fn of(notation: &str) -> Self {
        let entries =
            notation.split_whitespace().map(|entry| entry.rsplit_once('=').expect("NAME=OPERATIONS"));
        let pairs = entries.flat_map(|(name, list)| list.split(',').map(move |operation| (name, operation)));
        pairs.map(|(name, operation)| Self::one(name, operation).unwrap_or_else(|e| panic!("{e}"))).sum()
    }

    /// From Ably's JSON, which must speak of nothing that no script spoke of.
    pub(crate) fn read(json: &str) -> Result<Self, String> {
        let lists: BTreeMap<String, Vec<String>> =
            serde_json::from_str(json).map_err(|error| format!("{error}: {json}"))?;
        let pairs = lists.iter().flat_map(|(name, list)| list.iter().map(move |operation| (name, operation)));
        pairs.map(|(name, operation)| Self::one(name, operation)).sum()
    }

    fn one(name: &str, operation: &str) -> Result<Self, String> {
        let resource = RESOURCES.iter().position(|known| *known == name);
        let operation = OPERATIONS.iter().position(|known| *known == operation);
        let (Some(resource), Some(operation)) = (resource, operation) else {
            return Err(format!("nobody spoke of {name:?}"));
        };
        Ok(Self(1 << (resource * OPERATIONS.len() + operation)))
    }

    pub(crate) fn json(self) -> String {
        let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for bit in bits(self.tidy().0) {
            lists
                .entry(RESOURCES[bit / OPERATIONS.len()])
                .or_default()
                .push(OPERATIONS[bit % OPERATIONS.len()]);
        }
        serde_json::to_string(&lists).expect("texts serialise")
    }

    /// `*` alone where it is.
    fn tidy(self) -> Self {
        let stars = self.0 & STARS;
        Self(self.0 & !(stars << 1 | stars << 2 | stars << 3))
    }

    pub(crate) fn rights(self) -> Rights {
        Rights(bits(self.0).fold(0, |all, bit| all | IMPLIED[bit]))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that these rights do not cover.
    pub(crate) fn minus(self, rights: Rights) -> Self {
        Self(self.tidy().0 & !rights.0)
    }

    /// Those that these rights cover.
    pub(crate) fn within(self, rights: Rights) -> Self {
        Self(self.tidy().0 & rights.0)
    }

    /// Resource by resource.
    pub(crate) fn each(self) -> impl Iterator<Item = Self> {
        let one = move |resource: usize| Self(self.0 & (0b1111 << (resource * OPERATIONS.len())));
        (0..RESOURCES.len()).map(one).filter(|entry| !entry.is_empty())
    }
}

impl Rights {
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// By number.
    pub(crate) fn each(self) -> impl Iterator<Item = usize> {
        bits(self.0)
    }

    pub(crate) fn one(number: usize) -> Self {
        Self(1 << number)
    }

    /// The widest entries that stand for these.
    pub(crate) fn entries(self) -> Entries {
        let is_implied =
            |bit: usize| bits(self.0).any(|wider| wider != bit && IMPLIED[wider] & (1 << bit) != 0);
        Entries(bits(self.0).filter(|bit| !is_implied(*bit)).map(|bit| 1 << bit).sum())
    }

    /// Those on the resources of these entries, as entries.
    pub(crate) fn on(self, entries: Entries) -> Entries {
        let names = |bit: usize| entries.0 & (0b1111 << (bit / OPERATIONS.len() * OPERATIONS.len())) != 0;
        Entries(bits(self.0).filter(|bit| names(*bit)).map(|bit| 1 << bit).sum()).tidy()
    }

    pub(crate) fn is_within(self, other: Self) -> bool {
        (self - other).is_empty()
    }
}

impl std::iter::Sum for Entries {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::bitor)
    }
}

impl std::iter::Sum for Rights {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::bitor)
    }
}

impl BitOr for Entries {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Rights {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Rights {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json())
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Entries(self.0).json())
    }
}
