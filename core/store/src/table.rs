//! A table: chunks in the order of arrival, the last of them open, and a bound on the bytes of all.

use std::{
    collections::VecDeque,
    mem,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Config, Coverage, Origin, TableStats, TimeRange,
    block::{self, Block, BlockError, BlockId, Options, Storable},
    chunk::{ChunkBuilder, TimeBounds},
    evicted::Evicted,
    faults::Faults,
};

/// A row with more bytes than this is not kept: the offsets of a text column have 31 bits.
const ROW_BYTES_CEILING: u64 = 1 << 30;

/// A row may take such a part of the table at most, so that one row does not drive out all others.
const ROWS_MIN: u64 = 8;

/// How much memory the open chunk may hold for each byte of its values: its columns have up to twice the room they
/// need, and a search takes a copy.
const OPEN_FACTOR: u64 = 3;

/// What a chunk takes at most however few rows it has: itself, and its buffers, of which none is smaller than a cache
/// line.
const CHUNK_BYTES_MIN: u64 = 16 << 10;

/// Rows of one kind, within a bound of bytes.
#[derive(Debug)]
pub(crate) struct Table<C: Storable> {
    name: &'static str,
    bytes_max: u64,
    chunk_rows_max: u32,
    chunk_bytes_max: u64,
    faults: Arc<Faults>,
    inner: Mutex<Inner<C>>,
}

#[derive(Debug)]
struct Inner<C: Storable> {
    /// On disk.
    blocks: Vec<Arc<Block<C>>>,
    /// In memory, the oldest first.
    sealed: VecDeque<Arc<C>>,
    sealed_bytes: u64,
    sealed_rows: u64,
    open: C::Builder,
    /// The open chunk as a search sees it, until the next row.
    snapshot: Option<Arc<C>>,
    applied_rows: u64,
    evicted: Evicted,
}

/// The chunks of a table at one moment. Holding it keeps them in memory.
#[derive(Debug)]
pub(crate) struct Snapshot<C> {
    /// In memory, in the order of arrival.
    pub(crate) chunks: Vec<Arc<C>>,
    /// On disk.
    pub(crate) blocks: Vec<Arc<Block<C>>>,
    name: &'static str,
    /// Where a search says what it could not read.
    pub(crate) faults: Arc<Faults>,
    bytes_max: u64,
    evicted: Evicted,
}

impl<C: Storable> Table<C> {
    pub(crate) fn new(name: &'static str, bytes_max: u64, config: &Config) -> Self {
        let inner = Inner {
            blocks: Vec::new(),
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            sealed_rows: 0,
            open: C::Builder::default(),
            snapshot: None,
            applied_rows: 0,
            evicted: Evicted::default(),
        };
        Self {
            name,
            bytes_max,
            chunk_rows_max: config.chunk_rows_max,
            chunk_bytes_max: config.chunk_bytes_max,
            faults: Arc::default(),
            inner: Mutex::new(inner),
        }
    }

    /// Adds rows. Searches that start when it has returned find them.
    pub(crate) fn apply(&self, origin: Origin, rows: &[C::Row], time_of: impl Fn(&C::Row) -> u64) {
        let mut inner = self.lock();
        inner.snapshot = None;
        for (index, row) in (0..).zip(rows) {
            inner.applied_rows += 1;
            let bytes = C::Builder::bytes_max_of(row) as u64;
            if bytes > ROW_BYTES_CEILING.min(self.bytes_max / ROWS_MIN) {
                inner.evicted.include_time(time_of(row));
                continue;
            }
            let is_full = inner.open.rows() >= self.chunk_rows_max
                || inner.open.bytes() as u64 + bytes > self.chunk_bytes_max;
            if is_full {
                inner.seal();
            }
            inner.make_room(bytes, self.bytes_max);
            inner.open.append(origin, index, row);
        }
        inner.open.release();
        // The bytes of new resources and scopes were not known before.
        inner.make_room(0, self.bytes_max);
    }

    pub(crate) fn snapshot(&self) -> Snapshot<C> {
        let mut inner = self.lock();
        let open = inner.open_chunk();
        Snapshot {
            chunks: inner.sealed.iter().cloned().chain(open).collect(),
            blocks: inner.blocks.clone(),
            name: self.name,
            faults: Arc::clone(&self.faults),
            bytes_max: self.bytes_max,
            evicted: inner.evicted.clone(),
        }
    }

    /// Moves all rows from memory into a new block.
    pub(crate) fn flush(
        &self,
        directory: &Path,
        id: BlockId,
        now: u64,
        options: &Options,
    ) -> Result<(), BlockError> {
        let mut inner = self.lock();
        inner.seal();
        let chunks: Vec<Arc<C>> = inner.sealed.drain(..).collect();
        if chunks.is_empty() {
            return Ok(());
        }
        inner.blocks.push(Arc::new(block::write(
            directory, id, &chunks, now, options,
        )?));
        (inner.sealed_bytes, inner.sealed_rows) = (0, 0);
        Ok(())
    }

    pub(crate) fn stats(&self) -> TableStats {
        let inner = self.lock();
        let of_sealed = inner.sealed.iter().map(|chunk| chunk.bounds());
        let bounds = of_sealed.fold(inner.open.bounds(), TimeBounds::merge);
        let known = |time| (!bounds.is_empty()).then_some(time);
        TableStats {
            rows: inner.sealed_rows + u64::from(inner.open.rows()),
            bytes: inner.bytes(),
            bytes_max: self.bytes_max,
            oldest_unix_nano: known(bounds.first),
            newest_unix_nano: known(bounds.last),
            applied_rows: inner.applied_rows,
            evicted_rows: inner.evicted.rows(),
            failed_reads: self.faults.count(),
        }
    }

    pub(crate) fn last_fault(&self) -> Option<String> {
        self.faults.last()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<C>> {
        // Nothing below panics while it holds the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Storable> Inner<C> {
    /// Freezes the open chunk and starts a new one.
    fn seal(&mut self) {
        if self.open.rows() == 0 {
            return;
        }
        self.snapshot = None;
        let chunk = mem::take(&mut self.open).freeze();
        self.sealed_bytes += chunk.bytes() as u64;
        self.sealed_rows += chunk.rows() as u64;
        self.sealed.push_back(Arc::new(chunk));
    }

    /// Lets the oldest chunks go until so many bytes more fit into the open chunk.
    fn make_room(&mut self, more: u64, bytes_max: u64) {
        let open =
            |inner: &Self| OPEN_FACTOR * (inner.open.bytes() as u64 + more) + 2 * CHUNK_BYTES_MIN;
        while self.sealed_bytes + open(self) > bytes_max {
            if self.sealed.is_empty() {
                if self.open.rows() == 0 {
                    return;
                }
                // One resource alone can be that large.
                self.seal();
            }
            if let Some(chunk) = self.sealed.pop_front() {
                self.sealed_bytes -= chunk.bytes() as u64;
                self.sealed_rows -= chunk.rows() as u64;
                self.evicted.include_chunk(chunk.as_ref());
            }
        }
    }

    /// The rows that are not sealed yet; none when there are none.
    fn open_chunk(&mut self) -> Option<Arc<C>> {
        if self.open.rows() == 0 {
            return None;
        }
        let open = &self.open;
        let chunk = self
            .snapshot
            .get_or_insert_with(|| Arc::new(open.snapshot()));
        Some(Arc::clone(chunk))
    }

    fn bytes(&self) -> u64 {
        let snapshot = self
            .snapshot
            .as_ref()
            .map_or(0, |chunk| chunk.bytes() as u64);
        let open = match self.open.rows() {
            0 => 0,
            _ => (OPEN_FACTOR - 1) * self.open.bytes() as u64 + CHUNK_BYTES_MIN,
        };
        self.sealed_bytes + open + snapshot
    }
}

impl<C: Storable> Snapshot<C> {
    /// Says that rows are missing when some whose times lay in the range have left.
    pub(crate) fn cover(&self, range: TimeRange, coverage: &mut Coverage) {
        if self.evicted.overlaps(range) {
            let Self {
                name, bytes_max, ..
            } = self;
            coverage.miss(format!(
                "{name} of this time left the store, which keeps {bytes_max} bytes of them"
            ));
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        let in_memory = self.chunks.iter().map(|chunk| chunk.rows() as u64);
        let on_disk = self.blocks.iter().map(|block| block.info().rows);
        in_memory.chain(on_disk).sum()
    }
}
