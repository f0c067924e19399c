//! Which envelope each row of a chunk came in.

use crate::Origin;

/// Neighbours that came in one envelope.
#[derive(Clone, Copy, Debug)]
struct Run {
    first_row: u32,
    origin: Origin,
    /// The index of the first row in its envelope.
    first_index: u32,
}

/// A column of origins, run by run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    runs: Vec<Run>,
    rows: u32,
}

impl Origins {
    /// Adds the origin of a row; answers how many bytes the column grew by.
    pub(crate) fn append(&mut self, origin: Origin, index: u32) -> usize {
        let row = self.rows;
        self.rows += 1;
        let follows =
            |run: &Run| run.origin == origin && run.first_index + (row - run.first_row) == index;
        if self.runs.last().is_some_and(follows) {
            return 0;
        }
        self.runs.push(Run {
            first_row: row,
            origin,
            first_index: index,
        });
        size_of::<Run>()
    }

    pub(super) fn shrink(&mut self) {
        self.runs.shrink_to_fit();
    }

    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// The origin of a row, and its index in the envelope.
    pub(crate) fn of(&self, row: usize) -> (Origin, u32) {
        let row = row as u32;
        let after = self.runs.partition_point(|run| run.first_row <= row);
        match after.checked_sub(1).and_then(|run| self.runs.get(run)) {
            Some(run) => (run.origin, run.first_index + (row - run.first_row)),
            // No caller asks for a row that is not there.
            None => (
                Origin {
                    partition: 0,
                    offset: 0,
                },
                row,
            ),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.runs.capacity() * size_of::<Run>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_knows_its_envelope_and_its_index() {
        let rows = [
            (0, 7, 0),
            (0, 7, 1),
            (1, 7, 0),
            (1, 7, 1),
            (0, 8, 5),
            (0, 8, 7),
            (0, 8, 8),
        ];
        let rows = rows.map(|(partition, offset, index)| (Origin { partition, offset }, index));
        let mut origins = Origins::default();
        for (origin, index) in rows {
            origins.append(origin, index);
        }
        assert_eq!(origins.runs.len(), 4);
        for (row, expected) in rows.iter().enumerate() {
            assert_eq!(origins.of(row), *expected);
        }
    }
}
