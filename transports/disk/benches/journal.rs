//! How fast a journal is, against what its disk can do: `cargo bench -p log-tracer-transport-disk`, with the directory to
//! measure in as `JOURNAL_BENCH_DIRECTORY` (the directory for temporary files by default) and seconds for each line as
//! `JOURNAL_BENCH_SECONDS` (2 by default).
//!
//! Everything is printed by one run, so that the lines can be compared on a machine that is busy with other things. MB is
//! a million bytes; CPU is that of this process, user and system, load generator included.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]

use std::{
    env,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use log_tracer_transport::{
    BatchId, Cursor, Envelope, Group, Kind, Offset, Part, Partition, ReadOptions, Start, Transport,
};
use log_tracer_transport_disk::{Config, DiskTransport};
use nix::sys::resource::{UsageWho, getrusage};

const LARGE: usize = 150_000;
const SMALL: usize = 1_000;
const SEGMENT_BYTES: u64 = 256 << 20;

fn main() {
    let root = env::var("JOURNAL_BENCH_DIRECTORY").map_or_else(|_| env::temp_dir(), PathBuf::from);
    let root = tempfile::tempdir_in(root).unwrap();
    let seconds = env::var("JOURNAL_BENCH_SECONDS").map_or(2.0, |text| text.parse().unwrap());
    let time = Duration::from_secs_f64(seconds);
    println!("measuring in {} for {time:?} a line", root.path().display());

    println!("\none thread, write + fdatasync into a file that was filled with zeros");
    for bytes in [1_000, 8_000, 64_000, 150_000, 1_000_000, 8 << 20] {
        raw(root.path(), bytes, time);
    }
    println!("\nwriters that publish one envelope each and wait for its ack");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    for payload in [LARGE, SMALL] {
        for writers in [1, 8, 64] {
            runtime.block_on(publish(root.path(), payload, writers, time));
        }
    }
    println!("\nreading and opening");
    for payload in [LARGE, SMALL] {
        runtime.block_on(read_back(root.path(), payload));
    }
}

fn cpu_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .iter()
        .sum()
}

/// What the disk does for one writer that writes so many bytes at a time.
fn raw(root: &Path, bytes: usize, time: Duration) {
    let path = root.join("raw");
    let file = File::create_new(&path).unwrap();
    let zeros = vec![0; 8 << 20];
    for at in (0..SEGMENT_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at).unwrap();
    }
    file.sync_all().unwrap();
    let block: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
    let (mut written, mut at) = (0_u64, 0);
    let mut latencies = Vec::new();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    while start.elapsed() < time {
        let begun = Instant::now();
        file.write_all_at(&block, at).unwrap();
        file.sync_data().unwrap();
        latencies.push(begun.elapsed());
        written += bytes as u64;
        at = (at + bytes as u64) % (SEGMENT_BYTES - bytes as u64);
    }
    report(
        &format!("{bytes} bytes"),
        written,
        start.elapsed(),
        cpu_seconds() - cpu,
        latencies,
    );
    fs::remove_file(path).unwrap();
}

fn config(directory: &Path) -> Config {
    Config {
        directory: directory.to_owned(),
        segment_bytes: SEGMENT_BYTES,
        retained_bytes_max: 16 << 30,
        reserve_bytes: 0,
        ..Config::default()
    }
}

fn envelope(number: u64, payload: Bytes) -> Envelope {
    Envelope {
        partition: Partition(0),
        kind: Kind::Traces,
        batch: BatchId(u128::from(number)),
        part: Part::WHOLE,
        records: 1,
        received_unix_nano: number,
        payload,
        is_checked: false,
    }
}

fn far() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(60)
}

/// What so many writers get acked, while a group commits everything that is acked so that segments are used again.
async fn publish(root: &Path, payload: usize, writers: u64, time: Duration) {
    let directory = root.join("journal");
    let transport = Arc::new(DiskTransport::open(&config(&directory)).await.unwrap());
    let bytes = Bytes::from((0..payload).map(|at| at as u8).collect::<Vec<_>>());
    // The first segments are written with zeros, which is not what is measured.
    run(
        &transport,
        &bytes,
        writers,
        1 << 40,
        Duration::from_millis(700),
    )
    .await;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let latencies = run(&transport, &bytes, writers, 0, time).await;
    let label = format!("{payload} bytes, {writers} writers");
    let written = (latencies.len() * payload) as u64;
    report(
        &label,
        written,
        start.elapsed(),
        cpu_seconds() - cpu,
        latencies,
    );
    transport.close(far()).await.unwrap();
    drop(transport);
    fs::remove_dir_all(directory).unwrap();
}

async fn run(
    transport: &Arc<DiskTransport>,
    payload: &Bytes,
    writers: u64,
    first: u64,
    time: Duration,
) -> Vec<Duration> {
    let numbers = Arc::new(AtomicU64::new(first));
    let end = Instant::now() + time;
    let committing = tokio::spawn({
        let transport = Arc::clone(transport);
        async move {
            while Instant::now() < end {
                let next = transport.watermarks().await.unwrap()[0].end;
                let partition = Partition(0);
                let upto = [Cursor { partition, next }];
                let group = Group("bench".into());
                transport.commit(&group, &upto).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let writing: Vec<_> = (0..writers)
        .map(|_| {
            let (transport, payload) = (Arc::clone(transport), payload.clone());
            let numbers = Arc::clone(&numbers);
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while Instant::now() < end {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    let one = vec![envelope(number, payload.clone())];
                    let begun = Instant::now();
                    transport.publish(one, far()).await.unwrap();
                    latencies.push(begun.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for writer in writing {
        latencies.extend(writer.await.unwrap());
    }
    committing.await.unwrap();
    latencies
}

/// How fast a gigabyte, or a hundred thousand envelopes, is read from the files and found again after a crash.
async fn read_back(root: &Path, payload: usize) {
    let directory = root.join("journal");
    let config = Config {
        recent_bytes_max: 0,
        ..config(&directory)
    };
    let count = (1_000_000_000 / payload).min(100_000);
    let bytes = Bytes::from((0..payload).map(|at| at as u8).collect::<Vec<_>>());
    let transport = DiskTransport::open(&config).await.unwrap();
    let mut number = 0;
    while number < count {
        let call = 64.min(count - number);
        let batch = (number..number + call).map(|one| envelope(one as u64, bytes.clone()));
        transport.publish(batch.collect(), far()).await.unwrap();
        number += call;
    }
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let from = vec![(Partition(0), Start::At(Offset(0)))];
    let mut reader = transport
        .subscribe(from, ReadOptions::default())
        .await
        .unwrap();
    let mut read = 0;
    while read < count {
        read += reader.next().await.unwrap().unwrap().items.len();
    }
    let label = format!("reading {payload} bytes");
    let cpu = cpu_seconds() - cpu;
    report(
        &label,
        (count * payload) as u64,
        start.elapsed(),
        cpu,
        Vec::new(),
    );
    drop(reader);
    // Without closing, and without what was written beside the segments: everything has to be read.
    drop(transport);
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "index")
        {
            fs::remove_file(path).unwrap();
        }
    }
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let transport = loop {
        match DiskTransport::open(&config).await {
            Ok(transport) => break transport,
            // The threads of the one before have not ended yet.
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    let label = format!("recovering {payload} bytes");
    let cpu = cpu_seconds() - cpu;
    report(
        &label,
        (count * payload) as u64,
        start.elapsed(),
        cpu,
        Vec::new(),
    );
    transport.close(far()).await.unwrap();
    fs::remove_dir_all(directory).unwrap();
}

fn report(label: &str, bytes: u64, time: Duration, cpu: f64, mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |percent: usize| {
        let index = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
        latencies
            .get(index)
            .map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    let seconds = time.as_secs_f64();
    println!(
        "{label:>28}: {:8.1} MB/s {:9.0}/s  p50 {:7.3} ms  p99 {:7.3} ms  CPU {:.2} s/GB",
        bytes as f64 / 1e6 / seconds,
        latencies.len() as f64 / seconds,
        at(50),
        at(99),
        cpu / (bytes as f64 / 1e9)
    );
}
