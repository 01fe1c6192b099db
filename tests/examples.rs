//! The programs in `examples` that serve: each is started, and asked as its first lines say.

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;

use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use http::Answer;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use process::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

/// `cargo test` has built it, beside this test.
#[track_caller]
fn program(name: &str) -> Command {
    let this: PathBuf = std::env::current_exe().expect("a test has a path");
    let target = this.parent().and_then(|deps| deps.parent()).expect("a test is in target/PROFILE/deps");
    let path = target.join("examples").join(name);
    assert!(path.exists(), "{} is not there: cargo build --examples", path.display());
    let mut command = Command::new(path);
    command.env_clear();
    command
}

#[track_caller]
fn start(name: &str) -> Server {
    Server::of(program(name).arg("127.0.0.1:0"))
}

/// What somebody with this header gets who wishes for this.
#[track_caller]
fn wish(server: &Server, path: &str, header: (&str, &str), capability: &Value) -> Answer {
    let body = json!({ "capability": capability }).to_string();
    server.request(&format!("POST {path}"), &[("Content-Type", "application/json"), header], &body)
}

#[track_caller]
fn is_granted(answer: &Answer, client: &str, capability: &Value) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.json();
    assert_eq!(token["clientId"], client);
    assert_eq!(token["capability"], capability.to_string());
}

#[track_caller]
fn is_refused(answer: &Answer, code: u64) {
    answer.assert_error(401, code);
}

/// What the client keeps of an answer: a cookie without its attributes.
#[track_caller]
fn kept(answer: &Answer) -> &str {
    let cookie = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie in {answer:?}"));
    cookie.split(';').next().expect("split gives one at least")
}

#[test]
fn embed_axum_asks_its_sessions_and_its_database() {
    let server = start("embed_axum");
    assert_eq!(server.request("GET /", &[], "").body, "your application");
    let (path, alice) = ("/ably/auth", ("Cookie", "session=of-alice"));
    let wishes = json!({"room:1": ["publish", "subscribe"], "room:2": ["publish", "subscribe"]});

    let answer = wish(&server, path, alice, &wishes);
    is_granted(&answer, "alice", &json!({"room:1": ["publish", "subscribe"], "room:2": ["subscribe"]}));
    assert_eq!(answer.header("accrue-refused"), Some(r#"{"denied":{"room:2":["publish"]}}"#));
    // the next one needs no wish
    let both = format!("session=of-alice; {}", kept(&answer));
    let again = server.request("GET /ably/auth", &[("Cookie", &both)], "");
    is_granted(&again, "alice", &json!({"room:1": ["publish", "subscribe"], "room:2": ["subscribe"]}));
    // and is worth nothing in another's session
    let stolen = both.replace("of-alice", "of-bob");
    is_refused(&server.request("GET /ably/auth", &[("Cookie", &stolen)], ""), 40160);

    is_granted(
        &wish(&server, path, ("Cookie", "session=of-bob"), &wishes),
        "bob",
        &json!({"room:2": ["subscribe"]}),
    );
    for nobody in [("Cookie", "session=of-carol"), ("Cookie", "a=b"), ("X-Client-Id", "alice")] {
        is_refused(&wish(&server, path, nobody, &wishes), 40100);
    }
}

#[test]
fn embed_hyper_believes_the_applications_session() {
    let server = start("embed_hyper");
    assert_eq!(server.request("GET /", &[], "").body, "your application\n");
    let key = EncodingKey::from_secret(b"what your application signs its sessions with");
    let claims = json!({"sub": "alice", "exp": now() + 60});
    let session = encode(&Header::new(Algorithm::HS256), &claims, &key).expect("it can be signed");
    let own = json!({"alice:1": ["publish"]});
    let bearer = format!("Bearer {session}");
    let answer = wish(&server, "/auth", ("Authorization", &bearer), &own);
    is_granted(&answer, "alice", &own);
    assert!(kept(&answer).starts_with("__Host-accrue."));
    is_refused(&wish(&server, "/auth", ("Authorization", &bearer), &json!({"bob:1": ["publish"]})), 40160);
    is_refused(&wish(&server, "/auth", ("Authorization", &format!("{bearer}x")), &own), 40100);
}

#[test]
fn closure_asks_two_closures() {
    let server = start("closure");
    let wishes = json!({"room:1": ["subscribe"], "room:2": ["subscribe"]});
    let answer = wish(&server, "/auth", ("Authorization", "Bearer of-alice"), &wishes);
    is_granted(&answer, "alice", &json!({"room:1": ["subscribe"]}));
    assert_eq!(answer.header("accrue-refused"), Some(r#"{"denied":{"room:2":["subscribe"]}}"#));
    is_granted(&wish(&server, "/auth", ("Authorization", "Bearer of-bob"), &wishes), "bob", &wishes);
    is_refused(&wish(&server, "/auth", ("Authorization", "Bearer of-carol"), &wishes), 40100);
}

/// `embed_config` on an address, with a configuration that believes anybody, in a folder that has to be kept.
fn embed_config(listen: &str) -> (TempDir, Command) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("accrue.toml");
    std::fs::write(&file, "[authenticate.claimed]\n[permission.rules]\n\"chat:*\" = [\"subscribe\"]\n")
        .expect("and written to");
    let variables = [
        ("ABLY_API_KEY", "app.key:an-ably-secret"),
        ("ACCRUE_SECRETS", "k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY"),
    ];
    let mut command = program("embed_config");
    command.arg(&file).arg(listen).envs(variables);
    (folder, command)
}

#[test]
fn embed_config_serves_what_a_file_describes_below_a_prefix() {
    let (_folder, mut command) = embed_config("127.0.0.1:0");
    let server = Server::of(&mut command);
    assert_eq!(server.request("GET /", &[], "").body, "your application");
    let own = json!({"chat:1": ["subscribe"]});
    is_granted(&wish(&server, "/ably/auth?clientId=alice", ("Host", "localhost"), &own), "alice", &own);
    assert_eq!(server.request("GET /ably/readyz", &[], "").status, 200);
    assert_eq!(server.request("GET /auth", &[], "").status, 404);
}

#[test]
fn embed_config_refuses_what_is_for_this_machine_only_where_others_reach_it() {
    let (_folder, mut command) = embed_config("0.0.0.0:0");
    let refused = command.output().expect("it can be run");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("authenticate.claimed"), "{said}");
}

fn now() -> u64 {
    #![expect(clippy::disallowed_methods, reason = "sessions end by the real clock")]
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}
