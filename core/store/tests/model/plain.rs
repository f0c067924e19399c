//! A list of rows, and answers by looking at all of them.

use std::{cmp::Reverse, collections::BTreeMap};

use log_tracer_query::{Field, Intrinsic, Literal, Record, Value, text::value_text};
use log_tracer_record::{
    LogRow, SpanId, SpanRow, TraceId, attribute,
    otlp::{common::any_value, trace::span::SpanKind},
};
use log_tracer_store::{
    Facet, FacetSpec, FacetValue, HeatmapOf, HeatmapSpec, HeatmapStep, HistogramGroup,
    HistogramSeries, HistogramSpec, Hit, LogFields, OperationInfo, Origin, RecordKey, RecordSearch,
    ServiceCount, ServiceInfo, Signal, SpanFields, Stats, TableStats, TimeRange, TraceLimits,
    TraceOrder, TraceSearch, TraceSummary,
};

/// Rows in the order of arrival.
#[derive(Default)]
pub(crate) struct Plain {
    spans: Vec<Hit<SpanRow>>,
    logs: Vec<Hit<LogRow>>,
    /// So many of each were to go to disk: they are not evicted.
    sealed_spans: usize,
    sealed_logs: usize,
    evicted_spans: Vec<u64>,
    evicted_logs: Vec<u64>,
}

pub(crate) struct PlainTrace {
    pub(crate) spans: Vec<SpanRow>,
    pub(crate) logs: Vec<LogRow>,
    pub(crate) duplicate_count: u64,
}

impl Plain {
    pub(crate) fn apply_spans(&mut self, origin: Origin, rows: Vec<SpanRow>) {
        let hit = |(index, row): (u32, SpanRow)| {
            let key = RecordKey::new(row.start_unix_nano(), origin, index);
            Hit { key, row }
        };
        self.spans.extend((0..).zip(rows).map(hit));
    }

    pub(crate) fn apply_logs(&mut self, origin: Origin, rows: Vec<LogRow>) {
        let hit = |(index, row): (u32, LogRow)| {
            let key = RecordKey::new(row.time_unix_nano(), origin, index);
            Hit { key, row }
        };
        self.logs.extend((0..).zip(rows).map(hit));
    }

    /// Drops as many of the oldest rows as the store did.
    pub(crate) fn evict(&mut self, stats: &Stats) {
        evict(
            &mut self.spans,
            self.sealed_spans,
            &mut self.evicted_spans,
            stats.spans.evicted_rows,
        );
        evict(
            &mut self.logs,
            self.sealed_logs,
            &mut self.evicted_logs,
            stats.logs.evicted_rows,
        );
    }

    /// All rows so far go to disk, if the store has one.
    pub(crate) fn seal(&mut self) {
        self.sealed_spans = self.spans.len();
        self.sealed_logs = self.logs.len();
    }

    /// The same numbers, worked out from the list; bytes are taken from the store.
    pub(crate) fn stats(&self, store: &Stats) -> Stats {
        Stats {
            spans: stats(&self.spans, &self.evicted_spans, &store.spans),
            logs: stats(&self.logs, &self.evicted_logs, &store.logs),
            durable: None,
        }
    }

    pub(crate) fn is_log_evicted(&self, range: TimeRange) -> bool {
        let times = &self.evicted_logs;
        // The rows that come from the ends of time are days away from the others.
        let day = |time: &u64| time / (24 * 60 * 60 * 1_000_000_000);
        times.iter().any(|of_day| {
            let same_day = || times.iter().filter(|time| day(time) == day(of_day));
            let bounds = same_day().min().zip(same_day().max());
            bounds.is_some_and(|(first, last)| range.overlaps(*first, *last))
        })
    }

    pub(crate) fn search_logs(&self, search: &RecordSearch) -> Vec<Hit<LogRow>> {
        select(&self.logs, search, |row| {
            search.query.matches(&LogFields(row))
        })
    }

    pub(crate) fn search_spans(&self, search: &RecordSearch) -> Vec<Hit<SpanRow>> {
        select(&self.spans, search, |row| {
            search.query.matches(&SpanFields(row))
        })
    }

    /// All pages, whatever the limit.
    pub(crate) fn search_traces(&self, search: &TraceSearch) -> Vec<TraceSummary> {
        let mut traces: BTreeMap<TraceId, Vec<&Hit<SpanRow>>> = BTreeMap::new();
        for hit in &self.spans {
            traces
                .entry(hit.row.trace_id().unwrap())
                .or_default()
                .push(hit);
        }
        let mut found = Vec::new();
        for (id, mut stored) in traces {
            stored.sort_by_key(|hit| hit.key);
            let summary = self.summarise(id, &distinct(&stored), search);
            let duration = summary.duration_nano;
            if summary.matched_count > 0
                && search.range.contains(summary.start_unix_nano)
                && duration >= search.duration_min_nano
                && search.duration_max_nano.is_none_or(|max| duration <= max)
            {
                let errors = stored.iter().filter(|hit| hit.row.is_error()).count() as u64;
                let rank = match search.order {
                    TraceOrder::Newest { .. } => 0,
                    TraceOrder::Longest => duration,
                    TraceOrder::MostSpans => stored.len() as u64,
                    TraceOrder::MostErrors => errors,
                };
                found.push((Reverse((rank, summary.start_unix_nano, id)), summary));
            }
        }
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().map(|(_, summary)| summary).collect()
    }

    fn summarise(
        &self,
        trace_id: TraceId,
        spans: &[&SpanRow],
        search: &TraceSearch,
    ) -> TraceSummary {
        let count =
            |test: &dyn Fn(&SpanRow) -> bool| spans.iter().filter(|span| test(span)).count() as u32;
        let has = |id: SpanId| spans.iter().any(|span| span.span_id() == Some(id));
        let is_orphan = |span: &SpanRow| span.parent_id().is_some_and(|parent| !has(parent));
        let root = spans.iter().find(|span| span.parent_id().is_none());
        let root = root
            .or_else(|| spans.iter().find(|span| is_orphan(span)))
            .unwrap_or(&spans[0]);
        let start = spans
            .iter()
            .map(|span| span.start_unix_nano())
            .min()
            .unwrap();
        let end = spans.iter().map(|span| span.end_unix_nano()).max().unwrap();

        let mut services: BTreeMap<&str, ServiceCount> = BTreeMap::new();
        for span in spans {
            let service = span.service();
            let none = ServiceCount {
                service: service.to_owned(),
                span_count: 0,
                error_count: 0,
            };
            let counts = services.entry(service).or_insert(none);
            counts.span_count += 1;
            counts.error_count += u32::from(span.is_error());
        }
        let mut services: Vec<ServiceCount> = services.into_values().collect();
        services.sort_by_key(|counts| Reverse(counts.span_count));
        TraceSummary {
            trace_id,
            root_service: root.service().to_owned(),
            root_name: root.span.name.clone(),
            root_status: outcome(root),
            start_unix_nano: start,
            duration_nano: end.saturating_sub(start),
            span_count: spans.len() as u32,
            error_count: count(&SpanRow::is_error),
            orphan_count: count(&is_orphan),
            log_count: self
                .logs
                .iter()
                .filter(|hit| hit.row.trace_id() == Some(trace_id))
                .count() as u32,
            services,
            matched_count: count(&|span| search.query.matches(&SpanFields(span))),
        }
    }

    pub(crate) fn trace(&self, id: TraceId, limits: TraceLimits) -> PlainTrace {
        let mut spans: Vec<_> = self
            .spans
            .iter()
            .filter(|hit| hit.row.trace_id() == Some(id))
            .collect();
        let mut logs: Vec<_> = self
            .logs
            .iter()
            .filter(|hit| hit.row.trace_id() == Some(id))
            .collect();
        spans.sort_by_key(|hit| hit.key);
        logs.sort_by_key(|hit| hit.key);
        let spans_once = distinct(&spans);
        let answered = spans_once.get(..limits.spans_max).unwrap_or(&spans_once);
        let is_answered = |hit: &&&Hit<SpanRow>| answered.contains(&&hit.row);
        PlainTrace {
            duplicate_count: (spans.iter().filter(is_answered).count() - answered.len()) as u64,
            spans: spans_once.into_iter().cloned().collect(),
            logs: logs.into_iter().map(|hit| hit.row.clone()).collect(),
        }
    }

    pub(crate) fn histogram(&self, spec: &HistogramSpec) -> Vec<HistogramSeries> {
        let mut rows: Vec<(u64, String)> = Vec::new();
        match spec.signal {
            Signal::Spans => {
                let matching = self
                    .spans
                    .iter()
                    .filter(|hit| spec.query.matches(&SpanFields(&hit.row)));
                rows.extend(
                    matching.map(|hit| (hit.key.time_unix_nano, span_group(&hit.row, spec.group))),
                );
            }
            Signal::Logs => {
                let matching = self
                    .logs
                    .iter()
                    .filter(|hit| spec.query.matches(&LogFields(&hit.row)));
                rows.extend(
                    matching.map(|hit| (hit.key.time_unix_nano, log_group(&hit.row, spec.group))),
                );
            }
        }
        let first = spec.start_unix_nano / spec.step_nano;
        let steps = (spec.end_unix_nano - 1) / spec.step_nano - first + 1;
        let mut series: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        if spec.group == HistogramGroup::None {
            series.insert(String::new(), vec![0; steps as usize]);
        }
        for (time, group) in rows {
            if (spec.start_unix_nano..spec.end_unix_nano).contains(&time) {
                let counts = series
                    .entry(group)
                    .or_insert_with(|| vec![0; steps as usize]);
                counts[(time / spec.step_nano - first) as usize] += 1;
            }
        }
        let mut series: Vec<HistogramSeries> = series
            .into_iter()
            .map(|(group, counts)| HistogramSeries { group, counts })
            .collect();
        match spec.group {
            HistogramGroup::None => {}
            HistogramGroup::Level => series.sort_by_key(|series| level_rank(&series.group)),
            HistogramGroup::Service => {
                series.sort_by_key(|series| Reverse(series.counts.iter().sum::<u64>()));
            }
        }
        series
    }

    /// Counts one by one.
    pub(crate) fn heatmap(&self, spec: &HeatmapSpec) -> Vec<HeatmapStep> {
        let mut all: Vec<(u64, u64, bool)> = Vec::new();
        match spec.of {
            HeatmapOf::Spans => {
                let matching = self.spans.iter();
                let matching = matching.filter(|hit| spec.query.matches(&SpanFields(&hit.row)));
                all.extend(matching.map(|hit| {
                    let (start, end) = (hit.row.start_unix_nano(), hit.row.end_unix_nano());
                    (start, end.saturating_sub(start), hit.row.is_error())
                }));
            }
            HeatmapOf::Traces => {
                let search = TraceSearch {
                    query: spec.query.clone(),
                    range: TimeRange::ALL,
                    duration_min_nano: 0,
                    duration_max_nano: None,
                    order: TraceOrder::Longest,
                    limit: usize::MAX,
                };
                let traces = self.search_traces(&search);
                let of_trace = |one: TraceSummary| {
                    (one.start_unix_nano, one.duration_nano, one.error_count > 0)
                };
                all.extend(traces.into_iter().map(of_trace));
            }
        }
        let mut steps: BTreeMap<u64, BTreeMap<u16, (u64, u64)>> = BTreeMap::new();
        for (start, duration, is_error) in all {
            if (spec.start_unix_nano..spec.end_unix_nano).contains(&start)
                && duration >= spec.duration_min_nano
                && spec.duration_max_nano.is_none_or(|max| duration <= max)
            {
                let step = steps.entry(start / spec.step_nano * spec.step_nano);
                let bucket = (0..spec.scale.bucket_count())
                    .rfind(|bucket| spec.scale.least_nano(*bucket) <= duration);
                let cell = step.or_default().entry(bucket.unwrap()).or_default();
                cell.0 += 1;
                cell.1 += u64::from(is_error);
            }
        }
        let of_step = |(start_unix_nano, cells): (u64, BTreeMap<u16, (u64, u64)>)| {
            let (first, last) = (*cells.keys().min().unwrap(), *cells.keys().max().unwrap());
            let cells: Vec<(u64, u64)> = (first..=last)
                .map(|bucket| cells.get(&bucket).copied().unwrap_or_default())
                .collect();
            HeatmapStep {
                start_unix_nano,
                first_bucket: first,
                counts: cells.iter().map(|cell| cell.0).collect(),
                errors: cells.iter().map(|cell| cell.1).collect(),
            }
        };
        steps.into_iter().map(of_step).collect()
    }

    pub(crate) fn facets(&self, spec: &FacetSpec) -> Vec<Facet> {
        let facet = |field: &Field| {
            let mut counts: BTreeMap<String, (u64, String)> = BTreeMap::new();
            match spec.signal {
                Signal::Spans => {
                    let asked = self
                        .spans
                        .iter()
                        .filter(|hit| spec.range.contains(hit.key.time_unix_nano));
                    let records = asked.map(|hit| SpanFields(&hit.row));
                    records
                        .filter(|record| spec.query.matches(record))
                        .for_each(|record| count(&record, field, &mut counts));
                }
                Signal::Logs => {
                    let asked = self
                        .logs
                        .iter()
                        .filter(|hit| spec.range.contains(hit.key.time_unix_nano));
                    let records = asked.map(|hit| LogFields(&hit.row));
                    records
                        .filter(|record| spec.query.matches(record))
                        .for_each(|record| count(&record, field, &mut counts));
                }
            }
            let mut values: Vec<(u64, String)> = counts.into_values().collect();
            values.sort_by_key(|(count, _)| Reverse(*count));
            let others = values.split_off(values.len().min(spec.values_max));
            let values: Vec<FacetValue> = values
                .into_iter()
                .map(|(count, value)| FacetValue { value, count })
                .collect();
            let other_count = others.iter().map(|(count, _)| count).sum();
            (!values.is_empty()).then(|| Facet {
                field: field.to_string(),
                values,
                other_count,
            })
        };
        spec.fields.iter().filter_map(facet).collect()
    }

    pub(crate) fn services(&self) -> Vec<ServiceInfo> {
        let mut services: BTreeMap<String, ServiceInfo> = BTreeMap::new();
        for hit in &self.spans {
            let info = services.entry(hit.row.service().to_owned()).or_default();
            info.span_count += 1;
            info.error_span_count += u64::from(hit.row.is_error());
            info.last_seen_unix_nano = info.last_seen_unix_nano.max(hit.key.time_unix_nano);
        }
        for hit in &self.logs {
            let info = services.entry(hit.row.service().to_owned()).or_default();
            info.log_count += 1;
            info.error_log_count += u64::from(hit.row.is_error());
            info.last_seen_unix_nano = info.last_seen_unix_nano.max(hit.key.time_unix_nano);
        }
        let named = |(service, info)| ServiceInfo { service, ..info };
        services.into_iter().map(named).collect()
    }

    pub(crate) fn operations(&self, service: Option<&str>) -> Vec<OperationInfo> {
        let mut counts: BTreeMap<(&str, &str, SpanKind), u64> = BTreeMap::new();
        for hit in &self.spans {
            if service.is_none_or(|asked| asked == hit.row.service()) {
                *counts
                    .entry((hit.row.service(), &hit.row.span.name, hit.row.kind()))
                    .or_default() += 1;
            }
        }
        let info =
            |((service, name, kind), span_count): ((&str, &str, SpanKind), u64)| OperationInfo {
                service: service.to_owned(),
                name: name.to_owned(),
                kind,
                span_count,
            };
        let mut operations: Vec<OperationInfo> = counts.into_iter().map(info).collect();
        operations
            .sort_by_key(|operation| (operation.service.clone(), Reverse(operation.span_count)));
        operations
    }
}

fn evict<R>(rows: &mut Vec<Hit<R>>, sealed: usize, evicted: &mut Vec<u64>, evicted_rows: u64) {
    let more = evicted_rows as usize - evicted.len();
    evicted.extend(
        rows.drain(sealed..sealed + more)
            .map(|hit| hit.key.time_unix_nano),
    );
}

fn stats<R>(rows: &[Hit<R>], evicted: &[u64], store: &TableStats) -> TableStats {
    let times = || rows.iter().map(|hit| hit.key.time_unix_nano);
    TableStats {
        rows: rows.len() as u64,
        oldest_unix_nano: times().min(),
        newest_unix_nano: times().max(),
        applied_rows: (rows.len() + evicted.len()) as u64,
        evicted_rows: evicted.len() as u64,
        ..*store
    }
}

fn select<R: Clone>(
    rows: &[Hit<R>],
    search: &RecordSearch,
    matches: impl Fn(&R) -> bool,
) -> Vec<Hit<R>> {
    let asked = rows
        .iter()
        .filter(|hit| search.range.contains(hit.key.time_unix_nano) && matches(&hit.row));
    let mut hits: Vec<Hit<R>> = asked.cloned().collect();
    hits.sort_by_key(|hit| hit.key);
    if !search.oldest_first {
        hits.reverse();
    }
    hits
}

/// Each span once, the first of equal ones.
fn distinct<'h>(stored: &[&'h Hit<SpanRow>]) -> Vec<&'h SpanRow> {
    let mut spans: Vec<&SpanRow> = Vec::new();
    for hit in stored {
        if !spans.contains(&&hit.row) {
            spans.push(&hit.row);
        }
    }
    spans
}

fn outcome(span: &SpanRow) -> String {
    let code = match attribute(&span.span.attributes, "http.response.status_code") {
        Some(any_value::Value::IntValue(code)) => code.to_string(),
        _ => return String::new(),
    };
    match attribute(&span.span.attributes, "http.request.method") {
        Some(any_value::Value::StringValue(method)) => format!("{method} {code}"),
        _ => code,
    }
}

fn span_group(span: &SpanRow, group: HistogramGroup) -> String {
    match group {
        HistogramGroup::None => String::new(),
        HistogramGroup::Service => span.service().to_owned(),
        HistogramGroup::Level => span
            .status_code()
            .as_str_name()
            .trim_start_matches("STATUS_CODE_")
            .to_lowercase(),
    }
}

fn log_group(log: &LogRow, group: HistogramGroup) -> String {
    match group {
        HistogramGroup::None => String::new(),
        HistogramGroup::Service => log.service().to_owned(),
        HistogramGroup::Level => level(log.record.severity_number),
    }
}

fn level(severity_number: i32) -> String {
    let name = match severity_number {
        1..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "fatal",
        _ => "unspecified",
    };
    name.to_owned()
}

fn level_rank(name: &str) -> usize {
    let names = [
        "unset",
        "ok",
        "unspecified",
        "trace",
        "debug",
        "info",
        "warn",
        "error",
        "fatal",
    ];
    names.iter().position(|known| *known == name).unwrap()
}

/// Counts a record once for each of its values, by their text.
fn count(record: &impl Record, field: &Field, counts: &mut BTreeMap<String, (u64, String)>) {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    record.any_value(field, &mut |value| {
        let (text, spelt) = match (field, value) {
            (Field::Intrinsic(Intrinsic::Severity), Value::Int(number)) => {
                let level = level(number as i32);
                (level.clone(), level)
            }
            (_, Value::Str(_) | Value::Bytes(_)) => {
                let text = value_text(value).into_owned();
                (text.clone(), Literal::quoted(text).to_string())
            }
            _ => (
                value_text(value).into_owned(),
                value_text(value).into_owned(),
            ),
        };
        prefer(values.entry(text).or_default(), spelt);
        false
    });
    for (text, spelt) in values {
        let (count, spelling) = counts.entry(text).or_default();
        *count += 1;
        prefer(spelling, spelt);
    }
}

/// Of a text and a number that read the same, the number is written: the one without quotes, which sorts last.
fn prefer(spelling: &mut String, other: String) {
    if other > *spelling {
        *spelling = other;
    }
}
