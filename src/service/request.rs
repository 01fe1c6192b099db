use std::error::Error;
use std::io;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::origin::only;
use super::response::Rejection;
use crate::ably::Ttl;
use crate::capability::{Capability, Vocabulary};
use crate::client::ClientId;
use crate::json;

/// What a request asks for, in whichever of the three places it says so.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    capability: Option<Value>,
    client_id: Option<Value>,
    client_id_in_snake_case: Option<Value>,
    ttl: Option<Value>,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyType {
    Form,
    Json,
}

impl BodyType {
    /// By the type's essence (RFC 9110, section 8.3.1), whatever its parameters.
    pub(crate) fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else if essence.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }
}

impl Parameters {
    /// Those of the query, overridden by those of the body.
    pub(crate) fn read(query: &str, body: Option<(BodyType, &[u8])>) -> Result<Self, Rejection> {
        let query = Self::from_pairs("query", query.as_bytes())?;
        let body = match body {
            None => Self::default(),
            Some((BodyType::Form, bytes)) => Self::from_pairs("form", bytes)?,
            Some((BodyType::Json, bytes)) => Self::from_json(bytes)?,
        };
        Ok(Self {
            capability: body.capability.or(query.capability),
            client_id: body.client_id.or(query.client_id),
            client_id_in_snake_case: body.client_id_in_snake_case.or(query.client_id_in_snake_case),
            ttl: body.ttl.or(query.ttl),
        })
    }

    /// The wishes: empty if there are none.
    pub(crate) fn wishes(&self, vocabulary: &Vocabulary) -> Result<Capability, Rejection> {
        let wishes = match &self.capability {
            None => Ok(Capability::default()),
            Some(Value::String(text)) => Capability::parse(text, vocabulary),
            Some(value) => Capability::from_json(value, vocabulary),
        };
        let wishes = wishes.map_err(|error| Rejection::Malformed(format!("capability: {error}")))?;
        if wishes.len() > MAX_WISHES {
            return Err(Rejection::Malformed(format!(
                "capability: {} resources, at most {MAX_WISHES} can be asked for at once",
                wishes.len()
            )));
        }
        Ok(wishes)
    }

    /// Whether there are wishes, without looking at them.
    pub(crate) fn has_wishes(&self) -> bool {
        self.capability.is_some()
    }

    /// Whom the caller claims to be.
    pub(crate) fn client_id(&self) -> Result<Option<ClientId>, Rejection> {
        let value = match (&self.client_id, &self.client_id_in_snake_case) {
            (Some(a), Some(b)) if a != b => {
                return Err(Rejection::Malformed("clientId and client_id differ".to_owned()));
            }
            (Some(value), _) | (None, Some(value)) => value,
            (None, None) => return Ok(None),
        };
        let Value::String(text) = value else {
            return Err(Rejection::ClientId("clientId is not a text".to_owned()));
        };
        ClientId::try_from(text.as_str()).map(Some).map_err(|error| Rejection::ClientId(error.to_string()))
    }

    /// The ttl wished for.
    pub(crate) fn ttl(&self) -> Result<Option<Ttl>, Rejection> {
        let text = match &self.ttl {
            None => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => match number.as_f64() {
                // beyond 64 bits serde_json has no whole numbers
                Some(float) if number.is_f64() && float >= 18e18 && float.fract() == 0.0 => "9".repeat(20),
                _ => number.to_string(),
            },
            Some(_) => return Err(Rejection::Ttl),
        };
        Ttl::parse(&text).map(Some).map_err(|_| Rejection::Ttl)
    }

    fn from_pairs(part: &str, bytes: &[u8]) -> Result<Self, Rejection> {
        let mut read = Self::default();
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            let Some(place) = read.place(&name) else { continue };
            // what is not UTF-8 has been replaced, so two different texts could have become one
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(Rejection::Malformed(format!("{part}: {name} is not UTF-8, or holds U+FFFD")));
            }
            *place = present(Value::String(value.into_owned()));
            if seen.contains(&name) {
                return Err(Rejection::Malformed(format!("{part}: {name} stands twice")));
            }
            seen.push(name);
        }
        Ok(read)
    }

    fn from_json(bytes: &[u8]) -> Result<Self, Rejection> {
        let malformed = |what: String| Rejection::Malformed(format!("body: {what}"));
        let value = json::parse(bytes).map_err(|error| malformed(format!("not valid JSON: {error}")))?;
        let Value::Object(members) = value else {
            return Err(malformed("not a JSON object".to_owned()));
        };
        let mut members: Map<String, Value> = members;
        let mut read = Self::default();
        for name in NAMES {
            if let (Some(value), Some(place)) = (members.remove(name), read.place(name)) {
                *place = present(value);
            }
        }
        Ok(read)
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<Value>> {
        match name {
            "capability" => Some(&mut self.capability),
            "clientId" => Some(&mut self.client_id),
            "client_id" => Some(&mut self.client_id_in_snake_case),
            "ttl" => Some(&mut self.ttl),
            _ => None,
        }
    }
}

/// The body, whole, and how it is written; nothing if it is empty.
pub(crate) async fn read_body<B>(headers: &HeaderMap, body: B) -> Result<Option<(BodyType, Bytes)>, Rejection>
where
    B: HttpBody,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // said in advance, so there is no need to see it first
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(Rejection::BodyTooLarge);
    }
    let bytes = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(Rejection::BodyTooLarge),
        Err(error) if error.downcast_ref().is_some_and(timed_out) => return Err(Rejection::BodyTimeout),
        Err(_) => return Err(Rejection::Malformed("the body broke off".to_owned())),
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    let encoded = headers.contains_key(CONTENT_ENCODING);
    let body_type = only(headers, &CONTENT_TYPE).and_then(|value| BodyType::of(value.to_str().ok()?));
    match body_type {
        Some(body_type) if !encoded => Ok(Some((body_type, bytes))),
        _ => Err(Rejection::MediaType),
    }
}

fn timed_out(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

/// SDKs write an unset parameter as an empty one, or spell it out.
fn present(value: Value) -> Option<Value> {
    match &value {
        Value::Null => None,
        Value::String(text) if matches!(text.as_str(), "" | "null" | "undefined") => None,
        _ => Some(value),
    }
}

const NAMES: [&str; 4] = ["capability", "clientId", "client_id", "ttl"];
const MAX_WISHES: usize = 256;
const MAX_BODY_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, form: &str, json: &str) -> Result<(String, Option<String>, Option<u64>), Rejection> {
        let body = match (form, json) {
            ("", "") => None,
            ("", json) => Some((BodyType::Json, json.as_bytes())),
            (form, _) => Some((BodyType::Form, form.as_bytes())),
        };
        let parameters = Parameters::read(query, body)?;
        Ok((
            parameters.wishes(&Vocabulary::default())?.to_string(),
            parameters.client_id()?.map(|id| id.to_string()),
            parameters.ttl()?.map(Ttl::as_millis),
        ))
    }

    #[test]
    fn understood() {
        let a = r#"{"a":["publish"]}"#;
        let nothing = || ("{}".to_owned(), None, None);
        let wish = || (a.to_owned(), None, None);
        let id = |id: &str| ("{}".to_owned(), Some(id.to_owned()), None);
        let ttl = |ttl| ("{}".to_owned(), None, Some(ttl));
        for (query, form, json, expected) in [
            ("", "", "", nothing()),
            ("rnd=123&x=1&x=2", "", "", nothing()),
            ("clientId=&capability=null&ttl=undefined", "", "", nothing()),
            ("", "", r#"{"clientId":null,"capability":"","ttl":"null","other":[1]}"#, nothing()),
            ("capability=%7B%22a%22%3A%5B%22publish%22%5D%7D", "", "", wish()),
            ("capability=%7B%22a%22:+[%22publish%22,%22publish%22]%7D", "", "", wish()),
            ("", "capability=%7B%22a%22%3A%5B%22publish%22%5D%7D", "", wish()),
            ("", "", r#"{"capability":{"a":["publish"]}}"#, wish()),
            ("", "", r#"{"capability":"{\"a\":[\"publish\"]}"}"#, wish()),
            ("capability=%7B%7D", "", "", nothing()),
            ("clientId=alice", "", "", id("alice")),
            ("client_id=alice", "", "", id("alice")),
            ("client_id=alice&clientId=alice", "", "", id("alice")),
            ("clientId=bob", "clientId=alice", "", id("alice")),
            ("clientId=bob", "", r#"{"clientId":"alice"}"#, id("alice")),
            ("clientId=bob", "clientId=", "", id("bob")),
            ("clientId=a+b%26c", "", "", id("a b&c")),
            ("ttl=60000", "", "", ttl(60_000)),
            ("ttl=5", "", "", ttl(1_000)),
            ("ttl=99999999999999999999", "", "", ttl(u64::MAX)),
            ("", "", r#"{"ttl":60000}"#, ttl(60_000)),
            ("", "", r#"{"ttl":"60000"}"#, ttl(60_000)),
            ("", "", r#"{"ttl":99999999999999999999}"#, ttl(u64::MAX)),
        ] {
            assert_eq!(read(query, form, json).unwrap(), expected, "{query} {form} {json}");
        }
    }

    #[test]
    fn malformed() {
        let malformed = |text: &str| Rejection::Malformed(text.to_owned());
        for (query, form, json, rejection) in [
            ("clientId=a&clientId=a", "", "", malformed("query: clientId stands twice")),
            ("clientId=&clientId=a", "", "", malformed("query: clientId stands twice")),
            ("", "ttl=1&ttl=2", "", malformed("form: ttl stands twice")),
            (
                "",
                "",
                r#"{"ttl":1,"ttl":2}"#,
                malformed(r#"body: not valid JSON: member "ttl" stands twice at line 1 column 14"#),
            ),
            (
                "",
                "",
                r#"{"x":{"y":1,"y":2}}"#,
                malformed(r#"body: not valid JSON: member "y" stands twice at line 1 column 15"#),
            ),
            ("", "", "[]", malformed("body: not a JSON object")),
            ("clientId=a&client_id=b", "", "", malformed("clientId and client_id differ")),
            ("clientId=a", "client_id=b", "", malformed("clientId and client_id differ")),
            ("clientId=%FF", "", "", malformed("query: clientId is not UTF-8, or holds U+FFFD")),
            (
                "",
                "",
                r#"{"capability":7}"#,
                malformed("capability: not a JSON object of resources, each with a list of operations"),
            ),
            (
                "capability=%7B%27a%27%3A+%5B%27publish%27%5D%7D",
                "",
                "",
                malformed(
                    "capability: this is a Python dict in single quotes, not JSON: pass json.dumps(capability)",
                ),
            ),
            ("", "", r#"{"clientId":7}"#, Rejection::ClientId("clientId is not a text".to_owned())),
            ("clientId=*", "", "", Rejection::ClientId(r#"clientId must not contain "*""#.to_owned())),
            ("ttl=0", "", "", Rejection::Ttl),
            ("ttl=-1", "", "", Rejection::Ttl),
            ("ttl=1.5", "", "", Rejection::Ttl),
            ("ttl=%2B5", "", "", Rejection::Ttl),
            ("ttl=1h", "", "", Rejection::Ttl),
            ("", "", r#"{"ttl":-1}"#, Rejection::Ttl),
            ("", "", r#"{"ttl":1.5}"#, Rejection::Ttl),
            ("", "", r#"{"ttl":1e3}"#, Rejection::Ttl),
            ("", "", r#"{"ttl":true}"#, Rejection::Ttl),
        ] {
            assert_eq!(read(query, form, json).unwrap_err(), rejection, "{query} {form} {json}");
        }
        let many: Map<String, Value> =
            (0..257).map(|n| (format!("c{n}"), serde_json::json!(["*"]))).collect();
        let json = serde_json::json!({ "capability": many }).to_string();
        assert_eq!(
            read("", "", &json).unwrap_err(),
            malformed("capability: 257 resources, at most 256 can be asked for at once")
        );
    }
}
