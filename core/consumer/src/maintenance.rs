//! The thread that writes the store to disk: flushes, merges, lets go of what is too old.
//!
//! A thread of its own, because a flush takes seconds of a core and waits for the disk; the store starts another below it
//! for merges, which ends before it does. They are no tasks of the runtime, so that a disk that hangs cannot keep the
//! runtime from ending.

use std::{panic::AssertUnwindSafe, sync::Arc, thread};

use log_tracer_store::Stop;
use slog::error;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::{
    StartError,
    progress::Reading,
    shared::{Shared, cursors},
};

/// The running thread; it ends soon after this is dropped.
#[derive(Debug)]
pub(crate) struct Maintenance {
    stop: Stop,
    ended: oneshot::Receiver<()>,
}

impl Maintenance {
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<Self, StartError> {
        let stop = Stop::never();
        let (tell, ended) = oneshot::channel();
        let (its_stop, its_shared) = (stop.clone(), Arc::clone(shared));
        let thread = thread::Builder::new().name("store".to_owned());
        let spawned = thread.spawn(move || {
            run(&its_shared, &its_stop);
            // Nobody waits for it when the consumer was dropped.
            let _ = tell.send(());
        });
        spawned.map_err(|error| StartError::Thread(error.to_string()))?;
        Ok(Self { stop, ended })
    }

    /// Lets it write what was handed over, until the deadline. False when it did not get there.
    pub(crate) async fn stop(mut self, deadline: Instant) -> bool {
        self.stop.cancel();
        timeout_at(deadline, &mut self.ended).await.is_ok()
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn run(shared: &Shared, stop: &Stop) {
    let maintain = || {
        shared.store.maintain(stop, &mut |durable| {
            shared.durable.send_replace(cursors(durable));
        });
    };
    if std::panic::catch_unwind(AssertUnwindSafe(maintain)).is_err() {
        let why = "writing the store panicked: this is a bug";
        error!(shared.log, "the store takes no more"; "reason" => why);
        shared.store.fail(why);
        let failed = Reading::Failed(why.to_owned());
        shared
            .progress
            .send_modify(|progress| progress.set_reading(&failed));
    }
}
