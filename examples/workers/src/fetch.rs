//! What the service asks others with, on this platform: `fetch`.

use std::cell::RefCell;
use std::collections::HashMap;

use accrue::{HttpCall, HttpClient, HttpClientError};
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use js_sys::{Error, Promise, Uint8Array};
use serde_json::Value;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Headers, RequestCache, RequestInit, RequestRedirect};

use crate::body::{chunk, reader};
use crate::header_map;

/// Asks by `fetch`.
///
/// The service is made anew for each request, and with it what it knows of a key set. So what is the same for all is kept
/// for a minute, and beyond that while it can't be had.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fetch;

impl HttpClient for Fetch {
    async fn send(&self, call: HttpCall) -> Result<Response<Bytes>, HttpClientError> {
        if !call.same_for_all {
            return exchange(&call).await;
        }
        let url = call.request.uri().to_string();
        let now = crate::clock().as_secs();
        let kept = KEPT.with_borrow(|kept| kept.get(&url).cloned());
        if let Some(kept) = &kept
            && now.abs_diff(kept.tried) < PAUSE
        {
            return Ok(kept.answer.clone());
        }
        let answer = match (exchange(&call).await, kept) {
            (Ok(answer), _) if is_key_set(&answer) => answer,
            (_, Some(kept)) => kept.answer,
            (other, None) => return other,
        };
        KEPT.with_borrow_mut(|kept| kept.insert(url, Kept { answer: answer.clone(), tried: now }));
        Ok(answer)
    }
}

/// A page that says that there is maintenance must not take the place of keys that are good.
fn is_key_set(answer: &Response<Bytes>) -> bool {
    let body: Option<Value> = serde_json::from_slice(answer.body()).ok();
    answer.status() == StatusCode::OK && body.is_some_and(|body| body["keys"].is_array())
}

#[derive(Clone)]
struct Kept {
    answer: Response<Bytes>,
    /// Unix seconds.
    tried: u64,
}

thread_local! {
    /// By URL, of which the configuration has one.
    static KEPT: RefCell<HashMap<String, Kept>> = RefCell::default();
}

/// Seconds.
const PAUSE: u64 = 60;

async fn exchange(call: &HttpCall) -> Result<Response<Bytes>, HttpClientError> {
    // for the answer's last byte, too
    let signal = AbortSignal::timeout_with_u32(u32::try_from(call.timeout.as_millis()).unwrap_or(u32::MAX));
    match follow(&call.request, call.max_bytes, &signal).await {
        Err(Failure::Thrown(_)) if signal.aborted() => Err(HttpClientError::Timeout(call.timeout)),
        Err(Failure::Thrown(error)) => Err(HttpClientError::Failed(text(&error))),
        Err(Failure::Unwanted(error)) => Err(error),
        Ok(answer) => Ok(answer),
    }
}

enum Failure {
    Thrown(JsValue),
    Unwanted(HttpClientError),
}

impl From<JsValue> for Failure {
    fn from(error: JsValue) -> Self {
        Self::Thrown(error)
    }
}

async fn follow(
    request: &Request<Bytes>,
    max_bytes: usize,
    signal: &AbortSignal,
) -> Result<Response<Bytes>, Failure> {
    let init = RequestInit::new();
    init.set_method(request.method().as_str());
    init.set_headers(headers(request.headers())?.as_ref());
    init.set_redirect(RequestRedirect::Manual);
    // what is said of one caller must not be said of another, whatever a zone's rules have cached
    init.set_cache(RequestCache::NoStore);
    init.set_signal(Some(signal));
    if !request.body().is_empty() {
        init.set_body(&Uint8Array::from(&request.body()[..]));
    }
    let answer = JsFuture::from(fetch(&request.uri().to_string(), &init)).await?;
    let answer: web_sys::Response = answer.dyn_into()?;

    let mut whole = Response::new(Bytes::new());
    *whole.status_mut() =
        StatusCode::from_u16(answer.status()).map_err(|error| JsValue::from(error.to_string()))?;
    *whole.headers_mut() = header_map(&answer.headers())?;
    if whole.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Failure::Unwanted(HttpClientError::Encoded));
    }
    let mut bytes = BytesMut::new();
    if let Some(body) = answer.body() {
        let reader = reader(body);
        while let Some(chunk) = chunk(&JsFuture::from(reader.read()).await?) {
            if chunk.len() > max_bytes - bytes.len() {
                return Err(Failure::Unwanted(HttpClientError::TooLarge(max_bytes)));
            }
            bytes.extend_from_slice(&chunk);
        }
    }
    *whole.body_mut() = bytes.freeze();
    Ok(whole)
}

fn headers(map: &HeaderMap) -> Result<Headers, JsValue> {
    let headers = Headers::new()?;
    for (name, value) in map {
        let value = std::str::from_utf8(value.as_bytes()).map_err(|_| format!("{name} is not UTF-8"))?;
        headers.append(name.as_str(), value)?;
    }
    headers.set(ACCEPT_ENCODING.as_str(), "identity")?;
    headers.set(USER_AGENT.as_str(), concat!("accrue/", env!("CARGO_PKG_VERSION")))?;
    Ok(headers)
}

fn text(error: &JsValue) -> String {
    match error.dyn_ref::<Error>() {
        Some(error) => error.message().into(),
        None => "fetch failed".to_owned(),
    }
}

#[wasm_bindgen]
extern "C" {
    fn fetch(url: &str, init: &RequestInit) -> Promise;
}
