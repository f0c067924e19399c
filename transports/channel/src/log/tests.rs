use std::collections::BTreeMap;

use log_tracer_transport::{BatchId, Kind, Part};
use proptest::{collection::vec, prelude::*};

use super::*;

const PARTITIONS: u16 = 2;
const RETAINED_BYTES_MAX: usize = 3000;
const REMEMBERED: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    Publish(Vec<Envelope>),
    /// A group, a partition, and how far of the way to its end in 255ths.
    Commit(u8, u16, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let envelope =
        (0..PARTITIONS, 0..30_u128, 0..300_usize).prop_map(|(partition, batch, size)| Envelope {
            partition: Partition(partition),
            kind: Kind::Logs,
            batch: BatchId(batch),
            part: Part::WHOLE,
            records: 0,
            received_unix_nano: 0,
            payload: Bytes::from(vec![0; size]),
            is_checked: false,
        });
    let step = prop_oneof![
        3 => vec(envelope, 1..4).prop_map(Step::Publish),
        2 => (0..3_u8, 0..PARTITIONS, any::<u8>()).prop_map(|(g, p, way)| Step::Commit(g, p, way)),
    ];
    vec(step, 1..80)
}

/// What the log must be, told in the plainest way.
#[derive(Default)]
struct Model {
    /// All that was ever stored, in order: partition, offset, batch, encoded bytes, and whether it is kept.
    stored: Vec<Entry>,
    committed: BTreeMap<u16, BTreeMap<u8, u64>>,
}

struct Entry {
    partition: u16,
    offset: u64,
    batch: BatchId,
    bytes: usize,
    kept: bool,
}

impl Model {
    fn of(&self, partition: u16) -> impl DoubleEndedIterator<Item = &Entry> {
        let entries = self.stored.iter();
        entries.filter(move |entry| entry.partition == partition)
    }

    fn end(&self, partition: u16) -> u64 {
        self.of(partition).count() as u64
    }

    fn known(&self, partition: u16, batch: BatchId) -> Option<u64> {
        let mut remembered = self.of(partition).rev().take(REMEMBERED);
        remembered.find(|e| e.batch == batch).map(|e| e.offset)
    }

    fn kept_cost(&self) -> usize {
        let kept = self.stored.iter().filter(|entry| entry.kept);
        kept.map(|entry| entry.bytes + SLOT_BYTES).sum()
    }

    fn floor(&self, partition: u16) -> u64 {
        let groups = self.committed.get(&partition);
        groups.and_then(|g| g.values().min()).copied().unwrap_or(0)
    }

    /// Lets the oldest go that may, and says whether there is room then.
    fn make_room(&mut self, need: usize, when_full: WhenFull) -> bool {
        while self.kept_cost() + need > RETAINED_BYTES_MAX {
            let floors: Vec<u64> = (0..PARTITIONS).map(|p| self.floor(p)).collect();
            let may_leave = |entry: &Entry| {
                entry.kept
                    && (when_full == WhenFull::DropOldest
                        || entry.offset < floors[usize::from(entry.partition)])
            };
            match self.stored.iter_mut().find(|entry| may_leave(entry)) {
                Some(oldest) => oldest.kept = false,
                None => return false,
            }
        }
        true
    }
}

fn publish(log: &mut Log, model: &mut Model, when_full: WhenFull, batch: &[Envelope]) {
    let fresh = batch
        .iter()
        .filter(|e| model.known(e.partition.0, e.batch).is_none());
    let need = fresh.map(cost).sum();
    let room = log.make_room(batch);
    assert_eq!(room, model.make_room(need, when_full), "room for {need}");
    assert_eq!(log.is_full(), !room);
    if !room {
        return;
    }
    let before: Vec<Option<u64>> = batch
        .iter()
        .map(|e| model.known(e.partition.0, e.batch))
        .collect();
    let acks = log
        .append(batch, batch.iter().map(Envelope::encode).collect())
        .unwrap();
    for ((envelope, before), acked) in batch.iter().zip(before).zip(acks) {
        let partition = envelope.partition.0;
        let known = before.or_else(|| model.known(partition, envelope.batch));
        let offset = known.unwrap_or(model.end(partition));
        assert_eq!(
            (acked.offset.0, acked.duplicate),
            (offset, known.is_some()),
            "{envelope:?}"
        );
        if known.is_none() {
            model.stored.push(Entry {
                partition,
                offset,
                batch: envelope.batch,
                bytes: envelope.encoded_len(),
                kept: true,
            });
        }
    }
}

fn compare(log: &Log, model: &Model) {
    assert_eq!(log.retained_bytes, model.kept_cost());
    assert!(log.retained_bytes <= RETAINED_BYTES_MAX);
    for (partition, watermark) in (0..PARTITIONS).zip(log.watermarks()) {
        let kept: Vec<&Entry> = model.of(partition).filter(|entry| entry.kept).collect();
        let first = model.end(partition) - kept.len() as u64;
        let bytes = kept.iter().map(|entry| entry.bytes as u64).sum();
        assert_eq!(watermark.start, Some(Offset(first)));
        assert_eq!(watermark.end, Offset(model.end(partition)));
        assert_eq!(watermark.bytes, Some(bytes));

        let read = log
            .read(Partition(partition), Offset(first), &ReadOptions::default())
            .unwrap();
        let offsets: Vec<u64> = read.iter().map(|(offset, _)| offset.0).collect();
        let expected: Vec<u64> = kept.iter().map(|entry| entry.offset).collect();
        assert_eq!(offsets, expected);
        let sizes = read.iter().map(|(_, bytes)| bytes.len());
        assert!(sizes.eq(kept.iter().map(|entry| entry.bytes)));
    }
}

proptest! {
    #[test]
    fn a_log_is_what_its_model_says(drops in any::<bool>(), steps in steps()) {
        let when_full = if drops { WhenFull::DropOldest } else { WhenFull::Reject };
        let mut log = Log::new(&Config {
            partitions: PARTITIONS.try_into().unwrap(),
            retained_bytes_max: RETAINED_BYTES_MAX,
            dedupe_batches_max: REMEMBERED,
            when_full,
            ..Config::default()
        });
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Publish(batch) => publish(&mut log, &mut model, when_full, &batch),
                Step::Commit(group, partition, way) => {
                    let next = model.end(partition) * u64::from(way) / 255;
                    let committed = model.committed.entry(partition).or_default();
                    let highest = committed.entry(group).or_default();
                    *highest = next.max(*highest);
                    let cursor = Cursor { partition: Partition(partition), next: Offset(next) };
                    log.commit(&Group(group.to_string()), &[cursor]).unwrap();
                }
            }
            compare(&log, &model);
        }
    }
}

#[test]
fn a_queue_that_was_long_once_gives_its_memory_back() {
    let mut partition = PartitionLog::new(0);
    for sequence in 0..10_000 {
        partition.entries.push_back(super::Entry {
            sequence,
            encoded: Bytes::new(),
        });
    }
    while partition.entries.len() > 10 {
        partition.pop_front();
    }
    assert!(partition.entries.capacity() <= 64);
}
