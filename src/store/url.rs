use std::fmt;

use super::{MemoryStore, Store, StoreError};

/// Where a store is, as configurations write it: `redb:FILE`, `redis://HOST:PORT/DB`, `rediss://` (TLS) or `memory:`.
///
/// ```
/// use accrue::StoreUrl;
///
/// assert!(StoreUrl::parse("redb:/var/lib/accrue/accrue.redb").is_ok());
/// assert!(StoreUrl::parse("postgres://localhost/accrue").is_err());
///
/// // what is printed holds no password
/// let url = StoreUrl::parse("rediss://accrue:pa55word@redis.internal:6380/1")?;
/// assert_eq!(url.to_string(), "rediss://redis.internal:6380/1");
/// # Ok::<(), accrue::StoreUrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Memory,
    Redb(String),
    Redis(String),
}

impl StoreUrl {
    /// Reads it.
    ///
    /// # Errors
    /// See [`StoreUrlError`], which repeats no password.
    pub fn parse(text: &str) -> Result<Self, StoreUrlError> {
        if text == "memory:" {
            return Ok(Self(Place::Memory));
        }
        if let Some(path) = text.strip_prefix("redb:") {
            return match path {
                "" => Err(StoreUrlError::NoFile),
                path => Ok(Self(Place::Redb(path.to_owned()))),
            };
        }
        if text.starts_with("redis://") || text.starts_with("rediss://") {
            // or nobody could tell where the password ends, and a part of it would be printed
            let (authority, rest) = split_redis(text);
            if authority.matches('@').count() > 1 || rest.contains(['@', '#']) {
                return Err(StoreUrlError::Unescaped);
            }
            #[cfg(feature = "redis")]
            ::redis::IntoConnectionInfo::into_connection_info(text).map_err(|_| StoreUrlError::Redis)?;
            return Ok(Self(Place::Redis(text.to_owned())));
        }
        Err(StoreUrlError::Scheme)
    }

    /// Opens the store of this Ably app there. A file is opened now; a server is connected to when it is first needed, and
    /// again when the connection is lost.
    ///
    /// # Errors
    /// For a file that can't be opened, an address that is none, and a kind of store that this build is without.
    pub fn open(&self, app_id: &str) -> Result<Store, StoreError> {
        match &self.0 {
            Place::Memory => Ok(Store::new(MemoryStore::default())),
            #[cfg(feature = "redb")]
            Place::Redb(path) => super::RedbStore::open(path, app_id).map(Store::new),
            #[cfg(feature = "redis")]
            Place::Redis(url) => super::RedisStore::new(url, app_id).map(Store::new),
            #[cfg(not(all(feature = "redb", feature = "redis")))]
            _ => Err(StoreError(format!("{self} for {app_id} needs a build with the feature of that name"))),
        }
    }

    /// Whether it lives no longer than the process.
    pub fn is_memory(&self) -> bool {
        self.0 == Place::Memory
    }

    /// Whether it is a file, which a process has to itself.
    pub fn is_file(&self) -> bool {
        matches!(self.0, Place::Redb(_))
    }

    /// The password, to compare it with other secrets.
    #[cfg(feature = "config")]
    pub(crate) fn password(&self) -> Option<String> {
        let Place::Redis(url) = &self.0 else { return None };
        let (_, password) = split_redis(url).0.split_once('@')?.0.split_once(':')?;
        // which mean something else in a form
        let form = format!("password={}", password.replace('+', "%2B").replace('&', "%26"));
        form_urlencoded::parse(form.as_bytes()).next().map(|(_, password)| password.into_owned())
    }
}

/// User, password, host and port, and what comes after them.
fn split_redis(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()))
}

/// Without user and password.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Memory => f.write_str("memory:"),
            Place::Redb(path) => write!(f, "redb:{path}"),
            Place::Redis(url) => {
                let scheme = if url.starts_with("rediss:") { "rediss" } else { "redis" };
                let (authority, rest) = split_redis(url);
                let address = authority.split_once('@').map_or(authority, |(_, address)| address);
                write!(f, "{scheme}://{address}{}", rest.split('?').next().unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no [`StoreUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreUrlError {
    /// Of no known kind.
    #[error(
        "write \"redb:FILE\" (one process), \"redis://HOST:PORT/DB\" (several; rediss:// for TLS) or \"memory:\" (to try things out)"
    )]
    Scheme,
    /// Not an address, or with a fragment such as `#insecure`.
    #[error(
        "write redis://USER:PASSWORD@HOST:PORT/DB, or rediss:// for TLS, all but the host may be left out; without a fragment"
    )]
    Redis,
    /// `redb:` alone.
    #[error("\"redb:\" needs the path of a file, such as \"redb:accrue.redb\"")]
    NoFile,
    /// Of Redis, with characters where they end something else.
    #[error("write \"/\", \"?\", \"#\" and \"@\" in a user or password as %2F, %3F, %23 and %40")]
    Unescaped,
}
