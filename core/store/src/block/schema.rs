//! The columns of a Parquet file, and how each is encoded.
//!
//! A file has one row group, and its rows stand in the order of time, then of partition, offset and index. Any tool that
//! reads Parquet reads it; these names do not change. A value that is missing is null.
//!
//! # Spans
//!
//! | column | type | what |
//! |---|---|---|
//! | `start_time` | timestamp, ns, UTC | the start; the 64 bits as they came, so that a time after 2262 shows as one before 1970 |
//! | `duration_ns` | int64 | the end less the start, nanoseconds, modulo 2^64; negative when the end lies before the start |
//! | `trace_id` | 16 bytes | null when it is no valid id |
//! | `span_id`, `parent_span_id` | 8 bytes | likewise |
//! | `service` | text | `service.name` of the resource, or `unknown_service` |
//! | `resource`, `scope` | JSON | as in the module `json` |
//! | `name` | text | |
//! | `kind` | text | `internal`, `server`, `client`, `producer`, `consumer`, `unspecified`, or a number that is none of these |
//! | `status_code` | text | `unset`, `ok`, `error`, or a number; null without a status |
//! | `status_message` | text | |
//! | `flags` | uint32 | |
//! | `trace_state` | text | |
//! | `events`, `links` | JSON | arrays |
//! | `dropped_attributes_count`, `dropped_events_count`, `dropped_links_count` | uint32 | null for 0 |
//!
//! # Log records
//!
//! | column | type | what |
//! |---|---|---|
//! | `time` | timestamp, ns, UTC | the time, or the observed time when it has none |
//! | `observed_after_ns` | int64 | the observed time less `time`, nanoseconds, modulo 2^64; null when there is none |
//! | `time_is_observed` | boolean | whether the record has no time of its own |
//! | `trace_id`, `span_id` | 16 and 8 bytes | |
//! | `service`, `resource`, `scope` | text, JSON | as for spans |
//! | `severity_number`, `severity_text` | int32, text | |
//! | `event_name` | text | |
//! | `body` | text | a text as it is, anything else as JSON |
//! | `body_is_json` | boolean | whether it is not a text |
//! | `flags`, `dropped_attributes_count` | uint32 | |
//!
//! # Both
//!
//! | column | type | what |
//! |---|---|---|
//! | `attributes.<key>` | text, boolean, int64, double or bytes | the first attribute of the key that has the type |
//! | `attributes.<key>:<type>` | likewise | the same of the types of a key that are less frequent in the file |
//! | `other_attributes` | JSON | all attributes that have no column, and lists, maps, empty values and repeated keys |
//! | `attribute_order` | bytes | the order of all attributes of a row: see the module `gather` |
//! | `rest` | bytes | a protobuf `Span` or `LogRecord` with what fits nowhere: ids that are none |
//! | `partition`, `offset`, `index` | uint16, uint64, uint32 | where the record stood in the log |
//!
//! A key gets a column when one row of [`Settings::promote_one_in`] has it, and at most
//! [`Settings::attribute_columns_max`] do. Names that differ only in case get a number, as in `attributes.a#2`. The
//! footer says under `log-tracer` which column holds which key and type.
//!
//! # Encoding
//!
//! A few rows are read at a time, so that what a read cannot leave out has to be small: a dictionary is read whole. A
//! column has one when its different values are few and short ([`suits_dictionary`], from a sample of 8,192 rows); its
//! pages are large and not compressed. Others have pages of [`Settings::page_rows`] rows, Zstandard for all but ids of
//! spans, times and the delays of observed times, lengths and deltas for texts and times. Statistics are kept for each
//! column of numbers or times of the file, not for each page: the index file knows more.

use std::{collections::HashMap, sync::Arc};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
    },
    schema::types::ColumnPath,
};
use serde::{Deserialize, Serialize};

use super::{Settings, error::Malformed};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ColumnType {
    Text,
    Bool,
    Int,
    Double,
    Bytes,
    /// Nanoseconds since 1970, UTC. A time after 2262-04-11 has the sign bit set: its bits are those of the u64.
    Time,
    U16,
    U32,
    U64,
    I32,
    TraceId,
    SpanId,
}

impl ColumnType {
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Bytes => DataType::Binary,
            Self::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Self::U16 => DataType::UInt16,
            Self::U32 => DataType::UInt32,
            Self::U64 => DataType::UInt64,
            Self::I32 => DataType::Int32,
            Self::TraceId => DataType::FixedSizeBinary(16),
            Self::SpanId => DataType::FixedSizeBinary(8),
        }
    }

    /// How an attribute of the type is called in the name of its column.
    fn suffix(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::Bytes => "bytes",
            _ => "text",
        }
    }
}

/// What is known of the values of a column, from a sample of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Rows in the sample, and those of them that have a value.
    pub(crate) rows: u64,
    pub(crate) filled: u64,
    /// Different values, and their bytes.
    pub(crate) distinct: u64,
    pub(crate) bytes: u64,
}

impl Sample {
    /// Of the rows of both. What is in both counts twice, as it does in the rows.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            filled: self.filled + other.filled,
            distinct: self.distinct + other.distinct,
            bytes: self.bytes + other.bytes,
        }
    }

    /// The one with more different values.
    pub(crate) fn richer(self, other: Self) -> Self {
        if other.distinct > self.distinct {
            other
        } else {
            self
        }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) r#type: ColumnType,
    /// The key of the attribute whose values it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    pub(crate) sample: Sample,
    /// Whether each different value is written once.
    pub(crate) dictionary: bool,
}

/// What the footer of the Parquet file says under [`METADATA_KEY`], as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Metadata {
    version: u32,
    table: String,
    columns: Vec<Column>,
}

const METADATA_KEY: &str = "log-tracer";
const VERSION: u32 = 1;

/// The columns of a file, in the order in which they stand there.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileSchema {
    pub(crate) columns: Vec<Column>,
    by_name: HashMap<String, usize>,
}

impl FileSchema {
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        let names = columns.iter().map(|column| column.name.clone());
        let by_name = names.zip(0..).collect();
        Self { columns, by_name }
    }

    /// The number of a column.
    pub(crate) fn number_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The columns of attributes: their numbers, keys and types.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (usize, &str, ColumnType)> {
        let columns = self.columns.iter().enumerate();
        columns.filter_map(|(number, column)| Some((number, column.key.as_deref()?, column.r#type)))
    }

    /// As arrow has it when it is written.
    pub(crate) fn to_write(&self) -> SchemaRef {
        self.to_arrow(|column| column.r#type.data_type())
    }

    /// As arrow has it when it is read: with the dictionaries that are in the file.
    pub(crate) fn to_read(&self) -> SchemaRef {
        self.to_arrow(|column| match column.r#type {
            ColumnType::Text | ColumnType::Bytes if column.dictionary => DataType::Dictionary(
                Box::new(DataType::Int32),
                Box::new(column.r#type.data_type()),
            ),
            other => other.data_type(),
        })
    }

    fn to_arrow(&self, data_type: impl Fn(&Column) -> DataType) -> SchemaRef {
        let field = |column: &Column| Field::new(&column.name, data_type(column), true);
        Arc::new(Schema::new(
            self.columns.iter().map(field).collect::<Vec<_>>(),
        ))
    }

    pub(crate) fn to_metadata(&self, table: &str) -> Result<KeyValue, Malformed> {
        let metadata = Metadata {
            version: VERSION,
            table: table.to_owned(),
            columns: self.columns.clone(),
        };
        Ok(KeyValue::new(
            METADATA_KEY.to_owned(),
            serde_json::to_string(&metadata)?,
        ))
    }

    pub(crate) fn from_metadata(
        table: &str,
        pairs: Option<&Vec<KeyValue>>,
    ) -> Result<Self, Malformed> {
        let text = pairs
            .and_then(|pairs| pairs.iter().find(|pair| pair.key == METADATA_KEY))
            .and_then(|pair| pair.value.as_ref())
            .ok_or_else(|| Malformed::new("it was not written by log-tracer"))?;
        let metadata: Metadata = serde_json::from_str(text)?;
        if metadata.version != VERSION {
            let version = metadata.version;
            return Err(Malformed(format!("its version {version} is unknown")));
        }
        if metadata.table != table {
            return Err(Malformed(format!("it holds {}", metadata.table)));
        }
        Ok(Self::new(metadata.columns))
    }
}

/// Under which the file says how many rows have a value in each column.
const FILLED_KEY: &str = "log-tracer.filled";

/// How many rows have a value in each column, as it is written when all rows are there.
pub(crate) fn filled_to_metadata(filled: &[u64]) -> Result<KeyValue, Malformed> {
    let text = serde_json::to_string(filled)?;
    Ok(KeyValue::new(FILLED_KEY.to_owned(), text))
}

/// The same as it is read; none in a file that leaves it to the statistics of its columns.
pub(crate) fn filled_from_metadata(
    pairs: Option<&Vec<KeyValue>>,
) -> Result<Option<Vec<u64>>, Malformed> {
    let pair = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == FILLED_KEY));
    let text = pair.and_then(|pair| pair.value.as_ref());
    Ok(text.map(|text| serde_json::from_str(text)).transpose()?)
}

/// A key and a type of attributes with the rows that have it.
pub(crate) type AttributeCounts = HashMap<(String, ColumnType), u64>;

/// Chooses the attributes that become columns: those that fill enough rows, and the most frequent of them. Sorted by
/// key and type.
pub(crate) fn promoted(
    counts: &AttributeCounts,
    rows: u64,
    settings: &Settings,
) -> Vec<(String, ColumnType)> {
    let enough = (rows / u64::from(settings.promote_one_in.max(1))).max(1);
    let mut frequent: Vec<_> = counts
        .iter()
        .filter(|(_, count)| **count >= enough)
        .collect();
    frequent.sort_unstable_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
    frequent.truncate(settings.attribute_columns_max);
    let mut chosen: Vec<_> = frequent.into_iter().map(|(key, _)| key.clone()).collect();
    chosen.sort_unstable();
    chosen
}

/// Names the columns of attributes: `attributes.<key>`, and for the rarer types of a key `attributes.<key>:<type>`.
/// Names that differ only in case are different here and the same to some tools, so they get a number.
pub(crate) fn attribute_names(
    chosen: &[(String, ColumnType)],
    counts: &AttributeCounts,
) -> Vec<String> {
    let count = |of: &(String, ColumnType)| counts.get(of).copied().unwrap_or(0);
    let mut taken: HashMap<String, u32> = HashMap::new();
    let mut name = |of: &(String, ColumnType)| {
        let (key, r#type) = of;
        let others = chosen.iter().filter(|(other, _)| other == key);
        let is_first = others
            .max_by_key(|other| (count(other), std::cmp::Reverse(other.1)))
            .is_none_or(|first| first == of);
        let mut name = format!("attributes.{key}");
        if !is_first {
            name.push(':');
            name.push_str(r#type.suffix());
        }
        loop {
            let number = taken.entry(name.to_lowercase()).or_insert(0);
            *number += 1;
            if *number == 1 {
                return name;
            }
            name = format!("{name}#{number}");
        }
    };
    chosen.iter().map(&mut name).collect()
}

/// Whether the values are so many that a dictionary of them would be dear to read.
pub(crate) fn suits_dictionary(
    name: &str,
    r#type: ColumnType,
    sample: &Sample,
    settings: &Settings,
) -> bool {
    match (name, r#type) {
        // Long, and shared by many rows: in a block of many processes, too.
        ("resource" | "scope", _) => true,
        ("start_time" | "time" | "duration_ns" | "offset" | "index", _) => false,
        (_, ColumnType::TraceId | ColumnType::SpanId) => false,
        _ => {
            sample.bytes <= settings.dictionary_bytes_max
                && sample.distinct * settings.dictionary_repeats
                    <= sample.filled.max(settings.dictionary_repeats * 64)
        }
    }
}

/// How the file is written.
pub(crate) fn properties(
    table: &str,
    schema: &FileSchema,
    settings: &Settings,
) -> Result<WriterProperties, Malformed> {
    let zstd = |level| Ok::<_, Malformed>(Compression::ZSTD(ZstdLevel::try_new(level)?));
    let (zstd, body_zstd) = (zstd(settings.zstd_level)?, zstd(settings.body_zstd_level)?);
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(format!("log-tracer {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![schema.to_metadata(table)?]))
        .set_max_row_group_row_count(None)
        .set_write_batch_size(settings.write_batch_rows)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(64))
        .set_compression(Compression::UNCOMPRESSED)
        .set_data_page_row_count_limit(settings.dictionary_page_rows)
        .set_dictionary_page_size_limit(DICTIONARY_PAGE_BYTES_MAX);
    for column in &schema.columns {
        let path = ColumnPath::new(vec![column.name.clone()]);
        builder = builder.set_column_dictionary_enabled(path.clone(), column.dictionary);
        if !suits_statistics(column.r#type) {
            let none = EnabledStatistics::None;
            builder = builder.set_column_statistics_enabled(path.clone(), none);
        }
        if column.dictionary {
            // The pages are numbers of a few bits: only long values gain.
            if column.sample.bytes > DICTIONARY_ZSTD_BYTES_MIN {
                builder = builder.set_column_compression(path, zstd);
            }
            continue;
        }
        let encoding = match column.r#type {
            ColumnType::Text | ColumnType::Bytes => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            ColumnType::Time | ColumnType::U64 => Encoding::DELTA_BINARY_PACKED,
            ColumnType::U32 | ColumnType::U16 | ColumnType::I32 => Encoding::DELTA_BINARY_PACKED,
            ColumnType::Int if column.key.is_none() && column.name == OBSERVED => {
                Encoding::DELTA_BINARY_PACKED
            }
            _ => Encoding::PLAIN,
        };
        let is_plain = matches!(
            column.name.as_str(),
            "span_id" | "start_time" | "time" | "offset" | "index" | OBSERVED
        );
        if !is_plain {
            let is_body = column.key.is_none() && column.name == BODY;
            let zstd = if is_body { body_zstd } else { zstd };
            builder = builder.set_column_compression(path.clone(), zstd);
        }
        let is_sparse = column.sample.filled * SPARSE_ONE_IN < column.sample.rows;
        if !is_sparse {
            builder =
                builder.set_column_data_page_row_count_limit(path.clone(), settings.page_rows);
        }
        builder = builder.set_column_encoding(path, encoding);
    }
    Ok(builder.build())
}

/// Whether the least and the greatest value of a column in a file tell anybody anything. Of texts and ids, those of each
/// block are the same, and each of their values would have to be compared twice.
fn suits_statistics(r#type: ColumnType) -> bool {
    !matches!(
        r#type,
        ColumnType::Text | ColumnType::Bytes | ColumnType::TraceId | ColumnType::SpanId
    )
}

/// The column of the texts of log records, which take more than half of their blocks.
const BODY: &str = "body";

/// The column of the delays until log records were observed. They are alike, so that the bits by which they differ are
/// few; durations of spans are of all sizes, and Zstandard does better there.
const OBSERVED: &str = "observed_after_ns";

/// A column with values in fewer rows than one of so many has large pages.
const SPARSE_ONE_IN: u64 = 8;

/// A dictionary of more bytes than this is compressed.
const DICTIONARY_ZSTD_BYTES_MIN: u64 = 2 << 10;

/// Above this, Parquet gives a dictionary up in the middle of a column; the sample sees to it that none gets there.
const DICTIONARY_PAGE_BYTES_MAX: usize = 256 << 20;
