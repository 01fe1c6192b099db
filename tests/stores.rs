//! What every store does, and what each of them survives. Redis is a real one.

#[path = "support/redis.rs"]
mod redis_server;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Lines};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use accrue::{
    ClientId, GrantStore, MARKS_KEPT_FOR, MemoryStore, RedbStore, RedisStore, StoreChange, Stored, Whom,
};
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableHandle};
use redis_server::Redis;
use tempfile::TempDir;
use tokio::time::timeout;

const APP: &str = "appId";
const NOW: u64 = 1_700_000_000;
const DAY: u64 = 24 * 3600;

fn client(id: &str) -> ClientId {
    ClientId::try_from(id).unwrap()
}

fn change(put: &[&str], drop: &[&str]) -> StoreChange {
    change_at(NOW, put, drop)
}

fn change_at(now: u64, put: &[&str], drop: &[&str]) -> StoreChange {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let mut change = StoreChange::default();
    (change.put, change.drop) = (owned(put), owned(drop));
    (change.now, change.keep_for) = (now, DAY);
    change
}

async fn texts(store: &impl GrantStore, id: &str) -> BTreeSet<String> {
    let read = store.read(&client(id)).await.unwrap().texts;
    let texts: BTreeSet<String> = read.iter().cloned().collect();
    assert_eq!(texts.len(), read.len(), "one of them twice");
    texts
}

async fn mark(store: &impl GrantStore, id: &str) -> Option<u64> {
    store.read(&client(id)).await.unwrap().not_before
}

fn set<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.map(str::to_owned).into()
}

/// Long enough for anything that ends.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("an end")
}

/// A store with nothing in it, by two handles.
struct Place<S, R> {
    one: S,
    other: S,
    _room: R,
}

fn memory() -> Place<MemoryStore, ()> {
    let one = MemoryStore::default();
    Place { other: one.clone(), one, _room: () }
}

fn redb() -> Place<RedbStore, TempDir> {
    let room = tempfile::tempdir().unwrap();
    let one = RedbStore::open(room.path().join("accrue.redb"), APP).unwrap();
    Place { other: one.clone(), one, _room: room }
}

fn redis() -> Place<RedisStore, Redis> {
    let room = Redis::start(&[]);
    let store = || RedisStore::new(&room.url(), APP).unwrap();
    Place { one: store(), other: store(), _room: room }
}

macro_rules! behaviours {
    ($($name:ident)*) => {
        mod in_memory {
            $(#[tokio::test] async fn $name() { super::$name(&super::memory()).await })*
        }
        mod in_redb {
            $(#[tokio::test] async fn $name() { super::$name(&super::redb()).await })*
        }
        mod in_redis {
            $(
                #[tokio::test]
                #[ignore = "needs redis-server"]
                async fn $name() { super::$name(&super::redis()).await }
            )*
        }
    };
}

behaviours! {
    what_is_put_is_there_until_it_is_dropped
    two_changes_at_once_add_up
    fifty_changes_at_once_lose_nothing
    the_same_twice_is_there_once
    dropping_what_is_not_there_is_no_error
    a_change_without_content_changes_nothing
    every_mark_is_later_than_the_one_before
    a_mark_for_everybody_counts_for_each
    one_client_is_not_another
    it_is_ready
}

async fn what_is_put_is_there_until_it_is_dropped<R>(place: &Place<impl GrantStore, R>) {
    let (one, other, alice) = (&place.one, &place.other, client("alice"));
    assert_eq!(one.read(&alice).await.unwrap(), Stored::default());
    one.apply(&alice, change(&["a", "b", "with \"quotes\", é and \u{1F600}"], &[])).await.unwrap();
    assert_eq!(texts(other, "alice").await, set(["a", "b", "with \"quotes\", é and \u{1F600}"]));
    other.apply(&alice, change(&["c"], &["a", "with \"quotes\", é and \u{1F600}"])).await.unwrap();
    assert_eq!(texts(one, "alice").await, set(["b", "c"]));
    one.apply(&alice, change(&[], &["b", "c"])).await.unwrap();
    assert_eq!(other.read(&alice).await.unwrap(), Stored::default());
}

async fn two_changes_at_once_add_up<R>(place: &Place<impl GrantStore, R>) {
    let alice = client("alice");
    place.one.apply(&alice, change(&["old"], &[])).await.unwrap();
    let (one, other) = tokio::join!(
        place.one.apply(&alice, change(&["one"], &["old"])),
        place.other.apply(&alice, change(&["other"], &["old"])),
    );
    one.and(other).unwrap();
    assert_eq!(texts(&place.one, "alice").await, set(["one", "other"]));
}

async fn fifty_changes_at_once_lose_nothing<S: GrantStore + Clone, R>(place: &Place<S, R>) {
    let numbers = 0..50;
    let changes = numbers.clone().map(|number| {
        let store = if number % 2 == 0 { &place.one } else { &place.other }.clone();
        let id = if number % 5 == 0 { "bob" } else { "alice" };
        tokio::spawn(async move { store.apply(&client(id), change(&[&number.to_string()], &[])).await })
    });
    for change in changes.collect::<Vec<_>>() {
        soon(change).await.unwrap().unwrap();
    }
    let (bobs, alices): (BTreeSet<_>, BTreeSet<_>) = numbers.partition(|number| number % 5 == 0);
    let as_texts = |numbers: BTreeSet<i32>| numbers.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(texts(&place.one, "bob").await, as_texts(bobs));
    assert_eq!(texts(&place.one, "alice").await, as_texts(alices));
}

async fn the_same_twice_is_there_once<R>(place: &Place<impl GrantStore, R>) {
    for _ in 0..2 {
        place.one.apply(&client("alice"), change(&["a", "a"], &[])).await.unwrap();
        assert_eq!(texts(&place.other, "alice").await, set(["a"]));
    }
}

async fn dropping_what_is_not_there_is_no_error<R>(place: &Place<impl GrantStore, R>) {
    let alice = client("alice");
    place.one.apply(&alice, change(&[], &["a"])).await.unwrap();
    place.one.apply(&alice, change(&["b"], &["a", "a"])).await.unwrap();
    assert_eq!(texts(&place.one, "alice").await, set(["b"]));
}

async fn a_change_without_content_changes_nothing<R>(place: &Place<impl GrantStore, R>) {
    let alice = client("alice");
    place.one.apply(&alice, change(&["a"], &[])).await.unwrap();
    place.one.apply(&alice, StoreChange::default()).await.unwrap();
    assert_eq!(texts(&place.one, "alice").await, set(["a"]));
}

async fn every_mark_is_later_than_the_one_before<R>(place: &Place<impl GrantStore, R>) {
    let whom = Whom::Client(client("alice"));
    // the latest that a grant's age can be, and what a double would still tell apart
    for (noted, counts) in
        [(1, 1), (NOW, NOW), (NOW - 1, NOW + 1), (NOW + 1, NOW + 2), (99_999_999_998, 99_999_999_998)]
    {
        assert_eq!(place.one.revoke(&whom, noted).await.unwrap(), counts);
        assert_eq!(mark(&place.other, "alice").await, Some(counts));
    }
    place.one.apply(&client("alice"), change(&["a"], &[])).await.unwrap();
    assert_eq!(mark(&place.one, "alice").await, Some(99_999_999_998));
    assert_eq!(mark(&place.one, "bob").await, None);
}

async fn a_mark_for_everybody_counts_for_each<R>(place: &Place<impl GrantStore, R>) {
    place.one.revoke(&Whom::Client(client("early")), 1000).await.unwrap();
    place.one.revoke(&Whom::Client(client("late")), 3000).await.unwrap();
    place.one.revoke(&Whom::Everybody, 2000).await.unwrap();
    place.other.revoke(&Whom::Everybody, 1999).await.unwrap();
    for (id, counts) in [("early", 3002), ("late", 3002), ("other", 3002)] {
        assert_eq!(mark(&place.other, id).await, Some(counts), "{id}");
    }
}

async fn one_client_is_not_another<R>(place: &Place<impl GrantStore, R>) {
    let [y, z, shorter] = ["y", "z", ""].map(|end| "x".repeat(255) + end);
    let ids = [
        ["a", "A", "a:b", "a:b:", ":a", "a/b", "a b", "grants:a", "mark:a", "everybody", "not_before"]
            .as_slice(),
        &["é", "e\u{301}", "\u{1F600}", "[a]", "{a}", "a?", "\\a", "\"a\"", "%61"],
        &[&y, &z, &shorter],
    ]
    .concat();
    for (index, id) in ids.iter().enumerate() {
        place.one.apply(&client(id), change(&[id, "own"], &[])).await.unwrap();
        place.one.revoke(&Whom::Client(client(id)), index as u64 + 1).await.unwrap();
    }
    place.one.apply(&client("a"), change(&[], &["own"])).await.unwrap();
    for (index, id) in ids.iter().enumerate() {
        let expected = if *id == "a" { set(["a"]) } else { set([id, "own"]) };
        assert_eq!(texts(&place.other, id).await, expected);
        assert_eq!(mark(&place.other, id).await, Some(index as u64 + 1), "{id}");
    }
    assert_eq!(place.one.read(&client("nobody")).await.unwrap(), Stored::default());
}

async fn it_is_ready<R>(place: &Place<impl GrantStore, R>) {
    place.one.ready().await.unwrap();
    assert_eq!(place.one.read(&client("-")).await.unwrap(), Stored::default());
}

mod only_redb {
    use super::*;

    fn path(room: &TempDir) -> std::path::PathBuf {
        room.path().join("accrue.redb")
    }

    /// How many rows each table has.
    fn rows(path: &Path) -> BTreeMap<String, u64> {
        let database = Database::open(path).unwrap();
        let transaction = database.begin_read().unwrap();
        let tables = transaction.list_tables().unwrap();
        tables
            .map(|table| {
                let name = table.name().to_owned();
                (name, transaction.open_untyped_table(table).unwrap().len().unwrap())
            })
            .collect()
    }

    #[tokio::test]
    async fn what_was_kept_is_there_when_it_is_opened_again() {
        let room = tempfile::tempdir().unwrap();
        for count in 0..3_u64 {
            let store = RedbStore::open(path(&room), APP).unwrap();
            assert_eq!(texts(&store, "alice").await.len() as u64, count);
            assert_eq!(mark(&store, "alice").await, count.checked_sub(1));
            store.apply(&client("alice"), change(&[&count.to_string()], &[])).await.unwrap();
            store.revoke(&Whom::Everybody, count).await.unwrap();
        }
    }

    #[tokio::test]
    async fn one_app_is_not_another() {
        let room = tempfile::tempdir().unwrap();
        let alice = client("alice");
        for (app, number) in [("app", 10), ("app2", 20)] {
            let store = RedbStore::open(path(&room), app).unwrap();
            assert_eq!(store.read(&alice).await.unwrap(), Stored::default());
            store.apply(&alice, change(&[app], &[])).await.unwrap();
            store.revoke(&Whom::Client(alice.clone()), number).await.unwrap();
            store.revoke(&Whom::Everybody, number).await.unwrap();
        }
        for (app, number) in [("app", 10), ("app2", 20)] {
            let store = RedbStore::open(path(&room), app).unwrap();
            assert_eq!(texts(&store, "alice").await, set([app]));
            // everybody's is one later than hers
            assert_eq!(mark(&store, "alice").await, Some(number + 1));
        }
    }

    #[tokio::test]
    async fn what_has_expired_is_swept_a_few_at_a_time() {
        let room = tempfile::tempdir().unwrap();
        let store = RedbStore::open(path(&room), APP).unwrap();
        for number in 0..100 {
            let id = format!("gone {number}");
            store.apply(&client(&id), change(&["a", "b"], &[])).await.unwrap();
        }
        store.revoke(&Whom::Client(client("gone 0")), NOW).await.unwrap();
        // puts the end of one text off, and with that the row's
        store.apply(&client("stays"), change(&["a", "b"], &[])).await.unwrap();
        store.apply(&client("stays"), change_at(NOW + 10, &["b"], &[])).await.unwrap();
        let rows = |store| {
            drop(store);
            let rows = rows(&path(&room));
            assert_eq!(rows["accrue/texts"], rows["accrue/expiries"]);
            (rows["accrue/texts"], RedbStore::open(path(&room), APP).unwrap())
        };

        let (count, store) = rows(store);
        assert_eq!(count, 101);
        store.apply(&client("now"), change_at(NOW + DAY - 1, &["a"], &[])).await.unwrap();
        let (count, store) = rows(store);
        assert_eq!(count, 102, "nothing has expired yet");
        store.apply(&client("now"), change_at(NOW + DAY, &["a"], &[])).await.unwrap();
        let (count, store) = rows(store);
        assert_eq!(count, 102 - 64, "no more than a few at once");
        store.apply(&client("now"), change_at(NOW + DAY, &["a"], &[])).await.unwrap();
        let (count, store) = rows(store);
        assert_eq!(count, 2);

        assert_eq!(texts(&store, "stays").await, set(["a", "b"]));
        store.apply(&client("stays"), change_at(NOW + DAY, &["c"], &[])).await.unwrap();
        assert_eq!(texts(&store, "stays").await, set(["b", "c"]), "what was not put again has expired");
        assert_eq!(mark(&store, "gone 0").await, Some(NOW), "marks stay");
    }

    #[test]
    fn a_file_of_its_own_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt;
        let room = tempfile::tempdir().unwrap();
        let store = RedbStore::open(path(&room), APP).unwrap();
        assert_eq!(path(&room).metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(store);
    }

    #[test]
    fn what_can_not_be_opened_says_why() {
        let room = tempfile::tempdir().unwrap();
        let text = room.path().join("text");
        std::fs::write(&text, "no database").unwrap();
        let open = RedbStore::open(path(&room), APP).unwrap();
        for (path, words) in [
            (path(&room), "is open in another process: redb is for one process, use redis:// for several"),
            (room.path().join("missing/accrue.redb"), "it needs a directory that exists"),
            (text, "is no redb database"),
            (room.path().to_owned(), "Is a directory"),
            // what even root may only read
            (Path::new("/sys/kernel/uevent_seqnum").to_owned(), "has to be able to read and write it"),
        ] {
            let error = RedbStore::open(&path, APP).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(path.to_str().unwrap()), "{error}");
        }
        drop(open);
        RedbStore::open(path(&room), APP).unwrap();
    }

    #[tokio::test]
    async fn who_does_not_wait_for_a_change_spoils_no_other() {
        let place = redb();
        let started = (0..20).map(|number| {
            let store = place.one.clone();
            let text = number.to_string();
            tokio::spawn(async move { store.apply(&client("alice"), change(&[&text], &[])).await })
        });
        let started: Vec<_> = started.collect();
        tokio::task::yield_now().await;
        started.iter().step_by(2).for_each(tokio::task::JoinHandle::abort);
        for task in started.into_iter().skip(1).step_by(2) {
            soon(task).await.unwrap().unwrap();
        }
        let kept = texts(&place.one, "alice").await;
        assert!((1..20).step_by(2).all(|number: i32| kept.contains(&number.to_string())), "{kept:?}");
    }

    #[tokio::test]
    async fn kill_minus_9_loses_nothing_acknowledged() {
        let room = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            let mut writer = Role::Writer.start("", &[path(&room).to_str().unwrap()]);
            let mut acknowledged = BTreeMap::new();
            let note = |line: String, acknowledged: &mut BTreeMap<String, u64>| {
                let (id, number) = line.split_once(' ').expect("ID NUMBER");
                acknowledged.insert(id.to_owned(), number.parse().expect("a number"));
            };
            for _ in 0..200 {
                note(writer.line(), &mut acknowledged);
            }
            for line in writer.kill() {
                note(line, &mut acknowledged);
            }
            let store = RedbStore::open(path(&room), APP).unwrap();
            assert_eq!(acknowledged.len(), WRITERS);
            for (id, number) in acknowledged {
                let Stored { texts, not_before, .. } = store.read(&client(&id)).await.unwrap();
                // what was written last may not have been acknowledged; a change is there as a whole
                let next = number + 1;
                assert!(
                    [[number.to_string()], [next.to_string()]].iter().any(|is| *is == *texts),
                    "{texts:?}"
                );
                assert!(not_before >= Some(number) && not_before <= Some(next), "{not_before:?} {number}");
            }
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_an_error_until_there_is_room() {
        let room = tempfile::tempdir().unwrap();
        // files up to 4 MiB, counted in blocks of 512
        let mut filler = Role::Filler.start("ulimit -S -f 8192", &[path(&room).to_str().unwrap()]);
        let mut acknowledged = 0;
        let mut failed = 0;
        while failed < 5 {
            match filler.line().parse::<u32>() {
                Ok(number) => acknowledged = number,
                Err(_) => failed += 1,
            }
        }
        assert!(acknowledged > 100, "{acknowledged}");
        let id = filler.process.id().to_string();
        assert!(
            Command::new("prlimit").args(["--fsize=unlimited", "--pid", &id]).status().unwrap().success()
        );
        let wanted = acknowledged + 100;
        while acknowledged < wanted {
            match filler.line().parse() {
                Ok(number) => acknowledged = number,
                Err(_) => failed += 1,
            }
            assert!(failed < 10_000, "it does not come back");
        }
        drop(filler);
        let store = RedbStore::open(path(&room), APP).unwrap();
        for number in 0..=acknowledged {
            assert_eq!(texts(&store, &number.to_string()).await, [big(number)].into());
        }
    }
}

mod only_redis {
    use super::*;

    const SAFE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn one_app_is_not_another() {
        let redis = Redis::start(&[]);
        let stores = ["app", "app2"].map(|app| RedisStore::new(&redis.url(), app).unwrap());
        let alice = client("alice");
        stores[0].apply(&alice, change(&["a"], &[])).await.unwrap();
        stores[0].revoke(&Whom::Client(alice.clone()), 1).await.unwrap();
        stores[0].revoke(&Whom::Everybody, 2).await.unwrap();
        assert_eq!(stores[1].read(&alice).await.unwrap(), Stored::default());
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn a_database_of_the_url_is_not_another() {
        let redis = Redis::start(&[]);
        let stores = [0, 7].map(|db| RedisStore::new(&format!("{}/{db}", redis.url()), APP).unwrap());
        stores[1].apply(&client("alice"), change(&["a"], &[])).await.unwrap();
        assert_eq!(texts(&stores[1], "alice").await, set(["a"]));
        assert_eq!(texts(&stores[0], "alice").await, set([]));
        assert_eq!(redis.cli(&["-n", "7", "EXISTS", "accrue:appId:grants:alice"]), "1");
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn everything_expires() {
        let redis = Redis::start(&[]);
        let store = RedisStore::new(&redis.url(), APP).unwrap();
        let expires = |key: &str, seconds: u64| {
            let ttl: u64 = redis.cli(&["TTL", &format!("accrue:{APP}:{key}")]).parse().expect(key);
            assert!(ttl <= seconds && ttl + 60 > seconds, "{key}: {ttl}");
        };
        store.apply(&client("a:b"), change(&["a"], &[])).await.unwrap();
        expires("grants:a:b", DAY);
        redis.cli(&["EXPIRE", "accrue:appId:grants:a:b", "100"]);
        store.apply(&client("a:b"), change(&[], &["x"])).await.unwrap();
        expires("grants:a:b", 100);
        store.apply(&client("a:b"), change(&["a"], &[])).await.unwrap();
        expires("grants:a:b", DAY);
        store.revoke(&Whom::Client(client("a:b")), NOW).await.unwrap();
        expires("mark:a:b", MARKS_KEPT_FOR);
        store.revoke(&Whom::Everybody, NOW).await.unwrap();
        expires("everybody", MARKS_KEPT_FOR);
        expires("latest", MARKS_KEPT_FOR);
        assert_eq!(redis.cli(&["DBSIZE"]), "4");
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn kill_minus_9_loses_nothing_acknowledged() {
        let mut redis = Redis::start(&SAFE);
        let store = RedisStore::new(&redis.url(), APP).unwrap();
        for number in 1..=100 {
            store.apply(&client("alice"), change(&[&number.to_string()], &[])).await.unwrap();
            store.revoke(&Whom::Everybody, number).await.unwrap();
        }
        redis.kill();
        for _ in 0..2 {
            soon(store.read(&client("alice"))).await.unwrap_err();
            soon(store.ready()).await.unwrap_err();
        }
        redis.restart();
        assert_eq!(texts(&store, "alice").await.len(), 100);
        assert_eq!(mark(&store, "alice").await, Some(100));

        // nobody asks while it is away: who asks next does not notice
        redis.kill();
        redis.restart();
        assert_eq!(texts(&store, "alice").await.len(), 100);
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn it_may_come_later_than_the_store() {
        let room = tempfile::tempdir().unwrap();
        let port = redis_server::free_port();
        let store = RedisStore::new(&format!("redis://127.0.0.1:{port}"), APP).unwrap();
        let error = soon(store.ready()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.1:{port}: ")), "{error}");
        let redis = Redis::start_at(port, room, &[]);
        store.ready().await.unwrap();
        drop(redis);
        soon(store.ready()).await.unwrap_err();
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn one_that_hangs_is_an_error_until_it_goes_on() {
        let redis = Redis::start(&[]);
        let store = RedisStore::new(&redis.url(), APP).unwrap();
        store.ready().await.unwrap();
        redis.signal("STOP");
        let asked = (0..50).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.read(&client("alice")).await })
        });
        for answer in asked.collect::<Vec<_>>() {
            let error = soon(answer).await.unwrap().unwrap_err().to_string();
            assert!(error.contains("no answer within 2 s"), "{error}");
        }
        redis.signal("CONT");
        store.ready().await.unwrap();
    }

    #[tokio::test]
    async fn one_that_accepts_and_never_answers_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for scheme in ["redis", "rediss"] {
            let store = RedisStore::new(&format!("{scheme}://u:hunter2@{address}"), APP).unwrap();
            let error = soon(store.ready()).await.unwrap_err().to_string();
            assert_eq!(error, format!("store: {address}: no answer within 2 s"));
        }
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn with_the_wrong_password_it_is_an_error_until_that_is_right() {
        let redis = Redis::start(&["--requirepass", "correct-horse"]);
        let url = |credentials: &str| format!("redis://{credentials}127.0.0.1:{}/0", redis.port);
        let open = |credentials| RedisStore::new(&url(credentials), APP).unwrap();
        open(":correct-horse@").ready().await.unwrap();
        open("default:correct%2Dhorse@").ready().await.unwrap();
        let wrong = open("default:battery-staple@");
        for store in [&wrong, &open("nobody:battery-staple@"), &open("")] {
            let error = soon(store.ready()).await.unwrap_err().to_string();
            soon(store.apply(&client("alice"), change(&["a"], &[]))).await.unwrap_err();
            for secret in ["battery", "staple", "correct", "horse"] {
                assert!(!error.contains(secret) && !format!("{store:?}").contains(secret), "{error}");
            }
        }
        redis.cli(&["-a", "correct-horse", "CONFIG", "SET", "requirepass", "battery-staple"]);
        wrong.ready().await.unwrap();
        assert_eq!(wrong.read(&client("alice")).await.unwrap(), Stored::default());
    }

    #[test]
    fn a_url_that_is_none_is_not_repeated() {
        for url in [
            "",
            "localhost",
            "redb:accrue.redb",
            "http://u:hunter2@localhost",
            "redis://u:hunter2@",
            "redis://u:hunter2@host:99999",
            "redis://u:hunter2@host/abc",
            "redis://u:hunter2@host/1?protocol=9",
            "rediss://u:hunter2@host/#insecure",
            "redis+unix:///hunter2",
        ] {
            let error = RedisStore::new(url, APP).expect_err(url).to_string();
            assert!(error.contains("URL") && !error.contains("hunter2"), "{error}");
        }
        let store = RedisStore::new("rediss://user:hunter2@redis.example.com/3", APP).unwrap();
        assert_eq!(format!("{store:?}"), r#"RedisStore { server: "redis.example.com:6379", .. }"#);
    }

    #[tokio::test]
    #[ignore = "needs redis-server"]
    async fn what_redis_refuses_leaves_nothing_behind() {
        let redis = Redis::start(&["--maxmemory-policy", "noeviction"]);
        let store = RedisStore::new(&redis.url(), APP).unwrap();
        let alice = client("alice");
        store.apply(&alice, change(&["a"], &[])).await.unwrap();
        store.revoke(&Whom::Everybody, 1).await.unwrap();
        let before = store.read(&alice).await.unwrap();
        for (refuse, words, again) in [
            (
                ["CONFIG", "SET", "maxmemory", "1"].as_slice(),
                "OOM",
                ["CONFIG", "SET", "maxmemory", "0"].as_slice(),
            ),
            (&["REPLICAOF", "127.0.0.1", "1"], "READONLY", &["REPLICAOF", "NO", "ONE"]),
        ] {
            redis.cli(refuse);
            let error = store.apply(&alice, change(&["b"], &["a"])).await.unwrap_err().to_string();
            assert!(error.to_uppercase().contains(words), "{error}");
            store.revoke(&Whom::Everybody, 2).await.unwrap_err();
            assert_eq!(store.read(&alice).await.unwrap(), before);
            redis.cli(again);
            store.apply(&alice, change(&["a"], &["b"])).await.unwrap();
        }
    }

    #[test]
    #[ignore = "needs redis-server"]
    fn tls_is_spoken_with_whom_the_system_trusts() {
        let room = tempfile::tempdir().unwrap();
        let certified = |name: &str| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            let file = |kind: &str, text: String| {
                let path = room.path().join(format!("{name}.{kind}"));
                std::fs::write(&path, text).unwrap();
                path.to_str().unwrap().to_owned()
            };
            (file("crt", made.cert.pem()), file("key", made.signing_key.serialize_pem()))
        };
        let (trusted, key) = certified("localhost");
        let (other, _) = certified("example.com");
        let port = redis_server::free_port().to_string();
        let _redis = Redis::start(
            &[
                ["--tls-port", &port, "--tls-auth-clients", "no", "--tls-cert-file", &trusted].as_slice(),
                &["--tls-key-file", &key, "--tls-ca-cert-file", &trusted],
            ]
            .concat(),
        );
        let asked = |certificate: &str, host: &str| {
            let url = format!("rediss://{host}:{port}");
            Role::Asker.start(&format!("export SSL_CERT_FILE='{certificate}'"), &[&url]).line()
        };
        assert_eq!(asked(&trusted, "localhost"), "ready");
        let stranger = asked(&other, "localhost");
        assert!(stranger.contains("UnknownIssuer") || stranger.contains("BadSignature"), "{stranger}");
        let misnamed = asked(&trusted, "127.0.0.1");
        assert!(misnamed.contains("not valid for name"), "{misnamed}");
    }
}

/// What another process of these tests does.
enum Role {
    /// Replaces, in several tasks at once, one text by the next, and raises a mark likewise, for ever.
    Writer,
    /// Keeps ever more, and tries again what fails.
    Filler,
    /// Asks a Redis whether it is there.
    Asker,
}

const WRITERS: usize = 4;

/// What lines of such a process start with, among those of the test harness.
const SAYS: &str = "says: ";

macro_rules! says {
    ($($what:tt)*) => { println!("\n{SAYS}{}", format_args!($($what)*)) };
}

/// A process that plays a role; it is killed when this is dropped.
struct Actor {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Role {
    /// Starts it after these commands of the shell.
    fn start(&self, first: &str, arguments: &[&str]) -> Actor {
        let role = match self {
            Self::Writer => "writer",
            Self::Filler => "filler",
            Self::Asker => "asker",
        };
        let mut process = Command::new("sh")
            .args(["-c", &format!("trap '' XFSZ; {first}\nexec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "plays_a_role", "--nocapture"])
            .env("ACCRUE_TEST_ROLE", [&[role], arguments].concat().join(" "))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Actor { process, lines }
    }
}

impl Actor {
    /// The next that it says.
    fn line(&mut self) -> String {
        self.said().next().expect("it says something")
    }

    /// Kills it; what it had said by then.
    fn kill(&mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.said().collect()
    }

    fn said(&mut self) -> impl Iterator<Item = String> {
        self.lines.by_ref().filter_map(|line| line.unwrap().strip_prefix(SAYS).map(str::to_owned))
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Not a test, but what other tests start in a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plays_a_role() {
    #[expect(clippy::disallowed_methods, reason = "how the process that starts this one tells it what to do")]
    let Ok(role) = std::env::var("ACCRUE_TEST_ROLE") else { return };
    let (role, argument) = role.split_once(' ').unwrap();
    match role {
        "writer" => {
            let store = RedbStore::open(argument, APP).unwrap();
            let tasks: Vec<_> =
                (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer))).collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
        "filler" => {
            let store = RedbStore::open(argument, APP).unwrap();
            fill(&store).await;
        }
        "asker" => match RedisStore::new(argument, APP).unwrap().ready().await {
            Ok(()) => says!("ready"),
            Err(error) => says!("{error}"),
        },
        role => panic!("{role}"),
    }
}

async fn write(store: RedbStore, writer: usize) {
    let id = client(&format!("writer-{writer}"));
    let kept = store.read(&id).await.unwrap();
    let first = kept.texts.first().map_or(0, |text| text.parse::<u64>().unwrap() + 1);
    for number in first.. {
        let before = kept.texts.iter().cloned().chain(number.checked_sub(1).map(|before| before.to_string()));
        let mut next = change(&[&number.to_string()], &[]);
        next.drop = before.collect();
        let whom = Whom::Client(id.clone());
        let (applied, revoked) = tokio::join!(store.apply(&id, next), store.revoke(&whom, number));
        applied.and(revoked).unwrap();
        says!("{id} {number}");
    }
}

async fn fill(store: &RedbStore) {
    for number in 0.. {
        while let Err(error) = store.apply(&client(&number.to_string()), change(&[&big(number)], &[])).await {
            says!("{error}");
            // what is there can still be read
            assert_eq!(texts(store, "0").await, [big(0)].into());
            store.ready().await.unwrap();
        }
        says!("{number}");
    }
}

/// A text of some size, unlike any other.
fn big(number: u32) -> String {
    format!("{number}:{}", "x".repeat(4000))
}
