//! Opens the store and looks whether it belongs to the log.

use std::sync::Arc;

use log_tracer_store::{Restored, Store};
use log_tracer_transport::{LogId, Offset, Partition, Transport, Watermark};
use slog::{Logger, info, warn};

use crate::{Config, StartError, shared::Shared};

/// Opens what the tasks of a consumer share, and says where its store stood.
pub(crate) async fn open(
    config: Config,
    transport: Arc<dyn Transport>,
    owned: &[Partition],
    log: Logger,
) -> Result<(Arc<Shared>, Restored), StartError> {
    // A log that cannot be asked is no reason not to start: the reader tries until it can.
    let ends = match transport.watermarks().await {
        Ok(ends) => Some(ends),
        Err(error) => {
            warn!(log, "the log does not say where it ends"; "error" => %error);
            None
        }
    };
    let (store, restored) = open_store(&config).await?;
    check(
        &config,
        transport.log_id(),
        ends.as_deref().unwrap_or_default(),
        &restored,
    )?;
    let replay = ends.map(|ends| to_replay(ends, owned, &restored));
    for (end, envelopes) in replay.iter().flatten() {
        info!(log, "the log is replayed"; "partition" => end.partition.0, "envelopes" => *envelopes);
    }
    let replay = replay.map(|all| all.into_iter().map(|(end, _)| end).collect());
    let is_owned = |partition: &u16| owned.contains(&Partition(*partition));
    let former = restored.cursors.keys().copied();
    let former: Vec<u16> = former.filter(|one| !is_owned(one)).collect();
    if !former.is_empty() {
        warn!(log, "the store has records of partitions that this consumer does not own any more"; "partitions" => ?former);
    }
    let shared = Shared::new(config, transport, store, owned, replay, former, log);
    let shared = Arc::new(shared);
    shared.restore(&restored);
    Ok((shared, restored))
}

/// Opening reads the disk, so it happens on a blocking thread.
async fn open_store(config: &Config) -> Result<(Store, Restored), StartError> {
    let mut limits = config.store.clone();
    limits.seen_batches_max = config.apply.seen_batches_max as u64;
    limits.set_aside_bytes_max = config.apply.quarantine_bytes_max as u64;
    let Some(directory) = config.store_directory.clone() else {
        let store =
            Store::new(limits).map_err(|error| StartError::Config(format!("store.{error}")))?;
        return Ok((store, Restored::default()));
    };
    let opened = tokio::task::spawn_blocking(move || Store::open(limits, &directory)).await;
    match opened {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(error)) => Err(StartError::Store(Arc::new(error))),
        Err(panicked) => Err(StartError::Thread(panicked.to_string())),
    }
}

/// The store must be of this log, and not further than it.
fn check(
    config: &Config,
    log_id: LogId,
    ends: &[Watermark],
    restored: &Restored,
) -> Result<(), StartError> {
    let directory = || config.store_directory.clone().unwrap_or_default();
    match restored.log_id.map(LogId) {
        Some(store) if store != log_id => {
            return Err(StartError::OtherLog {
                directory: directory(),
                store,
                transport: log_id,
            });
        }
        _ => {}
    }
    for end in ends.iter().filter(|end| end.exact) {
        match restored.cursors.get(&end.partition.0) {
            Some(next) if *next > end.end.0 => {
                return Err(StartError::LogIsBehind {
                    directory: directory(),
                    partition: end.partition,
                    wanted: Offset(*next),
                    end: end.end,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The owned partitions of which the store lacks something, and how many envelopes.
fn to_replay(
    ends: Vec<Watermark>,
    owned: &[Partition],
    restored: &Restored,
) -> Vec<(Watermark, u64)> {
    let is_owned = |end: &Watermark| owned.contains(&end.partition);
    let with_count = |end: Watermark| {
        let next = restored.cursors.get(&end.partition.0).copied();
        let next = next.or(end.start.map(|start| start.0)).unwrap_or(0);
        (end, end.end.0.saturating_sub(next))
    };
    let all = ends.into_iter().filter(is_owned).map(with_count);
    all.filter(|(_, envelopes)| *envelopes > 0).collect()
}
