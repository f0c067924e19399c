//! LogService: one call, and the stream.

use futures_util::StreamExt;
use log_tracer_producer::{Config, POSITIONS_HEADER, Reason};
use log_tracer_proto::{
    otlp::common::any_value::Value,
    v1::{
        Level, LogEntry, SubmitRequest, SubmitResponse, SubmitStreamResponse,
        log_service_client::LogServiceClient, submit_stream_response::Result as Outcome,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Streaming, codec::CompressionEncoding, transport::Channel};
use tonic_types::StatusExt;

use crate::support::{Behaviour, Double, Running, records};

#[tokio::test]
async fn entries_become_log_records_of_their_service() {
    let server = Running::start().await;
    let entry = LogEntry {
        level: Level::Warn.into(),
        trace_id: "5b8efff798038103d269b633813fc60c".to_owned(),
        span_id: "eee19b7ec3c1b174".to_owned(),
        attributes: vec![records::attribute("job", "7")],
        ..records::entry(1)
    };
    let request = records::submit(vec![entry, records::entry(2)]);
    let reply = server.log_service().await.submit(request).await.unwrap();
    let stored = server.transport.logs();
    let resource = stored[0].resource_logs[0].resource.as_ref().unwrap();
    assert_eq!(
        resource.attributes,
        vec![records::attribute("service.name", "cron")]
    );
    let logs = records::logs_in(&stored);
    assert_eq!(logs.len(), 2);
    let body = logs[0].body.clone().unwrap().value;
    assert_eq!(body, Some(Value::StringValue("job 1 done".to_owned())));
    assert_eq!((logs[0].severity_number, logs[0].trace_id.len()), (13, 16));

    assert!(reply.metadata().get(POSITIONS_HEADER).is_some());
    let positions = reply.into_inner().positions;
    assert_eq!(positions.len(), 1);
    assert_eq!(positions[0].log_id, format!("{:032x}", 0x1d));
    assert_eq!((positions[0].partition, positions[0].offset), (0, 0));
}

#[tokio::test]
async fn an_entry_that_breaks_a_rule_refuses_the_request_by_entry_and_field() {
    let server = Running::start().await;
    let nameless = LogEntry {
        service: String::new(),
        ..records::entry(1)
    };
    let request = records::submit(vec![records::entry(0), nameless]);
    let status = server
        .log_service()
        .await
        .submit(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_details_bad_request().unwrap();
    assert_eq!(details.field_violations[0].field, "entries[1].service");
    assert!(server.transport.stored().is_empty());
}

#[tokio::test]
async fn an_entry_larger_than_an_envelope_refuses_all_of_them() {
    let server = Running::with(Running::config(), Double::new(1, 2_000)).await;
    let large = LogEntry {
        message: "m".repeat(3_000),
        ..records::entry(1)
    };
    let request = records::submit(vec![records::entry(0), large]);
    let status = server
        .log_service()
        .await
        .submit(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_none());
    assert!(server.transport.stored().is_empty());
}

#[tokio::test]
async fn a_retry_is_recognised_by_its_key_or_by_the_times_of_its_entries() {
    let server = Running::start().await;
    let timeless = LogEntry {
        time_unix_nano: 0,
        ..records::entry(0)
    };
    let keyed = |key: &str| SubmitRequest {
        idempotency_key: key.to_owned(),
        ..records::submit(vec![timeless.clone()])
    };
    let timed = || records::submit(vec![records::entry(1)]);
    let mut client = server.log_service().await;
    for request in [
        timed(),
        timed(),
        keyed("a"),
        keyed("a"),
        keyed(""),
        keyed(""),
    ] {
        client.submit(request).await.unwrap();
    }
    let stored = server.transport.stored();
    let ids: Vec<_> = stored.iter().map(|envelope| envelope.batch).collect();
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[2], ids[3]);
    assert_ne!(ids[3], ids[4]);
    assert_ne!(ids[4], ids[5]);
}

#[tokio::test]
async fn transport_errors_are_told_as_for_otlp() {
    let server = Running::start().await;
    let full = log_tracer_transport::PublishError::Full("so full".to_owned());
    server.transport.behave(Behaviour::Fail(full));
    let request = records::submit(vec![records::entry(0)]);
    let status = server
        .log_service()
        .await
        .submit(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_some());
}

/// A stream that is open in both directions.
struct Talk {
    requests: mpsc::Sender<SubmitRequest>,
    replies: Streaming<SubmitStreamResponse>,
}

impl Talk {
    async fn open(server: &Running) -> Self {
        let client = server.log_service().await;
        Self::with(client.send_compressed(CompressionEncoding::Gzip)).await
    }

    async fn open_plain(server: &Running) -> Self {
        Self::with(server.log_service().await).await
    }

    async fn with(mut client: LogServiceClient<Channel>) -> Self {
        let (requests, receiver) = mpsc::channel(64);
        let stream = Request::new(ReceiverStream::new(receiver));
        let replies = client.submit_stream(stream).await.unwrap().into_inner();
        Self { requests, replies }
    }

    async fn send(&self, entries: Vec<LogEntry>) {
        self.requests.send(records::submit(entries)).await.unwrap();
    }

    async fn reply(&mut self) -> (u64, Outcome) {
        let reply = self.replies.next().await.unwrap().unwrap();
        (reply.request_index, reply.result.unwrap())
    }
}

fn is_stored(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Stored(SubmitResponse { positions }) if !positions.is_empty())
}

#[tokio::test]
async fn each_request_of_a_stream_is_answered_as_soon_as_it_is_stored() {
    let server = Running::start().await;
    let mut talk = Talk::open(&server).await;
    for index in 0..3 {
        talk.send(vec![records::entry(index)]).await;
        let (answered, outcome) = talk.reply().await;
        assert_eq!(answered, index);
        assert!(is_stored(&outcome));
        assert_eq!(server.transport.records() as u64, index + 1);
    }
    drop(talk.requests);
    assert!(talk.replies.next().await.is_none());
}

#[tokio::test]
async fn replies_come_in_order_while_requests_are_stored_together() {
    let server = Running::with(Running::config(), Double::that(Behaviour::Block)).await;
    let mut talk = Talk::open(&server).await;
    for index in 0..10 {
        talk.send(vec![records::entry(index)]).await;
    }
    while server.transport.publishing() < 10 {
        tokio::task::yield_now().await;
    }
    server.transport.behave(Behaviour::Store);
    for index in 0..10 {
        assert_eq!(talk.reply().await.0, index);
    }
}

#[tokio::test]
async fn no_more_requests_are_read_than_may_be_under_way() {
    let config = Config {
        stream_requests_max: 2,
        publish_deadline_ms: 10_000,
        ..Running::config()
    };
    let server = Running::with(config, Double::that(Behaviour::Block)).await;
    let mut talk = Talk::open(&server).await;
    for index in 0..5 {
        talk.send(vec![records::entry(index)]).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(server.transport.publishing(), 2);
    server.transport.behave(Behaviour::Store);
    for index in 0..5 {
        assert_eq!(talk.reply().await.0, index);
    }
}

#[tokio::test]
async fn a_refused_request_is_answered_and_the_stream_goes_on() {
    let config = Config {
        request_bytes_max: 2_000,
        ..Running::config()
    };
    let server = Running::with(config, Double::default()).await;
    let mut talk = Talk::open(&server).await;
    let nameless = LogEntry::default();
    let zip_bomb = LogEntry {
        message: "m".repeat(10_000),
        ..records::entry(2)
    };
    for entry in [records::entry(0), nameless, zip_bomb, records::entry(3)] {
        talk.send(vec![entry]).await;
    }
    let codes = [
        None,
        Some(Code::InvalidArgument),
        Some(Code::ResourceExhausted),
        None,
    ];
    for (index, code) in codes.into_iter().enumerate() {
        let (answered, outcome) = talk.reply().await;
        assert_eq!(answered, index as u64);
        match (outcome, code) {
            (Outcome::Refused(error), Some(code)) => {
                assert_eq!(error.code, i32::from(code), "{error:?}");
                assert!(!error.retryable);
                assert_eq!(error.retry_delay_ms, 0);
            }
            (outcome, None) => assert!(is_stored(&outcome), "{outcome:?}"),
            (outcome, code) => panic!("{outcome:?} {code:?}"),
        }
    }
    assert_eq!(server.transport.records(), 2);
    assert_eq!(server.refused(Reason::TooLarge), 1);
}

#[tokio::test]
async fn a_message_too_large_to_be_read_is_passed_over() {
    let config = Config {
        request_bytes_max: 2_000,
        ..Running::config()
    };
    let server = Running::with(config, Double::default()).await;
    let mut talk = Talk::open_plain(&server).await;
    // Larger than what the connection may send ahead.
    let large = LogEntry {
        message: "m".repeat(1_000_000),
        ..records::entry(0)
    };
    talk.send(vec![large]).await;
    talk.send(vec![records::entry(1)]).await;
    let (_, outcome) = talk.reply().await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    assert!(is_stored(&talk.reply().await.1));
    assert_eq!(server.refused(Reason::TooLarge), 1);
}

#[tokio::test]
async fn a_busy_transport_is_told_as_retryable_and_the_stream_goes_on() {
    let server = Running::start().await;
    let mut talk = Talk::open(&server).await;
    let busy = log_tracer_transport::PublishError::Busy;
    server.transport.behave(Behaviour::Fail(busy));
    talk.send(vec![records::entry(0)]).await;
    let (_, outcome) = talk.reply().await;
    let Outcome::Refused(error) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(error.retryable);
    assert_eq!(error.retry_delay_ms, 1_000);
    server.transport.behave(Behaviour::Store);
    talk.send(vec![records::entry(0)]).await;
    assert!(is_stored(&talk.reply().await.1));
}

#[tokio::test]
async fn a_client_that_reads_no_replies_holds_no_memory() {
    let server = Running::start().await;
    let talk = Talk::open(&server).await;
    for index in 0..16 {
        talk.send(vec![records::entry(index)]).await;
    }
    while server.transport.records() < 16 || server.metrics.snapshot().inflight_bytes > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stopping_producer_finishes_what_it_has_read_and_ends_the_stream() {
    let server = Running::with(Running::config(), Double::that(Behaviour::Block)).await;
    let mut talk = Talk::open(&server).await;
    talk.send(vec![records::entry(0)]).await;
    while server.transport.publishing() == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    server.transport.behave(Behaviour::Store);
    assert!(is_stored(&talk.reply().await.1));
    let end = talk.replies.next().await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    server.stop().await;
}
