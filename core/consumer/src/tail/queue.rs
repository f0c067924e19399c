//! What waits for one reader, within its bounds.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use super::lock;
use crate::hits::AnyHit;

/// Hits for one reader, oldest first, and how many it lost.
#[derive(Debug)]
pub(crate) struct TailQueue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    records_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    hits: VecDeque<Arc<AnyHit>>,
    bytes: usize,
    dropped: u64,
}

/// What was taken out of a queue at once.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) hits: Vec<Arc<AnyHit>>,
    /// Hits that did not fit since the time before.
    pub(crate) dropped: u64,
}

impl TailQueue {
    pub(crate) fn new(records_max: usize, bytes_max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Notify::new(),
            records_max,
            bytes_max,
        }
    }

    /// Adds a hit, or counts it as dropped when there is no room.
    pub(crate) fn push(&self, hit: Arc<AnyHit>) {
        let bytes = hit.bytes();
        let mut waiting = lock(&self.waiting);
        if waiting.hits.len() < self.records_max
            && waiting.bytes.saturating_add(bytes) <= self.bytes_max
        {
            waiting.bytes += bytes;
            waiting.hits.push_back(hit);
        } else {
            waiting.dropped += 1;
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Takes hits of about so many bytes, at least one if there is any.
    pub(crate) fn take(&self, bytes: usize) -> Taken {
        let mut waiting = lock(&self.waiting);
        let mut taken = Taken {
            dropped: std::mem::take(&mut waiting.dropped),
            ..Taken::default()
        };
        let mut taken_bytes = 0;
        while taken_bytes < bytes
            && let Some(hit) = waiting.hits.pop_front()
        {
            taken_bytes += hit.bytes();
            taken.hits.push(hit);
        }
        waiting.bytes -= taken_bytes;
        taken
    }

    /// Waits until something was pushed since the last wait.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::otlp::logs::LogRecord;
    use log_tracer_store::RecordKey;

    use super::*;
    use crate::hits::AnyRecord;

    fn hit(index: u32) -> Arc<AnyHit> {
        Arc::new(AnyHit {
            key: RecordKey {
                time_unix_nano: 1,
                partition: 0,
                offset: 0,
                index,
            },
            resource: Arc::default(),
            scope: Arc::default(),
            record: AnyRecord::Log(LogRecord::default()),
        })
    }

    fn indexes(taken: &Taken) -> Vec<u32> {
        taken.hits.iter().map(|hit| hit.key.index).collect()
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted_once() {
        let queue = TailQueue::new(2, 1 << 20);
        for index in 0..5 {
            queue.push(hit(index));
        }
        let taken = queue.take(usize::MAX);
        assert_eq!((indexes(&taken), taken.dropped), (vec![0, 1], 3));
        let nothing = queue.take(usize::MAX);
        assert_eq!((indexes(&nothing), nothing.dropped), (vec![], 0));
        queue.push(hit(5));
        let taken = queue.take(usize::MAX);
        assert_eq!((indexes(&taken), taken.dropped), (vec![5], 0));
    }

    #[test]
    fn bytes_are_bounded_like_records() {
        let each = hit(0).bytes();
        let queue = TailQueue::new(100, 2 * each + 1);
        for index in 0..3 {
            queue.push(hit(index));
        }
        let first = queue.take(1);
        assert_eq!((indexes(&first), first.dropped), (vec![0], 1));
        queue.push(hit(3));
        assert_eq!(indexes(&queue.take(usize::MAX)), [1, 3]);
    }
}
