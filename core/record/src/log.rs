//! Log records as rows.

use std::sync::Arc;

use crate::{
    ResourceContext, ScopeContext, SpanId, TraceId,
    otlp::logs::{LogRecord, ResourceLogs, SeverityNumber},
    span::w3c_trace_flags,
};

/// One log record with what it shares with others.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// The entity that it is about.
    pub resource: Arc<ResourceContext>,
    /// The library that made it.
    pub scope: Arc<ScopeContext>,
    /// As it came.
    pub record: LogRecord,
}

/// Turns resources with their log records into rows, in the order in which they stand.
#[must_use]
pub fn log_rows(resources: Vec<ResourceLogs>) -> Vec<LogRow> {
    let records = resources.iter().flat_map(|resource| &resource.scope_logs);
    let mut rows = Vec::with_capacity(records.map(|scope| scope.log_records.len()).sum());
    for of_resource in resources {
        let resource = of_resource.resource.unwrap_or_default();
        let resource = Arc::new(ResourceContext::new(resource, of_resource.schema_url));
        for of_scope in of_resource.scope_logs {
            let scope = Arc::new(ScopeContext {
                scope: of_scope.scope,
                schema_url: of_scope.schema_url,
            });
            rows.extend(of_scope.log_records.into_iter().map(|record| LogRow {
                resource: Arc::clone(&resource),
                scope: Arc::clone(&scope),
                record,
            }));
        }
    }
    rows
}

impl LogRow {
    /// The trace it belongs to; `None` when the id is absent or invalid.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        TraceId::from_bytes(&self.record.trace_id)
    }

    /// The span it belongs to; `None` when the id is absent or invalid.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        SpanId::from_bytes(&self.record.span_id)
    }

    /// The service that wrote it.
    #[must_use]
    pub fn service(&self) -> &str {
        self.resource.service()
    }

    /// When it happened, or when it was observed if that is unknown, nanoseconds since 1970-01-01T00:00:00Z; 0 when
    /// neither is known.
    #[must_use]
    pub fn time_unix_nano(&self) -> u64 {
        match self.record.time_unix_nano {
            0 => self.record.observed_time_unix_nano,
            time => time,
        }
    }

    /// Its severity; unspecified when this version does not know the number.
    #[must_use]
    pub fn severity(&self) -> SeverityNumber {
        SeverityNumber::try_from(self.record.severity_number).unwrap_or(SeverityNumber::Unspecified)
    }

    /// Whether it is an error or worse.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity() >= SeverityNumber::Error
    }

    /// The W3C trace flags.
    #[must_use]
    pub fn trace_flags(&self) -> u8 {
        w3c_trace_flags(self.record.flags)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn row(record: LogRecord) -> LogRow {
        LogRow {
            resource: Arc::default(),
            scope: Arc::default(),
            record,
        }
    }

    #[test]
    fn a_record_without_a_time_takes_its_observed_time() {
        let record = LogRecord {
            observed_time_unix_nano: 5,
            ..LogRecord::default()
        };
        assert_eq!(row(record.clone()).time_unix_nano(), 5);
        assert_eq!(
            row(LogRecord {
                time_unix_nano: 3,
                ..record
            })
            .time_unix_nano(),
            3
        );
        assert_eq!(row(LogRecord::default()).time_unix_nano(), 0);
    }

    #[test]
    fn a_record_with_invalid_ids_belongs_to_no_trace() {
        let record = LogRecord {
            trace_id: Bytes::from_static(&[0; 16]),
            span_id: Bytes::from_static(&[1; 9]),
            ..LogRecord::default()
        };
        assert_eq!(row(record.clone()).trace_id(), None);
        assert_eq!(row(record).span_id(), None);
    }

    #[test]
    fn errors_start_at_severity_17() {
        let of = |severity_number| {
            row(LogRecord {
                severity_number,
                ..LogRecord::default()
            })
        };
        assert!(!of(16).is_error());
        assert!(of(17).is_error());
        assert!(of(24).is_error());
        assert!(!of(25).is_error(), "not a number that OTLP has");
    }
}
