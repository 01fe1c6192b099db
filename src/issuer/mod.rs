mod ask;
pub(crate) mod recall;

use std::fmt;
use std::sync::Arc;

pub use ask::{Ask, Issued, Refusal, RefusalReason, Report, SealedChange, Took};
use recall::Recalled;

use crate::ably::{ApiKey, Format, Token, Ttl};
use crate::capability::{Capability, Vocabulary};
use crate::client::{Client, ClientId};
use crate::grant::{Grant, SealingKeys, is_sealable};
use crate::held::{Change, Folded};
use crate::moment::Moment;
use crate::permission::{AnyCheck, PermissionCheck, Rules};
use crate::proposal::{Decision, Permitted, Proposal, Refused, Terms};
use crate::store::{Store, StoreChange, StoreError, row};

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
    /// The server, in a store: only what is new or has aged is checked.
    Store(Store),
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
/// let issuer = Issuer::new(key, Strategy::Cookie(Sealing::new(keys)), rules)?;
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
    /// Where revocations are noted, and under [`Strategy::Store`] grants.
    store: Option<Store>,
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
    ///
    /// # Errors
    /// For [`Strategy::Server`] with a check that can't say all that a client may do.
    pub fn new(key: ApiKey, strategy: Strategy, check: impl PermissionCheck) -> Result<Self, IssuerError> {
        if matches!(strategy, Strategy::Server) && !check.answers_everything() {
            return Err(IssuerError::CannotAnswerEverything { check: check.name() });
        }
        let vocabulary = Vocabulary::default();
        Ok(Self {
            key,
            store: match &strategy {
                Strategy::Store(store) => Some(store.clone()),
                _ => None,
            },
            strategy,
            check: Box::new(check),
            given: Rules::default(),
            ceiling: Capability::parse(r#"{"*":["*"]}"#, &vocabulary).expect("well-formed"),
            vocabulary,
            format: Format::Request,
            ttl: Ttl::from_millis(3_600_000),
            jitter: 0.0,
            recheck_after: 8 * 3600,
        })
    }

    /// Heeds the revocations noted in this store under [`Strategy::Cookie`]. [`Strategy::Store`] heeds those in its own
    /// store anyway; under the others nothing is kept that could be revoked, and it only has to be reachable.
    #[must_use]
    pub fn with_revocations(self, store: Store) -> Self {
        match self.strategy {
            Strategy::Store(_) => self,
            Strategy::Cookie(_) | Strategy::Client | Strategy::Server => Self { store: Some(store), ..self },
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

    /// Whether what clients hold is with them, sealed.
    pub fn keeps_with_client(&self) -> bool {
        matches!(self.strategy, Strategy::Cookie(_))
    }

    /// Whether what clients hold is in a store of the server's.
    pub fn keeps_in_store(&self) -> bool {
        matches!(self.strategy, Strategy::Store(_))
    }

    /// Whether the store, if there is one, can be reached.
    ///
    /// # Errors
    /// If not.
    pub async fn ready(&self) -> Result<(), StoreError> {
        match &self.store {
            Some(store) => store.ready().await,
            None => Ok(()),
        }
    }

    /// The whole flow: recall, propose, check, settle, fold, remember, sign.
    ///
    /// # Errors
    /// [`Refusal`] if there is nothing to sign, the client is barred, or something did not answer and there is nothing
    /// to fall back on.
    pub async fn issue(&self, ask: Ask, moment: &Moment) -> Result<Issued, Refusal> {
        let client = Arc::new(ask.client);
        let given = self.given.filled_in(&client).cut_to(&self.ceiling);
        let terms = Terms { given: &given, ceiling: &self.ceiling };
        let mut report = Report::default();

        let recalled = match self.recall(&client, ask.presented, moment, &mut report).await {
            Ok(recalled) => recalled,
            Err(error) => return Err(Refusal::unavailable(error, &ask.wishes, report)),
        };
        let held = &recalled.held;
        let proposal = match self.strategy {
            Strategy::Server => Proposal::everything(),
            Strategy::Client | Strategy::Cookie(_) | Strategy::Store(_) => {
                Proposal::new(held, ask.wishes, &terms)
            }
        };
        let wishes = proposal.wishes();

        let decision = match proposal.question(&client) {
            Some(question) => {
                report.check = Some(self.check.name());
                let asked_at = moment.elapsed();
                let decision = self.check.check(question).await;
                report.took.check = Some(moment.elapsed().saturating_sub(asked_at));
                Some(decision)
            }
            None => None,
        };
        if let Some(Decision::Unavailable(cause)) = &decision {
            report.note(cause);
        }

        let Some(permitted) = proposal.settle(decision, &terms) else {
            return Err(
                match self
                    .remember(&client.id, recalled.everything(&self.strategy), &recalled, moment, &mut report)
                    .await
                {
                    Ok(change) => {
                        Refusal { reason: RefusalReason::Barred, change, refused: Refused::default(), report }
                    }
                    Err(error) => Refusal::unavailable(error, wishes, report),
                },
            );
        };
        let unanswered = permitted.unanswered();
        if unanswered && recalled.in_doubt {
            return Err(Refusal::unavailable("what is held may be revoked", wishes, report));
        }

        let since = since(moment.now_secs(), recalled.not_before);
        let folded = match &self.strategy {
            Strategy::Cookie(_) | Strategy::Store(_) => {
                held.fold(permitted, since, &|grant| self.has_room(grant), &terms)
            }
            Strategy::Server | Strategy::Client => Folded::forgotten(permitted),
        };

        let (signable, left_out) = folded.permitted.to_sign(&terms);
        if signable.is_none() && unanswered {
            return Err(Refusal::unavailable("nothing to fall back on", wishes, report));
        }
        if !left_out.is_empty() {
            report.note(format!("the token would exceed 64 KiB: {} resources left out", left_out.len()));
        }
        let full = folded.full.union(&left_out);
        let refused = Refused::sort(wishes, signable.as_ref(), &full, unanswered);

        let change = match self.remember(&client.id, folded.change, &recalled, moment, &mut report).await {
            Ok(change) => change,
            Err(error) => return Err(Refusal::unavailable(error, wishes, report)),
        };
        match signable {
            Some(signable) => {
                report.added = folded.permitted.added().permitted_by(signable.capability());
                let ttl = self.ttl(ask.ttl, &folded.permitted, moment);
                let token = Token::sign(self.format, &self.key, &signable, &client.id, ttl, moment);
                Ok(Issued { token, permitted: signable, change, refused, report })
            }
            None => Err(Refusal { reason: RefusalReason::Nothing, change, refused, report }),
        }
    }

    /// Gives up what `unwanted` covers of what the client holds; without it, everything.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn give_up(
        &self,
        client: &Client,
        unwanted: Option<&Capability>,
        presented: Vec<String>,
        moment: &Moment,
    ) -> Result<(SealedChange, Report), StoreError> {
        let mut report = Report::default();
        let recalled = self.recall(client, presented, moment, &mut report).await?;
        let change = match unwanted {
            Some(unwanted) => recalled.held.give_up(unwanted, &|grant| self.has_room(grant)),
            None => recalled.everything(&self.strategy),
        };
        let change = self.remember(&client.id, change, &recalled, moment, &mut report).await?;
        Ok((change, report))
    }

    /// Writes a change to the store, or returns it for the client to keep.
    async fn remember(
        &self,
        client: &ClientId,
        change: Change,
        recalled: &Recalled,
        moment: &Moment,
        report: &mut Report,
    ) -> Result<SealedChange, StoreError> {
        let put: Option<Vec<String>> = change.put.iter().map(|grant| self.text(client, grant)).collect();
        // what can't be written has no room, and then nothing is dropped for it either
        let Some(mut put) = put else { return Ok(SealedChange::default()) };
        put.sort_unstable();
        put.dedup();
        // what is there already is neither put again nor dropped
        let is_dropped = |place: &usize| change.drop.contains(place) || recalled.excess.contains(place);
        let drop: Vec<String> = recalled
            .texts
            .iter()
            .enumerate()
            .filter(|(place, text)| is_dropped(place) && !put.contains(text))
            .map(|(_, text)| text.clone())
            .collect();
        // but in a store: another request, which counts on what is dropped here, may be dropping it right now
        if drop.is_empty() || !self.keeps_in_store() {
            put.retain(|text| !recalled.texts.contains(text));
        }
        let change = SealedChange { put, drop };
        match &self.strategy {
            Strategy::Store(store) if !change.is_empty() => {
                let started = moment.elapsed();
                let SealedChange { put, drop } = change;
                let change = StoreChange { put, drop, now: moment.now_secs(), keep_for: self.keep_for() };
                store.apply(client, change).await?;
                report.took.remember = Some(moment.elapsed().saturating_sub(started));
                Ok(SealedChange::default())
            }
            _ => Ok(change),
        }
    }

    /// A grant as it is kept.
    fn text(&self, client: &ClientId, grant: &Grant) -> Option<String> {
        match &self.strategy {
            Strategy::Cookie(sealing) => sealing.keys.seal(client, grant),
            Strategy::Store(_) => row::write(grant),
            Strategy::Server | Strategy::Client => None,
        }
    }

    /// Whether a grant is small enough to be kept.
    fn has_room(&self, grant: &Grant) -> bool {
        grant.capability.patterns() <= MAX_PATTERNS
            && match &self.strategy {
                Strategy::Cookie(sealing) => sealing.keys.fits(grant, sealing.max_bytes),
                Strategy::Store(_) => is_sealable(grant),
                Strategy::Server | Strategy::Client => false,
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

/// Why there is no such issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// [`Strategy::Server`] asks what a client may do at all.
    #[error(
        "under strategy \"server\" the check has to say all that a client may do, which {check:?} can't: take another strategy, or another check"
    )]
    CannotAnswerEverything {
        /// Its name.
        check: &'static str,
    },
}

/// The moment a grant counts from: rounded down, so that tabs that renew together write the same grant, but
/// after `not_before`, or what was just permitted would count as revoked. Never further ahead of the clock than
/// verifying allows.
fn since(now: u64, not_before: Option<u64>) -> u64 {
    let rounded = now - now % ROUND_DOWN_TO;
    let first_valid = not_before.map_or(0, |moment| moment.saturating_add(1)).min(now.saturating_add(60));
    rounded.max(first_valid).max(1)
}

/// In one grant. Patterns are held against one another pair by pair, so a client must not have thousands.
const MAX_PATTERNS: usize = 256;
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
