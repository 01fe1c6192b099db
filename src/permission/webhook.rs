use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use serde_json::{Value, json};

use super::PermissionCheck;
use crate::capability::{Capability, CapabilityError, EntryProblem, Vocabulary};
use crate::client::ClientId;
use crate::http_client::{AnyHttpClient, Endpoint, HttpCall, HttpClient, json_answer};
use crate::proposal::{Asked, Decision, Question};

/// Asks your backend.
///
/// It sends `POST` with `{"clientId", "claims", "asked", "held"}`, where `asked` is a capability, or `null` for all that
/// the client may do, and takes `200` with `{"granted": {..}}` or `{"barred": true}`. Whatever else comes, or nothing
/// within the time, means that the backend could not tell: it is not a refusal. Nothing of the caller's own request goes
/// along, and nothing is asked twice.
///
/// A backend that hangs costs no more than its slots: questions beyond `max_in_flight`, and beyond
/// `max_in_flight_per_client` of one client, are not asked.
#[derive(Clone)]
pub struct Webhook {
    settings: WebhookSettings,
    client: AnyHttpClient,
    in_flight: Arc<Mutex<InFlight>>,
}

/// Where a [`Webhook`] asks, and what it may cost.
#[derive(Clone)]
#[non_exhaustive]
pub struct WebhookSettings {
    /// Whom it asks.
    pub url: Endpoint,
    /// What it sends as `Authorization`, `Bearer` included.
    pub authorization: Option<HeaderValue>,
    /// For the whole answer. 2 seconds by default.
    pub timeout: Duration,
    /// Questions at once. 64 by default.
    pub max_in_flight: usize,
    /// Questions at once about one client. 4 by default.
    pub max_in_flight_per_client: usize,
    /// Which operations an answer may name.
    pub vocabulary: Vocabulary,
}

impl WebhookSettings {
    /// The usual ones for this URL, without a secret.
    pub fn new(url: Endpoint) -> Self {
        Self {
            url,
            authorization: None,
            timeout: Duration::from_secs(2),
            max_in_flight: 64,
            max_in_flight_per_client: 4,
            vocabulary: Vocabulary::default(),
        }
    }
}

/// Without the secret.
impl std::fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookSettings")
            .field("url", &self.url)
            .field("authorization", &self.authorization.is_some())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// Asks through this client.
    pub fn new(settings: WebhookSettings, client: impl HttpClient) -> Self {
        Self { settings, client: AnyHttpClient::new(client), in_flight: Arc::default() }
    }

    async fn ask(&self, question: &Question) -> Result<Decision, String> {
        let _slot = self.slot(&question.client.id).ok_or("too many questions in flight")?;
        let WebhookSettings { url, authorization, timeout, vocabulary, .. } = &self.settings;
        let body = json!({
            "clientId": question.client.id.as_str(),
            "claims": question.client.claims,
            "asked": match &question.asked {
                Asked::These(asked) => json!(asked),
                Asked::Everything => Value::Null,
            },
            "held": question.held,
        });
        let mut request = Request::post(url.uri())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Bytes::from(body.to_string())).map_err(|error| error.to_string())?;
        let answer = self.client.send(HttpCall::new(request, *timeout)).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("answered {}", answer.status()));
        }
        decision(answer.body(), vocabulary)
    }

    /// Room for one more question, until it is dropped.
    fn slot(&self, client: &ClientId) -> Option<Slot> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = in_flight.by_client.get(client).copied().unwrap_or_default();
        if in_flight.all >= self.settings.max_in_flight || of_client >= self.settings.max_in_flight_per_client
        {
            return None;
        }
        in_flight.all += 1;
        in_flight.by_client.insert(client.clone(), of_client + 1);
        Some(Slot { in_flight: Arc::clone(&self.in_flight), client: client.clone() })
    }
}

impl PermissionCheck for Webhook {
    async fn check(&self, question: Question) -> Decision {
        self.ask(&question).await.unwrap_or_else(|cause| Decision::Unavailable(format!("webhook: {cause}")))
    }

    fn name(&self) -> &'static str {
        "webhook"
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What an answer says. Texts of errors don't repeat it: they go into the log.
fn decision(body: &[u8], vocabulary: &Vocabulary) -> Result<Decision, String> {
    let answer = json_answer(body)?;
    match (answer.get("barred"), answer.get("granted")) {
        (Some(Value::Bool(true)), _) => Ok(Decision::Barred),
        (None | Some(Value::Bool(false)), Some(Value::Object(granted))) => {
            // what comes of filtering a list; it grants nothing
            let is_empty = |operations: &Value| operations.as_array().is_some_and(Vec::is_empty);
            let granted = granted.iter().filter(|(_, operations)| !is_empty(operations));
            let granted = granted.map(|(resource, operations)| (resource.clone(), operations.clone()));
            match Capability::from_json(&Value::Object(granted.collect()), vocabulary) {
                Ok(granted) => Ok(Decision::Granted(granted)),
                Err(error) => Err(format!("\"granted\" in the answer is no capability: {}", problem(error))),
            }
        }
        _ => Err("the answer is neither {\"granted\": {..}} nor {\"barred\": true}".to_owned()),
    }
}

/// Without the names that stand in it.
fn problem(error: CapabilityError) -> String {
    match error {
        CapabilityError::Entry { problem: EntryProblem::UnknownOperation { .. }, .. } => {
            "an operation is unknown, and not one of ably.extra_operations".to_owned()
        }
        CapabilityError::Entry { problem, .. } => problem.to_string(),
        error => error.to_string(),
    }
}

#[derive(Default)]
struct InFlight {
    all: usize,
    by_client: HashMap<ClientId, usize>,
}

struct Slot {
    in_flight: Arc<Mutex<InFlight>>,
    client: ClientId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        in_flight.all -= 1;
        if let Some(of_client) = in_flight.by_client.get_mut(&self.client) {
            *of_client -= 1;
            if *of_client == 0 {
                in_flight.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let granted = |text: &str| match decision(text.as_bytes(), &Vocabulary::default()) {
            Ok(Decision::Granted(granted)) => granted.to_string(),
            Ok(Decision::Barred) => "barred".to_owned(),
            Ok(Decision::Unavailable(cause)) | Err(cause) => cause,
        };
        for (answer, expected) in [
            (r#"{"granted":{"chat:1":["publish"]}}"#, r#"{"chat:1":["publish"]}"#),
            (r#"{"granted":{}}"#, "{}"),
            (r#"{"granted":{"chat:1":[],"chat:2":["publish"]}}"#, r#"{"chat:2":["publish"]}"#),
            (r#"{"granted":{},"barred":false,"note":"more members do no harm"}"#, "{}"),
            (r#"{"barred":true}"#, "barred"),
            (r#"{"granted":{"chat:1":["publish"]},"barred":true}"#, "barred"),
        ] {
            assert_eq!(granted(answer), expected, "{answer}");
        }
        for (answer, complaint) in [
            ("", "not JSON"),
            ("<html>", "not JSON"),
            (r#"{"granted":{"a":["publish"],"a":["*"]}}"#, "not JSON"),
            ("[]", "neither"),
            ("null", "neither"),
            ("{}", "neither"),
            (r#"{"granted":null}"#, "neither"),
            (r#"{"granted":true}"#, "neither"),
            (r#"{"granted":["chat:1"]}"#, "neither"),
            (r#"{"granted":"{}"}"#, "neither"),
            (r#"{"barred":"yes","granted":{}}"#, "neither"),
            (r#"{"barred":null,"granted":{}}"#, "neither"),
            (r#"{"granted":{"chat:1":["fly"]}}"#, "an operation is unknown"),
            (r#"{"granted":{"chat:1":"publish"}}"#, "no capability"),
            (r#"{"granted":{"chat:1":true}}"#, "no capability"),
        ] {
            let cause = granted(answer);
            assert!(cause.contains(complaint), "{answer}: {cause}");
            assert!(!cause.contains("fly") && !cause.contains("chat:1"), "{answer}: {cause}");
        }
    }
}
