use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::ably::{ErrorInfo, Token};
use crate::proposal::Refused;

/// An answer's body: all of it at once.
pub type Body = Full<Bytes>;

/// Why a request is not answered with a token. The one place where statuses and Ably's codes are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rejection {
    Malformed(String),
    Ttl,
    ClientId(String),
    Unauthenticated { advice: &'static str },
    OtherClient,
    Nothing(Wishes),
    Barred,
    ForeignOrigin,
    NotFound,
    Method { allowed: &'static str },
    BodyTimeout,
    BodyTooLarge,
    MediaType,
    Misdirected,
    HeadTooLarge,
    Unavailable,
    NotReady,
    Overloaded,
}

/// What became of the wishes where nothing could be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wishes {
    Refused,
    None,
    /// The strategy leaves everything to the check.
    NotRead,
}

impl Rejection {
    pub(crate) fn code(&self) -> u32 {
        self.status_and_code().1
    }

    fn status_and_code(&self) -> (StatusCode, u32) {
        let plain = |status: StatusCode| (status, u32::from(status.as_u16()) * 100);
        match self {
            Self::Malformed(_) => plain(StatusCode::BAD_REQUEST),
            Self::Ttl => (StatusCode::BAD_REQUEST, 40003),
            Self::ClientId(_) => (StatusCode::BAD_REQUEST, 40012),
            Self::Unauthenticated { .. } => plain(StatusCode::UNAUTHORIZED),
            Self::OtherClient => (StatusCode::UNAUTHORIZED, 40102),
            Self::Nothing(_) => (StatusCode::UNAUTHORIZED, 40160),
            // SDKs end the connection for good on any 403, so there is no other
            Self::Barred | Self::ForeignOrigin => plain(StatusCode::FORBIDDEN),
            Self::NotFound => plain(StatusCode::NOT_FOUND),
            Self::Method { .. } => plain(StatusCode::METHOD_NOT_ALLOWED),
            Self::BodyTimeout => plain(StatusCode::REQUEST_TIMEOUT),
            Self::BodyTooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE),
            Self::MediaType => plain(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::Misdirected => plain(StatusCode::MISDIRECTED_REQUEST),
            Self::HeadTooLarge => plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Self::Unavailable | Self::NotReady | Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, 50003),
        }
    }

    fn message(&self) -> String {
        let text = match self {
            Self::Malformed(what) | Self::ClientId(what) => what,
            Self::Ttl => "ttl must be a positive whole number of milliseconds",
            Self::Unauthenticated { advice } => return format!("not authenticated: {advice}"),
            Self::OtherClient => {
                "clientId differs from the authenticated one: leave it out, or connect again as the client that is signed in"
            }
            Self::Nothing(Wishes::Refused) => {
                "nothing that was asked for is permitted, and nothing else is held: see Accrue-Refused"
            }
            Self::Nothing(Wishes::None) => {
                "nothing is permitted yet: ask with authorize({capability: {\"channel\": [\"subscribe\"]}}), or have the operator list under [given] what every client gets"
            }
            Self::Nothing(Wishes::NotRead) => {
                "nothing is permitted to this client: the permission check would have to, or the operator lists under [given] what every client gets"
            }
            Self::Barred => "this client is barred: do not connect again",
            Self::ForeignOrigin => {
                "this page's origin may not call here: the operator can list it under origins"
            }
            Self::NotFound => "there is nothing here: tokens are at /auth",
            Self::Method { allowed } => return format!("method not allowed here: use {allowed}"),
            Self::BodyTimeout => "the body took too long to arrive: send it again",
            Self::BodyTooLarge => "the body is larger than 64 KiB: ask for less at once",
            Self::MediaType => {
                "send the body as application/json or application/x-www-form-urlencoded, without a Content-Encoding"
            }
            Self::Misdirected => {
                "this server believes whatever clientId it is told, so it answers to localhost only, and never behind a proxy"
            }
            Self::HeadTooLarge => {
                "the request's head is too large: send the capability in a POST body, and clear unneeded cookies"
            }
            Self::Unavailable => {
                "this can't be decided right now, as something that is asked does not answer: try again shortly"
            }
            Self::NotReady => "something that is needed does not answer: see the log",
            Self::Overloaded => "too many requests at once: try again shortly",
        };
        text.to_owned()
    }

    /// What is wrong with the request, where the code alone does not tell.
    pub(crate) fn cause(&self) -> Option<&str> {
        match self {
            Self::Malformed(what) | Self::ClientId(what) => Some(what),
            _ => None,
        }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let (status, code) = self.status_and_code();
        let mut response = error(status, code, &self.message());
        let headers = response.headers_mut();
        if let Self::Method { allowed } = self {
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        if matches!(self, Self::Unavailable | Self::NotReady | Self::Overloaded) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// An error in Ably's shape.
pub(crate) fn error(status: StatusCode, code: u32, message: &str) -> Response<Body> {
    let error = ErrorInfo::new(status.as_u16(), code, message);
    let mut response = json(status, error.to_body());
    let headers = response.headers_mut();
    headers.insert(ERROR_CODE, HeaderValue::from(error.code));
    headers.insert(ERROR_MESSAGE, printable(&error.message));
    response
}

/// 200 with just what SDKs accept.
pub(crate) fn token(token: &Token) -> Response<Body> {
    let mut body = Vec::with_capacity(1024);
    serde_json::to_writer(&mut body, token).expect("numbers and texts serialise");
    json(StatusCode::OK, body)
}

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}

pub(crate) fn plain(text: &'static str) -> Response<Body> {
    with_type("text/plain; charset=utf-8", text.into())
}

pub(crate) fn html(page: String) -> Response<Body> {
    with_type("text/html; charset=utf-8", page.into())
}

/// Without a charset: ably-js in Node compares the whole value of an error's type.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = with_type("application/json", body.into());
    *response.status_mut() = status;
    response
}

fn with_type(content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// What stands on every response.
pub(crate) fn finish(response: &mut Response<Body>, request_id: &str) {
    let headers = response.headers_mut();
    // a TokenRequest is good for one exchange, so no copy of it may be kept
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Origin, Cookie, Authorization"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
}

/// The value of `Accrue-Refused`: JSON in printable ASCII, or that it was too long.
pub(crate) fn refused_header(refused: &Refused) -> HeaderValue {
    let text = refused.to_string();
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => ascii.push(c),
            _ => {
                // outside of texts JSON is ASCII, so this stands inside one
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(ascii, "\\u{unit:04x}");
                }
            }
        }
    }
    match HeaderValue::try_from(ascii) {
        Ok(value) if value.len() <= MAX_REFUSED_BYTES => value,
        _ => HeaderValue::from_static(r#"{"truncated":true}"#),
    }
}

/// A text for a header: what is not printable ASCII is escaped, and it ends somewhere.
fn printable(text: &str) -> HeaderValue {
    let mut ascii = String::new();
    for c in text.chars().take(MAX_MESSAGE_CHARS) {
        match c {
            ' '..='~' => ascii.push(c),
            _ => ascii.extend(c.escape_default()),
        }
    }
    HeaderValue::try_from(ascii).expect("printable ASCII is a header value")
}

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const REFUSED: HeaderName = HeaderName::from_static("accrue-refused");
const ERROR_CODE: HeaderName = HeaderName::from_static("x-ably-errorcode");
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-ably-errormessage");
const MAX_REFUSED_BYTES: usize = 512;
const MAX_MESSAGE_CHARS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::{Capability, Vocabulary};

    #[test]
    fn refusals_are_printable_ascii_json() {
        let refused = |name: &str| Refused {
            denied: Capability::parse(
                &serde_json::json!({ name: ["publish"] }).to_string(),
                &Vocabulary::default(),
            )
            .unwrap(),
            ..Refused::default()
        };
        for name in ["a", "café:☕", "😀", "a\"b\\c", "x\u{2028}y", "\u{ff5e}"] {
            let header = refused_header(&refused(name));
            let text = header.to_str().unwrap();
            assert!(text.bytes().all(|b| (0x20..0x7f).contains(&b)), "{text}");
            let read: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(read, serde_json::json!({ "denied": { name: ["publish"] } }));
        }
        // {"denied":{"NAME":["publish"]}} has 27 characters around the name
        assert_eq!(refused_header(&refused(&"x".repeat(485))).len(), 512);
        assert_eq!(refused_header(&refused(&"x".repeat(486))), r#"{"truncated":true}"#);
    }

    #[test]
    fn messages_fit_a_header() {
        let response = Rejection::Malformed("caf\u{e9}\r\nSet-Cookie: x".to_owned()).into_response();
        assert_eq!(response.headers()[ERROR_MESSAGE], "caf\\u{e9}\\r\\nSet-Cookie: x");
    }
}
