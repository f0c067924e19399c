//! What the tasks of one consumer have in common.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use log_tracer_store::Store;
use log_tracer_transport::{LogId, Partition, Transport};
use slog::Logger;
use tokio::sync::watch;

use crate::{
    Config, StartError, progress::Progress, quarantine::Quarantine, service::Gate, tail::Tails,
};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) log: Logger,
    /// The log that is read from the first to the last envelope.
    pub(crate) log_id: LogId,
    pub(crate) started_unix_nano: u64,
    pub(crate) store: Store,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) duplicate_envelopes: AtomicU64,
    pub(crate) tails: Arc<Tails>,
    pub(crate) gate: Gate,
    quarantine: Mutex<Quarantine>,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        transport: Arc<dyn Transport>,
        owned: &[Partition],
        log: Logger,
    ) -> Result<Self, StartError> {
        let log_id = transport.log_id();
        let store = Store::new(config.store.clone())
            .map_err(|error| StartError::Config(format!("store.{error}")))?;
        Ok(Self {
            log_id,
            transport,
            started_unix_nano: now_unix_nano(),
            store,
            progress: Progress::new(owned),
            duplicate_envelopes: AtomicU64::new(0),
            tails: Arc::new(Tails::new(&config.tail)),
            gate: Gate::new(&config.query, log.clone()),
            quarantine: Mutex::new(Quarantine::new(config.apply.quarantine_bytes_max)),
            log,
            config,
        })
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

    /// Why any answer may lack records, in words.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut reasons = self.progress.borrow().reasons();
        let quarantined = self.quarantine().total();
        if quarantined > 0 {
            reasons.push(format!(
                "{quarantined} envelopes could not be decoded and are in quarantine"
            ));
        }
        reasons
    }
}

fn now_unix_nano() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}
