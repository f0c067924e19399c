//! The questions, each of them asked of a store in memory and of one on disk.

use log_tracer_query::parse;
use log_tracer_store::{
    Coverage, FacetSpec, HeatmapOf, HeatmapSpec, HistogramGroup, HistogramSpec, Origin, RecordKey,
    RecordSearch, Scale, Signal, Stop, Store, TimeRange, TraceLimits, TraceOrder, TraceSearch,
};

use crate::data::{self, COMMON_WORD, RARE_WORD};

/// A question by its name.
pub(crate) struct Question {
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    pub(crate) ask: Box<dyn Fn(&Store) -> Coverage>,
}

fn question(
    group: &'static str,
    name: &'static str,
    ask: impl Fn(&Store) -> Coverage + 'static,
) -> Question {
    Question {
        group,
        name,
        ask: Box::new(ask),
    }
}

/// All questions to a store of so many rows of each kind.
pub(crate) fn questions(rows: u64) -> Vec<Question> {
    let mut all = of_logs(rows);
    all.extend(of_spans(rows));
    all.extend(of_traces(rows));
    all.extend(counts(rows));
    all.extend(heatmaps(rows));
    all
}

pub(crate) fn logs_of(query: &str) -> RecordSearch {
    RecordSearch {
        query: parse(query).unwrap(),
        range: TimeRange::ALL,
        limit: 100,
        bytes_max: u64::MAX,
        after: None,
        oldest_first: false,
    }
}

fn of_logs(rows: u64) -> Vec<Question> {
    let of_trace = format!("trace:{}", data::trace_of(rows / 2));
    let queries = [
        ("newest 100", ""),
        ("newest 100 of a common word", COMMON_WORD),
        ("a rare word", RARE_WORD),
        ("a word that no record has", "nosuchword"),
        (
            "newest 100 of service and severity",
            "service:cart severity>=error",
        ),
        ("newest 100 of a user", "user.id:user-777"),
        (
            "newest 100 of many predicates",
            "-service:cart severity>=error code.function.name:load",
        ),
        ("of an expression that nothing matches", "/no+such/"),
        ("of a trace", of_trace.as_str()),
    ];
    let of_query = |(name, query): (&'static str, &str)| {
        let search = logs_of(query);
        question("logs", name, move |store| {
            store.search_logs(&search, &Stop::never()).coverage
        })
    };
    let mut all: Vec<Question> = queries.map(of_query).into();
    for (name, oldest_first) in [
        ("100 of a word of half, deep in the pages", false),
        ("the same, the oldest first", true),
    ] {
        let search = RecordSearch {
            after: Some(middle(rows)),
            oldest_first,
            ..logs_of("cache")
        };
        all.push(question("logs", name, move |store| {
            let found = store.search_logs(&search, &Stop::never());
            assert_eq!(found.hits.len(), 100);
            found.coverage
        }));
    }
    all
}

fn middle(rows: u64) -> RecordKey {
    let origin = Origin {
        partition: 0,
        offset: 0,
    };
    RecordKey::new(data::time_of(rows / 2), origin, 0)
}

fn of_spans(rows: u64) -> Vec<Question> {
    let deep = RecordSearch {
        after: Some(middle(rows)),
        ..logs_of("status:error")
    };
    [
        ("newest 100", logs_of("")),
        ("newest 100 with an error", logs_of("status:error")),
        (
            "newest 100 of one in ten thousand without a needle",
            logs_of("duration>19998us"),
        ),
        (
            "newest 100 of a few fields",
            logs_of("http.route:/cart duration>19ms -status:error"),
        ),
        ("100 with an error, deep in the pages", deep),
    ]
    .map(|(name, search)| {
        question("spans", name, move |store| {
            let found = store.search_spans(&search, &Stop::never());
            assert!(!found.hits.is_empty());
            found.coverage
        })
    })
    .into()
}

fn of_traces(rows: u64) -> Vec<Question> {
    let id = data::trace_of(rows / 2);
    let limits = TraceLimits {
        spans_max: 10_000,
        logs_max: 10_000,
    };
    let mut all = vec![question(
        "traces",
        "by id, with its spans and logs",
        move |store| {
            let trace = store.trace(id, limits, &Stop::never());
            assert!(trace.spans().count() > 0 && trace.logs().count() > 0);
            trace.coverage
        },
    )];
    let newest = TraceOrder::Newest { after: None };
    let of_order = format!("app.order.id:order-{}", rows / 2);
    let middle = TimeRange {
        start_unix_nano: data::time_of(rows / 4),
        end_unix_nano: Some(data::time_of(rows / 2)),
    };
    for (name, query, order, range) in [
        ("newest 20", "", newest, TimeRange::ALL),
        (
            "newest 20 with an error",
            "status:error",
            newest,
            TimeRange::ALL,
        ),
        (
            "newest 20 with an error of a service",
            "service:cart status:error",
            newest,
            TimeRange::ALL,
        ),
        (
            "newest 20 of a service in a range that ended before",
            "service:cart",
            newest,
            middle,
        ),
        (
            "longest 20 of a service",
            "service:cart",
            TraceOrder::Longest,
            TimeRange::ALL,
        ),
        ("longest 20", "", TraceOrder::Longest, TimeRange::ALL),
        (
            "longest 20 with an error",
            "status:error",
            TraceOrder::Longest,
            TimeRange::ALL,
        ),
        ("of an order", of_order.as_str(), newest, TimeRange::ALL),
    ] {
        let search = TraceSearch {
            query: parse(query).unwrap(),
            range,
            duration_min_nano: 0,
            duration_max_nano: None,
            order,
            limit: 20,
        };
        all.push(question("traces", name, move |store| {
            let found = store.search_traces(&search, &Stop::never());
            assert!(!found.traces.is_empty());
            found.coverage
        }));
    }
    all
}

fn heatmaps(rows: u64) -> Vec<Question> {
    let of = |(name, of, query): (&'static str, HeatmapOf, &str)| {
        let spec = HeatmapSpec {
            of,
            query: parse(query).unwrap(),
            start_unix_nano: data::time_of(0),
            end_unix_nano: data::time_of(rows),
            step_nano: (data::time_of(rows) - data::time_of(0)) / 50,
            scale: Scale::new(6).unwrap(),
            duration_min_nano: 0,
            duration_max_nano: None,
        };
        question("counts", name, move |store| {
            let found = store.heatmap(&spec, &Stop::never()).unwrap();
            assert!(found.coverage.matched > 0);
            found.coverage
        })
    };
    [
        ("heat map of spans", HeatmapOf::Spans, ""),
        ("heat map of failed spans", HeatmapOf::Spans, "status:error"),
        (
            "heat map of spans of a route",
            HeatmapOf::Spans,
            "service:cart http.route:/search",
        ),
        ("heat map of traces", HeatmapOf::Traces, ""),
        (
            "heat map of traces with an error",
            HeatmapOf::Traces,
            "status:error",
        ),
    ]
    .map(of)
    .into()
}

fn counts(rows: u64) -> Vec<Question> {
    let mut all = Vec::new();
    for (name, signal, query, by) in [
        ("histogram of logs", Signal::Logs, "", HistogramGroup::None),
        (
            "histogram of logs by level",
            Signal::Logs,
            "",
            HistogramGroup::Level,
        ),
        (
            "histogram of logs by service",
            Signal::Logs,
            "",
            HistogramGroup::Service,
        ),
        (
            "histogram of logs of a service",
            Signal::Logs,
            "service:cart",
            HistogramGroup::None,
        ),
        (
            "histogram of logs of a severity by level",
            Signal::Logs,
            "severity>=error",
            HistogramGroup::Level,
        ),
        (
            "histogram of logs of a word of all",
            Signal::Logs,
            COMMON_WORD,
            HistogramGroup::Level,
        ),
        (
            "histogram of logs of a word of half",
            Signal::Logs,
            "cache",
            HistogramGroup::Level,
        ),
        (
            "histogram of logs of a user",
            Signal::Logs,
            "user.id:user-777",
            HistogramGroup::Level,
        ),
        (
            "histogram of spans by status",
            Signal::Spans,
            "",
            HistogramGroup::Level,
        ),
        (
            "histogram of slow spans",
            Signal::Spans,
            "duration>15ms",
            HistogramGroup::None,
        ),
        (
            "histogram of failed spans by service",
            Signal::Spans,
            "status:error",
            HistogramGroup::Service,
        ),
        (
            "histogram of spans of a route",
            Signal::Spans,
            "service:cart http.route:/search",
            HistogramGroup::Level,
        ),
    ] {
        let spec = HistogramSpec {
            signal,
            query: parse(query).unwrap(),
            start_unix_nano: data::time_of(0),
            end_unix_nano: data::time_of(rows),
            step_nano: (data::time_of(rows) - data::time_of(0)) / 50,
            group: by,
            rows_max: None,
        };
        all.push(question("counts", name, move |store| {
            store.histogram(&spec, &Stop::never()).unwrap().coverage
        }));
    }
    for (name, signal, query) in [
        ("facets of spans", Signal::Spans, ""),
        ("facets of logs", Signal::Logs, ""),
        ("facets of failed spans", Signal::Spans, "status:error"),
        ("facets of logs of a word of half", Signal::Logs, "cache"),
    ] {
        let spec = FacetSpec {
            signal,
            query: parse(query).unwrap(),
            range: TimeRange::ALL,
            fields: Vec::new(),
            values_max: 10,
            rows_max: None,
        };
        all.push(question("counts", name, move |store| {
            store.facets(&spec, &Stop::never()).coverage
        }));
    }
    let near_unique = FacetSpec {
        signal: Signal::Spans,
        query: parse("").unwrap(),
        range: TimeRange::ALL,
        fields: ["user.id", "app.order.id", "trace", "duration"]
            .map(log_tracer_query::Field::named)
            .into(),
        values_max: 10,
        rows_max: None,
    };
    all.push(question(
        "counts",
        "facets of nearly unique values",
        move |store| store.facets(&near_unique, &Stop::never()).coverage,
    ));
    all.push(question("counts", "services", |store| {
        store.services(&Stop::never()).coverage
    }));
    all.push(question("counts", "operations", |store| {
        store.operations(None, 1000, &Stop::never()).coverage
    }));
    all
}
