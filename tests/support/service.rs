//! The service without sockets. Every answer is held against what the contract says of all answers, so that the
//! tests are about what is particular.
#![allow(dead_code, reason = "every test takes what it needs")]

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use accrue::ably::{ApiKey, UntrustedTokenRequest};
use accrue::{
    AuthService, Authenticate, Capability, ClientId, Config, Decision, Environment, HttpClient, Issuer,
    Moment, NoHttpClient, Origins, Outcome, PermissionCheck, ProxyHeader, Question, Rules, Sealing,
    SealingKeys, SealingSecret, ServiceSettings, Strategy, Unsealed, Vocabulary,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::answer::Answer;

/// Unix seconds; 100 after a full 5 minutes.
pub(crate) const NOW: u64 = 1_700_000_200;
pub(crate) const KEY: &str = "app.key:what the tests sign with";
pub(crate) const K1: &str = "k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY";
pub(crate) const K2: &str = "k2:Y29tcGxldGVseSBvdGhlciAzMiBieXRlcywgc2VhbHM";
pub(crate) const LISTED: &str = "https://app.example.com";
pub(crate) const ALSO_LISTED: &str = "http://localhost:3000";
pub(crate) const PROXY_SECRET: &str = "known to the proxy only";

/// Who calls is told by a proxy's header; chats may be asked for, an inbox is given.
pub(crate) const BY_HEADER: &str = r#"
    [authenticate.header]
    proxy_secret = "known to the proxy only"
    [permission.rules]
    "chat:*" = ["history", "publish", "subscribe"]
    "private:{clientId}:*" = ["*"]
    [given]
    "inbox:{clientId}" = ["subscribe"]
"#;

/// The same, with nothing given.
pub(crate) const NOTHING_GIVEN: &str = r#"
    [authenticate.header]
    proxy_secret = "known to the proxy only"
    [permission.rules]
    "chat:*" = ["history", "publish", "subscribe"]
"#;

const ALWAYS: &str = r#"
    [ably]
    key = "app.key:what the tests sign with"
    [token]
    jitter = 0
"#;

/// Time that passes only when told to, and chance that is a counter.
#[derive(Clone, Default)]
pub(crate) struct Clock {
    passed: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
}

impl Clock {
    pub(crate) fn pass(&self, seconds: u64) {
        self.passed.fetch_add(seconds, Ordering::Relaxed);
    }

    /// As far as it has passed.
    pub(crate) fn set_back(&self, seconds: u64) {
        self.passed.fetch_sub(seconds, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> u64 {
        NOW + self.passed.load(Ordering::Relaxed)
    }

    pub(crate) fn moments(&self) -> impl Fn() -> Moment + Clone + Send + Sync + 'static {
        let clock = self.clone();
        move || {
            let count = clock.asked.fetch_add(1, Ordering::Relaxed);
            let mut random = [0; 32];
            random.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&count.to_be_bytes()));
            Moment::new(clock.now() * 1000 + 7, random)
        }
    }
}

struct Variables<'a>(&'a [(&'a str, &'a str)]);

impl Environment for Variables<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        let defaults = [("ACCRUE_SECRETS", K1), ("ACCRUE_ORIGINS", LISTED_TEXT)];
        let mut all = self.0.iter().chain(&defaults);
        all.find(|(found, _)| *found == name).map(|(_, value)| (*value).to_owned())
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/");
        std::fs::read_to_string(format!("{keys}{path}")).map_err(|error| error.to_string())
    }
}

const LISTED_TEXT: &str = "https://app.example.com, http://localhost:3000";

pub(crate) struct Server {
    pub(crate) service: AuthService,
    pub(crate) clock: Clock,
}

impl Server {
    /// What this TOML text makes, with the environment's variables on top.
    #[track_caller]
    pub(crate) fn configured(toml: &str, environment: &[(&str, &str)]) -> Self {
        Self::asking_with(NoHttpClient, toml, environment)
    }

    /// The same, asking other servers with this client.
    #[track_caller]
    pub(crate) fn asking_with(client: impl HttpClient, toml: &str, environment: &[(&str, &str)]) -> Self {
        let clock = Clock::default();
        let text = format!("{ALWAYS}{toml}");
        let config = Config::parse("test", &text, &Variables(environment), &[]);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let assembled = config.assemble(client, String::new, clock.moments());
        Self { service: assembled.unwrap_or_else(|error| panic!("{error}")).service, clock }
    }

    /// With a check of one's own; who calls is told by the proxy's header.
    pub(crate) fn checked_by(check: &Check) -> Self {
        Self::made(check.closure(), by_header(), |issuer| issuer)
    }

    pub(crate) fn made(
        check: impl PermissionCheck,
        authenticate: impl Authenticate,
        more: impl FnOnce(Issuer) -> Issuer,
    ) -> Self {
        let clock = Clock::default();
        let key = ApiKey::parse(KEY).unwrap();
        let issuer = Issuer::new(key, Strategy::Cookie(Sealing::new(keys(&[K1]))), check).unwrap();
        let mut settings = ServiceSettings::default();
        settings.origins = Origins::new([LISTED, ALSO_LISTED]).unwrap();
        let service = AuthService::new(more(issuer), authenticate, settings, clock.moments());
        Self { service, clock }
    }

    /// The answer, which is as every answer has to be.
    #[track_caller]
    pub(crate) fn send(&self, ask: impl Into<Request<Full<Bytes>>>) -> Answer {
        self.send_and_tell(ask).0
    }

    #[track_caller]
    pub(crate) fn send_and_tell(&self, ask: impl Into<Request<Full<Bytes>>>) -> (Answer, Outcome) {
        block_on(self.tell(ask))
    }

    pub(crate) async fn tell(&self, ask: impl Into<Request<Full<Bytes>>>) -> (Answer, Outcome) {
        let (head, body) = ask.into().into_parts();
        let request = Request::from_parts(head.clone(), body);
        let (response, body) = self.service.handle(request).await.into_parts();
        let body = body.collect().await.expect("a full body does not fail").to_bytes();
        let outcome = response.extensions.get::<Outcome>().expect("in every response").clone();
        let answer = Answer { status: response.status, headers: response.headers, body };
        check_every_answer(&head, &answer);
        assert_eq!(answer.header("x-request-id"), Some(outcome.request_id.as_str()));
        (answer, outcome)
    }
}

#[track_caller]
fn check_every_answer(head: &http::request::Parts, answer: &Answer) {
    answer.has_the_usual_headers();
    let mut origins = head.headers.get_all("origin").iter().map(|value| value.to_str().unwrap_or_default());
    let origin = origins.next().filter(|_| origins.next().is_none());
    answer.allows_only(origin.filter(|origin| [LISTED, ALSO_LISTED].contains(origin)));

    let (status, code) = answer.status_and_code();
    let issues = head.uri.path() == "/auth" && matches!(head.method, Method::GET | Method::POST);
    if status == 200 && issues {
        let token = answer.token();
        if let Some(request) = UntrustedTokenRequest::from_json(token) {
            assert!(request.verify(&ApiKey::parse(KEY).unwrap()), "signed with another key: {answer:?}");
        }
    }
    if status == 204 {
        assert!(answer.body.is_empty() && answer.header("content-type").is_none(), "{answer:?}");
    }
    assert_eq!(answer.header("retry-after").is_some(), status == 503, "{answer:?}");
    if status == 405 {
        assert!(answer.header("allow").is_some(), "{answer:?}");
    }

    let by_header = head.headers.contains_key("accrue-grant");
    let gives_up = head.uri.path() == "/auth" && head.method == Method::DELETE;
    match answer.header("accrue-grant") {
        Some(value) => {
            assert!(by_header, "Accrue-Grant for one who does not know it: {answer:?}");
            for grant in value.split(", ").filter(|_| value != "none") {
                assert!(accrue::SealedText::parse(grant).is_some(), "{value}");
            }
        }
        None => assert!(!(by_header && (issues || gives_up) && status < 300), "no Accrue-Grant: {answer:?}"),
    }
    let may_write = matches!((status, code), (200 | 204, _) | (401, 40160) | (403, 40300)) && !by_header;
    assert!(may_write || !answer.headers.contains_key("set-cookie"), "{answer:?}");

    if let Some(refused) = answer.header("accrue-refused") {
        assert!(refused.len() <= 512 && refused.bytes().all(|b| (0x20..0x7f).contains(&b)), "{refused}");
        let refused: Value = serde_json::from_str(refused).expect("is JSON");
        let known = ["denied", "unavailable", "full", "truncated"];
        assert!(refused.as_object().is_some_and(
            |members| !members.is_empty() && members.keys().all(|name| known.contains(&name.as_str()))
        ));
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn by_header() -> ProxyHeader {
    ProxyHeader::new(HeaderName::from_static("x-client-id"), PROXY_SECRET).unwrap()
}

pub(crate) fn keys(secrets: &[&str]) -> SealingKeys {
    let secrets = secrets.iter().map(|secret| SealingSecret::parse(secret).unwrap()).collect();
    SealingKeys::new(&ApiKey::parse(KEY).unwrap(), secrets).unwrap()
}

pub(crate) fn capability(text: &str) -> Capability {
    Capability::parse(text, &Vocabulary::default()).unwrap()
}

pub(crate) fn rules(table: &[(&str, &[&str])]) -> Rules {
    let mut rules = Rules::default();
    for (resource, operations) in table {
        rules.add(resource, operations, &Vocabulary::default()).unwrap();
    }
    rules
}

/// A grant as this server's would be, sealed with K1.
pub(crate) fn sealed(client: &str, text: &str, since: u64) -> String {
    let grant = accrue::Grant { capability: capability(text), since };
    keys(&[K1]).seal(&ClientId::try_from(client).unwrap(), &grant).expect("not empty")
}

/// What a grant says, whichever of the tests' secrets sealed it.
#[track_caller]
pub(crate) fn unsealed(client: &str, text: &str) -> Unsealed {
    let client = ClientId::try_from(client).unwrap();
    let far = NOW + 1_000_000_000;
    keys(&[K1, K2])
        .unseal(&client, text, far, &Vocabulary::default())
        .unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// A permission check that says what it is told to say, and keeps what it was asked.
#[derive(Clone)]
pub(crate) struct Check {
    verdict: Arc<Mutex<Verdict>>,
    asked: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    /// All that is asked.
    Grant,
    Deny,
    Bar,
    Down,
    /// All there is, whatever was asked.
    Widen,
}

impl Check {
    pub(crate) fn saying(verdict: Verdict) -> Self {
        Self { verdict: Arc::new(Mutex::new(verdict)), asked: Arc::default() }
    }

    pub(crate) fn now_says(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap() = verdict;
    }

    /// What it was asked since this was called last.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    pub(crate) fn closure(&self) -> impl PermissionCheck + use<> {
        let check = self.clone();
        move |question: Question| {
            let asked = match &question.asked {
                accrue::Asked::These(asked) => asked.clone(),
                accrue::Asked::Everything => Capability::default(),
            };
            check.asked.lock().unwrap().push(asked.to_string());
            ready(match *check.verdict.lock().unwrap() {
                Verdict::Grant => Decision::Granted(asked),
                Verdict::Deny => Decision::Granted(Capability::default()),
                Verdict::Bar => Decision::Barred,
                Verdict::Down => Decision::Unavailable("away".into()),
                Verdict::Widen => Decision::Granted(capability(r#"{"*":["*"]}"#)),
            })
        }
    }
}

/// A request in the making.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    method: Method,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

pub(crate) fn get(target: &str) -> Ask {
    ask("GET", target)
}

pub(crate) fn post(target: &str) -> Ask {
    ask("POST", target)
}

pub(crate) fn delete(target: &str) -> Ask {
    ask("DELETE", target)
}

pub(crate) fn options(target: &str) -> Ask {
    ask("OPTIONS", target)
}

pub(crate) fn ask(method: &str, target: &str) -> Ask {
    Ask {
        method: method.parse().unwrap(),
        target: target.to_owned(),
        headers: Vec::new(),
        body: Bytes::new(),
    }
}

impl Ask {
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn headers(self, headers: &[(&str, &str)]) -> Self {
        headers.iter().fold(self, |ask, (name, value)| ask.header(name, value))
    }

    /// Authenticated by the proxy's header.
    pub(crate) fn by(self, client: &str) -> Self {
        self.header("x-client-id", client).header("x-proxy-secret", PROXY_SECRET)
    }

    /// With a parameter in the query.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let joint = if self.target.contains('?') { '&' } else { '?' };
        let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        self.target = format!("{}{joint}{pair}", self.target);
        self
    }

    pub(crate) fn wishing(self, capability: &str) -> Self {
        self.with("capability", capability)
    }

    pub(crate) fn body(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.untyped(body).header("content-type", content_type)
    }

    /// With a body that does not say what it is.
    pub(crate) fn untyped(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn form(self, pairs: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.body("application/x-www-form-urlencoded", body)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(crate) fn carrying(self, jar: &Jar) -> Self {
        match jar.header() {
            Some(value) => self.header("cookie", value),
            None => self,
        }
    }
}

impl From<Ask> for Request<Full<Bytes>> {
    fn from(ask: Ask) -> Self {
        let mut request = Self::new(Full::new(ask.body));
        *request.method_mut() = ask.method;
        *request.uri_mut() = ask.target.parse().expect("a target");
        for (name, value) in ask.headers {
            let name = HeaderName::try_from(name).unwrap();
            request.headers_mut().append(name, HeaderValue::try_from(value).unwrap());
        }
        request
    }
}

/// A browser's cookies for one host, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Jar(pub(crate) BTreeMap<String, String>);

impl Jar {
    pub(crate) fn of(cookies: &[(&str, &str)]) -> Self {
        Self(cookies.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// Holding these grants, each under the name that its content gives it.
    pub(crate) fn holding(grants: &[&str]) -> Self {
        Self(grants.iter().map(|grant| (name_of(grant), (*grant).to_owned())).collect())
    }

    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn header(&self) -> Option<String> {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Does what the answer says.
    #[track_caller]
    pub(crate) fn keep(&mut self, answer: &Answer) {
        for cookie in set_cookies(answer) {
            match cookie.attributes["Max-Age"].as_str() {
                "0" => self.0.remove(&cookie.name),
                _ => self.0.insert(cookie.name, cookie.value),
            };
        }
    }

    /// The one grant in it.
    #[track_caller]
    pub(crate) fn only(&self) -> &str {
        let [grant] = self.0.values().collect::<Vec<_>>()[..] else { panic!("not one cookie: {self:?}") };
        grant
    }
}

#[derive(Debug)]
pub(crate) struct SetCookie {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) attributes: BTreeMap<String, String>,
}

#[track_caller]
pub(crate) fn set_cookies(answer: &Answer) -> Vec<SetCookie> {
    let cookies: Vec<SetCookie> = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| {
            let mut parts = value.to_str().unwrap().split("; ");
            let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("NAME=VALUE");
            let attributes = parts.map(|part| part.split_once('=').unwrap_or((part, "")));
            SetCookie {
                name: name.to_owned(),
                value: value.to_owned(),
                attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            }
        })
        .collect();
    let names: std::collections::BTreeSet<&str> = cookies.iter().map(|cookie| cookie.name.as_str()).collect();
    assert_eq!(names.len(), cookies.len(), "a name is set and deleted at once: {answer:?}");
    cookies
}

/// `-NAME` for one that is deleted, `+NAME` for one that is set.
#[track_caller]
pub(crate) fn changes(answer: &Answer) -> Vec<String> {
    let mut changes: Vec<String> = set_cookies(answer)
        .iter()
        .map(|cookie| match cookie.attributes["Max-Age"].as_str() {
            "0" => format!("-{}", cookie.name),
            _ => format!("+{}", cookie.name),
        })
        .collect();
    changes.sort();
    changes
}

/// The name of a grant's cookie.
pub(crate) fn name_of(grant: &str) -> String {
    let digest = grant.rsplit('.').next().unwrap_or_default();
    format!("__Host-accrue.{}", &digest[..8])
}
