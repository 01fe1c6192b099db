//! An answer, and the rules of Ably's SDKs for it: what they take as a token, and what they read of an error.
#![allow(dead_code, reason = "every test takes what it needs")]

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// An answer, wherever it came from.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The value of a header that stands once, if it does.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} stands twice: {self:?}");
        Some(value.to_str().unwrap_or_else(|_| panic!("{name} is not ASCII: {self:?}")))
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The token, as SDKs accept one: recognised by `keyName` or `issued`, and nothing around it.
    #[track_caller]
    pub(crate) fn token(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        let token = self.json();
        assert!(self.body.len() < 131_072, "{} characters are too many for ably-js", self.body.len());
        assert!(token.get("response").is_none(), "ably-js takes `response` for an envelope");
        let (texts, numbers): (&[&str], &[&str]) = if token.get("keyName").is_some() {
            (&["keyName", "capability", "clientId", "nonce", "mac"], &["ttl", "timestamp"])
        } else {
            (&["token", "capability", "clientId"], &["issued", "expires"])
        };
        for name in texts {
            assert!(token[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {token}");
        }
        for name in numbers {
            assert!(token[name].as_u64().is_some_and(|number| number > 0), "{name}: {token}");
        }
        let members = token.as_object().expect("indexed by name").len();
        assert_eq!(members, texts.len() + numbers.len(), "ably-python refuses other members: {token}");
        if let Some(nonce) = token["nonce"].as_str() {
            assert!(nonce.len() >= 22, "128 bits are 22 characters of base64url: {nonce}");
        }
        token
    }

    /// The error's members, as SDKs read them.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        // ably-js in Node compares the whole type
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let body = self.json();
        let error = body["error"].clone();
        let code = error["code"].as_u64().unwrap_or_else(|| panic!("code is not a number: {body}"));
        assert_eq!(error["statusCode"], self.status.as_u16(), "a 403 of another statusCode is retried");
        let message = error["message"].as_str().unwrap_or_else(|| panic!("message is not a text: {body}"));
        assert!(!message.is_empty());
        assert_eq!(error["href"], format!("https://help.ably.io/error/{code}"));
        assert_eq!(error.as_object().map(serde_json::Map::len), Some(4), "{body}");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");

        // ably-js in browsers reads the body only if the first is there
        assert_eq!(self.header("x-ably-errorcode"), Some(code.to_string().as_str()));
        let printed = self.header("x-ably-errormessage").expect("stands on every error");
        assert!(printed.bytes().all(|b| (0x20..0x7f).contains(&b)), "{printed}");
        if message.bytes().all(|b| (0x20..0x7f).contains(&b)) && message.len() <= 512 {
            assert_eq!(printed, message);
        }
        error
    }

    /// Status and code of an error, or the status twice.
    #[track_caller]
    pub(crate) fn status_and_code(&self) -> (u16, u64) {
        let status = self.status.as_u16();
        let code = if status < 400 { u64::from(status) } else { self.error()["code"].as_u64().unwrap_or(0) };
        (status, code)
    }

    /// What stands on every answer, whatever it says.
    #[track_caller]
    pub(crate) fn has_the_usual_headers(&self) {
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.header("vary"), Some("Origin, Cookie, Authorization"), "{self:?}");
        let id = self.header("x-request-id").unwrap_or_else(|| panic!("no X-Request-Id: {self:?}"));
        let well_formed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        assert!((1..=64).contains(&id.len()) && id.bytes().all(well_formed), "{id}");
    }

    /// CORS for the listed origin that asked; nothing at all for anybody else.
    #[track_caller]
    pub(crate) fn allows_only(&self, listed: Option<&str>) {
        let Some(origin) = listed else {
            let any = self.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
            assert!(any.is_none(), "{any:?} is not for everybody: {self:?}");
            return;
        };
        assert_eq!(self.header("access-control-allow-origin"), Some(origin), "{self:?}");
        assert_eq!(self.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(
            self.header("access-control-expose-headers"),
            Some("Accrue-Refused, Accrue-Grant, X-Ably-ErrorCode, X-Ably-ErrorMessage, X-Request-Id")
        );
    }
}
