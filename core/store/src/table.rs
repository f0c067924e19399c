//! A table: blocks on disk, and chunks in memory in the order of arrival, the last of them open.
//!
//! Of a table in memory only, the oldest chunks leave when a bound of bytes is reached. Of a durable one nothing leaves
//! the memory but what has become a block: its chunks are **frozen** as a generation, and a block takes their place in
//! one step.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use log_tracer_record::wire::{Request, Signal, View};

use crate::{
    Config, Coverage, Origin, TableStats, TimeRange,
    block::{Block, BlockId, BlockInfo, Storable},
    chunk::{Above, Chunk, ChunkBuilder, TimeBounds},
    engine::Expired,
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

/// What a request of the rows of a table holds, and one record of it.
type SignalOf<C> = <<C as Chunk>::Builder as ChunkBuilder>::Signal;
type ViewOf<'a, C> = <SignalOf<C> as Signal>::View<'a>;

/// Rows of one kind.
#[derive(Debug)]
pub(crate) struct Table<C: Storable> {
    name: &'static str,
    /// None when rows leave by becoming durable, not by bytes.
    bytes_max: Option<u64>,
    retention: Retention,
    chunk_rows_max: u32,
    chunk_bytes_max: u64,
    faults: Arc<Faults>,
    inner: Mutex<Inner<C>>,
}

#[derive(Debug)]
struct Inner<C: Storable> {
    /// On disk.
    blocks: Vec<Arc<Block<C>>>,
    /// On disk as well, as far as the catalog knows.
    unreadable: Arc<[Unreadable]>,
    /// Generations that wait to become blocks, the oldest first.
    frozen: VecDeque<Frozen<C>>,
    /// In memory, the oldest first.
    sealed: VecDeque<Arc<C>>,
    sealed_bytes: u64,
    sealed_rows: u64,
    open: C::Builder,
    /// When the oldest row that is not frozen was applied.
    since: Option<Instant>,
    /// The open chunk as a search sees it, until the next row.
    snapshot: Option<Arc<C>>,
    applied_rows: u64,
    evicted: Evicted,
    expired: Expired,
}

/// The chunks of a generation.
#[derive(Debug)]
struct Frozen<C> {
    generation: u64,
    chunks: Vec<Arc<C>>,
    bytes: u64,
    rows: u64,
}

/// A block that the catalog names and that cannot be opened.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) info: BlockInfo,
    pub(crate) reason: String,
}

/// What is not frozen yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OpenSize {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) since: Option<Instant>,
}

/// How long and how much is kept on disk.
#[derive(Clone, Copy, Debug)]
struct Retention {
    age_max_ms: u64,
    bytes_max: u64,
}

/// The chunks of a table at one moment. Holding it keeps them in memory.
#[derive(Debug)]
pub(crate) struct Snapshot<C> {
    /// In memory, in the order of arrival.
    pub(crate) chunks: Vec<Arc<C>>,
    /// On disk.
    pub(crate) blocks: Vec<Arc<Block<C>>>,
    unreadable: Arc<[Unreadable]>,
    name: &'static str,
    bytes_max: Option<u64>,
    retention: Retention,
    /// Where a search says what it could not read.
    pub(crate) faults: Arc<Faults>,
    evicted: Evicted,
    expired: Expired,
}

impl<C: Storable> Table<C> {
    /// An empty table that is in memory only.
    pub(crate) fn new(name: &'static str, bytes_max: u64, config: &Config) -> Self {
        let inner = Inner {
            blocks: Vec::new(),
            unreadable: Arc::default(),
            frozen: VecDeque::new(),
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            sealed_rows: 0,
            open: C::Builder::default(),
            since: None,
            snapshot: None,
            applied_rows: 0,
            evicted: Evicted::default(),
            expired: Expired::default(),
        };
        Self {
            name,
            bytes_max: Some(bytes_max),
            retention: Retention {
                age_max_ms: config.retention_age_max_ms,
                bytes_max: config.retention_bytes_max,
            },
            chunk_rows_max: config.chunk_rows_max,
            chunk_bytes_max: config.chunk_bytes_max,
            faults: Arc::default(),
            inner: Mutex::new(inner),
        }
    }

    /// A table with what is on disk.
    pub(crate) fn durable(
        name: &'static str,
        config: &Config,
        blocks: Vec<Arc<Block<C>>>,
        unreadable: Vec<Unreadable>,
        expired: Expired,
    ) -> Self {
        let mut table = Self::new(name, 0, config);
        table.bytes_max = None;
        {
            let mut inner = table.lock();
            inner.blocks = blocks;
            inner.unreadable = unreadable.into();
            inner.expired = expired;
        }
        table
    }

    /// Adds rows. Searches that start when it has returned find them.
    pub(crate) fn apply(&self, origin: Origin, rows: &[C::Row], time_of: impl Fn(&C::Row) -> u64) {
        let mut inner = self.lock();
        inner.begin(rows.is_empty());
        for (index, row) in (0..).zip(rows) {
            let bytes = C::Builder::bytes_max_of(row) as u64;
            inner.applied_rows += 1;
            if self.make_room(&mut inner, bytes) {
                inner.open.append(origin, index, row);
            } else {
                inner.evicted.include_time(time_of(row));
            }
        }
        self.end(inner);
    }

    /// The same for the records of a request, from where they lie into the columns.
    pub(crate) fn apply_request(
        &self,
        origin: Origin,
        request: &Request<'_, SignalOf<C>>,
        time_of: impl Fn(&ViewOf<'_, C>) -> u64,
    ) {
        let mut inner = self.lock();
        inner.begin(request.records() == 0);
        let (mut index, mut scope_place) = (0, 0);
        for (resource_place, resource) in (0..).zip(request.resources()) {
            for scope in resource.scopes.iter() {
                let above = Above::new((resource_place, &resource), (scope_place, &scope));
                scope_place += 1;
                for message in scope.records.messages() {
                    // Nearly always there is room for far more than a record of its length can take.
                    let ceiling = C::Builder::bytes_ceiling_of_message(message.len()) as u64;
                    let has_room = self.has_room(&inner, ceiling) || {
                        let bytes = C::Builder::bytes_max_of_message(message) as u64;
                        self.make_room(&mut inner, bytes)
                    };
                    inner.applied_rows += 1;
                    if has_room {
                        inner.open.append_message(origin, index, &above, message);
                    } else {
                        inner
                            .evicted
                            .include_time(time_of(&ViewOf::<C>::of(message)));
                    }
                    index += 1;
                }
            }
        }
        self.end(inner);
    }

    /// Whether a row of so many bytes fits as things are.
    fn has_room(&self, inner: &Inner<C>, bytes: u64) -> bool {
        bytes <= self.row_bytes_max()
            && !self.is_full(inner, bytes)
            && self.bytes_max.is_none_or(|max| inner.fits(bytes, max))
    }

    /// Makes room for a row of at most so many bytes; false when it is too large to be kept.
    fn make_room(&self, inner: &mut Inner<C>, bytes: u64) -> bool {
        if bytes > self.row_bytes_max() {
            return false;
        }
        if self.is_full(inner, bytes) {
            inner.seal();
            // The next chunk will be about as large. A table that is bounded by bytes counts what rows take, not room.
            if self.bytes_max.is_none()
                && let Some(chunk) = inner.sealed.back()
            {
                inner.open = C::Builder::like(chunk);
            }
        }
        inner.make_room(bytes, self.bytes_max);
        true
    }

    fn row_bytes_max(&self) -> u64 {
        self.bytes_max.map_or(ROW_BYTES_CEILING, |bytes_max| {
            ROW_BYTES_CEILING.min(bytes_max / ROWS_MIN)
        })
    }

    fn is_full(&self, inner: &Inner<C>, bytes: u64) -> bool {
        inner.open.rows() >= self.chunk_rows_max
            || inner.open.bytes() as u64 + bytes > self.chunk_bytes_max
    }

    fn end(&self, mut inner: MutexGuard<'_, Inner<C>>) {
        inner.open.release();
        // The bytes of new resources and scopes were not known before.
        inner.make_room(0, self.bytes_max);
    }

    pub(crate) fn snapshot(&self) -> Snapshot<C> {
        let mut inner = self.lock();
        let open = inner.open_chunk();
        let frozen = inner.frozen.iter().flat_map(|frozen| &frozen.chunks);
        let chunks = frozen.chain(&inner.sealed).cloned().chain(open);
        Snapshot {
            chunks: chunks.collect(),
            blocks: inner.blocks.clone(),
            unreadable: Arc::clone(&inner.unreadable),
            name: self.name,
            faults: Arc::clone(&self.faults),
            bytes_max: self.bytes_max,
            retention: self.retention,
            evicted: inner.evicted.clone(),
            expired: inner.expired.clone(),
        }
    }

    /// What is not frozen yet.
    pub(crate) fn open_size(&self) -> OpenSize {
        let inner = self.lock();
        OpenSize {
            rows: inner.sealed_rows + u64::from(inner.open.rows()),
            bytes: inner.bytes(),
            since: inner.since,
        }
    }

    /// Freezes all rows that are not yet, as a generation. False when there are none.
    pub(crate) fn freeze(&self, generation: u64) -> bool {
        let mut inner = self.lock();
        inner.seal();
        // Nobody knows whether more will come: no room is kept for it.
        inner.open = C::Builder::default();
        inner.since = None;
        if inner.sealed.is_empty() {
            return false;
        }
        let frozen = Frozen {
            generation,
            chunks: mem::take(&mut inner.sealed).into(),
            bytes: mem::take(&mut inner.sealed_bytes),
            rows: mem::take(&mut inner.sealed_rows),
        };
        inner.frozen.push_back(frozen);
        true
    }

    /// The chunks of a generation; none when it has no rows here.
    pub(crate) fn frozen(&self, generation: u64) -> Vec<Arc<C>> {
        let inner = self.lock();
        let found = inner.frozen.iter().find(|it| it.generation == generation);
        found.map_or_else(Vec::new, |frozen| frozen.chunks.clone())
    }

    /// Lets a block take the place of a generation.
    pub(crate) fn replace_frozen(&self, generation: u64, block: Option<Arc<Block<C>>>) {
        let mut inner = self.lock();
        inner.frozen.retain(|it| it.generation != generation);
        inner.blocks.extend(block);
    }

    /// The blocks, in the order in which they were made.
    pub(crate) fn blocks(&self) -> Vec<Arc<Block<C>>> {
        self.lock().blocks.clone()
    }

    /// What is known of all blocks, of those that cannot be read, too.
    pub(crate) fn block_infos(&self) -> Vec<BlockInfo> {
        self.lock().block_infos().cloned().collect()
    }

    /// Lets a block take the place of others.
    pub(crate) fn exchange(&self, remove: &[BlockId], add: Arc<Block<C>>) {
        let mut inner = self.lock();
        inner.blocks.retain(|it| !remove.contains(&it.info().id));
        inner.blocks.push(add);
    }

    /// Whether all of these are blocks here.
    pub(crate) fn has_all(&self, ids: &[BlockId]) -> bool {
        let inner = self.lock();
        let is_here = |id: &BlockId| inner.blocks.iter().any(|it| it.info().id == *id);
        ids.iter().all(is_here)
    }

    /// Lets blocks go that have expired.
    pub(crate) fn expire(&self, remove: &[BlockId], expired: Expired) {
        let mut inner = self.lock();
        inner.blocks.retain(|it| !remove.contains(&it.info().id));
        let is_kept = |it: &&Unreadable| !remove.contains(&it.info.id);
        inner.unreadable = inner.unreadable.iter().filter(is_kept).cloned().collect();
        inner.expired = expired;
    }

    /// What has expired so far.
    pub(crate) fn expired(&self) -> Expired {
        self.lock().expired.clone()
    }

    /// The blocks that cannot be read, in words.
    pub(crate) fn unreadable(&self) -> Vec<String> {
        let inner = self.lock();
        inner
            .unreadable
            .iter()
            .map(|it| it.reason.clone())
            .collect()
    }

    pub(crate) fn stats(&self) -> TableStats {
        let inner = self.lock();
        let frozen = inner.frozen.iter().flat_map(|frozen| &frozen.chunks);
        let of_chunks = frozen.chain(&inner.sealed).map(|chunk| chunk.bounds());
        let of_blocks = inner.blocks.iter().map(|block| block.bounds());
        let bounds = of_chunks
            .chain(of_blocks)
            .fold(inner.open.bounds(), TimeBounds::merge);
        let known = |time| (!bounds.is_empty()).then_some(time);
        let frozen_rows: u64 = inner.frozen.iter().map(|frozen| frozen.rows).sum();
        let frozen_bytes: u64 = inner.frozen.iter().map(|frozen| frozen.bytes).sum();
        let Expired {
            by_age, by_bytes, ..
        } = &inner.expired;
        TableStats {
            rows: frozen_rows + inner.sealed_rows + u64::from(inner.open.rows()),
            bytes: frozen_bytes + inner.bytes(),
            bytes_max: self.bytes_max.unwrap_or(0),
            oldest_unix_nano: known(bounds.first),
            newest_unix_nano: known(bounds.last),
            applied_rows: inner.applied_rows,
            evicted_rows: inner.evicted.rows(),
            block_count: inner.block_infos().count() as u64,
            block_rows: inner.block_infos().map(|info| info.rows).sum(),
            block_bytes: inner.block_infos().map(|info| info.bytes).sum(),
            expired_rows_by_age: by_age.rows,
            expired_blocks_by_age: by_age.blocks,
            expired_rows_by_bytes: by_bytes.rows,
            expired_blocks_by_bytes: by_bytes.blocks,
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

    /// Before rows are applied; `nothing` when there are none.
    fn begin(&mut self, nothing: bool) {
        self.snapshot = None;
        if self.since.is_none() && !nothing {
            self.since = Some(Instant::now());
        }
    }

    /// Whether so many bytes more fit into the open chunk.
    fn fits(&self, more: u64, bytes_max: u64) -> bool {
        let open = OPEN_FACTOR * (self.open.bytes() as u64 + more) + 2 * CHUNK_BYTES_MIN;
        self.sealed_bytes + open <= bytes_max
    }

    /// Lets the oldest chunks go until so many bytes more fit into the open chunk.
    fn make_room(&mut self, more: u64, bytes_max: Option<u64>) {
        let Some(bytes_max) = bytes_max else {
            return;
        };
        while !self.fits(more, bytes_max) {
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

    fn block_infos(&self) -> impl Iterator<Item = &BlockInfo> {
        let readable = self.blocks.iter().map(|block| block.info());
        readable.chain(self.unreadable.iter().map(|it| &it.info))
    }

    /// Of what is not frozen.
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

impl Retention {
    /// What made records leave, in words.
    fn said(self, expired: &Expired) -> String {
        const UNITS: [(u64, &str); 4] = [
            (24 * 3_600_000, "days"),
            (3_600_000, "hours"),
            (1000, "seconds"),
            (1, "milliseconds"),
        ];
        let unit = UNITS
            .into_iter()
            .find(|(unit, _)| self.age_max_ms.is_multiple_of(*unit));
        let (unit, name) = unit.unwrap_or((1, "milliseconds"));
        let age = format!("{} {name} of them", self.age_max_ms / unit);
        let bytes = format!("{} bytes on disk", self.bytes_max);
        match (expired.by_age.blocks, expired.by_bytes.blocks) {
            (_, 0) => age,
            (0, _) => bytes,
            _ => format!("{age} and {bytes}"),
        }
    }
}

impl<C: Storable> Snapshot<C> {
    /// Says that rows are missing when some whose times lay in the range have left, or cannot be read. Whoever asks for
    /// all time asks for all that is kept: what retention let go of is not missing then.
    pub(crate) fn cover(&self, range: TimeRange, coverage: &mut Coverage) {
        self.cover_page(range, range, coverage);
    }

    /// The same of a page, which reaches no further than `range`, of an answer to what was `asked`.
    pub(crate) fn cover_page(&self, range: TimeRange, asked: TimeRange, coverage: &mut Coverage) {
        let name = self.name;
        if self.evicted.overlaps(range) {
            coverage.miss(match self.bytes_max {
                Some(bytes_max) => format!(
                    "{name} of this time left the store, which keeps {bytes_max} bytes of them"
                ),
                None => format!("{name} of this time were too large to be kept"),
            });
        }
        if asked.start_unix_nano > 0 && self.expired.overlaps(range) {
            coverage.miss(format!(
                "older {name} have left the store, which keeps {}",
                self.retention.said(&self.expired)
            ));
        }
        for Unreadable { info, reason } in self.unreadable.iter() {
            if range.overlaps(info.first_unix_nano, info.last_unix_nano) {
                let rows = info.rows;
                coverage.miss(format!("{rows} {name} cannot be read: {reason}"));
            }
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        let in_memory = self.chunks.iter().map(|chunk| chunk.rows() as u64);
        let on_disk = self.blocks.iter().map(|block| block.info().rows);
        in_memory.chain(on_disk).sum()
    }
}
