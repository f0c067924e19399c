//! Which services and operations are kept.

use std::collections::{BTreeMap, HashMap};

use log_tracer_record::otlp::trace::span::SpanKind;

use super::source::{readable, sources};
use crate::{
    Coverage, Stop, TimeRange,
    block::{ServiceCount, Storable},
    chunk::{LogChunk, SpanChunk},
    stop::Progress,
    table::Snapshot,
};

/// The services that sent a record that is still kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Services {
    /// By name.
    pub services: Vec<ServiceInfo>,
    /// What was covered.
    pub coverage: Coverage,
}

/// What a service sent that is still kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceInfo {
    /// Its name.
    pub service: String,
    /// Its spans.
    pub span_count: u64,
    /// Its log records.
    pub log_count: u64,
    /// Its spans with an error status.
    pub error_span_count: u64,
    /// Its log records of severity ERROR and above.
    pub error_log_count: u64,
    /// The newest start of a span or time of a log record, nanoseconds since 1970-01-01T00:00:00Z.
    pub last_seen_unix_nano: u64,
}

/// The operations of one service or of all.
#[derive(Clone, Debug, PartialEq)]
pub struct Operations {
    /// By service, then the most spans first.
    pub operations: Vec<OperationInfo>,
    /// What was covered.
    pub coverage: Coverage,
}

/// An operation: spans of a service with the same name and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationInfo {
    /// The service.
    pub service: String,
    /// The name of the spans.
    pub name: String,
    /// The kind of the spans.
    pub kind: SpanKind,
    /// How many there are.
    pub span_count: u64,
}

pub(crate) fn list_services(
    spans: &Snapshot<SpanChunk>,
    logs: &Snapshot<LogChunk>,
    stop: &Stop,
) -> Services {
    let mut progress = Progress::start(stop);
    let mut services: BTreeMap<String, ServiceInfo> = BTreeMap::new();
    for_each_service(spans, &mut services, &mut progress, |info, count| {
        info.span_count += count.row_count;
        info.error_span_count += count.error_count;
    });
    for_each_service(logs, &mut services, &mut progress, |info, count| {
        info.log_count += count.row_count;
        info.error_log_count += count.error_count;
    });
    progress.coverage.matched = spans.rows() + logs.rows();
    Services {
        services: services.into_values().collect(),
        coverage: progress.finish(),
    }
}

fn for_each_service<C: Storable>(
    snapshot: &Snapshot<C>,
    services: &mut BTreeMap<String, ServiceInfo>,
    progress: &mut Progress<'_>,
    add: impl Fn(&mut ServiceInfo, &ServiceCount),
) {
    snapshot.cover(TimeRange::ALL, &mut progress.coverage);
    for source in sources(snapshot) {
        if !progress.look() {
            return;
        }
        let counts = readable(snapshot, source.services(), progress);
        for count in counts.into_iter().flatten() {
            let info = match services.get_mut(&count.service) {
                Some(info) => info,
                None => services.entry(count.service.clone()).or_default(),
            };
            info.service.clone_from(&count.service);
            info.last_seen_unix_nano = info.last_seen_unix_nano.max(count.last_seen_unix_nano);
            add(info, &count);
        }
    }
}

pub(crate) fn list_operations(
    spans: &Snapshot<SpanChunk>,
    service: Option<&str>,
    limit: usize,
    stop: &Stop,
) -> Operations {
    let mut progress = Progress::start(stop);
    spans.cover(TimeRange::ALL, &mut progress.coverage);
    let mut counts: HashMap<(String, String, SpanKind), u64> = HashMap::new();
    for source in sources(spans) {
        if !progress.look() {
            break;
        }
        let operations = readable(spans, source.operations(), &mut progress);
        for operation in operations.into_iter().flatten() {
            if service.is_none_or(|asked| asked == operation.service) {
                *counts
                    .entry((operation.service, operation.name, operation.kind))
                    .or_default() += operation.span_count;
            }
        }
    }
    progress.coverage.matched = counts.values().sum();
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
    if counts.len() > limit {
        progress.coverage.miss(format!(
            "there are {} operations, of which the {limit} with the most spans are answered",
            counts.len()
        ));
        counts.truncate(limit);
    }
    // Within a service, the order by count stays.
    counts.sort_by(|((a, ..), _), ((b, ..), _)| a.cmp(b));
    let info = |((service, name, kind), span_count)| OperationInfo {
        service,
        name,
        kind,
        span_count,
    };
    Operations {
        operations: counts.into_iter().map(info).collect(),
        coverage: progress.finish(),
    }
}
