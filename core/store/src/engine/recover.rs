//! Opening a directory.

use std::{
    collections::HashSet,
    fs::{self, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use super::{
    Catalog, CatalogError, Engine, EngineError, Options, Queue,
    catalog::{Kept, KeptTable},
    schema::MarkLimits,
    stats::Counts,
    sync_directory,
};
use crate::{
    Config, ConfigError, Restored,
    block::{self, Block, BlockCache, BlockId, Storable},
    chunk::{LogChunk, SpanChunk},
    table::{Table, Unreadable},
};

/// The name of the directory of blocks, of the file that is locked, and of the catalog.
const BLOCKS: &str = "blocks";
const LOCK: &str = "lock";
const CATALOG: &str = "catalog.redb";

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process, or another store of this one, has the directory open.
    #[error("the store in {} is open already: each directory serves one process", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The catalog cannot be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// There are blocks, and nothing that names them.
    #[error(
        "{} holds {blocks} block files, and {} is missing, without which nobody knows what they hold: restore the whole \
         directory from a copy, or move it away to start with an empty store",
        directory.join(BLOCKS).display(), directory.join(CATALOG).display()
    )]
    CatalogMissing {
        /// The directory of the store.
        directory: PathBuf,
        /// How many files of blocks there are.
        blocks: usize,
    },
}

impl From<EngineError> for OpenError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Io { path, source } => Self::Io { path, source },
            EngineError::Catalog(error) | EngineError::Unsettled(error) => Self::Catalog(error),
            EngineError::Block(error) => Self::Io {
                path: PathBuf::new(),
                source: io::Error::other(error),
            },
        }
    }
}

/// What was found in a directory.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) engine: Engine,
    pub(crate) restored: Restored,
    pub(crate) spans: Table<SpanChunk>,
    pub(crate) logs: Table<LogChunk>,
}

/// Opens the store of a directory, and makes the directory when it is not there.
pub(crate) fn open(
    config: Config,
    directory: &Path,
    options: Options,
) -> Result<Opened, OpenError> {
    config.validate()?;
    let blocks = blocks_path(directory);
    make_directories(&blocks)?;
    let lock = lock(directory, Access::Exclusive)?;
    let files = block_files(&blocks)?;
    let path = catalog_path(directory);
    let is_new = !fs::exists(&path).map_err(|source| io_error(&path, source))?;
    if is_new && !files.is_empty() {
        return Err(OpenError::CatalogMissing {
            directory: directory.to_owned(),
            blocks: files.len(),
        });
    }
    let limits = MarkLimits {
        seen_batches_max: config.seen_batches_max,
        set_aside_bytes_max: config.set_aside_bytes_max,
    };
    let (catalog, kept) = Catalog::open(&path, limits)?;
    sync_directory(directory)?;
    let strays = delete_strays(&files, &kept)?;
    let greatest = files.iter().map(|file| file.id.0 + 1).max().unwrap_or(0);
    let next_block = kept.next_block.max(greatest);
    let all = || kept.spans.blocks.iter().chain(&kept.logs.blocks);
    let last_received = all().map(|info| info.received_unix_nano).max().unwrap_or(0);
    let mut block_options = block::Options::new(&BlockCache::new(config.cache_bytes_max));
    block_options.settings.rollup = config.rollup_settings();
    let piece_rows = &mut block_options.settings.piece_rows;
    *piece_rows = (*piece_rows).min(config.chunk_rows_max as usize);
    let cache = &block_options.cache;
    let spans = open_table("spans", &config, &blocks, kept.spans, cache);
    let logs = open_table("log records", &config, &blocks, kept.logs, cache);
    let counts = Counts {
        marks: catalog.mark_counts()?,
        strays,
        disk_free_bytes: (options.free_bytes)(&blocks).ok(),
        ..Counts::default()
    };
    let engine = Engine {
        queue: Queue::new(&config, &kept.restored),
        config,
        options,
        blocks,
        directory: directory.to_owned(),
        catalog,
        next_block: AtomicU64::new(next_block),
        last_received: AtomicU64::new(last_received),
        counts: Mutex::new(counts),
        block_options,
        turn: Mutex::new(()),
        lock: Mutex::new(Some(Arc::new(lock))),
    };
    Ok(Opened {
        engine,
        restored: kept.restored,
        spans,
        logs,
    })
}

pub(super) fn blocks_path(directory: &Path) -> PathBuf {
    directory.join(BLOCKS)
}

pub(super) fn catalog_path(directory: &Path) -> PathBuf {
    directory.join(CATALOG)
}

/// How a directory is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Exclusive,
    /// For looking only: the file has to be there.
    Shared,
}

/// The lock of a directory, let go when it is dropped.
#[derive(Debug)]
pub(super) struct DirectoryLock(fs::File);

impl Drop for DirectoryLock {
    /// Not left to the closing of the file: a child that this process has forked and that has not started its program
    /// yet holds the file open as well, and with it the lock.
    fn drop(&mut self) {
        // Where this fails, the closing of the file does it.
        let _ = self.0.unlock();
    }
}

/// Locks a directory.
pub(super) fn lock(directory: &Path, access: Access) -> Result<DirectoryLock, OpenError> {
    let path = directory.join(LOCK);
    let mut options = fs::OpenOptions::new();
    let opened = match access {
        Access::Exclusive => options.write(true).create(true).truncate(false).open(&path),
        Access::Shared => options.read(true).open(&path),
    };
    let file = opened.map_err(|source| io_error(&path, source))?;
    let locked = match access {
        Access::Exclusive => file.try_lock(),
        Access::Shared => file.try_lock_shared(),
    };
    match locked {
        Ok(()) => Ok(DirectoryLock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            directory: directory.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(io_error(&path, source)),
    }
}

/// A file of a block.
#[derive(Clone, Debug)]
pub(super) struct BlockFile {
    pub(super) table: &'static str,
    pub(super) id: BlockId,
    pub(super) path: PathBuf,
}

/// All files of blocks. Other files are left alone.
pub(super) fn block_files(blocks: &Path) -> Result<Vec<BlockFile>, OpenError> {
    let failed = |source| io_error(blocks, source);
    let mut files = Vec::new();
    for entry in fs::read_dir(blocks).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if let Some((table, id)) = name.to_str().and_then(block::owner_of) {
            let path = entry.path();
            files.push(BlockFile { table, id, path });
        }
    }
    Ok(files)
}

/// Makes what is missing of the path of the blocks, durably.
fn make_directories(blocks: &Path) -> Result<(), OpenError> {
    let mut missing = Vec::new();
    for path in blocks.ancestors().filter(|it| !it.as_os_str().is_empty()) {
        if fs::exists(path).map_err(|source| io_error(path, source))? {
            break;
        }
        missing.push(path);
    }
    for path in missing.into_iter().rev() {
        match fs::create_dir(path) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io_error(path, source));
            }
            _ => {}
        }
        // A relative path of one part lies in the directory of the process.
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
        sync_directory(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Deletes the files that the catalog does not name: of a flush or a merge that did not come to its transaction, or of
/// blocks that left with one.
fn delete_strays(files: &[BlockFile], kept: &Kept) -> Result<u64, OpenError> {
    let ids = |table: &KeptTable| -> HashSet<BlockId> {
        table.blocks.iter().map(|info| info.id).collect()
    };
    let (spans, logs) = (ids(&kept.spans), ids(&kept.logs));
    let is_named = |file: &BlockFile| match file.table {
        SpanChunk::TABLE => spans.contains(&file.id),
        _ => logs.contains(&file.id),
    };
    let mut deleted = 0;
    for file in files.iter().filter(|file| !is_named(file)) {
        fs::remove_file(&file.path).map_err(|source| io_error(&file.path, source))?;
        deleted += 1;
    }
    Ok(deleted)
}

fn open_table<C: Storable>(
    name: &'static str,
    config: &Config,
    directory: &Path,
    kept: KeptTable,
    cache: &Arc<BlockCache>,
) -> Table<C> {
    let (mut blocks, mut unreadable) = (Vec::new(), Vec::new());
    for info in kept.blocks {
        match Block::open(directory, &info, cache) {
            Ok(block) => blocks.push(Arc::new(block)),
            Err(error) => unreadable.push(Unreadable {
                info,
                reason: error.to_string(),
            }),
        }
    }
    Table::durable(name, config, blocks, unreadable, kept.expired)
}

fn io_error(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    OpenError::Io { path, source }
}
