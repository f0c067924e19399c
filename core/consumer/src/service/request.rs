//! Requests as questions to the store; what is wrong with one is said by field.

use log_tracer_proto::v1;
use log_tracer_query::{Field, Query};
use log_tracer_record::TraceId;
use log_tracer_store::{
    FacetSpec, HeatmapError, HeatmapOf, HeatmapSpec, HistogramError, HistogramGroup, HistogramSpec,
    LogSearch, RecordKey, Scale, Signal, TimeRange, TraceCursor, TraceLimits, TraceOrder,
    TraceSearch, TraceSelection,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::QueryConfig;

/// A status travels in headers, which have a limit of their own.
const DESCRIPTION_CHARS_MAX: usize = 1_000;

/// INVALID_ARGUMENT that names the field.
pub(crate) fn invalid(field: &str, description: impl Into<String>) -> Status {
    let description = clip(description.into());
    Status::with_error_details(
        Code::InvalidArgument,
        format!("{field}: {description}"),
        ErrorDetails::with_bad_request_violation(field, description),
    )
}

/// A query; its error points at the column.
pub(crate) fn query(text: &str) -> Result<Query, Status> {
    log_tracer_query::parse(text).map_err(|error| {
        Status::with_error_details(
            Code::InvalidArgument,
            clip(format!("query: {error}")),
            ErrorDetails::with_bad_request_violation("query", clip(error.render())),
        )
    })
}

pub(crate) fn trace_id(field: &str, bytes: &[u8]) -> Result<TraceId, Status> {
    TraceId::from_bytes(bytes).ok_or_else(|| {
        let got = match bytes.len() {
            16 => "16 bytes of zero".to_owned(),
            other => format!("{other} bytes"),
        };
        invalid(
            field,
            format!("expected 16 bytes that are not all zero, got {got}"),
        )
    })
}

pub(crate) fn trace_limits(spans_max: u32, logs_max: u32, config: &QueryConfig) -> TraceLimits {
    let (spans, logs) = (config.trace_spans_max, config.trace_logs_max);
    TraceLimits {
        spans_max: limit(spans_max, spans, spans),
        logs_max: limit(logs_max, logs, logs),
    }
}

pub(crate) fn selection(only: &v1::TraceSelection) -> Result<TraceSelection, Status> {
    let (ids, rest) = only.span_ids.as_chunks::<8>();
    if !rest.is_empty() {
        let bytes = only.span_ids.len();
        return Err(invalid(
            "only.span_ids",
            format!("expected ids of 8 bytes, got {bytes} bytes"),
        ));
    }
    Ok(TraceSelection {
        span_ids: ids.iter().copied().collect(),
        log_times: only.log_times_unix_nano.iter().copied().collect(),
        only_events: only.only_events,
    })
}

pub(crate) fn trace_search(
    request: &v1::SearchTracesRequest,
    config: &QueryConfig,
) -> Result<TraceSearch, Status> {
    let (min, max) = (request.duration_min_nano, request.duration_max_nano);
    if max != 0 && min > max {
        return Err(invalid(
            "duration_max_nano",
            format!("expected at least duration_min_nano, {min}, got {max}"),
        ));
    }
    Ok(TraceSearch {
        query: query(&request.query)?,
        range: range(request.range)?,
        duration_min_nano: min,
        duration_max_nano: (max != 0).then_some(max),
        order: trace_order(request)?,
        limit: limit(request.limit, config.traces_default, config.traces_max),
    })
}

fn trace_order(request: &v1::SearchTracesRequest) -> Result<TraceOrder, Status> {
    let order = v1::TraceOrder::try_from(request.order)
        .map_err(|_| invalid("order", format!("{} is no order", request.order)))?;
    let after = request.after.as_ref().map(trace_cursor).transpose()?;
    if order != v1::TraceOrder::Newest && after.is_some() {
        return Err(invalid(
            "after",
            "only the order TRACE_ORDER_NEWEST can be paged",
        ));
    }
    Ok(match order {
        v1::TraceOrder::Newest => TraceOrder::Newest { after },
        v1::TraceOrder::Longest => TraceOrder::Longest,
        v1::TraceOrder::MostSpans => TraceOrder::MostSpans,
        v1::TraceOrder::MostErrors => TraceOrder::MostErrors,
    })
}

fn trace_cursor(cursor: &v1::TraceCursor) -> Result<TraceCursor, Status> {
    Ok(TraceCursor {
        start_unix_nano: cursor.start_unix_nano,
        trace_id: trace_id("after.trace_id", &cursor.trace_id)?,
    })
}

pub(crate) fn log_search(
    request: &v1::SearchLogsRequest,
    config: &QueryConfig,
) -> Result<LogSearch, Status> {
    Ok(LogSearch {
        query: query(&request.query)?,
        range: range(request.range)?,
        limit: limit(request.limit, config.logs_default, config.logs_max),
        bytes_max: config.answer_bytes_max as u64,
        after: request.after.as_ref().map(record_key).transpose()?,
        oldest_first: request.oldest_first,
    })
}

pub(crate) fn record_key(key: &v1::RecordKey) -> Result<RecordKey, Status> {
    let partition = u16::try_from(key.partition).map_err(|_| {
        invalid(
            "after.partition",
            format!("expected at most {}, got {}", u16::MAX, key.partition),
        )
    })?;
    Ok(RecordKey {
        time_unix_nano: key.time_unix_nano,
        partition,
        offset: key.offset,
        index: key.index,
    })
}

pub(crate) fn histogram(
    request: &v1::HistogramRequest,
    config: &QueryConfig,
) -> Result<HistogramSpec, Status> {
    let range = range(request.range)?;
    let start = range.start_unix_nano;
    let end = range.end_unix_nano.filter(|end| *end > start);
    let end = end.ok_or_else(|| invalid("range", "expected an end after the start"))?;
    let step = request.step_nano;
    if step == 0 {
        return Err(invalid("step_nano", "expected at least 1"));
    }
    // The first and the last step may stick out of the range.
    let steps = (end - 1) / step - start / step + 1;
    let steps_max = u64::from(config.histogram_steps_max);
    if steps > steps_max {
        return Err(invalid(
            "step_nano",
            format!("the range has {steps} steps of this width, expected at most {steps_max}"),
        ));
    }
    let group = match v1::HistogramGroup::try_from(request.group) {
        Ok(v1::HistogramGroup::None) => HistogramGroup::None,
        Ok(v1::HistogramGroup::Level) => HistogramGroup::Level,
        Ok(v1::HistogramGroup::Service) => HistogramGroup::Service,
        Err(_) => return Err(invalid("group", format!("{} is no group", request.group))),
    };
    Ok(HistogramSpec {
        signal: signal(request.signal)?,
        query: query(&request.query)?,
        start_unix_nano: start,
        end_unix_nano: end,
        step_nano: step,
        group,
        rows_max: bound(request.records_max),
    })
}

/// Buckets of an octave when the request names no number: about ten for each power of ten.
const BUCKETS_PER_OCTAVE_DEFAULT: u32 = 3;

pub(crate) fn heatmap(
    request: &v1::DurationHeatmapRequest,
    config: &QueryConfig,
) -> Result<HeatmapSpec, Status> {
    let of = match v1::HeatmapOf::try_from(request.of) {
        Ok(v1::HeatmapOf::Spans) => HeatmapOf::Spans,
        Ok(v1::HeatmapOf::Traces) => HeatmapOf::Traces,
        Err(_) => {
            let number = request.of;
            return Err(invalid("of", format!("{number} is nothing to count")));
        }
    };
    let per_octave = match request.buckets_per_octave {
        0 => BUCKETS_PER_OCTAVE_DEFAULT,
        asked => asked,
    };
    let scale = Scale::new(per_octave).ok_or_else(|| {
        invalid(
            "buckets_per_octave",
            format!("expected a divisor of 36, got {per_octave}"),
        )
    })?;
    let range = range(request.range)?;
    let max = request.duration_max_nano;
    let spec = HeatmapSpec {
        of,
        query: query(&request.query)?,
        start_unix_nano: range.start_unix_nano,
        end_unix_nano: range
            .end_unix_nano
            .ok_or_else(|| invalid("range", "expected an end after the start"))?,
        step_nano: request.step_nano,
        scale,
        duration_min_nano: request.duration_min_nano,
        duration_max_nano: (max != 0).then_some(max),
    };
    let cells = spec.cell_count().map_err(|error| heatmap_error(&error))?;
    let cells_max = u64::from(config.heatmap_cells_max);
    if cells > cells_max {
        return Err(invalid(
            "step_nano",
            format!("there are {cells} cells, expected at most {cells_max}"),
        ));
    }
    Ok(spec)
}

/// Which field it is that a heat map cannot be made of.
pub(crate) fn heatmap_error(error: &HeatmapError) -> Status {
    let field = match error {
        HeatmapError::Steps(HistogramError::Range { .. }) => "range",
        HeatmapError::Durations { .. } => "duration_max_nano",
        _ => "step_nano",
    };
    invalid(field, error.to_string())
}

pub(crate) fn facets(
    request: &v1::FacetsRequest,
    config: &QueryConfig,
) -> Result<FacetSpec, Status> {
    let fields = request.fields.len();
    if fields > config.facet_fields_max {
        let max = config.facet_fields_max;
        return Err(invalid(
            "fields",
            format!("expected at most {max} fields, got {fields}"),
        ));
    }
    if request.fields.iter().any(String::is_empty) {
        return Err(invalid("fields", "a field has no name"));
    }
    Ok(FacetSpec {
        signal: signal(request.signal)?,
        query: query(&request.query)?,
        range: range(request.range)?,
        fields: request
            .fields
            .iter()
            .map(|name| Field::named(name))
            .collect(),
        values_max: limit(
            request.values_max,
            config.facet_values_default,
            config.facet_values_max,
        ),
        rows_max: bound(request.records_max),
    })
}

/// A bound on what is looked at; 0 is none.
fn bound(records_max: u64) -> Option<u64> {
    (records_max > 0).then_some(records_max)
}

pub(crate) fn signal(signal: i32) -> Result<Signal, Status> {
    match v1::Signal::try_from(signal) {
        Ok(v1::Signal::Spans) => Ok(Signal::Spans),
        Ok(v1::Signal::Logs) => Ok(Signal::Logs),
        Ok(v1::Signal::Unspecified) | Err(_) => {
            Err(invalid("signal", "expected SIGNAL_SPANS or SIGNAL_LOGS"))
        }
    }
}

pub(crate) fn range(range: Option<v1::TimeRange>) -> Result<TimeRange, Status> {
    let Some(range) = range else {
        return Ok(TimeRange::ALL);
    };
    let (start, end) = (range.start_unix_nano, range.end_unix_nano);
    if end != 0 && end < start {
        return Err(invalid(
            "range",
            format!("the end, {end}, lies before the start, {start}"),
        ));
    }
    Ok(TimeRange {
        start_unix_nano: start,
        end_unix_nano: (end != 0).then_some(end),
    })
}

/// What was asked for within the bound; 0 asks for the default.
fn limit(asked: u32, default: u32, max: u32) -> usize {
    let limit = if asked == 0 { default } else { asked.min(max) };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Cut to what headers can carry.
pub(crate) fn clip(text: String) -> String {
    match text.char_indices().nth(DESCRIPTION_CHARS_MAX) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
