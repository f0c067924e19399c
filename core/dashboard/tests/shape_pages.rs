//! Flame graph and graph of a trace: the pages of their tables, where the graph begins, and what is not told by colour alone.

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
    otlp::{span, spans, trace_hex},
};
use log_tracer_proto::{otlp::trace::Span, v1::GetTraceResponse};

fn address(view: &str) -> String {
    format!("/trace/{}?tab={view}", trace_hex(1))
}

async fn site(list: Vec<Span>) -> Site {
    let canned = Canned {
        pieces: vec![GetTraceResponse {
            resource_spans: vec![spans("web", list)],
            ..GetTraceResponse::default()
        }],
        ..Canned::default()
    };
    Site::start(canned.serve().await).await
}

/// A span with the number of its parent, 0 for none.
fn named(number: u8, parent: u8, name: &str) -> Span {
    Span {
        name: name.to_owned(),
        ..span(1, number, parent, (0, 1000 - u64::from(number)))
    }
}

/// The paths or boxes of a table, by the numbers in their names, and the address of a neighbour of the page.
fn numbered_rows(page: &str, rel: &str) -> (Vec<u64>, Option<String>) {
    let table = page.split("class=\"red paths\"").nth(1).unwrap();
    let table = table.split("</table>").next().unwrap();
    let rows = table.split("<th scope=\"row\">").skip(1).map(|row| {
        let name = row.split("step-").nth(1).unwrap();
        let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    });
    let link = page
        .split("<a ")
        .find(|link| link.contains(&format!("rel=\"{rel}\"")))
        .map(|link| {
            let href = link.split("href=\"").nth(1).unwrap();
            let href = href.split(['"', '#']).next().unwrap();
            format!("/trace/{}{}", trace_hex(1), href.replace("&amp;", "&"))
        });
    (rows.collect(), link)
}

#[tokio::test]
async fn a_long_filter_makes_short_pages_and_no_row_is_lost_on_the_way_back() {
    let steps =
        (1..=60).map(|number| named(number, u8::from(number > 1), &format!("step-{number}")));
    let site = site(steps.collect()).await;
    let filter = format!("-name:{}", "x".repeat(700));
    // Cut by their number alone they would be so many.
    for (tab, uncut) in [("flame", 2), ("graph", 5)] {
        let mut on = Vec::new();
        let mut here = format!("{}&f={filter}", address(tab));
        let mut pages = 1;
        loop {
            let (rows, next) = numbered_rows(&site.page(&here).await, "next");
            on.extend(rows);
            let Some(next) = next else { break };
            (here, pages) = (next, pages + 1);
        }
        let mut sorted = on.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=60).collect::<Vec<u64>>(), "{tab}");
        assert!(pages > uncut, "{tab}: {pages} pages");
        let mut back: Vec<u64> = Vec::new();
        loop {
            let (rows, previous) = numbered_rows(&site.page(&here).await, "prev");
            back.splice(0..0, rows);
            let Some(previous) = previous else { break };
            here = previous;
        }
        assert_eq!(back, on, "{tab}");
    }
}

#[tokio::test]
async fn the_graph_begins_in_its_corner_with_the_root() {
    // The root takes the least time, so that it is not the first of the boxes.
    let mut list = vec![Span {
        end_time_unix_nano: 0,
        ..named(1, 0, "root")
    }];
    list.extend((2..=30).map(|number| named(number, 1, &format!("step-{number}"))));
    let page = site(list).await.page(&address("graph")).await;
    let boxes: Vec<(i64, i64, bool)> = page
        .split("<a class=\"node")
        .skip(1)
        .map(|node| {
            let own = node.split("</a>").next().unwrap();
            let number = |key: &str| {
                let value = own.split("<svg x=\"").nth(1).unwrap();
                let value = match key {
                    "x" => value.split('"').next(),
                    _ => value.split("y=\"").nth(1).unwrap().split('"').next(),
                };
                value.unwrap().parse().unwrap()
            };
            (number("x"), number("y"), own.contains(">root</text>"))
        })
        .collect();
    assert_eq!(boxes.len(), 30);
    let root = boxes.iter().find(|(.., is_root)| *is_root).unwrap();
    assert!(root.0 < 30 && root.1 < 30, "{root:?}");
    assert!(boxes.iter().all(|(x, y, _)| *x >= root.0 && *y >= root.1));
}

#[tokio::test]
async fn what_a_filter_fades_has_another_outline_and_the_key_shows_it() {
    let list = vec![named(1, 0, "root"), named(2, 1, "step-2")];
    let site = site(list).await;
    for (tab, rule) in [
        ("flame", ".flame .dim .f {"),
        ("graph", ".map.shape .node.dim .box {"),
    ] {
        let page = site.page(&format!("{}&f=name:step-2", address(tab))).await;
        assert!(page.contains(" dim\""), "{tab}");
        assert!(page.contains("class=\"dimkey\""), "{tab}");
        let sheet = page.split("rel=\"stylesheet\" href=\"").nth(1).unwrap();
        let css = site.get(sheet.split('"').next().unwrap()).await.text();
        let own = css.split(rule).nth(1).unwrap().split('}').next().unwrap();
        assert!(own.contains("stroke-dasharray"), "{tab}: {own}");
    }
}
