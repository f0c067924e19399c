//! The questions that are asked of a server: one of each kind, each with what it may cost.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use log_tracer_proto::v1::{
    Coverage, FacetsRequest, GetTraceRequest, HistogramGroup, HistogramRequest,
    ListServicesRequest, RateGroup, RatesRequest, SearchLogsRequest, SearchTracesRequest,
    ServiceGraphRequest, Signal, TimeRange, query_service_client::QueryServiceClient,
};
use tonic::transport::Channel;

use super::BenchError;
use crate::client::ANSWER_BYTES_MAX;

pub(super) type Client = QueryServiceClient<Channel>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) name: &'static str,
    /// CPU of the server in milliseconds that an answer may cost; none where nothing was set.
    pub(super) budget_cpu_ms: Option<f64>,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Trace(Bytes),
    Traces(&'static str),
    Logs(String),
    Histogram(&'static str),
    Facets(&'static str),
    Services,
    /// The 99th percentile of the duration by operation.
    Rates,
    Graph,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// Spans, records, traces or counts in the answer.
    pub(super) hits: u64,
    /// Whether the server said that something may be missing.
    pub(super) is_partial: bool,
    pub(super) took: Duration,
}

/// A client of a QueryService.
pub(super) async fn connect(address: &str) -> Result<Client, BenchError> {
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

/// The questions; ids and rare words are taken from what is there.
pub(super) async fn all(client: &mut Client) -> Result<Vec<Question>, BenchError> {
    let trace_id = some_trace(client).await?;
    let order = some_order(client).await?;
    let rare = Kind::Logs(format!("\"{order}\""));
    let one = Kind::Logs(format!("app.order.id:{order}"));
    let common = Kind::Logs("order".to_owned());
    let severe = Kind::Logs("service:payment severity>=error".to_owned());
    let slow = Kind::Traces("service:checkout duration>200ms");
    Ok([
        (
            "trace by id, with its logs",
            Some(2.0),
            Kind::Trace(trace_id),
        ),
        ("traces: newest 20", None, Kind::Traces("")),
        ("traces: service, duration > 200ms", None, slow),
        ("traces: errors", None, Kind::Traces("status:error")),
        ("logs: newest 100", None, Kind::Logs(String::new())),
        ("logs: common word, newest 100", Some(10.0), common),
        ("logs: rare word", Some(4.0), rare),
        ("logs: one attribute's value", None, one),
        ("logs: service and severity", None, severe),
        ("services", None, Kind::Services),
        ("p99 of duration by operation", Some(50.0), Kind::Rates),
        ("service graph", None, Kind::Graph),
        (
            "histogram of all logs by severity",
            Some(15.0),
            Kind::Histogram(""),
        ),
        ("histogram of a common word", None, Kind::Histogram("order")),
        ("facets of all logs", None, Kind::Facets("")),
    ]
    .into_iter()
    .map(|(name, budget_cpu_ms, kind)| Question {
        name,
        budget_cpu_ms,
        kind,
    })
    .collect())
}

async fn some_trace(client: &mut Client) -> Result<Bytes, BenchError> {
    let request = SearchTracesRequest {
        query: "name:\"shop.Checkout/PlaceOrder\"".to_owned(),
        limit: 20,
        ..SearchTracesRequest::default()
    };
    let found = client.search_traces(request).await?.into_inner().traces;
    let trace = found.last().map(|trace| trace.trace_id.clone());
    trace.ok_or_else(|| BenchError::Wrong("no checkout was found".to_owned()))
}

async fn some_order(client: &mut Client) -> Result<String, BenchError> {
    let request = SearchLogsRequest {
        query: "app.order.id:* placing".to_owned(),
        limit: 50,
        ..SearchLogsRequest::default()
    };
    let found = client.search_logs(request).await?.into_inner().hits;
    found
        .last()
        .and_then(|hit| order_id(&hit.record.as_ref()?.attributes))
        .ok_or_else(|| BenchError::Wrong("no order was found".to_owned()))
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

/// Asks, and measures how long the answer took.
pub(super) async fn ask(client: &mut Client, kind: &Kind) -> Result<Answered, BenchError> {
    let started = Instant::now();
    let (hits, coverage) = answer(client, kind).await?;
    Ok(Answered {
        hits,
        is_partial: coverage.is_none_or(|coverage| coverage.partial),
        took: started.elapsed(),
    })
}

async fn answer(client: &mut Client, kind: &Kind) -> Result<(u64, Option<Coverage>), BenchError> {
    Ok(match kind {
        Kind::Trace(trace_id) => return trace(client, trace_id).await,
        Kind::Traces(query) => {
            let request = SearchTracesRequest {
                query: (*query).to_owned(),
                limit: 20,
                ..SearchTracesRequest::default()
            };
            let answer = client.search_traces(request).await?.into_inner();
            (answer.traces.len() as u64, answer.coverage)
        }
        Kind::Logs(query) => {
            let request = SearchLogsRequest {
                query: query.clone(),
                limit: 100,
                ..SearchLogsRequest::default()
            };
            let answer = client.search_logs(request).await?.into_inner();
            (answer.hits.len() as u64, answer.coverage)
        }
        Kind::Histogram(query) => {
            let request = HistogramRequest {
                signal: Signal::Logs.into(),
                query: (*query).to_owned(),
                range: Some(last_two_hours()),
                step_nano: 60_000_000_000,
                group: HistogramGroup::Level.into(),
                records_max: 0,
            };
            let answer = client.histogram(request).await?.into_inner();
            let counts = answer.series.iter().flat_map(|group| &group.counts);
            (counts.sum(), answer.coverage)
        }
        Kind::Facets(query) => {
            let request = FacetsRequest {
                signal: Signal::Logs.into(),
                query: (*query).to_owned(),
                ..FacetsRequest::default()
            };
            let answer = client.facets(request).await?.into_inner();
            (answer.facets.len() as u64, answer.coverage)
        }
        Kind::Services => {
            let answer = client.list_services(ListServicesRequest {}).await?;
            let answer = answer.into_inner();
            (answer.services.len() as u64, answer.coverage)
        }
        Kind::Rates => {
            let request = RatesRequest {
                range: Some(last_two_hours()),
                group: RateGroup::Operation.into(),
                quantiles: vec![0.99],
                ..RatesRequest::default()
            };
            let answer = client.rates(request).await?.into_inner();
            (answer.series.len() as u64, answer.coverage)
        }
        Kind::Graph => {
            let request = ServiceGraphRequest {
                range: Some(last_two_hours()),
                quantiles: vec![0.99],
                ..ServiceGraphRequest::default()
            };
            let answer = client.service_graph(request).await?.into_inner();
            (answer.edges.len() as u64, answer.coverage)
        }
    })
}

async fn trace(
    client: &mut Client,
    trace_id: &Bytes,
) -> Result<(u64, Option<Coverage>), BenchError> {
    let request = GetTraceRequest {
        trace_id: trace_id.clone(),
        ..GetTraceRequest::default()
    };
    let mut pieces = client.get_trace(request).await?.into_inner();
    let (mut spans, mut coverage) = (0, None);
    while let Some(piece) = pieces.message().await? {
        let groups = piece.resource_spans.iter();
        let scopes = groups.flat_map(|group| &group.scope_spans);
        spans += scopes.map(|scope| scope.spans.len() as u64).sum::<u64>();
        coverage = piece.coverage.or(coverage);
    }
    Ok((spans, coverage))
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
