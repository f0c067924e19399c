//! proptest strategies for any OTLP data: nested and empty values, keys that stand twice, odd ids, times at the limits,
//! numbers that no enum has. What they make is valid protobuf; what is valid OTLP says so in its name.
//!
//! Sizes are small, so that a test sees many shapes rather than few large ones.

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::otlp::{
    common::{
        AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
        any_value::Value,
    },
    logs::{LogRecord, ResourceLogs, ScopeLogs},
    resource::Resource,
    trace::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Event, Link},
    },
};

/// Text: mostly short and plain, at times of any characters, quotes, markup or control characters.
pub fn text() -> impl Strategy<Value = String> {
    const ODD: &[&str] = &[
        "",
        "\"quoted\" \\ back",
        "<script>alert(1)</script>",
        "line\nbreak\ttab\0nul",
        "ünïcödé 漢字 🦀",
        "e\u{301}\u{202e}",
    ];
    prop_oneof![
        4 => "[a-z]{1,8}".prop_map(String::from),
        2 => select(ODD).prop_map(String::from),
        1 => ".{0,12}".prop_map(String::from),
    ]
}

/// The key of an attribute, often one of a few, so that keys meet and stand twice.
pub fn key() -> impl Strategy<Value = String> {
    const USUAL: &[&str] = &[
        "http.request.method",
        "user.id",
        "a",
        "a.b",
        "a.b.c",
        "",
        "with \"quote\"",
    ];
    prop_oneof![
        4 => select(USUAL).prop_map(String::from),
        1 => text(),
    ]
}

/// Whole numbers, often at the limits and just beyond what a double holds.
pub fn int() -> impl Strategy<Value = i64> {
    const LIMITS: &[i64] = &[0, 1, -1, i64::MIN, i64::MAX, (1 << 53) + 1, -(1 << 53) - 1];
    prop_oneof![select(LIMITS), any::<i64>()]
}

/// Doubles of every kind: zeros of both signs, infinities, not a number, subnormal ones.
pub fn double() -> impl Strategy<Value = f64> {
    const ODD: &[f64] = &[
        0.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::MIN_POSITIVE,
        0.1,
        5e-324,
    ];
    // JSON knows one NaN.
    let any = any::<f64>().prop_map(|value| if value.is_nan() { f64::NAN } else { value });
    prop_oneof![select(ODD), any]
}

/// Nanoseconds since 1970: near each other, zero, or at the limit.
pub fn time_unix_nano() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 1_700_000_000_000_000_000..1_700_000_060_000_000_000_u64,
        1 => Just(0),
        1 => Just(u64::MAX),
        1 => any::<u64>(),
    ]
}

/// An attribute value without others in it; at times empty.
pub fn scalar() -> impl Strategy<Value = AnyValue> {
    let bytes = vec(any::<u8>(), 0..9).prop_map(Bytes::from);
    let value = prop_oneof![
        4 => text().prop_map(Value::StringValue),
        1 => any::<bool>().prop_map(Value::BoolValue),
        2 => int().prop_map(Value::IntValue),
        2 => double().prop_map(Value::DoubleValue),
        1 => bytes.prop_map(Value::BytesValue),
        1 => any::<i32>().prop_map(Value::StringValueStrindex),
    ];
    option::weighted(0.9, value).prop_map(|value| AnyValue { value })
}

/// Any attribute value, lists and maps up to four deep.
pub fn any_value() -> impl Strategy<Value = AnyValue> {
    scalar().prop_recursive(4, 12, 3, |inner| {
        let list = vec(inner.clone(), 0..3).prop_map(|values| ArrayValue { values });
        let map = vec(pair_of(inner), 0..3).prop_map(|values| KeyValueList { values });
        let value = prop_oneof![
            list.prop_map(Value::ArrayValue),
            map.prop_map(Value::KvlistValue),
        ];
        value.prop_map(|value| AnyValue { value: Some(value) })
    })
}

/// Attributes; keys may stand twice.
pub fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(pair_of(any_value().boxed()), 0..4)
}

fn pair_of(value: BoxedStrategy<AnyValue>) -> impl Strategy<Value = KeyValue> {
    let strindex = prop_oneof![9 => Just(0), 1 => any::<i32>()];
    (key(), option::weighted(0.95, value), strindex).prop_map(|(key, value, key_strindex)| {
        KeyValue {
            key,
            value,
            key_strindex,
        }
    })
}

/// A count of what was dropped: mostly nothing.
pub fn dropped() -> impl Strategy<Value = u32> {
    prop_oneof![4 => Just(0), 1 => any::<u32>()]
}

/// A resource, with a service name from a few in most cases.
pub fn resource() -> impl Strategy<Value = Resource> {
    let service = option::weighted(0.8, select(["cart", "checkout", "web"].as_slice()));
    let entity = (text(), text(), vec(text(), 0..3), vec(text(), 0..2)).prop_map(
        |(schema_url, r#type, id_keys, description_keys)| EntityRef {
            schema_url,
            r#type,
            id_keys,
            description_keys,
        },
    );
    (service, attributes(), dropped(), vec(entity, 0..2)).prop_map(
        |(service, mut attributes, dropped_attributes_count, entity_refs)| {
            attributes.extend(service.map(|name| KeyValue {
                key: "service.name".to_owned(),
                value: Some(AnyValue {
                    value: Some(Value::StringValue(name.to_owned())),
                }),
                key_strindex: 0,
            }));
            Resource {
                attributes,
                dropped_attributes_count,
                entity_refs,
            }
        },
    )
}

/// A scope.
pub fn scope() -> impl Strategy<Value = InstrumentationScope> {
    (text(), text(), attributes(), dropped()).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    )
}

/// A schema URL, often none.
pub fn schema_url() -> impl Strategy<Value = String> {
    const URLS: &[&str] = &["", "https://opentelemetry.io/schemas/1.30.0", "urn:x"];
    select(URLS).prop_map(String::from)
}

/// 16 bytes, not all zero, often one of a few.
pub fn valid_trace_id() -> impl Strategy<Value = Bytes> {
    valid_id(16)
}

/// 8 bytes, not all zero, often one of a few.
pub fn valid_span_id() -> impl Strategy<Value = Bytes> {
    valid_id(8)
}

/// An id that may be empty, all zero or of another length.
pub fn odd_id(len: usize) -> impl Strategy<Value = Bytes> {
    prop_oneof![
        6 => valid_id(len),
        2 => Just(Bytes::new()),
        1 => Just(Bytes::from(vec![0; len])),
        1 => vec(any::<u8>(), 0..20).prop_map(Bytes::from),
    ]
}

fn valid_id(len: usize) -> impl Strategy<Value = Bytes> {
    let few = (1..6_u8).prop_map(move |byte| vec![byte; len]);
    let any = vec(any::<u8>(), len).prop_map(|mut id| {
        // Never all zero.
        if let Some(first) = id.first_mut() {
            *first |= 0x80;
        }
        id
    });
    prop_oneof![3 => few, 1 => any].prop_map(Bytes::from)
}

/// A span; its ids may be invalid.
pub fn span() -> impl Strategy<Value = Span> {
    span_with(odd_id(16).boxed(), odd_id(8).boxed())
}

/// A span with a valid trace id and span id.
pub fn valid_span() -> impl Strategy<Value = Span> {
    span_with(valid_trace_id().boxed(), valid_span_id().boxed())
}

fn span_with(
    trace_id: BoxedStrategy<Bytes>,
    span_id: BoxedStrategy<Bytes>,
) -> impl Strategy<Value = Span> {
    let ids = (trace_id, span_id, odd_id(8));
    let header = (text(), any::<u32>(), text(), enum_number(6));
    let times = (time_unix_nano(), time_unix_nano());
    let dropped = (dropped(), dropped(), dropped());
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..2));
    (ids, header, times, dropped, lists, option::of(status())).prop_map(
        |(
            ids,
            (trace_state, flags, name, kind),
            times,
            dropped,
            (attributes, events, links),
            status,
        )| {
            Span {
                trace_id: ids.0,
                span_id: ids.1,
                parent_span_id: ids.2,
                trace_state,
                flags,
                name,
                kind,
                start_time_unix_nano: times.0,
                end_time_unix_nano: times.1,
                attributes,
                dropped_attributes_count: dropped.0,
                events,
                dropped_events_count: dropped.1,
                links,
                dropped_links_count: dropped.2,
                status,
            }
        },
    )
}

/// The number of an enum that has this many values; at times one that it does not have.
fn enum_number(values: i32) -> impl Strategy<Value = i32> {
    prop_oneof![9 => 0..values, 1 => any::<i32>()]
}

fn status() -> impl Strategy<Value = Status> {
    (text(), enum_number(3)).prop_map(|(message, code)| Status { message, code })
}

fn event() -> impl Strategy<Value = Event> {
    (time_unix_nano(), text(), attributes(), dropped()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (
        odd_id(16),
        odd_id(8),
        text(),
        attributes(),
        dropped(),
        any::<u32>(),
    )
        .prop_map(
            |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
                trace_id,
                span_id,
                trace_state,
                attributes,
                dropped_attributes_count,
                flags,
            },
        )
}

/// A log record; its ids may be invalid.
pub fn log_record() -> impl Strategy<Value = LogRecord> {
    let times = (time_unix_nano(), time_unix_nano());
    let severity = (enum_number(25), text());
    let ids = (odd_id(16), odd_id(8), any::<u32>());
    let content = (option::of(any_value()), attributes(), dropped(), text());
    (times, severity, ids, content).prop_map(
        |(times, severity, (trace_id, span_id, flags), (body, attributes, dropped, event_name))| {
            LogRecord {
                time_unix_nano: times.0,
                observed_time_unix_nano: times.1,
                severity_number: severity.0,
                severity_text: severity.1,
                body,
                attributes,
                dropped_attributes_count: dropped,
                flags,
                trace_id,
                span_id,
                event_name,
            }
        },
    )
}

/// Resources with spans whose ids may be invalid; scopes and resources may be empty.
pub fn resource_spans() -> impl Strategy<Value = Vec<ResourceSpans>> {
    resource_spans_of(span().boxed())
}

/// Resources with valid spans; scopes and resources may be empty.
pub fn valid_resource_spans() -> impl Strategy<Value = Vec<ResourceSpans>> {
    resource_spans_of(valid_span().boxed())
}

fn resource_spans_of(span: BoxedStrategy<Span>) -> impl Strategy<Value = Vec<ResourceSpans>> {
    let scope = (option::of(scope()), vec(span, 0..4), schema_url()).prop_map(
        |(scope, spans, schema_url)| ScopeSpans {
            scope,
            spans,
            schema_url,
        },
    );
    let resource = (option::of(resource()), vec(scope, 0..3), schema_url()).prop_map(
        |(resource, scope_spans, schema_url)| ResourceSpans {
            resource,
            scope_spans,
            schema_url,
        },
    );
    vec(resource, 0..3)
}

/// Resources with log records; scopes and resources may be empty.
pub fn resource_logs() -> impl Strategy<Value = Vec<ResourceLogs>> {
    let scope = (option::of(scope()), vec(log_record(), 0..4), schema_url()).prop_map(
        |(scope, log_records, schema_url)| ScopeLogs {
            scope,
            log_records,
            schema_url,
        },
    );
    let resource = (option::of(resource()), vec(scope, 0..3), schema_url()).prop_map(
        |(resource, scope_logs, schema_url)| ResourceLogs {
            resource,
            scope_logs,
            schema_url,
        },
    );
    vec(resource, 0..3)
}
