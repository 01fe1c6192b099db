use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::ably::{ApiKey, Format, Token, Ttl};
use crate::capability::{Capability, Vocabulary};
use crate::client::{Client, ClientId};
use crate::grant::{Grant, SealingKeys, Unreadable};
use crate::held::{Change, Folded, Held, Kept};
use crate::moment::Moment;
use crate::permission::{AnyCheck, PermissionCheck, Rules};
use crate::proposal::{Decision, Permitted, Proposal, Refused, Signable, Terms};

/// Who remembers what a client was permitted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Strategy {
    /// Nobody: the check is asked for everything the client may do, each time. Wishes are not read.
    Server,
    /// The client: it lists all it needs each time, and all of it is checked each time.
    Client,
    /// The client, in grants that the server sealed: only what is new or has aged is checked.
    Cookie(Sealing),
}

/// How grants are sealed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Sealing {
    /// The secrets.
    pub keys: SealingKeys,
    /// The longest sealed text, in bytes.
    pub max_bytes: usize,
}

impl Sealing {
    /// The room that a cookie of 2560 bytes leaves after its name.
    pub const DEFAULT_MAX_BYTES: usize = 2560 - "__Host-accrue.12345678".len();

    /// With these secrets and the usual room.
    pub fn new(keys: SealingKeys) -> Self {
        Self { keys, max_bytes: Self::DEFAULT_MAX_BYTES }
    }
}

/// What somebody asks for.
#[derive(Clone)]
#[non_exhaustive]
pub struct Ask {
    /// Who: authenticated already.
    pub client: Client,
    /// What they wish for. A wish is not a demand: those refused cost nothing that is held.
    pub wishes: Capability,
    /// How long they wish their token to live.
    pub ttl: Option<Ttl>,
    /// Sealed grants as they came; at most 16 of them are looked at.
    pub presented: Vec<String>,
}

impl Ask {
    /// For a client that wishes for nothing and presents nothing.
    pub fn new(client: Client) -> Self {
        Self { client, wishes: Capability::default(), ttl: None, presented: Vec::new() }
    }
}

/// Without the grants presented.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("client", &self.client.id)
            .field("wishes", &self.wishes)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// The answer: a token, and what the client is to keep.
#[derive(Debug)]
#[non_exhaustive]
pub struct Issued {
    /// The signed token.
    pub token: Token,
    /// What it permits.
    pub permitted: Signable,
    /// What changes in what the client keeps.
    pub change: SealedChange,
    /// Wishes that were not met.
    pub refused: Refused,
    /// For logs.
    pub report: Report,
}

/// No token.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// What changes in what the client keeps all the same.
    pub change: SealedChange,
    /// Wishes that were not met.
    pub refused: Refused,
    /// For logs.
    pub report: Report,
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// Nothing was permitted, held or given. A token for nothing is never signed.
    Nothing,
    /// The check says that the client may not be here at all.
    Barred,
    /// The check did not answer, and there was nothing to fall back on.
    Unavailable,
}

/// What changes in what a client keeps: sealed grants to keep, and texts that it presented to drop.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SealedChange {
    /// To keep. None of these was presented.
    pub put: Vec<String>,
    /// To drop. All of these were presented, and verified.
    pub drop: Vec<String>,
}

impl SealedChange {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.drop.is_empty()
    }
}

/// Counts only: the texts are what clients prove themselves with.
impl fmt::Debug for SealedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedChange").field("put", &self.put.len()).field("drop", &self.drop.len()).finish()
    }
}

/// What happened on the way, for logs and counters; never for an answer.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// What was permitted by this answer and not before, and is remembered or signed.
    pub added: Capability,
    /// The name of the check, if it was asked.
    pub check: Option<&'static str>,
    /// Why the check could not tell, if it couldn't.
    pub cause: Option<String>,
    /// For each text presented, repeats left out, in order and as far as they were looked at: the kid of the secret that it was
    /// sealed with, or why it does not count.
    pub grants: Vec<Result<String, Unreadable>>,
}

/// Issues tokens: from who asks, what they wish for and what they present, to a signed token and what they
/// keep. It knows no HTTP and reads no clock.
///
/// ```
/// use accrue::ably::ApiKey;
/// use accrue::{Ask, Capability, Client, ClientId, Issuer, Moment, Rules, Sealing, SealingKeys, SealingSecret, Strategy, Vocabulary};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ably = Vocabulary::default();
/// let key = ApiKey::parse("app.key:an-ably-secret")?;
/// let secret = SealingSecret::parse("k1:ZG9jdW1lbnRhdGlvbi1zYW1wbGUtZG8tbm90LXVzZSE")?;
/// let keys = SealingKeys::new(&key, vec![secret])?;
/// let mut rules = Rules::default();
/// rules.add("chat:*", &["subscribe"], &ably)?;
/// let issuer = Issuer::new(key, Strategy::Cookie(Sealing::new(keys)), rules);
///
/// let mut ask = Ask::new(Client::new(ClientId::try_from("alice")?));
/// ask.wishes = Capability::parse(r#"{"chat:1":["subscribe"],"private:1":["subscribe"]}"#, &ably)?;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let issued = issuer.issue(ask, &Moment::new(1_700_000_200_000, [7; 32])).await.expect("chat:1 is permitted");
/// assert_eq!(issued.refused.denied.to_string(), r#"{"private:1":["subscribe"]}"#);
///
/// // next time, what she kept is enough
/// let mut ask = Ask::new(Client::new(ClientId::try_from("alice")?));
/// ask.presented = issued.change.put;
/// assert!(issuer.issue(ask.clone(), &Moment::new(1_700_000_300_000, [8; 32])).await.is_ok());
///
/// // and is nobody else's
/// ask.client = Client::new(ClientId::try_from("bob")?);
/// assert!(issuer.issue(ask, &Moment::new(1_700_000_300_000, [9; 32])).await.is_err());
/// # Ok(()) })
/// # }
/// ```
pub struct Issuer {
    key: ApiKey,
    strategy: Strategy,
    check: Box<dyn AnyCheck>,
    given: Rules,
    ceiling: Capability,
    vocabulary: Vocabulary,
    format: Format,
    ttl: Ttl,
    jitter: f64,
    recheck_after: u64,
}

impl Issuer {
    /// An issuer with nothing given, a key that may do everything, TokenRequests of an hour, and grants that are
    /// checked again after eight hours.
    pub fn new(key: ApiKey, strategy: Strategy, check: impl PermissionCheck) -> Self {
        let vocabulary = Vocabulary::default();
        Self {
            key,
            strategy,
            check: Box::new(check),
            given: Rules::default(),
            ceiling: Capability::parse(r#"{"*":["*"]}"#, &vocabulary).expect("well-formed"),
            vocabulary,
            format: Format::Request,
            ttl: Ttl::from_millis(3_600_000),
            jitter: 0.0,
            recheck_after: 8 * 3600,
        }
    }

    /// What every client has without asking. Computed each time, and never inside a grant.
    #[must_use]
    pub fn with_given(self, given: Rules) -> Self {
        Self { given, ..self }
    }

    /// What the Ably key may do itself: nothing beyond it is ever granted. `{"*":["*"]}` by default, which
    /// leaves out queues and metachannels.
    #[must_use]
    pub fn with_key_capability(self, ceiling: Capability) -> Self {
        Self { ceiling, ..self }
    }

    /// Which operations are well-formed, in wishes and in grants. By default those of Ably's table. The rules that are
    /// given or checked must be made with the same, or what they permit is not understood when it comes back.
    #[must_use]
    pub fn with_vocabulary(self, vocabulary: Vocabulary) -> Self {
        Self { vocabulary, ..self }
    }

    /// TokenRequests (the default) or JWTs.
    #[must_use]
    pub fn with_format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// How long tokens live at most; clients may ask for less. An hour by default. Ably allows 24 hours, which more
    /// counts as, and one hour for keys with revocable tokens.
    #[must_use]
    pub fn with_ttl(self, ttl: Ttl) -> Self {
        Self { ttl: ttl.min(LONGEST_TTL), ..self }
    }

    /// The largest fraction, 0 to 1, by which a ttl that no client asked for is shortened at random, so that
    /// renewals spread out. 0 by default.
    #[must_use]
    pub fn with_jitter(self, jitter: f64) -> Self {
        Self { jitter: jitter.clamp(0.0, 1.0), ..self }
    }

    /// After how many seconds a grant is checked again. 8 hours by default. A permission that is withdrawn is
    /// gone from every new token after this, and from every token after this and the ttl.
    #[must_use]
    pub fn with_recheck_after(self, seconds: u64) -> Self {
        Self { recheck_after: seconds, ..self }
    }

    /// Which operations are well-formed.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Whether clients' wishes count.
    pub fn heeds_wishes(&self) -> bool {
        !matches!(self.strategy, Strategy::Server)
    }

    /// For how many seconds a grant is worth keeping: twice `recheck_after`.
    pub fn keep_for(&self) -> u64 {
        self.recheck_after.saturating_mul(2)
    }

    /// The whole flow: recall, propose, check, settle, fold, remember, sign.
    ///
    /// # Errors
    /// [`Refusal`] if there is nothing to sign, the client is barred, or the check did not answer and there is
    /// nothing to fall back on.
    pub async fn issue(&self, ask: Ask, moment: &Moment) -> Result<Issued, Refusal> {
        let client = Arc::new(ask.client);
        let given = self.given.filled_in(&client).intersect(&self.ceiling);
        let terms = Terms { given: &given, ceiling: &self.ceiling };
        let mut report = Report::default();

        let held = self.recall(&client, &ask.presented, moment, &mut report);
        let proposal = match self.strategy {
            Strategy::Server => Proposal::everything(),
            Strategy::Client | Strategy::Cookie(_) => Proposal::new(&held, ask.wishes, &terms),
        };

        let decision = match proposal.question(&client) {
            Some(question) => {
                report.check = Some(self.check.name());
                Some(self.check.check(question).await)
            }
            None => None,
        };
        if let Some(Decision::Unavailable(cause)) = &decision {
            report.cause = Some(cause.clone());
        }

        let Some(permitted) = proposal.settle(decision, &terms) else {
            return Err(Refusal {
                reason: RefusalReason::Barred,
                change: self.sealed(&client.id, held.forget(), &ask.presented),
                refused: Refused::default(),
                report,
            });
        };
        let unanswered = permitted.unanswered();

        let since = since(moment.now_secs(), client.not_before);
        let folded = match &self.strategy {
            Strategy::Cookie(sealing) => held.fold(permitted, since, &room(sealing, &client.id), &terms),
            Strategy::Server | Strategy::Client => Folded::forgotten(permitted),
        };
        let change = self.sealed(&client.id, folded.change, &ask.presented);
        report.added = folded.permitted.added().clone();

        let (signable, left_out) = folded.permitted.to_sign(&terms);
        if !left_out.is_empty() {
            report.cause =
                Some(format!("the token would exceed 64 KiB: {} resources left out", left_out.len()));
        }
        let full = folded.full.union(&left_out);
        let refused = Refused::sort(proposal.wishes(), signable.as_ref(), &full, unanswered);
        match signable {
            Some(signable) => {
                let ttl = self.ttl(ask.ttl, &folded.permitted, moment);
                let token = Token::sign(self.format, &self.key, &signable, &client.id, ttl, moment);
                Ok(Issued { token, permitted: signable, change, refused, report })
            }
            None if unanswered => Err(Refusal {
                reason: RefusalReason::Unavailable,
                change: SealedChange::default(),
                refused,
                report,
            }),
            None => Err(Refusal { reason: RefusalReason::Nothing, change, refused, report }),
        }
    }

    /// Gives up what `unwanted` covers of what the client presents.
    pub fn give_up(
        &self,
        client: &Client,
        unwanted: &Capability,
        presented: &[String],
        moment: &Moment,
    ) -> (SealedChange, Report) {
        let mut report = Report::default();
        let Strategy::Cookie(sealing) = &self.strategy else {
            return (SealedChange::default(), report);
        };
        let held = self.recall(client, presented, moment, &mut report);
        let change = held.give_up(unwanted, &room(sealing, &client.id));
        (self.sealed(&client.id, change, presented), report)
    }

    /// Those of the presented grants that are this client's.
    fn recall(&self, client: &Client, presented: &[String], moment: &Moment, report: &mut Report) -> Held {
        let Strategy::Cookie(sealing) = &self.strategy else {
            return Held::default();
        };
        let now = moment.now_secs();
        let mut kept: Vec<Kept> = Vec::new();
        for text in looked_at(presented) {
            let read = sealing.keys.unseal(&client.id, text, now, &self.vocabulary).map(|unsealed| {
                kept.push(Kept { grant: unsealed.grant, id: text.clone(), current: unsealed.current });
                unsealed.kid
            });
            report.grants.push(read);
        }
        Held::sort(kept, now, self.recheck_after, client.not_before)
    }

    /// What is there already is neither set again nor dropped.
    fn sealed(&self, client: &ClientId, change: Change, presented: &[String]) -> SealedChange {
        let Strategy::Cookie(sealing) = &self.strategy else {
            return SealedChange::default();
        };
        let sealed: Option<BTreeSet<String>> =
            change.put.iter().map(|grant| sealing.keys.seal(client, grant)).collect();
        // what can't be sealed has no room, and then nothing is dropped for it either
        let Some(put) = sealed else { return SealedChange::default() };
        SealedChange {
            drop: change.drop.into_iter().filter(|text| !put.contains(text)).collect(),
            put: put.into_iter().filter(|text| !presented.contains(text)).collect(),
        }
    }

    fn ttl(&self, wish: Option<Ttl>, permitted: &Permitted, moment: &Moment) -> Ttl {
        // so that the SDK comes back by itself and repeats its wish
        let longest = if permitted.unanswered() { self.ttl.min(WHILE_UNANSWERED) } else { self.ttl };
        match wish {
            Some(wish) => wish.min(longest),
            None => {
                let share = 1.0 - self.jitter * moment.fraction();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "a share of at most a day in milliseconds"
                )]
                Ttl::from_millis((longest.as_millis() as f64 * share) as u64)
            }
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("key", &self.key)
            .field("strategy", &self.strategy)
            .field("check", &self.check.name())
            .finish_non_exhaustive()
    }
}

/// Whether a grant, sealed, is short enough to be carried.
fn room<'a>(sealing: &'a Sealing, client: &'a ClientId) -> impl Fn(&Grant) -> bool + 'a {
    move |grant| sealing.keys.seal(client, grant).is_some_and(|text| text.len() <= sealing.max_bytes)
}

/// Of the texts presented, those that are looked at: equal ones once, and no more than sixteen, however many there are.
pub(crate) fn looked_at<'a>(presented: impl IntoIterator<Item = &'a String>) -> Vec<&'a String> {
    let mut texts: Vec<&String> = Vec::new();
    for text in presented {
        if texts.len() == MAX_CANDIDATES {
            break;
        }
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

/// The moment a grant counts from: rounded down, so that tabs that renew together write the same grant, but
/// after `not_before`, or what was just permitted would count as revoked. Never further ahead of the clock than
/// verifying allows.
fn since(now: u64, not_before: Option<u64>) -> u64 {
    let rounded = now - now % ROUND_DOWN_TO;
    let first_valid = not_before.map_or(0, |moment| moment.saturating_add(1)).min(now.saturating_add(60));
    rounded.max(first_valid).max(1)
}

const MAX_CANDIDATES: usize = 16;
/// Seconds.
const ROUND_DOWN_TO: u64 = 300;
const LONGEST_TTL: Ttl = Ttl::from_millis(24 * 3600 * 1000);
const WHILE_UNANSWERED: Ttl = Ttl::from_millis(5 * 60 * 1000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_rounded_but_not_revoked() {
        for (now, not_before, expected) in [
            (1_700_000_200, None, 1_700_000_100),
            (1_700_000_100, None, 1_700_000_100),
            (1_700_000_200, Some(1_600_000_000), 1_700_000_100),
            (1_700_000_200, Some(1_700_000_099), 1_700_000_100),
            (1_700_000_200, Some(1_700_000_100), 1_700_000_101),
            (1_700_000_200, Some(1_700_000_200), 1_700_000_201),
            (1_700_000_200, Some(9_999_999_999), 1_700_000_260),
            (200, None, 1),
        ] {
            assert_eq!(since(now, not_before), expected);
        }
    }
}
