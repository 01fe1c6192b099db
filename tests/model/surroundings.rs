//! What the service asks: a check, a store and sessions that do as they are told.

use std::collections::HashMap;
use std::future::{poll_fn, ready};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use accrue::{
    Asked, Authenticate, Caller, Client, ClientId, Decision, GrantStore, MemoryStore, PermissionCheck,
    Question, StoreChange, StoreError, Stored, Unauthenticated, Whom,
};

use crate::model::rights::{Entries, Rights};
use crate::model::script::{Mood, PERMITS, Who};
use crate::service::capability;

/// The permission check.
#[derive(Clone)]
pub(crate) struct Backend(Arc<Mutex<Script>>);

struct Script {
    permits: HashMap<&'static str, Entries>,
    bars: Vec<&'static str>,
    mood: Mood,
    /// Whether the next question takes its time.
    slow: bool,
    put: Vec<Put>,
}

/// A question that was put, and the answer.
#[derive(Clone)]
pub(crate) struct Put {
    pub(crate) client: String,
    /// `None`: everything.
    pub(crate) asked: Option<Entries>,
    pub(crate) held: Rights,
    pub(crate) said: Said,
    /// Set once the answer may be given.
    pub(crate) may_answer: Arc<AtomicBool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Granted(Rights),
    Barred,
    Down,
}

impl Backend {
    pub(crate) fn new() -> Self {
        let permits = Who::ALL.iter().map(|who| (who.id(), Entries::of(PERMITS[0]))).collect();
        let script = Script { permits, bars: Vec::new(), mood: Mood::Exact, slow: false, put: Vec::new() };
        Self(Arc::new(Mutex::new(script)))
    }

    pub(crate) fn permits(&self, who: Who, what: &str) {
        self.0.lock().unwrap().permits.insert(who.id(), Entries::of(what));
    }

    pub(crate) fn bars(&self, who: Who, bars: bool) {
        let barred = &mut self.0.lock().unwrap().bars;
        barred.retain(|id| *id != who.id());
        if bars {
            barred.push(who.id());
        }
    }

    pub(crate) fn is(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    pub(crate) fn next_is_slow(&self, slow: bool) {
        self.0.lock().unwrap().slow = slow;
    }

    /// What was asked since this was called last.
    pub(crate) fn put(&self) -> Vec<Put> {
        std::mem::take(&mut self.0.lock().unwrap().put)
    }

    pub(crate) fn check(&self) -> impl PermissionCheck + use<> {
        let backend = self.clone();
        move |question: Question| {
            let (decision, may_answer) = backend.0.lock().unwrap().hear(&question);
            let mut decision = Some(decision);
            poll_fn(move |_| match may_answer.load(Ordering::Relaxed) {
                true => Poll::Ready(decision.take().expect("polled once more")),
                false => Poll::Pending,
            })
        }
    }
}

impl Script {
    fn hear(&mut self, question: &Question) -> (Decision, Arc<AtomicBool>) {
        let id = question.client.id.as_str();
        let permits = self.permits.get(id).copied().unwrap_or_default();
        let asked = match &question.asked {
            Asked::These(asked) => {
                Some(Entries::read(&asked.to_string()).expect("asked is what was wished for"))
            }
            Asked::Everything => None,
        };
        let granted = match (self.mood, asked) {
            (Mood::Exact, Some(asked)) => asked.within(permits.rights()),
            (Mood::Talkative, Some(_)) => permits | Entries::of("admin:1=*"),
            (_, None) => permits,
            (Mood::Down, _) => Entries::default(),
        };
        let (said, decision) = match self.mood {
            Mood::Down => (Said::Down, Decision::Unavailable("away".into())),
            _ if self.bars.contains(&id) => (Said::Barred, Decision::Barred),
            _ => (Said::Granted(granted.rights()), Decision::Granted(capability(&granted.json()))),
        };
        let may_answer = Arc::new(AtomicBool::new(!self.slow));
        let held = Entries::read(&question.held.to_string()).expect("held is what was wished for").rights();
        self.put.push(Put { client: id.to_owned(), asked, held, said, may_answer: Arc::clone(&may_answer) });
        (decision, may_answer)
    }
}

/// A store that can be made to fail.
#[derive(Clone, Default)]
pub(crate) struct Shelf {
    kept: MemoryStore,
    unreadable: Arc<AtomicBool>,
    unwritable: Arc<AtomicBool>,
}

impl Shelf {
    pub(crate) fn reads(&self, works: bool) {
        self.unreadable.store(!works, Ordering::Relaxed);
    }

    pub(crate) fn writes(&self, works: bool) {
        self.unwritable.store(!works, Ordering::Relaxed);
    }

    pub(crate) fn is_readable(&self) -> bool {
        !self.unreadable.load(Ordering::Relaxed)
    }

    pub(crate) fn is_writable(&self) -> bool {
        !self.unwritable.load(Ordering::Relaxed)
    }

    /// What is there, whether it can be read or not.
    pub(crate) async fn look(&self, who: Who) -> Stored {
        let client = ClientId::try_from(who.id()).expect("well-formed");
        GrantStore::read(&self.kept, &client).await.expect("memory does not fail")
    }
}

impl GrantStore for Shelf {
    async fn read(&self, client: &ClientId) -> Result<Stored, StoreError> {
        match self.is_readable() {
            true => GrantStore::read(&self.kept, client).await,
            false => Err(StoreError("can't be read".to_owned())),
        }
    }

    async fn apply(&self, client: &ClientId, change: StoreChange) -> Result<(), StoreError> {
        match self.is_writable() {
            true => GrantStore::apply(&self.kept, client, change).await,
            false => Err(StoreError("can't be written".to_owned())),
        }
    }

    async fn revoke(&self, whom: &Whom, not_before: u64) -> Result<u64, StoreError> {
        match self.is_writable() {
            true => GrantStore::revoke(&self.kept, whom, not_before).await,
            false => Err(StoreError("can't be written".to_owned())),
        }
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The application's sessions, by the header `x-session`.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<&'static str, Session>>>);

#[derive(Clone, Copy, Default)]
pub(crate) struct Session {
    pub(crate) team: &'static str,
    pub(crate) not_before: Option<u64>,
}

impl Sessions {
    pub(crate) fn of(&self, who: Who) -> Session {
        self.0.lock().unwrap().get(who.id()).copied().unwrap_or_default()
    }

    pub(crate) fn change(&self, who: Who, change: impl FnOnce(&mut Session)) {
        change(self.0.lock().unwrap().entry(who.id()).or_default());
    }

    pub(crate) fn authenticate(&self) -> impl Authenticate + use<> {
        let sessions = self.clone();
        move |caller: Caller| {
            let id = caller.headers.get("x-session").and_then(|value| value.to_str().ok());
            ready(match id {
                Some(id) => ClientId::try_from(id).map_err(Unauthenticated::from).map(|client_id| {
                    let session = sessions.0.lock().unwrap().get(id).copied().unwrap_or_default();
                    let mut client = Client::new(client_id);
                    client.not_before = session.not_before;
                    client.claims.insert("team".into(), session.team.into());
                    client
                }),
                None => Err(Unauthenticated::Refused("no session".into())),
            })
        }
    }
}
