//! A generation becomes blocks.

use std::{sync::Arc, thread, time::Duration};

use super::{
    Change, Engine, EngineError, Failure, Point, Tables,
    queue::{Generation, LAST_ATTEMPTS},
};
use crate::{
    Stop,
    block::{self, Block, BlockId, Storable},
    chunk::LogChunk,
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
        let spans = self.write_frozen(tables.spans, number, received)?;
        let written = self.write_logs(tables, number, received);
        let logs = match written {
            Ok(logs) => logs,
            Err(error) => {
                self.delete_unused(spans.as_deref());
                return Err(error);
            }
        };
        let mut change = self.change();
        change.add.extend(spans.iter().map(|block| named(block)));
        change.add.extend(logs.iter().map(|block| named(block)));
        change.mark = Some(&generation.mark);
        if let Err(error) = self.commit(&change, stop) {
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
        received: u64,
    ) -> Result<Option<Arc<Block<LogChunk>>>, EngineError> {
        self.hook(Point::FlushHalf)?;
        let logs = self.write_frozen(tables.logs, number, received)?;
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
        received: u64,
    ) -> Result<Option<Arc<Block<C>>>, EngineError> {
        let chunks = table.frozen(number);
        if chunks.is_empty() {
            return Ok(None);
        }
        let id = self.new_block();
        let written = block::write(&self.blocks, id, &chunks, received, &self.block_options);
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

    /// A change that changes nothing yet.
    pub(super) fn change<'a>(&self) -> Change<'a> {
        Change {
            next_block: self.next_block.load(std::sync::atomic::Ordering::Relaxed),
            ..Change::default()
        }
    }

    /// Commits a change. After an error it did not take place, unless it is [`EngineError::Unsettled`].
    pub(super) fn commit(&self, change: &Change<'_>, stop: &Stop) -> Result<(), EngineError> {
        let hook = |point| move || (self.options.hook)(point);
        let committed = self
            .catalog
            .commit(change, hook(Point::Commit), hook(Point::Committed));
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

/// A block as the catalog wants it.
pub(super) fn named<C: Storable>(block: &Arc<Block<C>>) -> (&'static str, &block::BlockInfo) {
    (C::TABLE, block.info())
}
