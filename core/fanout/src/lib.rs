//! Several consumers asked as one: a `QueryService` over those of N consumers.
//!
//! ```text
//! dashboard, command line --QueryService--> Fanout --QueryService--> consumer a (partitions 0, 1)
//!     (a pipe in the process, or TCP)          |--QueryService--> consumer b (partitions 2, 3)
//!                                              '  (asked when b fails or is slow) --> consumer c (partitions 2, 3)
//! ```
//!
//! With a single consumer, [`Fanout::connect`] is the connection to it: there is nothing between.
//!
//! # Who is asked
//!
//! Each consumer is asked how it is ([`Config::refresh_ms`]). Consumers with equal partitions are replicas: a question goes
//! to one of each set, the best first: one that works, does not replay, lacks least of the log's history, lags least,
//! answered fastest. When it fails, the next is asked at once; when it is slow ([`Config::hedge_ms`]), the next is asked as
//! well and the first answer counts. One that is known to be away is not asked, so nothing waits for it. The module `view`
//! has the rules for what does not fit together.
//!
//! # What is missing is said
//!
//! When no member of a set answers before the deadline, the answer lacks its partitions, is partial, and names the
//! consumers and why. When no set answers at all, the question fails with UNAVAILABLE and all reasons. What a consumer says
//! is wrong with the question itself (INVALID_ARGUMENT) is passed on as it is, once. A consumer that is too old to know a
//! question (UNIMPLEMENTED) is missing like one that is away; when all are, that is the answer. `GetTraceOutline` is
//! UNIMPLEMENTED when no member of one of the sets knows it, so that the caller asks all of them for the whole trace.
//!
//! # How answers are put together
//!
//! | call | merged by | what may differ from one consumer with all records |
//! |---|---|---|
//! | `SearchLogs` | the key of a record; equal keys once | nothing |
//! | `SearchTraces` | start and id, or the rank that was asked for | see below |
//! | `GetTrace` | spans by start, then logs by time; equal spans of two consumers once | nothing |
//! | `GetTraceOutline` | the same; spans are equal when all their numbers are | nothing |
//! | `Histogram` | step and group | nothing |
//! | `DurationHeatmap` | step and bucket | traces that lie on two sets count twice: see below |
//! | `Facets` | field and value, of the first [`Config::facet_values_max`] of each | beyond those, counts may be low: said |
//! | `ListServices`, `ListOperations` | names | nothing |
//! | `Rates`, `ServiceGraph` | names; durations by their sketches | nothing: sketches of parts add up to the sketch of all |
//! | `Export` | time; records of one time stand in any order | `last` is a place between two times |
//! | `Tail` | as they arrive; the backlog by key | when a consumer is lost, what may be missing is said |
//! | `WaitForPosition` | waits for every replica that answers | a replica that is late is left after a moment |
//! | `ExportQuarantine` | one consumer after the other | |
//! | `Status` | added up, with each consumer in `consumers` | |
//!
//! ## Traces
//!
//! A trace lies in one partition, since partitions are chosen by its id and their number is fixed for the life of a log. So
//! it lies whole on each member of one set, a page of `SearchTraces` is a merge of sorted pages, and the cursor is as
//! stable as that of one consumer. Only when a partition moved to another set can a trace have spans on two: both hold what
//! the log still had at the time of the move, and each may have what the other lacks. Then a page shows it once, with the
//! earliest start, the latest end and the sums, which count twice what both have; on a later page it may stand again,
//! at its other start. To put that right, every trace of every page would have to be looked up on all consumers; instead
//! the answer is partial and names the consumer (`view`), until its old records have left by retention. `GetTrace` is
//! exact even then: equal spans are answered once.
//!
//! # Bounds
//!
//! Answers hold what their requests allow: a message of [`Config::message_bytes_max`] at most from each set, and from each
//! replica that was asked as well. A streamed answer holds one message of each set, and of a trace with replicas, or on
//! several sets, also some dozens of bytes a record, to go on at another one and to know what is equal. An export holds the
//! records of one moment in time of each set beyond that. An outline is held whole until the caller has it:
//! [`Config::outline_bytes_max`] and a message from each consumer that was asked, and its numbers again while it is put
//! together. So the memory is bounded by [`Config::queries_max`] times the number of consumers times both limits, plus
//! [`Config::streams_max`] times the number of consumers times the message limit; in practice an answer is a thousandth of
//! that.

mod config;
mod export;
mod fan;
mod merge;
mod peer;
mod pipe;
mod quarantine;
mod server;
mod service;
mod status;
mod tail;
mod trace;
mod view;
mod wait;
mod watch;

use std::{io, sync::Arc};

use futures_util::Stream;
use slog::Logger;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, Semaphore, watch as tokio_watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, server::Connected};

pub use config::Config;
pub use server::ServeError;

use fan::Fan;
use peer::Peer;
use view::View;

/// One consumer that is asked.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it is, as a person knows it: shown in answers and by `Status`.
    pub address: String,
    /// The connection to it, which may be made when it is first used.
    pub channel: Channel,
}

/// Several consumers asked as one. When the last clone is dropped, its pipes and its watch over the consumers end.
#[derive(Clone, Debug)]
pub struct Fanout {
    fan: Arc<Fan>,
    tasks: Arc<Tasks>,
}

#[derive(Debug)]
struct Tasks {
    pipes: tokio::sync::mpsc::Sender<tokio::io::DuplexStream>,
    /// Ends the watch and what serves the pipes when it is dropped.
    _running: JoinSet<()>,
}

impl Fanout {
    /// Begins to watch the consumers. Must be called within a tokio runtime.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>, config: Config, log: Logger) -> Self {
        let peer = |one: Endpoint| {
            let peer = Peer::new(one.address, one.channel, config.message_bytes_max);
            Arc::new(peer)
        };
        let fan = Arc::new(Fan {
            peers: endpoints.into_iter().map(peer).collect(),
            view: tokio_watch::Sender::new(Arc::new(View::default())),
            wake: Notify::new(),
            queries: Arc::new(Semaphore::new(config.queries_max)),
            streams: Arc::new(Semaphore::new(config.streams_max)),
            log,
            config,
        });
        watch::publish(&fan);
        let mut running = JoinSet::new();
        if fan.only().is_none() {
            running.spawn(watch::run(Arc::clone(&fan)));
        }
        let (pipes, incoming) = pipe::pipes();
        running.spawn(server::serve_pipes(Arc::clone(&fan), incoming));
        let tasks = Tasks {
            pipes,
            _running: running,
        };
        Self {
            fan,
            tasks: Arc::new(tasks),
        }
    }

    /// A channel that asks all consumers as one, over pipes in memory; of a single consumer, the connection to it. It must
    /// not outlive the last clone of this.
    #[must_use]
    pub fn connect(&self) -> Channel {
        match self.fan.only() {
            Some(_) => self.connection_of_only(),
            None => pipe::connect(self.tasks.pipes.clone()),
        }
    }

    /// Serves QueryService, health and reflection on connections until `shutdown` is cancelled, then lets calls finish for
    /// [`Config::drain_deadline_ms`]; tails end at once. Connections that are still open then are left to the runtime.
    ///
    /// # Errors
    /// The server could not be built. A connection that fails is no error, and neither is one that cannot be accepted.
    pub fn serve<IO, I>(
        &self,
        incoming: I,
        shutdown: CancellationToken,
    ) -> impl Future<Output = Result<(), ServeError>> + Send + use<IO, I>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        I: Stream<Item = io::Result<IO>> + Send,
    {
        server::serve(Arc::clone(&self.fan), incoming, shutdown)
    }

    fn connection_of_only(&self) -> Channel {
        let only = self.fan.peers.first();
        match only {
            Some(peer) => peer.channel(),
            None => pipe::connect(self.tasks.pipes.clone()),
        }
    }
}
