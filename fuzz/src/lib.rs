//! What the targets share: capabilities written anew, as plain as can be, to hold the library against; how they are made
//! out of bytes; and the few words in which targets are written.

mod made;
mod plain;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

pub use libfuzzer_sys::arbitrary::{Result as Made, Unstructured};

pub use made::{OPERATIONS, some_capability, some_client_id, some_plain, some_resource};
pub use plain::{
    Plain, canonical, capability, common, covers, json, permits, printed, read, union, unmet, within,
};

/// Unix seconds; 100 after a full 5 minutes.
pub const NOW: u64 = 1_700_000_200;

/// The outcome of a future that never waits: nothing here talks to anybody.
///
/// # Panics
/// If it waits.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the future waits for something"),
    }
}
