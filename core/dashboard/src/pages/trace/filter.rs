//! The filter within a trace: which spans a query finds, and what the box above the views shows.

use log_tracer_query::{ParseError, Query, parse};
use serde::Serialize;

use super::State;
use crate::{
    params::Link,
    search::Problem,
    trace::{fields::SpanFields, model::Trace},
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
                matches: Some(matches(trace, &query)),
                problem: None,
            },
            Ok(_) => Self::default(),
            Err(error) => Self {
                matches: None,
                problem: Some(problem(&error, state)),
            },
        }
    }
}

impl FilterView {
    pub(crate) fn new(trace: &Trace, state: &State, sieve: &Sieve) -> Self {
        let unfiltered = State {
            filter: String::new(),
            from: None,
            ..state.clone()
        };
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
            fields: unfiltered
                .link()
                .params()
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        }
    }
}

fn problem(error: &ParseError, state: &State) -> Problem {
    let link = State {
        filter: String::new(),
        ..state.clone()
    };
    // The correction goes to the filter, not to a search.
    let problem = Problem::new(error, &Link::to(""));
    let corrected = error.corrected().unwrap_or_default();
    problem.leading_to(link.link().with("f", corrected))
}

fn matches(trace: &Trace, query: &Query) -> Vec<bool> {
    trace
        .rows
        .iter()
        .map(|row| {
            trace
                .span(row)
                .is_some_and(|item| query.matches(&SpanFields::new(trace, item)))
        })
        .collect()
}
