//! What a block knows of its traces.

use std::ops::Range;

use super::{Block, wrong_checksum};
use crate::block::{
    BlockError, Storable, TraceEntry,
    index::{
        leaves::LeafReader,
        traces::{self, Entries, Leaf},
    },
};

/// Leaves that are read at once when all are gone through: some 64 KiB.
pub(crate) const LEAVES_AT_ONCE: usize = 16;

impl<C: Storable> Block<C> {
    /// The rows of a trace, ascending, by their numbers in the block.
    pub(crate) fn rows_of_trace(&self, id: u128) -> Result<Vec<u32>, BlockError> {
        let key = self.entries().key(id);
        let Some((first, leaf)) = self.leaf_of(key)? else {
            return Ok(Vec::new());
        };
        self.leaf_reader()
            .rows_in(first, &leaf, key)
            .map_err(|reason| self.index_file.corrupt(reason))
    }

    /// What is known of the rows of one trace here; none when it has none. Of log records only how many there are: see
    /// [`TraceEntry`].
    pub(crate) fn trace(&self, id: u128) -> Result<Option<TraceEntry>, BlockError> {
        let key = self.entries().key(id);
        let Some((first, leaf)) = self.leaf_of(key)? else {
            return Ok(None);
        };
        self.leaf_reader()
            .entry_in(first, &leaf, key)
            .map_err(|reason| self.index_file.corrupt(reason))
    }

    /// Every trace of the block, ascending, with what is known of its rows here, likewise.
    pub(crate) fn traces(&self) -> Result<Vec<TraceEntry>, BlockError> {
        self.traces_with(|_| true)
    }

    /// Those whose ids are wanted.
    pub(crate) fn traces_with(
        &self,
        is_wanted: impl Fn(u128) -> bool,
    ) -> Result<Vec<TraceEntry>, BlockError> {
        let mut entries = Vec::new();
        let count = self.index.leaves.len();
        for first in (0..count).step_by(LEAVES_AT_ONCE) {
            let leaves = first..count.min(first + LEAVES_AT_ONCE);
            let wanted = |entry: TraceEntry, _| {
                if is_wanted(entry.id) {
                    entries.push(entry);
                }
            };
            self.traces_of(leaves, wanted)?;
        }
        Ok(entries)
    }

    /// Hands those of some leaves that stand together to `visit`, each with the number of its service set; none where that
    /// is not told.
    pub(crate) fn traces_of(
        &self,
        leaves: Range<usize>,
        mut visit: impl FnMut(TraceEntry, Option<u32>),
    ) -> Result<(), BlockError> {
        let leaves = self.index.leaves.get(leaves).unwrap_or_default();
        let start = leaves.iter().map(|leaf| leaf.offset).min().unwrap_or(0);
        let end = leaves.iter().map(Leaf::end).max().unwrap_or(0);
        let file = self.file(&self.index_file, true)?;
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        let bytes = self
            .index_file
            .read(&file, self.leaves_at() + start, length)?;
        for leaf in leaves {
            let place = (leaf.offset - start) as usize..(leaf.end() - start) as usize;
            let of_leaf = bytes.get(place).unwrap_or_default();
            if crc32c::crc32c(of_leaf) != leaf.checksum {
                let at = self.leaves_at() + leaf.offset;
                let what = wrong_checksum("traces", of_leaf.len(), at);
                return Err(self.index_file.corrupt(what));
            }
            self.leaf_reader()
                .entries_in(leaf.first, of_leaf, &mut visit)
                .map_err(|reason| self.index_file.corrupt(reason))?;
        }
        Ok(())
    }

    /// Leaves of the table of traces.
    pub(crate) fn leaf_count(&self) -> usize {
        self.index.leaves.len()
    }

    /// The key of the first trace of each leaf, ascending.
    pub(crate) fn leaf_firsts(&self) -> impl Iterator<Item = u128> {
        self.index.leaves.iter().map(|leaf| leaf.first)
    }

    /// The leaves where traces can be whose ids are not less than `first`, and less than `next`.
    pub(crate) fn leaves_between(&self, first: u128, next: Option<u128>) -> Range<usize> {
        let leaves = &self.index.leaves;
        let after_first = leaves.partition_point(|leaf| leaf.first <= first);
        let end = next.map_or(leaves.len(), |next| {
            leaves.partition_point(|leaf| leaf.first < next)
        });
        after_first.saturating_sub(1)..end
    }

    /// The leaf where the trace with a key can be, and its first key; none when the block has nothing of it.
    fn leaf_of(&self, key: u128) -> Result<Option<(u128, Vec<u8>)>, BlockError> {
        match traces::leaf_of(&self.index.leaves, key) {
            Some(leaf) if self.may_have_trace(key)? => Ok(Some((leaf.first, self.leaf(leaf)?))),
            _ => Ok(None),
        }
    }

    fn leaf_reader(&self) -> LeafReader {
        LeafReader {
            entries: self.index.entries(),
            first_time: self.info.first_unix_nano,
            rows_max: self.row_count(),
        }
    }

    /// What the index tells of the traces.
    pub(in crate::block) fn entries(&self) -> Entries {
        self.index.entries()
    }

    /// Where the section of the leaves starts in the file.
    fn leaves_at(&self) -> u64 {
        let section = self.index.sections.get(&self.index.entries().section());
        section.map_or(0, |section| section.offset)
    }

    fn leaf(&self, leaf: &Leaf) -> Result<Vec<u8>, BlockError> {
        let file = self.file(&self.index_file, true)?;
        let (offset, length) = (self.leaves_at() + leaf.offset, leaf.length as usize);
        self.index_file
            .read_checked(&file, offset, length, leaf.checksum, "traces")
    }
}
