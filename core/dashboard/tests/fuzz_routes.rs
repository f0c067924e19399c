//! Whatever address and parameters a request names, the answer is never a fault of the dashboard.
//! `PROPTEST_CASES=100000` makes it longer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::fmt::Write;

use common::{Site, canned::Canned, otlp};
use http::{Method, StatusCode};
use log_tracer_proto::v1::{
    DurationHeatmapResponse, GetTraceResponse, GraphEdge, GraphNode, HeatmapStep,
    ListServicesResponse, NodeKind, Rate, RateSeries, RateStep, RatesResponse,
    ServiceGraphResponse, ServiceInfo, TimeRange,
};
use proptest::prelude::*;

const PATHS: [&str; 61] = [
    "/",
    "/service",
    "/map",
    "/complete",
    "/traces",
    "/traces/live",
    "/trace/01010101010101010101010101010101",
    "/trace/01010101010101010101010101010101.json",
    "/trace/01010101010101010101010101010101/logs.json",
    "/trace/01010101010101010101010101010101/spans.csv",
    "/trace/01010101010101010101010101010101/spans.ndjson",
    "/trace/",
    "/compare",
    "/api/v1/compare",
    "/logs",
    "/logs/live",
    "/pipeline",
    "/sample",
    "/theme",
    "/static/",
    "/api/v1/traces",
    "/api/v1/traces/01010101010101010101010101010101",
    "/api/v1/traces/01010101010101010101010101010101/spans",
    "/api/v1/traces/01010101010101010101010101010101/statistics",
    "/api/v1/logs",
    "/api/v1/services",
    "/api/v1/operations",
    "/api/v1/histogram",
    "/api/v1/heatmap",
    "/traces?view=heat",
    "/api/v1/status",
    "/api/v1/status/history",
    "/api/v1/producers",
    "/api/v1/facets",
    "/api/v1/rates",
    "/api/v1/graph",
    "/api/v1/export",
    "/api/v1/openapi.json",
    "/api/v1/traces/01010101010101010101010101010101/download",
    "/api/v1/",
    "/api",
    "/api/services",
    "/api/services/a/operations",
    "/api/services/%ff%2F/operations",
    "/api/operations",
    "/api/traces",
    "/api/traces/01010101010101010101010101010101",
    "/api/traces/1",
    "/api/dependencies",
    "/api/metrics/latencies",
    "/api/metrics/calls",
    "/api/metrics/errors",
    "/api/metrics/minstep",
    "/api/transform",
    "/api/v3/services",
    "/api/v3/operations",
    "/api/v3/traces",
    "/api/v3/traces/AQEBAQEBAQEBAQEBAQEBAQ",
    "/api/v3/trace-summaries",
    "/metrics",
    "/open",
];

const KEYS: [&str; 81] = [
    "lq",
    "zoom",
    "q",
    "service",
    "min",
    "max",
    "order",
    "limit",
    "after",
    "range",
    "from",
    "to",
    "level",
    "around",
    "add",
    "not",
    "span",
    "t",
    "fold",
    "logs",
    "tab",
    "f",
    "theme",
    "back",
    "signal",
    "step",
    "fields",
    "values",
    "group",
    "operation",
    "quantiles",
    "format",
    "backlog",
    "tags",
    "tag",
    "minDuration",
    "maxDuration",
    "start",
    "end",
    "lookback",
    "traceID",
    "raw",
    "prettyPrint",
    "spanKind",
    "endTs",
    "query.serviceName",
    "query.startTimeMin",
    "query.startTimeMax",
    "query.attributes",
    "query.durationMin",
    "query.searchDepth",
    "startTime",
    "name",
    "focus",
    "depth",
    "sort",
    "page",
    "before",
    "cols",
    "col",
    "view",
    "a",
    "b",
    "id",
    "at",
    "by",
    "colour",
    "show",
    "of",
    "smin",
    "smax",
    "buckets",
    "count",
    "hide",
    "last",
    "quantile",
    "ratePer",
    "groupByOperation",
    "x",
    "",
    "%",
];

fn rates() -> RatesResponse {
    let rate = Some(Rate {
        count: 7,
        errors: 1,
        quantiles_nano: vec![1, 2, 3],
        ..Rate::default()
    });
    RatesResponse {
        series: vec![RateSeries {
            service: "a".to_owned(),
            total: rate.clone(),
            steps: vec![RateStep {
                start_unix_nano: 60_000_000_000,
                rate,
            }],
            ..RateSeries::default()
        }],
        range: Some(TimeRange {
            start_unix_nano: 0,
            end_unix_nano: u64::MAX,
        }),
        step_nano: 60_000_000_000,
        coverage: None,
    }
}

/// Of any time that is asked for: what is not in the range is left away.
fn heatmap() -> DurationHeatmapResponse {
    let step = |start_unix_nano: u64| HeatmapStep {
        start_unix_nano,
        first_bucket: 100,
        counts: vec![1, 0, 3],
        errors: vec![1],
    };
    let now = otlp::epoch();
    DurationHeatmapResponse {
        steps: [0, now - 1_000_000_000, now, u64::MAX].map(step).to_vec(),
        buckets_per_octave: 12,
        first_bucket: 97,
        edges_nano: (256..270).collect(),
        ..DurationHeatmapResponse::default()
    }
}

fn graph() -> ServiceGraphResponse {
    let node = |kind: NodeKind, name: &str| {
        Some(GraphNode {
            kind: kind.into(),
            name: name.to_owned(),
        })
    };
    let edge = |callee| GraphEdge {
        caller: node(NodeKind::Service, "a"),
        callee,
        calls: Some(Rate::default()),
    };
    ServiceGraphResponse {
        edges: vec![
            edge(node(NodeKind::Service, "a")),
            edge(node(NodeKind::Database, "b")),
        ],
        ..ServiceGraphResponse::default()
    }
}

/// Percent-encodes everything but letters and digits, or leaves the text as it is where that is an address at all.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => write!(out, "%{byte:02x}").unwrap(),
        }
        out
    })
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        any::<u64>().prop_map(|number| number.to_string()),
        Just("18446744073709551615-4294967295-18446744073709551615-4294967295".to_owned()),
        Just("18446744073709551615-01010101010101010101010101010101".to_owned()),
        Just("0202020202020202.0101010101010101".to_owned()),
        Just("0101010101010101".to_owned()),
        Just("01010101010101010101010101010101".to_owned()),
        Just("/trace/01010101010101010101010101010101?x".to_owned()),
        Just("9999999999999999999d".to_owned()),
        Just("2554-07-21T23:34:33Z".to_owned()),
        Just("1970-01-01T00:00".to_owned()),
        prop_oneof![
            Just("all"),
            Just("logs"),
            Just("spans"),
            Just("open"),
            Just("1ns"),
            Just("errors"),
            Just("dark"),
            Just("heat"),
            Just("traces"),
            Just("12"),
            Just("1h"),
            Just("jaeger"),
            Just("csv"),
            Just("kind"),
            Just("true"),
            Just("custom"),
            Just("a"),
            Just("p95"),
            Just("flame"),
            Just("graph"),
            Just("self"),
            Just("service"),
            Just("service:a"),
            Just("database:b")
        ]
        .prop_map(str::to_owned),
        Just("status:error OR (".to_owned()),
        Just("{\"error\":\"true\",\"a\":1}".to_owned()),
        Just("http.status_code:500".to_owned()),
        Just("a=1 b=\"x y".to_owned()),
        Just("1h30m".to_owned()),
        Just("0.5,0.99,1e-400,NaN".to_owned()),
        Just("-(a:/[/ b>1)".to_owned()),
    ]
}

fn address() -> impl Strategy<Value = String> {
    let path = prop_oneof![
        8 => prop::sample::select(&PATHS[..]).prop_map(str::to_owned),
        1 => "\\PC{0,30}".prop_map(|text| format!("/{}", encoded(&text))),
        1 => "(/[a-z0-9.%]{0,3}){1,4}",
    ];
    let pair = (prop::sample::select(&KEYS[..]), value())
        .prop_map(|(key, value)| format!("{key}={}", encoded(&value)));
    let query = prop_oneof![
        6 => prop::collection::vec(pair, 0..6).prop_map(|pairs| pairs.join("&")),
        1 => "[!-\"$-~]{0,40}",
    ];
    (path, query).prop_map(|(path, query)| match path.contains('?') {
        true => format!("{path}&{query}"),
        false => format!("{path}?{query}"),
    })
}

#[test]
fn no_address_and_no_parameter_makes_the_dashboard_fail() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let site = runtime.block_on(async {
        let canned = Canned {
            pieces: vec![GetTraceResponse {
                resource_spans: vec![otlp::spans(
                    "a",
                    vec![otlp::span(1, 1, 0, (0, 9)), otlp::span(1, 2, 1, (1, 3))],
                )],
                resource_logs: vec![otlp::logs("a", vec![otlp::record(1, 1, 2, 9, "hello")])],
                ..GetTraceResponse::default()
            }],
            rates: rates(),
            graph: graph(),
            heatmap: heatmap(),
            services: ListServicesResponse {
                services: vec![ServiceInfo {
                    service: "a".to_owned(),
                    ..ServiceInfo::default()
                }],
                coverage: None,
            },
            ..Canned::default()
        };
        Site::start(canned.serve().await).await
    });
    let methods = prop::sample::select(vec![
        Method::GET,
        Method::GET,
        Method::GET,
        Method::POST,
        Method::PUT,
    ]);
    let config = ProptestConfig {
        // Each case is a request over a socket.
        cases: ProptestConfig::default().cases.max(256) * 2,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(method in methods, address in address())| {
        // What is no address never leaves the client.
        prop_assume!(address.parse::<http::Uri>().is_ok());
        let answer = runtime.block_on(site.request(method, &address, &[]));
        prop_assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", address);
        prop_assert!(!answer.header("content-security-policy").is_empty(), "{}", address);
    });
}

/// Bodies that are almost a file with a trace.
fn body() -> impl Strategy<Value = String> {
    let otlp = "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"01010101010101010101010101010101\",\
        \"spanId\":\"0101010101010101\",\"startTimeUnixNano\":\"18446744073709551615\"}]}]}]}";
    let jaeger = "{\"data\":[{\"traceID\":\"1\",\"spans\":[{\"traceID\":\"1\",\"spanID\":\"1\",\
        \"startTime\":18446744073709551615,\"duration\":18446744073709551615,\"processID\":\"p1\",\
        \"references\":[{\"refType\":\"CHILD_OF\",\"traceID\":\"1\",\"spanID\":\"1\"}]}]}]}";
    let broken = (
        prop::sample::select(vec![otlp, jaeger]),
        any::<prop::sample::Index>(),
        "\\PC{0,3}|[\\[\\]{}\",:0-9]{1,3}",
    );
    prop_oneof![
        1 => Just(otlp.to_owned()),
        1 => Just(jaeger.to_owned()),
        1 => "\\PC{0,60}",
        5 => broken.prop_map(|(text, at, by)| {
            let at = at.index(text.len());
            format!("{}{by}{}", &text[..at], &text[(at + 1).min(text.len())..])
        }),
    ]
}

#[test]
fn no_body_and_no_content_type_makes_the_dashboard_fail() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let site = runtime.block_on(async { Site::start(Canned::default().serve().await).await });
    let kinds = prop::sample::select(vec![
        "application/json",
        "multipart/form-data; boundary=XX",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data",
        "text/plain; x=\"",
    ]);
    let config = ProptestConfig {
        cases: ProptestConfig::default().cases.max(256),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let paths = prop::sample::select(vec!["/open", "/api/transform", "/sample", "/traces"]);
    proptest!(config, |(path in paths, kind in kinds, body in body(), in_form: bool)| {
        let body = if in_form {
            format!("--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{body}\r\n--XX--\r\n")
        } else {
            body
        };
        let answer = runtime.block_on(site.post(path, kind, body));
        prop_assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{}: {}", path, answer.text());
        let opened = answer.header("location").to_owned();
        if opened.starts_with("/trace/") {
            let page = runtime.block_on(site.get(&opened));
            prop_assert_eq!(page.status, StatusCode::OK);
        }
    });
}

#[test]
fn no_header_makes_the_dashboard_fail() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = log_tracer_dashboard::Config {
        allowed_origins: vec!["https://grafana.example".to_owned()],
        ..log_tracer_dashboard::Config::default()
    };
    let site =
        runtime.block_on(async { Site::with(config, Canned::default().serve().await, None).await });
    let names = prop::sample::select(vec![
        "accept",
        "accept-encoding",
        "origin",
        "cookie",
        "referer",
        "sec-fetch-site",
        "content-type",
        "access-control-request-method",
        "x-forwarded-for",
        "range",
        "if-none-match",
        "authorization",
    ]);
    let values = prop_oneof!["[ -~]{0,60}", "[\\x20-\\x7e\\u{80}-\\u{ff}]{0,20}"];
    let config = ProptestConfig {
        cases: ProptestConfig::default().cases.max(256),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let methods = prop::sample::select(vec![
        Method::GET,
        Method::POST,
        Method::OPTIONS,
        Method::HEAD,
    ]);
    proptest!(config, |(method in methods, path in prop::sample::select(&PATHS[..]), name in names, value in values)| {
        prop_assume!(http::HeaderValue::from_str(&value).is_ok());
        let answer = runtime.block_on(site.request(method, path, &[(name, &value)]));
        prop_assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{} {}: {}", path, name, value);
        for (_, own) in &answer.headers {
            prop_assert!(!own.as_bytes().windows(7).any(|part| part.eq_ignore_ascii_case(b"<script")));
        }
    });
}
