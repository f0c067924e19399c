//! Counts pieces without reading their rows, by what the index knows of them.

use std::sync::Arc;

use log_tracer_query::{Field, Intrinsic, Record, Value};

use super::{HistogramGroup, cells::Cells};
use crate::{
    block::{Block, BlockError, BlockId, Storable, Tally},
    search::filter::Filter,
    stop::Progress,
};

/// What is worked out once a block.
#[derive(Debug)]
pub(super) struct Unread<'f, 'q> {
    filter: &'f Filter<'q>,
    group: HistogramGroup,
    /// Of the block at hand.
    block: Option<BlockId>,
    tally: Option<Arc<Tally>>,
    /// By service and grade: whether such rows match.
    matching: Vec<Option<bool>>,
    /// By service: its group.
    groups: Vec<Option<Option<usize>>>,
}

/// Grades of a service at most.
const GRADES: usize = 32;

impl<'f, 'q> Unread<'f, 'q> {
    pub(super) fn new(filter: &'f Filter<'q>, group: HistogramGroup) -> Self {
        Self {
            filter,
            group,
            block: None,
            tally: None,
            matching: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Counts all rows of a piece that match, when they lie in the same step and the index knows enough of them. False
    /// when they have to be looked at.
    pub(super) fn count<C: Storable>(
        &mut self,
        block: &Block<C>,
        piece: usize,
        cells: &mut Cells,
        progress: &mut Progress<'_>,
    ) -> Result<bool, BlockError> {
        let Some(known) = block.pieces().get(piece) else {
            return Ok(true);
        };
        let (bounds, rows) = (known.bounds, known.rows.len() as u64);
        if cells.count_whole(bounds, rows, self.filter, progress) {
            return Ok(true);
        }
        if !cells.are_in_one_step(bounds, self.filter.range()) {
            return Ok(false);
        }
        if !is_of_service_and_grade::<C>(self.filter) {
            return Ok(false);
        }
        self.move_to(block)?;
        let Some(tally) = self.tally.clone() else {
            return Ok(false);
        };
        let Some(counts) = tally.of_piece(piece) else {
            return Ok(false);
        };
        for count in counts {
            let number = count.service as usize;
            let service = tally.services.get(number).map_or("", String::as_str);
            if !self.matches::<C>(number, service, count.grade) {
                continue;
            }
            let group = match self.group {
                HistogramGroup::None => Some(0),
                HistogramGroup::Level => Some(C::level_of(count.grade)),
                HistogramGroup::Service => match self.groups.get_mut(number) {
                    Some(known) => *known.get_or_insert_with(|| cells.group_of(service)),
                    None => None,
                },
            };
            let rows = u64::from(count.rows);
            progress.coverage.matched += rows;
            cells.add(group, bounds.first, rows);
        }
        Ok(true)
    }

    fn move_to<C: Storable>(&mut self, block: &Block<C>) -> Result<(), BlockError> {
        if self.block.replace(block.info().id) == Some(block.info().id) {
            return Ok(());
        }
        self.tally = block.tally()?;
        let services = self.tally.as_ref().map_or(0, |tally| tally.services.len());
        self.matching = vec![None; services * GRADES];
        self.groups = vec![None; services];
        Ok(())
    }

    fn matches<C: Storable>(&mut self, number: usize, service: &str, grade: u8) -> bool {
        if self.filter.is_empty() {
            return true;
        }
        let query = self.filter.query();
        let record = Counted::<C> {
            service,
            grade: C::value_of(grade),
            rows: std::marker::PhantomData,
        };
        match self.matching.get_mut(number * GRADES + usize::from(grade)) {
            Some(known) if usize::from(grade) < GRADES => {
                *known.get_or_insert_with(|| query.matches(&record))
            }
            _ => query.matches(&record),
        }
    }
}

/// Whether a query looks at nothing but services and grades.
fn is_of_service_and_grade<C: Storable>(filter: &Filter<'_>) -> bool {
    let needs = filter.needs();
    let is_known = |field: &Field| {
        *field == Field::Intrinsic(Intrinsic::Service) || *field == Field::Intrinsic(C::GRADE)
    };
    !needs.texts && needs.fields.iter().all(is_known)
}

/// A row of which no more is known than its service and its grade.
struct Counted<'a, C> {
    service: &'a str,
    grade: Option<Value<'static>>,
    rows: std::marker::PhantomData<fn() -> C>,
}

impl<C: Storable> Record for Counted<'_, C> {
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
