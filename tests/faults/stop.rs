//! SIGTERM while many ask. That single connections are answered once more is in tests/socket.rs; here it is counted.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use crate::client::{ANYBODY, CHATS, Connection, Service, get, runs, target};

#[derive(Debug, Default)]
struct Count {
    sent: usize,
    answered: usize,
    /// Sent on a connection on which something was answered before, which then closed.
    lost: usize,
    /// The names of those sent on a new connection, which then closed.
    unheard: Vec<String>,
}

/// Asks one request after the other, until nobody listens any more.
fn keep_asking(address: SocketAddr, who: usize, answers: &AtomicUsize) -> Count {
    let mut count = Count::default();
    let mut kept = None;
    // half of them keep their connection, the others take a new one each time
    let (keeps, headers) = if who.is_multiple_of(2) { (true, "") } else { (false, "Connection: close\r\n") };
    for n in 0..100_000 {
        let is_new = kept.is_none();
        let Some(mut connection) = kept.take().or_else(|| Connection::try_to(address)) else { break };
        let name = format!("load-{who}-{n}");
        let headers = format!("X-Request-Id: {name}\r\n{headers}");
        count.sent += 1;
        connection.try_send(&get(&target("alice", &[n % 100]), &headers));
        match connection.answer_or_close() {
            Some(answer) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                assert_eq!(answer.header("x-request-id"), Some(name.as_str()));
                count.answered += 1;
                answers.fetch_add(1, Ordering::Relaxed);
                kept = (keeps && answer.header("connection") != Some("close")).then_some(connection);
            }
            None if is_new => {
                count.unheard.push(name);
                break;
            }
            None => {
                count.lost += 1;
                break;
            }
        }
    }
    count
}

#[test]
fn sigterm_under_load_loses_no_request_that_was_accepted() {
    let (mut sent, mut answered, mut refused) = (0, 0, 0);
    let runs = runs(3);
    for run in 0..runs {
        // who is silent for 3 s of these may be closed, and a busy machine may not keep anybody silent for so long
        let service = Service::start(&format!("{ANYBODY}{CHATS}[limits]\ndrain_timeout = \"30s\"\n"));
        let address = service.server.address;
        let mut idle: Vec<_> = (0..20).map(|_| service.connect()).collect();
        for connection in &mut idle {
            connection.send(&get("/healthz", ""));
            assert_eq!(connection.answer().status, 200);
        }
        let answers = AtomicUsize::new(0);
        let counts: Vec<Count> = thread::scope(|scope| {
            let answers = &answers;
            let asking: Vec<_> =
                (0..32).map(|who| scope.spawn(move || keep_asking(address, who, answers))).collect();
            while answers.load(Ordering::Relaxed) < 300 + 37 * run
                && asking.iter().any(|who| !who.is_finished())
            {
                sleep(Duration::from_millis(1));
            }
            service.server.process.signal("TERM");
            asking.into_iter().map(|who| who.join().expect("it counts")).collect()
        });
        assert!(idle.iter_mut().all(|connection| connection.closes().is_empty()));
        let ended = service.server.process.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");

        // what the service answered has arrived, every one of it
        let logged: HashSet<&str> =
            ended.stderr.split([' ', '=', '"']).filter(|word| word.starts_with("load-")).collect();
        let of = |number: fn(&Count) -> usize| counts.iter().map(number).sum::<usize>();
        let unheard: Vec<&String> = counts.iter().flat_map(|count| &count.unheard).collect();
        assert_eq!(of(|count| count.lost), 0, "{counts:?}");
        assert_eq!(logged.len(), of(|count| count.answered), "{counts:?}");
        assert_eq!(of(|count| count.sent), logged.len() + unheard.len(), "{counts:?}");
        // whom the system had accepted when the listener was closed: as good as refused
        assert!(!unheard.iter().any(|name| logged.contains(name.as_str())), "{unheard:?}");
        sent += of(|count| count.sent);
        answered += logged.len();
        refused += unheard.len();
    }
    println!(
        "SIGTERM under load, {runs} runs: {sent} sent, {answered} answered, {refused} refused, {} lost",
        sent - answered - refused
    );
}
