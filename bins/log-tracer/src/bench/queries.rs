//! A few questions of each kind over what was sent.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use log_tracer_proto::v1::{
    FacetsRequest, GetTraceRequest, HistogramGroup, HistogramRequest, SearchLogsRequest,
    SearchTracesRequest, Signal, TimeRange, query_service_client::QueryServiceClient,
};
use tonic::transport::Channel;

use super::{
    BenchError,
    report::{Latencies, Query},
    server::Server,
    table::Options,
};
use crate::client::ANSWER_BYTES_MAX;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

enum Question {
    Trace(Bytes),
    Traces(&'static str),
    Logs(String),
    Histogram(&'static str),
    Facets(&'static str),
}

/// A client of a QueryService.
pub(super) async fn connect(address: &str) -> Result<QueryServiceClient<Channel>, BenchError> {
    let unreachable = |reason: String| BenchError::Unreachable {
        endpoint: address.to_owned(),
        reason,
    };
    let channel = Channel::from_shared(address.to_owned())
        .map_err(|error| unreachable(error.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .connect()
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    Ok(QueryServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
}

pub(super) async fn ask(options: &Options, server: &Server) -> Result<Vec<Query>, BenchError> {
    let mut client = server.query().await?;
    let mut figures = Vec::new();
    for (name, question) in questions(&mut client).await? {
        let mut took = Vec::new();
        let mut hits = 0;
        let before = server.usage();
        for _ in 0..options.repeats {
            let started = Instant::now();
            hits = answer(&mut client, &question).await?;
            took.push(started.elapsed());
        }
        let cpu = before
            .zip(server.usage())
            .map(|(before, after)| after.cpu.saturating_sub(before.cpu) / options.repeats);
        figures.push(Query {
            name: name.to_owned(),
            hits,
            latency: Latencies::new(took),
            cpu_ms: cpu.map(|cpu| cpu.as_secs_f64() * 1e3),
        });
    }
    Ok(figures)
}

/// The questions; ids and rare words are taken from what is there.
async fn questions(
    client: &mut QueryServiceClient<Channel>,
) -> Result<Vec<(&'static str, Question)>, BenchError> {
    let traces = client
        .search_traces(SearchTracesRequest {
            query: "name:\"shop.Checkout/PlaceOrder\"".to_owned(),
            limit: 20,
            ..SearchTracesRequest::default()
        })
        .await?
        .into_inner();
    let trace_id = traces
        .traces
        .last()
        .map(|trace| trace.trace_id.clone())
        .ok_or_else(|| BenchError::Wrong("no checkout was found".to_owned()))?;
    let logs = client
        .search_logs(SearchLogsRequest {
            query: "app.order.id:* placing".to_owned(),
            limit: 50,
            ..SearchLogsRequest::default()
        })
        .await?
        .into_inner();
    let order = logs
        .hits
        .last()
        .and_then(|hit| order_id(&hit.record.as_ref()?.attributes))
        .ok_or_else(|| BenchError::Wrong("no order was found".to_owned()))?;
    Ok(vec![
        ("trace by id, with its logs", Question::Trace(trace_id)),
        ("traces: newest 20", Question::Traces("")),
        (
            "traces: service, duration > 200ms",
            Question::Traces("service:checkout duration>200ms"),
        ),
        ("traces: errors", Question::Traces("status:error")),
        ("logs: newest 100", Question::Logs(String::new())),
        (
            "logs: common word, newest 100",
            Question::Logs("order".to_owned()),
        ),
        ("logs: rare word", Question::Logs(format!("\"{order}\""))),
        (
            "logs: one attribute's value",
            Question::Logs(format!("app.order.id:{order}")),
        ),
        (
            "logs: service and severity",
            Question::Logs("service:payment severity>=error".to_owned()),
        ),
        ("histogram of all logs by severity", Question::Histogram("")),
        ("histogram of a common word", Question::Histogram("order")),
        ("facets of all logs", Question::Facets("")),
    ])
}

async fn answer(
    client: &mut QueryServiceClient<Channel>,
    question: &Question,
) -> Result<u64, BenchError> {
    Ok(match question {
        Question::Trace(trace_id) => {
            let mut pieces = client
                .get_trace(GetTraceRequest {
                    trace_id: trace_id.clone(),
                    ..GetTraceRequest::default()
                })
                .await?
                .into_inner();
            let mut spans = 0;
            while let Some(piece) = pieces.message().await? {
                let scopes = piece
                    .resource_spans
                    .iter()
                    .flat_map(|resource| &resource.scope_spans);
                spans += scopes.map(|scope| scope.spans.len() as u64).sum::<u64>();
            }
            spans
        }
        Question::Traces(query) => {
            let request = SearchTracesRequest {
                query: (*query).to_owned(),
                limit: 20,
                ..SearchTracesRequest::default()
            };
            client
                .search_traces(request)
                .await?
                .into_inner()
                .traces
                .len() as u64
        }
        Question::Logs(query) => {
            let request = SearchLogsRequest {
                query: query.clone(),
                limit: 100,
                ..SearchLogsRequest::default()
            };
            client.search_logs(request).await?.into_inner().hits.len() as u64
        }
        Question::Histogram(query) => {
            let request = HistogramRequest {
                signal: Signal::Logs.into(),
                query: (*query).to_owned(),
                range: Some(last_two_hours()),
                step_nano: 60_000_000_000,
                group: HistogramGroup::Level.into(),
            };
            let series = client.histogram(request).await?.into_inner().series;
            series.iter().flat_map(|group| &group.counts).sum()
        }
        Question::Facets(query) => {
            let request = FacetsRequest {
                signal: Signal::Logs.into(),
                query: (*query).to_owned(),
                ..FacetsRequest::default()
            };
            client.facets(request).await?.into_inner().facets.len() as u64
        }
    })
}

fn last_two_hours() -> TimeRange {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    TimeRange {
        start_unix_nano: nanos(now.saturating_sub(Duration::from_secs(7_200))),
        end_unix_nano: nanos(now),
    }
}

fn order_id(attributes: &[log_tracer_proto::otlp::common::KeyValue]) -> Option<String> {
    use log_tracer_proto::otlp::common::any_value::Value;
    let found = attributes
        .iter()
        .find(|attribute| attribute.key == "app.order.id")?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(order) => Some(order.clone()),
        _ => None,
    }
}
