//! What is marked in the store counts for nothing until it is checked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use accrue::ably::ApiKey;
use accrue::{
    AdminAccess, AdminService, AuthService, ClientId, GrantStore, Issuer, MemoryStore, Revocation, Sealing,
    ServiceSettings, Store, StoreChange, StoreError, Stored, Strategy, Whom,
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::service::{
    Check, Clock, Jar, K1, KEY, NOW, Server, Verdict, block_on, by_header, changes, delete, get, keys, rules,
    unsealed,
};

const KEPT: [&str; 2] = ["cookie", "store"];
const HOUR: u64 = 3600;
const CHAT: &str = r#"{"chat:1":["subscribe"]}"#;
const OTHER: &str = r#"{"chat:2":["subscribe"]}"#;

/// A store that can be taken away.
#[derive(Clone, Default)]
struct Detachable {
    kept: MemoryStore,
    away: Arc<AtomicBool>,
    writes: Arc<AtomicUsize>,
}

impl Detachable {
    fn reached(&self) -> Result<&MemoryStore, StoreError> {
        match self.away.load(Ordering::Relaxed) {
            true => Err(StoreError("away".to_owned())),
            false => Ok(&self.kept),
        }
    }
}

impl GrantStore for Detachable {
    async fn read(&self, client: &ClientId) -> Result<Stored, StoreError> {
        GrantStore::read(self.reached()?, client).await
    }

    async fn apply(&self, client: &ClientId, change: StoreChange) -> Result<(), StoreError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        GrantStore::apply(self.reached()?, client, change).await
    }

    async fn revoke(&self, whom: &Whom, not_before: u64) -> Result<u64, StoreError> {
        GrantStore::revoke(self.reached()?, whom, not_before).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.reached().map(|_| ())
    }
}

/// One that serves and is administered, and a clock of its own.
struct Instance {
    server: Server,
    admin: AdminService,
}

/// Instances that share a store and a check; one browser.
struct World {
    strategy: &'static str,
    store: Detachable,
    check: Check,
    given: bool,
    jar: Jar,
}

impl World {
    fn new(strategy: &'static str) -> Self {
        let check = Check::saying(Verdict::Grant);
        Self { strategy, store: Detachable::default(), check, given: false, jar: Jar::default() }
    }

    fn giving(strategy: &'static str) -> Self {
        Self { given: true, ..Self::new(strategy) }
    }

    /// An instance whose clock is so many seconds ahead.
    fn instance(&self, ahead: u64) -> Instance {
        let clock = Clock::default();
        clock.pass(ahead);
        let store = Store::new(self.store.clone());
        let strategy = match self.strategy {
            "cookie" => Strategy::Cookie(Sealing::new(keys(&[K1]))),
            _ => Strategy::Store(store.clone()),
        };
        let mut issuer = Issuer::new(ApiKey::parse(KEY).unwrap(), strategy, self.check.closure())
            .unwrap()
            .with_revocations(store.clone());
        if self.given {
            issuer = issuer.with_given(rules(&[("inbox", &["subscribe"])]));
        }
        let service = AuthService::new(issuer, by_header(), ServiceSettings::default(), clock.moments());
        let revocation = Revocation::new().with_store(store);
        let admin =
            AdminService::new(revocation, AdminAccess::Loopback, None, String::new, clock.moments()).unwrap();
        Instance { server: Server { service, clock }, admin }
    }

    /// `STATUS [what the token permits]`, or the status and code of an error.
    #[track_caller]
    fn ask_as(&mut self, client: &str, instance: &Instance, wishes: &str) -> String {
        let request = get("/auth").by(client).carrying(&self.jar);
        let request = if wishes.is_empty() { request } else { request.wishing(wishes) };
        let before = (self.jar.clone(), self.stored(client), self.store.writes.load(Ordering::Relaxed));
        let answer = instance.server.send(request);
        self.jar.keep(&answer);
        if answer.status == 503 {
            let after = (self.jar.clone(), self.stored(client), self.store.writes.load(Ordering::Relaxed));
            assert_eq!(before, after, "a 503 writes nothing");
            assert!(answer.headers.get("set-cookie").is_none(), "{answer:?}");
        }
        seen(&answer)
    }

    #[track_caller]
    fn ask(&mut self, instance: &Instance, wishes: &str) -> String {
        self.ask_as("alice", instance, wishes)
    }

    fn stored(&self, client: &str) -> Stored {
        block_on(GrantStore::read(&self.store.kept, &ClientId::try_from(client).unwrap())).unwrap()
    }

    /// From when the one grant counts that alice has.
    #[track_caller]
    fn since(&self) -> u64 {
        match self.strategy {
            "cookie" => unsealed("alice", self.jar.only()).grant.since,
            _ => {
                let [text] = &self.stored("alice").texts[..] else { panic!("not one grant") };
                text.split('.').next().unwrap().parse().unwrap()
            }
        }
    }

    fn keeps_nothing(&self) -> bool {
        self.jar.0.is_empty() && self.stored("alice").texts.is_empty()
    }
}

fn seen(answer: &Answer) -> String {
    let (status, code) = answer.status_and_code();
    if status != 200 {
        return format!("{status}/{code}");
    }
    let token = answer.token();
    let short = if token["ttl"] == 300_000 { " for 5 minutes" } else { "" };
    let permitted: Value = serde_json::from_str(token["capability"].as_str().unwrap()).unwrap();
    let names: Vec<&str> = permitted.as_object().unwrap().keys().map(String::as_str).collect();
    format!("200 [{}]{short}", names.join(" "))
}

impl Instance {
    #[track_caller]
    fn revoke(&self, whom: &Value) {
        assert_eq!(self.try_to_revoke(whom), 200, "{whom}");
    }

    fn try_to_revoke(&self, whom: &Value) -> u16 {
        let request = Request::post("/revoke").header("host", "localhost");
        let request = request.header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from(whom.to_string()))).unwrap();
        block_on(self.admin.handle(request)).status().as_u16()
    }

    fn pass(&self, seconds: u64) {
        self.server.clock.pass(seconds);
    }

    fn now(&self) -> u64 {
        self.server.clock.now()
    }
}

#[test]
fn a_grant_from_before_counts_for_nothing_until_it_is_checked_again() {
    for strategy in KEPT {
        for (verdict, answer, kept) in [
            (Verdict::Down, "503/50003", true),
            (Verdict::Deny, "401/40160", false),
            (Verdict::Bar, "403/40300", false),
            (Verdict::Grant, "200 [chat:1]", true),
        ] {
            let told = format!("{strategy} {verdict:?}");
            let mut world = World::new(strategy);
            let one = world.instance(0);
            assert_eq!(world.ask(&one, CHAT), "200 [chat:1]", "{told}");
            one.pass(HOUR);
            assert_eq!(world.ask(&one, ""), "200 [chat:1]", "{told}");
            assert_eq!(world.check.asked(), [CHAT], "{told}");

            one.revoke(&json!({ "clientId": "alice" }));
            world.check.now_says(verdict);
            assert_eq!(world.ask(&one, ""), answer, "{told}");
            assert_eq!(world.check.asked(), [CHAT], "{told}");
            assert_eq!(world.keeps_nothing(), !kept, "{told}");

            // it was an answer for good only if there was one
            world.check.now_says(Verdict::Grant);
            let again = if kept { "200 [chat:1]" } else { "401/40160" };
            assert_eq!(world.ask(&one, ""), again, "{told}");
            let asked = world.check.asked().len();
            assert_eq!(asked, usize::from(matches!(verdict, Verdict::Down)), "{told}");
        }
    }
}

#[test]
fn what_was_checked_again_or_sealed_right_after_the_mark_counts_without_another_check() {
    // just before, at, and just after a full 5 minutes, to which ages are rounded down
    for strategy in KEPT {
        for start in [0, 199, 200, 201] {
            for after in [0, 1, 2, 299] {
                let told = format!("{strategy}, {start} s later, {after} s after the mark");
                let mut world = World::new(strategy);
                let one = world.instance(start);
                world.ask(&one, CHAT);
                one.revoke(&json!({ "clientId": "alice" }));
                let mark = one.now();
                one.pass(after);
                assert_eq!(world.ask(&one, ""), "200 [chat:1]", "{told}");
                assert_eq!(world.check.asked(), [CHAT, CHAT], "{told}: also if it was sealed in this second");
                assert!(world.since() > mark, "{told}");

                world.check.now_says(Verdict::Down);
                for pass in [0, 1, 60, 2 * HOUR] {
                    one.pass(pass);
                    assert_eq!(world.ask(&one, CHAT), "200 [chat:1]", "{told}, and {pass} s");
                    assert!(world.check.asked().is_empty(), "{told}, and {pass} s");
                }
                // that it was revoked once makes it no younger
                one.pass(7 * HOUR);
                assert_eq!(world.ask(&one, ""), "200 [chat:1] for 5 minutes", "{told}");
            }
        }
    }
}

#[test]
fn a_first_grant_right_after_the_mark_counts() {
    for strategy in KEPT {
        let mut world = World::new(strategy);
        let one = world.instance(0);
        one.revoke(&json!({ "clientId": "alice" }));
        assert_eq!(world.ask(&one, CHAT), "200 [chat:1]");
        assert_eq!(world.since(), one.now() + 6);
        // the mark as it was is not put off by another of the same second
        world.check.asked();
        assert_eq!(world.ask(&one, OTHER), "200 [chat:1 chat:2]");
        assert_eq!(world.check.asked(), [OTHER]);
        one.pass(1);
        one.revoke(&json!({ "clientId": "alice" }));
        world.check.now_says(Verdict::Deny);
        assert_eq!(world.ask(&one, ""), "401/40160");
    }
}

#[test]
fn others_are_not_touched_but_by_what_is_for_everybody() {
    for strategy in KEPT {
        for (whom, alice, bob) in [
            (json!({ "clientId": "alice" }), "401/40160", "200 [chat:1]"),
            (json!({ "clientId": "bob" }), "200 [chat:1]", "401/40160"),
            (json!({ "clientId": "Alice" }), "200 [chat:1]", "200 [chat:1]"),
            (json!({ "clientId": "ali" }), "200 [chat:1]", "200 [chat:1]"),
            (json!({ "everybody": true }), "401/40160", "401/40160"),
        ] {
            // both on one machine, so that each sees the other's cookies
            let mut world = World::new(strategy);
            let one = world.instance(0);
            for client in ["alice", "bob"] {
                assert_eq!(world.ask_as(client, &one, CHAT), "200 [chat:1]");
            }
            one.pass(1);
            one.revoke(&whom);
            world.check.now_says(Verdict::Deny);
            for (client, expected) in [("alice", alice), ("bob", bob)] {
                assert_eq!(world.ask_as(client, &one, ""), expected, "{strategy}, {whom}, {client}");
            }
        }
    }
}

#[test]
fn of_two_marks_the_later_counts_whichever_it_is() {
    let (one, all) = (json!({ "clientId": "alice" }), json!({ "everybody": true }));
    for strategy in KEPT {
        for (first, second) in [(&one, &all), (&all, &one), (&one, &one), (&all, &all)] {
            let mut world = World::new(strategy);
            let instance = world.instance(0);
            instance.revoke(first);
            instance.pass(10);
            world.ask(&instance, CHAT);
            instance.pass(300);
            instance.revoke(second);
            world.check.now_says(Verdict::Deny);
            assert_eq!(world.ask(&instance, ""), "401/40160", "{strategy}: {first}, {second}");
        }
    }
}

#[test]
fn what_is_permitted_between_two_revocations_is_revoked_by_the_second() {
    for strategy in KEPT {
        let (one, all) = (json!({ "clientId": "alice" }), json!({ "everybody": true }));
        for (first, second) in [(&one, &one), (&one, &all), (&all, &one), (&all, &all)] {
            // within one second, and by a clock that is behind
            for (first_ahead, second_ahead) in [(0, 0), (5, 0), (0, 5)] {
                let mut world = World::new(strategy);
                let instances = [world.instance(0), world.instance(5)];
                instances[first_ahead / 5].revoke(first);
                assert_eq!(world.ask(&instances[first_ahead / 5], CHAT), "200 [chat:1]");
                instances[second_ahead / 5].revoke(second);
                world.check.now_says(Verdict::Deny);
                for one in &instances {
                    assert_eq!(world.ask(one, ""), "401/40160", "{strategy}: {first_ahead}, {second_ahead}");
                }
            }
        }
    }
}

#[test]
fn a_clock_that_is_behind_revokes_what_was_sealed_at_a_full_five_minutes_by_one_ahead() {
    for strategy in KEPT {
        let mut world = World::new(strategy);
        let (behind, ahead) = (world.instance(195), world.instance(200));
        assert_eq!(ahead.now() % 300, 0);
        assert_eq!(world.ask(&ahead, CHAT), "200 [chat:1]");
        behind.revoke(&json!({ "clientId": "alice" }));
        world.check.now_says(Verdict::Deny);
        assert_eq!(world.ask(&ahead, ""), "401/40160", "{strategy}");
    }
}

#[test]
fn clocks_that_differ_by_seconds_do_no_harm() {
    for strategy in KEPT {
        // sealed by one, revoked by the other, and asked of both
        for (sealed_ahead, revoked_ahead) in [(0, 5), (5, 0)] {
            let told = format!("{strategy}: {sealed_ahead}, {revoked_ahead}");
            let mut world = World::new(strategy);
            let (behind, ahead) = (world.instance(0), world.instance(5));
            let instance = |seconds| if seconds == 0 { &behind } else { &ahead };
            world.ask(instance(sealed_ahead), CHAT);
            instance(revoked_ahead).revoke(&json!({ "clientId": "alice" }));

            world.check.now_says(Verdict::Down);
            for one in [&behind, &ahead] {
                assert_eq!(world.ask(one, ""), "503/50003", "{told}");
            }
            world.check.now_says(Verdict::Grant);
            world.check.asked();
            for one in [&behind, &ahead, &behind, &ahead] {
                assert_eq!(world.ask(one, ""), "200 [chat:1]", "{told}");
                one.pass(1);
            }
            assert_eq!(world.check.asked(), [CHAT], "{told}: once for both");
            assert!(world.since() <= behind.now() + 60, "{told}: both take it for one of today");
        }
    }
}

#[test]
fn what_is_given_is_left_while_the_check_is_down_and_nothing_is_written() {
    for strategy in KEPT {
        let mut world = World::giving(strategy);
        let one = world.instance(0);
        assert_eq!(world.ask(&one, CHAT), "200 [chat:1 inbox]");
        one.pass(1);
        one.revoke(&json!({ "everybody": true }));
        world.check.now_says(Verdict::Down);
        let (jar, stored) = (world.jar.clone(), world.stored("alice"));
        assert_eq!(world.ask(&one, ""), "200 [inbox] for 5 minutes", "{strategy}");
        assert_eq!(world.ask(&one, CHAT), "200 [inbox] for 5 minutes", "{strategy}");
        assert_eq!((world.jar.clone(), world.stored("alice")), (jar, stored), "{strategy}");
        world.check.now_says(Verdict::Grant);
        assert_eq!(world.ask(&one, ""), "200 [chat:1 inbox]", "{strategy}");
    }
}

#[test]
fn a_store_that_cant_be_read_makes_sealed_grants_be_checked_again() {
    for (verdict, given, while_away, afterwards) in [
        (Verdict::Grant, false, "200 [chat:1]", "200 [chat:1]"),
        (Verdict::Deny, false, "401/40160", "401/40160"),
        (Verdict::Bar, false, "403/40300", "401/40160"),
        (Verdict::Down, false, "503/50003", "200 [chat:1]"),
        (Verdict::Grant, true, "200 [chat:1 inbox]", "200 [chat:1 inbox]"),
        (Verdict::Deny, true, "200 [inbox]", "200 [inbox]"),
        // what is held may count or not, so it is not known what to answer
        (Verdict::Down, true, "503/50003", "200 [chat:1 inbox]"),
    ] {
        let told = format!("{verdict:?}, given {given}");
        let mut world = World { given, ..World::new("cookie") };
        let one = world.instance(0);
        world.ask(&one, CHAT);
        world.check.asked();
        one.pass(HOUR);
        world.store.away.store(true, Ordering::Relaxed);
        world.check.now_says(verdict);
        assert_eq!(world.ask(&one, ""), while_away, "{told}");
        assert_eq!(world.check.asked(), [CHAT], "{told}");
        let denied = matches!(verdict, Verdict::Deny | Verdict::Bar);
        assert_eq!(world.jar.0.is_empty(), denied, "{told}: {:?}", world.jar);

        // until it is back
        world.store.away.store(false, Ordering::Relaxed);
        world.check.now_says(Verdict::Down);
        assert_eq!(world.ask(&one, ""), afterwards, "{told}");
        assert!(world.check.asked().is_empty(), "{told}");
    }
}

#[test]
fn a_store_that_cant_be_read_does_no_harm_to_those_who_hold_nothing() {
    let mut world = World::giving("cookie");
    let one = world.instance(0);
    world.store.away.store(true, Ordering::Relaxed);
    assert_eq!(world.ask(&one, ""), "200 [inbox]");
    assert_eq!(world.ask(&one, CHAT), "200 [chat:1 inbox]");
    // others' cookies are not theirs
    world.check.now_says(Verdict::Down);
    assert_eq!(world.ask_as("bob", &one, ""), "200 [inbox]");
    assert_eq!(world.ask_as("bob", &one, CHAT), "200 [inbox] for 5 minutes");
}

#[test]
fn what_is_sealed_while_the_store_is_away_does_not_outlive_a_mark() {
    let mut world = World::new("cookie");
    let one = world.instance(0);
    world.ask(&one, CHAT);
    one.revoke(&json!({ "clientId": "alice" }));
    world.store.away.store(true, Ordering::Relaxed);
    assert_eq!(world.ask(&one, ""), "200 [chat:1]");
    one.pass(HOUR);
    world.store.away.store(false, Ordering::Relaxed);
    one.revoke(&json!({ "clientId": "alice" }));
    world.check.now_says(Verdict::Deny);
    assert_eq!(world.ask(&one, ""), "401/40160");
}

#[test]
fn a_store_that_is_away_is_always_503_where_grants_are_kept_there() {
    for verdict in [Verdict::Grant, Verdict::Deny, Verdict::Bar, Verdict::Down] {
        for given in [false, true] {
            let mut world = World { given, ..World::new("store") };
            let one = world.instance(0);
            world.ask(&one, CHAT);
            world.check.asked();
            world.store.away.store(true, Ordering::Relaxed);
            world.check.now_says(verdict);
            for wishes in ["", CHAT, OTHER] {
                assert_eq!(world.ask(&one, wishes), "503/50003", "{verdict:?} {wishes}");
                assert_eq!(world.ask_as("bob", &one, wishes), "503/50003", "{verdict:?} {wishes}");
            }
            for request in [delete("/auth"), delete("/auth").wishing(CHAT)] {
                let answer = one.server.send(request.by("alice"));
                assert_eq!(seen(&answer), "503/50003", "{verdict:?}");
            }
            assert!(world.check.asked().is_empty(), "nobody is asked in vain");

            world.store.away.store(false, Ordering::Relaxed);
            let back = if given { "200 [chat:1 inbox]" } else { "200 [chat:1]" };
            assert_eq!(world.ask(&one, ""), back, "{verdict:?}: nothing was written");
        }
    }
}

#[test]
fn a_mark_that_can_t_be_set_is_told_and_readiness_says_why() {
    for strategy in KEPT {
        let mut world = World::new(strategy);
        let one = world.instance(0);
        world.ask(&one, CHAT);
        assert_eq!(one.server.send(get("/readyz")).status, 200);
        world.store.away.store(true, Ordering::Relaxed);
        let (answer, outcome) = one.server.send_and_tell(get("/readyz"));
        assert_eq!((seen(&answer), outcome.cause.as_deref()), ("503/50003".to_owned(), Some("store: away")));
        assert_eq!(one.server.send(get("/healthz")).status, 200);

        assert_eq!(one.try_to_revoke(&json!({ "clientId": "alice" })), 502, "{strategy}");
        world.store.away.store(false, Ordering::Relaxed);
        assert_eq!(world.stored("alice").not_before, None, "{strategy}");
    }
}

#[test]
fn giving_up_needs_no_mark_to_be_known() {
    let mut world = World::new("cookie");
    let one = world.instance(0);
    world.ask(&one, r#"{"chat:1":["subscribe"],"chat:2":["subscribe"]}"#);
    world.store.away.store(true, Ordering::Relaxed);
    let answer = one.server.send(delete("/auth").by("alice").carrying(&world.jar).wishing(CHAT));
    assert_eq!((answer.status.as_u16(), changes(&answer).len()), (204, 2), "{answer:?}");
    world.jar.keep(&answer);
    world.store.away.store(false, Ordering::Relaxed);
    assert_eq!(world.ask(&one, ""), "200 [chat:2]");
    assert_eq!(world.since(), NOW - NOW % 300, "it grew no younger");
}
