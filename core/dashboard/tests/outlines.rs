//! A trace is read as an outline, and whole only where a page looks: no page differs from one made of the whole trace.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::iter;

use common::{
    Site,
    canned::Canned,
    large::large,
    otlp::{MS, epoch, error, id, id_hex, logs, pair, record, span, spans, trace_hex},
    real::Real,
};
use http::StatusCode;
use log_tracer_proto::{
    otlp::{
        logs::ResourceLogs,
        trace::{
            ResourceSpans, Span,
            span::{Event, Link, SpanKind},
        },
    },
    v1::{
        GetTraceRequest, GetTraceResponse, ListServicesRequest,
        query_service_client::QueryServiceClient,
    },
};

/// Everything that a page marks or shows of a span.
fn odd() -> (Vec<ResourceSpans>, Vec<ResourceLogs>) {
    let of_kind = |kind: SpanKind, span: Span| Span {
        kind: kind.into(),
        ..span
    };
    let with_events = |span: Span| Span {
        events: (1..5)
            .map(|at| Event {
                time_unix_nano: epoch() + at * 7 * MS,
                name: format!("step {at}"),
                attributes: vec![pair("exception.stacktrace", "at main")],
                ..Event::default()
            })
            .collect(),
        links: vec![Link {
            trace_id: vec![9; 16].into(),
            span_id: id(9).into(),
            ..Link::default()
        }],
        attributes: vec![
            pair("http.route", "/cart"),
            pair("user", "u-1"),
            // Keys that a query has in quotes.
            pair("aws:region", "north"),
            pair("name", "called so"),
        ],
        ..span
    };
    let web = vec![
        with_events(error(span(1, 1, 0, (0, 100)), "all is lost")),
        of_kind(SpanKind::Client, span(1, 2, 1, (10, 60))),
        // One that is its own ancestor, one whose parent is missing, one that ends before it starts.
        span(1, 20, 21, (30, 40)),
        span(1, 21, 20, (31, 39)),
        span(1, 30, 99, (20, 25)),
        span(1, 31, 1, (50, 45)),
    ];
    let stock = vec![
        // The other side of the call has its id; and two have one more.
        of_kind(SpanKind::Server, with_events(span(1, 2, 1, (12, 58)))),
        span(1, 3, 2, (5, 50)),
        span(1, 4, 2, (20, 30)),
        span(1, 4, 2, (20, 30)),
        error(span(1, 4, 3, (20, 30)), ""),
        span(1, 5, 0, (70, 90)),
    ];
    let of_logs = vec![
        logs(
            "web",
            vec![
                record(1, 1, 5, 9, "opened"),
                record(1, 1, 5, 17, "opened at the same time"),
                record(1, 77, 6, 9, "of a span that is not here"),
                record(1, 0, 7, 13, "of none"),
            ],
        ),
        logs("stock", vec![record(1, 4, 22, 9, "looked at the shelf")]),
    ];
    (vec![spans("web", web), spans("stock", stock)], of_logs)
}

/// A dashboard that reads outlines, and one that reads the same trace whole.
async fn both(spans: Vec<ResourceSpans>, logs: Vec<ResourceLogs>) -> (Real, Site) {
    let real = Real::start().await;
    real.send(spans, logs).await;
    let site = whole_site(&real).await;
    (real, site)
}

async fn whole_site(real: &Real) -> Site {
    let mut client = QueryServiceClient::new(real.consumer.connect_in_process());
    let request = GetTraceRequest {
        trace_id: vec![1; 16].into(),
        ..GetTraceRequest::default()
    };
    let mut stream = client.get_trace(request).await.unwrap().into_inner();
    let mut pieces: Vec<GetTraceResponse> = Vec::new();
    while let Some(piece) = stream.message().await.unwrap() {
        pieces.push(piece);
    }
    let services = client.list_services(ListServicesRequest {}).await.unwrap();
    let canned = Canned {
        pieces,
        services: services.into_inner(),
        ..Canned::default()
    };
    Site::start(canned.serve().await).await
}

async fn assert_same(outlined: &Site, whole: &Site, query: &str) {
    let address = format!("/trace/{}?{query}", trace_hex(1));
    let (own, other) = (outlined.get(&address).await, whole.get(&address).await);
    assert_eq!(own.status, other.status, "{address}");
    let (own, other) = (own.text(), other.text());
    let differing = iter::zip(own.lines(), other.lines()).find(|(own, other)| own != other);
    assert_eq!(differing, None, "{address}");
    assert_eq!(own.len(), other.len(), "{address}");
}

#[tokio::test]
async fn a_page_of_an_outline_is_the_page_of_the_whole_trace() {
    let (spans, logs) = odd();
    let (real, whole) = both(spans, logs).await;
    let shared = id_hex(2);
    for query in [
        "",
        "logs=0",
        "fold=closed",
        "zoom=10ms..40ms",
        "f=status:error",
        "f=event:%22step+2%22",
        "f=user:u-1+service:stock",
        "f=host.name:web-1&logs=0",
        "f=nothing:here",
        "f=((",
        &format!("span={}", id_hex(1)),
        &format!("span={shared}&f=kind:server"),
        &format!("span={}", id_hex(4)),
        &format!("span={}", id_hex(99)),
        "tab=spans",
        "tab=spans&sort=operation",
        "tab=spans&sort=-duration",
        "tab=spans&f=duration%3E20ms",
        "tab=operations",
        "tab=operations&group=service",
        "tab=operations&group=http.route",
        "tab=operations&group=aws:region",
        "tab=operations&group=kind&f=service:stock",
        "tab=operations&group=duration",
        "tab=flame",
        "tab=graph",
        "tab=graph&by=service",
        "tab=logs",
        "tab=logs&level=error",
        "tab=logs&lq=shelf",
        "tab=logs&lq=service:web&level=warn",
        &format!("tab=logs&span={}", id_hex(4)),
    ] {
        assert_same(&real.site, &whole, query).await;
    }
}

#[tokio::test]
async fn spans_are_grouped_by_a_key_that_a_query_has_in_quotes() {
    let (spans, logs) = odd();
    let (real, _) = both(spans, logs).await;
    let path = format!(
        "/api/v1/traces/{}/statistics?group=aws:region",
        trace_hex(1)
    );
    let groups = real.site.get(&path).await.json()["groups"].clone();
    let groups = groups.as_array().unwrap();
    let north = groups.iter().find(|group| group["value"] == "north");
    assert_eq!(north.unwrap()["spans"], 2, "{groups:?}");
}

#[tokio::test]
async fn a_log_record_stands_with_its_own_sender_and_severity_when_others_have_its_time() {
    let real = Real::start().await;
    // In the order in which they are kept, which is not that of an answer by senders.
    for (service, severity, body) in [
        ("web", 9, "first-of-web"),
        ("stock", 9, "first-of-stock"),
        ("web", 9, "second-of-web"),
        ("web", 17, "third-of-web"),
        ("stock", 17, "second-of-stock"),
    ] {
        let of_one = logs(service, vec![record(1, 0, 7, severity, body)]);
        real.send(Vec::new(), vec![of_one]).await;
    }
    for (query, bodies) in [
        (
            "lq=service:stock",
            ["first-of-stock", "second-of-stock"].as_slice(),
        ),
        (
            "lq=service:web",
            &["first-of-web", "second-of-web", "third-of-web"],
        ),
        ("level=error", &["third-of-web", "second-of-stock"]),
        ("lq=service:web&level=error", &["third-of-web"]),
    ] {
        let path = format!("/trace/{}?tab=logs&{query}", trace_hex(1));
        let page = real.site.get(&path).await.text();
        for body in [
            "first-of-web",
            "first-of-stock",
            "second-of-web",
            "third-of-web",
            "second-of-stock",
        ] {
            assert_eq!(
                page.contains(body),
                bodies.contains(&body),
                "{query}: {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_log_record_stands_in_its_place_when_one_of_another_scope_differs_from_it_in_nothing_else_that_is_outlined()
 {
    let real = Real::start().await;
    let bodies = ["first-of-a", "first-of-b", "second-of-a", "second-of-b"];
    for body in bodies {
        let mut of_one = logs("web", vec![record(1, 0, 7, 9, body)]);
        let scope = of_one.scope_logs[0].scope.as_mut().unwrap();
        scope.name = body.rsplit('-').next().unwrap().to_owned();
        real.send(Vec::new(), vec![of_one]).await;
    }
    for own in bodies {
        let path = format!("/trace/{}?tab=logs&lq=%22{own}%22", trace_hex(1));
        let page = real.site.get(&path).await.text();
        // The query itself stands in its box.
        let lines = page.split("<ol class=\"logs\"").nth(1).unwrap();
        let found: Vec<_> = bodies
            .iter()
            .filter(|body| lines.contains(**body))
            .collect();
        assert_eq!(found, [&own], "{path}");
    }
    let page = real
        .site
        .get(&format!("/trace/{}?tab=logs", trace_hex(1)))
        .await;
    let page = page.text();
    let places: Vec<_> = bodies
        .iter()
        .map(|body| page.find(*body).unwrap())
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[tokio::test]
async fn a_name_and_a_value_that_an_outline_cuts_say_so() {
    let real = Real::start().await;
    let long = "n".repeat(3_000);
    let of_web = spans(
        "web",
        vec![
            Span {
                name: long.clone(),
                attributes: vec![pair("statement", &long)],
                ..span(1, 1, 0, (0, 100))
            },
            span(1, 2, 1, (0, 50)),
        ],
    );
    real.send(vec![of_web], Vec::new()).await;
    let told = format!("{}…", "n".repeat(1_021));
    for (group, key) in [("", "name"), ("&group=statement", "value")] {
        let path = format!("/trace/{}?tab=operations{group}", trace_hex(1));
        let page = real.site.get(&path).await.text();
        assert_eq!(page.matches("cut at 1,024 B").count(), 1, "{path}");
        assert!(page.contains("begin with the same 1,024 bytes are counted as one"));
        let path = format!(
            "/api/v1/traces/{}/statistics?{}",
            trace_hex(1),
            &group.trim_start_matches('&')
        );
        let groups = real.site.get(&path).await.json()["groups"].clone();
        let groups = groups.as_array().unwrap();
        assert!(groups.iter().any(|group| group[key] == told), "{groups:?}");
    }
    let path = format!("/api/v1/traces/{}/spans?sort=-start", trace_hex(1));
    let answer = real.site.get(&path).await.json();
    let spans = answer["spans"].as_array().unwrap();
    assert!(spans.iter().any(|span| span["name"] == told), "{spans:?}");
    let path = format!("/trace/{}?tab=operations&f=-name:n*", trace_hex(1));
    assert!(!real.site.get(&path).await.text().contains("1,024"));
}

#[tokio::test]
async fn keys_to_count_by_are_those_of_many_operations_and_what_is_not_offered_is_said() {
    let named = |number: u8, name: &str| Span {
        name: name.to_owned(),
        attributes: vec![pair(&format!("key-of-{name}"), "x")],
        ..span(1, number, 0, (u64::from(number), 100))
    };
    let page = async |processes: Vec<ResourceSpans>| {
        let real = Real::start().await;
        real.send(processes, Vec::new()).await;
        let path = format!("/trace/{}?tab=operations", trace_hex(1));
        real.site.get(&path).await.text()
    };
    // Many processes of one operation are one, and do not hide the next operation.
    let replica = |number: u8| {
        let mut of_one = spans("web", vec![named(number, "answer")]);
        let resource = of_one.resource.as_mut().unwrap();
        resource
            .attributes
            .push(pair("host.name", &format!("web-{number}")));
        of_one
    };
    let mut processes: Vec<_> = (1..=60).map(replica).collect();
    processes.push(spans("stock", vec![named(61, "look")]));
    let few = page(processes).await;
    assert!(few.contains("value=\"key-of-answer\"") && few.contains("value=\"key-of-look\""));
    assert!(!few.contains("Offered are"));
    let list = (1..=50).map(|number| named(number, &format!("step-{number}")));
    let many = page(vec![spans("web", list.collect())]).await;
    assert!(many.contains("Offered are keys of 40 of 50 operations; any field can be written."));
}

#[tokio::test]
async fn a_trace_of_log_records_alone_says_so_and_offers_nothing_that_needs_a_span() {
    let real = Real::start().await;
    let of_web = logs("web", vec![record(1, 2, 5, 17, "no span of mine came")]);
    real.send(Vec::new(), vec![of_web]).await;
    for tab in ["timeline", "spans", "operations", "flame", "graph", "logs"] {
        let path = format!("/trace/{}?tab={tab}", trace_hex(1));
        let page = real.site.get(&path).await.text();
        assert!(
            page.contains("its spans were not sent, or are not kept any more"),
            "{tab}"
        );
        for words in [
            "Traces like this",
            "Jaeger JSON",
            "critical path:",
            "<dt>Depth",
            "Filter spans",
        ] {
            assert!(!page.contains(words), "{tab}: {words}");
        }
        assert!(page.contains("Logs JSON"), "{tab}");
    }
}

#[tokio::test]
async fn of_many_log_records_of_one_time_each_page_has_its_own() {
    let real = Real::start().await;
    let of_others = (0..400).map(|number| record(1, 0, 5, 9, &format!("line-{number:03}.")));
    let of_one = [record(1, 1, 5, 9, "of-the-span")];
    let all = of_others.chain(of_one).collect();
    let of_web = spans("web", vec![span(1, 1, 0, (0, 100))]);
    real.send(vec![of_web], vec![logs("web", all)]).await;
    let mut found = 0;
    for page in 1..=12 {
        let path = format!("/trace/{}?tab=logs&page={page}", trace_hex(1));
        let page = real.site.get(&path).await.text();
        assert!(!page.contains("could not be read"), "{path}");
        found += (0..400)
            .filter(|number| page.contains(&format!("line-{number:03}.")))
            .count();
        if !page.contains("Next") {
            break;
        }
    }
    assert_eq!(found, 400);
    let path = format!("/trace/{}?span={}", trace_hex(1), id_hex(1));
    assert!(real.site.get(&path).await.text().contains("of-the-span"));
}

#[tokio::test]
async fn a_trace_of_log_records_alone_has_an_outline() {
    let (_, of_logs) = odd();
    let (real, whole) = both(Vec::new(), of_logs).await;
    for query in ["", "tab=logs", "tab=spans"] {
        assert_same(&real.site, &whole, query).await;
    }
}

#[tokio::test]
async fn a_large_trace_is_paged_the_same_way() {
    let real = Real::start().await;
    for piece in large(40, 50) {
        real.send(piece.resource_spans, Vec::new()).await;
    }
    let whole = whole_site(&real).await;
    for query in [
        "",
        "fold=open&from=700",
        "tab=spans&page=3",
        "tab=operations",
    ] {
        assert_same(&real.site, &whole, query).await;
    }
}

#[tokio::test]
async fn the_interface_has_the_tables_of_a_trace() {
    let (spans, logs) = odd();
    let (real, whole) = both(spans, logs).await;
    let own = format!("/api/v1/traces/{}", trace_hex(1));
    let answer = real
        .site
        .get(&format!("{own}/spans?sort=duration&limit=2"))
        .await;
    let answer = answer.json();
    assert_eq!(answer["total"], 11);
    assert_eq!(answer["matched"], 11);
    let first = &answer["spans"][0];
    assert_eq!(first["spanId"], id_hex(1));
    assert_eq!(first["durationNano"], (100 * MS).to_string());
    assert_eq!(answer["spans"][1]["spanId"], id_hex(2));
    assert_eq!(answer["spans"].as_array().unwrap().len(), 2);
    let answer = real.site.get(&format!("{own}/spans?q=status:error")).await;
    assert_eq!(answer.json()["matched"], 2);
    let answer = real
        .site
        .get(&format!("{own}/statistics?group=service"))
        .await;
    let groups = answer.json()["groups"].clone();
    let mut counts: Vec<_> = groups.as_array().unwrap().iter().collect();
    counts.sort_by_key(|group| group["value"].as_str().unwrap().to_owned());
    assert_eq!(
        (&counts[0]["value"], &counts[0]["spans"]),
        (&"stock".into(), &5.into())
    );
    assert_eq!(
        (&counts[1]["value"], &counts[1]["spans"]),
        (&"web".into(), &6.into())
    );
    // As of a trace that was read whole, but for how long it took.
    for rest in [
        "spans",
        "spans?sort=-self&offset=3",
        "statistics",
        "statistics?group=http.route&sort=count",
    ] {
        let of = async |site: &Site| {
            let mut answer = site.get(&format!("{own}/{rest}")).await.json();
            answer["coverage"].take();
            answer
        };
        assert_eq!(of(&real.site).await, of(&whole).await, "{rest}");
    }
    for wrong in [
        "spans?q=((",
        "spans?sort=colour",
        "statistics?sort=depth",
        "spans?limit=0",
    ] {
        let answer = real.site.get(&format!("{own}/{wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn a_trace_that_is_in_no_store_has_no_page() {
    let real = Real::start().await;
    let answer = real.site.get(&format!("/trace/{}", trace_hex(3))).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}
