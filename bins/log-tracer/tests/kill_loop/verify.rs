//! Compares the ledger with what a process answers.

use std::{collections::HashMap, fmt, time::Duration};

use log_tracer_proto::{
    otlp::common::any_value::Value,
    v1::{
        ExportRequest, Signal, StatusRequest, StatusResponse, StorageStatus,
        query_service_client::QueryServiceClient,
    },
};
use tokio::time::timeout;
use tonic::transport::Channel;

use crate::ledger::{Kind, Ledger, RequestKey, parse};

/// What was seen in a look.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    acked_requests: u64,
    acked_records: u64,
    retried_requests: u64,
    unacked_stored: u64,
    blocks: u64,
    disk_rows: u64,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records in {} requests were acked, each is there once; {} requests were sent again after an error; {} unacked requests are there, once; {} rows in {} blocks",
            self.acked_records,
            self.acked_requests,
            self.retried_requests,
            self.unacked_stored,
            self.disk_rows,
            self.blocks,
        )
    }
}

/// What a process says of its store; `None` when it does not answer soon.
pub(crate) async fn storage(query: &str) -> Option<StorageStatus> {
    let answer = async {
        let mut client = client(query).await;
        client.status(StatusRequest {}).await.ok()
    };
    let answer = timeout(Duration::from_secs(2), answer).await.ok()??;
    answer.into_inner().storage
}

async fn client(query: &str) -> QueryServiceClient<Channel> {
    let channel = Channel::from_shared(query.to_owned()).unwrap();
    QueryServiceClient::new(channel.connect().await.unwrap()).max_decoding_message_size(64 << 20)
}

pub(crate) async fn compare(query: &str, ledger: &Ledger) -> Seen {
    try_to_compare(query, ledger)
        .await
        .unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The same where requests may still have been under way, and where a log on another machine says late how far it is:
/// what is missing has a minute to come.
pub(crate) async fn compare_in_time(query: &str, ledger: &Ledger) -> Seen {
    let began = std::time::Instant::now();
    loop {
        match try_to_compare(query, ledger).await {
            Ok(seen) => return seen,
            Err(wrong) if began.elapsed() > Duration::from_secs(60) => panic!("{wrong}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}

async fn try_to_compare(query: &str, ledger: &Ledger) -> Result<Seen, String> {
    let mut stored: HashMap<RequestKey, HashMap<u32, u32>> = HashMap::new();
    let mut client = client(query).await;
    replayed(&mut client).await;
    for (signal, kind) in [(Signal::Logs, Kind::Log), (Signal::Spans, Kind::Span)] {
        for text in texts(&mut client, signal).await {
            if text.starts_with("old ") {
                continue;
            }
            let (key, index) = parse(&text).unwrap_or_else(|| panic!("nobody sent `{text}`"));
            assert_eq!(key.kind, kind);
            *stored.entry(key).or_default().entry(index).or_default() += 1;
        }
    }
    let mut seen = count(ledger, &stored)?;
    let status = status(&mut client).await;
    assert_eq!(status.quarantined_envelopes, 0);
    seen.blocks = status.stores.iter().map(|store| store.blocks).sum();
    seen.disk_rows = status.stores.iter().map(|store| store.disk_rows).sum();
    let storage = status.storage.unwrap();
    assert_eq!(storage.health, "ready");
    Ok(seen)
}

/// Every acked request is there whole and once; another one is there whole and once, or not at all.
fn count(ledger: &Ledger, stored: &HashMap<RequestKey, HashMap<u32, u32>>) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let mut wrong = Vec::new();
    let ledger = ledger.lock();
    for (key, sent) in ledger.iter() {
        let records = stored.get(key);
        let whole = records.is_some_and(|records| {
            records.len() as u32 == sent.records && records.values().all(|count| *count == 1)
        });
        if sent.acked && !whole {
            wrong.push(format!(
                "{key:?} {sent:?}: acked, and stored is {records:?}"
            ));
        }
        if !sent.acked && records.is_some() && !whole {
            wrong.push(format!(
                "{key:?} {sent:?}: not acked, and stored is {records:?}"
            ));
        }
        seen.retried_requests += u64::from(sent.retries > 0);
        if sent.acked {
            seen.acked_requests += 1;
            seen.acked_records += u64::from(sent.records);
        } else {
            seen.unacked_stored += u64::from(records.is_some());
        }
    }
    assert!(
        stored.keys().all(|key| ledger.contains_key(key)),
        "something is stored that was never sent"
    );
    if wrong.is_empty() {
        return Ok(seen);
    }
    Err(format!(
        "{} requests are lost, doubled or torn, such as\n{}",
        wrong.len(),
        wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n")
    ))
}

/// Waits until what the log held is applied, by all who keep a part of it.
async fn replayed(client: &mut QueryServiceClient<Channel>) {
    let mut health = String::new();
    for _ in 0..6_000 {
        let status = status(client).await;
        let is_behind = status
            .partitions
            .iter()
            .any(|partition| partition.applied_next < partition.log_end);
        if status.replaying.is_empty() && !is_behind && status.health == "ready" {
            return;
        }
        health = status.health;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the log is not replayed after a minute: {health}");
}

async fn status(client: &mut QueryServiceClient<Channel>) -> StatusResponse {
    client.status(StatusRequest {}).await.unwrap().into_inner()
}

/// The bodies of all logs, or the names of all spans.
async fn texts(client: &mut QueryServiceClient<Channel>, signal: Signal) -> Vec<String> {
    let request = ExportRequest {
        signal: signal.into(),
        ..ExportRequest::default()
    };
    let mut pages = client.export(request).await.unwrap().into_inner();
    let mut texts = Vec::new();
    while let Some(page) = pages.message().await.unwrap() {
        let coverage = page.coverage.unwrap();
        assert_eq!(coverage.reasons, [""; 0], "something cannot be read");
        let logs = page.resource_logs.into_iter();
        let logs = logs.flat_map(|logs| logs.scope_logs);
        for record in logs.flat_map(|scope| scope.log_records) {
            match record.body.and_then(|body| body.value) {
                Some(Value::StringValue(text)) => texts.push(text),
                other => panic!("a body of {other:?}"),
            }
        }
        let spans = page.resource_spans.into_iter();
        let spans = spans.flat_map(|spans| spans.scope_spans);
        texts.extend(spans.flat_map(|scope| scope.spans).map(|span| span.name));
    }
    texts
}
