//! How many rows of each service and grade a piece has (section 9), so that most counts over time need no row.
//!
//! The **grade** of a log record is the number of its severity, that of a span the number of its status; both as a query
//! sees them, so that 0 is a severity that is unspecified or unknown, and a status that is unset.
//!
//! | what | |
//! |---|---|
//! | services | their number, then each as a text |
//! | for each piece | how many counts it has, then each as the number of the service, the grade (one byte), and the rows |
//!
//! Numbers are LEB128. A piece that would have more than [`COUNTS_MAX`] counts has none: its rows have to be read. With a
//! dozen services and three grades that is some 0.03 bytes a row.

use std::collections::HashMap;

use crate::block::{
    Storable,
    error::Malformed,
    gather::Picked,
    wire::{Input, put_text, put_varint},
};

/// Counts of a piece at most: a piece of 4,096 rows of more services is as quick to read.
const COUNTS_MAX: usize = 512;

/// The rows of a service and a grade in a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count {
    /// The number of the service among those of the block.
    pub(crate) service: u32,
    pub(crate) grade: u8,
    pub(crate) rows: u32,
}

/// The counts of all pieces of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) services: Vec<String>,
    counts: Vec<Count>,
    /// Where the counts of each piece end.
    ends: Vec<u32>,
}

impl Tally {
    /// The counts of a piece; none when its rows have to be read.
    pub(crate) fn of_piece(&self, piece: usize) -> Option<&[Count]> {
        let start = piece
            .checked_sub(1)
            .map_or(Some(&0), |it| self.ends.get(it))?;
        let end = self.ends.get(piece)?;
        let counts = self.counts.get(*start as usize..*end as usize)?;
        Some(counts).filter(|counts| !counts.is_empty())
    }

    pub(crate) fn pieces(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        let services = self.services.iter();
        services
            .map(|name| name.len() + size_of::<String>())
            .sum::<usize>()
            + size_of_val(self.counts.as_slice())
            + size_of_val(self.ends.as_slice())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        let mut tally = Self::default();
        for _ in 0..input.varint_u32()? {
            tally.services.push(input.text()?.to_owned());
        }
        while !input.is_empty() {
            for _ in 0..input.varint_u32()? {
                let count = Count {
                    service: input.varint_u32()?,
                    grade: input.u8()?,
                    rows: input.varint_u32()?,
                };
                if count.service as usize >= tally.services.len() {
                    return Err(Malformed::new("a count names no service"));
                }
                tally.counts.push(count);
            }
            tally.ends.push(tally.counts.len() as u32);
        }
        Ok(tally)
    }
}

/// Counts the rows of pieces that are written.
#[derive(Debug, Default)]
pub(crate) struct TallyWriter {
    numbers: HashMap<String, u32>,
    services: Vec<u8>,
    pieces: Vec<u8>,
    counts: HashMap<(u32, u8), u32>,
}

impl TallyWriter {
    /// Counts the rows of the next piece. Answers the number of the service of each.
    pub(crate) fn add<C: Storable>(&mut self, picked: Picked<'_, C>) -> Vec<u32> {
        self.counts.clear();
        let mut numbers = Vec::with_capacity(picked.len());
        let mut last: Option<((usize, usize), u32)> = None;
        for (chunk, row) in picked.iter() {
            let resource = (
                std::ptr::from_ref(chunk).addr(),
                chunk.resources().number(row),
            );
            let service = match last {
                Some((of, service)) if of == resource => service,
                _ => {
                    last.insert((resource, self.number_of(chunk.service(row))))
                        .1
                }
            };
            *self.counts.entry((service, chunk.grade(row))).or_default() += 1;
            numbers.push(service);
        }
        if self.counts.len() > COUNTS_MAX {
            self.counts.clear();
        }
        let mut counts: Vec<_> = self.counts.drain().collect();
        counts.sort_unstable();
        put_varint(&mut self.pieces, counts.len() as u64);
        for ((service, grade), rows) in counts {
            put_varint(&mut self.pieces, service.into());
            self.pieces.push(grade);
            put_varint(&mut self.pieces, rows.into());
        }
        numbers
    }

    fn number_of(&mut self, service: &str) -> u32 {
        if let Some(number) = self.numbers.get(service) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(service.to_owned(), number);
        put_text(&mut self.services, service);
        number
    }

    /// The section.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.services.len() + self.pieces.len() + 8);
        put_varint(&mut bytes, self.numbers.len() as u64);
        bytes.extend_from_slice(&self.services);
        bytes.extend_from_slice(&self.pieces);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fuzz_any_bytes_are_a_tally_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(tally) = Tally::decode(&bytes) {
                for piece in 0..tally.pieces() + 1 {
                    let counts = tally.of_piece(piece).into_iter().flatten();
                    prop_assert!(counts.into_iter().all(|count| (count.service as usize) < tally.services.len()));
                }
            }
        }
    }
}
