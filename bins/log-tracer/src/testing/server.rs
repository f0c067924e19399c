//! The thread that a test's tracer runs on, with a runtime of its own.

use std::{io, thread, time::Duration};

use slog::Logger;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
    time::Instant,
};

use super::{StartError, StopError};
use crate::{
    Config,
    client::Client,
    standalone::{Endpoints, Listeners, Standalone},
};

/// What a started thread hands back.
pub(super) struct Ready {
    pub(super) endpoints: Endpoints,
    pub(super) client: Client,
    pub(super) runtime: Handle,
}

/// The thread. It ends when it is told to, or when this is dropped.
#[derive(Debug)]
pub(super) struct Thread {
    /// Sent or dropped, it ends the thread.
    stop: oneshot::Sender<Duration>,
    handle: thread::JoinHandle<Result<(), StopError>>,
}

impl Thread {
    /// Starts everything on a new thread, and tells `ready` how that went. `stop_within` is how long a stop may take
    /// that nobody waits for.
    pub(super) fn start(
        config: Config,
        log: Logger,
        stop_within: Duration,
        ready: impl FnOnce(Result<Ready, StartError>) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, asked) = oneshot::channel();
        let handle = thread::Builder::new()
            .name("log-tracer-test".to_owned())
            .spawn(move || {
                let runtime = match Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        ready(Err(error.into()));
                        return Ok(());
                    }
                };
                let stopped = runtime.block_on(async move {
                    let standalone = match start(config, log).await {
                        Ok(standalone) => standalone,
                        Err(error) => {
                            ready(Err(error));
                            return Ok(());
                        }
                    };
                    ready(Ok(Ready {
                        endpoints: standalone.endpoints().clone(),
                        client: Client::of(standalone.query()),
                        runtime: Handle::current(),
                    }));
                    let within = asked.await.unwrap_or(stop_within);
                    let deadline = Instant::now() + within;
                    standalone.stop(deadline).await?;
                    no_task_left(deadline).await
                });
                end(runtime);
                stopped
            })?;
        Ok(Self { stop, handle })
    }

    /// Asks it to stop within a time and waits for it, on this thread.
    pub(super) fn stop(self, within: Duration) -> Result<(), StopError> {
        // A thread that has ended already cannot be asked; joining it says how it ended.
        self.stop.send(within).ok();
        self.handle.join().unwrap_or(Err(StopError::Panicked))
    }
}

async fn start(config: Config, log: Logger) -> Result<Standalone, StartError> {
    let listeners = Listeners::bind(&config).await?;
    Ok(Standalone::start(config, listeners, log).await?)
}

/// Waits until every task has ended: a task that outlives the stop is a leak.
async fn no_task_left(deadline: Instant) -> Result<(), StopError> {
    loop {
        match Handle::current().metrics().num_alive_tasks() {
            0 => return Ok(()),
            left if Instant::now() >= deadline => return Err(StopError::TasksLeft(left)),
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

/// Cuts off what is left; a scan on a blocking thread that does not notice is not waited for.
fn end(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_millis(100));
}
