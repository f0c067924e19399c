//! Tells the transport how far this consumer is: a floor for retention and a number to show, never the truth, which is
//! the store's. Runs beside the reader, so that a slow commit delays nothing; commits in between are left out.

use std::{sync::Arc, time::Duration};

use log_tracer_transport::{CommitError, Cursor};
use slog::{error, info, warn};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{progress::Progress, shared::Shared};

/// Commits whatever the log may forget, until it is told to stop; then once more.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut done = Done::of(&shared);
    let mut committer = Committer {
        shared,
        committed: Vec::new(),
        has_failed: false,
    };
    loop {
        let is_last = tokio::select! {
            biased;
            () = stop.cancelled() => true,
            () = done.changed() => false,
        };
        let cursors = done.cursors();
        let next = committer.commit(cursors).await;
        match next {
            Next::End => return,
            _ if is_last => return,
            Next::Wait => {}
            Next::Retry { delay } => {
                let _stopped = tokio::time::timeout(delay, stop.cancelled()).await;
                done.mark_changed();
            }
        }
    }
}

/// What the log may forget: what was applied, or where the store outlives the process, what is durable in it.
enum Done {
    Applied(watch::Receiver<Progress>),
    Durable(watch::Receiver<Vec<Cursor>>),
}

impl Done {
    fn of(shared: &Shared) -> Self {
        if !shared.is_durable() {
            return Self::Applied(shared.progress.subscribe());
        }
        let mut durable = shared.durable.subscribe();
        // What an earlier process left is committed as well.
        durable.mark_changed();
        Self::Durable(durable)
    }

    /// Waits for news. The senders live as long as the committer, which holds them.
    async fn changed(&mut self) {
        let _never_closed = match self {
            Self::Applied(progress) => progress.changed().await,
            Self::Durable(cursors) => cursors.changed().await,
        };
    }

    fn cursors(&mut self) -> Vec<Cursor> {
        match self {
            Self::Applied(progress) => progress.borrow_and_update().cursors(),
            Self::Durable(cursors) => cursors.borrow_and_update().clone(),
        }
    }

    fn mark_changed(&mut self) {
        match self {
            Self::Applied(progress) => progress.mark_changed(),
            Self::Durable(cursors) => cursors.mark_changed(),
        }
    }
}

struct Committer {
    shared: Arc<Shared>,
    committed: Vec<Cursor>,
    has_failed: bool,
}

enum Next {
    Wait,
    Retry { delay: Duration },
    End,
}

impl Committer {
    async fn commit(&mut self, cursors: Vec<Cursor>) -> Next {
        if cursors == self.committed {
            return Next::Wait;
        }
        let (log, group) = (&self.shared.log, self.shared.config.group());
        match self.shared.transport.commit(&group, &cursors).await {
            Ok(()) => {
                self.shared.committed.send_replace(cursors.clone());
                self.committed = cursors;
                self.has_failed = false;
                Next::Wait
            }
            Err(CommitError::Unsupported) => {
                info!(
                    log,
                    "the transport keeps no cursors: retention does not wait for this consumer"
                );
                Next::End
            }
            Err(CommitError::Closed) => Next::End,
            Err(CommitError::Transient(cause)) => {
                if !self.has_failed {
                    warn!(log, "a commit failed and will be tried again"; "error" => %cause);
                }
                self.has_failed = true;
                let delay = Duration::from_millis(self.shared.config.apply.retry_delay_max_ms);
                Next::Retry { delay }
            }
            Err(error @ (CommitError::Invalid(_) | CommitError::Failed(_))) => {
                error!(log, "nothing is committed any more: retention may stop making room"; "error" => %error);
                Next::End
            }
        }
    }
}
