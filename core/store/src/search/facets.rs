//! The most frequent values of fields.
//!
//! Of a field that is a column of its own, each different value of a stretch of rows is counted once, by its number; of
//! one that stands in several places (the record, its scope, its resource) rows are put together, since a record counts
//! once however often it has a value. Each thread has a table of its own, of [`crate::Config::answer_bytes_max`] bytes at
//! most, and they are added up at the end. Beyond that the rare values are forgotten, and the answer says by how much a
//! count can be too low ([`counter`]).

mod counter;

use log_tracer_query::{Field, Intrinsic, Query, RowSet, Value};

use counter::{Budget, Counter};

use super::{
    Signal,
    filter::Filter,
    sight::Sight,
    source::readable,
    units::{Asking, keep_newest, parts, units},
};
use crate::{
    Coverage, TimeRange,
    block::{BlockError, Columns, Storable},
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
    /// Rows to look at, at most, the newest of those that can match; none is no bound. It is a bound in steps of some
    /// thousand rows, and one of those is looked at in any case.
    pub rows_max: Option<u64>,
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
    /// Records that have it; when there were more different values than could be counted, at least so many, and the
    /// coverage says how many more there can be.
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
    asking: Asking<'_>,
) -> Facets {
    let mut progress = Progress::start(asking.stop);
    snapshot.cover(spec.range, &mut progress.coverage);
    let filter = Filter::new(&spec.query, spec.range);
    let fields = fields_of(spec);
    let new = || Tables::new(&fields, asking);
    let mut parts = parts(snapshot, &filter, &mut progress);
    if let Some(rows_max) = spec.rows_max {
        keep_newest(&mut parts, rows_max, &mut progress);
    }
    let counted = asking.pool.run(units(parts), new, |tables, unit| {
        if !tables.progress.look() {
            return false;
        }
        if let Some(mut sight) = unit.open(snapshot, &mut tables.progress) {
            let counted = tables.count(&mut sight, &filter);
            tables.progress.read(sight.bytes_read());
            readable(snapshot, counted, &mut tables.progress);
        }
        tables.progress.look()
    });
    let mut tables = new();
    for others in counted {
        tables.absorb(others);
    }
    progress.absorb(tables.progress);
    let counters = tables.counters;
    for counter in counters.iter().filter(|counter| counter.count_error() > 0) {
        progress.coverage.miss(format!(
            "{} has more different values than can be counted: each count may be too low by up to {}, and a value of \
             fewer records may be missing",
            counter.field(),
            counter.count_error()
        ));
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

/// The values that one thread counted.
struct Tables<'a> {
    counters: Vec<Counter>,
    budget: Budget,
    progress: Progress<'a>,
}

impl<'a> Tables<'a> {
    fn new(fields: &[Field], asking: Asking<'a>) -> Self {
        Self {
            counters: fields.iter().cloned().map(Counter::new).collect(),
            budget: Budget::new(asking.answer_bytes_max, fields.len()),
            progress: Progress::start(asking.stop),
        }
    }

    fn absorb(&mut self, others: Self) {
        self.progress.absorb(others.progress);
        if self.counters.iter().all(Counter::is_empty) {
            // Nothing to add to.
            (self.counters, self.budget) = (others.counters, others.budget);
            return;
        }
        for (mine, theirs) in self.counters.iter_mut().zip(others.counters) {
            mine.absorb(theirs, &mut self.budget);
        }
    }

    /// Counts the values of the rows that match.
    fn count<C: Storable>(
        &mut self,
        sight: &mut Sight<'_, C>,
        filter: &Filter<'_>,
    ) -> Result<(), BlockError> {
        self.progress.scan(sight.rows() as u64);
        let rows = sight.select(filter)?;
        if rows.is_empty() {
            return Ok(());
        }
        let Self {
            counters, budget, ..
        } = self;
        match sight {
            Sight::Chunk(chunk) => count_rows(*chunk, &rows, counters.iter_mut(), budget),
            Sight::Block(scan) => {
                let mut left: Vec<&mut Counter> = Vec::new();
                for counter in counters {
                    let field = counter.field().clone();
                    let mut add =
                        |value: Value<'_>, records| counter.add::<C>(value, records, budget);
                    if !scan.values_of(&field, &rows, &mut add)? {
                        left.push(counter);
                    }
                }
                if !left.is_empty() {
                    let chunk = scan.chunk(&columns_of(&left))?;
                    count_rows(chunk.as_ref(), &rows, left.into_iter(), budget);
                }
            }
        }
        self.progress.coverage.matched += rows.count() as u64;
        Ok(())
    }
}

/// The columns that counters look at which count row by row.
fn columns_of(counters: &[&mut Counter]) -> Columns {
    let fields = counters.iter().map(|counter| counter.field().clone());
    Columns {
        fields: fields.collect(),
        // A field that only resources have is counted by them.
        resources: true,
        ..Columns::default()
    }
}

/// Counts rows one by one.
fn count_rows<'c, C: Storable>(
    chunk: &C,
    rows: &RowSet,
    counters: impl Iterator<Item = &'c mut Counter>,
    budget: &mut Budget,
) {
    let mut present: Vec<&mut Counter> = counters.filter_map(|counter| counter.on(chunk)).collect();
    for row in rows.iter() {
        for counter in &mut present {
            counter.count(chunk, row, budget);
        }
    }
    for counter in present {
        counter.end(chunk, budget);
    }
}
