//! What a consumer has to remember together with the rows that it applied, so that each envelope is applied once.

use std::collections::BTreeMap;

/// What becomes durable together with all rows that were applied before it, in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The log that the rows are of.
    pub log_id: u128,
    /// By partition: the next offset to apply.
    pub cursors: BTreeMap<u16, u64>,
    /// By partition: the first offset that was ever applied, where that is known. The first mark that says it counts.
    pub begins: BTreeMap<u16, u64>,
    /// What was applied since the mark before, in the order in which it was.
    pub seen: Vec<SeenBatch>,
    /// What was set aside since the mark before, each as bytes that the store does not look at.
    pub set_aside: Vec<Vec<u8>>,
}

impl Mark {
    /// Makes the mark one of what was applied up to a later one.
    pub(crate) fn absorb(&mut self, later: Self) {
        if self.log_id != later.log_id {
            self.cursors.clear();
            self.begins.clear();
        }
        self.log_id = later.log_id;
        self.cursors.extend(later.cursors);
        for (partition, begin) in later.begins {
            self.begins.entry(partition).or_insert(begin);
        }
        self.seen.extend(later.seen);
        self.set_aside.extend(later.set_aside);
    }
}

/// A part of a batch that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeenBatch {
    /// In which partition.
    pub partition: u16,
    /// The id of the batch.
    pub batch: u128,
    /// Which part of it.
    pub part_index: u16,
    /// Of how many.
    pub part_count: u16,
}

/// What a store found when it was opened: where its consumer goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The log that its rows are of; none in a new store.
    pub log_id: Option<u128>,
    /// By partition: the next offset to apply.
    pub cursors: BTreeMap<u16, u64>,
    /// By partition: the first offset that was ever applied. A store of before this was noted does not tell.
    pub begins: BTreeMap<u16, u64>,
    /// The newest batches of each partition, oldest first, as many as are remembered.
    pub seen: Vec<SeenBatch>,
    /// What was set aside, oldest first, as much as is kept.
    pub set_aside: Vec<Vec<u8>>,
}
