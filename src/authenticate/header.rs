use http::{HeaderMap, HeaderName};

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
    /// For a secret of fewer than 16 bytes (an unset variable must not let everybody in), and for a header that means
    /// something else already.
    pub fn new(name: HeaderName, secret: &str) -> Result<Self, ProxyHeaderError> {
        if secret.len() < Self::MIN_SECRET_BYTES {
            return Err(ProxyHeaderError::ShortSecret);
        }
        if TAKEN.contains(&name.as_str()) {
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
    /// Browsers or this service use it for something else.
    #[error("{name} means something else already; use a header of your own, such as x-client-id")]
    Taken {
        /// Its name.
        name: String,
    },
}

/// What clients send by themselves, and what is a secret.
const TAKEN: [&str; 8] = [
    "accrue-grant",
    "authorization",
    "cookie",
    "host",
    "origin",
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
