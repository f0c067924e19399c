//! What spans and log records have in common, as far as cutting a request needs it.

use log_tracer_proto::otlp::{
    collector_logs::ExportLogsServiceRequest,
    collector_trace::ExportTraceServiceRequest,
    common::InstrumentationScope,
    logs::{LogRecord, ResourceLogs, ScopeLogs},
    resource::Resource,
    trace::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;

use super::RouteKey;
use crate::{TraceId, context::service_of};

/// Records of one resource.
#[derive(Clone, Debug)]
pub(super) struct OfResource<R> {
    pub(super) resource: Option<Resource>,
    pub(super) schema_url: String,
    pub(super) scopes: Vec<OfScope<R>>,
}

/// Records of one scope.
#[derive(Clone, Debug)]
pub(super) struct OfScope<R> {
    pub(super) scope: Option<InstrumentationScope>,
    pub(super) schema_url: String,
    pub(super) records: Vec<R>,
}

/// An export request.
pub(super) trait Signal: Message + Default {
    type Record: Message + Clone;

    /// The key of each record, in order.
    fn routes(&self) -> impl Iterator<Item = RouteKey<'_>>;

    /// The key of one record of a service.
    fn route<'a>(record: &Self::Record, service: &'a str) -> RouteKey<'a>;

    fn into_groups(self) -> Vec<OfResource<Self::Record>>;

    fn from_groups(groups: Vec<OfResource<Self::Record>>) -> Self;
}

impl Signal for ExportTraceServiceRequest {
    type Record = Span;

    fn routes(&self) -> impl Iterator<Item = RouteKey<'_>> {
        self.resource_spans.iter().flat_map(|resource| {
            let service = service_of(resource.resource.as_ref());
            let spans = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
            spans.map(move |span| Self::route(span, service))
        })
    }

    fn route<'a>(span: &Span, service: &'a str) -> RouteKey<'a> {
        route(&span.trace_id, service)
    }

    fn into_groups(self) -> Vec<OfResource<Span>> {
        let of_scope = |ScopeSpans {
                            scope,
                            spans,
                            schema_url,
                        }| OfScope {
            scope,
            schema_url,
            records: spans,
        };
        let of_resource = |ResourceSpans {
                               resource,
                               scope_spans,
                               schema_url,
                           }| OfResource {
            resource,
            schema_url,
            scopes: scope_spans.into_iter().map(of_scope).collect(),
        };
        self.resource_spans.into_iter().map(of_resource).collect()
    }

    fn from_groups(groups: Vec<OfResource<Span>>) -> Self {
        let of_scope = |OfScope {
                            scope,
                            schema_url,
                            records,
                        }| ScopeSpans {
            scope,
            spans: records,
            schema_url,
        };
        let of_resource = |OfResource {
                               resource,
                               schema_url,
                               scopes,
                           }| ResourceSpans {
            resource,
            scope_spans: scopes.into_iter().map(of_scope).collect(),
            schema_url,
        };
        Self {
            resource_spans: groups.into_iter().map(of_resource).collect(),
        }
    }
}

impl Signal for ExportLogsServiceRequest {
    type Record = LogRecord;

    fn routes(&self) -> impl Iterator<Item = RouteKey<'_>> {
        self.resource_logs.iter().flat_map(|resource| {
            let service = service_of(resource.resource.as_ref());
            let records = resource
                .scope_logs
                .iter()
                .flat_map(|scope| &scope.log_records);
            records.map(move |record| Self::route(record, service))
        })
    }

    fn route<'a>(record: &LogRecord, service: &'a str) -> RouteKey<'a> {
        route(&record.trace_id, service)
    }

    fn into_groups(self) -> Vec<OfResource<LogRecord>> {
        let of_scope = |ScopeLogs {
                            scope,
                            log_records,
                            schema_url,
                        }| OfScope {
            scope,
            schema_url,
            records: log_records,
        };
        let of_resource = |ResourceLogs {
                               resource,
                               scope_logs,
                               schema_url,
                           }| OfResource {
            resource,
            schema_url,
            scopes: scope_logs.into_iter().map(of_scope).collect(),
        };
        self.resource_logs.into_iter().map(of_resource).collect()
    }

    fn from_groups(groups: Vec<OfResource<LogRecord>>) -> Self {
        let of_scope = |OfScope {
                            scope,
                            schema_url,
                            records,
                        }| ScopeLogs {
            scope,
            log_records: records,
            schema_url,
        };
        let of_resource = |OfResource {
                               resource,
                               schema_url,
                               scopes,
                           }| ResourceLogs {
            resource,
            scope_logs: scopes.into_iter().map(of_scope).collect(),
            schema_url,
        };
        Self {
            resource_logs: groups.into_iter().map(of_resource).collect(),
        }
    }
}

fn route<'a>(trace_id: &[u8], service: &'a str) -> RouteKey<'a> {
    TraceId::from_bytes(trace_id).map_or(RouteKey::Service(service), RouteKey::Trace)
}
