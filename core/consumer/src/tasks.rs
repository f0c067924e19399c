//! The tasks of a consumer: started in the direction of the data, stopped in the opposite one.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use log_tracer_store::Restored;
use log_tracer_transport::Partition;
use slog::error;
use tokio::{
    io::DuplexStream,
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;

use crate::{
    StartError, StopError, commit, history, maintenance::Maintenance, progress::Reading,
    reader::Reader, server, shared::Shared,
};

/// Connections in the process that wait to be accepted.
const PIPES_MAX: usize = 16;

/// The running tasks; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Tasks {
    pipes: mpsc::Sender<DuplexStream>,
    stop_reading: CancellationToken,
    stop_committing: CancellationToken,
    stop_serving: CancellationToken,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    reading: JoinSet<()>,
    /// What writes the store to disk, where it is on one.
    maintenance: Option<Maintenance>,
    committing: JoinSet<()>,
    serving: JoinSet<()>,
}

impl Tasks {
    pub(crate) async fn start(
        shared: &Arc<Shared>,
        owned: Vec<Partition>,
        restored: &Restored,
    ) -> Result<Self, StartError> {
        let stop = || CancellationToken::new();
        let (stop_reading, stop_committing, stop_serving) = (stop(), stop(), stop());
        let mut reader = Reader::new(Arc::clone(shared), owned, restored, stop_reading.clone());
        let first = reader.begin().await?;

        let mut running = Running::default();
        if shared.is_durable() {
            running.maintenance = Some(Maintenance::start(shared)?);
        }
        let watched = Arc::clone(shared);
        running.reading.spawn(async move {
            // A panic of a transport must not leave a consumer that looks well and reads nothing.
            if AssertUnwindSafe(reader.run(first))
                .catch_unwind()
                .await
                .is_err()
            {
                let why = Reading::Failed("reading the log panicked: this is a bug".to_owned());
                watched
                    .progress
                    .send_modify(|progress| progress.set_reading(&why));
            }
        });
        running
            .committing
            .spawn(commit::run(Arc::clone(shared), stop_committing.clone()));
        running
            .committing
            .spawn(history::run(Arc::clone(shared), stop_committing.clone()));

        let (pipes, accepted) = mpsc::channel(PIPES_MAX);
        let log = shared.log.clone();
        let incoming = ReceiverStream::new(accepted).map(Ok);
        let served = server::serve(Arc::clone(shared), incoming, stop_serving.clone());
        running.serving.spawn(async move {
            if let Err(cause) = served.await {
                error!(log, "serving in the process failed"; "error" => %cause);
            }
        });
        Ok(Self {
            pipes,
            stop_reading,
            stop_committing,
            stop_serving,
            running: Mutex::new(running),
        })
    }

    /// Where connections in the process are handed in.
    pub(crate) fn pipes(&self) -> mpsc::Sender<DuplexStream> {
        self.pipes.clone()
    }

    /// Applies what the log holds now, then ends what reads, what writes, what commits, and then what serves.
    pub(crate) async fn stop(&self, shared: &Shared, deadline: Instant) -> Result<(), StopError> {
        // A second caller waits for the first, and finds nothing left.
        let mut running = self.running.lock().await;
        let mut cut_off = Vec::new();
        if !running.reading.is_empty() {
            // The other half of the time is for the answers.
            let half = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
            if timeout_at(half, apply_rest(shared)).await.is_err() {
                cut_off.push("applying what the log holds");
            }
        }
        self.stop_reading.cancel();
        if !join(&mut running.reading, deadline).await {
            cut_off.push("reading");
        }
        if let Some(maintenance) = running.maintenance.take()
            && !maintenance.stop(deadline).await
        {
            cut_off.push("writing what was applied, which is read again after the next start");
        }
        self.stop_committing.cancel();
        if !join(&mut running.committing, deadline).await {
            cut_off.push("committing");
        }
        self.stop_serving.cancel();
        if !join(&mut running.serving, deadline).await {
            cut_off.push("calls to QueryService");
        }
        shared.store.close();
        match cut_off.is_empty() {
            true => Ok(()),
            false => Err(StopError::Deadline(cut_off.join(", "))),
        }
    }
}

/// Waits until everything is applied that is in the log now.
async fn apply_rest(shared: &Shared) {
    // A transport that does not answer has nothing more to give either.
    let Ok(ends) = shared.transport.watermarks().await else {
        return;
    };
    let mut progress = shared.progress.subscribe();
    let applied = progress.wait_for(|progress| ends.iter().all(|end| progress.has_reached(end)));
    // The sender lives as long as `shared`.
    let _always_ok = applied.await;
}

/// Waits for tasks until the deadline; what still runs then is aborted, and false.
async fn join(tasks: &mut JoinSet<()>, deadline: Instant) -> bool {
    let all = async { while tasks.join_next().await.is_some() {} };
    let in_time = timeout_at(deadline, all).await.is_ok();
    tasks.shutdown().await;
    in_time
}
