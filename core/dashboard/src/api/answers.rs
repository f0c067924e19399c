//! Answers about records, services and the pipeline.

use log_tracer_proto::{
    json,
    otlp::trace::span::SpanKind,
    v1::{
        ConsumerRole, ConsumerStatus, FacetsRequest, HistogramGroup, HistogramRequest,
        ListOperationsRequest, QuarantinedEnvelope, Signal, StatusResponse, StorageStatus,
        TimeRange, TraceSummary,
    },
};
use serde_json::{Value, json};
use warp::reply::Response;

use super::{Call, check, coverage, covered, export, json_answer, signal};
use crate::{
    charts::histogram::step,
    clock,
    counting::{self, Counting},
    fault::Fault,
    lines::{hex, key_param},
    pages::{logs, trace, traces},
    range::Range,
    reply,
    search::{compose, service_term},
    trace::fields,
    units::parse_duration,
};

/// Steps of a histogram at most.
const STEPS_MAX: u64 = 2_000;

/// Values of a facet at most.
const VALUES_MAX: u64 = 1_000;

/// Traces of an answer when it is not said how many; a page has fewer, since it has to be light.
const TRACES_DEFAULT: u32 = 50;

/// Traces that match.
pub(super) async fn search_traces(call: &Call<'_>) -> Result<Response, Fault> {
    let mut search = traces::Search::read(call.params)?;
    if call.params.get("limit").is_none() {
        search.limit = TRACES_DEFAULT;
    }
    check(&search.q)?;
    let found = call
        .app
        .ask
        .search_traces(search.request(clock::now()))
        .await?;
    json_answer(json!({
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

/// More than a page shows, as programs have room.
const LOGS_DEFAULT: u32 = 100;

/// Log records that match.
pub(super) async fn search_logs(call: &Call<'_>) -> Result<Response, Fault> {
    let mut search = logs::Search::read(call.params)?;
    if call.params.get("limit").is_none() {
        search.limit = LOGS_DEFAULT;
    }
    check(&search.q)?;
    let mut found = call
        .app
        .ask
        .search_logs(search.request(clock::now()))
        .await?;
    let next = serde_json::Value::from(found.next.as_ref().map(key_param));
    let coverage = coverage(found.coverage.as_ref());
    let groups = export::log_groups(
        std::mem::take(&mut found.hits),
        &found.resources,
        &found.scopes,
    );
    let logs = json::logs_to_json(&groups);
    // The exact OTLP/JSON of the records, with two fields after them.
    let logs = logs.strip_suffix('}').unwrap_or(&logs);
    let comma = if logs.ends_with('{') { "" } else { "," };
    Ok(reply::json_text(format!(
        "{logs}{comma}\"next\":{next},\"coverage\":{coverage}}}\n"
    )))
}

/// What every service sent.
pub(super) async fn services(call: &Call<'_>) -> Result<Response, Fault> {
    let services = call.app.ask.services().await?;
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
    json_answer(json!({ "services": services.collect::<Vec<_>>() }))
}

/// Names and kinds of spans.
pub(super) async fn operations(call: &Call<'_>) -> Result<Response, Fault> {
    let request = ListOperationsRequest {
        service: call.params.text("service"),
    };
    let found = call.app.ask.operations(request).await?;
    let operations = found.operations.iter().map(|operation| {
        json!({
            "service": operation.service,
            "name": operation.name,
            "kind": fields::kind(SpanKind::try_from(operation.kind).unwrap_or_default()),
            "spans": operation.span_count.to_string(),
        })
    });
    json_answer(json!({ "operations": operations.collect::<Vec<_>>() }))
}

/// How many records match, in steps of time.
pub(super) async fn histogram(call: &Call<'_>) -> Result<Response, Fault> {
    let signal = signal(call.params)?;
    let q = call.params.text("q");
    check(&q)?;
    let range = Range::read(call.params)?;
    let now = clock::now();
    let kept = match range {
        Range::Last(_) => None,
        _ => logs::kept(&call.app.ask.status().await?, signal),
    };
    let (start, end) = range.closed(now, kept);
    let step = call
        .params
        .read("step", parse_duration)?
        .unwrap_or_else(|| step(start, end));
    if step == 0 || end.saturating_sub(start).div_ceil(step) > STEPS_MAX {
        return Err(Fault::input(format!(
            "step: the range would have more than {STEPS_MAX} steps"
        )));
    }
    let group = call.params.read("group", |text| match text {
        "level" => Ok(HistogramGroup::Level),
        "service" => Ok(HistogramGroup::Service),
        "none" => Ok(HistogramGroup::None),
        _ => Err(format!("`{text}` is not one of level, service, none")),
    })?;
    let request = HistogramRequest {
        signal: signal.into(),
        query: compose(&q, &[service_term(&call.params.text("service"))]),
        range: Some(TimeRange {
            start_unix_nano: start,
            end_unix_nano: end,
        }),
        step_nano: step,
        group: group.unwrap_or(HistogramGroup::Level).into(),
        records_max: Counting::read(call.params)?
            .records_max(call.app.config.histogram_records_max),
    };
    let found = call.app.ask.histogram(request).await?;
    let estimated = counting::estimated(&found);
    json_answer(json!({
        "startUnixNano": found.start_unix_nano.to_string(),
        "stepNano": found.step_nano.to_string(),
        "series": found.series.iter().map(|series| json!({
            "group": series.group,
            "counts": series.counts.iter().map(u64::to_string).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "countError": found.count_error.to_string(),
        "coverage": covered(found.coverage, estimated),
    }))
}

/// One trace with its logs.
pub(super) async fn trace(call: &Call<'_>) -> Result<Response, Fault> {
    trace::whole_json(call.app, call.id).await
}

/// The spans of a trace as a file.
pub(super) async fn trace_file(call: &Call<'_>) -> Result<Response, Fault> {
    trace::spans_json(call.app, call.params, call.id).await
}

/// The most frequent values of fields.
pub(super) async fn facets(call: &Call<'_>) -> Result<Response, Fault> {
    let q = call.params.text("q");
    check(&q)?;
    let fields = call.params.text("fields");
    let values = call.params.number("values", 1, VALUES_MAX)?;
    let request = FacetsRequest {
        signal: signal(call.params)?.into(),
        query: compose(&q, &[service_term(&call.params.text("service"))]),
        range: Some(Range::read(call.params)?.bounds(clock::now())),
        fields: fields
            .split(',')
            .map(str::trim)
            .filter(|field| !field.is_empty())
            .map(str::to_owned)
            .collect(),
        // At most VALUES_MAX, so it fits.
        values_max: values.unwrap_or(0) as u32,
        records_max: Counting::read(call.params)?.records_max(call.app.config.facet_records_max),
    };
    let found = call.app.ask.facets(request).await?;
    let newest_only = counting::newest_only(found.coverage.as_ref());
    let facets = found.facets.iter().map(|facet| {
        let values = facet
            .values
            .iter()
            .map(|value| json!({"value": value.value, "count": value.count.to_string()}));
        json!({
            "field": facet.field,
            "values": values.collect::<Vec<_>>(),
            "otherCount": facet.other_count.to_string(),
        })
    });
    json_answer(json!({
        "facets": facets.collect::<Vec<_>>(),
        "coverage": covered(found.coverage, newest_only),
    }))
}

/// The consumer, its store and its transport.
pub(super) async fn status(call: &Call<'_>) -> Result<Response, Fault> {
    json_answer(status_json(&call.app.ask.status().await?))
}

fn status_json(status: &StatusResponse) -> Value {
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
            "diskReserveBytes": transport.disk_reserve_bytes.map(|number| number.to_string()),
            "whenFull": transport.when_full,
            "queuedBytes": transport.queued_bytes.map(|number| number.to_string()),
            "queuedBytesMax": transport.queued_bytes_max.map(|number| number.to_string()),
            "retentionWaits": transport.retention_waits,
        },
        "replaying": status.replaying,
        "faults": status.faults,
        "formerPartitions": status.former_partitions,
        "consumers": status.consumers.iter().map(member).collect::<Vec<_>>(),
        "storage": status.storage.as_ref().map(storage),
        "partitions": status.partitions.iter().map(|partition| json!({
            "partition": partition.partition,
            "health": partition.health,
            "appliedNext": partition.applied_next.to_string(),
            "logStart": partition.log_start.to_string(),
            "logEnd": partition.log_end.to_string(),
            "logBytes": partition.log_bytes.to_string(),
            "lostOffsets": partition.lost_offsets.to_string(),
            "firstApplied": partition.first_applied.map(|first| first.to_string()),
            "durableNext": partition.durable_next.map(|next| next.to_string()),
            "committedNext": partition.committed_next.map(|next| next.to_string()),
            "gaps": partition.gaps.iter().map(|gap| json!({
                "first": gap.first.to_string(),
                "end": gap.end.to_string(),
            })).collect::<Vec<_>>(),
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
        "processBytes": status.process_bytes.map(|number| number.to_string()),
        "processBytesMax": status.process_bytes_max.map(|number| number.to_string()),
        "appliedBytes": status.applied_bytes.to_string(),
        "runningQueries": status.running_queries,
        "runningQueriesMax": status.running_queries_max,
        "tailReaders": status.tail_readers,
        "duplicateEnvelopes": status.duplicate_envelopes.to_string(),
        "quarantinedEnvelopes": status.quarantined_envelopes.to_string(),
        "quarantine": status.quarantine.iter().map(quarantined).collect::<Vec<_>>(),
    })
}

/// One of several consumers that are asked as one.
fn member(consumer: &ConsumerStatus) -> Value {
    let role = match consumer.role() {
        ConsumerRole::Unspecified => "unspecified",
        ConsumerRole::Asked => "asked",
        ConsumerRole::Replica => "replica",
        ConsumerRole::LeftOut => "leftOut",
        ConsumerRole::Away => "away",
    };
    json!({
        "address": consumer.address,
        "name": consumer.status.as_ref().map(|status| &status.name),
        "role": role,
        "health": consumer.health,
        "lag": consumer.lag.to_string(),
        "replicas": consumer.replicas,
        "latencyMicros": consumer.latency_us.to_string(),
        "statusUnixNano": consumer.status_unix_nano.to_string(),
    })
}

fn quarantined(envelope: &QuarantinedEnvelope) -> Value {
    let position = envelope.position.clone().unwrap_or_default();
    json!({
        "logId": position.log_id,
        "partition": position.partition,
        "offset": position.offset.to_string(),
        "reason": envelope.reason,
        "bytes": envelope.bytes.to_string(),
        "records": envelope.records,
        "receivedUnixNano": envelope.received_unix_nano.to_string(),
        "kept": envelope.kept,
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
        "diskReserveBytes": storage.disk_reserve_bytes.to_string(),
        "seenBatches": storage.seen_batches.to_string(),
        "health": storage.health,
    })
}
