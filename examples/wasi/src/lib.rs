//! accrue as a `wasi:http` component, for `wasmtime serve` and others that host those.
//!
//! A host makes an instance for each request, and with it the service; all that a request waits for, it waits for itself.

mod log;
mod outgoing;
mod stream;

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use accrue::ably::ErrorInfo;
use accrue::{AuthService, Config, Environment, Moment, Outcome};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use wasip2::cli::environment::get_environment;
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::random::random::get_random_bytes;

use outgoing::Outgoing;
use stream::{Deadline, RequestBody};

struct Component;

wasip2::http::proxy::export!(Component);

impl Guest for Component {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let started = uptime();
        let mut response = match assemble() {
            Ok((service, body_timeout)) => match incoming(request, body_timeout) {
                Some(request) => {
                    let (head, body) = now_or_never(service.handle(request)).into_parts();
                    let Ok(body) = now_or_never(body.collect());
                    Response::from_parts(head, body.to_bytes())
                }
                None => failure(StatusCode::BAD_REQUEST, 40000, "the address is not one that HTTP has"),
            },
            Err(problems) => {
                log::misconfigured(&problems);
                let message = format!("this component is not configured: {}", problems.join("; "));
                failure(StatusCode::INTERNAL_SERVER_ERROR, 50000, &message)
            }
        };
        if let Some(outcome) = response.extensions_mut().remove::<Outcome>() {
            log::record(&outcome, response.status(), uptime().saturating_sub(started));
        }
        send(response, answer);
    }
}

/// The service, and how long a body may take; or what is wrong with the configuration.
fn assemble() -> Result<(AuthService, Duration), Vec<String>> {
    let told =
        |error: accrue::ConfigError| error.problems().iter().map(ToString::to_string).collect::<Vec<_>>();
    let variables = Variables(get_environment());
    let text = variables.variable("ACCRUE_CONFIG").unwrap_or_default();
    let config = Config::parse("ACCRUE_CONFIG", &text, &variables, &[]).map_err(told)?;
    if config.store().is_some() {
        return Err(vec!["store: a component keeps nothing and reaches neither redb nor Redis; leave [store] out, and have strategy \"cookie\", \"client\" or \"server\"".to_owned()]);
    }
    if config.admin().is_some() {
        return Err(vec!["admin: a component has no second listener; leave it out".to_owned()]);
    }
    let body_timeout = config.limits().body_timeout;
    let assembled = config.assemble(Outgoing, String::new, now).map_err(|error| vec![error.to_string()])?;
    Ok((assembled.service, body_timeout))
}

/// What the host hands on of its environment.
struct Variables(Vec<(String, String)>);

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<String> {
        let variable = self.0.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone());
        match variable.filter(|value| !value.is_empty()) {
            // it can't tell who reaches it, so what is for loopback only is refused unless somebody says so
            None if name == "ACCRUE_LISTEN" => Some("0.0.0.0:8080".to_owned()),
            value => value,
        }
    }

    /// A variable of that name stands for a file.
    fn file(&self, path: &str) -> Result<String, String> {
        self.variable(path)
            .ok_or_else(|| "a component has no files; set a variable of that name to the text".to_owned())
    }
}

fn incoming(request: IncomingRequest, body_timeout: Duration) -> Option<Request<RequestBody>> {
    let mut read = Request::new(());
    *read.method_mut() = method(&request.method())?;
    *read.uri_mut() = request.path_with_query()?.parse().ok()?;
    *read.headers_mut() = header_map(&request.headers());
    // some hosts have it apart
    if let (false, Some(authority)) = (read.headers().contains_key(HOST), request.authority()) {
        read.headers_mut().insert(HOST, HeaderValue::try_from(authority).ok()?);
    }
    let deadline = Deadline::after(body_timeout);
    let body = request.consume().map(|body| RequestBody::new(body, deadline)).ok()?;
    Some(read.map(|()| body))
}

fn method(method: &Method) -> Option<http::Method> {
    Some(match method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
        Method::Connect => http::Method::CONNECT,
        Method::Options => http::Method::OPTIONS,
        Method::Trace => http::Method::TRACE,
        Method::Patch => http::Method::PATCH,
        Method::Other(name) => name.parse().ok()?,
    })
}

fn header_map(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields.entries() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            map.append(name, value);
        }
    }
    map
}

fn fields(map: &HeaderMap) -> Fields {
    let fields = Fields::new();
    for (name, value) in map {
        // refused are those that are the host's to write, such as Connection, of which there are none
        let _ = fields.append(name.as_str(), value.as_bytes());
    }
    fields
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

fn send(response: Response<Bytes>, answer: ResponseOutparam) {
    let headers = fields(response.headers());
    if response.status() != StatusCode::NO_CONTENT {
        let _ = headers.set(CONTENT_LENGTH.as_str(), &[response.body().len().to_string().into_bytes()]);
    }
    let out = OutgoingResponse::new(headers);
    out.set_status_code(response.status().as_u16()).expect("it is one of HTTP's");
    let body = out.body().expect("nobody else has taken it");
    ResponseOutparam::set(answer, Ok(out));
    // who has asked may be gone, or not read
    let _ = stream::write(&body, response.body(), &Deadline::after(ANSWER));
    let _ = OutgoingBody::finish(body, None);
}

/// The outcome of what never waits: a component blocks where others would.
fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("one request has nobody to wait for"),
    }
}

fn now() -> Moment {
    let time = wall_clock::now();
    let random = get_random_bytes(32).try_into().expect("as many as were asked for");
    Moment::new(time.seconds * 1000 + u64::from(time.nanoseconds / 1_000_000), random).with_stopwatch(uptime)
}

fn uptime() -> Duration {
    Duration::from_nanos(monotonic_clock::now())
}

/// For an answer to be taken.
const ANSWER: Duration = Duration::from_secs(10);
