//! Whose page a request comes from: a page on an origin that is not listed gets nothing, CORS echoes what is listed and
//! nothing else, and the service's own pages are never turned away.
//!
//! An input is lines, each a letter and a value: the headers `o`rigin, `s`ec-fetch-site, sec-fetch-`m`ode, `h`ost,
//! `r`eferer, those of `p`roxies, an `a`uthority in the target, a `l`isted origin, the me`t`hod, and `c` for a server
//! that believes whoever says who they are.
#![no_main]

#[path = "../../tests/support/answer.rs"]
mod answer;
#[path = "../../tests/support/service.rs"]
mod service;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use accrue::ably::ApiKey;
use accrue::{
    Asked, AuthService, Caller, Claimed, Client, ClientId, Decision, Issuer, Moment, Origins, Question,
    Sealing, ServiceSettings, Strategy,
};
use accrue_fuzz::{NOW, at_once};
use answer::Answer;
use bytes::Bytes;
use http::header::{HOST, ORIGIN, REFERER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;

const PROXY: [&str; 6] =
    ["forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-whatever", "x-forwarde"];
const WISH: &str = "capability=%7B%22a%22%3A%5B%22publish%22%5D%7D";

static SEALING: LazyLock<Sealing> = LazyLock::new(|| Sealing::new(service::keys(&[service::K1])));

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    let mut listed = vec![service::LISTED.to_owned(), service::ALSO_LISTED.to_owned()];
    let (mut authority, mut method, mut believes) = (None, Method::POST, false);
    for line in data.split(|byte| *byte == b'\n') {
        let Some((letter, value)) = line.split_first() else { continue };
        let mut add = |name: HeaderName| {
            // hyper hands on nothing else
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(name, value);
            }
        };
        match letter {
            b'o' => add(ORIGIN),
            b's' => add(HeaderName::from_static("sec-fetch-site")),
            b'm' => add(HeaderName::from_static("sec-fetch-mode")),
            b'h' => add(HOST),
            b'r' => add(REFERER),
            b'p' => add(HeaderName::from_static(PROXY[value.len() % PROXY.len()])),
            b'a' => authority = str::from_utf8(value).ok(),
            b'l' => listed
                .extend(str::from_utf8(value).ok().filter(|origin| can_be_listed(origin)).map(str::to_owned)),
            b't' => {
                method = [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS][value.len() % 4].clone()
            }
            b'c' => believes = true,
            _ => {}
        }
    }
    let target = match authority {
        Some(authority) => format!("http://{authority}/auth?{WISH}&clientId=alice"),
        None => format!("/auth?{WISH}&clientId=alice"),
    };
    let Ok(uri) = target.parse::<Uri>() else { return };
    // with more headers than a hundred nothing else is looked at
    if uri.path() != "/auth" || headers.len() > 90 {
        return;
    }

    let origins: Vec<&[u8]> = headers.get_all(ORIGIN).iter().map(HeaderValue::as_bytes).collect();
    let origin = if let [origin] = origins[..] { str::from_utf8(origin).ok() } else { None };
    let hosts: Vec<&[u8]> = headers.get_all(HOST).iter().map(HeaderValue::as_bytes).collect();
    let host = uri.authority().map(|authority| authority.as_str().to_owned()).or_else(|| match hosts[..] {
        [host] => str::from_utf8(host).ok().map(str::to_owned),
        _ => None,
    });
    let sites: Vec<&[u8]> = headers.get_all("sec-fetch-site").iter().map(HeaderValue::as_bytes).collect();
    let is_own = match sites[..] {
        [] => {
            origins.is_empty()
                || origin.zip(host.as_deref()).is_some_and(|(origin, host)| is_at(origin, host))
        }
        [only] => only == b"same-origin" || only == b"none",
        _ => false,
    };
    let is_listed = origin.is_some_and(|origin| listed.iter().any(|listed| listed == origin));
    let is_misdirected = believes && (comes_by_a_proxy(&headers) || !host.is_some_and(|host| is_here(&host)));
    let modes = headers.get_all("sec-fetch-mode");
    let is_inert = modes.iter().any(|mode| mode != "cors" && mode != "same-origin");

    let was_asked = Arc::new(AtomicBool::new(false));
    let (status, code) = {
        let mut request = Request::new(Full::<Bytes>::default());
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) =
            (method.clone(), uri, headers.clone());
        let answer = answered(request, &listed, believes, &was_asked);
        answer.has_the_usual_headers();
        answer.allows_only(origin.filter(|_| is_listed));
        if !is_own && !is_listed || is_inert || is_misdirected {
            assert!(!answer.headers.contains_key("set-cookie"), "{headers:?}: {answer:?}");
        }
        answer.status_and_code()
    };
    let expected = match method {
        _ if is_misdirected => (421, 42100),
        _ if !is_own && !is_listed => (403, 40300),
        Method::OPTIONS | Method::DELETE => (204, 204),
        _ if is_inert => (401, 40160),
        _ => (200, 200),
    };
    assert_eq!((status, code), expected, "{method} {headers:?} {target}");
    assert_eq!(was_asked.load(Ordering::Relaxed), status == 200, "{method} {headers:?} {target}");
});

fn answered(
    request: Request<Full<Bytes>>,
    listed: &[String],
    believes: bool,
    was_asked: &Arc<AtomicBool>,
) -> Answer {
    let asked = Arc::clone(was_asked);
    let check = move |question: Question| {
        asked.store(true, Ordering::Relaxed);
        let Asked::These(asked) = question.asked else { panic!("everything was asked") };
        std::future::ready(Decision::Granted(asked))
    };
    let key = ApiKey::parse(service::KEY).expect("a key");
    let issuer = Issuer::new(key, Strategy::Cookie(SEALING.clone()), check).expect("an issuer");
    let mut settings = ServiceSettings::default();
    settings.origins = Origins::new(listed).expect("they can be listed");
    let moment = || Moment::new(NOW * 1000, [7; 32]);
    let alice = async |_: Caller| Ok(Client::new(ClientId::try_from("alice").expect("an id")));
    let service = match believes {
        true => AuthService::new(issuer, Claimed, settings, moment),
        false => AuthService::new(issuer, alice, settings, moment),
    };
    let (response, body) = at_once(service.handle(request)).into_parts();
    let body = at_once(body.collect()).expect("it does not fail").to_bytes();
    Answer { status: response.status, headers: response.headers, body }
}

/// What can be listed is written as browsers write origins.
fn can_be_listed(origin: &str) -> bool {
    let accepted = Origins::new([origin]).is_ok();
    if accepted {
        let (scheme, authority) = origin.split_once("://").expect("has a scheme");
        // no longer scheme is read there
        if scheme.len() > 64 {
            return true;
        }
        let uri: Uri = format!("{origin}/").parse().expect("a URL");
        assert_eq!(
            (uri.scheme_str(), uri.authority().map(|at| at.as_str()), uri.path()),
            (Some(scheme), Some(authority), "/")
        );
        assert!(!origin.contains(['*', '@', '?', '#', ' ', '\\']) && origin != "null", "{origin}");
        assert_eq!(origin, origin.to_lowercase());
        let port = uri.port_u16();
        assert!(!matches!((scheme, port), ("http", Some(80)) | ("https", Some(443))), "{origin}");
        assert_eq!(
            port.map(|port| port.to_string()).as_deref(),
            uri.port().as_ref().map(|port| port.as_str())
        );
    }
    accepted
}

/// Whether a page of this origin was served by this host. Which scheme we are reached by is not known.
fn is_at(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let usual = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let [theirs, ours] = [authority, host].map(|text| {
        let text = text.to_ascii_lowercase();
        text.strip_suffix(usual).map(str::to_owned).unwrap_or(text)
    });
    theirs == ours
}

fn is_here(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    ["localhost", "127.0.0.1", "[::1]"].contains(&name.to_ascii_lowercase().as_str())
}

fn comes_by_a_proxy(headers: &HeaderMap) -> bool {
    PROXY[..5].iter().any(|name| headers.contains_key(*name))
}
