//! The filter within a trace: which spans a query finds, and what the box above the views shows.

use log_tracer_query::{Field, ParseError, parse};
use serde::Serialize;

use super::{State, logs, state::View};
use crate::{
    params::Link,
    search::Problem,
    trace::{model::Trace, question::Question},
    units::{count, plural},
};

/// What the filter makes of a trace.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    /// Of each row whether it matches; none without a filter, and with one that cannot be read.
    pub(crate) matches: Option<Vec<bool>>,
    pub(crate) problem: Option<Problem>,
}

/// The box of the filter.
#[derive(Debug, Serialize)]
pub(crate) struct FilterView {
    text: String,
    /// "12 of 340 spans match".
    filtered: String,
    unfiltered_href: String,
    /// The state as fields of the form.
    fields: Vec<(String, String)>,
}

impl Sieve {
    pub(crate) fn new(trace: &Trace, state: &State) -> Self {
        match parse(&state.filter) {
            Ok(query) if !query.is_empty() => Self {
                matches: Some(matches(trace)),
                problem: None,
            },
            Ok(_) => Self::default(),
            Err(error) => Self {
                matches: None,
                problem: Some(problem(&error, unfiltered(state).link(), "f")),
            },
        }
    }
}

impl FilterView {
    pub(crate) fn new(trace: &Trace, state: &State, sieve: &Sieve) -> Self {
        let unfiltered = unfiltered(state);
        Self {
            text: state.filter.clone(),
            filtered: sieve.matches.as_ref().map_or_else(String::new, |matches| {
                let matched = matches.iter().filter(|matched| **matched).count();
                let verb = if matched == 1 { "matches" } else { "match" };
                format!(
                    "{} of {} {verb}",
                    count(matched as u64),
                    plural(trace.spans.len() as u64, "span", "spans")
                )
            }),
            unfiltered_href: unfiltered.link().to_string(),
            fields: fields(&unfiltered),
        }
    }
}

fn unfiltered(state: &State) -> State {
    State {
        filter: String::new(),
        ..state.rewound()
    }
}

/// What is wrong with a query that stands in the parameter `key`. The correction goes there, not to a search.
pub(super) fn problem(error: &ParseError, link: Link, key: &'static str) -> Problem {
    let problem = Problem::new(error, &Link::to(""));
    let corrected = error.corrected().unwrap_or_default();
    problem.leading_to(link.with(key, corrected))
}

/// A state as hidden fields of a form.
pub(super) fn fields(state: &State) -> Vec<(String, String)> {
    state
        .link()
        .params()
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

/// What a state asks of the spans and log records of its trace. What cannot be read asks nothing, and is said on the page.
pub(crate) fn question(state: &State) -> Question {
    Question {
        spans: parse(&state.filter).ok().filter(|query| !query.is_empty()),
        logs: match state.view {
            View::Logs => logs::query(state).0,
            _ => None,
        },
        field: (state.view == View::Operations && !state.group.is_empty())
            .then(|| Field::named(&state.group)),
    }
}

/// Of each row of the trace whether what was asked finds its span.
pub(crate) fn matches(trace: &Trace) -> Vec<bool> {
    trace
        .rows
        .iter()
        .map(|row| trace.span(row).is_some_and(|item| item.matches))
        .collect()
}
