//! A journal that an earlier build wrote is opened and found to hold what it held. What changes the files of version 1
//! fails here: then there has to be a version 2, and this one still be read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::{
    fs,
    num::NonZeroU16,
    path::{Path, PathBuf},
    sync::Arc,
};

use log_tracer_transport::{Cursor, Envelope, Group, LogId, Offset, Part, Partition, Transport};
use log_tracer_transport_disk::{Config, DiskTransport, check_with};
use support::{
    DIRECTORY, close, commit, config, envelope, fake::FakeFiles, open, publish, read_all,
};

/// The files of one journal, as they were written by the first build that could.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn golden_config() -> Config {
    Config {
        partitions: NonZeroU16::new(3).unwrap(),
        ..config()
    }
}

/// What it holds: three segments, the first of which was not closed.
fn envelopes() -> Vec<Vec<Envelope>> {
    let mut calls: Vec<Vec<Envelope>> = (0..12)
        .map(|number| vec![envelope((number % 3) as u16, number, 600)])
        .collect();
    let mut split = envelope(1, 100, 5);
    split.part = Part { index: 1, count: 3 };
    calls.push(vec![split, envelope(0, 101, 0), envelope(0, 102, 1)]);
    calls
}

#[tokio::test]
async fn a_journal_of_version_1_is_read() {
    let mut disk = FakeFiles::default().disk().clone();
    for entry in fs::read_dir(directory()).unwrap() {
        let entry = entry.unwrap();
        let path = Path::new(DIRECTORY).join(entry.file_name());
        disk.put(&path, fs::read(entry.path()).unwrap());
    }
    let files = FakeFiles::of(disk);
    let report = check_with(
        Arc::new(files.clone()),
        Path::new(DIRECTORY),
        &mut |_, _| {},
    )
    .unwrap();
    assert_eq!((report.envelopes, report.closed), (15, true), "{report}");
    assert_eq!(report.problems, []);

    let transport = open(&files, &golden_config()).await.unwrap();
    let log_id: LogId = include_str!("golden/v1.log-id").trim().parse().unwrap();
    assert_eq!(transport.log_id(), log_id);
    let read = read_all(&transport).await.unwrap();
    for partition in 0..3 {
        let expected: Vec<Envelope> = envelopes()
            .into_iter()
            .flatten()
            .filter(|one| one.partition.0 == partition)
            .collect();
        let found: Vec<Envelope> = read[&partition]
            .iter()
            .map(|(_, one)| one.clone())
            .collect();
        assert_eq!(found, expected);
    }
    let committed = transport.committed(&Group("reader".into())).await.unwrap();
    let cursor = |partition, next| Cursor {
        partition: Partition(partition),
        next: Offset(next),
    };
    assert_eq!(committed, [cursor(0, 1), cursor(2, 0)]);
    let again = publish(&transport, envelopes().pop().unwrap())
        .await
        .unwrap();
    assert!(again.iter().all(|acked| acked.duplicate));
}

#[tokio::test]
#[ignore = "writes tests/golden/v1 anew: only for a version that was never released"]
async fn write_a_journal_of_version_1() {
    let _gone = fs::remove_dir_all(directory());
    let config = Config {
        directory: directory(),
        ..golden_config()
    };
    let mut transport = DiskTransport::open(&config).await.unwrap();
    for (number, call) in envelopes().into_iter().enumerate() {
        publish(&transport, call).await.unwrap();
        if number == 5 {
            // As after a crash, so that there is a segment that a recovery has started.
            drop(transport);
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            transport = DiskTransport::open(&config).await.unwrap();
        }
    }
    commit(&transport, 0, 1).await;
    commit(&transport, 2, 0).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    fs::write(
        directory().with_extension("log-id"),
        format!("{}\n", transport.log_id()),
    )
    .unwrap();
    close(&transport).await;
    for name in ["lock", "ballast", "spare"] {
        let _gone = fs::remove_file(directory().join(name));
    }
}
