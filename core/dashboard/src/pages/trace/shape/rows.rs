//! The rows of a table that stand on one page: so many, or fewer where names are long, so that the page stays small.
//!
//! A page goes on from its first row, or back from the row after its last. So going back shows the rows just before,
//! however many of them fit, and going on from there leads to where one came from.

use std::ops::Range;

use super::State;
use crate::units::count;

/// One end of a page; the other is where no more fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    First(usize),
    /// The row after the last.
    Before(usize),
}

impl End {
    pub(crate) fn of(state: &State) -> Self {
        match state.before {
            Some(before) => Self::Before(before),
            None => Self::First(state.from.unwrap_or(0)),
        }
    }
}

/// What fits on a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) rows: usize,
    /// Of HTML; the row that goes beyond is still there.
    pub(crate) bytes: usize,
}

/// Some of the rows of a table.
#[derive(Debug)]
pub(crate) struct Page<R> {
    pub(crate) rows: Vec<R>,
    at: Range<usize>,
    total: usize,
}

impl<R> Page<R> {
    /// Of `total` rows, each made from its number with its bytes of HTML.
    pub(crate) fn cut(
        total: usize,
        end: End,
        room: Room,
        mut row: impl FnMut(usize) -> Option<(R, usize)>,
    ) -> Self {
        let mut left = room.bytes;
        let mut take = |number: usize| {
            if left == 0 {
                return None;
            }
            let (row, bytes) = row(number)?;
            left = left.saturating_sub(bytes);
            Some(row)
        };
        let last = total.saturating_sub(1);
        let (rows, at): (Vec<R>, Range<usize>) = match end {
            // Before the first row is none.
            End::Before(before) if before > 0 => {
                let to = before.min(total);
                let back = (0..to).rev().take(room.rows);
                let mut rows: Vec<R> = back.map_while(&mut take).collect();
                rows.reverse();
                let from = to - rows.len();
                (rows, from..to)
            }
            End::Before(_) | End::First(_) => {
                let from = match end {
                    End::First(from) => from.min(last),
                    End::Before(_) => 0,
                };
                let on = (from..total).take(room.rows);
                let rows: Vec<R> = on.map_while(&mut take).collect();
                let to = from + rows.len();
                (rows, from..to)
            }
        };
        Self { rows, at, total }
    }

    /// "41 to 80 of 1,200"; empty when all are there.
    pub(crate) fn place(&self) -> String {
        match self.at.len() == self.total {
            true => String::new(),
            false => format!(
                "{} to {} of {}",
                count(self.at.start as u64 + 1),
                count(self.at.end as u64),
                count(self.total as u64)
            ),
        }
    }

    pub(crate) fn previous(&self) -> Option<End> {
        (self.at.start > 0).then_some(End::Before(self.at.start))
    }

    pub(crate) fn next(&self) -> Option<End> {
        (self.at.end < self.total).then_some(End::First(self.at.end))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: Room = Room {
        rows: 7,
        bytes: 100,
    };

    fn page(bytes: &[usize], end: End) -> Page<usize> {
        Page::cut(bytes.len(), end, ROOM, |at| Some((at, bytes[at])))
    }

    #[test]
    fn the_page_before_the_first_row_is_the_first() {
        let page = page(&[1; 20], End::Before(0));
        assert_eq!(page.rows, (0..7).collect::<Vec<_>>());
        assert_eq!(page.previous(), None);
    }

    #[test]
    fn a_table_without_rows_has_one_page() {
        for end in [End::First(3), End::Before(3)] {
            let page = page(&[], end);
            assert_eq!(
                (page.place(), page.previous(), page.next()),
                (String::new(), None, None)
            );
        }
    }

    proptest! {
        #[test]
        fn every_row_is_on_one_page_whether_one_goes_on_or_back(
            bytes in prop::collection::vec(0_usize..150, 1..60),
            start in 0_usize..80,
        ) {
            let all: Vec<usize> = (0..bytes.len()).collect();
            let mut on: Vec<usize> = Vec::new();
            let mut end = Some(End::First(0));
            while let Some(here) = end {
                let page = page(&bytes, here);
                on.extend(&page.rows);
                end = page.next();
            }
            prop_assert_eq!(&on, &all);

            // From anywhere: what is there, and all before.
            let first = page(&bytes, End::First(start));
            let mut back = first.rows.clone();
            let mut end = first.previous();
            while let Some(here) = end {
                let page = page(&bytes, here);
                prop_assert!(page.rows.len() <= ROOM.rows);
                // The way on is the way one came.
                prop_assert_eq!(page.next(), back.first().map(|row| End::First(*row)));
                back.splice(0..0, page.rows.iter().copied());
                end = page.previous();
            }
            prop_assert_eq!(&back[..], &all[..back.len()]);
        }
    }
}
