use std::hint::black_box;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use subtle::ConstantTimeEq as _;

use crate::Verifier;

/// A comparison of a received digest, in base64url, with one that is secret: in one way that is good, and in three that
/// are known to be bad. What finds nothing in those three finds nothing at all.
#[derive(Debug)]
pub struct Control {
    /// On the heap, where secrets are looked for.
    expected: Vec<u8>,
    right: String,
    compare: fn(&[u8], &str) -> bool,
}

impl Control {
    /// The expected digest.
    pub const SECRET: [u8; 32] = *b"\x41\xd6\x0b\x9f\xe8\x73\x2c\xb5\x1a\xf4\x68\x97\xc0\x3d\x8e\x52\
        \xab\x16\xf9\x64\x07\xda\x4b\xb0\x35\xee\x91\x2f\x7c\xc3\x58\x86";

    /// All bytes are compared, whatever they are.
    pub fn constant_time() -> Self {
        Self::new(|expected, text| expected.ct_eq(&decode(text)).into())
    }

    /// The first byte that differs is the last that is looked at.
    pub fn early_exit() -> Self {
        // black_box: or the compiler, which may, makes one comparison of it
        Self::new(|expected, text| expected.iter().zip(decode(text)).all(|(a, b)| *black_box(a) == b))
    }

    /// All bytes are compared, but by reading memory at places that depend on them.
    pub fn table_look_up() -> Self {
        Self::new(|expected, text| {
            let mut table = [1; 256];
            table[0] = 0;
            let table = black_box(table);
            expected.iter().zip(decode(text)).fold(0, |found, (a, b)| found | table[usize::from(a ^ b)]) == 0
        })
    }

    /// The texts are compared, in constant time even; but to write base64 is to read a table, and the digest that belongs
    /// to a text from outside is a secret for as long as nobody has shown it.
    pub fn base64_of_expected() -> Self {
        Self::new(|expected, text| BASE64URL.encode(expected).as_bytes().ct_eq(text.as_bytes()).into())
    }

    fn new(compare: fn(&[u8], &str) -> bool) -> Self {
        Self { expected: Self::SECRET.to_vec(), right: BASE64URL.encode(Self::SECRET), compare }
    }
}

/// What was received is no secret.
fn decode(text: &str) -> Vec<u8> {
    BASE64URL.decode(text).expect("base64url")
}

impl Verifier for Control {
    type Received = String;

    fn right(&self) -> &str {
        &self.right
    }

    fn wrong(&self, change: impl FnOnce(&mut [u8])) -> String {
        let mut bytes = Self::SECRET;
        change(&mut bytes);
        BASE64URL.encode(bytes)
    }

    fn receive(&self, text: &str) -> String {
        text.to_owned()
    }

    fn verify(&self, received: String) -> bool {
        (self.compare)(&self.expected, &received)
    }
}
