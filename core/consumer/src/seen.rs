//! Which batches a partition has applied, within a bound.

use std::collections::{HashSet, VecDeque};

use log_tracer_transport::{BatchId, Part};

/// The last so many parts of batches, in the order in which they came.
#[derive(Debug)]
pub(crate) struct SeenBatches {
    max: usize,
    known: HashSet<(BatchId, Part)>,
    order: VecDeque<(BatchId, Part)>,
}

impl SeenBatches {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            known: HashSet::new(),
            order: VecDeque::new(),
        }
    }

    /// Remembers a part of a batch and forgets the oldest beyond the bound. False when it is known already.
    pub(crate) fn insert(&mut self, batch: BatchId, part: Part) -> bool {
        if !self.known.insert((batch, part)) {
            return false;
        }
        self.order.push_back((batch, part));
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_new_once() {
        let mut seen = SeenBatches::new(10);
        let second = Part { index: 1, count: 2 };
        let first = Part { index: 0, count: 2 };
        assert!(seen.insert(BatchId(7), first));
        assert!(seen.insert(BatchId(7), second));
        assert!(seen.insert(BatchId(8), first));
        assert!(!seen.insert(BatchId(7), second));
    }

    #[test]
    fn the_oldest_is_forgotten_at_the_bound() {
        let mut seen = SeenBatches::new(2);
        assert!(seen.insert(BatchId(1), Part::WHOLE));
        assert!(seen.insert(BatchId(2), Part::WHOLE));
        assert!(!seen.insert(BatchId(1), Part::WHOLE));
        assert!(seen.insert(BatchId(3), Part::WHOLE));
        assert!(seen.insert(BatchId(1), Part::WHOLE), "it was forgotten");
        assert!(!seen.insert(BatchId(3), Part::WHOLE));
        assert_eq!(seen.known.len(), 2);
        assert_eq!(seen.order.len(), 2);
    }
}
