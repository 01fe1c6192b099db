//! What the service asks others with, on this platform: `wasi:http/outgoing-handler`.

use accrue::{HttpCall, HttpClient, HttpClientError};
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HOST, USER_AGENT};
use http::uri::Scheme as UriScheme;
use http::{HeaderValue, Request, Response, StatusCode};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Method, OutgoingBody, OutgoingRequest, Scheme};

use crate::stream::{Chunk, Deadline, Incoming, write};
use crate::{fields, header_map};

/// Asks through the host.
pub(crate) struct Outgoing;

impl HttpClient for Outgoing {
    async fn send(&self, call: HttpCall) -> Result<Response<Bytes>, HttpClientError> {
        let deadline = Deadline::after(call.timeout);
        let late = HttpClientError::Timeout(call.timeout);

        let (request, body) = outgoing(&call.request).ok_or_else(|| failed("the host does not take it"))?;
        let answer = handle(request, None).map_err(|error| failed(&error.to_string()))?;
        if !write(&body, call.request.body(), &deadline).map_err(|error| failed(&error.to_string()))? {
            return Err(late);
        }
        OutgoingBody::finish(body, None).map_err(|error| failed(&error.to_string()))?;
        if !deadline.wait_for(&answer.subscribe()) {
            return Err(late);
        }
        let answer = answer.get().and_then(Result::ok).ok_or_else(|| failed("no answer"))?;
        let answer = answer.map_err(|error| failed(&error.to_string()))?;

        let mut whole = Response::new(Bytes::new());
        *whole.status_mut() =
            StatusCode::from_u16(answer.status()).map_err(|error| failed(&error.to_string()))?;
        *whole.headers_mut() = header_map(&answer.headers());
        if whole.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(HttpClientError::Encoded);
        }
        let incoming = Incoming::new(answer.consume().map_err(|()| failed("no body"))?);
        let mut bytes = BytesMut::new();
        loop {
            match incoming.next(&deadline) {
                Chunk::Some(chunk) if chunk.len() > call.max_bytes - bytes.len() => {
                    return Err(HttpClientError::TooLarge(call.max_bytes));
                }
                Chunk::Some(chunk) => bytes.extend_from_slice(&chunk),
                Chunk::End => break,
                Chunk::Late => return Err(late),
                Chunk::Broken(why) => return Err(failed(&why)),
            }
        }
        *whole.body_mut() = bytes.freeze();
        Ok(whole)
    }
}

fn outgoing(request: &Request<Bytes>) -> Option<(OutgoingRequest, OutgoingBody)> {
    let mut headers = request.headers().clone();
    headers.remove(HOST);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(request.body().len()));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("accrue/", env!("CARGO_PKG_VERSION"))));

    let uri = request.uri();
    let out = OutgoingRequest::new(fields(&headers));
    let method = match *request.method() {
        http::Method::GET => Method::Get,
        http::Method::POST => Method::Post,
        ref other => Method::Other(other.to_string()),
    };
    let scheme = if uri.scheme() == Some(&UriScheme::HTTP) { Scheme::Http } else { Scheme::Https };
    out.set_method(&method).ok()?;
    out.set_scheme(Some(&scheme)).ok()?;
    out.set_authority(uri.authority().map(http::uri::Authority::as_str)).ok()?;
    out.set_path_with_query(uri.path_and_query().map(http::uri::PathAndQuery::as_str)).ok()?;
    let body = out.body().ok()?;
    Some((out, body))
}

fn failed(why: &str) -> HttpClientError {
    HttpClientError::Failed(why.to_owned())
}
