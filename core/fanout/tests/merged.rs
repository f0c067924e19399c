//! Several consumers answer every call like one consumer that has all records, whatever the records and however the
//! partitions are spread.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{
    Client, Cluster, is_whole, outline,
    records::{
        EPOCH, MS, SECOND, attribute, failed, log_envelope, logs, record, shop, span,
        span_envelope, spans, trace_id,
    },
};
use futures_util::StreamExt;
use log_tracer_fanout::Config;
use log_tracer_proto::{otlp::trace::span::SpanKind, v1};
use log_tracer_record::{log_rows, span_rows};
use log_tracer_transport::{Envelope, Partition};
use proptest::{collection::vec, prelude::*};
use prost::Message;

const SERVICES: [&str; 4] = ["web", "cart", "payment", "mail"];
const NAMES: [&str; 3] = ["GET /", "checkout", "charge"];
const PARTITIONS: u16 = 4;

/// One record, by numbers.
#[derive(Clone, Debug)]
struct Seed {
    is_span: bool,
    trace: u8,
    service: usize,
    name: usize,
    at_ms: u64,
    duration_ms: u64,
    is_error: bool,
}

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    let seed = (
        any::<bool>(),
        1..12_u8,
        0..SERVICES.len(),
        0..NAMES.len(),
        // Few times, so that many records share one.
        0..200_u64,
        0..50_u64,
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(is_span, trace, service, name, at_ms, duration_ms, is_error)| Seed {
                is_span,
                trace,
                service,
                name,
                at_ms: at_ms * 997,
                duration_ms,
                is_error,
            },
        );
    vec(seed, 1..60)
}

/// Which consumer owns each partition.
fn spread() -> impl Strategy<Value = Vec<Vec<u16>>> {
    vec(0..3_usize, usize::from(PARTITIONS)).prop_map(|owners| {
        let owned = |consumer: usize| {
            let all = (0..PARTITIONS).zip(&owners);
            all.filter(|(_, owner)| **owner == consumer)
                .map(|(partition, _)| partition)
                .collect::<Vec<u16>>()
        };
        let all = (0..3).map(owned);
        all.filter(|owned| !owned.is_empty()).collect()
    })
}

/// An envelope of each record, in the partition of its trace, or of its service when it has none.
fn envelopes(seeds: &[Seed]) -> Vec<Envelope> {
    let envelope = |(number, seed): (usize, &Seed)| {
        let service = SERVICES[seed.service];
        let mut partition = u16::from(seed.trace) % PARTITIONS;
        let batch = number as u128 + 1;
        let mut envelope = match seed.is_span {
            true => {
                let id = u8::try_from(number + 1).unwrap();
                let parent = if number % 3 == 0 { 0 } else { id - 1 };
                let name = NAMES[seed.name];
                let mut span = span(seed.trace, id, parent, name, seed.at_ms, seed.duration_ms);
                if seed.name == 2 {
                    span.kind = SpanKind::Client as i32;
                    span.attributes = vec![attribute("db.system", "postgresql")];
                }
                if seed.is_error {
                    span = failed(span, "broken");
                }
                span_envelope(batch, vec![spans(service, vec![span])])
            }
            false => {
                let mut record = record(NAMES[seed.name], seed.at_ms);
                record.attributes = vec![attribute("user", &format!("u{}", seed.trace))];
                if seed.is_error {
                    record = shop::error(record);
                }
                if number % 2 == 0 {
                    record = shop::in_trace(record, seed.trace, 1);
                } else {
                    partition = u16::try_from(seed.service).unwrap() % PARTITIONS;
                }
                log_envelope(batch, vec![logs(service, vec![record])])
            }
        };
        envelope.partition = Partition(partition);
        envelope
    };
    seeds.iter().enumerate().map(envelope).collect()
}

fn range() -> Option<v1::TimeRange> {
    Some(v1::TimeRange {
        start_unix_nano: EPOCH,
        end_unix_nano: EPOCH + 200 * SECOND,
    })
}

/// Asks both the same, and compares the answers but for the work that they took.
macro_rules! assert_same {
    ($cluster:ident, $method:ident, $request:expr) => {{
        let request = $request;
        let mut merged = $cluster
            .merged
            .$method(request.clone())
            .await
            .unwrap()
            .into_inner();
        let mut whole = $cluster
            .whole
            .$method(request.clone())
            .await
            .unwrap()
            .into_inner();
        let coverage = merged.coverage.take();
        assert!(is_whole(coverage.as_ref()), "{coverage:?}");
        whole.coverage = None;
        assert_eq!(merged, whole, "{request:?}");
    }};
}

async fn assert_heat_maps_are_the_same(cluster: &mut Cluster) {
    for of in [v1::HeatmapOf::Spans, v1::HeatmapOf::Traces] {
        for (query, buckets_per_octave) in [("", 0), ("service:cart", 6), ("nosuchword", 1)] {
            let request = v1::DurationHeatmapRequest {
                of: of.into(),
                query: query.to_owned(),
                range: range(),
                step_nano: 30 * SECOND,
                buckets_per_octave,
                ..v1::DurationHeatmapRequest::default()
            };
            assert_same!(cluster, duration_heatmap, request);
        }
    }
}

async fn assert_lists_are_the_same(cluster: &mut Cluster) {
    assert_same!(cluster, list_services, v1::ListServicesRequest {});
    for service in ["", "cart"] {
        let request = v1::ListOperationsRequest {
            service: service.to_owned(),
        };
        assert_same!(cluster, list_operations, request);
    }
    for signal in [v1::Signal::Spans, v1::Signal::Logs] {
        for group in [
            v1::HistogramGroup::None,
            v1::HistogramGroup::Level,
            v1::HistogramGroup::Service,
        ] {
            let request = v1::HistogramRequest {
                signal: signal.into(),
                range: range(),
                step_nano: 30 * SECOND,
                group: group.into(),
                ..v1::HistogramRequest::default()
            };
            assert_same!(cluster, histogram, request);
        }
        for values_max in [0, 1, 3] {
            let fields = ["service", "severity", "user", "name", "kind"];
            let request = v1::FacetsRequest {
                signal: signal.into(),
                range: range(),
                fields: fields.map(str::to_owned).to_vec(),
                values_max,
                ..v1::FacetsRequest::default()
            };
            assert_same!(cluster, facets, request);
        }
    }
    assert_heat_maps_are_the_same(cluster).await;
    for (group, with_sketches) in [
        (v1::RateGroup::Service, true),
        (v1::RateGroup::Operation, false),
        (v1::RateGroup::OperationAndKind, true),
    ] {
        let request = v1::RatesRequest {
            range: range(),
            step_nano: 60 * SECOND,
            group: group.into(),
            quantiles: vec![0.5, 0.99],
            with_sketches,
            ..v1::RatesRequest::default()
        };
        assert_same!(cluster, rates, request);
    }
    let request = v1::ServiceGraphRequest {
        range: range(),
        quantiles: vec![0.5],
        with_sketches: false,
    };
    assert_same!(cluster, service_graph, request);
}

/// Every log record with its key and what it points to, page by page.
async fn all_logs(
    client: &mut Client,
    oldest_first: bool,
    query: &str,
) -> Vec<(v1::LogHit, Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut after = None;
    for _ in 0..200 {
        let request = v1::SearchLogsRequest {
            query: query.to_owned(),
            limit: 3,
            after,
            oldest_first,
            ..v1::SearchLogsRequest::default()
        };
        let page = client.search_logs(request).await.unwrap().into_inner();
        assert!(is_whole(page.coverage.as_ref()));
        for mut hit in page.hits {
            let resource = page.resources[hit.resource as usize].encode_to_vec();
            let scope = page.scopes[hit.scope as usize].encode_to_vec();
            (hit.resource, hit.scope) = (0, 0);
            found.push((hit, resource, scope));
        }
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
    panic!("the pages have no end");
}

async fn all_traces(client: &mut Client, query: &str) -> Vec<v1::TraceSummary> {
    let mut found = Vec::new();
    let mut after = None;
    for _ in 0..200 {
        let request = v1::SearchTracesRequest {
            query: query.to_owned(),
            limit: 2,
            after,
            ..v1::SearchTracesRequest::default()
        };
        let page = client.search_traces(request).await.unwrap().into_inner();
        assert!(is_whole(page.coverage.as_ref()));
        found.extend(page.traces);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
    panic!("the pages have no end");
}

async fn assert_searches_are_the_same(cluster: &mut Cluster) {
    for query in ["", "severity>=error", "service:cart"] {
        for oldest_first in [false, true] {
            let merged = all_logs(&mut cluster.merged, oldest_first, query).await;
            let whole = all_logs(&mut cluster.whole, oldest_first, query).await;
            assert_eq!(merged, whole, "{query} {oldest_first}");
        }
    }
    for query in ["", "status:error"] {
        let merged = all_traces(&mut cluster.merged, query).await;
        let whole = all_traces(&mut cluster.whole, query).await;
        assert_eq!(merged, whole, "{query}");
    }
    for order in [
        v1::TraceOrder::Longest,
        v1::TraceOrder::MostSpans,
        v1::TraceOrder::MostErrors,
    ] {
        let request = v1::SearchTracesRequest {
            order: order.into(),
            limit: 4,
            ..v1::SearchTracesRequest::default()
        };
        assert_same!(cluster, search_traces, request);
    }
}

/// The spans and the logs of a trace, encoded, and how many spans stood twice; none when it is not found.
async fn whole_trace(client: &mut Client, trace: u8) -> Option<(Vec<Vec<u8>>, Vec<Vec<u8>>, u64)> {
    let request = v1::GetTraceRequest {
        trace_id: trace_id(trace),
        ..v1::GetTraceRequest::default()
    };
    let answered = client.get_trace(request).await;
    let mut pieces = match answered {
        Ok(pieces) => pieces.into_inner(),
        Err(status) => {
            assert_eq!(status.code(), tonic::Code::NotFound, "{status}");
            return None;
        }
    };
    let (mut spans, mut logs) = (Vec::new(), Vec::new());
    while let Some(piece) = pieces.message().await.unwrap() {
        spans.extend(
            span_rows(piece.resource_spans)
                .iter()
                .map(|it| it.span.encode_to_vec()),
        );
        logs.extend(
            log_rows(piece.resource_logs)
                .iter()
                .map(|it| it.record.encode_to_vec()),
        );
        if piece.coverage.is_some() {
            assert!(is_whole(piece.coverage.as_ref()));
            return Some((spans, logs, piece.duplicate_spans));
        }
    }
    panic!("the answer broke off");
}

/// Times and records of an export, sorted where they share a time; and the places at which it can be gone on.
async fn exported(
    client: &mut Client,
    request: &v1::ExportRequest,
) -> (Vec<(u64, Vec<u8>)>, Vec<(usize, v1::RecordKey)>) {
    let pages = client.export(request.clone()).await.unwrap().into_inner();
    let pages: Vec<_> = pages.collect().await;
    let mut records = Vec::new();
    let mut places = Vec::new();
    for page in pages {
        let page = page.unwrap();
        assert!(is_whole(page.coverage.as_ref()));
        let spans = span_rows(page.resource_spans);
        let spans = spans
            .iter()
            .map(|it| (it.start_unix_nano(), it.span.encode_to_vec()));
        let logs = log_rows(page.resource_logs);
        let logs = logs
            .iter()
            .map(|it| (it.time_unix_nano(), it.record.encode_to_vec()));
        let mut of_page: Vec<_> = spans.chain(logs).collect();
        of_page.sort();
        records.extend(of_page);
        places.extend(page.last.map(|last| (records.len(), last)));
    }
    assert!(records.is_sorted_by_key(|(time, _)| *time));
    records.sort();
    (records, places)
}

async fn assert_exports_are_the_same(cluster: &mut Cluster) {
    for signal in [v1::Signal::Spans, v1::Signal::Logs] {
        let request = v1::ExportRequest {
            signal: signal.into(),
            ..v1::ExportRequest::default()
        };
        let (merged, places) = exported(&mut cluster.merged, &request).await;
        let (whole, _) = exported(&mut cluster.whole, &request).await;
        assert_eq!(merged, whole);
        for (count, place) in places {
            let rest = v1::ExportRequest {
                after: Some(place),
                ..request.clone()
            };
            let (rest, _) = exported(&mut cluster.merged, &rest).await;
            assert_eq!(rest, merged[count..]);
        }
    }
}

/// The backlog of a tail.
async fn backlog(client: &mut Client, signal: v1::Signal) -> Vec<v1::RecordKey> {
    let request = v1::TailRequest {
        signal: signal.into(),
        backlog: 10,
        ..v1::TailRequest::default()
    };
    let mut tail = client.tail(request).await.unwrap().into_inner();
    let mut keys = Vec::new();
    loop {
        let message = tail.message().await.unwrap().unwrap();
        assert_eq!(message.interrupted, "");
        keys.extend(message.hits.iter().map(|hit| hit.key.unwrap()));
        keys.extend(message.spans.iter().map(|hit| hit.key.unwrap()));
        if message.backlog_done {
            return keys;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn consumers_with_a_part_each_answer_like_one_with_everything(seeds in seeds(), spread in spread()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let owned: Vec<&[u16]> = spread.iter().map(Vec::as_slice).collect();
            // Small pieces, so that a few records make several.
            let config = Config { piece_bytes_max: 1024, ..Config::default() };
            let mut cluster = Cluster::start(PARTITIONS, &owned, config).await;
            cluster.write(envelopes(&seeds)).await;
            assert_lists_are_the_same(&mut cluster).await;
            assert_searches_are_the_same(&mut cluster).await;
            for trace in 1..12 {
                let merged = whole_trace(&mut cluster.merged, trace).await;
                assert_eq!(merged, whole_trace(&mut cluster.whole, trace).await);
                let merged = outline(&mut cluster.merged, trace).await;
                assert_eq!(merged, outline(&mut cluster.whole, trace).await);
            }
            assert_exports_are_the_same(&mut cluster).await;
            for signal in [v1::Signal::Spans, v1::Signal::Logs] {
                let merged = backlog(&mut cluster.merged, signal).await;
                assert_eq!(merged, backlog(&mut cluster.whole, signal).await);
            }
        });
    }
}

#[tokio::test]
async fn a_tail_follows_all_consumers() {
    let mut cluster = Cluster::start(PARTITIONS, &[&[0, 1], &[2, 3]], Config::default()).await;
    let request = v1::TailRequest {
        signal: v1::Signal::Logs.into(),
        ..v1::TailRequest::default()
    };
    let mut tail = cluster.merged.tail(request).await.unwrap().into_inner();
    let seeds: Vec<Seed> = (0..8)
        .map(|number| Seed {
            is_span: false,
            trace: 1 + number,
            service: usize::from(number) % 4,
            name: 0,
            at_ms: u64::from(number),
            duration_ms: 0,
            is_error: false,
        })
        .collect();
    cluster.write(envelopes(&seeds)).await;
    let mut times = Vec::new();
    while times.len() < 8 {
        let message = tail.message().await.unwrap().unwrap();
        assert_eq!((message.dropped, message.interrupted.as_str()), (0, ""));
        times.extend(
            message
                .hits
                .iter()
                .map(|hit| hit.key.unwrap().time_unix_nano),
        );
    }
    times.sort_unstable();
    let expected: Vec<u64> = (0..8).map(|number| EPOCH + number * MS).collect();
    assert_eq!(times, expected);
}

#[tokio::test]
async fn the_status_shows_each_consumer_and_adds_them_up() {
    let mut cluster =
        Cluster::start(PARTITIONS, &[&[0, 1], &[2, 3], &[2, 3]], Config::default()).await;
    let seeds: Vec<Seed> = (0..8)
        .map(|number| Seed {
            is_span: number % 2 == 0,
            trace: 1 + number,
            service: 0,
            name: 0,
            at_ms: u64::from(number),
            duration_ms: 1,
            is_error: false,
        })
        .collect();
    cluster.write(envelopes(&seeds)).await;
    let status = cluster.merged.status(v1::StatusRequest {}).await.unwrap();
    let status = status.into_inner();
    assert_eq!(status.health, "ready");
    let rows: u64 = status.stores.iter().map(|store| store.rows).sum();
    assert_eq!(rows, 8);
    let numbers: Vec<u32> = status.partitions.iter().map(|it| it.partition).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    let consumers: Vec<_> = status
        .consumers
        .iter()
        .map(|one| {
            let status = one.status.as_ref().unwrap();
            (
                status.name.as_str(),
                one.health.as_str(),
                one.lag,
                one.replicas.len(),
            )
        })
        .collect();
    assert_eq!(
        consumers,
        [
            ("c0", "ready", 0, 0),
            ("c1", "ready", 0, 1),
            ("c2", "ready", 0, 1)
        ]
    );
    let asked = status
        .consumers
        .iter()
        .filter(|one| one.role() == v1::ConsumerRole::Asked);
    assert_eq!(asked.count(), 2);
}

#[tokio::test]
async fn positions_of_all_partitions_are_waited_for_and_of_no_partition_are_refused() {
    let mut cluster = Cluster::start(3, &[&[0], &[1]], Config::default()).await;
    let log_id = {
        use log_tracer_transport::Transport;
        cluster.transport.log_id().to_string()
    };
    let position = |partition| v1::Position {
        log_id: log_id.clone(),
        partition,
        offset: 0,
    };
    let request = v1::WaitForPositionRequest {
        positions: vec![position(2)],
    };
    let refused = cluster.merged.wait_for_position(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    // What nobody has is said in every answer.
    let answer = cluster
        .merged
        .list_services(v1::ListServicesRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        answer.coverage.unwrap().reasons,
        ["no consumer has partition 2"]
    );
}
