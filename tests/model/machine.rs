//! Runs a script: two instances of the service, what carries grants, and the network between.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use accrue::ably::{ApiKey, Format};
use accrue::{
    AuthService, ClientId, Issuer, Moment, Origins, Outcome, Revocation, Rules, Sealing, ServiceSettings,
    Store, Strategy, Vocabulary, Whom,
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::answer::Answer;
use crate::model::judge::{CLOCKS_DIFFER, Kind, Past, Rows, Sent, Tally, Verdict, ensure, read_row};
use crate::model::rights::{Entries, Rights};
use crate::model::script::{At, Fate, Holder, Keeping, Mood, Step, Who, World};
use crate::model::surroundings::{Backend, Put, Sessions, Shelf};
use crate::service::{Clock, K1, K2, KEY, LISTED, Server, capability, delete, get, keys, name_of, post};

const K3: &str = "k3:vTzZGGWgUdmrDMSzmTIJRI0uKFfeL5N4lFZ0oV7Ni5A";
const SECRETS: [&str; 3] = [K1, K2, K3];

pub(crate) struct Machine<'a> {
    world: World,
    backend: Backend,
    shelf: Shelf,
    sessions: Sessions,
    instances: [Instance; 2],
    holders: [Carrying; 4],
    past: Past,
    /// What clients hold in the store, as far as it was granted to them and not taken away.
    owed_in_store: HashMap<Who, Rights>,
    /// Requests whose check has not answered.
    checking: Vec<Checking>,
    /// Answers on their way.
    returning: Vec<Returning>,
    number: u64,
    delivered: u64,
    /// The latest token.
    last: Option<Rights>,
    tally: &'a mut Tally,
    tells: bool,
    log: Vec<String>,
}

struct Instance {
    clock: Clock,
    server: AuthService,
    /// Of the rotation: one secret; the new one second; the new one first.
    stage: usize,
}

struct Carrying {
    who: Who,
    /// `Accrue-Grant` and not cookies.
    by_header: bool,
    /// Names, values, and until when (by the right time) they are kept. Without names in a header.
    texts: Vec<(String, String, u64)>,
    /// What has arrived here, and was not taken away: it has to be among what the texts say.
    owed: HashMap<Who, Rights>,
}

type Answering = Pin<Box<dyn Future<Output = (Answer, Outcome)>>>;

struct Checking {
    holder: Holder,
    sent: Sent,
    put: Put,
    fate: Fate,
    owed: HashMap<Who, Rights>,
    answering: Answering,
}

#[derive(Clone)]
struct Returning {
    number: u64,
    holder: Holder,
    who: Who,
    owed: HashMap<Who, Rights>,
    presented: Vec<String>,
    verdict: Verdict,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(world: World, tally: &'a mut Tally) -> Self {
        let (backend, shelf, sessions) = (Backend::new(), Shelf::default(), Sessions::default());
        let clocks = [Clock::default(), Clock::default()];
        clocks[1].pass(world.ahead);
        let instances = clocks.map(|clock| {
            let server = service(&world, &backend, &shelf, &sessions, &clock, 0);
            Instance { clock, server, stage: 0 }
        });
        let holder =
            |by_header| Carrying { who: Who::Al, by_header, texts: Vec::new(), owed: HashMap::new() };
        Self {
            world,
            backend,
            shelf,
            sessions,
            instances,
            holders: [holder(false), holder(false), holder(true), holder(true)],
            past: Past::default(),
            owed_in_store: HashMap::new(),
            checking: Vec::new(),
            returning: Vec::new(),
            number: 0,
            delivered: 0,
            last: None,
            tally,
            tells: false,
            log: Vec::new(),
        }
    }

    /// Says in a failure what was answered at each step.
    pub(crate) fn telling(self) -> Self {
        Self { tells: true, ..self }
    }

    /// Does all that the script says, and what has to hold at the end whatever came before.
    pub(crate) fn run(mut self, script: &[Step]) -> Result<(), String> {
        let ran = script.iter().try_for_each(|step| {
            if self.tells {
                self.log.push(format!("{step:?}"));
            }
            self.step(*step)
        });
        let ended = ran.and_then(|()| {
            self.log.push("in the end".to_owned());
            self.settle()
        });
        ended.map_err(|why| format!("{why}\n    {}", self.log.join("\n    ")))
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Ask { by, at, wish, ttl, answer } => {
                self.send(by, at, Kind::Ask { wish: Entries::of(wish), ttl }, answer)?;
            }
            Step::GiveUp { by, at, what, answer } => {
                let what = (!what.is_empty()).then(|| Entries::of(what));
                self.send(by, at, Kind::GiveUp(what), answer)?;
            }
            Step::Navigate { by, at, wish } => {
                self.send(by, at, Kind::Navigate(Entries::of(wish)), Fate::Now)?
            }
            Step::Intrude { by, at, wish } => {
                self.send(by, at, Kind::Intrude(Entries::of(wish)), Fate::Now)?
            }
            Step::CheckAnswers(nth) if !self.checking.is_empty() => {
                let mut slow = self.checking.remove(nth % self.checking.len());
                slow.put.may_answer.store(true, Ordering::Relaxed);
                let before = self.rows(slow.sent.who);
                let Poll::Ready((answer, _)) = poll(&mut slow.answering) else {
                    return Err("it waits for something else".to_owned());
                };
                self.count("slow check");
                self.answered(
                    slow.holder,
                    slow.sent,
                    Some(slow.put),
                    &answer,
                    &before,
                    slow.fate,
                    slow.owed,
                )?;
            }
            Step::Arrives(nth) if !self.returning.is_empty() => {
                let answer = self.returning.remove(nth % self.returning.len());
                self.deliver(answer)?;
            }
            Step::ArrivesAndWillAgain(nth) if !self.returning.is_empty() => {
                let answer = self.returning[nth % self.returning.len()].clone();
                self.count("arrives twice");
                self.deliver(answer)?;
            }
            Step::GetsLost(nth) if !self.returning.is_empty() => {
                self.returning.remove(nth % self.returning.len());
                self.count("lost");
            }
            Step::CheckAnswers(_) | Step::Arrives(_) | Step::ArrivesAndWillAgain(_) | Step::GetsLost(_) => {}
            Step::Wait(text) => self.wait(text)?,
            Step::SignIn(holder, who) => {
                let holder = &mut self.holders[holder as usize];
                let is_other = holder.who != who && !holder.texts.is_empty();
                holder.who = who;
                if is_other {
                    self.count("account switch");
                }
            }
            Step::Team(who, team) => self.sessions.change(who, |session| session.team = team),
            Step::NotBeforeNow(who) => {
                let now = self.instances[0].clock.now();
                self.sessions.change(who, |session| session.not_before = Some(now));
            }
            Step::Permits(who, what) => self.backend.permits(who, what),
            Step::Bars(who, bars) => self.backend.bars(who, bars),
            Step::CheckIs(mood) => self.backend.is(mood),
            Step::Revoke(at, who) => self.revoke(at, who),
            Step::StoreReads(works) => self.shelf.reads(works),
            Step::StoreWrites(works) => self.shelf.writes(works),
            Step::Rotate => self.rotate(),
            Step::Steal { from, to } => {
                let stolen = self.holders[from as usize].texts.clone();
                let to = &mut self.holders[to as usize];
                for (_, text, until) in stolen {
                    let name = if to.by_header { String::new() } else { name_of(&text) };
                    if to
                        .texts
                        .iter()
                        .all(|(taken, known, _)| *known != text && (to.by_header || *taken != name))
                    {
                        to.texts.push((name, text, until));
                    }
                }
                self.count("stolen");
            }
            Step::Forge(holder) => self.forge(holder),
            Step::Plant(holder, count, bytes) => {
                let now = self.instances[0].clock.now();
                let holder = &mut self.holders[holder as usize];
                for n in 0..count {
                    let text = format!("junk.{n:02}.{}", "x".repeat(bytes));
                    if holder.texts.iter().all(|(_, known, _)| *known != text) {
                        let name = if holder.by_header {
                            String::new()
                        } else {
                            format!("__Host-accrue.junk{n:02}-{bytes}")
                        };
                        holder.texts.insert(0, (name, text, now + 2 * self.world.recheck_after));
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends what the holder carries; answers it too, unless the check takes its time.
    fn send(&mut self, by: Holder, at: At, kind: Kind, fate: Fate) -> Result<(), String> {
        self.number += 1;
        let holder = &self.holders[by as usize];
        let who = holder.who;
        let texts = holder.texts.iter().map(|(_, text, _)| text);
        let owed = holder.owed.get(&who).copied().unwrap_or_default();
        let gone = owed - self.past.rights_of(who, texts);
        ensure!(gone.is_empty(), "{gone:?} is not there any more");

        let session = self.sessions.of(who);
        let instance = &self.instances[at as usize];
        let stored = at_once(self.shelf.look(who));
        let sent = Sent {
            number: self.number,
            who,
            kind,
            now: instance.clock.now(),
            by_header: holder.by_header,
            presented: holder.texts.iter().map(|(name, text, _)| (name.clone(), text.clone())).collect(),
            rows: stored.texts,
            mark: stored.not_before,
            readable: self.shelf.is_readable(),
            session_not_before: session.not_before,
            secrets: secrets(instance.stage),
            given: given(&self.world, who, session.team),
        };
        let owed = holder.owed.clone();
        let request = request(&sent);
        let server = Server { service: instance.server.clone(), clock: instance.clock.clone() };
        let mut answering: Answering = Box::pin(async move { server.tell(request).await });
        self.backend.next_is_slow(fate == Fate::Slow);
        let polled = poll(&mut answering);
        let mut put = self.backend.put();
        ensure!(put.len() <= 1, "the check is asked {} times", put.len());
        let put = put.pop();
        match (polled, put) {
            (Poll::Ready((answer, _)), put) => {
                let before = sent.rows.clone();
                self.answered(by, sent, put, &answer, &before, fate, owed)
            }
            (Poll::Pending, Some(put)) => {
                self.checking.push(Checking { holder: by, sent, put, fate, owed, answering });
                Ok(())
            }
            (Poll::Pending, None) => Err("it waits for something else than the check".to_owned()),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a request, all that belongs to it, and its answer")]
    fn answered(
        &mut self,
        by: Holder,
        sent: Sent,
        put: Option<Put>,
        answer: &Answer,
        before: &[String],
        fate: Fate,
        owed: HashMap<Who, Rights>,
    ) -> Result<(), String> {
        let after = self.rows(sent.who);
        let rows = Rows { before, after: &after, writable: self.shelf.is_writable() };
        let verdict = sent.judge(&self.world, &mut self.past, put.as_ref(), answer, &rows, self.tally);
        let told = verdict.as_ref().map(|verdict| verdict.token);
        if self.tells {
            let line = format!(
                "  #{} {}: {} {told:?}, check {:?}",
                sent.number,
                sent.who.id(),
                answer.status,
                put.as_ref().map(|put| put.said)
            );
            self.log.push(line);
        }
        let verdict = verdict?;
        if self.world.strategy == Keeping::Store {
            self.stored(&sent, &verdict, before, &after)?;
        }
        self.last = verdict.token;
        let answer = Returning {
            number: sent.number,
            holder: by,
            who: sent.who,
            owed,
            presented: sent.presented.into_iter().map(|(_, text)| text).collect(),
            verdict,
        };
        match fate {
            Fate::Now => self.deliver(answer),
            Fate::Late | Fate::Slow => {
                self.returning.push(answer);
                Ok(())
            }
            Fate::Lost => {
                self.count("lost");
                Ok(())
            }
        }
    }

    /// The store loses nothing but what an answer may cost, and what has expired.
    fn stored(
        &mut self,
        sent: &Sent,
        verdict: &Verdict,
        before: &[String],
        after: &[String],
    ) -> Result<(), String> {
        let all = |rows: &[String]| -> Result<Rights, String> {
            rows.iter().map(|row| read_row(sent.who, row).map(|row| row.entries.rights())).sum()
        };
        let keep_for = 2 * self.world.recheck_after;
        let mut expired = Rights::default();
        for row in before.iter().filter(|row| !after.contains(row)) {
            let row = read_row(sent.who, row)?;
            if row.since + keep_for <= sent.now + CLOCKS_DIFFER {
                expired = expired | row.entries.rights();
            }
        }
        let cost = verdict.lost.get(&sent.who).copied().unwrap_or_default();
        let lost = all(before)? - all(after)? - cost - expired;
        ensure!(lost.is_empty(), "{lost:?} is lost in the store");
        let granted = verdict.token.unwrap_or_default() - sent.given;
        let owed = self.owed_in_store.entry(sent.who).or_default();
        *owed =
            (*owed - (cost - all(after)?) - (expired - all(after)?)) | verdict.put | (granted & all(after)?);
        let gone = *owed - all(after)?;
        ensure!(gone.is_empty(), "{gone:?} is not in the store any more");
        Ok(())
    }

    /// An answer arrives where the request came from.
    fn deliver(&mut self, answer: Returning) -> Result<(), String> {
        if answer.number < self.delivered {
            self.count("out of order");
        }
        self.delivered = self.delivered.max(answer.number);
        let (now, mut verdict) = (self.instances[0].clock.now(), answer.verdict);
        if self.world.strategy != Keeping::Cookie {
            // it was written elsewhere
            verdict.put = Rights::default();
        }
        let past = &self.past;
        let holder = &mut self.holders[answer.holder as usize];
        let cost = |who: Who| verdict.lost.get(&who).copied().unwrap_or_default();
        let before: Vec<String> = holder.texts.iter().map(|(_, text, _)| text.clone()).collect();

        if let Some(list) = &verdict.list {
            // it replaces all that was carried, so it has to have all that was sent
            holder.texts = list
                .iter()
                .map(|text| (String::new(), text.clone(), now + 2 * self.world.recheck_after))
                .collect();
            for who in Who::ALL {
                let owed = if who == answer.who {
                    let owed = answer.owed.get(&who).copied().unwrap_or_default();
                    (owed - cost(who)) | verdict.put
                } else {
                    Rights::default()
                };
                let gone = owed - past.rights_of(who, list);
                ensure!(
                    gone.is_empty() || answer.presented.len() > 16,
                    "{gone:?} of {who:?} is not handed back"
                );
                holder.owed.insert(who, owed - gone);
            }
            return Ok(());
        }
        for (name, text, seconds) in &verdict.set {
            holder.texts.retain(|(known, _, _)| known != name);
            holder.texts.push((name.clone(), text.clone(), now + seconds));
        }
        holder.texts.retain(|(name, _, _)| !verdict.deleted.contains(name));
        let after: Vec<&String> = holder.texts.iter().map(|(_, text, _)| text).collect();
        // answered at the same time as another that has taken it away
        let gone_before: Vec<&String> =
            verdict.relied_on.iter().filter(|text| !before.contains(text)).collect();
        let mut crossed = false;
        for who in Who::ALL {
            let mut cost = cost(who);
            let lost = past.rights_of(who, &before) - past.rights_of(who, after.iter().copied()) - cost;
            if !lost.is_empty() && lost.is_within(past.rights_of(who, gone_before.iter().copied())) {
                crossed = true;
                cost = cost | lost;
            } else {
                ensure!(lost.is_empty(), "{lost:?} of {who:?} is lost");
            }
            let put = if who == answer.who { verdict.put } else { Rights::default() };
            let is_there = past.rights_of(who, after.iter().copied());
            let owed = holder.owed.entry(who).or_default();
            *owed = (*owed - (cost - is_there)) | put;
            let gone = *owed - is_there;
            ensure!(gone.is_empty(), "{gone:?} of {who:?} is not there any more");
        }
        if crossed {
            self.count("lost as two answers crossed");
        }
        Ok(())
    }

    fn wait(&mut self, text: &str) -> Result<(), String> {
        let recheck_after = self.world.recheck_after;
        let seconds = match text {
            "1s" => 1,
            "59s" => 59,
            "5m" => 300,
            "30m" => 1800,
            "R-1s" => recheck_after - 1,
            "R" => recheck_after,
            "R+1s" => recheck_after + 1,
            "2R" => 2 * recheck_after,
            "2R+1s" => 2 * recheck_after + 1,
            _ => return Err(format!("how long is {text}?")),
        };
        for instance in &self.instances {
            instance.clock.pass(seconds);
        }
        let now = self.instances[0].clock.now();
        let past = &self.past;
        let mut expired = 0;
        for holder in self.holders.iter_mut().filter(|holder| !holder.by_header) {
            for (_, text, _) in holder.texts.iter().filter(|(_, _, until)| *until <= now) {
                expired += 1;
                let is_old = |since: u64| since + 2 * recheck_after <= now + CLOCKS_DIFFER;
                ensure!(
                    past.sealed.get(text).is_none_or(|sealed| is_old(sealed.since)),
                    "expired too early: {text}"
                );
            }
            holder.texts.retain(|(_, _, until)| *until > now);
            for (who, owed) in &mut holder.owed {
                *owed = *owed & past.rights_of(*who, holder.texts.iter().map(|(_, text, _)| text));
            }
        }
        if expired > 0 {
            self.count("expired in the jar");
        }
        Ok(())
    }

    fn revoke(&mut self, at: At, who: Option<Who>) {
        if self.world.strategy == Keeping::Cookie && !self.world.marks {
            return;
        }
        let whom = who
            .map_or(Whom::Everybody, |who| Whom::Client(ClientId::try_from(who.id()).expect("well-formed")));
        let moment = Moment::new(self.instances[at as usize].clock.now() * 1000, [0; 32]);
        let revocation = Revocation::new().with_store(Store::new(self.shelf.clone()));
        if at_once(revocation.revoke(&whom, &moment)).mark.is_done() {
            for who in who.map_or_else(|| Who::ALL.to_vec(), |who| vec![who]) {
                self.past.revoked.insert(who, self.number);
            }
            self.count(if who.is_some() { "one revoked" } else { "everybody revoked" });
        }
    }

    /// All instances take one step of the documented order before any takes the next.
    fn rotate(&mut self) {
        let at = usize::from(self.instances[0].stage > self.instances[1].stage);
        let stage = self.instances[at].stage + 1;
        let clock = &self.instances[at].clock;
        let server = service(&self.world, &self.backend, &self.shelf, &self.sessions, clock, stage);
        self.instances[at] = Instance { clock: clock.clone(), server, stage };
        if stage.is_multiple_of(3) {
            self.count("old secret removed");
        }
    }

    fn forge(&mut self, holder: Holder) {
        let holder = &mut self.holders[holder as usize];
        for (n, (_, text, until)) in holder.texts.clone().into_iter().enumerate() {
            let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
            let Some(since) = parts.get(2).and_then(|since| since.parse::<u64>().ok()) else { continue };
            parts[2] = (since + 60).to_string();
            let forged = parts.join(".");
            if holder.texts.iter().all(|(_, known, _)| *known != forged) {
                let name =
                    if holder.by_header { String::new() } else { format!("__Host-accrue.forged{n}-{since}") };
                holder.texts.push((name, forged, until));
            }
        }
        self.count("forged");
    }

    /// Whatever has happened: once all is well again, everybody has what was granted and not taken away.
    fn settle(&mut self) -> Result<(), String> {
        self.shelf.reads(true);
        self.shelf.writes(true);
        while !self.checking.is_empty() {
            self.step(Step::CheckAnswers(0))?;
        }
        while !self.returning.is_empty() {
            self.step(Step::Arrives(0))?;
        }
        self.backend.is(Mood::Exact);
        for who in Who::ALL {
            self.backend.permits(who, "*=* [meta]log=*");
            self.backend.bars(who, false);
        }
        self.wait("5m")?;
        for by in [Holder::Browser, Holder::OtherBrowser, Holder::App, Holder::OtherApp] {
            for who in Who::ALL {
                let holder = &mut self.holders[by as usize];
                let owed = match self.world.strategy {
                    Keeping::Store => self.owed_in_store.get(&who).copied(),
                    _ => holder.owed.get(&who).copied(),
                };
                let owed = owed.unwrap_or_default();
                let bytes: usize = holder.texts.iter().map(|(name, text, _)| name.len() + text.len()).sum();
                if owed.is_empty() || holder.texts.len() > 16 || bytes > 8192 {
                    continue;
                }
                let known = secrets(self.instances[0].stage);
                let readable = |text: &&String| {
                    let kid = self.past.sealed.get(*text).map(|sealed| format!("{}:", sealed.kid));
                    kid.is_some_and(|kid| known.iter().any(|secret| secret.starts_with(&kid)))
                };
                let texts = holder.texts.iter().map(|(_, text, _)| text).filter(readable);
                let readable = match self.world.strategy {
                    Keeping::Store => owed,
                    _ => owed & self.past.rights_of(who, texts),
                };
                holder.who = who;
                self.send(by, At::A, Kind::Ask { wish: Entries::default(), ttl: 0 }, Fate::Now)?;
                let token = self.last.take().unwrap_or_default();
                ensure!(readable.is_within(token), "in the end {:?} of {who:?} is missing", readable - token);
                self.count("in the end all is there");
            }
        }
        Ok(())
    }

    fn rows(&self, who: Who) -> Vec<String> {
        at_once(self.shelf.look(who)).texts
    }
}

fn secrets(stage: usize) -> Vec<&'static str> {
    let [this, next] = [stage / 3, stage / 3 + 1].map(|at| SECRETS[at % SECRETS.len()]);
    match stage % 3 {
        0 => vec![this],
        1 => vec![this, next],
        _ => vec![next, this],
    }
}

const GIVEN: [(&str, &[&str]); 3] =
    [("lobby", &["subscribe"]), ("inbox:{clientId}", &["subscribe"]), ("team:{claims.team}:*", &["history"])];

/// What these come to.
fn given(world: &World, who: Who, team: &str) -> Rights {
    let mut given = Entries::default();
    if world.gives {
        given = Entries::of("lobby=subscribe");
        if !who.id().contains(':') {
            given = given | Entries::of(&format!("inbox:{}=subscribe", who.id()));
        }
        if team == "blue" {
            given = given | Entries::of("team:blue:*=history");
        }
    }
    given.rights() & Entries::of(world.key).rights()
}

fn service(
    world: &World,
    backend: &Backend,
    shelf: &Shelf,
    sessions: &Sessions,
    clock: &Clock,
    stage: usize,
) -> AuthService {
    let store = Store::new(shelf.clone());
    let strategy = match world.strategy {
        Keeping::Cookie => {
            let mut sealing = Sealing::new(keys(&secrets(stage)));
            sealing.max_bytes = world.max_bytes;
            Strategy::Cookie(sealing)
        }
        Keeping::Store => Strategy::Store(store.clone()),
        Keeping::Client => Strategy::Client,
        Keeping::Server => Strategy::Server,
    };
    let mut issuer = Issuer::new(ApiKey::parse(KEY).expect("well-formed"), strategy, backend.check())
        .expect("the check answers everything")
        .with_recheck_after(world.recheck_after)
        .with_key_capability(capability(&Entries::of(world.key).json()))
        .with_format(if world.jwt { Format::Jwt } else { Format::Request });
    if world.gives {
        let mut rules = Rules::default();
        for (resource, operations) in GIVEN {
            rules.add(resource, operations, &Vocabulary::default()).expect("well-formed");
        }
        issuer = issuer.with_given(rules);
    }
    if world.marks {
        issuer = issuer.with_revocations(store);
    }
    let mut settings = ServiceSettings::default();
    settings.origins = Origins::new([LISTED]).expect("well-formed");
    AuthService::new(issuer, sessions.authenticate(), settings, clock.moments())
}

/// What goes over the wire.
fn request(sent: &Sent) -> Request<Full<Bytes>> {
    let (mut ask, wish) = match sent.kind {
        Kind::GiveUp(what) => (delete("/auth"), what.unwrap_or_default()),
        Kind::Ask { wish, .. } if sent.by_header => (post("/auth"), wish),
        Kind::Ask { wish, .. } => (get("/auth"), wish),
        Kind::Navigate(wish) => (get("/auth").header("sec-fetch-mode", "navigate"), wish),
        Kind::Intrude(wish) => (get("/auth").header("origin", "https://evil.example"), wish),
    };
    ask = ask.header("x-session", sent.who.id());
    let values: Vec<&str> = sent.presented.iter().map(|(_, text)| text.as_str()).collect();
    if sent.by_header {
        ask =
            ask.header("accrue-grant", if values.is_empty() { "none".to_owned() } else { values.join(", ") });
    } else {
        let pairs: Vec<String> = sent.presented.iter().map(|(name, text)| format!("{name}={text}")).collect();
        ask = ask.header(
            "cookie",
            ["theme=dark".to_owned()].into_iter().chain(pairs).collect::<Vec<_>>().join("; "),
        );
    }
    let ttl = match sent.kind {
        Kind::Ask { ttl, .. } if ttl > 0 => Some(ttl.to_string()),
        _ => None,
    };
    let wish = (!wish.is_empty()).then(|| wish.json());
    let parameters = [("capability", wish), ("ttl", ttl)];
    if sent.by_header && matches!(sent.kind, Kind::Ask { .. }) {
        return ask.json(&parameters.into_iter().collect::<serde_json::Value>()).into();
    }
    for (name, value) in parameters {
        if let Some(value) = value {
            ask = ask.with(name, &value);
        }
    }
    ask.into()
}

fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T>>>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// The outcome of a future that never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
