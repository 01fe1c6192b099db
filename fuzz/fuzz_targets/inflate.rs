//! What stands inside a grant: base64url, deflate and canonical JSON, held against another inflater and a reader of
//! canonical JSON that was written anew.
#![no_main]

use std::sync::LazyLock;

use accrue::ably::ApiKey;
use accrue::{ClientId, Grant, SealedText, SealingKeys, SealingSecret, Vocabulary};
use accrue_fuzz::{Made, NOW, Unstructured, canonical, read, some_capability};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use libfuzzer_sys::fuzz_target;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

const MOST: usize = 65_536;

static KEYS: LazyLock<SealingKeys> = LazyLock::new(|| {
    let key = ApiKey::parse("app.key:whatever").expect("a key");
    let secret = SealingSecret::parse("k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY").expect("a secret");
    SealingKeys::new(&key, vec![secret]).expect("one secret")
});
static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(Vocabulary::default);

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 4 {
        0 => assert_eq!(read_by_us('j', data), canonical(data), "{data:?}"),
        // text that is deflated here, so that what is inside is mutated and not its bits
        1 => deflated_by_another(data, kind >> 2),
        2 => {
            let _ = deflated_by_us(&mut Unstructured::new(data));
        }
        _ => {
            if let Some(ours) = read_by_us('z', data) {
                let theirs = inflated_by_another(data).and_then(|text| canonical(&text));
                assert_eq!(Some(ours), theirs, "{data:?}");
            }
        }
    }
});

/// What a grant with this inside says.
fn read_by_us(form: char, inside: &[u8]) -> Option<accrue_fuzz::Plain> {
    let text = format!("1{form}.k1.1700000100.{}.{:A<43}", BASE64URL.encode(inside), "");
    let capability = SealedText::parse(&text).expect("well-formed").untrusted_capability(&VOCABULARY)?;
    assert!(capability.as_str().len() <= MOST);
    Some(read(&capability))
}

/// All of it, if that is one deflated text.
fn inflated_by_another(data: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; MOST];
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, read, written) = decompress(&mut DecompressorOxide::new(), data, &mut out, 0, flags);
    out.truncate(written);
    (status == TINFLStatus::Done && read == data.len()).then_some(out)
}

fn deflated_by_another(text: &[u8], level: u8) {
    let mut deflated = compress_to_vec(text, level % 11);
    let expected = canonical(text).filter(|_| text.len() <= MOST);
    assert_eq!(read_by_us('z', &deflated), expected, "{text:?}");
    deflated.push(level);
    assert_eq!(read_by_us('z', &deflated), None, "something behind it: {text:?}");
    deflated.truncate(deflated.len() - 2);
    assert_eq!(read_by_us('z', &deflated), None, "something missing: {text:?}");
}

fn deflated_by_us(u: &mut Unstructured<'_>) -> Made<()> {
    let alice = ClientId::try_from("alice").expect("an id");
    let grant = Grant { capability: some_capability(u, 60)?, since: NOW };
    let Some(text) = KEYS.seal(&alice, &grant) else { return Ok(()) };
    let inside = BASE64URL.decode(text.split('.').nth(3).expect("five parts")).expect("base64url");
    let inflated = if text.starts_with("1z.") { inflated_by_another(&inside) } else { Some(inside) };
    assert_eq!(inflated.as_deref(), Some(grant.capability.as_str().as_bytes()));
    assert_eq!(KEYS.unseal(&alice, &text, NOW, &VOCABULARY).map(|unsealed| unsealed.grant), Ok(grant));
    Ok(())
}
