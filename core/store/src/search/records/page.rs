//! Reads the records of a page whole.

use std::{collections::BTreeMap, sync::Arc};

use super::{Hit, Place, RecordResults};
use crate::{
    block::{Block, BlockId, Columns, Storable},
    search::{source::readable, walk::Order},
    stop::Progress,
    table::Snapshot,
};

/// Records that are read from blocks at once: at least, and at most.
const BATCH_MIN: u64 = 8;
const BATCH_MAX: u64 = 256;

/// How many times the bytes on disk a record may take in memory, about.
const UNPACKED_FACTOR: u64 = 16;

/// A page to read.
pub(super) struct Page<'s, C> {
    pub(super) snapshot: &'s Snapshot<C>,
    pub(super) order: Order,
    pub(super) limit: usize,
    pub(super) bytes_max: u64,
}

/// Where a record of a page can be read; none when its block cannot.
type Located<C> = Option<(Arc<C>, usize)>;

/// Rows of a block, each with the number of its place.
type OfBlock<'p, C> = (&'p Block<C>, Vec<(u32, usize)>);

impl<C: Storable> Page<'_, C> {
    /// Reads the rows of a page, as many as its limits allow. The places are in the order of the answer, one more of them
    /// than the page may have when there is a next page.
    pub(super) fn read(
        &self,
        places: Vec<Place>,
        encoded_len: impl Fn(&C::Row) -> usize,
        mut progress: Progress<'_>,
    ) -> RecordResults<C::Row> {
        let of_page = places.get(..self.limit).unwrap_or(&places);
        let mut hits = Vec::with_capacity(of_page.len());
        let mut bytes: u64 = 0;
        let mut done = 0;
        'page: for batch in of_page.chunks(self.batch_len(of_page)) {
            let located = self.locate(batch, &mut progress);
            for (place, located) in batch.iter().zip(located) {
                // A record that cannot be read counts as answered, so that the next page goes on behind it.
                if let Some((chunk, row)) = located {
                    let row = chunk.row(row);
                    bytes = bytes.saturating_add(encoded_len(&row) as u64);
                    if bytes > self.bytes_max && !hits.is_empty() {
                        break 'page;
                    }
                    let key = self.order.key_of(place.key);
                    hits.push(Hit { key, row });
                }
                done += 1;
            }
        }
        let has_more = done < places.len() || progress.is_stopped();
        let last = done.checked_sub(1).and_then(|last| places.get(last));
        RecordResults {
            hits,
            next: last
                .filter(|_| has_more)
                .map(|last| self.order.key_of(last.key)),
            coverage: progress.finish(),
        }
    }

    /// How many records to read at once, so that a page of large ones takes not much more memory than it may have.
    fn batch_len(&self, places: &[Place]) -> usize {
        let row_bytes = |place: &Place| {
            let info = self.block_of(place)?.info();
            Some(info.bytes / info.rows.max(1))
        };
        let largest = places.iter().filter_map(row_bytes).max().unwrap_or(0);
        let fitting = self.bytes_max / (largest * UNPACKED_FACTOR).max(1);
        fitting.clamp(BATCH_MIN, BATCH_MAX) as usize
    }

    fn block_of(&self, place: &Place) -> Option<&Block<C>> {
        let number = (place.source as usize).checked_sub(self.snapshot.chunks.len())?;
        self.snapshot.blocks.get(number).map(Arc::as_ref)
    }

    /// Finds the rows of some places, and reads those that are on disk: all of a block at once.
    fn locate(&self, places: &[Place], progress: &mut Progress<'_>) -> Vec<Located<C>> {
        let mut located: Vec<Located<C>> = vec![None; places.len()];
        let mut of_blocks: BTreeMap<BlockId, OfBlock<'_, C>> = BTreeMap::new();
        for ((number, place), found) in places.iter().enumerate().zip(&mut located) {
            if let Some(chunk) = self.snapshot.chunks.get(place.source as usize) {
                *found = Some((Arc::clone(chunk), place.row as usize));
            } else if let Some(block) = self.block_of(place) {
                let (_, rows) = of_blocks
                    .entry(block.info().id)
                    .or_insert_with(|| (block, Vec::new()));
                rows.push((place.row, number));
            }
        }
        for (block, mut rows) in of_blocks.into_values() {
            rows.sort_unstable();
            let numbers: Vec<u32> = rows.iter().map(|(row, _)| *row).collect();
            let taken = block.take(&numbers, &Columns::all());
            let Some(taken) = readable(self.snapshot, taken, progress).map(Arc::new) else {
                continue;
            };
            for (row, (_, number)) in rows.iter().enumerate() {
                if let Some(found) = located.get_mut(*number) {
                    *found = Some((Arc::clone(&taken), row));
                }
            }
        }
        located
    }
}
