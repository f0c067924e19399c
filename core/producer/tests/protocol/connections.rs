//! Connections that stall, and too many of them.

use std::time::Duration;

use log_tracer_producer::{Config, Reason};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{Double, Running, records};

/// Waits until the other side has closed, and gives what it said.
async fn read_to_close(mut socket: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await;
    let _ = read.expect("still open");
    answer
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_at_the_deadline() {
    let config = Config {
        // Long enough for the request of a test that has to wait for its turn on the processor.
        header_deadline_ms: 2_000,
        ..Running::config()
    };
    let server = Running::with(config, Double::default()).await;
    let starts: [&[u8]; 5] = [
        b"",
        b"POST /v1/tra",
        b"POST /v1/traces HTTP/1.1\r\nhost: a\r\n",
        b"PRI * HTTP",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    let mut sockets = Vec::new();
    for bytes in starts {
        for address in [server.grpc, server.http] {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(bytes).await.unwrap();
            sockets.push(socket);
        }
    }
    for socket in sockets {
        read_to_close(socket).await;
    }
    while server.metrics.snapshot().connections_open > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.assert_alive().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_refused_at_the_deadline_and_may_be_retried() {
    let config = Config {
        receive_deadline_ms: 200,
        ..Running::config()
    };
    let server = Running::with(config, Double::default()).await;
    let mut socket = TcpStream::connect(server.http).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\nab";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 503");
    assert_eq!(server.refused(Reason::SlowBody), 1);
    assert_eq!(server.metrics.snapshot().inflight_bytes, 0);
}

#[tokio::test]
async fn a_resting_connection_is_closed_at_its_own_deadline() {
    let config = Config {
        idle_deadline_ms: 100,
        ..Running::config()
    };
    let server = Running::with(config, Double::default()).await;
    let mut socket = TcpStream::connect(server.http).await.unwrap();
    socket
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let answer = read_to_close(socket).await;
    assert!(answer.starts_with(b"HTTP/1.1 404"));
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once_and_counted() {
    let config = Config {
        connections_max: 2,
        ..Running::config()
    };
    let server = Running::with(config, Double::default()).await;
    let held = [
        TcpStream::connect(server.http).await.unwrap(),
        TcpStream::connect(server.http).await.unwrap(),
    ];
    while server.metrics.snapshot().connections_open < 2 {
        tokio::task::yield_now().await;
    }
    let third = TcpStream::connect(server.http).await.unwrap();
    assert!(read_to_close(third).await.is_empty());
    assert_eq!(server.metrics.snapshot().connections_refused, 1);
    drop(held);
    while server.metrics.snapshot().connections_open > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let reply = server
        .client()
        .protobuf("/v1/logs", &records::logs(1))
        .await;
    assert_eq!(reply.status, 200);
}
