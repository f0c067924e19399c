//! `log-tracer export`: everything of a range that matches, as OTLP in JSON or as Parquet.

mod output;

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use log_tracer_proto::v1::{ExportRequest, ExportResponse, RecordKey, Signal, TimeRange};
use log_tracer_runtime::exit::Code;
use tonic::Streaming;

use output::Output;

use super::{Failure, Progress, Server, ago, complain, refused, since, within};

/// A server that says nothing for so long is gone: a page has its own deadline there.
const SILENCE_MAX: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  log-tracer export --since 1h > last-hour.jsonl
  log-tracer export --signal spans 'service:checkout status:error' --output errors.jsonl
  log-tracer export --from 2026-11-01T00:00:00Z --until 2026-11-02T00:00:00Z --format parquet --output day.parquet
  duckdb -c \"select service, count(*) from 'day.parquet' group by all\"

In otlp-json, each line is an OTLP export request, as collectors read it from a file.")]
pub(in crate::cli) struct Options {
    /// What to look for, in the language of the search box; nothing takes everything
    #[arg(default_value = "")]
    query: String,
    /// Which records
    #[arg(long, value_enum, default_value_t = Which::Logs)]
    signal: Which,
    /// Not older than 90s, 15m, 6h or 2d
    #[arg(long, value_name = "TIME", value_parser = ago, conflicts_with_all = ["from", "until"])]
    since: Option<Duration>,
    /// The first moment that counts, such as 2026-11-01T00:00:00Z
    #[arg(long, value_name = "MOMENT")]
    from: Option<Timestamp>,
    /// The first moment that counts no more
    #[arg(long, value_name = "MOMENT")]
    until: Option<Timestamp>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::OtlpJson)]
    format: Format,
    /// Where to write it; it must not exist yet. Without it, or with -, to the standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    Logs,
    Spans,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One export request a line
    OtlpJson,
    /// The columns in which log-tracer keeps its own records
    Parquet,
}

pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let request = options.request()?;
    let mut output = Output::open(options)?;
    let written = copy(options, request, &mut output).await;
    match written {
        Ok(total) => {
            output.finish()?;
            total.report()
        }
        Err(failure) => {
            output.abandon();
            Err(failure)
        }
    }
}

impl Options {
    fn request(&self) -> Result<ExportRequest, Failure> {
        let signal = match self.signal {
            Which::Logs => Signal::Logs,
            Which::Spans => Signal::Spans,
        };
        let nano = |moment: Option<Timestamp>| moment.map_or(Ok(0), unix_nano);
        let (start_unix_nano, end_unix_nano) = (nano(self.from)?, nano(self.until)?);
        if end_unix_nano != 0 && end_unix_nano <= start_unix_nano {
            let message = "--until: expected a moment after --from";
            return Err(Failure::new(Code::Usage, message));
        }
        let range = TimeRange {
            start_unix_nano,
            end_unix_nano,
        };
        Ok(ExportRequest {
            signal: signal.into(),
            query: self.query.clone(),
            range: since(self.since).or(Some(range)),
            after: None,
        })
    }
}

fn unix_nano(moment: Timestamp) -> Result<u64, Failure> {
    u64::try_from(moment.as_nanosecond()).map_err(|_| {
        let message = format!("{moment}: expected a moment from 1970 to 2554");
        Failure::new(Code::Usage, message)
    })
}

/// What was written, and what may be missing in it.
#[derive(Debug, Default)]
struct Total {
    records: u64,
    missing: Vec<String>,
}

async fn copy(
    options: &Options,
    mut request: ExportRequest,
    output: &mut Output,
) -> Result<Total, Failure> {
    let client = options.server.client().await?;
    let mut service = client.service();
    let mut progress = Progress::new();
    let mut total = Total::default();
    let mut attempts = 0;
    loop {
        let stream = within(service.export(request.clone())).await?.into_inner();
        match copy_stream(
            stream,
            output,
            &mut total,
            &mut progress,
            &mut request.after,
        )
        .await
        {
            Ok(()) => break,
            // A cut stream goes on after the last record that came.
            Err(Cut::Stream(status)) if can_pass(&status) && attempts < 3 => attempts += 1,
            Err(Cut::Stream(status)) => return Err(refused(&status)),
            Err(Cut::Output(failure)) => return Err(failure),
        }
    }
    Ok(total)
}

enum Cut {
    Stream(tonic::Status),
    Output(Failure),
}

/// Whether the same question may be answered in a moment.
fn can_pass(status: &tonic::Status) -> bool {
    matches!(
        status.code(),
        tonic::Code::ResourceExhausted | tonic::Code::Unavailable
    )
}

async fn copy_stream(
    mut stream: Streaming<ExportResponse>,
    output: &mut Output,
    total: &mut Total,
    progress: &mut Progress,
    after: &mut Option<RecordKey>,
) -> Result<(), Cut> {
    loop {
        let next = tokio::time::timeout(SILENCE_MAX, stream.message()).await;
        let page = next
            .unwrap_or_else(|_| {
                Err(tonic::Status::deadline_exceeded(
                    "the server has gone silent",
                ))
            })
            .map_err(Cut::Stream)?;
        let Some(page) = page else {
            return Ok(());
        };
        let coverage = page.coverage.clone().unwrap_or_default();
        for reason in coverage.reasons {
            if coverage.partial && !total.missing.contains(&reason) {
                total.missing.push(reason);
            }
        }
        let (records, last) = (page.records, page.last);
        output.write(page).map_err(Cut::Output)?;
        total.records += u64::from(records);
        *after = last.or(after.take());
        progress.show(|| format!("{} records ...", total.records));
    }
}

impl Total {
    fn report(self) -> Result<(), Failure> {
        complain(&format!("{} records", self.records));
        if self.missing.is_empty() {
            return Ok(());
        }
        let message = format!("the export may not be whole: {}", self.missing.join("; "));
        Err(Failure::new(Code::Transient, message))
    }
}
