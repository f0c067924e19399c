//! The heat map of the search for traces, and the menu of searches.

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
    otlp::{error, span, spans},
    real::Real,
};
use http::StatusCode;
use log_tracer_proto::v1::{
    Coverage, DurationHeatmapResponse, Facet, FacetValue, FacetsResponse, HeatmapStep,
    HistogramResponse, LogHit, SearchLogsResponse, SearchTracesResponse, ServiceInfo, TraceSummary,
};

/// Ninety traces of two spans: a root of 1 to 90 ms, and a call of half of that, which fails in every tenth.
async fn shop() -> Real {
    let real = Real::start().await;
    let root = |n: u8| span(n, 1, 0, (u64::from(n) * 200, u64::from(n) * 201));
    let call = |n: u8| {
        let start = u64::from(n) * 200;
        let call = span(n, 2, 1, (start, start + u64::from(n).div_ceil(2)));
        match n % 10 {
            0 => error(call, "late"),
            _ => call,
        }
    };
    real.send(
        vec![
            spans("web", (1..=90).map(root).collect()),
            spans("stock", (1..=90).map(call).collect()),
        ],
        Vec::new(),
    )
    .await;
    real
}

fn shown(page: &str) -> u64 {
    let header = page.split("<p class=\"scan\">").nth(1).unwrap();
    header.split(' ').next().unwrap().parse().unwrap()
}

/// Sums of the cells that the script gets, counts and errors.
fn sums(page: &str) -> (u64, u64) {
    let cells = &attributes(page, "data-cells")[0];
    let counts = cells
        .split(';')
        .flat_map(|column| column.split(',').skip(1));
    counts
        .filter(|cell| !cell.is_empty())
        .fold((0, 0), |sum, cell| {
            let (count, errors) = cell.split_once('/').unwrap_or((cell, "0"));
            let number = |text: &str| text.parse::<u64>().unwrap();
            (sum.0 + number(count), sum.1 + number(errors))
        })
}

#[tokio::test]
async fn all_matches_are_counted_and_not_only_those_of_the_page() {
    let real = shop().await;
    let page = real.site.page("/traces?view=heat&limit=20").await;
    assert_eq!(shown(&page), 20);
    assert_eq!(sums(&page), (90, 9));
    assert!(page.contains("90 traces, 9 failed."), "{page}");
    assert!(page.contains("every trace that matches, by the duration of the whole trace"));
    assert!(page.contains("90 counted"), "what was covered is said");

    let failed = real.site.page("/traces?view=heat&q=status:error").await;
    assert_eq!(sums(&failed), (9, 9));
    let long = real.site.page("/traces?view=heat&min=50ms&max=60ms").await;
    assert_eq!(sums(&long).0, 11);
    assert_eq!(shown(&long), 11);

    // Of spans, each counts by itself.
    let all = real.site.page("/traces?view=heat&of=spans").await;
    assert_eq!(sums(&all), (180, 9));
    let of_stock = real
        .site
        .page("/traces?view=heat&of=spans&service=stock&smin=40ms&min=60ms")
        .await;
    assert_eq!(sums(&of_stock).0, 12, "of 79 to 90, rounded up");
    assert!(of_stock.contains("every span that matches, by its own duration"));
}

#[tokio::test]
async fn without_a_script_links_lead_to_each_row_and_stretch() {
    let real = shop().await;
    for of in ["traces", "spans"] {
        let page = real
            .site
            .page(&format!("/traces?view=heat&of={of}&limit=200"))
            .await;
        let (before, table) = page.split_once("<details class=\"twin\">").unwrap();
        let (table, _) = table.split_once("</table>").unwrap();
        let (heads, rows) = table.split_once("</thead>").unwrap();
        let key = if of == "traces" { "min=" } else { "smin=" };
        let mut counted = 0;
        for row in rows.split("<tr>").skip(1) {
            let href = links(row, "/traces").remove(0);
            assert!(href.contains(key) && href.contains("view=heat"), "{href}");
            let total = row.rsplit("<td>").next().unwrap();
            let total: u64 = total.split([' ', '<']).next().unwrap().parse().unwrap();
            counted += total;
            let narrowed = real.site.page(&href).await;
            assert_eq!(sums(&narrowed).0, total, "{href}");
        }
        assert_eq!(counted, sums(&page).0);
        // Stretches of time, in the picture and in the head of the table.
        for part in [before, heads] {
            let mut counted = 0;
            for href in links(part, "/traces")
                .into_iter()
                .filter(|href| href.contains("from=") && href.contains("to="))
            {
                let narrowed = real.site.page(&href).await;
                counted += attributes(&narrowed, "data-cells")
                    .first()
                    .map_or(0, |_| sums(&narrowed).0);
            }
            assert_eq!(counted, sums(&page).0);
        }
    }
}

#[tokio::test]
async fn the_picture_is_chosen_by_a_link_and_kept_by_the_form() {
    let real = shop().await;
    let page = real.site.page("/traces?q=status:error").await;
    assert!(page.contains("<circle class=\"c") && attributes(&page, "data-cells").is_empty());
    let heat = "/traces?q=status%3Aerror&view=heat".to_owned();
    assert!(links(&page, "/traces").contains(&heat));
    let page = real.site.page(&format!("{heat}&of=spans")).await;
    assert!(!page.contains("<circle class=\"c"));
    for kept in [
        "<input type=\"hidden\" name=\"view\" value=\"heat\">",
        "<input type=\"hidden\" name=\"of\" value=\"spans\">",
    ] {
        assert!(page.contains(kept), "{kept}");
    }
    // Sorting and paging keep it, too.
    assert!(
        links(&page, "/traces")
            .iter()
            .any(|link| link.contains("order=longest") && link.contains("of=spans"))
    );
}

#[tokio::test]
async fn the_interface_for_programs_has_the_same_counts_with_their_edges() {
    let real = shop().await;
    let answer = real.site.get("/api/v1/heatmap?buckets=6&step=30s").await;
    let body = answer.json();
    let edges: Vec<u64> = body["edgesNano"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| edge.as_str().unwrap().parse().unwrap())
        .collect();
    assert!(edges.is_sorted() && edges.contains(&(1 << 20)));
    let mut total = 0;
    for step in body["steps"].as_array().unwrap() {
        let first = step["firstBucket"].as_u64().unwrap() as usize;
        let counts = step["counts"].as_array().unwrap();
        assert!(first + counts.len() < edges.len());
        let counts = counts.iter().map(|count| count.as_str().unwrap());
        total += counts
            .map(|count| count.parse::<u64>().unwrap())
            .sum::<u64>();
    }
    assert_eq!(total, 90);
    assert_eq!(body["coverage"]["matched"], "90");
    let spans = real
        .site
        .get("/api/v1/heatmap?of=spans&min=50ms&q=service:web")
        .await;
    assert_eq!(spans.json()["coverage"]["matched"], "41");
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused_with_the_reason() {
    let real = shop().await;
    for bad in [
        "of=logs",
        "buckets=0",
        "buckets=5",
        "buckets=NaN",
        "buckets=4294967297",
        "step=0s",
        "step=1ns",
        "step=1ms&range=1h",
        "min=5s&max=1s",
        "min=NaN",
        "min=-1s",
        "q=(",
        "buckets=36&step=10s",
    ] {
        let answer = real.site.get(&format!("/api/v1/heatmap?{bad}")).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{bad}: {}",
            answer.text()
        );
        assert!(
            !answer.json()["error"]["message"]
                .as_str()
                .unwrap()
                .is_empty()
        );
    }
    for bad in [
        "view=pie",
        "of=",
        "of=x",
        "smin=x",
        "min=5s&max=1s",
        "smax=1e400s",
    ] {
        let answer = real.site.get(&format!("/traces?{bad}&view=heat")).await;
        let want = match bad {
            "of=" => StatusCode::OK,
            _ => StatusCode::BAD_REQUEST,
        };
        assert_eq!(answer.status, want, "{bad}");
    }
    // Bounds of a span that exclude each other find nothing, as a query would.
    let none = real.site.page("/traces?view=heat&smin=5s&smax=1s").await;
    assert!(none.contains("No trace matches"));
}

#[tokio::test]
async fn a_large_heat_map_stays_small_and_says_what_is_missing() {
    let now = std::time::SystemTime::now();
    let now = now
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    let minute = 60_000_000_000;
    let step = |at: u64| HeatmapStep {
        start_unix_nano: (now / minute - at) * minute,
        first_bucket: 1,
        counts: (1..=768).map(|bucket| bucket * 1_000_003).collect(),
        errors: vec![1; 768],
    };
    let coverage = Some(Coverage {
        partial: true,
        reasons: vec!["two blocks cannot be read".to_owned()],
        matched: 12_345,
        ..Coverage::default()
    });
    let trace = |number: u8| TraceSummary {
        trace_id: vec![number; 16].into(),
        start_unix_nano: now,
        ..TraceSummary::default()
    };
    let canned = Canned {
        heatmap: DurationHeatmapResponse {
            steps: (0..60).rev().map(step).collect(),
            buckets_per_octave: 12,
            first_bucket: 1,
            coverage: coverage.clone(),
            ..DurationHeatmapResponse::default()
        },
        traces: SearchTracesResponse {
            traces: (1..=200).map(trace).collect(),
            ..SearchTracesResponse::default()
        },
        services: log_tracer_proto::v1::ListServicesResponse {
            services: vec![ServiceInfo {
                service: "a".to_owned(),
                ..ServiceInfo::default()
            }],
            coverage: None,
        },
        facets: FacetsResponse {
            facets: vec![Facet {
                field: "user.id".to_owned(),
                values: vec![FacetValue {
                    value: "7".to_owned(),
                    count: 3,
                }],
                other_count: 1,
            }],
            coverage: Some(Coverage {
                partial: true,
                reasons: vec!["each count may be too low by up to 5".to_owned()],
                ..Coverage::default()
            }),
        },
        logs: SearchLogsResponse {
            hits: vec![LogHit::default()],
            ..SearchLogsResponse::default()
        },
        histogram: HistogramResponse {
            coverage,
            ..HistogramResponse::default()
        },
        ..Canned::default()
    };
    let site = Site::start(canned.serve().await).await;
    let page = site.page("/traces?view=heat&limit=20").await;
    let heat = page.split("<figure").nth(1).unwrap();
    let heat = heat.split("</figure>").next().unwrap();
    assert!(heat.len() < 60_000, "{} bytes", heat.len());
    assert!(page.contains("two blocks cannot be read"));
    assert!(page.contains("each count may be too low by up to 5"));
    let logs = site.page("/logs").await;
    assert!(logs.contains("12,345 counted"), "{logs}");
    assert!(logs.contains("two blocks cannot be read"));
}

#[tokio::test]
async fn the_menu_of_searches_is_a_place_without_content_until_a_script_fills_it() {
    let real = shop().await;
    for path in ["/traces", "/logs"] {
        let page = real.site.page(path).await;
        assert!(page.contains("<div class=\"searches\" data-searches></div>"));
        let scripts = attributes(&page, "src");
        let script = scripts
            .iter()
            .find(|src| src.contains("searches."))
            .unwrap();
        let script = real.site.get(script).await;
        assert_eq!(script.status, StatusCode::OK);
        // What is stored is inserted as text only.
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
        ] {
            assert!(!script.text().contains(way), "{way}");
        }
    }
}
