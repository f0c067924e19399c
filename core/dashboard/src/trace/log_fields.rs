//! A log record of a trace as the query language sees it, for the search within its logs.

use log_tracer_proto::otlp::{
    common::{AnyValue, KeyValue, any_value},
    logs::LogRecord,
};
use log_tracer_query::{Field, Intrinsic, Record, Value};

use super::{
    fields::{Visit, any_in_list, any_leaf, any_text_in},
    model::{LogItem, Process, Scope, Trace},
};

/// A log record with its sender and its scope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogFields<'a> {
    record: &'a LogRecord,
    time: u64,
    process: Option<&'a Process>,
    scope: Option<&'a Scope>,
}

impl<'a> LogFields<'a> {
    /// None for a record that is not there whole.
    pub(crate) fn new(trace: &'a Trace, item: &LogItem) -> Option<Self> {
        let whole = trace.whole_log(item)?;
        Some(Self {
            record: &whole.record,
            time: item.time,
            process: trace.processes.get(item.process),
            scope: trace.scopes.get(whole.scope),
        })
    }

    fn intrinsic(&self, field: Intrinsic, visit: Visit<'_>) -> bool {
        let record = self.record;
        match field {
            Intrinsic::Service => self
                .process
                .is_some_and(|process| visit(Value::Str(&process.service))),
            Intrinsic::Name => {
                !record.event_name.is_empty() && visit(Value::Str(&record.event_name))
            }
            Intrinsic::TraceId => visit(Value::Bytes(&record.trace_id)),
            Intrinsic::SpanId => {
                super::model::span_id(&record.span_id).is_some_and(|id| visit(Value::Bytes(&id)))
            }
            Intrinsic::Severity => {
                record.severity_number > 0 && visit(Value::Int(record.severity_number.into()))
            }
            Intrinsic::Body => record
                .body
                .as_ref()
                .is_some_and(|body| any_leaf(body, visit)),
            Intrinsic::Scope => self
                .scope
                .is_some_and(|scope| visit(Value::Str(&scope.scope.name))),
            Intrinsic::Time => visit(Value::Int(i64::try_from(self.time).unwrap_or(i64::MAX))),
            Intrinsic::Kind
            | Intrinsic::Status
            | Intrinsic::StatusMessage
            | Intrinsic::Duration
            | Intrinsic::ParentId
            | Intrinsic::Event => false,
        }
    }
}

impl Record for LogFields<'_> {
    fn any_value(&self, field: &Field, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let key = match field {
            Field::Intrinsic(intrinsic) => return self.intrinsic(*intrinsic, visit),
            Field::Attribute(key) => key,
        };
        let lists: [Option<&Vec<KeyValue>>; 3] = [
            Some(&self.record.attributes),
            self.scope.map(|scope| &scope.scope.attributes),
            self.process.map(|process| &process.resource.attributes),
        ];
        lists
            .into_iter()
            .flatten()
            .any(|list| any_in_list(list, key, visit))
    }

    fn any_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        let record = self.record;
        record
            .body
            .as_ref()
            .is_some_and(|body| any_text(body, visit))
            || visit(&record.event_name)
            || any_text_in(&record.attributes, visit)
    }
}

/// The texts of a body.
fn any_text(body: &AnyValue, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    match &body.value {
        Some(any_value::Value::StringValue(text)) => visit(text),
        _ => any_leaf(body, &mut |leaf| match leaf {
            Value::Str(text) => visit(text),
            _ => false,
        }),
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::{
        otlp::{
            logs::{ResourceLogs, ScopeLogs},
            resource::Resource,
        },
        v1::GetTraceResponse,
    };
    use log_tracer_query::parse;

    use super::*;

    fn pair(key: &str, value: any_value::Value) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            key_strindex: 0,
        }
    }

    #[test]
    fn a_search_sees_severity_body_attributes_and_the_span() {
        let text = |text: &str| any_value::Value::StringValue(text.to_owned());
        let record = LogRecord {
            observed_time_unix_nano: 1_767_225_600_000_000_000,
            severity_number: 17,
            body: Some(AnyValue {
                value: Some(text("card declined by the bank")),
            }),
            event_name: "payment.failed".to_owned(),
            span_id: vec![7; 8].into(),
            attributes: vec![pair("user.id", any_value::Value::IntValue(42))],
            ..LogRecord::default()
        };
        let resource = Resource {
            attributes: vec![pair("service.name", text("payment"))],
            ..Resource::default()
        };
        let trace = Trace::new(vec![GetTraceResponse {
            resource_logs: vec![ResourceLogs {
                resource: Some(resource),
                scope_logs: vec![ScopeLogs {
                    log_records: vec![record],
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            }],
            ..GetTraceResponse::default()
        }]);
        let fields = LogFields::new(&trace, &trace.logs[0]).unwrap();
        for yes in [
            "service:payment severity>=warn",
            "severity:error",
            "declined",
            "body:\"card declined\"",
            "user.id:42",
            "span:0707070707070707",
            "name:payment.failed",
            "time>=2026-01-01T00:00:00Z",
        ] {
            assert!(parse(yes).unwrap().matches(&fields), "{yes}");
        }
        for no in [
            "severity>error",
            "status:error",
            "accepted",
            "duration>1ns",
            "event:*",
        ] {
            assert!(!parse(no).unwrap().matches(&fields), "{no}");
        }
    }
}
