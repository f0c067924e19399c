//! How much a search that ends early looks at before it asks again whether it can end.

use super::{
    units::{Asking, STRETCH_ROWS},
    walk::{Stretch, WaveSize},
};

/// Rows that are worth a thread of their own.
const ROWS_PER_THREAD: u64 = 8192;

/// Waves for each thread: a thread that is done early has something left to do.
const STRETCHES_PER_THREAD: u64 = 2;

/// How large the waves of a search are: the first is a part, each may be twice the one before, and none is larger than
/// what the threads read at once a few times over.
#[derive(Debug)]
pub(super) struct Pace {
    threads: u64,
    /// Rows of the wave before.
    before: u64,
    /// Rows of all so far.
    looked: u64,
}

impl Pace {
    pub(super) fn new(asking: Asking<'_>) -> Self {
        Self {
            threads: asking.pool.threads() as u64,
            before: 0,
            looked: 0,
        }
    }

    /// The size of the next wave of a search that wants so many more after it found so many.
    pub(super) fn next(&self, found: u64, wanted: u64) -> WaveSize {
        let hoped = match found {
            0 => u64::MAX,
            found => (self.looked.saturating_mul(wanted) / found).saturating_add(1),
        };
        let rows_max = self.threads * STRETCHES_PER_THREAD * STRETCH_ROWS;
        let rows = (self.before * 2).min(hoped).clamp(1, rows_max);
        WaveSize {
            rows,
            stretch_rows: rows
                .div_ceil(self.threads * STRETCHES_PER_THREAD)
                .clamp(ROWS_PER_THREAD.min(STRETCH_ROWS), STRETCH_ROWS),
        }
    }

    /// Takes a wave into account.
    pub(super) fn went(&mut self, wave: &[Stretch]) {
        self.before = wave.iter().map(|stretch| stretch.row_count).sum();
        self.looked += self.before;
    }
}
