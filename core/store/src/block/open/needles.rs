//! Which pieces of a block a query has to look at.

use std::sync::Arc;

use log_tracer_query::Needs;

use super::Block;
use crate::block::{
    BlockError, Storable,
    cache::Cached,
    error::Malformed,
    index::{
        Kind, Section,
        fuse::Fuse,
        needles::{pieces_with, trace_ids},
        places::{PieceSet, Places, TAIL_BYTES},
        traces,
    },
};

impl<C: Storable> Block<C> {
    /// The pieces where a row can match a query with these needs: those in doubt, too.
    pub(crate) fn admitted(&self, needs: &Needs) -> Result<PieceSet, BlockError> {
        let count = self.pieces.len();
        let mut admitted = PieceSet::none(count);
        if needs.never {
            return Ok(admitted);
        }
        for (number, known) in self.index.pieces.iter().enumerate() {
            if known.facts.admit(known.info.bounds, needs) {
                admitted.insert(number);
            }
        }
        if needs.clauses.is_empty() || admitted.is_empty() {
            return Ok(admitted);
        }
        let found = pieces_with(needs, count, &mut |hash| self.pieces_of_hash(hash))?;
        admitted = admitted.and(&found);
        self.keep_traces(admitted, needs)
    }

    /// Whether a row of the piece can match a query with these needs. True when in doubt.
    #[cfg(test)]
    pub(crate) fn admits(&self, piece: usize, needs: &Needs) -> Result<bool, BlockError> {
        Ok(self.admitted(needs)?.contains(piece))
    }

    /// Those pieces that have rows of a trace that a query names, if it names any.
    fn keep_traces(&self, mut pieces: PieceSet, needs: &Needs) -> Result<PieceSet, BlockError> {
        let Some(ids) = trace_ids(needs) else {
            return Ok(pieces);
        };
        if pieces.is_empty() {
            return Ok(pieces);
        }
        let mut rows = Vec::new();
        for id in ids {
            rows.extend(self.rows_of_trace(id)?);
        }
        rows.sort_unstable();
        for (number, piece) in self.pieces.iter().enumerate() {
            let first = rows.partition_point(|row| *row < piece.rows.start);
            if rows.get(first).is_none_or(|row| *row >= piece.rows.end) {
                pieces.remove(number);
            }
        }
        Ok(pieces)
    }

    /// The pieces that can have a needle.
    pub(crate) fn pieces_of_hash(&self, hash: u64) -> Result<PieceSet, BlockError> {
        let count = self.pieces.len();
        let Some(section) = self.index.sections.get(&Kind::Places) else {
            let mut found = PieceSet::none(count);
            for piece in 0..count {
                let filter = self.filter(piece)?;
                if filter.is_none_or(|filter| filter.contains(hash)) {
                    found.insert(piece);
                }
            }
            return Ok(found);
        };
        let places = self.places(section)?;
        let shard = places.shard(hash).filter(|shard| shard.length > 0);
        let Some(shard) = shard else {
            return Ok(PieceSet::all(count));
        };
        let fuse = self
            .cache
            .get(self.owner, Cached::Shard(shard.number), || {
                let offset = section.offset.saturating_add(shard.offset);
                self.read_fuse(offset, shard.length, shard.checksum)
            })?;
        Ok(places.of(&fuse, hash))
    }

    /// Whether it can have rows of the trace with a key.
    pub(crate) fn may_have_trace(&self, key: u128) -> Result<bool, BlockError> {
        let section = self.index.sections.get(&Kind::TraceFilter);
        let Some(section) = section.filter(|section| section.length > 0) else {
            return Ok(true);
        };
        let filter = self.cache.get(self.owner, Cached::Traces, || {
            let length = u32::try_from(section.length).unwrap_or(u32::MAX);
            self.read_fuse(section.offset, length, section.checksum)
        })?;
        Ok(filter.contains(traces::filter_hash(key)))
    }

    /// Where the needles are.
    fn places(&self, section: &Section) -> Result<Arc<Places>, BlockError> {
        self.cache.get(self.owner, Cached::Places, || {
            let corrupt = |reason| self.index_file.corrupt(reason);
            let file = self.file(&self.index_file, true)?;
            let end = section.offset.saturating_add(section.length);
            let last = |length: usize| {
                let start = end.checked_sub(length as u64);
                let start = start.filter(|start| *start >= section.offset);
                let start =
                    start.ok_or_else(|| corrupt(Malformed::new("section 11 is too short")))?;
                self.index_file.read(&file, start, length)
            };
            let length = Places::tail_len(&last(TAIL_BYTES)?).map_err(corrupt)?;
            let places = Places::decode(&last(length)?, section.length).map_err(corrupt)?;
            if places.pieces() != self.pieces.len() {
                return Err(corrupt(Malformed::new("its needles are of other pieces")));
            }
            let bytes = places.bytes();
            Ok((places, bytes))
        })
    }

    fn read_fuse(
        &self,
        offset: u64,
        length: u32,
        checksum: u32,
    ) -> Result<(Fuse, usize), BlockError> {
        let file = self.file(&self.index_file, true)?;
        let length = length as usize;
        let bytes = self
            .index_file
            .read_checked(&file, offset, length, checksum, "needles")?;
        let fuse = Fuse::decode(&bytes).map_err(|reason| self.index_file.corrupt(reason))?;
        let bytes = fuse.bytes();
        Ok((fuse, bytes))
    }

    /// The filter of a piece of a block that has no places, if it has one.
    fn filter(&self, number: usize) -> Result<Option<Arc<Fuse>>, BlockError> {
        let section = self.index.sections.get(&Kind::Filters);
        let (Some(piece), Some(section)) = (self.index.pieces.get(number), section) else {
            return Ok(None);
        };
        if piece.filter_length == 0 {
            return Ok(None);
        }
        let cached = Cached::Filter(number as u32);
        let filter = self.cache.get(self.owner, cached, || {
            let offset = section.offset + piece.filter_at;
            self.read_fuse(offset, piece.filter_length, piece.filter_checksum)
        })?;
        Ok(Some(filter))
    }
}
