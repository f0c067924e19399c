//! The page of the pipeline and what programs get of it: how it went, what it takes, what was refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::time::Duration;

use common::{
    Site,
    canned::Canned,
    otlp::{logs, record, span, spans},
    real::Real,
};
use http::StatusCode;
use log_tracer_consumer::Config as ConsumerConfig;
use log_tracer_dashboard::{Config, Producer};
use log_tracer_proto::{
    otlp::trace::Span,
    v1::{PartitionLag, StatusHistoryResponse, StatusSample},
};
use tonic::transport::Endpoint;

#[tokio::test]
async fn what_a_producer_refused_is_shown_with_its_reason() {
    let real = Real::start().await;
    real.send(vec![spans("web", vec![span(1, 1, 0, (0, 9))])], Vec::new())
        .await;
    let page = real.site.page("/pipeline").await;
    assert!(page.contains("It refused nothing."));

    // HTTP on the port of gRPC, twice.
    for _ in 0..2 {
        let mut stream = tokio::net::TcpStream::connect(real.otlp_grpc)
            .await
            .unwrap();
        let request = b"GET /v1/traces HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, request)
            .await
            .unwrap();
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer)
            .await
            .unwrap();
    }
    let page = real.site.page("/pipeline").await;
    assert!(page.contains("wrong_port") && page.contains("this machine"));
    assert!(page.contains("this port speaks OTLP over gRPC"));
    assert!(page.len() < 100 << 10);

    let answer = real.site.get("/api/v1/producers").await.json();
    let status = &answer["producers"][0]["status"];
    assert_eq!(status["spansAccepted"], "1");
    assert_eq!(status["refused"][0]["reason"], "wrong_port");
    assert_eq!(status["recent"][0]["count"], "2");
    assert_eq!(status["recent"][0]["client"], "thisMachine");
    assert_eq!(status["recent"][0]["port"], "grpc");

    let metrics = real.site.get("/metrics").await;
    let counts = |line: &&str| {
        line.starts_with("log_tracer_producer_refused_requests_total")
            && line.contains("reason=\"wrong_port\"")
            && line.ends_with(" 2")
    };
    assert_eq!(metrics.text().lines().filter(counts).count(), 1);
}

#[tokio::test]
async fn a_producer_that_is_away_is_named_and_no_producer_is_said() {
    let canned = Canned::default();
    let site = Site::start(canned.clone().serve().await).await;
    let page = site.page("/pipeline").await;
    assert!(page.contains("knows no producer"));

    // Nothing listens there.
    let gone = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    let producers = vec![Producer {
        address: "http://127.0.0.1:1".to_owned(),
        channel: gone,
    }];
    let query = canned.serve().await;
    let site = Site::among(Config::default(), query, None, producers).await;
    let page = site.page("/pipeline").await;
    assert!(page.contains("http://127.0.0.1:1") && page.contains("it cannot be reached"));
    let answer = site.get("/api/v1/producers").await.json();
    assert!(answer["producers"][0]["status"].is_null());
}

#[tokio::test]
async fn how_the_pipeline_went_is_kept_by_the_consumer() {
    let consumer = ConsumerConfig {
        history_step_ms: 100,
        history_samples_max: 50,
        ..ConsumerConfig::default()
    };
    let real = Real::with(Config::default(), consumer).await;
    real.send(
        vec![spans(
            "web",
            vec![span(1, 1, 0, (0, 9)), span(1, 2, 1, (0, 9))],
        )],
        vec![logs("web", vec![record(0, 0, 1, 9, "tick")])],
    )
    .await;
    let sum = |answer: &serde_json::Value, key: &str| -> u64 {
        let samples = answer["samples"].as_array().unwrap().iter();
        samples
            .map(|sample| sample[key].as_str().unwrap().parse::<u64>().unwrap())
            .sum()
    };
    let mut answer = serde_json::Value::Null;
    for _ in 0..200 {
        answer = real.site.get("/api/v1/status/history").await.json();
        if sum(&answer, "appliedSpans") == 2 && sum(&answer, "appliedLogs") == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(sum(&answer, "appliedSpans"), 2);
    assert_eq!(sum(&answer, "appliedLogs"), 1);
    assert!(sum(&answer, "appliedBytes") > 100);
    assert_eq!(answer["stepMillis"], "100");
    let last = answer["samples"].as_array().unwrap().last().unwrap();
    assert_eq!(last["lags"][0]["envelopes"], "0");
    let time: u64 = last["timeUnixNano"].as_str().unwrap().parse().unwrap();
    assert_eq!(time % 100_000_000, 0, "samples of several consumers add up");

    let page = real.site.page("/pipeline").await;
    assert!(page.contains("Envelopes behind") && page.contains("Records applied"));
    assert!(page.contains("one every 100 ms"));
    assert!(page.contains("consumer 0.1.0") && !page.contains("consumer consumer"));
}

#[tokio::test]
async fn a_long_history_of_many_partitions_stays_below_a_hundred_kilobytes() {
    let sample = |number: u64| StatusSample {
        time_unix_nano: number * 10_000_000_000,
        lags: (0..64)
            .map(|partition| PartitionLag {
                partition,
                envelopes: number * 7919 % 100_000,
            })
            .collect(),
        applied_spans: number * 7919 % 5_000,
        applied_logs: number * 104_729 % 9_000,
        applied_bytes: number * 15_485_863 % 100_000_000,
        log_bytes: Some(number << 20),
        disk_bytes: Some(number << 22),
        process_bytes: Some(300 << 20),
    };
    let canned = Canned {
        history: StatusHistoryResponse {
            step_ms: 10_000,
            samples: (1..=360).map(sample).collect(),
            coverage: None,
        },
        ..Canned::default()
    };
    let site = Site::start(canned.serve().await).await;
    let page = site.page("/pipeline").await;
    assert!(page.len() < 100 << 10, "{} bytes", page.len());
    assert!(page.contains("all partitions"));
}

#[tokio::test]
async fn the_monitor_tab_of_jaeger_gets_what_was_sent() {
    let real = Real::start().await;
    let server = |trace: u8, took: u64, name: &str| Span {
        name: name.to_owned(),
        kind: log_tracer_proto::otlp::trace::span::SpanKind::Server.into(),
        ..span(trace, 1, 0, (0, took))
    };
    let failed = common::otlp::error(server(3, 40, "GET /cart"), "no");
    let all = vec![server(1, 10, "GET /"), server(2, 20, "GET /cart"), failed];
    real.send(vec![spans("web", all)], Vec::new()).await;
    let ask = async |path: &str| {
        let answer = real.site.get(&format!("/api/metrics/{path}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json");
        answer.json()
    };
    // The end of the minute after the one of the spans.
    let end = common::otlp::epoch() / 60_000_000_000 * 60_000 + 120_000;
    let usual = format!(
        "service=web&endTs={end}&lookback=600000&step=60000&ratePer=600000&spanKind=server"
    );
    let last = |family: &serde_json::Value, metric: usize| {
        let points = family["metrics"][metric]["metricPoints"]
            .as_array()
            .unwrap();
        points.last().unwrap()["gaugeValue"]["doubleValue"]
            .as_f64()
            .unwrap()
    };
    let calls = ask(&format!("calls?{usual}")).await;
    assert_eq!(calls["name"], "service_call_rate");
    assert_eq!(calls["metrics"][0]["labels"][0]["value"], "web");
    assert!((last(&calls, 0) - 3.0 / 600.0).abs() < 1e-9);
    let errors = ask(&format!("errors?{usual}&groupByOperation=true")).await;
    assert_eq!(errors["name"], "service_operation_error_rate");
    assert_eq!(errors["metrics"][1]["labels"][1]["value"], "GET /cart");
    assert_eq!((last(&errors, 0), last(&errors, 1)), (0.0, 0.5));
    let latencies = ask(&format!("latencies?{usual}&quantile=1")).await;
    assert!((last(&latencies, 0) - 40.0).abs() < 0.5, "{latencies}");
    assert_eq!(ask("minstep").await["data"], 60_000);
    let nobody = ask("calls?service=nobody").await;
    assert_eq!(nobody["metrics"], serde_json::json!([]));

    for wrong in [
        "calls",
        "latencies?service=web",
        "latencies?service=web&quantile=2",
        "errors?service=web&spanKind=loud",
    ] {
        let answer = real.site.get(&format!("/api/metrics/{wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(answer.json()["errors"][0]["code"], 400);
    }
    let other = real.site.get("/api/metrics/other?service=web").await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn programs_get_the_log_volume_by_severity_and_by_service() {
    let real = Real::start().await;
    let records = |severity| vec![record(0, 0, 1, severity, "a"), record(0, 0, 2, 17, "b")];
    real.send(
        Vec::new(),
        vec![logs("web", records(9)), logs("cart", records(13))],
    )
    .await;
    let groups = async |group: &str| -> Vec<(String, u64)> {
        let path = format!("/api/v1/histogram?signal=logs&step=1h&group={group}");
        let answer = real.site.get(&path).await.json();
        let series = answer["series"].as_array().unwrap().clone();
        series
            .iter()
            .map(|one| {
                let counts = one["counts"].as_array().unwrap().iter();
                let sum = counts.map(|count| count.as_str().unwrap().parse::<u64>().unwrap());
                (one["group"].as_str().unwrap().to_owned(), sum.sum())
            })
            .collect()
    };
    let level = groups("level").await;
    assert_eq!(
        level,
        groups("").await,
        "what is meant when nothing is said"
    );
    for want in [("info", 1), ("warn", 1), ("error", 2)] {
        assert!(level.contains(&(want.0.to_owned(), want.1)), "{level:?}");
    }
    let mut service = groups("service").await;
    service.sort();
    assert_eq!(service, [("cart".to_owned(), 2), ("web".to_owned(), 2)]);
    assert_eq!(groups("none").await[0].1, 4);
}
