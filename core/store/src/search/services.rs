//! Which services and operations are kept.

use std::collections::{BTreeMap, HashMap};

use log_tracer_record::otlp::trace::span::SpanKind;

use crate::{
    Coverage, Stop, TimeRange,
    chunk::{Chunk, LogChunk, ServiceTally, SpanChunk},
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
    spans.cover(TimeRange::ALL, &mut progress.coverage);
    logs.cover(TimeRange::ALL, &mut progress.coverage);
    let mut services: BTreeMap<String, ServiceInfo> = BTreeMap::new();
    for chunk in &spans.chunks {
        for_each_service(
            &mut services,
            chunk.as_ref(),
            &chunk.tally().services,
            |info, tally| {
                info.span_count += tally.row_count;
                info.error_span_count += tally.error_count;
            },
        );
    }
    for chunk in &logs.chunks {
        for_each_service(
            &mut services,
            chunk.as_ref(),
            chunk.services(),
            |info, tally| {
                info.log_count += tally.row_count;
                info.error_log_count += tally.error_count;
            },
        );
    }
    progress.look();
    progress.coverage.matched = spans.rows() + logs.rows();
    Services {
        services: services.into_values().collect(),
        coverage: progress.finish(),
    }
}

fn for_each_service<C: Chunk>(
    services: &mut BTreeMap<String, ServiceInfo>,
    chunk: &C,
    tallies: &[ServiceTally],
    add: impl Fn(&mut ServiceInfo, &ServiceTally),
) {
    for tally in tallies {
        let Some(resource) = chunk.resources().all().get(tally.resource) else {
            continue;
        };
        let name = resource.service();
        if !services.contains_key(name) {
            let info = ServiceInfo {
                service: name.to_owned(),
                ..ServiceInfo::default()
            };
            services.insert(name.to_owned(), info);
        }
        if let Some(info) = services.get_mut(name) {
            add(info, tally);
            info.last_seen_unix_nano = info.last_seen_unix_nano.max(tally.last_seen_unix_nano);
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
    let mut counts: HashMap<(&str, &str, SpanKind), u64> = HashMap::new();
    for chunk in &spans.chunks {
        for tally in &chunk.tally().operations {
            let resource = chunk.resources().all().get(tally.resource);
            let of = resource.map(|resource| resource.service());
            if let Some(of) = of.filter(|of| service.is_none_or(|asked| asked == *of)) {
                let name = chunk.names().label(tally.name);
                *counts.entry((of, name, tally.kind)).or_default() += tally.span_count;
            }
        }
        if !progress.look() {
            break;
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
    counts.sort_by_key(|((service, ..), _)| *service);
    let info = |((service, name, kind), span_count): ((&str, &str, SpanKind), u64)| OperationInfo {
        service: service.to_owned(),
        name: name.to_owned(),
        kind,
        span_count,
    };
    Operations {
        operations: counts.into_iter().map(info).collect(),
        coverage: progress.finish(),
    }
}
