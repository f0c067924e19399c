//! Blocks that were written by version 1 can be read for ever, and what this version writes is version 1.
//!
//! The files in `golden/` are changed only together with the version in the index file.

use std::{fs, path::Path};

use log_tracer_record::otlp::{
    common::{AnyValue, any_value::Value},
    logs::LogRecord,
};

use super::{
    damage::{read_all, spans},
    *,
};
use crate::block::{
    files::{Role, name},
    index::{Kind, decode_summary, read_directory, traces::Entries},
};

const ID: BlockId = BlockId(0x2a);

fn logs() -> Vec<LogRow> {
    let log = |row: SpanRow| LogRow {
        record: LogRecord {
            time_unix_nano: row.span.start_time_unix_nano,
            observed_time_unix_nano: row.span.end_time_unix_nano,
            severity_number: 9,
            severity_text: "INFO".to_owned(),
            body: Some(AnyValue {
                value: Some(Value::StringValue(format!(
                    "handled {} ärger",
                    row.span.name
                ))),
            }),
            trace_id: row.span.trace_id,
            span_id: row.span.span_id,
            attributes: row.span.attributes,
            ..LogRecord::default()
        },
        resource: row.resource,
        scope: row.scope,
    };
    spans(20).into_iter().map(log).collect()
}

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/block/tests/golden")
        .join(name)
}

/// The sections that are written otherwise by now. The extents depend on the bytes of the Parquet file, which another
/// version of its writer may choose otherwise. Where needles are was told by a filter of each piece, and the pieces say
/// where that is. Traces were told as [`Entries::Mixed`]. Rollups, tallies, the filter of traces and their service sets came
/// later.
const OTHERWISE: [Kind; 12] = [
    Kind::Extents,
    Kind::Filters,
    Kind::Pieces,
    Kind::Places,
    Kind::Rollup,
    Kind::Tally,
    Kind::Traces,
    Kind::TraceHeads,
    Kind::TraceRows,
    Kind::Leaves,
    Kind::TraceFilter,
    Kind::ServiceSets,
];

/// The other sections of an index.
fn sections(path: &Path) -> Vec<(Kind, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let read = |offset: u64, length: usize| {
        Ok::<_, super::super::error::Malformed>(bytes[offset as usize..][..length].to_vec())
    };
    let found = read_directory(bytes.len() as u64, read).unwrap();
    let own = Kind::ALL.into_iter();
    let own = own.filter(|kind| !OTHERWISE.contains(kind));
    let own = own.filter(|kind| found.contains_key(kind));
    own.map(|kind| {
        (
            kind,
            bytes[found[&kind].offset as usize..][..found[&kind].length as usize].to_vec(),
        )
    })
    .collect()
}

fn check<C: Storable>(rows: &[C::Row])
where
    C::Row: Bits,
{
    let directory = tempfile::tempdir().unwrap();
    let options = small();
    write(
        directory.path(),
        ID,
        &[chunk::<C>(0, rows)],
        ARRIVAL,
        &options,
    )
    .unwrap();
    let index = name(C::TABLE, ID, Role::Index);
    assert_eq!(
        sections(&directory.path().join(&index)),
        sections(&golden(&index))
    );
    let of_summary = sections(&golden(&index))
        .into_iter()
        .find(|(kind, _)| *kind == Kind::Summary);
    let mut info = decode_summary(C::TABLE, &of_summary.unwrap().1).unwrap();
    for role in [Role::Rows, Role::Index] {
        info.bytes += fs::metadata(golden(&name(C::TABLE, ID, role)))
            .unwrap()
            .len();
    }
    let block = Block::<C>::open(&golden(""), &info, &options.cache).unwrap();
    assert_eq!(block.tally().unwrap(), None, "it came later");
    assert_eq!(block.service_sets().unwrap(), None, "they came later");
    assert_eq!(block.entries(), Entries::Mixed);
    let read = read_all(&block).unwrap();
    assert!(
        read.iter()
            .eq(rows.iter().map(Bits::bits).collect::<Vec<_>>().iter())
    );
    assert_whole(&golden(""), &block);
    assert_summed_up(&block, &fs::read(directory.path().join(&index)).unwrap());
}

/// A block of a version without rollups is summed up from its columns, to what is written today.
fn assert_summed_up<C: Storable>(block: &Block<C>, index_today: &[u8]) {
    let read = |offset: u64, length: usize| {
        Ok::<_, Malformed>(index_today[offset as usize..][..length].to_vec())
    };
    let today = read_directory(index_today.len() as u64, read).unwrap()[&Kind::Rollup];
    let today = &index_today[today.offset as usize..][..today.length as usize];
    let stop = crate::Stop::never();
    let mut progress = crate::stop::Progress::start(&stop);
    let summed_up = crate::rollup::scan(block, &mut progress).unwrap().unwrap();
    assert!(summed_up == today);
    let loaded = block.rollup(|| Ok(Some(summed_up.clone()))).unwrap();
    assert!(
        loaded.unwrap().parts.is_some(),
        "it has no rollups of its own"
    );
    assert!(block.rollup(|| panic!("it is kept")).unwrap().is_some());
}

#[test]
fn spans_of_version_1_are_read_and_written() {
    check::<SpanChunk>(&spans(20));
}

#[test]
fn log_records_of_version_1_are_read_and_written() {
    check::<LogChunk>(&logs());
}

#[test]
#[ignore = "writes the golden files: only when the version changes"]
fn write_golden_files() {
    fs::create_dir_all(golden("")).unwrap();
    write(
        &golden(""),
        ID,
        &[chunk::<SpanChunk>(0, &spans(20))],
        ARRIVAL,
        &small(),
    )
    .unwrap();
    write(
        &golden(""),
        ID,
        &[chunk::<LogChunk>(0, &logs())],
        ARRIVAL,
        &small(),
    )
    .unwrap();
}
