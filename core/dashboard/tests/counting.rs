//! What the pages and the interface say when not every record was looked at.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use log_tracer_proto::v1::{
    Coverage, DurationHeatmapResponse, Facet, FacetValue, FacetsResponse, HeatmapStep,
    HistogramResponse, HistogramSeries, LogHit, SearchLogsResponse, SearchTracesResponse,
    TraceSummary,
};

use common::{Site, canned::Canned};

fn now() -> u64 {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_nanos() as u64
}

/// A consumer that left so many records out of facets and histograms.
async fn site(left_out: u64) -> Site {
    let coverage = Some(Coverage {
        partial: left_out > 0,
        scanned: 98_304,
        matched: 40_000,
        left_out,
        ..Coverage::default()
    });
    let start_unix_nano = now() / 60_000_000_000 * 60_000_000_000;
    let canned = Canned {
        facets: FacetsResponse {
            facets: vec![Facet {
                field: "service".to_owned(),
                values: vec![FacetValue {
                    value: "cart".to_owned(),
                    count: 40_000,
                }],
                other_count: 0,
            }],
            coverage: coverage.clone(),
        },
        histogram: HistogramResponse {
            series: vec![HistogramSeries {
                group: "info".to_owned(),
                counts: vec![2_000_000],
            }],
            start_unix_nano,
            step_nano: 60_000_000_000,
            coverage: coverage.clone(),
            count_error: if left_out > 0 { 31_000 } else { 0 },
        },
        heatmap: DurationHeatmapResponse {
            steps: vec![HeatmapStep {
                start_unix_nano,
                first_bucket: 5,
                counts: vec![8],
                errors: vec![0],
            }],
            step_nano: 60_000_000_000,
            buckets_per_octave: 12,
            first_bucket: 5,
            edges_nano: vec![10, 20],
            coverage,
        },
        traces: SearchTracesResponse {
            traces: vec![TraceSummary {
                trace_id: vec![7; 16].into(),
                start_unix_nano: now(),
                ..TraceSummary::default()
            }],
            ..SearchTracesResponse::default()
        },
        logs: SearchLogsResponse {
            hits: vec![LogHit::default()],
            ..SearchLogsResponse::default()
        },
        ..Canned::default()
    };
    Site::start(canned.serve().await).await
}

#[tokio::test]
async fn counts_of_the_newest_records_say_so_and_lead_to_the_counts_of_all() {
    let bounded = site(4_901_696).await;
    for path in ["/traces", "/logs"] {
        let page = bounded.page(&format!("{path}?q=x")).await;
        let said = "Counted in the newest 98,304 of 5,000,000 records.";
        assert!(page.contains(said), "{page}");
        assert!(page.contains(&format!("{path}?q=x&amp;count=all\">Count all</a>")));
        // What is missing is known, and the rest is right.
        assert!(!page.contains("Counts may be too low"), "{page}");
    }
    let whole = site(0).await;
    for path in ["/traces", "/logs"] {
        let page = whole.page(path).await;
        assert!(!page.contains("Counted in the newest") && !page.contains("Count all"));
    }
}

#[tokio::test]
async fn a_form_counts_all_again_when_its_page_did() {
    let bounded = site(4_901_696).await;
    let field = "<input type=\"hidden\" name=\"count\" value=\"all\">";
    for path in ["/traces", "/logs"] {
        assert!(
            bounded
                .page(&format!("{path}?count=all"))
                .await
                .contains(field)
        );
        assert!(!bounded.page(path).await.contains(field), "{path}");
    }
}

#[tokio::test]
async fn when_nothing_was_found_in_what_was_looked_at_it_is_not_said_that_there_is_nothing() {
    let coverage = Some(Coverage {
        partial: true,
        scanned: 98_304,
        left_out: 4_901_696,
        ..Coverage::default()
    });
    let canned = Canned {
        facets: FacetsResponse {
            coverage: coverage.clone(),
            ..FacetsResponse::default()
        },
        histogram: HistogramResponse {
            step_nano: 60_000_000_000,
            coverage,
            count_error: 700,
            ..HistogramResponse::default()
        },
        logs: SearchLogsResponse {
            hits: vec![LogHit::default()],
            ..SearchLogsResponse::default()
        },
        ..Canned::default()
    };
    let page = Site::start(canned.serve().await)
        .await
        .page("/logs?q=x")
        .await;
    assert!(
        page.contains("Counted in the newest 98,304 of 5,000,000"),
        "{page}"
    );
    assert!(page.contains("<b>About 0</b>, ± 700"), "{page}");
    assert!(page.contains("aria-label=\"About 0 "), "{page}");
    assert!(!page.contains("Nothing in this range"), "{page}");
}

#[tokio::test]
async fn an_estimated_histogram_says_how_far_it_may_be_off() {
    let bounded = site(4_901_696).await;
    let page = bounded.page("/logs?q=x").await;
    let said = "<b>About 2,000,000</b>, ± 31,000: estimated from 98,304 of 5,000,000 records";
    assert!(page.contains(said), "{page}");
    let page = site(0).await.page("/logs?q=x").await;
    assert!(page.contains("40,000 counted"), "{page}");
}

#[tokio::test]
async fn the_interface_says_what_was_left_out_in_numbers_and_in_words() {
    let bounded = site(4_901_696).await;
    let facets = bounded.get("/api/v1/facets?signal=logs").await.json();
    let coverage = &facets["coverage"];
    assert_eq!(coverage["partial"], true);
    assert_eq!(coverage["leftOut"], "4901696");
    assert_eq!(
        coverage["reasons"][0],
        "only the newest 98,304 of 5,000,000 records that may match were looked at"
    );
    let histogram = bounded.get("/api/v1/histogram?signal=logs").await.json();
    assert_eq!(histogram["countError"], "31000");
    assert_eq!(histogram["coverage"]["leftOut"], "4901696");
    let reason = histogram["coverage"]["reasons"][0].as_str().unwrap();
    assert!(
        reason.starts_with("estimated from 98,304 of 5,000,000"),
        "{reason}"
    );
    let whole = site(0).await;
    for path in [
        "/api/v1/facets?signal=logs&count=all",
        "/api/v1/histogram?signal=logs&count=all",
    ] {
        let coverage = &whole.get(path).await.json()["coverage"];
        assert_eq!(coverage["reasons"], serde_json::json!([]), "{path}");
        assert_eq!(coverage["leftOut"], "0", "{path}");
    }
}

#[tokio::test]
async fn how_much_to_count_is_one_of_two_words() {
    let site = site(0).await;
    for path in ["/traces", "/logs", "/api/v1/facets", "/api/v1/histogram"] {
        let answer = site.get(&format!("{path}?count=some")).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains("is not one of all, bounded"));
    }
}

#[tokio::test]
async fn a_rail_without_values_says_why_when_not_all_was_looked_at() {
    let facets = |coverage| FacetsResponse {
        coverage: Some(coverage),
        ..FacetsResponse::default()
    };
    let late = Coverage {
        partial: true,
        reasons: vec!["the time limit of 2 s was reached".to_owned()],
        ..Coverage::default()
    };
    for (coverage, is_shown) in [(late, true), (Coverage::default(), false)] {
        let canned = Canned {
            facets: facets(coverage),
            ..Canned::default()
        };
        let site = Site::start(canned.serve().await).await;
        for path in ["/traces?q=x", "/logs?q=x"] {
            let page = site.page(path).await;
            let said = "<b>No values, since not all records were looked at.</b> the time limit of 2 s was reached.";
            assert_eq!(page.contains(said), is_shown, "{path}: {page}");
            assert_eq!(page.contains("has-rail"), is_shown, "{path}");
        }
    }
}
