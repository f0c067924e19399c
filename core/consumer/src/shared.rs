//! What the tasks of one consumer have in common.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use log_tracer_transport::{LogId, Partition, Transport};
use slog::Logger;
use tokio::sync::watch;

use crate::{Config, progress::Progress, quarantine::Quarantine};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) log: Logger,
    pub(crate) log_id: LogId,
    pub(crate) started_unix_nano: u64,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) duplicate_envelopes: AtomicU64,
    quarantine: Mutex<Quarantine>,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        transport: Arc<dyn Transport>,
        owned: &[Partition],
        log: Logger,
    ) -> Self {
        let log_id = transport.log_id();
        Self {
            log_id,
            transport,
            log,
            started_unix_nano: now_unix_nano(),
            progress: Progress::new(log_id, owned),
            duplicate_envelopes: AtomicU64::new(0),
            quarantine: Mutex::new(Quarantine::new(config.apply.quarantine_bytes_max)),
            config,
        }
    }

    pub(crate) fn quarantine(&self) -> MutexGuard<'_, Quarantine> {
        // It is whole after every method, so a panic elsewhere does not matter.
        self.quarantine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count_duplicate(&self) {
        self.duplicate_envelopes.fetch_add(1, Ordering::Relaxed);
    }
}

fn now_unix_nano() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}
