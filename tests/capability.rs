//! Capabilities against known answers, and against a reference that is as plain as the contract's words.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use accrue::{Capability, CapabilityError, EntryProblem, Resource, ResourceError, Vocabulary};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use support::{cap, capability, list, resource, text, vectors};

// --- known answers -------------------------------------------------------------------------------------------

/// Where the contract covers less than Ably's open-source test server is known to, with no word of Ably's
/// documentation on it: the narrower reading can cost a client a channel, the wider one can give one away.
const NARROWER_ON_PURPOSE: [(&str, &str); 1] =
    [("cap-023", "section 4: a last \"*\" is one or more segments, so foo:* does not contain foo")];

#[test]
fn a_channel_is_allowed_where_ably_allows_it() {
    let file = vectors(include_str!("data/capability-match.json"));
    let cases = list(&file, "cases");
    assert_eq!(cases.len(), 56);
    for case in cases {
        let id = text(case, "id");
        let wish = capability(&json!({ text(case, "channel"): [text(case, "operation")] }));
        let allowed = wish.minus(&capability(&case["capability"])).is_empty();
        match NARROWER_ON_PURPOSE.iter().find(|(exception, _)| *exception == id) {
            None => assert_eq!(allowed, case["allowed"], "{case}"),
            Some((_, why)) => {
                assert_eq!(case["basis"], "ably-server test", "{id}: the documentation is binding");
                assert_eq!((allowed, &case["allowed"]), (false, &Value::Bool(true)), "{id}: {why}");
            }
        }
    }
}

#[test]
fn a_wish_is_cut_down_to_the_key_as_ably_does() {
    let file = vectors(include_str!("data/capability-match.json"));
    let cases = list(&file, "intersections");
    assert_eq!(cases.len(), 16);
    for case in cases {
        let key = capability(&case["keyCapability"]);
        // no wish at all is the key's own capability
        let wish =
            Some(&case["requested"]).filter(|wish| !wish.is_null()).map_or_else(|| key.clone(), capability);
        let result = Some(&case["result"]).filter(|result| !result.is_null());
        assert_eq!(wish.intersect(&key), result.map(capability).unwrap_or_default(), "{case}");
        assert_eq!(key.intersect(&wish), wish.intersect(&key), "{case}");
    }
}

#[test]
fn a_capability_is_well_formed_where_ably_accepts_it() {
    let file = vectors(include_str!("data/capability-match.json"));
    let cases = list(&file, "validity");
    assert_eq!(cases.len(), 5);
    for case in cases {
        let parsed = Capability::from_json(&case["capability"], &Vocabulary::default());
        assert_eq!(parsed.is_ok(), case["valid"], "{case}: {parsed:?}");
    }
}

/// What has to come of a capability that an SDK was given.
enum Canonical {
    /// The very text that ably-js signs.
    AsTheSdk,
    /// Another text for the same capability.
    Text(&'static str),
    /// A capability that is refused.
    Refused(fn(&CapabilityError) -> bool),
}

fn expected(id: &str) -> Canonical {
    match id {
        // ably-js keeps repeats; two texts for one capability would be one too many
        "tr-22" => Canonical::Text(r#"{"a":["publish","subscribe"]}"#),
        // Ably answers 400 to these, see `validity`
        "tr-23" => Canonical::Refused(|error| problem(error) == Some(&EntryProblem::NoOperations)),
        // as a parameter it counts as absent, but it is no capability
        "tr-25" => Canonical::Refused(|error| matches!(error, CapabilityError::Json(_))),
        // sorted by UTF-8 bytes, where JavaScript sorts by UTF-16 units
        "tr-28" => Canonical::Text(r#"{"～":["publish"],"😀":["publish"]}"#),
        // and where JavaScript puts members that look like integers first
        "tr-29" => Canonical::Text(r#"{"007":["publish"],"10":["publish"],"9":["publish"],"a":["publish"]}"#),
        "tr-32" => Canonical::Refused(|error| {
            problem(error) == Some(&EntryProblem::Resource(ResourceError::Control))
        }),
        _ => Canonical::AsTheSdk,
    }
}

fn problem(error: &CapabilityError) -> Option<&EntryProblem> {
    match error {
        CapabilityError::Entry { problem, .. } => Some(problem),
        _ => None,
    }
}

#[test]
fn the_canonical_text_is_the_one_that_ably_js_signs() {
    let file = vectors(include_str!("data/token-request.json"));
    let documented = &file["canonicalDifferences"]["ids"];
    assert_eq!(documented, &json!(["tr-28", "tr-29"]));
    let with_capability = list(&file, "vectors").iter().filter(|v| !v["input"]["capability"].is_null());
    let mut seen = 0;
    for vector in with_capability {
        let (id, input) = (text(vector, "id"), &vector["input"]["capability"]);
        let parsed = match input.as_str() {
            Some(text) => Capability::parse(text, &Vocabulary::default()),
            None => Capability::from_json(input, &Vocabulary::default()),
        };
        let printed = parsed.as_ref().map(ToString::to_string);
        let signed = text(vector, "capabilityText");
        match expected(id) {
            Canonical::AsTheSdk => assert_eq!(printed.as_deref(), Ok(signed), "{id}"),
            Canonical::Text(ours) => {
                assert_eq!(printed.as_deref(), Ok(ours), "{id}");
                assert_ne!(ours, signed, "{id} is no exception");
            }
            Canonical::Refused(why) => {
                assert!(parsed.as_ref().is_err_and(why), "{id}: {parsed:?}");
            }
        }
        if parsed.is_ok() {
            // what the SDK writes says the same
            assert_eq!(Capability::parse(signed, &Vocabulary::default()), parsed, "{id}");
        }
        seen += 1;
    }
    assert_eq!(seen, 20);
}

// --- the reference -------------------------------------------------------------------------------------------

/// Whether a pattern stands for a channel, word by word from section 4 of the contract.
fn matches(pattern: &str, channel: &str) -> bool {
    let ((qualifier, pattern), (kind, channel)) = (qualified(pattern), qualified(channel));
    // "`[*]` contains all kinds, no qualifier only plain channels"
    let kinds_agree = qualifier == "[*]" || qualifier == kind;
    // "Then segments, split at `:`"
    let pattern: Vec<&str> = pattern.split(':').collect();
    let channel: Vec<&str> = channel.split(':').collect();
    kinds_agree && segments_match(&pattern, &channel)
}

fn qualified(text: &str) -> (&str, &str) {
    for qualifier in ["[meta]", "[queue]", "[*]"] {
        if let Some(name) = text.strip_prefix(qualifier) {
            return (qualifier, name);
        }
    }
    ("", text)
}

fn segments_match(pattern: &[&str], channel: &[&str]) -> bool {
    match (pattern, channel) {
        ([], rest) => rest.is_empty(),
        // "A last `*` contains one or more segments, empty ones too"
        (["*"], rest) => !rest.is_empty(),
        (_, []) => false,
        // "any other `*` exactly one non-empty segment"
        (["*", pattern @ ..], [one, channel @ ..]) => !one.is_empty() && segments_match(pattern, channel),
        // "`*` inside a segment is literal"
        ([literal, pattern @ ..], [one, channel @ ..]) => literal == one && segments_match(pattern, channel),
    }
}

fn names(first: &[&str], then: &[&str], depth: usize) -> Vec<String> {
    let mut names: Vec<String> = first.iter().map(ToString::to_string).collect();
    let mut longest = names.clone();
    for _ in 1..depth {
        longest =
            longest.iter().flat_map(|name| then.iter().map(move |next| format!("{name}:{next}"))).collect();
        names.extend(longest.iter().cloned());
    }
    names
}

fn with_qualifiers(qualifiers: &[&str], names: &[String]) -> Vec<String> {
    qualifiers
        .iter()
        .flat_map(|qualifier| names.iter().map(move |name| format!("{qualifier}{name}")))
        .collect()
}

/// Every channel up to a depth. `b` stands in no pattern, so it is what only a wildcard can match.
fn channels(depth: usize) -> Vec<String> {
    with_qualifiers(&["", "[meta]", "[queue]"], &names(&["a", "b", "a*"], &["", "a", "b", "a*"], depth))
}

/// Every pattern up to a depth.
fn patterns(depth: usize) -> Vec<String> {
    with_qualifiers(
        &["", "[meta]", "[queue]", "[*]"],
        &names(&["a", "a*", "*"], &["", "a", "a*", "*"], depth),
    )
}

#[test]
fn the_reference_reads_the_contracts_examples_as_it_does() {
    for (pattern, channel, expected) in [
        ("foo:*", "foo:1", true),
        ("foo:*", "foo:1:2", true),
        ("foo:*", "foo::x", true),
        ("foo:*", "foo", false),
        ("foo:*:x", "foo::x", false),
        ("*", "[queue]x", false),
        ("[*]*", "[queue]x", true),
        ("a*", "ab", false),
    ] {
        assert_eq!(matches(pattern, channel), expected, "{pattern} {channel}");
        assert_eq!(resource(pattern).contains(resource(channel)), expected, "{pattern} {channel}");
    }
}

/// Small enough to try everything: 252 patterns, 765 channels that go one segment deeper than they do.
#[test]
fn a_pattern_contains_just_those_whose_channels_it_all_stands_for() {
    let (patterns, channels) = (patterns(3), channels(4));
    let matched: Vec<Vec<bool>> = patterns
        .iter()
        .map(|pattern| channels.iter().map(|channel| matches(pattern, channel)).collect())
        .collect();
    let resources: Vec<Resource<'_>> = patterns.iter().map(|pattern| resource(pattern)).collect();
    for (pattern, ours) in resources.iter().zip(&matched) {
        for (other, theirs) in resources.iter().zip(&matched) {
            let included = ours.iter().zip(theirs).all(|(ours, theirs)| *ours || !theirs);
            assert_eq!(pattern.contains(*other), included, "{pattern} contains {other}");
        }
    }
    let as_resources: Vec<Resource<'_>> = channels.iter().map(|channel| resource(channel)).collect();
    for (pattern, ours) in resources.iter().zip(&matched) {
        for (channel, expected) in as_resources.iter().zip(ours) {
            assert_eq!(pattern.contains(*channel), *expected, "{pattern} contains {channel}");
        }
    }
}

#[test]
fn containing_is_an_order() {
    let names = patterns(3);
    let patterns: Vec<Resource<'_>> = names.iter().map(|pattern| resource(pattern)).collect();
    let inside: BTreeMap<&Resource<'_>, Vec<&Resource<'_>>> = patterns
        .iter()
        .map(|pattern| (pattern, patterns.iter().filter(|other| pattern.contains(**other)).collect()))
        .collect();
    for (pattern, others) in &inside {
        assert!(others.contains(pattern), "{pattern} contains itself");
        for other in others {
            assert!(
                other == pattern || !other.contains(**pattern),
                "{pattern} and {other} contain each other"
            );
            for third in &inside[*other] {
                assert!(pattern.contains(**third), "{pattern} contains {other} contains {third}");
            }
        }
    }
}

// --- the algebra ---------------------------------------------------------------------------------------------

static CHANNELS: LazyLock<Vec<String>> = LazyLock::new(|| channels(3));

/// In lists there are the first two only, so the third is permitted by `*` alone.
const OPERATIONS: [&str; 3] = ["publish", "subscribe", "history"];

/// Entries one by one: a resource and one operation, or `*`.
type Entries = BTreeSet<(String, String)>;

fn entries(capability: &Capability) -> Entries {
    let json: BTreeMap<String, Vec<String>> = serde_json::from_str(&capability.to_string()).unwrap();
    json.into_iter()
        .flat_map(|(resource, names)| names.into_iter().map(move |name| (resource.clone(), name)))
        .collect()
}

/// All that these entries let anybody do.
fn permits(entries: &Entries) -> BTreeSet<(&'static str, &'static str)> {
    let mut permitted = BTreeSet::new();
    for (pattern, operation) in entries {
        for channel in CHANNELS.iter().filter(|channel| matches(pattern, channel)) {
            let operations = OPERATIONS.into_iter().filter(|one| operation == "*" || operation == one);
            permitted.extend(operations.map(|one| (channel.as_str(), one)));
        }
    }
    permitted
}

fn contains(pattern: &str, other: &str) -> bool {
    resource(pattern).contains(resource(other))
}

fn covered((resource, operation): &(String, String), by: &Entries) -> bool {
    by.iter().any(|(pattern, permitted)| {
        contains(pattern, resource) && (permitted == "*" || permitted == operation)
    })
}

fn some_capability() -> impl Strategy<Value = Capability> {
    let operations = prop_oneof![
        3 => subsequence(vec!["publish", "subscribe"], 1..=2),
        1 => Just(vec!["*"]),
    ];
    proptest::collection::btree_map(select(patterns(3)), operations, 0..5)
        .prop_map(|object| capability(&json!(object)))
}

proptest! {
    #[test]
    fn a_union_permits_just_what_either_permits(a in some_capability(), b in some_capability()) {
        let union = a.clone().union(&b);
        prop_assert_eq!(permits(&entries(&union)), &permits(&entries(&a)) | &permits(&entries(&b)));
        prop_assert_eq!(&union, &b.clone().union(&a));
        prop_assert_eq!(&union.clone().union(&a), &union);
        prop_assert!(a.minus(&union).is_empty() && b.minus(&union).is_empty());
    }

    #[test]
    fn minus_leaves_just_what_no_entry_of_the_other_covers(a in some_capability(), b in some_capability()) {
        let (theirs, minus, permitted) = (entries(&b), a.minus(&b), a.permitted_by(&b));
        let (expected_permitted, expected_minus): (Entries, Entries) =
            entries(&a).into_iter().partition(|entry| covered(entry, &theirs));
        prop_assert_eq!(entries(&minus), expected_minus);
        prop_assert_eq!(entries(&permitted), expected_permitted);
        prop_assert_eq!(minus.clone().union(&permitted), a);
        prop_assert!(minus.permitted_by(&b).is_empty());
        prop_assert!(permits(&entries(&permitted)).is_subset(&permits(&theirs)));
    }

    #[test]
    fn an_intersection_is_the_narrower_of_each_pair(a in some_capability(), b in some_capability()) {
        let (ours, theirs, common) = (entries(&a), entries(&b), a.intersect(&b));
        let mut expected = BTreeSet::new();
        for one in &ours {
            for other in &theirs {
                if contains(&one.0, &other.0) || contains(&other.0, &one.0) {
                    let [one, other] = [one, other].map(|entry| permits(&Entries::from([entry.clone()])));
                    expected.extend(&one & &other);
                }
            }
        }
        prop_assert_eq!(permits(&entries(&common)), expected);
        // entry by entry, too, nothing in it goes beyond either
        prop_assert!(common.minus(&a).is_empty() && common.minus(&b).is_empty());
        // and of what either has, all that the other covers is there
        prop_assert!(a.permitted_by(&b).minus(&common).is_empty());
        prop_assert!(b.permitted_by(&a).minus(&common).is_empty());
        prop_assert_eq!(&b.intersect(&a), &common);
        prop_assert_eq!(&a.intersect(&a), &a);
        prop_assert_eq!(&common.intersect(&a), &common);
    }
}

#[test]
fn a_list_of_operations_never_adds_up_to_all_of_them() {
    let every = "annotation-publish,annotation-subscribe,channel-metadata,history,message-delete-any,\
                 message-delete-own,message-update-any,message-update-own,object-publish,object-subscribe,presence,\
                 privileged-headers,publish,push-admin,push-subscribe,stats,subscribe";
    let (all, listed) = (cap("a=*"), cap(&format!("a={every}")));
    assert_eq!(listed.iter().map(|(_, operations)| operations.names().count()).sum::<usize>(), 17);
    assert_eq!(all.minus(&listed), all);
    assert_eq!(all.intersect(&listed), listed);
    assert!(listed.minus(&all).is_empty());
}

// --- the canonical text --------------------------------------------------------------------------------------

/// Names with all that JSON escapes, or could, and that sorts differently in other encodings.
fn some_name() -> impl Strategy<Value = String> {
    proptest::string::string_regex(r#"[a-zA-Z0-9é"\\/～😀][a-zA-Z0-9é"\\/～😀☕<&\[\]\* ,:]{0,5}"#).unwrap()
}

/// One entry as somebody may write it: operations in any order, some of them twice.
fn some_entry() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![
        3 => proptest::collection::vec(select(OPERATIONS.to_vec()), 1..6),
        1 => (1..3usize).prop_map(|times| vec!["*"; times]),
    ]
}

/// A JSON string in one of its many spellings.
fn spelled(text: &str, escape: bool) -> String {
    if !escape {
        return serde_json::to_string(text).unwrap();
    }
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
    format!("\"{units}\"")
}

proptest! {
    #[test]
    fn there_is_one_text_for_one_capability(
        (object, written, escape) in proptest::collection::btree_map(some_name(), some_entry(), 0..6)
            .prop_flat_map(|object| {
                let written: Vec<_> = object.clone().into_iter().collect();
                (Just(object), Just(written).prop_shuffle(), any::<bool>())
            }),
    ) {
        let ably = Vocabulary::default();
        let members: Vec<String> = written
            .iter()
            .map(|(name, list)| {
                let list: Vec<String> = list.iter().map(|operation| spelled(operation, escape)).collect();
                format!("{} :\n[ {} ]", spelled(name, escape), list.join(" , "))
            })
            .collect();
        let parsed = Capability::parse(&format!(" {{{}}}\t", members.join(",")), &ably).unwrap();
        prop_assert_eq!(&parsed, &Capability::from_json(&json!(object), &ably).unwrap());

        let printed = parsed.to_string();
        // byte for byte: sorted, without repeats, escaped as serde_json's compact form is
        let sorted: BTreeMap<&String, BTreeSet<&&str>> =
            object.iter().map(|(name, list)| (name, list.iter().collect())).collect();
        prop_assert_eq!(&printed, &serde_json::to_string(&sorted).unwrap());
        let again = Capability::parse(&printed, &ably).unwrap();
        prop_assert_eq!(&again, &parsed);
        prop_assert_eq!(again.to_string(), printed);
    }
}
