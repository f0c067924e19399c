//! The views of one trace: its spans as a table and as files, and their statistics.

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
    html,
    large::large,
    otlp::{error, id_hex, logs, pair, record, span, spans, trace_hex},
};
use http::StatusCode;
use log_tracer_proto::{
    otlp::{
        logs::ResourceLogs,
        trace::{ResourceSpans, Span, span::SpanKind},
    },
    v1::{Coverage, GetTraceResponse},
};

/// What a page may weigh.
const PAGE_BYTES_MAX: usize = 100_000;

fn address(rest: &str) -> String {
    format!("/trace/{}{rest}", trace_hex(1))
}

async fn site_with_logs(resource_logs: Vec<ResourceLogs>) -> Site {
    let canned = Canned {
        pieces: vec![GetTraceResponse {
            resource_spans: shop(),
            resource_logs,
            ..GetTraceResponse::default()
        }],
        ..Canned::default()
    };
    Site::start(canned.serve().await).await
}

async fn site(resource_spans: Vec<ResourceSpans>, coverage: Option<Coverage>) -> Site {
    let canned = Canned {
        pieces: vec![GetTraceResponse {
            resource_spans,
            coverage,
            ..GetTraceResponse::default()
        }],
        ..Canned::default()
    };
    Site::start(canned.serve().await).await
}

/// A shop: a root of 100 ms, two queries side by side below it, and a payment that fails.
fn shop() -> Vec<ResourceSpans> {
    let named = |name: &str, span: Span| Span {
        name: name.to_owned(),
        ..span
    };
    let query = |own: Span, table: &str| Span {
        kind: SpanKind::Client.into(),
        attributes: vec![pair("db.collection", table)],
        ..named("query", own)
    };
    vec![
        spans(
            "web",
            vec![
                named("GET /cart", span(1, 1, 0, (0, 100))),
                query(span(1, 2, 1, (10, 40)), "items"),
                query(span(1, 3, 1, (20, 50)), "prices"),
            ],
        ),
        spans(
            "pay",
            vec![error(named("charge", span(1, 4, 1, (60, 90))), "declined")],
        ),
    ]
}

/// The texts of the cells of each row, without those that the page does not show.
fn cells(page: &str) -> Vec<Vec<String>> {
    let body = page.split("<tbody data-list>").nth(1).unwrap();
    let body = body.split("</tbody>").next().unwrap();
    body.split("<tr")
        .skip(1)
        .map(|row| {
            row.split("<t")
                .skip(1)
                .map(|cell| {
                    let mut text = String::new();
                    let mut inside = true;
                    for c in cell.chars() {
                        match c {
                            '<' => inside = true,
                            '>' => inside = false,
                            c if !inside => text.push(c),
                            _ => {}
                        }
                    }
                    html::unescape(text.trim())
                })
                .collect()
        })
        .collect()
}

#[tokio::test]
async fn every_span_is_a_row_with_its_self_time() {
    let site = site(shop(), None).await;
    let page = site.page(&address("?tab=spans")).await;
    assert_eq!(
        cells(&page),
        [
            [
                "web",
                "GET /cart",
                "internal",
                "unset",
                "+0 s",
                "100 ms",
                "30 ms",
                "1"
            ],
            [
                "web", "query", "client", "unset", "+10 ms", "30 ms", "30 ms", "2"
            ],
            [
                "web", "query", "client", "unset", "+20 ms", "30 ms", "30 ms", "2"
            ],
            [
                "pay", "charge", "internal", "error", "+60 ms", "30 ms", "30 ms", "2"
            ],
        ]
    );
    assert!(page.contains("4 spans"));
}

#[tokio::test]
async fn a_head_of_the_table_sorts_it_and_turns_it_round() {
    let site = site(shop(), None).await;
    let operations =
        |page: &str| -> Vec<String> { cells(page).into_iter().map(|row| row[1].clone()).collect() };
    let page = site.page(&address("?tab=spans&sort=operation")).await;
    assert_eq!(operations(&page), ["GET /cart", "charge", "query", "query"]);
    let turned = html::links(&page, &address(""))
        .into_iter()
        .find(|link| link.contains("sort=-operation"))
        .unwrap();
    let page = site.page(&turned).await;
    assert_eq!(operations(&page), ["query", "query", "charge", "GET /cart"]);
    assert!(page.contains("aria-sort=\"descending\""));
    let answer = site.get(&address("?tab=spans&sort=colour")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains("is not a column to sort by"));
}

#[tokio::test]
async fn a_row_opens_the_details_beside_the_table() {
    let site = site(shop(), None).await;
    let page = site.page(&address("?tab=spans&sort=duration")).await;
    let link = html::links(&page, &address(""))
        .into_iter()
        .find(|link| link.contains("tab=spans") && link.contains(&format!("span={}", id_hex(4))))
        .unwrap();
    let open = site.page(&link).await;
    assert!(open.contains("declined") && open.contains("id=\"detail\""));
    assert_eq!(cells(&open), cells(&page), "the table stays as it is");
    assert!(open.contains(&format!("<tr id=\"s{}\" class=\"on\">", id_hex(4))));
}

#[tokio::test]
async fn the_filter_of_the_trace_applies_to_the_tables() {
    let site = site(shop(), None).await;
    let page = site.page(&address("?tab=spans&f=name:query")).await;
    assert_eq!(cells(&page).len(), 2);
    assert!(page.contains("2 of 4 spans match"));
    let page = site.page(&address("?tab=operations&f=name:query")).await;
    assert_eq!(cells(&page).len(), 1);
    let page = site.page(&address("?tab=operations&f=name:nothing")).await;
    assert!(page.contains("This trace has none, or the filter leaves none of them."));
    let wrong = site.get(&address("?tab=spans&f=duration%3E5parsecs")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("Column"));
}

#[tokio::test]
async fn operations_are_counted_together_with_their_part_of_the_trace() {
    let site = site(shop(), None).await;
    let page = site.page(&address("?tab=operations&sort=count")).await;
    let rows = cells(&page);
    // Count, errors, total, mean, min, p50, p95, max, self time with its share, critical path with its share.
    assert_eq!(
        rows[0],
        [
            "web query",
            "2",
            "–",
            "60 ms",
            "30 ms",
            "30 ms",
            "30 ms",
            "30 ms",
            "30 ms",
            "60 ms 50%",
            "30 ms 30%"
        ]
    );
    assert_eq!(
        rows[1][..4],
        [
            "pay charge".to_owned(),
            "1".to_owned(),
            "1".to_owned(),
            "30 ms".to_owned()
        ]
    );
    assert_eq!(rows[2][9..], ["30 ms 25%", "40 ms 40%"]);
}

#[tokio::test]
async fn a_row_of_the_statistics_leads_to_just_its_spans() {
    let site = site(shop(), None).await;
    for (by, f, text, spans) in [
        ("", "", "query", 2),
        ("&group=service", "", "web", 3),
        ("&group=db.collection", "", "prices", 1),
        ("&group=db.collection", "", "(without it)", 2),
        ("", "&f=kind:client OR status:error", "query", 2),
    ] {
        let f = f.replace(' ', "+");
        let page = site
            .page(&address(&format!("?tab=operations{by}{f}")))
            .await;
        let at = cells(&page)
            .iter()
            .position(|row| row[0].contains(text))
            .unwrap_or_else(|| panic!("{text} in {page}"));
        let body = page.split("<tbody data-list>").nth(1).unwrap();
        let link = html::links(body, &address("")).remove(at);
        let page = site.page(&link).await;
        assert!(link.contains("tab=spans"), "{link}");
        assert_eq!(cells(&page).len(), spans, "{by} {text}: {link}");
    }
}

#[tokio::test]
async fn the_table_of_spans_is_a_file_in_the_order_of_the_page() {
    let site = site(shop(), None).await;
    let page = site
        .page(&address("?tab=spans&f=service:web&sort=-start"))
        .await;
    let file = |ending: &str| {
        html::links(&page, "")
            .into_iter()
            .find(|link| link.contains(&format!("spans.{ending}?")))
            .unwrap()
    };
    let csv = site.get(&file("csv")).await;
    assert_eq!(csv.status, StatusCode::OK);
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert!(csv.header("content-disposition").contains("-spans.csv"));
    let text = csv.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("start,offset_ns,duration_ns,self_ns,critical_ns,service,name,"));
    assert_eq!(lines.len(), 4);
    assert!(lines[1].contains(",20000000,30000000,30000000,30000000,web,query,client,"));
    assert!(lines[1].contains("\"{\"\"db.collection\"\":\"\"prices\"\"}\""));
    assert!(lines[3].contains(",0,100000000,30000000,40000000,web,GET /cart,"));

    let ndjson = site.get(&file("ndjson")).await;
    assert_eq!(ndjson.header("content-type"), "application/x-ndjson");
    let lines: Vec<serde_json::Value> = ndjson
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4, "three spans and the coverage");
    assert_eq!(lines[0]["span_id"], id_hex(3));
    assert_eq!(lines[0]["attributes"]["db.collection"], "prices");
    assert_eq!(lines[2]["critical_ns"], 40_000_000);
    assert_eq!(lines[3]["coverage"]["partial"], false);
}

#[tokio::test]
async fn a_table_that_would_lack_something_is_refused_and_lines_say_so() {
    let partial = Coverage {
        partial: true,
        reasons: vec!["a consumer is away".to_owned()],
        ..Coverage::default()
    };
    let site = site(shop(), Some(partial)).await;
    let csv = site.get(&address("/spans.csv")).await;
    assert_eq!(csv.status, StatusCode::BAD_GATEWAY);
    assert!(csv.text().contains("a consumer is away"));
    let ndjson = site.get(&address("/spans.ndjson")).await.text();
    assert!(
        ndjson
            .lines()
            .last()
            .unwrap()
            .contains("a consumer is away")
    );
}

#[tokio::test]
async fn a_cell_that_a_spreadsheet_would_run_is_disarmed() {
    let evil = Span {
        name: "=HYPERLINK(\"http://evil.example\",\"x\")".to_owned(),
        ..span(1, 1, 0, (0, 1))
    };
    let site = site(vec![spans("a", vec![evil])], None).await;
    let csv = site.get(&address("/spans.csv")).await.text();
    assert!(csv.contains("\"'=HYPERLINK(\"\"http"));
}

#[tokio::test]
async fn wrong_addresses_of_files_are_answered_by_what_is_wrong() {
    let site = site(shop(), None).await;
    for (path, status) in [
        (address("/spans.xls"), StatusCode::NOT_FOUND),
        (address("/spans"), StatusCode::NOT_FOUND),
        ("/trace/1/spans.csv".to_owned(), StatusCode::NOT_FOUND),
        (address("/spans.csv?sort=x"), StatusCode::BAD_REQUEST),
        (address("/spans.csv?f=a:("), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(site.get(&path).await.status, status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_of_a_hundred_thousand_spans_are_small_pages_that_lead_on() {
    let canned = Canned {
        pieces: large(2_500, 40),
        ..Canned::default()
    };
    let site = Site::start(canned.serve().await).await;
    let page = site.page(&address("?tab=spans&sort=self")).await;
    assert!(page.len() < PAGE_BYTES_MAX, "{} bytes", page.len());
    assert_eq!(cells(&page).len(), 100);
    assert!(page.contains("100,001 spans"));
    let next = html::links(&page, &address(""))
        .into_iter()
        .find(|link| link.contains("page=2"))
        .unwrap();
    let second = site.page(&next).await;
    assert!(second.contains("101 to 200"));
    assert_ne!(cells(&second)[0], cells(&page)[0]);
    // Counted by something that every span has a value of its own of.
    let page = site.page(&address("?tab=operations&group=span")).await;
    assert!(page.len() < PAGE_BYTES_MAX, "{} bytes", page.len());
    assert!(page.contains("100,001 values"));
    let csv = site.get(&address("/spans.csv?f=status:error")).await.text();
    assert_eq!(csv.lines().count(), 101);
}

/// The ids of the rows of the timeline.
fn timeline(page: &str) -> Vec<String> {
    page.split("<li id=\"s")
        .skip(1)
        .map(|row| row.split('"').next().unwrap().to_owned())
        .collect()
}

fn link_of(page: &str, label: &str) -> Option<String> {
    let end = format!(">{label}</a>");
    let before = &page[..page.find(&end)?];
    let link = &before[before.rfind("<a ")?..];
    html::links(link, &address("")).pop()
}

#[tokio::test]
async fn a_part_of_the_time_shows_what_is_in_it_and_says_what_is_not() {
    let site = site(shop(), None).await;
    let page = site.page(&address("?zoom=15ms..45ms")).await;
    assert_eq!(timeline(&page), [id_hex(1), id_hex(2), id_hex(3)]);
    assert!(page.contains("15 ms to 45 ms of 100 ms · 1 span lies outside"));
    // The root covers all of it, and the first query ends within it.
    assert!(page.contains("class=\"s\" x=\"0%\" width=\"100%\""));
    assert!(page.contains("class=\"s\" x=\"0%\" width=\"83.33%\""));
    // The minimap shows which part it is.
    assert!(page.contains("class=\"win\" x=\"15%\" width=\"30%\""));
    let whole = site.page(&link_of(&page, "Whole").unwrap()).await;
    assert_eq!(timeline(&whole).len(), 4);
    assert!(!whole.contains("lies outside"));
}

#[tokio::test]
async fn links_zoom_in_and_out_and_to_both_sides() {
    let site = site(shop(), None).await;
    let page = site.page(&address("")).await;
    let closer = link_of(&page, "Zoom in").unwrap();
    assert!(closer.ends_with("zoom=25ms..75ms"), "{closer}");
    for label in ["Zoom out", "Earlier", "Later", "Whole"] {
        assert_eq!(link_of(&page, label), None, "{label}");
    }
    let page = site.page(&closer).await;
    for (label, want) in [
        ("Zoom in", "zoom=37500us..62500us"),
        ("Zoom out", "zoom=0ns..100ms"),
        ("Earlier", "zoom=0ns..50ms"),
        ("Later", "zoom=50ms..100ms"),
    ] {
        let link = link_of(&page, label).unwrap();
        assert!(link.ends_with(want), "{label}: {link}");
        site.page(&link).await;
    }
}

#[tokio::test]
async fn a_span_that_leads_to_one_in_the_shown_time_stays() {
    // The caller has ended long before what it started begins.
    let site = site(
        vec![spans(
            "a",
            vec![
                span(1, 1, 0, (0, 10)),
                span(1, 2, 1, (5, 8)),
                span(1, 3, 2, (70, 90)),
                span(1, 4, 1, (6, 7)),
            ],
        )],
        None,
    )
    .await;
    let page = site.page(&address("?zoom=60ms..80ms")).await;
    assert_eq!(timeline(&page), [id_hex(1), id_hex(2), id_hex(3)]);
    assert!(page.contains("◂ earlier, 10 ms"));
    assert!(page.contains("1 span lies outside"));
    let page = site
        .page(&address("?zoom=60ms..80ms&f=name:%22operation+4%22"))
        .await;
    assert!(page.contains("In the shown time: 1 span lies outside."));
    let page = site
        .page(&address(&format!("?zoom=60ms..80ms&span={}", id_hex(2))))
        .await;
    let of_span = link_of(&page, "This span").unwrap();
    assert!(of_span.ends_with("zoom=4850us..8150us"), "{of_span}");
}

#[tokio::test]
async fn a_zoom_that_cannot_be_read_is_named_and_one_beyond_the_trace_is_mended() {
    let site = site(shop(), None).await;
    let answer = site.get(&address("?zoom=5ms")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains("zoom: `5ms` is not a part"));
    for zoom in ["1h..2h", "0ns..1h", "99999us..1h", "0ns..1ns"] {
        site.page(&address(&format!("?zoom={zoom}"))).await;
    }
}

/// How many lines the list of logs has.
fn lines(page: &str) -> usize {
    page.matches("<li id=\"l").count()
}

#[tokio::test]
async fn the_list_of_logs_goes_on_page_by_page() {
    let many = (0..95)
        .map(|n| record(1, 2, n, 9, &format!("line number {n}")))
        .collect();
    let site = site_with_logs(vec![logs("web", many)]).await;
    let mut next = Some(address("?tab=logs"));
    let mut seen = String::new();
    let mut counts = Vec::new();
    while let Some(here) = next {
        let page = site.page(&here).await;
        assert!(page.len() < PAGE_BYTES_MAX, "{} bytes", page.len());
        counts.push(lines(&page));
        next = link_of(&page, "Next");
        seen.push_str(&page);
    }
    assert_eq!(counts, [40, 40, 15]);
    for n in 0..95 {
        assert!(seen.contains(&format!(">line number {n}<")), "{n}");
    }
    // A line between the spans leads to its place in the list.
    let timeline = site.page(&address("")).await;
    let link = html::attributes(&timeline, "href")
        .into_iter()
        .find(|href| href.ends_with("#l90"))
        .unwrap();
    let (href, anchor) = link.split_once('#').unwrap();
    let page = site.page(&address(href)).await;
    assert!(page.contains(&format!("<li id=\"{anchor}\"")));
    assert!(page.contains(">line number 90<"));
}

#[tokio::test]
async fn the_list_of_logs_is_narrowed_by_severity_and_by_a_query() {
    let site = site_with_logs(vec![logs(
        "web",
        vec![
            record(1, 2, 1, 9, "asked the cache"),
            record(1, 2, 2, 13, "the cache is slow"),
            record(1, 4, 3, 17, "card declined"),
        ],
    )])
    .await;
    for (narrowed, want, total) in [
        ("", 3, "3 log records"),
        ("&level=warn", 2, "2 of 3 log records"),
        ("&lq=cache", 2, "2 of 3 log records"),
        ("&lq=cache&level=warn", 1, "1 of 3 log records"),
        ("&lq=service:other", 0, "None of this trace matches."),
    ] {
        let page = site.page(&address(&format!("?tab=logs{narrowed}"))).await;
        assert_eq!(lines(&page), want, "{narrowed}");
        assert!(page.contains(total), "{narrowed}");
    }
    let wrong = site.get(&address("?tab=logs&lq=severity:lowd")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("Column 10:"), "{}", wrong.text());
    // The buttons beside a value stay within the trace.
    let answer = site
        .get(&address("?tab=logs&level=warn&lq=cache&not=service:web"))
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(
        answer.header("location"),
        address("?tab=logs&lq=cache+-service%3Aweb&level=warn")
    );
}

#[tokio::test]
async fn a_log_record_leads_to_its_span_in_the_timeline() {
    let site = site_with_logs(vec![logs(
        "web",
        vec![
            record(1, 4, 1, 9, "of a span"),
            record(1, 9, 2, 9, "of a span that is not here"),
            record(1, 0, 3, 9, "of no span"),
        ],
    )])
    .await;
    let page = site.page(&address("?tab=logs&level=info")).await;
    assert!(page.contains("title=\"pay charge\">span</a>"));
    assert!(page.contains("title=\"The span is not in this trace\">missing</a>"));
    assert_eq!(page.matches("class=\"jump\"").count(), 2);
    let link = link_of(&page, "span").unwrap();
    let page = site.page(&link).await;
    assert!(page.contains("id=\"detail\"") && page.contains("declined"));
    assert!(timeline(&page).contains(&id_hex(4)));
}
