//! The same endpoint as somebody would write it with axum: a signed cookie keeps what a client was granted.
//!
//! It listens on 127.0.0.1:$PORT.
#![expect(
    clippy::disallowed_methods,
    reason = "accrue takes environment and clock as arguments, this just reads them"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{FromRef, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use axum_extra::extract::cookie::{Cookie, Key, SameSite, SignedCookieJar};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use rand::distr::{Alphanumeric, SampleString as _};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;

const COOKIE: &str = "__Host-granted";
const COOKIE_LIFE: time::Duration = time::Duration::hours(16);
const TTL_MS: u64 = 60 * 60 * 1000;

type Capability = BTreeMap<String, BTreeSet<String>>;

#[derive(Clone)]
struct App(Arc<Settings>);

struct Settings {
    key_name: String,
    key: Hmac<Sha256>,
    proxy_secret: String,
    cookies: Key,
}

impl FromRef<App> for Key {
    fn from_ref(app: &App) -> Self {
        app.0.cookies.clone()
    }
}

#[derive(Deserialize)]
struct Parameters {
    capability: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenRequest<'a> {
    key_name: &'a str,
    ttl: u64,
    capability: &'a str,
    client_id: &'a str,
    timestamp: u128,
    nonce: String,
    mac: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (ably_key, cookie_secret) = (env::var("ABLY_API_KEY")?, env::var("COOKIE_SECRET")?);
    let (key_name, secret) = ably_key.split_once(':').ok_or("ABLY_API_KEY is no key")?;
    let app = App(Arc::new(Settings {
        key_name: key_name.to_owned(),
        key: Hmac::new_from_slice(secret.as_bytes())?,
        proxy_secret: env::var("PROXY_SECRET")?,
        cookies: Key::try_from(cookie_secret.as_bytes())?,
    }));
    let listener = TcpListener::bind(("127.0.0.1", env::var("PORT")?.parse()?)).await?;
    axum::serve(listener, Router::new().route("/auth", get(auth)).with_state(app)).await?;
    Ok(())
}

async fn auth(
    State(App(settings)): State<App>,
    headers: HeaderMap,
    Query(parameters): Query<Parameters>,
    jar: SignedCookieJar,
) -> Result<impl IntoResponse, Response> {
    let client_id = settings
        .authenticate(&headers)
        .ok_or_else(|| refusal(StatusCode::UNAUTHORIZED, 40100, "not authenticated"))?;
    let mut capability =
        jar.get(COOKIE).and_then(|cookie| held(cookie.value(), client_id)).unwrap_or_default();
    if let Some(wish) = parameters.capability {
        let wish: Capability = serde_json::from_str(&wish)
            .map_err(|_| refusal(StatusCode::BAD_REQUEST, 40000, "capability is malformed"))?;
        for (resource, operations) in wish {
            let granted = permitted(&resource, operations);
            if !granted.is_empty() {
                capability.entry(resource).or_default().extend(granted);
            }
        }
    }
    if capability.is_empty() {
        return Err(refusal(StatusCode::UNAUTHORIZED, 40160, "nothing is permitted"));
    }

    let capability = serde_json::to_string(&capability).map_err(unexpected)?;
    let cookie = Cookie::build((COOKIE, format!("{client_id}:{capability}")))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Strict)
        .max_age(COOKIE_LIFE);
    // here, as it borrows, and an answer can't
    let token = Json(settings.token_request(client_id, &capability).map_err(unexpected)?).into_response();
    Ok((jar.add(cookie), [(CACHE_CONTROL, "no-store")], token))
}

impl Settings {
    fn authenticate<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let proxy_secret = headers.get("x-proxy-secret")?.as_bytes();
        let is_proxy = bool::from(proxy_secret.ct_eq(self.proxy_secret.as_bytes()));
        headers.get("x-client-id").filter(|_| is_proxy)?.to_str().ok()
    }

    fn token_request<'a>(
        &'a self,
        client_id: &'a str,
        capability: &'a str,
    ) -> Result<TokenRequest<'a>, Box<dyn Error>> {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let nonce = Alphanumeric.sample_string(&mut rand::rng(), 24);
        let text = format!("{}\n{TTL_MS}\n{capability}\n{client_id}\n{timestamp}\n{nonce}\n", self.key_name);
        let mac = self.key.clone().chain_update(text).finalize().into_bytes();
        Ok(TokenRequest {
            key_name: &self.key_name,
            ttl: TTL_MS,
            capability,
            client_id,
            timestamp,
            nonce,
            mac: BASE64_STANDARD.encode(mac),
        })
    }
}

/// A cookie is worth nothing to another client.
fn held(cookie: &str, client_id: &str) -> Option<Capability> {
    serde_json::from_str(cookie.strip_prefix(client_id)?.strip_prefix(':')?).ok()
}

/// `"chat:*" = ["subscribe", "publish"]`
fn permitted(resource: &str, operations: BTreeSet<String>) -> BTreeSet<String> {
    match resource.strip_prefix("chat:") {
        Some(name) if !name.is_empty() => {
            operations.into_iter().filter(|one| matches!(one.as_str(), "subscribe" | "publish")).collect()
        }
        _ => BTreeSet::new(),
    }
}

fn refusal(status: StatusCode, code: u32, message: &str) -> Response {
    let error = json!({ "code": code, "statusCode": status.as_u16(), "message": message });
    (status, Json(json!({ "error": error }))).into_response()
}

fn unexpected(_: impl Into<Box<dyn Error>>) -> Response {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, 50000, "internal error")
}
