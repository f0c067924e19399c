//! A request that is cut loses nothing, keeps its order, and is always cut in the same way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::rewrite::{Choices, Kind, Ways, rewrite};
use log_tracer_record::{
    SpanId, TraceId, arbitrary,
    otlp::{
        collector_logs::ExportLogsServiceRequest,
        collector_trace::ExportTraceServiceRequest,
        logs::LogRecord,
        trace::{ResourceSpans, ScopeSpans, Span},
    },
    split::{self, Part, RouteKey},
    wire::{Logs, Request, Spans},
};
use proptest::prelude::*;
use prost::Message;

/// Any function of the key will do for a test.
fn partition(key: RouteKey<'_>, partitions: u16) -> u16 {
    let sum = match key {
        RouteKey::Trace(id) => id.as_bytes().iter().map(|byte| u16::from(*byte)).sum(),
        RouteKey::Service(name) => name.bytes().map(u16::from).fold(0, u16::wrapping_add),
    };
    sum % partitions
}

fn is_valid(span: &Span) -> bool {
    TraceId::from_bytes(&span.trace_id).is_some() && SpanId::from_bytes(&span.span_id).is_some()
}

/// Each valid span with the resource and scope that it is of, as bytes.
fn flat(request: &ExportTraceServiceRequest) -> Vec<String> {
    let mut flat = Vec::new();
    for resource in &request.resource_spans {
        for scope in &resource.scope_spans {
            for span in scope.spans.iter().filter(|span| is_valid(span)) {
                flat.push(format!(
                    "{:?} {:?} {:?} {:?} {:?}",
                    resource.resource.as_ref().map(Message::encode_to_vec),
                    resource.schema_url,
                    scope.scope.as_ref().map(Message::encode_to_vec),
                    scope.schema_url,
                    span.encode_to_vec()
                ));
            }
        }
    }
    flat
}

fn flat_part(part: &Part) -> Vec<String> {
    flat(&ExportTraceServiceRequest::decode(part.payload.clone()).unwrap())
}

/// The same of log records, with the route of each.
fn flat_logs(request: &ExportLogsServiceRequest, partitions: u16) -> Vec<(u16, String)> {
    let mut flat = Vec::new();
    for resource in &request.resource_logs {
        let of = resource.resource.clone().unwrap_or_default();
        let context = log_tracer_record::ResourceContext::new(of, String::new());
        for scope in &resource.scope_logs {
            for record in &scope.log_records {
                let key = match TraceId::from_bytes(&record.trace_id) {
                    Some(id) => RouteKey::Trace(id),
                    None => RouteKey::Service(context.service()),
                };
                let said = format!(
                    "{:?} {:?} {:?} {:?} {:?}",
                    resource.resource.as_ref().map(Message::encode_to_vec),
                    resource.schema_url,
                    scope.scope.as_ref().map(Message::encode_to_vec),
                    scope.schema_url,
                    LogRecord::encode_to_vec(record)
                );
                flat.push((partition(key, partitions), said));
            }
        }
    }
    flat
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_parts_together_are_the_valid_spans_of_the_request(
        resource_spans in arbitrary::resource_spans(),
        partitions in 1_u16..6,
        part_bytes_max in prop_oneof![Just(usize::MAX), 1_usize..3_000],
        (shuffle, unknown, repeat_scalars) in any::<(bool, bool, bool)>(),
        choices in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let ways = Ways { shuffle, unknown, repeat_scalars, ..Ways::NONE };
        let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let bytes = rewrite(Kind::TraceRequest, &bytes, ways, &mut Choices(&choices));
        let request = Request::<Spans>::check(&bytes).unwrap();
        let result = split::cut(&request, part_bytes_max, |key| partition(key, partitions));

        let mut found: Vec<String> = result.parts.iter().flat_map(flat_part).collect();
        let mut sent = flat(&ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap());
        prop_assert_eq!(found.len() as u64 + result.rejected.count, sent.len() as u64);
        prop_assert_eq!(
            sent.len() as u64 + request.rejected().count,
            request.records() as u64
        );
        if result.rejected.count == 0 {
            found.sort();
            sent.sort();
            prop_assert_eq!(&found, &sent);
        }
        for part in &result.parts {
            prop_assert!(part.records >= 1);
            prop_assert!(part.payload.len() <= part_bytes_max);
            let mut routes = Vec::new();
            let checked = Request::<Spans>::check_with(&part.payload, |key| {
                routes.push(partition(key, partitions));
            }).unwrap();
            prop_assert!(checked.rejected().is_empty());
            prop_assert_eq!(routes, vec![part.partition; part.records as usize]);
        }
    }

    #[test]
    fn log_records_keep_their_order_within_a_partition(
        resource_logs in arbitrary::resource_logs(),
        part_bytes_max in prop_oneof![Just(usize::MAX), 200_usize..3_000],
    ) {
        let sent = ExportLogsServiceRequest { resource_logs };
        let bytes = sent.encode_to_vec();
        let request = Request::<Logs>::check(&bytes).unwrap();
        let result = split::cut(&request, part_bytes_max, |key| partition(key, 3));
        if result.rejected.count == 0 {
            for wanted in 0..3 {
                let of_wanted = |flat: Vec<(u16, String)>| -> Vec<String> {
                    let of = flat.into_iter().filter(|(partition, _)| *partition == wanted);
                    of.map(|(_, said)| said).collect()
                };
                let parts = result.parts.iter().filter(|part| part.partition == wanted);
                let found = parts.flat_map(|part| {
                    flat_logs(&ExportLogsServiceRequest::decode(part.payload.clone()).unwrap(), 3)
                });
                prop_assert_eq!(of_wanted(found.collect()), of_wanted(flat_logs(&sent, 3)));
            }
        }
    }

    #[test]
    fn the_same_request_is_always_cut_in_the_same_way(
        resource_logs in arbitrary::resource_logs(),
        partitions in 1_u16..6,
        part_bytes_max in 100_usize..3_000,
    ) {
        let bytes = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        let request = Request::<Logs>::check(&bytes).unwrap();
        let cut = || split::cut(&request, part_bytes_max, |key| partition(key, partitions));
        prop_assert_eq!(cut(), cut());
    }

    #[test]
    fn what_prost_wrote_is_cut_to_what_prost_would_write(resource_spans in arbitrary::resource_spans()) {
        let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let request = Request::<Spans>::check(&bytes).unwrap();
        for part in split::cut(&request, 2_000, |key| partition(key, 3)).parts {
            let decoded = ExportTraceServiceRequest::decode(part.payload.clone()).unwrap();
            prop_assert_eq!(decoded.encode_to_vec(), part.payload);
        }
    }
}

#[test]
fn a_record_that_is_too_large_is_named_by_its_place_in_the_request() {
    let span = |trace_id: &'static [u8], name: String| Span {
        trace_id: trace_id.into(),
        span_id: (&[2_u8; 8][..]).into(),
        name,
        ..Span::default()
    };
    let spans = vec![
        span(&[], String::new()),
        span(&[1; 16], "n".repeat(300)),
        span(&[1; 16], "small".to_owned()),
    ];
    let scope = ScopeSpans {
        spans,
        ..ScopeSpans::default()
    };
    let bytes = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![scope],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec();
    let request = Request::<Spans>::check(&bytes).unwrap();
    assert_eq!(
        request.rejected().to_string(),
        "resource 0, scope 0, record 0: the trace id has 0 bytes where 16 are expected"
    );
    let result = split::cut(&request, 200, |_| 4);
    assert_eq!(
        result.rejected.to_string(),
        "resource 0, scope 0, record 1: 340 bytes with its resource and scope are more than the 200 that can be stored as one"
    );
    let [part] = result.parts.as_slice() else {
        panic!("{result:?}")
    };
    assert_eq!((part.partition, part.records), (4, 1));
}
