//! What helps to find: completion, columns, patterns, files of what was found.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{
    Site,
    canned::Canned,
    html::{attributes, links},
    otlp::{logs, pair, record, span, spans},
    real::Real,
};
use http::StatusCode;
use log_tracer_proto::{
    otlp::logs::LogRecord,
    v1::{LogHit, RecordKey, ResourceEntry, SearchLogsResponse},
};

async fn shop() -> Real {
    let real = Real::start().await;
    let order = |number: u64| LogRecord {
        attributes: vec![pair("user.name", &format!("user-{}", number % 3))],
        ..record(
            0,
            0,
            number,
            9,
            &format!("charged order {number} in {}ms", number * 3),
        )
    };
    let mut lines: Vec<LogRecord> = (1..=20).map(order).collect();
    lines.push(record(0, 0, 30, 17, "card \"declined\", gave up"));
    real.send(
        vec![spans("payment", vec![span(1, 1, 0, (0, 9))])],
        vec![logs("payment", lines)],
    )
    .await;
    real
}

async fn options(real: &Real, signal: &str, before: &str) -> (u64, Vec<String>) {
    let before: String = form_urlencoded::byte_serialize(before.as_bytes()).collect();
    let answer = real
        .site
        .get(&format!("/complete?signal={signal}&before={before}"))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let body = answer.json();
    let texts = body["options"].as_array().unwrap().iter();
    let texts = texts.map(|option| option["text"].as_str().unwrap().to_owned());
    (body["replace"].as_u64().unwrap(), texts.collect())
}

#[tokio::test]
async fn fields_and_their_values_are_completed() {
    let real = shop().await;
    let (replaced, found) = options(&real, "logs", "severity>=warn use").await;
    assert_eq!((replaced, found), (3, vec!["user.name:".to_owned()]));
    let (replaced, found) = options(&real, "logs", "-user.name:").await;
    assert_eq!(replaced, 10);
    assert_eq!(found.len(), 3);
    assert!(
        found.contains(&"user.name:\"user-1\" ".to_owned()),
        "{found:?}"
    );
    let (_, found) = options(&real, "logs", "severity>=e").await;
    assert_eq!(found, ["severity>=error "]);
    let (_, found) = options(&real, "spans", "service:pay").await;
    assert_eq!(found, ["service:\"payment\" "]);
    // Only values of what matches so far.
    let (_, found) = options(&real, "logs", "declined user.name:").await;
    assert_eq!(found, [""; 0]);
    let refused = real.site.get("/complete?signal=smoke").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_field_becomes_a_column_and_goes_again() {
    let real = shop().await;
    let answer = real.site.get("/logs?q=charged&col=user.name").await;
    let address = answer.header("location").to_owned();
    assert_eq!(address, "/logs?q=charged&cols=user.name");
    let page = real.site.page(&address).await;
    assert_eq!(page.matches("<span class=\"cell\">user-").count(), 20);
    assert!(page.contains("Remove the column user.name"));
    assert!(links(&page, "/logs").contains(&"/logs?q=charged".to_owned()));
    assert!(
        page.contains("name=\"cols\" value=\"user.name\""),
        "another search keeps it"
    );
}

#[tokio::test]
async fn similar_messages_are_a_pattern_that_can_be_searched() {
    let real = shop().await;
    let page = real.site.page("/logs?view=patterns").await;
    assert!(page.contains("2 patterns of all 21 records"), "{page}");
    assert!(page.contains("charged order <i class=\"wild\">*</i> in <i class=\"wild\">*</i>"));
    let only = links(&page, "/logs")
        .into_iter()
        .find(|link| link.contains("q=%22charged+order%22"))
        .unwrap();
    let found = real.site.page(&only).await;
    assert!(found.contains("20 records") && !found.contains("declined"));
    let not = links(&page, "/logs")
        .into_iter()
        .find(|link| link.contains("q=-%28%22charged+order%22"))
        .unwrap();
    let rest = real.site.page(&not).await;
    assert!(rest.contains("declined") && !rest.contains(">charged order 1 "));
}

#[tokio::test]
async fn what_was_found_can_be_taken_away_as_a_file() {
    let real = shop().await;
    let page = real.site.page("/logs?q=charged&cols=user.name").await;
    let files: Vec<String> = attributes(&page, "href")
        .into_iter()
        .filter(|href| href.starts_with("/api/v1/export"))
        .collect();
    assert_eq!(files.len(), 2);
    let ndjson = real.site.get(&files[0]).await;
    assert_eq!(ndjson.header("content-type"), "application/x-ndjson");
    assert!(ndjson.header("content-disposition").contains("logs.ndjson"));
    let text = ndjson.text();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 21, "and what they cover");
    let record = &lines[0]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!(record["body"]["stringValue"], "charged order 1 in 3ms");
    let csv = real.site.get(&files[1]).await.text();
    let rows: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(
        rows[0],
        "time,service,severity,body,event_name,trace_id,span_id,attributes,resource,user.name"
    );
    assert_eq!(rows.len(), 21);
    assert!(
        rows[1].contains(",payment,") && rows[1].ends_with(",user-1"),
        "{csv}"
    );
    let all = real.site.get("/api/v1/export?format=csv").await.text();
    assert!(all.contains("\"card \"\"declined\"\", gave up\","), "{all}");
    for bad in [
        "format=xml",
        "q=(",
        "format=csv&cols=a,b,c,d,e,f,g",
        "cols=a",
    ] {
        let refused = real.site.get(&format!("/api/v1/export?{bad}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn traces_are_sorted_and_narrowed_by_links() {
    let real = Real::start().await;
    let many = (1..=9).map(|n| span(n, 1, 0, (u64::from(n) * 100, u64::from(n) * 150)));
    real.send(vec![spans("web", many.collect())], Vec::new())
        .await;
    let page = real.site.page("/traces").await;
    let hrefs = links(&page, "/traces");
    for want in ["/traces?order=longest", "/traces?order=errors"] {
        assert!(hrefs.contains(&want.to_owned()), "{want}");
    }
    // A level of the scale, and a stretch of time.
    let slow = real.site.page("/traces?min=100ms").await;
    assert!(hrefs.contains(&"/traces?min=100ms".to_owned()) && slow.contains("8 traces"));
    let band = page.split("<rect class=\"band\"").count() - 1;
    assert!((1..=12).contains(&band), "{band} stretches");
}

#[tokio::test]
async fn a_page_of_patterns_stays_small_whatever_the_messages_are() {
    let words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"];
    let hits: Vec<LogHit> = (0..3_000_u32)
        .map(|index| {
            let number = index as usize;
            let body: Vec<&str> = (0..40)
                .map(|at| words[(number * 7919 + at * at * number) % words.len()])
                .collect();
            LogHit {
                key: Some(RecordKey {
                    time_unix_nano: u64::from(index),
                    index,
                    ..RecordKey::default()
                }),
                record: Some(record(0, 0, 0, 9, &body.join(" "))),
                ..LogHit::default()
            }
        })
        .collect();
    let canned = Canned {
        logs: SearchLogsResponse {
            hits,
            resources: vec![ResourceEntry {
                service: "a".to_owned(),
                ..ResourceEntry::default()
            }],
            next: Some(RecordKey::default()),
            ..SearchLogsResponse::default()
        },
        ..Canned::default()
    };
    let site = Site::start(canned.serve().await).await;
    let page = site.page("/logs?view=patterns").await;
    assert!(page.contains("of the newest 3,000 records"));
    assert!(page.len() < 100_000, "{} bytes", page.len());
}
