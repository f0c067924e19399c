//! `log-tracer logs`, `traces`, `trace`, `services`, `graph` and `status`: ask a running log-tracer from the terminal.
//!
//! With `--json`, each line of the standard output is one JSON object: for logs, one record in OTLP/JSON within its
//! resource and scope, as collectors read it from a file.

mod export;
mod graph;
mod logs;
mod services;
mod status;
mod table;
mod traces;

use std::{
    io::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use log_tracer_fanout::{Config as FanoutConfig, Endpoint as Consumer, Fanout};
use log_tracer_proto::v1::{Coverage, StatusRequest, TimeRange};
use log_tracer_runtime::exit::Code;
use slog::{Discard, Logger, o};
use tonic::{Status, transport::Endpoint};

use super::{Failure, progress::Progress};
use crate::client::{ANSWER_BYTES_MAX, Client};

pub(super) use export::Options as ExportOptions;
pub(super) use graph::Options as GraphOptions;
pub(super) use logs::Options as LogsOptions;
pub(super) use services::Options as ServicesOptions;
pub(super) use status::Options as StatusOptions;
pub(super) use traces::{OneOptions as TraceOptions, Options as TracesOptions};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ASK_TIMEOUT: Duration = Duration::from_secs(60);

/// Where to ask.
#[derive(Debug, clap::Args)]
struct Server {
    /// QueryService of a running log-tracer; of several consumers, all of them, with commas or given again
    #[arg(
        long,
        value_name = "URL",
        env = "LOG_TRACER_SERVER",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:4319"
    )]
    server: Vec<String>,
}

pub(super) fn logs(options: &LogsOptions) -> Result<(), Failure> {
    block_on(logs::run(options))
}

pub(super) fn export(options: &ExportOptions) -> Result<(), Failure> {
    block_on(export::run(options))
}

pub(super) fn traces(options: &TracesOptions) -> Result<(), Failure> {
    block_on(traces::run(options))
}

pub(super) fn trace(options: &TraceOptions) -> Result<(), Failure> {
    block_on(traces::run_one(options))
}

pub(super) fn services(options: &ServicesOptions) -> Result<(), Failure> {
    block_on(services::run(options))
}

pub(super) fn status(options: &StatusOptions) -> Result<(), Failure> {
    block_on(status::run(options))
}

pub(super) fn graph(options: &GraphOptions) -> Result<(), Failure> {
    block_on(graph::run(options))
}

/// Whoever can be asked.
#[derive(Debug)]
struct Connected {
    client: Client,
    /// What asks several as one, for as long as they are asked.
    _fanout: Option<Fanout>,
}

impl std::ops::Deref for Connected {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Server {
    async fn client(&self) -> Result<Connected, Failure> {
        let endpoints = self.server.iter().map(|address| endpoint(address));
        let mut endpoints = endpoints.collect::<Result<Vec<Endpoint>, Failure>>()?;
        let (Some(first), true) = (endpoints.pop(), endpoints.is_empty()) else {
            return self.clients().await;
        };
        // A connection is made at once, so that "nobody is there" is told apart from a refused question.
        let connected = first.connect().await;
        let channel = connected.map_err(|_| self.nobody())?;
        Ok(Connected {
            client: Client::new(channel),
            _fanout: None,
        })
    }

    /// Several, asked as one.
    async fn clients(&self) -> Result<Connected, Failure> {
        let consumer = |address: &String| {
            Ok(Consumer {
                address: address.clone(),
                channel: endpoint(address)?.connect_lazy(),
            })
        };
        let consumers = self.server.iter().map(consumer);
        let consumers = consumers.collect::<Result<Vec<Consumer>, Failure>>()?;
        let config = FanoutConfig {
            message_bytes_max: ANSWER_BYTES_MAX,
            ..FanoutConfig::default()
        };
        // What a person has to know stands in the answers.
        let log = Logger::root(Discard, o!());
        let fanout = Fanout::new(consumers, config, log);
        let client = Client::new(fanout.connect());
        within(client.service().status(StatusRequest {}))
            .await
            .map_err(|failure| match failure.code() {
                Code::Transient => self.nobody(),
                _ => failure,
            })?;
        Ok(Connected {
            client,
            _fanout: Some(fanout),
        })
    }

    fn nobody(&self) -> Failure {
        let message = format!(
            "nothing answers at {}: start log-tracer first, or name another address with --server",
            self.server.join(", ")
        );
        Failure::new(Code::Transient, message)
    }
}

fn endpoint(address: &str) -> Result<Endpoint, Failure> {
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|_| {
        let message =
            format!("`{address}` is no address: expected something like http://127.0.0.1:4319");
        Failure::new(Code::Usage, message)
    })?;
    Ok(endpoint.connect_timeout(CONNECT_TIMEOUT))
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Transient, error.to_string()))?;
    runtime.block_on(command)
}

/// Waits for an answer, but not for ever.
async fn within<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Failure> {
    let answered = tokio::time::timeout(ASK_TIMEOUT, answer).await;
    answered
        .unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(format!(
                "no answer within {} s",
                ASK_TIMEOUT.as_secs()
            )))
        })
        .map_err(|status| refused(&status))
}

fn refused(status: &Status) -> Failure {
    let code = match status.code() {
        tonic::Code::InvalidArgument => Code::Usage,
        _ => Code::Transient,
    };
    Failure::new(code, status.message().to_owned())
}

/// Says on the standard error that an answer is not whole, and why.
fn warn_if_partial(coverage: &Coverage) {
    if coverage.partial {
        let reasons = coverage.reasons.join("; ");
        complain(&format!("something may be missing: {reasons}"));
    }
}

/// A line on the standard error, beside the answer.
fn complain(text: &str) {
    // A closed terminal cannot be told.
    writeln!(io::stderr(), "log-tracer: {text}").ok();
}

/// Writes lines; a reader that has seen enough, such as `head`, ends the command without an error.
fn print(text: &str) -> Result<Printed, Failure> {
    let mut output = io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Ok(()) => Ok(Printed::GoOn),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Printed::NobodyReads),
        Err(error) => Err(Failure::new(
            Code::Transient,
            format!("the answer cannot be written: {error}"),
        )),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Printed {
    GoOn,
    NobodyReads,
}

/// The time from so long ago until now; without a bound when it is 0.
fn since(ago: Option<Duration>) -> Option<TimeRange> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let start = now.saturating_sub(ago?).as_nanos();
    Some(TimeRange {
        start_unix_nano: u64::try_from(start).unwrap_or(u64::MAX),
        end_unix_nano: 0,
    })
}

/// `90s`, `15m`, `6h`, `2d`.
fn ago(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time such as 90s, 15m, 6h or 2d, found `{text}`");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number = text.strip_suffix(unit).ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_ago_has_a_number_and_a_unit() {
        assert_eq!(ago("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(ago("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(ago("2d"), Ok(Duration::from_secs(172_800)));
        for wrong in [
            "",
            "5",
            "m",
            "-5m",
            "5 m",
            "5w",
            "99999999999999999999d",
            "5µ",
        ] {
            assert!(ago(wrong).is_err(), "{wrong}");
        }
    }
}
