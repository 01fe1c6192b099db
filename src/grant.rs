use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use zeroize::Zeroizing;

use crate::ably::ApiKey;
use crate::capability::{Capability, Vocabulary};
use crate::client::ClientId;
use crate::deflate::{deflate, inflate};
use crate::mac::{DerivingKey, SigningKey, TAG_BYTES, TAG_CHARS};

/// "This client was permitted this, and the oldest check behind it was made at `since`."
///
/// It travels sealed, as the text `1j.KID.SINCE.CAPABILITIES.DIGEST`; see [`SealingKeys`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What was permitted.
    pub capability: Capability,
    /// Unix seconds: when the oldest question behind it was put.
    pub since: u64,
}

/// Seals grants so that clients can keep them, and tells which came back unchanged.
///
/// The first secret seals, all of them verify: so secrets rotate without locking anyone out. DIGEST is
/// HMAC-SHA256 over `<clientId>:<CAPABILITIES>` with a key derived (HKDF, RFC 5869) from the secret, the Ably
/// app, the form, the kid and the age, so a digest is useless for any other of these.
///
/// ```
/// use accrue::ably::ApiKey;
/// use accrue::{Capability, ClientId, Grant, SealingKeys, SealingSecret, Vocabulary};
///
/// let key = ApiKey::parse("app.key:an-ably-secret")?;
/// let secret = SealingSecret::parse("k1:ZG9jdW1lbnRhdGlvbi1zYW1wbGUtZG8tbm90LXVzZSE")?;
/// let keys = SealingKeys::new(&key, vec![secret])?;
/// let (alice, bob) = (ClientId::try_from("alice")?, ClientId::try_from("bob")?);
/// let capability = Capability::parse(r#"{"chat:1":["subscribe"]}"#, &Vocabulary::default())?;
///
/// let sealed = keys.seal(&alice, &Grant { capability, since: 1_700_000_100 }).expect("not empty");
/// assert!(sealed.starts_with("1j.k1.1700000100."));
///
/// let now = 1_700_000_200;
/// assert!(keys.unseal(&alice, &sealed, now, &Vocabulary::default()).is_ok());
/// assert!(keys.unseal(&bob, &sealed, now, &Vocabulary::default()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SealingKeys {
    app_id: String,
    secrets: Vec<SealingSecret>,
}

/// A grant that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// What it says.
    pub grant: Grant,
    /// The kid of the secret that sealed it.
    pub kid: Arc<str>,
    /// Whether that is the secret that seals now.
    pub current: bool,
}

impl SealingKeys {
    /// Keys for grants of the Ably app that `key` belongs to: every key of one app shares them.
    ///
    /// # Errors
    /// There must be a secret, and no kid may stand twice.
    pub fn new(key: &ApiKey, secrets: Vec<SealingSecret>) -> Result<Self, SealingKeysError> {
        if secrets.is_empty() {
            return Err(SealingKeysError::NoSecret);
        }
        for (at, secret) in secrets.iter().enumerate() {
            if secrets[..at].iter().any(|earlier| earlier.kid == secret.kid) {
                return Err(SealingKeysError::KidTwice { kid: secret.kid.to_string() });
            }
        }
        Ok(Self { app_id: key.app_id().to_owned(), secrets })
    }

    /// The kids of the secrets, the one that seals first.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(SealingSecret::kid)
    }

    /// The sealed text, with the first secret and in the shorter of both forms. `None` where verifying would
    /// refuse it: for an empty capability, one of more than 65,536 bytes, or a `since` of 0 or beyond eleven
    /// digits.
    pub fn seal(&self, client: &ClientId, grant: &Grant) -> Option<String> {
        let secret = self.secrets.first()?;
        let (form, capabilities) = contents(grant)?;
        let encoded = base64::encoded_len(capabilities.len(), false)?;
        let mut text = String::with_capacity(Self::around(secret, grant) + encoded);
        write!(text, "{VERSION}{form}.{}.{}", secret.kid, grant.since).ok()?;
        let key = self.scoped(secret, &text);
        text.push('.');
        let start = text.len();
        BASE64URL.encode_string(capabilities, &mut text);
        let digest = key.sign(&[client.as_str().as_bytes(), b":", &text.as_bytes()[start..]]);
        text.push('.');
        BASE64URL.encode_string(digest.as_bytes(), &mut text);
        Some(text)
    }

    /// Whether sealing this grant makes a text of no more bytes than this.
    pub(crate) fn fits(&self, grant: &Grant, most: usize) -> bool {
        let Some(secret) = self.secrets.first() else { return false };
        let around = Self::around(secret, grant);
        let fits = |bytes: &[u8]| {
            base64::encoded_len(bytes.len(), false).is_some_and(|encoded| around + encoded <= most)
        };
        // most fit as they are, which is much cheaper to find out
        is_sealable(grant)
            && (fits(grant.capability.as_str().as_bytes())
                || contents(grant).is_some_and(|(_, capabilities)| fits(&capabilities)))
    }

    /// How many bytes of a sealed text are not CAPABILITIES.
    fn around(secret: &SealingSecret, grant: &Grant) -> usize {
        VERSION.len()
            + "j.".len()
            + secret.kid.len()
            + ".".len()
            + digits(grant.since)
            + "..".len()
            + TAG_CHARS
    }

    /// The grant, if this text was sealed for this client with one of the secrets and says nothing that
    /// sealing would not have written.
    ///
    /// # Errors
    /// [`Unreadable`] is for logs and counters only: a grant that does not verify counts as absent.
    pub fn unseal(
        &self,
        client: &ClientId,
        text: &str,
        now: u64,
        vocabulary: &Vocabulary,
    ) -> Result<Unsealed, Unreadable> {
        let sealed = SealedText::parse(text).ok_or(Unreadable::Malformed)?;
        let (at, secret) = self
            .secrets
            .iter()
            .enumerate()
            .find(|(_, secret)| *secret.kid == *sealed.kid)
            .ok_or(Unreadable::UnknownKid)?;
        let message = [client.as_str().as_bytes(), b":", sealed.capabilities.as_bytes()];
        if !self.scoped(secret, sealed.head).verify(&message, &sealed.digest) {
            return Err(Unreadable::Digest);
        }
        if sealed.since > now.saturating_add(MAX_AHEAD) {
            return Err(Unreadable::FromTheFuture);
        }
        Ok(Unsealed {
            grant: Grant {
                capability: sealed.untrusted_capability(vocabulary).ok_or(Unreadable::Contents)?,
                since: sealed.since,
            },
            kid: secret.kid.clone(),
            current: at == 0,
        })
    }

    /// The key for one form, kid and age, in the way of AWS Signature V4's dated keys.
    fn scoped(&self, secret: &SealingSecret, head: &str) -> SigningKey {
        secret.key.derive(&[self.app_id.as_bytes(), b"\n", head.as_bytes()])
    }
}

/// A grant whose digest nobody has checked: for explaining it, never for deciding.
pub struct SealedText<'a> {
    /// `1j.KID.SINCE`
    head: &'a str,
    deflated: bool,
    kid: &'a str,
    since: u64,
    capabilities: &'a str,
    digest: [u8; TAG_BYTES],
}

impl fmt::Debug for SealedText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedText").field("head", &self.head).finish_non_exhaustive()
    }
}

impl<'a> SealedText<'a> {
    /// Takes a text apart; `None` if it does not even look like a grant.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (front, digest) = text.rsplit_once('.')?;
        let (head, capabilities) = front.rsplit_once('.')?;
        let mut parts = head.split('.');
        let (form, kid, since) = (parts.next()?, parts.next()?, parts.next()?);
        let deflated = match form.strip_prefix(VERSION)? {
            PLAIN => false,
            DEFLATED => true,
            _ => return None,
        };
        let digits = since.bytes().all(|b| b.is_ascii_digit());
        if parts.next().is_some()
            || !kid_is_well_formed(kid)
            || !digits
            || since.starts_with('0')
            || since.len() > 11
        {
            return None;
        }
        if digest.len() != TAG_CHARS {
            return None;
        }
        Some(Self {
            head,
            deflated,
            kid,
            since: since.parse().ok()?,
            capabilities,
            digest: decode_digest(digest)?,
        })
    }

    /// The kid it names.
    pub fn untrusted_kid(&self) -> &'a str {
        self.kid
    }

    /// The Unix seconds it names.
    pub fn untrusted_since(&self) -> u64 {
        self.since
    }

    /// The capability it names, if that is canonical, not empty and at most 65,536 bytes long.
    pub fn untrusted_capability(&self, vocabulary: &Vocabulary) -> Option<Capability> {
        let bytes = BASE64URL.decode(self.capabilities).ok()?;
        let bytes = if self.deflated { inflate(&bytes, MAX_BYTES)? } else { bytes };
        if bytes.len() > MAX_BYTES {
            return None;
        }
        canonical(String::from_utf8(bytes).ok()?, vocabulary)
    }
}

/// The capability that this text is the canonical form of; `None` for an empty one.
pub(crate) fn canonical(text: String, vocabulary: &Vocabulary) -> Option<Capability> {
    Capability::from_canonical(text, vocabulary).filter(|capability| !capability.is_empty())
}

fn decode_digest(text: &str) -> Option<[u8; TAG_BYTES]> {
    let mut digest = [0; TAG_BYTES];
    let written = BASE64URL.decode_slice(text, &mut digest).ok()?;
    (written == TAG_BYTES).then_some(digest)
}

/// What CAPABILITIES are the base64url of, in the shorter form.
fn contents(grant: &Grant) -> Option<(&'static str, Cow<'_, [u8]>)> {
    if !is_sealable(grant) {
        return None;
    }
    let canonical = grant.capability.as_str().as_bytes();
    Some(match deflate(canonical) {
        Some(deflated) => (DEFLATED, deflated.into()),
        None => (PLAIN, canonical.into()),
    })
}

/// Whether verifying would not refuse it.
pub(crate) fn is_sealable(grant: &Grant) -> bool {
    !grant.capability.is_empty()
        && grant.capability.as_str().len() <= MAX_BYTES
        && (1..=MAX_SINCE).contains(&grant.since)
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// One secret that seals grants: a name for it (kid) and at least 32 random bytes.
#[derive(Clone)]
pub struct SealingSecret {
    kid: Arc<str>,
    key: DerivingKey,
}

impl SealingSecret {
    /// Reads `KID:BASE64URL`, as `accrue keygen` prints it.
    ///
    /// # Errors
    /// See [`SealingSecretError`]; it never repeats the secret.
    pub fn parse(text: &str) -> Result<Self, SealingSecretError> {
        let (kid, secret) = text.split_once(':').ok_or(SealingSecretError::Shape)?;
        if !kid_is_well_formed(kid) {
            return Err(SealingSecretError::Kid);
        }
        let bytes = Zeroizing::new(BASE64URL.decode(secret).map_err(|_| SealingSecretError::Base64url)?);
        if bytes.len() < MIN_SECRET_BYTES {
            return Err(SealingSecretError::Short { bytes: bytes.len() });
        }
        Ok(Self { kid: kid.into(), key: DerivingKey::new(SALT, &bytes) })
    }

    /// The name under which grants refer to it.
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

impl fmt::Debug for SealingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[redacted]", self.kid)
    }
}

fn kid_is_well_formed(kid: &str) -> bool {
    (1..=16).contains(&kid.len()) && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Why a text is not a [`SealingSecret`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealingSecretError {
    /// No colon.
    #[error("a sealing secret is KID:BASE64URL; `accrue keygen` makes one")]
    Shape,
    /// The kid is empty, too long or has other characters.
    #[error("the kid before the colon is 1 to 16 of A-Z, a-z, 0-9, \"_\" and \"-\"")]
    Kid,
    /// Not base64url without padding.
    #[error("the part after the colon is not base64url without padding; `accrue keygen` makes one")]
    Base64url,
    /// Fewer than 32 bytes.
    #[error("{bytes} bytes are too short for a sealing secret, 32 are needed; `accrue keygen` makes one")]
    Short {
        /// How many there were.
        bytes: usize,
    },
}

/// Why secrets do not make [`SealingKeys`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealingKeysError {
    /// The list is empty.
    #[error("there is no sealing secret; `accrue keygen` makes one")]
    NoSecret,
    /// Two secrets have one name.
    #[error("kid {kid:?} stands twice; give every secret a name of its own")]
    KidTwice {
        /// The name.
        kid: String,
    },
}

/// Why a text is no grant of this client. For logs and counters, never for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// Not of the form `1j.KID.SINCE.CAPABILITIES.DIGEST`.
    #[error("malformed")]
    Malformed,
    /// Sealed with a secret that is not configured here (yet, or any more).
    #[error("unknown kid")]
    UnknownKid,
    /// Changed, another client's, or another app's.
    #[error("digest does not verify")]
    Digest,
    /// More than 60 seconds ahead of the clock.
    #[error("from the future")]
    FromTheFuture,
    /// Authentic, but its contents are not what sealing writes: another vocabulary, say.
    #[error("contents not understood")]
    Contents,
    /// It verifies, but together the client's grants have more patterns than an [`Issuer`](crate::Issuer) looks at.
    #[error("too many patterns")]
    Patterns,
}

const VERSION: &str = "1";
const PLAIN: &str = "j";
const DEFLATED: &str = "z";
const SALT: &[u8] = b"accrue/grant";
/// Unix seconds of eleven digits.
pub(crate) const MAX_SINCE: u64 = 99_999_999_999;
/// Seconds that a grant may be ahead of this clock.
pub(crate) const MAX_AHEAD: u64 = 60;
/// The canonical capability inside a grant, in bytes.
pub(crate) const MAX_BYTES: usize = 65_536;
const MIN_SECRET_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_200;

    fn keys() -> SealingKeys {
        let key = ApiKey::parse("app.key:s").unwrap();
        let secret = SealingSecret::parse("k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY").unwrap();
        SealingKeys::new(&key, vec![secret]).unwrap()
    }

    fn alice() -> ClientId {
        ClientId::try_from("alice").unwrap()
    }

    fn unseal(text: &str) -> Result<Unsealed, Unreadable> {
        keys().unseal(&alice(), text, NOW, &Vocabulary::default())
    }

    /// A text with a good digest, whatever it says.
    fn forge(head: &str, capabilities: &str) -> String {
        let keys = keys();
        let digest = keys.scoped(&keys.secrets[0], head).sign(&[b"alice:", capabilities.as_bytes()]);
        format!("{head}.{capabilities}.{}", BASE64URL.encode(digest.as_bytes()))
    }

    #[test]
    fn what_sealing_would_not_have_written_is_refused_even_if_authentic() {
        let json = |text: &str| BASE64URL.encode(text);
        let deflate = |text: &str| miniz_oxide::deflate::compress_to_vec(text.as_bytes(), 6);
        let good = r#"{"a":["publish"]}"#;
        let head = "1j.k1.1700000100";
        assert!(unseal(&forge(head, &json(good))).is_ok());
        assert!(unseal(&forge("1z.k1.1700000100", &BASE64URL.encode(deflate(good)))).is_ok());

        for text in [
            "{}",
            r#"{"a": ["publish"]}"#,
            r#"{"a":["subscribe","publish"]}"#,
            r#"{"a":["publish","publish"]}"#,
            r#"{"a":["*","*"]}"#,
            r#"{"a":[]}"#,
            r#"{"b":["*"],"a":["*"]}"#,
            r#"{"a":["*"],"a":["*"]}"#,
            r#"{"\u0061":["*"]}"#,
            r#"{"a":["publish"]} "#,
            "",
            "7",
        ] {
            assert_eq!(unseal(&forge(head, &json(text))), Err(Unreadable::Contents), "{text}");
        }

        let mut trailing = deflate(good);
        trailing.push(0);
        let bomb = deflate(&" ".repeat(10_000_000));
        let mut cut = deflate(good);
        cut.pop();
        for bytes in [trailing, bomb, cut, Vec::new()] {
            let text = forge("1z.k1.1700000100", &BASE64URL.encode(&bytes));
            assert_eq!(unseal(&text), Err(Unreadable::Contents));
        }
        let padded = format!("{}=", json(r#"{"ab":["publish"]}"#));
        assert_eq!(unseal(&forge(head, &padded)), Err(Unreadable::Contents));
    }

    #[test]
    fn heads() {
        let capabilities = BASE64URL.encode(r#"{"a":["publish"]}"#);
        let refused = |head: &str| unseal(&forge(head, &capabilities)).unwrap_err();
        for head in [
            "2j.k1.1700000100",
            "1x.k1.1700000100",
            "1.k1.1700000100",
            "1jj.k1.1700000100",
            "1j..1700000100",
            "1j.k1.",
            "1j.k1.01700000100",
            "1j.k1.0",
            "1j.k1.+1700000100",
            "1j.k1.170000010000",
            "1j.k1.1700000100.x",
            "1j.12345678901234567.1700000100",
        ] {
            assert_eq!(refused(head), Unreadable::Malformed, "{head}");
        }
        assert_eq!(refused("1j.k2.1700000100"), Unreadable::UnknownKid);
        assert_eq!(refused("1j.k1.1700000261"), Unreadable::FromTheFuture);
        assert_eq!(refused("1j.k1.99999999999"), Unreadable::FromTheFuture);
        assert!(unseal(&forge("1j.k1.1700000260", &capabilities)).is_ok());
    }

    #[test]
    fn shows_neither_capabilities_nor_digest() {
        let text = forge("1j.k1.1700000100", &BASE64URL.encode(r#"{"a":["publish"]}"#));
        let shown = format!("{:?}", SealedText::parse(&text).unwrap());
        assert_eq!(shown, r#"SealedText { head: "1j.k1.1700000100", .. }"#);
    }

    #[test]
    fn never_seals_what_it_would_not_read() {
        let capability = |text: &str| Capability::parse(text, &Vocabulary::default()).unwrap();
        let seal = |text: &str, since| keys().seal(&alice(), &Grant { capability: capability(text), since });
        assert_eq!(seal("{}", 1), None);
        assert_eq!(seal(r#"{"a":["*"]}"#, 0), None);
        assert_eq!(seal(r#"{"a":["*"]}"#, 100_000_000_000), None);
        assert!(seal(r#"{"a":["*"]}"#, 99_999_999_999).is_some());

        // `{"<name>":["*"],...}`, filled up to exactly the limit and one byte beyond
        let sized = |bytes: usize| {
            let mut text = String::from("{");
            while bytes - text.len() > 2_000 {
                text += &format!("\"{:0>1000}\":[\"*\"],", text.len());
            }
            let left = bytes - text.len() - r#""":["*"]}"#.len();
            text += &format!("\"{:z>left$}\":[\"*\"]}}", "");
            assert_eq!(capability(&text).to_string().len(), bytes);
            text
        };
        let largest = seal(&sized(65_536), 1_700_000_100).unwrap();
        assert!(largest.starts_with("1z."));
        assert!(unseal(&largest).is_ok());
        assert_eq!(seal(&sized(65_537), 1_700_000_100), None);
    }

    #[test]
    fn what_fits_is_as_long_as_what_is_sealed() {
        let alike = |n: usize| format!("chat:room-{n:04}");
        let random = |n: usize| format!("{:016x}", (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let names: [&dyn Fn(usize) -> String; 2] = [&alike, &random];
        for (kid, since) in [("k", 1), ("k1", 1_700_000_100), ("0123456789abcdef", MAX_SINCE)] {
            let secret = format!("{kid}:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY");
            let key = ApiKey::parse("app.key:s").unwrap();
            let keys = SealingKeys::new(&key, vec![SealingSecret::parse(&secret).unwrap()]).unwrap();
            for name in names {
                let mut capability = Capability::default();
                for n in 0..120 {
                    let name = name(n);
                    // a byte more each time, so that every remainder is met
                    let text = format!("{{\"{name}{}\":[\"publish\"]}}", "x".repeat(n % 4));
                    capability = capability.union(&Capability::parse(&text, &Vocabulary::default()).unwrap());
                    let grant = Grant { capability: capability.clone(), since };
                    let bytes = keys.seal(&alice(), &grant).unwrap().len();
                    assert!(keys.fits(&grant, bytes), "{bytes} bytes");
                    assert!(!keys.fits(&grant, bytes - 1), "{} bytes", bytes - 1);
                }
            }
        }
        for since in [0, MAX_SINCE + 1] {
            assert!(!keys().fits(&Grant { capability: Capability::default(), since: 1 }, usize::MAX));
            let capability = Capability::parse(r#"{"a":["*"]}"#, &Vocabulary::default()).unwrap();
            assert!(!keys().fits(&Grant { capability, since }, usize::MAX));
        }
    }

    #[test]
    fn secrets() {
        for (text, error) in [
            ("k1", SealingSecretError::Shape),
            (":3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY", SealingSecretError::Kid),
            ("k.1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY", SealingSecretError::Kid),
            ("k1:3SE8zIQCZXN0mJTEi/D+a/xdOrWPfufospSBDHUzPSY", SealingSecretError::Base64url),
            ("k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY=", SealingSecretError::Base64url),
            ("k1:c2hvcnQ", SealingSecretError::Short { bytes: 5 }),
        ] {
            assert_eq!(SealingSecret::parse(text).unwrap_err(), error, "{text}");
        }
        assert_eq!(format!("{:?}", keys().secrets), "[k1:[redacted]]");
        assert_eq!(keys().kids().collect::<Vec<_>>(), ["k1"]);
        let named = SealingSecret::parse("k_1-:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY").unwrap();
        assert_eq!(named.kid(), "k_1-");
        let one = keys().secrets;
        let key = ApiKey::parse("app.key:s").unwrap();
        let twice = vec![one[0].clone(), one[0].clone()];
        assert_eq!(
            SealingKeys::new(&key, twice).unwrap_err(),
            SealingKeysError::KidTwice { kid: "k1".into() }
        );
        assert_eq!(SealingKeys::new(&key, vec![]).unwrap_err(), SealingKeysError::NoSecret);
    }
}
