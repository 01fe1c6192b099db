//! What all three programs measure: each place in accrue that knows a secret and says yes or no to a text from outside;
//! and controls, of which it is known what has to be found.

mod arena;
mod controls;
#[cfg(target_arch = "x86_64")]
pub mod valgrind;
mod verifiers;

pub use arena::Arena;
pub use controls::Control;
pub use verifiers::{AdminToken, Grants, ProxySecret, SessionJwts};

/// Something that knows a secret and says yes or no to a text.
pub trait Verifier {
    /// The text as it arrives: in a request, say. Made beforehand, so that making it is not measured.
    type Received;

    /// The text it says yes to.
    fn right(&self) -> &str;

    /// That text after a change to the bytes that are compared: a digest's, or its own.
    fn wrong(&self, change: impl FnOnce(&mut [u8])) -> String;

    /// The text, arriving.
    fn receive(&self, text: &str) -> Self::Received;

    /// Yes or no.
    fn verify(&self, received: Self::Received) -> bool;

    /// The text with one byte wrong. (What is text stays text.)
    fn wrong_at(&self, place: usize) -> String {
        self.wrong(|bytes| bytes[place] ^= 1)
    }

    /// The text with its last byte wrong.
    fn wrong_at_last(&self) -> String {
        self.wrong(|bytes| *bytes.last_mut().expect("some bytes") ^= 1)
    }

    /// The text with no byte right.
    fn wrong_throughout(&self) -> String {
        self.wrong(|bytes| bytes.iter_mut().for_each(|byte| *byte ^= 1))
    }
}
