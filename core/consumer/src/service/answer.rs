//! The store's answers as messages, each within the limit of a message. What does not fit is left out and said.

use std::time::Duration;

use log_tracer_proto::v1;
use log_tracer_store::{
    Coverage, Facets, Heatmap, Histogram, LogResults, Operations, Services, TraceCursor,
    TraceResults,
};
use prost::Message;

use crate::{
    hits::{AnyHit, HitList, Refused, key_message},
    table::framed_bytes,
};

/// Room that is left for what an answer has beside its list: cursors, and reasons in words.
const RESERVE_BYTES: usize = 16 << 10;
/// The longest text of all reasons together.
const REASONS_BYTES_MAX: usize = 8 << 10;

/// The bytes that the elements of one answer may still take.
#[derive(Debug)]
pub(crate) struct Room {
    whole: usize,
    left: usize,
}

impl Room {
    pub(crate) fn in_answer(answer_bytes_max: usize) -> Self {
        let whole = answer_bytes_max.saturating_sub(RESERVE_BYTES);
        Self { whole, left: whole }
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Whether an element fits; it then counts.
    pub(crate) fn take(&mut self, element: &impl Message) -> bool {
        let left = self.left.checked_sub(framed_bytes(element));
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// Whether an element would fit if it were alone.
    fn could_take(&self, element: &impl Message) -> bool {
        framed_bytes(element) <= self.whole
    }

    /// Those elements that fit, and how many do not.
    pub(crate) fn fill<T: Message>(
        &mut self,
        elements: impl ExactSizeIterator<Item = T>,
    ) -> (Vec<T>, usize) {
        let all = elements.len();
        let taken: Vec<T> = elements.filter(|element| self.take(element)).collect();
        let left_out = all - taken.len();
        (taken, left_out)
    }
}

/// What an answer covers: what the store says, and what it cannot know.
#[derive(Debug)]
pub(crate) struct Covered {
    pub(crate) coverage: Coverage,
    /// Why the store may not have everything.
    pub(crate) reasons: Vec<String>,
}

impl Covered {
    pub(crate) fn leave_out(&mut self, count: usize, what: &str) {
        if count > 0 {
            self.reasons.push(format!(
                "{count} {what} did not fit into a message and were left out"
            ));
        }
    }

    pub(crate) fn into_message(self) -> v1::Coverage {
        let mut reasons = self.coverage.reasons;
        reasons.extend(self.reasons);
        let partial = self.coverage.partial || !reasons.is_empty();
        let mut bytes = 0;
        reasons.retain(|reason| {
            bytes += reason.len() + 4;
            bytes <= REASONS_BYTES_MAX
        });
        v1::Coverage {
            partial,
            reasons,
            scanned: self.coverage.scanned,
            matched: self.coverage.matched,
            took_us: micros(self.coverage.took),
            left_out: self.coverage.left_out,
        }
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// `can_page` says whether the order has a place after each trace.
pub(crate) fn traces(
    results: TraceResults,
    mut covered: Covered,
    answer_bytes_max: usize,
    can_page: bool,
) -> v1::SearchTracesResponse {
    let mut room = Room::in_answer(answer_bytes_max);
    let mut next = results.next.as_ref().map(trace_cursor);
    let mut last = None;
    let mut left_out = 0;
    let mut traces = Vec::with_capacity(results.traces.len());
    for trace in results.traces {
        let place = TraceCursor {
            start_unix_nano: trace.start_unix_nano,
            trace_id: trace.trace_id,
        };
        let message = summary(trace);
        if room.take(&message) {
            traces.push(message);
        } else if can_page && room.could_take(&message) {
            // A shorter page is whole: the rest is on the next one.
            next = last.as_ref().map(trace_cursor);
            break;
        } else {
            left_out += 1;
        }
        last = Some(place);
    }
    covered.leave_out(left_out, "traces");
    v1::SearchTracesResponse {
        traces,
        next,
        coverage: Some(covered.into_message()),
    }
}

fn summary(trace: log_tracer_store::TraceSummary) -> v1::TraceSummary {
    let services = trace.services.into_iter().map(|one| v1::ServiceCount {
        service: one.service,
        span_count: one.span_count,
        error_count: one.error_count,
    });
    v1::TraceSummary {
        trace_id: trace.trace_id.as_bytes().to_vec().into(),
        root_service: trace.root_service,
        root_name: trace.root_name,
        start_unix_nano: trace.start_unix_nano,
        duration_nano: trace.duration_nano,
        span_count: trace.span_count,
        error_count: trace.error_count,
        orphan_count: trace.orphan_count,
        log_count: trace.log_count,
        services: services.collect(),
        matched_count: trace.matched_count,
        root_status: trace.root_status,
    }
}

fn trace_cursor(cursor: &TraceCursor) -> v1::TraceCursor {
    v1::TraceCursor {
        start_unix_nano: cursor.start_unix_nano,
        trace_id: cursor.trace_id.as_bytes().to_vec().into(),
    }
}

pub(crate) fn logs(
    results: LogResults,
    mut covered: Covered,
    answer_bytes_max: usize,
) -> v1::SearchLogsResponse {
    let mut list = HitList::new(Room::in_answer(answer_bytes_max).left());
    let mut next = results.next.map(key_message);
    let mut last = None;
    let mut too_large = 0;
    for hit in results.hits {
        let key = hit.key;
        match list.push(AnyHit::from(hit)) {
            Ok(()) => {}
            Err(Refused::TooLarge) => too_large += 1,
            Err(Refused::Full(_)) => {
                next = last.map(key_message);
                break;
            }
        }
        last = Some(key);
    }
    covered.leave_out(too_large, "log records");
    let parts = list.into_parts();
    v1::SearchLogsResponse {
        hits: parts.logs,
        resources: parts.resources,
        scopes: parts.scopes,
        next,
        coverage: Some(covered.into_message()),
    }
}

pub(crate) fn histogram(
    histogram: Histogram,
    mut covered: Covered,
    answer_bytes_max: usize,
) -> v1::HistogramResponse {
    let mut room = Room::in_answer(answer_bytes_max);
    let series = histogram.series.into_iter().map(|one| v1::HistogramSeries {
        group: one.group,
        counts: one.counts,
    });
    let (series, left_out) = room.fill(series);
    covered.leave_out(left_out, "series");
    v1::HistogramResponse {
        series,
        start_unix_nano: histogram.start_unix_nano,
        step_nano: histogram.step_nano,
        coverage: Some(covered.into_message()),
        count_error: histogram.count_error,
    }
}

pub(crate) fn heatmap(
    heatmap: Heatmap,
    mut covered: Covered,
    answer_bytes_max: usize,
) -> v1::DurationHeatmapResponse {
    let scale = heatmap.scale;
    let buckets = heatmap.steps.iter().map(|step| {
        // A step has no more counts than there are buckets.
        let end = step.first_bucket + step.counts.len() as u16;
        (step.first_bucket, end)
    });
    let buckets = buckets.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let (first_bucket, edges_nano) = buckets
        .map(|(first, end)| scale.edges(first, end))
        .unwrap_or_default();
    let mut room = Room::in_answer(answer_bytes_max.saturating_sub(10 * edges_nano.len()));
    let steps = heatmap.steps.into_iter().map(|step| v1::HeatmapStep {
        start_unix_nano: step.start_unix_nano,
        first_bucket: step.first_bucket.into(),
        counts: step.counts,
        errors: step.errors,
    });
    let (steps, left_out) = room.fill(steps);
    covered.leave_out(left_out, "steps");
    v1::DurationHeatmapResponse {
        steps,
        step_nano: heatmap.step_nano,
        buckets_per_octave: scale.per_octave(),
        first_bucket: first_bucket.into(),
        edges_nano,
        coverage: Some(covered.into_message()),
    }
}

pub(crate) fn facets(
    facets: Facets,
    mut covered: Covered,
    answer_bytes_max: usize,
) -> v1::FacetsResponse {
    let mut room = Room::in_answer(answer_bytes_max);
    let mut values_left_out = 0;
    let mut facets_left_out = 0;
    let mut answered = Vec::with_capacity(facets.facets.len());
    for facet in facets.facets {
        let mut message = v1::Facet {
            field: facet.field,
            values: Vec::new(),
            other_count: facet.other_count,
        };
        if !room.take(&message) {
            facets_left_out += 1;
            continue;
        }
        for value in facet.values {
            let value = v1::FacetValue {
                value: value.value,
                count: value.count,
            };
            if room.take(&value) {
                message.values.push(value);
            } else {
                // It is counted where every value that is not listed is.
                message.other_count = message.other_count.saturating_add(value.count);
                values_left_out += 1;
            }
        }
        answered.push(message);
    }
    covered.leave_out(values_left_out, "values");
    covered.leave_out(facets_left_out, "fields");
    v1::FacetsResponse {
        facets: answered,
        coverage: Some(covered.into_message()),
    }
}

pub(crate) fn services(
    services: Services,
    mut covered: Covered,
    answer_bytes_max: usize,
) -> v1::ListServicesResponse {
    let mut room = Room::in_answer(answer_bytes_max);
    let services = services.services.into_iter().map(|one| v1::ServiceInfo {
        service: one.service,
        span_count: one.span_count,
        log_count: one.log_count,
        error_span_count: one.error_span_count,
        error_log_count: one.error_log_count,
        last_seen_unix_nano: one.last_seen_unix_nano,
    });
    let (services, left_out) = room.fill(services);
    covered.leave_out(left_out, "services");
    v1::ListServicesResponse {
        services,
        coverage: Some(covered.into_message()),
    }
}

pub(crate) fn operations(
    operations: Operations,
    mut covered: Covered,
    answer_bytes_max: usize,
) -> v1::ListOperationsResponse {
    let mut room = Room::in_answer(answer_bytes_max);
    let operations = operations
        .operations
        .into_iter()
        .map(|one| v1::OperationInfo {
            service: one.service,
            name: one.name,
            kind: i32::from(one.kind),
            span_count: one.span_count,
        });
    let (operations, left_out) = room.fill(operations);
    covered.leave_out(left_out, "operations");
    v1::ListOperationsResponse {
        operations,
        coverage: Some(covered.into_message()),
    }
}
