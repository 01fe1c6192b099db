//! Grants as somebody else would make them, independently of `src/`: with the right key, or with what an attacker may
//! take for it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::service::{Check, Jar, NOW, Server, Verdict, get};

/// A time at which a grant of these tests was made.
pub(crate) const SINCE: u64 = NOW - 100;

/// A configuration whose rules permit nothing that is asked for here.
pub(crate) const NO_CHATS: &str = r#"
    [authenticate.header]
    proxy_secret = "known to the proxy only"
    [permission.rules]
    x = ["*"]
"#;

/// The bytes of a sealing secret, `KID:BASE64URL`.
pub(crate) fn bytes(secret: &str) -> Vec<u8> {
    BASE64URL.decode(secret.split_once(':').expect("KID:BASE64URL").1).expect("base64url")
}

pub(crate) fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key)
        .expect("keys of any length")
        .chain_update(message)
        .finalize()
        .into_bytes()
        .to_vec()
}

/// HKDF-SHA256, 32 bytes.
pub(crate) fn derived(secret: &[u8], salt: &[u8], info: &str) -> Vec<u8> {
    let mut key = vec![0; 32];
    Hkdf::<Sha256>::new(Some(salt), secret).expand(info.as_bytes(), &mut key).expect("32 bytes");
    key
}

/// A grant of app `app` with this head, sealed as the contract says.
pub(crate) fn forged(secret: &str, head: &str, client: &str, capabilities: &[u8]) -> String {
    let capabilities = BASE64URL.encode(capabilities);
    let key = derived(&bytes(secret), b"accrue/grant", &format!("app\n{head}"));
    with_digest(head, &capabilities, &hmac(&key, &format!("{client}:{capabilities}")))
}

pub(crate) fn with_digest(head: &str, capabilities: &str, digest: &[u8]) -> String {
    format!("{head}.{capabilities}.{}", BASE64URL.encode(digest))
}

/// Nothing is given and the check denies everything, so a token shows what a grant counts for.
pub(crate) fn denying() -> Server {
    Server::checked_by(&Check::saying(Verdict::Deny))
}

/// Whether a grant counts for a client, however it is carried; and that it is no error if it doesn't.
#[track_caller]
pub(crate) fn counts(server: &Server, client: &str, grant: &str) -> bool {
    let carried = [
        get("/auth").by(client).carrying(&Jar::of(&[("__Host-accrue.any", grant)])),
        get("/auth").by(client).header("accrue-grant", grant),
    ];
    let counted = carried.map(|ask| match server.send(ask).status_and_code() {
        (200, _) => true,
        (401, 40160) => false,
        other => panic!("{other:?} for {client} with {grant}"),
    });
    assert_eq!(counted[0], counted[1], "cookie and header differ for {client} with {grant}");
    counted[0]
}
