//! `log-tracer bench`: what log-tracer costs, and whether it keeps what it acknowledged.
//!
//! | command | what it does |
//! |---|---|
//! | `bench` | starts a server of its own, sends, asks, and prints the table |
//! | `bench load` | sends to any OTLP endpoint; figures of the client, and of the server's process |
//! | `bench verify` | proves that nothing of a load was lost or doubled |
//! | `bench curves` | cost against records stored, connections and batch size, with a picture |
//! | `bench mixed` | records and questions at once, at given rates |
//! | `bench pages` | CPU and size of every page of the dashboard, over more and more records |
//! | `bench users` | visitors and live tails at once while records come in |
//! | `bench against` | another revision and this one, in turn |
//!
//! CPU is that of the server by the operating system's account, latencies are as the client saw them. Times on a shared
//! machine are noise; CPU seconds are what to compare.
//!
//! - `load`, `ledger`, `verify`: the load generator and its check;
//! - `server`: a process that is measured; `ingest`, `questions`, `queries`, `latency`, `restart`: what it is put through;
//! - `table`, `report`: the table and its figures; `curves`, `mixed`, `pages`, `against`: the other measurements;
//! - `process`: what the operating system says about a process; `units`: numbers as people read them.

mod against;
mod curves;
mod ingest;
mod latency;
mod ledger;
mod load;
mod mixed;
mod pages;
mod process;
mod queries;
mod questions;
mod report;
mod restart;
mod server;
mod table;
mod units;
mod verify;

use std::io;

use crate::otlp_client::ConnectError;

pub use against::{AgainstReport, Options as AgainstOptions};
pub use curves::{CurvesReport, Options as CurvesOptions};
pub use ingest::Ingest;
pub use ledger::{Ledger, LedgerError};
pub use load::{LoadReport, Options as LoadOptions, Percentiles};
pub use mixed::{MixedReport, Options as MixedOptions};
pub use pages::{Options as PagesOptions, PagesReport, UsersOptions, UsersReport};
pub use report::Report;
pub use server::ServerOptions;
pub use table::Options as TableOptions;
pub use verify::{Options as VerifyOptions, Verdict};

pub use against::run as against;
pub use curves::run as curves;
pub use load::run as load;
pub use mixed::run as mixed;
pub use pages::{run as pages, users};
pub use table::run as table;
pub use verify::run as verify;

/// What to measure; without a command, the table.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    /// The table.
    #[command(flatten)]
    pub table: TableOptions,
    /// Something else.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Something else than the table.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Send traces and logs to any OTLP endpoint
    Load(LoadOptions),
    /// Prove that nothing of a load was lost or doubled
    Verify(VerifyOptions),
    /// Measure the cost against records stored, connections and batch size
    Curves(CurvesOptions),
    /// Take records in and answer questions at once, at given rates
    Mixed(MixedOptions),
    /// Measure what every page of the dashboard costs, and how large it is
    Pages(PagesOptions),
    /// Let visitors look at pages and live tails listen while records come in
    Users(UsersOptions),
    /// Compare with another revision, measured in turn with this one
    Against(AgainstOptions),
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The process to be measured did not start.
    #[error("cannot start the server to be measured: {0}")]
    Start(#[source] io::Error),
    /// There is no place for its data.
    #[error("cannot use a directory for the data: {0}")]
    Directory(#[source] io::Error),
    /// It started, and said something else than its addresses.
    #[error("the server to be measured did not print its addresses: {0}")]
    Addresses(String),
    /// It cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It cannot be reached by gRPC.
    #[error("cannot reach the server to be measured: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// What was given is no address.
    #[error("`{0}` is not an address: expected something like http://127.0.0.1:4317 (without TLS)")]
    Endpoint(String),
    /// Nobody answers there.
    #[error("nothing answers at {endpoint}: {reason}")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// What the network said.
        reason: String,
    },
    /// It refused a request.
    #[error("the server refused: {} ({:?})", .0.message(), .0.code())]
    Refused(Box<tonic::Status>),
    /// It refused all of them.
    #[error("nothing was acknowledged: {0}")]
    NothingAcked(String),
    /// There is no such process, or no /proc.
    #[error("process {0} cannot be looked at: expected the id of a running process, on Linux")]
    NoProcess(u32),
    /// What it answered is not what was sent.
    #[error("wrong answer: {0}")]
    Wrong(String),
    /// A part of the benchmark itself ended early.
    #[error("the load generator failed: {0}")]
    Generator(#[from] tokio::task::JoinError),
    /// The other revision cannot be built.
    #[error("the other revision cannot be built: {0}")]
    Build(String),
    /// The picture cannot be written.
    #[error("the picture {path}: {source}")]
    Picture {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A request could not be made.
    #[error("a request cannot be made: {0}")]
    Encode(io::Error),
    /// The requests could not be made.
    #[error("the data cannot be made: {0}")]
    Corpus(String),
    /// The latencies could not be kept.
    #[error("no histogram of latencies: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
    /// The file of what was acked.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<tonic::Status> for BenchError {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(Box::new(status))
    }
}
