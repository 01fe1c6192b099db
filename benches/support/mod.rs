//! What is timed and counted: the parts of one request, and the whole of it without I/O.

use std::error::Error;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use accrue::ably::{ApiKey, Format, Token, Ttl};
use accrue::{
    Ask, AuthService, Body, Capability, Client, ClientId, Grant, Issued, Issuer, Moment, ProxyHeader, Rules,
    Sealing, SealingKeys, SealingSecret, ServiceSettings, Strategy, Unsealed, Vocabulary,
};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderName, Request, Response};
use http_body_util::Empty;

/// How many channels are held.
pub(crate) const CHANNELS: [usize; 4] = [1, 10, 50, 200];

/// Unix seconds at which everything happens.
const NOW: u64 = 1_700_000_200;
const PROXY_SECRET: &str = "a-proxy-secret-of-some-length";

/// A client who holds some channels and wishes for one more, and the server that answers.
pub(crate) struct Scene {
    key: ApiKey,
    keys: SealingKeys,
    vocabulary: Vocabulary,
    client: ClientId,
    held: Capability,
    wish: Capability,
    text: String,
    grant: Grant,
    sealed: String,
    issuer: Issuer,
    issued: Issued,
    service: AuthService,
    cookie: String,
}

impl Scene {
    /// With this many channels held.
    pub(crate) fn new(channels: usize) -> Self {
        let vocabulary = Vocabulary::default();
        let key = ApiKey::parse("app.key:an-ably-secret-of-usual-length-of-43-chars").expect("a key");
        let secret =
            SealingSecret::parse("k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY").expect("a secret");
        let keys = SealingKeys::new(&key, vec![secret]).expect("one secret");
        let issuer = || {
            let mut rules = Rules::default();
            rules.add("chat:*", &["publish", "subscribe"], &vocabulary).expect("a rule");
            let mut sealing = Sealing::new(keys.clone());
            if channels > 700 {
                // no browser keeps such a cookie, but growth shows
                sealing.max_bytes = 65_536;
            }
            Issuer::new(key.clone(), Strategy::Cookie(sealing), rules).expect("an issuer")
        };
        let proxy = ProxyHeader::new(HeaderName::from_static("x-client-id"), PROXY_SECRET).expect("a header");
        let service = AuthService::new(issuer(), proxy, ServiceSettings::default(), moment);

        let client = ClientId::try_from("alice").expect("a clientId");
        let held = capability((0..channels).map(|n| format!("chat:room-{n:04}")), &["publish", "subscribe"]);
        let wish = capability(["chat:room-new".to_owned()], &["subscribe"]);
        let grant = Grant { capability: held.clone(), since: NOW - 100 };
        let sealed = keys.seal(&client, &grant).expect("not empty");
        let cookie = format!("theme=dark; __Host-accrue.{}={sealed}", &sealed[sealed.len() - 43..][..8]);

        let mut scene = Self {
            text: held.to_string(),
            issued: now(issuer().issue(ask(&client, &wish, &sealed), &moment()))
                .expect("chat:* is permitted"),
            issuer: issuer(),
            key,
            keys,
            vocabulary,
            client,
            held,
            wish,
            grant,
            sealed,
            service,
            cookie,
        };
        let issued = scene.flow();
        assert_eq!(issued.permitted.capability(), &scene.held.clone().union(&scene.wish));
        assert!(issued.refused.is_empty());
        let response = scene.handle(scene.request());
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers().get_all(SET_COOKIE).iter().count(), 2);
        scene.issued = issued;
        scene
    }

    pub(crate) fn parse(&self) -> Capability {
        Capability::parse(&self.text, &self.vocabulary).expect("well-formed")
    }

    pub(crate) fn print(&self) -> String {
        self.held.to_string()
    }

    /// All of what is held, looked for among all of what is held.
    pub(crate) fn minus(&self) -> Capability {
        self.held.minus(&self.held)
    }

    pub(crate) fn union(&self) -> Capability {
        self.held.clone().union(&self.wish)
    }

    pub(crate) fn intersect(&self) -> Capability {
        self.held.intersect(&self.wish)
    }

    pub(crate) fn seal(&self) -> String {
        self.keys.seal(&self.client, &self.grant).expect("not empty")
    }

    pub(crate) fn unseal(&self) -> Unsealed {
        self.keys.unseal(&self.client, &self.sealed, NOW, &self.vocabulary).expect("authentic")
    }

    pub(crate) fn token_request(&self) -> Token {
        self.sign(Format::Request)
    }

    pub(crate) fn jwt(&self) -> Token {
        self.sign(Format::Jwt)
    }

    fn sign(&self, format: Format) -> Token {
        Token::sign(
            format,
            &self.key,
            &self.issued.permitted,
            &self.client,
            Ttl::from_millis(3_600_000),
            &moment(),
        )
    }

    /// From who asks to a signed token and a sealed grant.
    pub(crate) fn flow(&self) -> Issued {
        now(self.issuer.issue(ask(&self.client, &self.wish, &self.sealed), &moment()))
            .expect("chat:* is permitted")
    }

    /// As an SDK sends it through a proxy that says who it is.
    pub(crate) fn request(&self) -> Request<Empty<&'static [u8]>> {
        let capability: String = form_urlencoded::byte_serialize(self.wish.to_string().as_bytes()).collect();
        Request::get(format!("/auth?capability={capability}"))
            .header("host", "localhost:8080")
            .header("accept", "application/json")
            .header("x-client-id", self.client.as_str())
            .header("x-proxy-secret", PROXY_SECRET)
            .header(COOKIE, &self.cookie)
            .body(Empty::new())
            .expect("well-formed")
    }

    /// From a request to its response.
    pub(crate) fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        now(self.service.handle(request))
    }
}

fn moment() -> Moment {
    Moment::new(NOW * 1000, [7; 32])
}

fn ask(client: &ClientId, wish: &Capability, sealed: &str) -> Ask {
    let mut ask = Ask::new(Client::new(client.clone()));
    ask.wishes = wish.clone();
    ask.presented = vec![sealed.to_owned()];
    ask
}

fn capability(channels: impl IntoIterator<Item = String>, operations: &[&str]) -> Capability {
    let members = channels.into_iter().map(|channel| (channel, serde_json::json!(operations))).collect();
    Capability::from_json(&serde_json::Value::Object(members), &Vocabulary::default()).expect("well-formed")
}

/// The outcome of a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the future waits for something"),
    }
}
