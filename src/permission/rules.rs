use std::fmt;

use serde_json::Value;

use super::PermissionCheck;
use crate::capability::{Capability, CapabilityError, Operations, Resource, ResourceError, Vocabulary};
use crate::client::Client;
use crate::proposal::{Asked, Decision, Question};

/// A table of what clients may do, in Ably's own shape: `"team:{claims.team}:*" = ["*"]`.
///
/// `{clientId}` and `{claims.NAME}` each stand for exactly one segment, and match nothing where their value is
/// empty, is not a text, contains `*` or `:`, or starts with `[`: nobody widens a rule by the name they
/// chose. A pattern is permitted only by a rule that contains it, `*` only by `*`.
///
/// ```
/// use accrue::{Client, ClientId, Rules, Vocabulary};
///
/// let mut rules = Rules::default();
/// rules.add("inbox:{clientId}", &["subscribe"], &Vocabulary::default())?;
///
/// let alice = Client::new(ClientId::try_from("alice")?);
/// assert_eq!(rules.filled_in(&alice).to_string(), r#"{"inbox:alice":["subscribe"]}"#);
/// let tricky = Client::new(ClientId::try_from("a:b")?);
/// assert!(rules.filled_in(&tricky).is_empty());
/// assert!(rules.add("inbox-{clientId}", &["subscribe"], &Vocabulary::default()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Those of them without placeholders, which are the same for every client.
    fixed: Capability,
}

#[derive(Debug, Clone)]
struct Rule {
    template: Template,
    operations: Operations,
}

/// A resource with placeholders: its qualifier, then its segments.
#[derive(Debug, Clone)]
struct Template {
    qualifier: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    ClientId,
    Claim(String),
}

impl Rules {
    /// Adds a rule: a resource that may hold placeholders, and operations.
    ///
    /// # Errors
    /// [`RuleError`] says what is wrong.
    pub fn add(
        &mut self,
        resource: &str,
        operations: &[&str],
        vocabulary: &Vocabulary,
    ) -> Result<(), RuleError> {
        let template = Template::parse(resource)?;
        // with "x" in the place of every value, what is left to check is what the operator wrote
        let sample = template.fill(|_| Some("x")).ok_or(RuleError::Placeholder)?;
        Resource::parse(&sample)?;
        let checked = Capability::from_json(&serde_json::json!({ sample: operations }), vocabulary)?;
        if !template.has_placeholders() {
            self.fixed = self.fixed.union(&checked);
        }
        for (_, operations) in checked.iter() {
            self.rules.push(Rule { template: template.clone(), operations: operations.clone() });
        }
        Ok(())
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The resources, as they were written, of rules about a kind of resource (metachannels, say) with which a key of
    /// this capability can do nothing that they permit. They are without effect.
    pub fn beyond(&self, ceiling: &Capability) -> Vec<String> {
        let entry = |rule: &Rule| {
            let text = format!("{}*", rule.template.qualifier);
            Some(Capability::from_iter([(Resource::parse(&text).ok()?, rule.operations.clone())]))
        };
        let is_beyond = |rule: &&Rule| entry(rule).is_some_and(|entry| entry.intersect(ceiling).is_empty());
        self.rules.iter().filter(is_beyond).map(|rule| rule.template.to_string()).collect()
    }

    /// The whole table as it stands for one client.
    pub fn filled_in(&self, client: &Client) -> Capability {
        let filled: Vec<(String, &Operations)> = self
            .rules
            .iter()
            .filter(|rule| rule.template.has_placeholders())
            .filter_map(|rule| {
                Some((rule.template.fill(|segment| value(client, segment))?, &rule.operations))
            })
            .collect();
        let filled = filled
            .iter()
            .filter_map(|(text, operations)| Some((Resource::parse(text).ok()?, (*operations).clone())));
        self.fixed.union(&filled.collect())
    }
}

impl PermissionCheck for Rules {
    async fn check(&self, question: Question) -> Decision {
        let table = self.filled_in(&question.client);
        Decision::Granted(match question.asked {
            Asked::Everything => table,
            Asked::These(asked) => asked.permitted_by(&table),
        })
    }

    fn name(&self) -> &'static str {
        "rules"
    }
}

fn value<'a>(client: &'a Client, segment: &Segment) -> Option<&'a str> {
    match segment {
        Segment::Literal(_) => None,
        Segment::ClientId => Some(client.id.as_str()),
        Segment::Claim(name) => client.claims.get(name).and_then(Value::as_str),
    }
}

impl Template {
    fn parse(text: &str) -> Result<Self, RuleError> {
        let name_at = match text.strip_prefix('[') {
            Some(_) => text.find(']').map_or(0, |end| end + 1),
            None => 0,
        };
        let (qualifier, mut rest) = text.split_at(name_at);
        let mut segments = Vec::new();
        loop {
            // a claim's name may hold colons, so a placeholder ends at its brace
            let (segment, after) = match rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                Some((inner, after)) => (Segment::placeholder(inner)?, after),
                None => {
                    let end = rest.find(':').unwrap_or(rest.len());
                    (Segment::literal(&rest[..end])?, &rest[end..])
                }
            };
            segments.push(segment);
            rest = match after.strip_prefix(':') {
                Some(next) => next,
                None if after.is_empty() => break,
                None => return Err(RuleError::Placeholder),
            };
        }
        Ok(Self { qualifier: qualifier.to_owned(), segments })
    }

    fn has_placeholders(&self) -> bool {
        self.segments.iter().any(|segment| !matches!(segment, Segment::Literal(_)))
    }

    /// The resource, unless a placeholder's value is missing or could mean more than one plain segment.
    fn fill<'a>(&'a self, value: impl Fn(&Segment) -> Option<&'a str>) -> Option<String> {
        let segments: Option<Vec<&str>> = self
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => Some(text.as_str()),
                placeholder => value(placeholder).filter(|value| is_one_plain_segment(value)),
            })
            .collect();
        Some(format!("{}{}", self.qualifier, segments?.join(":")))
    }
}

fn is_one_plain_segment(value: &str) -> bool {
    !value.is_empty() && !value.contains(['*', ':']) && !value.starts_with('[')
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.qualifier)?;
        for (at, segment) in self.segments.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            match segment {
                Segment::Literal(text) => write!(f, "{colon}{text}")?,
                Segment::ClientId => write!(f, "{colon}{{clientId}}")?,
                Segment::Claim(name) => write!(f, "{colon}{{claims.{name}}}")?,
            }
        }
        Ok(())
    }
}

impl Segment {
    fn placeholder(inner: &str) -> Result<Self, RuleError> {
        match (inner, inner.strip_prefix("claims.")) {
            ("clientId", _) => Ok(Self::ClientId),
            (_, Some(name)) if !name.is_empty() => Ok(Self::Claim(name.to_owned())),
            _ => Err(RuleError::Placeholder),
        }
    }

    fn literal(text: &str) -> Result<Self, RuleError> {
        if text.contains(['{', '}']) {
            return Err(RuleError::Placeholder);
        }
        Ok(Self::Literal(text.to_owned()))
    }
}

/// Why a rule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// A brace that does not belong to a placeholder that is a whole segment.
    #[error("the placeholders are {{clientId}} and {{claims.NAME}}, each a whole segment between colons")]
    Placeholder,
    /// The resource is malformed.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// The operations are malformed.
    #[error(transparent)]
    Operations(#[from] CapabilityError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientId;

    fn rules(table: &[(&str, &[&str])]) -> Rules {
        let mut rules = Rules::default();
        for (resource, operations) in table {
            rules.add(resource, operations, &Vocabulary::default()).unwrap();
        }
        rules
    }

    fn client(id: &str, claims: Value) -> Client {
        let mut client = Client::new(ClientId::try_from(id).unwrap());
        client.claims = claims.as_object().unwrap().clone();
        client
    }

    #[test]
    fn placeholders() {
        let rules = rules(&[
            ("[meta]{clientId}:x", &["subscribe"]),
            ("team:{claims.team}:*", &["*"]),
            ("{claims.https://id.example.com/org}:news", &["history"]),
        ]);
        let filled = |id, claims| rules.filled_in(&client(id, claims)).to_string();
        let json = |text: &str| serde_json::from_str(text).unwrap();

        assert_eq!(
            filled("zoë", json(r#"{"team":"blue","https://id.example.com/org":"acme"}"#)),
            r#"{"[meta]zoë:x":["subscribe"],"acme:news":["history"],"team:blue:*":["*"]}"#
        );
        let only_mine = r#"{"[meta]a:x":["subscribe"]}"#;
        for claims in [
            "{}",
            r#"{"team":""}"#,
            r#"{"team":"*"}"#,
            r#"{"team":"a*"}"#,
            r#"{"team":"a:b"}"#,
            r#"{"team":"[meta]a"}"#,
            r#"{"team":7}"#,
            r#"{"team":["blue"]}"#,
            r#"{"team":null}"#,
            "{\"team\":\"a\\nb\"}",
            r#"{"https://id.example.com/org":",a"}"#,
            r#"{"https://id.example.com/org":" a"}"#,
            r#"{"https://id.example.com/org":"[*]a"}"#,
        ] {
            assert_eq!(filled("a", json(claims)), only_mine, "{claims}");
        }
        assert_eq!(filled("a:b", json("{}")), "{}");
    }

    #[test]
    fn malformed_rules() {
        let add = |resource: &str, operations: &[&str]| {
            Rules::default().add(resource, operations, &Vocabulary::default())
        };
        for resource in
            ["inbox-{clientId}", "{clientId}-x", "{client}", "{claims.}", "{}", "a{b", "a:}b", "{clientId"]
        {
            assert_eq!(add(resource, &["*"]), Err(RuleError::Placeholder), "{resource}");
        }
        assert_eq!(add("", &["*"]), Err(RuleError::Resource(ResourceError::Empty)));
        assert_eq!(add(":a", &["*"]), Err(RuleError::Resource(ResourceError::Start)));
        assert_eq!(add("[x]a", &["*"]), Err(RuleError::Resource(ResourceError::Qualifier)));
        assert!(matches!(add("a", &[]), Err(RuleError::Operations(_))));
        assert!(matches!(add("a", &["teleport"]), Err(RuleError::Operations(_))));
        assert!(matches!(add("a", &["*", "publish"]), Err(RuleError::Operations(_))));
    }

    #[test]
    fn beyond_a_key() {
        let rules =
            rules(&[("[meta]{clientId}:x", &["*"]), ("a:{claims.b}:*", &["stats"]), ("c", &["publish"])]);
        let beyond = |key: &str| rules.beyond(&Capability::parse(key, &Vocabulary::default()).unwrap());
        assert_eq!(beyond(r#"{"*":["*"]}"#), ["[meta]{clientId}:x"]);
        assert_eq!(beyond(r#"{"[*]*":["publish"]}"#), ["a:{claims.b}:*"]);
        assert_eq!(beyond(r#"{"a:1:c":["stats"]}"#), ["[meta]{clientId}:x", "c"]);
    }

    #[test]
    fn answers() {
        let rules =
            rules(&[("chat:1", &["publish", "subscribe"]), ("chat:2", &["*"]), ("news:*", &["subscribe"])]);
        let ask = |asked: &str| {
            let asked = Asked::These(Capability::parse(asked, &Vocabulary::default()).unwrap());
            let alice = client("alice", serde_json::json!({}));
            let question = Question::new(alice, asked, Capability::default());
            let Decision::Granted(granted) = futures_now(PermissionCheck::check(&rules, question)) else {
                panic!("rules always answer");
            };
            granted.to_string()
        };
        assert_eq!(ask(r#"{"chat:1":["publish","history"]}"#), r#"{"chat:1":["publish"]}"#);
        assert_eq!(ask(r#"{"chat:*":["publish"]}"#), "{}");
        assert_eq!(ask(r#"{"chat:1":["*"]}"#), "{}");
        assert_eq!(
            ask(r#"{"news:*":["subscribe"],"news:a:*":["subscribe"],"*":["subscribe"]}"#),
            r#"{"news:*":["subscribe"],"news:a:*":["subscribe"]}"#
        );
    }

    /// Rules never wait, so one poll is enough.
    fn futures_now<T>(future: impl Future<Output = T>) -> T {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => unreachable!(),
        }
    }
}
