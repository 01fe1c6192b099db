use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Authenticate, Caller, Unauthenticated, refused};
use crate::client::{Client, ClientId};
use crate::mac::Secret;

/// Believes a header that your own proxy sets, as long as the proxy's secret comes with it in
/// `x-proxy-secret`.
///
/// The proxy must remove the header from what clients send: of two, none is believed.
#[derive(Debug, Clone)]
pub struct ProxyHeader {
    name: HeaderName,
    secret: Secret,
}

impl ProxyHeader {
    /// The header that the proxy puts its secret into.
    pub const SECRET_HEADER: HeaderName = HeaderName::from_static("x-proxy-secret");

    /// The header that names the client, and the secret that the proxy proves itself with.
    ///
    /// # Errors
    /// For a secret of fewer than 16 bytes (an unset variable must not let everybody in) or one that no header can carry
    /// as it is, and for a header that means something else already.
    pub fn new(name: HeaderName, secret: &str) -> Result<Self, ProxyHeaderError> {
        if secret.len() < Self::MIN_SECRET_BYTES {
            return Err(ProxyHeaderError::ShortSecret);
        }
        if !can_be_sent(secret) {
            return Err(ProxyHeaderError::Unsendable);
        }
        if TAKEN.contains(&name.as_str()) || name.as_str().starts_with("sec-") {
            return Err(ProxyHeaderError::Taken { name: name.to_string() });
        }
        Ok(Self { name, secret: Secret::new(secret) })
    }

    pub(crate) const MIN_SECRET_BYTES: usize = 16;

    /// The header that names the client.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }
}

/// Why a header can't tell who is calling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// Fewer than 16 bytes.
    #[error("the proxy's secret needs 16 bytes at least")]
    ShortSecret,
    /// Not what arrives when it is sent.
    #[error(
        "the proxy's secret can't be sent in a header as it is: take one without control characters, and without blanks at its ends; `accrue keygen` makes a good one"
    )]
    Unsendable,
    /// Browsers or this service use it for something else.
    #[error("{name} means something else already; use a header of your own, such as x-client-id")]
    Taken {
        /// Its name.
        name: String,
    },
}

#[cfg(feature = "config")]
impl ProxyHeaderError {
    /// Whether another header would not help.
    pub(crate) fn is_about_the_secret(&self) -> bool {
        matches!(self, Self::ShortSecret | Self::Unsendable)
    }
}

/// Whether a text arrives as it is: recipients take blanks from the ends (RFC 9110, section 5.5).
fn can_be_sent(text: &str) -> bool {
    HeaderValue::try_from(text).is_ok() && text.trim() == text
}

/// What clients and proxies send by themselves, and what is a secret.
const TAKEN: [&str; 20] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "accrue-grant",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "referer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-proxy-secret",
    "x-request-id",
];

impl Authenticate for ProxyHeader {
    async fn authenticate(&self, caller: Caller) -> Result<Client, Unauthenticated> {
        let secret = exactly_one(&caller.headers, &Self::SECRET_HEADER)?;
        if !self.secret.equals(secret) {
            return Err(refused("x-proxy-secret is not the configured secret"));
        }
        let id = exactly_one(&caller.headers, &self.name)?;
        let id = std::str::from_utf8(id).map_err(|_| refused(format!("{} is not UTF-8", self.name)))?;
        // what proxies send for visitors who are not signed in
        if id.is_empty() {
            return Err(refused(format!("{} is empty", self.name)));
        }
        Ok(Client::new(ClientId::try_from(id)?))
    }
}

fn exactly_one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a [u8], Unauthenticated> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        (None, _) => Err(refused(format!("no {name} header"))),
        (Some(_), Some(_)) => Err(refused(format!("several {name} headers"))),
    }
}
