//! What could not be read since the store was opened, for its status.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::block::BlockError;

/// Counts reads of blocks that failed, and keeps the last reason.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    count: AtomicU64,
    last: Mutex<Option<String>>,
}

impl Faults {
    /// Counts a read that failed; answers why, in words for a person.
    pub(crate) fn note(&self, error: &BlockError) -> String {
        let reason = format!("a block cannot be read: {error}");
        self.count.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
        reason
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn last(&self) -> Option<String> {
        let last = self.last.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
