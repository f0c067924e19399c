//! The engine of a store with a directory: from memory to disk, and what becomes of it there.
//!
//! # The directory
//!
//! | name | what |
//! |---|---|
//! | `lock` | empty; locked by whoever has the store open |
//! | `catalog.redb` | the catalog: which blocks there are, and where the consumer goes on |
//! | `blocks/` | the files of the blocks |
//!
//! # The life of a row
//!
//! A row is applied to the chunks of its table. Those of one moment become a **generation** when its consumer seals
//! them; the maintenance loop writes the generation as a block of each table, makes these durable, and then changes the
//! catalog in **one transaction**: the blocks are added, and the cursors, the log id, the ids of the applied batches and
//! what was set aside are those of the mark that the generation was sealed with. Only then do the blocks take the place
//! of the chunks in memory, in one step for each table, so that a search finds each row once at any moment.
//!
//! Whatever happens, the catalog tells what is: a file that it does not name is deleted when the store is opened, and
//! files are deleted only after the transaction that let go of them.
//!
//! # The two threads
//!
//! Flushes and retention run on one thread, merges on another, so that rows which wait to become durable never wait for
//! a merge. Each writes its files alone. What follows is a **turn** ([`Engine::turn`]), of which there is one at a time:
//! to look at the blocks that there are, to commit a change of them, and to make the same change in the tables. A merge
//! whose inputs have left meanwhile is thrown away in its turn. A turn takes one transaction of the catalog, some
//! milliseconds.
//!
//! A commit that nobody knows the outcome of keeps its turn until it is known. When that cannot be found out, the catalog
//! takes no more, and both threads end.
//!
//! | module | what it does |
//! |---|---|
//! | `catalog`, `schema` | the transactions, and the tables of the catalog |
//! | `queue` | generations that wait, and who waits for them |
//! | `maintain` | the loops of both threads: what is done next |
//! | `flush` | a generation to blocks |
//! | `compact` | small blocks to larger ones |
//! | `retain`, `expired` | which blocks leave, and what is remembered of them |
//! | `recover` | opening a directory |
//! | `check` | whether a directory is whole |

mod catalog;
mod check;
mod compact;
mod expired;
mod flush;
mod maintain;
mod queue;
mod recover;
mod retain;
mod schema;
mod stats;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

pub use catalog::CatalogError;
pub(crate) use catalog::{Catalog, Change, Failure};
pub use check::{Problem, StoreCheck, check};
pub(crate) use expired::Expired;
pub(crate) use queue::Queue;
pub use queue::SealError;
pub use recover::OpenError;
pub(crate) use recover::open;
pub use stats::DurableStats;

use crate::{
    Config, Mark,
    block::{self, BlockError, BlockId},
    chunk::{LogChunk, SpanChunk},
    table::{OpenSize, Table},
};

/// What a store with a directory has beside its tables.
#[derive(Debug)]
pub(crate) struct Engine {
    config: Config,
    options: Options,
    /// Where the blocks are.
    blocks: PathBuf,
    directory: PathBuf,
    catalog: Catalog,
    queue: Queue,
    next_block: AtomicU64,
    /// The latest time that was given to a block as that of its arrival: a clock that jumps back must not make the rows
    /// that arrive then look old.
    last_received: AtomicU64,
    counts: Mutex<stats::Counts>,
    /// How blocks are written and read.
    block_options: block::Options,
    /// Held by whoever changes which blocks there are.
    turn: Mutex<()>,
    /// Held for as long as the store is open, or one of its threads runs.
    lock: Mutex<Option<Arc<recover::DirectoryLock>>>,
}

/// Both tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables<'a> {
    pub(crate) spans: &'a Table<SpanChunk>,
    pub(crate) logs: &'a Table<LogChunk>,
}

impl Tables<'_> {
    /// Freezes the rows of both as one generation. False when there are none.
    fn freeze(self, generation: u64) -> bool {
        let has_spans = self.spans.freeze(generation);
        self.logs.freeze(generation) || has_spans
    }

    fn open_size(self) -> OpenSize {
        let (spans, logs) = (self.spans.open_size(), self.logs.open_size());
        OpenSize {
            rows: spans.rows + logs.rows,
            bytes: spans.bytes + logs.bytes,
            since: spans.since.into_iter().chain(logs.since).min(),
        }
    }
}

/// What tests put in the place of the machine.
#[derive(Clone)]
pub(crate) struct Options {
    /// The time, in nanoseconds since 1970-01-01T00:00:00Z.
    pub(crate) now: Arc<Now>,
    /// Bytes that are free in the file system of a directory.
    pub(crate) free_bytes: Arc<FreeBytes>,
    /// Called at each [`Point`]; an error is as if the file system had given it.
    pub(crate) hook: Arc<Hook>,
}

type Now = dyn Fn() -> u64 + Send + Sync;
type FreeBytes = dyn Fn(&Path) -> io::Result<u64> + Send + Sync;
type Hook = dyn Fn(Point) -> io::Result<()> + Send + Sync;

/// Where a crash, or an error, makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// The block of spans is durable, that of the log records is not yet begun.
    FlushHalf,
    /// Both blocks are durable, the catalog does not know them.
    FlushWritten,
    /// The catalog knows them, the memory does not.
    FlushCommitted,
    /// The memory knows them; nobody was told.
    FlushDone,
    /// The merged block is durable, the catalog does not know it.
    CompactWritten,
    /// The catalog knows the merged block, and its inputs are still there.
    CompactCommitted,
    /// The first of the inputs is deleted.
    CompactDeleting,
    /// Retention has chosen, and nothing has changed.
    RetainBegun,
    /// The catalog has let go of blocks, whose files are still there.
    RetainCommitted,
    /// The first of the files is deleted.
    RetainDeleting,
    /// A transaction is about to be committed.
    Commit,
    /// A transaction was committed; an error here is one of the commit itself, after which nobody knows.
    Committed,
}

impl Default for Options {
    fn default() -> Self {
        let now = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.map_or(0, |since| {
                u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
            })
        };
        let free_bytes = |path: &Path| {
            let found = rustix::fs::statvfs(path)?;
            Ok(found.f_bavail.saturating_mul(found.f_frsize))
        };
        Self {
            now: Arc::new(now),
            free_bytes: Arc::new(free_bytes),
            hook: Arc::new(|_| Ok(())),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").finish_non_exhaustive()
    }
}

/// Why something could not be made durable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Nobody knows whether a transaction was committed, so that nothing may follow it.
    #[error("whether the last change of the catalog took place cannot be told: {0}")]
    Unsettled(CatalogError),
}

impl Engine {
    fn now(&self) -> u64 {
        (self.options.now)()
    }

    fn hook(&self, point: Point) -> Result<(), EngineError> {
        (self.options.hook)(point).map_err(|source| EngineError::Io {
            path: self.directory.clone(),
            source,
        })
    }

    pub(crate) fn seal(&self, tables: Tables<'_>, mark: Mark) -> Result<(), SealError> {
        self.queue.seal(tables, mark, self.now())
    }

    pub(crate) fn fail(&self, reason: &str) {
        self.queue.die(reason.to_owned());
    }

    pub(crate) fn durable_cursors(&self) -> BTreeMap<u16, u64> {
        self.queue.durable_cursors()
    }

    /// A number that no block of the store had before, once the catalog has it from [`Self::next_block`].
    fn new_block(&self) -> BlockId {
        BlockId(self.next_block.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits until no other thread changes which blocks there are.
    fn turn(&self) -> MutexGuard<'_, ()> {
        // A thread that panics in its turn sees to it that nothing is written any more.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, stats::Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the directory go.
    pub(crate) fn close(&self) {
        self.queue.close();
        self.catalog.close();
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        *lock = None;
    }
}

/// Makes the names in a directory durable.
fn sync_directory(path: &Path) -> Result<(), EngineError> {
    let synced = fs::File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(|source| EngineError::Io {
        path: path.to_owned(),
        source,
    })
}
