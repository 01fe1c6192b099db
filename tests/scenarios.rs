//! One table of scenarios for all four strategies and both carriers: what a client asks, step by step, and what comes
//! of it. Who keeps what a client was permitted must make no difference beyond what the columns say.

#[path = "support/answer.rs"]
mod answer;
#[path = "support/service.rs"]
mod service;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use accrue::ably::ApiKey;
use accrue::{
    Asked, AuthService, Capability, ClientId, Decision, Issuer, MemoryStore, Moment, Outcome, Question,
    Revocation, Sealing, ServiceSettings, Store, Strategy, Whom,
};
use answer::Answer;
use http::Request;
use http_body_util::BodyExt;
use service::{Ask, Clock, Jar, K1, KEY, block_on, by_header, capability, delete, get, keys, rules};
use tokio::sync::Barrier;

const HOUR: u64 = 3600;

/// Of each scenario, what is seen under the strategies that keep what was permitted (`cookie` and `store`, which must
/// not differ), under `client` and under `server`.
struct Scenario {
    name: &'static str,
    steps: fn(&mut World),
    kept: &'static [&'static str],
    client: &'static [&'static str],
    server: &'static [&'static str],
}

/// A step reads `STATUS [what the token permits] asks [what the check was asked]`, and what was refused.
/// The check permits rooms a, b and c; everybody is given an inbox. `client` lists all it needs each time, or would.
const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "first contact",
        steps: |world| {
            world.ask("");
            world.ask("a");
        },
        kept: &["200 [inbox]", "200 [a inbox] asks [a]"],
        client: &["200 [inbox]", "200 [a inbox] asks [a]"],
        server: &["200 [a b c inbox] asks everything", "200 [a b c inbox] asks everything"],
    },
    Scenario {
        name: "addition",
        steps: |world| {
            world.ask("a");
            world.ask("b");
            world.ask("a b");
        },
        kept: &["200 [a inbox] asks [a]", "200 [a b inbox] asks [b]", "200 [a b inbox]"],
        client: &["200 [a inbox] asks [a]", "200 [b inbox] asks [b]", "200 [a b inbox] asks [a b]"],
        server: &["200 [a b c inbox] asks everything"; 3],
    },
    Scenario {
        name: "refused wish",
        steps: |world| {
            world.ask("a");
            world.ask("a x");
            world.ask("a x");
        },
        kept: &[
            "200 [a inbox] asks [a]",
            "200 [a inbox] asks [x] denied [x]",
            "200 [a inbox] asks [x] denied [x]",
        ],
        client: &[
            "200 [a inbox] asks [a]",
            "200 [a inbox] asks [a x] denied [x]",
            "200 [a inbox] asks [a x] denied [x]",
        ],
        server: &["200 [a b c inbox] asks everything"; 3],
    },
    Scenario {
        name: "renewal",
        steps: |world| {
            world.ask("a");
            world.pass(HOUR);
            world.ask("a");
            world.ask("");
        },
        kept: &["200 [a inbox] asks [a]", "200 [a inbox]", "200 [a inbox]"],
        client: &["200 [a inbox] asks [a]", "200 [a inbox] asks [a]", "200 [inbox]"],
        server: &["200 [a b c inbox] asks everything"; 3],
    },
    Scenario {
        name: "stale, and withdrawn meanwhile in part",
        steps: |world| {
            world.ask("a b");
            world.pass(8 * HOUR + 301);
            world.permits("a c");
            world.ask("a b");
            world.ask("a");
        },
        kept: &["200 [a b inbox] asks [a b]", "200 [a inbox] asks [a b] denied [b]", "200 [a inbox]"],
        client: &[
            "200 [a b inbox] asks [a b]",
            "200 [a inbox] asks [a b] denied [b]",
            "200 [a inbox] asks [a]",
        ],
        server: &[
            "200 [a b c inbox] asks everything",
            "200 [a c inbox] asks everything",
            "200 [a c inbox] asks everything",
        ],
    },
    Scenario {
        name: "check down: what is fresh and what is stale counts, what is older does not",
        steps: |world| {
            world.ask("a");
            world.down();
            world.ask("a b");
            world.pass(8 * HOUR + 301);
            world.ask("a");
            world.pass(8 * HOUR);
            world.ask("a");
            world.up();
            world.ask("a b");
        },
        kept: &[
            "200 [a inbox] asks [a]",
            "200 [a inbox] asks [b] unavailable [b] for 5 minutes",
            "200 [a inbox] asks [a] for 5 minutes",
            "200 [inbox] asks [a] unavailable [a] for 5 minutes",
            "200 [a b inbox] asks [a b]",
        ],
        client: &[
            "200 [a inbox] asks [a]",
            "200 [inbox] asks [a b] unavailable [a b] for 5 minutes",
            "200 [inbox] asks [a] unavailable [a] for 5 minutes",
            "200 [inbox] asks [a] unavailable [a] for 5 minutes",
            "200 [a b inbox] asks [a b]",
        ],
        server: &[
            "200 [a b c inbox] asks everything",
            "200 [inbox] asks everything for 5 minutes",
            "200 [inbox] asks everything for 5 minutes",
            "200 [inbox] asks everything for 5 minutes",
            "200 [a b c inbox] asks everything",
        ],
    },
    Scenario {
        name: "revoked: counts for nothing until checked again, and what is sealed right after counts",
        steps: |world| {
            world.ask("a b");
            world.pass(60);
            world.permits("a");
            world.revoke("alice");
            world.down();
            world.ask("a b");
            world.up();
            world.ask("a b");
            world.ask("a");
        },
        kept: &[
            "200 [a b inbox] asks [a b]",
            "200 [inbox] asks [a b] unavailable [a b] for 5 minutes",
            "200 [a inbox] asks [a b] denied [b]",
            "200 [a inbox]",
        ],
        client: &[
            "200 [a b inbox] asks [a b]",
            "200 [inbox] asks [a b] unavailable [a b] for 5 minutes",
            "200 [a inbox] asks [a b] denied [b]",
            "200 [a inbox] asks [a]",
        ],
        server: &[
            "200 [a b c inbox] asks everything",
            "200 [inbox] asks everything for 5 minutes",
            "200 [a inbox] asks everything",
            "200 [a inbox] asks everything",
        ],
    },
    Scenario {
        name: "barred: nothing is left",
        steps: |world| {
            world.ask("a");
            world.bar();
            world.ask("b");
            world.up();
            world.ask("");
            world.ask("a");
        },
        kept: &["200 [a inbox] asks [a]", "403/40300 asks [b]", "200 [inbox]", "200 [a inbox] asks [a]"],
        client: &["200 [a inbox] asks [a]", "403/40300 asks [b]", "200 [inbox]", "200 [a inbox] asks [a]"],
        server: &[
            "200 [a b c inbox] asks everything",
            "403/40300 asks everything",
            "200 [a b c inbox] asks everything",
            "200 [a b c inbox] asks everything",
        ],
    },
    Scenario {
        name: "give up: a part, then everything",
        steps: |world| {
            world.ask("a b");
            world.give_up("a");
            world.ask("");
            world.give_up("");
            world.ask("");
        },
        kept: &["200 [a b inbox] asks [a b]", "204", "200 [b inbox]", "204", "200 [inbox]"],
        client: &["200 [a b inbox] asks [a b]", "204", "200 [inbox]", "204", "200 [inbox]"],
        server: &[
            "200 [a b c inbox] asks everything",
            "204",
            "200 [a b c inbox] asks everything",
            "204",
            "200 [a b c inbox] asks everything",
        ],
    },
    Scenario {
        name: "two at once, through two instances: nothing is lost",
        steps: |world| {
            world.ask("a");
            world.ask_at_once("b", "c");
            world.ask("");
            world.ask("");
        },
        kept: &[
            "200 [a inbox] asks [a]",
            "200 [a b inbox] asks [b]",
            "200 [a c inbox] asks [c]",
            "200 [a b c inbox]",
            "200 [a b c inbox]",
        ],
        client: &[
            "200 [a inbox] asks [a]",
            "200 [b inbox] asks [b]",
            "200 [c inbox] asks [c]",
            "200 [inbox]",
            "200 [inbox]",
        ],
        server: &["200 [a b c inbox] asks everything"; 5],
    },
    Scenario {
        name: "other client: has nothing of the first one's, and takes nothing away",
        steps: |world| {
            world.ask("a");
            world.client = "bob";
            world.ask("");
            world.ask("b");
            world.revoke("bob");
            world.give_up("a b");
            world.client = "alice";
            world.ask("");
        },
        kept: &["200 [a inbox] asks [a]", "200 [inbox]", "200 [b inbox] asks [b]", "204", "200 [a inbox]"],
        client: &["200 [a inbox] asks [a]", "200 [inbox]", "200 [b inbox] asks [b]", "204", "200 [inbox]"],
        server: &[
            "200 [a b c inbox] asks everything",
            "200 [a b c inbox] asks everything",
            "200 [a b c inbox] asks everything",
            "204",
            "200 [a b c inbox] asks everything",
        ],
    },
];

#[test]
fn every_scenario_under_every_strategy_and_with_both_carriers() {
    for scenario in SCENARIOS {
        for strategy in ["cookie", "store", "client", "server"] {
            for carrier in [CarriedBy::Cookies, CarriedBy::Header] {
                let mut world = World::new(strategy, carrier);
                (scenario.steps)(&mut world);
                let expected = match strategy {
                    "client" => scenario.client,
                    "server" => scenario.server,
                    _ => scenario.kept,
                };
                assert_eq!(world.seen, expected, "{}: {strategy}, {carrier:?}", scenario.name);
                assert!(world.check.0.lock().unwrap().asked.is_empty(), "{}", scenario.name);
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CarriedBy {
    Cookies,
    Header,
}

/// Two instances that share their secrets and a store, one check, and clients that keep what they are told to.
struct World {
    instances: [AuthService; 2],
    store: Store,
    clock: Clock,
    check: Check,
    client: &'static str,
    carrier: CarriedBy,
    /// What the browser, or each client without one, keeps.
    jar: Jar,
    grants: BTreeSet<(&'static str, String)>,
    seen: Vec<String>,
}

#[derive(Clone)]
struct Check(Arc<Mutex<Script>>);

struct Script {
    permits: Capability,
    mood: Mood,
    /// How many questions have to be there before one is answered.
    together: Option<Arc<Barrier>>,
    asked: VecDeque<String>,
}

#[derive(Clone, Copy)]
enum Mood {
    Up,
    Down,
    Bars,
}

impl World {
    fn new(strategy: &str, carrier: CarriedBy) -> Self {
        let check = Check(Arc::new(Mutex::new(Script {
            permits: rooms("a b c"),
            mood: Mood::Up,
            together: None,
            asked: VecDeque::new(),
        })));
        let store = Store::new(MemoryStore::default());
        let clock = Clock::default();
        let instance = || {
            let key = ApiKey::parse(KEY).unwrap();
            let strategy = match strategy {
                "cookie" => Strategy::Cookie(Sealing::new(keys(&[K1]))),
                "store" => Strategy::Store(store.clone()),
                "client" => Strategy::Client,
                _ => Strategy::Server,
            };
            let issuer = Issuer::new(key, strategy, check.closure()).unwrap();
            let issuer =
                issuer.with_revocations(store.clone()).with_given(rules(&[("inbox", &["subscribe"])]));
            AuthService::new(issuer, by_header(), ServiceSettings::default(), clock.moments())
        };
        Self {
            instances: [instance(), instance()],
            store: store.clone(),
            check,
            client: "alice",
            carrier,
            jar: Jar::default(),
            grants: BTreeSet::new(),
            seen: Vec::new(),
            clock,
        }
    }

    fn ask(&mut self, wishes: &str) {
        let request = self.wishing(wishes);
        let (answer, outcome) = block_on(handle(&self.instances[0], request));
        self.keep(&answer, true);
        self.saw(&answer, &outcome);
    }

    /// Both requests carry the same, and neither is answered before the check was asked about both.
    fn ask_at_once(&mut self, one: &str, other: &str) {
        self.check.0.lock().unwrap().together = Some(Arc::new(Barrier::new(2)));
        let requests = [self.wishing(one), self.wishing(other)];
        let [first, second] = requests;
        let answers = block_on(async {
            tokio::join!(handle(&self.instances[0], first), handle(&self.instances[1], second))
        });
        self.check.0.lock().unwrap().together = None;
        self.keep(&answers.0.0, true);
        self.saw(&answers.0.0, &answers.0.1);
        // a client without cookies that asks twice at once has to keep both answers
        self.keep(&answers.1.0, false);
        self.saw(&answers.1.0, &answers.1.1);
    }

    fn give_up(&mut self, what: &str) {
        let request = match what {
            "" => delete("/auth"),
            what => delete("/auth").wishing(&rooms(what).to_string()),
        };
        let request = self.carrying(request);
        let (answer, outcome) = block_on(handle(&self.instances[0], request));
        self.keep(&answer, true);
        self.saw(&answer, &outcome);
    }

    fn revoke(&self, client: &str) {
        let whom = Whom::Client(ClientId::try_from(client).unwrap());
        let revocation = Revocation::new().with_store(self.store.clone());
        let revoked = block_on(revocation.revoke(&whom, &Moment::new(self.clock.now() * 1000, [0; 32])));
        assert!(revoked.mark.is_done());
    }

    fn pass(&self, seconds: u64) {
        self.clock.pass(seconds);
    }

    fn permits(&self, what: &str) {
        self.check.0.lock().unwrap().permits = rooms(what);
    }

    fn down(&self) {
        self.check.0.lock().unwrap().mood = Mood::Down;
    }

    fn up(&self) {
        self.check.0.lock().unwrap().mood = Mood::Up;
    }

    fn bar(&self) {
        self.check.0.lock().unwrap().mood = Mood::Bars;
    }

    fn wishing(&self, wishes: &str) -> Ask {
        let request = match wishes {
            "" => get("/auth"),
            wishes => get("/auth").wishing(&rooms(wishes).to_string()),
        };
        self.carrying(request)
    }

    fn carrying(&self, request: Ask) -> Ask {
        let request = request.by(self.client);
        match self.carrier {
            CarriedBy::Cookies => request.carrying(&self.jar),
            CarriedBy::Header => {
                let own = self.grants.iter().filter(|(client, _)| *client == self.client);
                let own: Vec<&str> = own.map(|(_, grant)| grant.as_str()).collect();
                let value = if own.is_empty() { "none".to_owned() } else { own.join(", ") };
                request.header("accrue-grant", value)
            }
        }
    }

    fn keep(&mut self, answer: &Answer, instead: bool) {
        self.jar.keep(answer);
        if let Some(value) = answer.header("accrue-grant") {
            if instead {
                self.grants.retain(|(client, _)| *client != self.client);
            }
            let grants = value.split(", ").filter(|grant| *grant != "none");
            self.grants.extend(grants.map(|grant| (self.client, grant.to_owned())));
        }
        if self.carrier == CarriedBy::Header {
            assert!(self.jar.0.is_empty(), "no cookies for one who sends the header");
        }
    }

    fn saw(&mut self, answer: &Answer, outcome: &Outcome) {
        let mut line = match answer.status_and_code() {
            (status, code) if status >= 400 => format!("{status}/{code}"),
            (status, _) => status.to_string(),
        };
        let token = (answer.status == 200).then(|| answer.token());
        if let Some(token) = &token {
            let signed = capability(token["capability"].as_str().unwrap());
            line += &format!(" {}", names(&signed));
        }
        // who asked first comes first, also of two at once
        if outcome.report.check.is_some() {
            line += &format!(" asks {}", self.check.0.lock().unwrap().asked.pop_front().unwrap());
        }
        if let Some(refused) = answer.header("accrue-refused") {
            let refused: serde_json::Value = serde_json::from_str(refused).unwrap();
            for (reason, what) in refused.as_object().unwrap() {
                line += &format!(" {reason} {}", names(&capability(&what.to_string())));
            }
        }
        if token.is_some_and(|token| token["ttl"] == 300_000) {
            line += " for 5 minutes";
        }
        self.seen.push(line);
    }
}

impl Check {
    fn closure(&self) -> impl accrue::PermissionCheck + use<> {
        let check = self.clone();
        move |question: Question| {
            let check = check.clone();
            async move { check.answer(&question).await }
        }
    }

    async fn answer(&self, question: &Question) -> Decision {
        let together = {
            let mut script = self.0.lock().unwrap();
            let asked = match &question.asked {
                Asked::These(asked) => names(asked),
                Asked::Everything => "everything".to_owned(),
            };
            script.asked.push_back(asked);
            script.together.clone()
        };
        if let Some(together) = together {
            together.wait().await;
        }
        let script = self.0.lock().unwrap();
        match (script.mood, &question.asked) {
            (Mood::Down, _) => Decision::Unavailable("no route to host".to_owned()),
            (Mood::Bars, _) => Decision::Barred,
            (Mood::Up, Asked::These(asked)) => Decision::Granted(asked.intersect(&script.permits)),
            (Mood::Up, Asked::Everything) => Decision::Granted(script.permits.clone()),
        }
    }
}

async fn handle(instance: &AuthService, request: Ask) -> (Answer, Outcome) {
    let (response, body) = instance.handle(Request::from(request)).await.into_parts();
    let body = body.collect().await.expect("a full body does not fail").to_bytes();
    let outcome = response.extensions.get::<Outcome>().expect("in every response").clone();
    let answer = Answer { status: response.status, headers: response.headers, body };
    answer.has_the_usual_headers();
    (answer, outcome)
}

/// `a b` as a capability to subscribe to both.
fn rooms(names: &str) -> Capability {
    let entries: serde_json::Map<String, serde_json::Value> =
        names.split_whitespace().map(|name| (name.to_owned(), serde_json::json!(["subscribe"]))).collect();
    capability(&serde_json::Value::from(entries).to_string())
}

fn names(capability: &Capability) -> String {
    let names: Vec<&str> = capability.iter().map(|(resource, _)| resource.as_str()).collect();
    format!("[{}]", names.join(" "))
}
