use std::fmt;
use std::mem;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::capability::Capability;
use crate::client::Client;
use crate::held::Held;

/// What a client holds and what it wishes for, sorted into what counts already and what has to be asked.
#[derive(Debug)]
pub(crate) struct Proposal {
    wishes: Capability,
    /// Held and fresh: counts.
    carried: Capability,
    /// Held and stale: counts if the check does not answer.
    stale: Capability,
    /// Stale, revoked or too old: is asked again.
    aged: Capability,
    asked: Option<Asked>,
}

/// What is added to everything, and what nothing goes beyond.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    /// What this client has without asking. Signed, never remembered.
    pub(crate) given: &'a Capability,
    /// What the Ably key may do itself.
    pub(crate) ceiling: &'a Capability,
}

impl Proposal {
    /// For the strategies in which wishes count. Asked is what is wished for but neither held nor given, and
    /// what is held but has aged.
    pub(crate) fn new(held: &Held, wishes: Capability, terms: &Terms<'_>) -> Self {
        // beyond the key nothing counts, so nothing beyond it may pass for covered either
        let carried = held.fresh().cut_to(terms.ceiling);
        let aged = held.aged();
        let pending = wishes.minus(&carried).minus(terms.given).union(&aged.minus(&carried));
        Self {
            asked: (!pending.is_empty()).then_some(Asked::These(pending)),
            stale: held.stale(),
            wishes,
            carried,
            aged,
        }
    }

    /// For the strategy in which the check decides everything.
    pub(crate) fn everything() -> Self {
        Self {
            asked: Some(Asked::Everything),
            wishes: Capability::default(),
            carried: Capability::default(),
            stale: Capability::default(),
            aged: Capability::default(),
        }
    }

    /// What the permission check has to be asked, if anything.
    pub(crate) fn question(&self, client: &Arc<Client>) -> Option<Question> {
        let (asked, held) = (self.asked.clone()?, self.carried.clone());
        Some(Question { client: Arc::clone(client), asked, held })
    }

    pub(crate) fn wishes(&self) -> &Capability {
        &self.wishes
    }

    /// What is permitted, the answer being never wider than the question. `None` if the client is barred.
    pub(crate) fn settle(&self, decision: Option<Decision>, terms: &Terms<'_>) -> Option<Permitted> {
        let carried = self.carried.clone();
        match decision {
            None => Some(Permitted::new(carried, Capability::default(), Capability::default())),
            Some(Decision::Barred) => None,
            Some(Decision::Unavailable(_)) => Some(Permitted {
                tolerated: self.stale.intersect(terms.ceiling),
                unanswered: true,
                ..Permitted::new(carried, Capability::default(), Capability::default())
            }),
            Some(Decision::Granted(granted)) => {
                let granted = match &self.asked {
                    Some(Asked::These(asked)) => granted.intersect(asked),
                    Some(Asked::Everything) => granted,
                    None => Capability::default(),
                }
                .cut_to(terms.ceiling);
                // `chat:*` that was held, and answered with `chat:1`, is not permitted again: `chat:1` is new
                let rechecked = self.aged.permitted_by(&granted);
                let added = granted.minus(&carried).minus(&rechecked).minus(terms.given);
                Some(Permitted::new(carried, rechecked, added))
            }
        }
    }
}

impl Terms<'_> {
    /// All that would be signed.
    fn signed(&self, permitted: &Permitted) -> Capability {
        Capability::union_of(self.parts(permitted)).cut_to(self.ceiling)
    }

    /// Whether what would be signed stays within the limit.
    pub(crate) fn fit(&self, permitted: &Permitted) -> bool {
        // together they are no longer than one by one, as each is cut to the ceiling already; signing looks again
        self.parts(permitted).iter().map(|part| part.as_str().len()).sum::<usize>() <= MAX_SIGNED_BYTES
            || self.signed(permitted).as_str().len() <= MAX_SIGNED_BYTES
    }

    fn parts<'a>(&'a self, permitted: &'a Permitted) -> [&'a Capability; 3] {
        [&permitted.remembered, &permitted.tolerated, self.given]
    }
}

/// What a client was permitted. Made in one place, [`Proposal::settle`], from what it held and what the check
/// answered; it can only be narrowed. Read [to remember](Self::to_remember) and [to sign](Self::to_sign).
#[derive(Debug)]
pub(crate) struct Permitted {
    /// Held, and not asked about.
    carried: Capability,
    /// Held, asked about again, and permitted again.
    rechecked: Capability,
    /// Permitted by this answer, and not held.
    added: Capability,
    /// These three together.
    remembered: Capability,
    /// Stale, but the check did not answer: counts for now and stays where it is kept, as it is.
    tolerated: Capability,
    unanswered: bool,
}

impl Permitted {
    fn new(carried: Capability, rechecked: Capability, added: Capability) -> Self {
        Self {
            remembered: Capability::union_of([&carried, &rechecked, &added]),
            carried,
            rechecked,
            added,
            tolerated: Capability::default(),
            unanswered: false,
        }
    }

    /// What goes into the grant: never what is given to everyone.
    pub(crate) fn to_remember(&self) -> &Capability {
        &self.remembered
    }

    /// That, without what this answer adds.
    pub(crate) fn held(&self) -> Capability {
        Capability::union_of([&self.carried, &self.rechecked])
    }

    /// What goes into the token: that, plus what is given, cut down to what the key may do. `None` if that is
    /// nothing. Beyond 64 KiB, which SDKs could not carry, entries are left out and named in the second part.
    pub(crate) fn to_sign(&self, terms: &Terms<'_>) -> (Option<Signable>, Capability) {
        let mut signed = terms.signed(self);
        let mut left_out = Capability::default();
        if signed.as_str().len() > MAX_SIGNED_BYTES {
            let all = mem::take(&mut signed);
            let mut bytes = "{}".len();
            for (resource, operations) in all.iter() {
                let entry = Capability::from_iter([(resource, operations.clone())]);
                // without its braces, and with the comma that joins it
                let more = entry.as_str().len() - 1;
                if bytes + more <= MAX_SIGNED_BYTES {
                    bytes += more;
                    signed.insert(resource, operations);
                } else {
                    left_out.insert(resource, operations);
                }
            }
        }
        (Signable::new(signed), left_out)
    }

    /// Whether the check was asked and did not answer.
    pub(crate) fn unanswered(&self) -> bool {
        self.unanswered
    }

    /// What was held, asked about again, and permitted again.
    pub(crate) fn rechecked(&self) -> &Capability {
        &self.rechecked
    }

    /// What was permitted by this answer, and not held.
    pub(crate) fn added(&self) -> &Capability {
        &self.added
    }

    /// Of what was added, keeps entry by entry what fits, and returns the rest. For when not all of it does.
    pub(crate) fn keep_added(&mut self, fits: impl Fn(&Self) -> bool) -> Capability {
        let mut rest = Capability::default();
        for (resource, operations) in self.drop_added().iter() {
            let before = (self.added.clone(), self.remembered.clone());
            let one = Capability::from_iter([(resource, operations.clone())]);
            self.added = self.added.union(&one);
            self.remembered = self.remembered.union(&one);
            if !fits(self) {
                (self.added, self.remembered) = before;
                rest.insert(resource, operations);
            }
        }
        rest
    }

    /// Keeps nothing of what was added, and returns it.
    pub(crate) fn drop_added(&mut self) -> Capability {
        self.remembered = self.held();
        mem::take(&mut self.added)
    }
}

/// A capability that may be signed: permitted, within what the key may do, and not empty.
///
/// There is no way to make one but [`Issuer::issue`](crate::Issuer::issue), which returns it with the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signable {
    capability: Capability,
}

/// As Ably has it: the canonical text, as one text.
impl Serialize for Signable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

impl Signable {
    fn new(capability: Capability) -> Option<Self> {
        (!capability.is_empty()).then_some(Self { capability })
    }

    /// The canonical text, which is what is signed.
    pub fn text(&self) -> &str {
        self.capability.as_str()
    }

    /// What it permits.
    pub fn capability(&self) -> &Capability {
        &self.capability
    }
}

/// What a permission check is asked. It owns all it says, so that answers may take their time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Question {
    /// Who asks.
    pub client: Arc<Client>,
    /// For what.
    pub asked: Asked,
    /// What the client holds that counts, without what is given to everyone.
    pub held: Capability,
}

impl Question {
    /// A question, for trying a check out.
    pub fn new(client: impl Into<Arc<Client>>, asked: Asked, held: Capability) -> Self {
        Self { client: client.into(), asked, held }
    }
}

/// What a [`Question`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// May they do these? An answer that goes beyond is cut down to it.
    These(Capability),
    /// What may they do at all? Asked under [`Strategy::Server`](crate::Strategy::Server) only.
    Everything,
}

/// A permission check's answer.
#[derive(Debug, Clone)]
pub enum Decision {
    /// They may do this, and nothing else of what was asked. Empty if they may do none of it.
    Granted(Capability),
    /// They may not be here at all: Ably's SDKs end their connection for good.
    Barred,
    /// It could not be found out, and why, for the log. Costs nobody what they hold.
    Unavailable(String),
}

/// Wishes that were not met, by reason. It serialises to what `Accrue-Refused` carries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refused {
    /// Not permitted.
    #[serde(skip_serializing_if = "Capability::is_empty")]
    pub denied: Capability,
    /// The check did not answer: asking again may help.
    #[serde(skip_serializing_if = "Capability::is_empty")]
    pub unavailable: Capability,
    /// Permitted, but there is no room to remember it: giving something up may help.
    #[serde(skip_serializing_if = "Capability::is_empty")]
    pub full: Capability,
}

impl Refused {
    /// Sorts what was wished for but not signed.
    pub(crate) fn sort(
        wishes: &Capability,
        signed: Option<&Signable>,
        full: &Capability,
        unanswered: bool,
    ) -> Self {
        let missing = match signed {
            Some(signed) => wishes.minus(&signed.capability),
            None => wishes.clone(),
        };
        if unanswered {
            return Self { unavailable: missing, ..Self::default() };
        }
        Self { denied: missing.minus(full), full: missing.intersect(full), ..Self::default() }
    }

    /// Whether every wish was met.
    pub fn is_empty(&self) -> bool {
        self.denied.is_empty() && self.unavailable.is_empty() && self.full.is_empty()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// The longest capability text that is signed: SDKs refuse token requests of more than 131,072 characters.
const MAX_SIGNED_BYTES: usize = 65_536;
