//! The machine's clock jumps. What a wrong clock means for each part is in tests/contract and tests/revocation; here it
//! jumps under a process that runs.

use std::fs;

use crate::client::{ANYBODY, CHATS, Service, cookie, get};
use crate::http::{Answer, chats};
use crate::process::request;

/// A service with a clock of its own, which stands as far from the right one as the file says.
struct Skewed(Service);

impl Skewed {
    #[track_caller]
    fn start(config: &str) -> Self {
        let found = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
            .map(|machine| format!("/usr/lib/{machine}/faketime/libfaketimeMT.so.1"));
        let library = found.iter().find(|path| fs::exists(path).unwrap_or_default());
        let library = library.expect("faketime is installed");
        // durations are measured by the clock that never jumps
        let service = Service::after(
            &format!(
                "echo +0 > HERE/clock\n\
                 export LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE=HERE/clock FAKETIME_NO_CACHE=1\n\
                 export FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_RESET=1"
            ),
            config,
        );
        Self(service)
    }

    /// Seconds from the right time on.
    fn jump(&self, seconds: i64) {
        let path = self.0.directory.path();
        fs::write(path.join("next"), format!("{seconds:+}\n")).expect("there is room");
        fs::rename(path.join("next"), path.join("clock")).expect("it is there");
    }
}

/// When the server thinks it is, in Unix seconds.
#[track_caller]
fn now(answer: &Answer) -> u64 {
    answer.json()["timestamp"].as_u64().expect("a token request") / 1000
}

/// How old a grant says it is.
#[track_caller]
fn since(cookie: &str) -> u64 {
    let mut parts = cookie.split_once('=').expect("NAME=VALUE").1.split('.');
    parts.nth(2).expect("1j.KID.SINCE").parse().expect("Unix seconds")
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

#[test]
#[ignore = "needs faketime"]
fn a_clock_that_jumps_costs_at_most_another_check() {
    let skewed = Skewed::start(&format!("{ANYBODY}{CHATS}"));
    let service = &skewed.0;
    let first = service.ask("alice", &[1], "");
    let held = cookie(&first);
    assert!(since(&held) <= now(&first) && now(&first) - since(&held) < 600);

    // back: from the future, so it counts for nothing, and stays where it is
    skewed.jump(-2 * HOUR);
    let nothing = service.ask("alice", &[], &held);
    nothing.assert_error(401, 40160);
    assert!(nothing.all("set-cookie").is_empty(), "{nothing:?}");
    let again = service.ask("alice", &[2], &held);
    let earlier = cookie(&again);
    assert_eq!(chats(&again), [2]);
    assert!(since(&earlier) <= now(&again), "nothing is sealed with a time that has not come");
    assert!(now(&first) - now(&again) > 7000, "the clock is the one that was set");

    // right again: both count, folded into one as old as the older
    skewed.jump(0);
    let both = service.ask("alice", &[], &format!("{held}; {earlier}"));
    assert_eq!(chats(&both), [1, 2]);
    assert_eq!(since(&cookie(&both)), since(&earlier));

    // ahead by more than recheck_after: checked again
    skewed.jump(9 * HOUR);
    let stale = service.ask("alice", &[], &held);
    assert_eq!(chats(&stale), [1]);
    let ahead = cookie(&stale);
    assert!(since(&ahead) <= now(&stale) && since(&ahead) > since(&held) + 8 * 3600);

    // and what was sealed then counts for nothing until that time comes
    skewed.jump(0);
    service.ask("alice", &[], &ahead).assert_error(401, 40160);
    skewed.jump(9 * HOUR);
    assert_eq!(chats(&service.ask("alice", &[], &ahead)), [1]);
}

#[test]
#[ignore = "needs faketime"]
fn a_clock_that_is_far_away_ends_nothing_but_tokens() {
    let skewed = Skewed::start(&format!("[token]\nformat = \"jwt\"\n{ANYBODY}{CHATS}"));
    let service = &skewed.0;
    let held = cookie(&service.ask("alice", &[1], ""));
    let mut kept = service.connect();
    for days in [-365, 365, -20_000, 36_500, 0] {
        skewed.jump(days * DAY);
        let answer = service.ask("alice", &[1], &held);
        if answer.status == 200 {
            let token = answer.json();
            let lives =
                token["expires"].as_u64().expect("it ends") - token["issued"].as_u64().expect("it begins");
            assert!((1..=3_600_000).contains(&lives), "{days} days: {token}");
        }
        // a connection is as old as it is, whatever the clock says
        kept.send(&get("/healthz", ""));
        assert_eq!(kept.answer().status, 200, "{days} days");
    }
    assert_eq!(chats(&service.ask("alice", &[], &held)), [1]);
    assert!(!service.server.process.stderr().contains("panicked"));
}

#[test]
#[ignore = "needs faketime"]
fn a_mark_of_a_clock_that_was_ahead_is_heeded_and_harms_nobody_else() {
    let skewed = Skewed::start(&format!(
        "admin = \"127.0.0.1:0\"\n{ANYBODY}{CHATS}[store]\nurl = \"redb:HERE/accrue.redb\"\n"
    ));
    let service = &skewed.0;
    let line = service.server.process.line();
    let admin = line.strip_prefix("admin on http://").expect("it says where").parse().expect("an address");
    let (alices, bobs) = (cookie(&service.ask("alice", &[1], "")), cookie(&service.ask("bob", &[1], "")));
    let revoke = || {
        let json = [("Content-Type", "application/json")];
        let answer = request(admin, "POST /revoke", &json, r#"{"clientId":"alice"}"#);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["mark"]["notBefore"].as_u64().expect("a mark")
    };
    skewed.jump(2 * HOUR);
    let ahead = revoke();
    skewed.jump(0);
    assert!(revoke() > ahead, "a later revocation is later than the one before, whatever the clock says");
    // she is checked again each time until that moment has passed, and gets what is permitted
    for _ in 0..2 {
        assert_eq!(chats(&service.ask("alice", &[], &alices)), [1]);
    }
    let renewed = cookie(&service.ask("alice", &[], &alices));
    assert_eq!(chats(&service.ask("alice", &[1], &renewed)), [1]);
    let bob = service.ask("bob", &[], &bobs);
    assert_eq!((chats(&bob), bob.all("set-cookie").len()), (vec![1], 0));
    skewed.jump(3 * HOUR);
    assert_eq!(chats(&service.ask("alice", &[1], &renewed)), [1]);
}

#[test]
#[ignore = "needs faketime"]
fn a_store_whose_clock_was_ahead_by_days_has_let_go_of_what_would_have_expired() {
    let skewed = Skewed::start(&format!(
        "strategy = \"store\"\n{ANYBODY}{CHATS}[store]\nurl = \"redb:HERE/accrue.redb\"\n"
    ));
    let service = &skewed.0;
    for client in ["alice", "bob"] {
        assert_eq!(chats(&service.ask(client, &[1], "")), [1]);
    }
    // a day back nothing is lost
    skewed.jump(-DAY);
    service.ask("carol", &[1], "");
    skewed.jump(0);
    assert_eq!(chats(&service.ask("alice", &[], "")), [1]);
    // a month ahead it is, as soon as somebody changes something
    skewed.jump(30 * DAY);
    service.ask("carol", &[2], "");
    skewed.jump(0);
    service.ask("alice", &[], "").assert_error(401, 40160);
    assert_eq!(chats(&service.ask("alice", &[1], "")), [1]);
}
