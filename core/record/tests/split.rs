//! A request that is cut loses nothing, keeps its order, and is always cut in the same way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use log_tracer_record::{
    arbitrary,
    otlp::{
        collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest,
        trace::Span,
    },
    split::{self, RouteKey},
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

fn spans_of(request: &ExportTraceServiceRequest) -> impl Iterator<Item = &Span> {
    let scopes = request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans)
}

/// Each span with the resource and scope that it is of, as bytes.
fn flat(request: &ExportTraceServiceRequest) -> Vec<String> {
    let mut flat = Vec::new();
    for resource in &request.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_parts_together_are_the_request(
        resource_spans in arbitrary::valid_resource_spans(),
        partitions in 1_u16..6,
        part_bytes_max in prop_oneof![Just(usize::MAX), 1_usize..3_000],
    ) {
        let request = ExportTraceServiceRequest { resource_spans };
        let result = split::spans(request.clone(), part_bytes_max, |key| partition(key, partitions));

        let mut found: Vec<String> = result.parts.iter().flat_map(|part| flat(&part.request)).collect();
        let mut sent = flat(&request);
        prop_assert_eq!(found.len() as u64 + result.rejected.count, sent.len() as u64);
        if result.rejected.count == 0 {
            found.sort();
            sent.sort();
            prop_assert_eq!(&found, &sent);
        }
        for part in &result.parts {
            prop_assert!(part.records >= 1);
            prop_assert_eq!(part.records as usize, spans_of(&part.request).count());
            prop_assert!(part.request.encoded_len() <= part_bytes_max);
            for span in spans_of(&part.request) {
                let id = log_tracer_record::TraceId::from_bytes(&span.trace_id).unwrap();
                prop_assert_eq!(partition(RouteKey::Trace(id), partitions), part.partition);
            }
        }
    }

    #[test]
    fn records_keep_their_order_within_a_partition(
        resource_spans in arbitrary::valid_resource_spans(),
        part_bytes_max in 200_usize..3_000,
    ) {
        let request = ExportTraceServiceRequest { resource_spans };
        let result = split::spans(request.clone(), part_bytes_max, |key| partition(key, 3));
        if result.rejected.count == 0 {
            for wanted in 0..3 {
                let sent: Vec<Vec<u8>> = spans_of(&request)
                    .filter(|span| {
                        let id = log_tracer_record::TraceId::from_bytes(&span.trace_id).unwrap();
                        partition(RouteKey::Trace(id), 3) == wanted
                    })
                    .map(Message::encode_to_vec)
                    .collect();
                let found: Vec<Vec<u8>> = result
                    .parts
                    .iter()
                    .filter(|part| part.partition == wanted)
                    .flat_map(|part| spans_of(&part.request))
                    .map(Message::encode_to_vec)
                    .collect();
                prop_assert_eq!(found, sent);
            }
        }
    }

    #[test]
    fn the_same_request_is_always_cut_in_the_same_way(
        resource_logs in arbitrary::resource_logs(),
        partitions in 1_u16..6,
        part_bytes_max in 100_usize..3_000,
    ) {
        let request = ExportLogsServiceRequest { resource_logs };
        let cut = || split::logs(request.clone(), part_bytes_max, |key| partition(key, partitions));
        let bytes = |parts: &[split::Part<ExportLogsServiceRequest>]| {
            parts.iter().map(|part| (part.partition, part.records, part.request.encode_to_vec())).collect::<Vec<_>>()
        };
        let (one, two) = (cut(), cut());
        prop_assert_eq!(bytes(&one.parts), bytes(&two.parts));
        prop_assert_eq!(one.rejected, two.rejected);
    }

    #[test]
    fn one_partition_that_takes_it_whole_gets_the_request_itself(resource_logs in arbitrary::resource_logs()) {
        let request = ExportLogsServiceRequest { resource_logs };
        let bytes = request.encode_to_vec();
        let result = split::logs(request, usize::MAX, |_| 0);
        prop_assert_eq!(result.rejected.count, 0);
        prop_assert!(result.parts.len() <= 1);
        for part in &result.parts {
            prop_assert!(part.is_whole);
            prop_assert_eq!(part.request.encode_to_vec(), bytes.clone());
        }
    }
}
