//! No room on the disk, and no files left to open. (Files that may not grow are in tests/served_store.rs.)

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{ANYBODY, CHATS, Connection, Service, assert_unavailable, cookie, get, target, until};
use crate::http::chats;
use crate::redis::Redis;
use crate::skipped::skipped;
use crate::stand_in::{Reply, StandIn};

/// A small disk of its own, which goes with the process; what was kept of an earlier one is put there first.
const SMALL_DISK: &str = r#"mkdir -p HERE/disk; touch HERE/kept
exec unshare --user --map-root-user --mount sh -c \
  'mount -t tmpfs -o size=8m tmpfs HERE/disk && { test ! -s HERE/kept || cp HERE/kept HERE/disk/accrue.redb; } && exec "$0" "$@"' \
  "$0" serve --config "$1""#;

#[test]
fn a_disk_that_is_full_is_503_until_there_is_room_and_nothing_answered_is_lost() {
    let namespaces = ["--user", "--map-root-user", "--mount", "true"];
    if !Command::new("unshare").args(namespaces).status().is_ok_and(|status| status.success()) {
        // as on some distributions, unless it is root
        return skipped("this user may not mount a disk");
    }
    let config =
        format!("strategy = \"store\"\n{ANYBODY}{CHATS}[store]\nurl = \"redb:HERE/disk/accrue.redb\"\n");
    let mut service = Service::after(SMALL_DISK, &config);
    let here = service.directory.path().to_owned();
    let on_disk = |service: &Service, name: &str| {
        PathBuf::from(format!("/proc/{}/root{}/disk/{name}", service.server.process.id(), here.display()))
    };

    let ballast = on_disk(&service, "ballast");
    fs::write(&ballast, vec![1; 16 << 20]).expect_err("it is small");
    let all: Vec<usize> = (0..150).collect();
    let mut answered = 0;
    let refused = loop {
        let answer = service.ask(&format!("client-{answered}"), &all, "");
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
        assert!(answered < 2000, "the disk is never full");
    };
    assert_unavailable(&refused);
    assert_unavailable(&service.ask("late", &all, ""));
    service.server.process.stderr_with("No space left on device");
    service.assert_alive();

    fs::remove_file(&ballast).expect("it is there");
    assert_eq!(chats(&service.ask("late", &all, "")), all);
    service.ask(&format!("client-{answered}"), &[], "").assert_error(401, 40160);
    for n in 0..answered {
        assert_eq!(chats(&service.ask(&format!("client-{n}"), &[], "")), all);
    }

    fs::copy(on_disk(&service, "accrue.redb"), here.join("kept")).expect("there is room here");
    service.server.process.signal("KILL");
    service.restart();
    for client in (0..answered).map(|n| format!("client-{n}")).chain(["late".to_owned()]) {
        assert_eq!(chats(&service.ask(&client, &[], "")), all);
    }
}

/// A service that may open 32 files, and somebody who is there already.
fn crowded(config: &str) -> (Service, Connection) {
    let limits = "[limits]\nheader_timeout = \"60s\"\n";
    let service = Service::after("ulimit -n 32", &format!("{config}{limits}"));
    let early = service.connect();
    (service, early)
}

#[track_caller]
fn take_all_files(service: &Service) -> Vec<Connection> {
    let crowd: Vec<_> = (0..40).map(|_| service.connect()).collect();
    service.server.process.stderr_with("can't accept connections: Too many open files");
    crowd
}

/// One after the other, as files become free.
#[track_caller]
fn everybody_is_served(crowd: Vec<Connection>) {
    for mut connection in crowd {
        connection.send(&get("/healthz", ""));
        assert_eq!(connection.answer().status, 200);
    }
}

#[test]
fn without_files_to_open_who_is_there_is_served_and_all_others_when_there_are_some() {
    let backend = StandIn::start(|call| {
        let question: Value = serde_json::from_str(&call.body).expect("JSON");
        Reply::Says(200, json!({ "granted": question["asked"] }).to_string())
    });
    let config = format!("{ANYBODY}[permission.webhook]\nurl = \"{}\"\n", backend.url());
    let (service, mut early) = crowded(&config);
    early.send(&get(&target("alice", &[1]), ""));
    let held = cookie(&early.answer());
    let crowd = take_all_files(&service);

    // a question takes a file: nobody is refused, as nobody could be asked
    let wish = |early: &mut Connection, chats: &[usize]| {
        early.send(&get(&target("alice", chats), &format!("Cookie: {held}\r\n")));
        early.answer()
    };
    assert_eq!(chats(&wish(&mut early, &[1])), [1]);
    let answer = wish(&mut early, &[2]);
    assert_eq!(chats(&answer), [1]);
    assert_eq!(answer.header("accrue-refused"), Some(r#"{"unavailable":{"chat:0002":["subscribe"]}}"#));
    early.send(&get(&target("bob", &[1]), ""));
    assert_unavailable(&early.answer());

    everybody_is_served(crowd);
    until(|| (chats(&wish(&mut early, &[2])) == [1, 2]).then_some(()));
    let log = service.server.process.stderr();
    assert_eq!(log.matches("can't accept").count(), 1, "once a minute: {log}");
    assert!(log.contains("raise `ulimit -n` or lower limits.connections"), "{log}");
}

#[test]
#[ignore = "needs redis-server"]
fn without_files_to_open_a_store_that_has_to_be_connected_to_again_is_503() {
    let redis = Redis::start(&[]);
    let config = format!("strategy = \"store\"\n{ANYBODY}{CHATS}[store]\nurl = \"{}\"\n", redis.url());
    let (service, mut early) = crowded(&config);
    let mut ask = |chats: &[usize]| {
        early.send(&get(&target("alice", chats), ""));
        early.answer()
    };
    assert_eq!(chats(&ask(&[1])), [1]);
    let crowd = take_all_files(&service);
    // the file that this frees is taken by who waits longest, unless the store is faster
    until(|| {
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        sleep(Duration::from_millis(100));
        (ask(&[]).status == 503).then_some(())
    });
    assert_unavailable(&ask(&[2]));
    everybody_is_served(crowd);
    until(|| (ask(&[]).status == 200).then_some(()));
    assert_eq!(chats(&ask(&[2])), [1, 2]);
}

#[test]
fn more_connections_than_files_are_told_before() {
    let directory = tempfile::tempdir().expect("there is room");
    let config = directory.path().join("accrue.toml");
    fs::write(&config, format!("{ANYBODY}{CHATS}[limits]\nconnections = 1000\n")).expect("it can be written");
    let words = "limits.connections = 1000 takes 1400 files, of which this process may open 1399";
    for (files, is_told) in [(1399, true), (1400, false)] {
        let checked = Command::new("sh")
            .args(["-c", &format!("ulimit -n {files}; exec \"$0\" check --config \"$1\"")])
            .arg(env!("CARGO_BIN_EXE_accrue"))
            .arg(&config)
            .env("ABLY_API_KEY", "app.key:an-ably-secret")
            .env("ACCRUE_SECRETS", "k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY")
            .output()
            .expect("there is a sh");
        assert!(checked.status.success(), "{checked:?}");
        let said = [checked.stdout, checked.stderr].concat();
        assert_eq!(String::from_utf8_lossy(&said).contains(words), is_told, "{files}");
    }
}
