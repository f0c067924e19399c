//! `log-tracer topology`: all roles as processes of their own, on one machine.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use clap::ValueEnum;
use log_tracer_runtime::{env::Environment, exit::Code, logging, shutdown};
use slog::warn;

use super::Failure;
use crate::topology::{self, Kind, Plan, Report};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  log-tracer topology nats                                 nats-server from the search path
  log-tracer topology fluvio --program ./fluvio-run
  log-tracer topology nats --copies 2                      a replica of each consumer
  log-tracer topology nats --free-ports --json             for programs that start it

The programs of the roles must lie beside this one: cargo build --release --workspace --bins")]
pub(super) struct Options {
    /// The engine between the roles
    engine: EngineName,
    /// Its program [default: nats-server or fluvio-run on the search path, or what NATS_SERVER or FLUVIO_RUN names]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Where everything is kept [default: data/topology-nats or data/topology-fluvio]
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Producers
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    producers: u16,
    /// Consumers, among which the partitions are divided
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    consumers: u16,
    /// Consumers of the same partitions: 2 gives each a replica
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    copies: u16,
    /// Partitions of the log, fixed once it was made
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    partitions: u16,
    /// A free port for each address instead of 4317, 4318, 4319, 8080 and so on
    #[arg(long)]
    free_ports: bool,
    /// A setting for every role that has it not otherwise, such as logging.level=debug; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// One line of JSON with the addresses once it is ready, for programs that start it
    #[arg(long)]
    json: bool,
    /// Stop when the standard input ends, as it does when the program that started this one ends
    #[arg(long)]
    exit_with_parent: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EngineName {
    Nats,
    Fluvio,
}

impl Options {
    fn topology(&self, is_coloured: bool) -> topology::Options {
        let kind = match self.engine {
            EngineName::Nats => Kind::Nats,
            EngineName::Fluvio => Kind::Fluvio,
        };
        let usual = || PathBuf::from(format!("data/topology-{}", kind.name()));
        topology::Options {
            kind,
            program: self.program.clone(),
            plan: Plan {
                data_directory: self.data_dir.clone().unwrap_or_else(usual),
                producers: self.producers,
                consumers: self.consumers,
                copies: self.copies,
                partitions: self.partitions,
                has_free_ports: self.free_ports,
                settings: self.set.clone(),
            },
            is_coloured,
        }
    }
}

pub(super) fn run(options: &Options, environment: &Environment) -> Result<(), Failure> {
    let mut config = logging::Config::default();
    environment.apply_to(&mut config);
    let (log, _written_last) =
        logging::init(&config).map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::transient("the threads of the program cannot be started", &error)
        })?;
    let is_coloured = io::stderr().is_terminal() && !environment.no_colour();
    let topology = options.topology(is_coloured);
    // On this thread: the engine ends with the thread that started it.
    runtime.block_on(async {
        let shutdown = shutdown::on_signals(log.clone())
            .map_err(|error| Failure::transient("signals cannot be watched", &error))?;
        if options.exit_with_parent {
            shutdown::on_end_of(io::stdin(), shutdown.clone(), log.clone()).map_err(|error| {
                Failure::transient("the standard input cannot be watched", &error)
            })?;
        }
        let ready = |report: &Report| {
            let text = if options.json {
                json(report)
            } else {
                text(report)
            };
            if let Err(error) = io::stdout().write_all(text.as_bytes()) {
                warn!(log, "the addresses cannot be printed"; "error" => %error);
            }
        };
        topology::run(&topology, &log, &shutdown, ready).await?;
        Ok(())
    })
}

fn json(report: &Report) -> String {
    serde_json::to_string(report).unwrap_or_default() + "\n"
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "\nlog-tracer on {} is ready\n\n  dashboard    {}\n",
        report.engine, report.dashboard
    );
    // A write to a string cannot fail.
    for producer in &report.producers {
        let (name, grpc, http) = (&producer.name, &producer.otlp_grpc, &producer.otlp_http);
        let _ = writeln!(text, "  {name:12} OTLP gRPC {grpc}, OTLP HTTP {http}");
    }
    for consumer in &report.consumers {
        let (name, query) = (&consumer.name, &consumer.query_grpc);
        let partitions = consumer.partitions.iter().map(u16::to_string);
        let partitions = partitions.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "  {name:12} {query}, partitions {partitions}");
    }
    let endpoint = report
        .producers
        .first()
        .map_or("", |one| one.otlp_grpc.as_str());
    let _ = write!(
        text,
        "  {:12} {}\n  data         {}\n\nSend with any OpenTelemetry SDK, to any producer:\n\n  \
         export OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}\n  \
         export OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n\n\
         Ctrl-C stops everything, a second Ctrl-C ends this process at once.\n\n",
        report.engine,
        report.engine_address,
        report.data_directory.display(),
    );
    text
}
