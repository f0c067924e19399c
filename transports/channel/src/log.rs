//! The log itself: partitions of encoded envelopes within one byte bound, and what the groups have committed.
//!
//! Plain data behind the transport's mutex: nothing here waits, and nothing takes long.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

use bytes::Bytes;
use log_tracer_transport::{
    Acked, Cursor, Envelope, Group, Offset, Partition, ReadOptions, Start, Watermark,
};

use crate::{Config, WhenFull, error::Error, recent::Recent};

/// What a kept envelope costs beside its bytes: its entry in a queue that may be twice as large as it is full, the
/// count of those who share its bytes, and what an allocator adds to each of the two.
pub(crate) const SLOT_BYTES: usize = 128;

/// More groups than this are a leak of names.
pub(crate) const GROUPS_MAX: usize = 1024;

/// What an envelope takes of `retained_bytes_max`.
pub(crate) fn cost(envelope: &Envelope) -> usize {
    envelope.encoded_len().saturating_add(SLOT_BYTES)
}

/// The envelopes of all partitions and the cursors of all groups.
#[derive(Debug)]
pub(crate) struct Log {
    partitions: Vec<PartitionLog>,
    groups: BTreeMap<Group, BTreeMap<Partition, Offset>>,
    when_full: WhenFull,
    retained_bytes_max: usize,
    /// The cost of everything that is kept.
    retained_bytes: usize,
    /// Envelopes ever stored, which tells the oldest of several partitions.
    stored: u64,
    /// Whether the last publish found no room, and nothing has changed since.
    full: bool,
}

impl Log {
    pub(crate) fn new(config: &Config) -> Self {
        let partition = || PartitionLog::new(config.dedupe_batches_max);
        Self {
            partitions: (0..config.partitions.get()).map(|_| partition()).collect(),
            groups: BTreeMap::new(),
            when_full: config.when_full,
            retained_bytes_max: config.retained_bytes_max,
            retained_bytes: 0,
            stored: 0,
            full: false,
        }
    }

    /// Where the envelopes are, if every one of them was stored before.
    pub(crate) fn all_stored_before(&self, batch: &[Envelope]) -> Option<Vec<Acked>> {
        batch
            .iter()
            .map(|envelope| self.stored_before(envelope))
            .collect()
    }

    /// Makes room for what the batch adds, by letting go of what may leave, and says whether there is enough.
    pub(crate) fn make_room(&mut self, batch: &[Envelope]) -> bool {
        let need = batch
            .iter()
            .filter(|envelope| self.stored_before(envelope).is_none())
            .map(cost)
            .fold(0, usize::saturating_add);
        while self.retained_bytes.saturating_add(need) > self.retained_bytes_max {
            if !self.evict_oldest() {
                self.full = true;
                return false;
            }
        }
        self.full = false;
        true
    }

    /// Stores the envelopes of a batch that were not stored before, after room was made for them.
    pub(crate) fn append(
        &mut self,
        batch: &[Envelope],
        encoded: Vec<Bytes>,
    ) -> Result<Vec<Acked>, Error> {
        // Looked up before the first is stored: storing makes the log forget, and what is then stored once more would
        // be more than there was room made for.
        let before: Vec<Option<Acked>> = batch.iter().map(|e| self.stored_before(e)).collect();
        batch
            .iter()
            .zip(encoded)
            .zip(before)
            .map(|((envelope, encoded), before)| {
                match before.or_else(|| self.stored_before(envelope)) {
                    Some(acked) => Ok(acked),
                    None => self.store(envelope, encoded),
                }
            })
            .collect()
    }

    /// Which offset a start stands for.
    pub(crate) fn locate(&self, partition: Partition, start: Start) -> Result<Offset, Error> {
        let log = self.partition(partition)?;
        match start {
            Start::Earliest => Ok(log.first),
            Start::At(offset) => log.check_bounds(partition, offset).map(|()| offset),
        }
    }

    /// Encoded envelopes from an offset on, as many as a delivery may hold; none at the end.
    pub(crate) fn read(
        &self,
        partition: Partition,
        from: Offset,
        options: &ReadOptions,
    ) -> Result<Vec<(Offset, Bytes)>, Error> {
        let log = self.partition(partition)?;
        log.check_bounds(partition, from)?;
        let mut bytes = 0_usize;
        let mut found = Vec::new();
        let skipped = usize::try_from(from.0 - log.first.0).unwrap_or(usize::MAX);
        for (offset, entry) in (from.0..).zip(log.entries.iter().skip(skipped)) {
            bytes = bytes.saturating_add(entry.encoded.len());
            let fits =
                bytes <= options.delivery_bytes_max && found.len() < options.delivery_envelopes_max;
            if !fits && !found.is_empty() {
                break;
            }
            found.push((Offset(offset), entry.encoded.clone()));
        }
        Ok(found)
    }

    /// Moves a group on, all cursors or none. Says whether something may leave that might not before.
    pub(crate) fn commit(&mut self, group: &Group, upto: &[Cursor]) -> Result<bool, Error> {
        for cursor in upto {
            let end = self.partition(cursor.partition)?.end();
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
        let mut moved = false;
        for cursor in upto {
            moved |= self.update_floor(cursor.partition)?;
        }
        self.full &= !moved;
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
        (0..)
            .zip(&self.partitions)
            .map(|(number, log)| Watermark {
                partition: Partition(number),
                start: Some(log.first),
                end: log.end(),
                bytes: Some(log.bytes as u64),
                exact: true,
            })
            .collect()
    }

    /// What everything that is kept takes of `retained_bytes_max`.
    pub(crate) fn retained_bytes(&self) -> usize {
        self.retained_bytes
    }

    /// Whether the last publish found no room, and no commit has made any since.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Lets go of all memory.
    pub(crate) fn clear(&mut self) {
        self.partitions = Vec::new();
        self.groups = BTreeMap::new();
        self.retained_bytes = 0;
    }

    fn partition(&self, partition: Partition) -> Result<&PartitionLog, Error> {
        self.partitions
            .get(usize::from(partition.0))
            .ok_or(Error::UnknownPartition(partition))
    }

    fn partition_mut(&mut self, partition: Partition) -> Result<&mut PartitionLog, Error> {
        self.partitions
            .get_mut(usize::from(partition.0))
            .ok_or(Error::UnknownPartition(partition))
    }

    fn stored_before(&self, envelope: &Envelope) -> Option<Acked> {
        let log = self.partition(envelope.partition).ok()?;
        log.recent.offset_of(envelope).map(|offset| Acked {
            partition: envelope.partition,
            offset,
            duplicate: true,
        })
    }

    fn store(&mut self, envelope: &Envelope, encoded: Bytes) -> Result<Acked, Error> {
        let sequence = self.stored;
        let log = self.partition_mut(envelope.partition)?;
        let offset = log.end();
        log.recent.remember(envelope, offset);
        log.bytes += encoded.len();
        log.entries.push_back(Entry { sequence, encoded });
        self.retained_bytes += cost(envelope);
        self.stored += 1;
        Ok(Acked {
            partition: envelope.partition,
            offset,
            duplicate: false,
        })
    }

    /// Lets go of the oldest envelope that may leave, if there is one.
    fn evict_oldest(&mut self) -> bool {
        let when_full = self.when_full;
        let oldest = self
            .partitions
            .iter_mut()
            .filter(|log| when_full == WhenFull::DropOldest || log.first < log.floor)
            .filter_map(|log| Some((log.entries.front()?.sequence, log)))
            .max_by_key(|(sequence, _)| Reverse(*sequence));
        let Some(bytes) = oldest.and_then(|(_, log)| log.pop_front()) else {
            return false;
        };
        self.retained_bytes -= bytes + SLOT_BYTES;
        true
    }

    /// Sets up to where every group of a partition is done, and says whether that moved.
    fn update_floor(&mut self, partition: Partition) -> Result<bool, Error> {
        let floor = self
            .groups
            .values()
            .filter_map(|committed| committed.get(&partition))
            .min()
            .copied()
            .unwrap_or_default();
        let before = std::mem::replace(&mut self.partition_mut(partition)?.floor, floor);
        Ok(before != floor)
    }
}

#[derive(Debug)]
struct PartitionLog {
    /// The offset of the first entry, or of the next one if there is none.
    first: Offset,
    entries: VecDeque<Entry>,
    /// Encoded bytes of the entries.
    bytes: usize,
    /// What lies before this every group has committed; 0 while there is no group.
    floor: Offset,
    recent: Recent,
}

#[derive(Debug)]
struct Entry {
    sequence: u64,
    encoded: Bytes,
}

impl PartitionLog {
    fn new(dedupe_batches_max: usize) -> Self {
        Self {
            first: Offset(0),
            entries: VecDeque::new(),
            bytes: 0,
            floor: Offset(0),
            recent: Recent::new(dedupe_batches_max),
        }
    }

    /// The offset of the next entry.
    fn end(&self) -> Offset {
        Offset(self.first.0 + self.entries.len() as u64)
    }

    fn check_bounds(&self, partition: Partition, wanted: Offset) -> Result<(), Error> {
        if wanted < self.first {
            return Err(Error::Evicted {
                partition,
                wanted,
                first: self.first,
            });
        }
        if wanted > self.end() {
            return Err(Error::Ahead {
                partition,
                wanted,
                end: self.end(),
            });
        }
        Ok(())
    }

    /// Lets go of the first entry and gives the encoded bytes that it had.
    fn pop_front(&mut self) -> Option<usize> {
        let entry = self.entries.pop_front()?;
        self.first.0 += 1;
        self.bytes -= entry.encoded.len();
        // A slot is paid for twice over, so the queue may be half empty and no more.
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
        Some(entry.encoded.len())
    }
}

#[cfg(test)]
mod tests;
