//! Waiting for a position: read your own write, or learn why not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::time::Duration;

use common::{Harness, LOG_ID_OF_ANOTHER, one_log};
use log_tracer_proto::v1;
use log_tracer_transport::{Offset, Transport};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request};

#[tokio::test]
async fn a_position_of_another_log_or_partition_is_refused_at_once() {
    let mut harness = Harness::start().await;
    let acks = harness.write(vec![one_log(1, "a", 0)]).await;
    let good = harness.position(&acks[0]);
    let cases = [
        (
            v1::Position {
                log_id: LOG_ID_OF_ANOTHER.to_owned(),
                ..good.clone()
            },
            Code::FailedPrecondition,
            "is of the log",
        ),
        (
            v1::Position {
                partition: 1,
                ..good.clone()
            },
            Code::FailedPrecondition,
            "does not read partition 1",
        ),
        (
            v1::Position {
                partition: 1 << 20,
                ..good.clone()
            },
            Code::FailedPrecondition,
            "does not read partition",
        ),
        (
            v1::Position {
                log_id: "+".repeat(32),
                ..good.clone()
            },
            Code::InvalidArgument,
            "32 hexadecimal digits",
        ),
        (
            v1::Position {
                log_id: String::new(),
                ..good
            },
            Code::InvalidArgument,
            "32 hexadecimal digits",
        ),
    ];
    for (position, code, message) in cases {
        let request = v1::WaitForPositionRequest {
            positions: vec![position],
        };
        let refused = harness.client.wait_for_position(request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.message().contains(message), "{refused}");
    }
}

// The clock moves when nothing else does, so that both sides see their deadlines in order.
#[tokio::test(start_paused = true)]
async fn waiting_ends_at_the_callers_deadline_and_says_how_far_it_is() {
    let mut harness = Harness::start().await;
    let mut acks = harness.write(vec![one_log(1, "a", 0)]).await;
    acks[0].offset = Offset(9);
    let mut request = Request::new(v1::WaitForPositionRequest {
        positions: vec![harness.position(&acks[0])],
    });
    request.set_timeout(Duration::from_millis(50));
    let late = harness.client.wait_for_position(request).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert_eq!(
        late.message(),
        "partition 0: offset 9 is not applied yet, the next one is 1"
    );
}

#[tokio::test]
async fn a_write_can_be_read_once_its_position_was_reached() {
    let mut harness = Harness::start().await;
    for batch in 0..50 {
        let body = format!("{batch:02}");
        harness.write(vec![one_log(batch, &body, 0)]).await;
        assert_eq!(harness.bodies().await.last(), Some(&body));
    }
    harness.transport.close(common::soon()).await.unwrap();
}

#[tokio::test]
async fn waiting_ends_when_the_server_shuts_down() {
    let harness = Harness::start().await;
    let shutdown = CancellationToken::new();
    let (client, server) = tokio::io::duplex(64 << 10);
    let incoming = tokio_stream::iter([Ok(server)]).chain(tokio_stream::pending());
    let server = tokio::spawn(harness.consumer.serve(incoming, shutdown.clone()));
    let mut client = common::client_of(client);
    let request = v1::WaitForPositionRequest {
        positions: vec![v1::Position {
            log_id: harness.transport.log_id().to_string(),
            partition: 0,
            offset: 1_000,
        }],
    };
    // It is answered after the shutdown, whichever of the two comes first.
    let (ended, ()) = tokio::join!(client.wait_for_position(request), async {
        tokio::task::yield_now().await;
        shutdown.cancel();
    });
    assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
    server.await.unwrap().unwrap();
}
