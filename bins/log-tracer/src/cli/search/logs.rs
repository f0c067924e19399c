//! `log-tracer logs`: log records, newest last; with `--follow` also those to come.

use std::time::Duration;

use log_tracer_proto::{
    json,
    v1::{SearchLogsRequest, Signal, TailRequest},
};
use log_tracer_record::{LogRow, logs_to_otlp};
use log_tracer_runtime::exit::Code;

use super::{
    Failure, Printed, Server, ago, complain, print, refused, since, warn_if_partial, within,
};
use crate::{client::logs_of_hits, text, tree};

/// A tail answers with an empty message at least this often; longer silence means that the server is gone.
const SILENCE_MAX: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  log-tracer logs 'severity>=warn service:checkout' --since 1h
  log-tracer logs '\"connection refused\"' --follow
  log-tracer logs --json | jq .")]
pub(in crate::cli) struct Options {
    /// What to look for, in the language of the search box; nothing finds everything
    #[arg(default_value = "")]
    query: String,
    /// The newest so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    limit: u32,
    /// Not older than 90s, 15m, 6h or 2d
    #[arg(long, value_name = "TIME", value_parser = ago)]
    since: Option<Duration>,
    /// Go on with what arrives, until Ctrl-C
    #[arg(long, short, conflicts_with = "since")]
    follow: bool,
    /// One record a line, in OTLP/JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    if options.follow {
        return follow(options).await;
    }
    let client = options.server.client().await?;
    let page = within(client.logs(SearchLogsRequest {
        query: options.query.clone(),
        range: since(options.since),
        limit: options.limit,
        ..SearchLogsRequest::default()
    }))
    .await?;
    let mut lines = String::new();
    for log in page.logs.into_iter().rev() {
        lines += &line(options, log)?;
    }
    print(&lines)?;
    warn_if_partial(&page.coverage);
    Ok(())
}

async fn follow(options: &Options) -> Result<(), Failure> {
    let client = options.server.client().await?;
    let request = TailRequest {
        signal: Signal::Logs.into(),
        query: options.query.clone(),
        backlog: options.limit,
    };
    let mut service = client.service();
    let mut steps = within(service.tail(request)).await?.into_inner();
    loop {
        let step = tokio::time::timeout(SILENCE_MAX, steps.message()).await;
        let step = step
            .map_err(|_| Failure::new(Code::Transient, "the server has gone silent"))?
            .map_err(|status| refused(&status))?;
        let Some(step) = step else {
            return Err(Failure::new(Code::Transient, "the server has stopped"));
        };
        if !step.interrupted.is_empty() {
            complain(&step.interrupted);
        }
        if step.dropped > 0 {
            complain(&format!(
                "{} records were lost here, this reader is too slow",
                step.dropped
            ));
        }
        let mut lines = String::new();
        let logs = logs_of_hits(step.hits, step.resources, step.scopes);
        for log in logs.map_err(|status| refused(&status))? {
            lines += &line(options, log)?;
        }
        if print(&lines)? == Printed::NobodyReads {
            return Ok(());
        }
    }
}

fn line(options: &Options, log: LogRow) -> Result<String, Failure> {
    if options.json {
        let json = json::logs_to_json(&logs_to_otlp([log]));
        return Ok(json + "\n");
    }
    let time = text::time(log.time_unix_nano());
    Ok(format!("{time} {}\n", tree::log_text(&log)))
}
