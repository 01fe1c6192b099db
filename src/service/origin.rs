use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

/// The origins whose pages may call, besides the service's own.
///
/// ```
/// use accrue::Origins;
///
/// assert!(Origins::new(["https://app.example.com", "http://localhost:3000"]).is_ok());
/// for refused in ["*", "null", "https://App.example.com", "https://app.example.com/", "app.example.com"] {
///     assert!(Origins::new([refused]).is_err(), "{refused}");
/// }
/// ```
#[derive(Debug, Default)]
pub struct Origins {
    listed: Vec<Listed>,
}

#[derive(Debug)]
struct Listed {
    origin: HeaderValue,
    /// Whether the log has been told why its requests come without cookies.
    told: AtomicBool,
}

/// Whose page a request comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// The service's own origin, or no page at all.
    Own,
    /// Another origin, which is listed.
    Listed,
    /// Another origin; nothing may be done for it. Its name, if it is one that can be listed.
    Foreign(Option<String>),
}

impl Origins {
    /// Exact origins, as browsers write them: lower-case `scheme://host`, and `:port` where it isn't the scheme's
    /// own.
    ///
    /// # Errors
    /// For anything else, `*` and `null` included.
    pub fn new<T: AsRef<str>>(origins: impl IntoIterator<Item = T>) -> Result<Self, OriginError> {
        let listed = origins
            .into_iter()
            .map(|origin| {
                let origin = origin.as_ref();
                let refuse = || OriginError { origin: origin.to_owned() };
                if !well_formed(origin) {
                    return Err(refuse());
                }
                Ok(Listed {
                    origin: HeaderValue::from_str(origin).map_err(|_| refuse())?,
                    told: AtomicBool::new(false),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { listed })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().filter_map(|listed| listed.origin.to_str().ok())
    }

    /// The listed origin that these headers name: what CORS answers echo.
    pub(crate) fn named(&self, headers: &HeaderMap) -> Option<&HeaderValue> {
        self.find(headers).map(|listed| &listed.origin)
    }

    pub(crate) fn site(&self, headers: &HeaderMap, uri: &Uri) -> Site {
        if is_own(headers, uri) {
            Site::Own
        } else if self.find(headers).is_some() {
            Site::Listed
        } else {
            let origin = only(headers, &ORIGIN).and_then(|value| value.to_str().ok());
            Site::Foreign(origin.filter(|origin| well_formed(origin)).map(str::to_owned))
        }
    }

    /// True for the first request of each listed origin that comes without cookies.
    pub(crate) fn tell_once(&self, headers: &HeaderMap) -> bool {
        self.find(headers).is_some_and(|listed| !listed.told.swap(true, Ordering::Relaxed))
    }

    fn find(&self, headers: &HeaderMap) -> Option<&Listed> {
        let origin = only(headers, &ORIGIN)?;
        self.listed.iter().find(|listed| listed.origin == origin)
    }
}

fn is_own(headers: &HeaderMap, uri: &Uri) -> bool {
    if headers.contains_key(SEC_FETCH_SITE) {
        let site = only(headers, &SEC_FETCH_SITE).map(HeaderValue::as_bytes);
        return matches!(site, Some(b"same-origin" | b"none"));
    }
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let origin = only(headers, &ORIGIN).and_then(|value| value.to_str().ok());
    match (origin.and_then(|origin| origin.split_once("://")), host(headers, uri)) {
        (Some((scheme, theirs)), Some(ours)) => {
            let with_port = |authority: &str| match (has_port(authority), default_port(scheme)) {
                (false, Some(port)) => format!("{authority}:{port}").to_ascii_lowercase(),
                _ => authority.to_ascii_lowercase(),
            };
            with_port(theirs) == with_port(ours)
        }
        _ => false,
    }
}

/// Whom the request is addressed to (RFC 9112, section 3.2): an absolute target beats `Host`.
fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    uri.authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| only(headers, &HOST).and_then(|value| value.to_str().ok()))
}

/// Whether a request is addressed to this machine by its own name, and comes through no proxy.
pub(crate) fn is_local(head: &Parts) -> bool {
    let host_is_local = local_host(&head.headers, &head.uri);
    let through_a_proxy = head.headers.keys().any(|name| {
        matches!(name.as_str(), "forwarded" | "via" | "x-real-ip")
            || name.as_str().starts_with("x-forwarded-")
    });
    host_is_local && !through_a_proxy
}

/// Whether a request is addressed to this machine by a name that no name server can give to another.
pub(crate) fn loopback_host(headers: &HeaderMap, uri: &Uri) -> bool {
    let is_loopback = |host: &str| {
        let ip = without_port(host).trim_start_matches('[').trim_end_matches(']').parse();
        ip.is_ok_and(|ip: IpAddr| ip.is_loopback())
    };
    local_host(headers, uri) || host(headers, uri).is_some_and(is_loopback)
}

fn local_host(headers: &HeaderMap, uri: &Uri) -> bool {
    host(headers, uri).is_some_and(|host| {
        let host = without_port(host);
        host.eq_ignore_ascii_case("localhost") || matches!(host, "127.0.0.1" | "[::1]")
    })
}

/// The value of a header that must not stand twice.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, _)) if has_port(authority) => host,
        _ => authority,
    }
}

fn has_port(authority: &str) -> bool {
    // the colons inside an IPv6 address are none
    authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

fn default_port(scheme: &str) -> Option<&'static str> {
    match scheme {
        "http" => Some("80"),
        "https" => Some("443"),
        _ => None,
    }
}

fn well_formed(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let host = without_port(authority);
    let port_is_fine = match authority[host.len()..].strip_prefix(':') {
        Some(port) => {
            port.parse::<u16>().is_ok_and(|n| n.to_string() == port) && default_port(scheme) != Some(port)
        }
        None => true,
    };
    let scheme_is_fine = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    let host_is_fine = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok_and(|ip| ip.to_string() == address),
        None => {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
        }
    };
    scheme_is_fine && host_is_fine && port_is_fine
}

/// A text that is not an origin as browsers write it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{origin:?} is not an origin; write it as the browser does: lower-case scheme://host[:port] without a path, such as \"https://app.example.com\""
)]
pub struct OriginError {
    origin: String,
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    fn site(headers: &[(&'static str, &'static str)]) -> Site {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let origins = Origins::new(["https://app.example.com"]).unwrap();
        origins.site(&map, &Uri::from_static("/auth"))
    }

    #[test]
    fn own_listed_foreign() {
        let foreign = |name: &str| Site::Foreign(Some(name.to_owned()));
        for (headers, expected) in [
            (&[][..], Site::Own),
            (&[("host", "a.com")], Site::Own),
            (&[("sec-fetch-site", "same-origin"), ("origin", "null")], Site::Own),
            (&[("sec-fetch-site", "none")], Site::Own),
            (&[("sec-fetch-site", "same-site")], Site::Foreign(None)),
            (
                &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.com")],
                foreign("https://evil.com"),
            ),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://app.example.com")], Site::Listed),
            (&[("sec-fetch-site", "same-site"), ("origin", "https://app.example.com")], Site::Listed),
            (
                &[("sec-fetch-site", "same-site"), ("host", "a.com"), ("origin", "https://a.com")],
                foreign("https://a.com"),
            ),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], Site::Foreign(None)),
            (&[("sec-fetch-site", "Same-Origin")], Site::Foreign(None)),
            (&[("host", "a.com"), ("origin", "https://a.com")], Site::Own),
            (&[("host", "A.com:443"), ("origin", "https://a.com")], Site::Own),
            (&[("host", "a.com:443"), ("origin", "http://a.com")], foreign("http://a.com")),
            (&[("host", "a.com:8080"), ("origin", "http://a.com:8080")], Site::Own),
            (&[("host", "[::1]:80"), ("origin", "http://[::1]")], Site::Own),
            (&[("host", "a.com"), ("origin", "https://b.a.com")], foreign("https://b.a.com")),
            (&[("host", "a.com"), ("origin", "null")], Site::Foreign(None)),
            (&[("origin", "https://a.com")], foreign("https://a.com")),
            (&[("host", "a.com"), ("origin", "https://app.example.com")], Site::Listed),
            (
                &[("host", "a.com"), ("origin", "https://app.example.com"), ("origin", "https://x.com")],
                Site::Foreign(None),
            ),
        ] {
            assert_eq!(site(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn what_can_be_listed() {
        for good in [
            "https://a.com",
            "http://localhost:3000",
            "http://[::1]:8080",
            "capacitor://localhost",
            "web+app-2.x://localhost",
            "https://xn--bcher-kva.example",
        ] {
            assert_eq!(Origins::new([good]).unwrap().names().collect::<Vec<_>>(), [good]);
        }
        for bad in [
            "*",
            "null",
            "",
            "a.com",
            "https://",
            "https://a.com/",
            "https://A.com",
            "HTTPS://a.com",
            "hTTPS://a.com",
            "2app://a.com",
            "https://a.com:443",
            "http://a.com:80",
            "https://a.com:",
            "https://a.com:99999",
            "https://a.com:08080",
            "https://*.a.com",
            "https://a.com#",
            "https://u@a.com",
            "https://bücher.example",
            " https://a.com",
        ] {
            assert!(Origins::new([bad]).is_err(), "{bad}");
        }
    }
}
