//! The choice of the second trace: the newest of the same operation.

use log_tracer_proto::v1::{SearchTracesRequest, ServiceInfo, TraceOrder, TraceSummary};
use serde::Serialize;

use super::Subject;
use crate::{
    app::App,
    clock,
    fault::Fault,
    lines::hex,
    pages::{trace, traces},
    params::Link,
    range::Range,
    search::CoverageView,
    units::DAY,
};

/// Traces that are offered.
const OFFERED_MAX: usize = 20;

/// Traces that are asked for: some of those that match do not begin with the operation.
const ASKED_MAX: u32 = 100;

/// How far back they are searched.
const RANGE: Range = Range::Last(DAY);

/// Traces to choose from.
#[derive(Debug, Serialize)]
pub(super) struct Choose {
    rows: Vec<traces::TraceRow>,
    search_href: String,
    coverage: CoverageView,
}

impl Choose {
    /// Searches for traces that begin as this one does. A trace without a span begins with nothing.
    pub(super) async fn new(
        app: &App,
        subject: &Subject,
        services: &[ServiceInfo],
    ) -> Result<Self, Fault> {
        let query = trace::filter(&subject.service, Some(&subject.name));
        let search = RANGE.write(Link::to("/traces").with("q", query.as_str()));
        if query.is_empty() {
            return Ok(Self {
                rows: Vec::new(),
                search_href: search.to_string(),
                coverage: CoverageView::default(),
            });
        }
        let now = clock::now();
        let found = app
            .ask
            .search_traces(SearchTracesRequest {
                query,
                range: Some(RANGE.bounds(now)),
                order: TraceOrder::Newest.into(),
                limit: ASKED_MAX,
                ..SearchTracesRequest::default()
            })
            .await?;
        let alike: Vec<TraceSummary> = found
            .traces
            .into_iter()
            .filter(|trace| {
                trace.root_service == subject.service
                    && trace.root_name == subject.name
                    && trace.trace_id != subject.place.as_slice()
            })
            .take(OFFERED_MAX)
            .collect();
        let own = hex(&subject.place);
        let rows = traces::rows_alone(&alike, services, now)
            .into_iter()
            .map(|row| {
                let link = Link::to("/compare").with("a", own.as_str());
                let href = link.with("b", row.id.as_str()).to_string();
                row.leading_to(href)
            })
            .collect();
        Ok(Self {
            rows,
            search_href: search.to_string(),
            coverage: CoverageView::new(found.coverage.as_ref()),
        })
    }
}
