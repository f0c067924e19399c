//! Where numbers lead: to the search that shows what they count.

use log_tracer_query::{Field, Intrinsic};

use crate::{
    graph::{Kind, Node},
    params::Link,
    range::Range,
    search::{service_term, term},
    units::duration_term,
};

/// The search for spans that match a query and took as long or longer, the longest trace first.
pub(crate) fn slower(traces: Link, query: &str, nanos: u64) -> Link {
    let slow = format!("duration>={}", duration_term(rounded_down(nanos)));
    let query = match query {
        "" => slow,
        query => format!("{query} {slow}"),
    };
    traces.with("q", query).with("order", "longest")
}

/// Three digits say what the page says, and a query that people can read finds all that is meant.
fn rounded_down(nanos: u64) -> u64 {
    let digits = nanos.checked_ilog10().unwrap_or(0);
    let unit = 10_u64.saturating_pow(digits.saturating_sub(2));
    nanos - nanos % unit
}

/// The page of a service, or the map around anything else.
pub(crate) fn node(node: &Node, range: Range) -> Link {
    match node.kind {
        Kind::Service => range.write(Link::to("/service").with("name", &*node.name)),
        _ => range.write(Link::to("/map").with("focus", node.param())),
    }
}

/// The spans of calls from one node to another; empty where no query tells them apart.
///
/// Of calls to a service they are those that the service received, from whomever: a span does not say who called. Of
/// others they are those of the caller that name the callee.
pub(crate) fn calls(caller: &Node, callee: &Node, range: Range) -> String {
    let named = |fields: &[&str], name: &str| {
        let terms: Option<Vec<String>> = fields
            .iter()
            .map(|field| term(&Field::Attribute((*field).to_owned()), name))
            .collect();
        terms.map(|terms| match terms.as_slice() {
            [one] => one.clone(),
            several => format!("({})", several.join(" OR ")),
        })
    };
    let callee_term = match callee.kind {
        Kind::Unknown => None,
        Kind::Service => {
            let service = term(&Field::Intrinsic(Intrinsic::Service), &callee.name);
            let query = service.map(|service| format!("{service} (kind:server OR kind:consumer)"));
            return search(query, range);
        }
        Kind::Database => named(&["db.system.name", "db.system"], &callee.name),
        Kind::Queue => match callee.name.split_once(' ') {
            Some((system, destination)) => {
                let both = [
                    named(&["messaging.system"], system),
                    named(
                        &["messaging.destination.name", "messaging.destination"],
                        destination,
                    ),
                ];
                let both: Option<Vec<String>> = both.into_iter().collect();
                both.map(|both| both.join(" "))
            }
            None => named(
                &[
                    "messaging.system",
                    "messaging.destination.name",
                    "messaging.destination",
                ],
                &callee.name,
            ),
        },
        Kind::Outside => named(&["peer.service", "server.address"], &callee.name),
    };
    let query = callee_term.map(|callee| match caller.kind {
        Kind::Service => format!("{} {callee}", service_term(&caller.name)),
        _ => callee,
    });
    search(query, range)
}

fn search(query: Option<String>, range: Range) -> String {
    query.map_or_else(String::new, |query| {
        range
            .write(Link::to("/traces").with("q", query))
            .to_string()
    })
}

#[cfg(test)]
mod tests {
    use log_tracer_query::parse;
    use proptest::prelude::*;

    use super::*;
    use crate::params::Params;

    fn query(caller: &Node, callee: &Node) -> String {
        let link = calls(caller, callee, Range::DEFAULT);
        let raw = link.split_once('?').map_or("", |(_, raw)| raw).to_owned();
        Params::parse(&raw).unwrap().text("q")
    }

    #[test]
    fn calls_are_found_by_what_their_spans_say() {
        let cart = Node::service("cart");
        assert_eq!(
            query(&cart, &Node::new(Kind::Database, "redis")),
            "service:\"cart\" (db.system.name:\"redis\" OR db.system:\"redis\")"
        );
        assert_eq!(
            query(&cart, &Node::new(Kind::Queue, "kafka orders")),
            "service:\"cart\" messaging.system:\"kafka\" (messaging.destination.name:\"orders\" OR \
             messaging.destination:\"orders\")"
        );
        assert_eq!(
            query(&Node::new(Kind::Unknown, ""), &cart),
            "service:\"cart\" (kind:server OR kind:consumer)"
        );
        assert_eq!(query(&cart, &Node::new(Kind::Unknown, "")), "");
    }

    #[test]
    fn slow_spans_are_those_of_the_query_that_took_as_long() {
        let link = slower(Link::to("/traces"), "name:a", 1_500_000).to_string();
        assert_eq!(
            link,
            "/traces?q=name%3Aa+duration%3E%3D1500us&order=longest"
        );
        let rounded = slower(Link::to("/traces"), "", 521_585_606).to_string();
        assert!(rounded.contains("duration%3E%3D521ms"), "{rounded}");
        assert_eq!([0, 7, 999, 1_009].map(rounded_down), [0, 7, 999, 1_000]);
    }

    proptest! {
        #[test]
        fn the_query_of_any_names_can_be_read(a in "\\PC{0,20}", b in "\\PC{0,20}", kind in 0_usize..5) {
            let kind = [Kind::Unknown, Kind::Service, Kind::Outside, Kind::Queue, Kind::Database][kind];
            let query = query(&Node::service(&a), &Node::new(kind, b));
            prop_assert!(parse(&query).is_ok(), "{}", query);
        }
    }
}
