//! The home page: what listens, what came in, and what an acknowledgement is worth; or, while nothing came in, how to
//! send something.

use http::StatusCode;
use log_tracer_proto::v1::{
    HistogramGroup, HistogramRequest, HistogramResponse, SearchTracesRequest, SearchTracesResponse,
    ServiceInfo, Signal, StatusResponse, TimeRange,
};
use serde::Serialize;
use warp::reply::Response;

use super::{
    pipeline::Vitals,
    traces::{TraceRow, rows_alone},
};
use crate::{
    About,
    app::App,
    charts::histogram::{self, Histogram},
    clock::{self, Moment},
    fault::Fault,
    palette::Palette,
    params::Link,
    range::Range,
    reply,
    search::service_term,
    units::{MINUTE, age, clip, compact, count, percent},
    views::Shell,
    visitor::Visitor,
};

/// How far the charts go back.
const RECENT: u64 = 15 * MINUTE;

/// Failed traces that are listed.
const FAILED_MAX: u32 = 5;

/// Services that are listed; more are counted.
const SERVICES_MAX: usize = 100;

/// Answers `/`.
pub(crate) async fn page(app: &App, visitor: &Visitor) -> Result<Response, Fault> {
    let now = clock::now();
    let range = TimeRange {
        start_unix_nano: now.saturating_sub(RECENT),
        end_unix_nano: now,
    };
    let histogram = |signal: Signal| HistogramRequest {
        signal: signal.into(),
        query: String::new(),
        range: Some(range),
        step_nano: histogram::step(range.start_unix_nano, range.end_unix_nano),
        group: HistogramGroup::Level.into(),
    };
    let failed = SearchTracesRequest {
        query: "status:error".to_owned(),
        range: Some(Range::All.bounds(now)),
        limit: FAILED_MAX,
        ..SearchTracesRequest::default()
    };
    let (services, status, spans, logs, failed) = tokio::try_join!(
        app.ask.services(),
        app.ask.status(),
        app.ask.histogram(histogram(Signal::Spans)),
        app.ask.histogram(histogram(Signal::Logs)),
        app.ask.search_traces(failed)
    )?;
    let recent = Recent {
        bounds: (range.start_unix_nano, range.end_unix_nano),
        spans: &spans,
        logs: &logs,
    };
    let can_sample = app.ingest.is_some();
    let view = view(
        &app.about, can_sample, now, &services, &status, &recent, &failed,
    );
    let shell = Shell {
        title: "Home",
        section: "home",
        refresh_s: view.empty.then_some(3),
    };
    Ok(reply::html(
        StatusCode::OK,
        app.views.page("home.html", &shell, visitor, &view)?,
    ))
}

/// The charts of the last minutes.
struct Recent<'a> {
    bounds: (u64, u64),
    spans: &'a HistogramResponse,
    logs: &'a HistogramResponse,
}

#[derive(Debug, Serialize)]
struct View {
    /// Nothing has come in yet.
    empty: bool,
    can_sample: bool,
    otlp_grpc: String,
    otlp_http: String,
    languages: Vec<Language>,
    vitals: Vitals,
    totals: Totals,
    spans: Histogram,
    logs: Histogram,
    services: Vec<ServiceRow>,
    more_services: usize,
    failed: Vec<TraceRow>,
    failed_href: String,
}

#[derive(Debug, Serialize)]
struct Totals {
    spans: String,
    spans_per_minute: String,
    logs: String,
    logs_per_minute: String,
    error_share: String,
    services: String,
    last_seen: String,
}

#[derive(Debug, Serialize)]
struct ServiceRow {
    name: String,
    colour: usize,
    spans: String,
    span_errors: String,
    error_share: String,
    logs: String,
    log_errors: String,
    last_seen: Moment,
    age: String,
    traces_href: String,
    errors_href: String,
    logs_href: String,
    log_errors_href: String,
}

/// How to send from a language.
#[derive(Debug, Serialize)]
struct Language {
    id: &'static str,
    name: &'static str,
    text: String,
}

fn view(
    about: &About,
    can_sample: bool,
    now: u64,
    services: &[ServiceInfo],
    status: &StatusResponse,
    recent: &Recent<'_>,
    failed: &SearchTracesResponse,
) -> View {
    let palette = Palette::new(services.iter().map(|service| service.service.as_str()), []);
    let chart = |answer, noun, path: &'static str| {
        Histogram::new(answer, recent.bounds, noun, |from, to| {
            Range::Between(from, to).write(Link::to(path)).to_string()
        })
    };
    View {
        empty: services.is_empty(),
        can_sample,
        otlp_grpc: about.otlp_grpc.clone(),
        otlp_http: about.otlp_http.clone(),
        languages: languages(about),
        vitals: Vitals::new(status),
        totals: totals(now, services, recent),
        spans: chart(recent.spans, ("span", "spans"), "/traces"),
        logs: chart(recent.logs, ("record", "records"), "/logs"),
        services: services
            .iter()
            .take(SERVICES_MAX)
            .map(|service| service_row(service, &palette, now))
            .collect(),
        more_services: services.len().saturating_sub(SERVICES_MAX),
        failed: rows_alone(&failed.traces, services, now),
        failed_href: Link::to("/traces")
            .with("q", "status:error")
            .with("range", "all")
            .to_string(),
    }
}

fn totals(now: u64, services: &[ServiceInfo], recent: &Recent<'_>) -> Totals {
    let sum = |of: fn(&ServiceInfo) -> u64| services.iter().map(of).sum::<u64>();
    let spans = sum(|service| service.span_count);
    let recent_sum = |answer: &HistogramResponse| {
        answer
            .series
            .iter()
            .flat_map(|series| &series.counts)
            .sum::<u64>()
    };
    let per_minute = |answer: &HistogramResponse| compact(recent_sum(answer) / (RECENT / MINUTE));
    let last_seen = services
        .iter()
        .map(|service| service.last_seen_unix_nano)
        .max();
    Totals {
        spans: compact(spans),
        spans_per_minute: per_minute(recent.spans),
        logs: compact(sum(|service| service.log_count)),
        logs_per_minute: per_minute(recent.logs),
        error_share: percent(sum(|service| service.error_span_count), spans),
        services: count(services.len() as u64),
        last_seen: last_seen.map_or_else(String::new, |time| age(now, time)),
    }
}

fn service_row(service: &ServiceInfo, palette: &Palette, now: u64) -> ServiceRow {
    let term = service_term(&service.service);
    let to = |path: &str, q: &str| Link::to(path).with("q", q).with("range", "all").to_string();
    let nonzero = |number: u64| {
        if number == 0 {
            String::new()
        } else {
            compact(number)
        }
    };
    ServiceRow {
        name: clip(&service.service, 80),
        colour: palette.colour(&service.service),
        spans: compact(service.span_count),
        span_errors: nonzero(service.error_span_count),
        error_share: percent(service.error_span_count, service.span_count),
        logs: compact(service.log_count),
        log_errors: nonzero(service.error_log_count),
        last_seen: Moment::new(service.last_seen_unix_nano),
        age: age(now, service.last_seen_unix_nano),
        traces_href: to("/traces", &term),
        errors_href: to("/traces", &format!("{term} status:error")),
        logs_href: to("/logs", &term),
        log_errors_href: to("/logs", &format!("{term} severity>=error")),
    }
}

/// The lines to paste, with the addresses that are really listened on.
fn languages(about: &About) -> Vec<Language> {
    let grpc = or(&about.otlp_grpc, "http://127.0.0.1:4317");
    let http = or(&about.otlp_http, "http://127.0.0.1:4318");
    let over_grpc = format!(
        "export OTEL_SERVICE_NAME=my-service\n\
         export OTEL_EXPORTER_OTLP_ENDPOINT={grpc}\n\
         export OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n"
    );
    let over_http = format!(
        "export OTEL_SERVICE_NAME=my-service\n\
         export OTEL_EXPORTER_OTLP_ENDPOINT={http}\n\
         export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"
    );
    let any_sdk = format!(
        "{over_grpc}\n# or over HTTP:\nexport OTEL_EXPORTER_OTLP_ENDPOINT={http}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"
    );
    let curl = format!(
        "curl {http}/v1/logs -H 'content-type: application/json' -d '{{\n\
         \x20 \"resourceLogs\": [{{\n\
         \x20   \"resource\": {{\"attributes\": [{{\"key\": \"service.name\", \"value\": {{\"stringValue\": \"my-service\"}}}}]}},\n\
         \x20   \"scopeLogs\": [{{\"logRecords\": [{{\"severityNumber\": 9, \"body\": {{\"stringValue\": \"hello\"}}}}]}}]\n\
         \x20 }}]\n\
         }}'\n"
    );
    [
        ("any", "Any SDK", any_sdk),
        (
            "python",
            "Python",
            format!(
                "pip install opentelemetry-distro opentelemetry-exporter-otlp\nopentelemetry-bootstrap -a install\n\
                 {over_grpc}export OTEL_LOGS_EXPORTER=otlp\nopentelemetry-instrument python app.py\n"
            ),
        ),
        (
            "node",
            "Node.js",
            format!(
                "npm install @opentelemetry/api @opentelemetry/auto-instrumentations-node\n{over_http}\
                 export OTEL_LOGS_EXPORTER=otlp\n\
                 node --require @opentelemetry/auto-instrumentations-node/register app.js\n"
            ),
        ),
        (
            "java",
            "Java",
            format!("# with the OpenTelemetry Java agent beside the program\n{over_http}java -javaagent:opentelemetry-javaagent.jar -jar app.jar\n"),
        ),
        (
            "go",
            "Go",
            format!("go get go.opentelemetry.io/otel/sdk go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc\n# otlptracegrpc.New(ctx) reads these:\n{over_grpc}go run .\n"),
        ),
        (
            "rust",
            "Rust",
            format!("cargo add opentelemetry opentelemetry_sdk\ncargo add opentelemetry-otlp --features grpc-tonic\n# SpanExporter::builder().with_tonic().build() reads these:\n{over_grpc}cargo run\n"),
        ),
        (
            "dotnet",
            ".NET",
            format!("dotnet add package OpenTelemetry.Extensions.Hosting\ndotnet add package OpenTelemetry.Exporter.OpenTelemetryProtocol\n# .UseOtlpExporter() reads these:\n{over_grpc}dotnet run\n"),
        ),
        ("curl", "Without an SDK", curl),
    ]
    .into_iter()
    .map(|(id, name, text)| Language { id, name, text })
    .collect()
}

fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}
