//! How much memory a request takes once it is decoded, found out before it is decoded.
//!
//! A few bytes on the wire can become a hundred in memory: an attribute that says nothing is two bytes in protobuf and a
//! whole `KeyValue` in a list. So what has to be decoded is first walked over, with the sizes of the structs at hand, and
//! is decoded only when that much memory was found for it. Lists are counted as they grow, by doubling from four. What is
//! plain is not decoded; its check counts the same ([`Request::decoded_bytes`](log_tracer_record::wire::Request)).

use std::mem::size_of;

use log_tracer_proto::{
    otlp::{
        common::{AnyValue, EntityRef, InstrumentationScope, KeyValue},
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        resource::Resource,
        trace::{ResourceSpans, ScopeSpans, Span, Status, span},
    },
    v1::LogEntry,
};
use prost::encoding::{WireType, decode_key, decode_varint};

/// What the allocator keeps for itself with each allocation, and what it rounds up to.
const ALLOCATION_BYTES: usize = 16;
/// The list that is allocated for a first element.
const FIRST_CAPACITY: usize = 4;
/// Deeper messages are refused by the decoder.
const DEPTH_MAX: usize = 100;
/// The most fields that a shape here has.
const FIELDS_MAX: usize = 4;

/// What a request becomes, in bytes. Every number saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    /// The decoded message.
    pub(super) structs: usize,
    /// The copies of its resources and scopes when it is split.
    pub(super) copies: usize,
    /// The payloads of its envelopes, all together.
    pub(super) payload: usize,
}

impl Footprint {
    pub(super) fn total(self) -> usize {
        self.structs.saturating_add(self.split())
    }

    /// What splitting and encoding add to a message that is decoded already.
    pub(super) fn split(self) -> usize {
        self.copies.saturating_add(self.payload)
    }
}

/// The footprint of an OTLP export request of either signal.
pub(super) fn of_export(
    bytes: &[u8],
    is_trace: bool,
    partitions: usize,
    payload_bytes_max: usize,
) -> Footprint {
    let request = if is_trace {
        &TRACE_REQUEST
    } else {
        &LOGS_REQUEST
    };
    let copied = copies(bytes, request, partitions, payload_bytes_max);
    Footprint {
        structs: heap(request, bytes, 0),
        copies: copied.decoded,
        payload: bytes.len().saturating_add(copied.encoded),
    }
}

/// The decoded size of a LogService request, with the log records that it becomes.
pub(super) fn of_submit(bytes: &[u8]) -> usize {
    heap(&SUBMIT_REQUEST, bytes, 0)
}

/// What a message type takes.
#[derive(Debug)]
struct Shape {
    /// The struct itself.
    bytes: usize,
    fields: &'static [Field],
}

/// A field that holds messages, or a list of strings; everything else is a number or text.
#[derive(Debug)]
struct Field {
    number: u32,
    shape: &'static Shape,
    is_list: bool,
}

const fn list(number: u32, shape: &'static Shape) -> Field {
    Field {
        number,
        shape,
        is_list: true,
    }
}

/// A message that is a part of the struct that holds it.
const fn inline(number: u32, shape: &'static Shape) -> Field {
    Field {
        number,
        shape,
        is_list: false,
    }
}

const fn shape<T>(fields: &'static [Field]) -> Shape {
    Shape {
        bytes: size_of::<T>(),
        fields,
    }
}

static TRACE_REQUEST: Shape = shape::<()>(&[list(1, &RESOURCE_SPANS)]);
static LOGS_REQUEST: Shape = shape::<()>(&[list(1, &RESOURCE_LOGS)]);
static RESOURCE_SPANS: Shape =
    shape::<ResourceSpans>(&[inline(1, &RESOURCE), list(2, &SCOPE_SPANS)]);
static RESOURCE_LOGS: Shape = shape::<ResourceLogs>(&[inline(1, &RESOURCE), list(2, &SCOPE_LOGS)]);
static SCOPE_SPANS: Shape = shape::<ScopeSpans>(&[inline(1, &SCOPE), list(2, &SPAN)]);
static SCOPE_LOGS: Shape = shape::<ScopeLogs>(&[inline(1, &SCOPE), list(2, &LOG_RECORD)]);
static RESOURCE: Shape = shape::<Resource>(&[list(1, &KEY_VALUE), list(3, &ENTITY)]);
static ENTITY: Shape = shape::<EntityRef>(&[list(3, &TEXT), list(4, &TEXT)]);
static TEXT: Shape = shape::<String>(&[]);
static SCOPE: Shape = shape::<InstrumentationScope>(&[list(3, &KEY_VALUE)]);
static SPAN: Shape = shape::<Span>(&[
    list(9, &KEY_VALUE),
    list(11, &EVENT),
    list(13, &LINK),
    inline(15, &STATUS),
]);
static EVENT: Shape = shape::<span::Event>(&[list(3, &KEY_VALUE)]);
static LINK: Shape = shape::<span::Link>(&[list(4, &KEY_VALUE)]);
static STATUS: Shape = shape::<Status>(&[]);
static LOG_RECORD: Shape = shape::<LogRecord>(&[inline(5, &ANY_VALUE), list(6, &KEY_VALUE)]);
static KEY_VALUE: Shape = shape::<KeyValue>(&[inline(2, &ANY_VALUE)]);
static ANY_VALUE: Shape = shape::<AnyValue>(&[inline(5, &ARRAY), inline(6, &KEY_VALUES)]);
static ARRAY: Shape = shape::<()>(&[list(1, &ANY_VALUE)]);
static KEY_VALUES: Shape = shape::<()>(&[list(1, &KEY_VALUE)]);
static SUBMIT_REQUEST: Shape = shape::<()>(&[list(1, &LOG_ENTRY)]);
/// An entry is turned into a log record, in the worst case with a resource and a scope of its own, in lists of their
/// own, and with ids in bytes beside those in digits.
static LOG_ENTRY: Shape = Shape {
    bytes: size_of::<LogEntry>()
        + FIRST_CAPACITY
            * (size_of::<LogRecord>() + size_of::<ScopeLogs>() + size_of::<KeyValue>())
        + 2 * size_of::<ResourceLogs>()
        + 16 * ALLOCATION_BYTES,
    fields: &[list(7, &KEY_VALUE)],
};

/// What a decoded message owns besides its own struct.
fn heap(shape: &Shape, bytes: &[u8], depth: usize) -> usize {
    if depth > DEPTH_MAX {
        return 0;
    }
    if shape.fields.is_empty() {
        return text(bytes);
    }
    let mut counts = [0_usize; FIELDS_MAX];
    let mut total = 0_usize;
    for (number, value) in Fields(bytes) {
        let mut fields = shape.fields.iter().zip(&mut counts);
        let Some((field, count)) = fields.find(|(field, _)| field.number == number) else {
            total = total.saturating_add(text(value));
            continue;
        };
        if field.is_list {
            *count += 1;
            let grown = capacity(*count) - capacity(*count - 1);
            total = total.saturating_add(grown.saturating_mul(field.shape.bytes));
        }
        total = total.saturating_add(heap(field.shape, value, depth + 1));
    }
    total
}

fn text(bytes: &[u8]) -> usize {
    bytes.len() + ALLOCATION_BYTES
}

/// The capacity of a list after so many elements were pushed.
fn capacity(elements: usize) -> usize {
    match elements {
        0 => 0,
        _ => elements.next_power_of_two().max(FIRST_CAPACITY),
    }
}

/// Resources and scopes, decoded and on the wire, in bytes.
#[derive(Default)]
struct Copied {
    decoded: usize,
    encoded: usize,
}

/// What splitting adds: resources and scopes are repeated in each part.
///
/// A part of a partition is closed when the next record does not fit, so that two neighbours together are larger than
/// one may be: the records of a scope are in at most `2 * (partitions + bytes / room)` parts, and never in more parts
/// than there are records.
fn copies(bytes: &[u8], request: &Shape, partitions: usize, payload_bytes_max: usize) -> Copied {
    let mut sum = Copied::default();
    for (resource, resource_bytes) in groups(request, bytes) {
        let of_resource = outside_of_list(resource, resource_bytes);
        for (scope, scope_bytes) in groups(resource, resource_bytes) {
            let of_scope = outside_of_list(scope, scope_bytes);
            let (mut records, mut record_bytes) = (0_usize, 0_usize);
            for (_, record) in groups(scope, scope_bytes) {
                records += 1;
                record_bytes += record.len();
            }
            let head = of_resource.encoded.saturating_add(of_scope.encoded);
            let room = payload_bytes_max.saturating_sub(head).max(1);
            let parts = (partitions + record_bytes / room)
                .saturating_mul(2)
                .min(records);
            let lists = FIRST_CAPACITY * (resource.bytes + scope.bytes + size_of::<Span>());
            let decoded = of_resource
                .decoded
                .saturating_add(of_scope.decoded)
                .saturating_add(lists);
            sum.decoded = sum.decoded.saturating_add(decoded.saturating_mul(parts));
            sum.encoded = sum.encoded.saturating_add(head.saturating_mul(parts));
        }
    }
    sum
}

/// The elements of the list that leads from a request towards its records, with their shape.
fn groups<'a>(shape: &Shape, bytes: &'a [u8]) -> impl Iterator<Item = (&'static Shape, &'a [u8])> {
    let path = towards_records(shape);
    Fields(bytes).filter_map(move |(number, value)| {
        path.filter(|field| field.number == number)
            .map(|field| (field.shape, value))
    })
}

/// What a resource or a scope takes without what is below it.
fn outside_of_list(shape: &Shape, bytes: &[u8]) -> Copied {
    let path = towards_records(shape);
    let mut sum = Copied::default();
    for (number, value) in Fields(bytes) {
        if path.is_some_and(|field| field.number == number) {
            continue;
        }
        let known = shape.fields.iter().find(|field| field.number == number);
        let decoded = known.map_or_else(|| text(value), |field| heap(field.shape, value, 0));
        sum.decoded = sum.decoded.saturating_add(decoded);
        // A tag and a length before it; both are longer only in messages that were written oddly.
        sum.encoded = sum.encoded.saturating_add(value.len() + 6);
    }
    sum
}

/// The field of a request, a resource or a scope that leads on to the records: the last one of its shape.
fn towards_records(shape: &Shape) -> Option<&'static Field> {
    shape.fields.last().filter(|field| field.is_list)
}

/// The fields with a length of an encoded message. Ends early where the bytes are no message, which the decoder then
/// says; a group counts as its fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            let (number, wire) = decode_key(&mut self.0).ok()?;
            let len = match wire {
                WireType::StartGroup | WireType::EndGroup => 0,
                WireType::Varint => {
                    decode_varint(&mut self.0).ok()?;
                    0
                }
                WireType::ThirtyTwoBit => 4,
                WireType::SixtyFourBit => 8,
                WireType::LengthDelimited => {
                    usize::try_from(decode_varint(&mut self.0).ok()?).ok()?
                }
            };
            let (value, rest) = self.0.split_at_checked(len)?;
            self.0 = rest;
            if wire == WireType::LengthDelimited {
                return Some((number, value));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::otlp::{
        collector_logs::ExportLogsServiceRequest,
        collector_trace::ExportTraceServiceRequest,
        common::{ArrayValue, any_value::Value},
    };
    use log_tracer_record::wire::{Logs, Request, Spans};
    use prost::Message;

    use super::*;

    fn request(resource: Resource, spans: Vec<Span>) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![ScopeSpans {
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        }
    }

    fn attributes(count: usize) -> Vec<KeyValue> {
        vec![KeyValue::default(); count]
    }

    fn decoded(request: &ExportTraceServiceRequest) -> usize {
        of_export(&request.encode_to_vec(), true, 1, 1 << 20).structs
    }

    #[test]
    fn an_ordinary_request_of_the_largest_size_fits_into_the_default_memory() {
        let text = |value: &str| {
            Some(AnyValue {
                value: Some(Value::StringValue(value.to_owned())),
            })
        };
        let span = |number: u64| Span {
            trace_id: vec![1; 16].into(),
            span_id: vec![2; 8].into(),
            name: "GET /items/{id}".to_owned(),
            start_time_unix_nano: number,
            attributes: (0..10)
                .map(|key| KeyValue {
                    key: format!("http.request.header.{key}"),
                    value: text(&format!("value {number}")),
                    ..KeyValue::default()
                })
                .collect(),
            ..Span::default()
        };
        let request = request(Resource::default(), (0..1_000).map(span).collect());
        let bytes = request.encode_to_vec();
        let footprint = of_export(&bytes, true, 8, 1 << 20).total();

        let config = crate::Config::default();
        let budget =
            crate::budget::Budget::new(config.inflight_bytes_max, config.request_bytes_max);
        let of_largest = footprint as u64 * config.request_bytes_max as u64 / bytes.len() as u64;
        assert!(of_largest < budget.work.bytes() as u64, "{of_largest}");
    }

    proptest::proptest! {
        #[test]
        fn the_check_of_a_plain_request_counts_the_same(
            resource_spans in log_tracer_proto::arbitrary::resource_spans(),
            resource_logs in log_tracer_proto::arbitrary::resource_logs(),
        ) {
            let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
            let checked = Request::<Spans>::check(&bytes).unwrap().decoded_bytes();
            proptest::prop_assert_eq!(checked, of_export(&bytes, true, 1, 1 << 20).structs);
            let bytes = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
            let checked = Request::<Logs>::check(&bytes).unwrap().decoded_bytes();
            proptest::prop_assert_eq!(checked, of_export(&bytes, false, 1, 1 << 20).structs);
        }
    }

    #[test]
    fn empty_attributes_weigh_what_their_structs_do_and_not_what_they_are_on_the_wire() {
        let span = Span {
            attributes: attributes(100_000),
            ..Span::default()
        };
        let request = request(Resource::default(), vec![span]);
        assert!(request.encoded_len() < 200_100);
        // The list has grown to 2^17 elements.
        let list = 131_072 * size_of::<KeyValue>();
        let found = decoded(&request);
        assert!((list..list + 10_000).contains(&found), "{found} {list}");
    }

    #[test]
    fn one_attribute_in_each_of_many_events_weighs_a_list_each() {
        let event = span::Event {
            attributes: attributes(1),
            ..span::Event::default()
        };
        let span = Span {
            events: vec![event; 1_000],
            ..Span::default()
        };
        let lists = 1_024 * size_of::<span::Event>() + 4_000 * size_of::<KeyValue>();
        assert!(decoded(&request(Resource::default(), vec![span])) >= lists);
    }

    #[test]
    fn nested_values_weigh_on_every_level() {
        let mut value = AnyValue::default();
        for _ in 0..20 {
            let values = vec![value; 1];
            value = AnyValue {
                value: Some(Value::ArrayValue(ArrayValue { values })),
            };
        }
        let attribute = KeyValue {
            value: Some(value),
            ..KeyValue::default()
        };
        let span = Span {
            attributes: vec![attribute],
            ..Span::default()
        };
        let found = decoded(&request(Resource::default(), vec![span]));
        assert!(
            found >= 20 * FIRST_CAPACITY * size_of::<AnyValue>(),
            "{found}"
        );
    }

    #[test]
    fn a_large_resource_is_counted_for_every_part_that_it_is_copied_to() {
        let resource = Resource {
            attributes: vec![KeyValue {
                key: "k".repeat(10_000),
                ..KeyValue::default()
            }],
            ..Resource::default()
        };
        let bytes = request(resource, vec![Span::default(); 50]).encode_to_vec();
        let alone = of_export(&bytes, true, 1, 1 << 20).payload;
        let spread = of_export(&bytes, true, 64, 1 << 20).payload;
        assert!(alone < 40_000, "{alone}");
        assert!(spread > 500_000, "{spread}");
        let tight = of_export(&bytes, true, 1, 10_050).payload;
        assert!(tight > 20_000, "{tight}");
    }

    #[test]
    fn bytes_that_are_no_message_weigh_no_more_than_what_was_read() {
        let found = of_export(&[0xff; 1_000], true, 64, 100);
        assert_eq!((found.structs, found.copies), (0, 0));
        assert_eq!(found.payload, 1_000);
    }
}
