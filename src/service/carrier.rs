use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::authenticate::cookies;
use crate::issuer::{Report, SealedChange};

/// How grants travel as cookies.
///
/// ```
/// use accrue::CookieSettings;
///
/// let mut cookies = CookieSettings::default();
/// assert_eq!(cookies.prefix(), "__Host-accrue.");
/// cookies.secure = false; // plain http on loopback
/// assert_eq!(cookies.prefix(), "accrue.");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CookieSettings {
    /// The name before the dot; `accrue` by default.
    pub name: String,
    /// `__Host-` prefix and `Secure` (the default). False only for plain http on loopback.
    pub secure: bool,
    /// `SameSite=None; Partitioned`, for pages embedded in other sites; needs `secure`. By default
    /// `SameSite=Strict`.
    pub cross_site: bool,
}

impl Default for CookieSettings {
    fn default() -> Self {
        Self { name: "accrue".to_owned(), secure: true, cross_site: false }
    }
}

impl CookieSettings {
    /// How every cookie's name begins; eight characters of the grant's digest follow.
    pub fn prefix(&self) -> String {
        let host = if self.secure { "__Host-" } else { "" };
        format!("{host}{}.", self.name)
    }

    /// How many bytes of a cookie its name takes.
    pub fn name_bytes(&self) -> usize {
        self.prefix().len() + TAG_CHARS
    }

    /// The name of the cookie that holds this grant: it follows from the content, so two answers never
    /// overwrite each other's.
    fn name_for(&self, grant: &str) -> String {
        let digest = grant.rsplit('.').next().unwrap_or_default();
        format!("{}{}", self.prefix(), &digest[..TAG_CHARS.min(digest.len())])
    }

    fn set(&self, name: String, value: String, max_age: u64) -> HeaderValue {
        let max_age = Duration::seconds(i64::try_from(max_age).unwrap_or(i64::MAX));
        let mut cookie = Cookie::build((name, value))
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Strict)
            .max_age(max_age);
        if self.cross_site {
            cookie = cookie.same_site(SameSite::None).partitioned(true);
        }
        HeaderValue::try_from(cookie.build().to_string()).expect("names and values are checked to be ASCII")
    }
}

/// Where a request's grants came from, and so where the answer's go.
pub(crate) enum Carrier {
    /// The cookies whose name begins as ours do.
    Cookies(Vec<Candidate>),
    /// The header `Accrue-Grant`: cookies are neither read nor written then.
    Header(Vec<String>),
}

pub(crate) struct Candidate {
    name: String,
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
        let candidates = cookies(headers).filter(|(name, _)| name.starts_with(&prefix));
        Self::Cookies(candidates.map(|(name, value)| Candidate { name, value }).collect())
    }

    pub(crate) fn is_header(&self) -> bool {
        matches!(self, Self::Header(_))
    }

    /// The texts to look at, equal ones once.
    pub(crate) fn presented(&self) -> Vec<String> {
        let mut presented: Vec<String> = Vec::new();
        let mut add = |text: &String| {
            if !presented.contains(text) {
                presented.push(text.clone());
            }
        };
        match self {
            Self::Cookies(candidates) => candidates.iter().for_each(|candidate| add(&candidate.value)),
            Self::Header(texts) => texts.iter().for_each(&mut add),
        }
        presented
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
                let unreadable = self.unreadable(report);
                // one that does not verify may be another account's; only too many of them are cleared away
                let overflowing =
                    candidates.iter().map(Candidate::bytes).sum::<usize>() > MAX_CANDIDATES_BYTES;
                let dropped = |value: &String| {
                    change.drop.contains(value) || (overflowing && unreadable.contains(value))
                };
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

    fn unreadable(&self, report: &Report) -> Vec<String> {
        let presented = self.presented().into_iter().zip(&report.grants);
        presented.filter(|(_, read)| read.is_err()).map(|(text, _)| text).collect()
    }

    /// All that the client holds now, as it keeps nothing else.
    fn write_header(&self, change: &SealedChange, report: &Report, headers: &mut HeaderMap) -> Carried {
        let presented = self.presented();
        let verified =
            presented.iter().zip(&report.grants).filter(|(_, read)| read.is_ok()).map(|(text, _)| text);
        let kept: Vec<&str> = verified
            .filter(|text| !change.drop.contains(text))
            .chain(&change.put)
            .map(String::as_str)
            .collect();
        let value = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
        headers.insert(GRANT, HeaderValue::try_from(value).expect("grants are ASCII"));
        Carried {
            grants: kept.len(),
            bytes: kept.iter().map(|text| text.len()).sum(),
            set: change.put.len(),
            deleted: presented.len() + change.put.len() - kept.len(),
        }
    }
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
    let mut named: Vec<String> = Vec::new();
    // first, because some clients forget deletions that stand before it
    for grant in put {
        let name = settings.name_for(grant);
        carried.set += 1;
        carried.grants += 1;
        carried.bytes += name.len() + grant.len();
        headers.append(SET_COOKIE, settings.set(name.clone(), grant.clone(), keep_for));
        named.push(name);
    }
    for candidate in candidates {
        if named.contains(&candidate.name) {
            continue;
        }
        if dropped(&candidate.value) && candidate.name.is_ascii() {
            headers.append(SET_COOKIE, settings.set(candidate.name.clone(), String::new(), 0));
            named.push(candidate.name.clone());
            carried.deleted += 1;
        } else {
            carried.grants += 1;
            carried.bytes += candidate.bytes();
        }
    }
    carried
}

impl Candidate {
    fn bytes(&self) -> usize {
        self.name.len() + self.value.len()
    }
}

pub(crate) const GRANT: HeaderName = HeaderName::from_static("accrue-grant");
/// Of a grant's digest, in its cookie's name.
const TAG_CHARS: usize = 8;
const MAX_CANDIDATES_BYTES: usize = 8 * 1024;
