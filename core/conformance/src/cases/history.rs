//! Many producers and readers at once, and a check of everything that they saw.
//!
//! Producers publish, are refused, drop calls and retry; readers read at their own pace, drop calls, subscribe anew and
//! commit. In the end there must be one history: what was acked is what was read, nothing is missing, nothing was
//! invented, and what one producer sent is in its order.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU16,
    sync::Arc,
    time::Duration,
};

use futures_util::future::{try_join, try_join_all};
use log_tracer_transport::{
    BatchId, Cursor, Dedupe, Delivery, Envelope, FullPolicy, Group, Offset, Partition,
    PublishError, ReadOptions, Start, Transport,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    spawn,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    Seen, Setup, Stage,
    reader::{Item, Reader, describe},
    seen::{SeenWhile, ensure},
    stage::{PATIENCE, Stored, cursor, group, must_end},
};

/// A small log, so that most publishes wait for the readers.
const SMALL: Setup = Setup {
    partitions: PARTITIONS,
    ..Setup::SMALL
};
const ROOMY: Setup = Setup {
    partitions: PARTITIONS,
    ..Setup::ROOMY
};
const PARTITIONS: NonZeroU16 = NonZeroU16::new(3).unwrap();

/// On one thread, where a seed gives the same history every time.
pub async fn producers_and_readers_in_any_order_agree_on_one_history(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    for seed in 0..4 {
        let play = Play {
            producers: 8,
            readers: 4,
            calls: 30,
            seed,
        };
        play.run(stage).await.seen_while(format_args!("{play:?}"))?;
    }
    Ok(())
}

/// On several threads, where only the machine decides.
pub async fn producers_and_readers_on_many_threads_agree_on_one_history(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let play = Play {
        producers: 64,
        readers: 4,
        calls: 10,
        seed: 1,
    };
    play.run(stage).await.seen_while(format_args!("{play:?}"))
}

#[derive(Debug)]
struct Play {
    producers: u64,
    readers: u64,
    /// Calls of publish that each producer makes until they succeed.
    calls: usize,
    seed: u64,
}

/// What a reader got, by partition.
type Read = BTreeMap<Partition, Vec<Item>>;

impl Play {
    async fn run(&self, stage: &Stage<'_>) -> Result<(), Seen> {
        let mut transport = stage.create(SMALL).await?;
        if transport.capabilities().when_full != FullPolicy::Reject
            || !stage.commits_make_room(&*transport).await?
        {
            transport = stage.create(ROOMY).await?;
        }
        let scripts: Vec<Vec<Vec<Envelope>>> = (0..self.producers)
            .map(|number| self.script(stage, number))
            .collect();
        let total = scripts.iter().flatten().map(Vec::len).sum();

        let commits = stage.group_cursors(&*transport).await?;
        let mut readers = Vec::new();
        for number in 0..self.readers {
            readers.push(
                self.start_reader(&transport, number, commits, total)
                    .await?,
            );
        }
        let producers: Vec<_> = scripts
            .iter()
            .zip(self.producers_seeds())
            .map(|(script, random)| spawn(produce(Arc::clone(&transport), script.clone(), random)))
            .collect();
        // Together, so that whoever fails first is heard and not the one who waits for it.
        let (acked, read) = try_join(all_of(producers), all_of(readers)).await?;

        let repeats = transport.capabilities().dedupe == Dedupe::None;
        History::new(&scripts).check(&acked.concat(), &read, repeats)?;
        if !repeats {
            self.expect_no_more(&*transport, &read).await?;
        }
        Ok(())
    }

    /// Checks that what the readers have read is all there is.
    async fn expect_no_more(&self, transport: &dyn Transport, read: &[Read]) -> Result<(), Seen> {
        for (partition, items) in read.iter().flatten() {
            if let Some((last, _)) = items.last() {
                let start = Start::At(Offset(last.0 + 1));
                let mut reader = Reader::of(transport, partition.0, start).await?;
                reader.expect_silence().await?;
            }
        }
        Ok(())
    }

    /// The calls of one producer: one to four envelopes each, for any partition and of any small size.
    fn script(&self, stage: &Stage<'_>, producer: u64) -> Vec<Vec<Envelope>> {
        let mut random = StdRng::seed_from_u64(self.seed << 32 | producer);
        let mut envelope = || {
            let partition = random.random_range(0..PARTITIONS.get());
            stage.envelope(partition, random.random_range(0..600))
        };
        (0..self.calls)
            .map(|call| (0..=call % 4).map(|_| envelope()).collect())
            .collect()
    }

    fn producers_seeds(&self) -> impl Iterator<Item = StdRng> {
        let base = self.seed << 32 | 1 << 24;
        (0..self.producers).map(move |number| StdRng::seed_from_u64(base | number))
    }

    /// Registers a reader's group, so that nothing leaves before it was read, and lets it read.
    async fn start_reader(
        &self,
        transport: &Arc<dyn Transport>,
        number: u64,
        commits: bool,
        total: usize,
    ) -> Result<JoinHandle<Result<Read, Seen>>, Seen> {
        let group = commits.then(|| group(&format!("reader-{number}")));
        if let Some(group) = &group {
            let start: Vec<Cursor> = (0..PARTITIONS.get()).map(|p| cursor(p, 0)).collect();
            let registered = transport.commit(group, &start).await;
            registered.seen_while("committing the start")?;
        }
        let reading = Reading {
            transport: Arc::clone(transport),
            group,
            random: StdRng::seed_from_u64(self.seed << 32 | 1 << 25 | number),
            read: Read::new(),
            seen: BTreeSet::new(),
        };
        Ok(spawn(reading.until(total)))
    }
}

/// Makes each call until it succeeds, with the same batch ids.
async fn produce(
    transport: Arc<dyn Transport>,
    script: Vec<Vec<Envelope>>,
    mut random: StdRng,
) -> Result<Vec<Stored>, Seen> {
    let mut stored = Vec::new();
    let give_up = Instant::now() + PATIENCE * 6;
    for batch in script {
        loop {
            ensure!(Instant::now() < give_up, "there is no room for its calls");
            let wait = Duration::from_millis(random.random_range(1..100));
            let publish = transport.publish(batch.clone(), Instant::now() + wait);
            // Some callers lose patience before the deadline and drop the call.
            let outcome = match random.random_bool(0.2) {
                true => timeout(wait / 4, publish).await.ok(),
                false => Some(must_end("a publish", publish).await?),
            };
            match outcome {
                Some(Ok(acks)) => {
                    let acked = acks.into_iter().zip(batch);
                    stored.extend(acked.map(|(acked, envelope)| Stored { acked, envelope }));
                    break;
                }
                None
                | Some(Err(
                    PublishError::Busy | PublishError::Full(_) | PublishError::OutcomeUnknown(_),
                )) => sleep(Duration::from_millis(1)).await,
                Some(Err(error)) => return Err(error).seen_while("publishing"),
            }
        }
    }
    Ok(stored)
}

/// A reader with habits.
struct Reading {
    transport: Arc<dyn Transport>,
    group: Option<Group>,
    random: StdRng,
    read: Read,
    seen: BTreeSet<BatchId>,
}

impl Reading {
    /// Reads until it has seen so many different envelopes.
    async fn until(mut self, total: usize) -> Result<Read, Seen> {
        let mut reader = self.subscribe().await?;
        while self.seen.len() < total {
            if self.random.random_bool(0.05) {
                reader = self.subscribe().await?;
            }
            if self.random.random_bool(0.2) {
                let wait = Duration::from_micros(self.random.random_range(1..2000));
                if let Ok(next) = timeout(wait, reader.subscription().next()).await {
                    let delivery = reader.accept(next.seen_while("reading")?)?;
                    self.take(delivery).await?;
                }
                continue;
            }
            let delivery = reader.delivery().await.seen_while(format_args!(
                "{} of {total} envelopes were read",
                self.seen.len()
            ))?;
            self.take(delivery).await?;
        }
        Ok(self.read)
    }

    /// At its own position, as after a lost connection.
    async fn subscribe(&mut self) -> Result<Reader, Seen> {
        let from = (0..PARTITIONS.get())
            .map(Partition)
            .map(|partition| match self.position(partition) {
                Some(next) => (partition, Start::At(next)),
                None => (partition, Start::Earliest),
            })
            .collect();
        let options = ReadOptions {
            delivery_envelopes_max: self.random.random_range(1..20),
            delivery_bytes_max: self.random.random_range(0..8_000),
            ..ReadOptions::default()
        };
        Reader::open(&*self.transport, from, options).await
    }

    fn position(&self, partition: Partition) -> Option<Offset> {
        let (last, _) = self.read.get(&partition)?.last()?;
        Some(Offset(last.0 + 1))
    }

    async fn take(&mut self, delivery: Option<Delivery>) -> Result<(), Seen> {
        let Some(delivery) = delivery else {
            return Err(Seen::new("the reader ended"));
        };
        let partition = delivery.partition;
        self.seen
            .extend(delivery.items.iter().map(|(_, envelope)| envelope.batch));
        self.read
            .entry(partition)
            .or_default()
            .extend(delivery.items);
        if self.random.random_bool(0.3) {
            sleep(Duration::from_micros(self.random.random_range(0..3000))).await;
        }
        if let Some(group) = &self.group {
            let upto = [cursor(partition.0, delivery.next.0)];
            let committed = self.transport.commit(group, &upto).await;
            committed.seen_while("committing")?;
        }
        Ok(())
    }
}

/// What was sent, by whom and in which order.
struct History<'a> {
    sent: HashMap<BatchId, Sent<'a>>,
}

struct Sent<'a> {
    producer: usize,
    number: usize,
    envelope: &'a Envelope,
}

impl<'a> History<'a> {
    fn new(scripts: &'a [Vec<Vec<Envelope>>]) -> Self {
        let sent = scripts.iter().enumerate().flat_map(|(producer, script)| {
            let envelopes = script.iter().flatten().enumerate();
            envelopes.map(move |(number, envelope)| {
                let sent = Sent {
                    producer,
                    number,
                    envelope,
                };
                (envelope.batch, sent)
            })
        });
        Self {
            sent: sent.collect(),
        }
    }

    fn check(&self, acked: &[Stored], reads: &[Read], repeats: bool) -> Result<(), Seen> {
        ensure!(
            acked.len() == self.sent.len(),
            "{} envelopes were sent and {} acked",
            self.sent.len(),
            acked.len()
        );
        for read in reads {
            for items in read.values() {
                self.check_order(items, repeats)?;
            }
            check_acks(acked, read, repeats)?;
        }
        check_agreement(reads)
    }

    /// Nothing invented or changed, nothing twice unless it may be, and every producer in its own order.
    fn check_order(&self, items: &[Item], repeats: bool) -> Result<(), Seen> {
        let mut seen = BTreeSet::new();
        let mut last_of = HashMap::new();
        for (offset, envelope) in items {
            let sent = self.sent.get(&envelope.batch);
            let Some(sent) = sent.filter(|sent| sent.envelope == envelope) else {
                return Err(Seen::new(format!(
                    "nobody sent what is at offset {}: {}",
                    offset.0,
                    describe(envelope)
                )));
            };
            if !seen.insert(envelope.batch) {
                ensure!(repeats, "offset {} repeats an earlier one", offset.0);
                continue;
            }
            let before = last_of.insert(sent.producer, sent.number);
            ensure!(
                before.is_none_or(|before| before < sent.number),
                "offset {} has envelope {} of producer {} after its envelope {before:?}",
                offset.0,
                sent.number,
                sent.producer
            );
        }
        Ok(())
    }
}

/// What was acked is found where the ack says.
fn check_acks(acked: &[Stored], read: &Read, repeats: bool) -> Result<(), Seen> {
    let places: HashMap<(Partition, Offset), &Envelope> = read
        .iter()
        .flat_map(|(partition, items)| items.iter().map(|(o, e)| ((*partition, *o), e)))
        .collect();
    for Stored { acked, envelope } in acked {
        let found = places.get(&(acked.partition, acked.offset)).copied();
        // Where there are repeats, a reader may have stopped before the copy that was acked.
        ensure!(
            found == Some(envelope) || repeats && found.is_none(),
            "partition {}, offset {}: {} was acked and {} was read",
            acked.partition.0,
            acked.offset.0,
            describe(envelope),
            found.map_or("nothing".into(), describe)
        );
    }
    Ok(())
}

/// All readers have read the same, as far as they have read.
fn check_agreement(reads: &[Read]) -> Result<(), Seen> {
    let Some((first, others)) = reads.split_first() else {
        return Ok(());
    };
    for other in others {
        for (partition, items) in first {
            let theirs = other.get(partition).map(Vec::as_slice).unwrap_or_default();
            let difference = items.iter().zip(theirs).find(|(mine, their)| mine != their);
            ensure!(
                difference.is_none(),
                "two readers of partition {} read different logs: {difference:?}",
                partition.0
            );
        }
    }
    Ok(())
}

async fn all_of<T>(tasks: Vec<JoinHandle<Result<T, Seen>>>) -> Result<Vec<T>, Seen> {
    let outcomes = tasks
        .into_iter()
        .map(|task| async { task.await.seen_while("a task")? });
    try_join_all(outcomes).await
}
