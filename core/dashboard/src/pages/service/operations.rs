//! The operations of a service as a table.

use std::cmp::Reverse;

use log_tracer_proto::v1::{RateSeries, RatesResponse};
use log_tracer_query::{Field, Intrinsic};
use serde::Serialize;

use super::State;
use crate::{
    charts::{
        percent,
        spark::{self, Spark},
    },
    pages::{links, traces::name},
    red::{Red, RedView},
    search::term,
    sorting::{self, Column, Head, Pager, Pages},
    trace::fields,
    units,
    window::{Window, errors_per_second, per_second, quantile},
};

/// Operations on a page of the table.
const ROWS_MAX: usize = 25;

/// What the consumer calls operations of which there were too many.
const OTHER: &str = "(other)";

pub(super) const SORT_DEFAULT: &str = "rate";

pub(super) const COLUMNS: [Column; 8] = [
    Column::text("operation", "Operation"),
    Column::text("kind", "Kind"),
    Column::number("rate", "Rate"),
    Column::number("errors", "Errors"),
    Column::number("p50", "p50"),
    Column::number("p95", "p95"),
    Column::number("p99", "p99"),
    Column::number("time", "Time"),
];

pub(super) fn heads(state: &State) -> Vec<Head> {
    sorting::heads(
        &COLUMNS,
        state.sort,
        SORT_DEFAULT,
        &state.link(),
        "operations",
    )
}

/// A page of the table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rows: Vec<OperationRow>,
    pub(super) total: usize,
    pub(super) pager: Pager,
}

/// An operation.
#[derive(Debug, Serialize)]
pub(super) struct OperationRow {
    name: String,
    kind: &'static str,
    red: RedView,
    rate_line: Spark,
    error_line: String,
    p95_line: Spark,
    /// Its part of the time that all spans of the service took together.
    time: String,
    time_width: String,
    /// Empty for the operations that are counted together.
    traces_href: String,
    errors_href: String,
    slow_href: String,
}

/// What a row is made of.
#[derive(Clone, Copy, Debug)]
struct Numbers<'a> {
    operation: &'a str,
    kind: &'static str,
    red: Red,
    series: &'a RateSeries,
}

impl Table {
    pub(super) fn new(state: &State, answer: &RatesResponse, window: &Window) -> Self {
        let mut all: Vec<Numbers<'_>> = answer
            .series
            .iter()
            .map(|series| Numbers {
                operation: series.operation.as_deref().unwrap_or_default(),
                kind: fields::kind(series.kind()),
                red: Red::new(series.total.as_ref()),
                series,
            })
            .collect();
        sort(&mut all, state.sort);
        let time = all
            .iter()
            .map(|numbers| numbers.red.sum)
            .fold(0, u64::saturating_add);
        let pages = Pages::new(all.len(), ROWS_MAX, state.page);
        Self {
            total: all.len(),
            pager: pages.pager(&state.link().at("operations")),
            rows: all
                .iter()
                .skip(pages.skipped)
                .take(ROWS_MAX)
                .map(|numbers| row(numbers, state, window, time))
                .collect(),
        }
    }
}

fn sort(rows: &mut [Numbers<'_>], by: &str) {
    rows.sort_by_key(|row| (row.operation, row.kind));
    match by {
        "operation" => {}
        "kind" => rows.sort_by_key(|row| row.kind),
        "errors" => rows.sort_by(|a, b| b.red.error_share().total_cmp(&a.red.error_share())),
        "p50" => rows.sort_by_key(|row| Reverse(row.red.p50)),
        "p95" => rows.sort_by_key(|row| Reverse(row.red.p95)),
        "p99" => rows.sort_by_key(|row| Reverse(row.red.p99)),
        "time" => rows.sort_by_key(|row| Reverse(row.red.sum)),
        _ => rows.sort_by_key(|row| Reverse(row.red.count)),
    }
}

fn row(numbers: &Numbers<'_>, state: &State, window: &Window, time: u64) -> OperationRow {
    let Numbers { red, series, .. } = *numbers;
    let rates = window.values(series, per_second);
    let top = rates.iter().flatten().copied().fold(0.0, f64::max);
    let query = query(numbers);
    let search = |more: &str| match &query {
        None => String::new(),
        Some(query) => state
            .search("/traces")
            .with("q", format!("{query}{more}"))
            .to_string(),
    };
    OperationRow {
        name: name(numbers.operation),
        kind: numbers.kind,
        red: red.view(window.nanos()),
        error_line: if red.errors == 0 {
            String::new()
        } else {
            spark::line(
                &window.values(series, errors_per_second),
                top,
                spark::HEIGHT,
            )
        },
        rate_line: Spark::new(&rates),
        p95_line: Spark::new(&window.values(series, quantile(|red| red.p95))),
        time: units::percent(red.sum, time),
        time_width: percent(red.sum as f64, time as f64),
        traces_href: search(""),
        errors_href: search(" status:error"),
        slow_href: match &query {
            None => String::new(),
            Some(query) => links::slower(state.search("/traces"), query, red.p95).to_string(),
        },
    }
}

/// The query for the spans of an operation.
fn query(numbers: &Numbers<'_>) -> Option<String> {
    if numbers.operation == OTHER {
        return None;
    }
    let name = term(&Field::Intrinsic(Intrinsic::Name), numbers.operation)?;
    Some(format!("{name} kind:{}", numbers.kind))
}

#[cfg(test)]
mod tests {
    use log_tracer_query::parse;

    use super::*;

    #[test]
    fn the_query_of_an_operation_finds_it_whatever_its_name() {
        let series = RateSeries::default();
        let of = |operation| {
            query(&Numbers {
                operation,
                kind: "server",
                red: Red::default(),
                series: &series,
            })
        };
        assert_eq!(of("GET /cart").unwrap(), "name:\"GET /cart\" kind:server");
        parse(&of("a\" OR (").unwrap()).unwrap();
        assert_eq!(of(OTHER), None);
        assert_eq!(of(""), None);
    }
}
