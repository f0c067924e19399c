//! A trace as far as a comparison needs it.

use std::collections::HashSet;

use log_tracer_proto::v1::Coverage;

use super::{Id, blocking};
use crate::{
    app::App,
    fault::Fault,
    trace::{
        model::Trace,
        question::Question,
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
    let question = Question::default();
    let answer = app.ask.outline(place, &question).await?;
    let upload = app.ask.upload(&place);
    blocking(move || {
        let mut subject = Subject::new(place, &answer.trace(&question));
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
        let root = trace.root();
        let shape = Shape::new(trace);
        let (_, of_process) = trace.services();
        let services: HashSet<Option<&usize>> = trace
            .spans
            .iter()
            .map(|item| of_process.get(item.process))
            .collect();
        Self {
            place,
            trace_id: place,
            file: String::new(),
            service: root.map_or_else(String::new, |item| trace.service(item.process).to_owned()),
            name: root.map_or_else(String::new, |item| trace.name(item).to_owned()),
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
