//! `log-tracer status`: how each consumer is.

use log_tracer_proto::v1::{
    ConsumerRole, ConsumerStatus, PartitionStatus, StatusRequest, StatusResponse,
};
use log_tracer_runtime::exit::Code;
use serde_json::json;

use super::{Failure, Server, print, table::table, within};
use crate::text;

/// What a healthy consumer says of itself.
const READY: &str = "ready";

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  log-tracer status
  log-tracer status --server http://10.0.0.5:4319,http://10.0.0.6:4319
  log-tracer status --json | jq .

Exit codes: 0 nothing is missing from answers; 75 something is, and is named.")]
pub(in crate::cli) struct Options {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let server = options.server.client().await?;
    let status = within(server.service().status(StatusRequest {})).await?;
    let status = status.into_inner();
    let consumers = match status.consumers.is_empty() {
        false => status.consumers.clone(),
        true => vec![alone(&status, options.server.server.join(","))],
    };
    let text = match options.json {
        true => consumers.iter().map(object).collect(),
        false => lines(&consumers),
    };
    print(&text)?;
    let unwell = status.faults.iter().cloned();
    let unwell = unwell.chain([&status.health, &status.replaying].map(String::clone));
    let unwell: Vec<String> = unwell
        .filter(|text| !text.is_empty() && text != READY)
        .collect();
    match unwell.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Code::Transient, unwell.join("\n"))),
    }
}

/// A consumer that answers for itself.
fn alone(status: &StatusResponse, address: String) -> ConsumerStatus {
    ConsumerStatus {
        address,
        role: ConsumerRole::Asked.into(),
        health: status.health.clone(),
        lag: status.partitions.iter().map(lag).sum(),
        status: Some(status.clone()),
        ..ConsumerStatus::default()
    }
}

fn lag(partition: &PartitionStatus) -> u64 {
    partition.log_end.saturating_sub(partition.applied_next)
}

fn role(one: &ConsumerStatus) -> &'static str {
    match one.role() {
        ConsumerRole::Asked => "asked",
        ConsumerRole::Replica => "replica",
        ConsumerRole::LeftOut => "left out",
        ConsumerRole::Away => "away",
        ConsumerRole::Unspecified => "",
    }
}

fn partitions(one: &ConsumerStatus) -> Vec<u32> {
    let status = one.status.iter();
    let partitions = status.flat_map(|status| &status.partitions);
    partitions.map(|partition| partition.partition).collect()
}

fn lines(consumers: &[ConsumerStatus]) -> String {
    let head = [
        "consumer",
        "address",
        "role",
        "partitions",
        "health",
        "behind",
    ];
    let rows: Vec<Vec<String>> = consumers
        .iter()
        .map(|one| {
            let name = one.status.as_ref().map_or("", |status| &status.name);
            let partitions = partitions(one).into_iter().map(|it| it.to_string());
            let partitions: Vec<String> = partitions.collect();
            vec![
                text::line(name),
                text::line(&one.address),
                role(one).to_owned(),
                partitions.join(","),
                text::line(&one.health),
                one.lag.to_string(),
            ]
        })
        .collect();
    table(5, &head, &rows)
}

fn object(one: &ConsumerStatus) -> String {
    let status = one.status.clone().unwrap_or_default();
    let transport = status.transport.unwrap_or_default();
    let object = json!({
        "name": status.name,
        "version": status.version,
        "address": one.address,
        "role": role(one),
        "health": one.health,
        "partitions": partitions(one),
        "replicas": one.replicas,
        "lag": one.lag.to_string(),
        "logId": transport.log_id,
        "transport": transport.kind,
        "replaying": status.replaying,
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_consumer_has_a_line() {
        let status = StatusResponse {
            name: "a".to_owned(),
            health: READY.to_owned(),
            partitions: vec![PartitionStatus {
                partition: 2,
                applied_next: 3,
                log_end: 10,
                ..PartitionStatus::default()
            }],
            ..StatusResponse::default()
        };
        let one = alone(&status, "http://a".to_owned());
        let text = lines(std::slice::from_ref(&one));
        let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["a", "http://a", "asked", "2", "ready", "7"]);
        assert!(object(&one).contains(r#""partitions":[2]"#));
    }
}
