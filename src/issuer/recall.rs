//! What a client holds: of what it presents, or in the store.

use super::{Issuer, MAX_PATTERNS, Report, Strategy};
use crate::client::Client;
use crate::grant::{Grant, Unreadable};
use crate::held::{Change, Held, Kept};
use crate::moment::Moment;
use crate::store::{StoreError, Stored, row};

/// What a client holds.
pub(super) struct Recalled {
    pub(super) held: Held,
    /// The texts that are kept, whatever they say.
    pub(super) texts: Vec<String>,
    /// The places of those that were not looked at, because there were too many.
    pub(super) excess: Vec<usize>,
    /// Up to when it is revoked, so far as that is known.
    pub(super) not_before: Option<u64>,
    /// It is not known, and all that is held counts as revoked.
    pub(super) in_doubt: bool,
}

impl Recalled {
    /// What goes when everything goes: in a store also what can't be read now, as it might be later.
    pub(super) fn everything(&self, strategy: &Strategy) -> Change {
        match strategy {
            Strategy::Store(_) => Change { drop: (0..self.texts.len()).collect(), ..Change::default() },
            _ => self.held.forget(),
        }
    }
}

impl Issuer {
    /// Reads what this client holds, and up to when that is revoked.
    pub(super) async fn recall(
        &self,
        client: &Client,
        presented: Vec<String>,
        moment: &Moment,
        report: &mut Report,
    ) -> Result<Recalled, StoreError> {
        let started = moment.elapsed();
        let (stored, in_doubt) = self.stored(client, report).await?;
        let now = moment.now_secs();
        let (mut kept, mut excess) = (Vec::new(), Vec::new());
        let mut patterns = Patterns::default();
        let texts = match &self.strategy {
            Strategy::Cookie(sealing) => {
                let texts = looked_at(presented);
                report.grants.reserve_exact(texts.len());
                for (place, text) in texts.iter().enumerate() {
                    let read = match sealing.keys.unseal(&client.id, text, now, &self.vocabulary) {
                        Ok(unsealed) if !patterns.add(&unsealed.grant) => Err(Unreadable::Patterns),
                        read => read,
                    };
                    report.grants.push(read.map(|unsealed| {
                        kept.push(Kept { grant: unsealed.grant, place, current: unsealed.current });
                        unsealed.kid
                    }));
                }
                texts
            }
            Strategy::Store(_) => {
                let mut bytes = 0;
                for (place, text) in stored.texts.iter().enumerate() {
                    bytes += text.len();
                    if bytes > MAX_STORED_BYTES {
                        excess.push(place);
                        continue;
                    }
                    let grant = row::read(text, now, &self.vocabulary);
                    let grant = grant.filter(|grant| patterns.add(grant));
                    kept.extend(grant.map(|grant| Kept { grant, place, current: true }));
                }
                stored.texts
            }
            Strategy::Server | Strategy::Client => Vec::new(),
        };
        let not_before = client.not_before.max(stored.not_before);
        // what may be revoked counts as revoked
        let revoked_until = if in_doubt { Some(u64::MAX) } else { not_before };
        let held = Held::sort(kept, now, self.recheck_after, revoked_until);
        report.took.recall = Some(moment.elapsed().saturating_sub(started));
        Ok(Recalled { in_doubt: in_doubt && !held.is_empty(), held, texts, excess, not_before })
    }

    /// What the store says of this client, and whether it could not be asked about revocations.
    async fn stored(&self, client: &Client, report: &mut Report) -> Result<(Stored, bool), StoreError> {
        match (&self.store, &self.strategy) {
            (None, _) | (_, Strategy::Server | Strategy::Client) => Ok((Stored::default(), false)),
            (Some(store), _) => match store.read(&client.id).await {
                Ok(stored) => Ok((stored, false)),
                Err(error) if self.keeps_in_store() => Err(error),
                Err(error) => {
                    report.note(error);
                    Ok((Stored::default(), true))
                }
            },
        }
    }
}

/// How many patterns the grants have that count.
#[derive(Default)]
struct Patterns(usize);

impl Patterns {
    /// Adds this grant's; or says that they are too many, and leaves them out.
    fn add(&mut self, grant: &Grant) -> bool {
        let all = self.0 + grant.capability.patterns();
        let fit = all <= MAX_PATTERNS_HELD;
        if fit {
            self.0 = all;
        }
        fit
    }
}

/// Of the texts presented, those that are looked at: equal ones once, and no more than sixteen, however many there are.
pub(crate) fn looked_at<T: PartialEq>(presented: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut texts = Vec::new();
    for text in presented {
        if texts.len() == MAX_CANDIDATES {
            break;
        }
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

const MAX_CANDIDATES: usize = 16;
/// In all that counts: tabs that ask at once may leave several grants. What goes beyond stays where it is.
const MAX_PATTERNS_HELD: usize = 2 * MAX_PATTERNS;
/// Of one client's texts in a store. A token holds half of it; who asks for more, many times at once, has more written
/// than anybody should have to read again and again.
const MAX_STORED_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::ably::ApiKey;
    use crate::client::ClientId;
    use crate::issuer::Ask;
    use crate::permission::NoPermissions;
    use crate::store::{GrantStore, MemoryStore, Store, StoreChange};

    const NOW: u64 = 1_700_000_200;

    /// The outcome of a future that never waits: nothing here does.
    fn at_once<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("the future waits for something"),
        }
    }

    fn alice() -> Client {
        Client::new(ClientId::try_from("alice").unwrap())
    }

    fn storing(rows: Vec<String>) -> (MemoryStore, Issuer) {
        let store = MemoryStore::default();
        let change = StoreChange { put: rows, now: NOW, keep_for: 1000, ..StoreChange::default() };
        at_once(GrantStore::apply(&store, &alice().id, change)).unwrap();
        let key = ApiKey::parse("app.key:s").unwrap();
        let issuer = Issuer::new(key, Strategy::Store(Store::new(store.clone())), NoPermissions).unwrap();
        (store, issuer)
    }

    fn rows(store: &MemoryStore) -> usize {
        at_once(GrantStore::read(store, &alice().id)).unwrap().texts.len()
    }

    #[test]
    fn a_clients_rows_in_a_store_are_bounded() {
        // what hundreds of large requests at once could leave behind
        let row = |at: usize| {
            let names = (0..1000).map(|n| format!("\"c:{at:02}:{n:05}{:x<40}\":[\"*\"]", ""));
            format!("1700000100.{{{}}}", names.collect::<Vec<_>>().join(","))
        };
        assert!((55_000..MAX_STORED_BYTES / 2).contains(&row(0).len()));
        let (store, issuer) = storing((0..20).map(row).collect());
        let moment = Moment::new(NOW * 1000, [0; 32]);
        for writes in [true, false] {
            let issued = at_once(issuer.issue(Ask::new(alice()), &moment)).unwrap();
            assert_eq!((rows(&store), issued.report.took.remember.is_some()), (2, writes));
        }
    }

    #[test]
    fn giving_up_everything_takes_what_cannot_be_read_now() {
        let (store, issuer) = storing(vec![
            r#"1700000100.{"a":["publish"]}"#.to_owned(),
            r#"1700000100.{"a":["an-operation-of-tomorrow"]}"#.to_owned(),
            r#"1700009999.{"a":["publish"]}"#.to_owned(),
        ]);
        let moment = Moment::new(NOW * 1000, [0; 32]);
        assert!(at_once(issuer.give_up(&alice(), None, Vec::new(), &moment)).is_ok());
        assert_eq!(rows(&store), 0);
    }
}
