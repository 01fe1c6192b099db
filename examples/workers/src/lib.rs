//! accrue as a Cloudflare Worker: the service that the binary serves, with `fetch`, `Date` and Web Crypto around it.
//!
//! `worker.mjs` calls [`answer`] for each request.

mod bindings;
mod body;
mod fetch;
mod log;

use std::time::Duration;

use accrue::ably::ErrorInfo;
use accrue::{AuthService, Config, Moment, Outcome};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use js_sys::{Array, Object, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{Headers, ResponseInit};

use bindings::Bindings;
use body::RequestBody;
use fetch::Fetch;

/// Answers one request. `config` is the text of `accrue.toml`, `env` has the bindings: secrets, and whatever else an
/// environment variable may set.
///
/// # Errors
/// If the platform refuses what every platform takes.
#[wasm_bindgen]
pub async fn answer(
    request: web_sys::Request,
    env: Object,
    config: String,
) -> Result<web_sys::Response, JsValue> {
    let started = clock();
    let mut response = match assemble(&config, &Bindings::new(env)) {
        Ok((service, body_timeout)) => match incoming(&request, body_timeout)? {
            Some(request) => whole(service.handle(request).await).await,
            None => failure(StatusCode::BAD_REQUEST, 40000, "the address is not one that HTTP has"),
        },
        Err(problems) => {
            log::misconfigured(&problems);
            let message = format!("this Worker is not configured: {}", problems.join("; "));
            failure(StatusCode::INTERNAL_SERVER_ERROR, 50000, &message)
        }
    };
    if let Some(outcome) = response.extensions_mut().remove::<Outcome>() {
        log::record(&outcome, response.status(), clock().saturating_sub(started));
    }
    outgoing(response)
}

/// The service, and how long a body may take; or what is wrong with the configuration.
///
/// It is made anew for each request. What one request waits for ends with it, here as nowhere else: had they a service in
/// common, a request could wait forever for keys that another had begun to fetch when its client went away.
fn assemble(config: &str, env: &Bindings) -> Result<(AuthService, Duration), Vec<String>> {
    let told =
        |error: accrue::ConfigError| error.problems().iter().map(ToString::to_string).collect::<Vec<_>>();
    let names = env.names();
    let notes = Config::check_variables(names.iter().map(String::as_str)).map_err(told)?;
    log::notes(&notes);
    let config = Config::parse("accrue.toml", config, env, &[]).map_err(told)?;
    if config.store().is_some() {
        return Err(vec!["store: a Worker keeps nothing and reaches neither redb nor Redis; leave [store] out, and have strategy \"cookie\", \"client\" or \"server\"".to_owned()]);
    }
    if config.admin().is_some() {
        return Err(vec!["admin: a Worker has no second listener; leave it out".to_owned()]);
    }
    let body_timeout = config.limits().body_timeout;
    let assembled = config.assemble(Fetch, String::new, now).map_err(|error| vec![error.to_string()])?;
    Ok((assembled.service, body_timeout))
}

/// What the service takes for what the Worker was given; nothing if it has an address that HTTP does not have.
fn incoming(
    request: &web_sys::Request,
    body_timeout: Duration,
) -> Result<Option<Request<RequestBody>>, JsValue> {
    // without scheme and host: `Host` says who was meant, to the letter
    let url = request.url();
    let target = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    let uri = target.and_then(|target| target.parse::<Uri>().ok());
    let (Some(uri), Ok(method)) = (uri, request.method().parse::<Method>()) else { return Ok(None) };
    let mut read = Request::new(RequestBody::new(request.body(), body_timeout));
    *read.uri_mut() = uri;
    *read.method_mut() = method;
    *read.headers_mut() = header_map(&request.headers())?;
    Ok(Some(read))
}

/// Headers of which JavaScript has each name once, with all its values in one text, joined by ", ".
fn header_map(headers: &Headers) -> Result<HeaderMap, JsValue> {
    let mut map = HeaderMap::new();
    for entry in headers.entries() {
        let entry = Array::from(&entry?);
        let (Some(name), Some(joined)) = (entry.get(0).as_string(), entry.get(1).as_string()) else {
            continue;
        };
        let Ok(name) = HeaderName::try_from(name) else { continue };
        // taken apart, or two values could pass for one where only one is believed; credentials can hold a comma, and
        // two of them are good for nothing anyway
        let values = if name == AUTHORIZATION { vec![joined.as_str()] } else { joined.split(", ").collect() };
        for value in values {
            // what was not UTF-8 has been replaced, so two different texts could have become one; it is none again
            let bytes = value.split(char::REPLACEMENT_CHARACTER).map(str::as_bytes).collect::<Vec<_>>();
            if let Ok(value) = HeaderValue::from_bytes(&bytes.join(&0xff)) {
                map.append(&name, value);
            }
        }
    }
    Ok(map)
}

async fn whole(response: Response<accrue::Body>) -> Response<Bytes> {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await;
    Response::from_parts(head, body.to_bytes())
}

/// An error in Ably's shape, like all others.
fn failure(status: StatusCode, code: u32, message: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(ErrorInfo::new(status.as_u16(), code, message).to_body()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    headers.insert("x-ably-errorcode", HeaderValue::from(code));
    response
}

fn outgoing(response: Response<Bytes>) -> Result<web_sys::Response, JsValue> {
    let headers = Headers::new()?;
    for (name, value) in response.headers() {
        // several Set-Cookie stay several
        headers.append(name.as_str(), value.to_str().map_err(|error| error.to_string())?)?;
    }
    let init = ResponseInit::new();
    init.set_status(response.status().as_u16());
    init.set_headers(&headers);
    let body = response.body();
    // 204 must not have one, be it empty
    let body = (!body.is_empty()).then(|| Uint8Array::from(&body[..]));
    web_sys::Response::new_with_opt_buffer_source_and_init(body.as_deref(), &init)
}

fn now() -> Moment {
    let mut random = [0; 32];
    getrandom::getrandom(&mut random).expect("Workers have Web Crypto");
    Moment::new(u64::try_from(clock().as_millis()).unwrap_or_default(), random).with_stopwatch(clock)
}

/// Since 1970. It stands still but for waiting, so that nobody can measure what others compute.
fn clock() -> Duration {
    Duration::from_secs_f64(js_sys::Date::now() / 1000.0)
}
