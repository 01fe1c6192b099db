use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use super::{Unauthenticated, refused};

/// The one `Authorization`, if it says anything. Empty and `-` count as absent: with `authHeaders: {authorization: "-"}`
/// ably-js sends cookies to another origin.
pub(crate) fn authorization(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Unauthenticated> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, more) = (values.next(), values.next());
    if more.is_some() {
        return Err(refused("several Authorization headers"));
    }
    Ok(value.filter(|value| !matches!(value.as_bytes().trim_ascii(), b"" | b"-")))
}

/// The bearer token (RFC 6750), if there is any `Authorization`.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Unauthenticated> {
    let Some(value) = authorization(headers)? else { return Ok(None) };
    let value = value.to_str().map_err(|_| refused("Authorization is not ASCII"))?.trim();
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(refused("Authorization is not of the form \"Bearer TOKEN\"")),
    }
}

/// Shows the name and value of every cookie of every `Cookie` header, the values as they are.
///
/// White space around them is HTTP's alone. Whoever may set a cookie for the whole domain can put U+2000, say, before
/// `__Host-`: browsers see no prefix in that, so it must not become one here.
pub(crate) fn each_cookie(headers: &HeaderMap, mut see: impl FnMut(&str, &str)) {
    for field in headers.get_all(COOKIE) {
        // another application's cookie may be anything, and must not cost us ours; the quick way first
        let field = str::from_utf8(field.as_bytes())
            .map_or_else(|_| String::from_utf8_lossy(field.as_bytes()), Cow::Borrowed);
        for (name, value) in field.split(';').filter_map(|pair| pair.split_once('=')) {
            let name = name.trim_ascii();
            if !name.is_empty() {
                see(name, value.trim_ascii());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_tokens() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            bearer(&headers).map(|token| token.map(str::to_owned)).map_err(|_| ())
        };
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&[""], Ok(None)),
            (&["-"], Ok(None)),
            (&["Bearer abc"], Ok(Some("abc".to_owned()))),
            (&["bearer  abc"], Ok(Some("abc".to_owned()))),
            (&["Basic YTpi"], Err(())),
            (&["abc"], Err(())),
            (&["Bearer a", "Bearer b"], Err(())),
            (&["-", "Bearer b"], Err(())),
        ] {
            assert_eq!(read(values), expected, "{values:?}");
        }
    }

    #[test]
    fn cookie_values_are_taken_as_they_are() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; b=\"x%20y\"; =z; junk;c=d=e"));
        headers.append(COOKIE, HeaderValue::from_bytes(b"a=2; \xff=\xfe; f=").unwrap());
        let mut found = Vec::new();
        each_cookie(&headers, |name, value| found.push((name.to_owned(), value.to_owned())));
        let expected =
            [("a", "1"), ("b", "\"x%20y\""), ("c", "d=e"), ("a", "2"), ("\u{fffd}", "\u{fffd}"), ("f", "")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
