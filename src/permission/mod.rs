//! "May they?": the permission check, pluggable.

mod rules;
#[cfg(feature = "service")]
mod webhook;

pub use rules::{RuleError, Rules};
#[cfg(feature = "service")]
pub use webhook::{Webhook, WebhookSettings};

use crate::maybe_send::{BoxFuture, MaybeSend, MaybeSync};
use crate::proposal::{Decision, Question};

/// Answers what a client is permitted.
///
/// It is asked only about what is new or has aged, and can never widen: an answer is cut down to what was
/// asked. Being slow or away costs no client what it holds, if it says [`Decision::Unavailable`]; a check
/// that talks to a network should do so after a time of its own choosing.
///
/// The question is owned, so plain functions and closures are checks too:
///
/// ```
/// use accrue::{Asked, Capability, Decision, PermissionCheck, Question, Vocabulary};
///
/// fn accept(check: impl PermissionCheck) -> impl PermissionCheck {
///     check
/// }
///
/// async fn members_only(question: Question) -> Decision {
///     match question.asked {
///         Asked::These(asked) if question.client.id.as_str() == "alice" => Decision::Granted(asked),
///         _ => Decision::Granted(Capability::default()), // refused
///     }
/// }
///
/// accept(members_only);
/// accept(async |_question| Decision::Unavailable("the database is away".into()));
/// let everyone = Capability::parse(r#"{"lobby":["subscribe"]}"#, &Vocabulary::default())?;
/// accept(move |_question| {
///     let granted = everyone.clone();
///     async move { Decision::Granted(granted) }
/// });
/// # Ok::<(), accrue::CapabilityError>(())
/// ```
///
/// An `async move` closure that uses what it captured lends it to its future, which `Fn` can't express:
/// clone first and return an `async move` block, as the last one does.
pub trait PermissionCheck: MaybeSend + MaybeSync + 'static {
    /// Answers the question.
    fn check(&self, question: Question) -> impl Future<Output = Decision> + MaybeSend;

    /// What audit lines call this check.
    fn name(&self) -> &'static str {
        "custom"
    }

    /// Whether it can answer [`Asked::Everything`](crate::Asked::Everything), as it has to under
    /// [`Strategy::Server`](crate::Strategy::Server). It is taken for granted; one that can say only whether this or
    /// that is permitted says so here, and is refused there.
    fn answers_everything(&self) -> bool {
        true
    }
}

impl<F, A> PermissionCheck for F
where
    F: Fn(Question) -> A + MaybeSend + MaybeSync + 'static,
    A: Future<Output = Decision> + MaybeSend,
{
    fn check(&self, question: Question) -> impl Future<Output = Decision> + MaybeSend {
        self(question)
    }
}

/// Permits nothing: for applications in which all that anybody has is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPermissions;

impl PermissionCheck for NoPermissions {
    async fn check(&self, _: Question) -> Decision {
        Decision::Granted(crate::Capability::default())
    }

    fn name(&self) -> &'static str {
        "none"
    }
}

/// A check of any kind behind a pointer, so that what holds it needs no type parameter.
pub(crate) trait AnyCheck: MaybeSend + MaybeSync {
    fn check(&self, question: Question) -> BoxFuture<'_, Decision>;
    fn name(&self) -> &'static str;
}

impl<C: PermissionCheck> AnyCheck for C {
    fn check(&self, question: Question) -> BoxFuture<'_, Decision> {
        Box::pin(PermissionCheck::check(self, question))
    }

    fn name(&self) -> &'static str {
        PermissionCheck::name(self)
    }
}
