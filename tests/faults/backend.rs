//! The permission webhook hangs, drips, hangs up. What each kind of answer means is in tests/outbound; here it is what
//! becomes of everybody else.

use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::client::{ANYBODY, Connection, Service, assert_unavailable, cookie, get, target};
use crate::http::chats;
use crate::stand_in::{Reply, StandIn};

/// How a backend answers, until it is told otherwise.
type Mood = Arc<Mutex<fn(String) -> Reply>>;

/// One that grants what is asked, in its present mood.
fn backend() -> (StandIn, Mood) {
    let mood: Mood = Arc::new(Mutex::new(well));
    let present = Arc::clone(&mood);
    let backend = StandIn::start(move |call| {
        let question: Value = serde_json::from_str(&call.body).expect("JSON");
        let mood = *present.lock().expect("nobody panics");
        mood(json!({ "granted": question["asked"] }).to_string())
    });
    (backend, mood)
}

fn well(answer: String) -> Reply {
    Reply::Says(200, answer)
}

fn asking(backend: &StandIn, lines: &str) -> Service {
    Service::start(&format!("{ANYBODY}[permission.webhook]\nurl = \"{}\"\n{lines}\n", backend.url()))
}

#[test]
fn a_webhook_that_hangs_drips_or_hangs_up_costs_nobody_what_they_hold() {
    for (fault, words) in [
        ((|_| Reply::Hangs) as fn(String) -> Reply, "no whole answer within 2s"),
        (Reply::Drips, "no whole answer within 2s"),
        (Reply::Cut, "webhook: "),
    ] {
        let (backend, mood) = backend();
        let service = asking(&backend, "timeout = \"2s\"");
        let held = cookie(&service.ask("alice", &[1], ""));

        *mood.lock().unwrap() = fault;
        let answer = service.ask("alice", &[2], &held);
        assert_eq!(chats(&answer), [1]);
        assert_eq!(answer.header("accrue-refused"), Some(r#"{"unavailable":{"chat:0002":["subscribe"]}}"#));
        // so that the SDK comes back by itself
        assert!(answer.json()["ttl"].as_u64().is_some_and(|ttl| ttl <= 300_000), "{answer:?}");
        assert!(answer.all("set-cookie").is_empty(), "{answer:?}");
        assert_unavailable(&service.ask("bob", &[1], ""));
        let asked = backend.calls().len();
        assert_eq!(chats(&service.ask("alice", &[1], &held)), [1]);
        assert_eq!(backend.calls().len(), asked, "about what is held nobody is asked");
        service.server.process.stderr_with(words);

        *mood.lock().unwrap() = well;
        assert_eq!(chats(&service.ask("alice", &[2], &held)), [1, 2]);
        assert_eq!(chats(&service.ask("bob", &[1], "")), [1]);
    }
}

#[test]
fn while_a_webhook_hangs_for_some_all_others_are_served() {
    let (backend, mood) = backend();
    let service = asking(&backend, "timeout = \"30s\"\nmax_in_flight = 8");
    let held = cookie(&service.ask("alice", &[1], ""));
    *mood.lock().unwrap() = |_| Reply::Hangs;
    let mut hanging = Vec::new();
    for n in 0..8 {
        let mut connection = service.connect();
        connection.send(&get(&target(&format!("hanging-{n}"), &[1]), ""));
        hanging.push(connection);
    }
    backend.once_called(9);

    // many at once, each of whom is served before any of those is
    let address = service.server.address;
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut connection = Connection::to(address);
                for _ in 0..25 {
                    let cookie = format!("Cookie: {held}\r\n");
                    connection.send(&get(&target("alice", &[1]), &cookie));
                    assert_eq!(chats(&connection.answer()), [1]);
                    connection.send(&get(&target("alice", &[1, 2]), &cookie));
                    assert_eq!(chats(&connection.answer()), [1]);
                }
            });
        }
    });
    assert_unavailable(&service.ask("bob", &[1], ""));
    service.assert_alive();
    assert_eq!(backend.calls().len(), 9, "beyond max_in_flight nobody is asked");
    assert!(!hanging.iter().any(Connection::hears_something));
}
