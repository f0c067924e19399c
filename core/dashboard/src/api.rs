//! The JSON interface: the same questions as the pages, for programs.
//!
//! | address | parameters | answer |
//! |---|---|---|
//! | `/api/v1/traces` | `q`, `service`, `min`, `max`, `order`, `limit`, `after`, range | summaries, the next page's `after`, coverage |
//! | `/api/v1/traces/{id}` | | OTLP/JSON: `resourceSpans` and `resourceLogs`, and coverage |
//! | `/api/v1/logs` | `q`, `service`, `level`, `limit`, `after`, range | OTLP/JSON: `resourceLogs`, a group for each record; `next`, coverage |
//! | `/api/v1/services` | | services with their counts |
//! | `/api/v1/operations` | `service` | span names and kinds |
//! | `/api/v1/histogram` | `signal` (`spans`, `logs`), `q`, range, `step` | counts in steps of time |
//! | `/api/v1/status` | | transport, partitions, stores |
//!
//! The range is `range` (`15m`, `6h`, `7d`, `all`; an hour when not given) or `from` and `to` (RFC 3339). As in
//! OTLP/JSON, 64-bit numbers are decimal texts and ids are hexadecimal digits. An error is `{"error": {"status",
//! "message", "advice"}}` with the status of the reply: 400 for a parameter or a query that cannot be read, 404 for what
//! is not there, 503 with `Retry-After` while the consumer is away, 504 when it takes too long.

use http::StatusCode;
use log_tracer_proto::{
    json,
    otlp::{
        logs::{ResourceLogs, ScopeLogs},
        trace::span::SpanKind,
    },
    v1::{
        Coverage, HistogramGroup, HistogramRequest, ListOperationsRequest, SearchLogsResponse,
        Signal, StatusResponse, StorageStatus, TimeRange, TraceSummary,
    },
};
use log_tracer_query::parse;
use serde_json::{Value, json};
use warp::reply::Response;

use crate::{
    app::App,
    charts::histogram::step,
    clock,
    fault::Fault,
    lines::{hex, key_param},
    pages::{logs, trace, traces},
    params::Params,
    range::Range,
    reply,
    search::{compose, service_term},
    trace::fields,
    units::parse_duration,
};

/// Steps of a histogram at most.
const STEPS_MAX: u64 = 2_000;

/// Answers what stands below `/api/v1/`.
pub(crate) async fn answer(app: &App, path: &str, params: &Params) -> Result<Response, Fault> {
    let body = match path {
        "traces" => search_traces(app, params).await?,
        "logs" => return search_logs(app, params).await,
        "services" => services(app).await?,
        "operations" => operations(app, params).await?,
        "histogram" => histogram(app, params).await?,
        "status" => status(&app.ask.status().await?),
        _ => match path.strip_prefix("traces/") {
            Some(id) => return trace::whole_json(app, id).await,
            None => return Err(Fault::missing("there is no such address in the interface")),
        },
    };
    Ok(reply::json(StatusCode::OK, &body))
}

async fn search_traces(app: &App, params: &Params) -> Result<Value, Fault> {
    let search = traces::Search::read(params)?;
    check(&search.q)?;
    let found = app.ask.search_traces(search.request(clock::now())).await?;
    Ok(json!({
        "traces": found.traces.iter().map(summary).collect::<Vec<_>>(),
        "next": found.next.as_ref().map(traces::cursor_param),
        "coverage": coverage(found.coverage.as_ref()),
    }))
}

fn summary(trace: &TraceSummary) -> Value {
    let services = trace.services.iter().map(|service| {
        json!({"service": service.service, "spans": service.span_count, "errors": service.error_count})
    });
    json!({
        "traceId": hex(&trace.trace_id),
        "rootService": trace.root_service,
        "rootName": trace.root_name,
        "rootStatus": trace.root_status,
        "startTimeUnixNano": trace.start_unix_nano.to_string(),
        "durationNano": trace.duration_nano.to_string(),
        "spans": trace.span_count,
        "errors": trace.error_count,
        "orphans": trace.orphan_count,
        "logs": trace.log_count,
        "matched": trace.matched_count,
        "services": services.collect::<Vec<_>>(),
    })
}

async fn search_logs(app: &App, params: &Params) -> Result<Response, Fault> {
    let search = logs::Search::read(params)?;
    check(&search.q)?;
    let mut found = app.ask.search_logs(search.request(clock::now())).await?;
    let next = serde_json::Value::from(found.next.as_ref().map(key_param));
    let coverage = coverage(found.coverage.as_ref());
    let logs = json::logs_to_json(&in_groups(&mut found));
    // The exact OTLP/JSON of the records, with two fields after them.
    let logs = logs.strip_suffix('}').unwrap_or(&logs);
    let comma = if logs.ends_with('{') { "" } else { "," };
    Ok(reply::json_text(format!(
        "{logs}{comma}\"next\":{next},\"coverage\":{coverage}}}\n"
    )))
}

/// Each record in a group of its own, so that the order of the answer is kept.
fn in_groups(found: &mut SearchLogsResponse) -> Vec<ResourceLogs> {
    let hits = std::mem::take(&mut found.hits);
    hits.into_iter()
        .map(|hit| {
            let resource = found
                .resources
                .get(hit.resource as usize)
                .cloned()
                .unwrap_or_default();
            let scope = found
                .scopes
                .get(hit.scope as usize)
                .cloned()
                .unwrap_or_default();
            ResourceLogs {
                resource: resource.resource,
                schema_url: resource.schema_url,
                scope_logs: vec![ScopeLogs {
                    scope: scope.scope,
                    schema_url: scope.schema_url,
                    log_records: hit.record.into_iter().collect(),
                }],
            }
        })
        .collect()
}

async fn services(app: &App) -> Result<Value, Fault> {
    let services = app.ask.services().await?;
    let services = services.iter().map(|service| {
        json!({
            "service": service.service,
            "spans": service.span_count.to_string(),
            "logs": service.log_count.to_string(),
            "errorSpans": service.error_span_count.to_string(),
            "errorLogs": service.error_log_count.to_string(),
            "lastSeenUnixNano": service.last_seen_unix_nano.to_string(),
        })
    });
    Ok(json!({ "services": services.collect::<Vec<_>>() }))
}

async fn operations(app: &App, params: &Params) -> Result<Value, Fault> {
    let request = ListOperationsRequest {
        service: params.text("service"),
    };
    let found = app.ask.operations(request).await?;
    let operations = found.operations.iter().map(|operation| {
        json!({
            "service": operation.service,
            "name": operation.name,
            "kind": fields::kind(SpanKind::try_from(operation.kind).unwrap_or_default()),
            "spans": operation.span_count.to_string(),
        })
    });
    Ok(json!({ "operations": operations.collect::<Vec<_>>() }))
}

async fn histogram(app: &App, params: &Params) -> Result<Value, Fault> {
    let signal = params.read("signal", |text| match text {
        "spans" => Ok(Signal::Spans),
        "logs" => Ok(Signal::Logs),
        _ => Err(format!("`{text}` is neither spans nor logs")),
    })?;
    let signal = signal.unwrap_or(Signal::Logs);
    let q = params.text("q");
    check(&q)?;
    let range = Range::read(params)?;
    let now = clock::now();
    let kept = match range {
        Range::Last(_) => None,
        _ => logs::kept(&app.ask.status().await?, signal),
    };
    let (start, end) = range.closed(now, kept);
    let step = params
        .read("step", parse_duration)?
        .unwrap_or_else(|| step(start, end));
    if step == 0 || end.saturating_sub(start).div_ceil(step) > STEPS_MAX {
        return Err(Fault::input(format!(
            "step: the range would have more than {STEPS_MAX} steps"
        )));
    }
    let request = HistogramRequest {
        signal: signal.into(),
        query: compose(&q, &[service_term(&params.text("service"))]),
        range: Some(TimeRange {
            start_unix_nano: start,
            end_unix_nano: end,
        }),
        step_nano: step,
        group: HistogramGroup::Level.into(),
    };
    let found = app.ask.histogram(request).await?;
    Ok(json!({
        "startUnixNano": found.start_unix_nano.to_string(),
        "stepNano": found.step_nano.to_string(),
        "series": found.series.iter().map(|series| json!({
            "group": series.group,
            "counts": series.counts.iter().map(u64::to_string).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "coverage": coverage(found.coverage.as_ref()),
    }))
}

fn status(status: &StatusResponse) -> Value {
    let transport = status.transport.clone().unwrap_or_default();
    json!({
        "name": status.name,
        "version": status.version,
        "startedUnixNano": status.started_unix_nano.to_string(),
        "health": status.health,
        "transport": {
            "kind": transport.kind,
            "logId": transport.log_id,
            "durability": transport.durability,
            "survivesProcessCrash": transport.survives_process_crash,
            "survivesOsCrash": transport.survives_os_crash,
            "survivesNodeLoss": transport.survives_node_loss,
            "health": transport.health,
            "partitions": transport.partitions,
            "envelopeBytesMax": transport.envelope_bytes_max.to_string(),
            "segments": transport.segments.map(|number| number.to_string()),
            "bytes": transport.bytes.map(|number| number.to_string()),
            "bytesMax": transport.bytes_max.map(|number| number.to_string()),
            "diskFreeBytes": transport.disk_free_bytes.map(|number| number.to_string()),
        },
        "replaying": status.replaying,
        "storage": status.storage.as_ref().map(storage),
        "partitions": status.partitions.iter().map(|partition| json!({
            "partition": partition.partition,
            "health": partition.health,
            "appliedNext": partition.applied_next.to_string(),
            "logStart": partition.log_start.to_string(),
            "logEnd": partition.log_end.to_string(),
            "logBytes": partition.log_bytes.to_string(),
            "lostOffsets": partition.lost_offsets.to_string(),
            "durableNext": partition.durable_next.map(|next| next.to_string()),
        })).collect::<Vec<_>>(),
        "stores": status.stores.iter().map(|store| json!({
            "signal": match store.signal() {
                Signal::Spans => "spans",
                Signal::Logs => "logs",
                Signal::Unspecified => "unspecified",
            },
            "rows": store.rows.to_string(),
            "bytes": store.bytes.to_string(),
            "bytesMax": store.bytes_max.to_string(),
            "oldestUnixNano": store.oldest_unix_nano.to_string(),
            "newestUnixNano": store.newest_unix_nano.to_string(),
            "appliedRows": store.applied_rows.to_string(),
            "evictedRows": store.evicted_rows.to_string(),
            "diskRows": store.disk_rows.to_string(),
            "diskBytes": store.disk_bytes.to_string(),
            "blocks": store.blocks.to_string(),
        })).collect::<Vec<_>>(),
        "duplicateEnvelopes": status.duplicate_envelopes.to_string(),
        "quarantinedEnvelopes": status.quarantined_envelopes.to_string(),
    })
}

fn storage(storage: &StorageStatus) -> Value {
    json!({
        "directory": storage.directory,
        "diskBytes": storage.disk_bytes.to_string(),
        "diskBytesMax": storage.disk_bytes_max.to_string(),
        "ageMaxMillis": storage.age_max_ms.to_string(),
        "diskFreeBytes": storage.disk_free_bytes.map(|number| number.to_string()),
        "flushesWaiting": storage.flushes_waiting,
        "flushes": storage.flushes.to_string(),
        "merges": storage.merges.to_string(),
        "expiredRowsByAge": storage.expired_rows_by_age.to_string(),
        "expiredRowsByBytes": storage.expired_rows_by_bytes.to_string(),
        "lastFlushUnixNano": storage.last_flush_unix_nano.to_string(),
        "failedReads": storage.failed_reads.to_string(),
        "health": storage.health,
    })
}

/// How much of the question an answer covers.
pub(crate) fn coverage(coverage: Option<&Coverage>) -> Value {
    let coverage = coverage.cloned().unwrap_or_default();
    json!({
        "partial": coverage.partial,
        "reasons": coverage.reasons,
        "scanned": coverage.scanned.to_string(),
        "matched": coverage.matched.to_string(),
        "tookMicros": coverage.took_us.to_string(),
    })
}

fn check(q: &str) -> Result<(), Fault> {
    parse(q)
        .map(|_| ())
        .map_err(|error| Fault::input(format!("q: {error}")))
}
