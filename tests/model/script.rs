//! What may happen, as data: a world, and steps in it. Printed, it can be pasted into a test.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// What stays as it is for a whole run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    pub(crate) strategy: Keeping,
    pub(crate) recheck_after: u64,
    /// Of a sealed grant.
    pub(crate) max_bytes: usize,
    /// What the Ably key may do itself.
    pub(crate) key: &'static str,
    /// Whether anything is given.
    pub(crate) gives: bool,
    /// Whether there is a store for revocations.
    pub(crate) marks: bool,
    /// Seconds that the second instance's clock is ahead.
    pub(crate) ahead: u64,
    pub(crate) jwt: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    Cookie,
    Store,
    Client,
    Server,
}

/// Where grants are carried: two browsers, whose tabs share a jar, and two applications with the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Browser,
    OtherBrowser,
    App,
    OtherApp,
}

/// Clients whose ids look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Al,
    Ali,
    AlColonIce,
    AlPercentIce,
}

impl Who {
    pub(crate) const ALL: [Self; 4] = [Self::Al, Self::Ali, Self::AlColonIce, Self::AlPercentIce];

    pub(crate) fn id(self) -> &'static str {
        ["al", "ali", "al:ice", "al%3Aice"][self as usize]
    }
}

/// Two instances of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    A,
    B,
}

/// What becomes of a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered at once, and the answer arrives at once.
    Now,
    /// It is answered at once; the answer is on its way.
    Late,
    /// It is answered, and the answer never arrives.
    Lost,
    /// The check takes its time, then the answer is on its way.
    Slow,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// A tab sends what its holder carries at this moment.
    Ask {
        by: Holder,
        at: At,
        wish: &'static str,
        ttl: u64,
        answer: Fate,
    },
    /// `what` empty: everything.
    GiveUp {
        by: Holder,
        at: At,
        what: &'static str,
        answer: Fate,
    },
    /// A link or an image somewhere: no wishes, no side effect.
    Navigate {
        by: Holder,
        at: At,
        wish: &'static str,
    },
    /// A page of a foreign origin asks with the browser's cookies.
    Intrude {
        by: Holder,
        at: At,
        wish: &'static str,
    },
    /// Of the checks that take their time, this one answers.
    CheckAnswers(usize),
    /// Of the answers on their way, this one.
    Arrives(usize),
    ArrivesAndWillAgain(usize),
    GetsLost(usize),
    /// `5m`, `R` (`recheck_after`), `2R+1s`.
    Wait(&'static str),
    SignIn(Holder, Who),
    /// The session's claim.
    Team(Who, &'static str),
    /// The session says that what was permitted up to now is revoked.
    NotBeforeNow(Who),
    /// What the check permits from now on.
    Permits(Who, &'static str),
    /// Nothing at all, and do not come back.
    Bars(Who, bool),
    CheckIs(Mood),
    Revoke(At, Option<Who>),
    StoreReads(bool),
    StoreWrites(bool),
    /// The next step of the documented order, for the instance that is behind.
    Rotate,
    /// What one carries gets into the hands of another.
    Steal {
        from: Holder,
        to: Holder,
    },
    /// What one carries, with a later time written over it, beside it.
    Forge(Holder),
    /// So many cookies (or texts) that no secret ever sealed, of so many bytes.
    Plant(Holder, usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Answers what it is asked.
    Exact,
    /// Says all there is, whatever it is asked.
    Talkative,
    Down,
}

const WISHES: [&str; 18] = [
    "chat:1=subscribe",
    "",
    "chat:2=subscribe",
    "chat:1=publish",
    "chat:1=subscribe chat:2=publish",
    "chat:*=subscribe",
    "chat:3=history,publish",
    "chat:1=*",
    "chat:*=*",
    "*=subscribe",
    "room:café=history",
    "room:café=subscribe archive:3f9a1c07e25b=history",
    "[meta]log=subscribe",
    "lobby=subscribe chat:1=subscribe",
    "inbox:al=subscribe inbox:al:ice=subscribe",
    "team:blue:1=history",
    "admin:1=publish",
    "chat:1=subscribe chat:2=subscribe chat:3=history,publish room:café=subscribe",
];

/// The first is how every run begins.
pub(crate) const PERMITS: [&str; 7] = [
    "chat:*=* room:*=* archive:3f9a1c07e25b=*",
    "chat:1=subscribe",
    "",
    "chat:1=* chat:2=subscribe",
    "*=* [meta]log=*",
    "chat:*=subscribe inbox:*=* team:*=*",
    "room:café=history admin:1=*",
];

const KEYS: [&str; 2] =
    ["*=*", "chat:*=publish,subscribe lobby=subscribe inbox:*=subscribe team:*=* room:*=history,subscribe"];

pub(crate) fn worlds(keeping: &'static [Keeping]) -> impl Strategy<Value = World> {
    (
        select(keeping),
        select(vec![8 * 3600, 600]),
        select(vec![2538, 200, 140]),
        select(KEYS.as_slice()),
        any::<bool>(),
        any::<bool>(),
        select(vec![0, 4, 60]),
        any::<bool>(),
    )
        .prop_map(|(strategy, recheck_after, max_bytes, key, gives, marks, ahead, jwt)| World {
            strategy,
            recheck_after,
            max_bytes,
            key,
            gives,
            marks,
            ahead,
            jwt,
        })
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..60)
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let by = || {
        prop_oneof![
            6 => Just(Holder::Browser),
            1 => Just(Holder::OtherBrowser),
            3 => Just(Holder::App),
            1 => Just(Holder::OtherApp),
        ]
    };
    let at = || prop_oneof![3 => Just(At::A), 1 => Just(At::B)];
    let who = || prop_oneof![5 => Just(Who::Al), 3 => select(Who::ALL.as_slice())];
    let wish = || select(WISHES.as_slice());
    let fate = || prop_oneof![4 => Just(Fate::Now), 3 => Just(Fate::Late), 1 => Just(Fate::Lost), 2 => Just(Fate::Slow)];
    let nth = || 0..4usize;
    let mostly = |usual: bool| prop_oneof![3 => Just(usual), 1 => Just(!usual)];
    let ttl = prop_oneof![4 => Just(0u64), 1 => select(vec![60_000u64, 1, 999_999_999])];
    prop_oneof![
        30 => (by(), at(), wish(), ttl, fate())
            .prop_map(|(by, at, wish, ttl, answer)| Ask { by, at, wish, ttl, answer }),
        4 => (by(), at(), wish(), fate()).prop_map(|(by, at, what, answer)| GiveUp { by, at, what, answer }),
        1 => (by(), at(), wish()).prop_map(|(by, at, wish)| Navigate { by, at, wish }),
        1 => (by(), at(), wish()).prop_map(|(by, at, wish)| Intrude { by, at, wish }),
        6 => nth().prop_map(CheckAnswers),
        8 => nth().prop_map(Arrives),
        2 => nth().prop_map(ArrivesAndWillAgain),
        1 => nth().prop_map(GetsLost),
        8 => select(vec!["1s", "59s", "5m", "30m", "R-1s", "R", "R+1s", "2R", "2R+1s"]).prop_map(Wait),
        3 => (by(), who()).prop_map(|(by, who)| SignIn(by, who)),
        1 => (who(), select(vec!["blue", "", "*", "blue:1", "[meta]blue"])).prop_map(|(who, team)| Team(who, team)),
        1 => who().prop_map(NotBeforeNow),
        4 => (who(), select(PERMITS.as_slice())).prop_map(|(who, what)| Permits(who, what)),
        1 => (who(), mostly(false)).prop_map(|(who, bars)| Bars(who, bars)),
        5 => prop_oneof![4 => Just(Mood::Exact), 1 => Just(Mood::Talkative), 3 => Just(Mood::Down)].prop_map(CheckIs),
        2 => (at(), proptest::option::weighted(0.8, who())).prop_map(|(at, who)| Revoke(at, who)),
        2 => mostly(true).prop_map(StoreReads),
        2 => mostly(true).prop_map(StoreWrites),
        3 => Just(Rotate),
        1 => (by(), by()).prop_map(|(from, to)| Steal { from, to }),
        1 => by().prop_map(Forge),
        1 => (by(), select(vec![1usize, 15]), select(vec![20usize, 700]))
            .prop_map(|(by, count, bytes)| Plant(by, count, bytes)),
    ]
}
