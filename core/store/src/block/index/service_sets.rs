//! Which services the spans of a trace are of, and which grades ([`super::tally`]) they have there.
//!
//! Traces come in few sorts, so that the different sets are listed once (section 15), those of the most traces first, and
//! a trace has the number of its own ([`super::traces`]). So whether a trace has a span of a service, or a failed one of
//! it, is known without a span.
//!
//! | what | |
//! |---|---|
//! | for each set | how many services and grades it has, then each, ascending, as the number of the service among those of section 9, and the grade (one byte) |
//!
//! Numbers are LEB128. A block with more than [`SERVICES_MAX`] services has no such section; then nothing is known.

use hashbrown::HashMap;

use crate::block::{
    error::Malformed,
    wire::{Input, put_varint},
};

/// Services of a block at most for which it is told.
const SERVICES_MAX: u16 = u16::MAX;

/// The service of a row, by its number in the block, and its grade there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowKind {
    /// [`SERVICES_MAX`] for that service and all after it.
    service: u16,
    grade: u8,
}

impl RowKind {
    pub(crate) fn new(service: u32, grade: u8) -> Self {
        Self {
            service: u16::try_from(service).unwrap_or(SERVICES_MAX),
            grade,
        }
    }
}

/// The sets of some traces that are written.
#[derive(Debug)]
pub(super) struct SetsWriter {
    sets: Vec<Vec<RowKind>>,
    /// By trace, in their order: the number of its set.
    numbers: Vec<u32>,
    is_told: bool,
}

impl SetsWriter {
    /// Those of traces, each told by the kinds of its rows.
    pub(super) fn new(traces: impl Iterator<Item = impl Iterator<Item = RowKind>>) -> Self {
        let mut found: HashMap<Vec<RowKind>, u32> = HashMap::new();
        let mut numbers = Vec::new();
        let mut kinds: Vec<RowKind> = Vec::new();
        for trace in traces {
            kinds.clear();
            kinds.extend(trace);
            kinds.sort_unstable();
            kinds.dedup();
            let next = found.len() as u32;
            let number = match found.get(kinds.as_slice()) {
                Some(number) => *number,
                None => *found.entry(kinds.clone()).or_insert(next),
            };
            numbers.push(number);
        }
        let mut counts = vec![0_u32; found.len()];
        for number in &numbers {
            if let Some(count) = counts.get_mut(*number as usize) {
                *count += 1;
            }
        }
        let count = |number: u32| counts.get(number as usize).copied().unwrap_or(0);
        let mut sets: Vec<(Vec<RowKind>, u32)> = found.into_iter().collect();
        sets.sort_unstable_by(|(a, number_of_a), (b, number_of_b)| {
            (count(*number_of_b), a).cmp(&(count(*number_of_a), b))
        });
        let mut new_numbers = vec![0; sets.len()];
        for (new, (_, old)) in (0..).zip(&sets) {
            if let Some(number) = new_numbers.get_mut(*old as usize) {
                *number = new;
            }
        }
        let renumbered = numbers
            .iter()
            .map(|old| new_numbers.get(*old as usize).copied().unwrap_or(0));
        let is_told = |set: &Vec<RowKind>| set.iter().all(|kind| kind.service < SERVICES_MAX);
        Self {
            numbers: renumbered.collect(),
            is_told: sets.iter().all(|(set, _)| is_told(set)),
            sets: sets.into_iter().map(|(set, _)| set).collect(),
        }
    }

    /// By trace, in their order: the number of its set.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        let numbers = self.numbers.iter().copied();
        numbers.map(|number| if self.is_told { number } else { 0 })
    }

    /// The section; none when nothing is told.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        if !self.is_told {
            return None;
        }
        let mut bytes = Vec::new();
        for set in &self.sets {
            put_varint(&mut bytes, set.len() as u64);
            for kind in set {
                put_varint(&mut bytes, kind.service.into());
                bytes.push(kind.grade);
            }
        }
        Some(bytes)
    }
}

/// The sets of the traces of a block, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServiceSets {
    kinds: Vec<RowKind>,
    /// Where the kinds of each set end.
    ends: Vec<u32>,
}

impl ServiceSets {
    /// Reads the section of a block with so many services.
    pub(crate) fn decode(bytes: &[u8], services: usize) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        let mut sets = Self::default();
        while !input.is_empty() {
            for _ in 0..input.varint_u32()? {
                let service = input.varint_u32()?;
                if service as usize >= services {
                    return Err(Malformed::new("a set of services names none"));
                }
                sets.kinds.push(RowKind::new(service, input.u8()?));
            }
            sets.ends.push(sets.kinds.len() as u32);
        }
        Ok(sets)
    }

    /// Of each set, in their order: each service, by its number, and each grade that it has there.
    pub(crate) fn iter(&self) -> impl Iterator<Item = impl Iterator<Item = (usize, u8)>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| {
            let kinds = self.kinds.get(start as usize..*end as usize);
            let kinds = kinds.unwrap_or_default().iter();
            kinds.map(|kind| (usize::from(kind.service), kind.grade))
        })
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.kinds.as_slice()) + size_of_val(self.ends.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn kind(pair: &(u32, u8)) -> RowKind {
        RowKind::new(pair.0, pair.1)
    }

    proptest! {
        #[test]
        fn each_trace_has_the_set_of_its_rows(traces in vec(vec((0..4_u32, 0..3_u8), 1..6), 0..40)) {
            let writer = SetsWriter::new(traces.iter().map(|rows| rows.iter().map(kind)));
            let sets = ServiceSets::decode(&writer.encode().unwrap(), 4).unwrap();
            let sets: Vec<Vec<(usize, u8)>> = sets.iter().map(Iterator::collect).collect();
            for (rows, number) in traces.iter().zip(writer.numbers()) {
                let mut expected: Vec<(usize, u8)> =
                    rows.iter().map(|(service, grade)| (*service as usize, *grade)).collect();
                expected.sort_unstable();
                expected.dedup();
                prop_assert_eq!(&sets[number as usize], &expected);
            }
        }

        #[test]
        fn fuzz_any_bytes_are_service_sets_or_an_error(bytes in vec(any::<u8>(), 0..100), services in 0..300_usize) {
            if let Ok(sets) = ServiceSets::decode(&bytes, services) {
                let mut kinds = sets.iter().flatten();
                prop_assert!(kinds.all(|(service, _)| service < services));
            }
        }
    }

    #[test]
    fn the_set_of_most_traces_has_the_number_of_one_byte_less() {
        let rare = (0..300).map(|service| vec![RowKind::new(service, 0)]);
        let common = vec![vec![RowKind::new(299, 2)]; 2];
        let traces: Vec<Vec<RowKind>> = rare.chain(common).collect();
        let writer = SetsWriter::new(traces.iter().map(|rows| rows.iter().copied()));
        let numbers: Vec<u32> = writer.numbers().collect();
        assert_eq!(numbers[300..], [0, 0]);
        assert_eq!(numbers[..2], [1, 2]);
    }

    #[test]
    fn of_a_block_with_too_many_services_nothing_is_told() {
        let sets = |services: u32| {
            let traces = [0, services - 1].map(|service| [RowKind::new(service, 0)].into_iter());
            let writer = SetsWriter::new(traces.into_iter());
            (writer.encode().is_some(), writer.numbers().max())
        };
        assert_eq!(sets(u32::from(u16::MAX)), (true, Some(1)));
        assert_eq!(sets(u32::from(u16::MAX) + 1), (false, Some(0)));
    }
}
