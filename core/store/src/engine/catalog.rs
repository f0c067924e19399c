//! The catalog: one transaction for each change of what is on disk.
//!
//! A change is numbered. When the commit itself fails, the file is opened anew and the number in it tells whether the
//! change took place: what the caller does next depends on it.

use std::{
    any::Any,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use redb::{Database, DatabaseError, Durability, ReadableDatabase, StorageError, WriteTransaction};

use super::{
    Expired,
    schema::{self, FORMAT, MarkLimits, SchemaError},
};
use crate::{
    Mark, Restored,
    block::{BlockId, BlockInfo, Storable},
    chunk::{LogChunk, SpanChunk},
};

/// What redb may keep of the file in memory; its default is a gibibyte.
const CACHE_BYTES: usize = 8 << 20;

/// An open catalog.
#[derive(Debug)]
pub(crate) struct Catalog {
    path: PathBuf,
    limits: MarkLimits,
    slot: Mutex<Slot>,
    /// The number of the last change that took place.
    commits: AtomicU64,
}

#[derive(Debug)]
enum Slot {
    Open(OpenFile),
    /// An error came up, after which redb wants the file opened anew.
    Broken,
    /// Likewise, and whether the last change took place is not known: nothing may follow it before that is settled.
    Unsettled,
    Closed,
}

/// An open file. redb writes to it when it closes it, and can panic then as ever.
#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    /// Some until it is dropped.
    database: Option<Database>,
}

impl OpenFile {
    fn new(path: &Path, database: Database) -> Self {
        Self {
            path: path.to_owned(),
            database: Some(database),
        }
    }

    fn database(&self) -> Result<&Database, CatalogError> {
        self.database.as_ref().ok_or(CatalogError::Closed)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let database = self.database.take();
        // All that was committed is durable: nothing is lost when the file is not closed cleanly.
        let _ = guarded(&self.path, || {
            drop(database);
            Ok(())
        });
    }
}

/// What changes together.
#[derive(Debug, Default)]
pub(crate) struct Change<'a> {
    /// With the table of each.
    pub(crate) add: Vec<(&'static str, &'a BlockInfo)>,
    pub(crate) remove: Vec<(&'static str, BlockId)>,
    pub(crate) expired: Vec<(&'static str, Expired)>,
    pub(crate) mark: Option<&'a Mark>,
    /// No block has this number or a greater one.
    pub(crate) next_block: u64,
}

/// What a catalog holds when it is opened.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) spans: KeptTable,
    pub(crate) logs: KeptTable,
    pub(crate) restored: Restored,
    pub(crate) next_block: u64,
}

/// What it holds of one table.
#[derive(Debug, Default)]
pub(crate) struct KeptTable {
    /// In the order of their ids.
    pub(crate) blocks: Vec<BlockInfo>,
    pub(crate) expired: Expired,
}

/// How much is kept of the marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MarkCounts {
    pub(crate) seen: u64,
    pub(crate) set_aside: u64,
    pub(crate) set_aside_bytes: u64,
}

/// Why a catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else has it open.
    #[error("{} is open in another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It was written by another version.
    #[error(
        "{} has format {found}, and this version reads {FORMAT}: use the version of log-tracer that wrote it, or start \
         with another directory",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// What stands in it is not what was written there.
    #[error(
        "{} is corrupt ({reason}): restore the whole directory from a copy, or move it away to start with an empty \
         store, which reads again what the log still has",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Nobody knows whether an earlier change took place.
    #[error(
        "whether an earlier change of {} took place cannot be told, so that nothing may follow it: see to the disk, and \
         start again",
        path.display()
    )]
    Unsettled {
        /// The file.
        path: PathBuf,
    },
}

/// What is known of a change that failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It did not take place.
    NotCommitted(CatalogError),
    /// Nobody knows until [`Catalog::settle`] answers.
    Unknown(CatalogError),
}

impl Catalog {
    /// Opens the catalog of a path, and makes it when nothing is there.
    pub(crate) fn open(path: &Path, limits: MarkLimits) -> Result<(Self, Kept), CatalogError> {
        if !fs::exists(path).map_err(|source| io_error(path, source))? {
            create(path)?;
        }
        let file = open_file(path)?;
        let (kept, commits) = read(&file, |read| {
            let kept = kept(read, limits)?;
            Ok((kept, schema::meta(read, "commit")?.unwrap_or(0)))
        })?;
        let catalog = Self {
            path: path.to_owned(),
            limits,
            slot: Mutex::new(Slot::Open(file)),
            commits: AtomicU64::new(number(commits)),
        };
        Ok((catalog, kept))
    }

    /// Reads the catalog of a path without a change to it or to the file, even if it was not closed.
    pub(crate) fn read_only(path: &Path) -> Result<Kept, CatalogError> {
        let bytes = fs::read(path).map_err(|source| io_error(path, source))?;
        let limits = MarkLimits {
            seen_batches_max: u64::MAX,
            set_aside_bytes_max: u64::MAX,
        };
        let backend = redb::backends::InMemoryBackend::new();
        let fill = || -> Result<Database, DatabaseError> {
            redb::StorageBackend::set_len(&backend, bytes.len() as u64)?;
            redb::StorageBackend::write(&backend, 0, &bytes)?;
            Database::builder()
                .set_cache_size(CACHE_BYTES)
                .set_check_integrity_on_open(true)
                .create_with_backend(backend)
        };
        let database = guarded(path, || fill().map_err(|error| database_error(path, error)))?;
        let file = OpenFile::new(path, database);
        check_format(&file)?;
        read(&file, |read| kept(read, limits))
    }

    /// Makes a change durable. `after` is asked once it is: its error is one of the commit.
    pub(crate) fn commit(
        &self,
        change: &Change<'_>,
        before: impl FnOnce() -> io::Result<()>,
        after: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), Failure> {
        let mut slot = self.lock();
        if matches!(*slot, Slot::Unsettled) {
            let path = self.path.clone();
            return Err(Failure::NotCommitted(CatalogError::Unsettled { path }));
        }
        self.reopen(&mut slot).map_err(Failure::NotCommitted)?;
        let Slot::Open(file) = &*slot else {
            return Err(Failure::NotCommitted(CatalogError::Closed));
        };
        let commit = self.commits.load(Ordering::Relaxed) + 1;
        let written = guarded(&self.path, || {
            let write = self.write(file.database()?, change, commit)?;
            before().map_err(|source| io_error(&self.path, source))?;
            Ok(write)
        });
        let write = match written {
            Ok(write) => write,
            Err(error) => {
                *slot = Slot::Broken;
                return Err(Failure::NotCommitted(error));
            }
        };
        let committed = guarded(&self.path, || {
            let committed = write.commit();
            committed.map_err(|error| corrupt(&self.path, &error))?;
            after().map_err(|source| io_error(&self.path, source))
        });
        if let Err(error) = committed {
            *slot = Slot::Unsettled;
            return Err(Failure::Unknown(error));
        }
        self.commits.store(commit, Ordering::Relaxed);
        Ok(())
    }

    /// After [`Failure::Unknown`]: whether the change took place. Any other change is refused before it has answered.
    pub(crate) fn settle(&self) -> Result<bool, CatalogError> {
        let mut slot = self.lock();
        self.reopen(&mut slot)?;
        let Slot::Open(file) = &*slot else {
            return Err(CatalogError::Closed);
        };
        let found = read(file, |read| schema::meta(read, "commit"))?;
        let attempted = self.commits.load(Ordering::Relaxed) + 1;
        let has_taken_place = found.map(number) == Some(attempted);
        if has_taken_place {
            self.commits.store(attempted, Ordering::Relaxed);
        }
        Ok(has_taken_place)
    }

    /// How much is kept of the marks.
    pub(crate) fn mark_counts(&self) -> Result<MarkCounts, CatalogError> {
        let slot = self.lock();
        let Slot::Open(file) = &*slot else {
            return Err(CatalogError::Closed);
        };
        let (seen, set_aside, set_aside_bytes) = read(file, schema::kept)?;
        Ok(MarkCounts {
            seen,
            set_aside,
            set_aside_bytes,
        })
    }

    pub(crate) fn close(&self) {
        *self.lock() = Slot::Closed;
    }

    fn write(
        &self,
        database: &Database,
        change: &Change<'_>,
        commit: u64,
    ) -> Result<WriteTransaction, CatalogError> {
        let begun = database.begin_write();
        let mut write = begun.map_err(|error| corrupt(&self.path, &error))?;
        let set = write.set_durability(Durability::Immediate);
        set.map_err(|error| corrupt(&self.path, &error))?;
        let fill = || -> Result<(), SchemaError> {
            for (table, info) in &change.add {
                schema::add_block(&write, table, info)?;
            }
            for (table, id) in &change.remove {
                schema::remove_block(&write, table, *id)?;
            }
            for (table, expired) in &change.expired {
                schema::set_expired(&write, table, expired)?;
            }
            if let Some(mark) = change.mark {
                schema::set_mark(&write, mark, self.limits)?;
            }
            schema::set_meta(&write, "next_block", u128::from(change.next_block))?;
            schema::set_meta(&write, "commit", u128::from(commit))
        };
        fill().map_err(|error| schema_error(&self.path, error))?;
        Ok(write)
    }

    fn reopen(&self, slot: &mut Slot) -> Result<(), CatalogError> {
        if matches!(slot, Slot::Broken | Slot::Unsettled) {
            *slot = Slot::Open(open_file(&self.path)?);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes an empty catalog under another name first: one that is half made never has the name of a catalog.
fn create(path: &Path) -> Result<(), CatalogError> {
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(io_error(&unfinished, source));
        }
        _ => {}
    }
    let created = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create(&unfinished);
    let database = created.map_err(|error| database_error(&unfinished, error))?;
    let begun = database.begin_write();
    let write = begun.map_err(|error| corrupt(&unfinished, &error))?;
    schema::create(&write).map_err(|error| schema_error(&unfinished, error))?;
    let committed = write.commit();
    committed.map_err(|error| corrupt(&unfinished, &error))?;
    drop(database);
    fs::rename(&unfinished, path).map_err(|source| io_error(path, source))
}

/// Opens the file and checks it whole: it has a few megabytes at most, and everything else is believed because of it.
fn open_file(path: &Path) -> Result<OpenFile, CatalogError> {
    let open = || {
        let opened = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .open(path);
        opened.map_err(|error| database_error(path, error))
    };
    let file = OpenFile::new(path, guarded(path, open)?);
    check_format(&file)?;
    Ok(file)
}

fn check_format(file: &OpenFile) -> Result<(), CatalogError> {
    match read(file, |read| schema::meta(read, "format"))? {
        Some(FORMAT) => Ok(()),
        found => Err(CatalogError::Version {
            path: file.path.clone(),
            found: found.map_or_else(|| "none".to_owned(), |found| found.to_string()),
        }),
    }
}

fn kept(read: &redb::ReadTransaction, limits: MarkLimits) -> Result<Kept, SchemaError> {
    let table = |name| -> Result<KeptTable, SchemaError> {
        Ok(KeptTable {
            blocks: schema::blocks(read, name)?,
            expired: schema::expired(read, name)?,
        })
    };
    Ok(Kept {
        spans: table(SpanChunk::TABLE)?,
        logs: table(LogChunk::TABLE)?,
        restored: schema::restored(read, limits)?,
        next_block: number(schema::meta(read, "next_block")?.unwrap_or(0)),
    })
}

fn read<T>(
    file: &OpenFile,
    body: impl FnOnce(&redb::ReadTransaction) -> Result<T, SchemaError>,
) -> Result<T, CatalogError> {
    guarded(&file.path, || {
        let begun = file.database()?.begin_read();
        let read = begun.map_err(|error| corrupt(&file.path, &error))?;
        body(&read).map_err(|error| schema_error(&file.path, error))
    })
}

/// redb panics on some files that were changed by others.
fn guarded<T>(
    path: &Path,
    body: impl FnOnce() -> Result<T, CatalogError>,
) -> Result<T, CatalogError> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        Err(CatalogError::Corrupt {
            path: path.to_owned(),
            reason: said(panic.as_ref()).to_owned(),
        })
    })
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it cannot be read")
}

fn io_error(path: &Path, source: io::Error) -> CatalogError {
    let path = path.to_owned();
    CatalogError::Io { path, source }
}

fn corrupt(path: &Path, error: &dyn std::error::Error) -> CatalogError {
    CatalogError::Corrupt {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn database_error(path: &Path, error: DatabaseError) -> CatalogError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            CatalogError::InUse { path }
        }
        DatabaseError::UpgradeRequired(version) => CatalogError::Version {
            path,
            found: format!("redb {version}"),
        },
        DatabaseError::Storage(StorageError::Io(source)) => CatalogError::Io { path, source },
        error => corrupt(&path, &error),
    }
}

fn schema_error(path: &Path, error: SchemaError) -> CatalogError {
    match error {
        SchemaError::Storage(StorageError::Io(source)) => io_error(path, source),
        error => corrupt(path, &error),
    }
}

/// The numbers of the catalog are all far below 2^64.
fn number(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
