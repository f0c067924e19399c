//! A consumer whose store is on disk, and the consumer after it: each envelope is applied once, whatever happened between
//! the two. The log outlives both, as one on disk would.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use common::{
    EPOCH, bodies, channel, envelope, eventually, log, one_log,
    scripted::{Script, Scripted, Step, deliver},
    soon, until,
};
use log_tracer_consumer::{Config, Consumer, StartError};
use log_tracer_proto::v1::{self, query_service_client::QueryServiceClient};
use log_tracer_transport::{Acked, Cursor, Group, Kind, Offset, Partition, Transport};
use log_tracer_transport_channel::ChannelTransport;
use tonic::transport::Channel;

/// Seals after so many rows.
const SEAL_ROWS: u64 = 10;

fn config(directory: &Path) -> Config {
    let mut config = Config {
        store_directory: Some(directory.join("store")),
        ..Config::default()
    };
    config.store.flush_rows_max = SEAL_ROWS;
    // The records of the tests are of 2023.
    config.store.retention_age_max_ms = u64::MAX;
    config.store.disk_reserve_bytes = 0;
    config
}

struct Running {
    consumer: Consumer,
    client: QueryServiceClient<Channel>,
}

impl Running {
    async fn start(directory: &Path, transport: &Arc<ChannelTransport>) -> Self {
        Self::with(config(directory), transport).await
    }

    async fn with(config: Config, transport: &Arc<ChannelTransport>) -> Self {
        let consumer = Consumer::start(config, Arc::clone(transport) as _, log())
            .await
            .unwrap();
        let client = QueryServiceClient::new(consumer.connect_in_process());
        Self { consumer, client }
    }

    async fn applied(&mut self, next: u64) -> v1::StatusResponse {
        until(&mut self.client, |status| {
            status.partitions[0].applied_next >= next
        })
        .await
    }

    async fn durable(&mut self, next: u64) {
        until(&mut self.client, |status| {
            status.partitions[0].durable_next >= Some(next)
        })
        .await;
    }

    /// As a crash would: nothing is written any more. The directory is free once everything has let go of it.
    async fn crash(self, directory: &Path) {
        drop(self);
        free(directory).await;
    }

    async fn stop(self) {
        self.consumer.stop(soon()).await.unwrap();
    }
}

/// Waits until nobody has the store open.
async fn free(directory: &Path) {
    let lock = directory.join("store").join("lock");
    eventually(async || {
        let file = std::fs::File::open(&lock).unwrap();
        file.try_lock().is_ok()
    })
    .await;
}

/// So many log records, one in each envelope, numbered from `first`.
async fn publish(transport: &ChannelTransport, numbers: std::ops::Range<u64>) -> Vec<Acked> {
    let envelopes = numbers.map(|number| one_log(number.into(), &format!("line {number}"), number));
    transport
        .publish(envelopes.collect(), soon())
        .await
        .unwrap()
}

fn lines(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_clean_stop_everything_is_there_and_nothing_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let transport = channel(1);
    let mut running = Running::start(directory.path(), &transport).await;
    publish(&transport, 0..25).await;
    running.applied(25).await;
    running.stop().await;

    let mut running = Running::start(directory.path(), &transport).await;
    let status = running.applied(25).await;
    assert_eq!(status.replaying, "");
    assert_eq!(status.stores[1].applied_rows, 0, "nothing was read again");
    assert_eq!(status.stores[1].disk_rows, 25);
    assert_eq!(bodies(&mut running.client).await, lines(0..25));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_what_was_not_written_is_read_again_and_nothing_twice() {
    let directory = tempfile::tempdir().unwrap();
    let transport = channel(1);
    let mut running = Running::start(directory.path(), &transport).await;
    publish(&transport, 0..SEAL_ROWS).await;
    running.durable(SEAL_ROWS).await;
    publish(&transport, SEAL_ROWS..SEAL_ROWS + 5).await;
    running.applied(SEAL_ROWS + 5).await;
    running.crash(directory.path()).await;

    let mut running = Running::start(directory.path(), &transport).await;
    let status = running.applied(SEAL_ROWS + 5).await;
    assert_eq!(status.stores[1].applied_rows, 5, "five were only in memory");
    assert_eq!(
        bodies(&mut running.client).await,
        lines(0..SEAL_ROWS + 5),
        "each once"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_told_only_of_what_is_durable() {
    let directory = tempfile::tempdir().unwrap();
    let transport = channel(1);
    let mut running = Running::start(directory.path(), &transport).await;
    let group = Group("consumer".to_owned());
    publish(&transport, 0..SEAL_ROWS - 1).await;
    running.applied(SEAL_ROWS - 1).await;
    let committed = transport.committed(&group).await.unwrap();
    assert_eq!(committed, [], "it is in memory only");

    publish(&transport, SEAL_ROWS - 1..SEAL_ROWS + 3).await;
    running.durable(SEAL_ROWS).await;
    eventually(async || {
        let committed = transport.committed(&group).await.unwrap();
        committed.iter().any(|cursor| cursor.next.0 >= SEAL_ROWS)
    })
    .await;
    running.stop().await;
    let end = Cursor {
        partition: Partition(0),
        next: Offset(SEAL_ROWS + 3),
    };
    assert_eq!(transport.committed(&group).await.unwrap(), [end]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_before_the_restart_is_known_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let transport = channel(1);
    let mut running = Running::start(directory.path(), &transport).await;
    publish(&transport, 0..3).await;
    running.applied(3).await;
    running.stop().await;

    let mut running = Running::start(directory.path(), &transport).await;
    publish(&transport, 1..5).await;
    let status = running.applied(7).await;
    assert_eq!(status.duplicate_envelopes, 2);
    assert_eq!(bodies(&mut running.client).await, lines(0..5));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_aside_is_still_aside_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let transport = channel(1);
    let garbage = Bytes::from_static(&[0x08, 0xff]);
    let bad = envelope(9, Kind::Logs, 1, garbage.clone());
    let mut running = Running::start(directory.path(), &transport).await;
    transport.publish(vec![bad], soon()).await.unwrap();
    running.applied(1).await;
    running.stop().await;

    let mut running = Running::start(directory.path(), &transport).await;
    let status = running.applied(1).await;
    assert_eq!(status.quarantined_envelopes, 1);
    assert!(status.quarantine[0].kept);
    let request = v1::ExportQuarantineRequest {};
    let exported = running.client.export_quarantine(request).await.unwrap();
    let piece = exported.into_inner().message().await.unwrap().unwrap();
    assert_eq!(piece.data, garbage);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_nothing_follows_are_written_once_they_are_old() {
    let directory = tempfile::tempdir().unwrap();
    let transport = channel(1);
    let mut config = config(directory.path());
    config.store.flush_age_max_ms = 50;
    let mut running = Running::with(config, &transport).await;
    publish(&transport, 0..1).await;
    running.durable(1).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_say_that_they_are_partial_while_the_log_is_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let held = Arc::new(tokio::sync::Notify::new());
    let first = deliver(0, 0, vec![one_log(1, "first", 0)]);
    let second = deliver(0, 1, vec![one_log(2, "second", 1)]);
    let steps = vec![first, Step::Hold(Arc::clone(&held)), second, Step::Wait];
    let transport = Scripted::new(1, vec![Script::Steps(steps)]);
    transport.set_end(2);
    let consumer = Consumer::start(config(directory.path()), transport as _, log())
        .await
        .unwrap();
    let mut client = QueryServiceClient::new(consumer.connect_in_process());
    let status = until(&mut client, |status| status.partitions[0].applied_next == 1).await;
    assert!(
        status
            .replaying
            .contains("1 envelopes are still to be applied"),
        "{}",
        status.replaying
    );
    let coverage = coverage(&mut client).await;
    assert!(coverage.partial, "{coverage:?}");
    assert!(coverage.reasons[0].contains("replayed"), "{coverage:?}");

    held.notify_one();
    until(&mut client, |status| status.replaying.is_empty()).await;
    assert!(!self::coverage(&mut client).await.partial);
}

async fn coverage(client: &mut QueryServiceClient<Channel>) -> v1::Coverage {
    let request = v1::SearchLogsRequest::default();
    let answer = client.search_logs(request).await.unwrap();
    answer.into_inner().coverage.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_another_log_is_refused_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let transport = channel(1);
    let mut running = Running::start(directory.path(), &transport).await;
    publish(&transport, 0..1).await;
    running.applied(1).await;
    running.stop().await;

    let other = channel(1);
    let refused = Consumer::start(config(directory.path()), Arc::clone(&other) as _, log()).await;
    let error = refused.map(drop).unwrap_err();
    assert!(matches!(error, StartError::OtherLog { .. }), "{error:?}");
    let text = error.to_string();
    for expected in [
        transport.log_id().to_string(),
        other.log_id().to_string(),
        directory.path().display().to_string(),
        "move the store away".to_owned(),
    ] {
        assert!(text.contains(&expected), "no `{expected}` in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_before_the_store_is_refused_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let steps = vec![
        deliver(0, 0, vec![one_log(1, "a", 0), one_log(2, "b", 1)]),
        Step::Wait,
    ];
    let transport = Scripted::new(1, vec![Script::Steps(steps)]);
    transport.set_end(2);
    let consumer = Consumer::start(config(directory.path()), transport as _, log())
        .await
        .unwrap();
    let mut client = QueryServiceClient::new(consumer.connect_in_process());
    until(&mut client, |status| status.partitions[0].applied_next == 2).await;
    consumer.stop(soon()).await.unwrap();
    drop((consumer, client));
    free(directory.path()).await;

    let shorter = Scripted::new(1, vec![]);
    shorter.set_end(1);
    let refused = Consumer::start(config(directory.path()), shorter as _, log()).await;
    let error = refused.map(drop).unwrap_err();
    assert!(matches!(error, StartError::LogIsBehind { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("up to offset 2") && text.contains("ends at 1"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_open_elsewhere_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let transport = channel(1);
    let running = Running::start(directory.path(), &transport).await;
    let second =
        Consumer::start(config(directory.path()), Arc::clone(&transport) as _, log()).await;
    let error = second.map(drop).unwrap_err();
    assert!(matches!(error, StartError::Store(_)), "{error:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_a_range_is_exported_page_by_page() {
    let directory = tempfile::tempdir().unwrap();
    let transport = channel(1);
    let mut config = config(directory.path());
    config.query.answer_bytes_max = 64 << 10;
    config.query.piece_bytes_max = 1024;
    let mut running = Running::with(config, &transport).await;
    let long = "x".repeat(2_000);
    let envelopes =
        (0..100).map(|number| one_log(number, &format!("{number} {long}"), number as u64));
    transport
        .publish(envelopes.collect(), soon())
        .await
        .unwrap();
    running.applied(100).await;

    let request = v1::ExportRequest {
        signal: v1::Signal::Logs.into(),
        range: Some(v1::TimeRange {
            start_unix_nano: EPOCH + 10 * common::MS,
            end_unix_nano: EPOCH + 90 * common::MS,
        }),
        ..v1::ExportRequest::default()
    };
    let mut pages = running
        .client
        .export(request.clone())
        .await
        .unwrap()
        .into_inner();
    let mut numbers = Vec::new();
    let mut page_count = 0;
    while let Some(page) = pages.message().await.unwrap() {
        page_count += 1;
        assert!(!page.coverage.unwrap().partial);
        let scopes = page.resource_logs.iter().flat_map(|logs| &logs.scope_logs);
        let records: Vec<_> = scopes.flat_map(|scope| &scope.log_records).collect();
        assert_eq!(records.len(), page.records as usize);
        numbers.extend(records.iter().map(|record| {
            let body = common::body(record);
            body.split(' ').next().unwrap().parse::<u64>().unwrap()
        }));
    }
    assert!(page_count > 2, "{page_count} pages");
    assert!(numbers.iter().copied().eq(10..90), "{numbers:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_is_not_as_it_was_written_makes_answers_partial_and_is_in_the_status() {
    let directory = tempfile::tempdir().unwrap();
    let transport = channel(1);
    let mut running = Running::start(directory.path(), &transport).await;
    publish(&transport, 0..3).await;
    running.applied(3).await;
    running.stop().await;

    let blocks = std::fs::read_dir(directory.path().join("store/blocks")).unwrap();
    for block in blocks.map(|entry| entry.unwrap().path()) {
        let bytes = std::fs::read(&block).unwrap();
        // Its length stays, so that it is opened; the first byte that is read is wrong.
        let turned: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        std::fs::write(&block, turned).unwrap();
    }
    let mut running = Running::start(directory.path(), &transport).await;
    let coverage = coverage(&mut running.client).await;
    assert!(coverage.partial, "{coverage:?}");
    assert!(coverage.reasons[0].contains("logs-"), "{coverage:?}");
    let status = running.applied(3).await;
    let health = status.storage.unwrap().health;
    assert!(health.contains("logs-"), "{health}");
    running.stop().await;
}
