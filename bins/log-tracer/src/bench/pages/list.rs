//! The pages that are asked for; one that is new is a line here.

use log_tracer_proto::v1::{GetTraceRequest, SearchTracesRequest};

use super::BenchError;
use crate::bench::questions::Client;

/// A page.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) name: &'static str,
    pub(super) path: String,
}

/// All of them, about a trace that is there.
pub(super) async fn all(client: &mut Client) -> Result<Vec<Page>, BenchError> {
    let (trace, span) = some_span(client).await?;
    let list = [
        ("overview", "/".to_owned()),
        ("overview of a day", "/?range=24h".to_owned()),
        ("service", "/service?name=checkout".to_owned()),
        ("traces", "/traces".to_owned()),
        ("traces with errors", "/traces?q=status%3Aerror".to_owned()),
        (
            "traces by duration",
            "/traces?q=service%3Apayment&order=longest".to_owned(),
        ),
        ("heat map", "/traces?view=heat".to_owned()),
        ("live traces", "/traces/live".to_owned()),
        ("compare", format!("/compare?a={trace}&b={trace}")),
        ("trace", format!("/trace/{trace}")),
        ("trace with a span", format!("/trace/{trace}?span={span}")),
        ("trace, spans", format!("/trace/{trace}?tab=spans")),
        (
            "trace, operations",
            format!("/trace/{trace}?tab=operations"),
        ),
        (
            "trace as a flame graph",
            format!("/trace/{trace}?tab=flame"),
        ),
        ("trace as a graph", format!("/trace/{trace}?tab=graph")),
        ("trace, logs", format!("/trace/{trace}?tab=logs")),
        ("logs", "/logs".to_owned()),
        ("logs with a common word", "/logs?q=order".to_owned()),
        ("logs of a severity", "/logs?level=error".to_owned()),
        (
            "logs with columns",
            "/logs?cols=app.order.id%2Cthread.name".to_owned(),
        ),
        ("patterns", "/logs?view=patterns".to_owned()),
        ("live logs", "/logs/live".to_owned()),
        ("map", "/map".to_owned()),
        ("map around one", "/map?focus=service%3Acheckout".to_owned()),
        ("pipeline", "/pipeline".to_owned()),
        ("interfaces", "/api".to_owned()),
    ];
    let pages = list.into_iter().map(|(name, path)| Page { name, path });
    Ok(pages.collect())
}

/// The ids of a checkout and of one of its spans, in hexadecimal digits.
async fn some_span(client: &mut Client) -> Result<(String, String), BenchError> {
    let none = || BenchError::Wrong("no checkout was found".to_owned());
    let request = SearchTracesRequest {
        query: "name:\"shop.Checkout/PlaceOrder\"".to_owned(),
        limit: 20,
        ..SearchTracesRequest::default()
    };
    let found = client.search_traces(request).await?.into_inner().traces;
    let trace_id = found.last().ok_or_else(none)?.trace_id.clone();
    let request = GetTraceRequest {
        trace_id: trace_id.clone(),
        ..GetTraceRequest::default()
    };
    let mut pieces = client.get_trace(request).await?.into_inner();
    while let Some(piece) = pieces.message().await? {
        let spans = piece.resource_spans.iter().flat_map(|group| {
            let scopes = group.scope_spans.iter();
            scopes.flat_map(|scope| &scope.spans)
        });
        if let Some(span) = spans.last() {
            return Ok((hex(&trace_id), hex(&span.span_id)));
        }
    }
    Err(none())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
