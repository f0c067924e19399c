//! Anything that can happen to a journal, in any order, against plain vectors. `PROPTEST_CASES=1000` makes it long; a case
//! that fails is printed with everything that it takes to play it again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use log_tracer_transport::{
    BatchId, Envelope, Offset, Partition, PublishError, ReadError, ReadOptions, Start, Transport,
};
use log_tracer_transport_disk::{Config, DiskTransport};
use proptest::{collection::vec, prelude::*};
use rand::{SeedableRng, rngs::StdRng};
use support::{
    close, commit, config, envelope,
    fake::{Crash, FakeFiles, Fault, Kind},
    open, publish,
};
use tokio::time::{Instant, timeout};

#[derive(Clone, Debug)]
enum Action {
    /// New envelopes: partition and size of the payload.
    Publish(Vec<(u16, usize)>),
    /// The last call once more.
    Repeat,
    /// How far behind the end.
    Commit(u16, u64),
    /// From how far behind the end, and how many at a time.
    Read(u16, u64, usize),
    Reopen,
    /// A process that ends, or a machine that loses what was not synced, in sectors of that size or altogether.
    Crash(Option<usize>, u64),
    /// The next write or fsync of a segment fails.
    Fault(bool),
    /// The time of day jumps by so many hours.
    Jump(i64),
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => vec((0..2_u16, 0..1500_usize), 1..5).prop_map(Action::Publish),
        1 => Just(Action::Repeat),
        3 => (0..2_u16, 0..10_u64).prop_map(|(partition, behind)| Action::Commit(partition, behind)),
        3 => (0..2_u16, 0..30_u64, 1..5_usize).prop_map(|(partition, behind, most)| Action::Read(partition, behind, most)),
        1 => Just(Action::Reopen),
        1 => (prop_oneof![Just(None), Just(Some(64)), Just(Some(512)), Just(Some(1 << 20))], any::<u64>())
            .prop_map(|(sector, seed)| Action::Crash(sector, seed)),
        1 => any::<bool>().prop_map(Action::Fault),
        1 => (-2000..2000_i64).prop_map(Action::Jump),
    ]
}

/// The journal and what must be in it.
struct Model {
    config: Config,
    files: FakeFiles,
    transport: DiskTransport,
    /// Everything that was ever stored, by partition and offset.
    stored: [Vec<Envelope>; 2],
    /// A call whose outcome nobody knows.
    unknown: Vec<Envelope>,
    last: Vec<Envelope>,
    number: u64,
}

impl Model {
    async fn new(recent_bytes_max: usize) -> Self {
        let config = Config {
            recent_bytes_max,
            // Rarely full, since finding that out takes time.
            retained_bytes_max: 1 << 20,
            ..config()
        };
        let files = FakeFiles::default();
        let transport = open(&files, &config).await.unwrap();
        Self {
            config,
            files,
            transport,
            stored: [Vec::new(), Vec::new()],
            unknown: Vec::new(),
            last: Vec::new(),
            number: 0,
        }
    }

    async fn act(&mut self, action: &Action) {
        match action {
            Action::Publish(sizes) => self.publish(sizes).await,
            Action::Repeat => self.repeat().await,
            Action::Commit(partition, behind) => {
                let end = self.stored[usize::from(*partition)].len() as u64;
                commit(&self.transport, *partition, end.saturating_sub(*behind)).await;
            }
            Action::Read(partition, behind, most) => self.read(*partition, *behind, *most).await,
            Action::Reopen => {
                close(&self.transport).await;
                self.open().await;
            }
            Action::Crash(sector, seed) => {
                let crash = match sector {
                    None => Crash::Process,
                    Some(sector) if *sector > 4096 => Crash::Dropped,
                    Some(sector) => Crash::Torn(*sector),
                };
                let disk = self
                    .files
                    .disk()
                    .after(crash, &mut StdRng::seed_from_u64(*seed));
                self.files = FakeFiles::of(disk);
                self.open().await;
            }
            Action::Fault(sync) => {
                let (kind, failed) = (
                    if *sync { Kind::SyncData } else { Kind::Write },
                    AtomicBool::new(false),
                );
                self.files.plan(move |asked, name| {
                    let fails = asked == kind
                        && name.ends_with(".segment")
                        && !failed.swap(true, Ordering::SeqCst);
                    fails.then_some(Fault::Error(5))
                });
                self.publish(&[(0, 100), (1, 100)]).await;
                self.files.plan(|_, _| None);
            }
            Action::Jump(hours) => self.files.jump(hours * 3_600_000),
        }
    }

    async fn publish(&mut self, sizes: &[(u16, usize)]) {
        let batch: Vec<Envelope> = sizes
            .iter()
            .map(|(partition, bytes)| {
                self.number += 1;
                envelope(*partition, self.number, *bytes)
            })
            .collect();
        // Long enough for everything but a log that is full.
        let deadline = Instant::now() + Duration::from_millis(200);
        match self.transport.publish(batch.clone(), deadline).await {
            Ok(acks) => {
                for (acked, one) in acks.iter().zip(&batch) {
                    let stored = &mut self.stored[usize::from(one.partition.0)];
                    assert_eq!(
                        (acked.offset.0, acked.duplicate),
                        (stored.len() as u64, false)
                    );
                    stored.push(one.clone());
                }
                self.last = batch;
            }
            Err(PublishError::OutcomeUnknown(_)) => {
                self.unknown = batch;
                assert!(self.transport.close(support::far()).await.is_err());
                self.open().await;
            }
            Err(PublishError::Busy) => {}
            Err(PublishError::Full(_)) => {
                // Everything may leave then.
                for partition in [0, 1] {
                    commit(
                        &self.transport,
                        partition,
                        self.stored[usize::from(partition)].len() as u64,
                    )
                    .await;
                }
            }
            Err(other) => panic!("{other}"),
        }
    }

    async fn repeat(&mut self) {
        if self.last.is_empty() {
            return;
        }
        let acks = publish(&self.transport, self.last.clone()).await.unwrap();
        for (acked, one) in acks.iter().zip(&self.last) {
            assert!(acked.duplicate);
            assert_eq!(
                self.stored[usize::from(one.partition.0)][acked.offset.0 as usize],
                *one
            );
        }
    }

    /// Opens what is there and finds out how the call ended whose outcome was unknown.
    async fn open(&mut self) {
        self.transport = open(&self.files, &self.config).await.unwrap();
        let unknown = std::mem::take(&mut self.unknown);
        let ends: Vec<u64> = self
            .transport
            .watermarks()
            .await
            .unwrap()
            .iter()
            .map(|w| w.end.0)
            .collect();
        let before: Vec<u64> = self
            .stored
            .iter()
            .map(|stored| stored.len() as u64)
            .collect();
        if ends != before {
            for one in &unknown {
                self.stored[usize::from(one.partition.0)].push(one.clone());
            }
            self.last = unknown;
        }
        let after: Vec<u64> = self
            .stored
            .iter()
            .map(|stored| stored.len() as u64)
            .collect();
        assert_eq!(
            ends, after,
            "a call is there in part, or an acked one is not"
        );
        self.read(0, 1000, 100).await;
        self.read(1, 1000, 100).await;
    }

    async fn read(&self, partition: u16, behind: u64, most: usize) {
        let stored = &self.stored[usize::from(partition)];
        let end = stored.len() as u64;
        let mut from = end.saturating_sub(behind);
        while from < end {
            match self.read_from(partition, from, most).await {
                Ok(read) => {
                    assert_eq!(read, stored[from as usize..]);
                    return;
                }
                // What was committed may leave at any time.
                Err(ReadError::Evicted { first, .. }) => {
                    assert!(first.0 > from);
                    from = first.0;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }

    async fn read_from(
        &self,
        partition: u16,
        from: u64,
        most: usize,
    ) -> Result<Vec<Envelope>, ReadError> {
        let options = ReadOptions {
            delivery_envelopes_max: most,
            ..ReadOptions::default()
        };
        let start = vec![(Partition(partition), Start::At(Offset(from)))];
        let mut reader = self.transport.subscribe(start, options).await?;
        let (mut read, mut next) = (Vec::new(), from);
        while next < self.stored[usize::from(partition)].len() as u64 {
            let delivery = reader.next().await?.unwrap();
            for (offset, one) in delivery.items {
                assert_eq!(offset, Offset(next));
                next += 1;
                read.push(one);
            }
            assert_eq!(delivery.next, Offset(next));
        }
        Ok(read)
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.div_ceil(4),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_journal_does_what_plain_vectors_do(
        all in vec(actions(), 1..60),
        recent_bytes_max in prop_oneof![Just(0), Just(2_000), Just(1_000_000)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new(recent_bytes_max).await;
            for action in &all {
                let acted = timeout(Duration::from_secs(10), model.act(action)).await;
                assert!(acted.is_ok(), "{action:?} does not end");
            }
            model.act(&Action::Crash(Some(1 << 20), 0)).await;
            model.act(&Action::Reopen).await;
            // Nobody has been given the id of another.
            let ids: std::collections::BTreeSet<BatchId> = model.stored.iter().flatten().map(|one| one.batch).collect();
            assert_eq!(ids.len(), model.stored.iter().map(Vec::len).sum::<usize>());
        });
    }
}
