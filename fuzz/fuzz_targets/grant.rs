//! Sealed grants. What verifies was sealed for this client, this app and this secret, is canonical, and is sealed as
//! the same grant again; not a bit of it may be changed.
#![no_main]

use std::sync::LazyLock;

use accrue::ably::ApiKey;
use accrue::{ClientId, Grant, SealedText, SealingKeys, SealingSecret, Unreadable, Vocabulary};
use accrue_fuzz::{Made, NOW, Unstructured, canonical, printed, read, some_capability, some_client_id};
use libfuzzer_sys::fuzz_target;

const SECRETS: [&str; 3] = [
    // the one that the vectors are sealed with
    "k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY",
    "k2:Y29tcGxldGVseSBvdGhlciAzMiBieXRlcywgc2VhbHM",
    "k1:b25lIG1vcmUgc2VjcmV0LCB1bmRlciB0aGUgc2FtZSBraWQ",
];

fn keys(app: &str, secrets: &[&str]) -> SealingKeys {
    let key = ApiKey::parse(&format!("{app}.key:whatever")).expect("a key");
    let secrets = secrets.iter().map(|secret| SealingSecret::parse(secret).expect("a secret")).collect();
    SealingKeys::new(&key, secrets).expect("of different kids")
}

static KEYS: LazyLock<SealingKeys> = LazyLock::new(|| keys("app", &SECRETS[..2]));
static ROTATED: LazyLock<SealingKeys> = LazyLock::new(|| keys("app", &[SECRETS[1], SECRETS[0]]));
static OTHERS: LazyLock<[SealingKeys; 3]> = LazyLock::new(|| {
    [keys("ap", &SECRETS[..2]), keys("app", &SECRETS[2..]), keys("app", &[&SECRETS[0].replace("k1", "k3")])]
});
static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(Vocabulary::default);

fuzz_target!(|data: &[u8]| match data {
    // a text as anybody could send it
    [b'=', text @ ..] => str::from_utf8(text).into_iter().for_each(any_text),
    // a grant that was sealed, and what somebody makes of it
    _ => {
        let _ = a_sealed_one(&mut Unstructured::new(data));
    }
});

fn any_text(text: &str) {
    let alice = ClientId::try_from("alice").expect("an id");
    let Ok(unsealed) = KEYS.unseal(&alice, text, NOW, &VOCABULARY) else { return };
    let parsed = SealedText::parse(text).expect("it verified");
    assert_eq!(parsed.untrusted_since(), unsealed.grant.since);
    assert_eq!(parsed.untrusted_kid(), &*unsealed.kid);
    let capability = unsealed.grant.capability.to_string();
    assert!(canonical(capability.as_bytes()).is_some(), "{capability}");
    // another encoder's deflated text need not be ours
    let by_the_same = if unsealed.current { &*KEYS } else { &*ROTATED };
    let again = by_the_same.seal(&alice, &unsealed.grant).expect("what verifies can be sealed");
    assert!(again == text || again.starts_with("1z."), "{again}");
    let grant = by_the_same.unseal(&alice, &again, NOW, &VOCABULARY).expect("what is sealed verifies").grant;
    assert_eq!(grant, unsealed.grant);
}

fn a_sealed_one(u: &mut Unstructured<'_>) -> Made<()> {
    let client = some_client_id(u)?;
    let since = if u.ratio(3, 4)? { NOW - u.int_in_range(0..=100_000)? } else { u.arbitrary()? };
    let grant = Grant { capability: some_capability(u, 12)?, since };
    let (ours, theirs) = if u.arbitrary()? { (&*KEYS, &*ROTATED) } else { (&*ROTATED, &*KEYS) };

    let Some(text) = ours.seal(&client, &grant) else {
        let is_sealable = (1..100_000_000_000).contains(&since) && !grant.capability.is_empty();
        assert!(!is_sealable, "{grant:?}");
        return Ok(());
    };
    for (keys, current) in [(ours, true), (theirs, false)] {
        let unsealed = keys.unseal(&client, &text, since, &VOCABULARY).expect("what is sealed verifies");
        assert_eq!((&unsealed.grant, unsealed.current), (&grant, current));
    }
    assert!(ours.unseal(&client, &text, since.saturating_sub(60), &VOCABULARY).is_ok());
    if since > 61 {
        let early = ours.unseal(&client, &text, since - 61, &VOCABULARY);
        assert_eq!(early.expect_err("of the future"), Unreadable::FromTheFuture);
    }
    assert_eq!(canonical(printed(&read(&grant.capability)).as_bytes()), Some(read(&grant.capability)));

    // for anybody else it is nothing
    for keys in OTHERS.iter() {
        assert!(keys.unseal(&client, &text, since, &VOCABULARY).is_err(), "{text}");
    }
    let other = if u.arbitrary()? {
        some_client_id(u)?
    } else {
        // what was signed, cut at another colon
        let capabilities = text.split('.').nth(3).unwrap_or_default();
        ClientId::try_from(format!("{client}:{capabilities}").as_str()).unwrap_or_else(|_| client.clone())
    };
    assert!(other == client || ours.unseal(&other, &text, since, &VOCABULARY).is_err(), "{other}: {text}");

    // nor if anything in it is not as it was
    let changed = changed(u, &text)?;
    if changed != text {
        let read = ours.unseal(&client, &changed, u64::MAX, &VOCABULARY);
        assert!(read.is_err(), "{changed} for {text}");
        if let (Err(Unreadable::Contents), _) = (read, &changed) {
            panic!("decoded before it was verified: {changed}");
        }
    }
    Ok(())
}

/// One to three edits: a character in the place of another, one more or less, two parts the other way round, or
/// something behind it all.
fn changed(u: &mut Unstructured<'_>, text: &str) -> Made<String> {
    const ALPHABET: &[u8] = b"AQgwz019-_.jk=+/ ~:,";
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..u.int_in_range(1..=3)? {
        let at = u.int_in_range(0..=bytes.len() - 1)?;
        match u.int_in_range(0..=5)? {
            0 => bytes[at] = *u.choose(ALPHABET)?,
            1 => bytes.insert(at, *u.choose(ALPHABET)?),
            2 if bytes.len() > 1 => drop(bytes.remove(at)),
            3 => bytes.push(*u.choose(ALPHABET)?),
            4 => bytes.rotate_left(at),
            // the last character of a part has bits that decoding may ignore
            _ => {
                let last = bytes.len() - 1;
                bytes[last] = *u.choose(b"AEIMQUYcgkosw048BCDF")?;
            }
        }
    }
    Ok(String::from_utf8(bytes).expect("ASCII"))
}
