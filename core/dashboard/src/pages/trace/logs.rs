//! The log records of a trace as a list: by time, narrowed by severity and by a query, page by page.

use std::collections::{HashMap, HashSet};

use log_tracer_query::{Query, parse};
use serde::Serialize;

use super::{
    Scene, State,
    filter::{self, fields},
    state::View,
};
use crate::{
    fault::Fault,
    lines::{LogLine, Origin, Sender, hex},
    pages::{logs::level, traces::name},
    params::Params,
    search::{self, Choice, Edit, Problem},
    sorting::{Pager, Pages},
    trace::model::{LogItem, Trace},
    units::{clip, count, plural},
};

/// Log records on a page of the list: as many as keep a page of ordinary records below 100 KB.
pub(super) const ROWS_MAX: usize = 40;

/// The list of log records.
#[derive(Debug, Serialize)]
pub(crate) struct LogsView {
    query: String,
    levels: Vec<Choice>,
    /// "12 of 1,204 log records".
    total: String,
    /// Leads to all of them; empty when they are shown.
    all_href: String,
    lines: Vec<LogLine>,
    pager: Pager,
    /// The state as fields of the form.
    fields: Vec<(String, String)>,
    /// The same with what the list is narrowed by, for the buttons beside values.
    narrowed: Vec<(String, String)>,
    pub(crate) problem: Option<Problem>,
    pub(crate) senders: Vec<Sender>,
}

/// The log records that are asked for, by time.
pub(super) fn view(scene: &Scene<'_>) -> LogsView {
    let Scene { trace, state, .. } = *scene;
    let (query, problem) = query(state);
    let found = found(trace, query.is_some());
    let pages = Pages::new(found.len(), ROWS_MAX, state.page);
    let lines = found
        .iter()
        .enumerate()
        .skip(pages.skipped)
        .take(ROWS_MAX)
        .filter_map(|(place, at)| line(scene, place, trace.logs.get(*at)?))
        .collect();
    let all = State {
        log_query: String::new(),
        level: "",
        ..state.rewound()
    };
    let total = plural(trace.logs.len() as u64, "log record", "log records");
    LogsView {
        query: state.log_query.clone(),
        levels: level::choices(state.level),
        total: if found.len() < trace.logs.len() {
            format!("{} of {total}", count(found.len() as u64))
        } else {
            total
        },
        all_href: if state.level.is_empty() && state.log_query.is_empty() {
            String::new()
        } else {
            all.link().to_string()
        },
        lines,
        pager: pages.pager(&state.rewound().link().at("waterfall")),
        fields: fields(&all),
        narrowed: fields(&state.rewound()),
        problem,
        senders: senders(scene),
    }
}

/// The state with a value added to the query or excluded from it, when a button asked for that.
pub(super) fn edited(state: &State, params: &Params) -> Result<Option<State>, Fault> {
    let edit = match (params.get("add"), params.get("not")) {
        _ if state.view != View::Logs => return Ok(None),
        (Some(term), _) => search::edit(&state.log_query, term, Edit::Add)?,
        (None, Some(term)) => search::edit(&state.log_query, term, Edit::Exclude)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(State {
        log_query: edit,
        ..state.rewound()
    }))
}

/// The log records of a page of the list, as places in the trace.
pub(super) fn shown(trace: &Trace, state: &State) -> Vec<usize> {
    let found = found(trace, query(state).0.is_some());
    let pages = Pages::new(found.len(), ROWS_MAX, state.page);
    found
        .into_iter()
        .skip(pages.skipped)
        .take(ROWS_MAX)
        .collect()
}

/// The places of the records that are listed, in the order of the list.
fn found(trace: &Trace, is_narrowed: bool) -> Vec<usize> {
    let matches = |at: &usize| trace.logs.get(*at).is_some_and(|item| item.matches);
    in_time(trace)
        .into_iter()
        .filter(|at| !is_narrowed || matches(at))
        .collect()
}

/// What the records are narrowed by; none without, and with a query that cannot be read.
pub(super) fn query(state: &State) -> (Option<Query>, Option<Problem>) {
    if let Err(error) = parse(&state.log_query) {
        let unasked = State {
            log_query: String::new(),
            ..state.rewound()
        };
        let problem = filter::problem(&error, unasked.link(), "lq");
        return (None, Some(problem));
    }
    let whole = search::compose(&state.log_query, &[level::term(state.level)]);
    (parse(&whole).ok().filter(|query| !query.is_empty()), None)
}

/// The places of the log records in the trace, in the order of the list.
fn in_time(trace: &Trace) -> Vec<usize> {
    let mut logs: Vec<(u64, usize)> = trace
        .logs
        .iter()
        .enumerate()
        .map(|(at, item)| (item.time, at))
        .collect();
    // Mostly in order, for which this sort is the quick one.
    logs.sort();
    logs.into_iter().map(|(_, at)| at).collect()
}

/// Of log records, as their places in the trace, the addresses of their lines in the list.
pub(super) fn addresses(
    trace: &Trace,
    state: &State,
    wanted: &HashSet<usize>,
) -> HashMap<usize, String> {
    if wanted.is_empty() {
        return HashMap::new();
    }
    let list = State {
        log_query: String::new(),
        level: "",
        ..state.seen_as(View::Logs)
    };
    in_time(trace)
        .into_iter()
        .enumerate()
        .filter(|(_, at)| wanted.contains(at))
        .map(|(place, at)| {
            let page = State {
                page: (place / ROWS_MAX) as u64 + 1,
                ..list.clone()
            };
            (at, page.link().at(anchor(place)).to_string())
        })
        .collect()
}

fn anchor(place: usize) -> String {
    format!("l{place}")
}

/// None for a record that could not be read.
fn line(scene: &Scene<'_>, place: usize, item: &LogItem) -> Option<LogLine> {
    let Scene { trace, state, .. } = *scene;
    let whole = trace.whole_log(item)?;
    let origin = Origin {
        service: trace.service(item.process),
        scope: trace
            .scopes
            .get(whole.scope)
            .map_or("", |scope| &scope.scope.name),
        sender: Some(item.process),
    };
    let mut line = LogLine::new(&whole.record, origin, scene.palette, anchor(place));
    let id = item.span;
    let found = id
        .and_then(|id| trace.row_of(id))
        .and_then(|row| trace.span(trace.rows.get(row)?));
    // Of a trace from a file the id in its records is not that of its page.
    let target = State {
        span: id,
        ..state.seen_as(View::Timeline)
    };
    let target = target
        .link()
        .at(id.map_or_else(String::new, |id| format!("s{}", hex(&id))));
    match (id, found) {
        (Some(_), Some(span)) => {
            let words = format!(
                "{} {}",
                clip(trace.service(span.process), 40),
                name(&clip(trace.name(span), 120))
            );
            line.leads_to(Some((target.to_string(), "span", words)));
        }
        (Some(_), None) => {
            let words = "The span is not in this trace".to_owned();
            line.leads_to(Some((target.to_string(), "missing", words)));
        }
        (None, _) => line.leads_to(None),
    }
    Some(line)
}

fn senders(scene: &Scene<'_>) -> Vec<Sender> {
    scene
        .trace
        .processes
        .iter()
        .enumerate()
        .map(|(index, process)| {
            Sender::new(
                index,
                &process.service,
                &process.resource,
                &process.schema_url,
                scene.palette,
            )
        })
        .collect()
}
