//! Views show what prost decodes, to the last bit, whatever the bytes; and what prost refuses is never taken for plain.
//! `PROPTEST_CASES=100000` makes it long.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::rewrite::{Choices, Kind, Ways, rewrite};
use log_tracer_record::{
    Place, Rejected, SpanId, TraceId, arbitrary,
    otlp::{
        collector_logs::ExportLogsServiceRequest,
        collector_trace::ExportTraceServiceRequest,
        common::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value},
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        resource::Resource,
        trace::{ResourceSpans, ScopeSpans, Span},
    },
    split::RouteKey,
    wire::{Logs, NotPlain, Request, Spans},
};
use proptest::{collection::vec, prelude::*};
use prost::Message;

/// Compares what views show with what prost decodes. Says whether the bytes are plain.
fn check_traces(bytes: &[u8]) -> Result<bool, TestCaseError> {
    let decoded = ExportTraceServiceRequest::decode(bytes);
    let mut routes = Vec::new();
    let request = Request::<Spans>::check_with(bytes, |key| routes.push(format!("{key:?}")));
    let Ok(request) = request else {
        return Ok(false);
    };
    prop_assert!(decoded.is_ok(), "plain, and prost says {decoded:?}");
    let decoded = decoded.unwrap();
    let shown = common::traces(&request);
    prop_assert_eq!(shown.encode_to_vec(), decoded.encode_to_vec());

    let facts = Facts::of_traces(&decoded);
    prop_assert_eq!(request.records(), facts.records);
    prop_assert_eq!(request.rejected(), &facts.rejected);
    prop_assert_eq!(request.every_record_has_a_time(), facts.is_timed);
    prop_assert_eq!(routes, facts.routes);
    Ok(true)
}

fn check_logs(bytes: &[u8]) -> Result<bool, TestCaseError> {
    let decoded = ExportLogsServiceRequest::decode(bytes);
    let mut routes = Vec::new();
    let request = Request::<Logs>::check_with(bytes, |key| routes.push(format!("{key:?}")));
    let Ok(request) = request else {
        return Ok(false);
    };
    prop_assert!(decoded.is_ok(), "plain, and prost says {decoded:?}");
    let decoded = decoded.unwrap();
    let shown = common::logs(&request);
    prop_assert_eq!(shown.encode_to_vec(), decoded.encode_to_vec());

    let facts = Facts::of_logs(&decoded);
    prop_assert_eq!(request.records(), facts.records);
    prop_assert!(request.rejected().is_empty());
    prop_assert_eq!(request.every_record_has_a_time(), facts.is_timed);
    prop_assert_eq!(routes, facts.routes);
    Ok(true)
}

/// What is to be known of a request, found out from structs.
#[derive(Default)]
struct Facts {
    records: usize,
    rejected: Rejected,
    is_timed: bool,
    routes: Vec<String>,
}

fn service(resource: Option<Resource>, url: &str) -> String {
    log_tracer_record::ResourceContext::new(resource.unwrap_or_default(), url.to_owned())
        .service()
        .to_owned()
}

fn route(trace_id: &[u8], service: &str) -> String {
    let key = TraceId::from_bytes(trace_id).map_or(RouteKey::Service(service), RouteKey::Trace);
    format!("{key:?}")
}

impl Facts {
    fn of_traces(request: &ExportTraceServiceRequest) -> Self {
        let mut facts = Self {
            is_timed: true,
            ..Self::default()
        };
        for (resource, of_resource) in request.resource_spans.iter().enumerate() {
            let service = service(of_resource.resource.clone(), "");
            for (scope, of_scope) in of_resource.scope_spans.iter().enumerate() {
                for (record, span) in of_scope.spans.iter().enumerate() {
                    facts.records += 1;
                    facts.is_timed &= span.start_time_unix_nano != 0;
                    let place = Place {
                        resource,
                        scope,
                        record,
                    };
                    match problem(span) {
                        Some(reason) => facts.rejected.add(place, || reason),
                        None => facts.routes.push(route(&span.trace_id, &service)),
                    }
                }
            }
        }
        facts
    }

    fn of_logs(request: &ExportLogsServiceRequest) -> Self {
        let mut facts = Self {
            is_timed: true,
            ..Self::default()
        };
        for of_resource in &request.resource_logs {
            let service = service(of_resource.resource.clone(), "");
            for record in of_resource.scope_logs.iter().flat_map(|it| &it.log_records) {
                facts.records += 1;
                facts.is_timed &= record.time_unix_nano != 0 || record.observed_time_unix_nano != 0;
                facts.routes.push(route(&record.trace_id, &service));
            }
        }
        facts
    }
}

fn problem(span: &Span) -> Option<String> {
    let of = |what: &str, id: &[u8], len: usize, is_valid: bool| {
        if is_valid {
            None
        } else if id.len() == len {
            Some(format!("the {what} is all zero"))
        } else {
            let have = id.len();
            Some(format!(
                "the {what} has {have} bytes where {len} are expected"
            ))
        }
    };
    let trace_is_valid = TraceId::from_bytes(&span.trace_id).is_some();
    let span_is_valid = SpanId::from_bytes(&span.span_id).is_some();
    of("trace id", &span.trace_id, 16, trace_is_valid)
        .or_else(|| of("span id", &span.span_id, 8, span_is_valid))
}

fn plain_ways() -> impl Strategy<Value = Ways> {
    any::<(bool, bool, bool, bool)>().prop_map(
        |(shuffle, unknown, long_numbers, repeat_scalars)| Ways {
            shuffle,
            unknown,
            long_numbers,
            repeat_scalars,
            ..Ways::NONE
        },
    )
}

fn odd_ways() -> impl Strategy<Value = Ways> {
    (plain_ways(), any::<(bool, bool, bool)>()).prop_map(
        |(plain, (split_messages, repeat_alternatives, groups))| Ways {
            split_messages,
            repeat_alternatives,
            groups,
            ..plain
        },
    )
}

/// Changes, removes and repeats bytes here and there.
fn mutate(mut bytes: Vec<u8>, edits: &[(u16, u8, u8)]) -> Vec<u8> {
    for (at, kind, value) in edits {
        if bytes.is_empty() {
            return bytes;
        }
        let at = usize::from(*at) % bytes.len();
        match kind % 5 {
            0 => bytes[at] = *value,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, *value),
            3 => bytes[at] = bytes[at].wrapping_add(1),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..400)
}

proptest! {
    #[test]
    fn what_prost_writes_is_plain_and_shown_as_it_is(
        resource_spans in arbitrary::resource_spans(),
        resource_logs in arbitrary::resource_logs(),
    ) {
        let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        prop_assert!(check_traces(&bytes)?);
        let bytes = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        prop_assert!(check_logs(&bytes)?);
    }

    #[test]
    fn fields_in_any_order_unknown_ones_and_repeated_scalars_are_plain(
        resource_spans in arbitrary::resource_spans(),
        resource_logs in arbitrary::resource_logs(),
        ways in plain_ways(),
        choices in choices(),
    ) {
        let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let bytes = rewrite(Kind::TraceRequest, &bytes, ways, &mut Choices(&choices));
        prop_assert!(check_traces(&bytes)?);
        let bytes = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        let bytes = rewrite(Kind::LogsRequest, &bytes, ways, &mut Choices(&choices));
        prop_assert!(check_logs(&bytes)?);
    }

    #[test]
    fn merged_messages_alternatives_and_groups_are_shown_as_prost_reads_them_or_not_at_all(
        resource_spans in arbitrary::resource_spans(),
        resource_logs in arbitrary::resource_logs(),
        ways in odd_ways(),
        choices in choices(),
    ) {
        let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let bytes = rewrite(Kind::TraceRequest, &bytes, ways, &mut Choices(&choices));
        prop_assert!(ExportTraceServiceRequest::decode(bytes.as_slice()).is_ok());
        check_traces(&bytes)?;
        let bytes = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        let bytes = rewrite(Kind::LogsRequest, &bytes, ways, &mut Choices(&choices));
        check_logs(&bytes)?;
    }

    #[test]
    fn damaged_bytes_are_shown_as_prost_reads_them_or_not_at_all(
        resource_spans in arbitrary::resource_spans(),
        resource_logs in arbitrary::resource_logs(),
        edits in vec(any::<(u16, u8, u8)>(), 1..4),
    ) {
        let bytes = mutate(ExportTraceServiceRequest { resource_spans }.encode_to_vec(), &edits);
        check_traces(&bytes)?;
        check_logs(&bytes)?;
        let bytes = mutate(ExportLogsServiceRequest { resource_logs }.encode_to_vec(), &edits);
        check_logs(&bytes)?;
        check_traces(&bytes)?;
    }

    #[test]
    fn arbitrary_bytes_are_shown_as_prost_reads_them_or_not_at_all(bytes in vec(any::<u8>(), 0..60)) {
        check_traces(&bytes)?;
        check_logs(&bytes)?;
    }
}

/// A request with a value that has so many levels, the innermost of them maps and the others lists. A list is two messages
/// deep and a map three, so that some mixture ends right at any limit.
fn nested(levels: usize, maps: usize) -> Vec<u8> {
    let mut value = AnyValue::default();
    for level in 0..levels {
        let inner = if level < maps {
            let pair = KeyValue {
                value: Some(value),
                ..KeyValue::default()
            };
            Value::KvlistValue(KeyValueList { values: vec![pair] })
        } else {
            Value::ArrayValue(ArrayValue {
                values: vec![value],
            })
        };
        value = AnyValue { value: Some(inner) };
    }
    let record = LogRecord {
        body: Some(value),
        ..LogRecord::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
    .encode_to_vec()
}

#[test]
fn values_are_plain_as_deep_as_prost_reads_them_and_no_deeper() {
    for maps in [0, 1, 2, 120] {
        let mut plain = 0;
        for levels in 0..120 {
            let bytes = nested(levels, maps);
            let is_read = ExportLogsServiceRequest::decode(bytes.as_slice()).is_ok();
            let is_plain = Request::<Logs>::check(&bytes).is_ok();
            assert_eq!(is_plain, is_read, "{levels} levels, {maps} maps");
            plain += usize::from(is_read);
        }
        assert!((30..60).contains(&plain), "{plain}");
    }
}

#[test]
fn an_unknown_field_at_the_limit_of_depth_is_refused_by_both() {
    for lists in 40..60 {
        let mut bytes = nested(lists, 0);
        // The innermost value, which ends the request, is empty: it gets a field 9. All lengths stay below 128.
        assert_eq!(bytes.pop(), Some(0));
        bytes.extend([2, 9 << 3, 1]);
        let mut at = 0;
        while at + 4 < bytes.len() {
            bytes[at + 1] += 2;
            at += 2;
        }
        let is_read = ExportLogsServiceRequest::decode(bytes.as_slice()).is_ok();
        assert_eq!(Request::<Logs>::check(&bytes).is_ok(), is_read, "{lists}");
    }
}

fn one_span(span: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut message = span.to_vec();
    for key in [0x12_u8, 0x12, 0x0a] {
        bytes.clear();
        bytes.push(key);
        prost::encoding::encode_varint(message.len() as u64, &mut bytes);
        bytes.extend_from_slice(&message);
        message.clone_from(&bytes);
    }
    bytes
}

#[test]
fn what_is_not_plain_is_said_so() {
    let check = |span: &[u8]| Request::<Spans>::check(&one_span(span)).map(drop);
    for (what, span) in [
        ("a status twice", &[0x7a, 0, 0x7a, 0][..]),
        ("a value twice", &[0x4a, 4, 0x12, 0, 0x12, 0]),
        (
            "two lists in a value",
            &[0x4a, 6, 0x12, 4, 0x2a, 0, 0x2a, 0],
        ),
        ("a group", &[0xa3, 0x06, 0xa4, 0x06]),
        ("a name of another type", &[0x28, 1]),
        ("a name that is not UTF-8", &[0x2a, 1, 0xff]),
        ("a name that ends early", &[0x2a, 2, b'a']),
        ("a field without a number", &[0x02, 0]),
    ] {
        assert_eq!(check(span), Err(NotPlain), "{what}");
    }
    assert_eq!(
        check(&[0x4a, 9, 0x12, 7, 0x2a, 0, 0x0a, 1, b'a', 0x2a, 0]),
        Ok(())
    );
}

#[test]
fn the_memory_of_structs_counts_lists_and_texts() {
    let attributes = vec![KeyValue::default(); 100_000];
    let span = Span {
        attributes,
        ..Span::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    let bytes = request.encode_to_vec();
    let found = Request::<Spans>::check(&bytes).unwrap().decoded_bytes();
    let list = 131_072 * size_of::<KeyValue>();
    assert!((list..list + 10_000).contains(&found), "{found} {list}");
}
