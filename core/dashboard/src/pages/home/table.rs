//! The services of the overview as a table: sorted, paged, every number a link to what it counts.

use std::{cmp::Reverse, collections::BTreeMap};

use log_tracer_proto::v1::{RateSeries, ServiceInfo};
use serde::Serialize;

use super::{
    Seen, State,
    changes::{Change, What},
    questions::Answers,
};
use crate::{
    charts::spark::{self, Spark},
    clock::Moment,
    pages::links,
    palette::Palette,
    params::Link,
    red::{Red, RedView},
    sorting::{self, Column, Head, Pager, Pages},
    units::{age, clip, compact},
    window::{Window, errors_per_second, per_second, quantile},
};

/// Services on a page of the table: with their lines they keep a page below 100 KB.
const ROWS_MAX: usize = 30;

pub(super) const SORT_DEFAULT: &str = "rate";

pub(super) const COLUMNS: [Column; 9] = [
    Column::text("service", "Service"),
    Column::number("rate", "Rate"),
    Column::number("errors", "Errors"),
    Column::number("p50", "p50"),
    Column::number("p95", "p95"),
    Column::number("p99", "p99"),
    Column::number("logs", "Logs"),
    Column::number("errorlogs", "Error logs"),
    Column::number("seen", "Last seen"),
];

pub(super) fn heads(state: &State) -> Vec<Head> {
    let link = super::State {
        page: 1,
        ..state.clone()
    }
    .link();
    sorting::heads(&COLUMNS, state.sort, SORT_DEFAULT, &link, "services")
}

/// A page of the table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rows: Vec<ServiceRow>,
    pub(super) pager: Pager,
}

/// A service.
#[derive(Debug, Serialize)]
pub(super) struct ServiceRow {
    name: String,
    colour: usize,
    red: RedView,
    rate_line: Spark,
    /// On the scale of the rate.
    error_line: String,
    p95_line: Spark,
    logs: String,
    error_logs: String,
    last_seen: Moment,
    age: String,
    href: String,
    traces_href: String,
    errors_href: String,
    slow_href: String,
    logs_href: String,
    error_logs_href: String,
}

/// What a row is made of.
#[derive(Clone, Copy, Debug)]
struct Numbers<'a> {
    service: &'a str,
    red: Red,
    series: Option<&'a RateSeries>,
    logs: u64,
    error_logs: u64,
    last_seen: u64,
}

impl Table {
    pub(super) fn new(
        state: &State,
        seen: &Seen<'_>,
        window: &Window,
        answers: &Answers,
        palette: &Palette,
    ) -> Self {
        let mut all = numbers(seen.services, answers);
        sort(&mut all, state.sort);
        let pages = Pages::new(all.len(), ROWS_MAX, state.page);
        let rows = all
            .iter()
            .skip(pages.skipped)
            .take(ROWS_MAX)
            .map(|numbers| row(numbers, state, seen.now, window, palette))
            .collect();
        Self {
            pager: pages.pager(&state.link().at("services")),
            rows,
        }
    }
}

/// Every service that is kept or has something in the range.
fn numbers<'a>(services: &'a [ServiceInfo], answers: &'a Answers) -> Vec<Numbers<'a>> {
    let none = |service| Numbers {
        service,
        red: Red::default(),
        series: None,
        logs: 0,
        error_logs: 0,
        last_seen: 0,
    };
    let mut all: BTreeMap<&str, Numbers<'_>> = BTreeMap::new();
    for info in services {
        let own = all
            .entry(&info.service)
            .or_insert_with(|| none(&info.service));
        own.last_seen = info.last_seen_unix_nano;
    }
    for series in &answers.rates.series {
        let own = all
            .entry(&series.service)
            .or_insert_with(|| none(&series.service));
        own.red = Red::new(series.total.as_ref());
        own.series = Some(series);
    }
    for (service, logs) in &answers.service_logs {
        all.entry(service).or_insert_with(|| none(service)).logs = *logs;
    }
    for (service, logs) in &answers.error_logs {
        all.entry(service)
            .or_insert_with(|| none(service))
            .error_logs = *logs;
    }
    all.into_values().collect()
}

/// By the chosen column; those that are equal stay in the order of their names.
fn sort(rows: &mut [Numbers<'_>], by: &str) {
    match by {
        "service" => {}
        "errors" => rows.sort_by(|a, b| b.red.error_share().total_cmp(&a.red.error_share())),
        "p50" => rows.sort_by_key(|row| Reverse(row.red.p50)),
        "p95" => rows.sort_by_key(|row| Reverse(row.red.p95)),
        "p99" => rows.sort_by_key(|row| Reverse(row.red.p99)),
        "logs" => rows.sort_by_key(|row| Reverse(row.logs)),
        "errorlogs" => rows.sort_by_key(|row| Reverse(row.error_logs)),
        "seen" => rows.sort_by_key(|row| Reverse(row.last_seen)),
        _ => rows.sort_by_key(|row| Reverse((row.red.count, row.logs))),
    }
}

fn row(
    numbers: &Numbers<'_>,
    state: &State,
    now: u64,
    window: &Window,
    palette: &Palette,
) -> ServiceRow {
    let Numbers { service, red, .. } = *numbers;
    let values = |of: &dyn Fn(&Red, f64) -> Option<f64>| {
        numbers
            .series
            .map_or_else(Vec::new, |series| window.values(series, of))
    };
    let rates = values(&per_second);
    let errors = values(&errors_per_second);
    let top = rates.iter().flatten().copied().fold(0.0, f64::max);
    let nonzero = |number: u64| {
        if number == 0 {
            String::new()
        } else {
            compact(number)
        }
    };
    let traces = state.to("/traces").with("service", service);
    let logs = state.to("/logs").with("service", service);
    ServiceRow {
        name: clip(service, 60),
        colour: palette.colour(service),
        red: red.view(window.nanos()),
        rate_line: Spark::new(&rates),
        error_line: if red.errors == 0 {
            String::new()
        } else {
            spark::line(&errors, top, spark::HEIGHT)
        },
        p95_line: Spark::new(&values(&quantile(|red| red.p95))),
        logs: nonzero(numbers.logs),
        error_logs: nonzero(numbers.error_logs),
        last_seen: Moment::new(numbers.last_seen),
        age: if numbers.last_seen == 0 {
            "–".to_owned()
        } else {
            age(now, numbers.last_seen)
        },
        href: service_link(state, service).to_string(),
        errors_href: traces.clone().with("q", "status:error").to_string(),
        slow_href: links::slower(traces.clone(), "", red.p95).to_string(),
        traces_href: traces.to_string(),
        error_logs_href: logs.clone().with("level", "error").to_string(),
        logs_href: logs.to_string(),
    }
}

fn service_link(state: &State, service: &str) -> Link {
    state.to("/service").with("name", service)
}

/// Where a change can be looked at.
pub(super) fn change_href(change: &Change<'_>, state: &State) -> String {
    let traces = state.to("/traces").with("service", change.service);
    match change.what {
        What::Errors => traces.with("q", "status:error").to_string(),
        What::P95 | What::Rate | What::New => service_link(state, change.service).to_string(),
        // Nothing of it is in the range.
        What::Silent => Link::to("/traces")
            .with("service", change.service)
            .with("range", "all")
            .to_string(),
        What::ErrorLogs => state
            .to("/logs")
            .with("service", change.service)
            .with("level", "error")
            .to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(service: &str, count: u64, errors: u64) -> Numbers<'_> {
        Numbers {
            service,
            red: Red {
                count,
                errors,
                ..Red::default()
            },
            series: None,
            logs: 0,
            error_logs: 0,
            last_seen: 0,
        }
    }

    #[test]
    fn services_are_sorted_by_the_column_and_then_by_name() {
        let mut rows = [named("a", 1, 1), named("b", 100, 2), named("c", 100, 0)];
        sort(&mut rows, "rate");
        assert_eq!(rows.map(|row| row.service), ["b", "c", "a"]);
        sort(&mut rows, "errors");
        assert_eq!(rows.map(|row| row.service), ["a", "b", "c"]);
    }

    #[test]
    fn every_column_that_can_be_chosen_sorts() {
        for column in COLUMNS {
            let mut rows = [named("a", 1, 0)];
            sort(&mut rows, column.key);
        }
    }
}
