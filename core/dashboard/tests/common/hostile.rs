//! A consumer whose every text is an attack, and what a page must be like in spite of it.

use log_tracer_proto::{
    otlp::{
        common::{
            AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
        },
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        resource::Resource,
        trace::{
            ResourceSpans, ScopeSpans, Span, Status,
            span::{Event, Link},
            status::StatusCode,
        },
    },
    v1::{
        ConsumerRole, ConsumerStatus, Coverage, DurationHeatmapResponse, Facet, FacetValue,
        FacetsResponse, GetTraceResponse, GraphEdge, GraphNode, HeatmapStep, HistogramResponse,
        HistogramSeries, ListOperationsResponse, ListServicesResponse, LogHit, OffsetRange,
        OperationInfo, PartitionStatus, Position, QuarantinedEnvelope, Rate, RateSeries, RateStep,
        RatesResponse, RecordKey, ResourceEntry, ScopeEntry, SearchLogsResponse,
        SearchTracesResponse, ServiceCount, ServiceGraphResponse, ServiceInfo, Signal,
        StatusResponse, StorageStatus, StoreStatus, TailResponse, TraceCursor, TraceSummary,
        TransportStatus,
    },
};

use super::{canned::Canned, html, otlp};

pub const SCRIPT: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}</title></textarea>\u{0}\u{202e}";
pub const ADDRESS: &str = "javascript:alert(1)";

pub fn assert_harmless(page: &str, what: &str) {
    let lower = page.to_lowercase();
    for raw in [
        "<script>",
        "<img",
        "</textarea",
        "\"'>",
        "onerror=alert(2)>",
    ] {
        assert!(!lower.contains(raw), "{raw} in {what}");
    }
    assert_eq!(
        lower.matches("<script").count(),
        lower.matches("<script src=\"/static/").count(),
        "only our own scripts in {what}"
    );
    assert_eq!(
        lower.matches("</title>").count() - lower.matches("<title>").count(),
        0,
        "{what}"
    );
    for name in ["href", "src", "action", "formaction", "data-live"] {
        for address in html::attributes(page, name) {
            assert!(
                address.is_empty()
                    || address.starts_with(['/', '?', '#']) && !address.starts_with("//"),
                "{name}={address} in {what}"
            );
        }
    }
    for attribute in [" style=", " onclick=", " onload=", " onmouseover="] {
        assert!(!lower.contains(attribute), "{attribute} in {what}");
    }
}

pub fn text(text: &str) -> Option<AnyValue> {
    Some(AnyValue {
        value: Some(Value::StringValue(text.to_owned())),
    })
}

/// An attribute of each type that holds text.
pub fn attributes() -> Vec<KeyValue> {
    let pair = |key: &str, value: Value| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let nested = KeyValueList {
        values: vec![pair(SCRIPT, Value::StringValue(SCRIPT.to_owned()))],
    };
    vec![
        pair("service.name", Value::StringValue(SCRIPT.to_owned())),
        pair(SCRIPT, Value::StringValue(SCRIPT.to_owned())),
        pair("address", Value::StringValue(ADDRESS.to_owned())),
        pair(
            "list",
            Value::ArrayValue(ArrayValue {
                values: text(SCRIPT).into_iter().collect(),
            }),
        ),
        pair("map", Value::KvlistValue(nested)),
        pair(
            "exception.stacktrace",
            Value::StringValue(SCRIPT.to_owned()),
        ),
        pair(
            "bytes",
            Value::BytesValue(SCRIPT.as_bytes().to_vec().into()),
        ),
    ]
}

pub fn resource() -> Option<Resource> {
    Some(Resource {
        attributes: attributes(),
        ..Resource::default()
    })
}

pub fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: SCRIPT.to_owned(),
        version: SCRIPT.to_owned(),
        attributes: attributes(),
        ..InstrumentationScope::default()
    })
}

pub fn record() -> LogRecord {
    LogRecord {
        severity_text: SCRIPT.to_owned(),
        body: text(SCRIPT),
        attributes: attributes(),
        event_name: SCRIPT.to_owned(),
        ..otlp::record(1, 1, 5, 17, "")
    }
}

pub fn span(number: u8, parent: u8) -> Span {
    Span {
        name: SCRIPT.to_owned(),
        trace_state: SCRIPT.to_owned(),
        attributes: attributes(),
        events: vec![Event {
            name: SCRIPT.to_owned(),
            attributes: attributes(),
            time_unix_nano: otlp::epoch(),
            ..Event::default()
        }],
        links: vec![Link {
            trace_id: vec![1; 16].into(),
            trace_state: SCRIPT.to_owned(),
            attributes: attributes(),
            ..Link::default()
        }],
        status: Some(Status {
            message: SCRIPT.to_owned(),
            code: StatusCode::Error.into(),
        }),
        ..otlp::span(1, number, parent, (0, 10))
    }
}

pub fn coverage() -> Option<Coverage> {
    Some(Coverage {
        partial: true,
        reasons: vec![SCRIPT.to_owned()],
        ..Coverage::default()
    })
}

pub fn hits() -> (Vec<LogHit>, Vec<ResourceEntry>, Vec<ScopeEntry>) {
    let hit = |index| LogHit {
        key: Some(RecordKey {
            index,
            ..RecordKey::default()
        }),
        record: Some(record()),
        // The second points outside of the tables.
        resource: index,
        scope: index,
    };
    let resource = ResourceEntry {
        resource: resource(),
        schema_url: SCRIPT.to_owned(),
        service: SCRIPT.to_owned(),
    };
    let scope = ScopeEntry {
        scope: scope(),
        schema_url: SCRIPT.to_owned(),
    };
    (vec![hit(0), hit(1)], vec![resource], vec![scope])
}

pub fn search() -> (SearchTracesResponse, SearchLogsResponse) {
    let summary = TraceSummary {
        trace_id: vec![1; 16].into(),
        root_service: SCRIPT.to_owned(),
        root_name: SCRIPT.to_owned(),
        root_status: SCRIPT.to_owned(),
        error_count: 1,
        span_count: 2,
        orphan_count: 1,
        services: vec![ServiceCount {
            service: SCRIPT.to_owned(),
            span_count: 2,
            error_count: 1,
        }],
        ..TraceSummary::default()
    };
    let named_by_address = TraceSummary {
        root_name: ADDRESS.to_owned(),
        root_service: ADDRESS.to_owned(),
        ..summary.clone()
    };
    let traces = SearchTracesResponse {
        traces: vec![summary, named_by_address],
        next: Some(TraceCursor {
            start_unix_nano: 1,
            trace_id: SCRIPT.as_bytes().to_vec().into(),
        }),
        coverage: coverage(),
    };
    let (hits, resources, scopes) = hits();
    let logs = SearchLogsResponse {
        hits,
        resources,
        scopes,
        next: Some(RecordKey::default()),
        coverage: coverage(),
    };
    (traces, logs)
}

pub fn status() -> StatusResponse {
    let script = || SCRIPT.to_owned();
    StatusResponse {
        name: script(),
        version: script(),
        health: script(),
        transport: Some(TransportStatus {
            kind: script(),
            log_id: script(),
            durability: script(),
            health: script(),
            when_full: script(),
            bytes: Some(u64::MAX),
            bytes_max: Some(1),
            ..TransportStatus::default()
        }),
        partitions: vec![PartitionStatus {
            health: script(),
            lost_offsets: 3,
            gaps: vec![OffsetRange { first: 1, end: 4 }],
            ..PartitionStatus::default()
        }],
        stores: vec![StoreStatus {
            signal: Signal::Logs.into(),
            rows: 1,
            newest_unix_nano: u64::MAX,
            ..StoreStatus::default()
        }],
        quarantine: vec![QuarantinedEnvelope {
            position: Some(Position {
                log_id: script(),
                ..Position::default()
            }),
            reason: script(),
            batch_id: script(),
            ..QuarantinedEnvelope::default()
        }],
        storage: Some(StorageStatus {
            directory: script(),
            health: script(),
            disk_bytes: u64::MAX,
            failed_reads: 1,
            disk_free_bytes: Some(0),
            ..StorageStatus::default()
        }),
        replaying: script(),
        faults: vec![script()],
        consumers: vec![ConsumerStatus {
            address: script(),
            health: script(),
            replicas: vec![script()],
            role: ConsumerRole::LeftOut.into(),
            ..ConsumerStatus::default()
        }],
        ..StatusResponse::default()
    }
}

/// Rates and calls with names that attack, and numbers that do not fit together.
fn rates() -> (RatesResponse, ServiceGraphResponse) {
    let rate = || {
        Some(Rate {
            count: 2,
            errors: u64::MAX,
            sum_nano: u64::MAX,
            quantiles_nano: vec![u64::MAX],
            ..Rate::default()
        })
    };
    let series = |service: &str| RateSeries {
        service: service.to_owned(),
        operation: Some(SCRIPT.to_owned()),
        kind: Some(99),
        total: rate(),
        steps: vec![RateStep {
            start_unix_nano: u64::MAX,
            rate: rate(),
        }],
    };
    let node = |kind: i32, name: &str| {
        Some(GraphNode {
            kind,
            name: name.to_owned(),
        })
    };
    let edge = |kind: i32| GraphEdge {
        caller: node(1, SCRIPT),
        callee: node(kind, SCRIPT),
        calls: rate(),
    };
    let rates = RatesResponse {
        series: vec![series(SCRIPT), series(ADDRESS)],
        coverage: coverage(),
        ..RatesResponse::default()
    };
    let graph = ServiceGraphResponse {
        edges: (0..6).chain([99]).map(edge).collect(),
        unresolved: u64::MAX,
        coverage: coverage(),
        ..ServiceGraphResponse::default()
    };
    (rates, graph)
}

/// Counts that do not fit together, around now.
fn heatmap() -> DurationHeatmapResponse {
    let step = |back: u64| HeatmapStep {
        start_unix_nano: otlp::epoch() - back,
        first_bucket: 200,
        counts: vec![1, u64::MAX, u64::MAX],
        errors: vec![u64::MAX],
    };
    DurationHeatmapResponse {
        steps: vec![step(0), step(1), step(0)],
        buckets_per_octave: 7,
        edges_nano: vec![u64::MAX, 0],
        coverage: coverage(),
        ..DurationHeatmapResponse::default()
    }
}

/// A consumer whose every text is an attack.
pub fn hostile() -> Canned {
    let script = || SCRIPT.to_owned();
    let (traces, logs) = search();
    let (rates, graph) = rates();
    let (hits, resources, scopes) = hits();
    let service = |service: &str| ServiceInfo {
        service: service.to_owned(),
        span_count: 1,
        error_span_count: 1,
        error_log_count: 1,
        ..ServiceInfo::default()
    };
    Canned {
        services: ListServicesResponse {
            services: vec![service(SCRIPT), service(ADDRESS)],
            coverage: coverage(),
        },
        operations: ListOperationsResponse {
            operations: vec![OperationInfo {
                service: script(),
                name: script(),
                kind: 99,
                span_count: 1,
            }],
            coverage: coverage(),
        },
        traces,
        logs,
        histogram: HistogramResponse {
            series: vec![HistogramSeries {
                group: script(),
                counts: vec![1, 2, u64::from(u32::MAX)],
            }],
            step_nano: 0,
            ..HistogramResponse::default()
        },
        heatmap: heatmap(),
        facets: FacetsResponse {
            coverage: coverage(),
            facets: [SCRIPT, "a.b", ADDRESS]
                .into_iter()
                .map(|field| Facet {
                    field: field.to_owned(),
                    values: vec![
                        FacetValue {
                            value: script(),
                            count: 1,
                        },
                        FacetValue {
                            value: ADDRESS.to_owned(),
                            count: 1,
                        },
                    ],
                    other_count: 1,
                })
                .collect(),
        },
        status: status(),
        pieces: vec![GetTraceResponse {
            resource_spans: vec![ResourceSpans {
                resource: resource(),
                schema_url: script(),
                scope_spans: vec![ScopeSpans {
                    scope: scope(),
                    schema_url: script(),
                    spans: vec![span(1, 0), span(2, 1), span(3, 9)],
                }],
            }],
            resource_logs: vec![ResourceLogs {
                resource: resource(),
                schema_url: script(),
                scope_logs: vec![ScopeLogs {
                    scope: scope(),
                    schema_url: script(),
                    log_records: vec![record()],
                }],
            }],
            coverage: coverage(),
            ..GetTraceResponse::default()
        }],
        tail: vec![TailResponse {
            hits,
            resources,
            scopes,
            ..TailResponse::default()
        }],
        rates,
        graph,
        ..Canned::default()
    }
}
