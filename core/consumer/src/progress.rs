//! How far each partition is: written by the reader, watched by whoever waits for a position, shown by status.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use log_tracer_transport::{Cursor, Offset, Partition, Watermark};
use tokio::sync::watch;

/// Ranges of lost offsets that are remembered in each partition; their number and sum are never forgotten.
const GAPS_MAX: usize = 16;

/// Whether a consumer works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Every owned partition is being read.
    Ready,
    /// It answers, but something is missing or late; in words for a person.
    Degraded(String),
    /// No partition is read any more, and none will be until it is started again.
    Failed(String),
}

/// What is known of every owned partition at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    partitions: BTreeMap<Partition, PartitionProgress>,
}

/// What is known of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartitionProgress {
    /// The next offset to apply; `None` until the first envelope came.
    pub(crate) next: Option<Offset>,
    /// The first offset that was ever taken in, where that is known: what the log held before is missing.
    pub(crate) first: Option<Offset>,
    pub(crate) reading: Reading,
    /// How many offsets were lost, and where: the newest few ranges.
    pub(crate) lost_offsets: u64,
    pub(crate) gaps: VecDeque<Range<u64>>,
}

/// Whether a partition is being read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) enum Reading {
    #[default]
    Ready,
    /// It will be tried again.
    Interrupted(String),
    /// It will not be tried again.
    Failed(String),
    /// The log was closed in good order.
    Closed,
}

impl Progress {
    pub(crate) fn new(partitions: &[Partition]) -> watch::Sender<Self> {
        let partitions = partitions
            .iter()
            .map(|one| (*one, PartitionProgress::default()))
            .collect();
        watch::Sender::new(Self { partitions })
    }

    pub(crate) fn get(&self, partition: Partition) -> Option<&PartitionProgress> {
        self.partitions.get(&partition)
    }

    pub(crate) fn get_mut(&mut self, partition: Partition) -> Option<&mut PartitionProgress> {
        self.partitions.get_mut(&partition)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Partition, &PartitionProgress)> {
        self.partitions.iter().map(|(key, value)| (*key, value))
    }

    /// Sets the state of every partition that has not failed.
    pub(crate) fn set_reading(&mut self, reading: &Reading) {
        for one in self.partitions.values_mut() {
            if !matches!(one.reading, Reading::Failed(_)) {
                one.reading = reading.clone();
            }
        }
    }

    /// The cursors of all partitions of which something was applied.
    pub(crate) fn cursors(&self) -> Vec<Cursor> {
        self.iter()
            .filter_map(|(partition, one)| one.next.map(|next| Cursor { partition, next }))
            .collect()
    }

    /// Whether everything up to and including `offset` has been passed.
    pub(crate) fn has_passed(&self, partition: Partition, offset: Offset) -> bool {
        self.get(partition)
            .and_then(|one| one.next)
            .is_some_and(|next| next > offset)
    }

    /// Whether no partition is read any more because each has failed.
    pub(crate) fn has_failed(&self) -> bool {
        let mut readings = self.partitions.values().map(|one| &one.reading);
        readings.all(|reading| matches!(reading, Reading::Failed(_)))
    }

    /// Whether a partition stands at the end that a log had, or will not get there on its own.
    pub(crate) fn has_reached(&self, end: &Watermark) -> bool {
        let Some(one) = self.get(end.partition) else {
            return true;
        };
        let is_read = one.reading == Reading::Ready;
        match one.next {
            Some(next) => !is_read || next >= end.end,
            // Nothing came yet: there is nothing when the log is empty.
            None => !is_read || end.end == end.start.unwrap_or(Offset(0)),
        }
    }

    /// Whether a partition stands at the end that a log had, or never will. One that is not read for a while is not there:
    /// it goes on.
    pub(crate) fn has_replayed(&self, end: &Watermark) -> bool {
        let Some(one) = self.get(end.partition) else {
            return true;
        };
        match (&one.reading, one.next) {
            (Reading::Failed(_) | Reading::Closed, _) => true,
            (_, Some(next)) => next >= end.end,
            (_, None) => end.end == end.start.unwrap_or(Offset(0)),
        }
    }

    pub(crate) fn health(&self) -> Health {
        let reasons = self.reasons();
        if reasons.is_empty() {
            return Health::Ready;
        }
        let text = reasons.join("; ");
        match self.has_failed() {
            true => Health::Failed(text),
            false => Health::Degraded(text),
        }
    }

    /// Why an answer may lack records, in words.
    pub(crate) fn reasons(&self) -> Vec<String> {
        self.iter()
            .flat_map(|(partition, one)| one.reasons(partition))
            .collect()
    }
}

impl PartitionProgress {
    /// Notes that offsets were lost, and reads on after them.
    pub(crate) fn lose(&mut self, lost: Range<u64>) {
        self.next = Some(Offset(lost.end));
        self.lost_offsets = self
            .lost_offsets
            .saturating_add(lost.end.saturating_sub(lost.start));
        if self.gaps.len() == GAPS_MAX {
            self.gaps.pop_front();
        }
        self.gaps.push_back(lost);
    }

    pub(crate) fn has_lost(&self, offset: Offset) -> bool {
        self.gaps.iter().any(|gap| gap.contains(&offset.0))
    }

    fn reasons(&self, partition: Partition) -> Vec<String> {
        let number = partition.0;
        let mut reasons = Vec::new();
        match &self.reading {
            Reading::Ready | Reading::Closed => {}
            Reading::Interrupted(why) => {
                reasons.push(format!("partition {number} is not being read: {why}"));
            }
            Reading::Failed(why) => reasons.push(format!("partition {number} has stopped: {why}")),
        }
        if self.lost_offsets > 0 {
            reasons.push(format!(
                "partition {number}: up to {} envelopes left the log before they were applied",
                self.lost_offsets
            ));
        }
        reasons
    }
}

impl Reading {
    /// In words for a person.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Ready => "ready".to_owned(),
            Self::Interrupted(why) => format!("interrupted, will be tried again: {why}"),
            Self::Failed(why) => format!("stopped: {why}"),
            Self::Closed => "the log was closed".to_owned(),
        }
    }
}
