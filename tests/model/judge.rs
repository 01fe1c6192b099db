//! What an answer has to be, given what was sent, what the check said, and what happened before.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use accrue::{ClientId, Grant, SealedText, SealingKeys, Vocabulary};

use crate::answer::Answer;
use crate::model::rights::{Entries, Rights};
use crate::model::script::{Keeping, Who, World};
use crate::model::surroundings::{Put, Said};
use crate::service::{capability, keys, name_of, set_cookies};

/// Fails the run with a sentence.
macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}
pub(crate) use ensure;

/// How often each interesting thing happened.
pub(crate) type Tally = BTreeMap<&'static str, u64>;

/// A grant that was handed out, or is in the store.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) who: Who,
    pub(crate) kid: String,
    pub(crate) since: u64,
    pub(crate) entries: Entries,
}

/// What happened before.
#[derive(Default)]
pub(crate) struct Past {
    /// All that was ever sealed, by its text.
    pub(crate) sealed: HashMap<String, Sealed>,
    /// For each client and right when it was last permitted: the latest `since` it may count from, and the number of the
    /// latest request that asked.
    permitted: HashMap<(Who, usize), (u64, u64)>,
    /// For each client the number of the request before which the latest mark was set.
    pub(crate) revoked: HashMap<Who, u64>,
}

/// What a request may do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Ask {
        wish: Entries,
        ttl: u64,
    },
    /// The wishes are not heeded.
    Navigate(Entries),
    Intrude(Entries),
    GiveUp(Option<Entries>),
}

/// A request, and what was so when it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    pub(crate) who: Who,
    pub(crate) kind: Kind,
    /// By the clock of the instance that answers.
    pub(crate) now: u64,
    pub(crate) by_header: bool,
    /// Names and values, or texts without names.
    pub(crate) presented: Vec<(String, String)>,
    /// What is in the store, and the marks.
    pub(crate) rows: Vec<String>,
    pub(crate) mark: Option<u64>,
    pub(crate) readable: bool,
    pub(crate) session_not_before: Option<u64>,
    pub(crate) secrets: Vec<&'static str>,
    pub(crate) given: Rights,
}

/// What the answer came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    pub(crate) token: Option<Rights>,
    /// What it may cost whoever applies it, by client.
    pub(crate) lost: HashMap<Who, Rights>,
    /// Cookies to set, with the seconds to keep them, and to delete.
    pub(crate) set: Vec<(String, String, u64)>,
    pub(crate) deleted: Vec<String>,
    /// All that a client without cookies carries from now on.
    pub(crate) list: Option<Vec<String>>,
    /// What it counts on to be there still, because it was presented and is not written again.
    pub(crate) relied_on: Vec<String>,
    /// What it wrote.
    pub(crate) put: Rights,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    Fresh,
    Stale,
    Lapsed,
}

struct Held {
    text: String,
    sealed: Sealed,
    age: Age,
    is_current: bool,
}

/// A change in what is kept.
struct Change {
    put: Vec<(String, Sealed)>,
    /// Of what was held, what is not there any more.
    dropped: Vec<String>,
}

/// What was in the store around the moment of answering.
pub(crate) struct Rows<'a> {
    pub(crate) before: &'a [String],
    pub(crate) after: &'a [String],
    pub(crate) writable: bool,
}

impl Verdict {
    fn may_cost(&mut self, who: Who, rights: Rights) {
        let lost = self.lost.entry(who).or_default();
        *lost = *lost | rights;
    }
}

impl Past {
    /// Notes what a check has said: it counts from `since`.
    fn note(&mut self, sent: &Sent, granted: Rights, since: u64) {
        for right in granted.each() {
            let latest = self.permitted.entry((sent.who, right)).or_default();
            *latest = (latest.0.max(since), latest.1.max(sent.number));
        }
    }

    pub(crate) fn rights_of<'a>(&self, who: Who, texts: impl IntoIterator<Item = &'a String>) -> Rights {
        let sealed = texts.into_iter().filter_map(|text| self.sealed.get(text));
        sealed.filter(|sealed| sealed.who == who).map(|sealed| sealed.entries.rights()).sum()
    }
}

/// Reads what was sealed without believing it.
pub(crate) fn read_sealed(who: Who, text: &str) -> Result<Sealed, String> {
    let parsed = SealedText::parse(text).ok_or_else(|| format!("not a grant: {text}"))?;
    let capability = parsed.untrusted_capability(&Vocabulary::default());
    let capability = capability.ok_or_else(|| format!("empty or not canonical: {text}"))?;
    Ok(Sealed {
        who,
        kid: parsed.untrusted_kid().to_owned(),
        since: parsed.untrusted_since(),
        entries: Entries::read(&capability.to_string())?,
    })
}

pub(crate) fn read_row(who: Who, text: &str) -> Result<Sealed, String> {
    let (since, json) = text.split_once('.').ok_or_else(|| format!("not a row: {text}"))?;
    let since = since.parse().map_err(|_| format!("not a row: {text}"))?;
    let entries = Entries::read(json)?;
    ensure!(!entries.is_empty(), "an empty row");
    Ok(Sealed { who, kid: String::new(), since, entries })
}

impl Sent {
    pub(crate) fn judge(
        &self,
        world: &World,
        past: &mut Past,
        question: Option<&Put>,
        answer: &Answer,
        rows: &Rows<'_>,
        tally: &mut Tally,
    ) -> Result<Verdict, String> {
        let (status, code) = answer.status_and_code();
        let mut verdict = Verdict::default();
        self.read_carried(world, answer, past, &mut verdict)?;
        if status == 503 {
            ensure!(verdict.set.is_empty() && verdict.deleted.is_empty(), "a 503 writes cookies");
            ensure!(verdict.list.is_none(), "a 503 says what is held");
            ensure!(rows.before == rows.after, "a 503 writes to the store");
        }
        match self.kind {
            Kind::Intrude(_) => {
                ensure!((status, code) == (403, 40300), "a foreign page is answered with {status}");
                ensure!(question.is_none(), "the check is asked for a foreign page");
                ensure!(
                    verdict.set.is_empty() && verdict.deleted.is_empty(),
                    "a foreign page changes cookies"
                );
                *tally.entry("foreign page").or_default() += 1;
            }
            Kind::GiveUp(what) => {
                ensure!(question.is_none(), "giving up asks the check");
                self.gave_up(what, world, past, status, rows, &mut verdict, tally)?;
            }
            Kind::Ask { .. } | Kind::Navigate(_) => {
                self.issued(world, past, question, answer, rows, &mut verdict, tally)?;
            }
        }
        Ok(verdict)
    }

    /// The texts that are looked at.
    fn looked_at(&self) -> Vec<&String> {
        let mut texts: Vec<&String> = Vec::new();
        for (_, text) in &self.presented {
            if !texts.contains(&text) && texts.len() < 16 {
                texts.push(text);
            }
        }
        texts
    }

    fn overflows(&self) -> bool {
        let bytes = |(name, text): &(String, String)| name.len() + text.len();
        match self.by_header {
            true => self.looked_at().iter().map(|text| text.len()).sum::<usize>() > 8192,
            false => self.presented.iter().map(bytes).sum::<usize>() > 8192,
        }
    }

    /// What the answer tells to keep, each part of it well-formed.
    fn read_carried(
        &self,
        world: &World,
        answer: &Answer,
        past: &mut Past,
        verdict: &mut Verdict,
    ) -> Result<(), String> {
        for cookie in set_cookies(answer) {
            let seconds: u64 = cookie.attributes["Max-Age"].parse().map_err(|_| "no number".to_owned())?;
            for attribute in ["Path", "HttpOnly", "Secure", "SameSite"] {
                ensure!(cookie.attributes.contains_key(attribute), "a cookie without {attribute}");
            }
            if seconds == 0 {
                let known = self.presented.iter().any(|(name, _)| *name == cookie.name);
                ensure!(known, "{} is deleted, but nobody sent it", cookie.name);
                verdict.deleted.push(cookie.name);
            } else {
                ensure!(seconds == 2 * world.recheck_after, "kept for {seconds} s");
                ensure!(cookie.name == name_of(&cookie.value), "{} is named wrongly", cookie.name);
                ensure!(!self.looked_at().contains(&&cookie.value), "what is there is set again");
                verdict.set.push((cookie.name, cookie.value, seconds));
            }
        }
        if let Some(list) = answer.header("accrue-grant") {
            let texts = list.split(", ").filter(|text| *text != "none");
            verdict.list = Some(texts.map(str::to_owned).collect());
        }
        let looked_at = self.looked_at();
        let listed = verdict.list.iter().flatten().filter(|text| !looked_at.contains(text));
        let new: Vec<&String> = verdict.set.iter().map(|(_, text, _)| text).chain(listed).collect();
        for text in new {
            ensure!(text.len() <= world.max_bytes, "{} bytes are sealed", text.len());
            let sealed = read_sealed(self.who, text)?;
            ensure!(self.secrets[0].starts_with(&format!("{}:", sealed.kid)), "sealed with {}", sealed.kid);
            if let Some(before) = past.sealed.insert(text.clone(), sealed) {
                ensure!(before.who == self.who, "one text for two clients: {text}");
            }
        }
        Ok(())
    }

    fn not_before(&self, world: &World) -> Option<u64> {
        let heeded = self.readable && (world.strategy == Keeping::Store || world.marks);
        self.session_not_before.max(self.mark.filter(|_| heeded))
    }

    /// Whether the marks could not be read, so that all that is held counts as revoked.
    fn in_doubt(&self, world: &World) -> bool {
        world.strategy == Keeping::Cookie && world.marks && !self.readable
    }

    fn age(&self, world: &World, sealed: &Sealed) -> Age {
        let age = self.now.saturating_sub(sealed.since);
        let is_revoked = self.not_before(world).is_some_and(|mark| sealed.since <= mark);
        if self.in_doubt(world) || is_revoked || age > 2 * world.recheck_after {
            Age::Lapsed
        } else if age > world.recheck_after {
            Age::Stale
        } else {
            Age::Fresh
        }
    }

    fn held(&self, world: &World, past: &Past, tally: &mut Tally) -> Result<Vec<Held>, String> {
        let mut held = Vec::new();
        let mut count = |what| *tally.entry(what).or_default() += 1;
        let texts: Vec<(String, Option<Sealed>)> = match world.strategy {
            Keeping::Cookie => {
                let texts = self.looked_at();
                texts.into_iter().map(|text| (text.clone(), past.sealed.get(text).cloned())).collect()
            }
            Keeping::Store => {
                let read = |text: &String| Ok((text.clone(), Some(read_row(self.who, text)?)));
                self.rows.iter().map(read).collect::<Result<_, String>>()?
            }
            Keeping::Client | Keeping::Server => Vec::new(),
        };
        for (text, sealed) in texts {
            let Some(sealed) = sealed else {
                count("text that nobody sealed");
                continue;
            };
            let kids = || self.secrets.iter().map(|secret| secret.split(':').next().unwrap_or_default());
            if sealed.who != self.who {
                count("grant of another client");
            } else if world.strategy == Keeping::Cookie && !kids().any(|kid| kid == sealed.kid) {
                count("grant of a secret not known here");
            } else if sealed.since > self.now + 60 {
                count("grant from the future");
            } else {
                let age = self.age(world, &sealed);
                let is_current = world.strategy == Keeping::Store || kids().next() == Some(&*sealed.kid);
                if self.not_before(world).is_some_and(|mark| sealed.since <= mark) {
                    count("revoked grant");
                }
                count(match age {
                    Age::Fresh => "fresh grant",
                    Age::Stale => "stale grant",
                    Age::Lapsed => "lapsed grant",
                });
                held.push(Held { text, sealed, age, is_current });
            }
        }
        Ok(held)
    }

    /// What became of what was held.
    fn change(
        &self,
        world: &World,
        past: &Past,
        held: &[Held],
        rows: &Rows<'_>,
        verdict: &mut Verdict,
    ) -> Result<Change, String> {
        if world.strategy == Keeping::Store {
            let new = rows.after.iter().filter(|row| !rows.before.contains(row));
            let put =
                new.map(|row| Ok((row.clone(), read_row(self.who, row)?))).collect::<Result<_, String>>()?;
            let gone = |row: &&String| rows.before.contains(row) && !rows.after.contains(row);
            return Ok(Change { put, dropped: self.rows.iter().filter(gone).cloned().collect() });
        }
        let looked_at = self.looked_at();
        let sealed = |text: &String| (text.clone(), past.sealed[text].clone());
        let Some(list) = verdict.list.clone() else {
            let dropped: Vec<String> = self
                .presented
                .iter()
                .filter(|(name, _)| verdict.deleted.contains(name))
                .map(|(_, text)| text.clone())
                .collect();
            // what this client can't use is another's, unless there is too much of it
            for text in dropped.iter().filter(|text| held.iter().all(|held| held.text != **text)) {
                ensure!(
                    self.overflows() && looked_at.contains(&text),
                    "{text} is none of this client's business"
                );
                if let Some(sealed) = past.sealed.get(text) {
                    verdict.may_cost(sealed.who, sealed.entries.rights());
                }
            }
            let put = verdict.set.iter().map(|(_, text, _)| sealed(text)).collect();
            return Ok(Change { put, dropped });
        };
        let put = list.iter().filter(|text| !looked_at.contains(text)).map(sealed).collect();
        let dropped =
            looked_at.iter().filter(|text| !list.contains(text)).map(|text| (*text).clone()).collect();
        for text in &looked_at {
            let Some(sealed) = past.sealed.get(*text).filter(|sealed| sealed.who == self.who) else {
                continue;
            };
            let is_held = held.iter().any(|held| held.text == **text);
            if !is_held && !list.contains(text) && world.strategy == Keeping::Cookie {
                // another instance may have the secret, or the clock
                ensure!(self.overflows(), "what only others can read is not handed back");
                verdict.may_cost(self.who, sealed.entries.rights());
            }
        }
        Ok(Change { put, dropped })
    }

    /// The moment from which counts what is permitted now.
    fn since(&self, world: &World) -> u64 {
        let after = self.not_before(world).map_or(0, |mark| (mark + 1).min(self.now + 60));
        (self.now / 300 * 300).max(after)
    }

    fn fits(&self, world: &World, entries: Entries, since: u64) -> bool {
        if world.strategy == Keeping::Store || entries.is_empty() {
            return true;
        }
        let keys: SealingKeys = keys(&self.secrets);
        let client = ClientId::try_from(self.who.id()).expect("well-formed");
        let grant = Grant { capability: capability(&entries.json()), since };
        keys.seal(&client, &grant).is_some_and(|text| text.len() <= world.max_bytes)
    }

    #[expect(
        clippy::too_many_arguments,
        clippy::too_many_lines,
        reason = "one answer, told from beginning to end"
    )]
    fn issued(
        &self,
        world: &World,
        past: &mut Past,
        question: Option<&Put>,
        answer: &Answer,
        rows: &Rows<'_>,
        verdict: &mut Verdict,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let (status, code) = answer.status_and_code();
        let (mut wish, ttl) = match self.kind {
            Kind::Ask { wish, ttl } => (wish, ttl),
            _ => (Entries::default(), 0),
        };
        if world.strategy == Keeping::Server {
            wish = Entries::default();
        }
        if world.strategy == Keeping::Store && !self.readable {
            ensure!(status == 503 && question.is_none(), "{status}, but the store can't be read");
            *tally.entry("store that can't be read").or_default() += 1;
            return Ok(());
        }

        // what is held, and so what has to be asked
        let key = Entries::of(world.key).rights();
        let held = self.held(world, past, tally)?;
        let of = |ages: &[Age]| -> Entries {
            held.iter().filter(|held| ages.contains(&held.age)).map(|held| held.sealed.entries).sum()
        };
        let (fresh, stale) = (of(&[Age::Fresh]), of(&[Age::Stale]));
        let aged = of(&[Age::Stale, Age::Lapsed]);
        let all_held = fresh.rights() | aged.rights();
        let carried = fresh.rights() & key;
        let pending = wish.minus(carried).minus(self.given) | aged.minus(carried);
        let asked = question.and_then(|put| put.asked);
        match (question, world.strategy) {
            (None, Keeping::Server) => return Err("the check is not asked".to_owned()),
            (None, _) => ensure!(pending.is_empty(), "the check is not asked about {pending:?}"),
            (Some(put), Keeping::Server) => ensure!(put.asked.is_none(), "asked for {:?}", put.asked),
            (Some(_), _) => {
                let same =
                    asked.is_some_and(|asked| asked.rights() == pending.rights()) && !pending.is_empty();
                ensure!(same, "the check is asked about {asked:?}, not {pending:?}");
            }
        }
        if let Some(put) = question {
            ensure!(put.client == self.who.id(), "the check is asked about {}", put.client);
            ensure!(put.held == carried, "the check is told that {:?} is held, not {carried:?}", put.held);
        }

        // what the check has said, cut to the question and to the key
        let said = question.map_or_else(|| Said::Granted(Rights::default()), |put| put.said);
        let asked = asked.map_or(key, Entries::rights);
        let granted = match said {
            Said::Granted(granted) => granted & asked & key,
            Said::Barred | Said::Down => Rights::default(),
        };
        let since = self.since(world);
        past.note(self, granted, since);
        let is_down = said == Said::Down;

        let store_fails = world.strategy == Keeping::Store && !rows.writable;
        let to_fold: Vec<&Held> = held.iter().filter(|held| held.age == Age::Fresh || !is_down).collect();
        let fresh_held = || held.iter().filter(|held| held.age == Age::Fresh);
        let aged_is_answered = !is_down && to_fold.iter().any(|held| held.age != Age::Fresh);
        let remembers = matches!(world.strategy, Keeping::Cookie | Keeping::Store);
        // what a check has said is heeded in a store, whoever made it be asked
        let is_inert = matches!(self.kind, Kind::Navigate(_)) && world.strategy != Keeping::Store;
        let added = granted - carried - aged.within(granted).rights() - self.given;
        let must_write = remembers
            && (!added.is_empty()
                || aged_is_answered
                || fresh_held().count() > 1
                || fresh_held().any(|held| !held.is_current));

        if said == Said::Barred {
            *tally.entry("barred").or_default() += 1;
            if store_fails && !self.rows.is_empty() {
                ensure!(status == 503, "{status}, but the store can't be written");
                return Ok(());
            }
            ensure!((status, code) == (403, 40300), "{status} for one who is barred");
            let change = self.change(world, past, &held, rows, verdict)?;
            ensure!(change.put.is_empty(), "something is written for one who is barred");
            if !is_inert {
                let is_left = |held: &&Held| match world.strategy {
                    Keeping::Store => rows.after.contains(&held.text),
                    _ => !change.dropped.contains(&held.text),
                };
                ensure!(!held.iter().any(|held| is_left(&held)), "who is barred keeps something");
                verdict.may_cost(self.who, all_held | self.in_store()?);
            }
            return Ok(());
        }
        ensure!(status != 403, "403 for one who is not barred");

        let tolerated = if is_down { stale.rights() & key } else { Rights::default() };
        let whole = carried | granted | tolerated | self.given;
        if is_down && (whole.is_empty() || (self.in_doubt(world) && !held.is_empty())) {
            ensure!((status, code) == (503, 50003), "{status}, but nothing can be fallen back on");
            *tally.entry("nothing to fall back on").or_default() += 1;
            return Ok(());
        }
        if status == 503 {
            ensure!(store_fails && must_write, "503 without a reason");
            *tally.entry("store that can't be written").or_default() += 1;
            return Ok(());
        }

        // the token
        let token = match status {
            200 => self.token(answer, world, is_down, ttl, tally)?,
            401 => Rights::default(),
            _ => return Err(format!("answered with {status}")),
        };
        ensure!((status, code) == (200, 200) || (status, code) == (401, 40160), "{status} / {code}");
        ensure!(token.is_within(whole), "{:?} is nobody's to sign", token - whole);
        ensure!(token.is_within(key), "{:?} is beyond the key", token - key);
        for right in (token - self.given - granted).each() {
            let one = || Rights::one(right);
            let Some(&(since, number)) = past.permitted.get(&(self.who, right)) else {
                return Err(format!("{:?} was never permitted", one()));
            };
            let limit = if is_down { 2 * world.recheck_after } else { world.recheck_after };
            let age = self.now.saturating_sub(since);
            ensure!(age <= limit, "{:?} was permitted {age} s ago", one());
            let mark = self.not_before(world);
            ensure!(mark.is_none_or(|mark| since > mark), "{:?} is revoked", one());
            // whatever the marks say: what was asked before a revocation does not count after it
            let revoked = past.revoked.get(&self.who).copied().unwrap_or_default();
            let is_heeded = world.ahead <= 5 && revoked < self.number;
            ensure!(!is_heeded || number > revoked, "{:?} was not asked again since the revocation", one());
        }
        let missing = whole - token;

        // what is kept
        let change = self.change(world, past, &held, rows, verdict)?;
        let left: Vec<&Held> = held.iter().filter(|held| !change.dropped.contains(&held.text)).collect();
        let by_others = rows.after.iter().filter(|row| !self.rows.contains(row));
        let by_others: Entries = match world.strategy {
            Keeping::Store => {
                by_others.map(|row| read_row(self.who, row).map(|row| row.entries)).sum::<Result<_, _>>()?
            }
            _ => Entries::default(),
        };
        let put: Entries = change.put.iter().map(|(_, sealed)| sealed.entries).sum();
        let after = left.iter().map(|held| held.sealed.entries).sum::<Entries>() | put | by_others;
        verdict.put = put.rights();
        if status == 200 {
            verdict.token = Some(token);
        }
        verdict.relied_on = left.iter().map(|held| held.text.clone()).collect();
        let oldest = fresh_held().map(|held| held.sealed.since).fold(since, u64::min);
        let base = fresh | aged.within(granted);
        let base_fits = self.fits(world, base, oldest);

        if !remembers || is_inert {
            let drops = left.len() < held.len();
            ensure!(world.strategy == Keeping::Store || (change.put.is_empty() && !drops), "it writes");
        } else {
            // one that was checked again is sealed as it was, if that was within the same five minutes
            let is_same = |held: &Held| {
                held.sealed.since == oldest && held.sealed.entries.rights().is_within(carried | granted)
            };
            let counting = |held: &&&Held| match held.age {
                Age::Fresh => true,
                Age::Stale => is_down || is_same(held),
                Age::Lapsed => is_same(held),
            };
            let counts = left.iter().filter(counting).map(|held| held.sealed.entries).sum::<Entries>()
                | put
                | by_others;
            let unremembered = token - self.given - counts.rights();
            ensure!(unremembered.is_empty(), "{unremembered:?} is granted, but not remembered");
            let forgotten = (carried | granted) - missing - self.given - counts.rights();
            ensure!(forgotten.is_empty(), "{forgotten:?} is not remembered");
            let is_there = |held: &Held| match world.strategy {
                Keeping::Store => rows.after.contains(&held.text),
                _ => !change.dropped.contains(&held.text),
            };
            let denied = if is_down { Rights::default() } else { aged.rights() - granted - fresh.rights() };
            let lost = all_held - after.rights();
            let excused = denied
                | self.given
                | self.expired(world, &held, rows)
                | if base_fits { Rights::default() } else { granted };
            ensure!((lost - missing).is_within(excused), "{:?} is lost", lost - missing - excused);
            verdict.may_cost(self.who, lost);
            let widened = put.rights() - all_held - granted;
            ensure!(widened.is_empty(), "{widened:?} is sealed, and was neither held nor permitted");
            let given = put.within(self.given).minus(all_held);
            ensure!(given.is_empty(), "{given:?} is given, and in a grant");
            ensure!(put.rights().is_within(key), "{put:?} is sealed, beyond the key");

            let dropped =
                change.dropped.iter().filter(|text| held.iter().any(|held| held.text == **text)).count();
            ensure!(change.put.len() <= dropped.max(1), "{} grants for {dropped}", change.put.len());
            ensure!(
                must_write || (change.put.is_empty() && dropped == 0),
                "nothing is new, and yet it writes"
            );
            let is_put = |held: &Held| change.put.iter().any(|(text, _)| *text == held.text);
            let still = to_fold.iter().filter(|held| is_there(held) && !is_put(held)).count();
            let is_one = still + change.put.len() <= 1;
            if must_write && base_fits && !store_fails {
                ensure!(is_one, "{still} grants stay as they are, and {} are new", change.put.len());
                let kept: Rights = to_fold
                    .iter()
                    .filter(|held| is_there(held))
                    .map(|held| held.sealed.entries.rights())
                    .sum();
                ensure!((kept & denied).is_empty(), "{:?} was denied, and is kept", kept & denied);
                let expected = change.put.iter().all(|(_, sealed)| sealed.since == oldest);
                ensure!(
                    expected,
                    "sealed as of {:?}, not {oldest}",
                    change.put.iter().map(|(_, s)| s.since).collect::<Vec<_>>()
                );
                let is_current = |held: &&&Held| !change.dropped.contains(&held.text) && !held.is_current;
                ensure!(
                    !to_fold.iter().any(|held| is_current(&held)),
                    "sealed with an old secret, and left so"
                );
                if to_fold.len() > 1 {
                    *tally.entry("folded").or_default() += 1;
                }
            } else if must_write && !base_fits {
                *tally.entry("not folded, as it would not fit").or_default() += 1;
                let known: BTreeSet<u64> = held.iter().map(|held| held.sealed.since).chain([since]).collect();
                ensure!(change.put.iter().all(|(_, sealed)| known.contains(&sealed.since)), "made-up times");
            }
            for (_, sealed) in &change.put {
                self.never_younger(past, sealed)?;
            }
            if fresh_held().any(|held| !held.is_current) && !change.put.is_empty() {
                *tally.entry("sealed anew").or_default() += 1;
            }
        }

        // what was refused
        let refused = self.refused(answer)?;
        let unmet = wish.minus(token);
        match refused {
            None => {}
            Some([denied, unavailable, full]) => {
                let told = denied | unavailable | full;
                ensure!(told.rights() == unmet.rights(), "told is {told:?}, not met is {unmet:?}");
                ensure!(
                    unavailable.is_empty() != is_down || unmet.is_empty(),
                    "unavailable: {unavailable:?}"
                );
                let is_full = missing & wish.rights();
                ensure!(is_full.is_within(full.rights()), "{is_full:?} had no room, and is not told");
                let is_permitted = full.rights().is_within(whole);
                ensure!(is_permitted && full.within(token).is_empty(), "{full:?} is told to be full");
                for (what, told) in [("denied", denied), ("unavailable", unavailable), ("full", full)] {
                    *tally.entry(what).or_default() += u64::from(!told.is_empty());
                }
            }
        }
        if !missing.is_empty() {
            ensure!(
                world.strategy == Keeping::Cookie && !is_inert,
                "{missing:?} was permitted, and is not signed"
            );
            // entry by entry, with all that was permitted on its resource
            for tried in missing.entries().each() {
                let with = after | tried | granted.on(tried);
                let has_room = base_fits && self.fits(world, with, oldest) && self.fits(world, with, since);
                ensure!(!has_room, "there is room for {tried:?}");
            }
        }
        *tally.entry("token").or_default() += u64::from(status == 200);
        *tally.entry("nothing permitted").or_default() += u64::from(status == 401);
        *tally.entry("added").or_default() += u64::from(!(added & token).is_empty());
        *tally.entry("stale, and counts as the check is down").or_default() +=
            u64::from(!(tolerated - carried - self.given).is_empty());
        *tally.entry("checked again, and permitted").or_default() +=
            u64::from(!(aged.rights() & granted).is_empty());
        *tally.entry("checked again, and denied").or_default() +=
            u64::from(!is_down && !(aged.rights() - granted - carried).is_empty());
        *tally.entry("not known whether revoked").or_default() +=
            u64::from(self.in_doubt(world) && !held.is_empty());
        *tally.entry("cut to the key").or_default() +=
            u64::from(matches!(said, Said::Granted(said) if !(said & asked).is_within(key)));
        *tally.entry("given").or_default() += u64::from(!(token & self.given).is_empty());
        *tally.entry("navigation").or_default() += u64::from(is_inert);
        *tally.entry("too many to look at").or_default() += u64::from(self.presented.len() > 16);
        *tally.entry("too large, and cleared away").or_default() += u64::from(self.overflows());
        Ok(())
    }

    /// Every entry was permitted when the grant says so, or later: adding extends no life.
    fn never_younger(&self, past: &Past, sealed: &Sealed) -> Result<(), String> {
        for right in sealed.entries.rights().each() {
            let permitted = past.permitted.get(&(self.who, right)).map_or(0, |latest| latest.0);
            ensure!(
                permitted >= sealed.since,
                "{:?} is sealed as of {}, and was permitted at {permitted}",
                Rights::one(right),
                sealed.since
            );
        }
        Ok(())
    }

    /// What the token permits; all else about it is as it has to be.
    fn token(
        &self,
        answer: &Answer,
        world: &World,
        is_down: bool,
        ttl: u64,
        tally: &mut Tally,
    ) -> Result<Rights, String> {
        let token = answer.token();
        let entries = Entries::read(token["capability"].as_str().unwrap_or_default())?;
        ensure!(!entries.is_empty(), "a token for nothing");
        ensure!(token["clientId"] == self.who.id(), "a token for {}", token["clientId"]);
        let number = |name: &str| token[name].as_u64().unwrap_or_default();
        let (issued, lives) = match token["keyName"].is_string() {
            true => (number("timestamp"), number("ttl")),
            false => (number("issued"), number("expires") - number("issued")),
        };
        ensure!(issued / 1000 == self.now, "a token of {issued}");
        ensure!(token["token"].is_string() == world.jwt, "another format");
        let longest = if is_down { 300_000 } else { 3_600_000 };
        let expected = if ttl == 0 { longest } else { ttl.max(1000).min(longest) };
        ensure!(lives == expected, "a token that lives {lives} ms, not {expected}");
        *tally.entry("five minutes").or_default() += u64::from(is_down);
        Ok(entries.rights())
    }

    /// Denied, unavailable and full; nothing if it was too long to say.
    fn refused(&self, answer: &Answer) -> Result<Option<[Entries; 3]>, String> {
        let Some(text) = answer.header("accrue-refused") else { return Ok(Some(Default::default())) };
        let told: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if told.get("truncated").is_some() {
            return Ok(None);
        }
        let part = |name: &str| {
            told.get(name).map_or_else(|| Ok(Entries::default()), |part| Entries::read(&part.to_string()))
        };
        Ok(Some([part("denied")?, part("unavailable")?, part("full")?]))
    }

    #[expect(clippy::too_many_arguments, reason = "one answer, told from beginning to end")]
    fn gave_up(
        &self,
        what: Option<Entries>,
        world: &World,
        past: &Past,
        status: u16,
        rows: &Rows<'_>,
        verdict: &mut Verdict,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let in_store = world.strategy == Keeping::Store;
        if in_store && !self.readable {
            ensure!(status == 503, "{status}, but the store can't be read");
            return Ok(());
        }
        let held = self.held(world, past, tally)?;
        let all_held: Rights = held.iter().map(|held| held.sealed.entries.rights()).sum();
        if status == 503 {
            ensure!(in_store && !rows.writable && !held.is_empty(), "503 without a reason");
            return Ok(());
        }
        ensure!(status == 204, "giving up is answered with {status}");
        let Some(what) = what else {
            *tally.entry("all given up").or_default() += 1;
            let all = self.presented.iter().all(|(name, _)| verdict.deleted.contains(name));
            ensure!(self.by_header || all, "not every cookie is deleted");
            ensure!(verdict.list.as_ref().is_none_or(Vec::is_empty), "something is handed back");
            ensure!(verdict.set.is_empty(), "something is set");
            if in_store {
                ensure!(
                    !self.rows.iter().any(|row| rows.after.contains(row)),
                    "something stays in the store"
                );
                verdict.may_cost(self.who, self.in_store()?);
            } else {
                for who in Who::ALL {
                    let texts = self.presented.iter().map(|(_, text)| text);
                    verdict.may_cost(who, past.rights_of(who, texts));
                }
            }
            return Ok(());
        };
        *tally.entry("part given up").or_default() += u64::from(held.iter().any(|held| {
            held.sealed.entries.minus(what.rights()) != held.sealed.entries.minus(Rights::default())
        }));
        let change = self.change(world, past, &held, rows, verdict)?;
        let left: Vec<&Held> = held.iter().filter(|held| !change.dropped.contains(&held.text)).collect();
        let put: Entries = change.put.iter().map(|(_, sealed)| sealed.entries).sum();
        let rest = left.iter().map(|held| held.sealed.entries).sum::<Entries>() | put;
        let rest = match in_store {
            // another request may have written the same
            true => rest | self.texts_after(rows)?,
            false => rest,
        };
        let lost = all_held - rest.rights();
        let excused = what.rights() | self.expired(world, &held, rows);
        ensure!(lost.is_within(excused), "{:?} is lost, and was not given up", lost - excused);
        ensure!(put.rights().is_within(all_held), "giving up gives {:?}", put.rights() - all_held);
        let mine = left.iter().map(|held| held.sealed.entries).sum::<Entries>() | put;
        ensure!(
            mine.within(what.rights()).is_empty(),
            "{:?} is given up, and still there",
            mine.within(what.rights())
        );
        let fresh = || held.iter().filter(|held| held.age == Age::Fresh);
        let oldest = fresh().map(|held| held.sealed.since).min();
        for (_, sealed) in &change.put {
            ensure!(held.iter().any(|held| held.sealed.since == sealed.since), "a made-up time");
            self.never_younger(past, sealed)?;
            // what is fresh stays so
            let of_fresh: Rights = fresh().map(|held| held.sealed.entries.rights()).sum();
            let of_aged: Rights = held
                .iter()
                .filter(|held| held.age != Age::Fresh)
                .map(|held| held.sealed.entries.rights())
                .sum();
            let aged = sealed.entries.rights() & (of_fresh - of_aged);
            ensure!(
                aged.is_empty() || oldest.is_none_or(|oldest| sealed.since >= oldest),
                "{aged:?} is made older"
            );
        }
        verdict.may_cost(self.who, lost);
        verdict.put = put.rights();
        verdict.relied_on = left.iter().map(|held| held.text.clone()).collect();
        Ok(())
    }

    /// What a store may have forgotten: it has been kept for long enough.
    fn expired(&self, world: &World, held: &[Held], rows: &Rows<'_>) -> Rights {
        let keep_for = 2 * world.recheck_after;
        let is_expired = |held: &&Held| {
            rows.before.contains(&held.text)
                && !rows.after.contains(&held.text)
                && held.sealed.since + keep_for <= self.now + CLOCKS_DIFFER
        };
        held.iter().filter(is_expired).map(|held| held.sealed.entries.rights()).sum()
    }

    /// All that was in the store, also what could not be read then.
    fn in_store(&self) -> Result<Rights, String> {
        self.rows.iter().map(|row| read_row(self.who, row).map(|row| row.entries.rights())).sum()
    }

    fn texts_after(&self, rows: &Rows<'_>) -> Result<Entries, String> {
        rows.after.iter().map(|row| read_row(self.who, row).map(|row| row.entries)).sum()
    }
}

/// Seconds by which a `since` may be ahead of the right time: an instance's clock, and a mark before it.
pub(crate) const CLOCKS_DIFFER: u64 = 120;
