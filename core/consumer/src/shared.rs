//! What the tasks of one consumer have in common.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use log_tracer_store::{Restored, Store};
use log_tracer_transport::{Cursor, LogId, Offset, Partition, Transport, Watermark};
use slog::Logger;
use tokio::sync::watch;

use crate::{
    Config,
    history::History,
    progress::Progress,
    quarantine::{Quarantine, Quarantined},
    service::Gate,
    tail::Tails,
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
    /// How far the store is durable; never told of a store in memory.
    pub(crate) durable: watch::Sender<Vec<Cursor>>,
    /// What the log held when this consumer started: until it is applied, answers lack some of it. None until the log has
    /// said so.
    replay: Mutex<Option<Vec<Watermark>>>,
    pub(crate) duplicate_envelopes: AtomicU64,
    /// Encoded bytes of the envelopes that were applied.
    pub(crate) applied_bytes: AtomicU64,
    /// What the transport was told last that it may forget.
    pub(crate) committed: watch::Sender<Vec<Cursor>>,
    pub(crate) history: History,
    pub(crate) tails: Arc<Tails>,
    pub(crate) gate: Gate,
    quarantine: Mutex<Quarantine>,
    /// Partitions that the store has taken in before and that are not owned now: their records are still there.
    pub(crate) former_partitions: Vec<u16>,
}

impl Shared {
    /// `replay` is what the log holds now, if it says so.
    pub(crate) fn new(
        config: Config,
        transport: Arc<dyn Transport>,
        store: Store,
        owned: &[Partition],
        replay: Option<Vec<Watermark>>,
        former_partitions: Vec<u16>,
        log: Logger,
    ) -> Self {
        Self {
            former_partitions,
            log_id: transport.log_id(),
            transport,
            started_unix_nano: now_unix_nano(),
            store,
            progress: Progress::new(owned),
            durable: watch::Sender::new(Vec::new()),
            replay: Mutex::new(replay),
            duplicate_envelopes: AtomicU64::new(0),
            applied_bytes: AtomicU64::new(0),
            committed: watch::Sender::new(Vec::new()),
            history: History::new(&config),
            tails: Arc::new(Tails::new(&config.tail)),
            gate: Gate::new(&config.query, log.clone()),
            quarantine: Mutex::new(Quarantine::new(config.apply.quarantine_bytes_max)),
            log,
            config,
        }
    }

    /// Goes on where the store stood.
    pub(crate) fn restore(&self, restored: &Restored) {
        self.progress.send_modify(|progress| {
            for (partition, next) in &restored.cursors {
                if let Some(one) = progress.get_mut(Partition(*partition)) {
                    one.next = Some(Offset(*next));
                }
            }
            for (partition, begin) in &restored.begins {
                if let Some(one) = progress.get_mut(Partition(*partition)) {
                    one.first = Some(Offset(*begin));
                }
            }
        });
        self.durable.send_replace(cursors(&restored.cursors));
        let set_aside = restored.set_aside.iter().cloned();
        let mut quarantine = self.quarantine();
        for one in set_aside.filter_map(Quarantined::decode) {
            quarantine.take_back(one);
        }
    }

    /// Whether what was applied outlives the process.
    pub(crate) fn is_durable(&self) -> bool {
        self.config.store_directory.is_some()
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
        reasons.extend(self.replaying());
        let quarantined = self.quarantine().total();
        if quarantined > 0 {
            reasons.push(format!(
                "{quarantined} envelopes could not be decoded and are in quarantine"
            ));
        }
        reasons
    }
}

impl Shared {
    /// Takes what the log holds for what has to be replayed, unless that is known already.
    pub(crate) fn learn_replay(&self, ends: &[Watermark]) {
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        replay.get_or_insert_with(|| ends.to_vec());
    }

    /// Whether it is not known what has to be replayed.
    pub(crate) fn lacks_replay(&self) -> bool {
        let replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        replay.is_none()
    }

    /// Says that what the log held at the start is not all applied yet, or that it is not known what that is.
    pub(crate) fn replaying(&self) -> Option<String> {
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(replay) = &mut *replay else {
            return Some(
                "the log has not said yet where it ends: envelopes may still have to be applied"
                    .to_owned(),
            );
        };
        let progress = self.progress.borrow();
        replay.retain(|end| !progress.has_replayed(end));
        let left = |end: &Watermark| {
            let next = progress.get(end.partition).and_then(|one| one.next);
            let next = next.or(end.start).unwrap_or_default();
            end.end.0.saturating_sub(next.0)
        };
        let envelopes: u64 = replay.iter().map(left).sum();
        (!replay.is_empty()).then(|| {
            format!("the log is being replayed after a start: {envelopes} envelopes are still to be applied")
        })
    }
}

/// The cursors of a store in the terms of a transport.
pub(crate) fn cursors(of_store: &BTreeMap<u16, u64>) -> Vec<Cursor> {
    let cursor = |(partition, next): (&u16, &u64)| Cursor {
        partition: Partition(*partition),
        next: Offset(*next),
    };
    of_store.iter().map(cursor).collect()
}

fn now_unix_nano() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}
