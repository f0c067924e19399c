//! What the service and the grade of rows tell of a query: all, when it looks at nothing else, and often that they cannot
//! match. The index knows both of the rows of a piece ([`crate::block::Tally`]) and of a trace
//! (its service set).

use std::{collections::HashMap, marker::PhantomData};

use log_tracer_query::{Field, Intrinsic, Record, Value};

use super::filter::Filter;
use crate::{
    block::{Block, BlockError, Storable},
    chunk::{Chunk, SpanChunk},
};

/// Whether some rows have one that matches a query. Of the rows of two places together holds the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Matches {
    No,
    /// The rows have to be looked at.
    Perhaps,
    Yes,
}

/// Tells of rows, by their service and grade, whether they match.
#[derive(Debug)]
pub(super) struct ByKind<'f, 'q, C> {
    filter: &'f Filter<'q>,
    is_exact: bool,
    rows: PhantomData<fn() -> C>,
}

impl<'f, 'q, C: Storable> ByKind<'f, 'q, C> {
    pub(super) fn new(filter: &'f Filter<'q>) -> Self {
        let needs = filter.needs();
        Self {
            filter,
            is_exact: !needs.texts && needs.fields.iter().all(is_known::<C>),
            rows: PhantomData,
        }
    }

    /// Whether the service and the grade of a row always tell whether it matches.
    pub(super) fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Whether every row matches, whatever is known of it.
    pub(super) fn is_always(&self) -> bool {
        self.filter.is_empty()
    }

    /// What is told of the rows of a service and a grade.
    pub(super) fn of(&self, service: &str, grade: u8) -> Matches {
        let record = KnownOf::<C> {
            service,
            grade: C::value_of(grade),
            rows: PhantomData,
        };
        let (filter, exact) = (self.filter, self.is_exact);
        match exact {
            _ if self.is_always() => Matches::Yes,
            true if filter.query().matches(&record) => Matches::Yes,
            false if filter.needs().may_admit(&record, is_known::<C>) => Matches::Perhaps,
            true | false => Matches::No,
        }
    }
}

impl ByKind<'_, '_, SpanChunk> {
    /// What is told of the traces of a block, by the numbers of their service sets; none when nothing is.
    pub(super) fn of_sets(
        &self,
        block: &Block<SpanChunk>,
    ) -> Result<Option<Vec<Matches>>, BlockError> {
        let (Some(tally), Some(sets)) = (block.tally()?, block.service_sets()?) else {
            return Ok(None);
        };
        let mut known: HashMap<(usize, u8), Matches> = HashMap::new();
        let mut of_kind = |(number, grade)| {
            *known.entry((number, grade)).or_insert_with(|| {
                let service = tally.services.get(number);
                self.of(service.map_or("", String::as_str), grade)
            })
        };
        let of_sets = sets
            .iter()
            .map(|kinds| kinds.map(&mut of_kind).max().unwrap_or(Matches::No));
        Ok(Some(of_sets.collect()))
    }

    /// What is told of a trace of a chunk, by its place among the traces there.
    pub(super) fn of_trace(&self, chunk: &SpanChunk, place: usize) -> Matches {
        if self.is_always() {
            return Matches::Yes;
        }
        let rows = chunk.traces().rows_at(place).iter();
        let mut kinds: Vec<(&str, u8)> = rows
            .map(|row| (chunk.service(*row as usize), chunk.grade(*row as usize)))
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        let of_kinds = kinds
            .iter()
            .map(|(service, grade)| self.of(service, *grade));
        of_kinds.max().unwrap_or(Matches::No)
    }
}

/// Whether a field is the service or the grade.
fn is_known<C: Storable>(field: &Field) -> bool {
    *field == Field::Intrinsic(Intrinsic::Service) || *field == Field::Intrinsic(C::GRADE)
}

/// A row of which no more is known than its service and its grade.
struct KnownOf<'a, C> {
    service: &'a str,
    grade: Option<Value<'static>>,
    rows: PhantomData<fn() -> C>,
}

impl<C: Storable> Record for KnownOf<'_, C> {
    fn any_value(&self, field: &Field, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        match field {
            Field::Intrinsic(Intrinsic::Service) => visit(Value::Str(self.service)),
            Field::Intrinsic(other) if *other == C::GRADE => self.grade.is_some_and(visit),
            _ => false,
        }
    }

    fn any_text(&self, _: &mut dyn FnMut(&str) -> bool) -> bool {
        false
    }
}
