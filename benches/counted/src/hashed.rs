use std::hint::black_box;

use accrue::Body;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{COOKIE, SET_COOKIE};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use serde_json::Value;
use sha2::Sha256;

use crate::support::Scene;

/// A request, and nothing but the HMACs that it takes: of the same texts, with keys that are kept as accrue keeps them.
pub struct Hashed {
    scene: Scene,
    sealing: Hkdf<Sha256>,
    ably: Hmac<Sha256>,
    /// Of the grant that comes in, and of the one that goes out.
    grants: [Grant; 2],
    token: String,
}

/// What is hashed of a grant: what its key is derived from, and what it says.
struct Grant {
    scope: String,
    message: String,
}

impl Hashed {
    /// With this many channels held.
    ///
    /// # Panics
    /// When the answer is not what it should be.
    pub fn new(channels: usize) -> Self {
        let scene = Scene::new(channels);
        let request = scene.request();
        let (parts, body) = scene.handle(scene.request()).into_parts();
        let body = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(body.collect());
        let body = body.expect("a body").to_bytes();
        let token: Value = serde_json::from_slice(&body).expect("JSON");
        let member = |name: &str| match &token[name] {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let app = member("keyName").split_once('.').expect("a key's name").0.to_owned();
        let client = member("clientId");
        let names = ["keyName", "ttl", "capability", "clientId", "timestamp", "nonce"];
        let token = names.iter().map(|name| member(name) + "\n").collect();

        let came = request.headers()[COOKIE].to_str().expect("ASCII").to_owned();
        let set = parts.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().expect("ASCII"));
        let went = set.max_by_key(|value| value.len()).expect("a new cookie").to_owned();
        Self {
            scene,
            sealing: Hkdf::new(Some(b"accrue/grant"), &[7; 32]),
            ably: Hmac::new_from_slice(&[7; 43]).expect("a key of any length"),
            grants: [came, went].map(|cookie| Grant::new(&app, &client, &cookie)),
            token,
        }
    }

    /// What a request is made of, for [`handle`](Self::handle).
    pub fn request(&self) -> Request<Empty<&'static [u8]>> {
        self.scene.request()
    }

    /// From a request to its response.
    pub fn handle(&self, request: Request<Empty<&'static [u8]>>) -> Response<Body> {
        self.scene.handle(request)
    }

    /// The HMACs of one request alone.
    pub fn hash(&self) {
        for grant in &self.grants {
            let mut key = [0; 32];
            self.sealing.expand(black_box(grant.scope.as_bytes()), &mut key).expect("32 bytes");
            let hmac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length");
            black_box(hmac.chain_update(black_box(&grant.message)).finalize());
        }
        black_box(self.ably.clone().chain_update(black_box(&self.token)).finalize());
    }

    /// How many bytes are hashed: as messages, and to derive keys.
    pub fn bytes(&self) -> usize {
        self.token.len()
            + self.grants.iter().map(|grant| grant.scope.len() + grant.message.len()).sum::<usize>()
    }
}

impl Grant {
    /// That of a cookie: `…=1j.KID.SINCE.CAPABILITIES.DIGEST`, and maybe attributes.
    fn new(app: &str, client: &str, cookie: &str) -> Self {
        let sealed = cookie.split("; ").find(|part| part.starts_with("__Host-accrue")).expect("a grant");
        let (_, sealed) = sealed.split_once('=').expect("a value");
        let (front, _) = sealed.rsplit_once('.').expect("a digest");
        let (head, capabilities) = front.rsplit_once('.').expect("capabilities");
        Self { scope: format!("{app}\n{head}"), message: format!("{client}:{capabilities}") }
    }
}
