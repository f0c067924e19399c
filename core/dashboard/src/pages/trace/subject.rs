//! A trace on its way to its page: first what the page shows of it is found out, then that is read whole, then the page is
//! written.

use http::StatusCode;
use log_tracer_proto::v1::GetTraceResponse;

use super::{Scene, State, filter::Sieve, logs, operations, span, state::View, timeline, view};
use crate::{
    fault::Fault,
    palette::Palette,
    trace::{
        critical::Segment,
        model::{Item, Trace},
        outline::{Lacking, Wanted},
        visible::Window,
        zoom::Axis,
    },
    uploads::Upload,
    views::{Shell, Views},
    visitor::Visitor,
};

/// What a page needs to know beside its trace.
#[derive(Debug)]
pub(crate) struct Around {
    /// All services, for their colours.
    pub(crate) known: Vec<String>,
    /// Rows of the timeline on one page at most.
    pub(crate) rows_max: usize,
    /// Set when the trace comes from a file.
    pub(crate) upload: Option<Upload>,
}

/// A trace, how it is looked at, and what every view is made from.
#[derive(Debug)]
pub(crate) struct Subject {
    trace: Trace,
    state: State,
    around: Around,
    palette: Palette,
    errors: Vec<bool>,
    path: Vec<Segment>,
    sieve: Sieve,
    selected: Option<usize>,
    window: Option<Window>,
    wanted: Wanted,
}

impl Subject {
    /// `trace` has been asked what the state asks.
    pub(crate) fn new(trace: Trace, state: State, around: Around) -> Self {
        let palette = Palette::new(
            around.known.iter().map(String::as_str),
            trace
                .processes
                .iter()
                .map(|process| process.service.as_str()),
        );
        let mut subject = Self {
            palette,
            errors: trace.errors(),
            path: trace.critical_path(),
            sieve: Sieve::new(&trace, &state),
            selected: state.span.and_then(|id| trace.row_of(id)),
            window: None,
            wanted: Wanted::default(),
            trace,
            state,
            around,
        };
        if subject.state.view == View::Timeline {
            subject.window = Some(timeline::window(&subject.scene()));
        }
        subject.wanted = wanted(&subject.scene());
        subject
    }

    fn scene(&self) -> Scene<'_> {
        let trace = &self.trace;
        Scene {
            trace,
            state: &self.state,
            palette: &self.palette,
            errors: &self.errors,
            path: &self.path,
            window: self.window.as_ref(),
            axis: Axis::new(trace.start, trace.end, self.state.zoom),
            sieve: &self.sieve,
            selected: self.selected,
            rows_max: self.around.rows_max,
        }
    }

    /// What has to be read whole for the page, and is not there.
    pub(crate) fn lacking(&self) -> Vec<Lacking> {
        self.trace.lacking(&self.wanted)
    }

    /// With what was read whole.
    pub(crate) fn filled(mut self, pieces: Vec<GetTraceResponse>) -> Self {
        self.trace.fill(&self.wanted, pieces);
        self
    }

    /// The page.
    pub(crate) fn render(
        &self,
        views: &Views,
        visitor: &Visitor,
    ) -> Result<(StatusCode, String), Fault> {
        let (status, mut view) = view(&self.scene());
        if let Some(upload) = &self.around.upload {
            view.comes_from(upload);
        }
        let shell = Shell {
            title: &view.overview.title,
            section: "traces",
            refresh_s: None,
        };
        let page = views.page("trace.html", &shell, visitor, &view)?;
        Ok((status, page))
    }
}

/// What a page shows that an outline does not have.
fn wanted(scene: &Scene<'_>) -> Wanted {
    let Scene { trace, state, .. } = *scene;
    let mut wanted = Wanted::default();
    let node = |row: Option<usize>| Some(trace.rows.get(row?)?.node);
    // The message of its status stands above all views.
    wanted.spans.extend(node(trace.main));
    if let Some(selected) = node(scene.selected) {
        wanted.spans.push(selected);
        let item = trace.spans.get(selected);
        let logs = item.map(|item| span::logs_shown(trace, item));
        wanted.logs.extend(logs.unwrap_or_default());
    }
    match state.view {
        View::Timeline => {
            let shown = scene.window.map_or(&[][..], |window| &window.shown);
            for row in shown.iter().filter_map(|shown| trace.rows.get(shown.row)) {
                match trace.item(row) {
                    Some(Item::Span(_)) => wanted.events.push(row.node),
                    Some(Item::Log(_)) => {
                        wanted.logs.extend(row.node.checked_sub(trace.spans.len()));
                    }
                    None => {}
                }
            }
        }
        View::Operations => wanted.spans.extend(operations::samples(trace)),
        View::Logs => wanted.logs.extend(logs::shown(trace, state)),
        View::Spans | View::Flame | View::Graph => {}
    }
    for places in [&mut wanted.spans, &mut wanted.logs, &mut wanted.events] {
        places.sort_unstable();
        places.dedup();
    }
    wanted
}
