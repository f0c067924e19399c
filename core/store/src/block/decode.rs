//! Reads columns of the Parquet file, for some rows.

use std::{ops::Range, panic::AssertUnwindSafe};

use arrow_array::ArrayRef;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
        },
    },
    file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaDataReader},
};

use super::{
    BlockError,
    error::Malformed,
    schema::{FileSchema, filled_from_metadata},
    verified::VerifiedFile,
};

/// What is known of the Parquet file, parsed.
#[derive(Debug)]
pub(crate) struct Footer {
    metadata: ArrowReaderMetadata,
    pub(crate) schema: FileSchema,
    /// By column: rows that have a value. Exact: a column where no row has one is not read.
    pub(crate) filled: Vec<u64>,
    rows: usize,
}

impl Footer {
    pub(crate) fn read(file: &VerifiedFile, table: &str) -> Result<Self, BlockError> {
        guarded(file, || Self::parse(file, table))
    }

    fn parse(file: &VerifiedFile, table: &str) -> Result<Self, Malformed> {
        let metadata = ParquetMetaDataReader::new()
            .with_offset_index_policy(PageIndexPolicy::Required)
            .with_column_index_policy(PageIndexPolicy::Skip)
            .parse_and_finish(file)?;
        let pairs = metadata.file_metadata().key_value_metadata();
        let schema = FileSchema::from_metadata(table, pairs)?;
        let [group] = metadata.row_groups() else {
            return Err(Malformed::new("it has not one row group"));
        };
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        if group.num_columns() != schema.columns.len() {
            return Err(Malformed::new("it has other columns than it says"));
        }
        let of_statistics = |column: &ColumnChunkMetaData| {
            let nulls = column.statistics().and_then(|known| known.null_count_opt());
            (rows as u64).saturating_sub(nulls.unwrap_or(0))
        };
        let filled = filled_from_metadata(pairs)?
            .unwrap_or_else(|| group.columns().iter().map(of_statistics).collect());
        if filled.len() != schema.columns.len() {
            return Err(Malformed::new("it counts other columns than it says"));
        }
        let options = ArrowReaderOptions::new().with_schema(schema.to_read());
        Ok(Self {
            metadata: ArrowReaderMetadata::try_new(metadata.into(), options)?,
            schema,
            filled,
            rows,
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of each column in the file, by its name.
    pub(crate) fn column_bytes(&self) -> Vec<(String, u64)> {
        let groups = self.metadata.metadata().row_groups();
        let columns = groups.iter().flat_map(|group| group.columns());
        let names = self.schema.columns.iter();
        names
            .zip(columns)
            .map(|(column, chunk)| (column.name.clone(), chunk.compressed_size().max(0) as u64))
            .collect()
    }

    /// Bytes of memory, about.
    pub(crate) fn bytes(&self) -> usize {
        const COLUMN_BYTES: usize = 512;
        self.metadata.metadata().memory_size() + self.schema.columns.len() * COLUMN_BYTES
    }

    /// Reads the columns that are wanted of some rows: ranges that are ascending and do not meet.
    pub(crate) fn decode(
        &self,
        file: &VerifiedFile,
        ranges: &[Range<usize>],
        wanted: &[bool],
    ) -> Result<Decoded<'_>, BlockError> {
        guarded(file, || self.decode_columns(file, ranges, wanted))
    }

    fn decode_columns(
        &self,
        file: &VerifiedFile,
        ranges: &[Range<usize>],
        wanted: &[bool],
    ) -> Result<Decoded<'_>, Malformed> {
        let rows: usize = ranges.iter().map(Range::len).sum();
        let numbers: Vec<usize> = wanted
            .iter()
            .enumerate()
            .filter_map(|(number, wanted)| wanted.then_some(number))
            .collect();
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; self.schema.columns.len()];
        if rows == 0 || numbers.is_empty() {
            return Ok(Decoded {
                schema: &self.schema,
                arrays,
                rows,
            });
        }
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), numbers.iter().copied());
        let selection = RowSelection::from_consecutive_ranges(ranges.iter().cloned(), self.rows);
        let mut batches =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), self.metadata.clone())
                .with_projection(mask)
                .with_row_selection(selection)
                .with_batch_size(rows)
                .build()?;
        let batch = batches
            .next()
            .ok_or_else(|| Malformed::new("it has fewer rows than it says"))??;
        if batch.num_rows() != rows || batch.num_columns() != numbers.len() {
            return Err(Malformed(format!(
                "{} rows of {} columns were read where {rows} of {} were expected",
                batch.num_rows(),
                batch.num_columns(),
                numbers.len()
            )));
        }
        for (number, array) in numbers.into_iter().zip(batch.columns()) {
            if let Some(place) = arrays.get_mut(number) {
                *place = Some(array.clone());
            }
        }
        Ok(Decoded {
            schema: &self.schema,
            arrays,
            rows,
        })
    }
}

/// Columns of some rows.
#[derive(Debug)]
pub(crate) struct Decoded<'f> {
    pub(crate) schema: &'f FileSchema,
    arrays: Vec<Option<ArrayRef>>,
    pub(crate) rows: usize,
}

impl Decoded<'_> {
    /// None when it was not wanted or is empty.
    pub(crate) fn array(&self, name: &str) -> Option<&ArrayRef> {
        self.array_at(self.schema.number_of(name)?)
    }

    pub(crate) fn array_at(&self, number: usize) -> Option<&ArrayRef> {
        self.arrays.get(number)?.as_ref()
    }
}

/// Does something with bytes that were verified, so that what fails now was written wrongly; the decoders of Parquet
/// panic on some of that.
fn guarded<T>(
    file: &VerifiedFile,
    work: impl FnOnce() -> Result<T, Malformed>,
) -> Result<T, BlockError> {
    let failed = |reason: Malformed| match file.take_failure() {
        Some(error) => error,
        None => BlockError::corrupt(file.path(), reason),
    };
    match std::panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(failed(Malformed::new("its decoder panicked"))),
    }
}
