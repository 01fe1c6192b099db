//! Grants that are somebody else's, made for something else, or changed.

use accrue::ably::ApiKey;
use accrue::{ClientId, Grant, SealingKeys, SealingSecret, Unreadable};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;

use crate::forge::{NO_CHATS, SINCE, bytes, counts, denying, derived, forged, hmac, with_digest};
use crate::service::*;

const ONE: &str = r#"{"chat:1":["subscribe"]}"#;

#[test]
fn another_clients_grant_counts_for_nothing() {
    let server = denying();
    let long = "x".repeat(256);
    for (one, other) in [
        ("alice", "bob"),
        ("alice", "Alice"),
        ("alice", "alice:"),
        ("alice", ":alice"),
        ("alice", "alice "),
        ("alice", "alic"),
        ("alice", "org:alice"),
        ("alice", "alice\u{200b}"),
        // alike to the eye, or by some normalisation
        ("alice", "\u{430}lice"),
        ("zo\u{eb}", "zoe\u{308}"),
        ("\u{212a}", "K"),
        ("\u{df}", "ss"),
        ("\u{fb01}", "fi"),
        ("i", "\u{131}"),
        ("a%62", "ab"),
        ("a+b", "a b"),
        ("1", "01"),
        ("null", "undefined"),
        (&long, &long[..255]),
    ] {
        for (owner, thief) in [(one, other), (other, one)] {
            let grant = sealed(owner, ONE, SINCE);
            assert!(counts(&server, owner, &grant), "{owner:?} has it");
            assert!(!counts(&server, thief, &grant), "{thief:?} has what is {owner:?}'s");
        }
    }
}

/// The digest is over `<clientId>:<CAPABILITIES>`. A client whose name goes on where another's ends gets digests over
/// the very text that the other would need; what follows the colon is no base64url then.
#[test]
fn a_colon_moved_between_client_and_capability_makes_no_grant() {
    let server = denying();
    let all = BASE64URL.encode(r#"{"*":["*"]}"#);
    for more in [all.as_str(), "", "b", "1j.k1.1700000100", &format!("{all}."), &format!(".{all}")] {
        let owner = format!("alice:{more}");
        let grant = sealed(&owner, ONE, SINCE);
        let [form, kid, since, capabilities, digest] = grant.split('.').collect::<Vec<_>>()[..] else {
            panic!("{grant}");
        };
        let moved = format!("{form}.{kid}.{since}.{more}:{capabilities}.{digest}");
        let ask = get("/auth").by("alice").header("accrue-grant", &moved);
        let (answer, outcome) = server.send_and_tell(ask);
        assert_eq!(answer.status_and_code(), (401, 40160), "{moved}");
        // where it has no dots the digest is right, and it is the colon that is refused
        let why = if more.contains('.') { Unreadable::Malformed } else { Unreadable::Contents };
        assert_eq!(outcome.report.grants, [Err(why)], "{moved}");
        for client in ["alice", "alice:", &format!("{owner}:")] {
            assert_eq!(counts(&server, client, &grant), client == owner, "{client} {grant}");
            assert!(!counts(&server, client, &moved), "{client} {moved}");
        }
    }
}

#[test]
fn a_client_id_that_ends_lines_or_texts_is_nobody() {
    let server = denying();
    for id in
        ["alice\0", "\0alice", "alice\u{85}", "alice\u{2028}", "alice\u{2029}x", "alice\u{7f}", "*", "al*ce"]
    {
        let named = server.send(get("/auth").by("alice").with("clientId", id));
        assert_eq!(named.status_and_code(), (400, 40012), "{id:?}");
    }
    for id in ["alice\r\nbob", "alice\nbob", "\t"] {
        let named = server.send(get("/auth").by("alice").with("clientId", id));
        assert_eq!(named.status_and_code(), (400, 40012), "{id:?}");
    }
    // neither does an authenticated one become somebody by being cut off there
    for id in ["alice\u{85}", "alice\u{2028}", "*"] {
        assert_eq!(server.send(get("/auth").by(id)).status_and_code(), (400, 40012), "{id:?}");
    }
    assert_eq!(server.send(get("/auth").by("alice").with("clientId", "%00")).status_and_code(), (401, 40102));
    let cut = get("/auth?clientId=alice%FFx").by("alice");
    assert_eq!(server.send(cut).status_and_code(), (400, 40000), "no UTF-8");
}

#[test]
fn another_apps_grant_counts_for_nothing() {
    let server = denying();
    let of = |key: &str| {
        let keys = SealingKeys::new(&ApiKey::parse(key).unwrap(), vec![SealingSecret::parse(K1).unwrap()]);
        let grant = Grant { capability: capability(ONE), since: SINCE };
        keys.unwrap().seal(&ClientId::try_from("alice").unwrap(), &grant).unwrap()
    };
    for key in ["other.key:s", "ap.pkey:s", "appp.key:s", "App.key:s", "app_.key:s", "key.app:s"] {
        assert!(!counts(&server, "alice", &of(key)), "{key}");
    }
    // every key of one app shares them
    assert!(counts(&server, "alice", &of("app.another-key:s")));
}

#[test]
fn what_the_same_secret_made_for_another_purpose_counts_for_nothing() {
    let server = denying();
    let (head, capabilities) = (format!("1j.k1.{SINCE}"), BASE64URL.encode(ONE));
    let (secret, message) = (bytes(K1), format!("alice:{capabilities}"));
    let text = K1.split_once(':').unwrap().1.as_bytes();
    let info = format!("app\n{head}");
    let right = derived(&secret, b"accrue/grant", &info);
    let sealed_with = |key: &[u8], message: &str| with_digest(&head, &capabilities, &hmac(key, message));
    assert!(counts(&server, "alice", &sealed_with(&right, &message)));
    for (what, grant) in [
        ("the secret itself", sealed_with(&secret, &message)),
        ("its text", sealed_with(text, &message)),
        ("its text as HKDF's secret", sealed_with(&derived(text, b"accrue/grant", &info), &message)),
        ("no salt", sealed_with(&derived(&secret, b"", &info), &message)),
        ("another salt", sealed_with(&derived(&secret, b"accrue/session", &info), &message)),
        ("no app", sealed_with(&derived(&secret, b"accrue/grant", &head), &message)),
        ("no info", sealed_with(&derived(&secret, b"accrue/grant", ""), &message)),
        (
            "another joint",
            sealed_with(&derived(&secret, b"accrue/grant", &info.replace('\n', ".")), &message),
        ),
        ("Ably's secret", sealed_with(KEY.split_once(':').unwrap().1.as_bytes(), &message)),
        ("nothing", sealed_with(b"", &message)),
        ("no client", sealed_with(&right, &capabilities)),
        ("JSON instead of its base64url", sealed_with(&right, &format!("alice:{ONE}"))),
        ("the whole text", sealed_with(&right, &format!("alice:{head}.{capabilities}"))),
    ] {
        assert!(!counts(&server, "alice", &grant), "{what}");
    }
}

/// Every part of a grant, changed as somebody would who hopes that it isn't covered.
#[test]
fn a_grant_that_was_changed_counts_for_nothing() {
    let both = [("ACCRUE_SECRETS", &*format!("{K1},{K2}"))];
    let server = Server::configured(NO_CHATS, &both);
    let good = sealed("alice", ONE, SINCE);
    assert!(counts(&server, "alice", &good));
    let [_, _, since, capabilities, digest] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("{good}")
    };
    let with = |head: &str, capabilities: &str, digest: &str| format!("{head}.{capabilities}.{digest}");
    let head = format!("1j.k1.{since}");
    let at = |since: u64| with(&format!("1j.k1.{since}"), capabilities, digest);
    let deflated = BASE64URL.encode(miniz_oxide::deflate::compress_to_vec(ONE.as_bytes(), 6));
    let wider = BASE64URL.encode(r#"{"*":["*"]}"#);
    let twice = sealed("alice", r#"{"chat:2":["subscribe"]}"#, SINCE);
    let mut changed = vec![
        // the other secret, which is known here too
        with(&format!("1j.k2.{since}"), capabilities, digest),
        with(&format!("1j.K1.{since}"), capabilities, digest),
        with(&format!("1j.k1 .{since}"), capabilities, digest),
        with(&format!("1j..{since}"), capabilities, digest),
        // the other form, with the same bytes or the right ones
        with(&format!("1z.k1.{since}"), capabilities, digest),
        with(&format!("1z.k1.{since}"), &deflated, digest),
        with(&format!("1J.k1.{since}"), capabilities, digest),
        with(&format!("2j.k1.{since}"), capabilities, digest),
        with(&format!("1.k1.{since}"), capabilities, digest),
        // younger, older, and the same in other writing
        at(SINCE + 1),
        at(SINCE + 300),
        at(SINCE - 1),
        at(NOW + 60),
        with(&format!("1j.k1.0{since}"), capabilities, digest),
        with(&format!("1j.k1.+{since}"), capabilities, digest),
        with(&format!("1j.k1.{since}.0"), capabilities, digest),
        // more, in the same writing or another
        with(&head, &wider, digest),
        with(&head, &BASE64URL.encode(r#"{"chat:1":["subscribe"] }"#), digest),
        with(&head, &format!("{capabilities}="), digest),
        with(&head, &format!("{capabilities}A"), digest),
        with(&head, "", digest),
        with(&head, capabilities, twice.rsplit('.').next().unwrap()),
        // a shorter or longer digest, or the same in other writing
        with(&head, capabilities, ""),
        with(&head, capabilities, &digest[..42]),
        with(&head, capabilities, &digest[..22]),
        with(&head, capabilities, &format!("{digest}=")),
        with(&head, capabilities, &format!("{digest}A")),
        with(&head, capabilities, &digest.to_lowercase()),
        with(&head, capabilities, &"A".repeat(43)),
        // around it
        format!("\"{good}\""),
        format!("{good}."),
        format!(".{good}"),
        good.replace('.', "%2E"),
    ];
    // the last character of a digest has two bits that say nothing
    let last = digest.bytes().last().unwrap();
    for other in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/" {
        if *other != last {
            changed.push(with(&head, capabilities, &format!("{}{}", &digest[..42], char::from(*other))));
        }
    }
    for grant in &changed {
        assert_ne!(*grant, good);
        assert!(!counts(&server, "alice", grant), "{grant}");
    }
}

/// The right key, and contents that sealing would not have written: nothing that two readers could read differently.
#[test]
fn a_right_digest_over_other_writing_counts_for_nothing() {
    let server = denying();
    let plain = format!("1j.k1.{SINCE}");
    assert!(counts(&server, "alice", &forged(K1, &plain, "alice", ONE.as_bytes())));
    for contents in [
        "",
        "{}",
        "[]",
        "null",
        "\u{feff}{\"chat:1\":[\"subscribe\"]}",
        r#"{"chat:1": ["subscribe"]}"#,
        r#"{"chat:1":["subscribe"]}"#.replace("chat", "\\u0063hat").as_str(),
        r#"{"chat:1":["subscribe"],"chat:1":["*"]}"#,
        r#"{"chat:2":["*"],"chat:1":["*"]}"#,
        r#"{"chat:1":["subscribe","publish"]}"#,
        r#"{"chat:1":["subscribe","*"]}"#,
        r#"{"chat:1":[]}"#,
        r#"{"chat:1":"subscribe"}"#,
        r#"{"[?rewind=1]chat":["subscribe"]}"#,
        r#"{"[meta]":["subscribe"]}"#,
        r#"{"":["subscribe"]}"#,
        r#"{"chat:1":["everything"]}"#,
        "{\"chat:1\":[\"subscribe\"]}\n",
    ] {
        let grant = forged(K1, &plain, "alice", contents.as_bytes());
        assert!(!counts(&server, "alice", &grant), "{contents}");
    }
    let early = forged(K1, &format!("1j.k1.{}", NOW + 61), "alice", ONE.as_bytes());
    assert!(!counts(&server, "alice", &early), "from the future");
}
