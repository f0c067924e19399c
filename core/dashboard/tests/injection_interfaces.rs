//! Script in what the interfaces for programs are asked, and in what they answer: a browser takes none of it for a page.

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
    hostile::{SCRIPT, assert_harmless, hostile, resource, scope, span},
    otlp,
};
use http::Method;
use log_tracer_dashboard::Config;
use log_tracer_proto::otlp::trace::{ResourceSpans, ScopeSpans, Span};

async fn site() -> Site {
    Site::with(Config::default(), hostile().serve().await, None).await
}

/// Answers that are no pages, and that no browser may take for one.
fn assert_no_page(answer: &common::Answer, what: &str) {
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    assert!(
        answer
            .header("content-security-policy")
            .starts_with("default-src 'none'"),
        "{what}"
    );
    assert_ne!(answer.status.as_u16(), 500, "{what}");
    let kind = answer.header("content-type");
    assert!(
        !kind.starts_with("text/html") && !kind.is_empty(),
        "{what}: {kind}"
    );
}

#[tokio::test]
async fn script_in_every_parameter_of_the_interfaces_stays_within_json() {
    let site = site().await;
    let encoded: String = form_urlencoded::byte_serialize(SCRIPT.as_bytes()).collect();
    let document = site.get("/api/v1/openapi.json").await.json();
    let mut addresses = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path.replace("{traceId}", &otlp::trace_hex(1));
        for parameter in operations["get"]["parameters"].as_array().unwrap() {
            addresses.push(format!(
                "{path}?{}={encoded}",
                parameter["name"].as_str().unwrap()
            ));
        }
    }
    for key in [
        "service",
        "operation",
        "tag",
        "tags",
        "minDuration",
        "maxDuration",
        "start",
        "end",
        "lookback",
        "limit",
        "traceID",
        "raw",
        "prettyPrint",
    ] {
        addresses.push(format!("/api/traces?{key}={encoded}"));
    }
    for key in [
        "serviceName",
        "operationName",
        "attributes",
        "filter",
        "durationMin",
        "searchDepth",
        "startTimeMin",
    ] {
        addresses.push(format!("/api/v3/trace-summaries?query.{key}={encoded}"));
    }
    for path in [
        "/api/services/",
        "/api/traces/",
        "/api/v3/traces/",
        "/api/v1/traces/",
        "/api/",
        "/api/v1/",
    ] {
        addresses.push(format!("{path}{encoded}"));
    }
    addresses.push(format!("/api/services/{encoded}/operations"));
    for address in addresses {
        if address.contains("/tail") {
            // A stream: its head says what it is.
            let answer = site.send(Method::GET, &address, &[]).await;
            assert!(matches!(answer.status().as_u16(), 200 | 400), "{address}");
            continue;
        }
        let answer = site.get(&address).await;
        assert_no_page(&answer, &address);
        if answer
            .header("content-type")
            .starts_with("application/json")
        {
            answer.json();
        }
    }
}

#[tokio::test]
async fn script_in_what_the_consumer_says_stays_within_a_label() {
    let site = site().await;
    let answer = site.get("/metrics").await;
    assert_no_page(&answer, "/metrics");
    for line in answer
        .text()
        .lines()
        .filter(|line| line.contains("alert(1)"))
    {
        assert!(line.contains("=\"\\\"'><script>"), "{line}");
    }
}

#[tokio::test]
async fn script_in_a_file_is_only_shown() {
    let site = Site::start(Canned::default().serve().await).await;
    let spans = ResourceSpans {
        resource: resource(),
        schema_url: SCRIPT.to_owned(),
        scope_spans: vec![ScopeSpans {
            scope: scope(),
            schema_url: SCRIPT.to_owned(),
            spans: vec![span(1, 0), span(2, 1)],
        }],
    };
    let other = Span {
        trace_id: vec![2; 16].into(),
        ..span(1, 0)
    };
    let second = ResourceSpans {
        scope_spans: vec![ScopeSpans {
            spans: vec![other],
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    let name = SCRIPT.replace(['"', '\0', '\u{202e}'], "");
    for groups in [vec![spans.clone()], vec![spans, second]] {
        let file = log_tracer_proto::json::traces_to_json(&groups);
        let form = format!(
            "--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{file}\r\n--XX--\r\n"
        );
        let answer = site
            .post("/open", "multipart/form-data; boundary=XX", form)
            .await;
        let page = match answer.header("location") {
            "" => answer.text(),
            place => site.page(place).await,
        };
        assert_harmless(&page, "a file");
        assert!(page.contains("&lt;script&gt;alert(1)"));
    }
}
