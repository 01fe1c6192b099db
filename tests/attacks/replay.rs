//! Grants that come back after they should be gone: how long each counts, whatever that is.

use accrue::{ClientId, MemoryStore, Store, Whom};

use crate::forge::{NO_CHATS, SINCE, counts, denying};
use crate::service::*;

const ONE: &str = r#"{"chat:1":["subscribe"]}"#;
const RECHECK_AFTER: u64 = 8 * 3600;

/// The server keeps nothing, so it can't know what was given up. Whoever kept a copy has what they were permitted, and
/// only they, until it is checked again: what the contract promises for every withdrawn permission.
#[test]
fn a_grant_that_was_given_up_is_good_for_its_owner_until_it_is_checked_again() {
    let check = Check::saying(Verdict::Grant);
    let server = Server::checked_by(&check);
    let mut jar = Jar::default();
    jar.keep(&server.send(get("/auth").by("alice").wishing(ONE)));
    let copy = jar.only().to_owned();
    jar.keep(&server.send(delete("/auth").by("alice").carrying(&jar)));
    assert_eq!(jar, Jar::default());

    check.now_says(Verdict::Deny);
    assert!(counts(&server, "alice", &copy) && !counts(&server, "bob", &copy));
    server.clock.pass(RECHECK_AFTER - 100);
    assert!(counts(&server, "alice", &copy));
    check.asked();
    server.clock.pass(1);
    assert!(!counts(&server, "alice", &copy), "checked again, and denied");
    assert_eq!(check.asked(), [ONE, ONE]);
    // a check that does not answer makes it last twice as long, and no longer
    check.now_says(Verdict::Down);
    assert!(counts(&server, "alice", &copy));
    server.clock.pass(RECHECK_AFTER);
    let answer = server.send(get("/auth").by("alice").header("accrue-grant", &copy));
    assert_eq!(answer.status_and_code(), (503, 50003));
}

/// A part that was given up comes back with the copy of the whole, but never gets younger by folding.
#[test]
fn an_old_copy_folded_with_a_new_grant_gets_no_longer_life() {
    let check = Check::saying(Verdict::Grant);
    let server = Server::checked_by(&check);
    let old = sealed("alice", ONE, NOW - RECHECK_AFTER + 200);
    let new = sealed("alice", r#"{"chat:2":["subscribe"]}"#, SINCE);
    let mut jar = Jar::holding(&[&old, &new]);
    jar.keep(&server.send(get("/auth").by("alice").carrying(&jar)));
    let folded = unsealed("alice", jar.only()).grant;
    assert_eq!(folded.since, NOW - RECHECK_AFTER + 200, "as old as its oldest part");
    assert_eq!(check.asked(), [""; 0]);
}

#[test]
fn in_a_store_what_was_given_up_is_gone_and_no_copy_brings_it_back() {
    let stored = "[store]\nurl = \"memory:\"\n[authenticate.header]\nproxy_secret = \"known to the proxy only\"\n\
                  [permission.rules]\n\"chat:*\" = [\"subscribe\"]\n";
    let server = Server::configured(stored, &[("ACCRUE_STRATEGY", "store")]);
    assert_eq!(server.send(get("/auth").by("alice").wishing(ONE)).token()["capability"], ONE);
    assert_eq!(server.send(get("/auth").by("alice")).token()["capability"], ONE);
    // nobody else gives it up, and nobody without a session
    assert_eq!(server.send(delete("/auth")).status_and_code(), (401, 40100));
    assert_eq!(server.send(delete("/auth").by("bob")).status, 204);
    assert_eq!(server.send(get("/auth").by("alice")).token()["capability"], ONE);
    assert_eq!(server.send(delete("/auth").by("alice")).status, 204);
    assert_eq!(server.send(get("/auth").by("alice")).status_and_code(), (401, 40160));
    // what was sealed under another strategy counts for nothing here
    assert!(!counts(&server, "alice", &sealed("alice", ONE, SINCE)));
}

#[test]
fn a_revoked_grant_counts_for_nothing_until_the_check_permits_it_again() {
    let (check, store) = (Check::saying(Verdict::Deny), Store::new(MemoryStore::default()));
    let server = Server::made(check.closure(), by_header(), |issuer| issuer.with_revocations(store.clone()));
    let (of_alice, of_bob) = (sealed("alice", ONE, SINCE), sealed("bob", ONE, SINCE));
    assert!(counts(&server, "alice", &of_alice) && counts(&server, "bob", &of_bob));

    let alice = Whom::Client(ClientId::try_from("alice").unwrap());
    block_on(store.revoke(&alice, NOW)).unwrap();
    assert!(!counts(&server, "alice", &of_alice) && counts(&server, "bob", &of_bob));
    // nor does it while the check is down: revoked is not stale
    check.now_says(Verdict::Down);
    let answer = server.send(get("/auth").by("alice").header("accrue-grant", &of_alice));
    assert_eq!(answer.status_and_code(), (503, 50003));
    // nor is a new grant revoked with the old one, and it does not bring that back
    check.now_says(Verdict::Grant);
    let mut jar = Jar::default();
    jar.keep(&server.send(get("/auth").by("alice").wishing(r#"{"chat:2":["subscribe"]}"#)));
    let new = jar.only().to_owned();
    check.now_says(Verdict::Deny);
    let both = get("/auth").by("alice").carrying(&Jar::holding(&[&of_alice, &new]));
    assert_eq!(server.send(both).token()["capability"], r#"{"chat:2":["subscribe"]}"#);

    block_on(store.revoke(&Whom::Everybody, NOW + 120)).unwrap();
    assert!(!counts(&server, "bob", &of_bob) && !counts(&server, "alice", &new));
}

/// The bar is noticed by the check, which is not asked about a fresh grant. So: bar and revoke.
#[test]
fn a_barred_client_keeps_what_it_copied_until_it_is_checked_again_or_revoked() {
    let (check, store) = (Check::saying(Verdict::Bar), Store::new(MemoryStore::default()));
    let server = Server::made(check.closure(), by_header(), |issuer| issuer.with_revocations(store.clone()));
    let copy = sealed("alice", ONE, SINCE);
    let wishing = || get("/auth").by("alice").header("accrue-grant", &copy).wishing(r#"{"chat:2":["*"]}"#);
    assert_eq!(server.send(wishing()).status_and_code(), (403, 40300));
    assert!(counts(&server, "alice", &copy), "as long as it asks for nothing new");
    block_on(store.revoke(&Whom::Client(ClientId::try_from("alice").unwrap()), NOW)).unwrap();
    let without_wishes = get("/auth").by("alice").header("accrue-grant", &copy);
    assert_eq!(server.send(without_wishes).status_and_code(), (403, 40300));
}

#[test]
fn a_grant_of_a_secret_that_was_removed_counts_for_nothing() {
    let with = |secrets: &str| Server::configured(NO_CHATS, &[("ACCRUE_SECRETS", secrets)]);
    let old = sealed("alice", ONE, SINCE);
    assert!(counts(&with(K1), "alice", &old));
    assert!(counts(&with(&format!("{K2},{K1}")), "alice", &old), "while it is being rotated out");
    assert!(!counts(&with(K2), "alice", &old), "removed");
    // its name alone does not bring it back
    let renamed = K2.replace("k2:", "k1:");
    assert!(!counts(&with(&renamed), "alice", &old));
}

/// Two accounts on two devices with one cookie between them, stolen: it takes the session it belongs to.
#[test]
fn a_stolen_cookie_is_worth_nothing_without_its_session() {
    let server = denying();
    let stolen = sealed("alice", ONE, SINCE);
    let nobody = get("/auth").carrying(&Jar::holding(&[&stolen]));
    assert_eq!(server.send(nobody).status_and_code(), (401, 40100));
    let named = get("/auth").by("mallory").with("clientId", "alice").carrying(&Jar::holding(&[&stolen]));
    assert_eq!(server.send(named).status_and_code(), (401, 40102));
    assert!(!counts(&server, "mallory", &stolen));
}
