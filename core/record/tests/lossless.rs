//! OTLP to rows and back gives every bit again, grouped by resource and scope.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use log_tracer_record::{
    arbitrary, log_rows, logs_to_otlp,
    otlp::{
        common::InstrumentationScope, logs::ResourceLogs, resource::Resource, trace::ResourceSpans,
    },
    span_rows, spans_to_otlp,
};
use proptest::prelude::*;
use prost::Message;

/// A record as bytes, with everything above it as bytes.
type Flat = (Vec<u8>, Vec<u8>);

fn header(
    resource: Option<&Resource>,
    url: &str,
    scope: Option<&InstrumentationScope>,
    scope_url: &str,
) -> Vec<u8> {
    // An empty resource and an absent one mean the same; an absent scope is told from an empty one.
    let resource = resource.map(Message::encode_to_vec).unwrap_or_default();
    format!(
        "{resource:?} {url:?} {:?} {scope_url:?}",
        scope.map(Message::encode_to_vec)
    )
    .into_bytes()
}

fn flat_spans(groups: &[ResourceSpans]) -> Vec<Flat> {
    let mut flat = Vec::new();
    for group in groups {
        for scope in &group.scope_spans {
            let above = header(
                group.resource.as_ref(),
                &group.schema_url,
                scope.scope.as_ref(),
                &scope.schema_url,
            );
            flat.extend(
                scope
                    .spans
                    .iter()
                    .map(|span| (above.clone(), span.encode_to_vec())),
            );
        }
    }
    flat
}

fn flat_logs(groups: &[ResourceLogs]) -> Vec<Flat> {
    let mut flat = Vec::new();
    for group in groups {
        for scope in &group.scope_logs {
            let above = header(
                group.resource.as_ref(),
                &group.schema_url,
                scope.scope.as_ref(),
                &scope.schema_url,
            );
            flat.extend(
                scope
                    .log_records
                    .iter()
                    .map(|record| (above.clone(), record.encode_to_vec())),
            );
        }
    }
    flat
}

/// Sorted by what is above them; those with the same above keep their order.
fn grouped(mut flat: Vec<Flat>) -> Vec<Flat> {
    flat.sort_by(|a, b| a.0.cmp(&b.0));
    flat
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn spans_come_back_bit_by_bit(groups in arbitrary::resource_spans()) {
        let sent = grouped(flat_spans(&groups));
        let rows = span_rows(groups);
        prop_assert_eq!(rows.len(), sent.len());
        prop_assert_eq!(grouped(flat_spans(&spans_to_otlp(rows))), sent);
    }

    #[test]
    fn log_records_come_back_bit_by_bit(groups in arbitrary::resource_logs()) {
        let sent = grouped(flat_logs(&groups));
        let rows = log_rows(groups);
        prop_assert_eq!(rows.len(), sent.len());
        prop_assert_eq!(grouped(flat_logs(&logs_to_otlp(rows))), sent);
    }

    #[test]
    fn equal_resources_and_scopes_come_back_once(groups in arbitrary::resource_spans()) {
        let back = spans_to_otlp(span_rows(groups.iter().chain(&groups).cloned().collect()));
        let mut seen = Vec::new();
        for group in &back {
            let above = header(group.resource.as_ref(), &group.schema_url, None, "");
            prop_assert!(!seen.contains(&above), "a resource stands twice");
            seen.push(above);
        }
    }

    #[test]
    fn grouping_what_is_grouped_changes_nothing(groups in arbitrary::resource_spans()) {
        let once = spans_to_otlp(span_rows(groups));
        let twice = spans_to_otlp(span_rows(once.clone()));
        let bytes = |groups: &[ResourceSpans]| groups.iter().map(Message::encode_to_vec).collect::<Vec<_>>();
        prop_assert_eq!(bytes(&twice), bytes(&once));
    }
}
