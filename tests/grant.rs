//! Sealed grants against an independent implementation's, and against everybody who would like them changed.

mod support;

use std::collections::BTreeMap;

use accrue::ably::ApiKey;
use accrue::{
    Capability, ClientId, Grant, SealedText, SealingKeys, SealingSecret, Unreadable, Unsealed, Vocabulary,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;
use support::{capability, client_id, list, text, vectors};

/// One known answer.
struct Vector {
    name: String,
    keys: SealingKeys,
    client: ClientId,
    grant: Grant,
    kid: String,
    sealed: String,
}

impl Vector {
    fn all() -> Vec<Self> {
        let file = vectors(include_str!("data/sealed-grant.json"));
        let all: Vec<Self> = list(&file, "vectors").iter().map(Self::read).collect();
        assert_eq!(all.len(), 12);
        all
    }

    fn read(vector: &serde_json::Value) -> Self {
        Self {
            name: text(vector, "name").to_owned(),
            keys: keys(text(vector, "keyName"), &[(text(vector, "kid"), text(vector, "secret"))]),
            client: client_id(text(vector, "clientId")),
            grant: Grant {
                capability: capability(&vector["capability"]),
                since: vector["since"].as_u64().expect("Unix seconds"),
            },
            kid: text(vector, "kid").to_owned(),
            sealed: text(vector, "grant").to_owned(),
        }
    }

    fn unseal(&self, sealed: &str) -> Result<Unsealed, Unreadable> {
        self.keys.unseal(&self.client, sealed, NOW, &Vocabulary::default())
    }

    fn parts(&self) -> Vec<&str> {
        self.sealed.split('.').collect()
    }
}

/// After every `since` of the vectors.
const NOW: u64 = 1_700_100_000;
const SECRET: &str = "3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY";

#[track_caller]
fn keys(key_name: &str, secrets: &[(&str, &str)]) -> SealingKeys {
    let key = ApiKey::parse(&format!("{key_name}:an-ably-secret")).unwrap();
    let secrets =
        secrets.iter().map(|(kid, secret)| SealingSecret::parse(&format!("{kid}:{secret}")).unwrap());
    SealingKeys::new(&key, secrets.collect()).unwrap()
}

#[track_caller]
fn absent(vector: &Vector, sealed: &str) {
    let read = vector.unseal(sealed);
    assert!(read.is_err(), "{}: {sealed} counts as {read:?}", vector.name);
}

// --- known answers -------------------------------------------------------------------------------------------

#[test]
fn every_vector_unseals_to_what_it_says() {
    for vector in Vector::all() {
        let unsealed =
            Unsealed { grant: vector.grant.clone(), kid: vector.kid.as_str().into(), current: true };
        assert_eq!(vector.unseal(&vector.sealed), Ok(unsealed), "{}", vector.name);
        let read = SealedText::parse(&vector.sealed).unwrap();
        assert_eq!((read.untrusted_kid(), read.untrusted_since()), (&*vector.kid, vector.grant.since));
        let capability = read.untrusted_capability(&Vocabulary::default());
        assert_eq!(capability.as_ref(), Some(&vector.grant.capability), "{}", vector.name);
    }
}

#[test]
fn sealing_gives_the_very_text_or_where_it_is_deflated_one_as_good() {
    let mut deflated = 0;
    for vector in Vector::all() {
        let sealed = vector.keys.seal(&vector.client, &vector.grant).expect("it can be sealed");
        if vector.sealed.starts_with("1j.") {
            assert_eq!(sealed, vector.sealed, "{}", vector.name);
        } else {
            deflated += 1;
            assert!(sealed.starts_with("1z."), "{}: {sealed}", vector.name);
            assert_eq!(vector.unseal(&sealed).map(|unsealed| unsealed.grant), Ok(vector.grant.clone()));
            assert!(sealed.len() < vector.grant.capability.to_string().len(), "{}", vector.name);
        }
    }
    assert_eq!(deflated, 1);
}

// --- changes -------------------------------------------------------------------------------------------------

#[test]
fn no_character_can_be_changed() {
    for vector in Vector::all() {
        for (at, original) in vector.sealed.char_indices() {
            let other_case = match original.is_ascii_lowercase() {
                true => original.to_ascii_uppercase(),
                false => original.to_ascii_lowercase(),
            };
            // the next letter differs in the lowest bit or two: where bits are left over, in just those
            let next = char::from(original as u8 + 1);
            for other in [other_case, next, '.', 'A', '_', '-', '=', '0', ' ', '"', '\0', 'é'] {
                if other != original {
                    let mut changed = vector.sealed.clone();
                    changed.replace_range(at..=at, other.encode_utf8(&mut [0; 4]));
                    absent(&vector, &changed);
                }
            }
        }
    }
}

#[test]
fn nothing_can_be_cut_off_put_on_or_left_out() {
    for vector in Vector::all() {
        let sealed = &vector.sealed;
        for at in 1..=sealed.len() {
            absent(&vector, &sealed[at..]);
            absent(&vector, &sealed[..sealed.len() - at]);
        }
        for at in 0..sealed.len() {
            absent(&vector, &format!("{}{}", &sealed[..at], &sealed[at + 1..]));
        }
        for byte in 0..=0x7f_u8 {
            absent(&vector, &format!("{}{sealed}", char::from(byte)));
            absent(&vector, &format!("{sealed}{}", char::from(byte)));
        }
        for (before, after) in [("", "\u{feff}"), ("\u{feff}", ""), ("\"", "\""), ("", ".x"), ("x.", "")] {
            absent(&vector, &format!("{before}{sealed}{after}"));
        }
    }
}

#[test]
fn parts_of_two_grants_make_no_third() {
    let all = Vector::all();
    let mut tried = 0;
    for vector in &all {
        for other in &all {
            for which in 0..5 {
                let mut parts = vector.parts();
                parts[which] = other.parts()[which];
                let swapped = parts.join(".");
                if swapped != vector.sealed {
                    absent(vector, &swapped);
                    tried += 1;
                }
            }
        }
        // the form is signed, too: these bytes as the other form's
        let (plain, deflated) =
            (vector.sealed.replacen("1z", "1j", 1), vector.sealed.replacen("1j", "1z", 1));
        absent(vector, if plain == vector.sealed { &deflated } else { &plain });
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn a_grant_is_nobody_elses() {
    for vector in Vector::all() {
        let own = vector.client.as_str();
        let upper = own.to_uppercase();
        // the boundary moved: what a colon could shift from one side to the other
        let longer = format!("{own}:{}", &vector.parts()[3][..8]);
        let shorter = own.rsplit_once(':').map_or("nobody", |(front, _)| front);
        for other in ["bob", "alice2", "a", "zoe\u{308}", " alice", &upper, &longer, shorter] {
            if other == own {
                continue;
            }
            let read = vector.keys.unseal(&client_id(other), &vector.sealed, NOW, &Vocabulary::default());
            assert_eq!(read, Err(Unreadable::Digest), "{}: {other}", vector.name);
        }
    }
}

#[test]
fn a_grant_is_good_for_its_own_ably_app_and_secret_only() {
    let file = vectors(include_str!("data/sealed-grant.json"));
    for vector in list(&file, "vectors") {
        let (kid, secret) = (text(vector, "kid"), text(vector, "secret"));
        let app = text(vector, "keyName").split('.').next().unwrap();
        let client = client_id(text(vector, "clientId"));
        let read =
            |keys: &SealingKeys| keys.unseal(&client, text(vector, "grant"), NOW, &Vocabulary::default());
        let other_secret = "vTzZGGWgUdmrDMSzmTIJRI0uKFfeL5N4lFZ0oV7Ni5A";

        assert!(read(&keys(&format!("{app}.another"), &[(kid, secret)])).is_ok());
        for (other, why) in [
            (keys(&format!("{app}x.key"), &[(kid, secret)]), Unreadable::Digest),
            (keys(&format!("x{app}.key"), &[(kid, secret)]), Unreadable::Digest),
            (keys(&format!("{app}.key"), &[(kid, other_secret)]), Unreadable::Digest),
            (keys(&format!("{app}.key"), &[("k9", secret)]), Unreadable::UnknownKid),
            // the right secret, but under another name than the grant's
            (keys(&format!("{app}.key"), &[("k9", secret), (kid, other_secret)]), Unreadable::Digest),
        ] {
            assert_eq!(read(&other), Err(why), "{}", text(vector, "name"));
        }
    }
}

#[test]
fn a_grant_may_be_a_minute_ahead_of_the_clock_and_as_old_as_it_likes() {
    for vector in Vector::all() {
        let since = vector.grant.since;
        for (now, readable) in
            [(since - 61, false), (since - 60, true), (since, true), (u64::MAX, true), (0, false)]
        {
            let read = vector.keys.unseal(&vector.client, &vector.sealed, now, &Vocabulary::default());
            match readable {
                true => assert!(read.is_ok(), "{} at {now}: {read:?}", vector.name),
                false => assert_eq!(read, Err(Unreadable::FromTheFuture), "{} at {now}", vector.name),
            }
        }
    }
}

#[test]
fn every_secret_verifies_and_the_first_one_seals() {
    let (one, two) = (("k1", SECRET), ("k2", "M8hd6zqIvxxOBal01wctKvYtLX9MmrOz8uPrnoJKCBY"));
    for vector in
        Vector::all().iter().filter(|vector| vector.name == "one channel" || vector.name == "other secret")
    {
        for secrets in [[one, two], [two, one]] {
            let keys = keys("app.key", &secrets);
            let unsealed = keys.unseal(&vector.client, &vector.sealed, NOW, &Vocabulary::default()).unwrap();
            assert_eq!((&*unsealed.kid, unsealed.current), (vector.kid.as_str(), vector.kid == secrets[0].0));
            let sealed = keys.seal(&vector.client, &unsealed.grant).unwrap();
            assert_eq!(SealedText::parse(&sealed).unwrap().untrusted_kid(), secrets[0].0);
        }
    }
}

#[test]
fn an_operation_beyond_the_vocabulary_is_not_understood() {
    let (keys, client) = (keys("app.key", &[("k1", SECRET)]), client_id("alice"));
    let newer = Vocabulary::with_extra(["teleport"]).unwrap();
    let capability = Capability::parse(r#"{"a":["publish","teleport"]}"#, &newer).unwrap();
    let sealed = keys.seal(&client, &Grant { capability, since: 1_700_000_100 }).unwrap();
    assert!(keys.unseal(&client, &sealed, NOW, &newer).is_ok());
    let read = keys.unseal(&client, &sealed, NOW, &Vocabulary::default());
    assert_eq!(read, Err(Unreadable::Contents));
}

// --- any grant -----------------------------------------------------------------------------------------------

/// Ids that try to look like the rest of what is signed.
fn some_client() -> impl Strategy<Value = ClientId> {
    let pieces =
        [":", "a", "b", "a:b", ".", "eyJhIjpbInB1Ymxpc2giXX0", "{\"a\":[\"publish\"]}", "1j.k1", "zoë", " "];
    proptest::collection::vec(select(pieces.to_vec()), 1..6).prop_map(|pieces| client_id(&pieces.concat()))
}

fn some_capability() -> impl Strategy<Value = Capability> {
    let name = proptest::string::string_regex(r#"[ab☕"\\](:[ab*]){0,2}"#).unwrap();
    let operations = prop_oneof![
        3 => subsequence(vec!["history", "publish", "subscribe"], 1..=3),
        1 => Just(vec!["*"]),
    ];
    // up to so many that deflating pays
    proptest::collection::btree_map(name, operations, 1..30).prop_map(|object| capability(&json!(object)))
}

fn some_grant() -> impl Strategy<Value = Grant> {
    (some_capability(), 1..=NOW + 60).prop_map(|(capability, since)| Grant { capability, since })
}

proptest! {
    #[test]
    fn what_is_sealed_unseals_to_the_same(client in some_client(), grant in some_grant()) {
        let keys = keys("app.key", &[("k1", SECRET)]);
        let sealed = keys.seal(&client, &grant).unwrap();
        let unsealed = keys.unseal(&client, &sealed, NOW, &Vocabulary::default());
        prop_assert_eq!(unsealed.map(|unsealed| unsealed.grant), Ok(grant.clone()));
        // and what is signed is what is there, so it needs no state to be written again
        prop_assert_eq!(keys.seal(&client, &grant), Some(sealed.clone()));
        prop_assert!(sealed.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{}", sealed);
    }

    #[test]
    fn no_two_pairs_share_a_digest(
        pairs in proptest::collection::vec((some_client(), some_capability()), 2..8),
    ) {
        let keys = keys("app.key", &[("k1", SECRET)]);
        let mut digests = BTreeMap::new();
        for (client, capability) in pairs {
            let sealed = keys.seal(&client, &Grant { capability: capability.clone(), since: 1_700_000_100 }).unwrap();
            let digest = sealed.rsplit('.').next().unwrap().to_owned();
            let pair = (client, capability);
            if let Some(earlier) = digests.insert(digest, pair.clone()) {
                prop_assert_eq!(earlier, pair);
            }
        }
    }

    #[test]
    fn a_grant_of_one_is_not_anothers(client in some_client(), other in some_client(), grant in some_grant()) {
        prop_assume!(client != other);
        let keys = keys("app.key", &[("k1", SECRET)]);
        let sealed = keys.seal(&client, &grant).unwrap();
        let read = keys.unseal(&other, &sealed, NOW, &Vocabulary::default());
        prop_assert_eq!(read, Err(Unreadable::Digest));
    }
}
