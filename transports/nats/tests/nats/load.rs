//! Producers that do not give up and readers that check everything, with a ledger of what was acknowledged.

use std::{
    collections::HashMap,
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use log_tracer_transport::{
    Acked, BatchId, Envelope, Kind, Offset, Part, Partition, PublishError, ReadError, ReadOptions,
    Start, Transport,
};
use log_tracer_transport_nats::NatsTransport;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// What must happen happens within this, also on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// How much goes through a log.
pub(crate) fn load_bytes() -> u64 {
    env::var("NATS_LOAD_BYTES").map_or(30_000_000, |text| text.parse().unwrap())
}

/// Where each envelope was stored, by its number.
pub(crate) type Ledger = HashMap<u64, (Partition, Offset)>;

/// Makes envelopes, each with a number of its own in its batch id and all over its payload.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) transport: Arc<NatsTransport>,
    pub(crate) producers: u64,
    /// How long one publish may take before it is made again with the same ids.
    pub(crate) patience: Duration,
    numbers: Arc<AtomicU64>,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Load {
    pub(crate) fn new(transport: &Arc<NatsTransport>) -> Self {
        Self {
            transport: Arc::clone(transport),
            producers: 16,
            patience: Duration::from_secs(5),
            numbers: Arc::new(AtomicU64::new(1)),
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    pub(crate) fn envelope(&self, payload_bytes: usize) -> Envelope {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let partitions = u64::from(self.transport.partitions().get());
        let mut payload = number.to_le_bytes().repeat(payload_bytes.div_ceil(8));
        payload.truncate(payload_bytes);
        Envelope {
            partition: Partition((number % partitions) as u16),
            kind: Kind::Logs,
            batch: BatchId(u128::from(number)),
            part: Part::WHOLE,
            records: 1,
            received_unix_nano: number,
            payload: Bytes::from(payload),
            is_checked: false,
        }
    }

    /// Publishes envelopes of these sizes in turn, as many bytes of each size, or until it is stopped.
    pub(crate) async fn publish(&self, sizes: &[usize], bytes: u64) -> Ledger {
        let mut producers = JoinSet::new();
        for producer in 0..self.producers {
            let (load, sizes) = (self.clone(), sizes.to_vec());
            producers.spawn(async move { load.produce(producer, &sizes, bytes).await });
        }
        producers.join_all().await.into_iter().flatten().collect()
    }

    async fn produce(&self, producer: u64, sizes: &[usize], bytes: u64) -> Ledger {
        let mut ledger = Ledger::new();
        for size in sizes {
            let share = bytes / sizes.len() as u64 / *size as u64;
            let calls = share / self.producers + u64::from(producer < share % self.producers);
            for _ in 0..calls {
                if self.stop.load(Ordering::Relaxed) {
                    return ledger;
                }
                let envelope = self.envelope(*size);
                let acks = self.publish_until_acked(vec![envelope.clone()]).await;
                let number = envelope.received_unix_nano;
                ledger.insert(number, (acks[0].partition, acks[0].offset));
            }
        }
        ledger
    }

    /// The same call with the same ids until it is acknowledged.
    pub(crate) async fn publish_until_acked(&self, batch: Vec<Envelope>) -> Vec<Acked> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let deadline = Instant::now() + self.patience;
            let published = self.transport.publish(batch.clone(), deadline).await;
            let late = deadline.elapsed();
            assert!(late < Duration::from_secs(3), "{late:?} after its deadline");
            match published {
                Ok(acks) => return acks,
                Err(
                    error @ (PublishError::Busy
                    | PublishError::Full(_)
                    | PublishError::OutcomeUnknown(_)),
                ) => {
                    assert!(Instant::now() < give_up, "{error}");
                    sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Reads all partitions from their start until so many envelopes were read, and gives where each was.
pub(crate) async fn read(transport: &NatsTransport, count: usize) -> Ledger {
    let partitions = (0..transport.partitions().get()).map(Partition);
    let mut next: HashMap<Partition, Offset> = partitions.map(|one| (one, Offset(0))).collect();
    let mut read = Ledger::new();
    let give_up = Instant::now() + PATIENCE * 4;
    let mut subscription = None;
    while read.len() < count {
        assert!(Instant::now() < give_up, "{} of {count}", read.len());
        let open = match &mut subscription {
            Some(open) => open,
            None => {
                let from = next
                    .iter()
                    .map(|(one, at)| (*one, Start::At(*at)))
                    .collect();
                match transport.subscribe(from, ReadOptions::default()).await {
                    Ok(open) => subscription.insert(open),
                    Err(ReadError::Transient(_)) => continue,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let delivery = match timeout(PATIENCE, open.next()).await.unwrap() {
            Ok(delivery) => delivery.unwrap(),
            Err(ReadError::Transient(_)) => continue,
            Err(error) => panic!("after {} of {count}: {error}", read.len()),
        };
        for (offset, envelope) in delivery.items {
            let expected = next.get_mut(&delivery.partition).unwrap();
            assert_eq!(offset, *expected, "a gap, or a step back");
            expected.0 += 1;
            let number = envelope.received_unix_nano;
            let whole = envelope
                .payload
                .chunks(8)
                .all(|part| number.to_le_bytes().starts_with(part));
            assert!(whole, "envelope {number} is not what was sent");
            let before = read.insert(number, (delivery.partition, offset));
            assert_eq!(before, None, "envelope {number} is there twice");
        }
    }
    read
}

/// What was acknowledged is what was read.
pub(crate) fn compare(acked: &Ledger, read: &Ledger) {
    for (number, place) in acked {
        assert_eq!(read.get(number), Some(place), "envelope {number}");
    }
    assert_eq!(acked.len(), read.len());
}
