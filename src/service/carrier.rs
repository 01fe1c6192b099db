use std::fmt::Write as _;
use std::sync::Arc;

use cookie::{Cookie, SameSite};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::authenticate::each_cookie;
use crate::grant::{SealedText, Unreadable};
use crate::issuer::recall::looked_at;
use crate::issuer::{Report, SealedChange};

/// How grants travel as cookies.
///
/// ```
/// use accrue::{CookieScope, CookieSettings};
///
/// assert_eq!(CookieSettings::default().prefix(), "__Host-accrue.");
/// assert_eq!(CookieSettings::new("grants", CookieScope::InsecureLoopback)?.prefix(), "grants.");
/// assert!(CookieSettings::new("grants; Domain=example.com", CookieScope::SameSite).is_err());
/// # Ok::<(), accrue::CookieNameError>(())
/// ```
#[derive(Debug, Clone)]
pub struct CookieSettings {
    prefix: String,
    scope: CookieScope,
    /// What follows a cookie's value, up to the number of seconds that it is kept.
    attributes: String,
}

/// Where cookies go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieScope {
    /// `Secure; SameSite=Strict` and the prefix `__Host-`: for pages on the same site.
    #[default]
    SameSite,
    /// `Secure; SameSite=None; Partitioned` and the prefix `__Host-`: for pages embedded in other sites too.
    CrossSite,
    /// `SameSite=Strict` only: for plain http, which is safe on loopback alone.
    InsecureLoopback,
}

impl Default for CookieSettings {
    fn default() -> Self {
        Self::prefixed("accrue", CookieScope::default())
    }
}

impl CookieSettings {
    /// The name before the dot, `accrue` by default, and where the cookies go.
    ///
    /// # Errors
    /// A name is 1 to 64 letters, digits, `_` and `-`, and has no prefix such as `__Host-`: the scope adds it.
    pub fn new(name: impl Into<String>, scope: CookieScope) -> Result<Self, CookieNameError> {
        let name = name.into();
        let well_formed = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            && !name.starts_with("__");
        if well_formed { Ok(Self::prefixed(&name, scope)) } else { Err(CookieNameError) }
    }

    fn prefixed(name: &str, scope: CookieScope) -> Self {
        let is_secure = scope != CookieScope::InsecureLoopback;
        let host = if is_secure { "__Host-" } else { "" };
        let is_cross_site = scope == CookieScope::CrossSite;
        let cookie = Cookie::build(("", ""))
            .path("/")
            .http_only(true)
            .secure(is_secure)
            .same_site(if is_cross_site { SameSite::None } else { SameSite::Strict })
            .partitioned(is_cross_site);
        let attributes = cookie.build().to_string();
        Self {
            prefix: format!("{host}{name}."),
            scope,
            attributes: format!("{}; Max-Age=", &attributes["=".len()..]),
        }
    }

    /// Where the cookies go.
    pub fn scope(&self) -> CookieScope {
        self.scope
    }

    /// How every cookie's name begins; eight characters of the grant's digest follow.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// How many bytes of a cookie its name takes.
    pub fn name_bytes(&self) -> usize {
        self.prefix.len() + TAG_CHARS
    }

    fn set(&self, suffix: &str, value: &str, seconds: u64) -> HeaderValue {
        let fixed = self.prefix.len() + suffix.len() + "=".len() + value.len() + self.attributes.len();
        let mut text = String::with_capacity(fixed + seconds.checked_ilog10().unwrap_or(0) as usize + 1);
        let _ = write!(text, "{}{suffix}={value}{}{seconds}", self.prefix, self.attributes);
        HeaderValue::try_from(text).expect("names and values are checked to be ASCII")
    }
}

/// How the name of the cookie that holds this grant ends. It follows from the content, so two answers never overwrite
/// each other's.
fn suffix(grant: &str) -> &str {
    let digest = grant.rsplit('.').next().unwrap_or_default();
    &digest[..TAG_CHARS.min(digest.len())]
}

/// A text that can't begin a cookie's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a cookie's name must be 1 to 64 letters, digits, \"_\" and \"-\", without a prefix such as __Host-, which is added to it"
)]
pub struct CookieNameError;

/// Where a request's grants came from, and so where the answer's go.
pub(crate) enum Carrier {
    /// The cookies whose name begins as ours do.
    Cookies(Vec<Candidate>),
    /// The header `Accrue-Grant`: cookies are neither read nor written then.
    Header(Vec<String>),
}

pub(crate) struct Candidate {
    /// Of its name, what follows our prefix.
    suffix: String,
    value: String,
}

/// What a client carries after an answer, as far as the server can tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Carried {
    /// How many grants, another client's in the same browser included.
    pub grants: usize,
    /// Their bytes; for cookies, names included.
    pub bytes: usize,
    /// How many this answer set.
    pub set: usize,
    /// How many this answer deleted.
    pub deleted: usize,
}

impl Carrier {
    pub(crate) fn read(headers: &HeaderMap, settings: &CookieSettings) -> Self {
        if headers.contains_key(GRANT) {
            let texts = headers
                .get_all(GRANT)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .map(str::trim)
                .filter(|text| !matches!(*text, "" | "none"));
            return Self::Header(texts.map(str::to_owned).collect());
        }
        let prefix = settings.prefix();
        let mut candidates = Vec::new();
        each_cookie(headers, |name, value| {
            if let Some(suffix) = name.strip_prefix(prefix) {
                candidates.push(Candidate { suffix: suffix.to_owned(), value: value.to_owned() });
            }
        });
        Self::Cookies(candidates)
    }

    pub(crate) fn is_header(&self) -> bool {
        matches!(self, Self::Header(_))
    }

    /// The texts that are looked at.
    pub(crate) fn presented(&self) -> Vec<String> {
        let texts = match self {
            Self::Cookies(candidates) => looked_at(candidates.iter().map(|candidate| &candidate.value)),
            Self::Header(texts) => looked_at(texts),
        };
        texts.into_iter().cloned().collect()
    }

    /// Writes the change into an answer's headers. `report` tells which of the texts presented verified.
    pub(crate) fn write(
        &self,
        change: &SealedChange,
        report: &Report,
        settings: &CookieSettings,
        keep_for: u64,
        headers: &mut HeaderMap,
    ) -> Carried {
        match self {
            Self::Header(_) => self.write_header(change, report, headers),
            Self::Cookies(candidates) => {
                // one that does not verify may be another account's; only too many of them are cleared away
                let overflowing = candidates.iter().map(|candidate| candidate.bytes(settings)).sum::<usize>()
                    > MAX_CANDIDATES_BYTES;
                let cleared = if overflowing { self.unreadable(report) } else { Vec::new() };
                let dropped = |value: &String| change.drop.contains(value) || cleared.contains(value);
                write_cookies(candidates, &change.put, dropped, settings, keep_for, headers)
            }
        }
    }

    /// Deletes everything, whoever's it is.
    pub(crate) fn clear(&self, settings: &CookieSettings, headers: &mut HeaderMap) -> Carried {
        match self {
            Self::Header(_) => self.write_header(&SealedChange::default(), &Report::default(), headers),
            Self::Cookies(candidates) => write_cookies(candidates, &[], |_| true, settings, 0, headers),
        }
    }

    /// Leaves everything as it is, and says so to a client that keeps its grants itself.
    pub(crate) fn leave(&self, headers: &mut HeaderMap) {
        if self.is_header() {
            let presented = self.presented();
            let grants =
                presented.iter().map(String::as_str).filter(|text| SealedText::parse(text).is_some());
            headers.insert(GRANT, header_of(&grants.collect::<Vec<_>>()));
        }
    }

    fn unreadable(&self, report: &Report) -> Vec<String> {
        let presented = self.presented().into_iter().zip(&report.grants);
        presented.filter(|(_, read)| read.is_err()).map(|(text, _)| text).collect()
    }

    /// All that the client holds now, as it keeps nothing else. What only this instance can't read (another may
    /// have a newer secret, or a clock that is ahead) is handed back, as a cookie would be left alone.
    fn write_header(&self, change: &SealedChange, report: &Report, headers: &mut HeaderMap) -> Carried {
        let presented = self.presented();
        let overflowing = presented.iter().map(String::len).sum::<usize>() > MAX_CANDIDATES_BYTES;
        let is_kept = |read: &Result<Arc<str>, Unreadable>| match read {
            Ok(_) => true,
            Err(Unreadable::UnknownKid | Unreadable::FromTheFuture) => !overflowing,
            Err(_) => false,
        };
        let kept: Vec<&str> = presented
            .iter()
            .zip(&report.grants)
            .filter(|(text, read)| is_kept(read) && !change.drop.contains(text))
            .map(|(text, _)| text)
            .chain(&change.put)
            .map(String::as_str)
            .collect();
        headers.insert(GRANT, header_of(&kept));
        Carried {
            grants: kept.len(),
            bytes: kept.iter().map(|text| text.len()).sum(),
            set: change.put.len(),
            deleted: presented.len() + change.put.len() - kept.len(),
        }
    }
}

/// The value of `Accrue-Grant` for a client that holds these.
fn header_of(grants: &[&str]) -> HeaderValue {
    let value = if grants.is_empty() { "none".to_owned() } else { grants.join(", ") };
    HeaderValue::try_from(value).expect("what was read as ASCII is ASCII")
}

fn write_cookies(
    candidates: &[Candidate],
    put: &[String],
    dropped: impl Fn(&String) -> bool,
    settings: &CookieSettings,
    keep_for: u64,
    headers: &mut HeaderMap,
) -> Carried {
    let mut carried = Carried::default();
    // first, because some clients forget deletions that stand before it
    for grant in put {
        carried.set += 1;
        carried.grants += 1;
        carried.bytes += settings.name_bytes() + grant.len();
        headers.append(SET_COOKIE, settings.set(suffix(grant), grant, keep_for));
    }
    let mut deleted: Vec<&str> = Vec::new();
    for candidate in candidates {
        let name = candidate.suffix.as_str();
        if deleted.contains(&name) || put.iter().any(|grant| suffix(grant) == name) {
            continue;
        }
        if deleted.len() < MAX_DELETIONS && name.is_ascii() && dropped(&candidate.value) {
            headers.append(SET_COOKIE, settings.set(name, "", 0));
            deleted.push(name);
        } else {
            carried.grants += 1;
            carried.bytes += candidate.bytes(settings);
        }
    }
    carried.deleted = deleted.len();
    carried
}

impl Candidate {
    fn bytes(&self, settings: &CookieSettings) -> usize {
        settings.prefix.len() + self.suffix.len() + self.value.len()
    }
}

pub(crate) const GRANT: HeaderName = HeaderName::from_static("accrue-grant");
/// Of a grant's digest, in its cookie's name.
const TAG_CHARS: usize = 8;
const MAX_CANDIDATES_BYTES: usize = 8 * 1024;
/// In one answer; as many cookies as browsers keep for one host.
const MAX_DELETIONS: usize = 180;
