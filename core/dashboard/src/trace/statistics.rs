//! Spans that are counted together: how many, how long, and what part of the trace they are.

use std::hash::Hash;

use hashbrown::HashMap;

/// What one span adds. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) duration: u64,
    pub(crate) own: u64,
    pub(crate) critical: u64,
    pub(crate) is_error: bool,
}

/// Some spans together. Times are in nanoseconds; sums end at 2^64 - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    pub(crate) count: u64,
    pub(crate) errors: u64,
    pub(crate) total: u64,
    pub(crate) mean: u64,
    pub(crate) min: u64,
    /// Of n durations the one with the number ceil(n / 2), and ceil(0.95 n).
    pub(crate) p50: u64,
    pub(crate) p95: u64,
    pub(crate) max: u64,
    pub(crate) own: u64,
    pub(crate) critical: u64,
}

/// The samples of each key together, in the order in which the keys first came.
pub(crate) fn group<K: Eq + Hash + Clone>(
    samples: impl Iterator<Item = (K, Sample)>,
) -> Vec<(K, Statistics)> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut groups: Vec<(K, Vec<Sample>)> = Vec::new();
    for (key, sample) in samples {
        let next = groups.len();
        let place = *places.entry(key.clone()).or_insert(next);
        match groups.get_mut(place) {
            Some((_, samples)) => samples.push(sample),
            None => groups.push((key, vec![sample])),
        }
    }
    groups
        .into_iter()
        .map(|(key, samples)| (key, Statistics::new(&samples)))
        .collect()
}

impl Statistics {
    fn new(samples: &[Sample]) -> Self {
        let sum = |of: fn(&Sample) -> u64| samples.iter().map(of).fold(0, u64::saturating_add);
        let mut durations: Vec<u64> = samples.iter().map(|sample| sample.duration).collect();
        durations.sort_unstable();
        let count = durations.len();
        let number = |number: usize| {
            let at = number.saturating_sub(1);
            durations.get(at).copied().unwrap_or(0)
        };
        let total = sum(|sample| sample.duration);
        Self {
            count: count as u64,
            errors: sum(|sample| u64::from(sample.is_error)),
            total,
            mean: total.checked_div(count as u64).unwrap_or(0),
            min: number(1),
            p50: number(count.div_ceil(2)),
            p95: number((count * 95).div_ceil(100)),
            max: number(count),
            own: sum(|sample| sample.own),
            critical: sum(|sample| sample.critical),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(duration: u64) -> Sample {
        Sample {
            duration,
            own: duration / 2,
            critical: 1,
            is_error: duration.is_multiple_of(10),
        }
    }

    #[test]
    fn quantiles_are_durations_that_were_there() {
        let samples: Vec<Sample> = (1..=20).map(sample).collect();
        let statistics = Statistics::new(&samples);
        let want = Statistics {
            count: 20,
            errors: 2,
            total: 210,
            mean: 10,
            min: 1,
            p50: 10,
            p95: 19,
            max: 20,
            own: 100,
            critical: 20,
        };
        assert_eq!(statistics, want);
        let one = Statistics::new(&[sample(7)]);
        assert_eq!((one.min, one.p50, one.p95, one.max), (7, 7, 7, 7));
        assert_eq!(Statistics::new(&[]), Statistics::default());
    }

    #[test]
    fn sums_that_do_not_fit_end_at_the_greatest_number() {
        let huge = Statistics::new(&[sample(u64::MAX), sample(u64::MAX)]);
        assert_eq!((huge.total, huge.max), (u64::MAX, u64::MAX));
    }

    proptest! {
        #[test]
        fn every_sample_is_in_exactly_one_group(samples in prop::collection::vec((0_u8..4, 0_u64..1000), 0..50)) {
            let groups = group(samples.iter().map(|(key, duration)| (*key, sample(*duration))));
            let keys: std::collections::HashSet<u8> = groups.iter().map(|(key, _)| *key).collect();
            prop_assert_eq!(keys.len(), groups.len());
            let count: u64 = groups.iter().map(|(_, statistics)| statistics.count).sum();
            prop_assert_eq!(count, samples.len() as u64);
            for (key, own) in groups {
                let durations = || samples.iter().filter(|(other, _)| *other == key).map(|(_, duration)| *duration);
                prop_assert_eq!(own.total, durations().sum::<u64>());
                prop_assert_eq!(Some(own.min), durations().min());
                prop_assert_eq!(Some(own.max), durations().max());
                prop_assert!(own.min <= own.p50 && own.p50 <= own.p95 && own.p95 <= own.max);
                // Half of the durations are not above the median, and half are not below it.
                let count = durations().count();
                prop_assert!(durations().filter(|duration| *duration <= own.p50).count() * 2 >= count);
                prop_assert!(durations().filter(|duration| *duration >= own.p50).count() * 2 >= count);
            }
        }
    }
}
