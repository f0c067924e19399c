//! Counts pieces without reading their rows, by what the index knows of them.

use std::sync::Arc;

use super::{HistogramGroup, cells::Cells};
use crate::{
    block::{Block, BlockError, BlockId, Storable, Tally},
    search::{
        by_kind::{ByKind, Matches},
        filter::Filter,
    },
    stop::Progress,
};

/// What is worked out once a block.
#[derive(Debug)]
pub(super) struct Unread<'f, 'q, C> {
    filter: &'f Filter<'q>,
    by_kind: ByKind<'f, 'q, C>,
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

impl<'f, 'q, C: Storable> Unread<'f, 'q, C> {
    pub(super) fn new(filter: &'f Filter<'q>, group: HistogramGroup) -> Self {
        Self {
            filter,
            by_kind: ByKind::new(filter),
            group,
            block: None,
            tally: None,
            matching: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Counts all rows of a piece that match, when they lie in the same step and the index knows enough of them. False
    /// when they have to be looked at.
    pub(super) fn count(
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
        if !self.by_kind.is_exact() {
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
            if !self.matches(number, service, count.grade) {
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

    fn move_to(&mut self, block: &Block<C>) -> Result<(), BlockError> {
        if self.block.replace(block.info().id) == Some(block.info().id) {
            return Ok(());
        }
        self.tally = block.tally()?;
        let services = self.tally.as_ref().map_or(0, |tally| tally.services.len());
        self.matching = vec![None; services * GRADES];
        self.groups = vec![None; services];
        Ok(())
    }

    fn matches(&mut self, number: usize, service: &str, grade: u8) -> bool {
        let by_kind = &self.by_kind;
        let matches = || by_kind.of(service, grade) == Matches::Yes;
        match self.matching.get_mut(number * GRADES + usize::from(grade)) {
            Some(known) if usize::from(grade) < GRADES => *known.get_or_insert_with(matches),
            _ => matches(),
        }
    }
}
