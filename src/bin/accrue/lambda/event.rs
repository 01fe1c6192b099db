//! From an event to a request. Function URLs, API Gateway and Application Load Balancers each write a request down in
//! their own way, and decode different parts of it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{AUTHORIZATION, COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::answer::Form;

/// An event that is no HTTP request. It does not say what it is instead: that may be confidential.
#[derive(Debug, thiserror::Error)]
#[error(
    "not an HTTP request: this function answers events of function URLs, API Gateway (REST and HTTP APIs; payload 1.0 \
     and 2.0) and Application Load Balancers"
)]
pub(super) struct NotHttp;

/// All the shapes in one. What a shape is without is absent or `null`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    version: Option<String>,
    request_context: Context,
    headers: Option<Single>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,

    // payload 2.0, and so function URLs
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    cookies: Option<Vec<String>>,

    // payload 1.0, and load balancers
    http_method: Option<String>,
    path: Option<String>,
    query_string_parameters: Option<Single>,
    // load balancers only where `lambda.multi_value_headers.enabled` is set, and then instead of the above
    multi_value_headers: Option<Multi>,
    multi_value_query_string_parameters: Option<Multi>,

    // payload 1.0
    resource: Option<String>,
    path_parameters: Option<Single>,
}

#[derive(Deserialize)]
struct Context {
    stage: Option<String>,
    http: Option<HttpContext>,
    elb: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct HttpContext {
    method: String,
}

type Single = BTreeMap<String, String>;
type Multi = BTreeMap<String, Vec<String>>;

/// The request that an event is about, and how to answer it.
pub(super) fn read(event: Value) -> Result<(Request<Full<Bytes>>, Form), NotHttp> {
    let event = Event::deserialize(event).map_err(|_| NotHttp)?;
    let (method, uri, form) = if event.request_context.elb.is_some() {
        let form = if event.multi_value_headers.is_some() { Form::MultiValue } else { Form::SingleValue };
        let uri = target(event.path()?, Decoded::No, &event.query_of_load_balancer())?;
        (event.http_method, uri, form)
    } else if event.version.as_deref() == Some("2.0") {
        let path = event.raw_path.as_deref().ok_or(NotHttp)?;
        let query = event.raw_query_string.as_deref().unwrap_or_default();
        let uri = target(event.without_stage(path), Decoded::Yes, query)?;
        (event.request_context.http.map(|http| http.method), uri, Form::Cookies)
    } else {
        let uri = target(event.path_in_api()?, Decoded::Yes, &event.query_of_gateway())?;
        (event.http_method, uri, Form::MultiValue)
    };

    let mut headers = headers(each(event.multi_value_headers, event.headers), form);
    // function URLs leave them among the headers as well
    if let Some(cookies) = event.cookies.filter(|cookies| !cookies.is_empty()) {
        headers.insert(COOKIE, HeaderValue::try_from(cookies.join("; ")).map_err(|_| NotHttp)?);
    }
    let body = match (event.body, event.is_base64_encoded) {
        (Some(body), Some(true)) => BASE64_STANDARD.decode(body).map_err(|_| NotHttp)?,
        (body, _) => body.unwrap_or_default().into_bytes(),
    };

    let mut request = Request::new(Full::from(body));
    *request.method_mut() = method.and_then(|method| method.parse::<Method>().ok()).ok_or(NotHttp)?;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok((request, form))
}

impl Event {
    fn path(&self) -> Result<&str, NotHttp> {
        self.path.as_deref().ok_or(NotHttp)
    }

    /// HTTP APIs have the stage in front of their paths, and custom domains whatever the API is mapped to.
    fn path_in_api(&self) -> Result<&str, NotHttp> {
        let path = self.path()?;
        // what API Gateway matched, such as /auth, or /{proxy+} and what that stands for
        let resource = self.resource.as_deref().unwrap_or_default();
        let matched = match resource.strip_suffix("+}").and_then(|front| front.rsplit_once('{')) {
            Some((front, name)) => {
                let parameter = self.path_parameters.as_ref().and_then(|parameters| parameters.get(name));
                parameter.map(|parameter| format!("{front}{parameter}"))
            }
            None => Some(resource.to_owned()),
        };
        Ok(match matched {
            Some(matched) if matched.starts_with('/') && path.ends_with(&matched) => {
                &path[path.len() - matched.len()..]
            }
            _ => self.without_stage(path),
        })
    }

    fn without_stage<'a>(&self, path: &'a str) -> &'a str {
        let stage = self.request_context.stage.as_deref().filter(|stage| !stage.is_empty());
        let below = |stage| path.strip_prefix('/')?.strip_prefix(stage);
        stage.and_then(below).filter(|rest| rest.starts_with('/')).unwrap_or(path)
    }

    /// API Gateway has decoded it.
    fn query_of_gateway(&self) -> String {
        let parameters =
            each(self.multi_value_query_string_parameters.clone(), self.query_string_parameters.clone());
        Serializer::new(String::new()).extend_pairs(parameters).finish()
    }

    /// Load balancers only take it apart.
    fn query_of_load_balancer(&self) -> String {
        let parameters =
            each(self.multi_value_query_string_parameters.clone(), self.query_string_parameters.clone());
        let pairs: Vec<String> = parameters.map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }
}

/// One by one. The map with single values has the last ones of the other map.
fn each(multi: Option<Multi>, single: Option<Single>) -> impl Iterator<Item = (String, String)> {
    let single = if multi.is_some() { None } else { single };
    let multi = multi.unwrap_or_default().into_iter();
    let repeated =
        multi.flat_map(|(name, values)| values.into_iter().map(move |value| (name.clone(), value)));
    repeated.chain(single.unwrap_or_default())
}

/// Without what HTTP does not allow.
fn headers(pairs: impl Iterator<Item = (String, String)>, form: Form) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let Ok(name) = HeaderName::try_from(name) else { continue };
        // payload 2.0 has joined what stood twice. It is taken apart, or two values could pass for one where only one is
        // believed; credentials can hold a comma, and two of them are good for nothing anyway
        let is_joined =
            form == Form::Cookies && name != AUTHORIZATION && name != COOKIE && name != "x-proxy-secret";
        let values = if is_joined { value.split(',').collect() } else { vec![value.as_str()] };
        for value in values {
            if let Ok(value) = HeaderValue::try_from(value.trim()) {
                headers.append(&name, value);
            }
        }
    }
    headers
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decoded {
    Yes,
    No,
}

/// A request target. In a path that was decoded, what means something else in a target is encoded again: a `?` is none.
fn target(path: &str, decoded: Decoded, query: &str) -> Result<Uri, NotHttp> {
    let in_path = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || b"-._~!$&'()*+,;=:@/".contains(&byte)
            || (byte == b'%' && decoded == Decoded::No)
    };
    let in_query = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>".contains(&byte);
    let mut target = String::with_capacity(path.len() + query.len() + 2);
    if !path.starts_with('/') {
        target.push('/');
    }
    escape(path, in_path, &mut target);
    if !query.is_empty() {
        target.push('?');
        escape(query, in_query, &mut target);
    }
    // more than a `Uri` takes, and far more than what the service answers with 431
    target.truncate(MAX_TARGET);
    PathAndQuery::try_from(target).map(Uri::from).map_err(|_| NotHttp)
}

fn escape(text: &str, stays: impl Fn(u8) -> bool, target: &mut String) {
    for byte in text.bytes() {
        match stays(byte) {
            true => target.push(char::from(byte)),
            false => target.push_str(&format!("%{byte:02X}")),
        }
    }
}

const MAX_TARGET: usize = 60_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn path(event: Value) -> String {
        read(event).expect("an event").0.uri().path().to_owned()
    }

    #[test]
    fn a_stage_is_not_part_of_the_path() {
        for (stage, raw_path, expected) in [
            ("$default", "/auth", "/auth"),
            ("prod", "/prod/auth", "/auth"),
            // a custom domain leaves it out
            ("prod", "/auth", "/auth"),
            ("auth", "/auth", "/auth"),
            ("auth", "/auth/auth", "/auth"),
            ("prod", "/production/auth", "/production/auth"),
            ("prod", "/prod/prod/auth", "/prod/auth"),
            ("prod", "/prod", "/prod"),
            ("", "/auth", "/auth"),
            ("prod", "", "/"),
        ] {
            let event = json!({
                "version": "2.0",
                "rawPath": raw_path,
                "requestContext": { "stage": stage, "http": { "method": "GET" } },
            });
            assert_eq!(path(event), expected, "{stage} {raw_path}");
        }
    }

    #[test]
    fn nor_is_what_a_custom_domain_maps_an_api_to() {
        for (resource, proxy, raw_path, expected) in [
            ("/{proxy+}", "auth", "/auth", "/auth"),
            ("/{proxy+}", "auth", "/ably/auth", "/auth"),
            ("/{proxy+}", "auth", "/prod/auth", "/auth"),
            ("/{proxy+}", "x/auth", "/x/auth", "/x/auth"),
            ("/x/{proxy+}", "auth", "/base/x/auth", "/x/auth"),
            ("/auth", "", "/ably/auth", "/auth"),
            ("/auth", "", "/prod/auth", "/auth"),
            ("$default", "", "/prod/auth", "/auth"),
            ("$default", "", "/ably/auth", "/ably/auth"),
            ("/{other+}", "auth", "/ably/auth", "/ably/auth"),
            ("", "", "/auth", "/auth"),
        ] {
            let event = json!({
                "resource": resource,
                "path": raw_path,
                "pathParameters": { "proxy": proxy },
                "httpMethod": "GET",
                "requestContext": { "stage": "prod" },
            });
            assert_eq!(path(event), expected, "{resource} {proxy} {raw_path}");
        }
    }

    #[test]
    fn a_decoded_path_begins_no_query() {
        for (text, decoded, query, expected) in [
            ("/auth", Decoded::Yes, "", "/auth"),
            ("/auth", Decoded::Yes, "a=%7B%22{}|[]+&a", "/auth?a=%7B%22{}|[]+&a"),
            ("/auth?ttl=1#é %41", Decoded::Yes, "x=?", "/auth%3Fttl=1%23%C3%A9%20%2541?x=?"),
            ("/a%75th", Decoded::No, "", "/a%75th"),
            ("/auth?ttl=1", Decoded::No, "", "/auth%3Fttl=1"),
            ("//evil.example/auth", Decoded::Yes, "", "//evil.example/auth"),
            ("/auth", Decoded::Yes, "a=b c#d<é>\"", "/auth?a=b%20c%23d%3C%C3%A9%3E%22"),
        ] {
            assert_eq!(target(text, decoded, query).expect("a target").to_string(), expected);
        }
        let long = target("/auth", Decoded::No, &"x".repeat(1 << 20)).expect("as much of it as there can be");
        assert!(long.query().is_some_and(|query| query.len() > 32 * 1024));
    }

    /// Any JSON, with the members' names more often than not.
    fn any_event() -> impl Strategy<Value = Value> {
        let names = "version|rawPath|path|httpMethod|headers|multiValueHeaders|cookies|body|isBase64Encoded|\
                     requestContext|http|method|stage|elb|resource|pathParameters|proxy|rawQueryString|\
                     queryStringParameters|multiValueQueryStringParameters|[a-z{}+]{0,3}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            "2\\.0|1\\.0|GET|prod|/prod/auth|/\\{proxy\\+\\}|\\PC{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                3 => prop::collection::btree_map(names, inner, 0..12)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_event_makes_it_panic(event in any_event()) {
            let _ = read(event);
        }

        #[test]
        fn every_target_is_one(path in "/\\PC{0,20}", query in "\\PC{0,20}") {
            for decoded in [Decoded::Yes, Decoded::No] {
                let uri = target(&path, decoded, &query).expect("a target");
                prop_assert_eq!(uri.query().is_some(), !query.is_empty());
            }
        }

        #[test]
        fn what_a_gateway_has_decoded_comes_out_again(value in "\\PC{0,20}") {
            let event = json!({
                "path": "/auth",
                "httpMethod": "GET",
                "multiValueQueryStringParameters": { "a&b": [value, ""] },
                "requestContext": {},
            });
            let (request, _) = read(event).expect("an event");
            let query = request.uri().query().expect("a query").as_bytes();
            let pairs: Vec<(String, String)> = form_urlencoded::parse(query).into_owned().collect();
            prop_assert_eq!(pairs, [("a&b".to_owned(), value), ("a&b".to_owned(), String::new())]);
        }
    }
}
