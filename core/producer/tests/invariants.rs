//! Whatever the request, the partitions and the sizes: what is accepted is in the envelopes, once and unchanged.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::num::NonZeroU16;

use log_tracer_producer::{
    ByteLimit, Encoding,
    pipeline::{Content, Prepared, Request, Rules, batch_id, prepare},
};
use log_tracer_proto::{
    arbitrary::{resource_logs, resource_spans},
    otlp::{
        collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest,
        trace::Span,
    },
};
use log_tracer_record::{
    LogRow, SpanId, SpanRow, TraceId, log_rows, logs_to_otlp, span_rows, spans_to_otlp,
};
use log_tracer_transport::{BatchId, partition_of_service, partition_of_trace};
use proptest::prelude::*;
use prost::Message;

fn cases(cases: u32) -> ProptestConfig {
    let default = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // PROPTEST_CASES, when it is set, counts instead.
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default,
        None => ProptestConfig { cases, ..default },
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    (1..7_u16, prop_oneof![30..600_usize, 1_000..100_000_usize]).prop_map(
        |(partitions, payload_bytes_max)| Rules {
            partitions: NonZeroU16::new(partitions).unwrap(),
            payload_bytes_max,
            request_bytes_max: 10 << 20,
        },
    )
}

fn run(content: Content, bytes: Vec<u8>, rules: &Rules) -> Prepared {
    let request = Request {
        content,
        encoding: Encoding::Identity,
        bytes: bytes.into(),
        idempotency_key: Some("the same".into()),
        received_unix_nano: 7,
    };
    let memory = || ByteLimit(64 << 20);
    let prepared = prepare(&request, rules, &mut memory()).unwrap();
    let again = prepare(&request, rules, &mut memory()).unwrap();
    assert_eq!(prepared, again, "a retry is cut in another way");
    prepared
}

fn payloads<M: Message + Default>(prepared: &Prepared) -> Vec<(u16, M)> {
    let envelopes = prepared.envelopes.iter();
    envelopes
        .map(|envelope| {
            let message = M::decode(envelope.payload.clone()).unwrap();
            (envelope.partition.0, message)
        })
        .collect()
}

fn is_valid(span: &Span) -> bool {
    TraceId::from_bytes(&span.trace_id).is_some() && SpanId::from_bytes(&span.span_id).is_some()
}

/// A row as bytes, by which it is compared: in memory, a NaN differs from itself.
fn span_bytes(row: SpanRow) -> Vec<u8> {
    let resource_spans = spans_to_otlp([row]);
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn log_bytes(row: LogRow) -> Vec<u8> {
    let resource_logs = logs_to_otlp([row]);
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

/// Whether `part` is `whole` without some of its elements, in any order; equal elements count as often as they are
/// there.
fn is_contained(part: &[Vec<u8>], whole: &[Vec<u8>]) -> bool {
    let mut left: Vec<_> = whole.iter().collect();
    part.iter().all(|row| {
        let found = left.iter().position(|other| *other == row);
        found.is_some_and(|at| {
            left.swap_remove(at);
            true
        })
    })
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn accepted_spans_are_published_once_unchanged_and_in_the_partition_of_their_trace(
        resource_spans in resource_spans(),
        rules in rules(),
    ) {
        let sent = span_rows(resource_spans.clone()).into_iter();
        let sent: Vec<_> = sent.map(span_bytes).collect();
        let request = ExportTraceServiceRequest { resource_spans };
        let prepared = run(Content::Traces, request.encode_to_vec(), &rules);
        prop_assert_eq!(prepared.accepted + prepared.rejected.count, sent.len() as u64);

        let mut published = Vec::new();
        for (partition, payload) in payloads::<ExportTraceServiceRequest>(&prepared) {
            for row in span_rows(payload.resource_spans) {
                prop_assert!(is_valid(&row.span));
                let trace_id = row.span.trace_id.as_ref().try_into().unwrap();
                prop_assert_eq!(partition_of_trace(trace_id, rules.partitions).0, partition);
                published.push(span_bytes(row));
            }
        }
        prop_assert_eq!(published.len() as u64, prepared.accepted);
        prop_assert!(is_contained(&published, &sent));
    }

    #[test]
    fn with_room_enough_every_valid_span_is_accepted(
        resource_spans in resource_spans(),
        partitions in 1..9_u16,
    ) {
        let rules = Rules {
            partitions: NonZeroU16::new(partitions).unwrap(),
            payload_bytes_max: 10 << 20,
            request_bytes_max: 10 << 20,
        };
        let valid = span_rows(resource_spans.clone()).into_iter().filter(|row| is_valid(&row.span));
        let valid = valid.count() as u64;
        let request = ExportTraceServiceRequest { resource_spans };
        let prepared = run(Content::Traces, request.encode_to_vec(), &rules);
        prop_assert_eq!(prepared.accepted, valid);
    }

    #[test]
    fn accepted_logs_are_published_once_unchanged_and_by_trace_or_else_by_service(
        resource_logs in resource_logs(),
        rules in rules(),
    ) {
        let sent = log_rows(resource_logs.clone()).into_iter();
        let sent: Vec<_> = sent.map(log_bytes).collect();
        let request = ExportLogsServiceRequest { resource_logs };
        let prepared = run(Content::Logs, request.encode_to_vec(), &rules);
        prop_assert_eq!(prepared.accepted + prepared.rejected.count, sent.len() as u64);

        let mut published = Vec::new();
        for (partition, payload) in payloads::<ExportLogsServiceRequest>(&prepared) {
            for row in log_rows(payload.resource_logs) {
                let expected = match row.trace_id() {
                    Some(trace_id) => partition_of_trace(trace_id.as_bytes(), rules.partitions),
                    None => partition_of_service(row.resource.service(), rules.partitions),
                };
                prop_assert_eq!(expected.0, partition);
                published.push(log_bytes(row));
            }
        }
        prop_assert_eq!(published.len() as u64, prepared.accepted);
        prop_assert!(is_contained(&published, &sent));
    }

    #[test]
    fn json_and_protobuf_make_the_same_envelopes(
        resource_spans in resource_spans(),
        rules in rules(),
    ) {
        let text = log_tracer_proto::json::traces_to_json(&resource_spans);
        let request = ExportTraceServiceRequest { resource_spans };
        let from_json = run(Content::TracesJson, text.into_bytes(), &rules);
        let from_protobuf = run(Content::Traces, request.encode_to_vec(), &rules);
        prop_assert_eq!(&from_json.rejected, &from_protobuf.rejected);
        let payloads = |prepared: &Prepared| -> Vec<_> {
            let envelopes = prepared.envelopes.iter();
            envelopes.map(|envelope| (envelope.partition, envelope.payload.clone())).collect()
        };
        prop_assert_eq!(payloads(&from_json), payloads(&from_protobuf));
    }
}

/// Two requests in protobuf, one after the other, are one that holds the records of both. A resource that stands twice
/// is merged, which is not plain.
#[test]
fn a_request_that_only_prost_reads_is_stored_as_prost_reads_it() {
    let key_value = |value: &str| {
        let mut bytes = vec![0x0a, value.len() as u8, 0x12, 0x00];
        bytes.splice(2..2, value.bytes());
        bytes
    };
    let framed = |key: u8, message: &[u8]| [&[key, message.len() as u8], message].concat();
    let resource = |value: &str| framed(0x0a, &framed(0x0a, &key_value(value)));
    let record = framed(0x12, &[0x09, 1, 0, 0, 0, 0, 0, 0, 0]);
    let of_resource = [resource("a"), resource("b"), framed(0x12, &record)].concat();
    let bytes = framed(0x0a, &of_resource);
    let rules = Rules {
        partitions: NonZeroU16::MIN,
        payload_bytes_max: 1 << 20,
        request_bytes_max: 1 << 20,
    };
    let decoded = ExportLogsServiceRequest::decode(bytes.as_slice()).unwrap();
    let merged = decoded.resource_logs[0].resource.as_ref().unwrap();
    assert_eq!(merged.attributes.len(), 2);

    let prepared = run(Content::Logs, bytes.clone(), &rules);
    assert_eq!(prepared.accepted, 1);
    assert_eq!(prepared.envelopes[0].payload, decoded.encode_to_vec());
    // A retry is recognised by the bytes that were sent.
    assert_eq!(
        prepared.envelopes[0].batch,
        batch_id(&bytes, Some(b"the same"), true)
    );
}

#[test]
fn batch_ids_are_frozen() {
    let bytes = b"a request";
    let hash = BatchId(0x7e062e565c096f1ee0523df96a9de32a);
    let keyed = BatchId(0x99444e3ecf8bcf7cfffd439934211b6a);
    assert_eq!(batch_id(bytes, None, true), hash);
    assert_eq!(batch_id(bytes, Some(b""), true), hash);
    assert_eq!(batch_id(bytes, Some(b"key"), true), keyed);
    assert_eq!(batch_id(bytes, Some(b"key"), false), keyed);
    assert_ne!(batch_id(bytes, None, false), batch_id(bytes, None, false));
}
