//! `kill -9` of a process that publishes as fast as it can, on the real disk: whatever it was told is stored is there.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod support;

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use log_tracer_transport::{Cursor, Group, Offset, ReadError, Transport};
use log_tracer_transport_disk::{Config, DiskTransport, check};
use support::{close, commit, envelope, publish, read_all};

const DIRECTORY: &str = "JOURNAL_KILL_DIRECTORY";
const ROUND: &str = "JOURNAL_KILL_ROUND";
const WRITERS: u64 = 8;

fn config(directory: &Path) -> Config {
    Config {
        directory: directory.to_owned(),
        segment_bytes: 256 << 10,
        retained_bytes_max: 64 << 20,
        envelope_bytes_max: 64 << 10,
        ..support::config()
    }
}

fn number(round: u64, writer: u64, count: u64) -> u64 {
    round << 40 | writer << 32 | count
}

/// Not a test: the process that is killed. It says on its output what was acked.
#[test]
fn the_process_that_is_killed() {
    let (Ok(directory), Ok(round)) = (env::var(DIRECTORY), env::var(ROUND)) else {
        return;
    };
    let round: u64 = round.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let transport = Arc::new(
            DiskTransport::open(&config(Path::new(&directory)))
                .await
                .unwrap(),
        );
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let transport = Arc::clone(&transport);
                tokio::spawn(async move {
                    for count in 0.. {
                        let number = number(round, writer, count);
                        let one = envelope((writer % 2) as u16, number, (count % 3000) as usize);
                        let acked = publish(&transport, vec![one]).await.unwrap()[0];
                        println!("acked {number} {} {} ;", acked.partition.0, acked.offset.0);
                        if count % 50 == 49 {
                            // A reader that is far enough behind to find everything that was acked in this round.
                            let group = Group("behind".into());
                            let next = Offset(acked.offset.0.saturating_sub(20_000));
                            let upto = [Cursor {
                                partition: acked.partition,
                                next,
                            }];
                            transport.commit(&group, &upto).await.unwrap();
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

fn run_and_kill(directory: &Path, round: u64, life: Duration) -> Vec<(u64, u16, u64)> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let ledger = thread::spawn(move || {
        let lines = output.lines().map_while(Result::ok);
        let acked = lines.filter_map(|line| {
            let line = line[line.find("acked ")?..].to_owned();
            let mut fields = line.split(' ').skip(1);
            let acked = (
                fields.next()?.parse().ok()?,
                fields.next()?.parse().ok()?,
                fields.next()?.parse().ok()?,
            );
            // A line that was cut off says nothing.
            (fields.next()? == ";").then_some(acked)
        });
        acked.collect::<Vec<(u64, u16, u64)>>()
    });
    thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    ledger.join().unwrap()
}

#[tokio::test]
async fn what_was_acked_to_a_process_that_is_killed_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("journal");
    let mut acked_at_all = 0;
    for round in 1..=5 {
        let acked = run_and_kill(&directory, round, Duration::from_millis(300 + 100 * round));
        acked_at_all += acked.len();
        let report = check(&directory, &mut |_, _| {});
        assert!(report.is_ok_and(|report| report.problems.is_empty()));
        let transport = DiskTransport::open(&config(&directory)).await.unwrap();
        let read = match read_all(&transport).await {
            Ok(read) => read,
            Err(ReadError::Evicted { .. }) => read_all(&transport).await.unwrap(),
            Err(error) => panic!("{error}"),
        };
        for (number, partition, offset) in &acked {
            let items = &read[partition];
            let first = items.first().map_or(0, |(offset, _)| *offset);
            let count = number & 0xffff_ffff;
            let expected = envelope(*partition, *number, (count % 3000) as usize);
            let found = offset
                .checked_sub(first)
                .and_then(|at| items.get(at as usize));
            assert_eq!(found, Some(&(*offset, expected)), "round {round}");
        }
        // Nothing is there that was not sent.
        for (_, found) in read.values().flatten() {
            let number = found.received_unix_nano;
            let (of_round, writer) = (number >> 40, number >> 32 & 0xff);
            assert!((1..=round).contains(&of_round) && writer < WRITERS);
            let bytes = (number & 0xffff_ffff) % 3000;
            assert_eq!(*found, envelope(found.partition.0, number, bytes as usize));
        }
        for watermark in transport.watermarks().await.unwrap() {
            commit(&transport, watermark.partition.0, watermark.end.0).await;
        }
        close(&transport).await;
    }
    assert!(acked_at_all > 20, "{acked_at_all}");
}
