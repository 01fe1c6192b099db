//! Random worlds, and random things that happen in them, against a model of what has to hold at every step.
//! `tests/model/README.md` says how to run more of it, and what it was seen to find.

#[path = "support/answer.rs"]
mod answer;
#[path = "support/service.rs"]
mod service;

#[path = "model"]
mod model {
    pub(crate) mod judge;
    pub(crate) mod machine;
    pub(crate) mod rights;
    pub(crate) mod script;
    pub(crate) mod surroundings;
}

use std::cell::{Cell, RefCell};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use model::judge::Tally;
use model::machine::Machine;
use model::script::Step::{self, CheckAnswers, GiveUp};
use model::script::{
    At::A,
    Fate::{Now, Slow},
    Holder::Browser,
    Keeping, World, steps, worlds,
};

fn run(world: World, script: &[Step]) -> Result<(), String> {
    Machine::new(world, &mut Tally::default()).telling().run(script)
}

/// Runs random scripts, from a seed that is always the same unless `ACCRUE_MODEL_SEED` says another.
fn explore(keeping: &'static [Keeping], cases: u32, has_to_happen: &[&str]) {
    let cases =
        number("PROPTEST_CASES").map_or(cases, |cases| u32::try_from(cases).expect("a number of cases"));
    let seed = number("ACCRUE_MODEL_SEED").unwrap_or(1);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    // the quickest of those there are; half of the seed must not be zero
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &[!seed, seed].map(u64::to_le_bytes).concat());
    let tally = RefCell::new(Tally::default());
    let ran = Cell::new(0);
    let outcome =
        TestRunner::new_with_rng(config, rng).run(&(worlds(keeping), steps()), |(world, script)| {
            ran.set(ran.get() + 1);
            Machine::new(world, &mut tally.borrow_mut()).run(&script).map_err(TestCaseError::fail)
        });
    if let Err(TestError::Fail(_, (world, script))) = outcome {
        let script = shortest(world, script);
        let why = run(world, &script).expect_err("it has just failed");
        let lines: String = script.iter().map(|step| format!("    {step:?},\n")).collect();
        panic!("{why}\n\nseed {seed}, after {} runs; as a test:\n\nrun({world:?}, &[\n{lines}])", ran.get());
    }
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("{keeping:?}: {cases} runs of seed {seed}");
    let tally = tally.into_inner();
    for (what, times) in &tally {
        println!("{times:>9} {what}");
    }
    for what in has_to_happen {
        assert!(tally.get(what).is_some_and(|times| *times > 0), "it never happens: {what}");
    }
}

/// Leaves out what can be left out: proptest tries each step once, before it has simplified the others.
fn shortest(world: World, mut script: Vec<Step>) -> Vec<Step> {
    let mut at = 0;
    while at < script.len() {
        let mut shorter = script.clone();
        shorter.remove(at);
        if run(world, &shorter).is_err() {
            (script, at) = (shorter, 0);
        } else {
            at += 1;
        }
    }
    script
}

#[expect(clippy::disallowed_methods, reason = "how much is tried is for whoever runs it to say")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn grants_in_cookies() {
    let of_cookies = [
        "account switch",
        "expired in the jar",
        "full",
        "grant from the future",
        "grant of a secret not known here",
        "grant of another client",
        "navigation",
        "not folded, as it would not fit",
        "not known whether revoked",
        "old secret removed",
        "sealed anew",
        "text that nobody sealed",
        "too large, and cleared away",
        "too many to look at",
    ];
    explore(&[Keeping::Cookie], 600, &[&ALWAYS[..], &WHERE_KEPT, &of_cookies].concat());
}

#[test]
fn grants_in_a_store() {
    let of_a_store = ["store that can't be read", "store that can't be written"];
    explore(&[Keeping::Store], 500, &[&ALWAYS[..], &WHERE_KEPT, &of_a_store].concat());
}

#[test]
fn nothing_is_kept() {
    explore(&[Keeping::Client, Keeping::Server], 200, &ALWAYS);
}

/// What has to happen in every exploration, or it shows nothing.
const ALWAYS: [&str; 18] = [
    "added",
    "all given up",
    "arrives twice",
    "barred",
    "cut to the key",
    "denied",
    "everybody revoked",
    "five minutes",
    "foreign page",
    "given",
    "lost",
    "nothing permitted",
    "nothing to fall back on",
    "one revoked",
    "out of order",
    "slow check",
    "token",
    "unavailable",
];

/// And where something is kept.
const WHERE_KEPT: [&str; 11] = [
    "checked again, and denied",
    "checked again, and permitted",
    "folded",
    "forged",
    "fresh grant",
    "in the end all is there",
    "lapsed grant",
    "part given up",
    "revoked grant",
    "stale grant",
    "stale, and counts as the check is down",
];

/// A world to try one thing in.
const PLAIN: World = World {
    strategy: Keeping::Cookie,
    recheck_after: 28_800,
    max_bytes: 2538,
    key: "*=*",
    gives: false,
    marks: false,
    ahead: 0,
    jwt: false,
};

#[test]
fn a_request_that_counts_on_a_row_and_one_that_drops_it_lose_nothing_between_them() {
    let ask = |wish, answer| Step::Ask { by: Browser, at: A, wish, ttl: 0, answer };
    let ran = run(
        World { strategy: Keeping::Store, ..PLAIN },
        &[
            // two rows of the same age, one within the other
            ask("chat:1=subscribe", Slow),
            ask("chat:1=subscribe", Now),
            ask("chat:2=subscribe", Now),
            CheckAnswers(0),
            // one drops the smaller, as the larger is there; the other drops the larger, as the smaller is there
            ask("admin:1=publish", Slow),
            GiveUp { by: Browser, at: A, what: "chat:2=subscribe", answer: Now },
            CheckAnswers(0),
        ],
    );
    assert_eq!(ran, Ok(()));
}
