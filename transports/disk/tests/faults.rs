//! A disk that fails: what is told to whom, what goes on, and what is there when the journal is opened again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use log_tracer_transport::{
    Envelope, Health, Offset, OpenError, Partition, PublishError, ReadError, ReadOptions, Start,
    Transport,
};
use log_tracer_transport_disk::{Config, DiskTransport, check_with};
use rand::{SeedableRng, rngs::StdRng};
use support::{
    DIRECTORY, close, commit, config, envelope, eventually,
    fake::{Crash, FakeFiles, Fault, Kind},
    open, publish, read_all,
};
use tokio::time::Instant;

const EIO: i32 = 5;
const EINTR: i32 = 4;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(100)
}

fn is_segment(name: &str) -> bool {
    name.ends_with(".segment") || name == "building" || name == "spare"
}

/// The next call of that kind for a segment fails, and only that.
fn fail_once(files: &FakeFiles, kind: Kind, error: i32) {
    let failed = AtomicBool::new(false);
    files.plan(move |asked, name| {
        let fails = asked == kind && is_segment(name) && !failed.swap(true, Ordering::SeqCst);
        fails.then_some(Fault::Error(error))
    });
}

/// A journal with some acked envelopes, whose segments are all prepared.
async fn journal(files: &FakeFiles, config: &Config) -> (DiskTransport, Vec<Envelope>) {
    let transport = open(files, config).await.unwrap();
    let sent: Vec<Envelope> = (0..5).map(|number| envelope(0, number, 200)).collect();
    for one in &sent {
        publish(&transport, vec![one.clone()]).await.unwrap();
    }
    // The thread that keeps house has made the next segment, and has nothing left to write that a fault could meet.
    eventually("the next segment is there", || {
        let names = files.disk().names(DIRECTORY.as_ref());
        names
            .iter()
            .filter(|name| name.ends_with(".segment"))
            .count()
            == 2
    })
    .await;
    (transport, sent)
}

async fn envelopes(transport: &DiskTransport) -> Vec<Envelope> {
    let all = read_all(transport).await.unwrap().into_values().flatten();
    all.map(|(_, one)| one).collect()
}

#[tokio::test]
async fn after_a_failed_write_or_fsync_nothing_is_acked_any_more() {
    for kind in [Kind::Write, Kind::SyncData] {
        let files = FakeFiles::default();
        let (transport, sent) = journal(&files, &config()).await;
        fail_once(&files, kind, EIO);
        let unknown = envelope(1, 100, 200);
        let first = publish(&transport, vec![unknown.clone()]).await;
        assert!(
            matches!(first, Err(PublishError::OutcomeUnknown(_))),
            "{first:?}"
        );
        // The disk works again, and that is not believed.
        for _ in 0..3 {
            let next = publish(&transport, vec![envelope(1, 101, 200)]).await;
            assert!(matches!(next, Err(PublishError::Failed(_))), "{next:?}");
        }
        assert!(matches!(transport.health(), Health::Failed(why) if why.contains("group")));
        assert_eq!(envelopes(&transport).await, sent);
        assert!(transport.close(support::far()).await.is_err());

        let reopened = open(&files, &config()).await.unwrap();
        let found = envelopes(&reopened).await;
        assert!(found.starts_with(&sent), "{kind:?}");
        // What it shows is durable, whatever the system remembers.
        let disk = files
            .disk()
            .after(Crash::Dropped, &mut StdRng::seed_from_u64(1));
        let after = open(&FakeFiles::of(disk), &config()).await.unwrap();
        assert_eq!(envelopes(&after).await, found);
        let retried = publish(&reopened, vec![unknown]).await.unwrap()[0];
        assert_eq!(retried.offset, Offset(0));
        assert_eq!(retried.duplicate, found.len() > sent.len());
    }
}

#[tokio::test]
async fn those_who_wait_behind_a_failed_fsync_are_told_as_well() {
    let files = FakeFiles::default();
    let (transport, _) = journal(&files, &config()).await;
    let transport = Arc::new(transport);
    files.plan(|kind, name| {
        (kind == Kind::SyncData && is_segment(name)).then(|| {
            thread::sleep(Duration::from_millis(100));
            Fault::Error(EIO)
        })
    });
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let transport = Arc::clone(&transport);
            tokio::spawn(
                async move { publish(&transport, vec![envelope(0, 100 + number, 50)]).await },
            )
        })
        .collect();
    for publish in waiting {
        let outcome = publish.await.unwrap();
        assert!(
            matches!(
                outcome,
                Err(PublishError::OutcomeUnknown(_) | PublishError::Failed(_))
            ),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn short_writes_and_interruptions_are_nobodys_business() {
    let files = FakeFiles::default();
    let calls = AtomicUsize::new(0);
    files.plan(
        move |kind, _| match (kind, calls.fetch_add(1, Ordering::SeqCst) % 3) {
            (Kind::Write | Kind::Read, 0) => Some(Fault::Short(7)),
            (Kind::Write | Kind::Read | Kind::SyncData, 1) => Some(Fault::Error(EINTR)),
            _ => None,
        },
    );
    let (transport, sent) = journal(&files, &config()).await;
    assert_eq!(envelopes(&transport).await, sent);
    close(&transport).await;
    let reopened = open(&files, &config()).await.unwrap();
    assert_eq!(envelopes(&reopened).await, sent);
}

/// One call after the other is refused for want of room, once and for good.
#[tokio::test]
async fn a_disk_that_is_full_at_any_step_loses_nothing_that_was_acked() {
    for for_good in [false, true] {
        let mut step = 0;
        loop {
            let files = FakeFiles::default();
            let calls = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&calls);
            files.plan(move |kind, _| {
                let takes_room = matches!(
                    kind,
                    Kind::Create | Kind::Write | Kind::SyncData | Kind::Rename | Kind::CreateDir
                );
                if !takes_room {
                    return None;
                }
                let number = counted.fetch_add(1, Ordering::SeqCst);
                (number == step || for_good && number > step).then_some(Fault::Error(ENOSPC))
            });
            let acked = fill(&files).await;
            let reached = calls.load(Ordering::SeqCst) > step;
            files.plan(|_, _| None);
            let reopened = open(&files, &config())
                .await
                .unwrap_or_else(|error| panic!("step {step}: {error}"));
            let found = envelopes(&reopened).await;
            for one in &acked {
                assert!(found.contains(one), "step {step}, for good {for_good}");
            }
            if !reached {
                break;
            }
            step += 1;
        }
        assert!(step > 30, "{step}");
    }
}

/// Publishes what can be published within a short time, and gives what was acked.
async fn fill(files: &FakeFiles) -> Vec<Envelope> {
    let mut acked = Vec::new();
    let opened = DiskTransport::open_with(&config(), Arc::new(files.clone())).await;
    let Ok(transport) = opened else {
        return acked;
    };
    for number in 0..14 {
        let one = envelope(0, number, 700);
        let deadline = Instant::now() + Duration::from_millis(5);
        match transport.publish(vec![one.clone()], deadline).await {
            Ok(_) => acked.push(one),
            Err(PublishError::Full(_) | PublishError::Busy) => {}
            Err(PublishError::OutcomeUnknown(_) | PublishError::Failed(_)) => break,
            Err(other) => panic!("{other}"),
        }
    }
    // Reading goes on in any case.
    let found = envelopes(&transport).await;
    assert!(acked.iter().all(|one| found.contains(one)));
    let _maybe = transport.close(support::far()).await;
    acked
}

#[tokio::test]
async fn when_no_segment_can_be_made_publishes_are_full_and_reading_and_committing_go_on() {
    let files = FakeFiles::default();
    let (transport, mut sent) = journal(&files, &config()).await;
    files.plan(|kind, name| {
        (kind == Kind::Write && name == "building").then_some(Fault::Error(ENOSPC))
    });
    let mut number = 100;
    let refused = loop {
        let one = envelope(0, number, 700);
        match transport.publish(vec![one.clone()], soon()).await {
            Ok(_) => sent.push(one),
            Err(error) => break error,
        }
        number += 1;
    };
    assert!(
        matches!(&refused, PublishError::Full(why) if why.contains("segment")),
        "{refused:?}"
    );
    assert_eq!(transport.health(), Health::Full);
    assert_eq!(envelopes(&transport).await, sent);
    commit(&transport, 0, 1).await;
    files.plan(|_, _| None);
    let late = publish(&transport, vec![envelope(0, number, 700)]).await;
    late.unwrap();
    assert_eq!(transport.health(), Health::Ready);
}

#[tokio::test]
async fn the_reserve_of_the_disk_is_left_alone() {
    let files = FakeFiles::default();
    let config = Config {
        reserve_bytes: 1 << 30,
        ..config()
    };
    let (transport, sent) = journal(&files, &config).await;
    assert_eq!(transport.usage().disk_reserve_bytes, Some(1 << 30));
    files.set_free_bytes(1 << 20);
    eventually("the disk is seen to be full", || {
        transport.health() == Health::Full
    })
    .await;
    let refused = transport.publish(vec![envelope(0, 100, 10)], soon()).await;
    assert!(
        matches!(&refused, Err(PublishError::Full(why)) if why.contains("free")),
        "{refused:?}"
    );
    assert_eq!(envelopes(&transport).await, sent);
    commit(&transport, 0, 2).await;
    // A retry of what is stored needs no room.
    assert!(publish(&transport, vec![sent[1].clone()]).await.unwrap()[0].duplicate);
    files.set_free_bytes(1 << 40);
    publish(&transport, vec![envelope(0, 101, 10)])
        .await
        .unwrap();
    assert_eq!(transport.health(), Health::Ready);
    close(&transport).await;
}

#[tokio::test]
async fn the_ballast_makes_room_for_the_cursors() {
    let files = FakeFiles::default();
    let (transport, _) = journal(&files, &config()).await;
    let watched = files.clone();
    files.plan(move |kind, name| {
        let full = kind == Kind::Write
            && name == "cursors.tmp"
            && watched
                .disk()
                .names(DIRECTORY.as_ref())
                .iter()
                .any(|name| name == "ballast");
        full.then_some(Fault::Error(ENOSPC))
    });
    commit(&transport, 0, 3).await;
    close(&transport).await;
    files.plan(|_, _| None);
    let reopened = open(&files, &config()).await.unwrap();
    let committed = reopened
        .committed(&log_tracer_transport::Group("reader".into()))
        .await
        .unwrap();
    assert_eq!(committed[0].next, Offset(3));
}

#[tokio::test]
async fn cursors_that_cannot_be_written_are_told_of_and_written_later() {
    let files = FakeFiles::default();
    let (transport, _) = journal(&files, &config()).await;
    files.plan(|kind, name| {
        (kind == Kind::SyncData && name == "cursors.tmp").then_some(Fault::Error(EIO))
    });
    commit(&transport, 0, 3).await;
    eventually(
        "it is degraded",
        || matches!(transport.health(), Health::Degraded(why) if why.contains("cursors")),
    )
    .await;
    // Nothing that was acked depends on it.
    publish(&transport, vec![envelope(0, 100, 10)])
        .await
        .unwrap();
    files.plan(|_, _| None);
    eventually("it is ready again", || transport.health() == Health::Ready).await;
    close(&transport).await;
}

#[tokio::test]
async fn a_read_that_fails_can_be_tried_again() {
    let files = FakeFiles::default();
    let (transport, sent) = journal(&files, &config()).await;
    fail_once(&files, Kind::Read, EIO);
    let from = vec![(Partition(0), Start::Earliest)];
    let mut reader = transport
        .subscribe(from, ReadOptions::default())
        .await
        .unwrap();
    let failed = reader.next().await;
    assert!(matches!(failed, Err(ReadError::Transient(_))), "{failed:?}");
    let delivery = reader.next().await.unwrap().unwrap();
    assert_eq!(delivery.items.len(), sent.len());
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_to_is_refused_by_name() {
    let files = FakeFiles::default();
    files.plan(|kind, _| match kind {
        Kind::CreateDir | Kind::Create | Kind::Write | Kind::Rename | Kind::Remove => {
            Some(Fault::Error(EROFS))
        }
        Kind::Lock => Some(Fault::Error(EROFS)),
        _ => None,
    });
    let refused = DiskTransport::open_with(&config(), Arc::new(files)).await;
    let Err(OpenError::Failed(error)) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.to_string().contains(DIRECTORY), "{error}");
}

#[tokio::test]
async fn a_second_one_is_told_who_has_the_directory() {
    let files = FakeFiles::default();
    let (transport, _) = journal(&files, &config()).await;
    let second = DiskTransport::open_with(&config(), Arc::new(files.clone())).await;
    assert!(
        matches!(&second, Err(OpenError::Transient(error)) if error.to_string().contains(DIRECTORY)),
        "{second:?}"
    );
    let checked = check_with(Arc::new(files.clone()), DIRECTORY.as_ref(), &mut |_, _| {});
    assert!(checked.unwrap_err().to_string().contains("in use"));
    close(&transport).await;
    check_with(Arc::new(files.clone()), DIRECTORY.as_ref(), &mut |_, _| {}).unwrap();
    open(&files, &config()).await.unwrap();
}

#[tokio::test]
async fn a_slow_fsync_lets_no_more_wait_than_may() {
    let files = FakeFiles::default();
    let config = Config {
        queue_bytes_max: 10_000,
        ..config()
    };
    let (transport, _) = journal(&files, &config).await;
    let transport = Arc::new(transport);
    files.plan(|kind, name| {
        if kind == Kind::SyncData && is_segment(name) {
            thread::sleep(Duration::from_millis(700));
        }
        None
    });
    let started: Vec<_> = (0..50)
        .map(|number| {
            let transport = Arc::clone(&transport);
            tokio::spawn(async move {
                let begun = Instant::now();
                let outcome = publish(&transport, vec![envelope(0, 100 + number, 1_000)]).await;
                (outcome, begun.elapsed())
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(transport.usage().queued_bytes.unwrap() <= 10_000);
    let (mut acked, mut busy) = (0, 0);
    for one in started {
        match one.await.unwrap() {
            (Ok(_), _) => acked += 1,
            (Err(PublishError::Busy), time) => {
                busy += 1;
                assert!(time < Duration::from_millis(500), "{time:?}");
            }
            (other, _) => panic!("{other:?}"),
        }
    }
    assert!(acked >= 9 && busy >= 30, "{acked} acked, {busy} busy");
    // One that waits and whose time is over takes its place back.
    let syncing = Arc::new(AtomicBool::new(false));
    let begun = Arc::clone(&syncing);
    files.plan(move |kind, name| {
        if kind == Kind::SyncData && is_segment(name) {
            begun.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(700));
        }
        None
    });
    let slow = tokio::spawn({
        let transport = Arc::clone(&transport);
        async move { publish(&transport, vec![envelope(0, 500, 10)]).await }
    });
    eventually("it is synced", || syncing.load(Ordering::SeqCst)).await;
    let late = transport.publish(vec![envelope(0, 501, 10)], soon()).await;
    assert!(matches!(late, Err(PublishError::Busy)), "{late:?}");
    slow.await.unwrap().unwrap();
    assert!(
        envelopes(&transport)
            .await
            .iter()
            .all(|one| one.received_unix_nano != 501)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_read_is_not_used_again_until_it_was_read() {
    let files = FakeFiles::default();
    let (transport, sent) = journal(&files, &config()).await;
    let (held, reading) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicBool::new(false)),
    );
    let (gate, seen) = (Arc::clone(&held), Arc::clone(&reading));
    files.plan(move |kind, name| {
        // The first read of the first segment waits for all that follows.
        if kind == Kind::Read && name.starts_with("00000000000000000001") {
            seen.store(true, Ordering::SeqCst);
            while gate.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
        }
        None
    });
    let from = vec![(Partition(0), Start::Earliest)];
    let mut reader = transport
        .subscribe(from, ReadOptions::default())
        .await
        .unwrap();
    let next = tokio::spawn(async move { reader.next().await });
    eventually("it reads", || reading.load(Ordering::SeqCst)).await;
    for number in 100..160 {
        let acked = publish(&transport, vec![envelope(0, number, 700)])
            .await
            .unwrap()[0];
        commit(&transport, 0, acked.offset.0 + 1).await;
    }
    assert!(transport.watermarks().await.unwrap()[0].start.unwrap() > Offset(20));
    held.store(false, Ordering::SeqCst);
    let delivery = next.await.unwrap().unwrap().unwrap();
    let read: Vec<Envelope> = delivery.items.into_iter().map(|(_, one)| one).collect();
    assert_eq!(read, sent[..read.len()]);
    assert!(!read.is_empty());
}
