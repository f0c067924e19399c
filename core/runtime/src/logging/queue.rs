//! The bounded queue between those who log and the thread that writes.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use slog::{Drain, Level, Never, OwnedKVList, Record, b, o};
use slog_async::{AsyncCore, AsyncError, AsyncGuard};

use super::Overflow;

/// The queue with its thread.
pub(super) struct Queue {
    shared: Arc<Shared>,
    /// Taken when the queue is finished: its drop writes what is queued and ends the thread.
    writer: Mutex<Option<AsyncGuard>>,
}

impl Queue {
    pub(super) fn start<D>(drain: D, records_max: usize, overflow: Overflow) -> Self
    where
        D: Drain<Ok = (), Err = Never> + Send + 'static,
    {
        let (core, writer) = AsyncCore::custom(drain)
            .chan_size(records_max.max(1))
            .blocking(overflow == Overflow::Block)
            .thread_name("log-writer".to_owned())
            .build_with_guard();
        Self {
            shared: Arc::new(Shared {
                core,
                dropped: AtomicU64::new(0),
            }),
            writer: Mutex::new(Some(writer)),
        }
    }

    /// A drain into the queue.
    pub(super) fn drain(&self) -> IntoQueue {
        IntoQueue(Arc::clone(&self.shared))
    }

    /// Writes what is queued. The number of records that were dropped and not yet reported is written too, if there is
    /// room for it within `patience`.
    pub(super) fn finish(&self, patience: Duration) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_none() {
            return;
        }
        let deadline = Instant::now() + patience;
        while !self.shared.report_dropped(&o!().into()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        writer.take();
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("dropped", &self.shared.dropped)
            .finish_non_exhaustive()
    }
}

/// Puts records into the queue, or counts those that find it full.
pub(super) struct IntoQueue(Arc<Shared>);

impl Drain for IntoQueue {
    type Ok = ();
    type Err = AsyncError;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), AsyncError> {
        self.0.report_dropped(values);
        match self.0.core.log(record, values) {
            Err(AsyncError::Full) => {
                self.0.dropped.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            other => other,
        }
    }
}

struct Shared {
    core: AsyncCore,
    /// Records dropped since the last report.
    dropped: AtomicU64,
}

impl Shared {
    /// Queues a record that says how many were dropped; true when there is nothing more to report.
    fn report_dropped(&self, values: &OwnedKVList) -> bool {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped == 0 {
            return true;
        }
        let reported = self.core.log(
            &slog::record!(
                Level::Error,
                "",
                &format_args!("log records were dropped, the queue was full"),
                b!("records" => dropped)
            ),
            values,
        );
        match reported {
            Ok(()) => true,
            Err(AsyncError::Full) => {
                self.dropped.fetch_add(dropped, Ordering::Relaxed);
                false
            }
            // The writer has ended: nobody is left to report to.
            Err(AsyncError::Fatal(_)) => true,
        }
    }
}
