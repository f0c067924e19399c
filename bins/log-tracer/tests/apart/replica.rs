//! A consumer that is gone makes answers partial, and the pages name it; a replica that is started makes them whole.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use log_tracer_proto::v1::{LogEntry, SubmitRequest, log_service_client::LogServiceClient};
use serde_json::Value;

use crate::{engine::Engine, topology::Topology};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Services, so many that every partition has some.
const SERVICES: usize = 64;

pub(crate) async fn is_missed_and_replaced(directory: &Path, engine: Engine) {
    let mut topology = Topology::start(directory, engine).await;
    topology.ready().await;
    send(&topology.targets()).await;
    let whole = until(topology.dashboard(), |answer| {
        services(answer).len() == SERVICES
    })
    .await;
    assert_eq!(whole["coverage"]["partial"], false, "{}", whole["coverage"]);

    topology.kill_role("consumer-2");
    let partial = until(topology.dashboard(), |answer| {
        answer["coverage"]["partial"] == true
    })
    .await;
    let reasons = partial["coverage"]["reasons"].to_string();
    assert!(reasons.contains("consumer-2"), "{reasons}");
    let left = services(&partial).len();
    assert!((1..SERVICES).contains(&left), "{left} of {SERVICES}");
    let page = get(topology.dashboard(), "/logs?range=1h");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("consumer-2"), "the page does not name it");

    topology.start_replica_of_the_second().await;
    let whole = until(topology.dashboard(), |answer| {
        answer["coverage"]["partial"] == false && services(answer).len() == SERVICES
    })
    .await;
    assert_eq!(whole["coverage"]["partial"], false);
    topology.stop().await;
}

/// One log record of each service, in turn to each producer.
async fn send(targets: &[String]) {
    for number in 0..SERVICES {
        let target = targets[number % targets.len()].clone();
        let mut client = LogServiceClient::connect(target).await.unwrap();
        let entry = LogEntry {
            service: format!("service-{number}"),
            message: "from one of many".to_owned(),
            ..LogEntry::default()
        };
        let request = SubmitRequest {
            entries: vec![entry],
            ..SubmitRequest::default()
        };
        client.submit(request).await.unwrap();
    }
}

/// Asks for all records until the answer is as expected.
async fn until(dashboard: SocketAddr, is_expected: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let answer = get(dashboard, "/api/v1/logs?range=1h&limit=500");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        if head.starts_with("HTTP/1.1 200") && is_expected(&body) {
            return body;
        }
        assert!(began.elapsed() < PATIENCE, "{head}\n{}", body["coverage"]);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn services(answer: &Value) -> BTreeSet<String> {
    let groups = answer["resourceLogs"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let service = |group: &Value| {
        let attributes = group["resource"]["attributes"].as_array()?.clone();
        let named = attributes.iter().find(|one| one["key"] == "service.name")?;
        Some(named["value"]["stringValue"].as_str()?.to_owned())
    };
    groups.iter().filter_map(service).collect()
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // HTTP/1.0: the body comes as it is, and ends with the connection.
    let head = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).replacen("HTTP/1.0", "HTTP/1.1", 1)
}
