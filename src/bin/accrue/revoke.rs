use std::process::ExitCode;
use std::time::Duration;

use accrue::{ClientId, Endpoint, HttpCall, HttpClient, HttpsClient};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use serde_json::{Value, json};

use crate::process;

pub(crate) fn revoke(client_id: Option<&str>, admin: &str) -> Result<ExitCode, String> {
    let admin = Endpoint::parse(admin).map_err(|error| format!("--admin: {error}"))?;
    let whom = match client_id {
        Some(id) => {
            ClientId::try_from(id).map_err(|error| error.to_string())?;
            json!({ "clientId": id })
        }
        None => json!({ "everybody": true }),
    };
    let url = format!("{}/revoke", admin.to_string().trim_end_matches('/'));
    let mut request = Request::post(url)
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(whom.to_string()))
        .map_err(|error| format!("--admin: {error}"))?;
    if let Some(token) = process::secret("ACCRUE_ADMIN_TOKEN")? {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| "ACCRUE_ADMIN_TOKEN can't be sent in a header")?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("can't start: {error}"))?;
    let call = HttpCall::new(request, TIMEOUT);
    let answer = runtime.block_on(async { HttpsClient::new().send(call).await });
    let answer = answer.map_err(|error| {
        format!("{admin}: {error}; is the service running, with admin set to that address?")
    })?;

    let status = answer.status().as_u16();
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    if let Some(message) = body["error"]["message"].as_str() {
        return Err(format!("{admin} answered {status}: {message}"));
    }
    if !body["mark"].is_object() || !body["ably"].is_object() {
        return Err(format!(
            "{admin} answered {status} with something that is not understood: is that accrue's admin listener?"
        ));
    }
    process::print(&format!("{}{}", line("mark", &body["mark"]), line("ably", &body["ably"])))?;
    match status {
        200 => Ok(ExitCode::SUCCESS),
        501 => Err(match client_id {
            Some(_) => "nothing can be revoked: configure [store], or ably.revocable, or both".to_owned(),
            None => "nothing can be revoked of everybody's: configure [store]".to_owned(),
        }),
        _ => Ok(ExitCode::from(1)),
    }
}

fn line(name: &str, half: &Value) -> String {
    let status = half["status"].as_str().unwrap_or_default();
    let detail = match (&half["notBefore"], &half["appliesAt"], &half["message"]) {
        (Value::Number(time), _, _) => {
            format!(": what was permitted up to {time} (Unix seconds) is checked again")
        }
        (_, Value::Number(time), _) => {
            format!(
                ": tokens are refused from {time} (Unix milliseconds) on; the service does it again in 125 s"
            )
        }
        (_, _, Value::String(message)) => format!(": {message}"),
        _ => String::new(),
    };
    format!("{name}  {status}{detail}\n")
}

/// Longer than the service waits for Ably.
const TIMEOUT: Duration = Duration::from_secs(20);
