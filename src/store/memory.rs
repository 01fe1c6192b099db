use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{GrantStore, StoreChange, StoreError, Stored, Whom, next_mark};
use crate::client::ClientId;

/// Keeps everything in memory, for tests and for trying things out: all is lost when the process ends, and clients
/// who don't come back are not forgotten before. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Tables>>);

#[derive(Debug, Default)]
struct Tables {
    /// The texts of each client, and until when, in Unix seconds, each is kept.
    texts: HashMap<ClientId, HashMap<String, u64>>,
    marks: HashMap<ClientId, u64>,
    everybody: Option<u64>,
}

impl MemoryStore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // nothing that holds the lock leaves a change half made
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GrantStore for MemoryStore {
    async fn read(&self, client: &ClientId) -> Result<Stored, StoreError> {
        let tables = self.tables();
        let texts = tables.texts.get(client).into_iter().flat_map(HashMap::keys).cloned().collect();
        Ok(Stored { texts, not_before: tables.marks.get(client).copied().max(tables.everybody) })
    }

    async fn apply(&self, client: &ClientId, change: StoreChange) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let texts = tables.texts.entry(client.clone()).or_default();
        texts.retain(|text, until| *until > change.now && !change.drop.contains(text));
        let until = change.now.saturating_add(change.keep_for);
        texts.extend(change.put.into_iter().map(|text| (text, until)));
        if texts.is_empty() {
            tables.texts.remove(client);
        }
        Ok(())
    }

    async fn revoke(&self, whom: &Whom, not_before: u64) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let own = match whom {
            Whom::Client(client) => tables.marks.get(client).copied(),
            Whom::Everybody => tables.marks.values().max().copied(),
        };
        let mark = next_mark([own, tables.everybody], not_before);
        match whom {
            Whom::Client(client) => tables.marks.insert(client.clone(), mark),
            Whom::Everybody => tables.everybody.replace(mark),
        };
        Ok(mark)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
