//! `log-tracer graph`: which service calls which.

use std::{fmt::Write, time::Duration};

use log_tracer_proto::v1::{
    GraphEdge, GraphNode, NodeKind, ServiceGraphRequest, ServiceGraphResponse,
};
use serde_json::json;

use super::{
    Failure, Server, ago, complain, print,
    services::{counted, seconds_since},
    since,
    table::{QUANTILES, durations, rate, share, table},
    warn_if_partial, within,
};
use crate::text;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Columns for a person
    Table,
    /// A graph for Graphviz
    Dot,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  log-tracer graph --since 15m
  log-tracer graph --format dot | dot -Tsvg > graph.svg
  log-tracer graph --json | jq .")]
pub(in crate::cli) struct Options {
    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::Table, conflicts_with = "json")]
    format: Format,
    /// Calls of the last 90s, 15m, 6h or 2d; counted by whole minutes
    #[arg(long, value_name = "TIME", value_parser = ago, default_value = "1h")]
    since: Duration,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let server = options.server.client().await?;
    let mut client = server.service();
    let request = ServiceGraphRequest {
        range: since(Some(options.since)),
        quantiles: QUANTILES.to_vec(),
        ..ServiceGraphRequest::default()
    };
    let found = within(client.service_graph(request)).await?.into_inner();
    let seconds = seconds_since(found.range, options.since);
    let text = match (options.json, options.format) {
        (true, _) => found
            .edges
            .iter()
            .map(|edge| object(edge, seconds))
            .collect(),
        (false, Format::Table) => lines(&found.edges, seconds),
        (false, Format::Dot) => dot(&found.edges, seconds),
    };
    print(&text)?;
    explain(&found);
    warn_if_partial(&found.coverage.unwrap_or_default());
    Ok(())
}

/// Says what the edges do not show.
fn explain(found: &ServiceGraphResponse) {
    let is_unknown = |edge: &&GraphEdge| kind(edge.caller.as_ref()) == NodeKind::Unknown;
    let unknown = found.edges.iter().filter(is_unknown);
    let unknown: u64 = unknown
        .filter_map(|edge| edge.calls.as_ref())
        .map(|calls| calls.count)
        .sum();
    if unknown > 0 {
        complain(&format!("the caller of {unknown} calls is not known"));
    }
    if found.unlisted > 0 {
        complain(&format!(
            "{} calls were too many to be put together one by one: some of them may be of another caller or callee",
            found.unlisted
        ));
    }
}

fn kind(node: Option<&GraphNode>) -> NodeKind {
    node.map_or(NodeKind::Unknown, GraphNode::kind)
}

fn kind_name(node: Option<&GraphNode>) -> &'static str {
    match kind(node) {
        NodeKind::Unknown => "unknown",
        NodeKind::Service => "service",
        NodeKind::Database => "database",
        NodeKind::Queue => "queue",
        NodeKind::Outside => "outside",
    }
}

fn name(node: Option<&GraphNode>) -> String {
    let name = node.map_or("", |node| node.name.as_str());
    match kind(node) {
        NodeKind::Unknown => "(unknown)".to_owned(),
        NodeKind::Service => text::line(name),
        _ => format!("{} [{}]", text::line(name), kind_name(node)),
    }
}

fn lines(edges: &[GraphEdge], seconds: f64) -> String {
    let head = [
        "caller", "callee", "calls", "a second", "errors", "p50", "p95", "p99",
    ];
    let rows: Vec<Vec<String>> = edges
        .iter()
        .map(|edge| {
            let calls = edge.calls.clone().unwrap_or_default();
            let cells = [
                name(edge.caller.as_ref()),
                name(edge.callee.as_ref()),
                calls.count.to_string(),
                rate(calls.count, seconds),
                share(calls.errors, calls.count),
            ];
            cells
                .into_iter()
                .chain(durations(&calls.quantiles_nano))
                .collect()
        })
        .collect();
    table(2, &head, &rows)
}

fn object(edge: &GraphEdge, seconds: f64) -> String {
    let node = |node: Option<&GraphNode>| {
        json!({
            "kind": kind_name(node),
            "name": node.map_or("", |node| node.name.as_str()),
        })
    };
    let mut object = counted(&edge.calls.clone().unwrap_or_default(), seconds);
    if let Some(object) = object.as_object_mut() {
        object.insert("caller".to_owned(), node(edge.caller.as_ref()));
        object.insert("callee".to_owned(), node(edge.callee.as_ref()));
    }
    format!("{object}\n")
}

/// In the language of Graphviz. A name can have any character.
fn dot(edges: &[GraphEdge], seconds: f64) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let id = |node: Option<&GraphNode>| {
        let name = node.map_or("", |node| node.name.as_str());
        format!("\"{}:{}\"", kind_name(node), quoted(&text::line(name)))
    };
    let shape = |node: Option<&GraphNode>| match kind(node) {
        NodeKind::Unknown => "plaintext",
        NodeKind::Service => "box",
        NodeKind::Database => "cylinder",
        NodeKind::Queue => "cds",
        NodeKind::Outside => "ellipse",
    };
    let label = |node: Option<&GraphNode>| match kind(node) {
        NodeKind::Unknown => "(unknown)".to_owned(),
        _ => quoted(&text::line(node.map_or("", |node| node.name.as_str()))),
    };
    let ends = edges
        .iter()
        .flat_map(|edge| [edge.caller.as_ref(), edge.callee.as_ref()]);
    let nodes: std::collections::BTreeMap<String, Option<&GraphNode>> =
        ends.map(|node| (id(node), node)).collect();
    let mut text = "digraph services {\n  rankdir=LR;\n".to_owned();
    for (id, node) in nodes {
        // A write to a string cannot fail.
        let _ = writeln!(
            text,
            "  {id} [label=\"{}\", shape={}];",
            label(node),
            shape(node)
        );
    }
    for edge in edges {
        let calls = edge.calls.clone().unwrap_or_default();
        let (from, to) = (id(edge.caller.as_ref()), id(edge.callee.as_ref()));
        let p99 = durations(&calls.quantiles_nano).last().unwrap_or_default();
        let _ = writeln!(
            text,
            "  {from} -> {to} [label=\"{} a second\\n{} errors\\np99 {p99}\"];",
            rate(calls.count, seconds),
            share(calls.errors, calls.count),
        );
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::v1::Rate;

    use super::*;

    fn node(kind: NodeKind, name: &str) -> Option<GraphNode> {
        Some(GraphNode {
            kind: kind.into(),
            name: name.to_owned(),
        })
    }

    fn edge(caller: Option<GraphNode>, callee: Option<GraphNode>) -> GraphEdge {
        GraphEdge {
            caller,
            callee,
            calls: Some(Rate {
                count: 120,
                errors: 30,
                quantiles_nano: vec![1_000_000, 2_000_000, 3_000_000],
                ..Rate::default()
            }),
        }
    }

    #[test]
    fn a_graph_for_graphviz_quotes_names_and_draws_databases_as_such() {
        let cart = node(NodeKind::Service, "ca\"rt\\");
        let text = dot(&[edge(cart, node(NodeKind::Database, "redis"))], 60.0);
        assert!(
            text.contains(r#""service:ca\"rt\\" [label="ca\"rt\\", shape=box];"#),
            "{text}"
        );
        assert!(text.contains(r#""database:redis" [label="redis", shape=cylinder];"#));
        assert!(text.contains(r#"-> "database:redis" [label="2.00 a second\n25.00 % errors"#));
        assert!(text.starts_with("digraph services {") && text.ends_with("}\n"));
    }

    #[test]
    fn a_table_of_edges_names_the_kind_of_what_is_no_service() {
        let edges = [
            edge(None, node(NodeKind::Service, "cart")),
            edge(
                node(NodeKind::Service, "cart"),
                node(NodeKind::Queue, "kafka orders"),
            ),
        ];
        let text = lines(&edges, 60.0);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("(unknown)  cart"), "{text}");
        assert!(lines[2].contains("kafka orders [queue]"), "{text}");
        assert_eq!(lines[0].split_whitespace().count(), 9);
    }
}
