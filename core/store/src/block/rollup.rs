//! The rollups of a block, for those who ask for them: the head stays in the cache, the parts are read when they are
//! needed. A block without any, of an older version, is summed up from its rows, and the result stays in the cache.

use std::sync::Arc;

use super::{Block, BlockError, Malformed, Storable, cache::Cached, index::Kind};
use crate::rollup::{Head, PREFIX_BYTES, Settings, split};

/// Rollups whose head was read.
#[derive(Debug)]
pub(crate) struct LoadedRollup {
    pub(crate) head: Head,
    /// Where the parts start in the section.
    pub(crate) parts_at: u64,
    /// All parts, of rollups that are on no disk.
    pub(crate) parts: Option<Vec<u8>>,
}

impl LoadedRollup {
    /// Rollups that were just made.
    pub(crate) fn of_rows(mut section: Vec<u8>) -> Result<Self, Malformed> {
        let (head, parts_at) = split(&section)?;
        section.drain(..parts_at);
        Ok(Self {
            head,
            parts_at: 0,
            parts: Some(section),
        })
    }

    fn bytes(&self) -> usize {
        self.head.heap_bytes() + self.parts.as_ref().map_or(0, Vec::capacity)
    }
}

/// A scan that did not come to its end.
enum Unfinished {
    Stopped,
    Failed(BlockError),
}

impl<C: Storable> Block<C> {
    /// The rollups, or those that `scan` makes of the rows when there are none; none when it was stopped.
    pub(crate) fn rollup(
        &self,
        scan: impl FnOnce() -> Result<Option<Vec<u8>>, BlockError>,
    ) -> Result<Option<Arc<LoadedRollup>>, BlockError> {
        let loaded = self.cached(Cached::Rollup, || {
            let head = self.rollup_head().map_err(Unfinished::Failed)?;
            let loaded = match head {
                Some((head, parts_at)) => LoadedRollup {
                    head,
                    parts_at,
                    parts: None,
                },
                None => {
                    let section = scan().map_err(Unfinished::Failed)?;
                    let section = section.ok_or(Unfinished::Stopped)?;
                    LoadedRollup::of_rows(section)
                        .map_err(|reason| Unfinished::Failed(self.rollup_is_wrong(reason)))?
                }
            };
            let bytes = loaded.bytes();
            Ok((loaded, bytes))
        });
        match loaded {
            Ok(loaded) => Ok(Some(loaded)),
            Err(Unfinished::Stopped) => Ok(None),
            Err(Unfinished::Failed(error)) => Err(error),
        }
    }

    /// The edges of its rollups, all minutes together, or what `read` makes of them with how many bytes it takes.
    pub(crate) fn edges<T: Send + Sync + 'static>(
        &self,
        read: impl FnOnce() -> Result<(T, usize), BlockError>,
    ) -> Result<Arc<T>, BlockError> {
        self.cached(Cached::Edges, read)
    }

    /// The bounds that its rollups were made with; none when it has no rollups.
    pub(super) fn rollup_settings(&self) -> Result<Option<Settings>, BlockError> {
        Ok(self.rollup_head()?.map(|(head, _)| head.settings))
    }

    /// Some bytes of the section, verified.
    pub(crate) fn rollup_part(
        &self,
        offset: u64,
        length: usize,
        checksum: u32,
    ) -> Result<Vec<u8>, BlockError> {
        let bytes = self.part_of_section(Kind::Rollup, offset, length, Some(checksum))?;
        Ok(bytes.unwrap_or_default())
    }

    pub(crate) fn rollup_is_wrong(&self, reason: Malformed) -> BlockError {
        BlockError::corrupt(self.index_path(), reason)
    }

    fn rollup_head(&self) -> Result<Option<(Head, u64)>, BlockError> {
        let Some(prefix) = self.part_of_section(Kind::Rollup, 0, PREFIX_BYTES, None)? else {
            return Ok(None);
        };
        let length = prefix
            .first_chunk::<4>()
            .map_or(0, |it| u32::from_le_bytes(*it));
        let whole = PREFIX_BYTES + length as usize;
        let bytes = self.part_of_section(Kind::Rollup, 0, whole, None)?;
        let (head, parts_at) =
            split(&bytes.unwrap_or_default()).map_err(|reason| self.rollup_is_wrong(reason))?;
        Ok(Some((head, parts_at as u64)))
    }
}
