//! A chunk that was filled from the bytes of a request must be the one that is filled from the rows that prost makes of
//! it: the same rows, the same tallies, the same count of bytes.

use log_tracer_record::{
    SpanRow, arbitrary, log_rows,
    otlp::{
        collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest,
        trace::Span,
    },
    span_rows, wire,
};
use proptest::prelude::*;
use prost::Message;

use super::{Above, Chunk, ChunkBuilder, LogChunk, SpanChunk};
use crate::{Config, Origin, Store, block::Storable};

const ORIGIN: Origin = Origin {
    partition: 3,
    offset: 5,
};

fn of_rows<C: Storable>(rows: &[C::Row]) -> C::Builder {
    let mut builder = C::Builder::default();
    for (index, row) in (0..).zip(rows) {
        builder.append(ORIGIN, index, row);
    }
    builder.release();
    builder
}

/// Also checks that each row has the same bound as the row that it is decoded to.
fn in_place<C: Storable>(
    request: &wire::Request<'_, <C::Builder as ChunkBuilder>::Signal>,
    rows: &[C::Row],
) -> Result<C::Builder, TestCaseError> {
    let mut builder = C::Builder::default();
    let mut rows = (0..).zip(rows);
    let mut scopes = 0;
    for (place, resource) in (0..).zip(request.resources()) {
        for scope in resource.scopes.iter() {
            let above = Above::new((place, &resource), (scopes, &scope));
            scopes += 1;
            for message in scope.records.messages() {
                let (index, row) = rows.next().unwrap();
                let bytes = C::Builder::bytes_max_of_message(message);
                prop_assert_eq!(bytes, C::Builder::bytes_max_of(row));
                prop_assert!(bytes <= C::Builder::bytes_ceiling_of_message(message.len()));
                builder.append_message(ORIGIN, index, &above, message);
            }
        }
    }
    builder.release();
    Ok(builder)
}

/// Everything of a chunk that is not a row. Each dictionary hashes in its own way, and tallies come in any order.
fn facts<C: Storable>(chunk: &C) -> impl PartialEq + std::fmt::Debug + use<C> {
    let mut services: Vec<String> = chunk
        .service_counts()
        .iter()
        .map(|count| format!("{count:?}"))
        .collect();
    services.sort();
    let mut operations: Vec<String> = chunk
        .operation_counts()
        .iter()
        .map(|count| format!("{count:?}"))
        .collect();
    operations.sort();
    let origins: Vec<_> = (0..chunk.rows())
        .map(|row| {
            let (origin, index) = chunk.origin(row);
            (origin.partition, origin.offset, index)
        })
        .collect();
    let levels: Vec<_> = (0..chunk.rows())
        .map(|row| {
            (
                chunk.grade(row),
                chunk.is_error(row),
                chunk.time(row),
                chunk.end_of(row),
            )
        })
        .collect();
    (
        (chunk.rows(), chunk.bounds(), chunk.traces().ids().to_vec()),
        (services, operations, origins, levels),
        chunk.resources().all().len(),
    )
}

/// The two chunks, once they are found to have the same facts and the same count of bytes; frozen, and as snapshots.
fn agree<C: Storable>(
    request: &wire::Request<'_, <C::Builder as ChunkBuilder>::Signal>,
    rows: &[C::Row],
) -> Result<[(C, C); 2], TestCaseError> {
    let (expected, found) = (of_rows::<C>(rows), in_place::<C>(request, rows)?);
    prop_assert_eq!(found.bytes(), expected.bytes());
    prop_assert_eq!(found.bounds(), expected.bounds());
    prop_assert_eq!(found.rows(), expected.rows());
    let snapshots = (found.snapshot(), expected.snapshot());
    let frozen = (found.freeze(), expected.freeze());
    for (found, expected) in [&snapshots, &frozen] {
        prop_assert_eq!(facts(found), facts(expected));
    }
    prop_assert_eq!(frozen.0.bytes(), frozen.1.bytes());
    Ok([snapshots, frozen])
}

fn context_bytes(row: &SpanRow) -> Vec<u8> {
    let scope = row.scope.scope.as_ref().map(Message::encode_to_vec);
    let resource = row.resource.resource.encode_to_vec();
    let urls = (&row.resource.schema_url, &row.scope.schema_url);
    format!("{resource:?} {scope:?} {urls:?}").into_bytes()
}

/// Fields of OTLP that are not known yet, the numbers of spans twice, and a negative number in five bytes: plain, and
/// not as prost writes.
fn with_odd_fields(mut span: Vec<u8>) -> Vec<u8> {
    let mut odd = vec![
        0x2a, 3, b'o', b'l', b'd', 0x30, 0xff, 0xff, 0xff, 0xff, 0x0f,
    ];
    odd.append(&mut span);
    odd.extend([0xfa, 0x3e, 2, 0xff, 0xff]);
    odd
}

/// A request with one resource, the spans of which are written oddly.
fn odd_request(spans: &[Span]) -> Vec<u8> {
    let put = |out: &mut Vec<u8>, key: u8, message: &[u8]| {
        out.push(key);
        prost::encoding::encode_varint(message.len() as u64, out);
        out.extend_from_slice(message);
    };
    let mut of_scope = Vec::new();
    for span in spans {
        put(&mut of_scope, 0x12, &with_odd_fields(span.encode_to_vec()));
    }
    let mut of_resource = Vec::new();
    put(&mut of_resource, 0x12, &of_scope);
    // Behind its spans, with its fields turned around and one that is not known.
    put(
        &mut of_resource,
        0x0a,
        &[0x10, 7, 0x0a, 3, 0x0a, 1, b'k', 0xfa, 0x3e, 0],
    );
    let mut request = Vec::new();
    put(&mut request, 0x0a, &of_resource);
    request
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn spans_in_place_make_the_chunk_that_their_rows_make(groups in arbitrary::resource_spans()) {
        // All of it twice: in one request, equal resources are kept once.
        let resource_spans: Vec<_> = groups.iter().chain(&groups).cloned().collect();
        let bytes = ExportTraceServiceRequest { resource_spans: resource_spans.clone() }.encode_to_vec();
        let request = wire::Request::check(&bytes).unwrap();
        for (found, expected) in agree::<SpanChunk>(&request, &span_rows(resource_spans))? {
            for row in 0..expected.rows() {
                let (found, expected) = (found.row(row), expected.row(row));
                prop_assert_eq!(found.span.encode_to_vec(), expected.span.encode_to_vec());
                prop_assert_eq!(context_bytes(&found), context_bytes(&expected));
            }
        }
    }

    #[test]
    fn log_records_in_place_make_the_chunk_that_their_rows_make(groups in arbitrary::resource_logs()) {
        let resource_logs: Vec<_> = groups.iter().chain(&groups).cloned().collect();
        let bytes = ExportLogsServiceRequest { resource_logs: resource_logs.clone() }.encode_to_vec();
        let request = wire::Request::check(&bytes).unwrap();
        for (found, expected) in agree::<LogChunk>(&request, &log_rows(resource_logs))? {
            for row in 0..expected.rows() {
                let (found, expected) = (found.row(row), expected.row(row));
                prop_assert_eq!(found.record.encode_to_vec(), expected.record.encode_to_vec());
                let above = |row: log_tracer_record::LogRow| context_bytes(&SpanRow {
                    resource: row.resource,
                    scope: row.scope,
                    span: Span::default(),
                });
                prop_assert_eq!(above(found), above(expected));
            }
        }
    }

    #[test]
    fn what_is_written_oddly_makes_the_chunk_of_what_prost_reads(
        spans in proptest::collection::vec(arbitrary::valid_span(), 0..4),
    ) {
        let bytes = odd_request(&spans);
        let request = wire::Request::check(&bytes).unwrap();
        let decoded = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
        for (found, expected) in agree::<SpanChunk>(&request, &span_rows(decoded.resource_spans))? {
            for row in 0..expected.rows() {
                let (found, expected) = (found.row(row), expected.row(row));
                prop_assert_eq!(found.span.encode_to_vec(), expected.span.encode_to_vec());
                prop_assert_eq!(context_bytes(&found), context_bytes(&expected));
            }
        }
    }

    #[test]
    fn fuzz_what_no_check_has_seen_becomes_rows_that_can_be_read(
        groups in arbitrary::resource_spans(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = ExportTraceServiceRequest { resource_spans: groups }.encode_to_vec();
        let len = bytes.len();
        for (at, value) in changes.iter().filter(|_| len > 0) {
            bytes[at.index(len)] = *value;
        }
        let store = Store::new(Config::default()).unwrap();
        store.apply_span_request(ORIGIN, &wire::Request::checked_before(&bytes, 7));
        store.apply_log_request(ORIGIN, &wire::Request::checked_before(&bytes, 7));
        let (spans, logs) = store.snapshots();
        for chunk in &spans.chunks {
            (0..chunk.rows()).for_each(|row| drop(chunk.row(row)));
        }
        for chunk in &logs.chunks {
            (0..chunk.rows()).for_each(|row| drop(chunk.row(row)));
        }
    }

    #[test]
    fn a_table_keeps_seals_and_evicts_the_same_in_place_as_by_rows(
        requests in proptest::collection::vec(arbitrary::resource_logs(), 1..12),
        padding in prop_oneof![Just(0_usize), 1_000..60_000_usize, Just(200_000)],
    ) {
        let config = Config {
            chunk_rows_max: 5,
            chunk_bytes_max: 64 << 10,
            spans_bytes_max: 16 * (64 << 10),
            logs_bytes_max: 16 * (64 << 10),
            ..Config::default()
        };
        let (by_rows, in_place) = (Store::new(config.clone()).unwrap(), Store::new(config).unwrap());
        for (offset, mut resource_logs) in (0..).zip(requests) {
            let records = resource_logs.iter_mut().flat_map(|it| &mut it.scope_logs);
            if let Some(record) = records.flat_map(|it| &mut it.log_records).next() {
                record.event_name = "e".repeat(padding) + &offset.to_string();
            }
            let origin = Origin { partition: 0, offset };
            let bytes = ExportLogsServiceRequest { resource_logs: resource_logs.clone() }.encode_to_vec();
            let request = wire::Request::check(&bytes).unwrap();
            by_rows.apply_logs(origin, &log_rows(resource_logs));
            in_place.apply_log_request(origin, &request);
            prop_assert_eq!(
                format!("{:?}", in_place.stats().logs),
                format!("{:?}", by_rows.stats().logs)
            );
        }
        let (found, expected) = (in_place.snapshots().1, by_rows.snapshots().1);
        prop_assert_eq!(found.chunks.len(), expected.chunks.len());
        for (found, expected) in found.chunks.iter().zip(&expected.chunks) {
            prop_assert_eq!(facts(found.as_ref()), facts(expected.as_ref()));
        }
    }
}
