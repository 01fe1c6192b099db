//! Several requests in a row to the service in memory: clients that change, two browsers and one without cookies, four
//! strategies, a check and a store that fail, answers that are lost, time, revocations, rotated secrets.
//!
//! Every answer is well-formed. A token is never for nothing, never beyond what is given, or was permitted to this
//! client and counts still; a new grant has nothing of what is given and lives no longer than its parts; what is held
//! is there the next time; nothing secret is told.
#![no_main]

#[path = "../../tests/support/answer.rs"]
mod answer;
#[path = "../../tests/support/service.rs"]
mod service;

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use accrue::ably::{ApiKey, Format, UntrustedJwt};
use accrue::{
    Asked, AuthService, Capability, ClientId, Decision, GrantStore, Issuer, MemoryStore, Origins, Outcome,
    Question, Rules, Sealing, SealingKeys, ServiceSettings, Store, StoreChange, StoreError, Stored, Strategy,
    Vocabulary, Whom,
};
use accrue_fuzz::{
    Made, OPERATIONS, Plain, Unstructured, at_once, capability, common, json, permits, read, some_capability,
    union, within,
};
use answer::Answer;
use libfuzzer_sys::fuzz_target;
use service::{Ask, Clock, Jar, K1, K2, KEY, LISTED, PROXY_SECRET, Server, ask, set_cookies};

const RECHECK_AFTER: u64 = 8 * 3600;
const CLIENTS: [&str; 3] = ["alice", "bob", "é:a"];
const SECRETS: [&str; 4] =
    ["what the tests sign with", PROXY_SECRET, "3SE8zIQCZXN0mJTEi_D", "Y29tcGxldGVseSBvdGhlciAzMi"];
const STATUSES: [(u16, u64); 18] = [
    (200, 200),
    (204, 204),
    (400, 40000),
    (400, 40003),
    (400, 40012),
    (401, 40100),
    (401, 40102),
    (401, 40160),
    (403, 40300),
    (404, 40400),
    (405, 40500),
    (408, 40800),
    (413, 41300),
    (415, 41500),
    (421, 42100),
    (429, 42900),
    (431, 43100),
    (503, 50003),
];

static KEYS: LazyLock<[SealingKeys; 2]> =
    LazyLock::new(|| [service::keys(&[K1, K2]), service::keys(&[K2, K1])]);
static GIVEN: LazyLock<[Rules; 3]> = LazyLock::new(|| {
    [
        service::rules(&[]),
        service::rules(&[("inbox:{clientId}", &["subscribe"])]),
        service::rules(&[("a:*", &["history"]), ("[meta]*", &["subscribe"]), ("{clientId}", &["*"])]),
    ]
});
static CEILINGS: LazyLock<[Capability; 3]> = LazyLock::new(|| {
    [
        r#"{"[*]*":["*"]}"#,
        r#"{"*":["*"]}"#,
        r#"{"[meta]*":["subscribe"],"a:*":["publish","subscribe"],"b":["*"]}"#,
    ]
    .map(service::capability)
});

/// A store that is there or not.
#[derive(Clone, Default)]
struct Shaky {
    store: MemoryStore,
    down: Arc<AtomicBool>,
}

impl Shaky {
    fn there(&self) -> Result<&MemoryStore, StoreError> {
        if self.down.load(Ordering::Relaxed) { Err(StoreError("away".to_owned())) } else { Ok(&self.store) }
    }
}

impl GrantStore for Shaky {
    async fn read(&self, client: &ClientId) -> Result<Stored, StoreError> {
        self.there()?.read(client).await
    }

    async fn apply(&self, client: &ClientId, change: StoreChange) -> Result<(), StoreError> {
        self.there()?.apply(client, change).await
    }

    async fn revoke(&self, whom: &Whom, not_before: u64) -> Result<u64, StoreError> {
        self.store.revoke(whom, not_before).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.there().map(drop)
    }
}

/// What the check says, and what it was asked last.
#[derive(Clone)]
struct Backend(Arc<Mutex<(Decision, Option<Question>)>>);

impl Backend {
    fn now_says(&self, decision: Decision) {
        *self.0.lock().expect("nobody panics") = (decision, None);
    }

    fn was_asked(&self) -> Option<Question> {
        self.0.lock().expect("nobody panics").1.clone()
    }

    fn closure(&self) -> impl Fn(Question) -> std::future::Ready<Decision> + Send + Sync + 'static {
        let backend = self.clone();
        move |question| {
            let mut shared = backend.0.lock().expect("nobody panics");
            shared.1 = Some(question);
            ready(shared.0.clone())
        }
    }
}

/// What was permitted to a client, and when.
struct Permitted {
    client: &'static str,
    at: u64,
    says: Plain,
    revoked: bool,
}

struct World {
    strategy: u8,
    format: Format,
    given: &'static Rules,
    ceiling: &'static Capability,
    clock: Clock,
    backend: Backend,
    store: Shaky,
    has_store: bool,
    jars: [Jar; 2],
    header: String,
    permitted: Vec<Permitted>,
}

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let _ = World::made(&mut u).and_then(|mut world| {
        while !u.is_empty() {
            world.step(&mut u)?;
        }
        Ok(())
    });
});

impl World {
    fn made(u: &mut Unstructured<'_>) -> Made<Self> {
        let strategy = *u.choose(&[0, 0, 0, 1, 2, 3])?;
        Ok(Self {
            strategy,
            format: *u.choose(&[Format::Request, Format::Jwt])?,
            given: u.choose(&*GIVEN)?,
            ceiling: u.choose(&*CEILINGS)?,
            clock: Clock::default(),
            backend: Backend(Arc::new(Mutex::new((Decision::Barred, None)))),
            store: Shaky::default(),
            has_store: strategy == 1 || u.arbitrary()?,
            jars: Default::default(),
            header: "none".to_owned(),
            permitted: Vec::new(),
        })
    }

    fn server(&self, rotated: bool) -> Server {
        let strategy = match self.strategy {
            0 => Strategy::Cookie(Sealing::new(KEYS[usize::from(rotated)].clone())),
            1 => Strategy::Store(Store::new(self.store.clone())),
            2 => Strategy::Client,
            _ => Strategy::Server,
        };
        let issuer = Issuer::new(ApiKey::parse(KEY).expect("a key"), strategy, self.backend.closure());
        let mut issuer = issuer
            .expect("a closure answers everything")
            .with_given(self.given.clone())
            .with_key_capability(self.ceiling.clone())
            .with_recheck_after(RECHECK_AFTER)
            .with_format(self.format);
        if self.has_store {
            issuer = issuer.with_revocations(Store::new(self.store.clone()));
        }
        let mut settings = ServiceSettings::default();
        settings.origins = Origins::new([LISTED, service::ALSO_LISTED]).expect("origins");
        let service = AuthService::new(issuer, service::by_header(), settings, self.clock.moments());
        Server { service, clock: self.clock.clone() }
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Made<()> {
        self.clock.pass(*u.choose(&[
            0,
            0,
            1,
            299,
            3600,
            RECHECK_AFTER,
            RECHECK_AFTER + 1,
            2 * RECHECK_AFTER,
            200_000,
        ])?);
        let client = *u.choose(&CLIENTS)?;
        if self.has_store && u.ratio(1, 8)? {
            self.revoke(client, u.arbitrary()?);
        }
        self.store.down.store(self.has_store && u.ratio(1, 8)?, Ordering::Relaxed);
        let decision = some_decision(u)?;
        let server = self.server(u.ratio(1, 4)?);

        let target =
            *u.choose(&["/auth", "/auth", "/auth", "/auth", "/auth", "/healthz", "/readyz", "/", "/auth/"])?;
        let method = *u.choose(&["GET", "GET", "POST", "POST", "DELETE", "OPTIONS", "PUT", "HEAD"])?;
        let request = asking(u, ask(method, target))?;
        let request = if u.ratio(7, 8)? { request.by(client) } else { stranger(u, request)? };
        let (request, comes_from) = from_some_page(u, request)?;
        // 0 and 1 are browsers, 2 has no cookies
        let place = u.int_in_range(0..=2_usize)?;
        let sent = self.carrying(request.clone(), place);
        let is_lost = u.ratio(1, 6)?;

        self.backend.now_says(decision.clone());
        let (answer, outcome) = at_once(server.tell(sent));
        self.note(client, &decision);
        self.holds(client, &answer, &outcome);
        if comes_from == Page::Foreign && target == "/auth" {
            assert_eq!(answer.status, 403, "{answer:?}");
            assert!(self.backend.was_asked().is_none());
        }
        if comes_from != Page::Own && comes_from != Page::Listed || target != "/auth" {
            assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
        }
        if is_lost {
            return Ok(());
        }
        self.keep(place, &answer);
        let is_token = answer.status == 200 && target == "/auth" && method != "OPTIONS";
        let remembers = self.strategy < 2 && !self.store.down.load(Ordering::Relaxed);
        if is_token && remembers && (comes_from == Page::Own || comes_from == Page::Listed) {
            self.is_there_the_next_time(client, &server, place, &answer);
        }
        Ok(())
    }

    fn revoke(&mut self, client: &'static str, everybody: bool) {
        let whom = match everybody {
            true => Whom::Everybody,
            false => Whom::Client(ClientId::try_from(client).expect("an id")),
        };
        at_once(self.store.revoke(&whom, self.clock.now())).expect("it is in memory");
        let theirs = self.permitted.iter_mut().filter(|one| everybody || one.client == client);
        theirs.for_each(|one| one.revoked = true);
    }

    fn carrying(&self, request: Ask, place: usize) -> Ask {
        match self.jars.get(place) {
            Some(jar) => request.carrying(jar),
            None => request.header("accrue-grant", &self.header),
        }
    }

    fn keep(&mut self, place: usize, answer: &Answer) {
        match self.jars.get_mut(place) {
            Some(jar) => jar.keep(answer),
            None => {
                answer.header("accrue-grant").into_iter().for_each(|grant| self.header = grant.to_owned())
            }
        }
    }

    /// Notes what the check has just permitted.
    fn note(&mut self, client: &'static str, decision: &Decision) {
        let Some(question) = self.backend.was_asked() else { return };
        assert_eq!(question.client.id.as_str(), client);
        let counts = self.counts(client, true);
        assert!(within(&read(&question.held), &counts), "{:?} of {counts:?}", question.held);
        let Decision::Granted(granted) = decision else { return };
        let says = match &question.asked {
            Asked::These(asked) => {
                assert!(!asked.is_empty() && self.strategy != 3);
                common(&read(granted), &read(asked))
            }
            Asked::Everything => read(granted),
        };
        let says = common(&says, &read(self.ceiling));
        self.permitted.push(Permitted { client, at: self.clock.now(), says, revoked: false });
    }

    /// What was permitted to this client and counts still, so far as anybody can tell from outside.
    fn counts(&self, client: &str, is_answered: bool) -> Plain {
        let longest = if is_answered { RECHECK_AFTER } else { 2 * RECHECK_AFTER };
        let now = self.clock.now();
        let counts = |one: &&Permitted| one.client == client && !one.revoked && now - one.at <= longest;
        union(self.permitted.iter().filter(counts).map(|one| &one.says))
    }

    /// What has to hold of every answer.
    fn holds(&self, client: &'static str, answer: &Answer, outcome: &Outcome) {
        assert!(STATUSES.contains(&answer.status_and_code()), "{answer:?}");
        let told = format!("{outcome:?} {}", String::from_utf8_lossy(&answer.body));
        let sent: Vec<&String> = self.jars.iter().flat_map(|jar| jar.0.values()).collect();
        for secret in SECRETS.iter().copied().chain(sent.iter().map(|text| text.as_str())) {
            assert!(!told.contains(secret), "{secret}: {told}");
            assert!(!format!("{:?}", answer.headers.get("x-ably-errormessage")).contains(secret));
        }

        let is_answered = !outcome.report.cause.as_ref().is_some_and(|cause| cause.contains("away"));
        let counts = self.counts(client, is_answered);
        let id = ClientId::try_from(client).expect("an id");
        if answer.status == 200 && outcome.route == "/auth" {
            let token = answer.token();
            assert_eq!(token["clientId"], client);
            let signed = signed(answer);
            let given = read(&self.given.filled_in(&accrue::Client::new(id.clone())));
            let bound = union([&counts, &given]);
            assert!(!signed.is_empty(), "{answer:?}");
            assert!(within(&signed, &bound), "{signed:?} is beyond {bound:?}");
            assert!(within(&signed, &read(self.ceiling)), "{signed:?} is beyond the key");
            let ttl = token["ttl"].as_u64().unwrap_or_else(|| {
                let text = token["token"].as_str().expect("a text");
                assert_eq!(
                    UntrustedJwt::parse(text).expect("a JWT").verify(&ApiKey::parse(KEY).expect("a key")),
                    Ok(())
                );
                token["expires"].as_u64().expect("a time") - token["issued"].as_u64().expect("a time")
            });
            assert!((1_000..=3_600_000).contains(&ttl), "{answer:?}");
        }
        let by_header = answer.header("accrue-grant").into_iter().flat_map(|value| value.split(", "));
        let by_cookie = set_cookies(answer).into_iter().map(|cookie| cookie.value);
        let known = |text: &String| self.header.contains(text.as_str()) || sent.contains(&text);
        for text in
            by_header.map(str::to_owned).chain(by_cookie).filter(|text| text.starts_with('1') && !known(text))
        {
            assert_eq!(self.strategy, 0, "nothing is kept by clients");
            assert!(text.len() <= Sealing::DEFAULT_MAX_BYTES, "{} bytes", text.len());
            let far = u64::MAX;
            let grant =
                KEYS[0].unseal(&id, &text, far, &Vocabulary::default()).expect("is this client's").grant;
            for (resource, operations) in read(&grant.capability) {
                for operation in operations {
                    // whatever else happens, what is in it was permitted, and not before its own time
                    let from = |one: &&Permitted| {
                        permits(&one.says, &resource, &operation) && grant.since <= one.at + 61
                    };
                    let ours = self.permitted.iter().filter(|one| one.client == client).find(from);
                    assert!(ours.is_some(), "{resource} {operation} in {grant:?}");
                }
            }
        }
    }

    /// Without wishes, and with a check that does not answer, the same token comes again.
    fn is_there_the_next_time(
        &mut self,
        client: &'static str,
        server: &Server,
        place: usize,
        before: &Answer,
    ) {
        if self.jars.get(place).is_some_and(|jar| jar.0.len() > 12) {
            return;
        }
        self.backend.now_says(Decision::Unavailable("away".to_owned()));
        let (again, outcome) = at_once(server.tell(self.carrying(ask("GET", "/auth").by(client), place)));
        self.holds(client, &again, &outcome);
        assert_eq!(signed(&again), signed(before), "{before:?} {again:?}");
        self.keep(place, &again);
    }
}

fn some_decision(u: &mut Unstructured<'_>) -> Made<Decision> {
    Ok(match u.int_in_range(0..=6)? {
        0 => Decision::Barred,
        1 => Decision::Unavailable("away".to_owned()),
        2 => Decision::Granted(Capability::default()),
        3 | 4 => Decision::Granted(service::capability(r#"{"[*]*":["*"]}"#)),
        _ => Decision::Granted(some_capability(u, 6)?),
    })
}

/// With wishes, or whatever else stands where they should.
fn asking(u: &mut Unstructured<'_>, request: Ask) -> Made<Ask> {
    let text = match u.int_in_range(0..=7)? {
        0 | 1 => return Ok(request),
        2 => {
            let name = *u.choose(&["capability", "ttl", "clientId", "client_id", "x"])?;
            let value: &str = u.arbitrary()?;
            return Ok(request.with(name, value));
        }
        3 => {
            let content_type =
                *u.choose(&["application/json", "application/x-www-form-urlencoded", "text/plain"])?;
            let body: &[u8] = u.arbitrary()?;
            return Ok(request.body(content_type, body.to_vec()));
        }
        4 => many(u)?,
        _ => some_capability(u, 6)?.to_string(),
    };
    let request = match u.int_in_range(0..=4)? {
        0 => request.with("ttl", &u.int_in_range(0..=5_000_000_u64)?.to_string()),
        1 => request.with("clientId", u.choose(&CLIENTS)?),
        _ => request,
    };
    Ok(match u.int_in_range(0..=2)? {
        0 => request.wishing(&text),
        1 => request.form(&[("capability", &text)]),
        _ => request.json(&serde_json::json!({ "capability": text })),
    })
}

/// More than a cookie has room for.
fn many(u: &mut Unstructured<'_>) -> Made<String> {
    let (count, from) = (u.int_in_range(1..=255_u64)?, u.arbitrary::<u8>()?);
    let operation = *u.choose(&OPERATIONS)?;
    let name = |n: u64| format!("a:{:016x}", (n + u64::from(from)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let all: BTreeMap<String, [&str; 1]> = (0..count).map(|n| (name(n), [operation])).collect();
    Ok(serde_json::to_string(&all).expect("texts serialise"))
}

/// Not authenticated.
fn stranger(u: &mut Unstructured<'_>, request: Ask) -> Made<Ask> {
    Ok(match u.int_in_range(0..=3)? {
        0 => request,
        1 => request.header("x-client-id", "alice"),
        2 => request.header("x-client-id", "alice").header("x-proxy-secret", "guessed"),
        _ => request.by("alice").header("x-client-id", "bob"),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Own,
    Listed,
    Foreign,
    /// Nothing that a script waits for.
    Navigation,
}

fn from_some_page(u: &mut Unstructured<'_>, request: Ask) -> Made<(Ask, Page)> {
    Ok(match u.int_in_range(0..=9)? {
        0 => (request.headers(&[("origin", LISTED), ("sec-fetch-site", "cross-site")]), Page::Listed),
        1 => (request.headers(&[("origin", "https://evil.example"), ("host", "a.example")]), Page::Foreign),
        2 => (request.header("sec-fetch-site", "same-site"), Page::Foreign),
        3 => {
            (request.headers(&[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]), Page::Navigation)
        }
        4 => (request.headers(&[("origin", "https://a.example"), ("host", "a.example")]), Page::Own),
        _ => (request, Page::Own),
    })
}

fn signed(answer: &Answer) -> Plain {
    let token = answer.token();
    let text = token["capability"].as_str().expect("a text");
    capability(&json(text.as_bytes()).expect("JSON")).expect("a capability")
}
