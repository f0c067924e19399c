//! A trace as far as a comparison needs it.

use log_tracer_proto::v1::Coverage;

use super::{Id, blocking};
use crate::{
    app::App,
    fault::Fault,
    trace::{
        model::{SpanItem, Trace},
        shape::{Shape, Sums},
    },
};

/// A trace without its spans.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Where it is looked at.
    pub(crate) place: Id,
    /// The id that it has; differs from the place when it comes from a file.
    pub(crate) trace_id: Id,
    /// The file that it comes from; empty when it is stored.
    pub(crate) file: String,
    /// Those of its main root; empty without a span.
    pub(crate) service: String,
    pub(crate) name: String,
    /// Nanoseconds since 1970.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) logs: u64,
    pub(crate) services: u64,
    pub(crate) coverage: Coverage,
    pub(crate) shape: Shape,
    /// The sums of all spans.
    pub(crate) whole: Sums,
}

/// Reads a trace, for which the caller holds room.
pub(super) async fn subject(app: &App, place: Id) -> Result<Subject, Fault> {
    let pieces = app.ask.trace(place).await?;
    let upload = app.ask.upload(&place);
    blocking(move || {
        let mut subject = Subject::new(place, &Trace::new(pieces));
        if let Some(upload) = upload {
            subject.trace_id = upload.trace_id;
            subject.file = upload.file;
        }
        subject
    })
    .await
}

impl Subject {
    fn new(place: Id, trace: &Trace) -> Self {
        let root: Option<&SpanItem> = trace
            .main
            .and_then(|main| trace.rows.get(main))
            .and_then(|row| trace.span(row));
        let shape = Shape::new(trace);
        let mut services: Vec<&str> = trace
            .spans
            .iter()
            .map(|item| trace.service(item.process))
            .collect();
        services.sort_unstable();
        services.dedup();
        Self {
            place,
            trace_id: place,
            file: String::new(),
            service: root.map_or_else(String::new, |item| trace.service(item.process).to_owned()),
            name: root.map_or_else(String::new, |item| item.span.name.clone()),
            start: trace.start,
            end: trace.end,
            logs: trace.logs.len() as u64,
            services: services.len() as u64,
            coverage: trace.coverage.clone(),
            whole: shape.whole(),
            shape,
        }
    }

    /// Nanoseconds from the first start to the last end.
    pub(crate) fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}
