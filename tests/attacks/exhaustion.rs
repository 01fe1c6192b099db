//! Little that is sent and much that comes of it. (Sockets, floods and slow clients are in `tests/faults`.)

use accrue::Unreadable;
use serde_json::{Map, Value, json};

use crate::forge::{SINCE, denying, forged};
use crate::service::*;

/// A deflated grant of a few kilobytes that inflates to many megabytes. Without the right digest it isn't inflated at
/// all: that is told from why it is refused. With it, no more is inflated than a grant may have.
#[test]
fn a_grant_that_inflates_without_end() {
    let server = denying();
    let head = format!("1z.k1.{SINCE}");
    let channels: Map<String, Value> = (0..6000).map(|n| (format!("chat:{n:05}"), json!(["*"]))).collect();
    let too_long = Value::from(channels).to_string();
    assert!(too_long.len() > 65_536);
    for text in [
        " ".repeat(10_000_000),
        "[".repeat(10_000_000),
        "\0".repeat(65_537),
        too_long,
        "{\"a\":".repeat(1_000_000),
    ] {
        let bomb = miniz_oxide::deflate::compress_to_vec(text.as_bytes(), 9);
        let right = forged(K1, &head, "alice", &bomb);
        assert!(right.len() < 31_000, "{}", right.len());
        let wrong = forged(K2, &head, "alice", &bomb);
        for (grant, why) in [(right, Unreadable::Contents), (wrong, Unreadable::Digest)] {
            let (answer, outcome) =
                server.send_and_tell(get("/auth").by("alice").header("accrue-grant", &grant));
            assert_eq!(answer.status_and_code(), (401, 40160));
            assert_eq!(outcome.report.grants, [Err(why)]);
        }
    }
    // what ends in the middle, has something behind it, or copies from before its beginning
    for bytes in [
        &b""[..],
        b"\x03",
        b"\x03\x00x",
        b"\x00\x00\x00\xff\xff",
        b"\x06",
        b"\x63\x60\x80\x00",
        &[0xff; 300],
        &[0; 300],
    ] {
        let grant = forged(K1, &head, "alice", bytes);
        let (_, outcome) = server.send_and_tell(get("/auth").by("alice").header("accrue-grant", &grant));
        assert_eq!(outcome.report.grants, [Err(Unreadable::Contents)], "{bytes:?}");
    }
}

#[test]
fn a_body_that_inflates_without_end() {
    let server = denying();
    let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b' '; 10_000_000], 9);
    for encoding in ["gzip", "deflate", "br", "zstd", "identity", "", "gzip, gzip", "GZIP"] {
        for content_type in ["application/json", "application/x-www-form-urlencoded"] {
            let ask = post("/auth")
                .by("alice")
                .body(content_type, bomb.clone())
                .header("content-encoding", encoding);
            assert_eq!(server.send(ask).status_and_code(), (415, 41500), "{encoding:?}");
        }
    }
    // without saying so it is no JSON
    let ask = post("/auth").by("alice").body("application/json", bomb);
    assert_eq!(server.send(ask).status_and_code(), (400, 40000));
}

/// As the body, and as the text of a capability.
#[test]
fn json_that_parsers_stumble_over() {
    let server = denying();
    let deep =
        |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let mut texts: Vec<Vec<u8>> = [
        deep("[", "]", 200),
        deep("[", "]", 30_000),
        deep(r#"{"a":"#, "}", 200),
        "[".repeat(60_000),
        r#"{"a":"#.repeat(12_000),
        r#"{"chat:1":["subscribe"],"chat:1":["*"]}"#.to_owned(),
        r#"{"chat:1":["subscribe"],"ch\u0061t:1":["*"]}"#.to_owned(),
        r#"{"chat:\ud800":["subscribe"]}"#.to_owned(),
        r#"{"chat:\udc00\ud800":["subscribe"]}"#.to_owned(),
        r#"{"chat:\u0000":["subscribe"]}"#.to_owned(),
        "{\"chat:\u{0}\":[\"subscribe\"]}".to_owned(),
        "\u{feff}{\"chat:1\":[\"subscribe\"]}".to_owned(),
        r#"{"chat:1":["subscribe"]}{"#.to_owned(),
        r#"{"chat:1":["subscribe",]}"#.to_owned(),
        r#"{"chat:1":["subscribe"],}"#.to_owned(),
        r#"{'chat:1':['subscribe']}"#.to_owned(),
        r#"{chat:["subscribe"]}"#.to_owned(),
        r#"{"chat:1":["subscribe"]/**/}"#.to_owned(),
        r#"{"chat:1":NaN}"#.to_owned(),
        r#"{"chat:1":1e999}"#.to_owned(),
        format!(r#"{{"chat:1":{}}}"#, "9".repeat(60_000)),
        format!(r#"{{"chat:1":-0.{}1}}"#, "0".repeat(60_000)),
        format!(r#"{{"chat:1":1e{}}}"#, "9".repeat(60_000)),
        r#"{"__proto__":{"isAdmin":true}}"#.to_owned(),
    ]
    .map(String::into_bytes)
    .into();
    texts.push(b"{\"chat:\xff\":[\"subscribe\"]}".to_vec());
    texts.push(b"{\"chat:\xc0\xae\":[\"subscribe\"]}".to_vec());
    texts.push(b"{\"chat:\xed\xa0\x80\":[\"subscribe\"]}".to_vec());
    texts.push(b"\xff\xfe{\x00}\x00".to_vec());
    for text in texts {
        let shown = String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned();
        let capability = [b"{\"capability\":", text.as_slice(), b"}"].concat();
        let answer = server.send(post("/auth").by("alice").body("application/json", capability));
        assert_eq!(answer.status_and_code(), (400, 40000), "{shown}");
        let query: String = form_urlencoded::byte_serialize(&text).collect();
        if query.len() < 20_000 {
            let answer = server.send(get(&format!("/auth?capability={query}")).by("alice"));
            assert_eq!(answer.status_and_code(), (400, 40000), "{shown}");
        }
    }
    // what nobody reads is not believed either, and costs nothing more
    let nested = format!(r#"{{"x":{}}}"#, deep("[", "]", 100));
    assert_eq!(
        server.send(post("/auth").by("alice").body("application/json", nested)).status_and_code(),
        (401, 40160)
    );
}

/// Names that all have one hash. Members of JSON objects are kept in trees; maps by clientId (memory store, questions in
/// flight) have the standard library's hasher, which is seeded; headers are 100 at most; parameters are compared with
/// four names, candidates and operations with lists of a few.
#[test]
fn thousands_of_names_are_kept_in_trees_where_no_hash_is_shared() {
    let members: Map<String, Value> = serde_json::from_str(r#"{"b":1,"c":2,"a":3}"#).unwrap();
    assert_eq!(
        members.keys().collect::<Vec<_>>(),
        ["a", "b", "c"],
        "a tree: sorted, whatever order they came in"
    );

    let server = denying();
    let names: Map<String, Value> = (0..5500).map(|n| (format!("{n:x}"), Value::Null)).collect();
    let body = Value::from(names).to_string();
    assert!((60_000..65_536).contains(&body.len()), "{}", body.len());
    let answer = server.send(post("/auth").by("alice").body("application/json", body));
    assert_eq!(answer.status_and_code(), (401, 40160));
    let pairs: Vec<String> = (0..3000).map(|n| format!("{n:x}=")).collect();
    assert_eq!(
        server.send(get(&format!("/auth?{}", pairs.join("&"))).by("alice")).status_and_code(),
        (401, 40160)
    );
    let headers = (0..100).fold(get("/auth").by("alice"), |ask, n| ask.header(&format!("x-{n}"), "x"));
    assert_eq!(server.send(headers).status_and_code(), (431, 43100));
}

/// As many resources as there is room for, in wishes and in sixteen grants: the answer is bounded, and it is one.
#[test]
fn more_resources_than_anybody_needs() {
    let check = Check::saying(Verdict::Grant);
    let server = Server::checked_by(&check);
    let named = |kind: &str, count: usize| {
        let names: Map<String, Value> =
            (0..count).map(|n| (format!("{kind}:{n:03}:*"), json!(["*"]))).collect();
        Value::from(names).to_string()
    };
    let wished = get("/auth").by("alice").wishing(&named("w", 257));
    assert_eq!(server.send(wished).status_and_code(), (400, 40000));
    // each pattern is held against each other one: thousands would take seconds, so two grants' worth is all that counts
    for (count, looked_at) in [(256, 2), (513, 0), (700, 0)] {
        let grants: Vec<String> =
            (0..12).map(|n| sealed("alice", &named(&format!("g{n}"), count), SINCE)).collect();
        let header = grants.join(", ");
        assert!(header.len() < 31_000, "{}", header.len());
        let ask = post("/auth").by("alice").header("accrue-grant", header);
        let ask = ask.json(&json!({ "capability": named("w", 256) }));
        let (answer, outcome) = server.send_and_tell(ask);
        assert_eq!(outcome.report.grants.iter().flatten().count(), looked_at, "{count}");
        let capability = answer.token()["capability"].as_str().unwrap().to_owned();
        assert!(capability.len() <= 65_536 && answer.header("accrue-grant").unwrap().len() < 31_000);
    }
}
