use crate::capability::Capability;
use crate::grant::Grant;
use crate::proposal::{Permitted, Terms};

/// A grant that is kept for the client somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// What it says.
    pub(crate) grant: Grant,
    /// Which of the texts that are kept it is.
    pub(crate) place: usize,
    /// Whether it is kept as it would be kept today, that is, sealed with the secret that seals now.
    pub(crate) current: bool,
}

/// What a client holds, sorted by what it still counts for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Counts.
    fresh: Vec<Kept>,
    /// Older than `recheck_after`: is checked again, and counts while the check does not answer.
    stale: Vec<Kept>,
    /// Revoked, or older than twice `recheck_after`: counts for nothing until the check has permitted it again.
    lapsed: Vec<Kept>,
}

/// What has to be written where grants are kept, and what deleted. Independent grants add up, so applying
/// two of these in any order loses nothing that either adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Grants to keep. More than one only where one can't hold it all, or would be as old as its oldest part.
    pub(crate) put: Vec<Grant>,
    /// The places of grants to drop.
    pub(crate) drop: Vec<usize>,
}

/// Whether one place (a cookie, say) takes this grant.
pub(crate) type Room<'a> = dyn Fn(&Grant) -> bool + 'a;

/// What came of folding.
#[derive(Debug)]
pub(crate) struct Folded {
    /// What is remembered afterwards, newly permitted parts included so far as there was room.
    pub(crate) permitted: Permitted,
    pub(crate) change: Change,
    /// Newly permitted, but there was no room to remember it.
    pub(crate) full: Capability,
}

impl Folded {
    /// Where nothing is remembered.
    pub(crate) fn forgotten(permitted: Permitted) -> Self {
        Self { permitted, change: Change::default(), full: Capability::default() }
    }
}

impl Held {
    /// Sorts grants by age and by `not_before`; all times are Unix seconds.
    pub(crate) fn sort(
        kept: impl IntoIterator<Item = Kept>,
        now: u64,
        recheck_after: u64,
        not_before: Option<u64>,
    ) -> Self {
        let mut held = Self::default();
        for kept in kept {
            let age = now.saturating_sub(kept.grant.since);
            let revoked = not_before.is_some_and(|moment| kept.grant.since <= moment);
            let place = if revoked || age > recheck_after.saturating_mul(2) {
                &mut held.lapsed
            } else if age > recheck_after {
                &mut held.stale
            } else {
                &mut held.fresh
            };
            place.push(kept);
        }
        held
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.stale.is_empty() && self.lapsed.is_empty()
    }

    /// What counts without asking anybody.
    pub(crate) fn fresh(&self) -> Capability {
        union(&self.fresh)
    }

    /// What counts only while the check does not answer.
    pub(crate) fn stale(&self) -> Capability {
        union(&self.stale)
    }

    /// What is to be checked again.
    pub(crate) fn aged(&self) -> Capability {
        union(&self.stale).union(&union(&self.lapsed))
    }

    /// Drops everything.
    pub(crate) fn forget(&self) -> Change {
        Change { put: Vec::new(), drop: places(self.fresh.iter().chain(&self.stale).chain(&self.lapsed)) }
    }

    /// Puts what is permitted now in the place of what was held.
    ///
    /// The result keeps the oldest `since` among its parts: adding never extends a life. What was checked
    /// again counts from `since`, the moment the question was put.
    pub(crate) fn fold(
        &self,
        mut permitted: Permitted,
        since: u64,
        room: &Room<'_>,
        terms: &Terms<'_>,
    ) -> Folded {
        let aged = self.stale.iter().chain(&self.lapsed);
        // what was not answered stays as it is, and is asked again next time
        let answered: Vec<&Kept> = if permitted.unanswered() { Vec::new() } else { aged.collect() };
        let oldest = self.fresh.iter().map(|kept| kept.grant.since).fold(since, u64::min);
        let grant = |capability| Grant { capability, since: oldest };

        let fits =
            |permitted: &Permitted| room(&grant(permitted.to_remember().clone())) && terms.fit(permitted);
        let mut full = Capability::default();
        if !fits(&permitted) {
            let base = permitted.held();
            if !base.is_empty() && !room(&grant(base)) {
                return self.unfolded(permitted, answered, since, room);
            }
            full = permitted.keep_added(fits);
        }
        let remembered = grant(permitted.to_remember().clone());

        let anything_added = !permitted.added().is_empty();
        let must_write = anything_added
            || !answered.is_empty()
            || self.fresh.len() > 1
            || self.fresh.iter().any(|kept| !kept.current);
        let change = if must_write {
            replace(self.fresh.iter().chain(answered), remembered)
        } else {
            Change::default()
        };
        Folded { permitted, change, full }
    }

    /// Two tabs, both nearly full: nothing is folded. But what the check has said is heeded, and what an old secret
    /// sealed is sealed anew. What a fresh grant covers was not asked about, so it renews nothing.
    fn unfolded(
        &self,
        mut permitted: Permitted,
        answered: Vec<&Kept>,
        since: u64,
        room: &Room<'_>,
    ) -> Folded {
        let rest = |kept: &Kept| kept.grant.capability.permitted_by(permitted.rechecked());
        let renewed = |kept: &Kept| Grant { capability: rest(kept), since };
        let (whole, narrowed): (Vec<&Kept>, Vec<&Kept>) =
            answered.into_iter().partition(|kept| rest(kept) == kept.grant.capability);
        let again = each_to(whole, renewed, room).and(each_to(narrowed, renewed, &|_| true));
        let outdated = self.fresh.iter().filter(|kept| !kept.current);
        let change = again.and(each_to(outdated, |kept| kept.grant.clone(), room));
        let full = permitted.drop_added();
        Folded { permitted, change, full }
    }

    /// Gives up what `unwanted` covers.
    ///
    /// What is left of the fresh grants becomes one, if there is room; else each that is touched gives way to its own
    /// rest. So does each aged one that is touched: nobody has checked it, and folded with it a fresh one would age.
    pub(crate) fn give_up(&self, unwanted: &Capability, room: &Room<'_>) -> Change {
        let touched = |kept: &&Kept| kept.grant.capability.minus(unwanted) != kept.grant.capability;
        let aged = || self.stale.iter().chain(&self.lapsed);

        let rest = |kept: &Kept| Grant {
            capability: kept.grant.capability.minus(unwanted),
            since: kept.grant.since,
        };
        // what is left was there before, so there is room for it
        let cut = each_to(aged().filter(touched), rest, &|_| true);
        if self.fresh.len() < 2 && !self.fresh.iter().any(|kept| touched(&kept)) {
            return cut;
        }
        let whole = Grant {
            capability: union(&self.fresh).minus(unwanted),
            since: self.fresh.iter().map(|kept| kept.grant.since).min().unwrap_or_default(),
        };
        cut.and(if whole.capability.is_empty() || room(&whole) {
            replace(&self.fresh, whole)
        } else {
            each_to(self.fresh.iter().filter(touched), rest, &|_| true)
        })
    }
}

impl Change {
    fn and(mut self, other: Self) -> Self {
        self.put.extend(other.put);
        self.drop.extend(other.drop);
        self
    }
}

/// Each of these gives way to a grant of its own, if there is room for that.
fn each_to<'a>(
    kept: impl IntoIterator<Item = &'a Kept>,
    grant: impl Fn(&Kept) -> Grant,
    room: &Room<'_>,
) -> Change {
    let mut change = Change::default();
    for kept in kept {
        let grant = grant(kept);
        if grant.capability.is_empty() || room(&grant) {
            change = change.and(replace([kept], grant));
        }
    }
    change
}

fn replace<'a>(kept: impl IntoIterator<Item = &'a Kept>, grant: Grant) -> Change {
    Change { put: if grant.capability.is_empty() { Vec::new() } else { vec![grant] }, drop: places(kept) }
}

fn union<'a>(kept: impl IntoIterator<Item = &'a Kept>) -> Capability {
    Capability::union_of(kept.into_iter().map(|kept| &kept.grant.capability))
}

fn places<'a>(kept: impl IntoIterator<Item = &'a Kept>) -> Vec<usize> {
    kept.into_iter().map(|kept| kept.place).collect()
}
