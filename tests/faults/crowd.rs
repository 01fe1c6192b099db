//! Very many at once: slow ones, idle ones, and more requests than there is room for.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::{ANYBODY, CHATS, Connection, Service, assert_unavailable, cookie, get, target, until};
use crate::http::{Answer, chats};
use crate::skipped::skipped;
use crate::stand_in::{Reply, StandIn};

/// Raises what this process may open, and with it what it starts.
#[must_use]
fn may_open_many_files() -> bool {
    let raise = ["--nofile=8192:", "--pid", &std::process::id().to_string()].map(str::to_owned);
    let raised = std::process::Command::new("prlimit").args(raise).status();
    if raised.is_ok_and(|status| status.success()) {
        return true;
    }
    assert!(option_env!("CI").is_none(), "in CI 8192 files may be opened");
    skipped("this needs 8192 open files");
    false
}

const SLOW: &[u8] = b"GET /auth?clientId=slow HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";

#[test]
fn a_thousand_slow_and_a_thousand_idle_connections_keep_nobody_from_being_served() {
    if !may_open_many_files() {
        return;
    }
    let service = Service::start(&format!("{ANYBODY}{CHATS}[limits]\nheader_timeout = \"10m\"\n"));
    let held = cookie(&service.ask("alice", &[1], ""));
    let before = service.resident_kib();
    let mut slow: Vec<_> = (0..1000).map(|_| service.connect()).collect();
    let mut idle: Vec<_> = (0..1000).map(|_| service.connect()).collect();
    for connection in &mut slow {
        connection.send(SLOW);
    }
    for connection in &mut idle {
        connection.send(&get(&target("idle", &[1]), ""));
        assert_eq!(connection.answer().status, 200);
    }
    for n in 0..100 {
        assert!(chats(&service.ask("alice", &[1, n + 2], &held)).contains(&(n + 2)));
        for connection in &mut slow[10 * n..10 * (n + 1)] {
            connection.send(b"dripping on and on ");
        }
    }
    let grown = service.resident_kib().saturating_sub(before);
    println!("2,000 connections, half of them slow: {before} KiB before, {grown} KiB more with them");
    assert!(grown < 2000 * 64, "{grown} KiB for 2,000 connections");

    // none of them was closed
    for connection in &mut slow {
        connection.send(b"\r\n\r\n");
        assert_eq!(connection.answer().status, 401);
    }
    for connection in &mut idle {
        connection.send(&get("/healthz", ""));
        assert_eq!(connection.answer().status, 200);
    }
}

#[test]
fn a_thousand_slow_connections_are_closed_when_their_time_is_over() {
    if !may_open_many_files() {
        return;
    }
    let service = Service::start(&format!("{ANYBODY}{CHATS}[limits]\nheader_timeout = \"2s\"\n"));
    let mut slow: Vec<_> = (0..1000).map(|_| service.connect()).collect();
    for connection in &mut slow {
        connection.try_send(SLOW);
    }
    let answers: usize = slow.iter_mut().map(|connection| connection.closes().len()).sum();
    assert_eq!(answers, 0);
    service.assert_alive();
}

/// A backend that answers nobody until it is let.
fn gate() -> (StandIn, Arc<(Mutex<bool>, Condvar)>) {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let inside = Arc::clone(&gate);
    let backend = StandIn::start(move |call| {
        let (open, opened) = &*inside;
        let open = opened.wait_while(open.lock().expect("nobody panics"), |open| !*open);
        drop(open);
        let question: serde_json::Value = serde_json::from_str(&call.body).expect("JSON");
        Reply::Says(200, serde_json::json!({ "granted": question["asked"] }).to_string())
    });
    (backend, gate)
}

const IN_FLIGHT: usize = 32;
const CONNECTIONS: usize = 160;
const BURST: usize = 10_000;

#[test]
fn ten_thousand_requests_beyond_what_is_in_flight_are_told_to_come_back_before_those_are_answered() {
    let (backend, gate) = gate();
    let service = Service::start(&format!(
        "{ANYBODY}[permission.webhook]\nurl = \"{}\"\ntimeout = \"30s\"\nmax_in_flight = 64\n\
         [limits]\nrequests = {IN_FLIGHT}\nconnections = {CONNECTIONS}\nheader_timeout = \"10m\"\n",
        backend.url()
    ));
    let ask = |n: usize| get(&target(&format!("client-{n}"), &[1]), "");
    let before = service.resident_kib();
    let mut in_flight: Vec<_> = (0..IN_FLIGHT).map(|_| service.connect()).collect();
    for (n, connection) in in_flight.iter_mut().enumerate() {
        connection.send(&ask(n));
    }
    backend.once_called(IN_FLIGHT);

    // as fast as they can be written, without waiting for answers
    let writers = CONNECTIONS - IN_FLIGHT - 28;
    let mut bursts: Vec<_> = (0..writers).map(|_| service.connect()).collect();
    let burst: Vec<u8> = (0..BURST / writers).flat_map(ask).collect();
    thread::scope(|scope| {
        for connection in &mut bursts {
            let mut writer = connection.stream.try_clone().expect("there are files");
            let burst = &burst;
            scope.spawn(move || std::io::Write::write_all(&mut writer, burst).expect("it reads"));
            scope.spawn(|| (0..BURST / writers).for_each(|_| assert_unavailable(&connection.answer())));
        }
    });
    assert_eq!(backend.calls().len(), IN_FLIGHT, "none of them was asked about");

    // connections beyond their limit as well
    let taken: Vec<_> = (0..28).map(|_| service.connect()).collect();
    let mut beyond: Vec<_> = (0..100).map(|_| service.connect()).collect();
    for (n, connection) in beyond.iter_mut().enumerate() {
        connection.send(&ask(n));
        let answers = connection.closes();
        let [answer] = answers.as_slice() else { panic!("not one answer: {answers:?}") };
        assert_unavailable(answer);
    }
    let grown = service.resident_kib().saturating_sub(before);
    println!("{BURST} requests beyond: {before} KiB before, {grown} KiB more with them");
    assert!(grown < 32 * 1024, "{grown} KiB");
    assert!(!in_flight.iter().any(Connection::hears_something), "those are still in flight");

    println!(
        "one of them takes {:?} (median of 101)",
        median(101, || assert_unavailable(&asked(&mut bursts[0])))
    );

    // and it recovers
    drop((beyond, taken, bursts));
    *gate.0.lock().expect("nobody panics") = true;
    gate.1.notify_all();
    for connection in &mut in_flight {
        assert_eq!(chats(&connection.answer()), [1]);
    }
    for n in 0..200 {
        let connection = &mut in_flight[n % IN_FLIGHT];
        connection.send(&ask(n));
        assert_eq!(chats(&connection.answer()), [1]);
    }
    drop(in_flight);
    until(|| (service.ask("alice", &[1], "").status == 200).then_some(()));
}

fn asked(connection: &mut Connection) -> Answer {
    connection.send(&get(&target("alice", &[1]), ""));
    connection.answer()
}

/// Of how long each takes; for information.
fn median(times: usize, mut what: impl FnMut()) -> Duration {
    let mut took: Vec<Duration> = (0..times)
        .map(|_| {
            let started = Instant::now();
            what();
            started.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[times / 2]
}
