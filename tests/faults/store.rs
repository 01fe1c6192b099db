//! The store is killed, hangs, is full or became a replica: what was answered is kept. One by one that is in
//! tests/served_store.rs and tests/stores.rs; here it happens while many write.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use crate::client::{ANYBODY, CHATS, Connection, Numbers, Service, assert_unavailable, get, runs, target};
use crate::http::chats;
use crate::redis::Redis;

fn keeping(store: &str) -> Service {
    Service::start(&format!("strategy = \"store\"\n{ANYBODY}{CHATS}[store]\nurl = \"{store}\"\n"))
}

const WRITERS: usize = 6;

/// Adds chat after chat, until one is not answered with 200. Returns how many were.
fn add(address: SocketAddr, client: &str, answers: &AtomicUsize) -> usize {
    let Some(mut connection) = Connection::try_to(address) else { return 0 };
    for chat in 0..200 {
        connection.try_send(&get(&target(client, &[chat]), ""));
        match connection.answer_or_close() {
            Some(answer) if answer.status == 200 => {
                assert_eq!(chats(&answer), (0..=chat).collect::<Vec<_>>());
                answers.fetch_add(1, Ordering::Relaxed);
            }
            Some(answer) => {
                assert_unavailable(&answer);
                return chat;
            }
            None => return chat,
        }
    }
    panic!("nothing ever fails")
}

/// What they have added when, after so many answers in all, this comes between.
fn add_until(service: &Service, run: usize, after: usize, between: impl FnOnce()) -> Vec<(String, usize)> {
    let answers = AtomicUsize::new(0);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let client = format!("client-{run}-{writer}");
                let (address, answers) = (service.server.address, &answers);
                scope.spawn(move || (add(address, &client, answers), client))
            })
            .collect();
        while answers.load(Ordering::Relaxed) < after && writers.iter().any(|writer| !writer.is_finished()) {
            sleep(Duration::from_micros(100));
        }
        between();
        let added = writers.into_iter().map(|writer| writer.join().expect("it counts"));
        added.map(|(count, client)| (client, count)).collect()
    })
}

/// That all of it is there, and beyond it at most what was on its way.
#[track_caller]
fn assert_kept(service: &Service, added: &[(String, usize)], seed: u64) {
    for (client, count) in added {
        let answer = service.ask(client, &[], "");
        let kept = if answer.status == 401 { vec![] } else { chats(&answer) };
        let is_whole = kept == (0..kept.len()).collect::<Vec<_>>();
        assert!(
            is_whole && [*count, count + 1].contains(&kept.len()),
            "seed {seed}: {client} was answered {count}, kept are {kept:?}"
        );
    }
}

#[test]
fn kill_9_in_the_middle_of_writes_loses_nothing_that_was_answered() {
    let seed = 0x5eed;
    let mut numbers = Numbers(seed);
    let mut service = keeping("redb:HERE/accrue.redb");
    let mut added = Vec::new();
    let runs = runs(8);
    for run in 0..runs {
        let after = 1 + numbers.below(80) as usize;
        let now = add_until(&service, run, after, || service.server.process.signal("KILL"));
        service.restart();
        assert_kept(&service, &now, seed);
        added.extend(now);
    }
    assert_kept(&service, &added, seed);
    let answered: usize = added.iter().map(|(_, count)| count).sum();
    println!("kill -9 of a service with redb, {runs} runs: {answered} additions answered, 0 lost");
}

#[test]
#[ignore = "needs redis-server"]
fn redis_killed_in_the_middle_of_writes_loses_nothing_that_was_answered() {
    let seed = 0xcafe;
    let mut numbers = Numbers(seed);
    let mut redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let service = keeping(&redis.url());
    let mut added = Vec::new();
    let runs = runs(5);
    for run in 0..runs {
        let after = 1 + numbers.below(150) as usize;
        let now = add_until(&service, run, after, || redis.kill());
        assert_unavailable(&service.ask("alice", &[1], ""));
        service.assert_alive();
        redis.restart();
        // with the very next request
        assert_kept(&service, &now, seed);
        added.extend(now);
    }
    assert_kept(&service, &added, seed);
    let answered: usize = added.iter().map(|(_, count)| count).sum();
    println!("kill -9 of Redis, {runs} runs: {answered} additions answered, 0 lost");
}

#[test]
#[ignore = "needs redis-server"]
fn a_redis_that_is_full_or_read_only_or_hangs_is_503_and_loses_nothing() {
    let redis = Redis::start(&["--maxmemory-policy", "noeviction"]);
    let service = keeping(&redis.url());
    let mut held = vec![1];
    assert_eq!(chats(&service.ask("alice", &held, "")), held);
    let stop = |redis: &Redis| redis.signal("STOP");
    let go_on = |redis: &Redis| redis.signal("CONT");
    let full = |redis: &Redis| assert_eq!(redis.cli(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    let roomy = |redis: &Redis| assert_eq!(redis.cli(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    let replica = |redis: &Redis| assert_eq!(redis.cli(&["REPLICAOF", "127.0.0.1", "1"]), "OK");
    let master = |redis: &Redis| assert_eq!(redis.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    type Step<'a> = &'a dyn Fn(&Redis);
    let faults: [(&str, Step<'_>, bool, &str, Step<'_>); 3] = [
        ("full", &full, true, "OOM", &roomy),
        ("a replica", &replica, true, "read only replica", &master),
        ("paused", &stop, false, "no answer within 2 s", &go_on),
    ];
    for (fault, begin, can_read, words, end) in faults {
        begin(&redis);
        let new = held.len() + 1;
        assert_unavailable(&service.ask("alice", &[new], ""));
        assert_unavailable(&service.ask("bob", &[1], ""));
        // who wishes for nothing new needs no room
        let renewal = service.ask("alice", &held, "");
        match can_read {
            true => assert_eq!(chats(&renewal), held, "{fault}"),
            false => assert_unavailable(&renewal),
        }
        service.assert_alive();
        service.server.process.stderr_with(words);
        end(&redis);
        assert_eq!(chats(&service.ask("alice", &[], "")), held, "{fault}: nothing of it was written");
        service.ask("bob", &[], "").assert_error(401, 40160);
        held.push(new);
        assert_eq!(chats(&service.ask("alice", &[new], "")), held, "{fault}");
    }
}
