//! Statistics of a trace: spans that are counted together, by their operation or by any field.

use std::{cmp::Reverse, collections::HashSet};

use log_tracer_query::{Field, Intrinsic};
use serde::Serialize;

use super::{
    Scene, State,
    filter::{Sieve, fields},
    state::View,
};
use crate::{
    charts::percent,
    pages::traces::name,
    search::{compose, term},
    sorting::{Column, Head, Order, Pager, Pages},
    trace::{
        figures::Figures,
        model::{SpanItem, Trace, is_cut},
        statistics::{self, Sample, Statistics},
    },
    units::{self, clip, count, duration},
};

/// Groups on a page of the table.
const ROWS_MAX: usize = 60;

/// Attribute keys that are offered to count by.
const KEYS_MAX: usize = 60;

/// Bytes of such a key at most.
const KEY_BYTES_MAX: usize = 100;

/// Spans whose attributes are looked at for those keys.
const SAMPLES_MAX: usize = 40;

pub(super) const SORT_DEFAULT: &str = "self";

pub(super) const COLUMNS: [Column; 11] = [
    Column::text("group", "Spans of"),
    Column::number("count", "Count"),
    Column::number("errors", "Errors"),
    Column::number("total", "Total"),
    Column::number("mean", "Mean"),
    Column::number("min", "Min"),
    Column::number("p50", "p50"),
    Column::number("p95", "p95"),
    Column::number("max", "Max"),
    Column::number(SORT_DEFAULT, "Self time"),
    Column::number("critical", "Critical path"),
];

/// The table.
#[derive(Debug, Serialize)]
pub(crate) struct OperationsView {
    heads: Vec<Head>,
    rows: Vec<GroupRow>,
    /// "12 operations".
    total: String,
    pager: Pager,
    /// What they are counted by, as the form has it.
    by: String,
    by_operation: bool,
    by_service: bool,
    operation_href: String,
    service_href: String,
    /// The state as fields of the form.
    fields: Vec<(String, String)>,
    /// Keys that spans of this trace have.
    keys: Vec<String>,
    /// What of the keys is not offered; empty when nothing is known to be missing.
    keys_left_out: String,
    /// Whether a text of a row was cut where the trace was read.
    has_cut: bool,
}

/// Spans that are counted together.
#[derive(Debug, Serialize)]
struct GroupRow {
    /// Empty where the group is not of one service.
    service: String,
    colour: usize,
    name: String,
    /// Whether the name was cut where the trace was read, so that all that begin like it are counted as one.
    cut: bool,
    /// Leads to the spans; empty where no filter finds just them.
    href: String,
    count: String,
    /// Empty when there are none.
    errors: String,
    total: String,
    mean: String,
    min: String,
    p50: String,
    p95: String,
    max: String,
    own: String,
    own_share: String,
    own_width: String,
    critical: String,
    critical_share: String,
}

/// What spans are counted together by.
#[derive(Clone, Debug, PartialEq)]
enum By {
    Operation,
    Field(Field),
}

/// What the spans of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key<'a> {
    Operation(&'a str, &'a str),
    Value(&'a str),
    /// They lack the field.
    None,
}

/// A page of the table.
pub(super) fn view(scene: &Scene<'_>) -> OperationsView {
    let Scene { trace, state, .. } = *scene;
    let by = By::read(&state.group);
    let figures = Figures::new(trace, scene.path);
    let mut groups = groups(trace, scene.sieve.matches.as_deref(), &figures, &by);
    sorted_groups(&mut groups, state.order);
    let pages = Pages::new(groups.len(), ROWS_MAX, state.page);
    let link = state.rewound().link();
    let counted_by = |by: &str| State {
        group: by.to_owned(),
        ..state.rewound()
    };
    let form = counted_by("");
    let (keys, keys_left_out) = keys(trace);
    let rows: Vec<GroupRow> = groups
        .iter()
        .skip(pages.skipped)
        .take(ROWS_MAX)
        .map(|(key, statistics)| row(scene, &figures, &by, key, statistics))
        .collect();
    OperationsView {
        heads: state
            .order
            .heads(&COLUMNS, SORT_DEFAULT, &link, "waterfall"),
        has_cut: rows.iter().any(|row| row.cut),
        rows,
        total: by.words(groups.len()),
        pager: pages.pager(&link.at("waterfall")),
        by: match by {
            By::Operation | By::Field(Field::Intrinsic(Intrinsic::Service)) => String::new(),
            By::Field(_) => state.group.clone(),
        },
        by_operation: by == By::Operation,
        by_service: by == By::Field(Field::Intrinsic(Intrinsic::Service)),
        operation_href: form.link().to_string(),
        service_href: counted_by("service").link().to_string(),
        fields: fields(&form),
        keys,
        keys_left_out,
    }
}

impl By {
    fn read(text: &str) -> Self {
        match text {
            "" => Self::Operation,
            name => Self::Field(Field::named(name)),
        }
    }

    /// How many groups there are, in words.
    fn words(&self, number: usize) -> String {
        let number = number as u64;
        match self {
            Self::Operation => units::plural(number, "operation", "operations"),
            Self::Field(Field::Intrinsic(Intrinsic::Service)) => {
                units::plural(number, "service", "services")
            }
            Self::Field(_) => units::plural(number, "value", "values"),
        }
    }

    /// The query for the spans of a group; none where the language has none.
    fn query(&self, key: &Key<'_>) -> Option<Vec<String>> {
        match (self, key) {
            (_, Key::Operation(service, name)) => Some(vec![
                term(&Field::Intrinsic(Intrinsic::Service), service)?,
                term(&Field::Intrinsic(Intrinsic::Name), name)?,
            ]),
            (Self::Field(field), Key::Value(value)) => Some(vec![term(field, value)?]),
            (Self::Field(field), Key::None) => Some(vec![format!("-{field}:*")]),
            (Self::Operation, _) => None,
        }
    }
}

/// The spans that a state shows, counted together as it says.
pub(crate) fn groups_of<'a>(
    trace: &'a Trace,
    figures: &Figures,
    state: &State,
) -> Vec<(Key<'a>, Statistics)> {
    let sieve = Sieve::new(trace, state);
    let by = By::read(&state.group);
    groups(trace, sieve.matches.as_deref(), figures, &by)
}

/// The spans that the filter leaves, counted together. `matches` tells of each row whether it does.
fn groups<'a>(
    trace: &'a Trace,
    matches: Option<&[bool]>,
    figures: &Figures,
    by: &By,
) -> Vec<(Key<'a>, Statistics)> {
    let (services, of_process) = trace.services();
    let is_left = |at: usize| matches.is_none_or(|matches| matches.get(at) == Some(&true));
    // Numbers stand for the texts while the spans are counted.
    let number = |item: &SpanItem| match by {
        By::Operation => (of_process.get(item.process).copied(), Some(item.name)),
        By::Field(_) => (None, item.value_number()),
    };
    let samples = trace
        .rows
        .iter()
        .enumerate()
        .filter(|(at, _)| is_left(*at))
        .filter_map(|(at, row)| {
            let item = trace.span(row)?;
            let sample = Sample {
                duration: item.duration(),
                own: figures.own(at),
                critical: figures.critical(at),
                is_error: item.is_error(),
            };
            Some((number(item), sample))
        });
    let key = |(service, text): (Option<usize>, Option<u32>)| match (by, text) {
        (By::Operation, name) => Key::Operation(
            service.and_then(|at| services.get(at)).unwrap_or(&""),
            name.map_or("", |name| trace.name_of(name)),
        ),
        (By::Field(_), Some(value)) => Key::Value(trace.value_of(value)),
        (By::Field(_), None) => Key::None,
    };
    statistics::group(samples)
        .into_iter()
        .map(|(number, statistics)| (key(number), statistics))
        .collect()
}

/// Puts groups into an order.
pub(crate) fn sorted_groups(groups: &mut [(Key<'_>, Statistics)], order: Order) {
    sort(groups, order.key);
    if order.turned {
        groups.reverse();
    }
}

fn sort(groups: &mut [(Key<'_>, Statistics)], by: &str) {
    groups.sort_by(|(a, _), (b, _)| a.cmp(b));
    let value: fn(&Statistics) -> u64 = match by {
        "group" => return,
        "count" => |of| of.count,
        "errors" => |of| of.errors,
        "total" => |of| of.total,
        "mean" => |of| of.mean,
        "min" => |of| of.min,
        "p50" => |of| of.p50,
        "p95" => |of| of.p95,
        "max" => |of| of.max,
        "critical" => |of| of.critical,
        _ => |of| of.own,
    };
    groups.sort_by_key(|(_, of)| Reverse(value(of)));
}

fn row(scene: &Scene<'_>, figures: &Figures, by: &By, key: &Key<'_>, of: &Statistics) -> GroupRow {
    let (service, name) = match (by, key) {
        (_, Key::Operation(service, own)) => (*service, name(&clip(own, 120))),
        (By::Field(Field::Intrinsic(Intrinsic::Service)), Key::Value(service)) => {
            (*service, String::new())
        }
        (_, Key::Value(value)) if value.trim().is_empty() => ("", "(empty)".to_owned()),
        (_, Key::Value(value)) => ("", clip(value, 120)),
        (_, Key::None) => ("", "(without it)".to_owned()),
    };
    let href = by.query(key).map(|terms| {
        let state = State {
            filter: compose(&scene.state.filter, &terms),
            ..scene.state.seen_as(View::Spans)
        };
        state.link().to_string()
    });
    GroupRow {
        colour: scene.palette.colour(service),
        service: clip(service, 40),
        cut: match key {
            Key::Operation(_, text) | Key::Value(text) => is_cut(text),
            Key::None => false,
        },
        name,
        href: href.unwrap_or_default(),
        count: count(of.count),
        errors: match of.errors {
            0 => String::new(),
            errors => count(errors),
        },
        total: duration(of.total),
        mean: duration(of.mean),
        min: duration(of.min),
        p50: duration(of.p50),
        p95: duration(of.p95),
        max: duration(of.max),
        own: duration(of.own),
        own_share: units::percent(of.own, figures.own_total),
        own_width: percent(of.own as f64, figures.own_total as f64),
        critical: match of.critical {
            0 => String::new(),
            critical => duration(critical),
        },
        critical_share: units::percent(of.critical, figures.critical_total),
    }
}

/// The first span of each operation, as places in the trace: operations of one name and service are one, however many
/// processes have it.
fn first_of_operations(trace: &Trace) -> Vec<usize> {
    let (_, of_process) = trace.services();
    let mut known = HashSet::new();
    trace
        .spans
        .iter()
        .enumerate()
        .filter(|(_, item)| known.insert((of_process.get(item.process), item.name)))
        .map(|(at, _)| at)
        .collect()
}

/// The spans whose attributes are offered to count by.
pub(super) fn samples(trace: &Trace) -> Vec<usize> {
    let mut first = first_of_operations(trace);
    first.truncate(SAMPLES_MAX);
    first
}

/// The attribute keys that those have, in the order of the alphabet, and what is missing among them.
fn keys(trace: &Trace) -> (Vec<String>, String) {
    let first = first_of_operations(trace);
    let mut keys: Vec<&str> = first
        .iter()
        .take(SAMPLES_MAX)
        .filter_map(|at| trace.whole(trace.spans.get(*at)?))
        .flat_map(|whole| &whole.span.attributes)
        .map(|pair| pair.key.as_str())
        .filter(|key| !key.is_empty())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let of = |some: usize, all: usize| format!("{} of {}", count(some as u64), count(all as u64));
    let found = keys.len();
    let offered = keys.into_iter().filter(|key| key.len() <= KEY_BYTES_MAX);
    let offered: Vec<String> = offered.take(KEYS_MAX).map(str::to_owned).collect();
    let left_out = if first.len() > SAMPLES_MAX {
        let of = of(SAMPLES_MAX, first.len());
        format!("Offered are keys of {of} operations; any field can be written.")
    } else if offered.len() < found {
        let of = of(offered.len(), found);
        format!("Offered are {of} keys; any field can be written.")
    } else {
        String::new()
    };
    (offered, left_out)
}
