use super::{Authenticate, Caller, Unauthenticated, refused};
use crate::client::Client;

/// Believes the `clientId` parameter: for trying things out on your own machine, and for nothing else. With it the
/// service answers to localhost only, and never behind a proxy.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claimed;

impl Authenticate for Claimed {
    async fn authenticate(&self, caller: Caller) -> Result<Client, Unauthenticated> {
        caller.claimed.map(Client::new).ok_or_else(|| refused("no clientId parameter"))
    }

    fn advice(&self) -> &'static str {
        "pass a clientId parameter, for example as authParams: {clientId: \"alice\"}"
    }

    fn believes_anybody(&self) -> bool {
        true
    }
}
