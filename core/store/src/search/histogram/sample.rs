//! Counts that are estimated.
//!
//! The pieces that can match are cut into groups of neighbours in time, and the one in the middle of each group is looked
//! at. It stands for the others: of a piece with so many rows, the same part of them is taken to match, in each group of
//! the histogram, and they are counted where the piece lies in time.
//!
//! How far the sum can be off is told by how much the parts of neighbouring groups differ (the estimator of successive
//! differences for a systematic sample; Wolter, "Introduction to Variance Estimation", chapter 8): with m groups, whose
//! parts are p, of N rows, of which the part f was looked at, the variance is N^2 (1 - f) / m times the sum of
//! (p[i+1] - p[i])^2 over 2 (m - 1). The error is twice its root.

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

/// What was found in the piece of a group: its number, and the part of the rows that match.
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

    /// How far the sum of all counts is off at most, in 19 of 20 cases.
    pub(super) fn count_error(&self, mut found: Vec<Found>) -> u64 {
        found.sort_unstable_by_key(|(group, _)| *group);
        let rows = (self.rows + self.left_out) as f64;
        let pairs = found.iter().zip(found.iter().skip(1));
        let squares: f64 = pairs.map(|((_, a), (_, b))| (a - b).powi(2)).sum();
        let groups = found.len() as f64;
        if groups < 2.0 {
            return self.left_out;
        }
        let spread = squares / (2.0 * (groups - 1.0));
        let variance = rows * (self.left_out as f64) * spread / groups;
        ((2.0 * variance.sqrt()).ceil() as u64).min(self.left_out)
    }
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

    /// Adds what the pieces of the stretch stand for, as far as it lies in the range.
    pub(super) fn end(&mut self, cells: &mut Cells, range: TimeRange) {
        for piece in std::mem::take(&mut self.pieces) {
            let Some((others, group)) = self.sample.groups.get(&piece.key) else {
                continue;
            };
            let rows = piece.rows.len().max(1) as f64;
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
