//! The whole flow, by a clock that is moved by hand: what is asked, signed, refused, remembered and forgotten.

mod support;

use std::collections::BTreeSet;

use accrue::ably::{ApiKey, Format, Ttl};
use accrue::{
    Ask, Asked, Capability, Grant, Issuer, MemoryStore, RefusalReason, Rules, SealedChange, Sealing, Store,
    Strategy, Unreadable, Vocabulary,
};
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::strategy::Strategy as _;
use support::scene::*;
use support::{at_once, cap, client, moment};

// --- wishes --------------------------------------------------------------------------------------------------

#[test]
fn a_first_contact_is_asked_signed_and_remembered() {
    let mut scene = Scene::cookie("chat:*=subscribe");
    let answer = scene.at(T0 + 299).ask("chat:1=subscribe");
    answer.asks("chat:1=subscribe").signs("chat:1=subscribe").meets_every_wish();
    assert_eq!(answer.report.added, cap("chat:1=subscribe"));
    scene.holds(&[("chat:1=subscribe", T0)]);
}

#[test]
fn an_addition_is_asked_alone_and_extends_no_life() {
    let mut scene = Scene::cookie("chat:*=subscribe,publish");
    scene.ask("chat:1=subscribe");
    for (hours, wish, asked, held) in [
        (1, "chat:2=subscribe", "chat:2=subscribe", "chat:1=subscribe"),
        (7, "chat:1=subscribe,publish", "chat:1=publish", "chat:1=subscribe chat:2=subscribe"),
        (8, "chat:3=publish", "chat:3=publish", "chat:1=subscribe,publish chat:2=subscribe"),
    ] {
        let answer = scene.at(T0 + hours * HOUR).ask(wish);
        answer.asks(asked).meets_every_wish();
        assert_eq!(answer.asked.unwrap().held, cap(held));
        assert_eq!((answer.change.put.len(), answer.change.drop.len()), (1, 1));
    }
    let all = "chat:1=subscribe,publish chat:2=subscribe chat:3=publish";
    scene.holds(&[(all, T0)]);
    scene.at(T0 + RECHECK_AFTER + 1).ask("").asks(all).signs(all);
}

#[test]
fn a_refused_wish_costs_nothing() {
    let mut scene = Scene::cookie("chat:*=subscribe");
    scene.ask("chat:1=subscribe");
    let answer = scene.ask("private:1=subscribe chat:1=publish");
    answer.asks("private:1=subscribe chat:1=publish").signs("chat:1=subscribe");
    answer.misses("private:1=subscribe chat:1=publish", "", "").changes_nothing();
    assert_eq!(answer.refused.to_string(), r#"{"denied":{"chat:1":["publish"],"private:1":["subscribe"]}}"#);

    let answer = scene.ask("chat:2=subscribe,publish private:1=subscribe");
    answer.signs("chat:1=subscribe chat:2=subscribe").misses("chat:2=publish private:1=subscribe", "", "");
    scene.holds(&[("chat:1=subscribe chat:2=subscribe", T0)]);
}

#[test]
fn a_renewal_asks_nobody_and_changes_nothing() {
    let mut scene = Scene::cookie("chat:*=subscribe team:*=*");
    let wishes = "chat:1=subscribe team:*=*";
    scene.ask(wishes);
    for (wish, hours) in [(wishes, 1), ("", 2), ("team:blue=publish team:a:*=history", 5), (wishes, 8)] {
        let answer = scene.at(T0 + hours * HOUR).ask(wish);
        answer.asks_nobody().signs(wishes).meets_every_wish().changes_nothing();
        assert!(answer.report.added.is_empty());
    }
}

#[test]
fn a_pattern_is_permitted_by_a_pattern_only() {
    for (permits, wish, signs, denied) in [
        ("chat:*=subscribe", "chat:*=subscribe", "chat:*=subscribe", ""),
        ("chat:*=subscribe", "chat:a:*=subscribe", "chat:a:*=subscribe", ""),
        (
            "chat:1=subscribe chat:2=subscribe",
            "chat:*=subscribe chat:1=subscribe",
            "chat:1=subscribe",
            "chat:*=subscribe",
        ),
        ("chat:*=subscribe,publish", "chat:1=* chat:2=publish", "chat:2=publish", "chat:1=*"),
        ("*=*", "chat:1=* [meta]log=subscribe", "chat:1=*", "[meta]log=subscribe"),
    ] {
        let mut scene = Scene::cookie(permits);
        scene.ask(wish).asks(wish).signs(signs).misses(denied, "", "");
        scene.holds(&[(signs, T0)]);
    }
}

#[test]
fn what_is_held_never_adds_up_to_a_pattern() {
    let mut scene = Scene::cookie("chat:1=subscribe chat:2=subscribe");
    scene.ask("chat:1=subscribe chat:2=subscribe");
    let answer = scene.ask("chat:*=subscribe");
    answer.asks("chat:*=subscribe").misses("chat:*=subscribe", "", "").changes_nothing();
    answer.signs("chat:1=subscribe chat:2=subscribe");
}

#[test]
fn an_answer_is_cut_down_to_what_was_asked() {
    let mut scene = Scene::cookie("chat:*=* admin:*=*");
    scene.mood(Mood::Talkative);
    scene.ask("chat:1=subscribe").signs("chat:1=subscribe");
    scene.holds(&[("chat:1=subscribe", T0)]);

    // to a pattern the check may answer with what there is of it
    let mut scene = Scene::cookie("chat:1=subscribe chat:2=subscribe,publish other:1=subscribe");
    scene.mood(Mood::Talkative);
    let answer = scene.ask("chat:*=subscribe");
    answer.signs("chat:1=subscribe chat:2=subscribe").misses("chat:*=subscribe", "", "");
    scene.holds(&[("chat:1=subscribe chat:2=subscribe", T0)]);
}

#[test]
fn nothing_at_all_is_refused() {
    let mut scene = Scene::cookie("chat:*=subscribe");
    scene.ask("").asks_nobody().refuses(RefusalReason::Nothing).meets_every_wish().changes_nothing();
    let answer = scene.ask("private:1=subscribe");
    answer.refuses(RefusalReason::Nothing).misses("private:1=subscribe", "", "").changes_nothing();

    // that what was held is withdrawn is remembered all the same
    scene.keeps("private:1=subscribe", T0 - RECHECK_AFTER - 1);
    let answer = scene.ask("");
    answer.asks("private:1=subscribe").refuses(RefusalReason::Nothing);
    scene.holds(&[]);
}

// --- ages ----------------------------------------------------------------------------------------------------

#[test]
fn a_grant_counts_is_checked_again_or_has_lapsed_by_its_age() {
    let (held, now) = ("chat:1=subscribe", T0 + 24 * HOUR);
    let checked = Some(now);
    for (age, mood, permits, asks, outcome, since) in [
        (0, Mood::Down, "", false, Ok(held), Some(now)),
        (RECHECK_AFTER, Mood::Down, "", false, Ok(held), Some(now - RECHECK_AFTER)),
        (RECHECK_AFTER + 1, Mood::Exact, "chat:*=*", true, Ok(held), checked),
        (RECHECK_AFTER + 1, Mood::Exact, "", true, Err(RefusalReason::Nothing), None),
        (RECHECK_AFTER + 1, Mood::Down, "", true, Ok(held), Some(now - RECHECK_AFTER - 1)),
        (2 * RECHECK_AFTER, Mood::Down, "", true, Ok(held), Some(now - 2 * RECHECK_AFTER)),
        (2 * RECHECK_AFTER + 1, Mood::Exact, "chat:*=*", true, Ok(held), checked),
        (2 * RECHECK_AFTER + 1, Mood::Exact, "", true, Err(RefusalReason::Nothing), None),
        (
            2 * RECHECK_AFTER + 1,
            Mood::Down,
            "",
            true,
            Err(RefusalReason::Unavailable),
            Some(now - 2 * RECHECK_AFTER - 1),
        ),
    ] {
        let mut scene = Scene::cookie(permits);
        scene.keeps(held, now - age);
        scene.mood(mood);
        let answer = scene.at(now).ask("");
        let told = format!("{age} s old: {answer:?}");
        assert_eq!(answer.asked.is_some(), asks, "{told}");
        match outcome {
            Ok(entries) => assert_eq!(answer.token().capability, cap(entries), "{told}"),
            Err(reason) => assert_eq!(answer.outcome.as_ref().err(), Some(&reason), "{told}"),
        }
        scene.holds(&since.map(|since| (held, since)).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn what_is_checked_again_and_denied_in_part_keeps_the_rest() {
    let mut scene = Scene::cookie("chat:1=subscribe chat:2=subscribe");
    scene.keeps("chat:1=subscribe,publish chat:2=subscribe chat:3=subscribe", T0);
    let answer = scene.at(T0 + 9 * HOUR).ask("chat:2=subscribe chat:3=subscribe");
    answer.signs("chat:1=subscribe chat:2=subscribe").misses("chat:3=subscribe", "", "");
    scene.holds(&[("chat:1=subscribe chat:2=subscribe", T0 + 9 * HOUR)]);
    assert!(answer.report.added.is_empty(), "{:?}", answer.report.added);
}

#[test]
fn while_the_check_is_down_what_is_held_counts_and_what_is_new_is_unavailable() {
    for (age, stale) in [(1, false), (RECHECK_AFTER + 1, true), (2 * RECHECK_AFTER, true)] {
        let mut scene = Scene::cookie("*=*");
        scene.keeps("chat:1=subscribe", T0 - age);
        scene.mood(Mood::Down);
        let answer = scene.ask("chat:1=subscribe chat:2=subscribe");
        answer.asks(if stale { "chat:1=subscribe chat:2=subscribe" } else { "chat:2=subscribe" });
        answer.signs("chat:1=subscribe").misses("", "chat:2=subscribe", "").changes_nothing();
        assert_eq!(answer.report.cause.as_deref(), Some("no route to host"));
        // so that the SDK comes back by itself
        assert_eq!(answer.token().ttl, 300_000);

        scene.mood(Mood::Exact);
        scene
            .ask("chat:1=subscribe chat:2=subscribe")
            .signs("chat:1=subscribe chat:2=subscribe")
            .meets_every_wish();
        scene.holds(&[("chat:1=subscribe chat:2=subscribe", if stale { T0 } else { T0 - age })]);
    }
}

#[test]
fn with_nothing_to_fall_back_on_a_check_that_is_down_is_unavailable_and_writes_nothing() {
    let mut scene = Scene::cookie("*=*");
    scene.mood(Mood::Down);
    scene.ask("chat:1=subscribe").refuses(RefusalReason::Unavailable).misses("", "chat:1=subscribe", "");
    scene.keeps("chat:1=subscribe", T0 - 2 * RECHECK_AFTER - 1);
    scene.ask("").refuses(RefusalReason::Unavailable).changes_nothing();
    // without a question nobody is missed
    scene.browser = Browser::default();
    scene.ask("").refuses(RefusalReason::Nothing);
}

#[test]
fn a_lapsed_grant_does_not_disturb_a_fresh_one_while_the_check_is_down() {
    let mut scene = Scene::cookie("*=*");
    scene.keeps("chat:1=subscribe", T0 - 2 * RECHECK_AFTER - 1);
    scene.keeps("chat:2=subscribe", T0 - RECHECK_AFTER - 1);
    scene.keeps("chat:3=subscribe", T0 - HOUR);
    scene.mood(Mood::Down);
    let answer = scene.ask("chat:1=subscribe");
    answer
        .asks("chat:1=subscribe chat:2=subscribe")
        .signs("chat:2=subscribe chat:3=subscribe")
        .changes_nothing();
    answer.misses("", "chat:1=subscribe", "");
    assert_eq!(answer.asked.unwrap().held, cap("chat:3=subscribe"));

    scene.mood(Mood::Exact);
    let answer = scene.ask("");
    answer
        .asks("chat:1=subscribe chat:2=subscribe")
        .signs("chat:1=subscribe chat:2=subscribe chat:3=subscribe");
    assert_eq!(answer.change.drop.len(), 3);
    scene.holds(&[("chat:1=subscribe chat:2=subscribe chat:3=subscribe", T0 - HOUR)]);
}

#[test]
fn a_grant_from_the_future_is_absent() {
    for (ahead, counts) in [(0, true), (60, true), (61, false), (HOUR, false)] {
        let mut scene = Scene::cookie("");
        scene.keeps("chat:1=subscribe", T0 + ahead);
        let answer = scene.ask("");
        match counts {
            true => answer.signs("chat:1=subscribe"),
            false => answer.refuses(RefusalReason::Nothing),
        };
        answer.asks_nobody().changes_nothing();
        let read = if counts { Ok("k1".into()) } else { Err(Unreadable::FromTheFuture) };
        assert_eq!(answer.report.grants, [read]);
    }
}

#[test]
fn after_how_long_a_grant_is_checked_again_is_a_setting() {
    let mut scene = Scene::cookie("chat:*=*").with(|issuer| issuer.with_recheck_after(HOUR));
    assert_eq!(scene.issuer.keep_for(), 2 * HOUR);
    scene.ask("chat:1=subscribe");
    scene.at(T0 + HOUR).ask("").asks_nobody();
    scene.at(T0 + HOUR + 1).ask("").asks("chat:1=subscribe");
}

#[test]
fn an_operation_of_a_larger_vocabulary_is_granted_and_understood_when_it_comes_back() {
    let larger = Vocabulary::with_extra(["teleport"]).unwrap();
    let mut permits = Rules::default();
    permits.add("chat:*", &["teleport"], &larger).unwrap();
    let strategy = Strategy::Cookie(Sealing::new(keys(&[K1])));
    let issuer = Issuer::new(ApiKey::parse("app.key:s").unwrap(), strategy, permits).unwrap();
    let issuer = issuer.with_vocabulary(larger.clone());
    assert_eq!(issuer.vocabulary(), &larger);
    let mut ask = Ask::new(client("alice"));
    ask.wishes = Capability::parse(r#"{"chat:1":["teleport"]}"#, &larger).unwrap();
    let issued = at_once(issuer.issue(ask.clone(), &moment(T0, 0))).unwrap();
    ask.presented = issued.change.put;
    let again = at_once(issuer.issue(ask, &moment(T0 + HOUR, 0))).unwrap();
    assert_eq!((again.permitted, again.report.check), (issued.permitted, None));
}

// --- revocation ----------------------------------------------------------------------------------------------

#[test]
fn what_is_revoked_counts_for_nothing_until_it_is_checked_again() {
    let held = "chat:1=subscribe";
    let now = T0 + HOUR;
    // sealed at T0, an hour ago
    for (not_before, mood, permits, asks, outcome, since) in [
        (T0 - 1, Mood::Down, "", false, Ok(held), Some(T0)),
        (T0, Mood::Exact, "chat:*=*", true, Ok(held), Some(now)),
        (T0, Mood::Exact, "", true, Err(RefusalReason::Nothing), None),
        (T0, Mood::Down, "chat:*=*", true, Err(RefusalReason::Unavailable), Some(T0)),
        (now, Mood::Exact, "chat:*=*", true, Ok(held), Some(now + 1)),
        (now + 30, Mood::Exact, "chat:*=*", true, Ok(held), Some(now + 31)),
    ] {
        let mut scene = Scene::cookie(permits);
        scene.keeps(held, T0);
        scene.mood(mood);
        scene.client.not_before = Some(not_before);
        let answer = scene.at(now).ask("");
        let told = format!("not before {not_before}: {answer:?}");
        assert_eq!(
            answer.asked.as_ref().map(|question| question.held.clone()),
            asks.then(Capability::default),
            "{told}"
        );
        match outcome {
            Ok(entries) => assert_eq!(answer.token().capability, cap(entries), "{told}"),
            Err(reason) => assert_eq!(answer.outcome.as_ref().err(), Some(&reason), "{told}"),
        }
        scene.holds(&since.map(|since| (held, since)).into_iter().collect::<Vec<_>>());
        if outcome.is_ok() {
            // and what was sealed right after counts
            scene.ask("").asks_nobody().signs(held).changes_nothing();
        }
    }
}

#[test]
fn a_revoked_grant_does_not_vouch_for_a_wish_and_not_for_a_fresh_one() {
    let mut scene = Scene::cookie("chat:1=subscribe");
    scene.keeps("chat:1=subscribe chat:2=subscribe", T0 - HOUR);
    scene.keeps("chat:3=subscribe", T0 - MINUTE);
    scene.client.not_before = Some(T0 - HOUR);
    let answer = scene.ask("chat:2=subscribe");
    answer.asks("chat:1=subscribe chat:2=subscribe").signs("chat:1=subscribe chat:3=subscribe");
    answer.misses("chat:2=subscribe", "", "");
    scene.holds(&[("chat:1=subscribe chat:3=subscribe", T0 - MINUTE)]);
}

// --- secrets -------------------------------------------------------------------------------------------------

#[test]
fn secrets_rotate_without_locking_anyone_out() {
    let held = "chat:1=subscribe";
    // the grant is sealed with k1
    for (secrets, counts, resealed_with) in [
        (&[K1][..], true, None),
        (&[K1, K2], true, None),
        (&[K2, K1], true, Some("k2")),
        (&[K3, K2, K1], true, Some("k3")),
        (&[K2], false, None),
        (&[K2, K3], false, None),
    ] {
        let mut scene = Scene::cookie("");
        let original = scene.keeps(held, T0 - HOUR);
        scene.rotate(secrets);
        let answer = scene.ask("");
        answer.asks_nobody();
        match counts {
            true => answer.signs(held),
            false => answer.refuses(RefusalReason::Nothing).changes_nothing(),
        };
        let read = if counts { Ok("k1".into()) } else { Err(Unreadable::UnknownKid) };
        assert_eq!(answer.report.grants, [read]);
        match resealed_with {
            None => {
                answer.changes_nothing();
            }
            Some(kid) => {
                assert_eq!(answer.change.drop, [original]);
                assert!(answer.change.put[0].starts_with(&format!("1j.{kid}.{}.", T0 - HOUR)));
            }
        }
        // as old as it was
        scene.holds(&[(held, T0 - HOUR)]);
    }
}

#[test]
fn what_does_not_verify_is_left_alone_and_is_no_error() {
    let mut scene = Scene::cookie("chat:*=subscribe");
    let good = scene.sealed("alice", "chat:1=subscribe", T0);
    let bobs = scene.sealed("bob", "chat:2=subscribe", T0);
    let strangers: BTreeSet<String> = [
        bobs,
        format!("{}A", &good[..good.len() - 1]),
        good.replacen("1j.k1", "1j.k9", 1),
        String::new(),
        "none".into(),
        "1j.k1.1700000100..".into(),
        "x".repeat(9_000),
    ]
    .into();
    scene.browser.kept.clone_from(&strangers);
    scene.ask("chat:3=subscribe").asks("chat:3=subscribe").signs("chat:3=subscribe");
    scene.keeps("chat:4=subscribe", T0);
    scene.ask("").asks_nobody().signs("chat:3=subscribe chat:4=subscribe");
    scene.mood(Mood::Bars);
    scene.ask("chat:5=subscribe").refuses(RefusalReason::Barred);
    assert_eq!(scene.browser.kept, strangers);
}

// --- several grants ------------------------------------------------------------------------------------------

#[test]
fn several_grants_add_up_and_are_folded_into_one_of_the_oldest_age() {
    let (x, y, z) = ("chat:1=subscribe", "chat:2=subscribe", "chat:1=publish");
    let all = "chat:1=subscribe,publish chat:2=subscribe";
    let stale = T0 - RECHECK_AFTER - HOUR;
    for (grants, asks, since) in [
        (&[(x, T0), (y, T0), (z, T0)][..], "", T0),
        (&[(x, T0 - HOUR), (y, T0 - 2 * HOUR), (z, T0)], "", T0 - 2 * HOUR),
        (&[(x, T0 - RECHECK_AFTER), (all, T0)], "", T0 - RECHECK_AFTER),
        // what is checked again counts from now, so the fresh ones are the oldest then
        (&[(x, stale), (y, T0 - HOUR), (z, T0 - HOUR)], x, T0 - HOUR),
        (&[(x, stale), (y, stale), (z, stale - HOUR)], all, T0),
        // covered by what is fresh: there is nothing to ask
        (&[(x, stale), (all, T0 - HOUR)], "", T0 - HOUR),
    ] {
        let mut scene = Scene::cookie("*=*");
        for (entries, since) in grants {
            scene.keeps(entries, *since);
        }
        let answer = scene.ask("");
        answer.signs(all);
        match asks {
            "" => answer.asks_nobody(),
            asked => answer.asks(asked),
        };
        scene.holds(&[(all, since)]);
        scene.ask("").asks_nobody().signs(all).changes_nothing();
    }
}

#[test]
fn a_fold_into_what_is_there_sets_nothing_and_drops_the_rest() {
    let mut scene = Scene::cookie("");
    let whole = scene.keeps("chat:1=subscribe chat:2=subscribe", T0 - HOUR);
    let part = scene.keeps("chat:1=subscribe", T0 - MINUTE);
    let answer = scene.ask("");
    assert!(answer.change.put.is_empty());
    assert_eq!(answer.change.drop, [part]);
    assert_eq!(scene.browser.presents(), [whole]);
}

#[test]
fn equal_texts_count_once_and_sixteen_are_looked_at() {
    let scene = Scene::cookie("");
    let one = scene.sealed("alice", "chat:1=subscribe", T0);
    let answer = scene.answer(&cap(""), None, &vec![one.clone(); 16]);
    answer.signs("chat:1=subscribe").changes_nothing();

    let mut scene = Scene::cookie("");
    let names: Vec<String> = (0..17).map(|n| format!("chat:{n:02}=subscribe")).collect();
    let presented: Vec<String> = names.iter().map(|name| scene.sealed("alice", name, T0)).collect();
    let answer = scene.answer(&cap(""), None, &presented);
    answer.signs(&names[..16].join(" "));
    assert_eq!(answer.report.grants.len(), 16);
    assert_eq!(answer.change.drop, presented[..16]);

    // the one that was not looked at is not lost
    scene.browser.kept = presented.into_iter().collect();
    scene.browser.apply(&answer.change);
    assert_eq!(scene.browser.kept.len(), 2);
    scene.ask("").signs(&names.join(" "));
    assert_eq!(scene.browser.kept.len(), 1);
}

#[test]
fn a_bar_drops_all_that_was_presented() {
    let mut scene =
        Scene::cookie("*=*").with(|issuer| issuer.with_given(rules(&[("lobby", &["subscribe"])])));
    scene.keeps("chat:1=subscribe", T0);
    scene.keeps("chat:2=subscribe", T0 - RECHECK_AFTER - 1);
    scene.keeps("chat:3=subscribe", T0 - 2 * RECHECK_AFTER - 1);
    scene.mood(Mood::Bars);
    let answer = scene.ask("chat:4=subscribe");
    answer.refuses(RefusalReason::Barred).meets_every_wish();
    assert_eq!((answer.change.put.len(), answer.change.drop.len()), (0, 3));
    // noticed at the next check only
    scene.keeps("chat:1=subscribe", T0);
    scene.ask("").asks_nobody().signs("chat:1=subscribe lobby=subscribe");
}

// --- given, and the key --------------------------------------------------------------------------------------

#[test]
fn what_is_given_is_signed_and_neither_asked_nor_remembered() {
    let given = || rules(&[("inbox:{clientId}", &["subscribe"]), ("lobby:*", &["*"])]);
    let mut scene = Scene::cookie("*=*").with(|issuer| issuer.with_given(given()));
    let ours = "inbox:alice=subscribe lobby:*=*";
    scene.ask("").asks_nobody().signs(ours).changes_nothing();
    scene
        .ask("inbox:alice=subscribe lobby:1=publish")
        .asks_nobody()
        .signs(ours)
        .meets_every_wish()
        .changes_nothing();

    let answer = scene.ask("inbox:alice=subscribe,publish lobby:2=history chat:1=subscribe");
    answer.asks("inbox:alice=publish chat:1=subscribe").meets_every_wish();
    answer.signs("inbox:alice=subscribe,publish lobby:*=* chat:1=subscribe");
    assert!(answer.asked.unwrap().held.is_empty());
    scene.holds(&[("inbox:alice=publish chat:1=subscribe", T0)]);

    // given while the check is down, too
    scene.browser = Browser::default();
    scene.mood(Mood::Down);
    let answer = scene.ask("chat:1=subscribe");
    answer.signs(ours).misses("", "chat:1=subscribe", "").changes_nothing();
    assert_eq!(answer.token().ttl, 300_000);
}

#[test]
fn what_is_given_enters_no_grant_through_a_pattern() {
    let given = || rules(&[("inbox:{clientId}", &["subscribe"])]);
    for stale in [false, true] {
        let mut scene = Scene::cookie("inbox:alice=subscribe inbox:all=subscribe")
            .with(|issuer| issuer.with_given(given()));
        scene.mood(Mood::Talkative);
        if stale {
            scene.keeps("inbox:*=subscribe", T0 - RECHECK_AFTER - 1);
        }
        let answer = scene.ask(if stale { "" } else { "inbox:*=subscribe" });
        answer.asks("inbox:*=subscribe").signs("inbox:alice=subscribe inbox:all=subscribe");
        scene.holds(&[("inbox:all=subscribe", T0)]);
    }
}

#[test]
fn the_keys_own_capability_cuts_token_and_grant() {
    for (key, wish, signs) in [
        ("chat:*=subscribe", "chat:1=subscribe,publish other:1=subscribe", "chat:1=subscribe"),
        ("chat:*=subscribe", "chat:*=* other:1=subscribe", "chat:*=subscribe"),
        (
            "chat:1=publish,subscribe chat:2=history",
            "chat:*=subscribe,history",
            "chat:1=subscribe chat:2=history",
        ),
        (
            "[meta]*=* chat:*=*",
            "[meta]log=subscribe chat:1=publish x=*",
            "[meta]log=subscribe chat:1=publish",
        ),
    ] {
        let mut scene = Scene::cookie("[*]*=*").with(|issuer| issuer.with_key_capability(cap(key)));
        let answer = scene.ask(wish);
        answer.signs(signs);
        assert!(alike(&answer.refused.denied, &cap(wish).minus(&cap(signs))), "{:?}", answer.refused);
        scene.holds(&[(signs, T0)]);
    }
    // neither contains the other
    let mut scene = Scene::cookie("*=*").with(|issuer| issuer.with_key_capability(cap("*:c=publish")));
    scene.ask("a:*=publish").refuses(RefusalReason::Nothing).changes_nothing();

    // what was granted, and what is given, before the key could do less
    let mut scene = Scene::cookie("*=*").with(|issuer| {
        let issuer = issuer.with_given(rules(&[("lobby", &["subscribe", "publish"]), ("hall", &["*"])]));
        issuer.with_key_capability(cap("chat:*=subscribe lobby=subscribe"))
    });
    scene.keeps("chat:1=subscribe,publish other:1=subscribe", T0 - HOUR);
    scene.ask("").asks_nobody().signs("chat:1=subscribe lobby=subscribe");
    scene.browser = Browser::default();
    scene.keeps("chat:1=subscribe,publish other:1=subscribe", T0 - RECHECK_AFTER - 1);
    scene.mood(Mood::Down);
    scene.ask("").signs("chat:1=subscribe lobby=subscribe");
    scene.mood(Mood::Exact);
    scene.ask("").signs("chat:1=subscribe lobby=subscribe");
    scene.holds(&[("chat:1=subscribe", T0)]);
}

#[test]
fn by_default_the_key_reaches_plain_channels_only() {
    let mut scene = Scene::cookie("[*]*=*");
    let answer = scene.ask("[meta]log=subscribe [queue]q=subscribe [*]a=subscribe chat:1=*");
    answer.signs("chat:1=*").misses("[meta]log=subscribe [queue]q=subscribe [*]a=subscribe", "", "");
}

// --- room ----------------------------------------------------------------------------------------------------

#[test]
fn wishes_are_admitted_in_canonical_order_while_there_is_room() {
    // longer than the room is, and in the middle
    let long = format!("room:05-{}", "é(7)".repeat(40));
    let names: Vec<String> = (0..24).map(|n| format!("room:{n:02}-{}", scattered(n))).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).chain([long.as_str()]).collect();
    let wishes = all.iter().map(|name| format!("{name}=subscribe")).collect::<Vec<_>>().join(" ");

    for (max_bytes, at_least) in [(60, 0), (130, 1), (200, 4), (300, 8), (2538, 25)] {
        let mut scene = Scene::cramped("*=*", max_bytes);
        scene.browser.kept.clear();
        let fits = |capability: &Capability| {
            let sealed =
                scene.keys.seal(&scene.client.id, &Grant { capability: capability.clone(), since: T0 });
            sealed.is_none_or(|sealed| sealed.len() <= max_bytes)
        };
        let (mut taken, mut full) = (Capability::default(), Capability::default());
        for (resource, operations) in cap(&wishes).iter() {
            let one = Capability::from_iter([(resource, operations.clone())]);
            let with = taken.clone().union(&one);
            if fits(&with) { taken = with } else { full = full.union(&one) }
        }
        assert!(taken.len() >= at_least && taken.len() + full.len() == 25, "{max_bytes}: {taken:?}");

        let answer = scene.ask(&wishes);
        assert_eq!(answer.refused.full, full, "{max_bytes}");
        assert!(answer.refused.denied.is_empty() && answer.refused.unavailable.is_empty());
        assert_eq!(answer.report.added, taken);
        if taken.is_empty() {
            answer.refuses(RefusalReason::Nothing).changes_nothing();
            continue;
        }
        assert_eq!(answer.token().capability, taken, "{max_bytes}");
        assert!(answer.change.put.iter().all(|text| text.len() <= max_bytes));
        // none is granted unremembered
        let repeated = scene.ask(&wishes);
        assert_eq!((&repeated.token().capability, &repeated.refused.full), (&taken, &full));
        repeated.changes_nothing();
    }
}

/// So many patterns, and so short that length is no matter.
fn patterns(prefix: &str, count: usize) -> String {
    (0..count).map(|n| format!("{prefix}{n:03}:*=subscribe")).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_grant_has_room_for_256_patterns_and_for_any_number_of_channels() {
    let stored = Scene::new(Strategy::Store(Store::new(MemoryStore::default())), "*=*");
    for mut scene in [Scene::cramped("*=*", 20_000), stored] {
        scene.ask(&patterns("a", 255)).meets_every_wish();
        let answer = scene.ask("b:*=subscribe c:*=subscribe d=subscribe e=subscribe");
        answer.misses("", "", "c:*=subscribe");
        answer.signs(&format!("{} b:*=subscribe d=subscribe e=subscribe", patterns("a", 255)));
        // what is full stays so, and what is there costs no more patterns
        scene.ask("c:*=subscribe").misses("", "", "c:*=subscribe");
        scene.ask("b:*=publish").meets_every_wish();
        scene.ask(&twenty("channel")).meets_every_wish();
    }
}

#[test]
fn no_more_than_512_patterns_count_and_what_has_none_does() {
    // two full grants from tabs that asked at once, and one more
    let scene = Scene::cookie("");
    let full = [patterns("a", 256), patterns("b", 256)];
    let both: Vec<String> = full.iter().map(|full| scene.sealed("alice", full, T0)).collect();
    let answer = scene.answer(&cap(""), None, &both);
    answer.signs(&full.join(" "));

    let more = scene.sealed("alice", "c:*=subscribe", T0);
    let channel = scene.sealed("alice", "channel=subscribe", T0);
    let answer = scene.answer(&cap(""), None, &[&both[..], &[more.clone(), channel]].concat());
    answer.signs(&format!("{} channel=subscribe", full.join(" ")));
    let kid = || Ok("k1".into());
    assert_eq!(answer.report.grants, [kid(), kid(), Err(Unreadable::Patterns), kid()]);
    assert!(!answer.change.drop.contains(&more));
}

#[test]
fn what_is_denied_is_not_called_full() {
    let mut scene = Scene::cramped("chat:*=subscribe", 100);
    let answer = scene.ask("chat:1=subscribe chat:2=subscribe private:1=subscribe");
    answer.signs("chat:1=subscribe").misses("private:1=subscribe", "", "chat:2=subscribe");
}

/// Twenty channels that fill most of 500 bytes.
fn twenty(prefix: &str) -> String {
    (0..20).map(|n| format!("{prefix}:{}=subscribe", scattered(n))).collect::<Vec<_>>().join(" ")
}

/// Sixteen digits in which there is nothing to compress.
fn scattered(n: u64) -> String {
    format!("{:016x}", (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[test]
fn two_grants_that_do_not_fit_one_cookie_stay_as_they_are_and_count() {
    let (a, b) = (twenty("alpha"), twenty("beta"));
    let both = format!("{a} {b}");
    let mut scene = Scene::cramped("*=*", 500);
    for grant in [&a, &b] {
        let sealed = scene.keeps(grant, T0 - HOUR);
        assert!((250..=500).contains(&sealed.len()), "{}", sealed.len());
    }
    assert!(scene.sealed("alice", &both, T0 - HOUR).len() > 500);
    scene.ask("").asks_nobody().signs(&both).changes_nothing();
    let answer = scene.ask("gamma=subscribe");
    answer.asks("gamma=subscribe").signs(&both).misses("", "", "gamma=subscribe").changes_nothing();

    // a part is given up, and there is room again
    let (change, _) = scene.give_up("beta:*=*", &[]);
    assert!(change.is_empty());
    let (change, _) = scene.give_up(&b, &scene.browser.presents());
    scene.browser.apply(&change);
    scene.holds(&[(&a, T0 - HOUR)]);
    scene.ask("gamma=subscribe").meets_every_wish();
}

#[test]
fn two_stale_grants_that_do_not_fit_one_cookie_are_each_renewed_without_what_is_denied() {
    let (a, b) = (twenty("alpha"), twenty("beta"));
    let mut scene = Scene::cramped("beta:*=*", 500);
    scene.keeps(&format!("{a} lobby=subscribe"), T0 - RECHECK_AFTER - 1);
    scene.keeps(&b, T0 - RECHECK_AFTER - 1);
    scene.permits("alpha:*=* beta:*=*");
    scene.ask("").signs(&format!("{a} {b}"));
    scene.holds(&[(&a, T0), (&b, T0)]);
    // what was denied does not come back when the check is away, and nobody is asked about the rest
    scene.mood(Mood::Down);
    scene.ask("").asks_nobody().signs(&format!("{a} {b}")).changes_nothing();
}

/// A limit that was lowered must not keep what the check has denied.
#[test]
fn a_denial_is_heeded_even_where_what_is_left_has_no_room() {
    let mut scene = Scene::cramped("alpha:*=*", 100);
    scene.keeps(&format!("{} secret=subscribe", twenty("alpha")), T0 - RECHECK_AFTER - 1);
    scene.ask("").signs(&twenty("alpha"));
    scene.holds(&[(&twenty("alpha"), T0)]);
}

/// Two tabs that share a channel must not renew it for each other: it was last asked about when it was sealed.
#[test]
fn what_a_fresh_grant_covers_renews_nothing_in_a_stale_one() {
    let (a, b) = (twenty("alpha"), twenty("beta"));
    let mut scene = Scene::cramped("alpha:*=* beta:*=*", 500);
    scene.keeps(&format!("{a} secret=subscribe"), T0 - RECHECK_AFTER - 1);
    scene.keeps(&format!("{b} secret=subscribe"), T0 - HOUR);
    scene.ask("").asks(&a).signs(&format!("{a} {b} secret=subscribe"));
    scene.holds(&[(&a, T0), (&format!("{b} secret=subscribe"), T0 - HOUR)]);
    scene.at(T0 + RECHECK_AFTER).ask("").signs(&format!("{a} {b}"));
}

/// A longer kid may be what does not fit.
#[test]
fn a_full_grant_that_would_not_fit_under_a_new_kid_stays_as_it_is() {
    let long = K2.replace("k2:", "k234567890123456:");
    let mut scene = Scene::cramped("*=*", 500);
    let sealed = scene.keeps(&twenty("alpha"), T0 - HOUR);
    scene.max_bytes = sealed.len();
    scene.keys = keys(&[&long, K1]);
    scene.rotate(&[&long, K1]);
    scene.ask("").asks_nobody().signs(&twenty("alpha")).changes_nothing();
    scene.max_bytes += "k234567890123456".len() - "k1".len();
    scene.rotate(&[&long, K1]);
    assert_eq!(scene.ask("").asks_nobody().change.put.len(), 1);
}

#[test]
fn what_is_beyond_the_key_does_not_pass_for_covered() {
    let given = rules(&[("a:*", &["*"])]);
    let mut scene =
        Scene::cookie("*=*").with(|issuer| issuer.with_key_capability(cap("*:b=*")).with_given(given));
    scene.keeps("c:*=*", T0 - HOUR);
    scene.ask("a:b=subscribe c:b=subscribe").asks("a:b=subscribe c:b=subscribe").meets_every_wish();
}

#[test]
fn two_full_grants_are_each_sealed_again_when_secrets_rotate() {
    let (a, b) = (twenty("alpha"), twenty("beta"));
    let mut scene = Scene::cramped("*=*", 500);
    scene.rotate(&[K1]);
    scene.keeps(&a, T0 - HOUR);
    scene.keeps(&b, T0 - 2 * HOUR);
    scene.rotate(&[K2, K1]);
    scene.ask("").asks_nobody().signs(&format!("{a} {b}"));
    scene.holds(&[(&a, T0 - HOUR), (&b, T0 - 2 * HOUR)]);
    scene.rotate(&[K2]);
    scene.ask("").asks_nobody().signs(&format!("{a} {b}")).changes_nothing();
}

#[test]
fn while_the_check_is_down_two_full_grants_count_all_the_same() {
    let (a, b) = (twenty("alpha"), twenty("beta"));
    for since in [T0 - HOUR, T0 - RECHECK_AFTER - 1] {
        let mut scene = Scene::cramped("*=*", 500);
        scene.keeps(&a, since);
        scene.keeps(&b, since);
        scene.mood(Mood::Down);
        scene
            .ask("gamma=subscribe")
            .signs(&format!("{a} {b}"))
            .misses("", "gamma=subscribe", "")
            .changes_nothing();
    }
}

#[test]
fn a_stale_pattern_is_checked_again_whatever_it_covers() {
    // the wishes alone would fill the cookie, but need no place in it: the pattern has them all
    let mut scene = Scene::cramped("room:*=*", 100);
    let wishes = twenty("room");
    scene.keeps("room:*=*", T0 - RECHECK_AFTER - 1);
    let answer = scene.ask(&wishes);
    answer.meets_every_wish();
    assert!(alike(&answer.token().capability, &cap("room:*=*")));
    scene.holds(&[("room:*=*", T0)]);
}

#[test]
fn what_a_check_makes_of_a_stale_pattern_is_never_granted_unremembered() {
    let mut scene = Scene::cramped(&twenty("room"), 200);
    scene.mood(Mood::Talkative);
    scene.keeps("room:*=subscribe", T0 - RECHECK_AFTER - 1);
    let answer = scene.ask("");
    answer.asks("room:*=subscribe");
    let granted = answer.token().capability.clone();
    assert!(
        (1..20).contains(&granted.len()) && granted.minus(&cap(&twenty("room"))).is_empty(),
        "{granted:?}"
    );
    let kept: Vec<_> = scene.browser.kept.iter().map(|text| scene.reads(text).unwrap()).collect();
    assert_eq!(kept, [Grant { capability: granted, since: T0 }]);
}

#[test]
fn no_more_than_64_kib_are_signed() {
    // not one character repeats often enough to matter: cookies this large exist in this test only
    let names: Vec<String> = (0..256).map(|n| format!("{n:03}{}=subscribe", "x".repeat(400))).collect();
    let wishes = cap(&names.join(" "));
    assert!(wishes.to_string().len() > 65_536);
    let server = Scene::new(Strategy::Server, &names.join(" "));
    let client = Scene::new(Strategy::Client, "*=*");
    let cookie = Scene::cramped("*=*", 100_000);
    for (name, scene) in [("server", &server), ("client", &client), ("cookie", &cookie)] {
        let answer = scene.answer(&wishes, None, &[]);
        let signed = &answer.token().capability;
        let bytes = signed.to_string().len();
        assert!((65_000..=65_536).contains(&bytes), "{name}: {bytes}");
        assert!(
            wishes.iter().zip(signed.iter()).all(|(wish, signed)| wish == signed),
            "{name}: the first ones"
        );
        if name == "server" {
            // nobody wished for it, so only the log can tell
            assert!(answer.report.cause.as_ref().unwrap().contains("64 KiB"), "{:?}", answer.report);
        } else {
            assert_eq!(answer.refused.full, wishes.minus(signed), "{name}");
            assert!(answer.refused.denied.is_empty(), "{name}");
        }
        assert_eq!(&answer.report.added, signed, "{name}: audited is what was granted");
        let kept: Vec<_> =
            answer.change.put.iter().map(|text| scene.reads(text).unwrap().capability).collect();
        let expected = if name == "cookie" { vec![signed.clone()] } else { vec![] };
        assert_eq!(kept, expected, "{name}");
    }
}

/// Each channel takes 21 bytes, but for the last one, which fills 64 KiB up.
#[test]
fn all_of_64_kib_are_signed_and_of_more_what_has_room() {
    let short = |n: usize| (0..n).map(|n| format!("{n:04}=subscribe")).collect::<Vec<_>>().join(" ");
    let last = |name: &str| format!("{} {name:x<19}=subscribe", short(3_119));
    for (permits, signed) in [(last("z"), last("z")), (short(4_000), short(3_120))] {
        let answer = Scene::new(Strategy::Server, &permits).ask("");
        let text = answer.token().capability.to_string();
        assert_eq!(text, cap(&signed).to_string(), "{} bytes", text.len());
    }
    assert_eq!(cap(&last("z")).to_string().len(), 65_536);
}

/// A hundred channels, some 40 KiB.
fn large(prefix: &str) -> String {
    (0..100).map(|n| format!("{prefix}{n:02}{}=subscribe", "x".repeat(380))).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_given_takes_its_part_of_64_kib_and_what_has_no_room_beside_it_is_not_remembered() {
    let names: Vec<String> = cap(&large("given")).iter().map(|(name, _)| name.to_string()).collect();
    let given = || rules(&names.iter().map(|name| (name.as_str(), &["subscribe"][..])).collect::<Vec<_>>());
    let scene = || Scene::cramped("*=*", 100_000).with(|issuer| issuer.with_given(given()));
    let wishes = cap(&large("wish"));
    let answer = scene().answer(&wishes, None, &[]);
    let signed = &answer.token().capability;
    assert!((65_000..=65_536).contains(&signed.to_string().len()));
    let remembered = signed.minus(&cap(&large("given")));
    assert_eq!(answer.refused.full, wishes.minus(&remembered));
    assert_eq!((&answer.report.added, remembered.len() + 100), (&remembered, signed.len()));
    let kept: Vec<_> = answer.change.put.iter().map(|text| scene().reads(text).unwrap().capability).collect();
    assert_eq!(kept, [remembered]);

    // what is held and given is signed once
    let mut scene = scene();
    scene.keeps(&large("given"), T0);
    scene.ask("wish=subscribe").meets_every_wish();
}

// --- giving up -----------------------------------------------------------------------------------------------

#[test]
fn what_is_given_up_is_gone_and_nothing_else() {
    let (early, late, stale) = (T0 - 2 * HOUR, T0 - HOUR, T0 - RECHECK_AFTER - HOUR);
    let both = "chat:1=subscribe chat:2=subscribe";
    for (held, unwanted, left) in [
        (&[(both, late)][..], "*=*", &[][..]),
        (&[(both, late)], "chat:1=subscribe", &[("chat:2=subscribe", late)]),
        (&[(both, late)], "chat:*=subscribe", &[]),
        (&[(both, late)], "chat:1=*", &[("chat:2=subscribe", late)]),
        (&[(both, late)], "chat:3=* chat:1=publish", &[(both, late)]),
        (&[("chat:1=subscribe,publish", late)], "chat:1=publish", &[("chat:1=subscribe", late)]),
        // a list does not make `*` smaller, and a channel not a pattern
        (&[("chat:1=*", late)], "chat:1=publish", &[("chat:1=*", late)]),
        (&[("chat:*=publish", late)], "chat:1=publish", &[("chat:*=publish", late)]),
        // of several, what is left is folded
        (
            &[("chat:1=subscribe", early), ("chat:2=subscribe", late)],
            "chat:1=*",
            &[("chat:2=subscribe", early)],
        ),
        // also if nothing of them is given up
        (&[("chat:1=subscribe", early), ("chat:2=subscribe", late)], "chat:3=*", &[(both, early)]),
        (
            &[("chat:1=subscribe", early), ("chat:2=subscribe", late), ("chat:1=publish", late)],
            "chat:3=*",
            &[("chat:1=publish,subscribe chat:2=subscribe", early)],
        ),
        (&[(both, early), ("chat:3=*", late)], "*=*", &[]),
        (&[("chat:1=subscribe", stale)], "chat:1=*", &[]),
        (&[(both, stale)], "chat:1=*", &[("chat:2=subscribe", stale)]),
        // what is left of one is there already
        (&[(both, stale), ("chat:2=subscribe", stale)], "chat:1=*", &[("chat:2=subscribe", stale)]),
    ] {
        let mut scene = Scene::cookie("");
        let bobs = scene.sealed("bob", both, T0);
        scene.browser.kept.insert(bobs.clone());
        for (entries, since) in held {
            scene.keeps(entries, *since);
        }
        let presented = scene.browser.presents();
        let (change, report) = scene.give_up(unwanted, &presented);
        scene.inspect(&change, &presented);
        assert_eq!(report.grants.len(), held.len() + 1);
        scene.browser.apply(&change);
        scene.holds(left);
        assert!(scene.browser.kept.contains(&bobs));
        assert!(left != held || change.is_empty(), "{unwanted}");
    }
}

#[test]
fn giving_up_a_part_leaves_the_rest_of_what_is_to_be_checked_again() {
    let lapsed = T0 - 2 * RECHECK_AFTER - HOUR;
    for not_before in [None, Some(T0 - HOUR)] {
        let mut scene = Scene::cookie("chat:*=subscribe");
        scene.client.not_before = not_before;
        scene.keeps("chat:1=subscribe chat:2=subscribe", lapsed);
        let presented = scene.browser.presents();
        let (change, _) = scene.give_up("chat:1=*", &presented);
        scene.inspect(&change, &presented);
        scene.browser.apply(&change);
        scene.ask("").asks("chat:2=subscribe").signs("chat:2=subscribe");
    }
}

#[test]
fn giving_up_makes_nothing_older_that_it_does_not_touch() {
    // folded, a check that is down an hour later would cost the fresh one, too
    let mut scene = Scene::cookie("");
    scene.keeps("chat:1=subscribe", T0);
    scene.keeps("chat:2=subscribe", T0 - 2 * RECHECK_AFTER + MINUTE);
    let presented = scene.browser.presents();
    let (change, _) = scene.give_up("chat:3=*", &presented);
    scene.browser.apply(&change);
    scene.mood(Mood::Down);
    scene.at(T0 + HOUR).ask("").signs("chat:1=subscribe");
}

// --- the other strategies ------------------------------------------------------------------------------------

#[test]
fn under_server_the_check_says_everything_and_nothing_else_counts() {
    let mut scene = Scene::new(Strategy::Server, "chat:1=subscribe chat:*=history");
    assert!(!scene.issuer.heeds_wishes());
    let presented = [scene.sealed("alice", "admin=*", T0)];
    for (wish, presented) in [("", &[][..]), ("admin=* chat:2=publish", &[]), ("", &presented)] {
        let answer = scene.answer(&cap(wish), None, presented);
        assert_eq!(answer.asked.as_ref().map(|question| &question.asked), Some(&Asked::Everything));
        answer.signs("chat:1=subscribe chat:*=history").meets_every_wish().changes_nothing();
    }
    scene.permits("");
    scene.ask("").refuses(RefusalReason::Nothing);
    scene.mood(Mood::Bars);
    scene.ask("").refuses(RefusalReason::Barred);
    scene.mood(Mood::Down);
    scene.ask("").refuses(RefusalReason::Unavailable);

    let mut scene = scene.with(|issuer| {
        let issuer = issuer.with_given(rules(&[("lobby", &["subscribe", "publish"])]));
        issuer.with_key_capability(cap("chat:*=subscribe lobby=subscribe"))
    });
    let answer = scene.ask("");
    answer.signs("lobby=subscribe");
    assert_eq!(answer.token().ttl, 300_000);
    scene.mood(Mood::Exact);
    scene.permits("chat:1=subscribe,publish other=*");
    scene.ask("").signs("chat:1=subscribe lobby=subscribe").changes_nothing();
}

#[test]
fn under_client_all_that_is_wished_for_is_asked_each_time() {
    let mut scene = Scene::new(Strategy::Client, "chat:*=subscribe");
    assert!(scene.issuer.heeds_wishes());
    let presented = [scene.sealed("alice", "admin=*", T0)];
    for wish in ["chat:1=subscribe", "chat:1=subscribe chat:2=subscribe", "chat:2=subscribe"] {
        let answer = scene.answer(&cap(wish), None, &presented);
        answer.asks(wish).signs(wish).meets_every_wish().changes_nothing();
        assert!(answer.asked.unwrap().held.is_empty() && answer.report.grants.is_empty());
    }
    scene.ask("chat:1=subscribe,publish").signs("chat:1=subscribe").misses("chat:1=publish", "", "");
    scene.ask("").asks_nobody().refuses(RefusalReason::Nothing);
    scene.mood(Mood::Down);
    scene.ask("chat:1=subscribe").refuses(RefusalReason::Unavailable).misses("", "chat:1=subscribe", "");

    let mut scene = scene.with(|issuer| issuer.with_given(rules(&[("lobby", &["subscribe"])])));
    let answer = scene.ask("chat:1=subscribe lobby=subscribe");
    answer
        .asks("chat:1=subscribe")
        .signs("lobby=subscribe")
        .misses("", "chat:1=subscribe", "")
        .changes_nothing();
}

// --- the token -----------------------------------------------------------------------------------------------

#[test]
fn a_wish_for_time_is_cut_and_never_lengthened() {
    let (hour, day) = (3_600_000, 86_400_000);
    for (configured, wish, mood, expected) in [
        (hour, None, Mood::Exact, hour),
        (hour, Some("60000"), Mood::Exact, 60_000),
        (hour, Some("3600001"), Mood::Exact, hour),
        (hour, Some("99999999999999999999"), Mood::Exact, hour),
        (day, Some("86400000"), Mood::Exact, day),
        (hour, Some("1"), Mood::Exact, 1_000),
        (hour, Some("999"), Mood::Exact, 1_000),
        (hour, None, Mood::Down, 300_000),
        (hour, Some("3600000"), Mood::Down, 300_000),
        (hour, Some("60000"), Mood::Down, 60_000),
        (60_000, None, Mood::Down, 60_000),
    ] {
        for format in [Format::Request, Format::Jwt] {
            let mut scene = Scene::cookie("*=*")
                .with(|issuer| issuer.with_ttl(Ttl::from_millis(configured)).with_format(format));
            scene.keeps("chat:1=subscribe", T0 - HOUR);
            scene.mood(mood);
            let wished = wish.map(|text| Ttl::parse(text).unwrap());
            let answer = scene.answer(&cap("chat:2=subscribe"), wished, &scene.browser.presents());
            assert_eq!(answer.token().ttl, expected, "{configured} {wish:?}");
        }
    }
}

#[test]
fn the_age_of_a_grant_does_not_shorten_a_token() {
    let mut scene = Scene::cookie("");
    scene.keeps("chat:1=subscribe", T0);
    assert_eq!(scene.at(T0 + RECHECK_AFTER).ask("").token().ttl, 3_600_000);
}

#[test]
fn jitter_shortens_what_no_client_asked_for() {
    let scene = Scene::new(Strategy::Client, "*=*").with(|issuer| issuer.with_jitter(0.1));
    let mut seen = BTreeSet::new();
    for random in 0..=255 {
        let ttl = |wish| scene.answer_at(&moment(T0, random), &cap("a=*"), wish, &[]).token().ttl;
        let without = ttl(None);
        assert!((3_240_000..=3_600_000).contains(&without), "{random}: {without}");
        seen.insert(without);
        assert_eq!(ttl(Some(Ttl::from_millis(600_000))), 600_000);
    }
    let spread = seen.last().unwrap() - seen.first().unwrap();
    assert!(seen.len() == 256 && spread > 350_000, "{} {spread}", seen.len());

    let scene = Scene::new(Strategy::Client, "*=*");
    assert_eq!(scene.answer_at(&moment(T0, 255), &cap("a=*"), None, &[]).token().ttl, 3_600_000);
}

#[test]
fn a_jwt_is_signed_while_it_fits_7_kib() {
    let scene = Scene::new(Strategy::Client, "*=*").with(|issuer| issuer.with_format(Format::Jwt));
    let length = |bytes: usize| {
        let wish = cap(&[1_000, 1_000, 1_000, 1_000, bytes]
            .iter()
            .enumerate()
            .fold(String::new(), |wish, (n, bytes)| format!("{wish} {n}{}=subscribe", "x".repeat(*bytes))));
        let answer = scene.answer(&wish, None, &[]);
        answer.meets_every_wish();
        answer.token().jwt
    };
    let lengths: Vec<Option<usize>> = (600..1_600).map(length).collect();
    let jwts = lengths.iter().take_while(|length| length.is_some()).count();
    assert!(lengths[jwts..].iter().all(Option::is_none), "never again once it is too long");
    // base64 makes four characters of three bytes, twice
    assert!((7_165..=7_168).contains(&lengths[jwts - 1].unwrap()), "{:?}", lengths[jwts - 1]);

    let plain = Scene::new(Strategy::Client, "*=*");
    assert_eq!(plain.answer(&cap("a=*"), None, &[]).token().jwt, None);
}

// --- anything at all -----------------------------------------------------------------------------------------

/// What one of three tabs, the network between, or time may do next.
#[derive(Debug, Clone)]
enum Step {
    /// A request leaves with what the jar holds now; the server answers it at once.
    Asks(String),
    /// One of the answers on their way arrives, whichever it is.
    Arrives(prop::sample::Index),
    Passes(u64),
    CheckIs(Mood),
}

fn some_entries(most: usize) -> impl proptest::strategy::Strategy<Value = String> {
    let entries = vec![
        "a=subscribe",
        "b=publish",
        "b=subscribe",
        "c:1=subscribe",
        "c:2=*",
        "c:*=subscribe",
        "d:*=*",
        "private=history",
    ];
    subsequence(entries, 0..=most).prop_map(|entries| {
        // one resource once: later entries of the same one would replace the earlier
        let all = all(entries.iter().map(|entry| cap(entry)));
        let written = all.iter().map(|(resource, operations)| {
            format!("{resource}={}", operations.names().collect::<Vec<_>>().join(","))
        });
        written.collect::<Vec<_>>().join(" ")
    })
}

fn some_step() -> impl proptest::strategy::Strategy<Value = Step> {
    prop_oneof![
        5 => some_entries(2).prop_map(Step::Asks),
        5 => any::<prop::sample::Index>().prop_map(Step::Arrives),
        2 => (0..12 * HOUR).prop_map(Step::Passes),
        1 => prop_oneof![Just(Mood::Exact), Just(Mood::Down)].prop_map(Step::CheckIs),
    ]
}

proptest! {
    #[test]
    fn tabs_that_ask_at_once_lose_nothing(
        steps in proptest::collection::vec(some_step(), 0..24),
        secrets in proptest::sample::select(vec![vec![K1], vec![K2, K1]]),
    ) {
        let permits = "a=* b=* c:*=* d:*=*";
        let mut scene = Scene::cookie(permits);
        let (mut on_their_way, mut permitted): (Vec<SealedChange>, _) = (Vec::new(), Capability::default());
        let half = steps.len() / 2;
        for (at, step) in steps.into_iter().enumerate() {
            if at == half {
                scene.rotate(&secrets);
            }
            match step {
                // three at a time: more are never looked at than sixteen
                Step::Asks(_) if on_their_way.len() >= 3 => {}
                Step::Asks(wishes) => {
                    let answer = scene.answer(&cap(&wishes), None, &scene.browser.presents());
                    if let Ok(signed) = &answer.outcome {
                        prop_assert!(signed.capability.minus(&cap(permits)).is_empty());
                        permitted = permitted.union(&signed.capability);
                    }
                    on_their_way.push(answer.change);
                }
                Step::Arrives(_) if on_their_way.is_empty() => {}
                Step::Arrives(which) => {
                    let change = on_their_way.remove(which.index(on_their_way.len()));
                    scene.browser.apply(&change);
                }
                Step::Passes(seconds) => scene.now += seconds,
                Step::CheckIs(mood) => scene.mood(mood),
            }
        }
        for change in on_their_way {
            scene.browser.apply(&change);
        }
        scene.mood(Mood::Exact);
        match scene.ask("").outcome {
            Ok(signed) => prop_assert!(alike(&signed.capability, &permitted), "{:?} {permitted:?}", signed.capability),
            Err(reason) => prop_assert!(reason == RefusalReason::Nothing && permitted.is_empty(), "{permitted:?}"),
        }
        prop_assert!(scene.browser.kept.len() <= 1);
        prop_assert_eq!(scene.browser.kept.is_empty(), permitted.is_empty());
        scene.ask("").asks_nobody().changes_nothing();
    }

    #[test]
    fn an_answer_is_what_is_fresh_and_what_the_check_permits_and_down_it_narrows_nothing(
        grants in proptest::collection::vec((some_entries(4), 0..20 * HOUR), 0..5),
        wishes in some_entries(4),
        permits in some_entries(8),
        given in any::<bool>(),
        not_before in proptest::option::of(0..20 * HOUR),
    ) {
        let given_entries = if given { "c:1=subscribe lobby=subscribe" } else { "" };
        let rules = if given { rules(&[("c:1", &["subscribe"]), ("lobby", &["subscribe"])]) } else { Rules::default() };
        let mut scene = Scene::cookie(&permits).with(|issuer| issuer.with_given(rules));
        scene.now = T0 + 30 * HOUR;
        scene.client.not_before = not_before.map(|ago| scene.now - ago);
        let (mut fresh, mut stale, mut lapsed) = (Vec::new(), Vec::new(), Vec::new());
        for (entries, age) in grants.iter().filter(|(entries, _)| !entries.is_empty()) {
            scene.keeps(entries, scene.now - age);
            let revoked = not_before.is_some_and(|ago| *age >= ago);
            let place = match () {
                () if revoked || *age > 2 * RECHECK_AFTER => &mut lapsed,
                () if *age > RECHECK_AFTER => &mut stale,
                () => &mut fresh,
            };
            place.push(cap(entries));
        }
        let (fresh, stale, lapsed) = (all(fresh), all(stale), all(lapsed));
        let before = scene.browser.clone();

        // the check is down: what is fresh and stale, no less and no more
        scene.mood(Mood::Down);
        let expected = fresh.clone().union(&stale).union(&cap(given_entries));
        let answer = scene.ask(&wishes);
        match &answer.outcome {
            Ok(signed) => {
                prop_assert!(alike(&signed.capability, &expected), "{:?} {expected:?}", signed.capability);
                prop_assert!(answer.refused.denied.is_empty() && answer.refused.full.is_empty());
                prop_assert!(alike(&answer.refused.unavailable, &cap(&wishes).minus(&expected)));
            }
            Err(_) => prop_assert!(expected.is_empty(), "{expected:?}"),
        }
        // and it has cost nothing for the next time either, when it is up again or still is not
        let again = scene.ask(&wishes);
        match (&answer.outcome, &again.outcome) {
            (Ok(one), Ok(other)) => prop_assert!(alike(&one.capability, &other.capability)),
            (Err(one), Err(other)) => prop_assert_eq!(one, other),
            (one, other) => prop_assert!(false, "{one:?} {other:?}"),
        }

        // the check answers: what is fresh, and what it permits of the rest
        scene.mood(Mood::Exact);
        let rest = stale.union(&lapsed).union(&cap(&wishes)).permitted_by(&cap(&permits));
        let remembered = fresh.union(&rest);
        let expected = remembered.clone().union(&cap(given_entries));
        for browser in [scene.browser.clone(), before] {
            scene.browser = browser;
            let answer = scene.ask(&wishes);
            match &answer.outcome {
                Ok(signed) => prop_assert!(alike(&signed.capability, &expected), "{:?} {expected:?}", signed.capability),
                Err(reason) => prop_assert!(*reason == RefusalReason::Nothing && expected.is_empty(), "{reason:?}"),
            }
            prop_assert!(alike(&answer.refused.denied, &cap(&wishes).minus(&expected)));
            // what is remembered is what was signed, without what is given
            let kept = all(scene.browser.kept.iter().map(|text| scene.reads(text).unwrap().capability));
            prop_assert!(kept.minus(&remembered).is_empty(), "{kept:?}");
            prop_assert!(remembered.minus(&kept.clone().union(&cap(given_entries))).is_empty(), "{kept:?}");
            prop_assert!(scene.browser.kept.len() <= 1);
        }
    }

    #[test]
    fn what_is_given_up_is_gone_from_every_grant_and_nothing_else_is(
        grants in proptest::collection::vec((some_entries(4), (0..11u64).prop_map(|hours| 2 * hours * HOUR)), 0..6),
        unwanted in some_entries(4),
        max_bytes in proptest::sample::select(vec![120, 2538]),
    ) {
        let mut scene = Scene::cramped("", max_bytes);
        for (entries, age) in grants.iter().filter(|(entries, _)| !entries.is_empty()) {
            scene.keeps(entries, T0 - age);
        }
        let held = |scene: &Scene| {
            let mut held = [(); 3].map(|()| Capability::default());
            for grant in scene.browser.kept.iter().map(|text| scene.reads(text).unwrap()) {
                let age = T0 - grant.since;
                let class = usize::from(age > RECHECK_AFTER) + usize::from(age > 2 * RECHECK_AFTER);
                held[class] = std::mem::take(&mut held[class]).union(&grant.capability);
            }
            held
        };
        let (before, presented) = (held(&scene), scene.browser.presents());
        let (change, _) = scene.give_up(&unwanted, &presented);
        scene.inspect(&change, &presented);
        scene.browser.apply(&change);
        prop_assert_eq!(held(&scene), before.map(|capability| capability.minus(&cap(&unwanted))));
    }
}
