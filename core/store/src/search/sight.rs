//! Rows as a question that counts looks at them: those of a chunk in memory, or those of some pieces of a block, column
//! by column ([`crate::block::Scan`]). No row is put together.

use std::ops::Range;

use arrow_buffer::ScalarBuffer;
use log_tracer_query::{Field, Intrinsic, Record, Records, RowSet, TextTest, Value, ValueTest};

use super::filter::{Filter, FilterOn};
use crate::{
    block::{BlockError, Named, Scan, Storable},
    chunk::Chunk,
};

/// Rows to look at.
#[derive(Debug)]
pub(super) enum Sight<'s, C> {
    Chunk(&'s C),
    Block(Scan<'s, C>),
}

impl<'s, C: Storable> Sight<'s, C> {
    /// All rows of some pieces of a block, ascending.
    pub(super) fn of_pieces(
        block: &'s crate::block::Block<C>,
        pieces: &[usize],
    ) -> Result<Self, BlockError> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for piece in pieces.iter().filter_map(|piece| block.pieces().get(*piece)) {
            let rows = piece.rows.start as usize..piece.rows.end as usize;
            match ranges.last_mut() {
                Some(last) if last.end == rows.start => last.end = rows.end,
                _ => ranges.push(rows),
            }
        }
        Self::of_rows(block, ranges)
    }

    /// Some rows of a block: ranges that are ascending and do not meet.
    pub(super) fn of_rows(
        block: &'s crate::block::Block<C>,
        ranges: Vec<Range<usize>>,
    ) -> Result<Self, BlockError> {
        block.scan(ranges).map(Self::Block)
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Chunk(chunk) => chunk.rows(),
            Self::Block(scan) => scan.rows(),
        }
    }

    /// Bytes that were read of blocks for it, as they are in memory.
    pub(super) fn bytes_read(&self) -> u64 {
        match self {
            Self::Chunk(_) => 0,
            Self::Block(scan) => scan.bytes(),
        }
    }

    /// The rows that match, and lie in the range.
    pub(super) fn select(&mut self, filter: &Filter<'_>) -> Result<RowSet, BlockError> {
        self.select_within(filter, 0..self.rows())
    }

    /// Those of some rows.
    pub(super) fn select_within(
        &mut self,
        filter: &Filter<'_>,
        among: Range<usize>,
    ) -> Result<RowSet, BlockError> {
        let range = filter.range();
        match self {
            Self::Chunk(chunk) => {
                let on = filter.on_whole(*chunk);
                let rows = on.rows();
                let mut asked = RowSet::none(chunk.rows());
                rows.filter(|row| among.contains(row) && range.contains(chunk.time(*row)))
                    .for_each(|row| asked.insert(row));
                let Ok(found) = filter.query().select(&mut InMemory(&on), asked);
                Ok(found)
            }
            Self::Block(scan) => {
                let of_range = match scan.lies_in(range) {
                    true => 0..scan.rows(),
                    false => {
                        let times = scan.times()?;
                        let first = times.partition_point(|time| *time < range.start_unix_nano);
                        let end = match range.end_unix_nano {
                            Some(end) => times.partition_point(|time| *time < end),
                            None => times.len(),
                        };
                        first..end
                    }
                };
                let asked = among.start.max(of_range.start)..among.end.min(of_range.end);
                let asked = RowSet::within(asked, scan.rows());
                filter.query().select(scan, asked)
            }
        }
    }

    /// The times of the rows. Those of a block ascend.
    pub(super) fn times(&mut self) -> Result<ScalarBuffer<u64>, BlockError> {
        match self {
            Self::Chunk(chunk) => Ok((0..chunk.rows()).map(|row| chunk.time(row)).collect()),
            Self::Block(scan) => scan.times(),
        }
    }

    /// The traces of some rows as numbers, in their order; zero for none.
    pub(super) fn trace_ids(&mut self, rows: &RowSet) -> Result<Vec<u128>, BlockError> {
        match self {
            Self::Chunk(chunk) => Ok(rows.iter().map(|row| chunk.trace_of(row)).collect()),
            Self::Block(scan) => scan.trace_ids(rows),
        }
    }

    /// The grade of each row.
    pub(super) fn grades(&mut self) -> Result<Vec<u8>, BlockError> {
        match self {
            Self::Chunk(chunk) => Ok((0..chunk.rows()).map(|row| chunk.grade(row)).collect()),
            Self::Block(scan) => scan.grades(),
        }
    }

    /// How long some spans took in nanoseconds, in their order.
    pub(super) fn durations(&mut self, rows: &RowSet) -> Result<Vec<u64>, BlockError> {
        match self {
            Self::Chunk(chunk) => {
                let duration = |row| chunk.end_of(row).saturating_sub(chunk.time(row));
                Ok(rows.iter().map(duration).collect())
            }
            Self::Block(scan) => scan.durations(rows),
        }
    }

    /// The service of each row.
    pub(super) fn services(&mut self) -> Result<Named, BlockError> {
        match self {
            Self::Chunk(chunk) => {
                let resources = chunk.resources();
                let names = resources.all().iter();
                Ok(Named {
                    numbers: (0..chunk.rows())
                        .map(|row| resources.number(row) as u32)
                        .collect(),
                    names: names
                        .map(|resource| resource.service().to_owned())
                        .collect(),
                })
            }
            Self::Block(scan) => scan.services(),
        }
    }
}

/// The rows of a chunk in memory, each looked at by itself.
struct InMemory<'a, 'f, 'q, C>(&'a FilterOn<'f, 'q, C>);

impl<C: Chunk> Records for InMemory<'_, '_, '_, C> {
    type Error = std::convert::Infallible;

    fn with_value(
        &mut self,
        field: &Field,
        test: &ValueTest<'_>,
        among: &RowSet,
    ) -> Result<RowSet, Self::Error> {
        let mut found = among.clone();
        if *field == Field::Intrinsic(Intrinsic::Service) {
            let resources = self.0.chunk().resources();
            let services = resources.all().iter();
            let accepted: Vec<bool> = services
                .map(|resource| test.accepts(Value::Str(resource.service())))
                .collect();
            found.retain(|row| accepted.get(resources.number(row)) == Some(&true));
        } else {
            found.retain(|row| {
                let record = self.0.record(row);
                record.any_value(field, &mut |value| test.accepts(value))
            });
        }
        Ok(found)
    }

    fn with_text(&mut self, test: &TextTest<'_>, among: &RowSet) -> Result<RowSet, Self::Error> {
        let mut found = among.clone();
        found.retain(|row| {
            let record = self.0.record(row);
            record.any_text(&mut |text| test.accepts(text))
        });
        Ok(found)
    }
}
