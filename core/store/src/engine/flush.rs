//! A generation becomes blocks.

use std::{sync::Arc, thread, time::Duration};

use super::{
    Change, Engine, EngineError, Failure, Point, Tables,
    queue::{Generation, LAST_ATTEMPTS},
};
use crate::{
    Config, Stop,
    block::{self, Arrival, Block, BlockId, BlockInfo, Storable},
    chunk::{Chunk, LogChunk},
    table::Table,
};

/// The wait before it is asked again whether a change took place.
const SETTLE_RETRY: Duration = Duration::from_millis(500);

impl Engine {
    /// Makes a generation durable and lets its blocks take the place of its rows in memory. When it fails, everything
    /// is as it was before.
    pub(super) fn flush(
        &self,
        tables: Tables<'_>,
        generation: &Generation,
        stop: &Stop,
    ) -> Result<(), EngineError> {
        let number = generation.number;
        let received = self.received(generation.sealed_unix_nano);
        let weights = Weights::of(tables, number, &self.config);
        let arrival = |weight| Arrival {
            received_unix_nano: received,
            level: weights.level(weight, &self.config),
        };
        let spans = self.write_frozen(tables.spans, number, arrival(weights.spans))?;
        let written = self.write_logs(tables, number, arrival(weights.logs));
        let logs = match written {
            Ok(logs) => logs,
            Err(error) => {
                self.delete_unused(spans.as_deref());
                return Err(error);
            }
        };
        let mut change = Change::default();
        change.add.extend(spans.iter().map(|block| named(block)));
        change.add.extend(logs.iter().map(|block| named(block)));
        change.mark = Some(&generation.mark);
        let _turn = self.turn();
        if let Err(error) = self.commit(change, stop) {
            if !matches!(error, EngineError::Unsettled(_)) {
                self.delete_unused(spans.as_deref());
                self.delete_unused(logs.as_deref());
            }
            return Err(error);
        }
        // From here on it is durable, so that nothing below may make it look as if it were not.
        self.note(self.hook(Point::FlushCommitted));
        tables.spans.replace_frozen(number, spans);
        tables.logs.replace_frozen(number, logs);
        self.note(self.hook(Point::FlushDone));
        Ok(())
    }

    fn write_logs(
        &self,
        tables: Tables<'_>,
        number: u64,
        arrival: Arrival,
    ) -> Result<Option<Arc<Block<LogChunk>>>, EngineError> {
        self.hook(Point::FlushHalf)?;
        let logs = self.write_frozen(tables.logs, number, arrival)?;
        if let Err(error) = self.hook(Point::FlushWritten) {
            self.delete_unused(logs.as_deref());
            return Err(error);
        }
        Ok(logs)
    }

    fn write_frozen<C: Storable>(
        &self,
        table: &Table<C>,
        number: u64,
        arrival: Arrival,
    ) -> Result<Option<Arc<Block<C>>>, EngineError> {
        let chunks = table.frozen(number);
        if chunks.is_empty() {
            return Ok(None);
        }
        let id = self.new_block();
        let written = block::write(&self.blocks, id, &chunks, arrival, &self.block_options);
        if written.is_err() {
            self.delete_files::<C>(id);
        }
        Ok(Some(Arc::new(written?)))
    }

    /// When the rows of a block arrived: never before those of the blocks before it.
    fn received(&self, sealed_unix_nano: u64) -> u64 {
        let order = std::sync::atomic::Ordering::Relaxed;
        let before = self.last_received.fetch_max(sealed_unix_nano, order);
        before.max(sealed_unix_nano)
    }

    /// Commits a change, in a turn. After an error it did not take place, unless it is [`EngineError::Unsettled`].
    pub(super) fn commit(&self, mut change: Change<'_>, stop: &Stop) -> Result<(), EngineError> {
        // Here, where no other change comes in between: the number in the catalog only grows.
        change.next_block = self.next_block.load(std::sync::atomic::Ordering::Relaxed);
        let hook = |point| move || (self.options.hook)(point);
        let committed = self
            .catalog
            .commit(&change, hook(Point::Commit), hook(Point::Committed));
        let error = match committed {
            Ok(()) => return Ok(()),
            Err(Failure::NotCommitted(error)) => return Err(error.into()),
            Err(Failure::Unknown(error)) => error,
        };
        let mut attempts = 0;
        loop {
            match self.catalog.settle() {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(error.into()),
                Err(again) if stop.is_cancelled() && attempts >= LAST_ATTEMPTS => {
                    return Err(EngineError::Unsettled(again));
                }
                Err(again) => self.counts().maintain_error = Some(again.to_string()),
            }
            attempts += 1;
            thread::sleep(SETTLE_RETRY);
        }
    }

    /// Deletes the files of a block that the catalog does not name.
    pub(super) fn delete_unused<C: Storable>(&self, block: Option<&Block<C>>) {
        if let Some(block) = block {
            self.delete_files::<C>(block.info().id);
        }
    }

    /// Deletes the files of a block that was in use; who still reads it can go on.
    pub(super) fn delete_block<C: Storable>(&self, block: &Block<C>) {
        self.note(block.delete().map_err(EngineError::from));
    }

    /// Files that cannot be deleted now are when the store is opened.
    pub(super) fn delete_files<C: Storable>(&self, id: BlockId) {
        self.note(block::delete::<C>(&self.blocks, id).map_err(EngineError::from));
    }

    /// Shows an error that changes nothing about what is durable.
    pub(super) fn note(&self, result: Result<(), EngineError>) {
        if let Err(error) = result {
            self.counts().maintain_error = Some(error.to_string());
        }
    }
}

/// How large the two parts of a generation are, as rows: of one that bytes ended, each part of the bytes counts as the
/// same part of the rows that would have ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weights {
    spans: u64,
    logs: u64,
    /// Of both: what came closest to a bound.
    all: u64,
}

impl Weights {
    fn of(tables: Tables<'_>, generation: u64, config: &Config) -> Self {
        let (spans, logs) = (
            Size::of(&tables.spans.frozen(generation)),
            Size::of(&tables.logs.frozen(generation)),
        );
        Self::of_sizes(spans, logs, config)
    }

    fn of_sizes(spans: Size, logs: Size, config: &Config) -> Self {
        let both = Size {
            rows: spans.rows.max(logs.rows),
            bytes: spans.bytes + logs.bytes,
        };
        Self {
            spans: spans.weight(config),
            logs: logs.weight(config),
            all: both.weight(config),
        }
    }

    /// The level of the block of one part: whole when rows or bytes, not age, ended the generation, and this part of it
    /// is more than a little.
    fn level(self, part: u64, config: &Config) -> u8 {
        const PART_OF_ALL: u64 = 4;
        // Bytes are fewer once the open chunk is frozen.
        let whole = config.block_rows_max / 2;
        let is_whole = self.all >= whole - whole / 4 && part >= self.all / PART_OF_ALL;
        if is_whole {
            BlockInfo::WHOLE
        } else {
            BlockInfo::FLUSHED
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    rows: u64,
    bytes: u64,
}

impl Size {
    fn of<C: Chunk>(chunks: &[Arc<C>]) -> Self {
        Self {
            rows: chunks.iter().map(|chunk| chunk.rows() as u64).sum(),
            bytes: chunks.iter().map(|chunk| chunk.bytes() as u64).sum(),
        }
    }

    fn weight(self, config: &Config) -> u64 {
        let of_bytes = u128::from(self.bytes) * u128::from(config.flush_rows_max)
            / u128::from(config.flush_bytes_max.max(1));
        self.rows.max(u64::try_from(of_bytes).unwrap_or(u64::MAX))
    }
}

/// A block as the catalog wants it.
pub(super) fn named<C: Storable>(block: &Arc<Block<C>>) -> (&'static str, &block::BlockInfo) {
    (C::TABLE, block.info())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(spans: (u64, u64), logs: (u64, u64), config: &Config) -> (u8, u8) {
        let size = |(rows, bytes)| Size { rows, bytes };
        let (spans, logs) = (size(spans), size(logs));
        let weights = Weights::of_sizes(spans, logs, config);
        let level = |part| weights.level(part, config);
        (level(weights.spans), level(weights.logs))
    }

    #[test]
    fn what_rows_or_bytes_end_is_whole_and_what_age_ends_is_small() {
        const MEBI: u64 = 1 << 20;
        const SMALL: u8 = BlockInfo::FLUSHED;
        const WHOLE: u8 = BlockInfo::WHOLE;
        let config = Config::default();
        let levels = |spans, logs| levels(spans, logs, &config);
        let by_rows = (131_072, 30 * MEBI);
        assert_eq!(levels(by_rows, (20_000, 4 * MEBI)), (WHOLE, SMALL));
        assert_eq!(levels((1000, MEBI), by_rows), (SMALL, WHOLE));
        let by_bytes = (60_000, 25 * MEBI);
        assert_eq!(levels(by_bytes, (70_000, 20 * MEBI)), (WHOLE, WHOLE));
        assert_eq!(levels((3000, 47 * MEBI), (0, 0)), (WHOLE, SMALL));
        let by_age = (50_000, 15 * MEBI);
        assert_eq!(levels(by_age, (50_000, 10 * MEBI)), (SMALL, SMALL));
    }

    #[test]
    fn a_flush_is_small_where_blocks_are_to_be_much_larger() {
        let config = Config {
            block_rows_max: 1 << 20,
            ..Config::default()
        };
        assert_eq!(levels((131_072, 40 << 20), (0, 0), &config).0, 0);
    }
}
