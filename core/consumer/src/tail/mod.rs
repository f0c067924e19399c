//! Tails: readers that are handed matching records as they are applied.
//!
//! The applying thread looks at each new record for every reader and never waits for one. A reader has a queue with a
//! bound in records and in bytes; what does not fit is dropped and counted, and the reader is told the number with its
//! next message: hits plus drops are every record that matched.
//!
//! A reader that asks for a backlog is registered first and notes the cursors of that moment. Records below them come
//! from the store, records from them on through the queue: none is missed and none comes twice.

mod detach;
mod queue;
mod stream;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use log_tracer_query::Query;
use log_tracer_record::{LogRow, SpanRow};
use log_tracer_store::{LogFields, Origin, RecordKey, SpanFields};
use log_tracer_transport::{Cursor, Offset, Partition};

use crate::{
    TailConfig,
    tail::detach::{Detach, Detacher},
};

pub(crate) use queue::TailQueue;
pub(crate) use stream::TailStream;

/// Which records a reader wants.
#[derive(Debug)]
pub(crate) enum Wanted {
    Spans(Query),
    Logs(Query),
}

/// All readers of one consumer.
#[derive(Debug)]
pub(crate) struct Tails {
    readers: Mutex<Vec<Arc<TailReader>>>,
    /// The length of `readers`, so that without any nothing is locked for an envelope.
    count: AtomicUsize,
    readers_max: usize,
    queue_records_max: usize,
    queue_bytes_max: usize,
}

/// One reader.
#[derive(Debug)]
pub(crate) struct TailReader {
    wanted: Wanted,
    /// Where its queue begins in each partition; set right after it was registered.
    from: Mutex<HashMap<Partition, Offset>>,
    pub(crate) queue: TailQueue,
}

/// As many readers as are allowed.
#[derive(Debug)]
pub(crate) struct TooManyReaders;

impl Tails {
    pub(crate) fn new(config: &TailConfig) -> Self {
        Self {
            readers: Mutex::new(Vec::new()),
            count: AtomicUsize::new(0),
            readers_max: config.readers_max,
            queue_records_max: config.queue_records_max,
            queue_bytes_max: config.queue_bytes_max,
        }
    }

    /// Adds a reader. `cursors` is asked after it was added, and its answer is where the queue begins.
    pub(crate) fn register(
        self: &Arc<Self>,
        wanted: Wanted,
        cursors: impl FnOnce() -> Vec<Cursor>,
    ) -> Result<Registration, TooManyReaders> {
        let reader = Arc::new(TailReader {
            wanted,
            from: Mutex::new(HashMap::new()),
            queue: TailQueue::new(self.queue_records_max, self.queue_bytes_max),
        });
        // Nothing is offered to this reader until it knows where it begins.
        let mut from = lock(&reader.from);
        let mut readers = lock(&self.readers);
        if readers.len() >= self.readers_max {
            return Err(TooManyReaders);
        }
        readers.push(Arc::clone(&reader));
        self.count.store(readers.len(), Ordering::Release);
        drop(readers);
        from.extend(cursors().into_iter().map(|one| (one.partition, one.next)));
        drop(from);
        Ok(Registration {
            tails: Arc::clone(self),
            reader,
        })
    }

    pub(crate) fn reader_count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Queues the spans of an envelope that was applied for the readers that want them.
    pub(crate) fn offer_spans(&self, origin: Origin, rows: &[SpanRow]) {
        self.offer(origin, rows, |wanted, row| match wanted {
            Wanted::Spans(query) => query.matches(&SpanFields(row)),
            Wanted::Logs(_) => false,
        });
    }

    /// Queues log records, likewise.
    pub(crate) fn offer_logs(&self, origin: Origin, rows: &[LogRow]) {
        self.offer(origin, rows, |wanted, row| match wanted {
            Wanted::Logs(query) => query.matches(&LogFields(row)),
            Wanted::Spans(_) => false,
        });
    }

    fn offer<R: Detach>(
        &self,
        origin: Origin,
        rows: &[R],
        is_wanted: impl Fn(&Wanted, &R) -> bool,
    ) {
        if self.reader_count() == 0 {
            return;
        }
        // A copy of the list: filters run without the lock that registering takes.
        let readers = lock(&self.readers).clone();
        let readers: Vec<_> = readers
            .into_iter()
            .filter(|reader| reader.begins_at_or_before(origin))
            .collect();
        let mut detacher = Detacher::default();
        for (index, row) in (0_u32..).zip(rows) {
            let mut matched = readers
                .iter()
                .filter(|reader| is_wanted(&reader.wanted, row))
                .peekable();
            if matched.peek().is_none() {
                continue;
            }
            let key = RecordKey::new(row.time_unix_nano(), origin, index);
            let hit = Arc::new(row.detach(key, &mut detacher));
            for reader in matched {
                reader.queue.push(Arc::clone(&hit));
            }
        }
    }

    fn remove(&self, reader: &Arc<TailReader>) {
        let mut readers = lock(&self.readers);
        readers.retain(|one| !Arc::ptr_eq(one, reader));
        self.count.store(readers.len(), Ordering::Release);
    }
}

impl TailReader {
    fn begins_at_or_before(&self, origin: Origin) -> bool {
        self.begin_of(origin.partition)
            .is_none_or(|begin| begin.0 <= origin.offset)
    }

    /// The first offset that comes through the queue; `None` when all of them do.
    pub(crate) fn begin_of(&self, partition: u16) -> Option<Offset> {
        lock(&self.from).get(&Partition(partition)).copied()
    }
}

/// A reader for as long as this lives.
#[derive(Debug)]
pub(crate) struct Registration {
    tails: Arc<Tails>,
    pub(crate) reader: Arc<TailReader>,
}

impl Registration {
    /// Whether a record that was found in the store does not come through the queue as well.
    pub(crate) fn is_backlog(&self, key: &RecordKey) -> bool {
        let begin = self.reader.begin_of(key.partition);
        begin.is_some_and(|begin| key.offset < begin.0)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.tails.remove(&self.reader);
    }
}

/// Whoever panicked while holding one of these locks left the data whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::otlp::logs::LogRecord;

    use super::*;

    fn row() -> LogRow {
        LogRow {
            resource: Arc::default(),
            scope: Arc::default(),
            record: LogRecord::default(),
        }
    }

    fn wanted() -> Wanted {
        Wanted::Logs(log_tracer_query::parse("").unwrap())
    }

    #[test]
    fn a_queue_begins_at_the_cursors_of_its_registration() {
        let tails = Arc::new(Tails::new(&TailConfig::default()));
        let cursor = Cursor {
            partition: Partition(0),
            next: Offset(5),
        };
        let registration = tails.register(wanted(), || vec![cursor]).unwrap();
        // Partition 1 had nothing yet: all of it comes through the queue.
        for (partition, offset) in [(0, 4), (0, 5), (1, 0), (0, 6)] {
            tails.offer_logs(Origin { partition, offset }, &[row()]);
        }
        let queued = registration.reader.queue.take(usize::MAX).hits;
        let queued: Vec<_> = queued
            .iter()
            .map(|hit| (hit.key.partition, hit.key.offset))
            .collect();
        assert_eq!(queued, [(0, 5), (1, 0), (0, 6)]);

        let is_backlog = |partition, offset| {
            registration.is_backlog(&RecordKey::new(0, Origin { partition, offset }, 0))
        };
        assert!(is_backlog(0, 4));
        assert!(!is_backlog(0, 5));
        assert!(!is_backlog(1, 0));
    }

    #[test]
    fn the_cursors_are_asked_for_after_the_reader_can_be_offered_to() {
        let tails = Arc::new(Tails::new(&TailConfig::default()));
        let registration = tails
            .register(wanted(), || {
                assert_eq!(tails.reader_count(), 1);
                Vec::new()
            })
            .unwrap();
        drop(registration);
        assert_eq!(tails.reader_count(), 0);
    }
}
