//! One client, one server, a check that does as it is told, and a clock that is moved by hand.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};

use accrue::ably::{ApiKey, Ttl, UntrustedJwt, UntrustedTokenRequest};
use accrue::{
    Ask, Asked, Capability, Client, Decision, Grant, Issuer, Moment, PermissionCheck, Question,
    RefusalReason, Refused, Report, Rules, SealedChange, Sealing, SealingKeys, SealingSecret, Strategy,
    Unreadable, Vocabulary,
};
use serde_json::Value;

use super::{at_once, cap, capability, client, moment};

/// A full five minutes, which is what ages are rounded down to.
pub(crate) const T0: u64 = 1_700_000_100;
pub(crate) const MINUTE: u64 = 60;
pub(crate) const HOUR: u64 = 60 * MINUTE;
/// What issuers have by default.
pub(crate) const RECHECK_AFTER: u64 = 8 * HOUR;

pub(crate) const KEY: &str = "app.key:an-ably-secret";
pub(crate) const K1: &str = "k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY";
pub(crate) const K2: &str = "k2:M8hd6zqIvxxOBal01wctKvYtLX9MmrOz8uPrnoJKCBY";
pub(crate) const K3: &str = "k3:vTzZGGWgUdmrDMSzmTIJRI0uKFfeL5N4lFZ0oV7Ni5A";

/// A permission check that does as it is told and writes down what it is asked.
#[derive(Clone, Default)]
pub(crate) struct Backend(Arc<Mutex<Script>>);

#[derive(Default)]
pub(crate) struct Script {
    pub(crate) permits: Capability,
    pub(crate) mood: Mood,
    pub(crate) asked: Vec<Question>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Permits what it permits of what is asked.
    #[default]
    Exact,
    /// Says all that it permits, whatever is asked.
    Talkative,
    Bars,
    Down,
}

impl PermissionCheck for Backend {
    async fn check(&self, question: Question) -> Decision {
        let mut script = self.0.lock().unwrap();
        let permits = script.permits.clone();
        let decision = match (script.mood, &question.asked) {
            (Mood::Exact, Asked::These(asked)) => Decision::Granted(asked.permitted_by(&permits)),
            (Mood::Exact | Mood::Talkative, _) => Decision::Granted(permits),
            (Mood::Bars, _) => Decision::Barred,
            (Mood::Down, _) => Decision::Unavailable("no route to host".into()),
        };
        script.asked.push(question);
        decision
    }
}

/// A cookie jar, and nothing else of a browser.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    pub(crate) kept: BTreeSet<String>,
}

impl Browser {
    pub(crate) fn presents(&self) -> Vec<String> {
        self.kept.iter().cloned().collect()
    }

    /// In the order of the contract, which makes none: a name that is set is not deleted in the same answer.
    pub(crate) fn apply(&mut self, change: &SealedChange) {
        self.kept.retain(|text| !change.drop.contains(text));
        self.kept.extend(change.put.iter().cloned());
    }
}

/// One client, one server, and what time it is.
pub(crate) struct Scene {
    pub(crate) issuer: Issuer,
    /// All that ever sealed, so that a test can read what is kept.
    pub(crate) keys: SealingKeys,
    pub(crate) backend: Backend,
    pub(crate) client: Client,
    pub(crate) now: u64,
    pub(crate) browser: Browser,
    pub(crate) max_bytes: usize,
}

pub(crate) fn keys(secrets: &[&str]) -> SealingKeys {
    let secrets = secrets.iter().map(|secret| SealingSecret::parse(secret).unwrap());
    SealingKeys::new(&ApiKey::parse(KEY).unwrap(), secrets.collect()).unwrap()
}

pub(crate) fn rules(entries: &[(&str, &[&str])]) -> Rules {
    let mut rules = Rules::default();
    for (resource, operations) in entries {
        rules.add(resource, operations, &Vocabulary::default()).unwrap();
    }
    rules
}

impl Scene {
    pub(crate) fn new(strategy: Strategy, permits: &str) -> Self {
        let backend = Backend::default();
        backend.0.lock().unwrap().permits = cap(permits);
        Self {
            issuer: Issuer::new(ApiKey::parse(KEY).unwrap(), strategy, backend.clone()).unwrap(),
            keys: keys(&[K1, K2, K3]),
            backend,
            client: client("alice"),
            now: T0,
            browser: Browser::default(),
            max_bytes: Sealing::DEFAULT_MAX_BYTES,
        }
    }

    /// Grants are sealed with the first secret, and the check permits this.
    pub(crate) fn cookie(permits: &str) -> Self {
        Self::new(Strategy::Cookie(Sealing::new(keys(&[K1]))), permits)
    }

    /// The same with little room for a grant.
    pub(crate) fn cramped(permits: &str, max_bytes: usize) -> Self {
        let mut sealing = Sealing::new(keys(&[K1]));
        sealing.max_bytes = max_bytes;
        Self { max_bytes, ..Self::new(Strategy::Cookie(sealing), permits) }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(Issuer) -> Issuer) -> Self {
        self.issuer = change(self.issuer);
        self
    }

    /// Another deployment: the same in all but the secrets.
    pub(crate) fn rotate(&mut self, secrets: &[&str]) {
        let mut sealing = Sealing::new(keys(secrets));
        sealing.max_bytes = self.max_bytes;
        self.issuer =
            Issuer::new(ApiKey::parse(KEY).unwrap(), Strategy::Cookie(sealing), self.backend.clone())
                .unwrap();
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.backend.0.lock().unwrap().mood = mood;
    }

    pub(crate) fn permits(&self, permits: &str) {
        self.backend.0.lock().unwrap().permits = cap(permits);
    }

    pub(crate) fn at(&mut self, now: u64) -> &mut Self {
        self.now = now;
        self
    }

    /// Puts a grant of this client into the browser.
    pub(crate) fn keeps(&mut self, entries: &str, since: u64) -> String {
        let sealed = self.sealed("alice", entries, since);
        self.browser.kept.insert(sealed.clone());
        sealed
    }

    pub(crate) fn sealed(&self, id: &str, entries: &str, since: u64) -> String {
        let grant = Grant { capability: cap(entries), since };
        self.keys.seal(&client(id).id, &grant).expect("it can be sealed")
    }

    /// Asks, and keeps what the answer says.
    #[track_caller]
    pub(crate) fn ask(&mut self, wishes: &str) -> Answer {
        let answer = self.answer(&cap(wishes), None, &self.browser.presents());
        self.browser.apply(&answer.change);
        answer
    }

    /// Asks with just these grants, and keeps nothing.
    #[track_caller]
    pub(crate) fn answer(&self, wishes: &Capability, ttl: Option<Ttl>, presented: &[String]) -> Answer {
        self.answer_at(&moment(self.now, 0), wishes, ttl, presented)
    }

    #[track_caller]
    pub(crate) fn answer_at(
        &self,
        moment: &Moment,
        wishes: &Capability,
        ttl: Option<Ttl>,
        presented: &[String],
    ) -> Answer {
        let mut ask = Ask::new(self.client.clone());
        ask.wishes = wishes.clone();
        ask.ttl = ttl;
        ask.presented = presented.to_vec();
        let before = self.backend.0.lock().unwrap().asked.len();
        let outcome = at_once(self.issuer.issue(ask, moment));
        let asked = self.backend.0.lock().unwrap().asked[before..].to_vec();
        assert!(asked.len() <= 1, "the check is asked once at most");

        let (outcome, change, refused, report) = match outcome {
            Ok(issued) => {
                let token = serde_json::to_value(&issued.token).unwrap();
                (Ok(signed(&token)), issued.change, issued.refused, issued.report)
            }
            Err(refusal) => (Err(refusal.reason), refusal.change, refusal.refused, refusal.report),
        };
        self.inspect(&change, presented);
        Answer { outcome, change, refused, report, asked: asked.into_iter().next() }
    }

    /// Gives up what this covers of these grants.
    #[track_caller]
    pub(crate) fn give_up(&self, unwanted: &str, presented: &[String]) -> (SealedChange, Report) {
        let moment = moment(self.now, 0);
        let unwanted = cap(unwanted);
        let given_up = self.issuer.give_up(&self.client, Some(&unwanted), presented.to_vec(), &moment);
        at_once(given_up).expect("nothing is needed for it")
    }

    /// What holds for every change there is.
    #[track_caller]
    pub(crate) fn inspect(&self, change: &SealedChange, presented: &[String]) {
        let distinct: BTreeSet<&String> = change.put.iter().chain(&change.drop).collect();
        assert_eq!(distinct.len(), change.put.len() + change.drop.len(), "no text stands twice");
        for text in &change.put {
            assert!(!presented.contains(text), "what is there is not set again");
            assert!(self.reads(text).is_ok(), "what is set verifies");
        }
        for text in &change.drop {
            assert!(presented.contains(text), "only what was read is deleted");
            assert!(self.reads(text).is_ok(), "only what verifies is deleted");
        }
    }

    pub(crate) fn reads(&self, sealed: &str) -> Result<Grant, Unreadable> {
        let unsealed = self.keys.unseal(&self.client.id, sealed, self.now, &Vocabulary::default());
        unsealed.map(|unsealed| unsealed.grant)
    }

    /// The grants of this client in the browser are these, by capability and age.
    #[track_caller]
    pub(crate) fn holds(&self, grants: &[(&str, u64)]) -> &Self {
        let kept: HashSet<(Capability, u64)> = self
            .browser
            .kept
            .iter()
            .filter_map(|text| self.reads(text).ok())
            .map(|grant| (grant.capability, grant.since))
            .collect();
        assert_eq!(kept, grants.iter().map(|(entries, since)| (cap(entries), *since)).collect());
        self
    }
}

/// The capability of a token that this key signed, and its ttl.
#[track_caller]
pub(crate) fn signed(token: &Value) -> Signed {
    let key = ApiKey::parse(KEY).unwrap();
    let text = token["capability"].as_str().expect("a token names its capability");
    let capability = capability(&text.into());
    assert!(!capability.is_empty(), "Ably would take this for all that the key may do");
    assert_eq!(capability.to_string(), text, "what is signed is canonical");
    let (jwt, ttl) = match token["token"].as_str() {
        Some(jwt) => {
            let parsed = UntrustedJwt::parse(jwt).expect("a JWT");
            assert_eq!(parsed.verify(&key), Ok(()));
            assert_eq!(parsed.untrusted_claims()["x-ably-capability"], text);
            let [issued, expires] = ["issued", "expires"].map(|member| token[member].as_u64().unwrap());
            (Some(jwt.len()), expires - issued)
        }
        None => {
            assert!(UntrustedTokenRequest::from_json(token.clone()).unwrap().verify(&key));
            (None, token["ttl"].as_u64().unwrap())
        }
    };
    Signed { capability, ttl, jwt }
}

#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) capability: Capability,
    pub(crate) ttl: u64,
    /// The length of the JWT, if it is one.
    pub(crate) jwt: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Result<Signed, RefusalReason>,
    pub(crate) change: SealedChange,
    pub(crate) refused: Refused,
    pub(crate) report: Report,
    pub(crate) asked: Option<Question>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn token(&self) -> &Signed {
        self.outcome.as_ref().unwrap_or_else(|reason| panic!("no token: {reason:?}"))
    }

    /// There is a token, and just this in it.
    #[track_caller]
    pub(crate) fn signs(&self, entries: &str) -> &Self {
        assert_eq!(self.token().capability, cap(entries));
        self
    }

    /// There is no token, for this reason.
    #[track_caller]
    pub(crate) fn refuses(&self, reason: RefusalReason) -> &Self {
        assert_eq!(self.outcome.as_ref().err(), Some(&reason));
        self
    }

    /// The check was asked for just this.
    #[track_caller]
    pub(crate) fn asks(&self, entries: &str) -> &Self {
        let asked = self.asked.as_ref().map(|question| &question.asked);
        assert_eq!(asked, Some(&Asked::These(cap(entries))));
        assert_eq!(self.report.check, Some("custom"));
        self
    }

    /// The check was not asked.
    #[track_caller]
    pub(crate) fn asks_nobody(&self) -> &Self {
        assert!(self.asked.is_none(), "{:?}", self.asked);
        assert_eq!(self.report.check, None);
        self
    }

    /// These wishes were not met, for these reasons, and no other.
    #[track_caller]
    pub(crate) fn misses(&self, denied: &str, unavailable: &str, full: &str) -> &Self {
        let Refused { denied: d, unavailable: u, full: f, .. } = &self.refused;
        assert_eq!([d, u, f], [&cap(denied), &cap(unavailable), &cap(full)], "denied, unavailable, full");
        assert_eq!(self.refused.is_empty(), [denied, unavailable, full] == [""; 3]);
        self
    }

    #[track_caller]
    pub(crate) fn meets_every_wish(&self) -> &Self {
        self.misses("", "", "")
    }

    #[track_caller]
    pub(crate) fn changes_nothing(&self) -> &Self {
        assert!(self.change.is_empty(), "{:?}", self.change);
        self
    }
}

/// Whether two capabilities permit the same, though one may name what the other has in a pattern.
pub(crate) fn alike(one: &Capability, other: &Capability) -> bool {
    one.minus(other).is_empty() && other.minus(one).is_empty()
}

pub(crate) fn all(capabilities: impl IntoIterator<Item = Capability>) -> Capability {
    capabilities.into_iter().fold(Capability::default(), |all, one| all.union(&one))
}
