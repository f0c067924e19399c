//! A question about few of the rows reads only the pages that they stand in.
//!
//! What a query asks of a field is asked of the rows that are left by what it asked before. Once those stand in less than
//! half of the pages, the columns that come next are read of these pages alone.

use std::ops::Range;

use log_tracer_query::RowSet;

use super::Scan;
use crate::block::{BlockError, Storable};

/// Some pages of a scan, as a scan of their own.
pub(super) struct Narrow<'b, C> {
    pub(super) scan: Scan<'b, C>,
    /// The rows of the pages in the scan around it.
    pages: Vec<Range<usize>>,
    /// How many rows that one has.
    rows_around: usize,
}

impl<'b, C: Storable> Scan<'b, C> {
    /// The pages with some rows; none when they are so many that reading all does as well.
    pub(super) fn narrowed(&self, among: &RowSet) -> Result<Option<Narrow<'b, C>>, BlockError> {
        if self.rows <= self.page_rows {
            return Ok(None);
        }
        let (mut pages, mut in_block): (Vec<Range<usize>>, Vec<Range<usize>>) = Default::default();
        let (mut before, mut kept) = (0, 0);
        for range in &self.ranges {
            let mut start = range.start;
            while start < range.end {
                let end = ((start / self.page_rows + 1) * self.page_rows).min(range.end);
                let here = before..before + (end - start);
                before = here.end;
                if among.count_in(here.clone()) > 0 {
                    kept += here.len();
                    push(&mut pages, here);
                    push(&mut in_block, start..end);
                }
                start = end;
            }
        }
        if kept * 2 > self.rows || kept == 0 {
            return Ok(None);
        }
        let scan = Scan {
            page_rows: self.page_rows,
            ..self.block.scan(in_block)?
        };
        Ok(Some(Narrow {
            scan,
            pages,
            rows_around: self.rows,
        }))
    }
}

fn push(ranges: &mut Vec<Range<usize>>, range: Range<usize>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

impl<C> Narrow<'_, C> {
    /// Rows of the scan around it as rows of this one.
    pub(super) fn inner(&self, among: &RowSet) -> RowSet {
        let mut inner = RowSet::none(self.scan.rows);
        let (mut pages, mut before) = (self.pages.iter(), 0);
        let mut at = pages.next();
        for row in among.iter() {
            while let Some(page) = at.filter(|page| row >= page.end) {
                before += page.len();
                at = pages.next();
            }
            if let Some(page) = at.filter(|page| page.contains(&row)) {
                inner.insert(before + row - page.start);
            }
        }
        inner
    }

    /// Rows of this scan as rows of the one around it.
    pub(super) fn outer(&self, found: &RowSet) -> RowSet {
        let mut outer = RowSet::none(self.rows_around);
        let (mut pages, mut before) = (self.pages.iter(), 0);
        let mut at = pages.next();
        for row in found.iter() {
            while let Some(page) = at.filter(|page| row - before >= page.len()) {
                before += page.len();
                at = pages.next();
            }
            if let Some(page) = at {
                outer.insert(page.start + row - before);
            }
        }
        outer
    }
}
