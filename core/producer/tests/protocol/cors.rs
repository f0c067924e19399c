//! Exporters in browsers.

use http::Method;
use log_tracer_producer::{Config, Reason};
use prost::Message;

use crate::support::{Double, Running, http::PROTOBUF, records};

const TYPE: (&str, &str) = ("content-type", PROTOBUF);

#[tokio::test]
async fn a_page_of_this_machine_may_send_and_read_the_answer() {
    let server = Running::start().await;
    let origin = "http://localhost:3000";
    let headers = [TYPE, ("origin", origin)];
    let body = records::traces(1).encode_to_vec();
    let reply = server.client().post("/v1/traces", &headers, body).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
    assert_eq!(reply.header("vary"), Some("origin"));
    let refused = server.client().post("/v1/traces", &headers, "?").await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.header("access-control-allow-origin"), Some(origin));
}

#[tokio::test]
async fn a_preflight_is_answered() {
    let server = Running::start().await;
    let headers = [
        ("origin", "http://127.0.0.1:8080"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,x-mine"),
        ("access-control-request-private-network", "true"),
    ];
    let reply = server
        .client()
        .request(Method::OPTIONS, "/v1/traces", &headers)
        .await;
    assert_eq!(reply.status, 204);
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("http://127.0.0.1:8080")
    );
    assert_eq!(reply.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(
        reply.header("access-control-allow-headers"),
        Some("content-type,x-mine")
    );
    assert_eq!(
        reply.header("access-control-allow-private-network"),
        Some("true")
    );
}

#[tokio::test]
async fn a_page_from_elsewhere_stores_nothing_and_is_told_why() {
    let server = Running::start().await;
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
    ] {
        let headers = [TYPE, ("origin", origin)];
        let body = records::traces(1).encode_to_vec();
        let reply = server.client().post("/v1/traces", &headers, body).await;
        assert_eq!(reply.status, 403);
        assert!(reply.error().message.contains("cors_origins"));
        assert_eq!(reply.header("access-control-allow-origin"), None);
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
        ];
        let preflight = server
            .client()
            .request(Method::OPTIONS, "/v1/traces", &headers)
            .await;
        assert_eq!(preflight.status, 403);
    }
    assert!(server.transport.stored().is_empty());
    assert_eq!(server.refused(Reason::Origin), 6);
}

#[tokio::test]
async fn the_configured_origins_count_and_no_others() {
    let config = Config {
        cors_origins: vec!["https://shop.example".to_owned()],
        ..Running::config()
    };
    let server = Running::with(config, Double::default()).await;
    let body = records::traces(1).encode_to_vec();
    for (origin, status) in [("https://shop.example", 200), ("http://localhost:1", 403)] {
        let headers = [TYPE, ("origin", origin)];
        let reply = server
            .client()
            .post("/v1/traces", &headers, body.clone())
            .await;
        assert_eq!(reply.status, status, "{origin}");
    }
}
