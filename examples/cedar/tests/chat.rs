//! The chat's policies, asked as accrue asks them.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use accrue::ably::ApiKey;
use accrue::{
    Ask, Asked, Capability, Client, ClientId, Decision, Issuer, Moment, PermissionCheck, Question,
    RefusalReason, Strategy, Vocabulary,
};
use accrue_cedar::CedarCheck;

const SCHEMA: &str = include_str!("../chat.cedarschema");
const POLICIES: &str = include_str!("../chat.cedar");
const PEOPLE: &str = include_str!("../people.json");

fn chat() -> CedarCheck {
    with(POLICIES)
}

#[track_caller]
fn with(policies: &str) -> CedarCheck {
    CedarCheck::new(SCHEMA, policies, PEOPLE).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn capability(text: &str) -> Capability {
    Capability::parse(text, &Vocabulary::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn client(id: &str) -> Client {
    Client::new(ClientId::try_from(id).expect("a clientId"))
}

/// Cedar waits for nothing.
#[track_caller]
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("it waits"),
    }
}

fn decision(check: &CedarCheck, id: &str, asked: Asked) -> Decision {
    at_once(check.check(Question::new(client(id), asked, Capability::default())))
}

#[track_caller]
fn granted(check: &CedarCheck, id: &str, asked: &str) -> String {
    match decision(check, id, Asked::These(capability(asked))) {
        Decision::Granted(granted) => granted.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Who asks for what, and gets what.
#[track_caller]
fn gets(id: &str, asked: &str, expected: &str) {
    assert_eq!(granted(&chat(), id, asked), expected, "{id} asked for {asked}");
}

#[test]
fn rooms() {
    let all = r#"{"chat:7":["history","message-delete-any","message-update-any","presence","publish","subscribe"]}"#;
    gets("alice", all, r#"{"chat:7":["history","presence","publish","subscribe"]}"#);
    gets("mod", all, all);
    gets("stranger", all, "{}");

    let public = r#"{"chat:lobby":["history","message-delete-any","publish","subscribe"]}"#;
    for reader in ["alice", "mod", "stranger"] {
        gets(reader, public, r#"{"chat:lobby":["history","subscribe"]}"#);
    }
    // a room that nobody has made is not an error
    gets("alice", r#"{"chat:7":["publish"],"chat:8":["subscribe"]}"#, r#"{"chat:7":["publish"]}"#);
}

#[test]
fn only_the_whole_name_is_a_room() {
    for other in [
        "chat:7:secret",
        "chat:lobby:7",
        "chat:",
        "chat::7",
        "chat:7:",
        "chat",
        "7",
        "room:7",
        "Chat:7",
        "chat:07",
        "chat:7 ",
        "[meta]chat:7",
        "[queue]chat:7",
    ] {
        gets("alice", &format!(r#"{{"{other}":["subscribe"]}}"#), "{}");
    }
}

#[test]
fn rooms_never_add_up_to_a_pattern() {
    let own = r#"{"chat:7":["subscribe"],"chat:lobby":["subscribe"]}"#;
    gets("alice", own, own);
    gets("alice", r#"{"chat:*":["subscribe"]}"#, "{}");

    gets("mod", r#"{"chat:*":["history","publish","subscribe"]}"#, r#"{"chat:*":["history","subscribe"]}"#);
    for other in [
        "*",
        "*:*",
        "*:7",
        "chat:*:x",
        "chat:7:*",
        "chat:*:*",
        "[*]*",
        "[*]chat:*",
        "[*]chat:7",
        "[meta]chat:*",
    ] {
        gets("mod", &format!(r#"{{"{other}":["subscribe"]}}"#), "{}");
    }
}

#[test]
fn every_resource_is_of_one_kind() {
    let patterns = r#"{"*":["stats"],"[*]*":["stats"],"[*]a":["stats"],"[meta]*":["stats"],"[queue]a:*":["stats"],"a:*:b":["stats"]}"#;
    let rooms = r#"{"chat:7":["stats"],"chat:7*":["stats"],"chat:[meta]":["stats"]}"#;
    let others = r#"{"[meta]a":["stats"],"a":["stats"],"a:b*":["stats"],"chat:":["stats"],"chat:7:8":["stats"],"chat]*":["stats"]}"#;
    let all = capability(patterns).union(&capability(rooms)).union(&capability(others)).to_string();
    for (kind, expected) in [("Pattern", patterns), ("Room", rooms), ("Other", others)] {
        let check = with(&format!("permit (principal, action, resource is {kind});"));
        assert_eq!(granted(&check, "alice", &all), expected, "{kind}");
    }
}

#[test]
fn operations_never_add_up_to_all_of_them() {
    for id in ["alice", "mod"] {
        gets(id, r#"{"chat:7":["*"],"chat:lobby":["subscribe"]}"#, r#"{"chat:lobby":["subscribe"]}"#);
    }
    let explicit = with(r#"permit (principal, action == Action::"*", resource is Room);"#);
    assert_eq!(granted(&explicit, "alice", r#"{"chat:7":["*"]}"#), r#"{"chat:7":["*"]}"#);
    assert_eq!(
        granted(&explicit, "alice", r#"{"chat:7":["subscribe"]}"#),
        "{}",
        "policies say what they mean"
    );
}

#[test]
fn ids_are_values() {
    let room_7 = r#"{"chat:7":["subscribe"]}"#;
    for id in [
        r#"alice" , "x"#,
        r#"User::"mod""#,
        r#"alice""#,
        r#""alice""#,
        r"alice\",
        r"\u{61}lice",
        "Alice",
        "alice ",
    ] {
        gets(id, room_7, "{}");
    }
    gets(
        "alice",
        r#"{"chat:Room::\"7\"":["subscribe"],"chat:7\"":["subscribe"],"chat:\\u{37}":["subscribe"]}"#,
        "{}",
    );

    let quoted = r#"[{ "uid": { "type": "User", "id": "alice\" , \"x" }, "attrs": {},
                       "parents": [{ "type": "Room", "id": "7" }] }]"#;
    let check = CedarCheck::new(SCHEMA, POLICIES, quoted).unwrap();
    assert_eq!(granted(&check, r#"alice" , "x"#, room_7), room_7);
    assert_eq!(granted(&check, "alice", room_7), "{}");
}

#[test]
fn the_banned_are_barred_whatever_they_ask_for() {
    for asked in [
        r#"{"chat:7":["subscribe"]}"#,
        r#"{"chat:lobby":["subscribe"]}"#,
        r#"{"chat:*":["message-delete-any"]}"#,
        r#"{"[meta]x":["*"]}"#,
        r#"{"x":["stats"]}"#,
    ] {
        let decision = decision(&chat(), "mallory", Asked::These(capability(asked)));
        assert!(matches!(decision, Decision::Barred), "{asked}: {decision:?}");
    }
    // any other policy that forbids only denies
    let check =
        with(r#"permit (principal, action, resource); forbid (principal, action, resource == Room::"7");"#);
    assert_eq!(
        granted(&check, "alice", r#"{"chat:7":["subscribe"],"chat:8":["subscribe"]}"#),
        r#"{"chat:8":["subscribe"]}"#
    );
}

#[test]
fn what_cannot_be_evaluated_is_denied_and_costs_nothing_else() {
    let check = with(
        r#"permit (principal, action, resource);
           forbid (principal, action, resource == Room::"7") when { 9223372036854775807 + 1 == 0 };"#,
    );
    let asked = r#"{"chat:7":["subscribe"],"chat:8":["subscribe"]}"#;
    assert_eq!(granted(&check, "alice", asked), r#"{"chat:8":["subscribe"]}"#);

    let newer = Vocabulary::with_extra(["teleport"]).unwrap();
    let asked = Capability::parse(r#"{"chat:8":["subscribe","teleport"]}"#, &newer).unwrap();
    let Decision::Granted(granted) = decision(&check, "alice", Asked::These(asked)) else { panic!() };
    assert_eq!(granted.to_string(), r#"{"chat:8":["subscribe"]}"#, "no action of the schema's");
}

#[test]
fn everything_is_more_than_it_can_say() {
    let decision = decision(&chat(), "alice", Asked::Everything);
    assert!(matches!(decision, Decision::Unavailable(_)), "{decision:?}");
    let key = ApiKey::parse("app.key:an-ably-secret").unwrap();
    assert!(Issuer::new(key, Strategy::Server, chat()).is_err());
}

#[test]
fn slips_of_the_pen_are_found_at_the_start() {
    for policies in [
        "permit (principal, action, resource",
        r#"forbid (principal in Role::"baned", action, resource);"#,
        r#"forbid (principal, action == Action::"subscribed", resource);"#,
        r#"forbid (principal, action, resource) when { resource.name like "chat:*" };"#,
        r#"forbid (principal, action, resource) when { resource is Room && resource is Pattern };"#,
    ] {
        assert!(CedarCheck::new(SCHEMA, policies, PEOPLE).is_err(), "{policies}");
    }
    let nowhere = r#"[{ "uid": { "type": "User", "id": "alice" }, "attrs": {}, "parents": [{ "type": "Role", "id": "admin" }] }]"#;
    assert!(CedarCheck::new(SCHEMA, POLICIES, nowhere).is_err());
}

#[test]
fn tokens_are_issued_on_it() {
    let issuer =
        Issuer::new(ApiKey::parse("app.key:an-ably-secret").unwrap(), Strategy::Client, chat()).unwrap();
    let moment = Moment::new(1_700_000_200_000, [7; 32]);
    let ask = |id, wishes| {
        let mut ask = Ask::new(client(id));
        ask.wishes = capability(wishes);
        ask
    };
    let asked = ask("alice", r#"{"chat:*":["subscribe"],"chat:7":["publish","stats"]}"#);
    let issued = at_once(issuer.issue(asked, &moment)).unwrap();
    assert_eq!(issued.permitted.text(), r#"{"chat:7":["publish"]}"#);
    assert_eq!(issued.refused.to_string(), r#"{"denied":{"chat:*":["subscribe"],"chat:7":["stats"]}}"#);
    assert_eq!(issued.report.check, Some("cedar"));

    let asked = ask("mallory", r#"{"chat:7":["subscribe"]}"#);
    let refusal = at_once(issuer.issue(asked, &moment)).unwrap_err();
    assert_eq!(refusal.reason, RefusalReason::Barred);
}
