use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::ably::{Token, Ttl};
use crate::capability::Capability;
use crate::client::Client;
use crate::grant::Unreadable;
use crate::proposal::{Refused, Signable};

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
    /// The check did not answer, and there was nothing to fall back on; or the store did not.
    Unavailable,
}

/// What changes in what a client keeps: sealed grants to keep, and texts that it presented to drop.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SealedChange {
    /// To keep. None of these is among the texts presented that were looked at.
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
    /// What did not answer, if something didn't, and why.
    pub cause: Option<String>,
    /// For each text presented, repeats left out, in order and as far as they were looked at: the kid of the secret that it was
    /// sealed with, or why it does not count.
    pub grants: Vec<Result<Arc<str>, Unreadable>>,
    /// How long things took.
    pub took: Took,
}

/// How long the parts of the flow took that may wait for others; zero without a [stopwatch](crate::Moment::with_stopwatch).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Took {
    /// Reading what is held.
    pub recall: Option<Duration>,
    /// The permission check, if it was asked.
    pub check: Option<Duration>,
    /// Writing what is held from now on, if that changed and is kept here.
    pub remember: Option<Duration>,
}

impl Refusal {
    pub(super) fn unavailable(cause: impl ToString, wishes: &Capability, mut report: Report) -> Self {
        report.note(cause);
        Self {
            reason: RefusalReason::Unavailable,
            change: SealedChange::default(),
            refused: Refused { unavailable: wishes.clone(), ..Refused::default() },
            report,
        }
    }
}

impl Report {
    pub(super) fn note(&mut self, cause: impl ToString) {
        let cause = cause.to_string();
        self.cause = Some(match self.cause.take() {
            Some(earlier) => format!("{earlier}; {cause}"),
            None => cause,
        });
    }
}
