//! Writes a block: rows piece by piece, then the index.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use arrow_array::{
    Array, ArrayRef, BinaryArray, DictionaryArray, RecordBatch, StringArray, types::Int32Type,
};
use arrow_schema::SchemaRef;
use hashbrown::HashSet;
use parquet::arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions};

use super::{
    BlockError, BlockId, BlockInfo, Options, Storable,
    error::Malformed,
    files::{self, Draft, Role},
    gather::{AttributePlan, ContextTexts, Picked},
    index::{
        Facts, IndexWriter, Kind, Piece, encode_operations, encode_pieces, encode_services,
        encode_summary,
        needles::Needles,
        places::PlacesWriter,
        tally::TallyWriter,
        traces::{self, Encoded, Entries, TraceRow},
    },
    info::{OperationCount, PieceInfo, ServiceCount},
    schema::{self, AttributeCounts, Column, FileSchema, Sample},
    verified::{Extents, Summing},
    write::Arrival,
};
use crate::{chunk::TimeBounds, rollup::Rollup};

/// The columns of a file that is to be written, with how each is encoded.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) schema: FileSchema,
    pub(crate) attributes: AttributePlan,
}

impl Plan {
    /// The columns of a table with those attributes that are frequent enough. `sample` says of each column what is known
    /// of its values.
    pub(crate) fn new<C: Storable>(
        counts: &AttributeCounts,
        rows: u64,
        options: &Options,
        mut sample: impl FnMut(usize, &Column) -> Sample,
    ) -> Self {
        let chosen = schema::promoted(counts, rows, &options.settings);
        let attributes = AttributePlan::new(&chosen);
        let column = |name: &str, r#type, key| Column {
            name: name.to_owned(),
            r#type,
            key,
            sample: Sample::default(),
            dictionary: false,
        };
        let fixed = C::COLUMNS.iter();
        let fixed = fixed.map(|(name, r#type)| column(name, *r#type, None));
        let names = schema::attribute_names(&chosen, counts);
        let of_attributes = chosen.into_iter().zip(names);
        let of_attributes =
            of_attributes.map(|((key, r#type), name)| column(&name, r#type, Some(key)));
        let mut columns: Vec<Column> = fixed.chain(of_attributes).collect();
        for (number, column) in columns.iter_mut().enumerate() {
            column.sample = sample(number, column);
            let Column {
                name,
                r#type,
                sample,
                ..
            } = &*column;
            column.dictionary = schema::suits_dictionary(name, *r#type, sample, &options.settings);
        }
        Self {
            schema: FileSchema::new(columns),
            attributes,
        }
    }
}

/// What is known of the values of each column of some rows.
pub(crate) fn sample_of(arrays: &[ArrayRef]) -> Vec<Sample> {
    arrays.iter().map(sample_array).collect()
}

fn sample_array(array: &ArrayRef) -> Sample {
    let data = array.to_data();
    let mut distinct: HashSet<&[u8]> = HashSet::new();
    let any = array.as_any();
    let labels = any.downcast_ref::<DictionaryArray<Int32Type>>();
    let any = labels.map_or(any, |labels| labels.values().as_any());
    if let Some(texts) = any.downcast_ref::<StringArray>() {
        distinct.extend(texts.iter().flatten().map(str::as_bytes));
    } else if let Some(values) = any.downcast_ref::<BinaryArray>() {
        distinct.extend(values.iter().flatten());
    } else if let Some(width) = array.data_type().primitive_width() {
        // A row that has none may have any bits there.
        let bytes = data
            .buffers()
            .first()
            .map_or(&[][..], |buffer| buffer.as_slice());
        let bytes = bytes.get(data.offset() * width..).unwrap_or_default();
        let valid = (0..array.len()).zip(bytes.chunks_exact(width));
        distinct.extend(
            valid
                .filter(|(row, _)| array.is_valid(*row))
                .map(|(_, value)| value),
        );
    }
    Sample {
        rows: array.len() as u64,
        filled: (array.len() - array.null_count()) as u64,
        distinct: distinct.len() as u64,
        bytes: distinct.iter().map(|value| value.len() as u64).sum(),
    }
}

/// A block that is being written.
#[derive(Debug)]
pub(crate) struct BlockWriter<'o> {
    table: &'static str,
    options: &'o Options,
    plan: Plan,
    arrow: SchemaRef,
    rows_file: ArrowWriter<Summed>,
    directory: std::path::PathBuf,
    id: BlockId,
    texts: ContextTexts,
    needles: Needles,
    tally: TallyWriter,
    pieces: Vec<Piece>,
    places: PlacesWriter,
    traces: Vec<TraceRow>,
    entries: Entries,
    rollup: Rollup,
    rolled_up: fn(Rollup) -> Vec<u8>,
    /// By column: rows that have a value.
    filled: Vec<u64>,
    rows: u32,
}

/// What is known of all rows beforehand.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) services: Vec<ServiceCount>,
    pub(crate) operations: Vec<OperationCount>,
    pub(crate) arrival: Arrival,
}

impl<'o> BlockWriter<'o> {
    pub(crate) fn create<C: Storable>(
        directory: &Path,
        id: BlockId,
        plan: Plan,
        options: &'o Options,
    ) -> Result<Self, BlockError> {
        let draft = Draft::create(directory, &files::name(C::TABLE, id, Role::Rows))?;
        let path = draft.path().to_owned();
        let failed = |reason: Malformed| BlockError::unwritable(&path, reason);
        let properties = schema::properties(C::TABLE, &plan.schema, &options.settings);
        let arrow = plan.schema.to_write();
        let writer_options = ArrowWriterOptions::new()
            .with_properties(properties.map_err(failed)?)
            .with_skip_arrow_metadata(true);
        let file = Summed {
            draft,
            sums: Extents::summing(options.settings.extent_bytes),
        };
        let rows_file = ArrowWriter::try_new_with_options(file, Arc::clone(&arrow), writer_options)
            .map_err(|error| BlockError::unwritable(&path, error))?;
        Ok(Self {
            table: C::TABLE,
            options,
            plan,
            arrow,
            rows_file,
            directory: directory.to_owned(),
            id,
            texts: ContextTexts::default(),
            needles: Needles::default(),
            tally: TallyWriter::default(),
            pieces: Vec::new(),
            places: PlacesWriter::default(),
            traces: Vec::new(),
            entries: C::ENTRIES,
            rollup: Rollup::new(options.settings.rollup),
            rolled_up: C::rolled_up,
            filled: Vec::new(),
            rows: 0,
        })
    }

    fn unwritable(&self, reason: impl std::fmt::Display) -> BlockError {
        let name = files::name(self.table, self.id, Role::Rows);
        BlockError::unwritable(&self.directory.join(name), reason)
    }

    /// Adds rows that follow those before, as a piece.
    pub(crate) fn add<C: Storable>(&mut self, picked: Picked<'_, C>) -> Result<(), BlockError> {
        if picked.len() == 0 {
            return Ok(());
        }
        let arrays = C::columns(picked, &self.plan.attributes, &mut self.texts)
            .map_err(|reason| self.unwritable(reason))?;
        self.filled.resize(arrays.len(), 0);
        for (filled, array) in self.filled.iter_mut().zip(&arrays) {
            *filled += (array.len() - array.null_count()) as u64;
        }
        // A dictionary that was made for a batch is a column of texts to the file.
        let batch = to_batch(&self.arrow, arrays).map_err(|reason| self.unwritable(reason))?;
        self.rows_file
            .write(&batch)
            .map_err(|error| self.unwritable(error))?;
        self.add_to_index(picked)
    }

    fn add_to_index<C: Storable>(&mut self, picked: Picked<'_, C>) -> Result<(), BlockError> {
        let count = u32::try_from(picked.len()).unwrap_or(u32::MAX);
        let end = self.rows.checked_add(count);
        let end = end.ok_or_else(|| self.unwritable("it would have more than 2^32 rows"))?;
        let (mut bounds, mut facts) = (TimeBounds::default(), Facts::default());
        let services = self.tally.add(picked);
        for (((chunk, row), service), number) in picked.iter().zip(services).zip(self.rows..) {
            bounds.include(chunk.time(row));
            chunk.add_needles(row, &mut self.needles, &mut facts);
            let of_trace = TraceRow::new(chunk, row, number, service, self.entries);
            self.traces.extend(of_trace);
        }
        C::roll_up(picked, &mut self.rollup);
        let number = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
        self.needles.hand_over(number, &mut self.places);
        self.pieces.push(Piece {
            info: PieceInfo {
                rows: self.rows..end,
                bounds,
            },
            facts,
            filter_at: 0,
            filter_length: 0,
            filter_checksum: 0,
        });
        self.rows = end;
        Ok(())
    }

    /// Makes the block durable.
    pub(crate) fn finish(mut self, totals: Totals) -> Result<BlockInfo, BlockError> {
        let bounds = self.pieces.iter().map(|piece| piece.info.bounds);
        let bounds = bounds.fold(TimeBounds::default(), TimeBounds::merge);
        let mut info = BlockInfo {
            id: self.id,
            rows: u64::from(self.rows),
            bytes: 0,
            first_unix_nano: bounds.first,
            last_unix_nano: bounds.last,
            received_unix_nano: totals.arrival.received_unix_nano,
            level: totals.arrival.level,
        };
        let Encoded {
            leaves,
            directory,
            service_sets,
        } = traces::encode(&mut self.traces, bounds.first, self.entries);
        let failed = |error: parquet::errors::ParquetError| {
            let name = files::name(self.table, self.id, Role::Rows);
            BlockError::unwritable(&self.directory.join(name), error)
        };
        let filled = schema::filled_to_metadata(&self.filled);
        let filled = filled.map_err(|reason| self.unwritable(reason))?;
        self.rows_file.append_key_value_metadata(filled);
        let Summed { draft, sums } = self.rows_file.into_inner().map_err(failed)?;
        let extents = sums.finish();
        let mut index = IndexWriter::new();
        index.add(self.entries.section(), &leaves);
        index.add(Kind::Services, &encode_services(&totals.services));
        index.add(Kind::Operations, &encode_operations(&totals.operations));
        index.add(Kind::Extents, &extents.encode());
        index.add(Kind::Pieces, &encode_pieces(&self.pieces));
        index.add(Kind::Leaves, &traces::encode_directory(&directory));
        index.add(Kind::Rollup, &(self.rolled_up)(self.rollup));
        index.add(Kind::Summary, &encode_summary(self.table, &info));
        index.add(Kind::Tally, &self.tally.encode());
        if let Some(service_sets) = service_sets {
            index.add(Kind::ServiceSets, &service_sets);
        }
        let check_bits = self.options.settings.needle_check_bits;
        let pieces = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
        index.add(Kind::TraceFilter, &traces::encode_filter(&self.traces));
        index.add(Kind::Places, &self.places.encode(pieces, check_bits));
        let index = index.finish();
        info.bytes = extents.length + index.len() as u64;
        let name = files::name(self.table, self.id, Role::Index);
        let mut index_draft = Draft::create(&self.directory, &name)?;
        index_draft
            .write_all(&index)
            .map_err(BlockError::io(index_draft.path()))?;
        draft.publish()?;
        index_draft.publish()?;
        files::sync_directory(&self.directory)?;
        Ok(info)
    }
}

fn to_batch(schema: &SchemaRef, arrays: Vec<ArrayRef>) -> Result<RecordBatch, Malformed> {
    let fields = schema.fields().iter().zip(&arrays);
    let fields = fields.map(|(field, array)| {
        arrow_schema::Field::new(field.name(), array.data_type().clone(), true)
    });
    let schema = arrow_schema::Schema::new(fields.collect::<Vec<_>>());
    Ok(RecordBatch::try_new(Arc::new(schema), arrays)?)
}

/// The file, with the checksums of what is written to it.
#[derive(Debug)]
struct Summed {
    draft: Draft,
    sums: Summing,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.draft.write(bytes)?;
        self.sums.add(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}
