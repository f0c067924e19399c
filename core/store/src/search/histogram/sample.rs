//! Counts that are estimated.
//!
//! The pieces that can match are cut into groups of neighbours in time, and the one in the middle of each group is looked
//! at. It stands for the others: of a piece with so many rows in the range, the same part of them is taken to match, in
//! each group of the histogram, and they are counted where the piece lies in time. How many rows a piece that was not
//! looked at has in the range is told by its bounds, as if they were spread evenly between them.
//!
//! How far the sum can be off is told by how much the parts of neighbouring groups differ (the estimator of successive
//! differences for a systematic sample; Wolter, "Introduction to Variance Estimation", chapter 8): with m groups, whose
//! parts are p, of N rows, of which the part f was looked at, the variance is N^2 (1 - f) / m times the sum of
//! (p[i+1] - p[i])^2 over 2 (m - 1). The error is twice its root, but never less than a floor: parts that are alike say
//! nothing of pieces that are unlike all that were seen.
//!
//! The floor is the rule of three (Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249,
//! 1983): what was seen in none of m samples is, in 19 of 20 cases, true of no more than 3 / m of all. A sample is a piece
//! here and not a row, since rows that stand together are alike: what is rare mostly comes at once. So up to 3 / m of
//! what was left out may be unlike what was seen. How much of such pieces matches is taken to be the greatest part that was
//! seen; and all of it when no more than three pieces have a match, because of those the same rule says nothing.

use std::{collections::HashMap, ops::Range};

use super::cells::Cells;
use crate::{
    TimeRange,
    block::{Block, BlockId, Storable},
    chunk::TimeBounds,
    search::units::{Part, Place},
};

/// Which pieces are looked at, and for which others they stand.
#[derive(Debug)]
pub(super) struct Sample {
    /// What is not looked at.
    others: Vec<Other>,
    /// By block and piece that is looked at: those that it stands for, and the number of its group.
    groups: HashMap<(BlockId, usize), (Range<usize>, usize)>,
    /// Rows of the pieces that are looked at.
    rows: u64,
    left_out: u64,
}

/// A piece that is not looked at.
#[derive(Clone, Copy, Debug)]
struct Other {
    bounds: TimeBounds,
    rows: u64,
}

/// What was found in the piece of a group: its number, and the part of its rows in the range that match.
pub(super) type Found = (usize, f64);

impl Sample {
    /// Takes away those pieces of blocks that need not be looked at; none when there are not more rows than the bound.
    pub(super) fn take<C: Storable>(parts: &mut Vec<Part<'_, C>>, rows_max: u64) -> Option<Self> {
        let is_piece = |part: &Part<'_, C>| matches!(part.place, Place::Piece { .. });
        let pieces = parts.iter().filter(|part| is_piece(part));
        let (count, rows) =
            pieces.fold((0, 0), |(count, rows), part| (count + 1, rows + part.rows));
        if rows <= rows_max {
            return None;
        }
        let groups = (u128::from(rows_max) * count as u128 / u128::from(rows)).max(1) as usize;
        let mut sample = Self {
            others: Vec::new(),
            groups: HashMap::new(),
            rows: 0,
            left_out: 0,
        };
        let mut number = 0;
        parts.retain(|part| {
            let Place::Piece { block, piece, .. } = &part.place else {
                return true;
            };
            let group = number * groups / count;
            // All pieces of the group.
            let first = (group * count).div_ceil(groups);
            let end = ((group + 1) * count).div_ceil(groups);
            let is_taken = number == first.midpoint(end - 1);
            number += 1;
            if is_taken {
                sample.rows += part.rows;
                // One in each group before was taken, and so it is no other.
                let others = first - group..end - group - 1;
                let key = (block.info().id, *piece);
                sample.groups.insert(key, (others, group));
            } else {
                sample.left_out += part.rows;
                sample.others.push(Other {
                    bounds: part.bounds,
                    rows: part.rows,
                });
            }
            is_taken
        });
        Some(sample)
    }

    /// Rows that are not looked at.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// How far the sum of all counts is off at most, in 19 of 20 cases. Not 0 when rows were left out.
    pub(super) fn count_error(&self, mut found: Vec<Found>) -> u64 {
        found.sort_unstable_by_key(|(group, _)| *group);
        let groups = found.len() as f64;
        if groups < 2.0 {
            return self.left_out;
        }
        let (rows, left_out) = ((self.rows + self.left_out) as f64, self.left_out as f64);
        let pairs = found.iter().zip(found.iter().skip(1));
        let squares: f64 = pairs.map(|((_, a), (_, b))| (a - b).powi(2)).sum();
        let spread = squares / (2.0 * (groups - 1.0));
        let variance = rows * left_out * spread / groups;
        let error = (2.0 * variance.sqrt()).max(left_out * unlike(&found));
        (error.ceil() as u64).min(self.left_out)
    }
}

/// What nothing was seen of in n samples is true of no more than this over n of all, in 19 of 20 cases.
const RULE_OF_THREE: f64 = 3.0;

/// Which part of all rows may match, or not match, in pieces that are unlike those that were looked at.
fn unlike(found: &[Found]) -> f64 {
    let parts = found.iter().map(|(_, part)| *part);
    let matching = parts.clone().filter(|part| *part > 0.0).count() as f64;
    let greatest = match matching <= RULE_OF_THREE {
        true => 1.0,
        false => parts.fold(0.0, f64::max),
    };
    RULE_OF_THREE / found.len() as f64 * greatest
}

/// What one thread concludes from the pieces that it looked at.
#[derive(Debug)]
pub(super) struct Estimates<'a> {
    sample: &'a Sample,
    /// Of the stretch at hand: the rows of each piece, those that match by group, and which piece it is.
    pieces: Vec<Looked>,
    /// The piece of the row before.
    place: usize,
    found: Vec<Found>,
}

/// A piece that is looked at.
#[derive(Debug)]
struct Looked {
    key: (BlockId, usize),
    rows: Range<usize>,
    /// By group.
    counts: Vec<u64>,
}

impl<'a> Estimates<'a> {
    pub(super) fn new(sample: &'a Sample) -> Self {
        Self {
            sample,
            pieces: Vec::new(),
            place: 0,
            found: Vec::new(),
        }
    }

    /// Begins with the pieces of a stretch.
    pub(super) fn begin<C: Storable>(&mut self, block: &Block<C>, pieces: &[usize]) {
        let mut end = 0;
        let looked = pieces.iter().map(|piece| {
            let rows = block.pieces().get(*piece).map_or(0, |it| it.rows.len());
            let start = end;
            end += rows;
            Looked {
                key: (block.info().id, *piece),
                rows: start..end,
                counts: Vec::new(),
            }
        });
        self.pieces = looked.collect();
        self.place = 0;
    }

    /// Counts a row of the stretch that matches; they come ascending. One that has no group is not estimated.
    pub(super) fn count(&mut self, row: usize, group: Option<usize>) {
        while let Some(piece) = self.pieces.get_mut(self.place) {
            if row >= piece.rows.end {
                self.place += 1;
                continue;
            }
            if let Some(group) = group {
                if piece.counts.len() <= group {
                    piece.counts.resize(group + 1, 0);
                }
                if let Some(count) = piece.counts.get_mut(group) {
                    *count += 1;
                }
            }
            return;
        }
    }

    /// Whether a row of the stretch matches.
    pub(super) fn has_any(&self) -> bool {
        self.pieces.iter().any(|piece| !piece.counts.is_empty())
    }

    /// Adds what the pieces of the stretch stand for, as far as it lies in the range. The times are those of the rows of
    /// the stretch; they may be left out when none matches.
    pub(super) fn end(&mut self, cells: &mut Cells, range: TimeRange, times: &[u64]) {
        for piece in std::mem::take(&mut self.pieces) {
            let Some((others, group)) = self.sample.groups.get(&piece.key) else {
                continue;
            };
            // Only rows of the range can match, and of another piece only such rows are estimated.
            let times = times.get(piece.rows).unwrap_or_default();
            let in_range = times.iter().filter(|time| range.contains(**time)).count();
            let rows = in_range.max(1) as f64;
            let matched: u64 = piece.counts.iter().sum();
            self.found.push((*group, matched as f64 / rows));
            for other in self.sample.others.get(others.clone()).unwrap_or_default() {
                for (group, count) in piece.counts.iter().enumerate().filter(|it| *it.1 > 0) {
                    let estimate = *count as f64 / rows * other.rows as f64;
                    for (time, part) in cells.steps_within(other.bounds, range) {
                        cells.add_estimate(group, time, estimate * part);
                    }
                }
            }
        }
    }

    pub(super) fn into_found(self) -> Vec<Found> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(parts: &[f64]) -> u64 {
        let sample = Sample {
            others: Vec::new(),
            groups: HashMap::new(),
            rows: 100_000,
            left_out: 900_000,
        };
        sample.count_error(parts.iter().copied().enumerate().collect())
    }

    #[test]
    fn of_what_was_not_found_three_pieces_of_all_may_be_full() {
        assert_eq!(error_of(&[0.0; 100]), 27_000);
        assert_eq!(error_of(&[0.0; 2]), 900_000);
        assert_eq!(error_of(&[0.0]), 900_000);
    }

    #[test]
    fn a_match_in_a_few_pieces_says_no_more_of_the_others_than_none() {
        let mut parts = [0.0; 100];
        for place in [10, 50, 90] {
            parts[place] = 0.000_1;
            assert_eq!(error_of(&parts), 27_000);
        }
    }

    #[test]
    fn parts_that_are_alike_leave_room_for_pieces_that_are_not() {
        assert_eq!(error_of(&[1.0; 100]), 27_000);
        assert_eq!(error_of(&[0.1; 100]), 2_700);
    }

    #[test]
    fn parts_that_differ_much_are_told_by_their_spread() {
        let parts: Vec<f64> = (0..100).map(|place| f64::from(place % 2)).collect();
        assert!(error_of(&parts) > 100_000);
    }
}
