//! All roles as processes of their own, with an engine between them, on one machine.
//!
//! ```text
//!           .-> producer-1 --.             .--> consumer-1 (partitions 0, 2) <--.
//! SDKs --> |                 +--> engine --|                                    +-- dashboard <-- browsers
//!           '-> producer-2 --'             '--> consumer-2 (partitions 1, 3) <--'
//! ```
//!
//! It is for trying things out and for tests: one machine gains nothing from it that [`Standalone`](crate::Standalone)
//! does not give, but everything in it is what runs on several machines. What depends on another part starts after it
//! and stops before it. Nothing is started again: when a process ends, that is said, and all others are stopped.
//!
//! | module | what it does |
//! |---|---|
//! | [`plan`] | which processes with which arguments |
//! | [`engine`] | the engine's own processes and files |
//! | [`child`] | a process: its start, its log, its end |

pub mod child;
pub mod engine;
mod fluvio;
pub mod plan;

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

use log_tracer_runtime::exit::{Code, Exit};
use serde::Serialize;
use slog::{Logger, info, warn};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use engine::Kind;
pub use plan::{Plan, Spec};

use child::{Child, Ended, Relay};
use engine::Engine;

/// How long all processes together may take to stop before they are killed.
const STOP_MAX: Duration = Duration::from_secs(40);

/// What [`run`] starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// The engine.
    pub kind: Kind,
    /// Its program; one of the usual name on the search path when none is given.
    pub program: Option<PathBuf>,
    /// How many of what, and where.
    pub plan: Plan,
    /// Whether the logs of the processes are coloured.
    pub is_coloured: bool,
}

/// A topology whose processes all listen.
#[derive(Debug)]
pub struct Topology {
    engine: Engine,
    consumers: Vec<Child>,
    producers: Vec<Child>,
    dashboard: Child,
    report: Report,
    log: Logger,
}

/// Where everything is.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The web pages.
    pub dashboard: String,
    /// Where to send to: any of them.
    pub producers: Vec<Producer>,
    /// Where to ask.
    pub consumers: Vec<Consumer>,
    /// The engine's name.
    pub engine: &'static str,
    /// Where clients of the engine connect.
    pub engine_address: String,
    /// Below which everything lies.
    pub data_directory: PathBuf,
    /// The process ids by name.
    pub processes: BTreeMap<String, u32>,
}

/// A producer of a topology.
#[derive(Clone, Debug, Serialize)]
pub struct Producer {
    /// Its name.
    pub name: String,
    /// OTLP over gRPC.
    pub otlp_grpc: String,
    /// OTLP over HTTP.
    pub otlp_http: String,
}

/// A consumer of a topology.
#[derive(Clone, Debug, Serialize)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// QueryService.
    pub query_grpc: String,
    /// What it reads.
    pub partitions: Vec<u16>,
}

impl Topology {
    /// Starts everything, one after the other, and returns when all of it listens. Must be called from the main thread:
    /// the engine ends with the thread that started it.
    ///
    /// # Errors
    /// A program is missing, an address is taken, or a process ended before it listened. Nothing is running then.
    pub async fn start(options: &Options, log: &Logger) -> Result<Self, TopologyError> {
        let plan = &options.plan;
        plan.check()?;
        std::fs::create_dir_all(&plan.data_directory).map_err(|source| TopologyError::Io {
            what: format!("the directory {}", plan.data_directory.display()),
            source,
        })?;
        let relay = Relay::new(options.is_coloured);
        let engine = Engine::start(options.kind, options.program.as_deref(), plan, &relay).await?;
        info!(log, "started"; "part" => engine.kind().name(), "address" => engine.address());
        let programs = plan::Programs::beside_this_one()?;
        let transport = engine.settings();

        let mut consumers = Vec::new();
        for spec in plan.consumers(&programs, &transport) {
            consumers.push(Child::start(spec, &relay)?);
        }
        let mut producers = Vec::new();
        for spec in plan.producers(&programs, &transport) {
            producers.push(Child::start(spec, &relay)?);
        }
        for child in consumers.iter_mut().chain(&mut producers) {
            child.listens().await?;
            info!(log, "started"; "part" => child.name());
        }
        let addresses = |children: &[Child], key| -> Result<Vec<String>, TopologyError> {
            children.iter().map(|child| child.address(key)).collect()
        };
        let query = addresses(&consumers, "query_grpc")?;
        let grpc = addresses(&producers, "otlp_grpc")?;
        let http = addresses(&producers, "otlp_http")?;
        let spec = plan.dashboard(&programs, &query, &grpc, &http);
        let mut dashboard = Child::start(spec, &relay)?;
        dashboard.listens().await?;
        info!(log, "started"; "part" => dashboard.name());

        let names = |children: &[Child]| -> Vec<String> {
            children
                .iter()
                .map(|child| child.name().to_owned())
                .collect()
        };
        let report = Report {
            dashboard: dashboard.address("dashboard")?,
            producers: (names(&producers).into_iter().zip(grpc).zip(http))
                .map(|((name, otlp_grpc), otlp_http)| Producer {
                    name,
                    otlp_grpc,
                    otlp_http,
                })
                .collect(),
            consumers: (names(&consumers).into_iter().zip(query).zip(plan.owned()))
                .map(|((name, query_grpc), partitions)| Consumer {
                    name,
                    query_grpc,
                    partitions,
                })
                .collect(),
            engine: engine.kind().name(),
            engine_address: engine.address().to_owned(),
            data_directory: plan.data_directory.clone(),
            processes: (consumers.iter().chain(&producers).chain([&dashboard]))
                .filter_map(|child| Some((child.name().to_owned(), child.id()?)))
                .chain(engine.ids())
                .collect(),
        };
        Ok(Self {
            engine,
            consumers,
            producers,
            dashboard,
            report,
            log: log.clone(),
        })
    }

    /// Where everything is.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Returns when a process has ended although nobody asked it to.
    pub async fn ended(&mut self) -> Ended {
        let roles = self.consumers.iter_mut().chain(&mut self.producers);
        let roles = roles.chain(std::iter::once(&mut self.dashboard));
        let waits = roles.map(|child| Box::pin(child.ended()));
        tokio::select! {
            ended = self.engine.ended() => ended,
            (ended, ..) = futures_util::future::select_all(waits) => ended,
        }
    }

    /// Stops everything, those first that depend on others.
    ///
    /// # Errors
    /// The processes that did not end cleanly, or had to be killed. Nothing runs any more all the same.
    pub async fn stop(self) -> Result<(), TopologyError> {
        let deadline = Instant::now() + STOP_MAX;
        let mut wrong = Vec::new();
        let mut note = |stopped: Ended| {
            if stopped.is_clean() {
                info!(self.log, "stopped"; "part" => &stopped.name);
            } else {
                warn!(self.log, "did not end cleanly"; "part" => &stopped.name, "how" => &stopped.how);
                wrong.push(stopped);
            }
        };
        for step in [vec![self.dashboard], self.producers, self.consumers] {
            let stops = step.into_iter().map(|child| child.stop(deadline));
            let stopped = futures_util::future::join_all(stops).await;
            stopped.into_iter().for_each(&mut note);
        }
        note(self.engine.stop(deadline).await);
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(TopologyError::Ended(wrong)),
        }
    }
}

/// Starts everything, says where it is by `ready`, and stops it when `shutdown` is cancelled or a process has ended.
///
/// # Errors
/// It cannot be started, or a process ended by itself or did not end cleanly.
pub async fn run(
    options: &Options,
    log: &Logger,
    shutdown: &CancellationToken,
    ready: impl FnOnce(&Report),
) -> Result<(), TopologyError> {
    let mut topology = tokio::select! {
        started = Topology::start(options, log) => started?,
        () = shutdown.cancelled() => return Ok(()),
    };
    ready(topology.report());
    let ended = tokio::select! {
        ended = topology.ended() => Some(ended),
        () = shutdown.cancelled() => None,
    };
    if let Some(ended) = &ended {
        warn!(log, "a process has ended, all others are stopped"; "part" => &ended.name, "how" => &ended.how);
    }
    let stopped = topology.stop().await;
    match ended {
        Some(ended) => Err(TopologyError::Ended(vec![ended])),
        None => stopped,
    }
}

/// Why a topology cannot run, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// The numbers do not fit together.
    #[error("{0}")]
    Plan(String),
    /// A program is not there.
    #[error("{what} is not there: {help}")]
    Missing {
        /// Which.
        what: String,
        /// What to do.
        help: String,
    },
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A process did not come up.
    #[error("{name} does not listen: {why}")]
    NotReady {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
    /// Processes ended that should not have, or not so.
    #[error("{}", ended(.0))]
    Ended(Vec<Ended>),
}

fn ended(all: &[Ended]) -> String {
    let one = |ended: &Ended| format!("{} ended: {}", ended.name, ended.how);
    all.iter().map(one).collect::<Vec<_>>().join("\n")
}

impl Exit for TopologyError {
    fn exit_code(&self) -> Code {
        match self {
            Self::Plan(_) => Code::Usage,
            Self::Missing { .. } => Code::Config,
            Self::Io { .. } => Code::Transient,
            // A process that does not like its settings says so by its own code.
            Self::Ended(all) if all.iter().any(|one| one.code == Some(78)) => Code::Config,
            Self::NotReady { .. } | Self::Ended(_) => Code::Internal,
        }
    }
}
