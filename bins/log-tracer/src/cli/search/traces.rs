//! `log-tracer traces`: a line for each trace. `log-tracer trace ID`: one as a tree, with its logs.

use std::{fmt::Write, time::Duration};

use log_tracer_proto::{
    json,
    v1::{SearchTracesRequest, TraceSummary},
};
use log_tracer_record::{TraceId, logs_to_otlp, spans_to_otlp};
use log_tracer_runtime::exit::Code;
use serde_json::{Value, json};

use super::{Failure, Server, ago, print, since, warn_if_partial, within};
use crate::{client::TraceRows, text, tree};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  log-tracer traces 'service:checkout duration>250ms'
  log-tracer traces 'status:error' --since 1h --json")]
pub(in crate::cli) struct Options {
    /// What one of the spans must be, in the language of the search box; nothing finds everything
    #[arg(default_value = "")]
    query: String,
    /// The newest so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Not older than 90s, 15m, 6h or 2d
    #[arg(long, value_name = "TIME", value_parser = ago)]
    since: Option<Duration>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  log-tracer trace 5b8efff798038103d269b633813fc60c")]
pub(in crate::cli) struct OneOptions {
    /// 32 hexadecimal digits
    #[arg(value_parser = TraceId::from_hex)]
    id: TraceId,
    /// The spans on one line in OTLP/JSON, the logs on another
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let client = options.server.client().await?;
    let found = within(client.traces(SearchTracesRequest {
        query: options.query.clone(),
        range: since(options.since),
        limit: options.limit,
        ..SearchTracesRequest::default()
    }))
    .await?;
    let show = if options.json { object } else { line };
    // The newest last, where a person looks.
    let lines: String = found.traces.iter().rev().map(show).collect();
    print(&lines)?;
    warn_if_partial(&found.coverage.unwrap_or_default());
    Ok(())
}

pub(super) async fn run_one(options: &OneOptions) -> Result<(), Failure> {
    let client = options.server.client().await?;
    let found = within(client.trace(options.id)).await?;
    let Some(rows) = found else {
        let message = format!("there is no trace {}", options.id);
        return Err(Failure::new(Code::Transient, message));
    };
    let coverage = rows.coverage.clone();
    let text = if options.json {
        let spans = json::traces_to_json(&spans_to_otlp(rows.spans));
        let logs = json::logs_to_json(&logs_to_otlp(rows.logs));
        format!("{spans}\n{logs}\n")
    } else {
        whole(&rows)
    };
    print(&text)?;
    warn_if_partial(&coverage);
    Ok(())
}

fn whole(rows: &TraceRows) -> String {
    let spans: Vec<_> = rows.spans.iter().collect();
    let logs: Vec<_> = rows.logs.iter().collect();
    let mut text = String::new();
    if let Some(start) = spans.iter().map(|span| span.start_unix_nano()).min() {
        // A write to a string cannot fail.
        let _ = writeln!(text, "{}", text::time(start));
    }
    let _ = tree::write(&mut text, &spans, &logs);
    text
}

fn line(trace: &TraceSummary) -> String {
    let errors = match trace.error_count {
        0 => String::new(),
        count => format!(" {count} errors"),
    };
    format!(
        "{} {} {:>8} {:>5} spans{errors}  {}: {}\n",
        text::time(trace.start_unix_nano),
        hex(&trace.trace_id),
        text::duration(trace.duration_nano),
        trace.span_count,
        text::line(&trace.root_service),
        text::line(&trace.root_name),
    )
}

fn object(trace: &TraceSummary) -> String {
    let services: Vec<Value> = trace
        .services
        .iter()
        .map(|service| {
            json!({
                "service": service.service,
                "spans": service.span_count,
                "errors": service.error_count,
            })
        })
        .collect();
    // Numbers of 64 bits are strings, as in OTLP/JSON: many readers of JSON round them.
    let object = json!({
        "traceId": hex(&trace.trace_id),
        "rootService": trace.root_service,
        "rootName": trace.root_name,
        "startTimeUnixNano": trace.start_unix_nano.to_string(),
        "durationNano": trace.duration_nano.to_string(),
        "spans": trace.span_count,
        "errors": trace.error_count,
        "orphans": trace.orphan_count,
        "logs": trace.log_count,
        "services": services,
    });
    format!("{object}\n")
}

fn hex(id: &[u8]) -> String {
    TraceId::from_bytes(id).map_or_else(String::new, |id| id.to_string())
}
