//! Which batches were stored lately, so that one that is published again is not stored again.

use std::collections::{HashMap, VecDeque};

use log_tracer_transport::{BatchId, Envelope, Offset, Part};

/// The last envelopes of a partition and their offsets, a fixed number of them at most.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    max: usize,
    offsets: HashMap<Key, Offset>,
    oldest_first: VecDeque<Key>,
}

/// A batch is always split in the same way, so that batch and part name an envelope.
type Key = (BatchId, Part);

impl Recent {
    /// Remembers the last `max` envelopes.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            ..Self::default()
        }
    }

    /// Where the envelope was stored before, if that is remembered.
    pub(crate) fn offset_of(&self, envelope: &Envelope) -> Option<Offset> {
        self.offsets.get(&key(envelope)).copied()
    }

    /// Remembers an envelope that is not remembered, and forgets the oldest one if that makes too many.
    pub(crate) fn remember(&mut self, envelope: &Envelope, offset: Offset) {
        if self.max == 0 {
            return;
        }
        if self.oldest_first.len() == self.max
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.offsets.remove(&oldest);
        }
        self.oldest_first.push_back(key(envelope));
        self.offsets.insert(key(envelope), offset);
    }
}

fn key(envelope: &Envelope) -> Key {
    (envelope.batch, envelope.part)
}
