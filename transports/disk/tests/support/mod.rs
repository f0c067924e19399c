//! What the tests of the journal have at hand.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

pub mod fake;

use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use fake::FakeFiles;
use log_tracer_transport::{
    Acked, BatchId, Cursor, Envelope, Group, Kind, Offset, OpenError, Part, Partition,
    PublishError, ReadError, ReadOptions, Start, Transport,
};
use log_tracer_transport_disk::{Config, DiskTransport};
use tokio::time::Instant;

pub const DIRECTORY: &str = "/fake/data/journal";

/// A small journal that is soon full of segments.
pub fn config() -> Config {
    Config {
        directory: DIRECTORY.into(),
        partitions: NonZeroU16::new(2).unwrap(),
        segment_bytes: 4 << 10,
        retained_bytes_max: 256 << 10,
        envelope_bytes_max: 16 << 10,
        reserve_bytes: 0,
        // Everything is read from the files.
        recent_bytes_max: 0,
        dedupe_batches_max: 64,
        ..Config::default()
    }
}

pub fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

pub fn segment_name(sequence: u64) -> String {
    format!("{sequence:020}.segment")
}

pub fn far() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// An envelope that is told from all others by its number, with a payload of that many bytes.
pub fn envelope(partition: u16, number: u64, payload_bytes: usize) -> Envelope {
    let payload: Vec<u8> = (0..payload_bytes as u64)
        .map(|at| (at.wrapping_mul(31) ^ number) as u8)
        .collect();
    Envelope {
        partition: Partition(partition),
        kind: if number.is_multiple_of(2) {
            Kind::Traces
        } else {
            Kind::Logs
        },
        batch: BatchId(u128::from(number)),
        part: Part::WHOLE,
        records: number as u32,
        received_unix_nano: number,
        payload: Bytes::from(payload),
        is_checked: false,
    }
}

pub async fn open(files: &FakeFiles, config: &Config) -> Result<DiskTransport, OpenError> {
    // The threads of one that was dropped have the directory until they have ended.
    for _ in 0..2000 {
        match DiskTransport::open_with(config, Arc::new(files.clone())).await {
            Err(OpenError::Transient(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
            other => return other,
        }
    }
    panic!("somebody keeps the directory");
}

pub async fn publish(
    transport: &DiskTransport,
    batch: Vec<Envelope>,
) -> Result<Vec<Acked>, PublishError> {
    transport.publish(batch, far()).await
}

pub async fn commit(transport: &DiskTransport, partition: u16, next: u64) {
    let upto = Cursor {
        partition: Partition(partition),
        next: Offset(next),
    };
    transport
        .commit(&Group("reader".into()), &[upto])
        .await
        .unwrap();
}

pub async fn close(transport: &DiskTransport) {
    transport.close(far()).await.unwrap();
}

/// Everything that is kept, by partition; read to the end that the watermarks say.
pub async fn read_all(
    transport: &DiskTransport,
) -> Result<BTreeMap<u16, Vec<(u64, Envelope)>>, ReadError> {
    let mut all = BTreeMap::new();
    for watermark in transport.watermarks().await? {
        let from = vec![(watermark.partition, Start::Earliest)];
        let mut reader = transport.subscribe(from, ReadOptions::default()).await?;
        let mut next = watermark.start.unwrap();
        let mut read = Vec::new();
        while next < watermark.end {
            let delivery = reader.next().await?.unwrap();
            next = delivery.next;
            read.extend(
                delivery
                    .items
                    .into_iter()
                    .map(|(offset, envelope)| (offset.0, envelope)),
            );
        }
        all.insert(watermark.partition.0, read);
    }
    Ok(all)
}

/// Waits until something holds that other threads bring about.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..5000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}
