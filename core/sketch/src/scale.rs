//! Buckets of durations that are coarser than those of a sketch: each is some of those whole, so that what a sketch
//! counted fits into them exactly.

use crate::sketch::{PER_OCTAVE, bucket_of, least_of};

/// Buckets of durations on a logarithmic scale. Bucket 0 holds the duration 0; each octave, from 2^n to 2^(n+1) - 1
/// nanoseconds, has the same number of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scale {
    per_octave: u16,
}

impl Scale {
    /// So many buckets an octave: a divisor of the 36 that a sketch has.
    pub fn new(per_octave: u32) -> Option<Self> {
        let per_octave = u16::try_from(per_octave).ok()?;
        (per_octave > 0 && PER_OCTAVE.is_multiple_of(per_octave)).then_some(Self { per_octave })
    }

    /// How many an octave has.
    pub fn per_octave(self) -> u32 {
        self.per_octave.into()
    }

    /// How many there are for all durations of 64 bits.
    pub fn bucket_count(self) -> u16 {
        1 + 64 * self.per_octave
    }

    /// The bucket of a duration in nanoseconds.
    #[inline]
    pub fn bucket_of(self, nanos: u64) -> u16 {
        self.bucket_around(bucket_of(nanos))
    }

    /// The bucket that has all of a bucket of a sketch.
    #[inline]
    pub fn bucket_around(self, fine: u16) -> u16 {
        match fine {
            0 => 0,
            fine => 1 + (fine - 1) / (PER_OCTAVE / self.per_octave),
        }
    }

    /// The least duration that is in the bucket or in a later one; that of a bucket after the last is the greatest number.
    /// Some buckets of a few nanoseconds hold none, and begin where the next one does.
    pub fn least_nano(self, bucket: u16) -> u64 {
        match bucket {
            0 => 0,
            bucket if bucket >= self.bucket_count() => u64::MAX,
            bucket => least_of(1 + (bucket - 1) * (PER_OCTAVE / self.per_octave)),
        }
    }

    /// The buckets of the whole octaves around some, from `first` to before `end`: the first of them, and the edges of all,
    /// one more than there are buckets.
    pub fn edges(self, first: u16, end: u16) -> (u16, Vec<u64>) {
        let octave_start = |bucket: u16| match bucket {
            0 => 0,
            bucket => (bucket - 1) / self.per_octave * self.per_octave + 1,
        };
        let first = octave_start(first.min(self.bucket_count()));
        let last = octave_start(end.saturating_sub(1).max(first));
        let end = match last {
            0 => 1,
            last => (last + self.per_octave).min(self.bucket_count()),
        };
        let edges = (first..=end).map(|bucket| self.least_nano(bucket));
        (first, edges.collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scales() -> impl Strategy<Value = Scale> {
        let scales = (1..=36).filter_map(Scale::new).collect::<Vec<_>>();
        prop::sample::select(scales)
    }

    #[test]
    fn an_octave_is_cut_as_that_of_a_sketch_can_be() {
        for per_octave in [0, 5, 7, 8, 37, 72, u32::MAX] {
            assert_eq!(Scale::new(per_octave), None);
        }
        let three = Scale::new(3).unwrap();
        assert_eq!(three.bucket_count(), 193);
        // From a millisecond of two to the power of twenty nanoseconds on.
        let edges: Vec<u64> = (61..=64).map(|bucket| three.least_nano(bucket)).collect();
        assert_eq!(edges, [1 << 20, 1_321_216, 1_664_512, 1 << 21]);
    }

    #[test]
    fn edges_are_those_of_whole_octaves() {
        let two = Scale::new(2).unwrap();
        // From 16 ns to before 64 ns.
        assert_eq!(two.edges(10, 12), (9, vec![16, 23, 32, 46, 64]));
        assert_eq!(two.edges(0, 1), (0, vec![0, 1]));
        assert_eq!(two.edges(0, 2), (0, vec![0, 1, 2, 2]));
        let (first, edges) = two.edges(128, u16::MAX);
        assert_eq!((first, edges.len()), (127, 3));
        assert_eq!(edges.last(), Some(&u64::MAX));
    }

    proptest! {
        #[test]
        fn a_duration_lies_between_the_edges_of_its_bucket(scale in scales(), shift in 0..64_u32, nanos: u64) {
            let nanos = nanos >> shift;
            let bucket = scale.bucket_of(nanos);
            prop_assert!(bucket < scale.bucket_count());
            prop_assert!(scale.least_nano(bucket) <= nanos);
            let next = scale.least_nano(bucket + 1);
            prop_assert!(nanos < next || bucket + 1 == scale.bucket_count());
        }
    }
}
