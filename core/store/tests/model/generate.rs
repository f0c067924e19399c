//! Rows that meet: few traces, few span ids, few times, and the odd ones among them.

use std::sync::Arc;

use bytes::Bytes;
use log_tracer_query::{Field, Query, parse};
use log_tracer_record::{
    LogRow, ResourceContext, SpanRow, TraceId,
    otlp::{
        common::{AnyValue, ArrayValue, KeyValue, any_value::Value},
        logs::LogRecord,
        resource::Resource,
        trace::{Span, Status},
    },
};
use log_tracer_store::{
    FacetSpec, HeatmapOf, HeatmapSpec, HistogramGroup, HistogramSpec, RecordSearch, Scale, Signal,
    TimeRange, TraceLimits, TraceOrder, TraceSearch,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Spans(u16, Vec<SpanRow>),
    Logs(u16, Vec<LogRow>),
    /// The spans before once more, as a client sends them that missed the reply.
    SpansAgain,
    /// All rows so far are to go to disk.
    Seal,
    Ask(Question),
}

/// One thing to ask.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    Logs(RecordSearch),
    Spans(RecordSearch),
    Traces(TraceSearch),
    Trace(TraceId, TraceLimits),
    Histogram(HistogramSpec),
    Heatmap(HeatmapSpec),
    Facets(FacetSpec),
    Services(Option<String>),
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..3u16, vec(span(), 0..24)).prop_map(|(partition, rows)| Step::Spans(partition, rows)),
        2 => (0..3u16, vec(log(), 0..24)).prop_map(|(partition, rows)| Step::Logs(partition, rows)),
        1 => Just(Step::SpansAgain),
        1 => Just(Step::Seal),
        5 => question().prop_map(Step::Ask),
    ];
    vec(step, 1..40)
}

fn trace_bytes() -> impl Strategy<Value = [u8; 16]> {
    (1..6u8).prop_map(|n| [n; 16])
}

/// Mostly close together; at the ends of time, too.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        12 => 1_000..1_060u64,
        1 => Just(0),
        1 => (u64::MAX - 3)..=u64::MAX,
    ]
}

fn text(text: &str) -> Option<AnyValue> {
    Some(AnyValue {
        value: Some(Value::StringValue(text.to_owned())),
    })
}

fn pair(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value,
        ..KeyValue::default()
    }
}

fn value() -> impl Strategy<Value = Option<AnyValue>> {
    let scalar = prop_oneof![
        select(vec!["x", "Y", "two words", "7", "a\"b"])
            .prop_map(|t| Value::StringValue(t.to_owned())),
        (5..9i64).prop_map(Value::IntValue),
        any::<bool>().prop_map(Value::BoolValue),
        select(vec![0.5, 7.0]).prop_map(Value::DoubleValue),
    ];
    let list = vec(scalar.clone(), 0..4).prop_map(|values| {
        let values = values
            .into_iter()
            .map(|value| AnyValue { value: Some(value) })
            .collect();
        Value::ArrayValue(ArrayValue { values })
    });
    let value = prop_oneof![4 => scalar, 1 => list];
    option::weighted(
        0.95,
        value.prop_map(|value| AnyValue { value: Some(value) }),
    )
}

/// A status code, a method, any value, and weight that makes the store evict.
fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let code = option::of(select(vec![200, 404, 500]));
    let weight = prop_oneof![3 => Just(0), 1 => 10_000..50_000usize];
    (code, any::<bool>(), vec(value(), 0..3), weight).prop_map(|(code, method, values, weight)| {
        let mut attributes: Vec<KeyValue> =
            values.into_iter().map(|value| pair("k", value)).collect();
        if let Some(code) = code {
            let value = AnyValue {
                value: Some(Value::IntValue(code)),
            };
            attributes.push(pair("http.response.status_code", Some(value)));
        }
        if method {
            attributes.push(pair("http.request.method", text("GET")));
        }
        if weight > 0 {
            attributes.push(pair("weight", text(&"w".repeat(weight))));
        }
        attributes
    })
}

fn resource() -> impl Strategy<Value = Arc<ResourceContext>> {
    let service = option::of(select(vec!["cart", "pay me", "mail"]));
    (service, 0..2i64).prop_map(|(service, instance)| {
        let mut attributes = vec![pair(
            "instance",
            Some(AnyValue {
                value: Some(Value::IntValue(instance)),
            }),
        )];
        attributes.extend(service.map(|name| pair("service.name", text(name))));
        let resource = Resource {
            attributes,
            ..Resource::default()
        };
        Arc::new(ResourceContext::new(resource, String::new()))
    })
}

fn span() -> impl Strategy<Value = SpanRow> {
    let ids = (trace_bytes(), 1..6u8, 0..8u8);
    let status = option::of((0..4i32, select(vec!["", "failed"])));
    let name = select(vec!["read", "write it", "", "read"]);
    (
        resource(),
        ids,
        time(),
        time(),
        name,
        0..7i32,
        status,
        attributes(),
    )
        .prop_map(
            |(resource, (trace, id, parent), start, end, name, kind, status, attributes)| {
                let parent = if parent == 0 {
                    Bytes::new()
                } else {
                    Bytes::copy_from_slice(&[parent; 8])
                };
                let status = status.map(|(code, message)| Status {
                    code,
                    message: message.to_owned(),
                });
                let span = Span {
                    trace_id: Bytes::copy_from_slice(&trace),
                    span_id: Bytes::copy_from_slice(&[id; 8]),
                    parent_span_id: parent,
                    name: name.to_owned(),
                    kind,
                    start_time_unix_nano: start,
                    end_time_unix_nano: end,
                    status,
                    attributes,
                    ..Span::default()
                };
                SpanRow {
                    resource,
                    scope: Arc::default(),
                    span,
                }
            },
        )
}

fn log() -> impl Strategy<Value = LogRow> {
    let trace = prop_oneof![4 => trace_bytes().prop_map(|id| id.to_vec()), 1 => Just(vec![0; 16]), 1 => Just(vec![])];
    let event = select(vec!["", "", "saved"]);
    (
        resource(),
        trace,
        time(),
        time(),
        0..27i32,
        event,
        value(),
        attributes(),
    )
        .prop_map(
            |(resource, trace, time, observed, severity, event, body, attributes)| {
                let record = LogRecord {
                    trace_id: trace.into(),
                    time_unix_nano: time,
                    observed_time_unix_nano: observed,
                    severity_number: severity,
                    event_name: event.to_owned(),
                    body,
                    attributes,
                    ..LogRecord::default()
                };
                LogRow {
                    resource,
                    scope: Arc::default(),
                    record,
                }
            },
        )
}

fn query() -> impl Strategy<Value = Query> {
    let texts = vec![
        "",
        "",
        "*",
        "-*",
        "service:cart",
        "service:(cart OR unknown_service) -status:error",
        "words",
        "k:7",
        "k:*",
        "-k:*",
        "no.such:x",
        "no.such:x OR k:7",
        "-no.such:x k:x",
        "http.response.status_code>=400",
        "severity>=warn",
        "status:error",
        "duration>10ns",
        "name:\"write it\"",
        "instance:1",
        "trace:01010101010101010101010101010101",
        "trace:02020202020202020202020202020202 OR trace:03030303030303030303030303030303",
        "trace:02020202020202020202020202020202 k:*",
        "time>=1970-01-01T00:00:00.00000103Z",
    ];
    select(texts).prop_map(|text| parse(text).unwrap())
}

fn range() -> impl Strategy<Value = TimeRange> {
    let bounded =
        (time(), option::of(time())).prop_map(|(start_unix_nano, end_unix_nano)| TimeRange {
            start_unix_nano,
            end_unix_nano,
        });
    prop_oneof![1 => Just(TimeRange::ALL), 2 => bounded]
}

fn question() -> impl Strategy<Value = Question> {
    let trace = (trace_bytes(), 0..30usize, 0..30usize).prop_map(|(id, spans_max, logs_max)| {
        let id = TraceId::from_bytes(&id).unwrap();
        Question::Trace(
            id,
            TraceLimits {
                spans_max,
                logs_max,
            },
        )
    });
    let service = option::of(select(vec!["cart".to_owned(), "none".to_owned()]));
    prop_oneof![
        record_search().prop_map(Question::Logs),
        record_search().prop_map(Question::Spans),
        trace_search().prop_map(Question::Traces),
        trace,
        histogram().prop_map(Question::Histogram),
        heatmap().prop_map(Question::Heatmap),
        facets().prop_map(Question::Facets),
        service.prop_map(Question::Services),
    ]
}

fn record_search() -> impl Strategy<Value = RecordSearch> {
    let bytes_max = prop_oneof![3 => Just(u64::MAX), 1 => 0..60_000u64];
    (query(), range(), 1..20usize, bytes_max, any::<bool>()).prop_map(
        |(query, range, limit, bytes_max, oldest_first)| RecordSearch {
            query,
            range,
            limit,
            bytes_max,
            after: None,
            oldest_first,
        },
    )
}

fn trace_search() -> impl Strategy<Value = TraceSearch> {
    let order = select(vec![
        TraceOrder::Newest { after: None },
        TraceOrder::Newest { after: None },
        TraceOrder::Longest,
        TraceOrder::MostSpans,
        TraceOrder::MostErrors,
    ]);
    let durations = (
        prop_oneof![Just(0), 0..40u64],
        option::weighted(0.3, 0..60u64),
    );
    (query(), range(), durations, order, 1..4usize).prop_map(
        |(query, range, (duration_min_nano, duration_max_nano), order, limit)| TraceSearch {
            query,
            range,
            duration_min_nano,
            duration_max_nano,
            order,
            limit,
        },
    )
}

fn signal() -> impl Strategy<Value = Signal> {
    select(vec![Signal::Spans, Signal::Logs])
}

fn histogram() -> impl Strategy<Value = HistogramSpec> {
    let group = select(vec![
        HistogramGroup::None,
        HistogramGroup::Level,
        HistogramGroup::Service,
    ]);
    (signal(), query(), 990..1_050u64, 1..70u64, 1..20u64, group).prop_map(
        |(signal, query, start_unix_nano, width, step_nano, group)| HistogramSpec {
            signal,
            query,
            start_unix_nano,
            end_unix_nano: start_unix_nano + width,
            step_nano,
            group,
            rows_max: None,
        },
    )
}

fn heatmap() -> impl Strategy<Value = HeatmapSpec> {
    let of = select(vec![HeatmapOf::Spans, HeatmapOf::Traces]);
    let durations = (
        prop_oneof![3 => Just(0), 1 => 0..20u64],
        option::weighted(0.3, 20..60u64),
    );
    let per_octave = select(vec![1, 3, 36]);
    let range = (990..1_050u64, 1..70u64, 4..20u64);
    (of, query(), range, per_octave, durations).prop_map(
        |(of, query, (start_unix_nano, width, step_nano), per_octave, (min, max))| HeatmapSpec {
            of,
            query,
            start_unix_nano,
            end_unix_nano: start_unix_nano + width,
            step_nano,
            scale: Scale::new(per_octave).unwrap(),
            duration_min_nano: min,
            duration_max_nano: max,
        },
    )
}

fn facets() -> impl Strategy<Value = FacetSpec> {
    let names = vec![
        "service", "name", "kind", "status", "severity", "k", "trace", "no.such",
    ];
    (
        signal(),
        query(),
        range(),
        vec(select(names), 1..4),
        1..4usize,
    )
        .prop_map(|(signal, query, range, names, values_max)| FacetSpec {
            signal,
            query,
            range,
            fields: names.into_iter().map(Field::named).collect(),
            values_max,
            rows_max: None,
        })
}
