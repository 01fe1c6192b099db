//! Strategy `store` on the real binary: what was answered is kept, whatever dies.

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;
#[path = "support/redis.rs"]
mod redis;

use std::path::Path;
use std::process::Command;
use std::thread;

use http::{Answer, chats};
use process::{Server, accrue};
use redis::Redis;
use tempfile::TempDir;

struct Place {
    directory: TempDir,
}

impl Place {
    /// Everybody may ask for chats.
    fn new(strategy: &str, store: &str) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let config = format!(
            r#"
            listen = "127.0.0.1:0"
            strategy = "{strategy}"
            [authenticate.claimed]
            [permission.rules]
            "chat:*" = ["subscribe"]
            [store]
            url = "{store}"
            "#
        );
        let config = config.replace("HERE", directory.path().to_str().expect("UTF-8"));
        std::fs::write(directory.path().join("accrue.toml"), config).expect("it can be written");
        Self { directory }
    }

    fn config(&self) -> String {
        self.directory.path().join("accrue.toml").to_str().expect("UTF-8").to_owned()
    }

    fn serve(&self) -> Server {
        Server::start(&["serve", "--config", &self.config()], &VARIABLES)
    }
}

const VARIABLES: [(&str, &str); 2] = [
    ("ABLY_API_KEY", "app.key:an-ably-secret"),
    ("ACCRUE_SECRETS", "k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY"),
];

#[track_caller]
fn ask(server: &Server, client: &str, chats: &[usize]) -> Answer {
    let wishes: Vec<String> =
        chats.iter().map(|chat| format!("%22chat:{chat:04}%22:[%22subscribe%22]")).collect();
    let wishes = match chats {
        [] => String::new(),
        _ => format!("&capability=%7B{}%7D", wishes.join(",")),
    };
    server.request(&format!("GET /auth?clientId={client}{wishes}"), &[], "")
}

#[track_caller]
fn is_unavailable(answer: &Answer) {
    answer.assert_error(503, 50003);
    assert!(answer.header("retry-after").is_some());
    assert!(answer.all("set-cookie").is_empty());
}

#[test]
fn what_was_answered_survives_kill_9() {
    let place = Place::new("store", "redb:HERE/accrue.redb");
    let mut server = place.serve();
    for round in 0..3 {
        for chat in 0..5 {
            assert_eq!(chats(&ask(&server, "alice", &[round * 5 + chat])).len(), round * 5 + chat + 1);
        }
        server.process.signal("KILL");
        drop(server);
        server = place.serve();
        assert_eq!(chats(&ask(&server, "alice", &[])).len(), round * 5 + 5);
    }
    // giving up needs to know whose; bob's has nothing to do with it
    ask(&server, "bob", &[1]);
    server.request("DELETE /auth", &[], "").assert_error(401, 40100);
    assert_eq!(server.request("DELETE /auth?clientId=alice", &[], "").status, 204);
    ask(&server, "alice", &[]).assert_error(401, 40160);
    assert_eq!(chats(&ask(&server, "bob", &[])), [1]);
}

#[test]
fn a_file_that_cannot_be_opened_is_told_at_start() {
    for (store, complaint) in [
        ("redb:HERE/nowhere/accrue.redb", "directory"),
        ("redb:HERE/accrue.toml", "no redb database"),
        ("redb:HERE", "HERE"),
    ] {
        let place = Place::new("store", store);
        let ended = process::run(&["serve", "--config", &place.config()], &VARIABLES);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{store}: {}", ended.stderr);
        let complaint = complaint.replace("HERE", place.directory.path().to_str().expect("UTF-8"));
        assert!(ended.stderr.contains(&complaint), "{store}: {}", ended.stderr);
    }
    let place = Place::new("cookie", "redb:HERE/accrue.redb");
    let _first = place.serve();
    let second = process::run(&["serve", "--config", &place.config()], &VARIABLES);
    assert_eq!(second.code, Some(2));
    assert!(second.stderr.contains("is open in another process"), "{}", second.stderr);
}

#[test]
fn a_full_disk_is_503_and_nothing_is_half_written() {
    let place = Place::new("store", "redb:HERE/accrue.redb");
    let program = accrue(&[], &[]).get_program().to_owned();
    // files up to 2 MiB, counted in blocks of 512
    let mut limited = Command::new("sh");
    limited
        .args(["-c", r#"trap "" XFSZ; ulimit -S -f 4096; exec "$0" serve --config "$1""#])
        .arg(Path::new(&program))
        .arg(place.config())
        .env_clear()
        .envs(VARIABLES)
        .env("PATH", "/usr/bin:/bin");
    let server = Server::of(&mut limited);
    let all: Vec<usize> = (0..150).collect();
    let mut answered = 0;
    let refused = loop {
        let answer = ask(&server, &format!("client{answered}"), &all);
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
        assert!(answered < 2000, "the disk is never full");
    };
    is_unavailable(&refused);
    is_unavailable(&ask(&server, "late", &all));
    assert_eq!(server.request("GET /healthz", &[], "").status, 200);

    let id = server.process.id().to_string();
    let raised = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &id]).status();
    assert!(raised.expect("there is a prlimit").success());
    let late = (0..100).map(|_| ask(&server, "late", &all)).find(|answer| answer.status == 200);
    assert_eq!(chats(&late.expect("it comes back when there is room")), all);
    for client in 0..answered {
        assert_eq!(chats(&ask(&server, &format!("client{client}"), &[])), all);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn additions_through_two_instances_at_once_lose_nothing() {
    let redis = Redis::start(&[]);
    let place = Place::new("store", &format!("{}/3", redis.url()));
    let instances = [place.serve(), place.serve()];
    thread::scope(|scope| {
        for chat in 0..40 {
            let instance = &instances[chat % 2];
            scope.spawn(move || assert!(chats(&ask(instance, "alice", &[chat])).contains(&chat)));
        }
    });
    for instance in &instances {
        assert_eq!(chats(&ask(instance, "alice", &[])), (0..40).collect::<Vec<_>>());
    }
    // the next answers have folded them
    let key = "accrue:app:grants:alice";
    assert_eq!(redis.cli(&["-n", "3", "SCARD", key]), "1");
    let left: u64 = redis.cli(&["-n", "3", "TTL", key]).parse().expect("a number");
    assert!((57_000..=57_600).contains(&left), "twice recheck_after: {left}");
}

#[test]
#[ignore = "needs redis-server"]
fn redis_may_go_and_come_back() {
    let mut redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let place = Place::new("store", &redis.url());
    let server = place.serve();
    assert_eq!(chats(&ask(&server, "alice", &[1, 2])), [1, 2]);
    assert_eq!(server.request("GET /readyz", &[], "").status, 200);

    redis.kill();
    is_unavailable(&ask(&server, "alice", &[3]));
    is_unavailable(&server.request("DELETE /auth?clientId=alice", &[], ""));
    is_unavailable(&server.request("GET /readyz", &[], ""));
    assert_eq!(server.request("GET /healthz", &[], "").status, 200);

    redis.restart();
    assert_eq!(chats(&ask(&server, "alice", &[])), [1, 2]);
    assert_eq!(server.request("GET /readyz", &[], "").status, 200);

    // and it may be away when the service starts
    redis.kill();
    let late = place.serve();
    is_unavailable(&ask(&late, "alice", &[]));
    late.process.stderr_with("not ready yet");
    redis.restart();
    assert_eq!(chats(&ask(&late, "alice", &[])), [1, 2]);
}

#[test]
#[ignore = "needs redis-server"]
fn under_cookies_a_store_that_is_away_makes_grants_count_as_revoked_and_no_more() {
    let mut redis = Redis::start(&[]);
    let place = Place::new("cookie", &redis.url());
    let server = place.serve();
    let answer = ask(&server, "alice", &[1]);
    let cookie =
        answer.header("set-cookie").expect("a grant").split(';').next().unwrap_or_default().to_owned();
    redis.kill();
    // rules answer at once, so what is held is checked again and found permitted
    let again = server.request("GET /auth?clientId=alice", &[("Cookie", &cookie)], "");
    assert_eq!(chats(&again), [1]);
}
