//! What the cases have at hand: logs, envelopes, and logs that are full.

use std::{
    fmt::Display,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use log_tracer_transport::{
    Acked, BatchId, CommitError, Cursor, Envelope, FullPolicy, Group, Kind, Offset, OpenError,
    Part, Partition, PublishError, Transport,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    Clock, Gap, Harness, Seen, Setup,
    seen::{SeenWhile, ensure},
};

/// How long a case waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a case watches that nothing happens, where nothing must.
pub(crate) const QUIET: Duration = Duration::from_millis(50);

/// How long a publish waits when a case wants to be refused.
pub(crate) const IMPATIENCE: Duration = Duration::from_millis(200);

/// How long one waits before the log is taken to be full: a disk that is busy, or a server, may need more than
/// [`IMPATIENCE`] to store an envelope for which there is room.
const FULL_AFTER: Duration = Duration::from_secs(2);

/// What a case acts on.
#[derive(Debug)]
pub struct Stage<'a> {
    harness: &'a dyn Harness,
    /// Makes every envelope another one.
    envelopes: AtomicU64,
}

/// An envelope and where it was stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) acked: Acked,
    pub(crate) envelope: Envelope,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(harness: &'a dyn Harness) -> Self {
        Self {
            harness,
            envelopes: AtomicU64::new(1),
        }
    }

    pub(crate) fn harness(&self) -> &dyn Harness {
        self.harness
    }

    pub(crate) fn has(&self, gap: Gap) -> bool {
        self.harness.gaps().iter().any(|known| known.gap == gap)
    }

    /// A new log whose policy for a lack of room does not matter.
    pub(crate) async fn create(&self, setup: Setup) -> Result<Arc<dyn Transport>, Seen> {
        self.harness
            .create(&self.possible(setup))
            .await
            .seen_while("creating a log")
    }

    /// The log that was created last, opened once more; `None` where it ends with its transport.
    pub(crate) async fn reopen(&self, setup: Setup) -> Result<Option<Arc<dyn Transport>>, Seen> {
        self.harness
            .reopen(&self.possible(setup))
            .await
            .seen_while("opening the log again")
    }

    /// The setup with a policy that there is.
    fn possible(&self, setup: Setup) -> Setup {
        let when_full = match self.has(Gap::RejectWhenFull) {
            true => FullPolicy::DropOldest,
            false => setup.when_full,
        };
        Setup { when_full, ..setup }
    }

    /// A new log with exactly that policy, or `None` after checking that it is refused as the gap says.
    pub(crate) async fn create_with_policy(
        &self,
        setup: Setup,
    ) -> Result<Option<Arc<dyn Transport>>, Seen> {
        let gap = match setup.when_full {
            FullPolicy::Reject => Gap::RejectWhenFull,
            FullPolicy::DropOldest => Gap::DropOldestWhenFull,
        };
        let created = self.harness.create(&setup).await;
        if !self.has(gap) {
            return created.seen_while("creating a log").map(Some);
        }
        ensure!(
            matches!(created, Err(OpenError::Invalid(_))),
            "{gap:?} is declared as a gap, so creating the log must be refused as invalid"
        );
        Ok(None)
    }

    /// Whether there are cursors of groups; if not, checks that they are refused as the gap says.
    pub(crate) async fn group_cursors(&self, transport: &dyn Transport) -> Result<bool, Seen> {
        if !self.has(Gap::GroupCursors) {
            return Ok(true);
        }
        let group = group("anybody");
        let commit = transport.commit(&group, &[cursor(0, 0)]).await;
        ensure!(
            matches!(commit, Err(CommitError::Unsupported)),
            "group cursors are declared as a gap, so commit must be unsupported: {commit:?}"
        );
        let committed = transport.committed(&group).await;
        ensure!(
            matches!(committed, Err(CommitError::Unsupported)),
            "group cursors are declared as a gap, so committed must be unsupported: {committed:?}"
        );
        Ok(false)
    }

    /// Whether commits make room, and nothing else does; if not, checks that it does not claim so.
    pub(crate) async fn commits_make_room(&self, transport: &dyn Transport) -> Result<bool, Seen> {
        let claimed = transport.capabilities().retention_waits_for_groups;
        if self.has(Gap::RetentionWaitsForGroups) {
            ensure!(
                !claimed,
                "retention that waits for groups is declared as a gap and claimed as a capability"
            );
            return Ok(false);
        }
        self.group_cursors(transport).await
    }

    /// An envelope unlike any other, with a payload of that many random bytes.
    pub(crate) fn envelope(&self, partition: u16, payload_bytes: usize) -> Envelope {
        let number = self.envelopes.fetch_add(1, Ordering::Relaxed);
        let mut random = StdRng::seed_from_u64(number);
        let mut payload = vec![0; payload_bytes];
        random.fill_bytes(&mut payload);
        Envelope {
            partition: Partition(partition),
            kind: match number % 2 {
                0 => Kind::Traces,
                _ => Kind::Logs,
            },
            batch: BatchId(u128::from(random.next_u64()) << 64 | u128::from(number)),
            part: Part::WHOLE,
            records: random.next_u32(),
            received_unix_nano: random.next_u64(),
            payload: Bytes::from(payload),
            is_checked: false,
        }
    }

    /// So many envelopes, each unlike any other.
    pub(crate) fn envelopes(
        &self,
        partition: u16,
        count: usize,
        payload_bytes: usize,
    ) -> Vec<Envelope> {
        (0..count)
            .map(|_| self.envelope(partition, payload_bytes))
            .collect()
    }

    /// Publishes an envelope of 1 KiB, or gives `None` where there is no room for it.
    pub(crate) async fn publish_if_there_is_room(
        &self,
        transport: &dyn Transport,
    ) -> Result<Option<Stored>, Seen> {
        let envelope = self.envelope(0, 1 << 10);
        let publish = transport.publish(vec![envelope.clone()], Instant::now() + FULL_AFTER);
        match must_end("a publish", publish).await? {
            Ok(acks) => Ok(Some(Stored {
                acked: only(acks)?,
                envelope,
            })),
            Err(PublishError::Busy | PublishError::Full(_)) => Ok(None),
            Err(error) => Err(error).seen_while("publishing"),
        }
    }

    /// Publishes envelopes of 1 KiB one by one until there is no more room, and gives what was stored.
    pub(crate) async fn fill(
        &self,
        transport: &dyn Transport,
        setup: Setup,
    ) -> Result<Vec<Stored>, Seen> {
        let max = setup.retained_bytes_max;
        let mut all = Vec::new();
        let mut bytes = 0;
        while let Some(stored) = self.publish_if_there_is_room(transport).await? {
            bytes += stored.envelope.encoded_len();
            all.push(stored);
            ensure!(
                bytes <= max,
                "the log keeps {max} bytes at most, took {bytes} and refused nothing"
            );
        }
        ensure!(
            bytes >= max / 2,
            "the log is full after {bytes} bytes, at least half of its {max} were expected to fit"
        );
        Ok(all)
    }

    /// Lets everything go on that can go on.
    pub(crate) async fn settle(&self) {
        match self.harness.clock() {
            // Such a transport does everything in tasks, and this is more turns than any of them takes.
            Clock::Paused => {
                for _ in 0..16 {
                    tokio::task::yield_now().await;
                }
            }
            Clock::Real => sleep(Duration::from_millis(2)).await,
        }
    }
}

/// Publishes with a deadline that is far away, and checks the shape of the acks.
pub(crate) async fn publish(
    transport: &dyn Transport,
    batch: Vec<Envelope>,
) -> Result<Vec<Stored>, Seen> {
    let deadline = Instant::now() + PATIENCE;
    let acks = must_end("a publish", transport.publish(batch.clone(), deadline))
        .await?
        .seen_while("publishing")?;
    ensure!(
        acks.len() == batch.len(),
        "{} acks for {} envelopes",
        acks.len(),
        batch.len()
    );
    let stored: Vec<Stored> = acks
        .into_iter()
        .zip(batch)
        .map(|(acked, envelope)| Stored { acked, envelope })
        .collect();
    for (index, Stored { acked, envelope }) in stored.iter().enumerate() {
        ensure!(
            acked.partition == envelope.partition,
            "envelope {index} is for partition {} and is acked in {}",
            envelope.partition.0,
            acked.partition.0
        );
    }
    Ok(stored)
}

/// Publishes one envelope.
pub(crate) async fn publish_one(
    transport: &dyn Transport,
    envelope: Envelope,
) -> Result<Stored, Seen> {
    only(publish(transport, vec![envelope]).await?)
}

/// The one element that there must be.
pub(crate) fn only<T>(mut several: Vec<T>) -> Result<T, Seen> {
    let count = several.len();
    match several.pop() {
        Some(last) if count == 1 => Ok(last),
        _ => Err(Seen::new(format!("{count} where 1 was expected"))),
    }
}

/// The result of something that must not wait for ever.
pub(crate) async fn must_end<T>(
    what: impl Display,
    future: impl Future<Output = T>,
) -> Result<T, Seen> {
    // A deadline of PATIENCE is met before this strikes.
    let limit = PATIENCE + IMPATIENCE;
    timeout(limit, future)
        .await
        .map_err(|_| Seen::new(format!("{what} still waits after {limit:?}")))
}

/// The offset of the next envelope of a partition.
pub(crate) async fn end_of(transport: &dyn Transport, partition: u16) -> Result<Offset, Seen> {
    let watermarks = transport
        .watermarks()
        .await
        .seen_while("reading watermarks")?;
    watermarks
        .iter()
        .find(|watermark| watermark.partition == Partition(partition))
        .map(|watermark| watermark.end)
        .ok_or_else(|| Seen::new(format!("no watermark of partition {partition}")))
}

/// Where a reader is that has read up to what was stored.
pub(crate) fn after(stored: &Stored) -> Cursor {
    Cursor {
        partition: stored.acked.partition,
        next: Offset(stored.acked.offset.0 + 1),
    }
}

pub(crate) fn cursor(partition: u16, next: u64) -> Cursor {
    Cursor {
        partition: Partition(partition),
        next: Offset(next),
    }
}

pub(crate) fn group(name: &str) -> Group {
    Group(name.to_owned())
}
