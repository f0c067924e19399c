//! The shape of a trace on its pages: flame graph, graph of calls, and two traces side by side.

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
    otlp::{self, MS, error, id, logs, record, span, spans, trace_hex},
    real::Real,
};
use http::StatusCode;
use log_tracer_proto::{
    otlp::trace::{ResourceSpans, Span, span::SpanKind},
    v1::GetTraceResponse,
};

const PAGE_BYTES_MAX: usize = 100_000;

fn address(view: &str) -> String {
    format!("/trace/{}?tab={view}", trace_hex(1))
}

async fn site(resource_spans: Vec<ResourceSpans>) -> Site {
    let canned = Canned {
        pieces: vec![GetTraceResponse {
            resource_spans,
            ..GetTraceResponse::default()
        }],
        ..Canned::default()
    };
    Site::start(canned.serve().await).await
}

fn named(name: &str, span: Span) -> Span {
    Span {
        name: name.to_owned(),
        ..span
    }
}

/// A checkout with two payments, the second of which failed.
fn checkout() -> Vec<ResourceSpans> {
    let server = Span {
        kind: SpanKind::Server.into(),
        ..named("POST /checkout", span(1, 1, 0, (0, 1000)))
    };
    vec![
        spans(
            "web",
            vec![
                server,
                named("charge", span(1, 2, 1, (100, 300))),
                named("charge", span(1, 3, 1, (300, 800))),
            ],
        ),
        spans(
            "payment",
            vec![
                named("authorize", span(1, 4, 2, (100, 300))),
                error(named("authorize", span(1, 5, 3, (300, 800))), "timed out"),
            ],
        ),
    ]
}

#[tokio::test]
async fn a_filter_narrows_the_flame_graph_and_the_graph_and_stays_in_their_links() {
    let site = site(checkout()).await;
    for (tab, further) in [("flame", "at="), ("graph", "by=service")] {
        let page = site.page(&address(&format!("{tab}&f=name:charge"))).await;
        assert!(page.contains("2 of 5 spans match"), "{tab}");
        assert!(!page.contains("authorize: "), "{tab}: below what matches");
        // The checkout is there, faded, since the charges are below it.
        assert!(page.contains(" dim\""), "{tab}");
        assert!(page.contains(", leads to a match</span>"), "{tab}");
        assert!(
            page.contains("; leads to what the filter finds</title>"),
            "{tab}"
        );
        // Of the critical path of the whole trace.
        assert!(page.contains("<td class=\"num\">30%</td>"), "{tab}: {page}");
        let links = html::links(&page, "");
        let kept = |link: &String| link.contains("f=name%3Acharge") && link.contains(further);
        assert!(links.iter().any(kept), "{tab}: {links:?}");
        // What is faded has no span that matches: it leads to its own.
        let is_own = |link: &String| link.starts_with("?f=") && link.contains("POST");
        let own: Vec<&String> = links.iter().filter(|link| is_own(link)).collect();
        assert_eq!(own.is_empty(), tab == "flame", "{links:?}");
        assert!(own.iter().all(|link| !link.contains("charge")), "{own:?}");
        let page = site.page(&address(&format!("{tab}&f=name:nothing"))).await;
        assert!(page.contains("No span matches"), "{tab}");
    }
}

#[tokio::test]
async fn the_flame_graph_has_a_frame_for_each_path_and_a_table_with_its_numbers() {
    let site = site(checkout()).await;
    let page = site.page(&address("flame")).await;
    // 300 ms of the checkout are its own, the charges wait, and the authorizations took 700 ms.
    assert!(
        page.contains("5 spans in 3 paths, 1 s of self time"),
        "{page}"
    );
    let titles: Vec<&str> = page
        .split("<title>")
        .skip(2)
        .filter_map(|rest| rest.split("</title>").next())
        .collect();
    assert!(
        titles.contains(&"payment authorize: 2 spans, total 700 ms, self 700 ms, 70% of the critical path, 1 error"),
        "{titles:?}"
    );
    assert!(
        page.contains("width=\"70%\""),
        "authorize takes 70% of the width"
    );
    assert!(page.contains("payment authorize ×2"));
    let frames = page
        .split("class=\"flame\"")
        .nth(1)
        .unwrap()
        .split("</svg></div>")
        .next()
        .unwrap();
    // The charges have no time of their own, but what is below them has.
    assert_eq!(frames.matches("class=\"f\"").count(), 3);
}

#[tokio::test]
async fn a_frame_that_is_chosen_is_the_root_and_the_way_back_is_there() {
    let site = site(checkout()).await;
    let here = format!("/trace/{}", trace_hex(1));
    let page = site.page(&address("flame")).await;
    let zoom = html::links(&page, &here)
        .into_iter()
        .filter(|link| link.contains("&at="))
        .nth(1)
        .unwrap();
    let zoomed = site.page(&zoom).await;
    assert!(
        zoomed.contains("4 spans in 2 paths, 700 ms of self time"),
        "{zoomed}"
    );
    assert!(zoomed.contains(">Whole trace</a>") && zoomed.contains(">web POST /checkout</a>"));
    // A path that the trace does not have shows all of it.
    let elsewhere = site
        .page(&format!("{}&at=0123456789abcdef", address("flame")))
        .await;
    assert!(elsewhere.contains("5 spans in 3 paths"));
}

#[tokio::test]
async fn the_graph_has_a_box_for_each_operation_or_service_and_leads_to_its_spans() {
    let site = site(checkout()).await;
    let page = site.page(&address("graph")).await;
    assert!(page.contains("3 operations, 2 kinds of calls"), "{page}");
    assert!(page.contains("charge → authorize: 2 calls, 700 ms, 1 error"));
    let query = html::links(&page, "")
        .into_iter()
        .find(|link| link.contains("authorize"))
        .unwrap();
    let timeline = site.page(&format!("/trace/{}{query}", trace_hex(1))).await;
    assert!(timeline.contains("2 of 5 spans match"), "{query}");
    let services = site
        .page(&format!("{}&by=service&colour=self", address("graph")))
        .await;
    assert!(
        services.contains("2 services, 1 kind of call"),
        "{services}"
    );
    assert!(services.contains("up to 700 ms"));
    assert!(services.contains("Calls within a service are not drawn."));
}

/// What a sender makes wrong, and a trace with logs only.
fn odd() -> Vec<(&'static str, GetTraceResponse)> {
    let of = |resource_spans| GetTraceResponse {
        resource_spans,
        ..GetTraceResponse::default()
    };
    let one = |list| of(vec![spans("a", list)]);
    vec![
        (
            "a cycle",
            one(vec![span(1, 1, 2, (0, 9)), span(1, 2, 1, (1, 8))]),
        ),
        ("its own parent", one(vec![span(1, 1, 1, (0, 9))])),
        (
            "an orphan",
            one(vec![span(1, 1, 0, (0, 9)), span(1, 2, 7, (1, 8))]),
        ),
        (
            "two roots",
            one(vec![span(1, 1, 0, (0, 9)), span(1, 2, 0, (5, 20))]),
        ),
        ("no length", one(vec![span(1, 1, 0, (5, 5))])),
        (
            "backwards",
            one(vec![span(1, 1, 0, (9, 5)), span(1, 2, 1, (5, 9))]),
        ),
        (
            "no times",
            one(vec![Span {
                start_time_unix_nano: 0,
                end_time_unix_nano: 0,
                ..span(1, 1, 0, (0, 0))
            }]),
        ),
        (
            "for ever",
            one(vec![
                Span {
                    end_time_unix_nano: u64::MAX,
                    ..span(1, 1, 0, (0, 0))
                },
                Span {
                    start_time_unix_nano: 1,
                    end_time_unix_nano: u64::MAX,
                    ..span(1, 2, 0, (0, 0))
                },
            ]),
        ),
        ("nothing named", one(vec![named("", span(1, 1, 0, (0, 9)))])),
        (
            "only logs",
            GetTraceResponse {
                resource_logs: vec![logs("a", vec![record(1, 0, 1, 9, "alone")])],
                ..GetTraceResponse::default()
            },
        ),
    ]
}

#[tokio::test]
async fn odd_traces_have_a_shape_too_or_it_is_said_why_not() {
    for (what, piece) in odd() {
        let canned = Canned {
            pieces: vec![piece],
            ..Canned::default()
        };
        let site = Site::start(canned.serve().await).await;
        for view in ["flame", "graph", "graph&by=service&colour=total"] {
            let page = site.page(&address(view)).await;
            let has_shape = page.contains("class=\"red paths\"");
            assert_eq!(has_shape, what != "only logs", "{what} in {view}");
            assert_eq!(
                page.contains("they have no shape"),
                !has_shape,
                "{what} in {view}"
            );
        }
        let page = site.page(&compared(1, 2)).await;
        let words = match what {
            "only logs" => "Neither trace has a span.",
            _ => "No difference in",
        };
        assert!(page.contains(words), "{what}: {page}");
    }
}

/// Numbered spans: a number and the number of the parent.
fn many(spans_: impl Iterator<Item = (u64, u64, String)>) -> Vec<ResourceSpans> {
    let list = spans_
        .map(|(number, parent, name)| Span {
            span_id: number.to_be_bytes().to_vec().into(),
            parent_span_id: if parent == 0 {
                Vec::new()
            } else {
                parent.to_be_bytes().to_vec()
            }
            .into(),
            start_time_unix_nano: otlp::epoch() + number % 1000,
            end_time_unix_nano: otlp::epoch() + 200 * MS - number,
            ..named(&name, span(1, 0, 0, (0, 0)))
        })
        .collect();
    vec![spans("a-service-with-a-long-name", list)]
}

#[tokio::test]
async fn large_and_deep_traces_make_small_pages() {
    let wide = many((1..=100_000).map(|n| {
        let parent = if n == 1 { 0 } else { 1 + n % 100.min(n - 1) };
        (
            n,
            parent,
            format!("GET /api/v1/resources/{}/items", n % 3_000),
        )
    }));
    let deep = many((1..=10_000).map(|n| (n, n - 1, format!("descend into directory {}", n % 7))));
    let long = many((1..=400_u64).map(|n| {
        let name = format!("SELECT \"<{n}>\" & '{}'", "column, ".repeat(60));
        (n, n.div_ceil(8) * u64::from(n > 1), name)
    }));
    for (what, trace) in [("wide", wide), ("deep", deep), ("long", long)] {
        let site = site(trace).await;
        let compare = compared(1, 2);
        for path in [
            address("flame"),
            address("graph"),
            format!("{}&colour=self&from=60", address("graph")),
            format!("{compare}&sort=total&page=3"),
        ] {
            let page = site.page(&path).await;
            assert!(
                page.len() < PAGE_BYTES_MAX,
                "{what} {path}: {} bytes",
                page.len()
            );
            let is_cut = ["paths more: ", "are one box", "the same", " of "];
            assert!(
                is_cut.iter().any(|words| page.contains(words)),
                "{what} {path}"
            );
        }
    }
}

/// Two checkouts: the second pays twice, audits, and has no cache.
async fn shop() -> Real {
    let real = Real::start().await;
    let of = |trace: u8, first: u8, service: &str, list: Vec<(u8, u8, &str, (u64, u64))>| {
        let list = list.into_iter().map(|(number, parent, name, times)| Span {
            parent_span_id: if parent == 0 {
                Vec::new()
            } else {
                id(first + parent)
            }
            .into(),
            ..named(name, span(trace, first + number, 0, times))
        });
        spans(service, list.collect())
    };
    real.send(
        vec![
            of(
                1,
                10,
                "web",
                vec![
                    (1, 0, "POST /checkout", (0, 1000)),
                    (2, 1, "cache", (0, 100)),
                    (3, 1, "auth", (100, 200)),
                ],
            ),
            of(1, 10, "payment", vec![(4, 1, "charge", (200, 400))]),
            of(
                2,
                20,
                "web",
                vec![
                    (1, 0, "POST /checkout", (2000, 4000)),
                    (3, 1, "auth", (2000, 2100)),
                ],
            ),
            of(
                2,
                20,
                "payment",
                vec![
                    (4, 1, "charge", (2100, 2900)),
                    (5, 1, "charge", (2900, 3700)),
                    (6, 5, "audit", (3000, 3100)),
                ],
            ),
            of(3, 30, "web", vec![(1, 0, "GET /", (0, 10))]),
        ],
        vec![logs("web", vec![record(2, 21, 2500, 17, "slow")])],
    )
    .await;
    real
}

fn compared(a: u8, b: u8) -> String {
    format!("/compare?a={}&b={}", trace_hex(a), trace_hex(b))
}

#[tokio::test]
async fn a_comparison_says_what_is_the_same_what_is_only_in_one_and_what_is_slower() {
    let real = shop().await;
    let page = real.site.page(&compared(1, 2)).await;
    assert!(
        page.contains("2 paths differ, 1 is only in A, 1 is only in B, 1 is the same."),
        "{page}"
    );
    for words in [
        "1 the same: 1 span",
        "only in A",
        "only in B",
        "more spans, slower",
        "+1 s",
        "1 → 2",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let back = real.site.page(&compared(2, 1)).await;
    for words in [
        "fewer spans, faster",
        "−1 s",
        "2 → 1",
        "Faster in B, by self time",
    ] {
        assert!(back.contains(words), "{words}: {back}");
    }
    assert!(
        html::links(&page, "").iter().any(|link| {
            link.starts_with(&format!("/compare?a={}&b={}", trace_hex(2), trace_hex(1)))
        }),
        "there is a way to swap them"
    );
    // All of it, and sorted by what differs most.
    let all = real
        .site
        .page(&format!("{}&show=all", compared(1, 2)))
        .await;
    assert!(all.contains("the same</span>") && !all.contains("1 the same:"));
    let sorted = real
        .site
        .page(&format!("{}&sort=total", compared(1, 2)))
        .await;
    let at = |name: &str| sorted.rfind(&format!("</span> {name}")).unwrap();
    assert!(at("charge") < at("POST /checkout") && at("POST /checkout") < at("audit"));
    assert!(sorted.contains("in POST /checkout"));
}

#[tokio::test]
async fn a_trace_compared_with_itself_and_one_with_another_beginning() {
    let real = shop().await;
    let page = real.site.page(&compared(1, 1)).await;
    assert!(
        page.contains("This is one trace compared with itself.") && page.contains("4 the same")
    );
    let page = real.site.page(&compared(1, 3)).await;
    assert!(page.contains("No path is in both: they begin with different operations."));
}

#[tokio::test]
async fn the_other_trace_is_chosen_among_those_that_begin_alike_or_written_as_an_address() {
    let real = shop().await;
    let trace = real.site.page(&format!("/trace/{}", trace_hex(1))).await;
    let compare = format!("/compare?a={}", trace_hex(1));
    assert!(html::links(&trace, "").contains(&compare));
    let page = real.site.page(&compare).await;
    let links = html::links(&page, "");
    assert!(links.contains(&compared(1, 2)), "{links:?}");
    assert!(
        !links.contains(&compared(1, 3)) && !links.contains(&compared(1, 1)),
        "{links:?}"
    );
    let written = format!(
        "{compare}&b=http%3A%2F%2Fother.example%2Ftrace%2F{}%3Fspan%3D1",
        trace_hex(2)
    );
    assert!(real.site.page(&written).await.contains("only in B"));
    for (bad, status) in [
        (format!("{compare}&b=x"), StatusCode::BAD_REQUEST),
        (
            format!("{compare}&b={}", trace_hex(9)),
            StatusCode::NOT_FOUND,
        ),
        ("/compare?a=1".to_owned(), StatusCode::BAD_REQUEST),
        (
            format!("{}&sort=x", compared(1, 2)),
            StatusCode::BAD_REQUEST,
        ),
        (
            format!("{}&show=x", compared(1, 2)),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        assert_eq!(real.site.get(&bad).await.status, status, "{bad}");
    }
    assert!(
        real.site
            .get(&format!("{compare}&b={}", trace_hex(9)))
            .await
            .text()
            .contains("b: ")
    );
    assert!(real.site.page("/compare").await.contains("Which traces?"));
}

#[tokio::test]
async fn two_traces_of_the_list_are_chosen_and_compared_without_a_script() {
    let real = shop().await;
    let page = real.site.page("/traces").await;
    assert!(page.contains("<form id=\"compare\" action=\"/compare\">"));
    let boxes: Vec<&str> = page
        .split("<input type=\"checkbox\" name=\"id\" value=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(boxes.len(), 3);
    assert!(page.matches("form=\"compare\"").count() == 3);
    let (a, b) = (trace_hex(1), trace_hex(2));
    let page = real.site.page(&format!("/compare?id={a}&id={b}")).await;
    assert!(page.contains("2 paths differ"));
    let three = real
        .site
        .get(&format!("/compare?id={a}&id={b}&id={a}"))
        .await;
    assert_eq!(three.status, StatusCode::BAD_REQUEST);
    assert!(
        three
            .text()
            .contains("3 traces are chosen; two can be compared")
    );
    // One alone is as good as a way to choose the other.
    assert!(
        real.site
            .page(&format!("/compare?id={a}"))
            .await
            .contains("Choose the other trace")
    );
}

#[tokio::test]
async fn a_trace_of_an_opened_file_is_compared_with_a_stored_one() {
    let real = shop().await;
    let file = real
        .site
        .get(&format!("/trace/{}.json", trace_hex(1)))
        .await
        .text();
    let opened = real.site.post("/open", "application/json", file).await;
    let place = opened
        .header("location")
        .trim_start_matches("/trace/")
        .to_owned();
    let page = real
        .site
        .page(&format!("/compare?a={place}&b={}", trace_hex(2)))
        .await;
    assert!(
        page.contains("from the file") && page.contains("2 paths differ"),
        "{page}"
    );
    assert!(page.contains(&trace_hex(1)), "it is called by its own id");
    let same = real
        .site
        .page(&format!("/compare?a={place}&b={}", trace_hex(1)))
        .await;
    assert!(same.contains("No difference in 4 paths."));
}

#[tokio::test]
async fn programs_get_the_comparison_as_json() {
    let real = shop().await;
    let path = format!("/api/v1{}", compared(1, 2));
    let all = real.site.get(&path).await.json();
    assert_eq!(
        all["counts"],
        serde_json::json!({"same": 1, "changed": 2, "onlyA": 1, "onlyB": 1})
    );
    assert_eq!(all["a"]["durationNano"], "1000000000");
    assert_eq!(all["b"]["spans"], 5);
    let paths = all["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 5);
    let charge = paths.iter().find(|path| path["name"] == "charge").unwrap();
    assert_eq!(charge["verdict"], "changed");
    assert_eq!(charge["parent"], paths[0]["id"]);
    assert_eq!(charge["b"]["totalNano"], "1600000000");
    assert_eq!(charge["b"]["selfNano"], "1500000000");
    let first = real
        .site
        .get(&format!("{path}&sort=total&limit=1"))
        .await
        .json();
    assert_eq!(
        (first["paths"][0]["name"].as_str(), &first["more"]),
        (Some("charge"), &4.into())
    );
    for bad in ["/api/v1/compare", "/api/v1/compare?a=1&b=2"] {
        assert_eq!(real.site.get(bad).await.status, StatusCode::BAD_REQUEST);
    }
}
