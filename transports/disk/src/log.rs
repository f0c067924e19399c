//! What is known of the journal in memory: its segments, the ends of the partitions, what the groups have committed, and
//! what may leave.
//!
//! Plain data behind the transport's mutex: nothing here waits, and nothing here touches a file.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use log_tracer_transport::{
    Acked, Cursor, Envelope, Group, Offset, Partition, ReadOptions, Start, Watermark,
};

use crate::{
    Config, WhenFull,
    base::Base,
    cursors::{Cursors, Groups},
    error::Error,
    index::{Index, Sidecar},
    recent::{Key, Recent, Snapshot},
    ring::Ring,
    segment::Segment,
};

/// More groups than this are a leak of names.
const GROUPS_MAX: usize = 1024;
/// Segments that have left and wait to be removed; with more of them nothing else leaves, so that a disk on which removing
/// fails does not fill up.
const LEAVING_MAX: usize = 2;

/// The journal as far as it is durable.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) limits: Limits,
    pub(crate) partitions: Vec<PartitionLog>,
    /// Ascending; the last one is written to. Never empty.
    pub(crate) segments: VecDeque<SegmentLog>,
    pub(crate) groups: Groups,
    pub(crate) ring: Ring,
    /// The last group that is durable.
    pub(crate) last_group: u64,
    /// Segments that are no longer a part of the log and wait to be removed.
    pub(crate) leaving: Vec<Arc<Segment>>,
    /// Whether the cursors or the first segment have changed since they were written.
    pub(crate) cursors_changed: bool,
    /// Whether what is remembered of batches is to be written before a segment leaves.
    pub(crate) snapshot_due: bool,
    /// Envelopes that left although a group wanted them.
    pub(crate) dropped_envelopes: u64,
    /// Whether the last publish found no room, and nothing has changed since.
    pub(crate) full: bool,
}

/// The limits of a [`Config`] that concern what stays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) retained_bytes_max: u64,
    pub(crate) when_full: WhenFull,
    pub(crate) retention_bytes: u64,
    pub(crate) retention_age: Duration,
}

impl Limits {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            retained_bytes_max: config.retained_bytes_max,
            when_full: config.when_full,
            retention_bytes: config.retention_bytes,
            retention_age: Duration::from_secs(config.retention_age_seconds),
        }
    }
}

#[derive(Debug)]
pub(crate) struct PartitionLog {
    /// The offset of the next envelope.
    pub(crate) next: Offset,
    /// What lies before this every group has committed; 0 while there is no group.
    pub(crate) floor: Offset,
    pub(crate) recent: Recent,
}

/// A segment and what is in it.
#[derive(Debug)]
pub(crate) struct SegmentLog {
    pub(crate) segment: Arc<Segment>,
    pub(crate) base: Base,
    pub(crate) index: Index,
    /// Where the next group goes, or would go.
    pub(crate) end: u64,
    pub(crate) last_group: u64,
    pub(crate) last_written_unix_millis: u64,
    /// When it was last written to, by the clock that does not jump.
    pub(crate) last_written: Duration,
    /// Whether its index has been written beside it.
    pub(crate) indexed: bool,
}

/// A group that has become durable.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) number: u64,
    /// The segment that it starts, and its base.
    pub(crate) started: Option<(Arc<Segment>, Base)>,
    pub(crate) envelopes: Vec<WrittenEnvelope>,
    pub(crate) end: u64,
    pub(crate) unix_millis: u64,
    pub(crate) now: Duration,
}

#[derive(Debug)]
pub(crate) struct WrittenEnvelope {
    pub(crate) envelope: Envelope,
    pub(crate) offset: Offset,
    /// Where its frame is.
    pub(crate) at: u64,
}

/// Where a reader finds what it wants.
#[derive(Debug)]
pub(crate) enum Lookup {
    AtTheEnd,
    InMemory(Vec<(Offset, Envelope)>),
    OnDisk {
        segment: Arc<Segment>,
        /// Where to look for it.
        at: u64,
        /// What is durable ends here.
        limit: u64,
    },
}

impl Log {
    /// Where an envelope is, if it was stored before and is remembered.
    pub(crate) fn stored_before(&self, partition: Partition, key: &Key) -> Option<Acked> {
        let log = self.partition(partition).ok()?;
        log.recent.offset_of(key).map(|offset| Acked {
            partition,
            offset,
            duplicate: true,
        })
    }

    /// Whether repeats are recognised at all.
    pub(crate) fn remembers(&self) -> bool {
        self.partitions
            .first()
            .is_some_and(|log| log.recent.is_on())
    }

    /// The offset of the next envelope of a partition.
    pub(crate) fn next_of(&self, partition: Partition) -> Offset {
        self.partition(partition).map_or(Offset(0), |log| log.next)
    }

    /// The segment that is written to.
    pub(crate) fn active(&self) -> Option<&SegmentLog> {
        self.segments.back()
    }

    /// Makes room for another segment, by letting go of what may leave, and says whether there is enough.
    pub(crate) fn make_room(&mut self, bytes: u64) -> bool {
        while self.retained_bytes().saturating_add(bytes) > self.limits.retained_bytes_max {
            let stuck = self.segments.len() < 2
                || self.leaving.len() >= LEAVING_MAX
                || self.limits.when_full == WhenFull::Reject && !self.is_committed(0);
            if stuck {
                return false;
            }
            self.let_go_of_first();
        }
        true
    }

    /// Lets go of what every group has committed and nobody asked to keep.
    pub(crate) fn retire(&mut self, now: Duration) {
        while self.segments.len() > 1
            && self.leaving.len() < LEAVING_MAX
            && self.is_committed(0)
            && !self.is_kept_for_later(now)
        {
            self.let_go_of_first();
        }
    }

    /// Takes in what has become durable.
    pub(crate) fn append(&mut self, written: Written) {
        if let Some((segment, base)) = written.started {
            self.segments.push_back(SegmentLog {
                segment,
                base,
                index: Index::default(),
                end: 0,
                last_group: 0,
                last_written_unix_millis: 0,
                last_written: Duration::ZERO,
                indexed: false,
            });
            self.snapshot_due = true;
        }
        self.last_group = written.number;
        let Some(active) = self.segments.back_mut() else {
            return;
        };
        active.end = written.end;
        active.last_group = written.number;
        active.last_written_unix_millis = written.unix_millis;
        active.last_written = written.now;
        for WrittenEnvelope {
            envelope,
            offset,
            at,
        } in written.envelopes
        {
            let bytes = envelope.encoded_len() as u64;
            active.index.add(envelope.partition, offset, at, bytes);
            if let Some(log) = self.partitions.get_mut(usize::from(envelope.partition.0)) {
                log.next = Offset(offset.0 + 1);
                log.recent.remember(crate::recent::key(&envelope), offset);
            }
            self.ring.push(offset, envelope);
        }
    }

    /// Which offset a start stands for.
    pub(crate) fn locate(&self, partition: Partition, start: Start) -> Result<Offset, Error> {
        match start {
            Start::Earliest => Ok(self.first(partition)),
            Start::At(offset) => self.check_bounds(partition, offset).map(|()| offset),
        }
    }

    /// Where the envelopes from an offset on are.
    pub(crate) fn look(
        &self,
        partition: Partition,
        from: Offset,
        options: &ReadOptions,
    ) -> Result<Lookup, Error> {
        self.check_bounds(partition, from)?;
        if from == self.partition(partition)?.next {
            return Ok(Lookup::AtTheEnd);
        }
        if let Some(items) = self.ring.read(partition, from, options) {
            return Ok(Lookup::InMemory(items));
        }
        // The last segment that starts at or before it.
        let after = self
            .segments
            .partition_point(|log| next_in(&log.base, partition) <= from);
        let found = self.segments.range(..after).rev().find_map(|log| {
            let span = log.index.partitions.get(&partition)?;
            (span.first <= from && from < span.next).then_some((log, span.before(from)?))
        });
        match found {
            Some((log, at)) => Ok(Lookup::OnDisk {
                segment: Arc::clone(&log.segment),
                at,
                limit: log.end,
            }),
            None => Err(Error::Missing {
                partition,
                at: from,
            }),
        }
    }

    /// Moves a group on, all cursors or none. Says whether something may leave that might not before.
    pub(crate) fn commit(&mut self, group: &Group, upto: &[Cursor]) -> Result<bool, Error> {
        for cursor in upto {
            let end = self.partition(cursor.partition)?.next;
            if cursor.next > end {
                return Err(Error::Ahead {
                    partition: cursor.partition,
                    wanted: cursor.next,
                    end,
                });
            }
        }
        if !self.groups.contains_key(group) && self.groups.len() == GROUPS_MAX {
            return Err(Error::TooManyGroups { max: GROUPS_MAX });
        }
        let committed = self.groups.entry(group.clone()).or_default();
        for cursor in upto {
            let next = committed.entry(cursor.partition).or_default();
            *next = cursor.next.max(*next);
        }
        self.cursors_changed = true;
        let mut moved = false;
        for cursor in upto {
            moved |= self.update_floor(cursor.partition);
        }
        Ok(moved)
    }

    /// What a group has committed, in the order of the partitions.
    pub(crate) fn committed(&self, group: &Group) -> Vec<Cursor> {
        self.groups
            .get(group)
            .into_iter()
            .flatten()
            .map(|(&partition, &next)| Cursor { partition, next })
            .collect()
    }

    /// The bounds of every partition.
    pub(crate) fn watermarks(&self) -> Vec<Watermark> {
        let mut bytes: BTreeMap<Partition, u64> = BTreeMap::new();
        for (partition, span) in self.segments.iter().flat_map(|log| &log.index.partitions) {
            *bytes.entry(*partition).or_default() += span.bytes;
        }
        (0..)
            .map(Partition)
            .zip(&self.partitions)
            .map(|(partition, log)| Watermark {
                partition,
                start: Some(self.first(partition)),
                end: log.next,
                bytes: Some(bytes.get(&partition).copied().unwrap_or_default()),
                exact: true,
            })
            .collect()
    }

    /// Bytes of all segments with envelopes.
    pub(crate) fn retained_bytes(&self) -> u64 {
        self.segments.iter().map(|log| log.segment.bytes).sum()
    }

    /// The index of a segment that is full and has none beside it yet.
    pub(crate) fn next_sidecar(&self) -> Option<Sidecar> {
        let sealed = self.segments.len().checked_sub(1)?;
        self.segments
            .iter()
            .take(sealed)
            .find(|log| !log.indexed)
            .map(SegmentLog::sidecar)
    }

    /// Notes that the index of a segment is written.
    pub(crate) fn sidecar_written(&mut self, sequence: u64) {
        if let Some(log) = self
            .segments
            .iter_mut()
            .find(|log| log.segment.sequence == sequence)
        {
            log.indexed = true;
        }
    }

    pub(crate) fn cursors(&self) -> Cursors {
        Cursors {
            first_segment: self
                .segments
                .front()
                .map_or(0, |first| first.segment.sequence),
            groups: self.groups.clone(),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let remembered = self.partitions.iter().map(|log| &log.recent);
        Snapshot::new(self.last_group, remembered)
    }

    /// Sets up to where every group of each partition is done.
    pub(crate) fn update_floors(&mut self) {
        for number in 0..self.partitions.len() {
            self.update_floor(Partition(u16::try_from(number).unwrap_or(u16::MAX)));
        }
    }

    fn partition(&self, partition: Partition) -> Result<&PartitionLog, Error> {
        self.partitions
            .get(usize::from(partition.0))
            .ok_or(Error::UnknownPartition(partition))
    }

    fn first(&self, partition: Partition) -> Offset {
        self.segments
            .front()
            .map_or(Offset(0), |log| next_in(&log.base, partition))
    }

    fn check_bounds(&self, partition: Partition, wanted: Offset) -> Result<(), Error> {
        let (first, end) = (self.first(partition), self.partition(partition)?.next);
        if wanted < first {
            return Err(Error::Evicted {
                partition,
                wanted,
                first,
            });
        }
        if wanted > end {
            return Err(Error::Ahead {
                partition,
                wanted,
                end,
            });
        }
        Ok(())
    }

    fn update_floor(&mut self, partition: Partition) -> bool {
        let floor = self
            .groups
            .values()
            .filter_map(|committed| committed.get(&partition))
            .min()
            .copied()
            .unwrap_or_default();
        let Some(log) = self.partitions.get_mut(usize::from(partition.0)) else {
            return false;
        };
        std::mem::replace(&mut log.floor, floor) != floor
    }

    /// Whether every group has committed everything in a segment.
    fn is_committed(&self, index: usize) -> bool {
        let Some(log) = self.segments.get(index) else {
            return false;
        };
        log.index.partitions.iter().all(|(partition, span)| {
            let floor = self.partition(*partition).map(|log| log.floor);
            floor.is_ok_and(|floor| span.next <= floor)
        })
    }

    /// Whether the first segment is kept for readers that want to go back.
    fn is_kept_for_later(&self, now: Duration) -> bool {
        let Some(first) = self.segments.front() else {
            return true;
        };
        let young = now.saturating_sub(first.last_written) < self.limits.retention_age;
        young || self.retained_bytes() <= self.limits.retention_bytes
    }

    fn let_go_of_first(&mut self) {
        let committed = self.is_committed(0);
        let Some(first) = self.segments.pop_front() else {
            return;
        };
        if !committed {
            let spans = first.index.partitions.iter();
            let dropped = spans.map(|(partition, span)| {
                let floor = self
                    .partition(*partition)
                    .map_or(Offset(0), |log| log.floor);
                span.next.0.saturating_sub(span.first.0.max(floor.0))
            });
            self.dropped_envelopes += dropped.sum::<u64>();
        }
        self.leaving.push(first.segment);
        self.cursors_changed = true;
        self.full = false;
    }
}

impl SegmentLog {
    pub(crate) fn sidecar(&self) -> Sidecar {
        Sidecar {
            sequence: self.segment.sequence,
            salt: self.segment.salt,
            end: self.end,
            last_group: self.last_group,
            last_written_unix_millis: self.last_written_unix_millis,
            base: self.base.clone(),
            index: self.index.clone(),
        }
    }
}

fn next_in(base: &Base, partition: Partition) -> Offset {
    let next = base.next.get(usize::from(partition.0));
    next.copied().unwrap_or_default()
}
