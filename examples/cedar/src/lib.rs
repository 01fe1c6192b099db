//! Cedar policies as accrue's permission check. Try it with `cargo test` in this folder.
//!
//! `chat.cedar` says who may do what in a chat whose rooms are the channels `chat:ROOM`, `chat.cedarschema` what
//! there is to say it about. `people.json` stands for your database: out of a real one, `check` would load what the
//! question is about.
//!
//! ```
//! use accrue::ably::ApiKey;
//! use accrue::{Issuer, Strategy};
//! use accrue_cedar::CedarCheck;
//!
//! let check = CedarCheck::new(
//!     include_str!("../chat.cedarschema"),
//!     include_str!("../chat.cedar"),
//!     include_str!("../people.json"),
//! )?;
//! let issuer = Issuer::new(ApiKey::parse("app.key:an-ably-secret")?, Strategy::Client, check)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::error::Error;

use accrue::{Asked, Decision, PermissionCheck, Question, Resource};
use cedar_policy::{
    Authorizer, Context, Decision as Effect, Entities, EntityId, EntityUid, PolicySet, Request, Schema,
    ValidationMode, Validator,
};

/// Policies, and the people and rooms they are about.
#[derive(Debug)]
pub struct CedarCheck {
    schema: Schema,
    policies: PolicySet,
    entities: Entities,
}

impl CedarCheck {
    /// Reads a schema, policies and entities.
    ///
    /// # Errors
    /// One of them is malformed, or does not fit the schema. So is a policy that can never apply: it is a slip
    /// of the pen, and might have been meant to forbid.
    pub fn new(schema: &str, policies: &str, entities: &str) -> Result<Self, Box<dyn Error>> {
        let schema: Schema = schema.parse()?;
        let policies: PolicySet = policies.parse()?;
        let entities = Entities::from_json_str(entities, Some(&schema))?;
        let validation = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if !validation.validation_passed_without_warnings() {
            return Err(validation.into());
        }
        Ok(Self { schema, policies, entities })
    }

    fn ask(&self, principal: &EntityUid, operation: &str, resource: &EntityUid) -> Verdict {
        let action = uid("Action", operation);
        let (principal, resource) = (principal.clone(), resource.clone());
        let request = match Request::new(principal, action, resource, Context::empty(), Some(&self.schema)) {
            Ok(request) => request,
            Err(error) => return Verdict::Unclear(error.to_string()),
        };
        let response = Authorizer::new().is_authorized(&request, &self.policies, &self.entities);
        let diagnostics = response.diagnostics();
        if diagnostics.reason().any(|policy| self.policies.annotation(policy, "barred").is_some()) {
            return Verdict::Barred;
        }
        // Cedar goes on without a policy that it can't evaluate, even if that one would have forbidden
        match (diagnostics.errors().next(), response.decision()) {
            (Some(error), _) => Verdict::Unclear(error.to_string()),
            (None, Effect::Allow) => Verdict::Permitted,
            (None, Effect::Deny) => Verdict::Denied,
        }
    }
}

enum Verdict {
    Permitted,
    Denied,
    Barred,
    Unclear(String),
}

impl PermissionCheck for CedarCheck {
    async fn check(&self, question: Question) -> Decision {
        let Asked::These(asked) = question.asked else {
            return Decision::Unavailable("Cedar answers yes or no, it can't list everything".into());
        };
        let principal = uid("User", question.client.id.as_str());
        let mut granted = Vec::new();
        for (resource, operations) in asked.iter() {
            let entity = entity(resource);
            // `*` is an operation of its own here: what permits each of a list does not permit `*`
            for (name, operation) in operations.each() {
                match self.ask(&principal, name, &entity) {
                    Verdict::Permitted => granted.push((resource, operation)),
                    Verdict::Denied => {}
                    Verdict::Barred => return Decision::Barred,
                    // not `Unavailable`: stale grants count while a check is that, so a client that finds a
                    // wish which can't be evaluated could keep what was withdrawn from it
                    Verdict::Unclear(error) => eprintln!("denied: {name} on {resource:?}: {error}"),
                }
            }
        }
        Decision::Granted(granted.into_iter().collect())
    }

    fn name(&self) -> &'static str {
        "cedar"
    }

    /// Policies can be asked about this or that only.
    fn answers_everything(&self) -> bool {
        false
    }
}

/// What policies see of a resource. They get no name to match: `like "chat:*"` would take `chat:7:secret`
/// for a room, because Cedar's `*` does not stop at `:`.
fn entity(resource: Resource<'_>) -> EntityUid {
    let text = resource.as_str();
    let name = text.strip_prefix("[meta]").or(text.strip_prefix("[queue]")).unwrap_or(text);
    let is_pattern = text.starts_with("[*]") || name.split(':').any(|segment| segment == "*");
    match text.split(':').collect::<Vec<_>>()[..] {
        _ if is_pattern => uid("Pattern", text),
        ["chat", room] if !room.is_empty() => uid("Room", room),
        _ => uid("Other", text),
    }
}

/// Made from values: no quote in an id ends anything.
fn uid(type_name: &str, id: &str) -> EntityUid {
    let type_name = type_name.parse().expect("an identifier");
    EntityUid::from_type_name_and_id(type_name, EntityId::new(id))
}
