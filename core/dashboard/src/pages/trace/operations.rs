//! Statistics of a trace: spans that are counted together, by their operation or by any field.

use std::cmp::Reverse;

use log_tracer_query::{Field, Intrinsic, Record, Value};
use serde::Serialize;

use super::{Scene, State, filter::fields, state::View};
use crate::{
    charts::percent,
    lines::hex,
    pages::traces::name,
    search::{compose, term},
    sorting::{Column, Head, Pager, Pages},
    trace::{
        fields::SpanFields,
        figures::Figures,
        model::{SpanItem, Trace},
        statistics::{self, Sample, Statistics},
    },
    units::{self, clip, count, duration},
};

/// Groups on a page of the table.
const ROWS_MAX: usize = 60;

/// Attribute keys that are offered to count by.
const KEYS_MAX: usize = 60;

/// Spans whose attributes are looked at for those keys.
const KEYS_FROM_SPANS_MAX: usize = 2_000;

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
}

/// Spans that are counted together.
#[derive(Debug, Serialize)]
struct GroupRow {
    /// Empty where the group is not of one service.
    service: String,
    colour: usize,
    name: String,
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
enum Key<'a> {
    Operation(&'a str, &'a str),
    Value(String),
    /// They lack the field.
    None,
}

/// A page of the table.
pub(super) fn view(scene: &Scene<'_>) -> OperationsView {
    let Scene { trace, state, .. } = *scene;
    let by = By::read(&state.group);
    let figures = Figures::new(trace, scene.path);
    let mut groups = groups(scene, &figures, &by);
    sort(&mut groups, state.order.key);
    if state.order.turned {
        groups.reverse();
    }
    let pages = Pages::new(groups.len(), ROWS_MAX, state.page);
    let link = state.rewound().link();
    let counted_by = |by: &str| State {
        group: by.to_owned(),
        ..state.rewound()
    };
    let form = counted_by("");
    OperationsView {
        heads: state
            .order
            .heads(&COLUMNS, SORT_DEFAULT, &link, "waterfall"),
        rows: groups
            .iter()
            .skip(pages.skipped)
            .take(ROWS_MAX)
            .map(|(key, statistics)| row(scene, &figures, &by, key, statistics))
            .collect(),
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
        keys: keys(trace),
    }
}

impl By {
    fn read(text: &str) -> Self {
        match text {
            "" => Self::Operation,
            name => Self::Field(Field::named(name)),
        }
    }

    fn key<'a>(&self, trace: &'a Trace, item: &'a SpanItem) -> Key<'a> {
        match self {
            Self::Operation => Key::Operation(trace.service(item.process), &item.span.name),
            Self::Field(field) => {
                let mut first = None;
                SpanFields::new(trace, item).any_value(field, &mut |value| {
                    first = Some(text(&value));
                    true
                });
                first.map_or(Key::None, Key::Value)
            }
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

fn text(value: &Value<'_>) -> String {
    match value {
        Value::Str(text) => (*text).to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Double(number) => format!("{number:?}"),
        Value::Bool(value) => value.to_string(),
        Value::Bytes(bytes) => hex(bytes),
    }
}

/// The spans that the filter leaves, counted together.
fn groups<'a>(scene: &Scene<'a>, figures: &Figures, by: &By) -> Vec<(Key<'a>, Statistics)> {
    let trace = scene.trace;
    let matches = scene.sieve.matches.as_deref();
    let is_left = |at: usize| matches.is_none_or(|matches| matches.get(at) == Some(&true));
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
            Some((by.key(trace, item), sample))
        });
    statistics::group(samples)
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
            (service.as_str(), String::new())
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

/// The attribute keys that the first spans have, in the order of the alphabet.
fn keys(trace: &Trace) -> Vec<String> {
    let mut keys: Vec<&str> = trace
        .spans
        .iter()
        .take(KEYS_FROM_SPANS_MAX)
        .flat_map(|item| &item.span.attributes)
        .map(|pair| pair.key.as_str())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .filter(|key| !key.is_empty() && key.len() <= 100)
        .take(KEYS_MAX)
        .map(str::to_owned)
        .collect()
}
