use std::pin::pin;
use std::task::{Context, Poll, Waker};

use accrue::ably::ApiKey;
use accrue::{
    AdminAccess, AdminService, Authenticate, Caller, Capability, ClientId, Grant, Moment, ProxyHeader,
    Revocation, SealingKeys, SealingSecret, SessionJwt, Vocabulary,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Request};
use sha2::Sha256;
use sha2::block_api::compress256;

use crate::Verifier;

/// Unix seconds at which everything here happens.
const NOW: u64 = 1_700_000_200;

/// Sealed grants, from the cookie's text to yes or no: `SealingKeys::unseal`.
#[derive(Debug)]
pub struct Grants {
    keys: SealingKeys,
    client: ClientId,
    vocabulary: Vocabulary,
    right: String,
    ahead: String,
}

impl Grants {
    /// A sealing secret, decoded.
    pub const SECRET: [u8; 32] = *b"\x9c\x1e\x52\xf0\x07\xb3\xd8\x64\x2a\xcf\x81\x3b\xe9\x46\x15\xad\
        \x70\xc2\x0f\x98\x5b\xe4\x31\x8d\xf6\x2b\xa7\x59\x0c\xd1\x6e\xb4";

    /// With this secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        let secret = SealingSecret::parse(&format!("k1:{}", BASE64URL.encode(secret))).expect("a secret");
        let key = ApiKey::parse("app.key:an-ably-secret").expect("a key");
        let keys = SealingKeys::new(&key, vec![secret]).expect("one secret");
        let client = ClientId::try_from("alice").expect("a clientId");
        let vocabulary = Vocabulary::default();
        let capability =
            Capability::parse(r#"{"chat:42":["subscribe"]}"#, &vocabulary).expect("a capability");
        let seal =
            |since| keys.seal(&client, &Grant { capability: capability.clone(), since }).expect("not empty");
        let (right, ahead) = (seal(NOW - 100), seal(NOW + 100));
        Self { keys, client, vocabulary, right, ahead }
    }

    /// What is kept of a secret, instead of itself: of HKDF's extracted key, the two states that HMAC-SHA256 begins
    /// with, inside and outside, as they stand in memory.
    pub fn kept(secret: &[u8; 32]) -> [[u8; 32]; 2] {
        let extract = Hmac::<Sha256>::new_from_slice(b"accrue/grant").expect("a key of any length");
        let extracted = extract.chain_update(secret).finalize().into_bytes();
        [0x36, 0x5c].map(|pad| {
            let mut block = [pad; 64];
            block.iter_mut().zip(extracted).for_each(|(byte, key)| *byte ^= key);
            let mut state = SHA_256;
            compress256(&mut state, &[block]);
            let mut kept = [0; 32];
            kept.chunks_exact_mut(4)
                .zip(state)
                .for_each(|(at, word)| at.copy_from_slice(&word.to_ne_bytes()));
            kept
        })
    }

    /// A text whose digest is right, and which is refused just after that: it is from the future.
    pub fn ahead(&self) -> &str {
        &self.ahead
    }

    /// A text with a kid that nobody has a secret for.
    pub fn unknown_kid(&self) -> String {
        self.right.replace(".k1.", ".k2.")
    }
}

impl Verifier for Grants {
    type Received = String;

    fn right(&self) -> &str {
        &self.right
    }

    fn wrong(&self, change: impl FnOnce(&mut [u8])) -> String {
        with_other_digest(&self.right, change)
    }

    fn receive(&self, text: &str) -> String {
        text.to_owned()
    }

    fn verify(&self, received: String) -> bool {
        self.keys.unseal(&self.client, &received, NOW, &self.vocabulary).is_ok()
    }
}

/// The state that SHA-256 begins with (FIPS 180-4, section 5.3.3).
const SHA_256: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The admin listener's token, from the request to the response: `AdminService::handle`.
#[derive(Debug)]
pub struct AdminToken(AdminService);

impl AdminToken {
    /// The token.
    pub const SECRET: &str = "kZ0wq7Hc2mXb9RtLp4Vn8sYdJ6uQe1Ga";

    /// With that token.
    pub fn new() -> Self {
        let (access, token) = (AdminAccess::Network, Some(Self::SECRET));
        let moments = || Moment::new(NOW * 1000, [7; 32]);
        Self(AdminService::new(Revocation::new(), access, token, String::new, moments).expect("a good token"))
    }
}

impl Verifier for AdminToken {
    type Received = Request<String>;

    fn right(&self) -> &str {
        Self::SECRET
    }

    fn wrong(&self, change: impl FnOnce(&mut [u8])) -> String {
        with_other_bytes(Self::SECRET, change)
    }

    fn receive(&self, text: &str) -> Request<String> {
        let request = Request::get("/metrics").header(AUTHORIZATION, format!("Bearer {text}"));
        request.body(String::new()).expect("a request")
    }

    fn verify(&self, received: Request<String>) -> bool {
        at_once(self.0.handle(received)).status() == 200
    }
}

/// A proxy's secret, from the headers to the client: `ProxyHeader::authenticate`.
#[derive(Debug)]
pub struct ProxySecret(ProxyHeader);

impl ProxySecret {
    /// The secret.
    pub const SECRET: &str = "Tq3vB8nWz5KcR1yHf7XmJ4dGp2LsU6aE";

    /// With that secret.
    pub fn new() -> Self {
        Self(ProxyHeader::new(CLIENT_ID, Self::SECRET).expect("long enough"))
    }
}

const CLIENT_ID: HeaderName = HeaderName::from_static("x-client-id");

impl Verifier for ProxySecret {
    type Received = Caller;

    fn right(&self) -> &str {
        Self::SECRET
    }

    fn wrong(&self, change: impl FnOnce(&mut [u8])) -> String {
        with_other_bytes(Self::SECRET, change)
    }

    fn receive(&self, text: &str) -> Caller {
        caller([(ProxyHeader::SECRET_HEADER, text), (CLIENT_ID, "alice")])
    }

    fn verify(&self, received: Caller) -> bool {
        at_once(self.0.authenticate(received)).is_ok()
    }
}

/// Session JWTs with a shared secret, from the headers to the client: `SessionJwt::authenticate`.
#[derive(Debug)]
pub struct SessionJwts(SessionJwt);

impl SessionJwts {
    /// The secret.
    pub const SECRET: &str = "yV2kM9dXq6LtZ1sB7fRw4PhN8cJg3EaU";

    /// With that secret.
    pub fn new() -> Self {
        Self(SessionJwt::with_secret(Self::SECRET, &[]).expect("long enough"))
    }
}

/// `{"alg":"HS256","typ":"JWT"}`, `{"sub":"alice","exp":4000000000}`, and what belongs to them and that secret.
const SESSION: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDAwMDAwMDAwMH0",
    ".M5WxB2a3nuZ8yYb8kZMJMkPmhParxjm71AzJYNTCDDI"
);

impl Verifier for SessionJwts {
    type Received = Caller;

    fn right(&self) -> &str {
        SESSION
    }

    fn wrong(&self, change: impl FnOnce(&mut [u8])) -> String {
        with_other_digest(SESSION, change)
    }

    fn receive(&self, text: &str) -> Caller {
        caller([(AUTHORIZATION, &format!("Bearer {text}"))])
    }

    fn verify(&self, received: Caller) -> bool {
        at_once(self.0.authenticate(received)).is_ok()
    }
}

fn caller<const N: usize>(headers: [(HeaderName, &str); N]) -> Caller {
    let headers = headers.map(|(name, value)| (name, value.parse().expect("a header's value")));
    Caller::new(HeaderMap::from_iter(headers), NOW)
}

/// The text with another digest after its last dot.
fn with_other_digest(text: &str, change: impl FnOnce(&mut [u8])) -> String {
    let (front, digest) = text.rsplit_once('.').expect("a dot");
    let mut digest = BASE64URL.decode(digest).expect("base64url");
    change(&mut digest);
    format!("{front}.{}", BASE64URL.encode(digest))
}

fn with_other_bytes(text: &str, change: impl FnOnce(&mut [u8])) -> String {
    let mut bytes = text.as_bytes().to_vec();
    change(&mut bytes);
    String::from_utf8(bytes).expect("ASCII still")
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits for anything"),
    }
}
