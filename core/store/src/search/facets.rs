//! The most frequent values of fields.

mod counter;

use log_tracer_query::{Field, Intrinsic, Query};

use counter::{Budget, Counter};

use super::{
    Signal,
    filter::Filter,
    walk::{Loaded, Order, Walk},
};
use crate::{
    Coverage, Stop, TimeRange,
    block::{Columns, Storable},
    stop::Progress,
    table::Snapshot,
};

/// Asks which values fields have.
#[derive(Clone, Debug)]
pub struct FacetSpec {
    /// Of which records.
    pub signal: Signal,
    /// What a record has to match.
    pub query: Query,
    /// Where its time has to lie.
    pub range: TimeRange,
    /// The fields; empty takes the useful ones that the records have. `time` has no facet.
    pub fields: Vec<Field>,
    /// Values of a field to answer at most.
    pub values_max: usize,
}

/// The values of fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Facets {
    /// The fields that at least one record has, in the order in which they were asked for.
    pub facets: Vec<Facet>,
    /// What was covered.
    pub coverage: Coverage,
}

/// The values of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    /// The field, as the query language names it.
    pub field: String,
    /// The most frequent first, equally frequent ones by their text.
    pub values: Vec<FacetValue>,
    /// Records that have the field with a value that is not listed; one that has several of those counts for each.
    pub other_count: u64,
}

/// A value, and how many records have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetValue {
    /// As the query language writes it.
    pub value: String,
    /// Records that have it.
    pub count: u64,
}

/// What most people ask first about spans.
const SPAN_FIELDS: [&str; 22] = [
    "service",
    "name",
    "kind",
    "status",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "rpc.service",
    "rpc.method",
    "rpc.grpc.status_code",
    "db.system.name",
    "db.system",
    "db.operation.name",
    "messaging.system",
    "messaging.destination.name",
    "error.type",
    "event",
    "scope",
    "deployment.environment.name",
    "service.version",
    "host.name",
    "k8s.namespace.name",
];

/// What most people ask first about log records.
const LOG_FIELDS: [&str; 12] = [
    "service",
    "severity",
    "name",
    "scope",
    "exception.type",
    "error.type",
    "http.response.status_code",
    "code.function.name",
    "deployment.environment.name",
    "service.version",
    "host.name",
    "k8s.namespace.name",
];

pub(crate) fn count_values<C: Storable>(
    snapshot: &Snapshot<C>,
    spec: &FacetSpec,
    answer_bytes_max: u64,
    stop: &Stop,
) -> Facets {
    let mut progress = Progress::start(stop);
    snapshot.cover(spec.range, &mut progress.coverage);
    let filter = Filter::new(&spec.query, spec.range);
    let fields = fields_of(spec);
    let columns = columns_of(&fields, &filter);
    let mut counters: Vec<Counter> = fields.into_iter().map(Counter::new).collect();
    let mut budget = Budget::new(answer_bytes_max);
    for step in Walk::new(snapshot, &filter, Order::NEWEST_FIRST, &mut progress) {
        if !progress.look() {
            break;
        }
        if let Some(rows) = step.read(&filter, &columns, &mut progress)
            && !count_part(&rows, &filter, &mut counters, &mut budget, &mut progress)
        {
            break;
        }
    }
    if counters.iter().any(|counter| counter.has_uncounted()) {
        progress.coverage.miss("there are more different values than can be counted: the rare ones are among the others");
    }
    let facets = counters
        .into_iter()
        .filter_map(|counter| counter.into_facet(spec.values_max));
    Facets {
        facets: facets.collect(),
        coverage: progress.finish(),
    }
}

fn fields_of(spec: &FacetSpec) -> Vec<Field> {
    let mut fields = spec.fields.clone();
    if fields.is_empty() {
        let names = match spec.signal {
            Signal::Spans => SPAN_FIELDS.as_slice(),
            Signal::Logs => LOG_FIELDS.as_slice(),
        };
        fields.extend(names.iter().map(|name| Field::named(name)));
    }
    fields.retain(|field| *field != Field::Intrinsic(Intrinsic::Time));
    fields
}

/// The columns that the query and the counters look at.
fn columns_of(fields: &[Field], filter: &Filter<'_>) -> Columns {
    let mut columns = filter.columns();
    columns.fields.extend(fields.iter().cloned());
    // A field that only resources have is counted by them.
    columns.resources = true;
    columns.levels = fields.contains(&Field::Intrinsic(Intrinsic::Severity));
    columns
}

/// Counts the rows of a part. False when the search has to end.
fn count_part<C: Storable>(
    rows: &Loaded<C>,
    filter: &Filter<'_>,
    counters: &mut [Counter],
    budget: &mut Budget,
    progress: &mut Progress<'_>,
) -> bool {
    let chunk = rows.chunk.as_ref();
    let filter = filter.on_part(rows);
    let mut present: Vec<&mut Counter> = counters
        .iter_mut()
        .filter_map(|counter| counter.on(chunk))
        .collect();
    let mut rows = filter.rows();
    let is_done = rows.all(|row| {
        if !progress.scan(1) {
            return false;
        }
        if filter.matches(row) {
            progress.coverage.matched += 1;
            for counter in &mut present {
                counter.count(chunk, row, budget);
            }
        }
        true
    });
    for counter in present {
        counter.end(chunk, budget);
    }
    is_done
}
