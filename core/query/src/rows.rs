//! [`RowSet`]: which of some numbered records are meant.

use std::ops::Range;

/// Some of the records 0 to `rows`: a bit for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSet {
    words: Vec<u64>,
    rows: usize,
}

const BITS: usize = u64::BITS as usize;

impl RowSet {
    /// None of so many records.
    pub fn none(rows: usize) -> Self {
        Self {
            words: vec![0; rows.div_ceil(BITS)],
            rows,
        }
    }

    /// All of so many records.
    pub fn all(rows: usize) -> Self {
        Self::within(0..rows, rows)
    }

    /// Those of so many records that lie in a range.
    pub fn within(range: Range<usize>, rows: usize) -> Self {
        let mut set = Self::none(rows);
        let (start, end) = (range.start.min(rows), range.end.min(rows));
        for (number, word) in set.words.iter_mut().enumerate() {
            *word = mask(number, start, end);
        }
        set
    }

    /// Those of so many records that `is_meant` says yes to.
    #[inline]
    pub fn of(rows: usize, mut is_meant: impl FnMut(usize) -> bool) -> Self {
        let mut set = Self::none(rows);
        for (number, word) in set.words.iter_mut().enumerate() {
            let first = number * BITS;
            for row in first..(first + BITS).min(rows) {
                *word |= u64::from(is_meant(row)) << (row - first);
            }
        }
        set
    }

    /// How many records there are, meant or not.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many are meant.
    pub fn count(&self) -> usize {
        let ones = self.words.iter().map(|word| word.count_ones() as usize);
        ones.sum()
    }

    /// How many of a range are meant.
    pub fn count_in(&self, range: Range<usize>) -> usize {
        let words = range.start / BITS..range.end.div_ceil(BITS).min(self.words.len());
        let some = self.words.get(words.clone()).unwrap_or_default();
        let ones = words
            .zip(some)
            .map(|(number, word)| (word & mask(number, range.start, range.end)).count_ones());
        ones.sum::<u32>() as usize
    }

    /// Whether none is meant.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Whether all are meant.
    pub fn is_all(&self) -> bool {
        self.count() == self.rows
    }

    /// Whether a record is meant.
    #[inline]
    pub fn contains(&self, row: usize) -> bool {
        let word = self.words.get(row / BITS).copied().unwrap_or(0);
        word >> (row % BITS) & 1 == 1
    }

    /// Means a record; one that is not there stays out.
    #[inline]
    pub fn insert(&mut self, row: usize) {
        if row < self.rows
            && let Some(word) = self.words.get_mut(row / BITS)
        {
            *word |= 1 << (row % BITS);
        }
    }

    /// Means those of another set, too.
    pub fn unite(&mut self, other: &Self) {
        self.each_with(other, |mine, theirs| mine | theirs);
    }

    /// Means only those that another set means, too.
    pub fn intersect(&mut self, other: &Self) {
        self.each_with(other, |mine, theirs| mine & theirs);
    }

    /// Means those of another set no more.
    pub fn subtract(&mut self, other: &Self) {
        self.each_with(other, |mine, theirs| mine & !theirs);
    }

    /// Of those that are meant, the ones that `stays` says yes to.
    #[inline]
    pub fn retain(&mut self, mut stays: impl FnMut(usize) -> bool) {
        for (number, word) in self.words.iter_mut().enumerate() {
            let mut left = *word;
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                if !stays(number * BITS + bit) {
                    *word &= !(1 << bit);
                }
            }
        }
    }

    /// The records that are meant, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let words = self.words.iter().enumerate();
        words.flat_map(|(number, word)| OnesOf {
            word: *word,
            first: number * BITS,
        })
    }

    fn each_with(&mut self, other: &Self, combine: impl Fn(u64, u64) -> u64) {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        for (mine, theirs) in self.words.iter_mut().zip(others) {
            *mine = combine(*mine, theirs);
        }
    }
}

/// The bits of a word that lie in a range of records.
fn mask(number: usize, start: usize, end: usize) -> u64 {
    let first = number * BITS;
    let from = start.saturating_sub(first).min(BITS);
    let to = end.saturating_sub(first).min(BITS);
    if from >= to {
        return 0;
    }
    let below = |bits: usize| u64::MAX.checked_shl(bits as u32).map_or(u64::MAX, |it| !it);
    below(to) & !below(from)
}

struct OnesOf {
    word: u64,
    first: usize,
}

impl Iterator for OnesOf {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.word == 0 {
            return None;
        }
        let bit = self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        Some(self.first + bit)
    }
}

impl DoubleEndedIterator for OnesOf {
    #[inline]
    fn next_back(&mut self) -> Option<usize> {
        if self.word == 0 {
            return None;
        }
        let bit = BITS - 1 - self.word.leading_zeros() as usize;
        self.word &= !(1 << bit);
        Some(self.first + bit)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_is_like_one_of_numbers(
            rows in 0..200_usize,
            some in prop::collection::btree_set(0..200_usize, 0..80),
            others in prop::collection::btree_set(0..200_usize, 0..80),
            (a, b) in (0..220_usize, 0..220_usize),
        ) {
            let there = |all: &BTreeSet<usize>| all.iter().copied().filter(|row| *row < rows).collect::<BTreeSet<_>>();
            let (some, others) = (there(&some), there(&others));
            let set = RowSet::of(rows, |row| some.contains(&row));
            let other = RowSet::of(rows, |row| others.contains(&row));
            let numbers = |set: &RowSet| set.iter().collect::<BTreeSet<_>>();
            prop_assert_eq!(numbers(&set), some.clone());
            prop_assert!(set.iter().rev().eq(some.iter().rev().copied()));
            prop_assert_eq!(set.count(), some.len());
            let range = a.min(b)..a.max(b);
            prop_assert_eq!(set.count_in(range.clone()), some.range(range.clone()).count());
            let within = RowSet::within(range.clone(), rows);
            prop_assert!(within.iter().eq(range.filter(|row| *row < rows)));
            for (combine, expected) in [
                (RowSet::unite as fn(&mut RowSet, &RowSet), &some | &others),
                (RowSet::intersect, &some & &others),
                (RowSet::subtract, &some - &others),
            ] {
                let mut combined = set.clone();
                combine(&mut combined, &other);
                prop_assert_eq!(numbers(&combined), expected);
            }
            let mut kept = set;
            kept.retain(|row| row % 3 == 0);
            prop_assert_eq!(numbers(&kept), some.into_iter().filter(|row| row % 3 == 0).collect::<BTreeSet<_>>());
            prop_assert_eq!(RowSet::all(rows).count(), rows);
        }
    }
}
