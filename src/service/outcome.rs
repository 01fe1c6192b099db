use std::time::Duration;

use super::carrier::Carried;
use crate::client::ClientId;
use crate::issuer::Report;

/// What became of a request. The service puts one into every response's extensions; whoever wants logs and
/// counters reads it there, and it never leaves the server.
///
/// It holds no secret, cookie, mac, token or credential.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// In one word.
    pub kind: OutcomeKind,
    /// The request's name, as in `X-Request-Id`.
    pub request_id: String,
    /// Its method.
    pub method: http::Method,
    /// Which of the routes it took; empty if there is none.
    pub route: &'static str,
    /// Ably's code, if the answer is an error.
    pub code: Option<u32>,
    /// Who asked, once authenticated.
    pub client: Option<ClientId>,
    /// Why it went wrong, for whoever operates the service.
    pub cause: Option<String>,
    /// What whoever operates the service should do about it.
    pub advice: Option<String>,
    /// What was permitted, by which check, and which grants verified.
    pub report: Report,
    /// What the client carries now, where it is known.
    pub carried: Option<Carried>,
    /// How long it took to find out who calls, if that was asked; see
    /// [`Moment::with_stopwatch`](crate::Moment::with_stopwatch).
    pub authenticating: Option<Duration>,
}

/// An [`Outcome`] in one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutcomeKind {
    /// A token for all that was wished for.
    Granted,
    /// A token, but not every wish was met.
    Partial,
    /// Nothing could be granted.
    Refused,
    /// The client may not be here.
    Barred,
    /// Something that is needed did not answer, or there was too much to do.
    Unavailable,
    /// Not authenticated, or as somebody else.
    Unauthenticated,
    /// Not understood, or not for this server.
    Malformed,
    /// A page on an origin that is not listed.
    Foreign,
    /// Grants were given up.
    GivenUp,
    /// Anything that is not about tokens: health, preflights, a page.
    #[default]
    Other,
}

impl OutcomeKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Granted,
        Self::Partial,
        Self::Refused,
        Self::Barred,
        Self::Unavailable,
        Self::Unauthenticated,
        Self::Malformed,
        Self::Foreign,
        Self::GivenUp,
        Self::Other,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Barred => "barred",
            Self::Unavailable => "unavailable",
            Self::Unauthenticated => "unauthenticated",
            Self::Malformed => "malformed",
            Self::Foreign => "foreign",
            Self::GivenUp => "given-up",
            Self::Other => "other",
        }
    }
}
