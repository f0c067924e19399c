//! What stands above the waterfall: facts, the minimap, the critical path and the services.

use serde::Serialize;

use super::{Scene, State, View};
use crate::{
    charts::{percent, position},
    clock::Moment,
    lines::{hex, trace_href},
    palette::Palette,
    trace::{
        critical::Segment,
        marks::{Mark, marks},
        minimap::{self, Line},
        model::Trace,
        visible::Window,
    },
    units::{self, clip, count, duration, plural},
};

/// Stretches of the critical path that are drawn.
const STRETCHES_MAX: usize = 240;

/// Services that are listed.
const SERVICES_MAX: usize = 24;

/// A trace at a glance.
#[derive(Debug, Serialize)]
pub(crate) struct Overview {
    id: String,
    pub(crate) title: String,
    service: String,
    colour: usize,
    name: String,
    status: &'static str,
    status_message: String,
    start: Moment,
    duration: String,
    /// Without one there is nothing to filter, to compare or to look for.
    has_spans: bool,
    spans: String,
    errors: String,
    depth: String,
    logs: String,
    log_count: String,
    services: Vec<ServiceView>,
    more_services: usize,
    /// What is odd about the trace, in sentences.
    oddities: Vec<String>,
    lines: Vec<LineView>,
    /// Height of the minimap in its own units.
    height: usize,
    /// The part of the minimap that the window of rows shows, when that is not all.
    window: Option<WindowView>,
    path: Vec<Stretch>,
    length: String,
    /// The first error, to go to.
    first_error: String,
    search: String,
    json: String,
    logs_json: String,
    compare: String,
}

#[derive(Debug, Serialize)]
struct ServiceView {
    name: String,
    colour: usize,
    spans: String,
    errors: String,
    /// Its share of the critical path.
    share: String,
    /// Shows only its spans.
    href: String,
}

#[derive(Debug, Serialize)]
struct LineView {
    y: usize,
    bars: Vec<BarView>,
}

#[derive(Debug, Serialize)]
struct BarView {
    x: String,
    width: String,
    colour: usize,
    error: bool,
}

#[derive(Debug, Serialize)]
struct WindowView {
    x: String,
    width: String,
    y: String,
    height: String,
}

#[derive(Debug, Serialize)]
struct Stretch {
    x: String,
    width: String,
    colour: usize,
    title: String,
}

/// The height of a line of the minimap.
const LINE_HEIGHT: usize = 4;

impl Overview {
    pub(crate) fn new(scene: &Scene<'_>) -> Self {
        let Scene {
            trace,
            state,
            palette,
            errors,
            path,
            ..
        } = *scene;
        let id = hex(&state.id);
        let root = trace.root();
        let name = root.map_or("(logs without a span)", |item| trace.name(item));
        let service = root.map_or_else(
            || {
                trace
                    .processes
                    .first()
                    .map_or("", |process| &process.service)
            },
            |item| trace.service(item.process),
        );
        let length = trace.end.saturating_sub(trace.start);
        let error_count = errors.iter().filter(|error| **error).count() as u64;
        let lines = minimap::minimap(trace);
        let name = super::super::traces::name(name);
        let (services, more_services) = services(trace, state, palette, path);
        Self {
            title: format!("{} {}", clip(service, 40), clip(&name, 80)),
            service: clip(service, 60),
            colour: palette.colour(service),
            name,
            status: root.map_or("unset", |item| {
                crate::trace::fields::status_word(item.status)
            }),
            status_message: root
                .and_then(|item| trace.whole(item)?.span.status.as_ref())
                .map_or_else(String::new, |status| clip(&status.message, 300)),
            start: Moment::new(trace.start),
            duration: duration(length),
            has_spans: !trace.spans.is_empty(),
            spans: count(trace.spans.len() as u64),
            errors: if error_count == 0 {
                String::new()
            } else {
                plural(error_count, "error", "errors")
            },
            depth: count(minimap::depth(trace) as u64),
            logs: plural(trace.logs.len() as u64, "log record", "log records"),
            log_count: count(trace.logs.len() as u64),
            services,
            more_services,
            oddities: oddities(trace),
            height: lines.len() * LINE_HEIGHT,
            window: scene.window.and_then(|window| window_view(scene, window)),
            lines: line_views(trace, palette, &lines),
            path: stretches(trace, palette, path),
            length: duration(length),
            first_error: first_error(trace, state, errors),
            search: format!(
                "/traces?{}",
                related(service, root.map(|item| trace.name(item)))
            ),
            json: format!("/trace/{id}.json"),
            logs_json: format!("/trace/{id}/logs.json"),
            compare: format!("/compare?a={id}"),
            id,
        }
    }
}

impl Overview {
    /// Calls the trace by another id than that of its address.
    pub(crate) fn call(&mut self, id: &str) {
        id.clone_into(&mut self.id);
    }
}

/// A search for traces like this one.
fn related(service: &str, root_name: Option<&str>) -> String {
    use log_tracer_query::{Field, Intrinsic};
    let mut terms = vec![crate::search::service_term(service)];
    terms.extend(
        root_name.and_then(|name| crate::search::term(&Field::Intrinsic(Intrinsic::Name), name)),
    );
    let link = crate::params::Link::to("")
        .with("q", terms.join(" ").trim())
        .with("range", "24h");
    link.to_string().trim_start_matches('?').to_owned()
}

/// The services with the most spans first, and how many more there are.
fn services(
    trace: &Trace,
    state: &State,
    palette: &Palette,
    path: &[Segment],
) -> (Vec<ServiceView>, usize) {
    let length: u64 = path.iter().map(|segment| segment.end - segment.start).sum();
    let (names, places) = trace.services();
    let mut services: Vec<(&str, u64, u64, u64)> =
        names.into_iter().map(|name| (name, 0, 0, 0)).collect();
    let mut add = |process: usize, spans: u64, errors: u64, nanos: u64| {
        let place = places.get(process);
        if let Some(service) = place.and_then(|at| services.get_mut(*at)) {
            service.1 += spans;
            service.2 += errors;
            service.3 += nanos;
        }
    };
    for item in &trace.spans {
        add(item.process, 1, u64::from(item.is_error()), 0);
    }
    for segment in path {
        if let Some(item) = trace.spans.get(segment.node) {
            add(item.process, 0, 0, segment.end - segment.start);
        }
    }
    // Some send log records only.
    services.retain(|(_, spans, ..)| *spans > 0);
    let more = services.len().saturating_sub(SERVICES_MAX);
    services.sort_by_key(|(name, spans, ..)| (std::cmp::Reverse(*spans), *name));
    let views = services
        .into_iter()
        .take(SERVICES_MAX)
        .map(|(name, spans, errors, nanos)| {
            // The filter goes with the view, and with the timeline where the view takes none.
            let view = if state.view.takes_filter() {
                state.view
            } else {
                View::Timeline
            };
            let filter = State {
                filter: crate::search::service_term(name),
                ..state.seen_as(view)
            };
            ServiceView {
                name: clip(name, 40),
                colour: palette.colour(name),
                spans: units::compact(spans),
                errors: if errors == 0 {
                    String::new()
                } else {
                    plural(errors, "error", "errors")
                },
                share: if nanos == 0 {
                    String::new()
                } else {
                    units::percent(nanos, length)
                },
                href: filter.link().to_string(),
            }
        })
        .collect();
    (views, more)
}

/// Counts of what is odd, each in a sentence.
fn oddities(trace: &Trace) -> Vec<String> {
    if trace.spans.is_empty() {
        return vec![
            "Only log records carry this trace's id: its spans were not sent, or are not kept any more"
                .to_owned(),
        ];
    }
    let all: Vec<Mark> = trace
        .rows
        .iter()
        .filter_map(|row| Some(marks(trace, row, trace.span(row)?)))
        .flatten()
        .collect();
    let count_of = |is: fn(&Mark) -> bool| all.iter().filter(|mark| is(mark)).count() as u64;
    let roots = trace
        .rows
        .iter()
        .filter(|row| row.root == Some(crate::trace::tree::Root::First))
        .count() as u64;
    let copies: u64 = trace
        .spans
        .iter()
        .map(|item| u64::from(item.copies) - 1)
        .sum();
    let sentence =
        |number: u64, one: &str, many: &str| (number > 0).then(|| plural(number, one, many));
    [
        sentence(
            count_of(|mark| matches!(mark, Mark::MissingParent)),
            "span names a parent that is not here",
            "spans name a parent that is not here",
        ),
        sentence(
            count_of(|mark| matches!(mark, Mark::Skew(_))),
            "span starts before its parent in another process: clocks differ",
            "spans start before their parents in other processes: clocks differ",
        ),
        sentence(
            count_of(|mark| matches!(mark, Mark::Cycle)),
            "cycle of parents was cut",
            "cycles of parents were cut",
        ),
        sentence(
            count_of(|mark| matches!(mark, Mark::Backwards(_))),
            "span ends before it starts",
            "spans end before they start",
        ),
        sentence(
            count_of(|mark| matches!(mark, Mark::NoStart | Mark::NoEnd)),
            "span lacks a start or an end time",
            "spans lack a start or an end time",
        ),
        sentence(
            copies + trace.duplicate_spans,
            "exact copy of a span came and is left out",
            "exact copies of spans came and are left out",
        ),
        sentence(
            count_of(|mark| matches!(mark, Mark::SharedId)),
            "span shares its id",
            "spans share their ids",
        ),
        (roots > 1).then(|| {
            format!(
                "{} spans have no parent: the trace has several roots",
                count(roots)
            )
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn line_views(trace: &Trace, palette: &Palette, lines: &[Line]) -> Vec<LineView> {
    let length = trace.end.saturating_sub(trace.start) as f64;
    lines
        .iter()
        .enumerate()
        .map(|(at, line)| LineView {
            y: at * LINE_HEIGHT,
            bars: line
                .bars
                .iter()
                .map(|bar| BarView {
                    x: position(bar.start.min(trace.end), trace.start, trace.end),
                    width: percent(
                        (bar.end.saturating_sub(bar.start) as f64).max(length / 400.0),
                        length,
                    ),
                    colour: palette.colour(trace.service(bar.process)),
                    error: bar.error,
                })
                .collect(),
        })
        .collect()
}

/// Where the shown rows and the shown time are among all, as the minimap has them.
fn window_view(scene: &Scene<'_>, window: &Window) -> Option<WindowView> {
    let Scene { trace, axis, .. } = scene;
    let some_rows = window.shown.len() < window.total;
    if !some_rows && !axis.is_part() {
        return None;
    }
    let ends = || Some((window.shown.first()?.row, window.shown.last()?.row));
    let (first, last) = ends()
        .filter(|_| some_rows)
        .unwrap_or((0, trace.rows.len().saturating_sub(1)));
    let rows = trace.rows.len() as f64;
    let length = trace.end.saturating_sub(trace.start) as f64;
    Some(WindowView {
        x: position(axis.start, trace.start, trace.end),
        // A trace without a length is shown whole.
        width: if length > 0.0 {
            percent(axis.length() as f64, length)
        } else {
            "100".to_owned()
        },
        y: percent(first as f64, rows),
        height: percent((last + 1 - first) as f64, rows),
    })
}

/// The critical path as stretches of one service each.
fn stretches(trace: &Trace, palette: &Palette, path: &[Segment]) -> Vec<Stretch> {
    let mut stretches: Vec<(usize, u64, u64)> = Vec::new();
    for segment in path {
        let process = trace.spans.get(segment.node).map_or(0, |item| item.process);
        match stretches.last_mut() {
            Some((last, _, end)) if trace.service(*last) == trace.service(process) => {
                *end = segment.end
            }
            _ => stretches.push((process, segment.start, segment.end)),
        }
    }
    // Of very many, the longest.
    if stretches.len() > STRETCHES_MAX {
        stretches.sort_by_key(|(_, start, end)| std::cmp::Reverse(end - start));
        stretches.truncate(STRETCHES_MAX);
    }
    let length = trace.end.saturating_sub(trace.start) as f64;
    stretches
        .into_iter()
        .map(|(process, start, end)| Stretch {
            x: position(start, trace.start, trace.end),
            width: percent((end - start) as f64, length),
            colour: palette.colour(trace.service(process)),
            title: format!(
                "{} {}",
                clip(trace.service(process), 40),
                duration(end - start)
            ),
        })
        .collect()
}

fn first_error(trace: &Trace, state: &State, errors: &[bool]) -> String {
    let first = errors
        .iter()
        .position(|error| *error)
        .and_then(|at| trace.nodes.get(trace.rows.get(at)?.node)?.id);
    first.map_or_else(String::new, |id| trace_href(&hex(&state.id), &hex(&id)))
}
