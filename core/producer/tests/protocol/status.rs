//! What a producer tells of itself: what it took in, and what it refused, why, and from where.

use log_tracer_proto::v1::{
    ClientClass, ProducerStatusRequest, ProducerStatusResponse,
    producer_service_client::ProducerServiceClient,
};
use prost::Message;

use crate::support::{Client, Running, http::PROTOBUF, records};

async fn status(server: &Running) -> ProducerStatusResponse {
    let mut client = ProducerServiceClient::new(server.channel().await);
    let answer = client.producer_status(ProducerStatusRequest {}).await;
    answer.unwrap().into_inner()
}

#[tokio::test]
async fn a_new_producer_is_ready_and_refused_nothing() {
    let server = Running::start().await;
    let status = status(&server).await;
    assert_eq!(status.health, "ready");
    assert!(status.refused.is_empty() && status.recent.is_empty());
    assert!(status.inflight_bytes_max > 0 && status.started_unix_nano > 0);
}

#[tokio::test]
async fn refusals_are_told_with_reason_count_port_and_place_and_no_data() {
    let server = Running::start().await;
    let body = records::traces(1).encode_to_vec();
    let headers = [("content-type", PROTOBUF)];
    for _ in 0..3 {
        Client::new(server.grpc)
            .post("/v1/traces", &headers, body.clone())
            .await;
    }
    let secret = b"\xff\xffthe-secret-of-a-request".to_vec();
    Client::new(server.http)
        .post("/v1/traces", &headers, secret)
        .await;
    Client::new(server.http)
        .post("/v1/traces", &headers, body)
        .await;

    let status = status(&server).await;
    assert_eq!((status.requests_stored, status.spans_accepted), (1, 1));
    let refused: Vec<(&str, u64)> = status
        .refused
        .iter()
        .map(|one| (one.reason.as_str(), one.count))
        .collect();
    assert_eq!(refused, [("malformed", 1), ("wrong_port", 3)]);
    let [newest, before] = status.recent.as_slice() else {
        panic!("{:?}", status.recent)
    };
    assert_eq!(
        (newest.reason.as_str(), newest.port.as_str()),
        ("malformed", "http")
    );
    assert!(!newest.message.contains("secret"), "{}", newest.message);
    assert_eq!((before.reason.as_str(), before.count), ("wrong_port", 3));
    assert_eq!(before.port, "grpc");
    assert_eq!(before.client(), ClientClass::ThisMachine);
    assert!(before.first_unix_nano <= before.last_unix_nano);
}
