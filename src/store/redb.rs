use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::{fmt, mem};

use ::redb::backends::FileBackend;
use ::redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    WriteTransaction,
};
use tokio::sync::{Mutex as Turn, oneshot};
use tokio::task::spawn_blocking;

use super::{GrantStore, StoreChange, StoreError, Stored, Whom, next_mark};
use crate::client::ClientId;

/// The texts of an app's client, and until when, in Unix seconds, each is kept.
const TEXTS: TableDefinition<'_, (&str, &str), Vec<(&str, u64)>> = TableDefinition::new("accrue/texts");
/// When the last text of an app's client expires: one row for each row of `TEXTS`.
const EXPIRIES: TableDefinition<'_, (u64, &str, &str), ()> = TableDefinition::new("accrue/expiries");
/// The latest mark of an app's client, or of `EVERYBODY`.
const MARKS: TableDefinition<'_, (&str, &str), u64> = TableDefinition::new("accrue/marks");
/// No clientId is empty.
const EVERYBODY: &str = "";
/// The latest mark of all, whoever's it is. No clientId has a star.
const LATEST: &str = "*";

/// How many clients, of whom all has expired, one change sweeps at most: more than one, or it would fall behind those
/// who never come back; few, or who comes after a quiet night would wait for all of last week's.
const SWEEP: usize = 64;

/// redb's own default is a gigabyte. The file is small, and the system caches it too.
const CACHE_BYTES: usize = 64 << 20;

/// Keeps everything in one file, for one process. Clones share it.
///
/// What is acknowledged is on the disk, so that neither `kill -9` nor a power failure loses it. Changes that arrive
/// while others are being written share the next transaction. Texts that have expired are swept, a few at each change;
/// revocations are kept for ever. The file, made with mode 0600, keeps its size and reuses what is free.
///
/// When the disk is full or fails, each change is an error, of which nothing remains; the file is opened again for the
/// next one, so that the store comes back when the disk does.
///
/// It has to be used within a tokio runtime.
///
/// ```
/// use accrue::{ClientId, GrantStore, RedbStore, Whom};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("accrue.redb");
/// let store = RedbStore::open(&path, "appId")?;
/// let alice = ClientId::try_from("alice")?;
/// store.revoke(&Whom::Client(alice.clone()), 1_700_000_000).await?;
/// assert_eq!(store.read(&alice).await?.not_before, Some(1_700_000_000));
///
/// // one process, one store: clone it
/// assert!(RedbStore::open(&path, "appId").unwrap_err().to_string().contains("in another process"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RedbStore(Arc<Shared>);

struct Shared {
    app: String,
    path: PathBuf,
    /// None after an error, until the next use opens it again.
    database: RwLock<Option<Database>>,
    /// What waits to be written, and who waits for it.
    queue: Mutex<Vec<(Write, oneshot::Sender<Written>)>>,
    /// Whoever has it writes all that waits.
    turn: Arc<Turn<()>>,
}

/// The mark, where one was to be set.
type Written = Result<Option<u64>, StoreError>;

enum Write {
    Apply(ClientId, StoreChange),
    Revoke(Whom, u64),
}

impl RedbStore {
    /// Opens the file, or makes it if there is none, for the Ably app with this id (an API key's name up to the dot).
    /// Of other apps' contents in it only what has expired is touched.
    ///
    /// It reads and writes the file: a matter for the start.
    ///
    /// # Errors
    /// If the file can't be read and written, is no redb database, or is open in another process; or if its directory
    /// does not exist.
    pub fn open(path: impl AsRef<Path>, app_id: &str) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let database = open(&path, true)?;
        make_tables(&database).map_err(|error| failed(&path, &error))?;
        Ok(Self(Arc::new(Shared {
            app: app_id.to_owned(),
            path,
            database: RwLock::new(Some(database)),
            queue: Mutex::default(),
            turn: Arc::default(),
        })))
    }

    async fn write(&self, write: Write) -> Written {
        let (done, mut answer) = oneshot::channel();
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).push((write, done));
        let turn = tokio::select! {
            // whoever was taken along leaves the turn to those who wait for the next
            biased;
            answer = &mut answer => return self.heard(answer),
            turn = Arc::clone(&self.0.turn).lock_owned() => turn,
        };
        let shared = Arc::clone(&self.0);
        spawn_blocking(move || {
            let _turn = turn;
            let batch = mem::take(&mut *shared.queue.lock().unwrap_or_else(PoisonError::into_inner));
            if batch.is_empty() {
                // written while this waited for its turn
                return;
            }
            let (writes, waiting): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let written = shared.with(|database| shared.commit(database, &writes));
            // whoever has an answer can let go of the store and open the file again
            drop(shared);
            for (index, done) in waiting.into_iter().enumerate() {
                // who no longer waits does not want to know
                let _ = done.send(written.as_ref().map(|marks| marks[index]).map_err(Clone::clone));
            }
        });
        self.heard(answer.await)
    }

    /// What a blocking task has answered, unless it panicked or the runtime has stopped.
    fn heard<T, E>(&self, answer: Result<Result<T, StoreError>, E>) -> Result<T, StoreError> {
        answer.unwrap_or_else(|_| Err(StoreError(format!("{}: interrupted", self.0.path.display()))))
    }
}

impl Shared {
    /// Works with the database, opening it if an error has closed it.
    fn with<T>(&self, work: impl Fn(&Database) -> Result<T, ::redb::Error>) -> Result<T, StoreError> {
        let result = loop {
            if let Some(database) = &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
                break work(database);
            }
            let mut closed = self.database.write().unwrap_or_else(PoisonError::into_inner);
            if closed.is_none() {
                *closed = Some(open(&self.path, false)?);
            }
        };
        result.map_err(|error| {
            // after an I/O error redb refuses all work until it is opened again
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
            failed(&self.path, &error)
        })
    }

    fn read(&self, database: &Database, client: &str) -> Result<Stored, ::redb::Error> {
        let transaction = database.begin_read()?;
        let texts = transaction.open_table(TEXTS)?.get((&*self.app, client))?;
        let texts = texts.iter().flat_map(|row| row.value()).map(|(text, _)| text.to_owned()).collect();
        let marks = transaction.open_table(MARKS)?;
        let mark = |client| Ok::<_, ::redb::Error>(marks.get((&*self.app, client))?.map(|row| row.value()));
        Ok(Stored { texts, not_before: mark(client)?.max(mark(EVERYBODY)?) })
    }

    /// All of it, or nothing. Returns the marks.
    fn commit(&self, database: &Database, writes: &[Write]) -> Result<Vec<Option<u64>>, ::redb::Error> {
        let transaction = begin_write(database)?;
        let mut marks = Vec::new();
        for write in writes {
            marks.push(match write {
                Write::Apply(client, change) => {
                    self.apply(&transaction, client.as_str(), change)?;
                    None
                }
                Write::Revoke(whom, not_before) => {
                    let client = match whom {
                        Whom::Client(client) => client.as_str(),
                        Whom::Everybody => EVERYBODY,
                    };
                    Some(self.revoke(&transaction, client, *not_before)?)
                }
            });
        }
        transaction.commit()?;
        Ok(marks)
    }

    fn apply(
        &self,
        transaction: &WriteTransaction,
        client: &str,
        change: &StoreChange,
    ) -> Result<(), ::redb::Error> {
        let mut texts = transaction.open_table(TEXTS)?;
        let mut expiries = transaction.open_table(EXPIRIES)?;
        let client = (&*self.app, client);

        let mut kept = BTreeMap::new();
        if let Some(row) = texts.remove(client)? {
            kept.extend(row.value().into_iter().map(|(text, until)| (text.to_owned(), until)));
        }
        if let Some(last) = kept.values().max() {
            expiries.remove((*last, client.0, client.1))?;
        }
        kept.retain(|text, until| *until > change.now && !change.drop.contains(text));
        let until = change.now.saturating_add(change.keep_for);
        kept.extend(change.put.iter().map(|text| (text.clone(), until)));
        if let Some(last) = kept.values().max() {
            expiries.insert((*last, client.0, client.1), ())?;
            let row: Vec<_> = kept.iter().map(|(text, until)| (text.as_str(), *until)).collect();
            texts.insert(client, row)?;
        }

        let expired = ..(change.now.saturating_add(1), "", "");
        for row in expiries.extract_from_if(expired, |_, ()| true)?.take(SWEEP) {
            let (key, _) = row?;
            let (_, app, client) = key.value();
            texts.remove((app, client))?;
        }
        Ok(())
    }

    fn revoke(
        &self,
        transaction: &WriteTransaction,
        client: &str,
        not_before: u64,
    ) -> Result<u64, ::redb::Error> {
        let mut marks = transaction.open_table(MARKS)?;
        let other = if client == EVERYBODY { LATEST } else { EVERYBODY };
        let mut before = [None; 2];
        for (before, id) in before.iter_mut().zip([client, other]) {
            *before = marks.get((&*self.app, id))?.map(|row| row.value());
        }
        let mark = next_mark(before, not_before);
        marks.insert((&*self.app, client), mark)?;
        let latest = marks.get((&*self.app, LATEST))?.map(|row| row.value());
        if latest < Some(mark) {
            marks.insert((&*self.app, LATEST), mark)?;
        }
        Ok(mark)
    }
}

impl GrantStore for RedbStore {
    async fn read(&self, client: &ClientId) -> Result<Stored, StoreError> {
        let (shared, client) = (Arc::clone(&self.0), client.clone());
        let reading = spawn_blocking(move || shared.with(|database| shared.read(database, client.as_str())));
        self.heard(reading.await)
    }

    async fn apply(&self, client: &ClientId, change: StoreChange) -> Result<(), StoreError> {
        self.write(Write::Apply(client.clone(), change)).await.map(drop)
    }

    async fn revoke(&self, whom: &Whom, not_before: u64) -> Result<u64, StoreError> {
        let mark = self.write(Write::Revoke(whom.clone(), not_before)).await?;
        Ok(mark.unwrap_or(not_before))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.read(&ClientId::try_from("-").expect("is one")).await.map(drop)
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("path", &self.0.path).finish_non_exhaustive()
    }
}

fn begin_write(database: &Database) -> Result<WriteTransaction, ::redb::Error> {
    let mut transaction = database.begin_write()?;
    // Or the whole file would be read when it is opened after a crash, and after each change that a full disk refuses.
    // It costs a second `fsync`, which those who write at once share.
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn make_tables(database: &Database) -> Result<(), ::redb::Error> {
    let transaction = begin_write(database)?;
    transaction.open_table(TEXTS)?;
    transaction.open_table(EXPIRIES)?;
    transaction.open_table(MARKS)?;
    Ok(transaction.commit()?)
}

fn open(path: &Path, create: bool) -> Result<Database, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.open(path).map_err(DatabaseError::from);
    opened
        .and_then(|file| {
            Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(FileBackend::new(file)?)
        })
        .map_err(|error| {
            let kind = match &error {
                DatabaseError::Storage(StorageError::Io(error)) => Some(error.kind()),
                _ => None,
            };
            let path = path.display();
            StoreError(match (&error, kind) {
                (DatabaseError::DatabaseAlreadyOpen, _) => {
                    format!(
                        "{path} is open in another process: redb is for one process, use redis:// for several"
                    )
                }
                (_, Some(ErrorKind::NotFound)) => format!("{path}: {error}: it needs a directory that exists"),
                (_, Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)) => {
                    format!("{path}: {error}: this process has to be able to read and write it")
                }
                (_, Some(ErrorKind::InvalidData)) => {
                    format!(
                        "{path} is no redb database ({error}): name another file, or one that does not exist yet"
                    )
                }
                _ => format!("{path}: {error}"),
            })
        })
}

fn failed(path: &Path, error: &::redb::Error) -> StoreError {
    StoreError(format!("{}: {error}", path.display()))
}
