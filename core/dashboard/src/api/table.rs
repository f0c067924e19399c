//! Every operation of the interface.

use std::pin::Pin;

use warp::reply::Response;

use super::{Call, answers, compare, export, heatmap, openapi, pipeline, rates, tail, trace};
use crate::fault::Fault;

/// The future of an answer.
pub(super) type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response, Fault>> + Send + 'a>>;

/// An operation: `GET` of an address.
pub(super) struct Operation {
    /// Its name in the OpenAPI document.
    pub(super) id: &'static str,
    /// The address; a part in braces stands for anything.
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// What more there is to say.
    pub(super) words: &'static str,
    pub(super) params: &'static [Param],
    /// Content types of the answer, each with the name of its schema.
    pub(super) answer: &'static [(&'static str, &'static str)],
    pub(super) run: for<'a> fn(&'a Call<'a>) -> Answering<'a>,
}

/// A parameter of the address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) words: &'static str,
    pub(super) kind: Kind,
    pub(super) example: &'static str,
}

/// What a parameter looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Choice(&'static [&'static str]),
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// The id of a trace, or an address of it; it has to be there.
    Trace,
}

const JSON: &str = "application/json";

const Q: Param = Param {
    name: "q",
    words: "A query in log-tracer's language; empty matches everything.",
    kind: Kind::Text,
    example: "status:error duration>250ms",
};
const COUNT: Param = Param {
    name: "count",
    words: "How many records are looked at: as many as the dashboard is configured for when not given, or all of them, which takes longer.",
    kind: Kind::Choice(&["all", "bounded"]),
    example: "all",
};
const SERVICE: Param = Param {
    name: "service",
    words: "Only records of this service.",
    kind: Kind::Text,
    example: "checkout",
};
const RANGE: Param = Param {
    name: "range",
    words: "How far back from now: a duration, a number of days, or `all`. An hour when neither this nor `from` or `to` is given.",
    kind: Kind::Text,
    example: "15m",
};
const FROM: Param = Param {
    name: "from",
    words: "The start of the range, within it: RFC 3339, UTC without a zone. Counts when there is no `range`.",
    kind: Kind::Text,
    example: "2026-03-01T14:00:00Z",
};
const TO: Param = Param {
    name: "to",
    words: "The end of the range, outside of it.",
    kind: Kind::Text,
    example: "2026-03-01T15:00:00Z",
};
const AFTER: Param = Param {
    name: "after",
    words: "Goes on after a place: the `next` of the answer before.",
    kind: Kind::Text,
    example: "",
};
const SIGNAL: Param = Param {
    name: "signal",
    words: "Which records; `logs` when not given.",
    kind: Kind::Choice(&["logs", "spans"]),
    example: "spans",
};
const LEVEL: Param = Param {
    name: "level",
    words: "Only this severity and above.",
    kind: Kind::Choice(&["debug", "info", "warn", "error"]),
    example: "warn",
};
const QUANTILES: Param = Param {
    name: "quantiles",
    words: "Quantiles of the durations, from 0 to 1, with commas between them; 0.5, 0.95 and 0.99 when not given.",
    kind: Kind::Text,
    example: "0.5,0.99",
};
const MIN: Param = Param {
    name: "min",
    words: "Only traces that took at least so long.",
    kind: Kind::Text,
    example: "250ms",
};
const MAX: Param = Param {
    name: "max",
    words: "Only traces that took at most so long.",
    kind: Kind::Text,
    example: "2s",
};
const ORDER: Param = Param {
    name: "order",
    words: "The order; only `newest`, which is meant when it is not given, can be paged.",
    kind: Kind::Choice(&["newest", "longest", "spans", "errors"]),
    example: "longest",
};
const TRACES: Param = Param {
    name: "limit",
    words: "Traces at most; 50 when not given.",
    kind: Kind::Number(1, 200),
    example: "20",
};
const RECORDS: Param = Param {
    name: "limit",
    words: "Records at most; 100 when not given.",
    kind: Kind::Number(1, 500),
    example: "20",
};

const TRACE_A: Param = Param {
    name: "a",
    words: "A trace: its id, or an address of it.",
    kind: Kind::Trace,
    example: "5b8efff798038103d269b633813fc60c",
};
const TRACE_B: Param = Param {
    name: "b",
    words: "The trace to compare it with.",
    kind: Kind::Trace,
    example: "0af7651916cd43dd8448eb211c80319c",
};
const STEP: Param = Param {
    name: "step",
    words: "The width of a step; one that gives some dozens of steps when not given.",
    kind: Kind::Text,
    example: "1m",
};

/// All operations, in the order in which they are described.
pub(super) const OPERATIONS: [Operation; 20] = [
    Operation {
        id: "searchTraces",
        path: "/api/v1/traces",
        summary: "Traces with a span that matches",
        words: "A trace is in the range when its start is. The newest come first unless `order` says otherwise.",
        params: &[Q, SERVICE, MIN, MAX, ORDER, TRACES, AFTER, RANGE, FROM, TO],
        answer: &[(JSON, "Traces")],
        run: |call| Box::pin(answers::search_traces(call)),
    },
    Operation {
        id: "getTrace",
        path: "/api/v1/traces/{traceId}",
        summary: "One trace, whole, with its logs",
        words: "OTLP/JSON with the coverage beside it. Of a trace above the configured limits the earliest spans are answered, and the coverage says so.",
        params: &[],
        answer: &[(JSON, "Trace")],
        run: |call| Box::pin(answers::trace(call)),
    },
    Operation {
        id: "getTraceSpans",
        path: "/api/v1/traces/{traceId}/spans",
        summary: "The spans of one trace as a table",
        words: "Without attributes and events, which `getTrace` has, and with what the trace says of each: its self time (while none of its children ran), its part of the critical path, its depth, and what is odd about it.",
        params: &[
            Param {
                words: "Only spans that match this query; empty takes all.",
                ..Q
            },
            Param {
                name: "sort",
                words: "The order: `service`, `operation`, `kind`, `status`, `start` (which is meant when it is not given), `duration`, `self` or `depth`; with `-` before it the other way round. Times that are long come first.",
                kind: Kind::Text,
                example: "self",
            },
            Param {
                name: "offset",
                words: "Spans of that order that are left out before the first.",
                kind: Kind::Number(0, trace::OFFSET_MAX),
                example: "100",
            },
            Param {
                name: "limit",
                words: "Spans at most; 100 when not given.",
                kind: Kind::Number(1, trace::SPANS_MAX),
                example: "20",
            },
        ],
        answer: &[(JSON, "TraceSpans")],
        run: |call| Box::pin(trace::spans(call)),
    },
    Operation {
        id: "getTraceStatistics",
        path: "/api/v1/traces/{traceId}/statistics",
        summary: "The spans of one trace counted together",
        words: "By operation, or by the first value that a span has of any field; spans without it are a group without a value. `more` counts the groups above the limit.",
        params: &[
            Param {
                words: "Only spans that match this query; empty takes all.",
                ..Q
            },
            Param {
                name: "group",
                words: "A field as the query language names it; the operation (service and name) when not given.",
                kind: Kind::Text,
                example: "http.route",
            },
            Param {
                name: "sort",
                words: "The order: `group`, `count`, `errors`, `total`, `mean`, `min`, `p50`, `p95`, `max`, `self` (which is meant when it is not given) or `critical`, the most first; with `-` before it the other way round.",
                kind: Kind::Text,
                example: "p95",
            },
            Param {
                name: "limit",
                words: "Groups at most; 100 when not given.",
                kind: Kind::Number(1, trace::GROUPS_MAX),
                example: "20",
            },
        ],
        answer: &[(JSON, "TraceStatistics")],
        run: |call| Box::pin(trace::statistics(call)),
    },
    Operation {
        id: "compareTraces",
        path: "/api/v1/compare",
        summary: "Two traces side by side, path by path",
        words: "Spans are merged by the service, name and kind of themselves and of all above them. `changed` is a path whose numbers of spans or errors differ, or whose total or self time differs by a tenth and by a hundredth of the longer trace. `more` counts the paths above the limit.",
        params: &[
            TRACE_A,
            TRACE_B,
            Param {
                name: "sort",
                words: "The order of the paths: as a tree, which is meant when it is not given, or the greatest difference first.",
                kind: Kind::Choice(&compare::SORTS),
                example: "self",
            },
            Param {
                name: "limit",
                words: "Paths at most; 1,000 when not given.",
                kind: Kind::Number(1, compare::PATHS_MAX),
                example: "20",
            },
        ],
        answer: &[(JSON, "Comparison")],
        run: |call| Box::pin(compare::compare(call)),
    },
    Operation {
        id: "searchLogs",
        path: "/api/v1/logs",
        summary: "Log records that match, newest first",
        words: "OTLP/JSON, a group for each record, so that the order is kept.",
        params: &[Q, SERVICE, LEVEL, RECORDS, AFTER, RANGE, FROM, TO],
        answer: &[(JSON, "Logs")],
        run: |call| Box::pin(answers::search_logs(call)),
    },
    Operation {
        id: "getFacets",
        path: "/api/v1/facets",
        summary: "The most frequent values of fields",
        words: "Among the records that match, or among the newest of them: `coverage.leftOut` is how many records were not looked at.",
        params: &[
            SIGNAL,
            Q,
            SERVICE,
            Param {
                name: "fields",
                words: "Fields as the query language names them, with commas between them; the most useful ones when not given.",
                kind: Kind::Text,
                example: "service,status",
            },
            Param {
                name: "values",
                words: "Values of a field at most; 10 when not given.",
                kind: Kind::Number(1, 1_000),
                example: "5",
            },
            COUNT,
            RANGE,
            FROM,
            TO,
        ],
        answer: &[(JSON, "Facets")],
        run: |call| Box::pin(answers::facets(call)),
    },
    Operation {
        id: "getHistogram",
        path: "/api/v1/histogram",
        summary: "How many records match, in equal steps of time",
        words: "Of logs that is the log volume by severity. Where too many records would have to be looked at, the counts are estimates: `coverage.leftOut` is how many were not, and `countError` how far the sum of all counts is off at most, in 19 of 20 cases.",
        params: &[
            SIGNAL,
            Q,
            SERVICE,
            Param {
                name: "group",
                words: "By what the counts are split; `level` when not given, which is the severity of logs and the status of spans.",
                kind: Kind::Choice(&["level", "service", "none"]),
                example: "service",
            },
            STEP,
            COUNT,
            RANGE,
            FROM,
            TO,
        ],
        answer: &[(JSON, "Histogram")],
        run: |call| Box::pin(answers::histogram(call)),
    },
    Operation {
        id: "getHeatmap",
        path: "/api/v1/heatmap",
        summary: "How many spans or traces match, by start and duration",
        words: "Over all that match. Durations lie in buckets on a logarithmic scale, of which the answer has the edges.",
        params: &[
            Param {
                name: "of",
                words: "What is counted: traces with a span that matches, by the duration of the whole trace, or spans that match, by their own; `traces` when not given.",
                kind: Kind::Choice(&["traces", "spans"]),
                example: "spans",
            },
            Q,
            SERVICE,
            Param {
                words: "Only what took at least so long.",
                ..MIN
            },
            Param {
                words: "Only what took at most so long.",
                ..MAX
            },
            STEP,
            Param {
                name: "buckets",
                words: "Buckets of durations in an octave, from one power of two nanoseconds to the next: a divisor of 36; 3, which are about ten for each power of ten, when not given.",
                kind: Kind::Number(1, 36),
                example: "6",
            },
            RANGE,
            FROM,
            TO,
        ],
        answer: &[(JSON, "Heatmap")],
        run: |call| Box::pin(heatmap::heatmap(call)),
    },
    Operation {
        id: "listServices",
        path: "/api/v1/services",
        summary: "Every service that sent something which is still kept",
        words: "",
        params: &[],
        answer: &[(JSON, "Services")],
        run: |call| Box::pin(answers::services(call)),
    },
    Operation {
        id: "listOperations",
        path: "/api/v1/operations",
        summary: "Names and kinds of spans",
        words: "",
        params: &[SERVICE],
        answer: &[(JSON, "Operations")],
        run: |call| Box::pin(answers::operations(call)),
    },
    Operation {
        id: "getRates",
        path: "/api/v1/rates",
        summary: "How many spans there are, how many failed, and how long they took",
        words: "By service or by operation, in whole minutes, from sums that were made when the spans came in.",
        params: &[
            Param {
                name: "group",
                words: "What is counted together; `service` when not given. `kind` means operation and kind.",
                kind: Kind::Choice(&["service", "operation", "kind"]),
                example: "operation",
            },
            SERVICE,
            Param {
                name: "operation",
                words: "Only spans of this name.",
                kind: Kind::Text,
                example: "POST /checkout",
            },
            Param {
                name: "step",
                words: "The width of steps over time, in whole minutes; totals only when not given.",
                kind: Kind::Text,
                example: "5m",
            },
            QUANTILES,
            RANGE,
            FROM,
            TO,
        ],
        answer: &[(JSON, "Rates")],
        run: |call| Box::pin(rates::rates(call)),
    },
    Operation {
        id: "getGraph",
        path: "/api/v1/graph",
        summary: "Which service calls which, how often, how many calls fail, and how long they take",
        words: "Databases, queues and services that send no spans of their own are among the nodes.",
        params: &[QUANTILES, RANGE, FROM, TO],
        answer: &[(JSON, "Graph")],
        run: |call| Box::pin(rates::graph(call)),
    },
    Operation {
        id: "tail",
        path: "/api/v1/tail",
        summary: "Records as they arrive, as server-sent events",
        words: "Events are `records` (OTLP/JSON with a group for each record), `dropped` (how many matching records a reader that is too slow has lost since the event before), `interrupted` (a JSON text: which of several consumers could not be read for a while) and `away` (the consumer ended the tail: connect again).",
        params: &[
            SIGNAL,
            Q,
            SERVICE,
            LEVEL,
            Param {
                name: "backlog",
                words: "Records that are kept already and match, sent first, oldest first; none when not given.",
                kind: Kind::Number(0, 1_000),
                example: "20",
            },
        ],
        answer: &[("text/event-stream", "EventStream")],
        run: |call| Box::pin(tail::tail(call)),
    },
    Operation {
        id: "exportRecords",
        path: "/api/v1/export",
        summary: "Every record of a range that matches, oldest first",
        words: "`ndjson` is one record a line, each a document of OTLP/JSON; the last line has no record but the `coverage`. `csv` has a head and a row for each record; lists and maps are JSON, and a text that a spreadsheet would take for a formula begins with an apostrophe. A table has no place to say that records may be missing: it is refused when that is known, and breaks the connection when it turns out later, as an answer that was cut off does.",
        params: &[
            SIGNAL,
            Q,
            SERVICE,
            LEVEL,
            Param {
                name: "format",
                words: "How records are written; `ndjson` when not given.",
                kind: Kind::Choice(&["ndjson", "csv"]),
                example: "csv",
            },
            Param {
                name: "cols",
                words: "Fields of logs that get columns of their own in `csv`, after the others, with commas between them; six at most.",
                kind: Kind::Text,
                example: "http.route,user.id",
            },
            RANGE,
            FROM,
            TO,
        ],
        answer: &[("application/x-ndjson", "Lines"), ("text/csv", "Lines")],
        run: |call| Box::pin(export::export(call)),
    },
    Operation {
        id: "getStatus",
        path: "/api/v1/status",
        summary: "The consumer, its store and its transport",
        words: "What the Pipeline page shows.",
        params: &[],
        answer: &[(JSON, "Status")],
        run: |call| Box::pin(answers::status(call)),
    },
    Operation {
        id: "getStatusHistory",
        path: "/api/v1/status/history",
        summary: "How the pipeline went lately, in equal steps of time",
        words: "How far behind each partition was, what was applied, and what log, store and process took. The consumers keep the samples, so that everyone sees the same; of several they are added up.",
        params: &[],
        answer: &[(JSON, "StatusHistory")],
        run: |call| Box::pin(pipeline::history(call)),
    },
    Operation {
        id: "listProducers",
        path: "/api/v1/producers",
        summary: "What producers took in and what they refused",
        words: "Of the producers that the dashboard knows. Refusals have what their senders were told, and never a part of a request.",
        params: &[],
        answer: &[(JSON, "Producers")],
        run: |call| Box::pin(pipeline::producers(call)),
    },
    Operation {
        id: "describe",
        path: "/api/v1/openapi.json",
        summary: "This interface as an OpenAPI 3.1 document",
        words: "",
        params: &[],
        answer: &[(JSON, "Document")],
        run: |call| Box::pin(openapi::answer(call)),
    },
    Operation {
        id: "getSpansFile",
        path: "/api/v1/traces/{traceId}/download",
        summary: "The spans of a trace as a file",
        words: "OTLP/JSON, or what Jaeger UI opens. The Open page takes either.",
        params: &[Param {
            name: "format",
            words: "How the spans are written; `otlp` when not given.",
            kind: Kind::Choice(&["otlp", "jaeger"]),
            example: "jaeger",
        }],
        answer: &[(JSON, "TraceFile")],
        run: |call| Box::pin(answers::trace_file(call)),
    },
];

/// The operation of an address below `/api/v1/`, and what stands for its part in braces.
pub(super) fn find(path: &str) -> Option<(&'static Operation, &str)> {
    OPERATIONS.iter().find_map(|operation| {
        let template = operation.path.strip_prefix("/api/v1/")?;
        let Some((before, rest)) = template.split_once('{') else {
            return (template == path).then_some((operation, ""));
        };
        let (_, after) = rest.split_once('}')?;
        let id = path.strip_prefix(before)?.strip_suffix(after)?;
        (!id.is_empty() && !id.contains('/')).then_some((operation, id))
    })
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation")
            .field("id", &self.id)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_operation_and_a_name_of_its_own() {
        for operation in &OPERATIONS {
            let path = operation.path.replace("{traceId}", "0af7");
            let (found, id) = find(path.strip_prefix("/api/v1/").unwrap()).unwrap();
            assert_eq!(found.id, operation.id);
            assert_eq!(id.is_empty(), !operation.path.contains('{'));
            let same = OPERATIONS.iter().filter(|other| other.id == operation.id);
            assert_eq!(same.count(), 1, "{}", operation.id);
        }
    }

    #[test]
    fn an_address_that_is_not_in_the_table_has_none() {
        for path in [
            "",
            "trace",
            "traces/",
            "traces//download",
            "traces/a/b",
            "traces/a/download/",
        ] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
