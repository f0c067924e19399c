//! `log-tracer services`: what each service or operation does, how often it fails, and how long it takes.

use std::time::Duration;

use log_tracer_proto::v1::{Rate, RateGroup, RateSeries, RatesRequest, TimeRange};
use serde_json::{Value, json};

use super::{
    Failure, Server, ago, print, since,
    table::{QUANTILES, durations, rate, share, table},
    warn_if_partial, within,
};
use crate::text;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  log-tracer services --since 15m
  log-tracer services --operations --service checkout
  log-tracer services --operations --json | jq .")]
pub(in crate::cli) struct Options {
    /// A line for each operation, not only for each service
    #[arg(long)]
    operations: bool,
    /// Of this service only
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    service: String,
    /// Spans that started in the last 90s, 15m, 6h or 2d; counted by whole minutes
    #[arg(long, value_name = "TIME", value_parser = ago, default_value = "1h")]
    since: Duration,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let server = options.server.client().await?;
    let mut client = server.service();
    let group = match options.operations {
        true => RateGroup::Operation,
        false => RateGroup::Service,
    };
    let request = RatesRequest {
        range: since(Some(options.since)),
        group: group.into(),
        service: options.service.clone(),
        quantiles: QUANTILES.to_vec(),
        ..RatesRequest::default()
    };
    let found = within(client.rates(request)).await?.into_inner();
    let seconds = seconds_since(found.range, options.since);
    let text = match options.json {
        true => found
            .series
            .iter()
            .map(|one| object(one, seconds))
            .collect(),
        false => lines(&found.series, options.operations, seconds),
    };
    print(&text)?;
    warn_if_partial(&found.coverage.unwrap_or_default());
    Ok(())
}

/// How long the answer reaches back: to the start of a minute.
pub(super) fn seconds_since(counted: Option<TimeRange>, asked: Duration) -> f64 {
    let start = |range: Option<TimeRange>| range.map_or(0, |range| range.start_unix_nano);
    let earlier = start(since(Some(asked))).saturating_sub(start(counted));
    (asked + Duration::from_nanos(earlier)).as_secs_f64()
}

fn lines(series: &[RateSeries], operations: bool, seconds: f64) -> String {
    let numbers = ["spans", "a second", "errors", "p50", "p95", "p99"];
    let texts: &[&str] = match operations {
        true => &["service", "operation"],
        false => &["service"],
    };
    let head: Vec<&str> = texts.iter().chain(&numbers).copied().collect();
    let rows: Vec<Vec<String>> = series
        .iter()
        .map(|one| {
            let total = one.total.clone().unwrap_or_default();
            let operation = one.operation.as_deref().map(text::line);
            let names = [text::line(&one.service)].into_iter().chain(operation);
            let counts = [
                total.count.to_string(),
                rate(total.count, seconds),
                share(total.errors, total.count),
            ];
            names
                .chain(counts)
                .chain(durations(&total.quantiles_nano))
                .collect()
        })
        .collect();
    table(texts.len(), &head, &rows)
}

fn object(series: &RateSeries, seconds: f64) -> String {
    let mut object = counted(&series.total.clone().unwrap_or_default(), seconds);
    if let Some(object) = object.as_object_mut() {
        object.insert("service".to_owned(), json!(series.service));
        if let Some(operation) = &series.operation {
            object.insert("operation".to_owned(), json!(operation));
        }
    }
    format!("{object}\n")
}

/// What is counted, as JSON. Numbers of 64 bits are strings, as in OTLP/JSON: many readers of JSON round them.
pub(super) fn counted(rate: &Rate, seconds: f64) -> Value {
    let quantile = |place: usize| {
        let nano = rate.quantiles_nano.get(place).copied().unwrap_or(0);
        nano.to_string()
    };
    json!({
        "count": rate.count.to_string(),
        "perSecond": rate.count as f64 / seconds.max(1e-9),
        "errors": rate.errors.to_string(),
        "p50Nano": quantile(0),
        "p95Nano": quantile(1),
        "p99Nano": quantile(2),
        "minNano": rate.min_nano.to_string(),
        "maxNano": rate.max_nano.to_string(),
        "sumNano": rate.sum_nano.to_string(),
    })
}
