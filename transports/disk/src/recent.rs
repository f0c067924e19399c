//! Which batches were stored lately, so that one that is published again is not stored again, also after a restart.
//!
//! A small file ([`crate::small`]) with magic `LTJR` and version 1 says what was remembered after some group; what came
//! later is in the segments. The body is: group u64, partitions u32, and for each partition its envelopes u32, and for
//! each envelope, the oldest first: batch id u128, part index u16, part count u16, offset u64.

use std::collections::{HashMap, VecDeque};

use bytes::{Buf, BufMut};
use log_tracer_transport::{BatchId, Envelope, LogId, Offset, Part};

use crate::{error::Damage, names, small::Kind};

const KIND: Kind = Kind {
    name: names::RECENT,
    magic: *b"LTJR",
    version: 1,
};

/// A batch is always split in the same way, so that batch and part name an envelope of a partition.
pub(crate) type Key = (BatchId, Part);

pub(crate) fn key(envelope: &Envelope) -> Key {
    (envelope.batch, envelope.part)
}

/// The last envelopes of a partition and their offsets, a fixed number of them at most.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    max: usize,
    offsets: HashMap<Key, Offset>,
    oldest_first: VecDeque<Key>,
}

impl Recent {
    /// Remembers the last `max` envelopes.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            ..Self::default()
        }
    }

    /// Whether anything is remembered.
    pub(crate) fn is_on(&self) -> bool {
        self.max > 0
    }

    /// Where the envelope was stored before, if that is remembered.
    pub(crate) fn offset_of(&self, key: &Key) -> Option<Offset> {
        self.offsets.get(key).copied()
    }

    /// Remembers an envelope, and forgets the oldest one if that makes too many.
    pub(crate) fn remember(&mut self, key: Key, offset: Offset) {
        if self.max == 0 {
            return;
        }
        if self.offsets.insert(key, offset).is_none() {
            self.oldest_first.push_back(key);
        }
        if self.oldest_first.len() > self.max
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.offsets.remove(&oldest);
        }
    }

    /// Everything that is remembered, the oldest first.
    fn entries(&self) -> impl Iterator<Item = (Key, Offset)> {
        self.oldest_first
            .iter()
            .filter_map(|key| Some((*key, self.offset_of(key)?)))
    }
}

/// Everything that was remembered after a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) group: u64,
    pub(crate) partitions: Vec<Vec<(Key, Offset)>>,
}

impl Snapshot {
    pub(crate) fn new<'a>(group: u64, partitions: impl Iterator<Item = &'a Recent>) -> Self {
        Self {
            group,
            partitions: partitions
                .map(|recent| recent.entries().collect())
                .collect(),
        }
    }

    pub(crate) fn encode(&self, log_id: LogId) -> Vec<u8> {
        let mut body = Vec::new();
        body.put_u64_le(self.group);
        body.put_u32_le(u32::try_from(self.partitions.len()).unwrap_or(u32::MAX));
        for entries in &self.partitions {
            body.put_u32_le(u32::try_from(entries.len()).unwrap_or(u32::MAX));
            for ((batch, part), offset) in entries {
                body.put_u128_le(batch.0);
                body.put_u16_le(part.index);
                body.put_u16_le(part.count);
                body.put_u64_le(offset.0);
            }
        }
        KIND.encode(log_id, &body)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<(LogId, Self), Damage> {
        let (log_id, body) = KIND.decode(bytes)?;
        let snapshot = read(body)
            .ok_or_else(|| Damage::new(names::RECENT, 24, "the contents cannot be read"))?;
        Ok((log_id, snapshot))
    }
}

fn read(mut body: &[u8]) -> Option<Snapshot> {
    let group = body.try_get_u64_le().ok()?;
    let mut partitions = Vec::new();
    for _ in 0..body.try_get_u32_le().ok()? {
        let mut entries = Vec::new();
        for _ in 0..body.try_get_u32_le().ok()? {
            let batch = BatchId(body.try_get_u128_le().ok()?);
            let index = body.try_get_u16_le().ok()?;
            let count = body.try_get_u16_le().ok()?;
            let offset = Offset(body.try_get_u64_le().ok()?);
            entries.push(((batch, Part { index, count }), offset));
        }
        partitions.push(entries);
    }
    body.is_empty().then_some(Snapshot { group, partitions })
}
