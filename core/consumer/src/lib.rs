//! The consumer: from a subscription to the store, and `QueryService` over it.
//!
//! ```text
//! transport --deliveries--> reader --rows--> store <--scans-- QueryService <-- gRPC: TCP, or pipes in the process
//!                             |  '---matches--> tails ------------^
//!                             '---cursors--> progress --> WaitForPosition, Status, commit (advisory)
//! ```
//!
//! # Applied exactly once
//!
//! The reader owns its position. An envelope below the cursor of its partition is skipped; a batch that was applied
//! already, known by its id and part, is skipped and counted as a duplicate, whatever offset it stands at now. The ids
//! are remembered within a bound ([`ApplyConfig::seen_batches_max`]), which is the honest limit of the promise. Records
//! can be found before the cursor moves, and the cursor moves before it is committed to the transport, which is only
//! told how far it may forget.
//!
//! With a store on disk ([`Config::store_directory`]) the same holds across crashes. Between two deliveries, when enough
//! was applied, the reader *seals*: it hands the rows over together with the cursors, the id of the log, the batches that
//! it has seen and the envelopes that were set aside. A thread writes the rows as blocks and then all of it becomes
//! durable in one transaction, or nothing does. Only then is the transport told that it may forget. After a crash the
//! consumer goes on at the cursors of the last transaction, and the log holds everything after them.
//!
//! # What never blocks a partition
//!
//! An envelope that cannot be decoded, or that does not hold as many records as its producer counted, is set aside
//! whole in a quarantine that is bounded in bytes; it is counted, shown by `Status` and handed out by
//! `ExportQuarantine`. Envelopes that left the log before they were read are a gap: logged, counted, shown by `Status`,
//! and a reason why answers are partial. What cannot be read past (a corrupt log, or one that is shorter than it was)
//! stops its partition alone, and says so in the same places.
//!
//! # Another log
//!
//! Offsets mean nothing in another log, so the id of the log is noted with the cursors and compared whenever the reader
//! subscribes anew; a log that was replaced is refused. A store on disk keeps both with its data: a consumer whose store
//! is of another log, or is further than the log, does not start ([`StartError::OtherLog`],
//! [`StartError::LogIsBehind`]).
//!
//! # Threads
//!
//! Decoding and applying a delivery takes up to tens of milliseconds, and a scan longer than that; both run on
//! blocking threads so that the threads of the runtime stay free for connections. A hand-over costs microseconds, once
//! for each delivery and each query. Scans are bounded in number and time, and end when their client goes away.
//!
//! # Stopping
//!
//! What was acked can be asked for until the end, so the parts stop in this order:
//!
//! 1. the producer: nothing new is acked;
//! 2. servers that were started with [`Consumer::serve`], each by its own token: calls may finish for
//!    [`QueryConfig::drain_deadline_ms`], tails and waits end at once;
//! 3. [`Consumer::stop`]: the reader applies what the log holds at that moment and commits it, then tails and calls over
//!    pipes end, all before its deadline;
//! 4. the transport, by whoever opened it. When it is closed earlier, the reader ends with it.

mod apply;
mod away;
mod commit;
mod config;
mod error;
mod history;
mod hits;
mod maintenance;
mod open;
mod pipe;
mod process;
mod progress;
mod quarantine;
mod reader;
mod seen;
mod server;
mod service;
mod shared;
mod table;
mod tail;
mod tasks;

use std::{io, sync::Arc};

use futures_util::Stream;
use log_tracer_transport::{Offset, Partition, Transport};
use slog::Logger;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, server::Connected};

pub use away::serve_away;
pub use config::{ApplyConfig, Config, QueryConfig, TailConfig};
pub use error::{ServeError, StartError, StopError};
pub use log_tracer_store::parquet;
pub use log_tracer_store::{OpenError as StoreError, StoreCheck, check as check_store};
pub use progress::Health;

use shared::Shared;
use tasks::Tasks;

/// A running consumer. Clones are the same one; when the last is dropped it ends at once, without waiting for what is
/// under way, so [`stop`](Self::stop) it before.
#[derive(Clone, Debug)]
pub struct Consumer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    tasks: Tasks,
}

impl Consumer {
    /// Subscribes to the owned partitions, where its store stands or else from the earliest envelope that is kept, and
    /// begins to apply them.
    ///
    /// # Errors
    /// The configuration is wrong, the store cannot be opened or does not belong to the log, or the transport refuses for
    /// a reason that does not pass by itself. A transport that cannot be read for the moment is no error: it is tried
    /// again until it can, and [`health`](Self::health) says so.
    pub async fn start(
        config: Config,
        transport: Arc<dyn Transport>,
        log: Logger,
    ) -> Result<Self, StartError> {
        config.validate().map_err(StartError::Config)?;
        let partitions = transport.partitions();
        let owned = config
            .owned(partitions)
            .map_err(|partition| StartError::UnknownPartition {
                partition,
                last: partitions.get() - 1,
            })?;
        let (shared, restored) = open::open(config, transport, &owned, log).await?;
        let tasks = Tasks::start(&shared, owned, &restored).await?;
        Ok(Self {
            inner: Arc::new(Inner { shared, tasks }),
        })
    }

    /// Serves QueryService, health and reflection on connections until `shutdown` is cancelled, then lets calls finish
    /// for [`QueryConfig::drain_deadline_ms`] and cuts the rest. Dropping the future cuts all of them at once. TCP
    /// connections should come with Nagle's algorithm off (`TCP_NODELAY`), or small answers wait for acknowledgements.
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
        server::serve(Arc::clone(&self.inner.shared), incoming, shutdown)
    }

    /// A channel to this consumer over pipes in memory: whoever is in the same process asks through the same generated
    /// client as everyone else. It connects when it is first used. Must be called within a tokio runtime.
    #[must_use]
    pub fn connect_in_process(&self) -> Channel {
        pipe::connect(self.inner.tasks.pipes())
    }

    /// Whether it works now.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inner.shared.progress.borrow().health()
    }

    /// Returns once an offset was passed: it can be found then, or never will be. At once for a partition that is not
    /// read, or not any more. Whoever has a limit to waiting sets it.
    pub async fn passed(&self, partition: Partition, offset: Offset) {
        service::passed(&self.inner.shared, partition, offset).await;
    }

    /// Stops it, as the crate's documentation describes; a second call changes nothing.
    ///
    /// # Errors
    /// Something was still under way at the deadline and was cut off. Nothing runs any more all the same.
    pub async fn stop(&self, deadline: Instant) -> Result<(), StopError> {
        self.inner.tasks.stop(&self.inner.shared, deadline).await
    }
}
