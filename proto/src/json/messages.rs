//! The OTLP messages as tables of their fields: the name in JSON, the field, and how its value looks.

use std::marker::PhantomData;

use serde::de::{Deserializer, Error, MapAccess};

use super::{
    codec::{Codec, Fields},
    read::{Context, read_message, read_value},
    scalar::{Base64, Boolean, Double, Enum, Id, Large, List, Small, Text},
    write::{Object, Writer, write_message},
};
use crate::otlp::{
    collector_logs::{
        ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
    },
    collector_trace::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
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

/// The names under which requests hold their records.
pub(super) const TRACES: &str = "resourceSpans";
pub(super) const LOGS: &str = "resourceLogs";

/// A message in a list or a oneof.
pub(super) struct Message<M>(PhantomData<M>);

impl<M: Fields> Codec for Message<M> {
    type Value = M;

    fn read<'de, D: Deserializer<'de>>(
        input: D,
        context: Context<'_>,
    ) -> Result<Option<M>, D::Error> {
        read_message(input, context.nested()?)
    }

    /// A message that is there says so even when it is empty.
    fn is_default(_: &M) -> bool {
        false
    }

    fn write(value: &M, out: &mut Writer) {
        write_message(value, out);
    }
}

/// A message that may be absent.
struct Optional<M>(PhantomData<M>);

impl<M: Fields> Codec for Optional<M> {
    type Value = Option<M>;

    fn read<'de, D: Deserializer<'de>>(
        input: D,
        context: Context<'_>,
    ) -> Result<Option<Option<M>>, D::Error> {
        Message::read(input, context).map(|message| message.map(Some))
    }

    fn is_default(value: &Option<M>) -> bool {
        value.is_none()
    }

    fn write(value: &Option<M>, out: &mut Writer) {
        match value {
            Some(message) => write_message(message, out),
            None => out.raw("null"),
        }
    }
}

macro_rules! fields {
    ($message:ty { $($name:literal => $field:ident: $codec:ty,)* }) => {
        impl Fields for $message {
            const NAMES: &'static [&'static str] = &[$($name),*];

            fn read_field<'de, A: MapAccess<'de>>(
                &mut self,
                name: &str,
                input: &mut A,
                context: Context<'_>,
            ) -> Result<(), A::Error> {
                match name {
                    $($name => {
                        self.$field =
                            read_value::<$codec, A>(input, context)?.unwrap_or_default();
                    })*
                    _ => return Err(A::Error::custom("no such field")),
                }
                Ok(())
            }

            fn write_fields(&self, out: &mut Object<'_>) {
                $(out.field::<$codec>($name, &self.$field);)*
            }
        }
    };
}

fields!(ExportTraceServiceRequest {
    "resourceSpans" => resource_spans: List<Message<ResourceSpans>>,
});

fields!(ExportTraceServiceResponse {
    "partialSuccess" => partial_success: Optional<ExportTracePartialSuccess>,
});

fields!(ExportTracePartialSuccess {
    "rejectedSpans" => rejected_spans: Large<i64>,
    "errorMessage" => error_message: Text,
});

fields!(ExportLogsServiceRequest {
    "resourceLogs" => resource_logs: List<Message<ResourceLogs>>,
});

fields!(ExportLogsServiceResponse {
    "partialSuccess" => partial_success: Optional<ExportLogsPartialSuccess>,
});

fields!(ExportLogsPartialSuccess {
    "rejectedLogRecords" => rejected_log_records: Large<i64>,
    "errorMessage" => error_message: Text,
});

fields!(ResourceSpans {
    "resource" => resource: Optional<Resource>,
    "scopeSpans" => scope_spans: List<Message<ScopeSpans>>,
    "schemaUrl" => schema_url: Text,
});

fields!(ScopeSpans {
    "scope" => scope: Optional<InstrumentationScope>,
    "spans" => spans: List<Message<Span>>,
    "schemaUrl" => schema_url: Text,
});

fields!(Span {
    "traceId" => trace_id: Id,
    "spanId" => span_id: Id,
    "traceState" => trace_state: Text,
    "parentSpanId" => parent_span_id: Id,
    "flags" => flags: Small<u32>,
    "name" => name: Text,
    "kind" => kind: Enum,
    "startTimeUnixNano" => start_time_unix_nano: Large<u64>,
    "endTimeUnixNano" => end_time_unix_nano: Large<u64>,
    "attributes" => attributes: List<Message<KeyValue>>,
    "droppedAttributesCount" => dropped_attributes_count: Small<u32>,
    "events" => events: List<Message<Event>>,
    "droppedEventsCount" => dropped_events_count: Small<u32>,
    "links" => links: List<Message<Link>>,
    "droppedLinksCount" => dropped_links_count: Small<u32>,
    "status" => status: Optional<Status>,
});

fields!(Event {
    "timeUnixNano" => time_unix_nano: Large<u64>,
    "name" => name: Text,
    "attributes" => attributes: List<Message<KeyValue>>,
    "droppedAttributesCount" => dropped_attributes_count: Small<u32>,
});

fields!(Link {
    "traceId" => trace_id: Id,
    "spanId" => span_id: Id,
    "traceState" => trace_state: Text,
    "attributes" => attributes: List<Message<KeyValue>>,
    "droppedAttributesCount" => dropped_attributes_count: Small<u32>,
    "flags" => flags: Small<u32>,
});

fields!(Status {
    "message" => message: Text,
    "code" => code: Enum,
});

fields!(ResourceLogs {
    "resource" => resource: Optional<Resource>,
    "scopeLogs" => scope_logs: List<Message<ScopeLogs>>,
    "schemaUrl" => schema_url: Text,
});

fields!(ScopeLogs {
    "scope" => scope: Optional<InstrumentationScope>,
    "logRecords" => log_records: List<Message<LogRecord>>,
    "schemaUrl" => schema_url: Text,
});

fields!(LogRecord {
    "timeUnixNano" => time_unix_nano: Large<u64>,
    "observedTimeUnixNano" => observed_time_unix_nano: Large<u64>,
    "severityNumber" => severity_number: Enum,
    "severityText" => severity_text: Text,
    "body" => body: Optional<AnyValue>,
    "attributes" => attributes: List<Message<KeyValue>>,
    "droppedAttributesCount" => dropped_attributes_count: Small<u32>,
    "flags" => flags: Small<u32>,
    "traceId" => trace_id: Id,
    "spanId" => span_id: Id,
    "eventName" => event_name: Text,
});

fields!(Resource {
    "attributes" => attributes: List<Message<KeyValue>>,
    "droppedAttributesCount" => dropped_attributes_count: Small<u32>,
    "entityRefs" => entity_refs: List<Message<EntityRef>>,
});

fields!(EntityRef {
    "schemaUrl" => schema_url: Text,
    "type" => r#type: Text,
    "idKeys" => id_keys: List<Text>,
    "descriptionKeys" => description_keys: List<Text>,
});

fields!(InstrumentationScope {
    "name" => name: Text,
    "version" => version: Text,
    "attributes" => attributes: List<Message<KeyValue>>,
    "droppedAttributesCount" => dropped_attributes_count: Small<u32>,
});

fields!(KeyValue {
    "key" => key: Text,
    "value" => value: Optional<AnyValue>,
    "keyStrindex" => key_strindex: Small<i32>,
});

fields!(ArrayValue {
    "values" => values: List<Message<AnyValue>>,
});

fields!(KeyValueList {
    "values" => values: List<Message<KeyValue>>,
});

/// One of its fields at most has a value, and that is written even when it is a default: an empty string is not the
/// empty value.
impl Fields for AnyValue {
    const NAMES: &'static [&'static str] = &[
        "stringValue",
        "boolValue",
        "intValue",
        "doubleValue",
        "arrayValue",
        "kvlistValue",
        "bytesValue",
        "stringValueStrindex",
    ];

    fn read_field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        input: &mut A,
        context: Context<'_>,
    ) -> Result<(), A::Error> {
        macro_rules! read {
            ($codec:ty, $variant:ident) => {
                read_value::<$codec, A>(input, context)?.map(Value::$variant)
            };
        }
        let value = match name {
            "stringValue" => read!(Text, StringValue),
            "boolValue" => read!(Boolean, BoolValue),
            "intValue" => read!(Large<i64>, IntValue),
            "doubleValue" => read!(Double, DoubleValue),
            "arrayValue" => read!(Message<ArrayValue>, ArrayValue),
            "kvlistValue" => read!(Message<KeyValueList>, KvlistValue),
            "bytesValue" => read!(Base64, BytesValue),
            "stringValueStrindex" => read!(Small<i32>, StringValueStrindex),
            _ => return Err(A::Error::custom("no such field")),
        };
        if value.is_some() && self.value.is_some() {
            return Err(A::Error::custom("the value has two types"));
        }
        self.value = value.or(self.value.take());
        Ok(())
    }

    fn write_fields(&self, out: &mut Object<'_>) {
        match &self.value {
            Some(Value::StringValue(value)) => out.present::<Text>("stringValue", value),
            Some(Value::BoolValue(value)) => out.present::<Boolean>("boolValue", value),
            Some(Value::IntValue(value)) => out.present::<Large<i64>>("intValue", value),
            Some(Value::DoubleValue(value)) => out.present::<Double>("doubleValue", value),
            Some(Value::ArrayValue(value)) => {
                out.present::<Message<ArrayValue>>("arrayValue", value);
            }
            Some(Value::KvlistValue(value)) => {
                out.present::<Message<KeyValueList>>("kvlistValue", value);
            }
            Some(Value::BytesValue(value)) => out.present::<Base64>("bytesValue", value),
            Some(Value::StringValueStrindex(value)) => {
                out.present::<Small<i32>>("stringValueStrindex", value);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use prost::Message as _;
    use prost_types::{DescriptorProto, FileDescriptorSet};

    use super::*;

    fn collect(
        prefix: &str,
        messages: &[DescriptorProto],
        into: &mut BTreeMap<String, BTreeSet<String>>,
    ) {
        for message in messages {
            let name = format!("{prefix}.{}", message.name());
            let fields = message
                .field
                .iter()
                .map(|field| field.json_name().to_owned());
            into.insert(name.clone(), fields.collect());
            collect(&name, &message.nested_type, into);
        }
    }

    /// The names of the fields of every message, by its full name.
    fn described() -> BTreeMap<String, BTreeSet<String>> {
        let files = FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET)
            .unwrap()
            .file;
        let mut messages = BTreeMap::new();
        for file in files {
            collect(file.package(), &file.message_type, &mut messages);
        }
        messages
    }

    #[test]
    fn every_message_and_every_field_of_otlp_is_in_the_tables_under_its_json_name() {
        let mut described = described();
        let mut check = |message: &str, names: &[&str]| {
            let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let message = format!("opentelemetry.proto.{message}");
            assert_eq!(described.remove(&message), Some(names), "{message}");
        };
        check(
            "collector.trace.v1.ExportTraceServiceRequest",
            ExportTraceServiceRequest::NAMES,
        );
        check(
            "collector.trace.v1.ExportTraceServiceResponse",
            ExportTraceServiceResponse::NAMES,
        );
        check(
            "collector.trace.v1.ExportTracePartialSuccess",
            ExportTracePartialSuccess::NAMES,
        );
        check(
            "collector.logs.v1.ExportLogsServiceRequest",
            ExportLogsServiceRequest::NAMES,
        );
        check(
            "collector.logs.v1.ExportLogsServiceResponse",
            ExportLogsServiceResponse::NAMES,
        );
        check(
            "collector.logs.v1.ExportLogsPartialSuccess",
            ExportLogsPartialSuccess::NAMES,
        );
        check("trace.v1.TracesData", &[TRACES]);
        check("trace.v1.ResourceSpans", ResourceSpans::NAMES);
        check("trace.v1.ScopeSpans", ScopeSpans::NAMES);
        check("trace.v1.Span", Span::NAMES);
        check("trace.v1.Span.Event", Event::NAMES);
        check("trace.v1.Span.Link", Link::NAMES);
        check("trace.v1.Status", Status::NAMES);
        check("logs.v1.LogsData", &[LOGS]);
        check("logs.v1.ResourceLogs", ResourceLogs::NAMES);
        check("logs.v1.ScopeLogs", ScopeLogs::NAMES);
        check("logs.v1.LogRecord", LogRecord::NAMES);
        check("resource.v1.Resource", Resource::NAMES);
        check("common.v1.EntityRef", EntityRef::NAMES);
        check(
            "common.v1.InstrumentationScope",
            InstrumentationScope::NAMES,
        );
        check("common.v1.KeyValue", KeyValue::NAMES);
        check("common.v1.KeyValueList", KeyValueList::NAMES);
        check("common.v1.ArrayValue", ArrayValue::NAMES);
        check("common.v1.AnyValue", AnyValue::NAMES);

        let left = described
            .into_keys()
            .filter(|name| name.starts_with("opentelemetry."));
        assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
    }
}
